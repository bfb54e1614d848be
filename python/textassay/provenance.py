"""Provenance: which documents are human, which synthetic, by rules over their metadata.

A file of rules is TOML; docs/provenance.md shows one. The rules are tried in order and the first that matches gives
the label. Every condition becomes a pattern that a field's value must match, so that a backend only follows automata.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from hashlib import blake2b
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from textassay.errors import UsageError, reason_of
from textassay.fields import parse_field
from textassay.patterns import Automaton, PatternError, compile_pattern, join_tables
from textassay.untrusted import LONGEST_TOML, parse_toml, read_bytes

if TYPE_CHECKING:
    from textassay.detector import Detector

LABELS = ("human_verified", "human_unverified", "synthetic_known", "synthetic_suspected")
SYNTHETIC = LABELS[2:]
DEFAULT_LABEL = "human_unverified"
MAX_FIELDS = 32
MAX_RULES = 1000
KEY_BYTES = 256
"""Longer names of sources and reasons are cut."""

_DAY = r"-(?:0[1-9]|[12]\d|3[01])(?:\D.*)?"
_MONTH = rf"-(?:0[1-9]|1[0-2])(?:{_DAY})?"
DATE = rf"(?s)^\d{{4}}(?:{_MONTH})?$"
"""A value that begins with an ISO date, or is the month or the year of one."""

ANYTHING = ""
NAMED = "(?s)."

Field = tuple[str, ...]


@dataclass(frozen=True)
class Condition:
    """The field's value is there and matches the pattern; or, negated, not so."""

    field: Field
    pattern: str
    negated: bool = False


@dataclass(frozen=True)
class Rule:
    """Gives its label to documents that meet all conditions. The reason is its name, or what its generator field holds."""

    label: str
    name: str
    conditions: tuple[Condition, ...]
    path: str | None = None
    """Pattern of the names of inputs that it is for."""
    generator: Field | None = None

    @property
    def patterns(self) -> list[str]:
        paths = [] if self.path is None else [self.path]
        return [*paths, *(condition.pattern for condition in self.conditions)]


class ProvenanceRules:
    """Rules that give every document a label and keep the reason.

    >>> rules = ProvenanceRules.load("rules.toml")
    >>> textassay.scan("shards/", provenance=rules).summary["provenance"]
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        source: Field | None = None,
        date: Field | None = None,
        default: str = DEFAULT_LABEL,
        origin: str = "rules",
    ) -> None:
        """`source` and `date` are the fields of the tables. Raises `UsageError`, which names `origin`, on a pattern
        that no automaton can follow.
        """
        self.rules = tuple(rules)
        self.source = source
        self.date = date
        self.default = default
        self._origin = origin
        if len(self.rules) > MAX_RULES or len(self.fields) > MAX_FIELDS:
            found = f"{len(self.rules)} rules that look at {len(self.fields)} fields"
            raise UsageError(f"{origin}: {found}; wanted at most {MAX_RULES} and {MAX_FIELDS}")
        self._automaton, self._starts = self._compiled()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "ProvenanceRules":
        """Reads a TOML file. Raises `UsageError` naming the file and the rule on anything unknown or wrong in it."""
        try:
            text = read_bytes(path, LONGEST_TOML).decode("utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the provenance rules {fspath(path)}: {reason_of(error)}") from error
        return cls.parse(text, fspath(path))

    @classmethod
    def parse(cls, text: str, origin: str = "rules") -> "ProvenanceRules":
        """The rules of a TOML text."""
        try:
            content = parse_toml(text)
        except ValueError as error:
            raise UsageError(f"{origin}: {error}") from error
        return _parse(content, origin)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All fields that rules and tables look at, each once."""
        used = [field for field in (self.source, self.date) if field is not None]
        for rule in self.rules:
            used += [condition.field for condition in rule.conditions]
            used += [rule.generator] if rule.generator is not None else []
        return tuple(dict.fromkeys(used))

    @cached_property
    def digest(self) -> str:
        """BLAKE2b-64 of what the rules say, in hex: comments and layout do not count."""
        said = [asdict(rule) for rule in self.rules], self.source, self.date, self.default
        return blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()

    def for_inputs(self, names: Sequence[str], suspicion: str = "") -> dict[str, Any]:
        """What a backend needs to label the documents of the inputs of these names: its `Provenance`. `suspicion` is the
        reason of documents that no rule labels and the detector suspects; without one they are left alone.
        """
        places = {field: place for place, field in enumerate(self.fields)}
        conditions = [
            (places[condition.field], self._starts[condition.pattern], condition.negated)
            for rule in self.rules
            for condition in rule.conditions
        ]
        paths = list(dict.fromkeys(rule.path for rule in self.rules))
        matching = {path: [path is None or self._matches(path, name) for name in names] for path in paths}
        applies = np.array([matching[rule.path] for rule in self.rules], np.uint8).reshape(len(self.rules), len(names))
        return {
            "fields": [list(field) for field in self.fields],
            "source": -1 if self.source is None else places[self.source],
            "date": -1 if self.date is None else places[self.date],
            "date_start": self._starts[DATE],
            "default": LABELS.index(self.default),
            "suspicion": suspicion.encode(),
            "labels": np.array([LABELS.index(rule.label) for rule in self.rules], np.int64),
            "names": [rule.name.encode() for rule in self.rules],
            "generators": np.array([places.get(rule.generator, -1) for rule in self.rules], np.int64),
            "condition_ends": np.cumsum([len(rule.conditions) for rule in self.rules], dtype=np.int64),
            "conditions": np.array(conditions, np.int64).reshape(-1, 3),
            "applies": np.ascontiguousarray(applies.T),
            **self._automaton._asdict(),
        }

    def _matches(self, pattern: str, name: str) -> bool:
        return self._automaton.accepts(self._starts[pattern], name)

    def _compiled(self) -> tuple[Automaton, dict[str, int]]:
        """One automaton of all patterns, and where each begins."""
        tables = {DATE: compile_pattern(DATE)}
        where = self._origin
        try:
            for rule in self.rules:
                where = f"{self._origin}: {rule.name}"
                for pattern in rule.patterns:
                    tables[pattern] = tables.get(pattern) or compile_pattern(pattern)
            where = self._origin
            automaton, starts = join_tables(list(tables.values()))
        except PatternError as error:
            raise UsageError(f"{where}: {error}") from error
        return automaton, dict(zip(tables, starts, strict=True))


def labelled_by(rules: ProvenanceRules | None, detector: "Detector | None") -> str:
    """Digest of what gives the labels; the detector itself has its own. Empty without rules and verdicts."""
    if detector is None:
        return "" if rules is None else rules.digest
    said = ["" if rules is None else rules.digest, detector.fpr]
    return blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()


# --- from TOML to rules


def _parse(content: Mapping[str, Any], origin: str) -> ProvenanceRules:
    _check_keys(content, ("source", "date", "default", "rule"), origin)
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{origin}: rule: wanted tables [[rule]]")
    default = content.get("default", DEFAULT_LABEL)
    _check_label(default, f"{origin}: default")
    rules = [_rule(table, number, origin) for number, table in enumerate(tables, 1)]
    source, day = (_field(content[key], f"{origin}: {key}") if key in content else None for key in ("source", "date"))
    return ProvenanceRules(rules, source=source, date=day, default=default, origin=origin)


_OPERATORS = ("equals", "matches", "before", "from", "present")


def _rule(table: Mapping[str, Any], number: int, origin: str) -> Rule:
    name = table.get("name", f"rule {number}")
    if not isinstance(name, str) or not name or len(name.encode()) > KEY_BYTES:
        raise UsageError(f"{origin}: rule {number}: name: wanted 1 to {KEY_BYTES} bytes of text, found {_short(name)}")
    where = f"{origin}: {name}"
    _check_keys(table, ("label", "name", "path", "generator", "all", "field", *_OPERATORS), where)
    _check_label(table.get("label"), f"{where}: label")
    parts = table.get("all", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise UsageError(f"{where}: all: wanted a list of tables, each with a field and what is wanted of it")
    conditions = [condition for part in parts for condition in _conditions(part, where)]
    if any(key in table for key in ("field", *_OPERATORS)):
        own = {key: table[key] for key in ("field", *_OPERATORS) if key in table}
        conditions = _conditions(own, where) + conditions
    generator = None
    if "generator" in table:
        if table["label"] not in SYNTHETIC:
            raise UsageError(f"{where}: generator: only a rule for {' or '.join(SYNTHETIC)} can name one")
        generator = _field(table["generator"], f"{where}: generator")
        conditions.append(Condition(generator, NAMED))
    path = _glob_pattern(table["path"], f"{where}: path") if "path" in table else None
    if not conditions and path is None:
        raise UsageError(
            f"{where}: wanted a condition: field, path, generator or all; for all documents there is default"
        )
    return Rule(table["label"], name, tuple(conditions), path, generator)


def _conditions(table: Mapping[str, Any], where: str) -> list[Condition]:
    _check_keys(table, ("field", *_OPERATORS), where)
    if "field" not in table or len(table) < 2:
        raise UsageError(f"{where}: wanted a field and one of {', '.join(_OPERATORS)}, found {', '.join(table)}")
    field = _field(table["field"], f"{where}: field")
    return [_condition(field, key, table[key], f"{where}: {key}") for key in _OPERATORS if key in table]


def _condition(field: Field, operator: str, value: Any, where: str) -> Condition:
    match operator:
        case "equals":
            wanted = value if isinstance(value, list) else [value]
            if not wanted:
                raise UsageError(f"{where}: wanted a value or a list of some, found an empty list")
            return Condition(field, f"^(?:{'|'.join(_literal(one, where) for one in wanted)})$")
        case "matches":
            if not isinstance(value, str):
                raise UsageError(f"{where}: wanted a regular expression, found {_short(value)}")
            return Condition(field, value)
        case "present":
            if not isinstance(value, bool):
                raise UsageError(f"{where}: wanted true or false, found {_short(value)}")
            return Condition(field, ANYTHING, negated=not value)
        case "before":
            return Condition(field, before_pattern(_bound(value, where)))
        case _:
            return Condition(field, from_pattern(_bound(value, where)))


def _literal(value: Any, where: str) -> str:
    """The pattern of a value as the record writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int, float)):
        raise UsageError(f"{where}: wanted a text, a number, true or false, or a list of those, found {_short(value)}")
    return re.escape(str(value))


def _field(value: Any, where: str) -> Field:
    if not isinstance(value, str):
        raise UsageError(f"{where}: wanted the name of a field, found {_short(value)}")
    try:
        return parse_field(value)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _check_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}; known are {', '.join(known)}")


def _check_label(label: Any, where: str) -> None:
    if label not in LABELS:
        raise UsageError(f"{where}: wanted one of {', '.join(LABELS)}, found {_short(label)}")


def _short(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:80]


# --- patterns of paths and dates


_GLOB_PARTS = re.compile(r"\*|\?|\[(!?)(\]?[^]]*)\]|.", re.DOTALL)


def _glob_pattern(glob: Any, where: str) -> str:
    """The whole name: `*` and `?` also stand for a slash, `[...]` and `[!...]` for one character."""
    if not isinstance(glob, str) or not glob:
        raise UsageError(f"{where}: wanted a glob, found {_short(glob)}")
    wild = {"*": ".*", "?": "."}
    parts = []
    for part in _GLOB_PARTS.finditer(glob):
        if part[2] is None:
            parts.append(wild.get(part[0]) or re.escape(part[0]))
        else:
            members = part[2].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
            parts.append(f"[{'^' if part[1] else ''}{members}]")
    return f"(?s)^{''.join(parts)}$"


def _bound(value: Any, where: str) -> date:
    """YYYY, YYYY-MM or YYYY-MM-DD: the first day of it. TOML's own dates do as well."""
    text = value.isoformat() if isinstance(value, date) else value
    if isinstance(text, str) and re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", text, re.ASCII):
        try:
            return date.fromisoformat(text + "-01-01"[len(text) - 4 :])
        except ValueError:
            pass
    raise UsageError(f"{where}: wanted a date, YYYY, YYYY-MM or YYYY-MM-DD, found {_short(value)}")


def before_pattern(bound: date) -> str:
    """Dates before `bound`; months and years that end before it."""
    year, month, day = f"{bound:%Y}".zfill(4), bound.month, bound.day
    later = [*_months(range(1, month), f"(?:{_DAY})?"), *_days(month, range(1, day))]
    return _dates([f"(?:{earlier})(?:{_MONTH})?" for earlier in _below(year)], year, later)


def from_pattern(bound: date) -> str:
    """`bound` and later dates; months and years that begin then or later."""
    year, month, day = f"{bound:%Y}".zfill(4), bound.month, bound.day
    later = [*_months(range(month + 1, 13), f"(?:{_DAY})?"), *_days(month, range(day, 32))]
    if day == 1:
        later.append(f"-{month:02}")
    if (month, day) == (1, 1):
        later.append("")
    return _dates([f"(?:{above})(?:{_MONTH})?" for above in _above(year)], year, later)


def _dates(other_years: Sequence[str], year: str, rests: Sequence[str]) -> str:
    this_year = [f"{year}(?:{'|'.join(rests)})"] if rests else []
    # A year that no date can have stands for no date at all.
    return f"(?s)^(?:{'|'.join([*other_years, *this_year]) or 'none'})$"


def _months(months: Iterable[int], rest: str) -> list[str]:
    return [f"-{month:02}{rest}" for month in months]


def _days(month: int, days: Iterable[int]) -> list[str]:
    return [rf"-{month:02}-{day:02}(?:\D.*)?" for day in days]


def _below(digits: str) -> list[str]:
    """Patterns of the numbers of as many digits that are smaller."""
    rests = (rf"\d{{{len(digits) - place - 1}}}" for place in range(len(digits)))
    return [f"{digits[:i]}[0-{int(d) - 1}]{rest}" for i, (d, rest) in enumerate(zip(digits, rests)) if d > "0"]


def _above(digits: str) -> list[str]:
    """Patterns of the numbers of as many digits that are greater."""
    rests = (rf"\d{{{len(digits) - place - 1}}}" for place in range(len(digits)))
    return [f"{digits[:i]}[{int(d) + 1}-9]{rest}" for i, (d, rest) in enumerate(zip(digits, rests)) if d < "9"]
