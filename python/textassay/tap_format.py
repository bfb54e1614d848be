"""The `.tap` file: a profile on disk, written and read chunk by chunk. Integers only; the same state gives the same
bytes.

    magic     8 bytes   89 54 41 50 0D 0A 1A 0A  (a text transfer or a cut high bit shows at once, as in PNG)
    version   u32       1
    length    u32       of the header
    header    JSON      configuration, totals, sums of the signals, numbers of types; canonical (sorted keys, no blanks)
    chunk...            kind (4 bytes), entries, raw length, stored length (u64 each), CRC-32 of what follows, a zstd frame
    footer              kind "END ", number of chunks (u64), BLAKE2b-128 of all above with the chunks uncompressed

All numbers are little-endian. Chunks come in this order: "BINS" (all histograms, one after the other), "TYPE"
(exact types, in token order), and past the type limit "CNTS" and "DOCS" (a sketch row each) and "FREQ" (frequent
types, in token order); with rules of provenance, whose digest is in the configuration then, "SRCS", "MNTH" and "RSNS"
(sources, months and reasons, in order of their names; of each label documents, tokens and bytes: 12 numbers). A chunk of types holds columns: token lengths (u32), then, for TYPE, count, count - document
frequency, count - peak, for FREQ the peak (u64), then the tokens' bytes. A column is stored by significance of its
bytes, all lowest bytes first: the upper planes are mostly zero.

The digest is over uncompressed chunks, so it names the state whatever version of zstd wrote the file.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"\x89TAP\r\n\x1a\n"
VERSION = 1
DIGEST_SIZE = 16
HEADER_LIMIT = 1 << 20

CHUNK = struct.Struct("<4sQQQI")
CHUNK_TYPES = 1 << 16
CHUNK_BYTES = 1 << 24
"""Token bytes in a chunk of more than one type."""

BINS, TYPES, COUNT_ROW, DOCUMENT_ROW, FREQUENT, END = b"BINS", b"TYPE", b"CNTS", b"DOCS", b"FREQ", b"END "
PROVENANCE = {"sources": b"SRCS", "months": b"MNTH", "reasons": b"RSNS"}
PROVENANCE_NAMES = 1 << 16
PROVENANCE_NAME_BYTES = 256
PROVENANCE_COLUMNS = 12
SKETCH_ROWS = 4
TOTALS = ("n_documents", "n_tokens", "n_bytes", "n_chars", "n_sentences", "n_replaced", "n_batches")

COUNT_LIMIT = 1 << 63


def sum_beyond_limit(totals: Mapping[str, int], more: Mapping[str, int]) -> str:
    """What two profiles have more of than one can hold, in words; empty where it can. No other count is larger than these."""
    sums = {name: totals[name] + more[name] for name in TOTALS}
    return next((f"{value} {name}" for name, value in sums.items() if value >= COUNT_LIMIT), "")


def canonical_json(value: Any) -> bytes:
    """Of equal values the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def sketch_width(max_types: int) -> int:
    """Cells in a row of a bounded profile's sketches (docs/semantics.md)."""
    return min(max(1 << (-(-max_types // 16) - 1).bit_length(), 1 << 10), 1 << 20)


def most_frequent(max_types: int) -> int:
    """Frequent types that a bounded profile keeps by name, at most."""
    return max(1024, max_types // 16)


def to_planes(column: NDArray[Any], dtype: str = "<u8") -> bytes:
    """The bytes of a column, all lowest ones first."""
    plain = np.ascontiguousarray(column, dtype)
    return plain.view(np.uint8).reshape(-1, plain.itemsize).T.tobytes()


def from_planes(data: bytes, start: int, n: int, dtype: str = "<u8") -> NDArray[Any]:
    """The column of `n` numbers whose planes begin at byte `start`."""
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(data, np.uint8, n * size, start).reshape(size, n)
    return planes.T.copy().view(dtype).reshape(n)  # always a copy: of one number the planes may lie anywhere
