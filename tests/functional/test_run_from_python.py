"""Running from Python: `run`, `NAME.run`, `load`, and what they give back."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

import stepcache
from stepcache import CollectionFailed, NotCached, StepFailed, UsageError
from stepcache.testing import Project

FLIGHTS = """
    from stepcache import All, parametrize, pipeline, step

    @step
    def raw(rows=3):
        return list(range(rows))

    @step
    @parametrize("depth", [3, 5])
    def model(raw, depth, seed=0):
        return sum(raw) * depth + seed

    @step
    def best(model: All):
        return max(model.values())

    def check_raw(raw):
        assert raw

    @pipeline
    def report(best, raw):
        return {"best": best, "rows": len(raw)}
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", FLIGHTS)
    return stepcache_project


def outcomes(run: stepcache.Run) -> dict[str, str]:
    return {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes}


# --- what a run gives


def test_run_gives_values_by_name_id_and_variant(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    run = stepcache.run("pipeline_x.py")
    assert run.exit_code == 0
    assert run["report"] == {"best": 15, "rows": 3}
    assert run["pipeline_x.py::report"] == {"best": 15, "rows": 3}
    assert run["model[3]"] == run["pipeline_x.py::model[3]"] == 9
    assert dict(run["model"]) == dict(run["pipeline_x.py::model"]) == {"3": 9, "5": 15}
    assert run["model"].params == {"3": {"depth": 3}, "5": {"depth": 5}}
    assert run.table("model") == [{"depth": 3, "seed": 0, "value": 9}, {"depth": 5, "seed": 0, "value": 15}]
    assert run.table("best") == [{"value": 15, **run.table("best")[0]}]
    assert capfd.readouterr() == ("", "")


def test_a_step_with_one_variant_is_still_a_mapping(project: Project) -> None:
    run = stepcache.run("pipeline_x.py::model[5]")
    assert dict(run["model"]) == {"5": 15}
    assert run["model[5]"] == 15


def test_what_is_not_in_the_run(project: Project) -> None:
    run = stepcache.run("pipeline_x.py")
    with pytest.raises(KeyError) as wrong:
        run["reprot"]
    assert wrong.value.args == ("no node 'reprot' in this run: did you mean 'report'?",)
    with pytest.raises(KeyError) as wrong:
        run["zzz"]
    assert wrong.value.args == ("no node 'zzz' in this run",)
    project.write(
        "pipeline_y.py",
        """
        from stepcache import Each, step

        @step
        def rows():
            return [1, 2]

        @step(takes={"row": "rows"})
        def twice(row: Each):
            return row * 2
        """,
    )
    with pytest.raises(KeyError) as wrong:
        stepcache.run("pipeline_y.py::twice[1]")["twice"]
    assert wrong.value.args == ("no node 'twice' in this run: did you mean 'twice[1]'?",)


def test_a_name_that_two_files_define(project: Project) -> None:
    project.write("pipeline_y.py", "from stepcache import step\n@step\ndef raw():\n    return 'y'\n")
    run = stepcache.run()
    assert run["pipeline_y.py::raw"] == "y"
    with pytest.raises(KeyError) as wrong:
        run["raw"]
    assert wrong.value.args == (
        "'raw' is in this run more than once: ask for one of pipeline_x.py::raw, pipeline_y.py::raw",
    )


def test_nodes_are_the_rows_of_the_json_report(project: Project) -> None:
    (row,) = stepcache.run("pipeline_x.py::raw", "--no-checks").nodes
    assert set(row) == {
        "id", "kind", "outcome", "seconds", "why", "key", "digest", "outputs", "bytes", "stored_bytes", "elements",
        "needs", "error",
    }  # fmt: skip
    assert (row["id"], row["kind"], row["outcome"]) == ("pipeline_x.py::raw", "step", "ran")
    assert row["why"] == [{"kind": "new", "what": None, "was": None, "now": None}]


def test_why(project: Project) -> None:
    stepcache.run()
    run = stepcache.run(params={"seed": 1})
    assert run.why("model[3]") == ["setting: seed 0 -> 1"]
    assert run.why("best") == ["input: model[3]", "input: model[5]"]
    assert run.why("raw") == []


def test_repr(project: Project) -> None:
    assert repr(stepcache.run("pipeline_x.py::best")) == "<Run: 4 ran, 1 passed>"


# --- what can be asked for


def test_params_are_never_converted(project: Project) -> None:
    project.write("pipeline_y.py", "from stepcache import step\n@step\ndef a(n=1):\n    return n\n")
    assert stepcache.run("pipeline_y.py", params={"n": "2"})["a"] == "2"
    assert stepcache.run("pipeline_y.py", params={"a.n": None})["a"] is None


def test_a_generator_that_is_given_is_there_for_all_that_take_it(project: Project) -> None:
    project.write(
        "pipeline_y.py",
        """
        from stepcache import Each, step

        @step
        def rows():
            yield 1

        @step
        def total(rows):
            return sum(rows)

        @step
        def count(rows):
            return len(rows)

        @step(takes={"row": "rows"})
        def twice(row: Each):
            return row * 2
        """,
    )
    run = stepcache.run("pipeline_y.py", values={"rows": (number for number in (5, 6))})
    assert (run["rows"], run["total"], run["count"], run["twice"]) == ([5, 6], 11, 2, [10, 12])


def test_unknown_params_and_values_are_errors(project: Project) -> None:
    with pytest.raises(UsageError) as wrong:
        stepcache.run(params={"sed": 1})
    assert str(wrong.value) == "params=: no step has a setting 'sed': did you mean seed?"
    with pytest.raises(UsageError) as wrong:
        stepcache.run(values={"rwa": 1})
    assert str(wrong.value) == "values=: there is no step 'rwa'; did you mean 'raw'?"
    with pytest.raises(UsageError) as wrong:
        stepcache.run(values={"zzz": 1})
    assert str(wrong.value) == "values=: there is no step 'zzz'"


def test_select_and_profile(project: Project) -> None:
    project.configure("[tool.stepcache.profile.small.params]\nrows = 2\n")
    run = stepcache.run(select="model and 5", profile="small")
    assert outcomes(run) == {"raw": "ran", "check_raw": "passed", "model[5]": "ran"}
    assert run["model[5]"] == 5


def test_values_are_given_and_nothing_below_them_is_stored(project: Project) -> None:
    run = stepcache.run(values={"raw": [10]})
    assert outcomes(run) == {
        "raw": "given", "check_raw": "passed", "model[3]": "ran", "model[5]": "ran", "best": "ran", "report": "ran",
    }  # fmt: skip
    assert run["report"] == {"best": 50, "rows": 1}
    again = stepcache.run(values={"raw": [10]})
    assert {o for n, o in outcomes(again).items() if n != "raw"} == {"ran", "passed"}
    assert set(outcomes(stepcache.run()).values()) == {"ran", "passed"}
    assert project.run("--cache-show").lines[-2].startswith("6 entries")


def test_a_given_value_spares_what_it_needs(project: Project) -> None:
    project.write(
        "pipeline_y.py",
        """
        from stepcache import step

        @step
        def slow():
            raise RuntimeError("must not run")

        @step
        def middle(slow):
            return slow

        @step
        def last(middle):
            return middle + 1
        """,
    )
    run = stepcache.run("pipeline_y.py::last", values={"middle": 1})
    assert (run.exit_code, run["last"]) == (0, 2)
    assert outcomes(run) == {"middle": "given", "last": "ran"}


def test_a_given_value_that_no_codec_takes(project: Project) -> None:
    import threading

    lock = threading.Lock()
    project.write(
        "pipeline_y.py",
        "from stepcache import step\n@step\ndef a(): ...\n@step\ndef b(a):\n    return type(a).__name__\n",
    )
    assert stepcache.run("pipeline_y.py", values={"a": lock})["b"] == "lock"


def test_a_given_values_variants(project: Project) -> None:
    assert stepcache.run("pipeline_x.py::best", values={"model": 7})["best"] == 7


def test_cache_dir(project: Project) -> None:
    stepcache.run(cache_dir=project.path / "mine")
    assert (project.path / "mine" / "CACHEDIR.TAG").exists()
    assert not project.cache.exists()
    assert stepcache.load("pipeline_x.py::best", cache_dir="mine") == 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, 'workers= takes a number from 1 on, "auto" or None, not 0'),
        ({"executor": "dask"}, "--executor=dask: there is no such executor: there are inline, process"),
        ({"enable_cache": "no"}, "enable_cache= takes True, False or None, not 'no'"),
    ],
)
def test_wrong_options(project: Project, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as wrong:
        stepcache.run(**options)  # type: ignore[arg-type]
    assert str(wrong.value) == message


# --- what goes wrong

BROKEN = """
    from stepcache import pipeline, step

    @step
    def fine():
        return 1

    @step
    def bad(fine):
        raise ValueError("it is bad")

    @pipeline
    def whole(bad): ...
"""


def test_a_failure_is_told_and_raised_only_where_asked(project: Project) -> None:
    project.write("pipeline_x.py", BROKEN)
    run = stepcache.run()
    assert run.exit_code == 1
    assert outcomes(run) == {"fine": "ran", "bad": "failed", "whole": "blocked"}
    assert run.nodes[1]["error"] == "ValueError: it is bad"
    assert run["fine"] == 1
    for name, why in (("bad", "failed: ValueError: it is bad"), ("whole", "blocked by pipeline_x.py::bad")):
        with pytest.raises(KeyError) as missing:
            run[name]
        assert missing.value.args == (f"pipeline_x.py::{name} has no value: it is {why}",)
    with pytest.raises(StepFailed) as wrong:
        stepcache.run(check=True)
    assert str(wrong.value) == "pipeline_x.py::bad failed: ValueError: it is bad"
    assert type(wrong.value.__cause__) is ValueError
    assert wrong.value.__cause__.args == ("it is bad",)
    begin = wrong.value.__cause__.__traceback__
    assert begin is not None
    assert begin.tb_frame.f_code.co_name == "bad"  # nothing of ours stands before the body


def test_a_failed_check_is_raised_too(project: Project) -> None:
    project.edit("pipeline_x.py", "assert raw", "assert not raw")
    with pytest.raises(StepFailed) as wrong:
        stepcache.run(check=True)
    assert str(wrong.value) == "pipeline_x.py::check_raw failed: assert not raw"
    assert type(wrong.value.__cause__) is AssertionError
    run = stepcache.run()
    assert run["raw"] == [0, 1, 2]
    assert stepcache.load("pipeline_x.py::raw") == [0, 1, 2]


def test_collection_errors(project: Project) -> None:
    project.write("pipeline_x.py", "from stepcache import step\n@step\ndef a(b):\n    return b\n")
    run = stepcache.run()
    assert run.exit_code == 2
    (error,) = run.errors
    assert error["id"] == "pipeline_x.py::a"
    assert run.nodes == []
    with pytest.raises(CollectionFailed) as wrong:
        stepcache.run(check=True)
    assert str(wrong.value) == error["message"]


def test_nothing_collected(stepcache_project: Project) -> None:
    run = stepcache.run(check=True)
    assert (run.exit_code, run.nodes, repr(run)) == (5, [], "<Run: nothing ran>")


def test_an_interrupt_is_raised(project: Project) -> None:
    project.write("pipeline_x.py", BROKEN.replace('raise ValueError("it is bad")', "raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        stepcache.run()
    assert project.run("--no-checks", "pipeline_x.py::fine").outcomes == {"pipeline_x.py::fine": "cached"}


# --- NAME.run()

SCRIPT = """
    from pathlib import Path
    from stepcache import StepFailed, pipeline, step

    @step
    def raw(rows=3):
        return list(range(rows))

    @step
    def total(raw):
        return sum(raw)

    @step
    def bad(raw):
        raise ValueError("bad")

    @pipeline
    def whole(total):
        return {"total": total}

    if __name__ == "__main__":
        run = whole.run()
        print("first", run["whole"], [row["outcome"] for row in run.nodes], [row["id"] for row in run.nodes])
        print("again", [row["outcome"] for row in whole.run().nodes])
        print("off", [row["outcome"] for row in whole.run(enable_cache=False).nodes])
        print("params", whole.run(params={"rows": 4})["whole"])
        print("values", whole.run(values={"raw": [7]})["whole"])
        print("step", total.run()["total"])
        print("plain", total([1, 2]))
        try:
            bad.run()
        except StepFailed as error:
            print("failed", error, repr(error.__cause__))
        print("unchecked", bad.run(check=False).exit_code)
"""

PRINTED = """\
first {'total': 3} ['ran', 'ran', 'ran'] ['script.py::raw', 'script.py::total', 'script.py::whole']
again ['cached', 'cached', 'cached']
off ['ran', 'ran', 'ran']
params {'total': 6}
values {'total': 7}
step 3
plain 3
failed script.py::bad failed: ValueError: bad ValueError('bad')
unchecked 1
"""


def test_run_inside_a_script(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("script.py", SCRIPT)
    result = project.python("script.py")
    assert (result.stdout, result.stderr) == (PRINTED, "")
    again = project.python("script.py")
    assert again.lines[0].startswith("first {'total': 3} ['cached', 'cached', 'cached']")
    project.edit("script.py", "sum(raw)", "sum(raw) + 1")
    assert project.python("script.py").lines[0].startswith("first {'total': 4} ['cached', 'ran', 'ran']")


def test_a_scripts_classes_can_be_stored(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "script.py",
        """
        from stepcache import step

        class Model:
            def __init__(self, n):
                self.n = n

        @step
        def model():
            return Model(5)

        @step
        def score(model):
            assert type(model) is Model
            return model.n

        if __name__ == "__main__":
            run = score.run()
            print(run["score"], [row["outcome"] for row in run.nodes], run["model"].n, run.warnings)
        """,
    )
    for outcome in ("ran", "cached"):
        result = project.python("script.py")
        assert result.stdout + result.stderr == f"5 {[outcome] * 2} 5 ()\n"


NOTEBOOK = """
    import linecache, sys

    main = sys.modules["__main__"]
    del main.__file__  # as in a notebook

    def cell(number, text):
        name = f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), main.__dict__)

    SHOW = "run = b.run()\\nprint(run['b'], [row['outcome'] for row in run.nodes], run.nodes[0]['id'])\\n"
    cell(1, "from stepcache import step\\nK = 1\\nclass Box:\\n    def __init__(self, n):\\n        self.n = n\\n")
    cell(2, "@step\\ndef a():\\n    return Box(K)\\n")
    cell(3, "@step\\ndef b(a, extra=0):\\n    assert type(a) is Box\\n    return a.n + extra\\n")
    cell(4, SHOW)
    cell(5, SHOW)
    cell(6, "@step\\ndef b(a, extra=0):\\n    return a.n + extra + 10\\n")
    cell(7, SHOW)
    cell(8, "K = 2\\n")
    cell(9, SHOW)
    cell(10, "K = 1\\n")
    cell(11, SHOW)
    cell(12, "print(b.run(params={'extra': 5})['b'])\\n")
"""


def test_a_notebook(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("notebook.py", NOTEBOOK)
    first = project.python("notebook.py")
    assert (first.stdout, first.stderr) == (
        "1 ['ran', 'ran'] __main__::a\n"
        "1 ['cached', 'cached'] __main__::a\n"
        "11 ['cached', 'ran'] __main__::a\n"
        "12 ['ran', 'ran'] __main__::a\n"
        "11 ['cached', 'cached'] __main__::a\n"
        "16\n",
        "",
    )
    # A new kernel finds what the old one made.
    assert project.python("notebook.py").lines[0] == "1 ['cached', 'cached'] __main__::a"


def test_a_step_imported_into_a_script_runs(project: Project) -> None:
    project.write("script.py", "from pipeline_x import best\nprint(best.run()['best'], best.run().exit_code)\n")
    result = project.python("script.py")
    assert (result.stdout, result.stderr) == ("15 0\n", "")
    assert project.run("pipeline_x.py::best").ran == []


# --- a second run in one process


def test_a_second_run_sees_edited_sources_and_helpers(project: Project) -> None:
    project.write("helper.py", "def double(n):\n    return 2 * n\n")
    project.write(
        "pipeline_x.py",
        """
        from helper import double
        from stepcache import step

        @step
        def a():
            return double(4)

        @step
        def b(a):
            return a + 1
        """,
    )
    assert stepcache.run()["b"] == 9
    assert set(outcomes(stepcache.run()).values()) == {"cached"}
    project.edit("helper.py", "2 * n", "3 * n")
    run = stepcache.run()
    assert (run["b"], run.why("a")) == (13, ["code: helper.py::double"])
    project.edit("pipeline_x.py", "a + 1", "a + 2")
    run = stepcache.run()
    assert (run["b"], outcomes(run)) == (14, {"a": "cached", "b": "ran"})
    project.edit("helper.py", "3 * n", "2 * n")
    assert set(outcomes(stepcache.run()).values()) <= {"cached", "ran"}
    assert stepcache.run()["b"] == 10


def test_an_imported_step_runs_as_it_is_in_the_file_now(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project.path))
    import pipeline_x  # type: ignore[import-not-found]

    assert pipeline_x.best.run()["best"] == 15
    project.edit("pipeline_x.py", "* depth", "* depth + 1")
    assert pipeline_x.best.run()["best"] == 16


# --- load


def test_load_gives_what_is_stored_and_runs_nothing(project: Project) -> None:
    with pytest.raises(NotCached) as wrong:
        stepcache.load("pipeline_x.py::best")
    assert str(wrong.value) == (
        "pipeline_x.py::best: no value is stored for it with these settings; `stepcache pipeline_x.py::best` makes it"
    )
    project.run()
    assert stepcache.load("pipeline_x.py::best") == 15
    assert stepcache.load("pipeline_x.py::model[3]") == 9
    assert dict(stepcache.load("pipeline_x.py::model")) == {"3": 9, "5": 15}
    with pytest.raises(NotCached):
        stepcache.load("pipeline_x.py::best", params={"seed": 9})
    with pytest.raises(NotCached, match=r"`stepcache 'pipeline_x.py::model\[3\]'` makes it"):
        stepcache.load("pipeline_x.py::model[3]", params={"seed": 9})
    project.run("-P", "seed=9")
    assert stepcache.load("pipeline_x.py::best", params={"seed": 9}) == 24


def test_load_of_what_does_not_exist(project: Project) -> None:
    with pytest.raises(UsageError) as wrong:
        stepcache.load("pipeline_x.py::bset")
    assert str(wrong.value) == (
        "pipeline_x.py::bset: there is no such node in pipeline_x.py\n"
        "  did you mean pipeline_x.py::best?\n"
        "  `stepcache --collect-only -q` lists the nodes"
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("pipeline_x.py", "load() takes a node id, such as 'pipeline_x.py::NAME', not 'pipeline_x.py'"),
        (3, "load() takes a node id, such as 'pipeline_x.py::NAME', not 3"),
        ("pipeline_x.py::check_raw", "load('pipeline_x.py::check_raw'): a check has no value"),
    ],
)
def test_load_of_what_has_no_value(project: Project, asked: Any, said: str) -> None:
    project.run()
    with pytest.raises(UsageError) as wrong:
        stepcache.load(asked)
    assert str(wrong.value) == said


def test_load_of_a_damaged_value_runs_nothing(project: Project) -> None:
    project.write("pipeline_y.py", "from stepcache import step\n@step\ndef big():\n    print('ran')\n    return b'x' * 3_000_000 + bytes(range(256)) * 5000\n")  # fmt: skip
    project.run("pipeline_y.py")
    assert len(stepcache.load("pipeline_y.py::big")) == 4_280_000
    (blob,) = [p for p in (project.cache / "blobs").rglob("*") if p.is_file()]
    blob.write_bytes(b"")
    with pytest.raises(NotCached):
        stepcache.load("pipeline_y.py::big")


PATHS = """
    from stepcache import step

    @step
    def report(tmp_path):
        (tmp_path / "report.txt").write_text("hello")
        return tmp_path / "report.txt"
"""


def test_files_that_are_returned_outlive_the_run(project: Project) -> None:
    project.write("pipeline_x.py", PATHS)
    path = stepcache.run()["report"]
    gc.collect()
    assert path.read_text() == "hello"
    assert stepcache.load("pipeline_x.py::report").read_text() == "hello"


def test_nothing_is_left_in_the_temporary_folder(project: Project) -> None:
    project.write("pipeline_x.py", PATHS)
    (project.path / "tmp").mkdir()
    text = """
        import gc, os, stepcache
        run = stepcache.run(enable_cache=False)
        print(run["report"].read_text(), len(os.listdir("tmp")) > 0)
        run = None
        stepcache.load("pipeline_x.py::report") if stepcache.run().exit_code == 0 else None
    """
    project.write("script.py", text)
    result = project.python("script.py", env={"TMPDIR": str(project.path / "tmp")})
    assert (result.stdout, result.stderr) == ("hello True\n", "")
    assert list((project.path / "tmp").iterdir()) == []


# --- steps stay functions


def test_steps_stay_plain_functions(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project.path))
    sys.modules.pop("pipeline_x", None)
    from pipeline_x import best, model, raw, report  # type: ignore[import-not-found]

    assert raw() == [0, 1, 2]
    assert raw(rows=1) == [0]
    assert model([1, 2], 3) == model([1, 2], depth=3) == 9
    assert best({"a": 1, "b": 2}) == 2
    assert report(best=1, raw=[1]) == {"best": 1, "rows": 1}
    assert raw.__name__ == "raw"


def test_a_step_called_inside_a_running_node_warns_once(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def helper(n=1):
            return n

        @step
        def user():
            return [helper(n) for n in range(3)]
        """,
    )
    result = project.run("pipeline_x.py::user")
    assert result.exit_code == 0
    assert "1 warning" in result.lines[-1], result.stdout
    told = [line for line in result.lines if "helper" in line]
    assert len(told) == 1
    assert told[0].endswith(
        "pipeline_x.py:9: StepcacheWarning: step 'helper' was called inside pipeline_x.py::user: its body ran uncached; "
        "take a parameter named 'helper' instead"
    )


def test_async_steps_are_awaited(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        import asyncio
        from stepcache import step

        @step
        async def a():
            await asyncio.sleep(0)
            return 1

        @step
        async def b(a):
            return a + 1
        """,
    )
    assert stepcache.run()["b"] == 2
    assert set(outcomes(stepcache.run()).values()) == {"cached"}


def test_async_steps_where_a_loop_runs_already(project: Project) -> None:
    """As in a notebook."""
    import asyncio

    project.write(
        "pipeline_x.py",
        "import asyncio\nfrom stepcache import step\n@step\nasync def a():\n    await asyncio.sleep(0)\n    return 1\n",
    )

    async def main() -> object:
        return stepcache.run()["a"]

    assert asyncio.run(main()) == 1


def test_main_is_the_command(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert stepcache.main([str(project.path / "pipeline_x.py"), "--capture=sys"]) == 0
    assert "5 ran, 1 passed in" in capsys.readouterr().out
    assert stepcache.main([Path("pipeline_x.py"), "-q"]) == 0
