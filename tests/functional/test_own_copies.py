"""What a node is given is its own: decoded from stored bytes, of exactly the types returned, writable, in every mode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import stepcache
from stepcache.testing import Project

MODES = {
    "on": ([], []),
    "off": (["--no-cache"], ["--no-cache"]),
    "readonly": (["--cache=readonly"], ["--cache=readonly"]),
    "refresh": (["--cache-refresh"], ["--cache-refresh"]),
    "warm": ([], ["--cache=readonly"]),
}

VALUES = """
    import collections, dataclasses, datetime, decimal, enum, fractions, pathlib, types, uuid
    from stepcache import parametrize, param, step

    class Colour(enum.Enum):
        RED = 1

    class Level(enum.IntEnum):
        LOW = 1

    class MyList(list):
        pass

    class MyStr(str):
        pass

    Point = collections.namedtuple("Point", "x y")

    @dataclasses.dataclass
    class Row:
        name: str
        values: list

    class Slotted:
        __slots__ = ("a",)

        def __init__(self, a):
            self.a = a

        def __eq__(self, other):
            return type(other) is Slotted and other.a == self.a

    MAKE = {
        "none": lambda: None,
        "true": lambda: True,
        "one": lambda: 1,
        "float": lambda: 1.0,
        "big": lambda: 10**40,
        "minus_zero": lambda: -0.0,
        "complex": lambda: 1j,
        "str": lambda: "hä\\ud800",
        "bytes": lambda: b"abc",
        "bytearray": lambda: bytearray(b"abc"),
        "list": lambda: [1, 1.0, True, None, "x"],
        "tuple": lambda: (1, (2, [3])),
        "set": lambda: {1, 2},
        "frozenset": lambda: frozenset({1}),
        "dict": lambda: {1: "a", "b": {2.0: (True,)}, (1, 2): None},
        "ordered": lambda: collections.OrderedDict(b=1, a=2),
        "defaultdict": lambda: collections.defaultdict(list, a=[1]),
        "counter": lambda: collections.Counter("abca"),
        "deque": lambda: collections.deque([1, 2], maxlen=3),
        "enum": lambda: Colour.RED,
        "intenum": lambda: [Level.LOW],
        "mylist": lambda: MyList([1]),
        "mystr": lambda: [MyStr("a")],
        "namedtuple": lambda: Point(1, 2),
        "dataclass": lambda: Row("a", [1]),
        "slotted": lambda: Slotted([1]),
        "date": lambda: datetime.date(2024, 2, 29),
        "datetime": lambda: datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        "decimal": lambda: decimal.Decimal("1.10"),
        "fraction": lambda: fractions.Fraction(1, 3),
        "path": lambda: pathlib.PurePosixPath("a/b"),
        "uuid": lambda: uuid.UUID(int=5),
        "namespace": lambda: types.SimpleNamespace(a=[1]),
        "large": lambda: b"x" * 2_000_000,
        "large_list": lambda: list(range(300_000)),
        "range": lambda: range(5),
        "type": lambda: Row,
        "function": lambda: len,
    }

    @step
    @parametrize("which", list(MAKE))
    def value(which):
        return MAKE[which]()

    def exactly(a, b):
        assert type(a) is type(b), (type(a), type(b))
        if isinstance(a, (list, tuple, collections.deque)):
            assert len(a) == len(b)
            for x, y in zip(a, b):
                exactly(x, y)
        elif isinstance(a, dict):
            exactly(list(a), list(b))
            exactly(list(a.values()), list(b.values()))
        else:
            assert repr(a) == repr(b) if isinstance(a, float) else a == b

    @step
    def compared(value, which):
        exactly(value, MAKE[which]())
"""


@pytest.mark.parametrize("mode", MODES)
def test_values_come_back_of_exactly_their_types(stepcache_project: Project, mode: str) -> None:
    project = stepcache_project
    text = VALUES.replace("def compared(value, which):", "def compared(value, request):").replace(
        "MAKE[which]())\n", "MAKE[request.variant]())\n"
    )
    project.write("pipeline_x.py", text.replace("return MAKE[request.variant]())", "return MAKE[which]()"))
    first, second = MODES[mode]
    for arguments in (first, second):
        result = project.run(*arguments)
        assert result.exit_code == 0, result.stdout + result.stderr
        assert "warning" not in result.lines[-1], result.stdout


MUTATION = """
    import pathlib
    from stepcache import pipeline, step

    @step
    def rows():
        return {"list": [1, 2], "set": {1}, "bytes": bytearray(b"ab")}

    @step
    def first(rows):
        rows["list"].append("first")
        rows["set"].add("first")
        rows["bytes"] += b"first"
        return rows

    @step
    def second(rows, first):
        rows["list"].append("second")
        first["list"].append("second")
        return rows

    @step
    def twice(rows, again):
        assert rows is not again
        rows["list"].append(1)
        assert again["list"] == [1, 2]

    @step
    def last(rows, first, second):
        assert rows == {"list": [1, 2], "set": {1}, "bytes": bytearray(b"ab")}
        assert first["list"] == [1, 2, "first"]
        assert second["list"] == [1, 2, "second"]
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_change_to_a_value_reaches_nobody(stepcache_project: Project, mode: str) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py", MUTATION.replace("@step\n    def twice", '@step(takes={"again": "rows"})\n    def twice')
    )
    first, second = MODES[mode]
    for arguments in (first, second):
        result = project.run(*arguments)
        assert result.exit_code == 0, result.stdout
    project.edit("pipeline_x.py", "def last(rows", "def last_again(rows")
    assert project.run(*second).exit_code == 0


def test_what_a_step_keeps_of_its_value_changes_nothing(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        kept = []

        @step
        def a():
            value = [1]
            kept.append(value)
            return value

        @step
        def b(a):
            kept[0].append(2)
            return a
        """,
    )
    for mode in ([], ["--no-cache"]):
        project.run(*mode)
    assert stepcache.run("pipeline_x.py", enable_cache=False)["b"] == [1]


@pytest.mark.parametrize("mode", MODES)
def test_arrays_are_arrays_and_writable(stepcache_project: Project, mode: str) -> None:
    pytest.importorskip("numpy")
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        import numpy as np
        from stepcache import step

        def make():
            fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
            return {
                "large": np.arange(500_000, dtype="int32"),
                "small": np.array([1.5, 2.5]),
                "fortran": fortran,
                "scalar": np.float32(1.5),
                "zero": np.array(3),
                "empty": np.empty((0, 3)),
                "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
                "strings": np.array(["a", "bc"]),
                "swapped": np.arange(3, dtype=">i4"),
                "objects": np.array([[1], "x"], dtype=object),
            }

        @step
        def arrays():
            return make()

        @step
        def alone():
            return np.arange(500_000)

        @step
        def spoil(arrays, alone):
            for each in arrays.values():
                if type(each) is np.ndarray and each.size and each.dtype.names is None and each.dtype.kind in "if":
                    each[...] = -1
            alone[:] = -1
            assert alone.sum() == -500_000

        @step
        def look(arrays, alone, spoil):
            expected = make()
            for name, each in arrays.items():
                assert type(each) is type(expected[name]), name
                assert each.dtype == expected[name].dtype, name
                assert each.shape == expected[name].shape, name
                assert np.array_equal(each, expected[name]), name
                assert name == "scalar" or each.flags.writeable, name
            assert type(alone) is np.ndarray
            assert alone[-1] == 499_999
        """,
    )
    first, second = MODES[mode]
    for arguments in (first, second):
        result = project.run(*arguments)
        assert result.exit_code == 0, result.stdout
    project.edit("pipeline_x.py", "def look(", "def look_again(")
    assert project.run(*second).exit_code == 0


@pytest.mark.parametrize("enable", [True, False])
def test_each_look_from_python_is_a_new_one(stepcache_project: Project, enable: bool) -> None:
    stepcache_project.write("pipeline_x.py", MUTATION.replace("def twice(rows, again)", "def twice(rows, again=None)").replace(
        "assert rows is not again", "return").replace("assert again", "None and again"))  # fmt: skip
    run = stepcache.run(enable_cache=enable)
    assert run.exit_code == 0
    run["rows"]["list"].append("outside")
    assert run["rows"]["list"] == [1, 2]


def test_given_values_are_the_nodes_own_too(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", MUTATION.replace("def twice(rows, again)", "def twice(rows, again=None)").replace(
        "assert rows is not again", "return").replace("assert again", "None and again"))  # fmt: skip
    mine = {"list": [1, 2], "set": {1}, "bytes": bytearray(b"ab")}
    run = stepcache.run(values={"rows": mine})
    assert run.exit_code == 0, run.nodes
    assert mine == {"list": [1, 2], "set": {1}, "bytes": bytearray(b"ab")}


# --- values that no codec takes

UNSTORABLE = """
    import threading
    from stepcache import pipeline, step

    @step
    def lock():
        return threading.Lock()

    @step
    def held(lock):
        return lock.locked()

    @step
    def after(held):
        return held

    @step
    def other():
        return 1
"""


@pytest.mark.parametrize("arguments", [[], ["--no-cache"], ["--cache=readonly"]])
def test_a_value_that_no_codec_takes_is_handed_on_with_one_warning(
    stepcache_project: Project, arguments: list[str]
) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", UNSTORABLE)
    result = project.run(*arguments)
    assert result.exit_code == 0
    assert result.outcomes["pipeline_x.py::held"] == "ran"
    at = next(n for n, line in enumerate(result.lines) if "warnings summary" in line)
    assert result.lines[at + 1] == (
        "pipeline_x.py::lock: its value cannot be stored (_thread.lock: cannot pickle '_thread.lock' object): it runs "
        "each time, and so do the steps that take it"
    )
    assert "1 warning" in result.lines[-1]


def test_steps_that_take_it_run_each_time_and_those_behind_do_not(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", UNSTORABLE)
    project.run()
    result = project.run()
    assert result.reasons == {
        "pipeline_x.py::lock": ["new"],
        "pipeline_x.py::held": ["unstored: lock"],
    }
    assert result.outcomes["pipeline_x.py::after"] == "cached"
    assert result.outcomes["pipeline_x.py::other"] == "cached"


@pytest.mark.parametrize("arguments", [[], ["--no-cache"], ["-n", "2"]])
def test_a_value_that_does_not_come_back_from_its_pickle_is_handed_on_too(
    stepcache_project: Project, arguments: list[str]
) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        class Wrong(Exception):
            def __init__(self, number, place):
                super().__init__(f"{number} at {place}")

        class Wrapped:
            def __init__(self, inner):
                self.inner = inner

            def __getattr__(self, name):
                return getattr(self.inner, name)

        class Deferred:
            def __reduce__(self):
                return str, ("now",)

        @step
        def error():
            return Wrong(1, "a")

        @step
        def wrapped():
            return Wrapped([1, 1])

        @step
        def deferred():
            return Deferred()

        @step
        def taken(error, wrapped, deferred):
            return str(error), wrapped.count(1), type(deferred).__name__
        """,
    )
    for _ in range(2):
        result = project.run(*arguments)
        assert result.exit_code == 0, result.stdout
        assert set(result.outcomes.values()) == {"ran"}
        assert result.stdout.count("its value cannot be stored (") == 3
        for reason in (
            "Wrong: it does not come back from a pickle: Wrong.__init__() missing 1 required positional argument",
            "Wrapped: it does not come back from a pickle: maximum recursion depth exceeded",
            "Deferred: it comes back from a pickle as a str",
        ):
            assert reason in result.stdout
    assert stepcache.run()["taken"] == ("1 at a", 2, "Deferred")


def test_a_large_value_that_does_not_come_back_is_told_by_the_step_that_takes_it(stepcache_project: Project) -> None:
    """What is large is not loaded to try it; nobody is shown the insides of stepcache for it."""
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        class Wrong(Exception):
            def __init__(self, number, name):
                super().__init__(f"{number} at {name}")

        @step
        def error():
            return [Wrong(1, "a"), {number: Wrong for number in range(300_000)}]

        @step
        def taken(error):
            return len(error)
        """,
    )
    for _ in range(2):
        result = project.run()
        assert result.outcomes == {"pipeline_x.py::error": "ran", "pipeline_x.py::taken": "failed"}
        assert "E   TypeError: Wrong.__init__() missing 1 required positional argument: 'name'" in result.lines
        assert "the value of pipeline_x.py::error does not come back as it was stored" in result.stdout
        assert "pickles.py" not in result.stdout


# --- stored values that are damaged or gone

WAVE = """
    from stepcache import step

    @step
    def a():
        return b"x" * 5_000_000 + bytes(range(256)) * 4000

    @step
    def b(a, extra=0):
        return len(a) + extra

    @step
    def c(b):
        return b
"""


def blobs(project: Project) -> list[Path]:
    return [p for p in (project.cache / "blobs").rglob("*") if p.is_file()]


@pytest.mark.parametrize("how", ["removed", "cut", "flipped", "emptied"])
def test_a_damaged_or_missing_blob_is_made_again(stepcache_project: Project, how: str) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", WAVE)
    project.run()
    (blob,) = blobs(project)
    if how == "removed":
        blob.unlink()
    else:
        data = bytearray(blob.read_bytes())
        if how == "flipped":
            data[len(data) // 2] ^= 1
        blob.write_bytes(data if how == "flipped" else data[: len(data) // 2] if how == "cut" else b"")
    result = project.run("-P", "extra=1")
    assert result.exit_code == 0, result.stdout + result.stderr
    assert result.ran == ["a", "b", "c"]
    assert result.reasons["pipeline_x.py::a"] == ["evicted" if how == "removed" else "damaged"]
    assert stepcache.run("pipeline_x.py", params={"extra": 1})["b"] == 6_024_001
    assert len(blobs(project)) == 1
    assert project.run("-P", "extra=2").ran == ["b", "c"]


@pytest.mark.parametrize("value", ["numpy.zeros(6_000_000)", "numpy.random.default_rng(1).random(1_000_000)"])
def test_a_forked_child_changes_no_value_of_its_parents(stepcache_project: Project, value: str) -> None:
    """Values that were packed lie in memory of their own, others in the mapped file: neither is shared with a child."""
    pytest.importorskip("numpy")
    stepcache_project.write(
        "pipeline_x.py",
        f"""
        import multiprocessing, numpy
        from stepcache import step

        @step
        def taken():
            return {value}

        @step
        def change(taken):
            before = bytes(taken[:9])
            child = multiprocessing.get_context("fork").Process(target=taken.fill, args=(7,))
            child.start()
            child.join()
            return child.exitcode, bytes(taken[:9]) == before
        """,
    )
    assert stepcache.run("pipeline_x.py")["change"] == (0, True)


@pytest.mark.parametrize("how", ["removed", "flipped"])
def test_a_value_that_is_gone_is_made_again_when_python_asks_for_it(stepcache_project: Project, how: str) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", WAVE)
    run = stepcache.run("pipeline_x.py")
    (blob,) = blobs(project)
    if how == "removed":
        blob.unlink()
    else:
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(data)
    assert len(run["a"]) == 6_024_000


def test_values_live_as_long_as_the_run(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", WAVE)
    run = stepcache.run("pipeline_x.py", enable_cache=False)
    os.sync()
    assert len(run["a"]) == 6_024_000
    assert run["c"] == 6_024_000


def test_a_value_that_cannot_be_read_any_more_fails_what_takes_it(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        times = []

        def refuse():
            times.append(1)
            if len(times) % 2 == 0:  # the first time is that of the try when it is stored
                raise RuntimeError("never again")
            return Odd()

        class Odd:
            def __reduce__(self):
                return refuse, ()

        @step
        def odd():
            return Odd()

        @step
        def taken(odd):
            return 1
        """,
    )
    for arguments in ([], ["--no-cache"]):
        result = project.run(*arguments)
        assert result.exit_code == 1
        assert '>           raise RuntimeError("never again")' in result.lines  # where the user's code raised it
        assert "the value of pipeline_x.py::odd does not come back as it was stored" in result.stdout


def test_a_chain_of_missing_values_is_made_again(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def one():
            return b"1" * 3_000_000 + bytes(range(256)) * 5000

        @step
        def two(one):
            return one + b"2"

        @step
        def three(two, extra=0):
            return len(two) + extra
        """,
    )
    project.run()
    for blob in blobs(project):
        blob.write_bytes(b"")
    result = project.run("-P", "extra=1")
    assert (result.exit_code, result.ran) == (0, ["one", "two", "three"])
    for blob in blobs(project):
        blob.write_bytes(b"")
    # What is deselected may come from the cache, but is not run.
    result = project.run("-P", "extra=2", "--deselect", "pipeline_x.py::two")
    assert result.outcomes["pipeline_x.py::three"] == "skipped"
    assert "pipeline_x.py::two" not in result.ran


SETTINGS = """
from stepcache import Each, parametrize, resource, step

UNSET = object()

@resource(scope="node")
def limits(given=[0]):
    given.append(1)
    return given

@step(ignore=["unset"])
@parametrize("k", [[1], [2]], ids=["one", "two"])
def changes(k, request, shared={"seen": []}, unset=UNSET):
    k.append(3)
    shared["seen"].append(len(k))
    request.settings["shared"]["seen"].append("asked")
    return k, shared, unset is UNSET

@step
def items(n=3):
    return list(range(n))

@step(takes={"item": "items"})
def numbered(item: Each, seen=[]):
    seen.append(item)
    return seen

@step(takes={"item": "items"})
async def numbered_too(item: Each, seen=[]):
    seen.append(item)
    return seen

@step
def limited(limits):
    return limits

@step
def limited_too(limits):
    return [*limits]
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_setting_is_each_body_s_own(stepcache_project: Project, workers: int) -> None:
    stepcache_project.write("pipeline_x.py", SETTINGS)
    given = {"seen": []}
    for params in ({}, {}, {"changes.shared": given}):
        run = stepcache.run(params=params, workers=workers)
        assert run["changes[one]"] == ([1, 3], {"seen": [2]}, True)
        assert run["changes[two]"] == ([2, 3], {"seen": [2]}, True)
        assert run["numbered"] == run["numbered_too"] == [[0], [1], [2]]
        assert run["limited"] == run["limited_too"] == [0, 1]
        run.table("changes")[0]["shared"]["seen"].append("told")
    assert given == {"seen": []}
    assert {row["outcome"] for row in stepcache.run().nodes} == {"cached"}
