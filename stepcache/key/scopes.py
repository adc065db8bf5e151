"""Scopes, as Python has them, and what a piece of code was seen to use while it was walked."""

from __future__ import annotations

import re
from typing import Literal

from attrs import field

from stepcache.key.table import NO_USES, Chain, Dynamic, Import, Uses
from stepcache.records import define

_DOLLAR = re.compile(r"\$(?:[A-Za-z_]\w*|\{[A-Za-z_]\w*\})", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")

ScopeKind = Literal["module", "function", "class", "comprehension"]


@define(eq=False)
class Scope:
    """A namespace of the source. `imports` holds what each name bound by an import in it stands for, in order."""

    kind: ScopeKind
    parent: Scope | None = None
    depth: int = 0
    prefix: str = ""
    bound: set[str] = field(factory=set)
    global_names: set[str] = field(factory=set)
    nonlocal_names: set[str] = field(factory=set)
    imports: dict[str, list[tuple[int, str, int, str | None]]] = field(factory=dict)
    import_count: int = 0

    def child(self, kind: ScopeKind, prefix: str = "") -> Scope:
        """A scope inside this one."""
        return Scope(kind, self, self.depth + 1, prefix)

    def binder(self, name: str) -> Scope | None:
        """The enclosing function whose local *name* is, seen from here; None if it is global or built in."""
        scope: Scope | None = self
        while scope is not None and scope.parent is not None:
            if scope.kind != "class":
                if name in scope.global_names:
                    return None
                if name in scope.bound and name not in scope.nonlocal_names:
                    return scope
            scope = scope.parent
        return None


@define(eq=False)
class Collector:
    """What a piece of code was seen to use, before it is known which names are local."""

    chains: set[tuple[Scope, Chain]] = field(factory=set)
    direct: set[Import] = field(factory=set)
    dynamic: list[tuple[Scope, Dynamic]] = field(factory=list)
    strings: set[str] = field(factory=set)
    words: set[tuple[Scope, str]] = field(factory=set)
    assigns: set[str] = field(factory=set)
    nonlocals: set[str] = field(factory=set)
    effects: set[tuple[Scope, Chain]] = field(factory=set)
    marks: set[str] = field(factory=set)
    names: set[str] = field(factory=set)

    def merge(self, other: Collector) -> None:
        """Take in what a nested piece uses."""
        self.chains |= other.chains
        self.direct |= other.direct
        self.dynamic += other.dynamic
        self.strings |= other.strings
        self.words |= other.words
        self.assigns |= other.assigns
        self.nonlocals |= other.nonlocals
        self.effects |= other.effects
        self.marks |= other.marks
        self.names |= other.names

    def uses(self, base: int, module_names: frozenset[str]) -> Uses:
        """What the piece uses, where scopes of depth *base* and more are its own."""
        chains: set[Chain] = set()
        free: set[Chain] = set()
        imports = set(self.direct)
        for scope, chain in self.chains:
            binder = scope.binder(chain[0])
            if binder is None:
                chains.add(chain)
            elif binder.depth < base:
                free.add(chain)
            elif chain[0] in binder.imports:
                imports.update(taken_of(chain, binder.imports[chain[0]]))
        for scope, word in self.words:
            if word in module_names and scope.binder(word) is None:
                chains.add((word,))
        for scope, one in self.dynamic:
            binder = scope.binder(one.chain[0]) if one.feature == "getattr" else None
            if binder is not None and one.chain[0] in binder.imports:
                imports.update(taken_of(one.chain, binder.imports[one.chain[0]]))
        uses = Uses(
            tuple(sorted(_widest(chains))),
            tuple(sorted(_widest(free))),
            tuple(sorted(imports, key=lambda one: (one.label, one.module, one.level, one.chain, one.present))),
            tuple(sorted(self._outer_dynamic(), key=lambda one: (one.feature, one.line, one.detail, one.chain))),
            tuple(sorted(_telling(self.strings))),
            tuple(sorted(self.assigns)),
            tuple(sorted(self.nonlocals)),
            tuple(sorted(self._outer_effects())),
            tuple(sorted(self.marks)),
            tuple(sorted(self.names)),
        )
        return NO_USES if uses == NO_USES else uses

    def _outer_effects(self) -> set[Chain]:
        """What is called for effect or stored into; what the piece itself imports stands after "" and its module."""
        found: set[Chain] = set()
        for scope, chain in self.effects:
            binder = scope.binder(chain[0])
            if binder is None:
                found.add(chain)
            elif chain[0] in binder.imports:
                found.update(("", one.module, *one.chain) for one in taken_of(chain, binder.imports[chain[0]]))
        return found

    def _outer_dynamic(self) -> set[Dynamic]:
        """The dynamic features; of a `getattr`, only one on a name that is not local."""
        found = set()
        for scope, one in self.dynamic:
            if one.feature != "getattr" or scope.binder(one.chain[0]) is None:
                found.add(one)
        return found


def _telling(strings: set[str]) -> set[str]:
    """The literals that could be paths or names of variables; of longer ones the `$NAME`s in them."""
    found = set()
    for text in strings:
        if 0 < len(text) <= 400 and not _UNPRINTABLE.search(text):
            found.add(text)
        elif "$" in text:
            found.update(_DOLLAR.findall(text))
    return found


def _widest(chains: set[Chain]) -> set[Chain]:
    """Without the chains that go on from another one: the whole of what a bare name stands for is used anyway."""
    return {chain for chain in chains if not any(chain[:end] in chains for end in range(1, len(chain)))}


def taken_of(chain: Chain, imports: list[tuple[int, str, int, str | None]]) -> list[Import]:
    """The uses of *chain*, whose first name each of *imports* may have bound."""
    found = []
    for number, module, level, attribute in imports:
        rest = chain[1:] if attribute is None else (attribute, *chain[1:])
        found.append(Import(f"{'.'.join(chain)}#{number}", module, level, rest))
    return found
