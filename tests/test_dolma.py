"""Attributes for the Dolma toolkit: in step with the documents line by line, as its mixer wants them."""

import gzip
import io
import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import zstandard

from textassay import Scanner, UsageError, scan, scan_shard
from textassay.dolma_attributes import attribute_paths
from textassay.engines import local
from textassay.inputs import Input

TEXTS = ["It's worth noting that we delve. And then?", "", "日本語 and é", "one " * 150]


def packed(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(line + b"\n" for line in lines)
    forms = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(forms.get(path.suffix, bytes)(data))


def unpacked(path: Path) -> list[dict]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return [json.loads(line) for line in data.splitlines()]


@pytest.fixture
def dataset(tmp_path) -> Path:
    for number, name in enumerate(("a.jsonl.gz", "deep/b.jsonl.zst", "deep/er/c.jsonl")):
        records = [{"id": f"{number}-{n}", "text": text, "source": "test"} for n, text in enumerate(TEXTS)]
        packed(tmp_path / "set/documents" / name, [json.dumps(record).encode() for record in records])
    return tmp_path / "set"


def test_a_line_for_each_document(backend, dataset, tmp_path):
    """Beside each file one of the same path and compression; values as `Scanner` gives them; spans of the whole text."""
    scan(dataset / "documents", tmp_path / "out", documents="dolma")
    folder = tmp_path / "out/attributes/textassay"
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == ["a.jsonl.gz", "deep/b.jsonl.zst", "deep/er/c.jsonl"]
    wanted = list(Scanner().update(TEXTS).rows())
    for number, name in enumerate(found):
        rows = unpacked(folder / name)
        assert [row["id"] for row in rows] == [f"{number}-{n}" for n in range(len(TEXTS))]
        for row, text, signals in zip(rows, TEXTS, wanted, strict=True):
            assert set(row) == {"id", "attributes"}
            label = signals["provenance"]
            assert row["attributes"].pop(f"textassay__{label}") == [[0, len(text), 1.0]]
            scores = {name.removeprefix("textassay__"): spans for name, spans in row["attributes"].items()}
            for signal, value in signals.items():
                if signal != "provenance":
                    assert scores.pop(signal) == ([] if value is None else [[0, len(text), value]]), signal
            assert scores == {other: [] for other in ("human_verified", "synthetic_known", "synthetic_suspected")}


def test_as_the_toolkit_describes_them(dataset, tmp_path):
    """docs/data-format.md of the toolkit: a string id, and for each attribute a list of [start, end, score]."""
    scan(dataset / "documents", tmp_path / "out", documents="dolma", signals="all")
    for path in (tmp_path / "out/attributes").rglob("*.*"):
        for row in unpacked(path):
            assert isinstance(row["id"], str)
            for name, spans in row["attributes"].items():
                assert isinstance(name, str) and isinstance(spans, list)
                for start, end, score in spans:
                    assert 0 <= start <= end and isinstance(score, (int, float)) and math.isfinite(score)


def test_lines_that_are_no_documents_keep_their_place(backend, tmp_path):
    lines = [b"not json", b'{"id": "a", "text": "one"}', b"", b'{"id": "x"}', b'{"id": "b", "text": "two"}', b"[]"]
    packed(tmp_path / "documents/a.jsonl", lines)
    scan(tmp_path / "documents", tmp_path / "out", documents="dolma", signals="n_chars", detector=None)
    rows = unpacked(tmp_path / "out/attributes/textassay/a.jsonl")
    assert [row["id"] for row in rows] == [None, "a", None, None, "b"]
    assert rows[0]["attributes"] == {} and rows[1]["attributes"]["textassay__n_chars"] == [[0, 3, 3]]


def test_shards_make_one_set(dataset, tmp_path):
    scan(dataset / "documents", tmp_path / "whole", documents="dolma")
    local.scan(dataset / "documents", tmp_path / "out", shards=3, documents="dolma")
    found = {p.name: p.read_bytes() for p in (tmp_path / "out/shards").glob("*/attributes/textassay/**/*.*")}
    assert found == {p.name: p.read_bytes() for p in (tmp_path / "whole/attributes").rglob("*.*")}
    assert len(found) == 3


def test_results_give_way_to_new_ones(dataset, tmp_path):
    scan(dataset / "documents", tmp_path / "out", documents="dolma")
    result = scan(dataset / "documents/a.jsonl.gz", tmp_path / "out", documents="dolma")
    assert result.documents is None
    assert [path.name for path in (tmp_path / "out/attributes").rglob("*.*")] == ["a.jsonl.gz"]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["documents"] for entry in manifest["inputs"]] == ["attributes/textassay/a.jsonl.gz"]
    scan(dataset / "documents", tmp_path / "out", documents="none")
    assert not (tmp_path / "out/attributes").exists()


def names(*paths: str) -> list[str]:
    sources = [path if "://" in path else os.fsencode(path) for path in paths]
    return [str(path) for path in attribute_paths([Input(*pair, 1, 1) for pair in zip(paths, sources, strict=True)])]


def test_paths_as_the_mixer_makes_them():
    assert names("/s/documents/a", "/s/documents/b/c.gz", "documents/d") == ["a", "b/c.gz", "d"]
    assert names("s3://bucket/set/documents/e.zst") == ["e.zst"]
    assert names("/s/documents/x/documents/y") == ["x/attributes/textassay/y"]


@pytest.mark.parametrize(
    "paths",
    [
        ("/s/a",),
        ("/s/mydocuments/a",),
        ("/s/documents/../../etc/a",),
        ("/s/documents//etc/a",),
        ("/s/documents/a", "/t/documents/a"),
    ],
)
def test_paths_that_cannot_be(paths):
    with pytest.raises(UsageError, match="dolma|one data set"):
        names(*paths)


def test_what_it_needs(dataset, tmp_path):
    with pytest.raises(UsageError, match="wanted n_chars among the signals"):
        scan_shard(dataset / "documents", tmp_path / "out", "0/1", documents="dolma", signals="mattr")
    with pytest.raises(UsageError, match="needs a folder"):
        scan(dataset / "documents", documents="dolma")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(shutil.which("dolma") is None, reason="the Dolma toolkit is not installed")
def test_the_mixer_reads_them(dataset, tmp_path):
    scan(dataset / "documents", tmp_path / "out", documents="dolma")
    (dataset / "attributes").mkdir()
    os.symlink(tmp_path / "out/attributes/textassay", dataset / "attributes/textassay")
    stream = {
        "name": "kept",
        "documents": [f"{dataset}/documents/*.gz", f"{dataset}/documents/deep/*.zst"],
        "attributes": ["textassay"],
        "output": {"path": str(tmp_path / "mixed"), "max_size_in_bytes": 1 << 30},
        "filter": {"include": ["$.attributes[?(@.textassay__n_tokens[0][2] >= 100)]"]},
    }
    (tmp_path / "mix.json").write_text(json.dumps({"streams": [stream], "processes": 1}))
    subprocess.run(["dolma", "-c", tmp_path / "mix.json", "mix"], check=True, timeout=120, capture_output=True)
    (mixed,) = (tmp_path / "mixed").iterdir()
    assert [row["id"] for row in unpacked(mixed)] == ["0-3", "1-3"]
