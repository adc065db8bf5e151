"""Several nodes at once in worker processes (`-n`): what they give and say is what they would inline."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import stepcache
from stepcache.testing import Project

FAN = """
    import os
    from stepcache import All, parametrize, pipeline, step

    @step
    def base():
        return list(range(10))

    @step
    @parametrize("n", [1, 2, 3, 4])
    def part(base, n):
        print("part", n)
        return {"sum": sum(base) * n, "pid": os.getpid()}

    def check_part_is_large(base):
        assert len(base) == 10

    @pipeline
    def whole(part: All):
        return {k: v["sum"] for k, v in part.items()}
"""


def test_nodes_run_in_worker_processes_and_give_what_they_give_inline(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", FAN)
    alone = stepcache.run(enable_cache=False)
    run = stepcache.run(workers=2)
    assert run.exit_code == 0
    assert run["whole"] == alone["whole"] == {"1": 45, "2": 90, "3": 135, "4": 180}
    pids = {value["pid"] for value in run["part"].values()}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    strip = [(row["id"], row["kind"], row["outcome"], row["needs"]) for row in run.nodes]
    assert strip == [(row["id"], row["kind"], row["outcome"], row["needs"]) for row in alone.nodes]


def test_results_of_workers_are_hits_inline_and_the_other_way_round(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", FAN)
    assert set(stepcache_project.run("-n", "2").outcomes.values()) == {"ran", "passed"}
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}
    stepcache_project.edit("pipeline_x.py", "range(10)", "range(11)")
    stepcache_project.edit("pipeline_x.py", "== 10", "== 11")
    assert set(stepcache_project.run().outcomes.values()) == {"ran", "passed"}
    assert set(stepcache_project.run("-n", "auto").outcomes.values()) == {"cached"}


def test_imports_in_workers_find_the_environment_as_those_of_the_run_did(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they make of it is the same, and workers are not refused for having read something else."""
    monkeypatch.setenv("ZZ_WORKER", "b")
    stepcache_project.write(
        "pipeline_x.py",
        "import os\nfrom stepcache import step\nos.environ['ZZ_WORKER'] = 'a' + os.environ['ZZ_WORKER']\n"
        "os.environ.setdefault('ZZ_WORKER_ONLY', '1')\n@step\ndef one():\n    return os.getpid(), os.environ['ZZ_WORKER']\n",
    )
    stepcache_project.write(
        "pipeline_y.py",
        "import os\nfrom stepcache import step\n@step\ndef two():\n    return os.getpid(), os.environ['ZZ_WORKER_ONLY']\n",
    )
    run = stepcache.run(workers=2)
    assert [run["one"][1], run["two"][1]] == ["ab", "1"]
    assert os.getpid() not in (run["one"][0], run["two"][0])
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}


def test_no_process_is_started_when_all_are_hits(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stepcache_project.write("pipeline_x.py", FAN)
    stepcache_project.run()

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    assert set(stepcache_project.run("-n", "2").outcomes.values()) == {"cached"}


def test_the_output_of_each_node_is_its_own(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os, sys, time
        from stepcache import parametrize, step

        @step
        @parametrize("n", [1, 2, 3, 4])
        def part(n):
            for _ in range(5):
                print("part", n, flush=True)
                os.system(f"echo from a child {n}")
                time.sleep(0.01)
            print("err", n, file=sys.stderr)
        """,
    )
    result = stepcache_project.run("-n", "2", "-rP")
    sections = result.stdout.split("] (ran)")[1:]
    assert len(sections) == 4
    for n, section in enumerate(sections, 1):
        lines = [line for line in section.splitlines() if line.startswith(("part", "from", "err"))]
        assert lines == [f"part {n}", f"from a child {n}"] * 5 + [f"err {n}"]


def test_what_a_worker_reads_is_observed(stepcache_project: Project) -> None:
    stepcache_project.write("data.txt", "one")
    stepcache_project.write(
        "pipeline_x.py",
        """
        from pathlib import Path
        from stepcache import step

        @step
        def text():
            return Path("data" + ".txt").read_text()
        """,
    )
    assert stepcache.run(workers=2)["text"] == "one"
    assert stepcache_project.run("-n", "2").outcomes == {"pipeline_x.py::text": "cached"}
    stepcache_project.write("data.txt", "two")
    assert stepcache_project.run("-n", "2").reasons == {"pipeline_x.py::text": ["file: data.txt"]}


def test_a_failure_reads_as_it_does_inline_and_blocks_only_what_needs_it(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import pipeline, step

        class Wrong(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} and {two}")

        @step
        def bad():
            print("before")
            raise Wrong("this", "that")

        @step
        def good():
            return 1

        @pipeline
        def both(good, bad): ...
        """,
    )
    inline, pooled = stepcache_project.run(), stepcache_project.run("-n", "2", "--cache-refresh")
    assert pooled.outcomes == inline.outcomes == {
        "pipeline_x.py::good": "ran", "pipeline_x.py::bad": "failed", "pipeline_x.py::both": "blocked",
    }  # fmt: skip
    shown = [line for line in inline.lines if line.startswith(("E ", ">", "before", "pipeline_x.py:"))]
    assert shown == [line for line in pooled.lines if line.startswith(("E ", ">", "before", "pipeline_x.py:"))]
    with pytest.raises(stepcache.StepFailed, match=r"bad failed: .*Wrong: this and that"):
        stepcache.run(workers=2, check=True)


def test_the_cause_of_a_failure_is_the_exception_itself_where_it_can_cross(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def bad():
            return {}["missing"]
        """,
    )
    with pytest.raises(stepcache.StepFailed) as caught:
        stepcache.run(workers=2, check=True)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.args == ("missing",)


def test_large_arrays_cross_by_mapping_and_are_each_ones_own(stepcache_project: Project) -> None:
    pytest.importorskip("numpy")
    stepcache_project.write(
        "pipeline_x.py",
        """
        import numpy as np
        from stepcache import step

        @step
        def big():
            return np.random.default_rng(0).random(1_000_000)

        @step
        def first(big):
            big[:] = 0
            return float(big.sum())

        @step
        def second(big, first):
            with open("/proc/self/maps") as maps:
                mapped = any("/cache/blobs/" in line or "stepcache-" in line for line in maps)
            return float(big.sum()) > 400_000, mapped
        """,
    )
    for enable_cache in (None, False):
        run = stepcache.run(workers=2, enable_cache=enable_cache)
        assert run["second"] == (True, True), run.nodes
        assert run["first"] == 0.0


def test_values_that_cannot_be_stored_stay_in_the_process_of_the_run(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import step

        @step
        def live():
            return lambda: 42

        @step
        def asked(live):
            return live(), os.getpid()

        @step
        def other():
            return os.getpid()
        """,
    )
    run = stepcache.run(workers=2)
    assert run["asked"] == (42, os.getpid())
    assert run["other"] != os.getpid()
    assert len([w for w in run.warnings if "cannot be stored" in w]) == 1


def test_settings_of_any_kind_arrive(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from pathlib import Path
        from stepcache import File, parametrize, step

        class Missing: ...

        MISSING = Missing()

        class Model:
            def __init__(self, depth):
                self.depth = depth

        @step
        def default(what=MISSING, path=File("data.txt")):
            return what is MISSING, path.read_text()

        @step
        @parametrize("make", [lambda: "a", lambda: "b"], ids=["a", "b"])
        def made(make):
            return make()

        @step
        def given(model=None):
            return type(model).__name__
        """,
    )
    stepcache_project.write("data.txt", "data")
    run = stepcache.run(workers=2, params={"given.model": {"a": 1}})
    assert run["default"] == (True, "data")
    assert dict(run["made"]) == {"a": "a", "b": "b"}
    assert run["given"] == "dict"
    run = stepcache.run(workers=2, params={"given.model": lambda: 1})
    assert run["given"] == "function", "what cannot be pickled runs here"


def test_given_values_and_settings_reach_workers(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", FAN)
    run = stepcache.run(workers=2, values={"base": [1, 2, 3] + [0] * 7})
    assert run["whole"] == {"1": 6, "2": 12, "3": 18, "4": 24}
    assert {row["outcome"] for row in run.nodes} == {"given", "ran", "passed"}
    assert stepcache.run(workers=2)["whole"]["1"] == 45


def test_steps_of_packages_stepconf_and_other_folders_are_found(stepcache_project: Project) -> None:
    stepcache_project.write("stepconf.py", "from stepcache import step\n\n@step\ndef raw():\n    return 1\n")
    stepcache_project.write("pkg/__init__.py")
    stepcache_project.write(
        "pkg/pipeline_y.py", "from stepcache import step\n\n@step\ndef one(raw):\n    return raw + 1\n"
    )
    stepcache_project.write(
        "a-b/pipeline_x.py",
        """
        from stepcache import step
        from helpers_of_x import double

        class Held:
            def __init__(self, value):
                self.value = value

        @step
        def held(raw):
            return Held(raw)

        @step
        def two(held):
            return type(held).__module__, double(held.value)

        doubled = step(double, name="doubled", takes={"value": "raw"})
        """,
    )
    stepcache_project.write("a-b/helpers_of_x.py", "def double(value):\n    return value * 2\n")
    run = stepcache.run(workers=2)
    assert run.exit_code == 0, run.errors
    assert (run["one"], run["two"], run["doubled"]) == (2, ("//a-b/pipeline_x", 2), 2)


def test_a_run_scoped_resource_is_set_up_once_in_each_worker_and_torn_down_in_reverse(
    stepcache_project: Project,
) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import os, time
        from stepcache import parametrize, resource, step

        def note(text):
            with open({str(log)!r}, "a") as file:
                file.write(f"{{os.getpid()}} {{text}}\\n")

        @resource
        def outer():
            note("outer+")
            yield 1
            note("outer-")

        @resource
        def inner(outer):
            note("inner+")
            yield 2
            note("inner-")

        @step
        @parametrize("n", [1, 2, 3, 4, 5, 6])
        def part(inner, n):
            time.sleep(0.05)
            if n == 3:
                raise ValueError
            return n
        """,
    )
    assert stepcache_project.run("-n", "2").exit_code == 1
    by_process: dict[str, list[str]] = {}
    for line in Path(log).read_text().splitlines():
        pid, text = line.split()
        by_process.setdefault(pid, []).append(text)
    assert str(os.getpid()) not in by_process
    assert list(by_process.values()) == [["outer+", "inner+", "inner-", "outer-"]] * len(by_process)


def test_equal_nodes_run_once(stepcache_project: Project) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    text = f"""
    import time
    from stepcache import step

    @step
    def slow():
        time.sleep(0.2)
        with open({str(log)!r}, "a") as file:
            file.write("x")
    """
    stepcache_project.write("a/pipeline_x.py", text)
    stepcache_project.write("b/pipeline_x.py", text)
    assert sorted(stepcache_project.run("-n", "2").outcomes.values()) == ["cached", "ran"]
    assert log.read_text() == "x"


def test_stopping_at_the_first_failure(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import parametrize, step

        @step
        @parametrize("n", range(20))
        def part(n):
            assert n != 1
        """,
    )
    outcomes = list(stepcache_project.run("--executor=process", "-x").outcomes.values())
    assert outcomes[:2] == ["ran", "failed"]
    assert outcomes[2] in ("ran", "skipped"), "one more may have been handed out already"
    assert set(outcomes[3:]) == {"skipped"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-n", "0"), "-n expects a number from 1 on, or auto, not '0'"),
        (("--executor=proces",), "--executor=proces: there is no such executor; did you mean 'process'?"),
        (("--executor=x",), "--executor=x: there is no such executor: there are inline, process"),
    ],
)
def test_wrong_options(stepcache_project: Project, arguments: tuple[str, ...], message: str) -> None:
    stepcache_project.write("pipeline_x.py", FAN)
    result = stepcache_project.run(*arguments)
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {message}\n")


def test_wrong_workers_from_python(stepcache_project: Project) -> None:
    for wrong in (0, -1, True, "two"):
        with pytest.raises(stepcache.UsageError, match="workers= takes a number from 1 on"):
            stepcache.run(workers=wrong)  # type: ignore[arg-type]


def test_a_step_that_fails_is_tried_again_for_the_exceptions_named(stepcache_project: Project) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}*"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        from stepcache import Retry, step

        def tries(name):
            with open({str(log)!r} + name, "a+") as file:
                file.write("x")
                file.seek(0)
                return len(file.read())

        @step(retries=2)
        def third():
            count = tries("third")
            print("try", count)
            if count < 3:
                raise ConnectionResetError
            return count

        @step(retries=Retry(5, on=(OSError,)))
        def other():
            tries("other")
            raise ValueError

        @step(retries=1)
        def never():
            tries("never")
            raise ConnectionResetError
        """,
    )
    for arguments in ((), ("-n", "2")):
        result = stepcache_project.run("-rA", "--cache-refresh", *arguments)
        assert [each.partition("::")[2] + " " + result.outcomes[each] for each in sorted(result.outcomes)] == [
            "never failed", "other failed", "third ran",
        ]  # fmt: skip
        assert [line for line in result.lines if line.startswith("try")] == ["try 1", "try 2", "try 3"]
        counts = {name: len(Path(f"{log}{name}").read_text()) for name in ("third", "other", "never")}
        assert counts == {"third": 3, "other": 1, "never": 2}
        for name in counts:
            Path(f"{log}{name}").unlink()
    stepcache_project.edit("pipeline_x.py", "retries=2", "retries=7")
    assert stepcache_project.run().outcomes["pipeline_x.py::third"] == "cached"


def test_mapped_steps_give_with_workers_what_they_give_inline(stepcache_project: Project) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}*"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        from stepcache import Each, pipeline, step

        @step
        def docs():
            return [["a"], ["b"], ["c"]]

        @step(retries=1, timeout=60, takes={{"doc": "docs"}})
        def told(doc: Each, docs_too):
            with open({str(log)!r} + doc[0], "a+") as file:
                file.write("x")
                file.seek(0)
                count = len(file.read())
            print("try", count, doc[0])
            doc.append("changed")
            if doc[0] == "b" and count == 1:
                raise OSError
            return doc, count, docs_too

        @step
        def docs_too(docs):
            return len(docs)

        @pipeline
        def whole(told, docs_too):
            return told
        """,
    )
    run = stepcache.run(workers=2)
    assert run.exit_code == 0, run.nodes
    assert run["whole"] == [(["a", "changed"], 1, 3), (["b", "changed"], 2, 3), (["c", "changed"], 1, 3)]
    assert run.warnings == ()
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}


ELEMENTS = """
    import os
    from pathlib import Path
    from stepcache import Each, pipeline, step

    @step
    def raw():
        yield from range(300)

    @step
    def shared():
        return list(range(1000))

    @step(takes={"number": "raw"})
    def pid(number: Each):
        return os.getpid()

    @step(takes={"number": "raw"})
    def told(number: Each, shared, rng_seed):
        print("element", number)
        if number == 5:
            shared.append("changed")
        return {"text": f"{number} of {len(shared)}", "seed": rng_seed, "large": bytes(10 * number)}

    @step
    def read(told: Each, pid: Each):
        return told["text"], Path("data" + ".txt").read_text() if told["text"].startswith("7 ") else ""

    def check_read(read: Each):
        assert read

    @step
    def folders(read: Each, tmp_path):
        (tmp_path / "one.txt").write_text(read[0])
        return tmp_path / "one.txt"

    @pipeline
    def last(folders, read):
        return folders[7].read_text(), read[7]
"""


@pytest.mark.parametrize("enable_cache", [None, False])
def test_elements_run_in_workers_as_they_do_inline(stepcache_project: Project, enable_cache: bool | None) -> None:
    stepcache_project.write("pipeline_x.py", ELEMENTS)
    stepcache_project.write("data.txt", "seen")
    inline = stepcache.run(enable_cache=False)
    run = stepcache.run(workers=2, enable_cache=enable_cache)
    assert run.exit_code == 0, run.nodes
    assert os.getpid() not in run["pid"]
    told = ("kind", "outcome", "elements", "digest")
    for one, other in zip(run.nodes, inline.nodes, strict=True):
        if one["id"] != "pipeline_x.py::pid":
            assert [one[each] for each in told] == [other[each] for each in told]
    assert run["last"] == ("7 of 1000", ("7 of 1000", "seen"))
    if enable_cache is None:
        assert set(stepcache_project.run().outcomes.values()) == {"cached"}
        stepcache_project.write("data.txt", "changed")
        again = stepcache.run(workers=2)
        ran = [row for row in again.nodes if row["elements"] and row["outcome"] != "cached"]
        assert {row["id"].partition("::")[2] for row in ran} == {"read", "check_read", "folders"}
        assert all(row["elements"] == {"cached": 299, "ran": 1, "failed": 0} for row in ran)
        assert again["last"][1][1] == "changed"


def test_elements_that_fail_in_workers_are_told_in_their_order(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import time
        from stepcache import Each, skip, step

        class Odd(Exception):
            def __init__(self, one, two): ...

        @step
        def raw():
            return [9, 0, 5, 1, 0, 3]

        @step(takes={"number": "raw"})
        def part(number: Each):
            time.sleep(number / 20)
            if number == 5:
                skip("five")
            if number:
                print("before", number)
                raise (KeyError if number == 1 else Odd)("a", number)
            return number
        """,
    )
    inline, pooled = stepcache_project.run(), stepcache_project.run("-n", "2", "--cache-refresh")
    assert [row["elements"] for row in inline.nodes] == [row["elements"] for row in pooled.nodes]
    for result in (inline, pooled):
        told = [line for line in result.lines if line.startswith(("element ", "before "))]
        assert told == ["element 0:", "element 3:", "element 5:", "before 9", "before 1", "before 3"]
    assert inline.nodes[1]["error"] == pooled.nodes[1]["error"]


def test_a_failure_elsewhere_stops_the_handing_out_of_elements_and_keeps_what_ran(stepcache_project: Project) -> None:
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import os, time
        from stepcache import Each, step

        @step
        def raw():
            return list(range(40))

        @step
        def bad(raw):
            while not os.path.exists({str(log)!r}):
                time.sleep(0.02)
            raise ValueError

        @step(takes={{"number": "raw"}})
        def part(number: Each):
            open({str(log)!r}, "a").close()
            time.sleep(0.2)
            return number
        """,
    )
    result = stepcache_project.run("-n", "2", "-x")
    assert result.outcomes == {
        f"pipeline_x.py::{n}": o for n, o in (("raw", "ran"), ("part", "skipped"), ("bad", "failed"))
    }
    again = stepcache_project.run("pipeline_x.py::part")
    elements = again.nodes[1]["elements"]
    assert elements["ran"] + elements["cached"] == 40
    assert elements["cached"] > 0, "what had run before the stop was kept"


def test_elements_that_cannot_cross_run_in_the_process_of_the_run(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def raw():
            return [1, 2, 3]

        @step(takes={"number": "raw"})
        def live(number: Each):
            return lambda: number

        @step(takes={"one": "live"})
        def called(one: Each):
            return one()

        @step
        def whole(live, called):
            return [each() for each in live], called
        """,
    )
    for workers in (1, 2):
        run = stepcache.run(workers=workers)
        assert run["whole"] == ([1, 2, 3], [1, 2, 3])
        assert run.why("called") == ["unstored: live"]


def test_slots_keep_nodes_that_take_the_same_thing_apart(stepcache_project: Project) -> None:
    folder = stepcache_project.path.parent / "held"
    folder.mkdir()
    stepcache_project.configure(f'observe_ignore = ["file:{folder}", "file:{folder}/*"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import os, time
        from stepcache import parametrize, step

        def others(name, wait):
            with open(f"{folder}/{{name}}", "x"):
                until = time.monotonic() + wait
            try:
                while len(os.listdir("{folder}")) == 1 and time.monotonic() < until:
                    time.sleep(0.01)
                return len(os.listdir("{folder}")) - 1
            finally:
                time.sleep(0.1)
                os.unlink(f"{folder}/{{name}}")

        @step(slots={{"gpu": 1}})
        @parametrize("n", [1, 2, 3])
        def part(n, wait=0.1):
            return others(f"part{{n}}", wait)

        @step(slots={{"gpu": 9}})
        def greedy(wait=0.1):
            return others("greedy", wait)
        """,
    )
    run = stepcache.run(workers=3)
    assert run.exit_code == 0, run.nodes
    assert [*run["part"].values(), run["greedy"]] == [0, 0, 0, 0], "one at a time, and one that wants too much alone"
    assert stepcache_project.run("-n", "3", "--slots", "gpu=3", "-P", "part.wait=4").exit_code == 0
    run = stepcache.run(params={"part.wait": 4.0})
    assert any(run["part"].values())
    assert run["greedy"] == 0


def test_batches_of_elements_take_slots_as_nodes_do(stepcache_project: Project) -> None:
    folder = stepcache_project.path.parent / "held"
    folder.mkdir()
    stepcache_project.configure(f'observe_ignore = ["file:{folder}", "file:{folder}/*"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import os, time
        from stepcache import Each, step

        @step
        def raw():
            return list(range(4))

        @step(takes={{"number": "raw"}}, slots={{"gpu": 1}})
        def part(number: Each, wait=0.1):
            path = f"{folder}/{{number}}"
            with open(path, "x"):
                until = time.monotonic() + wait
            try:
                while len(os.listdir("{folder}")) == 1 and time.monotonic() < until:
                    time.sleep(0.01)
                return len(os.listdir("{folder}")) - 1
            finally:
                time.sleep(0.1)
                os.unlink(path)
        """,
    )
    assert stepcache.run(workers=2)["part"] == [0, 0, 0, 0]
    assert stepcache_project.run("-n", "2", "--slots", "gpu=2", "-P", "part.wait=4").exit_code == 0
    assert any(stepcache.run(params={"part.wait": 4.0})["part"])


def test_log_records_of_workers_are_shown_as_they_come(stepcache_project: Project) -> None:
    """The step goes on once the run has shown what it logged."""
    shown = stepcache_project.path.parent / "shown"
    stepcache_project.configure(f'observe_ignore = ["file:{shown}*"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import logging, os, time
        from stepcache import parametrize, step

        @step
        @parametrize("n", [1, 2])
        def part(n):
            logging.getLogger("mine").info("begun %d", n)
            for _ in range(1000):
                if os.path.exists({str(shown)!r} + str(n)):
                    break
                time.sleep(0.01)
            else:
                raise TimeoutError("nobody has shown it")
            logging.getLogger("mine").debug("not %d", n)
            logging.getLogger("mine").warning("ended %d", n)
        """,
    )

    class Showing:
        @stepcache.hookimpl
        def stepcache_node_logged(self, node: str, line: str) -> None:
            if "begun" in line:
                Path(f"{shown}{line[-1]}").touch()

    result = stepcache_project.run("-n", "2", "--log-cli-level=INFO", plugins=(Showing(),))
    assert result.exit_code == 0, result.stdout
    section = ""
    told: dict[str, list[str]] = {}
    for line in result.lines:
        if "live log: " in line:
            section = line.split("part[")[1][0]
        elif "mine:pipeline_x.py" in line:
            told.setdefault(section, []).append(line.split(" ", 3)[-1].split(" ", 1)[-1])
    assert {n: [line.rpartition(" ")[2] for line in lines] for n, lines in told.items()} == {
        "1": ["1", "1"],
        "2": ["2", "2"],
    }
