"""Whether the body of a module binds one of its names twice."""

from __future__ import annotations

import pytest

from stepcache.collect.bytecode import rebinds

MANY = "".join(f"def f{number}():\n    pass\n" for number in range(600))

ONCE = {
    "an import and a definition": "from a import x\ndef y():\n    x = 1\n    x = 2\n",
    "more names than one byte numbers": MANY,
}
TWICE = {
    "an import and a definition": "from a import x\ndef x():\n    pass\n",
    "two imports": "try:\n    from a import x\nexcept ImportError:\n    from b import x\n",
    "a name beyond the first 256": MANY + "def f555():\n    pass\n",
    "whatever a star brings": "from a import x\nfrom b import *\n",
    "a star on the next line": "from a import x\nfrom b import \\\n    *\n",
}


def told(source: str) -> bool:
    return rebinds(compile(source, "x.py", "exec"), source.encode())


@pytest.mark.parametrize("case", ONCE)
def test_once(case: str) -> None:
    assert not told(ONCE[case])


@pytest.mark.parametrize("case", TWICE)
def test_twice(case: str) -> None:
    assert told(TWICE[case])
