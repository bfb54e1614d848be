"""The reader of `.tap` files: a profile or a `ProfileError`, the same on both backends; a profile that is written and read again,
or merged, is the same.
"""

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator
from hashlib import blake2b

import zstandard

from mutation import mutated_bytes, mutated_json
from textassay import Profile, _backend
from textassay.errors import ProfileError

_HEAD, _CHUNK = struct.Struct("<8sII"), struct.Struct("<4sQQQI")
_MOST_RAW = 1 << 20


def seeds() -> Iterator[bytes]:
    texts = [" ".join(f"w{n}" for n in range(k, 3 * k)) + ".\nIt's — one." for k in range(1, 12)]
    for signals in (["n_tokens"], ["n_bytes", "n_tokens", "entropy_bits", "mattr"]):
        for max_types in (16, 1 << 16):
            profile = Profile(signals, max_types=max_types, batch_tokens=50)
            yield profile.serialize()
            profile.update(texts)
            yield profile.serialize()


def check(data: bytes) -> None:
    native, numba = (_outcome(data, backend) for backend in ("native", "numba"))
    assert native == numba, f"native {native[:200]!r}, numba {numba[:200]!r}"


def _outcome(data: bytes, backend: str) -> bytes:
    """What is written of the profile read, or the type of the error."""
    with _backend.using(backend):
        try:
            profile = Profile.deserialize(data)
        except ProfileError:
            return b"refused"
        written = profile.serialize()
        assert written[-16:] == data[-16:], "the digest names another state than was read"
        again = Profile.deserialize(written)
        assert again.serialize() == written
        profile.summary()
        nothing = Profile.deserialize(written)
        try:
            again.merge(nothing)
        except (OverflowError, ValueError):  # the sums are beyond the format
            return written
        return written


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Of a file that can be taken apart: a part changed and all checksums made anew."""
    try:
        header, chunks, footer = _parts_of(data)
    except (ValueError, OverflowError, MemoryError, struct.error, zstandard.ZstdError, RecursionError):
        return mutated_bytes(data, rng)
    kind = rng.randrange(6)
    if kind < 3:
        header = mutated_json(header, rng)
    elif kind < 5 and chunks:
        at = rng.randrange(len(chunks))
        name, n, raw = chunks[at]
        chunks[at] = (name, n + rng.choice((0, 0, 0, 1, -1)), mutated_bytes(raw, rng))
    elif chunks:
        at = rng.randrange(len(chunks))
        if rng.randrange(2):
            chunks.insert(rng.randint(0, len(chunks)), chunks[at])
        else:
            del chunks[at]
        footer = len(chunks)
    return _sealed(header, chunks, footer)


def _parts_of(data: bytes) -> tuple[object, list[tuple[bytes, int, bytes]], int]:
    magic, version, length = _HEAD.unpack_from(data)
    if magic != b"\x89TAP\r\n\x1a\n" or version != 1:
        raise ValueError("no profile")
    offset, chunks = _HEAD.size + length, []
    header = json.loads(data[_HEAD.size : offset])
    while data[offset : offset + 4] != b"END ":
        kind, n, _, stored, _ = _CHUNK.unpack_from(data, offset)
        offset += _CHUNK.size
        chunks.append((kind, n, zstandard.ZstdDecompressor().decompress(data[offset : offset + stored], _MOST_RAW)))
        offset += stored
    return header, chunks, struct.unpack_from("<Q", data, offset + 4)[0]


def _sealed(header: object, chunks: list[tuple[bytes, int, bytes]], footer: int) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    head = _HEAD.pack(b"\x89TAP\r\n\x1a\n", 1, len(text)) + text
    out, digest = io.BytesIO(), blake2b(head, digest_size=16)
    out.write(head)
    for kind, n, raw in chunks:
        stored = zstandard.compress(raw)
        out.write(_CHUNK.pack(kind, max(n, 0), len(raw), len(stored), zlib.crc32(stored)) + stored)
        digest.update(kind + struct.pack("<QQ", max(n, 0), len(raw)) + raw)
    tail = b"END " + struct.pack("<Q", footer & (1 << 64) - 1)
    digest.update(tail)
    return out.getvalue() + tail + digest.digest()
