"""The codecs of a run, and which of them takes a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field

from stepcache.errors import Unstorable, UsageError
from stepcache.records import frozen
from stepcache.store.arrays import ArrayCodec
from stepcache.store.codecs import Declined, Encoded, type_name
from stepcache.store.pickles import PickleCodec
from stepcache.store.plain import PlainCodec, offender
from stepcache.store.tensors import TensorCodec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepcache.store.codecs import Codec

_WANTED = ("name", "safe", "types", "takes", "encode", "decode")


def builtin_codecs() -> tuple[Codec, ...]:
    """stepcache's own codecs."""
    return PickleCodec(), PlainCodec(), ArrayCodec(), TensorCodec()


@frozen
class Codecs:
    """The codecs of a run. Those added later are asked first; pickle is asked last."""

    _by_name: dict[str, Codec] = field(factory=dict)
    _by_type: dict[str, list[Codec]] = field(factory=dict)
    _builtin: dict[type, list[Codec]] = field(factory=dict)
    """Those that are asked about a built-in type: the lists of `_by_type`, found without making its name."""

    @classmethod
    def builtin(cls) -> Codecs:
        """A registry with stepcache's own codecs."""
        codecs = cls()
        for codec in builtin_codecs():
            codecs.add(codec)
        return codecs

    def add(self, codec: Codec) -> None:
        """Register *codec*, in place of an earlier one of its name. Raises UsageError where it is none."""
        missing = [each for each in _WANTED if not hasattr(codec, each)]
        if missing:
            raise UsageError(f"the codec {type_name(type(codec))} has no {missing[0]!r}")
        if isinstance(codec.types, str):
            raise UsageError(f"`types` of the codec {type_name(type(codec))} is a tuple of names, not {codec.types!r}")
        earlier = self._by_name.get(codec.name)
        for asked in self._by_type.values():
            if earlier in asked:
                asked.remove(earlier)
        self._by_name[codec.name] = codec
        for kind in codec.types:
            self._by_type.setdefault(kind, []).insert(0, codec)

    @property
    def names(self) -> tuple[str, ...]:
        """Those of all codecs."""
        return tuple(self._by_name)

    def by_name(self, name: str) -> Codec | None:
        """The codec of that name."""
        return self._by_name.get(name)

    def by_suffix(self, suffix: str, value: object, formats: str = "any") -> Codec | None:
        """The codec whose bytes are a file of that *suffix* (with its dot) and that takes *value*."""
        for codec in reversed(self._by_name.values()):
            if suffix in getattr(codec, "suffixes", ()) and (codec.safe or formats != "safe") and codec.takes(value):
                return codec
        return None

    def encode(self, value: object, name: str | None = None, formats: str = "any") -> tuple[Codec, Encoded]:
        """*value* as bytes, and the codec that took it: the one called *name*, or the first that takes it."""
        if name is not None:
            return self._encode_by(name, value, formats)
        for codec in self._asked(type(value)):
            if formats == "safe" and not codec.safe:
                continue
            try:
                return codec, _encoded(codec, value)
            except Declined:
                continue
        if formats == "safe":
            culprit, where = offender(value)
            raise Unstorable(type_name(type(culprit)), where, 'only pickle takes it, which formats = "safe" refuses')
        pickle = self._by_name["pickle"]
        return pickle, pickle.encode(value)

    def _asked(self, kind: type) -> Sequence[Codec]:
        """The codecs that may take values of a type."""
        found = self._builtin.get(kind)
        if found is not None:
            return found
        name = f"{kind.__module__}.{kind.__qualname__}"
        if kind.__module__ != "builtins":
            return self._by_type.get(name, ())
        return self._builtin.setdefault(kind, self._by_type.setdefault(name, []))

    def _encode_by(self, name: str, value: object, formats: str) -> tuple[Codec, Encoded]:
        codec = self._by_name.get(name)
        kind = type_name(type(value))
        if codec is None:
            raise Unstorable(kind, "", f"there is no codec {name!r}")
        if formats == "safe" and not codec.safe:
            raise Unstorable(kind, "", f'codec {name!r} can run code when it decodes, which formats = "safe" refuses')
        try:
            return codec, _encoded(codec, value)
        except Declined as error:
            why = f": {error}" if str(error) else ""
            raise Unstorable(kind, "", f"codec {name!r} does not take it{why}") from error


def _encoded(codec: Codec, value: object) -> Encoded:
    """What *codec* makes of *value*. Raises Declined, and Unstorable where it fails: plugins have theirs."""
    try:
        if not codec.takes(value):
            raise Declined
        encoded: object = codec.encode(value)
    except (Declined, Unstorable):
        raise
    except Exception as error:
        told = f"codec {codec.name!r} fails: {type(error).__name__}: {error}"
        raise Unstorable(type_name(type(value)), "", told) from error
    if not isinstance(encoded, Encoded):
        told = f"codec {codec.name!r} gives {type_name(type(encoded))} where an Encoded is wanted"
        raise Unstorable(type_name(type(value)), "", told)
    return encoded
