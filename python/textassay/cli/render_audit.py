"""The terminal view of an audit of token ids."""

from collections.abc import Mapping
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
    SHOWN,
    clean,
    clean_path,
    console,
    counted,
    decimal,
    number,
    size,
    table_of,
)


def print_audit(summary: Mapping[str, Any]) -> None:
    """Prints the summary of `audit.audit_tokens`."""
    inputs, batches, performance = summary["inputs"], summary["batches"], summary["performance"]
    parts = (counted(inputs["files"], "file"), counted(inputs["tokens"], "token id"), size(inputs["bytes"]))
    line = Text("textassay  ", "bold cyan").append(" · ".join(parts), "bold")
    backend = performance["backend"]["backend"]
    speed = f"{', '.join(inputs['kinds'])}; {size(performance['bytes_per_second'])}/s with "
    speed += f"{counted(performance['threads'], 'thread')}, {backend}"
    shown: list[RenderableType] = [Group(line, Text(speed, NOTE))]
    table = table_of(
        f"Batches  {number(batches['n_batches'])}, {number(batches['n_full'])} of them of {number(batches['batch_tokens'])} tokens",
        *(("", LABEL), ("mean", FIGURE, "right"), ("sd", "", "right")),
        *((name, "", "right") for name in ("1 %", "5 %", "median", "95 %")),
    )
    for name in ("entropy_bits", "type_token_ratio"):
        found = batches["distributions"][name]
        quantiles = (decimal(found["quantiles"][key]) for key in ("0.01", "0.05", "0.5", "0.95"))
        table.add_row(name, decimal(found["mean"], 4), decimal(found["sd"], 4), *quantiles)
    shown.append(table)
    shown.append(_audit_verdict(batches))
    if summary["corpus"] is not None:
        corpus, of = summary["corpus"], number(summary["configuration"]["vocab_size"])
        text = f"{number(corpus['n_types'])} of {of} ids occur; entropy {decimal(corpus['entropy_bits'])} bits"
        shown.append(Text("All ids  ", "bold").append(text, NOTE))
    shown.append(_audit_damage(inputs))
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in shown)))


def _audit_verdict(batches: Mapping[str, Any]) -> RenderableType:
    floor, lines = batches["entropy_floor"], []
    if not batches["n_full"]:
        lines.append(Text("no batch is full: lower --batch-tokens to see how they vary", "yellow"))
    if floor is not None:
        below, short = batches["below_floor"], batches["below_floor_short"]
        verdict = f"{number(below)} below {floor:g} bits: HOLD_FOR_REVIEW" if below else f"none below {floor:g} bits"
        lines.append(Text(verdict, BAD if below else GOOD))
        if short:
            lines[-1].append(f" ({number(short)} of them the short rest of a file)", NOTE)
    for batch in batches["worst"][: SHOWN if floor is not None else 1]:
        place = f"batch {batch['batch']} of {clean_path(batch['file'])}, from token {batch['first_token']:,}"
        lines.append(Text(f"{decimal(batch['entropy_bits'])} in {place}", NOTE))
    return Group(*lines)


def _audit_damage(inputs: Mapping[str, Any]) -> RenderableType:
    lines = []
    if inputs["outside"]:
        lines.append(Text(f"{counted(inputs['outside'], 'id')} outside the vocabulary, left out", BAD))
    for entry in inputs["outside_first"][:SHOWN]:
        place = f"id {entry['id']} at token {entry['position']:,} (byte {entry['byte_offset']:,})"
        lines.append(Text(f"{place} of {clean_path(entry['file'])}, with {entry['n_outside'] - 1} more in this batch"))
    for entry in inputs["damaged"][:SHOWN]:
        lines.append(Text("damaged ", BAD).append(f"{clean_path(entry['file'])}: {clean(entry['reason'], 200)}"))
    if inputs["files_damaged"] > SHOWN:
        lines.append(Text(f"and {counted(inputs['files_damaged'] - SHOWN, 'more damaged file')}", BAD))
    if lines:
        accounts = ((name.removeprefix("bytes_").replace("_", " "), n) for name, n in inputs["accounted"].items() if n)
        lines.append(Text("bytes: " + ", ".join(f"{n:,} {what}" for what, n in accounts), NOTE))
    if not inputs["balanced"]:
        lines.append(Text("the accounts of bytes do not add up: a bug, please report it", BAD))
    return Group(*(lines or [Text("Every byte accounted for, every id in the vocabulary, no file damaged.", GOOD)]))
