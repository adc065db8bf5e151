"""What was collected in an earlier run is not imported again: what is imported all the same, and that nothing is missed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepcache.testing import Project

PIPELINE_A = """
import wave
from pathlib import Path
from lib import scale
from stepcache import File, mark, parametrize, step

N = 3

@step
def a(n: int = N, kind="x", data=File("data.txt")):
    return n + len(data.read_text())

@step
@parametrize("by", [1, 2])
@mark.slow
def b(a, by, where=Path("out")):
    return scale(a) * by

def check_b(b):
    assert b > 0
"""
PIPELINE_C = """
from stepcache import All, step

@step
def c(shared, k: str = "x"):
    return shared + k
"""
STEPCONF = """
from stepcache import step

@step
def shared():
    return "s"
"""
STEP_C = "from stepcache import step\n@step\ndef c(n=1):\n    return n\n"
LIB = "def scale(x):\n    return 2 * x\n"

# The command in a process of its own; the last line that it prints are the modules of the project that it imported.
ASK = """
import sys, stepcache
status = stepcache.main(sys.argv[1:])
names = ("wave", "lib", "other", "pipeline_a", "pipeline_b", "pipeline_c", "stepconf")
print("imported:", *(name for name in names if name in sys.modules))
sys.exit(status)
"""


class Asked:
    """What a command came to: outcomes by node, and what it imported of the project."""

    def __init__(self, project: Project, *args: str, code: int = 0) -> None:
        report = project.path.parent / "asked.json"
        result = project.python("-c", ASK, f"--json={report}", *args)
        self.text = result.stdout + result.stderr
        assert result.exit_code == code, self.text
        self.imported = result.stdout.splitlines()[-1].split()[1:]
        self.rows = json.loads(report.read_text())["nodes"] if code in (0, 1) else []
        self.outcomes = {row["id"].rpartition("::")[2]: row["outcome"] for row in self.rows}

    @property
    def ran(self) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome in ("ran", "passed")]


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    files = {"pipeline_a.py": PIPELINE_A, "pipeline_c.py": PIPELINE_C, "stepconf.py": STEPCONF, "lib.py": LIB}
    for name, text in files.items():
        stepcache_project.write(name, text)
    stepcache_project.write("data.txt", "abc")
    stepcache_project.configure("markers = ['slow']")
    for _ in range(3):  # where something that it rests on changes meanwhile, as folders of sys.path may, none is kept
        if not Asked(stepcache_project).imported:
            break
    return stepcache_project


def test_another_question_about_what_is_known_imports_nothing(project: Project) -> None:
    found = Asked(project, "-k", "c or b")
    assert (found.imported, found.ran) == ([], [])
    assert list(found.outcomes) == ["a", "b[1]", "b[2]", "shared", "c", "check_b[1]", "check_b[2]"]
    assert Asked(project, "-P", "a.n=3", "--plan").imported == [
        "wave",
        "lib",
        "pipeline_a",
        "stepconf",
    ]  # to know what 3 means


@pytest.mark.parametrize(
    ("file", "old", "new", "ran", "imported"),
    [
        ("pipeline_c.py", "+ k", "+ k + k", ["c"], ["pipeline_c", "stepconf"]),
        ("lib.py", "2 * x", "3 * x", ["b[1]", "b[2]", "check_b[1]", "check_b[2]"], ["wave", "lib", "pipeline_a"]),
        ("stepconf.py", '"s"', '"t"', ["shared", "c"], ["pipeline_c", "stepconf"]),
        ("data.txt", "abc", "abcd", ["a", "b[1]", "b[2]", "check_b[1]", "check_b[2]"], ["wave", "lib", "pipeline_a"]),
        ("pipeline_a.py", "N = 3", "N = 4", ["a", "b[1]", "b[2]", "check_b[1]", "check_b[2]"],
         ["wave", "lib", "pipeline_a"]),
        ("pipeline_a.py", "\n", "\n# a comment\n", [], ["wave", "lib", "pipeline_a"]),
    ],
)  # fmt: skip
def test_only_the_files_that_are_needed_are_imported(
    project: Project, file: str, old: str, new: str, ran: list[str], imported: list[str]
) -> None:
    text = (project.path / file).read_text()
    project.write(file, text.replace(old, new, 1))
    found = Asked(project)
    assert sorted(set(found.imported) - {"stepconf"}) == sorted(set(imported) - {"stepconf"})
    assert sorted(found.ran) == sorted(ran)
    again = Asked(project, "-k", "a or b or c or shared")
    assert (again.imported, again.ran) == ([], [])
    project.write(file, text)
    assert Asked(project).ran == []


def test_other_ways_of_asking(project: Project) -> None:
    project.edit("pipeline_c.py", "shared + k", "1 / 0")
    assert Asked(project, code=1).outcomes["c"] == "failed"
    again = Asked(project, "--lf", code=1)
    assert ("pipeline_a" in again.imported, again.outcomes) == (False, {"shared": "cached", "c": "failed"})
    listed = project.python("-c", ASK, "--collect-only", "-q").stdout.splitlines()
    assert (listed[-1], "pipeline_a.py::b[1]" in listed) == ("imported:", True)
    assert Asked(project, "--cache-refresh=shared", "-k", "shared").ran == ["shared"]
    assert Asked(project, "--cache=readonly", "-k", "a").imported == []


def test_it_tells_what_a_collection_tells(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = Asked(project, "-k", "a or b or c or shared")
    monkeypatch.setenv("ELSEWHERE", "1")  # another environment has no snapshot yet
    anew = Asked(project, "-k", "a or b or c or shared")
    assert (asleep.imported, len(anew.imported)) == ([], 5)
    assert asleep.rows == anew.rows


def test_what_may_run_is_imported_before_the_first_body(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("lib.py", "COUNT = 0\n")
    project.write(
        "pipeline_a.py",
        "import lib\nfrom stepcache import step\n@step\ndef a(n=1):\n    lib.COUNT += 1\n    return n\n",
    )
    project.write(
        "pipeline_b.py",
        "import lib\nfrom stepcache import step\nSTART = lib.COUNT\n@step\ndef b(n=1):\n    return START\n\n"
        "@step\ndef check(b):\n    assert b == 0\n    return b\n",
    )
    Asked(project)
    found = Asked(project, "-P", "n=2")
    assert found.ran == ["a", "b"]
    assert Asked(project).outcomes == {"a": "cached", "b": "cached", "check": "cached"}


def test_what_an_import_prints_is_no_nodes_output(project: Project) -> None:
    text = (project.path / "pipeline_c.py").read_text()
    project.write("pipeline_c.py", "print('hello from the import')\n" + text)
    Asked(project)
    found = Asked(project, "-P", "c.k=y", "--durations=1", "-rA")
    assert found.ran == ["c"]
    assert "hello" not in found.text


STEP_B = "@step\ndef b(m=1):\n    return m\n"
# Projects that are collected anew after all, or kept no snapshot of: files, and the outcomes of a run with another `m`.
ODD = {
    "a name that differs each time": {
        "pipeline_a.py": "from stepcache import step\n@step(name=f's{id(object())}')\ndef odd(k=1):\n    return k\n",
        "pipeline_b.py": "from stepcache import step\n" + STEP_B,
    },
    "a default that is no number": {
        "pipeline_b.py": "from stepcache import step\n@step\ndef b(m=float('nan')):\n    return m\n",
    },
    "a file that goes by two names": {
        "sub/pipeline_a.py": "from pipeline_b import b\nfrom stepcache import step\n@step\ndef a(n=1):\n    return n\n",
        "sub/pipeline_b.py": "from stepcache import step\n" + STEP_B,
    },
    "files that import one another": {
        "pipeline_a.py": "X = 1\nfrom pipeline_b import Y\nfrom stepcache import step\n@step\ndef a(n=1):\n    return Y\n",
        "pipeline_b.py": "from pipeline_a import X\nY = 2\nfrom stepcache import step\n@step\ndef b(m=1):\n    return X\n",
    },
    "a submodule that another file imports": {
        "pipeline_a.py": "import wsgiref.util\nfrom stepcache import step\n@step\ndef a(n=1):\n    return n\n",
        "pipeline_b.py": "import wsgiref\nfrom stepcache import step\n@step\ndef b(m=1):\n"
                         "    return wsgiref.util.shift_path_info.__name__\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("how", ODD)
def test_what_cannot_be_known_is_collected_anew(stepcache_project: Project, how: str) -> None:
    for name, text in ODD[how].items():
        stepcache_project.write(name, text)
    Asked(stepcache_project)
    found = Asked(stepcache_project, "-P", "b.m=2")
    assert found.outcomes["b"] == "ran"
    assert "failed" not in found.outcomes.values()


def test_files_of_one_name_in_two_folders(stepcache_project: Project) -> None:
    project = stepcache_project
    for folder, step, setting in (("one", "x", "n"), ("two", "y", "m")):
        project.write(f"{folder}/util.py", f"def f():\n    return '{folder}'\n")
        project.write(
            f"{folder}/pipeline_{step}.py",
            f"import util\nfrom stepcache import step\n@step\ndef {step}({setting}=1):\n    return util.f()\n",
        )
    Asked(project, "one")
    Asked(project, "two")
    found = Asked(project, "-P", "m=2", code=2)
    assert "hides it" in found.text
    assert Asked(project, "two", "-P", "m=2").ran == ["y"]


def test_warnings_at_import_are_told_as_they_are_asked_for(project: Project) -> None:
    text = (project.path / "pipeline_c.py").read_text()
    project.write("pipeline_c.py", "import warnings\nwarnings.warn('old thing')\n" + text)
    Asked(project, "-W", "ignore")
    assert "old thing" in Asked(project, "-W", "error", code=2).text
    assert "old thing" in Asked(project).text


# What one file does to others while it is imported: what is asleep must be imported too, as if all were collected anew.
LOUD = {
    "registers": ("registry = {}\ndef register(f):\n    registry[f.__name__] = f\n    return f\n",
                  "import lib\n@lib.register\ndef entry():\n    return 1\n", "sorted((n, f()) for n, f in lib.registry.items())"),
    "sets": ("SIZE = 1\n", "import lib\nlib.SIZE = 1\n", "lib.SIZE"),
    "patches": ("def size():\n    return 0\n", "import lib\ndef own():\n    return 1\nlib.size = own\n", "lib.size()"),
    "appends": ("SIZES = [0]\n", "from lib import SIZES\nSIZES.append(1)\n", "list(lib.SIZES)"),
    "by a function": ("SIZES = [0]\ndef put(n):\n    SIZES[0] = n\n    return n\n",
                      "import lib\nPUT = lib.put(1)\n", "list(lib.SIZES)"),
    "by a local function": ("SIZES = {}\n", "import lib\ndef put(n):\n    lib.SIZES['n'] = n\nput(1)\n", "dict(lib.SIZES)"),
    "subclasses": ("class Base:\n    pass\n", "import lib\nclass One(lib.Base):\n    SIZE = 1\n",
                   "[c.SIZE for c in lib.Base.__subclasses__()]"),
    "a hook of the base": ("made = []\nclass Base:\n    def __init_subclass__(cls):\n        made.append(cls.SIZE)\n",
                           "import lib\nclass One(lib.Base):\n    SIZE = 1\n", "list(lib.made)"),
    "a registering metaclass": (
        "class Meta(type):\n    def __init__(cls, name, bases, body):\n        super().__init__(name, bases, body)\n"
        "        cls.table[name] = body.get('SIZE')\n\nclass Base(metaclass=Meta):\n    table = {}\n",
        "import lib\nclass One(lib.Base):\n    SIZE = 1\n", "dict(lib.Base.table)"),
    "an annotation": ("SIZES = []\ndef note(n):\n    SIZES.append(n)\n    return int\n",
                      "from lib import note\nx: note(1) = 0\n", "list(lib.SIZES)"),
    "the environment": ("import os\n", "import os\nos.environ['LOUD_SIZE'] = '1'\n", "lib.os.environ.get('LOUD_SIZE')"),
}  # fmt: skip


@pytest.mark.parametrize("how", LOUD)
def test_files_that_do_something_to_others(stepcache_project: Project, how: str) -> None:
    project = stepcache_project
    lib, does, told = LOUD[how]
    project.write("lib.py", lib)
    project.write("pipeline_a.py", f"import lib\nfrom stepcache import step\n@step\ndef a(n=1):\n    return {told}\n")
    project.write("pipeline_c.py", does + STEP_C)
    assert Asked(project).ran == ["a", "c"]
    project.write("pipeline_c.py", does.replace("1", "2") + STEP_C)
    found = Asked(project)
    assert {"pipeline_a", "pipeline_c"} <= set(found.imported)
    assert "a" in found.ran
    again = Asked(project, "-P", "n=5")
    assert (again.ran, "pipeline_c" in again.imported) == (["a", "c"], True)


@pytest.mark.parametrize("does", ["import lib\nSIZE = lib.SIZE\n", "from lib import SIZE\nTWICE = (SIZE, SIZE)\n",
                                  "import lib, json, re\nODD = re.compile('x')\nTABLE = {'x': json.loads('1')}\n"
                                  "class One(lib.Base):\n    def one(self):\n        return 1\n",
                                  "import dataclasses\n@dataclasses.dataclass\nclass Own:\n    n: int = 1\nOWN = Own(2)\n"])  # fmt: skip
def test_files_that_do_nothing_to_others(stepcache_project: Project, does: str) -> None:
    project = stepcache_project
    project.write("lib.py", "SIZE = 1\nclass Base:\n    pass\n")
    project.write("pipeline_a.py", "import lib\nfrom stepcache import step\n@step\ndef a(n=1):\n    return lib.SIZE\n")
    project.write("pipeline_c.py", does + STEP_C)
    assert Asked(project).ran == ["a", "c"]
    assert "pipeline_a" not in Asked(project, "-P", "c.n=2").imported


@pytest.mark.parametrize("told", ["data file", "environment", "folder", "absent"])
def test_what_is_read_at_import(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    project = stepcache_project
    ask = {
        "data file": "open('names.txt').read().split()",
        "environment": "os.environ.get('NAMES', 'x').split()",
        "folder": "sorted(os.listdir('names'))",
        "absent": "['x', 'y'] if os.path.exists('more') else ['x']",
    }[told]
    project.write("names.txt", "x")
    project.write("names/x", "")
    project.write("pipeline_c.py", "from stepcache import step\n@step\ndef c():\n    return 1\n")
    project.write(
        "pipeline_a.py",
        f"import os\nfrom stepcache import parametrize, step\n@step\n@parametrize('name', {ask})\ndef a(name):\n"
        "    return name\n",
    )
    assert Asked(project).ran == ["a[x]", "c"]
    assert Asked(project, "-k", "a or c").imported == []
    project.write("names.txt", "x y")
    project.write("names/y", "")
    project.write("more", "")
    monkeypatch.setenv("NAMES", "x y")
    assert Asked(project, "-k", "a or c").ran == ["a[y]"]


def test_reads_at_import_count_by_values_where_the_file_was_asleep(stepcache_project: Project) -> None:
    """`later` runs when its file, which a run for another step has left a snapshot of, is imported for it."""
    stepcache_project.write("conf.txt", "1")
    stepcache_project.write("conf.py", "SIZES = [1, 2]\nNOTE = open(__file__.replace('.py', '.txt')).read()\n")
    stepcache_project.write(
        "pipeline_x.py",
        """
        from conf import SIZES
        from stepcache import step
        @step
        def first():
            return 1
        @step
        def later(first):
            return SIZES[first]
        """,
    )
    Asked(stepcache_project, "-k", "first")
    assert Asked(stepcache_project).ran == ["later"]
    stepcache_project.write("conf.txt", "2")
    assert Asked(stepcache_project).ran == []


def test_a_stepconf_that_gets_a_hook_sees_real_definitions(project: Project) -> None:
    text = (project.path / "stepconf.py").read_text()
    told = project.path.parent / "told"
    hook = (
        "def stepcache_collected(graph):\n"
        f"    open({str(told)!r}, 'w').write(str([n.definition.function.__name__ for n in graph.nodes.values()]))\n"
    )
    project.write("stepconf.py", text + hook)
    Asked(project)
    assert told.read_text().startswith("['a', 'b'")


def test_a_function_as_a_setting_is_never_asleep(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_c.py", STEP_C)
    project.write(
        "pipeline_a.py",
        "from stepcache import step\ndef one():\n    return 1\n@step\ndef a(make=one):\n    return make()\n",
    )
    Asked(project)
    assert "pipeline_a" in Asked(project, "-P", "n=2").imported
    project.edit("pipeline_a.py", "return 1", "return 2")
    assert Asked(project).ran == ["a"]


def test_from_python_too(project: Project) -> None:
    script = (
        "import sys, stepcache\nrun = stepcache.run(params={'k': 'y'})\nprint(run['c'], 'pipeline_a' in sys.modules)"
    )
    assert project.python("-c", script).stdout.splitlines()[-1] == "sy False"
    assert project.python("-c", script + "; print(dict(run['b']))").stdout.splitlines()[-1] == "{'1': 12, '2': 24}"


def test_a_value_that_is_gone_is_made_again(project: Project) -> None:
    more = "import random\n@step\ndef large():\n    return random.Random(1).randbytes(1_000_000)\n"
    project.write("pipeline_a.py", PIPELINE_A + more)
    Asked(project)
    script = (
        "import subprocess, sys, stepcache\nrun = stepcache.run(params={'c.k': 'y'})\n"
        "asleep = 'pipeline_a' not in sys.modules\n"
        "subprocess.run([sys.executable, '-m', 'stepcache', '--cache-clear', '--collect-only'], check=True, stdout=-3)\n"
        "print(len(run['large']), asleep, 'pipeline_a' in sys.modules)"
    )
    assert project.python("-c", script).stdout.splitlines()[-1] == "1000000 True True"


def test_in_worker_processes(project: Project) -> None:
    found = Asked(project, "-n", "2", "-P", "c.k=y")
    assert found.ran == ["c"]
    found = Asked(project, "-n", "2", "-P", "a.n=4")
    assert sorted(found.ran) == ["a", "b[1]", "b[2]", "check_b[1]", "check_b[2]"]
    assert (Asked(project, "-k", "c or a").ran, Asked(project, "-P", "a.n=4").ran) == ([], [])
