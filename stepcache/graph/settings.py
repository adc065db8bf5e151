"""What a setting's value is: the levels that may give it, and the conversion of what they give."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import evolve, field

from stepcache.api import Dir, File
from stepcache.config.spelling import nearest
from stepcache.errors import UsageError
from stepcache.model import ABSENT, Definition, Parameter, ParamSet, Setting, awake, is_asleep
from stepcache.records import frozen
from stepcache.signature import source_of
from stepcache.variantid import empty_choice, variant_ids


class UnfitSetting(UsageError):
    """A value that was given for a setting is not of its type."""


@frozen
class Given:
    """Settings given from outside at one level.

    `name` is what messages call the level. `form` says what the values are: "text" from the command line,
    "toml" from the configuration, "python" from Python. `folder` is what relative paths are relative to.
    """

    name: str
    values: Mapping[str, object]
    form: str = "python"
    folder: str = ""
    standing: bool = False
    """It holds in every run, as `[tool.stepcache.params]` does, and so comes after what a pipeline says."""
    where: Callable[[str], str] | None = field(default=None, eq=False)
    """For a file: gives the `file:line` of a key."""

    def told(self, key: str) -> str:
        """How a message about *key* begins."""
        return f"{self.where(key)}: {self.name}" if self.where is not None else self.name


@frozen
class Overrides:
    """The levels, strongest first."""

    levels: tuple[Given, ...] = ()

    def below(self, pipeline: Given | None) -> Overrides:
        """With a pipeline's `params` in their place: below the command line and profile, above the configuration."""
        if pipeline is None:
            return self
        at = next((i for i, level in enumerate(self.levels) if level.standing), len(self.levels))
        return Overrides((*self.levels[:at], pipeline, *self.levels[at:]))

    def find(self, step: str, name: str) -> tuple[Given, str, object] | None:
        """The strongest level that gives the setting, the key it stands under, and the value."""
        for level in self.levels:
            for key in (f"{step}.{name}", name):
                if key in level.values:
                    return level, key, level.values[key]
        return None


def value_of(definition: Definition, parameter: Parameter, overrides: Overrides, root: str) -> Setting | None:
    """The setting as the levels or the default give it; None where nothing does."""
    found = overrides.find(definition.name, parameter.name)
    if found is None:
        if parameter.default is ABSENT:
            return None
        written = definition.source if is_asleep(definition) else source_of(definition.function)
        folder = os.path.dirname(written.path)
        return Setting(parameter.name, tracked(parameter.default, folder, root))
    level, key, raw = found
    return Setting(parameter.name, _converted(definition, parameter, level, key, raw, root), level.name)


def choices_of(
    definition: Definition, names: tuple[str, ...], choices: tuple[ParamSet, ...], overrides: Overrides, root: str
) -> tuple[ParamSet, ...]:
    """The choices of one `parametrize`, with what the levels give in place of its values: a list sweeps."""
    parameters = {p.name: p for p in definition.parameters}
    folder = os.path.dirname(definition.source.path)
    current = tuple(evolve(c, values=tuple((n, tracked(v, folder, root)) for n, v in c.values)) for c in choices)
    for name in names:
        found = overrides.find(definition.name, name)
        if found is None:
            continue
        level, key, raw = found
        parameter = parameters.get(name, Parameter(name))
        listed = _sweep(raw, level)
        values = [_converted(definition, parameter, level, key, each, root) for each in listed]
        current = _replaced(current, name, values)
    return current


def _sweep(raw: object, level: Given) -> list[object]:
    """The values of a parametrised name: one, or those of a list."""
    if level.form == "text" and isinstance(raw, str):
        from stepcache.graph.convert import from_text

        parsed = from_text(raw, None)
        return [_Parsed(each) for each in parsed] if isinstance(parsed, list) else [raw]
    return list(raw) if isinstance(raw, (list, tuple)) else [raw]


@frozen
class _Parsed:
    """An element of a list given as text: it is of a TOML type already."""

    value: object


def _replaced(choices: tuple[ParamSet, ...], name: str, values: list[object]) -> tuple[ParamSet, ...]:
    """Each choice with *name* set to each value, the doubles out, with new ids."""
    names = tuple(n for n, _ in choices[0].values)
    if len(names) > 1 and choices == (empty_choice(names),):
        return choices
    rows: dict[tuple[object, ...], tuple[object, ...]] = {}
    for value in values:
        for choice in choices:
            row = tuple(value if n == name else v for n, v in choice.values)
            rows.setdefault(tuple(_sameness(each) for each in row), row)
    if not rows:
        return (empty_choice(names),)
    ids = variant_ids(names, list(rows.values()), [None] * len(rows), None)
    return tuple(ParamSet(tuple(zip(names, r, strict=True)), i) for i, r in zip(ids, rows.values(), strict=True))


def _sameness(value: object) -> object:
    """What tells values apart, 1, 1.0 and True too."""
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (type(value), value)


def _converted(definition: Definition, parameter: Parameter, level: Given, key: str, raw: object, root: str) -> object:
    if is_asleep(definition):  # what its annotations mean is known where they stand
        parameter = next((p for p in awake(definition).parameters if p.name == parameter.name), parameter)
    from stepcache.graph.convert import from_configuration, from_parsed, from_text, is_toml_type, kinds_of, type_of

    wanted = type_of(parameter, definition.function)
    told = raw.value if isinstance(raw, _Parsed) else raw
    try:
        if isinstance(raw, _Parsed):
            value = from_parsed(raw.value, wanted)
        elif level.form == "text" and isinstance(raw, str):
            value = from_text(raw, wanted)
        elif level.form == "toml":
            value = raw if parameter.type is None and is_toml_type(wanted) else from_configuration(raw, wanted)
        else:
            value = raw
    except (ValueError, TypeError) as error:
        raise UnfitSetting(
            f"{level.told(key)}: {key} = {told!r} does not fit {definition.kind} '{definition.name}' "
            f"({definition.source}): {error}"
        ) from error
    return tracked(_as_tracked(value, parameter.default, kinds_of(wanted)), level.folder or os.getcwd(), root)


def _as_tracked(value: object, default: object, kinds: tuple[object, ...]) -> object:
    """Text or a path given for a setting that is a `File` or `Dir`, as one; *kinds* are the types that it may have."""
    if not isinstance(value, (str, Path)) or isinstance(value, File):
        return value
    if isinstance(value, Dir):
        return Dir(value, glob=default.pattern) if isinstance(default, Dir) and Dir in kinds else value
    if isinstance(default, Dir):
        return Dir(value, glob=default.pattern)
    if isinstance(default, File):
        return File(value)
    if any(isinstance(kind, type) and isinstance(value, kind) for kind in kinds):
        return value
    return File(value) if File in kinds else Dir(value) if Dir in kinds else value


def tracked(value: object, folder: str, root: str, depth: int = 20) -> object:
    """*value* with the relative `File`s and `Dir`s in it made absolute: below *folder*, or the root behind `//`."""
    if isinstance(value, (File, Dir)):
        text = str(value)
        full = os.path.join(root, text.lstrip("/")) if text.startswith("//") else os.path.join(folder, text)
        full = os.path.normpath(full)
        return Dir(full, glob=value.pattern) if isinstance(value, Dir) else File(full)
    if depth == 0:
        return value
    if type(value) in (list, tuple) and any(isinstance(each, (File, Dir, list, tuple, dict)) for each in value):  # type: ignore[attr-defined]
        return type(value)(tracked(each, folder, root, depth - 1) for each in value)  # type: ignore[call-arg,attr-defined]
    if type(value) is dict and any(isinstance(each, (File, Dir, list, tuple, dict)) for each in value.values()):
        return {key: tracked(each, folder, root, depth - 1) for key, each in value.items()}
    return value


def unknown_settings(level: Given, known: Mapping[str, set[str]]) -> Iterator[str]:
    """What is said of each setting given at *level* that no step has; *known* maps steps' names to their settings'."""
    names = {name for own in known.values() for name in own}
    for key in level.values:
        step, dot, name = key.rpartition(".")
        if not ((dot and name in known.get(step, ())) or (not dot and name in names)):
            table = level.values[key]
            if isinstance(table, Mapping) and key in known:
                shown = " and ".join(f'"{key}.{each}"' for each in table)
                yield f"{level.told(key)}: '{key}' is a step, no setting: write {shown}, in quotes"
            else:
                yield f"{level.told(key)}: {_unknown(key, step, name, known, names)}"


def _unknown(key: str, step: str, name: str, known: Mapping[str, set[str]], names: set[str]) -> str:
    if step and step in known:
        own = sorted(known[step])
        near = nearest(name, own)
        hint = f"did you mean {step}.{near}?" if near else f"it has {', '.join(own)}" if own else "it has none"
        return f"'{step}' has no setting '{name}': {hint}"
    everything = sorted(names) + sorted(f"{s}.{n}" for s, own in known.items() for n in own)
    elsewhere = sorted(f"{s}.{name}" for s, own in known.items() if step and name in own)
    near = nearest(key, elsewhere) or (elsewhere[0] if elsewhere else nearest(key, everything))
    hint = f"did you mean {near}?" if near else "`stepcache --steps` lists the settings of every step"
    return f"no step has a setting '{key}': {hint}"


def is_setting(definition: Definition, parameter: Parameter) -> bool:
    """Has the parameter a default that counts? (`takes` feeds a parameter whether or not it has one.)"""
    return parameter.default is not ABSENT and parameter.name not in definition.takes


def settings_of(definition: Definition) -> Iterator[str]:
    """The names of the settings that a definition has."""
    for parameter in definition.parameters:
        if is_setting(definition, parameter):
            yield parameter.name
    for each in definition.parametrize:
        yield from each.names
