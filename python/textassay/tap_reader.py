"""Reads `.tap` files, also hostile ones: checks first, allocates second. `tap_format.py` says what they hold."""

import hashlib
import struct
import zlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay import _backend
from textassay import tap_format as tap
from textassay.configuration import Configuration, check_limits, histogram_names
from textassay.errors import ProfileError
from textassay.sampled import sketched_of
from textassay.tap_format import canonical_json, from_planes
from textassay.untrusted import parse_json
from textassay.versions import newer

TOKEN_LIMIT = 1 << 31
EXPANSION_LIMIT = 1 << 16
"""No zstd frame expands further: a block of 128 KiB takes 4 bytes at least."""


def read_profile(
    stream: BinaryIO, path: str, into: tuple[Configuration, Any] | None = None, has_open_batches: bool = False
) -> tuple[Configuration, Any]:
    """Reads a profile into a new ProfileState of the backend, or adds it to `into`, chunk by chunk.

    `has_open_batches`: that of a scan which has not ended, where types of the batches that are open are not counted yet.

    `stream` must be seekable. Raises `ProfileError` on anything that `write_profile` would not have written,
    `UsageError` where the configuration differs from that of `into`, whose state is then unchanged; after a
    `ProfileError` it is not to be used any more.
    """
    return _Reader(stream, path, has_open_batches).read(into)


class _Reader:
    """Checks first, allocates second. `offset` is where the thing being read begins."""

    def __init__(self, stream: BinaryIO, path: str, has_open_batches: bool = False) -> None:
        self.has_open_batches = has_open_batches
        self.stream = stream
        self.path = path
        self.offset = stream.tell()
        self.size = stream.seek(0, 2)
        stream.seek(self.offset)
        self.digest = hashlib.blake2b(digest_size=tap.DIGEST_SIZE)
        self.chunks = 0

    def read(self, into: tuple[Configuration, Any] | None) -> tuple[Configuration, Any]:
        header = self._header()
        configuration = self._configuration(header)
        if into is None:
            state = self._guarded(_backend.get().ProfileState, list(configuration.signals), configuration.max_types)
        else:
            into[0].check_same(configuration)
            state = into[1]
            if beyond := tap.sum_beyond_limit(state.totals(), header["totals"]):
                raise self._fail(f"wanted counts that add up to less than 2^63, found {beyond}")
        self._signals(header, configuration, state)
        self._guarded(state.add_totals, header["totals"])
        exact = self._types(header, state)
        self._bounded(header, state, exact, configuration.max_types)
        self._provenance(header, state)
        self._footer()
        return configuration, state

    def _fail(self, reason: str) -> ProfileError:
        return ProfileError(self.path, self.offset, reason)

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The backend refuses what does not fit its integers or tables; that is the file's fault."""
        try:
            return call(*arguments)
        except (ValueError, OverflowError, TypeError) as error:
            raise self._fail(f"wanted the state of a profile: {error}") from error

    def _take(self, length: int, what: str) -> bytes:
        left = self.size - self.stream.tell()
        if length > left:
            raise self._fail(f"wanted {length} bytes of {what}; the file holds {left} more")
        data = self.stream.read(length)
        if len(data) != length:
            raise self._fail(f"wanted {length} bytes of {what}; the file holds {len(data)} more")
        return data

    def _header(self) -> dict[str, Any]:
        start = self.stream.read(len(tap.MAGIC))
        if start != tap.MAGIC:
            raise self._fail(f"not a profile: wanted {tap.MAGIC!r} at its start, found {start!r}")
        lengths = self._take(8, "version and header length")
        version, length = struct.unpack("<II", lengths)
        if version > tap.VERSION:
            raise self._fail(newer("format", version, tap.VERSION))
        if version != tap.VERSION:
            raise self._fail(f"wanted version {tap.VERSION} of the format, found {version}")
        if length > tap.HEADER_LIMIT:
            raise self._fail(f"wanted a header of at most {tap.HEADER_LIMIT} bytes, found {length}")
        raw = self._take(length, "header")
        self.digest.update(start + lengths + raw)
        try:
            header = parse_json(raw)
        except ValueError as error:
            raise self._fail(f"wanted a JSON header: {error}") from error
        if canonical_json(header) != raw:
            raise self._fail("wanted a header in canonical form: sorted keys, no blanks")
        is_labelled = isinstance(header, dict) and "provenance" in header
        _check(header, _HEADER | ({"provenance": "an object"} if is_labelled else {}), "header", self._fail)
        _check(header["totals"], _TOTALS, "totals", self._fail)
        if header["bounded"] is not None:
            _check(header["bounded"], _BOUNDED, "bounded", self._fail)
        return header

    def _configuration(self, header: dict[str, Any]) -> Configuration:
        given = header["configuration"]
        is_labelled = "provenance" in header
        later = {"provenance": is_labelled, "tokenizer": isinstance(given, dict) and given.get("tokens") == "bpe"}
        wanted = _CONFIGURATION | {name: "a string" for name, is_there in later.items() if is_there}
        _check(given, wanted, "configuration", self._fail)
        if later["tokenizer"] and not given["tokenizer"]:
            raise self._fail("wanted the digest of the tokenizer whose ids were counted, found none")
        if is_labelled and not given["provenance"]:
            raise self._fail("wanted the digest of the rules beside what was labelled by them, found none")
        signals = given["signals"]
        known = _backend.get().SIGNALS
        if signals != [name for name in known if name in signals]:
            raise self._fail(f"wanted known signals in their order, found {str(signals)[:200]}")
        limited = {name: given[name] for name in ("tokens", "batch_tokens", "max_types")}
        self._guarded(lambda: check_limits(**limited))
        if header["n_types"] > given["max_types"]:
            raise self._fail(f"wanted at most {given['max_types']} types, found {header['n_types']}")
        return Configuration(**given | {"signals": tuple(signals)})

    def _chunk(self, kind: bytes, entries: int | None, fixed: int, limit: int) -> tuple[int, bytes]:
        """The next chunk: its number of entries and raw bytes, `fixed` an entry and up to `limit` more."""
        self.offset = self.stream.tell()
        found, n, length, stored, crc = tap.CHUNK.unpack(self._take(tap.CHUNK.size, "chunk header"))
        if found != kind:
            raise self._fail(f"wanted a chunk {kind!r}, found {found!r}")
        if entries is not None and n != entries or n == 0:
            raise self._fail(f"wanted {entries or 'some'} entries in a chunk {kind!r}, found {n}")
        extra = length - n * fixed
        if not 0 <= extra <= limit or length > (stored + 1) * EXPANSION_LIMIT:
            raise self._fail(
                f"{length} bytes cannot be the size of a chunk {kind!r} of {n} entries, {stored} bytes stored"
            )
        packed = self._take(stored, f"chunk {kind!r}")
        if zlib.crc32(packed) != crc:
            raise self._fail(f"checksum of chunk {kind!r}: wanted {crc:08x}, found {zlib.crc32(packed):08x}")
        raw = self._unpacked(packed, length)
        self.digest.update(kind + struct.pack("<QQ", n, length))
        self.digest.update(raw)
        self.chunks += 1
        return n, raw

    def _unpacked(self, stored: bytes, length: int) -> bytes:
        try:
            size = zstandard.frame_content_size(stored)
            if size != length:
                raise self._fail(f"wanted a zstd frame of {length} bytes, found one of {size}")
            return zstandard.ZstdDecompressor().decompress(stored, length, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise self._fail(f"wanted a whole zstd frame: {error}") from error

    def _signals(self, header: dict[str, Any], configuration: Configuration, state: Any) -> None:
        names = histogram_names(configuration.signals)
        sums = header["signals"]
        if set(sums) != set(names):
            raise self._fail(f"wanted sums of {', '.join(names)}; found {', '.join(sums)}")
        for name in names:
            _check(sums[name], _SUMS, name, self._fail)
            wanted = len(state.signal(name)["bins"])
            if sums[name]["bins"] != wanted:
                raise self._fail(f"wanted {wanted} bins of {name}, found {sums[name]['bins']}")
        n, raw = self._chunk(tap.BINS, sum(sums[name]["bins"] for name in names), 8, 0)
        bins, start = from_planes(raw, 0, n), 0
        for name in names:
            part = bins[start : start + sums[name]["bins"]]
            start += len(part)
            self._check_sums(header["totals"], name, int(part.sum()), sums[name])
            self._guarded(state.add_signal, name, sums[name] | {"bins": part})

    def _check_sums(self, totals: Mapping[str, int], signal: str, n: int, sums: Mapping[str, int]) -> None:
        total = "n_batches" if signal in _backend.get().BATCH_SIGNALS else "n_documents"
        if n + sums["nulls"] != totals[total]:
            found = f"{n} values and {sums['nulls']} nulls"
            raise self._fail(f"wanted values and nulls of {signal} as many as {total}, {totals[total]}, found {found}")
        if n * sums["sum_squares"] < sums["sum"] ** 2 or (n == 0 and sums["sum_squares"]):
            raise self._fail(f"wanted a sum of squares that {n} values of {signal} with this sum can have")

    def _types(self, header: dict[str, Any], state: Any) -> int:
        """Adds the exact types. Returns the sum of their counts."""
        left, total = header["n_types"], 0
        level = 0 if header["bounded"] is None else header["bounded"]["level"]
        if not 0 <= level <= 63:
            raise self._fail(f"wanted a level from 1 to 63, found {level}")
        last: bytes | None = None
        while left:
            types, columns = self._type_columns(tap.TYPES, left, last, 3)
            if level and not _in_sample(_hashes(types), level).all():
                raise self._fail("wanted types of the sample that the level leaves")
            counts, without, below = columns
            if not (np.all(counts > without) and np.all(counts > below)):
                raise self._fail("wanted document frequencies and peaks between 1 and the count")
            if counts.max() > header["totals"]["n_tokens"]:
                raise self._fail(
                    f"wanted counts of at most {header['totals']['n_tokens']} tokens, found {counts.max()}"
                )
            whole = {"counts": counts, "document_frequencies": counts - without, "peaks": counts - below}
            self._guarded(state.add_types, types | whole)
            total += int(counts.sum(dtype=np.uint64))
            left -= len(counts)
            last = _last_token(types)
        if header["bounded"] is None and not self._may_be_all(total, header["totals"]["n_tokens"]):
            raise self._fail(f"wanted counts that add up to {header['totals']['n_tokens']} tokens, found {total}")
        return total

    def _may_be_all(self, total: int, n_tokens: int) -> bool:
        return total <= n_tokens if self.has_open_batches else total == n_tokens

    def _type_columns(
        self, kind: bytes, left: int, last: bytes | None, n_columns: int
    ) -> tuple[dict[str, Any], list[Any]]:
        fixed = 4 + 8 * n_columns
        n, raw = self._chunk(kind, None, fixed, TOKEN_LIMIT)
        if n > min(left, tap.CHUNK_TYPES):
            raise self._fail(f"wanted at most {min(left, tap.CHUNK_TYPES)} types in a chunk, found {n}")
        lengths = from_planes(raw, 0, n, "<u4")
        columns = [from_planes(raw, n * (4 + 8 * i), n) for i in range(n_columns)]
        offsets = np.zeros(n + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        data = np.frombuffer(raw, np.uint8, -1, n * fixed)
        if offsets[-1] != len(data) or not np.all(lengths):
            raise self._fail(f"wanted tokens of {offsets[-1]} bytes, none empty, found {len(data)} bytes")
        if n > 1 and len(data) > tap.CHUNK_BYTES:
            raise self._fail(f"wanted at most {tap.CHUNK_BYTES} bytes of tokens in a chunk, found {len(data)}")
        types = {"token_bytes": data, "token_offsets": offsets}
        first = data[: offsets[1]].tobytes()
        if last is not None and first <= last or first_unsorted(data, offsets) is not None:
            raise self._fail("wanted tokens in ascending order, none twice")
        return types, columns

    def _bounded(self, header: dict[str, Any], state: Any, exact: int, max_types: int) -> None:
        sizes = header["bounded"]
        if sizes is None:
            return
        n_tokens, width = header["totals"]["n_tokens"], tap.sketch_width(max_types)
        if sizes["width"] != width or sizes["level"] == 0 or sizes["floor_level"] > 31:
            raise self._fail(
                f"wanted a level from 1 on, a floor of at most 31 and sketches of {width} cells a row, found {sizes}"
            )
        if sizes["n_frequent"] > tap.most_frequent(max_types):
            raise self._fail(f"wanted {tap.most_frequent(max_types)} frequent types, found {sizes['n_frequent']}")
        sketches = []
        for kind in (tap.COUNT_ROW, tap.DOCUMENT_ROW):
            rows = [from_planes(self._chunk(kind, width, 8, 0)[1], 0, width) for _ in range(tap.SKETCH_ROWS)]
            sketches.append(np.stack(rows))
        sums = {_sum(row) + exact for row in sketches[0]}
        if len(sums) > 1 or not self._may_be_all(sums.pop(), n_tokens):
            raise self._fail(f"wanted counts and sketch rows that add up to {n_tokens} tokens")
        frequent = self._frequent(sizes["n_frequent"])
        self._check_frequent(header["bounded"], frequent, sketches)
        bounded = {name: sizes[name] for name in ("level", "floor_level", "width")}
        bounded |= {"count_sketch": sketches[0], "document_sketch": sketches[1], "frequent": frequent}
        self._guarded(state.add_bounded, bounded)

    def _check_frequent(
        self, sizes: Mapping[str, int], frequent: Mapping[str, Any], sketches: list[NDArray[np.uint64]]
    ) -> None:
        hashes = _hashes(frequent)
        peaks = frequent["peaks"]
        if _in_sample(hashes, sizes["level"]).any() or not np.all(peaks >> np.uint64(sizes["floor_level"])):
            raise self._fail("wanted frequent types beyond the sample, with peaks of their floor")
        if (sketched_of(sketches[0], hashes) < peaks).any() or not sketched_of(sketches[1], hashes).all():
            raise self._fail("wanted sketches that hold the frequent types, found smaller counts than their peaks")

    def _frequent(self, left: int) -> dict[str, Any]:
        parts: list[tuple[dict[str, Any], Any]] = []
        last: bytes | None = None
        while left:
            types, (peaks,) = self._type_columns(tap.FREQUENT, left, last, 1)
            if not np.all(peaks):
                raise self._fail("wanted peaks of at least 1")
            parts.append((types, peaks))
            left -= len(peaks)
            last = _last_token(types)
        lengths = [np.diff(types["token_offsets"]) for types, _ in parts]
        peaks = np.concatenate([np.zeros(0, np.uint64), *(peaks for _, peaks in parts)])
        nothing = np.zeros(len(peaks), np.uint64)
        return {
            "token_bytes": np.concatenate([np.zeros(0, np.uint8), *(types["token_bytes"] for types, _ in parts)]),
            "token_offsets": np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])),
            "counts": nothing,
            "document_frequencies": nothing.copy(),
            "peaks": peaks,
        }

    def _provenance(self, header: dict[str, Any], state: Any) -> None:
        """The tables of labels, each of which holds all documents."""
        sizes = header.get("provenance")
        if sizes is None:
            return
        _check(sizes, dict.fromkeys(tap.PROVENANCE, "an object"), "provenance", self._fail)
        tables = {name: self._provenance_table(name, sizes[name]) for name in tap.PROVENANCE}
        whole = [header["totals"][name] for name in ("n_documents", "n_tokens", "n_bytes")]
        by_label = [_label_sums(table) for table in tables.values()]
        found = [sum(by_label[0][place::3]) for place in range(3)]
        if found != whole or any(one != by_label[0] for one in by_label):
            raise self._fail(
                f"wanted labels of {whole} documents, tokens and bytes, the same in all tables, found {found}"
            )
        self._guarded(state.add_provenance, tables)

    def _provenance_table(self, name: str, sizes: Any) -> dict[str, Any]:
        _check(sizes, _PROVENANCE, name, self._fail)
        level, left = sizes["level"], sizes["n"]
        lists = (sizes["unnamed"], sizes["others"])
        if not all(len(one) == tap.PROVENANCE_COLUMNS and all(_is(n, _NUMBER) for n in one) for one in lists):
            raise self._fail(f"wanted {tap.PROVENANCE_COLUMNS} numbers as unnamed and others of {name}")
        if level > 64 or left > tap.PROVENANCE_NAMES or level == 0 and any(sizes["others"]):
            raise self._fail(
                f"wanted a level up to 64, {tap.PROVENANCE_NAMES} names, and no others on level 0 of {name}"
            )
        parts, last = [], None
        while left:
            names, columns = self._type_columns(tap.PROVENANCE[name], left, last, tap.PROVENANCE_COLUMNS)
            parts.append((names["token_bytes"], np.diff(names["token_offsets"]), np.stack(columns, axis=1)))
            left -= len(columns[0])
            last = _last_token(names)
        data = np.concatenate([np.zeros(0, np.uint8), *(part[0] for part in parts)])
        lengths = np.concatenate([np.zeros(1, np.int64), *(part[1] for part in parts)])
        counts = np.concatenate([np.zeros((0, tap.PROVENANCE_COLUMNS), np.uint64), *(part[2] for part in parts)])
        offsets = np.cumsum(lengths)
        self._check_names(name, level, data.tobytes(), offsets.tolist())
        if counts.max(initial=0) >= 1 << 63 or not counts[:, ::3].any(axis=1).all():
            raise self._fail(f"wanted documents of each of the {name}, and counts below 2^63")
        shaped = {key: np.array(sizes[key], np.uint64).reshape(4, 3) for key in ("unnamed", "others")}
        shaped |= {"counts": counts.reshape(-1, 4, 3)}
        return {"level": level, "name_bytes": data, "name_offsets": offsets} | shaped

    def _check_names(self, table: str, level: int, data: bytes, offsets: list[int]) -> None:
        for begin, end in pairwise(offsets):
            name = data[begin:end]
            if len(name) > tap.PROVENANCE_NAME_BYTES or _backend.get().token_hash(name) >> (64 - level):
                raise self._fail(
                    f"wanted names of at most {tap.PROVENANCE_NAME_BYTES} bytes, of level {level}, in {table}"
                )
            try:
                name.decode()
            except UnicodeDecodeError as error:
                raise self._fail(f"wanted UTF-8 as names of {table}: {error}") from error

    def _footer(self) -> None:
        self.offset = self.stream.tell()
        footer = self._take(12, "footer")
        if footer != tap.END + struct.pack("<Q", self.chunks):
            raise self._fail(f"wanted the footer after {self.chunks} chunks, found {footer!r}")
        self.digest.update(footer)
        wanted = self._take(tap.DIGEST_SIZE, "digest")
        if wanted != self.digest.digest():
            raise self._fail(f"digest of the whole file: wanted {wanted.hex()}, found {self.digest.hexdigest()}")
        self.offset = self.stream.tell()
        if self.offset != self.size:
            raise self._fail(f"wanted the end of the file, found {self.size - self.offset} more bytes")


def _hashes(types: Mapping[str, Any]) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = _backend.get().token_hashes(types["token_bytes"], types["token_offsets"])
    return hashes


def _in_sample(hashes: NDArray[np.uint64], level: int) -> NDArray[np.bool_]:
    """Whether a profile of this level, from 1 on, holds types with these hashes (docs/semantics.md)."""
    return (hashes >> np.uint64(64 - level)) == 0


def _label_sums(table: Mapping[str, Any]) -> list[int]:
    """Documents, tokens and bytes of each label: 12 sums that may be as large as they like."""
    columns = table["counts"].reshape(-1, tap.PROVENANCE_COLUMNS).T.tolist()
    rest = zip(table["unnamed"].ravel().tolist(), table["others"].ravel().tolist(), strict=True)
    return [sum(column) + sum(more) for column, more in zip(columns, rest, strict=True)]


def _sum(row: NDArray[np.uint64]) -> int:
    """Exact: a sum modulo 2^64 would let cells pass that are beyond all counts."""
    half = np.uint64(32)
    return (int((row >> half).sum()) << 32) + int((row & np.uint64(0xFFFFFFFF)).sum())


def _last_token(types: Mapping[str, Any]) -> bytes:
    offsets = types["token_offsets"]
    return types["token_bytes"][offsets[-2] :].tobytes()


def first_unsorted(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> int | None:
    """Index of the first token that is not greater than the one before it, by bytes; None where all ascend.

    Compares eight bytes at a time as big-endian numbers, of those pairs only that were equal so far.
    """
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    later = np.arange(1, len(offsets) - 1)
    wrong = [len(offsets)]
    skip = 0
    while len(later):
        before, after = _window(padded, offsets, later - 1, skip), _window(padded, offsets, later, skip)
        wrong.extend(later[before > after][:1].tolist())
        later = later[before == after]
        # Equal windows: where one of the two has ended in it, zeros were compared with absence, and the length decides.
        lengths = np.diff(offsets)
        ended = np.minimum(lengths[later - 1], lengths[later]) <= skip + 8
        wrong.extend(later[ended & (lengths[later - 1] >= lengths[later])][:1].tolist())
        later = later[~ended]
        skip += 8
    first = min(wrong)
    return None if first == len(offsets) else first


def _window(
    padded: NDArray[np.uint8], offsets: NDArray[np.int64], tokens: NDArray[np.intp], skip: int
) -> NDArray[np.uint64]:
    """Bytes skip..skip + 8 of each token as a big-endian number, zeros behind its end. All are longer than skip."""
    starts = offsets[tokens] + skip
    present = np.minimum(offsets[tokens + 1] - starts, 8)
    taken = padded[starts[:, None] + np.arange(8)]
    taken[np.arange(8) >= present[:, None]] = 0
    return taken.view(">u8").reshape(-1).astype(np.uint64)


_NUMBER = "a number from 0 to 2^63 - 1"
_INTEGER = "an integer below 2^127"
_CONFIGURATION = {
    "signals": "a list",
    "tokens": "a string",
    "batch_tokens": _NUMBER,
    "max_types": _NUMBER,
    "markers": "a string",
    "anchor": "a string",
    "detector": "a string",
    "unicode": "a string",
}
_HEADER = {
    "configuration": "an object",
    "totals": "an object",
    "signals": "an object",
    "n_types": _NUMBER,
    "bounded": "an object or null",
}
_BOUNDED = dict.fromkeys(("level", "floor_level", "width", "n_frequent"), _NUMBER)
_PROVENANCE = {"level": _NUMBER, "n": _NUMBER, "unnamed": "a list", "others": "a list"}
_TOTALS = dict.fromkeys(tap.TOTALS, _NUMBER)
_SUMS = {"bins": _NUMBER, "nulls": _NUMBER, "sum": _INTEGER, "sum_squares": _INTEGER}


def _is(value: Any, wanted: str) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {
        _NUMBER: whole and 0 <= value < tap.COUNT_LIMIT,
        _INTEGER: whole and abs(value) < 1 << 127,
        "a string": isinstance(value, str),
        "a list": isinstance(value, list),
        "an object": isinstance(value, dict),
        "an object or null": value is None or isinstance(value, dict),
    }[wanted]


def _check(found: Any, wanted: Mapping[str, str], where: str, fail: Callable[[str], ProfileError]) -> None:
    """Exactly the wanted keys, each of the wanted kind."""
    if not isinstance(found, dict) or set(found) != set(wanted):
        keys = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        raise fail(f"wanted {', '.join(wanted)} in {where}, found {keys}")
    for name, kind in wanted.items():
        if not _is(found[name], kind):
            raise fail(f"wanted {kind} as {name} in {where}, found {str(found[name])[:40]!r}")
