"""Integer ids: entropy and distinct ids of a batch, for callers with their own tokenizer."""

import math

import numpy as np

from textassay._numba.fixed_log import entropy_from_sum, load_log_table, lookup_log2_times
from textassay._numba.jit import kernel

# A count for each id of the vocabulary, unless that is far larger than the batch.
_DENSE = 1 << 22


@kernel
def _find_outside(ids, vocab_size):
    for index in range(len(ids)):
        if ids[index] < 0 or ids[index] >= vocab_size:
            return index
    return -1


@kernel
def _count(ids, counts):
    for value in ids:
        counts[value] += 1


@kernel
def _entropy(counts, logs):
    total, log_sum, distinct = 0, np.uint64(0), 0
    for count in counts:
        total += count
        log_sum += lookup_log2_times(logs, count)
        distinct += count > 0
    return entropy_from_sum(logs, total, log_sum), distinct


def count_ids(ids: np.ndarray, vocab_size: int) -> tuple[float, int]:
    """Plug-in entropy in bits and the number of distinct ids. Raises ValueError on an id outside the vocabulary."""
    given = np.ascontiguousarray(ids)
    if given.dtype.kind not in "iu":
        raise TypeError("token ids: wanted an array of integers")
    given = given.ravel()
    # A uint64 beyond int64 becomes negative here, and is outside the vocabulary then as before.
    values = given.astype(np.int64, copy=False)
    outside = _find_outside(values, min(int(vocab_size), (1 << 63) - 1))
    if outside >= 0:
        raise ValueError(f"token id at index {outside}: wanted 0 <= id < {vocab_size}, got {given[outside]}")
    if not len(values):
        return math.nan, 0
    if vocab_size <= max(_DENSE, 4 * len(values)):
        counts = np.zeros(vocab_size, np.int64)
        _count(values, counts)
    else:
        counts = np.unique(values, return_counts=True)[1]
    entropy, distinct = _entropy(counts, load_log_table())
    return entropy, int(distinct)
