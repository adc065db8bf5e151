"""For any value: exactly it comes back, and its digest is that of every equal value."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stepcache.store import Codecs
from stepcache.store.content import measured

CODECS = Codecs.builtin()

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.uuids()
)
hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=4,
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=12)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=9)
        | st.sets(hashable, max_size=5)
        | st.lists(st.fixed_dictionaries({"a": inner, "b": inner}), min_size=8, max_size=12)
    ),
    max_leaves=30,
)


class Holder:
    """Something that only pickle takes."""

    def __init__(self, value: object) -> None:
        self.value = value


def shape(value: Any) -> Any:
    """What must be equal for two values to be the same: types, order, the sign of zero, time zones."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [shape(item) for item in value]
    if kind is dict:
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    if kind in (set, frozenset):
        return kind, sorted(repr(shape(item)) for item in value)
    if kind is float:
        return kind, "nan" if math.isnan(value) else value.hex()
    if kind is complex:
        return kind, shape(value.real), shape(value.imag)
    if kind is Holder:
        return kind, shape(value.value)
    return kind, repr(value)


def stored(value: object) -> tuple[str, bytes, str]:
    codec, encoded = CODECS.encode(value)
    return codec.name, b"".join(encoded.parts), measured(codec.name, encoded).digest


@settings(max_examples=150, deadline=None)
@given(values)
def test_plain_values_come_back(value: object) -> None:
    name, data, digest = stored(value)
    assert name == "plain"
    again = CODECS.by_name(name).decode(memoryview(bytearray(data)))  # type: ignore[union-attr]
    assert shape(again) == shape(value)
    assert stored(again)[2] == digest
    assert stored(copy.deepcopy(value))[2] == digest


@settings(max_examples=80, deadline=None)
@given(values, values)
def test_other_values_have_other_digests(one: object, two: object) -> None:
    assert (stored(one)[2] == stored(two)[2]) == (shape(one) == shape(two))


@settings(max_examples=80, deadline=None)
@given(values)
def test_pickled_values_come_back(value: object) -> None:
    name, data, digest = stored(Holder(value))
    assert name == "pickle"
    again = CODECS.by_name(name).decode(memoryview(bytearray(data)))  # type: ignore[union-attr]
    assert shape(again) == shape(Holder(value))
    # Digits of dates and the like are kept in bytes objects that are shared or not: those of a copy are not compared.
    assert stored(Holder(value))[2] == digest


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_arrays_come_back_however_they_lie(data: st.DataObject) -> None:
    dtype = data.draw(npst.scalar_dtypes() | npst.array_dtypes(max_size=3))
    array = data.draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
    view = array.T
    if array.ndim and data.draw(st.booleans()):
        view = view[::-1]
    name, encoded, digest = stored(view)
    again: Any = CODECS.by_name(name).decode(memoryview(bytearray(encoded)))  # type: ignore[union-attr]
    assert type(again) is np.ndarray
    assert (again.dtype, again.shape) == (view.dtype, view.shape)
    assert again.flags.writeable
    assert again.tobytes() == view.tobytes()
    assert digest == stored(view.copy(order="F"))[2] == stored(again)[2]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(["plain", "numpy"]), st.binary(max_size=200))
def test_safe_codecs_give_an_error_for_nonsense(name: str, data: bytes) -> None:
    codec = CODECS.by_name(name)
    assert codec is not None
    try:
        codec.decode(memoryview(bytearray(data)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - any other is turned into "damaged" by the store
        return
