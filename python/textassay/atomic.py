"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from socket import gethostname
from threading import get_ident
from typing import BinaryIO


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end, durably: temporary file beside it, fsync, rename.

    After an exception `path` is as it was and the temporary file is gone.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
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
    temporary = target.with_name(f".{target.name}.{gethostname()}.{os.getpid()}.{get_ident()}.partial")
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
