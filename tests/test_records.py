"""Lines and records: what is a document, what is malformed and why, and where each byte is counted."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import naive_records
from implementations import BACKENDS, IMPLEMENTATIONS, on_every_backend, on_every_implementation, packed, scan

DATA = Path(__file__).parent / "data"
JSON_SUITE = sorted((DATA / "jsontestsuite" / "test_parsing").glob("*.json"))


def assert_read(implementation, path: Path, data: bytes, **options) -> naive_records.File:
    """A scan of `data` says what plain json says of it. `options` are those that both understand."""
    expected = naive_records.read(data, **options)
    path.write_bytes(data)
    backend = implementation.use()
    scanned = scan(backend, [path], signals=("n_bytes", "n_chars"), **options)
    columns, outcome = scanned.documents[0], scanned.outcomes[0]
    assert scanned.errors[0] == expected.errors
    assert outcome["status"] == "ok" and outcome["format"] == "plain"
    assert outcome["malformed_by_reason"] == Counter(reason for _, _, reason in expected.errors)
    assert outcome["documents"] == len(expected.documents)
    for counter in ("bytes", "bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long", "lines"):
        assert outcome[counter] == expected.counters[counter], counter
    assert columns.get("id", []) == [d.id for d in expected.documents]
    assert columns.get("line", []) == [d.line for d in expected.documents]
    assert columns.get("byte_offset", []) == [d.byte_offset for d in expected.documents]
    assert columns.get("n_replaced", []) == [d.n_replaced for d in expected.documents]
    assert columns.get("n_chars", []) == [len(d.text) for d in expected.documents]
    assert columns.get("n_bytes", []) == [len(d.text.encode()) for d in expected.documents]
    # The texts themselves: as tokens "char" their histogram is that of their characters.
    characters = Counter(ch.encode() for d in expected.documents for ch in d.text)
    as_characters = scan(backend, [path], signals=(), tokens="char", documents=False, **options)
    types = as_characters.profile.types()
    data_of, at = types["token_bytes"].tobytes(), types["token_offsets"].tolist()
    found = [(data_of[a:b], c) for a, b, c in zip(at, at[1:], types["counts"].tolist(), strict=False)]
    assert found == sorted(characters.items())
    return expected


def line(value) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def test_suite_is_whole():
    assert len(JSON_SUITE) == 318


def valid_by_name(name: str) -> bool | None:
    return {"y": True, "n": False, "i": None}[name[0]]


@on_every_implementation
def test_json_test_suite(implementation, tmp_path):
    """Each case as the value of a field beside the text. y_ is taken, n_ is refused; what i_ is, semantics.md says (plain json agrees)."""
    lines, names = [], []
    for path in JSON_SUITE:
        value = path.read_bytes()
        if b"\n" in value or b"\r" in value:
            continue  # several lines of JSONL: below
        lines.append(b'{"text": "kept", "id": %d, "value": ' % len(names) + value + b"}\n")
        names.append(path.name)
    assert len(names) > 280
    expected = assert_read(implementation, tmp_path / "suite.jsonl", b"".join(lines))
    kept = {int(d.id) for d in expected.documents}
    reasons = {number - 1: reason for number, _, reason in expected.errors}
    for number, name in enumerate(names):
        assert (number in kept) != (number in reasons)
        if (wanted := valid_by_name(name)) is not None:
            # A case that ends our object early ("{}}" in n_object_... ) is refused as well: nothing may stand behind the value.
            assert (number in kept) == wanted, name


@on_every_implementation
def test_json_test_suite_as_whole_lines(implementation, tmp_path):
    """Each file as it is: the documents are those that are objects with a text; line breaks within a case make more lines of it."""
    data = b"".join(path.read_bytes() + b"\n" for path in JSON_SUITE)
    expected = assert_read(implementation, tmp_path / "suite.jsonl", data)
    reasons = Counter(reason for _, _, reason in expected.errors)
    assert reasons["not_json"] > 150 and reasons["not_object"] > 50 and reasons["no_text_field"] > 10
    assert reasons["invalid_utf8"] > 20


@on_every_backend
@pytest.mark.parametrize("path", [p for p in JSON_SUITE if b"\n" in p.read_bytes()], ids=lambda p: p.stem)
def test_cases_of_several_lines(implementation, tmp_path, path):
    assert_read(implementation, tmp_path / "case.jsonl", path.read_bytes())


@on_every_implementation
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_naughty_strings(implementation, tmp_path, ensure_ascii):
    strings = json.loads((DATA / "naughty-strings" / "blns.json").read_text(encoding="utf-8"))
    assert len(strings) > 500
    data = b"".join(
        json.dumps({"id": s, "text": s + " " + s}, ensure_ascii=ensure_ascii).encode() + b"\n" for s in strings
    )
    expected = assert_read(implementation, tmp_path / "blns.jsonl", data)
    assert len(expected.documents) == len(strings)


@on_every_implementation
def test_naughty_text_file(implementation, tmp_path):
    """blns.txt as it is: next to nothing of it is JSON, and every line of it is accounted for."""
    expected = assert_read(implementation, tmp_path / "blns.txt", (DATA / "naughty-strings" / "blns.txt").read_bytes())
    assert not expected.documents and len(expected.errors) > 500


@on_every_implementation
def test_naughty_strings_measured(implementation):
    backend = implementation.use()
    strings = json.loads((DATA / "naughty-strings" / "blns.json").read_text(encoding="utf-8"))
    columns = backend.Measurer(backend.SIGNALS).measure(*packed([s.encode() for s in strings]))
    assert columns["n_chars"].tolist() == [len(s) for s in strings]


LINES = {
    "plain": b'{"text": "a"}\n',
    "no final newline": b'{"text": "a"}\n{"text": "b"}',
    "CR LF": b'{"text": "a"}\r\n{"text": "b"}\r\n',
    "CR CR LF": b'{"text": "a"}\r\r\n',
    "CR at the end": b'{"text": "a"}\r',
    "CR alone breaks no line": b'{"text": "a"}\r{"text": "b"}\n',
    "blank lines": b'\n\n{"text": "a"}\n \t\r\n\r\n{"text": "b"}\n\n',
    "only blanks": b"\n \n\t\n",
    "blank without newline": b'{"text": "a"}\n  ',
    "empty": b"",
    "one newline": b"\n",
    "BOM": b'\xef\xbb\xbf{"text": "a"}\n',
    "BOM alone": b"\xef\xbb\xbf",
    "BOM and newline": b'\xef\xbb\xbf\n{"text": "a"}\n',
    "two BOMs": b'\xef\xbb\xbf\xef\xbb\xbf{"text": "a"}\n{"text": "b"}\n',
    "BOM on line two": b'{"text": "a"}\n\xef\xbb\xbf{"text": "b"}\n',
    "half a BOM": b'\xef\xbb{"text": "a"}\n',
    "BOM in the text": '{"text": "\ufeffa"}\n'.encode(),
    "form feed is not blank": b'\x0c\n{"text": "a"}\n',
    "no-break space is not blank": '\xa0\n{"text": "a"}\n'.encode(),
    "NUL bytes": b'\x00\n{"text": "\x00"}\n{"text": "a"}\x00\n',
    "white space around": b' \t{ "text" : "a" , "id" : "b" } \t\n',
    "two values on a line": b'{"text": "a"} {"text": "b"}\n',
    "value cut by a line": b'{"text":\n"a"}\n',
    "array of records": b'[{"text": "a"}]\n',
    "scalars": b'1\n"a"\nnull\ntrue\n[]\n',
    "words that are no values": b"nul\nTrue\nNaN\nInfinity\n-Infinity\nundefined\n",
    "NaN inside": b'{"text": "a", "x": NaN}\n{"text": "a", "x": -Infinity}\n',
    "trailing comma": b'{"text": "a",}\n{"text": "a", "x": [1,]}\n',
    "comment": b'{"text": "a"} // no\n{"text": "a" /* no */}\n',
    "single quotes": b"{'text': 'a'}\n",
    "control characters": b'{"text": "a\tb"}\n{"text": "a\x1fb"}\n{"text": "a\x7fb"}\n',
    "control characters elsewhere": b'{"text": "a", "x\ty": 1}\n{"text": "a", "x": "\x01"}\n',
    "empty text": b'{"text": ""}\n',
    "text of blanks": b'{"text": "   "}\n',
    "text missing": b'{"Text": "a"}\n{}\n{"texts": ["a"]}\n',
    "text not a string": b'{"text": null}\n{"text": 1}\n{"text": ["a"]}\n{"text": {"text": "a"}}\n{"text": true}\n{"text": 1.5}\n',
    "duplicates: the first": b'{"text": "first", "text": "second"}\n{"text": 1, "text": "second"}\n{"text": "first", "text": 1}\n',
    "duplicates after unescaping": b'{"t\\u0065xt": "first", "text": "second"}\n{"text": "first", "\\u0074ext": 2}\n',
    "duplicate ids": b'{"id": 1, "text": "a", "id": 2}\n',
    "key with a NUL": b'{"text\\u0000": "no", "text": "yes"}\n',
    "key that is a prefix": b'{"tex": "no", "text2": "no", "text": "yes"}\n',
    "text inside another object": b'{"x": {"text": "no"}, "text": "yes"}\n{"x": {"text": "no"}}\n',
    "huge numbers": b'{"text": "a", "x": ' + b"9" * 5000 + b', "y": -1e99999, "z": 1.' + b"0" * 4000 + b"e-9999}\n",
    "bad numbers": b'{"text": "a", "x": 01}\n{"text": "a", "x": 1.}\n{"text": "a", "x": .5}\n{"text": "a", "x": +1}\n{"text": "a", "x": 1e}\n{"text": "a", "x": 0x1}\n{"text": "a", "x": -}\n',
    "bad literals": b'{"text": "a", "x": nulL}\n{"text": "a", "x": truefalse}\n{"text": "a", "x": nullnull}\n',
    "escapes": b'{"text": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\ud55c\\ud83d\\ude00"}\n',
    "escaped NUL": b'{"text": "a\\u0000b"}\n',
    "bad escapes": b'{"text": "\\x41"}\n{"text": "\\u12"}\n{"text": "\\u12g4"}\n{"text": "\\"}\n{"text": "\\U0041"}\n{"text": "\\\'"}\n',
    "bad escapes elsewhere": b'{"text": "a", "x": "\\x41"}\n{"text": "a", "\\q": 1}\n{"x": "\\u12", "text": "a"}\n',
    "unclosed": b'{"text": "a\n{"text": "a"\n{"text": \n{"text"\n{\n{"text": "a"}}\n{"text": "a"}]\n',
    "missing colon and comma": b'{"text" "a"}\n{"text": "a" "id": 1}\n{"text": "a",, "id": 1}\n{,"text": "a"}\n',
    "keys that are no strings": b'{1: 2, "text": "a"}\n{null: 1, "text": "a"}\n',
    "malformed behind the text": b'{"text": "a", "x": [1, 2}\n{"text": "a", "x": }\n{"text": "a", "x"}\n',
}  # fmt: skip


@pytest.mark.parametrize("data", LINES.values(), ids=LINES)
@on_every_backend
def test_lines(implementation, tmp_path, data):
    assert_read(implementation, tmp_path / "lines.jsonl", data)


@on_every_implementation
def test_all_lines_in_one_file(implementation, tmp_path):
    whole = b"\n".join(data for name, data in LINES.items() if "BOM" not in name)
    expected = assert_read(implementation, tmp_path / "lines.jsonl", whole)
    assert {reason for _, _, reason in expected.errors} == {
        "not_json",
        "not_object",
        "no_text_field",
        "text_not_string",
    }


SURROGATES = {
    "high": (b"\\ud800", "\ufffd", 1),
    "low": (b"\\udc00", "\ufffd", 1),
    "two high": (b"\\ud800\\ud800", "\ufffd\ufffd", 2),
    "wrong order": (b"\\udc00\\ud800", "\ufffd\ufffd", 2),
    "high, pair": (b"\\ud800\\ud83d\\ude00", "\ufffd😀", 1),
    "pair, low": (b"\\ud83d\\ude00\\udc00", "😀\ufffd", 1),
    "high, other escape": (b"\\ud800\\n", "\ufffd\n", 1),
    "high, u0041": (b"\\ud800\\u0041", "\ufffdA", 1),
    "high, character": (b"\\ud800a", "\ufffda", 1),
    "high, character, low": (b"\\ud83da\\ude00", "\ufffda\ufffd", 2),
    "pair": (b"\\uD83D\\uDE00", "😀", 0),
    "first and last pair": (b"\\ud800\\udc00\\udbff\\udfff", "\U00010000\U0010ffff", 0),
    "a real U+FFFD": (b"\\ufffd\xef\xbf\xbd", "\ufffd\ufffd", 0),
}


@pytest.mark.parametrize(("escaped", "text", "replaced"), SURROGATES.values(), ids=SURROGATES)
@on_every_backend
def test_lone_surrogates(implementation, tmp_path, escaped, text, replaced):
    data = b"".join(
        b'{"id": "%s", "text": "%s%s"}\n' % (escaped, b"x" * n, escaped) for n in (0, 1, 31, 32, 60, 63, 64)
    )
    data += b'{"text": "clean", "other": "%s"}\n' % escaped
    expected = assert_read(implementation, tmp_path / "surrogates.jsonl", data)
    assert [d.text for d in expected.documents] == ["x" * n + text for n in (0, 1, 31, 32, 60, 63, 64)] + ["clean"]
    assert [d.id for d in expected.documents] == [text] * 7 + [None]
    assert [d.n_replaced for d in expected.documents] == [replaced] * 7 + [0]


@on_every_backend
def test_surrogates_of_all_text_fields_are_counted(implementation, tmp_path):
    data = b'{"a": "\\ud800", "b": "x\\udc00\\udc00", "c": "\\ud800"}\n'
    expected = assert_read(implementation, tmp_path / "f.jsonl", data, text_fields=(("a",), ("b",)))
    assert expected.documents[0].n_replaced == 3


NESTINGS = {"arrays": (b"[", b"]"), "objects": (b'{"a":', b"}")}


@pytest.mark.parametrize(("opening", "closing"), NESTINGS.values(), ids=NESTINGS)
@on_every_backend
def test_nesting(implementation, tmp_path, opening, closing):
    """The record is level 1, so 1,023 more are fine and 1,024 are not, wherever they stand; what never closes is not JSON anyway."""
    lines = []
    for levels in (1, 1000, 1022, 1023, 1024, 1025, 5000, 100_000):
        nested = opening * levels + b"1" + closing * levels
        lines += [b'{"text": "before", "x": %s}\n' % nested, b'{"x": %s, "text": "behind"}\n' % nested]
        lines += [nested + b"\n", opening * levels + b"\n"]
    expected = assert_read(implementation, tmp_path / "deep.jsonl", b"".join(lines))
    assert len(expected.documents) == 2 * 4


@on_every_backend
def test_brackets_in_strings_do_not_nest(implementation, tmp_path):
    text = "[{" * 2000 + '"' + "\\" * 3 + "]}" * 7
    expected = assert_read(implementation, tmp_path / "flat.jsonl", line({"text": text, "x": [text]}))
    assert len(expected.documents) == 1


PATHS = {
    "nested": ((("a", "b"),), b'{"a": {"b": "x"}}\n{"a": {"c": "x"}}\n{"a": "b"}\n{"a": {"b": 1}}\n{"a": [{"b": "x"}]}\n'),
    "index": ((("a", "1"),), b'{"a": ["x", "y"]}\n{"a": ["x"]}\n{"a": {"1": "key"}}\n{"a": ["x", null]}\n{"a": []}\n'),
    "index of objects": ((("m", "0", "content"),), b'{"m": [{"content": "x"}, {"content": "y"}]}\n{"m": [[]]}\n'),
    "number as key": ((("0",),), b'{"0": "x"}\n["x"]\n'),
    "key with dots and slashes": ((("a.b", "c/d", "e~f"),), b'{"a.b": {"c/d": {"e~f": "x"}}}\n'),
    "empty key": ((("",),), b'{"": "x"}\n{"a": "x"}\n'),
    "non-ASCII key": ((("tëxt",),), '{"tëxt": "x"}\n{"t\\u00ebxt": "y"}\n{"te\u0308xt": "z"}\n'.encode()),
    "two joined": ((("t",), ("b",)), b'{"t": "x", "b": "y"}\n{"b": "y", "t": "x"}\n{"t": "x"}\n{"b": "y"}\n{"c": "z"}\n'),
    "joined, one wrong": ((("t",), ("b",)), b'{"t": "x", "b": 1}\n{"t": 1, "b": "y"}\n{"t": null}\n{"b": null, "t": "x"}\n'),
    "joined, one empty": ((("t",), ("b",)), b'{"t": "", "b": "y"}\n{"t": "x", "b": ""}\n{"t": "", "b": ""}\n'),
    "three joined": ((("c",), ("a", "b"), ("a",)), b'{"a": {"b": "x"}, "c": "y"}\n{"c": "z"}\n{"a": "w", "c": "z"}\n'),
    "the same twice": ((("t",), ("t",)), b'{"t": "x"}\n'),
    "one inside the other": ((("a",), ("a", "b")), b'{"a": {"b": "x"}}\n{"a": "y"}\n'),
    "through a duplicate": ((("a", "b"),), b'{"a": 1, "a": {"b": "x"}}\n{"a": {"b": "x", "b": "y"}, "a": {"b": "z"}}\n'),
}  # fmt: skip


@pytest.mark.parametrize(("text_fields", "data"), PATHS.values(), ids=PATHS)
@on_every_backend
def test_text_fields(implementation, tmp_path, text_fields, data):
    assert_read(implementation, tmp_path / "fields.jsonl", data, text_fields=text_fields)


IDS = {
    "string": b'"a b"', "empty": b'""', "zero": b"0", "minus zero": b"-0", "small": b"-17", "int64 min": b"-9223372036854775808",
    "below int64": b"-9223372036854775809", "int64 max": b"9223372036854775807", "above int64": b"9223372036854775808",
    "uint64 max": b"18446744073709551615", "above uint64": b"18446744073709551616", "long": b"1" * 40, "float": b"1.0",
    "exponent": b"1e2", "minus zero float": b"-0.0", "null": b"null", "true": b"true", "array": b"[1]", "object": b'{"id": 1}',
    "escaped": b'"\\u0041\\n"', "non-ASCII": '"é한😀"'.encode(), "surrogate": b'"\\ud800"', "long string": b'"' + b"i" * 5000 + b'"',
}  # fmt: skip


@on_every_implementation
def test_ids(implementation, tmp_path):
    data = (
        b"".join(b'{"id": %s, "text": "a"}\n{"text": "b", "id": %s}\n' % (i, i) for i in IDS.values())
        + b'{"text": "c"}\n'
    )
    expected = assert_read(implementation, tmp_path / "ids.jsonl", data)
    by_name = dict(zip(IDS, [d.id for d in expected.documents][::2], strict=False))
    assert by_name["minus zero"] == "0" and by_name["uint64 max"] == "18446744073709551615"
    assert [name for name, value in by_name.items() if value is None] == [
        "below int64", "above uint64", "long", "float", "exponent", "minus zero float", "null", "true", "array", "object",
    ]  # fmt: skip


@on_every_backend
def test_id_field(implementation, tmp_path):
    data = b'{"meta": {"ids": [7, "x"]}, "text": "a"}\n{"meta": {"ids": []}, "text": "a"}\n{"meta": 1, "text": "a"}\n'
    expected = assert_read(implementation, tmp_path / "ids.jsonl", data, id_field=("meta", "ids", "1"))
    assert [d.id for d in expected.documents] == ["x", None, None]
    assert_read(implementation, tmp_path / "ids.jsonl", b'{"text": "a", "id": 1}\n', id_field=("text",))


@on_every_backend
def test_record_limit(implementation, tmp_path):
    """The limit is on the line without its break; exactly at it is fine. Too long comes before every other reason."""
    records = [b'{"text": "%s"}' % (b"x" * n) for n in (86, 87, 88, 89, 90, 5000, 70_000)]
    records += [b"\xff" * 101, b"[" * 101, b"\xff" * 100, b" " * 99 + b"1"]
    for line_break in (b"\n", b"\r\n"):
        data = b"".join(r + line_break for r in records)
        expected = assert_read(implementation, tmp_path / "long.jsonl", data, max_record_bytes=100)
        assert Counter(reason for _, _, reason in expected.errors) == {
            "too_long": 6,
            "invalid_utf8": 1,
            "not_object": 1,
        }
    assert_read(implementation, tmp_path / "long.jsonl", data[:-2], max_record_bytes=100)


@on_every_backend
def test_long_records(implementation, tmp_path):
    """Records longer than any block."""
    data = b"".join(line({"id": n, "text": "word é. " * n}) for n in (1, 1000, 200_000, 1, 600_000, 3))
    expected = assert_read(implementation, tmp_path / "long.jsonl", data)
    assert len(expected.documents) == 6
    expected = assert_read(implementation, tmp_path / "long.jsonl", data, max_record_bytes=1 << 20)
    assert [e[2] for e in expected.errors] == ["too_long", "too_long"]


BAD_UTF8 = (b"\x80", b"\xc3", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xff")


@on_every_implementation
def test_invalid_utf8_anywhere_in_a_record(implementation, tmp_path):
    """In the text, in other values, in keys, outside strings, at every position around the borders of 64 bytes."""
    lines = []
    for bad in BAD_UTF8:
        for n in (0, 1, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 110, 116, 117, 118):
            lines.append(b'{"text": "%s%s"}\n' % (b"x" * n, bad))
            lines.append(b'{"text": "%s%s tail"}\n' % (b"x" * n, bad))
        lines += [b'{"text": "a", "%s": 1}\n' % bad, b'{"text": "a", "b": "%s"}\n' % bad, b'{"text": "a"}%s\n' % bad]
        lines += [b'{"text": "good"}\n', bad + b"\n", b"not json %s\n" % bad]
    expected = assert_read(implementation, tmp_path / "bad.jsonl", b"".join(lines))
    assert {reason for _, _, reason in expected.errors} == {"invalid_utf8"}
    assert len(expected.documents) == len(BAD_UTF8)


# Mutations of good lines: what plain json says of any bytes, both backends say too.

GOOD = [
    b'{"id": 17, "text": "It\'s one. \\u00e9\\ud83d\\ude00 \\n two", "x": [1, -2.5e3, null, {"y": "z"}]}',
    '{"meta": {"source": "é한😀"}, "text": "Zwölf Boxkämpfer", "n": true}'.encode(),
    b'{"text": "", "id": "a\\\\b"}',
]
ALPHABET = st.sampled_from(
    list(b'{}[]":,\\/utfnr0123456789abc -+.eE\t\r\n \x00\x1f\x7f\x80\xc3\xa9\xe2\xed\xa0\xf0\xff')
)


@st.composite
def mutated_lines(draw) -> bytes:
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        raw = bytearray(draw(st.sampled_from(GOOD)))
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(raw)))
            kind = draw(st.sampled_from("sid"))
            if kind == "i":
                raw.insert(at, draw(ALPHABET))
            elif at < len(raw):
                if kind == "s":
                    raw[at] = draw(ALPHABET)
                else:
                    del raw[at : at + draw(st.integers(1, 4))]
        lines.append(bytes(raw))
    return draw(st.sampled_from([b"\n", b"\r\n"])).join(lines) + draw(st.sampled_from([b"\n", b""]))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated") / "lines.jsonl"


@settings(max_examples=1000, deadline=None)
@example(data=b'{"text": "\\ud800\\u')
@example(data=b'{"text": "a", "x": 1}1\n')
@given(data=mutated_lines())
def test_mutated_lines(scratch, data):
    for implementation in BACKENDS:
        assert_read(implementation, scratch, data)


def test_kernels_do_not_matter_for_records(tmp_path):
    data = b"\n".join(LINES.values())
    for implementation in IMPLEMENTATIONS:
        assert_read(implementation, tmp_path / "f.jsonl", data)
