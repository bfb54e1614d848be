"""A stratified sample of documents: in each stratum those of the lowest hashes (docs/sample.md)."""

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError
from textassay.scan_folder import Columns

MAX_STRATA = 1000
INPUT = "input"
"""A stratum for each input, in place of a column's name."""

DEFAULT_EDGES: Mapping[str, tuple[float, ...]] = {
    "synthetic_probability": (0.05, 0.2, 0.5, 0.8, 0.95),
    "n_tokens": (100, 300, 1000),
}
ALLOCATIONS = ("equal", "proportional")
LEAST = 2
"""Documents of a stratum, or all it has: of one alone no variance can be told."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


@dataclass(frozen=True)
class Dimension:
    """What strata are made by: the texts of a column, or the bands of a column of numbers between `edges`."""

    column: str
    edges: tuple[float, ...] = ()

    def labels(self, columns: Columns, input_name: str) -> tuple[NDArray[np.intp], list[str]]:
        """Of each row a number, and what the numbers stand for."""
        if self.column == INPUT:
            return np.zeros(len(columns["line"]), np.intp), [f"{INPUT} {input_name}"]
        values = columns[self.column]
        if values.dtype == object:
            numbers: dict[str, int] = {}
            codes = [numbers.setdefault("null" if value is None else value, len(numbers)) for value in values.tolist()]
            return np.array(codes, np.intp), [f"{self.column} {name}" for name in numbers]
        codes = np.searchsorted(np.array(self.edges), values, side="right")
        codes[np.isnan(values)] = len(self.edges) + 1
        return codes, [f"{self.column} {band}" for band in (*self._bands(), "null")]

    def _bands(self) -> list[str]:
        inner = [f"{low:g}..{high:g}" for low, high in pairwise(self.edges)]
        return [f"< {self.edges[0]:g}", *inner, f">= {self.edges[-1]:g}"]


def parse_dimension(text: str) -> Dimension:
    """`provenance`, `input`, `n_tokens`, `perplexity:50,200,1000`. Raises `UsageError` on edges that do not ascend."""
    column, colon, rest = text.partition(":")
    if not re.fullmatch(r"[A-Za-z_]\w*", column):
        raise UsageError(f"{text!r}: wanted the name of a column, with edges behind a colon")
    if not colon:
        return Dimension(column, DEFAULT_EDGES.get(column, ()))
    try:
        edges = tuple(float(edge) for edge in rest.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r}: wanted numbers behind the colon, with commas between") from error
    if not all(a < b for a, b in pairwise(edges)) or not np.isfinite(edges).all():
        raise UsageError(f"{text!r}: wanted edges that ascend")
    return Dimension(column, edges)


def line_hashes(digest: str, lines: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A hash of each line of the file of this digest: SplitMix64 (Steele, Lea & Flood 2014) of its number, from where the digest and
    the seed say. So a document's hash depends on neither the names nor the number of files.
    """
    start = np.frombuffer(blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest(), "<u8")[0]
    mixed = start + lines.astype(np.uint64) * _GOLDEN
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    result: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result


class StratifiedSample:
    """Of every stratum how many documents there are, and the k of the lowest hashes: k rows a stratum are held."""

    def __init__(self, dimensions: Sequence[Dimension], k: int) -> None:
        self._dimensions = dimensions
        self._k = k
        self.sizes: dict[str, int] = {}
        self.rows: dict[str, Columns] = {}

    def add(self, columns: Columns, input_name: str) -> None:
        """Rows with the columns `hash`, `file`, `line` and those of the dimensions. Raises `UsageError` on too many strata."""
        if not len(columns["line"]):
            return
        codes, names = np.zeros(len(columns["line"]), np.intp), [""]
        for dimension in self._dimensions:
            own, labels = dimension.labels(columns, input_name)
            present, codes = np.unique(codes * len(labels) + own, return_inverse=True)
            names = [
                ", ".join(filter(None, (names[code // len(labels)], labels[code % len(labels)])))
                for code in present.tolist()
            ]
            if len(names) > MAX_STRATA:
                raise UsageError(f"more than {MAX_STRATA} strata: wanted fewer bands or columns")
        order = np.argsort(codes, kind="stable")
        parts = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names))))
        for name, rows in zip(names, parts, strict=True):
            self._add_to(name or "all", columns, rows)
        if len(self.rows) > MAX_STRATA:
            raise UsageError(f"more than {MAX_STRATA} strata: wanted fewer bands or columns")

    def _add_to(self, stratum: str, columns: Columns, rows: NDArray[np.intp]) -> None:
        held = self.rows.get(stratum)
        self.sizes[stratum] = self.sizes.get(stratum, 0) + len(rows)
        if held is not None and len(held["hash"]) == self._k:
            rows = rows[columns["hash"][rows] <= held["hash"][-1]]
        if not len(rows):
            return
        merged = {key: column[rows] for key, column in columns.items()}
        if held is not None:
            merged = {key: np.concatenate([held[key], column]) for key, column in merged.items()}
        order = np.lexsort((merged["line"], merged["file"], merged["hash"]))[: self._k]
        self.rows[stratum] = {key: column[order] for key, column in merged.items()}

    def drawn(self, n: int, allocation: str) -> dict[str, Columns]:
        """The sample: of each stratum, by name, its first rows."""
        names = sorted(self.sizes)
        numbers = allocate(n, [self.sizes[name] for name in names], allocation)
        return {
            name: {key: column[:number] for key, column in self.rows[name].items()}
            for name, number in zip(names, numbers, strict=True)
        }


def allocate(n: int, sizes: Sequence[int], allocation: str) -> list[int]:
    """How many of n documents to draw from strata of these sizes.

    "equal": from each as many, but no more than it has; what is left over goes to the others. "proportional": by size, and
    at least LEAST from each as far as n allows. Never more than n; remainders go to the first strata, or the largest.
    Raises `UsageError` where there are more strata than documents to draw.
    """
    if allocation not in ALLOCATIONS:
        raise UsageError(f"allocation={allocation!r}: wanted {' or '.join(ALLOCATIONS)}")
    if n < len(sizes):
        raise UsageError(f"n={n}: wanted at least one document from each of {len(sizes)} strata")
    if allocation == "equal":
        return _filled(n, list(sizes))
    least = _filled(min(n, LEAST * len(sizes)), [min(size, LEAST) for size in sizes])
    return _proportional(min(n, sum(sizes)), sizes, least)


def _filled(n: int, rooms: list[int]) -> list[int]:
    """As equal as the rooms allow."""
    numbers = [0] * len(rooms)
    left = min(n, sum(rooms))
    while left:
        free = [i for i, room in enumerate(rooms) if numbers[i] < room]
        each = max(1, min(left // len(free), min(rooms[i] - numbers[i] for i in free)))
        for i in free[: left // each]:
            numbers[i] += each
            left -= each
    return numbers


def _proportional(n: int, sizes: Sequence[int], least: Sequence[int]) -> list[int]:
    """From the least numbers on, one by one to the stratum of the most documents for each that is drawn (D'Hondt's rule)."""
    numbers = list(least)
    waiting = [(-size / (numbers[i] + 1), i) for i, size in enumerate(sizes) if numbers[i] < size]
    heapq.heapify(waiting)
    for _ in range(n - sum(numbers)):
        _, i = heapq.heappop(waiting)
        numbers[i] += 1
        if numbers[i] < sizes[i]:
            heapq.heappush(waiting, (-sizes[i] / (numbers[i] + 1), i))
    return numbers
