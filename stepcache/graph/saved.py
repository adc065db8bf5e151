"""Where the values of nodes are saved: the paths that `save_to` means, and those that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from string import Formatter

from stepcache.config.spelling import nearest
from stepcache.model import Definition, Node, Problem
from stepcache.records import frozen

_PLACES = ("variant", "key")
_KEY = "\0"  # no path holds it


@frozen
class SavePath:
    """The file that a node's value is also written to: an absolute path, in which the key may be open."""

    text: str

    @property
    def keyed(self) -> bool:
        """Does `{key}` stand in it?"""
        return _KEY in self.text

    def with_key(self, key: str) -> str:
        """The path for a value of that key."""
        return self.text.replace(_KEY, key)


def save_paths(nodes: Iterable[Node], root: str) -> tuple[dict[str, SavePath], list[Problem]]:
    """The paths by node id, and what is wrong with some."""
    found: dict[str, SavePath] = {}
    takers: dict[str, Node] = {}
    problems: dict[str, Problem] = {}
    for node in nodes:
        text = node.definition.save_to
        if text is None:
            continue
        wrong = _wrong(node, text)
        if wrong is None:
            save = found[node.id] = _path(node, text, root)
            other = None if save.keyed else takers.setdefault(save.text, node)
            if other is None or other is node:
                continue
            wrong = _shared(other, node, root, save.text)
        problems.setdefault(wrong.message, wrong)
    return found, [*problems.values()]


def _path(node: Node, text: str, root: str) -> SavePath:
    folder, inside = (root, text.lstrip("/")) if text.startswith("//") else (_folder(node.definition), text)
    path = os.path.normpath(os.path.join(folder, inside.format(variant=_file_name(node.variant or ""), key=_KEY)))
    return SavePath(path)


def _folder(definition: Definition) -> str:
    return os.path.dirname(definition.source.path)


def _file_name(variant: str) -> str:
    """A variant id as a part of a file's name."""
    name = variant.replace("/", "_").replace("\0", "_")
    return "_" * len(name) if name in (".", "..") else name


def _places(text: str) -> Iterator[str]:
    for _, place, _, _ in Formatter().parse(text):
        if place is not None:
            yield place


def _wrong(node: Node, text: str) -> Problem | None:
    try:
        places = [*_places(text)]
    except ValueError as error:
        return _problem(node, text, f": {error}", "a brace that is meant is written twice: {{ or }}")
    for place in places:
        if place not in _PLACES:
            near = nearest(place, _PLACES)
            hint = f"did you mean {{{near}}}?" if near else "{variant} and {key} may stand in it"
            return _problem(node, text, f" holds {{{place}}}, which means nothing there", hint)
    if node.variant is None and "variant" in places:
        return _problem(node, text, " holds {variant}, and the step has no variants", "take it out")
    if node.variant is not None and not places:
        stem, suffix = os.path.splitext(text)
        return _problem(
            node,
            text,
            " is one file for all its variants",
            f"put {{variant}} into it, as in {stem}-{{variant}}{suffix}",
        )
    return None


def _problem(node: Node, text: str, what: str, hint: str) -> Problem:
    source, name = node.definition.source, node.definition.name
    return Problem(f"{source.file}::{name}", f"{source}: save_to={text!r} of step '{name}'{what}\n  {hint}")


def _shared(first: Node, second: Node, root: str, path: str) -> Problem:
    source = second.definition.source
    shown = os.path.relpath(path, root)
    return Problem(
        f"{source.file}::{second.definition.name}",
        f"{source}: {second.id} is saved to {shown}, and so is {first.id} ({first.definition.source})\n"
        "  give each a file of its own; {variant} and {key} may stand in save_to",
    )
