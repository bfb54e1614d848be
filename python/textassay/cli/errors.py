"""What a command's errors look like from outside: one line on stderr and an exit code."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from tempfile import gettempdir
from types import FrameType
from typing import Any, ParamSpec, Self

import typer

from textassay.errors import (
    BackendError,
    BackendWarning,
    InputWarning,
    OutputError,
    OutputWarning,
    ProfileError,
    UsageError,
)
from textassay.formatting import clean

FINE, GATE_FAILED, USAGE, DAMAGED, INTERNAL, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 4, 130, 143

EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (ProfileError, DAMAGED),
    (UsageError, USAGE),
    (BackendError, USAGE),
    (OutputError, INTERNAL),
    (MemoryError, INTERNAL),
    (OSError, INTERNAL),
)
"""The first type that fits decides. What fits none is a bug: it is shown with its traceback, and exits with 4."""

P = ParamSpec("P")


class Terminated(BaseException):
    """SIGTERM came."""


LONGEST_MESSAGE = 4000


def say(message: str) -> None:
    """One line for a person, on stderr. It may hold names of files and what stands in them: nothing in it acts on a terminal."""
    with suppress(OSError):  # nobody can be told
        print(f"textassay: {clean(message, LONGEST_MESSAGE)}", file=sys.stderr)


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Makes a function a command: its errors become messages and exit codes, its warnings lines on stderr."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with warnings.catch_warnings():
            for category in (BackendWarning, InputWarning, OutputWarning):
                warnings.simplefilter("always", category)
            warnings.showwarning = _show_warning
            with _Termination():
                try:
                    _run(command, *args, **kwargs)
                except BaseException as error:  # noqa: BLE001 (the one place where an error becomes an exit code)
                    raise _exit_for(error) from None

    return run


def _run(command: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """What it printed has to arrive, or Python would complain in its own way when it ends."""
    try:
        command(*args, **kwargs)
    except typer.Exit:
        _flush()
        raise
    _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (what waits to be written there would fail again)
        raise OutputError(f"cannot write to standard output: {error.strerror}") from error


def open_standard_streams() -> None:
    """Those that were closed (`2>&-`) lead nowhere: a file that took their numbers would get what is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            while (descriptor := os.open(os.devnull, os.O_RDWR)) < number:
                pass
            if descriptor > number:
                os.close(descriptor)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 (as long as the process)


class StopRequest:
    """While it is open, the first SIGINT, SIGTERM or SIGUSR1 makes it true, so that what runs can end in order; a second one of
    the first two interrupts at once. A scheduler sends SIGUSR1 before it takes the machine away.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            with suppress(ValueError):  # not the main thread
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._number is not None

    @property
    def exit_code(self) -> int:
        return INTERRUPTED if self._number == signal.SIGINT else TERMINATED

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None and number != signal.SIGUSR1:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        self._number = self._number or number


def _exit_for(error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        say("interrupted; nothing was written")
        return typer.Exit(INTERRUPTED)
    if isinstance(error, Terminated):
        say("terminated; nothing was written")
        return typer.Exit(TERMINATED)
    if isinstance(error, BrokenPipeError):
        # The reader of stdout has gone, as in `| head`. A second failure, on closing stdout, would only confuse.
        sys.stdout = None  # type: ignore[assignment]
        return typer.Exit(FINE)
    for kind, code in EXIT_CODES:
        if isinstance(error, kind):
            say(_message(error))
            return typer.Exit(code)
    # Usage errors and exits of typer itself are no bugs; typer knows what to do with them.
    if isinstance(error, (typer.Exit, typer.Abort, SystemExit)) or hasattr(error, "exit_code"):
        return error
    for line in "".join(traceback.format_exception(error)).splitlines():
        print(clean(line, LONGEST_MESSAGE), file=sys.stderr)
    say("this is a bug in textassay; please report it with the lines above")
    return typer.Exit(INTERNAL)


def _message(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory; fewer threads need less"
    if isinstance(error, OSError):
        # What is written under a name says so itself.
        place = error.filename or f"standard output, or a temporary file in {gettempdir()}"
        return f"cannot read or write {place}: {error.strerror or error}"
    return str(error) or type(error).__name__


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    say(f"note: {message}")


class _Termination:
    """While a command runs, SIGTERM raises `Terminated` in the main thread, so that what runs can stop in order."""

    def __enter__(self) -> None:
        try:
            self._before = signal.signal(signal.SIGTERM, self._raise)
        except ValueError:  # not the main thread
            self._before = None

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    @staticmethod
    def _raise(number: int, frame: FrameType | None) -> None:
        raise Terminated
