"""From samples to a model: a linear score in int8, then a calibrator that has seen it on unseen sets only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.samples import Samples
from textassay.calibration.fitting import fit_calibrator, fit_weights, logit_of, weighted_quantile
from textassay.detector import FALSE_POSITIVE_RATES, Term, pairs_of
from textassay.signals import bins_of

SIDE_WEIGHTS = {("fast-detect-gpt-oss", True): 0.2, ("notxbuty", True): 1.5, ("corpora", False): 0.4}
"""Documents count alike on either side, but for these. What base models wrote is too much like human text to learn
from beside the rest; the corpora are of few kinds.
"""

BAND_WORDS = (100, 200, 400)


def side_weights(dataset: NDArray[np.str_], synthetic: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Both sides together weigh 1/2."""
    weights = np.ones(len(dataset))
    for (name, side), weight in SIDE_WEIGHTS.items():
        weights[(dataset == name) & (synthetic == side)] = weight
    for side in (False, True):
        weights[synthetic == side] *= 0.5 / weights[synthetic == side].sum()
    return weights.astype(np.float32)


class Calibration:
    """Scores that sets got from a model that had not seen them, and what a calibrator makes of them."""

    def __init__(self, samples: Samples, unseen: Sequence[tuple[NDArray[np.intp], NDArray[np.int8]]]) -> None:
        """`unseen`: the documents of a set, and weights that were fitted without it."""
        parts = [
            (view.scored(weights, rows), samples.synthetic[rows], np.full(len(rows), view is samples.whole))
            for rows, weights in unseen
            for view in (samples.whole, samples.cut)
        ]
        self.columns = {name: np.concatenate([columns[name] for columns, *_ in parts]) for name in parts[0][0]}
        self.synthetic = np.concatenate([synthetic for _, synthetic, _ in parts])
        self.is_whole = np.concatenate([is_whole for *_, is_whole in parts])
        # Every set weighs the same, and in it both sides.
        self.weights = np.concatenate(
            [np.where(synthetic, 0.5 / synthetic.sum(), 0.5 / (~synthetic).sum()) for _, synthetic, _ in parts]
        )

    def fit(self) -> dict[str, Any]:
        """The `calibrator`, `bands` and `reference` of a model."""
        calibrator = fit_calibrator(self.columns, self.synthetic, self.weights)
        terms = [Term(**term) for term in calibrator["terms"]]
        logit = logit_of(terms, calibrator["intercept"], self.columns)
        return {"calibrator": calibrator, "bands": self._bands(logit), "reference": self._reference(logit)}

    def _bands(self, logit: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Where the shares of `FALSE_POSITIVE_RATES` of human text lie above, each set weighing the same."""
        bands = []
        for begin, end in zip(BAND_WORDS, (*BAND_WORDS[1:], np.inf), strict=True):
            length = self.columns["n_tokens"]
            human = ~self.synthetic & (length >= begin) & (length < end)
            thresholds = [weighted_quantile(logit[human], self.weights[human], 1 - r) for r in FALSE_POSITIVE_RATES]
            bands.append({"from_words": begin, "thresholds": thresholds})
        return bands

    def _reference(self, logit: NDArray[np.float64]) -> dict[str, list[list[int]]]:
        """Histograms of the whole documents' logits, as many as there are, but each set weighing the same."""
        bins = bins_of("synthetic_logit")
        long = self.is_whole & (self.columns["n_tokens"] >= BAND_WORDS[0])
        found = {}
        for name, side in (("human", long & ~self.synthetic), ("synthetic", long & self.synthetic)):
            place = np.clip((logit[side] - bins.low) * bins.scale, 0, bins.count - 1).astype(int)
            weight = np.bincount(place, self.weights[side], bins.count)
            counts = np.rint(weight / weight.sum() * np.count_nonzero(side)).astype(int)
            found[name] = pairs_of(counts)
        return found


def fit_model(samples: Samples, sets: Sequence[str], left_out: Sequence[str], cache: dict[Any, Any]) -> dict[str, Any]:
    """Weights on all but `left_out`; a calibrator on scores of each other set by weights that had not seen it either.

    `cache` keeps weights by the sets that were left out for them.
    """

    def weights_without(names: Sequence[str]) -> NDArray[np.int8]:
        key = tuple(sorted(names))
        if key not in cache:
            rows = samples.without(key)
            weights = side_weights(samples.dataset[rows], samples.synthetic[rows])
            cache[key] = fit_weights(samples.cut.shares[rows], samples.synthetic[rows], weights)
        return cache[key]

    usable = samples.without(left_out)
    unseen = [
        (np.intersect1d(usable, samples.rows(name)), weights_without([*left_out, name]))
        for name in sets
        if name not in left_out
    ]
    return {"weights": weights_without(left_out)} | Calibration(samples, unseen).fit()
