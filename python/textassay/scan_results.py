"""What a scan found, for who judges it: any figure of the summary, the batches, and the rows of documents if there are some."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from textassay.errors import FolderError, UsageError
from textassay.folder import MANIFEST
from textassay.scan_folder import Columns, batches_file, read_json, read_manifest, read_rows
from textassay.summary import SCHEMA

MOST_DIGITS = 9


class ScanResults:
    """A folder that `scan` or `merge` wrote. Summary and manifest are read at once, rows when they are asked for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        """Raises `FolderError` where the folder holds no whole results, or a summary that is not one."""
        self.path = Path(path)
        self._manifest = read_manifest(self.path)
        self.summary = read_json(self.path / "summary.json", SCHEMA)

    def figure(self, path: str) -> float | None:
        """A number of the summary by its dotted path, as `documents.mattr.quantiles.0.5`; a position indexes a list. None
        where the summary holds null.

        Raises `KeyError`, with a hint or an empty text, where there is nothing, and `UsageError` where there is no number.
        """
        value = _looked_up(self.summary, path.split("."))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = {dict: "an object", list: "a list", str: "a text"}.get(type(value), "true or false")
            raise UsageError(f"{path} is no number: {self.path / 'summary.json'} holds {kind} there")
        return value

    @property
    def inputs(self) -> list[Mapping[str, Any]] | None:
        """Of each input `path`, `documents` (the file of its rows, or None) and `outcome`; None in the folder of a merge."""
        inputs = self._manifest.get("inputs")
        if inputs is not None and not (isinstance(inputs, list) and all(isinstance(one, dict) for one in inputs)):
            raise FolderError(f"{self.path / MANIFEST}: wanted a list of inputs")
        return inputs

    @property
    def batches_file(self) -> Path | None:
        return batches_file(self.path)

    def batches(self, figure: str) -> Iterator[Columns]:
        """The rows of all batches in order, some at a time: `file` (a name), `batch`, `first_document`, `n_documents`,
        `n_tokens` and the figure (NaN is null). Raises `FolderError` on a damaged file, `UsageError` where pyarrow is wanted.
        """
        if self.batches_file is not None:
            columns = ("file", "batch", "first_document", "n_documents", "n_tokens", figure)
            yield from read_rows(self.batches_file, columns)

    @property
    def documents_are_parquet(self) -> bool:
        return any(str(one.get("documents")).endswith(".parquet") for one in self.inputs or [])

    def documents(self, columns: Sequence[str]) -> Iterator[tuple[str, Iterator[Columns]]]:
        """Of each input its name and the rows of its documents, some at a time. Nothing where no rows were written, or the
        columns were not measured.
        """
        known = (*self.summary["configuration"]["signals"], "provenance")
        if not all(column in known for column in columns):
            return
        for one in self.inputs or []:
            place = PurePosixPath(str(one.get("documents")))
            if place.parent != PurePosixPath("documents"):
                continue
            yield str(one.get("path")), read_rows(self.path / place, columns)


def _looked_up(value: Any, parts: Sequence[str]) -> Any:
    """Keys may hold dots themselves: of `quantiles.0.5` the last two parts are one key."""
    if not parts:
        return value
    is_position = parts[0].isdecimal() and len(parts[0]) <= MOST_DIGITS
    if isinstance(value, list) and is_position and int(parts[0]) < len(value):
        return _looked_up(value[int(parts[0])], parts[1:])
    if isinstance(value, dict):
        for end in range(1, len(parts) + 1):
            key = ".".join(parts[:end])
            if key in value:
                return _looked_up(value[key], parts[end:])
    known = list(value) if isinstance(value, dict) else []
    close = get_close_matches(parts[0], known, 1)
    raise KeyError(f"did you mean {close[0]!r}?" if close else "")
