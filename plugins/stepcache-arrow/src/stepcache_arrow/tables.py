"""pyarrow's own tables and record batches."""

from __future__ import annotations

import pyarrow as pa

from stepcache_arrow import canonical, streams


def takes(value: pa.Table | pa.RecordBatch) -> bool:
    """Whether all its types come back."""
    return all(canonical.supported(kind) for kind in value.schema.types) and (
        isinstance(value, pa.RecordBatch) or all(canonical.joinable(column) for column in value.columns)
    )


def encode(value: pa.Table | pa.RecordBatch) -> streams.Parts:
    columns = [canonical.one_array(column) for column in value.columns]
    return streams.write(pa.RecordBatch.from_arrays(columns, schema=value.schema) if columns else _rows(value))


def _rows(value: pa.Table | pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a table without columns, which keeps only their number."""
    rows = pa.Array.from_buffers(pa.struct([]), value.num_rows, [None])
    return pa.RecordBatch.from_struct_array(rows).replace_schema_metadata(value.schema.metadata)


def decode_table(data: memoryview) -> pa.Table:
    return streams.read(data)


def decode_batch(data: memoryview) -> pa.RecordBatch:
    return pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
