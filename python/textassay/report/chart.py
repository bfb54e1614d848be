"""One chart: drawn by matplotlib, written as an SVG that takes its colours and fonts from the page's style sheet.

Matplotlib puts a `style` on every element, which the page's content security policy forbids, and colours that know no dark
mode. So charts are drawn in colours that stand for roles, and what comes out is rewritten: roles become classes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from textassay.formatting import clean
from textassay.report.page import NO_BREAK

WIDTH, HEIGHT = 360, 230
"""In the unit of the view box; about a CSS pixel where the chart is shown."""

FONT_SIZE = 10.5
POINTS = 200
"""Points of a line, at most: what keeps a page small whatever it shows."""

LONGEST_LABEL = 80

ROLES = ("ink", "muted", "grid", "corpus", "corpus-light", "reference", "range", "warning")
LABEL_ROLES = ("human-verified", "human-unverified", "synthetic-known", "synthetic-suspected")
"""In the order of `provenance.LABELS`."""

_COLOURS = {role: f"#0000{place:02x}" for place, role in enumerate((*ROLES, *LABEL_ROLES), 1)}
_ROLE_OF = {colour: role for role, colour in _COLOURS.items()}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "textassay",
    "text.parse_math": False,
    "font.size": FONT_SIZE,
    "axes.unicode_minus": True,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
    "lines.solid_capstyle": "round",
}

_KEPT = ("font-size", "font-weight", "text-anchor", "opacity", "fill-opacity", "stroke-width", "stroke-dasharray")
_FONT_WEIGHT = re.compile(r"(bold|\d{3}) ")
_NUMBER = re.compile(r"-?\d+\.\d+")


def tick(value: float) -> str:
    """`10 k`, `0.5`: a round number, without digits that say nothing."""
    for factor, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return minus(f"{value / factor:g}{unit}")
    return minus(f"{value:g}")


def minus(figure: str) -> str:
    """With the sign that printers use."""
    return figure.replace("-", "−")


@contextmanager
def drawing_style() -> Iterator[None]:
    """Within it charts look the same whatever the user has configured. matplotlib's settings are those of the process."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def colour(role: str) -> str:
    """What matplotlib draws a role in. Raises KeyError where there is no such role."""
    return _COLOURS[role]


class Chart:
    """A pair of axes without a frame, to draw on in the colours of `colour`."""

    def __init__(
        self,
        width: int = WIDTH,
        height: int = HEIGHT,
        left: int = 44,
        right: int = 14,
        top: int = 20,
        bottom: int = 36,
    ) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / 72, height / 72))
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
        self.axes = self.figure.add_axes(box)
        self.axes.set_frame_on(False)
        self.axes.tick_params(which="both", left=False, bottom=False, labelcolor=colour("muted"), pad=4)
        self.axes.grid(axis="y", color=colour("grid"), linewidth=0.8)
        self.axes.set_axisbelow(True)
        for axis in (self.axes.xaxis, self.axes.yaxis):
            axis.set_minor_locator(NullLocator())

    def name_axes(self, x: str, y: str, below: float = 5) -> None:
        """What is measured along x, so far below the ticks, and what upwards: above the axis, so that it is read level."""
        self.axes.set_xlabel(x, color=colour("muted"), labelpad=below)
        self.axes.annotate(y, (0, self.height - 2), xycoords="figure points", va="top", color=colour("muted"))

    def scale(
        self,
        which: str,
        low: float,
        high: float,
        is_log: bool = False,
        step: Callable[[float], str] = tick,
        most: int = 5,
    ) -> None:
        """Limits and a few ticks for the axis "x" or "y"; `step` writes a tick's value."""
        axis = self.axes.xaxis if which == "x" else self.axes.yaxis
        (self.axes.set_xscale if which == "x" else self.axes.set_yscale)("log" if is_log else "linear")
        axis.set_major_locator(
            FixedLocator(_log_ticks(low, high, most)) if is_log else MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
        )
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: step(value)))
        (self.axes.set_xlim if which == "x" else self.axes.set_ylim)(low, high)

    def base_line(self) -> None:
        low, high = self.axes.get_xlim()
        bottom = self.axes.get_ylim()[0]
        self.axes.plot([low, high], [bottom, bottom], color=colour("muted"), linewidth=0.8, clip_on=False)

    def line(self, x: Sequence[float], y: Sequence[float], role: str, width: float = 1.8, dashes: str = "-") -> None:
        self.axes.plot(x, y, color=colour(role), linewidth=width, linestyle=dashes, clip_on=False)

    def dots(self, x: Sequence[float], y: Sequence[float], role: str, size: float = 4) -> None:
        self.axes.plot(x, y, ls="", marker="o", ms=size, mew=0, color=colour(role), clip_on=False)

    def area(self, x: Sequence[float], y: Sequence[float], role: str, opacity: float = 1) -> None:
        """A closed polygon."""
        self.axes.fill(x, y, facecolor=colour(role), edgecolor="none", linewidth=0, alpha=opacity, clip_on=False)

    def say(self, text: str, x: float, y: float, role: str, **more: Any) -> None:
        """Words at a place in the data; `dx` and `dy` move them by units of the view box."""
        text = clean(text.replace(NO_BREAK, " "), LONGEST_LABEL)  # a control character would be no XML
        offset = (more.pop("dx", 0), more.pop("dy", 0))
        more = {"ha": "left", "va": "center"} | more
        self.axes.annotate(
            text, (x, y), xytext=offset, textcoords="offset points", color=colour(role), annotation_clip=False, **more
        )

    def svg(self, name: str, description: str) -> Markup:
        """`name` is unique on a page; `description` says what is to be seen to those who do not see it."""
        stream = StringIO()
        self.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        root = ElementTree.fromstring(stream.getvalue())
        drawn = "".join(_rewritten(root, name))
        box = f"0 0 {self.width} {self.height}"
        head = Markup(
            '<svg class="chart" role="img" viewBox="{}" aria-labelledby="{}-words"><desc id="{}-words">{}</desc>'
        )
        return head.format(box, name, name, description) + Markup(drawn) + Markup("</svg>")


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten from low to high, every n-th so that they are not too many; with steps between where they are too few."""
    for steps in ((1,), (1, 2, 5), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        found = [m * 10.0**k for k in range(-12, 19) for m in steps if low * 0.999 <= m * 10.0**k <= high * 1.001]
        if len(found) > 2:
            break
    return found[:: max(1, -(-len(found) // most))]


def _rewritten(element: ElementTree.Element, name: str) -> Iterator[str]:
    """The drawing without groups, frames and styles; ids begin with `name`."""
    for child in element:
        tag = child.tag.rpartition("}")[2]
        if tag in ("g", "svg"):
            yield from _rewritten(child, name)
        elif tag == "defs":
            shapes = "".join(_rewritten(child, name))
            if shapes:
                yield f"<defs>{shapes}</defs>"
        elif tag in ("path", "text", "use"):
            attributes = _attributes(child, tag, name)
            if attributes is not None:
                text = escape(child.text.strip()) if child.text else ""
                yield f"<{tag}{attributes}>{text}</{tag}>" if text else f"<{tag}{attributes}/>"


def _attributes(element: ElementTree.Element, tag: str, name: str) -> str | None:
    """As text; None where the element shows nothing."""
    style = dict(pair.split(": ", 1) for pair in element.get("style", "").split("; ") if ": " in pair)
    if tag == "path" and "id" not in element.attrib and style.get("fill") == "none" and "stroke" not in style:
        return None
    weight = _FONT_WEIGHT.match(style.get("font", ""))  # up to matplotlib 3.9 the font is one property
    if weight is not None:
        style["font-weight"] = weight[1]
    found: dict[str, str] = {}
    if "id" in element.attrib:
        found["id"] = f"{name}-{element.attrib['id']}"
    classes = [f"{kind}-{_ROLE_OF[style[kind]]}" for kind in ("fill", "stroke") if style.get(kind) in _ROLE_OF]
    if classes:
        found["class"] = " ".join(classes)
    if style.get("fill") == "none":
        found["fill"] = "none"
    found |= {key: _rounded(style[key]) for key in _KEPT if key in style}
    if found.get("font-size") == f"{FONT_SIZE}px":
        del found["font-size"]
    for key in ("x", "y", "d"):
        if key in element.attrib:
            found[key] = _rounded(" ".join(element.attrib[key].split()))
    target = element.get("{http://www.w3.org/1999/xlink}href")
    if target is not None:
        found["href"] = f"#{name}-{target[1:]}"
    return "".join(f' {key}="{value}"' for key, value in found.items())


def _rounded(text: str) -> str:
    """Every number to a tenth of a pixel."""
    return _NUMBER.sub(lambda match: _tenth(float(match[0])), text)


def _tenth(value: float) -> str:
    # Adding zero makes 0 of -0.
    return f"{round(value, 1) + 0:g}"
