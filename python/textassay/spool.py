"""Rows that arrive for many files at once and are wanted file by file."""

import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

IN_MEMORY = 1 << 24


class Spool:
    """Blocks of bytes in a temporary file, which goes away with the object. What stays in memory is three integers a
    block.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """With a folder the file lies there; without one the first 16 MiB are held in memory."""
        if folder is None:
            self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (lives as long as the spool)
        else:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._index: list[tuple[int, int, int]] = []
        self._end = 0

    def append(self, file: int, block: bytes) -> None:
        self._file.seek(self._end)
        self._file.write(block)
        self._index.append((file, self._end, len(block)))
        self._end += len(block)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """All blocks with their files, by file, those of a file as they came."""
        for file, start, length in sorted(self._index):
            self._file.seek(start)
            yield file, self._file.read(length)

    def first_lines(self, n: int) -> list[bytes]:
        """Up to n lines of text, where blocks are such."""
        lines: list[bytes] = []
        for _, block in self.blocks():
            lines += block.splitlines()[: n - len(lines)]
            if len(lines) == n:
                break
        return lines
