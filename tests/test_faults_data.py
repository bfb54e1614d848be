"""Hostile data, from lines to whole corpora: where every byte is counted, what is named, and with which exit code. docs/faults.md
holds the table that is checked here."""

import gzip
import itertools
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from hostile_frames import END, MOST_IN_A_BLOCK, frame, frame_of, long_line, raw, run, window_descriptor
from implementations import BACKENDS, on_every_backend
from implementations import scan as run_scan
from naive_records import BOM
from test_faults_frames import ALL, GOOD, flipped, scanned_alike, tarred, write_all
from test_frames import assert_alike, assert_holds, compress, in_blocks
from test_parquet import read_all
from test_records import BAD_UTF8, DATA, assert_read
from textassay import _backend, scan
from textassay.cli.app import app
from textassay.folder import SUMMARY

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
MIB = 1 << 20

# Lines about as long as may be


def padded(size: int) -> tuple[bytes, bytes, bytes]:
    """A record of `size` bytes (or 26, if that is more): its beginning, what is repeated, its end."""
    head, tail = b'{"text": "a b", "pad": "', b'"}'
    return head, b"x" * (size - len(head) - len(tail)), tail


BREAKS = (b"\n", b"\r\n", b"\r", b"")


@pytest.mark.parametrize("limit", [1, 40, 4096, MIB - 1, 2 * MIB] if ALL else [40, 4096, 70_000])
def test_lines_about_the_limit(tmp_path, limit):
    """One byte less, as many, one and two more, with each line break, at the end of the file and before another, whole and cut off."""
    whole = [
        b"".join(padded(limit + more)) + end + behind
        for more, end, behind in itertools.product((-1, 0, 1, 2), BREAKS, (b"", b"\n" + GOOD))
    ]
    paths = write_all(tmp_path, (content for one in whole for content in (one, compress(one), in_blocks([one])[:-4])))
    scanned = scanned_alike(paths, max_record_bytes=limit)
    for file, outcome in enumerate(scanned.outcomes):
        assert outcome["status"] == ("damaged" if file % 3 == 2 else "ok")
        assert_holds(scanned, file, whole[file // 3], max_record_bytes=limit)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_lines_of_64_mebibytes(tmp_path, more):
    """The limit as it is where nothing is said; a frame of runs, of which one is a byte longer or shorter."""
    size = 64 * MIB + more
    head, _, tail = padded(100)
    left = size - len(head) - len(tail)
    runs = run(b"x", MOST_IN_A_BLOCK) * (left // MOST_IN_A_BLOCK) + run(b"x", left % MOST_IN_A_BLOCK)
    content = frame(raw(GOOD + head), runs, raw(tail + b"\n" + GOOD), END)
    assert len(content) < 3000
    scanned = scanned_alike(write_all(tmp_path, iter([content])))
    outcome = scanned.outcomes[0]
    assert outcome["bytes"] == size + 1 + 2 * len(GOOD)
    assert scanned.errors[0] == ([(2, len(GOOD), "too_long")] if more > 0 else [])
    assert outcome["documents"] == 2 + (more <= 0)
    assert outcome["bytes_too_long"] == (size + 1) * (more > 0)


# Invalid UTF-8 across the borders of blocks

UNIT = 2 * MIB
"""What a backend decodes at a time, or a multiple of it."""


@pytest.mark.parametrize("bad", [*BAD_UTF8, "é".encode(), "한".encode(), "😀".encode(), b"\\ud800"])
def test_utf8_at_every_position_around_block_borders(tmp_path, bad):
    """So that it begins from 6 bytes before a border to 2 behind it; valid characters and escapes for comparison."""
    out = bytearray()
    shifts = range(-6, 3)
    blanks = b" " * 65_535 + b"\n"
    for number, shift in enumerate(shifts, 1):
        begin = number * UNIT + shift
        head = b'{"id": "%d", "text": "a b' % number
        while len(out) + len(blanks) + len(head) < begin:
            out += blanks
        out += b" " * (begin - len(out) - len(head)) + head + bad + b' c"}\n'
    data = bytes(out) + GOOD
    scanned = scanned_alike(write_all(tmp_path, iter([data, compress(data, level=1)])))
    for file in range(2):
        assert scanned.outcomes[file]["status"] == "ok"
        assert_holds(scanned, file, data)
    is_bad = bad in BAD_UTF8
    assert len(scanned.errors[0]) == len(shifts) * is_bad
    assert scanned.outcomes[0]["documents"] == 1 + len(shifts) * (not is_bad)


# Lines of one kind that are long, or deep, or without end

SIZE = 2 * MIB
LONG = {
    "arrays that never close": (b"[" * SIZE, "not_json"),
    "objects that never close": (b'{"a":' * (SIZE // 5), "not_json"),
    "nested 100,000 times": (b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    "a string that never ends": (b'{"text": "' + b"x" * SIZE, "not_json"),
    "backslashes": (b'{"text": "' + b"\\" * SIZE + b'"}', None),
    "an odd backslash": (b'{"text": "' + b"\\" * (SIZE + 1) + b'"}', "not_json"),
    "escapes": (b'{"text": "' + b"\\u0061" * (SIZE // 6) + b'"}', None),
    "lone surrogates": (b'{"text": "' + b"\\ud800" * (SIZE // 6) + b'"}', None),
    "many keys": (b"{" + b"".join(b'"%d":%d,' % (n, n) for n in range(SIZE // 14)) + b'"text": "a"}', None),
    "the same key": (b"{" + b'"id":1,' * (SIZE // 7) + b'"text": "a"}', None),
    "keys that are escaped": (b"{" + b'"\\u0069d":"\\ud800",' * (SIZE // 18) + b'"text": "a"}', None),
    "elements": (b'{"text": "a", "x": [' + b"1," * (SIZE // 2) + b"1]}", None),
    "an id of digits": (b'{"text": "a", "id": ' + b"9" * SIZE + b"}", None),
    "a number of digits": (b'{"text": "a", "x": 1.' + b"9" * SIZE + b"e" + b"9" * 1000 + b"}", None),
    "a text that is a number": (b'{"text": ' + b"7" * SIZE + b"}", "text_not_string"),
    "a text that is an array": (b'{"text": [' + b'"a",' * (SIZE // 4) + b'"a"]}', "text_not_string"),
    "white space": (b'{"text":' + b" " * SIZE + b'"a"}', None),
    "NUL bytes": (bytes(SIZE), "not_json"),
    "one bad byte at the end": (b'{"text": "' + b"x" * SIZE + b'\xff"}', "invalid_utf8"),
    "UTF-16": ('{"text": "a"}' * (SIZE // 26)).encode("utf-16"),
    "a word": (b'{"text": "' + b"x" * SIZE + b'"}', None),
    "full stops": (b'{"text": "' + b". " * (SIZE // 2) + b'"}', None),
    "line breaks": (b'{"text": "' + b"\\n" * (SIZE // 2) + b'"}', None),
    "accents": (b'{"text": "a' + "\u0301".encode() * (SIZE // 2) + b'"}', None),
    "flags": (b'{"text": "' + "\U0001f1e6".encode() * (SIZE // 4) + b'"}', None),
}  # fmt: skip
LONG["UTF-16"] = (LONG["UTF-16"], "invalid_utf8")


@pytest.mark.parametrize("name", LONG)
def test_long_lines_of_one_kind(tmp_path, name):
    """Neither hangs nor takes the next line along; whatever it is, it is one line with one reason."""
    content, reason = LONG[name]
    scanned = scanned_alike(write_all(tmp_path, iter([content + b"\n" + GOOD])))
    outcome = scanned.outcomes[0]
    assert [error[2] for error in scanned.errors[0]][:1] == ([] if reason is None else [reason])
    assert outcome["documents"] + outcome["malformed"] == outcome["lines"] and outcome["documents"] >= 1
    assert scanned.documents[0]["id"][-1] == "good"


# Texts that are none, or in other encodings

TEXTS = {
    "UTF-16": '{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"),
    "UTF-16, big-endian": '{"text": "a"}\n'.encode("utf-16-be"),
    "UTF-32": '{"text": "a"}\n'.encode("utf-32"),
    "Latin-1": '{"text": "é"}\n{"text": "a"}\n'.encode("latin-1"),
    "Windows line breaks and a BOM": BOM + b'{"text": "a"}\r\n\r\n{"text": "b"}\r\n',
    "old Mac line breaks": b'{"text": "a"}\r{"text": "b"}\r',
    "NUL bytes between": b'{"text": "a"}\n\0\0\0\0{"text": "b"}\n{"text": "c"}\n',
    "a hole": b'{"text": "a"}\n' + bytes(5000) + b"\n" + GOOD,
    "a BOM on every line": (BOM + GOOD) * 3,
    "a BOM behind a blank line": b"\n" + BOM + GOOD,
    "an HTML page": b"<!DOCTYPE html>\n<html>\n<body>404 Not Found</body>\n</html>\n",
    "CSV": b'id,text\n1,"a"\n2,b\n',
    "an array over several lines": b'[\n{"text": "a"},\n{"text": "b"}\n]\n',
    "indented": json.dumps({"text": "a", "id": 1}, indent=2).encode(),
    "two records on a line": GOOD.strip() + GOOD,
    "a line cut in two": GOOD[:10] + b"\n" + GOOD[10:],
    "JSON text sequences": b"\x1e" + GOOD + b"\x1e" + GOOD,
    "line separators": '{"text": "a\u2028b"}\u2028{"text": "c"}\n'.encode(),
    "keys in other letters": b'{"TEXT": "a"}\n{"Text": "a"}\n{" text": "a"}\n',
    "numbers, null, true, arrays, objects": b"".join(
        b'{"text": %s}\n' % value for value in (b"1", b"-0.5e9", b"null", b"true", b"[]", b'["a"]', b"{}", b'{"text": "a"}')
    ),
    "an id of every kind": b"".join(
        b'{"text": "a", "id": %s}\n' % value for value in (b"1", b"1e5", b"null", b"true", b'["a"]', b'{"id": 1}', b'""')
    ),
    "the same text twice": b'{"text": "a", "text": 1}\n{"text": 1, "text": "a"}\n{"text": "a", "text": "b"}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
@on_every_backend
def test_texts_that_are_no_records(implementation, tmp_path, name):
    assert_read(implementation, tmp_path / "f.jsonl", TEXTS[name])


def test_a_byte_order_mark_in_a_later_frame(tmp_path):
    """Files put together with cat: only the first mark is one; the line behind the next is none. In gzip as in zstd."""
    data = (BOM + GOOD) * 2
    contents = [compress(BOM + GOOD) * 2, gzip.compress(BOM + GOOD) * 2, compress(b"\xef") + compress(data[1:])]
    scanned = scanned_alike(write_all(tmp_path, iter(contents)))
    for file in range(len(contents)):
        assert_holds(scanned, file, data)
        assert scanned.errors[file] == [(2, 3 + len(GOOD), "not_json")]


TRANSFORM = sorted((DATA / "jsontestsuite" / "test_transform").glob("*.json"))


@on_every_backend
def test_json_test_suite_of_what_parsers_make_of_it(implementation, tmp_path):
    """As the id, as the text and as another value: what plain json makes of it, with the first of equal keys."""
    assert len(TRANSFORM) == 22
    values = [path.read_bytes().strip() for path in TRANSFORM]
    data = b"".join(
        b'{"text": "a", "id": %s}\n{"text": %s}\n{"text": "b", "x": %s}\n%s\n' % ((value,) * 4) for value in values
    )
    expected = assert_read(implementation, tmp_path / "transform.jsonl", data)
    assert 30 < len(expected.documents) < 2 * 22


# Parquet

ROWS = {"text": [f"one two {n}" for n in range(6)], "id": list(range(6))}


def parquet(path: Path, **options) -> bytes:
    options = {"store_schema": False, "write_statistics": False, "compression": "none"} | options
    pq.write_table(pa.table(ROWS), path, write_page_checksum=True, **options)
    return path.read_bytes()


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_parquet_with_every_bit_flipped(tmp_path, compression):
    """Also in the footer: nothing ends the process, and both backends say the same."""
    content = parquet(tmp_path / "whole.parquet", compression=compression)
    for implementation in BACKENDS:
        assert read_all(implementation.use(), tmp_path / "whole.parquet").outcomes[0]["documents"] == 6
    size = 8 * len(content)
    wanted = set(range(size) if ALL else range(3 if compression == "zstd" else 0, size, 6))
    wanted |= {bit for bit in FATAL_ONCE if bit < size}
    paths = []
    for bit, changed in zip(sorted(wanted), flipped(content, iter(sorted(wanted))), strict=True):
        paths.append(tmp_path / f"{bit}.parquet")
        paths[-1].write_bytes(changed)
    native, numba = (read_all(implementation.use(), *paths) for implementation in BACKENDS)
    assert_alike(numba, native, "numba against native")
    statuses = [outcome["status"] for outcome in native.outcomes]
    assert statuses.count("damaged") > len(paths) // 2 and "ok" in statuses


FATAL_ONCE = (1616, 1704, 1840, 2270, 2278, 2646)
"""Bits of the footer that pyarrow 26 ends the process over, if it is asked for a column's metadata."""


def test_parquet_cut_at_every_byte(tmp_path):
    content = parquet(tmp_path / "whole.parquet")
    paths = []
    for size in range(0, len(content), 1 if ALL else 3):
        paths.append(tmp_path / f"{size}.parquet")
        paths[-1].write_bytes(content[:size])
    native, numba = (read_all(implementation.use(), *paths) for implementation in BACKENDS)
    assert_alike(numba, native, "numba against native")
    for path, outcome in zip(paths, native.outcomes, strict=True):
        assert (outcome["status"], outcome["documents"], outcome["bytes_lost"]) == ("damaged", 0, path.stat().st_size)


# Whole corpora, as users meet them: the table of docs/faults.md

Files = dict[str, bytes]


def parquet_bytes(path: Path) -> Files:
    content = bytearray(parquet(path / "x"))
    (path / "x").unlink()
    content[len(content) // 4] ^= 1
    return {"f.parquet": bytes(content)}


CUT = in_blocks([GOOD, GOOD, GOOD[:12]])[:-4]
FLIP = bytearray(compress(GOOD, level=1))
FLIP[-1] ^= 1
WINDOW = frame_of(GOOD, window=window_descriptor(28))
CASES: dict[str, Files | Callable[[Path], Files]] = {
    "a zstd frame is cut": {"f.jsonl.zst": CUT},
    "a gzip member is cut": {"f.jsonl.gz": gzip.compress(GOOD * 9, 0)[:-12]},
    "a bit is flipped, in a frame with a checksum": {"f.jsonl.zst": compress(GOOD) + bytes(FLIP)},
    "a bit is flipped in the text, without a checksum": {"f.jsonl.zst": frame_of(GOOD[:-4] + bytes([GOOD[-4] ^ 1]) + GOOD[-3:])},
    "other bytes behind the last frame": {"f.jsonl.zst": compress(GOOD) + b"other bytes"},
    "empty, skippable, concatenated frames": {"f.jsonl.zst": compress(b"") + b"\x50\x2a\x4d\x18\1\0\0\0x" + compress(GOOD) * 2},
    "a frame wants a dictionary": {"f.jsonl.zst": frame_of(GOOD, dictionary=7)},
    "a window above the limit": {"f.jsonl.zst": WINDOW},
    "a seek table lies": {"f.jsonl.zst": compress(GOOD) + b"\x5e\x2a\x4d\x18\x11\0\0\0" + b"\xff" * 8 + b"\x09\0\0\0\0" + b"\xb1\xea\x92\x8f"},
    "the content is not of the declared size": {"f.jsonl.zst": frame_of(GOOD, content_size=1000) + compress(GOOD)},
    "a bomb: one line of gigabytes": {"f.jsonl.zst": long_line(256 * MIB) + frame_of(b"\n" + GOOD)},
    "xz, lz4, bzip2, zip, Parquet or Arrow under another name": {"f.jsonl.zst": lzma.compress(GOOD)},
    "zstd, gzip or plain text under another name": {"a.jsonl.gz": compress(GOOD), "b.jsonl.zst": gzip.compress(GOOD), "c.zst": GOOD},
    "a tar": {"f.jsonl.zst": compress(tarred())},
    "compressed twice": {"f.jsonl.zst": compress(compress(GOOD))},
    "a line above --max-record-bytes": {"f.jsonl": GOOD + b"x" * (64 * MIB + 1) + b"\n" + GOOD},
    "a line that is not UTF-8": {"f.jsonl": GOOD + b'{"text": "\xff"}\n'},
    "a line that is not JSON, NUL bytes, nested above 1,024": {"f.jsonl": GOOD + b"\0\n" + b"[" * 2000 + b"]" * 2000 + b"\n{text}\n"},
    "a value that is no object": {"f.jsonl": GOOD + b'[]\n"a"\n1\n'},
    "no text field": {"f.jsonl": GOOD + b'{"txt": "a"}\n'},
    "a number, null, array or object for text": {"f.jsonl": GOOD + b'{"text": null}\n{"text": 1}\n{"text": ["a"]}\n{"text": {}}\n'},
    "lone surrogates, escaped": {"f.jsonl": b'{"text": "\\ud800"}\n'},
    "equal keys, huge numbers": {"f.jsonl": b'{"text": "a", "text": 1, "x": 1' + b"0" * 5000 + b"}\n"},
    "a byte order mark, CRLF, blank lines, no final line break": {"f.jsonl": BOM + b'{"text": "a"}\r\n\r\n \n{"text": "b"}'},
    "a byte order mark further on": {"f.jsonl": BOM + GOOD + BOM + GOOD},
    "UTF-16": {"f.jsonl": '{"text": "a"}\n'.encode("utf-16")},
    "a Parquet page is flipped": parquet_bytes,
    "a Parquet file is cut": {"f.parquet": b"PAR1" + bytes(40)},
    "a Parquet file without the text column": lambda path: {"f.parquet": without_text(path)},
    "an empty file": {"f.jsonl": b"", "g.jsonl.zst": compress(b"")},
    "all files are bad": {"f.jsonl": b"bad\n" * 3, "g.jsonl.zst": compress(b"") + b"other bytes"},
    "no file matches": {"readme.txt": GOOD},
}  # fmt: skip


def without_text(path: Path) -> bytes:
    pq.write_table(pa.table({"body": ["a"]}), path / "x")
    content = (path / "x").read_bytes()
    (path / "x").unlink()
    return content


def table_rows() -> dict[str, list[str]]:
    section = PAGE.read_text("utf-8").partition("## Damaged and hostile data")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    return {row[0]: row[1:] for row in cells}


def test_the_table_names_every_case():
    assert list(table_rows()) == list(CASES)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend_name", [implementation.backend for implementation in BACKENDS])
def test_the_table_is_true(tmp_path, monkeypatch, name, backend_name):
    """Status, counters and exit code of each row, through the command line; the law of accounting in summary and errors."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    case = CASES[name]
    for file, content in (case if isinstance(case, dict) else case(tmp_path)).items():
        (corpus / file).write_bytes(content)
    status, counted, code, _ = table_rows()[name]
    monkeypatch.setenv("TEXTASSAY_BACKEND", backend_name)
    arguments = [
        "scan",
        str(corpus),
        "-o",
        str(tmp_path / "out"),
        "--no-report",
        "--signals",
        "n_tokens",
        "--detector",
        "none",
    ]
    with _backend.using(backend_name):
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == int(code), done.output
    if int(code) == 2:
        assert "no file ending in" in done.stderr and not (tmp_path / "out").exists()
        return
    inputs = json.loads((tmp_path / "out" / SUMMARY).read_bytes())["inputs"]
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    outcomes = [one["outcome"] for one in manifest["inputs"]]
    assert {outcome["status"] for outcome in outcomes} == set(re.findall("`(.*?)`", status))
    found = set(inputs["malformed_by_reason"])
    found |= {name for name in ("bytes_lost", "bytes_blank") if inputs["accounted"][name]}
    assert found == set(re.findall("`(.*?)`", counted))
    assert inputs["balanced"]
    errors = [json.loads(line) for line in (tmp_path / "out/errors.jsonl").read_bytes().splitlines()]
    assert len(errors) == inputs["malformed"] + inputs["files_damaged"]
    for error in errors:
        assert set(error) == {"file", "line", "byte_offset", "reason"} and error["file"].startswith(str(corpus))
    assert sum(error["line"] is not None for error in errors) == inputs["malformed"]
    assert inputs["documents"] + inputs["malformed"] <= inputs["lines"]


def test_reasons_are_written_out(tmp_path):
    """What is told of a file that is refused: why, and what would allow it."""
    (tmp_path / "f.jsonl.zst").write_bytes(WINDOW)
    result = scan(tmp_path / "f.jsonl.zst", detector=None)
    assert result.errors[0]["reason"].startswith("damaged: wanted a zstd window") and result.errors[0]["line"] is None
    assert "--max-window 28" in result.errors[0]["reason"]
    assert scan(tmp_path / "f.jsonl.zst", detector=None, max_window_log=28).summary["inputs"]["documents"] == 1


def test_the_table_in_one_corpus(tmp_path):
    """All rows as one corpus: the files' accounts are the same as alone, and threads change nothing."""
    paths = []
    for number, case in enumerate(CASES.values()):
        for file, content in (case if isinstance(case, dict) else case(tmp_path)).items():
            if not file.endswith(".parquet"):
                paths.append(tmp_path / f"{number}-{file}")
                paths[-1].write_bytes(content)
    together = scanned_alike(paths, batch_tokens=3)
    for implementation in BACKENDS:
        alone = [run_scan(implementation.use(), [path], signals=("n_bytes",), batch_tokens=3) for path in paths]
        assert [one.errors[0] for one in alone] == together.errors
        assert sum(one.outcomes[0]["bytes"] for one in alone) == sum(one["bytes"] for one in together.outcomes)
        total = alone[0].profile
        for one in alone[1:]:
            total.merge(one.profile)
        assert total.totals() == together.profile.totals()
