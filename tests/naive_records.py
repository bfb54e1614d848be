"""Lines and records of docs/semantics.md by the standard library's json: bytes of a whole file in, what a scan should say out."""

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

BOM = b"\xef\xbb\xbf"
MAX_DEPTH = 1024
sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * MAX_DEPTH))  # json descends by recursion
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(Exception):
    """Carries the reason."""


class Absent(Exception):
    pass


class Number(str):
    """A number as written: it may have any size."""


@dataclass
class Document:
    text: str
    id: str | None
    n_replaced: int
    line: int
    byte_offset: int


@dataclass
class File:
    documents: list[Document] = field(default_factory=list)
    errors: list[tuple[int, int, str]] = field(default_factory=list)
    counters: Counter = field(default_factory=Counter)


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def depth(line: str) -> int:
    """Of the deepest container; `line` is otherwise taken as it comes."""
    deepest = now = 0
    for mark in re.sub(r'"(?:[^"\\]|\\.)*"', "", line):
        if mark in "[{":
            now += 1
            deepest = max(deepest, now)
        elif mark in "]}":
            now -= 1
    return deepest


def first_of_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result


DECODER = json.JSONDecoder(
    object_pairs_hook=first_of_duplicates, parse_constant=refuse, parse_int=Number, parse_float=Number
)


def parse(line: bytes) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("invalid_utf8") from None
    if depth(text) > MAX_DEPTH:
        raise Malformed("not_json")
    try:
        return DECODER.decode(text)
    except ValueError:
        raise Malformed("not_json") from None


def look_up(value: Any, path: Sequence[str]) -> Any:
    for component in path:
        if isinstance(value, dict) and component in value:
            value = value[component]
        elif isinstance(value, list) and re.fullmatch("[0-9]+", component) and int(component) < len(value):
            value = value[int(component)]
        else:
            raise Absent
    return value


def without_surrogates(value: str) -> tuple[str, int]:
    """A pair of escapes is one character already; what is left stands alone."""
    return LONE_SURROGATE.subn("\ufffd", value)


def document_of(
    line: bytes, text_fields: Sequence[Sequence[str]], id_field: Sequence[str]
) -> tuple[str, str | None, int]:
    value = parse(line)
    if not isinstance(value, dict):
        raise Malformed("not_object")
    found = []
    for path in text_fields:
        try:
            found.append(look_up(value, path))
        except Absent:
            continue
    if not found:
        raise Malformed("no_text_field")
    if not all(isinstance(text, str) and not isinstance(text, Number) for text in found):
        raise Malformed("text_not_string")
    text, replaced = without_surrogates("\n\n".join(found))
    try:
        raw_id = look_up(value, id_field)
    except Absent:
        raw_id = None
    if isinstance(raw_id, Number):
        is_integer = re.fullmatch("-?[0-9]{1,20}", raw_id) and -(1 << 63) <= int(raw_id) < 1 << 64
        record_id = str(int(raw_id)) if is_integer else None
    else:
        record_id = without_surrogates(raw_id)[0] if isinstance(raw_id, str) else None
    return text, record_id, replaced


def read(
    data: bytes,
    text_fields: Sequence[Sequence[str]] = (("text",),),
    id_field: Sequence[str] = ("id",),
    max_record_bytes: int = 64 << 20,
    damaged: bool = False,
) -> File:
    """`damaged`: more was to come behind `data`, so an unfinished last line is `cut_off`."""
    file = File()
    counters = file.counters
    counters["bytes"] = len(data)
    at = 0
    if data.startswith(BOM):
        at = len(BOM)
        counters["bytes_blank"] += at
    number = 0
    while at < len(data):
        end = data.find(b"\n", at)
        whole = data[at : len(data) if end < 0 else end + 1]
        number += 1
        line = whole.removesuffix(b"\n").removesuffix(b"\r") if end >= 0 else whole
        reason = ""
        if end < 0 and damaged:
            reason = "cut_off" if len(line) <= max_record_bytes + 1 else "too_long"
        elif len(line) > max_record_bytes:
            reason = "too_long"
        elif not whole.strip(b" \t\r\n"):
            counters["bytes_blank"] += len(whole)
        else:
            try:
                text, record_id, replaced = document_of(line, text_fields, id_field)
                file.documents.append(Document(text, record_id, replaced, number, at))
                counters["bytes_parsed"] += len(whole)
            except Malformed as malformed:
                reason = str(malformed)
        if reason:
            file.errors.append((number, at, reason))
            counters["bytes_too_long" if reason == "too_long" else "bytes_malformed"] += len(whole)
        at += len(whole)
    counters["lines"] = number
    return file
