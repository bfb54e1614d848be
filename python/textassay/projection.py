"""The nearest distribution that keeps to linear limits: what clashes where there is none, and which it is (docs/mix.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError

STEPS = 500
DAMPING = 1e-2
TOLERANCE = 1e-9
"""Of sums of shares."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limit:
    """coefficients @ q <= bound; or, with `is_cap`, q <= bound * coefficients where those are finite."""

    name: str
    coefficients: Floats
    bound: float
    is_cap: bool = False

    def ceilings(self) -> Floats:
        """Of a cap: the most that each class may have."""
        found = np.full(len(self.coefficients), np.inf)
        held = np.isfinite(self.coefficients)
        found[held] = self.bound * self.coefficients[held]
        return found


@dataclass(frozen=True)
class Conflict:
    """A limit that clashes with others. `needed`: the bound with which all would be well, the others being as they are; None where
    no bound would do.
    """

    limit: Limit
    needed: float | None


@dataclass(frozen=True)
class Projection:
    """`shares` of q; `prices`: for each limit that is no cap by how much the divergence (nats) falls as its bound grows."""

    shares: Floats
    prices: Floats
    divergence: float


def find_conflict(limits: Sequence[Limit], n: int) -> list[Conflict]:
    """Empty if a distribution over n classes keeps to all limits; else an irreducible set of limits that clash: without any one of
    them the others can be kept to (deletion filter: Chinneck & Dravnieks 1991).
    """
    if _least_excess(limits, [], n) is not None:
        return []
    clashing = list(limits)
    for limit in limits:
        others = [one for one in clashing if one is not limit]
        if _least_excess(others, [], n) is None:
            clashing = others
    return [Conflict(limit, _bound_needed(limits, limit, n)) for limit in clashing]


def find_cap_factor(limits: Sequence[Limit], n: int) -> float | None:
    """The least number by which all caps together must be multiplied so that all limits can be kept to, at least 1. None
    where that does not help.
    """
    scaled = [Limit(one.name, one.coefficients * one.bound, 1.0, is_cap=True) if one.is_cap else one for one in limits]
    excess = _least_excess(scaled, [one for one in scaled if one.is_cap], n)
    return None if excess is None else 1 + excess


def _bound_needed(limits: Sequence[Limit], limit: Limit, n: int) -> float | None:
    excess = _least_excess(limits, [limit], n)
    return None if excess is None else limit.bound + excess


def _least_excess(limits: Sequence[Limit], loosened: Sequence[Limit], n: int) -> float | None:
    """By how much the bounds of some limits must grow, all by the same, so that all can be kept to. None where it cannot be done. A linear
    programme over the n shares and that excess.
    """
    try:
        from scipy.optimize import linprog
        from scipy.sparse import csr_array, vstack
    except ImportError as error:
        raise UsageError("planning a mix needs scipy: pip install 'textassay[mix]'") from error
    rows: list[Any] = [csr_array((0, n + 1))]
    bounds: list[float] = []
    for limit in limits:
        excess = -1.0 if any(limit is one for one in loosened) else 0.0
        if limit.is_cap:
            places = np.flatnonzero(np.isfinite(limit.coefficients))
            block = np.zeros((len(places), n + 1))
            block[np.arange(len(places)), places] = 1
            block[:, n] = excess * limit.coefficients[places]
            rows.append(csr_array(block))
            bounds += (limit.bound * limit.coefficients[places]).tolist()
        else:
            rows.append(csr_array(np.append(limit.coefficients, excess)[None, :]))
            bounds.append(limit.bound)
    goal = np.zeros(n + 1)
    goal[n] = 1
    equal = np.append(np.ones(n), 0)[None, :]
    found = linprog(goal, vstack(rows), np.array(bounds), equal, [1.0], [(0, None)] * (n + 1), method="highs")
    return float(found.x[n]) if found.status == 0 else None


def project(natural: Floats, limits: Sequence[Limit]) -> Projection:
    """The distribution q nearest to `natural` that keeps to the limits: the least sum of q log(q / natural) (I-projection: Csiszar 1975).

    `natural` are positive and sum to 1, and some distribution must keep to the limits. By the dual: q = min(cap, natural * exp(m - prices @ coefficients)), m
    making the sum 1. Newton's method, prices held at 0 from below (Bertsekas 1982).
    """
    rows = np.array([limit.coefficients for limit in limits if not limit.is_cap]).reshape(-1, len(natural))
    bounds = np.array([limit.bound for limit in limits if not limit.is_cap])
    caps = np.full(len(natural), np.inf)
    for limit in limits:
        if limit.is_cap:
            caps = np.minimum(caps, limit.ceilings())
    dual = _Dual(natural, np.vstack([-np.ones(len(natural)), rows]), np.append(-1.0, bounds), caps)
    prices = dual.minimised()
    shares = dual.shares(prices)
    shares /= shares.sum()
    held = shares > 0
    divergence = float((shares[held] * np.log(shares[held] / natural[held])).sum())
    return Projection(shares, prices[1:], max(0.0, divergence))


class _Dual:
    """Convex in the prices: sum of conjugate terms + prices @ bounds. Price 0 is of the sum, and free."""

    def __init__(self, natural: Floats, rows: Floats, bounds: Floats, caps: Floats) -> None:
        self._natural, self._rows, self._bounds = natural, rows, bounds
        with np.errstate(divide="ignore"):
            self._ceiling = np.log(caps / natural)
        self._caps = caps

    def shares(self, prices: Floats) -> Floats:
        exponents = -(prices @ self._rows)
        found: Floats = np.where(
            exponents < self._ceiling, self._natural * np.exp(np.minimum(exponents, self._ceiling)), self._caps
        )
        return found

    def value(self, prices: Floats) -> float:
        exponents = -(prices @ self._rows)
        shares = self.shares(prices)
        below = exponents < self._ceiling
        with np.errstate(divide="ignore", invalid="ignore"):
            capped = shares * (exponents - self._ceiling + 1)
        return float(np.where(below, shares, capped).sum() + prices @ self._bounds)

    def minimised(self) -> Floats:
        prices = np.zeros(len(self._bounds))
        free = np.arange(len(prices)) == 0
        for _ in range(STEPS):
            shares = self.shares(prices)
            slope = self._bounds - self._rows @ shares
            moving = free | (prices > 0) | (slope < 0)
            if np.abs(slope[moving]).max() < TOLERANCE / 10:
                break
            step = self._newton_step(prices, shares, slope, moving)
            before = prices
            prices = self._searched(prices, step, slope, free)
            if (prices == before).all():  # no step makes the value less, as floats tell it
                break
        return prices

    def _newton_step(self, prices: Floats, shares: Floats, slope: Floats, moving: NDArray[np.bool_]) -> Floats:
        curved = np.where(-(prices @ self._rows) < self._ceiling, shares, 0.0)
        rows = self._rows[moving]
        hessian = (rows * curved) @ rows.T
        # Limits on the same classes make it singular; so much is added that goes with the slope (Li et al. 2004).
        hessian[np.diag_indices_from(hessian)] += DAMPING * float(np.abs(slope[moving]).max())
        step = np.zeros(len(prices))
        step[moving] = np.linalg.solve(hessian, -slope[moving])
        # Exponents that leap lose all sense: as far as a factor of e^10 at once.
        return step * min(1.0, 10 / max(1e-300, float((np.abs(step) @ np.abs(self._rows)).max())))

    def _searched(self, prices: Floats, step: Floats, slope: Floats, free: NDArray[np.bool_]) -> Floats:
        """Goes along the step, held at 0, as far as the value falls."""
        before, length = self.value(prices), 1.0
        while length > 1e-12:
            tried = np.where(free, prices + length * step, np.maximum(0, prices + length * step))
            if self.value(tried) <= before + 1e-4 * float(slope @ (tried - prices)):
                return tried
            length /= 2
        return prices
