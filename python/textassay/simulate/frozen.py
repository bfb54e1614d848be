"""An anchor in the place of a corpus: its model writes what stands for real text."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor import Anchor, load_anchor
from textassay.anchor.file import MAGIC
from textassay.anchor.ngrams import BEGIN, END, LOG2_OF_10, UNKNOWN
from textassay.errors import AnchorError, UsageError
from textassay.simulate.corpus import MAX_WORDS, Vocabulary
from textassay.simulate.model import LONGEST, limits_of, power_of_two

_ORDER = 3
_EMPTY_SENTENCE = np.uint64(BEGIN << 32 | END)
"""Of texts in which a word straddles the end of a sentence. None is drawn."""

_WHOLE = float(1 << 32)

Floats = NDArray[np.float64]


def is_anchor(path: str | PathLike[str]) -> bool:
    """Whether a file begins as an anchor does."""
    file = Path(path)
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


class FrozenModel:
    """A sampler of the anchor's model, and what it is about. Unknown words are never drawn."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raises `AnchorError` on what is no anchor, `UsageError` on one that was not built from text by this program."""
        anchor = load_anchor(path)
        try:
            with np.errstate(invalid="raise", over="raise", divide="raise"):
                self._take(anchor)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            if isinstance(error, UsageError):
                raise
            raise AnchorError(anchor.path, f"its model does not hold together: {error}") from error

    def _take(self, anchor: Anchor) -> None:
        path = anchor.path
        if "totals" not in anchor.header or anchor.order != _ORDER:
            raise UsageError(f"{path}: an imported model knows no documents; wanted an anchor that was built from text")
        self.n_words = int(anchor.header["n_modelled"])
        if self.n_words > MAX_WORDS:
            raise UsageError(f"{path}: {self.n_words} words; a simulation holds {MAX_WORDS}")
        self.totals = {name: int(value) for name, value in anchor.header["totals"].items()}
        self.mean_tokens = self.totals["n_tokens"] // max(1, self.totals["n_documents"])
        self.about = {
            "anchor": anchor.digest,
            "inputs": {"files": 1, "files_damaged": 0, "documents": self.totals["n_documents"], "malformed": 0},
            "n_documents": self.totals["n_documents"],
            "n_tokens": self.totals["n_tokens"],
        }
        offsets = anchor.arrays["token_offsets"][: self.n_words + 1].astype(np.int64)
        self.vocabulary = Vocabulary(np.array(anchor.arrays["token_bytes"][: offsets[-1]]), offsets)
        self.sampler = _backend.get().Sampler(self._arrays(anchor), longest=LONGEST)

    def _arrays(self, anchor: Anchor) -> dict[str, Any]:
        _, log10_1, backoff_1 = anchor.ngrams(1)
        unigram = _probabilities(log10_1)
        pairs, log10_2, backoff_2 = anchor.ngrams(2)
        triples, log10_3, _ = anchor.ngrams(3)
        assert backoff_1 is not None and backoff_2 is not None
        keys = pairs[:, 0].astype(np.uint64) << np.uint64(32) | pairs[:, 1]
        order = np.argsort(keys)
        order = order[keys[order] != _EMPTY_SENTENCE]
        keys, pairs, bigram = keys[order], pairs[order], _probabilities(log10_2[order])
        below = _probabilities(backoff_2[order])
        firsts = pairs[:, 0].astype(np.int64)
        begins = np.searchsorted(firsts, np.arange(self.n_words + 1)).astype(np.int64)
        contexts = np.searchsorted(keys, triples[:, 0].astype(np.uint64) << np.uint64(32) | triples[:, 1])
        ends = np.searchsorted(keys, triples[:, 1].astype(np.uint64) << np.uint64(32) | triples[:, 2])
        order = np.lexsort((ends, contexts))
        contexts, ends, trigram = contexts[order], ends[order], _probabilities(log10_3[order])
        return {
            "bigram_begin": begins,
            "bigram_last": np.ascontiguousarray(pairs[:, 1]),
            # What a context keeps for itself is its probability without the share of the lower order.
            "bigram_limits": _limits(
                bigram - _probabilities(backoff_1)[firsts] * unigram[pairs[:, 1]],
                _probabilities(backoff_1)[firsts],
                firsts,
                pairs[:, 1] == UNKNOWN,
            ),
            "trigram_begin": np.searchsorted(contexts, np.arange(len(keys) + 1)).astype(np.int64),
            "trigram_last": ends.astype(np.uint32),
            "trigram_limits": _limits(
                trigram - below[contexts] * bigram[ends], below[contexts], contexts, pairs[ends, 1] == UNKNOWN
            ),
            "word_limits": _word_limits(unigram),
            "sentences": self._sentences(),
        }

    def _sentences(self) -> NDArray[np.uint32]:
        """All documents have as many: an anchor only knows the mean."""
        return np.array([max(1, round(self.totals["n_sentences"] / self.totals["n_documents"]))], np.uint32)


def _probabilities(log10_values: NDArray[np.float32]) -> Floats:
    return power_of_two(log10_values.astype(np.float64) * LOG2_OF_10)


def _weights(probabilities: Floats) -> NDArray[np.int64]:
    return np.maximum(np.rint(probabilities * _WHOLE), 0).astype(np.int64)


def _limits(own: Floats, below: Floats, contexts: NDArray[Any], is_unknown: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """`own`: what each n-gram keeps; `below`: what its context leaves to the next lower order."""
    if not len(own):
        return np.zeros(0, np.uint32)
    starts = np.flatnonzero(np.diff(contexts, prepend=-1))
    weights = np.where(is_unknown, 0, _weights(own))
    return limits_of(weights, np.add.reduceat(weights, starts) + np.maximum(1, _weights(below[starts])), starts)


def _word_limits(unigram: Floats) -> NDArray[np.uint64]:
    weights = _weights(unigram)
    weights[[UNKNOWN, BEGIN]] = 0
    upto = np.cumsum(weights)
    return np.floor(upto / upto[-1] * 2.0**53).astype(np.uint64)
