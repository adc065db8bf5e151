"""Which entries go when room is short: a pure decision.

By worth, those go first that save the least time for the room they take, and the less the longer ago they were used:
seconds x recency / bytes, recency being 1 / (time since the last use + an hour). By use, those used longest ago.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from stepcache.store.batch import EntryName

Order = Literal["worth", "use"]

_FRESH_SECONDS = 3600.0


class Candidate(NamedTuple):
    """An entry that may go: what a hit on it saves, when it was last used, its own bytes, and the contents it names."""

    name: EntryName
    seconds: float
    used: float
    size: int
    contents: tuple[bytes, ...]


def chosen(
    candidates: Sequence[Candidate],
    sizes: Mapping[bytes, int],
    excess: int,
    *,
    order: Order,
    spared: Collection[EntryName],
    now: float,
) -> list[EntryName]:
    """The entries to drop so that *excess* bytes are freed, or all but the *spared*.

    *sizes* are those of the contents; one that several entries name is freed with the last of them, and each bears its
    share of it.
    """
    references = Counter(content for one in candidates for content in one.contents)

    def worth(one: Candidate) -> float:
        size = one.size + sum(sizes.get(content, 0) / references[content] for content in one.contents)
        return one.seconds / (max(0.0, now - one.used) + _FRESH_SECONDS) / max(size, 1)

    by_use = sorted(candidates, key=lambda one: one.used)
    left = Counter(references)
    names = []
    for one in sorted(by_use, key=worth) if order == "worth" else by_use:
        if excess <= 0:
            break
        if one.name in spared:
            continue
        names.append(one.name)
        excess -= one.size
        for content in one.contents:
            left[content] -= 1
            if not left[content]:
                excess -= sizes.get(content, 0)
    return names
