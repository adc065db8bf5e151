"""How functions, lambdas and classes are written: as units of their own, in pieces."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from stepcache.digest import digest
from stepcache.key.nodes import bases_of, is_guarded, is_plain_method, root_chain, stepcache_annotation
from stepcache.key.scopes import Collector
from stepcache.key.statements import write_annotation
from stepcache.key.table import registers
from stepcache.key.walker import RawUnit, Walker, Writer

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def write_lambda(walker: Walker, node: ast.Lambda) -> None:
    _, unit = walker.new_unit("lambda", walker.scope.prefix + "<lambda>", node, node.lineno)
    body = node.body
    unit.body_at = (body.lineno, body.col_offset, body.end_lineno or body.lineno, body.end_col_offset or 0)
    _write_parts(walker, unit, node.args, lambda: walker.visit(body))
    walker.embed(unit)


def write_function(walker: Walker, node: FunctionNode) -> None:
    line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    index, unit = walker.new_unit("function", walker.scope.prefix + node.name, node, line)
    walker.bind(node.name, index)
    _write_decorators(walker, unit, node.decorator_list)
    if node.returns is not None:
        unit.annotations.append("-> " + walker.text_of(node.returns))
    _note_type_parameters(walker, unit, node)

    def body() -> None:
        walker.out.append(node.__class__.__name__)
        _write_body(walker, unit, node.body)

    _write_parts(walker, unit, node.args, body)
    if walker.scope.kind != "module":
        walker.embed(unit)


def _write_body(walker: Walker, unit: RawUnit, body: Sequence[ast.stmt]) -> None:
    """Write a body, its docstring aside."""
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        unit.doc.append(first.value)
    walker.statements(body)


def _write_decorators(walker: Walker, unit: RawUnit, decorators: Sequence[ast.expr]) -> None:
    depth, keep = walker.scope.depth + 1, walker.scope.kind != "module"
    for decorator in decorators:
        unit.decorated_by.append(root_chain(decorator) or ())
        unit.decorators.append(walker.part(depth, lambda node=decorator: walker.visit(node), keep=keep))  # type: ignore[misc]


def _note_type_parameters(walker: Walker, unit: RawUnit, node: ast.AST) -> None:
    unit.annotations += [walker.text_of(each) for each in getattr(node, "type_params", ())]


def _write_parts(walker: Walker, unit: RawUnit, arguments: ast.arguments, body: Callable[[], None]) -> None:
    """Walk defaults and body of a function or lambda."""
    outer, depth = walker.scope, walker.scope.depth + 1
    keep = outer.kind != "module" or unit.kind == "lambda"
    if arguments.defaults or any(arguments.kw_defaults):
        unit.defaults = walker.part(depth, lambda: _write_defaults(walker, arguments), keep=keep)
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
                unit.annotations.append(argument.arg + walker.text_of(argument.annotation))
                wide += [f"{argument.arg}:{word}" for word in (stepcache_annotation(argument.annotation),) if word]
    unit.parameters = tuple(names)
    unit.signature = digest("signature", *text, str(len(positional)))
    walker.scope = outer.child("function", unit.name + ".<locals>.")
    walker.scope.bound.update(names)
    walker.notes.append(unit)
    try:

        def walk() -> None:
            walker.out.append(",".join(sorted(wide)))
            if any(map(registers, unit.decorated_by)):  # `functools.singledispatch` goes by annotations
                for each in (each.annotation for each in positional if each.annotation is not None):
                    write_annotation(walker, each)
            body()

        unit.body = walker.part(depth, walk, keep=keep)
    finally:
        walker.notes.pop()
        walker.scope = outer


def _write_defaults(walker: Walker, arguments: ast.arguments) -> None:
    positional = [*arguments.posonlyargs, *arguments.args]
    given = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    given += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    for argument, default in given:
        walker.out.append(f" {argument.arg}=")
        walker.visit(default)


def write_class(walker: Walker, node: ast.ClassDef) -> None:
    line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    index, unit = walker.new_unit("class", walker.scope.prefix + node.name, node, line)
    _write_decorators(walker, unit, node.decorator_list)
    outer, depth = walker.scope, walker.scope.depth + 1
    bases = bases_of(node) if outer.kind == "module" else None
    unit.bases = bases or []
    _note_type_parameters(walker, unit, node)
    unit.has_effect = bases is None and outer.kind == "module"  # a metaclass may do what it likes
    walker.notes.append(unit)
    try:
        unit.body = walker.part(
            depth, lambda: _write_class_body(walker, unit, node, bases is not None), keep=outer.kind != "module"
        )
    finally:
        walker.notes.pop()
        walker.scope = outer
    unit.signature = digest("signature", "class", node.name)
    walker.bind(node.name, index)
    if walker.scope.kind != "module":
        walker.embed(unit)


def _write_class_body(walker: Walker, unit: RawUnit, node: ast.ClassDef, guards: bool) -> None:
    outer = walker.scope
    for base in node.bases:
        walker.visit(base)
    for keyword in node.keywords:
        walker.out.append(f" {keyword.arg}=")
        walker.visit(keyword.value)
    walker.out.append(" body ")
    walker.scope = outer.child("class", unit.name + ".")
    walker.scope.bound.update(getattr(param, "name", "") for param in getattr(node, "type_params", ()))
    methods: list[tuple[str, str]] = []
    plain = [child for child in node.body if is_plain_method(child)]
    for child in node.body:
        if guards and is_guarded(child):
            _write_method(walker, unit, child)
        elif child in plain:
            start = len(walker.out)
            walker.visit(child)
            methods.append((getattr(child, "name", ""), "".join(walker.out[start:])))
            del walker.out[start:]
        elif child is node.body[0]:
            _write_body(walker, unit, [child])
        else:
            walker.statements([child])
    walker.out.extend(text for _, text in sorted(methods, key=lambda pair: pair[0]))


def _write_method(walker: Walker, unit: RawUnit, node: ast.stmt) -> None:
    """A method that counts only where it is named: a unit of its own, and no part of its class's body."""
    start, index = len(walker.out), len(walker.units)
    collector, walker.collector = walker.collector, Collector()
    try:
        walker.visit(node)
    finally:
        walker.collector = collector
        del walker.out[start:]
    unit.methods.append((getattr(node, "name", ""), index, walker.units[index]))


WRITERS: dict[type[ast.AST], Writer] = {
    ast.Lambda: write_lambda,
    ast.FunctionDef: write_function,
    ast.AsyncFunctionDef: write_function,
    ast.ClassDef: write_class,
}
