"""What a result depends on, what is stored of it, and what is decided of that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from stepcache.records import frozen, unguarded

ReasonKind = Literal[
    "new", "code", "setting", "input", "file", "env", "package", "python", "version",
    "expired", "off", "refresh", "unstored", "damaged", "foreign", "evicted",
]  # fmt: skip


@frozen
class Ingredient:
    """One named thing that a result depends on and that is known before the run.

    `shown` is the JSON text of what may be told in clear (numbers, booleans, None, versions), else None.
    """

    kind: ReasonKind
    name: str
    digest: str
    shown: str | None = None


_IMPORT = "import "


@frozen
class Observation:
    """Something that a run was seen to read, with its digest at the time.

    `kind` is "file" (content), "dir" (listing), "names" (those in a listing that fit a pattern), "exists" (an existence
    test), "access …" (the right to read, write or
    execute), "env" (a variable of the environment; the digest is keyed), "given" (the same, as it was before imports of
    the project set it), "env beginning" (those that begin so), "environment" (all, or some by name), "variable" (a
    module variable's value) or "module" (a project module imported late). `name` is what finds it again: a portable
    path, a variable's name, or its number in the code graph. `label` is what `--why` prints.

    Behind "import " in `kind` it is what a module has read while it was imported, and only explains: what came of it
    counts, as the values of variables.
    """

    kind: str
    name: str
    digest: str
    label: str = ""

    @property
    def counts(self) -> bool:
        """Is it to hold, if a result is to be used?"""
        return not self.kind.startswith(_IMPORT)

    @property
    def seen_as(self) -> str:
        """Its kind, whether or not it only explains."""
        return self.kind.removeprefix(_IMPORT)

    @property
    def of_import(self) -> Observation:
        """The same, to explain the values that an import made."""
        return Observation(_IMPORT + self.kind, self.name, self.digest, self.label)


@unguarded
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

    @property
    def every_class(self) -> tuple[str, ...]:
        """`classes`, with those of its parts."""
        return tuple(dict.fromkeys(each for value in (self, *self.contents) for each in value.classes))

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


def joined(outputs: Iterable[Output]) -> Output:
    """Outputs one after the other."""
    every = list(outputs)
    if len(every) == 1:
        return every[0]
    return Output(
        "".join(each.stdout for each in every),
        "".join(each.stderr for each in every),
        "".join(each.log for each in every),
        tuple(dict.fromkeys(warning for each in every for warning in each.warnings)),
    )


@unguarded
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
    elements: tuple[int, int] | None = None
    """How many elements a mapped step was run for, with those taken from the cache, and how many were skipped."""


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
        if self.kind == "version":  # strings are never told in clear
            return "version: changed"
        if self.kind == "package" and self.shown:
            return f"package: {self.what} {_versions(self.was, self.now)}"
        change = f"{_plain(self.was)} -> {_plain(self.now)}" if self.shown else ""
        if self.kind == "setting" and not change:
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


_SHOWN_BITS = 4096


def shown_scalar(value: object) -> str | None:
    """The JSON text of a value that explanations may show: a number, a boolean or None.

    Python makes no text of an int of thousands of digits, which nobody would read.
    """
    is_short = type(value) is int and value.bit_length() <= _SHOWN_BITS
    return json.dumps(value) if is_short or value is None or type(value) in (bool, float) else None


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
