"""The terminal view of a summary."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from textassay.formatting import clean, clean_path, counted, decimal, entropy_range, number, share, size, two_digits
from textassay.profile import Profile
from textassay.share import BLIND_BELOW, TYPICAL_ERROR
from textassay.signals import is_integer

if TYPE_CHECKING:
    from textassay.calibration import Calibration

BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 16
NARROW = 90
"""Columns of a terminal below which sparklines are shorter, and rows whole."""
SHOWN = 5
SHOWN_PARTS = 10
SHOWN_POINTS = 8

FIGURE, LABEL, NOTE, GOOD, BAD = "bold", "cyan", "dim", "green", "bold red"


def print_summary(summary: Mapping[str, Any], profile: Profile) -> None:
    """Prints a scan's or a merge's summary on stdout."""
    parts = [headline(summary), corpus_table(summary["corpus"])]
    if summary["corpus"]["n_documents"]:
        parts.append(signal_table(summary["documents"], profile))
        parts.append(batch_lines(summary["batches"]))
        parts.append(token_line(summary["corpus"]))
        if "provenance" in summary:
            parts.append(provenance_table(summary["provenance"]))
    parts.append(damage_lines(summary["inputs"]))
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))


def console() -> Console:
    # No highlighting: it would colour digits inside corpus text. No markup: a name may hold [red]. `soft_wrap` off keeps tables whole.
    return Console(highlight=False, markup=False, emoji=False, file=cast(IO[str], _Lines()))


class _Lines:
    """Stdout, but where a line would begin with ::, as commands to a workflow of GitHub do: wrapping may put any text there."""

    def write(self, text: str) -> int:
        return sys.stdout.write(_COMMAND.sub(r"\1\\x3a:", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stdout, name)


_COMMAND = re.compile(r"^([^\S\n]*)::", re.MULTILINE)


def headline(summary: Mapping[str, Any]) -> RenderableType:
    inputs, corpus = summary["inputs"], summary["corpus"]
    what = counted(inputs["profiles"], "profile") if "profiles" in inputs else counted(inputs["files"], "file")
    tokens = counted(corpus["n_tokens"], f"{summary['configuration']['tokens']} token")
    parts = [what, counted(corpus["n_documents"], "document"), tokens]
    parts += [] if inputs["bytes"] is None else [size(inputs["bytes"])]  # profiles alone do not say
    line = Text("textassay  ", "bold cyan").append(" · ".join(parts), "bold")
    performance = summary.get("performance")
    if performance is None:
        return line
    backend, rate = performance["backend"], size(performance["bytes_per_second"])
    speed = f"{size(inputs['bytes_compressed'])} compressed, read in {performance['seconds']:.1f} s: {rate}/s with "
    speed += f"{counted(performance['threads'], 'thread')}, {backend['backend']} ({backend['kernels']})"
    return Group(line, Text(speed, NOTE))


def corpus_table(corpus: Mapping[str, Any]) -> RenderableType:
    table = table_of("Corpus", ("", LABEL), ("", FIGURE, "right"), ("", NOTE))
    errors = corpus.get("standard_errors", {})

    def row(name: str, value: str, note: str, figure: str | None = None) -> None:
        error = errors.get(figure)
        table.add_row(name, value, f"± {two_digits(error)}; {note}" if error else note)

    documents = corpus["n_documents"]
    average = corpus["n_tokens"] / documents if documents else None
    row(
        "tokens",
        number(corpus["n_tokens"]),
        f"{number(average)} a document, {counted(corpus['n_sentences'], 'sentence')}",
    )
    ratio = decimal(corpus["type_token_ratio"], 4)
    row("types", number(corpus["n_types"]), f"distinct tokens; type-token ratio {ratio}", "n_types")
    others = f"Miller-Madow {decimal(corpus['entropy_mm_bits'])}, Chao-Shen {decimal(corpus['entropy_chao_shen_bits'])}"
    row("entropy", f"{decimal(corpus['entropy_bits'])} bits", f"plug-in; {others}", "entropy_bits")
    unseen = f"seen once; the next token is new with {share(corpus['good_turing_unseen'])}"
    row("hapaxes", number(corpus["hapaxes"]), unseen, "hapaxes")
    row("richness", number(corpus["chao1"]), "types there are at least, also unseen (Chao1)", "chao1")
    row("Zipf", decimal(corpus["zipf_exponent"]), "exponent of frequency by rank", "zipf_exponent")
    row("Heaps", decimal(corpus["heaps_beta"]), "exponent of types by tokens", "heaps_beta")
    rarefied = corpus["rarefied_types"]
    if rarefied:
        largest = max(rarefied, key=int)
        note = f"types in {number(int(largest))} tokens, to compare unlike sizes"
        row("rarefied", number(rarefied[largest]), note)
    if corpus["estimate"]:
        return Group(
            table, Text("past the type limit: figures of types are estimates, ± their standard error", "yellow")
        )
    return table


def signal_table(documents: Mapping[str, Mapping[str, Any]], profile: Profile) -> RenderableType:
    width = SPARK_WIDTH if console().width >= NARROW else SPARK_WIDTH // 2
    columns = (("", LABEL), ("mean", FIGURE, "right"), ("median", "", "right"), ("5 %", NOTE, "right"))
    table = table_of("Documents", *columns, ("95 %", NOTE, "right"), ("distribution", "green"), ("null", NOTE, "right"))
    for name, found in documents.items():
        show = number if is_integer(name) else decimal
        quantiles = [show(found["quantiles"][p]) for p in ("0.5", "0.05", "0.95")]
        nulls = number(found["null"]) if found["null"] else ""
        table.add_row(name, show(found["mean"]), *quantiles, sparkline(profile.histogram(name), width), nulls)
    return table


def sparkline(bins: NDArray[np.uint64], width: int = SPARK_WIDTH) -> str:
    """The bins from the first to the last percentile in `width` columns; of integers, so on a logarithmic scale."""
    total = int(bins.sum())
    if total == 0:
        return ""
    seen = np.cumsum(bins)
    low = int(np.searchsorted(seen, np.uint64(-(-total // 100))))
    high = int(np.searchsorted(seen, np.uint64(-(-99 * total // 100)))) + 1
    # Each bin is spread evenly over the columns it covers; fewer bins than columns get one each.
    edges = np.linspace(low, high, min(width, high - low) + 1)
    heights = np.diff(np.interp(edges, np.arange(len(bins) + 1), np.concatenate([[0], seen.astype(np.float64)])))
    levels = np.ceil(heights / heights.max() * len(BARS)).astype(int)
    return "".join(BARS[level - 1] if level else " " for level in levels.tolist())


def batch_lines(batches: Mapping[str, Any]) -> RenderableType:
    entropy = batches["distributions"]["batch_entropy_bits"]["quantiles"]
    line = Text("Batches  ", "bold").append(number(batches["n_batches"]), FIGURE)
    line.append(f", closed at {number(batches['batch_tokens'])} tokens; {entropy_range(entropy)}", NOTE)
    lines = [line]
    floor = batches.get("entropy_floor")
    if floor is not None:
        below, short = batches["below_floor"], batches["below_floor_short"]
        verdict = f"{number(below)} below {floor:g} bits: HOLD_FOR_REVIEW" if below else f"none below {floor:g} bits"
        lines.append(Text(" " * 9 + verdict, BAD if below else GOOD))
        if short:
            lines[-1].append(f" ({number(short)} of them the short rest of a file)", NOTE)
    for batch in batches.get("worst", [])[: SHOWN if floor is not None else 1]:
        last = batch["first_document"] + batch["n_documents"] - 1
        place = f"{clean_path(batch['file'])}, documents {batch['first_document']}–{last}"
        lines.append(Text(f"{'':9}{decimal(batch['entropy_bits'], 2)} in {place}", NOTE))
    return Group(*lines)


def token_line(corpus: Mapping[str, Any]) -> RenderableType:
    words = []
    for entry in corpus["top"][:12]:
        shown = entry["token"] if entry.get("piece") is None else f"{entry['piece']} ({entry['token']})"
        words.append(Text(clean(shown, 20)).append(f" {100 * entry['count'] / corpus['n_tokens']:.1f} %", NOTE))
    return filled(Text("Top      ", "bold"), words)


def filled(heading: Text, items: Iterable[Text]) -> RenderableType:
    """Lines as full as they get. Rich breaks them at any blank, and would part a name from its figure."""
    lines, width, room = [heading], heading.cell_len, console().width - 1
    for item in items:
        if lines[-1].cell_len > width and lines[-1].cell_len + item.cell_len > room:
            lines.append(Text(" " * width))
        lines[-1].append_text(item).append("   ")
    for line in lines:
        line.rstrip()
    return Group(*lines)


def provenance_table(provenance: Mapping[str, Any]) -> RenderableType:
    """Shares of tokens; the sources with most synthetic tokens first."""
    shares = (("verified", "right"), ("unverified", "right"), ("known", "right"), ("suspected", "right"))
    columns = (("", LABEL), ("documents", FIGURE, "right"), ("tokens", "", "right"))
    table = table_of("Provenance", *columns, *((name, "", justify) for name, justify in shares))

    def row(name: str, found: Mapping[str, Any] | None) -> None:
        if found is not None:
            tokens = found["tokens"]
            parts = (share(one["tokens"] / tokens if tokens else None) for one in found["labels"].values())
            table.add_row(Text(name), number(found["documents"]), number(tokens), *parts)

    row("corpus", provenance["corpus"])
    sources = provenance["sources"]
    if provenance["n_sources"]:
        for entry in sources[:SHOWN]:
            row("(no source)" if entry["source"] is None else clean(entry["source"], 36), entry)
        row("(not kept by name)", provenance["other_sources"])
    lines: list[RenderableType] = [table]
    if provenance["synthetic_fraction"] is not None:
        lines.append(_fraction_line(provenance["synthetic_fraction"]))
    reasons = [entry for entry in provenance["reasons"] if entry["reason"] is not None]
    if reasons:
        named = [Text(clean(entry["reason"], 40)).append(f" {number(entry['documents'])}", NOTE) for entry in reasons]
        lines.append(filled(Text("by  ", NOTE), named[:SHOWN]))
    return Group(*lines)


def _fraction_line(found: Mapping[str, Any]) -> Text:
    """The share of synthetic documents that is estimated from all scores, beside the verdicts on single ones."""
    fraction, low, high = (f"{100 * found[name]:.1f}" for name in ("fraction", "low", "high"))
    line = Text("synthetic  ", LABEL).append(f"{fraction} %", FIGURE)
    line.append(f" of {counted(found['n_documents'], 'document')} by the scores of all; 95 %: {low}–{high} %", NOTE)
    is_small = found["fraction"] < BLIND_BELOW
    if found["is_blind"] and is_small:
        line.append(f"\n{'':11}blind below 10 %: no anchor of this kind of text (--anchor)", NOTE)
    elif found["reference"] in TYPICAL_ERROR and not is_small:
        error = f"{100 * TYPICAL_ERROR[found['reference']]:.0f}"
        line.append(f"\n{'':11}rough: off by {error} points on average; 95 % is for chance alone", NOTE)
    return line


def damage_lines(inputs: Mapping[str, Any]) -> RenderableType:
    lines = []
    if inputs["malformed"]:
        reasons = ", ".join(f"{clean(name)} {number(count)}" for name, count in inputs["malformed_by_reason"].items())
        lines.append(Text(f"{counted(inputs['malformed'], 'malformed record')}: ", BAD).append(reasons, ""))
    for entry in inputs["damaged"][:SHOWN]:
        lines.append(
            Text(f"{entry['status']} ", BAD).append(f"{clean_path(entry['file'])} at byte {entry['byte_offset']:,}: ")
        )
        lines[-1].append(clean(entry["reason"], 200), NOTE)
    if (inputs["files_damaged"] or 0) > SHOWN:
        lines.append(Text(f"and {counted(inputs['files_damaged'] - SHOWN, 'more damaged file')}", BAD))
    if inputs["frames_without_checksum"]:
        unsafe = f"{number(inputs['frames_without_checksum'])} of {counted(inputs['frames'], 'frame')}"
        verb = "carries" if inputs["frames_without_checksum"] == 1 else "carry"
        lines.append(Text(f"{unsafe} {verb} no checksum: damage inside may go unseen", "yellow"))
    if lines and inputs["bytes"]:
        accounts = ((name.removeprefix("bytes_").replace("_", " "), n) for name, n in inputs["accounted"].items() if n)
        lines.append(Text("bytes: " + ", ".join(f"{n:,} {what}" for what, n in accounts), NOTE))
    if not inputs["balanced"] and inputs["bytes"] is not None:
        lines.append(Text("the accounts of bytes do not add up: a bug, please report it", BAD))
    if not lines:
        lines.append(Text("Every byte accounted for, nothing malformed, no file damaged.", GOOD))
    return Group(*lines)


def print_anchor(about: Mapping[str, Any]) -> None:
    """Prints what `Anchor.describe` returned."""
    table = table_of(f"Anchor {about['digest']}", ("", LABEL), ("", FIGURE, "right"), ("", NOTE))
    if "totals" in about:
        totals, (begin, end) = about["totals"], about["tail"]
        table.add_row("tokens", number(totals["n_tokens"]), f"of {counted(totals['n_documents'], 'document')}")
        mass, least = about["settings"]["tail_mass"], about["settings"]["min_count"]
        table.add_row("words", number(about["n_modelled"]), f"seen at least {counted(least, 'time')}; others are <unk>")
        table.add_row(
            "tail", number(end - begin), f"rare words, seen at least 3 times: {share(mass)} of the tokens, or less"
        )
    else:
        table.add_row("words", number(about["n_modelled"]), f"of the imported model {clean(about['model'])}; no tail")
    for order, n in about["ngrams"].items():
        if order != "1":
            table.add_row(f"{order}-grams", number(n), "")
    if "fingerprints" in about:
        table.add_row("fingerprints", number(about["fingerprints"]), "of its documents, for anchor check")
    table.add_row("file", size(about["bytes"]), "mapped into memory, shared by all processes")
    note = (
        Text(clean(about["note"], 500), NOTE) if about["note"] else Text("no note says who verified the text", "yellow")
    )
    console().print(Group(table, note))


def print_check(report: Mapping[str, Any]) -> None:
    """Prints what `AnchorCheck.report` returned."""
    corpus, anchor_text = report["corpus"], report["anchor_text"]
    table = table_of(f"Anchor {report['anchor']['digest']}", ("", LABEL), ("", FIGURE, "right"), ("", NOTE))
    n, compared = number(corpus["n_documents"]), number(corpus["n_compared"])
    table.add_row(
        "corpus", number(corpus["n_over"]), f"of {n} documents overlap too much; {compared} could be compared"
    )
    n = number(anchor_text["n_documents"])
    table.add_row("anchor", number(anchor_text["n_over"]), f"of {n} documents overlap too much")
    n = number(anchor_text["n_fingerprints"])
    table.add_row("met", share(anchor_text["share_met"]), f"of its {n} fingerprints are in the corpus")
    suspects = report["suspects"]
    if suspects is not None:
        n, words = number(suspects["n_judged"]), f"resemble synthetic text ({clean(suspects['detector'])})"
        table.add_row("suspects", number(suspects["n_suspected"]), f"of the anchor's {n} longer documents {words}")
    limits = f"more than {share(report['limit'])}"
    if report["allowed"]:
        limits += f" of more than {share(report['allowed'])} of the documents"
    parts: list[RenderableType] = [table]
    if max(corpus["share_over"], anchor_text["share_over"]) > report["allowed"]:
        parts.append(Text(f"The anchor and the corpus share text: {limits}.", BAD))
    else:
        parts.append(Text(f"The anchor and the corpus do not share {limits}.", GOOD))
    if suspects is None:
        parts.append(Text("Nothing has looked for synthetic text in the anchor.", "yellow"))
    elif suspects["share_suspected"] > suspects["allowed"]:
        limit = share(suspects["allowed"])
        parts.append(Text(f"More than {limit} of the anchor resembles synthetic text: look at it again.", BAD))
        parts.append(_suspect_table(suspects["worst"]))
    for title, side, sized in (("In the corpus", corpus, "n_tokens"), ("In the anchor", anchor_text, "n_fingerprints")):
        if side["worst"]:
            parts.append(_overlap_table(title, side["worst"], sized))
    if report["inputs"]["malformed"] or report["inputs"]["files_damaged"]:
        parts.append(damage_lines(report["inputs"]))
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))


def _suspect_table(worst: Sequence[Mapping[str, Any]]) -> Table:
    heads = (("logit", FIGURE, "right"), ("n_tokens", "", "right"), ("line of file", LABEL))
    table = table_of("Resemble synthetic text", *heads)
    for row in worst[:SHOWN]:
        place = f"{row['line']} {clean_path(row['file'])}"
        table.add_row(decimal(row["synthetic_logit"], 2), number(row["n_tokens"]), place)
    return table


def _overlap_table(title: str, worst: Sequence[Mapping[str, Any]], sized: str) -> Table:
    table = table_of(
        title,
        ("overlap", FIGURE, "right"),
        (sized.removeprefix("n_"), "", "right"),
        ("line of file", LABEL),
        ("id", NOTE),
    )
    for row in worst[:SHOWN]:
        place = f"{row['line']} {clean_path(row['file'], 28)}"
        table.add_row(share(row["overlap"]), number(row[sized]), place, clean(row.get("id") or "", 40))
    return table


def print_calibration(found: "Calibration") -> None:
    """Prints what `calibrate` returned."""
    report = found.report
    parts = [
        calibration_headline(found),
        worth_table(report["figures"]),
        roc_table(report["roc"]),
        *(part_table(what, rows) for what, rows in report["by"].items()),
        floor_table(report["floors"], report["floor_fpr"]),
        note_lines(report["notes"]),
    ]
    if found.left_out:
        parts.append(left_out_lines(found))
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))


def calibration_headline(found: "Calibration") -> RenderableType:
    report = found.report
    documents = report["documents"]
    labelled, judged = documents["labelled"], documents["judged"]
    line = Text("textassay  ", "bold cyan").append(
        f"{number(labelled['human'])} human and {number(labelled['synthetic'])} synthetic documents", "bold"
    )
    told = f"{number(judged['human'])} and {number(judged['synthetic'])} of {documents['shortest']} words or more, in "
    told += f"{counted(documents['groups'], 'group')}; {clean(found.detector.name)}, {report['probability']} probabilities. "
    told += f"All figures: {report['folds']} folds, each judged by a model of the others."
    return Group(line, Text(told, NOTE))


_MODELS = {
    "calibrated": "calibrated",
    "reweighted": "re-weighted only",
    "shipped": "as shipped",
    "published_rule": "published rule",
}


def worth_table(figures: Mapping[str, Any]) -> RenderableType:
    names = ("meant", "FPR", "recall", "precision", "AUROC", "ECE")
    table = table_of("What it is worth, and 95 % intervals", ("", LABEL), *((name, "", "right") for name in names))
    for key, name in _MODELS.items():
        for place, at in enumerate(figures[key].get("at", [figures[key]]) if key in figures else []):
            whole = figures[key] if place == 0 else {}
            meant = share(at["rate"]) if "rate" in at else ""
            area = _area(whole) if "auroc" in whole else ""
            error = decimal(whole["ece"]) if "ece" in whole else ""
            table.add_row("" if place else name, meant, *_decisions(at), area, error)
    return table


def _decisions(at: Mapping[str, Any]) -> list[Text]:
    return [_share_within(at[name]) for name in ("fpr", "recall", "precision")]


def _share_within(found: Mapping[str, Any]) -> Text:
    """Its interval below it."""
    interval = found["interval"]
    within = "" if interval is None else "\n" + "–".join(f"{100 * end:.1f}" for end in interval)
    return Text(share(found["share"]), FIGURE).append(within, NOTE)


def _area(found: Mapping[str, Any], note: str = "") -> Text:
    if found["auroc"] is None:
        return Text("too few", NOTE)
    interval = "–".join(decimal(end) for end in found["auroc_interval"])
    return Text(decimal(found["auroc"]), FIGURE).append(f"\n{interval}" + (f"\n{note}" if note else ""), NOTE)


def roc_table(points: Sequence[Mapping[str, float]]) -> RenderableType:
    shown = [point for point in points if 0 < point["fpr"] <= 0.5]
    shown = shown[:: max(1, -(-len(shown) // SHOWN_POINTS))]
    names = (f"{100 * point['fpr']:.1f} %" for point in shown)
    table = table_of("ROC", ("FPR", LABEL), *((name, "", "right") for name in names))
    table.add_row("recall", *(f"{point['recall']:.2f}" for point in shown))
    return table


def part_table(what: str, rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Below each name what the published rule comes to."""
    names = ("human", "synthetic", "FPR", "recall", "precision", "AUROC")
    rate = share(rows[0]["at"][0]["rate"])
    table = table_of(f"By {what}, worst first, at {rate}", (what, LABEL), *((name, "", "right") for name in names))
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    for row in rows[:SHOWN_PARTS]:
        sizes = (number(row["human"]), number(row["synthetic"]))
        area = _area(row, row["against"] or "")
        table.add_row(Text(clean(row["name"], 30)), *sizes, *_decisions(row["at"][0]), area)
        rule = (share(row["published_rule"][name]["share"]) for name in ("fpr", "recall", "precision"))
        table.add_row(Text("published rule", NOTE), "", "", *rule, "")
    more = len(rows) - SHOWN_PARTS
    return Group(table, Text(f"and {number(more)} more", NOTE)) if more > 0 else table


def floor_table(rows: Sequence[Mapping[str, Any]], rate: float) -> RenderableType:
    """Sizes without a batch on either side are left out."""
    columns = (("", LABEL), ("tokens", "", "right"), ("floor", FIGURE, "right"), ("human", "", "right"))
    columns += (("below", "", "right"), ("synthetic", "", "right"), ("below", "", "right"), ("AUROC", "", "right"))
    table = table_of(f"Entropy floors of batches: {share(rate)} of human ones may lie below", *columns)
    for row in rows:
        floor = "too few" if row["floor_bits"] is None else f"{row['floor_bits']:.2f} bits"
        cells = [(number(row[side]["n"]), _share_within(row[side])) for side in ("human", "synthetic")]
        if row["human"]["n"] or row["synthetic"]["n"]:
            table.add_row(
                row["tokens"], number(row["batch_tokens"]), floor, *cells[0], *cells[1], decimal(row["auroc"], 2)
            )
    return table


def note_lines(notes: Sequence[str]) -> RenderableType:
    return Group(*(Text(f"· {note}", NOTE) for note in notes))


def left_out_lines(found: "Calibration") -> RenderableType:
    reasons = ", ".join(f"{clean(name)} {number(count)}" for name, count in found.left_out.items())
    lines = [Text("Left out: ", BAD).append(reasons, "")]
    for error in found.errors[:SHOWN]:
        place = f"line {error['line']} of" if error["line"] is not None else "in"
        lines.append(Text(f"{place} {clean_path(error['file'])}: {clean(error['reason'], 100)}", NOTE))
    if sum(found.left_out.values()) > SHOWN:
        lines.append(Text("and more; --json names the first 1,000", NOTE))
    return Group(*lines)


def print_stages(found: Mapping[str, Any]) -> None:
    """Prints what `stages.time_stages` returned."""
    backend = found["backend"]
    title = f"{size(found['bytes_compressed'])} compressed, {size(found['bytes'])} raw, "
    title += counted(found["documents"], "document")
    columns = (("stage", LABEL), ("CPU s", FIGURE, "right"), ("compressed/s", "", "right"), ("raw/s", "", "right"))
    table = table_of(
        title, *columns, ("x decompress", "", "right"), ("x zstd -dc", FIGURE, "right"), ("wall s", NOTE, "right")
    )
    for row in found["rows"]:
        is_first = row["stage"] in ("decompress", "zstd -dc")
        table.add_row(
            row["stage"] if is_first else f"+ {row['stage']}",
            decimal(row["cpu_seconds"]),
            size(row["bytes_compressed_per_second"]),
            size(row["bytes_per_second"]),
            decimal(row["times_decompress"], 2),
            decimal(row["times_zstd"], 2),
            decimal(row["wall_seconds"]),
        )
    note = f"Each stage includes those above it. Median of {counted(found['runs'], 'run')}, {counted(found['threads'], 'thread')}, "
    note += f"{backend['backend']} ({backend['kernels']}); rates are per CPU second."
    console().print(Group(table, Text(note, NOTE)))


def table_of(title: str, *columns: Sequence[str]) -> Table:
    """Columns are (heading, style) or (heading, style, justify)."""
    headed = any(name for name, *_ in columns)
    table = Table(title=title, title_style="bold", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.show_header = headed
    for name, style, *justify in columns:
        kept = style != NOTE or (headed and bool(justify))  # a note may wrap, a figure or a name may not
        table.add_column(name, style=style, justify=justify[0] if justify else "left", no_wrap=kept)  # type: ignore[arg-type]
    return table
