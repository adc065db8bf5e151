"""Reading a function's signature, its place, and durations, without importing `inspect` where it can be avoided."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial
from types import FunctionType
from typing import Any

from stepcache.annotated import words
from stepcache.errors import UsageError
from stepcache.model import ABSENT, Parameter, Source

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def seconds_of(value: object, where: str) -> float:
    """A `timedelta`, a number of seconds, or text such as "90s", "12h", "7d", in seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match and match[2] in _UNITS:
            return float(match[1]) * _UNITS[match[2]]
    raise UsageError(f'{where}: a duration is a timedelta, seconds, or text such as "90s", "12h" or "7d"')


def source_of(function: Callable[..., Any]) -> Source:
    """Where the function is defined; `file` is the path as compiled, made portable by collection."""
    code = getattr(innermost(function), "__code__", None)
    if code is None:
        return Source("?", "?", 0)
    return Source(code.co_filename, code.co_filename, code.co_firstlineno)


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function below all `functools.wraps` wrappers and partials."""
    seen = 0
    while seen < 100:
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if inner is None or not callable(inner):
            return function
        function, seen = inner, seen + 1
    return function


def is_asynchronous(function: Callable[..., Any]) -> bool:
    """Is it a coroutine function, or an asynchronous generator? A plain wrapper of one is none: it may await itself."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & 0x280)  # CO_COROUTINE | CO_ASYNC_GENERATOR


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The parameters, by `__code__` for a plain function, else by `inspect.signature`."""
    if type(function) is not FunctionType or hasattr(function, "__wrapped__"):
        return _by_inspect(function)
    code = function.__code__
    count = code.co_argcount
    names = code.co_varnames[: count + code.co_kwonlyargcount]
    defaults = function.__defaults__ or ()
    given: dict[str, object] = dict(zip(names[count - len(defaults) : count], defaults, strict=True))
    given.update(function.__kwdefaults__ or {})
    annotations = getattr(function, "__annotations__", {})
    found = [parameter(name, given.get(name, ABSENT), annotations.get(name), function) for name in names]
    if code.co_flags & 0x0C:  # CO_VARARGS | CO_VARKEYWORDS
        at = len(names)
        if code.co_flags & 0x04:
            found.append(Parameter(f"*{code.co_varnames[at]}"))
            at += 1
        if code.co_flags & 0x08:
            found.append(Parameter(f"**{code.co_varnames[at]}"))
    return tuple(found)


def _by_inspect(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    import inspect

    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise UsageError(f"{function!r} has no signature: wrap it in a function whose parameters have names") from None
    found = []
    for each in parameters:
        default = ABSENT if each.default is each.empty else each.default
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        annotation = None if each.annotation is each.empty else each.annotation
        found.append(parameter(stars + each.name, default, annotation, innermost(function)))
    return tuple(found)


def parameter(name: str, default: object, annotation: object, function: Callable[..., Any]) -> Parameter:
    """A parameter, with what its annotation means to stepcache."""
    if annotation is None:
        return _bare(name) if default is ABSENT else Parameter(name, default)
    said = {*words(annotation, getattr(function, "__globals__", {}))}
    return Parameter(name, default, "All" in said, annotation, "Each" in said)


@lru_cache(maxsize=4096)
def _bare(name: str) -> Parameter:
    """A parameter that is a name alone: those of many steps are the same."""
    return Parameter(name)
