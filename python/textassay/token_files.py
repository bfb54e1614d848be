"""Files of token ids, mapped into memory: .npy, raw .bin, nanoGPT and llm.c shards, Megatron's .bin with its .idx.

What a file is, its content says: the magic of numpy or of a shard's header; a file with an index beside it is
Megatron's; any other is raw.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError
from textassay.inputs import Input

SUFFIXES = (".npy", ".bin")
"""What is taken from a folder. A file that is named itself may be called anything."""

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")

SHARD_HEADER = 256 * 4
_SHARDS = {20240520: "uint16", 20240801: "uint32"}
"""First of the 256 int32 that begin a shard of llm.c or modded-nanogpt; the third is the number of its tokens."""

_NUMPY = b"\x93NUMPY"
_INDEX = b"MMIDIDX\x00\x00"
_INDEX_HEADER = struct.Struct("<9sQBQQ")  # magic, version, code of the type, sequences, documents and one
_CODES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}
_PIECE = 1 << 20
_LOOKED_AT = 4096


class _Damage(Exception):
    """What is wrong with a file."""


@dataclass(frozen=True)
class TokenFile:
    """Ids of one file in their order, and where its bytes went: `bytes` = header, ids, left over.

    `reason` says what is wrong, and is empty for a file that is whole; ids in front of the damage are there all the
    same. `kind` is "npy", "raw", "shard" or "megatron".
    """

    name: str
    kind: str = "raw"
    dtype: str = ""
    bytes: int = 0
    bytes_header: int = 0
    bytes_ids: int = 0
    ids: NDArray[np.integer[Any]] = field(default_factory=lambda: np.zeros(0, np.uint16))
    documents: "Documents | None" = None
    reason: str = ""

    @property
    def bytes_left_over(self) -> int:
        return self.bytes - self.bytes_header - self.bytes_ids


class Documents:
    """Where the documents of a file end, in tokens."""

    def __init__(self, n_tokens: int, row_length: int = 0) -> None:
        """Rows of one length."""
        self._n_tokens, self._row_length = n_tokens, row_length

    def ends(self) -> Iterator[NDArray[np.int64]]:
        """Rising, the last is the file's last token; in pieces."""
        length = self._row_length
        for begin in range(0, self._n_tokens, length * _PIECE):
            yield np.arange(begin + length, min(begin + length * _PIECE, self._n_tokens) + 1, length)


class IndexedDocuments(Documents):
    """Documents of a Megatron index, of which `n_tokens` tokens are there."""

    def __init__(self, pointers: NDArray[np.int64], documents: NDArray[np.int64], itemsize: int, n_tokens: int) -> None:
        super().__init__(n_tokens)
        self._pointers, self._documents, self._itemsize = pointers, documents, itemsize

    def ends(self) -> Iterator[NDArray[np.int64]]:
        for begin in range(1, len(self._documents), _PIECE):
            sequences = np.asarray(self._documents[begin : begin + _PIECE])
            # Behind the last sequence stands no pointer: the file ends there.
            is_last = sequences == len(self._pointers)
            starts = self._pointers[np.where(is_last, 0, sequences)] // self._itemsize
            yield np.minimum(np.where(is_last, self._n_tokens, starts), self._n_tokens)


def open_token_file(file: Input, dtype: str | None = None) -> TokenFile:
    """Maps a file. `dtype` is that of raw files; without one they are of uint16.

    What is wrong with the file itself is told by `reason`. Raises `UsageError` for a pipe, where `dtype` contradicts
    what the file says of itself, and for a raw file that looks like another dtype where none was given.
    """
    if file.size is None or isinstance(file.source, int):
        raise UsageError(f"{file.name}: wanted a file, which can be mapped; found a pipe")
    path = Path(os.fsdecode(file.source))
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            try:
                return _opened(path, stream, TokenFile(file.name, bytes=size), dtype)
            except _Damage as damage:
                return TokenFile(file.name, bytes=size, reason=str(damage))
    except OSError as error:
        return TokenFile(file.name, bytes=file.size, reason=f"cannot be read: {error.strerror or error}")


def _opened(path: Path, stream: BinaryIO, file: TokenFile, dtype: str | None) -> TokenFile:
    start = stream.read(len(_NUMPY))
    if start == _NUMPY:
        return _open_numpy(path, stream, file, dtype)
    if len(start) >= 4 and int.from_bytes(start[:4], "little") in _SHARDS:
        return _open_shard(path, stream, file, dtype)
    index = path.with_suffix(".idx")
    if index != path and index.exists():
        return _open_megatron(path, index, file, dtype)
    ids = _mapped(path, dtype or "uint16", 0, file.bytes)
    if dtype is None:
        _refuse_wide(file.name, ids)
    return _made(file, "raw", 0, ids, file.bytes // ids.itemsize)


def _open_numpy(path: Path, stream: BinaryIO, file: TokenFile, dtype: str | None) -> TokenFile:
    stream.seek(0)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:  # version 3 is for names of fields: no integers
            raise ValueError(f"version {version} of the format")
        shape, is_fortran, found = readers[version](stream)
    except Exception as error:
        raise _Damage(f"wanted a header of numpy, found a damaged one: {error}") from error
    if found.kind not in "iu":
        raise _Damage(f"wanted an array of integers, found {found}")
    _check_dtype(file.name, dtype, found.name)
    if is_fortran and len(shape) > 1:
        raise _Damage("wanted an array in C order, found one in Fortran order: its rows lie apart")
    n_ids = 1
    for length in shape:
        n_ids *= length
    ids = _mapped(path, found, stream.tell(), file.bytes)
    rows = n_ids // shape[0] if len(shape) > 1 and shape[0] else 0
    return _made(file, "npy", stream.tell(), ids, n_ids, row_length=rows)


def _open_shard(path: Path, stream: BinaryIO, file: TokenFile, dtype: str | None) -> TokenFile:
    stream.seek(0)
    header = np.frombuffer(stream.read(SHARD_HEADER), "<i4")
    if header.nbytes < SHARD_HEADER:
        raise _Damage(f"wanted a header of {SHARD_HEADER} bytes, found {file.bytes}")
    found = _SHARDS[int(header[0])]
    _check_dtype(file.name, dtype, found)
    n_ids = int(header.view("<u4")[2])
    return _made(file, "shard", SHARD_HEADER, _mapped(path, found, SHARD_HEADER, file.bytes), n_ids)


def _open_megatron(path: Path, index: Path, file: TokenFile, dtype: str | None) -> TokenFile:
    found, lengths, pointers, documents = _read_index(index)
    _check_dtype(file.name, dtype, found)
    ids = _mapped(path, found, 0, file.bytes)
    n_ids = _check_index(index, lengths, pointers, documents, ids.itemsize)
    known = IndexedDocuments(pointers, documents, ids.itemsize, min(n_ids, len(ids))) if len(documents) > 1 else None
    return _made(file, "megatron", 0, ids, n_ids, documents=known)


def _read_index(index: Path) -> tuple[str, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    size = index.stat().st_size
    with index.open("rb") as stream:
        start = stream.read(_INDEX_HEADER.size)
    if len(start) < _INDEX_HEADER.size or start[: len(_INDEX)] != _INDEX:
        raise _Damage(f"{index.name}: wanted Megatron's index, found something else")
    _, version, code, n_sequences, n_bounds = _INDEX_HEADER.unpack(start)
    if version != 1:
        raise _Damage(f"{index.name}: wanted version 1, found {version}")
    if code not in _CODES:
        raise _Damage(f"{index.name}: wanted a code of an integer type, found {code}")
    places = list(accumulate((_INDEX_HEADER.size, 4 * n_sequences, 8 * n_sequences, 8 * n_bounds)))
    # Behind them a byte for each sequence may follow, of several modes.
    if size not in (places[3], places[3] + n_sequences):
        raise _Damage(f"{index.name}: wanted {places[3]} bytes, found {size}")
    arrays = [
        np.memmap(index, kind, "r", place, (n,)) if n else np.zeros(0, kind)
        for kind, place, n in zip(("<i4", "<i8", "<i8"), places, (n_sequences, n_sequences, n_bounds), strict=False)
    ]
    return _CODES[code], *arrays


def _check_index(index: Path, lengths: Any, pointers: Any, documents: Any, itemsize: int) -> int:
    """The number of tokens. Sequences lie one behind the other, and so do documents."""
    end = 0
    for begin in range(0, len(lengths), _PIECE):
        sizes = np.asarray(lengths[begin : begin + _PIECE], np.int64) * itemsize
        ends = end + np.cumsum(sizes)
        if sizes.min() < 0 or not np.array_equal(pointers[begin : begin + _PIECE], ends - sizes):
            raise _Damage(f"{index.name}: wanted sequences one behind the other")
        end = int(ends[-1])
    last = -1
    for begin in range(0, len(documents), _PIECE):
        piece = np.asarray(documents[begin : begin + _PIECE])
        if int(piece[0]) < max(last, 0) or np.any(np.diff(piece) < 0) or int(piece[-1]) > len(lengths):
            raise _Damage(f"{index.name}: wanted documents one behind the other")
        last = int(piece[-1])
    if len(documents) and (int(documents[0]) != 0 or last != len(lengths)):
        raise _Damage(f"{index.name}: wanted documents from the first sequence to the last")
    return end // itemsize


def _mapped(path: Path, dtype: Any, header: int, size: int) -> NDArray[Any]:
    """All whole ids behind the header."""
    kind = np.dtype(dtype).newbyteorder("<") if isinstance(dtype, str) else np.dtype(dtype)
    n_ids = max(0, size - header) // kind.itemsize
    return np.memmap(path, kind, "r", header, (n_ids,)) if n_ids else np.zeros(0, kind)


def _made(
    file: TokenFile,
    kind: str,
    header: int,
    ids: NDArray[Any],
    n_wanted: int,
    *,
    row_length: int = 0,
    documents: Documents | None = None,
) -> TokenFile:
    kept = ids[:n_wanted]
    n_bytes = file.bytes - header
    reason = ""
    if len(kept) < n_wanted:
        reason = f"cut off: wanted {n_wanted} ids, found {len(kept)}"
    elif n_bytes != kept.nbytes:
        what = f"whole ids of {ids.itemsize} bytes" if kind == "raw" else f"{kept.nbytes} bytes of ids"
        reason = f"wanted {what}, found {n_bytes} bytes"
    if row_length:
        documents = Documents(len(kept), row_length)
    return TokenFile(file.name, kind, ids.dtype.name, file.bytes, header, kept.nbytes, kept, documents, reason)


def _check_dtype(name: str, wanted: str | None, found: str) -> None:
    if wanted is not None and wanted != found:
        raise UsageError(f"{name}: dtype {wanted} was asked for; the file says that it holds {found}")


def _refuse_wide(name: str, ids: NDArray[Any]) -> None:
    """Ids of 32 bits read as 16: every second one is next to nothing, which no text gives."""
    start = ids[:_LOOKED_AT]
    if len(start) >= 64 and int(start[1::2].max()) < 16 <= int(start[0::2].max()):
        raise UsageError(f"{name}: looks like ids of 32 bits; say which with dtype, as uint32 or uint16")
