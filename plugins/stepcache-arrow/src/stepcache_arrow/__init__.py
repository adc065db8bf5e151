"""stepcache-arrow: data frames and tables in Arrow's format, for stepcache's cache.

Reading order: this file (the hook), codecs.py (which types), tables.py, polars_frames.py, pandas_frames.py and
pandas_values.py (each library's values as Arrow arrays and back), labels.py (names), canonical.py (equal values are
equal bytes), streams.py (arrays as buffers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepcache.store.codecs import Codec


@hookimpl
def stepcache_codecs() -> Sequence[Codec]:
    """The codecs for pandas, Polars and pyarrow."""
    from stepcache_arrow.codecs import CODECS

    return CODECS
