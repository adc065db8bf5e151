"""The walk over a file's syntax: its normal form, the same on every Python, and the names that it uses.

Left out are positions, comments, formatting, docstrings, annotations of functions and variables, `pass`, and bare
constants; set displays of constants and the plain methods of a class are sorted. Constants keep their type.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from stepcache.digest import digest
from stepcache.key.scopes import Collector, Scope, taken_of
from stepcache.key.table import Chain, Dynamic, Import

_LEFT_OUT = {"ctx", "type_comment", "kind", "type_ignores", "type_params", "annotation", "returns"}
_MARKS = {
    "__annotations__": "annotations", "get_type_hints": "annotations", "get_annotations": "annotations",
    "signature": "annotations", "getfullargspec": "annotations", "__doc__": "doc", "getdoc": "doc",
    "getsource": "source", "getsourcelines": "source", "__subclasses__": "subclasses",
}  # fmt: skip
_ANY_NAME = {"eval", "exec", "globals", "compile"}
# Methods that look up names of the caller in the text they are given (pandas, Polars, DuckDB).
_QUERIES = {"query", "eval", "sql", "execute"}
_WORD = re.compile(r"[A-Za-z_]\w*")
# Decorators under which the order of a class's methods tells nothing.
_PLAIN_DECORATORS = {
    "property", "setter", "getter", "deleter", "staticmethod", "classmethod", "abstractmethod", "cached_property",
    "override", "final", "lru_cache", "cache", "contextmanager",
}  # fmt: skip
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

    def digest(self) -> str:
        """Of all its pieces."""
        parts = [self.kind, self.name, self.signature]
        for part in (self.body, self.defaults, *self.decorators):
            parts.append(part.digest if part else "")
        return digest("unit", *parts)


FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Walker:
    """Walks one file. `units` are filled in the order in which they begin."""

    def __init__(self) -> None:
        self.units: list[RawUnit] = []
        self.scope = Scope("module")
        self.collector = Collector()
        self.out: list[str] = []
        self.notes: list[RawUnit] = []
        self.on_bind: Callable[[str, int], None] = lambda name, unit: None
        self.on_import: Callable[[ast.Import | ast.ImportFrom], None] = lambda node: None

    # --- pieces

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

    # --- names

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
        if scope.kind == "class" and chain[0] in scope.bound:
            # What a class body has bound by now is its own; before, the name is the module's.
            if chain[0] in scope.imports:
                self.collector.direct.update(taken_of(chain, scope.imports[chain[0]]))
            return
        self.collector.chains.add((scope, chain))

    # --- the walk

    def visit(self, node: ast.AST) -> None:
        """Write *node* in normal form and note what it uses."""
        special = _SPECIAL.get(node.__class__)
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

    def expression_statement(self, node: ast.Expr) -> None:
        self.effect(node.value)
        self.generic(node)

    def effect(self, target: ast.expr) -> None:
        """Note a call made for its effect, or a place that is stored into."""
        chain = root_chain(target)
        if chain is not None:
            self.collector.effects.add((self.scope, chain))
        if self.scope.kind == "module" and self.notes:
            self.notes[-1].has_effect = True

    def name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.refer((node.id,))
            if node.id in _MARKS:
                self.collector.marks.add(_MARKS[node.id])
        else:
            self.bind(node.id)
        self.out.append(f"(Name {node.id})")

    def attribute(self, node: ast.Attribute) -> None:
        if node.attr in _MARKS:
            self.collector.marks.add(_MARKS[node.attr])
        if not isinstance(node.ctx, ast.Load):
            self.effect(node)
        chain = chain_of(node)
        if chain is None:
            self.generic(node)
            return
        self.refer(chain)
        self.out.append(f"(Chain {'.'.join(chain)})")

    def subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.effect(node)
        if chain_of(node.value) == ("sys", "modules") and isinstance(node.ctx, ast.Load):
            self.module_named(node.slice, node.lineno, "sys.modules[…]")
        self.generic(node)

    def constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str):
            self.collector.strings.add(value)
        elif isinstance(value, bytes) and len(value) < 500:
            self.collector.strings.add(value.decode("latin-1"))
        self.out.append(constant_text(value))

    def joined(self, node: ast.JoinedStr) -> None:
        """An f-string: empty pieces out, neighbours merged, since Pythons differ in how they cut it."""
        self.out.append("(JoinedStr ")
        text = ""
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                text += str(piece.value)
                continue
            self._text_piece(text)
            text = ""
            self.visit(piece)
        self._text_piece(text)
        self.out.append(")")

    def _text_piece(self, text: str) -> None:
        if text:
            self.collector.strings.add(text)
            self.out.append(ascii(text))

    def set_display(self, node: ast.Set) -> None:
        if not all(isinstance(item, ast.Constant) for item in node.elts):
            self.generic(node)
            return
        for item in node.elts:
            self.quiet_constant(item)
        self.out.append("(Set " + ",".join(sorted({self.text_of(item) for item in node.elts})) + ")")

    def quiet_constant(self, node: ast.expr) -> None:
        """Note a constant's text without writing it."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.collector.strings.add(node.value)

    # --- calls that name code at run time

    def call(self, node: ast.Call) -> None:
        chain = chain_of(node.func)
        last = chain[-1] if chain else getattr(node.func, "attr", "")
        if chain is not None and len(chain) == 1 and (last in _ANY_NAME or (last == "vars" and not node.args)):
            self.collector.dynamic.append((self.scope, Dynamic("names", node.lineno, last)))
        elif last in ("import_module", "__import__") and node.args:
            self.module_named(node.args[0], node.lineno, last)
        elif chain == ("sys", "modules", "get") and node.args:
            self.module_named(node.args[0], node.lineno, "sys.modules.get")
        elif chain in (("getattr",), ("hasattr",)) and len(node.args) >= 2 and self.get_attribute(node):
            return
        if last in _QUERIES:
            self.query(node)
        self.generic(node)

    def get_attribute(self, node: ast.Call) -> bool:
        """`getattr(a.b, …)`: the attribute is followed if it is a literal; True if the call was written."""
        target = chain_of(node.args[0])
        if target is None:
            return False
        name = node.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.refer((*target, *name.value.split(".")[:1]))
        else:
            detail = name.id if isinstance(name, ast.Name) else ""
            self.collector.dynamic.append((self.scope, Dynamic("getattr", node.lineno, detail, target)))
        self.out.append("(Call func=")
        self.visit(node.func)
        self.out.append(" args=[")
        self.quietly(node.args[0])
        for argument in node.args[1:]:
            self.visit(argument)
        self.out.append("])")
        return True

    def module_named(self, name: ast.expr, line: int, feature: str) -> None:
        """A module is asked for by *name*."""
        found = self.named_import(name)
        if found is not None:
            self.collector.direct.add(Import(f"{feature} {found[0]}", found[0], found[1], ()))
            return
        head = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else None
        if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
            head = name.left
        if isinstance(name, ast.Name) and name.id == "__name__":
            one = Dynamic("names", line, feature)
        elif isinstance(name, ast.Name):
            one = Dynamic("import", line, name.id)
        elif isinstance(head, ast.Constant) and isinstance(head.value, str) and "." in head.value.lstrip("."):
            one = Dynamic("import-prefix", line, head.value)
        else:
            one = Dynamic("import-any", line, feature)
        self.collector.dynamic.append((self.scope, one))

    @staticmethod
    def named_import(name: ast.expr) -> tuple[str, int] | None:
        """(module, level) of a literal module name."""
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            return None
        return name.value.lstrip("."), len(name.value) - len(name.value.lstrip("."))

    def query(self, node: ast.Call) -> None:
        """Texts given to a query may name variables of the module."""
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            for piece in ast.walk(argument):
                if isinstance(piece, ast.Constant) and isinstance(piece.value, str) and len(piece.value) < 20_000:
                    self.collector.words.update((self.scope, word) for word in _WORD.findall(piece.value))

    # --- assignments and imports

    def assign(self, node: ast.Assign) -> None:
        value = node.value
        only = node.targets[0] if len(node.targets) == 1 else None
        if isinstance(only, ast.Name) and isinstance(value, ast.Call) and value.args and self.scope.kind != "module":
            chain = chain_of(value.func)
            found = self.named_import(value.args[0])
            if chain is not None and chain[-1] == "import_module" and found is not None:
                # `m = import_module("app.helpers")` is `import app.helpers as m`.
                self.bind(only.id)
                self.bind_import(only.id, found[0], found[1], None)
                self.out.append(f"(Import {only.id}#{self.scope.import_count})")
                self.collector.direct.add(Import(f"import {found[0]}", found[0], found[1], (), True))
                return
        self.write_assign(node.targets, value)

    def write_assign(self, targets: Sequence[ast.expr], value: ast.expr) -> None:
        self.out.append("(Assign ")
        self.visit(value)
        self.out.append(" to ")
        for target in targets:
            self.visit(target)
        self.out.append(")")

    def annotated(self, node: ast.AnnAssign) -> None:
        """`x: int = 3` is `x = 3`, except in a class body, where annotations make fields."""
        if self.scope.kind == "class":
            self.out.append("(Field ")
            self.annotation(node.annotation)
            self.visit(node.target)
            if node.value is not None:
                self.visit(node.value)
            self.out.append(")")
            return
        if self.notes:
            self.notes[-1].annotations.append(self.text_of(node.annotation))
        if node.value is not None:
            self.write_assign([node.target], node.value)
        elif isinstance(node.target, ast.Name) and self.scope.kind != "module":
            self.bind(node.target.id)

    def annotation(self, node: ast.expr) -> None:
        """Write an annotation that counts; text is read as the expression that it stands for."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                pass  # no expression: it counts as text
        self.visit(node)

    def augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.refer((node.target.id,))
        self.generic(node)

    def walrus(self, node: ast.NamedExpr) -> None:
        inner = self.scope
        while self.scope.kind == "comprehension" and self.scope.parent is not None:
            self.scope = self.scope.parent
        self.bind(node.target.id)
        self.scope = inner
        self.out.append(f"(NamedExpr {node.target.id} ")
        self.visit(node.value)
        self.out.append(")")

    def import_(self, node: ast.Import | ast.ImportFrom) -> None:
        attribute: str | None
        if self.scope.kind == "module":
            self.on_import(node)
            return
        level = node.level if isinstance(node, ast.ImportFrom) else 0
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                attribute = alias.name
                bound = alias.asname or alias.name
                self.collector.direct.add(Import(f"from #{self.scope.import_count}", module, level, (attribute,), True))
            else:
                module = alias.name if alias.asname else alias.name.split(".")[0]
                attribute, bound = None, alias.asname or module
                self.collector.direct.add(Import(f"import #{self.scope.import_count}", alias.name, 0, (), True))
            self.bind(bound)
            self.bind_import(bound, module, level, attribute)
            # Where the module lies is told by what the name leads to, so that a renamed module changes nothing.
            self.out.append(f"(Import {bound}#{self.scope.import_count})")

    def bind_import(self, bound: str, module: str, level: int, attribute: str | None) -> None:
        scope = self.scope
        scope.import_count += 1
        scope.imports.setdefault(bound, []).append((scope.import_count, module, level, attribute))

    def global_(self, node: ast.Global) -> None:
        if self.scope.kind != "module":
            self.scope.global_names.update(node.names)
        self.out.append("(Global " + ",".join(sorted(node.names)) + ")")

    def nonlocal_(self, node: ast.Nonlocal) -> None:
        self.scope.nonlocal_names.update(node.names)
        self.out.append("(Nonlocal " + ",".join(sorted(node.names)) + ")")

    def named_handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind(node.name)
        self.generic(node)

    def pattern(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self.bind(name)
        self.generic(node)

    def if_(self, node: ast.If) -> None:
        """A branch that only type checkers take is left out."""
        if is_type_checking(node.test):
            self.statements(node.orelse)
            return
        self.generic(node)

    # --- scopes

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.out.append("(" + node.__class__.__name__)
        outer = self.scope
        self.visit(node.generators[0].iter)
        self.scope = outer.child("comprehension", outer.prefix)
        try:
            for index, generator in enumerate(node.generators):
                self.out.append(f" for{generator.is_async} ")
                self.visit(generator.target)
                if index:
                    self.visit(generator.iter)
                for condition in generator.ifs:
                    self.out.append(" if ")
                    self.visit(condition)
            self.out.append(" give ")
            if isinstance(node, ast.DictComp):
                self.visit(node.key)
                self.visit(node.value)
            else:
                self.visit(node.elt)
        finally:
            self.scope = outer
        self.out.append(")")

    def lambda_(self, node: ast.Lambda) -> None:
        _, unit = self.new_unit("lambda", self.scope.prefix + "<lambda>", node, node.lineno)
        body = node.body
        unit.body_at = (body.lineno, body.col_offset, body.end_lineno or body.lineno, body.end_col_offset or 0)
        self.function_parts(unit, node.args, lambda: self.visit(body))
        self.embed(unit)

    def function(self, node: FunctionNode) -> None:
        line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        index, unit = self.new_unit("function", self.scope.prefix + node.name, node, line)
        self.bind(node.name, index)
        self.decorated(unit, node.decorator_list)
        if node.returns is not None:
            unit.annotations.append("-> " + self.text_of(node.returns))

        def body() -> None:
            self.out.append(node.__class__.__name__)
            self.documented(unit, node.body)

        self.function_parts(unit, node.args, body)
        if self.scope.kind != "module":
            self.embed(unit)

    def documented(self, unit: RawUnit, body: Sequence[ast.stmt]) -> None:
        """Write a body, its docstring aside."""
        first = body[0].value if body and isinstance(body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            unit.doc.append(first.value)
        self.statements(body)

    def decorated(self, unit: RawUnit, decorators: Sequence[ast.expr]) -> None:
        depth, keep = self.scope.depth + 1, self.scope.kind != "module"
        for decorator in decorators:
            unit.decorated_by.append(root_chain(decorator) or ())
            unit.decorators.append(self.part(depth, lambda node=decorator: self.visit(node), keep=keep))  # type: ignore[misc]

    def function_parts(self, unit: RawUnit, arguments: ast.arguments, body: Callable[[], None]) -> None:
        """Walk defaults and body of a function or lambda."""
        outer, depth = self.scope, self.scope.depth + 1
        keep = outer.kind != "module" or unit.kind == "lambda"
        if arguments.defaults or any(arguments.kw_defaults):
            unit.defaults = self.part(depth, lambda: self.defaults(arguments), keep=keep)
        names, text = [], [unit.kind, unit.name.rpartition(".")[2]]
        positional = [*arguments.posonlyargs, *arguments.args]
        groups: tuple[tuple[str, list[ast.arg]], ...] = (
            ("/", arguments.posonlyargs),
            ("", arguments.args),
            ("*", [arguments.vararg] if arguments.vararg else []),
            ("k", arguments.kwonlyargs),
            ("**", [arguments.kwarg] if arguments.kwarg else []),
        )
        wide = []
        for mark, group in groups:
            for argument in group:
                names.append(argument.arg)
                text.append(mark + argument.arg)
                if argument.annotation is not None:
                    unit.annotations.append(argument.arg + self.text_of(argument.annotation))
                    wide += [f"{argument.arg}:{word}" for word in (stepcache_annotation(argument.annotation),) if word]
        unit.parameters = tuple(names)
        unit.signature = digest("signature", *text, str(len(positional)))
        self.scope = outer.child("function", unit.name + ".<locals>.")
        self.scope.bound.update(names)
        self.notes.append(unit)
        try:

            def walk() -> None:
                self.out.append(",".join(sorted(wide)))
                body()

            unit.body = self.part(depth, walk, keep=keep)
        finally:
            self.notes.pop()
            self.scope = outer

    def defaults(self, arguments: ast.arguments) -> None:
        positional = [*arguments.posonlyargs, *arguments.args]
        given = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
        given += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
        for argument, default in given:
            self.out.append(f" {argument.arg}=")
            self.visit(default)

    def class_(self, node: ast.ClassDef) -> None:
        line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        index, unit = self.new_unit("class", self.scope.prefix + node.name, node, line)
        self.decorated(unit, node.decorator_list)
        outer, depth = self.scope, self.scope.depth + 1
        self.notes.append(unit)
        try:
            unit.body = self.part(depth, lambda: self.class_body(unit, node), keep=outer.kind != "module")
        finally:
            self.notes.pop()
            self.scope = outer
        unit.signature = digest("signature", "class", node.name)
        self.bind(node.name, index)
        if self.scope.kind != "module":
            self.embed(unit)

    def class_body(self, unit: RawUnit, node: ast.ClassDef) -> None:
        outer = self.scope
        for base in node.bases:
            self.visit(base)
        for keyword in node.keywords:
            self.out.append(f" {keyword.arg}=")
            self.visit(keyword.value)
        self.out.append(" body ")
        self.scope = outer.child("class", unit.name + ".")
        self.scope.bound.update(getattr(param, "name", "") for param in getattr(node, "type_params", ()))
        methods: list[tuple[str, str]] = []
        plain = [child for child in node.body if is_plain_method(child)]
        for child in node.body:
            if child in plain:
                start = len(self.out)
                self.visit(child)
                methods.append((getattr(child, "name", ""), "".join(self.out[start:])))
                del self.out[start:]
            elif child is node.body[0]:
                self.documented(unit, [child])
            else:
                self.statements([child])
        self.out.extend(text for _, text in sorted(methods, key=lambda pair: pair[0]))


def chain_of(node: ast.expr) -> Chain | None:
    """`a.b.c` as a chain."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    names.append(node.id)
    return tuple(reversed(names))


def root_chain(node: ast.expr) -> Chain | None:
    """The name that a call or a place stored into begins with, and the attributes up to the first call or index."""
    spine: list[ast.expr] = []
    while True:
        spine.append(node)
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.Await)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            break
    if not isinstance(node, ast.Name):
        return None
    chain = [node.id]
    for outer in reversed(spine[:-1]):
        if not isinstance(outer, ast.Attribute):
            break
        chain.append(outer.attr)
    return tuple(chain)


def constant_text(value: object) -> str:
    """A constant with its type."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    # ascii() and not repr(): which characters are printable differs from Python to Python.
    return ascii(value) if not isinstance(value, float) else value.hex() + "f"


def stepcache_annotation(node: ast.expr) -> str | None:
    """ "All" or "Each", where the annotation is one of them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value.split("[")[0].strip().rpartition(".")[2]
        return text if text in ("All", "Each") else None
    if isinstance(node, ast.Subscript):
        node = node.value
    chain = chain_of(node)
    return chain[-1] if chain and chain[-1] in ("All", "Each") else None


def is_type_checking(test: ast.expr) -> bool:
    """Is it `TYPE_CHECKING`?"""
    chain = chain_of(test)
    return chain is not None and chain[-1] == "TYPE_CHECKING"


def is_plain_method(node: ast.stmt) -> bool:
    """Is it a method whose place among the others tells nothing?"""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    for decorator in node.decorator_list:
        chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if chain is None or chain[-1] not in _PLAIN_DECORATORS:
            return False
    return True


_SPECIAL: dict[type[ast.AST], Callable[[Walker, Any], None]] = {
    ast.Name: Walker.name,
    ast.Attribute: Walker.attribute,
    ast.Subscript: Walker.subscript,
    ast.Constant: Walker.constant,
    ast.JoinedStr: Walker.joined,
    ast.Set: Walker.set_display,
    ast.Call: Walker.call,
    ast.Expr: Walker.expression_statement,
    ast.Assign: Walker.assign,
    ast.AnnAssign: Walker.annotated,
    ast.AugAssign: Walker.augmented,
    ast.NamedExpr: Walker.walrus,
    ast.Import: Walker.import_,
    ast.ImportFrom: Walker.import_,
    ast.Global: Walker.global_,
    ast.Nonlocal: Walker.nonlocal_,
    ast.ExceptHandler: Walker.named_handler,
    ast.MatchAs: Walker.pattern,
    ast.MatchStar: Walker.pattern,
    ast.MatchMapping: Walker.pattern,
    ast.If: Walker.if_,
    ast.ListComp: Walker.comprehension,
    ast.SetComp: Walker.comprehension,
    ast.GeneratorExp: Walker.comprehension,
    ast.DictComp: Walker.comprehension,
    ast.Lambda: Walker.lambda_,
    ast.FunctionDef: Walker.function,
    ast.AsyncFunctionDef: Walker.function,
    ast.ClassDef: Walker.class_,
}
