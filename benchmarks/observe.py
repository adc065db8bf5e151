"""What being watched costs: microseconds a call, watched and not, the least of several rounds.

python benchmarks/observe.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stepcache.key.files import FileDigests
from stepcache.key.observe import Look, Observer, Rules

ROUNDS = 9


def least(work: Callable[[], None], count: int) -> float:
    """Microseconds of CPU a call, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - start)
    return best / 1000 / count


def cases(  # noqa: C901 - one function a case
    folder: Path, count: int
) -> dict[str, Callable[[], None]]:
    one = str(folder / "0.txt")
    paths = [str(folder / f"{number}.txt") for number in range(count)]

    def open_one() -> None:
        for _ in range(count):
            open(one, "rb").close()

    def open_each() -> None:
        for path in paths:
            open(path, "rb").close()

    def exists_one() -> None:
        for _ in range(count):
            os.path.exists(one)

    def exists_each() -> None:
        for path in paths:
            os.path.exists(path)

    def listdir() -> None:
        for _ in range(count // 10):
            os.listdir(folder / "empty")

    def environment() -> None:
        for _ in range(count):
            os.environ.get("HOME")

    return {f.__name__: f for f in (open_one, open_each, exists_one, exists_each, listdir, environment)}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        for number in range(count):
            (folder / f"{number}.txt").write_text("x")
        time.sleep(0.1)
        observer = Observer(lambda file: file == __file__)
        print(f"{'':14}{'plain':>8}{'watched':>9}{'more':>8}   us a call, CPU")
        for title, work in cases(folder, count).items():
            calls = count // 10 if title == "listdir" else count
            plain = least(work, calls)

            def watched(work: Callable[[], None] = work) -> None:
                with observer.watch():
                    work()

            cost = least(watched, calls)
            print(f"{title:14}{plain:8.2f}{cost:9.2f}{cost - plain:8.2f}")
        with observer.watch() as watch:
            cases(folder, count)["open_each"]()
        look = Look(name, os.getcwd(), FileDigests(), os.environ, lambda text: text)
        start = time.process_time_ns()
        seen = watch.conclude(look, Rules(name, environ=os.environ))
        spent = (time.process_time_ns() - start) / 1000
        print(f"conclude      {spent / count:8.2f} us a file, {len(seen.observations)} observations")

        def idle() -> None:
            for _ in range(1000):
                with observer.watch():
                    pass

        print(f"open and end a watch {least(idle, 1000):8.2f} us")


if __name__ == "__main__":
    main()
