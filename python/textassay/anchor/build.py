"""Builds an anchor from verified human text, in two passes: words, then 3-grams of numbered words and fingerprints."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from textassay import _backend
from textassay.anchor.file import AnchorWriter
from textassay.anchor.kneser_ney import ORDER, Estimates, KneserNey
from textassay.anchor.ngrams import entry_values, hashes_of, table_size, unigram_entries
from textassay.anchor.runs import merged_fingerprints, merged_ngrams
from textassay.anchor.vocabulary import Vocabulary, vocabulary_of
from textassay.atomic import replacing, temporary_name
from textassay.configuration import MAX_TYPES, VERDICT_SIGNALS
from textassay.cpus import usable_cpus
from textassay.detector import DetectorChoice, as_detector, pairs_of
from textassay.errors import OutputError, UsageError
from textassay.fields import parse_field
from textassay.first_record import nothing_found
from textassay.inputs import resolve_inputs
from textassay.lexicon import default_lexicon
from textassay.parquet import sources_of
from textassay.scan_settings import MAX_RECORD_BYTES, MAX_WINDOW_LOG, check_settings
from textassay.scanning import Course, Progress, ScanResult, drain, scan_files, stop
from textassay.suspects import Suspects

MIN_COUNT = 2
TAIL_MASS = 0.05
MEMORY = 1 << 30
SUSPECTS_KEPT = 1000

DOCUMENT_SIGNALS = ("n_tokens", "entropy_bits", "mattr", "burstiness")
"""What the profile of an anchor's text tells of its documents, beside `synthetic_logit`: where human ones lie."""


def build_anchor(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    min_count: int = MIN_COUNT,
    tail_mass: float = TAIL_MASS,
    note: str = "",
    text_fields: str | Sequence[str] = "text",
    id_field: str = "id",
    detector: DetectorChoice = "default",
    max_types: int = MAX_TYPES,
    threads: int | None = None,
    memory: int = MEMORY,
    on_progress: Callable[[Progress], None] | None = None,
) -> ScanResult:
    """Freezes text as an anchor in the file `out`, whole or not at all. Returns the scan of the text.

    The model is to know the words seen `min_count` times; all others are `<unk>`. `tail_mass` is the share of all
    tokens that the rarest words make up (METRICS: tail). `note` says where the text comes from and who verified it.
    The `detector` looks for documents that are not human after all, and leaves the distribution of human logits that
    the synthetic share of a corpus is estimated with.
    3-grams and fingerprints are gathered in `memory` bytes; beyond that they go to disk, beside `out`.

    Raises `UsageError` on settings out of range, on inputs that can be read only once and on text without words,
    `OutputError` where `out` cannot be written.
    """
    if min_count < 1:
        raise UsageError(f"min_count={min_count}: wanted at least 1")
    if not 0 < tail_mass < 1:
        raise UsageError(f"tail_mass={tail_mass}: wanted a share between 0 and 1")
    fields = [text_fields] if isinstance(text_fields, str) else list(text_fields)
    used_threads = usable_cpus() if threads is None else threads
    looking = as_detector(detector, "word", None)
    reading = {"text_fields": fields, "id_field": id_field, "max_types": max_types, "threads": used_threads}
    signals = DOCUMENT_SIGNALS if looking is None else {*DOCUMENT_SIGNALS, *VERDICT_SIGNALS}
    try:
        with partial_folder(Path(out)) as folder:
            files = resolve_inputs(inputs)
            if any(file.size is None for file in files):
                raise UsageError("an anchor is built in two passes: wanted files, found a pipe")
            settings = check_settings(signals=signals, detector=looking, **reading)
            result = scan_files(files, settings, course=Course(on_progress))
            if result.profile.totals()["n_tokens"] == 0:
                raise nothing_found("an anchor needs text: no word was found", files, fields)
            vocabulary = vocabulary_of(result.profile, min_count, tail_mass)
            suspects = None if looking is None else Suspects(looking, SUSPECTS_KEPT)
            _count_ngrams(result, vocabulary, folder, fields, used_threads, memory, suspects)
            with replacing(out) as stream:
                _write(
                    AnchorWriter(stream),
                    vocabulary,
                    result,
                    folder,
                    _header(result, vocabulary, min_count, tail_mass, note, suspects),
                )
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return result


@contextmanager
def partial_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out`, for what is not finished."""
    folder = Path(tempfile.mkdtemp(prefix=temporary_name(out).name, dir=out.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _count_ngrams(
    first: ScanResult,
    vocabulary: Vocabulary,
    folder: Path,
    fields: Sequence[str],
    threads: int,
    memory: int,
    suspects: Suspects | None,
) -> None:
    """The second pass: runs of counts and of fingerprints into `folder`."""
    backend = _backend.get()
    text_fields = [parse_field(path) for path in fields]
    running = backend.Scan(
        sources_of(first.inputs, text_fields),
        signals=["n_tokens"] if suspects is None else list(VERDICT_SIGNALS),
        markers=default_lexicon().phrases,
        detector=None if suspects is None else suspects.detector.for_backend(),
        text_fields=text_fields,
        anchor=backend.Anchor(vocabulary.arrays(), n_modelled=vocabulary.n_modelled),
        ngram_folder=os.fsencode(folder),
        ngram_memory=memory,
        max_record_bytes=MAX_RECORD_BYTES,
        max_window_log=MAX_WINDOW_LOG,
        threads=threads,
        documents=suspects is not None,
        stage="signals",
    )
    outcomes: list[Mapping[str, Any]] = []

    def take(event: Mapping[str, Any]) -> None:
        if "outcome" in event:
            outcomes.append(event["outcome"])
        if suspects is not None and "documents" in event:
            suspects.add(event["file"], event["documents"])

    try:
        drain(running, first.inputs, take, None)
    except BaseException:
        stop(running)
        raise
    found = first.summary["inputs"]
    again = {name: sum(outcome[name] for outcome in outcomes) for name in ("bytes", "documents")}
    if any(again[name] != found[name] for name in again):
        raise UsageError("the inputs changed while they were read: the second pass found other documents")


def _suspects_report(suspects: Suspects, result: ScanResult) -> dict[str, Any]:
    """For the header of an anchor of which `result` was the first pass."""
    return {
        "detector": suspects.detector.name,
        "digest": suspects.detector.digest,
        "fpr": suspects.detector.fpr,
        "n_judged": suspects.n_judged,
        "n_suspected": suspects.n_suspected,
        "logits": pairs_of(result.profile.histogram("synthetic_logit")),
        "worst": suspects.worst([file.name for file in result.inputs]),
    }


def _header(
    result: ScanResult,
    vocabulary: Vocabulary,
    min_count: int,
    tail_mass: float,
    note: str,
    suspects: Suspects | None,
) -> dict[str, Any]:
    totals = {name: int(value) for name, value in result.profile.state.totals().items()}
    return {
        "note": note,
        "settings": {"min_count": min_count, "tail_mass": tail_mass, "unicode": result.profile.configuration.unicode},
        "totals": totals,
        "order": ORDER,
        "n_modelled": vocabulary.n_modelled,
        "tail": [vocabulary.tail_begin, vocabulary.tail_end],
        "inputs": [
            {"name": file.name, "size": file.size, "documents": outcome["documents"], "bytes": outcome["bytes"]}
            for file, outcome in zip(result.inputs, result.outcomes, strict=True)
        ],
        "suspects": None if suspects is None else _suspects_report(suspects, result),
    }


def _write(
    writer: AnchorWriter, vocabulary: Vocabulary, result: ScanResult, folder: Path, header: dict[str, Any]
) -> None:
    writer.array("token_bytes", "u1", vocabulary.token_bytes)
    writer.array("token_offsets", "u8", vocabulary.token_offsets)
    writer.array("counts", "u8", vocabulary.counts)
    writer.array("word_slots", "u4", vocabulary.word_slots)
    writer.array("profile", "u1", np.frombuffer(result.profile.serialize(), np.uint8))
    n_fingerprints = _write_fingerprints(writer, folder)
    model = KneserNey(vocabulary.n_modelled)
    for piece in merged_ngrams(folder, vocabulary.n_modelled):
        model.count(piece)
    model.finish_counting()
    estimates = map(model.estimate, merged_ngrams(folder, vocabulary.n_modelled))
    lost = _write_model(writer, ModelParts(folder, model), estimates)
    writer.finish(
        header
        | {
            "ngrams": {"1": vocabulary.n_modelled, "2": model.n_bigrams, "3": model.n_trigrams},
            "fingerprints": n_fingerprints,
            "discounts": [list(found) for found in model.discounts],
            "ngrams_not_in_tables": lost,
        }
    )


def _write_fingerprints(writer: AnchorWriter, folder: Path) -> int:
    n = 0
    writer.begin("fingerprints", "u8")
    for piece in merged_fingerprints(folder):
        writer.add(piece.hashes)
        n += len(piece.hashes)
    writer.begin("fingerprint_documents", "u8")
    for piece in merged_fingerprints(folder):
        writer.add(piece.documents)
    return n


class ModelParts:
    """The parts of a model that grow with it, on disk until they are complete."""

    def __init__(self, folder: Path, model: KneserNey) -> None:
        self.folder, self.model = folder, model
        self.bigrams = _mapped(folder / "bigrams", np.uint32, (model.n_bigrams, 2))
        self.bigram_keys = _mapped(folder / "bigram_keys", np.uint64, (model.n_bigrams,))
        self.bigram_log10 = _mapped(folder / "bigram_log10", np.float32, (model.n_bigrams,))
        self.backoff_log10 = _mapped(folder / "backoff_log10", np.float32, (model.n_bigrams,))
        self.trigrams = _mapped(folder / "trigrams", np.uint32, (model.n_trigrams, 3))
        self.trigram_log10 = _mapped(folder / "trigram_log10", np.float32, (model.n_trigrams,))
        self.contexts = _mapped(folder / "contexts", np.uint64, (model.n_bigrams,))
        self.context_log10 = _mapped(folder / "context_log10", np.float32, (model.n_bigrams,))
        self.unigram_backoff = np.zeros(model.n_words, np.float64)

    def fill(self, estimates: Iterable[Estimates]) -> None:
        b = t = c = 0
        for part in estimates:
            n_b, n_t, n_c = len(part.bigrams), len(part.trigrams), len(part.contexts)
            self.bigrams[b : b + n_b], self.bigram_log10[b : b + n_b] = part.bigrams, part.bigram_log10
            self.bigram_keys[b : b + n_b] = _keys(part.bigrams)
            self.trigrams[t : t + n_t], self.trigram_log10[t : t + n_t] = part.trigrams, part.trigram_log10
            self.contexts[c : c + n_c], self.context_log10[c : c + n_c] = _keys(part.contexts), part.context_log10
            self.unigram_backoff[part.middles] = part.middle_log10
            b, t, c = b + n_b, t + n_t, c + n_c
        for begin in range(0, c, _PIECE):
            keys = self.contexts[begin : min(begin + _PIECE, c)]
            places = np.searchsorted(self.bigram_keys, keys)
            self.backoff_log10[places] = self.context_log10[begin : begin + len(keys)]


_PIECE = 1 << 20


def _mapped(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "w+", shape=shape)


def _keys(pairs: np.ndarray) -> np.ndarray:
    return pairs[:, 0].astype(np.uint64) << np.uint64(32) | pairs[:, 1]


def _write_model(writer: AnchorWriter, parts: ModelParts, estimates: Iterable[Estimates]) -> int:
    """The model as it is, for export, and as tables of quantised values, for scans. Returns n-grams without an entry."""
    parts.fill(estimates)
    unigram_log10 = parts.model.unigram_log10()
    writer.array("unigram_log10", "f4", unigram_log10)
    writer.array("unigram_backoff_log10", "f4", parts.unigram_backoff)
    return write_ngrams(
        writer,
        parts.folder,
        unigram_entries(unigram_log10, parts.unigram_backoff),
        [(parts.bigrams, parts.bigram_log10, parts.backoff_log10), (parts.trigrams, parts.trigram_log10, None)],
    )


def write_ngrams(
    writer: AnchorWriter, folder: Path, unigrams: np.ndarray, orders: Sequence[tuple[Any, Any, Any]]
) -> int:
    """N-grams of orders 2 and up, each with log10 probabilities and (all but the last) backoffs. Tables grow in `folder`."""
    lost = 0
    writer.array("unigrams", "u8", unigrams)
    for order, (words, probabilities, backoffs) in enumerate(orders, 2):
        writer.array(f"words_{order}", "u4", words)
        writer.array(f"log10_{order}", "f4", probabilities)
        if backoffs is not None:
            writer.array(f"backoff_log10_{order}", "f4", backoffs)
        table = _mapped(folder / f"table_{order}", np.uint64, (table_size(len(words)),))
        for begin in range(0, len(words), _PIECE):
            part = slice(begin, begin + _PIECE)
            values = entry_values(probabilities[part], None if backoffs is None else backoffs[part])
            lost += _backend.get().fill_table(table, hashes_of(np.asarray(words[part])), values)
        writer.array(f"ngrams_{order}", "u8", table)
    return lost
