"""What a scan left in its folder, for who decides by it: the inputs, their rows of documents, their batches."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay.configuration import LIMITS
from textassay.errors import FolderError, InputError, UsageError
from textassay.folder import LONGEST_JSON, MANIFEST, MANIFEST_SCHEMA
from textassay.inputs import Input, digest_of
from textassay.signals import BATCH_PREFIX
from textassay.summary import check_outcome
from textassay.untrusted import parse_json, read_bytes
from textassay.versions import unlike

CHUNK_ROWS = 1 << 17
LONGEST_ROW = 1 << 24
MOST_TEXT = 1 << 30
"""Bytes of a column of texts in a chunk of rows."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
TEXT_COLUMNS = ("id", "provenance", "provenance_reason")
PLACES = ("line", "byte_offset")
SHARD_SUFFIX = ".jsonl.zst"
BATCH_COLUMNS = tuple(
    f"{BATCH_PREFIX}{name}" for name in ("n_tokens", "entropy_bits", "entropy_mm_bits", "type_token_ratio", "mattr")
)
"""Figures of the batch that a document is in."""

_NO_BATCHES = np.empty(
    0, [("first_document", np.int64), *((name.removeprefix(BATCH_PREFIX), np.float64) for name in BATCH_COLUMNS)]
)

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ScannedInput:
    """An input as it was when it was scanned. `documents` is the file of its rows."""

    name: str
    size: int | None
    mtime_ns: int | None
    digest: str | None
    documents: Path
    outcome: Mapping[str, Any]

    @property
    def shard_name(self) -> str:
        """For files made of this input: called as that of its rows, so safe, unique in a scan, and the same on every node."""
        return self.documents.name.removesuffix(".parquet").removesuffix(SHARD_SUFFIX) + SHARD_SUFFIX

    def check_same(self, file: Input) -> None:
        """Raises `InputError` where size, time or digest are not those of the scan."""
        now = (file.size, file.mtime_ns, digest_of(file))
        then = (self.size, self.mtime_ns, self.digest)
        unlike = [what for what, a, b in zip(("size", "time", "content"), now, then, strict=True) if a != b]
        if unlike:
            what = " and ".join(unlike)
            raise InputError(
                f"{file.name} is not as it was when it was scanned: {what} differ{'s' if len(unlike) == 1 else ''}; "
                "scan it again (a copy keeps its time with cp -p or rsync -t)"
            )


class ScanFolder:
    """The results of `textassay scan -o OUT`."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Reads the manifest. Raises `FolderError` where the folder holds no whole results of a scan, or no rows of
        documents.
        """
        self.path = Path(path)
        content = read_manifest(self.path)
        try:
            self.settings: Mapping[str, Any] = dict(content["settings"])
            self.max_window_log = int(self.settings["max_window_log"])
            self.text_fields = [[str(part) for part in path] for path in self.settings["text_fields"]]
            self.inputs = tuple(self._input(entry) for entry in content["inputs"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = "the profile is a merged one" if "profiles" in content else f"{MANIFEST}: {error!r}"
            raise FolderError(f"{self.path} holds no results of a scan: {what}") from error
        if len({one.documents for one in self.inputs}) < len(self.inputs):
            raise FolderError(f"{self.path / MANIFEST}: two inputs have the same rows of documents")
        least, most = LIMITS["max_window_log"]
        if not least <= self.max_window_log <= most:
            raise FolderError(f"{self.path / MANIFEST}: max_window_log={self.max_window_log}: wanted {least} to {most}")

    def _input(self, entry: Mapping[str, Any]) -> ScannedInput:
        if entry["documents"] is None:
            raise FolderError(f"{self.path} holds no rows of documents: scan without --documents none")
        # What is made of the input is called after this file.
        place = PurePosixPath(entry["documents"])
        if place.parent != PurePosixPath("documents") or not _NAME.fullmatch(place.name):
            raise FolderError(f"{self.path / MANIFEST}: wanted a file in documents/, found {entry['documents']!r}")
        outcome = dict(entry["outcome"])
        check_outcome(outcome)
        name, size, mtime_ns, digest = (entry[key] for key in ("path", "size", "mtime_ns", "digest"))
        texts, numbers = (name, digest or ""), (size or 0, mtime_ns or 0)
        if not all(isinstance(one, str) for one in texts) or not all(type(one) is int for one in numbers):
            raise TypeError("wanted path, size, mtime_ns and digest of an input")
        return ScannedInput(name, size, mtime_ns, digest, self.path / place, outcome)

    def input_of(self, file: Input) -> ScannedInput:
        """The input of the scan that this file is: by its name, or else by its content. Raises `InputError` where
        there is none, or where the file has changed since.
        """
        found = self._by_name.get(file.name) or self._by_digest.get(digest_of(file) or "")
        if found is None:
            raise InputError(f"{file.name} is not among the inputs of the scan in {self.path}")
        found.check_same(file)
        return found

    @cached_property
    def _by_name(self) -> dict[str, ScannedInput]:
        return {one.name: one for one in self.inputs}

    @cached_property
    def _by_digest(self) -> dict[str, ScannedInput]:
        return {one.digest: one for one in reversed(self.inputs) if one.digest}

    def column_kinds(self) -> dict[str, str]:
        """Of every column that `chunks` can give: "number" or "text"."""
        if not self.inputs:
            return {}
        kinds = _parquet_kinds if _is_parquet(self.inputs[0].documents) else _lines_kinds
        # A JSONL file of no rows names no columns: the first that has some does.
        found: dict[str, str] = {}
        for one in self.inputs:
            with _reading(one.documents):
                found = found or kinds(one.documents)
        return found | dict.fromkeys(BATCH_COLUMNS, "number")

    def check_columns(self, wanted: Mapping[str, str]) -> None:
        """`wanted` are kinds of columns, as predicates name them. Raises `UsageError` on a column that is not there or
        is of another kind.
        """
        kinds = self.column_kinds()
        for column, kind in wanted.items():
            if column not in kinds:
                raise UsageError(f"the scan has no column {column!r}; it has {', '.join(kinds)}")
            if kind not in ("any", kinds[column]):
                raise UsageError(f"{column!r} holds {kinds[column]}s, it cannot be compared with a {kind}")

    def chunks(self, scanned: ScannedInput, columns: Sequence[str]) -> Iterator[Columns]:
        """The documents' rows of one input in order, with these columns, at most CHUNK_ROWS at a time. Null is NaN
        among numbers, None among texts.

        Raises `FolderError` on a file that is damaged.
        """
        own = [name for name in columns if name not in BATCH_COLUMNS]
        batches = [name for name in columns if name in BATCH_COLUMNS]
        first = 0
        for chunk in read_rows(scanned.documents, own or ["line"]):
            rows = len(next(iter(chunk.values())))
            yield chunk | (self._of_batches(scanned, first, rows, batches) if batches else {})
            first += rows

    def _of_batches(self, scanned: ScannedInput, first: int, rows: int, columns: Sequence[str]) -> Columns:
        own = self._batches.get(scanned.name, _NO_BATCHES)
        place = np.searchsorted(own["first_document"], np.arange(first, first + rows), side="right") - 1
        if rows and (not len(own) or place[0] < 0):
            raise FolderError(f"{self.path}: the batches do not cover the documents of {scanned.name}")
        return {name: own[name.removeprefix(BATCH_PREFIX)][place] for name in columns}

    @cached_property
    def _batches(self) -> dict[str, NDArray[Any]]:
        """Of each input, in order."""
        path = batches_file(self.path)
        if path is None:
            raise FolderError(f"{self.path} holds no batches")
        parts = [_NO_BATCHES]
        files: list[NDArray[Any]] = [np.empty(0, object)]
        for chunk in read_rows(path, ["file", *_NO_BATCHES.dtype.names]):
            files.append(chunk["file"])
            parts.append(np.empty(len(chunk["file"]), _NO_BATCHES.dtype))
            for name in _NO_BATCHES.dtype.names:
                parts[-1][name] = chunk[name]
        file, batches = np.concatenate(files), np.concatenate(parts)
        borders = np.flatnonzero(file[1:] != file[:-1]) + 1
        return {
            own[0]: rows
            for own, rows in zip(np.split(file, borders), np.split(batches, borders), strict=True)
            if len(own)
        }


def read_manifest(folder: Path) -> dict[str, Any]:
    """Raises `FolderError` where there is none: then the folder holds no whole results."""
    if not (folder / MANIFEST).is_file():
        raise FolderError(f"{folder} holds no results of a scan: there is no {MANIFEST}")
    return read_json(folder / MANIFEST, MANIFEST_SCHEMA)


def read_json(path: Path, schema: str) -> dict[str, Any]:
    """An object of this schema, all of whose numbers are finite. Raises `FolderError`."""
    try:
        content = parse_json(read_bytes(path, LONGEST_JSON, is_named=False))
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise FolderError(f"{path}: {unlike(content.get('schema') if isinstance(content, dict) else content, schema)}")
    return content


def batches_file(folder: Path) -> Path | None:
    """The rows of batches; None in the folder of a merge."""
    names = ("batches.parquet", "batches.jsonl.zst")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    """These columns of a file of rows, at most CHUNK_ROWS at a time. Null is NaN among numbers, None among texts.

    Raises `FolderError` on a file that is damaged, `UsageError` where it needs pyarrow.
    """
    read = _parquet_chunks if _is_parquet(path) else _lines_chunks
    with _reading(path):
        yield from read(path, columns)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        kinds = (OSError, ValueError, TypeError, KeyError, RuntimeError, ArithmeticError, zstandard.ZstdError)
        if not isinstance(error, kinds) and not type(error).__module__.startswith("pyarrow"):
            raise
        raise FolderError(f"cannot read {path}: {error}") from error


def _is_parquet(path: Path) -> bool:
    return path.name.endswith(".parquet")


# --- Parquet


def _parquet_kinds(path: Path) -> dict[str, str]:
    schema = _parquet_file(path).schema_arrow
    return {field.name: "number" if _is_number(field.type) else "text" for field in schema}


def _parquet_chunks(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    file = _parquet_file(path, columns)
    kinds = {field.name: field.type for field in file.schema_arrow}
    if missing := [name for name in columns if name not in kinds]:
        raise KeyError(f"no column {missing[0]!r}")
    for batch in file.iter_batches(CHUNK_ROWS, columns=list(columns)):
        texts = {name: _texts_of(batch[name]) for name in columns if not _is_number(kinds[name])}
        yield {name: texts.get(name, batch[name]).to_numpy(zero_copy_only=False) for name in columns}


def _texts_of(column: Any) -> Any:
    """As strings. A dictionary is not unpacked before it is known how large that makes it: one text may be in every row."""
    import pyarrow
    import pyarrow.compute

    if pyarrow.types.is_dictionary(column.type):
        lengths = pyarrow.compute.binary_length(column.dictionary).cast(pyarrow.int64())
        size = pyarrow.compute.sum(lengths.take(column.indices)).as_py() or 0
        if size > MOST_TEXT:
            raise ValueError(f"wanted texts of at most {MOST_TEXT:,} bytes in {len(column)} rows, found {size:,}")
    return column.cast(pyarrow.string())


def _parquet_file(path: Path, columns: Sequence[str] = ()) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"{path} needs pyarrow: pip install 'textassay[arrow]'") from error
    try:
        if not path.is_file():
            raise ValueError("wanted a regular file")
        names = [name for name in columns if name in (*TEXT_COLUMNS, "file")]
        # As bytes: a name that is no UTF-8 is none for pyarrow.
        return pyarrow.parquet.ParquetFile(pyarrow.OSFile(os.fsencode(path)), read_dictionary=names)
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot read {path}: {error}") from error


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))


# --- JSONL


def _lines_kinds(path: Path) -> dict[str, str]:
    row, _ = next(_json_rows(path), ({}, 0))
    return {name: "text" if name in TEXT_COLUMNS or isinstance(row[name], str) else "number" for name in row}


def _lines_chunks(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    rows: list[Mapping[str, Any]] = []
    held = 0
    for row, size in _json_rows(path):
        rows.append(row)
        held += size
        if len(rows) == CHUNK_ROWS or held > LONGEST_ROW:
            yield _arrays(rows, columns)
            rows, held = [], 0
    if rows:
        yield _arrays(rows, columns)


def _arrays(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Columns:
    return {name: _array(name, [row[name] for row in rows]) for name in columns}


def _array(name: str, values: Sequence[Any]) -> NDArray[Any]:
    if name in (*PLACES, "first_document"):
        return np.array(values, np.int64)
    is_text = name in TEXT_COLUMNS or any(isinstance(value, str) for value in values)
    return np.array(values, object if is_text else np.float64)


def _json_rows(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Rows, and how many bytes each of them takes."""
    if not path.is_file():
        raise ValueError("wanted a regular file")
    with path.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as lines:
        rest = b""
        while piece := lines.read(1 << 20):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                row = parse_json(line)
                if not isinstance(row, dict):
                    raise TypeError("wanted an object a line")
                yield row, len(line)
            if len(rest) > LONGEST_ROW:
                raise ValueError(f"wanted rows of at most {LONGEST_ROW:,} bytes")
        if rest:
            raise ValueError("wanted a line break at the end")
