"""Why nothing could be read: a look at the first record, for who named the wrong field or has a file of another kind."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from textassay.errors import InputError
from textassay.fields import parse_field
from textassay.formatting import clean, clean_path
from textassay.inputs import Input
from textassay.parquet import is_parquet
from textassay.records import each_line, field_of

FILES, LINES, LINE_LIMIT = 8, 4, 1 << 20
"""What is looked at: the first files, of each the first lines that hold something, if they are no longer than this."""
NAMED = 5
DEEPEST = 4
_WINDOW_LOG = 27


def advice(files: Iterable[Input], text_fields: Sequence[str]) -> str:
    """What is wrong with the first file that begins with no document, and what to do; empty where nothing is to be said."""
    return next(filter(None, (_advice_on(file, text_fields) for file in islice(files, FILES))), "")


def nothing_found(message: str, files: Iterable[Input], text_fields: Sequence[str]) -> InputError:
    """The error of who needs text and found none, with advice."""
    return InputError("; ".join(filter(None, (message, advice(files, text_fields)))))


def _advice_on(file: Input, text_fields: Sequence[str]) -> str:
    if not isinstance(file.source, bytes) or file.size is None or is_parquet(file):
        return ""  # a pipe is read, a store is far, and for Parquet the reason itself names the columns
    try:
        lines = list(islice(filter(None, map(_stripped, each_line(file.source, _WINDOW_LOG, LINE_LIMIT))), LINES))
    except InputError:
        return ""
    return f"{clean_path(file.name, 60)} {found}" if lines and (found := _what_is_wrong(lines, text_fields)) else ""


def _stripped(line: bytes | None) -> bytes:
    return (line or b"").strip(b" \t\r")


def _what_is_wrong(lines: Sequence[bytes], text_fields: Sequence[str]) -> str:
    try:
        record = json.loads(lines[0])
    except (ValueError, RecursionError):
        record = None
    if lines[0].startswith(b"["):
        return "is a JSON array; wanted a record a line, which `jq -c '.[]' FILE` makes of it"
    if record is None and lines[0].startswith(b"{"):
        return "has records of several lines; wanted a record a line, which `jq -c . FILE` makes of it"
    if not isinstance(record, dict):
        return "does not begin with a JSON record; wanted lines of JSON"
    if any(isinstance(field_of(record, parse_field(field)), str) for field in text_fields):
        return ""
    texts = sorted(_texts(record, (), DEEPEST), key=lambda one: -one[1])
    wanted = ", ".join(text_fields)
    if not texts:
        return f"has no text in its first record, under {wanted} or any other name"
    names = [clean(name) for name, _ in texts]
    more = "" if len(names) <= NAMED else ", ..."
    return f"has no text under {wanted}, but under {', '.join(names[:NAMED])}{more}: try --text-field {names[0]}"


def _texts(record: Mapping[str, Any], above: tuple[str, ...], deep: int) -> Iterator[tuple[str, int]]:
    """Of every text its path, as `--text-field` takes it, and its length."""
    for key, value in record.items():
        path = (*above, key)
        if isinstance(value, str):
            yield _written(path), len(value)
        elif isinstance(value, dict) and deep > 1:
            yield from _texts(value, path, deep - 1)


def _written(path: Sequence[str]) -> str:
    if all(part and "." not in part and not part.startswith("/") for part in path):
        return ".".join(path)
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
