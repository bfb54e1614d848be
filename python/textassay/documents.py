"""Document rows on their way to disk or memory. A thread of its own writes, so that the scan does not wait for it."""

import json
import os
import queue
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay.atomic import sync_folder
from textassay.inputs import PARQUET_SUFFIX
from textassay.provenance import LABELS
from textassay.spool import close_quietly
from textassay.table import Table

GROUP_ROWS = 1 << 17
"""Rows in a row group: always exactly so many, so that a file's bytes do not depend on how its rows arrived."""

QUEUE_LENGTH = 32
LINES_AT_ONCE = 1024
_FORBIDDEN = re.compile(r"[^A-Za-z0-9._-]+")

Columns = Mapping[str, NDArray[Any]]


def file_name(index: int, name: str, suffix: str) -> str:
    """`000003-shard.parquet`: never from the input's name alone, which may repeat, or hold anything."""
    stem = _FORBIDDEN.sub("_", os.path.basename(name))
    for known in (".zst", ".gz", ".jsonl", ".ndjson", PARQUET_SUFFIX):
        stem = stem.removesuffix(known)
    return f"{index:06d}-{stem.strip('._')[:80] or 'input'}{suffix}"


class RowFile(Protocol):
    """Rows of one file."""

    def follow(self) -> None:
        """Before any row: rows of the same input lie in other files, which come before this one."""

    def add(self, columns: Columns) -> None: ...
    def add_file(self, path: Path) -> None:
        """All rows of another file of this kind."""

    def close(self) -> None:
        """Completes the file, durably."""

    def abandon(self) -> None:
        """Lets go of the file as it is."""


class DocumentSink(Protocol):
    """Takes the document columns of a scan's events and the end of each file."""

    def add(self, file: int, columns: Columns) -> None: ...
    def end(self, file: int) -> None: ...
    def sync(self) -> Mapping[int, int]:
        """Makes what was added durable; returns of each file that has not ended how many parts of it there are."""

    def remove_joined(self) -> None:
        """Parts of files that have ended: no later call, and no other scan, will need them."""

    def finish(self) -> None:
        """Waits until all is written; raises what went wrong in writing."""

    def abandon(self) -> None:
        """Stops without finishing anything."""


class NoDocuments:
    """Keeps nothing."""

    def add(self, file: int, columns: Columns) -> None: ...
    def end(self, file: int) -> None: ...
    def sync(self) -> Mapping[int, int]:
        return {}

    def remove_joined(self) -> None: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...


class MemoryDocuments:
    """Keeps all rows."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Columns]] = {}

    def add(self, file: int, columns: Columns) -> None:
        self._parts.setdefault(file, []).append(with_ids(columns))

    def end(self, file: int) -> None: ...
    def sync(self) -> Mapping[int, int]:
        return {}

    def remove_joined(self) -> None: ...
    def finish(self) -> None: ...
    def abandon(self) -> None: ...

    def table(self) -> Table:
        """All rows in order of files, with the column `file`: its position among the scan's inputs."""
        parts = [_numbered(file, part) for file in sorted(self._parts) for part in self._parts[file]]
        return Table.concatenated(parts) if parts else Table({})


def _numbered(file: int, columns: Columns) -> Columns:
    return {"file": np.full(len(columns["byte_offset"]), file, np.int64), **columns}


def with_ids(columns: Columns) -> dict[str, NDArray[Any]]:
    """The columns with `id` as the first: arrays of str and None in place of the backend's buffers."""
    ids = _texts(columns["id_bytes"], columns["id_offsets"], columns["id_null"])
    return {"id": ids} | plain_columns(columns) | _label_columns(columns)


def _texts(data: NDArray[np.uint8], offsets: NDArray[np.int64], null: NDArray[np.bool_]) -> NDArray[Any]:
    whole, places = data.tobytes(), offsets.tolist()
    texts = np.empty(len(null), object)
    for row, is_null in enumerate(null.tolist()):
        texts[row] = None if is_null else whole[places[row] : places[row + 1]].decode()
    return texts


def _label_columns(columns: Columns) -> dict[str, NDArray[Any]]:
    if "provenance" not in columns:
        return {}
    reasons = _texts(columns["provenance_reason_bytes"], columns["provenance_reason_offsets"], _no_reason(columns))
    return {"provenance": np.array(LABELS, object)[columns["provenance"]], "provenance_reason": reasons}


def _no_reason(columns: Columns) -> NDArray[np.bool_]:
    return np.diff(columns["provenance_reason_offsets"]) == 0


def plain_columns(columns: Columns) -> dict[str, NDArray[Any]]:
    """Place of the document first, then signals, without the id and the label."""
    left_out = ("id_", "provenance", "byte_offset", "line")
    names = [name for name in columns if not name.startswith(left_out)]
    return {name: columns[name] for name in ("byte_offset", "line", *names)}


def column_kinds(signals: Sequence[str], integers: frozenset[str], are_labelled: bool) -> dict[str, str]:
    """Names and types of the columns to write; `integers` are the signals that are integers."""
    kinds = {name: "int64" if name in integers else "double" for name in signals}
    kinds = {"id": "string", "byte_offset": "int64", "line": "int64"} | kinds | {"n_replaced": "int64"}
    return kinds | ({"provenance": "label", "provenance_reason": "string"} if are_labelled else {})


class WrittenDocuments:
    """Writes one file per input, in a thread. A file that is open at a `sync` becomes one of parts, which are joined when it
    ends, to what it would have been without them.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str | Path],
        kinds: Mapping[str, str],
        rows: Callable[[Path, Mapping[str, str]], RowFile],
        ended: Collection[int] = (),
        parts: Mapping[int, int] = MappingProxyType({}),
    ) -> None:
        """A name below `folder` for each input, what `column_kinds` gave, and what writes such files: ParquetRows, JsonRows,
        DolmaRows. `ended` and `parts`: which files the folder holds, and of which so many parts; whatever else lies there
        goes. Raises `ValueError` where it does not hold them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = [folder / name for name in names]
        self._folder = folder
        self._parts = dict(parts)
        self._joined: list[Path] = []
        self._changed = {folder}
        self._keep_only(ended)
        self._open: dict[int, RowFile] = {}
        self._rows = rows
        self._kinds = kinds
        self._queue: queue.Queue[tuple[int, Columns | None] | threading.Event | None] = queue.Queue(QUEUE_LENGTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="textassay-documents", daemon=True)
        self._thread.start()

    def add(self, file: int, columns: Columns) -> None:
        self._put((file, columns))

    def end(self, file: int) -> None:
        self._put((file, None))

    def sync(self) -> Mapping[int, int]:
        done = threading.Event()
        self._put(done)
        done.wait()
        if self._error is not None:
            raise self._error
        for folder in self._changed:
            sync_folder(folder)
        self._changed.clear()
        return dict(self._parts)

    def remove_joined(self) -> None:
        for part in self._joined:
            part.unlink(missing_ok=True)
        self._joined.clear()

    def finish(self) -> None:
        self._put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        self._error = self._error or KeyboardInterrupt()
        self._queue.put(None)
        self._thread.join()
        for rows in self._open.values():
            rows.abandon()

    def read(self, folder: Path) -> Table | None:
        """All rows of the files, which lie in `folder` now, as `MemoryDocuments.table` gives them; None for a form that does
        not hold all of them.
        """
        read = {ParquetRows: _read_parquet, JsonRows: _read_lines}.get(self._rows)
        if read is None:
            return None
        parts = (read(folder / path.name, self._kinds) for path in self.paths)
        return Table.concatenated([_numbered(file, part) for file, part in enumerate(parts)])

    def _keep_only(self, ended: Collection[int]) -> None:
        wanted = {self.paths[file] for file in ended} | {part for file in self._parts for part in self._parts_of(file)}
        present = {path for path in self._folder.rglob("*") if not path.is_dir()}
        if missing := sorted(wanted - present):
            raise ValueError(f"{missing[0]} is missing")
        for path in present - wanted:
            path.unlink()

    def _parts_of(self, file: int) -> list[Path]:
        # Not by the file's name, which may have all the 255 bytes that a name can have.
        return [self._folder / f".part-{file:06d}-{number:06d}" for number in range(1, self._parts.get(file, 0) + 1)]

    def _put(self, item: tuple[int, Columns | None] | threading.Event | None) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(item)

    def _work(self) -> None:
        # After an error the queue is still emptied: nobody may wait for a place in it for ever.
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    if isinstance(item, threading.Event):
                        self._close_parts()
                    else:
                        self._write(*item)
                except BaseException as error:  # noqa: BLE001 (raised again in the thread that feeds this one)
                    self._error = error
            if isinstance(item, threading.Event):
                item.set()

    def _write(self, file: int, columns: Columns | None) -> None:
        if file not in self._open and not (columns is None and file in self._parts):
            self._open[file] = self._rows(self.paths[file], self._kinds)
            if file in self._parts:
                self._open[file].follow()
        if columns is not None:
            self._open[file].add(columns)
        elif file in self._parts:
            self._join(file)
        else:
            self._close(file)

    def _close(self, file: int) -> None:
        self._open[file].close()
        del self._open[file]
        folder = self.paths[file].parent
        while folder not in self._changed and folder != self._folder:
            self._changed.add(folder)
            folder = folder.parent
        self._changed.add(self._folder)

    def _close_part(self, file: int) -> None:
        self._close(file)
        self._parts[file] = self._parts.get(file, 0) + 1
        self.paths[file].rename(self._parts_of(file)[-1])

    def _close_parts(self) -> None:
        for file in list(self._open):
            self._close_part(file)

    def _join(self, file: int) -> None:
        if file in self._open:
            self._close_part(file)
        parts = self._parts_of(file)
        self._open[file] = whole = self._rows(self.paths[file], self._kinds)
        for part in parts:
            whole.add_file(part)
        self._close(file)
        self._joined += parts
        del self._parts[file]


class ParquetRows:
    """A Parquet file. Values of a scan hardly repeat, so no dictionaries but for labels and their reasons; positions
    grow, so those are stored as differences.
    """

    def __init__(self, path: Path, kinds: Mapping[str, str]) -> None:
        import pyarrow
        import pyarrow.parquet

        self._pa = pyarrow
        types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "double": pyarrow.float64()}
        types["label"] = pyarrow.dictionary(pyarrow.int8(), pyarrow.string())
        self._schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
        self._stream = path.open("wb")
        self._writer = pyarrow.parquet.ParquetWriter(
            self._stream,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in kinds if name.startswith("provenance")],
            column_encoding={name: "DELTA_BINARY_PACKED" for name, kind in kinds.items() if kind == "int64"},
        )
        self._waiting: list[Any] = []
        self._rows = 0

    def add(self, columns: Columns) -> None:
        self._add_batch(self._batch(columns))

    def follow(self) -> None: ...

    def add_file(self, path: Path) -> None:
        # As bytes: a name that is no UTF-8 is none for pyarrow.
        with self._pa.OSFile(os.fsencode(path)) as stream, self._pa.parquet.ParquetFile(stream) as part:
            for batch in part.iter_batches(columns=self._schema.names):
                arrays = [
                    self._as_written(batch[name], field.type) for name, field in zip(self._schema.names, self._schema)
                ]
                self._add_batch(self._pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def _as_written(self, array: Any, kind: Any) -> Any:
        """A column as it was before it was written: of a label's dictionary only what was used can be read."""
        if not self._pa.types.is_dictionary(kind):
            return array.cast(kind)
        from pyarrow import compute

        labels = compute.index_in(array.cast(self._pa.string()), self._pa.array(LABELS))
        return self._pa.DictionaryArray.from_arrays(labels.cast(self._pa.int8()), list(LABELS))

    def _add_batch(self, batch: Any) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        while self._rows >= GROUP_ROWS:
            self._write_group(GROUP_ROWS)

    def close(self) -> None:
        if self._rows:
            self._write_group(self._rows)
        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def abandon(self) -> None:
        with suppress(OSError):  # closing writes once more, which may be what failed before
            self._writer.close()
        close_quietly(self._stream)

    def _write_group(self, rows: int) -> None:
        table = self._pa.Table.from_batches(self._waiting, self._schema)
        # In one piece: the writer begins a page where a piece begins, and pieces are as the rows arrived.
        self._writer.write_table(table.slice(0, rows).combine_chunks(), GROUP_ROWS)
        self._waiting = table.slice(rows).to_batches()
        self._rows -= rows

    def _batch(self, columns: Columns) -> Any:
        arrays = [self._array(name, columns) for name in self._schema.names]
        return self._pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _array(self, name: str, columns: Columns) -> Any:
        if name == "id":
            return self._strings(name, columns, columns["id_null"])
        if name == "provenance_reason":
            return self._strings(name, columns, _no_reason(columns))
        if name == "provenance":
            return self._pa.DictionaryArray.from_arrays(columns[name].astype(np.int8), list(LABELS))
        return self._pa.array(columns[name], from_pandas=True)

    def _strings(self, name: str, columns: Columns, null: NDArray[np.bool_]) -> Any:
        valid = np.packbits(~null, bitorder="little")
        offsets = columns[f"{name}_offsets"].astype(np.int32)
        buffers = [self._pa.py_buffer(part) for part in (valid, offsets, columns[f"{name}_bytes"])]
        return self._pa.Array.from_buffers(self._pa.string(), len(null), buffers)


_NUMPY_TYPES = {"string": object, "label": object, "int64": np.int64, "double": np.float64}


def _read_parquet(path: Path, kinds: Mapping[str, str]) -> Columns:
    import pyarrow.parquet

    with pyarrow.OSFile(os.fsencode(path)) as stream:
        table = pyarrow.parquet.read_table(stream, columns=list(kinds))
    plain = {
        name: table[name].cast(pyarrow.string()) if kind == "label" else table[name] for name, kind in kinds.items()
    }
    return {name: column.to_numpy() for name, column in plain.items()}


def _read_lines(path: Path, kinds: Mapping[str, str]) -> Columns:
    with path.open("rb") as stream:
        rows = [json.loads(line) for line in lines_of_zstd(stream).read().splitlines()]
    return {name: np.array([row[name] for row in rows], _NUMPY_TYPES[kind]) for name, kind in kinds.items()}


class LineFile:
    """A file of JSON lines, durable when it is closed. What `lines_into` makes of the stream takes them, and `lines_from` reads
    such a stream.
    """

    def __init__(
        self, path: Path, lines_into: Callable[[BinaryIO], "JsonLines"], lines_from: Callable[[BinaryIO], BinaryIO]
    ) -> None:
        self._stream = path.open("wb")
        self._lines = lines_into(self._stream)
        self._lines_from = lines_from

    def follow(self) -> None: ...

    def add_file(self, path: Path) -> None:
        with path.open("rb") as stream:
            for line in TextIOWrapper(self._lines_from(stream), "utf-8", newline="\n"):
                self._add_line(line)

    def _add_line(self, line: str) -> None:
        self._lines.write_line(line)

    def close(self) -> None:
        self._lines.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def abandon(self) -> None:
        # Closing writes once more, which may be what failed before; ValueError: it was closed by that.
        with suppress(OSError, ValueError):
            self._lines.close()
        close_quietly(self._stream)


class JsonRows(LineFile):
    """A zstd-compressed JSONL file."""

    def __init__(self, path: Path, kinds: Mapping[str, str]) -> None:
        self._names = list(kinds)
        super().__init__(path, ZstdLines, lines_of_zstd)

    def add(self, columns: Columns) -> None:
        table = Table(with_ids(columns))
        for row in table.rows():
            self._lines.write({name: row[name] for name in self._names})


class JsonLines:
    """JSON values, one a line, into a stream, which is closed with it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._waiting: list[str] = []

    def write(self, value: Any) -> None:
        self.write_line(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def write_line(self, line: str) -> None:
        """A value that was written before, with its line break."""
        self._waiting.append(line)
        if len(self._waiting) >= LINES_AT_ONCE:
            self._hand_over()

    def close(self) -> None:
        self._hand_over()
        self._stream.close()

    def _hand_over(self) -> None:
        self._stream.write("".join(self._waiting).encode())
        self._waiting.clear()


class ZstdLines(JsonLines):
    """The same, compressed into a stream that stays open."""

    def __init__(self, stream: BinaryIO) -> None:
        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        super().__init__(compressor.stream_writer(stream, closefd=False))


def lines_of_zstd(stream: BinaryIO) -> BinaryIO:
    """What `ZstdLines` wrote."""
    return zstandard.ZstdDecompressor().stream_reader(stream)  # type: ignore[return-value]
