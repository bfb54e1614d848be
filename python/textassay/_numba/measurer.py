"""Measurer: texts in memory. And the tally that it shares with a scan: document rows out, batches into a profile."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from textassay._numba.anchor import Anchor
from textassay._numba.batches import (
    BATCH_FLOATS,
    BATCH_INTEGERS,
    DOCUMENT_COUNT,
    FIRST_DOCUMENT,
    FULL,
    INDEX,
    MAX_BATCH_TOKENS,
    add_document,
    begin_batch,
    ensure_room_for,
    new_batch,
)
from textassay._numba.detector import Detector
from textassay._numba.documents import (
    FLOAT_COLUMNS,
    INTEGER_COLUMNS,
    LINE,
    N_REPLACED,
    N_SENTENCES,
    N_TOKENS,
    choose,
    ensure_capacity,
    ensure_more_types,
    measure_text,
    new_work,
    with_codes,
)
from textassay._numba.fingerprints import LINE_BITS, append_fingerprints, find_fingerprints, first_of_each
from textassay._numba.histogram import copy_bytes
from textassay._numba.jit import kernel
from textassay._numba.lanes import PADDING
from textassay._numba.ngram_runs import append_ngrams, append_words, combined
from textassay._numba.profile import ProfileState, count_batch, count_documents, count_provenance
from textassay._numba.sorted_runs import SortedRuns
from textassay._numba.tokens import NO_ROOM
from textassay._numba.utf8 import first_invalid

# Why a loop over documents has returned to Python. Only after BATCH_FULL is the last document done; after a NEEDS_ it
# begins again once the array has grown.
DONE, BATCH_FULL, NEEDS_TYPES, NEEDS_BATCH_ROOM, NEEDS_TEXT_ROOM, ROWS_FULL = range(6)
NEEDS_NGRAM_ROOM, NEEDS_FINGERPRINT_ROOM, NEEDS_WORD_ROOM = 6, 7, 8

Batches = dict[str, np.ndarray]


@kernel
def tally_text(choice, work, size, integers, floats, row, batch, batch_tokens):
    """Measures work.text[:size] into one row and adds it to the batch; batch_tokens = 0: only measures."""
    distances = measure_text(choice, work, size, integers, floats, row)
    if distances == NO_ROOM:
        return NEEDS_TYPES
    n_words = added = 0
    if (choice.counts_ngrams or choice.keeps_words) and integers[row, N_TOKENS] > 0:
        n_words = integers[row, N_TOKENS] + 2 * integers[row, N_SENTENCES]
    if choice.keeps_words and work.word_fill[0] + n_words > len(work.words):
        return NEEDS_WORD_ROOM
    if choice.counts_ngrams and n_words:
        if work.ngram_fill[0] + n_words > len(work.ngrams):
            return NEEDS_NGRAM_ROOM
        if work.fingerprint_fill[0] + integers[row, N_TOKENS] > len(work.fingerprints):
            return NEEDS_FINGERPRINT_ROOM
    if batch_tokens:
        added = add_document(batch, work.table, integers[row, N_TOKENS], distances, work.tail, batch_tokens)
        if added == NO_ROOM:
            return NEEDS_BATCH_ROOM
    # Only now: after NO_ROOM the document begins again.
    if choice.keeps_words:
        append_words(work.slots, n_words, work.words, work.word_fill)
    if choice.counts_ngrams and n_words:
        append_ngrams(work.slots, n_words, work.ngrams, work.ngram_fill)
        found = find_fingerprints(work.table, work.ids, integers[row, N_TOKENS], work.slots)
        document = work.file[0] << LINE_BITS | np.uint64(integers[row, LINE])
        append_fingerprints(work.slots, found, document, work.fingerprints, work.fingerprint_fill)
    work.code_at[0] += 1
    if batch_tokens and added == FULL:
        return BATCH_FULL
    return DONE


@kernel
def _find_invalid_text(text, data, offsets):
    """Number and byte of the first text that is not valid UTF-8, or -1."""
    for index in range(len(offsets) - 1):
        size = offsets[index + 1] - offsets[index]
        copy_bytes(text, 0, data, offsets[index], size)
        invalid = first_invalid(text, 0, size)
        if invalid >= 0:
            return index, invalid
    return -1, 0


@kernel
def _tally_texts(choice, work, data, offsets, begin, integers, floats, batch, batch_tokens):
    """From text `begin` on, as far as it goes: why it stopped, and the text to go on with."""
    for index in range(begin, len(offsets) - 1):
        size = offsets[index + 1] - offsets[index]
        copy_bytes(work.text, 0, data, offsets[index], size)
        integers[index, N_REPLACED] = 0
        status = tally_text(choice, work, size, integers, floats, index, batch, batch_tokens)
        if status == BATCH_FULL:
            return status, index + 1
        if status != DONE:
            return status, index
    return DONE, len(offsets) - 1


def document_columns(signals: Sequence[str], integers: np.ndarray, floats: np.ndarray) -> dict[str, np.ndarray]:
    """The signals' columns, and `n_replaced`."""
    columns = {}
    for name in (*signals, "n_replaced"):
        if name in INTEGER_COLUMNS:
            columns[name] = integers[:, INTEGER_COLUMNS.index(name)].copy()
        else:
            columns[name] = floats[:, FLOAT_COLUMNS.index(name)].copy()
    return columns


class Tally:
    """The arrays that documents pass through, the open batch and the profile. One thread, one file at a time."""

    def __init__(
        self,
        signals: Sequence[str],
        tokens: str,
        markers: Sequence[Sequence[bytes]],
        batch_tokens: int,
        max_types: int,
        anchor: Anchor | None = None,
        runs: tuple[SortedRuns, SortedRuns] | None = None,
        met: np.ndarray | None = None,
        detector: Detector | None = None,
        keeps_words: bool = False,
        encoder: Any = None,
    ) -> None:
        """`runs`: of 3-grams and of fingerprints."""
        if not 1 <= batch_tokens <= MAX_BATCH_TOKENS:
            raise ValueError(f"batch_tokens: wanted 1 to 2^25, got {batch_tokens}")
        self.signals = tuple(signals)
        self.batch_tokens = int(batch_tokens)
        self.choice = choose(
            self.signals, tokens, markers, anchor, runs is not None, met, detector, keeps_words, encoder is not None
        )
        self.encoder = encoder
        self._runs = runs
        self._max_types = max_types
        self.profile = ProfileState(self.signals, max_types)
        self.work = new_work(1 << 16)
        self.batch = new_batch()
        self._closed: list[tuple[np.ndarray, np.ndarray]] = []

    def encode(self, texts: list[str]) -> None:
        """The texts that come next, where tokens are ids."""
        self.work = with_codes(self.work, self.encoder.encode(texts), len(texts))

    def make_room_to_gather(self, size: int, n_texts: int) -> None:
        gathered = np.empty(size + PADDING, np.uint8)
        self.work = self.work._replace(gathered=gathered, gathered_ends=np.empty(n_texts, np.int64))

    def encode_gathered(self, n_texts: int) -> None:
        """The first `n_texts` that were gathered are those that come next."""
        ends = self.work.gathered_ends[:n_texts].tolist()
        self.encode([self.work.gathered[begin:end].tobytes().decode() for begin, end in pairwise([0, *ends])])

    def answer(self, status: int, size: int = 0) -> None:
        """Does what a loop has asked for; `size`: of the text that NEEDS_TEXT_ROOM."""
        if status == BATCH_FULL:
            self.close_batch()
        elif status == NEEDS_TYPES:
            self.work = ensure_more_types(self.work)
        elif status == NEEDS_BATCH_ROOM:
            self.batch = ensure_room_for(self.batch, self.work.table)
        elif status == NEEDS_TEXT_ROOM:
            self.work = ensure_capacity(self.work, size)
        elif status == NEEDS_NGRAM_ROOM:
            room = _with_room(self.work.ngrams, self.work.ngram_fill, self._runs[0], combined)
            self.work = self.work._replace(ngrams=room)
        elif status == NEEDS_FINGERPRINT_ROOM:
            room = _with_room(self.work.fingerprints, self.work.fingerprint_fill, self._runs[1], first_of_each)
            self.work = self.work._replace(fingerprints=room)
        elif status == NEEDS_WORD_ROOM:
            room = np.empty(max(1 << 16, 2 * len(self.work.words)), np.uint32)
            room[: self.work.word_fill[0]] = self.work.words[: self.work.word_fill[0]]
            self.work = self.work._replace(words=room)

    def take_words(self) -> np.ndarray:
        """Those of the documents since the last call."""
        words = self.work.words[: self.work.word_fill[0]].copy()
        self.work.word_fill[0] = 0
        return words

    def finish_runs(self) -> None:
        """After the last text."""
        if self._runs is not None:
            _write_rest(self.work.ngrams, self.work.ngram_fill, self._runs[0], combined)
            _write_rest(self.work.fingerprints, self.work.fingerprint_fill, self._runs[1], first_of_each)

    def begin_file(self, number: int = 0, batch: int = 0, first_document: int = 0) -> None:
        """Batches are counted within a file, from `batch` on."""
        self.work.file[0] = number
        begin_batch(self.batch, batch, first_document)

    def take_profile(self) -> ProfileState:
        """What was counted since the last call."""
        taken, self.profile = self.profile, ProfileState(self.signals, self._max_types)
        return taken

    def close_batch(self) -> None:
        """Where the batch holds a document; otherwise there is none."""
        state = self.batch.state
        if state[DOCUMENT_COUNT]:
            self._closed.append(count_batch(self.profile, self.batch))
            begin_batch(self.batch, state[INDEX] + 1, state[FIRST_DOCUMENT] + state[DOCUMENT_COUNT])

    def take_batches(self) -> Batches:
        """The batches closed since the last call."""
        integers = np.array([row for row, _ in self._closed], np.int64).reshape(-1, len(BATCH_INTEGERS))
        floats = np.array([row for _, row in self._closed], np.float64).reshape(-1, len(BATCH_FLOATS))
        self._closed.clear()
        columns = {name: integers[:, place].copy() for place, name in enumerate(BATCH_INTEGERS)}
        return columns | {name: floats[:, place].copy() for place, name in enumerate(BATCH_FLOATS)}

    def count_documents(self, integers: np.ndarray, floats: np.ndarray) -> None:
        """Their tokens are counted with their batch."""
        count_documents(self.profile, integers, floats)

    def count_provenance(self, label: int, names: Sequence[bytes], tokens: int, size: int) -> None:
        """One document of this source, month and reason."""
        count_provenance(self.profile, label, names, tokens, size)


Combine = Callable[[np.ndarray], np.ndarray]


def _with_room(records: np.ndarray, fill: np.ndarray, runs: SortedRuns, combine: Combine) -> np.ndarray:
    """Repetitions make room; then the run is written; a text that is too long for all of it gets more."""
    held = combine(records[: fill[0]])
    size = max(runs.capacity, len(records) if fill[0] else 2 * len(records))
    if 2 * len(held) > runs.capacity or len(held) == fill[0]:
        if len(held):
            runs.write(held)
        held = held[:0]
    room = np.empty((size, 2), np.uint64)
    room[: len(held)] = held
    fill[0] = len(held)
    return room


def _write_rest(records: np.ndarray, fill: np.ndarray, runs: SortedRuns, combine: Combine) -> None:
    if fill[0]:
        runs.write(combine(records[: fill[0]]))
    fill[0] = 0


class Measurer:
    """Texts in memory: document columns out, counts into a profile."""

    def __init__(
        self,
        signals: Sequence[str],
        *,
        tokens: str = "word",
        markers: Sequence[Sequence[bytes]] = (),
        anchor: Anchor | None = None,
        detector: Detector | None = None,
        batch_tokens: int = 1 << 20,
        max_types: int = 1 << 24,
        threads: int = 1,
        encoder: Any = None,
    ) -> None:
        self._tally = Tally(
            signals, tokens, markers, batch_tokens, max_types, anchor, detector=detector, encoder=encoder
        )
        self._batches: list[Batches] = []
        self._tally.begin_file()

    def measure(self, data: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
        """Text i is data[offsets[i]:offsets[i + 1]]. Raises ValueError naming the text and byte that is not valid
        UTF-8; nothing is counted then."""
        integers, floats = self._run(data, offsets, 0)
        return document_columns(self._tally.signals, integers, floats)

    def update(self, data: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
        """As `measure`, and counts the texts into the profile, as documents of one file."""
        integers, floats = self._run(data, offsets, self._tally.batch_tokens)
        self._tally.count_documents(integers, floats)
        self._batches.append(self._tally.take_batches())
        return document_columns(self._tally.signals, integers, floats)

    def _run(self, data: np.ndarray, offsets: np.ndarray, batch_tokens: int) -> tuple[np.ndarray, np.ndarray]:
        data, offsets = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(offsets, np.int64)
        tally = self._tally
        _check_offsets(data, offsets)
        tally.answer(NEEDS_TEXT_ROOM, int(np.diff(offsets).max(initial=0)))
        index, byte = _find_invalid_text(tally.work.text, data, offsets)
        if index >= 0:
            raise ValueError(f"text {index}, byte {byte}: wanted valid UTF-8")
        if tally.encoder is not None:
            tally.encode([data[begin:end].tobytes().decode() for begin, end in pairwise(offsets.tolist())])
        n_texts = max(0, len(offsets) - 1)
        integers = np.zeros((n_texts, len(INTEGER_COLUMNS)), np.int64)
        floats = np.empty((n_texts, len(FLOAT_COLUMNS)), np.float64)
        at = 0
        while at < n_texts:
            rest = (data, offsets, at, integers, floats, tally.batch, batch_tokens)
            status, at = _tally_texts(tally.choice, tally.work, *rest)
            tally.answer(status)
        return integers, floats

    def profile(self) -> ProfileState:
        """A copy, in which the open batch counts as closed."""
        profile = self._tally.profile.copy()
        if self._tally.batch.state[DOCUMENT_COUNT]:
            count_batch(profile, self._tally.batch)
        return profile

    def batches(self) -> Batches:
        """Columns of the batches closed so far."""
        parts = [*self._batches, self._tally.take_batches()]  # the last one is empty, and has all columns
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[-1]}


def _check_offsets(data: np.ndarray, offsets: np.ndarray) -> None:
    if data.ndim != 1 or offsets.ndim != 1:
        raise ValueError(f"wanted arrays of one dimension, found {data.ndim} and {offsets.ndim}")
    if len(offsets) and (offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any()):
        raise ValueError(f"wanted ascending offsets within {len(data)} bytes")
