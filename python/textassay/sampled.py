"""The frequency spectrum of a profile past its type limit: estimates from the sample and the sketches
(docs/semantics.md).

A type is *heavy* where its peak reaches 2^floor_level. Every heavy type is known by name: the sampled ones with an
exact count, the *frequent* ones with a count read from a Count-Min sketch (Cormode & Muthukrishnan 2005), too high
by what collided with it. A light type is known only if it was sampled, which happened with probability p = 2^-level
by its hash. Hence, for any g,

    total(g) = sum g(sketched count)                        over frequent types
             + sum g(c)                                     over sampled heavy types
             + (1/p - 1) sum [g(c) - g(c + noise)]          over sampled heavy types
             + (1/p)     sum g(c)                           over sampled light types

The last line is Horvitz & Thompson (1952). The third takes the sketch's bias away: a sampled type is not in the
sketch, so what the sketch answers for it is pure noise, a fair sample of the noise that the frequent types carry (a
difference estimator). All lines together are weights on counts, so `spectrum.Spectrum` computes with them as if
they were types.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.spectrum import Spectrum, TypeFunction

FETCH = 1 << 20
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def estimated_spectrum(state: Any, bounded: Any, n_tokens: int) -> Spectrum:
    """The weighted spectrum of a bounded profile. `state` is a backend's ProfileState, `bounded` its Bounded form."""
    scale = 1 << bounded["level"]
    light: dict[int, int] = {}
    heavy, noise = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for types in type_batches(state):
        is_heavy = types["peaks"] >= 1 << bounded["floor_level"]
        _count_into(light, types["counts"][~is_heavy])
        heavy.append(types["counts"][is_heavy].astype(np.int64))
        noise.append(sketched(bounded["count_sketch"], _tokens_at(types, np.flatnonzero(is_heavy))))
    exact, extra = np.concatenate(heavy), np.concatenate(noise)
    frequent = sketched(bounded["count_sketch"], tokens_of(bounded["frequent"]))
    once = np.array(sorted(light), np.int64)
    numbers = np.array([light[c] for c in once.tolist()], np.int64)

    def covariance(g: TypeFunction, h: TypeFunction) -> float:
        light_part = float(numbers @ (g(once) * h(once)))
        heavy_part = float((g(exact) - g(exact + extra)) @ (h(exact) - h(exact + extra)))
        return scale * (scale - 1) * (light_part + heavy_part)

    counts = np.concatenate([once, exact, exact + extra, frequent])
    weights = np.concatenate(
        [
            numbers * float(scale),
            np.full(len(exact), float(scale)),
            np.full(len(exact), 1.0 - scale),
            np.ones(len(frequent)),
        ]
    )
    return Spectrum(n_tokens, counts, weights, covariance)


def type_batches(state: Any) -> Iterator[Any]:
    """All types kept by name, in token order, about a million at a time."""
    after = None
    while True:
        types = state.types(after, FETCH)
        offsets = types["token_offsets"]
        if len(offsets) < 2:
            return
        yield types
        after = types["token_bytes"][offsets[-2] : offsets[-1]].tobytes()


def tokens_of(types: Any) -> list[bytes]:
    return _tokens_at(types, np.arange(len(types["token_offsets"]) - 1))


def _tokens_at(types: Any, indices: NDArray[np.intp]) -> list[bytes]:
    data, offsets = types["token_bytes"].tobytes(), types["token_offsets"]
    return [data[i:j] for i, j in zip(offsets[indices].tolist(), offsets[indices + 1].tolist(), strict=True)]


def sketched(sketch: NDArray[np.uint64], tokens: list[bytes]) -> NDArray[np.int64]:
    """What a Count-Min sketch answers for each token: the least of its cells, never below what was added for it."""
    token_hash = _backend.get().token_hash
    return sketched_of(sketch, np.fromiter((token_hash(token) for token in tokens), np.uint64, len(tokens)))


def sketched_of(sketch: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """As `sketched`, of tokens with these hashes."""
    step = (hashes * GOLDEN) | np.uint64(1)
    mask = np.uint64(sketch.shape[1] - 1)
    rows = [cells[((hashes + np.uint64(r) * step) >> np.uint64(20)) & mask] for r, cells in enumerate(sketch)]
    return np.minimum.reduce(rows).astype(np.int64)


def _count_into(numbers: dict[int, int], counts: NDArray[np.uint64]) -> None:
    for count, number in zip(*(column.tolist() for column in np.unique(counts, return_counts=True)), strict=True):
        numbers[count] = numbers.get(count, 0) + number
