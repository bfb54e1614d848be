"""Properties of Unicode 15.0 from the files in tests/data: the interpreter's unicodedata is of another version."""

import re
from functools import cache
from pathlib import Path

UCD = Path(__file__).parent / "data" / "unicode-15.0.0"


def rows(name: str) -> list[tuple[range, list[str]]]:
    found = []
    for line in (UCD / name).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([0-9A-F]+)(?:\.\.([0-9A-F]+))?\s*;([^#]*)", line):
            points = range(int(match[1], 16), int(match[2] or match[1], 16) + 1)
            found.append((points, [field.strip() for field in match[3].split(";")]))
    return found


@cache
def categories() -> dict[int, str]:
    return {cp: fields[0] for points, fields in rows("DerivedGeneralCategory.txt") for cp in points}


def category(ch: str) -> str:
    return categories().get(ord(ch), "Cn")


@cache
def simple_folds() -> dict[int, str]:
    """Statuses C and S of CaseFolding.txt."""
    return {
        cp: chr(int(fields[1], 16))
        for points, fields in rows("CaseFolding.txt")
        if fields[0] in ("C", "S")
        for cp in points
    }


@cache
def property_values(name: str, wanted: str = "") -> dict[int, str]:
    """Code point -> value; of emoji-data.txt only the property `wanted`."""
    return {cp: fields[0] for points, fields in rows(name) if wanted in ("", fields[0]) for cp in points}


def is_emoji(cp: int) -> bool:
    return cp in property_values("emoji-data.txt", "Emoji")


def is_pictographic(ch: str) -> bool:
    return ord(ch) in property_values("emoji-data.txt", "Extended_Pictographic")


def word_break(ch: str) -> str:
    return property_values("WordBreakProperty.txt").get(ord(ch), "Other")


def sentence_break(ch: str) -> str:
    return property_values("SentenceBreakProperty.txt").get(ord(ch), "Other")


def break_test_cases(name: str) -> list[tuple[str, list[int]]]:
    """Text and byte offsets of the boundaries of each case of WordBreakTest.txt or SentenceBreakTest.txt."""
    cases = []
    for line in (UCD / name).read_text(encoding="utf-8").splitlines():
        marks = line.partition("#")[0].split()
        if not marks:
            continue
        text, boundaries = "", []
        for mark in marks:
            if mark == "÷":
                boundaries.append(len(text.encode()))
            elif mark != "×":
                text += chr(int(mark, 16))
        cases.append((text, boundaries))
    return cases
