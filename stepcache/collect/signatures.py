"""What is wrong with a definition by itself: its parameters, and what its decorators say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stepcache.annotated import words_inside
from stepcache.config.spelling import did_you_mean
from stepcache.model import Definition, Parameter
from stepcache.signature import innermost


def faults(definition: Definition) -> Iterator[str]:
    """Each fault, with what to do, to stand behind the place and name of the definition."""
    yield from _parameters(definition)
    yield from _choices(definition)
    names = [p.name for p in definition.parameters]
    chosen = {name for each in definition.parametrize for name in each.names}
    for name in definition.takes:
        if name not in names:
            yield f"says takes={{'{name}': …}}, and has no parameter '{name}'{did_you_mean(name, names)}"
        elif name in chosen:
            yield f"is given '{name}' by takes= and by parametrize\n  take one of them out"
    for name in definition.ignore:
        if name not in names and not name.startswith(("env:", "file:")):
            yield (
                f"says ignore='{name}', and has no parameter '{name}'{did_you_mean(name, names)}\n"
                '  variables are written "env:NAME", files "file:GLOB"'
            )


def class_of(definition: Definition) -> str:
    """The class that the function stands in; "" for a function of a module, or one that a function makes."""
    outer, _, _ = getattr(innermost(definition.function), "__qualname__", "").rpartition(".")
    return "" if "<locals>" in outer else outer


def _parameters(definition: Definition) -> Iterator[str]:
    for parameter in definition.parameters:
        if parameter.name.startswith("*"):
            yield f"has {parameter.name} in its signature\n  name each step and setting that it takes"
        elif parameter.type is not None and not (parameter.takes_all or parameter.takes_each):
            yield from _inside(definition, parameter)
    code = getattr(definition.function, "__code__", None)
    for name in code.co_varnames[: code.co_posonlyargcount] if code is not None else ():
        yield f"has '{name}' before the / in its signature, and values are handed on by name\n  take the / out"


def _inside(definition: Definition, parameter: Parameter) -> Iterator[str]:
    names = getattr(innermost(definition.function), "__globals__", {})
    for word in sorted(words_inside(parameter.type, names)):
        what = "the type of one element" if word == "Each" else "the type of a variant's value"
        yield f"has {word} inside the annotation of '{parameter.name}'\n  it stands around {what}: {word}[…]"


def _choices(definition: Definition) -> Iterator[str]:
    names = [p.name for p in definition.parameters]
    counts = Counter(name for each in definition.parametrize for name in each.names)
    for name, count in counts.items():
        if name not in names:
            yield f"is parametrised with '{name}', and has no parameter '{name}'{did_you_mean(name, names)}"
        elif count > 1:
            yield f"is parametrised with '{name}' {count} times\n  name it in one parametrize"
