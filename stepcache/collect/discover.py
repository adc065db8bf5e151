"""From arguments to pipeline files: which files, and which of their nodes were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch

from attrs import frozen

from stepcache.errors import UsageError
from stepcache.nodeid import split_argument

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


def discover(arguments: Sequence[str], cwd: str, rules: Rules) -> list[Asked]:
    """The files that *arguments* (files, directories, node ids; relative to *cwd*) name, in order, each once.

    Raises `UsageError` where there is no such file.
    """
    order: list[str] = []
    selectors: dict[str, list[str] | None] = {}
    for argument in arguments:
        path, selector = split_argument(argument)
        full = os.path.normpath(os.path.join(cwd, path))
        if not os.path.exists(full):
            raise UsageError(f"file or directory not found: {argument}")
        if os.path.isdir(full):
            if selector is not None:
                raise UsageError(f"{argument}: {path} is a directory: a node id starts with a file")
            files = list(walk(full, rules))
        else:
            _refuse_no_pipeline(path, full)
            files = [full]
        for file in files:
            if file not in selectors:
                order.append(file)
                selectors[file] = None if selector is None else [selector]
            elif selector is None:
                selectors[file] = None
            else:
                wanted = selectors[file]
                if wanted is not None and selector not in wanted:
                    wanted.append(selector)
    return [Asked(path, None if (s := selectors[path]) is None else tuple(s)) for path in order]


def _refuse_no_pipeline(path: str, full: str) -> None:
    name = os.path.basename(full)
    if any(fnmatch(name, each) for each in _TESTS):
        raise UsageError(f"{path} is a file of tests: pytest runs those, stepcache never does")
    if not name.endswith(".py") or not os.path.isfile(full):
        raise UsageError(f"{path} is no Python file: give a pipeline file, a directory or a node id")


def walk(folder: str, rules: Rules) -> Iterator[str]:
    """The pipeline files in and below *folder*, in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from error
    for entry in found:
        if entry.path in rules.ignored:
            continue
        if entry.is_dir():
            if not _passed_over(entry.name, entry.path, rules) and not entry.is_symlink():
                yield from walk(entry.path, rules)
        elif is_pipeline_file(entry.name, rules):
            yield entry.path


def is_pipeline_file(name: str, rules: Rules) -> bool:
    """Does a file so named hold pipelines?"""
    return any(fnmatch(name, each) for each in rules.pipeline_files) and not any(fnmatch(name, t) for t in _TESTS)


def _passed_over(name: str, path: str, rules: Rules) -> bool:
    if name == "__pycache__" or any(fnmatch(name, each) for each in rules.norecursedirs):
        return True
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


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
