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

    `observed`: it was simulated. Otherwise it is extrapolated: each generation is taken to keep the same share of the figure
    as those of the later half did on the average. `reason` says why there is no answer at all.
    """

    figure: str
    limit: float
    horizon: int
    generation: int | None
    observed: bool
    kept: float | None
    """That share: from a straight line through the logarithms of the figure, by least squares."""
    reason: str = ""

    def report(self) -> dict[str, Any]:
        return asdict(self)


def forecast(figure: str, values: Sequence[float | None], limit: float, horizon: int) -> Forecast:
    """`values`: of the generations from 0 on."""
    known = [(g, value) for g, value in enumerate(values) if value is not None]
    for g, value in known:
        if value < limit:
            return Forecast(figure, limit, horizon, g, True, None)
    later = [(g, math.log2(value)) for g, value in known if g >= max(1, (len(values) - 1) // 2) and value > 0]
    if len(later) < LEAST:
        return Forecast(figure, limit, horizon, None, False, None, f"a forecast needs {LEAST} later generations")
    level, slope = _line(later)
    tripped = None
    if slope < 0 < limit:
        # Below, not at the limit; and never among the generations that have been seen.
        crossing = min((math.log2(limit) - level) / slope, float(horizon))
        tripped = max(len(values), math.floor(crossing) + 1)
    return Forecast(figure, limit, horizon, tripped if tripped and tripped <= horizon else None, False, 2.0**slope)


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Level at 0 and slope."""
    n = len(points)
    mean_x, mean_y = (math.fsum(point[k] for point in points) / n for k in (0, 1))
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y - slope * mean_x, slope
