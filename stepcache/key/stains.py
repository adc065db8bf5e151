"""What steps leave in variables of project modules of what they have read: a later step of the process finds it there
and does not read it again, so nothing would be seen of that.

What a body leaves is told by comparing what the modules that it reaches hold (holdings.py) just before its first read
with what they hold at its end. So memory that is made by hand is seen in any form. Entries that were added to dicts
are taken out again before the next step, as what `functools.cache` keeps is: then that reads by itself. Anything else
stays as it is, and what the body has read counts for every later step that reaches the variable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

from attrs import field

from stepcache.key.holdings import Holder, Holdings, Name, holdings_of
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
    memory: Any = None
    keys: tuple[Any, ...] = ()

    def take_out(self) -> None:
        for key in self.keys:
            self.memory.pop(key, None)


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
    _left: dict[Name, list[_Stain]] = field(factory=dict)
    """For good."""
    _remembered: dict[Name, list[_Stain]] = field(factory=dict)
    """Until the next step begins."""
    _open: list[Before] = field(factory=list)
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

        It may have found it in what *reaches* says yes to, by module and name, unless it has changed that itself. What
        it has added stays there *for_good*, also where others are under way, which may be about to look for it.
        """
        for_good = for_good or self._open != [before]
        self._open = [each for each in self._open if each is not before]
        changed = before.changed()
        own = {name for _, name, _ in changed}
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
        added = [holder.added if holder is not None else None for _, _, holder in changed]
        # Where anything else has changed, a flag may say that the rest is there; a notebook's variables are looked at.
        for_good = for_good or None in added or any(module == "__main__" for module, _, _ in changed)
        for (module, name, holder), keys in zip(changed, added, strict=True):
            if for_good or holder is None or keys is None:
                self._left.setdefault(name, []).append(_Stain(module, read))
            else:
                self._remembered.setdefault(name, []).append(_Stain(module, read, holder.one, keys))

    def take_out(self) -> None:
        """Another step begins: take out what was added to dicts. What caches hold has been forgotten."""
        for stains in self._remembered.values():
            for stain in stains:
                stain.take_out()
        self._remembered.clear()

    # --- modules

    def holdings(self, name: str) -> Holdings | None:
        """What the module of that name holds now, if it is there."""
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType):
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
