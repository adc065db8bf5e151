"""Where the paths that code gives lie, whatever directory it stands in when it gives them."""

from __future__ import annotations

import os

from stepcache.key.files import readlink


class Places:
    """Spells paths out; `cwd` is the working directory at first."""

    def __init__(self) -> None:
        self.cwd = os.getcwd()
        self._here: str | None = self.cwd

    def place(self, path: object, descriptor: int | None = None) -> tuple[str, str] | None:
        """The absolute, normalised path and, for a relative one, as asked; None for what is no path (an open file)."""
        if type(path) is not str:
            if path is None:
                path = "."
            elif isinstance(path, int):
                if (folder := _folder_of(path)) is None:
                    return None
                path = folder
            else:
                path = os.fsdecode(path)  # type: ignore[arg-type]
        if descriptor is not None and descriptor >= 0 and not path.startswith("/"):
            folder = _folder_of(descriptor)
            return None if folder is None else (os.path.normpath(os.path.join(folder, path)), "")
        return self.spelled(path)

    def spelled(self, path: str) -> tuple[str, str]:
        """The same of a text."""
        if path.startswith("/"):
            return os.path.normpath(path), ""
        if self._here is None:
            self._here = self._current()
        asked = path if self._here == self.cwd else ""
        return os.path.normpath(os.path.join(self._here, path)), asked

    def _current(self) -> str:
        try:
            return os.getcwd()
        except OSError:
            return self.cwd  # the directory was removed: nothing can be found in it anyway

    def moved(self) -> None:
        """The working directory is about to change."""
        self._here = None


def _folder_of(descriptor: int) -> str | None:
    """The path of an open folder; None where the system does not tell."""
    try:
        path = readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None
    return path if path.startswith("/") and not path.endswith(" (deleted)") else None
