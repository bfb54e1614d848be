"""What is said of a file whose format is another one than wanted. docs/formats.md names all formats and their versions."""

from typing import Any


def unlike(found: Any, wanted: str) -> str:
    """Of a schema as `textassay.summary/1`: whether the one found is a newer version of it, or something else."""
    name, _, version = wanted.rpartition("/")
    other, _, number = found.rpartition("/") if isinstance(found, str) else ("", "", "")
    if other == name and number.isdecimal() and len(number) < 10 and int(number) > int(version):
        return newer(f"format {name}", int(number), int(version))
    return f"wanted the schema {wanted}, found {str(found)[:40]!r}"


def newer(what: str, found: int, known: int) -> str:
    return f"made by a newer textassay: {what} {found}; this one reads up to {known}"
