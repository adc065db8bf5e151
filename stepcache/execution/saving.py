"""The files that `save_to=` asks for, kept as they should be.

What was written is remembered with the digest of the value and of the file's content. A file that has that content is
stepcache's own and may be written over; one that was edited, or that somebody else wrote, is left alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from errno import EISDIR
from typing import IO, Any, Literal

from attrs import field

from stepcache.errors import ValueGone
from stepcache.graph.saved import SavePath
from stepcache.key.files import FileDigests, Memo
from stepcache.model import NodeReport
from stepcache.records import define, frozen

Export = Callable[[Any, str, IO[bytes]], None]

_KIND = "saved"
_DRAFT = ".stepcache-"


@frozen
class Written:
    """What is remembered of a file that was written: the digests of the value and of the content."""

    value: str
    content: str


@define
class Saves:
    """Saves the values of a run's nodes.

    `paths` are the nodes that have somewhere to save to, `load` gives a node's value, `memo` remembers what was
    written (None: nothing does). `force` writes over whatever is there. `failures` are what went wrong, `warnings`
    the files that were left alone, `gone` the nodes whose values have to be made again first; `files` are all files
    that this run's answer rests on.
    """

    paths: Mapping[str, SavePath]
    root: str
    load: Callable[[str], Any]
    export: Export
    digests: FileDigests
    memo: Memo | None = None
    force: bool = False
    failures: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)
    gone: list[str] = field(factory=list)
    files: list[str] = field(factory=list)

    def after(self, row: NodeReport) -> None:
        """Save the node's value, if it is to be saved and the file is not as it should be."""
        place = self.paths.get(row.id)
        if place is None or row.outcome not in ("ran", "cached"):
            return
        path = os.path.realpath(place.with_key(row.key or "unkeyed"))
        self.files.append(path)
        value = row.value.digest if row.value is not None else ""
        try:
            self._settle(row.id, path, value)
        except ValueGone:
            self.gone.append(row.id)
        except Exception as error:  # noqa: BLE001 - the library that writes the format may raise anything
            self.failures.append(f"{row.id}: its value is not saved to {self._shown(path)}: {self._told(error)}")

    def _settle(self, node: str, path: str, value: str) -> None:
        written = self._recall(path)
        state = self._state(path, written)
        if state == "ours" and written is not None and value and written.value == value:
            return
        if state in ("absent", "ours") or self.force:
            self._write(node, path, value)
            return
        if written is None or written.value != value:
            draft = self._draft(node, path)  # it may be what would be written all the same
            same = self.digests.content(draft) == self.digests.content(path)
            os.unlink(draft)
            if same:
                self._remember(path, value)
                return
        if written is not None:
            what = "was edited after it was saved"
        elif self.memo is None:
            what = "is there, and without the cache it cannot be told whether it was edited"
        else:
            what = "is there, and stepcache did not write it"
        self.warnings.append(
            f"{node}: {self._shown(path)} {what}: it is left as it is (--force-save writes the value over it)"
        )

    def _state(self, path: str, written: Written | None) -> Literal["absent", "ours", "other"]:
        if not os.path.lexists(path):
            return "absent"
        if os.path.isdir(path):
            raise IsADirectoryError(EISDIR, "there is a folder of that name")
        return "ours" if written is not None and self.digests.content(path) == written.content else "other"

    def _write(self, node: str, path: str, value: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        draft = self._draft(node, path)
        try:
            if os.path.exists(path):
                os.chmod(draft, os.stat(path).st_mode & 0o777)
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
        self._remember(path, value)

    def _draft(self, node: str, path: str) -> str:
        """The value as a file beside *path*, not yet in its place."""
        found = self.load(node)
        folder, name = os.path.split(path)
        draft = os.path.join(folder, f"{_DRAFT}{os.getpid()}-{os.urandom(4).hex()}{os.path.splitext(name)[1]}")
        try:
            with open(draft, "xb") as stream:
                self.export(found, os.path.splitext(name)[1], stream)
        except BaseException:
            if os.path.lexists(draft):
                os.unlink(draft)
            raise
        return draft

    def _recall(self, path: str) -> Written | None:
        data = self.memo.get(_KIND, os.fsencode(path)) if self.memo is not None else None
        return Written(**json.loads(data)) if data is not None else None

    def _remember(self, path: str, value: str) -> None:
        if self.memo is not None:
            written = {"value": value, "content": self.digests.content(path)}
            self.memo.put(_KIND, os.fsencode(path), json.dumps(written).encode())

    def _told(self, error: Exception) -> str:
        if isinstance(error, OSError) and error.strerror:
            place = error.filename2 or error.filename
            ours = not place or os.path.basename(place).startswith(_DRAFT)
            return error.strerror if ours else f"{error.strerror}: {self._shown(place)}"
        return str(error) or type(error).__name__

    def _shown(self, path: str) -> str:
        inside = os.path.relpath(path, os.path.realpath(self.root))
        return path if inside.startswith("..") else inside
