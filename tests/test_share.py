"""The share of synthetic documents, on mixtures whose share is known."""

from types import SimpleNamespace

import numpy as np
import pytest

from textassay.share import BLIND_BELOW, estimate_share, is_likelier, synthetic_fraction

BINS = 200


def scores(random, n, synthetic):
    """Overlapping distributions, as a fair detector gives them (AUROC about .88)."""
    values = random.normal(1.7 if synthetic else 0.0, 1.0, n)
    return np.clip(((values + 5) * 20).astype(int), 0, BINS - 1)


def histogram(*parts):
    return np.bincount(np.concatenate(parts), minlength=BINS)


def mixture(random, n, share):
    n_synthetic = round(n * share)
    return histogram(scores(random, n - n_synthetic, False), scores(random, n_synthetic, True))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.05, 0.3, 0.8, 1.0])
def test_the_share_of_ten_thousand_documents(share):
    errors, covered = [], 0
    for seed in range(20):
        random = np.random.default_rng(1000 * seed + int(100 * share))
        human, synthetic = histogram(scores(random, 10_000, False)), histogram(scores(random, 10_000, True))
        found = estimate_share(mixture(random, 10_000, share), human, synthetic, is_in_domain=True)
        errors.append(abs(found.fraction - share))
        covered += found.low <= share + 1e-3 and share - 1e-3 <= found.high
        assert 0 <= found.low <= found.high <= 1 and found.n_documents == 10_000 and not found.is_blind
    assert max(errors) < 0.025 and np.mean(errors) < 0.01
    assert covered >= 16


@pytest.mark.parametrize(("n", "n_reference"), [(1000, 1000), (3000, 3000), (10_000, 1000)])
def test_false_alarms_at_a_share_of_zero(n, n_reference):
    """An interval that leaves out zero where there is nothing synthetic: at most 5 in 100, whatever the sizes."""
    alarms = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        human, synthetic = (histogram(scores(random, n_reference, kind)) for kind in (False, True))
        alarms += estimate_share(mixture(random, n, 0.0), human, synthetic, is_in_domain=True).low > 0
    assert alarms <= 5


def normal(random, n, mean, deviation):
    return histogram(np.clip(((random.normal(mean, deviation, n) + 5) * 20).astype(int), 0, BINS - 1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [100, 2000])
def test_human_text_is_measured_by_that_of_its_kind(share, n):
    random = np.random.default_rng(n)
    wide, synthetic = normal(random, 5000, 0, 1), normal(random, 5000, 1.7, 1)
    own, narrow = normal(random, 500, 0.6, 0.4), normal(random, 500, -0.3, 0.2)

    def corpus(mean, deviation):
        return normal(random, round(n * (1 - share)), mean, deviation) + normal(random, round(n * share), 1.7, 1)

    assert share == 0.9 or is_likelier(corpus(0.6, 0.4), own, wide, synthetic)
    assert share == 0.9 or not is_likelier(corpus(0, 1), narrow, wide, synthetic)
    assert is_likelier(corpus(0, 1), wide, wide, synthetic)


def test_an_anchor_of_another_kind_makes_human_text_no_synthetic_one():
    random = np.random.default_rng(3)
    wide, synthetic, narrow = normal(random, 5000, 0, 1), normal(random, 5000, 1.7, 1), normal(random, 300, -0.3, 0.2)
    corpus = normal(random, 2000, 0, 1)
    detector = SimpleNamespace(
        digest="d", is_calibrated=False, reference=SimpleNamespace(human=wide, synthetic=synthetic)
    )
    profile = SimpleNamespace(configuration=SimpleNamespace(detector="d"), histogram=lambda name: corpus)
    for logits in (narrow, narrow * 0):
        anchor = SimpleNamespace(logits_under=lambda detector, logits=logits: logits)
        found = synthetic_fraction(profile, detector, anchor)
        assert found["fraction"] < 0.03 and found["is_blind"] and found["reference"] == "detector"
    assert estimate_share(corpus, narrow, synthetic, True).fraction > 0.3  # what it would have been


def test_nothing_to_go_by():
    nothing, some = np.zeros(BINS, np.int64), np.ones(BINS, np.int64)
    assert estimate_share(nothing, some, some, True) is None
    assert estimate_share(some, nothing, some, True) is None
    assert estimate_share(some, some, nothing, True) is None
    assert estimate_share(some, some, some[::-1], False).is_blind and BLIND_BELOW == 0.1


def test_extremes_and_determinism():
    low, high = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    low[3], high[190] = 500, 500
    assert estimate_share(low, low, high, True).fraction < 1e-3
    assert estimate_share(high, low, high, True).fraction > 1 - 1e-3
    half = estimate_share(low + high, low, high, True)
    assert half.fraction == pytest.approx(0.5, abs=1e-3)
    assert half == estimate_share(low + high, low, high, True)


def test_documents_beyond_the_references_count():
    """A corpus that looks more human than all human text of the reference, or more synthetic than all synthetic one."""
    random = np.random.default_rng(0)
    human, synthetic = histogram(scores(random, 3000, False)), histogram(scores(random, 3000, True))
    beyond = np.zeros(BINS, np.int64)
    beyond[0] = 1000
    assert estimate_share(beyond, human, synthetic, True).fraction == 0
    assert estimate_share(beyond[::-1], human, synthetic, True).fraction == 1
    assert estimate_share(beyond + 1000 * (human > 60), human, synthetic, True).n_documents > 1000
