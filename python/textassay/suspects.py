"""The documents of a scan that resemble synthetic text most."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.detector import Detector

Columns = Mapping[str, NDArray[Any]]


class Suspects:
    """How many documents the detector suspects, and the `kept` of highest logit: with `columns` of their rows."""

    def __init__(self, detector: Detector, kept: int, columns: Sequence[str] = ()) -> None:
        self.detector = detector
        self.n_judged = self.n_suspected = 0
        self._kept = kept
        self._columns = ("n_tokens", *columns)
        self._rows: list[tuple[Any, ...]] = []

    def add(self, file: int, columns: Columns) -> None:
        """The rows of a scan's event, which has the signals that verdicts are given by."""
        found = np.flatnonzero(self.detector.suspects(columns))
        self.n_judged += int(np.count_nonzero(~np.isnan(columns["synthetic_logit"])))
        self.n_suspected += len(found)
        values = (columns[name][found].tolist() for name in ("line", *self._columns))
        self._rows += zip((-columns["synthetic_logit"][found]).tolist(), [file] * len(found), *values, strict=True)
        if len(self._rows) > 4 * self._kept:
            self._forget()

    def _forget(self) -> None:
        """The order (logit, file, line) has no ties, so what is left does not depend on how the events came."""
        self._rows.sort(key=lambda row: row[:3])
        del self._rows[self._kept :]

    def worst(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """The highest logit first; `names` are the inputs' names. NaN becomes None."""
        self._forget()
        return [
            {"file": names[file], "line": line, "synthetic_logit": -low}
            | {name: None if isnan(value) else value for name, value in zip(self._columns, values, strict=True)}
            for low, file, line, *values in self._rows
        ]

    def state(self) -> dict[str, Any]:
        """Fit for JSON, for another object to go on with. NaN becomes None."""
        self._forget()
        rows = [[None if isnan(value) else value for value in row] for row in self._rows]
        return {"n_judged": self.n_judged, "n_suspected": self.n_suspected, "rows": rows}

    def go_on(self, state: Mapping[str, Any], n_files: int) -> None:
        """Begins with what `state` returned, of a scan of the same files. Raises `ValueError` on anything else."""
        if state.keys() != {"n_judged", "n_suspected", "rows"} or not isinstance(state["rows"], list):
            raise ValueError("wanted n_judged, n_suspected and rows of suspects")
        for row in state["rows"][: self._kept]:
            if not isinstance(row, list) or len(row) != 3 + len(self._columns) or not _are_figures(row, n_files):
                raise ValueError("wanted rows of suspects")
            self._rows.append(tuple(nan if value is None else value for value in row))
        self.n_judged, self.n_suspected = state["n_judged"], state["n_suspected"]


def _are_figures(row: Sequence[Any], n_files: int) -> bool:
    low, file, line, *values = row
    is_placed = type(low) is float and type(file) is int and 0 <= file < n_files and type(line) is int
    return is_placed and all(value is None or type(value) in (int, float) for value in values)
