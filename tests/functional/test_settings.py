"""Settings: which level gives a value, what text and TOML values become, and which names are refused."""

from __future__ import annotations

import textwrap
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

import stepcache
from stepcache import UsageError
from stepcache.testing import Project

HEAD = "from stepcache import All, Dir, File, parametrize, param, pipeline, resource, step\n"


def pipeline(project: Project, text: str) -> None:
    project.write("pipeline_x.py", HEAD + textwrap.dedent(text))


# --- the order of the levels ------------------------------------------------------------------

LEVELS = ["-P", "profile", "pipeline", "configuration", "default"]


def lay_out(project: Project, given: list[str], name: str, parametrised: bool = False) -> list[str]:
    """A project in which each level in *given* gives the setting under *name* its own name; the arguments for it."""
    params = f"params={{'{name}': 'pipeline'}}" if "pipeline" in given else ""
    choice = "@parametrize('value', ['parametrize'])\n" if parametrised else ""
    project.write(
        "pipeline_x.py",
        f"{HEAD}@step\n{choice}def work(value='default'):\n    print('told', value)\n    return value\n"
        f"@pipeline({params})\ndef report(work):\n    return work\n",
    )
    table = f"params = {{'{name}' = 'configuration'}}\n" if "configuration" in given else ""
    profile = f"[tool.stepcache.profile.p.params]\n'{name}' = 'profile'\n" if "profile" in given else ""
    project.configure(table + profile)
    return [*(["--profile=p"] if "profile" in given else []), *(["-P", f"{name}=-P"] if "-P" in given else [])]


@pytest.mark.parametrize("name", ["value", "work.value"])
@pytest.mark.parametrize("strongest", LEVELS)
@pytest.mark.parametrize("parametrised", [False, True])
def test_the_strongest_level_that_gives_a_setting_counts(
    stepcache_project: Project, strongest: str, name: str, parametrised: bool
) -> None:
    given = LEVELS[LEVELS.index(strongest) :]
    arguments = lay_out(stepcache_project, given, name, parametrised)
    wanted = "parametrize" if parametrised and strongest == "default" else strongest
    assert told(stepcache_project, *arguments) == [wanted]


def told(project: Project, *arguments: str) -> list[str]:
    """What the body of `work` printed, in order."""
    result = project.run("-s", "--no-cache", *arguments)
    assert result.stderr == ""
    assert result.exit_code == 0, result.stdout
    return [line.partition("told ")[2] for line in result.lines if "told " in line]


def test_params_from_python_are_strongest(stepcache_project: Project) -> None:
    lay_out(stepcache_project, LEVELS, "value")
    run = stepcache.run(params={"value": "python"}, profile="p", check=True)
    assert run["report"] == "python"


def test_at_one_level_the_name_with_its_step_beats_the_bare_name(stepcache_project: Project) -> None:
    project = stepcache_project
    pipeline(
        project,
        """
        @resource
        def connection(size=0):
            return size

        @step
        def one(size=1):
            return size

        @step
        def other(connection, size=2):
            return connection, size

        @pipeline
        def report(one, other):
            return one, other
        """,
    )

    def value(**params: object) -> object:
        return stepcache.run(params=params, check=True)["report"]

    assert value() == (1, (0, 2))
    assert value(size=7) == (7, (7, 7))
    assert value(**{"size": 7, "one.size": 8}) == (8, (7, 7))
    assert value(**{"connection.size": 9}) == (1, (9, 2))
    project.configure("params = {size = 5, 'one.size' = 6}\n")
    assert value() == (6, (5, 5))
    assert value(size=7) == (7, (7, 7))  # a stronger level's bare name beats a weaker one's full name


def test_a_pipelines_params_reach_only_what_it_needs(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def one(size=1):
            return size

        @step
        def aside():
            return 0

        @pipeline(params={"size": 2})
        def large(one, aside):
            return one

        @pipeline
        def small(one, aside):
            return one
        """,
    )
    run = stepcache.run(check=True)
    assert (run["large"], run["small"]) == (2, 1)
    assert [row["id"] for row in run.nodes if "aside" in row["id"]] == ["pipeline_x.py::aside"]


# --- text and TOML ----------------------------------------------------------------------------

TEXTS: list[tuple[str, str, object]] = [
    ("n=0", "12", 12),
    ("n=0", "-1_000", -1000),
    ("n=0", "0x10", 16),
    ("x=0.5", "1", 1.0),
    ("x=0.5", "1e-3", 0.001),
    ("x=0.5", "inf", float("inf")),
    ("b=False", "true", True),
    ("b=True", "no", False),
    ("b=True", "0", False),
    ("s='a'", "12", "12"),
    ("s='a'", "", ""),
    ("s='a'", "a=b,c", "a=b,c"),
    ("p=Path('a')", "b/c", Path("b/c")),
    ("n=None", "12", 12),
    ("n=None", "[1, 'b']", [1, "b"]),
    ("n=None", "some words", "some words"),
    ("n=None", "2024-02-29", date(2024, 2, 29)),
    ("n: int = None", "12", 12),
    ("n: int | None = 3", "none", None),
    ("n: int | None = 3", "4", 4),
    ("n: Optional[float] = None", "4", 4.0),
    ("n: 'Optional[str]' = None", "4", "4"),
    ("n: int | str = 3", "x", "x"),
    ("n: Literal['a', 'b'] = 'a'", "b", "b"),
    ("n: Literal[1, 2] = 1", "2", 2),
    ("d=date(2020, 1, 1)", "2024-02-29", date(2024, 2, 29)),
    ("d=timedelta(seconds=1)", "2h", timedelta(hours=2)),
    ("c=Colour.RED", "GREEN", "Colour.GREEN"),
    ("c: Colour = None", "2", "Colour.GREEN"),
    ("l=[1]", "[2, 3]", [2, 3]),
    ("l: list[float] = None", "[2, 3]", [2, 3]),
    ("t=(1, 2)", "[3, 4]", (3, 4)),
    ("s={1}", "[3, 3]", {3}),
    ("m={'a': 1}", "{b = 2}", {"b": 2}),
    ("m: dict[str, Path] = None", "{b = 'c'}", {"b": Path("c")}),
    ("o: Options = None", "{size = 2, colour = 'RED'}", "Options(size=2, colour=Colour.RED)"),
    ("n: UserId = None", "4", 4),
    ("n: Annotated[int, 'of things'] = None", "4", 4),
    ("n: 'NotThere' = 1", "4", 4),
    ("n: Any = 1", "4", 4),
    ("n: '1/0' = 1", "4", 4),
    ("f=Fraction(1, 2)", "1/3", Fraction(1, 3)),
    ("n=Level.LOW", "2", "Level.HIGH"),
    ("s=Name('a')", "12", "Name 12"),
    ("f: Callable[[], int] = None", "[1]", [1]),
    ("o=Odd()", "{a = 1}", {"a": 1}),
    ("o=Odd()", "some words", "some words"),
    ("l: list[Odd] = None", "[true, 'a']", [True, "a"]),
]

TYPES = """
import enum
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional

class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    def __repr__(self):
        return str(self)

@dataclass
class Options:
    size: int
    colour: Colour = Colour.GREEN

class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
    def __repr__(self):
        return f"Level.{self.name}"

class Name(str):
    def __repr__(self):
        return f"Name {self}"

class Odd: ...

UserId = NewType("UserId", int)
"""


@pytest.mark.parametrize(("parameter", "text", "wanted"), TEXTS, ids=[f"{p}:{t}" for p, t, _ in TEXTS])
def test_text_given_by_P(stepcache_project: Project, parameter: str, text: str, wanted: object) -> None:  # noqa: N802
    name = parameter.partition("=")[0].partition(":")[0].strip()
    stepcache_project.write(
        "pipeline_x.py", f"{HEAD}{TYPES}\n@step\ndef work({parameter}):\n    print('told', repr({name}))\n"
    )
    own = ("Colour.", "Options(", "Level.", "Name ")
    shown = wanted if isinstance(wanted, str) and wanted.startswith(own) else repr(wanted)
    if isinstance(wanted, date | timedelta):
        shown = repr(wanted)
    assert told(stepcache_project, "-P", f"work.{name}={text}") == [str(shown)]


LIBRARIES = """
import numpy as np
import pandas as pd
from pydantic import BaseModel

class Model(BaseModel):
    size: int = 1
    name: str = "a"
"""

OF_LIBRARIES = [
    ("x=np.float64(0.5)", "2", "np.float64(2.0)"),
    ("n=np.int64(1)", "2", "np.int64(2)"),
    ("d=pd.Timestamp('2020-01-01')", "2024-02-29", "Timestamp('2024-02-29 00:00:00')"),
    ("d=pd.Timedelta('1s')", "2h", "Timedelta('0 days 02:00:00')"),
    ("m: Model = Model()", "{size = 3}", "Model(size=3, name='a')"),
]


@pytest.mark.parametrize(("parameter", "text", "shown"), OF_LIBRARIES, ids=[p for p, _, _ in OF_LIBRARIES])
def test_text_given_for_a_type_of_a_library(stepcache_project: Project, parameter: str, text: str, shown: str) -> None:
    name = parameter[0]
    stepcache_project.write(
        "pipeline_x.py", f"{HEAD}{LIBRARIES}\n@step\ndef work({parameter}):\n    print('told', repr({name}))\n"
    )
    assert told(stepcache_project, "-P", f"work.{name}={text}") == [shown]


def test_what_is_wrong_with_a_model_is_told_with_its_field(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", f"{HEAD}{LIBRARIES}\n@step\ndef work(m: Model = Model()):\n    return 1\n")
    result = stepcache_project.run("-P", "m={size = 'x'}")
    assert result.exit_code == 4
    assert "Input should be a valid integer, unable to parse string as an integer for Model.size" in result.stderr


WRONG: list[tuple[str, str, str]] = [
    ("n=0", "1.5", "an int is wanted"),
    ("x=0.5", "much", "a float is wanted"),
    ("b=True", "maybe", "true or false is wanted"),
    ("n: int | None = 3", "much", "none is wanted or an int is wanted"),
    ("n: Literal['a', 'b'] = 'a'", "c", "one of a, b is wanted"),
    ("d=date(2020, 1, 1)", "yesterday", "a date in ISO form is wanted"),
    ("d=timedelta(seconds=1)", "soon", 'a duration such as "90s", "12h" or "7d" is wanted'),
    ("c=Colour.RED", "BLUE", "one of RED, GREEN is wanted"),
    ("l=[1]", "2", "a list is wanted"),
    ("l=[1]", "[2", "a value in TOML syntax is wanted, such as [1, 2] or {a = 1}"),
    ("o: Options = None", "{sise = 2}", "Options has no field 'sise': it has size, colour"),
    ("o: Options = None", "{size = 'x'}", "an int is wanted for Options.size"),
    ("o: Options = None", "{size = 1, colour = 'BLUE'}", "one of RED, GREEN is wanted for Options.colour"),
    ("l: list[int] = None", "[1, 'x']", "an int is wanted for its [1]"),
    ("l: list[int] = None", "[true]", "an int is wanted for its [0]"),
    ("l: dict[str, list[date]] = None", "{a = [2020-01-01T00:00:00]}", "a date is wanted for its [0] for its 'a'"),
]


@pytest.mark.parametrize(("parameter", "text", "said"), WRONG, ids=[f"{p}:{t}" for p, t, _ in WRONG])
def test_text_that_does_not_fit(stepcache_project: Project, parameter: str, text: str, said: str) -> None:
    name = parameter.partition("=")[0].partition(":")[0].strip()
    stepcache_project.write("pipeline_x.py", f"{HEAD}{TYPES}\n@step\ndef work({parameter}):\n    return 1\n")
    result = stepcache_project.run("-P", f"{name}={text}")
    line = (HEAD + TYPES).count("\n") + 2
    assert result.exit_code == 4
    assert result.stderr == (f"ERROR: -P: {name} = {text!r} does not fit step 'work' (pipeline_x.py:{line}): {said}\n")


CONFIGURED: list[tuple[str, str, object]] = [
    ("n=0", "2", 2),
    ("n=0", "0.5", 0.5),  # TOML has numbers of its own: nothing is converted, and the default's type binds nobody
    ("x=0.5", "1", 1),
    ("n: float = 0.5", "1", 1),
    ("n=None", "'2'", "2"),
    ("n=0", "'2'", "2"),
    ("l=[1]", "['a']", ["a"]),
    ("t=(1,)", "['a', 'b']", ("a", "b")),
    ("p=Path('a')", "'b'", Path("b")),
    ("c=Colour.RED", "'GREEN'", "Colour.GREEN"),
    ("d=date(2020, 1, 1)", "2024-02-29", date(2024, 2, 29)),
    ("d=timedelta(seconds=1)", "'2h'", timedelta(hours=2)),
    ("o: Options = None", "{size = 2}", "Options(size=2, colour=Colour.GREEN)"),
]


@pytest.mark.parametrize(("parameter", "text", "wanted"), CONFIGURED, ids=[f"{p}:{t}" for p, t, _ in CONFIGURED])
def test_values_of_the_configuration(stepcache_project: Project, parameter: str, text: str, wanted: object) -> None:
    name = parameter.partition("=")[0].partition(":")[0].strip()
    stepcache_project.configure(f"params = {{{name} = {text}}}\n")
    stepcache_project.write(
        "pipeline_x.py", f"{HEAD}{TYPES}\n@step\ndef work({parameter}):\n    print('told', repr({name}))\n"
    )
    shown = wanted if isinstance(wanted, str) and wanted.startswith(("Colour.", "Options(")) else repr(wanted)
    assert told(stepcache_project) == [shown]


def test_values_from_python_are_never_converted(stepcache_project: Project) -> None:
    pipeline(stepcache_project, "@step\ndef work(n=1, x: float = 0.5):\n    return [n, x]\n")
    assert stepcache.run(params={"n": "12", "x": "13"}, check=True)["work"] == ["12", "13"]


# --- files and directories --------------------------------------------------------------------


def test_a_number_of_thousands_of_digits_is_a_setting_as_any_other(stepcache_project: Project) -> None:
    pipeline(stepcache_project, "@step\ndef work(n=10**5000, m=2):\n    return n % 7 + m\n")
    first = stepcache_project.run("--why")
    assert first.outcomes == {"pipeline_x.py::work": "ran"}
    assert stepcache_project.run("-P", "m=3", "--why").reasons == {"pipeline_x.py::work": ["setting: m 2 -> 3"]}
    stepcache_project.edit("pipeline_x.py", "10**5000", "10**5001")
    assert stepcache_project.run("--why").outcomes == {"pipeline_x.py::work": "ran"}
    assert stepcache.run(params={"n": 10**6000})["work"] == 10**6000 % 7 + 2


def test_paths_are_relative_to_where_they_are_written(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In code to the file, behind `//` to the root, in the configuration to the root, on the command line to here."""
    project = stepcache_project
    for folder in (".", "sub", "here"):
        project.write(f"{folder}/data.txt", folder)
    text = "@step\ndef work(path=File({default!r})):\n    print('told', path.read_text())\n"
    project.write("sub/pipeline_x.py", HEAD + text.format(default="data.txt"))
    monkeypatch.chdir(project.path / "here")
    assert told(project, "../sub") == ["sub"]
    assert told(project, "../sub", "-P", "path=data.txt") == ["here"]
    project.configure("params = {path = 'data.txt'}\n")
    assert told(project, "../sub") == ["."]
    project.configure("")
    project.write("sub/pipeline_x.py", HEAD + text.format(default="//data.txt"))
    assert told(project, "../sub") == ["."]


def test_a_directory_given_as_text_keeps_its_pattern(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("one/a.csv", "1")
    project.write("two/a.csv", "1")
    project.write("two/b.txt", "1")
    pipeline(
        project,
        """
        @step
        def work(folder=Dir("one", glob="*.csv")):
            return folder.name
        """,
    )
    arguments = ("-P", "folder=two")
    assert project.run(*arguments).ran == ["work"]
    project.write("two/b.txt", "2")
    assert project.run(*arguments).ran == []
    project.write("two/a.csv", "2")
    assert project.run(*arguments).ran == ["work"]


def test_text_or_a_path_from_python_given_for_a_file_becomes_one(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("one.txt", "1")
    project.write("two.txt", "2")
    pipeline(project, "@step\ndef work(path=File('one.txt')):\n    return type(path).__name__, path.read_text()\n")
    for given in ("two.txt", Path("two.txt")):
        assert stepcache.run(params={"path": given}, check=True)["work"] == ("File", "2")
    project.write("two.txt", "3")
    assert stepcache.run(params={"path": "two.txt"}, check=True)["work"] == ("File", "3")


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("kind", ["File", "Dir"])
@pytest.mark.parametrize("annotation", ["{} | None", "Optional[{}]", "Annotated[{}, 'in']", "'None | {}'", "{} | int"])
def test_text_for_a_setting_that_may_be_a_file_is_one(
    stepcache_project: Project, annotation: str, kind: str, future: str
) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        f"{future}from typing import Annotated, Optional\n{HEAD}"
        f"@step\ndef work(path: {annotation.format(kind)} = None):\n    return type(path).__name__\n",
    )
    assert stepcache.run(params={"path": "data"}, check=True)["work"] == kind
    assert stepcache_project.run("-P", "path=data").ran == []


# --- sweeps -----------------------------------------------------------------------------------

SWEEPS: list[tuple[str, str, list[str]]] = [
    ("n", "5", ["work[5] 5"]),
    ("n", "[5, 6]", ["work[5] 5", "work[6] 6"]),
    ("n", "[]", []),
    ("n", "[5, 5]", ["work[5] 5"]),
    ("n", '["1", 1]', ["work[1_0] '1'", "work[1_1] 1"]),
    ("n", "words", ["work[words] 'words'"]),
    ("n: float", "[1, 2.5]", ["work[1.0] 1.0", "work[2.5] 2.5"]),
    ("n: int", "7", ["work[7] 7"]),
    ("n: date", '["2024-02-29"]', ["work[2024-02-29] datetime.date(2024, 2, 29)"]),
]


@pytest.mark.parametrize(("parameter", "text", "wanted"), SWEEPS, ids=[f"{p}:{t}" for p, t, _ in SWEEPS])
def test_a_list_sweeps_a_parametrised_name(
    stepcache_project: Project, parameter: str, text: str, wanted: list[str]
) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        f"{HEAD}from datetime import date\n@step\n@parametrize('n', [1, 2, 3])\ndef work(request, {parameter}):\n"
        "    print('told', f'work[{request.variant}]', repr(n))\n",
    )
    assert told(stepcache_project, "-P", f"n={text}") == wanted


def test_a_sweep_of_one_name_of_several(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("x, y", [(1, "a"), (2, "a"), (3, "b")])
        def work(x, y):
            return x, y
        """,
    )
    assert dict(stepcache.run(params={"x": [7, 8]}, check=True)["work"]) == {
        "7-a": (7, "a"),
        "7-b": (7, "b"),
        "8-a": (8, "a"),
        "8-b": (8, "b"),
    }
    assert dict(stepcache.run(params={"work.x": 7}, check=True)["work"]) == {"7-a": (7, "a"), "7-b": (7, "b")}


def test_a_list_given_for_a_setting_that_is_not_parametrised_is_one_value(stepcache_project: Project) -> None:
    pipeline(stepcache_project, "@step\ndef work(n=None):\n    return n\n")
    assert stepcache.run(params={"n": [1, 2]}, check=True)["work"] == [1, 2]


def test_a_setting_swept_by_the_configuration_makes_a_run_for_each_value(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("n", [1])
        def work(n):
            return n

        @step
        def last(work: All):
            return dict(work)
        """,
    )
    stepcache_project.configure("params = {n = [4, 5]}\n")
    assert stepcache.run(check=True)["last"] == {"4": 4, "5": 5}


# --- required settings, unknown names ---------------------------------------------------------


def test_a_required_setting_is_given_from_outside(stepcache_project: Project) -> None:
    pipeline(stepcache_project, "@step\ndef work(region, size: int):\n    print('told', repr((region, size)))\n")
    assert told(stepcache_project, "-P", "region=eu", "-P", "work.size=3") == ["('eu', 3)"]
    stepcache_project.configure("params = {region = 'us', size = 4}\n")
    assert told(stepcache_project) == ["('us', 4)"]


def test_a_step_of_that_name_comes_before_a_required_setting(stepcache_project: Project) -> None:
    pipeline(stepcache_project, "@step\ndef region():\n    return 1\n@step\ndef work(region):\n    return region\n")
    result = stepcache_project.run("-P", "region=eu")
    assert result.exit_code == 4
    assert result.stderr == (
        "ERROR: -P: no step has a setting 'region': `stepcache --steps` lists the settings of every step\n"
    )


def test_required_settings_count_only_for_what_is_selected(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def needy(region):
            return region

        @step
        def free():
            return 1
        """,
    )
    assert stepcache_project.run("pipeline_x.py::free").outcomes == {"pipeline_x.py::free": "ran"}
    assert stepcache_project.run().errors == [
        "pipeline_x.py:3: step 'needy' wants 'region', and nothing provides it\n"
        "    def needy(region)\n"
        "  as a required setting it can be given with -P needy.region=VALUE\n"
        "  `stepcache --steps` lists what can be asked for"
    ]


UNKNOWN = [
    (["-P", "siez=1"], "-P: no step has a setting 'siez': did you mean size?"),
    (["-P", "work.siez=1"], "-P: 'work' has no setting 'siez': did you mean work.size?"),
    (["-P", "wrok.size=1"], "-P: no step has a setting 'wrok.size': did you mean work.size?"),
    (["-P", "plain.size=1"], "-P: 'plain' has no setting 'size': it has none"),
    (["-P", "work.zz=1"], "-P: 'work' has no setting 'zz': it has depth, size"),
    (["-P", "zz=1"], "-P: no step has a setting 'zz': `stepcache --steps` lists the settings of every step"),
    (
        ["-P", "siez=1", "-P", "size=1", "-P", "detph=1"],
        "-P: no step has a setting 'siez': did you mean size?\n-P: no step has a setting 'detph': did you mean depth?",
    ),
    (
        ["--profile=p"],
        "pyproject.toml:3: [tool.stepcache.profile.p.params]: no step has a setting 'siez': did you mean size?",
    ),
    (["--profile=q"], "--profile q: there is no such profile: the configuration has p"),
]


@pytest.mark.parametrize(("arguments", "said"), UNKNOWN, ids=[" ".join(a) for a, _ in UNKNOWN])
def test_unknown_names(stepcache_project: Project, arguments: list[str], said: str) -> None:
    stepcache_project.configure("[tool.stepcache.profile.p.params]\nsiez = 1\n")
    pipeline(
        stepcache_project,
        """
        @step
        def plain():
            return 1

        @step
        def work(plain, size=1, depth=2):
            return 1
        """,
    )
    result = stepcache_project.run(*arguments)
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {said}\n")


def test_unknown_names_in_the_configuration_count_when_the_whole_project_is_collected(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = stepcache_project
    project.configure("params = {size = 2, depht = 3}\n")
    project.write("a/pipeline_a.py", HEAD + "@step\ndef one(size=1):\n    return size\n")
    project.write("b/pipeline_b.py", HEAD + "@step\ndef other(depth=1):\n    return depth\n")
    said = "ERROR: pyproject.toml:2: [tool.stepcache.params]: no step has a setting 'depht': did you mean depth?\n"
    assert (project.run().exit_code, project.run().stderr) == (4, said)
    assert project.run("a").exit_code == 0
    assert project.run("--ignore=b").exit_code == 0
    monkeypatch.chdir(project.path / "a")
    assert project.run().exit_code == 0
    project.configure("pipelinepaths = ['a', 'b']\nparams = {size = 2, depht = 3}\n")
    there = said.replace("pyproject.toml:2", f"{project.path}/pyproject.toml:3")
    assert (project.run().exit_code, project.run().stderr) == (4, there)


def test_all_that_is_wrong_is_told_at_once(stepcache_project: Project) -> None:
    project = stepcache_project
    pipeline(project, "@step\ndef raw(n: int = 3, size: float = 1.0):\n    return n\n")
    result = project.run("-P", "raw.n=abc", "-P", "size=x", "-P", "raw.k=1")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: -P: raw.n = 'abc' does not fit step 'raw' (pipeline_x.py:2): an int is wanted\n"
        "-P: size = 'x' does not fit step 'raw' (pipeline_x.py:2): a float is wanted\n"
        "-P: 'raw' has no setting 'k': it has n, size\n",
    )
    project.configure('compression_level = "x"\nmarkerz = []\n[tool.stepcache.profile.ci]\nparms = {}\n')
    result = project.run()
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: pyproject.toml:2: compression_level expects a number from 1 to 22, not 'x'\n"
        "pyproject.toml:5: unknown key 'profile.ci.parms'; settings stand in profile.ci.params\n"
        "pyproject.toml:3: unknown key 'markerz'; did you mean 'markers'?\n",
    )


def test_unknown_names_in_a_pipelines_params_and_in_values(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def work(size=1):
            return size

        @pipeline(params={"siez": 2, "work.depth": 3})
        def report(work):
            return work
        """,
    )
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert result.errors == [
        "pipeline_x.py:7: @pipeline(params=…) of 'report': no step has a setting 'siez': did you mean size?",
        "pipeline_x.py:7: @pipeline(params=…) of 'report': 'work' has no setting 'depth': it has size",
    ]
    stepcache_project.edit("pipeline_x.py", '"siez": 2, "work.depth": 3', "")
    with pytest.raises(UsageError) as caught:
        stepcache.run(values={"wrok": 1})
    assert str(caught.value) == "values=: there is no step 'wrok'; did you mean 'work'?"


def test_a_setting_that_bears_a_steps_name_is_a_warning(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def source():
            return 1

        @step
        def work(source=None):
            return source
        """,
    )
    run = stepcache.run(check=True)
    assert run["work"] is None
    assert run.warnings == (
        "pipeline_x.py:7: 'work' has a setting 'source', which is also the name of a step (pipeline_x.py:3): "
        "take away the default to be given its value",
    )


def test_a_changed_setting_runs_what_has_it(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def one(size=1, region="eu"):
            return size

        @step
        def other():
            return 1
        """,
    )
    stepcache_project.run()
    again = stepcache_project.run("-P", "size=2", "-P", "region=us")
    assert again.reasons == {"pipeline_x.py::one": ["setting: size 1 -> 2", "setting: region changed"]}
    assert stepcache_project.run("-P", "size=1").ran == []
