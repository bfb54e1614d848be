"""The batch audit on files of token ids: entropy and type-token ratio of every batch, at the speed of memory."""

import json
import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend, spectrum
from textassay.atomic import replacing
from textassay.batch import MAX_BATCH, MAX_VOCABULARY
from textassay.batches import Batches, row_type
from textassay.configuration import BATCH_TOKENS, check_limits
from textassay.cpus import usable_cpus
from textassay.distribution import FIXED_POINT, describe
from textassay.errors import UsageError
from textassay.formatting import counted
from textassay.inputs import Input, resolve_inputs
from textassay.metrics import flat_metrics
from textassay.scanning import Progress, has_pyarrow
from textassay.signals import LinearBins, bins_of
from textassay.table import Table
from textassay.token_files import DTYPES, SUFFIXES, Documents, TokenFile, open_token_file

SCHEMA = "textassay.audit/1"
TABLE_SUFFIXES = (".parquet", ".jsonl", ".jsonl.zst")
UNIT_TOKENS = 1 << 23
"""Ids that a thread counts at once: some milliseconds' worth, so that starting costs nothing and Ctrl-C is heard."""

UNIT_BATCHES = 1 << 16

TOTALS_VOCABULARY = 1 << 20
"""Up to here every thread keeps a count of each id over all batches."""

SHOWN = 100
NO_IDS = np.zeros(0, np.uint16)

_ROW = row_type(
    ("batch", "first_token", "n_tokens", "n_types", "n_outside"),
    ("entropy_bits", "entropy_mm_bits", "type_token_ratio"),
)
_CORPUS_FIGURES = (
    spectrum.n_types,
    spectrum.hapaxes,
    spectrum.entropy_bits,
    spectrum.entropy_mm_bits,
    spectrum.type_token_ratio,
)
_DISTRIBUTIONS = ("entropy_bits", "entropy_mm_bits", "type_token_ratio")


@dataclass(frozen=True)
class AuditResult:
    """What an audit found; `files` are the inputs' names, in their order."""

    summary: dict[str, Any]
    files: tuple[str, ...]
    _batches: Batches

    def __repr__(self) -> str:
        return f"<AuditResult of {counted(len(self.files), 'file')}, {self.summary['inputs']['tokens']} tokens>"

    @property
    def batches(self) -> Table:
        """A row per batch; `file` is a position in `files`, `first_token` one in the file."""
        return self._batches.table()

    def flat(self) -> dict[str, float]:
        """The summary's figures by dotted path, for MLflow's `log_metrics` or W&B's `log`: `metrics.flat_metrics`."""
        return flat_metrics(self.summary)

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """Whether a file was damaged, or more ids lay outside the vocabulary than the budget allows.

        A budget below 1 is a share of all ids, otherwise a number of them.
        """
        inputs = self.summary["inputs"]
        allowed = malformed_budget
        if 0 < malformed_budget < 1:
            allowed = malformed_budget * (inputs["outside"] + inputs["tokens"])
        return inputs["files_damaged"] > 0 or inputs["outside"] > allowed

    def breaks_floor(self) -> bool:
        """Whether a full batch lies below the floor, or none is full, so that nothing could be judged.

        The short rest of a file has less entropy in any case and is not judged.
        """
        batches = self.summary["batches"]
        return batches["n_full"] == 0 or batches["below_floor"] > batches["below_floor_short"]


def audit_tokens(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    dtype: str | None = None,
    vocab_size: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    floor: float | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> AuditResult:
    """Audits every batch of files of token ids, which are mapped into memory and read once, by all threads.

    `inputs` are files, folders, globs, `@list` (`inputs.resolve_inputs`): .npy of any integer dtype, raw .bin of
    `dtype` (uint16 if None), shards of llm.c and modded-nanogpt, Megatron's .bin with the .idx beside it
    (`token_files`). A batch is `batch_tokens` ids in a row; where the documents of a file are known (Megatron's, and
    the rows of a 2-D array), it is closed by the first document that brings it there, at the latest after 2^26 ids.
    The last of a file may be smaller; batches never span files.

    Per batch: `n_tokens`, `n_types`, `n_outside`, `entropy_bits` (plug-in, bits a token; to the bit as
    docs/semantics.md has it), `entropy_mm_bits` (Miller 1955), `type_token_ratio`; with a `floor` (bits) the verdicts
    of `batch_entropy_audit`. Ids that are negative or not below `vocab_size` are left out, counted in `n_outside` and
    named in the summary. With `out` (.parquet, .jsonl, .jsonl.zst) the batches are written there, whole or not at all.

    Damaged files are counted and reported, not raised. Raises `UsageError` (and its kind `InputError`) on what was
    asked for, `OutputError` where `out` cannot be written.
    """
    started = time.perf_counter(), time.process_time()
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype={dtype!r}: wanted one of {', '.join(DTYPES)}")
    if floor is not None and not floor >= 0:
        raise UsageError(f"floor={floor}: wanted bits, from 0")
    if vocab_size is not None and not 0 < index(vocab_size) <= MAX_VOCABULARY:
        raise UsageError(f"vocab_size={vocab_size}: wanted a number from 1 to {MAX_VOCABULARY}")
    used_threads = usable_cpus() if threads is None else threads
    check_limits("word", batch_tokens=batch_tokens, threads=used_threads)
    target = None if out is None else _checked_target(Path(out))
    found = resolve_inputs(inputs, SUFFIXES)
    job = _Job(found, vocab_size, batch_tokens, floor)
    job.run(dtype, used_threads, on_progress)
    summary = {
        "schema": SCHEMA,
        "configuration": {"vocab_size": vocab_size, "dtype": dtype, "batch_tokens": batch_tokens},
        **job.summary(),
    }
    names = tuple(file.name for file in found)
    if target is not None:
        _write(target, job.batches, names)
    summary["performance"] = _performance(summary["inputs"], started, used_threads)
    return AuditResult(summary, names, job.batches)


def _checked_target(path: Path) -> Path:
    if not path.name.endswith(TABLE_SUFFIXES):
        raise UsageError(f"{path}: wanted a file ending in {', '.join(TABLE_SUFFIXES)}")
    if path.suffix == ".parquet" and not has_pyarrow():
        raise UsageError(f"{path}: Parquet needs pyarrow: pip install 'textassay[arrow]'")
    return path


def _write(path: Path, batches: Batches, names: Sequence[str]) -> None:
    with replacing(path) as stream:
        if path.suffix == ".parquet":
            batches.write_parquet(stream, names)
        elif path.suffix == ".zst":
            batches.write_json(stream, names)
        else:
            for row in batches.rows(names):
                stream.write((json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode())


@dataclass(frozen=True)
class _Unit:
    """Batches of one file that a thread counts at once: the first begins at `begin`, each ends at one of `ends`."""

    place: int
    file: TokenFile
    first_batch: int
    begin: int
    ends: NDArray[np.int64]


class _Job:
    """One audit: cuts files into batches, has threads count them, keeps what they find, in order."""

    def __init__(self, files: Sequence[Input], vocab_size: int | None, batch_tokens: int, floor: float | None) -> None:
        self._files, self._batch_tokens, self._floor = files, batch_tokens, floor
        self._vocabulary = MAX_VOCABULARY if vocab_size is None else vocab_size
        self._has_totals = self._vocabulary <= TOTALS_VOCABULARY
        self._opened: list[TokenFile] = []
        self._counters: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outside: list[dict[str, Any]] = []
        self._tokens, self._bytes_ids, self._bytes_outside, self._n_outside = 0, 0, 0, 0
        self._n_batches = self._n_full = 0
        self._distributions = {name: _Distribution(name) for name in _DISTRIBUTIONS}
        self.batches = Batches(batch_tokens, floor, None, _ROW)

    def run(self, dtype: str | None, threads: int, on_progress: Callable[[Progress], None] | None) -> None:
        backend = _backend.get()
        for _ in range(threads):
            self._counters.put(backend.IdCounter(self._vocabulary, totals=self._has_totals))
        waiting: deque[tuple[_Unit, Future[Mapping[str, NDArray[Any]]]]] = deque()
        # Threads of Python's: a counter lets go of the interpreter, and what is left to do between is next to nothing.
        with ThreadPoolExecutor(threads, "textassay-audit") as pool:
            try:
                for unit in self._units(dtype):
                    waiting.append((unit, pool.submit(self._measure, unit)))
                    if len(waiting) > 2 * threads:
                        self._take(*waiting.popleft(), on_progress)
                while waiting:
                    self._take(*waiting.popleft(), on_progress)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _units(self, dtype: str | None) -> Iterator[_Unit]:
        for place, source in enumerate(self._files):
            file = open_token_file(source, dtype)
            self._opened.append(replace(file, ids=NO_IDS, documents=None))  # the map is closed with its last unit
            n_batches = 0
            for begin, ends in cut(file, self._batch_tokens):
                yield _Unit(place, file, n_batches, begin, ends)
                n_batches += len(ends)

    def _measure(self, unit: _Unit) -> Mapping[str, NDArray[Any]]:
        ids = unit.file.ids[unit.begin : int(unit.ends[-1])]
        counter = self._counters.get()
        try:
            native = np.require(ids, ids.dtype.newbyteorder("="), ["C", "A"])  # a copy only where it has to be one
            return counter.measure(np.asarray(native), unit.ends - unit.begin)  # type: ignore[no-any-return]
        finally:
            self._counters.put(counter)

    def _take(
        self, unit: _Unit, done: "Future[Mapping[str, NDArray[Any]]]", on_progress: Callable[[Progress], None] | None
    ) -> None:
        rows = _rows(unit, done.result())
        self.batches.add(unit.place, rows)
        tokens, outside = int(rows["n_tokens"].sum()), int(rows["n_outside"].sum())
        self._tokens += tokens
        self._n_outside += outside
        self._bytes_ids += tokens * unit.file.ids.itemsize
        self._bytes_outside += outside * unit.file.ids.itemsize
        if outside:
            self._name_outside(unit, rows)
        full = self.batches.are_full(rows)
        self._n_batches += len(full)
        self._n_full += int(full.sum())
        for name, distribution in self._distributions.items():
            distribution.add(rows[name][full])
        if on_progress is not None:
            on_progress(self._progress(unit.place))

    def _name_outside(self, unit: _Unit, rows: Mapping[str, NDArray[Any]]) -> None:
        for row in np.flatnonzero(rows["n_outside"])[: SHOWN - len(self._outside)].tolist():
            position = int(rows["first_token"][row] + rows["first_outside"][row])
            self._outside.append(
                {
                    "file": unit.file.name,
                    "position": position,
                    "byte_offset": unit.file.bytes_header + position * unit.file.ids.itemsize,
                    "id": int(unit.file.ids[position]),
                    "batch": int(rows["batch"][row]),
                    "n_outside": int(rows["n_outside"][row]),
                }
            )

    def _progress(self, place: int) -> Progress:
        done = self._bytes_ids + self._bytes_outside
        total = sum(file.size or 0 for file in self._files)
        return Progress(place, len(self._files), done, total, done, self._n_batches)

    def summary(self) -> dict[str, Any]:
        """`inputs`, `corpus` (None without a vocabulary's size, or with too large a one) and `batches`."""
        names = [file.name for file in self._files]
        below = {"below_floor": self.batches.n_below, "below_floor_short": self.batches.n_below_short}
        return {
            "inputs": self._inputs(),
            "corpus": self._corpus() if self._has_totals else None,
            "batches": {
                "n_batches": self._n_batches,
                "n_full": self._n_full,
                "batch_tokens": self._batch_tokens,
                "entropy_floor": self._floor,
                **(below if self._floor is not None else {}),
                "worst": self.batches.worst(names),
                "distributions": {name: found.describe() for name, found in self._distributions.items()},
            },
        }

    def _inputs(self) -> dict[str, Any]:
        """Law 2: `accounted` adds up to `bytes`."""
        damaged = [file for file in self._opened if file.reason]
        accounted = {
            "bytes_header": sum(file.bytes_header for file in self._opened),
            "bytes_ids": self._bytes_ids,
            "bytes_outside": self._bytes_outside,
            "bytes_left_over": sum(file.bytes_left_over for file in self._opened),
        }
        total = sum(file.bytes for file in self._opened)
        return {
            "files": len(self._opened),
            "files_damaged": len(damaged),
            "kinds": dict(sorted(Counter(f"{file.kind} {file.dtype}".strip() for file in self._opened).items())),
            "bytes": total,
            "tokens": self._tokens,
            "outside": self._n_outside,
            "accounted": accounted,
            "balanced": sum(accounted.values()) == total,
            "damaged": [{"file": file.name, "reason": file.reason} for file in damaged[:SHOWN]],
            "outside_first": self._outside,
        }

    def _corpus(self) -> dict[str, Any]:
        totals = np.zeros(self._vocabulary, np.uint64)
        while not self._counters.empty():
            totals += self._counters.get().totals()
        counts, types = np.unique(totals[totals > 0].astype(np.int64), return_counts=True)
        found = spectrum.Spectrum(int(totals.sum()), counts, types)
        values = {figure.__name__: figure(found).value if found.n_tokens else None for figure in _CORPUS_FIGURES}
        return {"n_tokens": found.n_tokens, **values}


def _rows(unit: _Unit, found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    n, types, entropy = found["n_tokens"], found["n_types"], found["entropy_bits"]
    begins = np.concatenate([[unit.begin], unit.ends[:-1]])
    with np.errstate(invalid="ignore", divide="ignore"):  # a batch whose ids are all outside: null
        corrected = entropy + (types - 1) / ((2 * n) * 0.6931471805599453)
        ratio = np.where(n > 0, types / n, np.nan)
    batches = unit.first_batch + np.arange(len(n))
    more = {"batch": batches, "first_token": begins, "entropy_mm_bits": corrected, "type_token_ratio": ratio}
    return {**found, **more}


def cut(file: TokenFile, batch_tokens: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The batches of a file, some at a time: where the first begins, and where each ends."""
    at_once = min(max(1, UNIT_TOKENS // batch_tokens), UNIT_BATCHES)
    if file.documents is None:
        n_ids = len(file.ids)
        for begin in range(0, n_ids, at_once * batch_tokens):
            end = min(begin + at_once * batch_tokens, n_ids)
            yield begin, np.append(np.arange(begin + batch_tokens, end, batch_tokens), end)
        return
    begin, ends = 0, []
    for end in _ends(file.documents, len(file.ids), batch_tokens):
        ends.append(end)
        if end - begin >= UNIT_TOKENS or len(ends) == UNIT_BATCHES:
            yield begin, np.array(ends)
            begin, ends = end, []
    if ends:
        yield begin, np.array(ends)


def _ends(documents: Documents, n_ids: int, batch_tokens: int) -> Iterator[int]:
    begin = 0
    for ends in documents.ends():
        while (closing := int(np.searchsorted(ends, begin + batch_tokens))) < len(ends):
            yield from _at_most(begin, int(ends[closing]))
            begin = int(ends[closing])
    if begin < n_ids:
        yield from _at_most(begin, n_ids)


def _at_most(begin: int, end: int) -> Iterator[int]:
    """A document that is too long for one batch makes several."""
    yield from range(begin + MAX_BATCH, end, MAX_BATCH)
    yield end


class _Distribution:
    """Counts of a figure, as a scan's profile keeps them."""

    def __init__(self, name: str) -> None:
        self._name, self._bins = name, bins_of(name)
        assert isinstance(self._bins, LinearBins)
        self._counts = np.zeros(self._bins.count, np.uint64)
        self._nulls = self._sum = self._squares = 0

    def add(self, values: NDArray[np.float64]) -> None:
        present = values[~np.isnan(values)]
        self._nulls += len(values) - len(present)
        places = np.floor((present - self._bins.low) * self._bins.scale).clip(0, self._bins.count - 1)
        self._counts += np.bincount(places.astype(np.int64), minlength=self._bins.count).astype(np.uint64)
        units = np.floor(present * FIXED_POINT + 0.5).astype(np.int64).tolist()
        self._sum += sum(units)
        self._squares += sum(unit * unit for unit in units)

    def describe(self) -> dict[str, Any]:
        state = {"bins": self._counts, "nulls": self._nulls, "sum": self._sum, "sum_squares": self._squares}
        return describe(self._name, state)


def _performance(inputs: Mapping[str, Any], started: tuple[float, float], threads: int) -> dict[str, Any]:
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "threads": threads,
        "bytes_per_second": inputs["bytes"] / seconds,
        "tokens_per_second": inputs["tokens"] / seconds,
        "backend": _backend.get().backend_info(),
    }
