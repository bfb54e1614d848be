"""The terminal view of filter, sample and mix."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from textassay.cli.render import (
    BAD,
    FIGURE,
    GOOD,
    LABEL,
    NOTE,
    clean,
    console,
    counted,
    damage_lines,
    number,
    share,
    size,
    table_of,
)


def print_filter(report: Mapping[str, Any]) -> None:
    """Prints what `filter_shards` reported."""
    inputs = report["inputs"]
    title = f"{counted(inputs['files'], 'file')}, {counted(inputs['documents'], 'document')}, {size(inputs['bytes'])}"
    streams = table_of(title, ("", LABEL), ("", FIGURE, "right"), ("", "", "right"), ("", "", "right"), ("", NOTE))
    for stream in ("kept", "held"):
        found = report[stream]
        part = share(found["documents"] / inputs["documents"] if inputs["documents"] else None)
        written = f"{size(found['bytes_compressed'])} written"
        streams.add_row(stream, number(found["documents"]), part, size(found["bytes"]), written)
    found = report["rejected"]
    lines = f"{counted(found['malformed'], 'malformed record')}, {counted(found['blank'], 'blank line')}"
    streams.add_row("rejected", number(found["malformed"] + found["blank"]), "", size(found["bytes"]), lines)
    rules = table_of(
        "", ("held", FIGURE, "right"), ("by no rule before", "", "right"), ("null", NOTE, "right"), ("rule", LABEL)
    )
    for rule in report["rules"]:
        nulls = number(rule["null"]) if rule["null"] else ""
        rules.add_row(number(rule["held"]), number(rule["held_first"]), nulls, clean(rule["rule"], 100))
    parts: list[RenderableType] = [streams, rules]
    if report["balanced"]:
        parts.append(Text("kept + held + rejected = input, byte for byte.", GOOD))
    else:
        parts.append(Text("kept, held and rejected do not add up to the input: a bug, please report it", BAD))
    if inputs["malformed"] or inputs["files_damaged"]:
        parts.append(damage_lines(inputs))
    _print(parts)


def _print(parts: Sequence[RenderableType]) -> None:
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))
