"""What the store costs: CPU seconds and peak memory of the operations that every run consists of, beside peers.

Run as `python benchmarks/store.py [FOLDER]` with NumPy, pandas, PyArrow, joblib and stepcache-arrow installed; what is
stored lies in new folders below FOLDER and is removed. Each figure is the median of three processes, peers in turn.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from stepcache.digest import digest
from stepcache.model import Ingredient, Trace, Value
from stepcache.store import Codecs, Seal, Store, open_store

SEAL = Seal(b"a key for measuring")
COUNT = 10_000
MIB = 1 << 20
ROUNDS = 3


def opened(folder: Path) -> Store:
    codecs = Codecs.builtin()
    try:
        import stepcache_arrow
    except ImportError:
        pass
    else:
        for codec in stepcache_arrow.stepcache_codecs():
            codecs.add(codec)
    store = open_store(folder / "cache", project="/project", seal=SEAL, codecs=codecs)
    assert isinstance(store, Store)
    return store


# --- large values ---------------------------------------------------------------------------------


def made(kind: str) -> Any:
    """512 MiB of floats that do not shrink, 512 MiB of ints that do, or a frame of 2,000,000 rows and 8 columns."""
    import numpy as np

    draw = np.random.default_rng(7)
    if kind == "floats":
        return draw.standard_normal(64 * MIB)
    if kind == "ints":
        return np.arange(64 * MIB) // 1000
    import pandas as pd

    rows = 2_000_000
    words = np.array([f"label-{number}" for number in range(50)], dtype=object)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "count": draw.integers(0, 1000, rows),
            "big": draw.integers(0, 2**60, rows),
            "x": draw.standard_normal(rows),
            "y": np.round(draw.standard_normal(rows), 2),
            "tag": words[draw.integers(0, 50, rows)],
            "city": words[draw.integers(0, 8, rows)],
            "when": np.datetime64("2026-01-01") + draw.integers(0, 10**7, rows).astype("timedelta64[s]"),
        }
    )


def store_here(folder: Path, value: Any) -> None:
    store = opened(folder)
    kept = store.save(value)
    store.put(trace(0, kept, ()))
    store.close()


def load_here(folder: Path) -> Any:
    store = opened(folder)
    (found,) = store.traces(f"{0:064x}")
    assert found.value is not None
    return store.load(found.value)


def store_numpy(folder: Path, value: Any) -> None:
    import numpy as np

    np.save(folder / "value.npy", value)


def load_numpy(folder: Path) -> Any:
    import numpy as np

    return np.load(folder / "value.npy", mmap_mode="c")


def store_raw(folder: Path, value: Any) -> None:
    from blake3 import blake3

    data = memoryview(value).cast("B")
    blake3(data).digest()
    with (folder / "value").open("wb", buffering=0) as file:
        written = 0
        while written < len(data):
            written += file.write(data[written:])


def load_raw(folder: Path) -> Any:
    import mmap

    import numpy as np
    from blake3 import blake3

    with (folder / "value").open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    blake3(data).digest()
    return np.frombuffer(data, int)


def store_floor(folder: Path, value: Any) -> None:
    """What storing a value that shrinks costs at least: a digest of it, and zstd."""
    import zstandard
    from blake3 import blake3

    data = memoryview(value).cast("B")
    blake3(data).digest()
    (folder / "value").write_bytes(zstandard.ZstdCompressor(level=1).compress(data))


def load_floor(folder: Path) -> Any:
    """What loading it costs at least: a digest of what is stored, and zstd, into memory that may be written."""
    import numpy as np
    import zstandard
    from blake3 import blake3

    packed = (folder / "value").read_bytes()
    blake3(packed).digest()
    size = zstandard.get_frame_parameters(packed).content_size
    value = np.empty(size // 8, int)
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        assert reader.readinto(memoryview(value).cast("B")) == size
    return value


def store_joblib(folder: Path, value: Any) -> None:
    import joblib

    joblib.dump(value, folder / "value")


def load_joblib(folder: Path) -> Any:
    import joblib

    return joblib.load(folder / "value")


def store_parquet(folder: Path, value: Any) -> None:
    value.to_parquet(folder / "value", compression="zstd")


def load_parquet(folder: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(folder / "value")


ARRAYS, FRAMES = ("floats", "ints"), ("frame",)
PEERS: dict[str, tuple[Callable[[Path, Any], None], Callable[[Path], Any], tuple[str, ...]]] = {
    "stepcache": (store_here, load_here, ARRAYS + FRAMES),
    "np.save, np.load mapped": (store_numpy, load_numpy, ARRAYS),
    "raw bytes and BLAKE3": (store_raw, load_raw, ARRAYS),
    "BLAKE3 and zstd alone": (store_floor, load_floor, ("ints",)),
    "joblib": (store_joblib, load_joblib, ARRAYS + FRAMES),
    "parquet, zstd": (store_parquet, load_parquet, FRAMES),
}


def resident(key: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)


def size_of(value: Any) -> int:
    return int(value.nbytes if hasattr(value, "nbytes") else value.memory_usage(deep=False).sum())


def trim() -> None:
    """Give back what allocators hold of memory that was freed, so that what is held is the values'."""
    import ctypes
    import gc

    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def warm(folder: Path, name: str, kind: str) -> None:
    """Import what the work imports, on a small value."""
    import numpy as np

    small: Any = np.arange(20_000) // 7
    if kind == "frame":
        import pandas as pd

        small = pd.DataFrame({"number": small, "text": ["a", "b"] * 10_000})
    store, load, _ = PEERS[name]
    store(folder, small)
    load(folder)


def value(folder: Path, name: str, kind: str, work: str) -> None:
    """Store or load one value in this process; a line of JSON."""
    store, load, _ = PEERS[name]
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        warm(Path(aside), name, kind)
    given = made(kind) if work == "store" else None
    trim()
    before = resident("VmRSS") - (size_of(given) if given is not None else 0)
    Path("/proc/self/clear_refs").write_text("5")
    started, cpu = time.perf_counter(), time.process_time()
    if given is not None:
        store(folder, given)
        got = given
    else:
        got = load(folder)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    if given is None and kind != "frame":
        assert got[::512].sum() != 0  # every page is touched
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        json.dumps({"cpu": cpu, "wall": wall, "disk": disk, "peak": resident("VmHWM") - before, "size": size_of(got)})
    )


def large_values(where: str) -> None:
    print("| value | with | store | load | on disk, MiB | peak storing | peak loading |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for kind in (*ARRAYS, *FRAMES):
        names = [name for name, (_, _, kinds) in PEERS.items() if kind in kinds]
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        for _ in range(ROUNDS):
            for name in names:
                folder = tempfile.mkdtemp(dir=where)
                try:
                    for work in ("store", "load"):
                        found.setdefault((name, work), []).append(json.loads(ran(folder, "value", name, kind, work)))
                finally:
                    shutil.rmtree(folder)
        for name in names:
            stored, loaded = found[name, "store"], found[name, "load"]
            cells = [
                f"{median(one['cpu'] for one in stored):.3f}",
                f"{median(one['cpu'] for one in loaded):.3f}",
                f"{stored[0]['disk'] / MIB:.1f}",
                *(f"{median(one['peak'] / one['size'] for one in each):.2f}" for each in (stored, loaded)),
            ]
            print(f"| {kind} | {name} | {' | '.join(cells)} |", flush=True)


# --- small values ---------------------------------------------------------------------------------


def trace(number: int, value: Value, ingredients: tuple[Ingredient, ...]) -> Trace:
    return Trace(f"{number:064x}", f"pipeline_x.py::step{number}", ingredients, (), value, 0.001, time.time())


def ingredients(number: int, count: int) -> tuple[Ingredient, ...]:
    shared = tuple(
        Ingredient("code", f"helpers.py::function_{i}", digest("code", str(i), str(number // 100)))
        for i in range(count - 1)
    )
    return (*shared, Ingredient("setting", "n", digest("setting", str(number)), str(number)))


def small_entries(folder: Path, of: str) -> None:
    """10,000 small entries, stored and asked for again; of 1,000 bytes each, or small enough to go with their entry."""
    count, text = 10, "x" * 1000 if of == "rows" else ""
    store = opened(folder)
    lists = [ingredients(number, count) for number in range(COUNT)]
    start = time.process_time()
    values = []
    for number in range(COUNT):
        kept = store.save({"n": number, "score": number / 7, "text": text})
        store.put(trace(number, kept, lists[number]))
        values.append(kept)
    store.flush()
    spent = time.process_time() - start
    store.close()
    size = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    print(f"store {COUNT} small entries ({of}): {spent:.3f} s CPU, {size / 1e6:.1f} MB on disk")

    start = time.process_time()
    store = opened(folder)
    for number in range(10):
        store.traces(f"{number:064x}", lists[number])
    print(f"open and look up 10 keys: {(time.process_time() - start) * 1e3:.2f} ms CPU")
    store.close()
    keys, nodes = [f"{n:064x}" for n in range(COUNT)], [f"pipeline_x.py::step{n}" for n in range(COUNT)]
    found: list[Trace] = []

    def use(number: int) -> None:
        found.clear()
        found.extend(store.traces(keys[number], lists[number]))
        store.used(nodes[number], found[0])

    def hit(number: int) -> None:
        use(number)
        store.load(found[0].value)  # type: ignore[arg-type]

    in_turn, mixed = range(COUNT), [n * 7919 % COUNT for n in range(COUNT)]
    works: tuple[tuple[str, Callable[[int], object], Sequence[int]], ...] = (
        ("an entry found and used, its value loaded, in the order stored", hit, in_turn),
        ("an entry found and used", use, in_turn),
        ("an entry found", lambda n: store.traces(keys[n], lists[n]), in_turn),
        ("an entry found, in another order", lambda n: store.traces(keys[n], lists[n]), mixed),
        ("a value loaded", lambda n: store.load(values[n]), in_turn),
        ("no entry found", lambda n: store.traces(keys[n][::-1], lists[n]), in_turn),
    )
    for label, work, order in works:
        store = opened(folder)
        start = time.process_time()
        for number in order:
            work(number)
        print(f"{label}: {(time.process_time() - start) / COUNT * 1e6:.1f} us")
        store.close()
    floor(folder)


def floor(folder: Path) -> None:
    """What no look-up can do without: a row selected by its key, its seal and digest checked, its JSON read."""
    import sqlite3

    (path,) = (folder / "cache").glob("entries-*.db")
    db = sqlite3.connect(path)
    start = time.process_time()
    rows = [
        db.execute("SELECT frame FROM traces WHERE key = ?", (bytes.fromhex(f"{n:064x}"),)).fetchone()[0]
        for n in range(COUNT)
    ]
    selected = time.process_time()
    for row in rows:
        SEAL.verify(row[:-32], row[-32:])
    checked = time.process_time()
    for row in rows:
        json.loads(row[13:-32])
    read = time.process_time()
    parts = (selected - start, checked - selected, read - checked)
    print("of which: a row selected {:.1f}, checked {:.1f}, read {:.1f} us".format(*(x / COUNT * 1e6 for x in parts)))
    db.close()


def small_joblib(folder: Path, of: str) -> None:
    """As many calls through joblib's Memory."""
    import joblib

    text = "x" * 1000 if of == "rows" else ""

    def made_small(number: int) -> dict[str, object]:
        return {"n": number, "score": number / 7, "text": text}

    cached = joblib.Memory(folder / "joblib", verbose=0).cache(made_small)
    for label in ("store", "hit"):
        start = time.process_time()
        for number in range(COUNT // 10):
            cached(number)
        spent = (time.process_time() - start) / (COUNT // 10)
        print(f"joblib {label} ({of}): {spent * 1e6:.0f} us an entry", flush=True)


def second_key(folder: Path, of: str) -> None:
    """One large value under two keys."""
    store = opened(folder)
    numbers = made(of)
    for number in range(2):
        store.put(trace(number, store.save(numbers), ()))
    store.close()
    files = [file for file in (folder / "cache" / "blobs").rglob("*") if file.is_file()]
    print(f"{of} under a second key: {len(files)} blob")


def ran(folder: str, *words: str) -> str:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, __file__, folder, *words]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    if len(sys.argv) > 2:
        globals()[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])
        return
    where = sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir()
    for words in (
        ("small_entries", "inline"),
        ("small_entries", "rows"),
        ("small_joblib", "rows"),
        ("second_key", "ints"),
    ):
        folder = tempfile.mkdtemp(dir=where)
        try:
            print(ran(folder, *words))
        finally:
            shutil.rmtree(folder)
    large_values(where)


if __name__ == "__main__":
    main()
