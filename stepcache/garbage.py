"""When Python looks for garbage: not among what a run makes to keep, of which a large project has millions of objects.

A step's own garbage is looked for as always while it runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_set_aside = False


@contextmanager
def growing() -> Iterator[None]:
    """While open, Python does not look for garbage: much is made, all of it is kept, and each look costs more.

    Inside `grown`, what was made is set aside afterwards.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if _set_aside:
            gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def grown() -> Iterator[None]:
    """While open, Python looks for garbage among what is made from now on, and not in what there is already."""
    global _set_aside
    if gc.get_freeze_count():  # somebody else's
        yield
        return
    gc.freeze()
    _set_aside = True
    try:
        yield
    finally:
        _set_aside = False
        gc.unfreeze()
