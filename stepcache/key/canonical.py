"""The graph of reached code, and its digest: free of file names, module names and positions.

The vertices are numbered as they are met from the root, edges in the order of their labels; the digest is of each
vertex's content and its numbered edges. So a definition may move, or its file be renamed, and nothing changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

from stepcache.digest import digest, digest_all
from stepcache.key.installed import Distribution, normal_name
from stepcache.key.methods import Opening
from stepcache.key.vertex import Vertex
from stepcache.model import Ingredient, Observation
from stepcache.records import frozen

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the C library looks up in the environment for a caller: nothing tells of it but the caller's code.
_TIME_ZONE = frozenset({"localtime", "mktime", "ctime", "fromtimestamp", "timestamp", "astimezone", "tzset", "tzname"})
_LOCALE = ("LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MONETARY", "LC_NUMERIC", "LC_TIME")
_DOLLAR = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)


# What has a name that code may look at.
_NAMED = ("function", "lambda", "class", "compiled")
_label = itemgetter(0)


@frozen
class Reach:
    """The code that a step reaches.

    `digest` is of the code alone; `variables` are the module variables in it, by value. `ingredients` are for
    explanations. `literals` are texts that may name files, each with the folder of the file it stands in, `names`
    those that may name environment variables. `modules` are the project modules in which names were reached, `whole`
    those that were reached as a whole, `made` those of which something is reached that their import made and that may
    be another although it looks the same: all but functions as they are defined, and plain values. `uncertain` says
    what made it take in more than was named. `ambient` are the environment variables that the C library looks up for
    what the code calls.
    """

    digest: str
    ingredients: tuple[Ingredient, ...] = ()
    variables: tuple[Observation, ...] = ()
    literals: tuple[tuple[str, str], ...] = ()
    names: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


def reach_from(root: Vertex, owners: Callable[[str], tuple[Distribution, ...]]) -> Reach:
    """All that is reached from *root*. *owners* gives the distributions behind an installed module."""
    order, numbers = _numbered(root, {})
    opened: dict[int, list[tuple[str, Vertex]]] = {}
    if any(vertex.guarded for vertex in order):
        opened = Opening(root).edges()
        order, numbers = _numbered(root, opened)
    marks = set().union(*[vertex.marks for vertex in order])
    contents = [_content(vertex, marks) for vertex in order]
    parts: list[str] = []
    variables: list[Observation] = []
    packages: dict[str, None] = {}
    texts: dict[tuple[str, str], None] = {}
    uncertain: dict[str, None] = {}
    for vertex, content in zip(order, contents, strict=True):
        edges = opened.get(id(vertex), vertex.edges)
        parts += (content, str(len(edges)))
        for label, target in edges:
            parts += (label, numbers[id(target)])
        if vertex.state is not None:
            variables.append(Observation("variable", numbers[id(vertex)], vertex.state, vertex.name))
        if vertex.packages:
            packages.update(dict.fromkeys(vertex.packages))
        if vertex.literals:
            texts.update(dict.fromkeys(vertex.literals))
        if vertex.uncertain:
            uncertain.update(dict.fromkeys(vertex.uncertain))
    distributions = _distributions(packages, owners)
    for one in distributions:
        parts += (normal_name(one.name), one.version, one.build)
    modules = {vertex.module for vertex in order if vertex.module}
    return Reach(
        digest=digest_all("code", parts),
        ingredients=(*_code_ingredients(order, contents), *map(_package_ingredient, distributions)),
        variables=tuple(variables),
        literals=tuple(texts),
        names=_variable_names(text for text, _ in texts),
        modules=tuple(sorted(modules)),
        whole=tuple(sorted({vertex.module for vertex in order if vertex.kind == "module" and vertex.module})),
        uncertain=tuple(uncertain),
        ambient=_ambient(order),
        made=tuple(sorted({vertex.module for vertex in order if vertex.module and _is_made(vertex, marks)})),
    )


def _is_made(vertex: Vertex, marks: set[str]) -> bool:
    """May an import have made of it what nothing here tells?"""
    if vertex.annotations and (vertex.annotated or "annotations" in marks):
        return True  # they count as they are written, and may be made of names
    if vertex.kind in ("function", "lambda"):
        return vertex.made or vertex.state is not None
    return vertex.made or vertex.kind != "variable"


def _distributions(modules: Iterable[str], owners: Callable[[str], tuple[Distribution, ...]]) -> list[Distribution]:
    """The distributions behind installed modules, by name."""
    found = {normal_name(one.name): one for module in modules for one in owners(module)}
    return [found[name] for name in sorted(found)]


def _ambient(order: list[Vertex]) -> tuple[str, ...]:
    names = {vertex.content.rpartition(".")[2] for vertex in order if vertex.kind == "stdlib"}
    local = any(not _TIME_ZONE.isdisjoint(vertex.mentions) for vertex in order) or names & _TIME_ZONE
    return (("TZ",) if local else ()) + (_LOCALE if "setlocale" in names else ())


def _numbered(root: Vertex, opened: Mapping[int, list[tuple[str, Vertex]]]) -> tuple[list[Vertex], dict[int, str]]:
    """The vertices in the order in which they are met, breadth first, edges by label; and by their ids the numbers."""
    order, numbers = [root], {id(root): "0"}
    for vertex in order:
        edges = opened.get(id(vertex), vertex.edges) if opened else vertex.edges
        edges.sort(key=_label)
        for _, target in edges:
            if id(target) not in numbers:
                numbers[id(target)] = str(len(order))
                order.append(target)
    return order, numbers


def _content(vertex: Vertex, marks: set[str]) -> str:
    """What the vertex is, with what counts only for code that looks at it."""
    content = vertex.content
    if vertex.annotations and (vertex.annotated or "annotations" in marks):
        content += " annotations " + vertex.annotations
    if vertex.doc and "doc" in marks:
        content += " doc " + vertex.doc
    if vertex.source and "source" in marks:
        content += " source " + vertex.source
    if "names" in marks and vertex.kind in _NAMED:
        content += " name " + vertex.name.partition("::")[2]
    if "modules" in marks and vertex.kind in _NAMED:
        content += " module " + vertex.module
    return content


def _code_ingredients(order: list[Vertex], contents: list[str]) -> list[Ingredient]:
    found: dict[str, list[str]] = {}
    for vertex, content in zip(order, contents, strict=True):
        if vertex.name:
            if vertex.told[0] != content:
                edges = [part for label, target in vertex.edges for part in (label, target.name or target.content)]
                vertex.told = (content, digest("definition", content, "\n".join(edges)))
            found.setdefault(vertex.name, []).append(vertex.told[1])
    return [
        Ingredient("code", name, parts[0] if len(parts) == 1 else digest_all("definitions", sorted(parts)))
        for name, parts in sorted(found.items())
    ]


def _package_ingredient(one: Distribution) -> Ingredient:
    return Ingredient("package", one.name, digest("package", one.version, one.build), json.dumps(one.version))


def _variable_names(texts: Iterable[str]) -> frozenset[str]:
    """The texts that may be names of environment variables, and those after a `$`."""
    found = set()
    for text in texts:
        if _NAME.fullmatch(text):
            found.add(text)
        elif "$" in text:
            found.update(plain or braced for plain, braced in _DOLLAR.findall(text))
    return frozenset(found)
