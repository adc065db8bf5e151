"""What a node's result depends on, as far as it is known before the run: the ingredients of its key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import evolve

from stepcache.api import Dir, File
from stepcache.digest import digest, digest_all
from stepcache.key.environment import interpreter, portable, shown
from stepcache.key.files import FileDigests
from stepcache.key.reach import Reach
from stepcache.key.value import value_digest
from stepcache.model import BoundResource, Definition, Ingredient, Need, Node, Observation, Setting, Value, shown_scalar
from stepcache.records import frozen

# The built-in resources that say nothing: only where the step may put something.
FOLDERS = ("tmp_path", "checkpoint_path")


@frozen
class Recipe:
    """All that goes into a node's key.

    `code` is the canonical digest of the code it reaches. `told` is what is stored and compared for explanations:
    the ingredients with the digests of secrets keyed. `variables` are module variables' values, `reaches` the code of
    the node itself and of the classes of the values that it takes.
    """

    ingredients: tuple[Ingredient, ...]
    code: str
    told: tuple[Ingredient, ...]
    variables: tuple[Observation, ...]
    reaches: tuple[Reach, ...]

    @property
    def outlined(self) -> Recipe:
        """It without what its key and its trace alone are made of."""
        return Recipe((), self.code, (), self.variables, self.reaches)

    @property
    def modules(self) -> tuple[str, ...]:
        """The project modules in which names were reached."""
        return _every([reach.modules for reach in self.reaches])

    @property
    def made(self) -> tuple[str, ...]:
        """Those of which something was reached that their import made, and may be another that looks the same."""
        return _every([reach.made for reach in self.reaches])

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What made more code be taken in than was followed."""
        return _every([reach.uncertain for reach in self.reaches])


def _every(texts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All of them, each once."""
    return texts[0] if len(texts) == 1 else tuple(dict.fromkeys(each for some in texts for each in some))


@frozen
class Facts:
    """What a node's code says of what it reads.

    `literals` are texts that may be paths, each with the folder of the file it stands in; `names` texts that may be
    names of environment variables; `modules` the project modules in which names were reached, `whole` those that were
    reached as a whole; `ambient` the variables that the C library looks up for it.
    """

    literals: tuple[tuple[str, str], ...] = ()
    names: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


def facts_of(reaches: Sequence[Reach]) -> Facts:
    """The facts of all that was reached."""
    if len(reaches) == 1:
        only = reaches[0]
        return Facts(only.literals, only.names, only.modules, only.whole, only.ambient)
    return Facts(
        tuple(dict.fromkeys(each for reach in reaches for each in reach.literals)),
        frozenset().union(*(reach.names for reach in reaches)),
        tuple(dict.fromkeys(each for reach in reaches for each in reach.modules)),
        tuple(dict.fromkeys(each for reach in reaches for each in reach.whole)),
        tuple(dict.fromkeys(each for reach in reaches for each in reach.ambient)),
    )


@frozen
class Surroundings:
    """What the making of a recipe needs from outside.

    `values` are the values of nodes. `keyed` is the keyed digest of a secret.
    """

    root: str
    files: FileDigests
    values: Mapping[str, Value]
    keyed: Callable[[str], str]


def recipe(
    node: Node,
    resources: Mapping[str, BoundResource],
    reach: Reach,
    classes: Iterable[Reach],
    around: Surroundings,
) -> Recipe:
    """The recipe of *node*, whose code reaches *reach*, and which takes instances of project classes *classes*."""
    ignored = frozenset(node.definition.ignore)
    found = list(interpreter())
    if node.definition.version is not None:
        found.append(Ingredient("version", "version", digest("version", node.definition.version)))
    if node.definition.outputs:
        found.append(Ingredient("setting", "@step(outputs=…)", digest("outputs", *node.definition.outputs)))
    if node.element is not None:  # its value is that element, and not the whole
        found.append(Ingredient("input", "the element", digest("element", node.element)))
    settings = [s for s in node.settings if s.name not in ignored]
    for setting in settings:
        found.extend(_setting(setting.name, setting, around))
    for need in node.needs:
        if need.parameter not in ignored:
            found.extend(_inputs(need, "", around))
            found.extend(_resource(need, resources, around))
    telling = [name for name in node.builtins if name not in FOLDERS]
    if telling:
        built_in = digest("built-in", node.name, node.variant or "", _all(settings))
        found += [Ingredient("setting", name, built_in) for name in telling]
    every = (reach, *classes)
    found.extend(i for each in every for i in each.ingredients)
    unique = tuple(dict.fromkeys(found))
    code = reach.digest if len(every) == 1 else digest_all("code", [reach.digest, *sorted(r.digest for r in every[1:])])
    variables = tuple(evolve(o, name=f"{number}.{o.name}") for number, each in enumerate(every) for o in each.variables)
    secret = any(_is_secret(each) for each in unique)
    told = tuple(_keyed(each, around) if _is_secret(each) else each for each in unique) if secret else unique
    return Recipe(unique, code, told, variables, every)


def _is_secret(one: Ingredient) -> bool:
    """May it be one of few values, so that its digest would tell which?"""
    return one.kind == "setting" and one.shown is None


def settings_digest(node: Node) -> str:
    """The digest of a node's settings, for its `rng_seed`."""
    return _all(s for s in node.settings if s.name not in node.definition.ignore)


def _all(settings: Iterable[Setting]) -> str:
    return digest_all("settings", (f"{s.name}={value_digest(_pathless(s.value))}" for s in settings))


def _pathless(value: object) -> object:
    """A tracked path as its name: where the project lies must not change a seed."""
    return os.path.basename(str(value)) if isinstance(value, (File, Dir)) else value


def _setting(name: str, setting: Setting, around: Surroundings) -> Iterator[Ingredient]:
    value = setting.value
    if isinstance(value, (File, Dir)):
        yield from _path(name, value, around)
        return
    plain, paths = _split(value, around)
    yield Ingredient("setting", name, digest("setting", value_digest(plain)), shown_scalar(value))
    for each in paths:
        yield from _path(name, each, around)


def _path(name: str, path: File | Dir, around: Surroundings) -> Iterator[Ingredient]:
    """A tracked path: where it lies, relative to the root, and what is in it."""
    place = portable(os.path.normpath(path), around.root)
    yield Ingredient("setting", name, digest("path", type(path).__name__, place))
    if isinstance(path, Dir):
        pattern = path.pattern
        inside = sorted(str(p) for p in path.glob(pattern))
        parts = [f"{os.path.relpath(p, path)}={around.files.content(p)}" for p in inside if not os.path.isdir(p)]
        exists = around.files.exists(str(path))
        yield Ingredient("file", shown(place), digest_all(f"dir {pattern} {exists}", parts))
    else:
        yield Ingredient("file", shown(place), digest("file", around.files.content(str(path))))


def _split(value: object, around: Surroundings) -> tuple[object, list[File | Dir]]:
    """A container with the tracked paths in it as their portable names, and those paths."""
    found: list[File | Dir] = []

    def plain(each: object) -> object:
        if isinstance(each, (File, Dir)):
            found.append(each)
            return ("path", portable(os.path.normpath(each), around.root))
        if type(each) in (list, tuple):
            return type(each)(plain(one) for one in each)  # type: ignore[call-arg,attr-defined]
        if type(each) is dict:
            return {key: plain(one) for key, one in each.items()}
        return each

    return plain(value), found


def _inputs(need: Need, prefix: str, around: Surroundings) -> Iterator[Ingredient]:
    """The steps that a parameter takes: their names, and their values' digests."""
    name = prefix + (need.step if need.parameter == need.step else f"{need.step} as {need.parameter}")
    if need.node is not None:
        taken = around.values[need.node].output(need.output).digest
        yield Ingredient("input", name, digest("each", taken) if need.each else taken)
    elif need.each:  # of one element: which one is not part of the recipe
        yield Ingredient("input", name, digest("each"))
    if need.variants is not None:
        params = dict(need.params)
        for variant, node in need.variants:
            if node in around.values:
                told = value_digest(params.get(variant, {}))
                taken = around.values[node].output(need.output).digest
                yield Ingredient("input", f"{name}[{variant}]", digest("variant", taken, told))
        yield Ingredient("input", name, digest_all("variants", [v for v, n in need.variants if n in around.values]))


def _resource(need: Need, resources: Mapping[str, BoundResource], around: Surroundings) -> Iterator[Ingredient]:
    """A resource's settings and inputs, those of the resources it takes too; its value never."""
    if need.resource is None:
        return
    bound = resources[need.resource]
    name = bound.definition.name
    yield Ingredient("input", need.parameter, digest("resource", name))
    for setting in bound.settings:
        yield from _setting(f"{name}.{setting.name}", setting, around)
    for inner in bound.needs:
        yield from _inputs(inner, f"{name}.", around)
        yield from _resource(inner, resources, around)


def _keyed(ingredient: Ingredient, around: Surroundings) -> Ingredient:
    return evolve(ingredient, digest=around.keyed(ingredient.digest))


def definitions_of(node: Node, resources: Mapping[str, BoundResource]) -> list[Definition]:
    """The definitions of a node and of the resources that it takes, its own first."""
    return [node.definition, *(each.definition for each in resource_functions(node, resources))]


def resource_functions(node: Node, resources: Mapping[str, BoundResource]) -> Iterator[BoundResource]:
    """The resources that a node takes, and those that they take."""
    todo = [need.resource for need in node.needs if need.resource is not None]
    seen = set()
    while todo:
        each = todo.pop(0)
        if each in seen:
            continue
        seen.add(each)
        yield resources[each]
        todo.extend(need.resource for need in resources[each].needs if need.resource is not None)
