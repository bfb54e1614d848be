"""The page of a comparison or a time line, from the JSON document that `textassay compare` writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textassay.formatting import clean, clean_path, counted, decimal, number
from textassay.report.answer import TOKEN_WORDS, percent
from textassay.report.chart import drawing_style, minus
from textassay.report.figures import Axis, Change, Effect, effects, series
from textassay.report.page import ROWS_SHOWN, TEXT_LIMIT, Card, Column, Fact, Grid, Picture, Section, sectioned_page
from textassay.report.retention import retention_picture

SCHEMA = "textassay.comparison/1"
SERIES = {
    "jsd_bits": ("Distance", "Jensen-Shannon, bits"),
    "delta_entropy_bits": ("Entropy", "bits more than the reference"),
    "tail_retention": ("Tail retention", "share of rare words kept"),
}
FAR, NOTABLE, LOST = 2.0, 0.15, 0.9
"""Times the divergence that chance makes; Cliff's delta that is conventionally small (Romano et al. 2006); tail retention."""

SIGNIFICANT = 0.05
NAMED, DRAWN, LABEL = 4, 14, 17
LONGEST = 5.0
"""Doublings at which a bar is cut off: of what is not there at all on one side the ratio says little."""


def comparison_page(found: Mapping[str, Any]) -> bytes:
    """The HTML file: of a time line its last corpus in full. Equal documents give equal bytes."""
    reference, comparisons = found["reference"], found["comparisons"]
    last = comparisons[-1]
    subject = f"{clean(last['label'], TEXT_LIMIT)} against {clean_path(reference['name'], 60)}"
    with drawing_style():
        sections = [*_timeline(found), _distance(last), _words(last), _signals(last), _features(last)]
        cards = [
            Card("How far", _how_far(last)),
            Card("In what", _in_what(last)),
            Card("What was compared", _what(reference, last)),
        ]
        return sectioned_page(
            "comparison",
            subject,
            comparison_headline(reference, last),
            _lead(last),
            cards,
            [one for one in sections if one],
        )


def comparison_headline(reference: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    figures = current["figures"]
    names = clean(current["label"], 60), clean_path(reference["name"], 60)
    if figures["jsd_bits"] == 0:
        return f"{names[0]} is the same as {names[1]}."
    if figures["jsd_bits"] < FAR * figures["jsd_by_chance_bits"]:
        return f"{names[0]} is about as close to {names[1]} as chance allows."
    return f"{names[0]} has moved {decimal(figures['jsd_bits'])} bits from {names[1]}."


def _lead(current: Mapping[str, Any]) -> str:
    return f"Jensen-Shannon divergence: 0 where both use the same words as often, 1 where they share none; {decimal(current['figures']['jsd_by_chance_bits'])} would be chance."


def _how_far(current: Mapping[str, Any]) -> list[str]:
    figures, n = current["figures"], current["rarefied"]["n"]
    low, high = (signed(figures[f"delta_entropy_{end}_bits"]) for end in ("low", "high"))
    sentences = [
        f"{percent(figures['total_variation'])} of the tokens would have to change for both to be alike.",
        f"Entropy: {signed(figures['delta_entropy_bits'])} bits a token (95 % interval {low} to {high}); at equal size {signed(figures['rarefied_delta_entropy_bits'])}.",
        f"In {number(n)} tokens it has {decimal(figures['rarefied_types_ratio'], 2)} times as many different ones.",
    ]
    if current["is_estimate"]:
        sentences.append("A profile is past its type limit: figures are estimates.")
    return sentences


def _in_what(current: Mapping[str, Any]) -> list[str]:
    return mostly(current) or ["Nothing stands out."]


def mostly(current: Mapping[str, Any]) -> list[str]:
    """What has changed, as sentences, effects before significance."""
    sentences = []
    for word, kind in (("More", "rising"), ("Fewer", "falling")):
        names = [row["token"] for row in current["movers"][kind] if row["q_value"] < SIGNIFICANT][:NAMED]
        if names:
            sentences.append(f"{word}: {', '.join(clean(name, LABEL) for name in names)}.")
    moved = sorted((one for one in current["signals"] if abs(one["cliffs_delta"] or 0) >= NOTABLE), key=_effect)
    for kind, is_up in (("Higher", True), ("Lower", False)):
        names = [one["signal"] for one in moved if (one["cliffs_delta"] > 0) == is_up][:NAMED]
        if names:
            sentences.append(f"{kind}: {', '.join(names)}.")
    kept = current["figures"]["tail_retention"]
    if kept is not None and kept < LOST:
        sentences.append(f"{percent(1 - kept)} of the reference's rare words are lost.")
    return sentences


def _effect(drift: Mapping[str, Any]) -> float:
    return -abs(drift["cliffs_delta"] or 0)


def _what(reference: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    def told(name: str, one: Mapping[str, Any]) -> str:
        unit = TOKEN_WORDS.get(one["tokens"], one["tokens"])
        return f"{name}: {clean_path(one['name'], TEXT_LIMIT)}, {counted(one['n_documents'], 'document')}, {counted(one['n_tokens'], unit)}, {number(one['n_types'])} different."

    return [told("Reference", reference), told("Current", current["current"])]


def signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else minus(f"{value:+.{digits}f}")


def _timeline(found: Mapping[str, Any]) -> list[Section]:
    comparisons = found["comparisons"]
    if len(comparisons) < 2:
        return []
    labels = [clean(one["label"], 12) for one in comparisons]
    figures = [picture for name in SERIES for picture in _series(name, labels, comparisons, found["change_points"])]
    changed = {
        label: ", ".join(SERIES[one["figure"]][0].lower() for one in found["change_points"] if one["label"] == label)
        for label in {one["label"] for one in found["change_points"]}
    }
    rows = [
        (
            clean(one["label"], TEXT_LIMIT),
            *(minus(decimal(one["figures"][name])) for name in SERIES),
            changed.get(one["label"], ""),
        )
        for one in comparisons[-ROWS_SHOWN:]
    ]
    heads = (Column(title.lower(), "number") for title, _ in SERIES.values())
    columns = (Column("corpus"), *heads, Column("change of", "word"))
    text = f"{counted(len(comparisons), 'corpus', 'corpora')}, in the order given, each against the reference."
    changes = len(found["change_points"])
    text += (
        f" {counted(changes, 'change')} of level {'was' if changes == 1 else 'were'} found."
        if changes
        else " No change of level was found."
    )
    return [
        Section(
            "timeline",
            "Over time",
            text,
            figures=figures,
            tables=[Grid("Time line", "Each corpus against the reference.", columns, rows)],
        )
    ]


def _series(
    name: str, labels: Sequence[str], comparisons: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]
) -> list[Picture]:
    title, unit = SERIES[name]
    values = [one["figures"][name] for one in comparisons]
    known = [place for place, value in enumerate(values) if value is not None]
    if not known:
        return []
    line = (np.array(known, np.float64), np.array([values[place] for place in known], np.float64))
    marks = [Change(one["index"], "change") for one in changes if one["figure"] == name]
    description = "; ".join(
        f"{label}: {decimal(value)}" for label, value in list(zip(labels, values, strict=True))[:ROWS_SHOWN]
    )
    return [
        Picture(title, "", series(f"series-{name.replace('_', '-')}", description, labels, line, "", Axis(unit), marks))
    ]


def _distance(current: Mapping[str, Any]) -> Section:
    figures = retention_picture(current["tail_retention"], "the reference")
    return Section("distance", "Distance", facts=comparison_facts(current), figures=figures)


def comparison_facts(current: Mapping[str, Any]) -> list[Fact]:
    """The distances that one looks for first."""
    figures, errors = current["figures"], current["standard_errors"]

    def fact(title: str, name: str, value: str, note: str) -> Fact:
        return Fact(title, value, f"± {decimal(errors[name])}; {note}" if errors.get(name) else note)

    kept = "no tail to compare" if figures["tail_retention"] is None else "of the reference's rare words"
    return [
        fact("Jensen-Shannon", "jsd_bits", f"{decimal(figures['jsd_bits'])} bits", f"{decimal(figures['jsd_by_chance_bits'])} by chance"),
        fact("Kullback-Leibler", "kl_bits", f"{decimal(figures['kl_bits'])} bits", "of the current corpus against the reference"),
        fact("Total variation", "total_variation", percent(figures["total_variation"]), "of the tokens would have to change"),
        fact("Entropy", "rarefied_delta_entropy_bits", f"{signed(figures['rarefied_delta_entropy_bits'])} bits", "a token, at equal size"),
        fact("Tail kept", "tail_retention", percent(figures["tail_retention"]), kept),
    ]  # fmt: skip


def _words(current: Mapping[str, Any]) -> Section:
    movers = current["movers"]
    figures = [*_movers("Words that rise and fall", "movers", movers["rising"], movers["falling"])]
    figures += _movers(
        "2-grams that rise and fall", "bigrams", movers.get("rising_bigrams", ()), movers.get("falling_bigrams", ())
    )
    titles = {
        "rising": "Rising",
        "falling": "Falling",
        "rising_bigrams": "Rising 2-grams",
        "falling_bigrams": "Falling 2-grams",
        "vanished": "Vanished",
        "new": "New",
    }
    tables = [_mover_grid(title, movers.get(kind, ())) for kind, title in titles.items()]
    text = "By significance (weighted log-odds, Monroe, Colaresi & Quinn 2008). Words come in bursts, so with much text nearly everything is significant: read the effects first."
    return Section("movers", "Words", text, figures=figures, tables=tables)


def _movers(
    title: str, name: str, rising: Sequence[Mapping[str, Any]], falling: Sequence[Mapping[str, Any]]
) -> list[Picture]:
    chosen = [*rising[: DRAWN // 2], *falling[: DRAWN // 2]]
    if not chosen:
        return []
    rows = [Effect(clean(row["token"], LABEL), row["log2_ratio"], times(row["log2_ratio"])) for row in chosen]
    limit = min(LONGEST, max([1.0, *(abs(row.value) for row in rows)]))
    description = "; ".join(f"{row.label} {row.words}" for row in rows)
    caption = "How many times as frequent as in the reference; each step along the axis is a doubling."
    return [Picture(title, caption, effects(name, description, rows, limit))]


def times(log2_ratio: float) -> str:
    """`×3.1`, `÷2.0`."""
    factor = 2.0 ** min(abs(log2_ratio), 60)
    return (
        f"{'×' if log2_ratio >= 0 else '÷'}{factor:.3g}"
        if factor < 1000
        else f"{'×' if log2_ratio >= 0 else '÷'}{number(factor)}"
    )


def _mover_grid(title: str, rows: Sequence[Mapping[str, Any]]) -> Grid:
    cells = [
        (
            clean(row["token"], TEXT_LIMIT),
            times(row["log2_ratio"]),
            minus(decimal(row["log2_ratio"], 2)),
            f"{row['reference_per_million']:,.2f}",
            f"{row['current_per_million']:,.2f}",
            minus(decimal(row["z"], 1)),
            _probability(row["q_value"]),
        )
        for row in rows[:ROWS_SHOWN]
    ]
    heads = ("times", "doublings", "a million, reference", "a million, current", "z", "q")
    return Grid(title, f"{title}.", (Column("token"), *(Column(head, "number") for head in heads)), cells)


def _probability(value: float | None) -> str:
    return "–" if value is None else "<1e-9" if value < 1e-9 else f"{value:.2g}"


def _signals(current: Mapping[str, Any]) -> Section:
    drifts = sorted(current["signals"], key=_effect)
    drawn = [one for one in drifts if one["cliffs_delta"] is not None]
    rows = [
        Effect(one["signal"][:LABEL], one["cliffs_delta"], signed(one["cliffs_delta"], 2)) for one in drawn[: 2 * DRAWN]
    ]
    figures = []
    if rows:
        description = "; ".join(f"{row.label} {row.words}" for row in rows)
        caption = "Cliff's delta: how much likelier a document of the current corpus has more than one of the reference, than less; −1 to 1."
        figures.append(Picture("Signals of the documents", caption, effects("signals", description, rows, 1.0)))
    cells = [
        (
            one["signal"],
            signed(one["cliffs_delta"], 2),
            signed(one["mean_shift"], 2),
            _median(one["reference"]),
            _median(one["current"]),
            decimal(one["jsd_bits"]),
            decimal(one["jsd_by_chance_bits"]),
            decimal(one["ks_statistic"]),
            _probability(one["ks_q_value"]),
        )
        for one in drifts
    ]
    heads = (
        "Cliff's delta",
        "mean shift, s. d.",
        "median, reference",
        "median, current",
        "bits",
        "bits by chance",
        "Kolmogorov-Smirnov",
        "q",
    )
    tables = [
        Grid("Signals", "Largest effect first.", (Column("signal"), *(Column(head, "number") for head in heads)), cells)
    ]
    left_out = [
        (clean(name, TEXT_LIMIT), clean(reason, TEXT_LIMIT))
        for name, reason in list(current["signals_left_out"].items())[:ROWS_SHOWN]
    ]
    tables.append(Grid("Not compared", "Not compared.", (Column("signal"), Column("why")), left_out))
    return Section("signals", "Documents", figures=figures, tables=tables)


def _median(side: Mapping[str, Any]) -> str:
    value = side["median"]
    return "–" if value is None else minus(f"{value:.4g}")


def _features(current: Mapping[str, Any]) -> Section:
    cells = [
        (
            clean(one["name"], TEXT_LIMIT),
            one["kind"],
            f"{one['bits']:.5f}",
            percent(one["share"]),
            clean(" … ".join(one["examples"][:2]), 2 * TEXT_LIMIT),
        )
        for one in current["features"][: 2 * ROWS_SHOWN]
    ]
    columns = (
        Column("feature"),
        Column("kind"),
        Column("bits", "number"),
        Column("share", "number"),
        Column("passages"),
    )
    text = (
        "What the divergence consists of: each feature's own bits. Those of tokens add up; signals and themes overlap."
    )
    return Section(
        "features",
        "Features",
        text,
        tables=[Grid("Features", "Tokens, signals and themes, each by bits.", columns, cells)],
    )
