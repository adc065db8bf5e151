"""The nodes that were decided on and wait for room.

However many there are, few of them have to be asked for: where there is no room for one, there is none for another of
its sort, which takes the same slots, runs in the same way and bears the same marks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from itertools import count

from attrs import field

from stepcache.model import Miss, Node
from stepcache.records import define


@define
class Waiting:
    """First come, first served, as far as there is room."""

    _sorts: dict[Hashable, deque[tuple[int, Node, Miss]]] = field(factory=dict)
    _numbers: count[int] = field(factory=count)

    def __bool__(self) -> bool:
        return bool(self._sorts)

    def add(self, node: Node, miss: Miss) -> None:
        self._sorts.setdefault(sort_of(node), deque()).append((next(self._numbers), node, miss))

    def take(self, has_room: Callable[[Node], bool]) -> tuple[Node, Miss] | None:
        """The first for which there is room, if there is one; it waits no more."""
        if not self._sorts:
            return None
        for sort, queue in sorted(self._sorts.items(), key=lambda each: each[1][0][0]):
            _, node, miss = queue[0]
            if has_room(node):
                queue.popleft()
                if not queue:
                    del self._sorts[sort]
                return node, miss
        return None


def sort_of(node: Node) -> Hashable:
    """What an executor and the slots may tell nodes apart by."""
    definition = node.definition
    limited = definition.timeout is not None
    return node.mapped, definition.asynchronous, limited, tuple(sorted(definition.slots.items())), repr(node.marks)
