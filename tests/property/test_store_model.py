"""The store against a dict: whatever is done to it in whatever order, it gives what was put, or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from stepcache.errors import ValueGone
from stepcache.model import Ingredient, Observation, Trace
from stepcache.store import Codecs, Seal, Store, open_store

CODECS = Codecs.builtin()
SEAL = Seal(b"the key of these tests")
KEYS = [f"{number:064x}" for number in range(4)]
PROJECTS = ["/one", "/two"]
VALUES = [None, [1, 2, 3], b"x" * 5000, os.urandom(20_000), list(range(5000)), "text"]
SEEN = [(), (Observation("file", "a", "1" * 64),), (Observation("env", "B", "2" * 64),)]


class StoreAgainstDict(RuleBasedStateMachine):
    """Two projects use one folder, by several open stores each."""

    stores = Bundle("stores")

    @initialize()
    def make(self) -> None:
        self.folder = Path(tempfile.mkdtemp()) / "cache"
        self.put: dict[tuple[str, int], tuple[Trace, int]] = {}
        self.open: list[Store] = []
        self.whole = True

    @rule(target=stores, project=st.sampled_from(PROJECTS))
    def open_one(self, project: str) -> Store:
        store = open_store(self.folder, project=project, seal=SEAL, codecs=CODECS)
        assert isinstance(store, Store)
        self.open.append(store)
        return store

    @rule(store=stores, key=st.sampled_from(KEYS), seen=st.integers(0, 2), value=st.integers(0, len(VALUES) - 1))
    def store_one(self, store: Store, key: str, seen: int, value: int) -> None:
        saved = store.save(VALUES[value])
        ingredients = (Ingredient("code", "f", key),)
        trace = Trace(key, f"p.py::{key[-1]}", ingredients, SEEN[seen], saved, 1.0, time.time())
        store.put(trace)
        self.put[key, seen] = (trace, value)
        assert trace in store.traces(key)
        assert store.load(saved) == VALUES[value]
        assert store.latest(trace.node) == trace

    @rule(store=stores, key=st.sampled_from(KEYS))
    def ask(self, store: Store, key: str) -> None:
        found = store.traces(key)
        for trace in found:
            number = SEEN.index(trace.observations)
            assert (key, number) in self.put, "what was never put"
            expected, value = self.put[key, number]
            assert trace == expected
            try:
                assert store.load(trace.value) == VALUES[value]  # type: ignore[arg-type]
            except ValueGone:
                assert not self.whole
        if self.whole:
            assert len(found) == sum(one == key for one, _ in self.put)
            if found:
                store.used(found[0].node, found[0])
                assert store.latest(found[0].node) == found[0]

    @rule(store=stores)
    def flush(self, store: Store) -> None:
        store.flush()

    @rule(store=stores)
    def collect(self, store: Store) -> None:
        store.gc(None)

    @rule(store=stores, limit=st.sampled_from([0, 10_000, 30_000]))
    def evict(self, store: Store, limit: int) -> None:
        store.gc(limit)
        self.whole = False

    @rule(store=stores, node=st.sampled_from(["p.py::0", "p.py::1", None]))
    def clear(self, store: Store, node: str | None) -> None:
        store.clear(None if node is None else [node])
        self.whole = False
        for key in KEYS:
            assert node not in (None, f"p.py::{key[-1]}") or store.latest(f"p.py::{key[-1]}") is None

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.parent.parent.name == "blobs")
        if files:
            path: Any = data.draw(st.sampled_from(files))
            content = bytearray(path.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(content)
            self.whole = False

    @rule(store=stores)
    def verify(self, store: Store) -> None:
        report = store.verify()
        assert not report.damaged or not self.whole
        assert store.verify().damaged == ()

    @invariant()
    def nothing_is_wrong_with_the_disk(self) -> None:
        for store in getattr(self, "open", ()):
            assert store.problems == []

    def teardown(self) -> None:
        for store in self.open:
            store.close()
        shutil.rmtree(self.folder.parent)


StoreAgainstDict.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestStoreAgainstDict = StoreAgainstDict.TestCase
