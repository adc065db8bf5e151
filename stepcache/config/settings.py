"""What the configuration says, checked and typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from attrs import Factory, evolve

from stepcache.config import toml, values
from stepcache.config.plugin_options import PluginSetting
from stepcache.config.root import Root
from stepcache.config.spelling import did_you_mean
from stepcache.errors import UsageError
from stepcache.records import frozen

Durability = Literal["normal", "fsync"]
Formats = Literal["any", "safe"]
Compression = Literal["adaptive", "always", "never"]

# As pytest has them.
NORECURSEDIRS = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")


@frozen(eq=False)
class Configuration:
    """The configuration of a project.

    `cache_dir` is absolute, `cache_max_size` in bytes. `profiles` maps a profile's name to its settings.
    `unjudged` holds the keys that are none of stepcache's own, with the place of each, until the plugins are loaded
    and `judge_plugin_settings` turns them into `plugin_options` or an error.
    """

    root: Path
    file: Path | None = None
    minversion: str | None = None
    addopts: tuple[str, ...] = ()
    pipelinepaths: tuple[str, ...] = ()
    pipeline_files: tuple[str, ...] = ("pipeline_*.py",)
    norecursedirs: tuple[str, ...] = NORECURSEDIRS
    pythonpath: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    filterwarnings: tuple[str, ...] = ()
    cache_dir: Path | None = None
    cache_max_size: int = 10 * 2**30
    compression: Compression = "adaptive"
    compression_level: int = 1
    durability: Durability = "normal"
    formats: Formats = "any"
    observe_ignore: tuple[str, ...] = ()
    params: Mapping[str, object] = Factory(dict)
    profiles: Mapping[str, Mapping[str, object]] = Factory(dict)
    plugin_options: Mapping[str, object] = Factory(dict)
    unjudged: Mapping[str, tuple[object, str]] = Factory(dict)
    wrong: tuple[str, ...] = ()

    def place(self, *keys: str) -> str:
        """`file:line` of a key, for messages: `place("params", "lr")`."""
        return _place(self.file, keys)


def read_configuration(root: Root, overrides: Sequence[str] = (), version: str = "") -> Configuration:
    """Check and type what *root*'s table and the -o *overrides* say; *version* is what minversion is held against.

    Keys with a wrong value keep their default, and what is wrong with them stands in `wrong`.
    """
    kept: dict[str, object] = {}
    unjudged: dict[str, tuple[object, str]] = {}
    wrong: list[str] = []
    for key, value in root.table.items():
        if key == "profile":
            kept["profiles"] = _profiles(root.file, value, wrong)
        elif key in _KEYS:
            _keep(kept, key, value, partial(_place, root.file, (key,)), wrong)
        else:
            unjudged[key] = (value, _place(root.file, (key,)))
    for override in overrides:
        key, _, text = override.partition("=")
        where = f"-o {override}"
        if key in ("params", "profile"):
            wrong.append(f"{where}: settings are given with -P NAME=VALUE")
        elif key in _KEYS:
            _keep(kept, key, _from_text(key, text), partial(str, where), wrong)
        else:
            unjudged[key] = (text, where)
    if "cache_dir" in kept:
        kept["cache_dir"] = Path(os.path.normpath(root.directory / str(kept["cache_dir"])))
    configuration = Configuration(root.directory, root.file, unjudged=unjudged, wrong=tuple(wrong), **kept)  # type: ignore[arg-type]
    if version and configuration.minversion is not None:
        _check_version(configuration, version)
    return configuration


def judge_plugin_settings(configuration: Configuration, settings: Sequence[PluginSetting]) -> Configuration:
    """The configuration with the keys of plugins taken in.

    Raises `UsageError` with all that is wrong in the configuration, keys that are nobody's included.
    """
    known = {setting.name: setting for setting in settings}
    found = {setting.name: setting.default for setting in settings}
    wrong = [*configuration.wrong]
    for key, (value, where) in configuration.unjudged.items():
        if key not in known:
            here = _ELSEWHERE.get(key)
            hint = f": here it is {here!r}" if here else did_you_mean(key, (*_KEYS, "profile", *known))
            wrong.append(f"{where}: unknown key {key!r}{hint}")
            continue
        try:
            found[key] = _plugin_value(known[key], value, where)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return evolve(configuration, plugin_options=found, unjudged={})


def _place(file: Path | None, keys: tuple[str, ...]) -> str:
    if file is None:
        return "the configuration"
    inside = toml.place(file, ("tool", "stepcache", *keys))
    if inside != toml.shown(file):
        return inside
    return toml.place(file, keys)  # a stepcache.toml may hold the keys at its top


def _keep(kept: dict[str, object], key: str, value: object, where: Callable[[], str], wrong: list[str]) -> None:
    try:
        kept[key] = _KEYS[key](value)
    except ValueError as error:
        wrong.append(f"{where()}: {key} expects {error}, not {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a table" if isinstance(value, dict) else repr(value)


def _from_text(key: str, text: str) -> object:
    """The value of -o KEY=TEXT in the type that the key has: lists are split like a command line."""
    if key in ("compression_level", "cache_max_size") and text.strip().lstrip("-").isdigit():
        return int(text)
    if _KEYS[key] not in (_texts, _ignored):
        return text
    if text.lstrip().startswith("["):
        try:
            return toml.value_of(text)
        except ValueError:
            return text
    return shlex.split(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of texts")
    return tuple(value)


def _arguments(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise ValueError(f"arguments that can be split ({error})") from None
    try:
        return _texts(value)
    except ValueError:
        raise ValueError("text or a list of texts") from None


def _size(value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    return values.size(value if isinstance(value, str) else "")


def _folder(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the path of a folder")
    return os.path.expanduser(os.path.expandvars(value))


def _level(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 22:
        raise ValueError("a number from 1 to 22")
    return value


def _choice(*choices: str) -> Callable[[object], str]:
    convert = values.one_of(*choices)
    return lambda value: convert(value if isinstance(value, str) else "")


def _ignored(value: object) -> tuple[str, ...]:
    patterns = _texts(value)
    if not all(pattern.startswith(("env:", "file:")) for pattern in patterns):
        raise ValueError('texts that begin with "env:" or "file:"')
    return patterns


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


_KEYS: dict[str, Callable[[object], object]] = {
    "minversion": _text,
    "addopts": _arguments,
    "pipelinepaths": _texts,
    "pipeline_files": _texts,
    "norecursedirs": _texts,
    "pythonpath": _texts,
    "plugins": _texts,
    "markers": _texts,
    "filterwarnings": _texts,
    "cache_dir": _folder,
    "cache_max_size": _size,
    "compression": _choice("adaptive", "always", "never"),
    "compression_level": _level,
    "durability": _choice("normal", "fsync"),
    "formats": _choice("any", "safe"),
    "observe_ignore": _ignored,
    "params": _table,
}

# What pytest calls a key that has another name here.
_ELSEWHERE = {"testpaths": "pipelinepaths", "python_files": "pipeline_files"}


def _profiles(file: Path | None, value: object, wrong: list[str]) -> Mapping[str, Mapping[str, object]]:
    """`profile.NAME.params`, by name; what is wrong is added to *wrong*."""
    profiles: dict[str, Mapping[str, object]] = {}
    if not isinstance(value, dict):
        wrong.append(f"{_place(file, ('profile',))}: profile expects tables: [profile.NAME.params]")
        return profiles
    for name, profile in value.items():
        if not isinstance(profile, dict):
            wrong.append(f"{_place(file, ('profile', name))}: profile.{name} expects a table, not {profile!r}")
            continue
        for key in profile:
            if key != "params":
                where = _place(file, ("profile", name, key))
                wrong.append(f"{where}: unknown key 'profile.{name}.{key}'; settings stand in profile.{name}.params")
        params = profile.get("params", {})
        if isinstance(params, dict):
            profiles[name] = params
        else:
            where = _place(file, ("profile", name, "params"))
            wrong.append(f"{where}: profile.{name}.params expects a table, not {params!r}")
    return profiles


_PLUGIN_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "text"),
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "list": (list, "a list"),
    "table": (dict, "a table"),
}


def _plugin_value(setting: PluginSetting, value: object, where: str) -> object:
    wanted, described = _PLUGIN_TYPES[setting.type]
    if isinstance(value, str) and where.startswith("-o "):
        value = _plugin_text(wanted, value)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ValueError(f"{where}: {setting.name} expects {described}, not {_shown(value)}")
    return tuple(value) if isinstance(value, list) else value


def _plugin_text(wanted: type, text: str) -> object:
    if wanted is str:
        return text
    if wanted is list and not text.lstrip().startswith("["):
        return shlex.split(text)
    try:
        return toml.value_of(text)
    except ValueError:
        return text


def _check_version(configuration: Configuration, version: str) -> None:
    where, wanted = configuration.place("minversion"), str(configuration.minversion)
    try:
        enough = _release(version) >= _release(wanted)
    except ValueError:
        raise UsageError(f"{where}: minversion expects a version such as '0.1', not {wanted!r}") from None
    if not enough:
        raise UsageError(f"{where}: this project needs stepcache {wanted} or later, and this is {version}")


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without what marks a pre-release, with zeros cut off behind."""
    import re

    found = re.match(r"\d+(\.\d+)*", version.strip())
    if found is None:
        raise ValueError(version)
    numbers = [int(part) for part in found[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
