"""What the cache may do for which node: by the run, else by the pipeline, else by the step."""

from __future__ import annotations

from collections.abc import Mapping

from stepcache.execution.engine import Policy
from stepcache.graph.order import closure
from stepcache.model import Definition, Graph
from stepcache.state import Session


def policy_of(session: Session, graph: Graph, pipelines: Mapping[str, Definition]) -> Policy:
    """For which nodes the cache is off: by the run, else by the pipeline, else by the step."""
    nodes = graph.nodes
    options = session.options
    off: set[str] = set()
    if options.cache == "off":
        off = set(nodes)
    elif options.cache != "on":
        off = {i for i, n in nodes.items() if not n.definition.enable_cache and n.kind == "step"}
        before = {i: n.upstream for i, n in nodes.items()}
        for node_id, definition in pipelines.items():
            if not definition.enable_cache:
                own = closure([node_id], before)
                off.update(own)
                off.update(i for i, n in nodes.items() if n.kind == "check" and any(u in own for u in n.upstream))
    refresh: set[str] = set()
    if options.cache_refresh is True:
        refresh = set(nodes)
    elif options.cache_refresh:
        from stepcache.expression import keyword_names, parse_keywords

        expression = parse_keywords(options.cache_refresh, "--cache-refresh")
        refresh = {i for i, n in nodes.items() if expression.matches_names(keyword_names(n))}
    return Policy(frozenset(off), frozenset(refresh), session.call.values)
