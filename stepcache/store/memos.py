"""Small facts that can be derived again (source tables, file digests), sealed as all else is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepcache.store.frame import MEMO, Damaged, Foreign
from stepcache.store.rows import opened, sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepcache.store.ledger import Ledger

_LONG = 4096
_AT_ONCE = 500
# Those not used for long are dropped, so one that is used is written again once a week.
_RENEWED_SECONDS = 7 * 24 * 3600


class Memos:
    """The memos of one cache folder, and what was remembered in this process."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[bytes, bytes] = {}
        self._unwritten: dict[bytes, bytes] = {}

    def get(self, kind: str, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """What is known under *names*, by name."""
        ledger, found = self._ledger, {}
        wanted: dict[bytes, bytes] = {}
        for name in names:
            stored_name = self._name(kind, name)
            if (data := self._known.get(stored_name)) is not None:
                found[name] = data
            else:
                wanted[stored_name] = name
        stored_names = list(wanted)
        for start in range(0, len(stored_names), _AT_ONCE):
            some = stored_names[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            for stored_name, used, row in ledger.rows(
                f"SELECT name, used, frame FROM memos WHERE name IN ({marks})", tuple(some)
            ):
                if stored_name not in wanted or (memo := self._opened(stored_name, row)) is None:
                    continue
                found[wanted[stored_name]] = memo
                if not isinstance(used, int) or time.time() - used > _RENEWED_SECONDS:
                    self._write(stored_name, row)
        return found

    def put(self, kind: str, name: bytes, data: bytes, *, packed: bool = False) -> None:
        """Remember *data* under *name*; it is *packed* already, or is when it is long."""
        stored_name = self._name(kind, name)
        if self._ledger.readonly:
            self._unwritten[stored_name] = data
        self._enter(stored_name, data, len(data) if packed else _LONG)

    def take_unwritten(self) -> dict[bytes, bytes]:
        """What was remembered here since the last time and could not be written, for a process that can write it."""
        taken, self._unwritten = self._unwritten, {}
        return taken

    def enter(self, unwritten: Mapping[bytes, bytes]) -> None:
        """Write what another process of this run, with the same sealing key, remembered."""
        for stored_name, data in unwritten.items():
            self._enter(stored_name, data, _LONG)

    def _enter(self, stored_name: bytes, data: bytes, long: int) -> None:
        if len(data) <= _LONG:  # of the others, who made them holds what they are of
            self._known[stored_name] = data
        if not self._ledger.readonly:
            self._write(stored_name, sealed(MEMO, stored_name, data, self._ledger.seal, long=long))

    def _name(self, kind: str, name: bytes) -> bytes:
        return self._ledger.seal.name(kind.encode(), name)

    def _write(self, stored_name: bytes, row: bytes) -> None:
        ledger = self._ledger
        with ledger.lock:
            ledger.batch.memos[stored_name] = row
            ledger.added(len(row))

    def _opened(self, stored_name: bytes, row: object) -> bytes | None:
        """The memo in a row, None if it is damaged: it is derived again and written over."""
        try:
            return opened(row, MEMO, stored_name, self._ledger.seal)
        except Damaged:
            self._ledger.suspect()
            return None
        except Foreign:
            return None
