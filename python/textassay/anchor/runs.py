"""Sorted runs of 3-gram counts on disk, merged in pieces of bounded size (csrc/lm/ngram_runs.hpp)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.kneser_ney import Trigrams

PIECE = 1 << 22
"""Counts merged at once, unless one middle word alone has more."""

_RECORD = np.dtype([("middle_first", "<u8"), ("last_count", "<u8")])
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_MOST = 0xFFFFFFFF

Records = NDArray[np.void]


def merged_pieces(folder: Path, n_words: int) -> Iterator[Trigrams]:
    """The counts of all runs, sorted by middle, first, last word; no piece parts a middle word."""
    runs = [np.memmap(path, _RECORD, "r") for path in sorted(folder.glob("run-*.bin"))]
    places = [0] * len(runs)
    begin = 0
    while begin < n_words:
        end = _end_of_piece(runs, places, begin, n_words)
        ends = [_place(run, end) for run in runs]
        parts = [run[place:stop] for run, place, stop in zip(runs, places, ends, strict=True) if stop > place]
        if parts:
            yield _merged(np.concatenate(parts))
        begin, places = end, ends


def _place(run: Records, middle: int) -> int:
    return int(np.searchsorted(run["middle_first"], np.uint64(middle << 32)))


def _end_of_piece(runs: list[Records], places: list[int], begin: int, n_words: int) -> int:
    """The last middle word up to which there are at most PIECE counts; or the next one."""
    low, high = begin + 1, n_words
    while low < high:
        middle = (low + high + 1) // 2
        held = sum(_place(run, middle) - place for run, place in zip(runs, places, strict=True))
        low, high = (middle, high) if held <= PIECE else (low, middle - 1)
    return low


def _merged(records: Records) -> Trigrams:
    context, last = records["middle_first"], records["last_count"] >> _HALF
    order = np.lexsort((last, context))
    context, last = context[order], last[order]
    count = (records["last_count"] & _LOW)[order].astype(np.int64)
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (context[1:] != context[:-1]) | (last[1:] != last[:-1])
    starts = np.flatnonzero(is_first)
    count = np.minimum(np.add.reduceat(count, starts), _MOST)
    context = context[starts]
    middle, first = (context >> _HALF).astype(np.uint32), (context & _LOW).astype(np.uint32)
    return Trigrams(first, middle, last[starts].astype(np.uint32), count)
