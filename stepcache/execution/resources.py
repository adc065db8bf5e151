"""Live objects for nodes: set up when first needed, torn down in reverse order."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Container, Generator, Iterable, Mapping
from copy import deepcopy
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import Any

from attrs import field

from stepcache.api import running_node
from stepcache.execution.values import Inputs
from stepcache.model import BoundResource, Observation, Setting
from stepcache.records import define

# Of what cannot be changed all have the same.
_LASTING = (type(None), bool, int, float, complex, str, bytes, PurePath, Enum, date, timedelta, type, FunctionType)


def own_settings(settings: Iterable[Setting], given: Container[str] = ()) -> dict[str, Any]:
    """The values of settings, by name, but for those that are *given*; each a copy for whoever gets it.

    A default is one object for all calls: what one body did to it, the next would be given, under the same key.
    """
    return {
        s.name: s.value if isinstance(s.value, _LASTING) else _copied(s.value) for s in settings if s.name not in given
    }


def _copied(value: Any) -> Any:
    try:
        return value if _is_empty(value) else deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied (a module, a lock) is handed on as it is
        return value


def _is_empty(value: Any) -> bool:
    """Is there nothing in the object? Such stand for "not given", and are told from others by being the same one."""
    if getattr(value, "__dict__", None):
        return False
    made_by, arguments, *contents = value.__reduce_ex__(4)
    return made_by is copyreg.__newobj__ and len(arguments) == 1 and not any(contents)  # type: ignore[attr-defined]


@define
class _Live:
    bound: BoundResource
    object: Any
    rest: Generator[Any, None, None] | None
    seen: tuple[Observation, ...]


SetUp = Callable[[Callable[[], Any]], tuple[Any, tuple[Observation, ...]]]


@define
class Resources:
    """The resources of one process, each bound one set up at most once, or once for each node.

    *watched* runs a set-up and says what it was seen to read: that counts for each node that takes the resource.
    Those of one node that runs beside others have *shared*, which holds what lives as long as the run.
    """

    watched: SetUp
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
                    raise RuntimeError(f"resource '{resource.definition.name}' did not yield") from None
            return made

        made, seen = self.watched(set_up)
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
