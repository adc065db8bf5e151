"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from errno import EACCES, EISDIR, ENOTDIR


def write_whole(path: str, data: bytes) -> None:
    """Put *data* in place of the file at *path*; its folder is made if it is absent. Raises OSError."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device cannot be replaced
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def check_place(path: str) -> None:
    """Raise the OSError that `write_whole` would, as far as it can be told beforehand; nothing is made."""
    target = os.path.realpath(path)
    if os.path.isdir(target) or path.endswith(os.sep):
        raise _error(EISDIR, path)
    if os.path.exists(target) and not os.path.isfile(target):
        if not os.access(target, os.W_OK):
            raise _error(EACCES, path)
        return
    folder = os.path.dirname(target)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise _error(ENOTDIR, path)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _error(EACCES, path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
