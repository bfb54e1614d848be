"""The three-signal provenance classifier, as published. On labelled text it finds few synthetic documents: docs/model-card.md
has figures, and the detector does better.
"""

import math
from collections.abc import Iterable
from os import PathLike
from typing import Any

from textassay.anchor.anchor import Anchor, as_anchor
from textassay.errors import UsageError
from textassay.measuring import measure

SYNTHETIC, LIKELY_HUMAN = "SYNTHETIC", "LIKELY_HUMAN"
CONFIDENCE = ("LOW", "LOW", "MEDIUM", "HIGH")
"""By votes."""

VOTES_NEEDED = 2

THRESHOLDS = {"perplexity": 30.0, "burstiness": 0.4, "type_token_ratio": 0.52}
"""The published ones. A signal below its threshold is a vote for SYNTHETIC."""


class ProvenanceClassifier:
    """Three votes: perplexity under a human reference model, burstiness and type-token ratio, each below its threshold.

    >>> classifier = ProvenanceClassifier("human.anchor")
    >>> classifier.classify(text)["verdict"]
    """

    def __init__(
        self,
        anchor: Anchor | str | PathLike[str],
        *,
        perplexity: float = THRESHOLDS["perplexity"],
        burstiness: float = THRESHOLDS["burstiness"],
        type_token_ratio: float = THRESHOLDS["type_token_ratio"],
    ) -> None:
        """The thresholds are the published ones. Raises `UsageError` on one that is not positive, `AnchorError` on a
        file that is no anchor.
        """
        for name, value in (
            ("perplexity", perplexity),
            ("burstiness", burstiness),
            ("type_token_ratio", type_token_ratio),
        ):
            if not value > 0:
                raise UsageError(f"{name}={value}: wanted a threshold above 0")
        self.anchor = as_anchor(anchor)
        self.thresholds = {"perplexity": perplexity, "burstiness": burstiness, "type_token_ratio": type_token_ratio}

    def classify(self, text: str) -> dict[str, Any]:
        """`perplexity` (one digit), `burstiness`, `type_token_ratio` (three digits), `signals` (low_perplexity,
        low_burstiness, low_vocab_richness), `verdict` (SYNTHETIC at two votes or more, else LIKELY_HUMAN) and
        `confidence` (LOW, LOW, MEDIUM, HIGH by votes). A figure that the text is too short for is None and has no
        vote.
        """
        return self.classify_all([text])[0]

    def classify_all(self, texts: Iterable[str]) -> list[dict[str, Any]]:
        """As `classify`, for many texts at once, on all CPUs."""
        table = measure(texts, list(self.thresholds), anchor=self.anchor)
        columns = (table[name].tolist() for name in self.thresholds)
        return [self._verdict(*values) for values in zip(*columns, strict=True)]

    def _verdict(self, perplexity: float, burstiness: float, type_token_ratio: float) -> dict[str, Any]:
        values = (perplexity, burstiness, type_token_ratio)
        # A null is NaN, and below nothing.
        low = [value < threshold for value, threshold in zip(values, self.thresholds.values(), strict=True)]
        return {
            "perplexity": _rounded(perplexity, 1),
            "burstiness": _rounded(burstiness, 3),
            "type_token_ratio": _rounded(type_token_ratio, 3),
            "signals": dict(zip(("low_perplexity", "low_burstiness", "low_vocab_richness"), low, strict=True)),
            "verdict": SYNTHETIC if sum(low) >= VOTES_NEEDED else LIKELY_HUMAN,
            "confidence": CONFIDENCE[sum(low)],
        }


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)
