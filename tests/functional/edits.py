"""The heart of the product as a table: *edit × which nodes run*. Every bug report becomes a row.

A row is a small project, a change to it, and the steps that must run after the change, and no others. `HEAD` is put
before each pipeline file. A change is a list of (file, old, new); `old` None writes the file anew, `new` None removes it.
"""

from __future__ import annotations

from attrs import field, frozen

HEAD = "from stepcache import All, Dir, File, mark, param, parametrize, pipeline, resource, step\n"
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
    """Only true of a process of its own."""
    configuration: str = ""
    counts: bool = True
    """What was changed counts; False where the author said that it does not."""
    unstamped: str = ""
    """Why a run with nothing to do leaves no stamp; "" where it leaves one."""


def body(code: str, before: str = "", rest: str = REST, arguments: str = "") -> str:
    inner = "\n".join("    " + line for line in code.splitlines())
    return f"{HEAD}{before}\n\n@step\ndef work({arguments}):\n{inner}\n{rest}"


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
"""), "return 1", "return 2", BOTH, unstamped="what the module's import executes cannot be read")
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
        "x + 1", "x + 5", BOTH, env=env, alone=bool(env))
    row("a lambda that gives a constant" + of, body("return f(), g()", "f, g = (lambda: 'one'), (lambda: 'two')\n"),
        "'one'", "'three'", BOTH, env=env, alone=bool(env))
    row("name behind one of the lambdas on a line" + of,
        body("return f(), g()", "def one():\n    return 1\n\nf, g = (lambda: one()), (lambda: 2)\n"),
        "return 1", "return 5", BOTH, env=env, alone=bool(env))
    row("variants told by lambdas on a line" + of,
        f"{HEAD}\n@step\n@parametrize('f', [lambda: 'a', lambda: 'b'], ids=['a', 'b'])\ndef made(f):\n    return f()\n",
        "lambda: 'b'", "lambda: 'c'", ("made[b]",), env=env, alone=bool(env))
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
row("resource's setting", body("return db", "@resource\ndef db(size=1):\n    return size\n", arguments="db"), "size=1", "size=2", BOTH)
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
{REST}""", '"first"', '"second"', BOTH)
row("version", body("return 1").replace("@step\ndef work", "@step(version='1')\ndef work"), "'1'", "'2'", WORK)
row("default of a setting", body("return n", arguments="n=1"), "n=1", "n=2", BOTH)
row("setting 1 to True", body("return n", arguments="n=1"), "n=1", "n=True", BOTH)
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
row("a step added", body("return 1"), "@step\ndef aside", "@step\ndef more():\n    return 'more'\n\n\n@step\ndef aside", ("more",))
row("a step added that another's result serves", body("return 1"), "@step\ndef aside", "@step\ndef more():\n    return 1\n\n\n@step\ndef aside", NONE)
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
row("file read by an import", {PIPE: body("return SIZE", "from own import SIZE\n"), "own.py": "from pathlib import Path\n\nSIZE = int(Path(__file__).with_name('size.txt').read_text())\n", "size.txt": "1"},
    "1", "2", BOTH, file="size.txt")
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
