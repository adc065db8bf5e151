"""Skipping the running node, and what stepcache warns of while it runs."""

from __future__ import annotations

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
