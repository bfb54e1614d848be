"""The difference of two corpora's entropies, with an interval, and both at equal size."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textassay.spectrum import Figure, Spectrum, entropy_bits, rarefied_types

RESAMPLES = 200
SEED = 0
NORMAL_95 = 1.959963984540054

_DRAWN_SINGLY = 64
_COLUMNS = 1 << 12
_EXACT_BELOW = 50.0

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def delta_entropy_bits(reference: Spectrum, current: Spectrum) -> Interval:
    """Plug-in entropy of the current corpus less that of the reference.

    The interval is a parametric bootstrap (Efron & Tibshirani 1993, chapters 6 and 13): both corpora are drawn anew from
    their own distributions, each type's count as Poisson(count), and the difference's standard deviation is taken 1.96
    times. It is centred at the figure, since resampled corpora miss types and so have too little entropy. Tokens are taken
    for independent; words come in bursts, so that documents drawn anew would vary more.
    """
    found = [entropy_bits(spectrum) for spectrum in (reference, current)]
    resampled = [_resampled(spectrum, side) for side, spectrum in enumerate((reference, current))]
    variance = sum(float(np.var(entropies)) for entropies in resampled) + sum((one.error or 0.0) ** 2 for one in found)
    value = (found[1].value or 0.0) - (found[0].value or 0.0)
    reach = NORMAL_95 * math.sqrt(variance)
    return Interval(value, value - reach, value + reach)


def _resampled(spectrum: Spectrum, side: int) -> Floats:
    """Entropies of RESAMPLES corpora drawn from this one's distribution."""
    random = np.random.default_rng([SEED, side])
    counts, places = np.unique(spectrum.counts, return_inverse=True)
    types = np.rint(np.bincount(places, spectrum.weights, len(counts)).clip(0)).astype(np.int64)
    tokens, surprise = np.zeros(RESAMPLES), np.zeros(RESAMPLES)

    def add(drawn: NDArray[np.integer], numbers: NDArray[np.integer] | None = None) -> None:
        logs = drawn * np.log2(np.maximum(drawn, 1))
        tokens[:] += drawn.sum(1) if numbers is None else numbers @ drawn
        surprise[:] += logs.sum(1) if numbers is None else numbers @ logs

    singly = types <= _DRAWN_SINGLY
    means = np.repeat(counts[singly], types[singly]).astype(np.float64)
    for begin in range(0, len(means), _COLUMNS):
        part = means[begin : begin + _COLUMNS]
        add(random.poisson(part, (RESAMPLES, len(part))))
    for count, number in zip(counts[~singly].tolist(), types[~singly].tolist(), strict=True):
        values, chances = _poisson(count)
        add(values, random.multinomial(number, chances, RESAMPLES))
    whole = np.maximum(tokens, 1)
    return np.maximum(np.log2(whole) - surprise / whole, 0.0)


def _poisson(mean: int) -> tuple[Counts, Floats]:
    """Values of a Poisson variable, all but a part of 1e-20, and their chances."""
    reach = math.ceil(12 * math.sqrt(mean) + 12)
    values = np.arange(max(0, mean - reach), mean + reach)
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in values.tolist()]
    chances = np.exp(logs)
    return values, chances / chances.sum()


def at_size(spectrum: Spectrum, n: int) -> dict[str, Figure]:
    """`n_types`, `type_token_ratio` and `entropy_bits` to be expected in n of the N tokens.

    Types as in `spectrum.rarefied_types` (Hurlbert 1971). For the entropy each token is kept with chance n / N, which
    draws n of them up to a fluctuation that does not matter to it; at n = N it is the plug-in entropy.
    """
    types = rarefied_types(spectrum, n)
    assert types.value is not None
    ratio = Figure(types.value / n, None if types.error is None else types.error / n)
    if n == spectrum.n_tokens:
        return {"n_types": types, "type_token_ratio": ratio, "entropy_bits": entropy_bits(spectrum)}
    share = n / spectrum.n_tokens

    def kept(counts: Counts) -> Floats:
        return _expected_surprise(counts, share) / n

    entropy = max(0.0, math.log2(n) - spectrum.total(kept))
    return {"n_types": types, "type_token_ratio": ratio, "entropy_bits": Figure(entropy, spectrum.error(kept))}


def _expected_surprise(counts: Counts, share: float) -> Floats:
    """E[X log2 X] for X of Binomial(count, share): the sum itself up to a mean of 50, from there four terms of its series."""
    given = counts.astype(np.float64)
    mean = given * share
    lost = 1 - share
    safe = np.maximum(mean, 1)
    series = mean * np.log(safe) + lost / 2 - lost * (1 - 2 * share) / (6 * safe) + lost * lost / (4 * safe)
    few = mean < _EXACT_BELOW
    series[few] = _summed(given[few], share)
    return series / math.log(2)


def _summed(counts: Floats, share: float) -> Floats:
    """Sum over k of Binomial(k; count, share) k ln k. Of kept and lost tokens those are counted that are fewer."""
    chance_of_one = min(share, 1 - share)
    chance = np.exp(counts * np.log1p(-chance_of_one))
    total = np.zeros(len(counts))
    last = int(_EXACT_BELOW + 12 * _EXACT_BELOW**0.5)
    for k in range(last + 1):
        left = np.maximum(counts - k, 0)
        kept = np.minimum(k, counts) if share <= 0.5 else left
        total += chance * kept * np.log(np.maximum(kept, 1))
        chance = chance * left / (k + 1) * (chance_of_one / (1 - chance_of_one))
    return total
