"""What authors write type-checks: the names of `import stepcache` carry types."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

REPOSITORY = Path(__file__).parents[2]

PLAIN = """
from stepcache import All, File, parametrize, pipeline, step


@step
def flights(path=File("data/flights.csv")):
    return path.read_text().splitlines()


@step
def delays(flights, min_count=50):
    return flights[:min_count]


@step
@parametrize("depth", [3, 5, 8])
def model(delays, depth, seed=0): ...


@step
def best(model: All):
    return max(model.values(), key=lambda m: m.score)


def check_delays_are_plausible(delays):
    assert len(delays) < 24 * 60


@pipeline
def flights_report(best, delays):
    return {"best": best, "rows": len(delays)}
"""

ANNOTATED = """
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stepcache import All, Each, File, Run, check, mark, parametrize, pipeline, resource, run, step


@step
def flights(path: Path = File("data/flights.csv")) -> list[float]:
    return [float(line) for line in path.read_text().splitlines()]


@step(version="2", reads=["env:REGION"])
def delays(flights: list[float], min_count: int = 50) -> list[float]:
    return flights[:min_count]


@step
@parametrize("depth", [3, 5, 8])
def model(delays: list[float], depth: int, seed: int = 0) -> float:
    return sum(delays) / depth + seed


@mark.slow
@step
def best(model: All[float]) -> float:
    return max(model.values())


@step(takes={"delay": "delays"})
def rounded(delay: Each[float], places: int = 1) -> float:
    return round(delay, places)


@resource
def client(url: str = "http://localhost") -> dict[str, str]:
    return {"url": url}


def check_delays_are_plausible(delays: list[float]) -> None:
    assert max(delays) < 24 * 60


@check(warn=True)
def many(delays: list[float]) -> None:
    assert len(delays) > 10


@pipeline
def flights_report(best: float, delays: list[float]) -> dict[str, float]:
    return {"best": best, "rows": len(delays)}


def by_hand(scores: Mapping[str, float]) -> float:
    values: list[float] = delays([1.0], min_count=1)
    finished: Run = flights_report.run(params={"min_count": 3})
    both: list[Run] = [finished, run("pipeline_x.py")]
    print(finished.exit_code, finished["best"], finished.why("best"), finished.table("model"), both[1].warnings)
    return best(scores) + sum(values) + rounded(1.25)
"""

WRONG = """
from stepcache import step


@step
def delays(flights: list[float], min_count: int = 50) -> list[float]:
    return flights[:min_count]


delays("not a list")
text: str = delays([1.0])
"""


EXAMPLES = sorted(path.parent for path in (REPOSITORY / "examples").glob("*/README.md"))


def shown() -> dict[str, str]:
    """The pipelines that the pages for authors show, as files, by name."""
    found = {}
    names = "All, Dir, Each, File, mark, param, parametrize, pipeline, step"
    for page in ("authoring", "mapped-steps"):
        blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / f"docs/{page}.md").read_text("utf-8"), re.DOTALL)
        for number, block in enumerate(each for each in blocks if re.search(r"^@step", each, re.MULTILINE)):
            head = "" if "from stepcache import" in block else f"from stepcache import {names}\n"
            found[f"{page.replace('-', '_')}_{number}.py"] = head + block
    assert len(found) == 7
    return found


def mypy(folder: Path, text: str, *options: str) -> str:
    (folder / "pipeline_flights.py").write_text(text, encoding="utf-8")
    return mypy_of(folder, "pipeline_flights.py", options=options)


def mypy_of(folder: Path, *files: str, options: Sequence[str]) -> str:
    (folder / "mypy.ini").write_text("[mypy]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(folder.parent / "cache"), *options, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


CLEAN = "Success: no issues found in 1 source file\n"


def test_a_plain_pipeline_is_clean(tmp_path: Path) -> None:
    assert mypy(tmp_path, PLAIN, "--check-untyped-defs") == CLEAN


def test_an_annotated_pipeline_is_clean_in_strict_mode(tmp_path: Path) -> None:
    assert mypy(tmp_path, ANNOTATED, "--strict") == CLEAN


def test_a_step_keeps_its_functions_types(tmp_path: Path) -> None:
    found = mypy(tmp_path, WRONG)
    assert 'pipeline_flights.py:10: error: Argument 1 to "__call__" of "Defined" has incompatible type "str"' in found
    assert "pipeline_flights.py:11: error: Incompatible types in assignment" in found


def pyright(folder: Path) -> str:
    """What pyright says of the folders in *folder*, each a project of its own."""
    roots = [{"root": each.name} for each in sorted(folder.iterdir())]
    text = json.dumps({"executionEnvironments": roots, "reportMissingModuleSource": False})
    (folder / "pyrightconfig.json").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines()[-1] if done.returncode == 0 else done.stdout + done.stderr


def has_pyright() -> bool:
    """pyright runs on node, which it may have to fetch."""
    if importlib.util.find_spec("pyright") is None:
        return False
    done = subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def test_pyright_has_nothing_to_say(tmp_path: Path) -> None:
    if not has_pyright():
        pytest.skip("pyright is not installed, or cannot run here")
    for example in EXAMPLES:
        shutil.copytree(example, tmp_path / example.name)
    (tmp_path / "shown").mkdir()
    for name, text in shown().items():
        (tmp_path / "shown" / name).write_text(text, encoding="utf-8")
    for name, text in (("plain", PLAIN), ("annotated", "# pyright: strict\n" + ANNOTATED)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipeline_flights.py").write_text(text, encoding="utf-8")
    assert pyright(tmp_path) == "0 errors, 0 warnings, 0 informations"


def test_mypy_has_nothing_to_say_of_the_examples_and_of_what_pages_show(tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    files = [path for example in EXAMPLES for path in sorted(example.glob("*.py"))]
    for path in files:
        shutil.copy(path, tmp_path / "flat")
    for name, text in shown().items():
        (tmp_path / "flat" / name).write_text(text, encoding="utf-8")
    names = [path.name for path in files] + list(shown())
    options = ["--check-untyped-defs", "--ignore-missing-imports"]
    assert mypy_of(tmp_path / "flat", *names, options=options) == (
        f"Success: no issues found in {len(names)} source files\n"
    )
