"""A scan divided among processes or machines: which files each of them scans, where it leaves its results, and what of them is
there. docs/cluster.md has the layout of the folder.
"""

import heapq
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.atomic import create
from textassay.checkpoint import SECONDS
from textassay.errors import FolderError, OutputError, ScanInterrupted, UsageError
from textassay.folder import MANIFEST, PLAN, PLAN_SCHEMA, SHARDS, SUMMARY, json_text
from textassay.inputs import Input, resolve_inputs
from textassay.scan_folder import read_json
from textassay.scan_settings import ScanSettings, check_settings
from textassay.scanning import Course, DocumentsChoice, Progress, ScanResult, document_form, scan_files
from textassay.summary import SCHEMA as SUMMARY_SCHEMA
from textassay.summary import is_damaged
from textassay.untrusted import parse_json, read_bytes
from textassay.versions import unlike

MOST_SHARDS = 100_000
LONGEST_PLAN = 1 << 26
SLURM = "slurm"

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")
_NAME = re.compile(r"[0-9a-f]{32}")

ShardChoice = str | tuple[int, int]


@dataclass(frozen=True)
class Shard:
    """A part of the files, which one process scans."""

    index: int
    files: tuple[Input, ...]
    name: str
    """Digest of the work: the settings, and of each file its place, name, size and time."""

    @property
    def bytes(self) -> int:
        """Of files whose size is known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class ShardRecord:
    """What plan.json says of a shard."""

    index: int
    name: str
    files: int
    bytes: int

    def folder(self, out: Path) -> Path:
        return out / SHARDS / self.name

    def is_finished(self, out: Path) -> bool:
        """Whether its results are there, whole; of a shard without files none are to be expected."""
        return self.files == 0 or (self.folder(out) / MANIFEST).exists()


@dataclass(frozen=True)
class PlanRecord:
    """plan.json: the division that all processes that write to a folder follow."""

    settings: Mapping[str, Any]
    shards: tuple[ShardRecord, ...]

    @classmethod
    def read(cls, out: str | PathLike[str]) -> "PlanRecord":
        """Raises `FolderError` on anything but a plan."""
        path = Path(out) / PLAN
        try:
            return cls._parsed(parse_json(read_bytes(path, LONGEST_PLAN, is_named=False)))
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FolderError(f"{path}: wanted a plan of shards: {error}") from error

    @classmethod
    def _parsed(cls, content: Any) -> "PlanRecord":
        if content["schema"] != PLAN_SCHEMA or set(content) != {"schema", "settings", "shards"}:
            raise ValueError(unlike(content["schema"], PLAN_SCHEMA))
        shards = []
        for index, entry in enumerate(content["shards"]):
            numbers = (entry["files"], entry["bytes"])
            # The name becomes a path, so it must be nothing but a digest.
            if set(entry) != {"name", "files", "bytes"} or not _NAME.fullmatch(entry["name"]):
                raise ValueError(f"shard {index}")
            if not all(type(number) is int and number >= 0 for number in numbers):
                raise ValueError(f"sizes of shard {index}")
            shards.append(ShardRecord(index, entry["name"], *numbers))
        return cls(dict(content["settings"]), tuple(shards))

    def difference(self, other: "PlanRecord") -> str:
        """What is unlike, in words; empty where nothing is."""
        names = sorted({*self.settings, *other.settings})
        unlike = [name for name in names if self.settings.get(name) != other.settings.get(name)]
        if unlike:
            first = unlike[0]
            values = f"{self.settings.get(first)!r} and {other.settings.get(first)!r}"
            return f"{first} is {values}" + (f"; {', '.join(unlike[1:])} differ, too" if unlike[1:] else "")
        if len(self.shards) != len(other.shards):
            return f"it is divided into {len(self.shards)} shards and {len(other.shards)}"
        if self.shards != other.shards:
            sizes = [
                (sum(one.files for one in plan.shards), sum(one.bytes for one in plan.shards)) for plan in (self, other)
            ]
            files, volumes = zip(*sizes, strict=True)
            return f"the inputs are {files[0]} files of {volumes[0]} bytes and {files[1]} of {volumes[1]}, or have other times"
        return ""


class Plan:
    """The division of a scan's files among shards. Every process that is given the same inputs makes the same plan."""

    def __init__(self, files: Sequence[Input], settings: ScanSettings, count: int) -> None:
        """Raises `UsageError` on a number of shards out of range, and on standard input, which only one process has."""
        if not 1 <= count <= MOST_SHARDS:
            raise UsageError(f"{count} shards: wanted 1 to {MOST_SHARDS}")
        if any(isinstance(file.source, int) for file in files):
            raise UsageError("standard input cannot be divided: wanted files")
        self.settings = settings
        described = json.dumps(settings.described(), sort_keys=True).encode()
        parts = divide(files, count)
        self.shards = tuple(Shard(i, tuple(part), _digest(described, part)) for i, part in enumerate(parts))

    @property
    def record(self) -> PlanRecord:
        shards = [ShardRecord(one.index, one.name, len(one.files), one.bytes) for one in self.shards]
        return PlanRecord(self.settings.described(), tuple(shards))

    def claim(self, out: str | PathLike[str]) -> None:
        """Writes plan.json into `out`, or checks that it is there and the same.

        Raises `FolderError` where `out` follows another plan or holds something else, `OutputError` where it cannot be
        written.
        """
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            present = {name for name in os.listdir(folder) if not name.startswith(f".{PLAN}.")}
            if present and PLAN not in present:
                some = ", ".join(sorted(present)[:3])
                raise FolderError(f"{folder} holds no plan of shards, but {some}; choose a new or empty folder")
            if create(folder / PLAN, self._text()):
                return
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from error
        difference = PlanRecord.read(folder).difference(self.record)
        if difference:
            raise FolderError(f"{folder} holds shards of another scan: {difference}; choose a new or empty folder")

    def _text(self) -> bytes:
        record = self.record
        shards = [{"name": one.name, "files": one.files, "bytes": one.bytes} for one in record.shards]
        return json_text({"schema": PLAN_SCHEMA, "settings": record.settings, "shards": shards}).encode()

    def scan(self, index: int, out: Path, course: Course) -> ScanResult:
        """Scans a shard, or what is left to do of it. Raises `ScanInterrupted` for `out`."""
        shard = self.shards[index]
        try:
            return scan_files(shard.files, self.settings, out / SHARDS / shard.name, course)
        except ScanInterrupted as error:
            raise ScanInterrupted(out) from error


@dataclass(frozen=True)
class ShardResult:
    """A shard's part in the work."""

    index: int
    count: int
    files: int
    folder: Path
    """Where its results are; it does not exist where the shard has no files."""
    was_there: bool
    """Whether an earlier run had finished it, so that nothing was scanned now."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """summary.json; None where the shard has no files."""
        return read_json(self.folder / SUMMARY, SUMMARY_SCHEMA) if self.files else None

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """As `ScanResult.is_damaged`."""
        summary = self.summary
        return summary is not None and is_damaged(summary["inputs"], malformed_budget)


def scan_shard(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    shard: ShardChoice,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    restart: bool = False,
    checkpoint_seconds: float | None = SECONDS,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> ShardResult:
    """Scans one of the shards into which `inputs` are divided, unless its results are in `out` already.

    `shard` is "i/n" or (i, n), i from 0 to n - 1, or "slurm" or "slurm/n" in a job array (see `parse_shard`). The results go
    to `out`/shards/NAME, where the name is a digest of the work. `options` are those of `scan`. All shards together give
    the profile of one scan, byte for byte: `merge_profiles([out])`.

    Raises what `scan` raises, and `FolderError` where `out` holds shards of another scan.
    """
    index, count = parse_shard(shard)
    plan = make_plan(inputs, count, **options)
    plan.claim(out)
    mine = plan.record.shards[index]
    was_there = mine.is_finished(Path(out))
    if not was_there:
        plan.scan(index, Path(out), Course(on_progress, restart, checkpoint_seconds, should_stop))
    return ShardResult(index, count, mine.files, mine.folder(Path(out)), was_there and mine.files > 0)


def make_plan(inputs: Any, count: int, **options: Any) -> Plan:
    """The plan of a scan; `options` are those of `scan`. Raises `UsageError`."""
    settings = plan_settings(**options)
    return Plan(resolve_inputs(inputs, allow_remote=True), settings, count)


def plan_settings(documents: DocumentsChoice = "auto", **options: Any) -> ScanSettings:
    """The settings that all shards of a scan have; `options` are those of `scan`."""
    form = document_form(documents, True)
    if form == "memory":
        raise UsageError("documents='memory' is for a scan in one process")
    return check_settings(documents=form, **options)


def parse_shard(shard: ShardChoice, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """The index of a shard, from 0, and the number of shards.

    "slurm" takes both from the variables of a Slurm job array, which must begin with 0 or 1 and have no gaps; "slurm/n"
    takes the index only, counted from 0, so that some tasks of an array can be run again (`--array=5,17`). Raises
    `UsageError`.
    """
    if isinstance(shard, str) and shard.partition("/")[0] == SLURM:
        index, count = _slurm_task(shard, environment)
    elif isinstance(shard, str):
        match = _SHARD.fullmatch(shard.strip())
        if match is None:
            raise UsageError(f"shard {shard!r}: wanted i/n, as in 0/64, or slurm, or slurm/n")
        index, count = int(match[1]), int(match[2])
    else:
        index, count = shard
    if not 1 <= count <= MOST_SHARDS or not 0 <= index < count:
        raise UsageError(f"shard {index}/{count}: wanted 0/n to n-1/n, n from 1 to {MOST_SHARDS}")
    return index, count


def _slurm_task(shard: str, environment: Mapping[str, str]) -> tuple[int, int]:
    found = {}
    for name in ("ID", "COUNT", "MIN", "MAX"):
        value = environment.get(f"SLURM_ARRAY_TASK_{name}", "")
        if not value.isdecimal():
            raise UsageError(f"shard {shard!r}: SLURM_ARRAY_TASK_{name} is {value!r}; wanted a task of a job array")
        found[name] = int(value)
    _, slash, given = shard.partition("/")
    if slash:
        if not given.isdecimal():
            raise UsageError(f"shard {shard!r}: wanted a number of shards behind the /")
        return found["ID"], int(given)
    if found["MIN"] > 1 or found["MAX"] - found["MIN"] + 1 != found["COUNT"]:
        tasks = f"{found['COUNT']} tasks from {found['MIN']} to {found['MAX']}"
        raise UsageError(f"shard {shard!r}: this array has {tasks}; wanted all, from 0 or 1 on: say slurm/n")
    return found["ID"] - found["MIN"], found["COUNT"]


def divide(files: Sequence[Input], count: int) -> list[list[Input]]:
    """Files of about the same number of bytes for each shard, in their order.

    The largest file first, each to the shard that has least so far (Graham 1969: at most 4/3 of the best possible for the
    largest shard); of equal ones the file that comes first, and the shard with fewest files, then the first. Files of
    unknown size count nothing, so they go round.
    """
    parts: list[list[Input]] = [[] for _ in range(count)]
    least = [(0, 0, index) for index in range(count)]
    for file in sorted(files, key=lambda file: (-(file.size or 0), file.position)):
        volume, number, index = least[0]
        parts[index].append(file)
        heapq.heapreplace(least, (volume + (file.size or 0), number + 1, index))
    return [sorted(part, key=lambda file: file.position) for part in parts]


def _digest(settings: bytes, files: Sequence[Input]) -> str:
    """Every field is preceded by its length, or two works could read alike."""
    digest = blake2b(digest_size=16)
    fields = [settings]
    for file in files:
        fields += [str(value).encode() for value in (file.position, file.name, file.size, file.mtime_ns)]
    for field in fields:
        digest.update(len(field).to_bytes(8, "little") + field)
    return digest.hexdigest()
