"""What a scan left in its folder, read back: the summary, the batches, and the rows of documents where they are needed."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay.errors import FolderError, UsageError
from textassay.folder import MANIFEST, MANIFEST_SCHEMA
from textassay.summary import SCHEMA

CHUNK_ROWS = 1 << 16
LONGEST_SUMMARY = 1 << 28
LONGEST_MANIFEST = 1 << 32
LONGEST_LINE = 1 << 26

MOST_DIGITS = 9
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

BATCH_COLUMNS = ("batch", "first_document", "n_documents", "n_tokens")
TEXTS = ("file", "provenance")

Columns = Mapping[str, NDArray[Any]]


class ScanResults:
    """A folder that `scan` or `merge` wrote. `summary` is read at once, the rest when it is asked for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raises `FolderError` where the folder holds no whole results, or a summary that is not one."""
        self.path = Path(path)
        if not (self.path / MANIFEST).is_file():
            raise FolderError(f"{self.path}: no results of a scan: there is no {MANIFEST}")
        self.summary = _read_json(self.path / "summary.json", LONGEST_SUMMARY, SCHEMA)

    def figure(self, path: str) -> float | None:
        """A number of the summary by its dotted path, as `documents.mattr.quantiles.0.5`; a position indexes a list. None
        where the summary holds null.

        Raises `KeyError`, with a hint or an empty text, where there is nothing, and `UsageError` where there is no number.
        """
        value = _looked_up(self.summary, path.split("."))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = {dict: "an object", list: "a list", str: "a text"}.get(type(value), "true or false")
            raise UsageError(f"{path} is no number: {self.path / 'summary.json'} holds {kind} there")
        return value

    @cached_property
    def inputs(self) -> list[Mapping[str, Any]] | None:
        """Of each input `path`, `documents` (the file of its rows, or None) and `outcome`; None in the folder of a merge."""
        manifest = _read_json(self.path / MANIFEST, LONGEST_MANIFEST, MANIFEST_SCHEMA)
        inputs = manifest.get("inputs")
        if inputs is not None and not (isinstance(inputs, list) and all(isinstance(one, dict) for one in inputs)):
            raise FolderError(f"{self.path / MANIFEST}: wanted a list of inputs")
        return inputs

    @property
    def batches_file(self) -> Path | None:
        names = ("batches.parquet", "batches.jsonl.zst")
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def batches(self, figure: str) -> Iterator[Columns]:
        """The rows of all batches in order, some at a time: `file` (a name), BATCH_COLUMNS (int64) and the figure
        (float64; NaN is null). Raises `FolderError` on a damaged file, `UsageError` where pyarrow is wanted.
        """
        if self.batches_file is not None:
            yield from _rows(self.batches_file, ("file", *BATCH_COLUMNS, figure))

    @property
    def documents_are_parquet(self) -> bool:
        return any(str(one.get("documents")).endswith(".parquet") for one in self.inputs or [])

    def documents(self, columns: Sequence[str]) -> Iterator[tuple[str, Iterator[Columns]]]:
        """Of each input its name and the rows of its documents, some at a time. Nothing where no rows were written, or the
        columns were not measured.
        """
        known = (*self.summary["configuration"]["signals"], "provenance")
        if not all(column in known for column in columns):
            return
        for one in self.inputs or []:
            place = PurePosixPath(str(one.get("documents")))
            if place.parent != PurePosixPath("documents"):
                continue
            yield str(one.get("path")), _rows(self.path / place, columns)


def _read_json(path: Path, longest: int, schema: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > longest:
            raise FolderError(f"{path}: wanted at most {longest} bytes")
        data = path.read_bytes()
        content = json.loads(data, parse_constant=_finite, parse_float=_finite)
        if _SURROGATE.search(data):  # names with half a character could not be written again
            json.dumps(content, ensure_ascii=False).encode()
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FolderError):
            raise
        raise FolderError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise FolderError(f"{path}: wanted the schema {schema}")
    return content


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no finite number")
    return float(text)


def _looked_up(value: Any, parts: Sequence[str]) -> Any:
    """Keys may hold dots themselves: of `quantiles.0.5` the last two parts are one key."""
    if not parts:
        return value
    is_position = parts[0].isdecimal() and len(parts[0]) <= MOST_DIGITS
    if isinstance(value, list) and is_position and int(parts[0]) < len(value):
        return _looked_up(value[int(parts[0])], parts[1:])
    if isinstance(value, dict):
        for end in range(1, len(parts) + 1):
            key = ".".join(parts[:end])
            if key in value:
                return _looked_up(value[key], parts[end:])
    known = list(value) if isinstance(value, dict) else []
    close = get_close_matches(parts[0], known, 1)
    raise KeyError(f"did you mean {close[0]!r}?" if close else "")


# --- rows


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    read = _parquet_rows if path.name.endswith(".parquet") else _json_rows
    try:
        yield from read(path, columns)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError, zstandard.ZstdError) as error:
        if isinstance(error, UsageError):
            raise
        # pyarrow's errors are of these kinds.
        raise FolderError(f"cannot read {path}: {error}") from error


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(f"{path} needs pyarrow: pip install 'textassay[arrow]'") from error
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(CHUNK_ROWS, columns=list(columns)):
            texts = {name: batch[name].cast(pyarrow.string()) for name in columns if name in TEXTS}
            plain = {name: texts.get(name, batch[name]).to_numpy(zero_copy_only=False) for name in columns}
            yield {name: _column(name, values) for name, values in plain.items()}


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    waiting: list[dict[str, Any]] = []
    with path.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as lines:
        rest = b""
        while piece := lines.read(1 << 20):
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise ValueError(f"wanted lines of at most {LONGEST_LINE} bytes")
            waiting += map(json.loads, whole)
            if len(waiting) >= CHUNK_ROWS:
                yield _columns(waiting, columns)
                waiting = []
    if rest:
        raise ValueError("wanted a line break at the end")
    if waiting:
        yield _columns(waiting, columns)


def _columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Columns:
    return {name: _column(name, [row[name] for row in rows]) for name in columns}


def _column(name: str, values: Any) -> NDArray[Any]:
    """Null is None among texts, NaN among numbers."""
    if name in TEXTS:
        return np.asarray(values, object)
    if name in BATCH_COLUMNS:
        return np.asarray(values, np.int64)
    return np.asarray(values, np.float64)
