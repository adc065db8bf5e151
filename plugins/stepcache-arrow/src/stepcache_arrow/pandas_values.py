"""A column or an index of pandas' as Arrow arrays and a description, and back.

Describing decides whether exactly the same would come back, and declines where it would not; the arrays themselves
are made only when they are asked for.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stepcache.store.codecs import Declined
from stepcache_arrow import canonical, labels
from stepcache_arrow.streams import Packed

Spec = dict[str, Any]

# An index of mixed labels up to this length is written out; a longer one is data, and declined.
MIXED_LABELS = 1000


class Arrays:
    """The arrays of a value that is being described, in the order in which their numbers were given."""

    def __init__(self) -> None:
        self._makers: list[Callable[[], pa.Array]] = []

    def add(self, maker: Callable[[], pa.Array]) -> int:
        self._makers.append(maker)
        return len(self._makers) - 1

    def made(self) -> list[pa.Array]:
        return [maker() for maker in self._makers]


def values_of(data: pd.Series | pd.Index) -> Any:
    """The values as pandas holds them: an ndarray, or an extension array."""
    return data.to_numpy() if isinstance(data.dtype, np.dtype) else data.array


def describe(values: Any, arrays: Arrays) -> Spec:
    """The description of an ndarray or extension array; its arrays are added to *arrays*."""
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return _describe_objects(values, arrays) if dtype.hasobject else _describe_plain(values, arrays)
    describer = _DESCRIBERS.get(type(dtype))
    if describer is None:
        raise Declined(f"the dtype {dtype}")
    return describer(values, arrays)


def restore(spec: Spec, packed: Packed) -> Any:
    """The array that was described: over the stored bytes where they can serve as they are."""
    return _RESTORERS[spec["kind"]](spec, packed)


# --- plain numpy dtypes -------------------------------------------------------------------------


def _describe_plain(values: np.ndarray, arrays: Arrays) -> Spec:
    dtype = values.dtype
    if not dtype.isnative or dtype.kind not in "iufcbmM" or dtype.itemsize > 16 or dtype == np.longdouble:
        raise Declined(f"the dtype {dtype}")
    return {"kind": "plain", "dtype": dtype.str[1:], "data": arrays.add(partial(_plain_array, values))}


def _plain_array(values: np.ndarray) -> pa.Array:
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(_arrow_type(values.dtype), len(values), [None, pa.py_buffer(values.view(np.uint8))])


def _arrow_type(dtype: np.dtype) -> pa.DataType:
    if dtype.kind == "b":
        return pa.uint8()  # a byte each, as numpy has them: mapped, not unpacked
    if dtype.kind == "c":
        return pa.binary(dtype.itemsize)
    if dtype.kind in "mM":
        return pa.int64()  # NaT is a number to numpy, and not every unit of numpy's is one of Arrow's
    return pa.from_numpy_dtype(dtype)


def _restore_plain(spec: Spec, packed: Packed) -> np.ndarray:
    return _numbers(packed, spec["data"], spec["dtype"])


def _numbers(packed: Packed, number: int, dtype: Any) -> np.ndarray:
    values = np.frombuffer(packed.memory(number), dtype)
    return values if values.flags.aligned else values.copy()


# --- objects: text or bytes, and one kind of missing value --------------------------------------

_MISSING: dict[type, tuple[str, object]] = {
    type(None): ("None", None),
    float: ("nan", np.nan),
    type(pd.NA): ("NA", pd.NA),
}


def _describe_objects(values: np.ndarray, arrays: Arrays) -> Spec:
    kinds = set(map(type, values))
    missing = [kind for kind in kinds if kind in _MISSING]
    content = kinds.difference(missing) or {str}
    if len(missing) > 1 or content not in ({str}, {bytes}):
        raise Declined("objects other than text, or other than bytes")
    if float in missing and any(value == value for value in values if type(value) is float):
        raise Declined("numbers among text")
    if content == {str}:
        _refuse_surrogates(values)
    kind = pa.large_string() if content == {str} else pa.large_binary()
    return {
        "kind": "objects",
        "missing": _MISSING[missing[0]][0] if missing else None,
        "data": arrays.add(lambda: canonical.canonical(pa.array(values, kind, mask=np.asarray(pd.isna(values))))),
    }


def _refuse_surrogates(values: Any) -> None:
    try:
        for value in values:
            if type(value) is str and not value.isascii():
                value.encode()
    except UnicodeEncodeError:
        raise Declined("text with lone surrogates, which UTF-8 cannot hold") from None


def _restore_objects(spec: Spec, packed: Packed) -> np.ndarray:
    array = packed.array(spec["data"])
    values: np.ndarray = np.empty(len(array), object)
    values[:] = array.to_pylist()
    if spec["missing"] not in (None, "None"):
        values[~array.is_valid().to_numpy(zero_copy_only=False)] = dict(_MISSING.values())[spec["missing"]]
    return values


# --- extension dtypes ---------------------------------------------------------------------------


def _describe_text(values: Any, arrays: Arrays) -> Spec:
    dtype = values.dtype
    if dtype.storage == "python":
        _refuse_surrogates(values)
    return {
        "kind": "text",
        "storage": dtype.storage,
        "na": "NA" if dtype.na_value is pd.NA else "nan",
        "data": arrays.add(lambda: canonical.one_array(pa.array(values).cast(pa.large_string()))),
    }


def _restore_text(spec: Spec, packed: Packed) -> Any:
    dtype = pd.StringDtype(spec["storage"], na_value=pd.NA if spec["na"] == "NA" else np.nan)
    return dtype.__from_arrow__(packed.array(spec["data"]))


def _describe_masked(values: Any, arrays: Arrays) -> Spec:
    return {
        "kind": "masked",
        "dtype": values.dtype.name,
        "data": arrays.add(lambda: canonical.one_array(pa.array(values))),
    }


def _restore_masked(spec: Spec, packed: Packed) -> Any:
    # A copy, since what pandas makes of Arrow's memory may share it, and Arrow's views are read-only.
    dtype: Any = pd.api.types.pandas_dtype(spec["dtype"])
    return dtype.__from_arrow__(packed.array(spec["data"])).copy()


def _describe_categories(values: Any, arrays: Arrays) -> Spec:
    return {
        "kind": "categories",
        "codes": _describe_plain(values.codes, arrays),
        "categories": describe_index(values.categories, arrays),
        "ordered": bool(values.ordered),
    }


def _restore_categories(spec: Spec, packed: Packed) -> Any:
    dtype = pd.CategoricalDtype(restore_index(spec["categories"], packed), ordered=spec["ordered"])
    return pd.Categorical.from_codes(_restore_plain(spec["codes"], packed), dtype=dtype)


def _describe_zoned(values: Any, arrays: Arrays) -> Spec:
    zone = _describe_zone(values.dtype.tz)
    stamps = np.asarray(pd.DatetimeIndex(values).asi8)
    return {
        "kind": "zoned",
        "unit": values.dtype.unit,
        "zone": zone,
        "data": arrays.add(partial(_plain_array, stamps)),
    }


def _restore_zoned(spec: Spec, packed: Packed) -> Any:
    stamps = _numbers(packed, spec["data"], f"M8[{spec['unit']}]")
    return pd.DatetimeIndex(stamps).tz_localize("UTC").tz_convert(_restore_zone(spec["zone"])).array


def _describe_zone(zone: Any) -> Spec:
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return {"zoneinfo": zone.key}
    if type(zone) is datetime.timezone and repr(zone) == repr(_fixed_zone(zone.utcoffset(None))):
        return {"offset": zone.utcoffset(None) // datetime.timedelta(microseconds=1)}
    if type(zone).__module__.partition(".")[0] == "pytz" and getattr(zone, "zone", None):
        return {"pytz": zone.zone}
    raise Declined(f"the time zone {zone!r}")


def _fixed_zone(offset: datetime.timedelta) -> datetime.timezone:
    return datetime.timezone(offset) if offset else datetime.UTC


def _restore_zone(spec: Spec) -> Any:
    ((kind, value),) = spec.items()
    if kind == "offset":
        return _fixed_zone(datetime.timedelta(microseconds=value))
    if kind == "pytz":
        import pytz  # type: ignore[import-untyped]

        return pytz.timezone(value)
    return zoneinfo.ZoneInfo(value)


def _describe_periods(values: Any, arrays: Arrays) -> Spec:
    return {
        "kind": "periods",
        "dtype": values.dtype.name,  # its own spelling of the frequency: "M", where an offset says "ME"
        "data": arrays.add(partial(_plain_array, np.asarray(values.asi8))),
    }


def _restore_periods(spec: Spec, packed: Packed) -> Any:
    ordinals = _numbers(packed, spec["data"], np.int64)
    return pd.arrays.PeriodArray(ordinals, dtype=pd.api.types.pandas_dtype(spec["dtype"]))


def _describe_intervals(values: Any, arrays: Arrays) -> Spec:
    return {
        "kind": "intervals",
        "closed": values.closed,
        "left": describe(values_of(values.left), arrays),
        "right": describe(values_of(values.right), arrays),
    }


def _restore_intervals(spec: Spec, packed: Packed) -> Any:
    return pd.arrays.IntervalArray.from_arrays(
        restore(spec["left"], packed), restore(spec["right"], packed), closed=spec["closed"]
    )


def _describe_arrow(values: Any, arrays: Arrays) -> Spec:
    data = values.__arrow_array__()
    if not canonical.supported(data.type) or (isinstance(data, pa.ChunkedArray) and not canonical.joinable(data)):
        raise Declined(f"the dtype {values.dtype}")
    return {"kind": "arrow", "data": arrays.add(partial(canonical.one_array, data))}


def _restore_arrow(spec: Spec, packed: Packed) -> Any:
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([packed.array(spec["data"])]))


_DESCRIBERS: dict[type, Callable[[Any, Arrays], Spec]] = {
    pd.StringDtype: _describe_text,
    pd.CategoricalDtype: _describe_categories,
    pd.DatetimeTZDtype: _describe_zoned,
    pd.PeriodDtype: _describe_periods,
    pd.IntervalDtype: _describe_intervals,
    pd.ArrowDtype: _describe_arrow,
    pd.BooleanDtype: _describe_masked,
    **dict.fromkeys(
        (
            pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype, pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype,
            pd.UInt64Dtype, pd.Float32Dtype, pd.Float64Dtype,
        ),
        _describe_masked,
    ),
}  # fmt: skip

_RESTORERS: dict[str, Callable[[Spec, Packed], Any]] = {
    "plain": _restore_plain,
    "objects": _restore_objects,
    "text": _restore_text,
    "masked": _restore_masked,
    "categories": _restore_categories,
    "zoned": _restore_zoned,
    "periods": _restore_periods,
    "intervals": _restore_intervals,
    "arrow": _restore_arrow,
}


# --- indexes ------------------------------------------------------------------------------------


def describe_index(index: pd.Index, arrays: Arrays) -> Spec:
    """The description of an index, of its exact class."""
    if type(index) is pd.RangeIndex:
        return {"range": [index.start, index.stop, index.step], "name": labels.pack(index.name)}
    if type(index) is pd.MultiIndex:
        return {
            "levels": [describe_index(level.rename(None), arrays) for level in index.levels],
            "codes": [describe(np.asarray(codes), arrays) for codes in index.codes],
            "names": [labels.pack(name) for name in index.names],
        }
    if type(index) not in _CLASSES:
        raise Declined(f"an index of the class {type(index).__name__}")
    spec: Spec = {"class": type(index).__name__, "name": labels.pack(index.name)}
    if index.dtype == np.dtype(object):
        return spec | _describe_labels(index.to_numpy(), arrays)
    return spec | {"values": describe(values_of(index), arrays), "freq": _describe_freq(index)}


_CLASSES: dict[type, str] = {
    kind: kind.__name__
    for kind in (pd.Index, pd.DatetimeIndex, pd.TimedeltaIndex, pd.PeriodIndex, pd.CategoricalIndex, pd.IntervalIndex)
}


def _describe_labels(values: np.ndarray, arrays: Arrays) -> Spec:
    try:
        return {"values": describe(values, arrays), "freq": None}
    except Declined:
        if len(values) > MIXED_LABELS:
            raise
        return {"labels": [labels.pack(value) for value in values]}


def _describe_freq(index: pd.Index) -> str | None:
    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or index.freq is None:
        return None
    text: str = index.freq.freqstr
    again = pd.tseries.frequencies.to_offset(text)
    if type(again) is not type(index.freq) or again != index.freq:
        raise Declined(f"the frequency {index.freq!r}")
    return text


def restore_index(spec: Spec, packed: Packed) -> pd.Index:
    """The index that was described."""
    if "range" in spec:
        return pd.RangeIndex(*spec["range"], name=labels.unpack(spec["name"]))
    if "levels" in spec:
        return pd.MultiIndex(
            levels=[restore_index(level, packed) for level in spec["levels"]],
            codes=[restore(codes, packed) for codes in spec["codes"]],
            names=[labels.unpack(name) for name in spec["names"]],
            verify_integrity=False,
        )
    name = labels.unpack(spec["name"])
    if "labels" in spec:
        mixed: np.ndarray = np.empty(len(spec["labels"]), object)
        mixed[:] = [labels.unpack(label) for label in spec["labels"]]
        return pd.Index(mixed, dtype=object, name=name, tupleize_cols=False)
    values = restore(spec["values"], packed)
    if spec["freq"] is not None:
        kind = pd.DatetimeIndex if spec["class"] == "DatetimeIndex" else pd.TimedeltaIndex
        return kind(values, freq=spec["freq"], name=name)
    return pd.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
