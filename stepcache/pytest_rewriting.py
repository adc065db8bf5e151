"""pytest's assertion rewriting for project modules.

pytest has no public name for what rewrites a module. But the loader of any module that was registered for rewriting is
just that, and a loader runs what the spec of a module names: so the one of a module registered here is lent to ours.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import sys
from importlib.util import cache_from_source
from types import ModuleType

import pytest

from stepcache.collect.load import Executes
from stepcache.records import frozen

_REGISTERED = "stepcache.pytest_registered"


@frozen
class _FromSource:
    """Runs modules with pytest's loader, whose bytecode files are no better than Python's: stamp and size decide."""

    loader: Executes

    def exec_module(self, module: ModuleType) -> None:
        path = module.__file__ or ""
        stem = os.path.splitext(os.path.basename(path))[0]
        start = os.path.join(os.path.dirname(cache_from_source(path)), stem)
        for each in glob.glob(f"{glob.escape(start)}.*-pytest-*"):
            with contextlib.suppress(OSError):
                os.unlink(each)
        self.loader.exec_module(module)


def rewriter() -> Executes | None:
    """The loader that rewrites assertions; None where pytest does not, as under `--assert=plain`."""
    if _REGISTERED not in sys.modules:
        pytest.register_assert_rewrite(_REGISTERED)
    spec = importlib.import_module(_REGISTERED).__spec__
    loader = spec.loader if spec is not None else None
    rewrites = getattr(loader, "exec_module", None) is not None and hasattr(loader, "find_spec")
    return _FromSource(loader) if rewrites else None  # type: ignore[arg-type]
