"""Parquet files: the same documents give the same result as JSONL, and every row is accounted for."""

import datetime
import decimal
import json
import random
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from implementations import BACKENDS, Scanned, assert_accounted, comparable, on_every_backend, profile_of
from implementations import scan as run_scan
from test_cli import textassay
from textassay import UsageError, build_anchor, check_anchor, load_anchor, parquet, scan
from textassay.inputs import resolve_inputs
from textassay.parquet import ParquetRows, is_parquet, sources_of

WORDS = ["the", "of", "and", "a", "tail", "rare", "naïve", "日本", "word's", "3.14", "end.", "So\n\nit", "goes"]
DOCUMENTS = [
    {"id": f"d{n}", "text": " ".join(random.Random(n).choices(WORDS, k=n % 90)), "site": f"s{n % 3}"}
    for n in range(700)
]


def write(path: Path, columns: dict | pa.Table, **options) -> Path:
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path, **options)
    return path


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def rows_of(path: Path, text_fields=(("text",),), id_field=("id",), value_fields=()) -> ParquetRows:
    (source,) = sources_of(resolve_inputs(path), text_fields, id_field, value_fields)
    return source


def read_all(module, *paths: Path, text_fields=(("text",),), id_field=("id",), **options) -> Scanned:
    """Through a backend, as `implementations.scan` does."""
    sources = [rows_of(path, text_fields, id_field) for path in paths]
    return run_scan(module, sources, text_fields=text_fields, id_field=id_field, **options)


def texts_of(scanned: Scanned) -> dict[bytes, int]:
    types = scanned.profile.types()
    data, at = types["token_bytes"].tobytes(), types["token_offsets"].tolist()
    return {data[a:b]: n for a, b, n in zip(at, at[1:], types["counts"].tolist(), strict=False)}


def same_results(one, other) -> None:
    """Of two scans, all but where the bytes stood."""
    assert one.profile.serialize() == other.profile.serialize()
    assert one.batches.to_arrow().equals(other.batches.to_arrow())
    mine, theirs = one.documents.to_arrow(), other.documents.to_arrow()
    assert mine.num_rows == theirs.num_rows > 0
    for name in mine.schema.names:
        if name not in ("byte_offset",):
            assert mine[name].to_pylist() == theirs[name].to_pylist(), name


# --- the same as JSONL


@pytest.mark.parametrize("group", [1, 7, 250, 10_000])
def test_as_jsonl(backend, tmp_path, group):
    lines = write_lines(tmp_path / "a.jsonl", DOCUMENTS)
    rows = write(tmp_path / "a.parquet", pa.Table.from_pylist(DOCUMENTS), row_group_size=group, compression="zstd")
    wanted = scan(lines, documents="memory", batch_tokens=500)
    for threads in (1, 2, 5):
        found = scan(rows, documents="memory", batch_tokens=500, threads=threads)
        same_results(found, wanted)
        inputs = found.summary["inputs"]
        assert inputs["bytes"] == inputs["accounted"]["bytes_parsed"] == sum(len(d["text"].encode()) for d in DOCUMENTS)
        assert inputs["bytes_compressed"] == rows.stat().st_size and inputs["balanced"]
        assert found.outcomes[0]["format"] == "parquet"
        assert found.documents["byte_offset"].tolist() == [
            0,
            *accumulate(len(d["text"].encode()) for d in DOCUMENTS[:-1]),
        ]


def test_many_files_of_both_kinds(backend, tmp_path):
    """A corpus partly in Parquet: merged in the order of names, whatever the threads."""
    for n in range(6):
        write_lines(tmp_path / f"l{n}.jsonl", DOCUMENTS[n::6])
        write(tmp_path / f"p{n}.parquet", pa.Table.from_pylist(DOCUMENTS[n::6]), row_group_size=20)
    wanted = scan([tmp_path / f"l{n}.jsonl" for n in range(6)], batch_tokens=300)
    mixed = [tmp_path / (f"p{n}.parquet" if n % 2 else f"l{n}.jsonl") for n in range(6)]
    for threads in (1, 3):
        assert scan(mixed, batch_tokens=300, threads=threads).profile.serialize() == wanted.profile.serialize()


def test_a_piece_is_cut_into_blocks(backend, tmp_path):
    """Several MiB in one row group, with a text longer than a block among them."""
    texts = ["common words and more of them. " * n for n in (1, 5_000, 90_000, 2, 30_000, 30_000, 3)]
    rows = write(tmp_path / "a.parquet", {"text": texts})
    lines = write_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    same_results(scan(rows, documents="memory", threads=2), scan(lines, documents="memory"))


CASTS = {
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "binary": pa.binary(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "dictionary of large_string": pa.dictionary(pa.int16(), pa.large_string()),
}


@pytest.mark.parametrize("kind", CASTS)
def test_columns_of_other_types(backend, tmp_path, kind):
    texts = ["one two", None, "", "three one", "one two", "naïve 日本"]
    table = pa.table({"text": pa.array(texts).cast(CASTS[kind]), "id": pa.array([5, None, -7, 0, 1, 2])})
    scanned = read_all(backend, write(tmp_path / "a.parquet", table, row_group_size=4))
    documents = scanned.documents[0]
    assert documents["id"] == ["5", "-7", "0", "1", "2"] and documents["line"] == [1, 3, 4, 5, 6]
    assert documents["n_tokens"][:4] == [2, 0, 2, 2]
    assert texts_of(scanned)[b"one"] == 3 and scanned.errors == [[(2, 7, "no_text_field")]]


IDS = [
    (pa.array(["a", None]), ["a", None]),
    (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
    (pa.array([-(2**63), None], pa.int64()), ["-9223372036854775808", None]),
    (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
    (pa.array([1.0, 2.0]), [None, None]),
    (pa.array([True, False]), [None, None]),
    (pa.array([b"\xff", b"b"]), [None, None]),
    (pa.nulls(2), [None, None]),
]


@pytest.mark.parametrize("number", range(len(IDS)))
def test_ids(backend, tmp_path, number):
    column, wanted = IDS[number]
    scanned = read_all(backend, write(tmp_path / "a.parquet", {"text": ["one", "two"], "id": column}))
    assert scanned.documents[0]["id"] == wanted


NESTED = [
    {"meta": {"title": "Title", "body": {"text": "Body text"}, "tags": ["first", "second"]}, "a.b": "dots"},
    {"meta": {"title": None, "body": None, "tags": []}, "a.b": None},
    {"meta": None, "a.b": "more dots"},
    {"meta": {"title": "", "body": {"text": "Only body"}, "tags": [None, "tag"]}, "a.b": ""},
]


@pytest.mark.parametrize(
    "fields",
    [["meta.title"], ["meta.title", "meta.body.text"], ["meta.tags.1", "/a.b"],
     ["/a.b", "meta.nothing", "meta.body.text", "meta.title"]],
    ids="+".join,
)  # fmt: skip
def test_nested_and_several_fields(backend, tmp_path, fields):
    """As JSONL whose nulls are absent."""

    def without_nulls(value):
        if isinstance(value, dict):
            return {name: without_nulls(one) for name, one in value.items() if one is not None}
        return value

    rows = write(tmp_path / "a.parquet", pa.Table.from_pylist(NESTED))
    lines = [without_nulls(row) for row in NESTED]
    options = {
        "text_fields": fields,
        "id_field": "meta.title",
        "tokens": "char",
        "detector": None,
        "documents": "memory",
    }
    wanted, found = scan(write_lines(tmp_path / "a.jsonl", lines), **options), scan(rows, **options)
    same_results(found, wanted)
    assert [e["line"] for e in found.errors] == [e["line"] for e in wanted.errors]
    assert {e["reason"] for e in found.errors} <= {"no_text_field"}


def test_maps_and_lists(backend, tmp_path):
    maps = pa.array([[("k", "one two"), ("k", "second")], [("other", "x")], None], pa.map_(pa.string(), pa.string()))
    lists = pa.array([["a b", "c"], [], ["d"]], pa.large_list(pa.string()))
    path = write(tmp_path / "a.parquet", {"m": maps, "l": lists})
    assert read_all(backend, path, text_fields=[("m", "k")]).documents[0]["n_tokens"] == [2]
    assert read_all(backend, path, text_fields=[("l", "0")]).documents[0]["line"] == [1, 3]
    scanned = read_all(backend, path, text_fields=[("l", "1"), ("m", "other")])
    assert scanned.documents[0]["line"] == [1, 2]
    path = write(tmp_path / "b.parquet", pa.Table.from_pylist(NESTED))
    assert read_all(backend, path, text_fields=[("meta", "tags", "0")]).documents[0]["line"] == [1]


# --- accounting


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.binary(max_size=12), st.text(max_size=12).map(str.encode)),
            st.one_of(st.none(), st.text(max_size=4).map(str.encode)),
        ),
        min_size=1,
        max_size=12,
    ),
    group=st.integers(1, 5),
)
def test_every_row_ends_in_one_counter(tmp_path, rows, group):
    """Against a plain reading, row by row."""
    limit, parsed, lost, too_long, offset = 16, 0, 0, 0, 0
    errors, documents = [], []
    for number, texts in enumerate(rows, 1):
        there = [text for text in texts if text is not None]
        size = sum(map(len, there))
        if size > limit:
            reason = "too_long"
        elif not all(is_utf8(text) for text in there):
            reason = "invalid_utf8"
        else:
            reason = "" if there else "no_text_field"
        if reason:
            errors.append((number, offset, reason))
            lost += size if reason != "too_long" else 0
            too_long += size if reason == "too_long" else 0
        else:
            documents.append((number, offset, len(b"\n\n".join(there))))
            parsed += size
        offset += size
    table = {"a": pa.array([a for a, _ in rows], pa.binary()), "b": pa.array([b for _, b in rows], pa.binary())}
    path = write(tmp_path / "a.parquet", table, row_group_size=group)
    for implementation in BACKENDS:
        found = read_all(implementation.use(), path, text_fields=[("a",), ("b",)], max_record_bytes=limit, threads=2)
        outcome, columns = found.outcomes[0], found.documents[0]
        assert found.errors[0] == errors
        assert [
            tuple(row) for row in zip(*(columns.get(n, ()) for n in ("line", "byte_offset", "n_bytes")))
        ] == documents
        assert (outcome["bytes_parsed"], outcome["bytes_malformed"]) == (parsed, lost)
        assert (outcome["bytes_too_long"], outcome["bytes"], outcome["lines"]) == (too_long, offset, len(rows))
        assert outcome["documents"] + outcome["malformed"] == len(rows)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_an_id_that_is_no_utf8_makes_its_record_malformed(backend, tmp_path):
    """As a line with such a byte would be."""
    ids = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"b"]).buffers())
    scanned = read_all(backend, write(tmp_path / "a.parquet", {"text": ["one", "two"], "id": ids}))
    assert scanned.errors == [[(1, 0, "invalid_utf8")]] and scanned.documents[0]["id"] == ["b"]


def test_no_rows_at_all(backend, tmp_path):
    scanned = read_all(backend, write(tmp_path / "a.parquet", {"text": pa.array([], pa.string())}))
    assert scanned.outcomes[0]["status"] == "ok" and scanned.outcomes[0]["lines"] == 0


# --- provenance

RULES = """
source = "meta.site"
date = "date"

[[rule]]
label = "synthetic_known"
generator = "model"

[[rule]]
label = "human_verified"
name = "scored"
field = "score"
equals = 0.5

[[rule]]
label = "human_verified"
name = "seven or true"
all = [{ field = "n", equals = [4, 7] }, { field = "flag", equals = [true] }]

[[rule]]
label = "human_verified"
name = "old"
field = "date"
before = "2022-11-30"
"""


def test_provenance(backend, tmp_path):
    rows = [
        {"text": "one two", "meta": {"site": "a"}, "date": "2021-05-06", "model": None, "score": 0.25, "n": 1, "flag": False},
        {"text": "three", "meta": {"site": "b\\n\"x"}, "date": "2023-05", "model": "gpt \\ 4", "score": 1e20, "n": 2, "flag": False},
        {"text": "four", "meta": None, "date": None, "model": "", "score": 0.5, "n": 3, "flag": False},
        {"text": "five", "meta": {"site": None}, "date": "2023", "model": None, "score": None, "n": 7, "flag": None},
        {"text": "six", "meta": {"site": "é" * 200}, "date": "x", "model": None, "score": -0.0, "n": 4, "flag": True},
    ]  # fmt: skip
    (tmp_path / "rules.toml").write_text(RULES)
    options = {"provenance": tmp_path / "rules.toml", "documents": "memory", "threads": 2}
    wanted = scan(write_lines(tmp_path / "a.jsonl", rows), **options)
    found = scan(write(tmp_path / "a.parquet", pa.Table.from_pylist(rows), row_group_size=2), **options)
    same_results(found, wanted)
    assert len(set(found.documents["provenance"].tolist())) == 3


UTC = datetime.UTC
VALUES = [
    (pa.array([datetime.date(2021, 2, 3)]), b"2021-02-03"),
    (pa.array([datetime.datetime(2021, 2, 3, 4, 5, 6)], pa.timestamp("us")), b"2021-02-03T04:05:06.000000"),
    (pa.array([datetime.datetime(2021, 2, 3, 23, tzinfo=UTC)], pa.timestamp("ms", "Asia/Tokyo")), b"2021-02-03T23:00:00.000Z"),
    (pa.array([0.1]), b"0.1"),
    (pa.array([1.0]), b"1.0"),
    (pa.array([1e300]), b"1e+300"),
    (pa.array([0.1], pa.float32()), b"0.10000000149011612"),
    (pa.array([float("nan")]), None),
    (pa.array([float("inf")]), None),
    (pa.array([True]), b"true"),
    (pa.array([-3], pa.int8()), b"-3"),
    (pa.array([decimal.Decimal("1.50")]), b"1.50"),
    (pa.array(["x"]).dictionary_encode(), b"x"),
    (pa.array([["x"]]), None),
    (pa.array([{"x": "y"}]), None),
    (pa.array([b"x"]), None),
    (pa.nulls(1), None),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_values_of_fields(tmp_path, number):
    column, wanted = VALUES[number]
    rows = rows_of(write(tmp_path / "a.parquet", {"text": ["t"], "v": column}), value_fields=[("v",), ("absent",)])
    assert rows.open() is None
    *_, value, absent = rows.read()
    assert absent is None
    is_there = value is not None and (value[2] is None or value[2][0])
    assert (value[0].tobytes()[: value[1][1]] if is_there else None) == wanted


# --- damage and strangers


def middle_broken(path: Path, group: int) -> Path:
    """One byte of a data page changed: the checksum says so."""
    about = pq.ParquetFile(path).metadata.row_group(group).column(0)
    data = bytearray(path.read_bytes())
    data[about.data_page_offset + about.total_compressed_size // 2] ^= 0x55
    path.write_bytes(data)
    return path


def test_what_is_whole_before_a_damage_counts(backend, tmp_path):
    texts = [f"document {n} {random.Random(n).random()}" for n in range(3000)]
    path = tmp_path / "a.parquet"
    options = {"row_group_size": 1000, "write_page_checksum": True, "use_dictionary": False, "data_page_size": 1000}
    middle_broken(write(path, {"text": texts}, write_batch_size=10, **options), 1)
    scanned = read_all(backend, path, threads=3)
    outcome = scanned.outcomes[0]
    assert outcome["status"] == "damaged" and "CRC" in outcome["reason"]
    assert 1000 < outcome["documents"] < 2000, "the first row group, and the pages of the second before that one"
    assert outcome["bytes"] == outcome["bytes_parsed"] == sum(map(len, texts[: outcome["documents"]]))
    assert 0 < outcome["bytes_lost"] < path.stat().st_size


def test_backends_agree_on_a_damage(tmp_path):
    path = tmp_path / "a.parquet"
    write(
        path,
        {"text": [f"document {n}" for n in range(3000)]},
        row_group_size=500,
        write_page_checksum=True,
        use_dictionary=False,
    )
    middle_broken(path, 3)
    one, other = (read_all(implementation.use(), path) for implementation in BACKENDS)
    assert one.outcomes == other.outcomes and one.outcomes[0]["documents"] == 1500
    assert profile_of(one.profile) == profile_of(other.profile)


def test_cut_at_every_place(backend, tmp_path):
    """A file without its end has no footer, so there is nothing to be read: all of it is lost, and it is said so."""
    whole = write(tmp_path / "whole.parquet", {"text": ["one two"] * 10}).read_bytes()
    path = tmp_path / "a.parquet"
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        outcome = read_all(backend, path).outcomes[0]
        assert outcome["status"] == "damaged" and outcome["documents"] == 0 and outcome["bytes_lost"] == size


@pytest.mark.parametrize(
    "data", [b"<html>", b'{"text": "a"}\n' * 100, b"PAR1", b"PAR1PAR1", b"PAR1\xff\xff\xff\x7fPAR1"]
)
def test_not_parquet_at_all(backend, tmp_path, data):
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    result = scan(path)
    assert result.outcomes[0]["status"] == "damaged" and result.is_damaged(1e9)


def test_strangers(tmp_path):
    """Bytes changed at random, mostly in the footer: whatever comes of it, it is accounted for, alike on both backends."""
    whole = write(
        tmp_path / "whole.parquet", {"text": [f"t{n}" for n in range(40)], "id": list(range(40))}
    ).read_bytes()
    path = tmp_path / "a.parquet"
    statuses = set()
    for seed in range(60):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        outcomes = [read_all(implementation.use(), path).outcomes[0] for implementation in BACKENDS]
        assert_accounted(outcomes[0])
        assert comparable(outcomes[0]) == comparable(outcomes[1])
        statuses.add(outcomes[0]["status"])
    assert statuses >= {"ok", "damaged"}


def test_a_small_file_does_not_decode_to_a_large_step(tmp_path, monkeypatch):
    """One long text that a dictionary holds once for all rows."""
    monkeypatch.setattr(parquet, "_DECODED_BYTES", 1 << 20)
    long = "x" * 100_000
    for rows, name in ((500, "small.parquet"), (20_000, "large.parquet")):
        texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([long])).cast(pa.string())
        path = write(tmp_path / name, {"text": texts})
        assert path.stat().st_size < 100_000
        reader = rows_of(path)
        assert reader.open() is None
        for _ in range(3):
            data, offsets, _ = reader.read()[0]
            assert len(data) <= 4 << 20 and len(offsets) > 1


def test_too_long_texts_are_counted_and_not_kept(backend, tmp_path):
    scanned = read_all(
        backend, write(tmp_path / "a.parquet", {"text": ["a" * 5000, "b", "c" * 5000]}), max_record_bytes=4096
    )
    assert scanned.errors == [[(1, 0, "too_long"), (3, 5001, "too_long")]]
    assert scanned.outcomes[0]["bytes_too_long"] == 10_000 and scanned.documents[0]["line"] == [2]


def test_no_such_column(backend, tmp_path):
    write(tmp_path / "a.parquet", {"content": ["x"], "id": [1]})
    result = scan(tmp_path / "a.parquet")
    assert result.outcomes[0]["status"] == "unreadable"
    assert result.outcomes[0]["reason"] == "wanted strings in the column text, found the columns content, id"
    assert scan(tmp_path / "a.parquet", text_fields="content").summary["inputs"]["documents"] == 1
    reason = scan(tmp_path / "a.parquet", text_fields="id").outcomes[0]["reason"]
    assert reason == "wanted strings in the column id, found int64"
    (tmp_path / "gone.parquet").symlink_to(tmp_path / "a.parquet")
    files = resolve_inputs(tmp_path / "gone.parquet")
    (tmp_path / "a.parquet").unlink()
    scanned = run_scan(backend, sources_of(files, [("text",)]))
    assert scanned.outcomes[0]["status"] == "unreadable" and "No such file" in scanned.outcomes[0]["reason"]


def test_without_pyarrow(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", {"text": ["x"]})
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"a.parquet: Parquet needs pyarrow: pip install 'textassay\[arrow\]'"):
        scan(tmp_path / "a.parquet")


class Rows:
    """A reader of what it is given."""

    format, size, position = "rows", 10, 0

    def __init__(self, *answers):
        self.answers = list(answers)

    def open(self):
        return None

    def read(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def column(*texts: str):
    encoded = [text.encode() for text in texts]
    return np.frombuffer(b"".join(encoded), np.uint8), np.cumsum([0, *map(len, encoded)]).astype(np.int64), None


def test_a_reader_of_ones_own(backend):
    scanned = run_scan(backend, [Rows([column("a b", "c"), None], [column("d"), column("id")], None)])
    assert scanned.documents[0]["id"] == [None, None, "id"] and scanned.outcomes[0]["format"] == "rows"


BAD = [
    [column("a")],
    [(column("a")[0], np.array([0, 5]), None), None],
    [(column("a")[0], np.array([1, 0]), None), None],
    [(column("a")[0], np.array([-1, 0]), None), None],
    [column("a", "b"), column("c")],
    [None, None],
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_reader_that_errs_is_no_crash(backend, number):
    with pytest.raises((ValueError, IndexError)):
        run_scan(backend, [Rows(BAD[number], None)])


def test_a_reader_that_raises_ends_the_scan(backend):
    with pytest.raises(KeyError, match="my own"):
        run_scan(backend, [Rows([column("a"), None], KeyError("my own"))])


# --- around


@on_every_backend
def test_cancelled(implementation, tmp_path):
    module = implementation.use()
    write(tmp_path / "a.parquet", {"text": ["some words " * 50] * 20_000}, row_group_size=100)
    running = module.Scan([rows_of(tmp_path / "a.parquet")], signals=("n_tokens",), threads=2)
    running.next()
    running.cancel()
    while running.next() is not None:
        pass


def test_a_scan_that_nobody_waits_for(tmp_path):
    """The interpreter ends while threads of the scan are calling Python."""
    write(tmp_path / "a.parquet", {"text": ["some words " * 50] * 50_000}, row_group_size=100)
    code = f"""
import threading, textassay
threading.Thread(target=textassay.scan, args=({str(tmp_path / "a.parquet")!r},), daemon=True).start()
import time; time.sleep({{}})
"""
    for seconds in (0.3, 0.6):
        subprocess.run([sys.executable, "-c", code.format(seconds)], capture_output=True, check=True, timeout=60)


def test_anchors(backend, tmp_path):
    """Built from Parquet they hold what they hold from JSONL, and find it again in either."""
    lines = write_lines(tmp_path / "a.jsonl", DOCUMENTS)
    rows = write(tmp_path / "a.parquet", pa.Table.from_pylist(DOCUMENTS), row_group_size=100)
    for path in (lines, rows):
        build_anchor(path, tmp_path / f"{path.suffix[1:]}.anchor", threads=2)
    one, other = (load_anchor(tmp_path / f"{kind}.anchor") for kind in ("jsonl", "parquet"))
    assert one.arrays.keys() == other.arrays.keys()
    for name in one.arrays:
        assert np.array_equal(one.arrays[name], other.arrays[name], equal_nan=one.arrays[name].dtype.kind == "f"), name
    assert check_anchor(one, rows).corpus.n_over == check_anchor(one, lines).corpus.n_over > 0


def test_inputs(tmp_path):
    write(tmp_path / "a.parquet", {"text": ["x"]})
    (tmp_path / "plain").write_bytes((tmp_path / "a.parquet").read_bytes())
    (tmp_path / "b.jsonl").write_bytes(b"PAR1")
    (tmp_path / "empty").write_bytes(b"")
    kinds = {
        Path(f.name).name: is_parquet(f) for f in resolve_inputs([tmp_path, tmp_path / "plain", tmp_path / "empty"])
    }
    assert kinds == {"a.parquet": True, "b.jsonl": False, "plain": True, "empty": False}


def test_command_line(tmp_path):
    write(tmp_path / "in.parquet", {"content": ["one two", None]})
    found = textassay("scan", tmp_path / "in.parquet", "--text-field", "content", "-o", tmp_path / "out", "--json")
    assert found.returncode == 3
    assert json.loads(found.stdout)["inputs"]["malformed_by_reason"] == {"no_text_field": 1}
    assert (tmp_path / "out" / "documents" / "000000-in.parquet").exists()
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["inputs"][0]["outcome"]["format"] == "parquet"


def test_progress(backend, tmp_path):
    path = write(tmp_path / "a.parquet", pa.Table.from_pylist(DOCUMENTS), row_group_size=10)
    seen = []
    scan(path, on_progress=seen.append)
    assert seen[-1].bytes_compressed == seen[-1].bytes_total == path.stat().st_size
    assert seen[-1].documents == len(DOCUMENTS) and seen[-1].files == 1
