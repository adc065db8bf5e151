"""A child's command: its executable, the files that its words name, and the variables that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from stepcache.key.files import FILE, kind_of, stamp_of
from stepcache.key.source import analyse

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
# More files than this are not looked for: a pattern, or the imports of a script, may lead anywhere.
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
            if _is_file(path):
                yield path
                if path.endswith(".py"):
                    yield from _imported(path)
        yield from self._module()
        yield from (path for path in self._matches() if _is_file(path))

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

    def _module(self) -> Iterator[str]:
        """The file of a module that Python is told to run, where it lies in the child's working directory."""
        name = next((after for word, after in pairwise(self.words) if word == "-m"), "")
        if os.path.basename(self.executable).startswith(("python", "pypy")) and name.replace(".", "").isidentifier():
            base = os.path.join(self.cwd, *name.split("."))
            for path in (base + ".py", os.path.join(base, "__init__.py"), os.path.join(base, "__main__.py")):
                if _is_file(path):
                    yield path
                    yield from _imported(path, self.cwd)

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


def _is_file(path: str) -> bool:
    found = stamp_of(path)
    return found is not None and kind_of(found[0]) == FILE


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


def _imported(script: str, folder: str | None = None) -> Iterator[str]:
    """The files of the modules that a script, or one of them, imports, where they lie beside it or in *folder*."""
    base = folder or os.path.dirname(script)
    todo, seen = [script], {script}
    while todo and len(seen) < _MOST:
        for path in _imports_of(todo.pop(), base):
            if path not in seen and _is_file(path):
                seen.add(path)
                todo.append(path)
                yield path


def _imports_of(path: str, base: str) -> Iterator[str]:
    """Where the modules may lie that a file imports."""
    try:
        with open(path, "rb") as file:
            imports = _imports_in(file.read())
    except OSError:
        return
    for module, level, taken in imports:
        home = base
        if level:
            home = os.path.normpath(os.path.join(os.path.dirname(path), *[".."] * (level - 1)))
        for name in taken or ("",):
            parts = [part for part in (*module.split("."), name) if part]
            for end in range(1, len(parts) + 1):
                place = os.path.join(home, *parts[:end])
                yield from (place + ".py", os.path.join(place, "__init__.py"))


@lru_cache(_MOST)
def _imports_in(source: bytes) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
    return tuple(dict.fromkeys(analyse(source, "<script>").imports_anywhere()))


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
