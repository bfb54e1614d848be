"""What speaks for a suspicion: the text itself, read again where the scan found it, and what the detector weighs in it."""

import gzip
import io
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

from textassay.detector import Detector
from textassay.formatting import clean

EXPLAINED = 3
PIECES = 8
EXCERPT = 420
RECORD_LIMIT = 1 << 18
"""Bytes of a record that is read again."""

SKIP_LIMIT = 1 << 28
"""Bytes of a compressed file that are decompressed to get to a record: less than a second."""

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_CHUNK = 1 << 20
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Evidence:
    """The first characters of a document, and its words and pairs that weigh most: text, occurrences, logits."""

    excerpt: str
    synthetic: Sequence[Mapping[str, Any]]
    human: Sequence[Mapping[str, Any]]


def evidence_of(suspect: Mapping[str, Any], manifest: Mapping[str, Any], detector: Detector | None) -> Evidence | None:
    """Of a row of a summary's `suspects`. None where the text cannot be had again: a pipe, a file that is gone or has
    changed, a place too far into a compressed file; and where the detector finds another score than the scan did.
    """
    if detector is None:
        return None
    text = _text(suspect, manifest)
    if text is None:
        return None
    found = detector.explain(text, PIECES)
    same = found["n_tokens"] == suspect["n_tokens"] and abs(found["logit"] - suspect["synthetic_logit"]) < _TOLERANCE
    features = found["features"]
    return (
        Evidence(clean(" ".join(text[: 2 * EXCERPT].split()), EXCERPT), features["synthetic"], features["human"])
        if same
        else None
    )


def _text(suspect: Mapping[str, Any], manifest: Mapping[str, Any]) -> str | None:
    given = next((one for one in manifest["inputs"] if one["path"] == suspect["file"]), None)
    if given is None or given["size"] is None:
        return None
    with suppress(OSError, EOFError, zlib.error, zstandard.ZstdError, ValueError, RecursionError):
        status = os.stat(given["path"])
        if stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (given["size"], given["mtime_ns"]):
            with open(given["path"], "rb") as raw, _decoded(raw) as stream:
                if _skip(stream, suspect["byte_offset"], stream is raw):
                    return _joined(json.loads(stream.readline(RECORD_LIMIT)), manifest["settings"]["text_fields"])
    return None


@contextmanager
def _decoded(raw: BinaryIO) -> Iterator[Any]:
    start = raw.read(4)
    raw.seek(0)
    if start.startswith(_GZIP):
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream
    elif start.startswith(_ZSTD) or start[1:] == b"\x2a\x4d\x18":
        with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False) as frames:
            yield io.BufferedReader(frames, _CHUNK)
    else:
        yield raw


def _skip(stream: Any, offset: int, can_seek: bool) -> bool:
    """Whether the place could be reached."""
    if can_seek:
        stream.seek(offset)
        return True
    if offset > SKIP_LIMIT:
        return False
    while offset > 0:
        data = stream.read(min(offset, _CHUNK))
        if not data:
            return False
        offset -= len(data)
    return True


def _joined(record: Any, fields: Sequence[Sequence[str]]) -> str | None:
    texts = [text for path in fields if (text := _at(record, path)) is not None]
    return "\n\n".join(texts) if texts else None


def _at(value: Any, path: Sequence[str]) -> str | None:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value if isinstance(value, str) else None
