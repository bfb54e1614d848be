"""Error types. Library code raises them; only the command line prints."""

from os import fspath
from pathlib import Path


def reason_of(error: BaseException) -> str:
    """What is wrong, for a message that names the file itself: without the system's number and a second name."""
    return getattr(error, "strerror", None) or str(error)


class TextassayError(Exception):
    """Base of all errors that textassay raises on purpose."""


class UsageError(TextassayError, ValueError):
    """What was asked for is unknown or contradicts itself: a signal, an option, a setting."""


class InputError(UsageError):
    """An input that does not exist or holds nothing to scan."""


class MissingPackageError(UsageError, ImportError):
    """A package that an optional part needs is not installed; the message says how to get it."""


class OutputError(TextassayError):
    """Writing results failed, as on a full disk."""


class EngineError(OutputError):
    """Workers that could not do their part, also after some attempts."""


class FolderError(UsageError):
    """A folder that results may not be written to: it holds something else, or another process writes there."""


class ScanInterrupted(TextassayError):
    """A scan that was asked to stop has stopped. `out` is the folder that holds its state, None where nothing was kept."""

    def __init__(self, out: Path | None) -> None:
        super().__init__("nothing was kept" if out is None else f"the state of the scan is kept in {out}")
        self.out = out


class BackendError(TextassayError, ImportError):
    """The wanted backend cannot run here."""


class ProfileError(TextassayError, ValueError):
    """A profile file that cannot be read.

    `path` is the file (or `<bytes>`), `byte_offset` where reading stopped, `reason` what was wanted and what was found.
    """

    def __init__(self, path: str | Path, byte_offset: int, reason: str) -> None:
        super().__init__(f"{fspath(path)}: byte {byte_offset}: {reason}")
        self.path = fspath(path)
        self.byte_offset = byte_offset
        self.reason = reason


class AnchorError(UsageError):
    """An anchor or ARPA file that cannot be read: `path` is the file, `reason` what was wanted and what was found."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{fspath(path)}: {reason}")
        self.path = fspath(path)
        self.reason = reason


class BackendWarning(UserWarning):
    """Another backend than the compiled one runs."""


class InputWarning(UserWarning):
    """An input was left out."""


class OutputWarning(UserWarning):
    """A result is written in another form than the best one."""
