"""The page of a scan or of a merge: from a summary, its profile, and what else its folder holds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.anchor import Anchor
from textassay.detector import Detector
from textassay.formatting import clean, clean_path, counted, decimal, entropy_range, number, size
from textassay.profile import Profile
from textassay.provenance import LABELS
from textassay.report.answer import (
    LABEL_WORDS,
    TOKEN_WORDS,
    corpus_facts,
    corpus_name,
    headline,
    how_synthetic,
    interval_parts,
    label_parts,
    lead,
    percent,
    ratio,
    role_of,
    steps,
    what_it_is,
)
from textassay.report.chart import WIDTH, drawing_style, minus, tick
from textassay.report.evidence import EXPLAINED, evidence_of
from textassay.report.figures import (
    BELOW,
    Axis,
    Bars,
    Curve,
    Floats,
    Track,
    bars,
    curves,
    distribution,
    stacked,
    track,
)
from textassay.report.human import about_ranges, human_range
from textassay.report.page import ROWS_SHOWN, TEXT_LIMIT, Column, Grid, Part, Picture, page, parts_of
from textassay.report.retention import retention_picture
from textassay.signals import LogBins, OctaveBins, bins_of
from textassay.spectrum import Spectrum, rarefied_types
from textassay.tail_retention import tail_retention

BROAD = 1080
TRACK_COLUMNS = 360
GROWTH_POINTS = 24
SHOWN_BINS = 64
LEAST_BINS = 4
MONTHS_DRAWN = 120

BATCH_COLUMNS = ("entropy_bits", "n_tokens")
"""Those that the page looks at."""

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ScanFindings:
    """All that the page is made of. `batches` are columns of batch rows, piece by piece; `errors` the first of errors.jsonl;
    `anchor` and `detector` those that the profile was made with, where they are at hand.
    """

    summary: Mapping[str, Any]
    profile: Profile
    batches: Iterable[Columns]
    manifest: Mapping[str, Any]
    errors: Sequence[Mapping[str, Any]]
    anchor: Anchor | None = None
    detector: Detector | None = None


def scan_page(found: ScanFindings) -> bytes:
    """The HTML file. Equal findings give equal bytes, but for what `summary["performance"]` says."""
    summary = found.summary
    reference = None if found.anchor is None or found.profile.configuration.tokens != "word" else found.anchor.profile
    with drawing_style():
        provenance = _provenance(summary.get("provenance"))
        content = {
            "kind": "report on a corpus",
            "title": f"{corpus_name(_paths(found.manifest))} – textassay",
            "subject": corpus_name(_paths(found.manifest)),
            "headline": headline(summary),
            "lead": lead(summary),
            "sections": [
                ("words", "Words"),
                ("documents", "Documents"),
                ("batches", "Batches"),
                *([("provenance", "Provenance")] if provenance else []),
                ("suspects", "Documents to look at"),
                ("inputs", "Inputs and losses"),
                ("method", "How it was measured"),
            ],
            "answer": {
                "what": what_it_is(summary),
                "labels": label_parts(summary),
                "synthetic": how_synthetic(summary),
                "interval": interval_parts(summary),
                "steps": steps(summary),
            },
            "words": _words(summary, found.profile, reference),
            "documents": _documents(summary, found.profile, reference, found.detector),
            "batches": _batches(summary["batches"], found.batches),
            "provenance": provenance,
            "suspects": _suspects(summary, found.manifest, found.detector),
            "inputs": _inputs(summary["inputs"], found.manifest, found.errors),
            "method": _method(summary, found.manifest),
            "performance": _performance(summary.get("performance")),
        }
    return page("scan.html", content)


def _paths(manifest: Mapping[str, Any]) -> list[str]:
    return [one["path"] for one in manifest.get("inputs", [])] or list(manifest.get("profiles", []))


# Words


def _words(summary: Mapping[str, Any], profile: Profile, reference: Profile | None) -> dict[str, Any]:
    corpus, unit = summary["corpus"], TOKEN_WORDS[summary["configuration"]["tokens"]]
    spectrum = profile.frequencies()
    known = None if reference is None else reference.frequencies()
    text = "How often the words are used says whether a corpus is rich or flat. Text that models write uses fewer rare words, and new words run dry sooner."
    figures = []
    if corpus["n_tokens"]:
        figures = [
            _rank_frequency(spectrum, known, unit),
            _growth(spectrum, known, unit),
            _spectrum_bars(spectrum, unit),
        ]
    if reference is not None and corpus["n_tokens"]:
        figures += retention_picture(tail_retention(reference, profile), "the anchor")
    return {
        "title": f"{unit.capitalize()}s",
        "text": text,
        "facts": corpus_facts(summary),
        "figures": figures,
        "top": _top(corpus, unit),
    }


def rank_curve(spectrum: Spectrum, label: str, role: str, **more: Any) -> Curve:
    """Occurrences per million tokens by rank, from the most frequent type on."""
    order = np.argsort(-spectrum.counts, kind="stable")
    counts = spectrum.counts[order].astype(np.float64)
    ranks = np.cumsum(spectrum.weights[order].astype(np.float64))
    # In an estimate weights may be negative: the curve is what its highest rank so far says.
    ranks = np.maximum.accumulate(ranks)
    known = ranks >= 0.5
    steps_x = np.concatenate([[1.0], np.repeat(ranks[known], 2)[:-1] + np.tile([0.0, 1.0], int(known.sum()))[:-1]])
    steps_y = np.repeat(counts[known], 2) * (1e6 / spectrum.n_tokens)
    x, y = _log_thinned(np.maximum(steps_x, 1.0), steps_y)
    return Curve(label, role, x, y, **more)


def _log_thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Points about evenly spaced on a logarithmic axis; the ends among them."""
    wanted = np.geomspace(x[0], x[-1], 140)
    places = np.unique(np.concatenate([[0], np.searchsorted(x, wanted).clip(0, len(x) - 1), [len(x) - 1]]))
    return x[places], y[places]


def _rank_frequency(spectrum: Spectrum, known: Spectrum | None, unit: str) -> Picture:
    lines = [rank_curve(spectrum, "this corpus", "corpus", place=0.55)]
    caption = f"Each {unit}'s occurrences in a million, by its rank. Natural text falls along a line (Zipf's law)."
    if known is not None:
        lines.append(rank_curve(known, "anchor", "reference", side=BELOW, place=0.35))
        caption += " A steeper end than the anchor's means that rare ones are missing."
    first, last = lines[0].y[0], lines[0].x[-1]
    description = f"Rank against frequency, both logarithmic. The most frequent {unit} occurs {number(first)} times in a million; there are {number(last)} ranks."
    axis = Axis("rank", is_log=True), Axis("times in a million", is_log=True)
    return Picture("Frequency by rank", caption, curves("rank", description, lines, *axis))


def growth_curve(spectrum: Spectrum, label: str, role: str, **more: Any) -> Curve:
    """Types that are to be expected in samples of growing size."""
    sizes = np.unique(
        np.geomspace(min(1000, spectrum.n_tokens), spectrum.n_tokens, GROWTH_POINTS).round().astype(np.int64)
    )
    types = [rarefied_types(spectrum, int(n)).value or math.nan for n in sizes.tolist()]
    return Curve(label, role, sizes.astype(np.float64), np.array(types), **more)


def _growth(spectrum: Spectrum, known: Spectrum | None, unit: str) -> Picture:
    lines = [growth_curve(spectrum, "this corpus", "corpus", place=0.5)]
    caption = f"Different {unit}s to be expected in a sample of each size (rarefaction)."
    if known is not None:
        other = growth_curve(known, "anchor", "reference", side=BELOW, place=0.7)
        is_above = _at_same_size(other, lines[0])
        lines = [lines[0], other] if not is_above else [_moved(lines[0], BELOW, 0.7), _moved(other, -BELOW, 0.5)]
        caption += " Where a line lies lower at the same size, the text repeats itself more."
    description = f"A sample of {number(lines[0].x[0])} {unit}s has {number(lines[0].y[0])} different ones, the whole corpus of {number(lines[0].x[-1])} has {number(lines[0].y[-1])}."
    axis = Axis(f"{unit}s in the sample", is_log=True), Axis(f"different {unit}s", is_log=True)
    return Picture("Growth of the vocabulary", caption, curves("growth", description, lines, *axis))


def _at_same_size(one: Curve, other: Curve) -> bool:
    """Whether the first lies above the second at the greatest size that both have."""
    at = min(one.x[-1], other.x[-1])
    return bool(np.interp(at, one.x, one.y) > np.interp(at, other.x, other.y))


def _moved(line: Curve, side: int, place: float) -> Curve:
    return Curve(line.label, line.role, line.x, line.y, side, place)


def _spectrum_bars(spectrum: Spectrum, unit: str) -> Picture:
    """By decade of frequency the share of all types and of all tokens."""
    highest = int(spectrum.counts.max(initial=1))
    ranges = [(1, 2), (2, 10)] + [(10**k, 10 ** (k + 1)) for k in range(1, 18) if 10**k <= highest]
    n_types = sum(spectrum.number_with(*ends) for ends in ranges)
    rows = []
    for low, high in ranges:
        inside = (spectrum.counts >= low) & (spectrum.counts < high)
        types = spectrum.number_with(low, high) / (n_types or 1)
        tokens = max(0.0, float((spectrum.counts[inside] * spectrum.weights[inside]).sum())) / spectrum.n_tokens
        rows.append(Bars(_range_words(low, high), (types, tokens), (percent(types), percent(tokens))))
    description = "; ".join(f"{row.label}: {row.words[0]} of the types, {row.words[1]} of the text" for row in rows)
    caption = f"By how often a {unit} occurs: the share of the vocabulary, and of the running text."
    kinds = (("of the vocabulary", "corpus"), ("of the text", "corpus-light"))
    highest = max(value for row in rows for value in row.values)
    chart = bars("spectrum", description, rows, kinds, highest)
    return Picture("Rare and frequent", caption, chart)


def _range_words(low: int, high: int) -> str:
    if high == 2:
        return "once"
    return f"{low} to {high - 1}" if high <= 1000 else f"{tick(low)} to {tick(high)}"


def _top(corpus: Mapping[str, Any], unit: str) -> Grid:
    rows = [
        (
            clean(row["token"], TEXT_LIMIT),
            f"{'about ' if row.get('estimate') else ''}{row['count']:,}",
            percent(row["count"] / corpus["n_tokens"]),
            f"{row['documents']:,}",
        )
        for row in corpus["top"][:ROWS_SHOWN]
    ]
    columns = (Column(unit), Column("count", "number"), Column("share", "number"), Column("documents", "number"))
    return Grid(f"Most frequent {unit}s", f"The {len(rows)} most frequent {unit}s.", columns, rows)


# Documents


@dataclass(frozen=True)
class _Signal:
    title: str
    axis: str
    caption: str


_DRAWN = {
    "n_tokens": _Signal("Length", "tokens in a document", "Length sets how much the other figures can say."),
    "entropy_bits": _Signal(
        "Entropy", "bits a token", "How evenly a document spreads its words; it grows with length."
    ),
    "mattr": _Signal("Variety of words", "MATTR: different words in windows of 100", "Hardly depends on length."),
    "burstiness": _Signal(
        "Rhythm of sentences",
        "burstiness: sentence length, σ / μ",
        "People mix long and short sentences; even rhythm is a sign of machines, a weak one.",
    ),
    "perplexity": _Signal(
        "Perplexity", "under the anchor's model", "How unlike the anchor a text is, in topic as much as in style."
    ),
    "synthetic_logit": _Signal(
        "Detector's score", "logit; higher resembles synthetic text", "Of documents of 100 words and more."
    ),
}


def _documents(
    summary: Mapping[str, Any], profile: Profile, reference: Profile | None, detector: Detector | None
) -> dict[str, Any]:
    text = f"How the documents are spread. The line marks the median. The band holds {about_ranges(reference)}."
    drawn = [name for name in _DRAWN if (summary["documents"].get(name) or {}).get("n")]
    return {
        "text": text,
        "figures": [_distribution(name, summary["documents"][name], profile, reference, detector) for name in drawn],
        "table": _signals(summary["documents"]),
    }


def _distribution(
    name: str, about: Mapping[str, Any], profile: Profile, reference: Profile | None, detector: Detector | None
) -> Picture:
    signal = _DRAWN[name]
    shaded, note = (None, "") if name == "n_tokens" else human_range(name, profile, reference, detector)
    edges, counts = shown_bins(name, profile.histogram(name))
    axis = Axis(signal.axis, is_log=isinstance(bins_of(name), (LogBins, OctaveBins)))
    median, low, high = (about["quantiles"][key] for key in ("0.5", "0.05", "0.95"))
    words = f"Median {_figure(median)}; 90 % from {_figure(low)} to {_figure(high)}."
    without = f" Without a value: {counted(about['null'], 'document')}." if about["null"] else ""
    caption = f"{words} {signal.caption}{without} {note}".strip()
    at = max(median, edges[0]) if median is not None else None
    return Picture(
        signal.title, caption, distribution(f"signal-{name.replace('_', '-')}", words, edges, counts, axis, at, shaded)
    )


def _figure(value: float | None) -> str:
    """Whole where it is, else three digits that mean something."""
    if value is None or value == round(value) or abs(value) >= 1000:
        return minus(number(value))
    return minus(f"{value:.3g}")


def shown_bins(signal: str, histogram: NDArray[Any]) -> tuple[Floats, Floats]:
    """Edges (one more) and counts of at most about `SHOWN_BINS` bins, without the few values far out at both ends."""
    bins = histogram.astype(np.float64)
    reached = np.cumsum(bins) / max(1.0, bins.sum())
    first, last = (int(np.searchsorted(reached, end)) for end in (0.003, 0.997))
    last = min(max(last, first), len(bins) - 1)
    if last - first < LEAST_BINS:  # room on both sides of what is all the same
        first, last = max(0, first - LEAST_BINS), min(last + LEAST_BINS, len(bins) - 1)
    width = -(-(last - first + 1) // SHOWN_BINS)
    last = min(first + width * -(-(last - first + 1) // width), len(bins)) - 1
    starts = np.arange(first, last + 1, width)
    counts = np.add.reduceat(bins[first : last + 1], starts - first)
    kind = bins_of(signal)
    edges = [float(kind.edges(int(place))[0]) for place in starts]
    lower, upper = kind.edges(last)
    edges.append(float(upper) if upper is not None and upper > lower else float(lower))
    if edges[-1] <= edges[-2]:  # the last bin is a point: what lies in it belongs to the bin before
        counts = np.append(counts[:-2], counts[-2:].sum()) if len(counts) > 1 else counts
        edges = [*edges[:-2], edges[-1]] if len(edges) > 2 else [edges[0] - 1e-3, edges[-1]]
    if isinstance(kind, (LogBins, OctaveBins)):
        edges[0] = max(edges[0], 0.5)
    return np.array(edges), counts


def _signals(documents: Mapping[str, Any]) -> Grid:
    rows = []
    for name, about in documents.items():
        quantiles = about["quantiles"]
        values = (about["mean"], about["sd"], *(quantiles[key] for key in ("0.05", "0.25", "0.5", "0.75", "0.95")))
        rows.append((name, *(_figure(value) for value in values), f"{about['null']:,}"))
    heads = ("mean", "s. d.", "5 %", "25 %", "median", "75 %", "95 %", "null")
    columns = (Column("signal", "word"), *(Column(head, "number") for head in heads))
    return Grid("Signals of the documents", "Quantiles are lower edges of histogram bins.", columns, rows)


# Batches


def _batches(about: Mapping[str, Any], pieces: Iterable[Columns]) -> dict[str, Any]:
    n, tokens, floor = about["n_batches"], about["batch_tokens"], about.get("entropy_floor")
    entropy = about["distributions"]["batch_entropy_bits"]["quantiles"]
    text = f"{counted(n, 'batch', 'batches')}, closed at {number(tokens)} tokens or by the end of a file"
    text += "." if entropy["0.5"] is None else f"; {entropy_range(entropy)}."
    if floor is not None:
        short = about["below_floor_short"]
        text += f" {counted(about['below_floor'], 'batch', 'batches')} below the floor of {floor:g} bits"
        text += f", {number(short)} of them short rests of files." if short else "."
    found, is_full = tracked(pieces, n, tokens)
    return {
        "text": text,
        "figures": _track(found, is_full, floor),
        "worst": _worst_batches(about.get("worst", []), floor),
    }


def tracked(pieces: Iterable[Columns], n: int, batch_tokens: int) -> tuple[Track | None, bool]:
    """Entropy along the corpus in at most `TRACK_COLUMNS` columns, in memory that does not depend on it. Of full batches, or of
    all where none is full: the second value says which.
    """
    width = max(1, min(n, TRACK_COLUMNS))
    sums = np.zeros((2, 2, width))  # full, all; entropy, batches
    lows, highs = np.full((2, width), np.inf), np.full((2, width), -np.inf)
    row = 0
    for piece in pieces:
        entropy, tokens = (np.asarray(piece[name], np.float64) for name in BATCH_COLUMNS)
        places = (np.arange(row, row + len(entropy)) * width // max(n, 1)).clip(0, width - 1)
        row += len(entropy)
        known = ~np.isnan(entropy)
        for kind, chosen in enumerate((known & (tokens >= batch_tokens), known)):
            np.add.at(sums[kind, 0], places[chosen], entropy[chosen])
            np.add.at(sums[kind, 1], places[chosen], 1)
            np.minimum.at(lows[kind], places[chosen], entropy[chosen])
            np.maximum.at(highs[kind], places[chosen], entropy[chosen])
    kind = 0 if sums[0, 1].any() else 1
    filled = np.flatnonzero(sums[kind, 1])
    if not len(filled):
        return None, False
    x = (filled + 0.5) * n / width
    return Track(
        x, lows[kind][filled], sums[kind, 0][filled] / sums[kind, 1][filled], highs[kind][filled], n, n <= width
    ), kind == 0


def _track(found: Track | None, is_full: bool, floor: float | None) -> list[Picture]:
    if found is None or len(found.mean) < 2:
        return []
    what = (
        "full batches; the short rests of files are left out"
        if is_full
        else "all batches, none of which is full: short ones lie low"
    )
    caption = f"Entropy of {what}."
    if not found.is_single:
        caption += (
            " Many batches share a column: the line is their mean, the band reaches from the lowest to the highest."
        )
    description = f"From {found.low.min():.2f} to {found.high.max():.2f} bits along {number(found.n_rows)} batches."
    charts = [
        track(f"track-{width}", description, found, Axis("bits a token"), floor, width) for width in (BROAD, WIDTH)
    ]
    return [Picture("Entropy along the corpus", caption, charts[0], charts[1])]


def _worst_batches(worst: Sequence[Mapping[str, Any]], floor: float | None) -> Grid:
    rows = []
    for row in worst:
        last = row["first_document"] + row["n_documents"] - 1
        verdict = () if floor is None else ("below" if row["entropy_bits"] < floor else "above",)
        figures = (f"{row['first_document']:,}–{last:,}", f"{row['n_tokens']:,}", decimal(row["entropy_bits"]))
        rows.append(
            (
                clean_path(row["file"], TEXT_LIMIT),
                *figures,
                decimal(row["type_token_ratio"], 4),
                decimal(row["mattr"]),
                *verdict,
            )
        )
    heads = (
        ("documents", "number"),
        ("tokens", "number"),
        ("entropy", "number"),
        ("type-token ratio", "number"),
        ("MATTR", "number"),
        *(() if floor is None else (("floor", "word"),)),
    )
    columns = (Column("file"), *(Column(head, kind) for head, kind in heads))  # type: ignore[arg-type]
    return Grid("Batches of least entropy", "The full batches of least entropy.", columns, rows)


# Provenance


def _provenance(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    tables = []
    if found["n_sources"]:
        tables.append(
            _label_grid(
                "source",
                found["sources"],
                found["other_sources"],
                f"Sources by their synthetic tokens ({number(found['n_sources'])} in all).",
            )
        )
    if any(row["reason"] is not None for row in found["reasons"]):
        tables.append(
            _label_grid(
                "reason",
                found["reasons"],
                found["other_reasons"],
                f"What gave the labels ({counted(found['n_reasons'], 'reason')} in all).",
            )
        )
    whole = found["corpus"]
    rows = [
        (LABEL_WORDS[label], f"{one['documents']:,}", percent(ratio(one["documents"], whole["documents"])), f"{one['tokens']:,}", percent(ratio(one["tokens"], whole["tokens"])))
        for label, one in whole["labels"].items()
    ]  # fmt: skip
    columns = (
        Column("label", "word"),
        Column("documents", "number"),
        Column("share", "number"),
        Column("tokens", "number"),
        Column("share", "number"),
    )
    labels = Grid("Labels of the corpus", "Labels of the corpus.", columns, rows)
    text = "Where the text comes from, by rules over the documents' metadata; where no rule matched, by the detector's verdict."
    return {"text": text, "figures": _months(found["months"]), "tables": [labels, *tables]}


def _label_grid(kind: str, rows: Sequence[Mapping[str, Any]], others: Mapping[str, Any] | None, caption: str) -> Grid:
    named = [(f"(no {kind})" if row[kind] is None else clean(row[kind], TEXT_LIMIT), row) for row in rows[:ROWS_SHOWN]]
    if others is not None:
        named.append(("(not kept by name)", others))
    cells = []
    for name, row in named:
        tokens = row["tokens"]
        shares = (percent(ratio(one["tokens"], tokens)) for one in row["labels"].values())
        cells.append((name, f"{row['documents']:,}", f"{tokens:,}", _label_bar(row["labels"]), *shares))
    columns = (
        Column(kind),
        Column("documents", "number"),
        Column("tokens", "number"),
        Column("", "picture"),
        *(Column(LABEL_WORDS[label], "number") for label in LABELS),
    )
    if len(rows) > ROWS_SHOWN:
        caption += f" The first {ROWS_SHOWN} are shown."
    return Grid(f"Labels by {kind}", caption + " Shares are of tokens.", columns, cells)


def _label_bar(labels: Mapping[str, Any]) -> list[Part]:
    return parts_of([(label, role_of(label), one["tokens"], "") for label, one in labels.items()])


def _months(rows: Sequence[Mapping[str, Any]]) -> list[Picture]:
    dated = [row for row in rows if row["month"] is not None][-MONTHS_DRAWN:]
    if len(dated) < 2:
        return []
    names = [row["month"] for row in dated]
    parts = [np.array([row["labels"][label]["tokens"] for row in dated], np.float64) for label in LABELS]
    roles = [role_of(label) for label in LABELS]
    description = f"Tokens by month and label, {names[0]} to {names[-1]}."
    charts = [
        stacked(f"months-{width}", description, names, parts, roles, Axis("tokens"), width) for width in (BROAD, WIDTH)
    ]
    caption = "Tokens by the date of their documents, in the colours of the labels above."
    if sum(row["month"] is not None for row in rows) > len(dated):
        caption += f" The last {len(dated)} months that have a date."
    return [Picture("By month", caption, charts[0], charts[1])]


# Suspects


def _suspects(summary: Mapping[str, Any], manifest: Mapping[str, Any], detector: Detector | None) -> dict[str, Any]:
    rows = summary.get("suspects")
    empty = Grid("Suspected documents", "", (Column("file"),), [])
    if rows is None:
        return {
            "text": "No rows of documents were made, or no detector looked at them: none can be named.",
            "explained": [],
            "table": empty,
        }
    if not rows:
        return {"text": "The detector suspects no document of this corpus.", "explained": [], "table": empty}
    text = "The documents that resemble synthetic text most. What the detector says is a resemblance, never a proof: read them, and mind what your corpus is made of."
    explained = [_explained(row, manifest, detector) for row in rows[:EXPLAINED]]
    return {"text": text, "explained": [one for one in explained if one is not None], "table": _suspect_grid(rows)}


def _explained(row: Mapping[str, Any], manifest: Mapping[str, Any], detector: Detector | None) -> dict[str, Any] | None:
    evidence = evidence_of(row, manifest, detector)
    if evidence is None:
        return None
    figures = f"{counted(row['n_tokens'], 'word')}; logit {minus(decimal(row['synthetic_logit'], 2))}"
    figures += "".join(
        f"; {words} {_figure(row[name])}"
        for name, words in (("mattr", "MATTR"), ("burstiness", "burstiness"))
        if row.get(name) is not None
    )
    return {
        "place": f"{clean_path(row['file'], TEXT_LIMIT)}, line {row['line']:,}",
        "figures": figures,
        "excerpt": evidence.excerpt,
        "synthetic": _pieces(evidence.synthetic),
        "human": _pieces(evidence.human),
    }


def _pieces(features: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {"text": clean(one["text"], 40), "words": f"× {one['count']}" if one["count"] > 1 else ""} for one in features
    ]


def _suspect_grid(rows: Sequence[Mapping[str, Any]]) -> Grid:
    heads = {"n_tokens": "words", "synthetic_logit": "logit", "synthetic_probability": "probability", "perplexity": "perplexity",
             "entropy_bits": "entropy", "mattr": "MATTR", "burstiness": "burstiness", "marker_rate": "markers per 1,000"}  # fmt: skip
    names = [name for name in heads if name in rows[0]]
    cells = [
        (
            clean_path(row["file"], TEXT_LIMIT),
            f"{row['line']:,}",
            *(f"{row[name]:,}" if name == "n_tokens" else minus(decimal(row[name])) for name in names),
        )
        for row in rows
    ]
    columns = (Column("file"), Column("line", "number"), *(Column(heads[name], "number") for name in names))
    caption = "Suspected documents, highest logit first. A probability holds where half of all documents are synthetic."
    return Grid("Suspected documents", caption, columns, cells)


# Inputs


_ACCOUNTS = {
    "bytes_parsed": ("parsed", "human-verified"),
    "bytes_blank": ("blank lines", "human-unverified"),
    "bytes_malformed": ("malformed records", "synthetic-known"),
    "bytes_too_long": ("records over the limit", "synthetic-suspected"),
}


def _inputs(
    inputs: Mapping[str, Any], manifest: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    if inputs["bytes"] is None:
        return {
            "text": "Merged from profiles without the accounts of their inputs: what was lost is not known.",
            "account": [],
            "tables": [],
        }
    accounted = inputs["accounted"]
    amounts = [(name, role, accounted[key], f"{accounted[key]:,} B") for key, (name, role) in _ACCOUNTS.items()]
    text = f"Every byte that came out of the files is in one of these accounts: {inputs['bytes']:,} in all, from {inputs['bytes_compressed']:,} on disk."
    if accounted["bytes_lost"]:
        text += f" Behind damage, {accounted['bytes_lost']:,} bytes on disk could not be read."
    elif not inputs["malformed"] and not inputs["files_damaged"]:
        text += " Nothing was malformed, no file was damaged."
    tables = [_damaged(inputs), _reasons(inputs), _errors(errors), _files(manifest)]
    return {"text": text, "account": parts_of(amounts), "tables": [table for table in tables if table.rows]}


def _damaged(inputs: Mapping[str, Any]) -> Grid:
    rows = [
        (
            clean_path(row["file"], TEXT_LIMIT),
            row["status"],
            f"{row['byte_offset']:,}",
            f"{row['bytes_lost']:,}",
            clean(row["reason"], TEXT_LIMIT),
        )
        for row in inputs["damaged"][:ROWS_SHOWN]
    ]
    columns = (
        Column("file"),
        Column("what"),
        Column("at byte", "number"),
        Column("bytes lost", "number"),
        Column("why"),
    )
    return Grid(
        "Damaged files",
        f"Damaged files: {number(inputs['files_damaged'])}. What was whole before the damage counts.",
        columns,
        rows,
    )


def _reasons(inputs: Mapping[str, Any]) -> Grid:
    rows = [
        (clean(reason, TEXT_LIMIT), f"{n:,}") for reason, n in islice(inputs["malformed_by_reason"].items(), ROWS_SHOWN)
    ]
    return Grid(
        "Malformed records by reason",
        "Malformed records by reason.",
        (Column("reason"), Column("records", "number")),
        rows,
    )


def _errors(errors: Sequence[Mapping[str, Any]]) -> Grid:
    rows = [
        (
            clean_path(row["file"], TEXT_LIMIT),
            "–" if row["line"] is None else f"{row['line']:,}",
            f"{row['byte_offset']:,}",
            clean(row["reason"], TEXT_LIMIT),
        )
        for row in errors
    ]
    columns = (Column("file"), Column("line", "number"), Column("byte", "number"), Column("reason"))
    return Grid("First errors", f"The first of errors.jsonl: {counted(len(rows), 'line')}.", columns, rows)


def _files(manifest: Mapping[str, Any]) -> Grid:
    """Those that lost something first, then the largest."""
    given = sorted(
        manifest.get("inputs", []),
        key=lambda one: (
            one["outcome"]["status"] == "ok",
            -one["outcome"]["malformed"],
            -one["outcome"]["bytes"],
            one["path"],
        ),
    )
    rows = [
        (clean_path(one["path"], TEXT_LIMIT), one["outcome"]["status"], f"{one['outcome']['documents']:,}", f"{one['outcome']['malformed']:,}", f"{one['outcome']['bytes']:,}", f"{one['outcome']['bytes_compressed']:,}")
        for one in given[:ROWS_SHOWN]
    ]  # fmt: skip
    heads = ("documents", "malformed", "bytes", "bytes on disk")
    columns = (Column("file"), Column("read", "word"), *(Column(head, "number") for head in heads))
    caption = (
        f"{counted(len(given), 'input')}."
        if len(given) <= ROWS_SHOWN
        else f"{ROWS_SHOWN} of {number(len(given))} inputs: those with losses, then the largest."
    )
    return Grid("Inputs", caption, columns, rows)


# Method


def _method(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    about = summary["configuration"]
    anchor = summary.get("anchor")
    rows = [
        ("tokens", f"{about['tokens']}, Unicode {about['unicode']}"),
        ("signals", ", ".join(about["signals"])),
        ("types counted exactly", f"up to {about['max_types']:,}{', exceeded' if summary['corpus']['estimate'] else ''}"),
        ("marker lexicon", about["markers"] or "none"),
        ("detector", about["detector"] or "none"),
        ("anchor", clean(f"{about['anchor']}: {anchor['note'] or 'no note says who verified it'}", TEXT_LIMIT) if anchor else about["anchor"] or "none"),
        ("profile", manifest.get("profile_digest", "")),
    ]  # fmt: skip
    sentence = (
        "All figures are read off one profile of counts, which does not depend on threads, machines or the order of the files. "
        "docs/semantics.md says what each means, to the bit; docs/model-card.md what the detector was trained on, and where it fails."
    )
    grid = Grid("Settings", "What two profiles must share to be compared.", (Column("setting"), Column("value")), rows)
    return {"text": sentence, "table": grid}


def _performance(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    backend = found["backend"]
    return (
        f"This run: {found['seconds']:.1f} s with {counted(found['threads'], 'thread')}, {size(found['bytes_per_second'])}/s of text, "
        f"{size(found['peak_memory_bytes'])} of memory at most, {backend['backend']} backend ({backend['kernels']})."
    )
