"""Documents as numbers: shares of features, and the columns that a calibrator reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from detector.labelled import Document, cut
from textassay.calibration.fitting import feature_shares
from textassay.detector import N_FEATURES, SIGNALS, SUM
from textassay.lexicon import default_lexicon
from textassay.measuring import measure


@dataclass(frozen=True)
class View:
    """One text a document."""

    shares: csr_matrix
    """Of the occurrences of all features, that of each bucket: a row adds up to 1."""
    n_features: NDArray[np.int64]
    signals: dict[str, NDArray[np.float64]]

    def scored(self, weights: NDArray[np.int8], rows: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
        """The columns that a `Detector` reads."""
        n_features = self.n_features[rows]
        sums = np.rint((self.shares[rows] @ weights.astype(np.float64)) * n_features)
        return {name: column[rows] for name, column in self.signals.items()} | {SUM: sums, N_FEATURES: n_features}


@dataclass(frozen=True)
class Samples:
    """All documents, whole as they are judged and cut as they are trained on."""

    documents: Sequence[Document]
    whole: View
    cut: View
    synthetic: NDArray[np.bool_]
    dataset: NDArray[np.str_]
    group: NDArray[np.str_]
    opening: NDArray[np.str_]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> "Samples":
        return cls(
            documents,
            view_of([document.text for document in documents]),
            view_of([cut(document) for document in documents]),
            np.array([document.synthetic for document in documents]),
            np.array([document.dataset for document in documents]),
            np.array([document.group for document in documents]),
            np.array([document.opening for document in documents]),
        )

    def rows(self, dataset: str) -> NDArray[np.intp]:
        return np.flatnonzero(self.dataset == dataset)

    def without(self, left_out: Sequence[str]) -> NDArray[np.intp]:
        """Documents of no left-out set and of no group whose human text is in one, too."""
        outside = np.isin(self.dataset, left_out)
        shared = np.isin(self.opening, self.opening[outside & ~self.synthetic]) & ~self.synthetic
        return np.flatnonzero(~outside & ~np.isin(self.group, self.group[shared]))


def view_of(texts: Sequence[str]) -> View:
    table = measure(texts, SIGNALS, lexicon=default_lexicon(), detector=None, threads=1)
    matrix, n_features = feature_shares(text.encode() for text in texts)
    return View(matrix, n_features, {name: np.asarray(table[name], np.float64) for name in SIGNALS})
