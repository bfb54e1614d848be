"""The detector's linear score as docs/detector-spec.md has it: plain Python, no numpy, nothing of ours."""

import itertools
from collections.abc import Sequence

from naive_signals import token_hash
from naive_text import tokens, word_spans

MASK = (1 << 64) - 1
WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def gap_item(gap: bytes) -> bytes:
    return "".join(ch for ch in gap.decode() if ch not in WHITE_SPACE).encode()[:8]


def gap_key(item: bytes) -> int:
    h = int.from_bytes(item + bytes(8 - len(item)), "little")
    h ^= h >> 33
    h = (h * 0xFF51AFD7ED558CCD) & MASK
    h ^= h >> 33
    h = (h * 0xC4CEB9FE1A85EC53) & MASK
    h ^= h >> 33
    return h >> 32


def keys(text: str) -> list[int]:
    raw, found, at = text.encode(), [], 0
    for (begin, end), token in zip(word_spans(text), tokens(text), strict=True):
        gap = gap_item(raw[at:begin])
        found += [gap_key(gap)] if gap else []
        found.append(token_hash(token) >> 32)
        at = end
    gap = gap_item(raw[at:])
    return found + ([gap_key(gap)] if gap else [])


def buckets(text: str) -> list[int]:
    k = keys(text)
    pairs = [(a * 0x9E3779B1 + b) % 2**32 for a, b in itertools.pairwise(k)]
    return [key >> 14 for key in k + pairs]


def score(text: str, weights: Sequence[int]) -> tuple[int, int]:
    """Sum and number of features."""
    found = buckets(text)
    return sum(int(weights[bucket]) for bucket in found), len(found)
