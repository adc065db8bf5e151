"""Readers that open files without Python: while something is watched, their functions tell the paths they are given.

Literals that name files count in any case; this is for paths that are computed.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import FrameType, ModuleType
from typing import Any

from stepcache.key.listen import listening, tell
from stepcache.key.mentions import texts_in

# The functions that take paths of files or folders, globs, or SQL that names them.
READERS: dict[str, tuple[str, ...]] = {
    "polars": (
        "read_csv", "read_csv_batched", "read_parquet", "read_parquet_schema", "read_parquet_metadata", "read_ipc",
        "read_ipc_schema", "read_ipc_stream", "read_ndjson", "read_json", "read_avro", "read_excel", "read_delta",
        "read_lines", "scan_csv", "scan_parquet", "scan_ipc", "scan_ndjson", "scan_delta", "scan_lines",
    ),
    "pyarrow": ("memory_map", "input_stream"),
    "pyarrow.csv": ("read_csv", "open_csv"),
    "pyarrow.json": ("read_json", "open_json"),
    "pyarrow.feather": ("read_feather", "read_table"),
    "pyarrow.orc": ("read_table",),
    "pyarrow.parquet": ("read_table", "read_pandas", "read_schema", "read_metadata"),
    "pyarrow.dataset": ("dataset", "parquet_dataset"),
    "duckdb": (
        "read_csv", "read_parquet", "read_json", "from_csv_auto", "from_parquet", "sql", "query", "execute", "connect",
    ),
    "cv2": ("imread", "imreadmulti"),
    "lxml.etree": ("parse", "iterparse"),
}  # fmt: skip

# Methods that take them.
METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "pyarrow.parquet.core": {"ParquetFile": ("__init__",), "ParquetDataset": ("__init__",)},
    "h5py._hl.files": {"File": ("__init__",)},
    "duckdb": {
        "DuckDBPyConnection": (
            "execute", "sql", "query", "read_csv", "read_parquet", "read_json", "from_csv_auto", "from_parquet",
        ),
    },
}  # fmt: skip


def _telling(module: str, name: str, original: Any) -> Callable[..., Any]:
    """A stand-in for a reader's function that tells what it is given, and does the same."""

    @functools.wraps(original)
    def reader(*args: Any, **options: Any) -> Any:
        if listening():
            frame = sys._getframe(1)
            for text in (each for value in (*args[:3], *options.values()) for each in texts_in(value)):
                tell("reader_given", text, frame)
        return original(*args, **options)

    reader.__module__, reader.__qualname__ = module, name
    return reader


_in_place: dict[tuple[str, str], tuple[Any, Any]] = {}
_methods: list[tuple[type, str, Any]] = []


def _wrap_methods(module: ModuleType) -> None:
    for kind, names in METHODS.get(module.__name__, {}).items():
        owner = getattr(module, kind, None)
        if not isinstance(owner, type):
            continue
        for name in names:
            original = vars(owner).get(name)
            if original is not None:
                _methods.append((owner, name, original))
                setattr(owner, name, _telling(module.__name__, f"{kind}.{name}", original))


def _wrap_module(module: ModuleType) -> None:
    _wrap_methods(module)
    for name in READERS.get(module.__name__, ()):
        original = getattr(module, name, None)
        if original is not None and not isinstance(original, type) and callable(original):
            known = _in_place.get((module.__name__, name))
            if known is None or known[0] is not original:
                known = original, _telling(module.__name__, name, original)
            if original is not known[1]:
                _in_place[module.__name__, name] = known
                setattr(module, name, known[1])


_FIND_SPEC = importlib.util.find_spec.__code__


class _Finder:
    """Has a reader's module that is imported while something is watched tell, too, and tells which modules code seeks
    without importing them."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        if (seeker := _seeker()) is not None and listening():
            tell("module_sought", name, sys.path if path is None else path, seeker)
        if name not in READERS and name not in METHODS:
            return None
        finders = (finder for finder in sys.meta_path if finder is not _finder)
        specs = (finder.find_spec(name, path, target) for finder in finders if hasattr(finder, "find_spec"))
        spec: importlib.machinery.ModuleSpec | None = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                if _finder in sys.meta_path:
                    _wrap_module(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _seeker() -> FrameType | None:
    """The caller of `importlib.util.find_spec`, where that is what asks; other finders may stand between."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(4):
        if frame is None or frame.f_code is _FIND_SPEC:
            break
        frame = frame.f_back
    return frame.f_back if frame is not None and frame.f_code is _FIND_SPEC else None


_finder: Any = _Finder()


def wrap() -> None:
    sys.meta_path.insert(0, _finder)
    for name in (READERS.keys() | METHODS.keys()) & sys.modules.keys():
        if isinstance(module := sys.modules[name], ModuleType):
            _wrap_module(module)


def unwrap() -> None:
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    while _methods:
        owner, name, original = _methods.pop()
        setattr(owner, name, original)
    for (module, name), (original, wrapper) in _in_place.items():
        holder = sys.modules.get(module)
        if holder is not None and getattr(holder, name, None) is wrapper:
            setattr(holder, name, original)
