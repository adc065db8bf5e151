"""What keys cost: CPU, in one process, the least of several rounds.

    python benchmarks/keys.py

The key of a two-line step once its file is known (its code reached anew, its ingredients, its digest); the first
analysis of a module of 1,000 functions; and what is done again for that module while it is unchanged, which is to read
what was remembered of it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import stepcache
from stepcache.execution.sight import Sight
from stepcache.key.decide import key_of
from stepcache.key.reach import CodeReader
from stepcache.key.source import SourceTable, analyse

ROUNDS = 7
STEPS = 1000

FUNCTION = '''
def function_{0}(rows, limit={0}, *, strict=False):
    """Those of *rows* that are below the limit, by name."""
    found = {{}}
    for number, row in enumerate(rows):
        if strict and row.value is None:
            raise ValueError(f"row {{number}} has no value")
        if row.value is not None and row.value < limit + LIMITS.get(row.kind, 0):
            found.setdefault(row.kind, []).append(function_{1}(row.parts) if row.parts else row.name)
    return {{kind: sorted(names) for kind, names in found.items()}}
'''


def least(work: Callable[[], object]) -> float:
    """Seconds of CPU, the least of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - start)
    return best / 1e9


@contextmanager
def timed(spent: list[int], reached: list[int]) -> Iterator[None]:
    """Notes what the recipe and the key of each node take while the block runs, and what following its code takes."""
    make, reach = Sight.recipe, CodeReader.reach

    def timed_reach(self: CodeReader, *given: object, **options: object) -> object:
        start = time.process_time_ns()
        try:
            return reach(self, *given, **options)  # type: ignore[arg-type]
        finally:
            reached.append(time.process_time_ns() - start)

    def timed_recipe(self: Sight, *given: object) -> object:
        before, start = sum(reached), time.process_time_ns()
        found = make(self, *given)  # type: ignore[arg-type]
        key_of(found.ingredients, found.code)
        spent.append(time.process_time_ns() - start - (sum(reached) - before))
        return found

    Sight.recipe, CodeReader.reach = timed_recipe, timed_reach  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Sight.recipe, CodeReader.reach = make, reach  # type: ignore[method-assign]


def of_a_step(folder: Path) -> float:
    """Microseconds for the key of a two-line step, the file of which is known."""
    steps = (f"@step\ndef step_{n}():\n    x = {n}\n    return x + 1\n" for n in range(STEPS))
    (folder / "pipeline_x.py").write_text("from stepcache import step\n\n" + "\n".join(steps))
    best = float("inf")
    for number in range(ROUNDS):
        spent: list[int] = []
        reached: list[int] = []
        with (folder / "pipeline_x.py").open("a") as file:
            file.write(f"# {number}\n")  # collected anew
        with timed(spent, reached):
            assert stepcache.run(folder, cache_dir=folder / "cache").exit_code == 0
        # The first one reads the file, which most do not.
        best = min(best, statistics.median(spent) + statistics.median(reached[:STEPS]))
    return best / 1000


def main() -> None:
    text = "LIMITS = {}\n" + "".join(FUNCTION.format(n, (n * 7 + 1) % 1000) for n in range(1000))
    source = text.encode()
    remembered = analyse(source, "module.py").to_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "project")
        folder.mkdir()
        (folder / "stepcache.toml").touch()
        os.environ["STEPCACHE_KEY"] = "01" * 32
        print(f"key of a two-line step: {of_a_step(folder):.0f} µs")
    first, again = least(lambda: analyse(source, "")), least(lambda: SourceTable.from_bytes(remembered))
    print(f"first analysis of a module of 1,000 functions, {text.count(chr(10)):,} lines: {first:.2f} s")
    print(f"while it is unchanged, to read what is remembered: {again * 1000:.0f} ms")


if __name__ == "__main__":
    main()
