"""Profiles of parts of a corpus, added up."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textassay.detector import package_detector_of
from textassay.errors import FolderError, InputError, UsageError
from textassay.folder import BIGRAMS, MANIFEST, MANIFEST_SCHEMA, PLAN, PROFILE, REPORT, SUMMARY, OutputFolder
from textassay.profile import Profile
from textassay.report import can_report, page_or_warning
from textassay.scan_folder import read_json
from textassay.shards import PlanRecord, ShardRecord
from textassay.summary import ACCOUNTS, DAMAGED_SHOWN, summary_of
from textassay.summary import SCHEMA as SUMMARY_SCHEMA


def merge_profiles(
    paths: Sequence[str | PathLike[str]], *, fan_in: int | None = None, threads: int = 1
) -> tuple[Profile, dict[str, Any]]:
    """The profile of all corpora together, and its summary.

    `paths` are `.tap` files, folders that `scan` wrote, or folders of shards, of which the finished ones count; the
    summary's `inputs` then have the entry `shards`, which names the missing. Its other entries are added up where all
    are folders, otherwise they are None but for `profiles`.

    The first profile is loaded, the others are added chunk by chunk. With `fan_in` or several `threads` at most `fan_in`
    are added up at a time, by each thread, into a temporary file (in TMPDIR), and then those files, until one is left. So
    the memory is that of a profile for each thread, however many there are; the result does not depend on either.

    Raises `InputError` where there is nothing to merge, `UsageError` where configurations differ and on numbers out of
    range, `ProfileError` on damage.
    """
    if fan_in is not None and fan_in < 2:
        raise UsageError(f"fan_in={fan_in}: wanted at least 2")
    if threads < 1:
        raise UsageError(f"threads={threads}: wanted at least 1")
    if not paths:
        raise InputError("no profile: wanted .tap files or folders that scan wrote")
    parts, shards = expand_shards(paths)
    files = [profile_file(path) for path in parts]
    if fan_in is None:
        fan_in = len(files) if threads == 1 else max(2, -(-len(files) // threads))
    with TemporaryDirectory(prefix="textassay-merge-") as scratch, ThreadPoolExecutor(threads) as pool:
        profile = added_up(
            merge_levels(files, fan_in, Path(scratch), lambda jobs: list(pool.map(merge_files, *zip(*jobs))))
        )
    return profile, merged_summary(profile, parts, shards)


def merged_summary(profile: Profile, parts: Sequence[Path], shards: dict[str, Any] | None) -> dict[str, Any]:
    """The summary of a sum; `parts` and `shards` are what `expand_shards` gave."""
    inputs = {"profiles": len(parts)} | _added_inputs(parts)
    if shards is not None:
        inputs["shards"] = shards
    return summary_of(profile, inputs, {}, package_detector_of(profile))


def merge_shards(
    out: str | PathLike[str], *, fan_in: int | None = None, threads: int = 1
) -> tuple[Profile, dict[str, Any]]:
    """`merge_profiles` of the shards in a folder, into that folder."""
    profile, summary = merge_profiles([out], fan_in=fan_in, threads=threads)
    write_merged(out, profile, summary, [out])
    return profile, summary


Merge = tuple[Sequence[Path], Path]
"""Profiles to add up, and the file that the sum goes to."""


def merge_levels(
    files: Sequence[Path], fan_in: int, scratch: Path, run: Callable[[list[Merge]], object]
) -> Sequence[Path]:
    """Adds up profiles, at most `fan_in` at a time, until at most so many are left, which are returned.

    `run` does what it is given with `merge_files`, in any order, or at once. The sums lie in `scratch`; those that are in
    larger ones are removed.
    """
    level = 0
    while len(files) > fan_in:
        groups = [files[start : start + fan_in] for start in range(0, len(files), fan_in)]
        jobs = [(group, scratch / f"{level}-{number}.tap") for number, group in enumerate(groups)]
        run(jobs)
        if level:
            for file in files:
                file.unlink()
        files = [target for _, target in jobs]
        level += 1
    return files


def merge_files(files: Sequence[Path], target: Path) -> None:
    """Writes the sum of profiles. At most two files are open at a time."""
    added_up(files).save(target)


def added_up(files: Sequence[Path]) -> Profile:
    """The first profile, to which the others are added chunk by chunk."""
    profile = Profile.load(files[0])
    for file in files[1:]:
        profile.merge_file(file)
    return profile


def expand_shards(paths: Sequence[str | PathLike[str]]) -> tuple[list[Path], dict[str, Any] | None]:
    """Profiles and folders of results, with the finished shards of a folder in its place, and what is to be said of all
    shards: `planned`, `finished`, `missing` (a dict each, of `folder`, `shard`, `name`, `files`, `bytes`); None where
    there are none.
    """
    parts: list[Path] = []
    planned, missing = 0, []
    for path in map(Path, paths):
        if not (path / PLAN).exists():
            parts.append(path)
            continue
        for shard in PlanRecord.read(path).shards:
            planned += 1
            if not shard.is_finished(path):
                missing.append({"folder": str(path), "shard": shard.index, **_without_index(shard)})
            elif shard.files:
                parts.append(shard.folder(path))
    if planned and not parts:
        raise InputError(f"none of the {planned} shards in {', '.join(map(str, paths))} is finished")
    about = {"planned": planned, "finished": planned - len(missing), "missing": missing}
    return parts, about if planned else None


def _without_index(shard: ShardRecord) -> dict[str, Any]:
    return {"name": shard.name, "files": shard.files, "bytes": shard.bytes}


def write_merged(
    out: str | PathLike[str], profile: Profile, summary: dict[str, Any], paths: Sequence[str | PathLike[str]]
) -> None:
    """Writes profile.tap, summary.json, report.html, bigrams.tap where all of them have one, and a manifest that names the
    profiles. Raises `FolderError` as a scan does.
    """
    with OutputFolder(out, beside_shards=True) as folder:
        commit_merged(folder, profile, summary, paths)


def commit_merged(
    folder: OutputFolder, profile: Profile, summary: dict[str, Any], paths: Sequence[str | PathLike[str]]
) -> None:
    """`write_merged` into a folder that is claimed."""
    reports = can_report()
    digest = profile.save(folder.partial / PROFILE)
    bigrams = [path / BIGRAMS for path in expand_shards(paths)[0]]
    if all(file.is_file() for file in bigrams):
        added_up(bigrams).save(folder.partial / BIGRAMS)
    folder.write_json(SUMMARY, summary)
    manifest = {"schema": MANIFEST_SCHEMA, "profile_digest": digest, "profiles": [str(path) for path in paths]}
    page = _page(summary, profile, manifest) if reports else None
    if page is not None:
        with folder.file(REPORT) as stream:
            stream.write(page)
    folder.write_json(MANIFEST, manifest)
    folder.commit()


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
    for name in _COUNTED[:-2]:
        added[name] = _sum([one.get(name) for one in found])
    added["malformed_by_reason"] = _sums([one.get("malformed_by_reason") for one in found])
    for name in _COUNTED[-2:]:
        added[name] = _sum([one.get(name) for one in found])
    accounts = [one.get("accounted", {}) for one in found]
    added["accounted"] = {name: _sum([one.get(name) for one in accounts]) for name in ACCOUNTS}
    added["balanced"] = all(one.get("balanced", False) for one in found)
    added["damaged"] = [entry for one in found for entry in one.get("damaged", [])][:DAMAGED_SHOWN]
    return added


def _inputs_beside(path: Path) -> dict[str, Any]:
    """The inputs that the summary in a scan's folder names; nothing for a bare profile."""
    if not (path / SUMMARY).is_file():
        return {}
    inputs = read_json(path / SUMMARY, SUMMARY_SCHEMA).get("inputs")
    if not isinstance(inputs, dict) or not _are_inputs(inputs):
        raise FolderError(f"{path / SUMMARY}: its inputs are not as a scan or a merge writes them")
    return inputs


def _are_inputs(found: Mapping[str, Any]) -> bool:
    """Whether all that is added up is of the right kind; what is missing is not known."""
    reasons, accounts, damaged = (found.get(name) or {} for name in ("malformed_by_reason", "accounted", "damaged"))
    if not (isinstance(reasons, dict) and isinstance(accounts, dict) and isinstance(damaged, (list, dict))):
        return False
    counts = [*(found.get(name) for name in _COUNTED), *accounts.values()]
    return (
        all(one is None or type(one) is int and one >= 0 for one in counts)
        and all(type(one) is int and one >= 0 for one in reasons.values())
        and all(isinstance(one, dict) and set(one) == _DAMAGE and _is_damage(**one) for one in damaged)
        and isinstance(found.get("balanced", False), bool)
    )


_COUNTED = ("files", "files_damaged", "bytes", "bytes_compressed", "lines", "documents", "malformed")
_COUNTED += ("frames", "frames_without_checksum")
_DAMAGE = {"file", "status", "reason", "byte_offset", "compressed_offset", "bytes_lost"}


def _is_damage(file: Any, status: Any, reason: Any, **places: Any) -> bool:
    return all(isinstance(one, str) for one in (file, status, reason)) and all(
        one is None or type(one) is int for one in places.values()
    )


def _sum(values: Sequence[int | None]) -> int | None:
    return None if None in values else sum(value for value in values if value is not None)


def _sums(counts: Sequence[dict[str, int] | None]) -> dict[str, int] | None:
    if None in counts:
        return None
    names = sorted({name for one in counts if one for name in one})
    return {name: sum(one.get(name, 0) for one in counts if one) for name in names}
