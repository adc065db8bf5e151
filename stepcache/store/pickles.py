"""The codec for everything else: pickle protocol 5, its large buffers apart so that they can be mapped.

As far as it can be had, equal values give equal bytes: texts are written by value and not by identity, sets of plain
data in a fixed order, arrays in C order. The classes and functions that the bytes refer to are reported.
Decoding runs code, which is why nothing is decoded before its seal is checked.
"""

from __future__ import annotations

import gc
import io
import pickle
import re
import struct
import sys
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from stepcache.errors import Unstorable
from stepcache.store.codecs import Declined, Encoded, place_of, type_name
from stepcache.store.plain import PlainCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from stepcache.store.frame import Buffer

_ALIGNMENT = 64
_COUNTS = struct.Struct("<QQQ")
_PLAIN = PlainCodec()
_DEEPEST = 50
# What is longer is not loaded to see whether it comes back: that takes as long as to store it, and its memory again.
_MOST_TRIED = 1 << 20


class PickleCodec:
    """The codec called "pickle"."""

    name = "pickle"
    safe = False
    types = ()

    def takes(self, value: object) -> bool:
        return True

    def encode(self, value: object) -> Encoded:
        pickler = _dumped(value)
        parts: list[Iterable[Buffer]] = [pickler.chunks.parts]
        parts += [[buffer] for buffer in pickler.buffers]
        parts += pickler.arrays
        sizes = [sum(map(len, part)) for part in parts[: 1 + len(pickler.buffers)]] + pickler.array_sizes
        head = _COUNTS.pack(len(pickler.buffers), len(pickler.arrays), sizes[0])
        head += struct.pack(f"<{len(sizes) - 1}Q", *sizes[1:])
        end = len(head)
        for size in sizes:
            end += -end % _ALIGNMENT + size
        if end <= _MOST_TRIED and (pickler.classes or not _is_of_python(type(value).__module__)):
            _try_back(value, pickler)
        return Encoded(_Aligned(head, parts, sizes), tuple(sorted(pickler.classes)), end)

    def decode(self, data: memoryview) -> object:
        buffer_count, array_count, size = _COUNTS.unpack_from(data)
        rest = struct.unpack_from(f"<{buffer_count + array_count}Q", data, _COUNTS.size)
        position = _COUNTS.size + 8 * len(rest)
        sections = []
        for length in (size, *rest):
            position = -(-position // _ALIGNMENT) * _ALIGNMENT
            sections.append(data[position : position + length])
            position += length
        buffers, arrays = sections[1 : 1 + buffer_count], sections[1 + buffer_count :]
        return _loaded(sections[0], buffers, arrays)


class _Aligned:
    """The parts of a pickle, each on a multiple of 64."""

    def __init__(self, head: bytes, parts: Sequence[Iterable[Buffer]], sizes: Sequence[int]) -> None:
        self.head = head
        self.parts = parts
        self.sizes = sizes

    def __iter__(self) -> Iterator[Buffer]:
        yield self.head
        position = len(self.head)
        for part, size in zip(self.parts, self.sizes, strict=True):
            if gap := -position % _ALIGNMENT:
                yield bytes(gap)
            yield from part
            position += gap + size


class _Chunks:
    """The file that a pickler writes to: large bytes objects are kept, not copied."""

    def __init__(self) -> None:
        self.parts: list[Buffer] = []

    def write(self, data: Buffer) -> int:
        self.parts.append(data)
        return len(data)


class _Shared(Exception):
    """Two tensors lie in one memory, which is then to be written as it is."""


class _Pickler(pickle.Pickler):
    def __init__(self, *, memories: bool = False) -> None:
        self.chunks = _Chunks()
        self.buffers: list[memoryview] = []
        self.arrays: list[Iterable[Buffer]] = []
        self.array_sizes: list[int] = []
        self.classes: set[str] = set()
        self.texts: dict[str, str] = {}
        self.data: dict[bytes, bytes] = {}
        self.known: dict[int, tuple[object, object]] = {}
        self.memories: dict[int, int] | None = {} if memories else None
        self.places: set[int] = set()
        self.tensors: set[int] = set()
        self.padded: tuple[type, ...] = ()
        self.special: dict[type, Callable[[Any], object]] = {
            str: self.text,
            bytes: self.bytes_,
            set: self.plain_set,
            frozenset: self.plain_set,
        }
        if (numpy := sys.modules.get("numpy")) is not None and hasattr(numpy, "ndarray"):
            self.special[numpy.ndarray] = self.array
            self.padded = (numpy.bytes_, numpy.str_)
        if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "Tensor"):
            self.special[torch.Tensor] = self.tensor
        super().__init__(self.chunks, protocol=5, buffer_callback=self.buffer)

    def buffer(self, buffer: pickle.PickleBuffer) -> None:
        self.buffers.append(buffer.raw())

    def persistent_id(self, obj: Any) -> object:
        special = self.special.get(type(obj))
        return None if special is None else special(obj)

    def text(self, text: str) -> object:
        """None for the first of equal texts, which is then written; that first one for all after it."""
        if (first := self.texts.get(text)) is None:
            self.texts[text] = text
        return first

    def bytes_(self, data: bytes) -> object:
        if (first := self.data.get(data)) is None:
            self.data[data] = data
        return first

    def plain_set(self, items: set[Any] | frozenset[Any]) -> object:
        if (known := self.known.get(id(items))) is not None:
            return known[1]
        try:
            stored = b"".join(_PLAIN.encode(items).parts)
        except Declined:
            return None
        return self.remember(items, ("plain", stored))

    def array(self, array: Any) -> object:
        from stepcache.store.arrays import content, describable, describe

        if (known := self.known.get(id(array))) is not None:
            return known[1]
        if not describable(array.dtype):
            return None
        self.arrays.append(content(array))
        self.array_sizes.append(array.nbytes)
        return self.remember(array, ("array", len(self.arrays) - 1, describe(array.dtype), array.shape))

    def tensor(self, tensor: Any) -> object:
        from stepcache.store import tensors

        if (known := self.known.get(id(tensor))) is not None:
            return known[1]
        if not tensors.describable(tensor):
            return None
        short, shape = tensors.short_name(tensor), tuple(tensor.shape)
        place = tensor.untyped_storage().data_ptr() if tensor.numel() else 0
        if self.memories is None or not place:
            if place and place in self.places:
                raise _Shared
            self.places.add(place)
            number = self.section(tensors.content(tensor))
            return self.remember(tensor, ("tensor", number, short, shape))
        if place not in self.memories:
            self.memories[place] = self.section(tensors.memory(tensor))
        where = (tensor.storage_offset(), tuple(tensor.stride()))
        return self.remember(tensor, ("view", self.memories[place], short, shape, *where))

    def section(self, data: memoryview) -> int:
        self.arrays.append((data,))
        self.array_sizes.append(len(data))
        self.tensors.add(len(self.arrays) - 1)
        return len(self.arrays) - 1

    def remember(self, obj: object, stand_in: object) -> object:
        # The object is kept so that no other takes its id.
        self.known[id(obj)] = (obj, stand_in)
        return stand_in

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) in self.padded and obj[-1:] in ("\0", b"\0"):  # which numpy's own way takes for padding
            return type(obj), (obj[:],)
        if isinstance(obj, type | FunctionType | BuiltinFunctionType):
            module = obj.__module__
            if isinstance(module, str) and not _is_of_python(module):
                self.classes.add(f"{module}:{obj.__qualname__}")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: Buffer, buffers: Sequence[memoryview], arrays: Sequence[memoryview]) -> None:
        super().__init__(io.BytesIO(data), buffers=buffers)
        self.arrays = arrays
        self.known: dict[int, tuple[object, object]] = {}

    def persistent_load(self, pid: Any) -> object:
        if type(pid) is not tuple:
            return pid
        if (known := self.known.get(id(pid))) is not None:
            return known[1]
        made: object
        if pid[0] == "plain":
            made = _PLAIN.decode(memoryview(pid[1]))
        elif pid[0] in ("tensor", "view"):
            from stepcache.store import tensors

            _, number, short, shape, *where = pid
            if where:
                made = tensors.view(short, shape, self.arrays[number], *where)
            else:
                made = tensors.rebuild(short, shape, self.arrays[number])
        else:
            from stepcache.store.arrays import rebuild

            _, number, description, shape = pid
            made = rebuild(description, shape, self.arrays[number])
        self.known[id(pid)] = (pid, made)
        return made


def _loaded(data: Buffer, buffers: Sequence[memoryview], arrays: Sequence[memoryview]) -> Any:
    unpickler = _Unpickler(data, buffers, arrays)
    # Collecting garbage while many objects are made takes two thirds of the time and finds none.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return unpickler.load()
    finally:
        if collecting:
            gc.enable()


def _is_of_python(module: str) -> bool:
    """Whether a module is of the standard library."""
    return module.partition(".")[0] in sys.stdlib_module_names


def _dumped(value: object) -> _Pickler:
    pickler = _Pickler()
    try:
        try:
            pickler.dump(value)
        except _Shared:
            pickler = _Pickler(memories=True)
            pickler.dump(value)
    except RecursionError:
        raise Unstorable(type_name(type(value)), "", "it is nested too deeply to be pickled") from None
    except (Exception, SystemExit) as error:
        culprit, where = _offender(value, "", set())
        raise Unstorable(type_name(type(culprit)), where, _reason(error)) from error
    return pickler


def _try_back(value: object, pickler: _Pickler) -> None:
    """Load what was dumped: classes may give what they do not come back from. Raises Unstorable.

    Arrays are looked at where they lie, and copied only where a class wants to write to its own.
    """
    data, buffers = b"".join(pickler.chunks.parts), pickler.buffers
    arrays = [_joined(part) for part in pickler.arrays]
    # torch warns of memory that is not to be written to.
    views = [_copy(array) if number in pickler.tensors else array.toreadonly() for number, array in enumerate(arrays)]
    try:
        try:
            again = _loaded(data, [buffer.toreadonly() for buffer in buffers], views)
        except (ValueError, TypeError, BufferError):
            again = _loaded(data, [_copy(buffer) for buffer in buffers], [_copy(array) for array in arrays])
    except (Exception, SystemExit) as error:
        raise Unstorable(
            type_name(type(value)), "", f"it does not come back from a pickle: {_reason(error)}"
        ) from error
    if type(again) is not type(value):
        raise Unstorable(type_name(type(value)), "", f"it comes back from a pickle as a {type_name(type(again))}")


def _joined(parts: Iterable[Buffer]) -> memoryview:
    """The bytes of *parts*, those of a single one where they lie."""
    every = [memoryview(part) for part in parts]
    return every[0] if len(every) == 1 else memoryview(b"".join(every))


def _copy(data: memoryview) -> memoryview:
    return memoryview(bytearray(data))


def _reason(error: BaseException) -> str:
    """What pickle says, in one line and without addresses."""
    text = re.sub(r" at 0x[0-9a-f]+", "", str(error)).partition("\n")[0]
    return text or type(error).__name__


def _offender(value: object, where: str, path: set[int]) -> tuple[object, str]:
    """The innermost thing in *value* that cannot be pickled by itself, and its place."""
    if len(path) < _DEEPEST:
        for place, item in _places(value):
            if id(item) not in path and not _picklable(item):
                return _offender(item, where + place, path | {id(value)})
    return value, where


def _places(value: object) -> Iterator[tuple[str, object]]:
    """What *value* holds, as far as its class lets itself be looked into."""
    with suppress(Exception, SystemExit):
        yield from _held(value)


def _held(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield place_of(key), item
            yield "", key
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield f"[{number}]", item
    elif isinstance(value, set | frozenset):
        for item in value:
            yield "", item
    if not isinstance(value, type | FunctionType | ModuleType):
        for name, item in getattr(value, "__dict__", {}).items():
            yield f".{name}", item


def _picklable(value: object) -> bool:
    # Whatever a class raises when it is pickled: it cannot be.
    with suppress(Exception, SystemExit):
        _Pickler().dump(value)
        return True
    return False
