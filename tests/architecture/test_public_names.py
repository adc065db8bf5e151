"""What `import stepcache` offers: each name exported, documented, typed, and loaded only when it is asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing

import pytest

import stepcache

NAMES = {
    "step", "pipeline", "resource", "check", "parametrize", "param", "mark", "All", "File", "Dir", "run", "load",
    "main", "skip", "hookimpl", "StepcacheError", "UsageError", "CollectionFailed", "StepFailed", "NotCached",
}  # fmt: skip

FUNCTIONS = sorted(name for name in NAMES if inspect.isfunction(getattr(stepcache, name)))


def test_the_public_names_are_exported() -> None:
    assert set(stepcache.__all__) >= NAMES
    assert set(stepcache.__all__) <= set(dir(stepcache))


@pytest.mark.parametrize("name", sorted(stepcache.__all__))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(stepcache, name)
    if inspect.isfunction(value) or inspect.isclass(value):
        assert inspect.getdoc(value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_typed(name: str) -> None:
    function = getattr(stepcache, name)
    for each in (*typing.get_overloads(function), function):
        signature = inspect.signature(each)
        untyped = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
        assert not untyped
        assert signature.return_annotation is not inspect.Signature.empty


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="stpe"):
        stepcache.stpe  # noqa: B018


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = "import stepcache, sys; print(*sorted(m for m in sys.modules if m.startswith('stepcache')))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["stepcache"]
