"""How values become bytes: the codec protocol, and the registry that finds one for a value.

A codec takes a value only if decoding gives back exactly the same types; equal values should give equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from stepcache.errors import Unstorable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepcache.store.frame import Buffer


@frozen
class Encoded:
    """A value as bytes: its parts are hashed and written one after the other and never joined.

    They are gone through more than once and must give the same bytes each time. `classes` names, as
    "module:qualname", the classes and functions outside the standard library that the bytes refer to.
    """

    parts: Iterable[Buffer]
    classes: tuple[str, ...] = ()


class Codec(Protocol):
    """Turns values of some types into bytes and back.

    `types` are the exact types it is asked about, as "module.QualName", so that nothing is imported to find out;
    `safe` is true where decoding can run no code.
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


def type_name(kind: type) -> str:
    """The full name of a type, without `builtins.`."""
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def builtin_codecs() -> tuple[Codec, ...]:
    """stepcache's own codecs."""
    from stepcache.store.arrays import ArrayCodec
    from stepcache.store.pickles import PickleCodec
    from stepcache.store.plain import PlainCodec

    return PickleCodec(), PlainCodec(), ArrayCodec()


@frozen
class Codecs:
    """The codecs of a run. Those added later are asked first; pickle is asked last."""

    _by_name: dict[str, Codec] = field(factory=dict)
    _by_type: dict[str, list[Codec]] = field(factory=dict)

    @classmethod
    def builtin(cls) -> Codecs:
        """A registry with stepcache's own codecs."""
        codecs = cls()
        for codec in builtin_codecs():
            codecs.add(codec)
        return codecs

    def add(self, codec: Codec) -> None:
        """Register *codec*, in place of an earlier one of its name."""
        earlier = self._by_name.get(codec.name)
        for asked in self._by_type.values():
            if earlier in asked:
                asked.remove(earlier)
        self._by_name[codec.name] = codec
        for kind in codec.types:
            self._by_type.setdefault(kind, []).insert(0, codec)

    def by_name(self, name: str) -> Codec | None:
        """The codec of that name."""
        return self._by_name.get(name)

    def encode(self, value: object, name: str | None = None, formats: str = "any") -> tuple[Codec, Encoded]:
        """*value* as bytes, and the codec that took it: the one called *name*, or the first that takes it."""
        if name is not None:
            return self._encode_by(name, value, formats)
        kind = type(value)
        for codec in self._by_type.get(f"{kind.__module__}.{kind.__qualname__}", ()):
            if (formats == "safe" and not codec.safe) or not codec.takes(value):
                continue
            try:
                return codec, codec.encode(value)
            except Declined:
                continue
        if formats == "safe":
            from stepcache.store.plain import offender

            culprit, where = offender(value)
            raise Unstorable(type_name(type(culprit)), where, 'only pickle takes it, which formats = "safe" refuses')
        pickle = self._by_name["pickle"]
        return pickle, pickle.encode(value)

    def _encode_by(self, name: str, value: object, formats: str) -> tuple[Codec, Encoded]:
        codec = self._by_name.get(name)
        kind = type_name(type(value))
        if codec is None:
            from difflib import get_close_matches

            nearest = get_close_matches(name, self._by_name, n=1)
            hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise Unstorable(kind, "", f"there is no codec {name!r}{hint}")
        if formats == "safe" and not codec.safe:
            raise Unstorable(kind, "", f'codec {name!r} can run code when it decodes, which formats = "safe" refuses')
        if codec.takes(value):
            try:
                return codec, codec.encode(value)
            except Declined as error:
                raise Unstorable(kind, "", f"codec {name!r} does not take it: {error}") from error
        raise Unstorable(kind, "", f"codec {name!r} does not take it")
