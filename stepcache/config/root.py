"""Where the project is: its root directory and configuration file, found as pytest finds its rootdir."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import Factory

from stepcache.errors import UsageError
from stepcache.nodeid import split_argument
from stepcache.records import frozen

# In the order in which they count in one directory.
DEDICATED = "stepcache.toml"
PYPROJECT = "pyproject.toml"


@frozen
class Root:
    """The root directory, the configuration file if there is one, and what its table holds."""

    directory: Path
    file: Path | None = None
    table: Mapping[str, object] = Factory(dict)


def find_root(
    args: Sequence[str],
    cwd: Path,
    explicit_rootdir: str | None = None,
    explicit_config: str | None = None,
) -> Root:
    """The root for these arguments.

    The nearest directory, from the common ancestor of the arguments upwards, that holds a stepcache.toml or a
    pyproject.toml with a [tool.stepcache] table; else the nearest with any pyproject.toml; else the nearest with a
    setup.py; else the same search from each argument; else the common ancestor of arguments and working directory.
    """
    directories = [path if path.is_dir() else path.parent for path in _paths(args, cwd) if _exists(path)]
    if explicit_config is not None:
        found = _explicit(explicit_config, cwd, directories)
    else:
        found = _search(cwd, directories, explicit_rootdir)
    if explicit_rootdir is None:
        return found
    directory = _absolute(os.path.expandvars(explicit_rootdir), cwd)
    if not directory.is_dir():
        raise UsageError(f"--rootdir: there is no directory {directory}")
    return Root(directory, found.file, found.table)


def _search(cwd: Path, directories: list[Path], explicit_rootdir: str | None) -> Root:
    ancestor = _common_ancestor(cwd, directories)
    found = _locate([ancestor])
    if found is not None:
        return found
    if explicit_rootdir is not None:
        return Root(ancestor)
    for directory in (ancestor, *ancestor.parents):
        if (directory / "setup.py").is_file():
            return Root(directory)
    if directories and directories != [ancestor]:
        found = _locate(directories)
        if found is not None:
            return found
    return Root(_unless_filesystem_root(_common_ancestor(cwd, [cwd, ancestor]), ancestor))


def _explicit(config: str, cwd: Path, directories: list[Path]) -> Root:
    from stepcache.config.toml import load_table

    file = _absolute(config, cwd)
    if not file.exists() or file.is_dir():
        what = "is a directory" if file.is_dir() else "does not exist"
        raise UsageError(f"-c {config}: {file} {what}; it takes a .toml file")
    if not file.is_file():
        # /dev/null asks for no configuration; it says nothing about where the project lies.
        return Root(_unless_filesystem_root(_common_ancestor(cwd, directories), cwd))
    if file.suffix != ".toml":
        raise UsageError(f"-c {config}: configuration is written in TOML, and the file's name does not end in .toml")
    return Root(file.parent, file, load_table(file) or {})


def _locate(starts: Iterable[Path]) -> Root | None:
    """The nearest directory with configuration, upwards from each of *starts*."""
    from stepcache.config.toml import load_table

    passed: Path | None = None
    for start in starts:
        for directory in (start, *start.parents):
            for name in (DEDICATED, PYPROJECT):
                file = directory / name
                if not file.is_file():
                    continue
                if name == PYPROJECT and passed is None:
                    passed = file
                table = load_table(file)
                if table is not None:
                    return Root(directory, file, table)
    return Root(passed.parent, passed) if passed is not None else None


def _common_ancestor(cwd: Path, paths: Sequence[Path]) -> Path:
    present = [str(path) for path in paths if _exists(path)]
    if not present:
        return cwd
    common = Path(os.path.commonpath(present))
    return common.parent if common.is_file() else common


def _paths(args: Sequence[str], cwd: Path) -> list[Path]:
    return [_absolute(split_argument(arg)[0], cwd) for arg in args if not arg.startswith("-")]


def _absolute(path: str, cwd: Path) -> Path:
    return Path(os.path.normpath(cwd / path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, such as a long variant id
        return False


def _unless_filesystem_root(path: Path, otherwise: Path) -> Path:
    return otherwise if path == Path(path.anchor) else path
