"""The main job: shards in, one profile and its views out."""

import json
import math
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from textassay import _backend
from textassay.anchor.anchor import Anchor
from textassay.batches import Batches
from textassay.checkpoint import SECONDS, Checkpoints, Kept
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, configure
from textassay.detector import DetectorChoice
from textassay.documents import (
    DocumentSink,
    JsonRows,
    MemoryDocuments,
    NoDocuments,
    ParquetRows,
    WrittenDocuments,
    column_kinds,
    file_name,
)
from textassay.dolma_attributes import FOLDER as ATTRIBUTES
from textassay.dolma_attributes import DolmaRows, attribute_paths
from textassay.errors import FolderError, OutputError, OutputWarning, ScanInterrupted, UsageError
from textassay.folder import (
    BATCHES_JSON,
    BATCHES_PARQUET,
    BIGRAMS,
    ERRORS,
    MANIFEST,
    MANIFEST_SCHEMA,
    PROFILE,
    REPORT,
    SUMMARY,
    OutputFolder,
)
from textassay.formatting import counted
from textassay.inputs import DIGEST_KIND, Input, change_of, digest_of, printable, resolve_inputs
from textassay.lexicon import Lexicon
from textassay.metrics import flat_metrics
from textassay.parquet import sources_of
from textassay.profile import Profile
from textassay.provenance import ProvenanceRules
from textassay.remote import Feed
from textassay.report import can_report, has_report, page_or_warning
from textassay.scan_settings import MAX_RECORD_BYTES, MAX_WINDOW_LOG, ScanSettings, check_settings
from textassay.spool import Spool
from textassay.summary import inputs_of, is_damaged, summary_of
from textassay.suspects import Suspects
from textassay.table import Table
from textassay.tokenizer import TokenizerChoice

POLL_SECONDS = 0.1
STOP_SECONDS = 3.0
"""A scan that is asked to stop commits its state if that takes no longer; otherwise the last commit holds."""
ERRORS_SPOOL = "errors.spool"
SUSPECTS_KEPT = 20
SUSPECT_SIGNALS = ("synthetic_probability", "perplexity", "entropy_bits", "mattr", "burstiness", "marker_rate")
ERRORS_SHOWN = 30

DocumentsChoice = Literal["auto", "parquet", "jsonl", "dolma", "memory", "none"]


@dataclass(frozen=True)
class Progress:
    """How far a scan is. `bytes_total` is the size of all files; None with a pipe among them."""

    files: int
    n_files: int
    bytes_compressed: int
    bytes_total: int | None
    bytes: int
    documents: int


@dataclass(frozen=True)
class Course:
    """What a scan does on the way; `scan` says what these are. Results do not depend on it."""

    on_progress: Callable[[Progress], None] | None = None
    restart: bool = False
    checkpoint_seconds: float | None = SECONDS
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class ScanResult:
    """What a scan found.

    `outcomes` tells for each input, in order of names, how its reading ended and where its bytes went.
    """

    profile: Profile
    summary: dict[str, Any]
    inputs: tuple[Input, ...]
    outcomes: tuple[Mapping[str, Any], ...]
    out: Path | None
    _documents: DocumentSink
    _batches: Batches
    _errors: Spool
    bigrams: Profile | None = None
    """Of neighbouring words, if they were asked for."""

    @property
    def documents(self) -> Table | None:
        """A row per document; `file` is a position in `inputs`. None where they were not asked for.

        With `documents="memory"` they are here, otherwise they are read from the files in `out`; attributes for dolma
        are not read.
        """
        if isinstance(self._documents, MemoryDocuments):
            return self._documents.table()
        if isinstance(self._documents, WrittenDocuments) and self.out is not None:
            return self._documents.read(self.out / "documents")
        return None

    @property
    def batches(self) -> Table:
        """A row per batch; `file` is a position in `inputs`."""
        return self._batches.table()

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Malformed records and damaged files: `file`, `line`, `byte_offset`, `reason`."""
        return [json.loads(line) for _, block in self._errors.blocks() for line in block.splitlines()]

    def __repr__(self) -> str:
        out = "" if self.out is None else f", in {self.out}"
        return f"<ScanResult of {counted(len(self.inputs), 'file')}{out}: {self.profile!r}>"

    def _repr_html_(self) -> str | None:
        """For notebooks; None without jinja2 and matplotlib, and then `repr` is shown."""
        if not has_report():
            return None
        from textassay.report.notebook import scan_html

        return scan_html(self.summary)

    def flat(self) -> dict[str, float]:
        """The summary's figures by dotted path, for MLflow's `log_metrics` or W&B's `log`: `metrics.flat_metrics`."""
        return flat_metrics(self.summary)

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """Whether a file was damaged, or more records were malformed than the budget allows.

        A budget below 1 is a share of all records, otherwise a number of them.
        """
        return is_damaged(self.summary["inputs"], malformed_budget)


def scan(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    signals: str | Iterable[str] = "default",
    tokens: str = "word",
    text_fields: str | Sequence[str] = "text",
    id_field: str = "id",
    lexicon: Lexicon | None = None,
    anchor: Anchor | str | PathLike[str] | None = None,
    detector: DetectorChoice = "default",
    tokenizer: TokenizerChoice = None,
    provenance: ProvenanceRules | str | PathLike[str] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    entropy_floor: float | None = None,
    max_types: int = MAX_TYPES,
    max_record_bytes: int = MAX_RECORD_BYTES,
    max_window_log: int = MAX_WINDOW_LOG,
    threads: int | None = None,
    documents: DocumentsChoice = "auto",
    bigrams: bool = False,
    report: bool = True,
    on_progress: Callable[[Progress], None] | None = None,
    restart: bool = False,
    checkpoint_seconds: float | None = SECONDS,
    should_stop: Callable[[], bool] | None = None,
) -> ScanResult:
    """Scans shards, JSONL (plain, zstd, gzip) or Parquet, and returns their profile with its views.

    `inputs` are files, folders, globs, `@list`, `-`, URLs (see `inputs.resolve_inputs`). With `out`, summary.json,
    profile.tap, documents/, batches, errors.jsonl, manifest.json and, unless `report` is False, report.html (which needs
    jinja2 and matplotlib) are written there, whole or not at all; without it nothing is written.
    `documents` says what becomes of the rows of documents: "parquet", "jsonl"
    (zstd-compressed), "dolma" (attributes for the Dolma toolkit), "none", "memory" (into `ScanResult.documents`), or
    "auto": Parquet if pyarrow is installed, else JSONL, and none without `out`. With an `anchor` (or the path of its file) the default signals hold
    perplexity, oov_rate and tail_share. tokens="bpe" counts the ids that the `tokenizer` (or the path of its tokenizer.json)
    makes of a text, instead of words. The `detector`, the package's own if not another one, its folder or None, adds
    synthetic_logit and synthetic_probability. `provenance` are rules, or their file, that give every document a label;
    where none matches, the detector's verdict does (docs/provenance.md). With `bigrams` the inputs are read a second
    time, for a profile of 2-grams (`ScanResult.bigrams`; in `out` bigrams.tap), which `compare` looks for. `threads` defaults to the CPUs that this process may use.

    With `out`, and files only, the state of the scan is committed there every `checkpoint_seconds` (None: never) and every 64
    files. Where `out` holds a scan that has not ended, this one goes on with it, to the same results to the byte, or with
    `restart` begins anew (docs/resume.md). `should_stop` is asked ten times a second; when it says yes the state is committed
    and `ScanInterrupted` raised.

    Malformed records and damaged files are counted and reported, not raised. Raises `UsageError` (and its kind
    `InputError`) on what was asked for and where an unfinished scan in `out` had other settings or inputs, `OutputError` where `out` cannot be written, `KeyboardInterrupt` after
    stopping all threads.
    """
    started = time.perf_counter(), time.process_time()
    settings = check_settings(
        signals=signals,
        tokens=tokens,
        text_fields=text_fields,
        id_field=id_field,
        lexicon=lexicon,
        anchor=anchor,
        detector=detector,
        tokenizer=tokenizer,
        provenance=provenance,
        batch_tokens=batch_tokens,
        entropy_floor=entropy_floor,
        max_types=max_types,
        max_record_bytes=max_record_bytes,
        max_window_log=max_window_log,
        threads=threads,
        documents=document_form(documents, out is not None),
        bigrams=bigrams,
        report=report,
    )
    course = Course(on_progress, restart, checkpoint_seconds, should_stop)
    return scan_files(resolve_inputs(inputs, allow_remote=True), settings, out, course, started)


def scan_files(
    files: Sequence[Input],
    settings: ScanSettings,
    out: str | PathLike[str] | None = None,
    course: Course = Course(),
    started: tuple[float, float] | None = None,
) -> ScanResult:
    """`scan`, of files that are known and with settings that are checked. `started` are the times, of the wall and of the
    CPU, from which on its performance counts.
    """
    if settings.bigrams and any(file.size is None for file in files):
        raise UsageError("2-grams are counted in a second pass: wanted files, not a pipe")
    if course.checkpoint_seconds is not None and not course.checkpoint_seconds >= 0:
        raise UsageError(f"checkpoint_seconds={course.checkpoint_seconds}: wanted seconds, from 0")
    job = _Job(files, settings, course)
    try:
        job.claim(out)
        return job.run(started or (time.perf_counter(), time.process_time()))
    except BaseException as error:
        job.abandon()
        if isinstance(error, OSError) and out is not None:
            raise OutputError(f"{_failed(error, out)}: {error.strerror or error}") from error
        raise


def _failed(error: OSError, out: str | PathLike[str]) -> str:
    """An error that names a file is one of reading, unless that lies in `out`."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else os.fspath(out)
    return f"cannot write to {out}" if name.startswith(os.fspath(out)) else f"cannot read {printable(name)}"


def document_form(choice: DocumentsChoice, has_out: bool) -> DocumentsChoice:
    """What "auto" means here. Raises `UsageError` where the choice cannot be had."""
    if choice not in get_args(DocumentsChoice):
        raise UsageError(f"documents={choice!r}: wanted auto, parquet, jsonl, dolma, memory or none")
    if choice in ("parquet", "jsonl", "dolma") and not has_out:
        raise UsageError(f"documents={choice!r} needs a folder to write to")
    if choice == "parquet" and not has_pyarrow():
        raise UsageError("documents='parquet' needs pyarrow: pip install 'textassay[arrow]'")
    if choice != "auto":
        return choice
    if not has_out:
        return "none"
    if not has_pyarrow():
        text = "documents and batches are written as JSONL.zst; for Parquet: pip install 'textassay[arrow]'"
        warnings.warn(text, OutputWarning, 3)
        return "jsonl"
    return "parquet"


def has_pyarrow() -> bool:
    return find_spec("pyarrow") is not None


class _Job:
    """One scan: takes the backend's events apart, keeps what they carry, writes it."""

    def __init__(self, files: Sequence[Input], settings: ScanSettings, course: Course) -> None:
        self.files = files
        self.settings = settings
        self.configuration = settings.configuration
        self.course = course
        columns = ["byte_offset", *(name for name in SUSPECT_SIGNALS if name in self.configuration.signals)]
        verdicts = None if settings.documents == "none" else settings.verdicts
        self.suspects = None if verdicts is None else Suspects(verdicts, SUSPECTS_KEPT, columns)
        self.names = [file.name for file in files]
        self.floor = settings.entropy_floor
        self.form = settings.documents
        self.outcomes: list[Mapping[str, Any] | None] = [None] * len(files)
        self.digests: list[str | None] = [None] * len(files)
        self.documents: DocumentSink = NoDocuments()
        self.batches = Batches(self.configuration.batch_tokens, self.floor, None)
        self.errors = Spool()
        self.feed: Feed | None = None
        self.running: Any = None
        self.folder: OutputFolder | None = None
        self.checkpoints: Checkpoints | None = None
        self.reports = False

    def claim(self, out: str | PathLike[str] | None) -> None:
        """The folder for the results, and in it a scan that has not ended if there is one."""
        if out is None:
            return
        self.reports = self.settings.report and can_report()
        restart, seconds = self.course.restart, self.course.checkpoint_seconds
        if self.form == "memory" or any(file.size is None or file.is_remote for file in self.files):
            seconds = None  # pipes cannot be gone on with
        self.folder = OutputFolder(out, keeps_unfinished=restart or seconds is not None)
        if seconds is not None:
            self.checkpoints = Checkpoints(self.folder, self.files, self.settings.described(), restart, seconds)
        elif restart:
            self.folder.clear()

    def _document_sink(self, kept: Kept) -> DocumentSink:
        if self.form == "memory":
            return MemoryDocuments()
        if self.form == "none" or self.folder is None:
            return NoDocuments()
        integers = frozenset(_backend.get().INTEGER_SIGNALS)
        kinds = column_kinds(self.configuration.signals, integers, bool(self.configuration.provenance))
        done = kept.outcomes, kept.parts
        if self.form == "dolma":
            return WrittenDocuments(
                self.folder.partial / ATTRIBUTES, attribute_paths(self.files), kinds, DolmaRows, *done
            )
        suffix, rows = (".parquet", ParquetRows) if self.form == "parquet" else (".jsonl.zst", JsonRows)
        names = [file_name(file.position, file.name, suffix) for file in self.files]
        return WrittenDocuments(self.folder.partial / "documents", names, kinds, rows, *done)

    def run(self, started: tuple[float, float]) -> ScanResult:
        kept = Kept() if self.checkpoints is None else self.checkpoints.kept
        counted = self._take_up(kept)
        values = () if self.settings.rules is None else self.settings.rules.fields
        self.feed = self._feed(values)
        before = {"begun": kept.begun(), "profile": None if counted is None else counted.state}
        try:
            self.running = _backend.get().Scan(self.feed.sources, **self.settings.for_backend(self.files), **before)
        except ValueError as error:
            if not kept.open:
                raise
            raise FolderError(f"{self.folder and self.folder.path}: {error}; --restart begins anew") from error
        drain(self.running, self.files, self._take, self.course.on_progress, self._between, kept.progress())
        self.feed.close()
        if self.folder is not None and (self.folder.holds_unfinished or self.settings.bigrams):
            self._commit_all({}, time.monotonic())
        self.documents.finish()
        profile = Profile.from_state(self.configuration, self.running.profile())
        bigrams = self._count_bigrams() if self.settings.bigrams else None
        outcomes = [outcome for outcome in self.outcomes if outcome is not None]
        inputs = inputs_of(self.names, outcomes)
        made_with = self.settings.detector, self.settings.anchor, self.settings.tokenizer
        summary = summary_of(profile, inputs, self._batch_figures(), *made_with)
        if self.suspects is not None:
            summary["suspects"] = self.suspects.worst(self.names)
        summary["performance"] = _performance(summary, started, self.settings.threads)
        if self.folder is not None:
            if bigrams is not None:
                bigrams.save(self.folder.partial / BIGRAMS)
            self._write(self.folder, profile, summary)
        path = None if self.folder is None else self.folder.path
        sinks = (self.documents, self.batches, self.errors)
        return ScanResult(profile, summary, tuple(self.files), tuple(outcomes), path, *sinks, bigrams)

    def _take_up(self, kept: Kept) -> Profile | None:
        """What was found before; returns its profile. Raises `FolderError` where that is not there."""
        partial = None if self.folder is None else self.folder.partial
        for file, outcome in kept.outcomes.items():
            self.outcomes[file], self.digests[file] = outcome, kept.digests[file]
        lengths = kept.lengths
        try:
            self.batches = Batches(self.configuration.batch_tokens, self.floor, partial, length=lengths["batches"])
            self.errors = Spool(None if partial is None else partial / ERRORS_SPOOL, lengths["errors"])
            self.documents = self._document_sink(kept)
            if self.suspects is not None and kept.suspects is not None:
                self.suspects.go_on(kept.suspects, len(self.files))
            counted = None if self.checkpoints is None else self.checkpoints.read_profile()
        except UsageError:
            raise
        except (ValueError, FileNotFoundError) as error:
            raise FolderError(f"{partial}: {error}; --restart begins anew") from error
        if counted is not None:
            self.configuration.check_same(counted.configuration)
        return counted

    def _between(self) -> bool:
        """Between two events: commits if it is time for that; whether the scan has ended by that."""
        if self.course.should_stop is not None and self.course.should_stop():
            self._stop()
        return self.checkpoints is not None and self.checkpoints.is_due() and self._commit()

    def _stop(self) -> None:
        """Raises `ScanInterrupted`, with all that was counted kept where there is time for it."""
        if self.checkpoints is not None and self.checkpoints.cost < STOP_SECONDS:
            self._commit(STOP_SECONDS)
        is_kept = self.checkpoints is not None and self.folder is not None and self.folder.holds_unfinished
        raise ScanInterrupted(self.folder.path if is_kept and self.folder is not None else None)

    def _commit(self, patience: float = math.inf) -> bool:
        """Holds the scan up and makes its state durable; whether it has ended by that. Gives up after `patience` seconds."""
        began, running = time.monotonic(), self.running
        running.pause()
        while not running.is_paused():
            if time.monotonic() - began > patience:
                return False
            try:
                event = running.next(POLL_SECONDS)
            except TimeoutError:
                continue
            if event is None:
                self._commit_all({}, began)
                return True
            self._take(event)
        self._commit_all(running.states(), began)
        running.resume()
        return False

    def _commit_all(self, states: Mapping[int, Mapping[str, Any]], began: float) -> None:
        if self.checkpoints is None:
            return
        parts = self.documents.sync()
        for file in states:
            self.digests[file] = self.digests[file] or digest_of(self.files[file])
        open_files = {file: {**state, "digest": self.digests[file]} for file, state in states.items()}
        profile = Profile.from_state(self.configuration, self.running.profile())
        lengths = {"batches": self.batches.sync(), "errors": self.errors.sync()}
        suspects = None if self.suspects is None else self.suspects.state()
        self.checkpoints.commit(profile, open_files, parts, lengths, suspects, began)
        self.documents.remove_joined()

    def _feed(self, values: Sequence[Sequence[str]]) -> Feed:
        sources = sources_of(self.files, self.settings.text_fields, self.settings.id_field, values)
        return Feed(self.files, self.settings.threads, sources)

    def _count_bigrams(self) -> Profile:
        """The second pass."""
        made_with = self.configuration
        configuration, _ = configure(["n_tokens"], "bigram", made_with.batch_tokens, made_with.max_types, None)
        plain = {"signals": ["n_tokens"], "tokens": "bigram", "markers": (), "provenance": None}
        plain |= {"anchor": None, "detector": None, "documents": False}
        self.feed = self._feed(())
        self.running = _backend.get().Scan(self.feed.sources, **{**self.settings.for_backend(self.files), **plain})
        drain(self.running, self.files, self._take_bigrams, self.course.on_progress, self._between_bigrams)
        self.feed.close()
        return Profile.from_state(configuration, self.running.profile())

    def _take_bigrams(self, event: Mapping[str, Any]) -> None:
        """A file that is another than in the first pass is damaged: its words and its 2-grams are not of the same text."""
        if "outcome" not in event:
            return
        file = event["file"]
        first, again = self.outcomes[file], self.feed.outcome(file, event["outcome"])
        change = change_of(self.files[file]) if first["status"] == "ok" else None
        if change is None and first["documents"] != again["documents"]:
            change = f"changed while it was read: {first['documents']:,} documents, then {again['documents']:,}"
        if change is not None:
            self.outcomes[file] = _damaged(first, f"in the second pass, for 2-grams, {change}")
            self._name_damage(file)

    def _between_bigrams(self) -> bool:
        """The second pass is not gone on with: it begins anew."""
        if self.course.should_stop is not None and self.course.should_stop():
            raise ScanInterrupted(None if self.checkpoints is None or self.folder is None else self.folder.path)
        return False

    def abandon(self) -> None:
        """Stops everything; results of an earlier scan stay as they were, and the state that was committed last."""
        if self.running is not None:
            self.running.cancel()
        if self.feed is not None:
            self.feed.close()
        if self.running is not None:
            stop(self.running)
        self.documents.abandon()
        self.batches.close()
        self.errors.close()
        if self.checkpoints is not None:
            self.checkpoints.close()
        if self.folder is not None:
            self.folder.discard()

    def _take(self, event: Mapping[str, Any]) -> None:
        file = event["file"]
        if "documents" in event:
            self.documents.add(file, event["documents"])
            if self.suspects is not None:
                self.suspects.add(file, event["documents"])
        if event.get("errors"):
            self.errors.append(file, _error_lines(self.names[file], event["errors"]))
        if "batches" in event:
            self.batches.add(file, event["batches"])
        if "outcome" in event:
            self._end(file, self.feed.outcome(file, event["outcome"]))

    def _end(self, file: int, outcome: Mapping[str, Any]) -> None:
        if (change := change_of(self.files[file])) is not None and outcome["status"] != "unreadable":
            outcome = _damaged(outcome, change)
        self.outcomes[file] = outcome
        self.documents.end(file)
        if outcome["status"] != "ok":
            self._name_damage(file)
        if self.folder is not None:
            self.digests[file] = digest_of(self.files[file])
        if self.checkpoints is not None:
            self.checkpoints.end(file, outcome, self.digests[file])

    def _name_damage(self, file: int) -> None:
        outcome = self.outcomes[file]
        what = f"{outcome['status']}: {outcome['reason']}"
        self.errors.append(file, _error_lines(self.names[file], [(None, outcome["byte_offset"], what)]))

    def _batch_figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"entropy_floor": self.floor}
        if self.floor is not None:
            figures |= {"below_floor": self.batches.n_below, "below_floor_short": self.batches.n_below_short}
        return figures | {"worst": self.batches.worst(self.names)}

    def _write(self, folder: OutputFolder, profile: Profile, summary: Mapping[str, Any]) -> None:
        digest = profile.save(folder.partial / PROFILE)
        folder.write_json(SUMMARY, summary)
        with folder.file(ERRORS) as stream:
            for _, block in self.errors.blocks():
                stream.write(block)
        if self.form == "jsonl" or not has_pyarrow():
            with folder.file(BATCHES_JSON) as stream:
                self.batches.write_json(stream, self.names)
        else:
            with folder.file(BATCHES_PARQUET) as stream:
                self.batches.write_parquet(stream, self.names)
        manifest = self._manifest(digest)
        if self.reports:
            self._write_report(folder, profile, summary, manifest)
        folder.write_json(MANIFEST, manifest)
        folder.commit()

    def _write_report(
        self, folder: OutputFolder, profile: Profile, summary: Mapping[str, Any], manifest: Mapping[str, Any]
    ) -> None:
        def made() -> bytes:
            from textassay.report.scan_page import ScanFindings, scan_page

            errors = [json.loads(line) for line in self.errors.first_lines(ERRORS_SHOWN)]
            looked_with = self.settings.anchor, self.settings.detector
            return scan_page(ScanFindings(summary, profile, self.batches.tables(), manifest, errors, *looked_with))

        page = page_or_warning(made)
        if page is not None:
            with folder.file(REPORT) as stream:
                stream.write(page)

    def _manifest(self, profile_digest: str) -> dict[str, Any]:
        paths = self.documents.paths if isinstance(self.documents, WrittenDocuments) else None
        inputs = [
            {
                "path": file.name,
                "size": file.size,
                "mtime_ns": file.mtime_ns,
                "digest": self.digests[index],
                "documents": None if paths is None else str(paths[index].relative_to(self.folder.partial)),
                "outcome": self.outcomes[index],
            }
            for index, file in enumerate(self.files)
        ]
        return {
            "schema": MANIFEST_SCHEMA,
            "settings": self.settings.described(),
            "profile_digest": profile_digest,
            "digest_kind": DIGEST_KIND,
            "inputs": inputs,
        }


def _damaged(outcome: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
    known = outcome["reason"]
    return {**outcome, "status": "damaged", "reason": f"{known}; {reason}" if known else reason}


def drain(
    running: Any,
    files: Sequence[Input],
    take: Callable[[Mapping[str, Any]], None],
    on_progress: Callable[[Progress], None] | None,
    between: Callable[[], bool] | None = None,
    before: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Hands every event of a backend's scan of `files` to `take`.

    `between` is called between two events; it may take some itself, and says whether there are no more. `before`: what the
    progress begins with.
    """
    told, ended = -math.inf, False
    while not ended:
        try:
            # With a timeout, or Ctrl-C would wait for the next event.
            event = running.next(POLL_SECONDS)
        except TimeoutError:
            pass
        else:
            ended = event is None
            if not ended:
                take(event)
        ended = ended or (between is not None and between())
        now = time.monotonic()
        if on_progress is not None and (ended or now - told >= POLL_SECONDS):
            on_progress(_progress(running, files, before))
            told = now


def _progress(running: Any, files: Sequence[Input], before: Mapping[str, int]) -> Progress:
    done = {name: value + before.get(name, 0) for name, value in running.progress().items()}
    sizes = [file.size for file in files]
    return Progress(
        files=done["files"],
        n_files=len(files),
        bytes_compressed=done["bytes_compressed"],
        bytes_total=None if None in sizes else sum(size for size in sizes if size is not None),
        bytes=done["bytes"],
        documents=done["documents"],
    )


def stop(running: Any) -> None:
    """Ends a backend's scan; its threads are done then."""
    running.cancel()
    with suppress(Exception):  # what was wrong may be said once more; the first time counts
        while running.next() is not None:
            pass


def _error_lines(name: str, errors: Iterable[tuple[int | None, int, str]]) -> bytes:
    rows = ({"file": name, "line": line, "byte_offset": offset, "reason": reason} for line, offset, reason in errors)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _performance(summary: Mapping[str, Any], started: tuple[float, float], threads: int) -> dict[str, Any]:
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    done = {name: summary["inputs"][name] for name in ("bytes", "bytes_compressed", "documents")}
    done["tokens"] = summary["corpus"]["n_tokens"]
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "threads": threads,
        **{f"{name}_per_second": value / seconds for name, value in done.items()},
        "peak_memory_bytes": _peak_memory(),
        "backend": _backend.get().backend_info(),
    }


def _peak_memory() -> int:
    """Of the process so far. Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
