"""What mapped steps cost beside joblib.Memory: cold, nothing to do, one new element among many.

    python benchmarks/each.py --work DIR --python VENV/bin/python [--count 100000] [--rounds 3]

VENV has stepcache (installed from a wheel) and joblib. Figures are CPU seconds of whole processes, user and system.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from measuring import measured, surroundings

PIPELINE = """
from stepcache import Each, step

@step
def docs(n=100_000):
    return [f"document number {i}" for i in range(n)]

@step(takes={"doc": "docs"})
def length(doc: Each):
    return len(doc)
"""

JOBLIB = """
import sys
from joblib import Memory

memory = Memory(sys.argv[1], verbose=0)

@memory.cache
def length(doc):
    return len(doc)

print(sum(length(f"document number {i}") for i in range(int(sys.argv[2]))))
"""

STREAM = """
import os

from stepcache import step

@step
def blocks(count=100, size=1_000_000):
    for number in range(count):
        yield os.urandom(size)

@step
def total(blocks):
    return sum(len(block) for block in blocks) + sum(block[0] for block in blocks)
"""


def elements(work: Path, python: str, count: int, rounds: int) -> None:
    """Time the four cases, stepcache and joblib in turn."""
    project = work / "mapped"
    cases = {"cold": count, "nothing to do": count, "one new": count + 1, "all as before": count}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        peer = work / "joblib"  # its 100,000 folders are not to be searched for pipelines
        for folder in (project, peer):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        (project / "stepcache.toml").touch()
        (project / "pipeline_x.py").write_text(PIPELINE)
        (peer / "by_joblib.py").write_text(JOBLIB)
        environment = surroundings(STEPCACHE_DIR=str(project / "cache"))
        for case, n in cases.items():
            ours = [python, "-m", "stepcache", "-q", "-P", f"docs.n={n}"]
            theirs = [python, "by_joblib.py", str(peer / "cache"), str(n)]
            times.setdefault((case, "stepcache"), []).append(measured(ours, project, environment).cpu)
            times.setdefault((case, "joblib"), []).append(measured(theirs, peer, environment).cpu)
    print(f"{count:,} elements, CPU seconds, medians of {rounds}")
    for case in cases:
        ours, theirs = (statistics.median(times[case, who]) for who in ("stepcache", "joblib"))
        print(f"{case:15} stepcache {ours:8.2f}   joblib {theirs:8.2f}")


def stream(work: Path, python: str, megabytes: int) -> None:
    """Store and read twice a stream of many megabytes; its peak memory is what counts."""
    project = work / "stream"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    (project / "stepcache.toml").touch()
    (project / "pipeline_x.py").write_text(STREAM)
    command = [python, "-m", "stepcache", "-q", "-P", f"blocks.count={megabytes}"]
    cost = measured(command, project, surroundings(STEPCACHE_DIR=str(project / "cache")))
    print(f"a stream of {megabytes:,} MB: {cost.cpu:.2f} s, peak memory {cost.peak:.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1000)
    options = parser.parse_args()
    stream(options.work, options.python, options.megabytes)
    elements(options.work, options.python, options.count, options.rounds)


if __name__ == "__main__":
    main()
