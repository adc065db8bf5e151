"""A look at the world as it is now: today's digest of anything that was once observed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from glob import escape, iglob

from attrs import Factory, evolve

from stepcache.digest import digest_all
from stepcache.key.environment import Given, locate, portable
from stepcache.key.files import ABSENT, ACCESS_KINDS, FILE, FileDigests, kind_of, stamp_of
from stepcache.model import Observation
from stepcache.records import frozen
from stepcache.stamp import SHELL

# Between the parts of an observation's name, where it has several: no path and no variable's name holds it.
SEPARATOR = "\0"

# Longer texts are data, not paths (Linux' PATH_MAX).
LONGEST_PATH = 4095


@frozen
class Look:
    """Where and with what one looks.

    `root` and `cwd` are absolute. `keyed` is the keyed digest of a secret. `variables` holds today's digests of
    module variables by their numbers in the code graph. `syntax` gives the digest of a source file without what does
    not count in it. `given` are the variables of the environment before imports set them.
    """

    root: str
    cwd: str
    files: FileDigests
    environ: Mapping[str, str]
    keyed: Callable[[str], str]
    variables: Mapping[str, str] = Factory(dict)
    syntax: Callable[[str], str] | None = None
    given: Given = Factory(Given)

    def locate(self, name: str) -> str:
        return locate(name, self.root, self.cwd)

    def name(self, path: str) -> str:
        return portable(path, self.root)

    def source(self, path: str) -> str:
        """The digest of a project module's file."""
        if self.syntax is None or not path.endswith(".py") or self.files.exists(path) != FILE:
            return self.files.content(path)
        return self.syntax(path)

    def secret(self, name: str, value: str | None) -> str:
        """The digest of an environment variable's value, which nobody without the sealing key can guess at."""
        return ABSENT if value is None else self.keyed(f"env{SEPARATOR}{name}{SEPARATOR}{value}")

    def beginning(self, name: str) -> str:
        """The digest of the variables that begin so, in either case; what is left out stands after the beginning."""
        beginning, *out = name.split(SEPARATOR)
        found = sorted(each for each in self.environ if _begins(each, beginning) and each not in out)
        return digest_all("beginning", [self.secret(each, self.environ[each]) for each in found])

    def environment(self, names: str = "") -> str:
        """The digest of variables as they were given to the process; of all but what differs between shells."""
        asked = names.split(SEPARATOR) if names else sorted({*self.environ, *self.given.changes()} - SHELL)
        given = ((name, self.given.get(name)) for name in asked)
        return digest_all("environment", [self.secret(name, value) for name, value in given if value is not None])


def _begins(variable: str, text: str) -> bool:
    return variable.upper().startswith(text.upper())


def now(observation: Observation, look: Look) -> str:
    """Today's digest of what *observation* names."""
    return _READERS[observation.seen_as](observation.name, look)


def _file(name: str, look: Look) -> str:
    return look.files.content(look.locate(name))


def _folder(name: str, look: Look) -> str:
    """A listing; what the step itself made there stands after the name and is left out."""
    folder, *made = name.split(SEPARATOR)
    return look.files.listing(look.locate(folder), frozenset(made))


def _names(name: str, look: Look) -> str:
    """Those names in a folder that fit a pattern, which stands after it, and then what the step itself made there."""
    folder, pattern, *made = name.split(SEPARATOR)
    return look.files.listing(look.locate(folder), frozenset(made), pattern)


def _literal(name: str, look: Look) -> str:
    """The contents of the files that a text of the code may mean."""
    text, _, folder = name.partition(SEPARATOR)
    return literal_digest(literal_files(text, folder, look), look)


def _program(name: str, look: Look) -> str:
    """The content of the executable that a bare word of a command means."""
    path = find_program(name, look.environ.get("PATH"))
    return look.files.content(path) if path else ABSENT


def _pattern(name: str, look: Look) -> str:
    """The names and contents of the files that a glob finds."""
    found = iglob(locate(name, escape(look.root), escape(look.cwd)), recursive=True)
    paths = sorted(path for path in found if look.files.exists(path) == FILE)
    return digest_all("glob", (part for path in paths for part in (look.name(path), look.files.content(path))))


def _rights(name: str, look: Look, mode: int) -> str:
    return look.files.access(look.locate(name), mode)


_READERS: dict[str, Callable[[str, Look], str]] = {
    "file": _file,
    "module": lambda name, look: look.source(look.locate(name)),
    "dir": _folder,
    "names": _names,
    "sqlite": lambda name, look: look.files.database(look.locate(name)),
    "exists": lambda name, look: look.files.exists(look.locate(name)),
    "size": lambda name, look: look.files.size(look.locate(name)),
    "link": lambda name, look: look.files.link(look.locate(name)),
    **{kind: partial(_rights, mode=mode) for kind, mode in ACCESS_KINDS.items()},
    "env": lambda name, look: look.secret(name, look.environ.get(name)),
    "given": lambda name, look: look.secret(name, look.given.get(name)),
    "env beginning": lambda name, look: look.beginning(name),
    "environment": lambda names, look: look.environment(names),
    "variable": lambda name, look: look.variables.get(name, ABSENT),
    "literal": _literal,
    "program": _program,
    "glob": _pattern,
}


def literal_files(text: str, folder: str, look: Look) -> list[str]:
    """The files that *text* may name: relative to the working directory, to the root and to *folder*, each once."""
    if not text or len(text) > LONGEST_PATH or "\0" in text or "\n" in text:
        return []
    if text.startswith("~"):
        text = os.path.expanduser(text)
    bases = (look.cwd, look.root, look.locate(folder)) if folder else (look.cwd, look.root)
    found: dict[object, str] = {}
    for path in dict.fromkeys(os.path.normpath(os.path.join(base, text)) for base in bases):
        status = stamp_of(path)
        if status and kind_of(status[0]) == FILE:
            found.setdefault(status[1][3:], path)
    return list(found.values())


def literal_digest(paths: list[str], look: Look) -> str:
    return digest_all("literal", map(look.files.content, paths)) if paths else ABSENT


def find_program(word: str, search: str | None) -> str | None:
    """The executable that a bare *word* means along the search path."""
    for folder in (search if search is not None else os.defpath).split(os.pathsep):
        path = os.path.join(folder or ".", word)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def named_variables(
    names: Iterable[str], look: Look, counts: Callable[[str], bool] = lambda _: True
) -> Iterator[Observation]:
    """What code that reads the whole environment takes of it: the variables that it names, and those that begin so.

    *counts* says which variables do.
    """
    for name in sorted(names):
        if not counts(name):
            continue
        yield Observation("env", name, look.secret(name, look.environ.get(name)), name)
        if name.endswith("_") and not name.startswith("_"):
            out = sorted(each for each in look.environ if _begins(each, name) and not counts(each))
            told = SEPARATOR.join([name, *out])
            yield Observation("env beginning", told, look.beginning(told), f"{name}*")


def declared(reads: tuple[str, ...], folder: str, look: Look) -> tuple[Observation, ...]:
    """What a step's `reads` names, as it is now."""
    return tuple(evolve(each, digest=now(each, look)) for each in named(reads, folder, look))


def named(reads: tuple[str, ...], folder: str, look: Look) -> Iterator[Observation]:
    """What a step's `reads` names: "env:NAME", files, and globs; relative to *folder*, or to the root after "//".

    The digests are empty.
    """
    for text in reads:
        kind, _, rest = text.partition(":")
        if kind == "env":
            kind, name, label = "env", rest, rest
        else:
            rest = rest if kind == "file" else text
            base, rest = (look.root, rest[2:]) if rest.startswith("//") else (folder, rest)
            name = look.name(os.path.normpath(os.path.join(base, os.path.expanduser(rest))))
            kind, label = ("glob" if any(c in rest for c in "*?[") else "file"), text
        yield Observation(kind, name, "", label)
