"""Whole scans: the compiled backend against numba, on one thread and on three, and both against plain `json` and the bytes' account.

The first four bytes choose how to scan, the others are the file.
"""

import gzip
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from mutation import mutated_bytes

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import naive_records
from implementations import backend_module, comparable, profile_of, scan

_TOKENS = ("word", "byte", "char", "bigram")
_LIMITS = (1 << 20, 30, 100, 1000)
_BATCHES = (1 << 20, 5, 40, 300)
_TYPES = (1 << 20, 16, 1, 100)
_SIGNALS = tuple(
    name
    for name in backend_module("native").SIGNALS
    if not name.startswith(("synthetic", "anchor", "tail", "oov", "perplexity"))
)

_RECORDS = [
    b'{"id": 17, "text": "It\'s one. \\u00e9\\ud83d\\ude00 \\n two", "x": [1, -2.5e3, null, {"y": "z"}]}',
    '{"meta": {"source": "é한😀"}, "text": "Zwölf Boxkämpfer: U.S.A. 3.5 can’t", "n": true}'.encode(),
    b'{"text": "", "id": "a\\\\b"}',
    b'{"text": "a a a b b c. A b. a\\nb\\n\\na b\\na b\\n", "id": -0}',
    '{"text": "カタカナ_ひらがな א\\"א \u200b\u200d❤️ 🇩🇪🇫🇷\u0301\u202f x"}'.encode(),
    b'{"text": "\\ud800 x \\udc00", "id": 18446744073709551616}',
    b'{"text": 5}',
    b'{"id": "x"}',
    b"[1]",
    b" \t",
    b'{"text": "%s"}' % (b"word and more words, " * 40),
    b'{"text": "in conclusion, it is important to note that delve", "text": 1}',
]
_MARKS = [one.encode() for one in '"\\{}[],:\n\r\0\ufeff'] + [b"\\u", b"\r\n", b"\xed\xa0\x80"]
_CHARACTERS = [one.encode() for one in "aA1_.',;!? éßİ\u0301\u200d\u2019\u202fאカひ漢🇩❤\u0085\u2028ง\u00ad"]


def seeds() -> Iterator[bytes]:
    whole = b"\n".join(_RECORDS) + b"\n"
    for how in range(4):
        yield bytes((how, how, how, how)) + whole
    yield b"\0\0\0\0" + zstandard.compress(whole)
    yield b"\0\0\0\1" + gzip.compress(whole)
    for record in _RECORDS:
        yield b"\0\1\1\1" + record


def check(data: bytes) -> None:
    tokens, limit, batch, types = (
        table[byte % 4]
        for table, byte in zip((_TOKENS, _LIMITS, _BATCHES, _TYPES), data[:4].ljust(4, b"\0"), strict=True)
    )
    options: dict[str, Any] = {"tokens": tokens, "max_record_bytes": limit, "batch_tokens": batch, "max_types": types}
    options |= {"signals": _SIGNALS, "markers": [[b"delve"], [b"in", b"conclusion"], [b"important", b"to", b"note"]]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "f")
        path.write_bytes(data[4:])
        one, three = (
            scan(backend_module("native"), [os.fsencode(path)], threads=threads, **options) for threads in (1, 3)
        )
        other = scan(backend_module("numba"), [os.fsencode(path)], threads=1, **options)
    _compare(one, three)
    if (
        one.outcomes[0]["status"] == "ok" == other.outcomes[0]["status"]
    ):  # how much of a damaged frame comes out is the decoder's own
        _compare(one, other)
    else:
        assert one.outcomes[0]["status"] == other.outcomes[0]["status"]
    if one.outcomes[0]["format"] == "plain":
        _compare_records(one, data[4:], limit)


def _compare(one: Any, other: Any) -> None:
    assert comparable(one.outcomes[0]) == comparable(other.outcomes[0])
    assert one.errors == other.errors
    assert one.documents == other.documents
    assert one.batches == other.batches
    assert profile_of(one.profile) == profile_of(other.profile)


def _compare_records(scanned: Any, data: bytes, limit: int) -> None:
    expected = naive_records.read(data, max_record_bytes=limit)
    assert scanned.errors[0] == expected.errors
    assert scanned.documents[0].get("id", []) == [document.id for document in expected.documents]
    sizes = [len(document.text.encode()) for document in expected.documents]
    assert scanned.documents[0].get("n_bytes", []) == sizes
    for counter in ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long"):
        assert scanned.outcomes[0][counter] == expected.counters[counter], counter


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Records exchanged, pieces of text put into them, now and then compressed. Nothing measures what an input reaches in compiled
    code, so none is kept to be changed further: each second one begins with records chosen anew, and is changed often.
    """
    how, lines = bytearray(data[:4].ljust(4, b"\0")), data[4:].split(b"\n")
    if rng.randrange(2) or len(data) < 10:
        how = bytearray(rng.randrange(4) for _ in range(4))
        lines = [rng.choice(_RECORDS) for _ in range(1 + rng.randrange(8))]
    for _ in range(rng.choice((1, 2, 4, 16, 64))):
        at, kind = rng.randrange(len(lines)), rng.randrange(6)
        if kind == 0:
            lines.insert(at, rng.choice(_RECORDS))
        elif kind == 1 and len(lines) > 1:
            del lines[at]
        elif kind == 2:
            lines[at] = mutated_bytes(lines[at], rng, _MARKS + _CHARACTERS)
        else:
            begin = lines[at].find(b'"text": "') + 9
            place = rng.randint(0, len(lines[at])) if begin < 9 else min(begin + rng.randrange(80), len(lines[at]))
            pieces = b"".join(rng.choice(_CHARACTERS) for _ in range(rng.choice((1, 1, 3, 40)))) * rng.choice(
                (1, 1, 1, 100)
            )
            lines[at] = lines[at][:place] + pieces + lines[at][place:]
    content = b"\n".join(lines)
    return bytes(how) + (zstandard.compress(content) if rng.randrange(20) == 0 else content)
