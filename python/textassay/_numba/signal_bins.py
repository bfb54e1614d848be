"""Fixed-bin histograms of document and batch signals, with exact sums."""

import math
from typing import NamedTuple, TypedDict

import numpy as np

from textassay._numba.documents import SIGNALS
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import leading_zeros, multiply_wide

LOG_BINS = 512
_ONE = 4294967296.0  # floats are summed in units of 2^-32
_ZERO, _UNIT = np.uint64(0), np.uint64(1)


OCTAVE_BINS = 960


class Linear(NamedTuple):
    low: float
    scale: float
    count: int


_ENTROPY, _SHARE = Linear(0.0, 64.0, 1536), Linear(0.0, 1024.0, 1025)
# None: integers, eight bins for every doubling. No scale: floats from 1 on, 32 bins for every doubling.
BINS: dict[str, Linear | None] = dict.fromkeys(SIGNALS)
BINS |= dict.fromkeys(("entropy_bits", "entropy_mm_bits", "char_entropy_bits"), _ENTROPY)
BINS |= dict.fromkeys(("type_token_ratio", "mattr", "hapax_ratio", "top_ngram_share", "dup_line_share"), _SHARE)
BINS |= {
    "burstiness": Linear(0.0, 256.0, 2048),
    "burstiness_gb": Linear(-1.0, 512.0, 1025),
    "marker_rate": Linear(0.0, 16.0, 1024),
    "perplexity": Linear(0.0, 0.0, OCTAVE_BINS),
    "oov_rate": _SHARE,
    "tail_share": _SHARE,
    "anchor_overlap": _SHARE,
    "synthetic_logit": Linear(-8.0, 64.0, 1024),
    "synthetic_probability": _SHARE,
}


class SignalState(TypedDict):
    bins: np.ndarray
    nulls: int
    sum: int
    sum_squares: int


def bins_of(signal: str) -> Linear | None:
    """Raises ValueError on an unknown (batch) signal."""
    name = signal.removeprefix("batch_")
    if name not in BINS:
        raise ValueError(f'signal "{signal}": unknown')
    return BINS[name]


@inlined
def _linear_index(value, low, scale, count):
    return np.int64(min(max(math.floor((value - low) * scale), 0.0), count - 1.0))


@inlined
def _octave_index(value, count):
    if value < 1.0:
        return 0
    mantissa, exponent = math.frexp(value)
    return min(32 * (exponent - 1) + np.int64(mantissa * 64.0) - 32, count - 1)


@inlined
def _log_index(value):
    if value < 8:
        return max(value, 0)
    exponent = 63 - leading_zeros(np.uint64(value))
    return 8 * (exponent - 2) + (value >> exponent - 3 & 7)


@inlined
def _add_to_sums(sums, value):
    """sums: nulls, low and high word of the sum (two's complement), low and high word of the squares."""
    word = np.uint64(value)
    sums[1] += word
    sums[2] += (_UNIT if sums[1] < word else _ZERO) - (_UNIT if value < 0 else _ZERO)
    high, low = multiply_wide(np.uint64(abs(value)), np.uint64(abs(value)))
    sums[3] += low
    sums[4] += high + (_UNIT if sums[3] < low else _ZERO)


@kernel
def _add_floats(bins, sums, column, low, scale):
    for value in column:
        if math.isnan(value):
            sums[0] += _UNIT
        else:
            index = _octave_index(value, len(bins)) if scale == 0.0 else _linear_index(value, low, scale, len(bins))
            bins[index] += _UNIT
            _add_to_sums(sums, np.int64(math.floor(value * _ONE + 0.5)))


@kernel
def _add_integers(bins, sums, column):
    for value in column:
        bins[_log_index(value)] += _UNIT
        _add_to_sums(sums, value)


class SignalBins:
    """The histogram of one signal."""

    def __init__(self, signal: str) -> None:
        self._linear = bins_of(signal)
        self._bins = np.zeros(self._linear.count if self._linear else LOG_BINS, np.uint64)
        self._nulls = self._sum = self._sum_squares = 0

    def update(self, column: np.ndarray) -> None:
        """`column`: int64 or float64, of the signal's kind."""
        sums = np.zeros(5, np.uint64)
        if self._linear:
            _add_floats(self._bins, sums, column, self._linear.low, self._linear.scale)
        else:
            _add_integers(self._bins, sums, column)
        nulls, low, high, squares_low, squares_high = sums.tolist()
        self._nulls += nulls
        self._sum += (high << 64 | low) - (high >> 63 << 128)
        self._sum_squares += squares_high << 64 | squares_low

    def merge(self, state: SignalState) -> None:
        """Raises ValueError where the number of bins differs."""
        bins = np.asarray(state["bins"], np.uint64)
        if bins.shape != self._bins.shape:
            raise ValueError(f"wanted {len(self._bins)} bins, found an array of shape {bins.shape}")
        self._bins += bins
        self._nulls += int(state["nulls"])
        self._sum += int(state["sum"])
        self._sum_squares += int(state["sum_squares"])

    def state(self) -> SignalState:
        return SignalState(bins=self._bins.copy(), nulls=self._nulls, sum=self._sum, sum_squares=self._sum_squares)


def bin_index(signal: str, value: float) -> int:
    """The bin of a (batch) signal's histogram that a value falls into."""
    linear = bins_of(signal)
    bins = np.zeros(linear.count if linear else LOG_BINS, np.uint64)
    sums = np.zeros(5, np.uint64)
    if linear:
        if math.isnan(value):
            raise ValueError("null has no bin")
        _add_floats(bins, sums, np.array([value], np.float64), linear.low, linear.scale)
    else:
        _add_integers(bins, sums, np.array([value], np.int64))
    return int(bins.argmax())
