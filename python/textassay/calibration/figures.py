"""What a score is worth: areas, rates, intervals. Nothing here knows where the scores come from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ECE_BINS = 10
LEAST_DOCUMENTS = 20
"""Of fewer documents of one side no area is given: its interval would say nothing."""
Z95 = 1.959963984540054
ROC_RATES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, *(i / 20 for i in range(2, 21)))

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


def auroc(synthetic: Mask, score: Scores) -> float:
    """Mann-Whitney; ties count half. NaN where one side is missing."""
    ranks = np.searchsorted(np.sort(score), score, "left") + np.searchsorted(np.sort(score), score, "right")
    n, m = synthetic.sum(), (~synthetic).sum()
    return float((ranks[synthetic].sum() / 2 - n * n / 2) / (n * m)) if n and m else np.nan


def auroc_interval(synthetic: Mask, score: Scores, group: NDArray[np.integer[Any]]) -> tuple[float, float]:
    """95 % interval of `auroc`, for documents that come in groups (Obuchowski 1997).

    Where every document is its own group this is the variance of DeLong, DeLong & Clarke-Pearson (1988). The interval is
    taken over the logit of the area (Pepe 2003), so it stays within 0 and 1. Sides that do not overlap have no variance:
    then as many disjoint pairs as the smaller side has groups came out alike, and the bound is that of Clopper & Pearson.
    """
    area, variance, n_pairs = _area_and_variance(synthetic, score, group)
    if variance <= 0 or not 0 < area < 1:
        bound = 0.025 ** (1 / n_pairs)
        return (bound, 1.0) if area > 0.5 else (0.0, 1 - bound)
    middle, half = np.log(area / (1 - area)), Z95 * np.sqrt(variance) / (area * (1 - area))
    return float(1 / (1 + np.exp(half - middle))), float(1 / (1 + np.exp(-half - middle)))


def _area_and_variance(synthetic: Mask, score: Scores, group: NDArray[np.integer[Any]]) -> tuple[float, float, int]:
    """And the number of groups on the smaller side."""
    above, below = _beaten(score[synthetic], score[~synthetic]), 1 - _beaten(score[~synthetic], score[synthetic])
    area, m, n = float(above.mean()), len(above), len(below)
    places = np.unique(group, return_inverse=True)[1]
    count = int(places.max()) + 1
    deviations, sums = [], []
    for values, members in ((above, places[synthetic]), (below, places[~synthetic])):
        size = np.bincount(members, minlength=count)
        deviation = np.bincount(members, values, count) - size * area
        n_groups = int((size > 0).sum())
        deviations.append(deviation)
        sums.append((n_groups / max(n_groups - 1, 1) * float(deviation @ deviation), n_groups))
    (own_synthetic, groups_synthetic), (own_human, groups_human) = sums
    both = count / max(count - 1, 1) * float(deviations[0] @ deviations[1])
    variance = own_synthetic / m**2 + own_human / n**2 + 2 * both / (m * n)
    return area, variance, min(groups_synthetic, groups_human)


def _beaten(score: Scores, others: Scores) -> Scores:
    """The share of `others` below each score; equal ones count half."""
    ordered = np.sort(others)
    places = np.searchsorted(ordered, score, "left") + np.searchsorted(ordered, score, "right")
    result: Scores = places / (2 * len(others))
    return result


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson 1927); None of nothing."""
    if n == 0:
        return None
    share, spread = hits / n, Z95 * Z95 / n
    middle, half = share + spread / 2, np.sqrt(spread * (share * (1 - share) + spread / 4))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    # At the ends the formula gives 0 and 1 up to rounding.
    return (0.0 if hits == 0 else float(low)), (1.0 if hits == n else float(high))


def share_of(hits: int, n: int) -> dict[str, Any]:
    """`share` (None of nothing), `interval`, `hits`, `n`."""
    interval = wilson(hits, n)
    return {
        "share": hits / n if n else None,
        "interval": None if interval is None else list(interval),
        "hits": hits,
        "n": n,
    }


def decisions(synthetic: Mask, suspected: Mask) -> dict[str, Any]:
    """`recall`, `fpr` and `precision` of verdicts, each as `share_of` gives it."""
    hits, alarms = int((suspected & synthetic).sum()), int((suspected & ~synthetic).sum())
    return {
        "recall": share_of(hits, int(synthetic.sum())),
        "fpr": share_of(alarms, int((~synthetic).sum())),
        "precision": share_of(hits, hits + alarms),
    }


def area_of(synthetic: Mask, score: Scores, group: NDArray[np.integer[Any]]) -> dict[str, Any]:
    """`auroc` and `auroc_interval`; both None where a side has fewer than `LEAST_DOCUMENTS`."""
    if min(synthetic.sum(), (~synthetic).sum()) < LEAST_DOCUMENTS:
        return {"auroc": None, "auroc_interval": None}
    return {"auroc": auroc(synthetic, score), "auroc_interval": list(auroc_interval(synthetic, score, group))}


def roc_points(synthetic: Mask, score: Scores, rates: Sequence[float] = ROC_RATES) -> list[dict[str, float]]:
    """The curve at chosen shares of human documents above the threshold: `fpr`, `recall`, `threshold`.

    `fpr` is the share that is really above, at most the one asked for.
    """
    human = np.sort(score[~synthetic])
    points = []
    for rate in rates:
        # The epsilon keeps 0.05 * 60 from falling below 3.
        allowed = min(int(rate * len(human) + 1e-9), len(human))
        threshold = human[len(human) - 1 - allowed] if allowed < len(human) else np.nextafter(score.min(), -np.inf)
        above = score > threshold
        points.append(
            {
                "fpr": float(above[~synthetic].mean()),
                "recall": float(above[synthetic].mean()),
                "threshold": float(threshold),
            }
        )
    return points


def even_weights(synthetic: Mask) -> Scores:
    """Both sides weigh 1/2."""
    return np.where(synthetic, 0.5 / synthetic.sum(), 0.5 / (~synthetic).sum())


def calibration_bins(probability: Scores) -> NDArray[np.intp]:
    """Bins of equal width."""
    return np.minimum((probability * ECE_BINS).astype(np.intp), ECE_BINS - 1)


def calibration_error(synthetic: Mask, probability: Scores, weights: Scores) -> float:
    """Expected calibration error over bins of equal width; the weights add up to 1."""
    gaps = np.bincount(calibration_bins(probability), weights * (probability - synthetic), ECE_BINS)
    return float(np.abs(gaps).sum())


def reliability(synthetic: Mask, probability: Scores, weights: Scores) -> list[dict[str, float]]:
    """Of every bin that holds documents: `low`, `high`, `weight` (share of all), mean `probability`, and how much was
    `synthetic` in fact.
    """
    bins = calibration_bins(probability)
    weight = np.bincount(bins, weights, ECE_BINS)
    means = [np.bincount(bins, weights * values, ECE_BINS) for values in (probability, synthetic)]
    return [
        {
            "low": i / ECE_BINS,
            "high": (i + 1) / ECE_BINS,
            "weight": float(weight[i] / weight.sum()),
            "probability": float(means[0][i] / weight[i]),
            "synthetic": float(means[1][i] / weight[i]),
        }
        for i in np.flatnonzero(weight > 0).tolist()
    ]
