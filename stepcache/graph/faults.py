"""What is said of definitions that cannot be wired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType

from stepcache.config.spelling import nearest
from stepcache.graph.family import Edge
from stepcache.graph.scope import Scope
from stepcache.model import Definition, Parameter, Problem
from stepcache.signature import innermost


def circle(definitions: list[Definition]) -> Problem:
    """What is said of steps that need one another; it is the same wherever the circle was entered."""
    places = [(d.source.file, d.source.line, d.name) for d in definitions]
    at = places.index(min(places))
    turned = [*definitions[at:], *definitions[:at]]
    first = turned[0]
    shown = turned if len(turned) <= 12 else [*turned[:6], *turned[-5:]]
    names = [d.name for d in shown]
    if len(shown) < len(turned):
        names.insert(6, f"({len(turned) - len(shown)} more)")
    lines = [f"{first.source}: steps need one another in a circle: {' -> '.join([*names, first.name])}"]
    lines += [f"    {d.source}: {d.name}({', '.join(p.name for p in d.parameters)})" for d in shown]
    lines.append("  take one of these parameters out, or give it a default")
    return Problem(f"{first.source.file}::{first.name}", "\n".join(lines))


def shorter_lived(taker: Definition, taken: Definition) -> Iterator[Problem]:
    """A resource that lives for the run cannot hold one that lives for a node."""
    if taker.kind == taken.kind == "resource" and (taker.scope, taken.scope) == ("run", "node"):
        yield Problem(
            f"{taker.source.file}::{taker.name}",
            f"{taker.source}: resource '{taker.name}' has scope \"run\" and takes '{taken.name}', which is torn down "
            f"after each node\n    {taken.source}: resource '{taken.name}' has scope \"node\"\n"
            "  give both the same scope",
        )


def built_in_for_resource(taker: Definition, name: str) -> Iterator[Problem]:
    """What is built in belongs to the node that takes it, which a resource is not."""
    if taker.kind == "resource":
        yield Problem(
            f"{taker.source.file}::{taker.name}",
            f"{taker.source}: resource '{taker.name}' takes '{name}', which only steps, pipelines and checks can take\n"
            f"  take it in the step, and hand it to what the resource gives",
        )


def not_mapped(taker: Definition, edges: Iterable[Edge]) -> Iterator[Problem]:
    """What cannot be run once per element: more than one source's, a resource's, or by other than steps and checks."""
    mapped = [edge for edge in edges if edge.takes_each]
    if not mapped:
        return
    where = f"{taker.source.file}::{taker.name}"
    what = f"{taker.source}: {taker.kind} '{taker.name}'"
    for edge in mapped[:1]:
        if taker.kind not in ("step", "check"):
            said = f"{what} takes '{edge.parameter}: Each', and only steps and checks run once per element"
            yield Problem(where, f"{said}\n  take '{edge.asked}' without Each: that is the whole")
        elif taker.outputs:
            said = f"{what} takes '{edge.parameter}: Each' and has outputs, which only a step that runs once can have"
            yield Problem(where, f"{said}\n  return a dict, and take its parts in a step of their own")
    for edge in mapped:
        if edge.family.definition.kind == "resource":
            source = edge.family.definition.source
            yield Problem(
                where,
                f"{what} takes each element of '{edge.asked}', which is a resource ({source})\n"
                f"  only steps have elements: take it without Each",
            )
    sources = {edge.elements: edge for edge in mapped}
    if len(sources) > 1:
        first, second = list(sources.values())[:2]
        yield Problem(
            where,
            f"{what} takes each element of '{first.asked}' and of '{second.asked}', which do not belong together\n"
            f"    '{first.asked}' ({first.family.definition.source}) has the elements of {first.elements[0]}\n"
            f"    '{second.asked}' ({second.family.definition.source}) has the elements of {second.elements[0]}\n"
            f"  take one of them without Each, or pair them in a step of their own",
        )


def no_variants(taker: Definition, edges: Iterable[Edge]) -> Iterator[Problem]:
    """A resource has no variants that a taker could have all of."""
    for edge in edges:
        if edge.takes_all and edge.family.definition.kind == "resource":
            source = edge.family.definition.source
            yield Problem(
                f"{taker.source.file}::{taker.name}",
                f"{taker.source}: {taker.kind} '{taker.name}' takes every variant of '{edge.asked}', which is a "
                f"resource ({source})\n  All gives the values of steps: take it without All",
            )


def _line_of_plain_function(definition: Definition, name: str) -> int | None:
    """Where a function of that name stands in the file of the definition, if it is nothing more than a function."""
    found = getattr(innermost(definition.function), "__globals__", {}).get(name)
    if isinstance(found, FunctionType) and found.__code__.co_filename == definition.source.path:
        return found.__code__.co_firstlineno
    return None


def missing(definition: Definition, parameter: Parameter, name: str, scope: Scope) -> Problem:
    """No step or setting of that name is found; a parameter without a name stands for one of `builds`."""
    source = definition.source
    what = f"{definition.kind} '{definition.name}'"
    found = scope.find(name, definition)
    names = scope.names(definition)
    near = nearest(name, [n for n in names if n != definition.name and names[n].kind != "pipeline"])
    if not parameter.name:
        lines = [f"{source}: {what} builds '{name}', and no step of that name is found"]
    else:
        own = name == definition.name
        lines = [
            f"{source}: {what} wants "
            + (f"'{name}' itself, and there is none further out" if own else f"'{name}', and nothing provides it"),
            f"    def {definition.name}({', '.join(p.name for p in definition.parameters)})",
        ]
    if found is not None and found.definition.kind == "pipeline":
        lines.append(f"  {found.definition.source}: '{name}' is a pipeline, whose value no step can ask for")
    elif found is not None:
        lines.append(f"  {found.definition.source}: '{name}' is a {found.definition.kind}, which cannot be built")
    elif check := next((c for level in scope.chain for c in level.checks if c.name == name), None):
        lines.append(f"  {check.source}: '{name}' is a check, which has no value")
    elif line := _line_of_plain_function(definition, name):
        lines.append(f"  {source.file}:{line}: '{name}' is a plain function: @step in front of it makes it a step")
    elif near:
        lines.append(f"  did you mean '{near}' ({names[near].source})?")
    elif name == definition.name:
        lines.append("  only a definition of an outer stepconf.py is extended so: rename one of the two")
    elif parameter.name:
        lines.append(f"  as a required setting it can be given with -P {definition.name}.{parameter.name}=VALUE")
    lines.append("  `stepcache --steps` lists what can be asked for")
    return Problem(f"{source.file}::{definition.name}", "\n".join(lines))
