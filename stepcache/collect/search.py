"""Where Python finds modules: `sys.path`, and the names that files have by it."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec


def spec_of(name: str) -> ModuleSpec | None:
    """The spec of a module, loaded or not; None where there is none."""
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def package_name(path: str) -> tuple[str | None, str]:
    """(full name, folder that the package lies in) of a file inside a package; (None, its folder) for another.

    A name with a dot in it is none that a package could give to a module of its own.
    """
    folder, base = os.path.split(path)
    parts = [os.path.splitext(base)[0]]
    if "." in parts[0] or not os.path.isfile(os.path.join(folder, "__init__.py")):
        return None, folder
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, name = os.path.split(folder)
        parts.append(name)
    return ".".join(reversed(parts)), folder


def append_to_path(folder: str) -> None:
    """Put *folder* at the end of `sys.path`, so that what lies in it hides nothing."""
    if folder not in sys.path:
        sys.path.append(folder)


def look_anew() -> None:
    """Have Python's finders list folders anew: a file may be younger than their stamps can tell.

    What was no folder may be one by now, and a relative path may mean another.

    `importlib.invalidate_caches` does the same, and imports `importlib.metadata` for it.
    """
    for entry, finder in list(sys.path_importer_cache.items()):
        if finder is None or not os.path.isabs(entry):
            sys.path_importer_cache.pop(entry, None)
        elif (invalidate := getattr(finder, "invalidate_caches", None)) is not None:
            invalidate()


def same_file(one: str, other: str) -> bool:
    """Do two paths name one file?"""
    try:
        return one == other or os.path.samefile(one, other)
    except OSError:
        return False
