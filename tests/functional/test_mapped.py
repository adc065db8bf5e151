"""Mapped steps: a parameter annotated `Each` runs the step once per element, each element with its own key."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import stepcache
from stepcache.testing import Project

DOCS = """
from stepcache import Each, pipeline, step

@step
def docs(names="a b c"):
    return [f"doc {name}" for name in names.split()]

@step(takes={"doc": "docs"})
def words(doc: Each, extra=0):
    with open("calls", "a") as file:
        file.write(doc[4:])
    if doc == "doc bad":
        raise ValueError("no words")
    return len(doc) + extra

@step
def doubled(words: Each):
    return words * 2

@step(takes={"doc": "docs"})
def paired(doc: Each, doubled: Each):
    return f"{doc}={doubled}"

@pipeline
def total(words, paired):
    return sum(words), paired
"""


def calls(project: Project) -> str:
    """The elements for which `words` has run since the last time."""
    file = project.path / "calls"
    found = file.read_text() if file.exists() else ""
    file.unlink(missing_ok=True)
    return found


def elements(run: stepcache.Run, name: str) -> dict[str, int] | None:
    found: dict[str, int] | None = next(row["elements"] for row in run.nodes if row["id"].endswith(f"::{name}"))
    return found


def outcome(run: stepcache.Run, name: str) -> str:
    return str(next(row["outcome"] for row in run.nodes if row["id"].endswith(f"::{name}")))


def test_each_element_is_run_once_whatever_its_place(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", DOCS)

    def run(names: str) -> stepcache.Run:
        return stepcache.run(params={"docs.names": names})

    first = run("a b c")
    assert first["total"] == (15, ["doc a=10", "doc b=10", "doc c=10"])
    assert elements(first, "words") == {"cached": 0, "ran": 3, "failed": 0}
    assert elements(first, "docs") is None
    assert calls(stepcache_project) == "abc"
    for names, called, cached, ran in (
        ("a b c", "", 3, 0),
        ("z a b c", "z", 3, 1),  # in front
        ("c z b a", "", 4, 0),  # in another order
        ("b", "", 1, 0),
        ("b b new new", "new", 3, 1),  # equal ones run once
        ("a b c", "", 3, 0),
    ):
        again = run(names)
        assert again["total"][1] == [f"doc {name}={2 * (4 + len(name))}" for name in names.split()]
        assert elements(again, "words") == {"cached": cached, "ran": ran, "failed": 0}, names
        assert outcome(again, "words") == ("ran" if ran else "cached")
        assert calls(stepcache_project) == called
    assert run("a b c").why("words") == []
    assert run("a x b y").why("words") == ["input: docs[1]", "input: docs[3]"]
    assert stepcache.run(params={"words.extra": 1}).why("words") == ["setting: extra 0 -> 1"]


def test_many_new_elements_are_named_by_the_first(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", DOCS)
    stepcache.run()
    why = stepcache.run(params={"docs.names": " ".join(map(str, range(100)))}).why("words")
    assert why == [*(f"input: docs[{number}]" for number in range(10)), "input: 90 more of docs"]


def test_a_failure_names_the_element_and_the_others_are_kept(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", DOCS)
    run = stepcache.run(params={"docs.names": "a bad c"})
    assert elements(run, "words") == {"cached": 0, "ran": 2, "failed": 1}
    row = next(row for row in run.nodes if row["id"] == "pipeline_x.py::words")
    assert (row["outcome"], row["error"]) == ("failed", "element 1: ValueError: no words")
    assert outcome(run, "doubled") == "blocked"
    assert calls(stepcache_project) == "abadc"
    again = stepcache.run(params={"docs.names": "a c"})
    assert again["total"][0] == 10
    assert calls(stepcache_project) == ""
    result = stepcache_project.run("-P", "docs.names=a bad bad2 c", "--tb=short")
    assert "element 1:" in result.stdout
    assert "FAILED pipeline_x.py::words - element 1: ValueError: no words" in result.stdout


def test_how_far_it_is_is_told(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", DOCS)
    told: list[tuple[str, int, int]] = []

    class Plugin:
        @stepcache.hookimpl
        def stepcache_node_progressed(self, node: Any, done: int, total: int) -> None:
            told.append((node.name, done, total))

    stepcache_project.run()
    run = stepcache_project.run("-v", "-P", "docs.names=b b a bad c d", plugins=(Plugin(),))
    of_words = [(done, total) for name, done, total in told if name == "words"]
    assert (of_words[0], of_words[-1]) == ((4, 6), (6, 6)), "what is known counts from the start"
    assert of_words == sorted(of_words)
    assert {name for name, _, _ in told} == {"words"}
    words = next(line for line in run.lines if line.startswith("pipeline_x.py::words"))
    assert words.startswith("pipeline_x.py::words FAILED (1 failed, 1 ran, 4 cached) ")
    again = stepcache_project.run("-v")
    assert next(line for line in again.lines if line.startswith("pipeline_x.py::words")).split()[1:] == [
        "CACHED", "[", "40%]",
    ]  # fmt: skip


def test_over_a_mapping_the_keys_are_kept_and_select(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import All, Each, step

        @step
        def pages():
            return {"home": "abc", "about": "de"}

        @step(takes={"page": "pages"})
        def size(page: Each):
            return len(page)

        @step
        def square(size: Each):
            return size * size

        @step
        def both(size: All, square):
            return dict(size), square
        """,
    )
    run = stepcache.run()
    assert run["both"] == ({"home": 3, "about": 2}, {"home": 9, "about": 4})
    assert stepcache.load("pipeline_x.py::square") == {"home": 9, "about": 4}
    one = stepcache.run("pipeline_x.py::square[about]")
    assert [row["id"] for row in one.nodes] == [
        "pipeline_x.py::pages",
        "pipeline_x.py::size[about]",
        "pipeline_x.py::square[about]",
    ]
    assert one["square[about]"] == 4
    assert {row["outcome"] for row in one.nodes} == {"cached"}
    assert stepcache.load("pipeline_x.py::square[about]") == 4
    wrong = stepcache.run("pipeline_x.py::size[abuot]").nodes[-1]["error"]
    assert wrong == (
        "pipeline_x.py:7: pipeline_x.py::size[abuot]: there is no element 'abuot' in 'pages': did you mean size[about]?"
    )
    cleared = stepcache_project.run("--cache-clear", "pipeline_x.py::size")
    assert cleared.outcomes["pipeline_x.py::size"] == "ran"


def test_keys_of_any_kind_select_and_are_fit_to_be_shown(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        r"""
        import enum
        from datetime import date
        from pathlib import Path
        from stepcache import Each, step

        class Colour(enum.Enum):
            RED = 1

        @step
        def marks():
            keys = ["é 📈", "a]b::c", "", "x" * 3000, "new\nline\x1b[31m", 2.5, None, (1, "a"), date(2020, 2, 29),
                    Colour.RED, Path("a/x"), Path("b/x"), b"k\xff", 1, "1"]
            return {key: number for number, key in enumerate(keys)}

        @step(takes={"mark": "marks"})
        def same(mark: Each, fails=False):
            if fails:
                raise ValueError
            return mark
        """,
    )
    names = [
        "é 📈", "a]b::c", "", "x" * 3000, r"new\nline\x1b[31m", "2.5", "None", "(1, 'a')", "2020-02-29", "RED",
        "a/x", "b/x", r"k\xff", "1_0", "1_1",
    ]  # fmt: skip
    assert list(stepcache.run()["same"].values()) == list(range(len(names)))
    assert [stepcache.load(f"pipeline_x.py::same[{name}]") for name in names] == list(range(len(names)))
    result = stepcache_project.run("-P", "same.fails=true")
    assert [line for line in result.lines if line.startswith("element ")] == [f"element {name}:" for name in names[:5]]
    assert f"10 more elements failed: {', '.join(names[5:])}" in result.stdout


def test_over_a_stream(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def numbers(count=1000):
            yield from range(count)

        @step(takes={"number": "numbers"})
        def square(number: Each):
            return number * number
        """,
    )
    assert stepcache.run()["square"] == [n * n for n in range(1000)]
    assert elements(stepcache.run(params={"count": 1003}), "square") == {"cached": 1000, "ran": 3, "failed": 0}


def test_what_one_element_reads_counts_for_that_one(stepcache_project: Project) -> None:
    stepcache_project.write("data/a", "1")
    stepcache_project.write("data/b", "2")
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def names():
            return ["a", "b"]

        @step(takes={"name": "names"})
        def content(name: Each):
            with open(f"data/{name}") as file:
                return file.read()
        """,
    )
    assert stepcache.run()["content"] == ["1", "2"]
    stepcache_project.write("data/b", "3")
    run = stepcache.run()
    assert run["content"] == ["1", "3"]
    assert elements(run, "content") == {"cached": 1, "ran": 1, "failed": 0}
    assert run.why("content") == ["file: data/b"]
    stepcache_project.write("data/b", "2")
    assert outcome(stepcache.run(), "content") == "cached"


@pytest.mark.parametrize(
    "load",
    [
        "functools.cache(read)",
        "lambda name: KEPT[name] if name in KEPT else KEPT.setdefault(name, read(name))",
        "lambda name: read.__dict__.get(name) or setattr(read, name, read(name)) or read.__dict__[name]",
    ],
)
def test_what_one_element_has_read_for_others_counts_for_them(stepcache_project: Project, load: str) -> None:
    for name in ("common", "a", "b"):
        stepcache_project.write(f"data/{name}", "1")
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import functools
        from stepcache import Each, step

        KEPT = {{}}

        def read(name):
            with open(f"data/{{name}}") as file:
                return file.read()

        load = {load}

        @step
        def names():
            return ["a", "b", "b ", "b  "]

        @step(takes={{"name": "names"}})
        def each_its_own(name: Each):
            return load(name.strip())

        @step(takes={{"name": "names"}})
        def the_same(name: Each):
            return load("common") + name
        """,
    )
    stepcache.run()
    stepcache_project.write("data/common", "2")
    run = stepcache.run()
    assert elements(run, "the_same") == {"cached": 0, "ran": 4, "failed": 0}
    assert run["the_same"] == ["2a", "2b", "2b ", "2b  "]
    assert outcome(run, "each_its_own") == "cached"
    stepcache_project.write("data/b", "3")
    run = stepcache.run()
    assert elements(run, "each_its_own") == {"cached": 1, "ran": 3, "failed": 0}
    assert run["each_its_own"] == ["1", "3", "3", "3"]
    assert outcome(run, "the_same") == "cached"


def test_checks_per_element_gate(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        DOCS
        + """
def check_words(words: Each):
    assert words < 7
""",
    )
    assert outcome(stepcache.run(), "check_words") == "passed"
    run = stepcache.run(params={"docs.names": "a long b"})
    assert elements(run, "check_words") == {"cached": 2, "ran": 0, "failed": 1}
    row = next(row for row in run.nodes if row["id"].endswith("check_words"))
    assert row["error"].startswith("element 1: ")
    assert outcome(run, "doubled") == "blocked"
    told = stepcache_project.command("-P", "docs.names=a long b", "--tb=short").stdout
    assert "FAILED pipeline_x.py::check_words - element 1: assert 8 < 7" in told


def test_what_all_elements_share_is_nobodys(stepcache_project: Project) -> None:
    """One body changes what is handed to all: the others see it as it was."""
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def seen():
            return []

        @step
        def items():
            return [1, 2, 3]

        @step(takes={"item": "items"})
        def after(item: Each, seen):
            seen.append(item)
            return list(seen)
        """,
    )
    assert stepcache.run()["after"] == [[1], [2], [3]]


def test_what_all_elements_share_is_not_loaded_for_each(stepcache_project: Project) -> None:
    """However long that takes beside their bodies."""
    log = stepcache_project.path.parent / "log"
    stepcache_project.configure(f'observe_ignore = ["file:{log}"]')
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import time
        from stepcache import Each, step

        class Slow:
            def __setstate__(self, state):
                with open({str(log)!r}, "a") as file:
                    file.write("x")
                time.sleep(0.6)

            def __getstate__(self):
                return 1

        @step
        def slow():
            return Slow()

        @step
        def items():
            return list(range(60))

        @step(takes={{"item": "items"}})
        def part(item: Each, slow):
            return item
        """,
    )
    assert stepcache.run()["part"] == list(range(60))
    assert len(log.read_text()) < 10


def test_what_resources_of_a_batch_write_is_told(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, resource, step

        @resource(scope="node")
        def live():
            print("set up")
            yield 1
            print("torn down")

        @step
        def items():
            return [1]

        @step(takes={"item": "items"})
        def one(item: Each, live):
            print("element", item)
        """,
    )
    for _ in range(2):
        told = stepcache_project.run("-rA").lines
        assert [line for line in told if line in ("set up", "element 1", "torn down")] == [
            "set up", "element 1", "torn down",
        ]  # fmt: skip


def test_skipped_elements_are_left_out_and_objects_without_a_codec_are_handed_on(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, skip, step

        @step
        def items():
            return [1, 2, 3]

        @step(takes={"item": "items"})
        def odd(item: Each):
            if item == 2:
                skip("even")
            return item * 10

        @step
        def after(odd: Each):
            return odd + 1

        @step(takes={"item": "items"})
        def functions(item: Each):
            return lambda: item

        @step
        def called(functions):
            return [each() for each in functions]
        """,
    )
    for _ in range(2):
        run = stepcache.run()
        assert run["after"] == [11, 31]
        assert run["called"] == [1, 2, 3]
    assert any("elements of its value cannot be stored" in each for each in run.warnings)


SKIPPING = """
from pathlib import Path
from stepcache import Each, skip, step

@step
def items(count=3):
    return list(range(count))

@step(takes={"item": "items"})
def chosen(item: Each):
    with open("calls", "a") as file:
        file.write(str(item))
    if str(item) in Path("unwanted").read_text():
        skip(f"{item} is unwanted")
    return item * 10

@step
def total(chosen):
    return sum(chosen)
"""


def test_an_element_that_is_skipped_is_kept_so(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", SKIPPING)
    project.write("unwanted", "1")
    assert elements(stepcache.run(), "chosen") == {"cached": 0, "ran": 2, "failed": 0, "skipped": 1}
    assert calls(project) == "012"
    assert set(project.run().outcomes.values()) == {"cached"}
    assert set(project.run("--plan").outcomes.values()) == {"cached"}
    assert elements(stepcache.run(), "chosen") == {"cached": 2, "ran": 0, "failed": 0, "skipped": 1}
    assert stepcache.load("pipeline_x.py::total") == 20
    again = stepcache.run(params={"count": 4})
    assert elements(again, "chosen") == {"cached": 2, "ran": 1, "failed": 0, "skipped": 1}
    assert again["total"] == 50
    assert calls(project) == "3"
    project.write("unwanted", "0")
    changed = stepcache.run(params={"count": 4})
    assert elements(changed, "chosen") == {"cached": 0, "ran": 3, "failed": 0, "skipped": 1}
    assert changed["total"] == 60
    assert calls(project) == "0123"


def test_elements_all_of_which_are_skipped_are_not_run_again(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", SKIPPING)
    project.write("unwanted", "012")
    for called in ("012", ""):
        run = stepcache.run()
        assert (outcome(run, "chosen"), outcome(run, "total")) == ("skipped", "skipped")
        assert calls(project) == called


def test_a_skip_that_rests_on_what_cannot_be_seen_is_not_kept(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        SKIPPING.replace("str(item) in Path", "subprocess.run(['/bin/true']).returncode == 0 and str(item) in Path")
        .replace("from pathlib", "import subprocess\nfrom pathlib"),
    )  # fmt: skip
    project.write("unwanted", "1")
    project.run()
    assert calls(project) == "012"
    assert elements(stepcache.run(), "chosen") == {"cached": 2, "ran": 0, "failed": 0, "skipped": 1}
    assert calls(project) == "1"
    project.edit("pipeline_x.py", 'takes={"item": "items"}', 'takes={"item": "items"}, expires="1h"')
    project.run()
    calls(project)
    assert set(project.run().outcomes.values()) == {"cached"}
    assert calls(project) == ""


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize(
    "annotation",
    [
        "Each | None",
        "Each[int] | None",
        "None | Each[int] | str",
        "Optional[Each]",
        "Optional[Each[int]]",
        "typing.Optional['stepcache.Each[int]']",
        "Union[str, Each[int]]",
        "Annotated[Each[int], 'one of them']",
        "Number",
        "'Number | None'",
    ],
)
def test_each_in_any_annotation_that_means_it(stepcache_project: Project, annotation: str, future: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        f"{future}import typing\nfrom typing import Annotated, Optional, Union\nimport stepcache\n"
        "from stepcache import Each, step\n\nNumber = Each[int]\n\n"
        f"@step\ndef numbers(): return [1, 2]\n\n@step\ndef double(numbers: {annotation}): return numbers * 2\n",
    )
    assert stepcache.run()["double"] == [2, 4]


def test_each_that_is_imported_for_type_checkers_only(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from __future__ import annotations
        from typing import TYPE_CHECKING, Literal
        from stepcache import parametrize, step
        if TYPE_CHECKING:
            from pandas import DataFrame
            import stepcache
            from stepcache import All, Each

        @step
        @parametrize("number", [1, 2])
        def one(number, mode: Literal["All", "Each"] = "All", frame: DataFrame | None = None):
            return [number]

        @step
        def numbers(one: stepcache.All[list[int]]):
            return sorted(one)

        @step
        def names(numbers: Each[str]):
            return numbers + "!"
        """,
    )
    assert stepcache.run()["names"] == ["1!", "2!"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "@step\ndef one(a: Each, b: Each): return a, b",
            "pipeline_x.py:11: step 'one' takes each element of 'a' and of 'b', which do not belong together\n"
            "    'a' (pipeline_x.py:3) has the elements of pipeline_x.py::a\n"
            "    'b' (pipeline_x.py:6) has the elements of pipeline_x.py::b\n"
            "  take one of them without Each, or pair them in a step of their own",
        ),
        (
            "@pipeline\ndef one(a: Each): return a",
            "pipeline_x.py:11: pipeline 'one' takes 'a: Each', and only steps and checks run once per element\n"
            "  take 'a' without Each: that is the whole",
        ),
        (
            "@step(outputs=('x', 'y'))\ndef one(a: Each): return a",
            "pipeline_x.py:11: step 'one' takes 'a: Each' and has outputs, which only a step that runs once can have\n"
            "  return a dict, and take its parts in a step of their own",
        ),
        (
            "@step\ndef one(a: list[Each[int]]): return a",
            "pipeline_x.py:11: step 'one' has Each inside the annotation of 'a'\n"
            "  it stands around the type of one element: Each[…]",
        ),
        (
            "@step\ndef one(a: 'dict[str, Each]'): return a",
            "pipeline_x.py:11: step 'one' has Each inside the annotation of 'a'\n"
            "  it stands around the type of one element: Each[…]",
        ),
    ],
)
def test_what_cannot_be_mapped_is_told(stepcache_project: Project, source: str, message: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        f"from stepcache import Each, pipeline, step\n\n@step\ndef a(): return [1]\n\n@step\ndef b(): return {{1}}\n\n\n\n"
        f"{source}\n",
    )
    run = stepcache.run()
    assert [each["message"] for each in run.errors] == [message]


def test_elements_that_cannot_be_stored_are_handed_on_as_they_are(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def mixed():
            return {"one": [1], "f": lambda: [2], "g": lambda: [3], "two": [1]}

        @step(takes={"each": "mixed"})
        def called(each: Each):
            value = each() if callable(each) else each
            value.append("own")
            return value

        @step(takes={"each": "called"})
        def first(each: Each):
            return each[0]
        """,
    )
    for _ in range(2):
        run = stepcache.run()
        assert run["called"] == {"one": [1, "own"], "f": [2, "own"], "g": [3, "own"], "two": [1, "own"]}
        assert run["first"] == {"one": 1, "f": 2, "g": 3, "two": 1}
    assert (outcome(run, "called"), outcome(run, "first")) == ("ran", "cached")
    assert stepcache.run("pipeline_x.py::first[g]")["first[g]"] == 3


def test_a_value_without_elements_is_told(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def tags(): return {"a", "b"}

        @step(takes={"tag": "tags"})
        def one(tag: Each): return tag
        """,
    )
    assert stepcache.run().nodes[-1]["error"] == (
        "pipeline_x.py:6: pipeline_x.py::one takes each element of 'tags', whose value is a set, and not a sequence, "
        "mapping or stream, which has no order: return sorted(…) or list(…) of it"
    )


def test_a_kill_in_the_middle_keeps_what_was_finished(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import time
        from stepcache import Each, step

        @step
        def items():
            return list(range(6))

        @step(takes={"item": "items"})
        def slow(item: Each, seconds=0.3):
            with open("calls", "a") as file:
                file.write(str(item))
            time.sleep(seconds)
            return item
        """,
    )
    command = [sys.executable, "-m", "stepcache", "-P", "slow.seconds=0.3"]
    process = subprocess.Popen(command, cwd=stepcache_project.path, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not _holds(stepcache_project.path / "calls", "4") and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    calls(stepcache_project)
    run = stepcache.run()
    assert run["slow"] == list(range(6))
    assert calls(stepcache_project) in ("45", "345", "2345")


def _holds(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text()


def test_a_damaged_chunk_runs_what_lay_in_it_again(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def items():
            return ["a", "b"]

        @step(takes={"item": "items"})
        def large(item: Each):
            return item * 2_000_000

        @step
        def sizes(large, extra=0):
            return [len(each) + extra for each in large]
        """,
    )
    stepcache.run()
    blobs = [each for each in Path(stepcache_project.cache).rglob("*") if each.is_file() and each.stat().st_size > 100]
    for blob in blobs:
        if "blobs" in blob.parts:
            blob.write_bytes(blob.read_bytes()[:-10])
    run = stepcache.run(params={"sizes.extra": 1})
    assert run["sizes"] == [2_000_001, 2_000_001]
