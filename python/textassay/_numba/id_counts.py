"""Counts of token ids, a batch at a time, and what is read off them."""

import threading

import numpy as np

from textassay._numba.fixed_log import entropy_from_sum, load_log_table, lookup_log2_times
from textassay._numba.jit import kernel

DENSE = 1 << 22
"""Ids beyond have no counter each: a batch that holds one is sorted."""

MAX_BATCH = 1 << 26
MAX_VOCABULARY = 1 << 62
_READ_WHOLE = 1 << 17

TOKENS, TYPES, OUTSIDE, FIRST = range(4)


@kernel
def _reach(ids, vocabulary):
    """The greatest id of those inside, plus one."""
    reach = np.uint64(0)
    for index in range(len(ids)):
        value = np.uint64(np.int64(ids[index]))  # negative ids become large ones, beyond any vocabulary
        if value < vocabulary and value >= reach:
            reach = value + np.uint64(1)
    return reach


@kernel
def _count(ids, counts, vocabulary, row):
    for index in range(len(ids)):
        value = np.uint64(np.int64(ids[index]))
        if value < vocabulary:
            counts[value] += 1
        else:
            _note_outside(row, index)


@kernel
def _note_outside(row, index):
    if row[OUTSIDE] == 0:
        row[FIRST] = index
    row[OUTSIDE] += 1


@kernel
def _read_off(counts, totals, logs, row):
    """Entropy in bits; clears the counts."""
    log_sum = np.uint64(0)
    for value in range(len(counts)):
        count = counts[value]
        if count > 0:
            row[TYPES] += 1
            row[TOKENS] += count
            log_sum += lookup_log2_times(logs, count)
            if value < len(totals):
                totals[value] += np.uint64(count)
            counts[value] = 0
    return entropy_from_sum(logs, row[TOKENS], log_sum)


@kernel
def _outside(ids, vocabulary, row):
    for index in range(len(ids)):
        if np.uint64(np.int64(ids[index])) >= vocabulary:
            _note_outside(row, index)


class IdCounter:
    """Counts batches of token ids; `vocab_size` is the number of ids that there are."""

    def __init__(self, vocab_size: int, *, totals: bool = False) -> None:
        most = DENSE if totals else MAX_VOCABULARY
        if not 0 < vocab_size <= most:
            raise ValueError(f"vocab_size: wanted 1 to {most}, got {vocab_size}")
        self._vocabulary = np.uint64(vocab_size)
        self._totals = np.zeros(vocab_size if totals else 0, np.uint64)
        self._counts = np.zeros(0, np.int64)
        self._lock = threading.Lock()

    def measure(self, ids: np.ndarray, ends: np.ndarray) -> dict[str, np.ndarray]:
        """Batch i is ids[ends[i - 1]:ends[i]]."""
        _check_ids(ids)
        _check_ends(ends, len(ids))
        rows, entropy = np.zeros((len(ends), 4), np.int64), np.zeros(len(ends))
        rows[:, FIRST] = -1
        begin = 0
        with self._lock:
            for batch, end in enumerate(ends.tolist()):
                entropy[batch] = self._measure(ids[begin:end], rows[batch])
                begin = end
        names = ("n_tokens", "n_types", "n_outside", "first_outside")
        columns = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(names)}
        return columns | {"entropy_bits": entropy}

    def totals(self) -> np.ndarray:
        """Occurrences of each id in all batches."""
        with self._lock:
            return self._totals.copy()

    def _measure(self, ids: np.ndarray, row: np.ndarray) -> float:
        logs = load_log_table()
        slots = min(int(self._vocabulary), 1 << 8 * ids.itemsize)
        if slots > _READ_WHOLE:
            slots = int(_reach(ids, self._vocabulary))
        if slots > DENSE:
            _outside(ids, self._vocabulary, row)
            inside = ids[ids.astype(np.int64).astype(np.uint64) < self._vocabulary]
            counts = np.unique(inside, return_counts=True)[1].astype(np.int64)
            return _read_off(counts, self._totals[:0], logs, row)
        if len(self._counts) < slots:
            self._counts = np.zeros(slots, np.int64)
        _count(ids, self._counts, self._vocabulary, row)
        return _read_off(self._counts[:slots], self._totals, logs, row)


def _check_ids(ids: np.ndarray) -> None:
    if ids.dtype.kind not in "iu":
        raise TypeError("token ids: wanted an array of integers")
    flags = ids.flags
    if ids.ndim != 1 or not flags.c_contiguous or not flags.aligned or not ids.dtype.isnative:
        raise ValueError("token ids: wanted a 1-D array, contiguous, aligned and of native byte order")


def _check_ends(ends: np.ndarray, n_ids: int) -> None:
    if ends.ndim != 1 or ends.dtype != np.int64:
        raise ValueError("ends: wanted a 1-D array of int64")
    sizes = np.diff(ends, prepend=0)
    wrong = np.flatnonzero((sizes < 0) | (sizes > MAX_BATCH))
    if len(wrong):
        batch = int(wrong[0])
        begin = int(ends[batch - 1]) if batch else 0
        raise ValueError(f"ends: wanted rising places, at most 2^26 apart; batch {batch} has {begin} to {ends[batch]}")
    last = int(ends[-1]) if len(ends) else 0
    if last != n_ids:
        raise ValueError(f"ends: wanted {n_ids} as the last, got {last}")
