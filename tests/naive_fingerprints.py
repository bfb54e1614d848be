"""Fingerprints of documents, from their definition: winnowing (Schleimer, Wilkerson & Aiken 2003)."""

TOKENS, GROUP = 13, 16
BASE, WORD = 0x9E3779B97F4A7C15, (1 << 64) - 1


def token_hash(token: bytes) -> int:
    """FNV-1a, finished."""
    h = 0xCBF29CE484222325
    for byte in token:
        h = (h ^ byte) * 0x100000001B3 & WORD
    return finished(h)


def finished(h: int) -> int:
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & WORD
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & WORD
    return h ^ h >> 33


def run_hash(tokens: list[bytes]) -> int:
    return finished(sum(token_hash(t) * BASE**power for power, t in enumerate(reversed(tokens))) & WORD)


def fingerprints(tokens: list[bytes]) -> list[int]:
    """Of a document, in order of place."""
    hashes = [run_hash(tokens[i : i + TOKENS]) for i in range(len(tokens) - TOKENS + 1)]
    n_groups = max(0, len(hashes) - GROUP) + 1 if hashes else 0
    groups = [range(begin, min(begin + GROUP, len(hashes))) for begin in range(n_groups)]
    return [hashes[place] for place in sorted({min(g, key=lambda i: (hashes[i], -i)) for g in groups})]
