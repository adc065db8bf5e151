"""Random edits and questions: a run that knows its files from an earlier one tells what a full collection tells."""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from stepcache.testing import Project

FILES = {
    "lib1.py": """
        from lib2 import two
        SIZE = 1
        NAMES = ("x", "y")
        class Kept:
            n = 1
            def get(self):
                return self.n
        def one(x):
            return two(x) + SIZE
    """,
    "lib2.py": "BASE = 1\ndef two(x):\n    return x * BASE\n",
    "lib3.py": "def lazy(x):\n    return x - 1\n",
    "stepconf.py": """
        from lib2 import two
        from stepcache import resource, step
        @step
        def shared(k=1):
            return two(k)
        @resource
        def conn():
            return 7
    """,
    "pipeline_a.py": """
        import lib1
        from lib1 import Kept, one
        from stepcache import parametrize, step
        N = 2
        @step
        def a(shared, n=N):
            return one(n) + shared
        @step
        @parametrize("name", lib1.NAMES)
        def p(a, name, kind="x"):
            return (a, name, kind)
        @step
        def kept(conn):
            return Kept().get() + conn
    """,
    "pipeline_b.py": """
        from pathlib import Path
        from stepcache import step
        WORDS = Path(__file__).with_name("words.txt").read_text().split()
        @step
        def b(n=1):
            from lib3 import lazy
            return lazy(n)
        @step
        def words(where="x"):
            return [where, *WORDS]
        def check_words(words):
            assert words
    """,
    "pipeline_c.py": """
        from pipeline_a import a
        from stepcache import step
        @step
        def c(a):
            return a + 1
        @step
        def read(n=1):
            return Path("data.txt").read_text() * n
        from pathlib import Path
    """,
    "words.txt": "u v",
    "data.txt": "1",
}
# What one file does to another while it is imported: then all files are imported together.
LOUD = {
    "lib1.py": FILES["lib1.py"] + "        TABLE = {}\n",
    "pipeline_d.py": "import lib1\nlib1.TABLE['d'] = 1\n",
    "pipeline_e.py": "import lib1\nfrom stepcache import step\n@step\ndef e():\n    return dict(lib1.TABLE)\n",
}
EDITS = [
    ("lib1.py", "SIZE = ", "123"), ("lib1.py", "n = ", "12"), ("lib1.py", 'NAMES = ("x", "', "yz"),
    ("lib2.py", "BASE = ", "123"), ("lib3.py", "x - ", "12"), ("stepconf.py", "k=", "12"), ("stepconf.py", "return ", "78"),
    ("pipeline_a.py", "N = ", "23"), ("pipeline_c.py", "a + ", "12"), ("pipeline_d.py", "['d'] = ", "12"),
    ("words.txt", "u ", "vw"), ("data.txt", "", "12"), ("lib2.py", "", "#B"), ("pipeline_b.py", "", "#\n"),
]  # fmt: skip
ASKED = [
    [], [], ["-k", "a or b"], ["pipeline_c.py"], ["-P", "n=3"], ["-P", "kind=y"], ["pipeline_a.py", "pipeline_b.py"],
    ["--plan"], ["-n", "2"], ["-k", "not c"], ["--lf"],
]  # fmt: skip


def edited(text: str, before: str, choices: str, chance: random.Random) -> str:
    """*text* with another character after *before*, or the same."""
    at = text.find(before) + len(before)
    return text[:at] + chance.choice(choices) + text[at + (1 if before or text.isdigit() else 0) :]


def asked(project: Project, root: Path, arguments: list[str], **environment: str) -> dict[str, object]:
    report = root.parent / "asked.json"
    report.unlink(missing_ok=True)
    os.chdir(root)
    done = project.command(*arguments, f"--json={report}", env=environment)
    assert report.exists(), done.stdout + done.stderr
    rows = json.loads(report.read_text())["nodes"]
    return {row["id"]: (row["outcome"], row["digest"], row["why"]) for row in rows}


@pytest.mark.parametrize("seed", range(int(os.environ.get("STEPCACHE_TEST_SEEDS", "1"))))
def test_what_is_known_is_what_is_there(stepcache_project: Project, seed: int) -> None:
    """STEPCACHE_TEST_SEEDS says how many sequences are tried."""
    project, chance = stepcache_project, random.Random(seed)
    files = {**FILES, **(LOUD if seed % 4 == 3 else {})}
    for name, text in files.items():
        project.write(name, text)
    other = project.path.parent / "other" / "project"
    for _ in range(6):
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(project.path, other)
        arguments = chance.choice(ASKED)
        known = asked(project, project.path, arguments)
        # Another environment has no snapshot: all is collected anew.
        anew = asked(project, other, arguments, STEPCACHE_DIR=str(other.parent / "cache"), ANEW=str(chance.random()))
        assert known == anew
        name, before, choices = chance.choice([each for each in EDITS if each[0] in files])
        path = project.path / name
        path.write_text(edited(path.read_text(), before, choices, chance))
