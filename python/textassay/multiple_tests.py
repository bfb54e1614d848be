"""P-values of many tests at once."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def false_discovery_rates(
    p_values: Floats, numbers: NDArray[np.integer] | None = None, n_tests: float | None = None
) -> Floats:
    """Adjusted p-values (q-values) of Benjamini & Hochberg 1995: of the tests with a q-value up to x, about a part x or less
    is expected to be significant by chance.

    `p_values`: shape (n,), without NaN. `numbers`: how many tests share each, one by default. `n_tests`: all tests that
    were made, if these are only a part.
    """
    n = len(p_values)
    order = np.argsort(p_values, kind="stable")
    ranks = np.arange(1, n + 1) if numbers is None else np.cumsum(numbers[order])
    if n_tests is None:
        n_tests = float(ranks[-1]) if n else 0.0
    adjusted = np.empty(n)
    scaled = p_values[order] * (n_tests / ranks)
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(0, 1)
    return adjusted
