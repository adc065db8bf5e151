"""What happens to nodes when some fail, are skipped or given, and what the run's exit status says of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

import stepcache
from stepcache.testing import Project, Result

FOUR = """
    from stepcache import mark, skip, step

    @step
    def a():
        return 1

    @step
    def bad(a):
        raise ValueError("bad")

    @step
    def after(bad):
        return "after"

    @step
    def far(after, a):
        return "far"

    @step
    def worse():
        raise KeyError("worse")

    @step
    def fine():
        return "fine"
"""


def names(result: Result) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", FOUR)
    return stepcache_project


def test_a_failure_blocks_what_needs_it_and_nothing_else(project: Project) -> None:
    result = project.run()
    assert result.exit_code == 1
    assert names(result) == {
        "a": "ran", "bad": "failed", "after": "blocked", "far": "blocked", "worse": "failed", "fine": "ran",
    }  # fmt: skip
    assert result.lines[-5:-1] == [
        "FAILED pipeline_x.py::bad - ValueError: bad",
        "FAILED pipeline_x.py::worse - KeyError: 'worse'",
        "BLOCKED pipeline_x.py::after - blocked by pipeline_x.py::bad",
        "BLOCKED pipeline_x.py::far - blocked by pipeline_x.py::bad",
    ]
    assert " 2 failed, 2 blocked, 2 ran in " in result.lines[-1]


def test_a_failed_step_stores_nothing_and_runs_again(project: Project) -> None:
    project.run()
    assert names(project.run()) == {
        "a": "cached", "bad": "failed", "after": "blocked", "far": "blocked", "worse": "failed", "fine": "cached",
    }  # fmt: skip
    project.edit("pipeline_x.py", 'raise ValueError("bad")', "return 2")
    assert project.run().ran == ["bad", "after", "far", "worse"]


@pytest.mark.parametrize(
    "error", ["SystemExit(0)", "SystemExit(3)", "RecursionError()", "GeneratorExit()", "MemoryError"]
)
def test_whatever_a_step_raises_is_a_failure(project: Project, error: str) -> None:
    project.edit("pipeline_x.py", 'ValueError("bad")', error)
    result = project.run()
    assert result.exit_code == 1
    assert names(result)["bad"] == "failed"
    assert names(result)["fine"] == "ran"


STOPS = """
    from stepcache import Each, check, step

    @step
    def plain():
        return next(iter([]))

    @step
    def numbers():
        return [1]

    @step
    def mapped(numbers: Each[int]):
        return next(iter([]))

    @step
    async def beside():
        return next(iter([]))

    @step
    def stream():
        yield 1
        raise StopIteration

    @step
    def other():
        return 2

    @check
    def checked(other):
        next(iter([]))

    @step
    def within():
        return list(next(iter([])) for _ in range(3))
"""


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]])
def test_a_step_may_fail_with_a_stop_iteration_too(stepcache_project: Project, arguments: list[str]) -> None:
    stepcache_project.write("pipeline_x.py", STOPS)
    result = stepcache_project.run(*arguments)
    told = {line.partition("::")[2] for line in result.lines if line.startswith("FAILED")}
    assert told == {
        "plain - StopIteration",
        "mapped - element 0: StopIteration",
        "beside - StopIteration",
        "stream - StopIteration",
        "checked - StopIteration",
        "within - RuntimeError: generator raised StopIteration",
    }
    assert "/stepcache/" not in result.stdout


@pytest.mark.parametrize(
    ("flag", "reached"),
    [("-x", ["a", "bad"]), ("--maxfail=1", ["a", "bad"]), ("--maxfail=2", ["a", "bad", "after", "far", "worse"])],
)
def test_maxfail(project: Project, flag: str, reached: list[str]) -> None:
    result = project.run(flag)
    assert result.exit_code == 1
    assert [name for name, outcome in names(result).items() if outcome != "skipped"] == reached
    assert names(result)["fine"] == "skipped"
    count = 1 if len(reached) == 2 else 2
    stopped = f" stopping after {count} failure{'s' if count > 1 else ''} "
    assert any(stopped in line and line.startswith("!!!") for line in result.lines)


# --- skipping

SKIPS = """
    from stepcache import All, mark, param, parametrize, skip, step

    @mark.skip("not today")
    @step
    def marked():
        raise AssertionError

    @mark.skip(reason="by keyword")
    @step
    def keyword():
        raise AssertionError

    @mark.skip
    @step
    def bare():
        raise AssertionError

    @step
    @mark.skip
    @mark.gpu
    def bare_below():
        raise AssertionError

    @step
    @mark.skipif(1 < 2, reason="it is so")
    def conditional():
        raise AssertionError

    @step
    @mark.skipif(False, reason="it is not")
    def unconditional():
        return 1

    @step
    def inside():
        try:
            skip("said so")
        except Exception:
            return "swallowed"

    @step
    def needs(inside):
        return 1

    @step
    @parametrize("n", [1, param(2, marks=mark.skip("no two")), 3, param(4, marks=mark.skip)])
    def part(n):
        if n == 3:
            skip("no three")
        return n

    @step
    def total(part: All):
        return sorted(part), sorted(part.params)
"""


def test_skipped_nodes_and_what_needs_them(project: Project) -> None:
    project.write("pipeline_x.py", SKIPS)
    result = project.run("-rs")
    assert result.exit_code == 0
    assert names(result) == {
        "marked": "skipped", "keyword": "skipped", "bare": "skipped", "bare_below": "skipped", "conditional": "skipped", "unconditional": "ran",
        "inside": "skipped", "needs": "skipped",
        "part[1]": "ran", "part[2]": "skipped", "part[3]": "skipped", "part[4]": "skipped", "total": "ran",
    }  # fmt: skip
    assert [line for line in result.lines if line.startswith("SKIPPED")] == [
        "SKIPPED pipeline_x.py::marked - not today",
        "SKIPPED pipeline_x.py::keyword - by keyword",
        "SKIPPED pipeline_x.py::bare",
        "SKIPPED pipeline_x.py::bare_below",
        "SKIPPED pipeline_x.py::conditional - it is so",
        "SKIPPED pipeline_x.py::inside - said so",
        "SKIPPED pipeline_x.py::needs - needs pipeline_x.py::inside, which is skipped",
        "SKIPPED pipeline_x.py::part[2] - no two",
        "SKIPPED pipeline_x.py::part[3] - no three",
        "SKIPPED pipeline_x.py::part[4]",
    ]
    assert stepcache.run()["total"] == (["1"], ["1"])


def test_a_skip_is_not_stored(project: Project) -> None:
    project.write("pipeline_x.py", SKIPS)
    project.run()
    assert names(project.run())["inside"] == "skipped"
    project.edit("pipeline_x.py", 'skip("said so")', "pass")
    assert names(project.run())["needs"] == "ran"


def test_all_variants_skipped_leave_an_empty_mapping(project: Project) -> None:
    project.write("pipeline_x.py", SKIPS.replace("[1, param", "[3, param").replace("), 3, ", "), "))
    assert stepcache.run()["total"] == ([], [])


def test_only_skipped_nodes_are_all_well(project: Project) -> None:
    project.write("pipeline_x.py", SKIPS)
    result = project.run("pipeline_x.py::marked")
    assert (result.exit_code, names(result)) == (0, {"marked": "skipped"})


def test_a_skipped_check_lets_pass_nothing(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import mark, step

        @step
        def a():
            return 1

        @mark.skip("no")
        def check_a(a):
            assert a == 2

        @step
        def b(a):
            return a
        """,
    )
    result = project.run()
    assert (result.exit_code, names(result)) == (0, {"a": "ran", "check_a": "skipped", "b": "skipped"})


# --- failures in between


def test_a_value_that_cannot_be_made_again_is_the_makers_failure(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        f"""
        import os
        from stepcache import step

        @step(ignore=["file:*broken"])
        def big():
            if os.path.exists({str(project.path / "broken")!r}):
                raise RuntimeError("broken by now")
            return b"x" * 3_000_000 + bytes(range(256)) * 5000

        @step
        def use(big, n=1):
            return len(big)
        """,
    )
    project.run()
    project.write("broken", "")
    (blob,) = [p for p in (project.cache / "blobs").rglob("*") if p.is_file()]
    blob.write_bytes(b"")
    result = project.run("-P", "n=2")
    assert result.exit_code == 1
    assert names(result) == {"big": "failed", "use": "blocked"}
    assert any(line.startswith("E ") and line.endswith("RuntimeError: broken by now") for line in result.lines)
    assert "BLOCKED pipeline_x.py::use - blocked by pipeline_x.py::big" in result.lines


# --- given


def test_given_values(project: Project) -> None:
    run = stepcache.run(values={"bad": 5})
    assert {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes} == {
        "a": "ran", "bad": "given", "after": "ran", "far": "ran", "worse": "failed", "fine": "ran",
    }  # fmt: skip
    assert run["bad"] == 5


# --- exit statuses


def test_exit_statuses(project: Project) -> None:
    assert project.run("pipeline_x.py::fine").exit_code == 0
    assert project.run().exit_code == 1
    project.write("pipeline_y.py", "import no_such_module\n")
    assert project.run("pipeline_y.py").exit_code == 2
    assert project.run("--no-such-option").exit_code == 4
    assert project.run("no_such_file.py").exit_code == 4
    project.write("empty/notes.txt", "")
    assert project.run("empty").exit_code == 5
    assert project.run("pipeline_x.py", "-k", "nothing_so_called").exit_code == 5


def test_an_error_of_a_hook_is_named_as_its(project: Project) -> None:
    class Broken:
        @stepcache.hookimpl
        def stepcache_node_finished(self, report: object) -> None:
            raise LookupError("hook")

    result = project.run("pipeline_x.py::fine", plugins=(Broken(),))
    assert result.exit_code == 3
    assert result.stderr.startswith("INTERNALERROR> Traceback (most recent call last):\n")
    place = f"{__file__}:{Broken.stepcache_node_finished.__code__.co_firstlineno}"
    assert result.stderr.endswith(
        "INTERNALERROR> LookupError: hook\n"
        f"This is a fault of a hook of a plugin or stepconf.py: {place}: stepcache_node_finished.\n"
    )


def test_an_error_of_ours_is_named_as_ours(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise LookupError("ours")

    monkeypatch.setattr("stepcache.report.terminal.Terminal.summary", broken)
    result = project.run("pipeline_x.py::fine")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "INTERNALERROR> LookupError: ours\nThis is a fault of stepcache, not of your pipeline: please report it.\n"
    )


# --- interrupts


def test_an_interrupt_in_a_step(project: Project) -> None:
    project.edit("pipeline_x.py", 'ValueError("bad")', "KeyboardInterrupt")
    result = project.run()
    assert result.exit_code == 2
    assert names(result) == {
        "a": "ran", "bad": "skipped", "after": "skipped", "far": "skipped", "worse": "skipped", "fine": "skipped",
    }  # fmt: skip
    told = next(line for line in result.lines if line.startswith("!!!"))
    assert re.fullmatch(r"!+ KeyboardInterrupt at pipeline_x\.py:\d+ !+", told)
    assert names(project.run("pipeline_x.py::a")) == {"a": "cached"}
    with pytest.raises(KeyboardInterrupt):
        stepcache.run()


def test_control_c_gets_through(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        f"""
        import time
        from stepcache import resource, step

        @resource
        def held():
            yield 1
            open({str(project.path / "torn_down")!r}, "w").close()

        @step
        def first():
            return 1

        @step
        def slow(first, held):
            open({str(project.path / "started")!r}, "w").close()
            try:
                for _ in range(6000):  # a signal right before one long sleep does not end it, in any Python
                    time.sleep(0.01)
            except Exception:
                pass
        """,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "stepcache"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (project.path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert "1 ran, 1 skipped in" in output
    assert "Traceback" not in output
    assert (project.path / "torn_down").exists()
    assert names(project.run("pipeline_x.py::first")) == {"first": "cached"}


# --- what failed last


def test_last_failed(project: Project) -> None:
    project.run()
    result = project.run("--lf")
    assert names(result) == {
        "a": "cached", "bad": "failed", "after": "blocked", "far": "blocked", "worse": "failed"
    }  # fmt: skip
    project.edit("pipeline_x.py", 'raise ValueError("bad")', "return 2")
    assert names(project.run("--lf")) == {"a": "cached", "bad": "ran", "after": "ran", "far": "ran", "worse": "failed"}
    assert names(project.run("--lf")) == {"worse": "failed"}
    project.edit("pipeline_x.py", 'raise KeyError("worse")', "return 2")
    assert names(project.run("--lf")) == {"worse": "ran"}
    # Nothing failed last time: all.
    assert len(names(project.run("--lf"))) == 6


def test_failed_first(project: Project) -> None:
    project.run()
    assert list(names(project.run("--ff")))[:5] == ["a", "bad", "after", "far", "worse"]
    project.edit("pipeline_x.py", 'raise ValueError("bad")', "return 2")
    project.run()
    assert next(iter(names(project.run("--ff")))) == "worse"


def test_a_run_of_something_else_keeps_no_failures_of_its_own(project: Project) -> None:
    project.run()
    project.run("pipeline_x.py::fine")
    # That was the last run, and nothing failed in it.
    assert len(names(project.run("--lf"))) == 6


def test_plans_and_readonly_runs_leave_the_record_alone(project: Project) -> None:
    project.run()
    for flags in (["--plan"], ["--fail-on-miss"], ["--cache=readonly", "pipeline_x.py::fine"]):
        project.run(*flags)
    assert len(names(project.run("--lf"))) == 5


# --- retries: what failed once is not held against it


def test_a_step_that_fails_sometimes(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        f"""
        import os
        from stepcache import step

        @step
        def flaky():
            path = {str(project.path / "once")!r}
            if not os.path.exists(path):
                open(path, "w").close()
                raise OSError("first time")
            return 1

        @step
        def after(flaky):
            return flaky
        """,
    )
    assert names(project.run()) == {"flaky": "failed", "after": "blocked"}
    assert names(project.run()) == {"flaky": "ran", "after": "ran"}
    assert names(project.run()) == {"flaky": "cached", "after": "cached"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_returns_into_the_run_does_not_report(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        import os, sys
        from stepcache import step

        @step
        def forks():
            ends = []
            for way in range(4):
                child = os.fork()
                if child == 0:
                    if way == 0:
                        os._exit(5)
                    elif way == 1:
                        sys.exit(3)
                    elif way == 2:
                        raise ValueError("in the child")
                    return "the child's"
                ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            return ends

        @step
        def after(forks):
            open("after.txt", "a").write(f"{forks}\\n")
        """,
    )
    result = project.command("-rA")
    assert result.exit_code == 0, result.stdout
    assert (project.path / "after.txt").read_text() == "[5, 3, 1, 0]\n"
    assert "ValueError: in the child" in result.stdout
    assert "execution/call.py" not in result.stdout
    assert result.stdout.count("= 2 ran") == 1
