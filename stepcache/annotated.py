"""What annotations mean to stepcache: whether one says `All` or `Each`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, ForwardRef, Optional, Union, get_args, get_origin

_HOME = "stepcache.api.annotations"
_WORDS = ("All", "Each")
_UNIONS = (Union, UnionType)
_UNSEEN = object()


def words(annotation: object, names: Mapping[str, Any]) -> Iterator[str]:
    """ "All" or "Each" where the annotation is that: with or without a type in brackets, given as it is, as text or by
    another name, in a union or in `Annotated`. *names* are the global ones of the function."""
    if isinstance(annotation, str):
        tree = _parsed(annotation)
        if tree is not None:
            yield from _written(tree, names)
        return
    if isinstance(annotation, ForwardRef):
        yield from words(annotation.__forward_arg__, names)
        return
    kind: Any = get_origin(annotation) or annotation
    if kind is Annotated:
        yield from words(get_args(annotation)[0], names)
    elif kind in _UNIONS:
        for each in get_args(annotation):
            yield from words(each, names)
    elif type(kind).__name__ == "TypeAliasType":  # no Python before 3.12 has it
        with suppress(NameError):  # what it stands for may be imported for type checkers only
            yield from words(kind.__value__, names)
    elif getattr(kind, "__module__", "") == _HOME:
        yield kind.__qualname__


def words_inside(annotation: object, names: Mapping[str, Any]) -> set[str]:
    """Those that stand anywhere in it, as deep as brackets go; texts in there may be anything."""
    if isinstance(annotation, str):
        tree = _parsed(annotation)
        named = [node for node in ast.walk(tree) if _last(node) in _WORDS] if tree is not None else []
        return {word for node in named for word in _written(node, names)}
    inside = [each for each in get_args(annotation) if not isinstance(each, str)]
    return {*words(annotation, names)}.union(*(words_inside(each, names) for each in inside))


@lru_cache(4096)
def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _written(node: ast.AST, names: Mapping[str, Any]) -> Iterator[str]:
    """The same of an annotation that is written out."""
    if isinstance(node, ast.BinOp):
        yield from _written(node.left, names)
        yield from _written(node.right, names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from words(node.value, names)
    elif isinstance(node, ast.Subscript):
        kind = _named(node.value, names)
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if kind is Annotated:
            yield from _written(inside[0], names)
        elif kind in (*_UNIONS, Optional):
            for each in inside:
                yield from _written(each, names)
        else:
            yield from _written(node.value, names)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        found = _named(node, names)
        if found is not _UNSEEN:
            yield from words(found, names)
        elif _last(node) in _WORDS:
            yield _last(node)  # it is imported for type checkers only


def _named(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What a dotted name stands for."""
    if isinstance(node, ast.Name):
        return names.get(node.id, _UNSEEN)
    base = _named(node.value, names) if isinstance(node, ast.Attribute) else _UNSEEN
    return base if base is _UNSEEN else getattr(base, _last(node), None)


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
