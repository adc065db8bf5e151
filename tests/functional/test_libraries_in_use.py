"""Shared libraries that one process has loaded: what is built in their place it cannot load anew."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from stepcache.testing import Project

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: install one that goes by the name cc")

EXTENSION = """
#include <Python.h>
static PyObject *f(PyObject *self, PyObject *none) { return PyLong_FromLong(NUMBER); }
static PyMethodDef methods[] = {{"f", f, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "own", 0, -1, methods};
PyMODINIT_FUNC PyInit_own(void) { return PyModule_Create(&module); }
"""
STEPS = "from stepcache import step\n{before}\n@step\ndef work():\n    {body}\n\n@step\ndef aside():\n    return 1\n"
HEADERS = Path(sysconfig.get_paths()["include"], "Python.h")


def build(project: Project, source: str, target: str, number: int) -> None:
    project.write("own.c", source)
    include = sysconfig.get_paths()["include"]
    options = ["-shared", "-fPIC", f"-DNUMBER={number}", f"-I{include}", "-o", target]
    subprocess.run([COMPILER, *options, "own.c"], cwd=project.path, check=True)


@pytest.mark.parametrize(
    ("name", "before", "body"),
    [  # names of their own: to the system's loader a name that it has loaded is that library
        ("own1", "import ctypes", "return ctypes.CDLL('./own1.so').f()"),
        ("own2", "from lib import LIBRARY", "return LIBRARY.f()"),
        ("own3", "from lib import library", "return library().f()"),
    ],
    ids=["opened in the body", "opened by the import", "opened once"],
)
def test_a_library_built_anew_is_run_as_it_was_and_its_result_not_stored(
    stepcache_project: Project, name: str, before: str, body: str
) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", STEPS.format(before=before, body=body))
    opened = f"ctypes.CDLL('./{name}.so')"
    once = f"@functools.cache\ndef library():\n    return {opened}\n"
    project.write("lib.py", "import ctypes, functools\n" + (f"LIBRARY = {opened}\n" if name == "own2" else once))
    of_the_old_is_not_kept(project, lambda number: build(project, "int f() { return NUMBER; }", f"{name}.so", number))


@pytest.mark.skipif(not HEADERS.exists(), reason=f"needs Python's headers: install them so that {HEADERS} is there")
@pytest.mark.parametrize(("before", "body"), [("import own", "return own.f()"), ("", "import own; return own.f()")])
def test_an_extension_of_the_project_too(stepcache_project: Project, before: str, body: str) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", STEPS.format(before=before, body=body))
    target = "own" + sysconfig.get_config_var("EXT_SUFFIX")
    of_the_old_is_not_kept(project, lambda number: build(project, EXTENSION, target, number))


def of_the_old_is_not_kept(project: Project, built: Callable[[int], None]) -> None:
    built(1)
    assert set(project.run().ran) == {"work", "aside"}
    assert project.run().ran == []

    built(2)
    for _ in range(2):
        after = project.run()
        assert set(after.ran) == {"work"}, "what it was given is not stored"
        assert after.stdout.count("start Python anew") == 1

    anew = project.command()
    assert set(anew.ran) == {"work"}
    assert "start Python anew" not in anew.stdout
    assert project.command().ran == []

    built(1)
    assert project.run().ran == [], "the library is again what this process has loaded"
