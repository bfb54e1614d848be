"""The page of a folder that textassay has written, made anew from what lies in it."""

from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.anchor import Anchor
from textassay.anchor.anchor import as_anchor
from textassay.atomic import replacing
from textassay.detector import package_detector_of
from textassay.errors import InputError, TextassayError, UsageError
from textassay.folder import COMPARISON, ERRORS, PROFILE, REPORT, SIMULATION, SUMMARY
from textassay.profile import Profile
from textassay.report import require_report
from textassay.scan_folder import batches_file, read_json, read_manifest, read_rows
from textassay.scanning import ERRORS_SHOWN
from textassay.summary import SCHEMA as SUMMARY_SCHEMA
from textassay.untrusted import parse_json

LINE_LIMIT = 1 << 16
"""Bytes of a line of errors.jsonl."""


def write_report(
    out: str | PathLike[str],
    path: str | PathLike[str] | None = None,
    *,
    anchor: Anchor | str | PathLike[str] | None = None,
) -> Path:
    """Writes the page of the folder `out`, to `path` or to report.html in it; returns where it is.

    `out` was written by scan, merge, compare or simulate. A scan's page is the one that the scan itself has written, if the
    anchor that it had is given, too, its detector is the package's own, and its inputs are still where they were. A scan that
    had no anchor is compared with the one given.

    Raises `UsageError` on an anchor that is not the scan's own, on a folder that holds something else, and without jinja2 and
    matplotlib; `InputError` where there is no such folder, `ProfileError` on a damaged profile, `OutputError` where the page
    cannot be written.
    """
    require_report()
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
    with replacing(target) as stream:
        stream.write(page)
    return target


def _page(folder: Path, anchor: Anchor | None) -> bytes:
    if (folder / SUMMARY).exists():
        return _scan_page(folder, anchor)
    if anchor is not None:
        raise UsageError(f"{folder} holds no scan: there is nothing to compare with {anchor.path}")
    if (folder / COMPARISON).exists():
        from textassay.report.comparison_page import SCHEMA, comparison_page

        return comparison_page(read_json(folder / COMPARISON, SCHEMA))
    if (folder / SIMULATION).exists():
        from textassay.report.simulation_page import SCHEMA, simulation_page

        return simulation_page(read_json(folder / SIMULATION, SCHEMA))
    raise UsageError(f"{folder} holds none of {SUMMARY}, {COMPARISON}, {SIMULATION}")


def _scan_page(folder: Path, anchor: Anchor | None) -> bytes:
    from textassay.report.scan_page import BATCH_COLUMNS, ScanFindings, scan_page

    summary, manifest = read_json(folder / SUMMARY, SUMMARY_SCHEMA), read_manifest(folder)
    profile = Profile.load(folder / PROFILE)
    own = profile.configuration.anchor
    if anchor is not None and own not in ("", anchor.digest):
        raise UsageError(f"{anchor.path} is not the anchor of this scan: wanted {own}, found {anchor.digest}")
    file = batches_file(folder)
    batches = () if file is None else read_rows(file, BATCH_COLUMNS)
    errors, detector = _errors(folder / ERRORS), package_detector_of(profile)
    return scan_page(ScanFindings(summary, profile, batches, manifest, errors, anchor, detector))


def _errors(path: Path) -> list[dict[str, Any]]:
    """The first lines of errors.jsonl; none in the folder of a merge."""
    if not path.is_file():
        return []
    try:
        with path.open("rb") as stream:
            lines = islice(iter(lambda: stream.readline(LINE_LIMIT), b""), ERRORS_SHOWN)
            return [parse_json(line) for line in lines]
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
