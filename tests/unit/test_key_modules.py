"""What is project code, where modules lie, and which distribution owns the rest: nothing is imported to tell."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stepcache.key.installed import closure_of
from stepcache.key.modules import Modules

CODE = "K = 1\n"


def write(folder: Path, *files: str) -> None:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CODE)


def install(site: Path, name: str, version: str, files: dict[str, str], requires: tuple[str, ...] = ()) -> Path:
    """Install a distribution by hand; `files` maps paths to the hashes in its record."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    for path in files:
        write(site, path)
    info.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"Requires-Dist: {each}\n" for each in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}\nName: not this\n"
    )
    rows = "".join(f"{path},{digest},{len(CODE) if digest else ''}\n" for path, digest in files.items())
    (info / "RECORD").write_text(rows + f"../../bin/{name},sha256=zz,1\n{info.name}/RECORD,,\n")
    return info


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    site = project / ".venv/lib/python3/site-packages"
    site.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site), str(project)])
    return project


@pytest.fixture
def site(root: Path) -> Path:
    return root / ".venv/lib/python3/site-packages"


def test_sources_below_the_root_are_project_code(root: Path) -> None:
    write(root, "app/__init__.py", "app/deep/one.py", "space/two.py", "single.py")
    modules = Modules(root)

    assert all(map(modules.is_project, ("app", "app.deep.one", "space", "space.two", "single", "__main__")))
    assert modules.is_project(str(root / "app/deep/one.py"))
    assert modules.is_project(str(root / "not/yet/there.py"))


def test_sources_elsewhere_on_the_path_are_project_code(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "editable/src", "edited/__init__.py")
    monkeypatch.syspath_prepend(str(tmp_path / "editable/src"))

    assert Modules(root).is_project("edited")


@pytest.mark.parametrize("name", ["json", "os.path", "sys", "math", "zipimport", "_io", "encodings.utf_8", "posixpath"])
def test_the_standard_library_is_not(name: str, root: Path) -> None:
    assert Modules(root).kind(name) == "stdlib"


@pytest.mark.parametrize("name", ["stepcache", "stepcache.api", "stepcache.key.modules"])
def test_stepcache_itself_is_not_even_where_its_sources_are(name: str) -> None:
    modules = Modules(Path(__file__).parents[2])

    assert modules.kind(name) == "stepcache"
    assert modules.kind(sys.modules["stepcache.key.modules"].__file__ or "") == "stepcache"


def test_installed_code_is_not_and_a_stray_file_beside_it_is(site: Path, root: Path) -> None:
    install(site, "my-dist", "1.0", {"mine/__init__.py": "sha256=aa", "mine/a.py": "sha256=bb", "lone.py": "sha256=cc"})
    write(site, "stray.py", "mine/added.py")
    modules = Modules(root)

    assert [modules.kind(name) for name in ("mine", "mine.a", "lone", "stray")] == ["package"] * 3 + ["project"]
    assert modules.kind(str(site / "mine/a.py")) == "package"


def test_a_missing_module_of_the_project_is_missing(root: Path) -> None:
    write(root, "app/__init__.py")
    modules = Modules(root)

    assert [modules.kind(name) for name in ("app.extra", "extra", "json.extra")] == ["missing", "missing", "stdlib"]
    write(root, "app/extra.py")
    modules.refresh()
    assert modules.kind("app.extra") == "project"


def test_modules_are_found_without_being_imported(root: Path) -> None:
    write(root, "app/__init__.py", "app/one.py", "space/two.py", "raising.py")
    (root / "app/__init__.py").write_text("raise RuntimeError")
    modules = Modules(root)

    assert modules.locate("app.one") == str(root / "app/one.py")
    assert modules.locate("space.two") == str(root / "space/two.py")
    assert modules.locate("space") is None
    assert modules.locate("app.none") is None
    assert modules.locate("//folder/pipeline-x") is None
    assert "app" not in sys.modules


def test_a_module_in_an_archive_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    archive = root / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside/__init__.py", CODE)
    monkeypatch.setattr(sys, "path", [*sys.path, str(archive)])

    assert Modules(root).locate("inside") == str(archive / "inside/__init__.py")


def test_a_module_belongs_to_the_distribution_whose_record_names_it(site: Path, root: Path) -> None:
    install(site, "Other-Name", "2.1", {"import_name/__init__.py": "sha256=aa"})
    install(site, "split-a", "1", {"shared/a.py": "sha256=aa"})
    install(site, "split-b", "2", {"shared/b.py": "sha256=bb"})
    modules = Modules(root)

    found = {name: modules.distribution(name) for name in ("import_name.sub", "shared.a", "shared.b", "json")}

    assert {name: (one.name, one.version) if one else None for name, one in found.items()} == {
        "import_name.sub": ("Other-Name", "2.1"),
        "shared.a": ("split-a", "1"),
        "shared.b": ("split-b", "2"),
        "json": None,
    }


def test_requirements_come_with_it_but_not_those_of_extras(site: Path, root: Path) -> None:
    install(
        site,
        "top",
        "1",
        {"top.py": "sha256=aa"},
        ("Low.Er>=1 ; python_version > '3'", "absent", "pytest; extra == 'test'"),
    )
    install(site, "low-er", "3", {"lower.py": "sha256=bb"}, ("top (>=1)",))
    found = Modules(root).distribution("top")

    assert found is not None
    assert [(one.name, one.version) for one in closure_of(found)] == [("low-er", "3"), ("top", "1")]


def builds(site: Path, root: Path, *records: dict[str, str]) -> list[str]:
    made = []
    for number, record in enumerate(records):
        info = install(site, "again", "1.0", record)
        # Another size tells a record from one written a moment before.
        (info / "RECORD").write_text((info / "RECORD").read_text() + f"{info.name}/{'x' * number},,\n")
        found = Modules(root).distribution("again")
        assert found is not None
        made.append(found.build)
    return made


def test_the_same_version_installed_anew_has_another_build(site: Path, root: Path) -> None:
    first = {"again/__init__.py": "sha256=aa", "again/b.py": "sha256=bb"}

    one, other, turned = builds(site, root, first, first | {"again/b.py": "sha256=cc"}, dict(reversed(first.items())))

    assert one != other
    assert one == turned


def test_files_without_a_hash_count_by_content(site: Path, root: Path) -> None:
    install(site, "bare", "1.0", {"bare.py": ""})
    before = Modules(root).distribution("bare")
    (site / "bare.py").write_text("K = 2\n")

    after = Modules(root).distribution("bare")

    assert before is not None
    assert after is not None
    assert before.build != after.build


def test_project_files_leave_out_environments_and_hidden_folders(root: Path, site: Path) -> None:
    install(site, "some", "1", {"some.py": "sha256=aa"})
    write(root, "a.py", "app/b.py", "app/c.txt", ".hidden/d.py", "node_modules/e.py", "env/pyvenv.cfg", "env/f.py")

    assert [Path(path).relative_to(root).as_posix() for path in Modules(root).project_files()] == ["a.py", "app/b.py"]
