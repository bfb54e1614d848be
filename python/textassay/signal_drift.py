"""How the distributions of document signals differ between two profiles, from their fixed-bin histograms.

The histograms are exact, so each figure here is that of the documents' values rounded down to their bins.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.distribution import describe
from textassay.divergence import binned_jsd_bits, binned_jsd_by_chance
from textassay.multiple_tests import false_discovery_rates
from textassay.profile import Profile
from textassay.signals import ANCHOR_SIGNALS, DETECTOR_SIGNALS

GROUPS = 32

_TERMS = 20


@dataclass(frozen=True)
class SignalDrift:
    """One signal in both corpora. Figures over documents that have a value; None where a side has none."""

    signal: str
    cliffs_delta: float | None
    """P(current > reference) - P(current < reference) of a document each (Cliff 1993): from -1 to 1, 0 if unmoved."""
    quantile_shift: float | None
    """From the reference's median to the current corpus's, in quantiles of the reference: 0.2 if half of the current
    documents lie above 70 % of the reference's. Documents of a median's own bin count by half.
    """
    mean_shift: float | None
    """Difference of the means in standard deviations of the reference (Glass 1976)."""
    jsd_bits: float | None
    """Jensen-Shannon divergence of the histograms: bins taken together to at most GROUPS of about equal parts of both corpora,
    documents without a value in one of their own.
    """
    jsd_by_chance_bits: float | None
    """What is to be expected of it if both were documents of one distribution (`divergence.expected_jsd`)."""
    ks_statistic: float | None
    """Greatest difference of the cumulative distributions at a bin's edge."""
    ks_p_value: float | None
    """Kolmogorov's limit for two samples (Smirnov 1948): values in one bin are ties, so it is rather too great."""
    ks_q_value: float | None
    """The p-value adjusted for the number of signals (Benjamini & Hochberg 1995)."""
    reference: dict[str, Any]
    """`n`, `null`, `mean`, `median`, `low` (5 %), `high` (95 %)."""
    current: dict[str, Any]

    def figures(self) -> dict[str, float | None]:
        """All but the descriptions of both sides."""
        return {name: value for name, value in vars(self).items() if name not in ("signal", "reference", "current")}


def signal_drifts(reference: Profile, current: Profile) -> tuple[list[SignalDrift], dict[str, str]]:
    """Of each signal that both measured alike, in the profile's order; and why others were left out, by name."""
    compared, left_out = [], {}
    for signal in reference.configuration.signals:
        reason = _unlike(reference, current, signal)
        if reason is None:
            compared.append(_drift(reference, current, signal))
        else:
            left_out[signal] = reason
    missing = "the reference does not measure it"
    left_out |= {name: missing for name in current.configuration.signals if name not in reference.configuration.signals}
    return _adjusted(compared), left_out


def _unlike(reference: Profile, current: Profile, signal: str) -> str | None:
    mine, theirs = reference.configuration, current.configuration
    if signal not in theirs.signals:
        return "the current corpus does not measure it"
    kinds = {"markers": ("marker_rate",), "anchor": ANCHOR_SIGNALS, "detector": DETECTOR_SIGNALS}
    for kind, signals in kinds.items():
        if signal in signals and getattr(mine, kind) != getattr(theirs, kind):
            return f"measured with another {'marker lexicon' if kind == 'markers' else kind}"
    return None


def _drift(reference: Profile, current: Profile, signal: str) -> SignalDrift:
    bins = [profile.histogram(signal) for profile in (reference, current)]
    about = [_about(signal, profile.state.signal(signal)) for profile in (reference, current)]
    groups = [np.append(one, side["null"]) for one, side in zip(grouped(*bins), about, strict=True)]
    jsd, by_chance = binned_jsd_bits(*groups), binned_jsd_by_chance(*groups)
    if not about[0]["n"] or not about[1]["n"]:
        return SignalDrift(signal, None, None, None, jsd, by_chance, None, None, None, *about)
    statistic = ks_statistic(*bins)
    p_value = ks_p_value(statistic, about[0]["n"], about[1]["n"])
    delta, quantiles = cliffs_delta(*bins), _quantile_shift(*bins)
    shift = about[1]["mean"] - about[0]["mean"]
    mean_shift = 0.0 if shift == 0 else shift / about[0]["sd"] if about[0]["sd"] else None
    return SignalDrift(signal, delta, quantiles, mean_shift, jsd, by_chance, statistic, p_value, None, *about)


def _about(signal: str, state: Any) -> dict[str, Any]:
    found = describe(signal, state)
    quantiles = {name: found["quantiles"][p] for name, p in (("median", "0.5"), ("low", "0.05"), ("high", "0.95"))}
    return {name: found[name] for name in ("n", "null", "mean", "sd")} | quantiles


def grouped(reference: NDArray[np.uint64], current: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both histograms over at most GROUPS neighbouring bins each: in bins as fine as a profile's, two samples of one
    distribution differ by chance more than most distributions do.
    """
    sides = [bins.astype(np.int64) for bins in (reference, current)]
    if not all(bins.any() for bins in sides):
        return sides[0], sides[1]
    parts = sum(bins / bins.sum() for bins in sides)
    before = np.concatenate([[0.0], np.cumsum(parts)[:-1]])
    starts = np.unique(np.searchsorted(before, np.arange(GROUPS) * 2 / GROUPS, side="right") - 1)
    return np.add.reduceat(sides[0], starts), np.add.reduceat(sides[1], starts)


def ks_statistic(reference: NDArray[np.uint64], current: NDArray[np.uint64]) -> float:
    """Kolmogorov-Smirnov's D of two histograms over the same bins, neither empty."""
    n, m = int(reference.sum()), int(current.sum())
    below = zip(np.cumsum(reference).tolist(), np.cumsum(current).tolist(), strict=True)
    return max(abs(a * m - b * n) for a, b in below) / (n * m)


def ks_p_value(statistic: float, n: int, m: int) -> float:
    """2 sum over k >= 1 of (-1)^(k-1) exp(-2 k^2 x^2), x = D sqrt(n m / (n + m)); for small x by Jacobi's identity."""
    x = statistic * math.sqrt(n * m / (n + m))
    if x < 0.2:
        return 1.0  # to within 1e-12
    if x < 1:
        unit = math.pi**2 / (8 * x * x)
        return 1 - math.sqrt(2 * math.pi) / x * math.fsum(math.exp(-((2 * k - 1) ** 2) * unit) for k in range(1, 8))
    terms = ((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, _TERMS))
    return min(1.0, 2 * math.fsum(terms))


def cliffs_delta(reference: NDArray[np.uint64], current: NDArray[np.uint64]) -> float:
    """P(current > reference) - P(current < reference) of a value each; neither histogram is empty."""
    wins, below, n = 0, 0, int(reference.sum())
    for a, b in zip(reference.tolist(), current.tolist(), strict=True):
        wins += b * (below - (n - below - a))
        below += a
    return wins / (n * int(current.sum()))


def _quantile_shift(reference: NDArray[np.uint64], current: NDArray[np.uint64]) -> float:
    below = np.cumsum(reference).tolist()

    def quantile(place: int) -> int:
        return 2 * below[place] - int(reference[place])

    return (quantile(_median_bin(current)) - quantile(_median_bin(reference))) / (2 * below[-1])


def _median_bin(bins: NDArray[np.uint64]) -> int:
    seen = np.cumsum(bins)
    return int(np.searchsorted(seen, (seen[-1] + np.uint64(1)) // np.uint64(2)))


def _adjusted(drifts: list[SignalDrift]) -> list[SignalDrift]:
    tested = [drift.ks_p_value for drift in drifts if drift.ks_p_value is not None]
    adjusted = iter(false_discovery_rates(np.array(tested)).tolist())
    return [drift if drift.ks_p_value is None else replace(drift, ks_q_value=next(adjusted)) for drift in drifts]
