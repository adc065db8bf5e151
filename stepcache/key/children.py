"""A child's command: its executable, the files that its words name, and the variables that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from stepcache.key.files import FILE, kind_of, stamp_of

# What separates words in a command line that a shell reads, and the parts of a word such as --config=x.yml.
_SEPARATORS = re.compile(r"[\s'\"`;|&<>()=,]+")
_OPTION_WITH_VALUE = re.compile(r"-[A-Za-z](.+)")
_EXPANDED = re.compile(r"\$(?:\{[!#]?)?([A-Za-z_][A-Za-z0-9_]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")

# The word after one of these, or behind one of the prefixes, is what the child writes.
_OUTPUT_WORDS = frozenset({"-o", "-O", "--output", "--out", "--outfile", "--output-file", ">", ">>", "2>", "&>", "tee"})
_OUTPUT = re.compile(r"(?:\A(?:--output|--out|--outfile|--output-file|of)=|\d?>>?\s*)([^\s'\";|&<>()]+)")


class Command(NamedTuple):
    """A child as it was started; `given` holds the variables it was given explicitly, or is None."""

    executable: str
    words: tuple[str, ...]
    cwd: str
    given: Mapping[str, str] | None

    def files(self) -> Iterator[str]:
        """The absolute paths of the existing files that the words name, save for those it is told to write."""
        outputs = self._outputs()
        for word in dict.fromkeys(part for text in self.words[1:] for part in _parts(text)):
            path = os.path.normpath(os.path.join(self.cwd, os.path.expanduser(word)))
            if word in outputs or len(word) > os.pathconf("/", "PC_PATH_MAX"):
                continue
            found = stamp_of(path)
            if found and kind_of(found[0]) == FILE:
                yield path
        yield from self._module()

    def _module(self) -> Iterator[str]:
        """The file of a module that Python is told to run, where it lies in the child's working directory."""
        name = next((after for word, after in pairwise(self.words) if word == "-m"), "")
        if os.path.basename(self.executable).startswith(("python", "pypy")) and name.replace(".", "").isidentifier():
            base = os.path.join(self.cwd, *name.split("."))
            for path in (base + ".py", os.path.join(base, "__init__.py"), os.path.join(base, "__main__.py")):
                found = stamp_of(path)
                if found and kind_of(found[0]) == FILE:
                    yield path

    def _outputs(self) -> set[str]:
        found = {after for word, after in pairwise(self.words) if word in _OUTPUT_WORDS}
        for text in self.words[1:]:
            found.update(_OUTPUT.findall(text))
            parts = [part for part in _SEPARATORS.split(text) if part]
            found.update(after for word, after in pairwise(parts) if word in _OUTPUT_WORDS)
        return found

    def variables(self, environ: Mapping[str, str]) -> set[str]:
        """The variables that the words name and that the child has from this process: set ones by their bare names,
        missing ones where the text expands them or they are written as constants are."""
        text = "\n".join(self.words)
        found = set(_EXPANDED.findall(text))
        found.update(n for n in _IDENTIFIER.findall(text) if n != "_" and (n in environ or _CONSTANT.match(n)))
        if self.given is None:
            return found
        return {name for name in found if self.given.get(name) == environ.get(name)}


def _parts(text: str) -> Iterator[str]:
    """The texts in one word of a command that may be paths: itself, what a shell makes of it, an option's value."""
    yield text
    for part in _SEPARATORS.split(text):
        if part:
            yield part
            yield part.lstrip("@")
            if option := _OPTION_WITH_VALUE.match(part):
                yield option.group(1)


def command_of(executable: object, argv: object, cwd: str, env: object) -> Command:
    """A command from the arguments of the audit events that tell of children."""
    words = [argv] if isinstance(argv, (str, bytes, os.PathLike)) else list(argv or ())  # type: ignore[call-overload]
    texts = tuple(os.fsdecode(word) for word in words)
    program = os.fsdecode(executable) if executable else (texts[0] if texts else "")  # type: ignore[arg-type]
    given = {os.fsdecode(k): os.fsdecode(v) for k, v in env.items()} if isinstance(env, Mapping) else None
    return Command(program, texts or (program,), cwd, given)
