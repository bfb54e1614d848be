"""How far two distributions of tokens lie apart (METRICS, section 6): reference P, current Q.

All of it is read off the joint counts of two profiles. Equal counts give 0, exactly. Logarithms come from libm, one a
pair of counts, and sums are exact, so that the figures are the same on every machine.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.joint_counts import Counts, Floats, JointCounts, PairFunction
from textassay.spectrum import Figure

LN2 = math.log(2)
HALF = 0.5
_SERIES_BELOW = 1e-3
_EXACT_BELOW = 50.0


def jsd_bits(joint: JointCounts) -> Figure:
    """Jensen-Shannon divergence (Lin 1991): (D(P || M) + D(Q || M)) / 2 with M = (P + Q) / 2. Between 0 and 1 bit."""
    return _figure(joint, contribution(joint))


def contribution(joint: JointCounts) -> PairFunction:
    """What a type adds to `jsd_bits`: (p log2(p / m) + q log2(q / m)) / 2, never negative. The types' sum is the whole."""
    n, m = joint.n_reference, joint.n_current

    def bits(a: Counts, b: Counts) -> Floats:
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        return np.fromiter((_divergence(x / n, y / m) for x, y in pairs), np.float64, len(a))

    return bits


def _divergence(p: float, q: float) -> float:
    """With d = (p - q) / (p + q): (p + q) / 4 [(1 + d) log2(1 + d) + (1 - d) log2(1 - d)], in bits."""
    whole = p + q
    if whole == 0:
        return 0.0
    d = abs(p - q) / whole
    if d == 1:
        return whole / 2
    if d < _SERIES_BELOW:  # the logarithms would cancel
        square = d * d
        return whole / 4 * square * (1 + square / 6 + square * square / 15) / LN2
    return whole / 4 * ((1 + d) * math.log1p(d) + (1 - d) * math.log1p(-d)) / LN2


def binned_jsd_bits(reference: NDArray[np.integer], current: NDArray[np.integer]) -> float | None:
    """Of two histograms over the same bins; None where one of them is empty."""
    n, m = int(reference.sum()), int(current.sum())
    if n == 0 or m == 0:
        return None
    pairs = zip(reference.tolist(), current.tolist(), strict=True)
    return math.fsum(_divergence(x / n, y / m) for x, y in pairs)


def kl_bits(joint: JointCounts) -> Figure:
    """Kullback-Leibler divergence of Q against P, D(Q || P), each count raised by a half (Jeffreys' prior) over the V types
    of the union: q = (b + 1/2) / (N_Q + V/2).
    """
    half_types = HALF * joint.n_types
    n, m = joint.n_reference + half_types, joint.n_current + half_types

    def bits(a: Counts, b: Counts) -> Floats:
        pairs = (((x + HALF) / n, (y + HALF) / m) for x, y in zip(a.tolist(), b.tolist(), strict=True))
        return np.fromiter((q * math.log2(q / p) for p, q in pairs), np.float64, len(a))

    return _figure(joint, bits)


def total_variation(joint: JointCounts) -> Figure:
    """Half the sum of |p - q|: the greatest difference in probability that any set of types can have. From 0 to 1."""
    n, m = joint.n_reference, joint.n_current
    return _figure(joint, lambda a, b: np.abs(a / n - b / m) / 2)


def _figure(joint: JointCounts, f: PairFunction) -> Figure:
    return Figure(max(0.0, joint.total(f)), joint.error(f))


def jsd_by_chance(joint: JointCounts) -> float:
    """Jensen-Shannon divergence to be expected if both corpora had drawn their tokens from one distribution.

    Words come in bursts, so that two halves of one corpus lie further apart than this.
    """
    pairs = joint.pairs
    return expected_jsd(pairs.reference + pairs.current, pairs.numbers, joint.n_reference, joint.n_current)


def binned_jsd_by_chance(reference: NDArray[np.integer], current: NDArray[np.integer]) -> float | None:
    """The same of two histograms over the same bins; None where one of them is empty."""
    n, m = int(reference.sum()), int(current.sum())
    both = reference.astype(np.int64) + current.astype(np.int64)
    return expected_jsd(both[both > 0], np.ones(int((both > 0).sum())), n, m) if n and m else None


def expected_jsd(both: Counts, numbers: NDArray[Any], n: int, m: int) -> float:
    """Mean of the divergence where all n + m draws are dealt to the two sides at random. `both`: how often a value was
    drawn by both sides together; `numbers`: how many values were.

    A value drawn t times falls Binomial(t, n / (n + m)) times to the first side. The mean of its contribution is exact where
    less than 50 are expected on the smaller side, above that its limit (1 / n + 1 / m) / (8 ln 2) (Menendez et al. 1997).
    """
    small, large = sorted((n, m))
    totals, places = np.unique(both, return_inverse=True)
    numbers = np.bincount(places, numbers, len(totals))
    means = np.full(len(totals), (1 / small + 1 / large) / (8 * LN2))
    few = totals * (small / (small + large)) < _EXACT_BELOW
    means[few] = _expected_contributions(totals[few].astype(np.float64), small, large)
    return max(0.0, math.fsum((means * numbers).tolist()))


def _expected_contributions(totals: Floats, small: int, large: int) -> Floats:
    """Sum over k of Binomial(k; t, small / (small + large)) times the contribution of k and t - k."""
    share = small / (small + large)
    chance = np.exp(totals * np.log1p(-share))
    mean = np.zeros(len(totals))
    last = int(_EXACT_BELOW + 12 * _EXACT_BELOW**0.5)
    for k in range(last + 1):
        here, there = k / small, np.maximum(totals - k, 0) / large
        whole = here + there
        d = np.abs(here - there) / np.where(whole > 0, whole, 1)
        rest = 1 - d
        logs = (1 + d) * np.log1p(d) + rest * np.log(np.where(rest > 0, rest, 1))
        mean += chance * whole / (4 * LN2) * logs
        chance = chance * np.maximum(totals - k, 0) / (k + 1) * (share / (1 - share))
    return mean
