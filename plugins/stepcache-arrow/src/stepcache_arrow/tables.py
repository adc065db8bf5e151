"""pyarrow's own tables and record batches."""

from __future__ import annotations

import pyarrow as pa

from stepcache_arrow import canonical, streams


def takes(value: pa.Table | pa.RecordBatch) -> bool:
    """Whether all its types come back, and its rows, of which a table without columns keeps only the number."""
    return (
        (value.num_columns > 0 or value.num_rows == 0)
        and all(canonical.supported(kind) for kind in value.schema.types)
        and (isinstance(value, pa.RecordBatch) or all(canonical.joinable(column) for column in value.columns))
    )


def encode(value: pa.Table | pa.RecordBatch) -> streams.Parts:
    columns = [canonical.one_array(column) for column in value.columns]
    return streams.write(pa.RecordBatch.from_arrays(columns, schema=value.schema))


def decode_table(data: memoryview) -> pa.Table:
    return streams.read(data)


def decode_batch(data: memoryview) -> pa.RecordBatch:
    return pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
