"""Files that come from strangers, read within bounds and parsed strictly: no two programs may read them differently.

Whatever is wrong with a file raises `ValueError` or `OSError`; who reads it says which file that was, by an error of its own.
"""

import json
import math
import re
import stat
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

MOST_DIGITS = 40
"""Of a whole number: the widest that we write are below 2^127."""
MOST_KEY_PARTS = 32
"""Of a dotted key: tomllib's time grows with the square of their number."""
LONGEST_TOML = 1 << 20

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_KEYS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_BLANKS = re.compile(r"[ \t]+")
_DOTTED = re.compile(rf"(?<![\w-])(?:[\w-]*+\.){{{MOST_KEY_PARTS}}}")


def read_bytes(path: str | PathLike[str], most: int, *, is_named: bool = True) -> bytes:
    """The whole file, of at most `most` bytes. One that its user has not named, but found in a folder, must be a regular
    file: a pipe there would be waited for without end.
    """
    if not is_named and not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("wanted a regular file")
    with Path(path).open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"wanted at most {most:,} bytes")
    return data


def parse_json(data: bytes) -> Any:
    """A JSON value in UTF-8. Refuses keys that are there twice, NaN, infinities, numbers of more than MOST_DIGITS digits, halves of
    characters, and nesting that is too deep for Python.
    """
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:80]} is no finite number")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_finite, parse_constant=_finite)


def parse_toml(text: str) -> dict[str, Any]:
    """A TOML document. Refuses numbers beyond TOML's own 64 bits, and keys and nesting that would take time without bound."""
    if len(text) > LONGEST_TOML:
        raise ValueError(f"wanted at most {LONGEST_TOML:,} characters")
    if _DOTTED.search(_BLANKS.sub("", _NOT_KEYS.sub("s", text))):
        raise ValueError(f"a key of more than {MOST_KEY_PARTS} parts")
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check_integers(content)
    return content


def read_toml(path: str | PathLike[str]) -> dict[str, Any]:
    return parse_toml(read_bytes(path, LONGEST_TOML).decode("utf-8"))


def _check_integers(content: Any) -> None:
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ValueError("a whole number that does not fit into 64 bits")
