"""How a failed check is shown: as pytest shows a failed test, with the values that were compared."""

from __future__ import annotations

import pytest

import stepcache
from stepcache import introspect
from stepcache.testing import Project, Result

FAILS = 'assert raw == {"a": 1, "b": [1, 2, 4]}'

PIPELINE = f"""
    import os
    from stepcache import pipeline, step
    from helpers import same

    @step
    def raw(n=1):
        return {{"a": n, "b": [1, 2, 3]}}

    def check_raw(raw):
        print("seen by the check")
        {FAILS}
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("helpers.py", "def same(a, b):\n    assert a == b\n")
    stepcache_project.write("pipeline_x.py", PIPELINE)
    return stepcache_project


def failures(result: Result) -> str:
    """What stands between the title of the failures and the short summary."""
    text = result.stdout.partition(" FAILURES ")[2].partition("\n")[2]
    return text.partition("\n=======")[0]


def test_values_and_differences_are_shown(project: Project) -> None:
    title, _, rest = failures(project.run()).partition("\n")
    assert title.strip("_") == " pipeline_x.py::check_raw "
    assert rest.splitlines() == [
        "",
        "raw = {'a': 1, 'b': [1, 2, 3]}",
        "",
        "    def check_raw(raw):",
        '        print("seen by the check")',
        f">       {FAILS}",
        "E       AssertionError: assert {'a': 1, 'b': [1, 2, 3]} == {'a': 1, 'b': [1, 2, 4]}",
        "E",
        "E         Omitting 1 identical items, use -vv to show",
        "E         Differing items:",
        "E         {'b': [1, 2, 3]} != {'b': [1, 2, 4]}",
        "E         Use -v to get more diff",
        "",
        "pipeline_x.py:11: AssertionError",
        "------------------------------- Captured stdout --------------------------------",
        "seen by the check",
    ]


def test_with_vv_the_whole_difference(project: Project) -> None:
    lines = failures(project.run("-vv")).splitlines()
    assert "E         Full diff:" in [line.partition(" (")[0] for line in lines]
    assert [line for line in lines if line.startswith(("E         -", "E         +"))] == [
        "E         -         4,", "E         +         3,",
    ]  # fmt: skip


def test_helpers_in_other_modules_are_introspected(project: Project) -> None:
    project.edit("pipeline_x.py", FAILS, 'same(raw["a"], 2)')
    text = failures(project.run())
    assert "    def same(a, b):\n>       assert a == b\nE       assert 1 == 2\n\nhelpers.py:2: AssertionError" in text


def test_the_summary_and_the_report_say_the_values(project: Project) -> None:
    project.edit("pipeline_x.py", FAILS, 'assert raw["a"] == 2')
    result = project.run()
    assert "FAILED pipeline_x.py::check_raw - assert 1 == 2" in result.lines
    (row,) = [row for row in result.nodes if row["outcome"] == "failed"]
    assert row["error"] == "assert 1 == 2"


@pytest.mark.parametrize(
    ("style", "shown"),
    [
        ("short", f"pipeline_x.py:11: in check_raw\n    {FAILS}\nE   AssertionError: assert {{'a': 1, 'b'"),
        ("line", "pipeline_x.py:11: assert {'a': 1, 'b': [1, 2, 3]} == {'a': 1, 'b': [1, 2, 4]}"),
        ("native", 'pipeline_x.py", line 11, in check_raw'),
    ],
)
def test_in_every_style(project: Project, style: str, shown: str) -> None:
    assert shown in failures(project.run(f"--tb={style}"))


def test_local_variables(project: Project) -> None:
    project.edit("pipeline_x.py", FAILS, f"rows = [1, 2]\n    {FAILS}")
    assert "\nrows       = [1, 2]\n" in failures(project.run("-l"))


def test_all_failed_checks_go_through_one_child(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(
        "pipeline_x.py",
        PIPELINE
        + """
    def check_other(raw):
        assert raw["a"] == 3

    def check_good(raw):
        with open(os.environ["COUNT"], "a") as file:
            file.write("x")
    """,
    )
    count = project.path / "count"
    monkeypatch.setenv("COUNT", str(count))
    started: list[object] = []
    run = introspect.subprocess.run
    monkeypatch.setattr(introspect.subprocess, "run", lambda *a, **k: (started.append(a), run(*a, **k))[1])
    text = failures(project.run())
    assert len(started) == 1
    assert "E       assert 1 == 3" in text
    assert "E         Differing items:" in text
    assert count.read_text() == "x"


def test_values_come_from_the_cache(project: Project) -> None:
    """The step is not run again: its value would be another."""
    project.edit("pipeline_x.py", '{"a": n, "b": [1, 2, 3]}', "os.urandom(4)")
    project.edit("pipeline_x.py", FAILS, "assert raw == b''")
    result = project.run()
    value = stepcache.load("pipeline_x.py::raw")
    assert f"assert {value!r} == b''" in failures(result)


@pytest.mark.parametrize("flag", ["--no-cache", "--cache=readonly"])
@pytest.mark.parametrize("size", [1, 200_000])
def test_without_a_cache_the_values_are_handed_over(project: Project, flag: str, size: int) -> None:
    project.edit("pipeline_x.py", '{"a": n, "b": [1, 2, 3]}', f"os.urandom({size})")
    project.edit("pipeline_x.py", FAILS, f"assert len(raw) == {size} + 1")
    assert f"assert {size} == ({size} + 1)" in failures(project.run(flag))


def test_settings_resources_and_variants_are_those_of_the_run(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import All, parametrize, resource, step

        @resource
        def limit(most=3):
            yield most

        @step
        @parametrize("n", [1, 2])
        def part(n):
            return n

        def check_part(part, limit, tmp_path, request, least=0):
            assert tmp_path.is_dir()
            assert (part, limit, least, request.variant) == ()

        def check_all(part: All):
            assert dict(part) == {}
        """,
    )
    text = failures(project.run("-P", "most=7", "-P", "least=5"))
    assert "assert (1, 7, 5, '1') == ()" in text
    assert "assert (2, 7, 5, '2') == ()" in text
    assert "assert {'1': 1, '2': 2} == {}" in text


def test_from_another_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("data/here.txt")
    monkeypatch.chdir(project.path / "data")
    text = failures(project.run("..", "--tb=short"))
    assert "\npipeline_x.py:11: in check_raw\n" in text
    assert "Differing items" in text


def test_options_from_elsewhere_do_not_reach_the_child(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.configure('addopts = ["-k", "check_raw"]')
    monkeypatch.setenv("STEPCACHE_ADDOPTS", "--ff")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    assert "Differing items" in failures(project.run())


def test_a_check_that_passes_the_second_time_keeps_what_it_said(project: Project) -> None:
    project.edit(
        "pipeline_x.py", FAILS, "there = os.path.exists('again')\n    open('again', 'w').close()\n    assert there"
    )
    assert ">       assert there\nE       assert there\n" in failures(project.run())


def test_a_child_that_dies_leaves_the_plain_traceback(project: Project) -> None:
    project.edit(
        "pipeline_x.py", 'print("seen by the check")', "os.path.exists('again') and os._exit(3); open('again', 'w')"
    )
    assert f"E       {FAILS}" in failures(project.run())


def test_what_is_no_assertion_needs_no_child(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("pipeline_x.py", FAILS, 'raw["none"]')
    monkeypatch.setattr(introspect.subprocess, "run", None)
    assert "E       KeyError: 'none'" in failures(project.run())


def test_nothing_of_pytest_is_loaded_when_all_pass(project: Project) -> None:
    project.edit("pipeline_x.py", '"b": [1, 2, 4]', '"b": [1, 2, 3]')
    told = project.python(
        "-c",
        "import sys; from stepcache.cli import main; main(['-q']); "
        "print({'pytest', 'subprocess', 'stepcache.introspect'} & {*sys.modules})",
    )
    assert told.stdout.splitlines()[-1] == "set()"


def test_warning_checks_are_told_alike(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_raw", "@check(warn=True)\ndef check_raw")
    project.edit("pipeline_x.py", "import pipeline", "import check, pipeline")
    result = project.run()
    assert result.exit_code == 0
    assert "E         Differing items:" in result.lines


def test_frames_are_told_by_what_compares_them(project: Project) -> None:
    pytest.importorskip("pandas")
    project.write(
        "pipeline_x.py",
        """
        import pandas as pd
        from stepcache import step

        @step
        def table():
            return pd.DataFrame({"a": [1, 2]})

        def check_table(table):
            assert table["a"].tolist() == [1, 3]

        def check_equal(table):
            pd.testing.assert_frame_equal(table, pd.DataFrame({"a": [1, 3]}))
        """,
    )
    text = failures(project.run("--tb=short"))
    assert "E   assert [1, 2] == [1, 3]" in text
    assert 'DataFrame.iloc[:, 0] (column name="a") values are different (50.0 %)' in text
