"""The histograms of two profiles side by side: of every type its count in the reference and in the current corpus.

Types are joined by their bytes in numpy, length by length, so that no Python object stands for a type. Figures are
functions of pairs of counts, and most types share theirs with many others: a figure is computed once a pair.

Past the type limit of one profile both are brought to the same level, where their samples hold the same part of all
types (a coordinated sample, Cohen 2014). Sums are then estimated as in `sampled.py`: types whose peak reaches
2^floor_level in one of the corpora are *heavy*, known by name and counted once; the others stand for 2^level types each
(Horvitz & Thompson 1952). What the sketches add to the counts of heavy types is taken away by a difference estimator: a
sampled heavy type is not in a sketch, so what the sketch answers for it is the noise alone.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.profile import Profile
from textassay.sampled import sketched, type_batches
from textassay.tap_format import SKETCH_ROWS, sketch_width

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

PairFunction = Callable[[Counts, Counts], Floats]
"""Of counts in the reference and in the current corpus, one number a pair."""

_SPLITTER = float((1 << 27) + 1)


@dataclass(frozen=True)
class Types:
    """Types in the order of their bytes: type i is token_bytes[token_offsets[i]:token_offsets[i + 1]]."""

    token_bytes: NDArray[np.uint8]
    token_offsets: Counts
    counts: Counts
    peaks: NDArray[np.uint64]

    @classmethod
    def concatenated(cls, parts: Iterable[Any]) -> "Types":
        """Of a backend's lists of types, which follow one another."""
        held = list(parts)
        lengths = [np.diff(part["token_offsets"]) for part in held]
        return cls(
            np.concatenate([np.zeros(0, np.uint8), *(part["token_bytes"] for part in held)]),
            np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum(),
            np.concatenate([np.zeros(0, np.int64), *(part["counts"].astype(np.int64) for part in held)]),
            np.concatenate([np.zeros(0, np.uint64), *(part["peaks"] for part in held)]),
        )

    def __len__(self) -> int:
        return len(self.counts)

    def tokens(self, places: NDArray[np.intp]) -> list[bytes]:
        begins, ends = self.token_offsets[places].tolist(), self.token_offsets[places + 1].tolist()
        return [self.token_bytes[i:j].tobytes() for i, j in zip(begins, ends, strict=True)]


class Union:
    """The types of two lists, each once: all of the first, in their order, then those of the second alone."""

    def __init__(self, first: Types, second: Types) -> None:
        self._first, self._second = first, second
        self._partner = _places_in(first, second)
        is_alone = np.ones(len(second), np.bool_)
        is_alone[self._partner[self._partner >= 0]] = False
        self._alone = np.flatnonzero(is_alone)

    def __len__(self) -> int:
        return len(self._first) + len(self._alone)

    def first(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the first list's types, 0 for those it does not hold."""
        return np.concatenate([values, np.zeros(len(self._alone), values.dtype)])

    def second(self, values: NDArray[Any]) -> NDArray[Any]:
        """The same of the second list's."""
        shared = np.zeros(len(self._first), values.dtype)
        held = self._partner >= 0
        shared[held] = values[self._partner[held]]
        return np.concatenate([shared, values[self._alone]])

    def tokens(self, places: NDArray[np.intp]) -> list[bytes]:
        n = len(self._first)
        found = np.empty(len(places), object)
        is_first = places < n
        found[is_first] = self._first.tokens(places[is_first])
        found[~is_first] = self._second.tokens(self._alone[places[~is_first] - n])
        return list(found)


def _places_in(first: Types, second: Types) -> NDArray[np.intp]:
    """Of each type of the first list its place in the second, or -1."""
    places = np.full(len(first), -1, np.intp)
    by_length = dict(_by_length(second))
    for length, here in _by_length(first):
        there = by_length.get(length)
        if there is None:
            continue
        wanted, known = _fixed(first, here, length), _fixed(second, there, length)
        at = np.searchsorted(known, wanted).clip(0, len(known) - 1)
        is_found = known[at] == wanted
        places[here[is_found]] = there[at[is_found]]
    return places


def _by_length(types: Types) -> Iterable[tuple[int, NDArray[np.intp]]]:
    """Each length of tokens and the places of the types that have it, ascending, so in the order of their bytes."""
    lengths = np.diff(types.token_offsets)
    order = np.argsort(lengths, kind="stable")
    distinct, begins = np.unique(lengths[order], return_index=True)
    for length, (begin, end) in zip(distinct.tolist(), pairwise([*begins.tolist(), len(order)]), strict=True):
        yield length, order[begin:end]


def _fixed(types: Types, places: NDArray[np.intp], length: int) -> NDArray[np.bytes_]:
    """Tokens of one length as strings of fixed width, which numpy orders as their bytes."""
    windows = np.lib.stride_tricks.sliding_window_view(types.token_bytes, length)
    return windows[types.token_offsets[places]].view(f"S{length}").reshape(-1)


@dataclass(frozen=True)
class Pairs:
    """Distinct pairs of counts. `numbers` says how many types have each, whole or, estimated, any real number;
    `inverse` which pair each of the types has that they were made of.
    """

    reference: Counts
    current: Counts
    numbers: NDArray[Any]
    inverse: NDArray[np.intp]

    @classmethod
    def of(cls, reference: Counts, current: Counts, weights: Floats | None = None) -> "Pairs":
        order = np.lexsort((current, reference))
        a, b = reference[order], current[order]
        is_new = np.ones(len(order), np.bool_)
        is_new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
        begins = np.flatnonzero(is_new)
        inverse = np.empty(len(order), np.intp)
        inverse[order] = np.cumsum(is_new) - 1
        numbers = np.diff(begins, append=len(order))
        if weights is not None:
            numbers = np.add.reduceat(weights[order], begins) if len(begins) else weights
        return cls(a[begins], b[begins], numbers, inverse)

    def total(self, f: PairFunction) -> float:
        """The sum of f over all types, as `math.fsum` would add them: correctly rounded, whatever their order."""
        values = f(self.reference, self.current)
        if self.numbers.dtype.kind == "f":
            return math.fsum((values * self.numbers).tolist())
        # A value of 53 bits in two halves, so that a number of types (below 2^26) times a half is exact (Veltkamp 1968).
        high = values * _SPLITTER
        high = high - (high - values)
        return math.fsum([*(high * self.numbers).tolist(), *((values - high) * self.numbers).tolist()])


@dataclass(frozen=True)
class JointCounts:
    """Counts of every type in two corpora.

    `reference` and `current` are those of the types known by name, of which `tokens` gives the bytes; `named` are their
    pairs. `pairs` stand for all types there are. Where nothing is estimated both are the same. The first
    `n_sampled` named types are a random part of all types, a share of 2^-`level`.
    """

    n_reference: int
    """Tokens of the reference, and of the current corpus."""
    n_current: int
    reference: Counts
    current: Counts
    tokens: Callable[[NDArray[np.intp]], list[bytes]]
    named: Pairs
    pairs: Pairs
    level: int = 0
    n_sampled: int = 0
    _light: Pairs | None = None
    _heavy: tuple[Counts, Counts, Counts, Counts] | None = None
    """Counts of the sampled heavy types, and the same with noise."""

    @property
    def is_estimate(self) -> bool:
        return self.level > 0

    @property
    def n_types(self) -> float:
        """Types of both corpora together."""
        return self.pairs.numbers.sum().item()

    def total(self, f: PairFunction) -> float:
        """Sum of f over all types."""
        return self.pairs.total(f)

    def error(self, f: PairFunction) -> float | None:
        """Standard error of `total(f)`; None where nothing is estimated."""
        if self._light is None or self._heavy is None:
            return None
        scale = 1 << self.level
        a, b, noisy_a, noisy_b = self._heavy
        light = float(self._light.numbers @ f(self._light.reference, self._light.current) ** 2)
        heavy = float(((f(a, b) - f(noisy_a, noisy_b)) ** 2).sum())
        return math.sqrt(scale * (scale - 1) * (light + heavy))

    def of_each(self, f: PairFunction) -> Floats:
        """f of each type known by name."""
        found: Floats = f(self.named.reference, self.named.current)[self.named.inverse]
        return found


def joint_counts(reference: Profile, current: Profile) -> JointCounts:
    """Joins two profiles that count the same kind of tokens."""
    sizes = (reference.totals()["n_tokens"], current.totals()["n_tokens"])
    if not (reference.is_exact and current.is_exact):
        return _estimated(reference.state, current.state, sizes)
    first, second = (Types.concatenated(type_batches(profile.state)) for profile in (reference, current))
    union = Union(first, second)
    a, b = union.first(first.counts), union.second(second.counts)
    pairs = Pairs.of(a, b)
    return JointCounts(*sizes, a, b, union.tokens, pairs, pairs, n_sampled=len(union))


def _estimated(reference: Any, current: Any, sizes: tuple[int, int]) -> JointCounts:
    level = max(int(reference.level), int(current.level))
    states = [_raised(state, level) for state in (reference, current)]
    bounded = [state.bounded() for state in states]
    least_peak = 1 << max(int(one["floor_level"]) for one in bounded)
    sketches = [one["count_sketch"] for one in bounded]
    first, second = (Types.concatenated(type_batches(state)) for state in states)
    sample = Union(first, second)
    a, b = sample.first(first.counts), sample.second(second.counts)
    is_heavy = np.maximum(sample.first(first.peaks), sample.second(second.peaks)) >= least_peak
    heavy_tokens = sample.tokens(np.flatnonzero(is_heavy))
    noise = [sketched(sketch, heavy_tokens) for sketch in sketches]
    frequent = Union(*(_heavy_of(one["frequent"], least_peak) for one in bounded))
    frequent_tokens = frequent.tokens(np.arange(len(frequent)))
    named = [sketched(sketch, frequent_tokens) for sketch in sketches]
    heavy = (a[is_heavy], b[is_heavy], a[is_heavy] + noise[0], b[is_heavy] + noise[1])
    scale, n_heavy = float(1 << level), int(is_heavy.sum())
    weights = np.repeat([scale, 1.0 - scale, 1.0], [len(sample), n_heavy, len(frequent)])
    all_a, all_b = np.concatenate([a, heavy[2], named[0]]), np.concatenate([b, heavy[3], named[1]])
    by_name = Pairs.of(np.concatenate([a, named[0]]), np.concatenate([b, named[1]]))

    def tokens(places: NDArray[np.intp]) -> list[bytes]:
        sampled = sample.tokens(places[places < len(sample)])
        others = [frequent_tokens[i - len(sample)] for i in places.tolist() if i >= len(sample)]
        both = iter(sampled), iter(others)
        return [next(both[place >= len(sample)]) for place in places.tolist()]

    return JointCounts(
        *sizes,
        np.concatenate([a, named[0]]),
        np.concatenate([b, named[1]]),
        tokens,
        by_name,
        Pairs.of(all_a, all_b, weights),
        level,
        len(sample),
        Pairs.of(a[~is_heavy], b[~is_heavy]),
        heavy,
    )


def _raised(state: Any, level: int) -> Any:
    """A copy of a ProfileState in which types beyond this level's sample are in the sketches."""
    copy = state.copy()
    sketch = np.zeros((SKETCH_ROWS, sketch_width(state.max_types)), np.uint64)
    nothing = {name: np.zeros(0, np.uint64) for name in ("counts", "document_frequencies", "peaks")}
    nothing |= {"token_bytes": np.zeros(0, np.uint8), "token_offsets": np.zeros(1, np.int64)}
    empty = {"level": level, "floor_level": 0, "width": sketch.shape[1], "frequent": nothing}
    copy.add_bounded(empty | {"count_sketch": sketch, "document_sketch": sketch.copy()})
    return copy


def _heavy_of(frequent: Any, least_peak: int) -> Types:
    types = Types.concatenated([frequent])
    places = np.flatnonzero(types.peaks >= least_peak)
    tokens = types.tokens(places)
    offsets = np.concatenate([[0], np.cumsum([len(token) for token in tokens])]).astype(np.int64)
    return Types(np.frombuffer(b"".join(tokens), np.uint8), offsets, types.counts[places], types.peaks[places])
