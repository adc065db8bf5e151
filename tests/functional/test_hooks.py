"""Plugins: how they come in, what their hooks do, and what is said of a wrong one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import stepcache
from stepcache.testing import Project, Result

STEP = """
    from stepcache import step

    @step
    def a():
        return 1
"""


@pytest.fixture
def project(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    stepcache_project.write("pipeline_x.py", STEP)
    monkeypatch.syspath_prepend(str(stepcache_project.path / "lib"))
    return stepcache_project


def plugin(project: Project, name: str, text: str) -> None:
    project.write(f"lib/{name}.py", "from stepcache import hookimpl\n\n" + text)


HEADER = "@hookimpl\ndef stepcache_report_header(options, configuration):\n    return 'hello from {name}'\n"


def told_plugins(result: Result) -> list[str]:
    """The plugins that the header names: those of the test among any that are installed."""
    (line,) = (line for line in result.lines if line.startswith("plugins: "))
    return line.removeprefix("plugins: ").split(", ")


def distribution(project: Project, name: str, module: str) -> None:
    """An installed distribution with an entry point."""
    folder = f"lib/{name.replace('-', '_')}-1.0.dist-info"
    project.write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    project.write(f"{folder}/entry_points.txt", f"[stepcache]\n{name} = {module}\n")


# --- how they come in


def test_by_p(project: Project) -> None:
    plugin(project, "my_plugin_p", HEADER.format(name="p"))
    result = project.run("-p", "my_plugin_p")
    assert "hello from p" in result.lines
    assert "my_plugin_p" in told_plugins(result)
    assert "hello from p" not in project.run().lines


def test_by_the_configuration(project: Project) -> None:
    plugin(project, "my_plugin_c", HEADER.format(name="c"))
    project.configure('plugins = ["my_plugin_c"]')
    assert "hello from c" in project.run().lines
    assert "hello from c" not in project.run("-p", "no:my_plugin_c").lines


def test_by_an_entry_point(project: Project) -> None:
    plugin(project, "my_plugin_e", HEADER.format(name="e"))
    distribution(project, "entry", "my_plugin_e")
    result = project.run()
    assert "hello from e" in result.lines
    assert "entry-1.0" in told_plugins(result)
    assert "hello from e" not in project.run("-p", "no:entry").lines
    # Asked for twice, it is there once.
    assert project.run("-p", "entry").lines.count("hello from e") == 1


def test_the_header_leaves_out_the_prefix_of_plugins(project: Project) -> None:
    plugin(project, "my_plugin_s", HEADER.format(name="s"))
    distribution(project, "stepcache-entry", "my_plugin_s")
    assert "entry-1.0" in told_plugins(project.run())


def test_by_the_argument_of_main_and_run(project: Project) -> None:
    seen: list[str] = []

    class Plugin:
        @stepcache.hookimpl
        def stepcache_node_finished(self, report: Any) -> None:
            seen.append(report.id)

    project.run(plugins=(Plugin(),))
    stepcache.run(plugins=[Plugin()])
    assert seen == ["pipeline_x.py::a"] * 2


def test_by_a_stepconf(project: Project) -> None:
    project.write(
        "stepconf.py",
        """
        from pathlib import Path
        from stepcache import hookimpl

        @hookimpl
        def stepcache_run_finished(report):
            Path("told.txt").write_text(" ".join(row.outcome for row in report.nodes))
        """,
    )
    project.run()
    assert (project.path / "told.txt").read_text() == "ran"
    project.run()
    assert (project.path / "told.txt").read_text() == "cached"


def test_a_stepconf_is_told_of_the_nodes_of_its_folder_and_below(project: Project) -> None:
    told = """
    from pathlib import Path
    from stepcache import hookimpl

    def note(hook, node):
        with open(Path(__file__).parent / "told.txt", "a") as file:
            file.write(f"{hook} {node}\\n")

    @hookimpl
    def stepcache_node_started(node):
        note("started", node.id)

    @hookimpl
    def stepcache_node_finished(report):
        note("finished", report.id)

    @hookimpl
    def stepcache_node_logged(node):
        note("logged", node)
    """
    logs = """
    import logging
    from stepcache import step

    @step
    def {name}():
        logging.error("{name}")
    """
    project.write("sub/stepconf.py", told)
    project.write("pipeline_x.py", logs.format(name="above"))
    project.write("sub/pipeline_y.py", logs.format(name="beside"))
    project.write("sub/deep/pipeline_z.py", logs.format(name="below"))
    project.write("subs/pipeline_w.py", logs.format(name="elsewhere"))
    project.run("--log-cli-level=error")
    nodes = ("sub/deep/pipeline_z.py::below", "sub/pipeline_y.py::beside")
    assert sorted((project.path / "sub" / "told.txt").read_text().splitlines()) == sorted(
        f"{hook} {node}" for hook in ("started", "finished", "logged") for node in nodes
    )


LOUD = """
import sys
import warnings

@hookimpl
def stepcache_node_started(node):
    print("started", node.name)

@hookimpl
def stepcache_node_finished(report):
    print("finished", report.outcome)
    sys.stderr.write("to standard error\\n")
    warnings.warn("take care")
"""


@pytest.mark.parametrize("flags", [(), ("-n", "2"), ("--capture=sys",)], ids=" ".join)
@pytest.mark.parametrize("where", ["lib/my_plugin_loud.py", "stepconf.py"])
def test_what_hooks_print_is_shown_where_they_do(project: Project, where: str, flags: tuple[str, ...]) -> None:
    project.write("pipeline_x.py", "from stepcache import step\n@step\ndef a():\n    print('from the body')\n")
    project.write(where, "from stepcache import hookimpl\n" + LOUD)
    flags += ("-p", "my_plugin_loud") if where.startswith("lib") else ()
    first, second = (
        project.command(*flags, "--no-header", env={"PYTHONPATH": str(project.path / "lib")}) for _ in "12"
    )
    at = first.lines.index("started a")
    assert first.lines[at : at + 5] == ["started a", "", "pipeline_x.py .", "finished ran", "to standard error"]
    at = second.lines.index("pipeline_x.py c")
    assert second.lines[at + 1 : at + 3] == ["finished cached", "to standard error"]
    assert "from the body" not in first.stdout
    for result in (first, second):
        assert any(line.endswith("UserWarning: take care") for line in result.lines)
        assert result.stderr == ""


def test_marks_and_codecs_of_a_stepconf_count(project: Project) -> None:
    project.write("stepconf.py", "from stepcache import hookimpl\n" + CODEC + MARKS)
    project.write("pipeline_x.py", LOCKED.replace("@step\n    def lock", "@mark.gpu\n    @step\n    def lock"))
    result = project.run("--strict-markers")
    assert result.exit_code == 0, result.stdout
    assert project.run("--strict-markers").ran == []


@pytest.mark.parametrize(
    ("hook", "instead"),
    [
        ("stepcache_options", "the command line is read before a stepconf.py is found"),
        ("stepcache_steps", "steps stand in a stepconf.py as they are"),
        ("stepcache_report_header", "the header is written before a stepconf.py is found"),
    ],
)
def test_hooks_that_a_stepconf_cannot_have(project: Project, hook: str, instead: str) -> None:
    project.write("stepconf.py", f"from stepcache import hookimpl\n@hookimpl\ndef {hook}():\n    return []\n")
    result = project.run()
    assert result.exit_code == 4
    assert result.stderr == f"ERROR: {project.path / 'stepconf.py'}: {hook} is not asked here: {instead}\n"


# --- what is wrong with them


def test_a_plugin_that_is_not_there(project: Project) -> None:
    result = project.run("-p", "no_such_plugin")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: plugin no_such_plugin (asked for by -p no_such_plugin) cannot be imported: "
        "No module named 'no_such_plugin'\n",
    )


@pytest.mark.parametrize("name", ["codecs", "executors"])
def test_what_no_run_can_do_without_is_not_left_out(project: Project, name: str) -> None:
    result = project.run("-p", f"no:{name}")
    assert (result.exit_code, result.stderr) == (4, f"ERROR: -p no:{name}: the plugin {name} cannot be left out\n")


def test_a_plugin_that_cannot_be_imported(project: Project) -> None:
    project.write("lib/my_plugin_broken.py", "import nothing_so_called\n")
    result = project.run("-p", "my_plugin_broken")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: plugin my_plugin_broken (asked for by -p my_plugin_broken) cannot be imported: "
        "No module named 'nothing_so_called'\n",
    )


def test_a_plugin_whose_import_raises_anything(project: Project) -> None:
    project.write("lib/my_plugin_raises.py", "raise ValueError('no')\n")
    result = project.run("-p", "my_plugin_raises")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: plugin my_plugin_raises (asked for by -p my_plugin_raises) cannot be imported: ValueError: no\n",
    )


def test_a_misspelt_hook_is_a_usage_error(project: Project) -> None:
    plugin(project, "my_plugin_misspelt", "@hookimpl\ndef stepcache_node_finnished(report): ...\n")
    result = project.run("-p", "my_plugin_misspelt")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: plugin my_plugin_misspelt: there is no hook stepcache_node_finnished: "
        "did you mean stepcache_node_finished?\n",
    )


def test_a_misspelt_hook_in_a_stepconf_is_a_usage_error(project: Project) -> None:
    project.write("stepconf.py", "from stepcache import hookimpl\n@hookimpl\ndef stepcache_stepz(): ...\n")
    result = project.run()
    assert (result.exit_code, result.stderr) == (
        4,
        f"ERROR: plugin {project.path / 'stepconf.py'}: there is no hook stepcache_stepz: did you mean stepcache_steps?\n",
    )


def test_a_hook_with_an_argument_that_there_is_not(project: Project) -> None:
    plugin(project, "my_plugin_argument", "@hookimpl\ndef stepcache_node_finished(repotr): ...\n")
    result = project.run("-p", "my_plugin_argument")
    assert result.exit_code == 4
    assert result.stderr.startswith("ERROR: plugin my_plugin_argument: Plugin 'my_plugin_argument' for hook ")
    assert "{'repotr'}" in result.stderr


# --- what the hooks do

CODEC = """
import threading

class LockCodec:
    name = "lock"
    safe = True
    types = ("_thread.lock",)

    def takes(self, value):
        return True

    def encode(self, value):
        from stepcache.store.codecs import Encoded

        return Encoded((b"lock",))

    def decode(self, data):
        return threading.Lock()

@hookimpl
def stepcache_codecs():
    return [LockCodec()]
"""

MARKS = """
@hookimpl
def stepcache_markers():
    return ["gpu: needs a GPU"]
"""

LOCKED = """
    import threading
    from stepcache import mark, step

    @step
    def lock():
        return threading.Lock()

    @step
    def taken(lock):
        return type(lock).__name__
"""


def test_codecs(project: Project) -> None:
    plugin(project, "my_plugin_codec", CODEC)
    project.write("pipeline_x.py", LOCKED)
    result = project.run("-p", "my_plugin_codec")
    assert result.exit_code == 0
    assert "warning" not in result.lines[-1]
    assert project.run("-p", "my_plugin_codec").ran == []
    # Without it, what it stored cannot be read, and is made again when it is needed.
    project.edit("pipeline_x.py", "type(lock).__name__", "type(lock).__qualname__")
    assert project.run().outcomes["pipeline_x.py::taken"] == "ran"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Encoded((b"lock",))', "1 / 0", "codec 'lock' fails: ZeroDivisionError: division by zero"),
        ('Encoded((b"lock",))', "b''", "codec 'lock' gives bytes where an Encoded is wanted"),
        ("return True", "raise KeyError(1)", "codec 'lock' fails: KeyError: 1"),
    ],
)
def test_a_codec_that_fails_is_named_and_fails_nothing(project: Project, old: str, new: str, said: str) -> None:
    plugin(project, "my_plugin_codec", CODEC.replace(old, new))
    project.write("pipeline_x.py", LOCKED)
    result = project.run("-p", "my_plugin_codec")
    assert result.exit_code == 0
    assert any(f"its value cannot be stored (_thread.lock: {said})" in line for line in result.lines)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("takes(", "take(", "the codec my_plugin_codec.LockCodec has no 'takes'"),
        (
            '("_thread.lock",)', '("_thread.lock")',
            "`types` of the codec my_plugin_codec.LockCodec is a tuple of names, not '_thread.lock'",
        ),
    ],
)  # fmt: skip
def test_what_is_no_codec_is_refused(project: Project, old: str, new: str, said: str) -> None:
    plugin(project, "my_plugin_codec", CODEC.replace(old, new))
    result = project.run("-p", "my_plugin_codec")
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {said}\n")


@pytest.mark.parametrize(
    ("hook", "gives", "said"),
    [
        ("steps", "3", "stepcache_steps: a plugin gives 3, which is no list"),
        ("options", "[3]", "stepcache_options: a plugin offers 3, which is no PluginOption or PluginSetting"),
        ("codecs", "3", "stepcache_codecs: a plugin gives 3, which is no list"),
        ("codecs", "[3]", "the codec int has no 'name'"),
        (
            "executors", "[3]",
            "stepcache_executors: a plugin offers 3, which is no executor: those have a name and open(site)",
        ),
        ("markers", "'gpu: x'", "stepcache_markers: a plugin gives 'gpu: x', which is no list"),
        ("markers", "[3]", "stepcache_markers: a plugin offers 3, which is no text"),
        ("report_header", "3", "stepcache_report_header: a plugin gives 3, which is no text and no list of texts"),
    ],
)  # fmt: skip
def test_what_a_hook_cannot_give_is_refused(project: Project, hook: str, gives: str, said: str) -> None:
    plugin(project, "my_plugin_odd", f"@hookimpl\ndef stepcache_{hook}():\n    return {gives}\n")
    result = project.run("-p", "my_plugin_odd", "--strict-markers")
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {said}\n")


def test_steps(project: Project) -> None:
    plugin(
        project,
        "my_plugin_steps",
        "from stepcache import resource, step\n\n@step\ndef offered(n=1):\n    return n\n\n"
        "@resource\ndef live():\n    return 'live'\n\n"
        "@hookimpl\ndef stepcache_steps():\n    return [offered, live]\n",
    )
    project.write(
        "pipeline_x.py",
        "from stepcache import step\n@step\ndef a(offered, live):\n    return offered, live\n",
    )
    run = stepcache.run(plugins=[__import__("my_plugin_steps")])
    assert run["a"] == (1, "live")
    result = project.run("-p", "my_plugin_steps", "-P", "offered.n=2")
    assert result.ran == ["offered", "a"]
    project.write("stepconf.py", "from stepcache import step\n@step\ndef offered():\n    return 'nearer'\n")
    assert stepcache.run(plugins=[__import__("my_plugin_steps")])["a"] == ("nearer", "live")


def test_options_and_settings(project: Project) -> None:
    plugin(
        project,
        "my_plugin_options",
        "from pathlib import Path\n"
        "from stepcache.config import PluginOption, PluginSetting\n\n"
        "@hookimpl\ndef stepcache_options():\n"
        "    return [PluginOption('--greet', help='whom to greet', metavar='NAME'),\n"
        "            PluginSetting('greeting', help='the word', default='hello')]\n\n"
        "@hookimpl\ndef stepcache_report_header(options, configuration):\n"
        "    return [f\"{configuration.plugin_options['greeting']} {options.plugin_options['greet']}\", 'second line']\n",
    )
    project.configure('plugins = ["my_plugin_options"]')
    result = project.run("--greet=world")
    assert "hello world" in result.lines, result.stderr
    assert "second line" in result.lines
    project.configure('plugins = ["my_plugin_options"]\ngreeting = "bye"')
    assert "bye world" in project.run("--greet", "world").lines
    assert "--greet=NAME" in project.run("--help").stdout
    assert project.run("--gret=world").stderr.startswith("ERROR: unknown option '--gret'; did you mean '--greet'?")


def test_markers(project: Project) -> None:
    plugin(project, "my_plugin_marks", MARKS)
    assert "@mark.gpu: needs a GPU" in project.run("-p", "my_plugin_marks", "--markers").lines
    project.edit("pipeline_x.py", "@step", "@mark.gpu\n@step")
    project.edit("pipeline_x.py", "import step", "import mark, step")
    assert project.run("-p", "my_plugin_marks", "--strict-markers").exit_code == 0
    assert project.run("--strict-markers").exit_code == 2


def test_no_header_is_no_header(project: Project) -> None:
    plugin(project, "my_plugin_h", HEADER.format(name="h"))
    for flag in ("--no-header", "-q"):
        assert "hello from h" not in project.run("-p", "my_plugin_h", flag).lines


def test_what_is_told(project: Project) -> None:
    told: list[tuple[Any, ...]] = []

    class Plugin:
        @stepcache.hookimpl
        def stepcache_collected(self, graph: Any, problems: Any) -> None:
            told.append(("collected", *graph.nodes, problems))

        @stepcache.hookimpl
        def stepcache_node_started(self, node: Any, expected: Any) -> None:
            told.append(("started", node.id, type(expected).__name__))

        @stepcache.hookimpl
        def stepcache_node_finished(self, report: Any) -> None:
            told.append(("finished", report.id, report.outcome))

        @stepcache.hookimpl
        def stepcache_run_finished(self, report: Any, options: Any) -> None:
            told.append(("over", report.exit_code, options.why))

    a = "pipeline_x.py::a"
    project.run("--why", plugins=(Plugin(),))
    assert told == [("collected", a, ()), ("started", a, "NoneType"), ("finished", a, "ran"), ("over", 0, True)]
    told.clear()
    project.run(plugins=(Plugin(),))
    assert told == [("collected", a, ()), ("finished", a, "cached"), ("over", 0, False)]
    told.clear()
    project.run("--cache-refresh", plugins=(Plugin(),))
    assert told[1] == ("started", a, "float")


def test_trace_config_tells_where_plugins_come_from(project: Project) -> None:
    plugin(project, "my_plugin_t", HEADER.format(name="t"))
    result = project.run("-p", "my_plugin_t", "--trace-config")
    file = Path(project.path) / "lib" / "my_plugin_t.py"
    assert any("my_plugin_t" in line and str(file) in line for line in result.lines), result.stdout


EXECUTOR = Path(__file__).parents[2].joinpath("docs/writing-plugins.md").read_text(encoding="utf-8")


def test_the_executor_of_the_page_on_plugins(project: Project) -> None:
    text = EXECUTOR.partition("## An executor")[2].partition("```python\n")[2].partition("```")[0]
    counting = """
asked = []

class Counted(Running):
    def takes(self, node):
        asked.append(node.id)
        return super().takes(node)

Futures.open = lambda self, site: Counted(site)
"""
    project.write("lib/by_futures.py", text + counting)
    project.write("data.txt", "data")
    project.write(
        "pipeline_x.py",
        """
        import os
        from pathlib import Path
        from stepcache import Each, parametrize, pipeline, step

        @step
        @parametrize("n", range(30))
        def part(n):
            print("part", n)
            return n, os.getpid(), Path("data" + ".txt").read_text()

        @step
        def live():
            return lambda: 42

        @step
        def here(live):
            return live(), os.getpid()

        @step
        def bad():
            return {}["missing"]

        @step
        def words():
            return ["one", "two"]

        @step(takes={"word": "words"})
        def each(word: Each):
            return word + "!"
        """,
    )
    module = __import__("by_futures")
    run = stepcache.run(executor="futures", workers=2, plugins=[module])
    outcomes = {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes}
    assert {name for name, outcome in outcomes.items() if outcome != "ran"} == {"bad"}
    assert isinstance(run.errors, list)
    assert [value[0] for value in run["part"].values()] == list(range(30))
    pids = {value[1] for value in run["part"].values()}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    assert run["here"] == (42, os.getpid()), "what cannot leave this process runs in it"
    assert run["each"] == ["one!", "two!"]
    assert len(module.asked) < 8 * 40, "not every node that waits is asked for each time"

    project.write("data.txt", "other")
    again = project.run("--executor=futures", "-n", "2", "-rA", "pipeline_x.py::part[7]", plugins=(module,))
    assert again.reasons == {"pipeline_x.py::part[7]": ["file: data.txt"]}, "what it reads there is seen"
    assert "part 7" in again.lines


def test_a_second_run_in_one_process_sees_an_edited_plugin(stepcache_project: Project) -> None:
    project = stepcache_project
    project.configure('plugins = ["offering"]\npythonpath = ["."]')
    project.write(
        "offering.py",
        """
        from stepcache import hookimpl, step

        @step
        def offered():
            return 1

        @hookimpl
        def stepcache_steps():
            return [offered]
        """,
    )
    project.write("pipeline_x.py", "from stepcache import step\n\n@step\ndef after(offered):\n    return offered\n")
    assert stepcache.run()["after"] == 1
    assert stepcache.run()["after"] == 1
    project.edit("offering.py", "return 1", "return 2")
    assert stepcache.run()["after"] == 2
    assert stepcache.run().nodes[0]["outcome"] == "cached"
