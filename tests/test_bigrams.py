"""2-grams: a kind of token, counted in a second pass of a scan, compared beside the words."""

import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import naive_text
import textassay as ta
from implementations import BACKENDS, backend_module, on_every_implementation
from textassay import Profile, UsageError, _backend
from textassay.cli.app import app
from textassay.themes import with_examples

PIECES = (
    "a",
    "The",
    "it's",
    "3.5",
    "x_y",
    "Éé",
    "日本",
    "한국어",
    "ΣΑΣ",
    "...",
    "—",
    "\n\n",
    "🇩🇪",
    "w" * 70,
    'א"ב',
    "\u200b",
    "カタ",
)
HUMAN = ["The old man said that he did not know.", "He said that the sea was calm."] * 12
MODEL = ["It is worth noting that we delve into a rich tapestry.", "We delve into a calm sea of light."] * 10


def pairs_of(words):
    return [b" ".join(pair) for pair in pairwise(words)]


def counted(texts):
    return Counter(pair for text in texts for pair in naive_text.tokens(text, "bigram"))


def profile_of_texts(texts, **more):
    profile = Profile(["n_tokens"], tokens="bigram", **more)
    profile.update(texts)
    return profile


@on_every_implementation
def test_pairs_across_the_borders_of_chunks(implementation):
    """A chunk is 4,096 bytes: words before, on and behind its border, longer than it, and regions that the masks cannot express."""
    backend = implementation.use()
    random_ = random.Random(8)
    texts = ["x" * n + " One two" * 3 for n in (1, 4085, 4090, 4094, 4095, 4096, 4097, 9000)]
    texts += [" ".join(random_.choices(PIECES, k=1500)) for _ in range(6)]
    texts += ["the end " * 513 + "w" * 9000 + " and " + "v" * 5000, "one", "", "... —"]
    for text in texts:
        data = text.encode()
        assert backend.tokens(data, "bigram") == pairs_of(backend.tokens(data))


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_pairs_are_those_of_a_plain_implementation(pieces):
    text = " ".join(pieces)
    for implementation in BACKENDS:
        assert backend_module(implementation.backend).tokens(text.encode(), "bigram") == naive_text.tokens(
            text, "bigram"
        )


def test_documents_are_not_crossed(backend):
    texts = ["one two three", "three", "", "three four. Four five"]
    profile = profile_of_texts(texts)
    found = {row["token"].encode(): row["count"] for row in profile.top(50)}
    assert found == counted(texts) and b"three three" not in found
    assert profile.totals()["n_tokens"] == sum(found.values()) and profile.totals()["n_documents"] == 4


@pytest.mark.parametrize("max_types", [1 << 20, 40])
def test_merging_knows_no_order(max_types):
    """Exact and past the limit, on both backends: the same bytes, cut anywhere and merged in any order."""
    random_ = random.Random(3)
    texts = [" ".join(random_.choices("abcdefghijkl", k=30)) for _ in range(12)]
    found = set()
    for implementation in BACKENDS:
        with _backend.using(implementation.backend):
            parts = [profile_of_texts([text], max_types=max_types) for text in texts]
            for seed in range(3):
                shuffled = random.Random(seed).sample(parts, len(parts))
                whole = profile_of_texts([], max_types=max_types)
                for part in shuffled:
                    whole.merge(part)
                found.add(whole.serialize())
            assert whole.is_exact == (max_types > 40)
    assert len(found) == 1


def test_scan_counts_them_in_a_second_pass(backend, shard, tmp_path):
    paths = [shard("a.jsonl.zst", HUMAN), shard("b.jsonl.zst", [*MODEL, b"not json"])]
    plain = ta.scan(paths)
    found = ta.scan(paths, out=tmp_path / "out", documents="none", bigrams=True)
    assert plain.bigrams is None and plain.profile.digest() == found.profile.digest()
    assert {**plain.summary, "performance": 0} == {**found.summary, "performance": 0}
    assert found.bigrams.digest() == Profile.load(tmp_path / "out" / "bigrams.tap").digest()
    assert {row["token"].encode(): row["count"] for row in found.bigrams.top(500)} == counted(HUMAN + MODEL)
    ta.scan(paths, out=tmp_path / "out", documents="none")
    assert not (tmp_path / "out" / "bigrams.tap").exists()


def test_what_cannot_be_counted(shard):
    path = shard("a.jsonl.zst", HUMAN)
    with pytest.raises(UsageError, match="wanted tokens=word"):
        ta.scan(path, tokens="char", bigrams=True)
    with pytest.raises(UsageError, match="wanted one of word, byte, char, bigram"):
        ta.scan(path, tokens="trigram")


@pytest.fixture
def folders(shard, tmp_path):
    for name, texts in (("human", HUMAN), ("model", MODEL)):
        ta.scan(shard(f"{name}.jsonl.zst", texts), out=tmp_path / name, documents="none", bigrams=True)
    return tmp_path / "human", tmp_path / "model"


def test_comparison_of_pairs(folders):
    found = ta.compare(*folders)
    rising, falling = ({mover.token for mover in movers} for movers in (found.rising_bigrams, found.falling_bigrams))
    assert {"delve into", "we delve"} <= rising and {"he said", "said that"} & falling
    assert {mover.token: mover.current for mover in found.rising_bigrams}["delve into"] == 20
    alone = ta.compare(*(Profile.load(folder / "bigrams.tap") for folder in folders))
    assert found.figures["bigram_jsd_bits"] == alone.figures["jsd_bits"] > found.figures["jsd_bits"]
    features = [feature for feature in found.features if feature.kind == "bigram"]
    assert features and features[0].bits == max(feature.bits for feature in features)
    shown = {one.name: one.examples for one in with_examples(found.features, HUMAN, MODEL) if one.kind == "bigram"}
    assert all("delve into" in example for example in shown["delve into"]) and shown["delve into"]
    same = ta.compare(folders[0], folders[0])
    assert same.figures["bigram_jsd_bits"] == 0.0 and not same.rising_bigrams


def test_without_pairs_on_one_side_there_are_none(folders):
    (folders[1] / "bigrams.tap").unlink()
    found = ta.compare(folders[0], folders[1] / "profile.tap")
    assert not found.rising_bigrams and "bigram_jsd_bits" not in found.figures
    (folders[1] / "bigrams.tap").write_bytes((folders[1] / "profile.tap").read_bytes())
    with pytest.raises(UsageError, match="wanted a profile of 2-grams"):
        ta.compare(*folders)


def test_command_line(folders, shard, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)

    done = run("merge", *folders, "-o", tmp_path / "both")
    assert done.exit_code == 0
    merged = Profile.load(tmp_path / "both" / "bigrams.tap")
    assert {row["token"].encode(): row["count"] for row in merged.top(500)} == counted(HUMAN + MODEL)
    assert "Rising 2-grams" in run("compare", *folders).stdout
    (found,) = json.loads(run("compare", *folders, "--json").stdout)["comparisons"]
    assert found["movers"]["rising_bigrams"][0]["token"] == "delve into"
    path = shard("again.jsonl.zst", HUMAN)
    assert run("scan", path, "--bigrams", "-o", tmp_path / "again", "-q").exit_code == 0
    assert (tmp_path / "again" / "bigrams.tap").read_bytes() == (folders[0] / "bigrams.tap").read_bytes()
