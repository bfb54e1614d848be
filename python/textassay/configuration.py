"""What a profile was measured with, and the limits that hold for it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from textassay import _backend
from textassay.errors import UsageError
from textassay.lexicon import Lexicon, default_lexicon
from textassay.provenance import labelled_by
from textassay.signals import ANCHOR_SIGNALS, DETECTOR_SIGNALS, parse_signals

if TYPE_CHECKING:
    from textassay.anchor import Anchor
    from textassay.detector import Detector
    from textassay.tokenizer import Tokenizer

TOKEN_KINDS = ("word", "byte", "char", "bigram", "bpe")
VERDICT_SIGNALS = ("n_tokens", "synthetic_logit")
BATCH_TOKENS = 1 << 20
MAX_TYPES = 1 << 24
UNICODE_VERSION = "15.0.0"

LIMITS = {
    "batch_tokens": (1, 1 << 25),
    "max_types": (1, 1 << 36),
    "max_record_bytes": (1, 128 << 20),
    "max_window_log": (10, 31),
    "threads": (1, 4096),
}
"""What both backends take. The first and third keep sums of c log2 c within 64 bits (docs/semantics.md)."""


@dataclass(frozen=True)
class Configuration:
    """What two profiles must share to be added up or compared."""

    signals: tuple[str, ...]
    tokens: str
    batch_tokens: int
    max_types: int
    markers: str
    """Digest of the marker lexicon; empty where marker_rate is not measured."""
    anchor: str = ""
    """Digest of the anchor; empty where nothing is compared with one."""
    detector: str = ""
    """Digest of the detector; empty where none looks at the documents."""
    unicode: str = UNICODE_VERSION
    tokenizer: str = ""
    """Digest of the tokenizer whose ids are counted; empty where no ids are."""
    provenance: str = ""
    """Digest of what gives documents their labels: rules of provenance, verdicts of the detector. Empty without both."""

    def check_same(self, other: "Configuration") -> None:
        """Raises `UsageError` naming each setting that differs."""
        mine, theirs = asdict(self), asdict(other)
        unlike = [f"{name} is {mine[name]!r} and {theirs[name]!r}" for name in mine if mine[name] != theirs[name]]
        if unlike:
            raise UsageError(f"profiles of different configuration cannot be added up: {'; '.join(unlike)}")


def configure(
    signals: str | Iterable[str],
    tokens: str,
    batch_tokens: int,
    max_types: int,
    lexicon: Lexicon | None,
    anchor: "Anchor | None" = None,
    detector: "Detector | None" = None,
    tokenizer: "Tokenizer | None" = None,
) -> tuple[Configuration, Lexicon]:
    """Checks the settings of a measurement. Returns them with the lexicon to use: none, empty, unless marker_rate is
    measured.

    Raises `UsageError` on an unknown signal or kind of token and on a number out of range.
    """
    names = parse_signals(signals, anchor is not None, detector is not None, tokens != "bpe")
    if detector is not None and tokens != "word":
        raise UsageError(f"a detector reads words: it has nothing to say of tokens={tokens!r}")
    detects = detector is not None and any(name in names for name in DETECTOR_SIGNALS)
    if anchor is not None and tokens != "word":
        raise UsageError(f"an anchor counts words: it has nothing to say of tokens={tokens!r}")
    compared = anchor is not None and any(name in names for name in ANCHOR_SIGNALS)
    check_limits(tokens, batch_tokens=batch_tokens, max_types=max_types)
    has_markers = "marker_rate" in names and tokens == "word"
    if detects and lexicon is not None and lexicon.digest != default_lexicon().digest:
        raise UsageError("a detector is calibrated with the package's marker lexicon: leave yours out, or the detector")
    if not has_markers and not detects:
        used = Lexicon(())
    else:
        used = default_lexicon() if lexicon is None else lexicon
    made_with = Configuration(
        names,
        tokens,
        batch_tokens,
        max_types,
        markers=used.digest if has_markers else "",
        anchor=anchor.digest if anchor is not None and compared else "",
        detector=detector.digest if detector is not None and detects else "",
        tokenizer="" if tokenizer is None else tokenizer.digest,
    )
    return replace(made_with, provenance=labelled_by(None, verdicts_of(detector, names))), used


def verdicts_of(detector: "Detector | None", signals: tuple[str, ...]) -> "Detector | None":
    """The detector, where documents get its verdict: that needs their length and their logit among the signals."""
    return detector if set(VERDICT_SIGNALS) <= set(signals) else None


def check_limits(tokens: str, **numbers: int) -> None:
    """Raises `UsageError` on an unknown kind of token, and on a number that is out of its range or none."""
    if tokens not in TOKEN_KINDS:
        raise UsageError(f"tokens={tokens!r}: wanted one of {', '.join(TOKEN_KINDS)}")
    for name, value in numbers.items():
        lowest, highest = LIMITS[name]
        if not isinstance(value, (int, np.integer)) or not lowest <= value <= highest:
            raise UsageError(f"{name}={value}: wanted a whole number from {lowest} to {highest}")


def histogram_names(signals: tuple[str, ...]) -> tuple[str, ...]:
    """All histograms of a profile: its document signals, then the batch signals."""
    return (*signals, *_backend.get().BATCH_SIGNALS)
