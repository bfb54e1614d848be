"""The gate: a scan's results held to a policy, without a second pass over the corpus (docs/gate.md)."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from typing import Any, Literal

from textassay.comparison import Comparison, compare
from textassay.errors import FolderError, UsageError
from textassay.gate_places import (
    Place,
    damaged_files,
    drifted_types,
    files_by_label,
    files_by_probability,
    files_by_signal,
    lost_tokens,
    malformed_files,
    sources_by_label,
    tally_batches,
)
from textassay.gate_policy import (
    BatchLimit,
    ComparisonLimit,
    EstimateLimit,
    FigureLimit,
    GatePolicy,
    LabelLimit,
    Limit,
    MalformedLimit,
    Mode,
    SignalLimit,
)
from textassay.inputs import printable
from textassay.profile_source import ProfileSource
from textassay.scan_results import ScanResults
from textassay.share import BLIND_BELOW

SCHEMA = "textassay.gate/1"

Outcome = Literal["passed", "failed", "no data"]
Unit = Literal["", "share", "bits"]


@dataclass(frozen=True)
class Check:
    """One limit of a policy and what became of it."""

    name: str
    mode: Mode
    outcome: Outcome
    value: float | None
    """What was found: of batches the one furthest out. None without data."""
    min: float | None
    max: float | None
    excess: float | None
    """How far the value lies outside the limits; 0 within."""
    unit: Unit
    message: str
    """What the value is of; without data, why there is none."""
    places: Sequence[Place] = ()
    """Where the limit is missed, worst first, the first `gate_places.KEPT` of them. Empty where it passed."""

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"

    @property
    def fails_gate(self) -> bool:
        return not self.passed and self.mode == "enforce"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"places": [place.to_dict() for place in self.places]}


@dataclass(frozen=True)
class GateResult:
    """What the gate says of one folder. `passed` where no enforced limit failed or had no data."""

    out: str
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        return not any(check.fails_gate for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        return {"out": self.out, "passed": self.passed, "checks": [check.to_dict() for check in self.checks]}


def gate(
    out: str | PathLike[str],
    policy: GatePolicy | str | PathLike[str] | None = None,
    *,
    reference: ProfileSource | None = None,
    read_documents: bool = True,
) -> GateResult:
    """Holds the results in the folder `out`, which `scan` or `merge` wrote, to a policy: one, its file, or the default one.

    `reference` takes the place of the policy's own: a profile, an anchor, or the path of either or of a scan's folder. Where
    a limit is missed, the rows of documents are read to name the worst files, if the scan wrote some, unless
    `read_documents` is False.

    Raises `UsageError` on a policy that is wrong, on a folder that holds no whole results and on profiles that cannot be
    compared, `ProfileError` and `AnchorError` on damage.
    """
    return gate_all([out], policy, reference=reference, read_documents=read_documents)[0]


def gate_all(
    outs: Iterable[str | PathLike[str]],
    policy: GatePolicy | str | PathLike[str] | None = None,
    *,
    reference: ProfileSource | None = None,
    read_documents: bool = True,
) -> list[GateResult]:
    """The same of several folders, in their order."""
    used = (
        GatePolicy.default()
        if policy is None
        else policy
        if isinstance(policy, GatePolicy)
        else GatePolicy.load(policy)
    )
    default = used.reference if reference is None else reference
    return [_Gate(ScanResults(out), default, read_documents).result(used) for out in outs]


def report(results: Sequence[GateResult], policy: GatePolicy) -> dict[str, Any]:
    """The JSON document that `textassay gate --json` prints."""
    return {
        "schema": SCHEMA,
        "passed": all(result.passed for result in results),
        "policy": policy.to_dict(),
        "outs": [result.to_dict() for result in results],
    }


def _nowhere() -> list[Place]:
    return []


@dataclass(frozen=True)
class _Found:
    """A figure, and what is to be said of it."""

    value: float
    message: str
    is_missed: bool | None = None
    """Whether the limit is; None: what the value says."""
    places: Callable[[], Sequence[Place]] = _nowhere
    """Asked only where the limit is missed."""


class _NoData(Exception):
    """Why there is no figure that a limit could be held to."""


class _Gate:
    """One folder of results, as limits look at it."""

    def __init__(self, results: ScanResults, reference: ProfileSource | None, read_documents: bool) -> None:
        self._results = results
        self._reference = reference
        self._read_documents = read_documents
        self._comparisons: dict[str, Comparison] = {}

    def result(self, policy: GatePolicy) -> GateResult:
        for limit in policy.limits:
            if isinstance(limit, ComparisonLimit):
                with suppress(_NoData):
                    self._compare(limit)
        try:
            checks = tuple(self._check(limit) for limit in policy.limits)
        except UsageError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            where = self._results.path / "summary.json"
            raise FolderError(f"{where} is not as a scan writes it: {error!r}") from error
        return GateResult(printable(str(self._results.path)), checks)

    def _check(self, limit: Limit) -> Check:
        own = (limit.min, limit.max)
        try:
            found = self._found(limit)
        except _NoData as none:
            return Check(limit.name, limit.mode, "no data", None, *own, None, unit_of(limit), str(none))
        excess = limit.excess(found.value)
        is_missed = excess > 0 if found.is_missed is None else found.is_missed
        outcome: Outcome = "failed" if is_missed else "passed"
        places = tuple(found.places()) if is_missed else ()
        return Check(limit.name, limit.mode, outcome, found.value, *own, excess, unit_of(limit), found.message, places)

    def _found(self, limit: Limit) -> _Found:
        match limit:
            case MalformedLimit():
                return self._malformed()
            case SignalLimit():
                return self._signal(limit)
            case BatchLimit():
                return self._batches(limit)
            case LabelLimit():
                return self._labels(limit)
            case EstimateLimit():
                return self._estimate(limit)
            case ComparisonLimit():
                return self._compared(limit)
            case FigureLimit():
                return self._figure(limit)
        raise AssertionError(limit)

    def _number(self, path: str, nothing: str) -> float:
        """A figure of the summary. `nothing` says why it may be null or missing."""
        try:
            value = self._results.figure(path)
        except KeyError as error:
            hint = error.args[0]
            raise _NoData(f"{nothing}; {hint}" if hint else nothing) from error
        if value is None:
            raise _NoData(nothing)
        return value

    def _figure(self, limit: FigureLimit) -> _Found:
        value = self._number(limit.figure, f"the summary has no value of {limit.figure}")
        if limit.figure == "inputs.files_damaged":
            files = self._number("inputs.files", "the number of files is not known")
            return _Found(
                value, f"of {files:,} file{'' if files == 1 else 's'}", places=lambda: damaged_files(self._results)
            )
        message = "in summary.json" if limit.name == limit.figure else f"{limit.figure} in summary.json"
        section, name, *rest = limit.figure.split(".")
        if section == "documents" and rest[:1] == ["quantiles"]:
            return _Found(value, message, places=lambda: self._of_signal(name, limit))
        return _Found(value, message)

    def _malformed(self) -> _Found:
        nothing = "profiles without their folders were merged: what became of their inputs is not known"
        malformed, documents = (self._number(f"inputs.{name}", nothing) for name in ("malformed", "documents"))
        records = malformed + documents
        if not records:
            raise _NoData("there is no record")
        reasons = self._results.summary["inputs"]["malformed_by_reason"].items()
        message = f"{malformed:,} of {records:,} records" + "".join(f", {name} {n:,}" for name, n in reasons)
        return _Found(malformed / records, message, places=lambda: malformed_files(self._results))

    def _signal(self, limit: SignalLimit) -> _Found:
        about = f"documents.{limit.signal}"
        nothing = f"no document has a value of {limit.signal}, or the scan has not measured it"
        value, n = (self._number(f"{about}.{part}", nothing) for part in (f"quantiles.{limit.quantile}", "n"))
        which = "median" if limit.quantile == 0.5 else f"quantile {limit.quantile:g}"
        message = f"{which} of {n:,} documents"
        return _Found(value, message, places=lambda: self._of_signal(limit.signal, limit))

    def _of_signal(self, signal: str, limit: Limit) -> list[Place]:
        return files_by_signal(self._results, signal, limit) if self._read_documents else []

    def _batches(self, limit: BatchLimit) -> _Found:
        if self._results.batches_file is None:
            raise _NoData("there are no batches: the folder is that of a merge; gate those of its parts")
        tally, places = tally_batches(self._results, limit)
        size = f"{self._results.summary['batches']['batch_tokens']:,} tokens"
        if not tally.n:
            if not tally.n_short:
                raise _NoData("there is no batch with a token")
            some = f"{tally.n_short:,} batches, all short of {size}"
            raise _NoData(f"{some}: scan with smaller --batch-tokens, or let them count with count_short = true")
        share = tally.n_outside / tally.n
        low = limit.max is None or (limit.min is not None and limit.min - tally.lowest >= tally.highest - limit.max)
        message = f"{tally.n_outside:,} of {tally.n:,} batches outside"
        message += f" ({_percent(share)}; {_percent(limit.allowed)} allowed)" if limit.allowed else ""
        if tally.n_short and not limit.count_short:
            message += f"; {tally.n_short:,} short of {size} do not count ({tally.n_short_outside:,} outside)"
        value = tally.lowest if low else tally.highest
        return _Found(value, message, share > limit.allowed, lambda: places)

    def _labels(self, limit: LabelLimit) -> _Found:
        provenance = self._results.summary.get("provenance")
        if provenance is None:
            raise _NoData("documents have no labels: scan with --provenance, or with a detector")
        corpus = provenance["corpus"]
        labelled, n = sum(corpus["labels"][label][limit.of] for label in limit.labels), corpus[limit.of]
        if not n:
            raise _NoData(f"there are no {limit.of}")
        message = f"{labelled:,} of {n:,} {limit.of} are {' or '.join(limit.labels)}"
        if limit.min is not None and not labelled:
            message += "; rules say which: scan --provenance"

        def places() -> list[Place]:
            files = files_by_label(self._results, limit) if self._read_documents else []
            return [*sources_by_label(self._results, limit), *files]

        return _Found(labelled / n, message, places=places)

    def _estimate(self, limit: EstimateLimit) -> _Found:
        found = self._results.summary.get("provenance", {}).get("synthetic_fraction")
        if found is None:
            what = "no detector looked at the documents, or none of them is long enough"
            raise _NoData(f"no estimate: {what}")
        assert limit.max is not None
        if found["is_blind"] and limit.max < BLIND_BELOW and not limit.trust_blind:
            remedy = "scan with an --anchor of this kind of text, or set trust_blind = true"
            raise _NoData(
                f"shares below {_percent(BLIND_BELOW)} are not told from none without human text to compare: {remedy}"
            )
        interval = f"95 % interval by chance alone {_percent(found['low'])} to {_percent(found['high'])}"
        message = f"{limit.bound} of the estimate, {found['n_documents']:,} documents, {interval}"
        message += f", blind below {_percent(BLIND_BELOW)}" if found["is_blind"] else ""

        def places() -> list[Place]:
            return files_by_probability(self._results) if self._read_documents else []

        return _Found(found[limit.bound], message, places=places)

    def _compared(self, limit: ComparisonLimit) -> _Found:
        comparison = self._compare(limit)
        value, (signal, _, _) = comparison.figures.get(limit.figure), limit.figure.partition(".")
        if value is None:
            why = comparison.signals_left_out.get(signal, "the comparison has no such value")
            raise _NoData(f"{limit.figure}: {why}")
        message = f"against {comparison.reference.name}"
        error = comparison.standard_errors.get(limit.figure)
        message += f", an estimate ± {error:.2g}" if error is not None else ""
        if signal == "tail_retention":
            return _Found(value, message, places=lambda: lost_tokens(comparison))
        for drift in comparison.signals:
            if drift.signal == signal:
                before, after = drift.reference["median"], drift.current["median"]
                return _Found(value, f"{message}, median {_shown(before)} → {_shown(after)}")
        kind = "bigram" if signal.startswith("bigram") else "token"
        return _Found(value, message, places=lambda: drifted_types(comparison, kind))

    def _compare(self, limit: ComparisonLimit) -> Comparison:
        """With the limit's own reference or that of all; made once."""
        reference = self._reference if limit.reference is None else limit.reference
        if reference is None:
            raise _NoData("nothing to compare with: give a --reference, or one in the policy")
        if not self._number("corpus.n_tokens", "the number of tokens is not known"):
            raise _NoData("there is no token")
        key = fspath(reference) if isinstance(reference, (str, PathLike)) else ""
        if key not in self._comparisons:
            self._comparisons[key] = compare(reference, self._results.path)
        return self._comparisons[key]


def unit_of(limit: Limit) -> Unit:
    """Of the limit and of what is held to it."""
    match limit:
        case MalformedLimit() | LabelLimit() | EstimateLimit():
            return "share"
        case ComparisonLimit() if limit.figure.startswith("tail_retention"):
            return "share"
        case BatchLimit() | ComparisonLimit():
            return "bits" if limit.figure.endswith("_bits") else ""
        case SignalLimit():
            return "bits" if limit.signal.endswith("_bits") else ""
    return ""


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
