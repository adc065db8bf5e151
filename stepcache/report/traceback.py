"""How a failure is shown: its traceback from the user's frame on, in pytest's styles."""

from __future__ import annotations

import itertools
import linecache
import os
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType

from stepcache.config.options import TracebackStyle
from stepcache.model import Failure
from stepcache.records import frozen

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_BETWEEN_ENTRIES = "_ " * 40
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_LONGEST_VALUE = 240

# A recursion goes round through at most this many frames; of a traceback longer than 100 frames, the middle is cut.
_LONGEST_ROUND = 30
_MOST_FRAMES = 100


@frozen
class _Entry:
    """One frame of a traceback: the lines from `first` to `last` are the statement that was running."""

    frame: FrameType
    code: CodeType
    first: int
    last: int


def failure_text(
    exception: BaseException,
    style: TracebackStyle = "auto",
    *,
    showlocals: bool = False,
    start: str | None = None,
) -> Failure:
    """How *exception* is told.

    Its frames in stepcache and in the import system, and those with a local `__tracebackhide__`, are left out; paths
    are relative to *start* (by default the working directory) where they lie below it.
    """
    shorten = _shortener(os.getcwd() if start is None else start)
    entries = _entries(exception.__traceback__)
    summary = _summary(exception, entries)
    last = entries[-1].code.co_filename if entries else _PACKAGE
    location = "" if last.startswith(_PACKAGE) else f"{shorten(last)}:{entries[-1].first}"
    if style == "no":
        text = ""
    elif style == "line":
        text = f"{os.path.abspath(entries[-1].code.co_filename)}:{entries[-1].first}: {summary}" if entries else summary
    elif style == "native" or any(isinstance(one, BaseExceptionGroup) for one, _ in _chain(exception)):
        text = _native(exception)
    else:
        text = "\n".join(_chained(exception, style, showlocals, shorten))
    return Failure(summary, text, location, exception)


def _shortener(start: str) -> Callable[[str], str]:
    inside = start.rstrip(os.sep) + os.sep

    def shorten(path: str) -> str:
        return path.removeprefix(inside)

    return shorten


def _entries(traceback: TracebackType | None, *, or_all: bool = True) -> list[_Entry]:
    """The frames that are the user's business; *or_all* of them where none is."""
    found: list[_Entry] = []
    every: list[_Entry] = []
    while traceback is not None:
        frame = traceback.tb_frame
        entry = _Entry(frame, frame.f_code, *_statement(traceback))
        every.append(entry)
        name = frame.f_code.co_filename
        own = name.startswith((_PACKAGE, "<frozen importlib"))
        if not own and not frame.f_locals.get("__tracebackhide__"):
            found.append(entry)
        traceback = traceback.tb_next
    return found or (every if or_all else [])


def _statement(traceback: TracebackType) -> tuple[int, int]:
    """The first and last line of what was running in the frame."""
    positions = traceback.tb_frame.f_code.co_positions()
    line, end, _, _ = next(itertools.islice(positions, traceback.tb_lasti // 2, None), (None,) * 4)
    first = line or traceback.tb_lineno
    return first, max(end or first, first)


def _chain(exception: BaseException) -> Iterator[tuple[BaseException, str]]:
    """*exception* and what led to it, the last first, with the words that stand before the next."""
    seen: set[int] = set()
    current: BaseException | None = exception
    words = ""
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current, words
        if current.__cause__ is not None:
            current, words = current.__cause__, _CAUSE
        elif current.__context__ is not None and not current.__suppress_context__:
            current, words = current.__context__, _CONTEXT
        else:
            current = None


def _chained(exception: BaseException, style: str, showlocals: bool, shorten: Callable[[str], str]) -> list[str]:
    """The whole chain, the first cause first."""
    lines: list[str] = []
    for current, words in reversed(list(_chain(exception))):
        # Of what led to another, frames of ours say nothing.
        lines += _one(current, style, showlocals, shorten, or_all=current is exception)
        if words:
            lines += ["", words, ""] if style != "short" else ["", words]
    return lines


def _one(
    exception: BaseException, style: str, showlocals: bool, shorten: Callable[[str], str], *, or_all: bool
) -> list[str]:
    """One exception of the chain."""
    entries = _entries(exception.__traceback__, or_all=or_all)
    raised = _raised(exception, entries)
    if not entries:
        return raised
    lines: list[str] = []
    told = _without_repeats(entries)
    for number, entry in enumerate(told):
        if isinstance(entry, str):
            lines.append(entry)
            continue
        is_last = number == len(told) - 1
        long = style == "long" or (style == "auto" and (number == 0 or is_last))
        if number and style != "short":
            lines.append(_BETWEEN_ENTRIES.rstrip())
        if long:
            lines += _long(entry, raised if is_last else [], showlocals)
            lines.append(
                f"{shorten(entry.code.co_filename)}:{entry.first}: {type(exception).__name__ if is_last else ''}"
            )
        else:
            lines.append(f"{shorten(entry.code.co_filename)}:{entry.first}: in {entry.code.co_name}")
            lines += _source(entry, entry.first)[:1]
            lines += raised if is_last else []
            lines += _locals(entry, indent="    ") if showlocals else []
    return lines


def _without_repeats(entries: list[_Entry]) -> list[_Entry | str]:
    """*entries* with the rounds of a recursion between its first and its last left out, and a notice in their place."""
    places = [(entry.code, entry.first) for entry in entries]
    told: list[_Entry | str] = []
    at = 0
    while at < len(entries):
        length, times = _rounds(places, at)
        told += entries[at : at + length]
        if times > 2:
            left_out = length * (times - 2)
            told.append(f"... {left_out:,} more frames of this recursion ...")
            told += entries[at + length + left_out : at + length * times]
        at += length * (times if times > 2 else 1)
    if len(told) > _MOST_FRAMES:
        told[_MOST_FRAMES // 2 : -_MOST_FRAMES // 2] = [f"... {len(told) - _MOST_FRAMES:,} more frames ..."]
    return told


def _rounds(places: list[tuple[CodeType, int]], at: int) -> tuple[int, int]:
    """The frames of a round that begins at *at*, and how often it comes one after the other; (1, 1) of no recursion."""
    for length in range(1, _LONGEST_ROUND + 1):
        one, times = places[at : at + length], 1
        while places[at + length * times : at + length * (times + 1)] == one:
            times += 1
        if times > 2:
            return length, times
    return 1, 1


def _long(entry: _Entry, raised: list[str], showlocals: bool) -> list[str]:
    """The arguments, the function up to the statement that was running, what it raised, and the local variables."""
    begin = entry.first if entry.code.co_name == "<module>" else min(entry.code.co_firstlineno, entry.first)
    source = _source(entry, begin, mark=True)
    statement = next((line[4:] for line in source if line.startswith(">")), "")
    indent = " " * (len(statement) - len(statement.lstrip()))
    lines = ["", *_arguments(entry), *source, *(f"E   {indent}{line[4:]}".rstrip() for line in raised), ""]
    if showlocals:
        told = _locals(entry)
        lines += [*told, ""] if told else []
    return lines


def _source(entry: _Entry, begin: int, *, mark: bool = False) -> list[str]:
    """The lines from *begin* to the end of the statement, dedented, with `>` where it begins if *mark*."""
    linecache.checkcache(entry.code.co_filename)
    lines = [
        linecache.getline(entry.code.co_filename, number, entry.frame.f_globals).rstrip()
        for number in range(begin, entry.last + 1)
    ]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    if not any(lines):
        return []
    before = [">   " if mark and number == entry.first else "    " for number in range(begin, entry.last + 1)]
    return [(sign + line[margin:]).rstrip() for sign, line in zip(before, lines, strict=True)]


def _arguments(entry: _Entry) -> list[str]:
    """`a = 1, rows = [1, 2, 3]` as the arguments are now, and an empty line."""
    code = entry.code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args, **kwargs
    told = [
        f"{name} = {shown(entry.frame.f_locals[name])}"
        for name in code.co_varnames[:count]
        if name in entry.frame.f_locals
    ]
    return [", ".join(told), ""] if told else []


def _locals(entry: _Entry, indent: str = "") -> list[str]:
    """`name       = value`, sorted; none of a module, whose variables are too many."""
    if entry.code.co_name == "<module>":
        return []
    names = sorted(name for name in entry.frame.f_locals if not name.startswith(("__", "@")))
    return [f"{indent}{name:<10} = {shown(entry.frame.f_locals[name])}" for name in names]


def shown(value: object) -> str:
    """The value's repr on one line, cut, whatever the repr does."""
    from reprlib import Repr

    short = Repr()
    short.maxstring = short.maxother = _LONGEST_VALUE
    try:
        text = short.repr(value)
    except Exception as error:  # noqa: BLE001 - a repr of the user's may raise anything
        text = f"<[{type(error).__name__} raised in repr()] {type(value).__name__} object at {id(value):#x}>"
    text = text.replace("\n", "\\n")
    return (
        text
        if len(text) <= _LONGEST_VALUE
        else f"{text[: _LONGEST_VALUE // 2 - 2]}...{text[-_LONGEST_VALUE // 2 + 1 :]}"
    )


def _raised(exception: BaseException, entries: list[_Entry]) -> list[str]:
    """What was raised, each line after an `E`; notes and the place of a syntax error are told too."""
    if assertion := _bare_assertion(exception, entries):
        lines = [assertion]
    else:
        import traceback

        lines = "".join(traceback.format_exception_only(exception)).rstrip("\n").split("\n")
    return [f"E   {line}".rstrip() for line in lines]


def _summary(exception: BaseException, entries: list[_Entry]) -> str:
    """The failure in one line."""
    if assertion := _bare_assertion(exception, entries):
        return assertion
    try:
        message = str(exception)
    except Exception:  # noqa: BLE001 - as above
        message = "<exception str() failed>"  # as the traceback has it
    first = message.strip().split("\n", 1)[0]
    if type(exception) is AssertionError and first.startswith("assert "):
        return first
    return f"{_name(type(exception))}: {first}" if first else _name(type(exception))


def _name(kind: type[BaseException]) -> str:
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def _bare_assertion(exception: BaseException, entries: list[_Entry]) -> str:
    """The text of an assertion that came without a message."""
    if type(exception) is not AssertionError or exception.args or not entries:
        return ""
    return next((line.strip() for line in _source(entries[-1], entries[-1].first) if "assert" in line), "")


def _native(exception: BaseException) -> str:
    """Python's own traceback, without the frames before the user's."""
    import traceback

    told = traceback.TracebackException(type(exception), exception, trimmed(exception.__traceback__))
    return "".join(told.format()).rstrip("\n")


def trimmed(start: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is not stepcache's."""
    current = start
    while current is not None and current.tb_frame.f_code.co_filename.startswith((_PACKAGE, "<frozen importlib")):
        current = current.tb_next
    return current or start
