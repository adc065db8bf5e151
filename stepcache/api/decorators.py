"""The decorators: `step`, `pipeline`, `resource` and `check`."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from stepcache.api.defined import Check, Defined, Pipeline, Resource, Step
from stepcache.api.options import StepOptions, flag, options_of_step, step_names
from stepcache.api.record import importing, made
from stepcache.api.retry import Retry
from stepcache.errors import UsageError
from stepcache.model import Definition, Source
from stepcache.signature import innermost, is_asynchronous, parameters_of, source_of

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def _define(
    kind: Literal["step", "pipeline", "check", "resource"], function: Any, name: str | None, **options: Any
) -> Definition:
    decorator = f"@{kind}"
    inherited: Definition | None = None
    if isinstance(function, Defined):
        inherited = function.definition
        function = function.definition.function
    if isinstance(function, (staticmethod, classmethod, type)) or not callable(function):
        raise UsageError(f"{decorator} decorates a function, not {function!r}")
    marks, choices = getattr(function, "_stepcache_noted", ((), ()))
    if inherited is not None:
        marks, choices = inherited.marks, inherited.parametrize
    own_name = name if name is not None else getattr(function, "__name__", None)
    if not isinstance(own_name, str) or not own_name.isidentifier() or keyword.iskeyword(own_name):
        raise UsageError(f"{decorator}: a name must be a Python name, and {own_name!r} is none: give it one with name=")
    own_name = as_parameter(own_name)
    if own_name in options.get("outputs", ()):
        raise UsageError(
            f"{decorator}(outputs=…): '{own_name}' is the name of the step, which gives all of its outputs"
        )
    source, module = _place(function)
    definition = Definition(
        kind=kind,
        name=own_name,
        function=function,
        source=source,
        module=module,
        parameters=parameters_of(function),
        asynchronous=is_asynchronous(function),
        parametrize=choices,
        marks=marks,
        doc=_first_line(function.__doc__),
        **options,
    )
    made.append(definition)
    return definition


def as_parameter(name: str) -> str:
    """The name as Python spells it where it is a parameter's, which is how others ask for it."""
    if name.isascii():
        return name
    import unicodedata

    return unicodedata.normalize("NFKC", name)


def _place(function: Callable[..., Any]) -> tuple[Source, str]:
    """Where a definition stands, and in which module.

    That is the function's own place, or, where a module that is being imported makes a step of another module's
    function, or of one that stands in a text which it executes, the place in that module.
    """
    source = source_of(function)
    frame = sys._getframe(1) if importing else None
    while frame is not None and (frame.f_code.co_name != "<module>" or frame.f_code.co_filename.startswith("<")):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == source.path:
        return source, getattr(innermost(function), "__module__", None) or "__main__"
    path = frame.f_code.co_filename
    return Source(path, path, frame.f_lineno), frame.f_globals["__name__"]


def _first_line(doc: str | None) -> str:
    lines = (doc or "").strip().splitlines()
    return lines[0].strip() if lines else ""


@overload
def step(function: Callable[P, R], /, **options: Unpack[StepOptions]) -> Step[P, R]: ...
@overload
def step(**options: Unpack[StepOptions]) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Any = None,
    /,
    *,
    enable_cache: bool = True,
    name: str | None = None,
    takes: Mapping[str, str] | None = None,
    version: str | None = None,
    expires: timedelta | float | str | None = None,
    reads: Collection[str | Path] | None = None,
    ignore: Collection[str] = (),
    retries: int | Retry = 0,
    timeout: timedelta | float | str | None = None,
    codec: str | None = None,
    save_to: str | Path | None = None,
    outputs: Collection[str] | None = None,
    slots: Mapping[str, int] | None = None,
) -> Any:
    """Make a function a step: its return value is kept, and used again while nothing that matters changes.

    Args:
        enable_cache: False runs it each time and stores nothing.
        name: what others ask for; the function's name if not given.
        takes: which step feeds a parameter, as in `{"df": "train"}`.
        version: any text; part of the key.
        expires: a `timedelta`, or text such as "90s", "12h", "7d": how old a stored value may be.
        reads: more files, globs, or "env:NAME" that count. Given, even as `()`, it says that there is nothing else.
        ignore: parameters, "env:NAME" or "file:GLOB" that do not count.
        retries: how many more times it is tried when it fails, or `Retry(3, delay="10s", on=(OSError,))`.
        timeout: how long it may run, in seconds or as "2h"; then it is ended, or killed, and has failed.
        codec: the name of the codec that stores the value.
        save_to: a file to which the value is also written, in the format that its suffix means; relative to the
            defining file, or to the root behind "//". `{variant}` and `{key}` may stand in it.
        outputs: the names of the values that the function returns: a tuple of that many, or a dict of those names.
            Each is asked for by its own name; the step's name gives the dict.
        slots: what it takes of things that there are only so many of, as in `{"gpu": 1}` (see `--slots`).
    """
    recorded = options_of_step(
        StepOptions(
            enable_cache=enable_cache,
            takes=takes,
            version=version,
            expires=expires,
            reads=reads,
            ignore=ignore,
            retries=retries,
            timeout=timeout,
            codec=codec,
            save_to=save_to,
            outputs=outputs,
            slots=slots,
        )
    )

    def decorate(target: Any) -> Step[Any, Any]:
        return Step(_define("step", target, name, **recorded))

    return decorate if function is None else decorate(function)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(
    *,
    enable_cache: bool = True,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    builds: Collection[str | Step[..., Any]] = (),
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Any = None,
    /,
    *,
    enable_cache: bool = True,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    builds: Collection[str | Step[..., Any]] = (),
) -> Any:
    """Make a function a pipeline: it names the steps to build by taking them, and is itself the last step.

    Args:
        enable_cache: False turns the cache off for all its nodes.
        name: what it is selected by; the function's name if not given.
        params: settings of its steps, by NAME or "STEP.NAME".
        builds: more steps to build without being handed their values.
    """
    if params is not None and not (isinstance(params, Mapping) and all(isinstance(k, str) for k in params)):
        raise UsageError(f"@pipeline(params=…) maps setting names to values, not {params!r}")
    names = tuple(each.definition.name if isinstance(each, Step) else each for each in builds)
    if isinstance(builds, str) or not all(isinstance(each, str) for each in names):
        raise UsageError(f"@pipeline(builds=…) takes a list of steps or step names, not {builds!r}")

    def decorate(target: Any) -> Pipeline[Any, Any]:
        options = {"enable_cache": flag("pipeline", enable_cache), "params": dict(params or {}), "builds": names}
        return Pipeline(_define("pipeline", target, name, **options))

    return decorate if function is None else decorate(function)


@overload
def resource(function: Callable[P, Iterator[R]], /) -> Resource[P, Iterator[R]]: ...
@overload
def resource(function: Callable[P, R], /) -> Resource[P, R]: ...
@overload
def resource(
    *, scope: Literal["run", "node"] = "run", name: str | None = None
) -> Callable[[Callable[P, R]], Resource[P, R]]: ...
def resource(function: Any = None, /, *, scope: Literal["run", "node"] = "run", name: str | None = None) -> Any:
    """Make a function a resource: a live object that is never cached; a `yield` splits set-up from tear-down."""
    if scope not in ("run", "node"):
        raise UsageError(f'@resource(scope=…) is "run" or "node", not {scope!r}')

    def decorate(target: Any) -> Resource[Any, Any]:
        definition = _define("resource", target, name, scope=scope)
        if definition.asynchronous:
            raise UsageError(
                f"@resource decorates an ordinary function, and '{definition.name}' is asynchronous: make the object "
                "without `await` (asynchronous steps find their event loop running), or in the step"
            )
        return Resource(definition)

    return decorate if function is None else decorate(function)


@overload
def check(function: Callable[P, R], /) -> Check[P, R]: ...
@overload
def check(function: Literal[False], /) -> Callable[[F], F]: ...
@overload
def check(
    *, warn: bool = False, name: str | None = None, takes: Mapping[str, str] | None = None
) -> Callable[[Callable[P, R]], Check[P, R]]: ...
def check(
    function: Any = None, /, *, warn: bool = False, name: str | None = None, takes: Mapping[str, str] | None = None
) -> Any:
    """Make any function a check; `@check(False)` makes a `check_*` function none; `warn=True` gates nothing."""
    if function is False:
        return _no_check

    def decorate(target: Any) -> Check[Any, Any]:
        return Check(_define("check", target, name, warn=warn, takes=step_names("check", takes)))

    return decorate if function is None else decorate(function)


def _no_check(function: F) -> F:
    function._stepcache_no_check = True  # type: ignore[attr-defined]
    return function


def plain_check(function: Callable[..., Any], name: str) -> Definition:
    """The definition of an undecorated function that is bound to a name `check_*`."""
    return _define("check", function, name)
