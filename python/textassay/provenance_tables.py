"""What a profile knows of provenance, as figures: the corpus, its sources, months and reasons."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.provenance import DEFAULT_LABEL, LABELS, SYNTHETIC

SUMS = ("documents", "tokens", "bytes")
SHOWN = 100
OTHER_SOURCES = "(other sources)"
MONTHS_SHOWN = 1200

Counts = NDArray[np.uint64]
"""Shape (4, 3): SUMS of each of the LABELS."""


class VerdictCounts:
    """What a detector says of documents without metadata, counted."""

    def __init__(self) -> None:
        self._sums = np.zeros((2, len(SUMS)), np.uint64)

    def add(self, is_suspected: NDArray[np.bool_], n_tokens: NDArray[np.int64], n_bytes: NDArray[np.int64]) -> None:
        """One document a row."""
        for row, chosen in enumerate((~is_suspected, is_suspected)):
            sums = chosen.sum(), n_tokens[chosen].sum(), n_bytes[chosen].sum()
            self._sums[row] += np.array(sums, np.uint64)

    def tables(self, suspicion: str) -> dict[str, Any]:
        """A backend's ProvenanceTables; suspected documents have that reason."""
        counts = np.zeros((len(LABELS), len(SUMS)), np.uint64)
        counts[LABELS.index(DEFAULT_LABEL)], counts[LABELS.index("synthetic_suspected")] = self._sums
        suspected = counts.copy()
        suspected[LABELS.index(DEFAULT_LABEL)] = 0
        named = [(suspicion.encode(), suspected)] if suspected.any() else []
        places = _table(counts, [])
        return {"sources": places, "months": places, "reasons": _table(counts - suspected, named)}


def _table(unnamed: Counts, named: Sequence[tuple[bytes, Counts]]) -> dict[str, Any]:
    return {
        "level": 0,
        "unnamed": unnamed,
        "others": np.zeros_like(unnamed),
        "name_bytes": np.frombuffer(b"".join(name for name, _ in named), np.uint8),
        "name_offsets": np.cumsum([0, *(len(name) for name, _ in named)]).astype(np.int64),
        "counts": np.array([counts for _, counts in named], np.uint64).reshape(-1, *unnamed.shape),
    }


def describe_provenance(labelled_by: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The section `provenance` of a summary, from a backend's ProvenanceTables.

    Sources and reasons come by their synthetic tokens, most first; months in order. Where there are too many names to
    keep, those left out are added up as `other_...`, and the number of names is an estimate.
    """
    reasons = tables["reasons"]
    corpus = reasons["counts"].sum(axis=0, dtype=np.uint64) + reasons["unnamed"] + reasons["others"]
    found: dict[str, Any] = {"labelled_by": labelled_by, "corpus": _row(corpus) | {"shares": _shares(corpus)}}
    for kind, table in tables.items():
        rows = [{kind.removesuffix("s"): name} | _row(counts) for name, counts in _entries(table)]
        if kind != "months":
            rows.sort(key=_worst_first)
        found[f"n_{kind}"] = (len(table["name_offsets"]) - 1) << table["level"]
        found[kind] = rows[: MONTHS_SHOWN if kind == "months" else SHOWN]
        found[f"other_{kind}"] = _row(table["others"]) if table["others"].any() else None
    return found


def source_counts(tables: Mapping[str, Any]) -> list[tuple[str | None, Counts]]:
    """Counts of each source by name, of the documents without one (None) first, and of those of sources past the table's
    limit together, as OTHER_SOURCES, last.
    """
    table = tables["sources"]
    others = [(OTHER_SOURCES, table["others"])] if table["others"].any() else []
    return [*_entries(table), *others]


def _entries(table: Mapping[str, Any]) -> list[tuple[str | None, Counts]]:
    """By name; the documents without one first."""
    data, offsets = table["name_bytes"].tobytes(), table["name_offsets"].tolist()
    names = [data[begin:end].decode() for begin, end in pairwise(offsets)]
    unnamed = [(None, table["unnamed"])] if table["unnamed"].any() else []
    return [*unnamed, *zip(names, table["counts"], strict=True)]


def _row(counts: Counts) -> dict[str, Any]:
    by_label = {label: _sums(one) for label, one in zip(LABELS, counts, strict=True)}
    whole = _sums(counts.sum(axis=0, dtype=np.uint64))
    synthetic = {name: sum(by_label[label][name] for label in SYNTHETIC) for name in SUMS}
    shares = {name: _ratio(synthetic[name], whole[name]) for name in ("documents", "tokens")}
    return whole | {"synthetic_share": shares, "labels": by_label}


def _sums(counts: NDArray[np.uint64]) -> dict[str, int]:
    return dict(zip(SUMS, counts.tolist(), strict=True))


def _shares(counts: Counts) -> dict[str, dict[str, float | None]]:
    """Of each label: its share of all documents and of all tokens."""
    whole = _sums(counts.sum(axis=0, dtype=np.uint64))
    rows = zip(LABELS, map(_sums, counts), strict=True)
    return {label: {name: _ratio(one[name], whole[name]) for name in ("documents", "tokens")} for label, one in rows}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _worst_first(row: Mapping[str, Any]) -> tuple[Any, ...]:
    synthetic = sum(row["labels"][label]["tokens"] for label in SYNTHETIC)
    name = next(iter(row.values()))
    return -synthetic, -row["tokens"], name is not None, name
