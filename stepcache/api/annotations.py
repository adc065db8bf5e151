"""Annotations that say what a parameter gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    All = Mapping[str, T]
else:

    class All(Generic[T]):
        """Annotation: the parameter gets every variant of the step, a mapping from variant id to value."""
