"""Profiles of parts of a corpus, added up."""

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.detector import package_detector_of
from textassay.errors import InputError
from textassay.folder import BIGRAMS, MANIFEST, MANIFEST_SCHEMA, PROFILE, REPORT, SUMMARY, OutputFolder
from textassay.profile import Profile
from textassay.report import can_report, page_or_warning
from textassay.summary import ACCOUNTS, DAMAGED_SHOWN, summary_of


def merge_profiles(paths: Sequence[str | PathLike[str]]) -> tuple[Profile, dict[str, Any]]:
    """The profile of all corpora together, and its summary.

    `paths` are `.tap` files or folders that `scan` wrote; the first is loaded, the others are added chunk by chunk.
    The summary's `inputs` are added up where all are such folders, otherwise they are None but for `profiles`.

    Raises `InputError` where there is nothing to merge, `UsageError` where configurations differ, `ProfileError` on
    damage.
    """
    if not paths:
        raise InputError("no profile: wanted .tap files or folders that scan wrote")
    files = [profile_file(Path(path)) for path in paths]
    profile = Profile.load(files[0])
    for file in files[1:]:
        profile.merge_file(file)
    inputs = {"profiles": len(files)} | _added_inputs([Path(path) for path in paths])
    return profile, summary_of(profile, inputs, {}, package_detector_of(profile))


def write_merged(
    out: str | PathLike[str], profile: Profile, summary: dict[str, Any], paths: Sequence[str | PathLike[str]]
) -> None:
    """Writes profile.tap, summary.json, report.html, bigrams.tap where all of them have one, and a manifest that names the
    profiles. Raises `FolderError` as a scan does.
    """
    reports = can_report()
    folder = OutputFolder(out)
    try:
        digest = profile.save(folder.partial / PROFILE)
        bigrams = [Path(path) / BIGRAMS for path in paths]
        if all(file.is_file() for file in bigrams):
            merge_profiles(bigrams)[0].save(folder.partial / BIGRAMS)
        folder.write_json(SUMMARY, summary)
        manifest = {"schema": MANIFEST_SCHEMA, "profile_digest": digest, "profiles": [str(path) for path in paths]}
        page = _page(summary, profile, manifest) if reports else None
        if page is not None:
            with folder.file(REPORT) as stream:
                stream.write(page)
        folder.write_json(MANIFEST, manifest)
        folder.commit()
    except BaseException:
        folder.discard()
        raise


def _page(summary: dict[str, Any], profile: Profile, manifest: dict[str, Any]) -> bytes | None:
    def made() -> bytes:
        from textassay.report.scan_page import ScanFindings, scan_page

        detector = package_detector_of(profile)
        return scan_page(ScanFindings(summary, profile, (), manifest, (), detector=detector))

    return page_or_warning(made)


def profile_file(path: Path) -> Path:
    """A `.tap` file, or the one in a folder that scan wrote. Raises `InputError` where there is none."""
    file = path / PROFILE if path.is_dir() else path
    if not file.exists():
        raise InputError(f"{file}: no such profile")
    return file


def _added_inputs(paths: Sequence[Path]) -> dict[str, Any]:
    found = [_inputs_beside(path) for path in paths]
    added: dict[str, Any] = {}
    for name in ("files", "files_damaged", "bytes", "bytes_compressed", "lines", "documents", "malformed"):
        added[name] = _sum([one.get(name) for one in found])
    added["malformed_by_reason"] = _sums([one.get("malformed_by_reason") for one in found])
    for name in ("frames", "frames_without_checksum"):
        added[name] = _sum([one.get(name) for one in found])
    accounts = [one.get("accounted", {}) for one in found]
    added["accounted"] = {name: _sum([one.get(name) for one in accounts]) for name in ACCOUNTS}
    added["balanced"] = all(one.get("balanced", False) for one in found)
    added["damaged"] = [entry for one in found for entry in one.get("damaged", [])][:DAMAGED_SHOWN]
    return added


def _inputs_beside(path: Path) -> dict[str, Any]:
    """The inputs that the summary in a scan's folder names; nothing for a bare profile."""
    try:
        content = json.loads((path / SUMMARY).read_bytes())
        return dict(content["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sum(values: Sequence[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


def _sums(counts: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    if None in counts:
        return None
    names = sorted({name for one in counts if one for name in one})
    return {name: sum(one.get(name, 0) for one in counts if one) for name in names}
