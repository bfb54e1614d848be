"""The published minimal simulation: one Gaussian, fitted to its own samples again and again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError
from textassay.simulate.settings import Settings

SCHEMA = "textassay.minimal-simulation/1"

THRESHOLD = 5.0
"""What lies above is the tail: nearly all of it belongs to the rare mode."""

_COMMON_SHARE = 0.97
_RARE_MEAN = 8.0


def recursive_resample(generations: int = 8, n: int = 5000, anchor_frac: float = 0.0, seed: int = 0) -> list[float]:
    """The share of each generation's sample that lies above 5.0.

    The real distribution is 0.97 N(0, 1) + 0.03 N(8, 1). Each generation fits one Gaussian (mean, population standard
    deviation) to the sample of the one before and draws `n` from it; with an anchor, int(n (1 - anchor_frac)) of them are
    kept and fresh real draws make up the rest. Raises `UsageError` on arguments out of range.
    """
    if generations < 1:
        raise UsageError(f"generations={generations}: wanted at least 1")
    if n < 1:
        raise UsageError(f"n={n}: wanted at least 1")
    if not 0 <= anchor_frac <= 1:
        raise UsageError(f"anchor_frac={anchor_frac}: wanted a share from 0 to 1")
    random = np.random.default_rng(seed)
    sample = _real(random, n)
    shares = []
    for _ in range(generations):
        shares.append(float((sample > THRESHOLD).mean()))
        drawn = random.normal(sample.mean(), sample.std(), n)
        kept = int(n * (1 - anchor_frac)) if anchor_frac else n
        sample = np.concatenate([drawn[:kept], _real(random, n - kept)]) if kept < n else drawn
    return shares


def minimal_report(settings: Settings, out: object, write_text: bool) -> dict[str, Any]:
    """`recursive_resample` as JSON. Raises `UsageError` where more is asked for than it can do."""
    mine = Settings(generations=settings.generations, anchor_fraction=settings.anchor_fraction, seed=settings.seed)
    if out is not None or write_text or settings != mine:
        raise UsageError(
            "without a corpus there are only generations, anchor fraction and seed to choose: wanted a CORPUS"
        )
    shares = recursive_resample(settings.generations, anchor_frac=settings.anchor_fraction, seed=settings.seed)
    chosen = {"generations": settings.generations, "anchor_frac": settings.anchor_fraction, "seed": settings.seed}
    return {"schema": SCHEMA, "settings": chosen, "shares": shares}


def _real(random: np.random.Generator, k: int) -> NDArray[np.float64]:
    common = int(_COMMON_SHARE * k)
    return np.concatenate([random.normal(0.0, 1.0, common), random.normal(_RARE_MEAN, 1.0, k - common)])
