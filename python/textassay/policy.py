"""The policy of a corpus: one TOML file, which several commands decide by."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from os import PathLike, fspath
from typing import Any

from textassay.errors import UsageError, reason_of
from textassay.untrusted import read_toml


def read_policy(path: str | PathLike[str]) -> dict[str, Any]:
    """All of the file. Raises `UsageError` on one that cannot be read."""
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the policy {fspath(path)}: {reason_of(error)}") from error


def read_section(path: str | PathLike[str], section: str, others: Sequence[str]) -> dict[str, Any]:
    """The table of one command; empty where the file has none. `others` are the keys at the top that other commands read.
    Raises `UsageError` on a file that cannot be read and on a key that nobody reads.
    """
    content = read_policy(path)
    check_keys(content, (section, *others), fspath(path))
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
