"""Tracked paths."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())


class File(_Path):
    """The path of a file that is tracked: its path and its content are part of the key.

    A relative path is relative to the file it is written in, or to the root where it starts with `//`.
    """


class Dir(_Path):
    """The path of a directory that is tracked: the names and contents of the files in it that match `glob`."""

    pattern = "**/*"

    def __new__(cls, *segments: str | Path, glob: str = "**/*") -> Dir:
        self = super().__new__(cls, *segments)
        self.pattern = glob
        return self

    if sys.version_info >= (3, 12):

        def __init__(self, *segments: str | Path, glob: str = "**/*") -> None:
            super().__init__(*segments)
            self.pattern = glob

    def __reduce__(self) -> Any:
        return _make_dir, (str(self), self.pattern)


def _make_dir(path: str, pattern: str) -> Dir:
    return Dir(path, glob=pattern)
