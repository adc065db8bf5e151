"""How soon `--watch` runs again: milliseconds from a write to the start of the run, and to the end of its output.

    python benchmarks/watch.py --work DIR --python VENV/bin/python [--reps 30]

stepcache is the one of `--python`, with watchfiles: install a wheel there, not an editable copy. Each figure is a
median over all writes, with that of the slowest tenth in brackets. One project has four nodes, the other a thousand in
a hundred files; the changed file is either a source or one that a step was seen to read.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

STEPS = "from pathlib import Path\n\nfrom stepcache import step\n"
READS = "\n\n@step\ndef raw():\n    return int(Path('data.txt').read_text()) % 2\n"
BEGINS, ENDS = b"[watch] changed", b"[watch] waiting"


class Watched:
    """A command under --watch, whose output is read as it comes."""

    def __init__(self, python: str, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "stepcache", "--watch", "-q"],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self.output, self.keys = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.text = b""

    def when(self, text: bytes) -> float:
        """The time at which it has written that."""
        while text not in self.text:
            if not select.select([self.output], [], [], 60)[0]:
                raise SystemExit(f"not within a minute: {text!r} after {self.text.decode()}")
            self.text += os.read(self.output, 1 << 16)
        self.text = self.text.partition(text)[2]
        return time.monotonic()

    def quit(self) -> None:
        os.write(self.keys, b"q")
        self.process.wait(60)


def write_small(folder: Path) -> None:
    folder.mkdir(parents=True)
    checks = "\n\ndef check_raw(raw):\n    assert raw < 2\n"
    (folder / "pipeline_x.py").write_text(f"{STEPS}{READS}{checks}\n\n@step\ndef changed():\n    return 0\n")
    (folder / "data.txt").write_text("0")


def write_large(folder: Path) -> None:
    write_small(folder)
    for number in range(100):
        steps = "".join(f"\n\n@step\ndef s{number}_{n}():\n    return {n}\n" for n in range(10))
        (folder / f"pipeline_{number}.py").write_text(STEPS + steps)


def figures(watched: Watched, path: Path, texts: list[str]) -> tuple[list[float], list[float]]:
    """Milliseconds to the start and to the end of the run after each write."""
    begins, ends = [], []
    for text in texts:
        time.sleep(0.2)  # nobody saves a file at the moment at which the last run ends
        path.write_text(text)
        written = time.monotonic()
        begins.append(1000 * (watched.when(BEGINS) - written))
        ends.append(1000 * (watched.when(ENDS) - written))
    return begins, ends


def shown(found: list[float]) -> str:
    return f"{statistics.median(found):.0f} ({statistics.quantiles(found, n=10)[-1]:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--reps", type=int, default=30)
    options = parser.parse_args()
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"STEPCACHE_DIR": str(work / "cache"), "PYTHONUNBUFFERED": "1"}
    print("| changed | run begins, ms | all is told, ms |\n| --- | ---: | ---: |")
    for name, write in (("4 nodes", write_small), ("1,003 nodes", write_large)):
        folder = work / name.replace(" ", "-").replace(",", "")
        write(folder)
        watched = Watched(os.path.abspath(options.python), folder, environment)
        watched.when(ENDS)
        source = (folder / "pipeline_x.py").read_text()
        kinds = {
            "a source": (
                folder / "pipeline_x.py",
                [source.replace("return 0", f"return {n + 1}") for n in range(options.reps)],
            ),
            "a file that a step read": (folder / "data.txt", [str(n + 1) for n in range(options.reps)]),
        }
        for kind, (path, texts) in kinds.items():
            begins, ends = figures(watched, path, texts)
            print(f"| {kind}, {name} | {shown(begins)} | {shown(ends)} |", flush=True)
        watched.quit()


if __name__ == "__main__":
    main()
