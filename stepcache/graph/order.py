"""What comes before what: closures, the checks that gate, and the order of a run. Nothing here recurses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stepcache.model import Node

Edges = Mapping[str, Sequence[str]]


def closure(start: Iterable[str], before: Edges) -> dict[str, None]:
    """*start* and all that comes before it, each once."""
    found: dict[str, None] = {}
    todo = list(start)
    while todo:
        node = todo.pop()
        if node not in found:
            found[node] = None
            todo.extend(before.get(node, ()))
    return found


def ordered(start: Iterable[str], before: Edges) -> list[str]:
    """*start* and all that comes before it, each after what comes before it."""
    done: dict[str, None] = {}
    for first in start:
        stack = [(first, iter(before.get(first, ())))]
        entered = {first}
        while stack:
            node, todo = stack[-1]
            for each in todo:
                if each not in done and each not in entered:
                    entered.add(each)
                    stack.append((each, iter(before.get(each, ()))))
                    break
            else:
                done[node] = None
                stack.pop()
    return list(done)


def gates(nodes: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """For each node the checks that must pass before it.

    A check gates the steps and pipelines that take a value which it takes, but none that it needs itself. Where
    checks would gate in a circle (each compares the source with another of its products), none of them does.
    """
    takers: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.kind != "check":
            for each in node.upstream:
                takers.setdefault(each, []).append(node.id)
    before = {node.id: node.upstream for node in nodes.values()}
    found: dict[str, list[str]] = {}
    for node in nodes.values():
        if node.kind != "check" or node.definition.warn:
            continue
        own = closure(node.upstream, before)
        for taken in node.upstream:
            for taker in takers.get(taken, ()):
                if taker not in own and node.id not in found.setdefault(taker, []):
                    found[taker].append(node.id)
    found = {node: checks for node, checks in found.items() if checks}
    if not found:
        return {}
    group = components({each: (*before[each], *found.get(each, ())) for each in nodes})
    kept = {node: tuple(c for c in checks if group[c] != group[node]) for node, checks in found.items()}
    return {node: checks for node, checks in kept.items() if checks}


def components(before: Edges) -> dict[str, int]:  # noqa: C901 - one algorithm, as it is published
    """The number of the strongly connected component of each node (Tarjan 1972, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    group: dict[str, int] = {}
    open_nodes: list[str] = []
    for first in before:
        if first in number:
            continue
        number[first] = low[first] = len(number)
        open_nodes.append(first)
        stack = [(first, iter(before[first]))]
        while stack:
            node, todo = stack[-1]
            for each in todo:
                if each not in number:
                    number[each] = low[each] = len(number)
                    open_nodes.append(each)
                    stack.append((each, iter(before.get(each, ()))))
                    break
                if each not in group:
                    low[node] = min(low[node], number[each])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == number[node]:
                    while True:
                        member = open_nodes.pop()
                        group[member] = number[node]
                        if member == node:
                            break
    return group
