"""pytest sees every step: as a fixture, and every check as a test."""

from __future__ import annotations

from pathlib import Path

import pytest

import stepcache
import stepcache.pytest_pipelines  # before pytester forgets the modules that were imported in a test

pytest_plugins = ["pytester"]

PIPELINE = """
    import os
    from stepcache import All, check, parametrize, pipeline, resource, step

    def note(name):
        with open(os.environ["NOTES"], "a") as file:
            file.write(name + " ")

    @resource
    def limit():
        '''The limit.'''
        yield 3

    @step
    def raw(n=1):
        '''Raw rows.'''
        note("raw")
        return {"rows": [1, 2, 3], "n": n}

    @step
    def rows(raw):
        note("rows")
        return raw["rows"]

    @step
    @parametrize("k", [1, 2])
    def model(rows, k):
        note(f"model{k}")
        return k * len(rows)

    @step
    def score(model, limit):
        return model - limit

    @step
    def best(score: All):
        return max(score.values())

    def check_rows(rows):
        assert rows == [1, 2, 3]

    @pipeline
    def whole(best):
        return best
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the pipeline, in which `pytester` runs pytest."""
    monkeypatch.setenv("STEPCACHE_DIR", str(pytester.path / "cache"))
    monkeypatch.setenv("NOTES", str(pytester.path / "notes"))
    monkeypatch.setenv("STEPCACHE_KEY", "0123456789abcdef" * 4)
    monkeypatch.delenv("STEPCACHE_KEY_FILE", raising=False)
    pytester.makepyprojecttoml(
        '[tool.stepcache]\n[tool.pytest.ini_options]\nstepcache_pipelines = ["pipelines"]\ntestpaths = ["tests"]\n'
    )
    write(pytester, "pipelines/pipeline_x.py", PIPELINE)
    return pytester


def write(pytester: pytest.Pytester, name: str, text: str) -> Path:
    import textwrap

    path = pytester.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    return path


def noted(pytester: pytest.Pytester) -> list[str]:
    """The bodies that have run since the last time."""
    path = pytester.path / "notes"
    found = path.read_text().split() if path.exists() else []
    path.write_text("")
    return found


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-pno:cacheprovider", "-pno:asyncio", *args)


# --- fixtures


def test_a_step_is_a_fixture_computed_once_and_only_if_asked_for(tests: pytest.Pytester) -> None:
    write(tests, "tests/test_x.py", "def test_a(rows): assert rows == [1, 2, 3]\ndef test_b(rows): assert rows\n")
    run(tests, "tests").assert_outcomes(passed=2)
    assert noted(tests) == ["raw", "rows"]
    run(tests, "tests").assert_outcomes(passed=2)
    assert noted(tests) == []


def test_the_cache_is_that_of_runs(tests: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assertion rewriting changes no key."""
    monkeypatch.chdir(tests.path)
    assert stepcache.run("pipelines").exit_code == 0
    noted(tests)
    write(tests, "tests/test_x.py", "def test_a(best, rows): assert best == 3\n")
    run(tests).assert_outcomes(passed=2)
    assert noted(tests) == []
    path = tests.path / "pipelines/pipeline_x.py"
    path.write_text(path.read_text().replace('raw["rows"]', 'raw["rows"] + [4]'))
    run(tests, "tests").assert_outcomes(failed=1)
    assert noted(tests) == ["rows", "model1", "model2"]
    path.write_text(path.read_text().replace("assert rows == [1, 2, 3]", "assert rows"))
    assert stepcache.run("pipelines")["best"] == 5
    assert noted(tests) == []


def test_each_test_is_given_its_own_copy(tests: pytest.Pytester) -> None:
    write(
        tests,
        "tests/test_x.py",
        "def test_a(raw): raw['rows'].clear()\ndef test_b(raw, rows): assert raw['rows'] == rows == [1, 2, 3]\n",
    )
    run(tests, "tests").assert_outcomes(passed=2)


def test_variants_are_choices_of_the_test_and_one_choice_along_all_ways(tests: pytest.Pytester) -> None:
    write(tests, "tests/test_x.py", "def test_a(score, model, limit): assert score == model - limit\n")
    result = run(tests, "tests", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["tests/test_x.py::test_a[[]1[]] PASSED*", "tests/test_x.py::test_a[[]2[]] PASSED*"])
    run(tests, "tests", "-k", "2").assert_outcomes(passed=1, deselected=1)


def test_the_element_that_failed_is_named(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        """
        from stepcache import Each, step

        @step
        def divisors():
            return {"a": 1, "b": 0}

        @step(takes={"n": "divisors"})
        def quotient(n: Each):
            return 1 / n

        def check_divisor(divisors: Each):
            assert divisors
        """,
    )
    write(tests, "tests/test_x.py", "def test_a(quotient): ...\ndef test_b(quotient): ...\n")
    result = tests.runpytest("tests", "pipelines/pipeline_y.py")
    result.assert_outcomes(errors=2, failed=1)
    told = "E       pipelines/pipeline_y.py::quotient: element b: ZeroDivisionError: division by zero"
    assert result.outlines.count(told) == 2
    assert any("check_divisor: element b: assert 0" in line for line in result.outlines)


def test_pytest_s_own_fixtures_stay(tests: pytest.Pytester) -> None:
    write(tests, "pipelines/pipeline_y.py", "from stepcache import step\n@step\ndef tmp_path():\n    return 1\n")
    write(tests, "tests/test_x.py", "def test_a(tmp_path): assert tmp_path.is_dir()\n")
    run(tests, "tests").assert_outcomes(passed=1)


def test_wider_fixtures_ask_by_name(tests: pytest.Pytester) -> None:
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def everything(stepcache_value):
            return [
                stepcache_value("rows"), dict(stepcache_value("model")), stepcache_value("model[2]"),
                stepcache_value("pipelines/pipeline_x.py::best"), stepcache_value("model").params,
            ]

        def test_a(everything):
            assert everything == [[1, 2, 3], {"1": 3, "2": 6}, 6, 3, {"1": {"k": 1}, "2": {"k": 2}}]

        def test_b(stepcache_value):
            stepcache_value("modell")

        def test_c(stepcache_value):
            stepcache_value("model[7]")
        """,
    )
    result = run(tests, "tests")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "there is no step 'modell': did you mean 'model'?",
            "there is no node pipelines/pipeline_x.py::model[[]7[]]: there are model[[]1[]], model[[]2[]]",
        ]
    )


def test_resources_are_fixtures(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        """
        from stepcache import resource, step

        @resource(scope="node")
        def connection(size=2):
            made = ["open"] * size
            yield made
            made[:] = ["closed"]

        @step
        def lines(connection):
            return len(connection)
        """,
    )
    write(
        tests,
        "tests/test_x.py",
        """
        kept = []

        def test_a(connection, limit, lines):
            kept.append(connection)
            assert (connection, limit, lines) == (["open", "open"], 3, 2)

        def test_b(connection):
            assert kept == [["closed"]]
            assert connection == ["open", "open"]
        """,
    )
    run(tests, "tests").assert_outcomes(passed=2)


def test_a_fixture_of_the_test_stands_in_the_place_of_the_step(tests: pytest.Pytester) -> None:
    write(tests, "tests/conftest.py", "import pytest\n@pytest.fixture\ndef limit(): return 0\n")
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest

        class TestIt:
            @pytest.fixture
            def raw(self):
                return {"rows": [1] * 10}

            def test_rows(self, rows, raw):
                rows.append(2)
                assert raw == {"rows": [1] * 10}

            def test_best(self, best, rows):
                assert (best, len(rows)) == (20, 10)

            def test_score(self, score, model):
                assert score == model

        def test_only_the_resource(best):
            assert best == 6
        """,
    )
    write(
        tests,
        "tests/test_y.py",
        """
        import pytest

        @pytest.fixture
        def rows(rows):
            return rows[:1]

        def test_extends_the_step_and_replaces_the_resource(best, rows):
            assert (best, rows) == (2, [1])
        """,
    )
    run(tests, "tests").assert_outcomes(passed=6)
    noted(tests)
    write(tests, "tests/conftest.py", "")
    write(tests, "tests/test_x.py", "def test_a(best): assert best == 3\n")
    run(tests, "tests/test_x.py").assert_outcomes(passed=1)
    assert noted(tests) == []


def test_outputs_are_fixtures_too(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        """
        from stepcache import resource, step

        @step(outputs=("low", "high"))
        def split(n=4):
            return list(range(n)), list(range(n, 2 * n))

        @resource
        def names(low):
            yield [str(each) for each in low]

        @step
        def total(low, high, names):
            return f"{sum(low)} {sum(high)} {names}"
        """,
    )
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest

        def test_as_they_are(split, low, high, total, stepcache_value):
            assert split == {"low": low, "high": high} == {"low": [0, 1, 2, 3], "high": [4, 5, 6, 7]}
            assert total == "6 22 ['0', '1', '2', '3']"
            assert stepcache_value("high") == high

        class TestOne:
            @pytest.fixture
            def low(self):
                return [7]

            def test_it(self, split, total):
                assert split["low"] == [0, 1, 2, 3]
                assert total == "7 22 ['7']"

        class TestAll:
            @pytest.fixture
            def split(self):
                return {"low": [1], "high": [2]}

            def test_it(self, low, high, total):
                assert (low, high, total) == ([1], [2], "1 2 ['1']")

        class TestAllInOrder:
            @pytest.fixture
            def split(self):
                return [1], [2]

            def test_it(self, split, total):
                assert (split, total) == (([1], [2]), "1 2 ['1']")

        class TestNotThatMany:
            @pytest.fixture
            def split(self):
                return 3

            def test_it(self, total): ...
        """,
    )
    result = run(tests, "tests")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(
        "the fixture 'split' gives a int, and its outputs are low, high: give a tuple of 2 values in that order, or a "
        "dict of those names"
    )
    assert "pytest_fixtures.py" not in result.stdout.str()


def test_a_mapped_step_runs_for_each_element_that_a_test_gives(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        """
        from stepcache import Each, resource, skip, step

        @step
        def docs():
            return ["a", "bb", "ccc"]

        @resource
        def sign():
            return "+"

        @step(takes={"doc": "docs"})
        def size(doc: Each):
            if not doc:
                skip("empty")
            return len(doc)

        @step(takes={"doc": "docs"})
        def told(doc: Each, size: Each, sign, tmp_path, n=1):
            assert not list(tmp_path.iterdir())
            return f"{doc}{sign * n}{size}"

        @step
        def total(size):
            return sum(size.values() if isinstance(size, dict) else size)
        """,
    )
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest

        class TestSequence:
            @pytest.fixture
            def docs(self):
                return ["x", "", "yyyy"]

            def test_it(self, size, told, total):
                assert (size, told, total) == ([1, 4], ["x+1", "yyyy+4"], 5)

        class TestMapping:
            @pytest.fixture
            def docs(self):
                return {"k": "xx"}

            @pytest.fixture
            def sign(self):
                return "-"

            def test_it(self, size, told, total):
                assert (size, told, total) == ({"k": 2}, {"k": "xx-2"}, 2)

        class TestBetween:
            @pytest.fixture
            def size(self):
                return [7, 8, 9]

            def test_it(self, told, total):
                assert (told, total) == (["a+7", "bb+8", "ccc+9"], 24)

        class TestNoElements:
            @pytest.fixture
            def docs(self):
                return 3

            def test_it(self, size): ...

        def test_nothing_given(told, total):
            assert (told, total) == (["a+1", "bb+2", "ccc+3"], 6)
        """,
    )
    result = run(tests, "tests")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines("pipelines/pipeline_y.py:*size takes each element of 'docs', whose value is a int, *")
    assert "pytest_fixtures.py" not in result.stdout.str()


def test_a_source_of_the_same_size_and_time_is_rewritten_anew(tests: pytest.Pytester) -> None:
    import os

    path = tests.path / "pipelines/pipeline_x.py"
    write(tests, "tests/test_x.py", "def test_a(raw): assert raw['n'] == 1\n")
    run(tests, "tests").assert_outcomes(passed=1)
    before = path.stat()
    path.write_text(path.read_text().replace("n=1", "n=2"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    run(tests, "tests").assert_outcomes(failed=1)


def test_parametrised_by_the_test(tests: pytest.Pytester) -> None:
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest

        @pytest.mark.parametrize("rows", [[], [1]])
        def test_direct(best, rows):
            assert best == 2 * len(rows) - 3

        class TestByFixture:
            @pytest.fixture(params=[0, 7], ids=["none", "seven"])
            def raw(self, request):
                return {"rows": [1] * request.param}

            def test_it(self, rows):
                assert len(rows) in (0, 7)
        """,
    )
    result = run(tests, "tests", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*::test_it[[]none[]] PASSED*", "*::test_it[[]seven[]] PASSED*"])
    assert noted(tests).count("raw") == 0


def test_a_name_of_two_pipelines_is_an_error_when_asked_for(tests: pytest.Pytester) -> None:
    write(tests, "pipelines/pipeline_y.py", "from stepcache import step\n@step\ndef raw():\n    return 1\n")
    write(
        tests,
        "tests/test_x.py",
        """
        def test_a(rows): pass
        def test_b(raw): pass
        def test_c(stepcache_value): assert stepcache_value("pipelines/pipeline_y.py::raw") == 1
        """,
    )
    result = run(tests, "tests")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "more than one step is called 'raw': pipelines/pipeline_x.py::raw, pipelines/pipeline_y.py::raw",
            '  stepcache_value("pipelines/pipeline_x.py::raw") gives the value of one',
        ]
    )


def test_a_step_that_cannot_be_bound_is_an_error_when_asked_for(tests: pytest.Pytester) -> None:
    write(tests, "pipelines/pipeline_y.py", "from stepcache import step\n@step\ndef odd(rws):\n    return 1\n")
    write(tests, "tests/test_x.py", "def test_a(rows): pass\ndef test_b(odd): pass\n")
    result = run(tests, "tests")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["pipelines/pipeline_y.py:2: step 'odd' wants 'rws', and nothing provides it*"])
    result.stdout.no_fnmatch_line("*hidden*")


def test_a_step_that_fails_is_told_from_its_own_frame_on(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        "from pipelines.pipeline_x import rows\nfrom stepcache import step\n\n@step\ndef bad(rows):\n"
        "    assert len(rows) == 4\n\n@step\ndef after(bad):\n    pass\n",
    )
    write(tests, "tests/test_x.py", "def test_a(after): pass\ndef test_b(bad): pass\n")
    result = run(tests, "tests")
    result.assert_outcomes(errors=2)
    for name in ("test_a", "test_b"):
        result.stdout.fnmatch_lines(
            [
                f"*_ ERROR at setup of {name} _*",
                "",
                "rows = [[]1, 2, 3[]]",
                "",
                "    @step",
                "    def bad(rows):",
                ">       assert len(rows) == 4",
                "E       assert 3 == 4",
                "E        +  where 3 = len([[]1, 2, 3[]])",
                "",
                "pipelines/pipeline_y.py:6: AssertionError",
            ],
            consecutive=True,
        )


def test_a_skipped_step_skips_the_test(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        "import stepcache\n@stepcache.step\ndef none():\n    stepcache.skip('no data')\n",
    )
    write(tests, "tests/test_x.py", "def test_a(none): pass\n")
    result = run(tests, "tests", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*none*no data*"])


def test_what_a_step_prints_is_shown_when_the_test_fails(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        "from stepcache import step\n@step\ndef loud():\n    print('said by the step')\n",
    )
    write(tests, "tests/test_x.py", "def test_a(loud): assert 0\n")
    run(tests, "tests").stdout.fnmatch_lines(["*Captured stdout setup*", "said by the step"])


# --- checks


def test_checks_are_items_and_gate_nothing(tests: pytest.Pytester) -> None:
    path = tests.path / "pipelines/pipeline_x.py"
    path.write_text(path.read_text().replace("rows == [1, 2, 3]", "rows == [1, 2, 4]"))
    write(tests, "tests/test_x.py", "def test_a(best): assert best == 3\n")
    result = run(tests, "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "tests/test_x.py::test_a PASSED*",
            "pipelines/pipeline_x.py::check_rows FAILED*",
            "*_ check_rows _*",
            "",
            "rows = [[]1, 2, 3[]]",
            "",
            "    def check_rows(rows):",
            ">       assert rows == [[]1, 2, 4[]]",
            "E       *assert [[]1, 2, 3[]] == [[]1, 2, 4[]]",
            "*At index 2 diff: 3 != 4",
            "pipelines/pipeline_x.py:*: AssertionError",
        ]
    )


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["check_rows", "check_model[1]", "check_model[2]", "check_odd"]),
        (("pipelines/pipeline_x.py",), ["check_rows", "check_model[1]", "check_model[2]"]),
        (("pipelines/pipeline_x.py::check_model[2]",), ["check_model[2]"]),
        (("-k", "model and 1"), ["check_model[1]"]),
        (("-m", "slow"), ["check_model[1]", "check_model[2]"]),
        (("tests",), []),
    ],
)
def test_checks_are_selected_as_tests_are(tests: pytest.Pytester, args: tuple[str, ...], names: list[str]) -> None:
    write(
        tests,
        "pipelines/pipeline_x.py",
        PIPELINE
        + """
    @stepcache.mark.slow
    def check_model(model):
        assert model
    """.replace("@stepcache", "@__import__('stepcache')"),
    )
    write(tests, "pipelines/pipeline_y.py", "from pipelines.pipeline_x import rows\ndef check_odd(rows): pass\n")
    tests.makepyprojecttoml(
        '[tool.stepcache]\nmarkers = ["slow: x"]\n[tool.pytest.ini_options]\nmarkers = ["slow: x"]\n'
        'stepcache_pipelines = ["pipelines"]\n'
    )
    (tests.path / "tests").mkdir()
    result = run(tests, "--collect-only", "-q", *args)
    assert [line.partition("::")[2] for line in result.outlines if "::" in line] == names


def test_a_check_that_only_warns_warns(tests: pytest.Pytester) -> None:
    path = tests.path / "pipelines/pipeline_x.py"
    text = path.read_text().replace("def check_rows", "@check(warn=True)\ndef check_rows")
    path.write_text(text.replace("== [1, 2, 3]", "== [1]"))
    result = run(tests, "pipelines", "-Wdefault")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*StepcacheWarning: pipelines/pipeline_x.py::check_rows: assert [[]1, 2, 3[]] == [[]1[]]"]
    )


def test_last_failed(tests: pytest.Pytester) -> None:
    path = tests.path / "pipelines/pipeline_x.py"
    path.write_text(path.read_text() + "\ndef check_model(model):\n    assert model < 6\n")
    write(tests, "tests/test_x.py", "def test_a(best): assert best == 3\n")
    tests.runpytest_inprocess("-pno:asyncio").assert_outcomes(passed=3, failed=1)
    again = tests.runpytest_inprocess("-pno:asyncio", "--lf")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED pipelines/pipeline_x.py::check_model[[]2[]]*"])
    path.write_text(path.read_text().replace("model < 6", "model < 7"))
    tests.runpytest_inprocess("-pno:asyncio", "--lf").assert_outcomes(passed=1)


def test_a_check_that_skips_itself_is_shown_where_it_stands(tests: pytest.Pytester) -> None:
    write(
        tests,
        "pipelines/pipeline_y.py",
        "import pytest\nfrom pipelines.pipeline_x import rows\n\ndef check_rows(rows):\n    pytest.skip('not today')\n",
    )
    result = run(tests, "pipelines/pipeline_y.py", "-rs")
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] pipelines/pipeline_y.py:4: *check_rows: not today"])


def test_checks_of_ignored_folders_are_left_out(tests: pytest.Pytester) -> None:
    write(tests, "tests/test_x.py", "def test_a(rows): assert rows\n")
    run(tests, "--ignore=pipelines").assert_outcomes(passed=1)


# --- with pytest


def test_the_list_of_fixtures_shows_docstrings_and_places(tests: pytest.Pytester) -> None:
    result = run(tests, "--fixtures")
    result.stdout.fnmatch_lines(
        [
            "*fixtures defined from pipelines.pipeline_x*",
            "raw -- pipelines/pipeline_x.py:*",
            "    Raw rows.",
            "rows -- pipelines/pipeline_x.py:*",
            "    The step 'rows' of pipelines/pipeline_x.py:*",
            "limit [[]session scope[]] -- pipelines/pipeline_x.py:*",
            "    The limit.",
        ]
    )


def test_a_file_that_cannot_be_imported_is_a_usage_error(tests: pytest.Pytester) -> None:
    write(tests, "pipelines/pipeline_y.py", "import no_such_module\n")
    result = run(tests)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[:2] == [
        "ERROR: stepcache cannot collect the pipelines:",
        "pipelines/pipeline_y.py:1: cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
    ]


def test_by_option(tests: pytest.Pytester) -> None:
    tests.makepyprojecttoml("[tool.stepcache]\n")
    write(tests, "tests/test_x.py", "def test_a(rows): assert rows\n")
    run(tests, "tests").assert_outcomes(errors=1)
    run(tests, "tests", "--stepcache", "pipelines/pipeline_x.py").assert_outcomes(passed=1)


def test_inert_until_asked_for(tests: pytest.Pytester) -> None:
    tests.makepyprojecttoml("[tool.pytest.ini_options]\n")
    write(
        tests,
        "tests/test_x.py",
        """
        import sys

        def test_a():
            mine = sorted(name for name in sys.modules if name.partition(".")[0] == "stepcache")
            assert mine == ["stepcache", "stepcache.pytest_plugin"]

        def test_b(stepcache_value): pass
        """,
    )
    result = tests.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ['stepcache_value: no pipelines are named: set stepcache_pipelines = [[]"PATH"[]] in the configuration*']
    )


LOOPS = "-oasyncio_default_fixture_loop_scope=function"  # left open, it is warned of
ASYNC = """
    import asyncio
    from pipelines.pipeline_x import rows
    from stepcache import step

    @step
    async def slow(rows):
        await asyncio.sleep(0)
        return len(rows)
"""


def test_with_xdist_coverage_asyncio_and_hypothesis(tests: pytest.Pytester) -> None:
    """All at once: two workers compute a step once, bodies are covered, and each plugin does what is its own."""
    for plugin in ("xdist", "pytest_cov", "pytest_asyncio", "hypothesis"):
        pytest.importorskip(plugin, reason=f"{plugin} is not installed")
    path = tests.path / "pipelines/pipeline_x.py"
    path.write_text(path.read_text().replace('note("raw")', 'note("raw"); import time; time.sleep(0.5)'))
    write(tests, "pipelines/pipeline_y.py", ASYNC)
    write(tests, "tests/test_x.py", "".join(f"def test_{n}(rows): assert rows\n" for n in range(4)))
    write(
        tests,
        "tests/test_y.py",
        """
        import pytest
        from hypothesis import HealthCheck, given, settings, strategies

        @pytest.mark.asyncio
        async def test_asynchronous(slow):
            assert slow == 3

        @settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
        @given(n=strategies.integers())
        def test_property(rows, n):
            assert len(rows) == 3
        """,
    )
    options = ("-pno:cacheprovider", "-n2", "--cov=pipelines", "--cov-report=term-missing", "--asyncio-mode=strict")
    result = tests.runpytest_subprocess(*options, LOOPS)
    result.assert_outcomes(passed=7)
    assert noted(tests) == ["raw", "rows"]
    result.stdout.re_match_lines([r"pipelines.pipeline_x\.py\s+\d+\s+\d+\s+\d\d%"])


def test_with_asyncio_that_takes_all(tests: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio", reason="pytest-asyncio is not installed")
    write(tests, "pipelines/pipeline_y.py", ASYNC)
    write(
        tests,
        "tests/test_x.py",
        "async def test_a(slow): assert slow == 3\ndef test_b(slow): assert slow == 3\n",
    )
    result = tests.runpytest_inprocess("-pno:cacheprovider", "--asyncio-mode=auto", LOOPS, "tests")
    result.assert_outcomes(passed=2)


def test_with_syrupy_a_value_is_approved_and_watched(tests: pytest.Pytester) -> None:
    for package in ("syrupy", "numpy"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    write(
        tests,
        "pipelines/pipeline_y.py",
        "import numpy\nfrom stepcache import step\n@step\ndef curve(last=1.0):\n    return numpy.linspace(0, last, 5000)\n",
    )
    write(
        tests,
        "tests/test_x.py",
        """
        import pytest
        from stepcache.testing import DataSnapshotExtension

        @pytest.fixture
        def exact(snapshot):
            return snapshot.use_extension(DataSnapshotExtension)

        def test_a(rows, snapshot): assert rows == snapshot
        def test_b(curve, exact): assert exact == curve
        """,
    )
    run(tests, "tests", "--snapshot-update").assert_outcomes(passed=2)
    run(tests, "tests").assert_outcomes(passed=2)
    path = tests.path / "pipelines/pipeline_x.py"
    path.write_text(path.read_text().replace('"rows": [1, 2, 3]', '"rows": [1, 2]'))
    path = tests.path / "pipelines/pipeline_y.py"
    path.write_text(path.read_text().replace("5000)", "5000) + (numpy.arange(5000) == 2500) * 1e-15"))
    result = run(tests, "tests")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*-   0.5001000200040008", "*+   0.5001000200040018"])
