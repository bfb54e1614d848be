"""The frequency spectrum of a corpus and what is read off it (METRICS, section 3).

Every figure is a function of sums `total(g) = sum over types of g(count)`. While a histogram is exact, that sum
runs over the counts of counts. Past the type limit it is an estimate: `sampled.py` hands over the same structure
with weights, and the figures below, unchanged, come with standard errors (delta method).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ZIPF_RANKS = 10_000
HEAPS_POINTS = 32
EXACT_FREQUENCIES = 100
"""The spectrum is given for each m up to here, and in ranges that end below powers of two from there on."""

TypeFunction = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Spectrum:
    """Counts of types, each with the number of types that have it; `n_tokens` is their sum.

    In an exact spectrum counts ascend and `weights` are integers. In an estimated one counts are in any order, weights
    real and possibly negative, and `covariance` gives the covariance of two totals.
    """

    n_tokens: int
    counts: NDArray[np.int64]
    weights: NDArray[np.int64] | NDArray[np.float64]
    covariance: Callable[[TypeFunction, TypeFunction], float] | None = None

    @property
    def is_estimate(self) -> bool:
        return self.covariance is not None

    def total(self, g: TypeFunction) -> float:
        """Sum of g(count) over types, added exactly (fsum), so that it does not depend on the order.

        An estimated one is corrected by what the number of tokens tells: its own estimate is off by a known amount, and
        total(g) by about `slope` times that (regression estimator, Cochran 1977, chapter 7).
        """
        plain = self._weighted(g)
        if self.covariance is None:
            return plain
        return plain + self._slope(g) * (self.n_tokens - self._weighted(_identity))

    def error(self, g: TypeFunction) -> float | None:
        """Standard error of `total(g)`; None where the total is exact."""
        if self.covariance is None:
            return None
        slope = self._slope(g)
        return math.sqrt(max(0.0, self.covariance(g, g) - slope * self.covariance(g, _identity)))

    def _weighted(self, g: TypeFunction) -> float:
        return math.fsum((self.weights * g(self.counts)).tolist())

    def _slope(self, g: TypeFunction) -> float:
        assert self.covariance is not None
        of_tokens = self.covariance(_identity, _identity)
        return self.covariance(g, _identity) / of_tokens if of_tokens > 0 else 0.0

    def number_with(self, low: int, high: int) -> float:
        """Types with low <= count < high. Never negative: an estimate is cut off at 0."""
        return max(0.0, self.total(_indicator(low, high)))


def _indicator(low: int, high: int) -> TypeFunction:
    return lambda counts: ((counts >= low) & (counts < high)).astype(np.float64)


def _identity(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return counts.astype(np.float64)


def _ones(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.ones(len(counts))


def _surprise(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """c log2 c, by libm: numpy's own logarithm differs in the last bit between instruction sets."""
    return np.fromiter((c * math.log2(c) for c in counts.tolist()), np.float64, len(counts))


@dataclass(frozen=True)
class Figure:
    """A number and its standard error; `error` is None where the number is exact, `value` None where there is none."""

    value: float | None
    error: float | None = None


NO_FIGURE = Figure(None)


def figures(spectrum: Spectrum) -> dict[str, Figure]:
    """The scalar figures of METRICS section 3, by name."""
    n = spectrum.n_tokens
    if n == 0:
        empty = dict.fromkeys(_SCALARS, NO_FIGURE)
        return empty | {"n_types": Figure(0), "chao1": Figure(0), "hapaxes": Figure(0)}
    return {name: figure(spectrum) for name, figure in _SCALARS.items()}


def n_types(spectrum: Spectrum) -> Figure:
    return Figure(_count(spectrum, spectrum.total(_ones)), spectrum.error(_ones))


def hapaxes(spectrum: Spectrum) -> Figure:
    """V_1."""
    return Figure(_count(spectrum, spectrum.number_with(1, 2)), spectrum.error(_indicator(1, 2)))


def _count(spectrum: Spectrum, value: float) -> float:
    return value if spectrum.is_estimate else int(value)


def entropy_bits(spectrum: Spectrum) -> Figure:
    """Plug-in Shannon entropy: log2 N - (1/N) sum c log2 c."""
    n = spectrum.n_tokens
    value = max(0.0, math.log2(n) - spectrum.total(_surprise) / n)
    return Figure(value, spectrum.error(lambda c: _surprise(c) / n))


def entropy_mm_bits(spectrum: Spectrum) -> Figure:
    """Miller (1955): plug-in + (V - 1) / (2 N ln 2)."""
    n = spectrum.n_tokens
    unit = 1 / (2 * n * math.log(2))
    plain = entropy_bits(spectrum).value
    assert plain is not None
    value = plain + (spectrum.total(_ones) - 1) * unit
    return Figure(value, spectrum.error(lambda c: unit - _surprise(c) / n))


def entropy_chao_shen_bits(spectrum: Spectrum) -> Figure:
    """Chao & Shen (2003): coverage-adjusted shares, weighted by the chance of having been seen (Horvitz-Thompson).

    Coverage is 1 - V_1 / N. Where every token is a hapax it would be 0; V_1 is then taken as N - 1 (Hausser &
    Strimmer 2009).
    """
    n = spectrum.n_tokens

    def coverage(singletons: float) -> float:
        return 1 - min(singletons, n - 1) / n

    def terms(cover: float) -> TypeFunction:
        def g(counts: NDArray[np.int64]) -> NDArray[np.float64]:
            shares = (cover * c / n for c in counts.tolist())
            return np.fromiter((_chao_shen_term(share, n) for share in shares), np.float64, len(counts))

        return g

    singletons = spectrum.number_with(1, 2)
    cover = coverage(singletons)
    value = max(0.0, spectrum.total(terms(cover)))
    if not spectrum.is_estimate:
        return Figure(value)
    # The estimate depends on V_1 through the coverage, too: its slope by a small difference.
    step = max(1.0, singletons * 1e-3)
    slope = (spectrum.total(terms(coverage(singletons + step))) - value) / step
    first = _indicator(1, 2)
    return Figure(value, spectrum.error(lambda c: terms(cover)(c) + slope * first(c)))


def _chao_shen_term(share: float, n: int) -> float:
    if share >= 1:
        return 0.0
    seen = -math.expm1(n * math.log1p(-share))
    return -share * math.log2(share) / seen


def type_token_ratio(spectrum: Spectrum) -> Figure:
    return _scaled(n_types(spectrum), 1 / spectrum.n_tokens)


def good_turing_unseen(spectrum: Spectrum) -> Figure:
    """Good (1953): probability that the next token is of an unseen type, V_1 / N."""
    return _scaled(hapaxes(spectrum), 1 / spectrum.n_tokens)


def _scaled(figure: Figure, factor: float) -> Figure:
    assert figure.value is not None
    return Figure(figure.value * factor, None if figure.error is None else figure.error * factor)


def chao1(spectrum: Spectrum) -> Figure:
    """Chao (1984): V + V_1^2 / (2 V_2), a lower bound of the types there are; bias-corrected form where V_2 = 0."""
    v, v1, v2 = spectrum.total(_ones), spectrum.number_with(1, 2), spectrum.number_with(2, 3)
    by_v1, by_v2 = (v1 / v2, -v1 * v1 / (2 * v2 * v2)) if v2 else (v1 - 0.5, 0.0)
    value = v + (v1 * v1 / (2 * v2) if v2 else v1 * (v1 - 1) / 2)
    once, twice = _indicator(1, 2), _indicator(2, 3)
    return Figure(value, spectrum.error(lambda c: 1 + by_v1 * once(c) + by_v2 * twice(c)))


def zipf_exponent(spectrum: Spectrum) -> Figure:
    """Exponent s of p(rank) ~ rank^-s over the ranks 1..10,000, by maximum likelihood (Clauset, Shalizi & Newman 2009).

    The likelihood is greatest where the mean log rank expected under s equals the observed one. None below two types.
    """
    counts, ranks = _rank_curve(spectrum)
    last = round(float(ranks[-1])) if len(ranks) else 0
    if last < 2:
        return NO_FIGURE
    # The sum over ranks of c_r f(r) is the integral over counts c of f(1) + ... + f(rank(c)); with f = ln, of ln
    # rank(c)!
    widths = -np.diff(counts, append=0.0)
    n_tokens = float(ranks @ widths)
    observed = math.fsum(math.lgamma(rank + 1) * width for rank, width in zip(ranks, widths, strict=True)) / n_tokens
    log_ranks = np.log(np.arange(1, last + 1))
    exponent, spread = _solve_zipf(log_ranks, observed)
    if not spectrum.is_estimate:
        return Figure(exponent)
    # One more type of count c raises the rank of all counts up to c, but not beyond the last rank that is looked at.
    gains = (np.log(ranks + 0.5) - observed) * widths * (ranks < ZIPF_RANKS)
    gain_up_to = np.cumsum(gains[::-1])[::-1]
    shares = np.exp(-exponent * log_ranks)
    longer = 0.0 if last == ZIPF_RANKS else n_tokens * shares[-1] / shares.sum() * (log_ranks[-1] - observed)

    def influence(given: NDArray[np.int64]) -> NDArray[np.float64]:
        at = np.searchsorted(-counts, -given.astype(np.float64)).clip(0, len(counts) - 1)
        return gain_up_to[at] - longer

    error = spectrum.error(influence)
    return Figure(exponent, None if error is None else error / (n_tokens * spread))


def _rank_curve(spectrum: Spectrum) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts descending, and of each the number of types that have at least as many: a rank, up to 10,000.

    An estimated curve may fall where weights are negative, and is cut off at 0.
    """
    order = np.argsort(-spectrum.counts, kind="stable")
    ranks = np.cumsum(spectrum.weights[order], dtype=np.float64).clip(0, ZIPF_RANKS)
    return spectrum.counts[order].astype(np.float64), ranks


def _solve_zipf(logs: NDArray[np.float64], observed: float) -> tuple[float, float]:
    """The exponent whose mean log rank is `observed`, and the variance of the log rank there. Newton, kept in a
    bracket.
    """
    low, high, s = 0.0, 64.0, 1.0
    for _ in range(200):
        p = np.exp(-s * logs)
        p /= p.sum()
        mean = float(p @ logs)
        spread = float(p @ (logs - mean) ** 2)
        low, high = (s, high) if mean > observed else (low, s)
        step = s + (mean - observed) / spread if spread > 0 else high
        following = step if low < step < high else (low + high) / 2
        if abs(following - s) <= 1e-14 * max(1.0, s):
            break
        s = following
    return following, spread


def rarefied_types(spectrum: Spectrum, n: int) -> Figure:
    """Expected types in n of the N tokens, drawn without replacement (Hurlbert 1971): how corpora of unlike size
    compare.
    """
    g = _seen_in(n, spectrum.n_tokens)
    return Figure(spectrum.total(g), spectrum.error(g))


def _seen_in(n: int, total: int) -> TypeFunction:
    return lambda counts: -np.expm1(log_absence(counts, n, total))


def log_absence(counts: NDArray[np.int64], n: int, total: int) -> NDArray[np.float64]:
    """ln of C(N - c, n) / C(N, n): the chance that a type of count c is absent from n of N tokens. -inf where it
    cannot be.

    lgamma differences lose six digits at N = 10^10. The ratio is symmetric in c and n; with s the smaller, l the
    larger and a = N - l it is the falling factorial of a over that of N, s factors each. Stirling's series for
    both, with the large terms cancelled by hand, leaves s ln(a/N) - (a-s+1/2) ln(1-s/a) + (N-s+1/2) ln(1-s/N) +
    remainders, exact to a few ulp of s. A remainder needs an argument of at least 16; below that the s logarithms
    are added up.
    """
    result = np.full(len(counts), -np.inf)
    smaller, larger = np.minimum(counts, n), np.maximum(counts, n)
    left = total - smaller - larger
    for i in np.flatnonzero((left >= 0) & (left < 16)):
        result[i] = _added_up(int(smaller[i]), int(larger[i]), total)
    far = left >= 16
    s, a = smaller[far].astype(np.float64), (total - larger[far]).astype(np.float64)
    whole = float(total)
    value = (
        s * np.log1p(-larger[far] / whole) - (a - s + 0.5) * np.log1p(-s / a) + (whole - s + 0.5) * np.log1p(-s / whole)
    )
    result[far] = value + _remainder(a) - _remainder(a - s) - _remainder(whole) + _remainder(whole - s)
    return result


def _added_up(smaller: int, larger: int, total: int) -> float:
    """Sum of ln(1 - larger / (total - i)) over i < smaller, or -inf once the chance is below 1e-300."""
    value = 0.0
    for i in range(smaller):
        value += math.log1p(-larger / (total - i))
        if value < -690:
            return -math.inf
    return value


def _remainder(x: Any) -> Any:
    """lnGamma(x + 1) - [(x + 1/2) ln x - x + ln(2 pi) / 2] for x >= 16, to 1e-16."""
    inverse = 1.0 / x
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))


def heaps_beta(spectrum: Spectrum) -> Figure:
    """Slope of ln rarefied_types(n) on ln n (least squares) at 32 log-spaced whole n from N / 1000 to N. None below
    two n.
    """
    total = spectrum.n_tokens
    sizes = sorted({max(1, round(total * 1000 ** (i / (HEAPS_POINTS - 1) - 1))) for i in range(HEAPS_POINTS)})
    if len(sizes) < 2:
        return NO_FIGURE
    x = np.log(sizes)
    slopes = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    types = [rarefied_types(spectrum, n).value or 0.0 for n in sizes]
    if min(types) <= 0:
        return NO_FIGURE  # an estimate that noise has drowned
    value = float(slopes @ np.log(types))
    if not spectrum.is_estimate:
        return Figure(value)
    factors = slopes / np.array(types)

    def combined(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = (factor * _seen_in(n, total)(counts) for factor, n in zip(factors, sizes, strict=True))
        return sum(parts, start=np.zeros(len(counts)))

    return Figure(value, spectrum.error(combined))


def rarefaction_sizes(n_tokens: int) -> list[int]:
    """Powers of ten from 1,000 up to N."""
    sizes = [10**k for k in range(3, 19)]
    return [n for n in sizes if n <= n_tokens]


def spectrum_ranges(highest: int) -> list[tuple[int, int]]:
    """Half-open ranges of counts: [1, 2) ... [100, 101), [101, 128), [128, 256), ... up to the one that holds
    `highest`.
    """
    ranges = [(m, m + 1) for m in range(1, EXACT_FREQUENCIES + 1)]
    low, high = EXACT_FREQUENCIES + 1, 128
    while low <= highest:
        ranges.append((low, high))
        low, high = high, 2 * high
    return ranges


def range_name(low: int, high: int) -> str:
    return str(low) if high == low + 1 else f"{low}-{high - 1}"


_SCALARS: dict[str, Callable[[Spectrum], Figure]] = {
    "n_types": n_types,
    "entropy_bits": entropy_bits,
    "entropy_mm_bits": entropy_mm_bits,
    "entropy_chao_shen_bits": entropy_chao_shen_bits,
    "type_token_ratio": type_token_ratio,
    "good_turing_unseen": good_turing_unseen,
    "chao1": chao1,
    "hapaxes": hapaxes,
    "zipf_exponent": zipf_exponent,
    "heaps_beta": heaps_beta,
}


def spectrum_table(spectrum: Spectrum) -> dict[str, float]:
    """Types per count or range of counts."""
    highest = int(spectrum.counts.max()) if len(spectrum.counts) else 0
    ranges = spectrum_ranges(highest)
    if spectrum.is_estimate:
        return {range_name(low, high): spectrum.number_with(low, high) for low, high in ranges}
    bins = np.searchsorted([low for low, _ in ranges], spectrum.counts, side="right") - 1
    types = np.bincount(bins, spectrum.weights, len(ranges)).tolist()
    return {range_name(low, high): int(types[i]) for i, (low, high) in enumerate(ranges)}
