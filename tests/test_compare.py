"""Comparisons: every figure against a plain implementation, profiles on both backends, and real text."""

import gzip
import hashlib
import json
import math
import random
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import naive_comparison as naive
import naive_text
import textassay as ta
from textassay import Profile, UsageError
from textassay.change_points import PENALTY, change_points
from textassay.cli.app import app
from textassay.divergence import contribution, jsd_bits, jsd_by_chance, kl_bits, total_variation
from textassay.entropy_difference import at_size, delta_entropy_bits
from textassay.errors import InputError, ProfileError
from textassay.joint_counts import JointCounts, Pairs, Types, Union, joint_counts
from textassay.lexicon import Lexicon
from textassay.movers import Movers, log_odds
from textassay.multiple_tests import false_discovery_rates
from textassay.signal_drift import GROUPS, cliffs_delta, grouped, ks_p_value, ks_statistic
from textassay.spectrum import Spectrum
from textassay.tail_retention import tail_retention
from textassay.text_sample import sample_texts
from textassay.themes import excerpt, learned_themes, with_examples

LABELLED = Path(__file__).parent.parent.parent / "shared" / "data" / "labelled"
needs_data = pytest.mark.skipif(not LABELLED.is_dir(), reason="labelled text is not part of the repository")

BOTH = ["The sea and the land were there, and the day was long."]
HUMAN = (
    ["The old man said he did not know what the sea would bring. He went home.", "I said no. She had gone!"] + BOTH
) * 20
MODEL = (
    ["We delve into a rich tapestry of vibrant landscapes.", "It's worth noting the vibrant landscape."] + BOTH
) * 15


def profile_of_texts(texts, signals="default", **more):
    profile = Profile(signals, **more)
    profile.update(texts)
    return profile


def types_of(counts):
    tokens = sorted(token.encode() for token in counts)
    offsets = np.concatenate([[0], np.cumsum([len(token) for token in tokens])]).astype(np.int64)
    values = np.array([counts[token.decode()] for token in tokens], np.int64)
    return Types(np.frombuffer(b"".join(tokens), np.uint8), offsets, values, values.astype(np.uint64))


def joined(p, q):
    first, second = types_of(p), types_of(q)
    union = Union(first, second)
    a, b = union.first(first.counts), union.second(second.counts)
    pairs = Pairs.of(a, b)
    sizes = sum(p.values()), sum(q.values())
    return JointCounts(*sizes, a, b, union.tokens, pairs, pairs, n_sampled=len(union))


TOKENS = st.text("ab\0é日", min_size=1, max_size=12)
COUNTS = st.dictionaries(TOKENS, st.integers(1, 300), min_size=1, max_size=30)


# The join


@given(COUNTS, COUNTS)
def test_join_is_that_of_dictionaries(p, q):
    joint = joined(p, q)
    tokens = [token.decode() for token in joint.tokens(np.arange(len(joint.reference)))]
    assert sorted(tokens) == sorted(set(p) | set(q))
    assert dict(zip(tokens, joint.reference.tolist(), strict=True)) == {token: p.get(token, 0) for token in tokens}
    assert dict(zip(tokens, joint.current.tolist(), strict=True)) == {token: q.get(token, 0) for token in tokens}
    backwards = np.arange(len(tokens))[::-1]
    assert [token.decode() for token in joint.tokens(backwards)] == tokens[::-1]


def test_join_of_profiles(backend):
    both = [profile_of_texts(texts) for texts in (HUMAN, MODEL)]
    joint = joint_counts(*both)
    for place, token in enumerate(joint.tokens(np.arange(len(joint.reference)))):
        assert (joint.reference[place], joint.current[place]) == tuple(profile.count(token) for profile in both)


# Distances


@given(COUNTS, COUNTS)
def test_distances_are_those_of_a_plain_implementation(p, q):
    joint = joined(p, q)
    assert jsd_bits(joint).value == pytest.approx(naive.jsd_bits(p, q), abs=1e-12)
    assert kl_bits(joint).value == pytest.approx(naive.kl_bits(p, q), abs=1e-12)
    assert total_variation(joint).value == pytest.approx(naive.total_variation(p, q), abs=1e-12)
    assert 0 <= jsd_bits(joint).value <= 1 and 0 <= total_variation(joint).value <= 1 + 1e-15
    mirrored = joined(q, p)
    assert jsd_bits(mirrored).value == jsd_bits(joint).value
    assert total_variation(mirrored).value == total_variation(joint).value


@given(COUNTS, COUNTS)
def test_contributions_add_up_exactly(p, q):
    joint = joined(p, q)
    each = joint.of_each(contribution(joint))
    assert math.fsum(each.tolist()) == jsd_bits(joint).value
    assert (each >= 0).all()
    tokens = [token.decode() for token in joint.tokens(np.arange(len(each)))]
    assert dict(zip(tokens, each.tolist(), strict=True)) == pytest.approx(naive.contributions(p, q), abs=1e-13)


@given(COUNTS, st.integers(1, 5))
def test_equal_distributions_are_at_no_distance(p, times):
    joint = joined(p, {token: count * times for token, count in p.items()})
    assert jsd_bits(joint).value == 0.0 and total_variation(joint).value == 0.0
    if times == 1:
        assert kl_bits(joint).value == 0.0


def test_a_small_difference_does_not_cancel():
    """Of shares that differ in the ninth digit the divergence is d^2 / (8 m ln 2) to the first order."""
    n = 10**9
    joint = joined({"a": n // 2, "b": n // 2}, {"a": n // 2 + 1, "b": n // 2 - 1})
    assert jsd_bits(joint).value == pytest.approx(2 * 1e-18 / (8 * 0.5 * math.log(2)), rel=1e-6)


def test_no_shared_token_is_one_bit():
    joint = joined({"a": 3, "b": 4}, {"c": 5})
    assert jsd_bits(joint).value == 1.0 and total_variation(joint).value == 1.0


@given(COUNTS, COUNTS)
@settings(max_examples=20)
def test_jensen_shannon_is_that_of_scipy(p, q):
    distance = pytest.importorskip("scipy.spatial.distance")
    union = sorted(set(p) | set(q))
    vectors = [[counts.get(token, 0) for token in union] for counts in (p, q)]
    assert jsd_bits(joined(p, q)).value == pytest.approx(distance.jensenshannon(*vectors, base=2) ** 2, abs=1e-9)


SMALL = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 25), min_size=1)


@given(SMALL, SMALL)
def test_divergence_by_chance_is_the_mean_over_deals(p, q):
    wanted = naive.jsd_by_chance(p, q)
    assert jsd_by_chance(joined(p, q)) == pytest.approx(wanted, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("types", "trials"), [(3000, 8), (40, 60)])
def test_divergence_by_chance_is_what_samples_show(types, trials):
    """Of rare types, and of frequent ones, of which it is the limit."""
    random_ = np.random.default_rng(3)
    shares = np.array([1 / (rank + 2) for rank in range(types)])
    names = [f"w{rank}" for rank in range(types)]
    found = []
    for _ in range(trials):
        sides = [random_.multinomial(n, shares / shares.sum()).tolist() for n in (20_000, 70_000)]
        p, q = ({name: c for name, c in zip(names, side, strict=True) if c} for side in sides)
        joint = joined(p, q)
        found.append(jsd_bits(joint).value / jsd_by_chance(joint))
    assert np.mean(found) == pytest.approx(1, abs=0.1)


# Entropy


def spectrum_of(counts):
    distinct = Counter(counts)
    ordered = sorted(distinct)
    return Spectrum(sum(counts), np.array(ordered), np.array([distinct[c] for c in ordered]))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.99])
def test_entropy_at_equal_size_is_the_expected_one(share):
    counts = [1] * 300 + [2] * 90 + [7] * 30 + [40] * 9 + [180, 400, 900]
    n = round(share * sum(counts))
    found = at_size(spectrum_of(counts), n)
    assert found["entropy_bits"].value == pytest.approx(naive.expected_entropy(counts, n), abs=2e-6)
    assert found["type_token_ratio"].value == found["n_types"].value / n


def test_entropy_interval_covers():
    """Of samples from one distribution about 95 % of the intervals hold the true difference, that of the mean plug-in entropies."""
    random_ = np.random.default_rng(7)
    shares = np.array([1 / (rank + 2) for rank in range(400)])
    shares /= shares.sum()
    hits, trials = 0, 120
    for _ in range(trials):
        sides = [random_.multinomial(3000, shares) for _ in range(2)]
        found = delta_entropy_bits(*(spectrum_of([c for c in side.tolist() if c]) for side in sides))
        assert found.low <= found.value <= found.high
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / trials <= 1.0


def test_entropy_of_a_large_corpus_has_a_small_interval():
    few, many = ([c * times for c in (500, 300, 100, 50, 20, 5)] for times in (1, 100))
    here, there = (delta_entropy_bits(spectrum_of(counts), spectrum_of(counts)) for counts in (few, many))
    assert here.value == there.value == 0.0
    assert (here.high - here.low) / (there.high - there.low) == pytest.approx(10, rel=0.25)


# Movers


@given(COUNTS, COUNTS, st.floats(0.5, 5000))
def test_scores_are_those_of_a_plain_implementation(p, q, prior):
    if len(set(p) | set(q)) < 2:
        return
    joint = joined(p, q)
    odds, scores = log_odds(joint.reference, joint.current, joint.n_reference, joint.n_current, prior)
    wanted = naive.log_odds(p, q, prior)
    tokens = joint.tokens(np.arange(len(odds)))
    for token, difference, z in zip(tokens, odds.tolist(), scores.tolist(), strict=True):
        assert (difference, z) == pytest.approx(wanted[token.decode()], rel=1e-9, abs=1e-9)


def test_a_type_that_is_all_of_a_corpus():
    """Also of both, and where the rest is lost beside large numbers."""
    for p, q in (
        ({"a": 3}, {"a": 7}),
        ({"a": 3}, {"b": 7}),
        ({"a": 10**15}, {"a": 10**15, "b": 1}),
        ({"a": 1}, {"a": 1}),
    ):
        joint = joined(p, q)
        odds, scores = log_odds(joint.reference, joint.current, joint.n_reference, joint.n_current)
        assert np.isfinite(odds).all() and np.isfinite(scores).all()
        assert len(odds) > 1 or odds[0] == scores[0] == 0.0


@given(COUNTS, COUNTS)
def test_movers_come_in_order(p, q):
    joint = joined(p, q)
    movers = Movers(joint, contribution(joint))
    rising, falling = movers.rising(100), movers.falling(100)
    assert all(mover.z > 0 for mover in rising) and all(mover.z < 0 for mover in falling)
    assert [-m.z for m in rising] == sorted(-m.z for m in rising) and [m.z for m in falling] == sorted(
        m.z for m in falling
    )
    for k in (1, 3):
        assert movers.rising(k) == rising[:k] and movers.falling(k) == falling[:k]
    assert {m.token for m in movers.vanished(100)} <= set(p) - set(q)
    assert {m.token for m in movers.new(100)} <= set(q) - set(p)
    for mover in rising + falling:
        assert (mover.reference, mover.current) == (p.get(mover.token, 0), q.get(mover.token, 0))
    drivers = movers.drivers(100)
    assert math.fsum(m.bits for m in drivers) == pytest.approx(jsd_bits(joint).value, abs=1e-12)
    p_values = {m.token: math.erfc(abs(m.z) / math.sqrt(2)) for m in rising + falling}
    everything = list(p_values.values()) + [1.0] * (len(joint.reference) - len(p_values))
    for mover, wanted in zip(rising + falling, naive.false_discovery_rates(everything), strict=False):
        assert mover.q_value == pytest.approx(wanted, rel=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_false_discovery_rates(p_values):
    found = false_discovery_rates(np.array(p_values))
    assert found.tolist() == pytest.approx(naive.false_discovery_rates(p_values), rel=1e-12)


def test_false_discovery_rates_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    p_values = np.random.default_rng(1).random(50) ** 3
    assert false_discovery_rates(p_values) == pytest.approx(stats.false_discovery_control(p_values), rel=1e-12)


# Signals

HISTOGRAM = st.lists(st.integers(0, 30), min_size=8, max_size=8).filter(any)


@given(HISTOGRAM, HISTOGRAM)
def test_signal_figures_are_those_of_the_values(p, q):
    values = [[place for place, n in enumerate(bins) for _ in range(n)] for bins in (p, q)]
    bins = [np.array(one, np.uint64) for one in (p, q)]
    assert ks_statistic(*bins) == pytest.approx(naive.ks_statistic(*values), abs=1e-15)
    assert cliffs_delta(*bins) == pytest.approx(naive.cliffs_delta(*values), abs=1e-15)
    groups = grouped(*bins)
    assert [side.sum() for side in groups] == [sum(p), sum(q)] and len(groups[0]) <= GROUPS


@given(HISTOGRAM, HISTOGRAM)
@settings(max_examples=20)
def test_kolmogorov_smirnov_is_that_of_scipy(p, q):
    stats = pytest.importorskip("scipy.stats")
    values = [[place for place, n in enumerate(bins) for _ in range(n)] for bins in (p, q)]
    statistic = stats.ks_2samp(*values, method="asymp").statistic
    assert ks_statistic(*(np.array(one, np.uint64) for one in (p, q))) == pytest.approx(statistic, abs=1e-12)
    n, m = len(values[0]), len(values[1])
    wanted = stats.kstwobign.sf(statistic * math.sqrt(n * m / (n + m)))
    assert ks_p_value(statistic, n, m) == pytest.approx(wanted, abs=1e-12)


# A comparison

ZERO_WHERE_EQUAL = ("jsd_bits", "kl_bits", "total_variation", "delta_entropy_bits", "rarefied_delta_entropy_bits")


def test_identical_profiles(backend):
    profile = profile_of_texts(HUMAN, "all")
    found = ta.compare(profile, Profile.deserialize(profile.serialize()))
    for name in (*ZERO_WHERE_EQUAL, "rarefied_delta_type_token_ratio"):
        assert found.figures[name] == 0.0, name
    assert found.figures["rarefied_types_ratio"] == 1.0
    assert all(row["retention"] == 1.0 for row in found.tail_retention)
    assert not found.rising and not found.falling and not found.vanished and not found.new
    for drift in found.signals:
        for name in ("cliffs_delta", "quantile_shift", "mean_shift", "jsd_bits", "ks_statistic"):
            assert found.figures[f"{drift.signal}.{name}"] in (0.0, None), drift
        assert drift.ks_p_value in (1.0, None)
    json.dumps(found.to_dict(), allow_nan=False)


def test_figures_are_those_of_the_texts(backend):
    found = ta.compare(profile_of_texts(HUMAN), profile_of_texts(MODEL))
    words = [Counter(word.decode() for text in texts for word in naive_text.tokens(text)) for texts in (HUMAN, MODEL)]
    assert found.figures["jsd_bits"] == pytest.approx(naive.jsd_bits(*words), abs=1e-12)
    assert found.figures["kl_bits"] == pytest.approx(naive.kl_bits(*words), abs=1e-12)
    assert {mover.token for mover in found.new} >= {"delve", "tapestry"}
    assert {mover.token for mover in found.vanished} >= {"said", "he"}
    assert found.tail_retention == tail_retention(profile_of_texts(HUMAN), profile_of_texts(MODEL))
    assert {"mattr.cliffs_delta", "n_tokens.ks_statistic", "tail_retention"} <= set(found.figures)


def test_features_name_what_moved(backend):
    found = ta.compare(profile_of_texts(HUMAN), profile_of_texts(MODEL))
    tokens = [feature for feature in found.features if feature.kind == "token"]
    signals = [feature for feature in found.features if feature.kind == "signal"]
    for features in (tokens, signals):
        bits = [feature.bits for feature in features]
        assert bits == sorted(bits, reverse=True) and min(bits) >= 0 and max(bits) <= 1
    assert sum(feature.share for feature in tokens) <= 1 + 1e-12
    assert {feature.name for feature in signals} == {drift.signal for drift in found.signals}
    assert next(feature for feature in signals if feature.name == "marker_rate").bits > 0.3


def test_signals_measured_otherwise_are_left_out(backend):
    scanner = ta.Scanner(["n_tokens", "mattr", "marker_rate"], lexicon=Lexicon(((b"tapestry",),)))
    scanner.update(MODEL)
    found = ta.compare(profile_of_texts(HUMAN, ["n_tokens", "burstiness", "marker_rate"]), scanner.profile)
    assert [drift.signal for drift in found.signals] == ["n_tokens"]
    assert set(found.signals_left_out) == {"mattr", "burstiness", "marker_rate"}
    assert found.signals_left_out["marker_rate"] == "measured with another marker lexicon"


def test_sources(backend, shard, tmp_path):
    """A profile, its file, a scan's folder and an anchor of the same text are all the same reference."""
    path = shard("human.jsonl.zst", HUMAN)
    ta.scan(path, out=tmp_path / "audit", documents="none")
    ta.build_anchor(path, tmp_path / "human.anchor")
    current = profile_of_texts(MODEL)
    sources = [tmp_path / "audit", tmp_path / "audit/profile.tap", tmp_path / "human.anchor"]
    sources += [Profile.load(tmp_path / "audit/profile.tap"), ta.load_anchor(tmp_path / "human.anchor")]
    found = [ta.compare(source, current) for source in sources]
    assert len({one.figures["jsd_bits"] for one in found}) == 1
    assert [ta.compare(current, source).label for source in sources[:3]] == ["audit", "audit", "human"]


def test_what_cannot_be_compared(tmp_path):
    profile = profile_of_texts(HUMAN)
    with pytest.raises(UsageError, match="holds no token"):
        ta.compare(profile, Profile())
    with pytest.raises(UsageError, match="count tokens 'word' and 'char'"):
        ta.compare(profile, profile_of_texts(MODEL, tokens="char"))
    with pytest.raises(UsageError, match="share between 0 and 1"):
        ta.compare(profile, profile, tail_mass=1)
    with pytest.raises(UsageError, match="prior_tokens=0"):
        ta.compare(profile, profile, prior_tokens=0)
    with pytest.raises(UsageError, match="a label for each of 1"):
        ta.compare_timeline(profile, [profile], ["a", "b"])
    with pytest.raises(UsageError, match="nothing to compare"):
        ta.compare_timeline(profile, [])
    with pytest.raises(InputError, match="no such profile"):
        ta.compare(profile, tmp_path / "absent.tap")
    (tmp_path / "bad.tap").write_bytes(profile.serialize()[:-9])
    with pytest.raises(ProfileError, match="wanted"):
        ta.compare(profile, tmp_path / "bad.tap")


# Past the type limit


def zipf_texts(seed, exponent, types=5000, words=40_000):
    """Words of a law of frequency by rank; the names change with the seed, and with them the hashes."""
    random_ = random.Random(repr((seed, exponent)))
    names = [f"s{seed}x{n}" for n in range(types)]
    drawn = random_.choices(names, [(n + 2) ** -exponent for n in range(types)], k=words)
    return [" ".join(drawn[i : i + 200]) for i in range(0, words, 200)]


@pytest.fixture(scope="module")
def trials():
    """Of each seed the estimated comparison and the exact one; of one side, and of both."""
    found = []
    for seed in range(10):
        texts = [zipf_texts(seed, exponent) for exponent in (1.0, 1.15)]
        limits = [(1200, 1200), (1 << 20, 1200), (1200, 700)][seed % 3]
        sides = [
            profile_of_texts(text, ["n_tokens"], max_types=limit, batch_tokens=4000)
            for text, limit in zip(texts, limits, strict=True)
        ]
        exact = [profile_of_texts(text, ["n_tokens"], batch_tokens=4000) for text in texts]
        found.append((ta.compare(*sides), ta.compare(*exact)))
    return found


def test_estimates_say_so(trials):
    for estimated, exact in trials:
        assert estimated.is_estimate and not exact.is_estimate
        assert set(estimated.standard_errors) >= {"jsd_bits", "kl_bits", "total_variation"}
        assert not exact.standard_errors
        document = estimated.to_dict()["comparisons"][0]
        assert document["is_estimate"] is True and document["standard_errors"]["jsd_bits"] > 0


@pytest.mark.parametrize("name", ["jsd_bits", "kl_bits", "total_variation", "rarefied_delta_entropy_bits"])
def test_estimates_are_within_their_errors(trials, name):
    scores = [(e.figures[name] - x.figures[name]) / e.standard_errors[name] for e, x in trials]
    assert abs(np.mean(scores)) < 0.8 and 0.3 < np.sqrt(np.mean(np.square(scores))) < 1.5, scores


def test_estimates_are_close(trials):
    for estimated, exact in trials:
        assert estimated.figures["jsd_bits"] == pytest.approx(exact.figures["jsd_bits"], rel=0.2)
        by_name = {mover.token: mover for mover in exact.falling + exact.rising}
        shared = [mover for mover in estimated.falling[:20] if mover.token in by_name]
        assert len(shared) >= 15 and all(mover.z * by_name[mover.token].z > 0 for mover in shared)


def test_estimated_tails_are_those_of_tail_retention(backend):
    """Which joins the samples in another way."""
    sides = [
        profile_of_texts(zipf_texts(3, exponent)[:80], ["n_tokens"], max_types=limit, batch_tokens=4000)
        for exponent, limit in ((1.0, 900), (1.15, 500))
    ]
    for found, wanted in zip(ta.compare(*sides).tail_retention, tail_retention(*sides), strict=True):
        assert found == pytest.approx(wanted, rel=1e-9)


def test_equal_bounded_profiles_are_at_no_distance(backend):
    profile = profile_of_texts(zipf_texts(1, 1.0)[:60], ["n_tokens"], max_types=800, batch_tokens=4000)
    found = ta.compare(profile, profile)
    assert found.is_estimate
    for name in ("jsd_bits", "kl_bits", "total_variation", "delta_entropy_bits"):
        assert found.figures[name] == 0.0


def test_hostile_sketches_are_refused():
    """Rows whose cells are beyond all counts, and add up to the right sum modulo 2^64."""
    profile = profile_of_texts(zipf_texts(1, 1.0)[:60], ["n_tokens"], max_types=800, batch_tokens=4000)
    bounded = profile.state.bounded()
    huge = np.full_like(bounded["count_sketch"], 1 << 63)
    profile.state.add_bounded(bounded | {"count_sketch": huge, "document_sketch": huge})
    with pytest.raises(ProfileError, match="sketch rows that add up"):
        Profile.deserialize(profile.serialize())


# Time lines


def test_change_points_are_the_cheapest_cuts():
    random_ = random.Random(5)
    for n in (4, 6, 9, 11):
        for step in (0, 3, 8):
            series = [random_.gauss(0, 1) + (step if i >= n // 2 else 0) for i in range(n)]
            noise = np.median(np.abs(np.diff(series))) / (0.6744897501960817 * math.sqrt(2))
            wanted = naive.best_cuts(series, PENALTY * noise**2 * math.log(n))
            assert [point.index for point in change_points(series)] == wanted


def test_change_points_of_plain_series():
    assert change_points([0.5] * 12) == [] == change_points([1.0, 5.0, 1.0])
    (point,) = change_points([0.1] * 5 + [0.3] * 4)
    assert (point.index, point.size) == (5, None)
    assert (point.before, point.after) == pytest.approx((0.1, 0.3))
    noisy = [0.1, 0.12, 0.09, 0.11, 0.1, 0.31, 0.3, 0.32, 0.29, 0.3]
    (point,) = change_points(noisy)
    assert point.index == 5 and point.size > 5


def test_time_line_finds_the_month_in_which_models_came():
    """Twelve months of one law of words; from the eighth on another one is mixed in."""
    human = [text for seed in (1,) for text in zipf_texts(seed, 1.0, types=800, words=72_000)]
    model = zipf_texts(1, 1.6, types=800, words=40_000)
    months = [human[i * 30 : i * 30 + 30 - 12 * (i >= 7)] + model[i * 12 : i * 12 + 12 * (i >= 7)] for i in range(12)]
    labels = [f"2023-{month:02}" for month in range(1, 13)]
    profiles = [profile_of_texts(texts, ["n_tokens"]) for texts in months]
    found = ta.compare_timeline(profile_of_texts(human, ["n_tokens"]), profiles, labels)
    assert [comparison.label for comparison in found.comparisons] == labels
    for name in ("jsd_bits", "delta_entropy_bits"):
        assert [point.index for point in found.change_points[name]] == [7], name
    changes = found.to_dict()["change_points"]
    assert {"figure": "jsd_bits", "label": "2023-08"}.items() <= changes[0].items()


# Real text


@pytest.fixture(scope="module")
def essays():
    files = ("human__test", "gpt-3.5-turbo-0301__test")
    scanned = [ta.scan(LABELLED / f"outfox__student-essay__{name}.jsonl.zst", documents="none") for name in files]
    return [result.profile for result in scanned]


@needs_data
def test_human_and_synthetic_essays(essays):
    found = ta.compare(*essays)
    rising, falling = ({mover.token for mover in movers[:60]} for movers in (found.rising, found.falling))
    assert {"individuals", "additionally"} & rising and {"dont", "because", "like"} & falling
    assert found.figures["jsd_bits"] > 5 * found.figures["jsd_by_chance_bits"]
    assert found.figures["tail_retention"] < 0.9
    assert found.figures["marker_rate.cliffs_delta"] > 0.2


# With the texts beside it


def test_samples_follow_from_the_texts(shard):
    texts = [f"text number {i} of many" for i in range(300)]
    random_ = random.Random(2)
    shuffled = random_.sample(texts, len(texts)) + texts[:40]
    junk = [b"not json", b"", b'{"text": 7}', b"[]"]
    one = sample_texts(shard("a.jsonl.zst", texts), n=50)
    two = sample_texts([shard("b.jsonl", shuffled[:90] + junk), shard("c.jsonl", shuffled[90:])], n=50)
    assert list(one.texts) == list(two.texts) and len(one.texts) == 50
    assert one.account() == {"n_documents": 300, "n_malformed": 0, "n_damaged": 0, "n_sampled": 50}
    assert two.account() == {"n_documents": 340, "n_malformed": 3, "n_damaged": 0, "n_sampled": 50}
    wanted = sorted(texts, key=lambda text: hashlib.blake2b(text.encode(), digest_size=8).digest())[:50]
    assert list(one.texts) == wanted


def test_samples_of_damaged_and_odd_files(shard, tmp_path):
    whole = shard("whole.jsonl.zst", HUMAN)
    (tmp_path / "cut.jsonl.zst").write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "odd.jsonl.gz").write_bytes(
        gzip.compress(b'\xef\xbb\xbf{"text": "one", "text": "two"}\r\n{"text": "\\ud800"}')
    )
    assert sample_texts(tmp_path / "cut.jsonl.zst").n_damaged == 1
    assert sorted(sample_texts(tmp_path / "odd.jsonl.gz").texts) == ["one", "\ufffd"]
    nested = tmp_path / "nested.jsonl"
    nested.write_text('{"a": {"b": ["x", "y"]}, "c": "z"}\n{"a": 1}\n')
    assert list(sample_texts(nested, ["a.b.1", "c"]).texts) == ["y\n\nz"]


@given(st.text("ab é日 \n", max_size=400), st.integers(0, 400), st.integers(1, 12))
def test_excerpts_hold_the_word(text, begin, length):
    data = (text + "the word here " + text).encode()
    at = data.index(b"word")
    found = excerpt(data.decode(), at, at + 4)
    assert "word" in found and "\n" not in found and len(found.encode()) <= 140


def test_tokens_get_passages_of_the_side_that_has_more_of_them(backend):
    found = ta.compare(profile_of_texts(HUMAN), profile_of_texts(MODEL))
    features = {feature.name: feature for feature in with_examples(found.features, HUMAN, MODEL)}
    assert features["tapestry"].examples and all("tapestry" in one for one in features["tapestry"].examples)
    assert features["said"].examples and all("said" in one for one in features["said"].examples)
    assert features["mattr"].examples == []


KITCHEN = ["knead", "flour", "butter", "oven", "bake", "dough", "yeast", "salt", "sugar", "pastry"]
HARBOUR = ["anchor", "sail", "mast", "rudder", "harbour", "tide", "deck", "rope", "captain", "keel"]
COURT = ["judge", "jury", "verdict", "appeal", "witness", "lawyer", "trial", "statute", "plea", "oath"]


def made_of(words, n, seed):
    random_ = random.Random(seed)
    return [" ".join(random_.choices(words, k=30)) for _ in range(n)]


def test_themes_are_those_that_shifted(backend):
    reference = made_of(KITCHEN, 40, 1) + made_of(HARBOUR, 40, 2) + made_of(COURT, 5, 3)
    current = made_of(KITCHEN, 40, 4) + made_of(HARBOUR, 5, 5) + made_of(COURT, 40, 6)
    found = learned_themes(reference, current, 3)
    assert len(found) == 3 and [theme.bits for theme in found] == sorted((theme.bits for theme in found), reverse=True)
    vocabularies = {name: set(words) for name, words in (("k", KITCHEN), ("h", HARBOUR), ("c", COURT))}
    by_name = {
        name: theme for theme in found for name, words in vocabularies.items() if set(theme.name.split()) <= words
    }
    assert set(by_name) == {"k", "h", "c"}
    assert by_name["k"] is found[2] and by_name["k"].bits < 0.05
    assert by_name["c"].current > by_name["c"].reference and by_name["h"].current < by_name["h"].reference
    assert all(set(example.strip("…").split()) & set(COURT) for example in by_name["c"].examples)
    assert found == learned_themes(reference, current, 3)


def test_themes_need_words_in_common(backend):
    with pytest.raises(UsageError, match="wanted more documents"):
        learned_themes(["one"], ["two"], 3)


# The command line


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def saved(tmp_path):
    paths = []
    for name, texts in (("human", HUMAN), ("model", MODEL), ("both", HUMAN + MODEL)):
        paths.append(tmp_path / f"{name}.tap")
        profile_of_texts(texts).save(paths[-1])
    return paths


def test_json_is_one_document(saved):
    done = run(saved[0], saved[1], "--json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["schema"] == "textassay.comparison/1"
    assert document["reference"]["n_documents"] == len(HUMAN)
    (found,) = document["comparisons"]
    assert document == ta.compare(saved[0], saved[1]).to_dict()
    assert found["label"] == "model" and found["movers"]["new"] and found["figures"]["jsd_bits"] > 0.1
    assert run(saved[0], saved[1], "--json").stdout == done.stdout


def test_the_answer_comes_first(saved):
    done = run(saved[0], saved[1])
    first = " ".join(done.stdout.split())
    bits = ta.compare(*saved[:2]).figures["jsd_bits"]
    assert first.startswith(f"textassay model has moved {bits:.3f} bits from ")
    for part in ("mostly: more", "Rising", "Falling", "Vanished", "New", "Signals", "delve"):
        assert part in done.stdout, part


def test_several_are_a_time_line(saved):
    done = run(*saved, "--labels", "May,June")
    assert done.exit_code == 0 and "May" in done.stdout and "June" in done.stdout
    document = json.loads(run(*saved, "--labels", "May", "--labels", "June", "--json").stdout)
    assert [found["label"] for found in document["comparisons"]] == ["May", "June"]


def test_out_holds_report_and_movers(saved, tmp_path):
    out = tmp_path / "out"
    assert run(saved[0], saved[1], saved[2], "-o", out).exit_code == 0
    document = json.loads((out / "comparison.json").read_text())
    assert [found["label"] for found in document["comparisons"]] == ["model", "both"]
    assert find_spec("pyarrow") is not None
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(out / "movers.parquet").to_pylist()
    assert {row["label"] for row in rows} == {"model", "both"}
    found = ta.compare(saved[0], saved[1])
    first = next(row for row in rows if row["label"] == "model")
    assert (first["token"], first["z"]) == (found.rising[0].token, found.rising[0].z)
    assert sorted(p.name for p in out.iterdir()) == ["comparison.json", "movers.parquet", "report.html"]


def test_texts_give_passages_and_themes(saved, shard):
    human = shard("human.jsonl.zst", [f"{text} {i}" for i, text in enumerate(HUMAN)])
    model = shard("model.jsonl.zst", [f"{text} {i}" for i, text in enumerate(MODEL)])
    texts = ("--reference-text", human, "--current-text", model)
    (plain,) = json.loads(run(*saved[:2], *texts, "--json").stdout)["comparisons"]
    assert {feature["kind"] for feature in plain["features"]} == {"token", "signal"}
    assert any("tapestry" in example for feature in plain["features"] for example in feature["examples"])
    assert plain["samples"]["reference"]["n_documents"] == len(HUMAN)
    done = run(*saved[:2], *texts, "--features")
    assert done.exit_code == 0 and "Themes" in done.stdout
    for arguments in (texts[:2], ("--features",), (saved[2], *texts)):
        done = run(*saved[:2], *arguments)
        assert done.exit_code == 2 and "single CURRENT" in done.stderr, arguments
    assert run(*saved[:2], *texts, "--text-field", "body").exit_code == 2


def test_movers_are_lines_without_pyarrow(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("textassay.comparison_files.find_spec", lambda name: None)
    done = run(saved[0], saved[1], "-o", tmp_path / "out")
    assert done.exit_code == 0 and "movers go to movers.jsonl" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out" / "movers.jsonl").read_text().splitlines()]
    found = ta.compare(saved[0], saved[1])
    assert [row["token"] for row in rows] == [mover.token for mover in (*found.rising, *found.falling)]
    assert not (tmp_path / "out" / "movers.parquet").exists()


def test_errors_of_the_command(saved, tmp_path):
    bad = tmp_path / "bad.tap"
    data = bytearray(saved[0].read_bytes())
    data[len(data) // 2] ^= 1
    bad.write_bytes(data)
    foreign = tmp_path / "text.tap"
    foreign.write_text("not a profile")
    empty = tmp_path / "empty.tap"
    Profile().save(empty)
    for arguments in ((saved[0], bad), (foreign, saved[0]), (saved[0], empty), (saved[0], tmp_path / "absent")):
        done = run(*arguments)
        assert done.exit_code == 2 and done.stdout == "", arguments
        assert str(next(p for p in arguments if p != saved[0])) in done.stderr
    assert run(saved[0], saved[1], "--labels", "a,b").exit_code == 2
    assert run(saved[0], saved[1], "-o", saved[0]).exit_code == 2
