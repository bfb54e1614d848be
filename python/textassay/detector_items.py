"""The items and features that the detector's linear score is made of; docs/detector-spec.md defines them to the bit.

Items are the words of a text, folded, and between them what is left of each gap without its white space: the
punctuation. Features are the items and the pairs of neighbours, hashed into buckets.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from textassay import _backend

BUCKET_BITS = 18
BUCKETS = 1 << BUCKET_BITS
PAIR_FACTOR = 0x9E3779B1
GAP_BYTES = 8

_RANGES = ((0x09, 0x0D), (0x20, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A))
_RANGES += ((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000))
WHITE_SPACE = frozenset(chr(c) for first, last in _RANGES for c in range(first, last + 1))
"""The characters with the Unicode property White_Space."""

_MASK = (1 << 64) - 1


def items(text: bytes) -> Iterator[tuple[bytes, bool]]:
    """Each item of valid UTF-8 in order, and whether it is a word."""
    backend = _backend.get()
    at = 0
    for (begin, end), token in zip(backend.word_spans(text).tolist(), backend.tokens(text), strict=True):
        if gap := without_white_space(text[at:begin]):
            yield gap, False
        yield token, True
        at = end
    if gap := without_white_space(text[at:]):
        yield gap, False


def without_white_space(gap: bytes) -> bytes:
    """The first `GAP_BYTES` bytes of what is left."""
    return b"" if gap == b" " else b"".join(c.encode() for c in gap.decode() if c not in WHITE_SPACE)[:GAP_BYTES]


def item_key(item: bytes, is_word: bool) -> int:
    return _word_key(item) if is_word else _gap_key(item)


@lru_cache(1 << 16)
def _word_key(token: bytes) -> int:
    return int(_backend.get().token_hash(token)) >> 32


@lru_cache(1 << 12)
def _gap_key(gap: bytes) -> int:
    return _finish(int.from_bytes(gap, "little")) >> 32


def _finish(h: int) -> int:
    """The last steps of `token_hash`."""
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & _MASK
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & _MASK
    return h ^ h >> 33


def item_keys(text: bytes) -> NDArray[np.uint32]:
    """The keys of the items, in order."""
    return np.fromiter((item_key(item, is_word) for item, is_word in items(text)), np.uint32)


def feature_buckets(keys: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The buckets of the items, and those of the pairs, one less."""
    shift = np.uint32(32 - BUCKET_BITS)
    return keys >> shift, (keys[:-1] * np.uint32(PAIR_FACTOR) + keys[1:]) >> shift
