"""The figures of METRICS section 3 as the shortest true thing: exact fractions and integers, no numpy, nothing of ours.

Every function takes the counts of the types of a corpus, in any order.
"""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

LN2 = math.log(2)


def entropy_bits(counts: Sequence[int]) -> float:
    n = sum(counts)
    return -math.fsum(c / n * math.log2(c / n) for c in counts)


def entropy_mm_bits(counts: Sequence[int]) -> float:
    return entropy_bits(counts) + (len(counts) - 1) / (2 * sum(counts) * LN2)


def entropy_chao_shen_bits(counts: Sequence[int]) -> float:
    n, singletons = sum(counts), counts.count(1)
    coverage = 1 - Fraction(min(singletons, n - 1), n)
    shares = [coverage * c / n for c in counts]
    return -math.fsum(float(p) * math.log2(p) / float(1 - (1 - p) ** n) for p in shares if p < 1)


def good_turing_unseen(counts: Sequence[int]) -> Fraction:
    return Fraction(counts.count(1), sum(counts))


def chao1(counts: Sequence[int]) -> Fraction:
    v1, v2 = counts.count(1), counts.count(2)
    return len(counts) + (Fraction(v1 * v1, 2 * v2) if v2 else Fraction(v1 * (v1 - 1), 2))


def rarefied_types(counts: Sequence[int], n: int) -> Fraction:
    total = sum(counts)
    return sum((1 - Fraction(math.comb(total - c, n), math.comb(total, n)) for c in counts), Fraction(0))


def zipf_exponent(counts: Sequence[int]) -> float:
    """By golden-section search of the log likelihood itself, not of its slope."""
    ranked = sorted(counts, reverse=True)[:10_000]

    def likelihood(s: float) -> float:
        norm = math.log(math.fsum(r**-s for r in range(1, len(ranked) + 1)))
        return -math.fsum(c * (s * math.log(r) + norm) for r, c in enumerate(ranked, 1))

    low, high, golden = 0.0, 20.0, (math.sqrt(5) - 1) / 2
    for _ in range(80):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if likelihood(a) > likelihood(b) else (a, high)
    return (low + high) / 2


def heaps_beta(counts: Sequence[int]) -> float:
    total = sum(counts)
    sizes = sorted({max(1, round(total / 1000 * 1000 ** (i / 31))) for i in range(32)})
    points = [(math.log(n), math.log(rarefied_types(counts, n))) for n in sizes]
    mean_x, mean_y = (math.fsum(p[k] for p in points) / len(points) for k in (0, 1))
    return math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / math.fsum((x - mean_x) ** 2 for x, _ in points)


def spectrum(counts: Sequence[int]) -> dict[str, int]:
    found: Counter[str] = Counter({str(m): 0 for m in range(1, 101)})
    for c in counts:
        if c <= 100:
            found[str(c)] += 1
        else:
            high = 1 << c.bit_length()
            found[f"{max(101, high // 2)}-{high - 1}"] += 1
    return dict(found)


def quantile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` per cent of all do not exceed."""
    ranked = sorted(values)
    return ranked[-(-percent * len(ranked) // 100) - 1]
