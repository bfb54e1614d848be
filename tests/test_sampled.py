"""Estimates past the type limit: right on average, and as far off as their standard errors say."""

import math
import random
from collections import Counter

import numpy as np
import pytest

import naive_signals
from textassay import Profile
from textassay.sampled import sketched, tokens_of


def zipf_texts(seed: int, types: int = 6000, words: int = 60_000) -> list[str]:
    """Words of a Zipf law whose names, so whose hashes, change with the seed."""
    rng = random.Random(seed)
    names = [f"s{seed}x{n}" for n in range(types)]
    drawn = rng.choices(names, [1 / (n + 2) for n in range(types)], k=words)
    return [" ".join(drawn[i : i + 200]) for i in range(0, words, 200)]


def bounded_profile(texts: list[str], max_types: int = 1500) -> Profile:
    profile = Profile(["n_tokens"], max_types=max_types, batch_tokens=5000)
    profile.update(texts)
    return profile


SEEDS = range(24)
FIGURES = (
    "n_types",
    "entropy_bits",
    "entropy_mm_bits",
    "entropy_chao_shen_bits",
    "hapaxes",
    "chao1",
    "heaps_beta",
    "zipf_exponent",
)


@pytest.fixture(scope="module")
def trials() -> list[tuple[dict, dict]]:
    """Of each seed the estimated and the exact summary. Both backends hold the same states, so one will do."""
    found = []
    for seed in SEEDS:
        texts = zipf_texts(seed)
        exact = Profile(["n_tokens"], batch_tokens=5000)
        exact.update(texts)
        found.append((bounded_profile(texts).summary(), exact.summary()))
    return found


def test_estimates_say_so(trials):
    for estimated, exact in trials:
        assert estimated["estimate"] is True and exact["estimate"] is False
        assert "standard_errors" not in exact
        assert set(estimated["standard_errors"]) >= set(FIGURES)
        assert estimated["n_tokens"] == exact["n_tokens"]


@pytest.mark.parametrize("name", FIGURES)
def test_estimates_are_within_their_errors(trials, name):
    """The z-scores over independent hashes: centred near 0, of spread near 1."""
    scores = [(e[name] - x[name]) / e["standard_errors"][name] for e, x in trials]
    mean = math.fsum(scores) / len(scores)
    spread = math.sqrt(math.fsum(z * z for z in scores) / len(scores))
    assert abs(mean) < 1.0, scores
    # The curve of ranks is not linear in the sample, so its error is a first approximation.
    assert 0.3 < spread < (2.5 if name == "zipf_exponent" else 1.6), scores
    assert max(map(abs, scores)) < 6, scores


@pytest.mark.parametrize("name", FIGURES)
def test_estimates_are_close(trials, name):
    error = math.fsum(abs(e[name] / x[name] - 1) for e, x in trials) / len(trials)
    assert error < (0.15 if name in ("hapaxes", "chao1") else 0.03)


def test_rarefied_types(trials):
    for estimated, exact in trials:
        for n, value in exact["rarefied_types"].items():
            error = estimated["standard_errors"]["rarefied_types"][n]
            assert abs(estimated["rarefied_types"][n] - value) < 5 * error + 1e-6 * value


def test_spectrum_adds_up_to_the_types(trials):
    for estimated, _ in trials:
        assert math.fsum(estimated["spectrum"].values()) == pytest.approx(estimated["n_types"], rel=0.05)


def test_top_tokens_are_the_frequent_ones(backend):
    texts = zipf_texts(99)
    counts = Counter(word for text in texts for word in text.split())
    rows = bounded_profile(texts).top(20)
    wanted = [token for token, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    assert {row["token"] for row in rows[:10]} == set(wanted[:10])
    for row in rows:
        if row.get("estimate"):
            assert row["count"] >= counts[row["token"]]
        else:
            assert row["count"] == counts[row["token"]]
    assert [row["count"] for row in rows] == sorted((row["count"] for row in rows), reverse=True)


def test_counts_of_single_tokens_are_never_too_low(backend):
    texts = zipf_texts(3)
    profile = bounded_profile(texts)
    counts = Counter(word for text in texts for word in text.split())
    for token in list(counts)[::50]:
        assert profile.count(token) >= counts[token]


def test_sketches_are_read_as_the_backend_writes_them(backend):
    """Cells by the formula of docs/semantics.md."""
    profile = bounded_profile(zipf_texts(4))
    bounded = profile._state.bounded()
    sketch, width = bounded["count_sketch"], bounded["width"]
    tokens = tokens_of(bounded["frequent"])[:200]
    wanted = []
    for token in tokens:
        h = naive_signals.token_hash(token)
        wanted.append(min(int(sketch[r, naive_signals.sketch_index(h, r, width)]) for r in range(4)))
    assert sketched(sketch, tokens).tolist() == wanted


def test_both_backends_estimate_alike():
    from implementations import BACKENDS
    from textassay import _backend

    found = []
    for implementation in BACKENDS:
        with _backend.using(implementation.backend):
            found.append(bounded_profile(zipf_texts(5)).summary())
    assert found[0] == found[1]


def test_where_all_types_are_known_nothing_is_uncertain(backend):
    """Just past the limit the rest fits among the frequent: every type is known by name."""
    texts = [" ".join(f"w{n}" for n in range(1600))]
    profile = bounded_profile(texts, max_types=1500)
    assert not profile.is_exact
    found = profile.summary()
    assert found["n_types"] == 1600
    assert found["standard_errors"]["n_types"] == 0


def test_errors_are_those_of_the_sampling():
    """By hand: light types of counts 1 and 3, sampled with probability 1/4, and the tokens that they must add up to."""
    from textassay.spectrum import Spectrum, n_types

    numbers, counts, scale = np.array([400, 100]), np.array([1, 3]), 4.0

    def covariance(g, h):
        return scale * (scale - 1) * float(numbers @ (g(counts) * h(counts)))

    found = n_types(Spectrum(2900, counts, numbers * scale, covariance))
    # Estimated: 500 * 4 types of 700 * 4 tokens; there are 100 tokens more. Slope: (400 + 300) / (400 + 900).
    slope = 700 / 1300
    assert found.value == pytest.approx(2000 + slope * 100)
    assert found.error == pytest.approx(math.sqrt(12 * (500 - slope * 700)))
