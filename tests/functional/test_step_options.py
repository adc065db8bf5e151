"""The options of @step: what each counts for, and that changing those that are not in the key runs nothing."""

from __future__ import annotations

import time

import pytest

import stepcache
from stepcache.testing import Project

HEAD = "from datetime import timedelta\nfrom pathlib import Path\nfrom stepcache import *\nimport os\n"


def write(project: Project, text: str) -> None:
    project.write("pipeline_x.py", HEAD + text)


def why(project: Project, *arguments: str) -> list[str]:
    """The reasons of the step `a`; none where it was a hit."""
    result = project.run(*arguments)
    assert result.exit_code == 0, result.stdout + result.stderr
    return result.reasons.get("pipeline_x.py::a", [])


PLAIN = "@step\ndef a():\n    return 1\n"


def test_a_version_is_in_the_key_and_an_older_one_is_a_hit_again(stepcache_project: Project) -> None:
    project = stepcache_project
    write(project, PLAIN)
    assert why(project) == ["new"]
    project.edit("pipeline_x.py", "@step", "@step(version='2')")
    assert why(project) == ["version: changed"]
    project.edit("pipeline_x.py", "'2'", "'3'")
    assert why(project) == ["version: changed"]
    project.edit("pipeline_x.py", "(version='3')", "")
    assert why(project) == []


@pytest.mark.parametrize("given", ["'1s'", "timedelta(seconds=1)", "1", "1.0", "'1000ms'"])
def test_what_is_older_than_expires_runs_again(stepcache_project: Project, given: str) -> None:
    project = stepcache_project
    write(project, PLAIN.replace("@step", f"@step(expires={given})"))
    assert why(project) == ["new"]
    time.sleep(1.05)
    assert why(project) == ["expired"]


@pytest.mark.parametrize("given", ["'90s'", "'12h'", "'7d'", "'2w'", "'5min'", "timedelta(days=1)"])
def test_expires_is_looked_at_and_not_in_the_key(stepcache_project: Project, given: str) -> None:
    project = stepcache_project
    write(project, PLAIN)
    why(project)
    project.edit("pipeline_x.py", "@step", f"@step(expires={given})")
    assert why(project) == []
    project.edit("pipeline_x.py", given, "'0s'")
    assert why(project) == ["expired"]


READS = "@step(reads=['d.txt', '//data/*.csv', 'env:REGION', Path('more.txt')])"


def test_each_of_reads_counts(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = stepcache_project
    project.write("jobs/pipeline_x.py", HEAD + PLAIN.replace("@step", READS))
    project.write("jobs/d.txt", "1")
    project.write("data/1.csv", "1")

    def reasons() -> list[str]:
        return project.run().reasons.get("jobs/pipeline_x.py::a", [])

    assert reasons() == ["new"]
    assert reasons() == []
    project.write("jobs/d.txt", "2")
    assert reasons() == ["file: d.txt"]
    project.write("data/2.csv", "1")
    assert reasons() == ["file: //data/*.csv"]
    project.write("data/1.csv", "2")
    assert reasons() == ["file: //data/*.csv"]
    project.write("jobs/more.txt", "1")
    assert reasons() == ["file: more.txt"]
    monkeypatch.setenv("REGION", "north")
    assert reasons() == ["env: REGION"]
    monkeypatch.delenv("REGION")
    assert reasons() == []


def test_reads_that_are_added_do_not_rest_on_what_was_made_without_them(stepcache_project: Project) -> None:
    project = stepcache_project
    write(project, PLAIN)
    project.write("d.txt", "1")
    why(project)
    project.write("d.txt", "2")
    project.edit("pipeline_x.py", "@step", "@step(reads=['d.txt'])")
    assert why(project) == ["file: d.txt"]
    assert why(project) == []
    project.write("d.txt", "3")
    assert why(project) == ["file: d.txt"]
    project.edit("pipeline_x.py", "(reads=['d.txt'])", "")
    assert why(project) == []


def test_reads_that_are_given_silence_the_notice_even_if_there_are_none(stepcache_project: Project) -> None:
    project = stepcache_project
    write(project, "@step\ndef a():\n    import subprocess\n    return subprocess.run(['/bin/true']).returncode")
    notice = "pipeline_x.py::a: what the program it starts (true) reads is not seen: declare it with `reads=` "
    assert notice + "(`reads=()` if it reads nothing)" in project.run().lines
    project.edit("pipeline_x.py", "@step", "@step(reads=())")
    assert not [line for line in project.run("--cache-refresh").lines if "is not seen" in line]


IGNORING = """
@step(ignore=["workers", "env:TMPX", "file:log*.txt"])
def a(workers=3, n=1):
    os.environ.get("TMPX")
    path = Path("log1.txt")
    path.exists() and path.read_text()
    return n
"""


@pytest.mark.parametrize("from_the_start", [True, False])
def test_what_is_ignored_does_not_count(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch, from_the_start: bool
) -> None:
    project = stepcache_project
    ignoring = '"workers", ' if from_the_start else ""
    options = f'(ignore=[{ignoring}"env:TMPX", "file:log*.txt"])'
    write(
        project,
        IGNORING.replace('(ignore=["workers", "env:TMPX", "file:log*.txt"])', options if from_the_start else ""),
    )
    assert why(project) == ["new"]
    if not from_the_start:
        project.edit("pipeline_x.py", "@step", f"@step{options}")
    monkeypatch.setenv("TMPX", "1")
    assert why(project) == []
    for text in ("1", "2"):
        project.write("log1.txt", text)
        assert why(project) == []
    assert why(project, "-P", "workers=5") == ([] if from_the_start else ["setting: workers 3 -> 5"])
    assert "setting: n 1 -> 2" in why(project, "-P", "n=2")


def test_takes_makes_two_steps_of_one_function(stepcache_project: Project) -> None:
    project = stepcache_project
    write(
        project,
        "@step\ndef train():\n    return [1]\n@step\ndef test():\n    return [2]\n"
        "def clean(df):\n    return [x * 2 for x in df]\n"
        "train_clean = step(clean, name='train_clean', takes={'df': 'train'})\n"
        "test_clean = step(clean, name='test_clean', takes={'df': 'test'})\n"
        "@pipeline(builds=['test_clean'])\ndef both(train_clean):\n    return train_clean\n",
    )
    run = stepcache.run(check=True)
    assert (run["both"], run["test_clean"]) == ([2], [4])
    assert sorted(row["id"].partition("::")[2] for row in run.nodes) == [
        "both", "test", "test_clean", "train", "train_clean",
    ]  # fmt: skip
    project.edit("pipeline_x.py", "'df': 'test'", "'df': 'train'")
    assert set(project.run().outcomes.values()) == {"cached"}  # the same code of the same value
    project.edit("pipeline_x.py", "builds=['test_clean']", "builds=[train]")
    assert set(project.run().outcomes.values()) == {"cached"}


OTHERS = [
    "codec='pickle'",
    "enable_cache=True",
    "save_to='x.json'",
    "expires='7d'",
    "takes={}",
    "ignore=[]",
    "reads=()",
]


@pytest.mark.parametrize("option", OTHERS)
def test_options_that_are_not_in_the_key_run_nothing(stepcache_project: Project, option: str) -> None:
    project = stepcache_project
    write(project, PLAIN)
    why(project)
    project.edit("pipeline_x.py", "@step", f"@step({option})")
    assert why(project) == []


@pytest.mark.parametrize(("params", "said"), [({1: 2}, "{1: 2}"), ([1], "[1]")])
def test_params_that_are_no_names(stepcache_project: Project, params: object, said: str) -> None:
    write(stepcache_project, PLAIN)
    with pytest.raises(stepcache.UsageError) as caught:
        stepcache.run(params=params)  # type: ignore[arg-type]
    assert str(caught.value) == f"params= maps names to values, not {said}"
