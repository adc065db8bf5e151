"""What worker processes cost: many steps that do next to nothing, and large arrays that many steps take; beside peers.

    python benchmarks/pool.py --work DIR --python VENV/bin/python [--steps 1000] [--megabytes 100] [--rounds 5]

VENV has stepcache (installed from a wheel), NumPy, joblib and doit. All commands run in turn in each round; figures are
medians, of CPU seconds (user and system, workers included) and of seconds by the clock, of whole processes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PIPELINE = """
from stepcache import parametrize, step

@step
@parametrize("n", range({count}))
def part(n):
    return n + 1
"""

JOBLIB = """
from joblib import Parallel, delayed

def part(n):
    return n + 1

assert len(Parallel(n_jobs=2)(delayed(part)(n) for n in range({count}))) == {count}
"""

FUTURES = """
from concurrent.futures import ProcessPoolExecutor

def part(n):
    return n + 1

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        assert len([each.result() for each in [pool.submit(part, n) for n in range({count})]]) == {count}
"""

DOIT = """
DOIT_CONFIG = {{"dep_file": "dodo.db", "verbosity": 0, "num_process": 2, "reporter": "zero"}}

def part(n):
    return {{"value": n + 1}}

def task_part():
    for n in range({count}):
        yield {{"name": str(n), "actions": [(part, [n])]}}
"""

ARRAYS = """
import numpy as np
from stepcache import parametrize, pipeline, step

@step
def big(megabytes={megabytes}):
    return np.random.default_rng(0).random(megabytes * 125_000)

@step
@parametrize("n", range({tasks}))
def total(big, n):
    with open("/proc/self/maps") as maps:
        mapped = [line.split() for line in maps if "/blobs/" in line]
    sizes = [int(end, 16) - int(begin, 16) for begin, end in (each[0].split("-") for each in mapped)]
    return float(big[n::{tasks}].sum()), max(sizes, default=0)

@pipeline
def whole(total):
    return total
"""

ARRAYS_BY_JOBLIB = """
import numpy as np
from joblib import Parallel, delayed

def total(big, n):
    return float(big[n::{tasks}].sum())

big = np.random.default_rng(0).random({megabytes} * 125_000)
Parallel(n_jobs=2)(delayed(total)(big, n) for n in range({tasks}))
"""

ARRAYS_BY_FUTURES = """
import numpy as np
from concurrent.futures import ProcessPoolExecutor

def total(big, n):
    return float(big[n::{tasks}].sum())

if __name__ == "__main__":
    big = np.random.default_rng(0).random({megabytes} * 125_000)
    with ProcessPoolExecutor(2) as pool:
        [each.result() for each in [pool.submit(total, big, n) for n in range({tasks})]]
"""

TASKS = 20
Figures = tuple[float, float]


def measured(command: list[str], folder: Path) -> Figures:
    """CPU seconds and seconds of a command that has to end well."""
    environment = {**os.environ, "STEPCACHE_DIR": str(folder / "cache")}
    began = time.perf_counter()
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} in {folder}: exit status {process.returncode}: see output.log there")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def fresh(folder: Path, name: str, text: str) -> Path:
    """A new folder with one file."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "stepcache.toml").touch()
    (folder / name).write_text(text)
    return folder


def rounds_of(commands: dict[str, tuple[str, str, list[str]]], work: Path, rounds: int) -> dict[str, Figures]:
    """The medians of each command, which has a file of its own in a new folder."""
    found: dict[str, list[Figures]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, (file, text, command) in commands.items():
            found[name].append(measured(command, fresh(work / name.replace(" ", "_").replace(",", ""), file, text)))
    return {
        name: (statistics.median(f[0] for f in figures), statistics.median(f[1] for f in figures))
        for name, figures in found.items()
    }


def steps(work: Path, python: str, count: int, rounds: int) -> None:
    """Many steps that do next to nothing."""
    ours, text = [python, "-m", "stepcache", "-q"], PIPELINE.format(count=count)
    found = rounds_of(
        {
            "stepcache -n 2": ("pipeline_x.py", text, [*ours, "-n", "2"]),
            "stepcache -n 2, two steps": ("pipeline_x.py", PIPELINE.format(count=2), [*ours, "-n", "2"]),
            "stepcache in one process": ("pipeline_x.py", text, ours),
            "joblib (loky)": ("by_joblib.py", JOBLIB.format(count=count), [python, "by_joblib.py"]),
            "ProcessPoolExecutor": ("by_futures.py", FUTURES.format(count=count), [python, "by_futures.py"]),
            "doit -n 2": ("dodo.py", DOIT.format(count=count), [python, "-m", "doit"]),
        },
        work,
        rounds,
    )
    print(f"{count:,} steps that do nothing                 CPU s    clock s")
    for name, (cpu, clock) in found.items():
        print(f"{name:40} {cpu:8.2f} {clock:8.2f}")
    (cpu, clock), (cpu_alone, clock_alone) = found["stepcache -n 2"], found["stepcache in one process"]
    (base_cpu, base_clock) = found["stepcache -n 2, two steps"]
    print(f"a step, start-up taken off: {(cpu - base_cpu) / (count - 2) * 1000:.2f} ms CPU, ", end="")
    print(f"{(clock - base_clock) / (count - 2) * 1000:.2f} ms by the clock")
    print(f"a step, beyond what it costs in one process: {(cpu - cpu_alone) / count * 1000:.2f} ms CPU, ", end="")
    print(f"{(clock - clock_alone) / count * 1000:.2f} ms by the clock")


def arrays(work: Path, python: str, megabytes: int, rounds: int) -> None:
    """A large array that many steps take."""
    told = {"megabytes": megabytes, "tasks": TASKS}
    commands = {
        "arrays, stepcache -n 2": (
            "pipeline_x.py",
            ARRAYS.format(**told),
            [python, "-m", "stepcache", "-q", "-n", "2"],
        ),
        "arrays, joblib (loky)": ("by_joblib.py", ARRAYS_BY_JOBLIB.format(**told), [python, "by_joblib.py"]),
        "arrays, ProcessPoolExecutor": (
            "by_futures.py",
            ARRAYS_BY_FUTURES.format(**told),
            [python, "by_futures.py"],
        ),
    }
    found = rounds_of(commands, work, rounds)
    print(f"\n{TASKS} tasks that take an array of {megabytes} MB    CPU s    clock s")
    for name, (cpu, clock) in found.items():
        print(f"{name:40} {cpu:8.2f} {clock:8.2f}")
    code = "import stepcache; run = stepcache.run(); print(min(size for _, size in run['total'].values()))"
    folder = work / "arrays_stepcache_-n_2"
    environment = {**os.environ, "STEPCACHE_DIR": str(folder / "cache")}
    size = subprocess.check_output([python, "-c", code], cwd=folder, env=environment, text=True)
    print(f"each of the {TASKS} had {int(size) / 1e6:.0f} MB of a file of the cache mapped")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    steps(options.work, options.python, options.steps, options.rounds)
    arrays(options.work, options.python, options.megabytes, options.rounds)


if __name__ == "__main__":
    main()
