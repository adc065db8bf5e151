"""Which methods of the reached classes count: those that reached code names.

Nobody calls a method without naming it: by an attribute, or by a text for `getattr` and its like; what the standard
library calls by names of its own is listed here. Where code names attributes at run time, where installed distributions
are at work (they call what they are handed), or where a class extends one that is not the project's, all methods count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stepcache.key.vertex import Vertex

_WORD = re.compile(r"[A-Za-z_]\w*")

# Bases whose methods call none of those that a class adds.
_PROTOCOL = "stdlib:typing.Protocol"
_QUIET_BASES = {"builtin:object", "stdlib:abc.ABC", "stdlib:typing.Generic", _PROTOCOL, "stdlib:typing.NamedTuple"}

# What the standard library calls on objects that it is handed: files, mappings, locks, contexts, queues, numbers;
# aggregates of SQLite, targets of XML parsers, finders and loaders of modules.
_CALLED_BY_LIBRARY = frozenset(
    {
        "acquire", "add", "append", "cancel", "close", "default", "decode", "discard", "emit", "encode",
        "extend", "fileno", "filter", "flush", "format", "get", "getvalue", "handle", "insert", "isatty",
        "items", "keys", "notify", "pop", "popitem", "put", "read", "readable", "readall", "readinto",
        "readline", "readlines", "release", "remove", "reset", "result", "run", "seek", "seekable", "send",
        "setdefault", "shutdown", "start", "tell", "throw", "truncate", "update", "utcoffset", "dst", "tzname",
        "values", "wait", "writable", "write", "writelines", "aclose", "asend", "athrow", "getbuffer", "peek",
        "read1", "submit", "as_integer_ratio", "denominator", "numerator", "step", "finalize", "value",
        "inverse", "end", "data", "comment", "pi", "doctype", "start_ns", "end_ns", "setDocumentLocator",
        "startDocument", "endDocument", "startPrefixMapping", "endPrefixMapping", "startElement", "endElement",
        "startElementNS", "endElementNS", "characters", "ignorableWhitespace", "processingInstruction",
        "skippedEntity", "error", "fatalError", "warning", "find_spec", "create_module", "exec_module",
        "get_code", "get_data", "get_filename", "get_source", "is_package",
    }
)  # fmt: skip


class Opening:
    """Walks from a root and opens the methods that are named, until nothing more is."""

    def __init__(self, root: Vertex) -> None:
        self._seen: dict[int, Vertex] = {}
        self._named = set(_CALLED_BY_LIBRARY)
        self._waiting: dict[str, list[Vertex]] = {}
        self._all = False
        self._todo = [root]
        self._exposed: dict[int, bool] = {}
        while self._todo:
            vertex = self._todo.pop()
            if id(vertex) not in self._seen:
                self._seen[id(vertex)] = vertex
                self._meet(vertex)

    def _meet(self, vertex: Vertex) -> None:
        self._todo += [target for _, target in vertex.edges]
        for text, _ in vertex.literals:
            self._name(_WORD.findall(text))
        self._name(vertex.mentions)
        if not self._all and (vertex.packages or vertex.marks & {"attributes", "subclasses"}):
            self._all = True
            self._name(list(self._waiting))
        if any(target.content == _PROTOCOL for targets in vertex.bases for target in targets):
            self._name([name for name, _, _ in vertex.guarded])  # by `isinstance`
        for name, _, target in vertex.guarded:
            if self._counts(vertex, name):
                self._todo.append(target)
            else:
                self._waiting.setdefault(name, []).append(target)

    def _name(self, names: Iterable[str]) -> None:
        for name in names:
            self._named.add(name)
            if name in self._waiting:
                self._todo += self._waiting.pop(name)

    def _counts(self, vertex: Vertex, name: str) -> bool:
        return self._all or name in self._named or self._is_exposed(vertex)

    def _is_exposed(self, vertex: Vertex) -> bool:
        """Does the class extend one that is not the project's, and may call its methods?"""
        known = self._exposed.get(id(vertex))
        if known is None:
            self._exposed[id(vertex)] = False  # of a class among its own bases
            known = self._exposed[id(vertex)] = any(
                not targets or any(self._is_foreign(target) for target in targets) for targets in vertex.bases
            )
        return known

    def _is_foreign(self, base: Vertex) -> bool:
        return self._is_exposed(base) if base.kind == "class" else base.content not in _QUIET_BASES

    def edges(self) -> dict[int, list[tuple[str, Vertex]]]:
        """The edges of the vertices with methods, the methods that count among them, by the id of the vertex."""
        return {
            number: [*vertex.edges, *((label, t) for name, label, t in vertex.guarded if self._counts(vertex, name))]
            for number, vertex in self._seen.items()
            if vertex.guarded
        }
