"""The figures of METRICS section 6 as the shortest true thing: dicts and the standard library, nothing of ours.

P and Q are counts by token.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

Counts = Mapping[str, int]


def shares(counts: Counts, token: str) -> float:
    return counts.get(token, 0) / sum(counts.values())


def contributions(p: Counts, q: Counts) -> dict[str, float]:
    found = {}
    for token in set(p) | set(q):
        x, y = shares(p, token), shares(q, token)
        m = (x + y) / 2
        found[token] = sum(z * math.log2(z / m) for z in (x, y) if z) / 2
    return found


def jsd_bits(p: Counts, q: Counts) -> float:
    return math.fsum(contributions(p, q).values())


def kl_bits(p: Counts, q: Counts) -> float:
    """Of Q against P, a half added to every count over the union."""
    union = set(p) | set(q)
    n, m = (sum(counts.values()) + len(union) / 2 for counts in (p, q))
    pairs = [((p.get(token, 0) + 0.5) / n, (q.get(token, 0) + 0.5) / m) for token in union]
    return math.fsum(y * math.log2(y / x) for x, y in pairs)


def total_variation(p: Counts, q: Counts) -> float:
    return math.fsum(abs(shares(p, token) - shares(q, token)) for token in set(p) | set(q)) / 2


def log_odds(p: Counts, q: Counts, prior_tokens: float) -> dict[str, tuple[float, float]]:
    """token -> difference of log-odds, z: Monroe, Colaresi & Quinn 2008, equations 16, 19, 22."""
    n, m = sum(p.values()), sum(q.values())
    found = {}
    for token in set(p) | set(q):
        a, b = p.get(token, 0), q.get(token, 0)
        alpha = prior_tokens * (a + b) / (n + m)
        here = (a + alpha) / (n + prior_tokens - a - alpha)
        there = (b + alpha) / (m + prior_tokens - b - alpha)
        difference = math.log(there) - math.log(here)
        found[token] = difference, difference / math.sqrt(1 / (a + alpha) + 1 / (b + alpha))
    return found


def jsd_by_chance(p: Counts, q: Counts) -> float:
    """The mean over deals of each token's occurrences to the two sides, each independent."""
    n, m = sum(p.values()), sum(q.values())
    total = 0.0
    for token in set(p) | set(q):
        t = p.get(token, 0) + q.get(token, 0)
        for k in range(t + 1):
            chance = math.comb(t, k) * (n / (n + m)) ** k * (m / (n + m)) ** (t - k)
            x, y = k / n, (t - k) / m
            total += chance * sum(z * math.log2(2 * z / (x + y)) for z in (x, y) if z) / 2
    return total


def expected_entropy(counts: Sequence[int], n: int) -> float:
    """log2 n - (1/n) sum E[X log2 X], X of Binomial(c, n / N)."""
    share = n / sum(counts)
    total = 0.0
    for c in counts:
        for k in range(2, c + 1):
            total += math.comb(c, k) * share**k * (1 - share) ** (c - k) * k * math.log2(k)
    return math.log2(n) - total / n


def ks_statistic(p: Sequence[float], q: Sequence[float]) -> float:
    values = sorted({*p, *q})
    return float(
        max(abs(Fraction(sum(v <= x for v in p), len(p)) - Fraction(sum(v <= x for v in q), len(q))) for x in values)
    )


def cliffs_delta(p: Sequence[float], q: Sequence[float]) -> float:
    return float(Fraction(sum((y > x) - (y < x) for x in p for y in q), len(p) * len(q)))


def false_discovery_rates(p_values: Sequence[float]) -> list[float]:
    n = len(p_values)
    ranked = sorted(p_values)
    return [min(1.0, *(p * n / (i + 1) for i, p in enumerate(ranked) if p >= value)) for value in p_values]


def best_cuts(series: Sequence[float], penalty: float) -> list[int]:
    """Every way to cut the series, and the cheapest."""

    def cost(part: Sequence[float]) -> float:
        mean = math.fsum(part) / len(part)
        return math.fsum((x - mean) ** 2 for x in part)

    n, ways = len(series), []
    for mask in range(1 << (n - 1)):
        cuts = [i + 1 for i in range(n - 1) if mask >> i & 1]
        borders = [0, *cuts, n]
        pieces = [series[i:j] for i, j in pairwise(borders)]
        ways.append((math.fsum(map(cost, pieces)) + penalty * len(cuts), cuts))
    return min(ways)[1]
