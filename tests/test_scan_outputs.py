"""What a scan gives back and leaves in OUT/."""

import gzip
import io
import json
import os
import re
import threading
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

import naive_signals
import naive_text
from textassay import FolderError, OutputError, Profile, UsageError, scan, scanning
from textassay.documents import file_name
from textassay.errors import OutputWarning

TEXTS = [
    ["The first document. It has two sentences.", "", "Second one here", "the third: the, the, the"],
    ["日本語のテキスト and more.", "x y z", "x y z"],
    [f"word{n} " * (n % 7) + "and the rest" for n in range(50)],
]


@pytest.fixture
def corpus(shard, tmp_path):
    for number, texts in enumerate(TEXTS):
        records = [{"id": i if i % 2 else f"f{number}-{i}", "text": text} for i, text in enumerate(texts)]
        shard(f"in/{number}.jsonl{'.zst' if number else ''}", records)
    return tmp_path / "in"


def files_of(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def without_performance(files: dict[str, bytes]) -> dict[str, bytes]:
    summary = json.loads(files["summary.json"])
    assert set(summary.pop("performance")) >= {"seconds", "cpu_seconds", "threads", "backend", "peak_memory_bytes"}
    page = re.sub(b"<!-- performance.*<!-- end of performance -->", b"", files["report.html"], flags=re.DOTALL)
    assert page != files["report.html"]
    return files | {"summary.json": json.dumps(summary).encode(), "report.html": page}


def json_lines(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()]


def unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()


def test_what_is_there(backend, corpus, tmp_path):
    result = scan(corpus, tmp_path / "out", batch_tokens=20)
    assert sorted(files_of(tmp_path / "out")) == [
        "batches.parquet",
        "documents/000000-0.parquet",
        "documents/000001-1.parquet",
        "documents/000002-2.parquet",
        "errors.jsonl",
        "manifest.json",
        "profile.tap",
        "report.html",
        "summary.json",
    ]
    assert result.out == tmp_path / "out"
    assert not result.is_damaged()
    assert Profile.load(tmp_path / "out/profile.tap").serialize() == result.profile.serialize()
    assert json.loads((tmp_path / "out/summary.json").read_text()) == result.summary


def test_summary(backend, corpus, tmp_path):
    summary = scan(corpus, batch_tokens=20).summary
    assert list(summary) == ["schema", "configuration", "inputs", "corpus", "documents", "batches", "provenance", "performance"]  # fmt: skip
    assert summary["schema"] == "textassay.summary/1"
    inputs = summary["inputs"]
    sizes = [path.stat().st_size for path in corpus.iterdir()]
    assert inputs["files"] == 3 and inputs["files_damaged"] == 0
    assert inputs["bytes_compressed"] == sum(sizes)
    assert inputs["documents"] == inputs["lines"] == sum(map(len, TEXTS))
    assert inputs["accounted"]["bytes_parsed"] == inputs["bytes"] and inputs["balanced"] is True
    assert inputs["frames"] == 2 and inputs["frames_without_checksum"] == 0
    words = [naive_text.tokens(text) for texts in TEXTS for text in texts]
    assert summary["corpus"]["n_tokens"] == sum(map(len, words))
    assert summary["corpus"]["n_types"] == len({word for one in words for word in one})
    assert summary["documents"]["n_tokens"]["n"] == len(words)
    batches = [b for texts in TEXTS for b in naive_signals.batches([naive_text.tokens(t) for t in texts], 20)]
    assert summary["batches"]["n_batches"] == len(batches)
    assert summary["batches"]["distributions"]["batch_n_tokens"]["n"] == len(batches)


def test_documents(backend, corpus, tmp_path):
    """A row per document in input order: id, place, signals, label; NaN is null."""
    labels = ["provenance", "provenance_reason"]
    scan(corpus, tmp_path / "out", signals="all")
    for number, texts in enumerate(TEXTS):
        table = pq.read_table(tmp_path / f"out/documents/00000{number}-{number}.parquet")
        assert table.column_names == ["id", "byte_offset", "line", *backend.SIGNALS, "n_replaced", *labels]
        rows = table.to_pylist()
        assert [row["id"] for row in rows] == [str(i) if i % 2 else f"f{number}-{i}" for i in range(len(texts))]
        assert [row["line"] for row in rows] == list(range(1, len(texts) + 1))
        assert [row["n_tokens"] for row in rows] == [len(naive_text.tokens(text)) for text in texts]
        assert [row["mattr"] is None for row in rows] == [not naive_text.tokens(text) for text in texts]
        assert all(str(table.schema.field(name).type) == "int64" for name in backend.INTEGER_SIGNALS)
    raw = (corpus / "0.jsonl").read_bytes()
    table = pq.read_table(tmp_path / "out/documents/000000-0.parquet")
    for row, text in zip(table.to_pylist(), TEXTS[0], strict=True):
        line = raw[row["byte_offset"] :].split(b"\n")[0]
        assert json.loads(line)["text"] == text


def test_document_forms_hold_the_same(backend, corpus, tmp_path):
    read = [
        scan(corpus, tmp_path / name, documents=form).documents for name, form in (("a", "parquet"), ("b", "jsonl"))
    ]
    memory = scan(corpus, documents="memory").documents
    rows = [pq.read_table(path).to_pylist() for path in sorted((tmp_path / "a/documents").iterdir())]
    lines = [json_lines(unpacked(path.read_bytes())) for path in sorted((tmp_path / "b/documents").iterdir())]
    assert rows == lines
    flat = [{"file": file} | row for file, part in enumerate(rows) for row in part]
    for table in (memory, *read):
        assert list(table.rows()) == flat
        assert [table[name].dtype for name in table.columns] == [memory[name].dtype for name in table.columns]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "batches.jsonl.zst",
        "documents",
        "errors.jsonl",
        "manifest.json",
        "profile.tap",
        "report.html",
        "summary.json",
    ]


def test_no_documents(backend, corpus, tmp_path):
    result = scan(corpus, tmp_path / "out", documents="none")
    assert result.documents is None
    assert not (tmp_path / "out/documents").exists()
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert {entry["documents"] for entry in manifest["inputs"]} == {None}


def test_documents_that_cannot_be(backend, corpus, monkeypatch):
    with pytest.raises(UsageError, match="needs a folder"):
        scan(corpus, documents="parquet")
    with pytest.raises(UsageError, match="wanted auto, parquet, jsonl, dolma, memory or none"):
        scan(corpus, documents="csv")  # type: ignore[arg-type]


def test_without_pyarrow(backend, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "has_pyarrow", lambda: False)
    with pytest.raises(UsageError, match=r"textassay\[arrow\]"):
        scan(corpus, tmp_path / "out", documents="parquet")
    with pytest.warns(OutputWarning, match=r"JSONL\.zst"):
        scan(corpus, tmp_path / "out")
    assert (tmp_path / "out/documents/000000-0.jsonl.zst").exists()
    assert (tmp_path / "out/batches.jsonl.zst").exists()
    scan(corpus, tmp_path / "none", documents="none")
    assert (tmp_path / "none/batches.jsonl.zst").exists()


def test_batches(backend, corpus, tmp_path):
    result = scan(corpus, tmp_path / "out", batch_tokens=20, entropy_floor=3.0)
    rows = pq.read_table(tmp_path / "out/batches.parquet").to_pylist()
    expected = []
    for number, texts in enumerate(TEXTS):
        first = 0
        for position, batch in enumerate(naive_signals.batches([naive_text.tokens(t) for t in texts], 20)):
            figures = naive_signals.batch_figures(batch)
            name = f"{corpus}/{number}.jsonl{'.zst' if number else ''}"
            expected.append(
                (name, position, first, len(batch), figures["batch_n_tokens"], figures["batch_entropy_bits"])
            )
            first += len(batch)
    found = [
        tuple(row[k] for k in ("file", "batch", "first_document", "n_documents", "n_tokens", "entropy_bits"))
        for row in rows
    ]
    assert [row[:5] for row in found] == [row[:5] for row in expected]
    assert [row[5] for row in found] == pytest.approx([row[5] for row in expected], rel=1e-9)
    for row in rows:
        below = row["entropy_bits"] < 3.0
        assert row["below_floor"] is below
        assert row["synthetic_risk"] == ("HIGH" if below else "LOW")
        assert row["action"] == ("HOLD_FOR_REVIEW" if below else "PROCEED")
    summary = result.summary["batches"]
    low = [row for row in rows if row["below_floor"]]
    assert summary["below_floor"] == len(low) > 0
    assert summary["below_floor_short"] == sum(row["n_tokens"] < 20 for row in low)
    full = sorted((row for row in rows if row["n_tokens"] >= 20), key=lambda row: row["entropy_bits"])
    assert [row["entropy_bits"] for row in summary["worst"]] == [row["entropy_bits"] for row in full][:10]
    assert len(result.batches) == len(rows) and result.batches["file"].tolist() == sorted(
        result.batches["file"].tolist()
    )


def test_a_batch_without_tokens_has_null_verdicts(backend, shard, tmp_path):
    result = scan(shard("a.jsonl", ["", "..."]), tmp_path / "out", entropy_floor=3.0)
    (row,) = pq.read_table(tmp_path / "out/batches.parquet").to_pylist()
    assert row["entropy_bits"] is row["below_floor"] is row["synthetic_risk"] is row["action"] is None
    assert result.summary["batches"]["below_floor"] == 0


def test_batches_without_a_floor_have_no_verdict(backend, corpus, tmp_path):
    result = scan(corpus, tmp_path / "out")
    assert "action" not in pq.read_table(tmp_path / "out/batches.parquet").column_names
    assert result.summary["batches"]["entropy_floor"] is None and "below_floor" not in result.summary["batches"]


BAD = [b'{"text": 7}', b"not json", "fine", b'{"id": 1}', b'{"text": "\xff"}', b"", b"[1]", "also fine"]
REASONS = ["text_not_string", "not_json", "no_text_field", "invalid_utf8", "not_object"]


def test_errors(backend, shard, tmp_path):
    one = shard("one.jsonl", BAD)
    two = shard("two.jsonl.zst", BAD)
    data = shard("three.jsonl.zst", ["whole"] * 3000).read_bytes()
    three = tmp_path / "three.jsonl.zst"
    three.write_bytes(data[: len(data) - 9])
    result = scan([one, two, three], tmp_path / "out")
    found = json_lines((tmp_path / "out/errors.jsonl").read_bytes())
    assert found == result.errors
    raw = one.read_bytes()
    for name in (one, two):
        mine = [row for row in found if row["file"] == str(name)]
        assert [row["reason"] for row in mine] == REASONS
        for row in mine:
            line = raw.split(b"\n")[row["line"] - 1]
            assert raw[row["byte_offset"] :].startswith(line + b"\n")
    broken = [row for row in found if row["file"] == str(three)]
    assert broken[-1]["line"] is None and broken[-1]["reason"].startswith("damaged: ")
    assert found.index(broken[0]) == 5, "in order of files: one, three, two"
    inputs = result.summary["inputs"]
    assert inputs["malformed_by_reason"] == {**dict.fromkeys(REASONS, 2)} | ({"cut_off": 1} if len(broken) > 1 else {})
    assert inputs["files_damaged"] == 1 and inputs["balanced"]
    assert inputs["damaged"][0]["file"] == str(three)
    assert result.is_damaged(malformed_budget=1000), "a damaged file is beyond any budget"


def test_malformed_budget(backend, shard):
    result = scan(shard("a.jsonl", BAD))
    assert result.summary["inputs"]["malformed"] == 5 and result.summary["inputs"]["documents"] == 2
    assert [result.is_damaged(budget) for budget in (0, 4, 5, 6)] == [True, True, False, False]
    assert [result.is_damaged(budget) for budget in (0.5, 0.71, 0.72)] == [True, True, False]


def test_manifest(backend, corpus, tmp_path):
    scan(corpus, tmp_path / "out", text_fields=["text", "title"], entropy_floor=2.5)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["schema"] == "textassay.manifest/1"
    assert manifest["settings"]["text_fields"] == [["text"], ["title"]]
    assert manifest["settings"]["entropy_floor"] == 2.5
    assert manifest["profile_digest"] == Profile.load(tmp_path / "out/profile.tap").digest()
    assert "blake2b" in manifest["digest_kind"]
    for entry in manifest["inputs"]:
        status = os.stat(entry["path"])
        assert (entry["size"], entry["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        assert entry["outcome"]["status"] == "ok"
        assert (tmp_path / "out" / entry["documents"]).exists()
    assert len({entry["digest"] for entry in manifest["inputs"]}) == 3


def test_digest_of_inputs(tmp_path):
    """Size, first and last MiB decide; the middle does not."""
    from hashlib import blake2b

    from textassay.inputs import resolve_inputs

    path = tmp_path / "a.jsonl"
    data = os.urandom(3 << 20)
    path.write_bytes(data)
    (entry,) = resolve_inputs(path)
    wanted = blake2b((3 << 20).to_bytes(8, "little") + data[: 1 << 20] + data[2 << 20 :], digest_size=16).hexdigest()
    assert scanning.digest_of(entry) == wanted
    path.write_bytes(b"short")
    (entry,) = resolve_inputs(path)
    assert scanning.digest_of(entry) == blake2b((5).to_bytes(8, "little") + b"shortshort", digest_size=16).hexdigest()
    path.unlink()
    assert scanning.digest_of(entry) is None


def test_equal_input_gives_equal_files(backend, corpus, tmp_path, shard, monkeypatch):
    """Whatever the number of threads, and into whichever folder."""
    shard("in/bad.jsonl", BAD * 50)
    for threads in (1, 2, 5):
        scan(corpus, tmp_path / f"out{threads}", threads=threads, batch_tokens=30, entropy_floor=3.5)
    first, *others = (without_performance(files_of(tmp_path / f"out{threads}")) for threads in (1, 2, 5))
    for other in others:
        assert other == first


def test_row_groups_do_not_depend_on_arrival(tmp_path, monkeypatch):
    from textassay import documents

    monkeypatch.setattr(documents, "GROUP_ROWS", 64)
    rng = np.random.default_rng(0)
    n = 500
    columns = {
        "id_bytes": np.frombuffer(b"".join(b"id%04d" % i for i in range(n)), np.uint8),
        "id_offsets": np.arange(0, 6 * n + 1, 6),
        "id_null": rng.random(n) < 0.2,
        "byte_offset": np.arange(n) * 100,
        "line": np.arange(1, n + 1),
        "mattr": np.where(rng.random(n) < 0.1, np.nan, rng.random(n)),
        "n_replaced": np.zeros(n, np.int64),
    }

    def part(start, stop):
        rows = {name: column[start:stop] for name, column in columns.items() if not name.startswith("id_")}
        first, last = columns["id_offsets"][[start, stop]]
        rows["id_bytes"], rows["id_null"] = columns["id_bytes"][first:last], columns["id_null"][start:stop]
        return rows | {"id_offsets": columns["id_offsets"][start : stop + 1] - first}

    kinds = {"id": "string", "byte_offset": "int64", "line": "int64", "mattr": "double", "n_replaced": "int64"}
    found = []
    for cuts in ([0, n], [0, 1, 63, 64, 65, 200, n], [*range(0, n, 7), n], [0, 0, 128, 128, n]):
        path = tmp_path / "a.parquet"
        rows = documents.ParquetRows(path, kinds)
        for start, stop in pairwise(cuts):
            rows.add(part(start, stop))
        rows.close()
        found.append(path.read_bytes())
    assert len(set(found)) == 1
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["id"].to_pylist() == [None if columns["id_null"][i] else f"id{i:04d}" for i in range(n)]
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.num_row_groups == 8


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b/shard.jsonl.zst", "000007-shard.parquet"),
        ("-", "000007--.parquet"),
        ("../../etc/passwd", "000007-passwd.parquet"),
        ("x y\n\\xff?.jsonl", "000007-x_y_xff.parquet"),
        ("...", "000007-input.parquet"),
        ("日本.jsonl.gz", "000007-input.parquet"),
        ("n" * 300 + ".zst", "000007-" + "n" * 80 + ".parquet"),
    ],
)
def test_names_of_document_files(name, wanted):
    assert file_name(7, name, ".parquet") == wanted


def test_inputs_of_equal_name(backend, shard, tmp_path):
    shard("x/same.jsonl", ["a"])
    shard("y/same.jsonl", ["b"])
    scan(tmp_path, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out/documents").iterdir()) == [
        "000000-same.parquet",
        "000001-same.parquet",
    ]


# The folder


def test_an_earlier_result_is_replaced_whole(backend, corpus, tmp_path):
    out = tmp_path / "out"
    scan(corpus, out, documents="jsonl")
    (out / "report.html").write_text("of the older scan")
    (out / "notes.txt").write_text("the user's own")
    scan(corpus / "0.jsonl", out, documents="parquet")
    assert sorted(files_of(out)) == [
        "batches.parquet",
        "documents/000000-0.parquet",
        "errors.jsonl",
        "manifest.json",
        "notes.txt",
        "profile.tap",
        "report.html",
        "summary.json",
    ]
    assert (out / "report.html").read_text() != "of the older scan"


def test_a_folder_of_something_else_is_refused(backend, corpus, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("irreplaceable")
    with pytest.raises(FolderError, match=r"not textassay's \(chapter\.tex\)"):
        scan(corpus, out)
    (out / "manifest.json").write_text('{"schema": "someone else"}')
    with pytest.raises(FolderError, match="not textassay's"):
        scan(corpus, out)
    assert sorted(files_of(out)) == ["chapter.tex", "manifest.json"]
    with pytest.raises(FolderError, match="is a file"):
        scan(corpus, out / "chapter.tex")


def test_an_empty_folder_and_a_killed_run_are_fine(backend, corpus, tmp_path):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / ".partial/documents").mkdir(parents=True)
    (out / ".partial/lock").touch()
    (out / ".partial/documents/000000-0.parquet").write_text("half")
    scan(corpus, out)
    assert not (out / ".partial").exists() and (out / "manifest.json").exists()


def test_two_scans_into_one_folder(backend, corpus, tmp_path):
    from textassay.folder import OutputFolder

    first = OutputFolder(tmp_path / "out")
    with pytest.raises(FolderError, match="another process is writing"):
        scan(corpus, tmp_path / "out")
    first.discard()
    assert not (tmp_path / "out").exists()
    scan(corpus, tmp_path / "out")


def test_a_full_disk_leaves_the_earlier_result(backend, corpus, tmp_path, monkeypatch):
    out = tmp_path / "out"
    scan(corpus, out)
    before = files_of(out)

    def full(self, columns):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("textassay.documents.ParquetRows.add", full)
    with pytest.raises(OutputError, match="out: No space left on device"):
        scan(corpus, out)
    assert files_of(out) == before
    with pytest.raises(OutputError, match="No space left"):
        scan(corpus, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("textassay")]


def test_a_folder_that_cannot_be_written(backend, corpus):
    with pytest.raises(OutputError, match="cannot write to /proc/nowhere/out: No such file"):
        scan(corpus, "/proc/nowhere/out")


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": -1},
        {"threads": 5000},
        {"threads": 1.5},
        {"max_record_bytes": 0},
        {"max_record_bytes": 1 << 30},
        {"max_window_log": 9},
        {"max_window_log": 32},
        {"batch_tokens": 0},
        {"batch_tokens": 1.5},
        {"batch_tokens": 1 << 26},
        {"max_types": 0},
        {"tokens": "syllable"},
        {"entropy_floor": float("nan")},
        {"entropy_floor": -1},
        {"text_fields": ["a"] * 64},
    ],
    ids=str,
)
def test_options_out_of_range(backend, corpus, tmp_path, options):
    with pytest.raises(UsageError, match="wanted"):
        scan(corpus, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_scan_stops_and_leaves_nothing(backend, corpus, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(corpus, tmp_path / "out", on_progress=interrupt)
    assert not (tmp_path / "out").exists()
    assert not [t for t in threading.enumerate() if t.name.startswith("textassay")]


# Reading options


def test_progress_ends_with_everything(backend, corpus):
    seen = []
    scan(corpus, on_progress=seen.append)
    last = seen[-1]
    assert (last.files, last.n_files, last.documents) == (3, 3, sum(map(len, TEXTS)))
    assert last.bytes_compressed == last.bytes_total == sum(path.stat().st_size for path in corpus.iterdir())


def test_fields_and_ids(backend, shard):
    path = shard("a.jsonl", [{"meta": {"key": "k1"}, "body": ["skip", "one two"], "a.b": "three"}, {"a.b": "four"}])
    found = scan(path, text_fields=["body.1", "/a.b"], id_field="meta.key", documents="memory").documents
    assert found["n_tokens"].tolist() == [3, 1]
    assert found["id"].tolist() == ["k1", None]
    for wrong in ({"text_fields": []}, {"text_fields": "a..b"}, {"id_field": ""}):
        with pytest.raises(UsageError):
            scan(path, **wrong)


def test_gzip_and_standard_input(backend, tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(gzip.compress(b'{"text": "one two"}\n'))
    assert scan(path).summary["corpus"]["n_tokens"] == 2
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        result = scan("-", tmp_path / "out")
    assert result.summary["corpus"]["n_tokens"] == 2
    assert (tmp_path / "out/documents/000000--.parquet").exists()


def test_a_pipe(backend):
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write(b'{"text": "one two three"}\n')
    result = scan(f"/dev/fd/{reading}")
    os.close(reading)
    assert result.summary["corpus"]["n_tokens"] == 3
    assert result.inputs[0].size is None


def test_an_empty_file(backend, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    result = scan(tmp_path / "empty.jsonl", tmp_path / "out", entropy_floor=1)
    assert result.summary["corpus"]["n_documents"] == 0 and not result.is_damaged()
    assert pq.read_table(tmp_path / "out/documents/000000-empty.parquet").num_rows == 0
    assert pq.read_table(tmp_path / "out/batches.parquet").num_rows == 0
    assert len(result.batches) == 0 and result.errors == []


def test_max_record_bytes(backend, shard):
    result = scan(shard("a.jsonl", ["x" * 5000, "y"]), max_record_bytes=1000)
    assert result.summary["inputs"]["malformed_by_reason"] == {"too_long": 1}
    assert result.summary["inputs"]["accounted"]["bytes_too_long"] > 5000
