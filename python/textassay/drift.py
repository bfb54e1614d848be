"""A downward drift of a figure that is measured again and again: a one-sided CUSUM chart (Page 1954)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from textassay.errors import UsageError

WINSOR = 4.0
"""No single value counts for more standard deviations than this (Hawkins 1993): one odd batch is no drift."""

HEADROOM = 2.0
"""The sum stops at so many thresholds, so that the flag goes down in time after a recovery."""


@dataclass(frozen=True)
class DriftSettings:
    """`slack` and `threshold` are in standard deviations, `least_sd` in the figure's own unit.

    `baseline_size` values teach mean and standard deviation, unless `baseline` (mean, standard deviation) gives them.
    A drift by `slack` or less is let be. With the default of 0.5 and 10, values that are independent and normal raise a
    false alarm once in 140,000 on average where the baseline is known (Siegmund 1985), and a drop by one standard
    deviation is flagged after about 20 values.
    """

    baseline: tuple[float, float] | None = None
    baseline_size: int = 200
    slack: float = 0.5
    threshold: float = 10.0
    least_sd: float = 0.01

    def __post_init__(self) -> None:
        if self.baseline is not None:
            try:
                mean, sd = map(float, self.baseline)
            except (TypeError, ValueError):
                raise UsageError(f"baseline={self.baseline!r}: wanted mean and standard deviation") from None
            if not (math.isfinite(mean) and 0 <= sd < math.inf):
                raise UsageError(f"baseline={self.baseline!r}: wanted a mean, and a standard deviation from 0")
            object.__setattr__(self, "baseline", (mean, sd))
        if self.baseline_size < 3:
            raise UsageError(f"baseline_size={self.baseline_size}: wanted at least 3")
        if not 0 <= self.slack < math.inf:
            raise UsageError(f"slack={self.slack}: wanted standard deviations, from 0")
        for name in ("threshold", "least_sd"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name}={getattr(self, name)}: wanted a number above 0")


class DownwardDrift:
    """S = max(0, S + z - slack), z = (mean - x) / sd; a drift is flagged while S > threshold.

    As long as the baseline is being learnt, and for its uncertainty afterwards, z is the normal score of the t statistic
    of the next value (self-starting CUSUM, Hawkins 1987; the score by Wallace 1959), so the chart works from the third
    value on. What has been learnt then stays: a baseline that followed would follow a slow drift, too.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self.settings = settings
        self.n_learnt = 0
        self.mean = self.squares = self.statistic = 0.0

    @property
    def is_flagged(self) -> bool:
        return self.statistic > self.settings.threshold

    def update(self, value: float) -> bool:
        """Takes the next value. Returns whether a drift is flagged."""
        score = self._score(value)
        if self.settings.baseline is None and self.n_learnt < self.settings.baseline_size:
            self._learn(value)
        grown = self.statistic + min(max(score, -WINSOR), WINSOR) - self.settings.slack
        self.statistic = min(max(0.0, grown), HEADROOM * self.settings.threshold)
        return self.is_flagged

    def _score(self, value: float) -> float:
        if self.settings.baseline is not None:
            mean, sd = self.settings.baseline
            return (mean - value) / max(sd, self.settings.least_sd)
        if self.n_learnt < 2:
            return 0.0
        freedom = self.n_learnt - 1
        sd = max(math.sqrt(self.squares / freedom), self.settings.least_sd)
        return _normal_score((self.mean - value) / (sd * math.sqrt(1 + 1 / self.n_learnt)), freedom)

    def _learn(self, value: float) -> None:
        self.n_learnt += 1
        step = value - self.mean
        self.mean += step / self.n_learnt
        self.squares += step * (value - self.mean)

    def state_dict(self) -> dict[str, Any]:
        """All that is to be kept, as JSON can hold it."""
        settings = asdict(self.settings)
        if self.settings.baseline is not None:
            settings["baseline"] = list(self.settings.baseline)
        return {"settings": settings} | {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there. Raises `UsageError` where the state is not one of the same settings."""
        try:
            known = {field.name for field in fields(DriftSettings)}
            kept = dict(state["settings"])
            if set(state) != {"settings", *_STATE} or set(kept) != known:
                raise ValueError("unknown or missing keys")
            if kept["baseline"] is not None:
                kept["baseline"] = tuple(kept["baseline"])
            found = DriftSettings(**kept)
            values = {name: kind(state[name]) for name, kind in _STATE.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"wanted the state of a drift chart: {error}") from error
        if found != self.settings:
            raise UsageError(f"the state is of {found}, this chart of {self.settings}")
        for name, value in values.items():
            setattr(self, name, value)


_STATE = {"n_learnt": int, "mean": float, "squares": float, "statistic": float}


def _normal_score(t: float, freedom: int) -> float:
    """Of a t statistic, by Wallace (1959): within 0.02 from five degrees of freedom on."""
    size = math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(size * (8 * freedom + 1) / (8 * freedom + 3), t)
