"""OUT/: claimed before a scan, filled aside, put in place at the end."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from textassay.atomic import sync_folder
from textassay.errors import FolderError, OutputError
from textassay.untrusted import parse_json, read_bytes

MANIFEST, SUMMARY, PROFILE = "manifest.json", "summary.json", "profile.tap"
ERRORS, REPORT = "errors.jsonl", "report.html"
COMPARISON, SIMULATION = "comparison.json", "simulation.json"
BATCHES_PARQUET, BATCHES_JSON = "batches.parquet", "batches.jsonl.zst"
MANIFEST_SCHEMA = "textassay.manifest/1"
LONGEST_JSON = 1 << 30
"""Bytes of a manifest or summary that is read: of a million inputs about half of it."""
BIGRAMS = "bigrams.tap"
PLAN = "plan.json"
PLAN_SCHEMA = "textassay.plan/1"
SHARDS = "shards"
OURS = (
    SUMMARY,
    PROFILE,
    BIGRAMS,
    "documents",
    "attributes",
    BATCHES_PARQUET,
    BATCHES_JSON,
    ERRORS,
    REPORT,
    SIMULATION,
    "simulation.svg",
    "generations.parquet",
    "generations.jsonl",
    "text",
    MANIFEST,
)
"""All that textassay may have put there. The manifest is written last and says that the rest is whole."""


@dataclass(frozen=True)
class Layout:
    """What a command leaves in its folder. The manifest, one of the names, is written last; its schema says whose it is."""

    names: tuple[str, ...]
    manifest: str
    schema: str


SCAN_LAYOUT = Layout(OURS, MANIFEST, MANIFEST_SCHEMA)

PARTIAL = ".partial"
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")
LOCK = "lock"
STATE = "state.json"
"""In PARTIAL: what there lies is a scan that has not ended (`checkpoint`)."""
COMMITTING, OLD = "committing.json", "old"
"""In PARTIAL, while results are put in place: which ones; and those that they take the place of."""


class OutputFolder:
    """A folder for results. What is put into `partial`, inside it, takes the place of earlier results on `commit`."""

    def __init__(
        self,
        path: str | PathLike[str],
        layout: Layout = SCAN_LAYOUT,
        *,
        beside_shards: bool = False,
        keeps_unfinished: bool = False,
    ) -> None:
        """Claims the folder for this process. Results may lie `beside_shards` if they are what those add up to.
        `keeps_unfinished`: a scan that has not ended stays in `partial`.

        Raises `FolderError` where it holds anything but earlier results, a scan that has not ended and is not to be kept, or
        another process is writing to it, and
        `OutputError` where it cannot be written.
        """
        self.path = Path(path)
        self.partial = self.path / PARTIAL
        self._layout = layout
        try:
            _refuse_foreign(self.path, layout, beside_shards)
            if self.partial.is_symlink():
                # What it leads to would be emptied.
                raise FolderError(f"{self.partial} is a symbolic link; wanted a folder of ours, or none")
            self._lock: int | None = _locked(self.partial / LOCK, self.path)
            try:
                self._take_over(keeps_unfinished)
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise OutputError(f"cannot write to {self.path}: {error.strerror or error}") from error

    def _take_over(self, keeps_unfinished: bool) -> None:
        is_unfinished = self.holds_unfinished
        if is_unfinished and not keeps_unfinished:
            raise FolderError(f"{self.path} holds a scan that has not ended: go on with it, or remove {self.partial}")
        if is_unfinished:
            _refuse_links(self.partial)
        if is_unfinished or not self._has_committed():
            self._take_back()
        if not is_unfinished:
            _clear(self.partial)

    def _has_committed(self) -> bool:
        """Whether all results are in place already: the manifest is taken away first, and put there last."""
        manifest = self._layout.manifest
        return (self.path / manifest).exists() and not (self.partial / manifest).exists()

    @property
    def holds_unfinished(self) -> bool:
        return (self.partial / STATE).exists()

    def clear(self) -> None:
        """Begins anew."""
        _clear(self.partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an exception leaves earlier results as they were; raises `OutputError` where it was one of the system."""
        if error is None:
            return
        self.discard()
        if isinstance(error, OSError):
            raise OutputError(f"cannot write to {self.path}: {error.strerror or error}") from error

    @contextmanager
    def file(self, name: str) -> Iterator[BinaryIO]:
        """A file to write, durable when it is closed."""
        with (self.partial / name).open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    def write_json(self, name: str, value: Any) -> None:
        with self.file(name) as stream:
            stream.write(json_text(value).encode())

    def commit(self) -> None:
        """Puts the new results in the place of the old ones, the manifest last. Where that fails the old ones are put back."""
        present = [name for name in self._layout.names if (self.partial / name).exists()]
        self.write_json(COMMITTING, present)
        for folder, _, _ in os.walk(self.partial):
            sync_folder(Path(folder))
        try:
            self._exchange(present)
        except BaseException:
            self._take_back()
            raise
        self._release()
        sync_folder(self.path)

    def _exchange(self, present: Sequence[str]) -> None:
        old = self.partial / OLD
        old.mkdir()
        for name in (self._layout.manifest, *self._layout.names):
            if os.path.lexists(self.path / name):
                (self.path / name).rename(old / name)
        for name in present:
            (self.partial / name).rename(self.path / name)
        sync_folder(self.path)

    def _take_back(self) -> None:
        """Undoes a commit that was cut short: what had been put in place already belongs to the run that goes on, and what had
        been there before is there again.
        """
        marker, old = self.partial / COMMITTING, self.partial / OLD
        if not marker.exists():
            return
        names = self._layout.names
        for name in self._moved(marker):
            if os.path.lexists(self.path / name) and not (self.partial / name).exists():
                (self.path / name).rename(self.partial / name)
        if old.is_dir() and not old.is_symlink():
            for name in (*names[:-1], self._layout.manifest):
                if os.path.lexists(old / name):
                    (old / name).rename(self.path / name)
            old.rmdir()
        sync_folder(self.path)
        marker.unlink()
        sync_folder(self.partial)

    def _moved(self, marker: Path) -> list[str]:
        """What a commit was about to put in place, the manifest first."""
        try:
            moved = parse_json(read_bytes(marker, LONGEST_JSON, is_named=False))
        except ValueError:  # cut short itself: nothing had been moved
            return []
        if not isinstance(moved, list) or not all(name in self._layout.names for name in moved):
            raise FolderError(f"{self.path} holds what another command was putting there: run that one again")
        return [name for name in reversed(self._layout.names) if name in moved]

    def discard(self) -> None:
        """Leaves earlier results as they were, and a scan that can be gone on with."""
        if self.holds_unfinished or (self.partial / COMMITTING).exists():
            self._unlock()
            return
        with suppress(OSError):
            self._release()
        with suppress(OSError):
            self.path.rmdir()  # only where it is empty, so where this scan made it

    def _release(self) -> None:
        _clear(self.partial)
        (self.partial / LOCK).unlink()
        self.partial.rmdir()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


_ATTEMPTS = 10
"""To lock a file that another run, which has just ended, takes away."""


def json_text(value: Any) -> str:
    """JSON as textassay writes it: indented, UTF-8, in the order given, no NaN. Characters that would act on a terminal, or
    turn a line's direction, are escaped; a path's bytes that are no UTF-8 are shown as `inputs.printable` does.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    text = _ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return _NO_UTF8.sub(lambda match: f"\\\\x{ord(match[0]) - 0xDC00:02x}", text) + "\n"


_NO_UTF8 = re.compile("[\udc80-\udcff]")
_ACTING = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def _refuse_foreign(path: Path, layout: Layout, beside_shards: bool) -> None:
    if len(path.parts) > 1 and _SCHEME.fullmatch(path.parts[0]):  # a path holds s3://bucket as s3:/bucket
        raise FolderError(f"{path} looks like the address of a store; results go to a folder of a file system")
    if path.exists() and not path.is_dir():
        raise FolderError(f"{path} is a file; wanted a folder, new, empty, or with the results of an earlier run")
    present = set(os.listdir(path)) if path.exists() else set()
    if PLAN in present and not beside_shards:
        raise FolderError(f"{path} holds shards of a scan; add to them with --shard, or choose a new or empty folder")
    # Left by a run that was killed: the lock file is ours, and so is a folder for it.
    begun = present == {PARTIAL} and not os.listdir(path / PARTIAL)
    ours = not present or begun or (path / PARTIAL / LOCK).exists() or _is_ours(path, layout) or PLAN in present
    if not ours:
        some = ", ".join(sorted(present)[:3])
        raise FolderError(f"{path} holds files that are not textassay's ({some}); choose a new or empty folder")


def _refuse_links(partial: Path) -> None:
    """What a scan goes on with is written to, and cut to the lengths that its state names."""
    for place, folders, names in os.walk(partial):
        for name in (*folders, *names):
            if (Path(place) / name).is_symlink():
                raise FolderError(f"{Path(place) / name} is a symbolic link; --restart begins anew")


def _is_ours(path: Path, layout: Layout) -> bool:
    try:
        content = parse_json(read_bytes(path / layout.manifest, LONGEST_JSON, is_named=False))
    except (FileNotFoundError, IsADirectoryError, ValueError):
        return False
    return isinstance(content, dict) and content.get("schema") == layout.schema


def _locked(lock: Path, path: Path) -> int:
    for _ in range(_ATTEMPTS):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            os.close(descriptor)
            raise FolderError(f"another process is writing to {path}") from error
        os.close(descriptor)
    raise FolderError(f"other processes are writing to {path}")


def _clear(partial: Path) -> None:
    """The state first: what is left of a scan without one is no scan that could be gone on with."""
    (partial / STATE).unlink(missing_ok=True)
    for entry in partial.iterdir():
        if entry.name != LOCK:
            _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
