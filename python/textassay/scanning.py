"""The main job: shards in, one profile and its views out."""

import json
import math
import resource
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from textassay import _backend
from textassay.anchor.anchor import Anchor, as_anchor
from textassay.batches import Batches
from textassay.checkpoint import SECONDS, Checkpoints, Kept
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, Configuration, check_limits, configure, verdicts_of
from textassay.cpus import usable_cpus
from textassay.detector import Detector, DetectorChoice, as_detector
from textassay.documents import DocumentSink, MemoryDocuments, NoDocuments, WrittenDocuments, column_kinds
from textassay.errors import FolderError, OutputError, OutputWarning, ScanInterrupted, UsageError
from textassay.fields import parse_field
from textassay.folder import BIGRAMS, MANIFEST, MANIFEST_SCHEMA, OutputFolder
from textassay.inputs import DIGEST_KIND, Input, digest_of, resolve_inputs
from textassay.lexicon import Lexicon
from textassay.parquet import sources_of
from textassay.profile import Profile
from textassay.provenance import ProvenanceRules, labelled_by
from textassay.spool import Spool
from textassay.summary import inputs_of, is_damaged, summary_of
from textassay.table import Table
from textassay.tokenizer import Tokenizer, TokenizerChoice, as_tokenizer, counted_tokens

MAX_RECORD_BYTES = 64 << 20
MAX_WINDOW_LOG = 27
MAX_TEXT_FIELDS = 63
POLL_SECONDS = 0.1
STOP_SECONDS = 3.0
"""A scan that is asked to stop commits its state if that takes no longer; otherwise the last commit holds."""
ERRORS_SPOOL = "errors.spool"

DocumentsChoice = Literal["auto", "parquet", "jsonl", "memory", "none"]


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

        With `documents="memory"` they are here, otherwise they are read from the files in `out`.
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
    on_progress: Callable[[Progress], None] | None = None,
    restart: bool = False,
    checkpoint_seconds: float | None = SECONDS,
    should_stop: Callable[[], bool] | None = None,
) -> ScanResult:
    """Scans shards, JSONL (plain, zstd, gzip) or Parquet, and returns their profile with its views.

    `inputs` are files, folders, globs, `@list`, `-` (see `inputs.resolve_inputs`). With `out`, summary.json,
    profile.tap, documents/, batches, errors.jsonl and manifest.json are written there, whole or not at all; without
    it nothing is written. `documents` says what becomes of the rows of documents: "parquet", "jsonl"
    (zstd-compressed), "none", "memory" (into `ScanResult.documents`), or "auto": Parquet if pyarrow is installed,
    else JSONL, and none without `out`. With an `anchor` (or the path of its file) the default signals hold
    perplexity, oov_rate and tail_share. tokens="bpe" counts the ids that the `tokenizer` (or the path of its
    tokenizer.json) makes of a text, instead of words. The `detector`, the package's own if not another one, its folder or None, adds
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
    used_anchor = as_anchor(anchor)
    looking = as_detector(detector, tokens, lexicon)
    using = as_tokenizer(tokenizer, tokens)
    configuration, used = configure(signals, tokens, batch_tokens, max_types, lexicon, used_anchor, looking, using)
    fields = [parse_field(path) for path in ([text_fields] if isinstance(text_fields, str) else text_fields)]
    if not 1 <= len(fields) <= MAX_TEXT_FIELDS:
        raise UsageError(f"{len(fields)} text fields: wanted 1 to {MAX_TEXT_FIELDS}")
    rules = ProvenanceRules.load(provenance) if isinstance(provenance, (str, PathLike)) else provenance
    verdicts = verdicts_of(looking, configuration.signals)
    if rules is not None:
        configuration = replace(configuration, provenance=labelled_by(rules, verdicts))
        if len(fields) + len(rules.fields) > MAX_TEXT_FIELDS:
            raise UsageError(f"{len(fields)} text fields and {len(rules.fields)} of rules: wanted {MAX_TEXT_FIELDS}")
    if entropy_floor is not None and not entropy_floor >= 0:
        raise UsageError(f"entropy_floor={entropy_floor}: wanted bits, from 0")
    used_threads = usable_cpus() if threads is None else threads
    check_limits(tokens, max_record_bytes=max_record_bytes, max_window_log=max_window_log, threads=used_threads)
    files = resolve_inputs(inputs)
    if bigrams and (tokens != "word" or any(file.size is None for file in files)):
        raise UsageError("2-grams are counted in a second pass over words: wanted tokens=word, and files, not a pipe")
    options = {
        "signals": list(configuration.signals),
        **counted_tokens(tokens, using),
        "text_fields": fields,
        "id_field": parse_field(id_field),
        "markers": used.phrases,
        "anchor": None if used_anchor is None else used_anchor.for_backend,
        "detector": None if looking is None else looking.for_backend(),
        "batch_tokens": batch_tokens,
        "max_types": max_types,
        "max_record_bytes": max_record_bytes,
        "max_window_log": max_window_log,
        "threads": used_threads,
        "provenance": _labelling(rules, verdicts, files),
    }
    form = _document_form(documents, out is not None)
    if checkpoint_seconds is not None and not checkpoint_seconds >= 0:
        raise UsageError(f"checkpoint_seconds={checkpoint_seconds}: wanted seconds, from 0")
    seconds = None if form == "memory" or any(file.size is None for file in files) else checkpoint_seconds
    job = _Job(files, configuration, entropy_floor, form, used_anchor, looking, bigrams, should_stop, using)
    try:
        job.claim(out, options, seconds, restart)
        result = job.run(options, on_progress, started)
    except BaseException as error:
        job.abandon()
        if isinstance(error, OSError) and out is not None:
            raise OutputError(f"cannot write to {out}: {error.strerror or error}") from error
        raise
    return result


def _labelling(
    rules: ProvenanceRules | None, verdicts: Detector | None, files: Sequence[Input]
) -> dict[str, Any] | None:
    if rules is None and verdicts is None:
        return None
    suspicion = "" if verdicts is None else verdicts.suspicion
    return (rules or ProvenanceRules([])).for_inputs([file.name for file in files], suspicion)


def _document_form(choice: DocumentsChoice, has_out: bool) -> DocumentsChoice:
    """What "auto" means here. Raises `UsageError` where the choice cannot be had."""
    if choice not in ("auto", "parquet", "jsonl", "memory", "none"):
        raise UsageError(f"documents={choice!r}: wanted auto, parquet, jsonl, memory or none")
    if choice in ("parquet", "jsonl") and not has_out:
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

    def __init__(
        self,
        files: Sequence[Input],
        configuration: Configuration,
        floor: float | None,
        form: DocumentsChoice,
        anchor: Anchor | None,
        detector: Detector | None,
        wants_bigrams: bool,
        should_stop: Callable[[], bool] | None,
        tokenizer: Tokenizer | None,
    ) -> None:
        self.files = files
        self.wants_bigrams = wants_bigrams
        self.tokenizer = tokenizer
        self.detector = detector
        self.anchor = anchor
        self.names = [file.name for file in files]
        self.configuration = configuration
        self.floor = floor
        self.form = form
        self.outcomes: list[Mapping[str, Any] | None] = [None] * len(files)
        self.digests: list[str | None] = [None] * len(files)
        self.documents: DocumentSink = NoDocuments()
        self.batches = Batches(configuration.batch_tokens, floor, None)
        self.errors = Spool()
        self.running: Any = None
        self.should_stop = should_stop
        self.folder: OutputFolder | None = None
        self.checkpoints: Checkpoints | None = None

    def claim(
        self, out: str | PathLike[str] | None, options: Mapping[str, Any], seconds: float | None, restart: bool
    ) -> None:
        """The folder for the results, and in it a scan that has not ended if there is one; `seconds`: between commits."""
        if out is None:
            return
        self.folder = OutputFolder(out, keeps_unfinished=restart or seconds is not None)
        if seconds is not None:
            settings = {**self._settings(options), "bigrams": self.wants_bigrams}
            self.checkpoints = Checkpoints(self.folder, self.files, settings, restart, seconds)
        elif restart:
            self.folder.clear()

    def _document_sink(self, kept: Kept) -> DocumentSink:
        if self.form == "memory":
            return MemoryDocuments()
        if self.form == "none" or self.folder is None:
            return NoDocuments()
        integers = frozenset(_backend.get().INTEGER_SIGNALS)
        folder = self.folder.partial / "documents"
        kinds = column_kinds(self.configuration.signals, integers, bool(self.configuration.provenance))
        return WrittenDocuments(folder, self.names, kinds, self.form == "parquet", kept.outcomes, kept.parts)

    def run(
        self, options: Mapping[str, Any], on_progress: Callable[[Progress], None] | None, started: tuple[float, float]
    ) -> ScanResult:
        kept = Kept() if self.checkpoints is None else self.checkpoints.kept
        counted = self._take_up(kept)
        values = (options["provenance"] or {}).get("fields", ())
        sources = sources_of(self.files, options["text_fields"], options["id_field"], values)
        before = {"begun": kept.begun(), "profile": None if counted is None else counted.state}
        try:
            self.running = _backend.get().Scan(sources, documents=self.form != "none", **options, **before)
        except ValueError as error:
            if not kept.open:
                raise
            raise FolderError(f"{self.folder and self.folder.path}: {error}; --restart begins anew") from error
        drain(self.running, self.files, self._take, on_progress, self._between, kept.progress())
        if self.folder is not None and (self.folder.holds_unfinished or self.wants_bigrams):
            self._commit_all({}, time.monotonic())
        self.documents.finish()
        outcomes = [outcome for outcome in self.outcomes if outcome is not None]
        profile = Profile.from_state(self.configuration, self.running.profile())
        bigrams = self._count_bigrams(options, on_progress) if self.wants_bigrams else None
        inputs = inputs_of(self.names, outcomes)
        summary = summary_of(profile, inputs, self._batch_figures(), self.detector, self.anchor, self.tokenizer)
        summary["performance"] = _performance(summary, started, options["threads"])
        if self.folder is not None:
            if bigrams is not None:
                bigrams.save(self.folder.partial / BIGRAMS)
            self._write(self.folder, profile, summary, options)
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
            counted = None if self.checkpoints is None else self.checkpoints.read_profile()
        except (ValueError, FileNotFoundError) as error:
            raise FolderError(f"{partial}: {error}; --restart begins anew") from error
        if counted is not None:
            self.configuration.check_same(counted.configuration)
        return counted

    def _between(self) -> bool:
        """Between two events: commits if it is time for that; whether the scan has ended by that."""
        if self.should_stop is not None and self.should_stop():
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
        self.checkpoints.commit(profile, open_files, parts, lengths, began)
        self.documents.remove_joined()

    def _count_bigrams(self, options: Mapping[str, Any], on_progress: Callable[[Progress], None] | None) -> Profile:
        """The second pass."""
        sizes = (options["batch_tokens"], options["max_types"])
        configuration, _ = configure(["n_tokens"], "bigram", *sizes, None)
        plain = {"signals": ["n_tokens"], "tokens": "bigram", "markers": (), "provenance": None}
        plain |= {"anchor": None, "detector": None}
        sources = [file.source for file in self.files]
        self.running = _backend.get().Scan(sources, documents=False, **{**options, **plain})
        drain(self.running, self.files, lambda event: None, on_progress, self._between_bigrams)
        return Profile.from_state(configuration, self.running.profile())

    def _between_bigrams(self) -> bool:
        """The second pass is not gone on with: it begins anew."""
        if self.should_stop is not None and self.should_stop():
            raise ScanInterrupted(None if self.checkpoints is None or self.folder is None else self.folder.path)
        return False

    def abandon(self) -> None:
        """Stops everything; results of an earlier scan stay as they were, and the state that was committed last."""
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
        if event.get("errors"):
            self.errors.append(file, _error_lines(self.names[file], event["errors"]))
        if "batches" in event:
            self.batches.add(file, event["batches"])
        if "outcome" in event:
            self._end(file, event["outcome"])

    def _end(self, file: int, outcome: Mapping[str, Any]) -> None:
        self.outcomes[file] = outcome
        self.documents.end(file)
        if outcome["status"] != "ok":
            what = f"{outcome['status']}: {outcome['reason']}"
            self.errors.append(file, _error_lines(self.names[file], [(None, outcome["byte_offset"], what)]))
        if self.folder is not None:
            self.digests[file] = digest_of(self.files[file])
        if self.checkpoints is not None:
            self.checkpoints.end(file, outcome, self.digests[file])

    def _batch_figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = {"entropy_floor": self.floor}
        if self.floor is not None:
            figures |= {"below_floor": self.batches.n_below, "below_floor_short": self.batches.n_below_short}
        return figures | {"worst": self.batches.worst(self.names)}

    def _write(
        self, folder: OutputFolder, profile: Profile, summary: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        digest = profile.save(folder.partial / "profile.tap")
        folder.write_json("summary.json", summary)
        with folder.file("errors.jsonl") as stream:
            for _, block in self.errors.blocks():
                stream.write(block)
        if self.form == "jsonl" or not has_pyarrow():
            with folder.file("batches.jsonl.zst") as stream:
                self.batches.write_json(stream, self.names)
        else:
            with folder.file("batches.parquet") as stream:
                self.batches.write_parquet(stream, self.names)
        folder.write_json(MANIFEST, self._manifest(options, digest))
        folder.commit()

    def _settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All that the results depend on."""
        settings = {
            name: value
            for name, value in options.items()
            if name not in ("markers", "anchor", "detector", "encoder", "provenance", "threads")
        }
        return settings | {
            "tokens": self.configuration.tokens,
            "tokenizer": self.configuration.tokenizer,
            "markers": self.configuration.markers,
            "anchor": self.configuration.anchor,
            "detector": self.configuration.detector,
            "provenance": self.configuration.provenance,
            "entropy_floor": self.floor,
            "documents": self.form,
        }

    def _manifest(self, options: Mapping[str, Any], profile_digest: str) -> dict[str, Any]:
        paths = self.documents.paths if isinstance(self.documents, WrittenDocuments) else None
        inputs = [
            {
                "path": file.name,
                "size": file.size,
                "mtime_ns": file.mtime_ns,
                "digest": self.digests[index],
                "documents": None if paths is None else f"documents/{paths[index].name}",
                "outcome": self.outcomes[index],
            }
            for index, file in enumerate(self.files)
        ]
        return {
            "schema": MANIFEST_SCHEMA,
            "settings": self._settings(options),
            "profile_digest": profile_digest,
            "digest_kind": DIGEST_KIND,
            "inputs": inputs,
        }


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
