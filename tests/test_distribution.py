"""What is read off the histograms of signals."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_corpus
import naive_signals
from textassay import _backend, signals
from textassay.distribution import PERCENTILES, describe

FLOATS = st.lists(st.none() | st.integers(-1000, 1000).map(lambda n: n / 1000), max_size=40)
INTEGERS = st.lists(st.integers(0, 40) | st.integers(0, 1 << 40), max_size=40)


@given(FLOATS)
def test_floats(values):
    check("burstiness_gb", values, scale=1 << 32)


@given(INTEGERS)
def test_integers(values):
    check("n_bytes", values, scale=1)


def check(signal, values, scale):
    found = describe(signal, naive_signals.signal_state(signal, values))
    present = [value for value in values if value is not None]
    assert (found["n"], found["null"]) == (len(present), len(values) - len(present))
    if not present:
        assert found["mean"] is found["sd"] is None
        assert set(found["quantiles"].values()) == set(found["bin_widths"].values()) == {None}
        return
    assert found["mean"] == pytest.approx(statistics.fmean(present), rel=1e-12, abs=1 / scale)
    assert found["sd"] == pytest.approx(statistics.pstdev(present), rel=1e-9, abs=2 / scale)
    for percent in PERCENTILES:
        lower, width = found["quantiles"][str(percent / 100)], found["bin_widths"][str(percent / 100)]
        value = naive_corpus.quantile(present, percent)
        assert lower <= value and (width is None or value < lower + width or value == lower)


def test_large_equal_values_have_no_spread():
    """Exact integers all the way: in floats n * squares - sum^2 would be noise here."""
    values = [2**40 + 1] * 1000
    assert describe("n_bytes", naive_signals.signal_state("n_bytes", values))["sd"] == 0


def test_bins_are_those_of_the_backend(backend):
    """A value at the lower edge of bin i falls into bin i, one just below it into bin i - 1."""
    for name in backend.SIGNALS:
        bins = signals.bins_of(name)
        state = backend.ProfileState([name]).signal(name)
        assert len(state["bins"]) == bins.count
        for index in {0, 1, 7, 8, 9, 15, 16, 17, 100, bins.count // 2, bins.count - 2, bins.count - 1}:
            lower, upper = bins.edges(index)
            if lower >= 1 << 63:
                continue  # no such integer
            assert backend.bin_index(name, lower) == index, (name, index)
            if upper is not None and upper < 1 << 53 and upper > lower:
                below = upper - 1 if signals.is_integer(name) else upper - max(1e-9, 1e-12 * upper)
                assert backend.bin_index(name, below) == index, (name, index)


def test_batch_signals_have_the_bins_of_their_documents(backend):
    for name in backend.BATCH_SIGNALS:
        assert signals.bins_of(name) == signals.bins_of(name.removeprefix("batch_"))
        assert len(backend.ProfileState([]).signal(name)["bins"]) == signals.bins_of(name).count


def test_signal_choices(backend):
    everything = backend.SIGNALS
    default = signals.parse_signals()
    assert default == tuple(
        name
        for name in everything
        if name not in (*signals.NOT_DEFAULT, *signals.ANCHOR_SIGNALS, *signals.DETECTOR_SIGNALS)
    )
    assert signals.parse_signals(with_anchor=True, with_detector=True) == tuple(
        n for n in everything if n not in signals.NOT_DEFAULT
    )
    assert signals.parse_signals("all") == everything
    assert signals.parse_signals("-mattr") == tuple(name for name in default if name != "mattr")
    assert signals.parse_signals(" mattr, n_tokens ,") == ("n_tokens", "mattr")
    assert signals.parse_signals(["mattr", "n_tokens"]) == ("n_tokens", "mattr")
    assert signals.parse_signals("all,-mattr,mattr") == everything
    assert (
        signals.parse_signals(
            ",".join(("default", *signals.NOT_DEFAULT, *signals.ANCHOR_SIGNALS, *signals.DETECTOR_SIGNALS))
        )
        == everything
    )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("matr", "did you mean mattr"),
        ("defualt", "did you mean default"),
        ("zzz", "known are"),
        ("", "no signal is left"),
        ("mattr,-mattr", "no signal is left"),
        ("-matr", "did you mean mattr"),
    ],
)
def test_signal_choices_that_cannot_be(choice, message):
    from textassay import UsageError

    with pytest.raises(UsageError, match=message):
        signals.parse_signals(choice)


def test_every_backend_signal_has_bins():
    assert {signals.bins_of(name).count for name in _backend.get().SIGNALS}
