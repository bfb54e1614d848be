"""The n-gram model of a generation: counted, discounted, and drawn from.

Interpolated modified Kneser-Ney (Chen & Goodman 1999). p(w | u v) = max(c(u v w) - D, 0) / c(u v) + gamma(u v) p(w | v) is a
mixture, so nothing needs to be interpolated to draw from it: a word seen behind u v is drawn with its discounted share, and
with what the discounts leave, gamma, the next lower order decides. docs/simulation.md has the details.
"""

from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.kneser_ney import CountsOfCounts, log10
from textassay.anchor.ngrams import BEGIN, END, LOG2_OF_10
from textassay.simulate.corpus import Corpus, Words

MAX_ORDER = 3

LONGEST = 1000
"""Words of a drawn sentence: a cold model may never end one by itself."""

_PART = 1 << 23
"""3-grams that are sorted at once, about; bounds the memory of a thread."""

_UNITS = 1 << 16
"""Discounts are rounded to such parts of an occurrence."""

_LN2 = 0.6931471805599453
_TERMS = 18
_FINEST = 1 << 32

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ngrams:
    """Distinct 3-grams and 2-grams of a corpus, in order, and how often each was seen.

    A 3-gram (u, v, w) is in the group of its first two words, a 2-gram. Every 2-gram begins at least one: behind the end of a
    sentence stands another.
    """

    n_words: int
    bits: int
    trigrams: NDArray[np.uint64]
    trigram_counts: NDArray[np.uint32]
    trigram_begin: Counts
    """Of each 2-gram the first 3-gram; one more at the end."""
    bigram_first: Words
    bigram_last: Words
    bigram_counts: Counts

    def distinct_shares(self) -> tuple[float | None, float | None]:
        """Distinct 2-grams and 3-grams over all, within sentences (Li et al. 2016). None where there are none."""
        whole = (self.bigram_first != BEGIN) & (self.bigram_last != END)
        mask = np.uint64((1 << self.bits) - 1)
        first, last = self.trigrams >> np.uint64(2 * self.bits), self.trigrams & mask
        inside = (first != BEGIN) & (last != END)
        return _share(self.bigram_counts[whole]), _share(self.trigram_counts[inside])


def _share(counts: NDArray[Any]) -> float | None:
    return len(counts) / int(counts.sum(dtype=np.int64)) if len(counts) else None


def count_ngrams(corpus: Corpus, n_words: int, executor: Executor, threads: int) -> Ngrams:
    """Memory: 16 bytes a token in all threads, and 12 a distinct 3-gram."""
    bits = max(2, (n_words - 1).bit_length())
    borders = _borders(corpus, n_words, max(threads, len(corpus.words) // _PART + 1))
    count = _backend.get().count_trigrams
    parts = list(executor.map(lambda pair: count(corpus.words, bits, *pair), pairwise(borders)))
    trigrams, counts = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    bigrams = trigrams >> np.uint64(bits)
    is_first = np.ones(len(bigrams), np.bool_)
    is_first[1:] = bigrams[1:] != bigrams[:-1]
    starts = np.flatnonzero(is_first)
    bigrams = bigrams[starts]
    mask = np.uint64((1 << bits) - 1)
    return Ngrams(
        n_words,
        bits,
        trigrams,
        counts,
        np.append(starts, len(trigrams)),
        (bigrams >> np.uint64(bits)).astype(np.uint32),
        (bigrams & mask).astype(np.uint32),
        np.add.reduceat(counts, starts, dtype=np.int64),
    )


def _borders(corpus: Corpus, n_words: int, parts: int) -> list[int]:
    """Ranges of first words that begin about equally many 3-grams each."""
    seen = np.cumsum(np.bincount(corpus.words, minlength=n_words))
    wanted = np.arange(1, parts) * int(seen[-1]) // parts
    return sorted({0, n_words, *(np.searchsorted(seen, wanted) + 1).clip(0, n_words).tolist()})


@dataclass(frozen=True)
class Sharpening:
    """What is done to the words seen behind each context: `temperature`, then `top_p` (Holtzman et al. 2020).

    How often a lower order decides stays as it was fitted. Were that an option like the words, it would be the likeliest one
    behind every rare context, and cold sampling would forget what little it has seen.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    @property
    def is_none(self) -> bool:
        return self.temperature == 1 and self.top_p == 1


def build_sampler(ngrams: Ngrams, corpus: Corpus, order: int, sharpening: Sharpening, executor: Executor) -> Any:
    """A backend's Sampler."""
    n_bigrams = len(ngrams.bigram_last)
    arrays: dict[str, Any] = {
        "bigram_begin": np.zeros(ngrams.n_words + 1, np.int64),
        "bigram_last": np.zeros(0, np.uint32),
        "bigram_limits": np.zeros(0, np.uint32),
        "trigram_begin": np.zeros(1, np.int64),
        "trigram_last": np.zeros(0, np.uint32),
        "trigram_limits": np.zeros(0, np.uint32),
        "sentences": _sentences(corpus),
    }
    # The highest order counts occurrences, the lower ones the words that stand before.
    words = np.bincount(corpus.words if order == 1 else ngrams.bigram_last, minlength=ngrams.n_words)
    bigram_counts = ngrams.bigram_counts
    if order > 1:
        begins = np.searchsorted(ngrams.bigram_first, np.arange(ngrams.n_words + 1)).astype(np.int64)
        arrays |= {
            "bigram_begin": begins,
            "bigram_last": ngrams.bigram_last,
            "trigram_begin": np.zeros(n_bigrams + 1, np.int64),
        }
    if order > 2:
        is_padding = (ngrams.bigram_last == END).repeat(np.diff(ngrams.trigram_begin))
        last = _last_bigrams(ngrams, arrays["bigram_begin"], executor)
        before = np.bincount(last[~is_padding], minlength=n_bigrams)
        # Before the first word of a sentence nothing else can stand: those keep their counts, as with lmplz.
        bigram_counts = np.where(ngrams.bigram_first == BEGIN, ngrams.bigram_counts, before)
        limits = _limits(ngrams.trigram_counts, ngrams.trigram_begin[:-1], ~is_padding, sharpening)
        arrays |= {"trigram_begin": ngrams.trigram_begin, "trigram_last": last, "trigram_limits": limits}
    if order > 1:
        begins = arrays["bigram_begin"]
        starts = begins[:-1][np.diff(begins) > 0]
        arrays["bigram_limits"] = _limits(bigram_counts, starts, None, sharpening)
    arrays["word_limits"] = _word_limits(words, sharpening)
    return _backend.get().Sampler(arrays, longest=LONGEST)


def _sentences(corpus: Corpus) -> Words:
    """Of each document."""
    found: Words = np.add.reduceat(corpus.words == END, corpus.offsets[:-1], dtype=np.uint32)
    return found


def _last_bigrams(ngrams: Ngrams, begins: Counts, executor: Executor) -> Words:
    find = _backend.get().find_last_bigrams
    parts = [ngrams.trigrams[at : at + (1 << 20)] for at in range(0, len(ngrams.trigrams), 1 << 20)]
    return np.concatenate(list(executor.map(lambda part: find(part, ngrams.bits, begins, ngrams.bigram_last), parts)))


def _limits(
    counts: NDArray[Any], starts: NDArray[np.intp], counted: NDArray[np.bool_] | None, sharpening: Sharpening
) -> NDArray[np.uint32]:
    """Of each n-gram the limit of its choice. `starts`: of each context the first; `counted`: those that make discounts."""
    counts = counts.astype(np.int64)
    found = CountsOfCounts()
    found.add(counts if counted is None else counts[counted])
    units = np.array([0, *(round(d * _UNITS) for d in found.discounts())], np.int64)
    weights = counts * _UNITS - units[np.minimum(counts, 3)]
    total = np.add.reduceat(counts, starts) * _UNITS
    if not sharpening.is_none:
        return limits_of(*_sharpened(weights, total, starts, sharpening), starts)
    return limits_of(weights, total, starts)


def limits_of(weights: Counts, total: Counts | Floats, starts: NDArray[np.intp]) -> NDArray[np.uint32]:
    """Of the options of each context, out of 2^32; `total` also has what the context leaves to the next lower order."""
    lengths = np.diff(np.append(starts, len(weights)))
    upto = np.cumsum(weights)
    upto -= (upto[starts] - weights[starts]).repeat(lengths)
    limits = np.floor(upto / total.repeat(lengths) * 2.0**32)
    return np.minimum(limits, 2.0**32 - 1).astype(np.uint32)


def _word_limits(counts: Counts, sharpening: Sharpening) -> NDArray[np.uint64]:
    """Of all words, out of 2^53. Nothing is discounted: below there is only what was never seen."""
    weights = counts.astype(np.int64)
    if not sharpening.is_none:
        # The ends of sentences keep their share.
        total, ends = weights.sum(), int(weights[END])
        weights[END] = 0
        weights, new_total = _sharpened(weights, total[None], np.zeros(1, np.intp), sharpening)
        weights[END] = int(new_total[0] * (ends / int(total)))
    upto = np.cumsum(weights)
    return np.floor(upto / upto[-1] * 2.0**53).astype(np.uint64)


def _sharpened(
    weights: Counts, total: Counts, starts: NDArray[np.intp], sharpening: Sharpening
) -> tuple[Counts, Floats]:
    """New weights, and the totals that leave as large a share to the lower order as before, context by context."""
    lengths = np.diff(np.append(starts, len(weights)))
    kept = np.add.reduceat(weights, starts)
    if sharpening.temperature != 1:
        highest = np.maximum.reduceat(weights, starts)
        weights = _tempered(weights, highest.repeat(lengths), sharpening.temperature)
    if sharpening.top_p < 1:
        weights = _nucleus(weights, starts, lengths, sharpening.top_p)
    left = np.add.reduceat(weights, starts)
    return weights, np.where(kept > 0, left * (total / np.maximum(kept, 1)), 1.0)


def _tempered(weights: Counts, highest: Counts, temperature: float) -> Counts:
    """(weight / highest)^(1 / temperature) in units of 2^-32, by operations that are the same on every machine."""
    found = np.zeros(len(weights), np.int64)
    some = weights > 0
    bits = (
        (log10(weights[some].astype(np.float64)) - log10(highest[some].astype(np.float64))) * LOG2_OF_10 / temperature
    )
    found[some] = (power_of_two(bits) * _FINEST).astype(np.int64)
    return found


def power_of_two(exponents: Floats) -> Floats:
    """2^x by the series of the exponential: the same on every machine."""
    bounded = np.maximum(exponents, -64.0)
    whole = np.floor(bounded)
    x = (bounded - whole) * _LN2
    series = np.ones(len(x))
    for k in range(_TERMS, 0, -1):
        series = 1.0 + x * series / k
    return np.ldexp(series, whole.astype(np.int64))


def _nucleus(weights: Counts, starts: NDArray[np.intp], lengths: Counts, top_p: float) -> Counts:
    """Of each context the words of greatest weight that reach `top_p` together; all others get 0. Of equals the first counts
    as the greater.
    """
    order = np.lexsort((-weights, np.arange(len(starts)).repeat(lengths)))
    ranked = weights[order]
    before = np.cumsum(ranked) - ranked
    before -= before[starts].repeat(lengths)
    total = np.add.reduceat(ranked, starts)
    found = np.zeros(len(weights), np.int64)
    found[order] = np.where(before < top_p * total.repeat(lengths), ranked, 0)
    return found
