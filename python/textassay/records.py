"""Records of a file, all or found again by where they begin, and their fields, as a scan reads them."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from textassay import _backend
from textassay.errors import InputError
from textassay.parquet import MAGIC

BLOCK_BYTES = 4 << 20
TEXT_JOINT = "\n\n"
"""Between several text fields, as a scan joins them."""

_SURROGATE = re.compile("[\ud800-\udfff]")


_BOM = b"\xef\xbb\xbf"


class _Number(str):
    """A number as the record writes it: it may have any size."""


def each_line(source: bytes | int, max_window_log: int, longest: int) -> Iterator[bytes | None]:
    """All lines of the uncompressed stream, without line feed; None in the place of one that is longer than `longest` bytes.

    Holds a block and a line. Raises `InputError` at a damage, after all whole lines before it.
    """
    decompressor = _opened(source, max_window_log)
    memory = np.empty(BLOCK_BYTES, np.uint8)
    begun, is_first, is_losing = b"", True, False
    while block := memory[: decompressor.read_into(memory)].tobytes():
        *lines, begun = (begun + block).split(b"\n")
        for line in lines:
            yield None if is_losing or len(line) > longest else line.removeprefix(_BOM) if is_first else line
            is_first = is_losing = False
        if len(begun) > longest:
            begun, is_losing = b"", True
    if decompressor.damage:
        raise InputError(decompressor.damage)
    if is_losing or begun:
        yield None if is_losing else begun.removeprefix(_BOM) if is_first else begun


def _opened(source: bytes | int, max_window_log: int) -> Any:
    try:
        if isinstance(source, bytes):
            with open(source, "rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    raise InputError("wanted lines of JSON, found Parquet")
        return _backend.get().Decompressor(source, max_window_log=max_window_log)
    except OSError as error:
        raise InputError(f"it cannot be read: {error}") from error


def read_lines(path: bytes, byte_offsets: Sequence[int], max_window_log: int) -> Iterator[bytes]:
    """The lines that begin at these places of the uncompressed stream, which are in order, each without its line feed.

    Holds one line and one block. Raises `InputError` where the file ends before.
    """
    decompressor = _opened(path, max_window_log)
    memory = np.empty(BLOCK_BYTES, np.uint8)
    block, begin = b"", 0
    for place in byte_offsets:
        pieces: list[bytes] = []
        while True:
            at = max(0, place - begin)
            end = block.find(b"\n", at) if at <= len(block) else -1
            if end >= 0:
                yield b"".join((*pieces, block[at:end]))
                break
            pieces.append(block[at:])
            begin += len(block)
            block = memory[: decompressor.read_into(memory)].tobytes()
            if not block:
                if begin <= place:
                    raise InputError(f"wanted a document at byte {place}, found the end")
                yield b"".join(pieces)
                break


def parse_record(line: bytes) -> dict[str, Any]:
    """A record that a scan took for a document. Of duplicate keys the first counts; numbers are as written.

    Raises `InputError` on what is none.
    """
    try:
        record = _DECODER.decode(line.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"wanted a record: {error}") from error
    if not isinstance(record, dict):
        raise InputError("wanted a record, found another JSON value")
    return record


def field_of(record: Any, path: Sequence[str]) -> Any:
    """The value at a path of keys and array indices (`fields.parse_field`); None where there is none."""
    for part in path:
        if isinstance(record, dict):
            record = record.get(part)
        elif isinstance(record, list) and part.isdecimal() and part.isascii() and int(part) < len(record):
            record = record[int(part)]
        else:
            return None
    return record


def text_of(record: dict[str, Any], paths: Sequence[Sequence[str]]) -> str:
    """The text as a scan measures it: the text fields that are there, joined; lone surrogates are U+FFFD."""
    values = (field_of(record, path) for path in paths)
    return without_surrogates(TEXT_JOINT.join(value for value in values if is_text(value)))


def is_text(value: Any) -> bool:
    """Whether it is a string of JSON; a number as written is none."""
    return type(value) is str


def name_of(value: Any) -> str | None:
    """A value as a name: a text as it is, a number as written, true and false; None for all else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return without_surrogates(str(value)) if isinstance(value, str) else None


def without_surrogates(text: str) -> str:
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _first_of_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_first_of_duplicates, parse_int=_Number, parse_float=_Number)
