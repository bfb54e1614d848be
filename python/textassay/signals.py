"""Names of the document signals, choices of them, and the bins of their histograms (docs/semantics.md)."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from textassay import _backend
from textassay.errors import UsageError

NOT_DEFAULT = ("char_entropy_bits", "top_ngram_share", "dup_line_share", "anchor_overlap")
"""Signals that are measured only when asked for: each costs a tenth to twice the decompression of its text."""

ANCHOR_SIGNALS = ("perplexity", "oov_rate", "tail_share", "anchor_overlap")
"""Signals that compare with an anchor; null without one, and then not among the default."""

DETECTOR_SIGNALS = ("synthetic_logit", "synthetic_probability")
"""Signals of a detector; null without one, and then not among the default."""

WORD_SIGNALS = ("marker_rate", "top_ngram_share", *ANCHOR_SIGNALS, *DETECTOR_SIGNALS)
"""Signals that look at words: they have nothing to say of ids."""

BATCH_PREFIX = "batch_"


def default_signals(with_anchor: bool = False, with_detector: bool = False, with_words: bool = True) -> tuple[str, ...]:
    left_out = (
        *NOT_DEFAULT,
        *(() if with_words else WORD_SIGNALS),
        *(() if with_anchor else ANCHOR_SIGNALS),
        *(() if with_detector else DETECTOR_SIGNALS),
    )
    return tuple(name for name in _backend.get().SIGNALS if name not in left_out)


def parse_signals(
    choice: str | Iterable[str] = "default",
    with_anchor: bool = False,
    with_detector: bool = False,
    with_words: bool = True,
) -> tuple[str, ...]:
    """The signals that `choice` names, in column order.

    A choice is a list, or a string with commas, of names, `default`, `all`, and `-name` to leave one out. A choice that
    begins with `-name` starts from the default. Raises `UsageError` on an unknown name, on a signal of words where there are
    none, and where nothing is left.
    """
    known: tuple[str, ...] = _backend.get().SIGNALS
    words = [word.strip() for word in (choice.split(",") if isinstance(choice, str) else choice)]
    words = [word for word in words if word]
    default = set(default_signals(with_anchor, with_detector, with_words))
    chosen = set(default) if words and words[0].startswith("-") else set()
    for word in words:
        if word == "default":
            chosen |= default
        elif word == "all":
            chosen |= {name for name in known if with_words or name not in WORD_SIGNALS}
        else:
            name = word.removeprefix("-")
            if name not in known:
                raise UsageError(_unknown(name, known))
            if not with_words and name in WORD_SIGNALS and name == word:
                raise UsageError(f"{name} looks at words: it has nothing to say of the ids of tokens='bpe'")
            (chosen.discard if word.startswith("-") else chosen.add)(name)
    if not chosen:
        raise UsageError(f"no signal is left of {choice!r}; known are default, all, {', '.join(known)}")
    return tuple(name for name in known if name in chosen)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, (*known, "default", "all"), 3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are default, all, {', '.join(known)}"
    return f"unknown signal {name!r}: {hint}"


@dataclass(frozen=True)
class LinearBins:
    """Bin i holds low + i / scale <= value < low + (i + 1) / scale; the last one everything above, too.

    `closed`: no value lies above the lower edge of the last bin, so a value in it is that edge.
    """

    low: float
    scale: float
    count: int
    closed: bool = False

    def edges(self, index: int) -> tuple[float, float | None]:
        """Lower and upper edge of a bin; None: open."""
        lower = self.low + index / self.scale
        if index == self.count - 1:
            return lower, lower if self.closed else None
        return lower, lower + 1 / self.scale


@dataclass(frozen=True)
class LogBins:
    """Integers: below 16 a bin each, then eight bins for every doubling."""

    count: int = 512

    def edges(self, index: int) -> tuple[int, int | None]:
        """First integer of a bin and of the next one; None: open."""
        return self._first(index), None if index == self.count - 1 else self._first(index + 1)

    @staticmethod
    def _first(index: int) -> int:
        return index if index < 8 else (8 + index % 8) << (index // 8 - 1)


@dataclass(frozen=True)
class OctaveBins:
    """Numbers from 1 on: 32 bins for every doubling."""

    count: int = 960

    def edges(self, index: int) -> tuple[float, float | None]:
        """Lower and upper edge of a bin; None: open."""
        return self._lower(index), None if index == self.count - 1 else self._lower(index + 1)

    @staticmethod
    def _lower(index: int) -> float:
        return (1 + index % 32 / 32) * 2.0 ** (index // 32)


_ENTROPY = LinearBins(0, 64, 1536)
_RATIO = LinearBins(0, 1024, 1025, closed=True)
_SIZE = LogBins()

_BINS: dict[str, LinearBins | LogBins | OctaveBins] = {
    "n_bytes": _SIZE,
    "n_chars": _SIZE,
    "n_tokens": _SIZE,
    "n_types": _SIZE,
    "n_sentences": _SIZE,
    "entropy_bits": _ENTROPY,
    "entropy_mm_bits": _ENTROPY,
    "char_entropy_bits": _ENTROPY,
    "type_token_ratio": _RATIO,
    "mattr": _RATIO,
    "hapax_ratio": _RATIO,
    "burstiness": LinearBins(0, 256, 2048),
    "burstiness_gb": LinearBins(-1, 512, 1025, closed=True),
    "top_ngram_share": _RATIO,
    "dup_line_share": _RATIO,
    "marker_rate": LinearBins(0, 16, 1024),
    "invisible_chars": _SIZE,
    "perplexity": OctaveBins(),
    "oov_rate": _RATIO,
    "tail_share": _RATIO,
    "synthetic_logit": LinearBins(-8, 64, 1024),
    "synthetic_probability": _RATIO,
    "anchor_overlap": _RATIO,
}


def bins_of(signal: str) -> LinearBins | LogBins | OctaveBins:
    """The bins of a document signal's histogram, or of a batch signal's (`batch_...`)."""
    return _BINS[signal.removeprefix(BATCH_PREFIX)]


def is_integer(signal: str) -> bool:
    return isinstance(bins_of(signal), LogBins)
