"""From definitions and the scopes they are asked for in to families: which step feeds which parameter.

Nothing recurses along the graph, so that a chain of any length can be bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import evolve, field

from stepcache.collect.harvest import identity
from stepcache.errors import UsageError
from stepcache.graph.family import Edge, Family
from stepcache.graph.faults import built_in_for_resource, circle, missing, no_variants, not_mapped, shorter_lived
from stepcache.graph.scope import BEYOND, Found, Scope
from stepcache.graph.settings import (
    Given,
    Overrides,
    UnfitSetting,
    choices_of,
    is_setting,
    settings_of,
    value_of,
)
from stepcache.model import ABSENT, Definition, Parameter, Problem, Setting
from stepcache.nodeid import NodeId
from stepcache.records import define, frozen

BUILTINS = ("tmp_path", "checkpoint_path", "request", "rng_seed")

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
    wanted: Wanted = field(init=False)
    """What tells requests apart."""

    @wanted.default
    def _wanted(self) -> Wanted:
        return wanted_of(self.definition, self.scope, self.under)


def wanted_of(definition: Definition, scope: Scope, under: Under | None) -> Wanted:
    """What tells a request from others."""
    return identity(definition), scope.file, under.id if under else ""


# A parameter that asks for a value or resource, the name it asks for, and what gives it.
Asked = tuple[Parameter, str, Found | None]


@define
class Wired:
    """What the parameters of one definition get, while it is bound."""

    edges: list[Edge] = field(factory=list)
    builds: list[Family] = field(factory=list)
    builtins: list[str] = field(factory=list)
    fixed: list[Setting] = field(factory=list)
    problems: list[Problem] = field(factory=list)

    @property
    def needed(self) -> list[Family]:
        """The families that come right before it."""
        return [each.family for each in self.edges] + self.builds


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
        self.unfit: dict[str, None] = {}
        """What was said of values that do not fit their settings, which keep their defaults."""

    def bind(self, definition: Definition, scope: Scope, under: Under | None = None) -> Family:
        """The family of *definition* asked for in *scope*; its `problems` say what is wrong with it."""
        first = Request(definition, scope, under)
        if first.wanted in self._bound:
            return self._bound[first.wanted]
        asked = self._asked(first)
        stack: list[tuple[Request, list[Asked], Iterator[Request]]] = [(first, asked, self._requests(first, asked))]
        path: dict[Wanted, Request] = {first.wanted: first}
        while stack:
            request, asked, todo = stack[-1]
            if request.wanted in self._bound:
                stack.pop()
                path.pop(request.wanted, None)
                continue
            for needed in todo:
                if needed.wanted in path:
                    self._note_circle([*path.values()], needed)
                else:
                    path[needed.wanted] = needed
                    asked = self._asked(needed)
                    stack.append((needed, asked, self._requests(needed, asked)))
                    break
            else:
                self._bound[request.wanted] = self._family(request, asked)
        return self._bound[first.wanted]

    def _requests(self, request: Request, asked: list[Asked]) -> Iterator[Request]:
        """What has to be bound before the request is, and is not yet."""
        scope, under = request.scope, request.under
        for _, _, found in asked:
            if found is not None and wanted_of(found.definition, scope, under) not in self._bound:
                yield Request(found.definition, scope, under)

    def _asked(self, request: Request) -> list[Asked]:
        definition, scope = request.definition, request.scope
        chosen = {name for each in definition.parametrize for name in each.names}
        asked: list[Asked] = []
        for parameter in definition.parameters:
            if is_setting(definition, parameter) or parameter.name in chosen or parameter.name.startswith("*"):
                continue
            name = definition.takes.get(parameter.name, parameter.name)
            asked.append((parameter, name, self._usable(scope.find(name, definition))))
        for name in definition.builds:
            found = self._usable(scope.find(name, definition))
            asked.append((Parameter(""), name, None if found is None or found.definition.kind != "step" else found))
        return asked

    @staticmethod
    def _usable(found: Found | None) -> Found | None:
        return None if found is None or found.definition.kind == "pipeline" else found

    # --- one family

    def _family(self, request: Request, asked: list[Asked]) -> Family:
        definition, scope, under = request.definition, request.scope, request.under
        overrides = self._overrides.below(under.given if under else None)
        wired = self._wired(request, asked, overrides)
        reached = under is not None and self._reached(definition, wired, under)
        if under is not None and not reached and definition.kind != "pipeline":
            return self.bind(definition, scope, None)
        chosen = {name for each in definition.parametrize for name in each.names}
        for parameter in definition.parameters:
            if is_setting(definition, parameter) and parameter.name not in chosen:
                self._warn_hidden(definition, parameter, scope)
                setting = self._value_of(definition, parameter, overrides)
                wired.fixed.extend(() if setting is None else (setting,))
        if len(wired.fixed) > 1:
            order = {p.name: at for at, p in enumerate(definition.parameters)}
            wired.fixed.sort(key=lambda s: order[s.name])
        family = Family(
            definition=definition,
            base=self._base(request, wired),
            edges=tuple(wired.edges),
            builds=tuple(wired.builds),
            builtins=tuple(wired.builtins),
            fixed=tuple(wired.fixed),
            own=self._own_choices(definition, overrides),
            sources=_sources(definition, overrides),
            problems=tuple(wired.problems),
            reached=reached,
            broken=bool(wired.problems) or any(each.broken for each in wired.needed),
        )
        if under is not None and reached and definition.kind != "pipeline":
            family.base = evolve(family.base, pipeline=under.name if under.file == family.base.file else under.id)
        return self._kept(family)

    def _wired(self, request: Request, asked: list[Asked], overrides: Overrides) -> Wired:
        """What gives each parameter that is no setting, and what is wrong with that."""
        definition, scope = request.definition, request.scope
        wired = Wired(problems=[*self._circles.get(request.wanted, ())])
        for parameter, name, found in asked:
            if found is not None:
                below = self._bound.get(wanted_of(found.definition, scope, request.under))
                if below is None:
                    continue  # it closes a circle, which is among the problems
                if parameter.name:
                    wired.problems.extend(shorter_lived(definition, found.definition))
                    wired.edges.append(Edge(parameter.name, name, below, parameter.takes_all, parameter.takes_each))
                else:
                    wired.builds.append(below)
            elif name in BUILTINS and parameter.name:
                wired.problems.extend(built_in_for_resource(definition, name))
                wired.builtins.append(name)
            else:
                required = evolve(parameter, default=ABSENT)
                setting = self._value_of(definition, required, overrides) if parameter.name else None
                if setting is not None:
                    wired.fixed.append(setting)
                else:
                    wired.problems.append(missing(definition, parameter, name, scope))
        wired.problems.extend(not_mapped(definition, wired.edges))
        wired.problems.extend(no_variants(definition, wired.edges))
        return wired

    @staticmethod
    def _reached(definition: Definition, wired: Wired, under: Under) -> bool:
        """Do the pipeline's `params` change the definition, or what it needs?"""
        if any(each.reached for each in wired.needed):
            return True
        names = {*settings_of(definition), *(s.name for s in wired.fixed)}
        return any(n in under.given.values or f"{definition.name}.{n}" in under.given.values for n in names)

    def _kept(self, family: Family) -> Family:
        """The family, or the one of the same id that is the same."""
        name = str(family.base)
        known = self.families.get(name)
        if known is None:
            family.settle()
            self.families[name] = family
            return family
        if _same(known, family):
            return known
        if known.broken or family.broken:
            return family
        raise UsageError(
            f"{family.definition.source}: two nodes would be called {family.base}, this one and that of "
            f"{known.definition.source}: give one of them another name with name=…"
        )

    def _own_choices(self, definition: Definition, overrides: Overrides) -> tuple[Any, ...]:
        try:
            return tuple(
                choices_of(definition, each.names, each.choices, overrides, self._root)
                for each in definition.parametrize
            )
        except UnfitSetting as error:
            self.unfit[str(error)] = None
            return tuple(each.choices for each in definition.parametrize)

    def _value_of(self, definition: Definition, parameter: Parameter, overrides: Overrides) -> Setting | None:
        try:
            return value_of(definition, parameter, overrides, self._root)
        except UnfitSetting as error:
            self.unfit[str(error)] = None
            return Setting(parameter.name, None if parameter.default is ABSENT else parameter.default)

    def _warn_hidden(self, definition: Definition, parameter: Parameter, scope: Scope) -> None:
        found = scope.find(parameter.name, definition)
        if found is not None and found.definition.kind != "pipeline":
            self.warnings[
                f"{definition.source}: '{definition.name}' has a setting '{parameter.name}', which is also the name "
                f"of a {found.definition.kind} ({found.definition.source}): take away the default to be given its value"
            ] = None

    # --- ids

    def _base(self, request: Request, wired: Wired) -> NodeId:
        """The id: of the file that defines it, or of the nearer file in which something that it needs is found."""
        definition, scope = request.definition, request.scope
        needed = wired.needed
        native = self._scopes.get(definition.source.path)
        if native is not None and native.file != scope.file and not wired.problems:
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
        problem = circle([each.definition for each in path[at:]])
        for each in path[at:]:
            self._circles.setdefault(each.wanted, {})[problem] = None


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
