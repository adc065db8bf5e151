"""A child's command: its executable, the files that its words name, and the variables that it and its scripts name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import NamedTuple

from stepcache.key.scripts import Program, is_file

# What separates words in a command line that a shell reads, and the parts of a word such as --config=x.yml.
_SEPARATORS = re.compile(r"[\s'\"`;|&<>()=,]+")
_OPTION_WITH_VALUE = re.compile(r"-[A-Za-z](.+)")
_EXPANDED = re.compile(r"\$(?:\{[!#]?)?([A-Za-z_][A-Za-z0-9_]*)")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\Z")

# The word after one of these, or behind one of the prefixes, is what the child writes.
_OUTPUT_WORDS = frozenset({"-o", "-O", "--output", "--out", "--outfile", "--output-file", ">", ">>", "2>", "&>", "tee"})
_OUTPUT = re.compile(r"(?:\A(?:--output|--out|--outfile|--output-file|of)=|\d?>>?\s*)([^\s'\";|&<>()]+)")


# Quotes keep a shell from looking for files.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PATTERN = re.compile(r"[*?\[]")
# More files than this are not looked for: a pattern may lead anywhere.
_MOST = 1000


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
            if is_file(path):
                yield path
        yield from (path for path in self._matches() if is_file(path))

    def program(self) -> Program:
        """What a Python that the child is, or starts, runs: scripts that the words name, a module, a text."""
        found = Program(self.cwd)
        given = os.environ if self.given is None else self.given
        folders = [os.path.join(self.cwd, each) for each in given.get("PYTHONPATH", "").split(os.pathsep) if each]
        for path in self.files():
            if path.endswith(".py"):
                found.run_file(path, folders)
        if _is_python(self.executable):
            for word, after in pairwise(self.words):
                if word == "-c":
                    found.run_text(after, (self.cwd, *folders))
        words = [self.executable, *(part for text in self.words for part in _SEPARATORS.split(text))]
        if any(map(_is_python, words)):
            for word, after in pairwise(words):
                if word == "-m" and after.replace(".", "").isidentifier():
                    found.run_module(after, (self.cwd, *folders))
        return found

    def folders(self) -> Iterator[str]:
        """The folders in which a shell looks for files by a pattern, save for those that the child writes into."""
        written = {os.path.dirname(os.path.join(self.cwd, path)) for path in self._outputs()}
        for path in self._matches():
            if path.endswith("/") and path.rstrip("/") not in written:
                yield path.rstrip("/") or "/"

    def _matches(self) -> Iterator[str]:
        """What a shell's patterns match, and, with a slash at the end, the folders that it looks into."""
        text = next((after for word, after in pairwise(self.words) if word == "-c"), "")
        if not os.path.basename(self.executable).endswith("sh") or not _PATTERN.search(text):
            return
        for word in _SEPARATORS.split(_QUOTED.sub("", text)):
            if _PATTERN.search(word) and word.strip("*?"):
                yield from _expanded(os.path.normpath(os.path.join(self.cwd, os.path.expanduser(word))))

    def _outputs(self) -> set[str]:
        found = {after for word, after in pairwise(self.words) if word in _OUTPUT_WORDS}
        for text in self.words[1:]:
            found.update(_OUTPUT.findall(text))
            parts = [part for part in _SEPARATORS.split(text) if part]
            found.update(after for word, after in pairwise(parts) if word in _OUTPUT_WORDS)
        return found

    def variables(self, environ: Mapping[str, str]) -> set[str]:
        """The variables that the words, or texts of the Python programs, name and that the child has from this process:
        set ones by their bare names, missing ones where a word expands them or they are written as constants are."""
        text = "\n".join(self.words)
        found = set(_EXPANDED.findall(text))
        names = {*_IDENTIFIER.findall(text), *self.program().texts}
        found.update(name for name in names if name != "_" and (name in environ or _CONSTANT.match(name)))
        if self.given is None:
            return found
        return {name for name in found if self.given.get(name) == environ.get(name)}


def _is_python(program: str) -> bool:
    return os.path.basename(program).startswith(("python", "pypy"))


def _expanded(pattern: str) -> Iterator[str]:
    """The paths that a pattern matches, and, with a slash at the end, the folders in which they are sought."""
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        if not _PATTERN.search(part):
            found = [os.path.join(folder, part) for folder in found]
            continue
        searched, found = [folder for folder in found[:_MOST] if os.path.isdir(folder)], []
        for folder in searched:
            yield os.path.join(folder, "")
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
            found += [os.path.join(folder, name) for name in names if fnmatchcase(name, part)]
    yield from found[:_MOST]


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
