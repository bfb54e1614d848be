"""Sorted runs of records on disk, merged in pieces of bounded size (csrc/lm/ngram_runs.hpp, csrc/lm/fingerprints.hpp)."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.kneser_ney import Trigrams

PIECE = 1 << 22
"""Records merged at once, unless there are more with the same high half of their key."""

_RECORD = np.dtype([("key", "<u8"), ("value", "<u8")])
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_MOST = 0xFFFFFFFF

Records = NDArray[np.void]


class Fingerprints(NamedTuple):
    """Each with the first document that has it: number of its file << 40 | its line."""

    hashes: NDArray[np.uint64]
    documents: NDArray[np.uint64]


def merged_ngrams(folder: Path, n_words: int) -> Iterator[Trigrams]:
    """The counts of all runs, sorted by middle, first, last word; no piece parts a middle word."""
    return map(_counted, _pieces(folder, "ngrams", n_words))


def merged_fingerprints(folder: Path) -> Iterator[Fingerprints]:
    """Of all runs, ascending, each once."""
    return map(_first_of_each, _pieces(folder, "fingerprints", 1 << 32))


def _pieces(folder: Path, name: str, n_keys: int) -> Iterator[Records]:
    """What the runs hold of keys whose high half is below `n_keys`; no piece parts those with the same one."""
    runs = [np.memmap(path, _RECORD, "r") for path in sorted(folder.glob(f"{name}-*.bin"))]
    places = [0] * len(runs)
    begin = 0
    while begin < n_keys:
        end = _end_of_piece(runs, places, begin, n_keys)
        ends = [_place(run, end) for run in runs]
        parts = [run[place:stop] for run, place, stop in zip(runs, places, ends, strict=True) if stop > place]
        if parts:
            yield np.concatenate(parts)
        begin, places = end, ends


def _place(run: Records, high: int) -> int:
    """Of the first record that is not below."""
    return len(run) if high >> 32 else int(np.searchsorted(run["key"], np.uint64(high << 32)))


def _end_of_piece(runs: list[Records], places: list[int], begin: int, n_keys: int) -> int:
    """The last high half up to which there are at most PIECE records; or the next one."""
    low, high = begin + 1, n_keys
    while low < high:
        middle = (low + high + 1) // 2
        held = sum(_place(run, middle) - place for run, place in zip(runs, places, strict=True))
        low, high = (middle, high) if held <= PIECE else (low, middle - 1)
    return low


def _starts(*columns: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where sorted rows are unlike those before."""
    is_first = np.ones(len(columns[0]), np.bool_)
    is_first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return np.flatnonzero(is_first)


def _counted(records: Records) -> Trigrams:
    context, last = records["key"], records["value"] >> _HALF
    order = np.lexsort((last, context))
    context, last = context[order], last[order]
    count = (records["value"] & _LOW)[order].astype(np.int64)
    starts = _starts(context, last)
    count = np.minimum(np.add.reduceat(count, starts), _MOST)
    context = context[starts]
    middle, first = (context >> _HALF).astype(np.uint32), (context & _LOW).astype(np.uint32)
    return Trigrams(first, middle, last[starts].astype(np.uint32), count)


def _first_of_each(records: Records) -> Fingerprints:
    order = np.lexsort((records["value"], records["key"]))
    hashes, documents = records["key"][order], records["value"][order]
    starts = _starts(hashes)
    return Fingerprints(hashes[starts], documents[starts])
