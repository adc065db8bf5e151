"""The table of a file's source: its normal form, and the names that its definitions use."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stepcache.key.source import analyse
from stepcache.key.table import Import, SourceTable, Unit

# Something of every kind that Pythons have parsed differently, or might.
SAMPLE = '''
"""Docstring."""
from __future__ import annotations
import os.path as path, sys
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import never
try:
    from .near import one as uno
except ImportError:
    uno = None
K: int = 1_000
BIG = 2 ** 64 + 0xFFFFFFFFFFFFFFFFFFFFFFFF
FLOATS = [1.0, -0.0, 1e999, .5j]
TEXTS = ["a" "b", 'c', b"d", r"\\d", "\\N{SNOWMAN}", "\\ud800", f"", f"x", f"{K}", f"a{K!r:>{K}}b" "c" f"{K:{'>'}10}", f"{K=}"]
SETS = {3, "a", None, 1.5}, {*TEXTS, 1}
@path.lru
async def late(a, /, b=K, *c, d: All = 2, **e) -> "int":
    """Doc."""
    async with a as (x, *y), b:
        async for z in c:
            yield [i async for i in z if i if not i], {k: v for k, v in d}, {w for w in e}, (q for q in z)
    global G
    G = await x
    def inner():
        nonlocal y
        y = lambda u=K, *, v: (u, v, y)
        return y
    return
class C(Base, metaclass=Meta, k=1):
    """Doc."""
    field: list[Item] = None
    other: "Item"
    def b(self): return self.__a
    def a(self): pass
    @property
    def c(self): ...
    x = y = K
def matching(subject):
    match subject:
        case [1, "a", *rest] | {"k": rest, **kept} if rest: return rest
        case C(a=1, b=None) as found: return found
        case -1 | 1 + 2j: return (walrus := subject)
        case _: assert False, "no"
    while True:
        try: raise E from None
        except (A, B) as error: del error; continue
        except* E: break
        finally: x[1:2, ...] @= 3
'''.replace("        except* E: break\n", "")


def unit(source: str, name: str = "f") -> Unit:
    table = analyse(source.encode(), "a.py")
    return table.units[table.named(name)[0]]


def test_the_table_is_the_same_on_every_python() -> None:
    """A golden value: where it changes, every stored result is made anew, and TABLE_FORMAT must be raised."""
    table = analyse(SAMPLE.encode(), "sample.py")

    assert not table.broken
    assert table.digest == "7b6cc88026c34f6c4850de553302dcd3dee5e08d9239a998718d909b0f28bdd7"


def test_a_table_comes_back_from_its_bytes() -> None:
    table = analyse(SAMPLE.encode(), "sample.py")

    assert SourceTable.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize("path", random.Random(3).sample(sorted(Path(random.__file__).parent.glob("*.py")), 12))
def test_any_file_has_a_table(path: Path) -> None:
    table = analyse(path.read_bytes(), str(path))

    assert not table.broken
    assert SourceTable.from_bytes(table.to_bytes()) == table


def test_a_file_that_cannot_be_parsed_counts_by_its_bytes() -> None:
    one, other = (analyse(text, "a.py") for text in (b"x = = 1", b"x = = 1  # so"))

    assert one.broken
    assert one.digest != other.digest


def test_very_deep_expressions_are_walked() -> None:
    one, other = (analyse(b"x = " + b"1 + " * 1500 + last, "a.py") for last in (b"1", b"1  # so"))

    assert not one.broken
    assert one.digest == other.digest


def test_names_are_noted_with_the_attributes_taken_of_them() -> None:
    found = unit("def f(a):\n    b = settings.CFG.x\n    return helper(b, a.c, np.linalg.norm(b)), [d for d in b]")

    assert found.body.uses.chains == (("helper",), ("np", "linalg", "norm"), ("settings", "CFG", "x"))


def test_a_bare_name_covers_its_attributes() -> None:
    found = unit("def f():\n    return settings, settings.CFG")

    assert found.body.uses.chains == (("settings",),)


@pytest.mark.parametrize(
    "body",
    [
        "g = 1; return g",
        "for g in (): pass",
        "with open('a') as g: pass",
        "import g; return g",
        "try: pass\n    except E as g: return g",
        "def g(): pass",
        "class g: pass",
        "return [g for g in ()]",
        "return lambda g: g",
        "(g := 1); return g",
        "match 1:\n        case [g, *h]: return g",
        "match 1:\n        case {**g}: return g",
        "[x for x in (g := [1])]; return g",
        "g: int; return g",
        "def h():\n        return g\n    g = 1",
        "def h():\n        nonlocal g\n    g = 1",
    ],
)
def test_local_names_are_not_global(body: str) -> None:
    chains = unit(f"def f():\n    {body}").body.uses.chains

    assert ("g",) not in chains


@pytest.mark.parametrize(
    "body",
    [
        "global g; g = 1",
        "global g; return g",
        "return [g for x in g]",
        "return [x for g in g]",
        "class A:\n        x = g\n        g = 1",
        "class A:\n        g = 1\n        def h(self): return g",
        "def h(g): pass\n    return g",
        "def h(x=g): pass",
        "def h():\n        global g\n        g += 1\n    g",
        "g = 1\n    def h():\n        global g\n        return g",
        "return source.query('a > @g')",
    ],
)
def test_global_names_are_noted(body: str) -> None:
    uses = unit(f"g = 0\ndef f(source=None):\n    {body}").body.uses

    assert ("g",) in uses.chains or "g" in uses.assigns


def test_names_of_an_enclosing_function_are_free() -> None:
    source = "def f(k):\n    import m\n    def g(x):\n        return x * k + m.n\n    return g"

    inner = unit(source, "f.<locals>.g")

    assert inner.body.uses.free == (("k",), ("m", "n"))
    assert inner.body.uses.chains == ()
    assert [one for one in unit(source).body.uses.imports if not one.present] == [Import("m.n#1", "m", 0, ("n",))]


def test_imports_in_a_body_are_followed_under_their_names() -> None:
    found = unit("def f():\n    from ..a.b import c as d\n    import x.y as z, p.q\n    return d.e, z.w, p.q.r")

    taken = {(one.module, one.level, one.chain) for one in found.body.uses.imports if not one.present}
    assert taken == {("a.b", 2, ("c", "e")), ("x.y", 0, ("w",)), ("p", 0, ("q", "r"))}


def test_defaults_and_decorators_are_pieces_of_their_own() -> None:
    found = unit("@a.b(c)\ndef f(x=d):\n    return e")

    assert found.body.uses.chains == (("e",),)
    assert found.defaults is not None
    assert found.defaults.uses.chains == (("d",),)
    assert found.decorated_by == (("a", "b"),)
    assert found.decorators[0].uses.chains == (("a", "b"), ("c",))
    assert found.line == 1


def test_what_functions_assign_is_known_by_the_outermost_definition() -> None:
    table = analyse(b"N = 0\ndef f():\n    def g():\n        global N\n        N += 1\n    return g", "a.py")

    assert {name: [table.units[i].name for i in units] for name, units in table.assigners.items()} == {"N": ["f"]}


def test_values_that_depend_on_clock_chance_or_process_are_known() -> None:
    source = b"""
import time, random as r, os, datetime
from uuid import uuid4
def now(): return time.time()
A = time.time()
B = r.random()
C = os.getpid()
D = now()
E = D + 1
F = datetime.datetime.now()
G = uuid4()
H = id(A)
I = os.environ.get("time")
J = [1, 2]
"""
    assert analyse(source, "a.py").impure == frozenset("ABCDEFGH")


def test_module_level_imports_leave_out_what_only_type_checkers_see() -> None:
    source = b"""
import a.b
from .c import d, e
if TYPE_CHECKING:
    import f
else:
    import g
try:
    import h
except ImportError:
    pass
from i import *
import importlib
importlib.import_module('j')
def k():
    import l
"""

    table = analyse(source, "a.py")

    assert table.imports[:2] == (("a.b", 0, ()), ("c", 1, ("d", "e")))
    assert [module for module, _, _ in table.imports[2:]] == ["g", "h", "i", "importlib", "j"]
    assert table.stars == (("i", 0),)
