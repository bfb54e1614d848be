"""Labelled documents, as a calibration sees them: numbers of each, and the texts in a temporary file.

A scan measures and accounts for the input; a second pass takes labels, groups and texts of the records that the scan
took for documents. Everything is put into an order that follows from what the documents hold, not from where they stand.
"""

import re
import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from os import PathLike
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.anchor import Anchor
from textassay.calibration.file import MALFORMED
from textassay.detector import N_FEATURES, NO_REFERENCE, SUM, Detector, Term
from textassay.errors import InputError, OutputError, UsageError
from textassay.fields import parse_field
from textassay.inputs import Input
from textassay.patterns import PatternError, check_backtracking
from textassay.records import field_of, name_of, parse_record, read_lines, text_of
from textassay.scanning import MAX_WINDOW_LOG, Progress, ScanResult, scan
from textassay.spool import close_quietly
from textassay.table import Table

HUMAN_LABELS = ("human", "0", "0.0")
SYNTHETIC_LABELS = ("synthetic", "1", "1.0")
ERRORS_NAMED = 1000
"""Of records that are left out so many are named; all are counted."""
NAME_LENGTH = 100
LONGEST_GROUP = 256
"""Characters of a value that a group pattern is tried on; a longer one has no group."""
"""Longer names of sources, domains and unknown labels are cut."""
MOST_NAMES = 100
"""Sources and domains beyond the most frequent ones are one, `OTHERS`."""
OTHERS = "(others)"
CHUNK_BYTES = 1 << 24
SIGNALS = ("n_tokens", "type_token_ratio", "burstiness", "marker_rate", "synthetic_logit")

Field = tuple[str, ...]


def probe(weights: NDArray[np.int8]) -> Detector:
    """A detector whose logit is the score, the mean weight of a text's features, itself."""
    score = Term("score", -128.0, 128.0, 0.0, 1.0)
    return replace(Detector.default(), weights=weights, terms=(score,), intercept=0.0, reference=NO_REFERENCE)


def least_words(detector: Detector, words: int) -> Detector:
    """The detector, but for its first band, which begins at so many words."""
    first, *others = detector.bands
    return replace(detector, bands=(replace(first, from_words=words), *others))


@dataclass(frozen=True)
class LabelledFields:
    """Where a record says what it is, and which of the labels mean what."""

    text: tuple[str, ...]
    label: Field
    group: Field | None
    group_pattern: re.Pattern[str] | None
    source: Field | None
    domain: Field | None
    sides: Mapping[str, bool]
    """Whether a label means synthetic."""

    @classmethod
    def parse(
        cls,
        text_fields: Sequence[str],
        label: str,
        human_labels: Sequence[str],
        synthetic_labels: Sequence[str],
        group: str | None,
        group_pattern: str | None,
        source: str | None,
        domain: str | None,
    ) -> "LabelledFields":
        """Raises `UsageError` on a label that means both, and on a pattern that is none."""
        human, synthetic = human_labels or HUMAN_LABELS, synthetic_labels or SYNTHETIC_LABELS
        if both := sorted(set(human) & set(synthetic)):
            raise UsageError(f"the label {both[0]!r} cannot mean human and synthetic")
        if group_pattern is not None and group is None:
            raise UsageError("a group pattern needs a group field")
        try:
            if group_pattern is not None:
                check_backtracking(group_pattern)
            pattern = None if group_pattern is None else re.compile(group_pattern)
        except (re.error, PatternError) as error:
            raise UsageError(f"group pattern {group_pattern!r}: {error}") from error
        paths = (None if path is None else parse_field(path) for path in (group, source, domain))
        group_path, source_path, domain_path = paths
        sides = dict.fromkeys(human, False) | dict.fromkeys(synthetic, True)
        return cls(tuple(text_fields), parse_field(label), group_path, pattern, source_path, domain_path, sides)


class Texts:
    """UTF-8 of texts, in a temporary file that goes away with the object."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # type: ignore[assignment]  # noqa: SIM115
        weakref.finalize(self, close_quietly, self._file)
        self._ends = array("q")

    def append(self, text: bytes) -> None:
        """Raises `OutputError` where the temporary folder is full."""
        with _writing():
            self._file.write(text)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(text))

    def arrange(self, order: NDArray[np.int64]) -> None:
        """Closes the file to new texts. Text i from now on is the order[i]-th that was appended."""
        with _writing():
            self._file.flush()
        ends = np.array(self._ends, np.int64)
        self._begins, self._ends_in_order = np.concatenate([[0], ends[:-1]])[order], ends[order]

    def read(self, row: int) -> bytes:
        begin, end = int(self._begins[row]), int(self._ends_in_order[row])
        self._file.seek(begin)
        return self._file.read(end - begin)

    def chunks(self, rows: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """The texts of these rows, as a `Measurer` takes them: bytes and offsets, some megabytes at a time."""
        waiting: list[bytes] = []
        size = 0
        for row in rows.tolist():
            waiting.append(self.read(row))
            size += len(waiting[-1])
            if size >= CHUNK_BYTES:
                yield _joined(waiting)
                waiting, size = [], 0
        if waiting:
            yield _joined(waiting)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write to {tempfile.gettempdir()}: {error.strerror or error}") from error


def _joined(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return np.frombuffer(b"".join(texts), np.uint8), offsets


@dataclass
class LeftOut:
    """Records that take no part: all are counted by reason, the first are named."""

    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, Any]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    """Labels that mean neither side."""

    def add(self, reason: str, file: str, line: int, byte_offset: int, detail: str = "") -> None:
        self.reasons[reason] += 1
        if len(self.errors) < ERRORS_NAMED:
            told = f"{reason}: {detail}" if detail else reason
            self.errors.append({"file": file, "line": line, "byte_offset": byte_offset, "reason": told})


@dataclass(frozen=True)
class Labelled:
    """Labelled documents; all arrays are of one length and in one order."""

    synthetic: NDArray[np.bool_]
    columns: Mapping[str, NDArray[Any]]
    """n_tokens, type_token_ratio, burstiness, marker_rate, detector_sum and detector_features (their ratio is the score
    by the shipped weights), and perplexity where there was an anchor.
    """
    text_key: NDArray[np.uint64]
    group_key: NDArray[np.uint64]
    source: NDArray[np.int64]
    """Places in `sources`; so is `domain` in `domains`."""
    domain: NDArray[np.int64]
    sources: tuple[str, ...]
    domains: tuple[str, ...]
    texts: Texts
    left_out: LeftOut
    inputs: Mapping[str, Any]
    """What became of every input byte, as in a scan's summary."""

    def digest(self) -> str:
        """BLAKE2b-64 of all texts, sides and groups, in hex: equal for the same documents in any order."""
        whole = blake2b(digest_size=8)
        for column in (self.text_key, self.group_key, self.synthetic):
            whole.update(column.tobytes())
        return whole.hexdigest()


def read_labelled(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    fields: LabelledFields,
    *,
    anchor: Anchor | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Labelled:
    """Measures labelled shards. Damaged files are left out whole: half of one may hold one side only.

    Raises `UsageError` on a pipe, which cannot be read twice, and where no record has a usable label.
    """
    found = scan(
        inputs,
        signals=SIGNALS if anchor is None else (*SIGNALS, "perplexity"),
        text_fields=fields.text,
        id_field="/",  # a key that no record has: ids would only fill the memory
        detector=least_words(probe(Detector.default().weights), 1),
        anchor=anchor,
        max_types=1 << 16,  # the corpus histogram is not looked at
        threads=threads,
        documents="memory",
        on_progress=on_progress,
    )
    if any(isinstance(file.source, int) or file.size is None for file in found.inputs):
        raise UsageError("labelled records are read in two passes: wanted files, found a pipe")
    table = found.documents
    assert table is not None  # documents="memory" keeps them
    reading = _Reading(fields)
    for place, (file, outcome) in enumerate(zip(found.inputs, found.outcomes, strict=True)):
        if outcome["status"] == "ok" and outcome["documents"]:
            begin, end = np.searchsorted(table["file"], [place, place + 1]).tolist()
            reading.read(file, begin, table["line"][begin:end], table["byte_offset"][begin:end])
    _add_damage(reading.left_out, found)
    return reading.finish(table, found.summary["inputs"])


def _add_damage(left_out: LeftOut, found: ScanResult) -> None:
    """What the scan left out."""
    counts = found.summary["inputs"]
    left_out.reasons.update({MALFORMED + reason: count for reason, count in counts["malformed_by_reason"].items()})
    damaged = sum(outcome["documents"] for outcome in found.outcomes if outcome["status"] != "ok")
    left_out.reasons.update({"in_damaged_file": damaged} if damaged else {})
    # They are all read at once, so not if they are very many.
    if counts["malformed"] + counts["files_damaged"] <= ERRORS_NAMED:
        left_out.errors += found.errors
        left_out.errors.sort(key=lambda error: (error["file"], error["byte_offset"]))
        del left_out.errors[ERRORS_NAMED:]


class _Reading:
    """The second pass."""

    def __init__(self, fields: LabelledFields) -> None:
        self.fields = fields
        self.text_fields = [parse_field(path) for path in fields.text]
        self.texts = Texts()
        self.left_out = LeftOut()
        self.rows, self.synthetic = array("q"), array("b")
        self.text_keys, self.group_keys = array("Q"), array("Q")
        self.names = array("q"), array("q")
        self.known: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def read(self, file: Input, first: int, lines: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        """The documents at these places of a file; the first is in this row of the scan's table."""
        assert isinstance(file.source, bytes)  # `read_labelled` refuses pipes
        places = offsets.tolist()
        try:
            records = read_lines(file.source, places, MAX_WINDOW_LOG)
            for row, (record, line, offset) in enumerate(zip(records, lines.tolist(), places, strict=True), first):
                self._take(row, record, (file.name, line, offset))
        except InputError as error:
            raise InputError(f"{file.name} cannot be read a second time: {error}") from error

    def _take(self, row: int, line: bytes, place: tuple[str, int, int]) -> None:
        try:
            record = parse_record(line)
        except InputError:  # the scan took it for a record: it is nested more deeply than Python's json goes
            self.left_out.add("nested_too_deeply", *place)
            return
        label = name_of(field_of(record, self.fields.label))
        if label is None:
            self.left_out.add("no_label", *place)
            return
        if label not in self.fields.sides:
            shown = label[:NAME_LENGTH]
            if shown in self.left_out.labels or len(self.left_out.labels) < ERRORS_NAMED:
                self.left_out.labels[shown] += 1
            self.left_out.add("unknown_label", *place, repr(shown))
            return
        group = self._group(record)
        if group is None:
            self.left_out.add("no_group", *place)
            return
        text = text_of(record, self.text_fields).encode()
        self.texts.append(text)
        self.rows.append(row)
        self.synthetic.append(self.fields.sides[label])
        self.text_keys.append(key_of(text))
        # Without groups, equal texts belong together and nothing else.
        self.group_keys.append(key_of(b"group\0" + group.encode() if group else b"text\0" + text))
        for names, known, path in zip(self.names, self.known, (self.fields.source, self.fields.domain), strict=True):
            name = (name_of(field_of(record, path)) or "")[:NAME_LENGTH] if path is not None else ""
            names.append(known.setdefault(name, len(known)))

    def _group(self, record: Any) -> str | None:
        """Empty: there are no groups. None: this record lacks one."""
        if self.fields.group is None:
            return ""
        value = name_of(field_of(record, self.fields.group))
        if value is None or self.fields.group_pattern is None:
            return value or None
        match = self.fields.group_pattern.search(value) if len(value) <= LONGEST_GROUP else None
        return (match[1] if match.re.groups else match[0]) or None if match else None

    def finish(self, table: Table, inputs: Mapping[str, Any]) -> Labelled:
        if not self.rows:
            raise UsageError(_nothing_usable(self.left_out, self.fields))
        synthetic = np.array(self.synthetic, np.bool_)
        text_key, group_key = np.array(self.text_keys, np.uint64), np.array(self.group_keys, np.uint64)
        (source, sources), (domain, domains) = (
            _sorted_names(np.array(names), known) for names, known in zip(self.names, self.known, strict=True)
        )
        order = np.lexsort((domain, source, synthetic, group_key, text_key))
        self.texts.arrange(order)
        rows = np.array(self.rows)[order]
        columns = {name: table[name][rows] for name in table.columns if name in (*SIGNALS, "perplexity")}
        columns[SUM] = columns.pop("synthetic_logit")
        columns[N_FEATURES] = np.ones(len(rows))
        return Labelled(
            synthetic[order],
            columns,
            text_key[order],
            group_key[order],
            source[order],
            domain[order],
            sources,
            domains,
            self.texts,
            self.left_out,
            inputs,
        )


def key_of(data: bytes) -> int:
    """64 bits. Should two texts or groups ever share a key, they would only be kept together."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def _sorted_names(codes: NDArray[np.int64], known: Mapping[str, int]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes by the order of the names, which does not depend on who came first. Only the most frequent stay apart."""
    counts = np.bincount(codes, minlength=len(known)).tolist()
    ranked = sorted(known, key=lambda name: (-counts[known[name]], name))
    names = sorted(ranked[:MOST_NAMES]) + [OTHERS] * (len(ranked) > MOST_NAMES)
    place = np.full(len(known), len(names) - 1, np.int64)
    for rank, name in enumerate(names[:MOST_NAMES]):
        place[known[name]] = rank
    return place[codes], tuple(names)


def _nothing_usable(left_out: LeftOut, fields: LabelledFields) -> str:
    where = ".".join(fields.label)
    if left_out.labels:
        seen = ", ".join(f"{name!r} ({count:,})" for name, count in left_out.labels.most_common(5))
        sides = ["', '".join(name for name in fields.sides if fields.sides[name] == side) for side in (False, True)]
        known = f"'{sides[0]}' mean human, '{sides[1]}' synthetic"
        return f"no record has a usable label in the field {where}: found {seen}; {known}"
    reasons = ", ".join(f"{name} ({count:,})" for name, count in left_out.reasons.most_common(5))
    return f"no record has a usable label in the field {where}" + (f": {reasons}" if reasons else "")
