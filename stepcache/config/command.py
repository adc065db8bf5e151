"""Arguments to `Options`.

As in pytest, `addopts` of the configuration come first, then STEPCACHE_ADDOPTS, then the command line, so that what
stands later wins. An argument `@file` stands for the lines of that file. Options and other arguments may be mixed;
after `--` all are files, directories and node ids. Short options may be run together (`-xvs`, `-rA`).

There are two passes, since plugins add options: the first looks only at what is needed to find the configuration
and the plugins, and passes over what it does not know.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import fields

from stepcache.config.flags import ELSEWHERE, FLAGS, Flag
from stepcache.config.options import Options
from stepcache.config.plugin_options import PluginOption, flags_with
from stepcache.config.spelling import nearest
from stepcache.errors import UsageError
from stepcache.records import frozen

ADDOPTS = "STEPCACHE_ADDOPTS"


@frozen
class FirstPass:
    """What must be known before plugins are loaded and the configuration is read."""

    args: tuple[str, ...]
    config_file: str | None
    rootdir: str | None
    overrides: tuple[str, ...]
    plugins: tuple[str, ...]


@frozen
class _Argument:
    """One argument; `origin` says in messages where it was written, if not on the command line."""

    text: str
    origin: str = ""


def first_pass(args: Sequence[str], environ: Mapping[str, str], addopts: Sequence[str] = ()) -> FirstPass:
    """Find -c, --rootdir, -o, -p and the arguments that are no options; unknown options are passed over."""
    found = _Reading(_arguments(args, environ, addopts), FLAGS, lenient=True).read()
    options = _options(found)
    return FirstPass(options.args, options.config_file, options.rootdir, options.overrides, options.plugins)


def parse_command(
    args: Sequence[str],
    environ: Mapping[str, str],
    extra: Sequence[PluginOption] = (),
    addopts: Sequence[str] = (),
) -> Options:
    """The options that *args*, STEPCACHE_ADDOPTS in *environ* and *addopts* of the configuration give together."""
    found = _Reading(_arguments(args, environ, addopts), flags_with(extra)).read()
    return _options(found, extra)


def _options(found: dict[str, object], extra: Sequence[PluginOption] = ()) -> Options:
    known = {field.name for field in fields(Options)}
    own = {dest: tuple(value) if isinstance(value, list) else value for dest, value in found.items() if dest in known}
    plugin_options = {option.dest: option.initial for option in extra}
    for option in extra:
        if option.name in found:
            value = found[option.name]
            plugin_options[option.dest] = tuple(value) if isinstance(value, list) else value
    return Options(**own, plugin_options=plugin_options)  # type: ignore[arg-type]


def _arguments(args: Sequence[str], environ: Mapping[str, str], addopts: Sequence[str]) -> list[_Argument]:
    """All arguments in order, each with where it was written."""
    written = [_Argument(text, " (in addopts of the configuration)") for text in addopts]
    try:
        written += [_Argument(text, f" (in {ADDOPTS})") for text in shlex.split(environ.get(ADDOPTS, ""))]
    except ValueError as error:
        raise UsageError(f"{ADDOPTS} cannot be split into arguments: {error}") from None
    written += [_Argument(text) for text in args]
    return [argument for text in written for argument in _expanded(text, ())]


def _expanded(argument: _Argument, inside: tuple[str, ...]) -> Iterator[_Argument]:
    """*argument*, or for `@file` the lines of that file, which may name further files."""
    if not argument.text.startswith("@"):
        yield argument
        return
    name = argument.text[1:]
    if name in inside:
        raise UsageError(f"{argument.text} names itself{argument.origin}")
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read {argument.text}: {error.strerror}{argument.origin}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {argument.text}: it is not UTF-8{argument.origin}") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield from _expanded(_Argument(line, f" (in {name}:{number})"), (*inside, name))


class _Reading:
    """One walk over the arguments; `found` maps each `dest` to its value."""

    def __init__(self, arguments: Sequence[_Argument], flags: Mapping[str, Flag], lenient: bool = False) -> None:
        self.rest = iter(arguments)
        self.flags = flags
        self.lenient = lenient
        self.found: dict[str, object] = {}
        self.args: list[str] = []

    def read(self) -> dict[str, object]:
        for argument in self.rest:
            text = argument.text
            if text == "--":
                self.args += [left.text for left in self.rest]
            elif text.startswith("--"):
                name, given, value = text.partition("=")
                self._option(name, value if given else None, argument)
            elif len(text) > 1 and text.startswith("-"):
                self._short(text, argument)
            else:
                self.args.append(text)
        self.found["args"] = self.args
        return self.found

    def _short(self, text: str, argument: _Argument) -> None:
        """Short options, several of which may be run together; the last may have its value right behind it."""
        for position in range(1, len(text)):
            name = "-" + text[position]
            flag = self.flags.get(name)
            if flag is None:
                self._unknown(text if position == 1 else name, argument)
                return
            behind = text[position + 1 :]
            if flag.takes in ("value", "values"):
                self._option(name, behind.removeprefix("=") if behind else None, argument)
                return
            self._option(name, None, argument)

    def _option(self, name: str, value: str | None, argument: _Argument) -> None:
        flag = self.flags.get(name)
        if flag is None:
            self._unknown(name, argument)
            return
        if flag.takes in ("nothing", "count") and value is not None:
            raise UsageError(f"{name} takes no value, and {value!r} was given{argument.origin}")
        if flag.takes in ("value", "values") and value is None:
            value = self._next_value(flag, name, argument)
        self._keep(flag, name, value, argument)

    def _next_value(self, flag: Flag, name: str, argument: _Argument) -> str:
        following = next(self.rest, None)
        if following is None or self._is_option(following.text):
            raise UsageError(f"{name} needs a value: {_with_value(name, flag)}{argument.origin}")
        return following.text

    def _is_option(self, text: str) -> bool:
        return text.partition("=")[0] in self.flags or text == "--"

    def _keep(self, flag: Flag, name: str, value: str | None, argument: _Argument) -> None:
        dest = flag.dest
        if flag.takes == "count":
            self.found[dest] = int(str(self.found.get(dest, 0))) + int(str(flag.sets))
            return
        if value is None:
            self.found[dest] = flag.sets
            return
        try:
            converted = flag.convert(value)
        except ValueError as error:
            if self.lenient and dest != "plugins":
                return
            raise UsageError(f"{name} expects {error}, not {value!r}{argument.origin}") from None
        if flag.takes == "values":
            kept = self.found.setdefault(dest, [])
            assert isinstance(kept, list)
            kept.append(converted)
        else:
            self.found[dest] = converted

    def _unknown(self, name: str, argument: _Argument) -> None:
        if self.lenient:
            return
        if name in ELSEWHERE:
            raise UsageError(f"unknown option '{name}': here it is '{ELSEWHERE[name]}'{argument.origin}")
        near = nearest(name, (known for known in self.flags if known.startswith("--"))) if len(name) > 2 else None
        hint = f"; did you mean '{near}'?" if near else ""
        raise UsageError(f"unknown option '{name}'{hint}{argument.origin}\n'stepcache --help' lists all options")


def _with_value(name: str, flag: Flag) -> str:
    return f"{name}={flag.metavar}" if name.startswith("--") else f"{name} {flag.metavar}"
