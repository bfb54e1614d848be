"""Simulated generations: the published one, the model against exact arithmetic, both backends, any number of threads."""

import json
import math
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from typer.testing import CliRunner

from implementations import BACKENDS, backend_module
from naive_kneser_ney import BEGIN, END, NaiveModel
from textassay import _backend, build_anchor, load_anchor, measure, scan, simulate
from textassay.cli.app import app
from textassay.errors import FolderError, UsageError
from textassay.simulate import Settings, recursive_resample, simulate_corpus
from textassay.simulate.corpus import Corpus, joined
from textassay.simulate.forecast import forecast
from textassay.simulate.model import Sharpening, _limits, _nucleus, _tempered, build_sampler, count_ngrams
from textassay.simulate.sampling import Filter

SAMPLE = Path(__file__).parent.parent / "examples" / "sample.jsonl.zst"
SMALL = {"generations": 3, "tokens": 60_000, "tail_mass": 0.3}


# the published minimal simulation

PLAIN = [0.03, 0.0022, 0.0026, 0.0022, 0.003, 0.0026, 0.0016, 0.0034]
ANCHORED = [0.03, 0.0052, 0.0052, 0.005, 0.0058, 0.006, 0.0054, 0.006]


def test_recursive_resample_to_the_digit():
    assert recursive_resample() == PLAIN
    assert recursive_resample(anchor_frac=0.1) == ANCHORED
    assert simulate.recursive_resample(3) == PLAIN[:3]
    assert recursive_resample(seed=1) != PLAIN


def test_only_fresh_text_stays_real():
    assert min(recursive_resample(20, anchor_frac=1.0)) > 0.02


@pytest.mark.parametrize("wrong", [{"generations": 0}, {"n": 0}, {"anchor_frac": -0.1}, {"anchor_frac": math.nan}])
def test_recursive_resample_refuses(wrong):
    with pytest.raises(UsageError, match="wanted"):
        recursive_resample(**wrong)


# a corpus of numbers

WORDS = [f"w{i}" for i in range(9)]


def corpus_of(documents: list[list[list[str]]], names: list[str]) -> Corpus:
    """`documents` of sentences of words."""
    numbers = {name: place + 3 for place, name in enumerate(names)}
    coded = [[number for sentence in document for number in (*map(numbers.get, sentence), 2)] for document in documents]
    words = np.array([number for document in coded for number in document], np.uint32)
    return Corpus(words, np.cumsum([0, *map(len, coded)]).astype(np.int64))


def sentences_of(corpus: Corpus) -> list[list[int]]:
    found, line = [], []
    for word in corpus.words.tolist():
        if word == 2:
            found.append(line)
            line = []
        else:
            line.append(word)
    assert not line, "a sentence without an end"
    return found


SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7)
DOCUMENTS = st.lists(st.lists(SENTENCE, min_size=1, max_size=5), min_size=1, max_size=8)


@given(DOCUMENTS, st.integers(1, 4))
def test_ngrams_are_those_of_the_sentences(documents, threads):
    corpus = corpus_of(documents, WORDS)
    trigrams, bigrams = Counter(), Counter()
    for sentence in sentences_of(corpus):
        line = [1, *sentence, 2, 2]
        trigrams.update(zip(line, line[1:], line[2:]))
        bigrams.update(pairwise(line[:-1]))
    for implementation in BACKENDS:
        backend_module(implementation.backend)
        with _backend.using(implementation.backend), ThreadPoolExecutor(threads) as executor:
            found = count_ngrams(corpus, 12, executor, threads)
        mask = (1 << found.bits) - 1
        keys = [(k >> 2 * found.bits, k >> found.bits & mask, k & mask) for k in found.trigrams.tolist()]
        assert keys == sorted(trigrams)
        assert dict(zip(keys, found.trigram_counts.tolist())) == trigrams
        pairs = list(zip(found.bigram_first.tolist(), found.bigram_last.tolist()))
        assert dict(zip(pairs, found.bigram_counts.tolist())) == bigrams
        for place, pair in enumerate(pairs):
            begin, end = found.trigram_begin[place : place + 2].tolist()
            assert {key[:2] for key in keys[begin:end]} == {pair}
        inside = {n: [g for g in (trigrams if n == 3 else bigrams) if 1 not in g and 2 not in g] for n in (2, 3)}
        wanted = [
            len(inside[n]) / sum((trigrams if n == 3 else bigrams)[g] for g in inside[n]) if inside[n] else None
            for n in (2, 3)
        ]
        assert list(found.distinct_shares()) == wanted


# the model

TEXT = """the cat sat on the mat . the dog sat on the cat . a dog ran . the cat ran on . a cat saw the dog . the dog saw a mat .
the mat sat . a dog sat on a mat . the cat saw the cat . dog . cat sat . the dog ran on the mat . a mat ran"""
LINES = [line.split() for line in TEXT.replace("\n", " ").split(" . ")]
NAMES = sorted({word for line in LINES for word in line})


PLAINLY = Sharpening()


def sampler_of(order: int = 3, sharpening: Sharpening = PLAINLY):
    corpus = corpus_of([LINES[:5], LINES[5:9], LINES[9:]], NAMES)
    with ThreadPoolExecutor(1) as executor:
        ngrams = count_ngrams(corpus, len(NAMES) + 3, executor, 1)
        return build_sampler(ngrams, corpus, order, sharpening, executor)


def transitions(sampler, order: int, n: int) -> dict[tuple, Counter]:
    """What was drawn behind each context of order - 1 words."""
    words, offsets = sampler.sample(7, 0, n)
    found: dict[tuple, Counter] = defaultdict(Counter)
    names = ["", BEGIN, END, *NAMES]
    for sentence in sentences_of(Corpus(words, offsets)):
        line = [BEGIN, *(names[word] for word in sentence), END]
        for i in range(1, len(line)):
            found[tuple(line[max(0, i - order + 1) : i])][line[i]] += 1
    return found


def chi_square(found: dict[tuple, Counter], probability) -> tuple[float, int]:
    """Summed over contexts; options expected less than five times are put together."""
    statistic, freedom = 0.0, 0
    for context, counts in found.items():
        options = [name for name in (END, *NAMES) if not (name == END and context == (BEGIN,))]
        shares = {name: probability(context, name) for name in options}
        total, whole = sum(counts.values()), sum(shares.values())
        rare_expected = rare_found = cells = 0
        for name, share in shares.items():
            expected = total * share / whole
            if expected < 5:
                rare_expected, rare_found = rare_expected + expected, rare_found + counts[name]
            else:
                statistic += (counts[name] - expected) ** 2 / expected
                cells += 1
        if rare_expected >= 5:
            statistic += (rare_found - rare_expected) ** 2 / rare_expected
            cells += 1
        freedom += max(0, cells - 1)
        assert all(shares[name] > 0 for name in counts), (context, counts)
    return statistic, freedom


def exact_model() -> NaiveModel:
    """The estimation of the paper, but that nothing below the words themselves takes a share."""
    model = NaiveModel(LINES, 1)
    counts, _, totals, _ = model.levels[0]
    model.levels[0] = counts, [0, 0, 0, 0], totals, {(): 0.0}
    return model


def test_documents_follow_the_model(backend):
    model = exact_model()
    found = transitions(sampler_of(), 3, 3000)
    statistic, freedom = chi_square(found, lambda context, word: model.probability((*context, word)))
    assert freedom > 60
    assert statistic < chi2.ppf(0.999, freedom)
    # And it would be seen if they did not: the same draws against a model without backing off.
    counts = model.levels[2][0]
    crooked, _ = chi_square(found, lambda c, w: model.probability((*c, w)) + 0.05 * (counts.get((*c, w), 0) > 0))
    assert crooked > chi2.ppf(0.999, freedom)


@pytest.mark.parametrize("order", [1, 2])
def test_lower_orders_count_occurrences_at_the_top(backend, order):
    lines = [[BEGIN, *line, END] for line in LINES]
    counts = Counter(tuple(line[i : i + order]) for line in lines for i in range(2 - order, len(line) - order + 1))
    if order == 1:
        model = NaiveModel(LINES, 1)
        model.levels = [(counts, [0, 0, 0, 0], {(): sum(counts.values())}, {(): 0.0})]
    else:
        model = exact_model()
        model.levels = [model.levels[0], model.level(counts)]
    found = transitions(sampler_of(order), 2, 3000)  # order 1: nothing depends on the word before
    statistic, freedom = chi_square(found, lambda context, word: model.probability((*context[2 - order :], word)))
    assert freedom > 20 and statistic < chi2.ppf(0.999, freedom)


def test_documents_are_as_long_as_the_corpus_s(backend):
    words, offsets = sampler_of().sample(0, 0, 600)
    lengths = Counter((words[begin:end] == 2).sum() for begin, end in pairwise(offsets.tolist()))
    assert set(lengths) == {4, 5} and 340 < lengths[4] < 460  # two documents of three


def test_temperature_and_top_p_prefer_the_likely(backend):
    """How likely what was drawn is under the model as it was fitted."""
    model = exact_model()

    def likelihood(**sharpening: float) -> float:
        found = transitions(sampler_of(3, Sharpening(**sharpening)), 3, 500)
        draws = [
            (model.probability((*context, word)), n) for context, counts in found.items() for word, n in counts.items()
        ]
        return sum(n * math.log2(p) for p, n in draws) / sum(n for _, n in draws)

    plain = likelihood()
    assert likelihood(temperature=0.5) > likelihood(temperature=0.8) > plain > likelihood(temperature=2)
    assert likelihood(top_p=0.3) > likelihood(top_p=0.8) > plain
    assert likelihood(temperature=0.05, top_p=1e-9) < 0


@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=9), min_size=1, max_size=9))
def test_sharpening_leaves_the_lower_orders_their_share(contexts):
    """What lies above the last limit of a context."""
    counts = np.array([one for context in contexts for one in context])
    ends = np.cumsum([len(context) for context in contexts])
    starts = np.concatenate([[0], ends[:-1]])
    plain = _limits(counts, starts, None, PLAINLY)[ends - 1].astype(np.int64)
    for sharpening in (Sharpening(temperature=0.3), Sharpening(top_p=0.4), Sharpening(1.7, 0.9)):
        found = _limits(counts, starts, None, sharpening)[ends - 1].astype(np.int64)
        assert abs(found - plain).max() < 1 << 16  # of 2^32


@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=12), min_size=1, max_size=4), st.floats(0.01, 1))
def test_nucleus_is_the_smallest_set_that_reaches(contexts, top_p):
    lengths = np.array([len(weights) for weights in contexts])
    starts = np.cumsum(lengths) - lengths
    found = _nucleus(np.array([one for weights in contexts for one in weights]), starts, lengths, top_p)
    for weights, start in zip(contexts, starts.tolist()):
        kept = sorted((one for one in found[start : start + len(weights)].tolist() if one), reverse=True)
        assert kept == [one for one in sorted(weights, reverse=True)[: len(kept)] if one]
        needed = top_p * sum(weights)
        assert sum(kept) >= needed * (1 - 1e-12) and (sum(kept[:-1]) < needed or not kept)


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.5])
def test_tempered_weights_are_powers(temperature):
    weights = np.array([0, 1, 7, 10**6, 10**12], np.int64)
    found = _tempered(weights, np.full(5, 10**12), temperature)
    wanted = [(w / 1e12) ** (1 / temperature) * 2**32 for w in weights.tolist()]
    assert found.tolist() == pytest.approx(wanted, rel=1e-9, abs=1)


@given(DOCUMENTS, st.integers(0, 2**64 - 1), st.sampled_from([1, 2, 3]))
def test_both_backends_draw_the_same(documents, seed, order):
    corpus = corpus_of(documents, WORDS)
    drawn = []
    for implementation in BACKENDS:
        backend_module(implementation.backend)
        with _backend.using(implementation.backend), ThreadPoolExecutor(2) as executor:
            ngrams = count_ngrams(corpus, 12, executor, 2)
            sampler = build_sampler(ngrams, corpus, order, PLAINLY, executor)
            words, offsets = sampler.sample(seed, 5, 20)
            drawn.append((words.tolist(), offsets.tolist()))
            assert sampler.sample(seed, 9, 3)[0].tolist() == words[offsets[4] : offsets[7]].tolist()
    assert drawn[0] == drawn[1]


def test_a_sentence_ends_at_the_longest(backend):
    """Of a model that would go on for ever."""
    arrays = {
        "bigram_begin": np.array([0, 0, 1, 1, 2]), "bigram_last": np.array([3, 3], np.uint32),
        "bigram_limits": np.full(2, 2**32 - 1, np.uint32), "trigram_begin": np.zeros(3, np.int64),
        "trigram_last": np.zeros(0, np.uint32), "trigram_limits": np.zeros(0, np.uint32),
        "sentences": np.full(1, 2, np.uint32), "word_limits": np.array([0, 0, 0, 1 << 53], np.uint64),
    }  # fmt: skip
    words, offsets = _backend.get().Sampler(arrays, longest=7).sample(0, 0, 1)
    assert words.tolist() == [*[3] * 7, 2] * 2 and offsets.tolist() == [0, 16]


def test_a_sampler_refuses_what_does_not_fit(backend):
    module = _backend.get()
    good = {
        "bigram_begin": np.array([0, 0, 1, 1, 2]), "bigram_last": np.array([3, 2], np.uint32),
        "bigram_limits": np.zeros(2, np.uint32), "trigram_begin": np.array([0, 1, 2]),
        "trigram_last": np.array([1, 0], np.uint32), "trigram_limits": np.zeros(2, np.uint32),
        "sentences": np.ones(1, np.uint32), "word_limits": np.array([0, 0, 0, 1 << 53], np.uint64),
    }  # fmt: skip
    module.Sampler(good, longest=5).sample(0, 0, 3)
    wrong = {
        "bigram_begin": np.array([0, 1, 0, 1, 2]), "bigram_last": np.array([4, 2], np.uint32),
        "bigram_limits": np.zeros(3, np.uint32), "trigram_begin": np.array([0, 1, 3]),
        "trigram_last": np.array([1, 2], np.uint32), "trigram_limits": np.zeros(2, np.uint64),
        "sentences": np.ones(0, np.uint32), "word_limits": np.array([0, 0, 1 << 53, 1 << 53], np.uint64),
    }  # fmt: skip
    for name, array in wrong.items():
        with pytest.raises(ValueError, match=r"wanted"):
            module.Sampler(good | {name: array}, longest=5)
    with pytest.raises(ValueError, match="without words"):
        module.Sampler(good | {"bigram_last": np.array([2, 2], np.uint32)}, longest=5)
    with pytest.raises(ValueError, match="longest"):
        module.Sampler(good, longest=0)
    with pytest.raises(ValueError, match="below"):
        module.measure_documents(np.array([3, 9, 2], np.uint32), np.array([0, 3]), 5)
    with pytest.raises(ValueError, match="ascending offsets"):
        module.measure_documents(np.array([3, 2], np.uint32), np.array([0, 3]), 5)
    with pytest.raises(ValueError, match="bits"):
        module.count_trigrams(np.array([3, 2], np.uint32), 22, 0, 4)


# generations


def run(backend_name: str = "native", threads: int = 2, inputs=SAMPLE, **settings):
    backend_module(backend_name)
    with _backend.using(backend_name):
        return simulate_corpus(inputs, settings=Settings(**(SMALL | settings)), threads=threads)


def comparable(simulation) -> dict:
    return {name: value for name, value in simulation.report().items() if name != "performance"}


VARIANTS = [
    {},
    {"anchor_fraction": 0.2, "synthetic_ratio": 0.5, "seed": 3},
    {"accumulate": True, "order": 2, "temperature": 0.7},
    {"filters": ("mattr>=0.8", "n_tokens<=900"), "top_p": 0.95},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_the_same_whatever_the_threads_and_the_backend(settings):
    wanted = comparable(run(threads=1, **settings))
    assert comparable(run(threads=2, **settings)) == wanted
    assert comparable(run(threads=5, **settings)) == wanted
    assert comparable(run("numba", threads=2, **settings)) == wanted


def test_another_seed_is_another_run():
    assert comparable(run(seed=1))["generations"] != comparable(run(seed=2))["generations"]


def test_without_fresh_text_the_tail_is_lost():
    """And with a tenth of it, less of everything is."""
    alone, anchored = (run(generations=8, anchor_fraction=share).generations for share in (0.0, 0.1))
    tails = [one["tail_retention"] for one in alone]
    assert tails == sorted(tails, reverse=True) and tails[0] == 1
    for name in ("tail_retention", "n_types", "hapaxes"):
        assert alone[-1][name] < anchored[-1][name] < alone[0][name]
    assert alone[-1]["figures"]["growth_kept"] < anchored[-1]["figures"]["growth_kept"]
    assert alone[0]["stage"] == "healthy" and alone[-1]["stage"] == "early"


def test_cold_sampling_collapses_to_a_loop():
    stages = [one["stage"] for one in run(generations=12, temperature=0.6).generations]
    assert stages[0] == "healthy" and stages[-1] == "total"


def test_accumulating_loses_less_than_replacing():
    replaced, accumulated = run(generations=5), run(generations=5, accumulate=True)
    assert accumulated.generations[-1]["n_tokens"] >= 6 * 60_000
    assert accumulated.generations[-1]["tail_retention"] > replaced.generations[-1]["tail_retention"]
    assert accumulated.generations[-1]["n_types"] == accumulated.generations[0]["n_types"]


def test_only_real_text_stays_real():
    for one in run(synthetic_ratio=0, anchor_fraction=0.5).generations[1:]:
        assert one["n_generated"] == 0 and one["stage"] == "healthy"
    still = run(synthetic_ratio=0).generations
    assert all(one["n_types"] == still[0]["n_types"] for one in still)


def test_filters_keep_what_they_say():
    found = run(filters=("n_tokens<=900",)).generations
    assert found[-1]["n_generated"] == found[-1]["n_documents"] < found[-1]["n_drawn"]
    assert found[-1]["n_tokens"] / found[-1]["n_documents"] <= 900
    with pytest.raises(UsageError, match="too few"):
        run(filters=("n_types<=0",))


def test_a_written_generation_scans_to_the_same_figures(backend, tmp_path):
    """So the documents are what they say, and measured as their text is."""
    settings = Settings(**SMALL | {"generations": 1})
    out = tmp_path / "out"
    simulation = simulate_corpus(SAMPLE, out, settings=settings, write_text=True, threads=2)
    for number, mine in enumerate(simulation.generations):
        again = scan(out / "text" / f"generation-{number:04}.jsonl.zst").summary
        for name in (
            "n_documents",
            "n_tokens",
            "n_sentences",
            "n_types",
            "hapaxes",
            "entropy_bits",
            "heaps_beta",
            "spectrum",
        ):
            assert again["corpus"][name] == mine[name], name
        for name, mean in mine["documents"].items():
            assert again["documents"][name]["mean"] == pytest.approx(mean, rel=1e-9)


def test_documents_are_measured_as_their_text(backend):
    rng = random.Random(4)
    names = [f"w{i}" for i in range(400)]
    documents = [[rng.choices(names, k=rng.randint(1, 40)) for _ in range(rng.randint(1, 20))] for _ in range(40)]
    corpus = corpus_of(documents, names)
    found = _backend.get().measure_documents(corpus.words, corpus.offsets, 403)
    texts = ["\n\n".join(" ".join(sentence) for sentence in document) for document in documents]
    wanted = measure(texts, signals=list(found))
    for name, column in found.items():
        assert np.array_equal(column, wanted[name], equal_nan=True), name


def test_the_pool_is_a_uniform_sample_in_any_order(shard):
    texts = [f"number{i} of many words here" for i in range(3000)]
    shard("a/1.jsonl", texts[:1000])
    whole = shard("a/2.jsonl", texts[1000:]).parent
    first, again = (run(inputs=whole, tokens=500, generations=1, threads=threads) for threads in (1, 5))
    assert comparable(first) == comparable(again)
    assert 500 <= first.corpus["n_tokens_held"] < 510 and first.corpus["n_tokens"] == 15_000


def test_joined_and_sliced():
    corpus = corpus_of([[["w1"], ["w2", "w3"]], [["w4"]], [["w5", "w6"]]], WORDS)
    assert corpus.n_documents == 3 and corpus.n_tokens == 6 and corpus.ends().tolist() == [3, 4, 6]
    assert [corpus.up_to(n).n_documents for n in (0, 1, 3, 4, 5, 99)] == [0, 1, 1, 2, 3, 3]
    assert joined([corpus.slice(0, 1), corpus.slice(1, 3)]).words.tolist() == corpus.words.tolist()
    assert corpus.take(np.array([2, 0])).words.tolist() == [8, 9, 2, 4, 2, 5, 6, 2]
    assert joined([]).n_documents == 0


# forecasts


def test_forecasts():
    seen = forecast("entropy_bits", [9.0, 8.0, 7.0], 7.5, 100)
    assert (seen.generation, seen.observed) == (2, True)
    falling = [9.0, 8.9] + [8 * 0.95**g for g in range(2, 9)]  # below 4 behind generation 13.5
    ahead = forecast("entropy_bits", falling, 4.0, 100)
    assert (ahead.generation, ahead.observed) == (14, False) and ahead.kept == pytest.approx(0.95)
    assert forecast("entropy_bits", falling, 4.0, 14).generation == 14
    assert forecast("entropy_bits", falling, 4.0, 13).generation is None
    assert forecast("entropy_bits", falling, falling[-1] * 0.9999, 100).generation == 9
    for never in ([9.0] * 9, [9.0, 8.0, 7.0, 7.0, 7.1, 7.2, 7.3]):
        assert forecast("entropy_bits", never, 6.0, 100).generation is None
    assert forecast("tail_retention", falling, 0.0, 100).generation is None
    assert "needs" in forecast("entropy_bits", [9.0, 8.9, 8.8], 6.0, 100).reason
    assert forecast("tail_retention", [None] * 9, 0.5, 100).generation is None


# the folder and the command


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)], env={"COLUMNS": "140"})


def test_the_folder_is_whole_and_repeatable(tmp_path):
    done = invoke(
        SAMPLE,
        "-o",
        tmp_path / "a",
        "--generation-tokens",
        "50K",
        "--generations",
        3,
        "--entropy-floor",
        9.9,
        "--tail-floor",
        0.1,
    )
    assert done.exit_code == 0, done.output
    assert "Forecast" in done.stdout and "generation 0" in done.stdout and "No tail" in done.stdout
    again = invoke(
        SAMPLE,
        "-o",
        tmp_path / "b",
        "--generation-tokens",
        "50K",
        "--generations",
        3,
        "--entropy-floor",
        9.9,
        "--tail-floor",
        0.1,
        "-j",
        1,
        "--json",
    )
    report = json.loads(again.stdout)
    assert report == json.loads((tmp_path / "b" / "simulation.json").read_text())
    names = {"simulation.json", "simulation.svg", "generations.parquet", "report.html", "manifest.json"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    for name in names - {"simulation.json", "report.html"}:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    pages = [(tmp_path / folder / "report.html").read_text().partition("<!-- performance") for folder in ("a", "b")]
    assert pages[0][0] == pages[1][0]
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(tmp_path / "a" / "generations.parquet").to_pylist()
    assert [row["entropy_bits"] for row in rows] == [one["entropy_bits"] for one in report["generations"]]


def test_an_earlier_folder_is_replaced_a_foreign_one_is_not(tmp_path):
    for write in (True, False):
        simulate_corpus(SAMPLE, tmp_path / "out", settings=Settings(**SMALL), write_text=write)
        assert (tmp_path / "out" / "text").exists() == write
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FolderError):
        simulate_corpus(SAMPLE, tmp_path / "mine", settings=Settings(**SMALL))


def test_a_failed_run_leaves_nothing(tmp_path):
    with pytest.raises(UsageError):
        simulate_corpus(SAMPLE, tmp_path / "out", settings=Settings(**SMALL, filters=("n_types<=0",)))
    assert not (tmp_path / "out").exists()


def test_without_a_corpus_it_is_the_published_one():
    assert json.loads(invoke("--json").stdout)["shares"] == PLAIN
    assert "0.0052  0.0052  0.005" in invoke("--anchor-fraction", 0.1).stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--anchor-fraction", "1.5"], ["--anchor-fraction", "nan"], ["--synthetic-ratio", "-1"],
        ["--anchor-fraction", "0.5", "--synthetic-ratio", "0.6"], ["--generation-tokens", "0"], ["--generation-tokens", "9T"], ["--generation-tokens", "x"],
        ["--temperature", "0"], ["--temperature", "inf"], ["--top-p", "0"], ["--top-p", "2"], ["--order", "4"],
        ["--generations", "0"], ["--generations", "99999999"], ["--seed", "-1"], ["--seed", str(1 << 64)],
        ["--filter", "mattr"], ["--filter", "mattr>0.5"], ["--filter", "grace>=0.5"], ["--filter", "mattr>=nan"],
        ["--tail-mass", "0"], ["--entropy-floor", "-1"], ["--tail-floor", "2"], ["--stage-limit", "types=9"], ["--horizon", "0"],
        ["--write-text"], ["--threads", "0"], ["--threads", "100000"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_hostile_options(options):
    done = invoke(SAMPLE, *options)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""


def test_hostile_corpora(tmp_path, shard):
    assert invoke(tmp_path / "nothing").exit_code == 2
    assert invoke(shard("empty.jsonl", ["", "...", "!"])).exit_code == 2
    assert invoke("-o", tmp_path / "x").exit_code == 2
    done = invoke(
        shard("bad.jsonl", [b"no json", "one two. three four", b'{"text": 3}']),
        "--generation-tokens",
        "100",
        "--generations",
        2,
    )
    assert done.exit_code == 3 and "malformed" in done.stderr


def test_one_word_is_a_corpus(shard):
    found = run(inputs=shard("one.jsonl", ["word"]), tokens=10).generations
    assert [one["n_types"] for one in found] == [1] * 4
    assert found[0]["distinct_2"] is None and found[0]["tail_retention"] is None
    assert all(one["entropy_bits"] < 1e-12 for one in found)


def test_filters_parse():
    assert Filter.parse("mattr>=0.5") == Filter("mattr", least=0.5)
    assert Filter.parse(" n_tokens <= 7") == Filter("n_tokens", most=7)


def test_the_scan_hands_over_words(backend, shard):
    """The backends' part in reading: sentences of numbers, END behind each."""
    path = shard("words.jsonl", ["One two. Two, three!", "", "four one"])
    result = scan(path)
    from textassay.anchor.vocabulary import vocabulary_of

    vocabulary = vocabulary_of(result.profile, 1, 0.05)
    anchor = backend.Anchor(vocabulary.arrays(), n_modelled=vocabulary.n_modelled)
    running = backend.Scan([str(path).encode()], signals=["n_tokens"], anchor=anchor, words=True, stage="signals")
    words, offsets = [], [0]
    while (event := running.next()) is not None:
        if "documents" in event:
            words += event["documents"]["words"].tolist()
            offsets += (event["documents"]["word_offsets"][1:] + offsets[-1]).tolist()
    data, places = vocabulary.token_bytes.tobytes(), vocabulary.token_offsets.tolist()
    names = [data[a:b].decode() for a, b in pairwise(places)]
    names[2] = "|"
    assert [names[word] for word in words] == ["one", "two", "|", "two", "three", "|", "four", "one", "|"]
    assert offsets == [0, 6, 6, 9]
    with pytest.raises(ValueError, match="words"):
        backend.Scan([str(path).encode()], signals=["n_tokens"], words=True)


def test_text_is_compressed_lines(tmp_path):
    simulate_corpus(SAMPLE, tmp_path / "out", settings=Settings(**SMALL | {"generations": 1}), write_text=True)
    data = (tmp_path / "out" / "text" / "generation-0001.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(data).splitlines()
    assert json.loads(lines[0])["id"] == "generation-1-0"


# an anchor in the place of a corpus


def test_an_anchor_writes_as_its_model_says(backend, shard, tmp_path):
    """Its probabilities are those of its ARPA export, but for what is unknown, which is never drawn."""
    from textassay.simulate.frozen import FrozenModel

    path = tmp_path / "tiny.anchor"
    build_anchor(shard("tiny.jsonl", ["\n\n".join(" ".join(line) for line in LINES)] * 2), path, min_count=2)
    anchor, frozen = load_anchor(path), FrozenModel(path)
    names = [word.decode() for word in map(anchor.word, range(frozen.n_words))]
    levels = {n: anchor.ngrams(n) for n in (1, 2, 3)}
    log10 = [{tuple(row): p for row, p in zip(levels[n][0].tolist(), levels[n][1].tolist())} for n in levels]
    backoff = [{tuple(row): p for row, p in zip(levels[n][0].tolist(), levels[n][2].tolist())} for n in (1, 2)]
    numbers = {name: number for number, name in enumerate(names)}

    def probability(context: tuple, word: str) -> float:
        if word not in numbers:
            return 0.0
        ngram = tuple(numbers[name] for name in (*context, word))
        factor = 0.0
        while ngram not in log10[len(ngram) - 1]:
            factor += backoff[len(ngram) - 2].get(ngram[:-1], 0.0)
            ngram = ngram[1:]
        return 10 ** (log10[len(ngram) - 1][ngram] + factor)

    words, offsets = frozen.sampler.sample(3, 0, 300)
    found: dict[tuple, Counter] = defaultdict(Counter)
    for sentence in sentences_of(Corpus(words, offsets)):
        line = [BEGIN, *(names[word] for word in sentence), END]
        for i in range(1, len(line)):
            found[tuple(line[max(0, i - 2) : i])][line[i]] += 1
    statistic, freedom = chi_square(found, probability)
    assert freedom > 50 and statistic < chi2.ppf(0.999, freedom)


def test_generations_of_an_anchor(tmp_path):
    path = tmp_path / "novels.anchor"
    build_anchor(SAMPLE, path)
    wanted = comparable(run(inputs=path, threads=1, anchor_fraction=0.1))
    assert wanted["corpus"]["anchor"] == load_anchor(path).digest
    assert wanted["generations"][0]["stage"] == "healthy" and wanted["generations"][3]["tail_retention"] < 1
    assert comparable(run("numba", inputs=path, threads=2, anchor_fraction=0.1)) == wanted
    assert invoke(path, SAMPLE).exit_code == 2
    path.write_bytes(path.read_bytes()[:-50])
    assert invoke(path).exit_code == 2
