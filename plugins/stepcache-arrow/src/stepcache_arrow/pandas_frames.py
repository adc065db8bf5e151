"""pandas' data frames and series, with their indexes, labels, names and attributes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from stepcache_arrow import labels, streams
from stepcache_arrow.pandas_values import Arrays, Spec, describe, describe_index, restore, restore_index, values_of

# Columns are handed on one by one, over the stored bytes, up to this many; a frame of more is copied together, since
# pandas is slow with many separate ones.
SEPARATE = 64


def takes(value: pd.DataFrame | pd.Series) -> bool:
    """Whether it may be tried: only `encode` looks at all of it."""
    return bool(value.flags.allows_duplicate_labels)


def encode(value: pd.DataFrame | pd.Series) -> streams.Parts:
    arrays = Arrays()
    spec = _describe_value(value, arrays)
    return streams.pack(spec, arrays.made())


def decode_frame(data: memoryview) -> pd.DataFrame:
    packed = streams.Packed(data)
    spec = packed.spec
    index = restore_index(spec["index"], packed)
    columns = {number: _series(restore(column, packed), index, column) for number, column in enumerate(spec["columns"])}
    frame = pd.DataFrame(columns, index=index, copy=len(columns) > SEPARATE)
    frame.columns = restore_index(spec["labels"], packed)
    frame.attrs = labels.unpack(spec["attrs"])
    return frame


def decode_series(data: memoryview) -> pd.Series:
    packed = streams.Packed(data)
    spec = packed.spec
    series = _series(restore(spec["values"], packed), restore_index(spec["index"], packed), spec["values"])
    series.name = labels.unpack(spec["name"])
    series.attrs = labels.unpack(spec["attrs"])
    return series


def _series(values: Any, index: pd.Index, spec: Spec) -> pd.Series:
    # Without a dtype pandas would make text of objects that are all text.
    return pd.Series(values, index=index, dtype=object if spec["kind"] == "objects" else None, copy=False)


def _describe_value(value: pd.DataFrame | pd.Series, arrays: Arrays) -> Spec:
    common = {"index": describe_index(value.index, arrays), "attrs": labels.pack(dict(value.attrs))}
    if isinstance(value, pd.Series):
        return {**common, "values": describe(values_of(value), arrays), "name": labels.pack(value.name)}
    return {
        **common,
        "labels": describe_index(value.columns, arrays),
        "columns": [describe(values_of(value.iloc[:, number]), arrays) for number in range(value.shape[1])],
    }
