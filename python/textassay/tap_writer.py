"""Writes `.tap` files; `tap_format.py` says what they hold."""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay import tap_format as tap
from textassay.configuration import Configuration, histogram_names
from textassay.errors import UsageError
from textassay.sampled import type_batches
from textassay.tap_format import canonical_json, to_planes

LEVEL = 1  # level 3 makes it 3 % smaller and takes 1.7 times as long


def write_profile(stream: BinaryIO, configuration: Configuration, state: Any) -> str:
    """Writes a backend's ProfileState. Returns the digest at the end of the file, in hex: it names the state."""
    compressor = zstandard.ZstdCompressor(level=LEVEL)

    def put_chunk(kind: bytes, entries: int, raw: bytes) -> None:
        stored = compressor.compress(raw)
        stream.write(tap.CHUNK.pack(kind, entries, len(raw), len(stored), zlib.crc32(stored)))
        stream.write(stored)

    digest = _put_all(configuration, state, stream.write, put_chunk)
    stream.write(digest)
    return digest.hex()


def state_digest(configuration: Configuration, state: Any) -> str:
    """The digest that a file of this state ends with, in hex; nothing is compressed or written."""

    def nothing(*_: Any) -> None: ...

    return _put_all(configuration, state, nothing, nothing).hex()


def _put_all(
    configuration: Configuration,
    state: Any,
    put: Callable[[bytes], Any],
    put_chunk: Callable[[bytes, int, bytes], None],
) -> bytes:
    """Hands over the file in order, up to its digest, which is returned."""
    bounded = state.bounded()
    header = canonical_json(_header_of(configuration, state, bounded))
    if len(header) > tap.HEADER_LIMIT:
        raise UsageError(f"the profile's header takes {len(header)} bytes; the format allows {tap.HEADER_LIMIT}")
    head = tap.MAGIC + struct.pack("<II", tap.VERSION, len(header)) + header
    digest = hashlib.blake2b(head, digest_size=tap.DIGEST_SIZE)
    put(head)
    number = 0
    for kind, entries, raw in _chunks_of(configuration, state, bounded):
        digest.update(kind + struct.pack("<QQ", entries, len(raw)))
        digest.update(raw)
        put_chunk(kind, entries, raw)
        number += 1
    footer = tap.END + struct.pack("<Q", number)
    digest.update(footer)
    put(footer)
    return digest.digest()


def _header_of(configuration: Configuration, state: Any, bounded: Any) -> dict[str, Any]:
    sums = {}
    for name in histogram_names(configuration.signals):
        signal = state.signal(name)
        sums[name] = {
            "bins": len(signal["bins"]),
            "nulls": int(signal["nulls"]),
            "sum": int(signal["sum"]),
            "sum_squares": int(signal["sum_squares"]),
        }
    header = {
        "configuration": _given(configuration),
        "totals": {name: int(value) for name, value in state.totals().items()},
        "signals": sums,
        "n_types": int(state.n_types),
        "bounded": None if bounded is None else _bounded_sizes(bounded),
    }
    if configuration.provenance:
        header["provenance"] = {name: _provenance_sizes(table) for name, table in state.provenance().items()}
    return header


def _given(configuration: Configuration) -> dict[str, Any]:
    """A profile that knows nothing of provenance or of a tokenizer is written as before there were such things."""
    later = ("provenance", "tokenizer")
    return {name: value for name, value in asdict(configuration).items() if name not in later or value}


def _provenance_sizes(table: Any) -> dict[str, Any]:
    sums = {name: table[name].ravel().tolist() for name in ("unnamed", "others")}
    return {"level": int(table["level"]), "n": len(table["name_offsets"]) - 1} | sums


def _bounded_sizes(bounded: Any) -> dict[str, int]:
    sizes = {name: int(bounded[name]) for name in ("level", "floor_level", "width")}
    return sizes | {"n_frequent": len(bounded["frequent"]["token_offsets"]) - 1}


def _chunks_of(configuration: Configuration, state: Any, bounded: Any) -> Iterator[tuple[bytes, int, bytes]]:
    names = histogram_names(configuration.signals)
    bins = np.concatenate([np.asarray(state.signal(name)["bins"], "<u8") for name in names])
    yield tap.BINS, len(bins), to_planes(bins)
    for batch in type_batches(state):
        yield from _type_chunks(tap.TYPES, batch, _exact_columns)
    if bounded is not None:
        yield from _bounded_chunks(bounded)
    if configuration.provenance:
        yield from _provenance_chunks(state.provenance())


def _bounded_chunks(bounded: Any) -> Iterator[tuple[bytes, int, bytes]]:
    for kind, sketch in ((tap.COUNT_ROW, bounded["count_sketch"]), (tap.DOCUMENT_ROW, bounded["document_sketch"])):
        for row in sketch:
            yield kind, len(row), to_planes(row)
    yield from _type_chunks(tap.FREQUENT, bounded["frequent"], lambda types, part: [types["peaks"][part]])


def _provenance_chunks(tables: Any) -> Iterator[tuple[bytes, int, bytes]]:
    for name, table in tables.items():
        names = {"token_bytes": table["name_bytes"], "token_offsets": table["name_offsets"]}
        columns = table["counts"].reshape(-1, tap.PROVENANCE_COLUMNS).T
        yield from _type_chunks(tap.PROVENANCE[name], names, lambda _, part, columns=columns: list(columns[:, part]))


def _exact_columns(types: Any, part: slice) -> list[NDArray[np.uint64]]:
    counts = types["counts"][part]
    return [counts, counts - types["document_frequencies"][part], counts - types["peaks"][part]]


def _type_chunks(
    kind: bytes, types: Any, columns: Callable[[Any, slice], list[NDArray[np.uint64]]]
) -> Iterator[tuple[bytes, int, bytes]]:
    offsets = types["token_offsets"]
    n, start = len(offsets) - 1, 0
    while start < n:
        fitting = int(np.searchsorted(offsets, offsets[start] + tap.CHUNK_BYTES, side="right")) - 1
        stop = max(start + 1, min(start + tap.CHUNK_TYPES, fitting))
        part = slice(start, stop)
        lengths = np.diff(offsets[start : stop + 1])
        tokens = types["token_bytes"][offsets[start] : offsets[stop]].tobytes()
        yield kind, stop - start, to_planes(lengths, "<u4") + b"".join(map(to_planes, columns(types, part))) + tokens
        start = stop
