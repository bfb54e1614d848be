"""Interpolated modified Kneser-Ney estimation of an order-3 model (Chen & Goodman 1999), chunk by chunk.

Counts come sorted by middle, first and last word, in chunks that never part a middle word: all 2-grams (middle, last)
and all contexts (first, middle) of a chunk are in no other. The first words of sentences come as 2-grams, with <s> as
the middle and no first word; like lmplz, they keep their counts where other 2-grams count the words seen before them.
All sums are of integers and all else is done number by number, so the result is the same on every machine.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.ngrams import BEGIN

ORDER = 3
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of a corpus too small or too odd to estimate them (as lmplz --discount_fallback)."""

_LN2 = 0.6931471805599453
_LOG10_OF_2 = 0.3010299956639812
_TERMS = 12

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint32]


class Trigrams(NamedTuple):
    """A chunk of counts, in order. `first` of the first words of sentences is meaningless."""

    first: Words
    middle: Words
    last: Words
    count: Counts


class Bigrams(NamedTuple):
    """In order; `of_trigram` is the place of each trigram's last two words among them."""

    first: Words
    last: Words
    adjusted: Counts
    of_trigram: NDArray[np.intp]


@dataclass
class CountsOfCounts:
    """How many n-grams of an order have an (adjusted) count of 1, 2, 3, 4."""

    n: Counts = field(default_factory=lambda: np.zeros(4, np.int64))

    def add(self, counts: Counts) -> None:
        self.n += np.bincount(np.minimum(counts, 5), minlength=6)[1:5]

    def discounts(self) -> tuple[float, float, float]:
        """D1, D2, D3+ (Chen & Goodman 1999, equation 26), or FALLBACK where they make no sense."""
        n1, n2, n3, n4 = (float(n) for n in self.n)
        if 0 in (n1, n2, n3):
            return FALLBACK
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        return found if all(0 <= d <= k for k, d in enumerate(found, 1)) else FALLBACK


def log10(values: Floats) -> Floats:
    """Of positive numbers, to some 1e-16, and the same to the bit on every machine: numpy's own logarithm is not."""
    mantissa, exponent = np.frexp(values)
    low = mantissa < 0.75
    mantissa, exponent = np.where(low, 2 * mantissa, mantissa), np.where(low, exponent - 1, exponent)
    s = (mantissa - 1) / (mantissa + 1)
    square, series = s * s, np.zeros_like(s)
    for k in range(_TERMS, -1, -1):
        series = series * square + 1.0 / (2 * k + 1)
    return (exponent + 2 * s * series / _LN2) * _LOG10_OF_2


def bigrams_of(trigrams: Trigrams) -> Bigrams:
    """The 2-grams that the chunk's counts end in, with adjusted counts: of words before them, or of occurrences."""
    keys = trigrams.middle.astype(np.uint64) << np.uint64(32) | trigrams.last
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    is_first = np.ones(len(keys), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    adjusted = np.diff(np.append(starts, len(keys)))
    first = trigrams.middle[order[starts]]
    adjusted = np.where(first == BEGIN, trigrams.count[order[starts]], adjusted)
    of_trigram = np.empty(len(keys), np.intp)
    of_trigram[order] = np.cumsum(is_first) - 1
    return Bigrams(first, trigrams.last[order[starts]], adjusted, of_trigram)


class _Contexts(NamedTuple):
    """N-grams that share all but the last word: where each group starts, its backoff, and what each n-gram keeps."""

    starts: NDArray[np.intp]
    backoff: Floats
    discounted: Floats
    """Of each n-gram: its share of its context's mass, discounted."""
    group: NDArray[np.intp]


def _contexts(is_first: NDArray[np.bool_], counts: Counts, discounts: tuple[float, float, float]) -> _Contexts:
    d = np.array([0.0, *discounts])
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    total = np.add.reduceat(counts, starts).astype(np.float64)
    capped = np.minimum(counts, 3)
    ones, twos, more = (np.add.reduceat((capped == k).astype(np.int64), starts) for k in (1, 2, 3))
    backoff = (d[1] * ones + d[2] * twos + d[3] * more) / total
    return _Contexts(starts, backoff, (counts - d[capped]) / total[group], group)


def _is_first(*columns: Words) -> NDArray[np.bool_]:
    """Where a row differs from the one before."""
    differs = np.ones(len(columns[0]), np.bool_)
    differs[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return differs


@dataclass
class Estimates:
    """A chunk of the model: log10 probabilities and backoffs of whole n-grams."""

    bigrams: Words
    bigram_log10: Floats
    trigrams: Words
    trigram_log10: Floats
    contexts: Words
    """2-grams that 3-grams begin with, in the order of their second word."""
    context_log10: Floats
    middles: Words
    """Words that 2-grams begin with."""
    middle_log10: Floats


class KneserNey:
    """First `count` all chunks, then `estimate` them."""

    def __init__(self, n_words: int) -> None:
        self.n_words = n_words
        self.n_bigrams = self.n_trigrams = 0
        self._of_bigrams, self._of_trigrams = CountsOfCounts(), CountsOfCounts()
        self._followed = np.zeros(n_words, np.int64)

    def count(self, trigrams: Trigrams) -> None:
        bigrams = bigrams_of(trigrams)
        proper = trigrams.count[trigrams.middle != BEGIN]
        self.n_bigrams += len(bigrams.first)
        self.n_trigrams += len(proper)
        self._of_trigrams.add(proper)
        self._of_bigrams.add(bigrams.adjusted)
        self._followed += np.bincount(bigrams.last, minlength=self.n_words)

    def finish_counting(self) -> None:
        of_unigrams = CountsOfCounts()
        of_unigrams.add(self._followed[self._followed > 0])
        self.discounts = tuple(c.discounts() for c in (of_unigrams, self._of_bigrams, self._of_trigrams))
        context = _contexts(np.arange(self.n_words) == 0, self._followed, self.discounts[0])
        # Words never seen share what the discounts leave with all others; <s> is never foretold.
        self._unigrams = context.discounted + context.backoff[0] / (self.n_words - 1)

    def unigram_log10(self) -> Floats:
        """Of every word; of <s> 0, which stands for nothing."""
        values = self._unigrams.copy()
        values[BEGIN] = 1.0
        return log10(values)

    def estimate(self, trigrams: Trigrams) -> Estimates:
        bigrams = bigrams_of(trigrams)
        of_middle = _contexts(_is_first(bigrams.first), bigrams.adjusted, self.discounts[1])
        bigram = of_middle.discounted + of_middle.backoff[of_middle.group] * self._unigrams[bigrams.last]
        proper = trigrams.middle != BEGIN
        first, middle, last, count = (column[proper] for column in trigrams)
        empty = len(first) == 0
        pair = _contexts(_is_first(first, middle), count, self.discounts[2]) if not empty else _NO_CONTEXTS
        trigram = pair.discounted + pair.backoff[pair.group] * bigram[bigrams.of_trigram[proper]]
        return Estimates(
            np.stack([bigrams.first, bigrams.last], 1),
            log10(bigram),
            np.stack([first, middle, last], 1),
            log10(trigram),
            np.stack([first[pair.starts], middle[pair.starts]], 1),
            log10(pair.backoff),
            bigrams.first[of_middle.starts],
            log10(of_middle.backoff),
        )


_NO_CONTEXTS = _Contexts(np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros(0, np.intp))
