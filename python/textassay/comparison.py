"""Two corpora compared, and a corpus over time, from profiles alone (METRICS, section 6; docs/comparison.md)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textassay.change_points import ChangePoint, change_points
from textassay.divergence import contribution, jsd_bits, jsd_by_chance, kl_bits, total_variation
from textassay.entropy_difference import Interval, at_size, delta_entropy_bits
from textassay.errors import UsageError
from textassay.features import Feature, signal_features, type_features
from textassay.joint_counts import JointCounts, joint_counts
from textassay.movers import Mover, Movers
from textassay.profile import Profile
from textassay.profile_source import PROFILE, ProfileSource, bigrams_of, profile_of
from textassay.report import has_report
from textassay.signal_drift import SignalDrift, signal_drifts
from textassay.spectrum import Figure, Spectrum, n_types
from textassay.tail_retention import TAIL_MASS, Decade, retention_by_decade, tail_border, total_retention

SCHEMA = "textassay.comparison/1"
MOVERS_KEPT = 500
"""Rising and falling types each that a comparison keeps."""

SHOWN = 20
SERIES = ("jsd_bits", "delta_entropy_bits", "tail_retention")
"""The figures of a time line in which changes are looked for."""


@dataclass(frozen=True)
class Corpus:
    """What a comparison knows of one side."""

    name: str
    n_documents: int
    n_tokens: int
    n_types: float
    tokens: str
    """The kind: word, byte, char or bigram."""
    is_estimate: bool
    """Past the type limit."""


@dataclass(frozen=True)
class Comparison:
    """How far a corpus has moved from a reference, and in what. `figures["jsd_bits"]` and others: docs/comparison.md."""

    reference: Corpus
    current: Corpus
    figures: Mapping[str, float | None]
    """Every figure by its name; of signals as `mattr.cliffs_delta`, of decades as `tail_retention.10`. None: no value."""
    standard_errors: Mapping[str, float | None]
    """Of the figures that are estimates, past a type limit; else empty."""
    delta_entropy: Interval
    rarefied: Mapping[str, Any]
    """`n`, and of `reference` and `current` what is to be expected in n tokens: types, type-token ratio, entropy."""
    tail_retention: Sequence[Decade]
    signals: Sequence[SignalDrift]
    signals_left_out: Mapping[str, str]
    """Why a signal is not compared, by its name."""
    rising: Sequence[Mover]
    """Types by z-score: the most significant first. So is `falling`."""
    falling: Sequence[Mover]
    vanished: Sequence[Mover]
    """Types of the reference that are not in the current corpus, the most surprising first; `new` the other way round."""
    new: Sequence[Mover]
    rising_bigrams: Sequence[Mover]
    """As `rising`, of 2-grams; empty unless both profiles have theirs beside them. So is `falling_bigrams`."""
    falling_bigrams: Sequence[Mover]
    features: Sequence[Feature]
    """What the divergence consists of: tokens, then 2-grams, then signals, then themes, each by bits descending."""
    label: str = ""
    """The current corpus's place in a time line."""
    samples: Mapping[str, Mapping[str, int]] | None = None
    """Of `reference` and `current` text, once `illustrate` has read it: documents read and sampled, malformed records,
    damaged files.
    """

    @property
    def is_estimate(self) -> bool:
        return self.reference.is_estimate or self.current.is_estimate

    def __repr__(self) -> str:
        moved = self.figures["jsd_bits"]
        return f"<Comparison of {self.current.name!r} with {self.reference.name!r}: moved {moved:.3f} bits>"

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that `textassay compare --json` prints."""
        return Timeline([self]).to_dict()

    def _repr_html_(self) -> str | None:
        """For notebooks; None without jinja2 and matplotlib, and then `repr` is shown."""
        if not has_report():
            return None
        from textassay.report.notebook import comparison_html

        return comparison_html(self.to_dict())


@dataclass(frozen=True)
class Timeline:
    """Several corpora against one reference, in order, and where the figures of `SERIES` change their level."""

    comparisons: Sequence[Comparison]
    change_points: Mapping[str, Sequence[ChangePoint]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document that `textassay compare --json` prints."""
        labels = [comparison.label for comparison in self.comparisons]
        changes = [
            {"figure": name, "label": labels[point.index]} | asdict(point)
            for name, points in self.change_points.items()
            for point in points
        ]
        return {
            "schema": SCHEMA,
            "reference": asdict(self.comparisons[0].reference),
            "comparisons": [_as_dict(comparison) for comparison in self.comparisons],
            "change_points": changes,
        }


def compare(
    reference: ProfileSource,
    current: ProfileSource,
    *,
    label: str | None = None,
    tail_mass: float = TAIL_MASS,
    prior_tokens: float | None = None,
) -> Comparison:
    """How far `current` has moved from `reference`. Neither corpus is read again.

    Both are a `Profile`, an `Anchor` or the path of a `.tap` file, a folder that `scan` wrote or an anchor file. `label`
    names the current corpus; `tail_mass` is the share of tokens that the reference's tail makes up; `prior_tokens` is the
    weight of the movers' prior (`movers.log_odds`). Equal profiles give 0 for every distance, exactly.

    Raises `UsageError` where a profile is empty or they count other kinds of tokens, `InputError`, `ProfileError` and
    `AnchorError` where one cannot be read.
    """
    labels = None if label is None else [label]
    found = compare_timeline(reference, [current], labels, tail_mass=tail_mass, prior_tokens=prior_tokens)
    return found.comparisons[0]


def compare_timeline(
    reference: ProfileSource,
    currents: Sequence[ProfileSource],
    labels: Sequence[str] | None = None,
    *,
    tail_mass: float = TAIL_MASS,
    prior_tokens: float | None = None,
) -> Timeline:
    """Each of `currents`, in the order given, against `reference`; one profile at a time is in memory beside it.

    `labels`: one a current corpus; else the names of the files. Raises as `compare` does.
    """
    if not currents:
        raise UsageError("nothing to compare with the reference: wanted a profile or more")
    if labels is not None and len(labels) != len(currents):
        raise UsageError(f"wanted a label for each of {len(currents)} profiles, found {len(labels)}")
    if prior_tokens is not None and not 0 < prior_tokens < float("inf"):
        raise UsageError(f"prior_tokens={prior_tokens}: wanted a number above 0")
    held = _read(reference)
    border = tail_border(held.spectrum, tail_mass)
    found = []
    for position, current in enumerate(currents):
        other = _read(current)
        _check_alike(held, other)
        label = _label(other.corpus.name) if labels is None else labels[position]
        found.append(_compared(held, other, border, prior_tokens, label))
    return Timeline(found, _changes(found))


@dataclass(frozen=True)
class _Side:
    corpus: Corpus
    profile: Profile
    spectrum: Spectrum
    bigrams: Profile | None


def _read(source: ProfileSource) -> _Side:
    name, profile = profile_of(source)
    totals, spectrum = profile.totals(), profile.frequencies()
    if totals["n_tokens"] == 0:
        raise UsageError(f"{name}: the profile holds no token: nothing to compare")
    types = n_types(spectrum).value or 0
    kind = profile.configuration.tokens
    corpus = Corpus(name, totals["n_documents"], totals["n_tokens"], types, kind, not profile.is_exact)
    return _Side(corpus, profile, spectrum, bigrams_of(source))


def _check_alike(reference: _Side, current: _Side) -> None:
    mine, theirs = reference.profile.configuration, current.profile.configuration
    for what, here, there in (("tokens", mine.tokens, theirs.tokens), ("Unicode", mine.unicode, theirs.unicode)):
        if here != there:
            names = f"{reference.corpus.name} and {current.corpus.name}"
            raise UsageError(f"{names} cannot be compared: they count {what} {here!r} and {there!r}")


def _compared(reference: _Side, current: _Side, border: int, prior_tokens: float | None, label: str) -> Comparison:
    joint = joint_counts(reference.profile, current.profile)
    movers = Movers(joint, contribution(joint), prior_tokens)
    entropy = delta_entropy_bits(reference.spectrum, current.spectrum)
    n = min(joint.n_reference, joint.n_current)
    rarefied = [at_size(side.spectrum, n) for side in (reference, current)]
    decades = _retained(joint, border)
    signals, left_out = signal_drifts(reference.profile, current.profile)
    scalars = _scalars(joint, entropy, rarefied)
    bigrams = _bigrams(reference, current, prior_tokens)
    scalars |= bigrams.figures
    values = {name: figure.value for name, figure in scalars.items()}
    values |= {"tail_retention": total_retention(decades)}
    values |= {f"tail_retention.{row['decade']}": row["retention"] for row in decades}
    values |= {f"{drift.signal}.{name}": value for drift in signals for name, value in drift.figures().items()}
    errors = {name: figure.error for name, figure in scalars.items() if figure.error is not None}
    errors |= {
        f"tail_retention.{row['decade']}": row["standard_error"] for row in decades if row["standard_error"] is not None
    }
    return Comparison(
        reference=reference.corpus,
        current=current.corpus,
        label=label,
        figures=values,
        standard_errors=errors,
        delta_entropy=entropy,
        rarefied={"n": n, "reference": _values(rarefied[0]), "current": _values(rarefied[1])},
        tail_retention=decades,
        signals=signals,
        signals_left_out=left_out,
        rising=movers.rising(MOVERS_KEPT),
        falling=movers.falling(MOVERS_KEPT),
        vanished=movers.vanished(SHOWN),
        new=movers.new(SHOWN),
        rising_bigrams=bigrams.rising,
        falling_bigrams=bigrams.falling,
        features=[
            *type_features("token", movers.drivers(SHOWN), values["jsd_bits"]),
            *type_features("bigram", bigrams.drivers, values.get("bigram_jsd_bits")),
            *signal_features(signals),
        ],
    )


@dataclass(frozen=True)
class _Bigrams:
    figures: Mapping[str, Figure] = field(default_factory=dict)
    rising: Sequence[Mover] = ()
    falling: Sequence[Mover] = ()
    drivers: Sequence[Mover] = ()


def _bigrams(reference: _Side, current: _Side, prior_tokens: float | None) -> _Bigrams:
    """Nothing unless both have 2-grams, and some of them."""
    if reference.bigrams is None or current.bigrams is None:
        return _Bigrams()
    joint = joint_counts(reference.bigrams, current.bigrams)
    if not joint.n_reference or not joint.n_current:
        return _Bigrams()
    movers = Movers(joint, contribution(joint), prior_tokens)
    figures = {"bigram_jsd_bits": jsd_bits(joint), "bigram_jsd_by_chance_bits": Figure(jsd_by_chance(joint))}
    figures["bigram_total_variation"] = total_variation(joint)
    return _Bigrams(figures, movers.rising(MOVERS_KEPT), movers.falling(MOVERS_KEPT), movers.drivers(SHOWN))


def _scalars(joint: JointCounts, entropy: Interval, rarefied: Sequence[Mapping[str, Figure]]) -> dict[str, Figure]:
    here, there = rarefied
    return {
        "jsd_bits": jsd_bits(joint),
        "jsd_by_chance_bits": Figure(jsd_by_chance(joint)),
        "kl_bits": kl_bits(joint),
        "total_variation": total_variation(joint),
        "delta_entropy_bits": Figure(entropy.value),
        "delta_entropy_low_bits": Figure(entropy.low),
        "delta_entropy_high_bits": Figure(entropy.high),
        "rarefied_delta_entropy_bits": _difference(here["entropy_bits"], there["entropy_bits"]),
        "rarefied_delta_type_token_ratio": _difference(here["type_token_ratio"], there["type_token_ratio"]),
        "rarefied_types_ratio": _ratio(here["n_types"], there["n_types"]),
    }


def _difference(reference: Figure, current: Figure) -> Figure:
    return Figure(_known(current) - _known(reference), _joined(reference.error, current.error))


def _ratio(reference: Figure, current: Figure) -> Figure:
    if not _known(reference) > 0:
        return Figure(None)  # an estimate that noise has drowned
    value = _known(current) / _known(reference)
    if reference.error is None and current.error is None:
        return Figure(value)
    error = _joined((reference.error or 0) * value, current.error)
    return Figure(value, None if error is None else error / _known(reference))


def _known(figure: Figure) -> float:
    assert figure.value is not None
    return figure.value


def _joined(*errors: float | None) -> float | None:
    known = [error for error in errors if error is not None]
    return math.hypot(*known) if known else None


def _retained(joint: JointCounts, border: int) -> list[Decade]:
    sampled = slice(0, joint.n_sampled)
    counts = (joint.reference[sampled], joint.current[sampled])
    return retention_by_decade(*counts, joint.n_reference, joint.n_current, border, 0.5**joint.level)


def _values(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in figures.items()}


def _changes(comparisons: Sequence[Comparison]) -> dict[str, list[ChangePoint]]:
    """Series with a value missing are left out."""
    series = {name: [comparison.figures[name] for comparison in comparisons] for name in SERIES}
    return {
        name: change_points([value for value in values if value is not None])
        for name, values in series.items()
        if None not in values
    }


def _label(name: str) -> str:
    """The file's name without `.tap`; of a scan's own `profile.tap` and of a folder the folder's name."""
    path = Path(name)
    if path.name == PROFILE:
        path = path.absolute().parent
    return path.stem if path.suffix in (".tap", ".anchor") else path.absolute().name


def _as_dict(comparison: Comparison) -> dict[str, Any]:
    found = {
        "label": comparison.label,
        "current": asdict(comparison.current),
        "is_estimate": comparison.is_estimate,
        "figures": dict(comparison.figures),
        "standard_errors": dict(comparison.standard_errors),
        "rarefied": dict(comparison.rarefied),
        "tail_retention": list(comparison.tail_retention),
        "features": [asdict(feature) for feature in comparison.features],
        "signals": [asdict(drift) for drift in comparison.signals],
        "signals_left_out": dict(comparison.signals_left_out),
    }
    names = ("rising", "falling", "vanished", "new", "rising_bigrams", "falling_bigrams")
    lists = {name: getattr(comparison, name)[:SHOWN] for name in names}
    if comparison.samples is not None:
        found["samples"] = dict(comparison.samples)
    return found | {"movers": {name: [asdict(mover) for mover in movers] for name, movers in lists.items()}}
