"""Who asked: the nearest caller outside the standard library, found by walking the stack."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from opcode import opmap
from types import FrameType

from stepcache.key.environment import below
from stepcache.key.rules import IMPORTING, QUIET_FUNCTIONS, QUIET_LOOKUPS, QUIET_TESTS, installed_folders

# Who asked, by rising weight: nobody whose asking counts, installed code, project code.
NOBODY, INSTALLED, PROJECT = 0, 1, 2

# What a file's code is. The first ones are passed over in the search for who asked.
_STANDARD, _IMPORTING, _OTHERS, _PROJECT, _OWN = 1, 2, 4, 8, 16
_QUIET_LOOKUP, _QUIET_TEST, _TEXT = 32, 64, 128

# Deeper stacks are taken to be the project's: doubt counts.
DEEPEST = 1000

_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Our own files that import project modules, or have another's loader do so: what is read for that nobody asked for.
_LOADERS = (os.path.join(_OWN_FOLDER, "collect", "load.py"), os.path.join(_OWN_FOLDER, "pytest_rewriting.py"))
# Those that call the functions of steps and resources, which may be the standard library's or stand in a text.
_RUNNERS = {
    os.path.join(_OWN_FOLDER, *path)
    for path in (("execution", "call.py"), ("execution", "resources.py"), ("api", "defined.py"))
}
_CONTEXTS = contextlib.contextmanager.__code__.co_filename
_STANDARD_FOLDER = os.path.dirname(os.__file__)

# Functions through which the standard library asks no more than whether and what something is.
TESTING = frozenset(
    {"exists", "lexists", "isfile", "isdir", "islink", "ismount", "is_file", "is_dir", "is_symlink", "is_mount",
     "is_socket", "is_fifo", "is_block_device", "is_char_device", "samefile", "realpath", "_joinrealpath", "resolve",
     "getmtime", "getatime", "getctime", "which", "_access_check", "is_junction"}
)  # fmt: skip

# Functions of the import system through which every import by a name goes.
_FINDING = {"_find_and_load", "_gcd_import", "_handle_fromlist"}


class Callers:
    """Tells project code from installed code by the file it stands in, each file once."""

    def __init__(self, is_project: Callable[[str], bool]) -> None:
        self._is_project = is_project
        self._kinds: dict[str, int] = {}
        self._installed = tuple(installed_folders())

    def asked(self, frame: FrameType | None, quiet: int = 0) -> int:
        """NOBODY, INSTALLED or PROJECT for what the code in *frame* does; *quiet* names kinds whose asking is idle."""
        kinds = self._kinds
        who = NOBODY
        reads = text = False
        for _ in range(DEEPEST):
            if frame is None:
                return who or (PROJECT if text else INSTALLED)
            code = frame.f_code
            kind = kinds.get(code.co_filename) or self._learn(code.co_filename)
            if kind == _PROJECT:
                return who or PROJECT
            if kind == _OWN:
                who = who or (PROJECT if text or code.co_filename in _RUNNERS else NOBODY)
                return who if code.co_filename not in _LOADERS else NOBODY
            if not who and (kind & quiet or (kind & _STANDARD and code.co_name in QUIET_FUNCTIONS)):
                return NOBODY
            if kind & _IMPORTING and not who and not reads:
                reads = _is_data_read(frame)
                if not reads:
                    return NOBODY
            if (
                code.co_name == "<module>"
                and kind & (_STANDARD | _OTHERS)
                and frame.f_back is not None
                and frame.f_back.f_code.co_filename.startswith("<frozen importlib")
            ):
                return NOBODY  # an installed module is being imported
            if kind == _OTHERS:
                who = INSTALLED
            text = text or bool(kind & _TEXT)
            frame = frame.f_back
        return who or PROJECT

    def is_project_code(self, frame: FrameType) -> bool:
        """Whether *frame* is one of project code, of a file that was met before."""
        return self._kinds.get(frame.f_code.co_filename) == _PROJECT

    def looked_up(self, frame: FrameType | None) -> int:
        """Who looked an environment variable up."""
        return self.asked(frame, _QUIET_LOOKUP)

    def tested(self, frame: FrameType | None) -> int:
        """Who tested a path."""
        return self.asked(frame, _QUIET_TEST)

    def wants_size(self, frame: FrameType | None) -> bool:
        """Whether the whole answer of `os.stat` goes to the caller, not just whether and what something is."""
        while frame is not None:
            code = frame.f_code
            if not (self._kinds.get(code.co_filename) or self._learn(code.co_filename)) & _STANDARD:
                return True
            if code.co_name in TESTING:
                return False
            if code.co_name not in ("stat", "lstat", "getsize"):
                return False
            frame = frame.f_back
        return False

    def compares(self, frame: FrameType) -> bool:
        """Whether `os.stat` is asked to tell whether two paths lead to the same file."""
        before = frame.f_back
        return frame.f_code.co_name == "samefile" or (before is not None and before.f_code.co_name == "samefile")

    def importer(self, frame: FrameType | None) -> tuple[bool, bool]:
        """Of the import that *frame* is part of: whether it is an import statement's (or there is none), and whether
        a library has it done."""
        while frame is not None:
            code = frame.f_code
            kind = self._kinds.get(code.co_filename) or self._learn(code.co_filename)
            if kind != _OWN and not code.co_filename.startswith("<frozen importlib") and code.co_filename != _CONTEXTS:
                return code.co_code[frame.f_lasti] == opmap["IMPORT_NAME"], self.by_library(frame)
            frame = frame.f_back
        return True, False

    def by_library(self, frame: FrameType) -> bool:
        """Whether it is not project code that calls, so that its code does not say what it calls for."""
        file = frame.f_code.co_filename
        if file.endswith("importlib/__init__.py") and frame.f_back is not None:
            return self.by_library(frame.f_back)
        return not (self._kinds.get(file) or self._learn(file)) & (_PROJECT | _OWN)

    def runs_unknown(self, frame: FrameType | None) -> bool:
        """Whether code that is executed here is no module's that was imported by its name, nor an installed one's."""
        while frame is not None:
            code = frame.f_code
            kind = self._kinds.get(code.co_filename) or self._learn(code.co_filename)
            if kind == _PROJECT or code.co_name in _FINDING or not kind & _STANDARD:
                return kind == _PROJECT
            frame = frame.f_back
        return False

    def _learn(self, file: str) -> int:
        kind = self._kinds[file] = self._classify(file)
        return kind

    def _classify(self, file: str) -> int:
        if below(file, _OWN_FOLDER):
            return _OWN
        if file.startswith(("<frozen importlib._bootstrap", "<frozen zipimport")):
            return _STANDARD | _IMPORTING
        if file.startswith("<frozen "):
            return _STANDARD | _quiet(file[len("<frozen ") : -1].replace(".", "/") + ".py")
        if self._is_project(file):
            return _PROJECT
        if file.startswith("<"):
            return _STANDARD | _TEXT  # made by a library on the fly: whoever stands behind it asks
        installed = [folder for folder in self._installed if "-packages" in folder and below(file, folder)]
        if not installed and below(file, _STANDARD_FOLDER) and "-packages" not in file:
            return _STANDARD | _quiet(os.path.relpath(file, _STANDARD_FOLDER))
        return _OTHERS


def _quiet(name: str) -> int:
    """The marks of a part of the standard library, by its file's path below the library's folder."""
    marks = ((IMPORTING, _IMPORTING), (QUIET_LOOKUPS, _QUIET_LOOKUP), (QUIET_TESTS, _QUIET_TEST))
    return sum(mark for names, mark in marks if name.startswith(names))


def _is_data_read(frame: FrameType) -> bool:
    """Whether the import system reads for somebody: a loader's `get_data`, `inspect.getsource`, a module that is made
    from a file's path (`spec_from_file_location`)."""
    name = frame.f_code.co_name
    before = frame.f_back
    if before is None:
        return False
    if frame.f_code.co_filename.endswith("linecache.py"):
        while before.f_code.co_filename.endswith("linecache.py") and before.f_back:
            before = before.f_back
        return before.f_code.co_filename.endswith("inspect.py")
    while before is not None and before.f_code.co_filename.startswith("<frozen importlib"):
        if before.f_code.co_name in _FINDING:
            return False
        before = before.f_back
    return name == "get_data"
