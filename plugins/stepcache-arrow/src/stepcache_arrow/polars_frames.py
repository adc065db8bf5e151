"""Polars' data frames and series."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from stepcache_arrow import canonical, streams

_PLAIN = {
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64,
    pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Datetime, pl.Duration, pl.Null, pl.Decimal,
}  # fmt: skip


def takes(value: pl.DataFrame | pl.Series) -> bool:
    """Whether all its types come back, and its rows, of which a frame without columns keeps only the number."""
    if isinstance(value, pl.Series):
        return _supported(value.dtype)
    return (value.width > 0 or value.height == 0) and all(_supported(kind) for kind in value.dtypes)


def encode(value: pl.DataFrame | pl.Series) -> streams.Parts:
    columns = [value] if isinstance(value, pl.Series) else value.get_columns()
    spec = {"columns": [{"name": column.name, **_spec(column.dtype)} for column in columns]}
    return streams.pack(spec, [_array(column) for column in columns])


def decode_frame(data: memoryview) -> pl.DataFrame:
    # By name, since a column without one would be given one.
    return pl.DataFrame({column.name: column for column in _columns(data)})


def decode_series(data: memoryview) -> pl.Series:
    return _columns(data)[0]


def _columns(data: memoryview) -> list[pl.Series]:
    packed = streams.Packed(data)
    columns = []
    for number, spec in enumerate(packed.spec["columns"]):
        series = pl.Series(spec["name"], packed.array(number))
        if "enum" in spec:
            series = series.cast(pl.Enum(spec["enum"]))
        elif "categorical" in spec:
            series = series.cast(pl.Categorical())
        columns.append(series)
    return columns


def _supported(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.Enum) or _is_plain_categorical(kind):
        return True
    return _nests_plain(kind)


def _nests_plain(kind: pl.DataType) -> bool:
    # Categories keep their order and scope only as columns of their own, so not within lists and structs.
    if isinstance(kind, pl.List | pl.Array):
        return _nests_plain(kind.inner)  # type: ignore[arg-type]
    if isinstance(kind, pl.Struct):
        return bool(kind.fields) and all(_nests_plain(field.dtype) for field in kind.fields)  # type: ignore[arg-type]
    return kind.base_type() in _PLAIN


def _is_plain_categorical(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Categorical) and kind == pl.Categorical() and repr(kind) == repr(pl.Categorical())


def _spec(kind: pl.DataType) -> dict[str, object]:
    if isinstance(kind, pl.Enum):
        return {"enum": kind.categories.to_list()}
    return {"categorical": True} if isinstance(kind, pl.Categorical) else {}


def _array(column: pl.Series) -> pa.Array:
    # Physical numbers of categories depend on what else the process has seen; their texts do not.
    if isinstance(column.dtype, pl.Enum | pl.Categorical):
        column = column.cast(pl.String)
    return canonical.one_array(column.to_arrow(compat_level=pl.CompatLevel.oldest()))
