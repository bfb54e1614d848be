"""The terminal view of the gate: the verdict first, what failed before what passed, by how much and where."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from textassay.cli.render import BAD, FIGURE, GOOD, LABEL, NOTE, SHOWN, clean, clean_path, console, counted
from textassay.gate_places import Place
from textassay.gate_reports import amount, found, wanted, worst_first
from textassay.gating import Check, GateResult

WARNING = "yellow"
MARGIN = 6


def print_gate(results: Sequence[GateResult]) -> None:
    """Prints the checks of each folder, and where there are several which of them failed."""
    parts = [part for result in results for part in (_headline(result), _checks(result.checks))]
    if len(results) > 1:
        failed = [clean_path(result.out, 48) for result in results if not result.passed]
        verdict = Text(f"{len(failed)} of {counted(len(results), 'folder')} failed: {', '.join(failed[:SHOWN])}", BAD)
        parts.append(verdict if failed else Text(f"All {len(results)} folders passed.", GOOD))
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))


def _headline(result: GateResult) -> Text:
    line = Text("textassay  ", "bold cyan").append(clean_path(result.out, 48), "bold")
    line.append(" passes the gate" if result.passed else " does not pass the gate", GOOD if result.passed else BAD)
    missed = sum(check.fails_gate for check in result.checks)
    monitored = sum(not check.passed for check in result.checks) - missed
    note = f"  {counted(len(result.checks), 'limit')}, {missed} missed"
    return line.append(note + (f", {monitored} more only monitored" if monitored else ""), NOTE)


def _checks(checks: Sequence[Check]) -> RenderableType:
    names = max(len(clean(check.name, 40)) for check in checks)
    values = max(len(found(check)) for check in checks)
    lines: list[RenderableType] = []
    for check in worst_first(checks):
        word, style = ("pass", GOOD) if check.passed else ("FAIL", BAD) if check.fails_gate else ("warn", WARNING)
        line = Text(f"{word:<{MARGIN}}", style).append(f"{clean(check.name, 40):<{names}}  ", LABEL)
        line.append(f"{found(check):>{values}}  ", FIGURE).append(wanted(check))
        lines += [line, Padding(Text(clean(check.message, 300), NOTE), (0, 0, 0, MARGIN))]
        lines += [Padding(_place(place, check), (0, 0, 0, MARGIN)) for place in check.places[:SHOWN]]
    return Group(*lines)


def _place(place: Place, check: Check) -> Text:
    line = Text("" if place.value is None else f"{amount(place.value, check.unit)}  ", BAD)
    name = clean(place.name, 48) if place.kind in ("source", "token") else clean_path(place.name, 48)
    line.append(name + place.label.removeprefix(place.name))
    return line.append(f"  {clean(place.note, 200)}", NOTE)
