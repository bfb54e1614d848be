"""Scan: files through frames, lines, text, documents, batches into a profile. Threads live here and nowhere else."""

import errno
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from textassay._numba.anchor import Anchor
from textassay._numba.batches import DOCUMENT_COUNT, FIRST_DOCUMENT, INDEX
from textassay._numba.detector import Detector
from textassay._numba.documents import BYTE_OFFSET, FLOAT_COLUMNS, INTEGER_COLUMNS, LINE, N_BYTES, N_SENTENCES, N_TOKENS
from textassay._numba.frames import Damage, Decoder, FrameBegin, Source
from textassay._numba.lanes import PADDING
from textassay._numba.lines import (
    BASE,
    BLANK,
    BY_REASON,
    COUNTERS,
    DOCUMENTS,
    ERRORS,
    FILE,
    GATHER,
    ID_BYTES,
    KEY_ENDS,
    LINES,
    MALFORMED,
    NEEDED,
    OVERLONG,
    PARSED,
    ROWS,
    SIGNALS,
    STAGES,
    TEXT_BYTES,
    WORDS,
    note_error,
    scan_lines,
    scan_rows,
)
from textassay._numba.measurer import DONE, ROWS_FULL, Tally, document_columns
from textassay._numba.profile import ProfileState
from textassay._numba.provenance import KEY_BYTES, Rules, build_rules
from textassay._numba.records import CUT_OFF, REASONS, TOO_LONG, Fields, build_fields
from textassay._numba.sorted_runs import SortedRuns

MAX_RECORD_BYTES = 128 << 20
_BLOCK = 1 << 20
_ROWS = 1 << 14
_EVENTS_AHEAD = 8
_SHORTEST_LINE = 8  # of a record: {"":""} and its end
_MOST_THREADS = 4096
_FINGERPRINT_SHARE = 8  # of memory: a document has two fingerprints for 17 tokens
_POLL_SECONDS = 0.1
_ROWS_FORMAT = "rows"
_BOM = b"\xef\xbb\xbf"
_OF_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""A file that cannot be opened for such a reason is not unreadable."""


class Rows(NamedTuple):
    """Documents and errors of one event."""

    integers: np.ndarray
    floats: np.ndarray
    id_bytes: np.ndarray
    """As long as the block, so that its ids always fit."""
    id_ends: np.ndarray
    id_null: np.ndarray
    errors: np.ndarray
    """line, byte offset, number of the reason"""
    labels: np.ndarray
    keys: np.ndarray
    """Source, month and reason of each row, one after the other; `key_ends` says where each ends."""
    key_ends: np.ndarray


class Options(NamedTuple):
    signals: tuple[str, ...]
    tokens: str
    text_fields: Sequence[Sequence[str]]
    id_field: Sequence[str]
    markers: Sequence[Sequence[bytes]]
    anchor: Anchor | None
    detector: Detector | None
    encoder: Any
    runs: tuple[SortedRuns, SortedRuns] | None
    met: np.ndarray | None
    words: bool
    batch_tokens: int
    max_types: int
    max_record_bytes: int
    max_window_log: int
    documents: bool
    stage: int
    rules: Rules
    rule_fields: Sequence[Sequence[str]]


State = Mapping[str, Any]
"""How far a file has been counted: `_native.pyi`, FileState."""

_FRESH: State = dict.fromkeys(
    ("compressed", "uncompressed", "frames", "frames_without_checksum", "begin", "begin_line", "end", "batch", "first_document"), 0
)  # fmt: skip
_ACCOUNT = {
    "bytes_parsed": PARSED,
    "bytes_malformed": MALFORMED,
    "bytes_blank": BLANK,
    "bytes_too_long": OVERLONG,
    "lines": LINES,
    "documents": DOCUMENTS,
}


class _Cancelled(Exception):
    pass


class _Overlong(NamedTuple):
    """A line that is longer than max_record_bytes and of which nothing is held."""

    begin: int
    size: int


def _new_tally(options: Options) -> Tally:
    """Raises ValueError on options that make no sense."""
    return Tally(
        options.signals, options.tokens, options.markers, options.batch_tokens, options.max_types, options.anchor,
        options.runs, options.met, options.detector, options.words, options.encoder,
    )  # fmt: skip


class _Lines:
    """One thread's way from uncompressed bytes to events. Files go through it one after the other."""

    def __init__(self, options: Options) -> None:
        self.tally = _new_tally(options)
        self._options = options
        self._fields: Fields = build_fields(options.text_fields, options.id_field, options.rule_fields)
        self._block = np.zeros(2 * _BLOCK + PADDING, np.uint8)
        self._rows = Rows(
            np.zeros((_ROWS, len(INTEGER_COLUMNS)), np.int64),
            np.zeros((_ROWS, len(FLOAT_COLUMNS)), np.float64),
            np.empty(len(self._block), np.uint8),
            np.zeros(_ROWS, np.int64),
            np.zeros(_ROWS, np.bool_),
            np.zeros((_ROWS, 3), np.int64),
            np.zeros(_ROWS, np.uint8),
            np.empty(_ROWS * KEY_BYTES if options.rules.is_on else 0, np.uint8),
            np.zeros((_ROWS, 3), np.int64),
        )

    def begin_file(self, number: int, emit: Callable[[dict[str, Any]], None], begun: State | None = None) -> None:
        """`emit` is given every event of the file, of which another scan may have counted a part."""
        known = _FRESH if begun is None else begun
        self.tally.begin_file(number, known["batch"], known["first_document"])
        self.state = np.zeros(COUNTERS, np.int64)
        self.state[FILE] = number
        self.state[BASE] = self.bytes = known["begin"]
        self.state[LINES] = known["begin_line"]
        self._emit = emit
        self._begin = self._searched = self._end = 0
        self._overlong: _Overlong | None = None
        self._at_start = known["begin"] == 0
        self._begun = begun
        self._to_skip = known["begin"] - known["uncompressed"]
        self._batch_begin = (known["begin"], known["begin_line"])
        self._documents = known["first_document"]
        self._is_replaying = begun is not None
        self._end_replay_at(known["end"], known.get("lines", 0))

    def _end_replay_at(self, offset: int, line: int) -> None:
        """What was replayed is in the batch now; all other counters are those of the scan before."""
        is_rows = self._begun is not None and self._begun["format"] == _ROWS_FORMAT
        if not self._is_replaying or (self.state[LINES] < line if is_rows else self.bytes < offset):
            return
        self._is_replaying = False
        for name, place in _ACCOUNT.items():
            self.state[place] = self._begun[name]
        for place, reason in enumerate(REASONS):
            self.state[BY_REASON + place] = self._begun["malformed_by_reason"].get(reason, 0)

    def progress(self) -> tuple[int, int]:
        """Bytes and documents counted; while what another scan has counted is read again, those."""
        if self._is_replaying:
            return self._begun["end"], self._begun["documents"]
        return self.bytes, int(self.state[DOCUMENTS])

    def place(self) -> State | None:
        """How far the file has been counted, but for where to read on; None: not at all."""
        if self._is_replaying:
            return self._begun
        end = int(self.state[BASE]) + self._begin if self._overlong is None else self._overlong.begin
        line = int(self.state[LINES])
        if end == line == 0:
            return None
        batch = self.tally.batch.state.tolist()
        begin, begin_line = self._batch_begin if batch[DOCUMENT_COUNT] else (end, line)
        numbers = {"begin": begin, "begin_line": begin_line, "end": end}
        numbers |= {"batch": batch[INDEX], "first_document": batch[FIRST_DOCUMENT]}
        return numbers | _account(self.state.tolist())

    def add(self, piece: bytes) -> None:
        """The next uncompressed bytes of the file."""
        skipped = min(self._to_skip, len(piece))
        self._to_skip -= skipped
        piece = piece[skipped:]
        if self._is_replaying:
            replayed = min(self._begun["end"] - self.bytes, len(piece))
            self._add(piece[:replayed])
            if self.bytes == self._begun["end"]:
                self._handle(is_final=False)
                self._end_replay_at(self.bytes, 0)
            piece = piece[replayed:]
        self._add(piece)

    def _add(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if self._options.stage == 0:
            return
        for begin in range(0, len(piece), _BLOCK):
            part = np.frombuffer(piece, np.uint8)[begin : begin + _BLOCK]
            self._make_room(len(part))
            self._block[self._end : self._end + len(part)] = part
            self._end += len(part)
            if self._end - max(self._begin, self._searched) >= _BLOCK:
                self._handle(is_final=False)

    def add_rows(self, columns: Sequence[Any]) -> None:
        """The next rows of a file of rows, as its reader gives them."""
        data, cells = _cells_of(columns, len(self._fields.open_at))
        if self._is_replaying:
            replayed = self._begun["lines"] - int(self.state[LINES])
            self._add_rows(data, cells[:replayed])
            self._end_replay_at(0, self._begun["lines"])
            cells = cells[replayed:]
        self._add_rows(data, cells)

    def _add_rows(self, data: np.ndarray, cells: np.ndarray) -> None:
        options, tally = self._options, self.tally
        self.bytes += int((cells[:, : len(options.text_fields), 1] - cells[:, : len(options.text_fields), 0]).sum())
        if len(data) > len(self._rows.id_bytes):
            self._rows = self._rows._replace(id_bytes=np.empty(len(data), np.uint8))
        if options.stage == 0:
            return

        def scan(row: int, stage: int, state: np.ndarray) -> tuple[int, int]:
            return scan_rows(
                data, cells, row, options.max_record_bytes, self._fields, options.rules, tally.choice, tally.work,
                tally.batch, tally.batch_tokens, stage, self._rows, state,
            )  # fmt: skip

        self._run(scan, 0, len(data) + 2 * cells.size, len(cells))
        self._hand_over()

    def finish(self, is_damaged: bool) -> None:
        """The end of the file, or of what of it is whole."""
        if self._options.stage > 0:
            self._handle(is_final=not is_damaged)
            if is_damaged:
                self._cut_off()
            elif self._overlong is not None:
                self._end_overlong(0)
            self.tally.close_batch()
            self._hand_over()
        if self._options.stage < STAGES.index("signals"):
            names = {"n_documents": DOCUMENTS, "n_bytes": TEXT_BYTES, "n_tokens": WORDS}
            self.tally.profile.add_totals({name: int(self.state[place]) for name, place in names.items()})

    def _make_room(self, size: int) -> None:
        """Moves what is left of the last block to the front, and doubles the block where that is not enough."""
        left = self._end - self._begin
        if self._end + size + PADDING <= len(self._block):
            return
        block = self._block
        if left + size + PADDING > len(block):
            block = np.zeros(2 * (left + size) + PADDING, np.uint8)
            self._rows = self._rows._replace(id_bytes=np.empty(len(block), np.uint8))
        block[:left] = self._block[self._begin : self._end].copy()
        self._block = block
        self.state[BASE] += self._begin
        self._searched -= self._begin
        self._begin, self._end = 0, left

    def _handle(self, is_final: bool) -> None:
        if self._at_start:
            self._skip_mark(is_final)
        if self._overlong is not None:
            self._skip_overlong()
        options, tally = self._options, self.tally

        def scan(begin: int, stage: int, state: np.ndarray) -> tuple[int, int]:
            bounds = (begin, self._searched, self._end, is_final, options.max_record_bytes)
            return scan_lines(
                self._block, *bounds, self._fields, options.rules, tally.choice, tally.work, tally.batch,
                tally.batch_tokens, stage, self._rows, state,
            )  # fmt: skip

        size = self._end - self._begin
        self._begin = self._run(scan, self._begin, size, size // _SHORTEST_LINE + 1)
        self._searched = self._end
        if self._end - self._begin > options.max_record_bytes + 1:  # + 1: a CR before the line feed to come
            self._begin_overlong()
        self._hand_over()

    def _run(self, scan: Callable[[int, int, np.ndarray], tuple[int, int]], at: int, size: int, n_texts: int) -> int:
        """Lets `scan` handle what there is from `at` on, at most `n_texts` of `size` bytes; returns where it ended."""
        if self.tally.encoder is not None and self._options.stage >= SIGNALS:
            self._encode(scan, at, size, n_texts)
        status = -1
        while status != DONE:
            status, at = scan(at, self._options.stage, self.state)
            self.tally.answer(status, int(self.state[NEEDED]))
            if status == ROWS_FULL:
                self._hand_over()
        return at

    def _encode(
        self, scan: Callable[[int, int, np.ndarray], tuple[int, int]], at: int, size: int, n_texts: int
    ) -> None:
        """The texts that are to be found, in a pass of its own, that counts nothing."""
        self._hand_over()
        self.tally.make_room_to_gather(size, n_texts)
        state = self.state.copy()
        state[[DOCUMENTS, TEXT_BYTES]] = 0
        status = -1
        while status != DONE:
            status, at = scan(at, GATHER, state)
            self.tally.answer(status, int(state[NEEDED]))
            state[ERRORS] = 0
        self.tally.encode_gathered(int(state[DOCUMENTS]))

    def _skip_mark(self, is_final: bool) -> None:
        """A byte order mark, at the very start of the file only."""
        if self._end - self._begin < len(_BOM) and not is_final:
            return
        self._at_start = False
        if self._block[self._begin : min(self._end, self._begin + 3)].tobytes() == _BOM:
            self._begin += 3
            self.state[BLANK] += 3

    # --- lines that are too long to be held

    def _begin_overlong(self) -> None:
        self._overlong = _Overlong(int(self.state[BASE]) + self._begin, 0)
        self._grow_overlong(self._end)

    def _grow_overlong(self, end: int) -> None:
        begin, size = self._overlong
        self._overlong = _Overlong(begin, size + end - self._begin)
        self._begin = end

    def _skip_overlong(self) -> None:
        line_feed = self._block[self._begin : self._end].tobytes().find(b"\n")
        if line_feed < 0:
            self._grow_overlong(self._end)
        else:
            self._grow_overlong(self._begin + line_feed)
            self._begin += 1
            self._end_overlong(1)

    def _end_overlong(self, break_size: int) -> None:
        begin, size = self._overlong
        self._overlong = None
        self._note(begin, size + break_size, TOO_LONG)
        self.state[LINES] += 1

    def _cut_off(self) -> None:
        """The unfinished last line of a damaged file."""
        held = self._end - self._begin
        begin, size = int(self.state[BASE]) + self._begin, held
        if self._overlong is not None:
            begin, size = self._overlong.begin, self._overlong.size + held
        self._begin, self._overlong = self._end, None
        if size:
            # One byte more may be the CR of a line break that was lost.
            self._note(begin, size, TOO_LONG if size > self._options.max_record_bytes + 1 else CUT_OFF)
            self.state[LINES] += 1

    def _note(self, begin: int, size: int, reason: int) -> None:
        if self.state[ERRORS] == len(self._rows.errors):
            self._hand_over()
        note_error(self._rows, self.state, begin, size, reason)

    # --- events

    def _hand_over(self) -> None:
        """Documents are counted, and an event is made of what there is."""
        event: dict[str, Any] = {}
        count = int(self.state[ROWS])
        if count:
            self._note_batch_begin(self._rows.integers[:count])
        if count and not self._is_replaying:
            integers, floats = self._rows.integers[:count], self._rows.floats[:count]
            self.tally.count_documents(integers, floats)
            labelled = self._count_provenance(integers) if self._options.rules.is_on else {}
            if self._options.documents:
                event["documents"] = self._document_columns(integers, floats) | labelled
        if self.state[ERRORS] and not self._is_replaying:
            errors = self._rows.errors[: self.state[ERRORS]].tolist()
            event["errors"] = [(line, offset, REASONS[reason]) for line, offset, reason in errors]
        batches = self.tally.take_batches()
        if len(batches["batch"]):
            event["batches"] = batches
        self.state[[ROWS, ERRORS, ID_BYTES, KEY_ENDS]] = 0
        if event:
            self._emit(event)

    def _note_batch_begin(self, integers: np.ndarray) -> None:
        row = int(self.tally.batch.state[FIRST_DOCUMENT]) - self._documents
        if 0 <= row < len(integers):
            self._batch_begin = (int(integers[row, BYTE_OFFSET]), int(integers[row, LINE]) - 1)
        self._documents += len(integers)

    def _document_columns(self, integers: np.ndarray, floats: np.ndarray) -> dict[str, np.ndarray]:
        rows, count = self._rows, len(integers)
        columns = document_columns(self._options.signals, integers, floats)
        columns["byte_offset"] = integers[:, BYTE_OFFSET].copy()
        columns["line"] = integers[:, LINE].copy()
        columns["id_bytes"] = rows.id_bytes[: self.state[ID_BYTES]].copy()
        columns["id_offsets"] = np.concatenate([[0], rows.id_ends[:count]]).astype(np.int64)
        columns["id_null"] = rows.id_null[:count].copy()
        if self._options.words:
            tokens, sentences = integers[:, N_TOKENS], integers[:, N_SENTENCES]
            columns["words"] = self.tally.take_words()
            columns["word_offsets"] = np.cumsum([0, *np.where(tokens > 0, tokens + sentences, 0)]).astype(np.int64)
        return columns

    def _count_provenance(self, integers: np.ndarray) -> dict[str, np.ndarray]:
        """Counts the rows by label; returns the columns of label and reason."""
        count = len(integers)
        labels = self._rows.labels[:count].copy()
        keys = self._rows.keys[: self.state[KEY_ENDS]].tobytes()
        ends = [0, *self._rows.key_ends[:count].ravel().tolist()]
        names = [keys[begin:end] for begin, end in pairwise(ends)]
        counts = zip(labels.tolist(), integers[:, [N_TOKENS, N_BYTES]].tolist(), strict=True)
        for row, (label, (tokens, size)) in enumerate(counts):
            self.tally.count_provenance(label, names[3 * row : 3 * row + 3], tokens, size)
        reasons = names[2::3]
        return {
            "provenance": labels,
            "provenance_reason_bytes": np.frombuffer(b"".join(reasons), np.uint8),
            "provenance_reason_offsets": np.cumsum([0, *map(len, reasons)]).astype(np.int64),
        }


def _cells_of(columns: Sequence[Any], n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """All bytes in one array, and of each row's values where they begin and end in it; -1 and -1: null."""
    if len(columns) != n_columns:
        raise ValueError(f"rows: wanted {n_columns} columns")
    n_rows = max(len(column[1]) - 1 for column in columns if column is not None)
    cells = np.full((n_rows, len(columns), 2), -1, np.int64)
    parts, begin = [], 0
    for place, column in enumerate(columns):
        if column is None:
            continue
        data, offsets, present = column
        if len(offsets) != n_rows + 1 or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
            raise ValueError("rows: wanted columns of one length, with ascending offsets within the data")
        rows = slice(None) if present is None else present
        cells[rows, place, 0] = begin + offsets[:-1][rows]
        cells[rows, place, 1] = begin + offsets[1:][rows]
        parts.append(data)
        begin += len(data)
    return np.concatenate([*parts, np.zeros(PADDING, np.uint8)]), cells


class _Shared:
    """What the threads of a scan share, and all that they know of it: the scan itself may be gone."""

    def __init__(
        self,
        paths: Sequence[Any],
        options: Options,
        threads: int,
        begun: Mapping[int, State | None],
        profile: ProfileState,
    ) -> None:
        self.options = options
        self.events: queue.Queue[dict[str, Any] | BaseException | None] = queue.Queue(_EVENTS_AHEAD * threads)
        self.cancelled = threading.Event()
        self.lock = threading.Lock()
        self.progress = dict.fromkeys(("bytes_compressed", "bytes", "documents", "files"), 0)
        self.profile = profile
        self.states = {number: state for number, state in begun.items() if state is not None}
        self.pausing = threading.Event()
        self.resting = 0
        self._moving = threading.Condition(self.lock)
        left = [job for job in enumerate(paths) if begun.get(job[0], _FRESH) is not None]
        self._paths = iter(sorted(left, key=lambda job: job[0] not in self.states))

    def rest(self, tally: Tally, number: int = -1, state: State | None = None) -> None:
        """A thread waits here as long as the scan is paused; `state`: of the file that it has begun, if any."""
        with self._moving:
            self.profile.merge(tally.take_profile())
            if state is not None:
                self.states[number] = state
            self.resting += 1
            while self.pausing.is_set() and not self.cancelled.is_set():
                self._moving.wait(_POLL_SECONDS)
            self.resting -= 1

    def next_path(self) -> tuple[int, Any] | None:
        with self.lock:
            return None if self.cancelled.is_set() else next(self._paths, None)

    def put(self, event: dict[str, Any] | BaseException | None) -> None:
        """Waits for room; raises _Cancelled once nobody may be taking anything any more."""
        while True:
            try:
                return self.events.put(event, timeout=0.1)
            except queue.Full:
                if self.cancelled.is_set():
                    raise _Cancelled from None

    def count(self, **more: int) -> None:
        with self.lock:
            for name, value in more.items():
                self.progress[name] += value


def _work(shared: _Shared) -> None:
    """One thread: file after file, then its profile into the common one."""
    try:
        lines = _Lines(shared.options)
        while (job := _next_job(shared, lines)) is not None:
            number, source = job
            (_scan_rows if hasattr(source, "read") else _scan_file)(shared, lines, number, source)
        lines.tally.finish_runs()
        with shared.lock:
            shared.profile.merge(lines.tally.profile)
    except _Cancelled:
        pass
    except BaseException as error:  # noqa: BLE001 (whoever calls `next` gets it)
        shared.cancelled.set()
        _put_last(shared, error)
    _put_last(shared, None)


def _next_job(shared: _Shared, lines: _Lines) -> tuple[int, Any] | None:
    if shared.pausing.is_set():
        shared.rest(lines.tally)
    return shared.next_path()


def _put_last(shared: _Shared, event: BaseException | None) -> None:
    """After a cancel the queue may be full and stay so: then the oldest event makes room."""
    while True:
        try:
            return shared.put(event)
        except _Cancelled:
            try:
                shared.events.get_nowait()
            except queue.Empty:
                pass


def _scan_file(shared: _Shared, lines: _Lines, number: int, path: bytes | int) -> None:
    begun = shared.states.get(number)
    lines.begin_file(number, lambda event: shared.put({"file": number} | event), begun)
    known = _FRESH if begun is None else begun
    begins = deque([FrameBegin(*(known[name] for name in FrameBegin._fields))])
    try:
        source = Source(path, begins[0].compressed)
    except OSError as error:
        if begun is not None or error.errno in _OF_MACHINE:
            raise  # no outcome says what became of what was read before, and the file may be whole
        outcome = _outcome(lines, _End("unreadable", error.strerror or str(error)))
        return _end_file(shared, number, outcome)
    with source:
        decoder = Decoder(source, shared.options.max_window_log, begins[0], known.get("format"))
        damage = None
        seen = (source.offset, *lines.progress())
        try:
            for piece in decoder.pieces():
                lines.add(piece)
                seen = _count_progress(shared, lines, source.offset, seen)
                place = _place_to_read_on(lines, decoder, begins)
                if shared.pausing.is_set():
                    shared.rest(lines.tally, number, place)
        except Damage as found:
            damage = found
        lines.finish(is_damaged=damage is not None)
        _count_progress(shared, lines, source.offset, seen)
        end = _End("ok", "", decoder.format, source.offset, source.size)
        if damage is not None:
            end = end._replace(status="damaged", reason=damage.reason, offset=damage.offset)
        counts = {"frames": decoder.frames, "frames_without_checksum": decoder.frames_without_checksum}
        _end_file(shared, number, _outcome(lines, end) | counts)


def _place_to_read_on(lines: _Lines, decoder: Decoder, begins: "deque[FrameBegin]") -> State | None:
    """Keeps those of `begins` that another scan may have to begin at; the state with which it would."""
    if decoder.last_begin != begins[-1]:
        begins.append(decoder.last_begin)
    place = lines.place()
    if place is None or "format" in place:
        return place
    while len(begins) > 1 and begins[1].uncompressed <= place["begin"]:
        begins.popleft()
    return {"format": decoder.format} | begins[0]._asdict() | place


def _scan_rows(shared: _Shared, lines: _Lines, number: int, reader: Any) -> None:
    """A file of rows, which somebody else reads."""
    begun = shared.states.get(number)
    lines.begin_file(number, lambda event: shared.put({"file": number} | event), begun)
    reason = reader.open()
    if reason is not None and begun is not None:
        raise OSError(reason)
    if reason is not None:
        return _end_file(shared, number, _outcome(lines, _End("unreadable", reason, reader.format)))
    if begun is not None:
        reader.skip(begun["begin_line"])
    seen = (0, *lines.progress())
    while isinstance(columns := reader.read(), list):
        lines.add_rows(columns)
        seen = _count_progress(shared, lines, reader.position, seen)
        if shared.pausing.is_set():
            place = lines.place()
            known = {"format": _ROWS_FORMAT} | FrameBegin()._asdict()
            shared.rest(lines.tally, number, None if place is None else known | place)
    lines.finish(is_damaged=False)
    _count_progress(shared, lines, reader.position, seen)
    end = _End("ok", "", reader.format, reader.position, reader.size)
    if columns is not None:
        end = end._replace(status="damaged", reason=columns)
    _end_file(shared, number, _outcome(lines, end))


def _end_file(shared: _Shared, number: int, outcome: dict[str, Any]) -> None:
    with shared.lock:
        shared.states.pop(number, None)
    shared.count(files=1)
    shared.put({"file": number, "outcome": outcome})


class _End(NamedTuple):
    """How the reading of a file ended."""

    status: str
    reason: str
    format: str = "plain"
    offset: int = 0
    """Of the compressed bytes, as far as they were read."""
    size: int | None = None
    """On disk, if that is known."""


def _count_progress(shared: _Shared, lines: _Lines, offset: int, seen: tuple[int, int, int]) -> tuple[int, int, int]:
    if shared.cancelled.is_set():
        raise _Cancelled
    now = (offset, *lines.progress())
    compressed, uncompressed, documents = (new - old for new, old in zip(now, seen))
    shared.count(bytes_compressed=compressed, bytes=uncompressed, documents=documents)
    return now


def _outcome(lines: _Lines, end: _End) -> dict[str, Any]:
    account = _account(lines.state.tolist())
    return {
        "status": end.status,
        "reason": end.reason,
        "format": end.format,
        "byte_offset": lines.bytes,
        "compressed_offset": end.offset,
        "bytes_compressed": end.offset if end.size is None else end.size,
        "bytes": lines.bytes,
        "bytes_lost": max(0, end.size - end.offset) if end.status == "damaged" and end.size is not None else 0,
        "malformed": sum(account["malformed_by_reason"].values()),
        "frames": 0,
        "frames_without_checksum": 0,
    } | account


def _account(state: Sequence[int]) -> dict[str, Any]:
    """Where the bytes and records counted so far went."""
    by_reason = {name: count for name, count in zip(REASONS, state[BY_REASON:]) if count}
    return {name: state[place] for name, place in _ACCOUNT.items()} | {"malformed_by_reason": by_reason}


class Scan:
    """A running scan. Threads start at once."""

    def __init__(
        self,
        paths: Sequence[Any],
        *,
        signals: Sequence[str],
        tokens: str = "word",
        text_fields: Sequence[Sequence[str]] = (("text",),),
        id_field: Sequence[str] = ("id",),
        markers: Sequence[Sequence[bytes]] = (),
        anchor: Anchor | None = None,
        detector: Detector | None = None,
        ngram_folder: str | bytes | None = None,
        ngram_memory: int = 1 << 30,
        met: np.ndarray | None = None,
        words: bool = False,
        batch_tokens: int = 1 << 20,
        max_types: int = 1 << 24,
        max_record_bytes: int = 64 << 20,
        max_window_log: int = 27,
        threads: int = 1,
        documents: bool = True,
        stage: str = "histogram",
        provenance: Mapping[str, Any] | None = None,
        encoder: Any = None,
        begun: Mapping[int, State | None] = MappingProxyType({}),
        profile: ProfileState | None = None,
    ) -> None:
        """`paths`: a path, an open file descriptor (a pipe), or a reader of rows (`_native.pyi`, RowReader)."""
        if stage not in STAGES:
            raise ValueError(f'stage: wanted {", ".join(STAGES[:-1])} or {STAGES[-1]}, got "{stage}"')
        if not 1 <= threads <= _MOST_THREADS:
            raise ValueError(f"threads: wanted 1 to {_MOST_THREADS}, got {threads}")
        if not 1 <= max_record_bytes <= MAX_RECORD_BYTES:
            raise ValueError(f"max_record_bytes: wanted 1 to 128 MiB, got {max_record_bytes}")
        if not 10 <= max_window_log <= 31:
            raise ValueError(f"max_window_log: wanted 10 to 31, got {max_window_log}")
        if ngram_folder is not None and anchor is None:
            raise ValueError("ngram_folder: wanted an anchor with the words to count")
        if words and (anchor is None or not documents):
            raise ValueError("words: wanted an anchor with the words, and documents")
        runs = None if ngram_folder is None else _runs_in(os.fsdecode(ngram_folder), ngram_memory // threads)
        options = Options(
            tuple(signals), tokens, text_fields, id_field, markers, anchor, detector, encoder, runs, met, words,
            batch_tokens, max_types, max_record_bytes,
            max_window_log, documents, STAGES.index(stage),
            build_rules(provenance, len(paths)), [] if provenance is None else provenance["fields"],
        )  # fmt: skip
        _check(options)
        if unknown := {reason for one in begun.values() if one for reason in one["malformed_by_reason"]} - set(REASONS):
            raise ValueError(f"malformed_by_reason: found {unknown.pop()!r}, which is no reason")
        threads = max(1, min(threads, len(paths)))
        if profile is None:
            profile = ProfileState(options.signals, max_types)
        sources = [os.fsencode(p) if isinstance(p, (str, bytes, os.PathLike)) else p for p in paths]
        self._shared = _Shared(sources, options, threads, begun, profile)
        self._running = threads
        self._is_over = self._is_started = False

    def _start(self) -> None:
        """Not sooner than somebody wants an event: who has the scan in hand can cancel it, and let go of what its threads wait
        for.
        """
        self._is_started = True
        for _ in range(self._running):
            threading.Thread(target=_work, args=(self._shared,), name="textassay-scan", daemon=True).start()

    def __del__(self) -> None:
        if hasattr(self, "_shared"):
            self._shared.cancelled.set()

    def next(self, timeout: float = -1.0) -> dict[str, Any] | None:
        """The next event; None when the scan is over. Raises TimeoutError after `timeout` seconds without one, at once if the
        scan is paused.
        """
        if not self._is_started:
            self._start()
        end = None if timeout < 0 else time.monotonic() + timeout
        while self._running:
            if self.is_paused():
                raise TimeoutError("the scan is paused")
            left = _POLL_SECONDS if end is None else min(_POLL_SECONDS, max(0, end - time.monotonic()))
            try:
                event = self._shared.events.get(timeout=left)
            except queue.Empty:
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError(f"no event within {timeout} seconds") from None
                continue
            if isinstance(event, BaseException):
                raise event
            if event is not None:
                return event
            self._running -= 1
        self._is_over = True
        return None

    def pause(self) -> None:
        """Nothing is read any more; `is_paused` once all events are taken."""
        self._shared.pausing.set()

    def is_paused(self) -> bool:
        shared = self._shared
        with shared.lock:
            is_resting = shared.pausing.is_set() and shared.resting == self._running
        return is_resting and shared.events.empty()

    def states(self) -> dict[int, State]:
        """Of a scan that is paused: the files begun and not ended."""
        if not self.is_paused():
            raise RuntimeError("wanted a scan that is paused")
        return dict(self._shared.states)

    def resume(self) -> None:
        self._shared.pausing.clear()

    def progress(self) -> dict[str, int]:
        """`bytes_compressed`, `bytes`, `documents`, `files` done so far."""
        with self._shared.lock:
            return dict(self._shared.progress)

    def cancel(self) -> None:
        """Stops at the next block border; `next` then drains and returns None."""
        self._shared.cancelled.set()

    def profile(self) -> ProfileState:
        """The profile; complete once `next` has returned None, as far as `states` says while the scan is paused."""
        if not self._is_over and not self.is_paused():
            raise RuntimeError("the profile is complete once next() has returned None")
        return self._shared.profile


def _runs_in(folder: str, memory: int) -> tuple[SortedRuns, SortedRuns]:
    fingerprint_memory = memory // _FINGERPRINT_SHARE
    ngrams = SortedRuns(folder, "ngrams", memory - fingerprint_memory)
    return ngrams, SortedRuns(folder, "fingerprints", fingerprint_memory)


def _check(options: Options) -> None:
    """What a thread would stumble over raises ValueError here, before any starts."""
    _new_tally(options)
    build_fields(options.text_fields, options.id_field, options.rule_fields)
