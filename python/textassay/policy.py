"""The policy of a corpus: one TOML file, a table for each command that decides by it."""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from textassay.errors import UsageError

SECTIONS = ("gate", "mix")
"""Each command reads its own table and leaves the others alone."""

LARGEST = 1 << 24


def read_section(path: str | PathLike[str], section: str) -> dict[str, Any]:
    """The table of one command; empty where the file has none. Raises `UsageError` on a file that cannot be read and on
    a table that is none of SECTIONS.
    """
    try:
        data = Path(path).read_bytes()[: LARGEST + 1]
        if len(data) > LARGEST:
            raise UsageError(f"{fspath(path)}: wanted a policy of at most {LARGEST} bytes")
        content = tomllib.loads(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"cannot read the policy {fspath(path)}: {error}") from error
    check_keys(content, SECTIONS, fspath(path))
    found = content.get(section, {})
    if not isinstance(found, dict):
        raise UsageError(f"{fspath(path)}: {section}: wanted a table [{section}]")
    return found


def check_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Raises `UsageError` on a key that is not known."""
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise UsageError(f"{where}: unknown key {key!r}; {hint}")


def number_of(table: Mapping[str, Any], key: str, low: float, high: float, where: str) -> float | None:
    """A number of a table, None where it is not there. Raises `UsageError` on what is no number from low to high."""
    if key not in table:
        return None
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise UsageError(f"{where}: {key} = {value!r}: wanted a number from {low:g} to {high:g}")
    return float(value)
