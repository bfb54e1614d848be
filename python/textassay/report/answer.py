"""The first things that a person wants to know of a corpus, as sentences: what it is, how synthetic, what to do."""

from collections.abc import Mapping, Sequence
from os.path import commonpath
from typing import Any

from textassay.formatting import clean, clean_path, counted, decimal, number, size
from textassay.provenance import LABELS, SYNTHETIC
from textassay.report.page import NO_BREAK, TEXT_LIMIT, Fact, Part, Step, parts_of
from textassay.share import BLIND_BELOW, TYPICAL_ERROR

LABEL_WORDS = {
    "human_verified": "human, verified",
    "human_unverified": "not verified",
    "synthetic_known": "known synthetic",
    "synthetic_suspected": "suspected synthetic",
}
SUSPECT_SHARE = 0.25
"""Of a source's tokens: with more that is synthetic it is named among the things to do."""

LEAST_TOKENS = 0.01
"""Of the corpus: a source with less is not."""

SOURCES_NAMED = 3

TOKEN_WORDS = {"word": "word", "byte": "byte", "char": "character", "bigram": "2-gram"}


def percent(value: float | None) -> str:
    """`12 %`, `3.4 %`, `0.05 %`; what is not quite nothing or all does not become it."""
    if value is None:
        return "–"
    share = 100 * value
    if 0 < share < 0.01:
        return f"less than 0.01{NO_BREAK}%"
    if 99.99 < share < 100:
        return f"more than 99.99{NO_BREAK}%"
    digits = 2 if share < 1 or 99 < share < 100 else 1 if share < 10 or 90 < share < 100 else 0
    return f"{share:.0f}{NO_BREAK}%" if share in (0, 100) else f"{share:.{digits}f}{NO_BREAK}%"


def corpus_name(paths: Sequence[str]) -> str:
    """The file, or the folder that holds them all."""
    if not paths:
        return "corpus"
    if len(paths) == 1:
        return clean_path(paths[0], 60)
    try:
        shared = commonpath(paths)
    except ValueError:  # some are relative, some are not
        shared = ""
    return clean_path(shared, 60) or f"{clean_path(paths[0], 40)} and {number(len(paths) - 1)} more"


def headline(summary: Mapping[str, Any]) -> str:
    """How synthetic the corpus is, in one sentence."""
    if not summary["corpus"]["n_documents"]:
        return "There is no document in this corpus."
    found = _fraction(summary)
    if found is None:
        return "How synthetic this corpus is, nothing could tell."
    fraction, low, high = found["fraction"], found["low"], found["high"]
    if found["is_blind"] and fraction < BLIND_BELOW:
        return f"At most about {percent(max(BLIND_BELOW, high))} synthetic text: less could not be told from none."
    if low == 0 and high < 0.005:
        return "No synthetic text is to be seen in this corpus."
    if low == 0:
        return f"Little or no synthetic text: at most {percent(high)} of the documents."
    if fraction > 1 - BLIND_BELOW and found["reference"] in TYPICAL_ERROR:
        return "Most documents resemble synthetic text, perhaps all."
    return f"About {percent(fraction)} of the documents resemble synthetic text."


def lead(summary: Mapping[str, Any]) -> str:
    """What was read."""
    inputs, corpus = summary["inputs"], summary["corpus"]
    unit = TOKEN_WORDS[summary["configuration"]["tokens"]]
    what = counted(inputs["profiles"], "profile") if "profiles" in inputs else counted(inputs["files"], "file")
    documents = counted(corpus["n_documents"], "document")
    return f"{documents} with {counted(corpus['n_tokens'], unit)} in {what}, {size(corpus['n_bytes'])} of text."


def what_it_is(summary: Mapping[str, Any]) -> list[str]:
    corpus, documents = summary["corpus"], summary["documents"]
    unit = TOKEN_WORDS[summary["configuration"]["tokens"]]
    sentences = []
    lengths = documents.get("n_tokens", {}).get("quantiles", {})
    if lengths.get("0.5") is not None:
        sentences.append(
            f"Half of the documents have {counted(lengths['0.5'], unit)} or more; 90 % have {number(lengths['0.05'])} to {number(lengths['0.95'])}."
        )
    if corpus["n_tokens"]:
        sentences.append(
            f"They use {number(corpus['n_types'])} different {unit}s; {percent(ratio(corpus['hapaxes'], corpus['n_types']))} of those occur "
            f"only once. The chance that the next {unit} is a new one: {percent(corpus['good_turing_unseen'])}."
        )
        sentences.append(
            f"A {unit} carries {corpus['entropy_bits']:.2f} bits, as much as a choice among {number(2 ** corpus['entropy_bits'])} equally frequent ones."
        )
    if corpus["estimate"]:
        sentences.append("There are more types than are counted exactly: their figures are estimates.")
    return sentences


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def corpus_facts(summary: Mapping[str, Any]) -> list[Fact]:
    """The figures of the vocabulary that one looks for first."""
    corpus, unit = summary["corpus"], TOKEN_WORDS[summary["configuration"]["tokens"]]
    errors = corpus.get("standard_errors", {})

    def fact(name: str, figure: str, digits: int | None, note: str, unit_: str = "") -> Fact:
        value, error = corpus[figure], errors.get(figure)
        write = (lambda x: decimal(x, digits)) if digits is not None else number
        return Fact(name, f"{write(value)}{unit_}", f"± {write(error)}; {note}" if error else note)

    return [
        fact("Different " + unit + "s", "n_types", None, f"in {counted(corpus['n_tokens'], unit)}"),
        fact("Seen once", "hapaxes", None, f"of them; at least {number(corpus['chao1'])} exist, seen or not (Chao1)"),
        fact(
            "Entropy",
            "entropy_bits",
            2,
            f"a {unit}; corrected {decimal(corpus['entropy_chao_shen_bits'], 2)} (Chao-Shen)",
            " bits",
        ),
        fact("Zipf exponent", "zipf_exponent", 3, "how steeply frequency falls with rank"),
        fact("Heaps exponent", "heaps_beta", 3, f"how fast new {unit}s keep coming"),
    ]


def label_parts(summary: Mapping[str, Any]) -> list[Part]:
    """The labels' shares of all tokens."""
    provenance = summary.get("provenance")
    if provenance is None:
        return []
    rows = provenance["corpus"]["labels"]
    whole = provenance["corpus"]["tokens"]
    return parts_of(
        [
            (LABEL_WORDS[label], role_of(label), rows[label]["tokens"], percent(ratio(rows[label]["tokens"], whole)))
            for label in LABELS
        ]
    )


def role_of(label: str) -> str:
    return label.replace("_", "-")


def how_synthetic(summary: Mapping[str, Any]) -> list[str]:
    provenance = summary.get("provenance")
    if provenance is None:
        return ["Nothing looked for synthetic text: neither rules nor a detector gave the documents labels."]
    whole, labels = provenance["corpus"], provenance["corpus"]["labels"]
    known, suspected = (labels[label]["documents"] for label in SYNTHETIC)
    singly = (
        f"One by one, {_of(known, whole['documents'])} known to be synthetic, and {_of(suspected, whole['documents'])} "
        "suspected to be. Verdicts on single documents err both ways."
    )
    return [singly, *_fraction_sentences(provenance["synthetic_fraction"])]


def interval_parts(summary: Mapping[str, Any]) -> list[Part]:
    """The estimate on a line from 0 to 100 %: where it is blind, the interval, the estimate itself."""
    found = _fraction(summary)
    if found is None:
        return []
    low, high, at = (100 * found[name] for name in ("low", "high", "fraction"))
    blind = [Part("blind", "range", 0, 100 * BLIND_BELOW, "")] if found["is_blind"] else []
    interval = Part("interval", "corpus-light", low, max(high - low, 0.4), "")
    return [*blind, interval, Part("estimate", "corpus", min(max(at - 0.5, 0), 99), 1, "")]


def _of(part: int, whole: int) -> str:
    if part == 0:
        return "no document is"
    verb = "is" if part == 1 else "are"
    return f"{counted(part, 'document')} ({percent(ratio(part, whole))}) {verb}"


def _fraction(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return (summary.get("provenance") or {}).get("synthetic_fraction")


def _fraction_sentences(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        nothing = (
            "The share of synthetic documents in the whole corpus is not estimated: no document was long enough for the "
            "detector (100 words), or its detector is not at hand."
        )
        return [nothing]
    whole = (
        f"By the scores of all {counted(found['n_documents'], 'document')} long enough to be scored, {percent(found['fraction'])} "
        f"are synthetic; {_interval(found['low'], found['high'])}."
    )
    if found["fraction"] >= BLIND_BELOW and found["reference"] in TYPICAL_ERROR:
        points = f"{100 * TYPICAL_ERROR[found['reference']]:.0f}"
        whole += f" That is rough: on labelled sets it was off by {points} points on average, where synthetic text was of another kind."
    if found["is_blind"]:
        blind = (
            f"This estimate is blind below {percent(BLIND_BELOW)} (the pale zone): it had no human text of this corpus's own "
            "kind to compare with, and unusual human text moves it by as much."
        )
        return [whole, blind]
    kind = {"anchor": "the anchor's", "calibration": "what the detector was calibrated on"}
    return [
        f"{whole} It is measured against human text of this kind, {kind.get(found['reference'], 'a reference of its own')}."
    ]


def _interval(low: float, high: float) -> str:
    if percent(low) == percent(high):
        return "chance alone would move that by nothing to speak of"
    return f"chance alone would move that from {percent(low)} to {percent(high)} (95 % interval)"


def steps(summary: Mapping[str, Any]) -> list[Step]:
    """What a person should do, the urgent first."""
    found = [*_losses(summary["inputs"]), *_flat_batches(summary["batches"]), *_sources(summary.get("provenance"))]
    found += _estimate(_fraction(summary))
    if not any(step.urgency == "act" for step in found):
        found.append(Step("fine", "Nothing that was measured speaks against using the corpus."))
    order = ("act", "look", "fine")
    return sorted(found, key=lambda step: order.index(step.urgency))


def _losses(inputs: Mapping[str, Any]) -> list[Step]:
    found = []
    if inputs["files_damaged"]:
        lost = (
            f"; {size(inputs['accounted']['bytes_lost'])} of them could not be read"
            if inputs["accounted"]["bytes_lost"]
            else ""
        )
        found.append(Step("act", f"Fetch {counted(inputs['files_damaged'], 'damaged file')} again{lost}."))
    if inputs["malformed"]:
        reasons = ", ".join(
            f"{clean(reason, 40)} ({number(n)})" for reason, n in list(inputs["malformed_by_reason"].items())[:4]
        )
        found.append(Step("act", f"Mend or drop {counted(inputs['malformed'], 'malformed record')}: {reasons}."))
    if inputs["bytes"] is not None and not inputs["balanced"]:
        found.append(Step("act", "The accounts of bytes do not add up. That is a bug in textassay: please report it."))
    if inputs["frames_without_checksum"]:
        found.append(
            Step(
                "look",
                f"{counted(inputs['frames_without_checksum'], 'compressed frame')} without a checksum: damage inside may go unseen.",
            )
        )
    return found


def _flat_batches(batches: Mapping[str, Any]) -> list[Step]:
    below = batches.get("below_floor")
    if not below:
        return []
    short = batches["below_floor_short"]
    text = f"Hold {counted(below, 'batch', 'batches')} for review: entropy below the floor of {batches['entropy_floor']:g} bits."
    if short:
        text += f" Short rests of files are among them ({number(short)}), which lie low anyway."
    return [Step("act" if below > short else "look", text)]


def _sources(provenance: Mapping[str, Any] | None) -> list[Step]:
    if provenance is None:
        return []
    least = LEAST_TOKENS * provenance["corpus"]["tokens"]
    rows = [
        row
        for row in provenance["sources"]
        if row["source"] is not None
        and row["tokens"] > least
        and (row["synthetic_share"]["tokens"] or 0) > SUSPECT_SHARE
    ]
    found = [
        Step(
            "act",
            f"Look at the source {clean(row['source'], TEXT_LIMIT)}: {percent(row['synthetic_share']['tokens'])} of its tokens are labelled synthetic.",
        )
        for row in rows[:SOURCES_NAMED]
    ]
    suspected = provenance["corpus"]["labels"]["synthetic_suspected"]["documents"]
    if suspected and not found:
        found.append(
            Step("look", f"Read some of the suspected documents ({number(suspected)}), below, before you drop any.")
        )
    return found


def _estimate(fraction: Mapping[str, Any] | None) -> list[Step]:
    if fraction is None:
        return []
    if fraction["is_blind"]:
        text = "To tell small shares, freeze human text of the same kind and scan again, with --anchor:"
        return [Step("look", text, "textassay anchor build HUMAN... -o human.anchor")]
    if fraction["low"] > BLIND_BELOW:
        return [
            Step(
                "act",
                f"Find out where the synthetic documents come from ({percent(fraction['fraction'])} by the estimate) before you train on them.",
            )
        ]
    return []
