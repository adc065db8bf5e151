"""Resources: live objects that are set up when a node first needs them, torn down in reverse, and never cached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stepcache
from stepcache.testing import Project, Result

HEAD = """
    from pathlib import Path
    from stepcache import mark, resource, skip, step

    def note(text):
        with open({log!r}, "a") as file:
            file.write(text + " ")
"""


class Log:
    """A project whose steps and resources note what happens."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.path: Path = project.path.parent / "log.txt"
        project.configure(f'observe_ignore = ["file:{self.path}"]')

    def write(self, text: str) -> None:
        self.project.write("pipeline_x.py", HEAD.format(log=str(self.path)) + text)

    def run(self, *args: str) -> tuple[Result, str]:
        self.path.unlink(missing_ok=True)
        result = self.project.run(*args)
        return result, self.path.read_text().strip() if self.path.exists() else ""


@pytest.fixture
def log(stepcache_project: Project) -> Log:
    return Log(stepcache_project)


def names(result: Result) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}


TWO = """
    @resource{scope}
    def outer():
        note("outer+")
        yield "outer"
        note("outer-")

    @resource{scope}
    def inner(outer):
        note("inner+")
        yield outer + ".inner"
        note("inner-")

    @step
    def first():
        note("first")
        return 1

    @step
    def a(inner, first):
        note("a")
        return inner

    @step
    def b(inner, outer, a):
        note("b")
        return [inner, outer]
"""


def test_of_scope_run_it_is_set_up_once_and_torn_down_at_the_end(log: Log) -> None:
    log.write(TWO.format(scope=""))
    result, noted = log.run()
    assert result.exit_code == 0
    assert noted == "first outer+ inner+ a b inner- outer-"


def test_of_scope_node_it_is_set_up_for_each(log: Log) -> None:
    log.write(TWO.format(scope='(scope="node")'))
    _, noted = log.run()
    assert noted == "first outer+ inner+ a inner- outer- outer+ inner+ b inner- outer-"


def test_a_node_scoped_resource_may_take_a_run_scoped_one(log: Log) -> None:
    log.write(
        TWO.format(scope='(scope="node")').replace('@resource(scope="node")\n    def outer', "@resource\n    def outer")
    )
    _, noted = log.run()
    assert noted == "first outer+ inner+ a inner- inner+ b inner- outer-"


def test_a_run_scoped_resource_may_not_outlive_what_it_takes(log: Log) -> None:
    log.write(
        TWO.format(scope='(scope="node")').replace('@resource(scope="node")\n    def inner', "@resource\n    def inner")
    )
    result, noted = log.run()
    assert (result.exit_code, noted) == (2, "")
    assert len(result.errors) == 1
    assert result.errors[0] == (
        "pipeline_x.py:14: resource 'inner' has scope \"run\" and takes 'outer', which is torn down after each node\n"
        "    pipeline_x.py:8: resource 'outer' has scope \"node\"\n"
        "  give both the same scope"
    )


def test_it_is_never_set_up_where_all_is_cached(log: Log) -> None:
    log.write(TWO.format(scope=""))
    log.run()
    result, noted = log.run()
    assert (set(names(result).values()), noted) == ({"cached"}, "")
    # Only what the nodes that run need is set up.
    _, noted = log.run("--cache-refresh=first")
    assert noted == "first"


def test_two_variants_of_settings_are_two_objects(log: Log) -> None:
    log.write(
        """
    @resource
    def client(url="x"):
        note(f"client({url})")
        return {"url": url}

    @step
    def a(client):
        client["url"] = "changed"
        return 1

    @step
    def b(client, a):
        return client["url"]
    """
    )
    result, noted = log.run()
    assert noted == "client(x)"
    assert stepcache.run()["b"] == "changed"
    result, noted = log.run("-P", "client.url=y")
    assert (result.ran, noted) == (["a", "b"], "client(y)")
    assert result.reasons["pipeline_x.py::a"] == ["setting: client.url changed"]
    result, noted = log.run("-P", "client.url=x")
    assert (result.ran, noted) == ([], "")


def test_its_code_counts(log: Log) -> None:
    log.write(TWO.format(scope=""))
    log.run()
    log.project.edit("pipeline_x.py", '".inner"', '".INNER"')
    result, _ = log.run()
    assert result.ran == ["a", "b"]
    assert result.reasons["pipeline_x.py::a"] == ["code: pipeline_x.py::inner"]


def test_the_steps_it_takes_count(log: Log) -> None:
    log.write(
        """
    @step
    def table(n=1):
        return [n]

    @resource
    def lookup(table):
        yield {"table": table}

    @step
    def a(lookup):
        return lookup["table"]
    """
    )
    result, _ = log.run()
    assert names(result) == {"table": "ran", "a": "ran"}
    result, _ = log.run("-P", "n=2")
    assert result.reasons == {
        "pipeline_x.py::table": ["setting: n 1 -> 2"],
        "pipeline_x.py::a": ["input: lookup.table"],
    }
    assert stepcache.run(params={"n": 2})["a"] == [2]


def test_what_its_set_up_reads_counts(log: Log) -> None:
    log.project.write("server.txt", "one")
    log.write(
        """
    @resource
    def server():
        return open("server.txt").read()

    @resource
    def client(server):
        return "client of " + server

    @step
    def a(client):
        return client

    @step
    def b(client):
        return client + "b"
    """
    )
    log.run()
    log.project.write("server.txt", "two")
    result, _ = log.run()
    assert result.reasons == {
        "pipeline_x.py::a": ["file: server.txt"],
        "pipeline_x.py::b": ["file: server.txt"],
    }
    assert log.run()[0].ran == []


# --- what goes wrong


def test_after_a_failure_it_is_torn_down_all_the_same(log: Log) -> None:
    log.write(TWO.format(scope="").replace('note("a")', 'raise ValueError("a")'))
    result, noted = log.run()
    assert names(result) == {"first": "ran", "a": "failed", "b": "blocked"}
    assert noted == "first outer+ inner+ inner- outer-"
    _, noted = log.run("-x")
    assert noted == "outer+ inner+ inner- outer-"


@pytest.mark.parametrize("scope", ["", '(scope="node")'])
def test_after_an_interrupt_it_is_torn_down(log: Log, scope: str) -> None:
    log.write(TWO.format(scope=scope).replace('note("a")', "raise KeyboardInterrupt"))
    result, noted = log.run()
    assert (result.exit_code, noted) == (2, "first outer+ inner+ inner- outer-")


def test_after_a_skip_it_is_torn_down(log: Log) -> None:
    log.write(TWO.format(scope='(scope="node")').replace('note("a")', 'skip("no")'))
    result, noted = log.run()
    assert names(result) == {"first": "ran", "a": "skipped", "b": "skipped"}
    assert noted == "first outer+ inner+ inner- outer-"


def test_a_set_up_that_fails_fails_the_node(log: Log) -> None:
    log.write(TWO.format(scope="").replace('note("inner+")', 'raise ConnectionError("no server")'))
    result, noted = log.run()
    assert result.exit_code == 1
    assert names(result) == {"first": "ran", "a": "failed", "b": "blocked"}
    assert "FAILED pipeline_x.py::a - ConnectionError: no server" in result.lines
    assert any(line.startswith("pipeline_x.py:") and "ConnectionError" in line for line in result.lines)
    assert noted == "first outer+ outer-"


def test_a_set_up_that_skips_skips_the_node(log: Log) -> None:
    log.write(TWO.format(scope="").replace('note("inner+")', 'skip("no server here")'))
    result, _ = log.run()
    assert (result.exit_code, names(result)) == (0, {"first": "ran", "a": "skipped", "b": "skipped"})


def test_a_resource_that_does_not_yield(log: Log) -> None:
    log.write(
        """
    @resource
    def empty():
        if False:
            yield

    @step
    def a(empty):
        return 1
    """
    )
    result, _ = log.run()
    assert result.exit_code == 1
    said = next(row["error"] for row in result.nodes if row["id"] == "pipeline_x.py::a")
    assert re.fullmatch(r"pipeline_x\.py:\d+: resource 'empty' did not yield", said)
    assert said in result.lines  # without a traceback of ours


def test_a_tear_down_that_fails_at_the_end_fails_the_run(log: Log) -> None:
    log.write(TWO.format(scope="").replace('note("inner-")', 'raise OSError("lost")'))
    result, noted = log.run()
    assert result.exit_code == 1
    assert set(names(result).values()) == {"ran"}
    assert noted == "first outer+ inner+ a b outer-"
    assert "pipeline_x.py:14: tear-down of resource 'inner' failed: OSError: lost" in result.lines


def test_a_tear_down_that_fails_after_a_node_fails_the_node(log: Log) -> None:
    log.write(TWO.format(scope='(scope="node")').replace('note("inner-")', 'raise OSError("lost")'))
    result, noted = log.run()
    assert result.exit_code == 1
    assert names(result) == {"first": "ran", "a": "failed", "b": "blocked"}
    assert "FAILED pipeline_x.py::a - OSError: lost" in result.lines
    assert noted == "first outer+ inner+ a outer-"
    assert names(log.run()[0])["a"] == "failed"


def test_a_resource_that_yields_twice(log: Log) -> None:
    log.write(TWO.format(scope="").replace('note("inner-")', "yield 2"))
    result, _ = log.run()
    assert result.exit_code == 1
    assert (
        "pipeline_x.py:14: tear-down of resource 'inner' failed: RuntimeError: resource 'inner' yielded twice"
        in result.lines
    )


def test_it_is_torn_down_when_its_run_ends_and_set_up_again_in_the_next(log: Log) -> None:
    log.write(TWO.format(scope=""))
    for _ in range(2):
        _, noted = log.run("--no-cache")
        assert noted == "first outer+ inner+ a b inner- outer-"


def test_a_resource_from_stepconf_and_its_nearest_definition(log: Log) -> None:
    log.project.write("stepconf.py", "from stepcache import resource\n@resource\ndef where():\n    return 'outer'\n")
    log.write("\n    @step\n    def a(where):\n        return where\n")
    log.run()
    assert stepcache.run()["a"] == "outer"
    log.project.write(
        "sub/stepconf.py", "from stepcache import resource\n@resource\ndef where(where):\n    return where + '.inner'\n"
    )
    log.project.write("sub/pipeline_y.py", "from stepcache import step\n@step\ndef b(where):\n    return where\n")
    assert stepcache.run("sub")["b"] == "outer.inner"


def test_what_a_resource_prints_belongs_to_the_node(log: Log) -> None:
    log.write(
        """
    @resource
    def loud():
        print("set up")
        yield 1

    @step
    def a(loud):
        print("body")
        raise ValueError
    """
    )
    result, _ = log.run()
    at = next(n for n, line in enumerate(result.lines) if "Captured stdout" in line)
    assert result.lines[at + 1 : at + 3] == ["set up", "body"]


def test_workers_take_what_the_set_up_of_a_resource_has_left(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("in.txt", "1")
    project.write(
        "pipeline_x.py",
        """
        from stepcache import resource, step

        KEPT = {}

        @resource
        def prepared():
            KEPT["in"] = open("in" + ".txt").read()
            return 1

        @step
        def a(prepared):
            return KEPT["in"]

        @step
        def b(prepared):
            return KEPT["in"] * 2
        """,
    )
    assert set(project.run("-n", "2").ran) == {"a", "b"}
    assert not project.run("-n", "2").ran
    project.write("in.txt", "2")
    assert set(project.run("-n", "2").ran) == {"a", "b"}
