"""Logarithms and square roots without a libm: integers in, the same bits out on every machine."""

import math
from functools import cache

import numpy as np

from textassay._numba.jit import kernel
from textassay._numba.lanes import ALL, ONE, leading_zeros, multiply_wide

TABLE_SIZE = 1 << 14

_FRACTION_BITS = 58
_ZERO = np.uint64(0)
_TOP = np.uint64(63)
_LOW_SHIFT = np.uint64(26)
_HIGH_SHIFT = np.uint64(64 - 26)
_WORD = 18446744073709551616.0


@kernel
def compute_log2_times(count):
    """L(count) for a uint64, by 58 squarings of the mantissa; see docs/semantics.md."""
    if count <= ONE:
        return _ZERO
    exponent = np.uint64(63 - leading_zeros(count))
    mantissa = count << (_TOP - exponent)
    fraction = exponent
    for _ in range(_FRACTION_BITS):
        high, low = multiply_wide(mantissa, mantissa)
        bit = high >> _TOP
        fraction = fraction << ONE | bit
        mantissa = high if bit else high << ONE | low >> _TOP
    high, low = multiply_wide(count, fraction)
    return high << _HIGH_SHIFT | low >> _LOW_SHIFT


@kernel
def _fill(table):
    for count in range(len(table)):
        table[count] = compute_log2_times(np.uint64(count))


@cache
def load_log_table() -> np.ndarray:
    """L of the small counts: nearly all counts of a document are small."""
    table = np.empty(TABLE_SIZE, np.uint64)
    _fill(table)
    return table


@kernel
def lookup_log2_times(table, count):
    if count < TABLE_SIZE:
        return table[count]
    return compute_log2_times(np.uint64(count))


@kernel
def entropy_from_sum(table, total, log_sum):
    """log_sum: the sum of L over the counts, modulo 2^64; total: their sum. NaN for nothing."""
    if total == 0:
        return math.nan
    difference = np.int64(lookup_log2_times(table, total) - log_sum)
    return max(0.0, np.float64(difference) / (np.float64(total) * 4294967296.0))


@kernel
def miller_madow(entropy, total, types):
    return entropy + np.float64(types - 1) / (np.float64(2 * total) * 0.6931471805599453)


@kernel
def _to_double(high, low):
    """The 128-bit integer rounded once: whatever is cut off leaves its mark in the lowest of 64 bits."""
    if high == _ZERO:
        return np.float64(low)
    shift = np.uint64(leading_zeros(high))
    if shift:
        high = high << shift | low >> (np.uint64(64) - shift)
        low = low << shift
    if low != _ZERO:
        high |= ONE
    return math.ldexp(np.float64(high) * _WORD, -np.int64(shift))


@kernel
def root_of_spread(sentences, total, squares):
    """sqrt(sentences * squares - total^2), the difference exact."""
    high, low = multiply_wide(np.uint64(sentences), np.uint64(squares))
    square_high, square_low = multiply_wide(np.uint64(total), np.uint64(total))
    high = high - square_high - (ONE if low < square_low else _ZERO)
    return math.sqrt(_to_double(high, low - square_low))


def log2_times(count: int) -> int:
    """L(count): count * log2(count) with 32 fractional bits."""
    if not 0 <= count <= int(ALL):
        raise ValueError(f"wanted a count from 0 to 2^64 - 1, found {count}")
    return int(compute_log2_times(np.uint64(count)))
