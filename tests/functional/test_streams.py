"""Generator steps: stored as they yield, and handed on as streams that can be gone through again and again."""

from __future__ import annotations

import pytest

import stepcache
from stepcache.testing import Project

STREAM = """
from stepcache import parametrize, pipeline, step

@step
def numbers(count=10, size=1):
    for number in range(count):
        yield {"number": number, "text": "x" * size}

@step
def total(numbers):
    return sum(each["number"] for each in numbers) + sum(each["number"] for each in numbers)

@step
def length(numbers):
    return len(numbers)

@step
def doubled(numbers):
    for each in numbers:
        yield each["number"] * 2
"""


def short(outcomes: dict[str, str]) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in outcomes.items()}


@pytest.mark.parametrize("flags", [(), ("--no-cache",)])
def test_a_stream_is_gone_through_again_and_again(stepcache_project: Project, flags: tuple[str, ...]) -> None:
    stepcache_project.write("pipeline_x.py", STREAM)
    run = stepcache.run(enable_cache=False if flags else None)
    assert (run["total"], run["length"]) == (90, 10)
    assert list(run["doubled"]) == list(run["doubled"]) == list(range(0, 20, 2))
    assert repr(run["doubled"]) == "<stream of 10 elements>"


def test_what_a_consumer_is_given_is_its_own(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def rows():
            row = [0]
            for number in range(3):
                row.append(number)
                yield row

        @step
        def spoiler(rows):
            return [row.clear() for row in rows]

        @step
        def reader(rows, spoiler):
            for row in rows:
                row.append("mine")
            return list(rows)
        """,
    )
    assert stepcache.run()["reader"] == [[0, 0], [0, 0, 1], [0, 0, 1, 2]]


EDITS = [
    ("yield {", "yield dict() | {", {"numbers"}),
    ("count=10", "count=11", {"numbers", "total", "length", "doubled"}),
    ("size=1", "size=2", {"numbers", "total", "length", "doubled"}),
    ("* 2\n", "* 3\n", {"doubled"}),
]


@pytest.mark.parametrize(("old", "new", "ran"), EDITS, ids=[new for _, new, _ in EDITS])
def test_what_an_edit_runs(stepcache_project: Project, old: str, new: str, ran: set[str]) -> None:
    stepcache_project.write("pipeline_x.py", STREAM)
    stepcache_project.run()
    stepcache_project.edit("pipeline_x.py", old, new)
    assert {*stepcache_project.run().ran} == ran
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}


def test_a_generator_that_fails_half_way_stores_nothing(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import step

        @step
        def numbers():
            yield 1
            if not os.path.exists("done"):
                raise ValueError("half-way")
            yield 2

        @step
        def total(numbers):
            return sum(numbers)
        """,
    )
    result = stepcache_project.run()
    assert short(result.outcomes) == {"numbers": "failed", "total": "blocked"}
    assert "pipeline_x.py:8: ValueError" in result.stdout
    with pytest.raises(stepcache.NotCached):
        stepcache.load("pipeline_x.py::numbers")
    stepcache_project.write("done")
    assert short(stepcache_project.run().outcomes) == {"numbers": "ran", "total": "ran"}
    assert list(stepcache.load("pipeline_x.py::numbers")) == [1, 2]


def test_asynchronous_generators_are_streams(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import asyncio
        from stepcache import step

        @step
        async def numbers():
            for number in range(3):
                await asyncio.sleep(0)
                yield number

        @step
        def total(numbers):
            return [*numbers, *numbers]
        """,
    )
    run = stepcache.run()
    assert run["total"] == [0, 1, 2, 0, 1, 2]


def test_an_empty_stream(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", STREAM.replace("count=10", "count=0"))
    run = stepcache.run()
    assert (list(run["numbers"]), run["length"], run["total"]) == ([], 0, 0)
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}


def test_large_and_small_elements(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import numpy
        from stepcache import step

        @step
        def arrays():
            array = numpy.zeros(400_000)
            for number in range(4):
                array += 1
                yield array
                yield number

        @step
        def sums(arrays):
            for each in arrays:
                if isinstance(each, numpy.ndarray):
                    each += 1
                    yield float(each.sum())
        """,
    )
    assert list(stepcache.run()["sums"]) == [800_000.0, 1_200_000.0, 1_600_000.0, 2_000_000.0]


def test_what_is_read_while_it_yields_is_observed(stepcache_project: Project) -> None:
    stepcache_project.write("a.txt", "one")
    stepcache_project.write("b.txt", "two")
    stepcache_project.write(
        "pipeline_x.py",
        """
        from pathlib import Path
        from stepcache import step

        @step
        def texts(names=("a", "b")):
            for name in names:
                yield Path(name + ".txt").read_text()
        """,
    )
    stepcache_project.run()
    stepcache_project.write("b.txt", "three")
    result = stepcache_project.run()
    assert result.reasons == {"pipeline_x.py::texts": ["file: b.txt"]}
    assert list(stepcache.load("pipeline_x.py::texts")) == ["one", "three"]


def test_files_that_are_yielded_are_stored(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def files(tmp_path):
            for number in range(3):
                path = tmp_path / "same.txt"
                path.write_text(str(number))
                yield path

        @step
        def texts(files):
            return [path.read_text() for path in files]
        """,
    )
    assert stepcache.run()["texts"] == ["0", "1", "2"]
    assert [path.read_text() for path in stepcache.run()["files"]] == ["0", "1", "2"]


def test_elements_that_no_codec_takes_are_handed_on_as_a_list(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def functions():
            yield 1
            yield lambda: 2
            yield 3

        @step
        def called(functions):
            return [each() if callable(each) else each for each in functions]
        """,
    )
    run = stepcache.run()
    assert run["called"] == [1, 2, 3]
    assert "its value cannot be stored" in run.warnings[0]
    assert set(stepcache_project.run().outcomes.values()) == {"ran"}


def test_a_stream_handed_on_is_a_stream(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", STREAM + "\n\n@step\ndef same(numbers):\n    return numbers\n")
    run = stepcache.run()
    assert list(run["same"]) == list(run["numbers"])
    rows = {row["id"].partition("::")[2]: row for row in run.nodes}
    assert rows["same"]["digest"] == rows["numbers"]["digest"]


def spoil(project: Project, number: int) -> None:
    """Damage the *number*-th largest blob, in its middle."""
    blob = sorted(project.cache.glob("blobs/*/*"), key=lambda path: path.stat().st_size)[-1 - number]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


SWALLOW = """
from stepcache import step

@step
def numbers():
    import random
    draw = random.Random(1)
    for number in range(6):
        yield draw.randbytes(1_200_000)

@step
def sizes(numbers, salt=0):
    try:
        return [len(each) for each in numbers]
    except Exception:
        return "swallowed"
"""


@pytest.mark.parametrize("number", range(6))
def test_damage_in_the_middle_is_made_again(stepcache_project: Project, number: int) -> None:
    stepcache_project.write("pipeline_x.py", SWALLOW)
    stepcache_project.run()
    spoil(stepcache_project, number)
    result = stepcache_project.run("-P", "salt=1")
    assert result.exit_code == 0
    assert short(result.outcomes)["sizes"] == "ran"
    assert stepcache.load("pipeline_x.py::sizes", params={"salt": 1}) == [1_200_000] * 6
    assert set(stepcache_project.run("-P", "salt=1").outcomes.values()) == {"cached"}


def test_damage_is_made_again_when_a_run_is_asked_for_the_value(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SWALLOW)
    run = stepcache.run()
    before = [hash(each) for each in run["numbers"]]
    spoil(stepcache_project, 2)
    assert [hash(each) for each in run["numbers"]] == before


def test_a_missing_chunk_is_a_miss(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SWALLOW)
    stepcache_project.run()
    next(iter(stepcache_project.cache.glob("blobs/*/*"))).unlink()
    result = stepcache_project.run("pipeline_x.py::numbers")
    assert result.reasons == {"pipeline_x.py::numbers": ["evicted"]}


def test_the_cache_is_shown_verified_and_cleared(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SWALLOW)
    stepcache_project.run()
    assert "2 entries" in stepcache_project.run("--cache-show").stdout
    assert stepcache_project.run("--cache-verify").exit_code == 0
    assert stepcache_project.run("--cache-gc").exit_code == 0
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}
    spoil(stepcache_project, 1)
    verified = stepcache_project.run("--cache-verify")
    assert verified.exit_code == 1
    assert "pipeline_x.py::numbers" in verified.stdout
    assert short(stepcache_project.run().outcomes) == {"numbers": "ran", "sizes": "cached"}
    stepcache_project.run("--cache-clear", "--co")
    stepcache_project.run("--cache-gc=0")
    assert not list(stepcache_project.cache.glob("blobs/*/*"))


def test_memory_stays_constant(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os
        import resource as system
        from stepcache import step

        def peak():
            return system.getrusage(system.RUSAGE_SELF).ru_maxrss // 1024

        @step
        def blocks():
            before = peak()
            for number in range(120):
                yield os.urandom(1 << 20)
            assert peak() - before < 60, peak() - before

        @step
        def size(blocks):
            before = peak()
            total = sum(map(len, blocks))
            assert peak() - before < 60, peak() - before
            return total
        """,
    )
    result = stepcache_project.command()
    assert short(result.outcomes) == {"blocks": "ran", "size": "ran"}, result.stdout
