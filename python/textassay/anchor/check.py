"""Do an anchor and a corpus share text? Both ways, by the fingerprints of their documents (docs/semantics.md)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.anchor import Anchor, load_anchor
from textassay.configuration import check_limits
from textassay.cpus import usable_cpus
from textassay.errors import AnchorError, UsageError
from textassay.fields import parse_field
from textassay.inputs import Input, resolve_inputs
from textassay.parquet import sources_of
from textassay.scan_settings import MAX_RECORD_BYTES, MAX_TEXT_FIELDS, MAX_WINDOW_LOG
from textassay.scanning import Progress, drain, stop
from textassay.summary import inputs_of

SCHEMA = "textassay.anchor-check/1"
LIMIT = 0.1
ALLOWED_SUSPECTS = 0.05
KEPT = 1000
"""Documents named of each side."""

LINE_BITS = 40
_PIECE = 1 << 20


@dataclass(frozen=True)
class Side:
    """The documents of the corpus, or of the anchor.

    `worst` are those that overlap most, at most 1,000, each with `file`, `line`, `overlap` and more.
    """

    n_documents: int
    n_over: int
    worst: tuple[Mapping[str, Any], ...]

    @property
    def share_over(self) -> float:
        return self.n_over / max(1, self.n_documents)

    def report(self) -> dict[str, Any]:
        return {"n_documents": self.n_documents, "n_over": self.n_over, "share_over": self.share_over}


@dataclass(frozen=True)
class AnchorCheck:
    """What `check_anchor` found. `n_compared`: documents of the corpus that are long enough to have a fingerprint."""

    anchor: Mapping[str, Any]
    inputs: Mapping[str, Any]
    limit: float
    allowed: float
    corpus: Side
    n_compared: int
    anchor_text: Side
    n_fingerprints: int
    n_met: int
    suspects: Mapping[str, Any] | None
    """What the detector found when the anchor was built: `n_judged`, `n_suspected`, `worst`; None: nothing looked."""
    allowed_suspects: float

    @property
    def share_suspected(self) -> float:
        """Of the anchor's documents of 100 words or more: those that resemble synthetic text."""
        found = self.suspects
        return found["n_suspected"] / max(1, found["n_judged"]) if found is not None else 0.0

    @property
    def is_over(self) -> bool:
        """Do more documents of a side overlap more than the limit than is allowed, or are more of the anchor's
        suspected to be synthetic?
        """
        overlap = max(self.corpus.share_over, self.anchor_text.share_over)
        return overlap > self.allowed or self.share_suspected > self.allowed_suspects

    @property
    def share_met(self) -> float:
        """Of the anchor's fingerprints: those that the corpus has."""
        return self.n_met / self.n_fingerprints

    def report(self) -> dict[str, Any]:
        """As one JSON object."""
        found = {"n_fingerprints": self.n_fingerprints, "n_met": self.n_met, "share_met": self.share_met}
        return {
            "schema": SCHEMA,
            "anchor": dict(self.anchor),
            "inputs": dict(self.inputs),
            "limit": self.limit,
            "allowed": self.allowed,
            "is_over": self.is_over,
            "corpus": {**self.corpus.report(), "n_compared": self.n_compared, "worst": list(self.corpus.worst)},
            "anchor_text": {**self.anchor_text.report(), **found, "worst": list(self.anchor_text.worst)},
            "suspects": self._suspects(),
        }

    def _suspects(self) -> dict[str, Any] | None:
        if self.suspects is None:
            return None
        return dict(self.suspects) | {"share_suspected": self.share_suspected, "allowed": self.allowed_suspects}


def check_anchor(
    anchor: Anchor | str | PathLike[str],
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    limit: float = LIMIT,
    *,
    allowed: float = 0.0,
    allowed_suspects: float = ALLOWED_SUSPECTS,
    text_fields: str | Sequence[str] = "text",
    id_field: str = "id",
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> AnchorCheck:
    """Looks for the anchor's text in a corpus, and for the corpus's in the anchor, exact and near copies.

    A document's overlap is the share of its fingerprints that the other side has; `limit` is how much it may be, and
    `allowed` which share of a side's documents may have more. Of the anchor's own documents the share
    `allowed_suspects` may resemble synthetic text: the detector's false alarms, which formal text has more of.

    Raises `UsageError` on settings out of range and on an anchor without fingerprints.
    """
    for name, value in (("limit", limit), ("allowed", allowed), ("allowed_suspects", allowed_suspects)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name}={value}: wanted a share from 0 to 1")
    fields = [parse_field(path) for path in ([text_fields] if isinstance(text_fields, str) else text_fields)]
    if not 1 <= len(fields) <= MAX_TEXT_FIELDS:
        raise UsageError(f"{len(fields)} text fields: wanted 1 to {MAX_TEXT_FIELDS}")
    used_threads = usable_cpus() if threads is None else threads
    check_limits("word", threads=used_threads)
    found = anchor if isinstance(anchor, Anchor) else load_anchor(anchor)
    n_fingerprints = len(found.arrays.get("fingerprints", ()))
    if not n_fingerprints:
        raise UsageError(f"{found.path}: an anchor without fingerprints: it was imported, or made of very short texts")
    files = resolve_inputs(inputs)
    names = [file.name for file in files]
    met = np.zeros(n_fingerprints, np.uint8)
    overlaps = _Overlaps(names, limit)
    options = {"text_fields": fields, "id_field": parse_field(id_field), "threads": used_threads}
    _compare(found, met, files, options, overlaps.take, on_progress)
    about = found.identity(), inputs_of(names, overlaps.outcomes)
    corpus, n_met = overlaps.side(), int(np.count_nonzero(met))
    anchor_text = _anchor_text(found, met, limit)
    found_in = corpus, overlaps.n_compared, anchor_text, n_fingerprints, n_met
    return AnchorCheck(*about, limit, allowed, *found_in, _suspects_of(found), allowed_suspects)


def _suspects_of(anchor: Anchor) -> dict[str, Any] | None:
    """What its header says of them. Raises `AnchorError` where that is no such thing."""
    found = anchor.header.get("suspects")
    if found is None:
        return None
    try:
        worst = [_suspect(**{name: row[name] for name in _SUSPECT}) for row in found["worst"]]
        counts = {name: int(found[name]) for name in ("n_judged", "n_suspected")}
        return {"detector": str(found["detector"]), "fpr": float(found["fpr"]), **counts, "worst": worst}
    except (KeyError, TypeError, ValueError) as error:
        raise AnchorError(anchor.path, f"the header does not say who is suspected: {error!r}") from error


_SUSPECT = ("file", "line", "synthetic_logit", "n_tokens")


def _suspect(file: Any, line: Any, synthetic_logit: Any, n_tokens: Any) -> dict[str, Any]:
    if not isinstance(file, str):
        raise TypeError(f"wanted the name of a file, found {str(file)[:40]}")
    return {"file": file, "line": int(line), "synthetic_logit": float(synthetic_logit), "n_tokens": int(n_tokens)}


def _compare(
    anchor: Anchor,
    met: NDArray[np.uint8],
    files: Sequence[Input],
    options: Mapping[str, Any],
    take: Callable[[Mapping[str, Any]], None],
    on_progress: Callable[[Progress], None] | None,
) -> None:
    running = _backend.get().Scan(
        sources_of(files, options["text_fields"], options["id_field"]),
        signals=["n_tokens", "anchor_overlap"],
        anchor=anchor.for_backend,
        met=met,
        max_record_bytes=MAX_RECORD_BYTES,
        max_window_log=MAX_WINDOW_LOG,
        stage="signals",
        **options,
    )
    try:
        drain(running, files, take, on_progress)
    except BaseException:
        stop(running)
        raise


class _Overlaps:
    """Takes a scan's events; keeps counts, and the documents that overlap most."""

    def __init__(self, names: Sequence[str], limit: float) -> None:
        self.n_documents = self.n_compared = self.n_over = 0
        self._names, self._limit = names, limit
        self._outcomes: dict[int, Mapping[str, Any]] = {}
        self._least = float(np.nextafter(0, 1))
        self._rows: list[tuple[float, int, int, int, int, str | None]] = []

    @property
    def outcomes(self) -> list[Mapping[str, Any]]:
        return [self._outcomes[file] for file in range(len(self._names))]

    def take(self, event: Mapping[str, Any]) -> None:
        if "documents" in event:
            self._add(event["file"], event["documents"])
        if "outcome" in event:
            self._outcomes[event["file"]] = event["outcome"]

    def _add(self, file: int, columns: Mapping[str, NDArray[Any]]) -> None:
        overlap = columns["anchor_overlap"]
        self.n_documents += len(overlap)
        self.n_compared += int(np.count_nonzero(~np.isnan(overlap)))
        self.n_over += int(np.count_nonzero(overlap > self._limit))
        for row in np.flatnonzero(overlap >= self._least).tolist():
            place = (int(columns[name][row]) for name in ("line", "byte_offset"))
            rank = (-float(overlap[row]), -int(columns["n_tokens"][row]), file)
            self._rows.append((*rank, *place, _id_of(columns, row)))  # type: ignore[arg-type]
        if len(self._rows) > 4 * KEPT:
            self._forget()

    def _forget(self) -> None:
        """The order has no ties, so what is left does not depend on how the events came."""
        self._rows.sort()
        del self._rows[KEPT:]
        if len(self._rows) == KEPT:
            self._least = -self._rows[-1][0]

    def side(self) -> Side:
        self._forget()
        worst = tuple(
            {"file": self._names[file], "line": line, "byte_offset": offset, "id": id_, "overlap": -low, "n_tokens": -n}
            for low, n, file, line, offset, id_ in self._rows
        )
        return Side(self.n_documents, self.n_over, worst)


def _id_of(columns: Mapping[str, NDArray[Any]], row: int) -> str | None:
    if columns["id_null"][row]:
        return None
    begin, end = columns["id_offsets"][row : row + 2].tolist()
    return columns["id_bytes"][begin:end].tobytes().decode()


def _anchor_text(anchor: Anchor, met: NDArray[np.uint8], limit: float) -> Side:
    """The anchor's documents. A fingerprint that several of them have counts for the first."""
    of = anchor.arrays["fingerprint_documents"]
    documents, n_met = np.unique(of[np.flatnonzero(met)], return_counts=True)
    n = _count_each(documents, of)
    overlap = n_met / n
    worst = np.lexsort((documents, -n, -overlap))[:KEPT]
    rows = zip(documents[worst].tolist(), overlap[worst].tolist(), n[worst].tolist(), strict=True)
    try:
        names = [entry["name"] for entry in anchor.header["inputs"]]
        shown = tuple(
            {**_place(names, document), "overlap": share, "n_fingerprints": size} for document, share, size in rows
        )
        n_documents = int(anchor.header["totals"]["n_documents"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise AnchorError(anchor.path, f"the header does not fit the fingerprints: {error!r}") from error
    return Side(n_documents, int(np.count_nonzero(overlap > limit)), shown)


def _count_each(wanted: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each of `wanted` (ascending) is among the values."""
    counts = np.zeros(len(wanted), np.int64)
    for begin in range(0, len(values) if len(wanted) else 0, _PIECE):
        part = values[begin : begin + _PIECE]
        places = np.minimum(np.searchsorted(wanted, part), len(wanted) - 1)
        counts += np.bincount(places[wanted[places] == part], minlength=len(wanted))
    return counts


def _place(names: Sequence[str], document: int) -> dict[str, Any]:
    return {"file": names[document >> LINE_BITS], "line": document & (1 << LINE_BITS) - 1}
