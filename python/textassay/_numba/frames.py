"""Compressed files to uncompressed bytes, as far as they are whole.

zstandard's own readers take a truncated file for a short one, and on an error the blocks before it are lost. So frames
are walked here: a header, then block by block into the decompressor, which has given back everything before it sees a
block that is damaged. (Layout: RFC 8878.)
"""

import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, Self

import zstandard

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC = b"\x1f\x8b"
_SKIPPABLE_TAIL = b"\x2a\x4d\x18"

_UNREAD = re.compile(
    rb"(?P<xz>\xFD7zXZ\0)|(?P<lz4>\x04\"M\x18)|(?P<zip>PK\x03\x04)|(?P<Parquet>PAR1)|(?P<Arrow>ARROW1)|(?P<bzip2>BZh.1AY&SY)",
    re.DOTALL,
)
"""Formats that are not read; as lines they would be millions of malformed records."""

_READ_SIZE = 1 << 18
_INFLATED_SIZE = 1 << 20
"""Of a step: a stranger's gzip member is a thousandth of what comes out of it."""
_GZIP_WINDOW = 31  # a gzip header, and the largest window
_RLE_BLOCK = 1
_HAS_CHECKSUM, _SINGLE_SEGMENT = 4, 32
_DICTIONARY_SIZES = (0, 1, 2, 4)
_CONTENT_SIZES = (0, 2, 4, 8)
_UNKNOWN_SIZE = (1 << 64) - 1
_LARGEST_WINDOW_LOG = 31


class Damage(Exception):
    """The rest of a file cannot be decoded. `offset`: compressed bytes before what is damaged."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Source:
    """Compressed bytes of a path or an open file descriptor, which stays open."""

    def __init__(self, path: bytes | str | int, offset: int = 0) -> None:
        """From `offset` on, other than 0 only in a regular file."""
        self._file = io.FileIO(path, "rb", closefd=not isinstance(path, int))
        status = os.fstat(self._file.fileno())
        is_regular = stat.S_ISREG(status.st_mode)
        self.size = max(0, status.st_size - self._file.tell()) if is_regular else None
        if offset:
            self._file.seek(offset)
        self.offset = offset
        self._ahead = memoryview(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end of the file."""
        while len(self._ahead) < size:
            try:
                more = self._file.read(max(_READ_SIZE, size))
            except OSError as error:
                raise Damage(f"reading failed: {error.strerror}", self.offset) from error
            if not more:
                break
            self._ahead = memoryview(bytes(self._ahead) + more if self._ahead else more)
        return self._ahead[:size].tobytes()

    def take(self, size: int) -> bytes:
        taken = self.peek(size)
        self._ahead = self._ahead[len(taken) :]
        self.offset += len(taken)
        return taken

    def give_back(self, data: bytes) -> None:
        """Bytes that were taken too many."""
        self._ahead = memoryview(data + bytes(self._ahead))
        self.offset -= len(data)

    def take_some(self) -> bytes:
        """What is there, at least a byte; empty at the end of the file."""
        self.peek(1)
        return self.take(len(self._ahead))


class FrameBegin(NamedTuple):
    """Where decoding can begin: a frame or a member does there, or it is plain text. The frames are those before it."""

    compressed: int = 0
    uncompressed: int = 0
    frames: int = 0
    frames_without_checksum: int = 0


START = FrameBegin()


class Decoder:
    """Yields the uncompressed bytes of a source piece by piece; raises `Damage` after the last whole one."""

    def __init__(
        self, source: Source, max_window_log: int, begin: FrameBegin = START, format: str | None = None
    ) -> None:
        """`begin`: where `source` stands in a file of this format; None: at the begin of one that is to be recognised."""
        self.format = format or "plain"
        self._is_known = format is not None
        # Frames and members begun, damaged ones included.
        self.frames, self.frames_without_checksum = begin.frames, begin.frames_without_checksum
        self.last_begin = begin
        self._bytes = begin.uncompressed
        self._source = source
        self._max_window = 1 << max_window_log
        self._max_window_log = max_window_log

    def pieces(self) -> Iterator[bytes]:
        if not self._is_known:
            self.format = self._recognised(self._source)
        decode = {"zstd": self._zstd, "gzip": self._gzip, "plain": self._plain}
        for piece in decode.get(self.format, self._unread)():
            self._bytes += len(piece)
            yield piece

    @staticmethod
    def _recognised(source: Source) -> str:
        magic = source.peek(4)
        if magic == ZSTD_MAGIC or _is_skippable(magic):
            return "zstd"
        if magic[:2] == GZIP_MAGIC:
            return "gzip"
        unread = _UNREAD.match(source.peek(10))
        return unread.lastgroup if unread else "plain"

    def _unread(self) -> NoReturn:
        raise Damage(f"wanted zstd, gzip or plain text, found {self.format}", 0)

    def _note_begin(self) -> None:
        self.last_begin = FrameBegin(self._source.offset, self._bytes, self.frames, self.frames_without_checksum)

    def _plain(self) -> Iterator[bytes]:
        while True:
            self._note_begin()
            if not (piece := self._source.take_some()):
                return
            yield piece

    # --- zstd

    def _zstd(self) -> Iterator[bytes]:
        source = self._source
        decompressor = zstandard.ZstdDecompressor(max_window_size=self._max_window)
        while magic := source.peek(4):
            if magic == ZSTD_MAGIC:
                self._note_begin()
                yield from self._zstd_frame(decompressor.decompressobj())
            elif _is_skippable(magic):
                self._skip_frame()
            else:
                raise Damage(f"wanted the beginning of a zstd frame, found {magic.hex(' ')}", source.offset)

    def _skip_frame(self) -> None:
        begin = self._source.offset
        header = self._source.take(8)
        left = int.from_bytes(header[4:], "little")
        while left and len(header) == 8 and (skipped := self._source.take(min(left, _READ_SIZE))):
            left -= len(skipped)
        if len(header) < 8 or left:
            raise Damage("wanted a whole skippable frame, found the end of the file", begin)

    def _zstd_frame(self, decompressor: "zstandard.ZstdDecompressionObj") -> Iterator[bytes]:
        begin = self._source.offset
        has_checksum, declared = self._feed_header(decompressor, begin)
        found = 0
        is_last = False
        while not is_last:
            begin = self._source.offset
            header = self._source.take(3)
            fields = int.from_bytes(header, "little")
            is_last, kind, size = bool(fields & 1), fields >> 1 & 3, fields >> 3
            # All but the header of a block: one byte, however many a run stands for.
            content = self._source.take(1 if kind == _RLE_BLOCK else size) if len(header) == 3 else b""
            if piece := self._feed(decompressor, header + content, begin, "block"):
                yield piece[: declared - found]
                found += len(piece)
                if found > declared:
                    raise Damage("wanted the content size that the zstd frame declares, found more", begin)
            if len(header) < 3 or len(content) < (1 if kind == _RLE_BLOCK else size):
                raise Damage(f"wanted a zstd block of {size} bytes, found the end of the file", begin)
        if has_checksum:
            begin = self._source.offset
            checksum = self._source.take(4)
            self._feed(decompressor, checksum, begin, "checksum")
            if len(checksum) < 4:
                raise Damage("wanted a zstd checksum, found the end of the file", begin)
        if not decompressor.eof:
            raise Damage("wanted the end of a zstd frame, found that it goes on", begin)
        if found < declared < _UNKNOWN_SIZE:
            raise Damage("wanted the content size that the zstd frame declares, found less", begin)

    def _feed_header(self, decompressor: "zstandard.ZstdDecompressionObj", begin: int) -> tuple[bool, int]:
        """Checks a frame header; returns whether the frame has a checksum, and the size of its content."""
        start = self._source.take(5)
        descriptor = start[4] if len(start) == 5 else 0
        has_checksum, single = bool(descriptor & _HAS_CHECKSUM), bool(descriptor & _SINGLE_SEGMENT)
        self.frames += 1
        self.frames_without_checksum += not has_checksum
        content_size = _CONTENT_SIZES[descriptor >> 6] or int(single)
        dictionary_size = _DICTIONARY_SIZES[descriptor & 3]
        rest = self._source.take((not single) + dictionary_size + content_size)
        if len(start) < 5 or len(rest) < (not single) + dictionary_size + content_size:
            raise Damage("wanted a whole zstd frame header, found the end of the file", begin)
        fields = io.BytesIO(rest)
        window = 0 if single else _window_size(fields.read(1)[0])
        dictionary = int.from_bytes(fields.read(dictionary_size), "little")
        declared = int.from_bytes(fields.read(), "little") + (256 if content_size == 2 else 0)
        window = declared if single else window
        if dictionary:
            raise Damage(f"wanted a zstd frame without a dictionary, found one that needs {dictionary}", begin)
        if window > self._max_window:
            raise Damage(_too_large(window, self._max_window_log), begin)
        self._feed(decompressor, start + rest, begin, "frame header")
        return has_checksum, declared if content_size else _UNKNOWN_SIZE

    def _feed(self, decompressor: "zstandard.ZstdDecompressionObj", data: bytes, begin: int, what: str) -> bytes:
        try:
            return decompressor.decompress(data)
        except zstandard.ZstdError as error:
            raise Damage(f"damaged zstd {what}: {str(error).rpartition(': ')[2]}", begin) from error

    # --- gzip

    def _gzip(self) -> Iterator[bytes]:
        while magic := self._source.peek(2):
            if magic != GZIP_MAGIC:
                raise Damage(f"wanted the beginning of a gzip member, found {magic.hex(' ')}", self._source.offset)
            self._note_begin()
            self.frames += 1
            yield from self._gzip_member()

    def _gzip_member(self) -> Iterator[bytes]:
        source = self._source
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        while not inflater.eof:
            begin = source.offset
            data = source.take_some()
            if not data:
                raise Damage("wanted the rest of a gzip member, found the end of the file", begin)
            yield from _inflate(inflater, data, source.offset - len(data))
        source.give_back(inflater.unused_data)


def _inflate(inflater: "zlib._Decompress", data: bytes, begin: int) -> Iterator[bytes]:
    """All that comes out of `data`, which stand at `begin`, in pieces that fit into memory."""
    end = begin + len(data)
    is_full = True  # then the inflater may hold more, though there is no data left
    while is_full and not inflater.eof:
        before = inflater.copy()
        try:
            piece = inflater.decompress(data, _INFLATED_SIZE)
        except zlib.error:
            yield from _inflate_to_damage(before, data, end - len(data))
            raise AssertionError("zlib found no damage the second time") from None
        if piece:
            yield piece
        is_full = len(piece) == _INFLATED_SIZE
        data = inflater.unconsumed_tail


def _inflate_to_damage(inflater: "zlib._Decompress", data: bytes, begin: int) -> Iterator[bytes]:
    """What stands before the damage: zlib keeps back the output of a call that fails, so one byte in and out a call."""
    output = bytearray()
    for offset in range(len(data)):
        pending = data[offset : offset + 1]
        try:
            while piece := inflater.decompress(pending, 1):
                output += piece
                pending = inflater.unconsumed_tail
        except zlib.error as error:
            yield bytes(output)
            reason = str(error).rpartition(": ")[2]
            raise Damage(f"damaged gzip member: {reason}", begin + offset) from error


def _is_skippable(magic: bytes) -> bool:
    return magic[1:] == _SKIPPABLE_TAIL and magic[0] >> 4 == 5


def _too_large(window: int, max_window_log: int) -> str:
    """The same words as csrc/scan/frames.cpp's. No window is larger than 2^31, whatever is allowed."""
    log = (window - 1).bit_length()
    allowed = f": allowed by --max-window {log}, max_window_log={log}"
    more = allowed if log <= _LARGEST_WINDOW_LOG else ", which nothing allows"
    return f"wanted a zstd window of at most 2^{max_window_log} bytes, found one of {window}{more}"


def _window_size(descriptor: int) -> int:
    base = 1 << 10 + (descriptor >> 3)
    return base + base // 8 * (descriptor & 7)
