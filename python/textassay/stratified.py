"""Estimates for a whole corpus from a stratified sample of labelled documents (docs/sample.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054

Mask = NDArray[np.bool_]
Indicator = Callable[[Mask, Mask], Mask]
"""From labels and predictions, which documents count."""


@dataclass(frozen=True)
class LabelledStratum:
    """`documents` in all; of the labelled ones, drawn at random, which are synthetic and which were predicted to be."""

    documents: int
    synthetic: Mask
    predicted: Mask


@dataclass(frozen=True)
class Estimate:
    """A share with a 95 % interval. `n_effective`: of so many documents drawn from the whole corpus it would be as certain."""

    value: float
    low: float
    high: float
    n_effective: float


def estimate_ratio(strata: Sequence[LabelledStratum], part: Indicator, whole: Indicator) -> Estimate | None:
    """The share of the corpus's documents of `whole` that are of `part`, which are among them. None where none is of `whole`.

    Ratio of two totals, each the sum over strata of N_h / n_h times the documents counted (Horvitz & Thompson 1952). Interval: Wilson's
    (1927) for n_effective documents (Korn & Graubard 1998): those of which a simple sample would have the ratio's linearised variance (Cochran 1977,
    sections 5A and 6.13), with the finite population's correction. A stratum of which all that was seen is alike would have no variance at all, whatever is
    in the rest of it: so for the variance, and for it alone, each stratum has two documents more for each prediction that occurs in it, one
    human and one synthetic (Agresti & Coull 1998). With one stratum the interval is Wilson's own.
    """
    a = sum(s.documents * part(s.synthetic, s.predicted).mean() for s in strata)
    b = sum(s.documents * whole(s.synthetic, s.predicted).mean() for s in strata)
    if not b:
        return None
    n_effective = _n_effective(strata, part, whole)
    return Estimate(float(a / b), *wilson(float(a / b), n_effective), n_effective)


def _n_effective(strata: Sequence[LabelledStratum], part: Indicator, whole: Indicator) -> float:
    a, b, counted = 0.0, 0.0, []
    for stratum in strata:
        synthetic, predicted = _with_two_more(stratum)
        own = part(synthetic, predicted).astype(float), whole(synthetic, predicted).astype(float)
        counted.append(own)
        a += stratum.documents * own[0].mean()
        b += stratum.documents * own[1].mean()
    variance = 0.0
    for stratum, (of_part, of_whole) in zip(strata, counted, strict=True):
        n = len(stratum.synthetic)
        residual = of_part - a / b * of_whole
        variance += stratum.documents * (stratum.documents - n) * residual.var() / n
    return float(a / b * (1 - a / b) * b * b / variance) if variance else inf


def _with_two_more(stratum: LabelledStratum) -> tuple[Mask, Mask]:
    kinds = np.unique(stratum.predicted)
    synthetic = np.concatenate([stratum.synthetic, np.tile([False, True], len(kinds))])
    return synthetic, np.concatenate([stratum.predicted, np.repeat(kinds, 2)])


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share seen among n (Wilson 1927)."""
    if n == inf:
        return share, share
    z2 = Z95 * Z95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


@dataclass(frozen=True)
class Agreement:
    """Of two who labelled the same n documents: the share on which they agree, and kappa with a 95 % interval; None where chance alone
    would let them agree always.
    """

    n: int
    agreed: float
    kappa: float | None
    low: float | None
    high: float | None


def agreement(first: Mask, second: Mask) -> Agreement:
    """Cohen's kappa (1960), its large-sample standard error by Fleiss, Cohen & Everitt (1969). At least one document."""
    n = len(first)
    cells = np.array([[np.sum((first == i) & (second == j)) for j in (False, True)] for i in (False, True)]) / n
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    agreed, by_chance = float(np.trace(cells)), float(rows @ columns)
    if by_chance == 1:
        return Agreement(n, agreed, None, None, None)
    kappa = (agreed - by_chance) / (1 - by_chance)
    on = sum(cells[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in (0, 1))
    off = (1 - kappa) ** 2 * sum(cells[i, 1 - i] * (columns[i] + rows[1 - i]) ** 2 for i in (0, 1))
    variance = (on + off - (kappa - by_chance * (1 - kappa)) ** 2) / (n * (1 - by_chance) ** 2)
    half = Z95 * sqrt(max(0.0, variance))
    return Agreement(n, agreed, kappa, max(-1.0, kappa - half), min(1.0, kappa + half))
