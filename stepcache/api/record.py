"""What importing makes and running needs to know: every definition, which module is being imported, which node runs."""

from __future__ import annotations

from contextvars import ContextVar

from stepcache.model import Definition

# The node whose body is running in this context: steps called meanwhile warn.
running_node: ContextVar[str | None] = ContextVar("stepcache_running_node", default=None)

# The project modules that are being imported, the innermost last.
importing: list[str] = []

# Every definition made since the list was last emptied: collection finds two of one name by it.
made: list[Definition] = []
