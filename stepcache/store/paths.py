"""The codec for paths that a step returned from its temporary directory: files and folders, stored as their content.

What comes back are paths with the same names into a fresh private folder. Links are stored as links, and only where
they stay inside the stored tree; nothing is followed, and nothing but files, folders and such links is taken.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepcache.errors import Unstorable
from stepcache.records import frozen
from stepcache.store.codecs import Declined, Encoded, place_of, type_name
from stepcache.store.plain import PlainCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from stepcache.store.frame import Buffer

NAME = "paths"
_PLAIN = PlainCodec()
_CHUNK = 1 << 20
_PATH = "path"
_ITEM = "item"
_HOLDERS = (Path, list, tuple, dict)


@frozen
class _Entry:
    """One file, folder or link of the tree. `name` is relative to the temporary directory."""

    name: str
    kind: str
    mode: int
    size: int = 0
    target: str = ""

    def row(self) -> tuple[bytes, str, int, int, bytes]:
        return os.fsencode(self.name), self.kind, self.mode, self.size, os.fsencode(self.target)


class PathCodec:
    """The codec called "paths". *folder* makes a fresh private folder for what is decoded."""

    name = NAME
    safe = True
    types = ()

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder

    def encode(self, value: object, tmp: Path) -> Encoded:
        """The bytes of *value*, whose paths inside *tmp* become content."""
        entries: dict[str, _Entry] = {}
        shape = _shape(value, tmp, entries, "")
        rows = [entries[name] for name in sorted(entries)]
        try:
            head = b"".join(_PLAIN.encode((shape, [entry.row() for entry in rows])).parts)
        except Declined as error:
            raise Unstorable(type_name(type(value)), "", f"it holds paths, and {error}") from error
        size = 8 + len(head) + sum(row.size for row in rows if row.kind == "file")
        return Encoded(_Tree(len(head).to_bytes(8, "little") + head, tmp, rows), size=size)

    def decode(self, data: memoryview) -> object:
        size = int.from_bytes(data[:8], "little")
        decoded: Any = _PLAIN.decode(data[8 : 8 + size])
        shape, rows = decoded
        folder = self._folder()
        _write_tree(
            folder, [_Entry(os.fsdecode(n), k, m, s, os.fsdecode(t)) for n, k, m, s, t in rows], data[8 + size :]
        )
        return _unshape(shape, folder)


def holds_paths(value: object, tmp: Path) -> bool:
    """Whether *value* is a path inside *tmp*, or a list, tuple or dict that holds one."""
    if isinstance(value, Path):
        return value.is_relative_to(tmp)
    kind = type(value)
    items: Collection[object] = ()
    if kind is dict:
        items = value.values()  # type: ignore[attr-defined]
    elif kind in (list, tuple):
        items = value  # type: ignore[assignment]
    # Of a million numbers, none is looked at by itself.
    return any(issubclass(one, _HOLDERS) for one in set(map(type, items))) and any(
        holds_paths(item, tmp) for item in items
    )


def _shape(value: Any, tmp: Path, entries: dict[str, _Entry], where: str) -> Any:
    """*value* as plain data in which a path is told from what else there is."""
    kind = type(value)
    if isinstance(value, Path) and value.is_relative_to(tmp):
        name = os.path.normpath(value.relative_to(tmp))
        if name == ".." or name.startswith("../"):
            raise Unstorable(type_name(kind), where, f"{value} is not inside {tmp}")
        try:
            _add(name, tmp, entries, where)
        except OSError as error:
            raise Unstorable(type_name(kind), where, f"{value} cannot be read: {error.strerror}") from error
        return (_PATH, os.fsencode(name))
    if kind is dict:
        return ("dict", [(key, _shape(item, tmp, entries, where + place_of(key))) for key, item in value.items()])
    if kind in (list, tuple):
        items = [_shape(item, tmp, entries, f"{where}[{number}]") for number, item in enumerate(value)]
        return (kind.__name__, items)
    return (_ITEM, value)


def _unshape(shape: Any, folder: Path) -> Any:
    kind, content = shape
    if kind == _PATH:
        return folder / _safe(os.fsdecode(content))
    if kind == "dict":
        return {key: _unshape(item, folder) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_unshape(item, folder) for item in content]
        return items if kind == "list" else tuple(items)
    return content


def _add(name: str, tmp: Path, entries: dict[str, _Entry], where: str) -> None:
    """Enter the file or folder and the folders above it; of one behind a link, the link and what it leads to."""
    status = os.lstat(tmp / name)
    parts = name.split("/")
    for count in range(1, len(parts)):
        above = "/".join(parts[:count])
        its_status = os.lstat(tmp / above)
        _enter(above, its_status, tmp, entries, where)
        if stat.S_ISLNK(its_status.st_mode):
            place = os.path.join(os.path.dirname(above), os.readlink(tmp / above), *parts[count:])
            _add(os.path.normpath(place), tmp, entries, where)
            return
    _enter(name, status, tmp, entries, where)
    if stat.S_ISDIR(status.st_mode):
        for found in sorted(os.listdir(tmp / name)):
            _add(os.path.normpath(os.path.join(name, found)), tmp, entries, where)


def _enter(name: str, status: os.stat_result, tmp: Path, entries: dict[str, _Entry], where: str) -> None:
    mode = status.st_mode & 0o777
    if stat.S_ISREG(status.st_mode):
        entries[name] = _Entry(name, "file", mode, status.st_size)
    elif stat.S_ISDIR(status.st_mode):
        entries[name] = _Entry(name, "dir", mode)
    elif stat.S_ISLNK(status.st_mode):
        target = os.readlink(tmp / name)
        # Behind another link, `..` leads elsewhere than it reads.
        if not (_stays_inside(name, target) and Path(os.path.realpath(tmp / name)).is_relative_to(tmp.resolve())):
            raise Unstorable("Path", where, f"{name} is a link to {target}, outside of what is stored")
        entries[name] = _Entry(name, "link", 0, 0, target)
    else:
        raise Unstorable("Path", where, f"{name} is neither a file nor a folder nor a link")


def _stays_inside(name: str, target: str) -> bool:
    if os.path.isabs(target):
        return False
    reached = os.path.normpath(os.path.join(os.path.dirname(name), target))
    return reached != ".." and not reached.startswith("../")


class _Tree:
    """The head, then the contents of the files in order."""

    def __init__(self, head: bytes, tmp: Path, entries: list[_Entry]) -> None:
        self.head = head
        self.tmp = tmp
        self.entries = entries

    def __iter__(self) -> Iterator[Buffer]:
        yield self.head
        for entry in self.entries:
            if entry.kind == "file" and entry.size:
                yield from self._content(entry)

    def _content(self, entry: _Entry) -> Iterator[bytes]:
        left = entry.size
        try:
            fd = os.open(self.tmp / entry.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                while left and (piece := os.read(fd, min(left, _CHUNK))):
                    left -= len(piece)
                    yield piece
            finally:
                os.close(fd)
        except OSError as error:
            raise Unstorable("Path", "", f"{entry.name} cannot be read: {error.strerror}") from error
        if left:
            raise Unstorable("Path", "", f"{entry.name} changed while it was being stored")


def _safe(name: str) -> str:
    """*name*, checked to lead nowhere but below the folder it is joined to."""
    if os.path.isabs(name) or "\0" in name or ".." in name.split("/"):
        raise ValueError(f"{name!r} leads outside")
    return name


def _write_tree(folder: Path, entries: list[_Entry], data: memoryview) -> None:
    position = 0
    folders, links = [], []
    for entry in entries:
        path = folder / _safe(entry.name)
        if entry.kind == "dir":
            folders.append((path, entry.mode))
            os.makedirs(path, mode=0o700, exist_ok=True)
        elif entry.kind == "link":
            if not _stays_inside(entry.name, entry.target):
                raise ValueError(f"{entry.name!r} links outside")
            links.append((path, entry.target))
        else:
            _write_file(path, data[position : position + entry.size], entry.mode & 0o777)
            position += entry.size
    # Links come last, so that nothing is written through one; modes after that, so that nothing is in the way.
    for path, target in links:
        os.symlink(target, path)
    for path, mode in reversed(folders):
        os.chmod(path, mode & 0o777 | 0o700)


def _write_file(path: Path, data: memoryview, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        written = 0
        while written < len(data):
            written += os.write(fd, data[written : written + (1 << 30)])
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
