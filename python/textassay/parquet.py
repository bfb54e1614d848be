"""Parquet files as rows of texts: what a backend's Scan reads them through (docs/semantics.md, Records of Parquet)."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError
from textassay.inputs import PARQUET_SUFFIX, SHARD_SUFFIXES, Input
from textassay.texts import string_buffers

MAGIC = b"PAR1"

_PIECE_BYTES = 1 << 21
"""Rows are handed over in pieces of about this size, and decoded in steps of a part of it."""
_STEP_BYTES = 1 << 18
_STEP_ROWS = 1 << 12
_DECODED_BYTES = 1 << 27
"""What a step may come to where a page's dictionary holds a long text once for many rows."""
_MANY_STEPS = 1 << 6
"""In a row group; to save those its dictionaries are looked into, which say how long a text is at most."""
_BUFFER_BYTES = 1 << 20
_COLUMNS_SHOWN = 20
_DIGITS = 19
"""Of a number that fits in 64 bits."""

Path = Sequence[str]
Column = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_] | None]
"""Value i is data[offsets[i]:offsets[i + 1]]; which rows have one, None: all."""


def sources_of(
    files: Sequence[Input], text_fields: Sequence[Path], id_field: Path = ("id",), value_fields: Sequence[Path] = ()
) -> list[Any]:
    """What a backend's Scan takes for these inputs: paths, descriptors, and a reader for each Parquet file.

    Raises `UsageError` where there is one, and no pyarrow.
    """
    of_rows = [is_parquet(file) for file in files]
    for file, has_rows in zip(files, of_rows, strict=True):
        if has_rows and file.is_remote:
            raise UsageError(f"{file.name}: Parquet is read from files: copy it here first")
    if any(of_rows):
        if find_spec("pyarrow") is None:
            name = files[of_rows.index(True)].name
            raise UsageError(f"{name}: Parquet needs pyarrow: pip install 'textassay[arrow]'")
        import pyarrow.parquet  # noqa: F401 (here, once, not in each thread)
    return [
        ParquetRows(file, text_fields, id_field, value_fields) if has_rows else file.source
        for file, has_rows in zip(files, of_rows, strict=True)
    ]


def is_parquet(file: Input) -> bool:
    """By its name, or by its first bytes where the name says nothing."""
    if isinstance(file.source, int):
        return False
    if file.size is None or file.name.endswith(SHARD_SUFFIXES):
        return file.name.endswith(PARQUET_SUFFIX)
    try:
        with open(file.source, "rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # the scan will say what is wrong


class ParquetRows:
    """The rows of one file from the first to the last, of the wanted columns only. A `RowReader` of a backend.

    `position` is the part of the file's `size` bytes that the rows read so far make up, by their number.
    """

    format = "parquet"

    def __init__(self, file: Input, text_fields: Sequence[Path], id_field: Path, value_fields: Sequence[Path]) -> None:
        self.size = file.size or 0
        self.position = 0
        self._path = file.source
        self._texts, self._id, self._values = list(text_fields), id_field, list(value_fields)
        self._rows_read = self._to_skip = 0
        self._pieces: Iterator[Any] = iter(())  # holds the file open until its end
        self._damage: str | None = None

    def open(self) -> str | None:
        """Why there is nothing to be read: the file does not open, or has no column of texts. None: all is well."""
        try:
            os.close(os.open(self._path, os.O_RDONLY))
        except OSError as error:
            return error.strerror or str(error)
        import pyarrow

        try:
            file = self._open()
            schema = file.schema_arrow
            columns = [column.chunk(0) for column in schema.empty_table().columns]
            empty = pyarrow.RecordBatch.from_arrays(columns, schema=schema)
        except Exception as error:  # noqa: BLE001 (strangers' footers fail in many ways)
            self._damage = _reason(error)
            return None
        found = [_find(empty, path) for path in self._texts]
        unlike = [column.type for column in found if column is not None and not _is_text(column.type)]
        if unlike or all(column is None for column in found):
            wanted = " or ".join(".".join(path) for path in self._texts)
            names = ", ".join(schema.names[:_COLUMNS_SHOWN])
            return f"wanted strings in the column {wanted}, found {unlike[0] if unlike else f'the columns {names}'}"
        self._columns = _projection(schema, [*self._texts, self._id, *self._values])
        paths = [file.schema.column(i).path for i in range(len(file.schema))]
        self._leaves = {i: path for i, path in enumerate(paths) if _is_under(path, self._columns)}
        self._n_rows = file.metadata.num_rows
        self._pieces = self._read_pieces(file)
        return None

    def skip(self, rows: int) -> None:
        """Between `open` and `read`: leaves the first rows out."""
        self._rows_read = self._to_skip = rows

    def read(self) -> list[Column | None] | str | None:
        """The next rows: text fields, id, value fields, each a column or None where no row has a value. None behind the
        last row; a string says why the file cannot be read on.
        """
        from pyarrow import ArrowException

        try:
            piece = next(self._pieces, None)
            columns = None if piece is None else self._columns_of(piece)
        except (ArrowException, OSError) as error:
            self._damage, columns = _reason(error), None
        if columns is None:
            if self._damage is None:
                self.position = self.size
            return self._damage
        self._rows_read += piece.num_rows
        self.position = self.size * self._rows_read // max(1, self._rows_read, self._n_rows)
        return columns

    def _columns_of(self, piece: Any) -> list[Column | None]:
        texts = [_text_column(_find(piece, path)) for path in self._texts]
        return [
            *texts,
            _id_column(_find(piece, self._id)),
            *(_value_column(_find(piece, path)) for path in self._values),
        ]

    def _open(self, **options: Any) -> Any:
        """Column chunks are read as they are needed: a row group may be larger than the memory."""
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(
            pyarrow.OSFile(self._path),
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
            **options,
        )

    def _read_pieces(self, file: Any) -> Iterator[Any]:
        held: list[Any] = []
        size = 0
        for step in self._read_steps(file):
            held.append(step)
            size += step.nbytes
            if size >= _PIECE_BYTES:
                yield from _joined(held)
                held, size = [], 0
        yield from _joined(held)

    def _read_steps(self, file: Any) -> Iterator[Any]:
        for group in range(file.metadata.num_row_groups):
            n_done = 0
            if self._to_skip >= file.metadata.row_group(group).num_rows:
                self._to_skip -= file.metadata.row_group(group).num_rows
                continue
            try:
                n_rows = self._step_rows(file, group)
                for step in file.iter_batches(n_rows, [group], self._columns, use_threads=False):
                    n_done += step.num_rows
                    skipped = min(self._to_skip, step.num_rows)
                    self._to_skip -= skipped
                    if skipped < step.num_rows:
                        yield step.slice(skipped)
            except Exception as error:  # noqa: BLE001 (whatever pyarrow finds wrong)
                self._damage = _reason(error)
                yield from self._rescue(group, n_done + self._to_skip)
                return

    def _rescue(self, group: int, n_done: int) -> Iterator[Any]:
        """What is whole before a damage, row by row; all but the first `n_done`."""
        try:
            yield from islice(self._open().iter_batches(1, [group], self._columns, use_threads=False), n_done, None)
        except Exception:  # noqa: BLE001 (the damage, which has been told)
            return

    def _step_rows(self, file: Any, group: int) -> int:
        """How many rows to decode at a time: a stranger's file of kilobytes may decode to terabytes."""
        # pyarrow's reader raises where the metadata of a column is damaged; asked for it directly, it ends the process.
        next(file.iter_batches(1, [group], self._columns, use_threads=False), None)
        about = file.metadata.row_group(group)
        size = sum(about.column(i).total_uncompressed_size for i in self._leaves)
        wanted = min(_STEP_ROWS, _STEP_BYTES * about.num_rows // max(1, size))
        is_looked_into = about.num_rows * size > _MANY_STEPS * _DECODED_BYTES
        longest = self._longest_row(group, size) if is_looked_into else size
        return max(1, min(wanted, _DECODED_BYTES // max(1, longest)))

    def _longest_row(self, group: int, size: int) -> int:
        """What a row comes to at most, as far as its texts are in dictionaries; else `size`, that of the row group."""
        file = self._open(read_dictionary=list(self._leaves.values()))
        first = next(file.iter_batches(1, [group], self._columns, use_threads=False), None)
        return size if first is None else min(size, sum(_longest_entry(column, size) for column in first.columns))


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _joined(steps: list[Any]) -> list[Any]:
    """As few record batches as they fit into."""
    import pyarrow

    return steps if len(steps) < 2 else pyarrow.Table.from_batches(steps).combine_chunks().to_batches()


def _projection(schema: Any, paths: Sequence[Path]) -> list[str]:
    """What of the file has to be read: columns, or parts of structs, none of them twice."""
    from pyarrow.types import is_struct

    found = set()
    for path in paths:
        if path[0] not in schema.names:
            continue
        name, kind = path[0], schema.types[schema.names.index(path[0])]
        for key in path[1:]:
            if not is_struct(kind) or kind.get_field_index(key) < 0:
                break
            name, kind = f"{name}.{key}", kind.field(key).type
        found.add(name)
    return sorted(name for name in found if not _is_under(name, found - {name}))


def _is_under(name: str, others: Iterable[str]) -> bool:
    return any(name == other or name.startswith(other + ".") for other in others)


def _longest_entry(array: Any, otherwise: int) -> int:
    from pyarrow import types

    if types.is_struct(array.type):
        return sum(_longest_entry(child, otherwise) for child in array.flatten())
    if types.is_dictionary(array.type):
        return int(np.diff(string_buffers(array.dictionary)[1]).max(initial=0))
    return 0 if types.is_primitive(array.type) else otherwise


# --- from Arrow's types to ours


def _find(batch: Any, path: Path) -> Any:
    """The values at the end of a path; None where it leads nowhere."""
    if path[0] not in batch.schema.names:
        return None
    array = _plain(batch.column(batch.schema.names.index(path[0])))
    for key in path[1:]:
        array = _child(array, key)
        if array is None:
            return None
        array = _plain(array)
    return array


def _child(array: Any, key: str) -> Any:
    """A field of structs, an element of lists, a value of maps; null where the whole is."""
    from pyarrow import compute, scalar, types

    kind = array.type
    if types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return compute.struct_field(array, [names.index(key)]) if key in names else None
    if types.is_map(kind):
        return compute.map_lookup(array, scalar(key), "first") if types.is_string(kind.key_type) else None
    if (types.is_list(kind) or types.is_large_list(kind)) and key.isdigit() and len(key) < _DIGITS:
        return compute.list_slice(array, int(key), int(key) + 1, return_fixed_size_list=True).values
    return None


def _plain(array: Any) -> Any:
    from pyarrow import BaseExtensionType, types

    if isinstance(array.type, BaseExtensionType):
        array = array.storage
    return array.dictionary_decode() if types.is_dictionary(array.type) else array


def _is_string(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_text(kind: Any) -> bool:
    """Binary columns, too, as old writers leave strings: what is no UTF-8 is malformed."""
    from pyarrow import types

    is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return _is_string(kind) or is_binary or types.is_null(kind)


def _text_column(array: Any) -> Column | None:
    return None if array is None else _column(array)


def _id_column(array: Any) -> Column | None:
    """Strings, and integers in decimal."""
    from pyarrow import string, types

    if array is None or not (_is_string(array.type) or types.is_integer(array.type)):
        return None
    return _column(array.cast(string()) if types.is_integer(array.type) else array)


def _value_column(array: Any) -> Column | None:
    """Strings; numbers, true and false as JSON has them; dates and times as ISO 8601 has them, in UTC if they name a zone."""
    from pyarrow import array as arrow_array
    from pyarrow import compute, string, timestamp, types

    if array is None:
        return None
    kind = array.type
    if types.is_timestamp(kind):
        array = array if kind.tz is None else array.cast(timestamp(kind.unit, "UTC"))
        return _column(compute.replace_substring(array.cast(string()), " ", "T"))
    if types.is_floating(kind):
        numbers = array.to_pylist()
        return _column(arrow_array([_json_number(number) for number in numbers], string()))
    as_written = (types.is_integer, types.is_boolean, types.is_decimal, types.is_date, types.is_time)
    if any(test(kind) for test in as_written):
        return _column(array.cast(string()))
    return _column(array) if _is_string(kind) else None


def _json_number(number: float | None) -> str | None:
    """JSON has no infinity and no NaN."""
    return None if number is None or not math.isfinite(number) else json.dumps(float(number))


def _column(array: Any) -> Column:
    present = np.asarray(array.is_valid()) if array.null_count else None
    return (*string_buffers(array), present)
