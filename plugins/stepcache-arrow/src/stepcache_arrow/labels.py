"""Names, labels and attributes as JSON, exact types only: what is not one of them is declined."""

from __future__ import annotations

from typing import Any

from stepcache.store.codecs import Declined


def pack(value: object) -> Any:
    """*value* as JSON: None, booleans, numbers and text as they are, a tuple, list or dictionary tagged."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is tuple:
        return {"tuple": [pack(part) for part in value]}  # type: ignore[attr-defined]
    if kind is list:
        return {"list": [pack(part) for part in value]}  # type: ignore[attr-defined]
    if kind is dict:
        return {"dict": [[pack(key), pack(part)] for key, part in value.items()]}  # type: ignore[attr-defined]
    raise Declined(f"{kind.__module__}.{kind.__qualname__} as a name or label")


def unpack(packed: Any) -> Any:
    """What `pack` packed."""
    if not isinstance(packed, dict):
        return packed
    ((kind, parts),) = packed.items()
    if kind == "dict":
        return {unpack(key): unpack(part) for key, part in parts}
    return tuple(map(unpack, parts)) if kind == "tuple" else list(map(unpack, parts))
