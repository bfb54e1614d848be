"""Provenance: the label of a document, by rules over its metadata, and what is counted by label."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from textassay._numba.histogram import copy_bytes, token_hash
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import byte_at
from textassay._numba.records import write_value

N_LABELS = 4
SUSPECTED = 3
_SUMS = 3  # of a label: documents, tokens, bytes
_SHAPE = (N_LABELS, _SUMS)
_MOST_NAMES = 65_536
_NAME_BYTES = 256
_MONTH_BYTES = 7  # YYYY-MM
_FIRST_STATE = 2  # state 0 rejects and 1 accepts whatever follows

KEY_BYTES = 2 * _NAME_BYTES + _MONTH_BYTES
"""What `find_provenance` writes of one document at most."""


class Rules(NamedTuple):
    """As `_native.pyi` says of Provenance, with all names in one array."""

    source: int
    date: int
    date_start: int
    default: int
    suspicion: np.ndarray
    """The reason of a suspected document; empty: suspicions are left alone."""
    labels: np.ndarray
    names: np.ndarray
    name_offsets: np.ndarray
    generators: np.ndarray
    condition_ends: np.ndarray
    conditions: np.ndarray
    applies: np.ndarray
    classes: np.ndarray
    transitions: np.ndarray
    accepting: np.ndarray
    is_on: bool
    """False: there are no rules, and documents get no label."""


_NOTHING: dict[str, Any] = {
    "fields": (), "source": -1, "date": -1, "date_start": 0, "default": 0, "suspicion": b"", "labels": (), "names": (), "generators": (),
    "condition_ends": (), "conditions": np.zeros((0, 3)), "applies": np.zeros((0, 0)), "classes": np.zeros(256),
    "transitions": np.zeros((2, 1)), "accepting": np.zeros(2),
}  # fmt: skip


def build_rules(given: Mapping[str, Any] | None, n_inputs: int) -> Rules:
    """Raises ValueError where the parts don't fit together."""
    wanted = _NOTHING if given is None else given
    offsets = np.cumsum([0, *map(len, wanted["names"])]).astype(np.int64)
    rules = Rules(
        int(wanted["source"]),
        int(wanted["date"]),
        int(wanted["date_start"]),
        int(wanted["default"]),
        np.frombuffer(wanted["suspicion"], np.uint8),
        np.array(wanted["labels"], np.int64),
        np.frombuffer(b"".join(wanted["names"]) or b"\0", np.uint8),
        offsets,
        np.array(wanted["generators"], np.int64),
        np.array(wanted["condition_ends"], np.int64),
        np.array(wanted["conditions"], np.int64),
        np.array(wanted["applies"], np.uint8),
        np.array(wanted["classes"], np.uint8),
        np.array(wanted["transitions"], np.uint16),
        np.array(wanted["accepting"], np.uint8),
        given is not None,
    )
    if given is not None:
        _check(rules, len(wanted["fields"]), len(wanted["names"]), n_inputs)
    return rules


def _check(rules: Rules, n_fields: int, n_rules: int, n_inputs: int) -> None:
    n_states, width = rules.transitions.shape
    fields = [rules.source, rules.date, *rules.generators]
    starts = [rules.date_start, *rules.conditions[:, 1]]
    fits = {
        "labels from 0 to 3": all(0 <= label < N_LABELS for label in (rules.default, *rules.labels)),
        "numbers of fields that are there": all(-1 <= field < n_fields for field in fields)
        and all(0 <= field < n_fields for field in rules.conditions[:, 0]),
        "a row of transitions for each state": len(rules.accepting) == n_states and len(rules.classes) == 256,
        "transitions within the automaton": rules.classes.max() < width and rules.transitions.max() < n_states,
        "patterns that begin in the automaton": all(0 <= start < n_states for start in starts),
        "a label, name, generator and conditions for each rule": len(rules.labels) == n_rules
        and len(rules.generators) == len(rules.condition_ends) == n_rules,
        "ascending ends of conditions": (np.diff([0, *rules.condition_ends, len(rules.conditions)]) >= 0).all(),
        "a mark for each input and rule": rules.applies.shape == (n_inputs, n_rules),
    }
    for wanted, is_so in fits.items():
        if not is_so:
            raise ValueError(f"provenance: wanted {wanted}")


# --- kernels


@inlined
def _accepts(rules, start, text, size):
    """Does text[:size] match the pattern that begins in state `start`?"""
    state, pos = np.int64(start), 0
    while pos < size:
        state = np.int64(rules.transitions[state, rules.classes[byte_at(text, pos)]])
        if state < _FIRST_STATE:
            break
        pos += 1
    return rules.accepting[state] != 0


@inlined
def _cut(text, size):
    """How much of a name is kept: whole characters."""
    if size <= _NAME_BYTES:
        return size
    size = _NAME_BYTES
    while byte_at(text, size) & 0xC0 == 0x80:
        size -= 1
    return size


@kernel
def _holds(line, fields, rules, rule, text):
    first = rules.condition_ends[rule - 1] if rule else 0
    for index in range(first, rules.condition_ends[rule]):
        size = write_value(line, fields, rules.conditions[index, 0], text)
        matches = size >= 0 and _accepts(rules, rules.conditions[index, 1], text, size)
        if matches == (rules.conditions[index, 2] != 0):
            return False
    return True


@kernel
def _find_rule(line, fields, rules, file, text):
    """The first rule whose conditions all hold, or -1."""
    for rule in range(len(rules.labels)):
        if rules.applies[file, rule] and _holds(line, fields, rules, rule, text):
            return rule
    return -1


@kernel
def _write_name(line, fields, field, text, keys, at):
    """The value of a field, cut; nothing where there is none."""
    size = write_value(line, fields, field, text) if field >= 0 else -1
    size = _cut(text, size)
    if size > 0:
        copy_bytes(keys, at, text, 0, size)
        at += size
    return at


@inlined
def _append(keys, at, name):
    for index in range(len(name)):
        keys[at + index] = name[index]
    return at + len(name)


@kernel
def find_provenance(line, fields, rules, file, is_suspected, text, keys, ends, row, at):
    """The label of the record just parsed: by the first rule that holds, else by suspicion. Source, month and reason go to `keys` from `at` on, their ends to `ends[row]`.

    `text` has room for any value of the record.
    """
    at = _write_name(line, fields, rules.source, text, keys, at)
    ends[row, 0] = at
    size = write_value(line, fields, rules.date, text) if rules.date >= 0 else -1
    if size >= 0 and _accepts(rules, rules.date_start, text, size):
        size = min(size, _MONTH_BYTES)
        copy_bytes(keys, at, text, 0, size)
        at += size
    ends[row, 1] = at
    rule = _find_rule(line, fields, rules, file, text)
    if rule >= 0 and rules.generators[rule] >= 0:
        at = _write_name(line, fields, rules.generators[rule], text, keys, at)
    elif rule >= 0:
        begin = rules.name_offsets[rule]
        at = _append(keys, at, rules.names[begin : rules.name_offsets[rule + 1]])
    elif is_suspected:
        at = _append(keys, at, rules.suspicion)
    ends[row, 2] = at
    if rule >= 0:
        return rules.labels[rule]
    return SUSPECTED if is_suspected and len(rules.suspicion) else rules.default


# --- tables


class ProvenanceTable:
    """Counts by a name that the corpus chooses, so of bounded size.

    Names whose hash lies below 2^(64 - level) are kept, the level is the least with which they are at most
    _MOST_NAMES, and all others are one sum: neither order nor cuts show.
    """

    def __init__(self) -> None:
        self.level = 0
        self._named: dict[bytes, list[int]] = {}
        self._unnamed, self._others = [0] * (N_LABELS * _SUMS), [0] * (N_LABELS * _SUMS)

    def counts_of(self, name: bytes) -> list[int]:
        """Where to count: documents, tokens and bytes of one label after the other."""
        if not name:
            return self._unnamed
        if name in self._named:
            return self._named[name]
        if not self._keeps(name):
            return self._others
        self._named[name] = [0] * (N_LABELS * _SUMS)
        while len(self._named) > _MOST_NAMES:
            self.raise_level(self.level + 1)
        return self._named.get(name, self._others)

    def _keeps(self, name: bytes) -> bool:
        return self.level == 0 or token_hash(name) >> (64 - self.level) == 0

    def raise_level(self, level: int) -> None:
        self.level = max(level, self.level)
        for name in [name for name in self._named if not self._keeps(name)]:
            _add(self._others, self._named.pop(name))

    def merge(self, other: "ProvenanceTable") -> None:
        self.raise_level(other.level)
        _add(self._unnamed, other._unnamed)
        _add(self._others, other._others)
        for name, counts in other._named.items():
            _add(self.counts_of(name), counts)

    def arrays(self) -> dict[str, Any]:
        """As `_native.pyi` says of ProvenanceTable."""
        names = sorted(self._named)
        return {
            "level": self.level,
            "unnamed": np.array(self._unnamed, np.uint64).reshape(_SHAPE),
            "others": np.array(self._others, np.uint64).reshape(_SHAPE),
            "name_bytes": np.frombuffer(b"".join(names), np.uint8),
            "name_offsets": np.cumsum([0, *map(len, names)]).astype(np.int64),
            "counts": np.array([self._named[name] for name in names], np.uint64).reshape(-1, *_SHAPE),
        }

    def add(self, table: Mapping[str, Any]) -> None:
        """Adds what `arrays` gave. Raises ValueError where the arrays don't fit together."""
        counts = [np.asarray(table[name], np.uint64) for name in ("unnamed", "others", "counts")]
        offsets = np.asarray(table["name_offsets"], np.int64).tolist()
        data = np.asarray(table["name_bytes"], np.uint8).tobytes()
        lengths = np.diff(offsets)
        if not 0 <= table["level"] <= 64:
            raise ValueError("provenance: wanted a level up to 64")
        if [one.shape for one in counts] != [_SHAPE, _SHAPE, (len(lengths), *_SHAPE)]:
            raise ValueError("provenance: wanted counts of shape (n, 4, 3) for n names")
        if len(lengths) and (
            offsets[0] < 0 or offsets[-1] > len(data) or not 0 < lengths.min() <= lengths.max() <= _NAME_BYTES
        ):
            raise ValueError("provenance: wanted names of 1 to 256 bytes")
        unnamed, others, named = (one.reshape(-1, N_LABELS * _SUMS).tolist() for one in counts)
        self.raise_level(table["level"])
        _add(self._unnamed, unnamed[0])
        _add(self._others, others[0])
        for begin, end, one in zip(offsets, offsets[1:], named, strict=False):
            _add(self.counts_of(data[begin:end]), one)


def _add(target: list[int], more: Sequence[int]) -> None:
    for place, value in enumerate(more):
        target[place] += value


class ProvenanceTables:
    """Of sources, months and reasons."""

    def __init__(self) -> None:
        self._tables = {name: ProvenanceTable() for name in ("sources", "months", "reasons")}

    def count(self, label: int, names: Sequence[bytes], tokens: int, size: int) -> None:
        """Counts one document of this source, month and reason."""
        place = _SUMS * label
        for table, name in zip(self._tables.values(), names, strict=True):
            counts = table.counts_of(name)
            counts[place] += 1
            counts[place + 1] += tokens
            counts[place + 2] += size

    def merge(self, other: "ProvenanceTables") -> None:
        for name, table in self._tables.items():
            table.merge(other._tables[name])

    def arrays(self) -> dict[str, Any]:
        return {name: table.arrays() for name, table in self._tables.items()}

    def add(self, tables: Mapping[str, Any]) -> None:
        for name, table in self._tables.items():
            table.add(tables[name])
