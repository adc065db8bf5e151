"""What the functions of project modules do with what a name leads to: take things out of it, ask first whether they are
there, only put things in, or only count it up."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from attrs import field

from stepcache.records import define, frozen

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Where = tuple[str, bool, int]
"""A name, whether it is an attribute's, and how many times something was taken out of what it leads to."""
_How = Literal["takes", "asks", "puts", "otherwise"]

_PUTS = {"append", "appendleft", "add", "update", "extend", "insert", "clear", "remove", "discard"}
_TAKES = {"get", "pop"}
_COUNTED = "counted"
_MISSES = {"KeyError", "LookupError", "IndexError", "AttributeError", "Exception", "BaseException"}


@frozen
class Label:
    """The name by which something is held: a variable's, or an attribute's; `depth` is how deep it lies in containers.

    A variable is the `module`'s, or where `module` is empty one of a function.
    """

    name: str
    is_attribute: bool = False
    depth: int = 0
    module: str = ""


@frozen
class _Use:
    how: _How
    at: _Where
    is_local: bool
    """Is the name one of the function's own?"""
    function: int


@frozen
class _Functions:
    """What the functions of a module do with names."""

    uses: tuple[_Use, ...]
    set_to: Mapping[str, set[str | None]]
    """The constants that they set names and, with a dot before, attributes to; `_COUNTED` where they add one to what is
    there; None is anything else, and what they set only where something else is so."""
    overwritten: frozenset[str]
    """Global variables that each function which sets them sets before it looks at them."""


@define(eq=False)
class Usages:
    """The uses in the modules whose *sources* are given by name."""

    sources: Callable[[], Iterable[tuple[str, bytes]]]
    _known: dict[str, tuple[bytes, _Functions]] = field(factory=dict)

    def is_asked_first(self, label: Label) -> bool:
        """Does each function that takes something out of what *label* leads to ask first whether it is there?"""
        taking: set[tuple[str, int]] = set()
        asking: set[tuple[str, int]] = set()
        for module, use in self._uses(label):
            if use.at[2] == label.depth:
                if use.how == "otherwise":
                    return False
                if use.how in ("takes", "asks"):
                    (taking if use.how == "takes" else asking).add((module, use.function))
        return bool(asking) and taking <= asking

    def is_only_written(self, label: Label) -> bool:
        """Do functions put something into what *label* leads to, and no more?"""
        every = [use.how for _, use in self._uses(label)]
        return bool(every) and all(how == "puts" for how in every)

    def is_flag(self, label: Label, *, items: bool = False) -> bool:
        """Do functions only set it, or its *items*, to one constant, where they have seen that it is not set?"""
        set_to = self._set_to(label, label.depth + items)
        if len(set_to) != 1 or not set_to.isdisjoint((None, _COUNTED)):
            return False
        setting: set[tuple[str, int]] = set()
        asking: set[tuple[str, int]] = set()
        for module, use in self._uses(label):
            if use.at[2] == label.depth and use.how in ("puts", "asks"):
                (setting if use.how == "puts" else asking).add((module, use.function))
        return bool(setting) and setting <= asking

    def is_counter(self, label: Label) -> bool:
        """Do functions that set it only add constants to it?"""
        return self._set_to(label, label.depth) == {_COUNTED}

    def is_overwritten(self, module: str, variable: str) -> bool:
        """Does each function of the module that sets a variable set it before it looks at it?"""
        return any(name == module and variable in each.overwritten for name, each in self._modules(variable))

    def _set_to(self, label: Label, depth: int) -> set[str | None]:
        """What functions set what lies that deep in it to."""
        found: set[str | None] = set()
        for module, each in self._modules(label.name):
            if label.is_attribute or label.module:
                found.update(each.set_to.get(_stored(label.name, True, depth), ()))
            if not label.is_attribute and label.module in ("", module):
                found.update(each.set_to.get(_stored(label.name, False, depth), ()))
        return found

    def _uses(self, label: Label) -> Iterator[tuple[str, _Use]]:
        for module, known in self._modules(label.name):
            for use in known.uses:
                if use.at[0] == label.name and _is_meant(label, use):
                    yield module, use

    def _modules(self, name: str) -> Iterator[tuple[str, _Functions]]:
        text = name.encode()
        for module, source in self.sources():
            if text in source:
                known = self._known.get(module)
                if known is None or known[0] is not source:
                    known = self._known[module] = (source, _read(source))
                yield module, known[1]


def _is_meant(label: Label, use: _Use) -> bool:
    _, is_attribute, _ = use.at
    if label.is_attribute:
        return is_attribute
    if not label.module:
        return not is_attribute
    return is_attribute or not use.is_local


def _stored(name: str, is_attribute: bool, depth: int) -> str:
    return ("." if is_attribute else "") + name + "[]" * depth


def _read(source: bytes) -> _Functions:
    reader = _Reader()
    try:
        reader.module(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return _Functions(
        tuple(reader.uses),
        reader.set_to,
        frozenset(reader.set_first - reader.looked_first),
    )


@define(eq=False)
class _Reader:
    """Goes through the functions of a module."""

    uses: list[_Use] = field(factory=list)
    set_to: dict[str, set[str | None]] = field(factory=dict)
    set_first: set[str] = field(factory=set)
    looked_first: set[str] = field(factory=set)

    def module(self, tree: ast.Module) -> None:
        functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
        for number, node in enumerate(functions):
            self._function(number, node)

    def _function(self, number: int, node: _Function) -> None:
        inside = list(_within(node))
        shared = {n for each in inside if isinstance(each, ast.Global | ast.Nonlocal) for n in each.names}
        stored = [each.id for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
        every = node.args
        given = {each.arg for each in (*every.posonlyargs, *every.args, *every.kwonlyargs)}
        once = {name for name in stored if stored.count(name) == 1} - shared
        parents = {each: up for up in (node, *inside) for each in ast.iter_child_nodes(up)}
        one = _InFunction(number, parents, given.union(stored) - shared, _aliases(inside, once), self)
        for each in inside:
            if isinstance(each, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.NamedExpr):
                one.look_at(each)
        self._order(inside, shared.intersection(stored))

    def _order(self, inside: list[ast.AST], shared: set[str]) -> None:
        """Which shared variables the function sets before it looks at them."""
        for each in inside:
            if isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
                self.looked_first.add(each.target.id)
            elif isinstance(each, ast.Assign):
                used = {n.id for n in ast.walk(each.value) if isinstance(n, ast.Name)}
                self.looked_first |= {n.id for n in each.targets if isinstance(n, ast.Name)} & used
        for name in shared:
            places = [each for each in inside if isinstance(each, ast.Name) and each.id == name]
            first = min(places, key=lambda each: (each.lineno, each.col_offset))
            (self.set_first if isinstance(first.ctx, ast.Store) else self.looked_first).add(name)


@define(eq=False)
class _InFunction:
    """Notes the uses in one function. Of `own` variables `aliases` stand for what another name leads to."""

    number: int
    parents: dict[ast.AST, ast.AST]
    own: set[str]
    aliases: dict[str, _Where]
    reader: _Reader

    def look_at(self, node: ast.expr) -> None:
        is_stored = not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        at = _leads_to(node, {} if is_stored and isinstance(node, ast.Name) else self.aliases)
        if at is None:
            return
        if is_stored:
            self._stored(node, at)
            return
        if isinstance(node, ast.Subscript | ast.Call):
            self._taken(node, (at[0], at[1], at[2] - 1))
        self._whole(node, at)

    def _note(self, how: _How, at: _Where) -> None:
        self.reader.uses.append(_Use(how, at, at[0] in self.own, self.number))

    def _stored(self, node: ast.expr, at: _Where) -> None:
        up = self.parents[node]
        if not (isinstance(node, ast.Name) and node.id in self.own):
            self._sets(at, self._value(node, at, up))
        if isinstance(node, ast.Subscript):
            at = (at[0], at[1], at[2] - 1)
            if isinstance(up, ast.AugAssign):
                self._note("takes", at)
        self._note("puts", at)

    def _value(self, node: ast.expr, at: _Where, up: ast.AST) -> str | None:
        """What it is set to, as `set_to` has it."""
        if isinstance(up, ast.AugAssign):
            return _COUNTED if _is_constant(up.value) else None
        value = up.value if isinstance(up, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.BinOp) and _leads_to(value.left, self.aliases) == at and _is_constant(value.right):
            return _COUNTED
        return ast.dump(value) if isinstance(value, ast.Constant) and self._is_set_once(node, at) else None

    def _sets(self, at: _Where, value: str | None) -> None:
        self.reader.set_to.setdefault(_stored(*at), set()).add(value)

    def _is_set_once(self, node: ast.AST, at: _Where) -> bool:
        """Does it depend on nothing else than itself whether it is set?"""
        while (up := self.parents.get(node)) is not None:
            if isinstance(up, ast.For | ast.AsyncFor | ast.While | ast.Match | ast.ExceptHandler):
                return False
            if isinstance(up, ast.If) and not self._is_about(up.test, at):
                return False
            node = up
        return True

    def _is_about(self, test: ast.expr, at: _Where) -> bool:
        while isinstance(test, ast.UnaryOp):
            test = test.operand
        parts = [test.left, *test.comparators] if isinstance(test, ast.Compare) else [test]
        leads = [_leads_to(each, self.aliases) for each in parts]
        others = [each for each, to in zip(parts, leads, strict=True) if to is None or to[:2] != at[:2]]
        return len(others) < len(parts) and all(isinstance(each, ast.Name | ast.Constant) for each in others)

    def _taken(self, node: ast.Subscript | ast.Call, at: _Where) -> None:
        """Something is taken out of what is *at* that place."""
        asks = _is_tried(node, self.parents)
        if isinstance(node, ast.Call):
            sets = _method(node) == "setdefault"
            if sets:
                self._sets((at[0], at[1], at[2] + 1), None)
            asks = asks or sets or _is_tested(node, self.parents) or isinstance(self.parents[node], ast.Assign)
        self._note("asks" if asks else "takes", at)

    def _whole(self, node: ast.expr, at: _Where) -> None:
        """What is done with what is at that place, as a whole."""
        up = self.parents[node]
        if isinstance(up, ast.Subscript) and up.value is node:
            return  # something is taken out
        if isinstance(up, ast.Attribute):
            call = self.parents[up]
            if isinstance(call, ast.Call) and call.func is up and up.attr not in (*_TAKES, "setdefault"):
                puts = up.attr in _PUTS and isinstance(self.parents[call], ast.Expr)
                self._note("puts" if puts else "otherwise", at)
        elif _is_tested(node, self.parents) or _is_searched(node, up):
            self._note("asks", at)
        elif not (isinstance(up, ast.Expr) or self._is_alias(node, up) or self._is_measured(up)):
            self._note("otherwise", at)

    def _is_alias(self, node: ast.expr, up: ast.AST) -> bool:
        if not (isinstance(up, ast.Assign | ast.NamedExpr) and up.value is node):
            return False
        target = up.targets[0] if isinstance(up, ast.Assign) else up.target
        return isinstance(target, ast.Name) and target.id in self.aliases

    def _is_measured(self, up: ast.AST) -> bool:
        if not (isinstance(up, ast.Call) and isinstance(up.func, ast.Name)):
            return False
        return up.func.id == "hasattr" or (up.func.id == "len" and _is_tested(up, self.parents))


def _aliases(inside: list[ast.AST], once: set[str]) -> dict[str, _Where]:
    """What variables of a function stand for that are set *once*."""
    found: dict[str, _Where] = {}
    for each in inside:
        target: ast.expr | None = None
        if isinstance(each, ast.Assign) and len(each.targets) == 1:
            target = each.targets[0]
        elif isinstance(each, ast.NamedExpr):
            target = each.target
        if isinstance(target, ast.Name) and target.id in once and isinstance(each, ast.Assign | ast.NamedExpr):
            at = _leads_to(each.value, found)
            if at is not None:
                found[target.id] = at
    return found


def _within(function: _Function) -> Iterator[ast.AST]:
    """All nodes of a function's body but for those of functions in it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _Function):
            todo += ast.iter_child_nodes(node)


def _leads_to(node: ast.AST, aliases: dict[str, _Where]) -> _Where | None:
    """The name that an expression goes out from, and how often it takes something out of what is there."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, (node.id, False, 0))
    if isinstance(node, ast.Attribute):
        return (node.attr, True, 0)
    inner: ast.AST | None = None
    if isinstance(node, ast.Subscript):
        inner = node.value
    elif isinstance(node, ast.Call) and _method(node) in (*_TAKES, "setdefault"):
        inner = node.func.value  # type: ignore[attr-defined]
    elif isinstance(node, ast.NamedExpr):
        return _leads_to(node.value, aliases)
    at = _leads_to(inner, aliases) if inner is not None else None
    return None if at is None else (at[0], at[1], at[2] + 1)


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _is_constant(node: ast.expr) -> bool:
    parts = ast.Constant | ast.UnaryOp | ast.BinOp | ast.unaryop | ast.operator
    return all(isinstance(each, parts) for each in ast.walk(node))


def _is_tested(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Does what runs next depend on it?"""
    while True:
        up = parents[node]
        if isinstance(up, ast.If | ast.IfExp | ast.While | ast.Assert):
            return up.test is node
        if isinstance(up, ast.BoolOp):
            return True
        if isinstance(up, ast.UnaryOp) and isinstance(up.op, ast.Not):
            return True
        if not isinstance(up, ast.Compare | ast.NamedExpr):
            return False
        node = up


def _is_searched(node: ast.AST, up: ast.AST) -> bool:
    """Is something sought in it, by `in`?"""
    if not isinstance(up, ast.Compare) or all(each is not node for each in up.comparators):
        return False
    return any(isinstance(op, ast.In | ast.NotIn) for op in up.ops)


def _is_tried(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Does it stand where a miss is caught?"""
    while node in parents:
        up = parents[node]
        if isinstance(up, ast.Try) and any(each is node for each in up.body):
            for handler in up.handlers:
                kinds = [handler.type] if not isinstance(handler.type, ast.Tuple) else handler.type.elts
                if any(kind is None or (isinstance(kind, ast.Name) and kind.id in _MISSES) for kind in kinds):
                    return True
        node = up
    return False
