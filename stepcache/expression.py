r"""The expressions of -k and -m.

The grammar is pytest's:

    expression: expr? end
    expr:       and_expr ('or' and_expr)*
    and_expr:   not_expr ('and' not_expr)*
    not_expr:   'not' not_expr | '(' expr ')' | name kwargs?

    name:       (\w|:|\+|-|\.|\[|\]|\\|/)+
    kwargs:     '(' key '=' value (',' key '=' value)* ')'
    key:        a Python identifier, no keyword
    value:      a string in quotes, without a backslash | -?[0-9]+ | 'True' | 'False' | 'None'

An empty expression is false of everything. A name in -k is true of a node if it is part of one of the node's names,
whatever the case; a name in -m is true of a node that has that mark, with these keyword arguments if there are any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import NoReturn

from attrs import field

from stepcache.errors import UsageError
from stepcache.model import Mark, Node
from stepcache.records import frozen

Argument = str | int | bool | None
# Whether a name, with its keyword arguments, is true.
Matcher = Callable[[str, Mapping[str, Argument]], bool]
_Evaluate = Callable[[Matcher], bool]

_NAME = re.compile(r"[\w:+\-.\[\]\\/]+")
_CONSTANTS: dict[str, Argument] = {"True": True, "False": False, "None": None}
_CALLED = {
    "(": "left parenthesis",
    ")": "right parenthesis",
    "name": "identifier",
    "string": "string literal",
    "end": "end of input",
}


@frozen
class Expression:
    """A parsed expression; `names` are all that stand in it."""

    text: str
    names: frozenset[str]
    _evaluate: _Evaluate = field(eq=False, repr=False)

    def matches_names(self, names: Iterable[str]) -> bool:
        """Whether it is true of a node with these names, as -k reads it."""
        lowered = [name.lower() for name in names]
        return self._evaluate(lambda part, _: any(part.lower() in name for name in lowered))

    def matches_marks(self, marks: Iterable[Mark]) -> bool:
        """Whether it is true of a node with these marks, as -m reads it."""
        kept = tuple(marks)

        def matcher(name: str, kwargs: Mapping[str, Argument]) -> bool:
            return any(
                mark.name == name and all(key in mark.kwargs and mark.kwargs[key] == kwargs[key] for key in kwargs)
                for mark in kept
            )

        return self._evaluate(matcher)

    @property
    def excludes(self) -> bool:
        """Whether it is true of a node without name or mark, and so says what to leave out rather than to take."""
        return self._evaluate(lambda _name, _kwargs: False)


def parse_keywords(text: str, option: str = "-k") -> Expression:
    """The expression of -k (or of another option that reads it so)."""
    return _parse(text, option, with_arguments=False)


def parse_marks(text: str, option: str = "-m") -> Expression:
    """The expression of -m."""
    return _parse(text, option, with_arguments=True)


def keyword_names(node: Node) -> tuple[str, ...]:
    """What -k looks at: the node's name and those of its outputs with its variant, and its marks; not its file."""
    variant = f"[{node.variant}]" if node.variant is not None else ""
    names = (node.name, *node.definition.outputs)
    return (*(name + variant for name in names), *(mark.name for mark in node.marks))


@frozen
class _Token:
    type: str
    text: str
    at: int


# Each level takes a few frames of Python's stack, when it is read and each time it is evaluated.
_DEEPEST = 100


class _WrongError(Exception):
    """What is wrong with an expression, and where in it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message, at)
        self.message = message
        self.at = at


def _parse(text: str, option: str, with_arguments: bool) -> Expression:
    try:
        parser = _Parser(text, with_arguments)
        return Expression(text, frozenset(parser.names), parser.evaluate)
    except _WrongError as wrong:
        message = f"Wrong expression passed to '{option}': {text}: at column {wrong.at + 1}: {wrong.message}"
        raise UsageError(message) from None


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        char = text[at]
        if char in " \t\n":
            at += 1
        elif char in "()=,":
            yield _Token(char, char, at)
            at += 1
        elif char in "'\"":
            token = _string(text, at)
            yield token
            at += len(token.text)
        else:
            found = _NAME.match(text, at)
            if found is None:
                raise _WrongError(f'unexpected character "{char}"', at)
            word = found[0]
            yield _Token(word if word in ("or", "and", "not") else "name", word, at)
            at = found.end()
    yield _Token("end", "", len(text))


def _string(text: str, at: int) -> _Token:
    quote = text[at]
    end = text.find(quote, at + 1)
    if end == -1:
        raise _WrongError(f'closing quote "{quote}" is missing', at)
    string = text[at : end + 1]
    if "\\" in string:
        raise _WrongError(r'escaping with "\" not supported in marker expression', at + string.index("\\"))
    return _Token("string", string, at)


class _Parser:
    """Recursive descent; what it makes of each rule is a function of the matcher."""

    def __init__(self, text: str, with_arguments: bool) -> None:
        self.tokens = _tokens(text)
        self.current = next(self.tokens)
        self.with_arguments = with_arguments
        self.names: set[str] = set()
        self.depth = 0
        if self.current.type == "end":
            self.evaluate: _Evaluate = lambda _: False
            return
        self.evaluate = self.expr()
        self.expect("end")

    def accept(self, wanted: str) -> _Token | None:
        token = self.current
        if token.type != wanted:
            return None
        if wanted != "end":
            self.current = next(self.tokens)
        return token

    def expect(self, wanted: str) -> _Token:
        token = self.accept(wanted)
        if token is None:
            self.reject(wanted)
        return token

    def reject(self, *expected: str) -> NoReturn:
        wanted = " OR ".join(_CALLED.get(one, one) for one in expected)
        got = _CALLED.get(self.current.type, self.current.type)
        raise _WrongError(f"expected {wanted}; got {got}", self.current.at)

    def expr(self) -> _Evaluate:
        parts = [self.and_expr()]
        while self.accept("or"):
            parts.append(self.and_expr())
        return parts[0] if len(parts) == 1 else lambda matcher: any(part(matcher) for part in parts)

    def and_expr(self) -> _Evaluate:
        parts = [self.not_expr()]
        while self.accept("and"):
            parts.append(self.not_expr())
        return parts[0] if len(parts) == 1 else lambda matcher: all(part(matcher) for part in parts)

    def not_expr(self) -> _Evaluate:
        opening = self.current
        if self.accept("not"):
            inner = self.nested(self.not_expr, opening)
            return lambda matcher: not inner(matcher)
        if self.accept("("):
            inner = self.nested(self.expr, opening)
            self.expect(")")
            return inner
        name = self.accept("name")
        if name is None:
            self.reject("not", "(", "name")
        self.names.add(name.text)
        kwargs = self.kwargs()
        return lambda matcher: matcher(name.text, kwargs)

    def nested(self, rule: Callable[[], _Evaluate], opening: _Token) -> _Evaluate:
        """What *rule* makes of what stands behind *opening*, one level deeper."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _WrongError(f"nested more than {_DEEPEST} deep", opening.at)
        inner = rule()
        self.depth -= 1
        return inner

    def kwargs(self) -> Mapping[str, Argument]:
        opening = self.current
        if not self.accept("("):
            return {}
        if not self.with_arguments:
            raise _WrongError("Keyword expressions do not support call parameters", opening.at)
        found = dict([self.kwarg()])
        while self.accept(","):
            key, value = self.kwarg()
            found[key] = value
        self.expect(")")
        return found

    def kwarg(self) -> tuple[str, Argument]:
        key = self.expect("name")
        if not key.text.isidentifier():
            raise _WrongError(f"not a valid python identifier {key.text}", key.at)
        if iskeyword(key.text):
            raise _WrongError(f"unexpected reserved python keyword `{key.text}`", key.at)
        self.expect("=")
        if string := self.accept("string"):
            return key.text, string.text[1:-1]
        value = self.expect("name")
        if value.text.removeprefix("-").isdecimal():
            return key.text, int(value.text)
        if value.text in _CONSTANTS:
            return key.text, _CONSTANTS[value.text]
        raise _WrongError(f'unexpected character/s "{value.text}"', value.at)
