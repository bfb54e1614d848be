"""The state of a scan that has not ended, in OUT/.partial: what it takes to go on with it (docs/resume.md).

A commit makes everything durable that the state names, then replaces the state. What lies behind the lengths that the state
names, or is not named, is of no commit: a scan that goes on cuts it off.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textassay.atomic import replacing, sync_folder
from textassay.errors import FolderError, UsageError
from textassay.folder import LONGEST_JSON, PARTIAL, STATE, OutputFolder, json_text
from textassay.inputs import Input, digest_of
from textassay.profile import Profile
from textassay.spool import Spool
from textassay.tap_reader import read_profile
from textassay.untrusted import parse_json, read_bytes
from textassay.version import __version__
from textassay.versions import unlike

RUN = "run.json"
RUN_SCHEMA = "textassay.scan-run/1"
STATE_SCHEMA = "textassay.scan-state/1"
OUTCOMES = "outcomes.spool"

SECONDS = 60.0
FILES = 64
"""A commit is due after so many seconds, or ended files, whichever comes first."""
LARGEST_SHARE = 0.05
"""Of the time that goes into commits: the next one waits as long as it takes."""
SHOWN = 5
"""Of what differs from an earlier run."""
_MOST = 1 << 62

_NUMBERS = ("compressed", "uncompressed", "frames", "frames_without_checksum", "begin", "begin_line", "end", "batch")
_ACCOUNTS = ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long")
_FILE_KEYS = {*_NUMBERS, *_ACCOUNTS, "format", "first_document", "lines", "documents", "malformed_by_reason", "digest"}
_FORMATS = ("plain", "zstd", "gzip", "rows")
_STATE_KEYS = {"schema", "commit", "lengths", "open", "parts", "done", "suspects"}
_LENGTHS = {"batches", "errors", "outcomes"}
_DONE = ("files", "bytes", "bytes_compressed", "documents")


@dataclass
class Kept:
    """What a scan begins with: nothing, or what an earlier one has left."""

    commit: int = 0
    lengths: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_LENGTHS, 0))
    open: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of files that have been begun and not ended: a backend's FileState, and `digest`."""
    parts: dict[int, int] = field(default_factory=dict)
    """Of the rows of files that have not ended."""
    suspects: dict[str, Any] | None = None
    """As `Suspects.state` gives them."""
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_DONE, 0))
    outcomes: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of files that have ended."""
    digests: dict[int, str | None] = field(default_factory=dict)

    def begun(self) -> dict[int, dict[str, Any] | None]:
        """As a backend's Scan takes it."""
        states = {
            file: {key: value for key, value in one.items() if key != "digest"} for file, one in self.open.items()
        }
        return states | dict.fromkeys(self.outcomes)

    def progress(self) -> dict[str, int]:
        """`files`, `bytes`, `bytes_compressed`, `documents`."""
        done = dict(self.done)
        for one in self.open.values():
            done["bytes"] += one["end"]
            done["bytes_compressed"] += one["compressed"]
            done["documents"] += one["documents"]
        return done


class Checkpoints:
    """Of one scan into one folder, which it has claimed."""

    def __init__(
        self, folder: OutputFolder, files: Sequence[Input], settings: Mapping[str, Any], restart: bool, seconds: float
    ) -> None:
        """Takes up what the folder holds of an unfinished scan, unless that is to be begun anew. Raises `UsageError` where
        that has other settings or inputs, `FolderError` where it is damaged.
        """
        self._folder = folder.partial
        self._seconds = seconds
        self._cost = 0.0
        self._files_since = 0
        run = json.loads(json_text(_description(files, settings)))
        if restart or not folder.holds_unfinished:
            folder.clear()
            self.kept = Kept()
            _write_json(self._folder / RUN, run)
            sync_folder(folder.path)
        else:
            _check_same(folder.path, _read_json(self._folder / RUN, RUN_SCHEMA), run)
            self.kept = read_kept(self._folder, files)
            _check_digests(folder.path, files, self.kept)
        self._commit = self.kept.commit
        self._done = dict(self.kept.done)
        self._outcomes = Spool(self._folder / OUTCOMES, self.kept.lengths["outcomes"])
        self.last = time.monotonic()

    def read_profile(self) -> Profile | None:
        """What has been counted before, but for the types of batches that are open. Raises `ProfileError`."""
        if not self.kept.commit:
            return None
        path = _profile_of(self._folder, self.kept.commit)
        with path.open("rb") as stream:
            return Profile.from_state(*read_profile(stream, str(path), has_open_batches=True))

    def end(self, file: int, outcome: Mapping[str, Any], digest: str | None) -> None:
        """A file has ended."""
        self._outcomes.append(file, json.dumps({"outcome": outcome, "digest": digest}).encode())
        self._files_since += 1
        self._done["files"] += 1
        for name in _DONE[1:]:
            self._done[name] += int(outcome[name])

    def close(self) -> None:
        """Nothing is written any more."""
        self._outcomes.close()

    @property
    def cost(self) -> float:
        """Seconds that the last commit took."""
        return self._cost

    def is_due(self) -> bool:
        since = time.monotonic() - self.last
        wanted = since >= self._seconds or self._files_since >= FILES
        return wanted and since >= self._cost * (1 / LARGEST_SHARE - 1)

    def commit(
        self,
        profile: Any,
        open_files: Mapping[int, Mapping[str, Any]],
        parts: Mapping[int, int],
        lengths: Mapping[str, int],
        suspects: Mapping[str, Any] | None,
        began: float,
    ) -> None:
        """All but the profile is durable already, as far as it is said here; `began`: when the scan was held up for this."""
        profile.save(_profile_of(self._folder, self._commit + 1))
        state = {
            "schema": STATE_SCHEMA,
            "commit": self._commit + 1,
            "lengths": {**lengths, "outcomes": self._outcomes.sync()},
            "done": self._done,
            "suspects": suspects,
            "open": {str(file): one for file, one in open_files.items()},
            "parts": {str(file): number for file, number in parts.items()},
        }
        _write_json(self._folder / STATE, state)
        self._commit += 1
        _profile_of(self._folder, self._commit - 1).unlink(missing_ok=True)
        self._files_since = 0
        self.last = time.monotonic()
        self._cost = self.last - began


def read_kept(partial: Path, files: Sequence[Input]) -> Kept:
    """Raises `FolderError` on a state that is damaged, or hostile: its numbers have to fit together and `files`."""
    path = partial / STATE
    state = _read_json(path, STATE_SCHEMA)
    try:
        _check(set(state) == _STATE_KEYS, "its keys")
        kept = Kept(
            _number(state["commit"]), _numbers(state["lengths"], _LENGTHS), done=_numbers(state["done"], set(_DONE))
        )
        _check(kept.commit > 0, "a commit")
        kept.suspects = None if state["suspects"] is None else _object(state["suspects"])
        kept.parts = {_index(file, files): _number(number) for file, number in _object(state["parts"]).items()}
        kept.open = {_index(file, files): _open_file(one) for file, one in _object(state["open"]).items()}
        for file, one in kept.open.items():
            _check(one["compressed"] <= (files[file].size or 0), "offsets within the file")
        for file, content in _outcomes(partial / OUTCOMES, kept.lengths["outcomes"]):
            _check(file < len(files) and file not in kept.open and file not in kept.outcomes, "each file once")
            kept.outcomes[file], kept.digests[file] = _outcome(content)
        _check(len(kept.outcomes) == kept.done["files"], "as many outcomes as files")
        _check(kept.parts.keys() <= kept.open.keys() and 0 not in kept.parts.values(), "parts of open files")
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise FolderError(f"{path}: {error}; --restart begins anew") from error
    return kept


def read_progress(partial: Path) -> dict[str, int]:
    """As of the last commit: `files`, `bytes_compressed`, `bytes`, `documents`, and `files_total` and `bytes_total` on disk."""
    run = _read_json(partial / RUN, RUN_SCHEMA)
    state = _read_json(partial / STATE, STATE_SCHEMA)
    try:
        sizes = [_number(one["size"]) for one in run["inputs"]]
        kept = Kept(done=_numbers(state["done"], set(_DONE)))
        kept.open = {int(file): _open_file(one) for file, one in _object(state["open"]).items()}
    except (ValueError, TypeError, KeyError) as error:
        raise FolderError(f"{partial / STATE}: {error}") from error
    return {"files_total": len(sizes), "bytes_total": sum(sizes)} | kept.progress()


def _outcomes(path: Path, length: int) -> Iterator[tuple[int, Any]]:
    if length:
        for file, block in Spool(path, length).blocks():
            yield file, parse_json(block)


def _outcome(content: Any) -> tuple[dict[str, Any], str | None]:
    outcome, digest = content["outcome"], content["digest"]
    _check(digest is None or isinstance(digest, str), "a digest")
    for name in (*_ACCOUNTS, *_DONE[1:], "bytes_lost", "lines", "malformed", "frames", "frames_without_checksum"):
        _number(outcome[name])
    _check(sum(outcome[name] for name in _ACCOUNTS) == outcome["bytes"], "counters that add up")
    _check(outcome["status"] in ("ok", "damaged", "unreadable") and isinstance(outcome["reason"], str), "a status")
    _numbers(outcome["malformed_by_reason"])
    return outcome, digest


def _open_file(one: Any) -> dict[str, Any]:
    _check(isinstance(one, dict) and set(one) == _FILE_KEYS, "the keys of an open file")
    _check(
        one["format"] in _FORMATS and (one["digest"] is None or isinstance(one["digest"], str)), "a format and a digest"
    )
    for name in (*_NUMBERS, *_ACCOUNTS, "first_document", "lines", "documents"):
        _number(one[name])
    malformed = sum(_numbers(one["malformed_by_reason"]).values())
    _check(one["uncompressed"] <= one["begin"] <= one["end"], "uncompressed <= begin <= end")
    _check(
        one["begin_line"] <= one["lines"] and one["documents"] + malformed <= one["lines"], "no more records than lines"
    )
    _check(one["batch"] <= one["first_document"] <= one["documents"], "no more batches than documents")
    _check(sum(one[name] for name in _ACCOUNTS) == one["end"], "counters that add up")
    return one


def _check(holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"wanted {wanted}")


def _object(value: Any) -> dict[str, Any]:
    _check(isinstance(value, dict), "an object")
    return value


def _number(value: Any) -> int:
    _check(type(value) is int and 0 <= value < _MOST, "numbers from 0 on")
    return int(value)


def _numbers(value: Any, names: set[str] | None = None) -> dict[str, int]:
    numbers = {name: _number(one) for name, one in _object(value).items()}
    _check(names is None or set(numbers) == names, "other names of numbers")
    return numbers


def _index(file: str, files: Sequence[Input]) -> int:
    _check(file.isdecimal() and len(file) < 19 and int(file) < len(files), "numbers of inputs")
    return int(file)


def _profile_of(folder: Path, commit: int) -> Path:
    return folder / f"state-{commit:06d}.tap"


# --- what is scanned, and how


def _description(files: Sequence[Input], settings: Mapping[str, Any]) -> dict[str, Any]:
    inputs = [{"path": file.name, "size": file.size, "mtime_ns": file.mtime_ns} for file in files]
    return {"schema": RUN_SCHEMA, "version": __version__, "settings": dict(settings), "inputs": inputs}


def _check_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises `UsageError`, which names what differs."""
    try:
        unlike = [*_unlike_settings(before, now), *_unlike_inputs(before["inputs"], now["inputs"])]
    except (KeyError, TypeError, AttributeError) as error:
        raise FolderError(f"{path / PARTIAL / RUN}: not as a scan writes it; --restart begins anew") from error
    if unlike:
        shown = "; ".join(unlike[:SHOWN]) + (f"; and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else "")
        raise UsageError(f"{path} holds an unfinished scan of something else: {shown}. --restart begins anew")


def _unlike_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if before["version"] != now["version"]:
        yield f"textassay {before['version']}, now {now['version']}"
    old, new = before["settings"], now["settings"]
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            yield f"{name} was {json.dumps(old.get(name))}, now {json.dumps(new.get(name))}"


def _unlike_inputs(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """By name and size; a copy has another time."""
    old, new = ({one["path"]: one["size"] for one in inputs} for inputs in (before, now))
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield f"{name} is no input any more"
        elif name not in old:
            yield f"{name} was no input"
        elif old[name] != new[name]:
            yield f"{name} had {old[name]} bytes, now {new[name]}"


def _check_digests(path: Path, files: Sequence[Input], kept: Kept) -> None:
    """Of what was read. Raises `UsageError`."""
    known = kept.digests | {file: one["digest"] for file, one in kept.open.items()}
    unlike = [
        files[file].name for file, digest in known.items() if digest is not None and digest != digest_of(files[file])
    ]
    if unlike:
        raise UsageError(f"{path} holds an unfinished scan, but {unlike[0]} has changed since. --restart begins anew")


# --- files


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as stream:
        stream.write(json_text(value).encode())


def _read_json(path: Path, schema: str) -> dict[str, Any]:
    try:
        content = parse_json(read_bytes(path, LONGEST_JSON, is_named=False))
    except (OSError, ValueError) as error:
        raise FolderError(f"cannot read {path}: {error}; --restart begins anew") from error
    if not isinstance(content, dict) or content.get("schema") != schema:
        found = content.get("schema") if isinstance(content, dict) else content
        raise FolderError(f"{path}: {unlike(found, schema)}; --restart begins anew")
    return content
