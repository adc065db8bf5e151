"""What a step does to the process ends with the step; and Ctrl-C gets through, whatever is going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from stepcache.testing import Project

TEXT = """
    import os
    import signal
    import sys
    from stepcache import resource, step

    @step
    def changes():
        os.environ["SET_BY_A_STEP"] = "1"
        os.environ["CHANGED_BY_A_STEP"] = "new"
        os.environ.pop("REMOVED_BY_A_STEP")
        os.chdir("/")
        sys.path.insert(0, "/nowhere")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return [os.environ.get(name) for name in NAMES]

    NAMES = ["SET_BY_A_STEP", "CHANGED_BY_A_STEP", "REMOVED_BY_A_STEP"]

    @step
    def after(changes):
        assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        assert "/nowhere" not in sys.path
        return [os.environ.get(name) for name in NAMES], os.getcwd()

    @resource
    def region():
        os.environ["SET_BY_A_STEP"] = "by a resource"

    @step
    def with_resource(region):
        return 1

    @step
    def after_resource(region, with_resource):
        return os.environ.get("SET_BY_A_STEP")
"""


def test_what_a_step_does_to_the_process_ends_with_it(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stepcache

    stepcache_project.write("pipeline_x.py", TEXT)
    monkeypatch.delenv("SET_BY_A_STEP", raising=False)
    monkeypatch.setenv("CHANGED_BY_A_STEP", "old")
    monkeypatch.setenv("REMOVED_BY_A_STEP", "there")
    run = stepcache.run()
    assert run["changes"] == ["1", "new", None]
    assert run["after"] == ([None, "old", "there"], str(stepcache_project.path))
    assert run["after_resource"] == "by a resource"
    assert run.exit_code == 0
    monkeypatch.delenv("SET_BY_A_STEP", raising=False)
    # What a step finds does not hang on whether the one before has run.
    assert {row["outcome"] for row in stepcache.run("pipeline_x.py::after").nodes} == {"cached"}


def test_a_library_that_sets_variables_keeps_them(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = stepcache_project
    (library := project.path.parent / "site-packages").mkdir()
    (library / "sets_a_variable.py").write_text("import os\nos.environ.setdefault('SET_BY_A_LIBRARY', '1')\n")
    monkeypatch.syspath_prepend(str(library))
    monkeypatch.delenv("SET_BY_A_LIBRARY", raising=False)
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def a():
            import sets_a_variable

        @step
        def b(a):
            import os
            assert os.environ["SET_BY_A_LIBRARY"] == "1"
        """,
    )
    assert project.run().exit_code == 0


@pytest.mark.parametrize("module", ["stepcache/stamp.py", "stepcache/command.py", "stepcache/graph/wire.py"])
def test_an_interrupt_while_stepcache_starts(stepcache_project: Project, module: str) -> None:
    """It comes when that module is imported, long before a step runs."""
    stepcache_project.write("pipeline_x.py", "")
    code = (
        "import os, signal, sys\n"
        "def hook(event, args):\n"
        f"    if event == 'exec' and args[0].co_filename.endswith({module!r}):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(hook)\n"
        "from stepcache.cli import console_main\n"
        "console_main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=stepcache_project.path, capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "\n! interrupted !\n")


TERMINATED = """
    import multiprocessing
    import time
    from pathlib import Path
    from stepcache import resource, step

    @resource
    def connection():
        yield 1
        Path("torn_down").touch()

    @step
    def done():
        return 1

    @step
    def child():
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join()
        return process.exitcode

    @step
    def long(done, child, connection, tmp_path):
        assert child == -15
        Path("begun").touch()
        time.sleep(60)

    @step
    def after(long):
        return 1
"""


@pytest.mark.parametrize("flags", [(), ("-n", "2"), ("--no-cache",)], ids=" ".join)
def test_sigterm_ends_the_command_as_ctrl_c_does(stepcache_project: Project, flags: tuple[str, ...]) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", TERMINATED)
    (temporary := project.path / "temporary").mkdir()
    command = [sys.executable, "-m", "stepcache", *flags, "--json=report.json"]
    env = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, cwd=project.path, env=env, stdout=subprocess.PIPE, text=True) as run:
        end = time.monotonic() + 60
        while not (project.path / "begun").exists():
            assert time.monotonic() < end
            assert run.poll() is None
            time.sleep(0.01)
        run.terminate()
        out, _ = run.communicate(timeout=30)
    assert run.returncode == 2, out
    rows = json.loads((project.path / "report.json").read_text())["nodes"]
    assert {row["id"].partition("::")[2]: row["outcome"] for row in rows} == {
        "done": "ran", "child": "ran", "long": "skipped", "after": "skipped",
    }  # fmt: skip
    assert (project.path / "torn_down").exists()
    assert list(temporary.iterdir()) == []
    assert "! KeyboardInterrupt" in out


def test_who_has_a_handler_for_sigterm_keeps_it(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import signal
        from stepcache import step

        @step
        def changes():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        @step
        def handler(changes):
            return getattr(signal.getsignal(signal.SIGTERM), "__name__", None)
        """,
    )
    done = stepcache_project.python(
        "-c",
        """if True:
        import signal, stepcache

        before = signal.getsignal(signal.SIGTERM)
        stepcache.main(["-q"])
        print(stepcache.load("pipeline_x.py::handler"), signal.getsignal(signal.SIGTERM) is before)

        def mine(number, frame): ...

        signal.signal(signal.SIGTERM, mine)
        stepcache.main(["-q", "--cache-refresh"])
        print(stepcache.load("pipeline_x.py::handler"), signal.getsignal(signal.SIGTERM) is mine)
        """,
    )
    assert [line for line in done.stdout.splitlines() if line.endswith("True")] == ["end True", "mine True"], done
