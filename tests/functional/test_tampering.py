"""Entries that someone else wrote into the cache: none is decoded, whatever it is made to look like."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from stepcache.store import Seal, frame
from stepcache.store.pickles import PickleCodec
from stepcache.store.plain import PlainCodec
from stepcache.testing import Project

PIPELINE = """
    import random
    from stepcache import parametrize, step

    class Record:
        def __init__(self, data):
            self.data = data

    @step
    @parametrize("n", range(30))
    def make(n, tmp_path):
        # The first half are rows of the database, the others files of their own; a fifth of each are paths.
        data = random.Random(n).randbytes(1000 if n < 15 else 20_000) + bytes(n)
        if n % 5:
            return Record(data)
        (tmp_path / "file").write_bytes(data)
        return tmp_path / "file"

    @step
    def size(make):
        return len(make.data if isinstance(make, Record) else make.read_bytes())
"""
SIZES = [n + (1000 if n < 15 else 20_000) for n in range(30)]

Way = Callable[[bytes, bytes, frame.Header], bytes]
"""What an entry is changed into, from its bytes, the name that it was sealed under and its header."""


class Touch:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return touched, (self.path,)


def touched(path: str) -> Touch:
    os.mkdir(path)
    return Touch(path)


def joined(encoded: Any) -> bytes:
    return b"".join(bytes(part) for part in encoded.parts)


def tree(shape: object, *rows: tuple[bytes, str, int, int, bytes]) -> bytes:
    """What the codec "paths" is given to decode, but for the files' content."""
    head = joined(PlainCodec().encode((shape, list(rows))))
    return len(head).to_bytes(8, "little") + head


class Tamperer:
    """Who can write the cache and read its format, but has not the key."""

    def __init__(self, folder: Path, ours: Seal) -> None:
        self.canary = folder / "canary"
        self.outside = folder / "outside"
        self.ours = ours
        self.forged = Seal(b"a key of the tamperer's")
        self.forged.id_bytes = ours.id_bytes
        self.code = joined(PickleCodec().encode(Touch(str(self.canary))))
        self.canary.rmdir()  # encoding it has tried whether it comes back
        self.other = b""
        self.trace = b""

    def under(
        self, payload: bytes, name: bytes, *, codec: str = "pickle", packing: int = frame.RAW, size: int = -1
    ) -> bytes:
        """*payload* as an entry of ours, under a seal that is not."""
        return frame.frame(frame.VALUE, name, payload, self.forged, codec=codec, packing=packing, size=size)

    def with_code(self) -> list[Way]:
        """Ways to tamper with a pickle."""
        bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
        forged = lambda name: self.under(self.code, name)[: -len(self.code) - 32]  # noqa: E731
        return [
            lambda data, name, head: data[: head.start] + self.code,
            lambda data, name, head: data[: head.start] + self.code.ljust(head.stored, b"\0"),
            lambda data, name, head: self.under(self.code, name),
            lambda data, name, head: forged(name) + bytes(32) + self.code,
            lambda data, name, head: forged(name) + data[head.start - 32 : head.start] + self.code,
            lambda data, name, head: data.replace(head.codec.encode(), b"picklf", 1),
            lambda data, name, head: self.other,
            lambda data, name, head: self.trace,
            lambda data, name, head: data[: head.start],
            lambda data, name, head: data + self.code,
            lambda data, name, head: self.under(bomb, name, packing=frame.ZSTD, size=1 << 24),
            lambda data, name, head: data.replace(head.name, self.ours.name(b"value", name), 1),
        ]

    def with_paths(self) -> list[Way]:
        """Ways to tamper with files, so that they would be written elsewhere."""
        name_of, above = os.fsencode(self.outside), os.fsencode(self.outside.parent)
        trees = [
            tree(("path", b"../outside"), (b"../outside", "file", 0o644, 4, b"")),
            tree(("path", name_of), (name_of, "file", 0o644, 4, b"")),
            tree(("path", b"out"), (b"out", "link", 0, 0, above), (b"out/outside", "file", 0o644, 4, b"")),
        ]

        def way(payload: bytes) -> Way:
            return lambda data, name, head: self.under(payload + b"evil", name, codec="paths")

        return [way(payload) for payload in trees]

    def ways(self) -> dict[str, list[Way]]:
        """By codec, a way for each entry."""
        return {"pickle": self.with_code(), "paths": self.with_paths()}


def database(cache: Path) -> Path:
    (path,) = cache.glob("entries-*.db")
    return path


def header(data: bytes, seal: Seal) -> frame.Header:
    """The header of a sound value, whatever name it was sealed under."""
    return frame.read_header(data, seal, frame.VALUE, data[40:72])


def blobs(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "blobs").rglob("*") if path.is_file())


def tamper(cache: Path, tamperer: Tamperer) -> int:
    """Each of the ways with an entry of its own, rows and blobs; how many were tampered with."""
    with closing(sqlite3.connect(database(cache))) as db, db:
        rows = db.execute("SELECT name, frame FROM contents WHERE frame IS NOT NULL ORDER BY id").fetchall()
        (tamperer.trace,) = db.execute("SELECT frame FROM traces").fetchone()
        changed = changes(dict(rows), tamperer)
        db.executemany("UPDATE contents SET frame = ? WHERE name = ?", [(new, name) for name, new in changed.items()])
    files = changes({path: path.read_bytes() for path in blobs(cache)}, tamperer)
    for path, new in files.items():
        path.write_bytes(new)
    return len(changed) + len(files)


def changes(found: dict[Any, bytes], tamperer: Tamperer) -> dict[Any, bytes]:
    """The entries as they are to be, each tampered with in another way."""
    ways, tampered = tamperer.ways(), {}
    for name, data in found.items():
        head = header(data, tamperer.ours)
        tamperer.other = tamperer.other or data
        tampered[name] = ways[head.codec].pop()(data, head.name, head)
        assert tampered[name] != data
        tamperer.other = data
    assert ways == {"pickle": [], "paths": []}
    return tampered


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    stepcache_project.run("pipeline_x.py::make")
    return stepcache_project


def test_thirty_tampered_entries(project: Project, tmp_path: Path) -> None:
    tamperer = Tamperer(tmp_path, Seal(project.key.read_bytes()))
    assert tamper(project.cache, tamperer) == 30
    before = {path for path in tmp_path.rglob("*") if project.cache not in path.parents}
    result = project.run()
    assert result.exit_code == 0, result.stdout
    assert len(result.ran) == 60
    assert not tamperer.canary.exists()
    added = {path for path in tmp_path.rglob("*") if project.cache not in path.parents} - before
    assert {path.name for path in added if "__pycache__" not in path.parts} <= {"report.json"}
    assert project.run().ran == []
    import stepcache

    values = stepcache.run("pipeline_x.py")
    assert [values[f"size[{n}]"] for n in range(30)] == SIZES


def test_the_same_bytes_under_the_right_key_would_run_code(project: Project, tmp_path: Path) -> None:
    """What the test above shows is due to the seal, and not to bytes that could never have been decoded."""
    tamperer = Tamperer(tmp_path, Seal(project.key.read_bytes()))
    tamperer.forged = tamperer.ours
    heads = [(path, header(path.read_bytes(), tamperer.ours)) for path in blobs(project.cache)]
    path, head = next((path, head) for path, head in heads if head.codec == "pickle")
    path.write_bytes(tamperer.under(tamperer.code, head.name))
    project.run()
    assert tamperer.canary.exists()


def test_entries_of_another_key_are_foreign_and_left_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = entries(project.cache)
    monkeypatch.delenv("STEPCACHE_KEY_FILE")
    monkeypatch.setenv("STEPCACHE_KEY", "another key than that of the project")
    result = project.run("pipeline_x.py::make")
    assert list(result.reasons.values()) == [["foreign"]] * 30
    for flag in ("--cache-verify", "--cache-gc=0", "--cache-clear"):
        assert project.run(flag, "--no-summary").exit_code == 0
    assert mine <= entries(project.cache)
    monkeypatch.delenv("STEPCACHE_KEY")
    monkeypatch.setenv("STEPCACHE_KEY_FILE", str(project.key))
    assert project.run("pipeline_x.py::make").ran == []


def test_what_only_explains_a_miss_is_not_read_by_a_hit(project: Project) -> None:
    with closing(sqlite3.connect(database(project.cache))) as db, db:
        db.execute("UPDATE traces SET ingredients = x'00'")
    project.write("pipeline_y.py", "from stepcache import step\n\n@step\ndef more():\n    return 1\n")
    result = project.run("pipeline_x.py::make", "pipeline_y.py")
    assert result.ran == ["more"], result.reasons


def entries(cache: Path) -> set[bytes]:
    """The bytes of all that is stored, wherever it lies."""
    with closing(sqlite3.connect(database(cache))) as db:
        rows = db.execute(
            "SELECT frame FROM contents WHERE frame IS NOT NULL UNION SELECT frame FROM traces"
        ).fetchall()
    return {row for (row,) in rows} | {path.read_bytes() for path in blobs(cache)}
