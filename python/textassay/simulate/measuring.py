"""The figures of a generation."""

import math
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.ngrams import END
from textassay.collapse import Limits, judge, kept
from textassay.simulate.corpus import Corpus
from textassay.simulate.model import Ngrams
from textassay.spectrum import Spectrum, figures, rarefied_types, spectrum_table
from textassay.tail_retention import Counts, retention_by_decade, tail_border, total_retention

MEANS = ("entropy_bits", "mattr", "burstiness")
_PART = 1 << 20
"""Words that are measured at once, or a document."""


@dataclass(frozen=True)
class Reference:
    """Generation 0, as far as others are compared with it."""

    counts: Counts
    spectrum: Spectrum
    border: int
    rarefied_to: int
    """Tokens at which types are compared."""
    mattr: float | None


def count_words(corpus: Corpus, n_words: int) -> Counts:
    counts = np.bincount(corpus.words, minlength=n_words)
    counts[END] = 0
    return counts


def spectrum_of(counts: Counts) -> Spectrum:
    seen, numbers = np.unique(counts[counts > 0], return_counts=True)
    return Spectrum(int(counts.sum()), seen.astype(np.int64), numbers.astype(np.int64))


def reference_of(corpus: Corpus, n_words: int, tail_mass: float, means: Mapping[str, float | None]) -> Reference:
    """Types are compared at half the tokens: the generations are about as large."""
    counts = count_words(corpus, n_words)
    spectrum = spectrum_of(counts)
    return Reference(counts, spectrum, tail_border(spectrum, tail_mass), (spectrum.n_tokens + 1) // 2, means["mattr"])


def document_means(corpus: Corpus, n_words: int, executor: Executor) -> dict[str, float | None]:
    """Of each signal the mean over documents that have it."""
    measure = _backend.get().measure_documents

    def part(documents: tuple[int, int]) -> Mapping[str, NDArray[Any]]:
        some = corpus.slice(*documents)
        return measure(some.words, some.offsets, n_words)

    borders = np.searchsorted(corpus.offsets, np.arange(0, len(corpus.words), _PART)).tolist()
    found = list(executor.map(part, pairwise(sorted({*borders, corpus.n_documents}))))
    return {name: _mean(np.concatenate([one[name] for one in found])) for name in MEANS}


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return math.fsum(known.tolist()) / len(known) if len(known) else None


def measure_generation(
    corpus: Corpus,
    ngrams: Ngrams,
    means: Mapping[str, float | None],
    reference: Reference,
    limits: Limits,
) -> dict[str, Any]:
    """As METRICS has them, of the corpus that a generation's model is fitted to."""
    counts = count_words(corpus, ngrams.n_words)
    spectrum = spectrum_of(counts)
    size = min(reference.rarefied_to, spectrum.n_tokens)
    decades = retention_by_decade(
        reference.counts, counts, reference.spectrum.n_tokens, spectrum.n_tokens, reference.border
    )
    retention = total_retention(decades)
    distinct_2, distinct_3 = ngrams.distinct_shares()
    stage = judge(kept(reference.spectrum, spectrum, retention, (reference.mattr, means["mattr"])), limits)
    return {
        "n_documents": corpus.n_documents,
        "n_tokens": spectrum.n_tokens,
        "n_sentences": corpus.n_sentences,
        **{name: figure.value for name, figure in figures(spectrum).items()},
        "rarefied_types": {str(size): rarefied_types(spectrum, size).value},
        "distinct_2": distinct_2,
        "distinct_3": distinct_3,
        "documents": dict(means),
        "tail_retention": retention,
        "tail": decades,
        "spectrum": spectrum_table(spectrum),
        **stage.report(),
    }
