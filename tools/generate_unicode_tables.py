#!/usr/bin/env python3
"""Generates the Unicode tables of both backends from the Unicode Character Database.

Usage:  python tools/generate_unicode_tables.py UCD_FOLDER

UCD_FOLDER holds WordBreakProperty.txt, SentenceBreakProperty.txt, DerivedGeneralCategory.txt,
DerivedCoreProperties.txt, CaseFolding.txt and emoji-data.txt of Unicode 15.0 (Debian: package `unicode-data`,
folder /usr/share/unicode, with its subfolders). It writes

    csrc/unicode/unicode_tables.inc                  for the compiled backend
    python/textassay/_numba/unicode_tables.npz       for the numba backend

Two stages: `stage1[cp >> 7]` names a page, `stage2[(stage1[cp >> 7] << 7) + (cp & 127)]` a record. A record holds what
segmentation, folding and the signals ask about a code point, so that one look-up answers everything.
"""

import sys
from pathlib import Path

import numpy as np

UNICODE_VERSION = "15.0.0"
CODE_POINTS = 0x110000
PAGE_BITS = 7

WORD_BREAK = {
    "Other": 0,
    "CR": 1,
    "LF": 2,
    "Newline": 3,
    "Extend": 4,
    "ZWJ": 5,
    "Regional_Indicator": 6,
    "Format": 7,
    "Katakana": 8,
    "Hebrew_Letter": 9,
    "ALetter": 10,
    "Single_Quote": 11,
    "Double_Quote": 12,
    "MidNumLet": 13,
    "MidLetter": 14,
    "MidNum": 15,
    "Numeric": 16,
    "ExtendNumLet": 17,
    "WSegSpace": 18,
}
SENTENCE_BREAK = {
    "Other": 0,
    "CR": 1,
    "LF": 2,
    "Extend": 3,
    "Sep": 4,
    "Format": 5,
    "Sp": 6,
    "Lower": 7,
    "Upper": 8,
    "OLetter": 9,
    "Numeric": 10,
    "ATerm": 11,
    "SContinue": 12,
    "STerm": 13,
    "Close": 14,
}
FLAGS = {
    "letter_or_number": 1,  # general category L* or N*
    "lowercase": 2,  # derived property Lowercase
    "extended_pictographic": 4,
    "emoji": 8,
    "symbol": 16,  # general category S*
    "other_letter": 32,  # general category Lo
    "invisible": 64,  # counted by invisible_chars wherever it stands
    "variation_selector": 128,  # counted by invisible_chars where no base takes it
}
# How the compiled backend's bit masks treat a character (csrc/scan/tokens.cpp). `Irregular` sends the document
# to the code-point state machine: the masks don't know what to do with it.
LABEL = {
    "None": 0,
    "Letter": 1,
    "Number": 2,
    "Katakana": 3,
    "Connector": 4,
    "Single": 5,  # a word of its own: an ideograph, Hiragana, Thai
    "Attached": 6,  # Extend, Format: belongs to what precedes
    "Joiner": 7,  # ZWJ: as Attached unless a pictograph follows
    "MidLetter": 8,
    "MidNumber": 9,
    "MidBoth": 10,
    "HebrewLetter": 11,
    "Irregular": 12,
}

INVISIBLE = [(0x200B, 0x200F), (0x2060, 0x2060), (0xFEFF, 0xFEFF), (0x061C, 0x061C), (0x202A, 0x202E), (0x2066, 0x2069)]
INVISIBLE += [(0xE0000, 0xE007F)]
VARIATION_SELECTORS = [(0xFE00, 0xFE0F), (0x180B, 0x180D), (0x180F, 0x180F), (0xE0100, 0xE01EF)]


def find(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        sys.exit(f"{folder}: wanted {name} of Unicode {UNICODE_VERSION}, found none")
    return found[0]


def rows(path: Path):
    """First code point, last code point, the other fields."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.split("#")[0].split(";")]
        if len(fields) > 1:
            first, _, last = fields[0].partition("..")
            yield int(first, 16), int(last or first, 16), fields[1:]


def check_version(path: Path) -> None:
    if UNICODE_VERSION not in path.read_text(encoding="utf-8").splitlines()[0]:
        sys.exit(f"{path}: wanted Unicode {UNICODE_VERSION}")


def enumeration(path: Path, values: dict[str, int]) -> np.ndarray:
    check_version(path)
    table = np.zeros(CODE_POINTS, np.uint8)
    for first, last, fields in rows(path):
        table[first : last + 1] = values[fields[0]]
    return table


def members(path: Path, name: str) -> np.ndarray:
    table = np.zeros(CODE_POINTS, bool)
    for first, last, fields in rows(path):
        if fields[0] == name:
            table[first : last + 1] = True
    return table


def categories(path: Path) -> np.ndarray:
    check_version(path)
    table = np.full(CODE_POINTS, "Cn", "U2")
    for first, last, fields in rows(path):
        table[first : last + 1] = fields[0]
    return table


def ranges(spans: list[tuple[int, int]]) -> np.ndarray:
    table = np.zeros(CODE_POINTS, bool)
    for first, last in spans:
        table[first : last + 1] = True
    return table


def fold_deltas(path: Path) -> np.ndarray:
    check_version(path)
    delta = np.zeros(CODE_POINTS, np.int32)
    for first, _, fields in rows(path):
        if fields[0] in "CS":
            delta[first] = int(fields[1], 16) - first
    return delta


def utf8_length(code_point: np.ndarray) -> np.ndarray:
    return 1 + (code_point >= 0x80) + (code_point >= 0x800) + (code_point >= 0x10000)


def labels(word_break: np.ndarray, is_letter_or_number: np.ndarray, delta: np.ndarray) -> np.ndarray:
    by_class = {
        "Katakana": "Katakana",
        "Hebrew_Letter": "HebrewLetter",
        "ALetter": "Letter",
        "Numeric": "Number",
        "ExtendNumLet": "Connector",
        "Extend": "Attached",
        "Format": "Attached",
        "ZWJ": "Joiner",
        "Single_Quote": "MidBoth",
        "MidNumLet": "MidBoth",
        "MidLetter": "MidLetter",
        "MidNum": "MidNumber",
    }
    table = np.zeros(CODE_POINTS, np.uint8)
    for name, label in by_class.items():
        table[word_break == WORD_BREAK[name]] = LABEL[label]
    table[(word_break == WORD_BREAK["Other"]) & is_letter_or_number] = LABEL["Single"]
    word_like = np.isin(table, [LABEL[n] for n in ("Letter", "Number", "Katakana", "HebrewLetter")])
    attached = table == LABEL["Attached"]
    table[word_like & ~is_letter_or_number] = LABEL["Irregular"]  # e.g. U+24B6: joins like a letter, is none
    table[attached & is_letter_or_number] = LABEL["Irregular"]  # U+FF9E: makes a word of whatever it follows
    everything = np.arange(CODE_POINTS)
    table[utf8_length(everything) != utf8_length(everything + delta)] = LABEL["Irregular"]
    return table


def two_stages(record_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pages = record_of.reshape(-1, 1 << PAGE_BITS)
    unique, stage1 = np.unique(pages, axis=0, return_inverse=True)
    return stage1.reshape(-1).astype(np.uint16), unique.reshape(-1).astype(np.uint16)


def c_array(kind: str, name: str, values: np.ndarray) -> str:
    lines = []
    for begin in range(0, len(values), 24):
        lines.append("    " + ", ".join(str(v) for v in values[begin : begin + 24]) + ",")
    return f"inline constexpr {kind} {name}[{len(values)}] = {{\n" + "\n".join(lines) + "\n};\n"


def c_enum(name: str, values: dict[str, int]) -> str:
    body = "\n".join(
        f"    k{''.join(part.title() if part.islower() else part for part in key.split('_'))} = {value},"
        for key, value in values.items()
    )
    return f"enum {name} : uint8_t {{\n{body}\n}};\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, root = Path(sys.argv[1]), Path(__file__).resolve().parent.parent
    word_break = enumeration(find(folder, "WordBreakProperty.txt"), WORD_BREAK)
    sentence_break = enumeration(find(folder, "SentenceBreakProperty.txt"), SENTENCE_BREAK)
    category = categories(find(folder, "DerivedGeneralCategory.txt"))
    major = category.astype("U1")
    emoji_data = find(folder, "emoji-data.txt")
    is_letter_or_number = (major == "L") | (major == "N")
    delta = fold_deltas(find(folder, "CaseFolding.txt"))
    flag_members = {
        "letter_or_number": is_letter_or_number,
        "lowercase": members(find(folder, "DerivedCoreProperties.txt"), "Lowercase"),
        "extended_pictographic": members(emoji_data, "Extended_Pictographic"),
        "emoji": members(emoji_data, "Emoji"),
        "symbol": major == "S",
        "other_letter": category == "Lo",
        "invisible": ranges(INVISIBLE),
        "variation_selector": ranges(VARIATION_SELECTORS),
    }
    flags = sum(FLAGS[name] * table.astype(np.uint16) for name, table in flag_members.items())
    label = labels(word_break, is_letter_or_number, delta)

    columns = np.stack([word_break, sentence_break, label, flags, delta], axis=1).astype(np.int64)
    records, record_of = np.unique(columns, axis=0, return_inverse=True)
    stage1, stage2 = two_stages(record_of.reshape(-1))

    np.savez_compressed(
        root / "python/textassay/_numba/unicode_tables.npz",
        stage1=stage1,
        stage2=stage2,
        word_break=records[:, 0].astype(np.uint8),
        sentence_break=records[:, 1].astype(np.uint8),
        flags=records[:, 3].astype(np.uint16),
        fold_delta=records[:, 4].astype(np.int32),
    )
    record_lines = "\n".join("    {" + ", ".join(str(v) for v in record) + "}," for record in records)
    flag_lines = "\n".join(
        f"inline constexpr uint8_t k{''.join(w.title() for w in name.split('_'))} = {bit};"
        for name, bit in FLAGS.items()
    )
    (root / "csrc/unicode/unicode_tables.inc").write_text(
        f"// Generated by tools/generate_unicode_tables.py from Unicode {UNICODE_VERSION}. Do not edit.\n"
        f'inline constexpr char kUnicodeVersion[] = "{UNICODE_VERSION}";\n'
        f"inline constexpr int kPageBits = {PAGE_BITS};\n"
        "namespace word_break {\n" + c_enum("WordBreak", WORD_BREAK) + "}\n"
        "namespace sentence_break {\n" + c_enum("SentenceBreak", SENTENCE_BREAK) + "}\n"
        "namespace label {\n" + c_enum("Label", LABEL) + "}\n"
        "namespace flag {\n" + flag_lines + "\n}\n"
        "struct Record {\n    uint8_t word_break, sentence_break, label, flags;\n    int32_t fold_delta;\n};\n"
        f"inline constexpr Record kRecords[{len(records)}] = {{\n{record_lines}\n}};\n"
        + c_array("uint16_t", "kStage1", stage1)
        + c_array("uint16_t", "kStage2", stage2)
    )
    print(f"{len(records)} records, {len(stage2) >> PAGE_BITS} pages")


if __name__ == "__main__":
    main()
