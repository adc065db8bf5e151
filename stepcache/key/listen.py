"""Who is listening: the open watches, and the one that what happens in this context belongs to.

Each event goes to the watch of the context that it happens in; where there is none (a thread that the step started has
none), it belongs to all that are open.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any

from stepcache.key.watch import PAUSED, Watch, current_watch

_watches: tuple[Watch, ...] = ()

# The code of wrappers that an audit event passes through on its way to the hook.
TRANSPARENT: set[CodeType] = set()


def add(watch: Watch) -> int:
    """Has *watch* listen; the number of those that do."""
    global _watches
    _watches = (*_watches, watch)
    return len(_watches)


def drop(watch: Watch) -> int:
    """Has *watch* listen no more; the number of those that do."""
    global _watches
    _watches = tuple(other for other in _watches if other is not watch)
    return len(_watches)


def everyone() -> tuple[Watch, ...]:
    return _watches


def listening() -> tuple[Watch, ...]:
    """The watches that what happens here belongs to."""
    current = current_watch.get()
    if current is None or not current.open:
        return _watches
    return (current,) if isinstance(current, Watch) else ()


def tell(name: str, *args: Any) -> None:
    """Calls that method of every watch that listens; what it does itself is not noted."""
    watches = listening()
    if not watches:
        return
    token = current_watch.set(PAUSED)
    try:
        for watch in watches:
            getattr(watch, name)(*args)
    finally:
        current_watch.reset(token)


def caller() -> FrameType:
    """The frame that raised the audit event which a handler (the caller's caller is the hook) is working on."""
    frame = sys._getframe(3)
    while frame.f_code in TRANSPARENT and frame.f_back:
        frame = frame.f_back
    return frame
