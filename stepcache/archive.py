"""Files that lie in zip archives, as modules do that Python imports out of one: `lib.zip/pack/one.py`."""

from __future__ import annotations

import os


def holder(path: str) -> str:
    """The file on disk that holds what *path* names: an archive that the path leads into, or the path itself."""
    outer = path
    while not os.path.lexists(outer) and os.path.dirname(outer) != outer:
        outer = os.path.dirname(outer)
    return outer if outer != path and os.path.isfile(outer) else path


def content(path: str) -> bytes:
    """What a file holds, out of an archive too. Raises OSError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except NotADirectoryError:
        return _archived(path, holder(path))


def _archived(path: str, archive: str) -> bytes:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(archive) as file:
            return file.read(os.path.relpath(path, archive).replace(os.sep, "/"))
    except (BadZipFile, KeyError) as error:
        raise FileNotFoundError(f"{path}: {error}") from error
