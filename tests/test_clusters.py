"""mix --preserve clusters: a corpus weighted to the topics of a reference."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
import zstandard

from textassay import clusters as module
from textassay.clusters import jensen_shannon, preserve_clusters
from textassay.errors import InputError, UsageError
from textassay.scanning import scan

TOPICS = {name: [f"{name}{i}" for i in range(30)] for name in ("sea", "law", "bees")}


def texts_of(numbers: dict[str, int], seed: int) -> list[dict]:
    rng = random.Random(seed)
    found = [
        {"id": f"{topic}-{i}", "text": " ".join(["the", "of", *rng.choices(TOPICS[topic], k=18)])}
        for topic, number in numbers.items()
        for i in range(number)
    ]
    rng.shuffle(found)
    return found


@pytest.fixture
def scans(shard, tmp_path):
    human = shard("human.jsonl.zst", texts_of({"sea": 100, "law": 60, "bees": 40}, 1))
    web = [shard("web1.jsonl", texts_of({"sea": 15, "law": 60, "bees": 125}, 2)), shard("web2.jsonl.gz", [])]
    scan(human, tmp_path / "reference")
    scan(web, tmp_path / "corpus")
    return tmp_path / "reference", tmp_path / "corpus"


def rows_of(folder) -> list[dict]:
    found = []
    for path in sorted(folder.iterdir()):
        data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
        found += [json.loads(line) for line in data.splitlines()]
    return found


def test_the_shares_of_the_reference_come_back(scans, tmp_path):
    report = preserve_clusters(*scans, tmp_path / "out", clusters=3, max_weight=10)
    by_topic = {row["reference_examples"][0].partition("-")[0]: row for row in report["clusters"]}
    assert {topic: (row["reference_share"], row["corpus_share"]) for topic, row in by_topic.items()} == {
        "sea": (0.5, 0.075),
        "law": (0.3, 0.3),
        "bees": (0.2, 0.625),
    }
    for row in by_topic.values():
        assert row["share"] == pytest.approx(row["reference_share"])
        assert row["weight"] == pytest.approx(row["reference_share"] / row["corpus_share"])
    assert report["divergence_bits"]["after"] == pytest.approx(0, abs=1e-9)
    assert report["divergence_bits"]["before"] == pytest.approx(
        jensen_shannon(np.array([0.5, 0.3, 0.2]), np.array([0.075, 0.3, 0.625]))
    )
    rows = rows_of(tmp_path / "out/documents")
    assert [row["line"] for row in rows] == list(range(1, 201))
    for row in rows:
        assert row["weight"] == by_topic[row["id"].partition("-")[0]]["weight"]
    assert json.loads((tmp_path / "out/clusters.json").read_text()) == report


def test_weights_are_capped(scans):
    """What a cap cuts off goes to the others in proportion."""
    report = preserve_clusters(*scans, clusters=3, max_weight=4)
    shares = sorted(row["share"] for row in report["clusters"])
    assert shares == pytest.approx([0.7 * 0.2 / 0.5, 0.3, 0.7 * 0.3 / 0.5])
    assert sum(row["weight"] * row["corpus_share"] for row in report["clusters"]) == pytest.approx(1)


def test_batches_do_not_matter(scans, monkeypatch):
    first = preserve_clusters(*scans, clusters=3)
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 300)
    assert preserve_clusters(*scans, clusters=3) == first


def test_a_topic_that_the_corpus_lacks(scans, shard, tmp_path):
    scan(shard("other.jsonl", texts_of({"law": 50, "bees": 50}, 3)), tmp_path / "other")
    report = preserve_clusters(scans[0], tmp_path / "other", clusters=3)
    assert report["unmet"] == 0.5
    assert sorted(row["share"] for row in report["clusters"]) == pytest.approx([0, 0.4, 0.6])


def test_what_is_refused(scans, shard, tmp_path):
    with pytest.raises(UsageError, match="wanted 2 to"):
        preserve_clusters(*scans, clusters=1)
    with pytest.raises(UsageError, match="at least as many"):
        preserve_clusters(*scans, clusters=401)
    (tmp_path / "web1.jsonl").write_text("{}")
    with pytest.raises(InputError, match="not as it was"):
        preserve_clusters(*scans, tmp_path / "out", clusters=3)
    assert not (tmp_path / "out").exists()


def test_the_command(scans, tmp_path):
    def textassay(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "textassay", "mix", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    preserving = ("--preserve", "clusters", "--reference", scans[0])
    done = textassay(scans[1], *preserving, "--clusters", 3, "-o", tmp_path / "out")
    assert done.returncode == 0 and "from the reference" in done.stdout, done.stderr
    assert (tmp_path / "out/clusters.json").exists()
    for wrong in (
        (),
        ("--preserve", "clusters"),
        ("--preserve", "topics", "--reference", scans[0]),
        (*preserving, "--policy", "p"),
    ):
        assert textassay(scans[1], *wrong).returncode == 2
