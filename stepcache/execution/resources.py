"""Live objects for nodes: set up when first needed, torn down in reverse order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

from attrs import field

from stepcache.api import running_node
from stepcache.errors import WrongReturn
from stepcache.execution.values import Inputs, own_settings
from stepcache.model import BoundResource, Observation
from stepcache.records import define


@define
class _Live:
    bound: BoundResource
    object: Any
    rest: Generator[Any, None, None] | None
    seen: tuple[Observation, ...]


SetUp = Callable[[str, Callable[[], Any]], tuple[Any, tuple[Observation, ...]]]
"""Given the resource whose object steps share, or "" if they do not, and what makes it."""


@define
class Resources:
    """The resources of one process, each bound one set up at most once, or once for each node.

    *watched* runs a set-up and says what it was seen to read: that counts for each node that takes the resource.
    Those of one node that runs beside others have *shared*, which holds what lives as long as the run.
    """

    watched: SetUp
    gone: Callable[[str], None]
    """Told of a resource that is torn down, whose object steps have shared."""
    shared: Resources | None = None
    _live: list[_Live] = field(factory=list)

    def get(self, resource: str, bound: Mapping[str, BoundResource], inputs: Inputs) -> Any:
        """The object of a resource, one of *bound*; set up if it is not there, from *inputs*."""
        if self.shared is not None and bound[resource].definition.scope == "run":
            return self.shared.get(resource, bound, inputs)
        for each in self._live:
            if each.bound.id == resource:
                return each.object
        return self._set_up(bound[resource], bound, inputs)

    def seen(self, resource: str) -> tuple[Observation, ...]:
        """What the set-ups of a resource, and of those that it takes, read."""
        found = next((each for each in self._live if each.bound.id == resource), None)
        if found is None:
            return self.shared.seen(resource) if self.shared is not None else ()
        inner = [self.seen(n.resource) for n in found.bound.needs if n.resource is not None]
        return tuple(dict.fromkeys((*found.seen, *(o for each in inner for o in each))))

    def _set_up(self, resource: BoundResource, bound: Mapping[str, BoundResource], inputs: Inputs) -> Any:
        arguments: dict[str, Any] = own_settings(resource.settings)
        for need in resource.needs:
            if need.resource is not None:
                arguments[need.parameter] = self.get(need.resource, bound, inputs)
            else:
                arguments[need.parameter] = inputs.given(need)
        rest: list[Generator[Any, None, None]] = []

        def set_up() -> Any:
            made = resource.definition.function(**arguments)
            if isinstance(made, Generator):
                rest.append(made)
                try:
                    return next(made)
                except StopIteration:
                    source = resource.definition.source
                    told = f"{source}: resource '{resource.definition.name}' did not yield"
                    raise WrongReturn(told, str(source)) from None
            return made

        is_shared = resource.definition.scope == "run"
        made, seen = self.watched(resource.id if is_shared else "", set_up)
        self._live.append(_Live(resource, made, rest[0] if rest else None, seen))
        return made

    def after_node(self) -> list[tuple[BoundResource, BaseException]]:
        """Tear down the resources of scope "node", the last first."""
        return self._tear_down([each for each in self._live if each.bound.definition.scope == "node"])

    def after_run(self) -> list[tuple[BoundResource, BaseException]]:
        """Tear down all that is left, the last first; every one is tried. What went wrong is given back."""
        return self._tear_down(list(self._live))

    def _tear_down(self, which: list[_Live]) -> list[tuple[BoundResource, BaseException]]:
        wrong: list[tuple[BoundResource, BaseException]] = []
        interrupt: KeyboardInterrupt | None = None
        for each in reversed(which):
            self._live.remove(each)
            if each.bound.definition.scope == "run":
                self.gone(each.bound.id)
            if each.rest is None:
                continue
            token = running_node.set(None)
            try:
                next(each.rest)
            except StopIteration:
                pass
            except KeyboardInterrupt as error:
                interrupt = error
            except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
                wrong.append((each.bound, error))
            else:
                wrong.append((each.bound, RuntimeError(f"resource '{each.bound.definition.name}' yielded twice")))
            finally:
                running_node.reset(token)
        if interrupt is not None:
            raise interrupt
        return wrong
