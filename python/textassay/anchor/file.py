"""The anchor file: named arrays, mapped into memory, and a header that says what they are.

    preamble  64 bytes   magic 89 54 41 41 0D 0A 1A 0A, version u32, header length u32, header offset u64, CRC-32 of the
                         header u32, zeros
    arrays               each at a multiple of 64 bytes
    header    JSON       canonical; of each array its type, length, offset and BLAKE2b-128, and what the anchor is

All numbers are little-endian. The digest of the header names the anchor. Opening a file checks the header and that the
arrays lie within the file; `verify` reads and checks them.
"""

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textassay.errors import AnchorError, reason_of
from textassay.untrusted import parse_json
from textassay.versions import newer

MAGIC = b"\x89TAA\r\n\x1a\n"
VERSION = 1
_PREAMBLE = struct.Struct("<8sIIQI")
PREAMBLE_SIZE = ALIGNMENT = 64
_HEADER_LIMIT = 64 << 20
_DIGEST_SIZE = 16
_PIECE = 1 << 22
_ROWS = 1 << 18

TYPES = {"u1": np.uint8, "u4": np.uint32, "u8": np.uint64, "f4": np.float32}


class AnchorWriter:
    """Writes arrays one after the other, each in pieces, then the header."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._arrays: dict[str, dict[str, Any]] = {}
        stream.write(bytes(PREAMBLE_SIZE))

    def begin(self, name: str, kind: str) -> None:
        """The pieces that follow are of this array."""
        self._end()
        self._align()
        self._name, self._kind, self._offset = name, kind, self._stream.tell()
        self._hash = hashlib.blake2b(digest_size=_DIGEST_SIZE)

    def add(self, piece: NDArray[Any]) -> None:
        data = np.ascontiguousarray(piece, np.dtype(TYPES[self._kind]).newbyteorder("<")).tobytes()
        self._hash.update(data)
        self._stream.write(data)

    def array(self, name: str, kind: str, values: NDArray[Any]) -> None:
        """A whole array; of rows, one after the other."""
        self.begin(name, kind)
        for begin in range(0, len(values), _ROWS):
            self.add(values[begin : begin + _ROWS])

    def finish(self, header: dict[str, Any]) -> None:
        self._end()
        text = json.dumps(header | {"arrays": self._arrays}, sort_keys=True, separators=(",", ":")).encode()
        if len(text) > _HEADER_LIMIT:
            raise ValueError(f"an anchor's header takes {len(text)} bytes; the format allows {_HEADER_LIMIT}")
        offset = self._stream.tell()
        self._stream.write(text)
        self._stream.seek(0)
        self._stream.write(_PREAMBLE.pack(MAGIC, VERSION, len(text), offset, zlib.crc32(text)))

    _name = ""

    def _end(self) -> None:
        if self._name:
            n = (self._stream.tell() - self._offset) // np.dtype(TYPES[self._kind]).itemsize
            entry = {"type": self._kind, "offset": self._offset, "n": n, "blake2b": self._hash.hexdigest()}
            self._arrays[self._name] = entry
        self._name = ""

    def _align(self) -> None:
        self._stream.write(bytes(-self._stream.tell() % ALIGNMENT))


class AnchorFile:
    """An anchor file, mapped. `arrays` are views that cannot be written to."""

    def __init__(self, path: Path) -> None:
        """Raises `AnchorError` on anything but a whole anchor file of this version."""
        self.path = path
        try:
            self._data = np.memmap(path, np.uint8, "r")
        except FileNotFoundError as error:
            raise AnchorError(path, "no such anchor; textassay anchor build makes one") from error
        except (OSError, ValueError) as error:
            raise AnchorError(path, f"cannot be mapped: {reason_of(error)}") from error
        text = self._header_text()
        self.digest = hashlib.blake2b(text, digest_size=_DIGEST_SIZE).hexdigest()
        try:
            self.header: dict[str, Any] = parse_json(text)
            self._entries = self.header["arrays"]
            self.arrays = {name: self._array(name, **entry) for name, entry in self._entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnchorError(path, f"wanted a header of an anchor, found a damaged one: {error!r}") from error

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._data)

    def verify(self) -> None:
        """Raises `AnchorError` where an array is not what was written."""
        for name, entry in self._entries.items():
            found = hashlib.blake2b(digest_size=_DIGEST_SIZE)
            data = self.arrays[name].view(np.uint8)
            for begin in range(0, len(data), _PIECE):
                found.update(data[begin : begin + _PIECE])
            if found.hexdigest() != entry["blake2b"]:
                raise AnchorError(self.path, f"array {name}: its checksum is not the header's")

    def _header_text(self) -> bytes:
        size = len(self._data)
        if size < PREAMBLE_SIZE or self._data[:8].tobytes() != MAGIC:
            raise AnchorError(self.path, "wanted an anchor file, found something else")
        _, version, length, offset, checksum = _PREAMBLE.unpack(self._data[: _PREAMBLE.size].tobytes())
        if version > VERSION:
            raise AnchorError(self.path, newer("format", version, VERSION))
        if version != VERSION:
            raise AnchorError(self.path, f"wanted version {VERSION} of the format, found {version}")
        if length > _HEADER_LIMIT or offset + length != size:
            raise AnchorError(self.path, f"wanted {offset + length} bytes, found {size}: the file is not whole")
        text = self._data[offset:].tobytes()
        if zlib.crc32(text) != checksum:
            raise AnchorError(self.path, "the header's checksum is wrong")
        return text

    def _array(self, name: str, type: str, offset: int, n: int, blake2b: str) -> NDArray[Any]:
        dtype = np.dtype(TYPES[type]).newbyteorder("<")
        end = offset + n * dtype.itemsize
        if not PREAMBLE_SIZE <= offset <= end <= len(self._data) or offset % ALIGNMENT or not isinstance(blake2b, str):
            raise ValueError(f"array {name} does not lie within the file")
        values: NDArray[Any] = np.asarray(self._data[offset:end]).view(dtype)
        return values
