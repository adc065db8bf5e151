"""What a pipeline file says: its functions, decorated, and what is wrong with it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import Factory

from stepcache.model.entries import Output
from stepcache.records import frozen


class Absent(enum.Enum):
    """The type of `ABSENT`: no value, where None would be one."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@frozen
class Source:
    """Where something is defined: the file's portable name, its path, and the line."""

    file: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class Parameter:
    """A parameter of a step, check, pipeline or resource.

    `default` is ABSENT where it asks for a step's value. `takes_all` is true where it is annotated `All`,
    `takes_each` where it is annotated `Each`.
    `type` is what text for it is converted to: the evaluated annotation, the default's type, or None.
    """

    name: str
    default: object = ABSENT
    takes_all: bool = False
    type: Any = None
    takes_each: bool = False


@frozen
class Mark:
    """`@mark.NAME(*args, **kwargs)`."""

    name: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = Factory(dict)


@frozen
class ParamSet:
    """One choice of a `parametrize`: its values by name, its id and marks."""

    values: tuple[tuple[str, object], ...]
    id: str
    marks: tuple[Mark, ...] = ()


@frozen
class Parametrize:
    """One `parametrize` decorator: the names it sets and its choices."""

    names: tuple[str, ...]
    choices: tuple[ParamSet, ...]


@frozen
class Retries:
    """How often a failed node is tried again, in seconds after what, and on which exceptions, as `class_name` has
    them."""

    times: int = 0
    delay: float = 0.0
    on: tuple[str, ...] = ()


def class_name(cls: type) -> str:
    """What a class is called where it cannot be had itself, as "module:qualname"."""
    return f"{cls.__module__}:{cls.__qualname__}"


@frozen
class Definition:
    """A decorated function. `module` is where it was defined, `takes` which step feeds a parameter.

    `asynchronous` is whether calling it gives something to be awaited, `timeout` is in seconds, `slots` how much it
    takes of what, `reads` None where the author has not said.
    """

    kind: Literal["step", "pipeline", "check", "resource"]
    name: str
    function: Callable[..., Any]
    source: Source
    module: str
    parameters: tuple[Parameter, ...]
    asynchronous: bool = False
    parametrize: tuple[Parametrize, ...] = ()
    marks: tuple[Mark, ...] = ()
    takes: Mapping[str, str] = Factory(dict)
    enable_cache: bool = True
    version: str | None = None
    expires: float | None = None
    reads: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    retries: Retries = Retries()
    timeout: float | None = None
    codec: str | None = None
    save_to: str | None = None
    outputs: tuple[str, ...] = ()
    slots: Mapping[str, int] = Factory(dict)
    builds: tuple[str, ...] = ()
    params: Mapping[str, object] = Factory(dict)
    scope: Literal["run", "node"] = "run"
    warn: bool = False
    doc: str = ""

    @property
    def vouched_for(self) -> bool:
        """Has the author said what there is to what cannot be seen?"""
        return self.reads is not None or self.expires is not None


@frozen
class Problem:
    """A collection error: what is wrong, with its file and line, and what to do; and what the file had printed."""

    id: str
    message: str
    output: Output = Factory(Output)
