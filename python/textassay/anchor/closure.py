"""What an n-gram model must hold so that look-ups can stop early: with each n-gram its first and its last n - 1 words.

Models of lmplz do; pruned ones of other programs may not. What is missing gets the probability that backing off gives it,
and a backoff of 1, which changes no score; where a model that is no distribution would give more than 1, it gets 1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.ngrams import hashes_of

_LEAST_LOG10, _MOST_LOG10 = -999_999.0, 0.0
"""What a file of such a model may hold."""


class Ngrams(NamedTuple):
    """All n-grams of one order: word numbers, shape (n, order), log10 probabilities and backoffs."""

    words: NDArray[np.uint32]
    log10: NDArray[np.float32]
    backoff_log10: NDArray[np.float32]


class _Index:
    """Finds n-grams of one order."""

    def __init__(self, ngrams: Ngrams) -> None:
        self._ngrams = ngrams
        self._order = ngrams.words.shape[1]
        if self._order > 1:
            hashes = hashes_of(ngrams.words)
            self._by_hash = np.argsort(hashes, kind="stable")
            self._hashes = hashes[self._by_hash]

    def places(self, words: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Of each, or -1."""
        if self._order == 1:
            return words[:, 0].astype(np.intp)
        if len(self._hashes) == 0:
            return np.full(len(words), -1)
        at = np.minimum(np.searchsorted(self._hashes, wanted := hashes_of(words)), len(self._hashes) - 1)
        return np.where(self._hashes[at] == wanted, self._by_hash[at], -1)

    def log10(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        return self._ngrams.log10[np.maximum(places, 0)] if len(self._ngrams.log10) else np.zeros(len(places), "f4")

    def backoff(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        places = self.places(words)
        if not len(self._ngrams.log10):
            return np.zeros(len(words), "f4")
        return np.where(places >= 0, self._ngrams.backoff_log10[np.maximum(places, 0)], np.float32(0))


def completed(orders: Sequence[Ngrams]) -> list[Ngrams]:
    """The orders, from 1 up, with what was missing at the end of each."""
    found = list(orders)
    for order in range(len(found), 2, -1):
        words = found[order - 1].words
        needed = np.concatenate([words[:, 1:], words[:, :-1]])
        index = _Index(found[order - 2])
        missing = np.unique(needed[index.places(needed) < 0], axis=0)
        if len(missing):
            lower = [_Index(ngrams) for ngrams in found[: order - 1]]
            log10 = np.clip(_backed_off(lower, missing), _LEAST_LOG10, _MOST_LOG10).astype(np.float32)
            more = (missing, log10, np.zeros(len(missing), np.float32))
            found[order - 2] = Ngrams(*(np.concatenate(pair) for pair in zip(found[order - 2], more, strict=True)))
    return found


def _backed_off(lower: Sequence[_Index], words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """log10 of the last word's probability behind the others."""
    order = words.shape[1]
    places = lower[order - 1].places(words)
    own = lower[order - 1].log10(places).astype(np.float64)
    if order == 1:
        return own
    shorter = _backed_off(lower, words[:, 1:]) + lower[order - 2].backoff(words[:, :-1])
    return np.where(places >= 0, own, shorter)
