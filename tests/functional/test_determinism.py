"""`--check-determinism`: each selected step twice in fresh processes, and where what it gives differs."""

from __future__ import annotations

import stepcache
from stepcache.testing import Project

STEPS = """
    import os
    from stepcache import Each, pipeline, step

    @step
    def words():
        return ["one", "two", "three", "four"]

    @step
    def mixed(words):
        return {"a": list({*words}), "n": len(words)}

    @step
    async def lengths(words):
        return [len(word) for word in words]

    @step(takes={"word": "words"})
    def each(word: Each):
        return word if word != "two" else os.getpid()

    @step
    def live():
        return lambda: 1

    def check_words(words):
        assert words

    @pipeline
    def whole(mixed, lengths, each):
        return lengths
"""


def test_steps_that_give_two_values_are_named_with_the_first_difference(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", STEPS)
    result = stepcache_project.run("--check-determinism")
    assert result.exit_code == 1
    at = result.lines.index(next(line for line in result.lines if "= determinism =" in line))
    mixed, each, last = result.lines[at + 1 : at + 4]
    assert mixed.startswith("pipeline_x.py::mixed is not deterministic: ['a'][")
    assert each.startswith("pipeline_x.py::each is not deterministic: [1]: ")
    assert last == "3 steps gave the same value twice"
    told = {row["id"].partition("::")[2]: row.get("determinism") for row in result.nodes}
    assert told["words"] == {"same": True, "told": None}
    assert told["mixed"]["same"] is False
    assert told["mixed"]["told"] in mixed
    assert told["check_words"] is None

    again = stepcache_project.run()
    assert set(again.outcomes.values()) == {"cached"}, "nothing of it was stored, and all of the run was"
    assert all("determinism" not in row for row in again.nodes)


def test_only_those_that_were_chosen_are_run_twice_from_the_cache_or_not(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", STEPS)
    stepcache.run()
    before = stepcache.load("pipeline_x.py::mixed")
    for arguments in (("pipeline_x.py::lengths",), ("-k", "lengths")):
        result = stepcache_project.run("--check-determinism", *arguments)
        assert result.exit_code == 0, result.stdout
        assert [row["id"] for row in result.nodes if "determinism" in row] == ["pipeline_x.py::lengths"]
        assert "1 step gave the same value twice" in result.lines
    result = stepcache_project.run("--check-determinism", "pipeline_x.py::mixed")
    assert (result.exit_code, result.outcomes["pipeline_x.py::mixed"]) == (1, "cached")
    assert stepcache.load("pipeline_x.py::mixed") == before


def test_what_cannot_be_compared_is_told_and_one_that_fails_the_second_time_fails(stepcache_project: Project) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        from pathlib import Path
        from stepcache import step

        @step
        def live():
            return lambda: 1

        @step
        def once():
            if Path({str(log)!r}).exists():
                raise ValueError("a second time")
            Path({str(log)!r}).touch()
        """,
    )
    result = stepcache_project.run("--check-determinism")
    assert result.exit_code == 1
    told = {row["id"].partition("::")[2]: row["determinism"] for row in result.nodes}
    assert told["live"]["same"] is None
    assert "cannot be stored" in told["live"]["told"]
    assert any(line.startswith("pipeline_x.py::live was not compared: ") for line in result.lines)
    assert told["once"] == {"same": False, "told": "it failed: ValueError: a second time"}
    assert "pipeline_x.py::once is not deterministic: it failed: ValueError: a second time" in result.lines
