"""Arguments in, exit status out."""

from __future__ import annotations

import os
import sys

from stepcache import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = {("--version",), ("-V",)}


def console_main() -> None:
    """The `stepcache` command."""
    status = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone: keep Python's own flush at exit from complaining of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def main(args: Sequence[str | os.PathLike[str]] | None = None, plugins: Sequence[object] | None = None) -> int:
    """What the command runs; *args* are its arguments, those of the process by default. Returns the exit status."""
    arguments = tuple(os.fspath(each) for each in (sys.argv[1:] if args is None else args))
    if arguments in _VERSION:
        sys.stdout.write(f"stepcache {__version__}\n")
        return 0
    from stepcache.stamp import ask, told

    asked = None if plugins else ask("command", arguments, {})
    status = told(asked) if asked is not None else None
    if status is not None:
        return status
    from stepcache.command import command

    return command(arguments, tuple(plugins or ()), asked)
