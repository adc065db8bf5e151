"""The executor of a run: the one that was asked for, found among those that plugins offer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from attrs import evolve

from stepcache.config import did_you_mean
from stepcache.errors import UsageError
from stepcache.execution.body import Bodies
from stepcache.execution.capture import Capture
from stepcache.execution.debugging import Debugger
from stepcache.execution.inline import Inline
from stepcache.execution.placing import Placing
from stepcache.execution.site import ExecutorKind, Hello, ProcessKind, Site
from stepcache.outcome import describer
from stepcache.state import Session

if TYPE_CHECKING:
    from stepcache.execution.pool import Pool


def open_executor(
    session: Session, capture: Capture, debugger: Debugger | None = None, *, here: bool = False
) -> Placing:
    """What runs the nodes of a session; only in this process if *here*. Failures open the *debugger*."""
    engine, options = session.engine, session.options
    assert engine is not None
    inline = Inline(
        Bodies(session.shelf, session.sight, capture, describer(session), debugger), engine.settle, engine.rouse
    )
    site = _site(session, inline)
    if here:
        return Placing(inline, None, None)
    name = options.executor or ("process" if (options.workers or 1) > 1 else "inline")
    opened = _kind(session, name).open(site)
    return Placing(inline, None if opened is inline else opened, lambda: ProcessKind().open(site))


def _site(session: Session, inline: Inline) -> Site:
    assert session.engine is not None
    options = session.options
    hello = partial(hello_of, session)
    return Site(options.workers, options.capture != "no", session.engine, inline, hello, telling_logged(session))


def telling_logged(session: Session) -> Callable[[str, str], None]:
    """What tells plugins of a node and a line that it has logged."""
    tell = session.plugins.telling("stepcache_node_logged", str(session.configuration.root))

    def logged(node: str, line: str) -> None:
        nodes = session.graph.nodes
        tell(nodes[node].file if node in nodes else "")(node=node, line=line)

    return logged


def fresh_process(session: Session, environment: Mapping[str, str]) -> Pool:
    """A process that runs nothing but what it is handed, one work at a time, with these variables beside the others."""
    from stepcache.execution.pool import Pool

    assert session.engine is not None
    bodies = Bodies(session.shelf, session.sight, Capture("no", None), describer(session))
    site = _site(session, Inline(bodies, session.engine.settle, session.engine.rouse))
    return Pool(1, site.hello, site.pack, site.unpack, environment=environment)


def _kind(session: Session, name: str) -> ExecutorKind:
    offered = session.plugins.offered(
        "stepcache_executors",
        "executor: those have a name and open(site)",
        lambda each: hasattr(each, "name") and hasattr(each, "open"),
    )
    kinds = {each.name: each for own in reversed(offered) for each in own}
    if name not in kinds:
        known = f": there are {', '.join(sorted(kinds))}"
        raise UsageError(f"--executor={name}: there is no such executor{did_you_mean(name, kinds) or known}")
    found: ExecutorKind = kinds[name]
    return found


def hello_of(session: Session) -> Hello:
    """What another process has to know."""
    shelf = session.shelf
    options = evolve(session.options, cache="off" if shelf.store is None else "readonly", cache_dir=str(session.folder))
    return Hello(
        argv=tuple(sys.argv),
        cwd=str(session.cwd),
        folder=str(shelf.scratch.fresh_folder()),
        options=options,
        configuration=session.configuration,
        homes={level.file: level.path for level in session.collection.levels.values()},
        plugins=tuple(name for name in session.plugins.names if _by_name(session, name)),
        blocked=tuple(session.plugins.blocked),
        variables=session.project.loaded.given.changes(),
    )


def _by_name(session: Session, name: str) -> bool:
    """Is the plugin one that another process finds by that name?"""
    plugin = session.plugins.plugin(name)
    return (isinstance(plugin, ModuleType) and sys.modules.get(name) is plugin) or name in session.plugins.installed
