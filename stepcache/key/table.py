"""What is known of one source file: its definitions, the names that they use, and its imports. Frozen, and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import field

from stepcache.records import frozen

Chain = tuple[str, ...]
"""A name and the attributes taken of it: `settings.CFG.x` is ("settings", "CFG", "x")."""

# Part of the name under which tables are remembered: raise it when tables or the digests in them change.
TABLE_FORMAT = 6


@frozen
class Import:
    """Something imported inside a body, or by `import_module` of a literal, and what was taken of it.

    `label` is how the body writes it. `chain` are the names followed in the module: () for the module itself. Where
    `present` is true they are only imported: it counts whether they are there.
    """

    label: str
    module: str
    level: int
    chain: Chain
    present: bool = False


@frozen
class Dynamic:
    """A use that names code at run time.

    `feature` is "names" (any name of the module: eval, exec, globals), "import" (a module named by `detail`, a
    name), "import-prefix" (a module whose name begins with `detail`), "import-any", or "getattr" (an attribute of
    `chain` named by `detail`, a name, or unknown where that is empty).
    """

    feature: str
    line: int
    detail: str
    chain: Chain = ()


@frozen
class Uses:
    """What a piece of code uses.

    `chains` start with a global name, `free` with a name of an enclosing function. `strings` are its literals.
    `assigns` are the globals and `nonlocals` the enclosing names that it assigns. `effects` are what it calls for
    effect or stores into. `marks` says what it looks at beyond behaviour: "annotations", "doc", "source",
    "subclasses", "attributes" where it names attributes at run time, or "remakes" where it may give a function other
    code or defaults. `names` are the attributes that it names.
    """

    chains: tuple[Chain, ...] = ()
    free: tuple[Chain, ...] = ()
    imports: tuple[Import, ...] = ()
    dynamic: tuple[Dynamic, ...] = ()
    strings: tuple[str, ...] = ()
    assigns: tuple[str, ...] = ()
    nonlocals: tuple[str, ...] = ()
    effects: tuple[Chain, ...] = ()
    marks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@frozen
class Part:
    """A piece of code: the digest of its syntax, and what it uses."""

    digest: str
    uses: Uses


@frozen
class Unit:
    """A definition, or a statement of the module.

    `kind` is "function", "lambda", "class" or "statement". `line` is that of the first decorator; `body_at` is
    where a lambda's expression begins and ends. `methods` are the methods of a class that nobody calls without naming
    them, with the numbers of their units, and `bases` its bases. `decorated_by` names the decorators. `signature`
    digests the parameters in their order. `annotations` and `doc` digest what counts only for code that looks at it.
    `binds` are the names that a statement assigns. `has_effect` is true of a statement that calls something for effect
    or stores into something, and of a class whose bases or metaclass are not plain names.
    """

    kind: str
    name: str
    line: int
    end: int
    body: Part
    top: int
    signature: str = ""
    parameters: tuple[str, ...] = ()
    defaults: Part | None = None
    decorators: tuple[Part, ...] = ()
    decorated_by: tuple[Chain, ...] = ()
    annotations: str = ""
    doc: str = ""
    binds: tuple[str, ...] = ()
    body_at: tuple[int, int, int, int] = (0, 0, 0, 0)
    has_effect: bool = False
    methods: tuple[tuple[str, int], ...] = ()
    bases: tuple[Chain, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All its pieces."""
        return (self.body, *((self.defaults,) if self.defaults else ()), *self.decorators)

    @property
    def at_import(self) -> tuple[Part, ...]:
        """The pieces that run when its module is imported."""
        own = (self.body,) if self.kind in ("statement", "class") else ()
        return (*own, *self.decorators, *((self.defaults,) if self.defaults else ()))


@frozen
class Binding:
    """What gives a module one of its names: the unit of that number, or an import.

    For `import a.b` the name is `a`: `module` is "a" and `attribute` None.
    """

    unit: int = -1
    module: str = ""
    level: int = 0
    attribute: str | None = None


def registers(decorator: Chain) -> bool:
    """Does a decorator hand what it decorates to something, by its name?"""
    return any(part.startswith("register") for part in decorator[1:])


@frozen
class SourceTable:
    """One file. `digest` is of its syntax as a whole; `broken` where it cannot be parsed, and then of its bytes.

    `imports` are the modules that its import imports, as (module, level, names taken). `stars` are those of
    `from … import *`. `assigners` are, for each global that a function assigns, the units that do. `impure` are
    the variables whose values depend on the clock, chance, the process or the machine. `doc` digests the docstring.
    """

    digest: str
    source: str
    units: tuple[Unit, ...] = ()
    bindings: dict[str, tuple[Binding, ...]] = field(factory=dict)
    imports: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    stars: tuple[tuple[str, int], ...] = ()
    assigners: dict[str, tuple[int, ...]] = field(factory=dict)
    impure: frozenset[str] = frozenset()
    broken: bool = False
    doc: str = ""
    effective: tuple[int, ...] = field(eq=False, init=False, repr=False)
    """The units that may change installed code when they are imported: few, while many ask for them."""
    remakes: bool = field(default=False, eq=False, init=False, repr=False)
    """Does something in the file name what functions are made of?"""
    _by_name: dict[str, list[int]] = field(factory=dict, eq=False, init=False, repr=False)

    @effective.default
    def _effective(self) -> tuple[int, ...]:
        return tuple(
            index
            for index, unit in enumerate(self.units)
            if (unit.has_effect if unit.kind == "statement" else any(map(registers, unit.decorated_by)))
        )

    def __attrs_post_init__(self) -> None:
        for index, unit in enumerate(self.units):
            if unit.kind != "statement":
                self._by_name.setdefault(unit.name, []).append(index)
        object.__setattr__(self, "remakes", any("remakes" in unit.body.uses.marks for unit in self.units))

    def imports_anywhere(self) -> Iterator[tuple[str, int, tuple[str, ...]]]:
        """What is imported by its import, and in its functions, as `imports` has it."""
        yield from self.imports
        for unit in self.units:
            for part in unit.parts:
                yield from ((one.module, one.level, one.chain[:1]) for one in part.uses.imports)

    def named(self, name: str) -> list[int]:
        """The numbers of the functions, lambdas and classes of that qualified name, in source order."""
        return self._by_name.get(name, [])

    def to_json(self) -> bytes:
        """The table as JSON."""
        return json.dumps(
            [
                self.digest, self.source, [_unit_row(unit) for unit in self.units],
                {
                    name: [[b.unit, b.module, b.level, b.attribute] for b in found]
                    for name, found in self.bindings.items()
                },
                self.imports, self.stars, self.assigners, sorted(self.impure), self.broken, self.doc,
            ],
            separators=(",", ":"),
        ).encode()  # fmt: skip

    @classmethod
    def from_json(cls, data: bytes) -> SourceTable:
        """The table that `to_json` wrote."""
        digest, source, units, bindings, imports, stars, assigners, impure, broken, doc = json.loads(data)
        return cls(
            digest,
            source,
            tuple(map(_unit, units)),
            {name: tuple(Binding(*row) for row in rows) for name, rows in bindings.items()},
            tuple((module, level, tuple(names)) for module, level, names in imports),
            tuple((module, level) for module, level in stars),
            {name: tuple(units) for name, units in assigners.items()},
            frozenset(impure),
            broken,
            doc,
        )


def _unit_row(unit: Unit) -> list[Any]:
    return [
        unit.kind, unit.name, unit.line, unit.end, _part_row(unit.body), unit.top, unit.signature, unit.parameters,
        _part_row(unit.defaults) if unit.defaults else None, [_part_row(part) for part in unit.decorators],
        unit.decorated_by,
        unit.annotations, unit.doc, unit.binds, unit.body_at, unit.has_effect, unit.methods, unit.bases,
    ]  # fmt: skip


def _unit(row: list[Any]) -> Unit:
    (
        kind, name, line, end, body, top, signature, parameters, defaults, decorators, by, notes, doc, binds, at,
        effect, methods, bases,
    ) = row  # fmt: skip
    return Unit(
        kind, name, line, end, _part(body), top, signature, tuple(parameters),
        _part(defaults) if defaults else None, tuple(map(_part, decorators)), tuple(map(tuple, by)),
        notes, doc, tuple(binds), (at[0], at[1], at[2], at[3]), effect,
        tuple((method, index) for method, index in methods), tuple(map(tuple, bases)),
    )  # fmt: skip


def _part_row(part: Part) -> list[Any]:
    uses = part.uses
    row = [
        uses.chains, uses.free, [[i.label, i.module, i.level, i.chain, i.present] for i in uses.imports],
        [[d.feature, d.line, d.detail, d.chain] for d in uses.dynamic],
        uses.strings, uses.assigns, uses.nonlocals, uses.effects, uses.marks,
        uses.names,
    ]  # fmt: skip
    while row and not row[-1]:
        row.pop()
    return [part.digest, *row]


_NO_USES = Uses()


def _part(row: list[Any]) -> Part:
    if len(row) == 1:
        return Part(row[0], _NO_USES)
    chains, free, imports, dynamic, strings, assigns, nonlocals, effects, marks, names = row[1:] + [()] * (
        11 - len(row)
    )
    uses = Uses(
        tuple(map(tuple, chains)),
        tuple(map(tuple, free)),
        tuple(Import(i[0], i[1], i[2], tuple(i[3]), i[4]) for i in imports),
        tuple(Dynamic(d[0], d[1], d[2], tuple(d[3])) for d in dynamic),
        tuple(strings),
        tuple(assigns),
        tuple(nonlocals),
        tuple(map(tuple, effects)),
        tuple(marks),
        tuple(names),
    )
    return Part(row[0], uses)
