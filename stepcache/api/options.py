"""The options of the decorators: their types, and what is refused."""

from __future__ import annotations

import keyword
import os
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypedDict

from stepcache.errors import UsageError
from stepcache.signature import seconds_of


class StepOptions(TypedDict, total=False):
    """What `@step(…)` takes; `step` says what each is for."""

    enable_cache: bool
    name: str | None
    takes: Mapping[str, str] | None
    version: str | None
    expires: timedelta | float | str | None
    reads: Collection[str | Path]
    ignore: Collection[str]
    codec: str | None
    save_to: str | Path | None
    outputs: Collection[str] | None


def flag(decorator: str, value: object) -> bool:
    """`enable_cache` of the decorator."""
    if not isinstance(value, bool):
        raise UsageError(f"@{decorator}(enable_cache=…) takes True or False, not {value!r}")
    return value


def texts(decorator: str, option: str, value: object) -> tuple[str, ...]:
    """A list of texts or paths, or one of them alone."""
    if isinstance(value, (str, Path)):
        value = (value,)
    if not isinstance(value, (tuple, list, set, frozenset)) or not all(isinstance(v, (str, Path)) for v in value):
        raise UsageError(f"@{decorator}({option}=…) takes a list of texts, not {value!r}")
    return tuple(str(v) for v in value)


def step_names(decorator: str, takes: object) -> dict[str, str]:
    """`takes` of the decorator."""
    if takes is None:
        return {}
    if not isinstance(takes, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in takes.items()):
        example = '{"df": "train"}'
        raise UsageError(f"@{decorator}(takes=…) maps parameters to step names, such as {example}, not {takes!r}")
    return dict(takes)


def options_of_step(given: StepOptions) -> dict[str, object]:
    """What a step's definition records of its options. Raises `UsageError` for one of the wrong type."""
    return {name: _STEP_OPTIONS[name](value) for name, value in given.items()}


def _version(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"@step(version=…) takes text, not {value!r}")
    return value


def _expires(value: object) -> float | None:
    return None if value is None else seconds_of(value, f"@step(expires={value!r})")


def _codec(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"@step(codec=…) takes the name of a codec, not {value!r}")
    return value


def _save_to(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, (str, Path)) or os.fspath(value) in ("", ".") or "\0" in os.fspath(value):
        raise UsageError(f'@step(save_to=…) takes the path of a file, such as "out/table.csv", not {value!r}')
    return os.fspath(value)


def _outputs(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (tuple, list)) or not value or not all(isinstance(each, str) for each in value):
        raise UsageError(f'@step(outputs=…) takes a tuple of names, such as ("train", "test"), not {value!r}')
    for each in value:
        if not each.isidentifier() or keyword.iskeyword(each):
            raise UsageError(f"@step(outputs=…): a name must be a Python name, and {each!r} is none")
    if len(set(value)) < len(value):
        raise UsageError(f"@step(outputs={value!r}): each name may stand only once")
    return tuple(value)


_STEP_OPTIONS: dict[str, Callable[[object], object]] = {
    "enable_cache": partial(flag, "step"),
    "takes": partial(step_names, "step"),
    "version": _version,
    "expires": _expires,
    "reads": partial(texts, "step", "reads"),
    "ignore": partial(texts, "step", "ignore"),
    "codec": _codec,
    "save_to": _save_to,
    "outputs": _outputs,
}
