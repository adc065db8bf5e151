"""The options of the decorators: their types, and what is refused."""

from __future__ import annotations

import keyword
import os
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypedDict

from stepcache.api.retry import Retry
from stepcache.errors import UsageError
from stepcache.model import Retries, class_name
from stepcache.signature import seconds_of


class StepOptions(TypedDict, total=False):
    """What `@step(…)` takes; `step` says what each is for."""

    enable_cache: bool
    name: str | None
    takes: Mapping[str, str] | None
    version: str | None
    expires: timedelta | float | str | None
    reads: Collection[str | Path] | None
    ignore: Collection[str]
    retries: int | Retry
    timeout: timedelta | float | str | None
    codec: str | None
    save_to: str | Path | None
    outputs: Collection[str] | None
    slots: Mapping[str, int] | None


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


def _reads(value: object) -> tuple[str, ...] | None:
    return None if value is None else texts("step", "reads", value)


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
    found = dict(_NOTHING_RECORDED)
    for name, value in given.items():
        if value is not _NOTHING_GIVEN[name]:  # type: ignore[literal-required]
            found[name] = _STEP_OPTIONS[name](value)
    return found


def _version(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UsageError(f"@step(version=…) takes text, not {value!r}")
    return value


def _expires(value: object) -> float | None:
    return None if value is None else seconds_of(value, f"@step(expires={value!r})")


def _retries(value: object) -> Retries:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = Retry(value)
    if not isinstance(value, Retry):
        raise UsageError(f'@step(retries=…) takes a number, or Retry(3, delay="10s", on=(OSError,)), not {value!r}')
    return Retries(value.times, value.delay, tuple(class_name(each) for each in value.on))


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    seconds = seconds_of(value, f"@step(timeout={value!r})")
    if seconds <= 0:
        raise UsageError(f"@step(timeout={value!r}): a time limit is more than nothing")
    return seconds


def _slots(value: object) -> dict[str, int]:
    if value is None:
        return {}
    fits = isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, int) and not isinstance(v, bool) and v > 0 for k, v in value.items()
    )
    if not fits:
        raise UsageError(f'@step(slots=…) maps names to whole numbers, such as {{"gpu": 1}}, not {value!r}')
    return dict(value)  # type: ignore[call-overload,no-any-return]


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
    "reads": _reads,
    "ignore": partial(texts, "step", "ignore"),
    "retries": _retries,
    "timeout": _timeout,
    "codec": _codec,
    "save_to": _save_to,
    "outputs": _outputs,
    "slots": _slots,
}

# What a step's options are where they are not given, and what is recorded of that: most are given nothing.
_NOTHING_GIVEN = StepOptions(
    enable_cache=True,
    takes=None,
    version=None,
    expires=None,
    reads=None,
    ignore=(),
    retries=0,
    timeout=None,
    codec=None,
    save_to=None,
    outputs=None,
    slots=None,
)
_NOTHING_RECORDED = {name: _STEP_OPTIONS[name](value) for name, value in _NOTHING_GIVEN.items()}
