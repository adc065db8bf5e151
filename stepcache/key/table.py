"""What is known of one source file: its definitions, the names that they use, and its imports. Frozen, and bytes."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import Any

from attrs import field

from stepcache.records import frozen

Chain = tuple[str, ...]
"""A name and the attributes taken of it: `settings.CFG.x` is ("settings", "CFG", "x")."""

# Part of the name under which tables are remembered: raise it when tables or the digests in them change.
TABLE_FORMAT = 12


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
    "names" and "modules" of functions and classes, "subclasses", "attributes" where it names attributes at run time,
    or "remakes" where it may give a function other code or defaults. `names` are the attributes that it names.
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


NO_USES = Uses()


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
    or stores into something, and of a class whose bases or metaclass are not plain names. `only_names` is true of a
    statement or definition that binds names to definitions and to what has a name already, and so runs nothing.
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
    only_names: bool = False

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

    def to_bytes(self) -> bytes:
        """The table as plain tuples, marshalled: what is equal is written, and comes back, once."""
        rows = _Rows()
        return marshal.dumps(
            (
                self.digest, self.source, tuple(map(rows.unit, self.units)),
                {
                    name: tuple((b.unit, b.module, b.level, b.attribute) for b in found)
                    for name, found in self.bindings.items()
                },
                self.imports, self.stars, self.assigners, self.impure, self.broken, self.doc,
            ),
            _MARSHAL_VERSION,
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> SourceTable:
        """The table that `to_bytes` wrote."""
        digest, source, units, bindings, imports, stars, assigners, impure, broken, doc = marshal.loads(data)
        parts = _Parts()
        return cls(
            digest,
            source,
            tuple(map(parts.unit, units)),
            {name: tuple(Binding(*row) for row in rows) for name, rows in bindings.items()},
            imports,
            stars,
            assigners,
            impure,
            broken,
            doc,
        )


# That of all Pythons that stepcache runs on.
_MARSHAL_VERSION = 4
_Row = tuple[Any, ...]


class _Rows:
    """Units as plain tuples; equal ones are one object."""

    def __init__(self) -> None:
        self._one: dict[_Row, _Row] = {}

    def unit(self, unit: Unit) -> _Row:
        return (
            unit.kind, unit.name, unit.line, unit.end, self._part(unit.body), unit.top, unit.signature,
            self._shared(unit.parameters), self._part(unit.defaults) if unit.defaults else None,
            self._shared(tuple(map(self._part, unit.decorators))), self._shared(unit.decorated_by), unit.annotations,
            unit.doc, unit.binds, unit.body_at, unit.has_effect, unit.methods, unit.bases, unit.only_names,
        )  # fmt: skip

    def _part(self, part: Part) -> _Row:
        uses = part.uses
        if uses == NO_USES:
            return (part.digest,)
        return self._shared((
            part.digest, self._each(uses.chains), self._each(uses.free),
            tuple((i.label, i.module, i.level, i.chain, i.present) for i in uses.imports),
            tuple((d.feature, d.line, d.detail, d.chain) for d in uses.dynamic),
            uses.strings, uses.assigns, uses.nonlocals, self._each(uses.effects), uses.marks, uses.names,
        ))  # fmt: skip

    def _each(self, chains: tuple[Chain, ...]) -> _Row:
        return self._shared(tuple(map(self._shared, chains)))

    def _shared(self, row: _Row) -> _Row:
        return self._one.setdefault(row, row)


class _Parts:
    """Units out of such tuples; equal parts are one object."""

    def __init__(self) -> None:
        self._one: dict[int, Part] = {}

    def unit(self, row: _Row) -> Unit:
        kind, name, line, end, body, top, signature, parameters, defaults, decorators, *rest = row
        return Unit(
            kind, name, line, end, self._part(body), top, signature, parameters,
            self._part(defaults) if defaults else None, tuple(map(self._part, decorators)), *rest,
        )  # fmt: skip

    def _part(self, row: _Row) -> Part:
        if len(row) == 1:
            return Part(row[0], NO_USES)
        known = self._one.get(id(row))
        if known is None:
            digest, chains, free, imports, dynamic, *rest = row
            imported = tuple(Import(*each) for each in imports)
            known = Part(digest, Uses(chains, free, imported, tuple(Dynamic(*each) for each in dynamic), *rest))
            self._one[id(row)] = known
        return known
