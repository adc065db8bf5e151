"""`--replay`: a node that failed in the last run once more, with the very values that it was given then."""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from typing import Any

from attrs import evolve

from stepcache.config import did_you_mean
from stepcache.errors import UsageError
from stepcache.execution.values import value_of
from stepcache.model import Graph, Need, Node
from stepcache.outcome import last_run
from stepcache.saving import saves_of
from stepcache.state import Session


def begin(session: Session) -> None:
    """Ask for the node that is to be replayed, with the settings that it had, and its output shown as it comes."""
    options = session.options
    assert options.replay is not None
    known = last_run(session).get("given", {})
    node_id, element = _meant(session, options.replay, known)
    told = known[node_id]
    if told["inputs"] is None:
        raise UsageError(
            f"--replay={options.replay}: not all that it was given is in the cache: run it as usual, with --pdb"
        )
    file, _, rest = node_id.partition("::")
    session.options = evolve(
        options,
        args=(f"{os.path.join(session.configuration.root, file)}::{rest}{element}",),
        params=(*((name, value) for name, value in told["params"]), *options.params),
        profile=options.profile if options.profile is not None else told["profile"],
        replay=node_id + element,
        capture="no",
    )
    session.replayed = {node: value_of(each) for node, each in told["inputs"].items()}


def _meant(session: Session, asked: str, known: Mapping[str, Any]) -> tuple[str, str]:
    """The node that is asked for, and in brackets the one element of it."""
    path, _, rest = asked.partition("::")
    from_root = os.path.relpath(os.path.join(session.cwd, path), session.configuration.root)
    files = dict.fromkeys(node.partition("::")[0] for node in known)
    spelled = [asked, f"{from_root.replace(os.sep, '/')}::{rest}", *(f"{file}::{asked}" for file in files)]
    whole = dict.fromkeys((each, "") for each in spelled if each in known)
    elements = dict.fromkeys(
        (node, each.removeprefix(node))
        for each in spelled
        for node, told in known.items()
        if told["mapped"] and each.startswith(f"{node}[") and each.endswith("]")
    )
    for found in (whole, elements):
        if len(found) == 1:
            return next(iter(found))
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
    node = as_given(node, replayed)
    new = [need.step for need in node.needs if need.node is not None and need.node not in replayed]
    if new:
        raise UsageError(f"--replay={node.id}: it takes '{new[0]}' now, which it was not given when it failed: run it")
    for upstream, value in replayed.items():
        if not session.shelf.held(value):
            raise UsageError(f"--replay={node.id}: the value of {upstream} is no longer in the cache: run it as usual")
    session.graph = Graph({node.id: node}, session.graph.resources, (node.id,))
    if not node.mapped:  # of the elements, only those that failed are run again
        session.policy = evolve(session.policy, refresh=session.policy.refresh | {node.id})
    session.saves = saves_of(session)


def as_given(node: Node, given: Container[str]) -> Node:
    """*node* so that it takes its one element from the whole value, where that is what was given."""
    return evolve(node, needs=tuple(_from_whole(need, given) for need in node.needs))


def _from_whole(need: Need, given: Container[str]) -> Need:
    whole = (need.node or "").removesuffix(f"[{need.element}]")
    return evolve(need, node=whole, element=None) if need.element is not None and whole in given else need
