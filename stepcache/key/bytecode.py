"""Functions whose source is not known, such as those made by `exec`: told by what they were compiled to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dis import get_instructions
from types import CodeType

from stepcache.digest import digest_all
from stepcache.key.expressions import ANY_NAME, FORMATTING, MARKS, NAME_MARKS, NAMING, QUERIES, WORD
from stepcache.key.nodes import constant_text
from stepcache.key.table import Chain, Dynamic, Import, Uses

_OF_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


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


def bytecode_uses(code: CodeType, names: Collection[str]) -> Uses:
    """What it uses, of the global *names* that there are: more is taken for named at run time than is."""
    imports: list[Import] = []
    attributes: set[str] = set()
    found: set[str] = set()
    texts: dict[str, None] = {}
    for each in _codes(code):
        steps = [step for step in get_instructions(each) if step.opname != "EXTENDED_ARG"]
        for at, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                level, taken = (before.argval for before in steps[at - 2 : at])
                chains: list[Chain] = [(name,) for name in taken] if taken else [()]
                imports += [Import(f"import {step.argval} {c}", step.argval, level, c) for c in chains]
            elif step.opname in _OF_GLOBALS:
                found.add(step.argval)
            elif step.argval in each.co_names:
                attributes.add(step.argval)
        texts.update(dict.fromkeys(_texts(each.co_consts)))
    if attributes & QUERIES:
        found.update(word for text in texts for word in WORD.findall(text))
    every, at_run_time = found | attributes, found & {*ANY_NAME, "vars"}
    marks = {MARKS[name] for name in every & MARKS.keys()}
    marks |= {"names"} if every & NAME_MARKS else set()
    marks |= {"modules"} if "__module__" in attributes else set()
    marks |= {"attributes"} if at_run_time or every & NAMING.keys() or attributes & FORMATTING else set()
    return Uses(
        chains=tuple((name,) for name in sorted(found.intersection(names))),
        imports=tuple(imports),
        dynamic=tuple(Dynamic("names", code.co_firstlineno, name) for name in sorted(at_run_time)),
        strings=tuple(texts),
        marks=tuple(sorted(marks)),
        names=tuple(sorted(every)),
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _texts(constants: Iterable[object]) -> Iterator[str]:
    for each in constants:
        if isinstance(each, str):
            yield each
        elif isinstance(each, bytes) and len(each) < 500:
            yield each.decode("latin-1")
        elif isinstance(each, (tuple, frozenset)):
            yield from _texts(each)


def _constant(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ",".join(map(_constant, value)) + ")"
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_constant, value))) + "}"
    return constant_text(value)
