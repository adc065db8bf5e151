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
from stepcache.graph.settings import Given, Overrides, choices_of, settings_of, value_of
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
                    self._refuse_circle([*path.values()], needed)
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
            if parameter.default is not ABSENT or parameter.name in chosen or parameter.name.startswith("*"):
                continue
            name = definition.takes.get(parameter.name, parameter.name)
            yield parameter, name, self._usable(request.scope.find(name, definition))
        for name in definition.builds:
            yield Parameter(""), name, self._usable(request.scope.find(name, definition))

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
        problems: list[Problem] = []
        fixed = []
        for parameter, name, found in self._found(request):
            if found is not None:
                below = self._bound[Request(found.definition, scope, under).wanted]
                if parameter.name:
                    edges.append(Edge(parameter.name, name, below, parameter.takes_all))
                else:
                    builds.append(below)
            elif name in BUILTINS and parameter.name:
                builtins.append(name)
            else:
                setting = value_of(definition, parameter, overrides, self._root) if parameter.name else None
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
            if parameter.default is not ABSENT and parameter.name not in chosen:
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
        known = self.families.get(str(family.base))
        if known is not None:
            if _same(known, family):
                return known
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
            if level.path != definition.source.path and any(c.name == definition.name for c in level.checks):
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
        try:
            family = self.bind(definition, native)
        except CircleError:
            return None
        return None if family.problems else family

    @staticmethod
    def _refuse_circle(path: list[Request], closing: Request) -> None:
        at = next(i for i, each in enumerate(path) if each.wanted == closing.wanted)
        raise CircleError([each.definition for each in path[at:]])


class CircleError(UsageError):
    """Steps that need one another; `definitions` are the whole circle."""

    def __init__(self, definitions: list[Definition]) -> None:
        self.definitions = definitions
        first = definitions[0]
        shown = definitions if len(definitions) <= 12 else [*definitions[:6], *definitions[-5:]]
        names = [d.name for d in shown]
        if len(shown) < len(definitions):
            names.insert(6, f"({len(definitions) - len(shown)} more)")
        lines = [f"{first.source}: steps need one another in a circle: {' -> '.join([*names, first.name])}"]
        lines += [f"    {d.source}: {d.name}({', '.join(p.name for p in d.parameters)})" for d in shown]
        lines.append("  take one of these parameters out, or give it a default")
        super().__init__("\n".join(lines))


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


def _missing(definition: Definition, parameter: Parameter, name: str, scope: Scope) -> Problem:
    source = definition.source
    shown = ", ".join(p.name for p in definition.parameters)
    what = f"{definition.kind} '{definition.name}'"
    if not parameter.name:
        lines = [f"{source}: {what} builds '{name}', and no step of that name is found"]
    else:
        lines = [
            f"{source}: {what} wants '{name}', and nothing provides it",
            f"    def {definition.name}({shown})",
        ]
    hidden = scope.find(name, definition)
    names = scope.names(definition)
    near = get_close_matches(name, [n for n in names if n != definition.name and names[n].kind != "pipeline"], 1)
    if hidden is not None:
        lines.append(f"  {hidden.definition.source}: '{name}' is a pipeline, whose value no step can ask for")
    elif near:
        lines.append(f"  did you mean '{near[0]}' ({names[near[0]].source})?")
    elif parameter.name:
        lines.append(f"  as a required setting it can be given with -P {definition.name}.{name}=VALUE")
    lines.append("  `stepcache --steps` lists what can be asked for")
    return Problem(f"{source.file}::{definition.name}", "\n".join(lines))
