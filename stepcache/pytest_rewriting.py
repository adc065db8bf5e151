"""pytest's assertion rewriting for project modules.

pytest has no public name for what rewrites a module. But the loader of any module that was registered for rewriting is
just that, and a loader runs what the spec of a module names: so the one of a module registered here is lent to ours.
"""

from __future__ import annotations

import importlib
import sys

import pytest

from stepcache.collect.load import Executes

_REGISTERED = "stepcache.pytest_registered"


def rewriter() -> Executes | None:
    """The loader that rewrites assertions; None where pytest does not, as under `--assert=plain`."""
    if _REGISTERED not in sys.modules:
        pytest.register_assert_rewrite(_REGISTERED)
    spec = importlib.import_module(_REGISTERED).__spec__
    loader = spec.loader if spec is not None else None
    rewrites = getattr(loader, "exec_module", None) is not None and hasattr(loader, "find_spec")
    return loader if rewrites else None
