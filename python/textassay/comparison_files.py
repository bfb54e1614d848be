"""What `textassay compare -o OUT` leaves: comparison.json, the movers, a row each, and a page."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import asdict, fields
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.atomic import replacing
from textassay.comparison import Timeline
from textassay.errors import FolderError, OutputError, OutputWarning
from textassay.folder import COMPARISON, REPORT, json_text
from textassay.movers import Mover
from textassay.report import can_report, page_or_warning

MOVERS, MOVER_LINES = "movers.parquet", "movers.jsonl"


def write_timeline(timeline: Timeline, out: str | PathLike[str]) -> None:
    """Writes into the folder `out`, which may hold other files; each file is there whole or not at all. Without pyarrow the
    movers are lines of JSON, and without the extra `report` there is no page; an `OutputWarning` says so.

    Raises `FolderError` where `out` is no folder, `OutputError` where it cannot be written.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; wanted a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_movers(timeline, folder)
        with replacing(folder / COMPARISON) as stream:
            stream.write(json_text(timeline.to_dict()).encode())
        _write_page(timeline, folder)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error


def _write_page(timeline: Timeline, folder: Path) -> None:
    def made() -> bytes:
        from textassay.report.comparison_page import comparison_page

        return comparison_page(timeline.to_dict())

    page = page_or_warning(made) if can_report() else None
    if page is None:
        (folder / REPORT).unlink(missing_ok=True)  # that of an earlier comparison
        return
    with replacing(folder / REPORT) as stream:
        stream.write(page)


def _write_movers(timeline: Timeline, folder: Path) -> None:
    if find_spec("pyarrow") is None:
        warnings.warn(f"pyarrow is not there: movers go to {MOVER_LINES}, not {MOVERS}", OutputWarning, 3)
        with replacing(folder / MOVER_LINES) as stream:
            for row in _rows(timeline):
                stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        (folder / MOVERS).unlink(missing_ok=True)
        return
    import pyarrow
    import pyarrow.parquet

    text, whole, real = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    kinds = {"label": text, "kind": text, "token": text, "reference": whole, "current": whole}
    names = ("label", "kind", *(field.name for field in fields(Mover)))
    schema = pyarrow.schema([(name, kinds.get(name, real)) for name in names])
    with replacing(folder / MOVERS) as stream:
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(list(_rows(timeline)), schema), stream, compression="zstd"
        )
    (folder / MOVER_LINES).unlink(missing_ok=True)


def _rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Rising types by z, then falling ones, of each current corpus; then its 2-grams."""
    for comparison in timeline.comparisons:
        by_kind = {"token": (*comparison.rising, *comparison.falling)}
        by_kind["bigram"] = (*comparison.rising_bigrams, *comparison.falling_bigrams)
        for kind, movers in by_kind.items():
            for mover in movers:
                yield {"label": comparison.label, "kind": kind} | asdict(mover)
