"""How expressions are written: names with their attributes, constants by type, and calls that name code at run time."""

from __future__ import annotations

import ast
import re

from stepcache.key.nodes import chain_of, constant_text
from stepcache.key.table import Dynamic, Import
from stepcache.key.walker import Walker, Writer

MARKS = {
    "__annotations__": "annotations", "get_type_hints": "annotations", "get_annotations": "annotations",
    "signature": "annotations", "getfullargspec": "annotations", "__type_params__": "annotations",
    "__doc__": "doc", "getdoc": "doc", "getsource": "source", "getsourcelines": "source",
    "__subclasses__": "subclasses",
    "__dict__": "attributes", "__getattribute__": "attributes", "getmembers": "attributes", "vars": "attributes",
    "dir": "attributes", "co_firstlineno": "source", "f_lineno": "source", "tb_lineno": "source",
    "co_lines": "source", "co_positions": "source", "getframeinfo": "source",
    "__code__": "remakes", "__defaults__": "remakes", "__kwdefaults__": "remakes",
}  # fmt: skip
# Attributes by which code looks at what functions and classes are called.
NAME_MARKS = {"__name__", "__qualname__", "co_name", "co_qualname", "_getframe", "currentframe"}
ANY_NAME = {"eval", "exec", "globals", "compile"}
# Methods that look up names of the caller in the text they are given (pandas, Polars, DuckDB).
QUERIES = {"query", "eval", "sql", "execute"}
# Functions whose further arguments name attributes.
NAMING = {"getattr": 1, "hasattr": 1, "setattr": 1, "delattr": 1, "attrgetter": 0, "methodcaller": 0}
# Methods of texts that take the attributes that the text names.
FORMATTING = {"format", "format_map", "vformat"}
# What is given the name of its module, which changes nothing that it does.
_LOGGERS = {"getLogger", "get_logger"}
_IMPORTS = {"import_module", "__import__", "run_module", "find_spec"}
WORD = re.compile(r"[A-Za-z_]\w*")


def write_name(walker: Walker, node: ast.Name) -> None:
    if isinstance(node.ctx, ast.Load):
        walker.refer((node.id,))
        if node.id in MARKS:
            walker.collector.marks.add(MARKS[node.id])
        _note_handed_on(walker, node, node.id)
    else:
        walker.bind(node.id)
    walker.out.append(f"(Name {node.id})")


def write_attribute(walker: Walker, node: ast.Attribute) -> None:
    if node.attr in MARKS:
        walker.collector.marks.add(MARKS[node.attr])
    if node.attr in NAME_MARKS:
        walker.collector.marks.add("names")
    if node.attr == "__module__":
        walker.collector.marks.add("modules")
    walker.collector.names.add(node.attr)
    _note_handed_on(walker, node, node.attr)
    if not isinstance(node.ctx, ast.Load):
        walker.effect(node)
    chain = chain_of(node)
    if chain is None:
        walker.generic(node)
        return
    if chain == ("inspect", "stack"):
        walker.collector.marks.add("names")
    walker.refer(chain)
    walker.out.append(f"(Chain {'.'.join(chain)})")


def _note_handed_on(walker: Walker, node: ast.expr, name: str) -> None:
    """`map(getattr, …)`: whoever calls it names attributes."""
    if name in NAMING and node is not walker.callee:
        walker.collector.marks.add("attributes")


def write_subscript(walker: Walker, node: ast.Subscript) -> None:
    if not isinstance(node.ctx, ast.Load):
        walker.effect(node)
    if chain_of(node.value) == ("sys", "modules") and isinstance(node.ctx, ast.Load):
        _note_module(walker, node.slice, node.lineno, "sys.modules[…]")
    walker.generic(node)


def write_constant(walker: Walker, node: ast.Constant) -> None:
    value = node.value
    if isinstance(value, str):
        walker.collector.strings.add(value)
    elif isinstance(value, bytes) and len(value) < 500:
        walker.collector.strings.add(value.decode("latin-1"))
    walker.out.append(constant_text(value))


def write_joined(walker: Walker, node: ast.JoinedStr) -> None:
    """An f-string: empty pieces out, neighbours merged, since Pythons differ in how they cut it."""
    walker.out.append("(JoinedStr ")
    text = ""
    for piece in node.values:
        if isinstance(piece, ast.Constant):
            text += str(piece.value)
            continue
        _write_text(walker, text)
        text = ""
        walker.visit(piece)
    _write_text(walker, text)
    walker.out.append(")")


def _write_text(walker: Walker, text: str) -> None:
    if text:
        walker.collector.strings.add(text)
        walker.out.append(ascii(text))


def write_set(walker: Walker, node: ast.Set) -> None:
    if not all(isinstance(item, ast.Constant) for item in node.elts):
        walker.generic(node)
        return
    for item in node.elts:
        _note_text(walker, item)
    walker.out.append("(Set " + ",".join(sorted({walker.text_of(item) for item in node.elts})) + ")")


def _note_text(walker: Walker, node: ast.expr) -> None:
    """Note a constant's text without writing it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        walker.collector.strings.add(node.value)


def write_call(walker: Walker, node: ast.Call) -> None:
    chain = chain_of(node.func)
    last = chain[-1] if chain else getattr(node.func, "attr", "")
    if last in NAMING and not all(isinstance(a, ast.Constant) for a in node.args[NAMING[last] :][:1]):
        walker.collector.marks.add("attributes")
    if last in FORMATTING and isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Constant):
        walker.collector.marks.add("attributes")  # of a text that is made at run time
    walker.callee = node.func
    if chain is not None and len(chain) == 1 and (last in ANY_NAME or (last == "vars" and not node.args)):
        walker.collector.dynamic.append((walker.scope, Dynamic("names", node.lineno, last)))
        walker.collector.marks.add("attributes")
    elif last in _IMPORTS and node.args:
        _note_module(walker, node.args[0], node.lineno, last)
    elif chain == ("sys", "modules", "get") and node.args:
        _note_module(walker, node.args[0], node.lineno, "sys.modules.get")
    elif last in _LOGGERS and [walker.text_of(each) for each in node.args] == ["(Name __name__)"]:
        walker.out.append("(Logger ")
        walker.visit(node.func)
        walker.out.append(")")
        return
    elif chain in (("getattr",), ("hasattr",)) and len(node.args) >= 2 and _write_getattr(walker, node):
        return
    if last in QUERIES:
        _note_query(walker, node)
    if chain is not None and last.startswith("set") and chain != ("set",):  # whatever becomes of what it gives
        walker.effect(node)
    walker.generic(node)


def _write_getattr(walker: Walker, node: ast.Call) -> bool:
    """`getattr(a.b, …)`: the attribute is followed if it is a literal; True if the call was written."""
    target = chain_of(node.args[0])
    if target is None:
        return False
    name = node.args[1]
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        walker.refer((*target, *name.value.split(".")[:1]))
        if name.value in NAME_MARKS:
            walker.collector.marks.add("names")
    else:
        detail = name.id if isinstance(name, ast.Name) else ""
        walker.collector.dynamic.append((walker.scope, Dynamic("getattr", node.lineno, detail, target)))
    walker.out.append("(Call func=")
    walker.visit(node.func)
    walker.out.append(" args=[")
    walker.quietly(node.args[0])
    for argument in node.args[1:]:
        walker.visit(argument)
    walker.out.append("])")
    return True


def _note_module(walker: Walker, name: ast.expr, line: int, feature: str) -> None:
    """A module is asked for by *name*."""
    found = named_module(name)
    only_sought = feature == "find_spec"
    if found is not None:
        walker.collector.direct.add(Import(f"{feature} {found[0]}", found[0], found[1], (), only_sought))
    if found is not None or only_sought:
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
    walker.collector.dynamic.append((walker.scope, one))


def named_module(name: ast.expr) -> tuple[str, int] | None:
    """(module, level) of a literal module name."""
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None
    return name.value.lstrip("."), len(name.value) - len(name.value.lstrip("."))


def _note_query(walker: Walker, node: ast.Call) -> None:
    """Texts given to a query may name variables of the module."""
    for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
        for piece in ast.walk(argument):
            if isinstance(piece, ast.Constant) and isinstance(piece.value, str) and len(piece.value) < 20_000:
                walker.collector.words.update((walker.scope, word) for word in WORD.findall(piece.value))


def write_walrus(walker: Walker, node: ast.NamedExpr) -> None:
    inner = walker.scope
    while walker.scope.kind == "comprehension" and walker.scope.parent is not None:
        walker.scope = walker.scope.parent
    walker.bind(node.target.id)
    walker.scope = inner
    walker.out.append(f"(NamedExpr {node.target.id} ")
    walker.visit(node.value)
    walker.out.append(")")


def write_comprehension(walker: Walker, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
    walker.out.append("(" + node.__class__.__name__)
    outer = walker.scope
    walker.visit(node.generators[0].iter)
    walker.scope = outer.child("comprehension", outer.prefix)
    try:
        for index, generator in enumerate(node.generators):
            walker.out.append(f" for{generator.is_async} ")
            walker.visit(generator.target)
            if index:
                walker.visit(generator.iter)
            for condition in generator.ifs:
                walker.out.append(" if ")
                walker.visit(condition)
        walker.out.append(" give ")
        if isinstance(node, ast.DictComp):
            walker.visit(node.key)
            walker.visit(node.value)
        else:
            walker.visit(node.elt)
    finally:
        walker.scope = outer
    walker.out.append(")")


WRITERS: dict[type[ast.AST], Writer] = {
    ast.Name: write_name,
    ast.Attribute: write_attribute,
    ast.Subscript: write_subscript,
    ast.Constant: write_constant,
    ast.JoinedStr: write_joined,
    ast.Set: write_set,
    ast.Call: write_call,
    ast.NamedExpr: write_walrus,
    ast.ListComp: write_comprehension,
    ast.SetComp: write_comprehension,
    ast.GeneratorExp: write_comprehension,
    ast.DictComp: write_comprehension,
}
