"""How far a scan into a folder is: read from its last commit, beside a scan that may be running."""

import fcntl
import os
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.checkpoint import read_progress
from textassay.errors import FolderError
from textassay.folder import LOCK, MANIFEST, PARTIAL, PLAN, STATE
from textassay.scan_folder import read_manifest
from textassay.shards import PlanRecord

COUNTED = ("files", "bytes_compressed", "bytes", "documents")
WAITING = "waiting"
SHARD_STATES = ("finished", "running", "stopped", WAITING)


def scan_status(out: str | PathLike[str]) -> dict[str, Any]:
    """`state`: "running" (a process holds the folder), "stopped" (a scan has not ended, and nobody is at it) or "finished".

    `files`, `bytes_compressed`, `bytes` and `documents` are those of the last commit, or of the results; `files_total` and
    `bytes_total` (on disk) what there is to do. `committed` is the time of that, in UTC; before the first commit it and all
    numbers are None. Of a folder of shards all that is the sum, "running" where a process is at one of them, and `shards` says how
    many are in each state, "waiting" being those that nobody has begun. Raises `FolderError` where `out` holds neither a scan nor its results, or a state that is damaged.
    """
    path = Path(out)
    return _status_of_shards(path) if (path / PLAN).exists() else _status_of(path)


def _status_of(path: Path) -> dict[str, Any]:
    is_running = _is_held(path / PARTIAL / LOCK)
    if (path / PARTIAL / STATE).exists():
        state = "running" if is_running else "stopped"
        return {"state": state, "committed": _written(path / PARTIAL / STATE)} | read_progress(path / PARTIAL)
    if is_running:
        return {"state": "running", "committed": None} | dict.fromkeys(("files_total", "bytes_total", *COUNTED))
    if not (path / MANIFEST).is_file():
        raise FolderError(f"{path} holds neither a scan nor its results")
    inputs = read_manifest(path).get("inputs") or []
    try:
        outcomes = [one["outcome"] for one in inputs]
        sizes = [one["size"] for one in inputs]
        totals = {name: sum(outcome[name] for outcome in outcomes) for name in COUNTED[1:]}
        is_whole = all(type(one) is int for one in (*totals.values(), *(size or 0 for size in sizes)))
    except (KeyError, TypeError, AttributeError) as error:
        raise FolderError(f"{path / MANIFEST}: its inputs are not as a scan writes them: {error!r}") from error
    if not is_whole:
        raise FolderError(f"{path / MANIFEST}: wanted numbers of what became of the inputs")
    whole = {"files": len(inputs), "files_total": len(inputs), "bytes_total": None if None in sizes else sum(sizes)}
    return {"state": "finished", "committed": _written(path / MANIFEST)} | whole | totals


def _status_of_shards(out: Path) -> dict[str, Any]:
    totals = dict.fromkeys(("files_total", "bytes_total", *COUNTED), 0)
    states = dict.fromkeys(SHARD_STATES, 0)
    committed: list[str] = []
    for shard in PlanRecord.read(out).shards:
        totals["files_total"] += shard.files
        totals["bytes_total"] += shard.bytes
        folder = shard.folder(out)
        found = _status_of(folder) if shard.files and folder.exists() else {"state": WAITING, "committed": None}
        states[found["state"] if shard.files else "finished"] += 1
        for name in COUNTED:
            totals[name] += found.get(name) or 0
        committed += [found["committed"]] if found["committed"] else []
    state = "running" if states["running"] else "stopped" if states["stopped"] or states[WAITING] else "finished"
    return {"state": state, "committed": max(committed, default=None), **totals, "shards": states}


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")


def _is_held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FolderError(f"cannot read {lock}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
