"""Snapshots of frames and arrays for syrupy: no row is left out, and no figure is rounded.

syrupy's own serializer writes what `repr` shows of them, which is a few rows, with a few digits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from syrupy.extensions.amber import AmberSnapshotExtension


class DataSnapshotExtension(AmberSnapshotExtension):
    """Writes frames, series, tables and arrays row by row, also within dicts, lists and objects.

    Of NumPy, pandas, Polars and PyArrow; all else is written as syrupy does. A frame compares itself with what stands
    right of it, cell by cell: the snapshot stands on the left, `assert snapshot == frame`.
    """

    def serialize(self, data: Any, *, matcher: Any = None, **options: Any) -> str:
        """The text of *data*."""

        def written(*, data: Any, path: Any) -> Any:
            found = matcher(data=data, path=path) if matcher is not None else data
            lines = _lines(found)
            return found if lines is None else _Written(lines)

        return super().serialize(data, matcher=written, **options)


class _Written:
    """What syrupy writes as it is."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines

    def __repr__(self) -> str:
        return "\n".join(self._lines)


def _lines(value: object) -> Iterator[str] | None:
    """The lines that tell all of a value; None where it is neither frame nor array."""
    for name, known in (("numpy", _numpy), ("pandas", _pandas), ("polars", _polars), ("pyarrow", _pyarrow)):
        module = sys.modules.get(name)
        found = known(module, value) if module is not None else None
        if found is not None:
            return found
    return None


def _table(value: object, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """A header, what the columns are, and the rows."""
    yield f"{type(value).__name__}("
    for column in columns:
        yield f"  {column}"
    for row in rows:
        yield f"  {_cell(row)}"
    yield ")"


def _cell(value: object) -> str:
    """As `repr`, but all of an array, wherever it lies."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _cell(value.tolist())
    if type(value) is list:
        return f"[{', '.join(map(_cell, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_cell, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return f"{{{', '.join(f'{_cell(k)}: {_cell(v)}' for k, v in value.items())}}}"
    return repr(value)


def _numpy(numpy: Any, value: Any) -> Iterator[str] | None:
    return _array(value) if isinstance(value, numpy.ndarray) else None


def _array(value: Any) -> Iterator[str]:
    yield f"{type(value).__name__}({value.dtype}, shape={value.shape}"
    told = value.astype(str) if value.dtype.kind in "mM" else value  # tolist() makes numbers of nanoseconds
    rows = told.reshape(-1, value.shape[-1]) if value.ndim > 1 and value.size else told.reshape(-1)
    for row in rows.tolist():
        yield f"  {_cell(row)}"
    yield ")"


def _pandas(pandas: Any, value: Any) -> Iterator[str] | None:
    if isinstance(value, pandas.Index):
        return _table(value, _levels(value), ((each,) for each in value.tolist()))
    if isinstance(value, pandas.Series):
        rows = zip(value.index.tolist(), value.tolist(), strict=True)
        return _table(value, [*_levels(value.index), _column(value.name, value.dtype)], rows)
    if isinstance(value, pandas.DataFrame):
        columns = [value.iloc[:, number] for number in range(value.shape[1])]  # their labels need not differ
        names = value.columns.names
        above = [f"columns {list(names)!r}"] if any(name is not None for name in names) else []
        told = [_column(label, column.dtype) for label, column in zip(value.columns, columns, strict=True)]
        rows = zip(value.index.tolist(), *(column.tolist() for column in columns), strict=True)
        return _table(value, [*_levels(value.index), *above, *told], rows)
    return None


def _levels(index: Any) -> list[str]:
    """The names and types of an index, level by level."""
    dtypes = index.dtypes.tolist() if index.nlevels > 1 else [index.dtype]
    return [f"index {_column(name, dtype)}" for name, dtype in zip(index.names, dtypes, strict=True)]


def _column(name: object, dtype: Any) -> str:
    ordered = getattr(dtype, "ordered", None)  # of pandas' categories, of which `str` shows nothing
    if ordered is None:
        return f"{name!r}: {dtype}"
    return f"{name!r}: category {dtype.categories.tolist()!r}{' ordered' if ordered else ''}"


def _polars(polars: Any, value: Any) -> Iterator[str] | None:
    if isinstance(value, polars.Series):
        return _table(value, [_column(value.name, value.dtype)], ((each,) for each in value.to_list()))
    if isinstance(value, polars.DataFrame):
        return _table(value, (_column(*each) for each in value.schema.items()), value.iter_rows())
    return None


def _pyarrow(pyarrow: Any, value: Any) -> Iterator[str] | None:
    if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
        return _table(value, [str(value.type)], ((each,) for each in value.to_pylist()))
    if isinstance(value, (pyarrow.Table, pyarrow.RecordBatch)):
        told = [_column(each.name, each.type) for each in value.schema]
        return _table(value, told, zip(*(column.to_pylist() for column in value.columns), strict=True))
    return None


__all__ = ["DataSnapshotExtension"]
