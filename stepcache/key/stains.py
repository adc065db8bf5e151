"""What steps leave in variables of project modules, and in resources, of what they have read: a later step of the
process finds it there and does not read it again, so nothing would be seen of that.

What a body leaves is told by comparing what the modules that it reaches hold (holdings.py) just before its first read
with what they hold at its end. So memory that is made by hand is seen in any form. Entries that were added to a dict
are taken out again before the next step, as what `functools.cache` keeps is, where each function that uses the dict
asks first what is in it (usages.py): then that reads by itself. Anything else stays as it is, and what the body has
read counts for every later step that reaches the variable. Flags, counters, and what functions only put something
into, say nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import ModuleType, SimpleNamespace
from typing import Any

from attrs import field

from stepcache.key.holdings import Holder, Holdings, Name, holdings_of, is_no_data
from stepcache.key.usages import Label, Usages
from stepcache.model import Observation
from stepcache.records import define, frozen

_Change = tuple[str, Name, Holder | None]
"""The module in which something holds something else now, its name, and what does, if it is not a variable itself."""


@frozen(eq=False)
class _Stain:
    """Something in a module holds what was `read`. `memory` is the dict, or the cache, that does, if it is to be taken
    out of there again; in a dict `keys` lead to it."""

    module: str
    read: tuple[Observation, ...]
    memory: Holder | None = None
    keys: tuple[Any, ...] = ()

    def take_out(self) -> None:
        if self.memory is not None:
            self.memory.take_out(self.keys)


@define(eq=False)
class Before:
    """What modules held before a body read anything."""

    stains: Stains
    holdings: dict[str, Holdings] = field(factory=dict)

    def take(self, modules: Collection[str]) -> None:
        """Look at modules that were not looked at yet."""
        for name in modules:
            if name not in self.holdings:
                found = self.stains.holdings(name)
                if found is not None:
                    self.holdings[name] = found

    def changed(self) -> list[_Change]:
        """What holds something else now."""
        every = [(name, each) for name, each in self.holdings.items() if not each.is_as_it_was]
        return [(name, *found) for name, each in every for found in each.changed()]


@define(eq=False)
class Stains:
    """What steps of this process have left in the variables of project modules."""

    is_project: Callable[[str], bool]
    usages: Usages
    _left: dict[Name, list[_Stain]] = field(factory=dict)
    """For good."""
    _remembered: dict[Name, list[_Stain]] = field(factory=dict)
    """Until the next step begins."""
    _open: list[Before] = field(factory=list)
    _resources: dict[str, SimpleNamespace] = field(factory=dict)
    """What steps share, each as the one thing that a module of the resource's name would hold."""
    _known: dict[str, Holdings] = field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self._left or self._remembered)

    # --- bodies

    def begin(self, modules: Collection[str]) -> Before:
        """A body that reaches *modules* is about to read, or may find what others have left."""
        before = Before(self)
        before.take(modules)
        self._open.append(before)
        return before

    def imported(self, module: str) -> None:
        """A module was imported: what it holds was not left there."""
        for each in self._open:
            each.take([module])

    def end(
        self,
        before: Before,
        read: tuple[Observation, ...],
        reaches: Callable[[str, str], bool] = lambda module, name: False,
        *,
        for_good: bool = False,
    ) -> tuple[Observation, ...]:
        """A body that has *read* something has ended. Returns that, with what others had read that it found.

        It may have found it in what *reaches* says yes to, by module and name, unless that is a variable that it sets
        before it looks. What it has added stays there *for_good*, also where others are under way, which may be about
        to look for it.
        """
        for_good = for_good or self._open != [before]
        self._open = [each for each in self._open if each is not before]
        changed = before.changed()
        own = {name for _, name, holder in changed if holder is None and self.usages.is_overwritten(*name)}
        found = [
            stain
            for known in (self._left, self._remembered)
            for name, stains in known.items()
            if name not in own and reaches(*name)
            for stain in stains
        ]
        every = tuple(dict.fromkeys((*read, *(observation for stain in found for observation in stain.read))))
        if changed and every:
            self._add(changed, every, for_good=for_good)
        return every

    def _add(self, changed: list[_Change], read: tuple[Observation, ...], *, for_good: bool) -> None:
        for module, name, holder in changed:
            if self._says_nothing(name, holder):
                continue
            keys = holder.added if holder is not None else ()
            # A notebook's variables are looked at.
            if for_good or module == "__main__" or holder is None or not self._is_memory(holder, keys):
                self._left.setdefault(name, []).append(_Stain(module, read))
            else:
                self._remembered.setdefault(name, []).append(_Stain(module, read, holder, keys))

    def _says_nothing(self, name: Name, holder: Holder | None) -> bool:
        """Is what has changed there only flags, counters, or what nobody looks at?"""
        if holder is None:
            labels = [Label(name[1], module=name[0])]
        elif holder.attributes is not None:
            labels = [Label(each, is_attribute=True) for each in holder.attributes]
        elif holder.label is None:
            return False
        else:
            keys = holder.added
            if keys and all(is_no_data(holder.one[key]) for key in keys):
                return True
            is_flags = bool(keys) and self.usages.is_flag(holder.label, items=True)
            return is_flags or self.usages.is_only_written(holder.label)
        told = (self.usages.is_flag, self.usages.is_counter, self.usages.is_only_written)
        return all(any(is_so(label) for is_so in told) for label in labels)

    def _is_memory(self, holder: Holder, keys: tuple[Any, ...]) -> bool:
        """Can what was added be taken out again, and whoever uses it makes it anew?"""
        if holder.is_cache or (keys and holder.fills_itself):
            return True
        return bool(keys) and holder.label is not None and self.usages.is_asked_first(holder.label)

    def take_out(self) -> None:
        """Another step begins: take out what was added to dicts. What caches hold has been forgotten."""
        for stains in self._remembered.values():
            for stain in stains:
                stain.take_out()
        self._remembered.clear()

    # --- modules

    def set_up(self, resource: str, made: Any) -> None:
        """A resource is there, and steps share its object: what they leave in it is as what they leave in a module."""
        self._resources[resource] = SimpleNamespace(object=made)
        self.imported(resource)

    def torn_down(self, resource: str) -> None:
        self._resources.pop(resource, None)
        self.forget(resource)

    def holdings(self, name: str) -> Holdings | None:
        """What the module, or the resource, of that name holds now, if it is there."""
        module = self._resources.get(name) or sys.modules.get(name)
        if not isinstance(module, ModuleType | SimpleNamespace):
            return None
        known = self._known.get(name)
        if known is None or known.module is not module or not known.is_as_it_was:
            known = self._known[name] = holdings_of(name, module, self.is_project)
        return known

    def forget(self, module: str) -> None:
        """The module is to be imported again."""
        self._known.pop(module, None)
        for known in (self._left, self._remembered):
            for name, stains in list(known.items()):
                known[name] = [each for each in stains if each.module != module]
                if not known[name]:
                    del known[name]

    def hold(self, module: str, holds: Callable[[Observation], bool]) -> bool:
        """Would what was left in a module for good be read again as it was?"""
        left = (each for stains in self._left.values() for each in stains if each.module == module)
        return all(holds(observation) for each in left for observation in each.read)
