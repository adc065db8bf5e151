"""Installed distributions, read from their metadata files: nothing is imported, and only what is asked for is read."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

from stepcache.digest import digest, digest_all
from stepcache.key.files import stamp_of
from stepcache.records import frozen

_SEPARATORS = re.compile(r"[-_.]+")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
_EXTRA = re.compile(r"\bextra\s*==")
_INFO_ENDINGS = (".dist-info", ".egg-info")
# Distributions that are called otherwise than their packages: where to look first, so that not all records are read.
_CALLED = {
    "_cffi_backend": "cffi", "_distutils_hack": "setuptools", "_yaml": "pyyaml", "attr": "attrs",
    "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil", "google": "protobuf",
    "mpl_toolkits": "matplotlib", "OpenSSL": "pyopenssl", "PIL": "pillow", "pkg_resources": "setuptools",
    "pylab": "matplotlib", "skimage": "scikit-image", "sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml",
}  # fmt: skip

# Folders of distributions, and what was read there: {folder: (its stamp, {normal name: metadata folder})}.
_folders: dict[str, tuple[int, dict[str, str]]] = {}
_read: dict[str, tuple[tuple[int, int], Distribution, bool]] = {}
_records: dict[str, Record] = {}
# By folder and package, the distribution that the last file looked up there was of.
_owners: dict[tuple[str, str], str] = {}


@frozen
class Distribution:
    """An installed distribution. `build` tells two installations of one version apart; `requires` are normal names."""

    name: str
    version: str
    build: str
    requires: tuple[str, ...] = ()


class Record:
    """What a distribution's RECORD says: its bytes, by its stamp."""

    def __init__(self, stamp: tuple[int, int], content: bytes) -> None:
        self.stamp = stamp
        self.content = content
        self._files: frozenset[bytes] | None = None

    def names(self, path: bytes) -> bool:
        """Is *path* the first field of a row, which may stand in quotes?"""
        if self._files is None:
            if path not in self.content:  # most are asked for a file of another distribution only
                return False
            self._files = frozenset(
                row[1:].partition(b'"')[0] if row.startswith(b'"') else row.partition(b",")[0]
                for row in self.content.splitlines()
            )
        return path in self._files


def normal_name(name: str) -> str:
    """The name as package indexes compare it."""
    return _SEPARATORS.sub("-", name).lower()


def closure_of(distribution: Distribution) -> tuple[Distribution, ...]:
    """The distribution and, below it, its installed requirements (not those of extras), by name."""
    found = {normal_name(distribution.name): distribution}
    todo = list(distribution.requires)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        one = named(name)
        if one is not None:
            found[name] = one
            todo += one.requires
    return tuple(found[name] for name in sorted(found))


def named(name: str) -> Distribution | None:
    """The installed distribution of that name."""
    wanted = normal_name(name)
    for entry in sys.path:
        info = _infos(entry or os.getcwd()).get(wanted)
        if info is not None:
            return _distribution(info)
    return None


def owner(folder: str, relative: str) -> Distribution | None:
    """The distribution whose record names the file *relative* to *folder*."""
    info = owning(folder, relative)
    return None if info is None else _distribution(info)


def owning(folder: str, relative: str) -> str | None:
    """The metadata folder of the distribution whose record names the file *relative* to *folder*."""
    infos = _infos(folder)
    top = relative.split("/", 1)[0].removesuffix(".py")
    # What owned the last file of that package most likely owns this one; else the one that is called as the package is,
    # or is known to be called otherwise.
    first = infos.get(_owners.get((folder, top)) or _CALLED.get(top) or normal_name(top))
    if first is not None and _owns(first, relative, top):
        return first
    for name, info in infos.items():
        if info != first and _owns(info, relative, top):
            _owners[folder, top] = name
            return info
    return None


def _infos(folder: str) -> dict[str, str]:
    """The metadata folders in *folder*, by the normal name of their distribution."""
    status = stamp_of(folder)
    if status is None:
        return {}
    stamp = status[1][1]
    known = _folders.get(folder)
    if known is not None and known[0] == stamp:
        return known[1]
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_INFO_ENDINGS))
    except OSError:
        names = []
    found = {normal_name(name.rpartition(".")[0].split("-")[0]): os.path.join(folder, name) for name in names}
    _folders[folder] = (stamp, found)
    return found


def _owns(info: str, relative: str, top: str) -> bool:
    record = _record(info)
    if record is not None:
        return record.names(relative.encode())
    if not os.path.basename(os.path.dirname(info)).endswith("-packages"):
        # An .egg-info folder beside sources is that of an editable install: project code.
        return False
    names = _text(os.path.join(info, "top_level.txt"))
    return top in names.split() if names is not None else normal_name(top) == _name_in(info)


def _name_in(info: str) -> str:
    return normal_name(os.path.basename(info).rpartition(".")[0].split("-")[0])


def _record(info: str) -> Record | None:
    path = os.path.join(info, "RECORD")
    status = stamp_of(path)
    if status is None:
        return None
    stamp = (status[1][1], status[1][0])
    known = _records.get(path)
    if known is None or known.stamp != stamp:
        try:
            with open(path, "rb") as file:
                known = _records[path] = Record(stamp, file.read())
        except OSError:
            return None
    return known


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _distribution(info: str) -> Distribution:
    """What the metadata folder says."""
    record = _record(info)
    stamp = record.stamp if record is not None else (0, 0)
    known = _read.get(info)
    if known is not None and known[0] == stamp and not known[2]:
        return known[1]
    text = next((t for t in map(_text, _metadata_files(info)) if t is not None), "")
    name, version, requires = _name_in(info), "", []
    for line in text.split("\n\n", 1)[0].splitlines():
        field, _, value = line.partition(":")
        field, value = field.lower(), value.strip()
        if field == "name":
            name = value
        elif field == "version":
            version = value
        elif field == "requires-dist" and not _EXTRA.search(value):
            match = _REQUIREMENT.match(value)
            if match:
                requires.append(normal_name(match.group(1)))
    made = Distribution(name, version, _build(info, record), tuple(sorted(set(requires))))
    _read[info] = (stamp, made, _unhashed(record))
    return made


def _metadata_files(info: str) -> Iterator[str]:
    yield os.path.join(info, "METADATA")
    yield os.path.join(info, "PKG-INFO")
    yield info


def _unhashed(record: Record | None) -> bool:
    """Does the record name code whose hash it does not tell?"""
    return record is not None and any(row.endswith((b".py,,", b".so,,")) for row in record.content.splitlines())


def _build(info: str, record: Record | None) -> str:
    """Digest of the hashes that the record gives; of the content of files for which it gives none."""
    if record is None:
        return ""
    folder, own = os.path.split(info)
    rows = []
    for row in record.content.decode("utf-8", "replace").splitlines():
        path, _, rest = row.partition(",") if not row.startswith('"') else row[1:].partition('",')
        if path.startswith((own + "/", "../", "/")) or path.endswith((".pyc", ".pth")):
            continue
        if rest.startswith("sha") or not path:
            rows.append(row)
        else:
            rows.append(path + content_digest(os.path.join(folder, path)))
    return digest_all("build", sorted(rows))


def looked_at() -> Iterator[str]:
    """The files that what was told of distributions rests on: their metadata, and code whose hash no record gives."""
    yield from _records
    for info, (_, _, unhashed) in _read.items():
        yield from (os.path.join(info, name) for name in ("RECORD", "METADATA", "PKG-INFO", "top_level.txt"))
        record = _records.get(os.path.join(info, "RECORD"))
        for row in record.content.splitlines() if unhashed and record is not None else ():
            if row.endswith(b",,"):
                yield os.path.join(os.path.dirname(info), os.fsdecode(row[:-2].strip(b'"')))


def content_digest(path: str) -> str:
    """Digest of a file's bytes; "absent" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return digest("content", file.read())
    except OSError:
        return "absent"
