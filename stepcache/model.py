"""The data that flows from room to room: frozen, made of tuples, with no method that touches the world.

files ─collect→ Collection ─graph→ Graph ─per node→ Decision = Hit | Miss ─run→ NodeReport ─report→ lines, JSON
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import Factory, field, frozen

Kind = Literal["step", "pipeline", "check"]

NodeOutcome = Literal[
    "cached", "ran", "failed", "blocked", "skipped", "given", "passed", "warned", "would-run", "unknown"
]

ReasonKind = Literal[
    "new", "code", "setting", "input", "file", "env", "package", "python", "version",
    "expired", "off", "refresh", "unstored", "damaged", "foreign", "evicted",
]  # fmt: skip


class ExitCode(enum.IntEnum):
    """pytest's exit statuses."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5


# --- what a result depends on -------------------------------------------------------------------


@frozen
class Ingredient:
    """One named thing that a result depends on and that is known before the run.

    `shown` is the JSON text of what may be told in clear (numbers, booleans, None, versions), else None.
    """

    kind: ReasonKind
    name: str
    digest: str
    shown: str | None = None


@frozen
class Observation:
    """Something that a run was seen to read, with its digest at the time.

    `kind` is "file" (content), "dir" (listing), "exists" (an existence test), "env" (a variable; the digest is
    keyed), "variable" (a module variable's value) or "module" (a project module imported late). `name` is what
    finds it again: a portable path, a variable's name, or its number in the code graph. `label` is what `--why`
    prints.
    """

    kind: str
    name: str
    digest: str
    label: str = ""


@frozen
class Value:
    """A stored value: where it lies and what it holds.

    `classes` names, as "module:qualname", the classes outside the standard library whose instances it holds.
    `size` is that of the encoded bytes, `stored` that on disk. A value that is put together from others has `parts`
    and no bytes of its own; `names` are those of its parts, where they have any, `count` is the number of its elements.
    `inline` are the bytes of a small value, in base64: they go wherever it is named, and lie nowhere else.
    """

    digest: str
    codec: str
    size: int
    stored: int
    classes: tuple[str, ...] = ()
    parts: tuple[Value, ...] = ()
    names: tuple[str, ...] = ()
    count: int | None = None
    inline: str | None = None

    @property
    def contents(self) -> tuple[Value, ...]:
        """The values with bytes of their own that it is put together from; itself, if it has them."""
        return tuple(each for part in self.parts for each in part.contents) if self.parts else (self,)

    def output(self, name: str | None) -> Value:
        """The part of that name; for None, itself."""
        return self if name is None else self.parts[self.names.index(name)]


@frozen
class Output:
    """What a node printed, logged and warned."""

    stdout: str = ""
    stderr: str = ""
    log: str = ""
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.stdout or self.stderr or self.log or self.warnings)


@frozen
class Trace:
    """The record of one execution that may be used again: an entry of the cache.

    Several may stand under one key, each with other observations. `value` is None for a passed check.
    """

    key: str
    node: str
    ingredients: tuple[Ingredient, ...]
    observations: tuple[Observation, ...]
    value: Value | None
    seconds: float
    made: float
    output: Output = Output()
    world: str = ""
    """Digest of all project sources that collection had loaded: tells a module variable that differs between two
    imports of the same sources from one that was changed."""
    elements: int | None = None
    """How many elements a mapped step was run for, with those taken from the cache."""


@frozen
class Reason:
    """Why a node ran: one thing that was different."""

    kind: ReasonKind
    what: str = ""
    was: Any = None
    now: Any = None
    shown: bool = False

    def __str__(self) -> str:
        """As `--why` prints it: `code: helpers.py::clean`, `setting: lr 0.1 -> 0.2`, `expired`, `cache off`."""
        if self.kind == "off":
            return "cache off"
        if self.kind == "package" and self.shown:
            return f"package: {self.what} {_versions(self.was, self.now)}"
        change = f"{_plain(self.was)} -> {_plain(self.now)}" if self.shown else ""
        if self.kind in ("setting", "version") and not change:
            change = "changed"
        told = " ".join(part for part in (self.what, change) if part)
        return f"{self.kind}: {told}" if told else self.kind


def _plain(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _versions(was: object, now: object) -> str:
    """How a distribution differs: another version, the same one installed anew, or only one of the two."""
    if was is None:
        return f"{now} is new"
    if now is None:
        return f"{was} is gone"
    return f"{was} installed anew" if was == now else f"{was} -> {now}"


def shown_scalar(value: object) -> str | None:
    """The JSON text of a value that explanations may show: a number, a boolean or None."""
    if value is None or type(value) in (bool, int, float):
        return json.dumps(value)
    return None


@frozen
class Hit:
    """A stored result may be used."""

    key: str
    trace: Trace


@frozen
class Miss:
    """The node must run, and why."""

    key: str
    reasons: tuple[Reason, ...]


Decision = Hit | Miss


# --- definitions: what a pipeline file says -----------------------------------------------------


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
    takes of what.
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
    reads: tuple[str, ...] = ()
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


@frozen
class Problem:
    """A collection error: what is wrong, with its file and line, and what to do; and what the file had printed."""

    id: str
    message: str
    output: Output = Output()


# --- the graph ----------------------------------------------------------------------------------


@frozen
class Setting:
    """A setting's value for one node. `source` says which level gave it."""

    name: str
    value: object
    source: str = "default"


@frozen
class Need:
    """What one parameter of a node asks for.

    `node` is the id of the node whose value it gets; for `All`, `variants` maps variant ids to node ids and
    `params` to their parameter values; `resource` is the index of a bound resource in the graph. `output` is the one
    of the node's outputs that is asked for, None for its whole value. `each` says that the taker runs once for each
    element of that; `element` names the one that `node` is itself.
    """

    parameter: str
    step: str
    node: str | None = None
    variants: tuple[tuple[str, str], ...] | None = None
    params: tuple[tuple[str, Mapping[str, object]], ...] = ()
    resource: str | None = None
    output: str | None = None
    each: bool = False
    element: str | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ids of the nodes whose values it gets."""
        if self.variants is not None:
            return tuple(node for _, node in self.variants)
        return (self.node,) if self.node is not None else ()


@frozen
class BoundResource:
    """A resource with its settings and needs bound."""

    id: str
    definition: Definition = field(eq=False)
    settings: tuple[Setting, ...] = ()
    needs: tuple[Need, ...] = ()


@frozen
class Node:
    """One collected, fully bound thing to run.

    `base` is the id without the variant. `through` are the nodes whose values its resources take. `choices` holds,
    for each parametrised step it depends on or is, the step's base id, the decorator's number, the variant id and the
    parameter values. `builtins` are the built-in resources that it takes. `element` names the one element that a
    mapped step is run for, None for all.
    """

    id: str
    kind: Kind
    name: str
    base: str
    file: str
    definition: Definition = field(eq=False)
    settings: tuple[Setting, ...] = ()
    needs: tuple[Need, ...] = ()
    builds: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    builtins: tuple[str, ...] = ()
    choices: tuple[tuple[str, int, str, Mapping[str, object]], ...] = field(default=(), eq=False)
    marks: tuple[Mark, ...] = ()
    variant: str | None = None
    element: str | None = None
    upstream: tuple[str, ...] = field(init=False, eq=False, repr=False)
    """The ids of all nodes that come before it: by its parameters, its resources' and `builds`."""

    @upstream.default
    def _upstream(self) -> tuple[str, ...]:
        taken = [node for need in self.needs for node in need.nodes]
        return tuple(dict.fromkeys((*taken, *self.through, *self.builds)))

    @property
    def mapped(self) -> bool:
        """Does it run once per element?"""
        return any(need.each for need in self.needs)


@frozen
class Graph:
    """The nodes of a run in an order in which each comes after what it needs.

    `gates` names, for a node, the checks that must have passed before it. `excluded` nodes may come from the cache
    but are not run. `deselected` counts the nodes that the selection left out.
    """

    nodes: Mapping[str, Node]
    resources: Mapping[str, BoundResource]
    targets: tuple[str, ...]
    gates: Mapping[str, tuple[str, ...]] = Factory(dict)
    excluded: frozenset[str] = frozenset()
    deselected: int = 0


# --- what happened ------------------------------------------------------------------------------


@frozen
class Failure:
    """How a node failed: the exception, the traceback's text from the user's frame on, and its last line."""

    summary: str
    text: str
    location: str
    exception: BaseException | None = field(default=None, eq=False)


@frozen
class Elements:
    """How many elements of a mapped step were taken from the cache, ran, failed, and were skipped."""

    cached: int = 0
    ran: int = 0
    failed: int = 0
    skipped: int = 0


@frozen
class Determinism:
    """What two executions of a step in fresh processes came to: whether they gave the same, None if that is not known.

    `told` is the first difference, how one of the two failed, or why it is not known.
    """

    same: bool | None
    told: str = ""


@frozen
class NodeReport:
    """What happened to a node: a row of the JSON report, and what the terminal shows beside it."""

    id: str
    kind: Kind
    outcome: NodeOutcome
    file: str
    seconds: float = 0.0
    why: tuple[Reason, ...] = ()
    key: str | None = None
    value: Value | None = None
    needs: tuple[str, ...] = ()
    saved_seconds: float = 0.0
    made: float | None = None
    """When the result of a hit was made, in seconds since the epoch."""
    output: Output = Output()
    failure: Failure | None = None
    message: str = ""
    """Why it was skipped, or what blocks it."""
    observations: tuple[Observation, ...] = ()
    """All that was observed, for `--why -v`."""
    uncertain: tuple[str, ...] = ()
    """What made more code be taken in than was followed, for `--why -v`."""
    elements: Elements | None = None
    determinism: Determinism | None = None
    """Of a step that was run twice, under `--check-determinism`."""

    @property
    def error(self) -> str | None:
        """The failure in one line."""
        return self.failure.summary if self.failure else None


@frozen
class RunReport:
    """What a run did. `warnings` and `notices` are shown once, in the summary.

    `warnings` are the run's own, those of nodes stand in their rows. `stopped` says what ended it early, such as
    "stopping after 1 failure" or "KeyboardInterrupt".
    """

    exit_code: int
    seconds: float
    nodes: tuple[NodeReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    deselected: int = 0
    stopped: str = ""

    @property
    def saved_seconds(self) -> float:
        """What the hits of this run took to make."""
        return sum(row.saved_seconds for row in self.nodes)
