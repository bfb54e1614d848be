"""Rows that arrive for many files at once and are wanted file by file."""

import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

IN_MEMORY = 1 << 24
_HEADER = struct.Struct("<QQ")
"""Before each block: its file, its length."""


def close_quietly(file: IO[bytes]) -> None:
    """Of a file that is not wanted any more: nothing is lost where the disk is full."""
    with suppress(OSError):
        file.close()


class Spool:
    """Blocks of bytes in a file to which they are appended. What stays in memory is 24 bytes a block."""

    def __init__(self, path: Path | None = None, length: int = 0) -> None:
        """The file is `path`, or without one a temporary one, of which the first 16 MiB are held in memory. Its first `length`
        bytes are blocks of an earlier spool; what lies behind them is cut off. Raises `ValueError` where they are not.
        """
        self._index = array("Q")
        self._end = 0
        if path is None:
            self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (lives as long as the spool)
        else:
            self._file = path.open("r+b" if length else "w+b")
        weakref.finalize(self, close_quietly, self._file)
        if length:
            self._read_index(length)
            self._file.truncate(length)

    def append(self, file: int, block: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(_HEADER.pack(file, len(block)) + block)
        self._note(file, len(block))

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """All blocks with their files, by file, those of a file as they came."""
        index = np.array(self._index, np.uint64).reshape(-1, 3)
        for place in np.argsort(index[:, 0], kind="stable"):
            file, start, length = index[place].tolist()
            self._file.seek(start)
            yield file, self._file.read(length)

    def sync(self) -> int:
        """Makes all blocks durable; returns the `length` that they come to."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._end

    def close(self) -> None:
        """Nothing is written any more, not even later by whoever collects garbage."""
        close_quietly(self._file)

    def _read_index(self, length: int) -> None:
        size = self._file.seek(0, os.SEEK_END)
        while self._end < length:
            self._file.seek(self._end)
            header = self._file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                raise ValueError(f"wanted {length} bytes of blocks, found {size}")
            self._note(*_HEADER.unpack(header))
        if self._end != length or size < length:
            raise ValueError(f"wanted blocks that end at byte {length}, found other ones")

    def _note(self, file: int, size: int) -> None:
        self._index.extend((file, self._end + _HEADER.size, size))
        self._end += _HEADER.size + size

    def first_lines(self, n: int) -> list[bytes]:
        """Up to n lines of text, where blocks are such."""
        lines: list[bytes] = []
        for _, block in self.blocks():
            lines += block.splitlines()[: n - len(lines)]
            if len(lines) == n:
                break
        return lines
