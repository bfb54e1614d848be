"""Fits detectors: a linear score in int8 over hashed features, and the calibrator that makes a probability of it.

Needs scikit-learn. The shipped detector (tools/train_detector.py) and `calibrate` are fitted by the same functions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, diags
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from textassay.detector import FALSE_POSITIVE_RATES, TERMS, Band, Detector, Term
from textassay.detector_items import BUCKETS, feature_buckets, item_keys
from textassay.errors import UsageError

PENALTY = 1e-5
"""On the squared norm of the linear weights; chosen for the shipped detector by leave-one-data-set-out."""
SHARE_FLOOR = 1e-5
"""Added to a feature's share before its weight is scaled by it: what is rarer does not count for more."""
ITERATIONS = 40
CLIPPED = 0.002
"""The share of weights that int8 cuts off: without it a few common words decide alone."""

KNOTS = 24
CERTAIN = 0.02
"""No probability nearer to 0 or 1: unseen sets do not bear it out."""
LEAST_STEP = 1e-9
"""Bins whose mean logits lie nearer than this are one: what is between them is rounding."""
TERM_RANGE = (0.005, 0.995)
"""Quantiles between which a term's value counts."""
RISING = ("score", "score_by_length")
"""Terms whose coefficient may not be negative: a higher score never lowers a logit."""

Columns = Mapping[str, NDArray[Any]]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


# The linear score


def feature_shares(texts: Iterable[bytes], most_items: int | None = None) -> tuple[csr_matrix, NDArray[np.int64]]:
    """Of the occurrences of all features of a text, the share of each bucket: a row adds up to 1. And their number.

    Of a text at most `most_items` items count.
    """
    found = [np.concatenate(feature_buckets(item_keys(text)[:most_items])).astype(np.int32) for text in texts]
    n_features = np.array([len(buckets) for buckets in found], np.int64)
    shares = np.repeat((1 / np.maximum(n_features, 1)).astype(np.float32), n_features)
    begins = np.concatenate([[0], np.cumsum(n_features)])
    matrix = csr_matrix((shares, np.concatenate(found), begins), (len(found), BUCKETS))
    matrix.sum_duplicates()
    return matrix, n_features


def fit_weights(
    shares: csr_matrix, synthetic: Mask, weights: NDArray[np.float32], penalty: float = PENALTY
) -> NDArray[np.int8]:
    """A logistic regression on shares of features, each divided by the square root of its mean share, which makes the
    noise of common and rare ones alike. `weights` of the documents add up to 1.
    """
    scale = 1 / np.sqrt(np.asarray(shares.mean(axis=0)).ravel() + SHARE_FLOOR)
    scaled = (shares @ diags(scale.astype(np.float32))).tocsr()
    scaled *= np.float32(1 / np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1))).mean())
    return _quantised(_fit_logistic(scaled, synthetic, weights, penalty) * scale)


def _fit_logistic(shares: csr_matrix, synthetic: Mask, weights: NDArray[np.float32], penalty: float) -> Floats:
    sign = np.where(synthetic, np.float32(1), np.float32(-1))

    def loss(point: Floats) -> tuple[float, Floats]:
        margin = (shares @ point[:-1].astype(np.float32) + np.float32(point[-1])) * sign
        slope = -weights * sign / (1 + np.exp(np.minimum(margin, 80)))
        value = float((weights * np.logaddexp(0, -margin)).sum()) + penalty / 2 * float(point[:-1] @ point[:-1])
        return value, np.append((slope @ shares).astype(np.float64) + penalty * point[:-1], slope.sum())

    start = np.zeros(shares.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "maxcor": 6})
    result: Floats = found.x[:-1]
    return result


def _quantised(weights: Floats) -> NDArray[np.int8]:
    largest = np.quantile(np.abs(weights[weights != 0]), 1 - CLIPPED)
    return np.rint(np.clip(weights / largest, -1, 1) * 127).astype(np.int8)


# The calibrator


def fit_calibrator(
    columns: Columns,
    synthetic: Mask,
    weights: Floats,
    *,
    inverse_penalty: float = 0.01,
    certain: float = CERTAIN,
    is_isotonic: bool = True,
) -> dict[str, Any]:
    """The `calibrator` of a model: `terms`, `intercept`, and the pairs of `logits` and `probabilities`.

    A logistic regression over the terms that vary, then isotonic regression over bins of the logit, or Platt's sigmoid
    (Platt 1999). Raises `UsageError` where no term varies.
    """
    terms = [term for name in TERMS if (term := _term(name, columns, weights)) is not None]
    if not terms:
        raise UsageError("all documents have the same score: nothing can be fitted")
    terms, intercept = _fitted_terms(terms, columns, synthetic, weights, inverse_penalty)
    logit = logit_of(terms, intercept, columns)
    mean, share, weight = _bins(logit, synthetic, weights)
    if len(mean) < 2:
        raise UsageError("all documents have the same logit: nothing can be fitted")
    if is_isotonic:
        rising = IsotonicRegression(y_min=certain, y_max=1 - certain).fit_transform(mean, share, sample_weight=weight)
    else:
        rising = _sigmoid_at(mean, logit, synthetic, weights).clip(certain, 1 - certain)
    return {
        "terms": [vars(term) for term in terms],
        "intercept": intercept,
        "logits": mean.tolist(),
        "probabilities": rising.tolist(),
    }


def logit_of(terms: Sequence[Term], intercept: float, columns: Columns) -> Floats:
    return sum((term.contribution(columns) for term in terms), np.full(len(columns["n_tokens"]), intercept))


def _term(name: str, columns: Columns, weights: Floats) -> Term | None:
    """With a coefficient that gives its contribution a standard deviation of 1; None of what does not vary."""
    value = np.asarray(TERMS[name](columns), np.float64)
    known = ~np.isnan(value)
    if not weights[known].sum() > 0:
        return None
    low, high = (weighted_quantile(value[known], weights[known], q) for q in TERM_RANGE)
    if low == high:
        return None
    held = np.clip(value[known], low, high)
    centre = float(np.average(held, weights=weights[known]))
    deviation = float(np.sqrt(np.average((held - centre) ** 2, weights=weights[known])))
    return Term(name, low, high, centre, 1 / deviation)


def _fitted_terms(
    terms: list[Term], columns: Columns, synthetic: Mask, weights: Floats, inverse_penalty: float
) -> tuple[list[Term], float]:
    """Terms that would fall where they must rise get 0, and the others are fitted again without them."""
    fitted = list(terms)
    while True:
        values = np.stack([term.contribution(columns) for term in fitted], axis=1)
        logistic = LogisticRegression(C=inverse_penalty, max_iter=1000, tol=1e-8)
        logistic.fit(values, synthetic, sample_weight=weights * len(values) / weights.sum())
        factors = dict(zip((term.name for term in fitted), logistic.coef_[0].tolist(), strict=True))
        falling = [name for name in RISING if factors.get(name, 0.0) < 0]
        if not falling:
            break
        fitted = [term for term in fitted if term.name not in falling]
        if not fitted:
            factors, logistic.intercept_ = {}, np.zeros(1)
            break
    scaled = [Term(t.name, t.low, t.high, t.centre, float(t.coefficient * factors.get(t.name, 0.0))) for t in terms]
    return scaled, float(logistic.intercept_[0])


def _bins(logit: Floats, synthetic: Mask, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Bins of equal weight: the mean logit of each, its share of synthetic text, its weight. No two have one mean."""
    order = np.argsort(logit, kind="stable")
    place = np.cumsum(weights[order]) / weights.sum()
    bins = np.minimum((place * KNOTS).astype(int), KNOTS - 1)
    sums = [np.bincount(bins, values[order], KNOTS) for values in (weights, weights * logit, weights * synthetic)]
    sums = [values[sums[0] > 0] for values in sums]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(sums[1] / sums[0]) > LEAST_STEP]))
    weight, logits, share = (np.add.reduceat(values, starts) for values in sums)
    return logits / weight, share / weight, weight


def _sigmoid_at(places: Floats, logit: Floats, synthetic: Mask, weights: Floats) -> Floats:
    platt = LogisticRegression(C=1e6, max_iter=1000, tol=1e-8)
    platt.fit(logit[:, None], synthetic, sample_weight=weights * len(logit) / weights.sum())
    slope = max(float(platt.coef_[0, 0]), 0.0)
    result: Floats = 1 / (1 + np.exp(-(slope * places + float(platt.intercept_[0]))))
    return result


def weighted_quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    place = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(np.searchsorted(place, share), len(values) - 1)])


def detector_of(
    model: Mapping[str, Any],
    weights: NDArray[np.int8],
    name: str,
    rates: Sequence[float] = FALSE_POSITIVE_RATES,
) -> Detector:
    """A detector of a `model`'s `calibrator` and `bands`."""
    calibrator = model["calibrator"]
    return Detector(
        name=name,
        weights=weights,
        terms=tuple(Term(**term) for term in calibrator["terms"]),
        intercept=calibrator["intercept"],
        logits=tuple(calibrator["logits"]),
        probabilities=tuple(calibrator["probabilities"]),
        bands=tuple(Band(band["from_words"], tuple(band["thresholds"])) for band in model["bands"]),
        digest="",
        false_positive_rates=tuple(rates),
        fpr=rates[0],
    )
