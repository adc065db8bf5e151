"""The Python programs that a child runs: their files, what else they would import, and the texts in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from stepcache.key.files import FILE, kind_of, stamp_of
from stepcache.key.source import analyse
from stepcache.key.table import SourceTable

# More files than this are not looked at: imports may lead anywhere.
_MOST = 1000
_LONGEST_PATH = 4095
# The folders that installed packages lie in end so.
_INSTALLED = f"-packages{os.sep}"


class Program:
    """What a child's Python is seen to be made of, as files are now.

    `files` are those of the modules that it imports, where they lie in its folders. `named` are paths that count as
    long as the child leaves them as they are: of modules that it would import if they were there, and of files that
    its texts name. `texts` are the literals in all of it.
    """

    def __init__(self, cwd: str) -> None:
        self.files: dict[str, None] = {}
        self.named: dict[str, None] = {}
        self.texts: set[str] = set()
        self._cwd = cwd
        self._seen: set[str] = set()

    def run_file(self, path: str, folders: Sequence[str]) -> None:
        """It runs the script at *path*, whose imports are sought beside it and in *folders*."""
        self._follow([path], (os.path.dirname(path), *folders))

    def run_module(self, name: str, folders: Sequence[str]) -> None:
        """It runs a module or package by its name."""
        for each in (name, f"{name}.__main__"):
            self._follow(filter(is_file, _places(each.split("."), folders)), folders)

    def run_text(self, text: str, folders: Sequence[str]) -> None:
        """It runs a text."""
        self._follow(self._taken(_table(os.fsencode(text)), self._cwd, folders), folders)

    def _follow(self, paths: Iterable[str], folders: Sequence[str]) -> None:
        todo = list(paths)
        while todo and len(self._seen) < _MOST:
            path = todo.pop()
            if path in self._seen:
                continue
            self._seen.add(path)
            if _INSTALLED in path:
                continue  # what PYTHONPATH leads to there is no program of the project's
            if not is_file(path):
                self.named[path] = None
                continue
            try:
                with open(path, "rb") as file:
                    table = _table(file.read())
            except OSError:
                continue
            self.files[path] = None
            todo += self._taken(table, os.path.dirname(path), folders)

    def _taken(self, table: SourceTable, folder: str, folders: Sequence[str]) -> Iterator[str]:
        """Where the modules may lie that a source in *folder* imports; its texts are noted."""
        strings = {text for unit in table.units for part in unit.parts for text in part.uses.strings}
        self.texts |= strings
        for text in strings:
            if text.strip("./") and len(text) <= _LONGEST_PATH and "\0" not in text and "\n" not in text:
                paths = (os.path.normpath(os.path.join(base, os.path.expanduser(text))) for base in (self._cwd, folder))
                self.named.update(dict.fromkeys(path for path in paths if is_file(path)))
        for module, level, names in table.imports_anywhere():
            homes = folders
            if level:
                homes = (os.path.normpath(os.path.join(folder, *[".."] * (level - 1))),)
            for name in names or ("",):
                yield from _places([part for part in (*module.split("."), name) if part], homes)


def _places(parts: Sequence[str], homes: Sequence[str]) -> Iterator[str]:
    """The files that an import of a dotted name asks for in *homes*, up to the one that it takes."""
    for number, part in enumerate(parts):
        folders: list[str] = []
        for home in homes:
            place = os.path.join(home, part)
            package, module = os.path.join(place, "__init__.py"), place + ".py"
            yield package
            if is_file(package):
                folders = [place]
                break
            yield module
            if is_file(module):
                return
            if os.path.isdir(place):
                folders.append(place)
        if not folders:
            if part not in sys.stdlib_module_names:
                ends = range(number + 2, len(parts) + 1)
                yield from (os.path.join(home, *parts[number:end]) + ".py" for home in homes for end in ends)
            return
        homes = folders


def is_file(path: str) -> bool:
    found = stamp_of(path)
    return found is not None and kind_of(found[0]) == FILE


@lru_cache(_MOST)
def _table(source: bytes) -> SourceTable:
    return analyse(source, "<script>")
