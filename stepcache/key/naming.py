"""Which statements and definitions of a module only give names, and so run nothing while it is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from stepcache.key.table import Binding

# What makes an object of what it is given, and calls none of it, by module.
_MAKING = {"functools": {"partial"}, "dataclasses": {"field"}, "typing": {"TypeVar", "NewType"}}
# Modules whose decorators call none of what they are given, nor what they decorate.
DECORATING = {"abc", "contextlib", "dataclasses", "enum", "functools", "types", "typing"}


class Naming:
    """Tells by the names that were imported so far."""

    def __init__(self, bindings: Mapping[str, Sequence[Binding]]) -> None:
        self._bindings = bindings

    def only_names(self, node: ast.stmt) -> bool:
        """Does it bind names to definitions, to what has a name already, or to displays of it?"""
        match node:
            case ast.Assign(targets=targets, value=value):
                return all(isinstance(target, ast.Name) for target in targets) and self._has_name(value)
            case ast.AnnAssign(target=ast.Name(), annotation=annotation, value=value):
                return self._has_name(value) and not any(isinstance(each, ast.Call) for each in ast.walk(annotation))
            case ast.FunctionDef(args=args) | ast.AsyncFunctionDef(args=args):
                return self._defaults(args) and all(map(self._decorates, node.decorator_list))
            case ast.ClassDef():
                return all(map(self.only_names, node.body)) and all(map(self._decorates, node.decorator_list))
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return True
        return False

    def _has_name(self, node: ast.expr | None) -> bool:
        """Is it a constant, a name, an attribute of one, or a display or a partial of such?"""
        match node:
            case None | ast.Constant() | ast.Name():
                return True
            case ast.Lambda(args=args):
                return self._defaults(args)
            case ast.Attribute(value=value):
                return self._has_name(value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return all(map(self._has_name, parts))
            case ast.Dict(keys=keys, values=values):
                return None not in keys and all(map(self._has_name, (*keys, *values)))
            case ast.Call(func=func, args=parts, keywords=keywords):
                module, name = self._imported(func)
                given = (*parts, *(each.value for each in keywords))
                return name in _MAKING.get(module, ()) and all(map(self._has_name, given))
        return False

    def _defaults(self, args: ast.arguments) -> bool:
        return all(map(self._has_name, (*args.defaults, *args.kw_defaults)))

    def _decorates(self, node: ast.expr) -> bool:
        """Does a decorator only make something of what it decorates?"""
        if isinstance(node, ast.Call):
            given = (*node.args, *(each.value for each in node.keywords))
            return self._decorates(node.func) and all(map(self._has_name, given))
        match node:
            case ast.Name(id=name) if name not in self._bindings:
                return True  # a built-in one
            case ast.Attribute(value=ast.Name(id=name), attr="setter" | "getter" | "deleter"):
                return name not in self._bindings
        return self._imported(node)[0] in DECORATING

    def _imported(self, node: ast.expr) -> tuple[str, str]:
        """The module and the name in it that an expression means, by the one import of it; "" for anything else."""
        match node:
            case ast.Name(id=name):
                attribute = None
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                pass
            case _:
                return "", ""
        found = self._bindings.get(name, ())
        if len(found) != 1 or found[0].unit >= 0 or found[0].level:
            return "", ""
        of = found[0].attribute
        return (found[0].module, attribute or of or "") if (attribute is None) != (of is None) else ("", "")
