"""The one form of an Arrow array: equal values are equal bytes.

Two equal arrays may differ in memory: in chunks, in what lies before and after a slice, in the bytes under nulls, in a
validity bitmap that is there and says nothing. None of that is left here. Buffers that are in order are not copied.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

INT32_MAX = 2**31 - 1


def supported(kind: pa.DataType) -> bool:
    """Whether `canonical` knows the type, and the Arrow format gives exactly it back."""
    types = pa.types
    if types.is_run_end_encoded(kind) or types.is_union(kind):
        return False
    if types.is_nested(kind):
        if types.is_list_view(kind) or types.is_large_list_view(kind):
            return False
        return all(supported(kind.field(i).type) for i in range(kind.num_fields))
    if types.is_dictionary(kind):
        return supported(kind.value_type)
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return False
    return not isinstance(kind, pa.BaseExtensionType)


def one_array(data: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The chunks of *data* as one canonical array."""
    if isinstance(data, pa.Array):
        return canonical(data)
    chunks = data.chunks
    if len(chunks) == 1:
        return canonical(chunks[0])
    return canonical(pa.concat_arrays(chunks) if chunks else pa.array([], data.type))


def joinable(data: pa.ChunkedArray) -> bool:
    """Whether the chunks fit into one array that equals them: offsets of 32 bits may not, nor may dictionaries."""
    if data.num_chunks < 2:
        return True
    if pa.types.is_dictionary(data.type):
        first = data.chunk(0).dictionary
        return all(chunk.dictionary.equals(first) for chunk in data.chunks[1:])
    return not _holds_dictionary(data.type) and (data.nbytes <= INT32_MAX or not _has_short_offsets(data.type))


def canonical(array: pa.Array) -> pa.Array:
    """*array* in its one form. Its type must be `supported`."""
    kind = array.type
    types = pa.types
    if types.is_null(kind):
        return pa.nulls(len(array))
    if types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            canonical(array.indices), canonical(array.dictionary), ordered=kind.ordered, safe=False
        )
    valid = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else None
    if types.is_struct(kind):
        return _struct(array, valid)
    if types.is_fixed_size_list(kind):
        return _fixed_size_list(array, valid)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        return _list(array, valid)
    if types.is_boolean(kind):
        return _booleans(array, valid)
    if _is_text(kind):
        return _text(array, valid)
    return _fixed_width(array, valid)


def _fixed_width(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if data is None or width == 0:
        return pa.Array.from_buffers(array.type, len(array), [_bitmap(valid), pa.py_buffer(b"")])
    data = data.slice(array.offset * width, len(array) * width)
    if valid is not None:
        cells = np.frombuffer(data, np.uint8).reshape(-1, width).copy()
        cells[~valid] = 0
        data = pa.py_buffer(cells)
    return pa.Array.from_buffers(array.type, len(array), [_bitmap(valid), data])


def _booleans(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    values = array.fill_null(False).to_numpy(zero_copy_only=False)
    return pa.Array.from_buffers(pa.bool_(), len(array), [_bitmap(valid), _bits(values)])


def _text(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    short = pa.types.is_string(array.type) or pa.types.is_binary(array.type)
    offsets, gaps = _offsets(array, np.dtype(np.int32 if short else np.int64), valid)
    data = array.buffers()[2] or pa.py_buffer(b"")
    data = data.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    if gaps is not None:
        data = pa.py_buffer(np.frombuffer(data, np.uint8)[gaps])
    return pa.Array.from_buffers(array.type, len(array), [_bitmap(valid), _rebased(offsets, valid), data])


def _list(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    short = not pa.types.is_large_list(array.type)
    offsets, gaps = _offsets(array, np.dtype(np.int32 if short else np.int64), valid)
    child = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    if gaps is not None:
        child = child.filter(pa.array(gaps))
    return pa.Array.from_buffers(
        array.type, len(array), [_bitmap(valid), _rebased(offsets, valid)], children=[canonical(child)]
    )


def _fixed_size_list(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    size = array.type.list_size
    child = array.values.slice(array.offset * size, len(array) * size)
    if valid is not None:
        child = _nulled(child, np.repeat(valid, size))
    return pa.Array.from_buffers(array.type, len(array), [_bitmap(valid)], children=[canonical(child)])


def _struct(array: pa.Array, valid: np.ndarray | None) -> pa.Array:
    # flatten() carries the struct's own nulls over to its fields, which gives what lies under them one form too.
    fields: Iterable[pa.Array] = (
        array.flatten() if valid is not None else (array.field(i) for i in range(array.type.num_fields))
    )
    return pa.Array.from_buffers(
        array.type, len(array), [_bitmap(valid)], children=[canonical(field) for field in fields]
    )


def _nulled(child: pa.Array, keep: np.ndarray) -> pa.Array:
    return child.take(pa.array(np.arange(len(child)), mask=~keep))


def _offsets(array: pa.Array, width: np.dtype, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The offsets as they stand, and which of the elements between the first and the last do not lie under a null
    (None where none does)."""
    buffer = array.buffers()[1]
    if buffer is None or buffer.size == 0:
        return np.zeros(1, width), None
    offsets = np.frombuffer(buffer, width, len(array) + 1, array.offset * width.itemsize)
    if valid is None:
        return offsets, None
    lengths = np.diff(offsets)
    return offsets, np.repeat(valid, lengths) if lengths[~valid].any() else None


def _rebased(offsets: np.ndarray, valid: np.ndarray | None) -> pa.Buffer:
    """The offsets from 0 on, null slots being empty."""
    if valid is not None:
        lengths = np.diff(offsets)
        lengths[~valid] = 0
        offsets = np.concatenate([np.zeros(1, offsets.dtype), np.cumsum(lengths, dtype=offsets.dtype)])
    elif offsets[0]:
        offsets = offsets - offsets[0]
    return pa.py_buffer(np.ascontiguousarray(offsets))


def _bitmap(valid: np.ndarray | None) -> pa.Buffer | None:
    return None if valid is None else _bits(valid)


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind)
    )


def _has_short_offsets(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_string(kind) or types.is_binary(kind) or types.is_list(kind) or types.is_map(kind):
        return True
    return any(_has_short_offsets(kind.field(i).type) for i in range(kind.num_fields))


def _holds_dictionary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return True
    return any(_holds_dictionary(kind.field(i).type) for i in range(kind.num_fields))
