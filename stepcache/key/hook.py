"""The audit hook. It cannot be taken out again: its table is empty while nothing is watched."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from stepcache.key.listen import caller, everyone, listening, tell
from stepcache.key.watch import PAUSED, Watch, current_watch

handlers: dict[str, Callable[[Any], None]] = {}


def _hook(event: str, args: Any) -> None:
    handler = handlers.get(event)
    if handler is not None:
        handler(args)


def _on_open(args: Any) -> None:
    path, _, flags = args
    current = current_watch.get()
    if current.__class__ is Watch:
        known = path.__class__ is str and current.open and current.known.get(path) == flags
        if known or current.opened_to_read(path, flags, sys._getframe(2)):
            return
    elif current is PAUSED:
        return
    tell("opened", path, flags, caller())


def _on_chdir(_: Any) -> None:
    for watch in everyone():
        watch.moved()


def _on_system(args: Any) -> None:
    tell("child", "/bin/sh", ("/bin/sh", "-c", args[0]), None, None, caller())


HANDLERS: dict[str, Callable[[Any], None]] = {
    "open": _on_open,
    "os.listdir": lambda a: tell("listed", a[0], caller()),
    "os.scandir": lambda a: tell("listed", a[0], caller()),
    "os.chdir": _on_chdir,
    "os.fchdir": _on_chdir,
    "os.remove": lambda a: tell("removed", a[0], a[1]),
    "os.rmdir": lambda a: tell("removed", a[0], a[1]),
    "os.truncate": lambda a: tell("removed", a[0], -1),
    "os.mkdir": lambda a: tell("folder_made", a[0], a[2]),
    "os.rename": lambda a: tell("renamed", a[0], a[1], caller(), (a[2], a[3])),
    "os.link": lambda a: tell("linked", a[0], a[1], a[3]),
    "os.symlink": lambda a: tell("linked", a[0], a[1], a[2]),
    "shutil.rmtree": lambda a: tell("tree_removed", a[0]),
    "sqlite3.connect": lambda a: tell("database", a[0], caller()),
    "ctypes.dlopen": lambda a: tell("loaded", a[0], caller()),
    "subprocess.Popen": lambda a: tell("child", *a, caller()),
    "os.posix_spawn": lambda a: tell("child", a[0], a[1], None, a[2], caller()),
    "os.exec": lambda a: tell("child", a[0], a[1], None, a[2], caller()),
    "os.spawn": lambda a: tell("child", a[1], a[2], None, a[3], caller()),
    "os.system": _on_system,
    "socket.connect": lambda a: tell("network", a[1], caller()),
    "socket.sendto": lambda a: tell("network", a[1], caller()),
    "socket.getaddrinfo": lambda a: tell("network", (a[0],), caller()),
    "exec": lambda a: tell("executed", a[0], caller()),
    "pickle.find_class": lambda a: tell("found", a[0]),
    "os.putenv": lambda a: tell("variable_set", a[0], caller()),
    "os.unsetenv": lambda a: tell("variable_set", a[0], caller()),
}


@functools.cache
def install_once() -> None:
    """Puts the hook in place, and has forked children report."""
    sys.addaudithook(_hook)
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)


def _before_fork() -> None:
    for watch in listening():
        watch.before_fork()


def _in_child() -> None:
    for watch in everyone():
        watch.in_child()
