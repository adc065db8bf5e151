"""The heart of the product as a table: *edit × which nodes run*. Every bug report becomes a row.

A row is a small project, a change to it, and the steps that must run after the change, and no others. `HEAD` is put
before each pipeline file. A change is a list of (file, old, new); `old` None writes the file anew, `new` None removes it.
`Link` makes it a symbolic link, `Mode` gives it other rights.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from attrs import evolve, field, frozen

HEAD = "from stepcache import All, Dir, Each, File, mark, param, parametrize, pipeline, resource, step\n"
PIPE = "pipeline_x.py"

# Most rows: `work` is changed or not, `after` takes its value, `aside` has nothing to do with it.
REST = """

@step
def after(work):
    return ["after", repr(work)]


@step
def aside():
    return "aside"
"""

BOTH, WORK, NONE = ("work", "after"), ("work",), ()

Change = tuple[str, str | None, str | None]


class Link(str):
    """Where a symbolic link leads to, in the place of a file's text."""


class Mode(int):
    """The rights of a file, in the place of its text."""


@frozen
class Row:
    id: str
    files: dict[str, str]
    change: tuple[Change, ...]
    runs: tuple[str, ...]
    env: dict[str, str] = field(factory=dict)
    new_env: dict[str, str | None] = field(factory=dict)
    reverts: bool = True
    """Undoing the change is a hit."""
    alone: bool = False
    """Only true of a process of its own, or it leaves something behind in its process."""
    started: bool = False
    """Only true of a Python that is started with the row's environment."""
    configuration: str = ""
    counts: bool = True
    """What was changed counts; False where the author said that it does not."""
    why: tuple[str, ...] = ()
    """The reasons of what is changed, where they name something else than the file or variable that the row changes."""
    needs: str = ""
    """A package that is installed for the tests and may be missing elsewhere."""
    unstamped: str = ""
    """Why a run with nothing to do leaves no stamp; "" where it leaves one."""


def body(code: str, before: str = "", rest: str = REST, arguments: str = "") -> str:
    inner = "\n".join("    " + line for line in code.splitlines())
    return f"{HEAD}{before}\n\n@step\ndef work({arguments}):\n{inner}\n{rest}"


def archived(folder: Path, name: str) -> dict[str, str]:
    """The texts in the zip archive that a file's name leads through, by such names."""
    archive = name.partition(".zip/")[0] + ".zip"
    if not (folder / archive).exists():
        return {}
    with zipfile.ZipFile(folder / archive) as file:
        return {f"{archive}/{each}": file.read(each).decode() for each in file.namelist()}


def put_into_archive(folder: Path, name: str, text: str) -> None:
    """Write a file into the archive that its name leads through."""
    archive = name.partition(".zip/")[0] + ".zip"
    inside = {**archived(folder, name), name: text}
    with zipfile.ZipFile(folder / archive, "w") as file:
        for each, content in inside.items():
            file.writestr(each.removeprefix(archive + "/"), content)


ROWS: list[Row] = []


def row(id: str, files: dict[str, str] | str, old: str | None, new: str | None, runs: tuple[str, ...], *,
        file: str = PIPE, **more: object) -> None:  # fmt: skip
    whole = {PIPE: files} if isinstance(files, str) else files
    ROWS.append(Row(id, whole, ((file, old, new),), runs, **more))  # type: ignore[arg-type]


# --- code that is reached ---------------------------------------------------------------------------

row("body", body("return 1"), "return 1", "return 2", BOTH)
row("body, same value", body("return 1 + 1"), "1 + 1", "2", WORK)
row("method of a metaclass", body("return Thing.made()", """
class Meta(type):
    def made(cls):
        return 1

class Thing(metaclass=Meta):
    pass
"""), "return 1", "return 2", BOTH)
row("method of a class without a module", body("return Thing().made()", """
class Thing:
    __module__ = None

    def made(self):
        return 1
"""), "return 1", "return 2", BOTH)
row("descriptor", body("return Thing().size", """
class Doubled:
    def __get__(self, owner, kind):
        return 2 * 1

class Thing:
    size = Doubled()
"""), "2 * 1", "2 * 3", BOTH)
row("__getattr__ of a module", {PIPE: body("return conf.size", "import conf\n"),
    "conf.py": "def __getattr__(name):\n    return len(name) + 1\n"}, "+ 1", "+ 2", BOTH, file="conf.py")
row("__init_subclass__", body("return Child.tag", """
class Base:
    def __init_subclass__(cls):
        cls.tag = "a"

class Child(Base):
    pass
"""), '"a"', '"b"', BOTH)
row("__set_name__", body("return Thing.__dict__['size'].name", """
class Field:
    def __set_name__(self, owner, name):
        self.name = name + "!"

class Thing:
    size = Field()
"""), '"!"', '"?"', BOTH)
row("protocol's default method", body("return Thing().area()", """
from typing import Protocol

class Shape(Protocol):
    def area(self):
        return 1

class Thing(Shape):
    pass
"""), "return 1", "return 2", BOTH)
row("function made by exec", body("return made()", """
space = {}
exec("def made():\\n    return 1", space)
made = space["made"]
"""), "return 1", "return 2", BOTH, unstamped="what the module's import executes cannot be read", why=("code: <string>::made",))
row("dataclass default", body("return Conf().size", """
from dataclasses import dataclass

@dataclass
class Conf:
    size: int = 1
"""), "= 1", "= 2", BOTH)
row("dataclass field factory", body("return Conf().sizes", """
from dataclasses import dataclass, field

def sizes():
    return [1]

@dataclass
class Conf:
    sizes: list = field(default_factory=sizes)
"""), "[1]", "[2]", BOTH)
row("attrs validator", body("return Conf(3).size", """
from attrs import define, field

def twice(value):
    return value * 2

@define
class Conf:
    size: int = field(converter=twice)
"""), "value * 2", "value * 3", BOTH)
row("enum with a method", body("return Mode.FAST.cost()", """
from enum import Enum

class Mode(Enum):
    FAST = 1

    def cost(self):
        return self.value * 10
"""), "* 10", "* 20", BOTH)
row("async helper", body("return await fetch()", """
async def fetch():
    return 1
""").replace("def work", "async def work"), "return 1", "return 2", BOTH)
row("generator helper", body("return list(numbers())", """
def numbers():
    yield 1
"""), "yield 1", "yield 2", BOTH)
row("context manager", body("with opened() as x:\n    return x", """
from contextlib import contextmanager

@contextmanager
def opened():
    yield 1
"""), "yield 1", "yield 2", BOTH)
row("conditional definition, the branch in force", body("return helper()", """
if True:
    def helper():
        return 1
else:
    def helper():
        return 3
"""), "return 1", "return 2", BOTH)
row("conditional import falls back", {PIPE: body("return scale(1)", """
try:
    from missing_one import scale
except ImportError:
    from own import scale
"""), "own.py": "def scale(x):\n    return x * 2\n"}, "x * 2", "x * 3", BOTH, file="own.py")
row("namespace package", {PIPE: body("return one()", "from space.inner import one\n"),
    "space/inner.py": "def one():\n    return 1\n"}, "return 1", "return 2", BOTH, file="space/inner.py")
row("relative import in a package", {"pack/__init__.py": "", "pack/pipeline_x.py": body("return one()", "from .own import one\n"),
    "pack/own.py": "from . import deep\n\ndef one():\n    return deep.two()\n", "pack/deep.py": "def two():\n    return 1\n"},
    "return 1", "return 2", BOTH, file="pack/deep.py")
row("monkeypatched at import", {PIPE: body("return lib.one()", "import lib\nimport patch\n"),
    "lib.py": "def one():\n    return 1\n", "patch.py": "import lib\n\ndef two():\n    return 2\n\nlib.one = two\n"},
    "return 2", "return 3", BOTH, file="patch.py")
row("what a monkeypatch replaced", {PIPE: body("return lib.one()", "import lib\nimport patch\n"),
    "lib.py": "def one():\n    return 1\n", "patch.py": "import lib\n\ndef two():\n    return 2\n\nlib.one = two\n"},
    "return 1", "return 7", NONE, file="lib.py")
row("class decorator", body("return Thing.extra", """
def tagged(cls):
    cls.extra = 1
    return cls

@tagged
class Thing:
    pass
"""), "extra = 1", "extra = 2", BOTH)
row("decorator with arguments", body("return f()", """
def plus(n):
    def outer(fn):
        def inner():
            return fn() + n
        return inner
    return outer

@plus(1)
def f():
    return 1
"""), "plus(1)", "plus(2)", BOTH)
row("functools.cached_property", body("return Thing().size", """
from functools import cached_property

class Thing:
    @cached_property
    def size(self):
        return 1
"""), "return 1", "return 2", BOTH)
row("operator.methodcaller", body("return methodcaller('size')(Thing())", """
from operator import methodcaller

class Thing:
    def size(self):
        return 1
"""), "return 1", "return 2", BOTH)
row("super() two levels up", body("return C().f()", """
class A:
    def f(self):
        return 1

class B(A):
    pass

class C(B):
    def f(self):
        return super().f() + 1
"""), "return 1", "return 2", BOTH)
for of, env in (("", {}), (", with no positions kept", {"PYTHONNODEBUGRANGES": "1"})):
    row("one of the lambdas on a line" + of, body("return f(1), g(1)", "f, g = (lambda x: x + 1), (lambda x: x + 2)\n"),
        "x + 1", "x + 5", BOTH, env=env, alone=bool(env), started=bool(env))
    row("a lambda that gives a constant" + of, body("return f(), g()", "f, g = (lambda: 'one'), (lambda: 'two')\n"),
        "'one'", "'three'", BOTH, env=env, alone=bool(env), started=bool(env))
    row("name behind one of the lambdas on a line" + of,
        body("return f(), g()", "def one():\n    return 1\n\nf, g = (lambda: one()), (lambda: 2)\n"),
        "return 1", "return 5", BOTH, env=env, alone=bool(env), started=bool(env))
    row("variants told by lambdas on a line" + of,
        f"{HEAD}\n@step\n@parametrize('f', [lambda: 'a', lambda: 'b'], ids=['a', 'b'])\ndef made(f):\n    return f()\n",
        "lambda: 'b'", "lambda: 'c'", ("made[b]",), env=env, alone=bool(env), started=bool(env))
row("match statement", body("match 1:\n    case 1:\n        return 'one'\n    case _:\n        return 'more'"), "case 1", "case 2", BOTH)
row("walrus", body("return (n := 1) + n"), "n := 1", "n := 2", BOTH)
row("global rebinding by a function counts by its source", body("bump()\nreturn COUNT", """
COUNT = 0

def bump():
    global COUNT
    COUNT += 1
"""), "+= 1", "+= 2", BOTH, alone=True)
row("partial's argument", body("return f(1)", "from functools import partial\n\ndef add(a, b):\n    return a + b\n\nf = partial(add, 1)\n"),
    "partial(add, 1)", "partial(add, 2)", BOTH)
row("set constant", body("return sorted(WORDS)", "WORDS = {'a', 'b'}\n"), "'b'", "'c'", BOTH)
row("nested tuple of mixed numbers", body("return CONF", "CONF = (1, (2, 3))\n"), "(2, 3)", "(2, 3.0)", BOTH)
row("None to False", body("return FLAG", "FLAG = None\n"), "None", "False", BOTH)
row("text to bytes", body("return TEXT", "TEXT = 'a'\n"), "'a'", "b'a'", BOTH)
row("compiled regular expression's flags", body("return bool(RE.match('A'))", "import re\n\nRE = re.compile('a')\n"), "'a')", "'a', re.I)", BOTH)
row("keyword-only default", body("return f()", "def f(*, k=1):\n    return k\n"), "k=1", "k=2", BOTH)
row("name used only in a comprehension", body("return [f(x) for x in (1,)]", "def f(x):\n    return x\n"), "return x", "return -x", BOTH)
row("name used only in a nested function", body("def inner():\n    return f()\nreturn inner()", "def f():\n    return 1\n"), "return 1", "return 2", BOTH)
row("name in a default of a nested lambda", body("return (lambda k=f(): k)()", "def f():\n    return 1\n"), "return 1", "return 2", BOTH)
row("star import two deep", {PIPE: body("return one()", "from a import *\n"), "a.py": "from b import *\n", "b.py": "def one():\n    return 1\n"},
    "return 1", "return 2", BOTH, file="b.py")
row("import in the body with an alias", {PIPE: body("import own as o\nreturn o.one()"), "own.py": "def one():\n    return 1\n"},
    "return 1", "return 2", BOTH, file="own.py")
row("import_module with a literal", {PIPE: body("import importlib\nreturn importlib.import_module('own').one()"), "own.py": "def one():\n    return 1\n"},
    "return 1", "return 2", BOTH, file="own.py")
row("resource's code", body("return db", "@resource\ndef db():\n    return 1\n", arguments="db"), "return 1", "return 2", BOTH)
row("resource's helper", body("return db", "def url():\n    return 1\n\n@resource\ndef db():\n    return url()\n", arguments="db"), "return 1", "return 2", BOTH)
row("resource's setting", body("return db", "@resource\ndef db(size=1):\n    return size\n", arguments="db"), "size=1", "size=2", BOTH, why=("setting: db.size 1 -> 2",))
row("upstream renamed with the same value by takes", f"""{HEAD}
@step
def first():
    return 1

@step
def second():
    return 2

@step(takes={{"x": "first"}})
def work(x):
    return x
{REST}""", '"first"', '"second"', BOTH, why=("input: first as x", "input: second as x",))
row("version", body("return 1").replace("@step\ndef work", "@step(version='1')\ndef work"), "'1'", "'2'", WORK, why=("version: changed",))
row("default of a setting", body("return n", arguments="n=1"), "n=1", "n=2", BOTH, why=("setting: n 1 -> 2",))
row("setting 1 to True", body("return n", arguments="n=1"), "n=1", "n=True", BOTH, why=("setting: n 1 -> True",))
row("value class reached through another step", {PIPE: f"""{HEAD}
@step
def things():
    from own import Thing
    return [Thing()]

@step
def work(things):
    return [t.size() for t in things]
{REST}""", "own.py": "class Thing:\n    def size(self):\n        return 1\n"}, "return 1", "return 2", BOTH, file="own.py")

SHAPES = """
class Shape:
    def area(self):
        return 1

    def name(self):
        return "shape"
"""
row("method that nobody names", body("return Shape().area()", SHAPES), '"shape"', '"form"', NONE)
row("method added that nobody names", body("return Shape().area()", SHAPES), "    def name", "    def more(self):\n        return 3\n\n    def name", NONE)
row("method named by a text", body("return getattr(Shape(), 'name')()", SHAPES), '"shape"', '"form"', BOTH)
row("method named at run time", body("return getattr(Shape(), 'na' + 'me')()", SHAPES), '"shape"', '"form"', BOTH)
row("method that a method names", body("return Shape().area()", SHAPES.replace("return 1", "return len(self.name())")), '"shape"', '"longer"', BOTH)
row("method of a class that the standard library calls", body("t = Job()\nt.start()\nt.join()\nreturn t.out", """
import threading

class Job(threading.Thread):
    def run(self):
        self.out = 1
"""), "self.out = 1", "self.out = 2", BOTH)
row("method behind a property", body("return Thing().size", """
class Thing:
    def _get(self):
        return 1

    size = property(_get)
"""), "return 1", "return 2", BOTH)
row("method taken by a pattern", body("match Thing():\n    case Thing(size=s):\n        return s", """
class Thing:
    @property
    def size(self):
        return 1
"""), "return 1", "return 2", BOTH)
row("method of a class whose instance is in a variable", body("return SHAPE.area()", SHAPES + "SHAPE = Shape()\n"), "return 1", "return 2", BOTH)
row("method that nobody names, of a class whose instance is in a variable", body("return SHAPE.area()", SHAPES + "SHAPE = Shape()\n"), '"shape"', '"form"', NONE)

# --- where it must be told which of several definitions a live object was made from ------------------------

TWICE = "from dataclasses import dataclass\n\nif {0}:\n{1}\nelse:\n{2}\n"
METHODS = ("    class K:\n        def f(self):\n            return 1\n", "    class K:\n        def f(self):\n            return 2\n")
FIELDS = ("    @dataclass\n    class K:\n        a: int\n", "    @dataclass\n    class K:\n        b: int\n")
row("class defined twice, the branch in force", body("return K().f()", TWICE.format(True, *METHODS)), "return 1", "return 3", BOTH)
row("class defined twice, the other branch", body("return K().f()", TWICE.format(True, *METHODS)), "return 2", "return 3", NONE)
row("class defined twice, nothing but fields", body("return repr(K(1))", TWICE.format(True, *FIELDS)), "a: int", "c: int", BOTH)
row("class defined twice, a class in it", body("return K.I.x", """
if True:
    class K:
        class I:
            x = len("a") + 1
else:
    class K:
        class I:
            x = 5
"""), "+ 1", "+ 2", BOTH)
row("class defined twice, of functions bound in it", body("return K().f()", """
from functools import partialmethod

def given(self, n):
    return n

if True:
    class K:
        f = partialmethod(given, 1)
else:
    class K:
        f = partialmethod(given, 2)
"""), "(given, 1)", "(given, 3)", BOTH)
row("function redefined, the first one held", body("return HELD()", "def f():\n    return 1\n\nHELD = f\n\ndef f():\n    return 2\n"), "return 1", "return 3", BOTH)
row("function renamed to another's name", body("return f(), g()", """
def renamed(fn):
    fn.__name__ = fn.__qualname__ = "g"
    return fn

@renamed
def f():
    return 1

def g():
    return 2
"""), "return 1", "return 3", BOTH)
row("code given to a function", body("return f()", "def f():\n    return 1\n\ndef g():\n    return 2\n\nf.__code__ = g.__code__\n"), "return 2", "return 3", BOTH)
row("constants given to a function", body("return f()", """
def f():
    return 1

consts = tuple(5 if c == 1 else c for c in f.__code__.co_consts)
f.__code__ = f.__code__.replace(co_consts=consts)
"""), "5 if", "6 if", BOTH)
row("defaults given to a function", body("return f()", "def f(x=1):\n    return x\n\nf.__defaults__ = (2,)\n"), "(2,)", "(3,)", BOTH)
row("default that an import changes", body("return f()", "def f(x=[]):\n    return list(x)\n\nf.__defaults__[0].append(1)\n"), "append(1)", "append(2)", BOTH)
row("__wrapped__ that is another function", body("return f()", "def other():\n    return 5\n\ndef f():\n    return 1\n\nf.__wrapped__ = other\n"), "return 1", "return 3", BOTH)
row("method put in another's place", body("return T().f()", "class T:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n\nT.f = T.g\n"), "return 2", "return 3", BOTH)
row("method taken out", body("return hasattr(T(), 'f')", "class T:\n    def f(self):\n        return 1\n\ndel T.f\n"), "del T.f\n", "T.f\n", BOTH)
row("base put in another's place", body("return T().f()", """
class A:
    def f(self):
        return 1

class B:
    def f(self):
        return 2

class T(A):
    pass

T.__bases__ = (B,)
"""), "(B,)", "(A,)", BOTH)
row("TypedDict by a call", body("return sorted(E.__annotations__)", "from typing import TypedDict\n\nE = TypedDict('E', {'a': int})\n"), "'a'", "'b'", BOTH)
row("classes that a function makes", body("return K.n, L.n", """
def made(m):
    class K:
        n = m
    return K

K, L = made(1), made(2)
"""), "made(2)", "made(3)", BOTH)
row("order of bases", body("return C().f()", """
class A:
    def f(self):
        return 1

class B:
    def f(self):
        return 2

class C(A, B):
    pass
"""), "(A, B)", "(B, A)", BOTH)

# --- what registers itself -----------------------------------------------------------------------------------

GENERIC = "from functools import singledispatch\n\n@singledispatch\ndef show(x):\n    return 'any'\n"
row("singledispatch registered in another module", {PIPE: body("return show(1)", "from generic import show\nimport kinds\n"), "generic.py": GENERIC,
    "kinds.py": "from generic import show\n\n@show.register\ndef _(x: int):\n    return 'int'\n"}, "'int'", "'INT'", BOTH, file="kinds.py")
row("singledispatch of lambdas", body("return show(1)", "from functools import singledispatch\n\nshow = singledispatch(lambda x: 'any')\nshow.register(int, lambda x: 'int')\n"), "'int'", "'INT'", BOTH)
row("singledispatch by the annotation", {PIPE: body("return show(1)", "from generic import show\nimport kinds\n"), "generic.py": GENERIC,
    "kinds.py": "from generic import show\n\n@show.register\ndef _(x: int):\n    return 'int'\n"}, "x: int", "x: str", BOTH, file="kinds.py", why=("code: generic.py::show", "code: kinds.py::_",))
row("singledispatchmethod by the annotation", body("return T().show(1)", """
from functools import singledispatchmethod

class T:
    @singledispatchmethod
    def show(self, x):
        return "any"

    @show.register
    def _(self, x: int):
        return "int"
"""), "x: int", "x: str", BOTH)
row("subclass that a body's import brings", {PIPE: body("import plug\nreturn [c().k() for c in A.__subclasses__()]", "from base import A\n"), "base.py": "class A:\n    pass\n",
    "plug.py": "from base import A\n\nclass B(A):\n    def k(self):\n        return 1\n"}, "return 1", "return 2", BOTH, file="plug.py")
row("__init_subclass__ in another module", {PIPE: body("return [k().go() for k in Base.made]", "from base import Base\nimport plug\n"),
    "base.py": "class Base:\n    made = []\n\n    def __init_subclass__(cls):\n        Base.made.append(cls)\n",
    "plug.py": "from base import Base\n\nclass P(Base):\n    def go(self):\n        return 1\n"}, "return 1", "return 2", BOTH, file="plug.py")
row("entry that another module's import puts into a dict", {PIPE: body("return TABLE['a']()", "from table import TABLE\nimport fill\n"), "table.py": "TABLE = {}\n",
    "fill.py": "from table import TABLE\n\ndef a():\n    return 1\n\nTABLE['a'] = a\n"}, "return 1", "return 2", BOTH, file="fill.py")
row("module that puts an object in its own place", {PIPE: body("import own\nreturn own.x"), "own.py": "import sys\n\nclass M:\n    x = 1\n\nsys.modules[__name__] = M()\n"},
    "x = 1", "x = 2", BOTH, file="own.py")
row("name put into a module's own dict", {PIPE: body("import own\nreturn own.Z"), "own.py": "import sys\n\nsys.modules[__name__].__dict__['Z'] = 1\n"}, "] = 1", "] = 2", BOTH, file="own.py")
row("name that a body's import adds to the built-in ones", {PIPE: body("import own\nreturn ZZ"), "own.py": "import builtins\n\nbuiltins.ZZ = 1\n"}, "ZZ = 1", "ZZ = 2", BOTH, file="own.py")
row("annotations of a module's variables", {PIPE: body("import own\nreturn own.__annotations__['x'].__name__"), "own.py": "x: int\n"}, "x: int", "x: float", BOTH, file="own.py", why=("code: own.py", "code: pipeline_x.py::work",))

# What one module's import has read, another module holds.
FILLED = {PIPE: body("return sorted(R)", "from reg import R\nimport fill\n"), "reg.py": "import json\n\nR = {}\n\ndef load(name):\n    R.update(json.load(open(name)))\n", "c.json": '{"a": 1}'}
for name, code in {
    "puts into it": "import json\nfrom reg import R\n\nR.update(json.load(open('c.json')))\n",
    "has it filled": "import reg\n\nreg.load('c.json')\n",
    "sets": "import json, reg\n\nreg.R = json.load(open('c.json'))\n",
}.items():
    files = {**FILLED, PIPE: body("return sorted(reg.R)", "import reg, fill\n"), "fill.py": code}
    row(f"variable of another module, with what an import has read that {name}", files, '"a"', '"b"', BOTH, file="c.json", why=("code: reg.py::R",))
row("order in which an import finds what two files hold", {**FILLED, "fill.py": "import json\nfrom reg import R\n\nfor name in 'cd':\n    R[name + open(name + '.json').read()] = 1\n", "c.json": "1", "d.json": "2"},
    "1", "2", BOTH, file="c.json", why=("code: reg.py::R",))
ROWS[-1] = evolve(ROWS[-1], change=(("c.json", "1", "2"), ("d.json", "2", "1")))
ROWS.append(Row("variable of another module, with a variable of the environment that an import looks up", {**FILLED, "fill.py": "import os\nfrom reg import R\n\nR[os.environ.get('ZZ_SIZE', '')] = 1\n"},
    (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}, why=("code: reg.py::R",)))
KIND = "from reg import R\n\nR['{0}'] = 1\n"
for name, files, file in (
    ("a listing finds", {"fill.py": "import importlib, pathlib\n\nfor path in sorted(pathlib.Path(__file__).parent.glob('kind_*.py')):\n    importlib.import_module(path.stem)\n", "kind_a.py": KIND.format("a")}, "kind_b.py"),
    ("a package finds in itself", {"fill/__init__.py": "import importlib, pkgutil\n\nfor each in pkgutil.iter_modules(__path__):\n    importlib.import_module('fill.' + each.name)\n", "fill/a.py": KIND.format("a")}, "fill/b.py"),
):
    row(f"module that comes and registers itself, which {name}", {**FILLED, **files}, None, KIND.format("b"), BOTH, file=file, why=("code: reg.py::R",), unstamped="its import makes names of modules")
    row(f"first module that registers itself, which {name}", {**FILLED, **{name: text for name, text in files.items() if "R[" not in text}}, None, KIND.format("b"), BOTH, file=file, why=("code: reg.py::R",), unstamped="its import makes names of modules")

# A variable whose value does not say what imports have done to it.
HELD = {
    "a registry with a lock": ("import threading\n\nclass Registry:\n    def __init__(self):\n        self.lock, self.held = threading.Lock(), {}\n\n    def put(self, value):\n        with self.lock:\n            self.held[0] = value\n\n    def get(self):\n        return self.held[0]\n\nR = Registry()\nput, get = R.put, R.get\n", "reg.R.put", "reg.R.get()"),
    "a queue": ("from queue import Queue\n\nR = Queue()\n", "reg.R.put", "list(reg.R.queue)"),
    "an event": ("import threading\n\nR = threading.Event()\n\ndef put(value):\n    if value == 2:\n        R.set()\n", "reg.put", "reg.R.is_set()"),
    "what a function assigns": ("held = 0\n\ndef put(value):\n    global held\n    held = value\n\ndef get():\n    return held\n", "reg.put", "reg.get()"),
    "what a function that is called on the way assigns": ("held = 0\n\ndef inner(value):\n    global held\n    held = value\n\ndef put(value):\n    inner(value)\n\ndef get():\n    return held\n", "reg.put", "reg.get()"),
    "what a function assigns if it is missing": ("held = None\n\ndef put(value):\n    global held\n    held = held or value\n    return held\n\ndef get():\n    return held\n", "FIRST = reg.put", "reg.get()"),
    "a generator": ("def keeping():\n    held = 0\n    while True:\n        held = (yield held) or held\n\nR = keeping()\nnext(R)\n", "reg.R.send", "next(reg.R)"),
}
for name, (code, put_in, asked) in HELD.items():
    files = {PIPE: body(f"return {asked}", "import reg, fill\n"), "reg.py": code, "c.txt": "1"}
    row(f"{name}, with what another module puts in", {**files, "fill.py": f"import reg\n\n{put_in}(1)\n"}, "(1)", "(2)", BOTH, file="fill.py", why=("code: fill.py", "code: reg.py::R") if "lock" in name else ())
    if name != "an event":
        row(f"{name}, with what another module reads and puts in", {**files, "fill.py": f"import reg\n\n{put_in}(open('c.txt').read())\n"}, "1", "2", BOTH, file="c.txt")
    row(f"{name}, beside what another module does otherwise", {**files, "fill.py": f"import reg\n\n{put_in}(1)\n\ndef other(n):\n    return n\n\nTHIRD = other(3)\n"}, "(3)", "(4)", NONE, file="fill.py")
row("what a function assigns, called where the step stands", {PIPE: body("return reg.get()", "import reg\n\nreg.put(1)\n"), "reg.py": HELD["what a function assigns"][0]}, "put(1)", "put(2)", BOTH)
# By what other name a module calls what sets a variable; and what is named there and not called.
for name, code in {
    "another name": "again = fill\n\nagain()\n",
    "the name of another name": "once = fill\nagain = once\n\nagain()\n",
    "a dict": "KNOWN = {'fill': fill}\n\nKNOWN['fill']()\n",
    "a list in a list": "KNOWN = [[fill]]\n\nfor each in KNOWN:\n    each[0]()\n",
    "a class of another name": "class Filler:\n    def go(self):\n        fill()\n\nMade = Filler\n\nMade().go()\n",
    "a function of a class": "class Filler:\n    def go():\n        fill()\n\ngo = Filler.go\n\ngo()\n",
    "a lambda": "go = lambda: fill()\n\ngo()\n",
    "what another name is given to": "def call(f):\n    f()\n\nagain = fill\n\ncall(again)\n",
    "a partial": "import functools\n\nagain = functools.partial(fill)\n\nagain()\n",
    "the body of a class": "class Filler:\n    fill()\n",
    "the body of a class in a class": "class Filler:\n    class Inner:\n        size = [fill() for _ in (1,)]\n",
    "a default": "def go(value=fill()):\n    return value\n",
    "a default of a method": "class Filler:\n    def go(self, value=fill()):\n        return value\n",
    "a default of a lambda": "go = lambda value=fill(): value\n",
    "a decorator of a method": "def filling(f):\n    fill()\n    return f\n\nclass Filler:\n    @filling\n    def go(self):\n        return 1\n",
    "a base of another name": "class Base:\n    def __init_subclass__(cls):\n        fill()\n\nOther = Base\n\nclass Filler(Other):\n    pass\n",
    "a descriptor that is told its name": "class Told:\n    def __set_name__(self, owner, name):\n        fill()\n\nclass Filler:\n    told = Told()\n",
}.items():
    row(f"what a function assigns, which is called by {name}", {PIPE: body("return reg.get()", "import reg, fill\n"), "reg.py": HELD["what a function assigns"][0],
        "fill.py": f"import reg\n\ndef size():\n    return 1\n\ndef fill():\n    reg.put(size())\n\n{code}"}, "return 1", "return 2", BOTH, file="fill.py")
for name, code in {
    "a function of a class": "class Other:\n    def go():\n        return reg.get() + other()\n\ngo = Other.go\n",
    "a method, beside properties and defaults": "class Other:\n    kept = other\n\n    def go(self, more=other):\n        return reg.get() + other()\n\n    @property\n    def size(self):\n        return reg.get()\n\n    @size.setter\n    def size(self, value):\n        reg.put(value)\n\nclass Another(Other):\n    pass\n",
    "a partial and a cached function": "import functools\n\n@functools.cache\ndef both():\n    return reg.get() + other()\n\nkept = functools.partial(both)\n",
    "a factory of a field": "import dataclasses\n\n@dataclasses.dataclass\nclass Other:\n    sizes: list = dataclasses.field(default_factory=lambda: [reg.get(), other()])\n",
    "a function in a table": "def both():\n    return reg.get() + other()\n\nKNOWN: dict = {'both': both, 'other': [other, (other,)]}\n",
}.items():
    row(f"what a function assigns, which {name} reads that is named and not called", {PIPE: body("return reg.get()", "import reg, fill\n"), "reg.py": HELD["what a function assigns"][0],
        "fill.py": f"import reg\n\nreg.put(1)\n\ndef other():\n    return 3\n\n{code}"}, "return 3", "return 4", NONE, file="fill.py")
row("function of a module that a body imports, which only a standard decorator names", {PIPE: body("import own\nreturn own.first()"), "own.py": "import functools\n\ndef first():\n    return 1\n\n@functools.cache\ndef second():\n    return 3\n"}, "return 3", "return 4", NONE, file="own.py")
row("what a decorator puts into a registry with a lock", {PIPE: body("return reg.R.get()()", "import reg, fill\n"), "reg.py": HELD["a registry with a lock"][0], "fill.py": "import reg\n\n@reg.R.put\ndef f():\n    return 1\n"}, "return 1", "return 2", BOTH, file="fill.py")
row("what a decorator puts into a queue", {PIPE: body("return [f() for f in reg.R.queue]", "import reg, fill\n"), "reg.py": HELD["a queue"][0], "fill.py": "import reg\n\n@reg.R.put\ndef f():\n    return 1\n"}, "return 1", "return 2", BOTH, file="fill.py")

# An import that only a body makes, whatever import statements of its file say: nothing runs the second time.
UNTAKEN = {"own.py": "K = [1]\n\nclass C:\n    x = [1]\n"}
for name, (code, before) in {
    "a branch that is not taken": ("import own\nreturn {0}", "import sys\n\nif sys.version_info < (3,):\n    import own\n"),
    "a handler": ("import own\nreturn {0}", "try:\n    import json\nexcept ImportError:\n    import own\n"),
    "a lambda": ("own = get()\nreturn {0}", "get = lambda: __import__('own')\n"),
    "a default factory": ("own = D().own\nreturn {0}", "import importlib\nfrom dataclasses import dataclass, field\n\n@dataclass\nclass D:\n    own: object = field(default_factory=lambda: importlib.import_module('own'))\n"),
}.items():
    for asked, old in (("own.K", "K = [1]"), ("own.C().x", "x = [1]")):
        row(f"{asked} of a module that {name} imports", {PIPE: body(code.format(asked), before), **UNTAKEN}, old, old.replace("1", "2"), BOTH, file="own.py")

# --- which of several modules is meant -----------------------------------------------------------------------

EITHER = {"flags.py": "FAST = True\n", "fast.py": "def f():\n    return 1\n", "slow.py": "def f():\n    return 2\n"}
CHOICE = "import flags\n\nif flags.FAST:\n    from fast import f\nelse:\n    from slow import f\n"
row("flag that decides an import", {PIPE: body("return f()", CHOICE), **EITHER}, "True", "False", BOTH, file="flags.py", why=("code: fast.py::f", "code: pipeline_x.py::work", "code: slow.py::f",))
row("flag that decides an import of an import in the body", {PIPE: body("from own import f\nreturn f()"), "own.py": CHOICE, **EITHER}, "True", "False", BOTH, file="flags.py")
row("flag that decides a definition of a module imported in the body", {PIPE: body("from own import f\nreturn f()"),
    "own.py": "import flags\n\nif flags.FAST:\n    def f():\n        return 1\nelse:\n    def f():\n        return 2\n", "flags.py": "FAST = True\n"}, "True", "False", BOTH, file="flags.py")
row("star import's __all__ hides a built-in name", {PIPE: body("return len([1])", "from own import *\n"),
    "own.py": "__all__ = ['one']\n\ndef one():\n    return 1\n\ndef len(x):\n    return 'mine'\n"}, "['one']", "['one', 'len']", BOTH, file="own.py", why=("code: own.py::len", "code: pipeline_x.py::work",))
row("chain of re-exports points elsewhere", {PIPE: body("return one()", "from a import one\n"), "a.py": "from b import one\n", "b.py": "from c import uno as one\n",
    "c.py": "def uno():\n    return 1\n\ndef dos():\n    return 2\n"}, "uno as", "dos as", BOTH, file="b.py", why=("code: c.py::dos", "code: c.py::uno", "code: pipeline_x.py::work",))
row("from . import in the body", {"pk/__init__.py": "", "pk/pipeline_x.py": body("from . import deep\nreturn deep.f()"), "pk/deep.py": "def f():\n    return 1\n"},
    "return 1", "return 2", BOTH, file="pk/deep.py")
row("portion of a namespace package that appears", {PIPE: body("import os, sys\nsys.path[:0] = [os.path.join(os.path.dirname(__file__), name) for name in 'ab']\nimport ns.m\nreturn ns.m.K"), "b/ns/m.py": "K = 1\n"},
    None, "K = 2\n", BOTH, file="a/ns/m.py", reverts=False)
FRONT = "import os, sys\nsys.path[:0] = [os.path.join(os.path.dirname(__file__), name) for name in 'ab']\n"
for where, before, code in (("", FRONT + "{0}\n", "return {1}"), (", imported in the body", FRONT, "{0}\nreturn {1}"),
                            (", found by a path that the body sets", "", FRONT + "{0}\nreturn {1}")):
    for what, old, new, stated, name in (
        ("portion of a namespace package that hides a module", "b/ns/m.py", "a/ns/m.py", "import ns.m", "ns.m.K"),
        ("portion of a namespace package, its module taken by from", "b/ns/m.py", "a/ns/m.py", "from ns import m", "m.K"),
        ("package in place of a namespace package", "b/ns/m.py", "a/ns/__init__.py", "import ns.m", "getattr(ns, 'K', 0), ns.m.K"),
        ("module that hides another", "b/own.py", "a/own.py", "import own", "own.K"),
        ("package that hides a module", "b/own.py", "a/own/__init__.py", "import own", "own.K"),
    ):
        if not before or what in ("portion of a namespace package that hides a module", "module that hides another"):
            # ns.m is gone where a package comes in its place: the package holds one as well.
            inside = {"a/ns/m.py": "K = 5\n"} if "in place" in what else {"a/x.txt": ""}
            files = {PIPE: body(code.format(stated, name), before.format(stated, name)), old: "K = 1\n", **inside}
            parts = ()
            if "in place" in what:
                parts = (f"code: {new}", f"code: {PIPE}::work")
            elif code.startswith("{0}"):
                parts = (f"code: {new}::K", f"code: {old}::K", f"code: {PIPE}::work")
            elif before:  # the variable of the old one, as its name stood for
                parts = (f"code: {old}::K",)
            row(what + where, files, None, "K = 2\n", BOTH, file=new, reverts=False, why=parts)
ZIPPED = {"lib.zip/pk/__init__.py": "", "lib.zip/pk/one.py": "def f():\n    return 1\n\ndef g():\n    return 2\n"}
for when, code, before in (
    ("", "return f()", "import sys\nsys.path.insert(0, 'lib.zip')\nfrom pk.one import f\n"),
    (", imported in the body", "from pk import one\nreturn one.f()", "import sys\nsys.path.insert(0, 'lib.zip')\n"),
):
    row("module out of an archive" + when, {PIPE: body(code, before), **ZIPPED}, "return 1", "return 3", BOTH, file="lib.zip/pk/one.py")
    row("other function of a module out of an archive" + when, {PIPE: body(code, before), **ZIPPED}, "return 2", "return 3", NONE, file="lib.zip/pk/one.py")
row("sys.path changed in the body", {PIPE: body("import sys\nsys.path.insert(0, 'lib')\nimport zz\nreturn zz.K"), "lib/zz.py": "K = 1\n"}, "K = 1", "K = 2", BOTH, file="lib/zz.py")

# --- code that no name leads to -----------------------------------------------------------------------------

OWN = "class T:\n    def f(self):\n        return 1\n\ndef f():\n    return 5\n"
row("class in a pickle that is read", {PIPE: body("import pickle\nreturn pickle.loads(b'cown\\nT\\n.')().f()"), "own.py": OWN}, "return 1", "return 2", BOTH, file="own.py")
row("class in a pickle, its module imported by an earlier step", {PIPE: f'''{HEAD}
@step
def first():
    import own
    return own.T.__name__

@step
def work(first):
    import pickle
    return pickle.loads(b"cown\\n" + first.encode() + b"\\n.")().f()
{REST}''', "own.py": OWN}, "return 1", "return 2", BOTH, file="own.py")
row("comment in the module of a class in a pickle", {PIPE: body("import pickle\nreturn pickle.loads(b'cown\\nT\\n.')().f()"), "own.py": OWN}, "return 1", "return 1  # one", NONE, file="own.py")
row("module that a library is told of by name", {PIPE: f'''{HEAD}
@step
def first():
    import own
    return own.T.__name__

@step
def work(first):
    import pkgutil
    return pkgutil.resolve_name("ow" + "n:f")()
{REST}''', "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py")
row("class that a configuration of the standard library names", {PIPE: body("""import logging.config
logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "own.H"}}, "root": {"handlers": ["h"]}})
logging.getLogger().error("x")
import own
return own.OUT[-1]"""), "own.py": "import logging\n\nOUT = []\n\nclass H(logging.Handler):\n    def emit(self, record):\n        OUT.append('1')\n"}, "'1'", "'2'", BOTH, file="own.py", alone=True)
row("import of a script that is run", {PIPE: body("import runpy\nreturn runpy.run_path('plug/zz.py')['K']"), "plug/zz.py": "import own\n\nK = own.f()\n", "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py")
row("import of a text that is executed", {PIPE: body("space = {}\nexec(open('zz.txt').read(), space)\nreturn space['K']"), "zz.txt": "import own\nK = own.f()\n", "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py")
row("module made from a file's path", {PIPE: body("""from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("zz", "plug/zz.py")
module = module_from_spec(spec)
spec.loader.exec_module(module)
return module.K"""), "plug/zz.py": "import own\n\nK = own.f()\n", "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py")
row("package that imports what lies in it", {PIPE: body("import plug\nreturn plug.ALL"),
    "plug/__init__.py": "import importlib\nimport pkgutil\n\nALL = [importlib.import_module('plug.' + m.name).K for m in pkgutil.iter_modules(__path__)]\n", "plug/a.py": "K = 1\n"},
    None, "K = 3\n", BOTH, file="plug/b.py", reverts=False, why=("code: plug/__init__.py::ALL", "code: plug/b.py", "code: plug/b.py::K", "file: plug",))
row("variable that a body's import sets for the process", {PIPE: body("import os, own\nreturn os.environ['ZQ']"), "own.py": "import os\n\nos.environ['ZQ'] = '1'\n"}, "'1'", "'2'", BOTH, file="own.py")
row("data of a package", {PIPE: body("from importlib.resources import files\nreturn files('pk').joinpath('d.txt').read_text()"), "pk/__init__.py": "", "pk/d.txt": "1"}, "1", "2", BOTH, file="pk/d.txt")

for name, (code, before, arguments) in {
    "a dict": ("return MODULES['own'].f()", "import own\n\nMODULES = {'own': own}\n", ""),
    "a default": ("return call()", "import own\n\ndef call(module=own):\n    return module.f()\n", ""),
    "a class": ("return T.module.f()", "import own\n\nclass T:\n    module = own\n", ""),
    "an object": ("return T.module.f()", "import own\nfrom types import SimpleNamespace\n\nT = SimpleNamespace(module=own)\n", ""),
    "a partial": ("return get('f')()", "import own\nfrom functools import partial\n\nget = partial(getattr, own)\n", ""),
    "a closure": ("return call()", "import own\n\ndef maker(module):\n    return lambda: module.f()\n\ncall = maker(own)\n", ""),
    "a setting": ("return module.f()", "import own\n", "module=own"),
}.items():
    row(f"module held by {name}", {PIPE: body(code, before, arguments=arguments), "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py")
for name, (code, before) in {
    "a literal": ("return importlib.util.find_spec('fast') is not None", "import importlib.util\n"),
    "a name made at run time": ("return [find_spec(name) is not None for name in ('fa' + 'st', 'other')]", "from importlib.util import find_spec\n"),
    "an import": ("return FAST", "from own import FAST\n"),
}.items():
    files = {PIPE: body(code, before), "own.py": "from importlib.util import find_spec\n\nFAST = [find_spec(name) is not None for name in ('fast', 'other')]\n"}
    why = {"a literal": ("code: pipeline_x.py::work", "file: {}"), "an import": ("file: {}",)}.get(name, ("file: {}",))
    for file in ("fast.py", "fast/__init__.py"):
        row(f"{file} that comes, sought by {name}", files, None, "K = 1\n", BOTH, file=file, why=tuple(each.format(file.removesuffix("/__init__.py")) for each in why))
    row(f"another module that comes than the one sought by {name}", files, None, "K = 1\n", NONE, file="slow.py")
    row(f"what stands in a module that is sought by {name}", {**files, "fast.py": "K = 1\n"}, "K = 1", "K = 2", NONE, file="fast.py")

# --- statements of imports that change how the process computes -------------------------------------------------

CALLED = body("return f()", "import own\n\ndef f():\n    return 1\n")
for imports, old, new in (
    ("import sys", "sys.setrecursionlimit(5000)", "sys.setrecursionlimit(6000)"),
    ("from sys import setrecursionlimit as limit", "limit(5000)", "limit(6000)"),
    ("import sys", "sys.setswitchinterval(0.005)", "sys.setswitchinterval(0.006)"),
    ("import locale", "OLD = locale.setlocale(locale.LC_NUMERIC, 'C')", "OLD = locale.setlocale(locale.LC_NUMERIC, 'POSIX')"),
    ("import warnings", "warnings.filterwarnings('ignore', 'x')", "warnings.filterwarnings('ignore', 'y')"),
    ("import decimal", "decimal.getcontext().prec = 27", "decimal.getcontext().prec = 28"),
    ("import numpy as np", "OLD = np.seterr(all='warn')", "OLD = np.seterr(all='ignore')"),
    ("import pandas as pd", "pd.options.display.max_rows = 50", "pd.options.display.max_rows = 60"),
    ("import sys", "def configure():\n    sys.setrecursionlimit(5000)\n\nconfigure()", "def configure():\n    sys.setrecursionlimit(6000)\n\nconfigure()"),
    ("import sys", "if True:\n    sys.setrecursionlimit(5000)", "if True:\n    sys.setrecursionlimit(6000)"),
):
    row(f"{imports}, {new}", {PIPE: CALLED, "own.py": f"{imports}\n\n{old}\n"}, old, new, (*BOTH, "aside"), file="own.py",
        needs="pandas" if "pandas" in imports else "")
row("recursion limit that a body's import sets", {PIPE: body("import own\nreturn 1"), "own.py": "import sys\n\nsys.setrecursionlimit(5000)\n"},
    "5000", "6000", WORK, file="own.py")
for old, new in (("print('a')", "print('b')"), ("sys.stdout.write('a')", "sys.stdout.write('b')"), ("warnings.warn('a')", "warnings.warn('b')"),
                 ("logging.basicConfig(level='INFO')", "logging.basicConfig(level='DEBUG')")):
    row(f"{new} at import", {PIPE: CALLED, "own.py": f"import logging, sys, warnings\n\n{old}\n"}, old, new, NONE, file="own.py")

# --- annotations that are looked at ---------------------------------------------------------------------------

row("text annotation that a decorator looks at", body("return f('3')", """
import typing

def converting(fn):
    (kind,) = typing.get_type_hints(fn).values()
    return lambda x: fn(kind(x))

@converting
def f(x: "int"):
    return x
"""), '"int"', '"float"', BOTH)
row("type of a dataclass field", body("return [f.type for f in fields(D)]", "from dataclasses import dataclass, fields\n\n@dataclass\nclass D:\n    x: 'int'\n"), "'int'", "'float'", BOTH)
row("alias that a field's annotation names", {PIPE: body("import typing, own\nreturn [t.__name__ for t in typing.get_type_hints(own.C).values()]"), "own.py": "Alias = int\n\nclass C:\n    x: Alias\n"},
    "Alias = int", "Alias = float", BOTH, file="own.py")

if sys.version_info >= (3, 12):
    row("bound of a type parameter that is looked at", body("return f.__type_params__[0].__bound__.__name__", "def f[T: int](x: T):\n    return x\n"), "T: int", "T: str", BOTH)
    row("bound of a type parameter", body("return f(1)", "def f[T: int](x: T):\n    return x\n"), "T: int", "T: str", NONE)

# --- other spellings of the same text ---------------------------------------------------------------------------

SPELT = {PIPE: body("return f()", "from own import f\n"), "own.py": "def f():\n    if True:\n        return '''a\nb'''\n"}
row("CRLF, form feed and tabs", SPELT, None, "\f\r\ndef f():\r\n\tif True:\r\n\t\treturn '''a\r\nb'''\r\n", NONE, file="own.py", reverts=False)
row("byte order mark", SPELT, None, "\ufeffdef f():\n    if True:\n        return '''a\nb'''\n", NONE, file="own.py", reverts=False)
row("encoding that a comment declares", {PIPE: body("return f()", "from own import f\n"), "own.py": "# coding: utf-8\ndef f():\n    return '\u00e9'\n"}, "utf-8", "latin-1", BOTH, file="own.py")
row("texts cut otherwise", body("x = 1\nreturn f'a{x}b'"), "f'a{x}b'", "'a' f'{x}' 'b'", NONE)
row("format of a text", body("x = 1.5\nreturn f'{x:.1f}'"), ".1f", ".2f", BOTH)

# --- what does not count ------------------------------------------------------------------------------

row("comment", body("return 1  # one"), "# one", "# uno", NONE)
row("docstring of a helper", body("return f()", 'def f():\n    """One."""\n    return 1\n'), '"""One."""', '"""Uno."""', NONE)
row("annotation of a helper", body("return f(1)", "def f(x: int) -> int:\n    return x\n"), "x: int) -> int", "x: float) -> 'str'", NONE)
row("blank lines and moved code", body("return 1"), "@step\ndef aside", "\n\n\n@step\ndef aside", NONE)
row("quotes and brackets", body("return {'a': 1}"), "{'a': 1}", '({\n        "a": (1),\n    })', NONE)
row("unrelated function in the same file", body("return 1", "def other():\n    return 5\n"), "return 5", "return 6", NONE)
row("unrelated function in a helper's module", {PIPE: body("return one()", "from own import one\n"), "own.py": "def one():\n    return 1\n\ndef two():\n    return 2\n"},
    "return 2", "return 3", NONE, file="own.py")
row("unrelated variable in a helper's module", {PIPE: body("return one()", "from own import one\n"), "own.py": "SIZE = 1\n\ndef one():\n    return 1\n"},
    "SIZE = 1", "SIZE = 2", NONE, file="own.py")
row("import added", body("return 1"), HEAD, HEAD + "import json\n", NONE)
row("constant spelt otherwise", body("return LIMIT", "LIMIT = 60 * 60\n"), "60 * 60", "3600", NONE)
row("set constant in another order", body("return sorted(WORDS)", "WORDS = {'a', 'b'}\n"), "'a', 'b'", "'b', 'a'", NONE)
row("step's options that are no part of the key", body("return 1").replace("@step\ndef work", "@step(enable_cache=True)\ndef work"),
    "@step(enable_cache=True)", "@step", NONE)
row("a mark added", body("return 1"), "@step\ndef work", "@mark.slow\n@step\ndef work", NONE)
row("type alias only used by annotations", body("return f(1)", "Number = int\n\ndef f(x: Number):\n    return x\n"), "Number = int", "Number = float", NONE)
row("a step added", body("return 1"), "@step\ndef aside", "@step\ndef more():\n    return 'more'\n\n\n@step\ndef aside", ("more",), why=("new",))
row("a step added that another's result serves", body("return 1"), "@step\ndef aside", "@step\ndef more():\n    return 1\n\n\n@step\ndef aside", NONE)
row("a step renamed", body("return 1", rest="\n\n@step\ndef aside():\n    return 2\n"), "def work", "def labour", NONE)
row("random, clock and identity in module variables", body("return [LOCK is not None, STARTED > 0, TOKEN != '', EMPTY is not None]", """
import threading
import time
import uuid

LOCK = threading.Lock()
STARTED = time.time()
TOKEN = uuid.uuid4().hex
EMPTY = object()

def other():
    return 1
"""), "return 1", "return 2", NONE, unstamped="its import asks for the time and for chance")

# --- what is read ---------------------------------------------------------------------------------------

row("file opened", {PIPE: body("return open('in.txt').read()"), "in.txt": "1"}, "1", "2", BOTH, file="in.txt")
row("file opened, the same text written again", {PIPE: body("return open('in.txt').read()"), "in.txt": "1"}, None, "1", NONE, file="in.txt", reverts=False)
row("file that was missing", body("import os\nreturn os.path.exists('flag')"), None, "x", BOTH, file="flag", reverts=False)
row("file beside", {PIPE: body("return open('in.txt').read()"), "in.txt": "1", "other.txt": "1"}, "1", "2", NONE, file="other.txt")
row("glob", {PIPE: body("from pathlib import Path\nreturn sorted(p.name for p in Path('box').glob('*.txt'))"), "box/a.txt": "1"},
    None, "x", BOTH, file="box/b.txt", reverts=False)
GLOBS = {
    "Path.glob": "return sorted(p.name for p in Path('box').glob('*.txt'))",
    "Path.rglob": "return sorted(p.name for p in Path('box').rglob('*.txt'))",
    "Path.glob in folders": "return sorted(p.name for p in Path('.').glob('b*/**/*.txt'))",
    "glob.glob": "return sorted(glob.glob('box/*.txt'))",
    "glob.glob in folders": "return sorted(glob.glob('box/**/[a-c]*.txt', recursive=True))",
    "glob.iglob": "return sorted(glob.iglob('*.txt', root_dir='box'))",
    "iglob, left early": "return next(glob.iglob('box/*.txt')) > ''",
}  # fmt: skip
for name, code in GLOBS.items():
    globbed = {PIPE: body(f"import glob\nfrom pathlib import Path\n{code}"), "box/a.txt": "1", "box/in/a.md": "1"}
    early, deep = name.endswith("early"), name in ("Path.rglob", "Path.glob in folders", "glob.glob in folders")
    row(f"file that fits comes, {name}", globbed, None, "x", WORK if early else BOTH, file="box/b.txt")
    row(f"file that fits goes, {name}", {**globbed, "box/b.txt": "1"}, "1", None, WORK if early else BOTH, file="box/b.txt", why=("file: box",))
    row(f"other file comes, {name}", globbed, None, "x", NONE, file="box/b.csv")
    row(f"hidden file of another kind comes, {name}", globbed, None, "x", NONE, file="box/.b.swp")
    row(f"file that fits comes in a folder, {name}", globbed, None, "x", BOTH if deep else NONE, file="box/in/b.txt")
    row(f"file that fits comes in a new folder, {name}", globbed, None, "x", BOTH if deep else NONE, file="box/new/b.txt", why=("file: box",), reverts=not deep)
row("other file comes, the folder is listed as well", {PIPE: body("import os\nfrom pathlib import Path\nreturn sorted(os.listdir('box')), sorted(Path('box').glob('*.txt'))"), "box/a.txt": "1"},
    None, "x", BOTH, file="box/b.csv")
row("file that fits one of two patterns comes", {PIPE: body("from pathlib import Path\nreturn [sorted(p.name for p in Path('box').glob(each)) for each in ('*.txt', '*.csv')]"), "box/a.txt": "1"},
    None, "x", BOTH, file="box/b.csv")
row("file in any case comes", {PIPE: body("import fnmatch, os, re\nfrom pathlib import Path\nreturn sorted(p.name for p in Path('box').glob('*.[tT][xX][tT]'))"), "box/a.txt": "1"},
    None, "x", BOTH, file="box/B.TXT")
row("folder that fits comes", {PIPE: body("from pathlib import Path\nreturn sorted(p.name for p in Path('.').glob('b*/'))"), "box/a.txt": "1"},
    None, "x", BOTH, file="bin/b.csv", why=("file: .",))
row("link to a folder comes where files are sought below", {PIPE: body("import glob\nreturn sorted(glob.glob('box/**/*.txt', recursive=True))"), "box/a.txt": "1", "other/b.txt": "1"},
    None, Link("../other"), BOTH, file="box/ln")
for name, code in (("glob.glob", "return sorted(glob.glob('box/*/x.txt'))"), ("Path.glob", "return sorted(map(str, Path('box').glob('*/x.txt')))")):
    sought = {PIPE: body(f"import glob\nfrom pathlib import Path\n{code}"), "box/a/x.txt": "1", "box/b/y.txt": "1"}
    row(f"file of one name comes in one of the folders, {name}", sought, None, "1", BOTH, file="box/b/x.txt")
    row(f"link that led nowhere leads to a folder, {name}", {**sought, "box/ln": Link("../other")}, None, "1", BOTH, file="other/x.txt", why=("file: box",), reverts=False)
row("what another step writes beside the files that are sought", {PIPE: body("from pathlib import Path\nreturn sorted(p.read_text() for p in Path('box').glob('*.txt'))", rest=REST + """

@step
def saved(work):
    with open("box/out.md", "w") as file:
        file.write(str(len(work)))
    return len(work)
"""), "box/a.txt": "1", "box/none.csv": "1"}, "1", "2", NONE, file="box/none.csv")
row("file read by an import", {PIPE: body("return SIZE", "from own import SIZE\n"), "own.py": "from pathlib import Path\n\nSIZE = int(Path(__file__).with_name('size.txt').read_text())\n", "size.txt": "1"},
    "1", "2", BOTH, file="size.txt")
ALL = ("work", "after", "aside")
# What the import of the steps' own file reads: (for what, the statements, the body, what an edit of the file makes run).
READ_AT_IMPORT = [
    ("a value", "CONF = json.loads(open('c.json').read())", "return CONF", BOTH),
    ("a value under `with`", "with open('c.json') as file:\n    CONF = json.load(file)", "return CONF", BOTH),
    ("a value made of another", "CONF = json.loads(open('c.json').read())\nSIZES = [CONF['size']] * 2", "return SIZES", BOTH),
    ("a value that stays as it is", "KIND = json.loads(open('c.json').read())['kind']", "return KIND", NONE),
    ("a value that nobody takes", "CONF = json.loads(open('c.json').read())", "return 1", NONE),
    ("a value by a function", "def load(path):\n    return json.loads(open(path).read())\n\nCONF = load('c.json')", "return CONF", BOTH),
    ("an object with a lock", "class Conf:\n    def __init__(self):\n        self.text, self.lock = open('c.json').read(), threading.Lock()\n\nCONF = Conf()", "return CONF.text", BOTH),
    ("an object that tells nothing of it", "class Conf:\n    def __init__(self):\n        self.text = open('c.json').read()\n\n    def __reduce__(self):\n        return Conf, ()\n\nCONF = Conf()", "return CONF.text", BOTH),
    ("an attribute of a class", "class Conf:\n    text = open('c.json').read()", "return Conf.text", BOTH),
    ("an attribute of a class that has no digest", "class Conf:\n    text = (open('c.json').read(), threading.Lock())", "return Conf.text[0]", BOTH),
    ("a default", "def told(text=open('c.json').read()):\n    return text", "return told()", BOTH),
    ("a decorator's argument", "def saying(text):\n    return lambda f: lambda: text\n\n@saying(open('c.json').read())\ndef told(): ...", "return told()", BOTH),
    ("a closure", "def saying(text):\n    return lambda: text\n\ntold = saying(open('c.json').read())", "return told()", BOTH),
    ("a closure over what has no digest", "def saying(text):\n    held = (text, threading.Lock())\n    return lambda: held[0]\n\ntold = saying(open('c.json').read())", "return told()", BOTH),
    ("a function that is chosen", "if '\"size\": 1' in open('c.json').read():\n    def told():\n        return 1\nelse:\n    def told():\n        return 2", "return told()", BOTH),
    ("a table of functions", "def one():\n    return 1\n\ndef two():\n    return 2\n\nTABLE = {'f': one if '\"size\": 1' in open('c.json').read() else two}", "return TABLE['f']()", BOTH),
    ("a setting of the process", "decimal.getcontext().prec = json.loads(open('c.json').read())['size']", "return str(decimal.Decimal(1) / 3)", ALL),
    ("an attribute of another module", "colorsys.size = json.loads(open('c.json').read())['size']", "return colorsys.size", ALL),
    ("what a function does to the process", "def prepare():\n    decimal.getcontext().prec = json.loads(open('c.json').read())['size']\n\n_ = prepare()", "return str(decimal.Decimal(1) / 3)", ALL),
    ("a default that a call has changed", "def told(size, kept=[]):\n    kept.append(size)\n    return list(kept)\n\n_ = told(json.loads(open('c.json').read())['size'])", "return told(0)", BOTH),
    ("a closure that a call has changed", "def counted():\n    n = 0\n\n    def count():\n        nonlocal n\n        n += 1\n        return n\n    return count\n\ncount = counted()\n_ = [count() for _ in range(json.loads(open('c.json').read())['size'])]", "return count()", BOTH),
    ("an annotation", "KIND = {1: int, 2: str}[json.loads(open('c.json').read())['size']]\n\ndef told(x: KIND): ...", "return told.__annotations__['x'].__name__", BOTH),
    ("the docstring", "__doc__ = open('c.json').read()", "return __doc__", BOTH),
    ("a limit that a function sets", "_ = csv.field_size_limit(json.loads(open('c.json').read())['size'])", "return csv.field_size_limit()", ALL),
    ("a context that is entered", "_ = decimal.localcontext(prec=json.loads(open('c.json').read())['size']).__enter__()", "return str(decimal.Decimal(1) / 3)", ALL),
    ("an array that is read-only", "B = np.frombuffer(bytes(8), 'u1') if json.loads(open('c.json').read())['size'] == 1 else np.zeros(8, 'u1')", "return B.flags.writeable", BOTH),
    ("a seed that is kept", "_ = random.seed(json.loads(open('c.json').read())['size'])", "return random.random()", ALL),
]  # fmt: skip
for name, statements, code, runs in READ_AT_IMPORT:
    files = {PIPE: body(code, f"import colorsys, csv, decimal, json, random, threading\n\nimport numpy as np\n\n{statements}\n"), "c.json": '{"kind": "k", "size": 1}'}
    why = {"a function that is chosen": ("code: pipeline_x.py::told",),
           "a table of functions": ("code: pipeline_x.py::TABLE", "code: pipeline_x.py::one", "code: pipeline_x.py::two", "file: c.json")}  # fmt: skip
    row(f"file read by the import of the steps' own file, for {name}", files, '"size": 1', '"size": 2', runs, file="c.json",
        alone=runs == ALL or "a call has changed" in name, why=why.get(name, ()), unstamped="its import uses chance" if "seed" in name else "")
for name, statements, code in (("a value", "SIZE = os.environ.get('ZZ_SIZE')", "return SIZE"), ("a file's name", "PATH = os.environ['ZZ_SIZE'] + '.txt'", "return open(PATH).read()")):
    files = {PIPE: body(code, f"import os\n\n{statements}\n"), "1.txt": "one", "2.txt": "two"}
    ROWS.append(Row(f"variable read by the import of the steps' own file, for {name}", files, (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}))
row("File setting", {PIPE: body("return path.read_text()", arguments="path=File('in.txt')"), "in.txt": "1"}, "1", "2", BOTH, file="in.txt")
row("Dir setting", {PIPE: body("return sorted(p.read_text() for p in path.glob('*.txt'))", arguments="path=Dir('box', glob='*.txt')"), "box/a.txt": "1"},
    None, "2", BOTH, file="box/b.txt", reverts=False)
row("Dir setting, a file that the glob leaves out", {PIPE: body("return sorted(p.read_text() for p in path.rglob('*.txt'))", arguments="path=Dir('box', glob='*.txt')"), "box/a.txt": "1", "box/a.log": "1"},
    "1", "2", NONE, file="box/a.log")
row("json loaded by a resource's set-up", {PIPE: body("return conf", "import json\n\n@resource\ndef conf():\n    return json.load(open('c.json'))\n", arguments="conf"), "c.json": "1"},
    "1", "2", BOTH, file="c.json")
row("file that the step wrote itself", body("open('out.txt', 'w').write('1')\nreturn open('out.txt').read()"), None, "9", NONE, file="out.txt", reverts=False)
row("reads=", {PIPE: body("return 1").replace("@step\ndef work", "@step(reads=['in.txt'])\ndef work"), "in.txt": "1"}, "1", "2", WORK, file="in.txt")

ENVIRON = body("import os\nreturn os.environ.get('REGION')")
ROWS.append(Row("environment variable", {PIPE: ENVIRON}, (), BOTH, {"REGION": "a"}, {"REGION": "b"}))
ROWS.append(Row("environment variable that was missing", {PIPE: ENVIRON}, (), BOTH, {}, {"REGION": "b"}))
ROWS.append(Row("environment variable nobody asks for", {PIPE: ENVIRON}, (), NONE, {"OTHER": "a"}, {"OTHER": "b", "TERM": "dumb", "COLUMNS": "33"}))
ROWS.append(Row("ignored by the configuration", {PIPE: ENVIRON}, (), NONE, {"REGION": "a"}, {"REGION": "b"}, configuration='observe_ignore = ["env:REGION"]', counts=False))
ROWS.append(Row("file renamed", {PIPE: body("return 1")}, ((PIPE, body("return 1"), None), ("pipeline_y.py", None, body("return 1"))), NONE, reverts=False))
ROWS.append(Row("helper's module renamed", {PIPE: body("return one()", "from own import one\n"), "own.py": "def one():\n    return 1\n"},
    (("own.py", "", None), ("tools.py", None, "def one():\n    return 1\n"), (PIPE, "from own", "from tools")), NONE, reverts=False))

# --- more kinds of code that is reached -----------------------------------------------------------------

CLASS = "class T:\n    def size(self):\n        return 1\n"
row("method behind attrgetter", body("from operator import attrgetter\nreturn attrgetter('size')(T())()", CLASS), "return 1", "return 2", BOTH)
row("attribute named in a format", body("return '{0.size}'.format(T())", "class T:\n    @property\n    def size(self):\n        return 1\n"), "return 1", "return 2", BOTH)
row("__format__ behind an f-string", body("return f'{T():x}'", "class T:\n    def __format__(self, spec):\n        return 'one' + spec\n"), "'one'", "'two'", BOTH)
row("__missing__ of a dict", body("return T()['a']", "class T(dict):\n    def __missing__(self, key):\n        return 1\n"), "return 1", "return 2", BOTH)
row("__eq__ and __hash__ behind a set", body("return len({T(1), T(2)})", "class T:\n    def __init__(self, n):\n        self.n = n\n\n    def __hash__(self):\n        return 7\n\n    def __eq__(self, other):\n        return self.n == other.n\n"),
    "self.n == other.n", "True", BOTH)
row("__str__ of an exception", body("try:\n    raise Own\nexcept Own as error:\n    return str(error)", "class Own(Exception):\n    def __str__(self):\n        return 'one'\n"), "'one'", "'two'", BOTH)
row("__match_args__", body("match T():\n    case T(x):\n        return x", "class T:\n    __match_args__ = ('a',)\n    a, b = 1, 2\n"), "('a',)", "('b',)", BOTH)
row("static method made a class method", body("return T().f(1) if False else T.f.__name__", "class T:\n    @staticmethod\n    def f(x):\n        return x\n"), "@staticmethod", "@classmethod", WORK)
row("__slots__", body("return hasattr(T(), '__dict__')", "class T:\n    __slots__ = ('a',)\n"), "('a',)", "('a', '__dict__')", BOTH)
row("order of a dataclass", body("try:\n    return T(1) < T(2)\nexcept TypeError:\n    return 'none'", "from dataclasses import dataclass\n\n@dataclass(order=True)\nclass T:\n    n: int\n"), "order=True", "order=False", BOTH)
row("field left out of comparisons", body("return T(1) == T(2)", "from dataclasses import dataclass, field\n\n@dataclass\nclass T:\n    n: int = field(compare=True)\n"), "compare=True", "compare=False", BOTH)
row("order of an enum's automatic members", body("return Mode.SLOW.value", "from enum import Enum, auto\n\nclass Mode(Enum):\n    FAST = auto()\n    SLOW = auto()\n"), "    FAST = auto()\n    SLOW = auto()\n", "    SLOW = auto()\n    FAST = auto()\n", BOTH)
row("default of a NamedTuple", body("return T().n", "from typing import NamedTuple\n\nclass T(NamedTuple):\n    n: int = 1\n"), "= 1", "= 2", BOTH)
row("fields of a namedtuple", body("return T(1, 2).a", "from collections import namedtuple\n\nT = namedtuple('T', 'a b')\n"), "'a b'", "'b a'", BOTH)
row("class attribute that another module sets", {PIPE: body("return own.T.size", "import own\nimport patch\n"), "own.py": "class T:\n    size = 0\n", "patch.py": "import own\n\nown.T.size = 1\n"}, "= 1", "= 2", BOTH, file="patch.py",
    why=("code: own.py::T",))
row("context variable that an import sets", body("return SIZE.get()", "from contextvars import ContextVar\n\nSIZE = ContextVar('SIZE')\nSIZE.set(1)\n"), "set(1)", "set(2)", BOTH)
row("default of a context variable", body("return VAR.get()", "from contextvars import ContextVar\n\nVAR = ContextVar('VAR', default=1)\n"), "default=1", "default=2", BOTH)
row("__import__ of a literal", {PIPE: body("return __import__('own').f()"), "own.py": "def f():\n    return 1\n"}, "return 1", "return 2", BOTH, file="own.py")
row("sys.modules of a literal", {PIPE: body("import sys\nreturn sys.modules['own'].f()", "import own\n"), "own.py": "def f():\n    return 1\n"}, "return 1", "return 2", BOTH, file="own.py")
row("text that is evaluated", body("return eval('f()')", "def f():\n    return 1\n"), "return 1", "return 2", BOTH)
row("name looked up in globals()", body("return globals()['f']()", "def f():\n    return 1\n"), "return 1", "return 2", BOTH)
row("name out of a file, taken of a class", {PIPE: body("return getattr(T(), open('name.txt').read())()", CLASS), "name.txt": "size"}, "return 1", "return 2", BOTH)
row("name out of a file, looked up in a dict", {PIPE: body("return TABLE[open('name.txt').read()]()", "def f():\n    return 1\n\nTABLE = {'f': f}\n"), "name.txt": "f"}, "return 1", "return 2", BOTH)
row("decorator under @step", body("return 1", "import functools\n\ndef plus(f):\n    @functools.wraps(f)\n    def inner():\n        return f() + 1\n    return inner\n").replace("@step\ndef work", "@step\n@plus\ndef work"), "f() + 1", "f() + 2", BOTH)
row("step of a closure", f"""{HEAD}
def make(n):
    def work():
        return n
    return work

work = step(make(1), name="work")
{REST}""", "make(1)", "make(2)", BOTH)
row("step of a partial", f"""{HEAD}
from functools import partial

def add(n, m):
    return n + m

work = step(partial(add, 1, 2), name="work")
{REST}""", "1, 2)", "1, 3)", BOTH)
row("closure over a function", f"""{HEAD}
def one():
    return 1

def make(f):
    def work():
        return f()
    return work

work = step(make(one), name="work")
{REST}""", "return 1", "return 2", BOTH)
row("mixin that comes first", body("return C().f()", "class M:\n    def f(self):\n        return 1\n\nclass A:\n    def f(self):\n        return 5\n\nclass C(M, A):\n    pass\n"), "return 1", "return 2", BOTH)
row("ChainMap of two variables", body("return MAP['a']", "from collections import ChainMap\n\nFIRST, SECOND = {}, {'a': 1}\nMAP = ChainMap(FIRST, SECOND)\n"), "'a': 1", "'a': 2", BOTH)
row("defaultdict's factory", body("return MAP['a']", "from collections import defaultdict\n\ndef one():\n    return 1\n\nMAP = defaultdict(one)\n"), "return 1", "return 2", BOTH, alone=True)
row("type alias statement's value by a call", body("return f(int)", "import typing\n\nPAIR = typing.Union[int, str]\n\ndef f(kind):\n    return kind in typing.get_args(PAIR)\n"), "Union[int, str]", "Union[float, str]", BOTH)
row("copyreg of an installed class", body("import copy\nfrom fractions import Fraction\nreturn str(copy.copy(Fraction(1, 2)))", "import copyreg\nfrom fractions import Fraction\n\ndef reduce(value):\n    return Fraction, (1, 3)\n\ncopyreg.pickle(Fraction, reduce)\n"), "(1, 3)", "(1, 4)", ("work", "after", "aside"), alone=True)
row("module-level __getattr__ with a lazy import", {"pk/__init__.py": "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module('.' + name, __name__)\n", "pk/deep.py": "def f():\n    return 1\n", PIPE: body("return pk.deep.f()", "import pk\n")}, "return 1", "return 2", BOTH, file="pk/deep.py")
row("package's __all__ with a star import in the package", {"pk/__init__.py": "from .own import *\n", "pk/own.py": "__all__ = ['f']\n\ndef f():\n    return 1\n", PIPE: body("return f()", "from pk import *\n")}, "return 1", "return 2", BOTH, file="pk/own.py")
row("__path__ of a package extended", {"pk/__init__.py": "import os\n\n__path__.append(os.path.join(os.path.dirname(__file__), '..', 'more'))\n", "more/deep.py": "def f():\n    return 1\n", PIPE: body("from pk.deep import f\nreturn f()")}, "return 1", "return 2", BOTH, file="more/deep.py")
row("submodule that an import of another brings", {"pk/__init__.py": "", "pk/a.py": "import pk.b\n", "pk/b.py": "def f():\n    return 1\n", PIPE: body("return pk.b.f()", "import pk.a\n")}, "return 1", "return 2", BOTH, file="pk/b.py")
row("module that was missing and comes", {PIPE: body("try:\n    import extra\n    return extra.K\nexcept ImportError:\n    return 0"), "own.py": ""}, None, "K = 1\n", BOTH, file="extra.py", reverts=False, why=("code: extra.py::K", "code: pipeline_x.py::work"))
row("comparison by a key function in a table", body("return sorted([1, 2], key=KEYS['down'])", "KEYS = {'down': lambda n: -n}\n"), "n: -n", "n: n", BOTH)
row("weak method held by a variable", body("return REF()()", "import weakref\n\nclass T:\n    def f(self):\n        return 1\n\nKEPT = T()\nREF = weakref.WeakMethod(KEPT.f)\n"), "return 1", "return 2", BOTH)
row("class made by type()", body("return T().f()", "def f(self):\n    return 1\n\nT = type('T', (), {'f': f})\n"), "return 1", "return 2", BOTH)
row("dataclass by make_dataclass", body("return T().n", "from dataclasses import field, make_dataclass\n\nT = make_dataclass('T', [('n', int, field(default=1))])\n"), "default=1", "default=2", BOTH)
row("total_ordering", body("return T() > T()", "from functools import total_ordering\n\n@total_ordering\nclass T:\n    def __lt__(self, other):\n        return True\n\n    def __eq__(self, other):\n        return False\n"), "return True", "return 0", BOTH)

# --- names that only run time tells -----------------------------------------------------------------------

SIZED = {"own.py": "class T:\n    @property\n    def size(self):\n        return 1\n", "in.txt": "size"}
for name, code in {
    "getattr handed on": "return list(map(getattr, [T()], open('in.txt').read().split()))",
    "getattr by another name": "get = getattr\nreturn get(T(), open('in.txt').read())",
    "a template that is read": "return ('{0.' + open('in.txt').read() + '}').format(T())",
    "a template that is read and given a mapping": "return ('{t.' + open('in.txt').read() + '}').format_map({'t': T()})",
}.items():
    row(f"attribute named by {name}", {PIPE: body(code, "from own import T\n"), **SIZED}, "return 1", "return 2", BOTH, file="own.py")
row("aggregate of SQLite", body("import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.create_aggregate('total_of', 1, T)\nfound = db.execute('select total_of(1)').fetchall()\ndb.close()\nreturn found",
    "class T:\n    n = 0\n\n    def step(self, n):\n        self.n += n\n\n    def finalize(self):\n        return self.n + 1\n"), "self.n + 1", "self.n + 2", BOTH)
row("target of an XML parser", body("from xml.etree.ElementTree import XMLParser\nparser = XMLParser(target=T())\nparser.feed('<a>x</a>')\nreturn parser.close()",
    "class T:\n    out = ''\n\n    def data(self, text):\n        self.out += text * 2\n\n    def close(self):\n        return self.out\n"), "text * 2", "text * 3", BOTH)
row("method that a protocol asks for", body("return isinstance(T(), Sized)", "from typing import Protocol, runtime_checkable\n\n@runtime_checkable\nclass Sized(Protocol):\n    def size(self):\n        ...\n\n"
    "class T:\n    def size(self):\n        return 1\n"), "T:\n    def size", "T:\n    def extent", BOTH)

# --- what the values of variables hold --------------------------------------------------------------------

for name, code, old, new, asked in (
    ("metadata of an annotated type", "from typing import Annotated\n\nX = Annotated[int, 1]\n", "int, 1", "int, 2", "X.__metadata__"),
    ("what a new type stands for", "from typing import NewType\n\nX = NewType('X', int)\n", "int)", "float)", "X.__supertype__.__name__"),
    ("bound of a type variable", "from typing import TypeVar\n\nX = TypeVar('X', bound=int)\n", "=int", "=float", "X.__bound__.__name__"),
    ("class of the project, with a type given", "from typing import Generic, TypeVar\n\nN = TypeVar('N')\n\nclass Box(Generic[N]):\n    def f(self):\n        return 1\n\nX = Box[int]\n", "return 1", "return 2", "X().f()"),
    ("what is left out when it is copied", "class T:\n    def __init__(self, n):\n        self.n = n\n\n    def __reduce__(self):\n        return 'X'\n\nX = T(1)\n", "(1)", "(2)", "X.n"),
    ("what its state leaves out", "class T:\n    def __init__(self, n):\n        self.n = n\n\n    def __getstate__(self):\n        return {}\n\nX = T(1)\n", "(1)", "(2)", "X.n"),
    ("attribute of a date", "from datetime import date\n\nclass Day(date):\n    pass\n\nX = Day(2026, 1, 1)\nX.n = 1\n", ".n = 1", ".n = 2", "X.n"),
):
    row(name, {PIPE: body(f"return {asked}", "from own import X\n"), "own.py": code}, old, new, BOTH, file="own.py")

# A list that stands in two places of a variable is one: who changes it in one changes it in both. What steps are given is
# put together anew for each, and equal values are one value.
for name, once, twice, use in (
    ("list of lists", "[[0] * 2] * 2", "[[0] * 2 for _ in 'ab']", "[0][0] = 1"),
    ("dict of lists", "dict.fromkeys('ab', [0])", "{'a': [0], 'b': [0]}", "['a'][0] = 1"),
    ("list of dicts", "[{'n': 0}] * 20", "[{'n': 0} for _ in range(20)]", "[0]['n'] = 1"),
    ("tuple of sets", "({0},) * 2", "({0}, {0})", "[0].add(1)"),
    ("list of bytearrays", "[bytearray(1)] * 2", "[bytearray(1), bytearray(1)]", "[0][0] = 1"),
):
    row(f"{name}, in a variable", body(f"found = deepcopy(X)\nfound{use}\nreturn found", f"from copy import deepcopy\n\nX = {once}\n"), once, twice, BOTH)
    row(f"{name}, in a value", f"{HEAD}\n@step\ndef work():\n    return {once}\n\n@step\ndef after(work):\n    work{use}\n    return work\n\n@step\ndef aside():\n    return 1\n", once, twice, WORK)
row("text that stands in two places", f"{HEAD}\n@step\ndef work():\n    return ['ab' * 9] * 2\n\n@step\ndef after(work):\n    return work[0]\n", "['ab' * 9] * 2", "['ab' * 9, 'ab' * 9]", WORK)

# --- more ways to read ----------------------------------------------------------------------------------

for name, code in {
    "os.open": "import os\nfd = os.open('in.txt', os.O_RDONLY)\nreturn os.read(fd, 9)",
    "mmap": "import mmap\nwith open('in.txt', 'rb') as f:\n    return bytes(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))",
    "linecache": "import linecache\nreturn linecache.getline('in.txt', 1)",
    "shutil.copy": "import shutil\nshutil.copy('in.txt', 'out.txt')\nreturn open('out.txt').read()",
    "numpy.memmap": "import numpy\nreturn numpy.memmap('in.txt', dtype='uint8', mode='r').tolist()",
    "a child's standard input": "import subprocess\nwith open('in.txt') as f:\n    return subprocess.run(['cat'], stdin=f, capture_output=True, text=True).stdout",
    "a child's argument": "import subprocess\nreturn subprocess.run(['cat', 'in.txt'], capture_output=True, text=True).stdout",
    "a shell's redirection": "import subprocess\nreturn subprocess.run('cat < in.txt', shell=True, capture_output=True, text=True).stdout",
    "a thread": "import threading\nout = []\nt = threading.Thread(target=lambda: out.append(open('in.txt').read()))\nt.start()\nt.join()\nreturn out",
    "a folder's descriptor": "import os\nfd = os.open('.', os.O_RDONLY)\nreturn os.read(os.open('in.txt', os.O_RDONLY, dir_fd=fd), 9)",
    "a changed directory": "import os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')\ntry:\n    return open('../in.txt').read()\nfinally:\n    os.chdir('..')",
    "a file opened to add to it": "with open('in.txt', 'r+') as f:\n    return f.read()",
    "a link": "import os\nif not os.path.lexists('ln'):\n    os.symlink('in.txt', 'ln')\nreturn open('ln').read()",
}.items():
    row(f"file read by {name}", {PIPE: body(code), "in.txt": "1"}, "1", "2", BOTH, file="in.txt", reverts=False, alone=name == "linecache")
row("size of a file", {PIPE: body("import os\nreturn os.path.getsize('in.txt')"), "in.txt": "1"}, "1", "22", BOTH, file="in.txt")
row("content of a file that was asked for its size only", {PIPE: body("import os\nreturn os.path.getsize('in' + '.txt')"), "in.txt": "1"}, "1", "2", NONE, file="in.txt")
row("content of a file that two names may lead to", {PIPE: body("import os\nreturn os.path.samefile('l' + 'n', 'in' + '.txt')"), "in.txt": "1", "ln": Link("in.txt")}, "1", "2", NONE, file="in.txt")
for name, code in {"os.path": "import os\nreturn os.path.samefile('box/ln', 'in.txt')", "pathlib": "from pathlib import Path\nreturn Path('box/ln').samefile('in.txt')"}.items():
    for link, path in (("a link", "in/ln"), ("a link to a link", "in/to"), ("a link to a folder", "box")):
        files = {PIPE: body(code), "in.txt": "1", "other.txt": "1", "in/ln": Link("to"), "in/to": Link("../in.txt"), "out/ln": Link("../other.txt"), "box": Link("in")}
        row(f"where {link} leads, by {name}", files, Link(files[path]), Link("out" if path == "box" else "../other.txt"), BOTH, file=path, why=(f"file: {path}",))
for name, code in {"os.access": "return os.access('in.txt', os.X_OK)", "shutil.which": "return shutil.which('in.txt', path=os.getcwd()) is None"}.items():
    row(f"right to execute a file, by {name}", {PIPE: body(f"import os, shutil\n{code}"), "in.txt": "1"}, Mode(0o644), Mode(0o755), BOTH, file="in.txt")
row("right that nobody asks for", {PIPE: body("import os\nreturn open('in.txt').read(), os.access('in.txt', os.R_OK)"), "in.txt": "1"}, Mode(0o644), Mode(0o755), NONE, file="in.txt")
row("file that a library has missed", body("import numpy as np\ntry:\n    return np.loadtxt('in' + '.txt').tolist()\nexcept OSError:\n    return 'none'"), None, "1", BOTH, file="in.txt")
row("file that a library has missed, of a literal", body("import numpy as np\ntry:\n    return np.loadtxt('in.txt').tolist()\nexcept OSError:\n    return 'none'"), None, "1", BOTH, file="in.txt")
for name, code in {
    "scandir": "import os\nreturn sorted(e.name for e in os.scandir('box'))",
    "walk": "import os\nreturn sorted(f for _, _, fs in os.walk('box') for f in fs)",
    "iterdir": "from pathlib import Path\nreturn sorted(p.name for p in Path('box').iterdir())",
    "glob": "import glob\nreturn sorted(glob.glob('box/**', recursive=True))",
}.items():
    row(f"file that comes, seen by {name}", {PIPE: body(code), "box/a.txt": "1"}, None, "1", BOTH, file="box/b.txt")
for name, code in {
    "os.getenv": "import os\nreturn os.getenv('ZZ_SIZE', '0')",
    "os.environb": "import os\nreturn os.environb.get(b'ZZ_SIZE')",
    "a copy": "import os\nreturn os.environ.copy().get('ZZ_SIZE')",
    "an unpacked dict": "import os\nreturn {**os.environ}.get('ZZ_SIZE')",
    "a template": "import os\nfrom string import Template\nreturn Template('$ZZ_SIZE').safe_substitute(os.environ)",
    "expandvars": "import os\nreturn os.path.expandvars('$ZZ_SIZE')",
    "a shell": "import subprocess\nreturn subprocess.run('echo $ZZ_SIZE', shell=True, capture_output=True, text=True).stdout",
    "a test for it": "import os\nreturn 'ZZ_SIZE' in os.environ and os.environ['ZZ_SIZE']",
}.items():
    ROWS.append(Row(f"variable read by {name}", {PIPE: body(code)}, (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}))
ROWS.append(Row("variable read by an import", {PIPE: body("return own.SIZE", "import own\n"), "own.py": "import os\n\nSIZE = os.environ.get('ZZ_SIZE')\n"},
    (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}))
BEGUN = "{k: v for k, v in os.environ.items() if k.startswith('ZZ_BEGUN_')}"
for where, own in (("a body", {PIPE: body(f"import os\nreturn {BEGUN}")}),
                   ("an import", {PIPE: body("return CONF", "from own import CONF\n"), "own.py": f"import os\n\nCONF = {BEGUN}\n"}),
                   ("an import in a body", {PIPE: body("from own import CONF\nreturn CONF"), "own.py": f"import os\n\nCONF = {BEGUN}\n"})):
    for what, env, new, told in (("that changes", {"ZZ_BEGUN_A": "1"}, {"ZZ_BEGUN_A": "2"}, ("env: ZZ_BEGUN_A",)), ("that comes", {}, {"ZZ_BEGUN_B": "1"}, ())):
        why = (told or ("code: own.py::CONF",)) if where == "an import" else ("env: ZZ_BEGUN_*",)
        ROWS.append(Row(f"variable {what}, read by its beginning in {where}", own, (), BOTH, env, new, alone=where.endswith("in a body"), why=why))
    ROWS.append(Row(f"another variable than those read by their beginning in {where}", own, (), NONE, {"ZZ_BEGUN_A": "1"}, {"OTHER": "2"}))
ROWS.append(Row("variable that a library looks up for an import", {PIPE: body("return DATA", "from own import DATA\n"), "own.py": "from platformdirs import user_data_dir\n\nDATA = user_data_dir('x')\n"},
    (), BOTH, {"XDG_DATA_HOME": "/a"}, {"XDG_DATA_HOME": "/b"}, why=("code: own.py::DATA",)))
for number, (name, code) in enumerate({
    "sets by default": "os.environ.setdefault('{0}', '1')",
    "sets where it is missing": "if not os.environ.get('{0}'):\n    os.environ['{0}'] = '1'",
    "adds to": "os.environ['{0}'] = '1' + os.environ.get('{0}', '')",
    "makes something of": "os.environ['{0}'] = str(len(os.environ.pop('{0}', '1')))",
}.items()):
    for given in ("given", "not given"):
        variable = f"ZZ_{number}_{given.upper().replace(' ', '_')}"
        own = {PIPE: CALLED, "own.py": f"import os\n\n{code.format(variable)}\n"}
        env = {variable: "3"} if given == "given" else {}
        row(f"variable that an import {name}, {given}", own, "'1'", "'2'", (*BOTH, "aside"), file="own.py", env=env)
        if env:
            ROWS.append(Row(f"variable that an import {name}, given another value", own, (), (*BOTH, "aside"), env, {variable: "44"}))
row("function that numpy made another of", body("return f([1]).tolist()", "import numpy as np\n\ndef g(x):\n    return x + 1\n\nf = np.frompyfunc(g, 1, 1)\n"), "x + 1", "x + 2", BOTH)
CHILD = body("import subprocess, sys\nreturn subprocess.run([sys.executable, '-B', 'tools/tool.py'], capture_output=True, text=True).stdout")
TOOLS = {"tools/tool.py": "from one import K\n\nprint(K)\n", "tools/one.py": "from pk.two import K\n", "tools/pk/__init__.py": "", "tools/pk/two.py": "from .three import K\n", "tools/pk/three.py": "K = 1\n"}
row("what a script imports that a child runs", {PIPE: CHILD, **TOOLS}, "K = 1", "K = 2", BOTH, file="tools/pk/three.py", why=("file: tools/pk/three.py",))
row("what a script imports by its name that a child runs", {PIPE: CHILD, **TOOLS, "tools/one.py": "from importlib import import_module\n\nK = import_module('pk.three').K\n"}, "K = 1", "K = 2", BOTH, file="tools/pk/three.py", why=("file: tools/pk/three.py",))
row("what lies beside a script that a child runs", {PIPE: CHILD, **TOOLS, "tools/other.py": "K = 1\n"}, "K = 1", "K = 2", NONE, file="tools/other.py")
row("what a module imports that a child runs", {PIPE: body("import subprocess, sys\nreturn subprocess.run([sys.executable, '-B', '-m', 'pk.tool'], capture_output=True, text=True).stdout"),
    "pk/__init__.py": "", "pk/tool.py": "from pk.two import K\n\nprint(K)\n", "pk/two.py": "K = 1\n"}, "K = 1", "K = 2", BOTH, file="pk/two.py", why=("file: pk/two.py",))
TOOL = {PIPE: body("import subprocess, sys\nreturn subprocess.run([sys.executable, '-B', 'tool.py'], capture_output=True, text=True).stdout")}
LATE = {**TOOL, "tool.py": "try:\n    from late import K\nexcept ImportError:\n    K = 0\nprint(K)\n"}
row("module that comes, which a child's script tries to import", LATE, None, "K = 1\n", BOTH, file="late.py", why=("file: late.py",))
row("package that comes, which a child's script tries to import", LATE, None, "K = 1\n", BOTH, file="late/__init__.py", why=("file: late/__init__.py",))
row("module that hides one of the standard library from a child's script", {**TOOL, "tool.py": "import colorsys\n\nprint(hasattr(colorsys, 'K'))\n"}, None, "K = 1\n", BOTH, file="colorsys.py", why=("file: colorsys.py",))
row("module that a child's script makes and imports", {**TOOL, "tool.py": "open('made.py', 'w').write('K = 1')\nimport made\nprint(made.K)\n", "in.txt": "1"}, "1", "2", NONE, file="in.txt")
row("file that a child's script names", {**TOOL, "tool.py": "print(open('in.txt').read())\n", "in.txt": "1"}, "1", "2", BOTH, file="in.txt")
row("file beside a module of a child's script", {**TOOL, "tool.py": "from pk.one import K\n\nprint(K)\n", "pk/one.py": "from pathlib import Path\n\nK = (Path(__file__).parent / 'in.txt').read_text()\n", "pk/in.txt": "1"}, "1", "2", BOTH, file="pk/in.txt")
row("file that a child's script names and writes", {**TOOL, "tool.py": "open('out.txt', 'a').write('1')\n", "out.txt": "", "in.txt": "1"}, "1", "2", NONE, file="in.txt")
for name, given in (("that is set", {"ZZ_SIZE": "1"}), ("that was missing", {})):
    ROWS.append(Row(f"variable {name}, which a child's script looks up", {**TOOL, "tool.py": "import os\n\nprint(os.environ.get('ZZ_SIZE'))\n"}, (), BOTH, given, {"ZZ_SIZE": "2"}))
for name, words in {
    "a text that a child runs": "[sys.executable, '-B', '-c', 'import one; print(one.K)'], cwd='tools'",
    "a module that a shell has Python run": "sys.executable + ' -B -m one', shell=True, cwd='tools'",
    "a module in a folder of PYTHONPATH": "[sys.executable, '-B', '-m', 'one'], env={'PYTHONPATH': 'tools'}",
    "a text and a folder of PYTHONPATH": "[sys.executable, '-B', '-c', 'from pk import two; print(two.K)'], env={'PYTHONPATH': 'tools'}",
    "a package's __main__": "[sys.executable, '-B', '-m', 'pk'], cwd='tools'",
}.items():
    code = f"import subprocess, sys\nreturn subprocess.run({words}, capture_output=True, text=True).stdout"
    row(f"what a child imports by {name}", {PIPE: body(code), **TOOLS, "tools/one.py": "from pk.three import K\n\nprint(K)\n", "tools/pk/__main__.py": "from .three import K\n\nprint(K)\n"},
        "K = 1", "K = 2", BOTH, file="tools/pk/three.py", why=("file: tools/pk/three.py",))
SHELL = {PIPE: body("import subprocess\nreturn subprocess.run('cat box/*.txt', shell=True, capture_output=True, text=True).stdout"), "box/a.txt": "1", "box/b.txt": "2"}
row("file that a shell's pattern finds", SHELL, "1", "3", BOTH, file="box/a.txt")
row("file that comes, found by a shell's pattern", SHELL, None, "3", BOTH, file="box/c.txt")
row("file beside the folder in which a shell looks for files", {PIPE: body("import subprocess\nreturn subprocess.run('cat *.txt', shell=True, cwd='box', capture_output=True).stdout"), "box/a.txt": "1"}, None, "3", NONE, file="c.txt", started=True)
row("file beside what a shell's pattern finds", SHELL, None, "3", NONE, file="c.txt")
row("file that a shell finds by a pattern, and writes beside it", {PIPE: body("import os\nos.system('cat box/*.txt > box/all')\nreturn open('box/all').read()"), "box/a.txt": "1"}, "1", "2", BOTH, file="box/a.txt", reverts=False)
row("pattern in quotes", {PIPE: body("import os\nreturn os.popen('echo \"*.txt\"').read()")}, None, "1", NONE, file="a.txt")
row("script that a child runs", {PIPE: body("import subprocess, sys\nreturn subprocess.run([sys.executable, 'tool.py'], capture_output=True, text=True).stdout"), "tool.py": "print(1)\n"}, "print(1)", "print(2)", BOTH, file="tool.py", why=("file: tool.py",))

# Two steps of one process ask one helper, which remembers what it has read: each has read it.
REMEMBERS = '''
@step
def work():
    return load()

@step
def after(work):
    return ["after", work]

@step
def other():
    return load() * 2
'''
ALL = ("work", "after", "other")
CACHED = {
    "lru_cache": "from functools import lru_cache\n\n@lru_cache\ndef load():\n    return {}\n",
    "cache on a static method": "from functools import cache\n\nclass T:\n    @staticmethod\n    @cache\n    def load():\n        return {}\n\nload = T.load\n",
    "a decorator around lru_cache": "import functools\n\ndef loud(f):\n    @functools.wraps(f)\n    def inner():\n        return f()\n    return inner\n\n"
        "@loud\n@functools.lru_cache\ndef load():\n    return {}\n",
    "a cache that an import fills": "from functools import cache\n\n@cache\ndef load():\n    return {}\n\nload()\n",
    "a dict": "KEPT = {{}}\n\ndef load():\n    if 1 not in KEPT:\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a dict in a dict": "KEPT = {{1: {{}}}}\n\ndef load():\n    return KEPT[1][2] if KEPT[1] else KEPT[1].setdefault(2, {})\n",
    "a list": "KEPT = []\n\ndef load():\n    if not KEPT:\n        KEPT.append({})\n    return KEPT[0]\n",
    "a variable": "kept = None\n\ndef load():\n    global kept\n    if kept is None:\n        kept = {}\n    return kept\n",
    "a flag and a dict": "ready, KEPT = False, {{}}\n\ndef load():\n    global ready\n    if not ready:\n        KEPT[1], ready = {}, True\n    return KEPT[1]\n",
    "a variable that another module sets": "import other\n\ndef load():\n    if other.kept is None:\n        other.kept = {}\n    return other.kept\n",
    "a class": "class Kept:\n    one = None\n\ndef load():\n    Kept.one = Kept.one or {}\n    return Kept.one\n",
    "an object": "class Kept:\n    def __init__(self):\n        self.one = None\n\n    def get(self):\n        self.one = self.one or {}\n        return self.one\n\nKEPT = Kept()\n\ndef load():\n    return KEPT.get()\n",
    "an object with slots": "class Kept:\n    __slots__ = ('one',)\n\nKEPT = Kept()\n\ndef load():\n    if not hasattr(KEPT, 'one'):\n        KEPT.one = {}\n    return KEPT.one\n",
    "a dict of an object": "class Kept(dict):\n    def __missing__(self, key):\n        self[key] = {}\n        return self[key]\n\nKEPT = Kept()\n\ndef load():\n    return KEPT[1]\n",
    "an attribute of a function": "def load():\n    if not hasattr(load, 'kept'):\n        load.kept = {}\n    return load.kept\n",
    "a mutable default": "def load(kept=[]):\n    if not kept:\n        kept.append({})\n    return kept[0]\n",
    "a decorator of its own": "def once(f):\n    kept = {{}}\n    def inner(*args):\n        if args not in kept:\n            kept[args] = f(*args)\n        return kept[args]\n    return inner\n\n@once\ndef load():\n    return {}\n",
    "a variable of a function around it": "def maker():\n    kept = None\n    def inner():\n        nonlocal kept\n        if kept is None:\n            kept = {}\n        return kept\n    return inner\n\nload = maker()\n",
    "a property": "from functools import cached_property\n\nclass Kept:\n    @cached_property\n    def one(self):\n        return {}\n\nKEPT = Kept()\n\ndef load():\n    return KEPT.one\n",
    "a dict that is put in first": "KEPT = {{}}\n\ndef load():\n    if 1 not in KEPT:\n        KEPT[1] = {{}}\n        KEPT[1][2] = {}\n    return KEPT[1][2]\n",
    "a dict, after a flag was set": "ready, KEPT = False, {{}}\n\ndef load():\n    global ready\n    if not ready:\n        ready = True\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a dict, with a flag of the standard library": "import threading\n\nREADY, KEPT = threading.Event(), {{}}\n\ndef load():\n    if not READY.is_set():\n        READY.set()\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a dict that others fill by what a set says": "SEEN, KEPT = set(), {{}}\n\ndef load():\n    if 1 not in SEEN:\n        SEEN.add(1)\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a UserDict": "from collections import UserDict\n\nKEPT = UserDict()\n\ndef load():\n    if 1 not in KEPT:\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a ChainMap": "from collections import ChainMap\n\nKEPT = ChainMap({{}}, {{}})\n\ndef load():\n    if 1 not in KEPT:\n        KEPT[1] = {}\n    return KEPT[1]\n",
    "a weak dict": "import weakref\n\nclass Text:\n    pass\n\nTEXT, KEPT = Text(), weakref.WeakKeyDictionary()\n\ndef load():\n    if TEXT not in KEPT:\n        KEPT[TEXT] = {}\n    return KEPT[TEXT]\n",
    "a namespace": "from types import SimpleNamespace\n\nKEPT = SimpleNamespace(one=None)\n\ndef load():\n    KEPT.one = KEPT.one or {}\n    return KEPT.one\n",
    "an attribute of a name made at run time": "class Kept:\n    pass\n\nKEPT = Kept()\n\ndef load():\n    if not hasattr(KEPT, 'on' + 'e'):\n        setattr(KEPT, 'on' + 'e', {})\n    return getattr(KEPT, 'on' + 'e')\n",
    "a thread's own object": "import threading\n\nKEPT = threading.local()\n\ndef load():\n    if not hasattr(KEPT, 'one'):\n        KEPT.one = {}\n    return KEPT.one\n",
    "a context variable": "from contextvars import ContextVar\n\nKEPT = ContextVar('KEPT', default=None)\n\ndef load():\n    if KEPT.get() is None:\n        KEPT.set({})\n    return KEPT.get()\n",
    "a generator": "def keeping():\n    kept = None\n    while True:\n        yield kept\n        kept = kept or {}\n\nKEPT = keeping()\n\ndef load():\n    while not (found := next(KEPT)):\n        pass\n    return found\n",
    "a named tuple's dict": "from typing import NamedTuple\n\nclass Kept(NamedTuple):\n    texts: dict\n\nKEPT = Kept({{}})\n\ndef load():\n    if 1 not in KEPT.texts:\n        KEPT.texts[1] = {}\n    return KEPT.texts[1]\n",
    "a partial's dict": "from functools import partial\n\ndef inner(kept):\n    if 1 not in kept:\n        kept[1] = {}\n    return kept[1]\n\nload = partial(inner, {{}})\n",
    "an object behind a method": "class Kept:\n    def __init__(self):\n        self.texts = {{}}\n\n    def load(self):\n        if 1 not in self.texts:\n            self.texts[1] = {}\n        return self.texts[1]\n\nload = Kept().load\n",
    "a cache in an object": "from functools import cache\n\nclass Kept:\n    def __init__(self):\n        self.load = cache(lambda: {})\n\nKEPT = Kept()\n\ndef load():\n    return KEPT.load()\n",
    "a cache in a closure": "from functools import cache\n\ndef maker():\n    inner = cache(lambda: {})\n    return lambda: inner()\n\nload = maker()\n",
    "a database in memory": "import sqlite3\n\nKEPT = sqlite3.connect(':memory:', check_same_thread=False)\nKEPT.execute('CREATE TABLE t (x)')\n\ndef load():\n    if not KEPT.execute('SELECT * FROM t').fetchall():\n        KEPT.execute('INSERT INTO t VALUES (?)', ({},))\n    return KEPT.execute('SELECT * FROM t').fetchall()\n",
    "an array": "import numpy as np\n\nKEPT = np.zeros(2)\n\ndef load():\n    if not KEPT[0]:\n        KEPT[0] = int({} or 7)\n    return KEPT.tolist()\n",
    "a number": "kept = 0\n\ndef load():\n    global kept\n    if not kept:\n        kept = int({} or 7)\n    return kept\n",
    "a number that another module sets": "import other\n\ndef load():\n    if not other.kept:\n        other.kept = int({} or 7)\n    return other.kept\n",
}  # fmt: skip
for name, code in CACHED.items():
    more = {"other.py": f"kept = {0 if 'int' in code else None}\n"} if "other" in code else {}
    row(f"file remembered by {name}", {PIPE: HEAD + "from own import load\n" + REMEMBERS, "own.py": code.format("open('in' + '.txt').read()"), "in.txt": "1", **more}, "1", "2", ALL, file="in.txt", alone="connect" in code)
    ROWS.append(Row(f"variable remembered by {name}", {PIPE: HEAD + "from own import load\n" + REMEMBERS, "own.py": "import os\n" + code.format("os.environ.get('ZZ_' + 'SIZE')"), **more},
        (), ALL, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}, alone="connect" in code))

# A step's function may be the standard library's.
def standard(function: str, more: str = "") -> str:
    return f"{HEAD}import glob, os\nfrom functools import partial\n{more}\nwork = step(partial({function}), name='work')\n{REST}"


row("listing by a function of Python's", {PIPE: standard("os.listdir, 'bo' + 'x'"), "box/a.txt": "1"}, None, "1", BOTH, file="box/b.txt")
row("pattern by a function of Python's", {PIPE: standard("glob.glob, 'bo' + 'x/*'"), "box/a.txt": "1"}, None, "1", BOTH, file="box/b.txt")
row("folders by a generator of Python's", {PIPE: standard("os.walk, 'bo' + 'x'"), "box/a.txt": "1"}, None, "1", BOTH, file="box/b.txt")
row("file by a function of Python's", {PIPE: f"{HEAD}from functools import partial\nfrom pathlib import Path\n\nwork = step(partial(Path.read_text, Path('in' + '.txt')), name='work')\n{REST}", "in.txt": "1"}, "1", "2", BOTH, file="in.txt")
row("existence by a function of Python's", {PIPE: standard("os.path.exists, 'in' + '.txt'")}, None, "1", BOTH, file="in.txt")
row("listing by a resource that is a function of Python's", {PIPE: f"{HEAD}import os\nfrom functools import partial\n\nnames = resource(partial(os.listdir, 'bo' + 'x'), name='names')\n\n@step\ndef work(names):\n    return sorted(names)\n{REST}", "box/a.txt": "1"}, None, "1", BOTH, file="box/b.txt")
row("code of a step that another calls, of a partial", {PIPE: f"{HEAD}from functools import partial\n\ndef add(one, two):\n    return one + two + 5\n\nadded = step(partial(add, one=1, two=2), name='added')\n\n@step\ndef work():\n    return added()\n{REST}"}, "+ 5", "+ 6", (*BOTH, "added"))
row("listing by a step that another calls", {PIPE: f"{HEAD}import os\nfrom functools import partial\n\nnames = step(partial(os.listdir, 'bo' + 'x'), name='names')\n\n@step\ndef work():\n    return sorted(names())\n{REST}", "box/a.txt": "1"}, None, "1", (*BOTH, "names"), file="box/b.txt")
ROWS.append(Row("variable by a function of Python's", {PIPE: standard("os.getenv, 'ZZ_' + 'SIZE'")}, (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}))
IN_A_TEXT = "KEPT = []\n\ndef load():\n    if not KEPT:\n        KEPT.append(open('in' + '.txt').read())\n    return KEPT[0]\n" + REMEMBERS
ROWS.append(Row("variable that a step in a text looks up", {PIPE: HEAD + "exec(" + repr("@step\ndef work():\n    import os\n    return os.environ.get('ZZ_' + 'SIZE')\n" + REST) + ")\n"}, (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}, unstamped="what the module's import executes cannot be read"))
for name, code in {"import": "    import own\n    return own.f()\n", "from": "    def inner():\n        from own import f\n        return f()\n    return inner()\n"}.items():
    row(f"module that a step in a text has by {name}", {PIPE: HEAD + "exec(" + repr(f"@step\ndef work():\n{code}" + REST) + ")\n", "own.py": OWN}, "return 5", "return 6", BOTH, file="own.py", unstamped="what the module's import executes cannot be read")
for name, code, top in (
    ("a method", "    return Thing().made()\n", ""),
    ("a method by a name made at run time", "    return getattr(Thing(), 'ma' + 'de')()\n", ""),
    ("a name made at run time", "    return globals()['fou' + 'nd']()\n", "def found():\n    return 5\n"),
    ("an expression", "    return eval('fou' + 'nd()')\n", "def found():\n    return 5\n"),
):
    thing = top or "class Thing:\n    def made(self):\n        return 5\n"
    row(f"{name} in a text", {PIPE: HEAD + thing + "\nexec(" + repr(f"@step\ndef work():\n{code}" + REST) + ")\n"}, "return 5", "return 6", BOTH, unstamped="what the module's import executes cannot be read")
ROWS.append(Row("the whole environment in a text", {PIPE: HEAD + "exec(" + repr("@step\ndef work():\n    import os\n    return {k: v for k, v in os.environ.items() if k.startswith('ZZ_')}\n" + REST) + ")\n"}, (), BOTH, {"ZZ_SIZE": "1"}, {"ZZ_SIZE": "2"}, why=("env: ZZ_*",), unstamped="what the module's import executes cannot be read"))
row("file remembered by steps in a text", {PIPE: HEAD + f"exec({IN_A_TEXT!r})\n", "in.txt": "1"}, "1", "2", ALL, file="in.txt", unstamped="what the module's import executes cannot be read")
OWN_NAMES = "KEPT = []\n\ndef load():\n    if not KEPT:\n        KEPT.append(open('in' + '.txt').read())\n    return KEPT[0]\n\n@step\ndef work():\n    return load()\n\n@step\ndef other():\n    return load() * 2\n"
row("file remembered by steps in a text that has its own names", {PIPE: HEAD + f"OWN = {{'step': step}}\nexec({OWN_NAMES!r}, OWN)\nwork, other = OWN['work'], OWN['other']\n", "in.txt": "1"}, "1", "2", ("work", "other"), file="in.txt", unstamped="what the module's import executes cannot be read")

row("what is remembered of a file by way of another variable", {PIPE: HEAD + """
FIRST, SECOND = [], []

@step
def work():
    FIRST[:] = [open('in' + '.txt').read()]
    return FIRST[0]

@step
def second():
    SECOND[:] = FIRST or [open('in' + '.txt').read()]
    return SECOND[0]

@step
def third():
    return ['third', *(SECOND or [open('in' + '.txt').read()])]

@step
def aside():
    return 1
""", "in.txt": "1"}, "1", "2", ("work", "second", "third"), file="in.txt")
row("what the set-up of another step's resource has read and left", {PIPE: HEAD + """
KEPT = {}

@resource
def prepared():
    KEPT["in"] = open('in' + '.txt').read()
    return 1

@step
def work(prepared):
    return [prepared, KEPT["in"]]

@step
def second():
    return ["second", KEPT["in"] if KEPT else open('in' + '.txt').read()]

@step
def aside():
    return 1
""", "in.txt": "1"}, "1", "2", ("work", "second"), file="in.txt")
EACH_ITS_OWN = {PIPE: HEAD + "from own import load\n" + """
@step
def work():
    return load("a")

@step
def other():
    return load("b")

@step
def both():
    return load("a"), load("b"), load("c")

@step
def aside():
    return load("c") * 2
""", "a.txt": "1", "b.txt": "1", "c.txt": "1"}
for name, code in {
    "a dict": "KEPT = {}\n\ndef load(name):\n    if name not in KEPT:\n        KEPT[name] = open(name + '.txt').read()\n    return KEPT[name]\n",
    "a dict that is asked by get": "KEPT = {}\n\ndef load(name):\n    if (text := KEPT.get(name)) is None:\n        text = KEPT[name] = open(name + '.txt').read()\n    return text\n",
    "a dict of what it comes to": "KEPT = {}\n\ndef load(name):\n    if name not in KEPT:\n        if open(name + '.txt').read() == '1':\n            KEPT[name] = 'one'\n        else:\n            KEPT[name] = 'more'\n    return KEPT[name]\n",
    "a dict of which are so": "KEPT = {}\n\ndef load(name):\n    if name not in KEPT:\n        text = open(name + '.txt').read()\n        KEPT[name] = False\n        if text == '1':\n            KEPT[name] = True\n    return KEPT[name]\n",
    "a dict that is tried": "KEPT = {}\n\ndef load(name):\n    try:\n        return KEPT[name]\n    except KeyError:\n        return KEPT.setdefault(name, open(name + '.txt').read())\n",
    "a dict in a dict that is put in first": "KEPT = {}\n\ndef load(name):\n    inner = KEPT.setdefault(name, {})\n    if 1 not in inner:\n        inner[1] = open(name + '.txt').read()\n    return inner[1]\n",
    "an object with a dict": "class Kept:\n    def __init__(self):\n        self.texts = {}\n\n    def load(self, name):\n        if name not in self.texts:\n            self.texts[name] = open(name + '.txt').read()\n        return self.texts[name]\n\nload = Kept().load\n",
    "a UserDict": "from collections import UserDict\n\nKEPT = UserDict()\n\ndef load(name):\n    if name not in KEPT:\n        KEPT[name] = open(name + '.txt').read()\n    return KEPT[name]\n",
    "a cache in an object": "from functools import cache\n\nclass Kept:\n    def __init__(self):\n        self.load = cache(lambda name: open(name + '.txt').read())\n\nload = Kept().load\n",
    "a decorator of its own": "def once(f):\n    kept = {}\n    def inner(*args):\n        if args not in kept:\n            kept[args] = f(*args)\n        return kept[args]\n    return inner\n\n@once\ndef load(name):\n    return open(name + '.txt').read()\n",
}.items():
    row(f"each its own file, remembered by {name}", {**EACH_ITS_OWN, "own.py": code}, "1", "2", ("work", "both"), file="a.txt")
OF_RESOURCE = """
@resource
def db():
    return Kept()

@step
def work(db):
    return db.load("a")

@step
def other(db):
    return db.load("b")

@step
def both(db):
    return db.load("a"), db.load("b"), db.load("c")

@step
def aside(db):
    return db.load("c") * 2
"""
for name, code, runs in (
    ("each its own file, remembered by a resource", "class Kept:\n    def __init__(self):\n        self.texts = {}\n\n    def load(self, name):\n        if name not in self.texts:\n            self.texts[name] = open(name + '.txt').read()\n        return self.texts[name]\n", ("work", "both")),
    ("one file, remembered by a resource", "class Kept:\n    text = None\n\n    def load(self, name):\n        if self.text is None:\n            self.text = open('a' + '.txt').read()\n        return self.text, name\n", ("work", "other", "both", "aside")),
    ("one file, remembered in a dict that is a resource", "class Kept(dict):\n    def load(self, name):\n        return self.setdefault('a', open('a' + '.txt').read() if not self else None), name\n", ("work", "other", "both", "aside")),
):
    row(name, {**EACH_ITS_OWN, PIPE: HEAD + code + OF_RESOURCE}, "1", "2", runs, file="a.txt")
row("each its own file, remembered by a cache of a library", {**EACH_ITS_OWN, "own.py": "from cachetools import LRUCache, cached\n\n@cached(LRUCache(9))\ndef load(name):\n    return open(name + '.txt').read()\n"}, "1", "2", ("work", "both"), file="a.txt", needs="cachetools")
for name, code in {
    "objects of which each step fills its own": "class Text:\n    one = None\n\n    def get(self, name):\n        self.one = self.one or open(name + '.txt').read()\n        return self.one\n\nKEPT = {name: Text() for name in 'abc'}\n\ndef load(name):\n    return KEPT[name].get(name)\n",
    "a list that a dict tells the places of": "TEXTS, KEPT = [], {}\n\ndef load(name):\n    if name not in KEPT:\n        TEXTS.append(open(name + '.txt').read())\n        KEPT[name] = len(TEXTS) - 1\n    return TEXTS[KEPT[name]]\n",
}.items():
    row(f"what one step has read and another found while it added more, in {name}", {**EACH_ITS_OWN, "own.py": code}, "1", "2", ("work", "other", "both", "aside"), file="a.txt")
for name, code in {
    "a flag of what is set up": "import logging\n\nready = False\n\ndef set_up():\n    global ready\n    if not ready:\n        logging.getLogger('own').setLevel('INFO')\n        ready = True\n",
    "a dict of flags": "READY = {}\n\ndef set_up():\n    if not READY.get('own'):\n        READY['own'] = True\n",
    "a logger": "import logging\n\nlog = None\n\ndef set_up():\n    global log\n    if log is None:\n        log = logging.getLogger('own')\n    log.debug('x')\n",
    "loggers by name": "import logging\n\nLOGS = {}\n\ndef set_up():\n    if 'own' not in LOGS:\n        LOGS['own'] = logging.getLogger('own')\n    LOGS['own'].debug('x')\n",
    "a module that is imported late": "late = None\n\ndef set_up():\n    global late\n    if late is None:\n        import colorsys\n        late = colorsys\n",
    "what was done last, which nobody looks at": "last = None\n\ndef set_up():\n    global last\n    last = object()\n",
    "how long it took, which nobody looks at": "import time\n\nTOOK = {}\n\ndef set_up():\n    TOOK['own'] = time.perf_counter()\n",
    "counts and lists of an object, which nobody looks at": "class Done:\n    def __init__(self):\n        self.count, self.names = 0, []\n\nDONE = Done()\n\ndef set_up():\n    DONE.count += 1\n    DONE.names.append('x')\n",
}.items():
    row(f"{name} beside what is read", {**EACH_ITS_OWN, "own.py": f"{code}\ndef load(name):\n    text = open(name + '.txt').read()\n    set_up()\n    return text\n"}, "1", "2", ("work", "both"), file="a.txt")
for name, code in {
    "a counter": "count = 0\n\ndef set_up():\n    global count\n    count += 1\n",
    "a counter that is looked at, of a name that others use too": "import other\n\ncount = 0\n\ndef set_up():\n    global count\n    count = count + 1\n    seen = count\n    print(seen, other.size())\n",
    "a counter of an object": "class Done:\n    count = 0\n\n    def add(self):\n        self.count += 1\n        print(self.count)\n\nDONE = Done()\nset_up = DONE.add\n",
}.items():
    more = {"other.py": "count = 0\n\ndef size():\n    count = len('size')\n    return count\n\ndef set_to(number):\n    global count\n    count = number\n"}
    row(f"{name} beside what is read", {**EACH_ITS_OWN, **more, "own.py": f"{code}\ndef load(name):\n    text = open(name + '.txt').read()\n    set_up()\n    return text\n"}, "1", "2", ("work", "both"), file="a.txt")
row("a list of what was done beside what is read", {**EACH_ITS_OWN, "own.py": "DONE = []\n\ndef load(name):\n    DONE.append(name)\n    return open(name + '.txt').read()\n"}, "1", "2", ("work", "both"), file="a.txt")
row("what nobody else reaches", {**EACH_ITS_OWN, "own.py": "LAST = {}\n\ndef load(name):\n    if name == 'a':\n        keep(name)\n    return open(name + '.txt').read()\n\ndef keep(name):\n    LAST[0] = name\n"}, "1", "2", ("work", "both"), file="a.txt")

# What has no digest tells nobody which one it is: the statement that made it does.
OPAQUE = """from queue import Queue

def opened(number):
    found = Queue()
    found.put(number)
    return found

def query(held):
    def ask():
        return list(held.queue)
    return ask

class Client:
    def __init__(self, number):
        self.held = opened(number)

    def ask(self):
        return query(self.held)()
"""
for name, (made, asked) in {
    "a function of another module": ("ask = query(opened(1))", "ask()"),
    "a function in a dict": ("ASK = {'ask': query(opened(1))}", "ASK['ask']()"),
    "a function in a function": ("def outer(inner):\n    def ask():\n        return inner()\n    return ask\n\nask = outer(query(opened(1)))", "ask()"),
    "a default": ("def outer(inner):\n    def ask(inner=inner):\n        return inner()\n    return ask\n\nask = outer(query(opened(1)))", "ask()"),
    "an object": ("CLIENT = Client(1)", "CLIENT.ask()"),
    "a bound method": ("ask = Client(1).ask", "ask()"),
    "an object of a class in a function": ("def kind(held):\n    class Kind:\n        def ask(self):\n            return query(held)()\n    return Kind\n\nCLIENT = kind(opened(1))()", "CLIENT.ask()"),
    "a partial": ("from functools import partial\n\nask = partial(query(opened(1)))", "ask()"),
    "a lambda": ("ask = (lambda held: lambda: query(held)())(opened(1))", "ask()"),
}.items():
    row(f"a queue held by {name}", {PIPE: body(f"return {asked}", "from own import *\n"), "own.py": f"{OPAQUE}\n{made}\n"}, "(1)", "(3)", BOTH, file="own.py")
    row(f"spaces beside a queue held by {name}", {PIPE: body(f"return {asked}", "from own import *\n"), "own.py": f"{OPAQUE}\n{made}\n"}, "(1)", "( 1 )", NONE, file="own.py")
STEPS_OF_ONE = {PIPE: HEAD + """from own import *

def maker(held, name):
    @step(name=name)
    def made():
        return held()
    return made

work = maker(query(opened(1)), "work")
other = maker(query(opened(2)), "other")
first, second = maker(Client(3).ask, "first"), maker(Client(4).ask, "second")
third = step(query(opened(5)), name="third")
""", "own.py": OPAQUE}
row("one of several steps that one function makes", STEPS_OF_ONE, "(1)", "(6)", ("work",))
row("one of several steps that one statement makes", STEPS_OF_ONE, "(3)", "(6)", ("first", "second"))
row("what all steps that one function makes are made by", STEPS_OF_ONE, "put(number)", "put(number + 1)", ("work", "other", "first", "second", "third"), file="own.py")
row("another step beside those that one function makes", STEPS_OF_ONE, "third = ", "fourth = maker(query(opened(7)), 'fourth')\nthird = ", ("fourth",), why=("new",))

# The same code in two files means two things where it asks where it stands.
WHERE = {
    "__file__": "(Path(__file__).parent / 'data.txt').read_text()",
    "__file__ by way of the standard library": "open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'data.txt')).read()",
    "__spec__": "(Path(__spec__.origin).parent / 'data.txt').read_text()",
    "a variable": "(HERE / 'data.txt').read_text()",
    "an object that a variable holds": "PLACE.text()",
    "an iterator": "next(TEXTS)(HERE / 'data.txt')",
}
for name, code in WHERE.items():
    text = f"""import os
from pathlib import Path
HERE = Path(__file__).parent

class Place:
    def __init__(self, file):
        self.file, self.opaque = file, iter(())

    def text(self):
        return (Path(self.file).parent / "data.txt").read_text()

PLACE = Place(__file__)
TEXTS = iter([Path.read_text] * 9)

@step
def one():
    return {code}
"""
    files = {f"{each}/pipeline_x.py": HEAD + text.replace("def one", f"def {each}") for each in ("work", "other")}
    row(f"data beside one of two files of the same code, by {name}", {**files, "work/data.txt": "1", "other/data.txt": "1"}, "1", "2", ("work",), file="work/data.txt")
# What a value is, or stands beside, may be its file's own without a word of it in the code.
OWN = {
    "an object of a class of its own": "class Own:\n    pass\n\n@step\ndef {each}():\n    return Own()\n",
    "objects of a class of its own in a mapped step": "class Own:\n    pass\n\n@step\ndef two():\n    yield 1\n    yield 2\n\n@step(takes={{'n': 'two'}}, name='{each}')\ndef own(n: Each):\n    return Own()\n\n{each} = own\n",
    "a function of its own": "def own():\n    pass\n\n@step\ndef {each}():\n    return own\n",
    "a file of a package of its own": "import importlib.resources\nfrom . import own\n\n@step\ndef {each}():\n    return importlib.resources.files(own).joinpath('data.txt').read_text()\n",
}
for name, code in OWN.items():
    files = {f"{each}/pipeline_x.py": HEAD + code.format(each=each) for each in ("work", "other")}
    files |= {f"{each}/{file}": text for each in ("work", "other") for file, text in (("__init__.py", ""), ("own/__init__.py", ""), ("own/data.txt", each), ("data.txt", "1"))}
    files["pipeline_z.py"] = f"""{HEAD}
from other.pipeline_x import other

@step
def taken(other):
    return getattr(other, "__module__", "") or type(other).__module__, other if isinstance(other, str) else ""
"""
    row(f"in one of two files of the same code, {name}", files, "return ", "return 0 or ", ("work",), file="work/pipeline_x.py")
NAMED = {
    "the module of a class": "return type('C', (), {}).__module__, told.__module__",
    "__name__": "return __name__",
    "its frame": "return sys._getframe().f_code.co_name",
    "the frame that inspect gives": "return inspect.currentframe().f_code.co_name",
    "its module": "return sys.modules[__name__].__file__[-12:]",
}
for name, code in NAMED.items():
    files = {f"{each}/pipeline_x.py": f"{HEAD}import inspect, sys\n\ndef told():\n    pass\n\n@step\ndef {each}():\n    {code}\n" for each in ("work", "other")}
    row(f"what one of two steps of the same code is called, by {name}", files, "return", "return 1,", ("work",), file="work/pipeline_x.py")
row("what a decorator calls one of two steps of the same code", {PIPE: HEAD + """
from functools import wraps

def told(function):
    @wraps(function)
    def inner():
        return {function.__name__: function()}
    return inner

@step
@told
def work():
    return 1

@step
@told
def other():
    return 1
"""}, "def work():\n    return 1", "def work():\n    return 2", ("work",))
LOGGED = """import logging
logger = logging.getLogger(__name__)

def helper():
    logger.warning("x")
    logging.getLogger(__name__).warning("y")
    return 1
"""
LOGGED = f"{HEAD}{LOGGED}\n@step\ndef work():\n    return helper()\n"
ROWS.append(Row("file with a logger renamed", {PIPE: LOGGED}, ((PIPE, LOGGED, None), ("pipeline_y.py", None, LOGGED)), NONE, reverts=False))

PYDANTIC = "from pydantic import BaseModel, Field, computed_field, field_validator\n\n"
row("pydantic default", body("return M().n", PYDANTIC + "class M(BaseModel):\n    n: int = 1\n"), "= 1", "= 2", BOTH, needs="pydantic")
row("pydantic type", body("return M(n='1').n", PYDANTIC + "class M(BaseModel):\n    n: int\n"), "n: int", "n: str", BOTH, needs="pydantic")
row("pydantic validator", body("return M(n=1).n", PYDANTIC + "class M(BaseModel):\n    n: int\n\n    @field_validator('n')\n    @classmethod\n    def more(cls, n):\n        return n + 1\n"), "n + 1", "n + 2", BOTH, needs="pydantic")
row("pydantic type of another module", {PIPE: body("try:\n    return M(n=1).n\nexcept ValueError:\n    return 'no'", "from pydantic import BaseModel\nfrom kinds import Size\n\nclass M(BaseModel):\n    n: Size\n"),
    "kinds.py": "from typing import Annotated\nfrom pydantic import Field\n\nSize = Annotated[int, Field(gt=0)]\n"}, "gt=0", "gt=5", BOTH, file="kinds.py", needs="pydantic")
row("pydantic constraint", body("try:\n    return M(n=1).n\nexcept ValueError:\n    return 'no'", PYDANTIC + "class M(BaseModel):\n    n: int = Field(gt=0)\n"), "gt=0", "gt=5", BOTH, needs="pydantic")
row("pydantic default factory", body("return M().n", PYDANTIC + "def one():\n    return 1\n\nclass M(BaseModel):\n    n: int = Field(default_factory=one)\n"), "return 1", "return 2", BOTH, needs="pydantic")
row("pydantic computed field", body("return M().model_dump()", PYDANTIC + "class M(BaseModel):\n    @computed_field\n    @property\n    def n(self) -> int:\n        return 1\n"), "return 1", "return 2", BOTH, needs="pydantic")
row("pydantic model in a model", body("return Outer(inner={}).inner.n", PYDANTIC + "class Inner(BaseModel):\n    n: int = 1\n\nclass Outer(BaseModel):\n    inner: Inner\n"), "n: int = 1", "n: int = 2", BOTH, needs="pydantic")
row("pydantic configuration", body("return M(n='1').n", PYDANTIC + "class M(BaseModel):\n    model_config = {'coerce_numbers_to_str': True, 'str_to_lower': True}\n    n: str\n").replace("n='1'", "n='A'"), "'str_to_lower': True", "'str_to_lower': False", BOTH, needs="pydantic")
row("pydantic model that a step gives", {PIPE: f"""{HEAD}{PYDANTIC}
class M(BaseModel):
    n: int = 1

    def double(self):
        return self.n * 2

@step
def work():
    return M()

@step
def taken(work):
    return work.double()

@step
def aside():
    return 1
"""}, "* 2", "* 3", ("work", "taken"), needs="pydantic")
row("comment in a pydantic model", body("return M().n", PYDANTIC + "class M(BaseModel):\n    n: int = 1  # one\n"), "# one", "# uno", NONE, needs="pydantic")
row("method added to another pydantic model", body("return M().n", PYDANTIC + "class M(BaseModel):\n    n: int = 1\n\nclass Other(BaseModel):\n    n: int = 3\n"), "= 3", "= 4", NONE, needs="pydantic")
