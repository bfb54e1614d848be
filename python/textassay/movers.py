"""Which words rise and which fall between two corpora: weighted log-odds (Monroe, Colaresi & Quinn 2008)."""

import math
from dataclasses import dataclass

import numpy as np

from textassay.joint_counts import Counts, Floats, JointCounts, PairFunction
from textassay.multiple_tests import false_discovery_rates

MILLION = 1_000_000
PRIOR_SHARE = 0.1
HALF = 0.5


def log_odds(
    reference: Counts, current: Counts, n_reference: int, n_current: int, prior_tokens: float | None = None
) -> tuple[Floats, Floats]:
    """Difference of the log-odds of each type, current less reference, natural logarithm, and its z-score.

    `reference` and `current`: counts of the same types, shape (n,), int64; `n_reference` and `n_current` their sums over
    all types. The informative prior is Dirichlet: the shares of both corpora together, worth `prior_tokens` tokens (a tenth
    of the smaller corpus), so that a type seen on one side alone has finite odds. Monroe, Colaresi & Quinn 2008,
    equations 16, 19 and 22.

    >>> log_odds(np.array([10, 0]), np.array([10, 5]), 1000, 1000)
    """
    weight = PRIOR_SHARE * min(n_reference, n_current) if prior_tokens is None else prior_tokens
    differences, scores = np.zeros(len(reference)), np.zeros(len(reference))
    whole = n_reference + n_current
    for i, (a, b) in enumerate(zip(reference.tolist(), current.tolist(), strict=True)):
        if a + b == whole:
            continue  # the only type there is has no odds
        prior, rest = weight * ((a + b) / whole), weight * ((whole - a - b) / whole)
        x, y = a + prior, b + prior
        odds = math.log(y / (n_current - b + rest)) - math.log(x / (n_reference - a + rest))
        differences[i], scores[i] = odds, odds / math.sqrt(1 / x + 1 / y)
    return differences, scores


@dataclass(frozen=True)
class Mover:
    """A type and what became of it, the effect first."""

    token: str
    log2_ratio: float
    """Log2 of the current share over the reference's, counts raised by a half: 3 is eight times as often, -1 half."""
    log_odds: float
    """Natural logarithm of the ratio of the odds, shrunk by the prior."""
    reference_per_million: float
    current_per_million: float
    reference: int
    current: int
    """Counts; past a type limit some are read from a sketch and never too low."""
    bits: float
    """What the type adds to `jsd_bits`."""
    z: float
    q_value: float
    """Two-sided, adjusted for the number of types (Benjamini & Hochberg 1995)."""


class Movers:
    """All types known by name with their z-scores. The bytes of tokens are looked up for those only that are shown."""

    def __init__(self, joint: JointCounts, contribution: PairFunction, prior_tokens: float | None = None) -> None:
        self._joint = joint
        pairs = joint.named
        odds, scores = log_odds(pairs.reference, pairs.current, joint.n_reference, joint.n_current, prior_tokens)
        self._odds, self._scores = odds, scores
        self._bits = contribution(pairs.reference, pairs.current)
        p_values = [math.erfc(abs(score) / math.sqrt(2)) for score in scores.tolist()]
        self._rates = false_discovery_rates(np.array(p_values), pairs.numbers, float(joint.n_types))

    def rising(self, k: int = 20) -> list[Mover]:
        """The k types of highest z-score above 0; of equal counts in the order of their bytes."""
        return self._best(self._scores, k)

    def falling(self, k: int = 20) -> list[Mover]:
        """The k types of lowest z-score below 0."""
        return self._best(-self._scores, k)

    def vanished(self, k: int = 20) -> list[Mover]:
        """Types that the current corpus does not show at all, the least likely ones to be missing first."""
        return self._best(np.where(self._joint.named.current == 0, -self._scores, 0), k)

    def new(self, k: int = 20) -> list[Mover]:
        """Types that the reference does not show at all."""
        return self._best(np.where(self._joint.named.reference == 0, self._scores, 0), k)

    def drivers(self, k: int = 20) -> list[Mover]:
        """The k types that add most to `jsd_bits`."""
        return self._best(self._bits, k)

    def _best(self, scores: Floats, k: int) -> list[Mover]:
        """The k types whose pairs have the highest scores, of those above 0. Types of one pair come in the order of their
        bytes, and so few of many are taken without a look at the others' names.
        """
        pairs = self._joint.named
        order = np.argsort(-scores, kind="stable")
        order = order[: int(np.searchsorted(np.cumsum(pairs.numbers[order]), k)) + 1]
        ranks = np.full(len(scores), len(order), np.intp)
        ranks[order] = np.arange(len(order))
        ranks[scores <= 0] = len(order)
        of_types = ranks[pairs.inverse]
        places = np.flatnonzero(of_types < len(order))
        places = places[np.argsort(of_types[places], kind="stable")][:k]
        tokens = self._joint.tokens(places)
        return [self._mover(*row) for row in zip(tokens, pairs.inverse[places].tolist(), strict=True)]

    def _mover(self, token: bytes, pair: int) -> Mover:
        joint = self._joint
        a, b = int(joint.named.reference[pair]), int(joint.named.current[pair])
        return Mover(
            # Single bytes (`tokens="byte"`) need not be UTF-8: those are shown as \xNN.
            token=token.decode("utf-8", "backslashreplace"),
            log2_ratio=math.log2((b + HALF) / (a + HALF) * (joint.n_reference / joint.n_current)),
            log_odds=float(self._odds[pair]),
            reference_per_million=a * MILLION / joint.n_reference,
            current_per_million=b * MILLION / joint.n_current,
            reference=a,
            current=b,
            bits=float(self._bits[pair]),
            z=float(self._scores[pair]),
            q_value=float(self._rates[pair]),
        )
