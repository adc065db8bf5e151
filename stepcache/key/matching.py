"""Which names of a folder a listing is for: all of them, or those that fit the pattern of a glob under way.

Neither `glob` nor `pathlib` says so but in the frames of its own functions; of one that is not known here, all count.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator
from types import FrameType

# Instead of a regular expression: folders, and links, which may lead to some.
FOLDERS = "/"

_GLOB, _PATHLIB = f"{os.sep}glob.py", f"{os.sep}pathlib"
_LIBRARY = os.path.dirname(os.__file__)
_HIDDEN = r"(?!\.)"


def wanted(frame: FrameType) -> str | None:
    """What fits the names that the listing which *frame* makes is for: a regular expression, `FOLDERS`, or all."""
    file = frame.f_code.co_filename
    if not file.startswith(_LIBRARY):
        return None
    if file.endswith(_GLOB):
        return _of_glob(frame)
    return _of_pathlib(frame) if file.startswith(_LIBRARY + _PATHLIB) else None


def fitting(names: Iterable[str], pattern: str, folder: str) -> Iterator[str]:
    """Those of the *names* in a folder, a "/" after those of folders, that *pattern* is for."""
    if pattern == FOLDERS:
        return (name for name in names if name.endswith("/") or os.path.islink(os.path.join(folder, name)))
    match = re.compile(pattern).match
    return (name for name in names if match(name.rstrip("/")))


def _of_glob(frame: FrameType) -> str | None:
    """`glob.glob`, and from Python 3.13 on what `Path.glob` is made of."""
    name, names = frame.f_code.co_name, frame.f_locals
    if name == "select_wildcard":
        return _text(names["match"])
    if name == "select_recursive_step":
        return FOLDERS if names.get("dir_only") else None
    asking = frame.f_back.f_back if name == "_iterdir" and frame.f_back is not None else None
    if asking is None:
        return None
    name, names = asking.f_code.co_name, asking.f_locals
    if name == "_rlistdir":
        return FOLDERS if names["dironly"] else None
    pattern = names.get("pattern")
    if name != "_glob1" or not isinstance(pattern, str):
        return None
    hidden = names.get("include_hidden") or pattern.startswith(".")
    return ("" if hidden else _HIDDEN) + fnmatch.translate(pattern)


def _of_pathlib(frame: FrameType) -> str | None:
    """`Path.glob` before Python 3.13."""
    asking = frame.f_back if frame.f_code.co_name == "_scandir" else None
    if asking is not None and asking.f_code.co_name == "walk":
        asking = asking.f_back
    if asking is None or not asking.f_code.co_filename.startswith(_LIBRARY + _PATHLIB):
        return None
    if asking.f_code.co_name == "_iterate_directories":
        return FOLDERS
    match = getattr(asking.f_locals.get("self"), "match", None)
    return _text(match) if asking.f_code.co_name == "_select_from" and match is not None else None


def _text(match: object) -> str | None:
    """The regular expression of a compiled pattern's method, where it says all that there is to it."""
    pattern = getattr(match, "__self__", None)
    if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, str):
        return None
    return pattern.pattern if not pattern.flags & re.IGNORECASE else None
