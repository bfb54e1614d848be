"""Files in object stores and behind other URLs (s3://, gs://, https://, ...), through fsspec: found by name, and handed to a scan
as they arrive, never whole in memory or on disk.

A backend reads paths. So each remote file gets a named pipe, into which a thread writes what comes. What goes wrong on the
way would look like the file's end to a reader, and is therefore noted beside the pipe, and added to what the backend says.
"""

import os
import queue
import re
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from fcntl import fcntl
from glob import has_magic
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from textassay.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from textassay.inputs import Input

CHUNK = 8 << 20
"""Bytes asked for at a time: of each file that is being read, so many are in memory."""

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5
POLL_MILLISECONDS = 100

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TIMES = ("LastModified", "last_modified", "mtime", "updated")
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux
_PIPE_SIZE = 1 << 20


def is_url(item: str) -> bool:
    return _URL.match(item) is not None


def find_remote(url: str, suffixes: tuple[str, ...]) -> "list[Input]":
    """The files that a URL names: itself, what a pattern matches, or what lies below it and ends in one of `suffixes`.

    Raises `InputError` where there is none or the store does not answer, `MissingPackageError`.
    """
    from textassay.inputs import warn_of_others

    try:
        store, path = _opened(url)
        # In a web address a question mark is no pattern.
        if has_magic(path) and not url.lower().startswith("http"):
            found = store.glob(path, detail=True)
            files = [about for about in found.values() if about["type"] == "file"]
        elif (about := store.info(path))["type"] == "file":
            files = [about]
        else:
            below = store.find(path, detail=True)
            files = [about for name, about in below.items() if _is_shard(name[len(path) :], suffixes)]
            warn_of_others(url, below.keys() - {about["name"] for about in files}, suffixes)
    except MissingPackageError:
        raise
    except ImportError as error:
        raise MissingPackageError(f"{url}: {error}; pip install 'textassay[remote]'") from error
    except FileNotFoundError as error:
        raise InputError(f"{url}: not found") from error
    except Exception as error:
        raise InputError(f"{url}: {_words(error)}") from error
    if not files:
        raise InputError(f"{url}: nothing there that ends in {', '.join(suffixes)}, or matches")
    return [_input(store, about) for about in files]


def _opened(url: str) -> tuple[Any, str]:
    """The store and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingPackageError(f"{url}: object stores need fsspec: pip install 'textassay[remote]'") from error
    return url_to_fs(url)


def _is_shard(name: str, suffixes: tuple[str, ...]) -> bool:
    parts = name.strip("/").split("/")
    return parts[-1].endswith(suffixes) and not any(part.startswith(".") for part in parts)


def _input(store: Any, about: Mapping[str, Any]) -> "Input":
    from textassay.inputs import Input

    name = store.unstrip_protocol(about["name"])
    size = about.get("size")
    return Input(name, name, None if size is None else int(size), _time_of(about))


def _time_of(about: Mapping[str, Any]) -> int | None:
    """In nanoseconds, where the store says when a file was last changed."""
    for key in _TIMES:
        value = about.get(key)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return round(value * 1e6) * 1000
    return None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class Feed:
    """What a backend's scan of files reads from: `sources`. Feeds those that are remote until it is closed.

    Every file is opened in its turn, so that the threads here, at least as many as the backend's, never feed one that waits
    behind another.
    """

    def __init__(self, files: "Sequence[Input]", threads: int, sources: Sequence[Any]) -> None:
        """`sources` are what a backend takes for the files that are not remote."""
        self.sources = list(sources)
        self._files = list(files)
        self._failures: dict[int, tuple[str, int]] = {}
        self._stopping = threading.Event()
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._folder: TemporaryDirectory[str] | None = None
        remote = [number for number, file in enumerate(files) if file.is_remote]
        if remote:
            self._folder = TemporaryDirectory(prefix="textassay-pipes-")
        for number in remote:
            self.sources[number] = os.fsencode(self._pipe(number))
            os.mkfifo(self._pipe(number), 0o600)
            self._waiting.put(number)
        self._threads = [
            threading.Thread(target=self._work, name="textassay-feed", daemon=True)
            for _ in range(min(len(remote), 2 * threads))
        ]
        for thread in self._threads:
            thread.start()

    def outcome(self, number: int, outcome: Mapping[str, Any]) -> Mapping[str, Any]:
        """A file's outcome with what only this side knows: its size, and why it ended early."""
        file = self._files[number]
        if not file.is_remote:
            return outcome
        reason, arrived = self._failures.get(number, ("", 0))
        known = dict(outcome)
        if reason:
            known |= {"status": "damaged" if arrived else "unreadable", "reason": reason}
        if known["status"] == "damaged" and file.size is not None:
            whole_until = min(known["compressed_offset"], arrived) if reason else known["compressed_offset"]
            known |= {"bytes_compressed": file.size, "bytes_lost": max(0, file.size - whole_until)}
        return known

    def close(self) -> None:
        """Ends all feeding; who reads from a pipe finds its end."""
        self._stopping.set()
        if self._folder is None:
            return
        for number, file in enumerate(self._files):
            if file.is_remote:
                with suppress(OSError):
                    # Whoever waits for the other side of this pipe is let go; whoever comes later finds no pipe.
                    descriptor = os.open(self._pipe(number), os.O_RDWR | os.O_NONBLOCK)
                    os.unlink(self._pipe(number))
                    os.close(descriptor)
        self._folder.cleanup()

    def _pipe(self, number: int) -> str:
        assert self._folder is not None
        return os.path.join(self._folder.name, str(number))

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                number = self._waiting.get_nowait()
            except queue.Empty:
                return
            self._feed(number)

    def _feed(self, number: int) -> None:
        file, arrived = self._files[number], 0
        pieces = _pieces(file, self._stopping)
        # The first piece is fetched while the scan is still busy with other files.
        first, reason = _next(pieces)
        try:
            descriptor = os.open(self._pipe(number), os.O_WRONLY)
        except OSError:
            return  # closed
        with suppress(OSError):
            fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_SIZE)
        os.set_blocking(descriptor, False)
        try:
            piece = first
            while piece and self._write(descriptor, piece):
                arrived += len(piece)
                piece, reason = _next(pieces)
            if not piece and not reason and file.size is not None and arrived != file.size:
                reason = f"wanted {file.size} bytes, found {arrived}"
            if reason:
                self._failures[number] = reason, arrived
        finally:
            os.close(descriptor)  # last: the outcome may be asked for at once

    def _write(self, descriptor: int, piece: bytes) -> bool:
        """False where nobody reads any more."""
        left = memoryview(piece)
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        while left and not self._stopping.is_set():
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                poll.poll(POLL_MILLISECONDS)
            except BrokenPipeError:
                return False
        return not left


def _next(pieces: Iterator[bytes]) -> tuple[bytes, str]:
    """The next piece, empty at the end, and what went wrong."""
    try:
        return next(pieces, b""), ""
    except Exception as error:  # noqa: BLE001 (a store's own)
        return b"", f"reading failed: {_words(error)}"


def _pieces(file: "Input", stopping: threading.Event) -> Iterator[bytes]:
    """The bytes of a remote file. What fails is tried again from where it stopped, a little later each time."""
    assert isinstance(file.source, str)
    arrived, failures = 0, 0
    while True:
        try:
            store, path = _opened(file.source)
            with store.open(path, "rb", block_size=CHUNK, cache_type="none") as stream:
                if arrived:
                    stream.seek(arrived)
                while piece := stream.read(CHUNK):
                    yield piece
                    arrived += len(piece)
                    failures = 0
            return
        except (FileNotFoundError, PermissionError, ImportError):
            raise  # will not pass
        except Exception:
            failures += 1
            if failures == ATTEMPTS or stopping.is_set():
                raise
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (failures - 1))
