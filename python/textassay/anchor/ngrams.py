"""N-grams of words by number: their hashes, and the tables that a scan looks them up in (csrc/lm/anchor.hpp).

A cost is -log2 of a probability in units of 2^-13 bits. A table's entry is 28 bits of the n-gram's hash, 18 of its cost
and 18 of its backoff's cost, which is stored 8 bits higher since it can be negative.
"""

import math

import numpy as np
from numpy.typing import NDArray

UNKNOWN, BEGIN, END = range(3)
SPECIALS = (b"<unk>", b"<s>", b"</s>")
MAX_ORDER = 5

UNITS = float(1 << 13)
BACKOFF_BIAS = 8 << 13
_FIELD = (1 << 18) - 1
_FIELD_BITS = np.uint64(18)
_UNIGRAM_LIMIT = (1 << 32) - 1
FULLEST = 0.5
"""Entries in a table, as a share of its room: fuller ones cost a second look where a bucket has no place left."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT, _HALF, _ONE = np.uint64(33), np.uint64(32), np.uint64(1)

LOG2_OF_10 = 3.321928094887362

Words = NDArray[np.uint32]
Hashes = NDArray[np.uint64]


def _finished(hashes: Hashes) -> Hashes:
    hashes = (hashes ^ hashes >> _SHIFT) * _FIRST
    hashes = (hashes ^ hashes >> _SHIFT) * _SECOND
    return hashes ^ hashes >> _SHIFT


def hashes_of(ngrams: Words) -> Hashes:
    """Of n-grams of two words or more, shape (n, order)."""
    words = ngrams.astype(np.uint64)
    hashes = _finished(words[:, -2] << _HALF | words[:, -1])
    for place in range(ngrams.shape[1] - 3, -1, -1):
        hashes = _finished(hashes ^ (words[:, place] + _ONE) * _GOLDEN)
    return hashes


def costs_of(log10_probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.rint(-log10_probabilities.astype(np.float64) * LOG2_OF_10 * UNITS).astype(np.int64)


def unigram_entries(log10_probabilities: NDArray[np.floating], log10_backoffs: NDArray[np.floating]) -> Hashes:
    cost = np.clip(costs_of(log10_probabilities), 0, _UNIGRAM_LIMIT).astype(np.uint64)
    backoff = np.clip(costs_of(log10_backoffs) + BACKOFF_BIAS, 0, _UNIGRAM_LIMIT).astype(np.uint64)
    return cost << _HALF | backoff


def entry_values(log10_probabilities: NDArray[np.floating], log10_backoffs: NDArray[np.floating] | None) -> Hashes:
    """The part of an entry that is not its hash. Costs beyond 32 bits are held as 32."""
    cost = np.clip(costs_of(log10_probabilities), 0, _FIELD).astype(np.uint64)
    if log10_backoffs is None:
        return cost << _FIELD_BITS | np.uint64(BACKOFF_BIAS)
    backoff = np.clip(costs_of(log10_backoffs) + BACKOFF_BIAS, 0, _FIELD).astype(np.uint64)
    return cost << _FIELD_BITS | backoff


def table_size(n_ngrams: int) -> int:
    """Entries that a table has room for: whole buckets of eight, at least one."""
    return 8 * max(1, math.ceil(n_ngrams / (8 * FULLEST)))
