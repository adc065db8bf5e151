"""The walk over a file's syntax: what it writes and what it notes. How each kind of node is written is told to it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field

from stepcache.digest import digest
from stepcache.key.nodes import root_chain
from stepcache.key.scopes import Collector, Scope, taken_of
from stepcache.key.table import Chain
from stepcache.records import define

_LEFT_OUT = {"ctx", "type_comment", "kind", "type_ignores", "type_params", "annotation", "returns"}
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}


@define(eq=False)
class RawPart:
    """A piece of code that was walked; scopes of depth `base` and more are its own."""

    digest: str
    collector: Collector
    base: int


@define(eq=False)
class RawUnit:
    """A definition, or a statement of the module, that was walked."""

    kind: str
    name: str
    line: int
    end: int
    top: int
    body: RawPart | None = None
    signature: str = ""
    parameters: tuple[str, ...] = ()
    defaults: RawPart | None = None
    decorators: list[RawPart] = field(factory=list)
    decorated_by: list[Chain] = field(factory=list)
    annotations: list[str] = field(factory=list)
    doc: list[str] = field(factory=list)
    binds: list[str] = field(factory=list)
    body_at: tuple[int, int, int, int] = (0, 0, 0, 0)
    has_effect: bool = False
    methods: list[tuple[str, int, RawUnit]] = field(factory=list)
    bases: list[Chain] = field(factory=list)
    only_names: bool = False

    def digest(self) -> str:
        """Of all its pieces."""
        parts = [self.kind, self.name, self.signature, *sorted(method.digest() for _, _, method in self.methods)]
        parts += [part.digest if part else "" for part in (self.body, self.defaults, *self.decorators)]
        return digest("unit", *parts)


Writer = Callable[["Walker", Any], None]


class Walker:
    """Walks one file; *writers* write the nodes that have a form of their own.

    `units` are filled in the order in which they begin; `out` and `collector` are of the present piece, `notes` the
    units that it stands in. `on_bind` and `on_import` are told of what happens at module level.
    """

    def __init__(
        self,
        writers: Mapping[type[ast.AST], Writer],
        on_bind: Callable[[str, int], None],
        on_import: Callable[[ast.Import | ast.ImportFrom], None],
    ) -> None:
        self._writers = writers
        self.units: list[RawUnit] = []
        self.scope = Scope("module")
        self.collector = Collector()
        self.out: list[str] = []
        self.notes: list[RawUnit] = []
        self.callee: ast.expr | None = None
        """What is called in the call that is being written."""
        self.on_bind = on_bind
        self.on_import = on_import

    def part(self, base: int, walk: Callable[[], None], *, keep: bool = True) -> RawPart:
        """What *walk* writes and uses, as a piece; the enclosing piece uses it too, if *keep*."""
        out, collector = self.out, self.collector
        self.out, self.collector = [], Collector()
        try:
            walk()
            made = RawPart(digest("syntax", "".join(self.out)), self.collector, base)
        finally:
            self.out, self.collector = out, collector
        if keep:
            collector.merge(made.collector)
        return made

    def quietly(self, node: ast.AST) -> None:
        """Write *node* without taking note of what it uses."""
        collector, self.collector = self.collector, Collector()
        try:
            self.visit(node)
        finally:
            self.collector = collector

    def text_of(self, node: ast.AST) -> str:
        """The normal form of *node*, of which no use is noted."""
        out, self.out = self.out, []
        try:
            self.quietly(node)
            return "".join(self.out)
        finally:
            self.out = out

    def new_unit(self, kind: str, name: str, node: ast.stmt | ast.Lambda, line: int) -> tuple[int, RawUnit]:
        """The next unit, and its number."""
        index = len(self.units)
        outermost = not self.notes or (self.scope.kind == "module" and kind != "lambda")
        top = index if outermost else self.notes[-1].top
        unit = RawUnit(kind, name, line, node.end_lineno or line, top)
        self.units.append(unit)
        return index, unit

    def embed(self, unit: RawUnit) -> None:
        """Write a nested unit into the piece it stands in, and pass on what counts only for introspection."""
        self.out.append(f"(unit {unit.digest()})")
        if self.notes:
            self.notes[-1].annotations += unit.annotations
            self.notes[-1].doc += unit.doc

    def bind(self, name: str, unit: int = -1) -> None:
        """*name* is assigned in the present scope."""
        scope = self.scope
        if scope.kind == "module":
            self.on_bind(name, unit)
            return
        if name in scope.global_names:
            self.collector.assigns.add(name)
            return
        if name in scope.nonlocal_names:
            self.collector.nonlocals.add(name)
        scope.bound.add(name)

    def refer(self, chain: Chain) -> None:
        """The present piece uses *chain*."""
        scope = self.scope
        self.collector.names.update(chain[1:])
        if scope.kind == "class" and chain[0] in scope.bound:
            # What a class body has bound by now is its own; before, the name is the module's.
            self.collector.names.add(chain[0])
            if chain[0] in scope.imports:
                self.collector.direct.update(taken_of(chain, scope.imports[chain[0]]))
            return
        self.collector.chains.add((scope, chain))

    def visit(self, node: ast.AST) -> None:
        """Write *node* in normal form and note what it uses."""
        special = self._writers.get(node.__class__)
        if special is not None:
            special(self, node)
        else:
            self.generic(node)

    def generic(self, node: ast.AST) -> None:
        """Write *node*, field by field; empty fields are left out."""
        kind = node.__class__
        fields = _FIELDS.get(kind)
        if fields is None:
            fields = _FIELDS[kind] = tuple(name for name in kind._fields if name not in _LEFT_OUT)
        out = self.out
        out.append("(" + kind.__name__)
        for name in fields:
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            out.append(" " + name + "=")
            if isinstance(value, ast.AST):
                self.visit(value)
            elif isinstance(value, list):
                out.append("[")
                if value and isinstance(value[0], ast.stmt):
                    self.statements(value)
                else:
                    for item in value:
                        if isinstance(item, ast.AST):
                            self.visit(item)
                        else:
                            out.append(ascii(item) + ",")
                out.append("]")
            else:
                out.append(ascii(value))
        out.append(")")

    def statements(self, body: Sequence[ast.stmt]) -> None:
        """Write a block."""
        for node in body:
            if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                continue
            self.visit(node)

    def effect(self, target: ast.expr) -> None:
        """Note a call made for its effect, or a place that is stored into."""
        chain = root_chain(target)
        if chain is not None:
            self.collector.effects.add((self.scope, chain))
        if self.scope.kind == "module" and self.notes:
            self.notes[-1].has_effect = True

    def bind_import(self, bound: str, module: str, level: int, attribute: str | None) -> None:
        scope = self.scope
        scope.import_count += 1
        scope.imports.setdefault(bound, []).append((scope.import_count, module, level, attribute))
