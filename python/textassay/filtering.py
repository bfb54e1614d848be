"""Splits shards into what is kept and what is held back, by what a scan found (docs/filter.md)."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.configuration import check_limits
from textassay.cpus import usable_cpus
from textassay.errors import FolderError, InputError, UsageError
from textassay.folder import Layout, OutputFolder, json_text
from textassay.inputs import Input, resolve_inputs
from textassay.predicates import Comparison, Junction, Predicate, is_null, parse_predicate
from textassay.prescan import check_options, check_readable_twice, scan_of
from textassay.scan_folder import PLACES, Columns, ScanFolder, ScannedInput
from textassay.scanning import POLL_SECONDS, Progress
from textassay.splitting import HELD, KEPT, REJECTED, STREAMS, Decided, Shard, Split, split_file
from textassay.summary import inputs_of, is_damaged

SCHEMA = "textassay.filter/1"
REPORT = "filter.json"
LAYOUT = Layout((*STREAMS, REPORT), REPORT, SCHEMA)
LEVELS = (1, 22)
LEVEL = 3


@dataclass(frozen=True)
class Rule:
    """Holds a document back: where its predicate holds, or, for a rule that keeps, where it does not."""

    text: str
    predicate: Predicate
    keeps: bool

    @property
    def name(self) -> str:
        return f"{'keep' if self.keeps else 'hold'}: {self.text}"


class Criteria:
    """Rules that say which documents are held: those that one of them holds back. The others are kept."""

    def __init__(
        self, hold: str | Iterable[str] = (), keep: str | Iterable[str] = (), entropy_floor: float | None = None
    ) -> None:
        """Predicates (`predicates.parse_predicate`); `entropy_floor` holds batches below it. Raises `UsageError` on
        one that cannot be read, and where there is none.
        """
        self.rules: list[Rule] = []
        if entropy_floor is not None:
            if not entropy_floor >= 0:
                raise UsageError(f"entropy_floor={entropy_floor}: wanted bits, from 0")
            column = "batch_entropy_bits"
            self.rules.append(Rule(f"{column} < {entropy_floor:g}", Comparison(column, "<", entropy_floor), False))
        for texts, keeps in ((hold, False), (keep, True)):
            for text in [texts] if isinstance(texts, str) else texts:
                self.rules.append(Rule(text, parse_predicate(text), keeps))
        if not self.rules:
            raise UsageError("nothing says what to hold: wanted hold, keep or entropy_floor")

    def columns(self) -> dict[str, str]:
        """The columns that the rules look at, each with its kind."""
        return Junction(tuple(rule.predicate for rule in self.rules), is_and=False).columns()

    def held_by(self, columns: Columns) -> NDArray[np.bool_]:
        """Shape (rules, documents): which rule holds back which document."""
        return np.array([rule.predicate.holds(columns) != rule.keeps for rule in self.rules])


@dataclass
class RuleCounts:
    """Documents by rule. `first`: those that no rule before it holds back; `null`: of which it looks at a null."""

    first: NDArray[np.int64]
    held: NDArray[np.int64]
    null: NDArray[np.int64]

    @classmethod
    def zero(cls, n: int) -> "RuleCounts":
        return cls(*(np.zeros(n, np.int64) for _ in range(3)))

    def add(self, other: "RuleCounts") -> None:
        self.first += other.first
        self.held += other.held
        self.null += other.null


@dataclass(frozen=True)
class FilterResult:
    """`report` is what filter.json holds, and `performance`. The shards are in `out`/kept, held and rejected."""

    report: dict[str, Any]
    out: Path

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """As `ScanResult.is_damaged`."""
        return is_damaged(self.report["inputs"], malformed_budget)


def filter_shards(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    hold: str | Iterable[str] = (),
    keep: str | Iterable[str] = (),
    entropy_floor: float | None = None,
    scanned: str | PathLike[str] | None = None,
    level: int = LEVEL,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **scan_options: Any,
) -> FilterResult:
    """Splits JSONL shards (plain, zstd, gzip): each line goes unchanged, in order, into one of three zstd files.

    A document is *held* where a predicate of `hold` holds for it, or one of `keep` does not, or its batch is below
    `entropy_floor` bits; otherwise it is *kept*. Lines that are no document (malformed, blank) are *rejected*. Predicates are those of `textassay.predicates` over
    the columns of a scan's documents and `batch_...` of its batches. `scanned` is the folder of a scan of these inputs, whose figures
    decide; without one the inputs are scanned first, with `scan_options` (those of `scan`). `level` is zstd's.

    Writes into `out`, whole or not at all: kept/, held/, rejected/ (a file for each input that has such lines; kept and held always) and
    filter.json. Raises `UsageError` on what was asked for, `InputError` on inputs that are not as the scan found them, `OutputError` where `out` cannot be written.
    """
    started = time.perf_counter(), time.process_time()
    criteria = Criteria(hold, keep, entropy_floor)
    if not isinstance(level, int) or not LEVELS[0] <= level <= LEVELS[1]:
        raise UsageError(f"level={level}: wanted a whole number from {LEVELS[0]} to {LEVELS[1]}")
    used_threads = usable_cpus() if threads is None else threads
    check_limits("word", threads=used_threads)
    options = check_options(scanned, criteria.columns(), scan_options)
    files = resolve_inputs(inputs)
    check_readable_twice(files)
    _check_outside(files, Path(out))
    with OutputFolder(out, LAYOUT) as folder:
        with scan_of(files, scanned, folder.partial, options, used_threads, on_progress) as (results, matched):
            results.check_columns(criteria.columns())
            report = _Job(results, criteria, matched, folder.partial, level, used_threads).run(on_progress)
        with folder.file(REPORT) as stream:
            stream.write(json_text(report).encode())
        folder.commit()
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    performance = {"seconds": seconds, "cpu_seconds": cpu_seconds, "threads": used_threads}
    return FilterResult(report | {"performance": performance}, Path(out))


def _check_outside(files: Sequence[Input], out: Path) -> None:
    """Results are put in the place of earlier ones."""
    place = os.path.realpath(out)
    for file in files:
        if os.path.realpath(os.fsdecode(file.source)).startswith(os.path.join(place, "")):
            raise FolderError(f"{file.name} lies in {out}: writing there would destroy it; choose another folder")


class _Job:
    """Splits the files, several at once."""

    def __init__(
        self,
        results: ScanFolder,
        criteria: Criteria,
        files: Sequence[tuple[Input, ScannedInput]],
        folder: Path,
        level: int,
        threads: int,
    ) -> None:
        self._results = results
        self._criteria = criteria
        self._files = files
        self._folder = folder
        self._level = level
        self._at_once = min(threads, len(files))
        self._threads_each = threads // self._at_once
        self._bytes = [0] * len(files)
        self._documents = [0] * len(files)
        self._n_ended = 0
        self._cancelled = threading.Event()

    def run(self, on_progress: Callable[[Progress], None] | None) -> dict[str, Any]:
        for stream in STREAMS:
            (self._folder / stream).mkdir()
        with ThreadPoolExecutor(self._at_once, "textassay-filter") as pool:
            running = [pool.submit(self._split, index) for index in range(len(self._files))]
            try:
                self._wait(running, on_progress)
            finally:
                self._cancelled.set()
                pool.shutdown(cancel_futures=True)
        return self._report([future.result() for future in running])

    def _wait(self, running: Sequence[Future[Any]], on_progress: Callable[[Progress], None] | None) -> None:
        """Until all are done. Raises what the first of the files that failed did."""
        waiting = True
        while waiting:
            done, not_done = wait(running, POLL_SECONDS, FIRST_EXCEPTION)
            self._n_ended = len(done)
            waiting = bool(not_done)
            for future in running:
                if future.done() and (error := future.exception()) is not None:
                    raise error
            if on_progress is not None:
                on_progress(self._progress())

    def _progress(self) -> Progress:
        sizes = [scanned.size or 0 for _, scanned in self._files]
        whole = [max(1, scanned.outcome["bytes"]) for _, scanned in self._files]
        read = sum(size * min(done, of) // of for size, done, of in zip(sizes, self._bytes, whole, strict=True))
        return Progress(self._n_ended, len(sizes), read, sum(sizes), sum(self._bytes), sum(self._documents))

    def _split(self, index: int) -> tuple[Split, RuleCounts, list[Shard]]:
        scanned = self._files[index][1]
        shards = [
            Shard(
                self._folder / stream / scanned.shard_name,
                self._level,
                self._threads_each,
                is_wanted=stream != STREAMS[REJECTED],
            )
            for stream in STREAMS
        ]
        counts = RuleCounts.zero(len(self._criteria.rules))
        try:
            split = self._split_into(shards, index, counts)
            for shard in shards:
                shard.close()
        except BaseException:
            for shard in shards:
                shard.abandon()
            raise
        return split, counts, shards

    def _split_into(self, shards: Sequence[Shard], index: int, counts: RuleCounts) -> Split:
        file, scanned = self._files[index]
        if scanned.outcome["status"] == "unreadable":
            return Split(np.zeros(3, np.int64), np.zeros(3, np.int64))
        assert isinstance(file.source, bytes)
        decided = self._decide(scanned, counts)
        try:
            split = split_file(
                file.source, decided, shards, self._results.max_window_log, lambda size, n: self._note(index, size, n)
            )
            _check_split(split, scanned.outcome)
        except InputError as error:
            raise InputError(f"{file.name} is not as it was when it was scanned: {error}; scan it again") from error
        return split

    def _note(self, index: int, size: int, documents: int) -> None:
        if self._cancelled.is_set():
            raise KeyboardInterrupt
        self._bytes[index] += size
        self._documents[index] += documents

    def _decide(self, scanned: ScannedInput, counts: RuleCounts) -> Iterator[Decided]:
        wanted = self._criteria.columns()
        last = 0
        for chunk in self._results.chunks(scanned, list(dict.fromkeys((*PLACES, *wanted)))):
            held_by = self._criteria.held_by(chunk)
            held = held_by.any(axis=0)
            counts.held += held_by.sum(axis=1)
            counts.first += np.bincount(held_by.argmax(axis=0)[held], minlength=len(counts.first))
            counts.null += [_n_null(rule, chunk) for rule in self._criteria.rules]
            lines = chunk["line"]
            if len(lines) and (lines[0] <= last or (np.diff(lines) <= 0).any()):
                raise FolderError(f"{scanned.documents}: lines of documents are not in order")
            last = int(lines[-1]) if len(lines) else last
            yield Decided(lines, chunk["byte_offset"], np.where(held, HELD, KEPT).astype(np.uint8))

    def _report(self, done: Sequence[tuple[Split, RuleCounts, list[Shard]]]) -> dict[str, Any]:
        outcomes = [scanned.outcome for _, scanned in self._files]
        counts = RuleCounts.zero(len(self._criteria.rules))
        for _, own, _ in done:
            counts.add(own)
        rows = [
            self._file_report(file, scanned, split, shards)
            for (file, scanned), (split, _, shards) in zip(self._files, done, strict=True)
        ]
        inputs = inputs_of([file.name for file, _ in self._files], outcomes)
        totals = {
            stream: {key: sum(row[stream][key] for row in rows) for key in rows[0][stream] if key != "path"}
            for stream in STREAMS
        }
        balanced = inputs["balanced"] and inputs["bytes"] == sum(totals[stream]["bytes"] for stream in STREAMS)
        return {
            "schema": SCHEMA,
            "rules": [
                {"rule": rule.name, "held_first": first, "held": held, "null": null}
                for rule, first, held, null in zip(
                    self._criteria.rules, *(c.tolist() for c in (counts.first, counts.held, counts.null)), strict=True
                )
            ],
            **totals,
            "inputs": inputs,
            "balanced": balanced,
            "files": rows,
        }

    def _file_report(self, file: Input, scanned: ScannedInput, split: Split, shards: Sequence[Shard]) -> dict[str, Any]:
        row: dict[str, Any] = {"input": file.name, "size": file.size, "digest": scanned.digest}
        for stream, shard, lines, size in zip(STREAMS, shards, split.lines.tolist(), split.bytes.tolist(), strict=True):
            malformed = scanned.outcome["malformed"]
            kinds = {"documents": lines}
            if stream == STREAMS[REJECTED]:
                kinds = {"malformed": malformed, "blank": lines - malformed}
            row[stream] = {
                "path": f"{stream}/{shard.path.name}" if shard.exists else None,
                **kinds,
                "bytes": size,
                "bytes_compressed": shard.bytes_compressed,
            }
        return row


def _n_null(rule: Rule, chunk: Columns) -> int:
    """Documents of which one of the rule's columns is null."""
    return int(np.any([is_null(chunk[column]) for column in rule.predicate.columns()], axis=0).sum())


def _check_split(split: Split, outcome: Mapping[str, Any]) -> None:
    """Law 2, with the scan's figures: raises `InputError` where another file was read than scanned."""
    n_documents, n_lines = int(split.lines[[KEPT, HELD]].sum()), int(split.lines.sum())
    found = {
        "bytes": int(split.bytes.sum()),
        "bytes_parsed": int(split.bytes[[KEPT, HELD]].sum()),
        "lines": n_lines,
        "documents": n_documents,
    }
    unlike = [f"{name} {number}, then {outcome[name]}" for name, number in found.items() if number != outcome[name]]
    if unlike:
        raise InputError("; ".join(unlike))
