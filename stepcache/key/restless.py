"""Whether importing a module uses the clock, chance, or what else differs from process to process.

It is told from the source: from what the statements of a module name, with the bodies of all project functions of the
names that they name. More is taken for restless than is: a restless module is only imported in every run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from stepcache.key.spaces import Space, Spaces
from stepcache.key.table import Chain, Part, Uses

# Modules that do little else, with the names in them that are harmless.
_MODULES = {
    "time": {"sleep", "struct_time"},
    "random": set(),
    "secrets": set(),
    "uuid": {"UUID", "uuid3", "uuid5", "NAMESPACE_DNS", "NAMESPACE_URL"},
    "tempfile": {"gettempdir"},
}
# What it is called elsewhere: `datetime.now`, `os.urandom`, `numpy.random`.
_NAMES = {
    "now", "utcnow", "today", "urandom", "getrandom", "getpid", "getppid", "get_ident", "uuid1", "uuid4", "random",
    "default_rng", "perf_counter", "monotonic", "time_ns", "getloadavg", "times", "process_time", "random_device",
    "gethostname", "getrusage", "cpu_count", "getlogin",
}  # fmt: skip


def restless(spaces: Spaces, modules: Iterable[str]) -> str:
    """What of the kind the import of *modules* names; "" if nothing."""
    found = [space for space in map(spaces.static, modules) if space is not None]
    named = _by_name(found)
    todo = [(space, part) for space in found for unit in space.table.units for part in unit.at_import]
    seen: set[str] = set()
    while todo:
        space, part = todo.pop()
        if any(one.feature != "getattr" for one in part.uses.dynamic):
            return f"{space.shown}: names made at run time"
        for chain in _chains(space, part.uses):
            if _is_restless(chain):
                return f"{space.shown}: {'.'.join(chain)}"
            for name in set(chain) - seen:
                seen.add(name)
                todo += named.get(name, ())
    return next((space.shown for space in found if space.table.broken), "")


def _by_name(spaces: Iterable[Space]) -> dict[str, list[tuple[Space, Part]]]:
    """What runs if a function or class of that name is called: for a class any of its methods may."""
    found: dict[str, list[tuple[Space, Part]]] = {}
    for space in spaces:
        for unit in space.table.units:
            for name in unit.name.split(".") if unit.kind != "statement" else ():
                found.setdefault(name, []).append((space, unit.body))
    return found


def _chains(space: Space, uses: Uses) -> Iterable[Chain]:
    """What a piece of code names, its first name as the module says where it comes from."""
    for chain in (*uses.chains, *uses.free):
        bindings = [b for b in space.table.bindings.get(chain[0], ()) if b.unit < 0]
        yield chain
        for binding in bindings:
            yield (*binding.module.split("."), *([binding.attribute] if binding.attribute else []), *chain[1:])
    for one in uses.imports:
        yield (*one.module.split("."), *one.chain)


def _is_restless(chain: Chain) -> bool:
    top, rest = chain[0], chain[1:]
    harmless = _MODULES.get(top) if top in sys.stdlib_module_names else None
    if harmless is not None and rest and rest[0] not in harmless:
        return True
    return any(name in _NAMES for name in rest)
