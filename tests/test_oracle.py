"""Real text: documents of every language against the reference beside the repository, and against the naive functions.

../shared is there for developers only; without it the naive functions stand alone and the sample is the text.
"""

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import pytest
import zstandard

import naive_signals
import naive_text
from implementations import (
    BACKENDS,
    all_types,
    as_list,
    on_every_backend,
    on_every_implementation,
    packed,
    scan,
    unpacked_types,
)
from unicode_data import is_emoji

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
SAMPLE = ROOT / "examples" / "sample.jsonl.zst"
CORPORA = sorted((SHARED / "data" / "corpora").glob("*.jsonl.zst")) or sorted((ROOT / "examples").rglob("*.jsonl.zst"))
PER_CORPUS = 64
LONGEST = 12_000  # characters; whole novels take the reference minutes
BUDGET = 250_000  # characters of one corpus


def load_oracle() -> ModuleType | None:
    path = SHARED / "oracle.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("oracle", path)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    # No uniseg release has both the data and the rules of Unicode 15.0 (see naive_text.py), so segmentation comes from there;
    # Python's category and case mappings are of another version too. Everything else stays the reference's own.
    oracle.uax29_words = lambda text: naive_text.segments(text, naive_text.word_starts(text))
    oracle.uax29_sentences = naive_text.sentences
    oracle.is_word = naive_text.is_word
    return oracle


ORACLE = load_oracle()


def read_texts(path: Path) -> list[str]:
    """Spread over the file, long ones cut at a paragraph, so that all kinds of documents are met."""
    with path.open("rb") as raw:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        texts = [json.loads(line)["text"] for line in io.TextIOWrapper(reader, encoding="utf-8")]
    step = max(1, len(texts) // PER_CORPUS)
    chosen, size = [], 0
    for text in texts[::step]:
        text = text[: max(text.rfind("\n", 0, LONGEST), LONGEST // 2)] if len(text) > LONGEST else text
        if size + len(text) <= BUDGET:
            chosen.append(text)
            size += len(text)
    return chosen


@pytest.fixture(scope="module")
def corpora() -> dict[str, list[str]]:
    return {path.name: read_texts(path) for path in CORPORA}


def test_there_is_text(corpora):
    assert sum(map(len, corpora.values())) > 60
    if ORACLE is not None:
        assert len(corpora) == 11 and sum(map(len, corpora.values())) > 300


@pytest.fixture(scope="module")
def expected(corpora) -> dict[str, list[dict]]:
    found = {}
    for name, texts in corpora.items():
        found[name] = [
            naive_signals.document(t, naive_text.tokens(t), naive_text.sentence_lengths(t), is_emoji) for t in texts
        ]
    return found


@on_every_implementation
def test_documents_to_the_bit(implementation, corpora, expected):
    backend = implementation.use()
    for name, texts in corpora.items():
        columns = backend.Measurer(backend.SIGNALS).measure(*packed([t.encode() for t in texts]))
        for signal in backend.SIGNALS:
            assert as_list(columns[signal]) == [d[signal] for d in expected[name]], (name, signal)


@pytest.mark.skipif(ORACLE is None, reason="../shared/oracle.py is not part of the repository")
def test_naive_documents_are_those_of_the_reference(corpora, expected):
    for name, texts in corpora.items():
        for number, text in enumerate(texts):
            for signal, wanted in ORACLE.document(text).items():
                found = expected[name][number][signal]
                if isinstance(wanted, float):
                    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9), (name, number, signal)
                else:
                    assert found == wanted, (name, number, signal)


@pytest.fixture(scope="module")
def shards(corpora, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    paths = []
    for name, texts in corpora.items():
        lines = b"".join(json.dumps({"id": str(n), "text": t}).encode() + b"\n" for n, t in enumerate(texts))
        paths.append(folder / name)
        paths[-1].write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(lines))
    return paths


@on_every_backend
def test_scan(implementation, corpora, expected, shards):
    backend = implementation.use()
    scanned = scan(backend, shards, batch_tokens=5000, threads=2)
    for file, name in enumerate(corpora):
        columns = scanned.documents[file]
        assert columns["id"] == [str(n) for n in range(len(corpora[name]))]
        for signal in backend.SIGNALS:
            assert columns[signal] == [d[signal] for d in expected[name]], (name, signal)
        batches = naive_signals.batches([naive_text.tokens(t) for t in corpora[name]], 5000)
        assert scanned.batches[file]["n_documents"] == [len(b) for b in batches]
        figures = [naive_signals.batch_figures(b) for b in batches]
        for signal in backend.BATCH_SIGNALS:
            assert scanned.batches[file][signal.removeprefix("batch_")] == [f[signal] for f in figures], (name, signal)
    files = [[naive_text.tokens(t) for t in texts] for texts in corpora.values()]
    assert all_types(scanned.profile) == naive_signals.histogram(files, 5000)


@pytest.mark.skipif(ORACLE is None, reason="../shared/oracle.py is not part of the repository")
def test_corpus_is_that_of_the_reference(corpora, shards):
    texts = [t for found in corpora.values() for t in found]
    wanted = ORACLE.corpus(texts)
    for implementation in BACKENDS:
        profile = scan(implementation.use(), shards, documents=False).profile
        assert profile.totals()["n_documents"] == wanted["n_documents"]
        assert profile.totals()["n_tokens"] == wanted["n_tokens"]
        assert profile.n_types == wanted["n_types"]
        top = [[t.decode(), c, d] for t, (c, d, _) in unpacked_types(profile.top(200)).items()]
        # The reference breaks ties by code points, which is the order of UTF-8 bytes as well.
        assert top[:50] == wanted["top"]
        counts = dict(zip(*(c.tolist() for c in profile.count_of_counts()), strict=True))
        assert {str(m): counts.get(m, 0) for m in range(1, 11)} == wanted["spectrum"]


@on_every_backend
def test_sample_as_shipped(implementation):
    """All of the sample by a plain loop: documents, bytes and characters; its tokens in test_readme and the bench."""
    with SAMPLE.open("rb") as raw:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        records = [json.loads(line) for line in io.TextIOWrapper(reader, encoding="utf-8")]
    scanned = scan(implementation.use(), [SAMPLE], signals=("n_bytes", "n_chars"))
    assert scanned.documents[0]["id"] == [r["id"] for r in records]
    assert scanned.documents[0]["n_chars"] == [len(r["text"]) for r in records]
    assert scanned.outcomes[0]["frames_without_checksum"] == 0
