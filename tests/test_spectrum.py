"""The figures of a frequency spectrum against exact arithmetic."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_corpus
from textassay.spectrum import Spectrum, figures, log_absence, rarefied_types, spectrum_table

COUNTS = st.lists(st.integers(1, 40) | st.integers(1, 3) | st.integers(100, 5000), min_size=1, max_size=60)


def spectrum_of(counts: list[int]) -> Spectrum:
    numbers = sorted(Counter(counts).items())
    distinct, types = ([pair[k] for pair in numbers] for k in (0, 1))
    return Spectrum(sum(counts), np.array(distinct, np.int64), np.array(types, np.int64))


def close(found: float | None, wanted: float) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)


@given(COUNTS)
def test_figures_are_those_of_the_definitions(counts):
    found = {name: figure.value for name, figure in figures(spectrum_of(counts)).items()}
    assert found["n_types"] == len(counts)
    assert found["hapaxes"] == counts.count(1)
    assert close(found["entropy_bits"], naive_corpus.entropy_bits(counts))
    assert close(found["entropy_mm_bits"], naive_corpus.entropy_mm_bits(counts))
    assert close(found["entropy_chao_shen_bits"], naive_corpus.entropy_chao_shen_bits(counts))
    assert close(found["type_token_ratio"], len(counts) / sum(counts))
    assert close(found["good_turing_unseen"], float(naive_corpus.good_turing_unseen(counts)))
    assert close(found["chao1"], float(naive_corpus.chao1(counts)))


@given(COUNTS)
def test_nothing_exact_has_an_error(counts):
    assert {figure.error for figure in figures(spectrum_of(counts)).values()} == {None}


@given(COUNTS, st.floats(0, 1))
def test_rarefaction_is_hypergeometric(counts, where):
    n = round(where * sum(counts))
    found = rarefied_types(spectrum_of(counts), n).value
    assert close(found, float(naive_corpus.rarefied_types(counts, n)))


@pytest.mark.parametrize("total", [10**6, 10**9, 10**12])
@pytest.mark.parametrize("count", [1, 2, 40, 999, 10**5])
@pytest.mark.parametrize("n", [1, 1000, 31_623, 10**6 - 20, 10**6 - 1])
def test_absence_in_large_corpora(total, count, n):
    """Where lgamma differences have lost most of their digits; the truth from integers, factor by factor."""
    if count > total - n:
        return
    smaller, larger = sorted((count, n))
    wanted = math.fsum(math.log1p(-larger / (total - i)) for i in range(smaller))
    found = log_absence(np.array([count]), n, total)[0]
    # What is used of it is exp(found): absolute error counts.
    assert math.isclose(found, wanted, rel_tol=1e-10, abs_tol=1e-10)


def test_absence_is_impossible_where_the_rest_is_too_small():
    assert log_absence(np.array([1, 5, 6]), 95, 100).tolist()[2] == -math.inf
    assert np.isfinite(log_absence(np.array([1, 5]), 95, 100)).all()


@pytest.mark.parametrize("seed", range(4))
def test_zipf_is_the_maximum_of_the_likelihood(seed):
    rng = random.Random(seed)
    counts = [max(1, int(1000 * rank ** -rng.uniform(0.7, 1.4))) for rank in range(1, 400)]
    found = figures(spectrum_of(counts))["zipf_exponent"].value
    assert found == pytest.approx(naive_corpus.zipf_exponent(counts), abs=1e-6)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3])
def test_zipf_finds_the_exponent_that_made_the_counts(exponent):
    counts = [round(10**9 * rank**-exponent) for rank in range(1, 20_001)]
    assert figures(spectrum_of(counts))["zipf_exponent"].value == pytest.approx(exponent, abs=1e-3)


def test_zipf_of_equal_counts_is_zero():
    assert figures(spectrum_of([7] * 50))["zipf_exponent"].value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_heaps_slope(seed):
    rng = random.Random(seed)
    counts = [max(1, int(300 / rank)) for rank in range(1, 300)] + [rng.randint(1, 4) for _ in range(500)]
    assert figures(spectrum_of(counts))["heaps_beta"].value == pytest.approx(naive_corpus.heaps_beta(counts), rel=1e-9)


@given(COUNTS)
def test_spectrum_counts_every_type_once(counts):
    table = spectrum_table(spectrum_of(counts))
    wanted = naive_corpus.spectrum(counts)
    assert {name: number for name, number in table.items() if number} == {n: v for n, v in wanted.items() if v}
    assert list(table)[:100] == [str(m) for m in range(1, 101)]
    assert all(isinstance(number, int) for number in table.values())


def test_nothing_counted_gives_no_figures():
    found = {name: figure.value for name, figure in figures(spectrum_of([])).items()}
    assert found.pop("n_types") == found.pop("chao1") == found.pop("hapaxes") == 0
    assert set(found.values()) == {None}


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_one_type(count):
    found = {name: figure.value for name, figure in figures(spectrum_of([count])).items()}
    assert found["entropy_bits"] == 0
    assert found["entropy_chao_shen_bits"] == pytest.approx(0, abs=1e-12)
    assert found["zipf_exponent"] is None


def test_all_hapaxes():
    """Coverage would be 0: the convention of N - 1 singletons gives a number, and a larger one than the plug-in."""
    found = figures(spectrum_of([1] * 64))
    assert found["entropy_bits"].value == 6
    assert found["entropy_chao_shen_bits"].value > 6
    assert found["chao1"].value == 64 + 64 * 63 / 2
