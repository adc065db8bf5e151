"""Checks as items of pytest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from stepcache.model import Node

_STEPCACHE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class CheckItem(pytest.Item):
    """One check node; *run* is called with the item and the node, and raises what the body raises."""

    def __init__(self, *, check: Node, run: Callable[[pytest.Item, Node], object], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        self._run = run

    def runtest(self) -> None:
        """Run it."""
        __tracebackhide__ = True
        self._run(self, self.check)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where it is defined, and what the separator above its failure says."""
        source = self.check.definition.source
        return Path(source.path), source.line - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """From the check's own frame on, in the style of `--tb`."""
        chosen = self.config.getoption("tbstyle", "auto") if style is None else style
        return failure_repr(excinfo, self.config, self.check.definition.source.path, chosen)


def failure_repr(excinfo: pytest.ExceptionInfo[BaseException], config: pytest.Config, path: str, style: str) -> Any:
    """The failure as pytest tells it, from the first frame in the file at *path* on."""
    known: Literal["long", "short", "line", "no", "native", "value"] = "long" if style == "auto" else style  # type: ignore[assignment]
    return excinfo.getrepr(
        style=known,
        funcargs=True,
        showlocals=bool(config.getoption("showlocals", False)),
        tbfilter=lambda found: _own_frames(found, path, style == "auto"),
        truncate_locals=config.get_verbosity() < 2,
    )


def _own_frames(excinfo: pytest.ExceptionInfo[BaseException], path: str, shortens: bool) -> Any:
    """The frames that are the user's business, those between the first and the last as one line each if *shortens*."""
    found = excinfo.traceback.cut(path=path)
    found = found.filter(lambda entry: not str(entry.path).startswith(_STEPCACHE)).filter(excinfo) or found
    if shortens and len(found) > 2:
        found = type(found)([found[0], *(entry.with_repr_style("short") for entry in found[1:-1]), found[-1]])
    return found
