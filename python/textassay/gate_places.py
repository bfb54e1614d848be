"""Where a limit is missed: the batches, files, sources and tokens that make it so, worst first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from textassay.comparison import Comparison
from textassay.errors import FolderError
from textassay.gate_policy import BatchLimit, LabelLimit, Limit
from textassay.scan_results import Columns, ScanResults

KEPT = 100


@dataclass(frozen=True)
class Place:
    """A batch, a file, a source or a token."""

    kind: Literal["batch", "file", "source", "token"]
    name: str
    """Of a batch the file's; of a file or source its name, as the scan was given it."""
    value: float | None
    """The limited figure there, if it has one."""
    note: str
    batch: int | None = None
    """Its number in the file, from 0."""
    first_document: int | None = None
    """Of the batch, from 0 in the file."""
    n_documents: int | None = None

    @property
    def label(self) -> str:
        if self.batch is None or self.first_document is None or self.n_documents is None:
            return self.name
        last = self.first_document + self.n_documents - 1
        return f"{self.name}, batch {self.batch} (documents {self.first_document}-{last})"

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass
class BatchTally:
    """Batches counted against a limit: `n` of those that count, `n_outside` of them outside the limits."""

    n: int = 0
    n_outside: int = 0
    n_short: int = 0
    """Short ones, whether they count or not."""
    n_short_outside: int = 0
    lowest: float = float("inf")
    highest: float = float("-inf")
    """Of those that count."""


def tally_batches(results: ScanResults, limit: BatchLimit) -> tuple[BatchTally, list[Place]]:
    """The count, and the batches outside, worst first. A batch without a token has no figure and is not counted.

    Raises `FolderError` where they are not as many as the summary says: a cut file must not pass.
    """
    n_rows = 0
    full = results.summary["batches"]["batch_tokens"]
    tally, worst = BatchTally(), _Worst()
    for rows in results.batches(limit.figure):
        n_rows += len(rows["file"])
        values, is_short = rows[limit.figure], rows["n_tokens"] < full
        is_there = ~np.isnan(values)
        excess = np.zeros(len(values))
        if limit.min is not None:
            excess = np.maximum(excess, np.where(is_there, limit.min - values, 0))
        if limit.max is not None:
            excess = np.maximum(excess, np.where(is_there, values - limit.max, 0))
        counts = is_there & (limit.count_short | ~is_short)
        tally.n += int(counts.sum())
        tally.n_outside += int((counts & (excess > 0)).sum())
        tally.n_short += int((is_there & is_short).sum())
        tally.n_short_outside += int((is_there & is_short & (excess > 0)).sum())
        if counts.any():
            tally.lowest = min(tally.lowest, float(values[counts].min()))
            tally.highest = max(tally.highest, float(values[counts].max()))
        outside = np.flatnonzero(counts & (excess > 0))
        for i in outside[np.argsort(-excess[outside], kind="stable")[:KEPT]].tolist():
            worst.add(excess[i], _batch(rows, limit.figure, i))
    if n_rows != results.summary["batches"]["n_batches"]:
        wanted = results.summary["batches"]["n_batches"]
        raise FolderError(f"{results.batches_file} holds {n_rows} batches; the summary says {wanted}")
    return tally, worst.places()


def _batch(rows: Columns, figure: str, i: int) -> Place:
    numbers = (int(rows[name][i]) for name in ("batch", "first_document", "n_documents"))
    return Place(
        "batch", str(rows["file"][i]), float(rows[figure][i]), f"{int(rows['n_tokens'][i]):,} tokens", *numbers
    )


def damaged_files(results: ScanResults) -> list[Place]:
    """By name: each is damaged by one."""
    damaged = results.summary["inputs"]["damaged"]
    return [
        Place("file", entry["file"], None, f"{entry['status']} at byte {entry['byte_offset']:,}: {entry['reason']}")
        for entry in damaged[:KEPT]
    ]


def malformed_files(results: ScanResults) -> list[Place]:
    """Those with most malformed records."""
    worst = _Worst()
    for one in results.inputs or []:
        outcome = one["outcome"]
        malformed, documents = int(outcome["malformed"]), int(outcome["documents"])
        if malformed:
            note = f"{malformed:,} of {malformed + documents:,} records"
            worst.add(malformed, Place("file", one["path"], malformed / (malformed + documents), note))
    return worst.places()


def files_by_signal(results: ScanResults, signal: str, limit: Limit) -> list[Place]:
    """Those with most documents whose value of the signal lies outside the limits."""

    def place(name: str, chunks: Iterator[Columns]) -> tuple[float, Place]:
        n = outside = 0
        for rows in chunks:
            values = rows[signal][~np.isnan(rows[signal])]
            n += len(values)
            if limit.min is not None:
                outside += int((values < limit.min).sum())
            if limit.max is not None:
                outside += int((values > limit.max).sum())
        return outside, Place("file", name, None, f"{outside:,} of {n:,} documents outside the limits")

    return _files(results, [signal], place)


def files_by_label(results: ScanResults, limit: LabelLimit) -> list[Place]:
    """Those that bear most to the miss: with most of the labels where there is too much, least where there is too little."""

    def place(name: str, chunks: Iterator[Columns]) -> tuple[float, Place]:
        n = labelled = 0
        for rows in chunks:
            weights = rows["n_tokens"] if limit.of == "tokens" else np.ones(len(rows["provenance"]))
            n += int(weights.sum())
            labelled += int(weights[np.isin(rows["provenance"], limit.labels)].sum())
        return _labelled("file", name, labelled, n, limit)

    return _files(results, ["n_tokens", "provenance"] if limit.of == "tokens" else ["provenance"], place)


def sources_by_label(results: ScanResults, limit: LabelLimit) -> list[Place]:
    """The same of the sources that the rules of provenance name; empty where they name none."""
    provenance = results.summary["provenance"]
    if not provenance["n_sources"]:
        return []
    worst = _Worst()
    for row in provenance["sources"]:
        name = "(no source)" if row["source"] is None else row["source"]
        labelled = sum(row["labels"][label][limit.of] for label in limit.labels)
        worst.add(*_labelled("source", name, labelled, row[limit.of], limit))
    return worst.places()


def _labelled(
    kind: Literal["file", "source"], name: str, labelled: int, n: int, limit: LabelLimit
) -> tuple[float, Place]:
    size = labelled if limit.max is not None else n - labelled
    note = f"{labelled:,} of {n:,} {limit.of}"
    return size, Place(kind, name, labelled / max(n, 1), note)


def files_by_probability(results: ScanResults) -> list[Place]:
    """Those with most documents that resemble synthetic text: by the sum of their probabilities."""

    def place(name: str, chunks: Iterator[Columns]) -> tuple[float, Place]:
        n, total = 0, 0.0
        for rows in chunks:
            values = rows["synthetic_probability"][~np.isnan(rows["synthetic_probability"])]
            n, total = n + len(values), total + float(values.sum())
        return total, Place("file", name, total / max(n, 1), f"mean probability of {n:,} documents")

    return _files(results, ["synthetic_probability"], place)


def _files(
    results: ScanResults, columns: Sequence[str], place: Callable[[str, Iterator[Columns]], tuple[float, Place]]
) -> list[Place]:
    """`place` gives the size of an input's miss, and the place. Nothing where the rows cannot be read here."""
    if results.documents_are_parquet and find_spec("pyarrow") is None:
        return []
    worst = _Worst()
    for name, chunks in results.documents(columns):
        worst.add(*place(name, chunks))
    return worst.places()


def drifted_types(comparison: Comparison, kind: str) -> list[Place]:
    """The tokens, or the 2-grams ("bigram"), that the divergence consists of, by their bits."""
    return [
        Place("token", feature.name, feature.bits, f"{feature.reference:.4g} → {feature.current:.4g} per million")
        for feature in comparison.features
        if feature.kind == kind
    ]


def lost_tokens(comparison: Comparison) -> list[Place]:
    """Words of the reference that are gone."""
    return [
        Place("token", mover.token, None, f"{mover.reference:,} in the reference, none left")
        for mover in comparison.vanished
    ]


class _Worst:
    """The first KEPT places by size of the miss; of equal ones those that came first. Sizes of 0 are no misses."""

    def __init__(self) -> None:
        self._found: list[tuple[float, int, Place]] = []
        self._n = 0

    def add(self, size: float, place: Place) -> None:
        if size > 0:
            self._n += 1
            self._found.append((-size, self._n, place))
            if len(self._found) >= 2 * KEPT:
                self._cut()

    def places(self) -> list[Place]:
        self._cut()
        return [place for _, _, place in self._found]

    def _cut(self) -> None:
        self._found.sort(key=lambda entry: entry[:2])
        del self._found[KEPT:]
