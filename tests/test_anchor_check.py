"""Fingerprints of documents, and what an anchor and a corpus share: both backends, both directions."""

import gc
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import textassay as ta
from implementations import BACKENDS, backend_module, on_every_implementation, packed
from naive_fingerprints import fingerprints
from naive_text import tokens
from textassay import _backend
from textassay.anchor import check, runs
from textassay.anchor.arpa import export_arpa, import_arpa
from textassay.anchor.check import check_anchor
from textassay.cli.app import app
from textassay.errors import AnchorError, UsageError

ROOT = Path(__file__).parent.parent
SHARDS = ROOT / "examples" / "shards"
NOVELS = ROOT / "examples" / "sample.jsonl.zst"

WORDS = {"token_bytes": np.zeros(0, np.uint8), "token_offsets": np.zeros(4, np.uint64), "word_slots": np.zeros(1, "u4")}


def made_up(n, seed, vocabulary=5000):
    rng = random.Random(seed)
    return [f"word{rng.randrange(vocabulary)}" for _ in range(n)]


def text_of(words):
    return " ".join(words)


TEXTS = [
    *(text_of(made_up(n, n)) for n in (0, 1, 12, 13, 14, 27, 28, 29, 30, 44, 45, 300, 5000)),
    "the " * 200,  # all runs are equal: the last of each group
    "one two " * 100,
    *(text_of(made_up(40, seed)) + " the" * 40 + " " + text_of(made_up(40, seed + 1)) for seed in range(6)),  # ties
    "a b c d e f g h i j k l m n o p q " * 20,
    "Über die naïve Café-Kultur. Ещё одна строка! 日本語の文章。한국어 문장. हिन्दी वाक्य। " * 5,
    f"{'z' * 100} " * 30 + text_of(made_up(60, 1)),
]


def naive(text):
    return fingerprints(tokens(text, "word"))


def anchor_with(backend, values):
    return backend.Anchor({**WORDS, "fingerprints": np.array(sorted(values), np.uint64)}, n_modelled=3)


def overlap_of(backend, texts, values):
    measurer = backend.Measurer(["anchor_overlap"], anchor=anchor_with(backend, values))
    return measurer.measure(*packed([text.encode() for text in texts]))["anchor_overlap"].tolist()


@on_every_implementation
def test_overlap_is_that_of_a_plain_implementation(implementation):
    backend = implementation.use()
    found = [naive(text) for text in TEXTS]
    everything = {value for values in found for value in values}
    rng = random.Random(4)
    for part in (1.0, 0.5, 0.1, 0.0):
        held = {value for value in everything if rng.random() < part}
        for values, overlap in zip(found, overlap_of(backend, TEXTS, held), strict=True):
            if values:
                assert overlap == sum(value in held for value in values) / len(values)
            else:
                assert np.isnan(overlap)


@on_every_implementation
def test_a_scan_notes_what_it_has_met(implementation, shard):
    """Exactly the fingerprints of the documents, whichever threads come by."""
    backend = implementation.use()
    paths = [shard(f"{i}.jsonl.zst", TEXTS[i::3]) for i in range(3)]
    everything = sorted({value for text in TEXTS for value in naive(text)} | set(range(1000)))
    for some, threads in ((slice(0, 1), 1), (slice(0, 3), 2)):
        met = np.zeros(len(everything), np.uint8)
        anchor = anchor_with(backend, everything)
        names = [bytes(path) for path in paths[some]]
        running = backend.Scan(names, signals=["anchor_overlap"], anchor=anchor, met=met, threads=threads)
        while running.next() is not None:
            pass
        expected = {value for i in range(3)[some] for text in TEXTS[i::3] for value in naive(text)}
        assert {value for value, is_met in zip(everything, met.tolist(), strict=True) if is_met} == expected


def test_null_without_an_anchor_with_fingerprints(backend):
    long = text_of(made_up(50, 1))
    assert np.isnan(ta.measure([long], ["anchor_overlap"])["anchor_overlap"][0])
    measurer = backend.Measurer(["anchor_overlap"], anchor=backend.Anchor(WORDS, n_modelled=3))
    assert np.isnan(measurer.measure(*packed([long.encode()]))["anchor_overlap"][0])
    assert overlap_of(backend, [long], []) == [0.0]
    assert "anchor_overlap" not in ta.measure([long]).columns


@pytest.mark.parametrize("name", [b.backend for b in BACKENDS])
def test_every_shared_run_of_28_words_is_found(name):
    backend = backend_module(name)
    filler = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=60)

    @settings(max_examples=60)
    @given(st.lists(st.sampled_from("stuvwxyz"), min_size=28, max_size=28), st.tuples(filler, filler, filler, filler))
    def check_run(shared, around):
        first, second = text_of([*around[0], *shared, *around[1]]), text_of([*around[2], *shared, *around[3]])
        assert overlap_of(backend, [second], set(naive(first)))[0] > 0

    check_run()


def test_near_copies_overlap_in_proportion(backend):
    """Each changed word spoils the 13 runs it is in, and some of what was the least beside them."""
    words = made_up(20_000, 1)
    held = set(naive(text_of(words)))
    found = []
    for every in (2000, 200, 50, 20, 5):
        changed = [f"other{i}" if i % every == 0 else word for i, word in enumerate(words)]
        (overlap,) = overlap_of(backend, [text_of(changed)], held)
        whole = max(0, 1 - 13 / every)
        assert 0.7 * whole <= overlap <= whole + 0.02, every
        found.append(overlap)
    assert found == sorted(found, reverse=True) and found[-1] == 0


# --- in the anchor


def expected_fingerprints(files):
    """Hash -> first document that has it; `files` are lists of (line, text)."""
    first = {}
    for number, documents in enumerate(files):
        for line, text in documents:
            for value in naive(text):
                first.setdefault(value, number << 40 | line)
    return dict(sorted(first.items()))


def test_an_anchor_holds_the_fingerprints_of_its_documents(backend, shard, tmp_path):
    """With lines that are no documents between them, the same text in two files, and one document on its own."""
    texts = [text_of(made_up(n, n, 40)) for n in range(0, 120, 3)]
    bad = [b"", b"no json", b'{"text": 7}']
    lists = [[*texts[:20], *bad, texts[3], texts[30]], [*bad, *texts[10:40]], [texts[39]]]
    paths = [shard(f"{i}.jsonl.zst", part) for i, part in enumerate(lists)]
    files = [[(line, one) for line, one in enumerate(part, 1) if isinstance(one, str)] for part in lists]
    expected = expected_fingerprints(files)
    for threads in (1, 3):
        ta.build_anchor(paths, tmp_path / "a.anchor", threads=threads)
        anchor = ta.load_anchor(tmp_path / "a.anchor")
        assert anchor.arrays["fingerprints"].tolist() == list(expected)
        assert anchor.arrays["fingerprint_documents"].tolist() == list(expected.values())
        assert anchor.header["fingerprints"] == len(expected)


def test_runs_of_fingerprints_are_merged_whatever_their_cuts(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "PIECE", 50)
    rng = np.random.default_rng(3)
    hashes = rng.choice(rng.integers(0, 1 << 64, 300, np.uint64), 2000)
    hashes[:3] = [0, (1 << 64) - 1, (1 << 64) - 1]
    documents = rng.integers(1, 1 << 50, 2000, np.uint64)
    for number, part in enumerate(np.array_split(np.arange(2000), 7)):
        order = part[np.argsort(hashes[part], kind="stable")]
        np.column_stack([hashes[order], documents[order]]).tofile(tmp_path / f"fingerprints-{number}.bin")
    pieces = list(runs.merged_fingerprints(tmp_path))
    assert len(pieces) > 3
    expected = {}
    for value, document in zip(hashes.tolist(), documents.tolist(), strict=True):
        expected[value] = min(expected.get(value, 1 << 64), document)
    found = np.concatenate([piece.hashes for piece in pieces]).tolist()
    assert found == sorted(expected)
    assert np.concatenate([piece.documents for piece in pieces]).tolist() == [expected[value] for value in found]


def test_numba_writes_runs_and_needs_no_more_room_for_them(monkeypatch, shard, tmp_path):
    """With room for 64 records, and texts that are longer than that."""
    from textassay._numba import measurer, sorted_runs

    rooms, with_room = [], measurer._with_room
    monkeypatch.setattr(sorted_runs, "_LEAST", 64)
    monkeypatch.setattr(measurer, "_with_room", lambda *a: rooms.append(with_room(*a)) or rooms[-1])
    path = shard("a.jsonl.zst", [text_of(made_up(n, n)) for n in range(30, 330)])
    ta.build_anchor([path], tmp_path / "native.anchor", threads=1)
    with _backend.using("numba"):
        ta.build_anchor([path], tmp_path / "numba.anchor", threads=1, memory=1)
    assert (tmp_path / "numba.anchor").read_bytes() == (tmp_path / "native.anchor").read_bytes()
    assert len(rooms) > 100 and max(map(len, rooms)) <= 1024


def test_an_anchor_outlives_whoever_opened_it(backend, shard, tmp_path):
    """The arrays are mapped from the file; a Measurer or Scan that looks into them keeps them."""
    texts = [text_of(made_up(100, seed, 50)) for seed in range(30)]
    path = shard("a.jsonl.zst", texts)
    ta.build_anchor([path], tmp_path / "a.anchor", threads=1)
    scanner = ta.Scanner(["perplexity", "anchor_overlap"], anchor=tmp_path / "a.anchor", threads=1)
    gc.collect()
    assert (scanner.update(texts)["anchor_overlap"] == 1).all()
    anchor, met = (
        backend.Anchor({**WORDS, "fingerprints": np.arange(1 << 20, dtype="u8")}, n_modelled=3),
        np.zeros(1 << 20, "u1"),
    )
    running = backend.Scan([bytes(path)], signals=["anchor_overlap"], anchor=anchor, met=met)
    del anchor, met
    gc.collect()
    while running.next() is not None:
        pass


# --- the check


@pytest.fixture
def anchored(backend, shard, tmp_path):
    """An anchor of 40 texts of 300 words: (texts as words, path)."""
    texts = [made_up(300, seed) for seed in range(40)]
    path = tmp_path / "human.anchor"
    ta.build_anchor([shard("human.jsonl.zst", [text_of(words) for words in texts])], path, threads=1)
    return texts, path


def test_a_corpus_without_the_anchors_text(anchored, shard):
    found = check_anchor(anchored[1], [shard("b.jsonl.zst", [text_of(made_up(300, s)) for s in range(50, 70)])])
    assert not found.is_over and found.n_met == 0
    assert (found.corpus.n_documents, found.n_compared, found.corpus.n_over) == (20, 20, 0)
    assert found.corpus.worst == found.anchor_text.worst == ()


def test_both_directions(anchored, shard):
    """A passage of the anchor; a document of the anchor that is lost in a longer one; an exact and a near copy."""
    texts, path = anchored
    near = [f"other{i}" if i % 60 == 0 else word for i, word in enumerate(texts[7])]
    lost = [*made_up(6000, 100), *texts[3], *made_up(6000, 101)]
    corpus = [
        text_of(made_up(300, 90)),
        "too short",
        text_of(texts[5][100:160]),
        text_of(lost),
        text_of(texts[6]),
        text_of(near),
    ]
    found = check_anchor(path, [shard("b.jsonl.zst", [b"", *corpus])], threads=1)
    worst = {row["line"]: row for row in found.corpus.worst}
    assert set(worst) == {4, 5, 6, 7}
    assert worst[4]["overlap"] > 0.8 and worst[6]["overlap"] == 1
    assert 0 < worst[5]["overlap"] < 0.05  # within the limit, but
    assert 0.6 < worst[7]["overlap"] < 1
    assert worst[7]["id"] == "d6" and worst[7]["n_tokens"] == 300 and worst[7]["file"].endswith("b.jsonl.zst")
    anchor_text = {row["line"] - 1: row["overlap"] for row in found.anchor_text.worst}
    assert set(anchor_text) == {3, 5, 6, 7}
    assert anchor_text[3] > 0.9 and anchor_text[6] == 1 and 0.1 < anchor_text[5] < 0.3 and 0.6 < anchor_text[7] < 1
    assert all(row["file"].endswith("human.jsonl.zst") for row in found.anchor_text.worst)
    assert (found.corpus.n_over, found.anchor_text.n_over, found.n_compared, found.corpus.n_documents) == (3, 4, 5, 6)
    expected = set(naive(corpus[2])) | set(naive(corpus[3])) | set(naive(corpus[4])) | set(naive(corpus[5]))
    of_anchor = {value for words in texts for value in naive(text_of(words))}
    assert (found.n_met, found.n_fingerprints) == (len(expected & of_anchor), len(of_anchor))
    assert found.is_over


def test_an_anchors_document_that_is_lost_in_a_long_one_is_over_the_limit(anchored, shard):
    lost = [*made_up(6000, 100), *anchored[0][3], *made_up(6000, 101)]
    found = check_anchor(anchored[1], [shard("b.jsonl.zst", [text_of(lost)])])
    assert found.corpus.n_over == 0 and found.anchor_text.n_over == 1 and found.is_over


def test_limit_and_what_is_allowed(anchored, shard):
    half = text_of([*anchored[0][0][:150], *made_up(150, 80)])
    path = shard("b.jsonl.zst", [half, *(text_of(made_up(50, s)) for s in range(60, 69))])
    assert check_anchor(anchored[1], path).is_over
    assert not check_anchor(anchored[1], path, 0.7).is_over
    assert check_anchor(anchored[1], path, allowed=0.09).is_over
    assert not check_anchor(anchored[1], path, allowed=0.1).is_over
    assert check_anchor(anchored[1], path, 1.0).corpus.n_over == 0
    for bad in ({"limit": -0.1}, {"limit": 1.1}, {"allowed": float("nan")}, {"threads": 0}, {"text_fields": []}):
        with pytest.raises(UsageError):
            check_anchor(anchored[1], path, **bad)


def test_the_worst_are_kept_in_one_order(anchored, shard, monkeypatch):
    monkeypatch.setattr(check, "KEPT", 5)
    texts = [
        text_of([*words[:cut], *made_up(300 - cut, cut + 1000)]) for cut in (90, 150, 300) for words in anchored[0]
    ]
    paths = [shard(f"{i}.jsonl.zst", texts[i::4]) for i in range(4)]
    reports = [check_anchor(anchored[1], paths, threads=threads).report() for threads in (1, 3)]
    assert reports[0] == reports[1]
    rows = reports[0]["corpus"]["worst"]
    assert len(rows) == 5 and reports[0]["corpus"]["n_over"] == 120
    assert [(row["overlap"], row["n_tokens"]) for row in rows] == [(1, 300)] * 5
    assert rows == sorted(rows, key=lambda row: (row["file"], row["line"]))
    assert len(reports[0]["anchor_text"]["worst"]) == 5


def test_backends_report_the_same(anchored, shard):
    path = shard("b.jsonl.zst", [text_of([*words[:120], *made_up(180, 7)]) for words in anchored[0]])
    reports = []
    for implementation in BACKENDS:
        with _backend.using(implementation.backend):
            reports.append(check_anchor(anchored[1], path, 0.3).report())
    assert reports[0] == reports[1] and reports[0]["corpus"]["n_over"] > 0


def test_real_text(tmp_path):
    """Novels and other text share next to nothing; novels and themselves all."""
    ta.build_anchor([NOVELS], tmp_path / "novels.anchor")
    found = check_anchor(tmp_path / "novels.anchor", [SHARDS])
    assert not found.is_over and found.share_met < 1e-3 and found.n_compared > 600
    found = check_anchor(tmp_path / "novels.anchor", [NOVELS])
    assert found.is_over and found.share_met == 1
    assert found.corpus.n_over == found.n_compared == found.anchor_text.n_over > 1000
    assert len(found.corpus.worst) == check.KEPT and all(row["overlap"] == 1 for row in found.corpus.worst)


def test_a_copy_that_was_wrapped_and_capitalised_anew_is_one(anchored, shard):
    copy = "\n".join(text_of(anchored[0][2][i : i + 7]).upper() + "," for i in range(0, 300, 7))
    assert check_anchor(anchored[1], shard("b.jsonl.zst", [copy])).corpus.worst[0]["overlap"] == 1


# --- what is wrong


def test_anchors_without_fingerprints_are_refused(anchored, shard, tmp_path):
    out = io.StringIO()
    export_arpa(ta.load_anchor(anchored[1]), out)
    (tmp_path / "m.arpa").write_text(out.getvalue())
    import_arpa(tmp_path / "m.arpa", tmp_path / "imported.anchor")
    ta.build_anchor([shard("short.jsonl.zst", ["two words"] * 9)], tmp_path / "short.anchor")
    for name in ("imported", "short"):
        with pytest.raises(UsageError, match="without fingerprints"):
            check_anchor(tmp_path / f"{name}.anchor", [NOVELS])


def test_hostile_arrays_stay_within_bounds(backend):
    rng = np.random.default_rng(5)
    text = text_of(made_up(500, 2))
    for n in (0, 1, 2, 3, 7, 1000):
        values = rng.integers(0, 1 << 64, n, np.uint64)
        values[: n // 2] = rng.permutation(naive(text))[: n // 2] if n < 50 else 0
        measurer = backend.Measurer(
            ["anchor_overlap"], anchor=backend.Anchor({**WORDS, "fingerprints": values}, n_modelled=3)
        )
        assert 0 <= measurer.measure(*packed([text.encode()]))["anchor_overlap"][0] <= 1


def test_hostile_documents_of_fingerprints_are_refused(anchored, shard):
    corpus = shard("b.jsonl.zst", [text_of(words) for words in anchored[0]])
    anchor = ta.load_anchor(anchored[1])
    anchor.arrays["fingerprint_documents"] = anchor.arrays["fingerprint_documents"] | np.uint64(1 << 63)
    with pytest.raises(AnchorError, match="does not fit"):
        check_anchor(anchor, corpus)
    for missing in ("inputs", "totals"):
        anchor = ta.load_anchor(anchored[1])
        del anchor.header[missing]
        with pytest.raises(AnchorError, match="does not fit"):
            check_anchor(anchor, corpus)


@pytest.mark.parametrize(
    ("fingerprints", "message"),
    [(np.zeros(3, "f8"), "another type"), (np.zeros((3, 2), "u8"), "1-D"), (np.zeros(6, "u8")[::2], "another type")],
)
def test_fingerprints_of_another_kind_are_refused(backend, fingerprints, message):
    with pytest.raises(ValueError, match=message):
        backend.Anchor({**WORDS, "fingerprints": fingerprints}, n_modelled=3)


@pytest.mark.parametrize("met", [np.zeros(3, "u1"), np.zeros(5, "i8"), np.zeros((4, 1), "u1"), np.frombuffer(bytes(4), "u1"), np.zeros(8, "u1")[::2]])  # fmt: skip
def test_what_does_not_fit_the_fingerprints_is_refused(backend, met):
    with pytest.raises(ValueError, match="met: wanted"):
        backend.Scan([], signals=["anchor_overlap"], anchor=anchor_with(backend, range(4)), met=met)
    for anchor in (None, backend.Anchor(WORDS, n_modelled=3)):
        with pytest.raises(ValueError, match="an anchor with fingerprints"):
            backend.Scan([], signals=["anchor_overlap"], anchor=anchor, met=np.zeros(4, "u1"))


# --- the command


def run(*arguments):
    return CliRunner().invoke(app, ["anchor", "check", *map(str, arguments)])


@pytest.fixture
def files(shard, tmp_path):
    """An anchor, a corpus that holds one of its documents, and one that does not."""
    texts = [text_of(made_up(300, seed)) for seed in range(5)]
    ta.build_anchor([shard("human.jsonl.zst", texts)], tmp_path / "human.anchor", threads=1)
    copied = shard("copied.jsonl.zst", [{"id": "\x1b[31mred", "text": texts[2]}, "something else"])
    return tmp_path / "human.anchor", copied, shard("other.jsonl.zst", [text_of(made_up(300, 9))])


def test_exit_codes(files, tmp_path):
    anchor, copied, other = files
    assert run(anchor, other).exit_code == 0
    assert run(anchor, copied).exit_code == 1
    assert run(anchor, copied, other, "--allowed", "0.5").exit_code == 0
    assert run(anchor, copied, "--limit", "1").exit_code == 0
    assert run(anchor, copied, "--limit", "2").exit_code == 2
    assert run(anchor, tmp_path / "none.jsonl").exit_code == 2
    assert run(other, copied).exit_code == 2
    cut = tmp_path / "cut.jsonl.zst"
    cut.write_bytes(other.read_bytes()[:-6])
    assert run(anchor, cut).exit_code == 3
    assert run(anchor, cut, copied).exit_code == 1  # what was found stays found
    bad = tmp_path / "bad.jsonl"
    bad.write_text("no json\n")
    assert run(anchor, bad).exit_code == 3
    assert run(anchor, bad, "--malformed-budget", "1").exit_code == 0


def test_what_is_printed_and_written(files, tmp_path):
    anchor, copied, other = files
    done = run(anchor, copied, other)
    assert "share text" in done.stdout and "100.00 %" in done.stdout
    assert "\x1b[31m" not in done.stdout
    done = run(anchor, copied, "--json", "-o", tmp_path / "report.json")
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["is_over"] and report["corpus"]["n_over"] == 1 and report["anchor_text"]["worst"][0]["line"] == 3
    assert report["corpus"]["worst"][0]["id"] == "\x1b[31mred"
    with zstandard.open(copied, "rt") as lines:  # the line that is named is the one
        assert json.loads(list(lines)[report["corpus"]["worst"][0]["line"] - 1])["id"] == "\x1b[31mred"
