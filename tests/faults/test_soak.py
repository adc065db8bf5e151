"""Random faults of all kinds, one after the other, against one pipeline: each run's values are those of a run without
a cache."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stepcache
from stepcache.testing import Project

SECONDS = float(os.environ.get("STEPCACHE_TEST_SOAK", "0")) * 60
Child = Callable[[Callable[[], object]], int]

PIPELINE = """
    import random
    from stepcache import All, Each, parametrize, step

    @step
    def base(seed=0):
        return random.Random(seed).randbytes(40_000)

    @step
    @parametrize("n", range(60))
    def small(base, n):
        return {"n": n, "text": base[n : n + n * 20].hex()}

    @step
    @parametrize("n", range(60))
    def large(base, n):
        return base[n:] + bytes(n * 500)

    @step
    def both(small: All, large: All):
        return [len(repr(each)) for each in small.values()], [each[:9] for each in large.values()]

    @step
    def after(small, base):
        return len(small["text"]), base[:100]

    @step
    def items(base):
        return [base[at : at + 100] for at in range(0, 2000, 100)]

    @step
    def length(items: Each, base):
        return len(items.hex()) + len(base)
"""


def damage(path: Path, draw: random.Random) -> None:
    """Flip a bit, cut the end off, zero a page, or remove the file."""
    data = bytearray(path.read_bytes())
    kind = draw.choice(["flip", "cut", "zero", "remove"]) if data else "remove"
    at = draw.randrange(len(data)) if data else 0
    if kind == "flip":
        data[at] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "zero":
        data[at - at % 4096 : at - at % 4096 + 4096] = bytes(min(4096, len(data) - (at - at % 4096)))
    if kind == "remove":
        path.unlink()
    else:
        path.write_bytes(data)


class Soak:
    """A cache, and what happens to it."""

    def __init__(self, project: Project, in_child: Child) -> None:
        self.project, self.in_child = project, in_child
        self.draw = random.Random(time.time_ns())
        self.right: dict[int, dict[str, Any]] = {}

    def values(self, seed: int, **arguments: Any) -> dict[str, Any]:
        run = stepcache.run(params={"seed": seed}, **arguments)
        assert run.exit_code == 0
        return {row["id"]: run[row["id"]] for row in run.nodes}

    def check(self, seed: int) -> None:
        if seed not in self.right:
            self.right[seed] = self.values(seed, enable_cache=False)
        assert self.values(seed) == self.right[seed]

    def damaged(self) -> None:
        for _ in range(self.draw.choice([1, 1, 1, 5])):
            files = [path for path in self.project.cache.rglob("*") if path.is_file()]
            if files:
                damage(self.draw.choice(files), self.draw)

    def killed(self) -> None:
        after, seed = self.draw.uniform(0.001, 1.5), self.draw.randrange(4)

        def work() -> None:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, after)
            self.values(seed)

        assert self.in_child(work) in (0, -signal.SIGKILL)

    def collected(self) -> None:
        self.project.run(f"--cache-gc={self.draw.choice([0, 100_000, 10**9])}")

    def cleared(self) -> None:
        self.project.run("--cache-clear", "--collect-only", "-q")

    def verified(self) -> None:
        self.project.run("--cache-verify")

    def removed(self) -> None:
        shutil.rmtree(self.project.cache, ignore_errors=True)

    def met(self) -> None:
        """Another run, and something that is done to the cache, at the same time."""
        child = os.fork()
        if child == 0:
            try:
                self.check(1)
                os._exit(0)
            finally:
                os._exit(1)
        self.draw.choice([self.collected, self.cleared, self.removed, lambda: self.check(1), lambda: self.check(2)])()
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not SECONDS, reason="takes as many minutes as STEPCACHE_TEST_SOAK says")
def test_soak(stepcache_project: Project, in_child: Child, record_property: Callable[[str, object], None]) -> None:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    soak, told = Soak(stepcache_project, in_child), Counter[str]()
    for seed in range(4):
        soak.check(seed)
    faults = [soak.damaged] * 4 + [soak.killed] * 2 + [soak.met] * 2
    faults += [soak.collected, soak.cleared, soak.verified, soak.removed]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        fault = soak.draw.choice(faults)
        fault()
        told[fault.__name__] += 1
        soak.check(soak.draw.randrange(4))
    record_property("faults", dict(told))
