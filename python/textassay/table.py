"""A small table of columns, with no dependency but numpy."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import MissingPackageError


class Table:
    """Named columns of one length, read-only. Null is NaN in a float column, None in a column of objects."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns: dict[str, NDArray[Any]] = {}
        for name, values in columns.items():
            column = np.asarray(values).view()
            column.flags.writeable = False
            self._columns[name] = column
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"wanted columns of one length, found {lengths}")

    @classmethod
    def concatenated(cls, parts: Sequence[Mapping[str, Any]]) -> "Table":
        """The rows of all parts, which have the same columns; at least one part."""
        return cls({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self._columns)}")
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dict of plain Python values a row; NaN becomes None."""
        lists = [_plain(column) for column in self._columns.values()]
        for values in zip(*lists, strict=True):
            yield dict(zip(self._columns, values, strict=True))

    def to_dict(self) -> dict[str, NDArray[Any]]:
        return dict(self._columns)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """What pyarrow, Polars, DuckDB and pandas read without knowing this class. Needs pyarrow. NaN becomes null."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> Any:
        """A pyarrow.Table. NaN becomes null. Raises `MissingPackageError` without pyarrow."""
        try:
            import pyarrow
        except ImportError as error:
            raise MissingPackageError("Arrow needs pyarrow: pip install 'textassay[arrow]'") from error

        return pyarrow.table({name: pyarrow.array(column, from_pandas=True) for name, column in self._columns.items()})

    def to_pandas(self) -> Any:
        """A pandas.DataFrame."""
        import pandas

        return pandas.DataFrame(self._columns)

    def to_polars(self) -> Any:
        """A polars.DataFrame. NaN becomes null."""
        import polars

        columns = {
            # Texts; without a type, a column of nulls would be one of Python objects.
            name: polars.Series(name, column.tolist(), polars.String) if column.dtype == object else column
            for name, column in self._columns.items()
        }
        return polars.DataFrame(columns, nan_to_null=True)

    def __repr__(self) -> str:
        shown = min(len(self), 5)
        lines = [f"Table of {len(self)} rows"]
        for name, column in self._columns.items():
            head = ", ".join(_short(value) for value in column[:shown].tolist())
            lines.append(f"  {name:<20} {head}{', ...' if len(self) > shown else ''}")
        return "\n".join(lines)


def _plain(column: NDArray[Any]) -> list[Any]:
    values = column.tolist()
    return [None if isnan(value) else value for value in values] if column.dtype.kind == "f" else values


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 24 else f"{text[:21]}..."
