"""A small cache with a result in it, and the question that follows every fault: is what it gives still right?"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepcache.errors import ValueGone
from stepcache.model import Ingredient, Trace
from stepcache.store import Codecs, Seal, Store, StoreSettings, open_store

CODECS = Codecs.builtin()


class Cache:
    """A cache folder, and what a run does with it."""

    seal = Seal(b"the key of these tests")

    def __init__(self, folder: Path, opened: list[Store] | None = None) -> None:
        self.folder = folder
        self.opened: list[Store] = [] if opened is None else opened

    def open(self, **settings: Any) -> Store:
        store = open_store(
            self.folder, project="/project", seal=self.seal, codecs=CODECS, settings=StoreSettings(**settings)
        )
        assert isinstance(store, Store), store
        self.opened.append(store)
        return store

    @staticmethod
    def value(number: int) -> Any:
        """What step *number* returns: a small value, or a large one that does not shrink, or one that does."""
        draw = random.Random(number)
        return ([number, "text" * 300, None], draw.randbytes(20_000), draw.choices(range(9), k=30_000))[number % 3]

    def ask(self, number: int, store: Store, node: str | None = None) -> tuple[str, Any]:
        """As a run does: "hit" or "ran", and the value that the next step is given."""
        key = f"{number:064x}"
        for trace in store.traces(key, ()):
            try:
                return "hit", store.load(trace.value)  # type: ignore[arg-type]
            except ValueGone:
                continue
        node = node or f"pipeline_x.py::step{number}"
        store.latest(node)
        for attempt in (1, 2):
            value = store.save(self.value(number))
            store.put(Trace(key, node, (Ingredient("code", "f", "0" * 64),), (), value, 1.0, time.time()))
            try:
                return "ran", store.load(value)
            except ValueGone:
                assert attempt == 1, "what was just made cannot be had, twice"
        raise AssertionError

    def check(self, *numbers: int) -> list[str]:
        """Ask for results in a run of its own: all must be right, and hits in the run after it."""
        outcomes = []
        for attempt in range(2):
            store = self.open()
            for number in numbers:
                outcome, value = self.ask(number, store)
                assert value == self.value(number), f"step {number} got another value"
                outcomes.append(outcome)
                assert attempt == 0 or outcome == "hit", f"step {number} runs again and again"
            store.close()
        return outcomes[: len(numbers)]

    def fill(self, *numbers: int) -> None:
        store = self.open()
        for number in numbers:
            assert self.ask(number, store)[0] == "ran"
        store.close()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def copy(self, to: Path) -> Cache:
        shutil.copytree(self.folder, to, symlinks=True)
        return Cache(to, self.opened)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    cache = Cache(tmp_path / "cache")
    yield cache
    for store in cache.opened:
        store.close()


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], int]:
    """Run something in a forked child; its exit status, or minus the signal that ended it."""

    def run(work: Callable[[], object]) -> int:
        child = os.fork()
        if child == 0:
            status = 99
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                work()
                status = 0
            except KeyboardInterrupt:
                status = 42
            except BaseException:  # noqa: BLE001 - the child must not go on as if it were the test run
                traceback.print_exc()
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run
