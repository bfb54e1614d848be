"""Batch rows of a scan: from events to a table and a file, with the verdicts of an entropy floor."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textassay.batch import HIGH, HOLD, LOW, PROCEED
from textassay.documents import GROUP_ROWS, ZstdLines
from textassay.spool import Spool
from textassay.table import Table

WORST = 10
SPOOL = "batches.spool"


def row_type(integers: Sequence[str], floats: Sequence[str]) -> "np.dtype[np.void]":
    """What is known of a batch; `batch`, `n_tokens` and `entropy_bits` always."""
    return np.dtype([(name, "<i8") for name in integers] + [(name, "<f8") for name in floats])


OF_DOCUMENTS = row_type(
    ("batch", "first_document", "n_documents", "n_tokens", "n_types"),
    ("entropy_bits", "entropy_mm_bits", "type_token_ratio", "mattr"),
)


class Batches:
    """Batches of all files of a scan. Null figures (a batch without a token) have null verdicts."""

    def __init__(
        self,
        batch_tokens: int,
        floor: float | None,
        folder: Path | None,
        row: "np.dtype[np.void]" = OF_DOCUMENTS,
        length: int = 0,
    ) -> None:
        """`length`: what `sync` returned for batches that lie in the folder already. Raises `ValueError` where they do not."""
        self._names = row.names or ()
        self._row, self._no_rows = row, np.empty(0, [("file", np.int64), ("batch", row)])
        self._spool = Spool(None if folder is None else folder / SPOOL, length)
        self._batch_tokens = batch_tokens
        self._floor = floor
        self.n_below = 0
        self.n_below_short = 0
        """Of those below the floor, the ones that were not full: few tokens at a file's end, so low anyway."""
        self._worst: list[tuple[float, int, int, dict[str, Any]]] = []
        for file, block in self._spool.blocks():
            self._judge(file, np.frombuffer(block, self._row))

    def add(self, file: int, columns: Mapping[str, NDArray[Any]]) -> None:
        rows = np.empty(len(columns["batch"]), self._row)
        for name in self._names:
            rows[name] = columns[name]
        self._spool.append(file, rows.tobytes())
        self._judge(file, rows)

    def sync(self) -> int:
        """Makes what was added durable; returns a length for another object to begin with."""
        return self._spool.sync()

    def close(self) -> None:
        self._spool.close()

    def _judge(self, file: int, rows: NDArray[Any]) -> None:
        if self._floor is not None:
            below = rows["entropy_bits"] < self._floor
            self.n_below += int(below.sum())
            self.n_below_short += int((below & ~self.are_full(rows)).sum())
        self._note_worst(file, rows)

    def are_full(self, rows: Any) -> NDArray[np.bool_]:
        """Token ids that had to be left out make no batch short."""
        n_outside = rows["n_outside"] if "n_outside" in self._names else 0
        return rows["n_tokens"] + n_outside >= self._batch_tokens

    def _note_worst(self, file: int, rows: NDArray[Any]) -> None:
        """Keeps the full batches of least entropy. The short rest of a file is left out, or it would fill the list."""
        full = rows[self.are_full(rows)]
        for row in full[np.argsort(full["entropy_bits"], kind="stable")[:WORST]]:
            values = dict(zip(self._names, row.tolist(), strict=True))
            # Negated: the heap's top is the best of the worst.
            heapq.heappush(self._worst, (-values["entropy_bits"], -file, -values["batch"], values))
        while len(self._worst) > WORST:
            heapq.heappop(self._worst)

    def worst(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The full batches of least entropy, worst first; `names` are the inputs' names."""
        ordered = sorted(self._worst, key=lambda entry: entry[:3], reverse=True)
        return [{"file": names[-file]} | values for _, file, _, values in ordered]

    def table(self) -> Table:
        """All batches in order of files, with the column `file`: its position among the scan's inputs."""
        parts = list(self.tables())
        return Table.concatenated([self._columns(self._no_rows), *parts])

    def write_parquet(self, stream: BinaryIO, names: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        schema = _arrow_table(pyarrow, self._columns(self._no_rows), names).schema
        with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd", use_dictionary=["file"]) as writer:
            for part in self.tables():
                writer.write_table(_arrow_table(pyarrow, part, names))

    def write_json(self, stream: BinaryIO, names: Sequence[str]) -> None:
        lines = ZstdLines(stream)
        for row in self.rows(names):
            lines.write(row)
        lines.close()

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All batches in order of files, with `file` as the input's name."""
        for part in self.tables():
            for row in Table(part).rows():
                yield row | {"file": names[row["file"]]}

    def tables(self) -> Iterator[dict[str, NDArray[Any]]]:
        """The rows of `table`, piece by piece. Always GROUP_ROWS rows, but for the last: the files written from them do not
        depend on how rows arrived.
        """
        waiting, n_rows = [self._no_rows], 0
        for file, block in self._spool.blocks():
            rows = np.empty(len(block) // self._row.itemsize, self._no_rows.dtype)
            rows["file"], rows["batch"] = file, np.frombuffer(block, self._row)
            waiting.append(rows)
            n_rows += len(rows)
            while n_rows >= GROUP_ROWS:
                whole = np.concatenate(waiting)
                yield self._columns(whole[:GROUP_ROWS])
                waiting, n_rows = [whole[GROUP_ROWS:]], n_rows - GROUP_ROWS
        if n_rows:
            yield self._columns(np.concatenate(waiting))

    def _columns(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        columns = {"file": np.ascontiguousarray(rows["file"])}
        columns |= {name: np.ascontiguousarray(rows["batch"][name]) for name in self._names}
        return columns if self._floor is None else columns | verdicts(columns["entropy_bits"], self._floor)


def _arrow_table(pyarrow: Any, columns: Mapping[str, NDArray[Any]], names: Sequence[str]) -> Any:
    """`file` becomes the input's name."""
    kinds = {"O": pyarrow.string(), "i": pyarrow.int64(), "f": pyarrow.float64()}
    arrays = {"file": pyarrow.array([names[file] for file in columns["file"].tolist()], pyarrow.string())}
    for name, column in columns.items():
        if name != "file":
            kind = pyarrow.bool_() if name == "below_floor" else kinds[column.dtype.kind]
            arrays[name] = pyarrow.array(column, kind, from_pandas=True)
    return pyarrow.table(arrays)


def verdicts(entropy_bits: NDArray[np.float64], floor: float) -> dict[str, NDArray[np.object_]]:
    """`below_floor`, `synthetic_risk` and `action` as columns of objects; None where the entropy is NaN."""
    below, null = entropy_bits < floor, np.isnan(entropy_bits)

    def column(yes: bool | str, no: bool | str) -> NDArray[np.object_]:
        values = np.array([no, yes], object)[below.astype(np.intp)]
        values[null] = None
        return values

    return {"below_floor": column(True, False), "synthetic_risk": column(HIGH, LOW), "action": column(HOLD, PROCEED)}
