"""Reading TOML files, and telling where in one a key stands.

`tomllib` gives no positions, so the place of a key is looked for in the text: a file and line that a reader can
click on, or only the file where the text is too unusual for that.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from stepcache.errors import UsageError

_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)\s*(\.|=|\]|$)""")


def load_table(file: Path) -> dict[str, object] | None:
    """The table of *file* that is ours; None where it has none.

    A stepcache.toml, or another file named by -c, holds the keys at its top or in [tool.stepcache]; a
    pyproject.toml only in [tool.stepcache].
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{shown(file)}: cannot be read: {error.strerror}") from None
    dedicated = file.name != "pyproject.toml"
    if not dedicated and b"stepcache" not in data:
        return None
    document = _parse(file, data)
    tool = document.get("tool")
    table = tool.get("stepcache") if isinstance(tool, dict) else None
    if table is None:
        return document if dedicated else None
    if not isinstance(table, dict):
        raise UsageError(f"{place(file, ('tool', 'stepcache'))}: tool.stepcache is to be a table: [tool.stepcache]")
    return table


def _parse(file: Path, data: bytes) -> dict[str, object]:
    import tomllib  # only where there is a file to read

    try:
        text = data.decode("utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{shown(file)}:{line}: not valid TOML: not UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line, column = _position(str(error), text)
        raise UsageError(f"{shown(file)}:{line}:{column}: not valid TOML: {what}") from None


def _position(message: str, text: str) -> tuple[str, int, int]:
    """tomllib's message without its position, and the position."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL)
    if found:
        return found[1], int(found[2]), int(found[3])
    lines = text.splitlines() or [""]
    return message.removesuffix(" (at end of document)"), len(lines), len(lines[-1]) + 1


def value_of(text: str) -> object:
    """*text* as a TOML value; ValueError if it is none."""
    import tomllib

    document = tomllib.loads(f"value = {text}")
    if set(document) != {"value"}:
        raise ValueError(text)
    return document["value"]


def place(file: Path, keys: tuple[str, ...]) -> str:
    """`file:line` of the key in *file*, or of the nearest table around it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return shown(file)
    best, best_line = 0, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _dotted(stripped.lstrip("["))
            here = table
        else:
            written = _dotted(stripped) if "=" in stripped else ()
            here = table + written if written else ()
        matched = _common(here, keys)
        if here and matched == min(len(here), len(keys)) and matched > best:
            best, best_line = matched, number
    return f"{shown(file)}:{best_line}" if best else shown(file)


def _dotted(text: str) -> tuple[str, ...]:
    """The parts of the dotted key that *text* begins with."""
    parts: list[str] = []
    position = 0
    while found := _KEY.match(text, position):
        part = found[1]
        parts.append(part[1:-1] if part[0] in "\"'" else part)
        position = found.end()
        if found[2] != ".":
            return tuple(parts)
    return ()


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count


def shown(file: Path) -> str:
    """*file* as messages show it: relative to the working directory where it lies below it."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return str(file)
    return str(file) if relative.startswith("..") else relative
