"""Tokens that are the ids of a tokenizer: counted as `tokenizers` makes them, on both backends, and merged only with their like."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, processors, trainers

from implementations import BACKENDS, on_every_backend
from implementations import scan as run_scan
from test_cli import textassay
from test_profile import changed, parts_of, rebuilt
from textassay import Profile, ProfileError, Scanner, Tokenizer, UsageError, measure, scan, tokenizer
from textassay.merging import merge_profiles

SAMPLE = Path(__file__).parent.parent / "examples" / "sample.jsonl.zst"
LINES = zstandard.ZstdDecompressor().stream_reader(SAMPLE.read_bytes()).read().splitlines()
TEXTS = [json.loads(line)["text"] for line in LINES[:200]] + ["", "x", "naïve 日本 \U0001f600", "the " * 300]
TEXT_SIGNALS = ("n_bytes", "n_chars", "n_sentences", "burstiness", "burstiness_gb", "invisible_chars")


def train(vocabulary: int = 600) -> Library:
    trained = Library(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    trained.train_from_iterator(TEXTS, trainer)
    return trained


@pytest.fixture(scope="module")
def library() -> Library:
    return train()


@pytest.fixture(scope="module")
def file(library, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    library.save(str(path))
    return path


def write_lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts)))
    return path


def ids_of(library: Library, text: str) -> list[int]:
    return library.encode(text, add_special_tokens=False).ids


# --- figures


def test_signals_of_a_document(backend, library, file):
    """Each against a plain count of the ids."""
    table = measure(TEXTS, tokens="bpe", tokenizer=file)
    for row, text in enumerate(TEXTS):
        ids = ids_of(library, text)
        counts = Counter(ids)
        assert table["n_tokens"][row] == len(ids) and table["n_types"][row] == len(counts)
        if not ids:
            assert math.isnan(table["entropy_bits"][row]) and math.isnan(table["mattr"][row])
            continue
        entropy = math.log2(len(ids)) - sum(c * math.log2(c) for c in counts.values()) / len(ids)
        assert table["entropy_bits"][row] == pytest.approx(entropy, rel=1e-9, abs=1e-12)
        miller_madow = entropy + (len(counts) - 1) / (2 * len(ids) * math.log(2))
        assert table["entropy_mm_bits"][row] == pytest.approx(miller_madow, rel=1e-9, abs=1e-12)
        assert table["type_token_ratio"][row] == len(counts) / len(ids)
        assert table["hapax_ratio"][row] == sum(c == 1 for c in counts.values()) / len(counts)
        windows = [len(set(ids[i : i + 100])) for i in range(max(1, len(ids) - 99))]
        wanted = len(counts) / len(ids) if len(ids) < 100 else sum(windows) / (100 * len(windows))
        assert table["mattr"][row] == pytest.approx(wanted, rel=1e-12)


def test_what_is_of_the_text_is_as_ever(backend, file):
    """Sentences are measured in words, whatever the tokens."""
    signals = [*TEXT_SIGNALS, "char_entropy_bits", "dup_line_share"]
    mine, words = measure(TEXTS, signals, tokens="bpe", tokenizer=file), measure(TEXTS, signals, detector=None)
    for name in signals:
        assert np.array_equal(mine[name], words[name], equal_nan=words[name].dtype.kind == "f"), name


@pytest.mark.parametrize("threads", [1, 3])
def test_a_scan_counts_the_ids(backend, library, file, tmp_path, threads):
    path = write_lines(tmp_path / "a.jsonl", TEXTS)
    found = scan(path, tokens="bpe", tokenizer=file, threads=threads, documents="memory", batch_tokens=2000)
    counts: Counter[int] = Counter()
    documents: Counter[int] = Counter()
    for text in TEXTS:
        ids = ids_of(library, text)
        counts.update(ids)
        documents.update(set(ids))
    rows = {int(row["token"]): (row["count"], row["documents"]) for row in found.profile.top(10_000)}
    assert rows == {i: (counts[i], documents[i]) for i in counts}
    assert found.profile.totals()["n_tokens"] == counts.total()
    table = measure(TEXTS, tokens="bpe", tokenizer=file)
    for name in set(table.columns) & set(found.documents.columns):
        if name != "provenance":
            assert np.array_equal(table[name], found.documents[name], equal_nan=table[name].dtype.kind == "f"), name


def test_both_backends_and_both_formats_give_the_same_bytes(file, tmp_path):
    texts = [*TEXTS, *(text * 20 for text in TEXTS[:40])]
    lines = write_lines(tmp_path / "a.jsonl", texts)
    with lines.open("a") as stream:
        stream.write('{"text": 3}\n\nnothing\n')
    pq.write_table(pa.table({"text": texts, "id": range(len(texts))}), tmp_path / "a.parquet", row_group_size=30)
    found = []
    for implementation in BACKENDS:
        implementation.use()
        for path in (lines, tmp_path / "a.parquet"):
            for threads in (1, 2):
                result = scan(path, tokens="bpe", tokenizer=file, threads=threads, signals="all", batch_tokens=5000)
                found.append(result.profile.serialize())
    assert len(set(found)) == 1


def test_scanner_and_profile(backend, file, tmp_path):
    scanner = Scanner(tokens="bpe", tokenizer=file)
    for begin in range(0, len(TEXTS), 50):
        scanner.update(TEXTS[begin : begin + 50])
    whole = scan(write_lines(tmp_path / "a.jsonl", TEXTS), tokens="bpe", tokenizer=file).profile
    assert scanner.profile.serialize() == whole.serialize()
    profile = Profile(tokens="bpe", tokenizer=file)
    profile.update(TEXTS, tokenizer=file)
    assert profile.serialize() == whole.serialize()
    with pytest.raises(UsageError, match="wanted its tokenizer.json, found none"):
        profile.update(TEXTS)


def test_pieces_beside_the_ids(backend, library, file, tmp_path):
    result = scan(write_lines(tmp_path / "a.jsonl", TEXTS), tokens="bpe", tokenizer=file)
    top = result.summary["corpus"]["top"]
    assert [row["piece"] for row in top] == [library.id_to_token(int(row["token"])) for row in top]
    assert "piece" not in result.profile.top(1)[0]
    assert result.profile.top(1, Tokenizer.load(file))[0]["piece"] == top[0]["piece"]


# --- profiles


def test_profiles_of_unlike_tokenizers_are_not_added_up(file, tmp_path):
    other = tmp_path / "other.json"
    train(500).save(str(other))
    paths = []
    for number, used in enumerate((file, file, other)):
        scanner = Scanner(tokens="bpe", tokenizer=used)
        scanner.update(TEXTS[number::3])
        paths.append(tmp_path / f"{number}.tap")
        scanner.profile.save(paths[-1])
    merged, _ = merge_profiles(paths[:2])
    assert merged.totals()["n_documents"] == len(TEXTS[0::3]) + len(TEXTS[1::3])
    for unlike in (Profile.load(paths[2]), Profile()):
        with pytest.raises(UsageError, match="tokenizer is"):
            merged.merge(unlike)


def test_the_digest_is_in_the_file_and_nowhere_else(file):
    scanner = Scanner(tokens="bpe", tokenizer=file)
    scanner.update(TEXTS)
    data = scanner.profile.serialize()
    assert Profile.deserialize(data).configuration.tokenizer == Tokenizer.load(file).digest
    assert Profile.deserialize(data).serialize() == data
    assert b'"tokenizer"' not in Profile().serialize()
    header, chunks, _ = parts_of(data)
    for name, value in (("tokenizer", ""), ("tokenizer", 3), ("tokens", "word")):
        with pytest.raises(ProfileError, match="tokenizer"):
            Profile.deserialize(rebuilt(changed(header, f"configuration/{name}", value), [c[1:] for c in chunks]))


# --- tokenizers


def test_truncation_padding_special_tokens_and_dropout_are_left_out(library, tmp_path):
    """A file as models ship it: cuts at 8 tokens, pads, adds a token at the beginning, and merges at random."""
    shipped = Library.from_str(library.to_str())
    shipped.enable_truncation(8)
    shipped.enable_padding(length=64)
    shipped.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    shipped.model.dropout = 0.5
    shipped.save(str(tmp_path / "shipped.json"))
    found = Tokenizer.load(tmp_path / "shipped.json")
    ids, offsets = found.encode(TEXTS)
    assert offsets.dtype == np.int64 and ids.dtype == np.uint32
    for row, text in enumerate(TEXTS):
        assert ids[offsets[row] : offsets[row + 1]].tolist() == ids_of(library, text)


def test_any_number_of_texts(library, file):
    found = Tokenizer.load(file)
    assert found.encode([])[1].tolist() == [0]
    many = ["the rest of it"] * 50_000  # several portions
    ids, offsets = found.encode(many)
    assert ids.tolist() == ids_of(library, many[0]) * len(many)
    assert set(np.diff(offsets).tolist()) == {len(ids_of(library, many[0]))}


def test_more_ids_than_bytes(backend, tmp_path):
    """A tokenizer may make many of one character; the arrays were made for the text."""
    from tokenizers import normalizers

    wide = Library(models.BPE({"a": 0, "b": 1}, []))
    wide.normalizer = normalizers.Replace("a", "ab" * 300)
    wide.save(str(tmp_path / "wide.json"))
    table = measure(["aaa" * 1000], tokens="bpe", tokenizer=tmp_path / "wide.json")
    assert table["n_tokens"].tolist() == [1_800_000] and table["n_types"].tolist() == [2]


BAD_FILES = [b"", b"{}", b"[1]", b'{"model": {"type": "BPE"}}', b"\xff\xfe", b"not json"]


@pytest.mark.parametrize("data", BAD_FILES)
def test_what_is_no_tokenizer(tmp_path, data):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="tokenizer"):
        measure(["x"], tokens="bpe", tokenizer=path)


def test_no_file_and_one_that_is_too_large(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="cannot read the tokenizer"):
        Tokenizer.load(tmp_path / "none.json")
    monkeypatch.setattr(tokenizer, "_FILE_LIMIT", 10)
    (tmp_path / "large.json").write_text("x" * 11)
    with pytest.raises(UsageError, match="at most 10 bytes"):
        Tokenizer.load(tmp_path / "large.json")


def test_without_the_library(file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r"pip install 'textassay\[bpe\]'"):
        measure(["x"], tokens="bpe", tokenizer=file)


# --- what goes with what


def test_bpe_and_a_tokenizer_go_together(file):
    with pytest.raises(UsageError, match="wanted its tokenizer.json, found none"):
        measure(["x"], tokens="bpe")
    with pytest.raises(UsageError, match="found a tokenizer with tokens='word'"):
        measure(["x"], tokenizer=file)


@pytest.mark.parametrize(
    "signal", ["marker_rate", "top_ngram_share", "perplexity", "synthetic_logit", "anchor_overlap"]
)
def test_signals_of_words_have_nothing_to_say(file, signal):
    with pytest.raises(UsageError, match=f"{signal} looks at words"):
        measure(["x"], f"n_tokens,{signal}", tokens="bpe", tokenizer=file)
    assert signal not in measure(["x"], "all", tokens="bpe", tokenizer=file)
    assert signal not in measure(["x"], f"-{signal}", tokens="bpe", tokenizer=file)


def test_a_detector_and_an_anchor_that_are_asked_for(file, tmp_path):
    from textassay import Detector

    with pytest.raises(UsageError, match="a detector reads words"):
        measure(["x"], tokens="bpe", tokenizer=file, detector=Detector.default())


class Numbers:
    """An encoder of its own: the code points, and one more."""

    def encode(self, texts):
        ids = [[*map(ord, text), 4_294_967_295] for text in texts]
        return np.array([one for some in ids for one in some], np.uint32), np.cumsum([0, *map(len, ids)]).astype(
            np.int64
        )


@on_every_backend
def test_any_encoder(implementation, tmp_path):
    module = implementation.use()
    scanned = run_scan(module, [write_lines(tmp_path / "a.jsonl", ["ab", "b"])], tokens="id", encoder=Numbers())
    types = scanned.profile.types()
    assert types["token_bytes"].tobytes() == b"42949672959798" and types["counts"].tolist() == [2, 1, 2]
    assert scanned.documents[0]["marker_rate"] == scanned.documents[0]["top_ngram_share"] == [None, None]


BAD_IDS = [
    (np.zeros(1, np.uint32), np.array([0, 2])),
    (np.zeros(2, np.uint32), np.array([1, 2])),
    (np.zeros(2, np.uint32), np.array([0, 1])),
    (np.zeros(2, np.uint32), np.array([0, 1, 2])),
    (np.zeros(0, np.uint32), np.array([0])),
]


@pytest.mark.parametrize("number", range(len(BAD_IDS)))
def test_an_encoder_that_errs_is_no_crash(backend, number):
    class Bad:
        def encode(self, texts):
            return BAD_IDS[number]

    with pytest.raises((ValueError, IndexError)):
        backend.Measurer(("n_tokens",), tokens="id", encoder=Bad()).measure(np.zeros(1, np.uint8), np.array([0, 1]))


def test_an_encoder_that_raises_ends_the_scan(backend, tmp_path):
    class Bad:
        def encode(self, texts):
            raise KeyError("my own")

    with pytest.raises(KeyError, match="my own"):
        run_scan(backend, [write_lines(tmp_path / "a.jsonl", ["a"])], tokens="id", encoder=Bad(), threads=2)
    for options in ({"tokens": "id"}, {"tokens": "word", "encoder": Bad()}):
        with pytest.raises(ValueError, match="encoder"):
            backend.Measurer(("n_tokens",), **options)


def test_command_line(file, tmp_path):
    write_lines(tmp_path / "a.jsonl", TEXTS)
    out = tmp_path / "out"
    found = textassay("scan", tmp_path / "a.jsonl", "--tokens", "bpe", "--tokenizer", file, "-o", out)
    assert found.returncode == 0 and "bpe tokens" in found.stdout and "Ġ" in found.stdout
    settings = json.loads((out / "manifest.json").read_text())["settings"]
    assert settings["tokens"] == "bpe" and settings["tokenizer"] == Tokenizer.load(file).digest
    assert json.loads((out / "summary.json").read_text())["configuration"]["tokenizer"] == settings["tokenizer"]
    failed = textassay("scan", tmp_path / "a.jsonl", "--tokens", "bpe")
    assert failed.returncode == 2 and "wanted its tokenizer.json" in failed.stderr
