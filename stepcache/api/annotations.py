"""Annotations that say what a parameter gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    All = Mapping[str, T]
    Each = Annotated[T, "one element"]
else:

    class All(Generic[T]):
        """Annotation: the parameter gets every variant of the step, a mapping from variant id to value."""

    class Each(Generic[T]):
        """Annotation: the step runs once per element of the value, and the parameter gets that element."""
