"""A run with nothing to do, and what is beside it, next to peers: one table of CPU seconds of whole processes.

    python benchmarks/noop.py --work DIR [--python VENV/bin/python] [--steps 3 1000 10000] [--reps 5] [--heavy]

stepcache is the one of `--python`: install a wheel there, not an editable copy. ninja, doit and joblib are installed
into DIR/peers at the first run; with `--no-peers` they are left out. Every figure is a median of user and system
time; in each repetition all commands run once, one after another. The project is a layered graph in up to 100 modules;
each step takes two of the layer before. `--heavy` adds a file that imports pandas and scikit-learn, which have to be
installed beside stepcache, and an edit of another file beside it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

from measuring import measured, surroundings

HEAVY = """
import pandas, sklearn.linear_model
from stepcache import step

@step
def table():
    return 1

@step
def model(table):
    return table + 1
"""

LIGHT = """
from stepcache import step

@step
def light():
    return {number}
"""


def shape(steps: int) -> tuple[int, int]:
    """(layers, steps in each), in at most 100 modules."""
    layers = steps if steps < 100 else 100 if steps >= 1000 else 10
    return layers, steps // layers


def name(layer: int, number: int) -> str:
    return f"s_{layer:03d}_{number:04d}"


def parents(layer: int, number: int, width: int) -> list[str]:
    return list(dict.fromkeys((name(layer - 1, number), name(layer - 1, (number + 1) % width)))) if layer else []


def write_stepcache(folder: Path, steps: int, changed: str = "") -> None:
    layers, width = shape(steps)
    for layer in range(layers):
        lines = ["from stepcache import step"]
        if layer:
            lines.append(f"from l{layer - 1:03d} import {', '.join(name(layer - 1, i) for i in range(width))}")
        for number in range(width):
            own, taken = name(layer, number), parents(layer, number, width)
            more = " + 1" if own == changed else ""
            lines.append(f"\n\n@step\ndef {own}({', '.join(taken)}):\n    return {' + '.join([*taken, '1'])}{more}")
        write(folder / f"l{layer:03d}.py", "\n".join(lines) + "\n")
    last = ", ".join(name(layers - 1, i) for i in range(width))
    write(folder / "pipeline_bench.py", f"from l{layers - 1:03d} import {last}\n\n__all__ = {last.split(', ')!r}\n")


def write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def write_ninja(folder: Path, steps: int) -> None:
    layers, width = shape(steps)
    lines = ["rule make", "  command = touch $out", ""]
    for layer in range(layers):
        lines += [f"build {name(layer, i)}: make {' '.join(parents(layer, i, width))}" for i in range(width)]
    write(folder / "build.ninja", "\n".join(lines) + "\n")


def write_doit(folder: Path, steps: int) -> None:
    layers, width = shape(steps)
    lines = ["def make(targets):\n    open(targets[0], 'w').close()\n\n\ndef task_all():"]
    for layer in range(layers):
        for i in range(width):
            own, taken = name(layer, i), parents(layer, i, width)
            lines.append(
                f"    yield {{'name': {own!r}, 'actions': [make], 'file_dep': {taken!r}, 'targets': [{own!r}]}}"
            )
    write(folder / "dodo.py", "\n".join(lines) + "\n")


def write_joblib(folder: Path, steps: int) -> None:
    layers, width = shape(steps)
    lines = ["from joblib import Memory", "memory = Memory('cache', verbose=0)"]
    for layer in range(layers):
        for i in range(width):
            taken = parents(layer, i, width)
            total = " + ".join([*taken, "1"])
            lines.append(f"@memory.cache\ndef f{name(layer, i)}({', '.join(taken)}):\n    return {total}")
            lines.append(f"{name(layer, i)} = f{name(layer, i)}({', '.join(taken)})")
    write(folder / "main.py", "\n".join(lines) + "\n")


def peers_of(work: Path) -> Path:
    """The folder of the commands of the peers, installed if they are not there."""
    home = work / "peers"
    if not (home / "bin" / "doit").exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "ninja", "doit", "joblib"], check=True)
    return home / "bin"


def commands_for(steps: int, work: Path, stepcache: list[str], peers: Path | None) -> dict[str, tuple[list[str], Path]]:
    """The commands by what they are, each with its folder, prepared."""
    found = {}
    writers = {"stepcache": write_stepcache}
    if peers is not None and steps <= 10_000:
        writers |= {"ninja": write_ninja, "doit": write_doit, "joblib": write_joblib}
    for peer, writer in writers.items():
        folder = work / f"{peer}-{steps}"
        folder.mkdir(parents=True, exist_ok=True)
        writer(folder, steps)
        command = {
            "stepcache": stepcache,
            "ninja": [f"{peers}/ninja"],
            "doit": [f"{peers}/doit"],
            "joblib": [f"{peers}/python", "main.py"],
        }[peer]
        found[peer] = (command, folder)
    found["stepcache -v"] = ([*stepcache, "-v"], found["stepcache"][1])
    return found


def told(what: str, steps: int, cpu: list[float], memory: float) -> None:
    print(f"| {what} | {steps:,} | {statistics.median(cpu):.3f} | {memory:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--steps", type=int, nargs="+", default=[3, 100, 1_000, 10_000])
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--heavy", action="store_true")
    asked = parser.parse_args()
    work, stepcache = asked.work.resolve(), [asked.python, "-m", "stepcache"]
    work.mkdir(parents=True, exist_ok=True)
    environment = surroundings(STEPCACHE_DIR=str(work / "cache"))
    peers = None if asked.no_peers else peers_of(work)
    print("| what | steps | CPU s | peak MB |\n| --- | ---: | ---: | ---: |")
    for steps in asked.steps:
        shutil.rmtree(work / f"stepcache-{steps}", ignore_errors=True)
        shutil.rmtree(work / "cache", ignore_errors=True)
        commands = commands_for(steps, work, stepcache, peers)
        cold = measured(*commands["stepcache"], environment)
        told("stepcache, cold", steps, [cold.cpu], cold.peak)
        layers, _ = shape(steps)
        write_stepcache(commands["stepcache"][1], steps, changed=name(layers // 2, 0))
        changed = measured(*commands["stepcache"], environment)
        told("stepcache, one changed", steps, [changed.cpu], changed.peak)
        interleaved(steps, commands, asked.python, asked.reps, environment)
    if asked.heavy:
        folder = work / "heavy"
        folder.mkdir(exist_ok=True)
        write(folder / "pipeline_heavy.py", HEAVY)
        measured(stepcache, folder, environment)
        heavy = {"stepcache, pandas and scikit-learn": (stepcache, folder)}
        interleaved(2, heavy, asked.python, asked.reps, environment)
        edited(stepcache, folder, asked.reps, environment)


def edited(stepcache: list[str], folder: Path, reps: int, environment: dict[str, str]) -> None:
    """Edit a file that imports little, beside the heavy one and alone, in turn; prints a line each."""
    alone = folder.parent / "light"
    alone.mkdir(exist_ok=True)
    cpu: dict[Path, list[float]] = {folder: [], alone: []}
    for number in range(reps + 2):
        for place, found in cpu.items():
            write(place / "pipeline_light.py", LIGHT.format(number=number))
            time.sleep(0.1)
            cost = measured(stepcache, place, environment)
            found += [cost.cpu] if number >= 2 else []
    told("stepcache, a file changed beside one that imports pandas and scikit-learn", 3, cpu[folder], 0)
    told("stepcache, the same file changed alone", 1, cpu[alone], 0)


def interleaved(
    steps: int,
    commands: dict[str, tuple[list[str], Path]],
    python: str,
    reps: int,
    environment: dict[str, str],
) -> None:
    """Run each until nothing is left to do, then all of them in turn; prints a line each."""
    for command, folder in commands.values():
        for _ in range(3):
            time.sleep(0.1)
            measured(command, folder, environment)
    any_folder = next(iter(commands.values()))[1]
    commands = {"python -c pass": ([python, "-c", "pass"], any_folder), **commands}
    cpu: dict[str, list[float]] = {what: [] for what in commands}
    memory: dict[str, float] = dict.fromkeys(commands, 0.0)
    for _ in range(reps):
        for what, (command, folder) in commands.items():
            cost = measured(command, folder, environment)
            cpu[what].append(cost.cpu)
            memory[what] = max(memory[what], cost.peak)
    for what in commands:
        told(f"{what}, nothing to do" if what != "python -c pass" else what, steps, cpu[what], memory[what])


if __name__ == "__main__":
    main()
