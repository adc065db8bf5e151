"""Texts that mention files: names in quotes, arguments of readers; and what a path, a folder or a glob stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import iglob

_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
# SQL, not a glob.
_SENTENCE = re.compile(r"['\"\n]|\s\*|\*\s")
# A folder with more files than this is taken for its listings and this many of them.
_MOST = 10_000


def quoted(text: str) -> Iterator[str]:
    """The texts in quotes in *text*: in SQL, DuckDB's names of files."""
    if "'" in text or '"' in text:
        for single, double in _QUOTED.findall(text):
            yield single or double


def texts_in(value: object) -> Iterator[str]:
    """The texts in an argument that may be paths."""
    if isinstance(value, (str, os.PathLike)):
        text = os.fsdecode(value)
        yield os.path.expanduser(text)
        yield from quoted(text)
    elif isinstance(value, (list, tuple)):
        for each in value[:_MOST]:
            if isinstance(each, (str, os.PathLike)):
                yield os.path.expanduser(os.fsdecode(each))


def files_of(text: str) -> Iterator[tuple[str, str]]:
    """The files ("native") and folders ("listed") that a reader reads which is given *text*."""
    if os.path.isfile(text):
        yield "native", text
    elif os.path.isdir(text):
        for count, (folder, _, names) in enumerate(os.walk(text)):
            yield "listed", folder
            yield from (("native", os.path.join(folder, name)) for name in names[: max(_MOST - count, 0)])
    elif any(sign in text for sign in "*?[") and not _SENTENCE.search(text):
        folder = re.split(r"[*?\[]", text)[0].rpartition("/")[0]
        if os.path.isdir(folder or "."):
            yield "listed", folder or "."
        yield from (("native", path) for path in sorted(iglob(text, recursive=True)) if os.path.isfile(path))
