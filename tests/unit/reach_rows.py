"""The table of edits and whether they change what a step reaches: small projects, each before and after one edit."""

from __future__ import annotations

from typing import Any, NamedTuple

HOME = "pipeline_x.py"
HELP = "app/helpers.py"
CHANGED, SAME = True, False


class Row(NamedTuple):
    """One edit, and whether the digest of the step's code, or of a variable in it, changes."""

    id: str
    before: dict[str, str]
    after: dict[str, str]
    changes: bool
    options: dict[str, Any]


ROWS: list[Row] = []


def home(body: str = "return [x * 2 for x in source]", top: str = "", args: str = "source", end: str = "") -> str:
    inner = "\n".join("    " + line if line else line for line in body.strip("\n").split("\n"))
    return f'"""Steps."""\nfrom stepcache import api\nstep = api.step\n{top}\n\n\n@step\ndef transform({args}):\n{inner}\n{end}'


def row(id_: str, before: dict[str, str], edits: dict[str, Any], changes: bool, **options: Any) -> None:
    """Note a row; an edit is a pair (old, new), a whole text, or None where the file goes away."""
    files = {"app/__init__.py": ""} | before
    after = dict(files)
    for path, edit in edits.items():
        if edit is None:
            del after[path]
        elif isinstance(edit, str):
            after[path] = edit
        else:
            for old, new in zip(edit[::2], edit[1::2], strict=True):
                assert old in after[path], (id_, old)
                after[path] = after[path].replace(old, new, 1)
    ROWS.append(Row(id_, files, after, changes, options))


def own(id_: str, text: str, old: str, new: str, changes: bool, **options: Any) -> None:
    """A row whose project is the pipeline file alone."""
    row(id_, {HOME: text}, {HOME: (old, new)}, changes, **options)


SCALE = "def scale(x):\n    return x * 2\n"
USE = "return [scale(x) for x in source]"
FROM = "from app.helpers import scale"

# --- the step's own body

own("body", home(), "x * 2", "x * 3", CHANGED)
own("method name", home("return [x.upper() for x in source]"), "upper", "lower", CHANGED)
own("constant 1 to 1.0", home("return [x * 1 for x in source]"), "x * 1", "x * 1.0", CHANGED)
own("constant 1 to True", home("return [x * 1 for x in source]"), "x * 1", "x * True", CHANGED)
own("constant 0.0 to -0.0", home("return [0.0 for x in source]"), "[0.0", "[-0.0", CHANGED)
own("text to bytes", home("return ['a']"), "'a'", "b'a'", CHANGED)
own("f-string", home('return [f"v{x}" for x in source]'), 'f"v', 'f"w', CHANGED)
own("format spec", home('return [f"{x:.1f}" for x in source]'), ".1f", ".2f", CHANGED)
own(
    "exception caught",
    home("try:\n    {}['k']\nexcept KeyError:\n    return 1\nexcept Exception:\n    return 2"),
    "KeyError",
    "ValueError",
    CHANGED,
)
own(
    "order of statements",
    home("a = f()\nb = g()\nreturn a, b"),
    "a = f()\n    b = g()",
    "b = g()\n    a = f()",
    CHANGED,
)
own("bracketing", home("return [1 + 2 * 3]"), "1 + 2 * 3", "(1 + 2) * 3", CHANGED)
own("await, in an async step", home().replace("def transform", "async def transform"), "async def", "def", CHANGED)
own("walrus target", home("return [(a := x) for x in source]"), "(a := x)", "(b := x)", CHANGED)
own(
    "match pattern",
    home("match source:\n    case [1, *_]:\n        return 1\n    case _:\n        return 2"),
    "[1, *_]",
    "[2, *_]",
    CHANGED,
)
own("set display of other things", home("return {'a', 'b'}"), "'b'", "'c'", CHANGED)
own("global statement", home("global K\nK = 1\nreturn K", top="K = 0"), "global K\n    ", "", CHANGED)
own("comment", home("return [x * 2 for x in source]  # two"), "# two", "# twofold", SAME)
own("docstring", home('"""Old."""\nreturn 1'), "Old", "New", SAME)
own("docstring added", home("return 1"), "    return 1", '    """Words."""\n    return 1', SAME)
own("module's docstring", home(), '"""Steps."""', '"""The steps."""', SAME)
own(
    "formatting",
    home('return ["a", x * 2, len(source)] if (x := 3) else []'),
    '["a", x * 2, len(source)] if (x := 3) else []',
    "(\n        ['a', (x * 2),\n         len(source)]  # so\n        if (x := 3)\n        else []\n    )",
    SAME,
)
own("a number written otherwise", home("return 1000, 255"), "1000, 255", "1_000, 0xFF", SAME)
own("text cut in two", home("return 'ab'"), "'ab'", "'a' 'b'", SAME)
own("raw text", home("return 'a'"), "'a'", "r'a'", SAME)
own("order in a set display", home("return {'a', 'b'}"), "'a', 'b'", "'b', 'a'", SAME)
own("pass added", home("return 1"), "return 1", "pass\n    return 1", SAME)
own("bare text added", home("return 1"), "return 1", "'a remark'\n    return 1", SAME)
own("annotation of the step", home(), "def transform(source)", "def transform(source: list[int]) -> list[int]", SAME)
own("annotation of a local", home("k = 1\nreturn k"), "k = 1", "k: int = 1", SAME)
own("All", home(), "def transform(source)", "def transform(source: api.All)", CHANGED)
own("All as text", home(args="source: api.All"), "api.All", "'api.All'", SAME)
own("parameters of the step in another order", home("return a - b", args="a, b"), "(a, b)", "(b, a)", SAME)
own("parameters and body swapped", home("return a - b", args="a, b"), "a - b", "b - a", CHANGED)
own("default of the step: a setting", home("return k", args="source, k=2"), "k=2", "k=3", SAME)
own("default of the step, computed", home("return k", args="source, k=K", top="K = 2"), "K = 2", "K = 3", SAME)
own("option of the decorator", home(), "@step", "@step(version='2')", SAME)
own(
    "parametrize values",
    home(args="k", top="P = [1, 2]").replace("@step", "@step\n@api.parametrize('k', P)"),
    "[1, 2]",
    "[1, 3]",
    SAME,
)
own("mark", home(), "@step", "@step\n@api.mark.slow", SAME)
own("blank lines", home(), "\n\n\n@step", "\n\n\n\n\n@step", SAME)
own("unrelated function added", home(), "\n\n\n@step", "\n\n\ndef unrelated():\n    return 1\n\n\n@step", SAME)
own("unrelated variable edited", home(top="OTHER = 1"), "OTHER = 1", "OTHER = 2", SAME)
own("import added", home(), "from stepcache", "import json\nfrom stepcache", SAME)
own(
    "code under TYPE_CHECKING",
    home(top="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json"),
    "import json",
    "import csv",
    SAME,
)
own("code under __main__", home(top="if __name__ == '__main__':\n    import os\n    os.chdir('a')"), "'a'", "'b'", SAME)

# --- helpers

own("helper", home(USE, top=SCALE), "x * 2", "x * 3", CHANGED)
own(
    "helper's default",
    home("return [scale(x) for x in source]", top="def scale(x, k=2):\n    return x * k"),
    "k=2",
    "k=3",
    CHANGED,
)
own(
    "helper's computed default", home(USE, top="K = 2\ndef scale(x, k=K):\n    return x * k"), "K = 2", "K = 3", CHANGED
)
own(
    "order of a helper's parameters",
    home("return scale(1, 2)", top="def scale(a, b):\n    return a - b"),
    "(a, b)",
    "(b, a)",
    CHANGED,
)
own(
    "annotation of a helper",
    home(USE, top="def scale(x: int) -> int:\n    return x * 2"),
    "x: int) -> int",
    'x: "float") -> float',
    SAME,
)
own("docstring of a helper", home(USE, top='def scale(x):\n    """Old."""\n    return x'), "Old", "New", SAME)
own(
    "docstring of a helper that is printed",
    home("return scale.__doc__", top='def scale(x):\n    """Old."""\n    return x'),
    "Old",
    "New",
    CHANGED,
)
own(
    "annotation of a helper that is looked at",
    home("return scale.__annotations__", top="def scale(x: int):\n    return x"),
    "x: int",
    "x: str",
    CHANGED,
)
own(
    "source of a helper that is looked at",
    home("import inspect\nreturn inspect.getsource(scale)", top="def scale(x):\n    return x  # a"),
    "# a",
    "# b",
    CHANGED,
)
own(
    "helper of a helper",
    home(USE, top="def core(x):\n    return x * 2\ndef scale(x):\n    return core(x)"),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "helpers that call each other",
    home(
        "return even(4)",
        top="def even(x):\n    return x == 0 or odd(x - 1)\ndef odd(x):\n    return x != 0 and even(x - 1)",
    ),
    "x != 0",
    "x > 0",
    CHANGED,
)
own("unrelated function edited", home(USE, top=SCALE + "def other(x):\n    return 1"), "return 1", "return 2", SAME)
own(
    "name bound to another function",
    home(
        "return [fn(x) for x in source]", top="def add(x):\n    return x + 2\ndef mul(x):\n    return x * 2\nfn = add"
    ),
    "fn = add",
    "fn = mul",
    CHANGED,
)
own("moved helper", home(USE, top=SCALE), SCALE, "def other():\n    pass\n\n\n" + SCALE, SAME)
own(
    "conditional definition in force",
    home(USE, top="if True:\n    def scale(x):\n        return 1\nelse:\n    def scale(x):\n        return 2"),
    "return 1",
    "return 3",
    CHANGED,
)
own(
    "conditional definition not in force",
    home(USE, top="if True:\n    def scale(x):\n        return 1\nelse:\n    def scale(x):\n        return 2"),
    "return 2",
    "return 3",
    SAME,
)
own(
    "redefinition in force",
    home(USE, top="def scale(x):\n    return 1\ndef scale(x):\n    return 2"),
    "return 1",
    "return 3",
    SAME,
)
own(
    "nested function",
    home("def inner(x):\n    return x * 2\nreturn [inner(x) for x in source]"),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "nested function's helper",
    home("def inner(x):\n    return scale(x)\nreturn [inner(x) for x in source]", top=SCALE),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "local name hides a global",
    home("scale = abs\nreturn [scale(x) for x in source]", top=SCALE),
    "x * 2",
    "x * 3",
    SAME,
)
own("comprehension name hides a global", home("return [K for K in source]", top="K = 1"), "K = 1", "K = 2", SAME)
own(
    "comprehension over a global of the same name",
    home("return [K for K in K]", top="K = [1]"),
    "K = [1]",
    "K = [2]",
    CHANGED,
)
own("generator", home("return list(gen())", top="def gen():\n    yield 1"), "yield 1", "yield 2", CHANGED)
own(
    "another step called",
    home("return other(1)", top="@step\ndef other(x):\n    return x * 2"),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "another step called: its default",
    home("return other()", top="@step\ndef other(x=1):\n    return x * 2"),
    "x=1",
    "x=2",
    CHANGED,
)
own(
    "another step called: its decorator",
    home("return other(1)", top="@step\ndef other(x):\n    return x * 2"),
    "@step\ndef other",
    "@step(version='3')\ndef other",
    SAME,
)
own(
    "one step of a function under another name",
    home(end="\ntest_transform = step(scale, name='test_transform')\n", top=SCALE),
    "x * 2",
    "x * 3",
    CHANGED,
    step="test_transform",
)
own("lambda", home("return [scale(x) for x in source]", top="scale = lambda x: x * 2"), "x * 2", "x * 3", CHANGED)
own(
    "which of two lambdas on a line",
    home("return [F(x) for x in source]", top="F = (lambda x: x * 2, lambda x: x * 3)[0]"),
    "[0]",
    "[1]",
    CHANGED,
)
own(
    "the other lambda on a line",
    home("return [F(x) for x in source]", top="F = (lambda x: x * 2, lambda x: x * 3)[0]"),
    "x * 3",
    "x * 4",
    SAME,
)
own(
    "two lambdas on a line swapped",
    home('return OPS["s"](1)', top='OPS = {"s": lambda x: x * 2, "t": lambda x: x * 3}'),
    'lambda x: x * 2, "t": lambda x: x * 3',
    'lambda x: x * 3, "t": lambda x: x * 2',
    CHANGED,
)
own(
    "lambda in a dispatch table",
    home('return OPS["s"](1)', top='OPS = {"s": lambda x: x * 2}'),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "functions in a dispatch table swapped",
    home('return OPS["s"](1)', top='def f(x):\n    return 1\ndef g(x):\n    return 2\nOPS = {"s": f, "t": g}'),
    '"s": f, "t": g',
    '"s": g, "t": f',
    CHANGED,
)
own("name in a query", home("return source.query('a > @LIMIT')", top="LIMIT = 3"), "LIMIT = 3", "LIMIT = 4", CHANGED)

# --- closures, partials, decorators

MAKE = "def make(k):\n    def inner(x):\n        return x * k\n\n    return inner\n\n\nscale = make(2)"
own("closure's value", home(USE, top=MAKE), "make(2)", "make(3)", CHANGED)
own("closure's code", home(USE, top=MAKE), "x * k", "x + k", CHANGED)
own(
    "closure's function",
    home(
        USE,
        top="def make(f):\n    def inner(x):\n        return f(x)\n    return inner\ndef one(x):\n    return 1\nscale = make(one)",
    ),
    "return 1",
    "return 2",
    CHANGED,
)
own(
    "closure's module",
    home(USE, top="import math\ndef make(m):\n    return lambda x: m.floor(x)\nscale = make(math)"),
    "make(math)",
    "make(int)",
    CHANGED,
)
own(
    "closure that counts its calls: the rest of its maker",
    home(
        "return tick()",
        top="def make():\n    n = 0\n    def tick():\n        nonlocal n\n        n += 1\n        return n\n    return tick\ntick = make()",
    ),
    "n = 0",
    "n = 5",
    CHANGED,
)
PARTIAL = "import functools\ndef mul(k, x):\n    return x * k\nscale = functools.partial(mul, 2)"
own("partial's target", home(USE, top=PARTIAL), "x * k", "x + k", CHANGED)
own("partial's argument", home(USE, top=PARTIAL), "mul, 2", "mul, 3", CHANGED)
DECO = "import functools\n\n\ndef deco(fn):\n    @functools.wraps(fn)\n    def wrapper(x):\n        return fn(x) + 1\n\n    return wrapper\n"
DECORATED = home(USE, top="from app.helpers import deco\n@deco\ndef scale(x):\n    return x * 2")
row("decorator's code", {HOME: DECORATED, HELP: DECO}, {HELP: ("+ 1", "+ 2")}, CHANGED)
row("function under a decorator", {HOME: DECORATED, HELP: DECO}, {HOME: ("x * 2", "x * 3")}, CHANGED)
row("decorator taken off", {HOME: DECORATED, HELP: DECO}, {HOME: ("@deco\n", "")}, CHANGED)
row(
    "decorator of the step itself",
    {HOME: home(top="from app.helpers import deco").replace("@step", "@step\n@deco"), HELP: DECO},
    {HELP: ("+ 1", "+ 2")},
    CHANGED,
)
own(
    "decorator's argument",
    home(
        USE,
        top="def times(k):\n    def deco(fn):\n        return lambda x: fn(x) * k\n    return deco\n@times(2)\ndef scale(x):\n    return x",
    ),
    "@times(2)",
    "@times(3)",
    CHANGED,
)
own(
    "class as a decorator",
    home(
        USE,
        top="class Deco:\n    def __init__(self, fn):\n        self.fn = fn\n    def __call__(self, x):\n        return self.fn(x) + 1\n@Deco\ndef scale(x):\n    return x * 2",
    ),
    "+ 1",
    "+ 2",
    CHANGED,
)
own(
    "function under a class as a decorator",
    home(
        USE,
        top="class Deco:\n    def __init__(self, fn):\n        self.fn = fn\n    def __call__(self, x):\n        return self.fn(x) + 1\n@Deco\ndef scale(x):\n    return x * 2",
    ),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "function under lru_cache",
    home(USE, top="import functools\n@functools.lru_cache\ndef scale(x):\n    return x * 2"),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "context manager",
    home(
        "with scope() as k:\n    return k",
        top="import contextlib\n@contextlib.contextmanager\ndef scope():\n    yield 2",
    ),
    "yield 2",
    "yield 3",
    CHANGED,
)
SINGLE = "import functools\n@functools.singledispatch\ndef scale(x):\n    return x\n@scale.register\ndef _(x: int):\n    return x * 2"
own("singledispatch implementation", home(USE, top=SINGLE), "x * 2", "x * 3", CHANGED)
own("singledispatch: the type of an implementation", home(USE, top=SINGLE), "x: int", "x: float", CHANGED)
row(
    "singledispatch implementation in another module",
    {
        HOME: home(USE, top="import app.more\nfrom app.helpers import scale"),
        HELP: "import functools\n@functools.singledispatch\ndef scale(x):\n    return x\n",
        "app/more.py": "from app.helpers import scale\n@scale.register(int)\ndef whole(x):\n    return x * 2\n",
    },
    {"app/more.py": ("x * 2", "x * 3")},
    CHANGED,
)
own(
    "function made by exec",
    home(USE, top="NS = {}\nexec('def scale(x):\\n    return x * 2', NS)\nscale = NS['scale']"),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "attribute put on a function",
    home("return scale.k", top=SCALE + "scale.k = 2"),
    "scale.k = 2",
    "scale.k = 3",
    CHANGED,
)

# --- other modules

row("helper in another module", {HOME: home(USE, top=FROM), HELP: SCALE}, {HELP: ("x * 2", "x * 3")}, CHANGED)
row(
    "helper two modules deep",
    {
        HOME: home(USE, top=FROM),
        HELP: "from app.deep import core\ndef scale(x):\n    return core(x)\n",
        "app/deep.py": "def core(x):\n    return x * 2\n",
    },
    {"app/deep.py": ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "helper as a module's attribute",
    {HOME: home("return [helpers.scale(x) for x in source]", top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "another attribute of that module",
    {
        HOME: home("return [helpers.scale(x) for x in source]", top="from app import helpers"),
        HELP: SCALE + "def other():\n    return 1\n",
    },
    {HELP: ("return 1", "return 2")},
    SAME,
)
row(
    "helper by its full name",
    {HOME: home("return [app.helpers.scale(x) for x in source]", top="import app.helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "helper under an alias",
    {HOME: home("return [h.scale(x) for x in source]", top="import app.helpers as h"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "module kept in a local",
    {HOME: home("m = helpers\nreturn [m.scale(x) for x in source]", top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "helper by star import",
    {HOME: home(USE, top="from app.helpers import *"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "helper by relative import",
    {"app/pipeline_x.py": home(USE, top="from .helpers import scale"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
    home="app.pipeline_x",
)
REEXPORT = {
    HOME: home(USE, top="from app.pkg import scale"),
    "app/pkg/__init__.py": "from app.pkg.one import scale\n",
    "app/pkg/one.py": SCALE,
    "app/pkg/two.py": SCALE.replace("2", "3"),
}
row("re-export from elsewhere", REEXPORT, {"app/pkg/__init__.py": ("one", "two")}, CHANGED)
row("re-exported helper", REEXPORT, {"app/pkg/one.py": ("x * 2", "x * 4")}, CHANGED)
row("module not re-exported", REEXPORT, {"app/pkg/two.py": ("x * 3", "x * 4")}, SAME)
row(
    "namespace package",
    {HOME: home("from space.helpers import scale\n" + USE), "space/helpers.py": SCALE},
    {"space/helpers.py": ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "helper's module renamed",
    {HOME: home(USE, top=FROM), HELP: SCALE},
    {HELP: None, "app/tools.py": SCALE, HOME: ("app.helpers", "app.tools")},
    SAME,
)
row(
    "helper's module renamed, imported in the body",
    {HOME: home(FROM + "\n" + USE), HELP: SCALE},
    {HELP: None, "app/tools.py": SCALE, HOME: ("app.helpers", "app.tools")},
    SAME,
)
row("helper moved into the pipeline file", {HOME: home(USE, top=FROM), HELP: SCALE}, {HOME: (FROM, SCALE)}, SAME)
row(
    "pipeline file renamed",
    {HOME: home(USE, top=SCALE), "pipeline_y.py": "from pipeline_x import transform\n"},
    {"pipeline_y.py": home(USE, top=SCALE)},
    SAME,
    home="pipeline_y",
)
row("unrelated module edited", {HOME: home(), "app/alone.py": "K = 1\n"}, {"app/alone.py": ("1", "2")}, SAME)
row(
    "unrelated module imported",
    {HOME: home(), "app/alone.py": "K = 1\n"},
    {HOME: ("from stepcache", "import app.alone\nfrom stepcache")},
    SAME,
)
row(
    "unrelated name of an imported module",
    {HOME: home(USE, top=FROM), HELP: SCALE + "K = 1\n"},
    {HELP: ("K = 1", "K = 2")},
    SAME,
)

# --- imports in bodies

row("import in the body", {HOME: home(FROM + "\n" + USE), HELP: SCALE}, {HELP: ("x * 2", "x * 3")}, CHANGED)
row(
    "import in the body: another name of the module",
    {HOME: home(FROM + "\n" + USE), HELP: SCALE + "K = 1\n"},
    {HELP: ("K = 1", "K = 2")},
    SAME,
)
row(
    "import in the body of a helper's helper",
    {
        HOME: home(USE, top=FROM),
        HELP: "def scale(x):\n    from app import deep\n    return deep.core(x)\n",
        "app/deep.py": "K = 2\ndef core(x):\n    return x * K\n",
    },
    {"app/deep.py": ("K = 2", "K = 3")},
    CHANGED,
)
row(
    "import in the body, used in a nested function",
    {
        HOME: home(
            "from app import helpers as h\ndef inner(x):\n    return h.scale(x)\nreturn [inner(x) for x in source]"
        ),
        HELP: SCALE,
    },
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "imports of two branches swapped",
    {
        HOME: home(
            "if source:\n    from app.helpers import scale\nelse:\n    from app.deep import scale\nreturn scale(1)"
        ),
        HELP: SCALE,
        "app/deep.py": "def scale(x):\n    return 1\n",
    },
    {HOME: ("app.helpers", "app.other", "app.deep", "app.helpers", "app.other", "app.deep")},
    CHANGED,
)
OPTIONAL = {HOME: home("try:\n    from app.extra import scale\nexcept ImportError:\n    scale = abs\n" + USE)}
row("optional module appears", OPTIONAL, {"app/extra.py": SCALE}, CHANGED)
row("optional module edited", OPTIONAL | {"app/extra.py": SCALE}, {"app/extra.py": ("x * 2", "x * 3")}, CHANGED)
row(
    "optional top-level module appears",
    {HOME: home("try:\n    import extra\nexcept ImportError:\n    return 1\nreturn 2")},
    {"extra.py": "K = 1\n"},
    CHANGED,
)
row(
    "optional name appears",
    {HOME: home("try:\n    from app.helpers import other\nexcept ImportError:\n    return 1\nreturn 2"), HELP: SCALE},
    {HELP: SCALE + "other = 1\n"},
    CHANGED,
)
row(
    "star import reached from a body",
    {HOME: home("from app.helpers import scale\n" + USE), HELP: "from app.deep import *\n", "app/deep.py": SCALE},
    {"app/deep.py": ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "module-level __getattr__",
    {
        HOME: home("return helpers.scale(1)", top="from app import helpers"),
        HELP: "def __getattr__(name):\n    return lambda x: x * 2\n",
    },
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "variable of a module imported in the body",
    {HOME: home("from app import settings\nreturn settings.CFG"), "app/settings.py": "CFG = {'k': 1}\n"},
    {"app/settings.py": ("1", "2")},
    CHANGED,
)

# --- names made at run time

row(
    "getattr with a literal",
    {HOME: home('return [getattr(helpers, "scale")(x) for x in source]', top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "getattr with a literal: another name",
    {
        HOME: home('return [getattr(helpers, "scale")(x) for x in source]', top="from app import helpers"),
        HELP: SCALE + "K = 1\n",
    },
    {HELP: ("K = 1", "K = 2")},
    SAME,
)
GETATTR = {
    HOME: home("return getattr(helpers, name)(1)", top="from app import helpers", args="source, name='scale'"),
    HELP: SCALE + "def other(x):\n    return 1\n",
}
row("getattr with a setting", GETATTR, {HELP: ("x * 2", "x * 3")}, CHANGED, settings={"name": "scale"})
row("getattr with a setting: another name", GETATTR, {HELP: ("return 1", "return 2")}, SAME, settings={"name": "scale"})
row(
    "getattr with a name made at run time",
    {HOME: home("return getattr(helpers, 'sc' + 'ale')(1)", top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "import_module of a literal",
    {HOME: home("import importlib\nm = importlib.import_module('app.helpers')\nreturn m.scale(1)"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "import_module of a setting",
    {
        HOME: home("import importlib\nm = importlib.import_module(name)\nreturn m.scale(1)", args="source, name"),
        HELP: SCALE,
    },
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
    settings={"name": "app.helpers"},
)
row(
    "import_module of a setting: another module",
    {
        HOME: home("import importlib\nm = importlib.import_module(name)\nreturn m.scale(1)", args="source, name"),
        HELP: SCALE,
        "app/other.py": "K = 1\n",
    },
    {"app/other.py": ("1", "2")},
    SAME,
    settings={"name": "app.helpers"},
)
row(
    "import_module of a name made at run time",
    {HOME: home("import importlib\nreturn importlib.import_module('.'.join(source)).scale(1)"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "import_module of a name whose package is known",
    {
        HOME: home("import importlib\nreturn importlib.import_module(f'app.plugins.{source}').scale(1)"),
        "app/plugins/__init__.py": "",
        "app/plugins/one.py": SCALE,
    },
    {"app/plugins/one.py": ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "import_module of a name whose package is known: outside",
    {
        HOME: home("import importlib\nreturn importlib.import_module(f'app.plugins.{source}').scale(1)"),
        "app/plugins/__init__.py": "",
        "app/plugins/one.py": SCALE,
        "app/alone.py": "K = 1\n",
    },
    {"app/alone.py": ("1", "2")},
    SAME,
)
row(
    "__import__",
    {HOME: home("return __import__('app.helpers').helpers.scale(1)"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "eval of a text that names a helper",
    {HOME: home('return [eval("scale(x)", globals(), {"x": x}) for x in source]', top=FROM), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row("globals()", {HOME: home('return globals()["sc" + "ale"](1)', top=SCALE)}, {HOME: ("x * 2", "x * 3")}, CHANGED)
row(
    "vars of a module",
    {HOME: home('return vars(helpers)["scale"](1)', top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "__dict__ of a module",
    {HOME: home('return helpers.__dict__["scale"](1)', top="from app import helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "sys.modules",
    {HOME: home("import sys\nreturn sys.modules['app.helpers'].scale(1)", top="import app.helpers"), HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "functions made in a loop",
    {HOME: home("return scale_2(1)", top="for n in (2, 3):\n    globals()[f'scale_{n}'] = lambda x, n=n: x * n")},
    {HOME: ("x * n", "x + n")},
    CHANGED,
)

# --- variables

row("constant", {HOME: home("return K", top="K = 1")}, {HOME: ("K = 1", "K = 2")}, CHANGED)
row("constant 1 to True, of the module", {HOME: home("return K", top="K = 1")}, {HOME: ("K = 1", "K = True")}, CHANGED)
row("constant computed to the same", {HOME: home("return K", top="K = 4")}, {HOME: ("K = 4", "K = 2 + 2")}, SAME)
row(
    "settings.K",
    {HOME: home("return settings.K", top="from app import settings"), "app/settings.py": "K = 2\nL = 1\n"},
    {"app/settings.py": ("K = 2", "K = 3")},
    CHANGED,
)
row(
    "settings.L, of which K is used",
    {HOME: home("return settings.K", top="from app import settings"), "app/settings.py": "K = 2\nL = 1\n"},
    {"app/settings.py": ("L = 1", "L = 3")},
    SAME,
)
row(
    "constant of a helper's module",
    {HOME: home(USE, top=FROM), HELP: "K = 2\ndef scale(x):\n    return x * K\n"},
    {HELP: ("K = 2", "K = 3")},
    CHANGED,
)
row(
    "nested value",
    {
        HOME: home("return CFG['a']['k'][1]", top="from app.settings import CFG"),
        "app/settings.py": 'CFG = {"a": {"k": [1, 2]}}\n',
    },
    {"app/settings.py": ("[1, 2]", "[1, 3]")},
    CHANGED,
)
row(
    "value loaded from a file",
    {
        HOME: home("return CFG", top="from app.settings import CFG"),
        "app/settings.py": "import json\nfrom pathlib import Path\nCFG = json.loads((Path(__file__).parent / 'cfg.json').read_text())\n",
        "app/cfg.json": '{"k": 2}',
    },
    {"app/cfg.json": ("2", "3")},
    CHANGED,
)
row(
    "set by another module's statement",
    {
        HOME: home("return settings.K", top="from app import settings, patch"),
        "app/settings.py": "K = 1\n",
        "app/patch.py": "from app import settings\nsettings.K = 2\n",
    },
    {"app/patch.py": ("= 2", "= 3")},
    CHANGED,
)
row(
    "function replaced by another module's statement",
    {
        HOME: home("return helpers.scale(1)", top="from app import helpers, patch"),
        HELP: SCALE,
        "app/patch.py": "from app import helpers\ndef other(x):\n    return 1\nhelpers.scale = other\n",
    },
    {"app/patch.py": ("return 1", "return 2")},
    CHANGED,
)
REGISTRY = (
    "REG = {}\ndef register(name):\n    def deco(fn):\n        REG[name] = fn\n        return fn\n    return deco\n"
)
PLUGIN = 'from app.registry import register\n@register("s")\ndef plug(x):\n    return x * 2\n'
row(
    "registry filled in another module",
    {
        HOME: home('return REG["s"](1)', top="import app.plugins\nfrom app.registry import REG"),
        "app/registry.py": REGISTRY,
        "app/plugins.py": PLUGIN,
    },
    {"app/plugins.py": ("x * 2", "x * 3")},
    CHANGED,
)
row(
    "entry added to a registry",
    {
        HOME: home('return REG["s"](1)', top="import app.plugins\nfrom app.registry import REG"),
        "app/registry.py": REGISTRY,
        "app/plugins.py": PLUGIN,
    },
    {"app/plugins.py": PLUGIN + '@register("t")\ndef more(x):\n    return 1\n'},
    CHANGED,
)
row(
    "global that a function assigns",
    {HOME: home("return bump()", top="N = 0\ndef bump():\n    global N\n    N += 1\n    return N")},
    {HOME: ("N += 1", "N += 2")},
    CHANGED,
)
row(
    "global that a function assigns: where it starts",
    {HOME: home("return bump()", top="N = 0\ndef bump():\n    global N\n    N += 1\n    return N")},
    {HOME: ("N = 0", "N = 5")},
    CHANGED,
)
row(
    "sentinel, lock and time",
    {
        HOME: home(
            "with LOCK:\n    return M, T",
            top="import threading\nimport time\nM = object()\nLOCK = threading.Lock()\nT = time.time()",
        )
    },
    {HOME: ("\n\n\n@step", "\n# nothing\n\n@step")},
    SAME,
)
row(
    "seeded random value",
    {HOME: home("return R", top="import random\nSEED = 3\nR = random.Random(SEED)")},
    {HOME: ("SEED = 3", "SEED = 4")},
    CHANGED,
)
row(
    "logger",
    {HOME: home("LOG.info('a')\nreturn 1", top="import logging\nLOG = logging.getLogger(__name__)")},
    {HOME: ("\n\n\n@step", "\n# nothing\n\n@step")},
    SAME,
)
row(
    "regular expression",
    {HOME: home("return RE.match('a')", top="import re\nRE = re.compile('a+')")},
    {HOME: ("'a+'", "'b+'")},
    CHANGED,
)
row(
    "path below the root",
    {HOME: home("return P.name", top="from pathlib import Path\nP = Path(__file__).parent / 'x'")},
    {HOME: ("\n\n\n@step", "\n# nothing\n\n@step")},
    SAME,
)
row(
    "array",
    {HOME: home("return A.sum()", top="import numpy as np\nA = np.arange(3)")},
    {HOME: ("arange(3)", "arange(3) * 2")},
    CHANGED,
)
row(
    "order of a dict",
    {HOME: home("return list(D)", top="D = {'a': 1, 'b': 2}")},
    {HOME: ("'a': 1, 'b': 2", "'b': 2, 'a': 1")},
    CHANGED,
)
row(
    "a set of functions and types",
    {HOME: home("return len(S)", top=SCALE + "S = {scale, int, 'a', 'b', None}")},
    {HOME: ("x * 2", "x * 3")},
    CHANGED,
)
row("deep list", {HOME: home("return L", top="L = [1]\nL.append(L)")}, {HOME: ("L = [1]", "L = [2]")}, CHANGED)
own(
    "seed set while importing",
    home("import random\nreturn random.random()", top="import random\nrandom.seed(1)"),
    "seed(1)",
    "seed(2)",
    CHANGED,
)
row(
    "precision set by a project function while importing",
    {
        HOME: home("import decimal\nreturn decimal.Decimal(1) / 3", top="from app.helpers import setup\nsetup()"),
        HELP: "import decimal\ndef setup():\n    decimal.getcontext().prec = 5\n",
    },
    {HELP: ("5", "6")},
    CHANGED,
)
own(
    "logging set up while importing",
    home(top="import logging\nlogging.basicConfig(level=10)"),
    "level=10",
    "level=20",
    SAME,
)
own(
    "callable in a setting",
    home("return f(1)", args="source, f=None", top=SCALE),
    "x * 2",
    "x * 3",
    CHANGED,
    setting_names={"f": "scale"},
)

# --- classes

BASE = "class Base:\n    k = 2\n\n    def run(self, x):\n        return x * self.k\n\n    @staticmethod\n    def stat(x):\n        return x + 1\n\n    @property\n    def prop(self):\n        return 7\n\n    def __add__(self, x):\n        return x + 10\n"
MODELS = "app/models.py"


def model(
    id_: str, use: str, text: str, old: str, new: str, changes: bool = CHANGED, name: str = "Base", **options: Any
) -> None:
    """A row whose step uses a class of another module."""
    row(
        id_,
        {HOME: home(use, top=f"from app.models import {name}"), MODELS: text},
        {MODELS: (old, new)},
        changes,
        **options,
    )


model("method", "return Base().run(1)", BASE, "x * self.k", "x - self.k")
model("staticmethod", "return Base.stat(1)", BASE, "x + 1\n", "x + 2\n")
model("property", "return Base().prop", BASE, "return 7", "return 8")
model("operator", "return Base() + 1", BASE, "x + 10", "x + 20")
model("class attribute", "return Base().run(1)", BASE, "k = 2", "k = 3")
model("base class", "return Child().run(1)", BASE + "class Child(Base):\n    pass\n", "k = 2", "k = 3", name="Child")
model(
    "override added",
    "return Child().run(1)",
    BASE + "class Child(Base):\n    pass\n",
    "class Child(Base):\n    pass\n",
    "class Child(Base):\n    def run(self, x):\n        return 0\n",
    name="Child",
)
model(
    "methods in another order",
    "return Base().run(1)",
    "class Base:\n    def run(self, x):\n        return 1\n    def two(self):\n        return 2\n",
    "    def run(self, x):\n        return 1\n    def two(self):\n        return 2\n",
    "    def two(self):\n        return 2\n    def run(self, x):\n        return 1\n",
    SAME,
)
model(
    "docstring of a method",
    "return Base().run(1)",
    'class Base:\n    """Old."""\n    def run(self, x):\n        """Old."""\n        return 1\n',
    '"""Old."""\n    def',
    '"""New."""\n    def',
    SAME,
)
model("unrelated class", "return Base().run(1)", BASE + "class Other:\n    k = 1\n", "k = 1", "k = 9", SAME)
model(
    "method's helper",
    "return Base().run(1)",
    "def core(x):\n    return x * 2\nclass Base:\n    def run(self, x):\n        return core(x)\n",
    "x * 2",
    "x * 3",
)
model(
    "method replaced afterwards",
    "return Base().run(1)",
    BASE + "def other(self, x):\n    return 0\nBase.run = other\n",
    "return 0",
    "return 1",
)
model("class attribute set afterwards", "return Base().k", BASE + "Base.k = 5\n", "Base.k = 5", "Base.k = 6")
model(
    "metaclass",
    "return Base().k",
    "class Meta(type):\n    def __call__(cls):\n        self = super().__call__()\n        self.k = 2\n        return self\nclass Base(metaclass=Meta):\n    pass\n",
    "self.k = 2",
    "self.k = 3",
)
model(
    "__init_subclass__",
    "return Child.k",
    "class Base:\n    def __init_subclass__(cls):\n        cls.k = 2\nclass Child(Base):\n    pass\n",
    "cls.k = 2",
    "cls.k = 3",
    name="Child",
)
model(
    "registry of subclasses",
    "return Base.all['Child']().run()",
    "class Base:\n    all = {}\n    def __init_subclass__(cls):\n        Base.all[cls.__name__] = cls\nclass Child(Base):\n    def run(self):\n        return 1\n",
    "return 1",
    "return 2",
)
model(
    "__subclasses__",
    "return [c().run() for c in Base.__subclasses__()]",
    "class Base:\n    pass\nclass Child(Base):\n    def run(self):\n        return 1\n",
    "return 1",
    "return 2",
)
model(
    "class decorator",
    "return Base().k",
    "def deco(cls):\n    cls.k = 2\n    return cls\n@deco\nclass Base:\n    pass\n",
    "cls.k = 2",
    "cls.k = 3",
)
model(
    "dataclass: field's default",
    "return Base().n",
    "import dataclasses\n@dataclasses.dataclass\nclass Base:\n    n: int = 1\n",
    "n: int = 1",
    "n: int = 2",
)
model(
    "dataclass: field's annotation",
    "return Base().n",
    "import dataclasses\n@dataclasses.dataclass\nclass Base:\n    n: int = 1\n",
    "n: int = 1",
    "n: float = 1",
)
model(
    "dataclass: option",
    "return Base().n",
    "import dataclasses\n@dataclasses.dataclass\nclass Base:\n    n: int = 1\n",
    "@dataclasses.dataclass",
    "@dataclasses.dataclass(frozen=True)",
)
model(
    "Enum member",
    "return Mode.FAST.value",
    "import enum\nclass Mode(enum.Enum):\n    FAST = 2\n    SLOW = 5\n",
    "FAST = 2",
    "FAST = 3",
    name="Mode",
)
model(
    "NamedTuple default",
    "return Conf().k",
    "from typing import NamedTuple\nclass Conf(NamedTuple):\n    k: int = 2\n",
    "= 2",
    "= 3",
    name="Conf",
)
model(
    "namedtuple made by a call",
    "return Conf(1)",
    "from collections import namedtuple\nConf = namedtuple('Conf', 'a')\n",
    "'a'",
    "'b'",
    name="Conf",
)
model(
    "Protocol",
    "return run(Base)",
    "from typing import Protocol\nclass Base(Protocol):\n    k: int\n    def run(self):\n        return 1\n",
    "return 1",
    "return 2",
)
model(
    "descriptor",
    "return Base().d",
    "class D:\n    def __get__(self, a, b):\n        return 1\nclass Base:\n    d = D()\n",
    "return 1",
    "return 2",
)
model(
    "nested class",
    "return Base.Inner().run()",
    "class Base:\n    class Inner:\n        def run(self):\n            return 1\n",
    "return 1",
    "return 2",
)
model(
    "class made by a function",
    "return Base().run()",
    "def make(k):\n    class Local:\n        def run(self):\n            return k\n    return Local\nBase = make(1)\n",
    "make(1)",
    "make(2)",
)
model(
    "instance among the globals",
    "return MODEL.run(1)",
    BASE + "class M(Base):\n    def __init__(self, n):\n        self.n = n\nMODEL = M(3)\n",
    "M(3)",
    "M(4)",
    name="MODEL",
)
model(
    "class of an instance among the globals",
    "return MODEL.run(1)",
    BASE + "MODEL = Base()\n",
    "x * self.k",
    "x + self.k",
    name="MODEL",
)
model(
    "bound method among the globals",
    "return RUN(1)",
    BASE + "RUN = Base().run\n",
    "x * self.k",
    "x + self.k",
    name="RUN",
)
model(
    "slots",
    "return MODEL.a",
    "class S:\n    __slots__ = ('a',)\n    def __init__(self, a):\n        self.a = a\nMODEL = S(1)\n",
    "S(1)",
    "S(2)",
    name="MODEL",
)
row(
    "conditional class attribute",
    {
        HOME: home("return Base.k", top="from app.models import Base"),
        MODELS: "import sys\nclass Base:\n    if sys.version_info > (3,):\n        k = 1\n    else:\n        k = 2\n",
    },
    {MODELS: ("k = 1", "k = 3")},
    CHANGED,
)

# --- classes whose instances arrive in values

ITEM = "import dataclasses\nfrom app.helpers import scale\n@dataclasses.dataclass\nclass Item:\n    n: int\n    def total(self):\n        return scale(self.n)\ndef unrelated():\n    return 1\n"
row(
    "class of a value: its method",
    {HOME: home(), MODELS: ITEM, HELP: SCALE},
    {MODELS: ("scale(self.n)", "scale(self.n) + 1")},
    CHANGED,
    cls="app.models:Item",
)
row(
    "class of a value: its method's helper",
    {HOME: home(), MODELS: ITEM, HELP: SCALE},
    {HELP: ("x * 2", "x * 3")},
    CHANGED,
    cls="app.models:Item",
)
row(
    "class of a value: another function",
    {HOME: home(), MODELS: ITEM, HELP: SCALE},
    {MODELS: ("return 1", "return 2")},
    SAME,
    cls="app.models:Item",
)
row(
    "class of a value: its base",
    {
        HOME: home(),
        MODELS: ITEM.replace("class Item", "class Item(Root)").replace("import scale", "import scale, Root"),
        HELP: SCALE + "class Root:\n    k = 1\n",
    },
    {HELP: ("k = 1", "k = 2")},
    CHANGED,
    cls="app.models:Item",
)

# --- awkward objects

own(
    "attribute put on a function that is called too",
    home("return scale.k + scale(1)", top=SCALE + "scale.k = 2"),
    "scale.k = 2",
    "scale.k = 3",
    CHANGED,
)
model(
    "__subclasses__ of a class that is used too",
    "return [c().run() for c in Base.__subclasses__()], Base()",
    "class Base:\n    pass\nclass Child(Base):\n    def run(self):\n        return 1\n",
    "return 1",
    "return 2",
)
model(
    "subclasses of subclasses",
    "return Base.every()",
    "class Base:\n    @classmethod\n    def every(cls):\n        return [c().run() for c in cls.__subclasses__()]\nclass Child(Base):\n    pass\nclass Grandchild(Child):\n    def run(self):\n        return 1\n",
    "return 1",
    "return 2",
)
PROXY = "class Proxy:\n    @property\n    def __class__(self):\n        raise RuntimeError('no')\n    def __getattr__(self, name):\n        raise RuntimeError('no')\n    def __reduce_ex__(self, protocol):\n        raise RuntimeError('no')\nP = Proxy()\n"
model("proxy that raises when it is looked at", "return P", PROXY, "P = Proxy()", "P = Proxy()  # so", SAME, name="P")
own(
    "the environment under another name",
    home("return ENV.get('A')", top="import os\nENV = os.environ"),
    "\n\n\n@step",
    "\n# nothing\n\n@step",
    SAME,
)
own(
    "numpy function in a table",
    home("return F[0]([1])", top="import numpy as np\nF = [np.add]"),
    "np.add",
    "np.subtract",
    CHANGED,
)
own(
    "library function under another name",
    home("return mean([1])", top="import statistics\nmean = statistics.mean"),
    "statistics.mean",
    "statistics.median",
    CHANGED,
)
own(
    "module under an alias",
    home("return m.dumps([1])", top="import json as m"),
    "import json as m",
    "import pickle as m",
    CHANGED,
)
own(
    "name imported from a library",
    home("return join('a')", top="from os.path import join"),
    "from os.path import join",
    "from shlex import join",
    CHANGED,
)
own(
    "memoising decorator",
    home(
        USE,
        top="def memo(fn):\n    cache = {}\n    def wrapper(x):\n        if x not in cache:\n            cache[x] = fn(x)\n        return cache[x]\n    return wrapper\n@memo\ndef scale(x):\n    return x * 2",
    ),
    "x * 2",
    "x * 3",
    CHANGED,
)
own(
    "library decorator that keeps an argument",
    home(
        "return f()",
        top="import functools\ndef g(a, b=1):\n    return a + b\nf = functools.partial(functools.partial(g, 1), b=2)",
    ),
    "b=2",
    "b=3",
    CHANGED,
)
own(
    "property made of lambdas",
    home("return A().p", top="class A:\n    p = property(lambda self: 1)"),
    "self: 1",
    "self: 2",
    CHANGED,
)
own(
    "class body that calls a helper",
    home("return A.k", top="def two():\n    return 2\nclass A:\n    k = two()"),
    "return 2",
    "return 3",
    CHANGED,
)
own(
    "method's default from the class body",
    home("return A().f()", top="K = 1\nclass A:\n    k = K\n    def f(self, x=k):\n        return x"),
    "K = 1",
    "K = 2",
    CHANGED,
)
own(
    "private name in a class",
    home("return A().f()", top="class A:\n    __k = 1\n    def f(self):\n        return self.__k"),
    "__k = 1",
    "__k = 2",
    CHANGED,
)
own(
    "exception class",
    home("raise Bad(1)", top="class Bad(Exception):\n    def __str__(self):\n        return 'a'"),
    "'a'",
    "'b'",
    CHANGED,
)
own(
    "async generator",
    home("return [x async for x in gen()]", top="async def gen():\n    yield 1").replace(
        "def transform", "async def transform"
    ),
    "yield 1",
    "yield 2",
    CHANGED,
)
own(
    "type of an except clause in a helper",
    home(
        USE,
        top="class E(Exception):\n    pass\ndef scale(x):\n    try:\n        return x\n    except E:\n        return 1",
    ),
    "class E(Exception)",
    "class E(ValueError)",
    CHANGED,
)
own("global deleted again", home("return K", top="K = 1\nJ = 2\ndel J"), "J = 2", "J = 3", SAME)
own("chained assignment", home("return B", top="A = B = 1"), "= 1", "= 2", CHANGED)
own("unpacked assignment", home("return B", top="A, B = 1, 2"), "1, 2", "1, 3", CHANGED)
own("unpacked assignment: the other", home("return B", top="A, B = 1, 2"), "1, 2", "3, 2", SAME)
own(
    "variable built in a loop",
    home("return L", top="L = []\nfor i in range(3):\n    L.append(i)"),
    "range(3)",
    "range(4)",
    CHANGED,
)
own(
    "lambda that closes over a loop variable",
    home("return FS[0]()", top="FS = []\nfor i in (1, 2):\n    FS.append(lambda i=i: i)"),
    "(1, 2)",
    "(1, 3)",
    CHANGED,
)
row(
    "installed decorator: annotations count",
    {
        HOME: home(
            "return f(1)",
            top="import attr\nclass C:\n    pass\n@attr.s(auto_attribs=True)\nclass D:\n    x: int = 1\ndef f(x):\n    return D(x)",
        )
    },
    {HOME: ("x: int = 1", "x: float = 1")},
    CHANGED,
)
row(
    "module replaced in sys.modules by an instance",
    {
        HOME: home("return lazy.k", top="from app import lazy"),
        "app/lazy.py": "import sys\nclass Lazy:\n    k = 1\nsys.modules[__name__] = Lazy()\n",
    },
    {"app/lazy.py": ("k = 1", "k = 2")},
    CHANGED,
)
row(
    "package attribute set by its __init__",
    {HOME: home("import app\nreturn app.K"), "app/__init__.py": "K = 1\n"},
    {"app/__init__.py": ("1", "2")},
    CHANGED,
)
row(
    "file that cannot be parsed, imported in the body",
    {
        HOME: home("try:\n    from app.broken import x\nexcept SyntaxError:\n    return 1\nreturn 2"),
        "app/broken.py": "x = = 1\n",
    },
    {"app/broken.py": "x = 1\n"},
    CHANGED,
)
row(
    "circular imports",
    {
        HOME: home("from app import one\nreturn one.f(3)"),
        "app/one.py": "from app import two\ndef f(n):\n    return two.g(n)\n",
        "app/two.py": "from app import one\ndef g(n):\n    return n and one.f(n - 1) or 5\n",
    },
    {"app/two.py": ("5", "6")},
    CHANGED,
)
row(
    "data file beside the code",
    {HOME: home(USE, top=FROM), HELP: SCALE, "app/data.txt": "1"},
    {"app/data.txt": "2"},
    SAME,
)
row(
    "plugins found by iter_modules",
    {
        HOME: home("return REG", top="from app.plugins import REG"),
        "app/plugins/__init__.py": "import importlib, pkgutil\nREG = {}\nfor m in pkgutil.iter_modules(__path__):\n    importlib.import_module(f'{__name__}.{m.name}').register(REG)\n",
        "app/plugins/one.py": "def f():\n    return 1\ndef register(reg):\n    reg['f'] = f\n",
    },
    {"app/plugins/one.py": ("return 1", "return 2")},
    CHANGED,
)
row("conftest-like file not imported", {HOME: home()}, {"conftest.py": "K = 1\n"}, SAME)

own(
    "global that a function assigns, which the step does not call",
    home("return K", top="K = 1\ndef set_k():\n    global K\n    K = 5"),
    "K = 5",
    "K = 6",
    CHANGED,
)
own(
    "connection: how it is made",
    home("return DB.execute('select 1')", top="import sqlite3\nDB = sqlite3.connect(':memory:', timeout=3)"),
    "timeout=3",
    "timeout=4",
    CHANGED,
)
own(
    "annotation under an installed decorator",
    home(USE, top="import pluggy\n@pluggy.HookspecMarker('x')\ndef scale(x: int):\n    return x"),
    "x: int",
    "x: str",
    CHANGED,
)
own(
    "function registered with a library",
    home("return 'a'.encode('odd')", top="import codecs\n@codecs.register\ndef find(name):\n    return None"),
    "return None",
    "return 1",
    CHANGED,
)

# --- installed distributions

SITE = "lib/site-packages"


def distribution(name: str, version: str = "1.0", digest: str = "sha256=aa", requires: str = "") -> dict[str, str]:
    """The files of an installed distribution of one module."""
    info = f"{SITE}/{name}-{version}.dist-info"
    required = f"Requires-Dist: {requires}\n" if requires else ""
    return {
        f"{SITE}/{name}.py": "def scale(x):\n    return x\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}\n",
        f"{info}/RECORD": f"{name}.py,{digest},9\n{info}/RECORD,,\n",
    }


def installed(id_: str, before: dict[str, str], after: dict[str, str], changes: bool) -> None:
    """A row in which what is installed changes."""
    step = {HOME: home("return tiny.scale(1)", top="import tiny")}
    ROWS.append(Row(id_, step | before, step | after, changes, {"path": [SITE]}))


LOW = distribution("low")
TINY = distribution("tiny", requires="low>=1")
installed("installed version", TINY | LOW, distribution("tiny", "1.1", requires="low>=1") | LOW, CHANGED)
installed(
    "same version installed anew",
    TINY | LOW,
    distribution("tiny", digest="sha256=bb", requires="low>=1") | LOW,
    CHANGED,
)
installed("version of a requirement", TINY | LOW, TINY | distribution("low", "2.0"), CHANGED)
installed(
    "version of something else", TINY | LOW | distribution("other"), TINY | LOW | distribution("other", "2"), SAME
)
installed(
    "unhashed package edited in place",
    distribution("tiny", digest=""),
    distribution("tiny", digest="") | {f"{SITE}/tiny.py": "def scale(x):\n    return 2\n"},
    CHANGED,
)
installed("hashed package: its comments", TINY, TINY | {f"{SITE}/tiny.py": "def scale(x):\n    return x  # so\n"}, SAME)
