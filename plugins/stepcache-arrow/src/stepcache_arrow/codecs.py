"""The codecs: which types, under which names. Arrow, pandas and Polars are imported only for a value that needs them.

A codec's name is part of what it stored and never changes its meaning.
"""

from __future__ import annotations

import importlib
from typing import Any

from attrs import frozen

from stepcache.errors import Unstorable
from stepcache.store.codecs import Encoded


@frozen
class ArrowCodec:
    """Values of exactly *types*, in Arrow's stream format, by the functions `takes`, `encode` and *decoder* of
    *module*."""

    name: str
    types: tuple[str, ...]
    module: str
    decoder: str
    safe: bool = True

    def takes(self, value: object) -> bool:
        """Whether exactly the same would come back, as far as can be told at a glance."""
        return bool(self._home().takes(value))

    def encode(self, value: object) -> Encoded:
        return Encoded(self._home().encode(value))

    def decode(self, data: memoryview) -> object:
        return getattr(self._home(), self.decoder)(data)

    def _home(self) -> Any:
        return importlib.import_module(f"stepcache_arrow.{self.module}")


@frozen
class Refusal:
    """A codec for what must not be kept: it says why, and what to return instead."""

    name: str
    types: tuple[str, ...]
    reason: str
    safe: bool = True

    def takes(self, value: object) -> bool:
        return True

    def encode(self, value: object) -> Encoded:
        raise Unstorable(f"{type(value).__module__}.{type(value).__qualname__}", "", self.reason)

    def decode(self, data: memoryview) -> object:
        raise ValueError(f"{self.name} has never stored anything: {len(data)} bytes cannot be its own")


CODECS = (
    ArrowCodec("arrow-table", ("pyarrow.lib.Table",), "tables", "decode_table"),
    ArrowCodec("arrow-batch", ("pyarrow.lib.RecordBatch",), "tables", "decode_batch"),
    # Since version 3 pandas' types say that they are of `pandas`, before that of the module that defines them.
    ArrowCodec("pandas-frame", ("pandas.DataFrame", "pandas.core.frame.DataFrame"), "pandas_frames", "decode_frame"),
    ArrowCodec("pandas-series", ("pandas.Series", "pandas.core.series.Series"), "pandas_frames", "decode_series"),
    ArrowCodec("polars-frame", ("polars.dataframe.frame.DataFrame",), "polars_frames", "decode_frame"),
    ArrowCodec("polars-series", ("polars.series.series.Series",), "polars_frames", "decode_series"),
    Refusal(
        "polars-lazy",
        ("polars.lazyframe.frame.LazyFrame",),
        "it is a plan, not yet data; return its .collect() instead",
    ),
)
