"""Arguments in, exit status out."""

from __future__ import annotations

import gc
import os
import sys

from stepcache import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION = {("--version",), ("-V",)}


def console_main() -> None:
    """The `stepcache` command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # its descriptor is closed, and no file of ours should get that number
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it stays open
    status = 0
    try:
        status = main()
        if not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        from stepcache.report.outlet import complain, drop

        drop(sys.stdout.fileno())  # Python's own flush at exit would complain again
        if not isinstance(error, BrokenPipeError):
            complain(f"ERROR: the report cannot be written: {error.strerror}\n")
            status = status or 4
    gc.freeze()  # at exit Python would look for garbage among all that goes with the process: a tenth of its time
    sys.exit(status)


def main(args: Sequence[str | os.PathLike[str]] | None = None, plugins: Sequence[object] | None = None) -> int:
    """What the command runs; *args* are its arguments, those of the process by default. Returns the exit status."""
    arguments = tuple(os.fspath(each) for each in (sys.argv[1:] if args is None else args))
    if arguments in _VERSION:
        sys.stdout.write(f"stepcache {__version__}\n")
        return 0
    try:
        from stepcache.stamp import ask, told

        asked = None if plugins else ask("command", arguments, {})
        status = told(asked) if asked is not None else None
        if status is not None:
            return status
        from stepcache.garbage import growing

        with growing():
            from stepcache.command import command

        return command(arguments, tuple(plugins or ()), asked)
    except KeyboardInterrupt:
        sys.stderr.write("\n! interrupted !\n")
        return 2
