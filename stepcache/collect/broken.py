"""What is said of a file that cannot be imported."""

from __future__ import annotations

import linecache
import os
import re
import sys
import tokenize
from inspect import signature
from types import TracebackType

from stepcache import api
from stepcache.api import skip_reason
from stepcache.collect.harvest import portable_name
from stepcache.config import did_you_mean
from stepcache.errors import CollectionFailed, UsageError
from stepcache.model import Definition, Problem

# Some Pythons add what was meant.
_UNKNOWN_OPTION = re.compile(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'$")


def import_problem(path: str, shown: str, root: str, error: BaseException) -> Problem:
    """One message: where in the user's files it went wrong, and what to do."""
    if isinstance(error, CollectionFailed):
        return Problem(shown, f"{shown}: {error}")
    if isinstance(error, SyntaxError):
        return Problem(shown, _syntax(path, shown, root, error))
    frames = _frames(error.__traceback__)
    places = _places(frames, path, root)
    where, line = places[-1] if places else (path, 1)
    at = _at(root, where, line)
    lines = []
    way = places[:-1]
    if where != path:
        own = next((place for place in reversed(places) if place[0] == path), (path, 1))
        way = way[way.index(own) + 1 :] if own in way else way
        lines.append(f"{shown}:{own[1]}: cannot be imported, because of {at}")
    first = f"{at}: {_said(error, path)}"
    lines.append(f"  {first}" if lines else first)
    text = linecache.getline(where, line).strip()
    if text:
        lines.append(f"    {text}")
    lines += _way(way, root)
    if skip_reason(error) is None:
        lines += _raised_in(frames, where)
    hint = _hint(error, path)
    if hint:
        lines.append(f"  {hint}")
    return Problem(shown, "\n".join(lines))


def unreadable_problem(folder: str, root: str, error: OSError) -> Problem:
    """A folder that could not be looked into."""
    shown = portable_name(root, folder, folder)
    return Problem(
        shown,
        f"{shown}: cannot be looked into: {error.strerror}\n  make the folder readable, or pass it over: --ignore",
    )


def parting_problem(shown: str) -> Problem:
    """A file whose nodes could not be named."""
    return Problem(shown, f"{shown}: '::' parts a file from a node in a node id: rename the file, or its folder")


def assertless_problem(check: Definition) -> Problem:
    """A check that would pass whatever its values are."""
    return Problem(
        f"{check.source.file}::{check.name}",
        f"{check.source.file}:{check.source.line}: {check.name} can't fail: under `python -O` Python leaves out the "
        f"asserts of what it imports itself\n"
        "  run Python without -O and PYTHONOPTIMIZE, or have stepcache import the file: "
        f'stepcache.run("{check.source.file}")',
    )


def _said(error: BaseException, path: str) -> str:
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, SystemExit):
        return f"cannot be imported: it ends the process (SystemExit: {error.code})"
    if (reason := skip_reason(error)) is not None:
        return "skip() was called while the file was imported" + (f": {reason}" if reason else "")
    text = str(error)
    if isinstance(error, OSError) and error.filename == path:
        text = f"it is a link to {os.readlink(path)}: {error.strerror}" if os.path.islink(path) else str(error.strerror)
    return f"cannot be imported: {type(error).__name__}" + (f": {text}" if text else "")


def _hint(error: BaseException, path: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install it, correct the name, or name its folder in `pythonpath` of the configuration"
    if isinstance(error, TypeError) and (unknown := _UNKNOWN_OPTION.match(str(error))):
        return _options(*unknown.groups())
    if isinstance(error, SystemExit):
        return "put what is to run as a script below `if __name__ == '__main__':`"
    if skip_reason(error) is not None:
        return "put @mark.skip on the steps, or call skip() in a step"
    if isinstance(error, PermissionError):
        return "make the file readable"
    if isinstance(error, OSError) and error.filename == path and os.path.islink(path):
        return "correct the link, or remove it"
    return ""


def _options(function: str, option: str) -> str:
    """What a function of ours takes instead of *option*."""
    if function not in api.__all__:
        return ""
    known = [name for name in signature(getattr(api, function)).parameters if name != "function"]
    return did_you_mean(option, known).removeprefix("; ") or f"it takes {', '.join(known)}"


def _syntax(path: str, shown: str, root: str, error: SyntaxError) -> str:
    file = error.filename or path
    at = shown if file == path or not os.path.isabs(file) else portable_name(root, file, file)
    encoding = _encoding_fault(file)
    if encoding:
        return f"{at}:{encoding}"
    lines = [f"{at}:{error.lineno or 1}: {type(error).__name__}: {error.msg}"]
    # Python shows the line with its byte order mark, and counts the mark's three bytes as one column.
    text = (error.text or "").rstrip()
    marked = text.startswith("\ufeff")
    text = text.removeprefix("\ufeff")
    if text.isprintable() and text.strip():
        lines.append(f"    {text.strip()}")
        caret = (error.offset or 1) - 1 - (len(text) - len(text.lstrip())) + (2 if marked else 0)
        if 0 <= caret <= len(text):
            lines.append(f"    {' ' * caret}^")
    return "\n".join(lines)


def _encoding_fault(file: str) -> str:
    """The line, and what is said, of a byte that does not fit the file's encoding."""
    try:
        with open(file, "rb") as raw:
            source = raw.read()
        try:
            encoding, _ = tokenize.detect_encoding(iter(source.splitlines(keepends=True)).__next__)
        except SyntaxError:  # the first lines are not UTF-8, or name an encoding that there is not
            encoding = "utf-8"
        source.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        return (
            f"{line}: byte 0x{byte:02x} is no {error.encoding.upper()}\n"
            "  save the file as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-"
        )
    except OSError:
        return ""
    return ""


def _frames(traceback: TracebackType | None) -> list[tuple[str, int, str]]:
    """The file, line and module of the frames that have a file, none of them ours."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    found = []
    while traceback is not None:
        frame = traceback.tb_frame
        file = frame.f_code.co_filename
        if os.path.isabs(file) and not file.startswith(own):
            found.append((file, traceback.tb_lineno, str(frame.f_globals.get("__name__"))))
        traceback = traceback.tb_next
    return found


def _places(frames: list[tuple[str, int, str]], path: str, root: str) -> list[tuple[str, int]]:
    """The (file, line) of the frames in the file and in the project."""
    inside = root.rstrip(os.sep) + os.sep
    own = [f for f in frames if f[0] == path or (f[0].startswith(inside) and "site-packages" not in f[0])]
    return [(file, line) for file, line, _ in own]


def _way(places: list[tuple[str, int]], root: str) -> list[str]:
    """The calls and imports that led to where it went wrong, each with its line."""
    if not places:
        return []
    distinct = dict.fromkeys(places)  # an endless recursion comes by the same ones again and again
    return ["  reached from", *(f"    {_at(root, *each)}: {linecache.getline(*each).strip()}" for each in distinct)]


def _raised_in(frames: list[tuple[str, int, str]], where: str) -> list[str]:
    """The place in installed code that raised it, if that did."""
    if not frames:
        return []
    file, line, module = frames[-1]
    if file == where or module.partition(".")[0] in sys.stdlib_module_names:
        return []
    return [f"  raised in {file}:{line}"]


def _at(root: str, file: str, line: int) -> str:
    return f"{portable_name(root, file, file)}:{line}"
