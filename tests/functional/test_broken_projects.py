"""Projects that cannot be run: each gives its one message, its exit status, and no traceback of stepcache's own."""

from __future__ import annotations

import os
import re
import sys

import pytest
from attrs import field, frozen

from stepcache.testing import Project, Result

HEAD = (
    "from stepcache import All, Dir, File, check, mark, param, parametrize, pipeline, resource, step\n"
    "import stepcache\n"
)
IGNORED = ", or leave it out of the key with ignore=['x']"
LISTS = "  `stepcache --steps` lists what can be asked for"


@frozen
class Broken:
    """Files (text goes behind HEAD where it begins with a line break), arguments, and what is said, whole."""

    id: str
    files: dict[str, str | bytes]
    said: list[str] | str
    args: tuple[str, ...] = ()
    status: int = 2
    env: dict[str, str] = field(factory=dict)


def x(text: str | bytes) -> dict[str, str | bytes]:
    return {"pipeline_x.py": text}


# --- files that cannot be imported (exit status 2) --------------------------------------------

IMPORTS = [
    Broken(
        "syntax error",
        x("\n@step\ndef a(:\n    return 1\n"),
        ["pipeline_x.py:4: SyntaxError: invalid syntax\n    def a(:\n          ^"],
    ),
    Broken(
        "wrong indentation",
        x("def a():\nreturn 1\n"),
        [
            "pipeline_x.py:2: IndentationError: expected an indented block after function definition on line 1\n"
            "    return 1\n    ^"
        ],
    ),
    Broken(
        "a path that no node id can hold",
        {"x::y/pipeline_x.py": "1 / 0\n"},
        ["x::y/pipeline_x.py: '::' parts a file from a node in a node id: rename the file, or its folder"],
    ),
    Broken(
        "missing module",
        x("import no_such_module_at_all\n"),
        [
            "pipeline_x.py:1: cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'\n"
            "    import no_such_module_at_all\n"
            "  install it, correct the name, or name its folder in `pythonpath` of the configuration"
        ],
    ),
    Broken(
        "missing name",
        x("from json import no_such_name\n"),
        [
            "pipeline_x.py:1: cannot be imported: ImportError: cannot import name 'no_such_name' from 'json' "
            f"({os.path.dirname(os.__file__)}/json/__init__.py)\n    from json import no_such_name"
        ],
    ),
    Broken(
        "import that raises",
        x("VALUE = {}['key']\n"),
        ["pipeline_x.py:1: cannot be imported: KeyError: 'key'\n    VALUE = {}['key']"],
    ),
    Broken(
        "helper that raises",
        {"pipeline_x.py": "\nimport broken_helper\n", "broken_helper.py": "def f():\n    1/0\n\nf()\n"},
        [
            "pipeline_x.py:3: cannot be imported, because of broken_helper.py:2\n"
            "  broken_helper.py:2: cannot be imported: ZeroDivisionError: division by zero\n    1/0\n"
            "  reached from\n    broken_helper.py:4: f()"
        ],
    ),
    Broken(
        "import that calls what raises",
        x(
            "def read(path):\n    return open(path)\n\ndef load(n):\n    return load(n - 1) if n else read('no')\n\nload(9)\n"
        ),
        [
            "pipeline_x.py:2: cannot be imported: FileNotFoundError: [Errno 2] No such file or directory: 'no'\n"
            "    return open(path)\n"
            "  reached from\n"
            "    pipeline_x.py:7: load(9)\n"
            "    pipeline_x.py:5: return load(n - 1) if n else read('no')"
        ],
    ),
    Broken(
        "a function that is no step",
        x(
            "import stepcache\n\ndef rows():\n    return [1]\n\n@stepcache.step\ndef total(rows):\n    return sum(rows)\n"
        ),
        [
            "pipeline_x.py:6: step 'total' wants 'rows', and nothing provides it\n    def total(rows)\n"
            "  pipeline_x.py:3: 'rows' is a plain function: @step in front of it makes it a step\n"
            "  `stepcache --steps` lists what can be asked for"
        ],
    ),
    Broken(
        "asynchronous resource",
        x("import stepcache\n\n@stepcache.resource\nasync def client():\n    yield 1\n"),
        [
            "pipeline_x.py:3: @resource decorates an ordinary function, and 'client' is asynchronous: make the object "
            "without `await` (asynchronous steps find their event loop running), or in the step\n    @stepcache.resource"
        ],
    ),
    Broken(
        "helper with a syntax error",
        {"pipeline_x.py": "import wrong_helper\n", "wrong_helper.py": "x = = 1\n"},
        ["wrong_helper.py:1: SyntaxError: invalid syntax\n    x = = 1\n        ^"],
    ),
    Broken(
        "exit while it is imported",
        x("import sys\nsys.exit('bye')\n"),
        [
            "pipeline_x.py:2: cannot be imported: it ends the process (SystemExit: bye)\n    sys.exit('bye')\n"
            "  put what is to run as a script below `if __name__ == '__main__':`"
        ],
    ),
    Broken(
        "skip while it is imported",
        x("import stepcache\nstepcache.skip('not here')\n"),
        [
            "pipeline_x.py:2: skip() was called while the file was imported: not here\n    stepcache.skip('not here')\n"
            "  put @mark.skip on the steps, or call skip() in a step"
        ],
    ),
    Broken(
        "pytest skips while it is imported",
        x("import pytest\npytest.importorskip('there_is_none')\n"),
        [
            "pipeline_x.py:2: skip() was called while the file was imported: could not import 'there_is_none': No module "
            "named 'there_is_none'\n    pytest.importorskip('there_is_none')\n"
            "  put @mark.skip on the steps, or call skip() in a step"
        ],
    ),
    Broken(
        "what is no Exception is raised while it is imported",
        x("import asyncio\nraise asyncio.CancelledError('gone')\n"),
        ["pipeline_x.py:2: cannot be imported: CancelledError: gone\n    raise asyncio.CancelledError('gone')"],
    ),
    Broken(
        "null bytes", x(b"x = 1\0\n"), ["pipeline_x.py:1: SyntaxError: source code string cannot contain null bytes"]
    ),
    Broken(
        "bytes that are no UTF-8",
        x("x = 1\ny = 'ä'\n".encode("latin-1")),
        [
            "pipeline_x.py:2: byte 0xe4 is no UTF-8\n"
            "  save the file as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-"
        ],
    ),
    Broken(
        "stepconf.py that raises",
        {"stepconf.py": "1/0\n", "pipeline_x.py": "\n@step\ndef a(from_stepconf):\n    return 1\n"},
        ["stepconf.py:1: cannot be imported: ZeroDivisionError: division by zero\n    1/0"],
    ),
    Broken(
        "module hidden by another folder's",
        {
            "a/near_by.py": "",
            "a/pipeline_a.py": "import near_by\n",
            "b/near_by.py": "",
            "b/pipeline_b.py": "import os\n\nfrom near_by import x\n",
        },
        [
            "b/pipeline_b.py:3: 'import near_by' means near_by.py beside it, but a/near_by.py of that name hides it\n"
            "  rename near_by.py, or make the folder a package and import it by its full name"
        ],
    ),
    Broken(
        "package hidden by an installed one",
        {"attrs/__init__.py": "", "pipeline_x.py": "import attrs.validators\n"},
        [
            "pipeline_x.py:1: 'import attrs' means attrs/__init__.py beside it, but "
            f"{os.path.dirname(sys.modules['attr'].__file__ or '').removesuffix('attr')}attrs/__init__.py of that name "
            "hides it\n  rename attrs/__init__.py, or make the folder a package and import it by its full name"
        ],
    ),
    Broken(
        "a character that turns the text around",
        x("\n@step\ndef a\u202eb():\n    return 1\n"),
        ["pipeline_x.py:4: SyntaxError: invalid non-printable character U+202E"],
    ),
    Broken(
        "a byte order mark before a fault",
        x("\ufeffx = = 1\n"),
        ["pipeline_x.py:1: SyntaxError: invalid syntax\n    x = = 1\n        ^"],
    ),
    Broken(
        "a file with a very long name",
        {f"pipeline_{'x' * 230}.py": "1/0\n"},
        [f"pipeline_{'x' * 230}.py:1: cannot be imported: ZeroDivisionError: division by zero\n    1/0"],
    ),
]

# --- decorators that are given something wrong (exit status 2) --------------------------------


def bad(name: str, text: str, said: str, line: int = 3, hint: str = "") -> Broken:
    """A fault in the third line of the file, by the message that names it."""
    shown = text.splitlines()[line - 3].strip()
    return Broken(name, x("\n" + text), [f"pipeline_x.py:{line}: {said}\n    {shown}" + (hint and f"\n  {hint}")])


DEF = "def a(x=1):\n    return 1\n"

DECORATORS = [
    bad("a class", "@step\nclass A:\n    pass\n", "@step decorates a function, not <class 'pipeline_x.A'>"),
    bad("no function", "a = step(3)\n", "@step decorates a function, not 3"),
    bad(
        "a lambda",
        "a = step(lambda: 1)\n",
        "@step: a name must be a Python name, and '<lambda>' is none: give it one with name=",
    ),
    bad(
        "a name that is none",
        "@step(name='two words')\n" + DEF,
        "@step: a name must be a Python name, and 'two words' is none: give it one with name=",
    ),
    bad(
        "a name that no parameter can bear",
        "@step(name='class')\n" + DEF,
        "@step: a name must be a Python name, and 'class' is none: give it one with name=",
    ),
    bad(
        "a function without signature",
        "a = step(max, name='a')\n",
        "<built-in function max> has no signature: wrap it in a function whose parameters have names",
    ),
    bad(
        "an unknown option",
        "@step(cached=True)\n" + DEF,
        "cannot be imported: TypeError: step() got an unexpected keyword argument 'cached'",
        hint="it takes enable_cache, name, takes, version, expires, reads, ignore, retries, timeout, codec, save_to, "
        "outputs, slots",
    ),
    bad(
        "enable_cache",
        "@step(enable_cache='no')\n" + DEF,
        "@step(enable_cache=…) takes True or False, not 'no'",
    ),
    bad("version", "@step(version=3)\n" + DEF, "@step(version=…) takes text, not 3"),
    bad(
        "expires",
        "@step(expires='soon')\n" + DEF,
        "@step(expires='soon'): a duration is a timedelta, seconds, or text such as \"90s\", \"12h\" or \"7d\"",
    ),
    bad("reads", "@step(reads=3)\n" + DEF, "@step(reads=…) takes a list of texts, not 3"),
    bad("ignore", "@step(ignore=[3])\n" + DEF, "@step(ignore=…) takes a list of texts, not [3]"),
    bad(
        "takes",
        "@step(takes=['train'])\n" + DEF,
        "@step(takes=…) maps parameters to step names, such as {\"df\": \"train\"}, not ['train']",
    ),
    bad("params", "@pipeline(params=[1])\n" + DEF, "@pipeline(params=…) maps setting names to values, not [1]"),
    bad("builds", "@pipeline(builds='a')\n" + DEF, "@pipeline(builds=…) takes a list of steps or step names, not 'a'"),
    bad("scope", "@resource(scope='day')\n" + DEF, '@resource(scope=…) is "run" or "node", not \'day\''),
    bad(
        "choices of a wrong length",
        "@parametrize('x, y', [(1, 2), (3,)])\n" + DEF,
        "parametrize('x, y'): each choice needs 2 values, not (3,)",
    ),
    bad(
        "a condition as text",
        "@mark.skipif('1 == 1', reason='r')\n" + DEF,
        "mark.skipif('1 == 1'): a condition is given as it is, not as text",
    ),
    bad(
        "choices that are no list",
        "@parametrize('x', 3)\n" + DEF,
        "parametrize('x', 3): names and a list of choices are wanted",
    ),
    bad("too few ids", "@parametrize('x', [1, 2], ids=['a'])\n" + DEF, "parametrize('x'): 2 choices, but 1 ids"),
    bad(
        "an id that is no text",
        "@parametrize('x', [1], ids=[[]])\n" + DEF,
        "parametrize('x'): an id is text or a number, not []",
    ),
    bad("a param with a wrong id", "@parametrize('x', [param(1, id=3)])\n" + DEF, "param(id=3): an id is text"),
]  # fmt: skip

# --- settings that no key can be made of (exit status 2) --------------------------------------

UNKEYABLE = [
    Broken(
        name,
        x("\nimport functools, threading\nRING, DEEP = [], functools.reduce(lambda inner, _: [inner], range(5000), [])\nRING.append(RING)\n" + text),
        [
            f"pipeline_x.py:6: setting 'x' of {what} holds {held}, of which no key can be made\n"
            f"  make it in the body or in a @resource{hint}"
        ],
    )
    for name, text, what, held, hint in (
        ("an object as a setting", "@step\ndef a(x=object()):\n    return 1\n", "step 'a'", "an object of type object", IGNORED),
        ("a lock in a list", "@step\ndef a(x=[threading.Lock()]):\n    return 1\n", "step 'a'", "an object of type _thread.lock", IGNORED),
        ("an object as a choice", "@step\n@parametrize('x', [object()])\ndef a(x):\n    return 1\n", "step 'a'", "an object of type object", IGNORED),
        ("a list that holds itself", "@step\ndef a(x=RING):\n    return 1\n", "step 'a'", "itself", IGNORED),
        ("a list that is too deep", "@step\ndef a(x=DEEP):\n    return 1\n", "step 'a'", "something that is nested too deeply", IGNORED),
        ("a resource's", "@resource\ndef r(x=object()):\n    return 1\n@step\ndef a(r):\n    return 1\n", "resource 'r'", "an object of type object", ""),
    )
]  # fmt: skip

# --- definitions that cannot be wired (exit status 2) -----------------------------------------


def wired(name: str, text: str, *said: str) -> Broken:
    return Broken(name, x("\n" + text), list(said))


def circle(count: int) -> str:
    return "".join(f"@step\ndef s{n}(s{(n + 1) % count}):\n    return 1\n" for n in range(count))


WIRING = [
    wired(
        "a codec that there is not",
        "@step(codec='pickel')\ndef a():\n    return 1\n",
        "pipeline_x.py:3: codec='pickel' of step 'a': there is no such codec; did you mean 'pickle'?",
    ),
    wired(
        "a parameter that nothing provides",
        "@step\ndef a(zork, b=1):\n    return 1\n",
        "pipeline_x.py:3: step 'a' wants 'zork', and nothing provides it\n    def a(zork, b)\n"
        f"  as a required setting it can be given with -P a.zork=VALUE\n{LISTS}",
    ),
    wired(
        "a misspelt parameter",
        "@step\ndef flights():\n    return 1\n@step\ndef a(flihgts):\n    return 1\n",
        "pipeline_x.py:6: step 'a' wants 'flihgts', and nothing provides it\n    def a(flihgts)\n"
        f"  did you mean 'flights' (pipeline_x.py:3)?\n{LISTS}",
    ),
    wired(
        "a step that needs itself",
        "@step\ndef a(a):\n    return 1\n",
        "pipeline_x.py:3: step 'a' wants 'a' itself, and there is none further out\n    def a(a)\n"
        f"  only a definition of an outer stepconf.py is extended so: rename one of the two\n{LISTS}",
    ),
    wired(
        "a circle of two and an unknown name",
        "@step\ndef b(a):\n    return 1\n@step\ndef a(b, zork):\n    return 1\n",
        "pipeline_x.py:3: steps need one another in a circle: b -> a -> b\n"
        "    pipeline_x.py:3: b(a)\n    pipeline_x.py:6: a(b, zork)\n"
        "  take one of these parameters out, or give it a default",
        "pipeline_x.py:6: step 'a' wants 'zork', and nothing provides it\n    def a(b, zork)\n"
        f"  as a required setting it can be given with -P a.zork=VALUE\n{LISTS}",
    ),
    wired(
        "a circle of three",
        circle(3),
        "pipeline_x.py:3: steps need one another in a circle: s0 -> s1 -> s2 -> s0\n"
        "    pipeline_x.py:3: s0(s1)\n    pipeline_x.py:6: s1(s2)\n    pipeline_x.py:9: s2(s0)\n"
        "  take one of these parameters out, or give it a default",
    ),
    wired(
        "a circle of a thousand",
        circle(1000),
        "pipeline_x.py:3: steps need one another in a circle: s0 -> s1 -> s2 -> s3 -> s4 -> s5 -> (989 more) -> "
        "s995 -> s996 -> s997 -> s998 -> s999 -> s0\n"
        + "".join(
            f"    pipeline_x.py:{3 + 3 * n}: s{n}(s{(n + 1) % 1000})\n" for n in (*range(6), *range(995, 1000))
        )
        + "  take one of these parameters out, or give it a default",
    ),
    wired(
        "two circles",
        circle(2) + circle(2).replace("s", "t").replace("@ttep", "@step"),
        "pipeline_x.py:3: steps need one another in a circle: s0 -> s1 -> s0\n"
        "    pipeline_x.py:3: s0(s1)\n    pipeline_x.py:6: s1(s0)\n"
        "  take one of these parameters out, or give it a default",
        "pipeline_x.py:9: steps need one another in a circle: t0 -> t1 -> t0\n"
        "    pipeline_x.py:9: t0(t1)\n    pipeline_x.py:12: t1(t0)\n"
        "  take one of these parameters out, or give it a default",
    ),
    wired(
        "*args and **kwargs",
        "@step\ndef a(*rest, **more):\n    return 1\n@resource\ndef r(**more):\n    return 1\n",
        "pipeline_x.py:3: step 'a' has *rest in its signature\n  name each step and setting that it takes",
        "pipeline_x.py:3: step 'a' has **more in its signature\n  name each step and setting that it takes",
        "pipeline_x.py:6: resource 'r' has **more in its signature\n  name each step and setting that it takes",
    ),
    wired(
        "a parameter without a name for callers",
        "@step\ndef a(b=1, /):\n    return 1\n",
        "pipeline_x.py:3: step 'a' has 'b' before the / in its signature, and values are handed on by name\n"
        "  take the / out",
    ),
    wired(
        "two definitions of a name",
        "@step\ndef a():\n    return 1\n@step\ndef a():\n    return 2\n",
        "pipeline_x.py:6: step 'a' is defined twice in pipeline_x.py: first as a step at pipeline_x.py:3\n"
        "  rename one of them, or give one another name with name=…",
    ),
    wired(
        "steps of a loop that have one variable",
        "for name in ('a', 'b'):\n    @step(name=name)\n    def part():\n        return 1\n",
        "pipeline_x.py:4: step 'a' has no variable of the file, where it is found\n"
        "  assign it to one of its own; in a loop: globals()[NAME] = step(FUNCTION, name=NAME)",
    ),
    wired(
        "a step in a list",
        "def part():\n    return 1\nparts = [step(part, name='a')]\n",
        "pipeline_x.py:3: step 'a' has no variable of the file, where it is found\n"
        "  assign it to one of its own; in a loop: globals()[NAME] = step(FUNCTION, name=NAME)",
    ),
    wired(
        "steps of a maker in containers",
        "def maker(name):\n    @step(name=name)\n    def part():\n        return 1\n    return part\n"
        "parts = [maker('a')]\nby_name = {'b': (maker('b'),)}\nclass C:\n    c = maker('c')\nd = maker('d')\nmaker('e')\n",
        *(
            f"pipeline_x.py:4: step '{name}' has no variable of the file, where it is found\n"
            "  assign it to one of its own; in a loop: globals()[NAME] = step(FUNCTION, name=NAME)"
            for name in "abc"
        ),
    ),
    wired(
        "a step that a function has replaced",
        "@step\ndef a():\n    return 1\ndef a():\n    return 2\n",
        "pipeline_x.py:3: step 'a' has no variable of the file, where it is found\n"
        "  assign it to one of its own; in a loop: globals()[NAME] = step(FUNCTION, name=NAME)",
    ),
    wired(
        "two kinds of one name",
        "@step\ndef a():\n    return 1\n@pipeline(name='a')\ndef b():\n    return 2\n",
        "pipeline_x.py:6: pipeline 'a' is defined twice in pipeline_x.py: first as a step at pipeline_x.py:3\n"
        "  rename one of them, or give one another name with name=…",
    ),
    wired(
        "two steps of one function with one name",
        "def f():\n    return 1\none = step(f, name='n')\ntwo = step(f, name='n', version='2')\n",
        "pipeline_x.py:3: step 'n' is defined twice in pipeline_x.py: first as a step at pipeline_x.py:3\n"
        "  rename one of them, or give one another name with name=…",
    ),
    Broken(
        "two imports of one name",
        {
            "one.py": "\n@step\ndef clean():\n    return 1\n",
            "two.py": "\n@step\ndef clean():\n    return 2\n",
            "pipeline_x.py": "from one import clean\nfrom two import clean\n",
            "pipeline_y.py": "from one import clean\nfrom two import clean as other\n",
        },
        [
            f"two.py:3: step 'clean' is defined twice in {file}: first as a step at one.py:3\n"
            "  rename one of them, or give one another name with name=…"
            for file in ("pipeline_x.py", "pipeline_y.py")
        ],
    ),
    wired(
        "a step in a class",
        "class A:\n    @step\n    def a(self):\n        return 1\n",
        "pipeline_x.py:4: step 'a' stands in class A, where it is not found\n  move it out of the class",
    ),
    wired(
        "a pipeline asked for as a step",
        "@pipeline\ndef p():\n    return 1\n@pipeline\ndef q(p):\n    return 1\n",
        "pipeline_x.py:6: pipeline 'q' wants 'p', and nothing provides it\n    def q(p)\n"
        f"  pipeline_x.py:3: 'p' is a pipeline, whose value no step can ask for\n{LISTS}",
    ),
    wired(
        "a check asked for as a step",
        "@step\ndef s():\n    return 1\ndef check_s(s):\n    assert s\n@step\ndef t(check_s):\n    return 1\n",
        "pipeline_x.py:8: step 't' wants 'check_s', and nothing provides it\n    def t(check_s)\n"
        f"  pipeline_x.py:6: 'check_s' is a check, which has no value\n{LISTS}",
    ),
    wired(
        "all variants of a resource",
        "@resource\ndef r():\n    return 1\n@step\ndef s(r: All):\n    return 1\n",
        "pipeline_x.py:6: step 's' takes every variant of 'r', which is a resource (pipeline_x.py:3)\n"
        "  All gives the values of steps: take it without All",
    ),
    wired(
        "a step to build that there is not",
        "@step\ndef train():\n    return 1\n@pipeline(builds=['trian'])\ndef p():\n    return 1\n",
        "pipeline_x.py:6: pipeline 'p' builds 'trian', and no step of that name is found\n"
        f"  did you mean 'train' (pipeline_x.py:3)?\n{LISTS}",
    ),
    wired(
        "a resource to build",
        "@resource\ndef live():\n    return 1\n@pipeline(builds=['live'])\ndef p():\n    return 1\n",
        "pipeline_x.py:6: pipeline 'p' builds 'live', and no step of that name is found\n"
        f"  pipeline_x.py:3: 'live' is a resource, which cannot be built\n{LISTS}",
    ),
    wired(
        "takes of an unknown parameter and of an unknown step",
        "@step\ndef train():\n    return 1\n@step(takes={'dff': 'train', 'df': 'trian'})\ndef a(df):\n    return 1\n",
        "pipeline_x.py:6: step 'a' says takes={'dff': …}, and has no parameter 'dff'; did you mean 'df'?",
        "pipeline_x.py:6: step 'a' wants 'trian', and nothing provides it\n    def a(df)\n"
        f"  did you mean 'train' (pipeline_x.py:3)?\n{LISTS}",
    ),
    wired(
        "takes of an unknown step for a parameter with a default",
        "@step\ndef train():\n    return 1\n@step(takes={'df': 'trian'})\ndef a(df=None):\n    return 1\n",
        "pipeline_x.py:6: step 'a' wants 'trian', and nothing provides it\n    def a(df)\n"
        f"  did you mean 'train' (pipeline_x.py:3)?\n{LISTS}",
    ),
    wired(
        "ignore of an unknown parameter",
        "@step(ignore=['vrebose', 'env:X', 'file:y'])\ndef a(verbose=1):\n    return 1\n",
        "pipeline_x.py:3: step 'a' says ignore='vrebose', and has no parameter 'vrebose'; did you mean 'verbose'?\n"
        '  variables are written "env:NAME", files "file:GLOB"',
    ),
    wired(
        "parametrize of an unknown parameter",
        "@step\n@parametrize('depht', [1])\ndef a(depth=1):\n    return 1\n",
        "pipeline_x.py:3: step 'a' is parametrised with 'depht', and has no parameter 'depht'; did you mean 'depth'?",
    ),
    wired(
        "parametrize of one name twice",
        "@step\n@parametrize('x', [1])\n@parametrize('x, y', [(1, 2)])\ndef a(x, y):\n    return 1\n",
        "pipeline_x.py:3: step 'a' is parametrised with 'x' 2 times\n  name it in one parametrize",
    ),
    wired(
        "takes and parametrize of one name",
        "@step\ndef t():\n    return 1\n@step(takes={'x': 't'})\n@parametrize('x', [1])\ndef a(x):\n    return 1\n",
        "pipeline_x.py:6: step 'a' is given 'x' by takes= and by parametrize\n  take one of them out",
    ),
    wired(
        "a resource of the run that takes one of a node",
        "@resource(scope='node')\ndef short():\n    return 1\n@resource\ndef long(short):\n    return 1\n"
        "@step\ndef a(long):\n    return 1\n",
        'pipeline_x.py:6: resource \'long\' has scope "run" and takes \'short\', which is torn down after each node\n'
        "    pipeline_x.py:3: resource 'short' has scope \"node\"\n  give both the same scope",
    ),
    wired(
        "names outside ASCII",
        "@step\ndef größe():\n    return 1\n@step\ndef b(grösse):\n    return 1\n",
        "pipeline_x.py:6: step 'b' wants 'grösse', and nothing provides it\n    def b(grösse)\n"
        f"  did you mean 'größe' (pipeline_x.py:3)?\n{LISTS}",
    ),
    wired(
        "a very long name",
        f"@step\ndef {'a' * 500}():\n    return 1\n@step\ndef b({'a' * 499}):\n    return 1\n",
        f"pipeline_x.py:6: step 'b' wants '{'a' * 499}', and nothing provides it\n    def b({'a' * 499})\n"
        f"  did you mean '{'a' * 500}' (pipeline_x.py:3)?\n{LISTS}",
    ),
    Broken(
        "unknown marks",
        x("\n@step\n@mark.slwo\ndef a():\n    return 1\n@step\n@parametrize('x', [param(1, marks=mark.odd)])\n"
          "def b(x):\n    return 1\n"),
        [
            "pipeline_x.py:3: 'slwo' is no known mark; did you mean 'slow'?\n"
            "  add it to `markers` in the configuration, or correct the name",
            "pipeline_x.py:7: 'odd' is no known mark\n"
            "  add it to `markers` in the configuration, or correct the name",
        ],
        args=("--strict-markers", "-o", "markers=slow"),
    ),
    Broken(
        "faults of every kind at once",
        {
            "pipeline_a.py": "1/0\n",
            "pipeline_b.py": "x =\n",
            "pipeline_c.py": "\n@step\ndef a(b, *c):\n    return 1\n@step\ndef d(e):\n    return 1\n",
        },
        [
            "pipeline_a.py:1: cannot be imported: ZeroDivisionError: division by zero\n    1/0",
            "pipeline_b.py:1: SyntaxError: invalid syntax\n    x =\n       ^",
            "pipeline_c.py:3: step 'a' has *c in its signature\n  name each step and setting that it takes",
            "pipeline_c.py:3: step 'a' wants 'b', and nothing provides it\n    def a(b, *c)\n"
            f"  as a required setting it can be given with -P a.b=VALUE\n{LISTS}",
            "pipeline_c.py:6: step 'd' wants 'e', and nothing provides it\n    def d(e)\n"
            f"  as a required setting it can be given with -P d.e=VALUE\n{LISTS}",
        ],
    ),
]  # fmt: skip

# --- the command, the configuration and plugins (exit status 4) -------------------------------

STEP = "\n@step\ndef a(lr=0.1):\n    return 1\n"


def usage(name: str, said: str, *args: str, toml: str | None = None, status: int = 4, **files: str) -> Broken:
    written: dict[str, str | bytes] = {"pipeline_x.py": STEP}
    written |= {name.replace("__", "/") + ".py": text for name, text in files.items()}
    if toml is not None:
        written["pyproject.toml"] = toml
    return Broken(name, written, said, args, status)


def table(text: str) -> str:
    return "[tool.stepcache]\n" + text


USAGE = [
    usage("file not found", "file or directory not found: pipeline_no.py", "pipeline_no.py"),
    usage(
        "a value apart from its option",
        "file or directory not found: 1GiB\n  a value of --cache-gc follows it after `=`: --cache-gc=SIZE",
        "--cache-gc",
        "1GiB",
    ),
    usage(
        "a value apart from its option in a run",
        "file or directory not found: model\n  a value of --cache-refresh follows it after `=`: "
        "--cache-refresh=EXPRESSION",
        "--cache-refresh",
        "model",
    ),
    usage("a file that is not there to be verified", "file or directory not found: no", "--cache-verify", "no"),
    usage(
        "a data file",
        "pyproject.toml is no Python file: give a pipeline file, a directory or a node id",
        "pyproject.toml",
    ),
    usage(
        "a file of tests",
        "test_a.py is a file of tests: pytest runs those, stepcache never does",
        "test_a.py",
        test_a="",
    ),
    usage("an id of a directory", "sub::a: sub is a directory: a node id starts with a file", "sub::a", sub__helper=""),
    usage(
        "an unknown node",
        "pipeline_x.py::b: there is no such node in pipeline_x.py\n  `stepcache --collect-only -q` lists the nodes",
        "pipeline_x.py::b",
    ),
    usage(
        "an unknown option",
        "unknown option '--collect-onyl'; did you mean '--collect-only'?\n'stepcache --help' lists all options",
        "--collect-onyl",
    ),
    usage(
        "an option of pytest's with another name here",
        "unknown option '--fixtures': here it is '--steps'",
        "--fixtures",
    ),
    usage("an option without its value", "-k needs a value: -k EXPRESSION", "-k"),
    usage("a value that does not fit", "--maxfail expects a whole number, not 'many'", "--maxfail=many"),
    usage(
        "a wrong expression",
        "Wrong expression passed to '-k': a and: at column 6: expected not OR left parenthesis OR identifier; "
        "got end of input",
        "-k",
        "a and",
    ),
    usage(
        "an expression that is nested too deep",
        f"Wrong expression passed to '-k': {'(' * 5000}: at column 101: nested more than 100 deep",
        "-k",
        "(" * 5000,
    ),
    usage(
        "an option longer than any",
        f"unknown option '--{'y' * 5000}'\n'stepcache --help' lists all options",
        "--" + "y" * 5000,
    ),
    usage(
        "a node outside ASCII",
        "pipeline_größe 📈.py::ä: there is no such node in pipeline_größe 📈.py\n"
        "  `stepcache --collect-only -q` lists the nodes",
        "pipeline_größe 📈.py::ä",
        **{"pipeline_größe 📈": STEP},
    ),
    usage("a setting that there is not", "-P: no step has a setting 'l': did you mean lr?", "-P", "l=1"),
    usage(
        "a setting of a step that there is not, and others have",
        "-P: no step has a setting 'train.lr': did you mean a.lr?",
        "-P",
        "train.lr=1",
    ),
    usage(
        "a path of the configuration that there is not",
        "pyproject.toml:2: pipelinepaths: file or directory not found: pipes",
        toml=table("pipelinepaths = ['pipes']\n"),
    ),
    usage("a setting without a value", "-P expects NAME=VALUE or STEP.NAME=VALUE, not 'lr'", "-P", "lr"),
    usage(
        "a setting of a wrong type",
        "-P: lr = 'much' does not fit step 'a' (pipeline_x.py:3): a float is wanted",
        "-P",
        "lr=much",
    ),
    usage(
        "a table for a step among the settings",
        """pyproject.toml:2: [tool.stepcache.params]: 'a' is a step, no setting: write "a.lr", in quotes""",
        toml="[tool.stepcache]\nparams.a.lr = 1\n",
    ),
    usage("a node id without a file", "::a: it names no file: a node id starts with a file", "::a"),
    usage(
        "a profile that there is not",
        "--profile ci: there is no such profile: the configuration has none",
        "--profile=ci",
    ),
    usage(
        "wrong TOML",
        "pyproject.toml:1:16: not valid TOML: Expected ']' at the end of a table declaration",
        toml="[tool.stepcache\n",
    ),
    usage(
        "an unknown key",
        "pyproject.toml:2: unknown key 'pipelinepath'; did you mean 'pipelinepaths'?",
        toml=table("pipelinepath = ['x']\n"),
    ),
    usage(
        "a key of pytest's",
        "pyproject.toml:2: unknown key 'testpaths': here it is 'pipelinepaths'",
        toml=table("testpaths = ['x']\n"),
    ),
    usage(
        "a key of a wrong type",
        "pyproject.toml:2: pipelinepaths expects a list of texts, not 'x'",
        toml=table("pipelinepaths = 'x'\n"),
    ),
    usage("params that are no table", "pyproject.toml:2: params expects a table, not 3", toml=table("params = 3\n")),
    usage(
        "an unknown setting in the configuration",
        "pyproject.toml:2: [tool.stepcache.params]: 'a' has no setting 'lrr': did you mean a.lr?",
        toml=table("params = {'a.lrr' = 3}\n"),
    ),
    usage(
        "a setting of a wrong type in the configuration",
        "pyproject.toml:2: [tool.stepcache.params]: when = 'soon' does not fit step 'b' (pipeline_y.py:4): a date is wanted",
        toml=table("params = {when = 'soon'}\n"),
        pipeline_y="\nfrom datetime import date\n@step\ndef b(when: date = None):\n    return 1\n",
    ),
    usage(
        "a project for a later version",
        "pyproject.toml:2: this project needs stepcache 99 or later, and this is 0.1.0",
        toml=table("minversion = '99'\n"),
    ),
    usage(
        "a plugin that there is not",
        "plugin no_such_plugin (asked for by -p no_such_plugin) cannot be imported: No module named 'no_such_plugin'",
        "-p",
        "no_such_plugin",
    ),
    usage(
        "a plugin that raises",
        "plugin raising_plugin (asked for by pyproject.toml:2) cannot be imported: ZeroDivisionError: division by zero",
        toml=table("plugins = ['raising_plugin']\npythonpath = ['.']\n"),
        raising_plugin="1/0\n",
    ),
    usage("a root that there is not", "--rootdir: there is no directory /no/such/root", "--rootdir=/no/such/root"),
]

# --- nothing to do ----------------------------------------------------------------------------

NOTHING = [
    Broken("an empty directory", {}, "", status=5),
    Broken("an empty file", x(""), "", status=5),
    Broken("a file without steps", x("x = 1\n"), "", status=5),
    Broken("a folder that is called like a pipeline file", {"pipeline_x.py/data.txt": "x"}, "", status=5),
    Broken("everything ignored", x(STEP), "", args=("--ignore=pipeline_x.py",), status=5),
    Broken("nothing that fits", x(STEP), "", args=("-k", "zzz"), status=5),
]

EVERY = [*IMPORTS, *DECORATORS, *UNKEYABLE, *WIRING, *USAGE, *NOTHING]


def written(project: Project, case: Broken) -> None:
    for name, text in case.files.items():
        path = project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str) and text.startswith("\n") and name.endswith(".py"):
            text = HEAD + text[1:]
        path.write_bytes(text.encode() if isinstance(text, str) else text)


def checked(case: Broken, result: Result) -> None:
    assert result.exit_code == case.status, result.stdout + result.stderr
    assert result.outcomes == {}
    if isinstance(case.said, list):
        assert result.errors == case.said
        assert result.stderr == ""
        for each in case.said:
            for line in each.splitlines():
                assert line in result.stdout
    else:
        assert result.errors == []
        assert result.stderr == (f"ERROR: {case.said}\n" if case.said else "")
    assert "Traceback" not in result.stdout + result.stderr
    assert "stepcache/" not in result.stdout.partition("cache:")[0] + result.stderr


@pytest.mark.parametrize("case", EVERY, ids=[case.id.replace(" ", "-") for case in EVERY])
def test_a_broken_project(stepcache_project: Project, case: Broken) -> None:
    written(stepcache_project, case)
    checked(case, stepcache_project.run(*case.args))


def test_there_are_forty_kinds_at_the_least() -> None:
    """A kind is one way of being broken: its message, without what hangs on the names in it."""
    said = {re.sub(r"'[^']*'|\d+|a{9,}|[xy]{9,}", "…", "".join(case.said)) for case in EVERY}
    assert len(said) >= 40


def test_a_working_directory_that_is_gone(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = stepcache_project.path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for args in ((), ("--help",)):
        assert stepcache_project.run(*args).stderr == (
            "ERROR: the working directory is gone: change to one that is there\n"
        )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("@step(enable_cahe=True)", "enable_cache"),
        ("@pipeline(paramz={})", "params"),
        ("@check(warm=True)", "warn"),
        ("@step(retries=stepcache.Retry(3, dely=1))", "delay"),
    ],
)
def test_a_misspelt_option_of_a_decorator(stepcache_project: Project, text: str, meant: str) -> None:
    """Some Pythons say it themselves."""
    stepcache_project.write("pipeline_x.py", f"{HEAD}{text}\n{DEF}")
    (error,) = stepcache_project.run().errors
    assert error.lower().count(f"did you mean '{meant}'?") == 1


def test_a_name_is_asked_for_as_python_spells_it(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py", HEAD + "@step(name='ﬁle')\ndef a():\n    return 1\n@step\ndef b(ﬁle):\n    return ﬁle\n"
    )
    assert stepcache_project.run().outcomes == {"pipeline_x.py::file": "ran", "pipeline_x.py::b": "ran"}


@pytest.mark.parametrize("case", [IMPORTS[0], IMPORTS[7], WIRING[5], USAGE[0], NOTHING[0]], ids=lambda case: case.id)
def test_a_broken_project_by_the_command(stepcache_project: Project, case: Broken) -> None:
    written(stepcache_project, case)
    checked(case, stepcache_project.command(*case.args))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_cannot_be_read(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py").chmod(0)
    assert stepcache_project.run().errors == [
        "pipeline_x.py:1: cannot be imported: PermissionError: Permission denied\n  make the file readable"
    ]


def test_folders_that_cannot_be_looked_into(stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    stepcache_project.write("pipeline_x.py", "1 / 0\n")
    for name in ("a", "b/c"):
        stepcache_project.write(f"{name}/pipeline_y.py")
    scandir = os.scandir

    def refused(path: str) -> object:
        if path.endswith(("/a", "/b/c")):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert [each.splitlines()[0] for each in result.errors] == [
        "a: cannot be looked into: Permission denied",
        "b/c: cannot be looked into: Permission denied",
        "pipeline_x.py:1: cannot be imported: ZeroDivisionError: division by zero",
    ]
    assert stepcache_project.run("--ignore=a", "--ignore=b", "--ignore=pipeline_x.py").exit_code == 5


def test_a_link_to_a_file_that_is_gone(stepcache_project: Project) -> None:
    (stepcache_project.path / "pipeline_x.py").symlink_to("nowhere.py")
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert result.errors == [
        "pipeline_x.py:1: cannot be imported: FileNotFoundError: it is a link to nowhere.py: No such file or directory\n"
        "  correct the link, or remove it"
    ]


def test_a_check_without_its_asserts_is_refused(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        import stepcache
        from stepcache import step

        @step
        def a():
            return 1

        def check_a(a):
            assert a == 2

        if __name__ == "__main__":
            import pipeline_x
            print(pipeline_x.a.run(check=False).errors[0]["message"])
        """,
    )
    told = project.python("-O", "pipeline_x.py")
    assert (told.stdout, told.stderr) == (
        "pipeline_x.py:8: check_a can't fail: under `python -O` Python leaves out the asserts of what it imports itself\n"
        "  run Python without -O and PYTHONOPTIMIZE, or have stepcache import the file: "
        'stepcache.run("pipeline_x.py")\n',
        "",
    )


def test_after_an_error_is_mended_the_same_process_goes_on(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("helper_to_mend.py", "VALUE = 1 +\n")
    project.write("pipeline_x.py", "from helper_to_mend import VALUE\n" + HEAD + "@step\ndef a():\n    return VALUE\n")
    assert project.run().exit_code == 2
    project.write("helper_to_mend.py", "VALUE = 1 + 1\n")
    assert project.run().outcomes == {"pipeline_x.py::a": "ran"}


def test_from_python_the_errors_are_in_the_run_or_raised(stepcache_project: Project) -> None:
    import stepcache

    stepcache_project.write("pipeline_x.py", HEAD + "@step\ndef a(b, *c):\n    return 1\n")
    run = stepcache.run()
    said = [
        "pipeline_x.py:3: step 'a' has *c in its signature\n  name each step and setting that it takes",
        "pipeline_x.py:3: step 'a' wants 'b', and nothing provides it\n    def a(b, *c)\n"
        f"  as a required setting it can be given with -P a.b=VALUE\n{LISTS}",
    ]
    assert (run.exit_code, run.nodes) == (2, [])
    assert run.errors == [{"id": "pipeline_x.py", "message": said[0]}, {"id": "pipeline_x.py::a", "message": said[1]}]
    with pytest.raises(stepcache.CollectionFailed) as caught:
        stepcache.run(check=True)
    assert str(caught.value) == "\n".join(said)
    with pytest.raises(stepcache.UsageError) as wrong:
        stepcache.run("pipeline_no.py")
    assert str(wrong.value) == "file or directory not found: pipeline_no.py"


def test_installed_code_that_raises_while_it_is_imported_is_told_by_its_place(
    stepcache_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = stepcache_project.path.parent / "site-packages"
    library.mkdir()
    (library / "old_library_x.py").write_text("raise ImportError('it needs another one')\n")
    monkeypatch.syspath_prepend(library)
    stepcache_project.write("pipeline_x.py", "import old_library_x\n")
    assert stepcache_project.run().errors == [
        "pipeline_x.py:1: cannot be imported: ImportError: it needs another one\n    import old_library_x\n"
        f"  raised in {library}/old_library_x.py:1"
    ]
