"""What surrounds a run: the interpreter and platform as ingredients, and names for paths that another machine finds.

A portable name is "cwd:data/x" for a path as asked relative to the working directory, "root:data/x" for one below the
root, else the absolute path itself.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable

from stepcache.digest import digest
from stepcache.model import Ingredient

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
