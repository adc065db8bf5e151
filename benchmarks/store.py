"""What the store costs: CPU seconds and peak memory of the operations that every run consists of.

Run as `python benchmarks/store.py [FOLDER]`; the cache is made in a new folder below FOLDER and removed.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stepcache.digest import digest
from stepcache.model import Ingredient, Trace
from stepcache.store import Codecs, Seal, Store, open_store

SEAL = Seal(b"a key for measuring")
COUNT = 10_000


def opened(folder: Path) -> Store:
    store = open_store(folder / "cache", project="/project", seal=SEAL, codecs=Codecs.builtin())
    assert isinstance(store, Store)
    return store


def trace(number: int, value: object, ingredients: tuple[Ingredient, ...]) -> Trace:
    return Trace(f"{number:064x}", f"pipeline_x.py::step{number}", ingredients, (), value, 0.001, time.time())  # type: ignore[arg-type]


def ingredients(number: int, count: int) -> tuple[Ingredient, ...]:
    shared = tuple(
        Ingredient("code", f"helpers.py::function_{i}", digest("code", str(i), str(number // 100)))
        for i in range(count - 1)
    )
    return (*shared, Ingredient("setting", "n", digest("setting", str(number)), str(number)))


def small_entries(folder: Path, count: int) -> None:
    store = opened(folder)
    lists = [ingredients(number, count) for number in range(COUNT)]
    start = time.process_time()
    values = []
    for number in range(COUNT):
        value = store.save({"n": number, "score": number / 7})
        store.put(trace(number, value, lists[number]))
        values.append(value)
    store.flush()
    spent = time.process_time() - start
    store.close()
    size = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    print(f"store {COUNT} small entries of {count} ingredients: {spent:.3f} s CPU, {size / 1e6:.1f} MB on disk")

    start = time.process_time()
    store = opened(folder)
    for number in range(10):
        store.traces(f"{number:064x}", lists[number])
    print(f"open and look up 10 keys: {(time.process_time() - start) * 1e3:.2f} ms CPU")
    works: tuple[tuple[str, Callable[[int], object]], ...] = (
        ("traces, ingredients given", lambda n: store.traces(f"{n:064x}", lists[n])),
        ("traces, ingredients read", lambda n: store.traces(f"{n:064x}")),
        ("load", lambda n: store.load(values[n])),
        ("used", lambda n: store.used(f"pipeline_x.py::step{n}", trace(n, values[n], ()))),
    )
    for label, work in works:
        start = time.process_time()
        for number in range(COUNT):
            work(number)
        print(f"{label}: {(time.process_time() - start) / COUNT * 1e6:.1f} us")
    store.close()


def large_value(folder: Path, kind: str, megabytes: int) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    count = megabytes * 131_072
    value = rng.random(count) if kind == "floats" else rng.integers(0, 1000, count)
    store = opened(folder)
    store.save(rng.integers(0, 9, 200_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    stored = store.save(value)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    start = time.perf_counter()
    again = store.load(stored)
    loaded = time.perf_counter() - start
    assert (again == value).all()
    store.close()
    print(
        f"{megabytes} MiB of {kind}: save {wall:.3f} s ({cpu:.3f} CPU), {grown:.0f} MiB more memory, "
        f"{stored.stored / stored.size:.2f} of its size on disk; load {loaded:.3f} s"
    )


def main() -> None:
    if len(sys.argv) > 2:
        name, *arguments = sys.argv[2:]
        folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
        try:
            globals()[name](folder, *(int(word) if word.isdigit() else word for word in arguments))
        finally:
            shutil.rmtree(folder)
        return
    where = sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()
    for job in (
        ["small_entries", "10"],
        ["small_entries", "100"],
        ["large_value", "ints", "64"],
        ["large_value", "floats", "64"],
        ["large_value", "floats", "512"],
        ["large_value", "ints", "512"],
    ):
        subprocess.run([sys.executable, __file__, where, *job], check=True)


if __name__ == "__main__":
    main()
