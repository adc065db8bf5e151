"""Edits, and whether they change what a step reaches: the heart of the key, row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))

from reach_rows import HELP, HOME, MODELS, ROWS, SCALE, USE, Row, home  # noqa: E402

from stepcache.key.modules import Modules  # noqa: E402
from stepcache.key.reach import CodeReader  # noqa: E402
from stepcache.key.spaces import Spaces  # noqa: E402

DRIVER = HERE / "reach_driver.py"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(
    projects: Sequence[tuple[Path, dict[str, Any]]], seed: str = "1", python: str = sys.executable
) -> list[dict[str, Any]]:
    """What the steps of the projects reach, as one process after another sees it."""
    asked = json.dumps([(str(folder), options) for folder, options in projects])
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, str(DRIVER)], input=asked, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    for answer in answers:
        assert "error" not in answer, answer["error"]
    return answers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """For each row, what is reached before and after."""
    folder = tmp_path_factory.mktemp("rows")
    projects = []
    for number, row in enumerate(ROWS):
        projects.append((write(folder / f"{number}a", row.before), row.options))
        projects.append((write(folder / f"{number}b", row.after), row.options))
    found = read(projects[::2], seed="1"), read(projects[1::2], seed="2")
    return {row.id: pair for row, pair in zip(ROWS, zip(*found, strict=True), strict=True)}


def told(answer: dict[str, Any]) -> tuple[str, list[list[str]]]:
    return answer["digest"], [pair[:2] for pair in answer["variables"]]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_an_edit_changes_what_is_reached(row: Row, answers: dict[str, Any]) -> None:
    before, after = answers[row.id]

    assert (told(before) != told(after)) is row.changes


def test_the_order_of_sets_and_the_seed_of_hashes_change_nothing(tmp_path: Path) -> None:
    words = "WORDS = {'ape', 'bee', 'cat', 'dog'}\nTYPES = {int, str, None, (1, 'a')}"
    project = write(tmp_path, {HOME: home("return WORDS, TYPES, {'x', 'y', 'z'}, frozenset({'p', 'q'})", top=words)})

    one, other = (read([(project, {})], seed=seed)[0] for seed in ("1", "77"))

    assert one == other


def test_a_moved_project_reaches_the_same(tmp_path: Path) -> None:
    files = {
        HOME: home("return [scale(x) for x in source], PLACE", top="from app.helpers import PLACE, scale"),
        "app/__init__.py": "",
        HELP: "import os\nPLACE = os.path.dirname(os.path.abspath(__file__)) + '/data.csv'\n" + SCALE,
    }

    here, there = read([(write(tmp_path / "a", files), {}), (write(tmp_path / "deep/er/b", files), {})])

    assert here["digest"] == there["digest"]
    assert here["variables"] == there["variables"]
    assert here["ingredients"] == there["ingredients"]


LATE = {
    HOME: home("from app.settings import CFG\nfrom app.models import Base\nreturn CFG, Base().run(1)"),
    "app/__init__.py": "",
    "app/settings.py": "import app.patch\nCFG = {'k': 1}\n",
    "app/patch.py": "K = object()\n",
    MODELS: "from app.settings import CFG\nclass Base:\n    def run(self, x):\n        return CFG, x\n",
}


def test_what_happens_to_be_loaded_changes_nothing(tmp_path: Path) -> None:
    project = write(tmp_path, LATE)

    alone, after_others = read([(project, {}), (project, {"also_load": ["app.models", "app.patch"]})])

    assert alone["digest"] == after_others["digest"]
    assert alone["variables"] == after_others["variables"] == []


def test_a_class_reaches_the_same_whether_or_not_it_is_loaded(tmp_path: Path) -> None:
    project = write(tmp_path, LATE)
    asked = {"cls": "app.models:Base"}

    unloaded, loaded = read([(project, asked), (project, asked | {"also_load": ["app.models"]})])

    assert unloaded == loaded
    assert list(unloaded["ingredients"]) == ["app/models.py::Base", "app/models.py::Base.run", "app/settings.py::CFG"]


def test_explanations_name_the_definitions_that_changed(tmp_path: Path) -> None:
    files = {
        HOME: home(USE, top="from app.helpers import scale"),
        "app/__init__.py": "",
        HELP: "K = 2\ndef scale(x):\n    return core(x) * K\ndef core(x):\n    return x\n",
    }
    edited = files | {HELP: files[HELP].replace("return x\n", "return -x\n")}

    before, after = read([(write(tmp_path / "a", files), {}), (write(tmp_path / "b", edited), {})])

    assert list(before["ingredients"]) == [
        "app/helpers.py::K",
        "app/helpers.py::core",
        "app/helpers.py::scale",
        "pipeline_x.py::transform",
    ]
    changed = [name for name, one in after["ingredients"].items() if before["ingredients"][name] != one]
    assert changed == ["app/helpers.py::core"]
    assert [label for _, _, label in before["variables"]] == ["app/helpers.py::K"]
    assert before["modules"] == ["app.helpers", "pipeline_x"]


def test_installed_code_counts_by_its_distribution_and_what_that_requires(tmp_path: Path) -> None:
    project = write(tmp_path, {HOME: home("import pytest\nreturn pytest.approx(1)", top="import json")})

    (answer,) = read([(project, {})])

    assert {"pytest", "pluggy", "iniconfig"} <= set(answer["packages"])


def test_literals_come_with_the_folder_of_their_file(tmp_path: Path) -> None:
    files = {
        HOME: home(
            "return load('data/a.csv'), os.environ['REGION'], f'$HOME_{source}', PATH",
            top="import os\nfrom app.helpers import load\nPATH = 'data/c.csv'",
        ),
        "app/__init__.py": "",
        HELP: "def load(path, other='b.csv'):\n    'not.csv'\n    return path, os.popen('ls ${PLACE}')\n",
    }
    project = write(tmp_path, files)

    (answer,) = read([(project, {})])

    literals = {(text, os.path.relpath(folder, project)) for text, folder in answer["literals"]}
    assert {("data/a.csv", "."), ("b.csv", "app"), ("data/c.csv", "."), ("REGION", ".")} <= literals
    assert not any(text == "not.csv" for text, _ in literals)
    assert {"REGION", "PLACE", "HOME_"} <= set(answer["names"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return eval(source)", "pipeline_x.py:9: eval: all of pipeline_x.py is taken in"),
        ("return getattr(helpers, 'a' + source)", "pipeline_x.py:9: getattr: all of app/helpers.py is taken in"),
        (
            "import importlib\nreturn importlib.import_module(source + '.b')",
            "pipeline_x.py:10: an import by a name made at run time: all project modules are taken in",
        ),
        (
            "import importlib\nreturn importlib.import_module(f'app.{source}')",
            "pipeline_x.py:10: an import by a name made at run time: app is taken in",
        ),
    ],
)
def test_code_that_cannot_be_followed_is_said(body: str, sentence: str, tmp_path: Path) -> None:
    files = {HOME: home(body, top="from app import helpers"), "app/__init__.py": "", HELP: SCALE}

    (answer,) = read([(write(tmp_path, files), {})])

    assert answer["uncertain"] == [sentence]


def test_what_steps_do_to_variables_changes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path,
        {
            "late_counts.py": "SEEN = []\nclass Counter:\n    n = 0\ndef memo(f):\n    known = {}\n    def g(x):\n"
            "        return known.setdefault(x, f(x))\n    return g\n@memo\ndef scale(x):\n    return x\n"
            "def transform(x):\n    SEEN.append(x)\n    Counter.n += 1\n    return scale(x)\n"
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    late = __import__("late_counts")
    reader = CodeReader(Modules(tmp_path))
    reader.settle([late.transform], home=late)
    before = reader.reach([late.transform], settings={}, home=late)

    late.transform(3)

    after = CodeReader(Modules(tmp_path)).reach([late.transform], settings={}, home=late)
    assert before == after
    assert len(before.variables) == 3


def test_tables_are_remembered_and_read_again(tmp_path: Path) -> None:
    source = b"def f(x):\n    return g(x)\n"
    memo: dict[bytes, bytes] = {}
    spaces = Spaces(Modules(tmp_path), Remembering(memo), None)

    made = spaces.table(source, "a.py")
    again = Spaces(Modules(tmp_path), Remembering(memo), None).table(source, "b.py")

    assert len(memo) == 1
    assert made == again


class Remembering:
    """A memo in a dict."""

    def __init__(self, memo: dict[bytes, bytes]) -> None:
        self.memo = memo

    def get(self, kind: str, name: bytes) -> bytes | None:
        return self.memo.get(kind.encode() + name)

    def put(self, kind: str, name: bytes, data: bytes) -> None:
        assert self.memo.setdefault(kind.encode() + name, data) is data
