"""Types of the standard library that are rebuilt from plain data: dates, decimals, paths and their like.

Each is looked up by its full name and made by a function that imports its module, so that nothing is imported for a
value that is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepcache.store.codecs import Declined

if TYPE_CHECKING:
    from collections.abc import Callable


def _take_zone(value: Any) -> Any:
    if value.key is None:
        raise Declined("it holds a ZoneInfo without a key")
    return value.key


def _take_uuid(value: Any) -> int:
    if value.is_safe.value is not None:
        raise Declined("it holds a UUID that says how it was made")
    number: int = value.int
    return number


def _make_date(fields: Any) -> Any:
    import datetime

    return datetime.date(*fields)


def _make_time(fields: Any) -> Any:
    import datetime

    return datetime.time(*fields[:5], fold=fields[5])


def _make_datetime(fields: Any) -> Any:
    import datetime

    return datetime.datetime(*fields[:8], fold=fields[8])


def _make_timedelta(fields: Any) -> Any:
    import datetime

    return datetime.timedelta(*fields)


def _make_timezone(fields: Any) -> Any:
    import datetime

    return datetime.timezone(*fields)


def _make_zoneinfo(key: str) -> Any:
    import zoneinfo

    return zoneinfo.ZoneInfo(key)


def _make_decimal(text: str) -> Any:
    import decimal

    return decimal.Decimal(text)


def _make_fraction(fields: Any) -> Any:
    import fractions

    return fractions.Fraction(*fields)


def _make_uuid(number: int) -> Any:
    import uuid

    return uuid.UUID(int=number)


def _make_path(text: str) -> Any:
    import pathlib

    return pathlib.Path(text)


def _make_pure_path(text: str) -> Any:
    import pathlib

    return pathlib.PurePosixPath(text)


# By full name: what the type is called in stored bytes, how it is taken apart, and how it is made again.
EXTENDED: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "builtins.range": ("range", lambda value: (value.start, value.stop, value.step), lambda fields: range(*fields)),
    "datetime.date": ("date", lambda value: (value.year, value.month, value.day), _make_date),
    "datetime.time": (
        "time",
        lambda value: (value.hour, value.minute, value.second, value.microsecond, value.tzinfo, value.fold),
        _make_time,
    ),
    "datetime.datetime": (
        "datetime",
        lambda value: (
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond,
            value.tzinfo,
            value.fold,
        ),
        _make_datetime,
    ),
    "datetime.timedelta": (
        "timedelta",
        lambda value: (value.days, value.seconds, value.microseconds),
        _make_timedelta,
    ),
    "datetime.timezone": ("timezone", lambda value: value.__getinitargs__(), _make_timezone),
    "zoneinfo.ZoneInfo": ("zoneinfo", _take_zone, _make_zoneinfo),
    "decimal.Decimal": ("decimal", str, _make_decimal),
    "fractions.Fraction": ("fraction", lambda value: (value.numerator, value.denominator), _make_fraction),
    "uuid.UUID": ("uuid", _take_uuid, _make_uuid),
    "pathlib.PosixPath": ("path", str, _make_path),
    "pathlib.PurePosixPath": ("purepath", str, _make_pure_path),
}
# Where Python 3.13 defines them.
EXTENDED["pathlib._local.PosixPath"] = EXTENDED["pathlib.PosixPath"]
EXTENDED["pathlib._local.PurePosixPath"] = EXTENDED["pathlib.PurePosixPath"]
MAKERS = {tag: make for tag, _, make in EXTENDED.values()}
