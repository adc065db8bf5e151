"""What surrounds a run: the interpreter and platform as ingredients, and names for paths that another machine finds.

A portable name is "cwd:data/x" for a path as asked relative to the working directory, "root:data/x" for one below the
root, else the absolute path itself.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable, Mapping

from attrs import field

from stepcache.digest import digest
from stepcache.model import Ingredient
from stepcache.records import define

CWD = "cwd:"
ROOT = "root:"


@functools.cache
def interpreter() -> tuple[Ingredient, ...]:
    """Python's implementation and minor version, and the platform and machine type."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if sys.flags.optimize:  # installed code runs without its asserts
        version += " -" + "O" * sys.flags.optimize
    implementation = f"{sys.implementation.name} {version}{getattr(sys, 'abiflags', '')}"
    platform = f"{sys.platform} {os.uname().machine} {sys.byteorder}"
    return (
        Ingredient("python", "Python", digest("python", implementation), json.dumps(version)),
        Ingredient("python", "platform", digest("platform", platform), json.dumps(platform)),
    )


def below(path: str, folder: str) -> bool:
    """Whether *path* is *folder* or lies in it; both are absolute and normalised."""
    return path == folder or path.startswith(folder if folder.endswith("/") else folder + "/")


class Folders:
    """Some folders, absolute and normalised."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._names = frozenset(folders)
        self._beginnings = tuple(name if name.endswith("/") else name + "/" for name in self._names)

    def hold(self, path: str) -> bool:
        """Whether *path* is one of them or lies in one."""
        return path in self._names or path.startswith(self._beginnings)


def portable(path: str, root: str, asked: str = "", cwd: str = "") -> str:
    """The portable name of the absolute *path*.

    *asked* is the relative path it was asked for by, where that was relative to *cwd*, the directory that the run
    started in; it is kept.
    """
    if asked and os.path.normpath(os.path.join(cwd, asked)) == path:
        return CWD + os.path.normpath(asked)
    for base in (root, _real(root)):
        if below(path, base):
            return ROOT + path[len(base.rstrip("/")) + 1 :]
    return path


@functools.lru_cache(maxsize=8)
def _real(root: str) -> str:
    return os.path.realpath(root)


def locate(name: str, root: str, cwd: str) -> str:
    """The absolute path that a portable *name* means here."""
    if name.startswith(CWD):
        return os.path.join(cwd, name[len(CWD) :])
    if name.startswith(ROOT):
        return os.path.join(root, name[len(ROOT) :]) if name != ROOT else root
    return name


def shown(name: str) -> str:
    """How explanations print a portable name."""
    if name.startswith(CWD):
        return name[len(CWD) :]
    if name.startswith(ROOT):
        return name[len(ROOT) :] or "."
    return name


@define(eq=False)
class Given:
    """The variables of the environment as they were given to the process: before imports of the project set them.

    What an import looks up counts by that: it is what the same import looks up in another process, whatever it and
    others make of it.
    """

    _set: dict[str, tuple[str | None, str | None]] = field(factory=dict)
    """What variables were before the first import that set them, and what they are since the last."""
    _by: dict[str, set[str]] = field(factory=dict)
    """The modules whose imports have set a variable."""

    def note(self, module: str, changed: Mapping[str, str | None]) -> None:
        """The import of *module* has set or removed variables, which were *changed* before."""
        for name, was in changed.items():
            first, last = self._set.get(name, (was, was))
            self._set[name] = (first if was in (first, last) else was, os.environ.get(name))
            self._by.setdefault(name, set()).add(module)

    def get(self, name: str) -> str | None:
        """What was given; what somebody else has made of a variable since is given, too."""
        now = os.environ.get(name)
        first, last = self._set.get(name, (now, now))
        return first if now == last else now

    def changes(self) -> dict[str, tuple[str | None, str | None]]:
        """What variables were that imports have set, and what they are now."""
        return {name: (self.get(name), os.environ.get(name)) for name in self._set}

    def forget(self, module: str) -> None:
        """A module is to be imported again: it finds what was given."""
        for name in [name for name, modules in self._by.items() if module in modules]:
            put_variable(name, self.get(name))
            del self._set[name], self._by[name]


def put_variable(name: str, value: str | None) -> None:
    """Set a variable of the environment, or remove it."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
