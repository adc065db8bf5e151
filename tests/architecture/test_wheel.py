"""What is installed is the package, whole, and nothing beside it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def built(source: Path, target: Path) -> dict[str, str]:
    """The text of each file in the wheel that pip builds of *source*."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", target, source],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    files = built(REPOSITORY, tmp_path)
    sources = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "stepcache").rglob("*.py")}
    own = {name for name in files if ".dist-info/" not in name}
    assert own == sources | {"stepcache/py.typed"}
    (entry_points,) = [text for name, text in files.items() if name.endswith("entry_points.txt")]
    assert "stepcache = stepcache.cli:console_main" in entry_points
    assert "[pytest11]\nstepcache = stepcache.pytest_plugin" in entry_points


def test_a_plugins_wheel_holds_its_package_and_its_entry_point(tmp_path: Path) -> None:
    source = REPOSITORY / "plugins" / "stepcache-arrow"
    files = built(source, tmp_path)
    sources = {path.relative_to(source / "src").as_posix() for path in (source / "src").rglob("*.py")}
    assert {name for name in files if ".dist-info/" not in name} == sources | {"stepcache_arrow/py.typed"}
    (entry_points,) = [text for name, text in files.items() if name.endswith("entry_points.txt")]
    assert entry_points == "[stepcache]\narrow = stepcache_arrow\n"
