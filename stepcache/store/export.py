"""Values as files that other programs read: what `save_to=` writes, by the file's suffix."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from importlib import import_module
from io import TextIOWrapper
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any

from stepcache.store.streams import Stream

if TYPE_CHECKING:
    from stepcache.store.registry import Codecs

Writer = Callable[[Any, IO[bytes]], None]


class NotExported(Exception):
    """A value cannot be written in that format."""


def export(value: object, suffix: str, stream: IO[bytes], codecs: Codecs, formats: str = "any") -> None:
    """Write *value* to *stream* in the format that *suffix*, with its dot, means.

    The path of a file is written as the file's content; text and bytes are, for every suffix without a format of its
    own, as they are; a stream is what a list of its elements would be.
    Raises NotExported, OSError, or what the writing library raises.
    """
    suffix = suffix.lower()
    if isinstance(value, Stream) and suffix not in _LAZY:
        value = list(value)
    if isinstance(value, PurePath):
        _copy(value, stream)
    elif isinstance(value, bytes):
        stream.write(value)
    elif (codec := codecs.by_suffix(suffix, value, formats)) is not None:
        for part in codec.encode(value).parts:
            stream.write(part)
    elif suffix in _PICKLES and formats == "safe":
        raise NotExported('formats = "safe" refuses pickle')
    elif suffix in _WRITERS:
        _WRITERS[suffix](value, stream)
    elif isinstance(value, str):
        stream.write(value.encode())
    else:
        raise _refused(value, suffix or "a file without a suffix", f"the suffixes known are {', '.join(_WRITERS)}")


def _refused(value: object, suffix: str, known: str) -> NotExported:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    article = "an" if name[0] in "aeiou" else "a"
    return NotExported(f"{article} {name} cannot be written as {suffix}: {known}")


def _copy(path: PurePath, stream: IO[bytes]) -> None:
    if not os.path.isfile(path):
        raise NotExported(f"{path} is no file")
    with open(path, "rb") as source:
        shutil.copyfileobj(source, stream)


# --- tables -------------------------------------------------------------------------------------


def _csv(value: Any, stream: IO[bytes]) -> None:
    """A data frame without an index that only counts its rows; else rows, given as mappings or sequences."""
    if hasattr(value, "to_csv"):
        stream.write(value.to_csv(index=not _counts_only(value.index)).encode())
    elif hasattr(value, "write_csv"):
        stream.write(value.write_csv().encode())
    elif type(value).__module__.partition(".")[0] == "pyarrow":
        import_module("pyarrow.csv").write_csv(value, stream)
    elif type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        _rows(value.tolist() if value.ndim > 1 else [[each] for each in value.tolist()], value, stream)
    else:
        _rows(value, value, stream)


def _counts_only(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1 and index.name is None


def _rows(rows: object, value: object, stream: IO[bytes]) -> None:
    """Rows that are gone through twice, and never all in memory at once."""
    import csv

    kinds, names = _kinds_and_names(rows)
    if kinds not in ({"mapping"}, {"sequence"}, set()):
        raise _refused(value, ".csv", "a table or a list of rows can be")
    text = TextIOWrapper(stream, "utf-8", newline="")
    try:
        if kinds == {"mapping"}:
            table = csv.DictWriter(text, names, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)  # type: ignore[arg-type]
        else:
            csv.writer(text, lineterminator="\n").writerows(rows)  # type: ignore[arg-type]
    finally:
        text.detach()


def _kinds_and_names(rows: object) -> tuple[set[str], list[Any]]:
    """Of which kinds *rows* are, and what the columns of those that are mappings are called."""
    if isinstance(rows, (str, Mapping)) or not isinstance(rows, Iterable):
        return {"other"}, []
    kinds: set[str] = set()
    names: dict[Any, None] = {}
    for row in rows:
        if isinstance(row, Mapping):
            kinds.add("mapping")
            names.update(dict.fromkeys(row))
        else:
            kinds.add("sequence" if isinstance(row, Sequence) and not isinstance(row, str) else "other")
    return kinds, list(names)


def _parquet(value: Any, stream: IO[bytes]) -> None:
    if hasattr(value, "to_parquet"):
        stream.write(value.to_parquet())
    elif hasattr(value, "to_frame") and hasattr(value, "to_csv"):
        stream.write(value.to_frame().to_parquet())
    elif hasattr(value, "write_parquet"):
        value.write_parquet(stream)
    elif type(value).__module__.partition(".")[0] == "pyarrow":
        import_module("pyarrow.parquet").write_table(value, stream)
    else:
        raise _refused(value, ".parquet", "a data frame can be")


# --- plain values -------------------------------------------------------------------------------


def _json(value: Any, stream: IO[bytes]) -> None:
    import json

    if hasattr(value, "to_json") and hasattr(value, "index"):
        text = value.to_json(orient="records" if hasattr(value, "columns") else "index", indent=2, date_format="iso")
    elif hasattr(value, "write_json"):
        text = value.write_json()
    else:
        try:
            text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
        except (TypeError, ValueError) as error:
            raise NotExported(f"it cannot be written as .json: {error}") from error
    stream.write(f"{text}\n".encode())


def _plain(value: Any) -> object:
    """What JSON has no form for: paths and dates as text, arrays as lists, sets as sorted lists."""
    if isinstance(value, (PurePath, date, time)):
        return str(value) if isinstance(value, PurePath) else value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__qualname__} has no form in JSON")


def _text(value: Any, stream: IO[bytes]) -> None:
    """Text as it is; texts as lines; a number on a line of its own."""
    if isinstance(value, str):
        stream.write(value.encode())
    elif isinstance(value, (list, tuple, Stream)) and all(isinstance(each, str) for each in value):
        stream.writelines((each if each.endswith("\n") else f"{each}\n").encode() for each in value)
    elif isinstance(value, (bool, int, float)):
        stream.write(f"{value}\n".encode())
    else:
        raise _refused(value, ".txt", "text, a list of texts or a number can be")


def _npy(value: Any, stream: IO[bytes]) -> None:
    import numpy

    numpy.save(stream, _array(value, ".npy"), allow_pickle=False)


def _npz(value: Any, stream: IO[bytes]) -> None:
    import numpy

    if not isinstance(value, Mapping):
        raise _refused(value, ".npz", "a mapping from names to arrays can be")
    numpy.savez_compressed(stream, **{str(name): _array(each, ".npz") for name, each in value.items()})


def _array(value: Any, suffix: str) -> Any:
    import numpy

    found = numpy.asarray(value)
    if found.dtype.hasobject:
        raise _refused(value, suffix, "an array of numbers or texts can be")
    return found


def _pickle(value: Any, stream: IO[bytes]) -> None:
    import pickle

    pickle.dump(value, stream, protocol=5)


# --- pictures -----------------------------------------------------------------------------------


def _picture(kind: str) -> Writer:
    def write(value: Any, stream: IO[bytes]) -> None:
        figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
        if hasattr(figure, "savefig"):
            _figure(figure, kind, stream)
        elif hasattr(value, "save") and hasattr(value, "getbands"):  # a picture of Pillow's
            value.save(stream, {"jpg": "jpeg"}.get(kind, kind))
        else:
            raise _refused(value, f".{kind}", "a figure of matplotlib's can be")

    return write


def _figure(figure: Any, kind: str, stream: IO[bytes]) -> None:
    """A figure, the same bytes for the same figure: without the date, and with ids that are not random."""
    import matplotlib

    dates: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "stepcache"}):
        figure.savefig(stream, format=kind, **({"metadata": dates[kind]} if kind in dates else {}))
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)  # a figure that was unpickled is among pyplot's


# Formats in which a stream is written without all of it being in memory.
_LAZY = (".csv", ".txt")
_PICKLES = (".pickle", ".pkl")
_WRITERS: dict[str, Writer] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".txt": _text,
    ".npy": _npy,
    ".npz": _npz,
    **{f".{kind}": _picture(kind) for kind in ("png", "svg", "pdf", "jpg")},
    **dict.fromkeys(_PICKLES, _pickle),
}
