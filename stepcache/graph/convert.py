"""Text and TOML values as the types that annotations and defaults ask for."""

from __future__ import annotations

import enum
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Number
from pathlib import PurePath
from typing import Any

from stepcache.errors import UsageError
from stepcache.model import ABSENT, Parameter
from stepcache.signature import innermost, seconds_of

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


def type_of(parameter: Parameter, function: Callable[..., Any]) -> Any:
    """What a value given for the parameter should be: its annotation, its default's type, or None."""
    annotation = _evaluated(parameter.type, getattr(innermost(function), "__globals__", {}))
    if annotation is not None and annotation is not Any and annotation is not object:
        return annotation
    default = parameter.default
    return None if default is ABSENT or default is None else type(default)


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    """An annotation that may be text, as what it means; None where that cannot be told."""
    while isinstance(annotation, str):
        try:
            annotation = eval(annotation, dict(names))  # the user's own annotation, in the user's own module
        except Exception:  # noqa: BLE001 - one that is only there for type checkers may fail in any way
            return None
    return annotation


def _meant(wanted: Any) -> Any:
    """The type behind `Annotated`, `NewType` and `type X = …`."""
    while True:
        if typing.get_origin(wanted) is typing.Annotated:
            wanted = typing.get_args(wanted)[0]
        elif hasattr(wanted, "__supertype__"):
            wanted = wanted.__supertype__
        elif type(wanted).__name__ == "TypeAliasType":
            wanted = wanted.__value__
        else:
            return wanted


def kinds_of(wanted: Any) -> tuple[Any, ...]:
    """The types that a value may have: those of a union, else the one."""
    wanted = _meant(wanted)
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return tuple(kind for each in typing.get_args(wanted) for kind in kinds_of(each))
    return (wanted,)


def from_text(text: str, wanted: Any) -> Any:
    """*text* as *wanted*; where nothing is wanted, as TOML if it parses, else as text. Raises `ValueError`."""
    wanted = _meant(wanted)
    if wanted is None:
        try:
            return tomllib.loads(f"v = {text}\n")["v"] if "\n" not in text else text
        except tomllib.TOMLDecodeError:
            return text
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(text, arguments)
    if origin is typing.Literal:
        return _literal(text, arguments)
    kind = origin or wanted
    if kind in (list, tuple, set, frozenset, dict) or kind in _ABSTRACT or _has_fields(kind):
        return from_configuration(_toml(text), wanted)
    return _scalar(text, kind)


_ABSTRACT = {Sequence, Mapping}
_TEXT_FORM = (bool, type(None), Number, str, bytes, enum.Enum, PurePath, date, time, timedelta)
_TOML_TYPES = {bool, int, float, str, dict, datetime, date, time}


def _scalar(text: str, kind: Any) -> Any:
    if kind is str:
        return text
    if not has_text_form(kind):
        return from_text(text, None)
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValueError("true or false is wanted")
    if kind is type(None):
        if text.lower() in ("none", "null", ""):
            return None
        raise ValueError("none is wanted")
    if kind is bytes:
        return text.encode()
    return _from_simple(text, kind)


def has_text_form(kind: Any) -> bool:
    """Is it a type whose values text can stand for?"""
    return isinstance(kind, type) and issubclass(kind, _TEXT_FORM)


def _number(text: str, kind: Any) -> Any:
    try:
        return int(text.replace("_", ""), 0) if kind is int and text.lower()[:2] in ("0x", "0o", "0b") else kind(text)
    except (ValueError, ArithmeticError):
        raise ValueError(f"{_article(kind)} is wanted") from None


def _article(kind: Any) -> str:
    name = getattr(kind, "__name__", str(kind))
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _from_simple(value: Any, kind: type) -> Any:
    """Text or a number as an enum, a path, a date or a duration."""
    if issubclass(kind, enum.Enum):
        return _member(value, kind)
    if issubclass(kind, PurePath):
        return kind(value)
    if issubclass(kind, timedelta):
        try:
            return kind(seconds=seconds_of(value, ""))
        except UsageError:
            raise ValueError('a duration such as "90s", "12h" or "7d" is wanted') from None
    if issubclass(kind, (date, time)):
        try:
            return kind.fromisoformat(value.isoformat() if isinstance(value, (date, time)) else value)
        except (ValueError, TypeError):
            raise ValueError(f"{_article(kind)} in ISO form is wanted") from None
    if kind is Decimal or (isinstance(value, str) and issubclass(kind, Number)):
        return _number(str(value), kind)
    return kind(value) if isinstance(value, str) and issubclass(kind, str) else value


def _member(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    for member in kind:
        if str(member.value) == str(value):
            return member
    raise ValueError(f"one of {', '.join(kind.__members__)} is wanted")


def _literal(text: str, choices: tuple[Any, ...]) -> Any:
    for each in choices:
        if str(each) == text:
            return each
    raise ValueError(f"one of {', '.join(map(str, choices))} is wanted")


def _first_that_fits(text: str, choices: tuple[Any, ...]) -> Any:
    reasons = []
    for each in sorted(choices, key=lambda c: (c is not type(None), c is str)):
        try:
            return from_text(text, each)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError(" or ".join(dict.fromkeys(reasons)))


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}\n")["v"]
    except tomllib.TOMLDecodeError:
        raise ValueError("a value in TOML syntax is wanted, such as [1, 2] or {a = 1}") from None


def from_configuration(value: Any, wanted: Any) -> Any:
    """A TOML value, converted only where *wanted* is a type that TOML lacks. Raises `ValueError`."""
    wanted = _meant(wanted)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        fitting = [a for a in arguments if isinstance(a, type) and type(value) is a]
        others = [a for a in arguments if a is not type(None)]
        return value if fitting or len(others) != 1 else from_configuration(value, others[0])
    kind = origin or wanted
    if not isinstance(kind, type) or (_is(value, kind) and not arguments):
        return value
    if kind in (list, tuple, set, frozenset) or kind is Sequence:
        return _series(value, kind, arguments)
    if kind in (dict, Mapping) and isinstance(value, dict):
        inner = arguments[1] if len(arguments) == 2 else None
        return {k: _inside(f"its {k!r}", v, inner) for k, v in value.items()}
    if isinstance(value, dict) and _has_fields(kind):
        return _record(value, kind)
    if kind in _TOML_TYPES:
        if kind is float and type(value) is int:
            return value
        raise ValueError(f"{_article(kind)} is wanted")
    if kind is complex and isinstance(value, str):
        return _number(value, complex)
    return _from_simple(value, kind)


def _is(value: Any, kind: type) -> bool:
    """Is the value of that type, as TOML tells them apart? There true is no integer, and a moment no date."""
    told_apart = kind in _TOML_TYPES and type(value) in _TOML_TYPES
    return type(value) is kind if told_apart else isinstance(value, kind)


def from_parsed(value: Any, wanted: Any) -> Any:
    """A value that stood in a list given as text, as *wanted*. Raises `ValueError`."""
    kind = _meant(wanted)
    plain = typing.get_origin(kind) is None and not has_text_form(kind)
    if plain or isinstance(value, (list, dict)):
        return from_configuration(value, wanted)
    return value if type(value) is _meant(wanted) else from_text(str(value), wanted)


def is_toml_type(wanted: Any) -> bool:
    """Has TOML values of that type?"""
    return wanted in _TOML_TYPES or wanted is list


def _series(value: Any, kind: Any, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(value, list):
        raise ValueError("a list is wanted")
    if kind is tuple and arguments and arguments[-1] is not ...:
        if len(arguments) != len(value):
            raise ValueError(f"a list of {len(arguments)} is wanted")
        return tuple(_inside(f"its [{n}]", v, a) for n, (v, a) in enumerate(zip(value, arguments, strict=True)))
    inner = arguments[0] if arguments else None
    made = [_inside(f"its [{number}]", v, inner) for number, v in enumerate(value)]
    return made if kind in (list, Sequence) else kind(made)


def _inside(place: str, value: Any, wanted: Any) -> Any:
    """What stands at *place* in a value. Raises `ValueError`, which names it."""
    try:
        return from_configuration(value, wanted)
    except ValueError as error:
        raise ValueError(f"{error} for {place}") from None


def _has_fields(kind: Any) -> bool:
    return hasattr(kind, "model_validate") or _fields(kind) is not None


def _fields(kind: Any) -> dict[str, Any] | None:
    """The fields of an attrs class or dataclass with their annotations, else None."""
    found = getattr(kind, "__attrs_attrs__", None)
    if found is not None:
        return {f.alias: f.type for f in found if f.init}
    found = getattr(kind, "__dataclass_fields__", None)
    return None if found is None else {name: f.type for name, f in found.items() if f.init}


def _record(value: dict[str, Any], kind: Any) -> Any:
    fields = _fields(kind)
    if fields is None:
        return _model(value, kind)
    unknown = [name for name in value if name not in fields]
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {unknown[0]!r}: it has {', '.join(fields)}")
    names = vars(sys.modules.get(kind.__module__, types))
    made = {}
    for name, each in value.items():
        made[name] = _inside(f"{kind.__name__}.{name}", each, _evaluated(fields[name], names))
    return kind(**made)


def _model(value: dict[str, Any], kind: Any) -> Any:
    """A model of pydantic's, which checks and converts its fields itself."""
    try:
        return kind.model_validate(value)
    except ValueError as error:
        wrong: list[dict[str, Any]] = getattr(error, "errors", list)()
        told = [f"{each['msg']} for {'.'.join([kind.__name__, *map(str, each['loc'])])}" for each in wrong]
        raise ValueError("; ".join(told) or str(error)) from None
