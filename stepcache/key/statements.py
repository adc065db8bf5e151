"""How statements are written: assignments without their annotations, imports by the names they bind."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from stepcache.key.expressions import named_module
from stepcache.key.nodes import chain_of, is_type_checking
from stepcache.key.table import Import
from stepcache.key.walker import Walker, Writer


def write_expression(walker: Walker, node: ast.Expr) -> None:
    walker.effect(node.value)
    walker.generic(node)


def write_assign(walker: Walker, node: ast.Assign) -> None:
    value = node.value
    only = node.targets[0] if len(node.targets) == 1 else None
    if isinstance(only, ast.Name) and isinstance(value, ast.Call) and value.args and walker.scope.kind != "module":
        chain = chain_of(value.func)
        found = named_module(value.args[0])
        if chain is not None and chain[-1] == "import_module" and found is not None:
            # `m = import_module("app.helpers")` is `import app.helpers as m`.
            walker.bind(only.id)
            walker.bind_import(only.id, found[0], found[1], None)
            walker.out.append(f"(Import {only.id}#{walker.scope.import_count})")
            walker.collector.direct.add(Import(f"import {found[0]}", found[0], found[1], (), True))
            return
    _write_targets(walker, node.targets, value)


def _write_targets(walker: Walker, targets: Sequence[ast.expr], value: ast.expr) -> None:
    walker.out.append("(Assign ")
    walker.visit(value)
    walker.out.append(" to ")
    for target in targets:
        walker.visit(target)
    walker.out.append(")")


def write_annotated(walker: Walker, node: ast.AnnAssign) -> None:
    """`x: int = 3` is `x = 3`, except in a class body, where annotations make fields."""
    if walker.scope.kind == "class":
        walker.out.append("(Field ")
        write_annotation(walker, node.annotation)
        if node.value is not None:
            walker.visit(node.value)
        walker.visit(node.target)  # last, as Python binds it: `size: int = size` takes the module's name
        walker.out.append(")")
        return
    if walker.notes:
        walker.notes[-1].annotations.append(walker.text_of(node.annotation))
    if node.value is not None:
        _write_targets(walker, [node.target], node.value)
    elif isinstance(node.target, ast.Name) and walker.scope.kind != "module":
        walker.bind(node.target.id)


def write_annotation(walker: Walker, node: ast.expr) -> None:
    """Write an annotation that counts; text is read as the expression that it stands for."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            pass  # no expression: it counts as text
    walker.visit(node)


def write_augmented(walker: Walker, node: ast.AugAssign) -> None:
    if isinstance(node.target, ast.Name):
        walker.refer((node.target.id,))
    walker.generic(node)


def write_import(walker: Walker, node: ast.Import | ast.ImportFrom) -> None:
    attribute: str | None
    if walker.scope.kind == "module":
        walker.on_import(node)
        return
    level = node.level if isinstance(node, ast.ImportFrom) else 0
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            attribute = alias.name
            bound = alias.asname or alias.name
            walker.collector.direct.add(Import(f"from #{walker.scope.import_count}", module, level, (attribute,), True))
        else:
            module = alias.name if alias.asname else alias.name.split(".")[0]
            attribute, bound = None, alias.asname or module
            walker.collector.direct.add(Import(f"import #{walker.scope.import_count}", alias.name, 0, (), True))
        walker.bind(bound)
        walker.bind_import(bound, module, level, attribute)
        # Where the module lies is told by what the name leads to, so that a renamed module changes nothing.
        walker.out.append(f"(Import {bound}#{walker.scope.import_count})")


def write_global(walker: Walker, node: ast.Global) -> None:
    if walker.scope.kind != "module":
        walker.scope.global_names.update(node.names)
    walker.out.append("(Global " + ",".join(sorted(node.names)) + ")")


def write_nonlocal(walker: Walker, node: ast.Nonlocal) -> None:
    walker.scope.nonlocal_names.update(node.names)
    walker.out.append("(Nonlocal " + ",".join(sorted(node.names)) + ")")


def write_handler(walker: Walker, node: ast.ExceptHandler) -> None:
    if node.name:
        walker.bind(node.name)
    walker.generic(node)


def write_pattern(walker: Walker, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
    name = node.rest if isinstance(node, ast.MatchMapping) else node.name
    if name:
        walker.bind(name)
    walker.generic(node)


def write_class_pattern(walker: Walker, node: ast.MatchClass) -> None:
    """`case Item(total=t)` takes attributes."""
    walker.collector.names.update(node.kwd_attrs)
    walker.generic(node)


def write_if(walker: Walker, node: ast.If) -> None:
    """A branch that only type checkers take is left out."""
    if is_type_checking(node.test):
        walker.statements(node.orelse)
        return
    walker.generic(node)


WRITERS: dict[type[ast.AST], Writer] = {
    ast.Expr: write_expression,
    ast.Assign: write_assign,
    ast.AnnAssign: write_annotated,
    ast.AugAssign: write_augmented,
    ast.Import: write_import,
    ast.ImportFrom: write_import,
    ast.Global: write_global,
    ast.Nonlocal: write_nonlocal,
    ast.ExceptHandler: write_handler,
    ast.MatchAs: write_pattern,
    ast.MatchStar: write_pattern,
    ast.MatchMapping: write_pattern,
    ast.MatchClass: write_class_pattern,
    ast.If: write_if,
}
