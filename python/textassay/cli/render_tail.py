"""The terminal view of tail weights, probes and scores."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from textassay.cli.render import (
    FIGURE,
    LABEL,
    NOTE,
    SHOWN,
    clean,
    clean_path,
    console,
    counted,
    decimal,
    number,
    share,
    table_of,
)


def print_tail_weights(summary: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]) -> None:
    """Prints what `tail_weights.weigh_documents` returned."""
    statuses, n = summary["statuses"], summary["n_documents"]
    table = table_of("Tail weights", ("", LABEL), ("", FIGURE, "right"), ("", NOTE))
    least, greatest = (decimal(summary["weights"][name], 2) for name in ("least", "greatest"))
    table.add_row("documents", number(n), f"weights of {least} to {greatest}, mean 1")
    table.add_row("raised", number(statuses["raised"] + statuses["capped"]), f"{number(statuses['capped'])} to the cap")
    table.add_row("guarded", number(statuses["guarded"]), "rare, but of a quality that human text hardly has")
    table.add_row("synthetic", number(statuses["synthetic"]), "rare, but not raised for their provenance")
    shares = f"from {share(summary['tail_share'])}; the anchor has {share(summary['anchor']['tail_share'])}"
    table.add_row("tail share", share(summary["tail_share_weighted"]), shares)
    table.add_row("effective", number(summary["effective_documents"]), "documents that the weights are worth (Kish)")
    columns = (("weight", FIGURE, "right"), ("documents", "", "right"), ("tail share", "", "right"), ("", LABEL))
    files = table_of("Shards, the most raised first", *columns)
    ranked = sorted((row for row in shards if row["weight"] is not None), key=lambda row: -row["weight"])
    for row in ranked[:SHOWN]:
        files.add_row(
            decimal(row["weight"]), number(row["n_documents"]), share(row["tail_share"]), clean_path(row["file"])
        )
    source = summary["guards"]["from"]
    where = "far fences of the corpus itself" if source == "corpus" else f"quantiles of {clean_path(source)}"
    limits = ", ".join(clean(one["signal"]) for one in summary["guards"]["limits"])
    note = Text(f"Guards on {limits}: {where}.", NOTE)
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in (table, files, note))))


def print_probes(strata: Sequence[Mapping[str, Any]], account: Mapping[str, Any]) -> None:
    """Prints how many items `tail_probes.make_probes` made, of what."""
    table = table_of("Probes", ("", LABEL), ("seen in the anchor", "", "right"), ("items", FIGURE, "right"), ("", NOTE))
    for row in strata:
        table.add_row(
            row["kind"], decade_range(row["decade"]), number(row["n_items"]), "tail" if row["is_tail"] else ""
        )
    read = f"of {number(account['n_sampled'])} of {counted(account['n_documents'], 'document')}"
    console().print(Padding(Group(table, Text(read, NOTE)), (0, 0, 1, 1)))


def decade_range(decade: int) -> str:
    """`10–99`; the rarest begin at 3."""
    return f"{max(decade, 3):,}–{10 * decade - 1:,}"


def print_score(found: Mapping[str, Any]) -> None:
    """Prints what `tail_probes.score_probes` returned."""
    columns = (("", LABEL), ("in the anchor", "", "right"), ("items", "", "right"), ("right", FIGURE, "right"))
    table = table_of("Tail score", *columns, ("95 %", "", "right"), ("chance", NOTE, "right"), ("", NOTE))
    for row in found["strata"]:
        place = (row["kind"], decade_range(row["decade"]), number(row["n_items"]))
        table.add_row(*place, *_score_cells(row), "tail" if row["is_tail"] else "")
    lines: list[RenderableType] = [table]
    for name, label in (("tail", "tail"), ("all", "all")):
        if (mean := found[name]) is not None:
            table.add_row(label, "", "", *_score_cells(mean), "mean")
            above = f"{label}: {share(mean['above_chance'])} of the way from chance to all right"
            lines.append(Text(above, FIGURE if name == "tail" else NOTE))
    if missing := found["n_items"] - found["n_answered"]:
        lines.append(Text(f"{counted(missing, 'item')} without an answer counted as wrong", "yellow"))
    console().print(Padding(Group(*lines), (0, 0, 1, 1)))


def _score_cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high = row["interval"]
    return f"{100 * row['accuracy']:.1f} %", f"{100 * low:.0f}–{100 * high:.0f} %", f"{100 * row['chance']:.0f} %"
