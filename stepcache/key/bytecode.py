"""Functions whose source is not known, such as those made by `exec`: told by what they were compiled to."""

from __future__ import annotations

from collections.abc import Iterator
from dis import get_instructions
from types import CodeType

from stepcache.digest import digest_all
from stepcache.key.nodes import constant_text


def bytecode_digest(code: CodeType) -> str:
    """Digest of a code object, without positions and file names. It differs from Python to Python."""
    constants = [bytecode_digest(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    names = (code.co_name, *code.co_names, "", *code.co_varnames, "", *code.co_freevars)
    return digest_all("bytecode", [code.co_code, str(code.co_argcount), str(code.co_flags), *names, "", *constants])


def bytecode_names(code: CodeType) -> list[str]:
    """The names that it looks up, and those of the functions in it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(bytecode_names(constant))
    return sorted(found)


def bytecode_imports(code: CodeType) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """What its import statements, and those of the functions in it, import: as (module, level, names taken)."""
    steps = [each for each in get_instructions(code) if each.opname != "EXTENDED_ARG"]
    for at, each in enumerate(steps):
        if each.opname == "IMPORT_NAME":
            level, names = (before.argval for before in steps[at - 2 : at])
            yield each.argval, level, names or ()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from bytecode_imports(constant)


def _constant(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ",".join(map(_constant, value)) + ")"
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_constant, value))) + "}"
    return constant_text(value)
