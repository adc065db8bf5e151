"""The rooms stand in a line: each imports those before it, never one after it. Imports inside functions and under
TYPE_CHECKING count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "stepcache"
PLUGINS = sorted(path.name for path in (REPOSITORY / "plugins").iterdir() if (path / "pyproject.toml").is_file())

# First to last. Modules of one line may import one another, as far as that makes no circle.
ROOMS = (
    ("errors", "digest", "garbage", "nodeid", "wholefile", "archive", "records", "results", "termination"),
    ("model",),
    ("annotated", "signature", "variantid", "api"),
    ("config", "expression"),
    ("hookspecs", "plugins"),
    ("store",),
    ("stamp", "difference"),
    ("key",),
    ("collect",),
    ("graph",),
    ("execution",),
    ("report",),
    ("project", "builtin", "calling"),
    ("state",),
    ("opening", "levels", "outcome"),
    ("binding", "saving", "executors"),
    ("replaying",),
    ("session", "grounds", "foretelling", "stamping", "snapshotting"),
    ("introspect", "determinism", "served", "watched"),
    ("watching",),
    ("chores",),
    ("runs", "command", "worker"),
    ("asking",),
    (
        "pytest_rewriting",
        "pytest_registered",
        "pytest_checks",
        "pytest_child",
        "pytest_fixtures",
        "pytest_pipelines",
        "single",
        "snapshots",
    ),
    ("cli", "pytest_plugin", "testing", "__main__", "__init__"),
)
PLACE = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}

# What may be loaded only where it is at home: a module, and the files that import it.
HOMES = {
    "pytest": ("pytest_", "testing.py"),
    "zstandard": ("store/",),
    "sqlite3": ("store/", "stamp.py", "key/wrappers.py"),  # the last sees what steps open
    "pickle": ("store/", "execution/channel.py", "execution/crossing.py", "execution/site.py", "worker.py"),
}

# What a distribution in plugins/ may import of stepcache.
PUBLIC = {
    "stepcache",
    "stepcache.errors",
    "stepcache.hookspecs",
    "stepcache.store.codecs",
    "stepcache.testing",
    "stepcache.worker",
}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = list(path.relative_to(REPOSITORY).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def room_of(module: str) -> str:
    """`stepcache.store.blobs` is of the room store, `stepcache` itself is `__init__`."""
    return module.split(".")[1] if "." in module else "__init__"


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that the file names in an import, with the line; what is imported from a package and is a module
    itself counts as that module."""
    package = module_name(path).split(".")
    package = package if path.name == "__init__.py" and len(package) > 1 else package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{name}.{alias.name}"
                if whole == "stepcache.__version__":
                    continue  # a constant of the package, there before anything else is imported
                yield (whole if is_module(whole) else name), node.lineno


def is_module(name: str) -> bool:
    path = REPOSITORY.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def own(path: Path) -> Iterator[tuple[str, int]]:
    yield from ((name, line) for name, line in imports(path) if name.split(".")[0] == "stepcache")


def test_every_module_has_a_room() -> None:
    assert {room_of(module_name(path)) for path in sources()} <= set(PLACE)


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_no_room_imports_a_later_one(path: Path) -> None:
    place = PLACE[room_of(module_name(path))]
    # The public names are gathered in stepcache/__init__.py, which is the last room: only the last may import it.
    wrong = [f"{path.name}:{line} imports {name}" for name, line in own(path) if PLACE[room_of(name)] > place]
    assert not wrong


def test_no_circle() -> None:
    edges = {module_name(path): sorted({name for name, _ in own(path)} - {module_name(path)}) for path in sources()}
    edges["stepcache"] = edges.pop("stepcache.__init__")
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, "a circle: " + " -> ".join([*way[way.index(module) :], module])
        if module in done:
            return
        for target in edges.get(module, ()):
            # A package's own __init__ re-exports its files; a file importing a sibling does not come back through it.
            visit(target, (*way, module))
        done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("module", HOMES)
def test_some_modules_have_one_home(module: str) -> None:
    strangers = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sources()
        for name, line in imports(path)
        if name.split(".")[0] == module and not path.relative_to(PACKAGE).as_posix().startswith(HOMES[module])
    ]
    assert not strangers


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_use_public_names_only(plugin: str) -> None:
    private = [
        f"{path.name}:{line} imports {name}"
        for path in sorted((REPOSITORY / "plugins" / plugin / "src").rglob("*.py"))
        for name, line in imports(path)
        if name.split(".")[0] == "stepcache" and name not in PUBLIC
    ]
    assert not private


def test_every_room_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(PACKAGE).as_posix()
        for path in sources()
        if len(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "") < 10
    ]
    assert not silent
