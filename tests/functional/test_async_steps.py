"""Asynchronous steps: concurrent with one another, and each with what is its own all the same."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stepcache
from stepcache.testing import Project

HEAD = """
    import asyncio, logging, os, sys, warnings
    from pathlib import Path
    from stepcache import Retry, parametrize, pipeline, resource, step

    LOG = Path({log!r})

    def note(text):
        with LOG.open("a") as file:
            file.write(text + "\\n")

    async def all_begun(count=3):
        for _ in range(1000):
            if LOG.exists() and LOG.read_text().count("begun") >= count:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError("the others have not begun")
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    return stepcache_project


def log_of(project: Project) -> Path:
    return project.path.parent / "log"


def write(project: Project, text: str) -> None:
    project.write("pipeline_x.py", HEAD.format(log=str(log_of(project))) + text)


def noted(project: Project) -> list[str]:
    return log_of(project).read_text().splitlines()


THREE = """
    @step
    @parametrize("n", [1, 2, 3])
    async def part(n):
        note(f"begun {n}")
        await all_begun()
        note(f"ended {n}")
        return n

    @pipeline
    def whole(part): ...
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("--no-cache",)])
def test_those_that_are_ready_at_once_run_beside_one_another(project: Project, arguments: tuple[str, ...]) -> None:
    write(project, THREE)
    result = project.run(*arguments)
    assert set(result.outcomes.values()) == {"ran"}, result.stdout
    assert noted(project)[:3] == ["begun 1", "begun 2", "begun 3"]
    assert len(noted(project)) == 6
    if "--no-cache" not in arguments:
        assert set(project.run().outcomes.values()) == {"cached"}


def test_what_they_need_comes_before_and_what_needs_them_after(project: Project) -> None:
    write(
        project,
        """
    @step
    async def one():
        note("one")
        return 1

    @step
    def two(one):
        note("two")
        return one + 1

    @step
    async def three(two):
        note("three")
        return two + 1

    @step
    async def beside(one):
        note("beside")
        return one
    """,
    )
    assert stepcache.run()["three"] == 3
    lines = noted(project)
    assert lines[0] == "one"
    assert lines.index("two") < lines.index("three")


def test_what_each_reads_is_its_own(project: Project) -> None:
    write(
        project,
        """
    @step
    @parametrize("n", [1, 2, 3])
    async def part(n):
        note(f"begun {n}")
        await all_begun()
        text = Path(f"data{n}" + ".txt").read_text()
        await asyncio.sleep(0)
        return text + os.environ.get(f"FOR_{n}", "") + await asyncio.to_thread(Path(f"more{n}" + ".txt").read_text)
    """,
    )
    for n in (1, 2, 3):
        project.write(f"data{n}.txt", f"data {n}")
        project.write(f"more{n}.txt", f"more {n}")
    assert project.run().exit_code == 0
    assert set(project.run().outcomes.values()) == {"cached"}
    log_of(project).write_text("begun\n" * 3)
    project.write("data2.txt", "other")
    assert project.run().reasons == {"pipeline_x.py::part[2]": ["file: data2.txt"]}
    project.write("more3.txt", "other")
    assert project.run().reasons == {"pipeline_x.py::part[3]": ["file: more3.txt"]}


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_what_each_prints_logs_and_warns_is_its_own(project: Project, capture: str) -> None:
    write(
        project,
        """
    @step
    @parametrize("n", [1, 2, 3])
    async def part(n):
        print("print", n)
        note(f"begun {n}")
        await all_begun()
        print("again", n)
        print("error", n, file=sys.stderr)
        logging.getLogger("mine").warning("logged %d", n)
        warnings.warn(f"warned {n}")
        await asyncio.sleep(0)
        await asyncio.to_thread(print, "thread", n)
        if CHILDREN:
            child = await asyncio.create_subprocess_shell(f"sleep 0.1; echo child {n}")
            await child.wait()
            os.write(1, b"raw %d\\n" % n)
        sub = asyncio.create_task(asyncio.to_thread(print, "sub", n))
        await sub
        print("last", n)
        return n
    """.replace("CHILDREN", str(capture == "fd")),
    )
    run = project.run("-rA", f"--capture={capture}")
    assert run.exit_code == 0, run.stdout
    for result in (run, project.run("-rA", f"--capture={capture}")):
        sections = re.split(r"::part\[(\d)\] \((?:ran|cached)\)", result.stdout)[1:]
        assert len(sections) == 6
        for n, section in zip(sections[::2], sections[1::2], strict=True):
            words = ["print", "again", "thread", *(["child", "raw"] if capture == "fd" else []), "sub", "last"]
            told = [line for line in section.splitlines() if line.split(" ")[0] in {*words, "error"}]
            assert told == [f"{word} {n}" for word in words] + [f"error {n}"]
            assert section.count("logged") == section.count(f"logged {n}") == 1
    warned = re.findall(r"::part\[(\d)\]\n.*UserWarning: warned (\d)", run.stdout)
    assert warned == [("1", "1"), ("2", "2"), ("3", "3")]


def test_each_has_a_working_directory_a_search_path_and_an_environment_of_its_own(project: Project) -> None:
    write(
        project,
        """
    @step
    @parametrize("n", [1, 2, 3])
    async def part(n):
        os.makedirs(f"folder{n}", exist_ok=True)
        os.chdir(f"folder{n}")
        sys.path.append(f"/none/{n}")
        os.environ["MINE"] = str(n)
        os.environ[f"MINE_{n}"] = "x"
        note(f"begun {n}")
        await all_begun()
        assert os.environ["MINE"] == str(n)
        assert [name for name in os.environ if name.startswith("MINE_")] == [f"MINE_{n}"]
        assert Path.cwd().name == f"folder{n}"
        return [each for each in sys.path if each.startswith("/none/")]

    @step
    def after(part):
        assert not [name for name in os.environ if name.startswith("MINE")]
        return os.getcwd(), [each for each in sys.path if each.startswith("/none/")]
    """,
    )
    run = stepcache.run()
    assert run.exit_code == 0, run.nodes
    assert dict(run["part"]) == {n: [f"/none/{n}"] for n in "123"}
    assert list(run["after"].values()) == [(str(project.path), [])] * 3


def test_one_that_fails_is_tried_again_beside_the_others_which_go_on(project: Project) -> None:
    write(
        project,
        """
    @step(retries=Retry(1, delay="50ms", on=(OSError,)))
    async def flaky():
        note("begun flaky")
        print("try", LOG.read_text().count("flaky"))
        if LOG.read_text().count("flaky") == 1:
            raise ConnectionResetError
        return 1

    @step
    async def steady():
        note("begun steady")
        await all_begun(3)
        return 2

    @step
    async def bad():
        await asyncio.sleep(0)
        raise ValueError("here")

    @step
    async def cancelled():
        raise asyncio.CancelledError
    """.replace('"50ms"', '"1s"'),
    )
    result = project.run("-rA")
    assert {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()} == {
        "flaky": "ran", "steady": "ran", "bad": "failed", "cancelled": "failed",
    }  # fmt: skip
    assert [line for line in result.lines if line.startswith("try")] == ["try 1", "try 2"]
    assert '>       raise ValueError("here")' in result.stdout


def test_resources_are_shared_or_each_ones_own_and_torn_down(project: Project) -> None:
    write(
        project,
        """
    @resource
    def shared():
        note("shared+")
        beat = asyncio.get_running_loop().create_task(asyncio.sleep(3600))
        yield beat
        note(f"shared- {beat.cancelled()}")

    @resource(scope="node")
    def own(shared, request=None):
        note("own+")
        yield object()
        note("own-")

    @step
    @parametrize("n", [1, 2, 3])
    async def part(own, shared, n):
        note(f"begun {n}")
        left = asyncio.create_task(asyncio.sleep(3600))
        await all_begun()
        assert not shared.done()
        if n == 3:
            raise ValueError
        return n
    """,
    )
    assert project.run().exit_code == 1
    lines = noted(project)
    assert lines[0] == "shared+"
    assert lines[-1] == "shared- False"
    assert (lines.count("own+"), lines.count("own-"), lines.count("shared+")) == (3, 3, 1)
    assert lines.index("own-") > lines.index("begun 3")


def test_asynchronous_generators_are_streams_beside_one_another(project: Project) -> None:
    write(
        project,
        """
    @step
    @parametrize("n", [1, 2, 3])
    async def numbers(n):
        note(f"begun {n}")
        await all_begun()
        for number in range(3):
            await asyncio.sleep(0)
            yield number * n

    @step
    def total(numbers):
        return [*numbers, *numbers]

    @step
    async def odd():
        yield 1
        yield lambda: 2
        yield 3
    """,
    )
    run = stepcache.run()
    assert dict(run["total"]) == {n: [0, int(n), 2 * int(n)] * 2 for n in "123"}
    odd = run["odd"]
    assert (odd[0], odd[1](), odd[2]) == (1, 2, 3)


def test_an_interrupt_ends_all_and_tears_down(project: Project) -> None:
    write(
        project,
        """
    @resource
    def shared():
        yield 1
        note("torn down")

    @step
    def before():
        return 1

    @step
    @parametrize("n", [1, 2, 3])
    async def part(before, shared, n):
        note(f"begun {n}")
        try:
            await asyncio.sleep(60)
        finally:
            note("ended")
    """,
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "stepcache", "-v"], cwd=project.path, stdout=subprocess.PIPE, text=True
    )
    for _ in range(1500):
        if log_of(project).exists() and len(noted(project)) == 3:
            break
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 2, output
    assert noted(project)[3:] == ["ended"] * 3 + ["torn down"]
    assert "1 ran, 3 skipped" in output
    assert project.run("-k", "before").outcomes == {"pipeline_x.py::before": "cached"}


def test_one_with_a_time_limit_is_ended_and_shows_where_it_was(project: Project) -> None:
    write(
        project,
        """
    @step(timeout=0.3)
    async def slow():
        await asyncio.sleep(60)  # here

    @step(timeout=0.3)
    async def stuck():
        import time
        time.sleep(60)  # there

    @step
    async def steady():
        note("begun")
        return 2
    """,
    )
    result = project.run()
    assert {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()} == {
        "slow": "failed", "stuck": "failed", "steady": "ran",
    }  # fmt: skip
    assert result.stdout.count("TimeoutError: it took longer than its timeout of 0.3 seconds") >= 2
    assert ">       await asyncio.sleep(60)  # here" in result.stdout
    assert ">       time.sleep(60)  # there" in result.stdout


def test_more_than_there_may_be_at_once(project: Project) -> None:
    write(
        project,
        """
    @step
    @parametrize("n", range(130))
    async def part(n):
        await asyncio.sleep(0)
        return n
    """,
    )
    open_files = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    before = len(os.listdir(open_files))
    run = stepcache.run()
    assert dict(run["part"]) == {str(n): n for n in range(130)}
    assert len(os.listdir(open_files)) < before + 100  # each had two open


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_a_debugger_in_one_of_them(project: Project, capture: str) -> None:
    project.write("opened.py", "def opened():\n    print('the debugger')\n")
    write(
        project,
        """
    @step
    async def first():
        note("begun first")
        await all_begun(2)
        breakpoint()
        print("after it")
        note("first")

    @step
    async def second():
        note("begun second")
        while "first" not in LOG.read_text().split("begun first")[-1]:
            await asyncio.sleep(0.01)
        print("second")

    @step
    async def third(first, second):
        print("third")
        raise ValueError
    """,
    )
    environment = {"PYTHONBREAKPOINT": "opened.opened", "PYTHONPATH": str(project.path)}
    result = project.command("-v", f"--capture={capture}", env=environment)
    assert [node.partition("::")[2] + " " + outcome for node, outcome in result.outcomes.items()] == [
        "first ran", "second ran", "third failed",
    ], result.stdout + result.stderr  # fmt: skip
    assert "the debugger" in result.lines
    assert result.lines.count("third") == 1
