"""sample and labels: who is drawn, what stands in the file, and what the labels say of the corpus."""

import csv
import hashlib
import json
import math
import random
import shutil
import subprocess
import sys
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

import naive_records
from textassay import scan_folder
from textassay.errors import InputError, OutputError, UsageError
from textassay.labels import take_labels
from textassay.sampling import sample_documents
from textassay.scanning import scan
from textassay.strata import Dimension, allocate, line_hashes, parse_dimension
from textassay.stratified import LabelledStratum, agreement, estimate_ratio

M64 = (1 << 64) - 1


def naive_hash(digest: str, line: int, seed: int) -> int:
    """SplitMix64 of the line's number, from a start."""
    start = int.from_bytes(hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest(), "little")
    z = (start + line * 0x9E3779B97F4A7C15) & M64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M64
    return z ^ z >> 31


def test_hashes():
    lines = np.array([1, 2, 3, 10**9])
    assert line_hashes("ab12", lines, 5).tolist() == [naive_hash("ab12", line, 5) for line in lines.tolist()]


def band(n: int, edges=(3, 6)) -> str:
    places = {0: f"n_tokens < {edges[0]}", len(edges): f"n_tokens >= {edges[-1]}"}
    found = sum(n >= edge for edge in edges)
    return places.get(found) or f"n_tokens {edges[found - 1]}..{edges[found]}"


@pytest.fixture
def corpus(shard, tmp_path):
    rng = random.Random(3)
    for name in ("a.jsonl.zst", "b.jsonl", "c.jsonl.gz"):
        records = [{"id": f"{name}{i}", "text": "w " * rng.randrange(9), "site": f"s{i % 3}"} for i in range(70)]
        shard(f"in/{name}", [b"", b"no record", *records] if not name.endswith("gz") else [])
    return tmp_path / "in"


def read_items(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_lowest_hashes_of_each_stratum(backend, corpus, tmp_path):
    scan(corpus, tmp_path / "scan", id_field="id")
    result = sample_documents(
        corpus, tmp_path / "r.jsonl", 20, by=["n_tokens:3,6"], seed=4, source_field="site", scanned=tmp_path / "scan"
    )
    strata: dict[str, list] = {}
    results = scan_folder.ScanFolder(tmp_path / "scan")
    for own in results.inputs:
        for chunk in results.chunks(own, ["line", "id", "n_tokens"]):
            for line, identity, n in zip(*(chunk[name].tolist() for name in ("line", "id", "n_tokens")), strict=True):
                strata.setdefault(band(n), []).append((naive_hash(own.digest, line, 4), identity))
    expected = {name: sorted(rows)[: result.strata[name]["sampled"]] for name, rows in strata.items()}
    items = read_items(tmp_path / "r.jsonl")
    assert [item["id"] for item in items] == [identity for _, identity in sorted(chain(*expected.values()))]
    assert [item["item"] for item in items] == list(range(1, 21))
    assert {name: row["documents"] for name, row in result.strata.items()} == {n: len(r) for n, r in strata.items()}
    assert sorted(row["sampled"] for row in result.strata.values()) == [6, 7, 7]
    assert math.isclose(sum(item["sampling"]["weight"] for item in items), 140)
    assert all(item["label"] == "" and item["source"] in ("s0", "s1", "s2") for item in items)
    assert all(item["text"].count("w") == item["sampling"]["figures"]["n_tokens"] for item in items)


def drawn(*arguments, **options) -> list[dict]:
    """The items, without the names of their files."""
    items = sample_documents(*arguments, **options).items
    for item in items:
        item["sampling"].pop("input")
    return items


def test_the_sample_depends_on_content_alone(corpus, tmp_path, monkeypatch):
    options = {"by": ["n_tokens:3,6"], "source_field": "site"}
    first = drawn(corpus, tmp_path / "r", 20, **options)
    shutil.copytree(corpus, tmp_path / "elsewhere")
    assert drawn(tmp_path / "elsewhere", tmp_path / "r", 20, threads=1, **options) == first
    monkeypatch.setattr(scan_folder, "CHUNK_ROWS", 7)
    assert drawn(corpus, tmp_path / "r", 20, threads=3, **options) == first
    assert drawn(corpus, tmp_path / "r", 20, seed=1, **options) != first
    larger = drawn(corpus, tmp_path / "r", 60, **options)
    assert {item["id"] for item in first} < {item["id"] for item in larger}


def test_by_label_and_input(shard, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nlabel = "synthetic_known"\ngenerator = "model"\n')
    paths = [shard(f"{n}.jsonl", [{"text": "a", "model": "m"} if i < n else "b" for i in range(9)]) for n in (0, 4)]
    found = sample_documents(paths, tmp_path / "r", 9, by=["provenance", "input"], provenance=rules)
    names = [
        f"provenance {label}, input {path}"
        for label, path in (
            ("human_unverified", paths[0]),
            ("human_unverified", paths[1]),
            ("synthetic_known", paths[1]),
        )
    ]
    assert {name: row["documents"] for name, row in found.strata.items()} == dict(zip(names, (9, 5, 4), strict=True))
    assert [row["sampled"] for row in found.strata.values()] == [3, 3, 3]


RECORDS = [
    b'{"text": "plain"}\r\n',
    b'{"text": "first", "text": "second", "t2": "more"}\n',
    b'{"n": 12345678901234567890123, "text": "\\ud800 lone", "id": 7}\n',
    b'  {"t2": "only the other", "text2": 1}\n',
    b'{"text": "\\ud83d\\ude00 \xe2\x82\xac", "group": {"x": [1, "g"]}}',
]


def test_texts_and_fields(backend, tmp_path, monkeypatch):
    """As a scan reads them: naive_records says how."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\n" + b"".join(RECORDS))
    monkeypatch.setattr("textassay.records.BLOCK_BYTES", 5)
    found = sample_documents(path, tmp_path / "r", 5, by=["input"], text_fields=["text", "t2"], group_field="group.x.1")
    expected = naive_records.read(path.read_bytes(), (("text",), ("t2",)))
    by_line = {item["sampling"]["line"]: item for item in found.items}
    assert {line: item["text"] for line, item in by_line.items()} == {d.line: d.text for d in expected.documents}
    assert by_line[4]["id"] == by_line[4]["group"] == "7"
    assert by_line[6]["group"] == "g"
    assert by_line[2]["source"] == str(path)


def test_more_than_there_are(shard, tmp_path):
    found = sample_documents(shard("a.jsonl", ["a", "b"]), tmp_path / "r", 10)
    assert len(found.items) == 2 and all(item["sampling"]["weight"] == 1 for item in found.items)
    assert sample_documents(shard("b.jsonl", []), tmp_path / "r", 10).items == []


@given(st.integers(1, 200), st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_allocation(n, sizes):
    for allocation in ("equal", "proportional"):
        if n < len(sizes):
            with pytest.raises(UsageError):
                allocate(n, sizes, allocation)
            continue
        numbers = allocate(n, sizes, allocation)
        assert sum(numbers) == min(n, sum(sizes))
        assert all(1 <= number <= size for number, size in zip(numbers, sizes, strict=True))
        open_ones = [number for number, size in zip(numbers, sizes, strict=True) if number < size]
        if allocation == "equal":
            assert (
                max(open_ones, default=0)
                - min(numbers if open_ones and max(numbers) == min(numbers) else open_ones, default=0)
                <= 1
            )
        elif n >= 2 * len(sizes):
            assert all(number >= min(2, size) for number, size in zip(numbers, sizes, strict=True))
            for (a, s), (b, t) in pairwise(zip(numbers, sizes, strict=True)):
                if a > 2 and b < t:
                    assert s / a >= t / (b + 1)  # none could be taken from one for the other


@pytest.mark.parametrize(
    "text", ["n_tokens:3,2", "n_tokens:", "n_tokens:a", "n_tokens:nan", "n tokens", "", "n_tokens:1,inf"]
)
def test_what_is_no_dimension(text):
    with pytest.raises(UsageError):
        parse_dimension(text)
    assert parse_dimension("n_tokens:1,2.5") == Dimension("n_tokens", (1, 2.5))


def test_what_is_refused(corpus, tmp_path):
    def refused(n=5, kind=UsageError, **options) -> str:
        with pytest.raises(kind) as found:
            sample_documents(corpus, tmp_path / "r", n, **options)
        assert not (tmp_path / "r").exists() and not list(tmp_path.glob(".textassay*"))
        return str(found.value)

    assert "from 1 to" in refused(n=0)
    assert "wanted edges" in refused(by=["mattr"])
    assert "no edges" in refused(by=["id:3"])
    assert "did you mean" in refused(by=["n_token"])
    assert "needs detector" in refused(by=["synthetic_probability"], detector=None)
    assert "at least one document from each" in refused(by=["input", "n_tokens:1,2,3,4,5"])
    assert "equal or proportional" in refused(allocation="neyman")
    with pytest.raises(OutputError):
        sample_documents(corpus, corpus, 5)


def test_too_many_strata(shard, tmp_path):
    with pytest.raises(UsageError, match="1000 strata"):
        sample_documents(shard("a.jsonl", ["a"] * 1001), tmp_path / "r", 2000, by=["id"])


def test_inputs_that_have_changed(shard, tmp_path):
    path = shard("a.jsonl", ["one", "two"])
    scan(path, tmp_path / "scan")
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(InputError, match="size"):
        sample_documents(path, tmp_path / "r", 1, scanned=tmp_path / "scan")


# Labels back


def population(rng, sizes, shares, hit):
    """Of each stratum the synthetic documents, and of those and the others the predicted ones."""
    strata = []
    for size, share_of_synthetic in zip(sizes, shares, strict=True):
        synthetic = rng.random(size) < share_of_synthetic
        strata.append((synthetic, rng.random(size) < np.where(synthetic, hit, 0.1)))
    return strata


FIGURES = {
    "share": (lambda y, p: y, lambda y, p: np.ones_like(y)),
    "precision": (lambda y, p: y & p, lambda y, p: p),
    "recall": (lambda y, p: y & p, lambda y, p: y),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("shares", [(0.02, 0.2, 0.9), (0.0, 0.0, 0.5), (0.3, 0.3, 0.3)])
def test_estimates_are_right_on_average_and_their_intervals_hold(name, shares):
    part, whole = FIGURES[name]
    rng = np.random.default_rng(7)
    strata = population(rng, (4000, 900, 300), shares, 0.8)
    everything = [LabelledStratum(len(y), y, p) for y, p in strata]
    census = estimate_ratio(everything, part, whole)
    truth = sum(part(y, p).sum() for y, p in strata) / sum(whole(y, p).sum() for y, p in strata)
    assert (census.value, census.low, census.high) == (pytest.approx(truth), census.value, census.value)
    values, covered = [], []
    for _ in range(400):
        samples = []
        for (y, p), n in zip(strata, (60, 60, 60), strict=True):
            chosen = rng.choice(len(y), n, replace=False)
            samples.append(LabelledStratum(len(y), y[chosen], p[chosen]))
        found = estimate_ratio(samples, part, whole)
        if found is not None:
            values.append(found.value)
            covered.append(found.low <= truth <= found.high)
    assert np.mean(values) == pytest.approx(truth, abs=0.02)
    assert np.mean(covered) > 0.92


@given(st.integers(1, 300), st.data())
def test_one_stratum_has_wilsons_interval(n, data):
    k = data.draw(st.integers(0, n))
    synthetic = np.arange(n) < k
    stratum = LabelledStratum(10**12, synthetic, np.zeros(n, bool))
    found = estimate_ratio([stratum], *FIGURES["share"])
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_nothing_predicted_has_no_precision():
    stratum = LabelledStratum(10, np.array([True, False]), np.array([False, False]))
    assert estimate_ratio([stratum], *FIGURES["precision"]) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_agreement(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    found = agreement(first, second)
    if found.kappa is None:
        assert len(set(pairs)) == 1
    else:
        assert found.kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
        assert found.low <= found.kappa + 1e-12 and found.kappa <= found.high + 1e-12


def test_kappa_of_the_textbook():
    """Fleiss, Levin & Paik (2003), table 18.1 folded to two classes: kappa and its standard error by hand from the formula."""
    first = np.repeat([True, True, False, False], [75, 5, 4, 16])
    second = np.repeat([True, False, True, False], [75, 5, 4, 16])
    found = agreement(first, second)
    chance = 0.8 * 0.79 + 0.2 * 0.21
    kappa = (0.91 - chance) / (1 - chance)
    a = 0.75 * (1 - (0.8 + 0.79) * (1 - kappa)) ** 2 + 0.16 * (1 - (0.2 + 0.21) * (1 - kappa)) ** 2
    b = (1 - kappa) ** 2 * (0.05 * (0.79 + 0.2) ** 2 + 0.04 * (0.21 + 0.8) ** 2)
    c = (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt((a + b - c) / 100) / (1 - chance)
    assert (found.kappa, found.low) == pytest.approx((kappa, kappa - 1.959963984540054 * error))


@pytest.fixture
def review(shard, tmp_path):
    """A sample of which the ids that hold an s are synthetic."""
    records = [{"id": f"{'s' if i % 5 == 0 else 'h'}{i}", "text": f"=text {i} " + "w " * (i % 7)} for i in range(300)]
    sample_documents(shard("a.jsonl", records), tmp_path / "r.jsonl", 60, by=["n_tokens:4,6"], sheet=tmp_path / "r.csv")
    return tmp_path / "r.jsonl"


def relabelled(path, **fields) -> None:
    """Fills in fields by functions of the item."""
    items = read_items(path)
    for item in items:
        item |= {name: of(item) for name, of in fields.items()}
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


def truth(item) -> str:
    return "synthetic" if item["id"].startswith("s") else "human"


def test_labels_back(review, tmp_path):
    relabelled(
        review,
        label=lambda i: "Unsure" if i["item"] % 9 == 0 else truth(i).upper(),
        judge=lambda i: truth(i) if i["item"] % 4 else "human",
    )
    found = take_labels(review, tmp_path / "labelled.jsonl", predicted="n_tokens >= 6", second_field="judge")
    items = [item for item in read_items(review) if item["label"] != "Unsure"]
    assert found.report["labelled"] == len(items) and found.report["covered"] == 1
    per_stratum: dict[str, list] = {}
    for item in items:
        per_stratum.setdefault(item["sampling"]["stratum"], []).append(item)
    weight = {name: own[0]["sampling"]["documents"] / len(own) for name, own in per_stratum.items()}

    def total(of) -> float:
        return sum(weight[i["sampling"]["stratum"]] for i in items if of(i))

    def is_synthetic(item) -> bool:
        return truth(item) == "synthetic"

    def is_predicted(item) -> bool:
        return item["sampling"]["figures"]["n_tokens"] >= 6

    report = found.report
    both = total(lambda i: is_synthetic(i) and is_predicted(i))
    assert report["synthetic_share"]["value"] == pytest.approx(total(is_synthetic) / 300)
    assert report["precision"]["value"] == pytest.approx(both / total(is_predicted))
    assert report["recall"]["value"] == pytest.approx(both / total(is_synthetic))
    assert report["false_positive_rate"]["value"] == pytest.approx(
        total(lambda i: is_predicted(i) and not is_synthetic(i)) / total(lambda i: not is_synthetic(i))
    )
    assert report["second"]["precision"]["value"] == 1 and 0 < report["second"]["recall"]["value"] < 1
    labelled = read_items(tmp_path / "labelled.jsonl")
    assert labelled == found.labelled and {row["label"] for row in labelled} == {"human", "synthetic"}
    assert [(row["id"], row["text"]) for row in labelled] == [(item["id"], item["text"]) for item in items]
    assert sum(row["weight"] for row in labelled) == pytest.approx(300)


def test_labels_in_a_sheet(review, tmp_path):
    with (tmp_path / "r.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    items = read_items(review)
    assert [row["text"] for row in rows] == [f"'{item['text']}" for item in items], "no formula runs"
    with (tmp_path / "filled.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, ["text", "label", "item"])
        writer.writeheader()
        writer.writerows(reversed([row | {"label": truth(item)} for row, item in zip(rows, items, strict=True)]))
    by_sheet = take_labels(review, sheet=tmp_path / "filled.csv").report
    relabelled(review, label=truth)
    assert take_labels(review).report == by_sheet
    assert by_sheet["predicted"] is None and "precision" not in by_sheet


def test_strata_without_a_label_are_not_spoken_for(review):
    relabelled(review, label=lambda i: truth(i) if "< 4" in i["sampling"]["stratum"] else "")
    report = take_labels(review).report
    rows = {row["stratum"]: row for row in report["strata"]}
    assert report["covered"] == pytest.approx(rows["n_tokens < 4"]["documents"] / 300)


HOSTILE = {
    "no JSON": lambda items: "nonsense",
    "no sampling": lambda items: json.dumps({"item": 1, "text": "a"}),
    "another label": lambda items: json.dumps(items[0] | {"label": "robot"}),
    "a number": lambda items: json.dumps(items[0] | {"label": 1}),
    "twice": lambda items: json.dumps(items[0]) + "\n" + json.dumps(items[0]),
    "another size": lambda items: (
        json.dumps(items[0]) + "\n" + json.dumps(items[1] | {"sampling": items[0]["sampling"] | {"documents": 10**6}})
    ),
    "no documents": lambda items: json.dumps(items[0] | {"sampling": items[0]["sampling"] | {"documents": 0}}),
    "more drawn than there are": lambda items: json.dumps(
        items[0] | {"sampling": items[0]["sampling"] | {"documents": 1}}
    ),
    "figures in figures": lambda items: json.dumps(
        items[0] | {"sampling": items[0]["sampling"] | {"figures": {"a": []}}}
    ),
    "nothing": lambda items: "",
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_files_that_are_no_sample(review, change):
    relabelled(review, label=truth)
    review.write_text(change(read_items(review)) + "\n")
    with pytest.raises(InputError):
        take_labels(review)


def test_labels_that_cannot_be_used(review, tmp_path):
    with pytest.raises(UsageError, match="no item has a label"):
        take_labels(review)
    relabelled(review, label=truth)
    with pytest.raises(UsageError, match="does not hold 'mattr'"):
        take_labels(review, predicted="mattr > 3")
    with pytest.raises(UsageError, match="no item has both"):
        take_labels(review, second_field="judge")
    (tmp_path / "bad.csv").write_text("item,label\n999,human\n")
    with pytest.raises(InputError, match="'999' is not in the sample"):
        take_labels(review, sheet=tmp_path / "bad.csv")


def textassay(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "textassay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_commands(corpus, tmp_path):
    done = textassay(
        "sample",
        corpus,
        "-n",
        12,
        "-o",
        tmp_path / "r.jsonl",
        "--by",
        "n_tokens:3,6",
        "--csv",
        tmp_path / "r.csv",
        "-q",
    )
    assert done.returncode == 0 and "n_tokens 3..6" in done.stdout, done.stderr
    assert textassay("labels", tmp_path / "r.jsonl").returncode == 2
    relabelled(tmp_path / "r.jsonl", label=lambda i: "human" if i["item"] % 2 else "synthetic")
    done = textassay("labels", tmp_path / "r.jsonl", "--predicted", "n_tokens > 4", "-o", tmp_path / "l.jsonl")
    assert done.returncode == 0 and "of all documents" in done.stdout and "recall" in done.stdout, done.stderr
    report = json.loads(textassay("labels", tmp_path / "r.jsonl", "--json").stdout)
    assert report["labelled"] == 12 == len(read_items(tmp_path / "l.jsonl"))
