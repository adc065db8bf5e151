"""How values become bytes: the codec protocol.

A codec takes a value only if decoding gives back exactly the same types; equal values should give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stepcache.records import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepcache.store.frame import Buffer


@frozen
class Encoded:
    """A value as bytes: its parts are hashed and written one after the other and never joined.

    They are gone through more than once and must give the same bytes each time. `classes` names, as
    "module:qualname", the classes and functions outside the standard library that the bytes refer to. `size` is that
    of all parts; parts that are made while they are gone through are made once less where it is given.
    """

    parts: Iterable[Buffer]
    classes: tuple[str, ...] = ()
    size: int | None = None


class Codec(Protocol):
    """Turns values of some types into bytes and back.

    `types` are the exact types it is asked about, as "module.QualName", so that nothing is imported to find out;
    `safe` is true where decoding can run no code. A codec whose bytes are a file that other programs read has
    `suffixes` as well, such as (".geojson",): `save_to=` then writes such files with it.
    """

    @property
    def name(self) -> str: ...

    @property
    def safe(self) -> bool: ...

    @property
    def types(self) -> Sequence[str]: ...

    def takes(self, value: object) -> bool:
        """Whether exactly this value would come back."""
        ...

    def encode(self, value: object) -> Encoded:
        """The bytes of *value*. Raises `Declined` where a closer look shows that it would not come back."""
        ...

    def decode(self, data: memoryview) -> object:
        """A fresh object. *data* is writable and belongs to it."""
        ...


class Declined(Exception):
    """A codec finds, while it encodes a value, that exactly this value would not come back."""


def place_of(key: object) -> str:
    """What stands for *key* in the place of what lies under it: its text, if it has one."""
    try:
        return f"[{key!r}]"
    except Exception:  # noqa: BLE001 - any class may be a key, and Python has no text of a very long int
        return f"[a {type_name(type(key))}]"


def type_name(kind: type) -> str:
    """The full name of a type, without `builtins.`."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
