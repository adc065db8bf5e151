"""Definitions whose files are not imported yet: they are known from an earlier run."""

from __future__ import annotations

from collections.abc import Callable

from attrs import fields

from stepcache.model.definitions import Definition


class Asleep:
    """Stands for the function of a definition whose file is not imported yet.

    *wake* imports it, and makes the definition what the file says (see `become`).
    """

    __slots__ = ("wake",)

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def __call__(self, *_: object, **__: object) -> None:
        raise AssertionError("a step was called whose file is not imported")


def is_asleep(definition: Definition) -> bool:
    """Is the file of the definition not imported yet?"""
    return type(definition.function) is Asleep


def awake(definition: Definition) -> Definition:
    """*definition*, its file imported."""
    if isinstance(definition.function, Asleep):
        definition.function.wake()
    return definition


def become(asleep: Definition, live: Definition) -> None:
    """Make a definition that was asleep, and that others hold, the one that its file gives."""
    for each in fields(Definition):
        object.__setattr__(asleep, each.name, getattr(live, each.name))
