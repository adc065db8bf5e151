"""The codec for numpy arrays and scalars: their type and shape, then their bytes in C order.

Equal arrays give equal bytes whatever their strides. The bytes start on a multiple of 64, so that a stored array can
be mapped; what comes back is a plain writable array.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any

from stepcache.store.codecs import Declined, Encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepcache.store.frame import Buffer

_ALIGNMENT = 64
_CHUNK = 16 << 20

_SCALARS = (
    "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "longlong",
    "ulonglong", "float16", "float32", "float64", "longdouble", "complex64", "complex128", "clongdouble", "str_",
    "bytes_", "datetime64", "timedelta64", "void",
)  # fmt: skip


class ArrayCodec:
    """The codec called "numpy"."""

    name = "numpy"
    safe = True

    @property
    def types(self) -> Sequence[str]:
        return ("numpy.ndarray", *(f"numpy.{name}" for name in _SCALARS))

    def takes(self, value: Any) -> bool:
        return describable(value.dtype)

    def encode(self, value: Any) -> Encoded:
        numpy = sys.modules["numpy"]
        is_array = type(value) is numpy.ndarray
        array = value if is_array else numpy.asarray(value)
        if not is_array and (type(array[()]) is not type(value) or array[()].dtype != value.dtype):
            raise Declined(f"a {type(value).__name__} does not come back as it is")
        header = ascii((is_array, describe(array.dtype), array.shape)).encode()
        start = len(header).to_bytes(4, "little") + header
        start = start.ljust(-(-len(start) // _ALIGNMENT) * _ALIGNMENT, b" ")
        return Encoded(Joined(((start,), content(array))), size=len(start) + array.nbytes)

    def decode(self, data: memoryview) -> object:
        size = int.from_bytes(data[:4], "little")
        is_array, description, shape = ast.literal_eval(str(data[4 : 4 + size], "ascii"))
        array = rebuild(description, shape, data[-(-(4 + size) // _ALIGNMENT) * _ALIGNMENT :])
        return array if is_array else array[()]


def describable(dtype: Any) -> bool:
    """Whether an array of that type comes back from its bytes."""
    if dtype.hasobject or _has_metadata(dtype):
        return False
    from numpy.lib import format as npy

    try:
        again = npy.descr_to_dtype(_literal(npy.dtype_to_descr(dtype)))
    except (TypeError, ValueError, KeyError):
        return False
    return bool(again == dtype and again.isalignedstruct == dtype.isalignedstruct)


def _has_metadata(dtype: Any) -> bool:
    if dtype.metadata:
        return True
    if dtype.subdtype:
        return _has_metadata(dtype.subdtype[0])
    return any(_has_metadata(field[0]) for field in (dtype.fields or {}).values())


def _literal(description: object) -> Any:
    return ast.literal_eval(repr(description))


def describe(dtype: Any) -> Any:
    """The type as plain data, as in the npy format."""
    from numpy.lib import format as npy

    return npy.dtype_to_descr(dtype)


def rebuild(description: Any, shape: tuple[int, ...], data: memoryview) -> Any:
    """The array over *data*, which it does not copy."""
    import numpy
    from numpy.lib import format as npy

    dtype = npy.descr_to_dtype(description)
    if not len(data):
        return numpy.zeros(shape, dtype)
    return numpy.frombuffer(data, numpy.uint8).view(dtype).reshape(shape)


def content(array: Any) -> Sequence[Buffer] | Rows:
    """The bytes of *array* in C order: itself where it lies so, else copies of a few rows at a time."""
    if not array.nbytes:
        return ()
    if _has_gaps(array.dtype):
        array = _without_gaps(array)
    if array.flags.c_contiguous:
        return (_bytes(array),)
    return Rows(array)


class Joined:
    """Several sequences of parts, one after the other; none is made before it is reached."""

    def __init__(self, sequences: Sequence[Iterable[Buffer]]) -> None:
        self.sequences = sequences

    def __iter__(self) -> Iterator[Buffer]:
        for parts in self.sequences:
            yield from parts


class Rows:
    """The bytes of an array that does not lie in C order, in chunks: a copy of it all would double the memory."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __iter__(self) -> Iterator[Buffer]:
        import numpy

        rows = max(1, _CHUNK // (self.array.nbytes // len(self.array)))
        for start in range(0, len(self.array), rows):
            yield _bytes(numpy.ascontiguousarray(self.array[start : start + rows]))


def _bytes(array: Any) -> memoryview:
    import numpy

    return memoryview(array.reshape(-1).view(numpy.uint8))


def _has_gaps(dtype: Any) -> bool:
    """Whether bytes between the fields of a record belong to none: they may hold anything."""
    if dtype.subdtype:
        return _has_gaps(dtype.subdtype[0])
    if not dtype.fields:
        return False
    fields = [field[0] for field in dtype.fields.values()]
    return sum(field.itemsize for field in fields) != dtype.itemsize or any(map(_has_gaps, fields))


def _without_gaps(array: Any) -> Any:
    import numpy

    clean = numpy.zeros(array.shape, array.dtype)
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: Any, target: Any) -> None:
    for name in source.dtype.names:
        if source.dtype[name].fields:
            _copy_fields(source[name], target[name])
        else:
            target[name] = source[name]
