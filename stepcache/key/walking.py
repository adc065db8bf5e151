"""What those who look at live objects and at effects need of the walk over reached code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from stepcache.key.modules import Modules
from stepcache.key.spaces import Space, Spaces
from stepcache.key.table import Chain, Unit
from stepcache.key.vertex import Vertex


class Walk(Protocol):
    """The walk, as follow.py has it."""

    modules: Modules
    spaces: Spaces
    loading: list[str]

    def space(self, module: str) -> Space | None: ...
    def leaf(self, kind: str, content: str, package: str = "") -> Vertex: ...
    def unit(self, space: Space, index: int) -> Vertex: ...
    def vertex_of(self, space: Space, unit: Unit, *, root: bool = False) -> Vertex: ...
    def source_of(self, space: Space, name: str) -> Vertex: ...
    def of_module(self, module: str, chain: Chain) -> list[Vertex]: ...
    def follow(self, space: Space, chain: Chain) -> list[Vertex]: ...
    def later(self, vertex: Vertex, fill: Any) -> Vertex: ...
    def fill_unit(
        self, vertex: Vertex, space: Space, unit: Unit, settings: Mapping[str, object] | None = None
    ) -> None: ...
