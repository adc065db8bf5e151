"""What a watched piece of project code is seen to read, and whether it still holds after a change."""

from __future__ import annotations

import hashlib
import importlib
import os
import sqlite3
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import stepcache
from stepcache.key import conclude, native, watch
from stepcache.key.environment import below
from stepcache.key.files import FileDigests, stamp_of
from stepcache.key.observe import Look, Observer, Rules, Seen, now

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning", "ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def keyed(text: str) -> str:
    return hashlib.sha256(b"secret" + text.encode()).hexdigest()


class Project:
    """A folder of project code that is watched, beside one of installed code."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "proj"
        self.site = folder / "lib" / "site-packages"
        self.home = folder / "home"
        for path in (self.root / "data", self.root / "inbox", self.site, self.home / ".cache" / "tool"):
            path.mkdir(parents=True)
        self.observer = Observer(lambda file: below(file, str(self.root)))
        self.cache = folder / "cache"

    def write(self, name: str, text: str = "1\n") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def module(self, source: str, name: str = "code.py", folder: Path | None = None) -> ModuleType:
        """A module of that source that stands in the project, or in *folder*."""
        path = (folder or self.root) / name
        module = ModuleType(name.removesuffix(".py"))
        module.__dict__.update(__file__=str(path), ROOT=self.root)
        exec(compile(textwrap.dedent(source), str(path), "exec"), module.__dict__)
        return module

    def look(self) -> Look:
        return Look(str(self.root), os.getcwd(), FileDigests(), dict(os.environ), keyed)

    def rules(self, *ignore: str) -> Rules:
        return Rules(str(self.root), environ={"HOME": str(self.home)}, cache=(str(self.cache),), ignore=ignore)

    def see(self, source: str, ignore: tuple[str, ...] = (), **known: object) -> Seen:
        """What `step()` of that source is seen to do."""
        module = self.module(source)
        with self.observer.watch() as watching:
            module.step()
        return watching.conclude(self.look(), self.rules(*ignore), **known)  # type: ignore[arg-type]

    def lapsed(self, seen: Seen) -> set[str]:
        """The labels of the observations that do not hold now."""
        look = self.look()
        return {o.label for o in seen.observations if now(o, look) != o.digest}


def names(seen: Seen) -> set[tuple[str, str]]:
    return {(o.kind, o.name.partition("\0")[0]) for o in seen.observations}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.chdir(project.root)
    return project


PREAMBLE = "import os, sqlite3, subprocess, sys, shutil\nfrom pathlib import Path\n"

# (what it does, the body of the step, what counts)
READS = [
    ("open by absolute path", "open(ROOT / 'data/a.txt').read()", {("file", "root:data/a.txt")}),
    ("open by relative path", "open('data/a.txt').read()", {("file", "cwd:data/a.txt")}),
    ("open by bytes", "open(b'data/a.txt').read()", {("file", "cwd:data/a.txt")}),
    ("os.open", "os.close(os.open(ROOT / 'data/a.txt', os.O_RDONLY))", {("file", "root:data/a.txt")}),
    ("os.open in an open folder",
     "d = os.open(ROOT / 'data', os.O_RDONLY)\nos.close(os.open('a.txt', os.O_RDONLY, dir_fd=d))\nos.close(d)",
     {("file", "root:data/a.txt")}),
    ("read_text", "(ROOT / 'data/a.txt').read_text()", {("file", "root:data/a.txt")}),
    ("a missing file", "try:\n    open('data/none')\nexcept OSError:\n    pass", {("file", "cwd:data/none")}),
    ("listdir", "os.listdir(ROOT / 'inbox')", {("dir", "root:inbox")}),
    ("listdir of the working directory", "os.listdir()", {("dir", "cwd:.")}),
    ("scandir by descriptor", "d = os.open('inbox', os.O_RDONLY)\nlist(os.scandir(d))\nos.close(d)", {("dir", "root:inbox")}),
    ("glob", "list((ROOT / 'inbox').glob('*.txt'))", {("names", "root:inbox")}),
    ("rglob", "list((ROOT / 'inbox').rglob('*.txt'))", {("names", "root:inbox")}),
    ("glob.glob", "import glob\nglob.glob('inbox/*.txt')", {("names", "cwd:inbox")}),
    ("iterdir", "list((ROOT / 'inbox').iterdir())", {("dir", "root:inbox")}),
    ("os.walk", "list(os.walk('inbox'))", {("dir", "cwd:inbox")}),
    ("exists", "os.path.exists('flag')", {("exists", "cwd:flag")}),
    ("Path.exists", "(ROOT / 'flag').exists()", {("exists", "root:flag")}),
    ("access", "os.access(ROOT / 'flag', os.F_OK)", {("exists", "root:flag")}),
    ("is_file", "(ROOT / 'data/a.txt').is_file()", {("exists", "root:data/a.txt")}),
    ("size", "os.path.getsize('data/a.txt')", {("size", "cwd:data/a.txt")}),
    ("stat", "os.stat('data/a.txt').st_size", {("size", "cwd:data/a.txt")}),
    ("islink", "os.path.islink('data/a.txt')", {("link", "cwd:data/a.txt")}),
    ("environ[]", "os.environ['STEP_X']", {("env", "STEP_X")}),
    ("getenv of a missing one", "os.getenv('STEP_NONE')", {("env", "STEP_NONE")}),
    ("in environ", "'STEP_X' in os.environ", {("env", "STEP_X")}),
    ("after the whole environment", "dict(os.environ)\nos.environ['STEP_' + 'X']", {("env", "STEP_X")}),
    ("expandvars", "os.path.expandvars('$STEP_X/y')", {("env", "STEP_X")}),
    ("environb", "os.environb[b'STEP_X']", {("env", "STEP_X")}),
    ("sqlite", "c = sqlite3.connect(ROOT / 'x.db')\nc.execute('select k from t').fetchall()\nc.close()", {("sqlite", "root:x.db")}),
    ("sqlite by URI", "sqlite3.connect(f'file:{ROOT}/x.db?mode=ro', uri=True).close()", {("sqlite", "root:x.db")}),
    ("sqlite attached", "c = sqlite3.connect(':memory:')\nc.execute('attach ? as y', (str(ROOT / 'x.db'),))\nc.close()",
     {("sqlite", "root:x.db")}),
    ("sqlite attached by a literal", "c = sqlite3.connect(':memory:')\nc.execute(f\"attach '{ROOT}/x.db' as y\")\nc.close()",
     {("sqlite", "root:x.db")}),
    ("a link's target", "open('data/link.txt').read()", {("file", "cwd:data/link.txt")}),
    ("in a thread", "import threading\nt = threading.Thread(target=lambda: open('data/a.txt').read())\nt.start()\nt.join()",
     {("file", "cwd:data/a.txt")}),
    ("in another directory", "os.chdir('data')\nopen('a.txt').read()\nos.chdir('..')", {("file", "root:data/a.txt")}),
    ("read, then changed", "open('data/a.txt').read()\nopen('data/a.txt', 'w').write('2')", {("file", "cwd:data/a.txt")}),
    ("r+", "f = open('data/a.txt', 'r+')\nf.write('2')\nf.close()", {("file", "cwd:data/a.txt")}),
    ("moved away", "os.rename('data/a.txt', 'data/b.txt')\nopen('data/b.txt').read()", {("file", "cwd:data/a.txt")}),
    ("linked", "os.symlink(ROOT / 'data/a.txt', 'data/b.txt')\nopen('data/b.txt').read()", {("file", "root:data/a.txt")}),
]  # fmt: skip

# What counts for nothing.
IDLE = [
    ("write", "open('data/new.txt', 'w').write('x')"),
    ("write, then read", "open('data/new.txt', 'w').write('x')\nopen('data/new.txt').read()\nos.path.exists('data/new.txt')"),
    ("overwrite, then read", "open('data/a.txt', 'w').write('x')\nopen('data/a.txt').read()"),
    ("test, then make", "if not os.path.exists('out'):\n    os.mkdir('out')\nopen('out/x', 'w').close()\nos.listdir('out')"),
    ("make folders", "os.makedirs('data', exist_ok=True)\nPath('out/a').mkdir(parents=True, exist_ok=True)"),
    ("make, move, read", "open('data/t', 'w').write('x')\nos.replace('data/t', 'data/u')\nopen('data/u').read()"),
    ("append to a log", "open('data/a.txt', 'a').write('x')"),
    ("temporary file", "import tempfile\nwith tempfile.NamedTemporaryFile('w+') as f:\n    f.write('x')\n    f.seek(0)\n    open(f.name).read()"),
    ("unnamed temporary file", "import tempfile\nwith tempfile.TemporaryFile('w+') as f:\n    f.write('x')"),
    ("temporary folder", "import tempfile\nwith tempfile.TemporaryDirectory() as d:\n    open(d + '/x', 'w').close()\n    os.listdir(d)\n    os.mkdir(d + '/y')"),
    ("replace a folder", "os.mkdir('out')\nopen('out/x', 'w').close()\nshutil.rmtree('out')\nos.mkdir('out')\nos.listdir('out')"),
    ("devices", "open('/dev/null').read()\nopen('/proc/self/stat').read()\nos.path.exists('/dev/shm')"),
    ("stdlib file", "open(os.__file__).read()"),
    ("import", "import importlib\nimportlib.import_module('wsgiref.util')\nimport colorsys"),
    ("own variable", "os.environ['STEP_OWN'] = '1'\nos.environ['STEP_OWN']\ndel os.environ['STEP_OWN']"),
    ("whole environment", "dict(os.environ)\nos.environ.copy()\nlist(os.environ.items())\n{**os.environ}\nlen(os.environ)\nlist(os.environ)"),
    ("whole environment by a loop", "{k: os.environ[k] for k in os.environ}"),
    ("sqlite in memory", "c = sqlite3.connect(':memory:')\nc.execute('select 1')\nc.close()"),
    ("sqlite made", "c = sqlite3.connect('new.db')\nc.execute('create table t (k)')\nc.commit()\nc.close()\nsqlite3.connect('new.db').close()\nopen('new.db', 'rb').read()"),
    ("a child without words", "subprocess.run([sys.executable, '-c', 'pass'], env=dict(os.environ))"),
    ("logging", "import logging\nh = logging.FileHandler('data/log.txt')\nlogging.getLogger('x').addHandler(h)\nlogging.getLogger('x').error('hi')\nh.close()"),
    ("terminal", "import argparse\np = argparse.ArgumentParser()\np.add_argument('--x', type=int, help='y')\np.format_help()"),
    ("the root's ancestors", "ROOT.resolve()\nROOT.exists()\nROOT.parent.exists()"),
    ("a shared library of Python's own", "import ctypes"),
    ("warning", "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.warn('x')"),
    ("traceback", "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.format_exc()"),
]  # fmt: skip


def prepare(project: Project) -> None:
    project.write("data/a.txt")
    project.write("inbox/one.txt")
    project.write("code.py", "# the step\n")
    (project.root / "data/link.txt").symlink_to("a.txt")
    connection = sqlite3.connect(project.root / "x.db")
    connection.execute("create table t (k)")
    connection.commit()
    connection.close()


def step_of(body: str) -> str:
    return PREAMBLE + "def step():\n" + textwrap.indent(body, "    ")


@pytest.mark.parametrize(("body", "counts"), [row[1:] for row in READS], ids=[row[0] for row in READS])
def test_what_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch, body: str, counts: set[tuple[str, str]]
) -> None:
    prepare(project)
    monkeypatch.setenv("STEP_X", "1")
    seen = project.see(step_of(body))
    assert names(seen) == counts
    assert seen.changed == ()


@pytest.mark.parametrize("body", [row[1] for row in IDLE], ids=[row[0] for row in IDLE])
def test_what_does_not_count(project: Project, body: str) -> None:
    prepare(project)
    seen = project.see(step_of(body))
    assert names(seen) == set()
    assert seen.changed == ()


# (what it is, the step, what changes afterwards, what lapses)
CHANGES = [
    ("file edited", "open('data/a.txt').read()", lambda p: p.write("data/a.txt", "2\n"), {"data/a.txt"}),
    ("file touched", "open('data/a.txt').read()", lambda p: os.utime(p.root / "data/a.txt", (1, 1)), set()),
    ("missing file appears", "try:\n    open('none')\nexcept OSError:\n    pass", lambda p: p.write("none"), {"none"}),
    ("listing grows", "os.listdir('inbox')", lambda p: p.write("inbox/two.txt"), {"inbox"}),
    ("a listed file changes", "os.listdir('inbox')", lambda p: p.write("inbox/one.txt", "2\n"), set()),
    ("bytecode folder appears", "os.listdir('inbox')", lambda p: (p.root / "inbox/__pycache__").mkdir(), set()),
    ("flag appears", "os.access('flag', os.F_OK)", lambda p: p.write("flag"), {"flag"}),
    ("tested file changes", "os.path.exists('data/a.txt')", lambda p: p.write("data/a.txt", "2\n"), set()),
    ("size changes", "os.path.getsize('data/a.txt')", lambda p: p.write("data/a.txt", "22\n"), {"data/a.txt"}),
    ("link set elsewhere", "open('data/link.txt').read()", lambda p: relink(p, "2\n"), {"data/link.txt"}),
    ("link set elsewhere to the same", "open('data/link.txt').read()", lambda p: relink(p, "1\n"), set()),
    ("sqlite row", "sqlite3.connect('x.db').close()", lambda p: insert(p), {"x.db"}),
    ("sqlite row in the log", "sqlite3.connect('x.db').close()", lambda p: insert(p, wal=True), {"x.db"}),
    ("variable set", "os.getenv('STEP_NONE')", lambda p: os.environ.update(STEP_NONE="1"), {"STEP_NONE"}),
    ("other variable set", "os.getenv('STEP_NONE')", lambda p: os.environ.update(STEP_OTHER="1"), set()),
    ("output deleted", "open('new', 'w').close()\nopen('new').read()", lambda p: (p.root / "new").unlink(), set()),
    ("listed folder with own output", "os.listdir('inbox')\nopen('inbox/out', 'w').close()", lambda p: None, set()),
    ("listed own output deleted", "os.listdir('inbox')\nopen('inbox/out', 'w').close()",
     lambda p: (p.root / "inbox/out").unlink(), set()),
    ("input consumed", "os.listdir('inbox')\nos.remove('inbox/one.txt')", lambda p: None, {"inbox"}),
    ("read, then changed by itself", "open('data/a.txt').read()\nopen('data/a.txt', 'w').write('3')", lambda p: None,
     {"data/a.txt"}),
    ("the same, restored", "open('data/a.txt').read()\nopen('data/a.txt', 'w').write('3')",
     lambda p: p.write("data/a.txt"), set()),
    ("appended to, then read", "open('data/a.txt', 'a').write('x')\nopen('data/a.txt').read()",
     lambda p: p.write("data/a.txt"), set()),
    ("replaced after reading", "open('data/a.txt').read()\nopen('t', 'w').write('4')\nos.replace('t', 'data/a.txt')",
     lambda p: p.write("data/a.txt"), set()),
    ("removed after reading", "open('data/a.txt').read()\nos.remove('data/a.txt')", lambda p: p.write("data/a.txt"), set()),
    ("script of a child", "subprocess.run([sys.executable, 'tool.py'])", lambda p: p.write("tool.py", "2"), {"tool.py"}),
    ("script of a child elsewhere", "subprocess.run([sys.executable, 'tool.py'], cwd=ROOT)",
     lambda p: p.write("tool.py", "2"), {"tool.py"}),
    ("file in a shell's command", "os.system('cat <data/a.txt >/dev/null')", lambda p: p.write("data/a.txt", "2"),
     {"data/a.txt"}),
    ("a child's output", "subprocess.run('cat data/link.txt > inbox/one.txt', shell=True)",
     lambda p: p.write("inbox/one.txt", "5"), set()),
    ("variable of a child", "subprocess.run(['sh', '-c', 'echo $STEP_NONE'], stdout=-3)",
     lambda p: os.environ.update(STEP_NONE="1"), {"STEP_NONE"}),
    ("variable by printenv", "subprocess.run(['printenv', 'STEP_X'], stdout=-3)",
     lambda p: os.environ.update(STEP_X="2"), {"STEP_X"}),
    ("variable given to a child", "subprocess.run('echo $STEP_X', shell=True, env={'STEP_X': '5'}, stdout=-3)",
     lambda p: os.environ.update(STEP_X="2"), set()),
    ("other variable of a child", "subprocess.run('echo $STEP_X', shell=True, env=dict(os.environ), stdout=-3)",
     lambda p: os.environ.update(TERM="vt52", SHLVL="7"), set()),
    ("forked child's read", "if not (pid := os.fork()):\n    open('data/a.txt').read()\n    os._exit(0)\nos.waitpid(pid, 0)",
     lambda p: p.write("data/a.txt", "2"), {"data/a.txt"}),
    ("forked child's look-up", "if not (pid := os.fork()):\n    os.getenv('STEP_X')\n    os._exit(0)\nos.waitpid(pid, 0)",
     lambda p: os.environ.update(STEP_X="2"), {"STEP_X"}),
    ("forked child's output", "if not (pid := os.fork()):\n    open('new', 'w').close()\n    os._exit(0)\nos.waitpid(pid, 0)\n"
     "open('new').read()", lambda p: (p.root / "new").unlink(), set()),
    ("fork pool", "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(1) as pool:\n"
     "    pool.map(Path.read_text, [ROOT / 'data/a.txt'])", lambda p: p.write("data/a.txt", "2"), {"data/a.txt"}),
]  # fmt: skip


def relink(project: Project, text: str) -> None:
    other = project.write("data/elsewhere.txt", text)
    link = project.root / "data/link.txt"
    link.unlink()
    link.symlink_to(other.name)


def insert(project: Project, wal: bool = False) -> None:
    """A row in the database; in its write-ahead log only, as a writer leaves it that is still connected."""
    connection = sqlite3.connect(project.root / "x.db")
    if wal:
        connection.execute("pragma journal_mode = wal")
        project.held = connection  # type: ignore[attr-defined]
    connection.execute("insert into t values (1)")
    connection.commit()
    if not wal:
        connection.close()


@pytest.mark.parametrize(("body", "change", "lapsed"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_lapses(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    change: Callable[[Project], object],
    lapsed: set[str],
) -> None:
    prepare(project)
    project.write("tool.py", "1")
    monkeypatch.setenv("STEP_X", "1")
    for name in ("STEP_NONE", "STEP_OTHER", "TERM", "SHLVL"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("STEP_NONE")
    monkeypatch.setattr(watch, "_TICK_NS", 0)  # nothing is hashed early for being young
    seen = project.see(step_of(body))
    assert seen.changed == ()
    change(project)
    assert project.lapsed(seen) == lapsed
    if hasattr(project, "held"):
        project.held.close()


def literal_tuple(project: Project, *texts: str) -> tuple[tuple[str, str], ...]:
    return tuple((text, str(project.root / "app")) for text in texts)


@pytest.mark.parametrize(
    ("text", "lapses"),
    [
        ("data/a.txt", True),
        ("a.txt", False),  # names nothing from here, from the root, or from the code's folder
        ("beside.txt", True),
        ("data", False),
        ("", False),
        ("no such\nfile", False),
    ],
)
def test_literals_that_name_files_count_though_nothing_opens_them(project: Project, text: str, lapses: bool) -> None:
    prepare(project)
    project.write("app/beside.txt")
    seen = project.see(step_of("pass"), literals=literal_tuple(project, text))
    assert project.lapsed(seen) == set()
    project.write("data/a.txt", "2\n")
    project.write("app/beside.txt", "2\n")
    assert bool(project.lapsed(seen)) == lapses


def test_a_literal_holds_in_another_working_directory_until_a_file_there_bears_its_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepare(project)
    seen = project.see(step_of("pass"), literals=literal_tuple(project, "data/a.txt"))
    monkeypatch.chdir(tmp_path)
    assert project.lapsed(seen) == set()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("other\n")
    assert project.lapsed(seen) == {"data/a.txt"}


@pytest.mark.parametrize("value", ["data/a.txt", Path("data/a.txt")])
def test_settings_that_name_files_count(project: Project, value: object) -> None:
    prepare(project)
    seen = project.see(step_of("pass"), settings={"path": value, "depth": 3})
    project.write("data/a.txt", "2\n")
    assert project.lapsed(seen) == {"data/a.txt"}


def test_a_literal_that_names_what_the_step_wrote_does_not_count(project: Project) -> None:
    prepare(project)
    seen = project.see(step_of("Path('data/out.txt').write_text('x')"), literals=literal_tuple(project, "data/out.txt"))
    assert names(seen) == set()


def test_a_literal_that_names_what_native_code_wrote_does_not_count(project: Project) -> None:
    """Native code raises no event: what appeared in a folder during the run is the step's."""
    prepare(project)
    body = "import ctypes, time\ntime.sleep(0.02)\nc = ctypes.CDLL(None)\nfd = c.creat(b'data/native.txt', 0o644)\nc.write(fd, b'xy', 2)\nc.close(fd)"
    seen = project.see(step_of(body), literals=literal_tuple(project, "data/native.txt"))
    assert names(seen) == set()


@pytest.mark.parametrize(
    "body", ["dict(os.environ)", "os.environ.copy()", "[k for k in os.environ]", "repr(os.environ)"]
)
def test_the_whole_environment_counts_for_the_names_in_the_code(
    project: Project, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setenv("STEP_X", "1")
    seen = project.see(step_of(body), env_names=frozenset({"STEP_X", "STEP_NONE"}))
    assert names(seen) == {("env", "STEP_X"), ("env", "STEP_NONE")}
    monkeypatch.setenv("STEP_X", "2")
    assert project.lapsed(seen) == {"STEP_X"}


def test_values_of_variables_are_never_kept_in_clear(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEP_X", "hunter2")
    seen = project.see(step_of("os.environ['STEP_X']"))
    assert [o.digest for o in seen.observations] == [keyed("env\0STEP_X\0hunter2")]


def test_what_the_configuration_leaves_out(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(project)
    monkeypatch.setenv("HOME", str(project.home))
    (project.home / ".netrc").write_text("x")
    body = "os.getenv('AWS_KEY')\nos.getenv('STEP_X')\nopen(os.path.expanduser('~/.netrc')).close()\nopen('data/a.txt').close()"
    everything = {("env", "AWS_KEY"), ("env", "STEP_X"), ("env", "HOME"), ("file", "cwd:data/a.txt")}
    assert names(project.see(step_of(body))) == {*everything, ("file", str(project.home / ".netrc"))}
    ignore = ("env:AWS_*", "env:HOME", "file:~/.netrc", "file:data/*")
    assert names(project.see(step_of(body), ignore)) == {("env", "STEP_X")}


# --- installed code ---

LIBRARY = """
import os
def read(path):
    with open(path) as file: return file.read()
def look(name): return os.environ.get(name)
def test(path): return os.path.exists(path)
def names(path): return os.listdir(path)
def importing():
    import importlib.util
    spec = importlib.util.spec_from_file_location("lib2", __file__[:-3] + "2.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("lib.read('data/a.txt')", {("file", "cwd:data/a.txt")}),
        ("lib.names('inbox')", {("dir", "cwd:inbox")}),
        ("lib.look('STEP_X')", set()),
        ("lib.test('flag')", {("exists", "cwd:flag")}),
        ("lib.test('data/a.txt')", set()),
        ("lib.test('/flag')", set()),
        ("lib.importing()", set()),
        ("lib.read(HOME + '/.cache/tool/x')", set()),
        ("open(HOME + '/.cache/tool/x').close()", {("file", "{home}/.cache/tool/x")}),
        ("lib.names(HOME + '/.cache')", set()),
        ("lib.names('/tmp')", set()),
        ("lib.read(SITE + '/lib.py')", set()),
        ("lib.read('/etc/hosts')", set()),
        ("lib.read(HOME + '/input.txt')", {("file", "{home}/input.txt")}),
    ],
)
def test_what_installed_code_reads(
    project: Project, monkeypatch: pytest.MonkeyPatch, body: str, counts: set[tuple[str, str]]
) -> None:
    prepare(project)
    monkeypatch.syspath_prepend(str(project.site))
    (project.site / "lib.py").write_text(LIBRARY)
    (project.site / "lib2.py").write_text("import os\nopen('data/a.txt').close()\nos.environ.get('STEP_X')\n")
    for path in (project.home / ".cache/tool/x", project.home / "input.txt"):
        path.write_text("x")
    observer = Observer(lambda file: below(file, str(project.root)))
    library = project.module(LIBRARY, "lib.py", project.site)
    module = project.module(step_of(body))
    module.__dict__.update(lib=library, HOME=str(project.home), SITE=str(project.site))
    rules = project.rules()
    with observer.watch() as watching:
        module.__dict__["step"]()
    seen = watching.conclude(project.look(), rules)
    assert names(seen) == {(kind, name.format(home=project.home)) for kind, name in counts}


def test_a_cache_folder_of_the_users_counts_when_a_setting_names_it(project: Project) -> None:
    (project.home / ".cache/tool/x").write_text("x")
    library = project.module(LIBRARY, "lib.py", project.site)
    with project.observer.watch() as watching:
        library.read(str(project.home / ".cache/tool/x"))
    named = {"settings": {"folder": str(project.home / ".cache/tool")}}
    assert names(watching.conclude(project.look(), project.rules())) == set()
    assert names(watching.conclude(project.look(), project.rules(), **named)) == {  # type: ignore[arg-type]
        ("file", str(project.home / ".cache/tool/x"))
    }


# --- changes under the step ---

# Makes a file without Python's knowing, when the clock that stamps it has surely ticked.
WRITER = """
import ctypes, time
def native(path):
    time.sleep(0.02)
    c = ctypes.CDLL(None)
    c.close(c.creat(path, 0o644))
"""


# An open by code that was not met before, and one by code that was: they take other ways.
OPENED_BEFORE = ["", "try:\n    open('gone/x').close()\nexcept OSError:\n    pass\n"]


@pytest.mark.parametrize("before", OPENED_BEFORE, ids=["new", "known"])
@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (
            "open('data/a.txt').read()\nsubprocess.run(['cp', '/etc/passwd', ROOT / 'data' / ('a' + '.txt')])",
            ("data/a.txt",),
        ),
        ("open('data/a.txt').read()\nsubprocess.run('rm data/*', shell=True)", ("data/a.txt", "data/link.txt")[:1]),
        ("os.listdir('inbox')\nnative(b'inbox/new')", ("inbox",)),
        ("open('data/a.txt').read()\nopen('data/a.txt', 'w').write('2')", ()),
        ("open('data/a.txt', 'r+').write('2')", ()),
        ("os.listdir('inbox')\nopen('inbox/new', 'w').close()", ()),
    ],
)
def test_inputs_that_change_while_they_are_in_use_are_named(
    project: Project, body: str, changed: tuple[str, ...], before: str
) -> None:
    prepare(project)
    seen = project.see(WRITER + step_of(before + body))
    assert seen.changed == changed


@pytest.mark.parametrize("before", OPENED_BEFORE, ids=["new", "known"])
@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("open('data/a.txt').close()", {("file", "cwd:data/a.txt")}),
        ("open(str(ROOT / 'inbox' / '..' / 'data/a.txt')).close()", {("file", "root:data/a.txt")}),
        ("open(b'data/a.txt').close()", {("file", "cwd:data/a.txt")}),
        ("os.chdir('inbox')\nopen('../data/a.txt').close()", {("file", "root:data/a.txt")}),
        ("os.close(os.open('a.txt', os.O_RDONLY, dir_fd=os.open('data', os.O_RDONLY)))", {("file", "root:data/a.txt")}),
        ("open('data/a.txt', 'w').close()\nopen('data/a.txt').close()", set()),
        ("open('data/a.txt').close()\nopen('data/a.txt', 'w').close()", {("file", "cwd:data/a.txt")}),
        ("os.fork() or (open('data/a.txt').close(), os._exit(0))\nos.wait()", {("file", "cwd:data/a.txt")}),
    ],
)
def test_an_open_is_seen_whoever_was_seen_before(
    project: Project, body: str, counts: set[tuple[str, str]], before: str
) -> None:
    prepare(project)
    seen = project.see(step_of(before + body))
    absent = {("file", "cwd:gone/x")} if before else set()
    assert names(seen) - absent == counts
    assert absent <= names(seen)


@pytest.mark.parametrize("before", OPENED_BEFORE, ids=["new", "known"])
def test_a_change_within_the_clock_tick_of_the_reading_is_noticed(
    project: Project, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """The stamp is the same: only the content, hashed when the young file was opened, tells."""
    path = str(project.write("data/tick.txt", "1"))
    stamp = conclude.stamp_of(path)
    monkeypatch.setattr(conclude, "stamp_of", lambda asked: stamp if asked == path else stamp_of(asked))

    def rewrite() -> None:
        with project.observer.paused():
            Path(path).write_text("2")

    module = project.module(step_of(before + "open('data/tick.txt').close()\nrewrite()"))
    module.__dict__["rewrite"] = rewrite
    with project.observer.watch() as watching:
        module.__dict__["step"]()
    assert watching.conclude(project.look(), project.rules()).changed == ("data/tick.txt",)


# --- notices ---


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("subprocess.run(['true'])", ["(true)", "reads=", "not seen"]),
        ("os.system('true')", ["(sh)"]),
        ("import socket\ns = socket.socket()\ns.settimeout(1)\ntry:\n    s.connect(('127.0.0.1', 9))\nexcept OSError:\n    pass\ns.close()",
         ["network (127.0.0.1)", "expires="]),
        ("import multiprocessing as m\np = m.get_context('spawn').Process(target=print)\np.start()\np.join()", ["spawn", "reads="]),
        ("import multiprocessing as m\np = m.get_context('fork').Process(target=int)\np.start()\np.join()", []),
        ("open('data/a.txt').close()", []),
        ("import platform\nplatform.processor()", []),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_told(project: Project, body: str, words: list[str]) -> None:
    prepare(project)
    seen = project.see(step_of(body))
    assert len(seen.notices) == bool(words)
    assert all(word in seen.notices[0] for word in words)


# --- whose it is ---


def test_what_a_nested_watch_sees_is_not_the_outer_ones(project: Project) -> None:
    prepare(project)
    module = project.module(step_of("open('data/a.txt').close()"))
    with project.observer.watch() as outer, project.observer.watch() as inner:
        module.step()
    assert names(inner.conclude(project.look(), project.rules())) == {("file", "cwd:data/a.txt")}
    assert names(outer.conclude(project.look(), project.rules())) == set()


def test_what_happens_in_no_context_belongs_to_all(project: Project) -> None:
    prepare(project)
    source = "import threading\n" + step_of("open('data/a.txt').close()")
    source += "\ndef start():\n    t = threading.Thread(target=step)\n    t.start()\n    t.join()\n"
    module = project.module(source)
    with project.observer.watch() as first, project.observer.watch() as second:
        module.start()
    for watching in (first, second):
        assert names(watching.conclude(project.look(), project.rules())) == {("file", "cwd:data/a.txt")}


def test_nothing_is_seen_while_paused_or_unwatched(project: Project) -> None:
    prepare(project)
    module = project.module(step_of("open('data/a.txt').close()\nos.path.exists('x')\nos.getenv('STEP_X')"))
    with project.observer.watch() as watching, project.observer.paused():
        module.step()
    module.step()
    assert names(watching.conclude(project.look(), project.rules())) == set()


def test_the_process_is_left_as_it_was(project: Project) -> None:
    before = (os.stat, os.lstat, os.access, os.readlink, os.open, type(os.environ), sqlite3.connect)
    with project.observer.watch():
        assert os.stat in os.supports_follow_symlinks
        assert os.stat in os.supports_dir_fd
        assert os.open in os.supports_dir_fd
        assert isinstance(os.environ, type(os.environ))
        assert before[0] is not os.stat
    assert (os.stat, os.lstat, os.access, os.readlink, os.open, type(os.environ), sqlite3.connect) == before


# Stands for the loader of project modules, which brackets each import with a watch.
LOADER = """
class Finder:
    def __init__(self, observer): self.observer = observer
    def find_spec(self, name, path=None, target=None):
        with self.observer.watch_import(name): return None
"""


def test_modules_imported_by_other_means_than_a_statement_are_told(project: Project) -> None:
    loader = project.module(LOADER, "loader.py", Path(stepcache.__file__).parent)
    module = project.module(
        """
        import importlib
        def stated():
            import colorsys
        def computed():
            importlib.import_module("colorsys")
        """
    )
    told = {}
    for name in ("stated", "computed"):
        sys.modules.pop("colorsys", None)
        with project.observer.watch() as outer:
            sys.meta_path.insert(0, finder := loader.Finder(project.observer))
            module.__dict__[name]()
            sys.meta_path.remove(finder)
        seen = outer.conclude(project.look(), project.rules())
        told[name] = {o.kind for o in seen.observations}
    assert told == {"stated": set(), "computed": {"module"}}


# --- readers that open files without Python ---

NATIVE = """
def read(source, *rest): return source
def sql(text): return text
"""


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded before", "imported by the step"])
@pytest.mark.parametrize(
    ("body", "counts"),
    [
        ("fastreader.read('data/' + 'a.txt')", {("file", "cwd:data/a.txt")}),
        ("fastreader.read(ROOT / 'data' / 'a.txt')", {("file", "root:data/a.txt")}),
        (
            "fastreader.read(1, ['data/a.txt', 'data/link.txt'])",
            {("file", "cwd:data/a.txt"), ("file", "cwd:data/link.txt")},
        ),
        ("fastreader.read('inbox')", {("dir", "cwd:inbox"), ("file", "cwd:inbox/one.txt")}),
        ("fastreader.read('inbox/*.txt')", {("dir", "cwd:inbox"), ("file", "cwd:inbox/one.txt")}),
        ("fastreader.sql(\"select * from 'data/a.txt'\")", {("file", "cwd:data/a.txt")}),
        ("fastreader.read('no such file')", set()),
        ("open('data/new', 'w').close()\nfastreader.read('data/new')", set()),
        ("native(b'data/new')\nfastreader.read('data/new')", set()),
    ],
)
def test_readers_tell_the_paths_that_they_are_given(
    project: Project, monkeypatch: pytest.MonkeyPatch, body: str, counts: set[tuple[str, str]], loaded: bool
) -> None:
    prepare(project)
    (project.site / "fastreader.py").write_text(NATIVE)
    monkeypatch.syspath_prepend(str(project.site))
    monkeypatch.setitem(native.READERS, "fastreader", ("read", "sql"))
    monkeypatch.delitem(sys.modules, "fastreader", raising=False)
    if loaded:
        importlib.import_module("fastreader")
    seen = project.see(WRITER + step_of("import fastreader\n" + body))
    assert names(seen) == counts
    read = sys.modules.pop("fastreader").read
    assert not hasattr(read, "__wrapped__")
    assert native._finder not in sys.meta_path


def test_literals_in_quotes_count(project: Project) -> None:
    prepare(project)
    seen = project.see(step_of("pass"), literals=literal_tuple(project, "select * from 'data/a.txt' where x"))
    project.write("data/a.txt", "2")
    assert project.lapsed(seen) == {"data/a.txt"}


def test_a_step_may_stand_in_a_folder_that_is_gone(project: Project) -> None:
    prepare(project)
    body = "os.mkdir('gone')\nos.chdir('gone')\nos.rmdir('../gone')\nsubprocess.run([sys.executable, '-c', ''])\nos.chdir(ROOT)"
    assert names(project.see(step_of(body))) == set()
