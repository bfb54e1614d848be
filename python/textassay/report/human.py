"""Where documents by people lie: the range that a distribution is shown against, and in words whose it is."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.detector import Detector
from textassay.distribution import quantile
from textassay.profile import Profile
from textassay.report.figures import Range
from textassay.signals import bins_of

ENDS = (0.05, 0.95)
COVERED = 0.75
"""Share of the documents whose length the package's own reference must know."""

OTHER_LENGTHS = 1.5
"""Medians of length that differ by more than this factor are worth a warning: entropy grows with length."""


def human_range(
    signal: str, profile: Profile, reference: Profile | None, detector: Detector | None
) -> tuple[Range | None, str]:
    """From the 5th to the 95th percentile, and a sentence about it. None where there is no honest range.

    The `reference` is the anchor's own profile. Without one, or where it does not hold the signal, the range is that of
    English passages as long as the documents of `profile` are (tools/make_human_ranges.py), and of the detector's score that
    of the human documents by which it was calibrated.
    """
    if reference is not None and signal in reference.configuration.signals:
        found = _range_of(signal, reference.histogram(signal), "anchor")
        if found is not None:
            return found, _lengths_note(signal, profile, reference)
    if signal == "synthetic_logit" and detector is not None:
        return _range_of(signal, detector.reference.human, "human English"), ""
    if signal not in _shipped()["bands"][0]:
        return None, "No band: of human text nothing is known that was measured in the same way."
    if "n_tokens" not in profile.configuration.signals or profile.configuration.tokens != "word":
        return None, "No band: human ranges are known by a document's number of words, which was not measured."
    weights, covered = _weights(profile)
    if covered < COVERED:
        return (
            None,
            f"No band: {100 * (1 - covered):.0f} % of the documents are shorter or longer than texts of which human ranges are known.",
        )
    low, high = _mixed([band[signal] for band in _shipped()["bands"]], weights)
    return Range(low, high, "human English"), ""


def about_ranges(reference: Profile | None) -> str:
    """A sentence on what `human_range` finds."""
    if reference is not None:
        return "90 % of the anchor's documents, or of human English of these lengths, as it says"
    return (
        "90 % of human English passages as long as these, of many kinds (novels, documentation, essays, news, reviews); "
        "other languages and kinds of text lie elsewhere"
    )


def _range_of(signal: str, bins: NDArray[Any], label: str) -> Range | None:
    low, high = (quantile(signal, bins, percent) for percent in (5, 95))
    return None if low is None or high is None else Range(low, high, label)


def _lengths_note(signal: str, profile: Profile, reference: Profile) -> str:
    if not signal.startswith("entropy"):
        return ""
    both = (profile, reference)
    if not all("n_tokens" in one.configuration.signals for one in both):
        return ""
    mine, theirs = (quantile("n_tokens", one.histogram("n_tokens"), 50) or 0 for one in both)
    if max(mine, 1) <= OTHER_LENGTHS * max(theirs, 1) and max(theirs, 1) <= OTHER_LENGTHS * max(mine, 1):
        return ""
    return f"The anchor's documents have {theirs:,} tokens in the middle, these {mine:,}: mind the difference."


@cache
def _shipped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("textassay.report").joinpath("human_english.json").read_bytes())
    return found


def _weights(profile: Profile) -> tuple[NDArray[np.float64], float]:
    """Of each band the share of the documents that lie in it, and the sum of these shares."""
    begins = [band["from_tokens"] for band in _shipped()["bands"]]
    bins = profile.histogram("n_tokens").astype(np.float64)
    lengths = np.array([bins_of("n_tokens").edges(i)[0] for i in range(len(bins))], np.float64)
    places = np.searchsorted([*begins, 2 * begins[-1]], lengths, side="right") - 1
    known = (places >= 0) & (places < len(begins))
    weights = np.bincount(places[known], bins[known], len(begins)) / max(1.0, float(bins.sum()))
    return weights, float(weights.sum())


def _mixed(quantiles: Sequence[Sequence[float]], weights: NDArray[np.float64]) -> tuple[float, float]:
    """The ends of the range of a mixture, of whose parts equally probable quantiles are given."""
    values = np.concatenate([np.asarray(part) for part in quantiles])
    masses = np.repeat(weights / len(quantiles[0]), len(quantiles[0]))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(masses[order]) / masses.sum()
    low, high = (float(values[order][min(np.searchsorted(reached, end), len(order) - 1)]) for end in ENDS)
    return low, high
