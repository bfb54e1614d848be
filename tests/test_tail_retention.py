"""Tail retention by decade of frequency, against the definition in exact fractions."""

import random
from collections import Counter
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textassay.errors import UsageError
from textassay.profile import Profile
from textassay.spectrum import Spectrum
from textassay.tail_retention import retention_by_decade, tail_border, tail_retention, total_retention


def naive_border(counts: list[int], tail_mass: float) -> int:
    seen = 0
    for count in sorted(counts, reverse=True):
        seen += count
        if seen >= (1 - tail_mass) * sum(counts):
            return count
    return 0


def naive_retention(reference: dict[str, int], current: dict[str, int], tail_mass: float) -> dict[int, tuple]:
    """decade -> (types, expected, observed)"""
    n, m = sum(reference.values()), sum(current.values())
    size, border = min(n, m), naive_border(list(reference.values()), tail_mass)
    found: dict[int, list] = {}
    for token, count in reference.items():
        if 3 <= count < border:
            row = found.setdefault(10 ** (len(str(count)) - 1), [0, Fraction(0), Fraction(0)])
            row[0] += 1
            row[1] += 1 - Fraction(comb(n - count, size), comb(n, size))
            row[2] += 1 - Fraction(comb(m - current.get(token, 0), size), comb(m, size))
    return {decade: tuple(row) for decade, row in sorted(found.items())}


def spectrum_of(counts: list[int]) -> Spectrum:
    numbers = sorted(Counter(counts).items())
    distinct, types = ([pair[k] for pair in numbers] for k in (0, 1))
    return Spectrum(sum(counts), np.array(distinct, np.int64), np.array(types, np.int64))


def profile_of(counts: dict[str, int], max_types: int = 1 << 24, seed: int = 0) -> Profile:
    words = [word for word, count in counts.items() for _ in range(count)]
    random.Random(seed).shuffle(words)
    profile = Profile("n_tokens", max_types=max_types)
    profile.update([" ".join(words)])
    return profile


COUNTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(1, 30) | st.just(150), min_size=1, max_size=40
)


@given(COUNTS, COUNTS, st.sampled_from([0.05, 0.5, 0.95]))
def test_retention_is_its_definition(reference, current, tail_mass):
    wanted = naive_retention(reference, current, tail_mass)
    found = tail_retention(profile_of(reference), profile_of(current), tail_mass)
    assert [row["decade"] for row in found] == list(wanted)
    for row in found:
        types, expected, observed = wanted[row["decade"]]
        assert row["types"] == types and row["standard_error"] is None
        assert row["expected"] == pytest.approx(float(expected), rel=1e-9)
        assert row["observed"] == pytest.approx(float(observed), rel=1e-9, abs=1e-12)
        assert row["retention"] == pytest.approx(float(observed / expected), rel=1e-9, abs=1e-12)


@given(COUNTS, st.floats(0.01, 0.99))
def test_border_is_its_definition(counts, tail_mass):
    assert tail_border(spectrum_of(list(counts.values())), tail_mass) == naive_border(list(counts.values()), tail_mass)


def words_of(n: int) -> dict[str, int]:
    return {f"w{i}": max(1, 3000 // (i + 1)) for i in range(n)}


def test_equal_profiles_retain_everything(backend):
    profile = profile_of(words_of(500))
    found = tail_retention(profile, profile, 0.5)
    assert [row["decade"] for row in found] == [1, 10, 100]
    assert all(row["retention"] == 1 for row in found)
    assert total_retention(found) == 1


def test_what_is_gone_is_seen_in_its_decade(backend):
    words = words_of(500)
    kept = {word: count for word, count in words.items() if not 10 <= count < 100}
    found = tail_retention(profile_of(words), profile_of(kept), 0.5)
    by_decade = {row["decade"]: row["retention"] for row in found}
    assert by_decade[10] == 0 and by_decade[1] > 0.9 and by_decade[100] > 0.9


def test_without_a_tail_there_is_no_row(backend):
    one, empty = profile_of({"a": 5}), Profile("n_tokens")
    assert tail_retention(one, one) == [] == tail_retention(one, empty) == tail_retention(empty, one)
    assert total_retention([]) is None


@pytest.mark.parametrize("limits", [(1 << 24, 1100), (1100, 1 << 24), (1100, 1100)])
def test_past_the_type_limit_it_is_an_estimate_of_the_same(backend, limits):
    words = {f"w{i}": 3 + i % 90 for i in range(4000)} | {"common": 600_000}
    kept = {word: count for i, (word, count) in enumerate(words.items()) if i % 3}
    exact = tail_retention(profile_of(words), profile_of(kept), 0.5)
    found = tail_retention(profile_of(words, limits[0]), profile_of(kept, limits[1]), 0.5)
    assert [row["decade"] for row in found] == [row["decade"] for row in exact]
    for row, true in zip(found, exact, strict=True):
        assert row["standard_error"] is not None and row["standard_error"] > 0
        assert abs(row["retention"] - true["retention"]) < 4 * row["standard_error"]
        assert row["types"] == pytest.approx(true["types"], rel=0.35)


def test_pages_of_types_are_joined(backend, monkeypatch):
    """The profiles' batches of types end at different tokens."""
    words, other = words_of(700), {f"w{i}": 2 for i in range(0, 900, 7)}
    wanted = tail_retention(profile_of(words), profile_of(other), 0.5)
    for page in (1, 13, 100):
        monkeypatch.setattr("textassay.sampled.FETCH", page)
        assert tail_retention(profile_of(words), profile_of(other), 0.5) == wanted


def test_what_makes_no_sense_is_refused(backend):
    one = profile_of({"a": 5, "b": 3})
    for tail_mass in (0.0, 1.0, -1, float("nan")):
        with pytest.raises(UsageError, match="tail_mass"):
            tail_retention(one, one, tail_mass)
    with pytest.raises(UsageError, match="word and byte"):
        tail_retention(one, Profile("n_tokens", tokens="byte"))


def test_aligned_counts_of_a_larger_sample_are_rarefied():
    """Twice the same corpus retains what it would at its own size."""
    counts = np.array([3, 4, 5, 20, 968], np.int64)
    (first, second) = retention_by_decade(counts, 2 * counts, 1000, 2000, 100)
    assert first["expected"] == 3 and second["expected"] == 1
    assert 0.85 < first["retention"] < 1 and 0.99 < second["retention"] <= 1
