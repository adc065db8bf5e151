"""What a node is given: each time a fresh copy of what was returned, decoded from stored bytes; and of settings."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import date, timedelta
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import FunctionType
from typing import Any

from stepcache.model import Need, Setting, Value
from stepcache.records import define, frozen

# Of what cannot be changed all have the same.
_LASTING = (type(None), bool, int, float, complex, str, bytes, PurePath, Enum, date, timedelta, type, FunctionType)


@frozen(eq=False)
class Held:
    """A value that no codec takes: handed on as it is."""

    object: Any


# What is known of a node's value: where it is stored, or itself. None stands for a node without a value.
Product = Value | Held


class Variants(Mapping[str, Any]):
    """What a parameter annotated `All` gets: each variant's value by its id, loaded when it is asked for."""

    def __init__(self, loaders: Mapping[str, Callable[[], Any]], params: Mapping[str, Mapping[str, object]]) -> None:
        self._loaders = dict(loaders)
        self._loaded: dict[str, Any] = {}
        self.params: dict[str, dict[str, object]] = {key: dict(value) for key, value in params.items()}

    def __getitem__(self, variant: str) -> Any:
        if variant not in self._loaded:
            self._loaded[variant] = self._loaders[variant]()
        return self._loaded[variant]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __repr__(self) -> str:
        return f"<variants {', '.join(self._loaders)}>"

    def __reduce__(self) -> tuple[object, ...]:
        """A step may return what it was given: that is kept with all values, which are loaded for it."""
        return _loaded, (dict(self), self.params)


def _loaded(values: Mapping[str, Any], params: Mapping[str, Mapping[str, object]]) -> Variants:
    return Variants({variant: partial(values.__getitem__, variant) for variant in values}, params)


def value_of(fields: Mapping[str, Any]) -> Value:
    """The value with these fields, as `attrs.asdict` and JSON have them."""
    told = dict(fields)
    for name in ("classes", "names"):
        told[name] = tuple(told[name])
    return Value(**{**told, "parts": tuple(value_of(each) for each in told["parts"])})


@define
class Inputs:
    """Gives nodes the values that they need."""

    load: Callable[[Value], Any]
    products: Mapping[str, Product]

    def of(self, node: str, output: str | None = None) -> Any:
        """The value of a node, or that of its outputs, a fresh one."""
        product = self.products[node]
        if isinstance(product, Held):
            return product.object if output is None else product.object[output]
        return self.load(product.output(output))

    def given(self, need: Need) -> Any:
        """What a parameter gets."""
        if need.variants is None:
            assert need.node is not None
            return self.of(need.node, need.output)
        present = [(variant, node) for variant, node in need.variants if node in self.products]
        loaders = {variant: _Loader(self, node, need.output) for variant, node in present}
        return Variants(loaders, {v: p for v, p in need.params if v in loaders})


@frozen(eq=False)
class _Loader:
    inputs: Inputs
    node: str
    output: str | None

    def __call__(self) -> Any:
        return self.inputs.of(self.node, self.output)


# --- settings


def own_settings(settings: Iterable[Setting], given: Container[str] = ()) -> dict[str, Any]:
    """The values of settings, by name, but for those that are *given*; each a copy for whoever gets it.

    A default is one object for all calls: what one body did to it, the next would be given, under the same key.
    """
    return {
        s.name: s.value if isinstance(s.value, _LASTING) else _copied(s.value) for s in settings if s.name not in given
    }


def _copied(value: Any) -> Any:
    try:
        return value if _is_empty(value) else deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied (a module, a lock) is handed on as it is
        return value


def _is_empty(value: Any) -> bool:
    """Is there nothing in the object? Such stand for "not given", and are told from others by being the same one."""
    if getattr(value, "__dict__", None):
        return False
    made_by, arguments, *contents = value.__reduce_ex__(4)
    return made_by is copyreg.__newobj__ and len(arguments) == 1 and not any(contents)  # type: ignore[attr-defined]
