"""What a divergence consists of, by features that a reader can look at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from textassay.movers import Mover
from textassay.signal_drift import SignalDrift


@dataclass(frozen=True)
class Feature:
    """One feature and how far the corpora differ in it."""

    kind: Literal["token", "bigram", "signal", "theme"]
    name: str
    bits: float
    """Jensen-Shannon divergence: of a token its addend of `jsd_bits`, of a 2-gram of `bigram_jsd_bits`; of others that of the
    feature's own histograms.
    """
    by_chance_bits: float | None
    """What two samples of one distribution would differ by; None of a single type."""
    share: float | None
    """Of a token or a 2-gram: its part of the whole. Other features overlap, and have none."""
    reference: float | None
    """Of a type occurrences per million, of a signal the median, of a theme its mean part in a document; so `current`."""
    current: float | None
    examples: list[str] = field(default_factory=list)
    """Passages, if texts were given."""


def type_features(kind: Literal["token", "bigram"], movers: Sequence[Mover], jsd_bits: float | None) -> list[Feature]:
    """Of the types that `Movers.drivers` gives."""
    return [
        Feature(
            kind,
            mover.token,
            mover.bits,
            None,
            mover.bits / jsd_bits if jsd_bits else None,
            mover.reference_per_million,
            mover.current_per_million,
        )
        for mover in movers
    ]


def signal_features(drifts: Sequence[SignalDrift]) -> list[Feature]:
    """By bits descending; signals with no histogram on one side are left out."""
    found = [
        Feature(
            "signal",
            drift.signal,
            drift.jsd_bits,
            drift.jsd_by_chance_bits,
            None,
            drift.reference["median"],
            drift.current["median"],
        )
        for drift in drifts
        if drift.jsd_bits is not None
    ]
    return sorted(found, key=lambda feature: -feature.bits)
