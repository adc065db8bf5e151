"""Reading single nodes of a syntax tree."""

from __future__ import annotations

import ast

from stepcache.key.table import Chain

# Decorators under which the order of a class's methods tells nothing.
_PLAIN_DECORATORS = {
    "property", "setter", "getter", "deleter", "staticmethod", "classmethod", "abstractmethod", "cached_property",
    "override", "final", "lru_cache", "cache", "contextmanager",
}  # fmt: skip


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


def is_guarded(node: ast.stmt) -> bool:
    """Is it a method that nobody calls without naming it?"""
    name = getattr(node, "name", "")
    return is_plain_method(node) and not (name.startswith("__") and name.endswith("__"))


def bases_of(node: ast.ClassDef) -> list[Chain] | None:
    """The bases of a class as chains; None where one is computed, or a metaclass or other keyword is given."""
    bases = [chain_of(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
    return None if node.keywords or None in bases else [base for base in bases if base is not None]


def is_plain_method(node: ast.stmt) -> bool:
    """Is it a method whose place among the others tells nothing?"""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    for decorator in node.decorator_list:
        chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if chain is None or chain[-1] not in _PLAIN_DECORATORS:
            return False
    return True
