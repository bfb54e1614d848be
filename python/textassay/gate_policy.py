"""Policies: what the gate holds a scan to, as limits that a TOML file declares (docs/gate.md).

A policy checks what it names and nothing else. Tables named for what they limit have defaults; `[[drift]]` limits any figure
of a comparison with a reference, `[[limit]]` any figure of summary.json.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, NoReturn

from textassay import _backend
from textassay.distribution import PERCENTILES
from textassay.errors import UsageError
from textassay.policy import check_keys, read_policy
from textassay.provenance import LABELS, SYNTHETIC
from textassay.signal_drift import SignalDrift
from textassay.signals import BATCH_PREFIX
from textassay.untrusted import parse_toml

Mode = Literal["enforce", "monitor"]
MODES: tuple[Mode, ...] = ("enforce", "monitor")
"""What a failed limit does: fail the gate, or only be told."""

MIX = "mix"
"""The table of another command, which the gate leaves alone."""

_GREATEST = 1e300
LONGEST_TEXT = 4096
MAX_LIMITS = 1000
SYNTHETIC_MAX = 0.6
HUMAN_ANCHOR_MIN = 0.1
MEDIAN = 0.5

SECTIONS = ("inputs", "corpus", "documents", "batches", "anchor", "provenance", "performance")
"""Of summary.json: where a `[[limit]]` may look."""

COMPARED = (
    "jsd_bits",
    "jsd_by_chance_bits",
    "kl_bits",
    "total_variation",
    "delta_entropy_bits",
    "delta_entropy_low_bits",
    "delta_entropy_high_bits",
    "rarefied_delta_entropy_bits",
    "rarefied_delta_type_token_ratio",
    "rarefied_types_ratio",
    "tail_retention",
    "bigram_jsd_bits",
    "bigram_jsd_by_chance_bits",
    "bigram_total_variation",
)
"""Figures of a comparison, beside those of decades (`tail_retention.10`) and of signals (`mattr.ks_statistic`). Those of 2-grams
are there where both scans counted them.
"""

SIGNAL_FIGURES = tuple(f.name for f in fields(SignalDrift) if f.name not in ("signal", "reference", "current"))


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A figure must lie from `min` to `max`, both included; None: no limit on that side."""

    name: str
    mode: Mode
    min: float | None
    max: float | None

    def excess(self, value: float) -> float:
        """How far a value lies outside; 0 within."""
        below = 0.0 if self.min is None else self.min - value
        above = 0.0 if self.max is None else value - self.max
        return max(below, above, 0.0)


@dataclass(frozen=True, kw_only=True)
class FigureLimit(Limit):
    """On a figure of summary.json, by its dotted path."""

    figure: str


@dataclass(frozen=True, kw_only=True)
class MalformedLimit(Limit):
    """On the share of the records that are malformed."""


@dataclass(frozen=True, kw_only=True)
class SignalLimit(Limit):
    """On a quantile of a document signal, as the summary has it: the lower edge of its bin."""

    signal: str
    quantile: float


@dataclass(frozen=True, kw_only=True)
class BatchLimit(Limit):
    """On a figure of each batch."""

    figure: str
    allowed: float
    """Share of the batches that may lie outside."""
    count_short: bool
    """Whether the short last batches of files count, too: few tokens have few types, whoever wrote them."""


@dataclass(frozen=True, kw_only=True)
class LabelLimit(Limit):
    """On the share of tokens, or of documents, that have one of these labels."""

    labels: tuple[str, ...]
    of: str


@dataclass(frozen=True, kw_only=True)
class EstimateLimit(Limit):
    """On `synthetic_fraction`, the share of documents that is synthetic by the scores of all."""

    bound: str
    """What counts: "fraction", the estimate itself, or "low" or "high", the ends of its 95 % interval."""
    trust_blind: bool
    """Whether an estimate without human text of the corpus's own kind counts below the share that it can see."""


@dataclass(frozen=True, kw_only=True)
class ComparisonLimit(Limit):
    """On a figure of the comparison with a reference."""

    figure: str
    reference: Path | None


@dataclass(frozen=True)
class GatePolicy:
    """Limits, in the order of the file, and what a scan is compared with where a limit asks for it."""

    limits: tuple[Limit, ...]
    reference: Path | None
    origin: str
    """The file, for messages."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "GatePolicy":
        """Reads a TOML file; paths in it are relative to its folder. Raises `UsageError` naming the file and the key on
        anything unknown or wrong in it.
        """
        return _parse(read_policy(path), fspath(path), Path(path).parent)

    @classmethod
    def parse(cls, text: str, origin: str = "policy") -> "GatePolicy":
        """The policy of a TOML text."""
        try:
            content = parse_toml(text)
        except ValueError as error:
            raise UsageError(f"{origin}: {error}") from error
        return _parse(content, origin, Path())

    @classmethod
    def default(cls) -> "GatePolicy":
        """What holds where nobody gives a policy: `default_text()`."""
        return cls.parse(default_text(), "the default policy")

    def to_dict(self) -> dict[str, Any]:
        """All limits with their defaults filled in."""
        limits = [
            {name: fspath(value) if isinstance(value, Path) else value for name, value in asdict(limit).items()}
            for limit in self.limits
        ]
        reference = None if self.reference is None else fspath(self.reference)
        return {"origin": self.origin, "reference": reference, "limits": limits}


def default_text() -> str:
    """The file of the default policy, with comments."""
    return (files("textassay") / "policies" / "default.toml").read_text("utf-8")


# --- from TOML to limits


def _parse(content: Mapping[str, Any], origin: str, folder: Path) -> GatePolicy:
    check_keys(content, (*gate_keys(), MIX), origin)
    top = _Table({key: content[key] for key in ("mode", "reference") if key in content}, origin, "", "enforce", folder)
    mode, reference = top.mode(), top.path("reference")
    top.finish()
    limits: list[Limit] = []
    for key, value in content.items():
        if key in _tables():
            table = _Table(value, origin, key, mode, folder)
            limits += _named(key, table)
            table.finish()
        elif key in ("drift", "limit"):
            limits += _listed(key, value, origin, mode, folder)
    if not limits:
        raise UsageError(f"{origin}: no limit: a policy without one would let everything pass")
    if len(limits) > MAX_LIMITS:
        raise UsageError(f"{origin}: {len(limits)} limits: wanted at most {MAX_LIMITS}")
    return GatePolicy(tuple(limits), reference, origin)


def gate_keys() -> tuple[str, ...]:
    """All that the gate reads at the top of a policy."""
    return ("mode", "reference", "limit", "drift", *_tables())


_SHARES = ("malformed_share", "synthetic_ratio", "human_anchor_share")


def _tables() -> tuple[str, ...]:
    signals = _backend.get().SIGNALS
    return ("damaged_files", *_SHARES, "tail_retention", *_batch_figures(), *signals)


def _batch_figures() -> tuple[str, ...]:
    return tuple(name for name in _backend.get().BATCH_SIGNALS if name != "batch_n_tokens")


def _named(key: str, table: "_Table") -> list[Limit]:
    """The limits of a table that is named for what it limits."""
    own = {"name": key, "mode": table.mode()}
    match key:
        case "damaged_files":
            most = table.number("max", 0, default=0)
            return [FigureLimit(**own, min=None, max=most, figure="inputs.files_damaged")]
        case "malformed_share":
            return [MalformedLimit(**own, min=None, max=table.number("max", 0, 1, 0))]
        case "synthetic_ratio":
            return _synthetic(table)
        case "human_anchor_share":
            least = table.number("min", 0, 1, HUMAN_ANCHOR_MIN)
            return [LabelLimit(**own, min=least, max=None, labels=LABELS[:1], of=_kind_of_share(table))]
        case "tail_retention":
            least, reference = table.required("min", 0), table.path("reference")
            return [ComparisonLimit(**own, min=least, max=None, figure=key, reference=reference)]
    limits = own | table.range()
    if key.startswith(BATCH_PREFIX):
        allowed, count_short = table.number("allowed", 0, 1, 0), table.flag("count_short")
        figure = key.removeprefix(BATCH_PREFIX)
        return [BatchLimit(**limits, figure=figure, allowed=allowed or 0.0, count_short=count_short)]
    quantile = table.number("quantile", 0, 1, MEDIAN)
    if quantile not in (percent / 100 for percent in PERCENTILES):
        wanted = ", ".join(str(percent / 100) for percent in PERCENTILES)
        table.refuse("quantile", f"one of {wanted}", quantile)
    return [SignalLimit(**limits, signal=key, quantile=quantile)]


def _synthetic(table: "_Table") -> list[Limit]:
    """Two limits: by the labels of documents, and by the estimate from all scores."""
    own = {"mode": table.mode(), "min": None, "max": table.number("max", 0, 1, SYNTHETIC_MAX)}
    by, of = table.choices("by", ("labels", "estimate")), _kind_of_share(table)
    bound, trusts = table.choice("bound", ("fraction", "low", "high")), table.flag("trust_blind")
    both = {
        "labels": LabelLimit(name="synthetic_ratio by labels", **own, labels=SYNTHETIC, of=of),
        "estimate": EstimateLimit(name="synthetic_ratio by estimate", **own, bound=bound, trust_blind=trusts),
    }
    return [both[kind] for kind in by]


def _kind_of_share(table: "_Table") -> str:
    return table.choice("of", ("tokens", "documents"))


def _listed(kind: str, tables: Any, origin: str, mode: Mode, folder: Path) -> list[Limit]:
    """The limits of `[[drift]]` or `[[limit]]`."""
    if not isinstance(tables, list):
        raise UsageError(f"{origin}: {kind}: wanted tables [[{kind}]]")
    found: list[Limit] = []
    for number, content in enumerate(tables, 1):
        table = _Table(content, origin, f"{kind} {number}", mode, folder)
        figure = table.text("figure")
        name = table.text("name", figure if kind == "limit" else f"drift of {figure}")
        own = {"name": name, "mode": table.mode(), "figure": figure, **table.range()}
        if kind == "drift":
            _check_compared(figure, table)
            found.append(ComparisonLimit(**own, reference=table.path("reference")))
        else:
            if figure.partition(".")[0] not in SECTIONS or "." not in figure:
                table.refuse("figure", f"a path that begins with {', '.join(SECTIONS)}", figure)
            found.append(FigureLimit(**own))
        table.finish()
    return found


def _check_compared(figure: str, table: "_Table") -> None:
    signal, _, name = figure.partition(".")
    is_decade = re.fullmatch(r"tail_retention\.10*", figure) is not None
    is_signal = signal in _backend.get().SIGNALS and name in SIGNAL_FIGURES
    if figure in COMPARED or is_decade or is_signal:
        return
    if signal in _backend.get().SIGNALS:
        table.refuse("figure", f"{signal}. and one of {', '.join(SIGNAL_FIGURES)}", figure)
    wanted = f"one of {', '.join(COMPARED)}, tail_retention.10, a signal's as mattr.ks_statistic"
    table.refuse("figure", wanted, figure)


class _Table:
    """One table of a policy. Gives the values of the keys that it is asked for, and `finish` refuses all others."""

    def __init__(self, values: Any, origin: str, name: str, mode: Mode, folder: Path) -> None:
        self._where = f"{origin}: {name}" if name else origin
        if not isinstance(values, dict):
            raise UsageError(f"{self._where}: wanted a table, found {_short(values)}")
        self._values = values
        self._known: list[str] = []
        self._mode = mode
        self._folder = folder

    def finish(self) -> None:
        check_keys(self._values, list(dict.fromkeys(self._known)), self._where)

    def refuse(self, key: str, wanted: str, found: Any) -> NoReturn:
        raise UsageError(f"{self._where}: {key}: wanted {wanted}, found {_short(found)}")

    def number(
        self, key: str, lowest: float = -math.inf, highest: float = math.inf, default: float | None = None
    ) -> float | None:
        value = self._get(key, default)
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not lowest <= value <= highest or not abs(value) <= _GREATEST:
            self.refuse(key, _wanted_number(lowest, highest), value)
        return float(value)

    def required(self, key: str, lowest: float) -> float:
        value = self.number(key, lowest)
        if value is None:
            self.refuse(key, _wanted_number(lowest, math.inf), None)
        return value

    def range(self) -> dict[str, float | None]:
        """`min` and `max`, of which one at least is there."""
        least, most = self.number("min"), self.number("max")
        if least is None and most is None:
            found = ", ".join(map(_short, self._values)) or "neither"
            raise UsageError(f"{self._where}: wanted min or max, found {found}")
        if least is not None and most is not None and least > most:
            raise UsageError(f"{self._where}: min={least:g} is above max={most:g}: nothing could pass")
        return {"min": least, "max": most}

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
            self.refuse(key, f"a text of at most {LONGEST_TEXT} characters", value)
        return value

    def path(self, key: str) -> Path | None:
        return self._folder / self.text(key) if self._get(key, None) is not None else None

    def flag(self, key: str) -> bool:
        value = self._get(key, False)
        if not isinstance(value, bool):
            self.refuse(key, "true or false", value)
        return bool(value)

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """The first of those known is the default."""
        value = self._get(key, known[0])
        if value not in known:
            self.refuse(key, f"one of {', '.join(known)}", value)
        return str(value)

    def choices(self, key: str, known: tuple[str, ...]) -> list[str]:
        """Some of those known, in their order; all by default."""
        value = self._get(key, list(known))
        values = value if isinstance(value, list) else [value]
        if not values or any(one not in known for one in values):
            self.refuse(key, f"one of {', '.join(known)}, or a list of some", value)
        return [one for one in known if one in values]

    def mode(self) -> Mode:
        value = self._get("mode", self._mode)
        if value not in MODES:
            self.refuse("mode", " or ".join(MODES), value)
        return MODES[MODES.index(value)]

    def _get(self, key: str, default: Any) -> Any:
        self._known.append(key)
        return self._values.get(key, default)


def _wanted_number(lowest: float, highest: float) -> str:
    if highest < math.inf:
        return f"a number from {lowest:g} to {highest:g}"
    return f"a number from {lowest:g}" if lowest > -math.inf else "a number"


def _short(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]
