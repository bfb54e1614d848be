"""The figures of a calibration, all out of fold, and what they are too few for."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.calibration.crossing import Judged, OutOfFold
from textassay.calibration.figures import (
    LEAST_DOCUMENTS,
    area_of,
    calibration_error,
    decisions,
    reliability,
    roc_points,
    share_of,
)
from textassay.calibration.labelled import least_words
from textassay.classifier import THRESHOLDS, VOTES_NEEDED
from textassay.detector import Detector

NO_NAME = "(none)"

Mask = NDArray[np.bool_]


def published_votes(columns: Mapping[str, NDArray[Any]]) -> tuple[Mask, list[str]]:
    """Where the published rule says SYNTHETIC, and the signals that could vote. A null is below nothing."""
    voting = [name for name in THRESHOLDS if name in columns]
    votes = sum((np.asarray(columns[name]) < THRESHOLDS[name]).astype(np.int64) for name in voting)
    return np.asarray(votes) >= VOTES_NEEDED, voting


def figures_of(judged: Judged, found: OutOfFold) -> dict[str, Any]:
    """`auroc` with interval, `ece`, and `at` each rate what the verdicts come to."""
    return {
        **area_of(judged.synthetic, found.logit, judged.group),
        "ece": calibration_error(judged.synthetic, found.probability, judged.weights),
        "at": [{"rate": rate, **decisions(judged.synthetic, mask)} for rate, mask in found.suspected.items()],
    }


def as_shipped(judged: Judged, shortest: int) -> OutOfFold:
    """The shipped detector with the calibrator and the thresholds that it brings along."""
    detector = least_words(Detector.default(), shortest)
    columns = judged.columns_of(np.arange(len(judged.rows)), judged.columns["detector_sum"])
    logit = detector.logit(columns)
    suspected = {rate: logit > detector.at(rate).thresholds(columns) for rate in detector.false_positive_rates}
    return OutOfFold(logit, detector.probability(columns), suspected)


def table_of(judged: Judged, found: OutOfFold, rule: Mask, name: NDArray[np.str_]) -> list[dict[str, Any]]:
    """A row for each name: documents, area, what the verdicts come to, the same of the published rule. Worst first.

    A name with documents of one side is held `against` all documents of the other one, for its area only.
    """
    rows = [_row(judged, found, rule, name == one, str(one)) for one in np.unique(name)]
    return sorted(rows, key=_badness)


def _row(judged: Judged, found: OutOfFold, rule: Mask, mine: Mask, name: str) -> dict[str, Any]:
    synthetic = judged.synthetic[mine]
    against = None
    compared = mine
    if synthetic.all() or not synthetic.any():
        against = "all human" if synthetic.all() else "all synthetic"
        compared = mine | (judged.synthetic != synthetic[0])
    row = {"name": name, "human": int((~synthetic).sum()), "synthetic": int(synthetic.sum()), "against": against}
    row |= area_of(judged.synthetic[compared], found.logit[compared], judged.group[compared])
    row["at"] = [{"rate": rate, **_decisions(synthetic, mask[mine], against)} for rate, mask in found.suspected.items()]
    row["published_rule"] = _decisions(synthetic, rule[mine], against)
    return row


def _decisions(synthetic: Mask, suspected: Mask, against: str | None) -> dict[str, Any]:
    """Of one side there is no precision."""
    found = decisions(synthetic, suspected)
    return found if against is None else found | {"precision": share_of(0, 0)}


def _badness(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Worst first: by area; behind them what is too small for one, by what there is."""
    first = row["at"][0]
    alarms, missed = first["fpr"]["share"] or 0.0, 1 - (first["recall"]["share"] or 0.0)
    return (row["auroc"] is None, row["auroc"] if row["auroc"] is not None else -max(alarms, missed), row["name"])


def names_of(codes: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.str_]:
    return np.array([name or NO_NAME for name in names])[codes]


def length_names(n_tokens: NDArray[np.int64], begins: Sequence[int]) -> NDArray[np.str_]:
    ends = [f"{begin}-{end - 1}" for begin, end in itertools.pairwise(begins)]
    return np.array([*ends, f"{begins[-1]} or more"])[np.searchsorted(begins, n_tokens, side="right") - 1]


def report_of(judged: Judged, found: OutOfFold, shortest: int, others: Mapping[str, OutOfFold]) -> dict[str, Any]:
    """`figures`, `roc`, `reliability`, `by` source, domain and length. `others`: more models to set beside it."""
    rule, voting = published_votes(judged.columns)
    documents = judged.documents
    names = {"length": length_names(judged.columns["n_tokens"], _lengths(shortest))}
    for what, codes, known in (
        ("domain", documents.domain, documents.domains),
        ("source", documents.source, documents.sources),
    ):
        if len(known) > 1:
            names[what] = names_of(codes[judged.rows], known)
    return {
        "figures": {
            "calibrated": figures_of(judged, found),
            **{name: figures_of(judged, other) for name, other in others.items()},
            "published_rule": {"signals": voting, **decisions(judged.synthetic, rule)},
        },
        "roc": roc_points(judged.synthetic, found.logit),
        "reliability": reliability(judged.synthetic, found.probability, judged.weights),
        "by": {what: table_of(judged, found, rule, name) for what, name in names.items()},
    }


def _lengths(shortest: int) -> list[int]:
    """Doublings from 100 words on."""
    return [shortest, *(words for words in (100, 200, 400, 800, 1600) if words > shortest)]


def notes_of(report: Mapping[str, Any], n_human: int, weights: NDArray[np.float64]) -> list[str]:
    """What a reader must know who looks at the figures alone."""
    figures, notes = report["figures"], []
    voting = figures["published_rule"]["signals"]
    if "perplexity" not in voting:
        notes.append(
            f"the published rule votes with {' and '.join(voting)} only: without an anchor there is no perplexity"
        )
    for at in figures["calibrated"]["at"]:
        expected = at["rate"] * n_human
        if expected < LEAST_DOCUMENTS:
            about = f"about {expected:.0f} of {n_human:,} human documents are false positives"
            notes.append(f"at a rate of {at['rate']:g} {about}: too few to say how well it is held, see the interval")
    small = sum(row["auroc"] is None for table in report["by"].values() for row in table)
    if small:
        notes.append(f"rows with fewer than {LEAST_DOCUMENTS} documents of a side, too few for an area: {small}")
    unmatched = float((weights == 0).mean())
    if unmatched > 0.1:
        notes.append(
            f"{100 * unmatched:.0f} % of the documents have a length that the other side has not: the fit leaves them aside"
        )
    trained, reweighted = figures["calibrated"]["auroc"], figures.get("reweighted", {}).get("auroc")
    if reweighted is not None and trained is not None and trained <= reweighted:
        notes.append("the trained weights do no better than the shipped ones re-weighted: leave --train out")
    if any(row["floor_bits"] is None for row in report["floors"]):
        notes.append("there is no floor where human batches are too few for the rate")
    notes.append("the published floor of 3.2 bits is on the scale of characters; floors over words are another scale")
    return notes + [_told_by_entropy(report["floors"], kind) for kind in ("word", "char")]


def _told_by_entropy(floors: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Of the largest batches that there are enough of."""
    areas = [
        (row["batch_tokens"], row["auroc"]) for row in floors if row["tokens"] == kind and row["auroc"] is not None
    ]
    if not areas:
        return f"over {kind}s there are too few batches to say whether low entropy tells synthetic ones"
    size, area = areas[-1]
    meaning = "next to nothing" if 0.4 < area < 0.6 else "human ones are the flatter" if area < 0.5 else "it does"
    return f"whether low entropy over {kind}s tells synthetic batches of {size:,}: AUROC {area:.2f}, {meaning}"
