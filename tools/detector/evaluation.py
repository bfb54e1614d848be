"""What a model is worth on sets that it has not seen."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.samples import Samples
from textassay.calibration.figures import ECE_BINS, auroc, calibration_bins, calibration_error, even_weights
from textassay.calibration.fitting import detector_of
from textassay.detector import FALSE_POSITIVE_RATES
from textassay.measuring import measure

LENGTHS = ((20, 50), (50, 100), (100, 200), (200, 400), (400, np.inf))
SHORTEST_JUDGED = 100

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


def auroc_interval(synthetic: Mask, score: Scores) -> float:
    """Half of the 95 % interval, Hanley & McNeil 1982."""
    a, n, m = auroc(synthetic, score), synthetic.sum(), (~synthetic).sum()
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    return float(1.96 * np.sqrt((a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m)))


def recall_at(synthetic: Mask, score: Scores, fpr: float) -> float:
    """With the threshold that so many of these very human texts lie above."""
    return float((score[synthetic] > np.quantile(score[~synthetic], 1 - fpr)).mean())


def figures(synthetic: Mask, logit: Scores, probability: Scores) -> dict[str, float]:
    return {
        "documents": len(synthetic),
        "auroc": auroc(synthetic, logit),
        "interval": auroc_interval(synthetic, logit),
        "recall_5": recall_at(synthetic, logit, 0.05),
        "recall_1": recall_at(synthetic, logit, 0.01),
        "ece": calibration_error(synthetic, probability, even_weights(synthetic)),
    }


class LeftOut:
    """A set, judged by a model that knows nothing of it."""

    def __init__(self, samples: Samples, name: str, model: dict[str, Any]) -> None:
        self.name = name
        rows = samples.rows(name)
        self.documents = [samples.documents[row] for row in rows]
        self.synthetic = samples.synthetic[rows]
        self.columns = samples.whole.scored(model["weights"], rows)
        self.n_tokens = self.columns["n_tokens"]
        self.detector = detector_of(model, model["weights"], name)
        self.logit = self.detector.logit(self.columns)
        # Of short documents, too, where the detector would abstain.
        self.probability = np.interp(self.logit, self.detector.logits, self.detector.probabilities)

    def figures(self, shortest: float = 0, longest: float = np.inf) -> dict[str, float]:
        rows = (self.n_tokens >= shortest) & (self.n_tokens < longest)
        return figures(self.synthetic[rows], self.logit[rows], self.probability[rows])

    def parts(self, of: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, float]]]:
        """Judged documents of each generator (and split), or of each domain, against the set's human ones (of that
        domain). `of`: attributes of a document.
        """
        keys = np.array(["\t".join(getattr(document, name) for name in of) for document in self.documents])
        judged = self.n_tokens >= SHORTEST_JUDGED
        by_domain = "domain" in of
        for key in np.unique(keys[self.synthetic]):
            rows = judged & ((keys == key) if by_domain else (keys == key) | ~self.synthetic)
            if self.synthetic[rows].any() and not self.synthetic[rows].all():
                yield tuple(key.split("\t")), figures(self.synthetic[rows], self.logit[rows], self.probability[rows])

    def reached(self, fpr: float) -> tuple[float, float]:
        """False positives and recall with the thresholds that the model brought along."""
        judged = self.n_tokens >= SHORTEST_JUDGED
        above = self.logit > self.detector.at(fpr).thresholds(self.columns)
        return float(above[judged & ~self.synthetic].mean()), float(above[judged & self.synthetic].mean())

    def published_rule(self) -> tuple[float, float]:
        """False positives and recall of two votes: burstiness < 0.4 and type-token ratio < 0.52. The third vote,
        perplexity < 30, is that of an n-gram model and is hardly ever cast.
        """
        table = measure([d.text for d in self.documents], ("burstiness", "type_token_ratio"), detector=None, threads=1)
        votes = (table["burstiness"] < 0.4) & (table["type_token_ratio"] < 0.52) & (self.n_tokens >= SHORTEST_JUDGED)
        judged = self.n_tokens >= SHORTEST_JUDGED
        return float(votes[judged & ~self.synthetic].mean()), float(votes[judged & self.synthetic].mean())


def report(left_out: Sequence[LeftOut]) -> str:
    """Markdown, worst first."""
    ranked = sorted(left_out, key=lambda one: one.figures(SHORTEST_JUDGED)["auroc"])
    parts = [
        "### Left-out sets, documents of 100 words or more",
        table_of([((one.name,), one.figures(SHORTEST_JUDGED)) for one in ranked], ("set",), mean=True),
        "### Left-out sets, all documents of 20 words or more",
        table_of([((one.name,), one.figures()) for one in ranked], ("set",), mean=True),
        "### Probabilities, all left-out documents of 100 words or more together",
        reliability(ranked),
        "### With the thresholds that the model brings along; the published rule",
        reached_table(ranked),
        "### By generator, 100 words or more, against all human text of the set",
        table_of(_sorted_parts(ranked, ("generator", "split")), ("set", "generator", "split")),
        "### By domain, 100 words or more",
        table_of(_sorted_parts(ranked, ("domain",)), ("set", "domain")),
        "### By length, mean over the sets",
        by_length(ranked),
    ]
    return "\n\n".join(parts) + "\n"


def _sorted_parts(left_out: Sequence[LeftOut], of: Sequence[str]) -> list[tuple[tuple[str, ...], dict[str, float]]]:
    found = [((one.name, *key), values) for one in left_out for key, values in one.parts(of)]
    return sorted(found, key=lambda row: row[1]["auroc"])


_HEADS = ("documents", "AUROC", "recall at FPR 5 %", "at 1 %", "ECE")


def _cells(values: dict[str, float]) -> list[str]:
    interval = f" ± {values['interval']:.3f}" if "interval" in values else ""
    documents = f"{values['documents']:,.0f}" if "documents" in values else ""
    numbers = [f"{values[name]:.2f}" for name in ("recall_5", "recall_1")]
    return [documents, f"{values['auroc']:.3f}{interval}", *numbers, f"{values['ece']:.3f}"]


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in ("auroc", "recall_5", "recall_1", "ece")}


def markdown(heads: Sequence[str], names: int, rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * names + ["---:"] * (len(heads) - names)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rule, *rows))


def table_of(rows: Sequence[tuple[tuple[str, ...], dict[str, float]]], names: Sequence[str], mean: bool = False) -> str:
    lines = [[*key, *_cells(values)] for key, values in rows]
    if mean:
        lines.append(["**mean**", *_cells(_mean([values for _, values in rows]))])
    return markdown((*names, *_HEADS), len(names), lines)


def reliability(left_out: Sequence[LeftOut]) -> str:
    """What happened where a probability was given, over all sets, each and both of its sides weighing the same."""
    judged = [one.n_tokens >= SHORTEST_JUDGED for one in left_out]
    synthetic, probability = (
        np.concatenate([getattr(one, name)[rows] for one, rows in zip(left_out, judged, strict=True)])
        for name in ("synthetic", "probability")
    )
    weights = np.concatenate([even_weights(one.synthetic[rows]) for one, rows in zip(left_out, judged, strict=True)])
    weights /= weights.sum()
    bins = calibration_bins(probability)
    lines = []
    for i in np.unique(bins):
        rows = bins == i
        means = [np.average(values[rows], weights=weights[rows]) for values in (probability, synthetic)]
        share = f"{weights[rows].sum():.2f}"
        lines.append([f"{i / ECE_BINS:.1f}-{(i + 1) / ECE_BINS:.1f}", share, *(f"{mean:.2f}" for mean in means)])
    error = calibration_error(synthetic, probability, weights)
    heads = ("probability", "share of documents", "mean probability", "synthetic in fact")
    return markdown(heads, 1, lines) + f"\n\nExpected calibration error of all together: {error:.3f}"


def recall_only(one: LeftOut) -> str:
    """Of a set without human text, with the thresholds that the model brings along; worst first."""
    judged = one.n_tokens >= SHORTEST_JUDGED
    generators = np.array([document.generator for document in one.documents])
    above = [one.logit > one.detector.at(fpr).thresholds(one.columns) for fpr in FALSE_POSITIVE_RATES[::-1]]
    recalls = {name: [row[judged & (generators == name)].mean() for row in above] for name in np.unique(generators)}
    lines = [
        [name, *(f"{recall:.2f}" for recall in recalls[name])]
        for name in sorted(recalls, key=lambda name: recalls[name])
    ]
    title = f"### {one.name}, left out: it has no human text\n\n"
    return title + markdown(("generator", "recall, FPR meant 5 %", "1 %"), 1, lines) + "\n"


def reached_table(left_out: Sequence[LeftOut]) -> str:
    lines = []
    for one in left_out:
        cells = [one.name]
        for fpr in FALSE_POSITIVE_RATES[::-1]:
            cells += [f"{value:.3f}" for value in one.reached(fpr)]
        lines.append(cells + [f"{value:.3f}" for value in one.published_rule()])
    means = np.array([[float(cell) for cell in line[1:]] for line in lines]).mean(axis=0)
    lines.append(["**mean**", *(f"{value:.3f}" for value in means)])
    heads = ("set", "FPR, meant 5 %", "recall", "FPR, meant 1 %", "recall", "rule: FPR", "rule: recall")
    return markdown(heads, 1, lines)


def by_length(left_out: Sequence[LeftOut]) -> str:
    rows = []
    for shortest, longest in LENGTHS:
        enough = [one for one in left_out if _human(one, shortest, longest) >= 30]
        if not enough:
            continue
        values = _mean([one.figures(shortest, longest) for one in enough])
        values["documents"] = sum(one.figures(shortest, longest)["documents"] for one in enough)
        name = f"{shortest} to {longest - 1:.0f}" if np.isfinite(longest) else f"{shortest} or more"
        rows.append(((name, str(len(enough))), values))
    return table_of(rows, ("words", "sets"))


def _human(one: LeftOut, shortest: float, longest: float) -> int:
    return int((~one.synthetic & (one.n_tokens >= shortest) & (one.n_tokens < longest)).sum())
