"""Values that are put together from others: the outputs of a step, and streams.

Such a value has no bytes of its own. Its digest is made from those of its parts, so that it is the same wherever they
lie; the entry that names it names them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from stepcache.digest import digest_all
from stepcache.model import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUTPUTS = "outputs"
STREAM = "stream"
MAPPED = "mapped"
PACK = "pack"


def outputs(parts: Mapping[str, Value]) -> Value:
    """The value that a step's outputs are together: a dict of them."""
    told = [text for name, part in parts.items() for text in (name, part.digest)]
    return evolve(composed(OUTPUTS, tuple(parts.values()), told), names=tuple(parts))


def composed(codec: str, parts: tuple[Value, ...], told: Iterable[bytes | str], count: int | None = None) -> Value:
    """The value that *parts* are, as *codec* puts them together; *told* is what its digest is made of."""
    contents = [each for part in parts for each in part.contents]
    return Value(
        digest=digest_all(f"composed {codec}", told),
        codec=codec,
        size=sum(each.size for each in contents),
        stored=sum(each.stored for each in contents),
        classes=tuple(dict.fromkeys(each for part in parts for each in part.classes)),
        parts=parts,
        count=count,
    )
