"""The stamp: "there is nothing to do", answered before anything else is imported.

When all that a run was asked for is in the cache as it ends, it leaves a stamp (`stamping.py`): what the next run is to
tell, and everything that the answer rests on. The next run that is asked the same, in the same surroundings, reads the
stamp, looks whether all of that is still as it was, and tells it. This takes a stat for each file, and no time for each
step. The least doubt, and the run goes its long way: a stamp can be missed, never believed wrongly.

What an answer rests on, and where it is looked at:

    what was asked, and by whom (arguments, directory, environment, terminal,    the stamp's name: `Asked`
        Python and its flags, `sys.path`, this version)
    the sealing key                                                              the stamp's name and its seal
    files, folders and links; what is absent                                     `_is_as_it_was` and its siblings
    entries of the cache                                                         two counters in its database
    the time, where results expire                                               `until` and `since`
    modules that this process has imported before it asked                       `modules`

Only the standard library is imported here, and of it what is cheap.
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from stepcache import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, TextIO

    from stepcache.store.seal import Seal
    from stepcache.store.stamps import Found

# Part of each stamp's name: raise it when a stamp's content changes.
FORMAT = 1
# What is used only through stamps for longer than this is looked at again, so that it is not evicted as unused.
LONGEST = 24 * 3600
# Files up to this size are told apart by content where their stamp differs; a stamp holds their digests.
SMALL = 1 << 20
# If more than this many have new stamps, the long way is taken: it leaves a new stamp.
MOST_TOUCHED = 50

# Variables that differ from shell to shell and say nothing. A stamp is not made where something is seen to ask for one.
SHELL = frozenset(
    {
        "_", "GPG_TTY", "OLDPWD", "PYTEST_CURRENT_TEST", "SHLVL", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION",
        "SSH_TTY", "STY", "TERM_SESSION_ID", "TMUX_PANE", "WINDOWID", "XDG_SESSION_ID",
    }
)  # fmt: skip

Stat = tuple[int, int, int, int, int]
# A file or folder that counts: its path, its stamp (None where nothing is there, () for a folder of which only that it
# is there counts), and the digest of its content or names.
File = tuple[str, "Stat | tuple[()] | None", bytes]
Folder = tuple[str, Stat, bytes]


class Head:
    """What an answer rests on, and how it ended.

    `made`, `until` and `since` are times in seconds: when the stamp was made, and between what times no result has
    expired. `files` are (path, stamp or None where nothing is there or () for a folder, content digest or b"");
    `folders` (path, stamp, digest of the names in it); `links` (path, stamp or None).
    """

    __slots__ = (
        "changes", "exit_code", "files", "folders", "hidden", "links", "made", "modules", "project", "removals",
        "since", "until",
    )  # fmt: skip

    project: bytes
    removals: int
    changes: int
    made: float
    until: float
    since: float
    modules: tuple[str, ...]
    files: list[File]
    folders: list[Folder]
    links: list[tuple[str, Stat | None]]
    hidden: str
    exit_code: int

    def __init__(self, *values: object) -> None:
        for name, value in zip(self.__slots__, values, strict=True):
            setattr(self, name, value)

    def dump(self) -> bytes:
        return marshal.dumps(tuple(getattr(self, name) for name in self.__slots__))


class Asked:
    """What a run was asked for, with all that surrounds it.

    `kind` is "command" or "run". `loaded` are the modules that the process had before it asked.
    """

    __slots__ = ("arguments", "began", "kind", "loaded", "text")

    def __init__(self, kind: str, arguments: Sequence[str], *more: object) -> None:
        self.began = time.perf_counter()
        self.kind = kind
        self.arguments = tuple(arguments)
        self.loaded = frozenset(sys.modules)
        self.text = repr((kind, self.arguments, more, surroundings(kind))).encode("utf-8", "backslashreplace")

    def stamp(self) -> tuple[Head, Found] | None:
        """The stamp that answers this, where there is one and all that it rests on is as it was."""
        from stepcache.store.seal import NoSeal, load_seal
        from stepcache.store.stamps import find, stamp_name

        seal: Seal | NoSeal = load_seal(os.environ)
        if isinstance(seal, NoSeal):
            return None
        name = stamp_name(seal, self.text)
        for folder in _folders(self.arguments, os.environ):
            found = find(folder, name, seal)
            if found is not None:
                head = Head(*marshal.loads(found.head))
                return (head, found) if _holds(head, found) else None
        return None


def ask(kind: str, arguments: Sequence[str], params: Mapping[str, object], *more: object) -> Asked | None:
    """What is asked for; None where it holds objects of which nothing can be told."""
    try:
        return Asked(kind, arguments, _plain(params), *more)
    except (TypeError, ValueError, OSError, RecursionError):  # an int of thousands of digits has no text
        return None


def _plain(value: object) -> object:
    """*value* as something whose `repr` tells it from every other. Raises TypeError."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    if kind in (list, tuple):
        return (kind.__name__, *(_plain(each) for each in value))  # type: ignore[attr-defined]
    if kind is dict:
        return ("dict", *((_plain(key), _plain(each)) for key, each in value.items()))  # type: ignore[attr-defined]
    home = kind.__module__.partition(".")[0]
    if (home, kind.__name__) in (("pathlib", "PosixPath"), ("stepcache", "File"), ("stepcache", "Dir")):
        return (home, kind.__name__, str(value), getattr(value, "pattern", None))
    raise TypeError


def surroundings(kind: str) -> tuple[object, ...]:
    """All of this process that an answer may depend on, but for files."""
    environment = [pair for pair in sorted(os.environ.items()) if pair[0] not in SHELL]
    python = (sys.version, sys.executable, sys.prefix, sys.flags, sys.warnoptions, sys.argv if kind == "run" else ())
    finders = [getattr(finder, "__qualname__", type(finder).__qualname__) for finder in sys.meta_path]
    shown = (_stream(sys.stdout), _stream(sys.stderr), _widths()) if kind == "command" else ()
    return FORMAT, __version__, os.getcwd(), environment, python, sys.path, finders, shown


def _stream(stream: TextIO | None) -> tuple[object, ...]:
    try:
        return (stream is not None and stream.isatty(), getattr(stream, "encoding", None))
    except ValueError:  # it is closed
        return ()


def _widths() -> list[int]:
    found = []
    for descriptor in (0, 1, 2):
        try:
            found.append(os.get_terminal_size(descriptor).columns)
        except OSError:
            found.append(0)
    return found


def _folders(arguments: Sequence[str], environ: Mapping[str, str]) -> Iterable[str]:
    """Where the cache may lie. It is a guess: a stamp proves itself, and where there is none the long way is taken."""
    folder = environ.get("STEPCACHE_DIR", "")
    for number, each in enumerate(arguments):
        if each.startswith("--cache-dir="):
            folder = each.partition("=")[2]
        elif each == "--cache-dir" and number + 1 < len(arguments):
            folder = arguments[number + 1]
    if not folder:
        folder = _configured() or _default(environ)
    folder = os.path.normpath(os.path.join(os.getcwd(), folder))
    return folder, os.path.join(folder, ".stepcache")


def _configured() -> str:
    """The `cache_dir` of the nearest configuration above the working directory that has a line of it."""
    above = os.getcwd()
    while True:
        for name in ("stepcache.toml", "pyproject.toml"):
            try:
                with open(os.path.join(above, name), encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                continue
            for line in text.splitlines() if "cache_dir" in text else ():
                key, _, value = line.partition("=")
                if key.strip() == "cache_dir":
                    return os.path.join(above, value.strip().strip("\"'"))
        if above == os.path.dirname(above):
            return ""
        above = os.path.dirname(above)


def _default(environ: Mapping[str, str]) -> str:
    """platformdirs' user cache directory, where the rule is plain."""
    if sys.platform in ("win32", "darwin"):
        from platformdirs import user_cache_dir

        return user_cache_dir("stepcache", appauthor=False)
    base = environ.get("XDG_CACHE_HOME", "")
    if not base.strip():
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "stepcache")


# --- does it hold? ------------------------------------------------------------------------------


def _holds(head: Head, found: Found) -> bool:
    """Is all that the answer rests on as it was?"""
    now = time.time()
    return (
        (head.project, head.removals, head.changes) == (found.project, found.removals, found.changes)
        and head.made <= now <= head.made + LONGEST
        and head.since <= now <= head.until
        and not any(name in sys.modules for name in head.modules)
        and grounds_hold(head.files, head.folders, head.hidden)
        and all(_stat(os.lstat, path) == stamp for path, stamp in head.links)
    )


def grounds_hold(files: Iterable[File], folders: Iterable[Folder], hidden: str) -> bool:
    """Are all files and folders as they were? They are as `Head` has them."""
    return _files_hold(files) and _folders_hold(folders, hidden)


def _files_hold(files: Iterable[File]) -> bool:
    touched, stat = 0, os.stat
    for path, stamp, digest in files:
        try:
            status = stat(path)
        except (FileNotFoundError, NotADirectoryError):
            if stamp is not None:
                return False
            continue
        except (OSError, ValueError):
            return False
        if stamp == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev):
            continue
        kind = status.st_mode & 0o170000
        if stamp == () and kind == 0o040000:
            continue
        touched += 1
        if not stamp or not digest or kind != 0o100000 or status.st_size > SMALL or touched > MOST_TOUCHED:
            return False
        if content_digest(path) != digest:
            return False
    return True


def _folders_hold(folders: Iterable[Folder], hidden: str) -> bool:
    touched = 0
    for path, stamp, digest in folders:
        if _stat(os.stat, path) != stamp:
            touched += 1
            if touched > MOST_TOUCHED or names_digest(path, hidden) != digest:
                return False
    return True


def _stat(stat: Any, path: str) -> Stat | None:
    try:
        status = stat(path)
    except (OSError, ValueError):
        return None
    return stamp_of(status)


def stamp_of(status: os.stat_result) -> Stat:
    """What tells cheaply that a file or folder was changed."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def content_digest(path: str) -> bytes:
    """The digest of a small file; b"" if it cannot be read."""
    from _blake2 import blake2b

    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(SMALL + 1)
    except OSError:
        return b""
    return blake2b(data, digest_size=16).digest() if len(data) <= SMALL else b""


def names_digest(path: str, hidden: str) -> bytes:
    """The digest of the names in a folder, those of folders marked; b"" if it cannot be listed.

    *hidden* is the cache folder: that it is there changes nothing, nor do folders of bytecode.
    """
    from _blake2 import blake2b

    try:
        with os.scandir(path) as entries:
            names = [
                entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                for entry in entries
                if entry.name != "__pycache__" and entry.path != hidden
            ]
    except OSError:
        return b""
    return blake2b("\0".join(sorted(names)).encode("utf-8", "surrogateescape"), digest_size=16).digest()


# --- telling it again ---------------------------------------------------------------------------


class Told:
    """What the command told: its report with a gap for how long it took, and the JSON report with another.

    `channel` is "stdout" or "stderr"; `json` the path of the JSON report, "-" or "" for none.
    """

    __slots__ = ("after", "before", "channel", "json", "json_after", "json_before")

    def __init__(
        self,
        channel: str,
        before: bytes,
        after: bytes,
        json: str,
        json_before: bytes,
        json_after: bytes,
    ) -> None:
        self.channel, self.before, self.after = channel, before, after
        self.json, self.json_before, self.json_after = json, json_before, json_after

    def dump(self) -> bytes:
        return marshal.dumps((self.channel, self.before, self.after, self.json, self.json_before, self.json_after))

    def tell(self, seconds: float) -> None:
        """Tell it. Raises OSError where the JSON report cannot be written, before anything is told."""
        whole = self.json_before + repr(round(seconds, 6)).encode() + self.json_after
        if self.json not in ("", "-"):
            from stepcache.wholefile import write_whole

            write_whole(self.json, whole)
        gap = f"{seconds:.2f}s".encode() if self.after else b""
        _write(sys.stdout if self.channel == "stdout" else sys.stderr, self.before + gap + self.after)
        if self.json == "-":
            _write(sys.stdout, whole)


def _write(stream: TextIO, data: bytes) -> None:
    """Write UTF-8 *data*; what the stream's encoding has no bytes for, escaped."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(data.decode("utf-8"))
    else:
        stream.flush()
        buffer.write(data if encoding == "utf-8" else data.decode("utf-8").encode(encoding, "backslashreplace"))
    stream.flush()


def told(asked: Asked) -> int | None:
    """Answer the command from its stamp: the exit status, or None where the long way is to be taken."""
    try:
        answer = asked.stamp()
        if answer is None:
            return None
        head, found = answer
        rest = found.rest()
        if rest is None:
            return None
        Told(*marshal.loads(rest)).tell(time.perf_counter() - asked.began)
    except BrokenPipeError:
        return head.exit_code
    except OSError:
        return None
    return head.exit_code
