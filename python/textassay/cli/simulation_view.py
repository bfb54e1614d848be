"""The terminal view of simulations and collapse stages."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from textassay.cli.render import BARS, FIGURE, LABEL, NARROW, NOTE, clean_path, console, counted, decimal, number, share
from textassay.collapse import EARLY, FIGURES, HEALTHY, LATE, TOTAL

_STYLES = {HEALTHY: "green", EARLY: "yellow", LATE: "dark_orange", TOTAL: "bold red"}
_NOTES = {HEALTHY: "nothing is lost", EARLY: "tails lost", LATE: "variance lost", TOTAL: "a loop"}
_TRENDS = ("entropy_bits", "n_types", "hapaxes", "tail_retention")
_ROWS = 20


def trend(values: Sequence[float | None]) -> str:
    """One bar a value, from the least to the greatest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, width = min(known), max(known) - min(known)
    last = len(BARS) - 1
    heights = (None if value is None else round((value - low) / width * last) if width else last for value in values)
    return "".join(" " if height is None else BARS[height] for height in heights)


def print_simulation(report: Mapping[str, Any]) -> None:
    """Prints what `Simulation.report` or `minimal_report` returned."""
    if "shares" in report:
        _print(_minimal(report))
        return
    settings, corpus, performance = report["settings"], report["corpus"], report["performance"]
    line = Text("textassay simulate  ", "bold cyan")
    line.append(f"{number(settings['tokens'])} tokens a generation, of {number(corpus['n_tokens'])} real ones", "bold")
    rate = performance["tokens_per_cpu_minute"]
    speed = f"{performance['seconds']:.1f} s with {counted(performance['threads'], 'thread')}; "
    speed += f"{number(rate)} tokens a generation, minute and core, {performance['backend']['backend']}"
    parts: list[RenderableType] = [Group(line, Text(speed, NOTE)), _generations(report["generations"])]
    parts.append(_trends(report["generations"]))
    parts.append(_changes(report["generations"], [f"generation {one['generation']}" for one in report["generations"]]))
    if not report["generations"][0]["tail"]:
        parts.append(
            Text("No tail: the rare words are those seen once or twice. A larger --tail-mass has some.", "yellow")
        )
    parts += [_forecast(one) for one in report["forecasts"]]
    _print(*parts)


def _minimal(report: Mapping[str, Any]) -> RenderableType:
    title = Text(
        "One Gaussian, fitted to its own samples; what is left of the rare 3 % of the real distribution", "bold"
    )
    shares = report["shares"]
    values = "  ".join(f"{value:g}" for value in shares)
    return Group(title, Text(f"{trend(shares)}  {values}"), Text("share above 5.0, generation by generation", NOTE))


def _generations(generations: Sequence[Mapping[str, Any]]) -> RenderableType:
    columns = ["tokens", "types", "hapaxes", "entropy", "distinct-3", "MATTR", "tail kept"]
    table = Table(title="Generations", title_style="bold", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("", style=LABEL, justify="right")
    for name in columns:
        table.add_column(name, justify="right", style=FIGURE if name == "entropy" else "")
    table.add_column("stage")
    hidden = max(0, len(generations) - _ROWS)
    for one in (*generations[: _ROWS // 2], *generations[_ROWS // 2 + hidden :]):
        table.add_row(
            str(one["generation"]), number(one["n_tokens"]), number(one["n_types"]), number(one["hapaxes"]),
            decimal(one["entropy_bits"]), share(one["distinct_3"]), decimal(one["documents"]["mattr"]),
            share(one["tail_retention"]), _stage(one),
        )  # fmt: skip
    note = Text(f"{hidden} in between are not shown" if hidden else "", NOTE)
    return Group(table, note) if hidden else table


def _stage(judged: Mapping[str, Any]) -> Text:
    return Text(judged["stage"], _STYLES[judged["stage"]])


def _changes(judged: Sequence[Mapping[str, Any]], names: Sequence[str]) -> RenderableType:
    """Where the stage is another one than before, and why."""
    lines, before = [], HEALTHY
    for one, name in zip(judged, names, strict=True):
        if one["stage"] != before:
            found = [reason for reason in one["reasons"] if reason["stage"] == one["stage"]]
            why = ", ".join(f"{reason['figure']} {reason['value']:.2f} < {reason['limit']:g}" for reason in found)
            line = Text(f"{name}: ").append(_stage(one))
            lines.append(line.append(f"  {_NOTES[one['stage']]}{': ' if why else ''}{why}", NOTE))
        before = one["stage"]
    return Group(*lines) if lines else Text("All are healthy.", "green")


def _trends(generations: Sequence[Mapping[str, Any]]) -> RenderableType:
    lines = Text()
    for name in _TRENDS:
        values = [one[name] for one in generations]
        lines.append(f"{name:<15}", LABEL).append(trend(values), "green")
        lines.append("\n" if name != _TRENDS[-1] else "")
    return lines


def _forecast(found: Mapping[str, Any]) -> RenderableType:
    line = Text("Forecast  ", "bold").append(f"{found['figure']} below {found['limit']:g}: ")
    if found["generation"] is None:
        return line.append(found["reason"] or f"not within {number(found['horizon'])} generations", "green")
    how = "simulated" if found["observed"] else f"extrapolated: a generation keeps {share(found['kept'])} of it"
    return line.append(f"generation {found['generation']}", "yellow").append(f"  {how}", NOTE)


def print_collapse(report: Mapping[str, Any]) -> None:
    """Prints what `collapse.report_on` returned."""
    table = Table(title=f"Against {clean_path(report['reference'])}", title_style="bold", title_justify="left", box=None,
                  padding=(0, 2, 0, 0))  # fmt: skip
    table.add_column("", style=LABEL)
    for name in FIGURES:
        table.add_column(name.removesuffix("_kept").replace("_", " "), justify="right")
    table.add_column("stage")
    longest = 36 if console().width >= NARROW else 20
    for one in report["stages"]:
        table.add_row(
            clean_path(one["profile"], longest), *(decimal(one["figures"][name], 3) for name in FIGURES), _stage(one)
        )
    changes = _changes(report["stages"], [clean_path(one["profile"]) for one in report["stages"]])
    _print(
        table, changes, Text("Shares of what the reference has. docs/simulation.md says what each stage means.", NOTE)
    )


def _print(*parts: RenderableType) -> None:
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))
