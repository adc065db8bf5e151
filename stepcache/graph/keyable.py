"""Nodes that could not be kept: settings of which no key can be made, and codecs that there are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from stepcache.config import did_you_mean
from stepcache.key.value import Undigestible, value_digest
from stepcache.model import BoundResource, Definition, Node, Problem, Setting

_PLAIN = {int, float, bool, str, bytes, type(None)}


def unkeyable(nodes: Iterable[Node], resources: Iterable[BoundResource]) -> list[Problem]:
    """What is said of each setting whose value has no digest; those in `ignore` need none."""
    told: dict[str, Problem] = {}
    known: dict[int, str | None] = {}
    for definition, setting in _settings(nodes, resources):
        at = id(setting.value)
        if at not in known:
            known[at] = _opaque(setting.value)
        if known[at] is not None:
            problem = _problem(definition, setting.name, str(known[at]))
            told[problem.message] = problem
    return [*told.values()]


def without_codec(nodes: Iterable[Node], names: Collection[str]) -> list[Problem]:
    """What is said of each step whose `codec=` is none of *names*."""
    told = {id(node.definition): node.definition for node in nodes if node.definition.codec not in (None, *names)}
    return [
        Problem(
            f"{each.source.file}::{each.name}",
            f"{each.source}: codec={each.codec!r} of step '{each.name}': there is no such codec"
            + did_you_mean(str(each.codec), names),
        )
        for each in told.values()
    ]


def _settings(nodes: Iterable[Node], resources: Iterable[BoundResource]) -> Iterator[tuple[Definition, Setting]]:
    bound: list[Node | BoundResource] = [*nodes, *resources]
    for each in bound:
        for setting in each.settings:
            if type(setting.value) not in _PLAIN and setting.name not in each.definition.ignore:
                yield each.definition, setting


def _opaque(value: object) -> str | None:
    """What has no digest in *value*, if anything."""
    try:
        if _holds_itself(value, ()):
            return "itself"
    except RecursionError:
        return "something that is nested too deeply"
    try:
        value_digest(value)
    except Undigestible as error:
        return f"an object of type {error.type_name.replace(':', '.').removeprefix('builtins.')}"
    return None


def _holds_itself(value: object, inside: tuple[int, ...]) -> bool:
    if type(value) not in (list, tuple, dict):
        return False
    if id(value) in inside:
        return True
    parts = value.values() if isinstance(value, dict) else value
    return any(_holds_itself(each, (*inside, id(value))) for each in parts)  # type: ignore[attr-defined]


def _problem(definition: Definition, name: str, opaque: str) -> Problem:
    what = f"{definition.kind} '{definition.name}'"
    hint = f", or leave it out of the key with ignore=[{name!r}]" if definition.kind == "step" else ""
    return Problem(
        f"{definition.source.file}::{definition.name}",
        f"{definition.source}: setting '{name}' of {what} holds {opaque}, of which no key can be made\n"
        f"  make it in the body or in a @resource{hint}",
    )
