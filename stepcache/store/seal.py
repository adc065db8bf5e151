"""The sealing key: what tells entries that this user stored from any others.

It is made on first use in the user's configuration directory, or given by `STEPCACHE_KEY` or
`STEPCACHE_KEY_FILE`. It is never taken from a project's files, nor kept in the cache.

It is read before all else in every run, so nothing is imported here but what Python has built in: `hashlib` and `hmac`
give the same two functions, and load OpenSSL first.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from _blake2 import blake2b
from _operator import _compare_digest as compare_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST = 32  # as long as 128 random bits in hex digits
_LARGEST_FILE = 64 * 1024


class Seal:
    """The sealing key. `id` is 16 hex digits that name it and tell nothing of it."""

    __slots__ = ("_entry", "_name", "_secret", "id", "id_bytes")

    def __init__(self, text: bytes) -> None:
        key = blake2b(text, digest_size=32, person=b"stepcache-master").digest()
        self.id_bytes = blake2b(key=key, digest_size=8, person=b"stepcache-key-id").digest()
        self.id = self.id_bytes.hex()
        # A keyed hash that has taken its key is copied in a third of the time that making one takes.
        self._entry = blake2b(key=key, digest_size=32, person=b"stepcache-entry1")
        self._name = blake2b(key=key, digest_size=32, person=b"stepcache-name-1")
        self._secret = blake2b(key=key, digest_size=32, person=b"stepcache-secret")

    def seal(self, data: bytes) -> bytes:
        """The 32 bytes that prove *data* ours."""
        tag = self._entry.copy()
        tag.update(data)
        return tag.digest()

    def verify(self, data: bytes, tag: bytes | bytearray | memoryview) -> bool:
        """Whether *tag* was made from *data* with this key."""
        return compare_digest(self.seal(data), tag)

    def keyed(self, text: str | bytes) -> str:
        """The digest of a secret (64 hex digits), of no use to who has not the key."""
        digest = self._secret.copy()
        digest.update(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return digest.hexdigest()

    def name(self, kind: bytes, what: bytes) -> bytes:
        """The 32 bytes under which *what* is found: entries of several keys lie side by side in one folder."""
        digest = self._name.copy()
        digest.update(b"%d:%b" % (len(kind), kind))
        digest.update(what)
        return digest.digest()

    def __repr__(self) -> str:
        return f"Seal(id={self.id!r})"

    def __reduce__(self) -> str:
        raise TypeError("a sealing key is not to be pickled")


class NoSeal:
    """No key can be had; `reason` says why and what to do."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def load_seal(environ: Mapping[str, str]) -> Seal | NoSeal:
    """The key to seal with: the environment's, else the user's own, made if there is none."""
    if text := environ.get("STEPCACHE_KEY"):
        return _long_enough("STEPCACHE_KEY", text.encode("utf-8", "surrogateescape"))
    if path := environ.get("STEPCACHE_KEY_FILE"):
        return _given_key(path)
    folder = _configuration_folder(environ)
    if folder is None:
        return NoSeal("there is no home directory to keep the sealing key in; set STEPCACHE_KEY or STEPCACHE_KEY_FILE")
    path = os.path.join(folder, "key")
    try:
        return _own_key(path) or _new_key(path)
    except OSError as error:
        return NoSeal(f"the sealing key {path} cannot be had: {error.strerror or error}; {_OTHERWISE}")


_OTHERWISE = "set STEPCACHE_KEY or STEPCACHE_KEY_FILE to use another"


def _configuration_folder(environ: Mapping[str, str]) -> str | None:
    """platformdirs' user configuration directory, without importing it where the rule is plain."""
    if sys.platform in ("win32", "darwin"):
        from platformdirs import user_config_dir

        return user_config_dir("stepcache", appauthor=False)
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        home = environ.get("HOME") or os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, ".config")
    return os.path.join(base, "stepcache")


def _given_key(path: str) -> Seal | NoSeal:
    """The key in a file that the user names: a mounted secret may be a link, and belong to root."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return NoSeal(f"STEPCACHE_KEY_FILE={path} cannot be read: {error.strerror or error}")
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return NoSeal(f"STEPCACHE_KEY_FILE={path} is no file")
        if status.st_uid not in (0, os.geteuid()):
            return NoSeal(f"STEPCACHE_KEY_FILE={path} belongs to another user")
        if status.st_mode & 0o022:
            return NoSeal(f"STEPCACHE_KEY_FILE={path} can be written by others: chmod go-w {path}")
        text = os.read(fd, _LARGEST_FILE)
    except OSError as error:
        return NoSeal(f"STEPCACHE_KEY_FILE={path} cannot be read: {error.strerror or error}")
    finally:
        os.close(fd)
    return _long_enough(f"STEPCACHE_KEY_FILE={path}", text)


def _long_enough(what: str, text: bytes) -> Seal | NoSeal:
    """The key that was given, unless it could be guessed."""
    key = text.strip()
    if len(key) >= _SHORTEST:
        return Seal(key)
    told = f"has {len(key)} characters of {_SHORTEST} at least" if key else "is empty"
    return NoSeal(f'{what} {told}; python -c "import secrets; print(secrets.token_hex())" makes a key')


def _own_key(path: str) -> Seal | NoSeal | None:
    """The user's own key, None if there is none yet or what is there was cut short."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            return NoSeal(f"the sealing key {path} is a link; remove it, or {_OTHERWISE}")
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return NoSeal(f"the sealing key {path} is no file; remove it, or {_OTHERWISE}")
        if status.st_uid != os.geteuid():
            return NoSeal(f"the sealing key {path} belongs to another user; {_OTHERWISE}")
        if status.st_mode & 0o077:
            return NoSeal(f"the sealing key {path} is open to others: chmod 600 {path}, or {_OTHERWISE}")
        text = os.read(fd, _LARGEST_FILE).strip()
    finally:
        os.close(fd)
    return Seal(text) if len(text) >= _SHORTEST else None


def _new_key(path: str) -> Seal | NoSeal:
    """Make the user's key, or take the one that another process made at the same time."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = os.path.join(folder, f".key-{os.getpid()}-{os.urandom(8).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            os.fchmod(fd, 0o600)
            os.write(fd, os.urandom(32).hex().encode() + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)
        _place(temporary, path)
    finally:
        _unlink(temporary)
    key = _own_key(path)
    if key is None:
        raise OSError(errno.EIO, "it was cut short as it was written", path)
    return key


def _place(temporary: str, path: str) -> None:
    """Give *temporary* its name unless another process was first: a link never replaces a file, a rename does."""
    try:
        os.link(temporary, path, follow_symlinks=False)
        return
    except FileExistsError:
        if _own_key(path) is not None:
            return
    except OSError as error:
        # A file system without links.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        if _own_key(path) is not None:
            return
    os.rename(temporary, path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # renamed into place
