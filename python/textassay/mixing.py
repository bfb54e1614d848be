"""Plans how much of which source and of which label to train on (docs/mix.md)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from textassay.errors import FolderError, InputError, UsageError
from textassay.gate_policy import MIX, gate_keys
from textassay.policy import check_keys, number_of, read_section
from textassay.profile import Profile
from textassay.projection import Conflict, Limit, find_cap_factor, find_conflict, project
from textassay.provenance import LABELS, SYNTHETIC
from textassay.provenance_tables import source_counts
from textassay.scan_folder import ScanFolder

SCHEMA = "textassay.mix/1"
MAX_SYNTHETIC = 0.6
MIN_HUMAN_VERIFIED = 0.1
MAX_EPOCHS = 4.0
"""Text that is seen up to four times is worth nearly as much as new text (Muennighoff et al. 2023)."""

VERIFIED = LABELS[0]
DIGITS = 9
MOST_EPOCHS = 1e6

_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_SECTION_KEYS = ("tokens", "max_synthetic", "min_human_verified", "max_epochs", "min_tail_share", "labels", "sources")
_PART_KEYS = ("min", "max", "max_epochs")


@dataclass(frozen=True)
class PartLimits:
    """What a policy says of one label or source: shares of all tokens of the mix, and how often each document may be seen."""

    min: float | None = None
    max: float | None = None
    max_epochs: float | None = None


@dataclass(frozen=True)
class MixPolicy:
    """The table [mix] of a policy. `tokens` None: as many as there are."""

    tokens: int | None
    max_synthetic: float
    min_human_verified: float
    max_epochs: float
    min_tail_share: float | None
    labels: Mapping[str, PartLimits]
    sources: Mapping[str, PartLimits]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "MixPolicy":
        """Reads a policy file. Raises `UsageError` on anything unknown or wrong in its table [mix]."""
        return cls.parse(read_section(path, MIX, gate_keys()), f"{fspath(path)}: mix")

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str = "mix") -> "MixPolicy":
        check_keys(table, _SECTION_KEYS, where)

        def share(key: str, default: float) -> float:
            found = number_of(table, key, 0, 1, where)
            return default if found is None else found

        epochs = number_of(table, "max_epochs", 0, MOST_EPOCHS, where)
        return cls(
            tokens=_tokens(table["tokens"], where) if "tokens" in table else None,
            max_synthetic=share("max_synthetic", MAX_SYNTHETIC),
            min_human_verified=share("min_human_verified", MIN_HUMAN_VERIFIED),
            max_epochs=MAX_EPOCHS if epochs is None else epochs,
            min_tail_share=number_of(table, "min_tail_share", 0, 1, where),
            labels=_parts(table.get("labels", {}), LABELS, f"{where}.labels"),
            sources=_parts(table.get("sources", {}), None, f"{where}.sources"),
        )

    def needs_labels(self) -> bool:
        return bool(self.labels) or self.max_synthetic < 1 or self.min_human_verified > 0


@dataclass(frozen=True)
class Cell:
    """Documents of one scan, source and label. A source without a name has that of the scan's folder."""

    scan: str
    source: str
    label: str | None
    documents: int
    tokens: int


@dataclass(frozen=True)
class MixPlan:
    """`report` is what the file of weights holds. Not feasible: `conflicts` in it say why, and there are no weights."""

    report: dict[str, Any]

    @property
    def is_feasible(self) -> bool:
        return bool(self.report["feasible"])


def plan_mix(scans: str | PathLike[str] | Sequence[str | PathLike[str]], policy: MixPolicy) -> MixPlan:
    """How many tokens to draw from every source and label of the scans so that the policy is met and the shares are as near as can be
    to those of the scans: of the least Kullback-Leibler divergence.

    `scans` are folders that `scan -o` or `merge -o` wrote; a tail limit needs those of scans. Raises `UsageError` on a policy that names what is not there,
    `FolderError` on a folder that is none, `InputError` on inputs that two scans share.
    """
    paths = [Path(one) for one in ([scans] if isinstance(scans, (str, PathLike)) else scans)]
    if not paths:
        raise UsageError("no scan: wanted the folders that `scan -o` wrote")
    cells = [cell for path in paths for cell in _cells_of(path, policy)]
    _check_sources(policy, cells)
    _check_apart(paths)
    total = sum(cell.tokens for cell in cells)
    if not total:
        raise UsageError(f"{', '.join(map(str, paths))}: no tokens to mix")
    tails = _tail_shares(paths) if policy.min_tail_share is not None else {}
    problem = _Problem(policy, cells, tails, policy.tokens or total)
    conflicts = find_conflict(problem.limits, len(problem.groups))
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "feasible": not conflicts,
        "tokens": problem.tokens,
        "tokens_available": total,
        "natural": problem.achieved(problem.natural),
    }
    if conflicts:
        return MixPlan(report | problem.clash(conflicts))
    return MixPlan(report | problem.solved())


class _Problem:
    """Cells of which the policy says the same are one group: in the nearest distribution they keep their proportions."""

    def __init__(
        self,
        policy: MixPolicy,
        cells: Sequence[Cell],
        tails: Mapping[tuple[str, str | None], float],
        tokens: int,
    ) -> None:
        self.policy, self.tokens = policy, tokens
        self._tails = tails
        self.cells = [cell for cell in cells if cell.tokens]
        keys = [self._key(cell) for cell in self.cells]
        self.groups = list(dict.fromkeys(keys))
        places = {key: place for place, key in enumerate(self.groups)}
        self.group_of = [places[key] for key in keys]
        available = np.bincount(self.group_of, [cell.tokens for cell in self.cells], minlength=len(self.groups))
        self.available = available
        self.natural = available / available.sum()
        self.limits = self._limits()

    def _key(self, cell: Cell) -> tuple[str, str | None, str | None]:
        """Scan, where its tail counts; source, where the policy names it; label."""
        return (
            cell.scan if self._tails else "",
            cell.source if cell.source in self.policy.sources else None,
            cell.label,
        )

    def _limits(self) -> list[Limit]:
        policy = self.policy
        synthetic = np.array([label in SYNTHETIC for _, _, label in self.groups], float)
        limits = [Limit(f"max_synthetic = {policy.max_synthetic:g}", synthetic, policy.max_synthetic)]
        least = f"min_human_verified = {policy.min_human_verified:g}"
        limits.append(Limit(least, -self._with_label(VERIFIED), -policy.min_human_verified))
        for kind, parts, members in (
            ("labels", policy.labels, self._with_label),
            ("sources", policy.sources, self._of_source),
        ):
            for name, part in parts.items():
                if part.min is not None:
                    limits.append(Limit(f"{kind}.{name}.min = {part.min:g}", -members(name), -part.min))
                if part.max is not None:
                    limits.append(Limit(f"{kind}.{name}.max = {part.max:g}", members(name), part.max))
        if policy.min_tail_share is not None:
            name = f"min_tail_share = {policy.min_tail_share:g}"
            limits.append(Limit(name, -self._tail_of_groups(), -policy.min_tail_share))
        return limits + self._epoch_limits()

    def _with_label(self, name: str) -> np.ndarray:
        return np.array([label == name for _, _, label in self.groups], float)

    def _of_source(self, name: str) -> np.ndarray:
        return np.array([source == name for _, source, _ in self.groups], float)

    def _tail_of_groups(self) -> np.ndarray:
        return np.array([self._tails.get((scan, label), 0.0) for scan, _, label in self.groups])

    def _epoch_limits(self) -> list[Limit]:
        """A cap for each rule on epochs, on the groups it governs: the source's and the label's own, else that for all."""
        ruled: dict[tuple[str, float], list[int]] = {}
        for place, (_, source, label) in enumerate(self.groups):
            own = []
            for kind, name, parts in (("sources", source, self.policy.sources), ("labels", label, self.policy.labels)):
                if name in parts and (epochs := parts[name].max_epochs) is not None:
                    own.append((f"{kind}.{name}.max_epochs = {epochs:g}", epochs))
            for rule in own or [(f"max_epochs = {self.policy.max_epochs:g}", self.policy.max_epochs)]:
                ruled.setdefault(rule, []).append(place)
        limits = []
        for (name, epochs), places in ruled.items():
            once = np.full(len(self.groups), np.inf)
            once[places] = self.available[places] / self.tokens
            limits.append(Limit(name, once, epochs, is_cap=True))
        return limits

    def achieved(self, shares: np.ndarray) -> dict[str, Any]:
        """What the policy is about, of a distribution over the groups."""
        labels = dict.fromkeys(LABELS, 0.0)
        for (_, _, label), share in zip(self.groups, shares.tolist(), strict=True):
            if label is not None:
                labels[label] += share
        found: dict[str, Any] = {
            "synthetic": _rounded(sum(labels[label] for label in SYNTHETIC)),
            "labels": {label: _rounded(share) for label, share in labels.items()},
            "sources": {name: _rounded(float(self._of_source(name) @ shares)) for name in self.policy.sources},
        }
        if self._tails:
            found["tail_share"] = _rounded(float(self._tail_of_groups() @ shares))
        return found

    def clash(self, conflicts: Sequence[Conflict]) -> dict[str, Any]:
        """The conflict, and how many tokens the policy could be met with, if fewer would do."""
        factor = find_cap_factor(self.limits, len(self.groups))
        return {
            "conflicts": [_conflict_report(one) for one in conflicts],
            "tokens_at_most": None if factor is None else math.floor(self.tokens / factor),
        }

    def solved(self) -> dict[str, Any]:
        is_open = self._is_open()
        limits = [Limit(one.name, one.coefficients[is_open], one.bound, one.is_cap) for one in self.limits]
        natural = self.natural[is_open]
        found = project(natural / natural.sum(), limits)
        # From all that there is, groups that may have no share included.
        divergence = found.divergence - math.log(natural.sum())
        shares = np.zeros(len(self.groups))
        shares[is_open] = found.shares
        epochs = shares * self.tokens / self.available
        weights = [
            {
                "scan": cell.scan,
                "source": cell.source,
                "label": cell.label,
                "documents": cell.documents,
                "tokens": cell.tokens,
                "natural_share": _rounded(cell.tokens / float(self.available.sum())),
                "share": _rounded(float(shares[group]) * cell.tokens / float(self.available[group])),
                "epochs": _rounded(float(epochs[group])),
            }
            for cell, group in zip(self.cells, self.group_of, strict=True)
        ]
        plain = [limit for limit in self.limits if not limit.is_cap]
        binding = {
            limit.name: _rounded(price / math.log(2))
            for limit, price in zip(plain, found.prices.tolist(), strict=True)
            if price > 1e-6
        }
        caps = [limit for limit in self.limits if limit.is_cap]
        binding |= {limit.name: None for limit in caps if (shares >= limit.ceilings() * (1 - 1e-7)).any()}
        return {
            "divergence_bits": _rounded(max(0.0, divergence) / math.log(2)),
            "achieved": self.achieved(shares),
            "binding": binding,
            "weights": weights,
        }

    def _is_open(self) -> np.ndarray:
        """Groups that may have a share at all: a bound of nothing would have an endless price."""
        closed = np.zeros(len(self.groups), bool)
        for limit in self.limits:
            if limit.is_cap:
                closed |= limit.ceilings() <= 0
            elif limit.bound == 0 and (limit.coefficients >= 0).all():
                closed |= limit.coefficients > 0
        return ~closed


def _conflict_report(conflict: Conflict) -> dict[str, Any]:
    needed = conflict.needed
    if needed is not None and not conflict.limit.is_cap:
        needed = abs(needed)
    return {"limit": conflict.limit.name, "needed": None if needed is None else _rounded(needed)}


def _rounded(value: float) -> float:
    """To DIGITS digits: beyond those machines may differ."""
    return float(f"{value:.{DIGITS}g}")


# --- from scans


def _cells_of(path: Path, policy: MixPolicy) -> list[Cell]:
    file = path / "profile.tap"
    if not file.exists():
        raise FolderError(f"{path} holds no results of a scan: there is no profile.tap")
    profile = Profile.load(file)
    scan, folder = str(path), path.resolve().name
    if not profile.configuration.provenance:
        if policy.needs_labels():
            raise UsageError(f"{path} has no labels: scan with --provenance, or lift the limits on labels")
        totals = profile.totals()
        return [Cell(scan, folder, None, totals["n_documents"], totals["n_tokens"])]
    return [
        Cell(scan, folder if name is None else name, label, int(documents), int(tokens))
        for name, counts in source_counts(profile.state.provenance())
        for label, (documents, tokens, _) in zip(LABELS, counts.tolist(), strict=True)
        if documents
    ]


def _check_sources(policy: MixPolicy, cells: Sequence[Cell]) -> None:
    known = {cell.source for cell in cells}
    for name in policy.sources:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known)[:20])}"
            raise UsageError(f"no source {name!r} in the scans; {hint}")


def _check_apart(paths: Sequence[Path]) -> None:
    """No file may count twice."""
    seen: dict[str, str] = {}
    for path in paths:
        try:
            inputs = ScanFolder(path).inputs
        except FolderError:
            continue  # merged profiles do not know their files
        for one in inputs:
            if one.digest and seen.setdefault(one.digest, str(path)) != str(path):
                raise InputError(f"{one.name} is in {seen[one.digest]} and in {path}: it would count twice")


def _tail_shares(paths: Sequence[Path]) -> dict[tuple[str, str | None], float]:
    """Of each scan and label the share of tokens in the anchor's tail, from the documents' rows."""
    sums: dict[tuple[str, str | None], list[float]] = {}
    anchors = set()
    for path in paths:
        folder = ScanFolder(path)
        kinds = folder.column_kinds()
        if not {"n_tokens", "tail_share"} <= set(kinds):
            raise UsageError(f"{path} has no tail_share: scan with --anchor")
        anchors.add(folder.settings.get("anchor"))
        columns = ["n_tokens", "tail_share", *(["provenance"] if "provenance" in kinds else [])]
        for scanned in folder.inputs:
            for chunk in folder.chunks(scanned, columns):
                _add_tails(sums, str(path), chunk)
    if len(anchors) > 1:
        raise UsageError("the scans were made with different anchors: their tails are not the same words")
    return {key: tail / tokens for key, (tail, tokens) in sums.items() if tokens}


def _add_tails(sums: dict[tuple[str, str | None], list[float]], scan: str, chunk: Mapping[str, Any]) -> None:
    labels = chunk.get("provenance", np.full(len(chunk["n_tokens"]), None))
    for label in dict.fromkeys(labels.tolist()):
        own = labels == label if label is not None else np.equal(labels, None).astype(bool)
        tokens = chunk["n_tokens"][own].astype(float)
        found = sums.setdefault((scan, label), [0.0, 0.0])
        found[0] += float(np.nansum(tokens * chunk["tail_share"][own]))
        found[1] += float(tokens.sum())


# --- from TOML


def _tokens(value: Any, where: str) -> int:
    """`50_000_000` or "50B": K, M, G or B, T are powers of a thousand."""
    text = str(value).strip().upper() if isinstance(value, str) else ""
    number, factor = (text[:-1], _FACTORS[text[-1]]) if text[-1:] in _FACTORS and text else (text, 1)
    try:
        tokens = value if isinstance(value, int) and not isinstance(value, bool) else int(float(number) * factor)
    except (ValueError, OverflowError):
        tokens = 0
    if not 1 <= tokens <= 10**18:
        raise UsageError(f'{where}: tokens = {value!r}: wanted a number of tokens, as 50_000_000 or "50B"')
    return tokens


def _parts(table: Any, known: Sequence[str] | None, where: str) -> dict[str, PartLimits]:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: wanted a table for each name")
    if known is not None:
        check_keys(table, known, where)
    parts = {}
    for name, limits in table.items():
        place = f"{where}.{name}"
        if not isinstance(limits, dict):
            raise UsageError(f"{place}: wanted {', '.join(_PART_KEYS)}")
        check_keys(limits, _PART_KEYS, place)
        least, most = number_of(limits, "min", 0, 1, place), number_of(limits, "max", 0, 1, place)
        parts[name] = PartLimits(least, most, number_of(limits, "max_epochs", 0, MOST_EPOCHS, place))
    return parts
