"""One file's source → its table: definitions with digests and the names that they use. Pure.

Digests are of a normal form that is the same on every Python. Left out are positions, comments, formatting,
docstrings, annotations of functions and variables, `pass` and bare constants; set displays of constants and the plain
methods of a class are sorted. Constants keep their type.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Sequence

from stepcache.digest import digest, digest_all
from stepcache.garbage import growing
from stepcache.key import definitions, expressions, statements
from stepcache.key.naming import Naming
from stepcache.key.nodes import is_type_checking
from stepcache.key.table import TABLE_FORMAT, Binding, Chain, Part, SourceTable, Unit, Uses
from stepcache.key.walker import RawPart, RawUnit, Walker

__all__ = ["SourceTable", "analyse", "table_name"]

_WRITERS = {**expressions.WRITERS, **statements.WRITERS, **definitions.WRITERS}

# Deep enough for any expression that Python itself can parse.
_DEPTH = 60_000

# What makes a value differ from one import to the next: modules, and names by themselves.
_IMPURE_MODULES = {"time", "random", "uuid", "secrets", "tempfile"}
_IMPURE_NAMES = {
    "id", "hash", "getpid", "getppid", "urandom", "now", "today", "utcnow", "random", "uuid1", "uuid4", "monotonic",
    "perf_counter", "time_ns", "gethostname", "getfqdn", "cpu_count", "get_ident", "get_native_id", "current_thread",
    "main_thread", "current_process", "mkdtemp", "mkstemp", "default_rng", "getrandbits", "token_hex",
}  # fmt: skip


def table_name(text: bytes) -> str:
    """The name under which the table of a file with this source is remembered."""
    return digest("source table", str(TABLE_FORMAT), text)


def analyse(text: bytes, filename: str) -> SourceTable:
    """The table of a file with the source *text*, the same on every Python; *filename* is for messages only.

    A file that cannot be parsed counts by its bytes.
    """
    with growing():  # a syntax tree is many objects, of which none is garbage: to look for it took half of the time
        return _analysed(text, filename)


def _analysed(text: bytes, filename: str) -> SourceTable:
    source = digest("source", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, filename)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return SourceTable(source, source, broken=True)
    try:
        return _table(tree, source)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _DEPTH))
        try:
            return _table(tree, source)
        finally:
            sys.setrecursionlimit(limit)


def _table(tree: ast.Module, source: str) -> SourceTable:
    walk = _ModuleWalk()
    try:
        return walk.table(tree, source)
    finally:
        del walk.walker  # which refers to it: all that was noted goes now, and not when garbage is looked for


class _ModuleWalk:
    """The walk over the statements of a module."""

    def __init__(self) -> None:
        self.walker = Walker(_WRITERS, self.on_bind, self.on_import)
        self.bindings: dict[str, list[Binding]] = {}
        self.naming = Naming(self.bindings)
        self.imports: list[tuple[str, int, tuple[str, ...]]] = []
        self.stars: list[tuple[str, int]] = []
        self.statement: tuple[int, RawUnit] | None = None
        self.syntax: list[str] = []

    def table(self, tree: ast.Module, source: str) -> SourceTable:
        """The table of the module *tree*."""
        self.statements(tree.body)
        names = frozenset(self.bindings)
        known: dict[str, Part] = {}
        units = tuple(_finished(unit, names, known) for unit in self.walker.units)
        return SourceTable(
            digest=digest_all("file", self.syntax),
            source=source,
            units=units,
            bindings={
                name: tuple(dict.fromkeys(found) if found[1:] else found) for name, found in self.bindings.items()
            },
            imports=(*self.imports, *_imports_by_name(units)),
            stars=tuple(self.stars),
            assigners=_assigners(units),
            impure=_impure(units, self.bindings),
            doc=digest("doc", ast.get_docstring(tree, clean=False) or ""),
        )

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.If) and is_type_checking(node.test):
                self.statements(node.orelse)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                first = len(self.walker.units)
                self.walker.visit(node)
                self.walker.units[first].only_names = self.naming.only_names(node)
                self.syntax.append(self.walker.units[first].digest())
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self.syntax.append(ast.unparse(node))
                self.on_import(node)
            elif not isinstance(node, ast.Pass) and not (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            ):
                self.whole_statement(node)

    def whole_statement(self, node: ast.stmt) -> None:
        """A statement that may bind names: one unit, whatever it holds; functions in it are units of their own."""
        walker = self.walker
        index, unit = walker.new_unit("statement", "", node, node.lineno)
        self.statement = (index, unit)
        first = len(walker.units)
        walker.notes.append(unit)
        try:
            unit.body = walker.part(1, lambda: walker.visit(node), keep=False)
        finally:
            walker.notes.pop()
            self.statement = None
        unit.name = ", ".join(unit.binds)
        unit.only_names = self.naming.only_names(node)
        if is_main_guard(node):
            unit.has_effect = False
        self.syntax.append(unit.digest())
        self.syntax.extend(inner.digest() for inner in walker.units[first:] if inner.kind != "lambda")

    def on_bind(self, name: str, unit: int) -> None:
        """A name of the module is bound, by a definition or by the present statement."""
        if unit < 0 and self.statement is not None:
            unit = self.statement[0]
            if name not in self.statement[1].binds:
                self.statement[1].binds.append(name)
        self.bindings.setdefault(name, []).append(Binding(unit))
        if self.statement is not None and unit != self.statement[0]:
            self.bindings[name].append(Binding(self.statement[0]))  # which definition it is, the statement decides
            self.walker.out.append(f"(def {name})")

    def on_import(self, node: ast.Import | ast.ImportFrom) -> None:
        """An import at module level."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports.append((alias.name, 0, ()))
                module = alias.name if alias.asname else alias.name.split(".")[0]
                self._bound(alias.asname or module, Binding(module=module))
            return
        module, level = node.module or "", node.level
        self.imports.append((module, level, tuple(alias.name for alias in node.names if alias.name != "*")))
        for alias in node.names:
            if alias.name == "*":
                self.stars.append((module, level))
                self._bound("*", Binding(module=module, level=level))
            else:
                self._bound(alias.asname or alias.name, Binding(-1, module, level, alias.name))

    def _bound(self, name: str, binding: Binding) -> None:
        if name != "*":
            found = self.bindings.setdefault(name, [])
            found += [binding] if self.statement is None else [binding, Binding(self.statement[0])]
        if self.statement is not None:
            self.walker.out.append(f"(Import {name})")


def is_main_guard(node: ast.stmt) -> bool:
    """Is it `if __name__ == "__main__":`?"""
    return isinstance(node, ast.If) and "__name__" in {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}


def _finished(unit: RawUnit, names: frozenset[str], known: dict[str, Part]) -> Unit:
    assert unit.body is not None
    return Unit(
        kind=unit.kind,
        name=unit.name,
        line=unit.line,
        end=unit.end,
        body=_part(unit.body, names),
        top=unit.top,
        signature=unit.signature,
        parameters=unit.parameters,
        defaults=_part(unit.defaults, names) if unit.defaults else None,
        decorators=tuple(_decorator(part, names, known) for part in unit.decorators),
        decorated_by=tuple(unit.decorated_by),
        annotations=digest_all("annotations", unit.annotations) if unit.annotations else "",
        doc=digest_all("doc", unit.doc) if unit.doc else "",
        binds=tuple(unit.binds),
        body_at=unit.body_at,
        has_effect=unit.has_effect,
        methods=tuple((name, index) for name, index, _ in unit.methods),
        bases=tuple(unit.bases),
        only_names=unit.only_names,
    )


def _part(part: RawPart, names: frozenset[str]) -> Part:
    return Part(part.digest, part.collector.uses(part.base, names))


def _decorator(part: RawPart, names: frozenset[str], known: dict[str, Part]) -> Part:
    """The part of a decorator: many definitions have the same."""
    found = _part(part, names)
    same = known.setdefault(found.digest, found)
    return same if same == found else found


def _imports_by_name(units: Sequence[Unit]) -> list[tuple[str, int, tuple[str, ...]]]:
    """What the module's own statements import by `import_module` of a literal."""
    return [
        (one.module, one.level, ())
        for unit in units
        if unit.kind == "statement"
        for one in unit.body.uses.imports
        if not one.chain and not one.present
    ]


def _assigners(units: Sequence[Unit]) -> dict[str, tuple[int, ...]]:
    """For each global that functions assign, the outermost definitions that do."""
    found: dict[str, dict[int, None]] = {}
    methods = {index for unit in units for _, index in unit.methods}
    for index, unit in enumerate(units):
        for part in unit.parts:
            for name in part.uses.assigns:
                found.setdefault(name, {})[index if index in methods else unit.top] = None
    return {name: tuple(tops) for name, tops in found.items()}


def _impure(units: Sequence[Unit], bindings: dict[str, list[Binding]]) -> frozenset[str]:
    """The variables whose value visibly depends on the clock, chance or the process, or on one whose does."""
    names: dict[int, list[str]] = {}
    for name, found in bindings.items():
        for binding in found:
            names.setdefault(binding.unit, []).append(name)
    users: dict[str, set[int]] = {}
    todo: list[int] = []
    methods = {index for unit in units for _, index in unit.methods}
    for index, unit in enumerate(units):
        if index == unit.top or index in methods:
            for chain in (chain for part in unit.parts for chain in part.uses.chains):
                users.setdefault(chain[0], set()).add(unit.top)
            if any(_is_impure(part.uses, bindings) for part in unit.parts):
                todo.append(unit.top)
    impure: set[str] = set()
    seen = set(todo)
    for index in todo:
        made = names.get(index, ()) if index >= 0 else ()
        if units[index].kind == "statement":
            impure.update(made)
        for name in made:
            # It passes on to the variables that are made with it.
            fresh = {user for user in users.get(name, ()) if user not in seen and units[user].kind == "statement"}
            seen |= fresh
            todo += sorted(fresh)
    return frozenset(impure)


def _is_impure(uses: Uses, bindings: dict[str, list[Binding]]) -> bool:
    if any(one.module.split(".")[0] in _IMPURE_MODULES for one in uses.imports):
        return True
    return any(_impure_chain(chain, bindings) for chain in uses.chains)


def _impure_chain(chain: Chain, bindings: dict[str, list[Binding]]) -> bool:
    found = bindings.get(chain[0], ())
    for binding in found:
        if binding.unit < 0:
            full = (*binding.module.split("."), *((binding.attribute,) if binding.attribute else ()), *chain[1:])
            if full[0] in _IMPURE_MODULES or full[-1] in _IMPURE_NAMES or "random" in full:
                return True
    if not found:
        return len(chain) == 1 and chain[0] in ("id", "hash")
    return len(chain) > 1 and chain[-1] in _IMPURE_NAMES - {"id", "hash", "random"}
