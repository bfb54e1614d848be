"""filter: every byte of the input in exactly one of three streams, unchanged, in order, as the predicates say."""

import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import naive_records
from implementations import as_list, backend_module
from textassay import _backend, filtering, splitting
from textassay.errors import FolderError, InputError, OutputError, UsageError
from textassay.filtering import filter_shards
from textassay.predicates import parse_predicate
from textassay.scanning import scan

STREAMS = ("kept", "held", "rejected")
BOM = b"\xef\xbb\xbf"
EXAMPLES = Path(__file__).parent.parent / "examples"


def unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()


def streams_of(out: Path) -> dict[str, list[bytes]]:
    """Of each stream the content of its files, in order of names."""
    return {stream: [unpacked(path.read_bytes()) for path in sorted((out / stream).iterdir())] for stream in STREAMS}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def naive_split(data: bytes, is_held, damaged: bool = False) -> list[bytes]:
    """By naive_records: lines of documents go where `is_held(text)` says, everything else is rejected."""
    documents = {d.byte_offset: d.text for d in naive_records.read(data, damaged=damaged).documents}
    found = [b"", b"", b""]
    at = len(BOM) if data.startswith(BOM) else 0
    found[2] += data[:at]
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        found[int(is_held(documents[at])) if at in documents else 2] += data[at:end]
        at = end
    return found


# Splitting

LINE = st.one_of(
    st.text(max_size=30).map(lambda text: json.dumps({"text": text}).encode()),
    st.integers(0, 40).map(lambda n: json.dumps({"text": "a" * n, "id": n}, indent=None).encode()),
    st.sampled_from(
        [b"", b" \t", b"not json", b'{"text": 7}', b"[]", b'{"text": "\xff"}', b'{"text": "\xf0\x9f\x98\x80"}']
    ),
)
BREAK = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def shards(draw) -> bytes:
    lines = draw(st.lists(st.tuples(LINE, BREAK), max_size=12))
    data = b"".join(line + end for line, end in lines)
    if draw(st.booleans()):
        data = BOM + data
    return data.removesuffix(b"\n") if draw(st.booleans()) else data


def packed(data: bytes, form: str) -> bytes:
    if form == "gz":
        return gzip.compress(data)
    half = len(data) // 2
    compress = zstandard.ZstdCompressor(write_checksum=True).compress
    return {"plain": data, "zst": compress(data), "frames": compress(data[:half]) + compress(data[half:])}[form]


@pytest.mark.parametrize("name", ["native", "numba"])
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(shards(), min_size=1, max_size=2),
    form=st.sampled_from(["plain", "zst", "gz", "frames"]),
    limit=st.integers(0, 30),
    block=st.integers(4, 60),
    threads=st.integers(1, 3),
)
def test_splits_into_exactly_the_input(tmp_path_factory, name, data, form, limit, block, threads):
    backend_module(name)
    folder = tmp_path_factory.mktemp("filter")
    for number, one in enumerate(data):
        (folder / f"{number}.jsonl").write_bytes(packed(one, form))
    with _backend.using(name), pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "BLOCK_BYTES", block)
        result = filter_shards(
            [folder / f"{n}.jsonl" for n in range(len(data))],
            folder / "out",
            hold=f"n_chars > {limit}",
            threads=threads,
        )
    assert result.report["balanced"]
    for number, one in enumerate(data):
        expected = naive_split(one, lambda text: len(text) > limit)
        row = result.report["files"][number]
        for stream, content in zip(STREAMS, expected, strict=True):
            assert row[stream]["bytes"] == len(content)
            path = row[stream]["path"]
            assert (path is None) == (stream == "rejected" and not content)
            assert path is None or unpacked((folder / "out" / path).read_bytes()) == content
    shutil.rmtree(folder)


def test_by_a_scan_as_without_one(backend, shard, tmp_path):
    records = [{"id": i, "text": "one two " * i} for i in range(30)]
    paths = [shard("a.jsonl.zst", records), shard("b.jsonl", [*records[5:], b"broken", b""])]
    scan(paths, tmp_path / "scan", threads=1)
    hold = "n_tokens >= 20 and n_tokens < 40 or entropy_bits is null"
    filter_shards(paths, tmp_path / "one", hold=hold, scanned=tmp_path / "scan")
    filter_shards(paths, tmp_path / "two", hold=hold, threads=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    report = json.loads((tmp_path / "one/filter.json").read_text())
    assert report["held"]["documents"] == 11 + 10
    assert (report["rejected"]["malformed"], report["rejected"]["blank"]) == (1, 1)


def test_documents_as_lines_say_the_same(shard, tmp_path):
    path = shard("a.jsonl", [{"text": "one two " * i} for i in range(30)])
    scan(path, tmp_path / "parquet")
    scan(path, tmp_path / "jsonl", documents="jsonl")
    hold = ["batch_n_tokens > 3 and n_tokens > 20", "entropy_bits is null", "id != x"]
    for form in ("parquet", "jsonl"):
        filter_shards(path, tmp_path / f"by-{form}", hold=hold, scanned=tmp_path / form)
    assert files_of(tmp_path / "by-parquet") == files_of(tmp_path / "by-jsonl")


def test_bytes_do_not_depend_on_threads(tmp_path):
    """Large enough for several jobs of the encoder."""
    rng = random.Random(5)
    words = [f"w{rng.randrange(10**6)}" for _ in range(3000)]
    with (tmp_path / "a.jsonl").open("w") as stream:
        for _ in range(9000):
            stream.write(json.dumps({"text": " ".join(rng.choices(words, k=300))}) + "\n")
    assert (tmp_path / "a.jsonl").stat().st_size > 17 << 20
    scan(tmp_path / "a.jsonl", tmp_path / "scan", signals="n_chars")
    found = []
    for threads, block in ((1, 4 << 20), (4, 4 << 20), (2, 12345)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(splitting, "BLOCK_BYTES", block)
            filter_shards(
                tmp_path / "a.jsonl",
                tmp_path / "out",
                hold="n_chars > 2200",
                scanned=tmp_path / "scan",
                level=1,
                threads=threads,
            )
        found.append(files_of(tmp_path / "out"))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("cut", [0.3, 0.9])
@pytest.mark.parametrize("form", ["zst", "gz"])
def test_of_a_damaged_file_what_was_whole_is_split(backend, tmp_path, form, cut):
    rng = random.Random(1)
    data = b"".join(
        json.dumps({"text": "x" * rng.randrange(200) + str(rng.random())}).encode() + b"\n" for _ in range(20000)
    )
    raw = packed(data, form)
    (tmp_path / "a.jsonl").write_bytes(raw[: int(len(raw) * cut)])
    result = filter_shards(tmp_path / "a.jsonl", tmp_path / "out", hold="n_chars > 100")
    whole = data[: result.report["inputs"]["bytes"]]
    assert 0 < len(whole) < len(data)
    expected = naive_split(whole, lambda text: len(text) > 100, damaged=True)
    assert streams_of(tmp_path / "out") == {s: [c] for s, c in zip(STREAMS, expected, strict=True) if c}
    assert result.is_damaged() and result.report["balanced"]


def test_a_file_damaged_inside(backend, tmp_path):
    """What the decoder gives out before it notices is the same the second time."""
    blocks = [json.dumps({"text": f"{n} " * 50}).encode() + b"\n" for n in range(4000)]
    raw = bytearray(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(b"".join(blocks)))
    raw[len(raw) // 2 : len(raw) // 2 + 8] = b"\xff" * 8
    (tmp_path / "a.jsonl.zst").write_bytes(raw)
    result = filter_shards(tmp_path / "a.jsonl.zst", tmp_path / "out", hold="n_chars > 250")
    assert result.is_damaged() and result.report["balanced"]


# What decides


def test_rules_and_their_counts(shard, tmp_path):
    """A document is held by any rule that holds and any that keeps and does not hold; null meets no comparison."""
    path = shard("a.jsonl", ["", "a", "a b", "a b c", "a b c d"])
    result = filter_shards(
        path, tmp_path / "out", hold=["n_tokens > 3", "entropy_bits >= 1.5"], keep=["entropy_bits >= 0"]
    )
    assert [json.loads(line)["text"] for line in streams_of(tmp_path / "out")["kept"][0].splitlines()] == ["a", "a b"]
    assert result.report["rules"] == [
        {"rule": "hold: n_tokens > 3", "held_first": 1, "held": 1, "null": 0},
        {"rule": "hold: entropy_bits >= 1.5", "held_first": 1, "held": 2, "null": 1},
        {"rule": "keep: entropy_bits >= 0", "held_first": 1, "held": 1, "null": 1},
    ]


def test_labels(shard, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nlabel = "synthetic_known"\ngenerator = "model"\n')
    records = [{"text": "a", "model": "gpt-4o"}, {"text": "b"}, {"text": "c", "model": "llama"}]
    path = shard("a.jsonl", records)

    def held(predicate: str) -> str:
        filter_shards(path, tmp_path / "out", hold=predicate, provenance=rules)
        return "".join(json.loads(line)["text"] for line in streams_of(tmp_path / "out")["held"][0].splitlines())

    assert held("provenance == synthetic_known") == "ac"
    assert held("provenance != 'synthetic_known'") == "b"
    assert held('provenance_reason == "gpt-4o"') == held("provenance_reason == gpt-4o") == "a"
    assert held("provenance_reason != gpt-4o") == "c"  # null meets no comparison
    assert held("provenance_reason is null") == "b"


def test_entropy_floor_holds_batches(shard, tmp_path):
    """All documents of a batch below the floor, whatever their own entropy."""
    texts = ["a b c d", "e f g h", "x x x x", "x y x y", "i j k l", "m n o p"]
    path = shard("a.jsonl", texts)
    filter_shards(path, tmp_path / "out", entropy_floor=2.0, batch_tokens=8)
    kept = [json.loads(line)["text"] for line in streams_of(tmp_path / "out")["kept"][0].splitlines()]
    assert kept == texts[:2] + texts[4:]
    scan(path, tmp_path / "scan", batch_tokens=8)
    filter_shards(path, tmp_path / "by-scan", hold="batch_entropy_bits < 2", scanned=tmp_path / "scan")
    assert streams_of(tmp_path / "by-scan") == streams_of(tmp_path / "out")


COLUMNS = {
    "x": np.array([0.0, 1.0, -2.5, np.nan, 1e9]),
    "n_tokens": np.array([0, 1, 2, 3, 4]),
    "label": np.array(["a", None, "b c", "a", "and"], object),
}


@st.composite
def predicates(draw, depth: int = 3):
    """A predicate and what it says of a row, by Python itself."""
    kind = draw(st.sampled_from(["number", "text", "null"] + ["and", "or"] * (depth > 0)))
    if kind in ("and", "or"):
        parts = draw(st.lists(predicates(depth - 1), min_size=1, max_size=3))
        combine = all if kind == "and" else any
        return "(" + f" {kind} ".join(text for text, _ in parts) + ")", lambda row: combine([f(row) for _, f in parts])
    if kind == "number":
        column = draw(st.sampled_from(["x", "n_tokens"]))
        operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        value = draw(st.sampled_from(["0", "1", "-2.5", "3", "1e9", ".5"]))
        text = f"{column}{draw(st.sampled_from([operator, f' {operator} ']))}{value}"
        return text, lambda row: row[column] is not None and eval(f"{row[column]!r} {operator} {value}")
    if kind == "text":
        operator, value = draw(st.sampled_from(["==", "!="])), draw(st.sampled_from(["a", "b c", "and", "zz"]))
        return (
            f'label {operator} "{value}"',
            lambda row: row["label"] is not None and ((row["label"] == value) == (operator == "==")),
        )
    column, wanted = draw(st.sampled_from(sorted(COLUMNS))), draw(st.booleans())
    return f"{column} is {'' if wanted else 'not '}null", lambda row: (row[column] is None) == wanted


@given(predicates())
def test_predicates_hold_as_python_says(predicate):
    text, naive = predicate
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*map(as_list, COLUMNS.values()), strict=True)]
    assert parse_predicate(text).holds(COLUMNS).tolist() == [naive(row) for row in rows]


def test_and_binds_before_or():
    found = parse_predicate("x == 0 or x == 1 and n_tokens == 9").holds(COLUMNS)
    assert found.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "character 1: wanted the name of a column"),
        ("x", "character 2: wanted one of <"),
        ("x = 3", "found '='"),
        ("x > ", "character 5: wanted a number"),
        ("x > 3 4", "character 7: wanted and, or, or the end"),
        ("x > 3k", "wanted a number"),
        ("(x > 3", "wanted and, or, or )"),
        ("x > high", "wanted a number behind >"),
        ("x is not 3", "wanted null, found '3'"),
        ("and > 3", "wanted the name of a column"),
        ("x > 3 and x == high", "with a number and with a text"),
        ("__import__('os').system('true')", "wanted one of <"),
        ("(" * 2000 + "x > 3" + ")" * 2000, "brackets in brackets"),
        ("x > 3 or " * 10000 + "x > 3", "wanted at most"),
    ],
)
def test_what_is_no_predicate(text, wanted):
    with pytest.raises(UsageError) as found:
        parse_predicate(text)
    assert wanted in str(found.value)


# What is refused


@pytest.fixture
def scanned(shard, tmp_path):
    path = shard("a.jsonl", [{"text": f"number {i}"} for i in range(20)])
    scan(path, tmp_path / "scan")
    return path


def refused(kind, path, tmp_path, **options) -> str:
    before = files_of(tmp_path)
    with pytest.raises(kind) as found:
        filter_shards(path, tmp_path / "out", **{"hold": "n_tokens > 1", **options})
    assert files_of(tmp_path) == before
    return str(found.value)


def test_inputs_that_have_changed(scanned, tmp_path):
    by_scan = {"scanned": tmp_path / "scan"}
    content, times = scanned.read_bytes(), (scanned.stat().st_atime_ns, scanned.stat().st_mtime_ns)
    os.utime(scanned, ns=(times[0], times[1] + 5))
    assert "time differs" in refused(InputError, scanned, tmp_path, **by_scan)
    scanned.write_bytes(content.replace(b"number 7", b"numbe\nr7"))
    assert "time and content differ" in refused(InputError, scanned, tmp_path, **by_scan)
    os.utime(scanned, ns=times)
    assert "content differs" in refused(InputError, scanned, tmp_path, **by_scan)
    scanned.write_bytes(content + b"\n")
    os.utime(scanned, ns=times)
    assert "size and content differ" in refused(InputError, scanned, tmp_path, **by_scan)


def test_a_change_that_the_digest_does_not_see(tmp_path):
    """The digest reads a MiB at each end; a line break moved in between is seen while splitting."""
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": f"{n:08d} " * 20}).encode() for n in range(20000)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    scan(path, tmp_path / "scan", signals="n_tokens")
    lines[10000], lines[10001] = lines[10000][:-2] + b' "}', lines[10001][:-3] + b'"}'
    path.write_bytes(b"\n".join(lines) + b"\n")
    os.utime(path, ns=times)
    assert "do not begin where they did" in refused(InputError, path, tmp_path, scanned=tmp_path / "scan")


def test_a_copy_is_known_by_its_content(scanned, tmp_path):
    copy = tmp_path / "elsewhere" / "b.jsonl"
    copy.parent.mkdir()
    shutil.copy2(scanned, copy)
    result = filter_shards(copy, tmp_path / "out", hold="n_tokens > 1", scanned=tmp_path / "scan")
    assert result.report["held"]["documents"] == 20
    with pytest.raises(InputError) as found:
        filter_shards([copy, scanned], tmp_path / "out", hold="n_tokens > 1", scanned=tmp_path / "scan")
    assert "the same input of the scan" in str(found.value)


def test_what_is_refused(scanned, shard, tmp_path):
    other = shard("b.jsonl", ["other"])
    by_scan = {"scanned": tmp_path / "scan"}
    assert "not among the inputs" in refused(InputError, other, tmp_path, **by_scan)
    assert "no manifest.json" in refused(FolderError, scanned, tmp_path, scanned=tmp_path)
    assert "no column 'perplexity'" in refused(UsageError, scanned, tmp_path, **by_scan, hold="perplexity > 3")
    assert "compared with a text" in refused(UsageError, scanned, tmp_path, **by_scan, hold="n_tokens == many")
    assert "compared with a number" in refused(UsageError, scanned, tmp_path, **by_scan, hold="id == 3")
    assert "knows its own settings" in refused(UsageError, scanned, tmp_path, **by_scan, anchor="a")
    assert "did you mean n_tokens" in refused(UsageError, scanned, tmp_path, hold="n_token > 3")
    assert "needs anchor" in refused(UsageError, scanned, tmp_path, hold="perplexity > 3")
    assert "nothing says what to hold" in refused(UsageError, scanned, tmp_path, hold=())
    assert "from 1 to 22" in refused(UsageError, scanned, tmp_path, level=23)
    scan(scanned, tmp_path / "rowless", documents="none")
    assert "no rows of documents" in refused(FolderError, scanned, tmp_path, scanned=tmp_path / "rowless")


def test_results_are_not_written_over_the_input(shard, tmp_path):
    path = shard("out/kept/a.jsonl", ["a", "b"])
    (tmp_path / "out/filter.json").write_text(json.dumps({"schema": filtering.SCHEMA}))
    assert "would destroy it" in refused(FolderError, path, tmp_path)


def test_a_scans_folder_is_not_overwritten(scanned, tmp_path):
    before = files_of(tmp_path)
    with pytest.raises(FolderError):
        filter_shards(scanned, tmp_path / "scan", hold="n_tokens > 1")
    assert files_of(tmp_path) == before


def test_a_failed_run_leaves_the_last_results(scanned, tmp_path, monkeypatch):
    filter_shards(scanned, tmp_path / "out", hold="n_tokens > 1")
    before = files_of(tmp_path)

    def full(self, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(splitting.Shard, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        filter_shards(scanned, tmp_path / "out", hold="n_tokens > 2")
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["inputs"][0].update(documents="../../a.jsonl"),
        lambda m: m["inputs"][0].update(documents="documents/../x"),
        lambda m: m["inputs"][0].update(outcome=None),
        lambda m: m["settings"].update(max_window_log=99),
        lambda m: m.pop("settings"),
        lambda m: m.update(schema="other/1"),
    ],
)
def test_hostile_manifests(scanned, tmp_path, change):
    path = tmp_path / "scan/manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    refused(FolderError, scanned, tmp_path, scanned=tmp_path / "scan")


def test_rows_that_are_damaged(scanned, tmp_path):
    path = next((tmp_path / "scan/documents").iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot read" in refused(FolderError, scanned, tmp_path, scanned=tmp_path / "scan")


# The command


def textassay(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "textassay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, input=stdin, check=False, timeout=300)


def test_the_command(tmp_path):
    done = textassay(
        "filter", EXAMPLES, "-o", tmp_path / "out", "--hold", "entropy_bits < 5", "--keep", "n_tokens >= 20"
    )
    assert done.returncode == 0, done.stderr
    assert b"kept + held + rejected = input, byte for byte." in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*STREAMS, "filter.json"}


def test_the_command_in_json_and_its_exit_codes(shard, tmp_path):
    bad = shard("bad.jsonl", ["a b c", b"broken"])
    done = textassay("filter", bad, "-o", tmp_path / "out", "--hold", "n_tokens > 2", "--json")
    assert done.returncode == 3
    report = json.loads(done.stdout)
    assert (report["held"]["documents"], report["rejected"]["malformed"]) == (1, 1)
    assert (
        textassay("filter", bad, "-o", tmp_path / "out", "--hold", "n_tokens > 2", "--malformed-budget", 1).returncode
        == 0
    )
    assert textassay("filter", bad, "-o", tmp_path / "out").returncode == 2
    assert textassay("filter", "-", "-o", tmp_path / "out", "--hold", "n_tokens > 2", stdin=b"{}").returncode == 2
