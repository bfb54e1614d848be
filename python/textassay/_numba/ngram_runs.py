"""Counts of word 3-grams for an anchor's model, gathered by kernels (csrc/lm/ngram_runs.hpp)."""

import numpy as np

from textassay._numba.anchor import BEGIN
from textassay._numba.jit import kernel

_HALF, _ONE, _LOW = np.uint64(32), np.uint64(1), np.uint64(0xFFFFFFFF)
_NO_WORD = np.uint64(0xFFFFFFFF)


@kernel
def append_ngrams(stream, size, ngrams, fill):
    """One pair of numbers for each word behind BEGIN; there is room for `size`."""
    place = fill[0]
    for at in range(1, size):
        if stream[at] == np.uint64(BEGIN):
            continue
        middle = stream[at - 1]
        first = _NO_WORD if middle == np.uint64(BEGIN) else stream[at - 2]
        ngrams[place, 0] = middle << _HALF | first
        ngrams[place, 1] = stream[at] << _HALF | _ONE
        place += 1
    fill[0] = place


@kernel
def append_words(stream, size, words, fill):
    """All but BEGIN; there is room for `size`."""
    place = fill[0]
    for at in range(size):
        if stream[at] != np.uint64(BEGIN):
            words[place] = stream[at]
            place += 1
    fill[0] = place


def combined(ngrams: np.ndarray) -> np.ndarray:
    """Sorted, each n-gram once, with its count."""
    context, last = ngrams[:, 0], ngrams[:, 1] >> _HALF
    order = np.lexsort((last, context))
    context, last, count = context[order], last[order], (ngrams[:, 1] & _LOW)[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (context[1:] != context[:-1]) | (last[1:] != last[:-1])
    starts = np.flatnonzero(is_first)
    counts = np.minimum(np.add.reduceat(count, starts), _LOW) if len(starts) else count
    return np.stack([context[starts], last[starts] << _HALF | counts], 1)
