"""Where documents by people lie: the range that a distribution is shown against, and in words whose it is."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.distribution import describe
from textassay.profile import Profile
from textassay.report.figures import Range
from textassay.signals import bins_of

ENDS = (0.05, 0.95)
COVERED = 0.75
"""Share of the documents whose length the package's own reference must know."""

OTHER_LENGTHS = 1.5
"""Medians of length that differ by more than this factor are worth a warning: entropy grows with length."""


def human_range(signal: str, profile: Profile, reference: Profile | None) -> tuple[Range | None, str]:
    """From the 5th to the 95th percentile, and a sentence about it. None where there is no honest range.

    The `reference` is the anchor's own profile. Without one, or where it does not hold the signal, the range is that of
    English passages as long as the documents of `profile` are (tools/make_human_ranges.py).
    """
    if reference is not None and signal in reference.configuration.signals:
        found = describe(signal, reference.state.signal(signal))["quantiles"]
        if found["0.05"] is not None:
            note = "Shaded: 90 % of the anchor's documents." + _lengths_note(signal, profile, reference)
            return Range(found["0.05"], found["0.95"], "anchor"), note
    if signal not in _shipped()["bands"][0]:
        return None, "Not shaded: no human text was measured in the same way."
    if "n_tokens" not in profile.configuration.signals or profile.configuration.tokens != "word":
        return None, "Not shaded: human ranges are known by a document's number of words, which was not measured."
    weights, covered = _weights(profile)
    if covered < COVERED:
        return (
            None,
            f"Not shaded: {1 - covered:.0%} of the documents are shorter or longer than the texts that human ranges are known of.",
        )
    low, high = _mixed([band[signal] for band in _shipped()["bands"]], weights)
    return (
        Range(low, high, "human English"),
        "Shaded: 90 % of human English passages of these lengths, of many kinds; other languages and kinds of text lie elsewhere.",
    )


def _lengths_note(signal: str, profile: Profile, reference: Profile) -> str:
    if not signal.startswith("entropy"):
        return ""
    medians = [
        describe("n_tokens", one.state.signal("n_tokens"))["quantiles"]["0.5"]
        for one in (profile, reference)
        if "n_tokens" in one.configuration.signals
    ]
    if len(medians) < 2 or None in medians:
        return ""
    mine, theirs = medians
    if max(mine, 1) <= OTHER_LENGTHS * max(theirs, 1) and max(theirs, 1) <= OTHER_LENGTHS * max(mine, 1):
        return ""
    return f" They have {theirs:,} tokens in the middle, these {mine:,}: entropy grows with length."


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
