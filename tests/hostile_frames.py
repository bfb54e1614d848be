"""zstd frames by hand (RFC 8878), of raw and run-length blocks: they say whatever a test wants them to, and a run of 128 KiB takes
four bytes."""

import gzip
import struct

import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
MOST_IN_A_BLOCK = 128 << 10
RAW, RUN, COMPRESSED, RESERVED = range(4)


def block(kind: int, content: bytes, size: int | None = None, last: bool = False) -> bytes:
    """`size` is what the header says, where that is not the content's."""
    return struct.pack("<I", (len(content) if size is None else size) << 3 | kind << 1 | last)[:3] + content


def raw(content: bytes, last: bool = False) -> bytes:
    return block(RAW, content, last=last)


def run(byte: bytes, size: int, last: bool = False) -> bytes:
    return block(RUN, byte, size, last)


END = raw(b"", last=True)


def frame(
    *blocks: bytes, content_size: int | None = None, window: int = 0x58, checksum: bytes = b"", dictionary: int = 0
) -> bytes:
    """The last block has to say so itself. `window`: the descriptor's byte, 0x58 stands for 2 MiB. A content size takes
    eight bytes, a dictionary four."""
    descriptor = (content_size is not None) << 7 | (content_size is not None) << 6 | bool(checksum) << 2
    header = bytes([descriptor | (3 if dictionary else 0), window])
    header += struct.pack("<I", dictionary) if dictionary else b""
    header += struct.pack("<Q", content_size) if content_size is not None else b""
    return MAGIC + header + b"".join(blocks) + checksum


def frame_of(*pieces: bytes, **options) -> bytes:
    """A raw block for each piece, and an empty one at the end."""
    return frame(*map(raw, pieces), END, **options)


def checksum_of(content: bytes) -> bytes:
    """The last four bytes of a frame with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)[-4:]


def window_descriptor(log: int, eighths: int = 0) -> int:
    """2^log bytes, and that many eighths of it more."""
    return (log - 10) << 3 | eighths


def long_line(size: int) -> bytes:
    """A frame of one line of `size` bytes, a multiple of 128 KiB: 131 kB for 4 GiB."""
    assert size % MOST_IN_A_BLOCK == 0
    return frame(run(b"x", MOST_IN_A_BLOCK) * (size // MOST_IN_A_BLOCK), END)


def gzip_bomb(members: int, size: int = 64 << 20) -> bytes:
    """Members of `size` zeros each, a thousandth of that in the file."""
    return gzip.compress(bytes(size), 9) * members
