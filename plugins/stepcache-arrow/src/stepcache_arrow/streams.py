"""Arrow's stream format, to and from buffers: written without a copy, read where it lies.

`pack` takes arrays of any lengths and a JSON-like description: one stream for each length, the description in the
first one's schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

Parts = tuple[memoryview, ...]

_SPEC = b"stepcache"


class _Sink:
    """A file for Arrow to write to that keeps what it is handed."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[memoryview] = []

    def write(self, data: pa.Buffer | bytes) -> int:
        view = memoryview(data)
        self.parts.append(view)
        return len(view)

    def flush(self) -> None:
        """Nothing is held back."""


def write(batch: pa.RecordBatch) -> Parts:
    """*batch* as one Arrow stream."""
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), batch.schema, options=pa.ipc.IpcWriteOptions()) as writer:
        writer.write_batch(batch)
    return tuple(sink.parts)


def read(data: memoryview) -> pa.Table:
    """What `write` wrote, as a table over *data*."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def pack(spec: Mapping[str, Any], arrays: Sequence[pa.Array]) -> Parts:
    """*arrays*, which are canonical, and *spec*."""
    groups: dict[int, dict[str, pa.Array]] = {}
    for number, array in enumerate(arrays):
        groups.setdefault(len(array), {})[str(number)] = array
    metadata = {_SPEC: json.dumps(spec, separators=(",", ":")).encode()}
    parts: Parts = ()
    for group in list(groups.values()) or [{}]:
        fields = [pa.field(name, array.type) for name, array in group.items()]
        schema = pa.schema(fields, metadata=None if parts else metadata)
        parts += write(pa.RecordBatch.from_arrays(list(group.values()), schema=schema))
    return parts


class Packed:
    """What `pack` made. `array(n)` and `memory(n)` give the arrays and the bytes that they lie in."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._arrays: dict[int, pa.Array] = {}
        buffer = pa.py_buffer(data)
        self._start = buffer.address
        source = pa.BufferReader(buffer)
        while source.tell() < buffer.size:
            reader = pa.ipc.open_stream(source)
            if _SPEC in (reader.schema.metadata or {}):
                self.spec: dict[str, Any] = json.loads(reader.schema.metadata[_SPEC])
            batch = reader.read_next_batch()
            self._arrays |= {int(name): batch.column(i) for i, name in enumerate(batch.schema.names)}
            # The end of a stream is read only by asking for what comes after the last batch.
            if next(iter(reader), None) is not None:
                raise ValueError("an Arrow stream of more than one batch, where one was written")

    def array(self, number: int) -> pa.Array:
        return self._arrays[number]

    def memory(self, number: int) -> memoryview:
        """The bytes of an array of fixed width without nulls: writable where the whole is (Arrow's own views never
        are)."""
        buffer = self._arrays[number].buffers()[1]
        if buffer is None or buffer.size == 0:
            return memoryview(bytearray())
        start = buffer.address - self._start
        return self._data[start : start + buffer.size]
