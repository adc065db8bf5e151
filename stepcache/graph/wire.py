"""From definitions and the scopes they are asked for in to families: which step feeds which parameter.

Nothing recurses along the graph, so that a chain of any length can be bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from attrs import evolve, frozen

from stepcache.collect.harvest import identity
from stepcache.errors import UsageError
from stepcache.graph.family import Edge, Family
from stepcache.graph.scope import BEYOND, Found, Scope
from stepcache.graph.settings import Given, Overrides, choices_of, is_setting, settings_of, value_of
from stepcache.model import ABSENT, Definition, Parameter, Problem
from stepcache.nodeid import NodeId

BUILTINS = ("tmp_path", "request", "rng_seed")

# What is bound: a definition, the file in whose scope, and the pipeline whose params hold.
Wanted = tuple[tuple[str, str, int, str], str, str]


@frozen(eq=False)
class Under:
    """The pipeline whose `params` hold, and the id that it gives to the nodes they reach."""

    id: str
    file: str
    name: str
    given: Given


@frozen(eq=False)
class Request:
    """A definition asked for in a scope, maybe under a pipeline."""

    definition: Definition
    scope: Scope
    under: Under | None = None

    @property
    def wanted(self) -> Wanted:
        """What tells requests apart."""
        return (identity(self.definition), self.scope.file, self.under.id if self.under else "")


class Binder:
    """Binds definitions, each once for each scope and pipeline that make a difference."""

    def __init__(self, scopes: Mapping[str, Scope], overrides: Overrides, root: str) -> None:
        self._scopes = scopes
        self._overrides = overrides
        self._root = root
        self._bound: dict[Wanted, Family] = {}
        self._circles: dict[Wanted, dict[Problem, None]] = {}
        self.families: dict[str, Family] = {}
        self.warnings: dict[str, None] = {}

    def bind(self, definition: Definition, scope: Scope, under: Under | None = None) -> Family:
        """The family of *definition* asked for in *scope*; its `problems` say what is wrong with it."""
        first = Request(definition, scope, under)
        stack: list[tuple[Request, Iterator[Request]]] = [(first, iter(self._asks(first)))]
        path: dict[Wanted, Request] = {first.wanted: first}
        while stack:
            request, todo = stack[-1]
            if request.wanted in self._bound:
                stack.pop()
                path.pop(request.wanted, None)
                continue
            for needed in todo:
                if needed.wanted in path:
                    self._note_circle([*path.values()], needed)
                elif needed.wanted not in self._bound:
                    path[needed.wanted] = needed
                    stack.append((needed, iter(self._asks(needed))))
                    break
            else:
                self._bound[request.wanted] = self._family(request)
        return self._bound[first.wanted]

    def _asks(self, request: Request) -> list[Request]:
        found = []
        for _, _, each in self._found(request):
            if each is not None:
                found.append(Request(each.definition, request.scope, request.under))
        return found

    def _found(self, request: Request) -> Iterator[tuple[Parameter, str, Found | None]]:
        """Each parameter that asks for a value or resource, the name it asks for, and what gives it."""
        definition = request.definition
        chosen = {name for each in definition.parametrize for name in each.names}
        for parameter in definition.parameters:
            if is_setting(definition, parameter) or parameter.name in chosen or parameter.name.startswith("*"):
                continue
            name = definition.takes.get(parameter.name, parameter.name)
            yield parameter, name, self._usable(request.scope.find(name, definition))
        for name in definition.builds:
            found = self._usable(request.scope.find(name, definition))
            yield Parameter(""), name, None if found is None or found.definition.kind != "step" else found

    @staticmethod
    def _usable(found: Found | None) -> Found | None:
        return None if found is None or found.definition.kind == "pipeline" else found

    # --- one family

    def _family(self, request: Request) -> Family:
        definition, scope, under = request.definition, request.scope, request.under
        overrides = self._overrides.below(under.given if under else None)
        edges: list[Edge] = []
        builds: list[Family] = []
        builtins: list[str] = []
        problems: list[Problem] = [*self._circles.get(request.wanted, ())]
        fixed = []
        for parameter, name, found in self._found(request):
            if found is not None:
                below = self._bound.get(Request(found.definition, scope, under).wanted)
                if below is None:
                    continue  # it closes a circle, which is among the problems
                if parameter.name:
                    problems.extend(_shorter_lived(definition, found.definition))
                    edges.append(Edge(parameter.name, name, below, parameter.takes_all))
                else:
                    builds.append(below)
            elif name in BUILTINS and parameter.name:
                problems.extend(_built_in_for_resource(definition, name))
                builtins.append(name)
            else:
                required = evolve(parameter, default=ABSENT)
                setting = value_of(definition, required, overrides, self._root) if parameter.name else None
                if setting is not None:
                    fixed.append(setting)
                else:
                    problems.append(_missing(definition, parameter, name, scope))
        own_names = set(settings_of(definition)) | {s.name for s in fixed}
        reached = under is not None and (
            any(e.family.reached for e in edges)
            or any(f.reached for f in builds)
            or any(n in under.given.values or f"{definition.name}.{n}" in under.given.values for n in own_names)
        )
        if under is not None and not reached and definition.kind != "pipeline":
            return self.bind(definition, scope, None)
        chosen = {name for each in definition.parametrize for name in each.names}
        for parameter in definition.parameters:
            if is_setting(definition, parameter) and parameter.name not in chosen:
                self._warn_hidden(definition, parameter, scope)
                setting = value_of(definition, parameter, overrides, self._root)
                if setting is not None:
                    fixed.append(setting)
        order = {p.name: at for at, p in enumerate(definition.parameters)}
        family = Family(
            definition=definition,
            base=self._base(request, edges, builds, problems),
            edges=tuple(edges),
            builds=tuple(builds),
            builtins=tuple(builtins),
            fixed=tuple(sorted(fixed, key=lambda s: order[s.name])),
            own=self._own_choices(definition, overrides),
            sources=_sources(definition, overrides),
            problems=tuple(problems),
            reached=reached,
        )
        if under is not None and reached and definition.kind != "pipeline":
            family.base = evolve(family.base, pipeline=under.name if under.file == family.base.file else under.id)
        family.broken = bool(problems) or any(each.broken for each in family.needed)
        known = self.families.get(str(family.base))
        if known is not None:
            if _same(known, family):
                return known
            if known.broken or family.broken:
                return family
            raise UsageError(
                f"{definition.source}: two nodes would be called {family.base}, this one and that of "
                f"{known.definition.source}: give one of them another name with name=…"
            )
        family.settle()
        self.families[str(family.base)] = family
        return family

    def _own_choices(self, definition: Definition, overrides: Overrides) -> tuple[Any, ...]:
        return tuple(
            choices_of(definition, each.names, each.choices, overrides, self._root) for each in definition.parametrize
        )

    def _warn_hidden(self, definition: Definition, parameter: Parameter, scope: Scope) -> None:
        found = scope.find(parameter.name, definition)
        if found is not None and found.definition.kind != "pipeline":
            self.warnings[
                f"{definition.source}: '{definition.name}' has a setting '{parameter.name}', which is also the name "
                f"of a {found.definition.kind} ({found.definition.source}): take away the default to be given its value"
            ] = None

    # --- ids

    def _base(self, request: Request, edges: list[Edge], builds: list[Family], problems: list[Problem]) -> NodeId:
        """The id: of the file that defines it, or of the nearer file in which something that it needs is found."""
        definition, scope = request.definition, request.scope
        needed = [e.family for e in edges] + builds
        native = self._scopes.get(definition.source.path)
        if native is not None and native.file != scope.file and not problems:
            own = self._natively(definition, native)
            if own is not None and [str(f.base) for f in own.needed] == [_plain(f) for f in needed]:
                return own.base
        place = min([scope.place(definition), *(_place(scope, f) for f in needed)])
        if place == BEYOND:
            return NodeId(definition.source.file, definition.name)
        level = scope.chain[place]
        owner = None
        if definition.kind == "check":
            if any(c.name == definition.name and identity(c) != identity(definition) for c in level.checks):
                owner = definition.source.file
        elif level.path != definition.source.path:
            found = (self._scopes.get(level.path) or scope).find(definition.name)
            if found is None or identity(found.definition) != identity(definition):
                owner = definition.source.file
        elif identity(level.own.get(definition.name, definition)) != identity(definition):
            owner = definition.source.file
        return NodeId(level.file, definition.name, owner=owner)

    def _natively(self, definition: Definition, native: Scope) -> Family | None:
        """As it is bound in its own file, if it can be."""
        family = self.bind(definition, native)
        return None if family.problems else family

    def _note_circle(self, path: list[Request], closing: Request) -> None:
        """Remember the circle as a problem of each request in it, so that the rest can still be judged."""
        at = next(i for i, each in enumerate(path) if each.wanted == closing.wanted)
        problem = _circle([each.definition for each in path[at:]])
        for each in path[at:]:
            self._circles.setdefault(each.wanted, {})[problem] = None


def _circle(definitions: list[Definition]) -> Problem:
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


def _plain(family: Family) -> str:
    return str(evolve(family.base, pipeline=None))


def _place(scope: Scope, family: Family) -> int:
    for number, level in enumerate(scope.chain):
        if level.file == family.base.file:
            return number
    return BEYOND


def _same(one: Family, other: Family) -> bool:
    return (
        identity(one.definition) == identity(other.definition)
        and [(e.parameter, e.family) for e in one.edges] == [(e.parameter, e.family) for e in other.edges]
        and list(one.builds) == list(other.builds)
    )


def _sources(definition: Definition, overrides: Overrides) -> dict[str, str]:
    found = {}
    for each in definition.parametrize:
        for name in each.names:
            level = overrides.find(definition.name, name)
            if level is not None:
                found[name] = level[0].name
    return found


def _shorter_lived(taker: Definition, taken: Definition) -> Iterator[Problem]:
    """A resource that lives for the run cannot hold one that lives for a node."""
    if taker.kind == taken.kind == "resource" and (taker.scope, taken.scope) == ("run", "node"):
        yield Problem(
            f"{taker.source.file}::{taker.name}",
            f"{taker.source}: resource '{taker.name}' has scope \"run\" and takes '{taken.name}', which is torn down "
            f"after each node\n    {taken.source}: resource '{taken.name}' has scope \"node\"\n"
            "  give both the same scope",
        )


def _built_in_for_resource(taker: Definition, name: str) -> Iterator[Problem]:
    """What is built in belongs to the node that takes it, which a resource is not."""
    if taker.kind == "resource":
        yield Problem(
            f"{taker.source.file}::{taker.name}",
            f"{taker.source}: resource '{taker.name}' takes '{name}', which only steps, pipelines and checks can take\n"
            f"  take it in the step, and hand it to what the resource gives",
        )


def _missing(definition: Definition, parameter: Parameter, name: str, scope: Scope) -> Problem:
    source = definition.source
    what = f"{definition.kind} '{definition.name}'"
    found = scope.find(name, definition)
    names = scope.names(definition)
    near = get_close_matches(name, [n for n in names if n != definition.name and names[n].kind != "pipeline"], 1)
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
    elif near:
        lines.append(f"  did you mean '{near[0]}' ({names[near[0]].source})?")
    elif name == definition.name:
        lines.append(
            f"  only a definition in an outer stepconf.py can be extended so: rename the parameter or the {definition.kind}"
        )
    elif parameter.name:
        lines.append(f"  as a required setting it can be given with -P {definition.name}.{parameter.name}=VALUE")
    lines.append("  `stepcache --steps` lists what can be asked for")
    return Problem(f"{source.file}::{definition.name}", "\n".join(lines))
