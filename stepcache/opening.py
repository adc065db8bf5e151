"""Before anything is collected: options, configuration, plugins, the store, and the eyes of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stepcache import __version__
from stepcache.collect.again import forget_changed
from stepcache.collect.search import append_to_path, look_anew
from stepcache.config import (
    Configuration,
    Options,
    PluginOption,
    PluginSetting,
    find_root,
    first_pass,
    judge_plugin_settings,
    parse_command,
    read_configuration,
)
from stepcache.digest import digest
from stepcache.errors import UsageError
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.key.files import FileDigests
from stepcache.key.look import Look
from stepcache.key.reach import CodeReader
from stepcache.key.rules import Rules
from stepcache.plugins import Plugins
from stepcache.project import project_of
from stepcache.records import frozen
from stepcache.stamp import names_digest
from stepcache.state import Call, Session
from stepcache.store import Codecs, Packer, Refused, Scratch, Store, StoreSettings, load_seal, open_store
from stepcache.store.seal import NoSeal


def working_directory() -> Path:
    """The working directory. Raises `UsageError` where it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working directory is gone: change to one that is there") from None


@contextmanager
def _plugins_of_project(configuration: Configuration) -> Iterator[None]:
    """While open, plugins that are modules of the project are imported from their sources, as those are now."""
    project = project_of(configuration.root, configuration.norecursedirs)
    look_anew()
    forget_changed(project.loaded)
    with project.loaded.importing():
        yield


def offered_options(plugins: Plugins) -> list[PluginOption | PluginSetting]:
    """The options and keys of the configuration that plugins add."""
    wanted, kinds = "PluginOption or PluginSetting", (PluginOption, PluginSetting)
    groups = plugins.offered("stepcache_options", wanted, lambda each: isinstance(each, kinds))
    return [each for own in groups for each in own]


def configure(call: Call, environ: Mapping[str, str], cwd: Path) -> tuple[Options, Configuration, Plugins]:
    """The options, the configuration and the plugins, in the passes in which each needs the others."""
    first = first_pass(call.arguments, environ)
    where = [*first.args, *([call.target.definition.source.path] if call.target else [])]
    root = find_root(where, cwd, first.rootdir, first.config_file)
    configuration = read_configuration(root, first.overrides, __version__)
    first = first_pass(call.arguments, environ, configuration.addopts)
    for each in configuration.pythonpath:
        append_to_path(os.path.normpath(root.directory / each))
    plugins = Plugins(each.removeprefix("no:") for each in first.plugins if each.startswith("no:"))
    from stepcache import builtin

    for name in builtin.ESSENTIAL:
        if name in plugins.blocked:
            raise UsageError(f"-p no:{name}: the plugin {name} cannot be left out")
    for name, part in builtin.parts():
        plugins.add(part, name)
    named = {name: f"-p {name}" for name in first.plugins if not name.startswith("no:")}
    with _plugins_of_project(configuration):
        for name, asked in named.items():
            plugins.add_by_name(name, asked)
        plugins.add_entry_points()
        for name in configuration.plugins:
            plugins.add_by_name(name, configuration.place("plugins"))
    for number, plugin in enumerate(call.plugins):
        plugins.add(plugin, getattr(plugin, "__name__", f"plugin{number}"))
    offered = offered_options(plugins)
    added = [each for each in offered if isinstance(each, PluginOption)]
    options = parse_command(call.arguments, environ, added, configuration.addopts)
    settings = [each for each in offered if not isinstance(each, PluginOption)]
    return options, judge_plugin_settings(configuration, settings), plugins


def cache_folder(options: Options, configuration: Configuration, environ: Mapping[str, str], cwd: Path) -> Path:
    """Where the cache lies: `--cache-dir`, STEPCACHE_DIR, the configuration, or the user's cache directory."""
    if options.cache_dir:
        return Path(os.path.normpath(cwd / options.cache_dir))
    if environ.get("STEPCACHE_DIR"):
        return Path(os.path.normpath(cwd / environ["STEPCACHE_DIR"]))
    if configuration.cache_dir is not None:
        return configuration.cache_dir
    from platformdirs import user_cache_path

    return user_cache_path("stepcache", appauthor=False)


def open_session(call: Call, environ: Mapping[str, str], cwd: Path) -> Session:
    """All that a run needs before it collects."""
    began = time.time_ns()
    return session_of(call, environ, cwd, *configure(call, environ, cwd), began=began)


def session_of(
    call: Call,
    environ: Mapping[str, str],
    cwd: Path,
    options: Options,
    configuration: Configuration,
    plugins: Plugins,
    *,
    began: int,
) -> Session:
    """The store and the eyes of a run whose options and configuration are read; it *began* then, in ns."""
    folder = cache_folder(options, configuration, environ, cwd)
    warnings: list[str] = []
    codecs = Codecs()
    for own in reversed(plugins.offered("stepcache_codecs", "codec", lambda each: True)):
        for codec in own:
            codecs.add(codec)
    seal = load_seal(environ)
    names_before = _names_above(folder)
    store = _store(options, configuration, folder, seal, codecs, warnings)
    kept = ExitStack()
    scratch = store.scratch if store is not None else Scratch(codecs, formats=configuration.formats)
    kept.callback(store.close if store is not None else scratch.close)
    keyed = _unkeyed if isinstance(seal, NoSeal) else seal.keyed
    project = project_of(configuration.root, configuration.norecursedirs)
    files = FileDigests(Memory(store) if store is not None else None, hidden=(str(folder),))
    memory, loaded = Memory(store) if store is not None else None, project.loaded
    reader = CodeReader(project.modules, memory, loaded.source_of, loaded.is_late)
    given = project.loaded.given
    look = Look(str(configuration.root), str(cwd), files, environ, keyed, syntax=reader.syntax, given=given)
    rules = Rules(str(configuration.root), environ=environ, cache=(str(folder),), ignore=configuration.observe_ignore)
    project.prepare(look, rules)
    sight = Sight(
        root=str(configuration.root),
        cwd=str(cwd),
        modules=project.modules,
        loaded=project.loaded,
        reader=reader,
        observer=project.observer,
        files=files,
        keyed=keyed,
        ignored=configuration.observe_ignore,
        caches=(str(folder),),
        handed=scratch.folders,
        import_reads=project.import_reads,
        stains=project.stains,
    )
    shelf = Shelf(store, scratch, writes=options.cache != "readonly")
    return Session(
        call,
        environ,
        cwd,
        options,
        configuration,
        plugins,
        project,
        shelf,
        sight,
        folder,
        warnings=warnings,
        kept=kept,
        began=began,
        names_before=names_before,
        removals=store.removals() if store is not None and call.asked is not None else -1,
    )


def _names_above(folder: Path) -> dict[str, bytes]:
    """The digest of the names in the folder in which *folder* is to be made; nothing where it is there."""
    above = str(folder.parent)
    return {} if os.path.lexists(folder) else {above: names_digest(above, str(folder))}


def _unkeyed(text: str) -> str:
    return digest("no sealing key", text)


def _store(
    options: Options, configuration: Configuration, folder: Path, seal: Any, codecs: Codecs, warnings: list[str]
) -> Store | None:
    """The cache; None where it is off, or cannot be used, which a warning tells."""
    asked = (options.cache_clear, options.cache_show, options.cache_gc is not None, options.cache_verify)
    if options.cache == "off" and not any(asked):
        return None
    if isinstance(seal, NoSeal):
        warnings.append(f"the cache is off: {seal.reason}")
        return None
    settings = StoreSettings(
        packer=Packer(configuration.compression_level, configuration.compression),
        durability=configuration.durability,
        formats=configuration.formats,
        max_size=configuration.cache_max_size,
    )
    store = open_store(
        folder,
        project=str(configuration.root),
        seal=seal,
        codecs=codecs,
        settings=settings,
        mode="readonly" if options.cache == "readonly" else "on",
    )
    if isinstance(store, Refused):
        warnings.append(f"the cache is off: {store.reason}")
        return None
    return store


@frozen
class Memory:
    """The store as a memory for small derived facts."""

    store: Store

    def get(self, kind: str, name: bytes) -> bytes | None:
        return self.store.memo(kind, name)

    def put(self, kind: str, name: bytes, data: bytes) -> None:
        self.store.remember(kind, name, data)
