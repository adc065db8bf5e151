"""Mapped steps whose body is asynchronous: elements run beside one another, and all else is as in any mapped step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import stepcache
from stepcache.testing import Project

HEAD = """
    import asyncio, os, sys
    from pathlib import Path
    import stepcache
    from stepcache import Each, Retry, resource, step

    LOG = Path({log!r})

    def note(text):
        with LOG.open("a") as file:
            file.write(text + "\\n")

    async def all_begun(count):
        for _ in range(1000):
            if LOG.read_text().count("begun") >= count:
                return
            if "alone" in LOG.read_text():
                break
            await asyncio.sleep(0.01)
        note("alone")
        raise TimeoutError("the others have not begun")

    @step
    def urls(count=4):
        return [f"u{{number}}" for number in range(count)]
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    return stepcache_project


def write(project: Project, text: str) -> None:
    project.write("pipeline_x.py", HEAD.format(log=str(project.path.parent / "log")) + text)


def noted(project: Project) -> list[str]:
    """What was noted since the last time."""
    file = project.path.parent / "log"
    found = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return found


def row(run: stepcache.Run, name: str) -> dict[str, object]:
    return next(each for each in run.nodes if each["id"] == f"pipeline_x.py::{name}")


PAGE = """
    @step(takes={"url": "urls"})
    async def page(url: Each):
        note(f"begun {url}")
        await all_begun(20)
        return url.upper()

    @step(takes={"url": "urls"})
    def plain(url: Each):
        return url.upper()

    async def check_page(page: Each):
        await asyncio.sleep(0)
        assert page.startswith("U")
"""


@pytest.mark.parametrize("workers", [None, 2])
def test_elements_run_beside_one_another(project: Project, workers: int | None) -> None:
    write(project, PAGE)
    run = stepcache.run(params={"urls.count": 20}, workers=workers)
    assert run.exit_code == 0, run.nodes
    assert noted(project) == [f"begun u{number}" for number in range(20)]
    assert run["page"] == [f"U{number}" for number in range(20)]
    assert row(run, "page")["digest"] == row(run, "plain")["digest"]
    again = stepcache.run(params={"urls.count": 20})
    assert {each["outcome"] for each in again.nodes} == {"cached"}
    (project.path.parent / "log").write_text("begun\n" * 20)
    more = stepcache.run(params={"urls.count": 21})
    assert row(more, "page")["elements"] == {"cached": 20, "ran": 1, "failed": 0}
    assert noted(project)[20:] == ["begun u20"]


def test_what_each_reads_is_its_own(project: Project) -> None:
    write(
        project,
        """
    @step(takes={"url": "urls"})
    async def page(url: Each):
        note(f"begun {url}")
        await all_begun(4)
        return Path(f"{url}.txt").read_text() + await asyncio.to_thread(Path(f"{url}.more").read_text)
    """,
    )
    for number in range(4):
        project.write(f"u{number}.txt", f"{number}")
        project.write(f"u{number}.more", f"-{number}")
    assert stepcache.run()["page"] == ["0-0", "1-1", "2-2", "3-3"]
    (project.path.parent / "log").write_text("begun\n" * 4)
    project.write("u2.more", " other")
    result = project.run()
    assert result.reasons == {"pipeline_x.py::page": ["file: u2.more"]}
    assert noted(project)[4:] == ["begun u2"]


def test_those_that_fail_are_named_in_order_and_the_others_kept(project: Project) -> None:
    write(
        project,
        """
    @step(takes={"url": "urls"}, retries=Retry(1, delay="50ms", on=(ConnectionError,)))
    async def page(url: Each):
        again = LOG.exists() and f"begun {url}" in LOG.read_text()
        print("try of", url)
        note(f"begun {url}")
        await all_begun(4)
        if url == "u0":
            while "failed u1" not in LOG.read_text():
                await asyncio.sleep(0)
            note("failed u0")
            raise ValueError("the first")
        if url == "u1" and not again:
            note("failed u1")
            raise ConnectionResetError
        if url == "u2":
            stepcache.skip("not today")
        if url == "u3":
            raise asyncio.CancelledError
        return url
    """,
    )
    result = project.run()
    assert result.outcomes == {"pipeline_x.py::urls": "ran", "pipeline_x.py::page": "failed"}
    assert '>           raise ValueError("the first")' in result.stdout
    assert result.stdout.index("element 0:") < result.stdout.index("element 3:")
    assert [line for line in result.lines if line.startswith("try of")] == ["try of u0", "try of u3"]
    lines = noted(project)
    assert lines[:4] == ["begun u0", "begun u1", "begun u2", "begun u3"]
    assert lines[4:] == ["failed u1", "failed u0", "begun u1"]  # the others went on while it waited
    (project.path.parent / "log").write_text("begun\n" * 4 + "failed u1\n")
    assert project.run("--lf").exit_code == 1
    assert sorted(noted(project)[5:]) == ["begun u0", "begun u3", "failed u0"]


def test_a_value_that_one_body_changes_is_given_to_the_others_unchanged(project: Project) -> None:
    write(
        project,
        """
    @step
    def table():
        return {"rows": []}

    @step(takes={"url": "urls"})
    async def page(url: Each, table):
        table["rows"].append(url)
        note("begun")
        await all_begun(4)
        return list(table["rows"])
    """,
    )
    assert stepcache.run()["page"] == [["u0"], ["u1"], ["u2"], ["u3"]]


def test_more_than_there_may_be_at_once_each_as_if_it_were_the_first(project: Project) -> None:
    write(
        project,
        """
    @resource
    def client():
        note("client+")
        yield asyncio.get_running_loop()
        note("client-")

    @resource(scope="node")
    def session(client):
        note("session+")
        yield client
        note("session-")

    @step(takes={"url": "urls"})
    async def page(url: Each, session):
        assert session is asyncio.get_running_loop()
        before = os.getcwd(), os.environ.get("MINE"), [each for each in sys.path if each.startswith("/none/")]
        os.makedirs("folder", exist_ok=True)
        os.chdir("folder")
        os.environ["MINE"] = url
        sys.path.append(f"/none/{url}")
        asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        assert (os.environ["MINE"], os.path.basename(os.getcwd())) == (url, "folder")
        return before
    """,
    )
    run = stepcache.run(params={"urls.count": 320})
    assert run.exit_code == 0, run.nodes
    assert run["page"] == [(str(project.path), None, [])] * 320
    lines = noted(project)
    assert (lines[0], lines[-1]) == ("client+", "client-")
    assert lines.count("session+") == lines.count("session-") < 320


def test_slots_say_how_many_run_at_once(project: Project) -> None:
    write(
        project,
        """
    @step(takes={"url": "urls"}, slots={"api": 1})
    async def page(url: Each):
        note("begun")
        await asyncio.sleep(0.01)
        note("ended")
    """,
    )
    assert project.run("--slots", "api=2").exit_code == 0
    lines, most = noted(project), 0
    for at in range(len(lines)):
        most = max(most, lines[: at + 1].count("begun") - lines[:at].count("ended"))
    assert most == 2


def test_one_with_a_time_limit_is_ended_in_a_worker(project: Project) -> None:
    write(
        project,
        """
    @step(takes={"url": "urls"}, timeout=0.5)
    async def page(url: Each):
        await asyncio.sleep(60 if url == "u1" else 0)
        return os.getpid()
    """,
    )
    result = project.run()
    assert "element 1:" in result.stdout
    assert "TimeoutError: it took longer than its timeout of 0.5 seconds" in result.stdout


def test_an_interrupt_ends_all_and_keeps_what_was_finished(project: Project) -> None:
    write(
        project,
        """
    @resource
    def shared():
        yield 1
        note("torn down")

    @step(takes={"url": "urls"}, retries=Retry(1, on=(asyncio.CancelledError,)))
    async def page(shared, url: Each):
        note(f"begun {url}")
        try:
            await asyncio.sleep(60 if url != "u0" else 0)
        finally:
            note("ended")
        return url
    """,
    )
    log = project.path.parent / "log"
    missing = [f"input: urls[{number}]" for number in (1, 2, 3)]
    run = subprocess.Popen([sys.executable, "-m", "stepcache"], cwd=project.path, stdout=subprocess.PIPE, text=True)
    for _ in range(1500):
        if log.exists() and log.read_text().count("begun") == 4 and "ended" in log.read_text():
            break
        time.sleep(0.02)
    for _ in range(100):  # "ended" is noted before the value is stored
        if project.run("--plan").reasons["pipeline_x.py::page"] == missing:
            break
    os.kill(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 2, output
    lines = noted(project)
    assert sorted(lines[:5]) == ["begun u0", "begun u1", "begun u2", "begun u3", "ended"]
    assert lines[5:] == ["ended"] * 3 + ["torn down"]
    assert project.run("--plan").reasons["pipeline_x.py::page"] == missing
