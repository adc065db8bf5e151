"""The plugin manager: built-in parts, entry points, `-p`, `plugins` in the configuration, stepconf.py files."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from types import FunctionType, MethodType, ModuleType
from typing import Any

import pluggy

from stepcache import hookspecs
from stepcache.config.spelling import nearest
from stepcache.errors import UsageError

GROUP = "stepcache"


# What a stepconf.py, which is found only while files are collected, comes too late for.
_TOO_LATE = {
    "stepcache_options": "the command line is read before a stepconf.py is found",
    "stepcache_executors": "the executor is chosen before a stepconf.py is found",
    "stepcache_steps": "steps stand in a stepconf.py as they are",
    "stepcache_report_header": "the header is written before a stepconf.py is found",
}


def hook_that_raised(error: BaseException) -> str | None:
    """The plugin's function that raised *error*, with its place; None where it was raised by stepcache itself."""
    ours, theirs = (os.path.dirname(os.path.abspath(str(each.__file__))) + os.sep for each in (hookspecs, pluggy))
    traceback, caller = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if caller.startswith(theirs) and code.co_name.startswith("stepcache_"):
            return (
                None
                if code.co_filename.startswith(ours)
                else f"{code.co_filename}:{code.co_firstlineno}: {code.co_name}"
            )
        traceback, caller = traceback.tb_next, code.co_filename
    return None


def teller(caller: Any) -> Callable[..., None]:
    """Calls the hook that *caller* calls; where one of our own parts alone has it, that part itself.

    pluggy's way there takes several times as long as most parts do, and two hooks are called for each node.
    """
    parts = caller.get_hookimpls()
    if len(parts) != 1 or type(parts[0].plugin).__module__ != "stepcache.builtin":
        return caller  # type: ignore[no-any-return]
    part, names = parts[0].function, parts[0].argnames
    return lambda **told: part(*[told[name] for name in names])


def _followed(tell: Callable[..., object], after: Callable[[], object]) -> Callable[..., None]:
    def told(**what: object) -> None:
        try:
            tell(**what)
        finally:
            after()

    return told


class _Manager(pluggy.PluginManager):
    """pluggy's, for which a function with the name of a hook is one, marked or not, as in pytest."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None and name.startswith("stepcache_") and hasattr(hookspecs, name):
            return {} if isinstance(getattr(plugin, name), FunctionType | MethodType) else None
        return options


class Plugins:
    """The registered plugins, and the calls of their hooks."""

    def __init__(self, blocked: Iterable[str] = ()) -> None:
        self._manager = _Manager("stepcache")
        self._manager.add_hookspecs(hookspecs)
        self.blocked = frozenset(blocked)
        self.names: list[str] = []
        self._distributions: dict[str, str] = {}
        self._homes: dict[object, str] = {}
        """The folders of the stepconf.py files."""

    @property
    def hook(self) -> Any:
        """pluggy's hook callers."""
        return self._manager.hook

    def add(self, plugin: object, name: str) -> None:
        """Register *plugin*, unless `-p no:NAME` says otherwise or it is registered already."""
        if name in self.blocked or self._manager.is_registered(plugin) or self._manager.has_plugin(name):
            return
        try:
            self._manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            raise UsageError(f"plugin {name}: {error}") from error
        self._refuse_unknown_hooks(plugin, name)
        self.names.append(name)

    def add_stepconf(self, module: ModuleType) -> None:
        """Register a stepconf.py, which may have no hook that is asked before it is found."""
        path = str(module.__file__)
        for hook, why in _TOO_LATE.items():
            if callable(getattr(module, hook, None)):
                raise UsageError(f"{path}: {hook} is not asked here: {why}")
        self.add(module, path)
        self._homes[module] = os.path.dirname(os.path.abspath(path))

    def offered(self, hook: str, wanted: str, fits: Callable[[Any], bool]) -> list[list[Any]]:
        """What each plugin registers by a hook. Raises UsageError where it is no list of those *wanted*."""
        found = []
        for own in getattr(self.hook, hook)():
            if isinstance(own, str) or not isinstance(own, Iterable):
                raise UsageError(f"{hook}: a plugin gives {own!r}, which is no list")
            found.append(list(own))
            for each in found[-1]:
                if not fits(each):
                    raise UsageError(f"{hook}: a plugin offers {each!r}, which is no {wanted}")
        return found

    def telling(
        self, hook: str, root: str, after: Callable[[], object] | None = None
    ) -> Callable[[str], Callable[..., None]]:
        """For a node's file, what calls a hook that tells of the node; *after* it, where somebody else's was called.

        A stepconf.py is told of the nodes of its folder and of those below.
        """
        caller = getattr(self._manager.hook, hook)
        local = {impl.plugin: self._homes[impl.plugin] for impl in caller.get_hookimpls() if impl.plugin in self._homes}
        every = teller(caller)
        if every is caller and after is not None:
            every = _followed(caller, after)
        if not local:
            return lambda file: every

        @cache
        def in_folder(folder: str) -> Callable[..., None]:
            away = [plugin for plugin, home in local.items() if not f"{folder}{os.sep}".startswith(f"{home}{os.sep}")]
            near = self._manager.subset_hook_caller(hook, away)
            return near if after is None else _followed(near, after)

        return lambda file: in_folder(os.path.dirname(os.path.join(root, file)))

    def hooks(self) -> Iterator[tuple[str, set[str]]]:
        """Each plugin's name, with the names of the hooks that it has."""
        for name, plugin in self._manager.list_name_plugin():
            yield name, {caller.name for caller in self._manager.get_hookcallers(plugin) or ()}

    def plugin(self, name: str) -> object:
        """The plugin of that name."""
        return self._manager.get_plugin(name)

    @property
    def installed(self) -> frozenset[str]:
        """The names of those that installed distributions offer."""
        return frozenset(self._distributions)

    @property
    def told(self) -> list[str]:
        """The plugins' names, those of installed distributions with the version, as "arrow-0.1.0"."""
        return [_short(self._distributions.get(name, name)) for name in self.names]

    def places(self) -> Iterator[tuple[str, str]]:
        """Each plugin's name and where it comes from."""
        for name in self.names:
            plugin = self._manager.get_plugin(name)
            module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
            yield name, str(getattr(module, "__file__", None) or plugin)

    def are_of(self, module: str) -> bool:
        """Does the module belong to a package that one of the plugins is of?"""
        top = module.partition(".")[0]
        plugins = map(self._manager.get_plugin, self.names)
        homes = (each.__name__ if isinstance(each, ModuleType) else type(each).__module__ for each in plugins)
        return any(home.partition(".")[0] == top for home in homes)

    def add_by_name(self, name: str, where: str) -> None:
        """Register the plugin of an entry point of that name, or the module so called."""
        if name in self.blocked or self._manager.has_plugin(name):
            return
        for found, target, distribution in entry_points():
            if found == name:
                self._distributions[name] = distribution
                self.add(_load(target, name, where), name)
                return
        self.add(_load(name, name, where), name)

    def add_entry_points(self) -> None:
        """Register the plugin of every installed distribution that offers one."""
        for name, target, distribution in entry_points():
            if name not in self.blocked:
                self._distributions[name] = distribution
                self.add(_load(target, name, f"the installed distribution {distribution}"), name)

    def _refuse_unknown_hooks(self, plugin: object, name: str) -> None:
        """A `stepcache_*` function that is no hook is a misspelt one."""
        for attribute in dir(plugin):
            if not attribute.startswith("stepcache_") or hasattr(hookspecs, attribute):
                continue
            if not isinstance(getattr(plugin, attribute), FunctionType | MethodType):
                continue
            known = [each for each in vars(hookspecs) if each.startswith("stepcache_")]
            near = nearest(attribute, known)
            hint = f"did you mean {near}?" if near else "the hooks are " + ", ".join(known)
            raise UsageError(f"plugin {name}: there is no hook {attribute}: {hint}")


def _short(distribution: str) -> str:
    """A distribution's name without the prefix that says that it is a plugin of stepcache."""
    for prefix in ("stepcache-", "stepcache_"):
        distribution = distribution.removeprefix(prefix)
    return distribution


def _load(target: str, name: str, where: str) -> object:
    module, _, attribute = target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's own code may raise anything
        said = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UsageError(f"plugin {name} (asked for by {where}) cannot be imported: {said}") from error
    return found


def entry_points() -> Iterator[tuple[str, str, str]]:
    """(name, target, distribution with version) of each entry point of the group, read without `importlib.metadata`."""
    seen = set()
    for folder in dict.fromkeys(sys.path):
        for info in _infos(folder or "."):
            distribution = os.path.basename(info).rpartition(".")[0]
            bare = distribution.partition("-")[0]
            if bare in seen:
                continue
            seen.add(bare)
            for name, target in _parse(_text(os.path.join(info, "entry_points.txt"))):
                yield name, target, distribution


def installed_version(distribution: str) -> str:
    """The version of an installed distribution, by the name of its metadata folder; "?" where there is none."""
    for folder in dict.fromkeys(sys.path):
        for info in _infos(folder or "."):
            name, _, version = os.path.basename(info).rpartition(".")[0].partition("-")
            if name == distribution:
                return version
    return "?"


def _infos(folder: str) -> Sequence[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return ()
    return sorted(os.path.join(folder, n) for n in names if n.endswith((".dist-info", ".egg-info")))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _parse(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.partition("[")[0].strip()
