"""A progress line on stderr, where that is a terminal."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from textassay.scanning import Progress


class ProgressLine:
    """Call it with each `Progress`. Does nothing where stderr is no terminal, or when quiet. `noun`: what `documents` counts."""

    def __init__(self, quiet: bool, noun: str = "documents") -> None:
        self._noun = noun
        self._display: Any = None
        self._task: Any = None
        self._quiet = quiet or not sys.stderr.isatty()

    def __enter__(self) -> Self:
        if not self._quiet:
            self._display = _display()
            self._display.start()
            self._task = self._display.add_task("scanning", documents="", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def __call__(self, progress: "Progress") -> None:
        if self._display is not None:
            self._display.update(
                self._task,
                completed=progress.bytes_compressed,
                total=progress.bytes_total,
                description=f"{progress.files}/{progress.n_files} files",
                documents=f"{progress.documents:,} {self._noun}",
            )


def _display() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[documents]}"),
        TimeRemainingColumn(),
    )
    return Display(*columns, console=Console(stderr=True), transient=True)
