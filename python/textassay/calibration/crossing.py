"""Fits a detector to labelled documents, and judges every one of them by a fit that has not seen its group.

Needs scikit-learn.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textassay.calibration.fitting import (
    PENALTY,
    detector_of,
    feature_shares,
    fit_calibrator,
    fit_weights,
    logit_of,
)
from textassay.calibration.labelled import Labelled, least_words, probe
from textassay.configuration import BATCH_TOKENS, configure
from textassay.detector import N_FEATURES, SUM, Detector, Term
from textassay.errors import UsageError
from textassay.measuring import make_measurer

BAND_WORDS = (100, 200, 400)
ISOTONIC_FROM = 1000
"""Documents of each side. Of fewer, isotonic regression fits the noise (Niculescu-Mizil & Caruana 2005): Platt's sigmoid."""
LEAST_SYNTHETIC = 50
CERTAIN = 0.01
"""As in `fitting`, but for documents of the kind that it was fitted to."""
INVERSE_PENALTY = 1.0
TRAINED_ITEMS = 1000
"""Of longer documents the first so many words and marks are trained on; all of every document is judged."""

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    rates: tuple[float, ...]
    """Of false positives, ascending."""
    bands: tuple[int, ...]
    """Words from which each begins."""
    is_isotonic: bool


@dataclass(frozen=True)
class Judged:
    """The documents that are long enough to be judged."""

    documents: Labelled
    rows: Rows
    """Where among all labelled documents they are. Everything below has an element for each of them."""
    synthetic: NDArray[np.bool_]
    columns: dict[str, NDArray[Any]]
    group: NDArray[np.int64]
    fold: NDArray[np.int64]
    weights: Floats

    @property
    def n_folds(self) -> int:
        return int(self.fold.max()) + 1

    def columns_of(self, rows: Rows, score: Floats) -> dict[str, NDArray[Any]]:
        """As a `Detector` reads them, with this score."""
        found = {name: self.columns[name][rows] for name in ("n_tokens", "burstiness", "marker_rate")}
        return found | {SUM: score, N_FEATURES: np.ones(len(rows))}


def matched_weights(synthetic: NDArray[np.bool_], n_tokens: NDArray[np.int64]) -> Floats:
    """Both sides weigh the same at every length (between two powers of two), so that length alone tells nothing.

    A document weighs as the other side's share among those of its length: overlap weights (Li, Morgan & Zaslavsky 2018),
    which no length that is rare on one side can blow up. Raises `UsageError` where the sides have no length in common.
    """
    length = np.frexp(n_tokens.astype(np.float64))[1]
    counts = [np.bincount(length[synthetic == side], minlength=64) for side in (False, True)]
    total = np.maximum(counts[0] + counts[1], 1)
    weights = np.where(synthetic, (counts[0] / total)[length], (counts[1] / total)[length])
    if not weights.any():
        raise UsageError("no length at which both sides have documents: length alone tells them apart")
    return weights / weights.sum()


def needed_humans(rate: float, n_folds: int) -> int:
    """Human documents from which a threshold at this rate can be read off in every fold."""
    return math.ceil(n_folds / (n_folds - 1) / rate)


def bands_of(human_words: NDArray[np.int64], shortest: int, needed: int) -> tuple[int, ...]:
    """Begins of length bands that all hold so many human documents; neighbours are joined until they do."""
    begins = [shortest, *(words for words in BAND_WORDS if words > shortest)]
    while len(begins) > 1:
        counts = np.histogram(human_words, [*begins, np.inf])[0]
        least = int(np.argmin(counts))
        if counts[least] >= needed:
            break
        del begins[max(least, 1)]
    return tuple(begins)


def threshold_of(human_logit: Floats, rate: float) -> float:
    """The logit that a further human document exceeds with a probability of at most `rate`, whatever the distribution:
    split conformal prediction (Vovk, Gammerman & Shafer 2005). With too few documents the greatest of them.
    """
    n = len(human_logit)
    place = min(math.ceil((1 - rate) * (n + 1) - 1e-9), n)
    return float(np.sort(human_logit)[place - 1])


class Tables(Protocol):
    """Weights, by the folds that they have not seen."""

    def table(self, unseen: frozenset[int]) -> NDArray[np.int8]: ...
    def score(self, unseen: frozenset[int], rows: Rows) -> Floats:
        """Mean weight of the features of these documents."""


class ShippedTable:
    """The shipped detector's weights: they have seen none of the folds."""

    def __init__(self, judged: Judged) -> None:
        self._score = judged.columns[SUM]

    def table(self, unseen: frozenset[int]) -> NDArray[np.int8]:
        return Detector.default().weights

    def score(self, unseen: frozenset[int], rows: Rows) -> Floats:
        return self._score[rows]


class TrainedTables:
    """New weights, fitted without the unseen folds. Keeps the hashed features of all documents in memory."""

    def __init__(self, judged: Judged, threads: int | None) -> None:
        self._judged, self._threads = judged, threads
        texts = (judged.documents.texts.read(row) for row in judged.rows.tolist())
        self._shares = feature_shares(texts, TRAINED_ITEMS)[0]
        self._tables: dict[frozenset[int], NDArray[np.int8]] = {}

    def table(self, unseen: frozenset[int]) -> NDArray[np.int8]:
        if unseen not in self._tables:
            rows = np.flatnonzero(~np.isin(self._judged.fold, list(unseen)))
            weights = self._judged.weights[rows] / self._judged.weights[rows].sum()
            self._tables[unseen] = fit_weights(
                self._shares[rows],
                self._judged.synthetic[rows],
                weights.astype(np.float32),
                max(PENALTY, 1 / len(rows)),
            )
        return self._tables[unseen]

    def score(self, unseen: frozenset[int], rows: Rows) -> Floats:
        """Measured as a scan does, over the whole texts."""
        detector = least_words(probe(self.table(unseen)), 1)
        configuration, lexicon = configure(["synthetic_logit"], "word", BATCH_TOKENS, 1, None, None, detector)
        measurer = make_measurer(configuration, lexicon, detector=detector, threads=self._threads)
        chunks = self._judged.documents.texts.chunks(self._judged.rows[rows])
        parts = [measurer.measure(data, offsets)["synthetic_logit"] for data, offsets in chunks]
        return np.concatenate([np.zeros(0), *parts])


@dataclass(frozen=True)
class OutOfFold:
    """What models said of documents whose groups they had not seen."""

    logit: Floats
    probability: Floats
    suspected: dict[float, NDArray[np.bool_]]
    """By rate of false positives."""


@dataclass(frozen=True)
class Fitted:
    out_of_fold: OutOfFold
    model: dict[str, Any]
    """`calibrator` and `bands`, from all documents."""
    table: NDArray[np.int8]


def cross_fit(judged: Judged, tables: Tables, settings: Settings) -> Fitted:
    """A model for each fold, made of the others alone, and one of all.

    A calibrator only sees scores by weights that had not seen the document, so inside the model of a fold each other
    fold is left out once more.
    """
    folds = range(judged.n_folds)
    logit, probability = np.empty(len(judged.rows)), np.empty(len(judged.rows))
    suspected = {rate: np.zeros(len(judged.rows), np.bool_) for rate in settings.rates}
    own = _scores(judged, lambda fold, rows: tables.score(frozenset([fold]), rows))
    for fold in folds:
        inner = _scores(judged, lambda other, rows, fold=fold: tables.score(frozenset([fold, other]), rows))  # type: ignore[misc]
        model = fit_model(judged, np.flatnonzero(judged.fold != fold), inner, settings)
        # The table is not looked at again: the scores are there.
        detector = detector_of(model, Detector.default().weights, "out of fold", settings.rates)
        rows = np.flatnonzero(judged.fold == fold)
        columns = judged.columns_of(rows, own[rows])
        logit[rows], probability[rows] = detector.logit(columns), detector.probability(columns)
        for rate in settings.rates:
            suspected[rate][rows] = logit[rows] > detector.at(rate).thresholds(columns)
    model = fit_model(judged, np.arange(len(judged.rows)), own, settings)
    return Fitted(OutOfFold(logit, probability, suspected), model, tables.table(frozenset()))


def _scores(judged: Judged, score: Callable[[int, Rows], Floats]) -> Floats:
    found = np.empty(len(judged.rows))
    for fold in range(judged.n_folds):
        rows = np.flatnonzero(judged.fold == fold)
        found[rows] = score(fold, rows)
    return found


def fit_model(judged: Judged, rows: Rows, score: Floats, settings: Settings) -> dict[str, Any]:
    """`calibrator` and `bands` from these documents."""
    columns, synthetic, weights = judged.columns_of(rows, score[rows]), judged.synthetic[rows], judged.weights[rows]
    calibrator = fit_calibrator(
        columns,
        synthetic,
        weights,
        inverse_penalty=INVERSE_PENALTY,
        certain=CERTAIN,
        is_isotonic=settings.is_isotonic,
    )
    logit = logit_of([Term(**term) for term in calibrator["terms"]], calibrator["intercept"], columns)
    return {
        "calibrator": calibrator,
        "bands": _thresholds(logit[~synthetic], columns["n_tokens"][~synthetic], settings),
    }


def _thresholds(human_logit: Floats, n_tokens: NDArray[np.int64], settings: Settings) -> list[dict[str, Any]]:
    band = np.searchsorted(settings.bands, n_tokens, side="right") - 1
    return [
        {
            "from_words": begin,
            "thresholds": [threshold_of(human_logit[band == place], rate) for rate in settings.rates],
        }
        for place, begin in enumerate(settings.bands)
    ]


def check_enough(synthetic: NDArray[np.bool_], rates: Sequence[float], n_folds: int, shortest: int) -> None:
    """Raises `UsageError` naming what is missing."""
    n_human, n_synthetic = int((~synthetic).sum()), int(synthetic.sum())
    needed = needed_humans(min(rates), n_folds)
    if n_human < needed:
        raise UsageError(
            f"a threshold at a false-positive rate of {min(rates):g} needs {needed:,} human documents of {shortest} words "
            f"or more, there are {n_human:,}; a higher --fpr needs fewer"
        )
    if n_synthetic < LEAST_SYNTHETIC:
        raise UsageError(
            f"wanted {LEAST_SYNTHETIC} synthetic documents of {shortest} words or more, there are {n_synthetic:,}"
        )
