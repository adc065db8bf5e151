"""What is loaded when there is little to do: slow modules come in only when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Example

SLOW = {
    "asyncio", "concurrent.futures", "http", "http.client", "importlib.metadata", "multiprocessing",
    "numpy", "pandas", "pytest", "rich", "ssl", "unittest", "xml", "zstandard",
}  # fmt: skip

RUN = """
import sys
from stepcache.cli import main
status = main(sys.argv[1:])
print("LOADED", *sys.modules)
sys.exit(status)
"""


def loaded(example: Example, *args: str) -> set[str]:
    last = example.python("-c", RUN, *args).splitlines()[-1].split()
    assert last[0] == "LOADED"
    return set(last[1:])


@pytest.mark.parametrize("example", ["hello"], indirect=True)
def test_the_version_is_told_without_loading_anything_slow(example: Example) -> None:
    assert loaded(example, "--version") & (SLOW | {"attr", "inspect", "pluggy", "sqlite3"}) == set()


@pytest.mark.parametrize("example", ["hello"], indirect=True)
def test_a_run_with_nothing_to_do_loads_nothing_slow(example: Example) -> None:
    example.run()
    assert loaded(example) & SLOW == set()


# What only some runs need: each costs all others a third of a millisecond of their start or more.
SELDOM = {
    "stepcache.chores", "stepcache.execution.batch", "stepcache.execution.crossing", "stepcache.execution.elements",
    "stepcache.execution.mapped", "stepcache.execution.mapper", "stepcache.execution.pool", "stepcache.expression",
    "stepcache.graph.convert", "stepcache.replaying", "stepcache.report.lists", "stepcache.report.traceback",
    "stepcache.store.evict", "stepcache.store.gc", "stepcache.store.inventory", "stepcache.store.mapped",
    "stepcache.store.salvage", "decimal", "difflib",
}  # fmt: skip


@pytest.mark.parametrize("example", ["hello"], indirect=True)
def test_a_run_loads_only_what_it_needs(example: Example) -> None:
    example.run()
    assert loaded(example, "--cache-refresh") & (SELDOM | SLOW) == set()
