"""A sample of a corpus's documents, to show and to learn from: those whose texts have the least hashes.

Which they are follows from the texts alone, not from the order or the cut of the files, and samples of two corpora hold the
same part of what both have. Equal texts count once.
"""

import gzip
import heapq
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os import PathLike
from typing import Any, BinaryIO

import zstandard

from textassay.fields import parse_field
from textassay.inputs import Input, resolve_inputs
from textassay.scanning import MAX_RECORD_BYTES, MAX_WINDOW_LOG

DOCUMENTS = 2000
CHARACTERS = 20_000
"""Of a longer text the beginning is kept."""

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_FED = 1 << 12
"""Bytes that are decompressed at once: a hostile file may make 64 k times as many of them."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextSample:
    """`texts`, by hash; of how many documents, and what could not be read on the way."""

    texts: Sequence[str]
    n_documents: int
    n_malformed: int
    n_damaged: int
    """Files that end in damage; what was whole before it counts."""

    def account(self) -> dict[str, int]:
        numbers = {name: value for name, value in vars(self).items() if name != "texts"}
        return numbers | {"n_sampled": len(self.texts)}


def sample_texts(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    text_fields: Sequence[str] = ("text",),
    n: int = DOCUMENTS,
) -> TextSample:
    """Up to `n` documents of JSONL files, plain, zstd or gzip, named as for `scan`. All are read, `n` are held.

    Raises `InputError` where there is no input, `UsageError` on a field that is none.
    """
    fields = [parse_field(field) for field in text_fields]
    kept: list[tuple[int, str]] = []
    hashes: set[int] = set()
    documents = malformed = damaged = 0
    for given in resolve_inputs(inputs):
        for line in _lines(given):
            if isinstance(line, _Damage):
                damaged += 1
                continue
            if not line.strip(b" \t\r\n"):
                continue
            text = _text(line, fields)
            if text is None:
                malformed += 1
                continue
            documents += 1
            # Negated: the heap's top is the greatest hash of those that are kept.
            entry = -int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big"), text[:CHARACTERS]
            if entry[0] in hashes or len(kept) == n and entry[0] <= kept[0][0]:
                continue
            hashes.add(entry[0])
            heapq.heappush(kept, entry)
            if len(kept) > n:
                hashes.discard(heapq.heappop(kept)[0])
    ordered = [text for _, text in sorted(kept, reverse=True)]
    return TextSample(ordered, documents, malformed, damaged)


class _Damage:
    """A file's last line where it ends in damage."""


def _lines(given: Input) -> Iterator[bytes | _Damage]:
    try:
        raw = os.fdopen(os.dup(given.source), "rb") if isinstance(given.source, int) else open(given.source, "rb")  # noqa: SIM115
        with raw, _decoded(raw) as stream:
            is_first = True
            while line := stream.readline(MAX_RECORD_BYTES + 1):
                yield line.removeprefix(_BOM) if is_first else line
                is_first = False
                while not line.endswith(b"\n") and len(line) > MAX_RECORD_BYTES:
                    line = stream.readline(MAX_RECORD_BYTES + 1)  # the rest of a record that is too long
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        yield _Damage()


def _decoded(raw: BinaryIO) -> BinaryIO:
    start = raw.peek(4)  # type: ignore[attr-defined]
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if start.startswith(_ZSTD):
        return io.BufferedReader(_ZstdFrames(raw))  # type: ignore[return-value]
    return raw


class _ZstdFrames(io.RawIOBase):
    """The content of zstd frames. zstandard's own stream ends without a word where a frame is cut off; this raises EOFError."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            data = self._input or self._stream.read(_FED)
            if not data:
                if self._frame is not None:
                    raise EOFError("wanted the rest of a zstd frame")
                return 0
            if self._frame is None:
                self._frame = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG).decompressobj()
            self._output = memoryview(self._frame.decompress(data))
            self._input = b""
            if self._frame.eof:
                self._input, self._frame = self._frame.unused_data, None
        n = min(len(buffer), len(self._output))
        buffer[:n], self._output = self._output[:n], self._output[n:]
        return n


def _text(line: bytes, fields: Sequence[tuple[str, ...]]) -> str | None:
    """None where the line is no record with a text. Lone surrogates become U+FFFD."""
    if len(line) > MAX_RECORD_BYTES:
        return None
    try:
        record = json.loads(
            line, object_pairs_hook=lambda pairs: dict(reversed(pairs))
        )  # of duplicates the first counts
    except (ValueError, RecursionError):
        return None
    found = [value for value in (_value(record, field) for field in fields) if value is not None]
    if not isinstance(record, dict) or not found or not all(isinstance(value, str) for value in found):
        return None
    return "\n\n".join(found).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _value(record: Any, field: tuple[str, ...]) -> Any:
    for key in field:
        if isinstance(record, dict):
            record = record.get(key)
        elif isinstance(record, list) and key.isdecimal() and int(key) < len(record):
            record = record[int(key)]
        else:
            return None
    return record
