"""Sampling weights that raise rare, but real text, from the rows that a scan with an anchor left (docs/tail.md)."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.anchor import Anchor, as_anchor
from textassay.documents import ZstdLines
from textassay.errors import FolderError, UsageError
from textassay.folder import Layout, OutputFolder
from textassay.profile import Profile
from textassay.provenance import LABELS, SYNTHETIC
from textassay.scan_folder import ScanFolder, ScannedInput
from textassay.signals import OctaveBins, bins_of, is_integer
from textassay.table import Table

SCHEMA = "textassay.tail-weights/1"
SUMMARY, DOCUMENTS = "summary.json", "documents"
SHARDS_PARQUET, SHARDS_JSON = "shards.parquet", "shards.jsonl.zst"
LAYOUT = Layout((DOCUMENTS, SHARDS_PARQUET, SHARDS_JSON, SUMMARY), SUMMARY, SCHEMA)
CAP = 3.0
PASSAGE = 5
PRIOR_TOKENS = 100
QUANTILE = 0.99
FENCE = 3
UNIT = 1 << 20
"""Raises are held in units of 2^-20, so that their sums are exact and know no order."""

STATUSES = ("common", "raised", "capped", "guarded", "synthetic")

UPPER_GUARDS = ("oov_rate", "perplexity", "invisible_chars", "dup_line_share", "top_ngram_share", "entropy_bits")
LOWER_GUARDS = ("perplexity", "entropy_bits")
BANDS = ("mattr", "char_entropy_bits")
"""Quality guards, where the scan measured them: limits above, limits below, and both."""

_NEEDED = ("n_tokens", "tail_share", "oov_rate", "perplexity")

_KINDS = {"id": "string", "byte_offset": "int64", "line": "int64", "weight": "double", "rarity": "double"}
_KINDS |= {"status": "string", "guard": "string"}
_SHARD_KINDS = {
    "file": "string",
    "n_documents": "int64",
    "n_tokens": "int64",
    "weight": "double",
    "token_weight": "double",
}
_SHARD_KINDS |= {"tail_share": "double", "tail_share_weighted": "double"} | {f"n_{name}": "int64" for name in STATUSES}
_NUMPY = {"string": object, "int64": np.int64, "double": np.float64}

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Guard:
    """A document outside [low, high] is not raised; null is inside. An infinite limit is none."""

    signal: str
    low: float
    high: float

    def fails(self, columns: Columns) -> NDArray[np.bool_]:
        values = columns[self.signal]
        return np.asarray((values < self.low) | (values > self.high))


@dataclass
class ShardWeights:
    """What became of the documents of one input. `raises` are sums in units of 2^-20."""

    file: str
    n_documents: int = 0
    n_tokens: int = 0
    n_tail: int = 0
    raises: int = 0
    raised_tokens: int = 0
    raised_tail: int = 0
    raise_squares: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    guards: Counter[str] = field(default_factory=Counter)

    def add(self, other: "ShardWeights") -> None:
        for name in ("n_documents", "n_tokens", "n_tail", "raises", "raised_tokens", "raised_tail", "raise_squares"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.statuses.update(other.statuses)
        self.guards.update(other.guards)

    def row(self, mean: float) -> dict[str, Any]:
        """`mean`: of the raises of the corpus. None where the input has no document, or no token."""
        weight = self.raises / (UNIT * self.n_documents) / mean if self.n_documents else None
        token_weight = self.raised_tokens / (UNIT * self.n_tokens) / mean if self.n_tokens else None
        found: dict[str, Any] = {"file": self.file, "n_documents": self.n_documents, "n_tokens": self.n_tokens}
        found |= {"weight": weight, "token_weight": token_weight}
        found["tail_share"] = self.n_tail / self.n_tokens if self.n_tokens else None
        found["tail_share_weighted"] = self.raised_tail / self.raised_tokens if self.raised_tokens else None
        return found | {f"n_{status}": self.statuses[status] for status in STATUSES}


@dataclass(frozen=True)
class TailWeights:
    """What `weigh_documents` found: the summary, and a row per input."""

    summary: dict[str, Any]
    shards: list[dict[str, Any]]


@dataclass(frozen=True)
class _Rule:
    """How a document's raise is made of its row."""

    tail_rate: float
    cap: float
    strength: float
    guards: tuple[Guard, ...]
    no_raise: tuple[str, ...]

    def raises(self, columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.object_]]:
        """In units of 2^-20; with the status of each document and, where that is "guarded", the first guard that failed."""
        n = columns["n_tokens"].astype(np.float64)
        rarity = self.rarity(n, tail_tokens(columns))
        wanted = 1 + self.strength * (rarity - 1)
        raises = np.floor(np.clip(wanted, 1, self.cap) * UNIT + 0.5).astype(np.int64)
        status = np.full(len(n), "common", object)
        status[wanted > 1] = "raised"
        status[wanted >= self.cap] = "capped"
        guard = np.full(len(n), None, object)
        for one in reversed(self.guards):
            guard[one.fails(columns) & (wanted > 1)] = one.signal
        status[np.not_equal(guard, None)] = "guarded"
        if self.no_raise:
            synthetic = np.isin(columns["provenance"].astype(str), self.no_raise) & (wanted > 1)
            status[synthetic], guard[synthetic] = "synthetic", None
        raises[(status == "guarded") | (status == "synthetic")] = UNIT
        return raises, status, guard

    def rarity(self, n: NDArray[np.float64], tail: NDArray[np.float64]) -> NDArray[np.float64]:
        """The chance that PASSAGE tokens of the document hold a tail word, over that of the anchor's text.

        The document's share of tail words is drawn towards the anchor's, as if PRIOR_TOKENS more had been seen.
        """
        share = (tail + PRIOR_TOKENS * self.tail_rate) / (n + PRIOR_TOKENS)
        return _met(share) / float(_met(np.array(self.tail_rate)))


def _met(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - (1 - share)^PASSAGE, by multiplication: the same bits everywhere."""
    missed = absent = 1 - share
    for _ in range(PASSAGE - 1):
        missed = missed * absent
    return 1 - missed


def tail_tokens(columns: Columns) -> NDArray[np.float64]:
    """Tokens in the tail: whole numbers, since that is what tail_share was made of."""
    return np.nan_to_num(np.rint(columns["tail_share"] * columns["n_tokens"]))


def weigh_documents(
    scanned: str | PathLike[str],
    anchor: Anchor | str | PathLike[str],
    out: str | PathLike[str],
    *,
    human: str | PathLike[str] | None = None,
    cap: float = CAP,
    strength: float = 1.0,
    quantile: float = QUANTILE,
    no_raise: Sequence[str] = SYNTHETIC,
) -> TailWeights:
    """Writes a sampling weight for every document of a scan, and for every input, into the folder `out`.

    `scanned` is the folder of a scan with `anchor`, with rows of documents. A document's raise is
    1 + strength (rarity - 1), from 1 to `cap`; its weight is the raise over the mean raise of the corpus, so weights have the mean 1 and
    no document is drawn more than `cap` times as often as another. `rarity`: docs/tail.md. Documents that fail a quality guard, or whose
    provenance is among `no_raise` (where the scan gave labels), are not raised. Guards lie at the `quantile` of `human`, the
    folder or profile of a scan of other human text with the same anchor; without it at the far fences of the corpus
    itself (Tukey 1977).

    `out` gets documents/ (a file per input, a row per document in its order: `id`, `byte_offset`, `line`, `weight`,
    `rarity`, `status`, `guard`), shards and summary.json; Parquet where the scan wrote Parquet, else JSONL.
    It must be new, or hold earlier weights. Memory does not grow with the corpus.

    Raises `UsageError` on settings out of range, a scan without the anchor's signals or with another anchor, and an anchor without a
    tail; `FolderError` on folders that are something else; `OutputError` where `out` cannot be written.
    """
    rule_settings = {"cap": cap, "strength": strength, "quantile": quantile, "no_raise": list(no_raise)}
    _check_settings(cap, strength, quantile, no_raise)
    used = as_anchor(anchor)
    assert used is not None
    folder = ScanFolder(scanned)
    if folder.settings.get("anchor") != used.digest:
        raise UsageError(
            f"{folder.path}: not scanned with the anchor {used.path}; scan it again with --anchor {used.path}"
        )
    kinds = folder.column_kinds()
    if missing := [name for name in _NEEDED if name not in kinds]:
        raise UsageError(f"{folder.path}: the scan has no {', '.join(missing)}: scan with --anchor and these signals")
    labels = tuple(no_raise) if "provenance" in kinds else ()
    guards, source = _guards(folder.path, human, used, quantile, set(kinds))
    rule = _Rule(tail_rate_of(used), cap, strength, guards, labels)
    wanted = ["id", "byte_offset", "line", "n_tokens", "tail_share", *dict.fromkeys(g.signal for g in guards)]
    wanted += ["provenance"] if labels else []
    shards = [_measure(folder, one, wanted, rule) for one in folder.inputs]
    total = ShardWeights("")
    for shard in shards:
        total.add(shard)
    mean = total.raises / (UNIT * total.n_documents) if total.n_documents else 1.0
    rows = [shard.row(mean) for shard in shards]
    summary = _summary(used, rule, rule_settings, source, total, mean)
    with OutputFolder(out, LAYOUT) as results:
        (results.partial / DOCUMENTS).mkdir()
        for one in folder.inputs:
            _write_documents(results.partial / DOCUMENTS / one.documents.name, folder, one, wanted, rule, mean)
        _write_shards(results.partial, rows, _is_parquet(folder))
        results.write_json(SUMMARY, summary)
        results.commit()
    return TailWeights(summary, rows)


def _check_settings(cap: float, strength: float, quantile: float, no_raise: Sequence[str]) -> None:
    if not 1 <= cap <= 1000:
        raise UsageError(f"cap={cap}: wanted 1 to 1000")
    if not 0 <= strength <= 1000:
        raise UsageError(f"strength={strength}: wanted 0 to 1000")
    if not 0.5 < quantile < 1:
        raise UsageError(f"quantile={quantile}: wanted a share above 0.5 and below 1")
    if unknown := [label for label in no_raise if label not in LABELS]:
        raise UsageError(f"no_raise: unknown label {unknown[0]!r}; wanted some of {', '.join(LABELS)}")


def tail_rate_of(anchor: Anchor) -> float:
    """Share of the anchor's tokens that are in its tail. Raises `UsageError` where it has none."""
    try:
        begin, end = anchor.header["tail"]
        n_tail, n = int(anchor.arrays["counts"][begin:end].sum()), int(anchor.header["totals"]["n_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{anchor.path}: an anchor without counts: it was imported") from error
    if not 0 < n_tail < n:
        raise UsageError(f"{anchor.path}: the anchor has no tail: too little text, or too small a tail_mass")
    return n_tail / n


# Guards


def _guards(
    scanned: Path, human: str | PathLike[str] | None, anchor: Anchor, quantile: float, measured: set[str]
) -> tuple[tuple[Guard, ...], str]:
    path = scanned if human is None else Path(human)
    file = path / "profile.tap" if path.is_dir() else path
    if not file.is_file():
        raise FolderError(f"{file}: no such profile")
    profile = Profile.load(file)
    if profile.configuration.anchor != anchor.digest:
        raise UsageError(f"{file}: not measured with the anchor {anchor.path}")
    limits = _fence if human is None else _quantile_limits
    found = []
    for signal in dict.fromkeys((*UPPER_GUARDS, *LOWER_GUARDS, *BANDS)):
        if signal in measured and signal in profile.configuration.signals:
            bins = np.asarray(profile.state.signal(signal)["bins"], np.uint64)
            if bins.any():
                low, high = limits(signal, bins, quantile)
                low = low if signal in LOWER_GUARDS + BANDS else -np.inf
                found.append(Guard(signal, low, high if signal in UPPER_GUARDS + BANDS else np.inf))
    return tuple(found), "corpus" if human is None else str(path)


def _edges(signal: str, bins: NDArray[np.uint64], share: float) -> tuple[float, float]:
    """Of the bin with the ceil(share n)-th smallest value; of integers the least and the greatest."""
    seen = np.cumsum(bins)
    rank = min(max(1, int(np.ceil(share * int(seen[-1])))), int(seen[-1]))
    low, high = bins_of(signal).edges(int(np.searchsorted(seen, np.uint64(rank))))
    if high is None:
        return low, np.inf
    return low, high - 1 if is_integer(signal) else high


def _quantile_limits(signal: str, bins: NDArray[np.uint64], quantile: float) -> tuple[float, float]:
    return _edges(signal, bins, 1 - quantile)[0], _edges(signal, bins, quantile)[1]


def _fence(signal: str, bins: NDArray[np.uint64], quantile: float) -> tuple[float, float]:
    """Quartiles and three times their distance: up to a quarter of junk cannot move them far. Of perplexity by ratio; where the
    quartiles are one, by quantile.
    """
    low, high = _edges(signal, bins, 0.25)[0], _edges(signal, bins, 0.75)[1]
    if isinstance(bins_of(signal), OctaveBins):
        low, ratio = max(low, 1.0), high / max(low, 1.0)
        return low / ratio**FENCE, high * ratio**FENCE
    if _edges(signal, bins, 0.25) == _edges(signal, bins, 0.75):
        return _quantile_limits(signal, bins, quantile)
    return low - FENCE * (high - low), high + FENCE * (high - low)


# Passes over the rows


def _measure(folder: ScanFolder, scanned: ScannedInput, wanted: Sequence[str], rule: _Rule) -> ShardWeights:
    shard = ShardWeights(scanned.name)
    for columns in folder.chunks(scanned, wanted):
        raises, status, guard = rule.raises(columns)
        tokens, tail = columns["n_tokens"].astype(np.int64), tail_tokens(columns).astype(np.int64)
        shard.n_documents += len(raises)
        shard.n_tokens += int(tokens.sum())
        shard.n_tail += int(tail.sum())
        shard.raises += int(raises.sum())
        # Of whole numbers without a limit: a product of a raise and a long document's tokens may pass 2^53.
        shard.raised_tokens += sum(a * b for a, b in zip(raises.tolist(), tokens.tolist(), strict=True))
        shard.raised_tail += sum(a * b for a, b in zip(raises.tolist(), tail.tolist(), strict=True))
        shard.raise_squares += sum(a * a for a in raises.tolist())
        shard.statuses.update(status.tolist())
        shard.guards.update(guard[np.not_equal(guard, None)].tolist())
    return shard


def _is_parquet(folder: ScanFolder) -> bool:
    return bool(folder.inputs) and folder.inputs[0].documents.suffix == ".parquet"


def _write_documents(
    path: Path, folder: ScanFolder, scanned: ScannedInput, wanted: Sequence[str], rule: _Rule, mean: float
) -> None:
    with _writer(path) as write:
        for columns in folder.chunks(scanned, wanted):
            raises, status, guard = rule.raises(columns)
            n = columns["n_tokens"].astype(np.float64)
            rows = {name: columns[name] for name in ("id", "byte_offset", "line")}
            rows |= {"weight": raises / UNIT / mean, "rarity": rule.rarity(n, tail_tokens(columns))}
            write(rows | {"status": status, "guard": guard})


def _write_shards(target: Path, rows: Sequence[Mapping[str, Any]], as_parquet: bool) -> None:
    with _writer(target / (SHARDS_PARQUET if as_parquet else SHARDS_JSON), _SHARD_KINDS) as write:
        write({name: np.array([row[name] for row in rows], _NUMPY[kind]) for name, kind in _SHARD_KINDS.items()})


@contextmanager
def _writer(path: Path, kinds: Mapping[str, str] = _KINDS) -> Iterator[Callable[[Columns], None]]:
    """Takes columns of rows, some at a time; Parquet or zstd-compressed JSONL, as the name of the file says."""
    with path.open("wb") as stream:
        if path.suffix == ".parquet":
            import pyarrow
            import pyarrow.parquet

            types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "double": pyarrow.float64()}
            schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
            with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as parquet:

                def write(columns: Columns) -> None:
                    arrays = [pyarrow.array(columns[f.name], f.type, from_pandas=True) for f in schema]
                    parquet.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))

                yield write
        else:
            lines = ZstdLines(stream)

            def write(columns: Columns) -> None:
                for row in Table(columns).rows():
                    lines.write(row)

            yield write
            lines.close()
        stream.flush()
        os.fsync(stream.fileno())


def _summary(
    anchor: Anchor, rule: _Rule, settings: Mapping[str, Any], source: str, total: ShardWeights, mean: float
) -> dict[str, Any]:
    limits = [
        {"signal": g.signal, "low": _finite(g.low), "high": _finite(g.high), "n_failed": total.guards[g.signal]}
        for g in rule.guards
    ]
    found = total.row(mean)
    return {
        "schema": SCHEMA,
        "anchor": anchor.identity() | {"tail_share": rule.tail_rate},
        "settings": dict(settings) | {"passage": PASSAGE, "prior_tokens": PRIOR_TOKENS},
        "guards": {"from": source, "limits": limits},
        "n_documents": total.n_documents,
        "n_tokens": total.n_tokens,
        "statuses": {status: total.statuses[status] for status in STATUSES},
        "mean_raise": mean,
        "weights": {"least": 1 / mean, "greatest": rule.cap / mean},
        "tail_share": found["tail_share"],
        "tail_share_weighted": found["tail_share_weighted"],
        "effective_documents": total.raises**2 / total.raise_squares if total.raise_squares else 0.0,
    }


def _finite(limit: float) -> float | None:
    return limit if np.isfinite(limit) else None
