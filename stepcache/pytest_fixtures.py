"""Steps and resources as fixtures of pytest.

Each name of the pipelines is a fixture, in a plugin made for it, so that a fixture of that name in a conftest.py, test
module or class comes first, as ever. What a test, its class, its module or a conftest.py gives in the place of a step
is found by looking at those: pytest has no public way to ask which fixture a name means.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import Any, NoReturn

import pytest

from stepcache.api import Skipped
from stepcache.errors import NoElements, UsageError, WrongReturn
from stepcache.execution.returned import given_product
from stepcache.execution.values import Product, Variants
from stepcache.graph.family import Dimension, Family
from stepcache.model import Mark, Need, ParamSet
from stepcache.report.traceback import trimmed
from stepcache.served import Served

_FIXTURE = type(pytest.fixture(lambda: None, name="any"))
_GIVEN = pytest.StashKey[dict[str, Any]]()


class Fixtures:
    """Makes the fixtures of pipelines, and gives tests their values."""

    def __init__(self, served: Served, config: pytest.Config) -> None:
        self._served = served
        self._config = config
        self._choices: dict[Dimension, str] = {}
        self._names_in: dict[int, tuple[object, frozenset[str]]] = {}

    # --- making them

    def plugin(self) -> ModuleType:
        """A plugin with a fixture for each name that no other plugin has a fixture for."""
        module = ModuleType("stepcache_steps", "The steps and resources of the pipelines as fixtures.")
        taken = self._existing()
        for name, families in self._served.session.offer.families.items():
            if name not in taken:
                for each in self._made(name, list(families.values())):
                    setattr(module, f"fixture_{len(vars(module))}", each)
        return module

    def _existing(self) -> set[str]:
        """The names of the fixtures of all plugins but conftest.py files, whose fixtures override others anyway."""
        found = {"request"}
        for plugin in self._config.pluginmanager.get_plugins():
            if os.path.basename(getattr(plugin, "__file__", None) or "") != "conftest.py":
                found |= self._fixtures_in(plugin)
        return found

    def _made(self, name: str, families: list[Family]) -> Iterator[object]:
        family = families[0]
        choices: list[str] = []
        if len(families) == 1 and not family.broken:
            for number, dimension in enumerate(family.dimensions):
                known = self._choices.get(dimension)
                if known is None:
                    known = self._choices[dimension] = f"_stepcache_choice_{len(self._choices)}"
                    yield _choice(known, dimension, family.choices[number], family.definition.module)
                choices.append(known)
        definition = family.definition
        if definition.kind != "resource":
            yield _fixture(name, family, self._step(name, choices), choices)
        elif definition.scope == "run":
            yield _fixture(name, family, self._resource(name, choices), choices, "session")
        else:
            yield _fixture(name, family, self._node_resource(name, choices), choices)

    def _step(self, name: str, choices: list[str]) -> Callable[..., Any]:
        def step(request: pytest.FixtureRequest, **chosen: int) -> Any:
            __tracebackhide__ = True
            return told(lambda: self.value(request, name, self._id(name, chosen, choices)))

        return step

    def _resource(self, name: str, choices: list[str]) -> Callable[..., Any]:
        def resource(**chosen: int) -> Any:
            __tracebackhide__ = True
            return told(lambda: self._served.resource(self._id(name, chosen, choices)))

        return resource

    def _node_resource(self, name: str, choices: list[str]) -> Callable[..., Any]:
        def resource(request: pytest.FixtureRequest, **chosen: int) -> Any:
            __tracebackhide__ = True
            return told(lambda: self._set_up(request, self._id(name, chosen, choices), self.overriding(request.node)))

        return resource

    def _id(self, name: str, chosen: Mapping[str, int], choices: list[str]) -> str:
        return self._served.family(name).ids[tuple(chosen[each] for each in choices)]

    # --- values

    def value(self, request: pytest.FixtureRequest, name: str, node_id: str) -> Any:
        """The test's own copy of a step's value: from the cache, or below what the test gives, outside of it."""
        step = self._served.session.graph.nodes[node_id].name
        need = Need("", name, node=node_id, output=name if name != step else None)
        return self._taken(request, need, node_id, self.overriding(request.node) - {name})

    def _taken(self, request: pytest.FixtureRequest, need: Need, node_id: str, given: frozenset[str]) -> Any:
        """What a parameter gets of a node."""
        found = self._dependent(request, need, node_id, given)
        return self._served.of(node_id, need.output) if found is None else self._served.copy(*found)

    def _dependent(
        self, request: pytest.FixtureRequest, need: Need, node_id: str, given: frozenset[str]
    ) -> tuple[Product, str | None] | None:
        """The value that a parameter gets of a node, and which output of it; None if the test has no part in it."""
        if need.step in given:
            return self._test_value(request, need.step), None
        if need.output is not None and self._served.session.graph.nodes[node_id].name in given:
            return self._test_outputs(request, node_id), need.output
        if given & self._served.ancestors(node_id):
            return self._outside(request, node_id, given), need.output
        return None

    def _outside(self, request: pytest.FixtureRequest, node_id: str, given: frozenset[str]) -> Product:
        """The value of a node that depends on what the test gives, made once a test."""

        def make() -> Product:
            node = self._served.session.graph.nodes[node_id]
            if node.mapped:
                found = {n.parameter: self._dependent(request, n, n.nodes[0], given) for n in node.needs if n.each}
                wholes = {parameter: each for parameter, each in found.items() if each is not None}
                others = self._arguments(request, (n for n in node.needs if not n.each), given)
                return self._served.called_for_each(node_id, others, wholes)
            with ExitStack() as ends:
                return self._served.called(node_id, self._arguments(request, node.needs, given), ends)

        product: Product = _once(request, node_id, make)
        return product

    def _arguments(
        self, request: pytest.FixtureRequest, needs: Iterable[Need], given: frozenset[str]
    ) -> dict[str, Any]:
        """What parameters get, as far as it depends on what the test gives."""
        found: dict[str, Any] = {}
        for need in needs:
            if not self._depends(need, given):
                continue
            if need.resource is not None and need.step in given:
                found[need.parameter] = request.getfixturevalue(need.step)
            elif need.resource is not None:
                found[need.parameter] = self._set_up(request, need.resource, given)
            elif need.variants is not None:
                found[need.parameter] = self._variants(request, need, given)
            elif need.node is not None:
                found[need.parameter] = self._taken(request, need, need.node, given)
        return found

    def _depends(self, need: Need, given: frozenset[str]) -> bool:
        """Does what a parameter gets depend on what the test gives?"""
        above = (need.resource,) if need.resource is not None else need.nodes
        return bool(given & ({need.step}.union(*(self._served.names(each) for each in above))))

    def _variants(self, request: pytest.FixtureRequest, need: Need, given: frozenset[str]) -> Variants:
        """What a parameter annotated `All` gets; what of it does not depend on the test may be skipped."""
        present = {
            variant: functools.partial(self._taken, request, need, node_id, given)
            for variant, node_id in need.variants or ()
            if given & {need.step, *self._served.names(node_id)} or self._served.row(node_id).outcome != "skipped"
        }
        return Variants(present, {v: p for v, p in need.params if v in present})

    def _set_up(self, request: pytest.FixtureRequest, resource_id: str, given: frozenset[str]) -> Any:
        """A resource that the test has for itself."""

        def make() -> Any:
            needs = self._served.session.graph.resources[resource_id].needs
            ends = ExitStack()
            request.addfinalizer(ends.close)
            return self._served.set_up(resource_id, self._arguments(request, needs, given), ends)

        return _once(request, resource_id, make)

    def _test_value(self, request: pytest.FixtureRequest, name: str) -> Product:
        product: Product = _once(
            request, f"fixture {name}", lambda: self._served.product(request.getfixturevalue(name))
        )
        return product

    def _test_outputs(self, request: pytest.FixtureRequest, node_id: str) -> Product:
        """What the test gives for a step with several outputs."""
        node = self._served.session.graph.nodes[node_id]
        whole = self._served.copy(self._test_value(request, node.name))
        try:
            return given_product(whole, node.outputs, self._served.session.shelf)
        except ValueError as error:
            got, wanted = error.args
            told = (
                f"the fixture '{node.name}' gives {got}, and its outputs are {', '.join(node.outputs)}: give {wanted}"
            )
            raise UsageError(told) from None

    # --- what a test gives

    def bring(self, collector: pytest.Collector, function: Callable[..., Any]) -> None:
        """Have a test function use the fixtures that stand in the place of what its steps depend on.

        It would be given their values anyway; but pytest has to know of them where they have parameters.
        """
        asked = [name for name in inspect.signature(function).parameters if self._served.families(name)]
        before = {name for each in asked for name in self._ancestors(each)} if asked else set()
        given = sorted(before & self.overriding(collector)) if before else []
        if given:
            pytest.mark.usefixtures(*given)(function)

    def _ancestors(self, name: str) -> frozenset[str]:
        ids = [i for family in self._served.families(name).values() if not family.broken for i in family.ids.values()]
        return frozenset(above for each in ids for above in self._served.ancestors(each))

    def overriding(self, item: pytest.Item | pytest.Collector) -> frozenset[str]:
        """The names that the test, its class, its module or a conftest.py gives a value of its own."""
        found = set(getattr(getattr(item, "callspec", None), "params", ()))
        for node in item.listchain():
            if isinstance(node, pytest.Module | pytest.Class):
                found |= self._fixtures_in(node.obj)
        for plugin in self._config.pluginmanager.get_plugins():
            file = getattr(plugin, "__file__", None) or ""
            if os.path.basename(file) == "conftest.py" and item.path.is_relative_to(os.path.dirname(file)):
                found |= self._fixtures_in(plugin)
        return frozenset(found)

    def _fixtures_in(self, holder: object) -> frozenset[str]:
        """The names of the fixtures that stand in a module, class or plugin object."""
        known = self._names_in.get(id(holder))
        if known is None:
            found = set()
            place = holder if inspect.isclass(holder) or inspect.ismodule(holder) else type(holder)
            for name in dir(place):
                value = inspect.getattr_static(place, name, None)
                if isinstance(value, _FIXTURE):
                    found.add(getattr(value, "name", name))
            known = self._names_in[id(holder)] = (holder, frozenset(found))
        return known[1]


def _once(request: pytest.FixtureRequest, name: str, make: Callable[[], Any]) -> Any:
    """What *make* gave in this test."""
    made = request.node.stash.setdefault(_GIVEN, {})
    if name not in made:
        made[name] = make()
    return made[name]


def value_of(served: Served, name: str) -> Any:
    """What `stepcache_value(name)` gives."""
    __tracebackhide__ = True
    return told(lambda: served.value(name))


def told(make: Callable[[], Any]) -> Any:
    """What *make* gives; what it raises is told as pytest has it, from the user's first frame on."""
    __tracebackhide__ = True
    try:
        return make()
    except Skipped as skipped:
        reason, wrong = skipped.reason, None
    except (UsageError, WrongReturn, NoElements) as error:
        reason, wrong = "", str(error)
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise error.with_traceback(trimmed(error.__traceback__)) from error.__cause__
    if wrong is not None:
        _refuse(wrong)
    pytest.skip(reason)


def _refuse(message: str) -> NoReturn:
    """Fail without a traceback; this frame is not hidden, so that pytest need not say that all are."""
    pytest.fail(message, pytrace=False)


def _choice(name: str, dimension: Dimension, choices: tuple[ParamSet, ...], module: str) -> object:
    """The fixture for one `parametrize`: the number of the choice, shared by all that depend on it."""
    base, _ = dimension

    def choice(request: pytest.FixtureRequest) -> Any:
        return request.param

    choice.__name__ = name
    choice.__module__ = module
    choice.__doc__ = f"Which choice of {base} it is."
    params = [pytest.param(at, id=each.id, marks=_marks(each.marks)) for at, each in enumerate(choices)]
    return pytest.fixture(choice, name=name, params=params)


def _marks(marks: tuple[Mark, ...]) -> list[pytest.MarkDecorator]:
    """The marks of a choice that pytest knows too."""
    return [getattr(pytest.mark, m.name)(*m.args, **m.kwargs) for m in marks if m.name in ("skip", "skipif")]


def _fixture(
    name: str, family: Family, body: Callable[..., Any], choices: list[str], scope: str = "function"
) -> object:
    """A fixture that shows its step's docstring and place."""
    definition = family.definition
    body.__name__ = name
    body.__module__ = definition.module
    body.__doc__ = inspect.getdoc(definition.function) or f"The {definition.kind} '{name}' of {definition.source}."
    body.__wrapped__ = definition.function  # type: ignore[attr-defined]
    asked = choices if scope == "session" else ["request", *choices]
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in asked]
    )
    return pytest.fixture(body, name=name, scope=scope)  # type: ignore[call-overload]


__all__ = ["Fixtures", "told", "value_of"]
