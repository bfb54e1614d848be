"""A page: one file that needs no other, and a policy that lets the browser load and run nothing but what is in it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jinja2
from markupsafe import Markup

from textassay.formatting import clean
from textassay.version import __version__

SIZE_LIMIT = 2_000_000
"""Bytes of a page, whatever it shows: texts are cut, rows and points are limited where they are gathered."""

TEXT_LIMIT = 160
"""Characters of a name or a piece of text from a corpus."""

ROWS_SHOWN = 50

SENTENCE_LIMIT = 2000
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Column:
    """`text` may be long and comes from anywhere, a `word` is one of ours; a `picture` is a bar of parts."""

    name: str
    kind: Literal["text", "word", "number", "picture"] = "text"


@dataclass(frozen=True)
class Grid:
    """A table; cells are text or written numbers. `label` names it to those who do not see it."""

    label: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Picture:
    """A chart with its words; `narrow` is the one for a small screen, where the first would be too small."""

    title: str
    caption: str
    chart: Markup
    narrow: Markup | None = None


@dataclass(frozen=True)
class Part:
    """Of a bar from 0 to 100; `role` is a class of the style sheet."""

    name: str
    role: str
    start: float
    width: float
    words: str


@dataclass(frozen=True)
class Step:
    """Something to do, and the command for it, if there is one."""

    urgency: Literal["act", "look", "fine"]
    text: str
    command: str = ""


@dataclass(frozen=True)
class Fact:
    """A figure that stands out."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Card:
    """One of the answers that a page begins with."""

    title: str
    sentences: Sequence[str]
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading; `name` is its place in links."""

    name: str
    title: str
    text: str = ""
    facts: Sequence[Fact] = ()
    figures: Sequence[Picture] = ()
    tables: Sequence[Grid] = ()


def sectioned_page(
    kind: str,
    subject: str,
    headline: str,
    lead: str,
    cards: Sequence[Card],
    sections: Sequence[Section],
    performance: str = "",
) -> bytes:
    """A page of answers and sections: what everything but a scan is shown in."""
    content = {
        "kind": kind,
        "title": f"{subject} – textassay",
        "subject": subject,
        "headline": headline,
        "lead": lead,
        "sections": [(section.name, section.title) for section in sections],
        "cards": cards,
        "parts_of_page": sections,
        "performance": performance,
    }
    return page("sections.html", content)


def parts_of(amounts: Sequence[tuple[str, str, float, str]]) -> list[Part]:
    """A bar of (name, role, amount, words); empty where all is 0."""
    whole = sum(amount for _, _, amount, _ in amounts)
    found, start = [], 0.0
    for name, role, amount, words in amounts:
        if amount > 0:
            width = 100 * amount / whole
            found.append(Part(name, role, round(start, 3), round(width, 3), words))
            start += width
    return found


def page(template: str, content: Mapping[str, Any]) -> bytes:
    """The whole HTML file. Equal content gives equal bytes."""
    style, script = (_asset(name) for name in ("report.css", "sort.js"))
    text = (
        _environment()
        .get_template(template)
        .render(
            content,
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            version=__version__,
        )
    )
    return text.encode()


def fragment(template: str, content: Mapping[str, Any]) -> str:
    """A piece of HTML without style and script, for a notebook."""
    return _environment().get_template(template).render(content)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("textassay.report"),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: Any) -> Any:
    """What a template prints: no control or format character gets through, wherever it comes from, and of other spaces than the
    plain one only that which holds a figure and its unit together.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return NO_BREAK.join(clean(part, SENTENCE_LIMIT) for part in value[:SENTENCE_LIMIT].split(NO_BREAK))


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


@cache
def _asset(name: str) -> str:
    return files("textassay.report").joinpath("templates", name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
