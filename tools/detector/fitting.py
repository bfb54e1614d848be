"""From samples to a model: a linear score in int8, then a calibrator that has seen it on unseen sets only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from detector.samples import Samples
from textassay.detector import FALSE_POSITIVE_RATES, TERMS, Term, pairs_of
from textassay.signals import bins_of

PENALTY = 1e-5
"""On the squared norm of the linear weights; chosen, as all else here, by leave-one-data-set-out."""
SHARE_FLOOR = 1e-5
"""Added to a feature's share before its weight is scaled by it: what is rarer does not count for more."""
ITERATIONS = 40
CLIPPED = 0.002
"""The share of weights that int8 cuts off: without it a few common words decide alone."""
SIDE_WEIGHTS = {("fast-detect-gpt-oss", True): 0.2, ("notxbuty", True): 1.5, ("corpora", False): 0.4}
"""Documents count alike on either side, but for these. What base models wrote is too much like human text to learn
from beside the rest; the corpora are of few kinds.
"""

KNOTS = 24
CERTAIN = 0.02
"""No probability nearer to 0 or 1: unseen sets do not bear it out."""
BAND_WORDS = (100, 200, 400)
TERM_RANGE = (0.005, 0.995)
"""Quantiles between which a term's value counts."""


def fit_weights(samples: Samples, rows: NDArray[np.intp]) -> NDArray[np.int8]:
    """A logistic regression on shares of features, each divided by the square root of its mean share, which makes the
    noise of common and rare ones alike.
    """
    shares = samples.cut.shares[rows]
    scale = 1 / np.sqrt(np.asarray(shares.mean(axis=0)).ravel() + SHARE_FLOOR)
    shares = (shares @ diags(scale.astype(np.float32))).tocsr()
    shares *= np.float32(1 / np.sqrt(np.asarray(shares.multiply(shares).sum(axis=1))).mean())
    synthetic = samples.synthetic[rows]
    weights = fit_logistic(shares, synthetic, side_weights(samples.dataset[rows], synthetic)) * scale
    return quantised(weights)


def side_weights(dataset: NDArray[np.str_], synthetic: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Both sides together weigh 1/2."""
    weights = np.ones(len(dataset))
    for (name, side), weight in SIDE_WEIGHTS.items():
        weights[(dataset == name) & (synthetic == side)] = weight
    for side in (False, True):
        weights[synthetic == side] *= 0.5 / weights[synthetic == side].sum()
    return weights.astype(np.float32)


def fit_logistic(shares: csr_matrix, synthetic: NDArray[np.bool_], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    sign = np.where(synthetic, np.float32(1), np.float32(-1))

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = (shares @ point[:-1].astype(np.float32) + np.float32(point[-1])) * sign
        slope = -weights * sign / (1 + np.exp(np.minimum(margin, 80)))
        value = float((weights * np.logaddexp(0, -margin)).sum()) + PENALTY / 2 * float(point[:-1] @ point[:-1])
        return value, np.append((slope @ shares).astype(np.float64) + PENALTY * point[:-1], slope.sum())

    start = np.zeros(shares.shape[1] + 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "maxcor": 6}).x[:-1]


def quantised(weights: NDArray[np.float64]) -> NDArray[np.int8]:
    largest = np.quantile(np.abs(weights[weights != 0]), 1 - CLIPPED)
    return np.rint(np.clip(weights / largest, -1, 1) * 127).astype(np.int8)


class Calibration:
    """Scores that sets got from a model that had not seen them, and what a calibrator makes of them."""

    def __init__(self, samples: Samples, unseen: Sequence[tuple[NDArray[np.intp], NDArray[np.int8]]]) -> None:
        """`unseen`: the documents of a set, and weights that were fitted without it."""
        parts = [
            (view.scored(weights, rows), samples.synthetic[rows], np.full(len(rows), view is samples.whole))
            for rows, weights in unseen
            for view in (samples.whole, samples.cut)
        ]
        self.columns = {name: np.concatenate([columns[name] for columns, *_ in parts]) for name in parts[0][0]}
        self.synthetic = np.concatenate([synthetic for _, synthetic, _ in parts])
        self.is_whole = np.concatenate([is_whole for *_, is_whole in parts])
        # Every set weighs the same, and in it both sides.
        self.weights = np.concatenate(
            [np.where(synthetic, 0.5 / synthetic.sum(), 0.5 / (~synthetic).sum()) for _, synthetic, _ in parts]
        )

    def fit(self) -> dict[str, Any]:
        """The `calibrator`, `bands` and `reference` of a model."""
        terms = [self._term(name) for name in TERMS]
        values = np.stack([term.contribution(self.columns) for term in terms], axis=1)
        logistic = LogisticRegression(C=0.01, max_iter=1000, tol=1e-8)
        logistic.fit(values, self.synthetic, sample_weight=self.weights * len(values) / self.weights.sum())
        terms = [
            Term(term.name, term.low, term.high, term.centre, float(term.coefficient * coefficient))
            for term, coefficient in zip(terms, logistic.coef_[0], strict=True)
        ]
        intercept = float(logistic.intercept_[0])
        logit = sum((term.contribution(self.columns) for term in terms), np.full(len(values), intercept))
        logits, probabilities = self._table(logit)
        calibrator = {
            "terms": [vars(term) for term in terms],
            "intercept": intercept,
            "logits": logits,
            "probabilities": probabilities,
        }
        return {"calibrator": calibrator, "bands": self._bands(logit), "reference": self._reference(logit)}

    def _term(self, name: str) -> Term:
        """With a coefficient that gives its contribution a standard deviation of 1."""
        value = np.asarray(TERMS[name](self.columns), np.float64)
        known = ~np.isnan(value)
        low, high = (weighted_quantile(value[known], self.weights[known], q) for q in TERM_RANGE)
        held = np.clip(value[known], low, high)
        centre = float(np.average(held, weights=self.weights[known]))
        deviation = float(np.sqrt(np.average((held - centre) ** 2, weights=self.weights[known])))
        return Term(name, low, high, centre, 1 / deviation)

    def _table(self, logit: NDArray[np.float64]) -> tuple[list[float], list[float]]:
        """Isotonic regression over bins of equal weight: the mean logit of each, and a share of synthetic text that
        never falls.
        """
        order = np.argsort(logit, kind="stable")
        place = np.cumsum(self.weights[order]) / self.weights.sum()
        bins = np.minimum((place * KNOTS).astype(int), KNOTS - 1)
        weight = np.bincount(bins, self.weights[order], KNOTS)
        knots = np.bincount(bins, (self.weights * logit)[order], KNOTS) / weight
        share = np.bincount(bins, (self.weights * self.synthetic)[order], KNOTS) / weight
        rising = IsotonicRegression(y_min=CERTAIN, y_max=1 - CERTAIN).fit_transform(knots, share, sample_weight=weight)
        return knots.tolist(), rising.tolist()

    def _bands(self, logit: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Where the shares of `FALSE_POSITIVE_RATES` of human text lie above, each set weighing the same."""
        bands = []
        for begin, end in zip(BAND_WORDS, (*BAND_WORDS[1:], np.inf), strict=True):
            length = self.columns["n_tokens"]
            human = ~self.synthetic & (length >= begin) & (length < end)
            thresholds = [weighted_quantile(logit[human], self.weights[human], 1 - r) for r in FALSE_POSITIVE_RATES]
            bands.append({"from_words": begin, "thresholds": thresholds})
        return bands

    def _reference(self, logit: NDArray[np.float64]) -> dict[str, list[list[int]]]:
        """Histograms of the whole documents' logits, as many as there are, but each set weighing the same."""
        bins = bins_of("synthetic_logit")
        long = self.is_whole & (self.columns["n_tokens"] >= BAND_WORDS[0])
        found = {}
        for name, side in (("human", long & ~self.synthetic), ("synthetic", long & self.synthetic)):
            place = np.clip((logit[side] - bins.low) * bins.scale, 0, bins.count - 1).astype(int)
            weight = np.bincount(place, self.weights[side], bins.count)
            counts = np.rint(weight / weight.sum() * np.count_nonzero(side)).astype(int)
            found[name] = pairs_of(counts)
        return found


def weighted_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], share: float) -> float:
    order = np.argsort(values, kind="stable")
    place = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(np.searchsorted(place, share), len(values) - 1)])


def fit_model(samples: Samples, sets: Sequence[str], left_out: Sequence[str], cache: dict[Any, Any]) -> dict[str, Any]:
    """Weights on all but `left_out`; a calibrator on scores of each other set by weights that had not seen it either.

    `cache` keeps weights by the sets that were left out for them.
    """

    def weights_without(names: Sequence[str]) -> NDArray[np.int8]:
        key = tuple(sorted(names))
        if key not in cache:
            cache[key] = fit_weights(samples, samples.without(key))
        return cache[key]

    usable = samples.without(left_out)
    unseen = [
        (np.intersect1d(usable, samples.rows(name)), weights_without([*left_out, name]))
        for name in sets
        if name not in left_out
    ]
    return {"weights": weights_without(left_out)} | Calibration(samples, unseen).fit()
