"""One file, split line by line into three: every byte of it goes into exactly one, unchanged and in order.

The lines' decisions come from outside, as those of documents; what is no document is rejected. Lines are never put
together: a block of bytes is cut where lines end in it, and a line that goes on in the next block keeps its decision. So
memory does not depend on how long lines are.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay import _backend
from textassay.errors import InputError

STREAMS = ("kept", "held", "rejected")
KEPT, HELD, REJECTED = range(3)
BLOCK_BYTES = 4 << 20

_LINE_FEED = 10
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Decided(NamedTuple):
    """Documents in order: their lines, counted from 1, where they begin, and the stream that each goes to."""

    lines: NDArray[np.int64]
    byte_offsets: NDArray[np.int64]
    streams: NDArray[np.uint8]


class Shard:
    """A zstd file that is made when the first bytes come, or at the end if `is_wanted`. Its bytes do not depend on the
    number of threads.
    """

    def __init__(self, path: Path, level: int, threads: int, is_wanted: bool) -> None:
        """`threads` compress, of their own; at least one."""
        self.path = path
        self.bytes_compressed = 0
        self._is_wanted = is_wanted
        # Without a thread of its own the encoder cuts the input elsewhere, and the file would be another one.
        self._parameters = zstandard.ZstdCompressionParameters.from_level(
            level, threads=max(1, threads), write_checksum=True, write_content_size=False
        )
        self._file: BinaryIO | None = None

    @property
    def exists(self) -> bool:
        return self._file is not None

    def write(self, pieces: Sequence[memoryview]) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
            compressor = zstandard.ZstdCompressor(compression_params=self._parameters)
            self._frame = compressor.stream_writer(self._file, closefd=False)
        self._frame.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Completes the file, durably."""
        if self._is_wanted and self._file is None:
            self.write([memoryview(b"")])
        if self._file is not None:
            self._frame.close()
            del self._frame  # tens of MB of the encoder's
            self._file.flush()
            os.fsync(self._file.fileno())
            self.bytes_compressed = self._file.tell()
            self._file.close()

    def abandon(self) -> None:
        """Lets go of the file as it is."""
        if self._file is not None:
            self._file.close()


class Split(NamedTuple):
    """Lines and bytes that went to each of STREAMS."""

    lines: NDArray[np.int64]
    bytes: NDArray[np.int64]


def split_file(
    path: bytes,
    decided: Iterator[Decided],
    shards: Sequence[Shard],
    max_window_log: int,
    on_block: Callable[[int, int], None],
) -> Split:
    """Reads the file (zstd, gzip, plain) and writes each line to the shard that `decided` says, others to the last.

    `on_block` is told of every block its bytes and how many documents begin in it. Raises `InputError` where a document is not where `decided` says.
    """
    try:
        decompressor = _backend.get().Decompressor(path, max_window_log=max_window_log)
    except OSError as error:
        raise InputError(f"it cannot be read: {error}") from error
    decisions = _Decisions(decided)
    memory = np.empty(BLOCK_BYTES, np.uint8)
    lines, sizes = np.zeros(3, np.int64), np.zeros(3, np.int64)
    position, open_line = 0, None
    while (size := decompressor.read_into(memory)) > 0:
        block = memory[:size]
        begins = _line_begins(block, is_open=open_line is not None, at_start=position == 0)
        streams = decisions.of_lines(position + begins)
        n_lines = np.bincount(streams, minlength=3)
        lines += n_lines
        if not len(begins) or begins[0] > 0:  # the rest of a line, or a byte order mark
            begins = np.concatenate([[0], begins])
            streams = np.concatenate([[REJECTED if open_line is None else open_line], streams]).astype(np.uint8)
        sizes += _write(block, begins, streams, shards)
        open_line = None if block[-1] == _LINE_FEED else streams[-1]
        position += size
        on_block(size, int(n_lines[KEPT] + n_lines[HELD]))
    decisions.end()
    return Split(lines, sizes)


def _line_begins(block: NDArray[np.uint8], is_open: bool, at_start: bool) -> NDArray[np.int64]:
    """Where lines begin in a block. The line before may still be open; a byte order mark is no part of a line."""
    ends = np.flatnonzero(block == _LINE_FEED) + 1
    begins = ends[:-1] if len(ends) and ends[-1] == len(block) else ends
    if is_open:
        return begins
    mark = len(_BYTE_ORDER_MARK) if at_start and block[:3].tobytes() == _BYTE_ORDER_MARK else 0
    return begins if mark == len(block) else np.concatenate([[mark], begins])


def _write(
    block: NDArray[np.uint8], begins: NDArray[np.int64], streams: NDArray[np.uint8], shards: Sequence[Shard]
) -> NDArray[np.int64]:
    """Hands every stretch of lines of one stream to its shard. Returns the bytes of each."""
    changes = np.concatenate([[0], np.flatnonzero(streams[1:] != streams[:-1]) + 1])
    borders = np.append(begins[changes], len(block))
    whole = memoryview(block)
    pieces: list[list[memoryview]] = [[], [], []]
    for stream, begin, end in zip(streams[changes].tolist(), borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        pieces[stream].append(whole[begin:end])
    for shard, own in zip(shards, pieces, strict=True):
        if own:
            shard.write(own)
    return np.bincount(streams[changes], np.diff(borders), minlength=3).astype(np.int64)


class _Decisions:
    """Decisions on documents, asked for by lines in order."""

    def __init__(self, decided: Iterator[Decided]) -> None:
        self._decided = decided
        self._ahead = Decided(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
        self._line = 1

    def of_lines(self, begins: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Streams of the next lines, which begin there."""
        streams = np.full(len(begins), REJECTED, np.uint8)
        stop = self._line + len(begins)
        while self._fill():
            n = int(np.searchsorted(self._ahead.lines, stop))
            places = self._ahead.lines[:n] - self._line
            if (places < 0).any() or (begins[places] != self._ahead.byte_offsets[:n]).any():
                raise InputError("documents do not begin where they did")
            streams[places] = self._ahead.streams[:n]
            if n < len(self._ahead.lines):
                self._ahead = Decided(*(column[n:] for column in self._ahead))
                break
            self._ahead = Decided(*(column[:0] for column in self._ahead))
        self._line = stop
        return streams

    def end(self) -> None:
        if self._fill():
            raise InputError("there are fewer documents than there were")

    def _fill(self) -> bool:
        while not len(self._ahead.lines):
            following = next(self._decided, None)
            if following is None:
                return False
            self._ahead = following
        return True
