"""What is read off a signal's histogram: mean, standard deviation, quantiles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from textassay.signals import bins_of, is_integer

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

FIXED_POINT = 1 << 32
"""Sums of float signals are held in units of 2^-32."""


def describe(signal: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """`n` (values), `null`, `mean`, `sd` (population), `quantiles` and `bin_widths`.

    `state` is a backend's SignalState. A quantile p is the lower edge of the bin that holds the ceil(p n)-th
    smallest value, so the value itself lies less than `bin_widths[p]` above (at it, where that is 0); a width of
    null is that of the last, open bin. Mean and standard deviation come from exact integer sums and know no bins.
    Everything is None where there is no value.
    """
    bins = np.asarray(state["bins"], np.uint64)
    n = int(bins.sum())
    mean, sd = _moments(n, int(state["sum"]), int(state["sum_squares"]), 1 if is_integer(signal) else FIXED_POINT)
    quantiles, widths = _quantiles(signal, bins)
    return {"n": n, "null": int(state["nulls"]), "mean": mean, "sd": sd, "quantiles": quantiles, "bin_widths": widths}


def _moments(n: int, total: int, squares: int, unit: int) -> tuple[float | None, float | None]:
    if n == 0:
        return None, None
    # Integers up to here: n * squares - total^2 cancels badly in floats.
    spread = n * squares - total * total
    return total / (n * unit), math.sqrt(spread) / (n * unit)


def quantile(signal: str, bins: np.ndarray, percent: int) -> float | None:
    """The lower edge of the bin of the quantile; None where there is no value."""
    return _quantile(signal, np.cumsum(bins, dtype=np.uint64), percent)[0]


def _quantiles(signal: str, bins: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    seen = np.cumsum(bins)
    found = {str(percent / 100): _quantile(signal, seen, percent) for percent in PERCENTILES}
    return {key: value for key, (value, _) in found.items()}, {key: width for key, (_, width) in found.items()}


def _quantile(signal: str, seen: np.ndarray, percent: int) -> tuple[float | None, float | None]:
    """Of cumulated bins: a value and the width of its bin."""
    n = int(seen[-1])
    if n == 0:
        return None, None
    rank = -(-percent * n // 100)
    lower, upper = bins_of(signal).edges(int(np.searchsorted(seen, np.uint64(rank))))
    return lower, None if upper is None else upper - lower
