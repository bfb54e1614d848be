"""How much a document resembles synthetic text: a hashed linear score and a calibrator (docs/detector-spec.md)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from textassay._numba.histogram import LENGTH, MARKER, OFFSET, finished, stable_hash
from textassay._numba.jit import inlined, kernel

BUCKETS = 1 << 18
VALUES = ("score", "score_by_length", "length", "marker_rate", "burstiness")

_ITEM_KEY = MARKER  # of a type, once the markers are counted
_SHIFT = np.uint64(14)
_PAIR_FACTOR = np.uint64(0x9E3779B1)
_KEY_BITS, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_BYTE, _WORD = np.uint64(8), np.uint64(64)


class Arrays(NamedTuple):
    """All read-only."""

    weights: np.ndarray
    term_values: np.ndarray
    """int64: places in VALUES."""
    term_numbers: np.ndarray
    """low, high, centre, coefficient"""
    intercept: float
    logits: np.ndarray
    probabilities: np.ndarray
    band_words: np.ndarray
    band_thresholds: np.ndarray


class Detector:
    """Weights and a calibrator: terms are (name, low, high, centre, coefficient), bands (from_words, threshold)."""

    def __init__(
        self,
        weights: np.ndarray,
        *,
        terms: Sequence[tuple[str, float, float, float, float]],
        intercept: float,
        logits: Sequence[float],
        probabilities: Sequence[float],
        bands: Sequence[tuple[int, float]],
    ) -> None:
        table = np.array(weights, np.int8)
        if table.shape != (BUCKETS,):
            raise ValueError(f"weights: wanted a 1-D array of {BUCKETS} elements")
        for name, *_ in terms:
            if name not in VALUES:
                raise ValueError(f'term "{name}": unknown')
        knots, levels = np.array(logits, np.float64), np.array(probabilities, np.float64)
        if len(knots) < 2 or len(knots) != len(levels) or not (np.diff(knots) > 0).all():
            raise ValueError("logits, probabilities: wanted pairs, at least two, of rising logits")
        if not bands:
            raise ValueError("bands: wanted at least one")
        kinds = np.array([VALUES.index(name) for name, *_ in terms], np.int64)
        numbers = np.array([term[1:] for term in terms], np.float64).reshape(-1, 4)
        words = np.array([words for words, _ in bands], np.int64)
        thresholds = np.array([threshold for _, threshold in bands], np.float64)
        self.arrays = Arrays(table, kinds, numbers, float(intercept), knots, levels, words, thresholds)


def arrays_of(detector: Detector | None) -> Arrays:
    if detector is not None:
        return detector.arrays
    numbers, pair, none = np.zeros((0, 4)), np.zeros(2), np.zeros(0, np.int64)
    return Arrays(np.zeros(0, np.int8), none, numbers, 0.0, pair, pair, np.zeros(1, np.int64), np.zeros(1))


@inlined
def _white_space(text, at, end):
    """Bytes of the white space that begins here, or 0: Unicode's White_Space, in UTF-8."""
    first = text[at]
    if first == 0x20 or 0x09 <= first <= 0x0D:
        return 1
    if first < 0xC2 or at + 1 >= end:
        return 0
    second = text[at + 1]
    if first == 0xC2:
        return 2 if second == 0x85 or second == 0xA0 else 0
    if at + 2 >= end:
        return 0
    third = text[at + 2]
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE3:
        return 3 if second == 0x80 and third == 0x80 else 0
    if first != 0xE2:
        return 0
    if second == 0x81:
        return 3 if third == 0x9F else 0
    is_space = 0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF
    return 3 if second == 0x80 and is_space else 0


@kernel
def _gap_key(text, begin, end):
    """The key of what stands between two words, or -1 where that is only white space."""
    packed, bits = np.uint64(0), np.uint64(0)
    while begin < end and bits < _WORD:
        skipped = _white_space(text, begin, end)
        if skipped:
            begin += skipped
            continue
        packed |= np.uint64(text[begin]) << bits
        bits += _BYTE
        begin += 1
    if bits == np.uint64(0):
        return np.int64(-1)
    return np.int64(finished(packed) >> _KEY_BITS)


@inlined
def _weight(weights, key, last):
    """Of an item and of the pair that it ends; `last` is -1 before the first."""
    total = np.int64(weights[np.uint64(key) >> _SHIFT])
    if last >= 0:
        total += np.int64(weights[(np.uint64(last) * _PAIR_FACTOR + np.uint64(key) & _LOW) >> _SHIFT])
    return total


@kernel
def score_words(weights, text, size, starts, ends, n_words, table, ids):
    """The sum of the weights of all features, and how many features there are."""
    for row in range(table.fill[0]):
        key = stable_hash(table.bytes, table.rows[row, OFFSET], table.rows[row, LENGTH]) >> _KEY_BITS
        table.rows[row, _ITEM_KEY] = np.int64(key)
    total, items, last, at = np.int64(0), 0, np.int64(-1), np.int64(0)
    for word in range(n_words + 1):
        begin = np.int64(starts[word]) if word < n_words else np.int64(size)
        key = _gap_key(text, at, begin)
        if key >= 0:
            total += _weight(weights, key, last)
            last = key
            items += 1
        if word < n_words:
            key = np.int64(table.rows[ids[word], _ITEM_KEY])
            total += _weight(weights, key, last)
            last = key
            items += 1
            at = np.int64(ends[word])
    return total, max(0, 2 * items - 1)


@inlined
def _value(kind, score, length, marker_rate, burstiness):
    if kind == 0:
        return score
    if kind == 1:
        return score * max(length - 6.5, 0.0)
    if kind == 2:
        return length
    return marker_rate if kind == 3 else burstiness


@kernel
def logit_of(detector, total, features, n_words, marker_rate, burstiness):
    """NaN where the document is too short."""
    if n_words < detector.band_words[0] or n_words == 0:
        return math.nan
    score = np.float64(total) / np.float64(max(features, 1))
    fraction, exponent = math.frexp(np.float64(n_words))
    length = exponent - 2 + 2 * fraction
    logit = detector.intercept
    for term in range(len(detector.term_values)):
        value = _value(detector.term_values[term], score, length, marker_rate, burstiness)
        if not math.isnan(value):
            low, high = detector.term_numbers[term, 0], detector.term_numbers[term, 1]
            held = min(max(value, low), high)
            logit += detector.term_numbers[term, 3] * (held - detector.term_numbers[term, 2])
    return logit


@kernel
def probability_of(detector, logit):
    if math.isnan(logit):
        return logit
    logits, levels = detector.logits, detector.probabilities
    at = 0
    while at < len(logits) - 2 and logits[at + 1] <= logit:
        at += 1
    share = min(max((logit - logits[at]) / (logits[at + 1] - logits[at]), 0.0), 1.0)
    return min(levels[at] + share * (levels[at + 1] - levels[at]), levels[at + 1])


@kernel
def suspects(detector, logit, n_words):
    """Whether a document of this logit resembles synthetic text."""
    threshold = detector.band_thresholds[0]
    for band in range(len(detector.band_words)):
        if n_words >= detector.band_words[band]:
            threshold = detector.band_thresholds[band]
    return logit > threshold
