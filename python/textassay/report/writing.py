"""The page of a folder that textassay has written, made anew from what lies in it."""

import io
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay.anchor import Anchor
from textassay.anchor.anchor import as_anchor
from textassay.atomic import replacing
from textassay.detector import package_detector_of
from textassay.errors import InputError, OutputError, TextassayError, UsageError
from textassay.folder import (
    BATCHES_JSON,
    BATCHES_PARQUET,
    COMPARISON,
    ERRORS,
    MANIFEST,
    MANIFEST_SCHEMA,
    PROFILE,
    REPORT,
    SIMULATION,
    SUMMARY,
)
from textassay.profile import Profile
from textassay.report import has_report
from textassay.scanning import ERRORS_SHOWN, has_pyarrow
from textassay.summary import SCHEMA as SUMMARY_SCHEMA

JSON_LIMIT = 1 << 28
"""Bytes of summary.json and of manifest.json, which names every input."""

LINE_LIMIT = 1 << 16
_BATCHES_AT_ONCE = 1 << 16
_BATCH_COLUMNS = ("entropy_bits", "n_tokens")


def write_report(
    out: str | PathLike[str],
    path: str | PathLike[str] | None = None,
    *,
    anchor: Anchor | str | PathLike[str] | None = None,
) -> Path:
    """Writes the page of the folder `out`, to `path` or to report.html in it; returns where it is.

    `out` was written by scan, merge, compare or simulate. A scan's page is the one that the scan itself has written, if the
    anchor that it had is given, too, its detector is the package's own, and its inputs are still where they were. A scan that had no
    anchor is compared with the one given.

    Raises `UsageError` on an anchor that is not the scan's own, on a folder that holds something else, and without jinja2 and
    matplotlib; `InputError` where there is no such folder, `ProfileError` on a damaged profile, `OutputError` where the page
    cannot be written.
    """
    if not has_report():
        raise UsageError("a report needs jinja2 and matplotlib: pip install 'textassay[report]'")
    folder = Path(out)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wanted one that scan, merge, compare or simulate wrote")
    try:
        page = _page(folder, as_anchor(anchor))
    except TextassayError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise UsageError(f"{folder} does not hold what textassay writes: {error!r}") from error
    target = folder / REPORT if path is None else Path(path)
    try:
        with replacing(target) as stream:
            stream.write(page)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _page(folder: Path, anchor: Anchor | None) -> bytes:
    if (folder / SUMMARY).exists():
        return _scan_page(folder, anchor)
    if anchor is not None:
        raise UsageError(f"{folder} holds no scan: there is nothing to compare with {anchor.path}")
    if (folder / COMPARISON).exists():
        from textassay.report.comparison_page import SCHEMA, comparison_page

        return comparison_page(_read_json(folder / COMPARISON, SCHEMA))
    if (folder / SIMULATION).exists():
        from textassay.report.simulation_page import SCHEMA, simulation_page

        return simulation_page(_read_json(folder / SIMULATION, SCHEMA))
    raise UsageError(f"{folder} holds none of {SUMMARY}, {COMPARISON}, {SIMULATION}")


def _scan_page(folder: Path, anchor: Anchor | None) -> bytes:
    from textassay.report.scan_page import ScanFindings, scan_page

    summary, manifest = _read_json(folder / SUMMARY, SUMMARY_SCHEMA), _read_json(folder / MANIFEST, MANIFEST_SCHEMA)
    profile = Profile.load(folder / PROFILE)
    own = profile.configuration.anchor
    if anchor is not None and own not in ("", anchor.digest):
        raise UsageError(f"{anchor.path} is not the anchor of this scan: wanted {own}, found {anchor.digest}")
    errors, detector = _errors(folder / ERRORS), package_detector_of(profile)
    return scan_page(ScanFindings(summary, profile, _batches(folder), manifest, errors, anchor, detector))


def _read_json(path: Path, schema: str) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(JSON_LIMIT + 1)
        content = json.loads(data) if len(data) <= JSON_LIMIT else None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise UsageError(f"{path}: wanted the schema {schema} in at most {JSON_LIMIT} bytes")
    return content


def _batches(folder: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Rows of batches, piece by piece; none where the folder was merged."""
    if (folder / BATCHES_PARQUET).exists() and has_pyarrow():
        yield from _parquet_batches(folder / BATCHES_PARQUET)
    elif (folder / BATCHES_JSON).exists():
        yield from _json_batches(folder / BATCHES_JSON)


def _parquet_batches(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for piece in file.iter_batches(_BATCHES_AT_ONCE, columns=list(_BATCH_COLUMNS)):
                yield {name: piece[name].to_numpy(zero_copy_only=False) for name in _BATCH_COLUMNS}
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _json_batches(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    try:
        with path.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as lines:
            yield from _pieces(json.loads(line) for line in _lines(lines))
    except (zstandard.ZstdError, ValueError, OSError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _pieces(rows: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, NDArray[Any]]]:
    while piece := list(islice(rows, _BATCHES_AT_ONCE)):
        yield {name: np.array([row[name] for row in piece], np.float64) for name in _BATCH_COLUMNS}


def _errors(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            return [json.loads(line) for line in islice(_lines(stream), ERRORS_SHOWN)]
    except FileNotFoundError:
        return []  # a merge has none
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _lines(stream: Any) -> Iterator[bytes]:
    """Raises ValueError on a line that is longer than any that a scan writes."""

    buffered = io.BufferedReader(stream) if not isinstance(stream, io.BufferedIOBase) else stream
    while line := buffered.readline(LINE_LIMIT):
        if not line.endswith(b"\n"):
            raise ValueError(f"wanted lines of at most {LINE_LIMIT} bytes")
        yield line
