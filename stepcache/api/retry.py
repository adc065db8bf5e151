"""How often a step that failed is tried again."""

from __future__ import annotations

from datetime import timedelta

from stepcache.errors import UsageError
from stepcache.signature import seconds_of


class Retry:
    """`retries=Retry(3, delay="10s", on=(OSError,))`: up to *times* more tries, each after *delay*.

    *delay* is a `timedelta`, seconds, or text such as "10s". Only failures by the exceptions in *on*, or by their
    subclasses, are tried again.
    """

    def __init__(
        self,
        times: int,
        delay: timedelta | float | str = 0,
        on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    ) -> None:
        if isinstance(times, bool) or not isinstance(times, int) or times < 0:
            raise UsageError(f"Retry({times!r}): how many more tries is a whole number")
        kinds = on if isinstance(on, tuple) else (on,)
        if not kinds or not all(isinstance(each, type) and issubclass(each, BaseException) for each in kinds):
            raise UsageError(f"Retry(on={on!r}): a tuple of exception classes, such as (OSError,), is expected")
        self.times = times
        self.delay = seconds_of(delay, f"Retry(delay={delay!r})")
        self.on = kinds

    def __repr__(self) -> str:
        return f"Retry({self.times}, delay={self.delay:g}, on=({', '.join(each.__name__ for each in self.on)},))"
