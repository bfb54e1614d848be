"""Figures to decide by: those of a scan that was made, or of one made now, of as little as will do."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any

from textassay import _backend
from textassay.configuration import VERDICT_SIGNALS
from textassay.errors import FolderError, InputError, OutputError, UsageError
from textassay.inputs import Input
from textassay.parquet import is_parquet
from textassay.scan_folder import BATCH_COLUMNS, PLACES, TEXT_COLUMNS, ScanFolder, ScannedInput
from textassay.scanning import Progress, has_pyarrow, scan
from textassay.signals import ANCHOR_SIGNALS, DETECTOR_SIGNALS

FOLDER = "scan"


def check_options(
    scanned: str | PathLike[str] | None, columns: Mapping[str, str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Options for a scan that measures these columns; none where one has been made. Raises `UsageError` on a column
    that no scan has or these options do not give, and on options for a scan that has been made.
    """
    if scanned is None:
        return {**options, "signals": _signals_for(columns, options)}
    if options:
        raise UsageError(f"{', '.join(options)}: a scan that has been made knows its own settings")
    return {}


def check_readable_twice(files: Sequence[Input]) -> None:
    """Raises `InputError` on pipes, and on Parquet, which has no lines."""
    for file in files:
        if isinstance(file.source, int) or file.size is None:
            raise InputError(f"{file.name}: wanted a file, which can be read twice")
        if is_parquet(file):
            raise InputError(f"{file.name}: wanted lines of JSON, found Parquet")


@contextmanager
def scan_of(
    files: Sequence[Input],
    scanned: str | PathLike[str] | None,
    place: Path,
    options: Mapping[str, Any],
    threads: int,
    on_progress: Callable[[Progress], None] | None,
) -> Iterator[tuple[ScanFolder, list[tuple[Input, ScannedInput]]]]:
    """The results of the scan in `scanned`, or of one into a folder in `place` that goes away, and each file's part in it.

    Raises `InputError` on a file that was not scanned, or has changed since, `OutputError` where what was written into `place`
    cannot be read again.
    """
    if scanned is not None:
        folder = ScanFolder(scanned)
        yield folder, _matched(files, folder)
        return
    try:
        paths = [os.fsdecode(file.source) for file in files if isinstance(file.source, bytes)]
        form = "parquet" if has_pyarrow() else "jsonl"
        scan(
            paths,
            place / FOLDER,
            documents=form,
            threads=threads,
            on_progress=on_progress,
            checkpoint_seconds=None,
            **options,
        )
        folder = ScanFolder(place / FOLDER)
        yield folder, _matched(files, folder)
    except FolderError as error:
        raise OutputError(str(error)) from error
    finally:
        shutil.rmtree(place / FOLDER, ignore_errors=True)


def _matched(files: Sequence[Input], results: ScanFolder) -> list[tuple[Input, ScannedInput]]:
    taken: dict[Path, str] = {}
    matched = [(file, results.input_of(file)) for file in files]
    for file, scanned in matched:
        if taken.setdefault(scanned.documents, file.name) != file.name:
            raise InputError(f"{taken[scanned.documents]} and {file.name} are the same input of the scan")
    return matched


def _signals_for(columns: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
    known: tuple[str, ...] = _backend.get().SIGNALS
    others = (*BATCH_COLUMNS, *TEXT_COLUMNS, *PLACES, "n_replaced")
    for column in columns:
        if column not in (*known, *others):
            close = get_close_matches(column, (*known, *others), 3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join((*known, *others))}"
            raise UsageError(f"no column {column!r}: {hint}")
    for kind, signals in (("anchor", ANCHOR_SIGNALS), ("detector", DETECTOR_SIGNALS)):
        needing = [name for name in columns if name in signals]
        if needing and options.get(kind, "default" if kind == "detector" else None) is None:
            raise UsageError(f"{', '.join(needing)}: measuring that needs {kind}")
    wanted = {*columns, *(VERDICT_SIGNALS if "provenance" in columns else ())}
    return [name for name in known if name in wanted] or ["n_tokens"]
