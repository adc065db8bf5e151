"""From arguments to pipeline files: which files, and which of their nodes were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

from stepcache.collect.search import spec_of
from stepcache.errors import UsageError
from stepcache.nodeid import split_argument
from stepcache.records import frozen

STEPCONF = "stepconf.py"
_TESTS = ("test_*.py", "*_test.py")


@frozen
class Rules:
    """Which files are pipeline files, and which directories are passed over."""

    pipeline_files: tuple[str, ...]
    norecursedirs: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    """Absolute paths given by `--ignore`."""


@frozen
class Asked:
    """A pipeline file, and the selectors (what stands behind `::`) it was asked for with; None stands for all."""

    path: str
    selectors: tuple[str, ...] | None = None

    def pipeline_files(self) -> Iterator[str]:
        """The portable names of other files, of whose pipelines the selectors speak: `name@file::pipeline`."""
        for each in self.selectors or ():
            file, found, _ = each.partition("[")[0].partition("@")[2].rpartition("::")
            if found:
                yield file


def discover(arguments: Sequence[str], cwd: str, rules: Rules) -> tuple[list[Asked], dict[str, OSError]]:
    """The files that *arguments* (files, directories, node ids; relative to *cwd*) name, in order, each once.

    With them the folders that could not be looked into. Raises `UsageError` with all that is wrong.
    """
    selectors: dict[str, list[str] | None] = {}
    wrong: list[str] = []
    unreadable: dict[str, OSError] = {}
    for argument in arguments:
        path, selector = split_argument(argument)
        try:
            files = _files(argument, path, selector, cwd, rules, unreadable)
        except UsageError as error:
            wrong.append(str(error))
            continue
        for file in files:
            wanted = selectors.setdefault(file, [])
            if selector is None:
                selectors[file] = None
            elif wanted is not None and selector not in wanted:
                wanted.append(selector)
    if wrong:
        raise UsageError("\n".join(wrong))
    asked = [Asked(path, None if found is None else tuple(found)) for path, found in selectors.items()]
    return asked, unreadable


def _files(
    argument: str, path: str, selector: str | None, cwd: str, rules: Rules, unreadable: dict[str, OSError]
) -> list[str]:
    """The files that one argument means."""
    full = os.path.normpath(os.path.join(cwd, path))
    if not os.path.exists(full):
        outside = _module_file(path) if selector is not None else None
        if outside is None:
            raise UsageError(f"file or directory not found: {argument}")
        return [outside]
    if os.path.isdir(full):
        if selector is not None:
            named = f"{path} is a directory" if path else "it names no file"
            raise UsageError(f"{argument}: {named}: a node id starts with a file")
        return list(walk(full, rules, unreadable))
    _refuse_no_pipeline(path, full)
    return [] if full in rules.ignored else [full]


def _module_file(name: str) -> str | None:
    """The file of a module that does not lie below the root, by whose name its nodes are called."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    spec = spec_of(name)
    return spec.origin if spec is not None and spec.has_location else None


def _refuse_no_pipeline(path: str, full: str) -> None:
    name = os.path.basename(full)
    if any(fnmatch(name, each) for each in _TESTS):
        raise UsageError(f"{path} is a file of tests: pytest runs those, stepcache never does")
    if not name.endswith(".py") or not os.path.isfile(full):
        raise UsageError(f"{path} is no Python file: give a pipeline file, a directory or a node id")


def walk(folder: str, rules: Rules, unreadable: dict[str, OSError]) -> Iterator[str]:
    """The pipeline files in and below *folder*, in the order of their names; what is unreadable is added to that."""
    for entry in _entries(folder, rules, unreadable):
        if entry.is_dir():
            if not _passed_over(entry.name, entry.path, rules) and not entry.is_symlink():
                yield from walk(entry.path, rules, unreadable)
        elif is_pipeline_file(entry.name, rules) and (entry.is_file() or not os.path.exists(entry.path)):
            yield entry.path  # a file, or a link to nowhere, which is told; no pipe, which would be waited for


def searched(folder: str, rules: Rules) -> Iterator[tuple[str, bool]]:
    """The folders that `walk` looks into, each with True; with False those that are virtual environments."""
    yield folder, True
    for entry in _entries(folder, rules, {}):
        if not entry.is_dir() or entry.is_symlink() or _passed_over_by_name(entry.name, entry.path, rules):
            continue
        if _is_environment(entry.path):
            yield entry.path, False
        else:
            yield from searched(entry.path, rules)


def _entries(folder: str, rules: Rules, unreadable: dict[str, OSError]) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name, but for what `--ignore` names."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if e.path not in rules.ignored), key=lambda entry: entry.name)
    except OSError as error:
        unreadable[folder] = error
        return []


def is_pipeline_file(name: str, rules: Rules) -> bool:
    """Does a file so named hold pipelines?"""
    return any(fnmatch(name, each) for each in rules.pipeline_files) and not any(fnmatch(name, t) for t in _TESTS)


def _passed_over(name: str, path: str, rules: Rules) -> bool:
    return _passed_over_by_name(name, path, rules) or _is_environment(path)


def _passed_over_by_name(name: str, path: str, rules: Rules) -> bool:
    return name == "__pycache__" or any(_fits(name, path, each) for each in rules.norecursedirs)


def _is_environment(path: str) -> bool:
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


def _fits(name: str, path: str, pattern: str) -> bool:
    """Does a pattern mean the directory? One with a `/` in it is matched against the end of the path, as in pytest."""
    return fnmatch(path, f"*/{pattern}") if "/" in pattern else fnmatch(name, pattern)


def stepconf_chain(path: str, root: str) -> list[str]:
    """The stepconf.py files that hold for the file *path*, the nearest first."""
    found = []
    folder = os.path.dirname(path)
    while True:
        candidate = os.path.join(folder, STEPCONF)
        if candidate != path and os.path.isfile(candidate):
            found.append(candidate)
        parent = os.path.dirname(folder)
        if folder == root or parent == folder or not _below(folder, root):
            return found
        folder = parent


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
