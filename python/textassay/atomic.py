"""Files that are there whole or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from os import PathLike
from pathlib import Path
from socket import gethostname
from threading import get_ident
from typing import BinaryIO

from textassay.errors import OutputError

_KEPT_BYTES = 100
"""Of a name, in that of the temporary file: a name may be 255 bytes long."""


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end, durably: temporary file beside it, fsync, rename.

    After an exception `path` is as it was and the temporary file is gone. Of a symbolic link the file that it leads to is
    replaced. A device or a pipe (/dev/stdout) is not replaced but written to. Raises `OutputError` naming `path` where it cannot
    be written.
    """
    try:
        target = Path(os.path.realpath(path))
        if _is_special(target):
            with open(path, "wb") as stream:
                yield stream
            return
        temporary = temporary_name(target)
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(target.parent)
    except BrokenPipeError:
        raise  # who reads the pipe has seen enough
    except OSError as error:
        raise OutputError(f"cannot write to {os.fsdecode(path)}: {error.strerror or error}") from error


def temporary_name(target: Path) -> Path:
    """Beside `target`, of this thread of this process of this machine alone."""
    kept = os.fsdecode(os.fsencode(target.name)[:_KEPT_BYTES])
    whose = f"{target.name}\0{gethostname()}\0{os.getpid()}\0{get_ident()}"
    mark = blake2b(whose.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return target.with_name(f".{kept}.{mark}.partial")


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: str | PathLike[str], data: bytes) -> bool:
    """Makes a file that is there whole or not at all, unless one of this name is there already: then False.

    Of several processes that do this at once, also on several machines of a shared file system, one succeeds.
    """
    target = Path(path)
    temporary = temporary_name(target)
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, target)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
    return True


def _is_special(path: Path) -> bool:
    """Whether something is there that can be written to and is no file: to replace /dev/null would harm the machine."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
