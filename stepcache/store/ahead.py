"""Entries read before they are asked for: those that one run made lie side by side, and the next asks for them in turn.

Finding one row by its key costs as much as checking and decoding it, half of that for the locks around each read.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepcache.store.database import Row
    from stepcache.store.ledger import Ledger

# What was read longer ago is read again: another process may have changed it.
_SECONDS = 0.1
_MOST = 64
_MOST_HELD = 4 * _MOST
# Of more rows than these, fewer than a quarter would be asked for.
_NEAR = 4
# The runs that made what is asked for: so many places to go on from.
_PLACES = 4
# Longer rows take more time than finding them does.
_LONGEST = 4096
# All rows under each of the keys that follow on a row.
_FOLLOWING = f"""
SELECT traces.id, traces.variant, traces.frame, traces.key
FROM traces AS following CROSS JOIN traces ON traces.key = following.key
WHERE following.id > ? AND following.id <= ? AND length(following.frame) <= {_LONGEST}
"""


class Ahead:
    """The rows that were read ahead, by key. Whoever uses it holds the lock of the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rows: dict[bytes, tuple[float, list[Row]]] = {}
        self._changes = 0
        self._asked = 0
        self._places: deque[int] = deque(maxlen=_PLACES)

    def take(self, key: bytes) -> list[Row] | None:
        """The rows under *key* (id, variant, frame), once; None if they were not read just now."""
        held = self._rows.pop(key, None)
        if held is None:
            return None
        if self._changes != self._ledger.database.changes:
            self._rows.clear()
            return None
        until, rows = held
        return rows if time.monotonic() < until else None

    def drop(self, key: bytes) -> None:
        """Read the rows under *key* anew."""
        self._rows.pop(key, None)

    def read_on(self, found: Sequence[Row]) -> None:
        """Read what follows on the rows that were asked for, where these follow on earlier ones."""
        self._asked += 1
        if not found:
            return
        place = found[0][0]
        before = next((each for each in self._places if 0 < place - each <= _NEAR), None)
        if before is None:
            self._places.append(place)
            return
        self._places.remove(before)
        changes = self._ledger.database.changes
        if len(self._rows) > _MOST_HELD or self._changes != changes:
            self._rows.clear()
        self._changes = changes
        # No more than were asked for so far: a run of few steps is not to read the entries of many.
        end = place + min(_MOST, self._asked)
        until, read = time.monotonic() + _SECONDS, self._rows
        for row in self._ledger.rows(_FOLLOWING, (place, end)):
            held = read.get(row[3])
            if held is None or held[0] != until:
                read[row[3]] = (until, [row])
            elif row not in held[1]:
                held[1].append(row)
        self._places.append(end)
