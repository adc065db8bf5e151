"""Skipping the running node, and what stepcache warns of while it runs."""

from __future__ import annotations

import sys
from typing import NoReturn


class StepcacheWarning(UserWarning):
    """What stepcache warns of while a step runs."""


class Skipped(BaseException):
    """Raised by `skip`. Not an `Exception`, so that a step's own handlers do not swallow it."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def skip(reason: str = "") -> NoReturn:
    """Skip the running node, and with it all that needs its value."""
    raise Skipped(reason)


def skip_reason(error: BaseException) -> str | None:
    """Why *error* skips: it is what `skip` raises, or pytest's or unittest's. None where it does not."""
    if isinstance(error, Skipped):
        return error.reason
    pytest, unittest = sys.modules.get("pytest"), sys.modules.get("unittest")
    foreign = (getattr(getattr(pytest, "skip", None), "Exception", None), getattr(unittest, "SkipTest", None))
    return str(error) if any(isinstance(each, type) and isinstance(error, each) for each in foreign) else None
