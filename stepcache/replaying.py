"""`--replay`: a node that failed in the last run once more, with the very values that it was given then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from stepcache.config import did_you_mean
from stepcache.errors import UsageError
from stepcache.execution.values import value_of
from stepcache.model import Graph
from stepcache.outcome import last_run
from stepcache.saving import saves_of
from stepcache.state import Session


def begin(session: Session) -> None:
    """Ask for the node that is to be replayed, with the settings that it had, and its output shown as it comes."""
    options = session.options
    assert options.replay is not None
    known = last_run(session).get("given", {})
    node_id = _meant(session, options.replay, known)
    told = known[node_id]
    if told["inputs"] is None:
        raise UsageError(
            f"--replay={options.replay}: not all that it was given is in the cache: run it as usual, with --pdb"
        )
    file, _, rest = node_id.partition("::")
    session.options = evolve(
        options,
        args=(f"{os.path.join(session.configuration.root, file)}::{rest}",),
        params=(*((name, value) for name, value in told["params"]), *options.params),
        profile=options.profile if options.profile is not None else told["profile"],
        replay=node_id,
        capture="no",
    )
    session.replayed = {node: value_of(each) for node, each in told["inputs"].items()}


def _meant(session: Session, asked: str, known: Mapping[str, Any]) -> str:
    path, _, rest = asked.partition("::")
    from_root = os.path.relpath(os.path.join(session.cwd, path), session.configuration.root)
    for each in (asked, f"{from_root.replace(os.sep, '/')}::{rest}"):
        if each in known:
            return each
    named = [each for each in known if each.partition("::")[2] == asked]
    if len(named) == 1:
        return named[0]
    if not known:
        raise UsageError(f"--replay={asked}: nothing failed in the last run of this project")
    raise UsageError(
        f"--replay={asked}: it did not fail in the last run of this project{did_you_mean(asked, known)}\n"
        f"  what failed: {', '.join(known)}"
    )


def narrow(session: Session) -> None:
    """Leave nothing in the run but the node, whose inputs are there."""
    node = session.graph.nodes.get(session.options.replay or "")
    if session.collection.problems or node is None:
        return  # which is told as in any run
    replayed = session.replayed or {}
    new = [need.step for need in node.needs if need.node is not None and need.node not in replayed]
    if new:
        raise UsageError(f"--replay={node.id}: it takes '{new[0]}' now, which it was not given when it failed: run it")
    for upstream, value in replayed.items():
        if not session.shelf.held(value):
            raise UsageError(f"--replay={node.id}: the value of {upstream} is no longer in the cache: run it as usual")
    session.graph = Graph({node.id: node}, session.graph.resources, (node.id,))
    session.policy = evolve(session.policy, refresh=session.policy.refresh | {node.id})
    session.saves = saves_of(session)
