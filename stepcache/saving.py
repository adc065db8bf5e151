"""The files that `save_to=` asks for, in a run: which node has which, and that they are as they should be."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from stepcache.model import NodeReport
from stepcache.state import Session

if TYPE_CHECKING:
    from stepcache.execution.saving import Saves


def saves_of(session: Session) -> Saves | None:
    """What the run saves; None where no step has `save_to`. What is wrong with a path is added to the problems."""
    nodes = session.graph.nodes.values()
    if all(node.definition.save_to is None for node in nodes):
        return None
    from stepcache.execution.saving import Saves
    from stepcache.graph.saved import save_paths
    from stepcache.opening import Memory

    root = str(session.configuration.root)
    paths, problems = save_paths(nodes, root)
    session.collection.problems.extend(problems)
    store = session.shelf.store

    def load(node: str) -> Any:
        assert session.engine is not None
        return session.engine.value(node)

    def export(value: object, suffix: str, stream: IO[bytes]) -> None:
        from stepcache.store.export import export

        export(value, suffix, stream, session.shelf.scratch.codecs, session.configuration.formats)

    return Saves(
        paths,
        root,
        load,
        export,
        session.sight.files,
        Memory(store) if store is not None else None,
        force=session.options.force_save,
    )


def save(session: Session, row: NodeReport) -> None:
    """Save the value of a node that is done, if it is a value that a run without given values would have had."""
    options, engine = session.options, session.engine
    if session.saves is None or options.plan or options.fail_on_miss or engine is None or row.id in engine.tainted:
        return
    session.saves.after(row)
