"""Texts in memory, as the backend wants them: all UTF-8 in one array, and offsets."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_TEXTS = 1 << 16
CHUNK_CHARACTERS = 1 << 26
"""An iterable is taken in chunks of at most this size, so that it may be longer than the memory."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Texts:
    """Text i is data[offsets[i]:offsets[i + 1]]; nulls are left out.

    `present` are the positions of the texts among all rows, None where no row is null; `replaced` counts the lone
    surrogates that became U+FFFD in each text, None where there were none.
    """

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    n_rows: int
    present: NDArray[np.int64] | None = None
    replaced: NDArray[np.int64] | None = None


def chunks_of(texts: Any) -> Iterator[Texts]:
    """Texts of a list or iterable of str, of a numpy array of strings, of an Arrow array or stream of strings, or of a
    stream of tables of one column (pyarrow, Polars, DuckDB, pandas), or of a column of a Hugging Face dataset.

    None and Arrow nulls are null rows. Raises `TypeError` naming the first row that is something else.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError("texts: wanted several texts, found a single string; pass [text]")
    if isinstance(texts, Mapping):
        raise TypeError("texts: wanted texts, found a mapping; pass one of its columns")
    if type(texts).__module__.startswith("datasets.") and hasattr(texts, "column_name"):
        yield from _from_dataset(texts)
    elif hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__"):
        yield from _from_arrow(texts)
    elif isinstance(texts, np.ndarray):
        yield from _from_iterable(texts.reshape(-1).tolist())
    elif isinstance(texts, Iterable):
        yield from _from_iterable(texts)
    else:
        raise TypeError(f"texts: wanted strings or Arrow data, found {type(texts).__name__}")


def _from_iterable(texts: Iterable[Any]) -> Iterator[Texts]:
    first = 0
    for chunk in _chunked(texts):
        yield _from_list(chunk, first)
        first += len(chunk)


def _chunked(texts: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text) if isinstance(text, str) else 0
        if len(chunk) >= CHUNK_TEXTS or size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _from_list(rows: list[Any], first: int) -> Texts:
    """`first` is the position of rows[0] in the whole input; errors name it."""
    for position, row in enumerate(rows):
        if row is not None and not isinstance(row, str):
            raise TypeError(f"texts[{first + position}]: wanted a string or None, found {type(row).__name__}")
    texts = [row for row in rows if row is not None]
    replaced = None
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError:  # Python strings can hold lone surrogates, JSON's escapes make them
        mended = [_SURROGATE.subn("\N{REPLACEMENT CHARACTER}", text) for text in texts]
        encoded = [text.encode() for text, _ in mended]
        replaced = np.array([count for _, count in mended], np.int64)
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    present = None
    if len(texts) < len(rows):
        present = np.array([position for position, row in enumerate(rows) if row is not None], np.int64)
    return Texts(np.frombuffer(b"".join(encoded), np.uint8), offsets, len(rows), present, replaced)


def _from_arrow(texts: Any) -> Iterator[Texts]:
    try:
        import pyarrow
    except ImportError as error:
        raise TypeError("texts: Arrow data needs pyarrow: pip install 'textassay[arrow]'") from error
    for array in _arrow_arrays(texts, pyarrow):
        yield _from_arrow_array(array, pyarrow)


def _arrow_arrays(texts: Any, pyarrow: Any) -> Iterator[Any]:
    """One after the other, as they come by; of a table its only column."""
    if not hasattr(texts, "__arrow_c_stream__"):
        yield pyarrow.array(texts)
    elif isinstance(texts, pyarrow.ChunkedArray):
        yield from texts.chunks
    else:
        try:
            batches = pyarrow.RecordBatchReader.from_stream(texts)
        except pyarrow.ArrowInvalid:  # no table
            yield from pyarrow.chunked_array(texts).chunks
            return
        if len(batches.schema) != 1:
            names = ", ".join(batches.schema.names[:5])
            raise TypeError(f"texts: wanted one column of strings, found {len(batches.schema)} ({names}): choose one")
        for batch in batches:
            yield batch.column(0)


def _from_dataset(column: Any) -> Iterator[Texts]:
    """A column of a `datasets.Dataset`: the Arrow data that it is made of, without a Python object a text."""
    import pyarrow

    table = column.source.select_columns([column.column_name]).with_format("arrow")
    for batch in table.iter(CHUNK_TEXTS):
        for array in batch.column(0).chunks:
            yield _from_arrow_array(array, pyarrow)


def _from_arrow_array(array: Any, pyarrow: Any) -> Texts:
    types, kind = pyarrow.types, array.type
    if types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if not any(test(kind) for test in (types.is_string, types.is_large_string, types.is_string_view, types.is_null)):
        raise TypeError(f"texts: wanted a column of strings, found {kind}")
    array = _without_views(array)  # nulls cannot be dropped from those
    n_rows, present = len(array), None
    if array.null_count:
        present = np.flatnonzero(np.asarray(array.is_valid()))
        array = array.drop_null()
    data, offsets = string_buffers(array)
    return Texts(data, offsets, n_rows, present)


def string_buffers(array: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bytes and offsets of an Arrow array of strings, of bytes or of nulls: value i is data[offsets[i]:offsets[i + 1]].

    Views are copied once, all others not at all.
    """
    from pyarrow import types

    array = _without_views(array)
    width = np.int32 if types.is_string(array.type) or types.is_binary(array.type) else np.int64
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.zeros(1, width)
    if offset_buffer is not None and offset_buffer.size:
        offsets = np.frombuffer(offset_buffer, width)[array.offset : array.offset + len(array) + 1]
    data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    whole = offsets.astype(np.int64, copy=False)
    return data[whole[0] : whole[-1]], whole - whole[0]


def _without_views(array: Any) -> Any:
    from pyarrow import large_binary, large_string, types

    if types.is_null(array.type) or types.is_string_view(array.type):
        return array.cast(large_string())
    return array.cast(large_binary()) if types.is_binary_view(array.type) else array
