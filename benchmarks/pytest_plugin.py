"""What checks and the pytest plugin cost: one table of CPU seconds of whole processes.

    python benchmarks/pytest_plugin.py --work DIR --python VENV/bin/python [--reps 5] [--only TEXT]

stepcache is the one of `--python`: install a wheel there, not an editable copy, and joblib beside it. Every figure is a
median of user and system time; in each repetition all commands run once, one after another. `--only` takes those rows
in which the text stands: "empty test" for what the unused plugin costs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
from pathlib import Path

from measuring import measured, surroundings

CHECKS = 1000
VALUES = 10

STEP = "from stepcache import step\n\n\n@step\ndef value():\n    return [1, 2, 3]\n"
BODY = "    import math\n\n    return [math.sqrt({number} + each) for each in range(20_000)]\n"
MEMORY = "import joblib\nimport pytest\n\nmemory = joblib.Memory('memory', verbose=0)\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_projects(work: Path) -> None:
    write(work / "alone/pipeline_x.py", STEP)
    checks = "".join(f"\n\ndef check_{i}(value):\n    assert len(value) < {i + 4}\n" for i in range(CHECKS))
    write(work / "checks/pipeline_x.py", STEP + checks)
    tests = "".join(f"\n\ndef test_{i}(value):\n    assert len(value) < {i + 4}\n" for i in range(CHECKS))
    write(work / "tests/test_x.py", f"import pytest\n\n\n@pytest.fixture\ndef value():\n    return [1, 2, 3]\n{tests}")
    write(work / "idle/test_x.py", "def test_nothing():\n    pass\n")
    used = "".join(f"\n\ndef test_{i}(value_{i}):\n    assert len(value_{i}) == 20_000\n" for i in range(VALUES))
    for folder in ("steps", "joblib"):
        write(work / folder / "test_x.py", used.lstrip("\n"))
        write(work / folder / "pyproject.toml", "[tool.pytest.ini_options]\n")
    write(work / "steps/pyproject.toml", '[tool.pytest.ini_options]\nstepcache_pipelines = ["pipeline_x.py"]\n')
    bodies = [BODY.format(number=i) for i in range(VALUES)]
    steps = "".join(f"\n\n@step\ndef value_{i}():\n{body}" for i, body in enumerate(bodies))
    write(work / "steps/pipeline_x.py", "from stepcache import step\n" + steps)
    cached = "".join(
        f"\n\n@memory.cache\ndef make_{i}():\n{body}\n\n@pytest.fixture\ndef value_{i}():\n    return make_{i}()\n"
        for i, body in enumerate(bodies)
    )
    write(work / "joblib/conftest.py", MEMORY + cached)


def commands(python: str) -> dict[str, tuple[list[str], str, bool]]:
    """By what is measured: the command, its project, and whether the cache is emptied before."""
    run = [python, "-m", "stepcache", "-q"]
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    without = [*pytest, "-p", "no:stepcache"]
    return {
        "one step, cold": (run, "alone", True),
        f"one step and {CHECKS} checks, cold": (run, "checks", True),
        f"one step and {CHECKS} checks, all passed before": (run, "checks", False),
        f"one step and {CHECKS} checks, asked once more": (run, "checks", False),
        f"{CHECKS} tests of pytest that say the same": (without, "tests", False),
        "pytest, one empty test, without the plugin": (without, "idle", False),
        "pytest, one empty test, with the plugin unused": (pytest, "idle", False),
        f"pytest, {VALUES} step fixtures, warm": (pytest, "steps", False),
        f"pytest, {VALUES} fixtures of joblib.Memory, warm": (without, "joblib", False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    work = options.work.resolve()
    write_projects(work)
    asked = {name: each for name, each in commands(os.path.abspath(options.python)).items() if options.only in name}
    found: dict[str, list[float]] = {name: [] for name in asked}
    for repetition in range(options.reps + 1):
        for name, (command, folder, cold) in asked.items():
            cache = work / "caches" / folder
            if cold:
                shutil.rmtree(cache, ignore_errors=True)
            cost = measured(command, work / folder, surroundings(STEPCACHE_DIR=str(cache)))
            if repetition:  # the first fills caches and writes bytecode
                found[name].append(cost.cpu)
    for name, seconds in found.items():
        print(f"| {name} | {statistics.median(seconds):.3f} | {min(seconds):.3f} to {max(seconds):.3f} |")


if __name__ == "__main__":
    main()
