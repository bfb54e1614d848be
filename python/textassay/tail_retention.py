"""How much of a reference's tail a corpus has kept, by decade of frequency (METRICS, section 5).

The tail of a reference are its types below the count at which, by descending counts, the mass of tokens reaches
1 - tail_mass, and seen at least 3 times: rare, but real. Retention is the number of them that the current corpus shows,
over the number that the reference itself would show in a sample of the same size (rarefaction, Hurlbert 1971). Where the
current corpus is the larger one, it is the one that is rarefied. Equal corpora retain exactly 1.

A fresh sample of what the reference was drawn from retains a little less than 1, since it has rare types of its own: of
types seen c times it misses about e^-c if it is as large as the reference.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.errors import UsageError
from textassay.profile import Profile
from textassay.sampled import type_batches
from textassay.spectrum import Spectrum, log_absence

TAIL_MASS = 0.05
LEAST_RARE = 3

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Decade(TypedDict):
    """Tail types that the reference holds from `decade` (1, 10, 100, ...) to 10 `decade` - 1 times."""

    decade: int
    types: float
    """Of the reference; a whole number where that is exact. The next two are real numbers where they are rarefied."""
    expected: float
    observed: float
    retention: float
    """`observed` / `expected`."""
    standard_error: float | None
    """Of `retention`, where a profile is past its type limit; None where the figures are exact."""


def tail_retention(reference: Profile, current: Profile, tail_mass: float = TAIL_MASS) -> list[Decade]:
    """Of each decade of frequency in which the reference has a tail, rarest first.

    Memory: about a million types of each profile at a time. Past the type limit of one of them, all is estimated from the
    types that both keep by name, which are a coordinated sample. Raises `UsageError` where the profiles count other kinds
    of tokens, or `tail_mass` is no share.
    """
    if reference.configuration.tokens != current.configuration.tokens:
        kinds = f"{reference.configuration.tokens} and {current.configuration.tokens}"
        raise UsageError(f"profiles of other kinds of tokens cannot be compared: {kinds}")
    border = tail_border(reference.frequencies(), tail_mass)
    level = max(int(profile.state.level) for profile in (reference, current))
    here, there = _joined(reference.state, current.state, border, level)
    sizes = (reference.totals()["n_tokens"], current.totals()["n_tokens"])
    return retention_by_decade(here, there, *sizes, border, sampled=0.5**level)


def tail_border(spectrum: Spectrum, tail_mass: float = TAIL_MASS) -> int:
    """The count below which a type is in the tail. Raises `UsageError` unless 0 < tail_mass < 1."""
    if not 0 < tail_mass < 1:
        raise UsageError(f"tail_mass={tail_mass}: wanted a share between 0 and 1")
    order = np.argsort(-spectrum.counts, kind="stable")
    counts = spectrum.counts[order]
    reached = np.cumsum(counts * spectrum.weights[order]) >= (1 - tail_mass) * spectrum.n_tokens
    return int(counts[np.argmax(reached)]) if reached.any() else 0


def retention_by_decade(
    reference: Counts, current: Counts, n_reference: int, n_current: int, border: int, sampled: float = 1.0
) -> list[Decade]:
    """From the counts of the same types in both, in any order; types outside the tail are passed over.

    `sampled` is the share of all types that is given here.
    """
    is_tail = (reference >= LEAST_RARE) & (reference < border)
    if n_current == 0 or not is_tail.any():
        return []
    size = min(n_reference, n_current)
    tail = reference[is_tail]
    expected = seen_in(tail, size, n_reference)
    observed = seen_in(current[is_tail], size, n_current)
    # Digits, counted without a logarithm: a decade's border is exact.
    decades = np.searchsorted(10 ** np.arange(1, 19), tail, side="right")
    groups = ((int(k), decades == k) for k in np.unique(decades))
    return [_decade(10**k, expected[group], observed[group], sampled) for k, group in groups]


def total_retention(decades: Iterable[Decade]) -> float | None:
    """Of the whole tail; None where there is none."""
    rows = list(decades)
    expected = sum(row["expected"] for row in rows)
    return sum(row["observed"] for row in rows) / expected if expected else None


def seen_in(counts: Counts, n: int, total: int) -> Floats:
    """Of types of these counts among `total` tokens the chance to be among n of them, drawn without replacement."""
    distinct, places = np.unique(counts, return_inverse=True)
    chances = np.where(distinct > 0, -np.expm1(log_absence(np.maximum(distinct, 1), n, total)), 0.0)
    found: Floats = chances[places]
    return found


def _decade(decade: int, expected: Floats, observed: Floats, sampled: float) -> Decade:
    expected_types, observed_types = float(expected.sum()), float(observed.sum())
    retention = observed_types / expected_types
    error = None
    if sampled < 1:
        # Of a ratio of sums over a random part of the types (Cochran 1977, section 6.4).
        spread = float(((observed - retention * expected) ** 2).sum())
        error = ((1 - sampled) * spread) ** 0.5 / expected_types
    return {
        "decade": decade,
        "types": len(expected) / sampled,
        "expected": expected_types / sampled,
        "observed": observed_types / sampled,
        "retention": retention,
        "standard_error": error,
    }


def _joined(reference: Any, current: Any, border: int, level: int) -> tuple[Counts, Counts]:
    """Counts in both states of the reference's tail types that a sample of this level holds. Both come in token order."""
    here: list[Counts] = [np.zeros(0, np.int64)]
    there: list[Counts] = [np.zeros(0, np.int64)]
    looked_up = _Lookup(current)
    for types in type_batches(reference):
        counts = types["counts"].astype(np.int64)
        places = np.flatnonzero((counts >= LEAST_RARE) & (counts < border))
        tokens = _tokens(types)
        if reference.level < level:
            places = places[_is_sampled([tokens[i] for i in places.tolist()], level)]
        here.append(counts[places])
        there.append(looked_up.counts([tokens[i] for i in places.tolist()]))
    return np.concatenate(here), np.concatenate(there)


class _Lookup:
    """Counts of tokens that are asked for in order, from one batch of types at a time."""

    def __init__(self, state: Any) -> None:
        self._batches: Iterator[Any] = type_batches(state)
        self._known: dict[bytes, int] = {}
        self._last: bytes | None = b""
        """The last token of the batch; None behind the last batch."""

    def counts(self, tokens: Sequence[bytes]) -> Counts:
        found: list[int] = []
        while len(found) < len(tokens):
            end = len(tokens) if self._last is None else bisect_right(tokens, self._last, len(found))
            found += [self._known.get(token, 0) for token in tokens[len(found) : end]]
            if end < len(tokens):
                self._advance()
        return np.array(found, np.int64)

    def _advance(self) -> None:
        types = next(self._batches, None)
        if types is None:
            self._known, self._last = {}, None
            return
        tokens = _tokens(types)
        self._known, self._last = dict(zip(tokens, types["counts"].tolist(), strict=True)), tokens[-1]


def _tokens(types: Any) -> list[bytes]:
    data = types["token_bytes"].tobytes()
    return [data[begin:end] for begin, end in pairwise(types["token_offsets"].tolist())]


def _is_sampled(tokens: Sequence[bytes], level: int) -> NDArray[np.bool_]:
    token_hash = _backend.get().token_hash
    hashes = np.fromiter((token_hash(token) for token in tokens), np.uint64, len(tokens))
    return hashes < np.uint64(1 << (64 - level))
