"""The figures that all pages share: curves, bars, distributions, a time line. Nothing in them but numbers and labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from textassay.report.chart import HEIGHT, POINTS, WIDTH, Chart, tick

Floats = NDArray[np.float64]

ABOVE, BELOW = 1, -1
_BAR, _GAP, _KINDS, _LABELS, _WORDS = 13, 14, 24, 84, 62
"""Units of the view box: a bar, between groups, the names above, to the left and to the right of the bars."""

_NAMES = 104
MARKED = 60
"""Points of a series that are still told apart."""

_SPIKE = 2.5
"""A bar so many times as high as the next is cut off, and its share written on it."""


@dataclass(frozen=True)
class Curve:
    """A line with its name beside it. `y` may be NaN where there is nothing."""

    label: str
    role: str
    x: Floats
    y: Floats
    side: int = ABOVE
    """Of the line, where the name stands."""
    place: float = 0.6
    """How far along the line, from 0 to 1."""


@dataclass(frozen=True)
class Axis:
    """`low` and `high` are those of the data if they are None."""

    name: str
    is_log: bool = False
    step: Callable[[float], str] = tick
    low: float | None = None
    high: float | None = None

    def limits(self, values: Floats) -> tuple[float, float]:
        known = values[np.isfinite(values) & ((values > 0) | (not self.is_log))]
        known = known if len(known) else np.ones(1)
        low = float(known.min()) if self.low is None else self.low
        high = float(known.max()) if self.high is None else self.high
        if high > low:
            return low, high
        return (low / 2, low * 2) if self.is_log else (low - 0.5, low + 0.5)


def curves(
    name: str, description: str, lines: Sequence[Curve], x: Axis, y: Axis, width: int = WIDTH, height: int = HEIGHT
) -> Markup:
    """Lines over numbers, each with its name beside it."""
    chart = Chart(width, height)
    chart.scale("x", *x.limits(np.concatenate([line.x for line in lines])), x.is_log, x.step)
    chart.scale("y", *y.limits(np.concatenate([line.y for line in lines])), y.is_log, y.step, 4)
    chart.base_line()
    for line in reversed(lines):  # the first lies on top
        chart.line(line.x, line.y, line.role)
        if len(line.x) == 1:
            chart.dots(line.x, line.y, line.role)
        at = round(line.place * (len(line.x) - 1))
        rising = len(line.y) > 1 and line.y[-1] > line.y[0]
        to_the_left = rising == (line.side == ABOVE)
        chart.say(
            line.label,
            line.x[at],
            line.y[at],
            line.role,
            dx=-7 if to_the_left else 7,
            dy=5 * line.side,
            ha="right" if to_the_left else "left",
            va="bottom" if line.side == ABOVE else "top",
            fontweight="bold",
        )
    chart.name_axes(x.name, y.name)
    return chart.svg(name, description)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most `POINTS` of the points, evenly along their order, first and last among them."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(np.intp))
    return x[kept], y[kept]


@dataclass(frozen=True)
class Bars:
    """A group of bars with one name: `values` of each of the kinds, with what stands behind them."""

    label: str
    values: tuple[float, ...]
    words: tuple[str, ...]


def bars(
    name: str,
    description: str,
    rows: Sequence[Bars],
    kinds: Sequence[tuple[str, str]],
    highest: float,
    whole: float | None = None,
) -> Markup:
    """Horizontal bars from 0, in groups. `kinds` are (name, role) of the bars in a group; the names are said above them.
    `highest` fills the width; `whole` is drawn pale behind each bar.
    """
    pitch = len(kinds) * _BAR + _GAP
    chart = Chart(WIDTH, _KINDS + pitch * len(rows) + 2, left=_LABELS, right=_WORDS, top=_KINDS, bottom=2)
    chart.axes.grid(visible=False)
    chart.scale("x", 0, highest, step=lambda _: "", most=1)
    chart.scale("y", len(rows) * pitch, 0, step=lambda _: "", most=1)
    place = 0.0
    for kind, role in kinds:
        chart.area(*_box(place, place + 0.027 * highest, -15, -9), role)
        chart.say(kind, place, -12, "muted", dx=10)
        place += (len(kind) * 6 + 22) / (WIDTH - _LABELS - _WORDS) * highest
    for position, row in enumerate(rows):
        top = position * pitch + _GAP / 2
        chart.say(row.label, 0, top + len(kinds) * _BAR / 2, "ink", dx=-8, ha="right")
        for (_, role), value, words in zip(kinds, row.values, row.words, strict=True):
            if whole is not None:
                chart.area(*_box(0, whole, top + 1, top + _BAR - 1), "grid")
            chart.area(*_box(0, value, top + 1, top + _BAR - 1), role)
            chart.say(words, max(value, whole or 0), top + _BAR / 2, "muted", dx=6)
            top += _BAR
    return chart.svg(name, description)


def _box(left: float, right: float, low: float, high: float) -> tuple[Sequence[float], Sequence[float]]:
    return [left, right, right, left], [low, low, high, high]


@dataclass(frozen=True)
class Range:
    """From the 5th to the 95th of a hundred documents of a reference."""

    low: float
    high: float
    label: str


def distribution(
    name: str,
    description: str,
    edges: Floats,
    counts: Floats,
    axis: Axis,
    median: float | None,
    shaded: Range | None,
) -> Markup:
    """A histogram as an area; `edges` has one more than `counts`. On a logarithmic axis heights are per doubling."""
    chart = Chart(height=168, left=14, right=14, top=36)
    low, high = float(edges[0]), float(edges[-1])
    if shaded is not None:
        low, high = min(low, shaded.low), max(high, shaded.high)
    widths = np.diff(np.log2(edges)) if axis.is_log else np.diff(edges)
    heights = counts / widths
    tallest = _height_shown(heights)
    chart.axes.grid(visible=False)
    chart.scale("x", low, high, axis.is_log, axis.step, 5)
    chart.scale("y", 0, tallest, step=lambda _: "", most=2)
    if shaded is not None:
        ends = [shaded.low, shaded.high, shaded.high, shaded.low]
        chart.area(ends, [0, 0, tallest * 1.06, tallest * 1.06], "range")
        middle = (shaded.low * shaded.high) ** 0.5 if axis.is_log else (shaded.low + shaded.high) / 2
        is_left = middle < ((low * high) ** 0.5 if axis.is_log else (low + high) / 2)
        chart.say(
            shaded.label, shaded.low if is_left else shaded.high, tallest * 1.06, "reference",
            dy=3, va="bottom", ha="left" if is_left else "right", fontweight="bold",
        )  # fmt: skip
    chart.area(np.concatenate([[edges[0]], np.repeat(edges, 2)[1:-1], [edges[-1]]]),
               np.concatenate([[0], np.repeat(np.minimum(heights, tallest), 2), [0]]), "corpus", 0.82)  # fmt: skip
    chart.base_line()
    for place in np.flatnonzero(heights > tallest).tolist():
        is_right = place > len(heights) / 2
        said = f"{counts[place] / counts.sum():.0%} in one bar"
        at = edges[place] if is_right else edges[place + 1]
        chart.say(said, float(at), 0.9 * tallest, "ink", dx=-4 if is_right else 4, ha="right" if is_right else "left")
    if median is not None:
        chart.line([median, median], [0, tallest * 1.06], "ink", 1.2)
    chart.name_axes(axis.name, "")
    return chart.svg(name, description)


def _height_shown(heights: Floats) -> float:
    """That of the highest bar, unless it stands far above the next: then somewhat more than that one's."""
    ordered = np.sort(heights)
    if len(ordered) > 1 and ordered[-1] > _SPIKE * ordered[-2] > 0:
        return 1.3 * float(ordered[-2])
    return float(ordered[-1]) or 1.0


@dataclass(frozen=True)
class Track:
    """A figure along a corpus, in columns of consecutive batches; arrays of equal length."""

    x: Floats
    """From 0 to `n_rows`."""
    low: Floats
    mean: Floats
    high: Floats
    n_rows: int
    is_single: bool
    """A column is one row."""


def track(name: str, description: str, found: Track, y: Axis, limit: float | None, width: int) -> Markup:
    """Mean and extent along the corpus, and a limit that nothing should be below."""
    chart = Chart(width, 210, right=14 if limit is None else 66)
    n, x = len(found.mean), found.x
    chart.scale("x", 0, found.n_rows, step=tick, most=8 if width > WIDTH else 4)
    every = np.concatenate([found.low, found.high, [] if limit is None else [limit]])
    low, high = y.limits(every)
    room = 0.08 * (high - low)
    chart.scale("y", low - room, high + room, step=y.step, most=4)
    chart.base_line()
    if not found.is_single:
        chart.area(np.concatenate([x, x[::-1]]), np.concatenate([found.low, found.high[::-1]]), "corpus-light")
        chart.line(x, found.mean, "corpus", 1.4)
    else:
        chart.line(x, found.mean, "corpus-light", 1.2)
        below = found.mean < (-np.inf if limit is None else limit)
        chart.dots(x[~below], found.mean[~below], "corpus", 4.5 if n < 120 else 2.5)
        chart.dots(x[below], found.mean[below], "warning", 6 if n < 120 else 4)
    if limit is not None:
        chart.line([0, found.n_rows], [limit, limit], "warning", 1.2)
        chart.say(f"floor {limit:g}", found.n_rows, limit, "warning", dx=5, fontweight="bold")
    chart.name_axes("batch, in the order of the files", y.name)
    return chart.svg(name, description)


def stacked(
    name: str,
    description: str,
    labels: Sequence[str],
    parts: Sequence[Floats],
    roles: Sequence[str],
    y: Axis,
    width: int,
) -> Markup:
    """A column of parts for each label, in order; few labels are written."""
    chart = Chart(width, 210)
    n = len(labels)
    totals = np.sum(parts, axis=0)
    chart.scale("x", 0, n, step=lambda _: "")
    chart.scale("y", 0, y.high or float(totals.max(initial=0)) or 1.0, step=y.step, most=4)
    bottom = np.zeros(n)
    gap = 0.08 if n < 80 else 0.0
    for part, role in zip(parts, roles, strict=True):
        for place in np.flatnonzero(part).tolist():
            x = (place + gap, place + 1 - gap)
            low, high = bottom[place], bottom[place] + part[place]
            chart.area([x[0], x[1], x[1], x[0]], [low, low, high, high], role)
        bottom = bottom + part
    chart.base_line()
    for place in range(0, n, max(1, -(-n // (12 if width > WIDTH else 5)))):
        chart.say(labels[place], place + 0.5, 0, "muted", dy=-6, ha="center", va="top")
    chart.name_axes("", y.name)
    return chart.svg(name, description)


@dataclass(frozen=True)
class Effect:
    """A bar to the left or to the right of 0, with its name and with what stands at its end."""

    label: str
    value: float
    words: str


def effects(name: str, description: str, rows: Sequence[Effect], limit: float) -> Markup:
    """Horizontal bars around 0, which reaches to `limit` on both sides; below 0 in the colour of the reference."""
    pitch = _BAR + 5
    chart = Chart(WIDTH, pitch * len(rows) + 4, left=_NAMES, right=44, top=2, bottom=2)
    chart.axes.grid(visible=False)
    room = 1.45 * limit  # for the words behind the bars
    chart.scale("x", -room, room, step=lambda _: "", most=2)
    chart.scale("y", len(rows) * pitch, 0, step=lambda _: "", most=1)
    chart.line([0, 0], [0, len(rows) * pitch], "muted", 0.8)
    for position, row in enumerate(rows):
        top = position * pitch + 2.5
        is_right = row.value >= 0
        end = max(-limit, min(limit, row.value))
        chart.area(*_box(0, end, top, top + _BAR), "corpus" if is_right else "reference")
        chart.say(row.label, -room, top + _BAR / 2, "ink", dx=-8, ha="right")
        chart.say(row.words, end, top + _BAR / 2, "muted", dx=5 if is_right else -5, ha="left" if is_right else "right")
    return chart.svg(name, description)


@dataclass(frozen=True)
class Change:
    """Something that happens at a place of a series."""

    place: int
    label: str


def series(
    name: str,
    description: str,
    labels: Sequence[str],
    line: tuple[Floats, Floats],
    x: str,
    y: Axis,
    changes: Sequence[Change] = (),
    limit: float | None = None,
) -> Markup:
    """A line over named places, with what happens there, and a limit that it should not be below."""
    chart = Chart(height=236, right=24, top=34, bottom=42)
    n = len(labels)
    chart.scale("x", -0.15, max(n - 1, 1) + 0.15, step=lambda _: "", most=1)
    low, high = y.limits(np.append(line[1], [] if limit is None else [limit]))
    room = 0.08 * (high - low)
    chart.scale("y", low - room, high + room, step=y.step, most=4)
    chart.base_line()
    bottom, top = chart.axes.get_ylim()
    for change in changes[:MARKED]:
        chart.line([change.place - 0.5] * 2, [bottom, top], "warning", 1, "--")
        chart.say(change.label, change.place - 0.5, top, "warning", dy=3, ha="center", va="bottom")
    if limit is not None:
        chart.line([-0.15, n - 1 + 0.15], [limit, limit], "warning", 1.2)
        chart.say(f"limit {limit:g}", n - 1, limit, "warning", dy=3, ha="right", va="bottom", fontweight="bold")
    places, values = thinned(*line)
    chart.line(places, values, "corpus")
    if n <= MARKED:
        chart.dots(places, values, "corpus", 4.5)
    for place in range(0, n, max(1, -(-n // 6))):
        chart.say(labels[place], place, bottom, "muted", dy=-6, ha="center", va="top")
    chart.name_axes(x, y.name, 19)
    return chart.svg(name, description)
