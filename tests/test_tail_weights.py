"""Sampling weights from the rows of a scan: the formula, the guards, the sums."""

import json
import math
import random
from fractions import Fraction

import pyarrow.parquet
import pytest
import zstandard

from implementations import backend_module
from test_cli import textassay
from textassay import FolderError, UsageError, _backend, build_anchor, load_anchor, scan
from textassay.errors import OutputError
from textassay.tail_weights import tail_rate_of, weigh_documents

RULES = """
default = "human_unverified"

[[rule]]
label = "synthetic_suspected"
name = "by name"
all = [{ field = "id", matches = "^s" }]
"""


def word(rank):
    return "".join("bcdfghklmnprstvz"[int(digit, 16)] + "aeiou"[int(digit, 16) % 5] for digit in f"{rank:x}")


def text(numbers, n, exponent=1.05, n_words=1500):
    ranks = range(1, n_words)
    chosen = numbers.choices(ranks, [1 / rank**exponent for rank in ranks], k=n)
    return " ".join(word(rank) + ("." if numbers.random() < 0.1 else "") for rank in chosen)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """An anchor, a scan with it in both forms, and a scan of other human text."""
    folder = tmp_path_factory.mktemp("weights")
    numbers = random.Random(1)

    def write(name, records):
        path = folder / name
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    human = [
        {"id": f"h{i}", "text": text(numbers, numbers.randint(50, 300), numbers.uniform(0.75, 1.2))} for i in range(500)
    ]
    build_anchor(write("anchor.jsonl", human[:300]), folder / "h.anchor", tail_mass=0.15)
    rare = [{"id": f"r{i}", "text": text(numbers, 150, 0.85)} for i in range(40)]
    short = [{"id": f"x{i}", "text": text(numbers, i)} for i in range(12)]
    synthetic = [{"id": f"s{i}", "text": text(numbers, 150, 0.85)} for i in range(10)]
    letters = "bcdfgaeiou"
    noise = [
        {"id": f"n{i}", "text": " ".join("".join(numbers.choices(letters, k=7)) for _ in range(200))} for i in range(15)
    ]
    mixed = [{"id": f"m{i}", "text": text(numbers, 100, 0.8) + " " + noise[i]["text"][:800]} for i in range(15)]
    write("a.jsonl", human[300:400] + rare[:10] + short)
    write("b.jsonl", rare[10:] + synthetic + noise + mixed)
    write("c.jsonl", [])
    (folder / "rules.toml").write_text(RULES)
    shards = [folder / f"{name}.jsonl" for name in "abc"]
    for form in ("parquet", "jsonl"):
        options = {"anchor": folder / "h.anchor", "documents": form, "provenance": folder / "rules.toml", "threads": 1}
        scan(shards, folder / form, signals="default,dup_line_share", **options)
    scan(write("held.jsonl", human[400:]), folder / "held", anchor=folder / "h.anchor", threads=1)
    return folder


def rows_in(folder):
    rows = {}
    for path in sorted((folder / "documents").iterdir()):
        if path.suffix == ".parquet":
            found = pyarrow.parquet.read_table(path).to_pylist()
        else:
            lines = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).splitlines()
            found = [json.loads(line) for line in lines]
        rows[path.name[7:8]] = found
    return rows


def naive_raise(row, rate, strength, cap):
    """From one row of documents/, in exact arithmetic: what is not rounded yet."""
    n, tail = row["n_tokens"], round((row["tail_share"] or 0) * row["n_tokens"])
    share = Fraction(tail + 100 * rate) / (n + 100)
    rarity = (1 - (1 - share) ** 5) / (1 - (1 - rate) ** 5)
    return float(rarity), float(min(max(1, 1 + strength * (rarity - 1)), cap))


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize(("strength", "cap"), [(1.0, 3.0), (2.5, 1.5), (0.0, 3.0)])
def test_weights_are_those_of_the_formula(corpus, tmp_path, form, strength, cap):
    found = weigh_documents(corpus / form, corpus / "h.anchor", tmp_path / "w", strength=strength, cap=cap)
    rate = tail_rate_of(load_anchor(corpus / "h.anchor"))
    measured, weighted = rows_in(corpus / form), rows_in(tmp_path / "w")
    assert measured.keys() == weighted.keys() == set("abc")
    raises, weights = [], []
    for shard in "abc":
        assert [row["id"] for row in weighted[shard]] == [row["id"] for row in measured[shard]]
        assert [row["byte_offset"] for row in weighted[shard]] == [row["byte_offset"] for row in measured[shard]]
        for row, figures in zip(weighted[shard], measured[shard], strict=True):
            rarity, wanted = naive_raise(figures, Fraction(rate), Fraction(strength), cap)
            assert row["rarity"] == pytest.approx(rarity, rel=1e-12)
            if row["status"] in ("guarded", "synthetic"):
                assert wanted > 1
                wanted = 1.0
            else:
                assert row["status"] == ("common" if wanted <= 1 else "capped" if wanted >= cap else "raised")
            raises.append(math.floor(wanted * 2**20 + 0.5))
            weights.append(row["weight"])
    mean = Fraction(sum(raises), len(raises))
    assert weights == pytest.approx([float(one / mean) for one in raises], rel=2e-6)
    assert math.fsum(weights) / len(weights) == pytest.approx(1, rel=1e-12)
    assert found.summary["effective_documents"] == pytest.approx(
        math.fsum(weights) ** 2 / math.fsum(w * w for w in weights)
    )
    assert max(weights) <= cap * min(weights) * (1 + 1e-12)


def test_shards_and_tail_share_are_sums_over_documents(corpus, tmp_path):
    found = weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / "w")
    measured, weighted = rows_in(corpus / "parquet"), rows_in(tmp_path / "w")
    pairs = {name: list(zip(measured[name], weighted[name], strict=True)) for name in "abc"}
    for row, name in zip(found.shards, "abc", strict=True):
        assert row["file"].endswith(f"{name}.jsonl")
        assert row["n_documents"] == len(pairs[name])
        if name == "c":
            assert row["weight"] is None and row["tail_share"] is None
            continue
        weights = [after["weight"] for _, after in pairs[name]]
        assert row["weight"] == pytest.approx(math.fsum(weights) / len(weights))
    tokens = [(m["n_tokens"], m["tail_share"] or 0, w["weight"]) for pair in pairs.values() for m, w in pair]
    before = math.fsum(n * t for n, t, _ in tokens) / sum(n for n, _, _ in tokens)
    after = math.fsum(n * t * w for n, t, w in tokens) / math.fsum(n * w for n, _, w in tokens)
    assert found.summary["tail_share"] == pytest.approx(before)
    assert found.summary["tail_share_weighted"] == pytest.approx(after) and after > 1.02 * before
    assert pyarrow.parquet.read_table(tmp_path / "w" / "shards.parquet").to_pylist() == found.shards


@pytest.mark.parametrize("human", [None, "held", "held/profile.tap"])
def test_noise_is_not_raised_and_rare_text_is(corpus, tmp_path, human):
    options = {} if human is None else {"human": corpus / human}
    found = weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / "w", **options)
    status = {row["id"]: row["status"] for rows in rows_in(tmp_path / "w").values() for row in rows}
    of = {kind: [status[name] for name in status if name.startswith(kind)] for kind in "hrsnm"}
    assert not {"raised", "capped"} & {*of["n"], *of["m"], *of["s"]}, "neither noise nor what is suspected"
    assert sum(one in ("raised", "capped") for one in of["r"]) >= 36
    assert of["s"].count("synthetic") >= 9
    assert found.summary["guards"]["from"] == ("corpus" if human is None else str(corpus / human))
    signals = [limit["signal"] for limit in found.summary["guards"]["limits"]]
    assert set(signals) >= {"oov_rate", "perplexity", "mattr", "invisible_chars", "entropy_bits"}
    assert ("dup_line_share" in signals) == (human is None), "guarded where both scans measured it"


def test_labels_may_be_ignored(corpus, tmp_path):
    weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / "w", no_raise=())
    status = {row["id"]: row["status"] for rows in rows_in(tmp_path / "w").values() for row in rows}
    assert sum(status[f"s{i}"] == "raised" for i in range(10)) >= 8


def test_guards_hold_what_they_say(corpus, tmp_path):
    found = weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / "w", human=corpus / "held")
    limits = {limit["signal"]: limit for limit in found.summary["guards"]["limits"]}
    held = rows_in(corpus / "held")["h"]
    for name, limit in limits.items():
        values = sorted(row[name] for row in held if row[name] is not None)
        if limit["high"] is not None:
            assert sum(value > limit["high"] for value in values) <= 0.01 * len(values), name
            assert limit["high"] <= values[-1] * 1.05 + 0.02, name
        if limit["low"] is not None:
            assert sum(value < limit["low"] for value in values) <= 0.01 * len(values), name
    measured = {row["id"]: row for rows in rows_in(corpus / "parquet").values() for row in rows}
    for row in (row for rows in rows_in(tmp_path / "w").values() for row in rows):
        outside = [
            name
            for name, limit in limits.items()
            if (value := measured[row["id"]][name]) is not None
            and (
                (limit["high"] is not None and value > limit["high"])
                or (limit["low"] is not None and value < limit["low"])
            )
        ]
        if row["status"] in ("raised", "capped"):
            assert not outside
        if row["status"] == "guarded":
            assert row["guard"] == outside[0]
        else:
            assert row["guard"] is None


def test_the_same_bytes_again_and_on_each_backend(corpus, tmp_path):
    seen = set()
    for turn, name in enumerate(("native", "numba", "native")):
        backend_module(name)
        with _backend.using(name):
            weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / str(turn))
        seen.add(tuple((p.name, p.read_bytes()) for p in sorted((tmp_path / str(turn)).rglob("*")) if p.is_file()))
    assert len(seen) == 1


def test_earlier_weights_are_replaced_and_nothing_else(corpus, tmp_path):
    for strength in (1.0, 2.0):
        weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / "w", strength=strength)
        assert json.loads((tmp_path / "w" / "summary.json").read_text())["settings"]["strength"] == strength
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("x")
    (tmp_path / "file").write_text("x")
    for taken in ("other", "file"):
        with pytest.raises(FolderError, match="not textassay.s|is a file; wanted a folder"):
            weigh_documents(corpus / "parquet", corpus / "h.anchor", tmp_path / taken)
    assert (tmp_path / "other" / "precious").read_text() == "x"
    with pytest.raises(OutputError, match="cannot write"):
        weigh_documents(corpus / "parquet", corpus / "h.anchor", "/proc/nowhere/out")


def test_what_does_not_fit_is_refused(corpus, tmp_path):
    anchor, out = corpus / "h.anchor", tmp_path / "w"
    for options, message in (
        ({"cap": 0.5}, "cap=0.5"),
        ({"strength": -1}, "strength=-1"),
        ({"quantile": 1.0}, "quantile=1.0"),
        ({"no_raise": ["syntetic"]}, "unknown label 'syntetic'"),
        ({"human": corpus / "nothing"}, "no such profile"),
    ):
        with pytest.raises(UsageError, match=message):
            weigh_documents(corpus / "parquet", anchor, out, **options)
    build_anchor(corpus / "a.jsonl", tmp_path / "other.anchor")
    with pytest.raises(UsageError, match="not scanned with the anchor"):
        weigh_documents(corpus / "parquet", tmp_path / "other.anchor", out)
    scan(corpus / "held.jsonl", tmp_path / "unlike", anchor=tmp_path / "other.anchor", threads=1)
    with pytest.raises(UsageError, match="not measured with the anchor"):
        weigh_documents(corpus / "parquet", anchor, out, human=tmp_path / "unlike")
    scan(corpus / "a.jsonl", tmp_path / "few", anchor=anchor, signals="n_tokens,tail_share", threads=1)
    with pytest.raises(UsageError, match="the scan has no oov_rate, perplexity"):
        weigh_documents(tmp_path / "few", anchor, out)
    scan(corpus / "a.jsonl", tmp_path / "none", anchor=anchor, documents="none", threads=1)
    with pytest.raises(FolderError, match="no rows of documents"):
        weigh_documents(tmp_path / "none", anchor, out)
    assert not out.exists()


def test_command(corpus, tmp_path):
    done = textassay("tail", "weights", corpus / "parquet", "--anchor", corpus / "h.anchor", "-o", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    for part in ("Tail weights", "raised", "guarded", "tail share", "b.jsonl", "far fences of the corpus itself"):
        assert part in " ".join(done.stdout.split()), part
    assert done.stderr == f"textassay: written to {tmp_path / 'w'}\n"
    more = ("--human", corpus / "held", "--no-raise", "none", "--json")
    done = textassay("tail", "weights", corpus / "jsonl", "--anchor", corpus / "h.anchor", "-o", tmp_path / "w", *more)
    found = json.loads(done.stdout)
    assert found["settings"]["no_raise"] == [] and len(found["shards"]) == 3
    assert {path.name for path in (tmp_path / "w").iterdir()} == {"documents", "shards.jsonl.zst", "summary.json"}
    done = textassay(
        "tail", "weights", corpus / "held", "--anchor", corpus / "h.anchor", "-o", tmp_path / "w", "--cap", "0"
    )
    assert done.returncode == 2 and "cap=0.0: wanted 1 to 1000" in done.stderr
