"""attrs' `frozen` and `define`, made in half the time.

Half of what a class of attrs costs to make, a third of a millisecond, is compiling an `__eq__`, a `__hash__` and a
`__repr__` of its own. A run makes some 170 classes before its first step, so these three are shared code here, which
reads the fields; `__init__`, which is called for every node, is attrs' own. Type checkers are shown attrs' decorators:
what the two mean is the same. `unguarded` is `frozen` for classes of which a hit makes instances: type checkers alone
tell who writes to one, since a guard against it makes making one four times as slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["define", "frozen", "unguarded"]

if TYPE_CHECKING:
    from attrs import define, frozen
    from attrs import frozen as unguarded
else:
    import functools
    from operator import attrgetter

    import attrs

    def _compared(cls):
        """What gives the compared fields of an instance as a tuple."""
        names = [field.name for field in cls.__attrs_attrs__ if field.eq]
        if len(names) > 1:
            return attrgetter(*names)
        return lambda record: tuple(getattr(record, name) for name in names)

    def _told(record):
        fields = (f"{field.name}={getattr(record, field.name)!r}" for field in record.__attrs_attrs__ if field.repr)
        return f"{type(record).__qualname__}({', '.join(fields)})"

    def _decorate(cls=None, *, is_frozen, is_guarded=True, eq=True):
        if cls is None:
            return functools.partial(_decorate, is_frozen=is_frozen, is_guarded=is_guarded, eq=eq)
        cls = attrs.define(cls, frozen=is_frozen and is_guarded, eq=False, repr=False)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _told
        if eq and "__eq__" not in cls.__dict__:
            compared = _compared(cls)

            def is_equal(record, other):
                return compared(record) == compared(other) if type(other) is type(record) else NotImplemented

            cls.__eq__ = is_equal
            cls.__hash__ = (lambda record: hash(compared(record))) if is_frozen else None
        return cls

    frozen = functools.partial(_decorate, is_frozen=True)
    unguarded = functools.partial(_decorate, is_frozen=True, is_guarded=False)
    define = functools.partial(_decorate, is_frozen=False)
