"""Values that are not kept: those of a run with the cache off, and those that the cache could not take.

They go the same way as stored ones, through bytes, so that a node is given its own copy in every mode. Small ones
stay in memory, large ones in a private temporary folder; all are gone when the run is over.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from stepcache.errors import ValueGone
from stepcache.model import Value
from stepcache.store.content import Content, inline_data, inlined, measured
from stepcache.store.folder import write_all
from stepcache.store.objects import loaded, saved
from stepcache.store.parcel import Parcel
from stepcache.store.paths import NAME as PATHS
from stepcache.store.paths import PathCodec, holds_paths

if TYPE_CHECKING:
    from stepcache.store.registry import Codecs

# Smaller values stay in memory, and cross between processes as they are.
SMALL = 1 << 16
# Where the owner of a process's files is told by its id: somebody else.
_ANOTHER = -1


class Scratch:
    """Values for as long as this object is open. It needs no sealing key."""

    def __init__(self, codecs: Codecs, *, formats: str = "any") -> None:
        self.codecs = codecs
        self.formats = formats
        self._folder: str | None = None
        self._owner = os.getpid()
        self._lock = RLock()
        self._held: dict[str, bytes | str] = {}
        self._given = 0
        self._lends = False
        self._folders: list[str] = []
        self._taken_over: list[str] = []
        self._paths = PathCodec(self._path_folder)

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        """*value* as bytes. Raises Unstorable."""
        if tmp is not None and codec is None and holds_paths(value, tmp):
            return measured(PATHS, self._paths.encode(value, tmp))
        taken, encoded = self.codecs.encode(value, codec, self.formats)
        return measured(taken.name, encoded)

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        """The object that *data* is, a value of that digest or an element of one. Raises ValueGone."""
        codec = self._paths if codec_name == PATHS else self.codecs.by_name(codec_name)
        if codec is None or (self.formats == "safe" and not codec.safe):
            raise ValueGone(digest, "foreign")
        try:
            return codec.decode(data)
        except Exception as error:
            # A class that is gone or has changed: what can't be decoded is to be made again.
            raise ValueGone(digest, "damaged") from error

    def save(self, value: object, codec: str | None = None, *, tmp: Path | None = None) -> Value:
        """Keep *value*. Raises Unstorable."""
        return saved(value, codec, tmp, self)

    def keep(self, content: Content) -> Value:
        """Keep a value that is encoded already."""
        if (small := inlined(content)) is not None:
            return small
        with self._lock:
            if content.digest not in self._held:
                self._held[content.digest] = self._put(content)
        return Value(content.digest, content.codec, content.size, content.size, content.classes)

    def load(self, value: Value) -> object:
        """A fresh object. Raises ValueGone."""
        return loaded(value, self)

    def data(self, value: Value) -> memoryview:
        """The bytes of a value that has bytes of its own, writable and the caller's. Raises ValueGone."""
        if value.inline is not None:
            return inline_data(value.inline)
        with self._lock:
            held = self._held.get(value.digest)
        if held is None:
            raise ValueGone(value.digest, "evicted")
        if isinstance(held, bytes):
            return memoryview(bytearray(held))
        try:
            return _mapped(held)
        except OSError as error:
            with self._lock:
                self._held.pop(value.digest, None)
            raise ValueGone(value.digest, "evicted") from error

    def kept(self, digest: str) -> bytes | None:
        """The bytes that are kept under *digest*; None where there are none, or none any more."""
        with self._lock:
            held = self._held.get(digest)
        if held is None or isinstance(held, bytes):
            return held
        try:
            return bytes(_mapped(held))
        except OSError:
            return None

    def lay(self, digest: str, data: bytes) -> None:
        """Keep bytes that another process's scratch area gave as `kept`."""
        with self._lock:
            self._held[digest] = data

    def holds(self, digest: str) -> bool:
        """Whether a value of that digest, with bytes of its own, is kept here."""
        return digest in self._held

    def parcel(self, value: Value) -> Parcel | None:
        """A value that is kept here, for another process of the run; None if it is not."""
        with self._lock:
            held = self._held.get(value.digest)
        if held is None:
            return None
        return Parcel(value, data=held) if isinstance(held, bytes) else Parcel(value, path=held)

    def adopt(self, parcel: Parcel) -> None:
        """Keep a value that another process of the run sent; a file of its stays where it is."""
        held = parcel.data if parcel.data is not None else parcel.path
        assert held is not None
        with self._lock:
            self._held.setdefault(parcel.value.digest, held)

    def drop(self, digest: str) -> None:
        """Forget a value; its file stays."""
        with self._lock:
            self._held.pop(digest, None)

    def pack(self, content: Content) -> Parcel:
        """A value for another process of the run: its bytes if they are few, else a file of them."""
        value = Value(content.digest, content.codec, content.size, content.size, content.classes)
        put = self._put(content)
        if isinstance(put, bytes):
            return Parcel(value, content.hash, data=put)
        return Parcel(value, content.hash, path=put)

    def live_in(self, folder: str) -> None:
        """Keep all files below *folder*, which somebody else removes."""
        self._folder, self._owner = folder, _ANOTHER
        self._folders.append(folder)

    def fresh_folder(self) -> Path:
        """An empty private folder that lasts as long as this object is open."""
        with self._lock:
            if self._folder is None:
                import tempfile

                self._folder = os.path.realpath(tempfile.mkdtemp(prefix="stepcache-"))
                self._folders.append(self._folder)
            self._given += 1
            folder = os.path.join(self._folder, f"{os.getpid()}-{self._given}")
        os.mkdir(folder, 0o700)
        return Path(folder)

    def folders(self) -> tuple[str, ...]:
        """The folders made so far, in which values and the files of returned paths lie."""
        return tuple(self._folders)

    def take_over(self, folder: Path) -> None:
        """Remove a folder of a step's when this object is closed: its value, which is handed on, may name it.

        It is handed on by the process that removes what lies here, and by no other.
        """
        if self._owner == _ANOTHER:
            _remove(str(folder), os.getpid())
            return
        with self._lock:
            self._taken_over.append(str(folder))

    def lend(self) -> None:
        """Let the paths of values loaded from now on outlive this object: their files stay until the process ends."""
        self._lends = True

    def _path_folder(self) -> Path:
        if not self._lends:
            return self.fresh_folder()
        import atexit
        import tempfile

        folder = os.path.realpath(tempfile.mkdtemp(prefix="stepcache-"))
        atexit.register(_remove, folder, os.getpid())
        self._folders.append(folder)
        return Path(folder)

    def close(self) -> None:
        """Remove all that was kept. A forked child leaves its parent's files alone."""
        with self._lock:
            self._held.clear()
            folders, self._taken_over = self._taken_over, []
            folders += [] if self._folder is None else [self._folder]
            self._folder = None
        for folder in folders:
            _remove(folder, self._owner)

    def _put(self, content: Content) -> bytes | str:
        if content.size >= SMALL:
            try:
                return self._write(content)
            except OSError:
                # The temporary folder is full or cannot be written: memory is all there is.
                return b"".join(content.parts)
        return b"".join(content.parts)

    def _write(self, content: Content) -> str:
        path = os.path.join(self.fresh_folder(), "value")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            for part in content.parts:
                write_all(fd, memoryview(part))
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return path


def _remove(folder: str, owner: int) -> None:
    """Remove a folder, unless this is a forked child of its owner."""
    if os.getpid() == owner:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def _mapped(path: str) -> memoryview:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_COPY))
    finally:
        os.close(fd)
