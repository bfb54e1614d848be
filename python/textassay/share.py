"""The synthetic share of a corpus, from how its documents' scores are distributed.

The corpus is taken for a mixture of two known distributions, (1 - a) human + a synthetic, and a is estimated by maximum
likelihood (Liang et al. 2024 do so over occurrences of words). It needs no verdict on any document, and so does not suffer from
the verdicts' errors; it suffers where the human part of the corpus is unlike the human reference.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from textassay.anchor import Anchor
    from textassay.detector import Detector
    from textassay.profile import Profile

RESAMPLES = 1000
SEED = 0
GROUPS = 24
"""Groups of bins: so coarse that the references' own noise hardly moves the estimate."""

BLIND_BELOW = 0.10
"""Without a human reference of the corpus's own kind, a share below this is not told from none."""

TYPICAL_ERROR = {"detector": 0.22, "anchor": 0.17}
"""Mean absolute error for shares of 10 to 90 % of the labelled sets, by the human reference (docs/provenance.md): of the synthetic
part's kind, which is not the reference's. The interval, which is of drawing alone, knows nothing of it.
"""

_PSEUDO_COUNT = 0.5
_STEPS = 40
_OUTSIDE = 0.9
_LOW, _HIGH = 2.5, 97.5

Counts = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShareEstimate:
    """`fraction` of the documents, with a 95 % interval of drawing alone; `n_documents` had a score. `is_blind`: the human reference is not
    of the corpus's own kind, so that shares below `BLIND_BELOW` mean nothing.
    """

    fraction: float
    low: float
    high: float
    n_documents: int
    is_blind: bool


def synthetic_fraction(
    profile: "Profile", detector: "Detector | None", anchor: "Anchor | None" = None
) -> dict[str, Any] | None:
    """The estimate for a profile, from its histogram of `synthetic_logit`, as a summary has it: `fraction`, `low`, `high`,
    `n_documents` (long enough to have a logit), `is_blind`, and `reference`: where the human reference is from.

    That is the anchor, where it was built with the same detector and its documents make the corpus likelier than what the
    detector brings along, which is taken otherwise: human text unlike the anchor's would be taken for synthetic. None
    where the profile was not made with this detector, where the detector brings nothing along, and where there are no documents
    with a logit.
    """
    if detector is None or profile.configuration.detector != detector.digest or not detector.reference.synthetic.any():
        return None
    human, reference = detector.reference.human, "calibration" if detector.is_calibrated else "detector"
    corpus = profile.histogram("synthetic_logit")
    in_domain = None if anchor is None else anchor.logits_under(detector)
    if in_domain is not None and is_likelier(corpus, in_domain, human, detector.reference.synthetic):
        human, reference = in_domain, "anchor"
    found = estimate_share(corpus, human, detector.reference.synthetic, reference != "detector")
    return None if found is None else asdict(found) | {"reference": reference}


def estimate_share(corpus: Counts, human: Counts, synthetic: Counts, is_in_domain: bool) -> ShareEstimate | None:
    """From three histograms of the same score over the same bins. None where one of them is empty.

    The interval is a percentile bootstrap (Efron 1979): documents of the corpus and of both references are drawn anew.
    """
    if min(corpus.sum(), human.sum(), synthetic.sum()) == 0:
        return None
    starts = _group_starts(human, synthetic)
    grouped = [np.add.reduceat(counts.astype(np.float64), starts) for counts in (corpus, human, synthetic)]
    estimate = _fractions(*(counts[None, :] for counts in grouped))[0]
    random = np.random.default_rng(SEED)
    resampled = _fractions(*(_drawn(random, c.sum(), c) for c in grouped))
    # Noise in the references draws every estimate a little towards a half; once more in the resampled ones.
    low, high = np.percentile(resampled, [_LOW, _HIGH]) - (resampled.mean() - estimate)
    if estimate <= np.percentile(_fractions_of_none(random, *grouped), _HIGH):
        low = 0.0
    fraction, low, high = (float(value) for value in np.clip([estimate, min(low, estimate), max(high, estimate)], 0, 1))
    return ShareEstimate(fraction, low, high, int(corpus.sum()), not is_in_domain)


def is_likelier(corpus: Counts, human: Counts, other: Counts, synthetic: Counts) -> bool:
    """Whether the corpus is at least as likely, at the best share, with the one human reference as with the other."""
    starts = _group_starts(human / max(human.sum(), 1) + other / max(other.sum(), 1), synthetic)
    documents, *kinds = (
        np.add.reduceat(c.astype(np.float64), starts)[None, :] for c in (corpus, human, other, synthetic)
    )
    q = kinds.pop()

    def likelihood(p: Floats) -> float:
        share = np.clip(_fractions(documents, p, q), 0, 1)[:, None]
        return float((documents * np.log((1 - share) * _smoothed(p) + share * _smoothed(q))).sum())

    return likelihood(kinds[0]) >= likelihood(kinds[1])


def _drawn(random: np.random.Generator, n: float, counts: Floats) -> Floats:
    """RESAMPLES histograms of n documents of this distribution."""
    result: Floats = random.multinomial(int(n), counts / counts.sum(), RESAMPLES).astype(np.float64)
    return result


def _fractions_of_none(random: np.random.Generator, corpus: Floats, human: Floats, synthetic: Floats) -> Floats:
    """What would be estimated were the corpus of the same distribution as the human reference: the lower end of an interval
    must not be above 0 more often than it says, and the bootstrap alone does not keep that with a small reference.
    """
    pooled = corpus + human
    sizes = ((corpus.sum(), pooled), (human.sum(), pooled), (synthetic.sum(), synthetic))
    return _fractions(*(_drawn(random, n, counts) for n, counts in sizes))


def _group_starts(human: Counts | Floats, synthetic: Counts) -> NDArray[np.intp]:
    """First bins of GROUPS groups that hold about equal parts of both references taken together."""
    both = human / human.sum() + synthetic / synthetic.sum()
    seen = np.concatenate([[0.0], np.cumsum(both)[:-1]])
    wanted = np.arange(GROUPS) * both.sum() / GROUPS
    starts = np.unique(np.searchsorted(seen, wanted, side="right") - 1)
    starts[0] = 0  # the corpus may have documents where the references have none
    return starts


def _fractions(corpus: Floats, human: Floats, synthetic: Floats) -> Floats:
    """Maximum likelihood of the share, row by row; shape (rows, groups) each. The likelihood is concave: bisection.

    Shares a little below 0 and above 1 are allowed, as far as the mixture stays a distribution: an estimate that cannot
    err downwards would err upwards on the average.
    """
    p, q = _smoothed(human), _smoothed(synthetic)
    low = -_OUTSIDE * _least_ratio(p, q)
    high = 1 + _OUTSIDE * _least_ratio(q, p)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        mixture = p + middle[:, None] * (q - p)
        slope = (corpus * (q - p) / mixture).sum(1)
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    result: Floats = (low + high) / 2
    return result


def _least_ratio(p: Floats, q: Floats) -> Floats:
    """The least p / (q - p) where q is greater, row by row."""
    excess = np.maximum(q - p, 1e-300)
    result: Floats = np.min(np.where(q > p, p / excess, 1.0), axis=1)
    return result


def _smoothed(counts: Floats) -> Floats:
    padded = counts + _PSEUDO_COUNT
    result: Floats = padded / padded.sum(1, keepdims=True)
    return result
