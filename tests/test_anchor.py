"""Anchors: the model against a plain one and against KenLM, the signals, the file, both backends."""

import gzip
import io
import itertools
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import textassay as ta
from implementations import BACKENDS, on_every_implementation
from naive_kneser_ney import NaiveModel
from textassay import _backend
from textassay.anchor import build, kneser_ney, ngrams, runs
from textassay.anchor.arpa import export_arpa, import_arpa
from textassay.anchor.closure import Ngrams, completed
from textassay.anchor.file import PREAMBLE_SIZE
from textassay.errors import AnchorError, UsageError

ROOT = Path(__file__).parent.parent
SHARDS = ROOT / "examples" / "shards"
NOVELS = ROOT / "examples" / "sample.jsonl.zst"
COMPARED = ("n_tokens", "n_sentences", "perplexity", "oov_rate", "tail_share")

WORDS = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "and", "slept", "under", "old", "trees", "near", "it"]


def made_up(n, seed=0):
    """Texts of words with Zipf-like frequencies, some rare: sentences that repeat and vary."""
    random = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        sentences = []
        for _ in range(random.integers(1, 6)):
            words = [WORDS[min(int(random.zipf(1.4)) - 1, len(WORDS) - 1)] for _ in range(random.integers(1, 9))]
            if random.random() < 0.2:
                words.append(f"rare{random.integers(0, 40)}")
            sentences.append(" ".join(words).capitalize() + ".")
        texts.append(" ".join(sentences))
    return texts


def sentences_of(backend, text):
    """As the law has it: a sentence takes what is left, the last one all of it."""
    data = text.encode()
    tokens = [token.decode() for token in backend.tokens(data)]
    found = []
    for length in backend.sentence_lengths(data).tolist():
        found.append(tokens[:length])
        tokens = tokens[length:]
    if found:
        found[-1] += tokens
    return found


@pytest.fixture(scope="module")
def novels(tmp_path_factory):
    path = tmp_path_factory.mktemp("anchor") / "novels.anchor"
    ta.build_anchor([NOVELS], path, note="passages of novels", threads=2)
    return path


@pytest.fixture
def small(backend, shard, tmp_path):
    """An anchor of made-up text: (texts, path)."""
    texts = made_up(400)
    path = tmp_path / "small.anchor"
    ta.build_anchor([shard("human.jsonl.zst", texts)], path, threads=1)
    return texts, path


@pytest.mark.parametrize("min_count", [1, 2, 4])
def test_estimates_are_those_of_a_plain_implementation(backend, shard, tmp_path, min_count):
    texts = made_up(600, seed=min_count)
    path = tmp_path / "a.anchor"
    ta.build_anchor([shard("human.jsonl.zst", texts)], path, min_count=min_count, threads=1)
    anchor = ta.load_anchor(path)
    plain = NaiveModel([s for text in texts for s in sentences_of(backend, text)], min_count)
    assert {anchor.word(i).decode() for i in range(3, anchor.header["n_modelled"])} == plain.vocabulary
    sizes = [len(plain.levels[order - 1][0]) for order in (2, 3)]
    assert [anchor.header["ngrams"][order] for order in "23"] == sizes
    for order in (1, 2, 3):
        words, log10, backoff = anchor.ngrams(order)
        for row in range(len(log10)):
            ngram = tuple(anchor.word(int(number)).decode() for number in words[row])
            if ngram == ("<s>",):
                assert log10[row] == 0
            else:
                assert log10[row] == pytest.approx(math.log10(plain.probability(ngram)), abs=1e-6)
            if order < 3 and ngram in plain.levels[order][3]:
                assert backoff[row] == pytest.approx(math.log10(plain.levels[order][3][ngram]), abs=1e-6)


def test_perplexity_is_that_of_a_plain_implementation(backend, small):
    texts, path = small
    plain = NaiveModel([s for text in texts for s in sentences_of(backend, text)], 2)
    others = [*made_up(30, seed=9), "Zebras never met the old cat. Nor it!", "one"]
    table = ta.measure(others, COMPARED, anchor=path)
    for row, text in enumerate(others):
        sentences = sentences_of(backend, text)
        words = [word for sentence in sentences for word in sentence]
        # Quantised to 2^-13 bits: at most 4e-5 in each of three terms, on average far less.
        assert table["perplexity"][row] == pytest.approx(plain.perplexity(sentences), rel=2e-4)
        assert table["oov_rate"][row] == sum(word not in plain.vocabulary for word in words) / len(words)


def test_null_without_words_or_anchor(backend, small):
    _, path = small
    table = ta.measure(["", "...", "the cat"], COMPARED, anchor=path)
    for name in ("perplexity", "oov_rate", "tail_share"):
        assert np.isnan(table[name][:2]).all() and not np.isnan(table[name][2])
        assert np.isnan(ta.measure(["the cat"], [name])[name][0])
    assert "perplexity" in ta.measure(["x"], anchor=path).columns
    assert "perplexity" not in ta.measure(["x"]).columns


def test_tail_is_the_rare_and_real(backend, shard, tmp_path):
    """20 types: counts 400, then 60, 59, ... so that the mass and its border can be counted by hand."""
    counts = {"heavy": 400} | {f"w{i}": 60 - i for i in range(5)} | {"thrice": 3, "twice": 2, "once": 1}
    text = " ".join(word for word, count in counts.items() for _ in range(count))
    path = tmp_path / "tail.anchor"
    ta.build_anchor([shard("human.jsonl.zst", [text])], path, tail_mass=0.1, threads=1)
    anchor = ta.load_anchor(path)
    total = sum(counts.values())
    mass, border = 0, None
    for count in counts.values():
        mass += count
        if border is None and mass >= 0.9 * total:
            border = count
    expected = {word for word, count in counts.items() if 3 <= count < border}
    begin, end = anchor.header["tail"]
    assert {anchor.word(i).decode() for i in range(begin, end)} == expected == {"w4", "thrice"} - ({"w4"} - expected)
    table = ta.measure(["heavy thrice twice once new thrice"], COMPARED, anchor=path)
    assert table["tail_share"][0] == 2 / 6
    assert table["oov_rate"][0] == 2 / 6  # once, new


def test_backends_and_memory_make_the_same_file(shard, tmp_path, monkeypatch):
    """Also where a worker writes several runs: 65,536 records are the fewest that it gathers, and a text of n words has about
    n 3-grams and n / 8 fingerprints.
    """
    words = np.random.default_rng(0).integers(0, 1500, (60, 22_000))
    parts = [
        shard(f"{i}.jsonl.zst", [" ".join(f"w{word}" for word in text) for text in words[i::3].tolist()])
        for i in range(3)
    ]
    n_runs = []

    def counted(merged):
        def piece(folder, *arguments):
            n_runs[-1].append(len(list(folder.glob("ngrams-*" if arguments else "fingerprints-*"))))
            return merged(folder, *arguments)

        return piece

    for name in ("merged_ngrams", "merged_fingerprints"):
        monkeypatch.setattr(build, name, counted(getattr(build, name)))
    digests = set()
    for place, implementation in enumerate(BACKENDS):
        for memory, threads in ((1 << 30, 1), (1, 1), (1, 2)):
            n_runs.append([])
            path = tmp_path / f"{place}-{memory}-{threads}.anchor"
            with _backend.using(implementation.backend):
                ta.build_anchor(parts, path, threads=threads, memory=memory)
            digests.add(path.read_bytes())
            if threads == 1:
                assert all(count == 1 if memory > 1 else count > 1 for count in n_runs[-1]), n_runs
    assert len(digests) == 1


def test_runs_are_merged_whatever_their_cuts(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "PIECE", 50)
    random = np.random.default_rng(1)
    words = random.integers(0, 12, (1000, 3)).astype(np.uint64)
    for number, part in enumerate(np.array_split(words, 7)):
        unique, counts = np.unique(part, axis=0, return_counts=True)
        records = np.empty((len(unique), 2), np.uint64)
        records[:, 0] = unique[:, 0] << np.uint64(32) | unique[:, 1]
        records[:, 1] = unique[:, 2] << np.uint64(32) | counts.astype(np.uint64)
        records.tofile(tmp_path / f"ngrams-{number}.bin")
    pieces = list(runs.merged_ngrams(tmp_path, 12))
    assert len(pieces) > 3
    found = np.concatenate([np.stack([p.middle, p.first, p.last, p.count], 1) for p in pieces])
    unique, counts = np.unique(words, axis=0, return_counts=True)
    assert (found == np.column_stack([unique, counts])).all()
    for before, after in itertools.pairwise(pieces):
        assert before.middle[-1] < after.middle[0]


@given(st.lists(st.floats(1e-300, 1.0, exclude_min=True), min_size=1, max_size=50))
def test_log10(values):
    found = kneser_ney.log10(np.array(values))
    assert found == pytest.approx([math.log10(value) for value in values], rel=1e-14, abs=1e-16)


def test_perplexity_of_real_text_agrees_with_kenlm(novels, tmp_path):
    """KenLM reads the exported model; the scores of every single word agree to 1e-4."""
    kenlm = pytest.importorskip("kenlm", reason="pip install kenlm: it compiles for minutes")
    backend, anchor = _backend.get(), ta.load_anchor(novels)
    with (tmp_path / "m.arpa").open("w") as out:
        export_arpa(anchor, out)
    model = kenlm.Model(str(tmp_path / "m.arpa"))
    texts = real_texts(60)
    for text, perplexity in zip(texts, ta.measure(texts, ["perplexity"], anchor=anchor)["perplexity"], strict=True):
        total = n = 0
        for sentence in sentences_of(backend, text):
            scores = [score for score, _, _ in model.full_scores(" ".join(sentence))]
            total, n = total + sum(scores), n + len(scores)
        assert math.log10(perplexity) == pytest.approx(-total / n, abs=1e-4)


def real_texts(n):
    texts = []
    for path in sorted(SHARDS.glob("*.zst")):
        with path.open("rb") as stream:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8")
            texts += [json.loads(line)["text"] for _, line in zip(range(n // 4), lines, strict=False)]
    return texts[:n]


class ExactModel:
    """The model as it is exported, not as it is looked up in a scan."""

    def __init__(self, anchor):
        self.numbers = {anchor.word(i).decode(): i for i in range(anchor.header["n_modelled"])}
        self.log10, self.backoffs = {}, {}
        for order in (1, 2, 3):
            words, log10, backoff = anchor.ngrams(order)
            keys = list(map(tuple, words.tolist()))
            self.log10.update(zip(keys, log10.tolist(), strict=True))
            if backoff is not None:
                self.backoffs.update(zip(keys, backoff.tolist(), strict=True))

    def log10_of(self, ngram):
        if ngram in self.log10:
            return self.log10[ngram]
        return self.backoffs.get(ngram[:-1], 0) + self.log10_of(ngram[1:])

    def perplexity(self, sentences):
        total = n = 0
        for sentence in sentences:
            line = [1, *(self.numbers.get(word, 0) for word in sentence), 2]
            for i in range(1, len(line)):
                total, n = total + self.log10_of(tuple(line[max(0, i - 2) : i + 1])), n + 1
        return 10 ** (-total / n)


def test_quantised_perplexity_is_within_half_a_percent(novels):
    anchor, backend = ta.load_anchor(novels), _backend.get()
    exact = ExactModel(anchor)
    texts = real_texts(40)
    found = ta.measure(texts, ["perplexity"], anchor=anchor)["perplexity"]
    expected = [exact.perplexity(sentences_of(backend, text)) for text in texts]
    assert found == pytest.approx(expected, rel=5e-3)
    assert found == pytest.approx(expected, rel=1e-4)  # what it is today


@on_every_implementation
def test_every_implementation_gives_the_same_bits(implementation, novels):
    texts = real_texts(40)
    anchor = ta.load_anchor(novels)
    backend = implementation.use()
    measurer = backend.Measurer(list(COMPARED), anchor=backend.Anchor(anchor.arrays, n_modelled=anchor.header["n_modelled"], tail_begin=anchor.header["tail"][0], tail_end=anchor.header["tail"][1]))  # fmt: skip
    data = "".join(texts).encode()
    offsets = np.cumsum([0, *(len(text.encode()) for text in texts)])
    found = measurer.measure(np.frombuffer(data, np.uint8), offsets)
    rows = np.column_stack([found[name] for name in COMPARED])
    expected = ta.measure(texts, COMPARED, anchor=anchor, threads=1)
    assert (rows == np.column_stack([expected[name] for name in COMPARED])).all()


def test_scan_with_anchor_obeys_the_laws(backend, novels, tmp_path):
    whole = ta.scan([SHARDS], anchor=novels, threads=2)
    assert whole.profile.configuration.anchor == ta.load_anchor(novels).digest
    parts = [ta.scan([path], anchor=novels, threads=1).profile for path in sorted(SHARDS.glob("*.zst"))]
    merged = parts[-1]
    for part in parts[:-1]:
        merged = merged | part
    assert merged.serialize() == whole.profile.serialize()
    described = whole.summary["documents"]["perplexity"]
    assert described["n"] > 700 and 10 < described["quantiles"]["0.5"] < 2000
    with pytest.raises(UsageError, match="anchor is"):
        _ = whole.profile | ta.scan([SHARDS], signals=whole.profile.configuration.signals).profile


def test_an_anchor_counts_words_only(novels):
    with pytest.raises(UsageError, match="counts words"):
        ta.measure(["a"], tokens="byte", anchor=novels)


# --- building


@pytest.mark.parametrize(
    ("options", "message"),
    [({"min_count": 0}, "min_count"), ({"tail_mass": 0.0}, "tail_mass"), ({"tail_mass": 1.0}, "tail_mass"), ({"max_types": 5}, "raise max_types")],
)  # fmt: skip
def test_bad_settings_are_refused(shard, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        ta.build_anchor([shard("a.jsonl.zst", made_up(50))], tmp_path / "a.anchor", **options)
    assert not (tmp_path / "a.anchor").exists()


def test_text_without_words_is_refused(backend, shard, tmp_path):
    with pytest.raises(UsageError, match="no word"):
        ta.build_anchor([shard("a.jsonl.zst", ["...", ""])], tmp_path / "a.anchor", threads=1)


def test_the_smallest_text_makes_an_anchor(backend, shard, tmp_path):
    """One word, seen once: the model knows only <unk>, and discounts cannot be estimated."""
    ta.build_anchor([shard("a.jsonl.zst", ["Word"])], tmp_path / "a.anchor", threads=1)
    table = ta.measure(["Word", "other words here."], COMPARED, anchor=tmp_path / "a.anchor")
    assert (table["oov_rate"] == 1).all() and (table["perplexity"] >= 1).all()


def test_nothing_is_left_where_building_fails(shard, tmp_path, monkeypatch):
    monkeypatch.setattr("textassay.anchor.build.KneserNey", lambda n: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ta.build_anchor([shard("a.jsonl.zst", made_up(20))], tmp_path / "a.anchor")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl.zst"]


# --- the file


def rewritten(data, change):
    """An anchor file whose header was changed, with a right checksum."""
    _, version, length, offset, _ = struct.unpack_from("<8sIIQI", data)
    header = json.loads(data[offset : offset + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<8sIIQI", data[:8], version, len(text), offset, zlib.crc32(text)) + data[28:offset] + text


def test_a_flipped_bit_shows(small, tmp_path):
    data = small[1].read_bytes()
    step = max(1, len(data) // 300)
    for place in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        path = tmp_path / "damaged.anchor"
        path.write_bytes(damaged)
        if PREAMBLE_SIZE > place >= 28 or is_padding(data, place):
            continue
        with pytest.raises(AnchorError):
            ta.load_anchor(path).verify()


def is_padding(data, place):
    _, _, length, offset, _ = struct.unpack_from("<8sIIQI", data)
    arrays = json.loads(data[offset : offset + length])["arrays"].values()
    sizes = {"u1": 1, "u4": 4, "u8": 8, "f4": 4}
    return place < offset and not any(a["offset"] <= place < a["offset"] + a["n"] * sizes[a["type"]] for a in arrays)


def test_truncated_anchors_are_refused(small, tmp_path):
    data = small[1].read_bytes()
    path = tmp_path / "cut.anchor"
    for size in [*range(80), *range(80, len(data), len(data) // 50), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(AnchorError):
            ta.load_anchor(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["arrays"]["unigrams"].update(n=1 << 60),
        lambda h: h["arrays"]["unigrams"].update(n=-1),
        lambda h: h["arrays"]["unigrams"].update(n=3),
        lambda h: h["arrays"]["unigrams"].update(type="f4"),
        lambda h: h["arrays"]["unigrams"].update(type="pickle"),
        lambda h: h["arrays"]["word_slots"].update(n=7),
        lambda h: h["arrays"]["ngrams_3"].update(n=12),
        lambda h: h["arrays"]["token_offsets"].update(n=2),
        lambda h: h["arrays"].pop("token_bytes"),
        lambda h: h["arrays"].update(more=None),
        lambda h: h.pop("arrays"),
        lambda h: h.update(order=9),
        lambda h: h.update(order="three"),
        lambda h: h.update(n_modelled=1 << 40),
        lambda h: h.update(n_modelled=-1),
        lambda h: h.update(tail=[5, 2]),
        lambda h: h.update(tail=None),
    ],
)
def test_hostile_headers_are_refused(backend, small, tmp_path, change):
    path = tmp_path / "hostile.anchor"
    path.write_bytes(rewritten(small[1].read_bytes(), change))
    with pytest.raises(AnchorError):
        ta.load_anchor(path)


def test_hostile_arrays_stay_within_bounds(backend, small, tmp_path):
    """Whatever stands in the arrays, look-ups read only them."""
    anchor = ta.load_anchor(small[1])
    random = np.random.default_rng(5)
    limits = {"n_modelled": anchor.header["n_modelled"], "tail_begin": 3, "tail_end": 5}
    for _ in range(30):
        arrays = dict(anchor.arrays)
        for name in ("token_offsets", "word_slots", "ngrams_2", "ngrams_3", "unigrams"):
            values = arrays[name].copy()
            at = random.integers(0, len(values), max(1, len(values) // 3))
            values[at] = random.integers(0, np.iinfo(values.dtype).max, len(at), dtype=values.dtype)
            arrays[name] = values
        measurer = backend.Measurer(list(COMPARED), anchor=backend.Anchor(arrays, **limits))
        data = np.frombuffer(b"The cat sat. On a mat it ran, and slept under old trees near rare7!", np.uint8)
        assert measurer.measure(data, np.array([0, len(data)]))["perplexity"][0] >= 1


def test_other_versions_and_files_are_refused(small, tmp_path):
    data = bytearray(small[1].read_bytes())
    data[8] = 9
    path = tmp_path / "new.anchor"
    path.write_bytes(data)
    with pytest.raises(AnchorError, match="made by a newer textassay: format 9; this one reads up to 1"):
        ta.load_anchor(path)
    for other in (b"", b"\x28\xb5\x2f\xfd" * 40, b"\\data\\\n" * 20):
        path.write_bytes(other)
        with pytest.raises(AnchorError):
            ta.load_anchor(path)
    with pytest.raises(AnchorError, match="no such anchor"):
        ta.load_anchor(tmp_path / "none.anchor")


# --- ARPA


def exported(path):
    out = io.StringIO()
    export_arpa(ta.load_anchor(path), out)
    return out.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_exported_and_imported_scores_the_same(backend, small, tmp_path, compressed):
    texts, path = small
    text = exported(path).encode()
    (tmp_path / "m.arpa").write_bytes(gzip.compress(text) if compressed else text)
    import_arpa(tmp_path / "m.arpa", tmp_path / "back.anchor")
    before = ta.measure(texts[:50], COMPARED, anchor=path)
    after = ta.measure(texts[:50], COMPARED, anchor=tmp_path / "back.anchor")
    assert after["perplexity"] == pytest.approx(before["perplexity"], rel=1e-6)
    assert (after["oov_rate"] == before["oov_rate"]).all()
    assert np.isnan(after["tail_share"]).all()
    assert exported(tmp_path / "back.anchor") == exported(path)


def test_words_with_invisible_characters_are_exported(shard, tmp_path):
    """Soft hyphens, joiners and marks of direction belong to the word before them (UAX #29, WB4)."""
    words = ["co\u00adoperate", "wor\u200dd", "a\u202eb"]
    path = tmp_path / "a.anchor"
    ta.build_anchor(shard("a.jsonl", [" ".join(words)] * 9), path, threads=1)
    text = exported(path)
    (tmp_path / "m.arpa").write_text(text, "utf-8")
    import_arpa(tmp_path / "m.arpa", tmp_path / "back.anchor")
    assert exported(tmp_path / "back.anchor") == text and all(f"\t{word}\t" in text for word in words)


ORDER_4 = """\\data\\
ngram 1=5
ngram 2=3
ngram 3=2
ngram 4=1

\\1-grams:
-99 <s> -0.5
-1.5 </s>
-2 <unk>
-0.5 a -0.25
-0.75 b -0.125

\\2-grams:
-0.25 <s> a -0.5
-0.5 a b 0.0625
-0.375 b a

\\3-grams:
-0.125 <s> a b -0.75
-0.0625 a b a -0.03125

\\4-grams:
-0.015625 <s> a b a

\\end\\
"""


def test_an_order_4_model_by_hand(backend, tmp_path):
    (tmp_path / "m.arpa").write_text(ORDER_4)
    import_arpa(tmp_path / "m.arpa", tmp_path / "m.anchor")
    found = ta.measure(["a b a", "b c", "a b a b a"], ["perplexity"], anchor=tmp_path / "m.anchor")["perplexity"]
    a_b_a_end = -0.03125 + 0.0 - 0.25 - 1.5  # backoffs of (a b a), (b a), (a), then </s>
    first = -0.25 - 0.125 - 0.015625 + a_b_a_end
    second = (-0.5 - 0.75) + (-0.125 - 2) + (0 - 1.5)
    behind = -0.03125 - 0.5  # (a b a) b: backoff, then (b a) b, whose backoff is 0, is not there: a b
    third = -0.25 - 0.125 - 0.015625 + behind + -0.0625 + a_b_a_end
    assert found == pytest.approx([10 ** (-first / 4), 10 ** (-second / 3), 10 ** (-third / 6)], rel=1e-4)


def test_a_model_with_holes_is_completed():
    """A 3-gram whose last two words are no 2-gram: found all the same, and nothing else changes."""
    f4 = np.float32
    one = Ngrams(
        np.arange(5, dtype=np.uint32)[:, None],
        np.array([-2, 0, -1, -0.5, -0.75], f4),
        np.array([0, -0.5, 0, -0.25, -0.125], f4),
    )
    two = Ngrams(np.array([[3, 4]], np.uint32), np.array([-0.5], f4), np.array([-0.0625], f4))
    three = Ngrams(np.array([[3, 4, 3]], np.uint32), np.array([-0.1], f4), np.array([0], f4))
    found = completed([one, two, three])
    assert found[1].words.tolist() == [[3, 4], [4, 3]]
    assert found[1].log10.tolist() == [-0.5, -0.125 - 0.5] and found[1].backoff_log10.tolist() == [-0.0625, 0]
    assert [len(o.words) for o in found] == [5, 2, 1]


def test_what_is_missing_gets_no_probability_above_1():
    f4 = np.float32
    one = Ngrams(np.arange(5, dtype=np.uint32)[:, None], np.full(5, -0.5, f4), np.full(5, 2, f4))
    three = Ngrams(np.array([[3, 4, 3]], np.uint32), np.array([-0.1], f4), np.array([0], f4))
    two = Ngrams(np.empty((0, 2), np.uint32), np.empty(0, f4), np.empty(0, f4))
    assert completed([one, two, three])[1].log10.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\\end\\", ""), "end of the file"),
        (lambda t: t.replace("\\3-grams:", "\\7-grams:"), "3-grams:, found"),
        (lambda t: t.replace("\\2-grams:\n", ""), "2-grams"),
        (lambda t: t.replace("ngram 2=3", "ngram 2=4"), "wanted a probability"),
        (lambda t: t.replace("ngram 4=1", "ngram 5=1"), "ngram 4"),
        (lambda t: t.replace("-0.375 b a", "-0.375 b q"), "not among the 1-grams"),
        (lambda t: t.replace("-0.375 b a", "zero b a"), "wanted numbers"),
        (lambda t: t.replace("-0.375 b a", "0.5 b a"), "log10 probability"),
        (lambda t: t.replace("-0.375 b a", "nan b a"), "log10 probability"),
        (lambda t: t.replace("-0.5 a -", "-0.5 a\x1c -"), "line 11: wanted a word in UTF-8 without control characters"),
        (lambda t: t.replace("-0.5 a -", "-0.5 \udcff -"), "line 11: wanted a word in UTF-8"),
        (lambda t: "", "end of the file"),
        (lambda t: "\\data\\\nngram 1=1\n\n\\1-grams:\n-1 a\n\n\\end\\\n", "order 2 to 5"),
    ],
)
def test_arpa_files_that_are_wrong_are_refused(tmp_path, change, message):
    (tmp_path / "m.arpa").write_text(change(ORDER_4), errors="surrogateescape")
    with pytest.raises(AnchorError, match=message):
        import_arpa(tmp_path / "m.arpa", tmp_path / "m.anchor")
    assert not (tmp_path / "m.anchor").exists()


def test_a_damaged_gzip_of_arpa_is_refused(tmp_path):
    packed = bytearray(gzip.compress(ORDER_4.encode()))
    for place in range(len(packed)):
        damaged = packed.copy()
        damaged[place] ^= 0x55
        (tmp_path / "m.arpa").write_bytes(damaged)
        try:
            import_arpa(tmp_path / "m.arpa", tmp_path / "m.anchor")
        except AnchorError:
            assert not (tmp_path / "m.anchor").exists()
        else:
            assert 4 <= place < 10  # the time and the system it was packed on
            (tmp_path / "m.anchor").unlink()


def test_hashes_tell_ngrams_apart():
    words = np.random.default_rng(2).integers(0, 50, (20000, 3)).astype(np.uint32)
    n = len(np.unique(words, axis=0))
    assert len(np.unique(ngrams.hashes_of(words))) == n
