"""The codec for plain data: None, numbers, text, bytes, dates, paths, and lists, tuples, dicts and sets of them.

Equal values give equal bytes whatever was shared inside them, in every process: each item is written with its exact
type (1, 1.0, True and -0.0 differ), sets in the order of their bytes, dicts in their own order, which is behaviour.
Sequences of one type are written as columns: several times faster and smaller than item by item.
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import TYPE_CHECKING, Any

from stepcache.store.codecs import Declined, Encoded, place_of, type_name
from stepcache.store.standard import EXTENDED, MAKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepcache.store.frame import Buffer

# Deeper values are left to pickle, and so are cyclic ones.
_DEEPEST = 150
# A value that is written this many times larger than its objects are is one whose parts are shared.
_MOST_SHARED = 4
_FREE = 10_000
# Slices of bytes are made in half the time that views take.
_COPIED = 4096
_LARGE = 1 << 16
_WORTH_A_COLUMN = 8

# Smaller lengths are one byte; that byte says that eight follow.
_LONG = 255

_EACH = ord("G")
_DOUBLE = struct.Struct("<d")
_LENGTH = struct.Struct("<Q")
_WIDTHS = (("b", 7), ("h", 15), ("i", 31), ("q", 63))


class PlainCodec:
    """The codec called "plain"."""

    name = "plain"
    safe = True

    @property
    def types(self) -> Sequence[str]:
        return (*_BUILTIN, *EXTENDED)

    def takes(self, value: object) -> bool:
        """Whether *value* is of one of the types; what it holds, `encode` sees."""
        return type(value) in _ATOMS or type(value) in _WRITERS or _full_name(type(value)) in EXTENDED

    def encode(self, value: object) -> Encoded:
        if type(value) is str and len(data := _utf8(value)) < _LONG:  # what many elements of mapped steps are
            return Encoded((b"s%c%b" % (len(data), data),))
        writer = _Writer()
        writer.item(value, 0)
        return Encoded(writer.finish())

    def decode(self, data: memoryview) -> object:
        reader = _Reader(bytes(data) if len(data) <= _COPIED else data)
        value = reader.item()
        if reader.position != len(data):
            raise ValueError("bytes left over")
        return value


def offender(value: object, where: str = "", depth: int = 0) -> tuple[object, str]:
    """The innermost first thing in *value* that is not plain data, and its place."""
    if depth < _DEEPEST:
        for place, item in _places(value):
            if not _is_plain(item, depth + 1):
                return offender(item, where + place, depth + 1)
    return value, where


def _places(value: object) -> Sequence[tuple[str, object]]:
    kind = type(value)
    if kind in (list, tuple):
        return [(f"[{number}]", item) for number, item in enumerate(value)]  # type: ignore[arg-type, var-annotated]
    if kind is dict:
        return [(place_of(key), item) for key, item in value.items()] + [("", key) for key in value]  # type: ignore[attr-defined]
    return ()


def _is_plain(value: object, depth: int) -> bool:
    try:
        _Writer().item(value, depth)
    except Declined:
        return False
    return True


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class _Writer:
    """Writes items into parts; a large buffer becomes a part of its own and is not copied."""

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self.buffer = bytearray()
        self.visits = 0
        self.containers: set[int] = set()

    def finish(self) -> tuple[Buffer, ...]:
        if self.buffer:
            self.parts.append(self.buffer)
        return tuple(self.parts)

    def add(self, data: Buffer) -> None:
        if len(data) < _LARGE:
            self.buffer += data
            return
        if self.buffer:
            self.parts.append(self.buffer)
            self.buffer = bytearray()
        self.parts.append(data)

    def length(self, number: int) -> None:
        self.buffer += bytes((number,)) if number < _LONG else b"\xff" + _LENGTH.pack(number)

    def sized(self, data: Buffer) -> None:
        self.length(len(data))
        self.add(data)

    def item(self, value: object, depth: int) -> None:
        kind = type(value)
        if (write := _ATOMS.get(kind)) is not None:
            write(self, value)
            return
        if depth > _DEEPEST:
            raise Declined("it is nested too deeply")
        if (container := _WRITERS.get(kind)) is not None:
            self.visit(value)
            container(self, value, depth + 1)
            return
        name = _full_name(kind)
        if name not in EXTENDED:
            raise Declined(f"it holds a {type_name(kind)}")
        tag, take, _ = EXTENDED[name]
        self.buffer += b"x"
        self.sized(tag.encode())
        self.item(take(value), depth + 1)

    def visit(self, value: object) -> None:
        self.visits += 1
        self.containers.add(id(value))
        if self.visits > _FREE and self.visits > _MOST_SHARED * len(self.containers):
            raise Declined("many of its parts are one shared object")

    def column(self, items: Sequence[Any], depth: int) -> None:
        """A sequence's items: as one array where they are of one type, else one by one."""
        self.length(len(items))
        kinds = set(map(type, items)) if len(items) >= _WORTH_A_COLUMN else ()
        kind = next(iter(kinds)) if len(kinds) == 1 else None
        if kind is float:
            self.buffer += b"D"
            self.add(_little(array("d", items)))
        elif kind is int and (code := _width(items)):
            self.buffer += code.encode()
            self.add(_little(array(code, items)))
        elif kind is str:
            self.buffer += b"U"
            self.column(list(map(len, items)), depth)
            self.sized(_utf8("".join(items)))
        elif kind is bool:
            self.buffer += b"T"
            self.add(bytes(items))
        elif kind is dict and (keys := _same_keys(items)):
            self.buffer += b"R"
            self.column(keys, depth + 1)
            for record in items:
                self.visit(record)
            for values in zip(*map(dict.values, items), strict=True):
                self.column(values, depth + 1)
        else:
            self.buffer += b"G"
            for item in items:
                self.item(item, depth)


def _little(numbers: array[Any]) -> Buffer:
    if sys.byteorder == "big":
        numbers.byteswap()
    return memoryview(numbers).cast("B") if len(numbers) else b""


def _width(numbers: Sequence[int]) -> str | None:
    """The array code of the narrowest type that holds them all."""
    least, most = min(numbers), max(numbers)
    bits = max((least if least >= 0 else ~least).bit_length(), most.bit_length())
    for code, room in _WIDTHS:
        if bits <= room:
            return code
    return None


def _same_keys(records: Sequence[dict[Any, Any]]) -> list[str] | None:
    """The keys of all records, where they are text and the same in the same order."""
    keys = list(records[0])
    if not keys or set(map(type, keys)) != {str} or len(records) < 2:
        return None
    for record in records:
        if list(record) != keys:
            return None
    # An equal key may be of another type: a subclass of str.
    for record in records:
        if set(map(type, record)) != {str}:
            return None
    return keys


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _write_int(writer: _Writer, value: int) -> None:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if len(data) < _LONG:
        writer.buffer += b"i%c%b" % (len(data), data)
    else:
        writer.buffer += b"i"
        writer.sized(data)


def _write_float(writer: _Writer, value: float) -> None:
    writer.buffer += b"f" + _DOUBLE.pack(value)


def _write_complex(writer: _Writer, value: complex) -> None:
    writer.buffer += b"c" + _DOUBLE.pack(value.real) + _DOUBLE.pack(value.imag)


def _write_str(writer: _Writer, value: str) -> None:
    data = _utf8(value)
    if len(data) < _LONG:
        writer.buffer += b"s%c%b" % (len(data), data)
    else:
        writer.buffer += b"s"
        writer.sized(data)


def _write_bytes(writer: _Writer, value: bytes) -> None:
    writer.buffer += b"b"
    writer.sized(value)


def _write_bytearray(writer: _Writer, value: bytearray) -> None:
    writer.buffer += b"y"
    writer.sized(bytes(value))


def _write_list(writer: _Writer, value: list[Any], depth: int) -> None:
    writer.buffer += b"l"
    writer.column(value, depth)


def _write_tuple(writer: _Writer, value: tuple[Any, ...], depth: int) -> None:
    writer.buffer += b"t"
    writer.column(value, depth)


def _write_dict(writer: _Writer, value: dict[Any, Any], depth: int) -> None:
    writer.buffer += b"d"
    writer.column(list(value), depth)
    writer.column(list(value.values()), depth)


def _write_set(writer: _Writer, value: set[Any] | frozenset[Any], depth: int) -> None:
    """Each item on its own, in the order of their bytes."""
    writer.buffer += b"S" if type(value) is set else b"Z"
    items = []
    for item in value:
        alone = _Writer()
        alone.item(item, depth)
        items.append(b"".join(alone.finish()))
    items.sort()
    writer.length(len(items))
    for data in items:
        writer.add(data)


_ATOMS: dict[type, Callable[[_Writer, Any], None]] = {
    type(None): lambda writer, _: writer.add(b"N"),
    bool: lambda writer, value: writer.add(b"T" if value else b"F"),
    int: _write_int,
    float: _write_float,
    complex: _write_complex,
    str: _write_str,
    bytes: _write_bytes,
    bytearray: _write_bytearray,
}
_WRITERS: dict[type, Callable[[_Writer, Any, int], None]] = {
    list: _write_list,
    tuple: _write_tuple,
    dict: _write_dict,
    set: _write_set,
    frozenset: _write_set,
}
_BUILTIN = tuple(_full_name(kind) for kind in (*_ATOMS, *_WRITERS))


class _Reader:
    """Reads what `_Writer` wrote."""

    __slots__ = ("data", "position", "size")

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.size = len(data)
        self.position = 0

    def take(self, size: int) -> bytes | memoryview:
        start = self.position
        self.position = end = start + size
        if end > self.size:
            raise ValueError("cut short")
        return self.data[start:end]

    def length(self) -> int:
        position = self.position
        self.position = position + 1
        number = self.data[position]
        return number if number != _LONG else int.from_bytes(self.take(8), "little")

    def sized(self) -> bytes | memoryview:
        """`take(length())`."""
        position = self.position
        size = self.data[position]
        if size == _LONG:
            return self.take(self.length())
        self.position = end = position + 1 + size
        if end > self.size:
            raise ValueError("cut short")
        return self.data[position + 1 : end]

    def item(self) -> Any:
        position = self.position
        self.position = position + 1
        return _READERS[self.data[position]](self)

    def column(self) -> list[Any]:
        count, data = self.length(), self.data
        position = self.position
        self.position = position + 1
        if data[position] == _EACH:
            items = []
            for _ in range(count):
                position = self.position
                self.position = position + 1
                items.append(_READERS[data[position]](self))
            return items
        kind = chr(data[position])
        if kind == "U":
            return self.texts()
        if kind == "R":
            keys = self.column()
            columns = [self.column() for _ in keys]
            return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]
        if kind == "T":
            return list(map(bool, self.take(count)))
        numbers = array("d" if kind == "D" else kind)
        numbers.frombytes(self.take(count * numbers.itemsize))
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()

    def texts(self) -> list[str]:
        lengths = self.column()
        text = self.text()
        texts, start = [], 0
        for length in lengths:
            texts.append(text[start : start + length])
            start += length
        return texts

    def text(self) -> str:
        data, position = self.data, self.position
        size = data[position]
        if size == _LONG:
            return str(self.sized(), "utf-8", "surrogatepass")
        self.position = end = position + 1 + size
        if end > self.size:
            raise ValueError("cut short")
        return str(data[position + 1 : end], "utf-8", "surrogatepass")

    def integer(self) -> int:
        return int.from_bytes(self.sized(), "little", signed=True)

    def double(self) -> float:
        position = self.position
        self.position = position + 8
        number: float = _DOUBLE.unpack_from(self.data, position)[0]
        return number

    def extended(self) -> Any:
        tag = self.text()
        return MAKERS[tag](self.item())


_READERS: dict[int, Callable[[_Reader], Any]] = {
    ord("N"): lambda _: None,
    ord("T"): lambda _: True,
    ord("F"): lambda _: False,
    ord("i"): _Reader.integer,
    ord("f"): _Reader.double,
    ord("c"): lambda reader: complex(reader.double(), reader.double()),
    ord("s"): _Reader.text,
    ord("b"): lambda reader: bytes(reader.sized()),
    ord("y"): lambda reader: bytearray(reader.sized()),
    ord("l"): _Reader.column,
    ord("t"): lambda reader: tuple(reader.column()),
    ord("d"): lambda reader: dict(zip(reader.column(), reader.column(), strict=True)),
    ord("S"): lambda reader: {reader.item() for _ in range(reader.length())},
    ord("Z"): lambda reader: frozenset(reader.item() for _ in range(reader.length())),
    ord("x"): _Reader.extended,
}
