"""From what the user names to the files to scan."""

import os
import stat
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from glob import glob, has_magic
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from textassay.errors import InputError, InputWarning
from textassay.remote import find_remote, is_url

PARQUET_SUFFIX = ".parquet"
SHARD_SUFFIXES = (
    *(".jsonl", ".ndjson", ".jsonl.zst", ".ndjson.zst", ".jsonl.gz", ".ndjson.gz", ".zst", ".gz"),
    PARQUET_SUFFIX,
)
"""What is taken from a folder. A file that is named itself may be called anything: its content decides."""

_OTHER_TEXT = (
    *(".json", ".csv", ".tsv", ".txt", ".xml", ".warc", ".wet", ".arrow", ".feather", ".avro", ".orc"),
    *(".xz", ".bz2", ".lz4", ".br", ".zip", ".tar", ".tgz", ".7z"),
)
"""Of files that are not taken from a folder, but may well be what somebody meant by it."""

OWN_FILES = (("manifest.json", "profile.tap"), ("plan.json", "shards"))
"""A folder with both of a pair is the output of a scan, and its `errors.jsonl` no corpus."""

STDIN = "-"
DIGEST_KIND = "blake2b-128 of the size (8 bytes, little-endian), the first MiB and the last MiB"
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Input:
    """One file to scan, or standard input."""

    name: str
    """As given or found, fit for printing: bytes that are no UTF-8 are escaped."""
    source: bytes | int | str
    """Path for the operating system, an open file descriptor, or a URL."""
    size: int | None
    """Bytes on disk or in the store; None for a pipe, or where a store does not say."""
    mtime_ns: int | None
    position: int = 0
    """Place among all inputs of the work, of which this process may scan a part: what is made of it has this number."""

    @property
    def is_remote(self) -> bool:
        return isinstance(self.source, str)


def resolve_inputs(
    given: str | PathLike[str] | Iterable[str | PathLike[str]],
    suffixes: tuple[str, ...] = SHARD_SUFFIXES,
    *,
    allow_remote: bool = False,
) -> list[Input]:
    """Files, folders (recursively), globs (also `**`), `@list` (one of these a line, `#` comments), `-` (standard
    input); with `allow_remote` also URLs of files, prefixes and globs in stores that fsspec knows (`s3://`).

    From folders what ends in one of `suffixes`; other files there that may hold text are left out with an `InputWarning`.
    Sorted by name, each file once however it was named, with an `InputWarning` of one that is found twice (same device and
    inode). Raises `InputError` for what does not exist, matches nothing or holds no shard.
    """
    items = [given] if isinstance(given, (str, PathLike)) else list(given)
    if not items:
        raise InputError("no input: wanted files, folders, globs, @list or -")
    paths = {path for item in items for path in _expand(os.fspath(item), suffixes)}
    found: dict[Any, Input] = {}
    for path in sorted(paths, key=lambda path: os.fsencode(path.name if isinstance(path, Input) else path)):
        entry, identity = (path, path.source) if isinstance(path, Input) else _describe(path)
        if entry.is_remote and not allow_remote:
            raise InputError(f"{entry.name}: only a scan reads from object stores; copy the file here first")
        if identity in found:
            warnings.warn(f"{entry.name} is the same file as {found[identity].name}: scanned once", InputWarning, 2)
        else:
            found[identity] = entry
    return [replace(entry, position=position) for position, entry in enumerate(found.values())]


def _expand(item: str, suffixes: tuple[str, ...]) -> Iterator[str | Input]:
    if item == STDIN:
        yield item
    elif item.startswith("@") and not os.path.lexists(item):
        for line in _list_lines(item[1:]):
            yield from _expand_path(line, suffixes)
    else:
        yield from _expand_path(item, suffixes)


def _list_lines(path: str) -> list[str]:
    try:
        # Bytes that are no UTF-8 pass through, as they may in file names.
        text = sys.stdin.read() if path == STDIN else Path(path).read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"cannot read the list @{path}: {error.strerror}") from error
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"the list @{path} names no input")
    return lines


def _expand_path(item: str, suffixes: tuple[str, ...]) -> Iterator[str | Input]:
    if is_url(item):
        yield from find_remote(item, suffixes)
    elif os.path.isdir(item):
        yield from _shards_in(item, suffixes)
    elif os.path.lexists(item):
        yield item
    elif has_magic(item):
        yield from _matches(item)
    else:
        raise InputError(f"{printable(item)}: no such file or folder")


def _matches(pattern: str) -> Iterator[str]:
    matches = glob(pattern, recursive=True)
    shards = list(_files(path for path in matches if not os.path.isdir(path)))
    if not shards:
        what = "only folders" if matches else "nothing"
        raise InputError(f"{printable(pattern)}: the pattern matches {what}")
    yield from shards


def _shards_in(folder: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    shards, others, seen = [], [], set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        try:
            status = os.stat(place)
        except OSError as error:
            _refuse(error)
        identity = (status.st_dev, status.st_ino)
        is_own = any(set(pair) <= {*names, *folders} for pair in OWN_FILES)
        if identity in seen or is_own:
            if identity not in seen:
                warnings.warn(f"{printable(place)} holds the results of a scan: left out", InputWarning, 2)
            folders.clear()  # a cycle of links, or not a corpus
            continue
        seen.add(identity)
        folders[:] = [name for name in folders if not name.startswith(".")]
        shards += _files(os.path.join(place, name) for name in names if _is_shard(name, suffixes))
        others += [name for name in names if not _is_shard(name, suffixes)]
    warn_of_others(printable(folder), others, suffixes)
    if not shards:
        raise InputError(f"{printable(folder)}: no file ending in {', '.join(suffixes)} in this folder")
    yield from shards


def warn_of_others(folder: str, names: Iterable[str], suffixes: tuple[str, ...]) -> None:
    """Of the files with these names, which are not taken from `folder`, says how many may hold text. Hidden ones may not."""
    shown = (os.path.basename(name) for name in names)
    found = Counter(os.path.splitext(name)[1].lower() for name in shown if not name.startswith("."))
    counts = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(found.items()) if suffix in _OTHER_TEXT)
    if counts:
        message = f"{folder}: files left out: {counts}; what ends in {', '.join(suffixes)} is read"
        warnings.warn(message, InputWarning, 2)


def _refuse(error: OSError) -> NoReturn:
    """What cannot be looked into may hold anything: to pass over it would lose that silently."""
    raise InputError(f"{printable(error.filename)}: {error.strerror}") from error


def _files(paths: Iterable[str]) -> Iterator[str]:
    """Without pipes, sockets and devices, that nobody named: to read them may take for ever."""
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            mode = stat.S_IFREG  # whoever opens it says what is wrong
        if stat.S_ISREG(mode):
            yield path
        else:
            warnings.warn(f"{printable(path)} is no regular file: left out", InputWarning, 2)


def _is_shard(name: str, suffixes: tuple[str, ...]) -> bool:
    return not name.startswith(".") and name.endswith(suffixes)


def _describe(path: str) -> tuple[Input, tuple[int, int]]:
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else os.stat(path)
    except OSError as error:
        raise InputError(f"{printable(path)}: {error.strerror or error}") from error
    regular = stat.S_ISREG(status.st_mode)
    entry = Input(
        name=printable(path),
        source=sys.stdin.fileno() if path == STDIN else os.fsencode(path),
        size=status.st_size if regular else None,
        mtime_ns=status.st_mtime_ns if regular else None,
    )
    return entry, (status.st_dev, status.st_ino)


def printable(path: str) -> str:
    """A file name as valid Unicode."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def change_of(file: Input) -> str | None:
    """What is another about a file than when it was named; None where nothing is, or nobody knows (a pipe, a remote file)."""
    if file.size is None or not isinstance(file.source, bytes):
        return None
    try:
        status = os.stat(file.source)
    except OSError as error:
        return f"changed while it was read: {error.strerror}"
    if status.st_size != file.size:
        return f"changed while it was read: wanted {file.size} bytes, found {status.st_size}"
    return None if status.st_mtime_ns == file.mtime_ns else "changed while it was read: at another time"


def digest_of(file: Input) -> str | None:
    """Recognises a file without reading it all (`DIGEST_KIND`); None for a pipe, a remote file, and what cannot be read
    any more.
    """
    if file.size is None or not isinstance(file.source, bytes):
        return None
    digest = blake2b(file.size.to_bytes(8, "little"), digest_size=16)
    try:
        with open(file.source, "rb") as stream:
            digest.update(stream.read(_MEBIBYTE))
            stream.seek(max(0, file.size - _MEBIBYTE))
            digest.update(stream.read(_MEBIBYTE))
    except OSError:
        return None
    return digest.hexdigest()
