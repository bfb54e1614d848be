"""Rows of documents as attributes in the layout of the Dolma toolkit (Soldaini et al. 2024), which `dolma mix` reads.

Its mixer looks for the attributes of `.../documents/a.jsonl.gz` in `.../attributes/NAME/a.jsonl.gz`, compressed as the document
file is, and takes line n of one with line n of the other; the ids must be the same. A value is a list of spans of the text,
[first character, behind the last character, score].
"""

import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from textassay.documents import Columns, JsonLines, LineFile, ZstdLines, lines_of_zstd, with_ids
from textassay.errors import UsageError
from textassay.inputs import Input
from textassay.provenance import LABELS
from textassay.table import Table

NAME = "textassay"
FOLDER = Path("attributes") / NAME
LEVEL = 4
FIRST_LINE = "first_line"
"""Of a part that follows others: the first line of it says with which line of the documents it begins."""
NOT_SCORES = ("id", "byte_offset", "line", "provenance", "provenance_reason")

_DOCUMENTS, _ATTRIBUTES = "/documents/", f"/attributes/{NAME}/"


def attribute_paths(inputs: Sequence[Input]) -> list[Path]:
    """Of each input the path below `attributes/textassay/` at which the mixer looks for its attributes.

    Raises `UsageError` on an input that is not below a folder `documents`, and on two that have the same path below it.
    """
    seen: dict[Path, str] = {}
    for file in inputs:
        name = os.fsdecode(file.source) if isinstance(file.source, bytes) else file.name
        _, found, below = f"/{name}".partition(_DOCUMENTS)
        path = Path(below.replace(_DOCUMENTS, _ATTRIBUTES))
        if not found or ".." in path.parts or path.is_absolute() or not path.name:
            raise UsageError(f"{file.name}: dolma's mixer wants documents in a folder documents/, attributes beside it")
        if path in seen:
            raise UsageError(
                f"{seen[path]} and {file.name} would have the same attributes: wanted one data set at a time"
            )
        seen[path] = file.name
    return list(seen)


class DolmaRows(LineFile):
    """A file of attributes, a line for each line of the documents. One that is no document (malformed, blank) gets a line
    without id and attributes, so that those behind it stay in step; the mixer stops there and says so.
    """

    def __init__(self, path: Path, kinds: Mapping[str, str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._scores = [name for name in kinds if name not in NOT_SCORES]
        self._next_line = 1
        super().__init__(
            path, lambda stream: lines_into(stream, path.suffix), lambda stream: lines_from(stream, path.suffix)
        )
        self._follows = False

    def follow(self) -> None:
        self._follows = True

    def add(self, columns: Columns) -> None:
        for row in Table(with_ids(columns)).rows():
            if self._follows:
                # What lies in the parts before is not known here; whoever joins them makes up for the lines between.
                self._lines.write({FIRST_LINE: row["line"]})
                self._next_line, self._follows = row["line"], False
            self._write_until(row["line"])
            self._write({"id": row["id"], "attributes": self._attributes(row)})

    def _add_line(self, line: str) -> None:
        if line.startswith(f'{{"{FIRST_LINE}"'):
            self._write_until(json.loads(line)[FIRST_LINE])
        else:
            self._lines.write_line(line)
            self._next_line += 1

    def _write_until(self, line: int) -> None:
        while self._next_line < line:
            self._write({"id": None, "attributes": {}})

    def _write(self, value: Mapping[str, Any]) -> None:
        self._lines.write(value)
        self._next_line += 1

    def _attributes(self, row: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Null is a list without a span. The label is an attribute of its own, with the score 1."""
        end = row["n_chars"]
        found = {f"{NAME}__{name}": [] if row[name] is None else [[0, end, row[name]]] for name in self._scores}
        if "provenance" in row:
            found |= {f"{NAME}__{name}": [[0, end, 1.0]] if row["provenance"] == name else [] for name in LABELS}
        return found


def lines_into(stream: BinaryIO, suffix: str) -> JsonLines:
    """The mixer goes by the suffix, too. Nothing of time or name in it: the same rows give the same bytes. The stream stays open."""
    if suffix in (".zst", ".zstd"):
        return ZstdLines(stream)
    if suffix == ".gz":
        return JsonLines(gzip.GzipFile("", "wb", LEVEL, stream, mtime=0))
    return JsonLines(io.BufferedWriter(io.FileIO(stream.fileno(), "wb", closefd=False)))


def lines_from(stream: BinaryIO, suffix: str) -> BinaryIO:
    """What `lines_into` wrote."""
    if suffix in (".zst", ".zstd"):
        return lines_of_zstd(stream)
    return gzip.GzipFile(fileobj=stream) if suffix == ".gz" else stream  # type: ignore[return-value]
