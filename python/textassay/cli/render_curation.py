"""The terminal view of filter, sample and mix."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
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

WEIGHTS_SHOWN = 20


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
        "", ("held", FIGURE, "right"), ("by no rule before", "", "right"), ("null", NOTE, "right"), ("rule", NOTE)
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


def print_sample(strata: Mapping[str, Mapping[str, int]]) -> None:
    """Prints how many documents of each stratum `sample_documents` drew."""
    shown = table_of(
        "", ("drawn", FIGURE, "right"), ("documents", "", "right"), ("each for", NOTE, "right"), ("stratum", LABEL)
    )
    for name, row in strata.items():
        weight = row["documents"] / row["sampled"]
        shown.add_row(number(row["sampled"]), number(row["documents"]), number(weight), clean(name, 120))
    _print([shown])


def print_labels(report: Mapping[str, Any]) -> None:
    """Prints what `take_labels` reported."""
    title = f"{counted(report['labelled'], 'label')} for {counted(report['documents'], 'document')}"
    shown = table_of(title, ("", LABEL), ("", FIGURE, "right"), ("", "", "right"), ("", NOTE))
    _add_estimate(shown, "synthetic", report["synthetic_share"], "of all documents")
    if report["predicted"] is not None:
        _add_quality(shown, report, f"of those with {clean(report['predicted'], 80)}")
    parts: list[RenderableType] = [shown]
    if "second" in report:
        second = report["second"]
        kappa = (
            "–" if second["kappa"] is None else f"{second['kappa']:.2f} ({second['low']:.2f} – {second['high']:.2f})"
        )
        title = f"{clean(second['field'], 40)}: kappa {kappa}; {share(second['agreed'])} of {counted(second['n'], 'item')} alike"
        other = table_of(title, ("", LABEL), ("", FIGURE, "right"), ("", "", "right"), ("", NOTE))
        _add_quality(other, second, "of those it calls synthetic")
        parts.append(other)
    if report["covered"] < 1:
        missing = share(1 - report["covered"])
        parts.append(
            Text(f"{missing} of the documents are in strata without a label: the figures are of the others", BAD)
        )
    _print(parts)


def _add_quality(shown: Table, figures: Mapping[str, Any], what: str) -> None:
    _add_estimate(shown, "precision", figures["precision"], what)
    _add_estimate(shown, "recall", figures["recall"], "of the synthetic documents")
    _add_estimate(shown, "false alarms", figures["false_positive_rate"], "of the human documents")


def _add_estimate(shown: Table, name: str, found: Mapping[str, float] | None, what: str) -> None:
    if found is None:
        shown.add_row(name, "–", "", f"{what}, of which there is none in the sample")
    else:
        shown.add_row(name, share(found["value"]), f"{share(found['low'])} – {share(found['high'])}", what)


def print_mix(report: Mapping[str, Any]) -> None:
    """Prints what `plan_mix` reported."""
    if not report["feasible"]:
        clash = (
            "these limits clash, each with the others"
            if len(report["conflicts"]) > 1
            else "the sources there are do not meet this limit"
        )
        lines = [Text(f"No mix meets the policy: {clash}.", BAD)]
        if report["tokens_at_most"] is not None:
            lines.append(
                Text(f"It could be met with {report['tokens_at_most']:,} tokens; wanted are {report['tokens']:,}.")
            )
        _print([_conflict_table(report), Group(*lines)])
        return
    natural, achieved = report["natural"], report["achieved"]
    title = f"{counted(report['tokens'], 'token')} of {number(report['tokens_available'])} there are"
    shown = table_of(title, ("", LABEL), ("as it is", "", "right"), ("mixed", FIGURE, "right"))
    for name, now in (("synthetic", "synthetic"), ("tail_share", "tail_share")):
        if now in achieved:
            shown.add_row(name, share(natural[now]), share(achieved[now]))
    for kind in ("labels", "sources"):
        for name in achieved[kind]:
            shown.add_row(clean(name, 40), share(natural[kind][name]), share(achieved[kind][name]))
    binding = table_of("Limits that bind", ("", LABEL), ("", NOTE))
    for limit, price in report["binding"].items():
        binding.add_row(clean(limit, 60), "" if price is None else f"{price / 100:.2g} bits nearer for 0.01 more")
    parts: list[RenderableType] = [shown, *([binding] if report["binding"] else []), _weight_table(report["weights"])]
    parts.append(
        Text(
            f"{report['divergence_bits']:.4f} bits from the shares as they are: the least that the policy allows.", GOOD
        )
    )
    _print(parts)


def _conflict_table(report: Mapping[str, Any]) -> Table:
    shown = table_of("", ("limit", LABEL), ("alone it would do at", FIGURE, "right"))
    for conflict in report["conflicts"]:
        shown.add_row(
            clean(conflict["limit"], 60), "nothing" if conflict["needed"] is None else f"{conflict['needed']:.4g}"
        )
    return shown


def _weight_table(weights: Sequence[Mapping[str, Any]]) -> Table:
    columns = (("epochs", FIGURE, "right"), ("share", "", "right"), ("tokens", "", "right"))
    shown = table_of("", *columns, ("label", LABEL), ("source", LABEL))
    for row in sorted(weights, key=lambda row: -row["share"])[:WEIGHTS_SHOWN]:
        label = row["label"] or "–"
        shown.add_row(
            f"{row['epochs']:.3f}", share(row["share"]), number(row["tokens"]), label, clean(row["source"], 40)
        )
    return shown


def print_clusters(report: Mapping[str, Any]) -> None:
    """Prints what `preserve_clusters` reported."""
    columns = (("weight", FIGURE, "right"), ("reference", "", "right"), ("corpus", "", "right"), ("mixed", "", "right"))
    shown = table_of("Clusters, by their share of the reference", *columns, ("such as", NOTE))
    for row in sorted(report["clusters"], key=lambda row: -row["reference_share"])[:WEIGHTS_SHOWN]:
        shares = (share(row[name]) for name in ("reference_share", "corpus_share", "share"))
        such_as = next(iter(row["reference_examples"] + row["corpus_examples"]), "")
        shown.add_row(f"{row['weight']:.3f}", *shares, clean(such_as, 40))
    before, after = report["divergence_bits"]["before"], report["divergence_bits"]["after"]
    line = f"Jensen-Shannon divergence from the reference: {before:.4f} bits, weighted {after:.4f}."
    lines = [Text(line, GOOD)]
    if report["unmet"]:
        lines.append(
            Text(f"{share(report['unmet'])} of the reference is in clusters of which the corpus has nothing.", BAD)
        )
    _print([shown, Group(*lines)])


def _print(parts: Sequence[RenderableType]) -> None:
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))
