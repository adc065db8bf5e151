"""What unfinished executions keep for the next one with the same key: a folder each, below the cache folder.

A folder belongs to whoever executes the key, which one process at a time does. Nothing in it is trusted, sealed or
decoded by stepcache: it is the step's own.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

from stepcache.digest import digest
from stepcache.store.folder import CHECKPOINTS

# So long after it was last made, or something in it, a folder that nobody came back to is dropped.
_SECONDS = 60 * 24 * 3600


class Checkpoints:
    """The folders of one project in the cache *folder*."""

    def __init__(self, folder: str, project: bytes) -> None:
        self._all = Path(folder, CHECKPOINTS)
        self._own = self._all / digest("project", project)[:32]

    def folder(self, key: str, element: bytes = b"") -> Path:
        """That of a key, of one element of a mapped step if given; it need not be there."""
        return self._own / digest("checkpoint", key, element)[:32]

    def clear(self) -> None:
        """Remove the project's."""
        shutil.rmtree(self._own, ignore_errors=True)

    def drop_old(self) -> None:
        """Remove those, of every project, that nobody has come back to for long."""
        for path in self._all.glob("*/*"):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > _SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
