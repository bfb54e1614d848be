"""Cloze items for the tail: what they are made of, and that who has lost the tail gets them wrong."""

import itertools
import json
import math
import random
import statistics
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from implementations import backend_module
from test_cli import textassay
from textassay import UsageError, _backend, answer_with_model, build_anchor, load_anchor, make_probes, score_probes
from textassay.errors import InputError, OutputError
from textassay.simulate import Settings, simulate_corpus
from textassay.tail_probes import GAP, _Words, decade_of, read_answers, read_probes, wilson, write_probes

EXAMPLES = Path(__file__).parent.parent / "examples"

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "or", "il")]


def words_of(numbers, n):
    found = {}
    while len(found) < n:
        found["".join(numbers.choices(SYLLABLES, k=numbers.choice([2, 2, 3])))] = None
    return list(found)


class Language:
    """Words of frequencies like those of text, each of which likes a few others behind it: so there is something to know."""

    def __init__(self, seed=1, n=1200):
        numbers = random.Random(seed)
        self.words = words_of(numbers, n)
        self.shares = [1 / (rank + 2) for rank in range(n)]
        self.follow = {word: numbers.choices(self.words, self.shares, k=3) for word in self.words}

    def text(self, numbers, sentences=8):
        lines = []
        for _ in range(sentences):
            line = numbers.choices(self.words, self.shares)
            for _ in range(numbers.randint(9, 20)):
                likes = numbers.random() < 0.7
                line += [numbers.choice(self.follow[line[-1]])] if likes else numbers.choices(self.words, self.shares)
            lines.append(" ".join([line[0].capitalize(), *line[1:]]) + ".")
        return " ".join(lines)


def without_tail(text, counts, least, numbers, common):
    """As a collapsed model writes: what is rare has given way to what is common."""
    kept = (
        word if counts[word.strip(".").lower()] >= least else numbers.choice(common) + "." * word.endswith(".")
        for word in text.split()
    )
    return " ".join(kept)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, language, numbers = tmp_path_factory.mktemp("probes"), Language(), random.Random(2)
    texts = [language.text(numbers) for _ in range(700)]
    fresh = [language.text(numbers) for _ in range(300)]
    counts = Counter(word.strip(".").lower() for text in texts for word in text.split())

    def write(name, lines):
        (folder / name).write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        return folder / name

    options = {"threads": 1, "tail_mass": 0.2}
    build_anchor(write("full.jsonl", texts), folder / "full.anchor", **options)
    for least in (10, 100):
        rest = [without_tail(text, counts, least, numbers, language.words[:20]) for text in texts]
        build_anchor(write(f"collapsed-{least}.jsonl", rest), folder / f"collapsed-{least}.anchor", **options)
    write("fresh.jsonl", fresh)
    return folder


@pytest.fixture(scope="module")
def probes(corpus):
    return make_probes(corpus / "fresh.jsonl", corpus / "full.anchor", per_decade=60)[0]


def anchor_counts(corpus):
    """By plain Python, of the anchor's text."""
    texts = [json.loads(line)["text"] for line in (corpus / "full.jsonl").read_text().splitlines()]
    sentences = [
        sentence.lower().split()
        for text in texts
        for sentence in text.replace(". ", ".\n").replace(".", "").split("\n")
    ]
    words = Counter(word for sentence in sentences for word in sentence)
    return words, Counter(pair for sentence in sentences for pair in itertools.pairwise(sentence))


def test_strata_are_decades_of_the_anchors_counts(corpus, probes):
    words, pairs = anchor_counts(corpus)
    by_kind = Counter((probe["kind"], probe["decade"]) for probe in probes)
    assert {("word", 1), ("word", 10), ("word", 100), ("2-gram", 1), ("2-gram", 10)} <= set(by_kind)
    assert max(by_kind.values()) == 60
    border = _Words(load_anchor(corpus / "full.anchor")).border
    assert 10 < border < 1000
    medians = {}
    for probe in probes:
        assert probe["is_tail"] == (probe["decade"] < border)
        for option in probe["options"]:
            if probe["kind"] == "word":
                assert max(3, probe["decade"]) <= words[option] < 10 * probe["decade"]
            else:  # estimated by the model, which counts contexts
                medians.setdefault(probe["decade"], []).append(pairs[tuple(option.split())])
    assert len(medians) >= 2
    for decade, counts in medians.items():
        assert min(counts) > 0
        assert max(3, decade) <= statistics.median(counts) < 10 * decade


def test_items_are_whole(corpus, probes):
    texts = " \n".join(json.loads(line)["text"] for line in (corpus / "fresh.jsonl").read_text().splitlines())
    assert len({probe["id"] for probe in probes}) == len(probes)
    for probe in probes:
        assert probe["context"].count(GAP) == 1
        assert probe["context"].replace(GAP, probe["answer"]) in texts
        assert len(set(probe["options"])) == 4 and probe["answer"] in probe["options"]
        around = set(probe["context"].lower().replace(".", "").split())
        for option in probe["options"]:
            assert not around & set(option.split()), "an option stands in the context"
            assert len(option.split()) == (1 if probe["kind"] == "word" else 2)
        for option in set(probe["options"]) - {probe["answer"]}:
            assert not any(
                a.startswith(b) or b.startswith(a) for a, b in zip(option.split(), probe["answer"].split(), strict=True)
            )
    answers = Counter((probe["kind"], probe["answer"]) for probe in probes)
    assert max(answers.values()) == 1, "one item an answer"


def test_the_place_of_the_answer_says_nothing(probes):
    places = Counter(probe["options"].index(probe["answer"]) for probe in probes)
    assert len(probes) > 250
    for n in (places[place] for place in range(4)):
        assert binomtest(n, len(probes), 0.25).pvalue > 1e-4


def test_options_are_of_like_length(probes):
    of_words = [probe for probe in probes if probe["kind"] == "word" and probe["decade"] <= 10]
    apart = [max(abs(len(option) - len(probe["answer"])) for option in probe["options"]) for probe in of_words]
    assert sum(one <= 2 for one in apart) >= 0.95 * len(apart)


def test_neither_order_nor_cuts_nor_backend_matter(corpus, tmp_path, probes):
    lines = (corpus / "fresh.jsonl").read_text().splitlines()
    random.Random(3).shuffle(lines)
    for name, part in (("b", lines[:100]), ("a", lines[100:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(part) + "\n")
    for backend in ("native", "numba"):
        backend_module(backend)
        with _backend.using(backend):
            assert make_probes(tmp_path, corpus / "full.anchor", per_decade=60)[0] == probes


def test_memory_is_bounded_and_the_lowest_hashes_stay(corpus, monkeypatch, probes):
    monkeypatch.setattr("textassay.tail_probes.POOL", 70)
    few, _ = make_probes(corpus / "fresh.jsonl", corpus / "full.anchor", per_decade=60)
    for stratum in {(probe["kind"], probe["decade"]) for probe in probes}:
        both = [[p["answer"] for p in made if (p["kind"], p["decade"]) == stratum] for made in (few, probes)]
        assert both[0][:40] == both[1][:40]


def test_a_collapsed_model_scores_lower_decade_by_decade(corpus, probes):
    """The tail goes first: below 10 occurrences, then below 100; what is common is still known."""
    scores = {}
    for name in ("full", "collapsed-10", "collapsed-100"):
        scores[name] = score_probes(probes, answer_with_model(corpus / f"{name}.anchor", probes))
    rows = {name: {(row["kind"], row["decade"]): row for row in found["strata"]} for name, found in scores.items()}
    for decade, gone in ((1, ("collapsed-10", "collapsed-100")), (10, ("collapsed-100",))):
        assert rows["full"]["word", decade]["interval"][0] > 0.3
        for name in gone:
            assert rows[name]["word", decade]["interval"][1] < rows["full"]["word", decade]["accuracy"]
            assert rows[name]["word", decade]["interval"][0] < 0.27, "no better than chance"
    assert rows["collapsed-10"]["word", 100]["accuracy"] > rows["full"]["word", 100]["accuracy"] - 0.1
    tails = [scores[name]["tail"]["accuracy"] for name in ("full", "collapsed-10", "collapsed-100")]
    assert tails[0] > tails[1] + 0.05 > tails[2] + 0.1
    assert scores["full"]["tail"]["interval"][0] > scores["collapsed-100"]["tail"]["interval"][1]


def test_generations_of_a_simulation_score_lower_and_lower(tmp_path):
    """Models made of what a simulation wrote, asked about passages that none of them saw."""
    settings = Settings(generations=4, tokens=400_000, tail_mass=0.2)
    simulate_corpus(EXAMPLES / "sample.jsonl.zst", tmp_path / "out", settings=settings, write_text=True)
    tails, probes = [], None
    for generation in (0, 1, 4):
        path = tmp_path / f"{generation}.anchor"
        build_anchor(tmp_path / f"out/text/generation-{generation:04d}.jsonl.zst", path, tail_mass=0.2)
        probes = probes or make_probes(EXAMPLES / "shards", path, per_decade=80)[0]
        tails.append(score_probes(probes, answer_with_model(path, probes))["tail"])
    assert tails[0]["accuracy"] > tails[1]["accuracy"] > tails[2]["accuracy"]
    assert tails[0]["interval"][0] > tails[2]["interval"][1]


# Scores


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (50, 100), (999, 1000)])
def test_wilson(correct, n):
    wanted = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson(correct, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_scores_by_hand():
    def probe(name, kind, decade, tail, n=4):
        options = [f"{name}{i}" for i in range(n)]
        return {
            "id": name,
            "kind": kind,
            "decade": decade,
            "is_tail": tail,
            "context": GAP,
            "options": options,
            "answer": options[1],
        }

    probes = [probe(f"a{i}", "word", 1, True) for i in range(4)] + [probe("b", "2-gram", 10, True, 2)]
    probes += [probe(f"c{i}", "word", 1000, False) for i in range(2)]
    found = score_probes(probes, {"a0": "a01", "a1": 1, "a2": "a20", "b": 1, "c0": 0, "c1": "c11"})
    rows = [
        (r["kind"], r["decade"], r["n_items"], r["n_answered"], r["n_correct"], r["accuracy"]) for r in found["strata"]
    ]
    assert rows == [("word", 1, 4, 3, 2, 0.5), ("word", 1000, 2, 2, 1, 0.5), ("2-gram", 10, 1, 1, 1, 1.0)]
    assert found["tail"]["accuracy"] == 0.75 and found["tail"]["chance"] == (0.25 + 0.5) / 2
    assert found["tail"]["above_chance"] == pytest.approx((0.75 - 0.375) / 0.625)
    half = 1.959963984540054 * math.sqrt(0.25 / 4) / 2
    assert found["tail"]["interval"] == pytest.approx([0.75 - half, min(1.0, 0.75 + half)])
    assert found["all"]["accuracy"] == pytest.approx(2 / 3)
    assert (found["n_items"], found["n_answered"]) == (7, 6)
    for answers, message in (
        ({"z": 1}, "answer to 'z': there is no such item"),
        ({"a0": 4}, "answer to a0: 4 is none of 'a00'"),
        ({"a0": -1}, "answer to a0: -1"),
        ({"a0": "x"}, "answer to a0: 'x' is none of"),
    ):
        with pytest.raises(UsageError, match=message):
            score_probes(probes, answers)


def test_decades():
    counts = np.array([0, 1, 2, 2.999, 3, 9, 9.99, 10, 99, 100, 12345, 10.0**18])
    assert decade_of(counts).tolist() == [0, 0, 0, 0, 1, 1, 1, 10, 10, 100, 10000, 10**18]


# Files


def test_files_with_and_without_a_key(tmp_path, probes):
    write_probes(probes, tmp_path / "open.jsonl")
    assert read_probes(tmp_path / "open.jsonl") == probes
    write_probes(probes, tmp_path / "closed.jsonl", tmp_path / "key.jsonl")
    assert "answer" not in json.loads((tmp_path / "closed.jsonl").read_text().splitlines()[0])
    assert read_probes(tmp_path / "closed.jsonl", tmp_path / "key.jsonl") == probes
    assert read_answers(tmp_path / "key.jsonl") == {probe["id"]: probe["answer"] for probe in probes}
    with pytest.raises(InputError, match=r"closed\.jsonl, line 1: no answer to item"):
        read_probes(tmp_path / "closed.jsonl")
    with pytest.raises(OutputError, match="cannot write"):
        write_probes(probes, tmp_path / "no" / "where")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no items"),
        ("[]", "line 1: wanted an object"),
        ("{", "line 1: wanted JSON"),
        ("{}", "line 1: wanted an item with id, kind"),
        ("GOOD\nGOOD", "line 2: item .* is there twice"),
        ("MORE", "line 1: wanted an item"),
        ("KIND", "line 1: wanted an item"),
        ("OPTIONS", "line 1: wanted an item"),
        ("ANSWER", "line 1: no answer to item"),
        ("x" * ((1 << 20) + 1), "line 1: wanted lines of at most"),
    ],
)
def test_strange_items_are_refused(tmp_path, probes, line, message):
    good = probes[0]
    changes = {
        "GOOD": {},
        "MORE": {"more": 1},
        "KIND": {"kind": "3-gram"},
        "OPTIONS": {"options": [1, 2]},
        "ANSWER": {"answer": "?"},
    }
    for name, change in changes.items():
        line = line.replace(name, json.dumps(good | change))
    (tmp_path / "items.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_probes(tmp_path / "items.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "answer": 1}', "line 1: wanted"),
        ('{"id": "a", "answer": true}', "line 1: wanted"),
        ('{"id": "a", "answer": 1.0}', "line 1: wanted"),
        ('{"id": "a", "answer": 1, "more": 2}', "line 1: wanted"),
        ('{"id": "a", "answer": 1}\n{"id": "a", "answer": 2}', "line 2: item a is answered twice"),
    ],
)
def test_strange_answers_are_refused(tmp_path, line, message):
    (tmp_path / "answers.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        read_answers(tmp_path / "answers.jsonl")


def test_what_does_not_fit_is_refused(corpus, tmp_path):
    for options, message in (
        ({"per_decade": 0}, "per_decade=0"),
        ({"options": 1}, "options=1"),
        ({"documents": 0}, "documents=0"),
    ):
        with pytest.raises(UsageError, match=message):
            make_probes(corpus / "fresh.jsonl", corpus / "full.anchor", **options)
    with pytest.raises(InputError):
        make_probes(tmp_path / "nothing", corpus / "full.anchor")
    (tmp_path / "little.jsonl").write_text('{"text": "Too little."}\n')
    with pytest.raises(InputError, match="no item could be made"):
        make_probes(tmp_path / "little.jsonl", corpus / "full.anchor")
    from textassay.anchor.arpa import export_arpa, import_arpa

    with (tmp_path / "full.arpa").open("w") as out:
        export_arpa(load_anchor(corpus / "full.anchor"), out)
    import_arpa(tmp_path / "full.arpa", tmp_path / "imported.anchor", "")
    with pytest.raises(UsageError, match="an anchor without counts"):
        make_probes(corpus / "fresh.jsonl", tmp_path / "imported.anchor")


def test_commands(corpus, tmp_path):
    arguments = ("tail", "probes", corpus / "fresh.jsonl", "--anchor", corpus / "full.anchor", "--per-decade", "30")
    done = textassay(*arguments, "-o", tmp_path / "p.jsonl", "--key", tmp_path / "k.jsonl")
    assert done.returncode == 0, done.stderr
    assert "Probes" in done.stdout and "3–9" in done.stdout and "300 of 300 documents" in done.stdout
    assert done.stderr == f"textassay: written to {tmp_path / 'p.jsonl'}, the answers to {tmp_path / 'k.jsonl'}\n"
    items = ("tail", "score", tmp_path / "p.jsonl", "--key", tmp_path / "k.jsonl")
    done = textassay(*items, tmp_path / "k.jsonl")
    assert done.returncode == 0 and "100.00 %" in done.stdout and "Tail score" in done.stdout
    full, collapsed = (
        json.loads(textassay(*items, "--model", corpus / f"{name}.anchor", "--json").stdout)
        for name in ("full", "collapsed-100")
    )
    assert full["schema"] == "textassay.tail-score/1"
    assert full["tail"]["accuracy"] > collapsed["tail"]["accuracy"] + 0.1
    (tmp_path / "some.jsonl").write_text((tmp_path / "k.jsonl").read_text().splitlines()[0])
    assert "without an answer counted as wrong" in textassay(*items, tmp_path / "some.jsonl").stdout
    for wrong in ((), (tmp_path / "k.jsonl", "--model", corpus / "full.anchor")):
        done = textassay(*items, *wrong)
        assert done.returncode == 2 and "wanted a file of answers, or --model" in done.stderr


def test_damaged_input_exits_with_3(corpus, tmp_path):
    (tmp_path / "bad.jsonl").write_text((corpus / "fresh.jsonl").read_text() + "not json\n")
    arguments = (
        "tail",
        "probes",
        tmp_path / "bad.jsonl",
        "--anchor",
        corpus / "full.anchor",
        "-o",
        tmp_path / "p.jsonl",
    )
    done = textassay(*arguments, "--json")
    assert done.returncode == 3 and "1 malformed records" in done.stderr
    assert json.loads(done.stdout)["inputs"]["n_malformed"] == 1
    assert textassay(*arguments, "--malformed-budget", "1").returncode == 0
