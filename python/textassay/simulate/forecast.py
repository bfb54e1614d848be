"""At which generation a gate would trip."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

LEAST = 3
"""Generations behind the first that a forecast needs."""


@dataclass(frozen=True)
class Forecast:
    """`generation`: the first at which `figure` is below `limit`; None: not within `horizon` generations.

    `observed`: it was simulated. Otherwise the straight line figure = a + b log2(generation) through the later half of the
    generations says so, fitted by least squares; `reason` says why there is no answer at all.
    """

    figure: str
    limit: float
    horizon: int
    generation: int | None
    observed: bool
    slope: float | None
    """b: what a doubling of the generations adds to the figure."""
    reason: str = ""

    def report(self) -> dict[str, Any]:
        return asdict(self)


def forecast(figure: str, values: Sequence[float | None], limit: float, horizon: int) -> Forecast:
    """`values`: of the generations from 0 on."""
    known = [(g, value) for g, value in enumerate(values) if value is not None]
    for g, value in known:
        if value < limit:
            return Forecast(figure, limit, horizon, g, True, None)
    later = [(g, value) for g, value in known if g >= max(1, (len(values) - 1) // 2)]
    if len(later) < LEAST:
        return Forecast(figure, limit, horizon, None, False, None, f"a forecast needs {LEAST} later generations")
    level, slope = _line([(math.log2(g), value) for g, value in later])
    if slope >= 0:
        return Forecast(figure, limit, horizon, None, False, slope)
    # Below, not at the limit; and never before what has been seen.
    exponent = (limit - level) / slope
    tripped = max(len(values), math.floor(2.0**exponent) + 1) if exponent < math.log2(horizon + 1) else horizon + 1
    return Forecast(figure, limit, horizon, tripped if tripped <= horizon else None, False, slope)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Level at 0 and slope."""
    n = len(points)
    mean_x, mean_y = (math.fsum(point[k] for point in points) / n for k in (0, 1))
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope
