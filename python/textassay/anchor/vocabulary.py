"""An anchor's words: numbered by frequency, found by hash."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.ngrams import SPECIALS
from textassay.errors import UsageError
from textassay.profile import Profile
from textassay.sampled import type_batches

LEAST_RARE = 3
"""Occurrences that make a rare word a real one (METRICS: tail)."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by number; 0, 1, 2 are <unk>, <s>, </s>, which have no bytes.

    The model knows the words below `n_modelled`; those in [tail_begin, tail_end) are the tail: rare, but real.
    """

    token_bytes: NDArray[np.uint8]
    token_offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    word_slots: NDArray[np.uint32]
    n_modelled: int
    tail_begin: int
    tail_end: int

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a backend needs to number words."""
        return {"token_bytes": self.token_bytes, "token_offsets": self.token_offsets, "word_slots": self.word_slots}


def vocabulary_of(profile: Profile, min_count: int, tail_mass: float) -> Vocabulary:
    """The words of a corpus; the model is to know those seen `min_count` times.

    Raises `UsageError` where the profile has no exact counts (more types than `max_types`) or no words.
    """
    state = profile.state
    if state.bounded() is not None:
        raise UsageError(
            f"more than {profile.configuration.max_types} types: an anchor needs exact counts; raise max_types"
        )
    data, lengths, counts = _types_by_frequency(state)
    if len(counts) == 0:
        raise UsageError("an anchor needs text: no word was found")
    total = int(counts.sum())
    heavy = int(np.searchsorted(np.cumsum(counts), (1 - tail_mass) * total))  # the type at which the mass is reached
    rare_below = counts[min(heavy, len(counts) - 1)]
    n_kept = _how_many(counts, min(min_count, LEAST_RARE))
    n_specials = len(SPECIALS)
    tail_begin = n_specials + int(np.searchsorted(-counts.astype(np.int64), -int(rare_below), side="right"))
    tail_end = n_specials + _how_many(counts, LEAST_RARE)
    offsets = np.zeros(n_specials + n_kept + 1, np.uint64)
    np.cumsum(lengths[:n_kept], out=offsets[n_specials + 1 :])
    kept = data[: int(offsets[-1])]
    return Vocabulary(
        kept,
        offsets,
        np.concatenate([np.zeros(n_specials, np.uint64), counts[:n_kept]]),
        word_slots(kept, offsets),
        n_specials + _how_many(counts, min_count),
        min(tail_begin, tail_end),
        tail_end,
    )


def _how_many(counts: NDArray[np.uint64], least: int) -> int:
    """Types seen at least so often; `counts` descend."""
    return int(np.searchsorted(-counts.astype(np.int64), -least, side="right"))


def _types_by_frequency(state: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64]]:
    """Bytes of all tokens, their lengths and counts; by count descending, then by token."""
    parts = list(type_batches(state))
    if not parts:
        return np.zeros(0, np.uint8), np.zeros(0, np.uint64), np.zeros(0, np.uint64)
    data = np.concatenate([part["token_bytes"] for part in parts])
    counts = np.concatenate([part["counts"] for part in parts])
    lengths = np.concatenate([np.diff(part["token_offsets"]) for part in parts])
    begins = np.cumsum(lengths) - lengths
    order = np.argsort(-counts.astype(np.int64), kind="stable")
    lengths, begins = lengths[order], begins[order]
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return data[np.repeat(begins, lengths) + within], lengths.astype(np.uint64), counts[order]


def word_slots(token_bytes: NDArray[np.uint8], token_offsets: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Word numbers by token hash with linear probing, 0 for empty; at most half full.

    All words that have no place yet try their next slot at once; of those that want the same, the first gets it.
    """
    n_words = len(token_offsets) - 1
    slots = np.zeros(1 << max(3, (2 * n_words).bit_length()), np.uint32)
    mask = np.uint64(len(slots) - 1)
    token_hash, data, offsets = _backend.get().token_hash, token_bytes.tobytes(), token_offsets.tolist()
    words = np.arange(len(SPECIALS), n_words, dtype=np.uint32)
    hashes = (token_hash(data[offsets[word] : offsets[word + 1]]) for word in words.tolist())
    wanted = np.fromiter(hashes, np.uint64, len(words)) & mask
    while len(words):
        _, first = np.unique(wanted, return_index=True)
        free = first[slots[wanted[first]] == 0]
        slots[wanted[free]] = words[free]
        left = np.ones(len(words), np.bool_)
        left[free] = False
        words, wanted = words[left], (wanted[left] + np.uint64(1)) & mask
    return slots
