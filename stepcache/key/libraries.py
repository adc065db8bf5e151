"""Shared libraries that this process has loaded: whatever is built in their place, Python cannot load them anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from stepcache.key.environment import shown
from stepcache.key.files import FileDigests
from stepcache.key.look import SEPARATOR, Look, literal_files
from stepcache.model import Observation

_ENDINGS = (".so", ".dylib", ".dll", ".pyd")
_STAYS = "which this process had loaded, and cannot load anew: start Python anew"
# The contents that libraries had when they were first seen in this process: after they were loaded, or just then.
_contents: dict[str, str] = {}


def is_library(path: str) -> bool:
    """Does a file go by the name of a shared library?"""
    name = os.path.basename(path)
    return name.endswith(_ENDINGS) or ".so." in name


def outdated(paths: Iterable[str], observations: Iterable[Observation], look: Look) -> list[str]:
    """Those of *paths* and of what was read that hold something else than what this process has loaded from there."""
    every = (*paths, *(path for one in observations for path in _read(one, look)))
    asked = list(dict.fromkeys(map(os.path.realpath, filter(is_library, every))))
    mapped = _mapped() if asked else None
    return [f"{shown(look.name(path))} ({_STAYS})" for path in asked if _is_outdated(path, look.files, mapped)]


def _read(one: Observation, look: Look) -> list[str]:
    """The files that an observation tells of."""
    text, _, folder = one.name.partition(SEPARATOR)
    if one.kind == "literal" and is_library(text):
        return literal_files(text, folder, look)
    return [look.locate(one.name)] if one.kind == "file" else []


def _is_outdated(path: str, files: FileDigests, mapped: dict[str, bool] | None) -> bool:
    content = files.content(path)
    if path in _contents:
        return _contents[path] != content
    if mapped is not None and path not in mapped:
        return False
    if mapped is not None and mapped[path]:
        return True
    _contents[path] = content
    return False


def _mapped() -> dict[str, bool] | None:
    """The files that are mapped into this process: was one put in another's place since? None if nothing says so."""
    if not sys.platform.startswith("linux"):
        return None
    found: dict[str, bool] = {}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.rstrip("\n").split(maxsplit=5)
            if len(fields) == 6:
                path = fields[5].removesuffix(" (deleted)")
                found[path] = found.get(path, False) or path != fields[5]
    return found
