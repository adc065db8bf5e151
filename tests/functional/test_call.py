"""`stepcache.testing.call`: one step, with values given or taken from a run."""

from __future__ import annotations

import pytest

from stepcache.testing import Project

PIPELINE = """
    from pathlib import Path
    from stepcache import All, File, parametrize, resource, step

    @resource
    def ends():
        made = []
        yield made
        made.append("closed")

    @step
    def raw(path=File("data.txt")):
        return path.read_text().split()

    @step
    def rows(raw, ends, limit: int = 2):
        ends.append(limit)
        return raw[:limit]

    @step
    @parametrize("depth", [1, 2])
    def model(rows, depth):
        return [depth] * len(rows)

    @step
    def score(model):
        return sum(model)

    @step
    def best(score: All):
        return dict(score)

    @step
    def lines(rows):
        yield from rows

    @step
    async def later(rows):
        return len(rows)

    @step
    def report(rows, tmp_path):
        (tmp_path / "report.txt").write_text(" ".join(rows))
        return tmp_path / "report.txt"

    @step
    def needs(something, rows):
        return something

    @step
    def lost(nowhere):
        return 1
"""

SCRIPT = """
import pipeline_x as p
from stepcache.testing import call
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    stepcache_project.write("data.txt", "a b c d")
    return stepcache_project


def test_values_are_given_or_come_from_a_run(project: Project) -> None:
    project.run("pipeline_x.py::rows")
    project.write(
        "use.py",
        SCRIPT
        + """
assert call(p.rows) == ["a", "b"]
assert call(p.rows, limit=3) == ["a", "b", "c"]
assert call(p.rows, raw=["x"]) == ["x"]
mine = []
assert call(p.rows, raw=["x"], ends=mine, limit=0) == []
assert mine == [0]
assert call(p.model, depth=2) == [2, 2] and call(p.model, depth=7) == [7, 7]
assert call(p.model, depth=1, limit=3) == [1, 1, 1]
assert call(p.score, model=[3]) == 3
assert call(p.score, depth=2) == 4
assert call(p.best) == {"1": 2, "2": 4}
assert call(p.best, score={"1": 0}) == {"1": 0}
stream = call(p.lines)
assert list(stream) == list(stream) == ["a", "b"]
assert call(p.later) == 2
assert call(p.report).read_text() == "a b"
assert call(p.needs, something=[1]) == [1]
assert call(p.raw, path="other.txt") == ["z"]
""",
    )
    project.write("other.txt", "z")
    result = project.python("use.py")
    assert result.stderr == ""
    assert project.run("pipeline_x.py::later").ran == ["later"]  # nothing of it was stored


def test_a_given_value_is_not_changed(project: Project) -> None:
    project.write(
        "pipeline_y.py", "from stepcache import step\n@step\ndef grow(rows):\n    rows.append(1)\n    return rows\n"
    )
    project.write(
        "use.py",
        "import pipeline_y as p\nfrom stepcache.testing import call\nrows = []\n"
        "assert call(p.grow, rows=rows) == [1] and rows == []\n",
    )
    assert project.python("use.py").stderr == ""


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (
            "p.score",
            "UsageError",
            "call(score): which variant? there are score[1], score[2]: give depth=",
        ),
        ("p.rows, limits=3", "UsageError", "params=: no step has a setting 'limits': did you mean limit?"),
        ("p.lost", "CollectionFailed", "pipeline_x.py:49: step 'lost' wants 'nowhere', and nothing provides it"),
    ],
)
def test_what_cannot_be_called(project: Project, asked: str, error: str, message: str) -> None:
    project.write("use.py", SCRIPT + f"call({asked})\n")
    last = [
        line for line in project.python("use.py").stderr.splitlines() if line.startswith(f"stepcache.errors.{error}")
    ]
    assert last[0] == f"stepcache.errors.{error}: {message}"


def test_a_mapped_step_is_called_for_one_element_or_for_all_of_a_run(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_m.py",
        """
        from stepcache import Each, step

        @step
        def docs(n=3):
            return list(range(n))

        @step(takes={"doc": "docs"})
        def size(doc: Each, by=2):
            return doc * by
        """,
    )
    done = project.python(
        "-c",
        "from stepcache.testing import call\nimport pipeline_m as p\nprint(call(p.size, doc=7), call(p.size, by=3, n=2))",
    )
    assert done.stdout == "14 [0, 3]\n", done.stderr
