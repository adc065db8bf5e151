"""-k and -m: pytest's grammar and meaning."""

from __future__ import annotations

import pytest

from stepcache.errors import UsageError
from stepcache.expression import parse_keywords, parse_marks
from stepcache.model import Mark

NAMES = ("model[0.1-Deep]", "slow")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("  ", False),
        ("model", True),
        ("MODEL", True),
        ("deep", True),
        ("slow", True),
        ("odel[0.1", True),
        ("0.1-deep]", True),
        ("other", False),
        ("not other", True),
        ("not not model", True),
        ("model and slow", True),
        ("model and other", False),
        ("other or slow", True),
        ("other or model and other", False),
        ("(other or model) and slow", True),
        ("not (model or other)", False),
        ("not model or slow", True),
        ("None", False),
        ("a:b", False),
    ],
)
def test_keywords(text: str, expected: bool):
    assert parse_keywords(text).matches_names(NAMES) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("slow", True),
        ("slo", False),
        ("SLOW", False),
        ("gpu(count=2)", True),
        ("gpu(count=3)", False),
        ("gpu(count=2, kind='big')", True),
        ('gpu(kind="big")', True),
        ("gpu(kind='small')", False),
        ("gpu(other=None)", False),
        ("gpu(spare=None)", True),
        ("gpu(fast=True)", True),
        ("gpu(fast=False)", False),
        ("gpu(least=-1) and not fast", True),
        ("slow(a=1)", False),
        ("gpu(count=1) or gpu(count=2)", True),
    ],
)
def test_marks(text: str, expected: bool):
    gpu = Mark("gpu", (), {"count": 2, "kind": "big", "fast": True, "least": -1, "spare": None})

    assert parse_marks(text).matches_marks((Mark("slow"), gpu, Mark("gpu", (), {"count": 1}))) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("slow", False), ("not slow", True), ("not slow and model", False), ("", False), ("not (slow or gpu)", True)],
)
def test_what_is_true_of_a_bare_node_excludes(text: str, expected: bool):
    assert parse_marks(text).excludes is expected


def test_the_names_in_it_are_told():
    assert parse_marks("slow and not (gpu(count=2) or slow)").names == {"slow", "gpu"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(", "at column 2: expected not OR left parenthesis OR identifier; got end of input"),
        ("a(", "at column 3: expected identifier; got end of input"),
        ("a or", "at column 5: expected not OR left parenthesis OR identifier; got end of input"),
        ("not", "at column 4: expected not OR left parenthesis OR identifier; got end of input"),
        ("a b", "at column 3: expected end of input; got identifier"),
        ("(a", "at column 3: expected right parenthesis; got end of input"),
        ("a)", "at column 2: expected end of input; got right parenthesis"),
        ("a & b", 'at column 3: unexpected character "&"'),
        ("'a'", "at column 1: expected not OR left parenthesis OR identifier; got string literal"),
        ("a(b='c)", 'at column 5: closing quote "\'" is missing'),
        ("a(b='\\c')", r'at column 6: escaping with "\" not supported in marker expression'),
        ("a(1=2)", "at column 3: not a valid python identifier 1"),
        ("a(if=2)", "at column 3: unexpected reserved python keyword `if`"),
        ("a(b)", "at column 4: expected =; got right parenthesis"),
        ("a(b=c)", 'at column 5: unexpected character/s "c"'),
        ("a(b=1", "at column 6: expected right parenthesis; got end of input"),
    ],
)
def test_errors_are_pytests(text: str, message: str):
    with pytest.raises(UsageError) as caught:
        parse_marks(text)

    assert str(caught.value) == f"Wrong expression passed to '-m': {text}: {message}"


def test_keywords_take_no_arguments():
    with pytest.raises(UsageError) as caught:
        parse_keywords("a(b=1)", "--cache-refresh")

    assert str(caught.value) == (
        "Wrong expression passed to '--cache-refresh': a(b=1): at column 2: "
        "Keyword expressions do not support call parameters"
    )
