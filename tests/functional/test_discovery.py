"""Which files are collected, how they are imported, and who is meant by a name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from stepcache.testing import Project

STEP = """
    from stepcache import step

    @step
    def {name}({takes}):
        return {value}
"""


def step(name: str, value: str = "1", takes: str = "") -> str:
    return STEP.format(name=name, value=value, takes=takes)


def ids(project: Project, *args: str) -> list[str]:
    result = project.run("--collect-only", "-q", *args)
    assert result.stderr == ""
    return [line for line in result.lines if "::" in line]


# --- files ------------------------------------------------------------------------------------


@pytest.fixture
def files(stepcache_project: Project) -> Project:
    for name in (
        "pipeline_a.py",
        "sub/pipeline_b.py",
        "sub/deep/pipeline_c.py",
        "other.py",
        "sub/test_pipeline.py",
        "sub/pipeline_test.py",
        "build/pipeline_no.py",
        ".hidden/pipeline_no.py",
        "node_modules/pipeline_no.py",
        "env/pipeline_no.py",
    ):
        stepcache_project.write(name, step("one"))
    stepcache_project.write("env/pyvenv.cfg")
    return stepcache_project


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ((), ["pipeline_a.py", "sub/deep/pipeline_c.py", "sub/pipeline_b.py"]),
        (("sub",), ["sub/deep/pipeline_c.py", "sub/pipeline_b.py"]),
        (("sub/deep", "pipeline_a.py"), ["sub/deep/pipeline_c.py", "pipeline_a.py"]),
        (("pipeline_a.py", "pipeline_a.py", "./sub/../pipeline_a.py"), ["pipeline_a.py"]),
        (("other.py",), ["other.py"]),
        (("build",), ["build/pipeline_no.py"]),
        (("sub/pipeline_b.py::one", "sub"), ["sub/pipeline_b.py", "sub/deep/pipeline_c.py"]),
        (("--ignore=sub/deep",), ["pipeline_a.py", "sub/pipeline_b.py"]),
        (("--ignore=pipeline_a.py", "pipeline_a.py", "sub/deep"), ["sub/deep/pipeline_c.py"]),
    ],
)
def test_the_files_that_arguments_mean(files: Project, args: tuple[str, ...], found: list[str]) -> None:
    assert ids(files, *args) == [f"{file}::one" for file in found]


def test_the_configuration_says_which_files(files: Project) -> None:
    files.configure("pipelinepaths = ['sub']\n")
    assert ids(files) == ["sub/deep/pipeline_c.py::one", "sub/pipeline_b.py::one"]
    files.configure("pipeline_files = ['other*.py', 'pipeline_*.py']\nnorecursedirs = ['sub/deep', 'env*', '.*']\n")
    assert ids(files) == [
        f"{file}::one"
        for file in (
            "build/pipeline_no.py",
            "node_modules/pipeline_no.py",
            "other.py",
            "pipeline_a.py",
            "sub/pipeline_b.py",
        )
    ]


def test_ids_are_relative_to_the_root_from_wherever_it_is_asked(
    files: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files.path / "sub" / "deep")
    assert ids(files) == ["sub/deep/pipeline_c.py::one"]
    assert ids(files, "../pipeline_b.py::one") == ["sub/pipeline_b.py::one"]
    assert ids(files, "../..", "--rootdir=..") == ["pipeline_a::one", "deep/pipeline_c.py::one", "pipeline_b.py::one"]


def test_a_file_with_a_pipeline_builds_that_one_without_all_its_steps(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import pipeline, step

        @step
        def used():
            return 1

        @step
        def unused():
            return 2

        @pipeline
        def report(used):
            return used
        """,
    )
    assert ids(stepcache_project) == ["pipeline_x.py::used", "pipeline_x.py::report"]
    assert ids(stepcache_project, "pipeline_x.py::unused") == ["pipeline_x.py::unused"]


def test_what_a_pipeline_builds_without_taking_it(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import pipeline, step

        @step
        def by_name():
            return 1

        @step
        def by_object():
            return 2

        @pipeline(builds=["by_name", by_object])
        def report():
            return 3
        """,
    )
    assert stepcache_project.run().ran == ["by_name", "by_object", "report"]


# --- names ------------------------------------------------------------------------------------


def test_the_nearest_definition_of_a_name_wins(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("stepconf.py", step("source", "'root'") + step("used", "source", "source"))
    project.write("sub/stepconf.py", step("source", "'sub'"))
    project.write("sub/pipeline_own.py", step("source", "'file'") + step("last", "used", "used"))
    project.write("sub/pipeline_sub.py", step("last", "used", "used"))
    project.write("pipeline_root.py", step("last", "used", "used"))
    assert values(project) == {
        "pipeline_root.py::last": "root",
        "sub/pipeline_own.py::last": "file",
        "sub/pipeline_sub.py::last": "sub",
    }


def test_a_step_that_asks_for_its_own_name_extends_the_outer_one(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("stepconf.py", step("source", "['root']"))
    project.write("sub/stepconf.py", step("source", "[*source, 'sub']", "source"))
    project.write("sub/pipeline_x.py", step("source", "[*source, 'file']", "source") + step("last", "source", "source"))
    assert values(project) == {"sub/pipeline_x.py::last": ["root", "sub", "file"]}


def values(project: Project) -> dict[str, object]:
    """The values of the nodes called `last`, by id."""
    import stepcache

    run = stepcache.run(str(project.path), check=True)
    return {row["id"]: run[row["id"]] for row in run.nodes if "::last" in row["id"]}


def test_files_of_one_name_in_many_folders(stepcache_project: Project) -> None:
    project = stepcache_project
    folders = ("a", "b", "c-d", "e/f", "v1.0%2E")
    for folder in folders:
        project.write(f"{folder}/stepconf.py", step("source", repr(folder)))
        project.write(
            f"{folder}/pipeline_train.py",
            """
            from stepcache import step

            class Model:
                def __init__(self, name):
                    self.name = name

            @step
            def model(source):
                return Model(source)

            @step
            def last(model):
                assert type(model) is Model
                return model.name
            """,
        )
    wanted = {f"{folder}/pipeline_train.py::last": folder for folder in folders}
    assert values(project) == wanted
    again = project.command()
    assert set(again.outcomes.values()) == {"cached"}
    script = f"import stepcache; r = stepcache.run({str(project.path)!r}); import json; "
    script += "print(json.dumps({k: r[k].name for k in [n['id'] for n in r.nodes] if '::model' in k}))"
    loaded = json.loads(project.python("-c", script).stdout)
    assert loaded == {f"{folder}/pipeline_train.py::model": folder for folder in folders}


def test_importing_one_step_brings_along_what_it_needs(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("shared.py", step("deep", "'deep'") + step("clean", "deep", "deep"))
    project.write("pipeline_x.py", "from shared import clean\n" + step_text("last", "clean", "clean"))
    assert project.run().ran == ["deep", "clean", "last"]
    assert values(project) == {"pipeline_x.py::last": "deep"}


def step_text(name: str, value: str = "1", takes: str = "") -> str:
    """A step for a file that begins at the margin."""
    import textwrap

    return textwrap.dedent(step(name, value, takes))


def test_the_file_being_collected_comes_before_the_module_of_the_asking_step(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("shared.py", step("deep", "'shared'") + step("clean", "deep", "deep"))
    own = step_text("deep", "'own'") + step_text("last", "clean", "clean")
    project.write("pipeline_x.py", "from shared import clean\n" + own)
    assert values(project) == {"pipeline_x.py::last": "own"}


def test_imported_steps_count_as_targets_of_their_file(stepcache_project: Project) -> None:
    stepcache_project.write("shared.py", step("clean"))
    stepcache_project.write("pipeline_x.py", "from shared import clean as renamed\n")
    assert ids(stepcache_project) == ["shared.py::clean"]


def test_takes_says_which_step_feeds_a_parameter(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        def clean(df, other=None):
            return [df, other]

        @step
        def train():
            return "train"

        @step
        def test():
            return "test"

        clean_train = step(clean, name="clean_train", takes={"df": "train"})
        clean_test = step(clean, name="clean_test", takes={"df": "test", "other": "train"})

        @step
        def last(clean_train, clean_test):
            return clean_train, clean_test
        """,
    )
    assert values(stepcache_project) == {"pipeline_x.py::last": (["train", None], ["test", "train"])}


def test_a_step_of_another_modules_function_stands_where_it_is_made(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("lib.py", "def load(path='x', times=1):\n    return path * times\n")
    for name, times in (("a", 2), ("b", 3)):
        project.write(
            f"pipeline_{name}.py",
            f"""
            import functools
            from stepcache import step
            import lib

            load = step(lib.load, version="{name}")
            last = step(functools.partial(lib.load, times={times}), name="last")
            """,
        )
    assert sorted(ids(project)) == [f"pipeline_{n}.py::{s}" for n in "ab" for s in ("last", "load")]
    assert values(project) == {"pipeline_a.py::last": "xx", "pipeline_b.py::last": "xxx"}


def test_steps_that_one_function_makes_in_two_files_are_two(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "factory.py",
        """
        from stepcache import step

        def make(value):
            @step(name="last")
            def made():
                return value
            return made
        """,
    )
    for name in "ab":
        project.write(f"pipeline_{name}.py", f"from factory import make\nlast = make('{name}')\n")
    assert values(project) == {"pipeline_a.py::last": "a", "pipeline_b.py::last": "b"}


def test_the_steps_of_a_plugin_are_found_last(stepcache_project: Project) -> None:
    project = stepcache_project
    project.configure("plugins = ['offering']\npythonpath = ['.']\n")
    project.write(
        "offering.py",
        """
        from stepcache import hookimpl, step

        @step
        def offered(size=2):
            return size

        @step
        def hidden():
            return "of the plugin"

        @hookimpl
        def stepcache_steps():
            return [offered, hidden]
        """,
    )
    project.write("pipeline_x.py", step("hidden", "'own'") + step("last", "[offered, hidden]", "offered, hidden"))
    assert values(project) == {"pipeline_x.py::last": [2, "own"]}
    assert ids(project) == ["pipeline_x.py::hidden", "offering.py::offered", "pipeline_x.py::last"]


def test_a_plugin_that_offers_something_else_is_told(stepcache_project: Project) -> None:
    project = stepcache_project
    project.configure("plugins = ['offering']\npythonpath = ['.']\n")
    project.write(
        "offering.py",
        "from stepcache import hookimpl\n\n@hookimpl\ndef stepcache_steps():\n    return [len, 3]\n",
    )
    project.write("pipeline_x.py", step("last"))
    result = project.run()
    assert result.exit_code == 4
    assert result.stderr == (
        "ERROR: stepcache_steps: a plugin offers <built-in function len>, "
        "which is no object made with @step or @resource\n"
    )


# --- imports ----------------------------------------------------------------------------------


def test_a_package_is_imported_under_its_full_name(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("work/__init__.py")
    project.write("work/tools.py", "NAME = __name__\n")
    text = "from . import tools\nimport work.tools\nassert tools is work.tools\n"
    project.write("work/pipeline_x.py", text + step_text("last", "[__name__, tools.NAME]"))
    assert values(project) == {"work/pipeline_x.py::last": ["work.pipeline_x", "work.tools"]}


def test_a_source_layout_with_pythonpath(stepcache_project: Project) -> None:
    project = stepcache_project
    project.configure("pythonpath = ['src']\n")
    project.write("src/mylib/__init__.py")
    project.write("src/mylib/clean.py", "def value():\n    return 41\n")
    project.write("pipelines/pipeline_x.py", "from mylib.clean import value\n" + step_text("last", "value() + 1"))
    assert values(project) == {"pipelines/pipeline_x.py::last": 42}
    project.edit("src/mylib/clean.py", "41", "1")
    assert project.run().reasons == {"pipelines/pipeline_x.py::last": ["code: src/mylib/clean.py::value"]}


def test_a_users_file_shadows_nothing(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("json.py", "raise RuntimeError('the wrong json')\n")
    project.write("sub/statistics.py", "raise RuntimeError('the wrong statistics')\n")
    project.write("sub/pipeline_x.py", "import random\n" + step_text("last", "random.Random(1).random() > 0"))
    before = sys.path[:]
    assert values(project) == {"sub/pipeline_x.py::last": True}
    assert sys.path[: len(before)] == before


def test_a_module_beside_the_file_is_found(stepcache_project: Project) -> None:
    stepcache_project.write("sub/near_by.py", "VALUE = 3\n")
    stepcache_project.write("sub/pipeline_x.py", "import near_by\n" + step_text("last", "near_by.VALUE"))
    assert values(stepcache_project) == {"sub/pipeline_x.py::last": 3}


def test_a_module_that_another_folders_module_hides_is_an_error_naming_both(stepcache_project: Project) -> None:
    project = stepcache_project
    for folder in ("a", "b"):
        project.write(f"{folder}/near_by.py", f"VALUE = {folder!r}\n")
        project.write(f"{folder}/pipeline_x.py", "import near_by\n" + step_text("last", "near_by.VALUE"))
    result = project.run()
    assert result.exit_code == 2
    assert result.errors == [
        "b/pipeline_x.py:1: 'import near_by' means near_by.py beside it, but a/near_by.py of that name hides it\n"
        "  rename near_by.py, or make the folder a package and import it by its full name"
    ]
    assert result.outcomes == {}


def test_stale_bytecode_decides_nothing(stepcache_project: Project) -> None:
    import os
    import py_compile

    project = stepcache_project
    path = project.write("near_by.py", "VALUE = 1\n")
    project.write("pipeline_x.py", "import near_by\n" + step_text("last", "near_by.VALUE"))
    py_compile.compile(str(path))
    stamp = path.stat()
    project.edit("near_by.py", "1", "2")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert values(project) == {"pipeline_x.py::last": 2}


def test_a_mark_of_byte_order_and_other_line_ends(stepcache_project: Project) -> None:
    path: Path = stepcache_project.write("pipeline_x.py")
    path.write_bytes(b"\xef\xbb\xbf" + step_text("last").lstrip().replace("\n", "\r\n").encode())
    assert stepcache_project.run().outcomes == {"pipeline_x.py::last": "ran"}


def test_an_encoding_named_in_the_first_line(stepcache_project: Project) -> None:
    path: Path = stepcache_project.write("pipeline_x.py")
    path.write_bytes(("# -*- coding: latin-1 -*-\n" + step_text("last", "'ä'")).encode("latin-1"))
    assert values(stepcache_project) == {"pipeline_x.py::last": "ä"}


def test_names_outside_ascii(stepcache_project: Project) -> None:
    stepcache_project.write("überall/pipeline_größe.py", step("last", "größe", "größe") + step("größe", "7"))
    assert values(stepcache_project) == {"überall/pipeline_größe.py::last": 7}
    assert ids(stepcache_project, "überall/pipeline_größe.py::größe") == ["überall/pipeline_größe.py::größe"]


@pytest.mark.parametrize("package", [False, True])
def test_dots_in_the_names_of_files_and_folders(stepcache_project: Project, package: bool) -> None:
    project = stepcache_project
    if package:
        project.write("jobs/__init__.py")
    for name in ("jobs/pipeline_a.v2.py", "pipeline_folder.py/pipeline_b.py"):
        project.write(
            name, f"class C:\n    x = {name!r}\n" + step_text("last", "C()") + step_text("taker", "type(last)", "last")
        )
    assert set(project.run("-n2").outcomes.values()) == {"ran"}
    assert project.command().outcomes == {
        f"{file}::{name}": "cached"
        for file in ("jobs/pipeline_a.v2.py", "pipeline_folder.py/pipeline_b.py")
        for name in ("last", "taker")
    }
    project.edit("jobs/pipeline_a.v2.py", "x = ", "x = 1, ")
    assert project.run("jobs").ran == ["last", "taker"]


def test_a_pipe_named_as_a_pipeline_file_is_not_waited_for(stepcache_project: Project) -> None:
    os.mkfifo(stepcache_project.path / "pipeline_pipe.py")
    stepcache_project.write("pipeline_x.py", step_text("last"))
    assert stepcache_project.run().outcomes == {"pipeline_x.py::last": "ran"}
    assert "is no Python file" in stepcache_project.run("pipeline_pipe.py").stderr


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_what_files_print_while_they_are_imported(
    stepcache_project: Project, capfd: pytest.CaptureFixture[str], capture: str
) -> None:
    project = stepcache_project
    project.write("stepconf.py", "print('a quiet one')\n")
    project.write("pipeline_x.py", "import os\nos.system('echo child')\nprint('told')\n" + step_text("last"))
    told = project.run(f"--capture={capture}").stdout + capfd.readouterr().out
    assert ("quiet" in told, "told" in told, "child" in told) == ((capture != "fd"),) * 3
    project.write("pipeline_x.py", "import os\nos.system('echo child')\nprint('told')\n1 / 0\n")
    lines = project.run(f"--capture={capture}").lines
    if capture == "fd":
        at = lines.index(next(line for line in lines if "Captured stdout" in line))
        assert lines[at + 1 : at + 3] == ["child", "told"]
        assert "quiet" not in "".join(lines)


def test_what_files_warn_while_they_are_imported(stepcache_project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", "import warnings\nwarnings.warn('old')\n" + step_text("last"))
    path = project.path / "pipeline_x.py"
    for outcome, run in (("ran", project.run), ("cached", project.command)):
        result = run()
        assert f"{path}:2: UserWarning: old" in result.lines
        assert result.lines[-1].strip("= ").startswith(f"1 {outcome}, 1 warning in ")
    project.edit("pipeline_x.py", "'old'", "'older'")
    assert "warning" not in project.run("-W", "ignore").stdout
    project.edit("pipeline_x.py", "'older'", "'old'")
    assert project.run("-W", "error").errors == [
        "pipeline_x.py:2: cannot be imported: UserWarning: old\n    warnings.warn('old')"
    ]
    assert capfd.readouterr() == ("", "")


def test_a_run_from_python_prints_nothing_of_imports(
    stepcache_project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    stepcache_project.write("pipeline_x.py", "print('told')\n" + step_text("last", "3"))
    assert values(stepcache_project) == {"pipeline_x.py::last": 3}
    assert capfd.readouterr() == ("", "")


def test_an_edit_between_two_runs_of_one_process_is_seen(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("near_by.py", "VALUE = 1\n")
    project.write("pipeline_x.py", "from near_by import VALUE\n" + step_text("last", "VALUE"))
    assert values(project) == {"pipeline_x.py::last": 1}
    project.edit("near_by.py", "1", "2")
    assert values(project) == {"pipeline_x.py::last": 2}


def test_a_step_run_by_its_own_method(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", step("source", "20") + step("last", "source + 1", "source"))
    script = "import pipeline_x; print(pipeline_x.last.run()['last'], pipeline_x.last(1))"
    assert project.python("-c", script).stdout == "21 2\n"


def test_steps_that_one_function_makes_in_one_file_have_their_own_values(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        def make(value):
            @step(name=f"last_{value}")
            def made():
                return value
            return made

        a, b = make("a"), make("b")
        """,
    )
    wanted = {"pipeline_x.py::last_a": "a", "pipeline_x.py::last_b": "b"}
    assert values(project) == wanted
    assert values(project) == wanted
    assert set(project.run().outcomes.values()) == {"cached"}


def test_steps_that_another_file_has_variables_for(stepcache_project: Project) -> None:
    stepcache_project.write(
        "made.py",
        """
        from functools import partial
        from stepcache import step

        def load(year):
            return year

        def maker(name):
            @step(name=name)
            def part(first):
                return name, first
            return part

        LOADED = [step(partial(load, year=year), name=name) for name, year in (("first", 1), ("second", 2))]
        MADE = {name: maker(name) for name in ("third", "unused")}
        """,
    )
    stepcache_project.write(
        "pipeline_x.py",
        """
        from made import LOADED, MADE, maker

        LATE = [maker("fourth")]
        first, second = LOADED
        third = MADE["third"]
        """,
    )
    stepcache_project.write("pipeline_y.py", "from pipeline_x import LATE, first\n\nfourth = LATE[0]\n")
    result = stepcache_project.run()
    assert (result.errors, result.ran) == ([], ["first", "second", "third", "fourth"])
