"""How far a corpus has collapsed, measured against a reference: healthy, early, late or total (docs/simulation.md).

Shumailov et al. (2024) part early collapse, where the tails of the distribution are lost, from late collapse, where its
variance is and little resembles the original. Total collapse is the end of that: a loop. For words the variance is read
off the entropy: 2^H is the number of equally frequent words that would be as uncertain.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.errors import UsageError
from textassay.merging import profile_file
from textassay.profile import Profile
from textassay.spectrum import Spectrum, entropy_mm_bits, rarefied_types
from textassay.tail_retention import TAIL_MASS, tail_retention, total_retention

SCHEMA = "textassay.collapse/1"

HEALTHY, EARLY, LATE, TOTAL = STAGES = ("healthy", "early", "late", "total")
"""From good to bad."""

FIGURES = {
    "tail_retention": "rare words that are left, of those expected in a sample of this size",
    "growth_kept": "new words in the second half of a sample, against the reference's",
    "types_kept": "distinct words in a sample, against the reference's",
    "effective_types_kept": "2^entropy, against the reference's",
    "mattr_kept": "mean MATTR of documents, against the reference's",
}


@dataclass(frozen=True)
class Limits:
    """Shares of what the reference has. `RULES` says what they decide."""

    growth: float = 0.5
    tail_retention: float = 0.75
    growth_with_tail: float = 0.75
    types: float = 0.25
    effective_types: float = 0.5
    effective_types_total: float = 0.0625
    mattr: float = 0.5

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 <= value <= 1:
                raise UsageError(f"{one.name}={value}: wanted a share from 0 to 1")

    @classmethod
    def parse(cls, given: Iterable[str]) -> "Limits":
        """From `name=share`. Raises `UsageError`."""
        known = {one.name for one in fields(cls)}
        values: dict[str, float] = {}
        for item in given:
            name, _, value = item.partition("=")
            if name.strip() not in known:
                raise UsageError(f"limit {item!r}: wanted NAME=SHARE with one of {', '.join(sorted(known))}")
            try:
                values[name.strip()] = float(value)
            except ValueError as error:
                raise UsageError(f"limit {item!r}: wanted a share from 0 to 1 behind the =") from error
        return cls(**values)


RULES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (TOTAL, (("effective_types_kept", "effective_types_total"),)),
    (TOTAL, (("mattr_kept", "mattr"),)),
    (LATE, (("effective_types_kept", "effective_types"),)),
    (LATE, (("types_kept", "types"),)),
    (EARLY, (("growth_kept", "growth"),)),
    # Two halves of one human corpus share 57 to 85 % of their tails: rare words come in clumps. Other rare words are another topic;
    # fewer are a loss.
    (EARLY, (("tail_retention", "tail_retention"), ("growth_kept", "growth_with_tail"))),
)
"""A stage, and the figures that all have to be below their limits; the worst first."""


@dataclass(frozen=True)
class Reason:
    """A figure that is below a limit, and the stage that this stands for."""

    stage: str
    figure: str
    value: float
    limit: float


@dataclass(frozen=True)
class Stage:
    """`name` is one of `STAGES`: the worst that `reasons` stand for. `figures` may be None where they have no value."""

    name: str
    figures: Mapping[str, float | None]
    reasons: tuple[Reason, ...] = field(default=())

    def report(self) -> dict[str, Any]:
        """As JSON."""
        return {"stage": self.name, "figures": dict(self.figures), "reasons": [asdict(one) for one in self.reasons]}


def judge(figures: Mapping[str, float | None], limits: Limits | None = None) -> Stage:
    """The stage that figures stand for; those that are missing or None decide nothing."""
    shares = asdict(limits or Limits())
    reasons = []
    for name, conditions in RULES:
        found = [
            Reason(name, figure, value, shares[limit])
            for figure, limit in conditions
            if (value := figures.get(figure)) is not None and value < shares[limit]
        ]
        if len(found) == len(conditions):
            reasons += found
    return Stage(reasons[0].stage if reasons else HEALTHY, figures, tuple(reasons))


def kept(
    reference: Spectrum, current: Spectrum, retention: float | None, mattr: tuple[float | None, float | None]
) -> dict[str, float | None]:
    """The figures of `judge`, from both spectra, the retention of the tail, and the mean MATTR of both corpora.

    Numbers of words are compared at the size of the smaller corpus (rarefaction), entropies by Miller & Madow's estimate.
    """
    size = min(reference.n_tokens, current.n_tokens)
    if size == 0:
        raise UsageError("a corpus without tokens has no stage")
    types, grown = zip(*(_types_and_growth(spectrum, size) for spectrum in (reference, current)), strict=True)
    entropies = [entropy_mm_bits(spectrum).value or 0.0 for spectrum in (reference, current)]
    before, now = mattr
    return {
        "tail_retention": retention,
        "growth_kept": grown[1] / grown[0] if grown[0] > 0 else None,
        "types_kept": types[1] / types[0],
        "effective_types_kept": 2.0 ** (entropies[1] - entropies[0]),
        "mattr_kept": None if before is None or now is None else now / before,
    }


def _types_and_growth(spectrum: Spectrum, size: int) -> tuple[float, float]:
    whole, half = (rarefied_types(spectrum, n).value or 0.0 for n in (size, size // 2))
    return whole, whole - half


def stage(
    reference: Profile, profiles: Sequence[Profile], limits: Limits | None = None, *, tail_mass: float = TAIL_MASS
) -> list[Stage]:
    """Of each profile the stage, against the reference. Past the type limit the figures are estimates.

    Raises `UsageError` on profiles without tokens or of other kinds of tokens.
    """
    return [judge(_against(reference, profile, tail_mass), limits) for profile in profiles]


def report_on(
    reference: str | PathLike[str],
    profiles: Sequence[str | PathLike[str]],
    limits: Limits | None = None,
    tail_mass: float = TAIL_MASS,
) -> dict[str, Any]:
    """`stage` for profiles on disk (`.tap` files, or folders that scan wrote), as JSON; one is in memory at a time."""
    used = limits or Limits()
    real = Profile.load(profile_file(Path(reference)))
    found = []
    for path in profiles:
        (one,) = stage(real, [Profile.load(profile_file(Path(path)))], used, tail_mass=tail_mass)
        found.append({"profile": str(path)} | one.report())
    return {
        "schema": SCHEMA,
        "reference": str(reference),
        "tail_mass": tail_mass,
        "limits": asdict(used),
        "stages": found,
    }


def _against(reference: Profile, current: Profile, tail_mass: float) -> dict[str, float | None]:
    retention = total_retention(tail_retention(reference, current, tail_mass))
    return kept(
        reference.frequencies(), current.frequencies(), retention, (_mean_mattr(reference), _mean_mattr(current))
    )


def _mean_mattr(profile: Profile) -> float | None:
    if "mattr" not in profile.configuration.signals:
        return None
    mean = profile.distributions()["mattr"]["mean"]
    return None if mean is None else float(mean)
