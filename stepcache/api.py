"""What authors of pipelines import: it records what they say and decides nothing.

Each decorator gives back an object that can be called like the function it was put on, and that carries its
`definition` for collection to find.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, Protocol, TypeVar, overload

from attrs import evolve

from stepcache.errors import UsageError
from stepcache.model import Definition, Mark, Parametrize, ParamSet, Source
from stepcache.signature import innermost, parameters_of, seconds_of, source_of
from stepcache.variantid import empty_choice, variant_ids

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

# The node whose body is running in this context: steps called meanwhile warn.
running_node: ContextVar[str | None] = ContextVar("stepcache_running_node", default=None)

# The project modules that are being imported, the innermost last.
importing: list[str] = []

# Every definition made since the list was last emptied: collection finds two of one name by it.
made: list[Definition] = []


class StepcacheWarning(UserWarning):
    """What stepcache warns of while a step runs."""


class Skipped(BaseException):
    """Raised by `skip`. Not an `Exception`, so that a step's own handlers do not swallow it."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def skip(reason: str = "") -> NoReturn:
    """Skip the running node, and with it all that needs its value."""
    raise Skipped(reason)


# --- tracked paths ------------------------------------------------------------------------------

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class File(_Path):
    """The path of a file that is tracked: its path and its content are part of the key.

    A relative path is relative to the file it is written in, or to the root where it starts with `//`.
    """


class Dir(_Path):
    """The path of a directory that is tracked: the names and contents of the files in it that match `glob`."""

    pattern = "**/*"

    def __new__(cls, *segments: str | Path, glob: str = "**/*") -> Dir:
        self = super().__new__(cls, *segments)
        self.pattern = glob
        return self

    if sys.version_info >= (3, 12):

        def __init__(self, *segments: str | Path, glob: str = "**/*") -> None:
            super().__init__(*segments)
            self.pattern = glob

    def __reduce__(self) -> Any:
        return _make_dir, (str(self), self.pattern)


def _make_dir(path: str, pattern: str) -> Dir:
    return Dir(path, glob=pattern)


# --- annotations --------------------------------------------------------------------------------

if TYPE_CHECKING:
    All = Mapping[str, T]
else:

    class All(Generic[T]):
        """Annotation: the parameter gets every variant of the step, a mapping from variant id to value."""


# --- marks and parametrize ----------------------------------------------------------------------


class MarkDecorator:
    """`mark.NAME`, or `mark.NAME(…)`: a decorator that puts the mark on a step, check or pipeline."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark

    @overload  # a lone callable is decorated, as with pytest's marks
    def __call__(self, function: F, /) -> F: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, *args: object, **kwargs: object) -> MarkDecorator: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (callable(args[0]) and not isinstance(args[0], type)):
            return _attach(args[0], marks=(self.mark,))
        return MarkDecorator(Mark(self.mark.name, args, kwargs))


class MarkGenerator:
    """`mark`: any attribute of it is a mark."""

    def skip(self, reason: str = "") -> MarkDecorator:
        """Never run it: it, and what needs it, is skipped."""
        return MarkDecorator(Mark("skip", (), {"reason": reason}))

    def skipif(self, condition: object, *, reason: str) -> MarkDecorator:
        """Skip it where the condition is true."""
        return MarkDecorator(Mark("skipif", (bool(condition),), {"reason": reason}))

    def __getattr__(self, name: str) -> MarkDecorator:
        if name.startswith("_"):
            raise AttributeError(name)
        return MarkDecorator(Mark(name))


mark = MarkGenerator()


class ParameterSet(tuple[object, ...]):
    """The values of one choice, as `param` gives them."""

    id: str | None
    marks: tuple[Mark, ...]


def param(
    *values: object,
    id: str | None = None,  # noqa: A002
    marks: MarkDecorator | Collection[MarkDecorator] = (),
) -> ParameterSet:
    """One choice of a `parametrize`, with an id or marks of its own."""
    if id is not None and not isinstance(id, str):
        raise UsageError(f"param(id={id!r}): an id is text")
    made_set = ParameterSet(values)
    made_set.id = id
    one = (marks,) if isinstance(marks, MarkDecorator) else tuple(marks)
    made_set.marks = tuple(each.mark for each in one)
    return made_set


def parametrize(
    names: str | Sequence[str],
    values: Iterable[object],
    ids: Iterable[str | None] | Callable[[Any], object] | None = None,
) -> Callable[[F], F]:
    """Make a variant for each of *values*; pytest's rules for names, ids and several decorators hold."""
    split = tuple(n.strip() for n in names.split(",") if n.strip()) if isinstance(names, str) else tuple(names)
    given = list(values)
    rows: list[tuple[object, ...]] = []
    for each in given:
        row = tuple(each) if isinstance(each, ParameterSet) else (each,) if len(split) == 1 else each
        if not isinstance(row, (tuple, list)) or len(row) != len(split):
            raise UsageError(f"parametrize({', '.join(split)!r}): each choice needs {len(split)} values, not {each!r}")
        rows.append(tuple(row))
    own = [each.id if isinstance(each, ParameterSet) else None for each in given]
    names_of = variant_ids(split, rows, own, ids)
    choices = tuple(
        ParamSet(tuple(zip(split, row, strict=True)), name, each.marks if isinstance(each, ParameterSet) else ())
        for row, name, each in zip(rows, names_of, given, strict=True)
    )
    every = choices or (empty_choice(split),)
    return lambda function: _attach(function, parametrize=(Parametrize(split, every),))


def _attach(target: Any, *, marks: tuple[Mark, ...] = (), parametrize: tuple[Parametrize, ...] = ()) -> Any:
    """*target* with marks or choices added, whether or not it is decorated yet."""
    if isinstance(target, Defined):
        d = target.definition
        changed = evolve(d, marks=d.marks + marks, parametrize=d.parametrize + parametrize)
        for at, each in enumerate(made):
            if each is d:
                made[at] = changed
        target.definition = changed
        return target
    noted = getattr(target, "_stepcache_noted", ((), ()))
    target._stepcache_noted = (noted[0] + marks, noted[1] + parametrize)
    return target


# --- what the decorators give back --------------------------------------------------------------


class Runner(Protocol):
    """What runs a definition from Python: the session room sets it."""

    def __call__(self, target: Defined[..., Any], **options: Any) -> Any: ...


_runner: list[Runner] = []


def set_runner(runner: Runner) -> None:
    """Say what `NAME.run()` calls."""
    _runner[:] = [runner]


class Defined(Generic[P, R]):
    """A decorated function. Calling it runs its body."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        function = definition.function
        self.__doc__ = function.__doc__
        self.__name__: str = getattr(function, "__name__", definition.name)
        self.__qualname__: str = getattr(function, "__qualname__", definition.name)
        self.__module__ = definition.module
        self.__wrapped__: Callable[P, R] = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        node = running_node.get()
        if node is not None:
            name = self.definition.name
            warnings.warn(
                f"{self.definition.kind} '{name}' was called inside {node}: its body ran uncached; "
                f"take a parameter named '{name}' instead",
                StepcacheWarning,
                stacklevel=2,
            )
        result: R = self.definition.function(*args, **kwargs)
        return result

    def __repr__(self) -> str:
        return f"<{self.definition.kind} {self.definition.name} of {self.definition.source}>"

    def __reduce__(self) -> str:
        return self.__qualname__


class Runnable(Defined[P, R]):
    """A step or pipeline: it can be run."""

    def run(
        self,
        enable_cache: bool | None = None,
        params: Mapping[str, object] | None = None,
        values: Mapping[str, object] | None = None,
        check: bool = True,
        workers: int | None = None,
        cache_dir: str | Path | None = None,
    ) -> Run:
        """Run it and what it needs; `enable_cache` False or True turns the cache off or on for every node.

        Raises `StepFailed` from the original exception, unless *check* is false.
        """
        result: Run = _runner[0](
            self,
            enable_cache=enable_cache,
            params=params,
            values=values,
            check=check,
            workers=workers,
            cache_dir=cache_dir,
        )
        return result


class Step(Runnable[P, R]):
    """A function whose return value is worth keeping."""


class Pipeline(Runnable[P, R]):
    """A function that names the steps to build."""


class Resource(Defined[P, R]):
    """A function that gives a live object."""


class Check(Defined[P, R]):
    """A function that asserts on step values."""


class Run(Protocol):
    """What a run from Python gives back."""

    exit_code: int

    def __getitem__(self, name: str) -> Any: ...
    @property
    def nodes(self) -> list[dict[str, Any]]: ...
    @property
    def errors(self) -> list[dict[str, Any]]: ...
    def why(self, name: str) -> list[str]: ...
    def table(self, name: str) -> list[dict[str, Any]]: ...


# --- the decorators -----------------------------------------------------------------------------


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
    if not isinstance(own_name, str) or not own_name.isidentifier():
        raise UsageError(f"{decorator}: a name must be a Python name, and {own_name!r} is none: give it one with name=")
    source, module = _place(function)
    definition = Definition(
        kind=kind,
        name=own_name,
        function=function,
        source=source,
        module=module,
        parameters=parameters_of(function),
        parametrize=choices,
        marks=marks,
        doc=_first_line(function.__doc__),
        **options,
    )
    made.append(definition)
    return definition


def _place(function: Callable[..., Any]) -> tuple[Source, str]:
    """Where a definition stands, and in which module.

    That is the function's own place, or, where a module that is being imported makes a step of another module's
    function, the place in that module.
    """
    source = source_of(function)
    frame = sys._getframe(1) if importing else None
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == source.path:
        return source, getattr(innermost(function), "__module__", None) or "__main__"
    path = frame.f_code.co_filename
    return Source(path, path, frame.f_lineno), frame.f_globals["__name__"]


def _first_line(doc: str | None) -> str:
    lines = (doc or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def _text_tuple(decorator: str, option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (str, Path)):
        value = (value,)
    if not isinstance(value, (tuple, list, set, frozenset)) or not all(isinstance(v, (str, Path)) for v in value):
        raise UsageError(f"@{decorator}({option}=…) takes a list of texts, not {value!r}")
    return tuple(str(v) for v in value)


def _names(decorator: str, takes: object) -> dict[str, str]:
    if takes is None:
        return {}
    if not isinstance(takes, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in takes.items()):
        example = '{"df": "train"}'
        raise UsageError(f"@{decorator}(takes=…) maps parameters to step names, such as {example}, not {takes!r}")
    return dict(takes)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    function: Callable[P, R],
    /,
    *,
    enable_cache: bool = True,
    name: str | None = None,
    takes: Mapping[str, str] | None = None,
    version: str | None = None,
    expires: Any = None,
    reads: Collection[str | Path] = (),
    ignore: Collection[str] = (),
    codec: str | None = None,
) -> Step[P, R]: ...
@overload
def step(
    *,
    enable_cache: bool = True,
    name: str | None = None,
    takes: Mapping[str, str] | None = None,
    version: str | None = None,
    expires: Any = None,
    reads: Collection[str | Path] = (),
    ignore: Collection[str] = (),
    codec: str | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Any = None,
    /,
    *,
    enable_cache: bool = True,
    name: str | None = None,
    takes: Mapping[str, str] | None = None,
    version: str | None = None,
    expires: Any = None,
    reads: Collection[str | Path] = (),
    ignore: Collection[str] = (),
    codec: str | None = None,
) -> Any:
    """Make a function a step: its return value is kept, and used again while nothing that matters changes.

    Args:
        enable_cache: False runs it each time and stores nothing.
        name: what others ask for; the function's name if not given.
        takes: which step feeds a parameter, as in `{"df": "train"}`.
        version: any text; part of the key.
        expires: a `timedelta`, or text such as "90s", "12h", "7d": how old a stored value may be.
        reads: more files, globs, or "env:NAME" that count.
        ignore: parameters, "env:NAME" or "file:GLOB" that do not count.
        codec: the name of the codec that stores the value.
    """
    if version is not None and not isinstance(version, str):
        raise UsageError(f"@step(version=…) takes text, not {version!r}")

    def decorate(target: Any) -> Step[Any, Any]:
        return Step(
            _define(
                "step",
                target,
                name,
                enable_cache=_flag("step", enable_cache),
                takes=_names("step", takes),
                version=version,
                expires=None if expires is None else seconds_of(expires, f"@step(expires={expires!r})"),
                reads=_text_tuple("step", "reads", reads),
                ignore=_text_tuple("step", "ignore", ignore),
                codec=codec,
            )
        )

    return decorate if function is None else decorate(function)


def _flag(decorator: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"@{decorator}(enable_cache=…) takes True or False, not {value!r}")
    return value


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
        options = {"enable_cache": _flag("pipeline", enable_cache), "params": dict(params or {}), "builds": names}
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
        return Resource(_define("resource", target, name, scope=scope))

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
        return Check(_define("check", target, name, warn=warn, takes=_names("check", takes)))

    return decorate if function is None else decorate(function)


def _no_check(function: F) -> F:
    function._stepcache_no_check = True  # type: ignore[attr-defined]
    return function


def plain_check(function: Callable[..., Any]) -> Definition:
    """The definition of an undecorated `check_*` function."""
    return _define("check", function, None)


__all__ = [
    "All",
    "Check",
    "Dir",
    "File",
    "Pipeline",
    "Resource",
    "Skipped",
    "Step",
    "StepcacheWarning",
    "check",
    "mark",
    "param",
    "parametrize",
    "pipeline",
    "resource",
    "skip",
    "step",
]
