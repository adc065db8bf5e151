from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcache_arrow import canonical, streams

Through = Callable[[Any], Any]
Bytes = Callable[[object], bytes]

integers = st.integers(-(2**31), 2**31 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=5)
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int32": (pa.int32(), integers),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "string": (pa.string(), texts),
    "large_binary": (pa.large_binary(), st.binary(max_size=5)),
    "fixed_binary": (pa.binary(3), st.binary(min_size=3, max_size=3)),
    "date32": (pa.date32(), st.dates()),
    "timestamp": (pa.timestamp("us", "UTC"), integers),
    "decimal": (pa.decimal128(12, 2), st.decimals(-1000, 1000, places=2)),
    "list": (pa.list_(pa.int32()), st.lists(st.none() | integers, max_size=3)),
    "large_list": (pa.large_list(pa.string()), st.lists(st.none() | texts, max_size=3)),
    "fixed_list": (pa.list_(pa.string(), 2), st.lists(st.none() | texts, min_size=2, max_size=2)),
    "struct": (
        pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]),
        st.fixed_dictionaries({"a": st.none() | integers, "b": st.none() | st.lists(st.none() | texts, max_size=2)}),
    ),
    "map": (pa.map_(pa.string(), pa.int32()), st.dictionaries(texts, st.none() | integers, max_size=2)),
    "null": (pa.null(), st.none()),
}


def one_stream(array: pa.Array) -> bytes:
    form = canonical.one_array(array)
    form.validate(full=True)
    assert form.equals(array)
    batch = pa.RecordBatch.from_arrays([form], ["x"])
    return b"".join(bytes(part) for part in streams.write(batch))


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
def test_equal_arrays_have_one_form(name: str, data: st.DataObject) -> None:
    kind, values = TYPES[name]
    items = data.draw(st.lists(st.none() | values, max_size=6))
    around = data.draw(st.lists(st.none() | values, max_size=3))
    array = pa.array(items, kind)
    expected = one_stream(array)
    sliced = pa.array([*around, *items, *around], kind).slice(len(around), len(items))
    assert one_stream(sliced) == expected
    cut = data.draw(st.integers(0, len(items)))
    joined = canonical.one_array(pa.chunked_array([array[:cut], array[cut:]], kind))
    assert one_stream(joined) == expected
    assert one_stream(canonical.canonical(array)) == expected


@pytest.mark.parametrize("name", [name for name in TYPES if name != "null"])
@given(data=st.data())
def test_what_lies_under_nulls_does_not_count(name: str, data: st.DataObject) -> None:
    kind, values = TYPES[name]
    items = data.draw(st.lists(values, min_size=1, max_size=6))
    hidden = data.draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    full = pa.array(items, kind)
    mask = pa.array([not hide for hide in hidden])
    buffers = full.buffers()
    bits = pa.array(mask).buffers()[1]
    if pa.types.is_nested(kind):
        children = [full.field(i) for i in range(kind.num_fields)] if pa.types.is_struct(kind) else [full.values]
        own = 2 if not (pa.types.is_struct(kind) or pa.types.is_fixed_size_list(kind)) else 1
        garbage = pa.Array.from_buffers(kind, len(items), [bits, *buffers[1:own]], children=children)
    else:
        garbage = pa.Array.from_buffers(kind, len(items), [bits, *buffers[1:]])
    clean = pa.array([None if hide else item for hide, item in zip(hidden, items, strict=True)], kind)
    assert garbage.equals(clean)
    assert one_stream(garbage) == one_stream(clean)


def test_a_table_comes_back_exactly(roundtrip: Through) -> None:
    schema = pa.schema(
        [
            pa.field("n", pa.int64(), nullable=False, metadata={"unit": "m"}),
            pa.field("text", pa.string()),
            pa.field("kind", pa.dictionary(pa.int8(), pa.string(), ordered=True)),
        ],
        metadata={"source": "here"},
    )
    kinds = pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), ["b", "a"], ordered=True)
    table = pa.table([[1, 2, 3], ["a", None, "b"], kinds], schema=schema)
    again = roundtrip(table)
    assert type(again) is pa.Table
    assert again.equals(table, check_metadata=True)
    (batch,) = table.to_batches()
    back = roundtrip(batch)
    assert type(back) is pa.RecordBatch
    assert back.equals(batch, check_metadata=True)


@pytest.mark.parametrize(
    "table", [pa.table({}), pa.table({"a": pa.array([], pa.string())})], ids=["nothing", "no-rows"]
)
def test_empty_tables_come_back(table: pa.Table, roundtrip: Through) -> None:
    assert roundtrip(table).equals(table)


def test_a_table_without_columns_keeps_the_number_of_its_rows(roundtrip: Through) -> None:
    table = pa.table({"a": [1, 2, 3]}, metadata={"source": "here"}).select([])
    again = roundtrip(table)
    assert again.num_rows == 3
    assert again.equals(table, check_metadata=True)
    assert roundtrip(pa.record_batch({"a": [1, 2, 3]}).select([])).num_rows == 3


def test_chunks_do_not_count(encoded: Bytes) -> None:
    table = pa.table({"a": [1, 2, 3, None], "b": ["x", None, "y", "z"]})
    assert encoded(pa.concat_tables([table[:1], table[1:]])) == encoded(table)
    assert encoded(pa.concat_tables([table, table])[4:]) == encoded(table)


def test_a_table_and_a_batch_have_codecs_of_their_own(encoded: Bytes) -> None:
    table = pa.table({"a": [1]})
    assert type(pa.ipc.open_stream(encoded(table)).read_all()) is pa.Table  # plain Arrow: any reader reads it


@pytest.mark.parametrize(
    "column",
    [
        pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])]),
        pc.run_end_encode(pa.array([1, 1])),
        pa.array(["a"], pa.string_view()),
        pa.array([b"x" * 16], pa.uuid()),
    ],
    ids=["union", "run-ends", "view", "extension"],
)
def test_what_has_no_one_form_is_declined(column: pa.Array, takes: Callable[[object], bool]) -> None:
    assert not takes(pa.table({"a": column}))
    assert not takes(pa.RecordBatch.from_arrays([column], ["a"]))


def test_chunks_with_dictionaries_of_their_own_are_declined(takes: Callable[[object], bool]) -> None:
    one, other = pa.array(["a"]).dictionary_encode(), pa.array(["b"]).dictionary_encode()
    assert takes(pa.table({"a": pa.chunked_array([one, one])}))
    assert not takes(pa.table({"a": pa.chunked_array([one, other])}))


def test_writing_copies_nothing_that_is_in_order() -> None:
    array = pa.array(range(1000))
    parts = streams.write(pa.RecordBatch.from_arrays([canonical.one_array(array)], ["x"]))
    body = max(parts, key=len)
    assert pa.py_buffer(body).address == array.buffers()[1].address
