"""One step alone: with the values that a test gives, and those of a run for the rest."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stepcache.api import Defined
from stepcache.errors import UsageError
from stepcache.model import ABSENT, Definition, Node
from stepcache.runs import lent
from stepcache.served import Served, serve
from stepcache.session import Call


def called(target: Defined[..., Any], given: Mapping[str, Any]) -> Any:
    """What `stepcache.testing.call` gives."""
    definition = target.definition
    parameters = {parameter.name: parameter for parameter in definition.parameters}
    chosen = {name for each in definition.parametrize for name in each.names}
    handed: dict[str, Any] = {}
    params: dict[str, Any] = {}
    for name, value in given.items():
        if name in chosen:
            params[f"{definition.name}.{name}"] = [value]  # a list would be a sweep
        elif name not in parameters:
            params[name] = value
        elif parameters[name].default is ABSENT:
            handed[name] = value
        else:
            params[f"{definition.name}.{name}"] = value
    served = serve(Call(params=params, target=target, supplied=handed), Path.cwd())
    owner = _Owner()
    weakref.finalize(owner, served.close)  # a stream is read when it is gone through
    served.session.shelf.scratch.lend()
    with ExitStack() as ends:
        node = _meant(served, definition, handed)
        if node.mapped and not any(need.each and need.parameter in handed for need in node.needs):
            return lent(served.copy(served.called_for_each(node.id, handed, {})), owner)
        live = {*node.builtins, *(need.parameter for need in node.needs if need.resource is not None)}
        for name in handed.keys() - live:  # the body may change its values
            handed[name] = served.copy(served.product(handed[name]))
        return lent(served.copy(served.called(node.id, handed, ends)), owner)


class _Owner:
    """What keeps the pipelines open as long as it is referred to."""


def _meant(served: Served, definition: Definition, handed: Mapping[str, Any]) -> Node:
    """The one variant that is left, as far as what is not given tells them apart."""
    graph = served.session.graph
    found = [graph.nodes[each] for each in graph.targets if graph.nodes[each].definition.kind == definition.kind]
    if len({_left_open(node, handed) for node in found}) == 1:
        return found[0]
    names = dict.fromkeys(name for node in found for *_, values in node.choices for name in values)
    raise UsageError(
        f"call({definition.name}): which variant? there are {', '.join(n.id.rpartition('::')[2] for n in found)}: "
        f"give {', '.join(f'{name}=' for name in names)}"
    )


def _left_open(node: Node, handed: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells a variant from the others, apart from what is given."""
    needs = [(each.parameter, each.nodes, each.resource) for each in node.needs if each.parameter not in handed]
    return tuple((each.name, id(each.value)) for each in node.settings), tuple(needs)
