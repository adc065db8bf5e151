"""The decision: a stored result that still holds, or a miss that says by name what is different. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from stepcache.digest import FORMAT, digest_all
from stepcache.model import Decision, Hit, Ingredient, Miss, Observation, Reason, ReasonKind, Trace

# What an observation that no longer holds is called in explanations; every other kind is a file's.
REASON_OF: dict[str, ReasonKind] = {
    "env": "env",
    "given": "env",
    "env beginning": "env",
    "variable": "code",
    "module": "code",
}

_NEW = (Reason("new"),)


def key_of(ingredients: Iterable[Ingredient], code: str) -> str:
    """The key made of *ingredients* and of *code*, the canonical digest of the code that is reached.

    Ingredients of kind "code" name single definitions by their files, for explanations; they are in *code* without
    those names, so that a renamed file keeps its hits.
    """
    others = sorted([(each.kind, each.name, each.digest) for each in ingredients if each.kind != "code"])
    return digest_all(f"key {FORMAT}", [code, *chain.from_iterable(others)])


def decide(
    key: str,
    ingredients: Sequence[Ingredient],
    traces: Sequence[Trace],
    holds: Callable[[Observation], bool],
    *,
    latest: Trace | None = None,
    objection: Callable[[Trace], Reason | None] = lambda _: None,
    same_sources: Callable[[Trace], bool] = lambda _: False,
) -> Decision:
    """A hit on the first of *traces* (newest first) whose observations all hold and that *objection* lets pass.

    *objection* says of a trace that holds why it may not be used all the same: expired, evicted, damaged. *latest* is
    what the node was last made or found from, to explain a key that was never seen. *same_sources* says whether all
    project sources were the same then.
    """
    answers: dict[Observation, bool] = {}

    def still(observation: Observation) -> bool:
        if observation not in answers:
            answers[observation] = holds(observation)
        return answers[observation]

    objections = []
    for trace in traces:
        if not all(still(observation) for observation in trace.observations if observation.counts):
            continue
        reason = objection(trace)
        if reason is None:
            return Hit(key, trace)
        objections.append(reason)
    if objections:
        return Miss(key, (objections[0],))
    reference = traces[0] if traces else latest
    lapsed = lapsed_of(reference.observations, still, same_sources(reference)) if reference is not None else []
    return Miss(key, explain(reference, ingredients, lapsed))


def lapsed_of(
    observations: Iterable[Observation], holds: Callable[[Observation], bool], same_sources: bool
) -> list[Observation]:
    """Those that no longer hold.

    Where variables are among them, what imports have read is told with them, or instead: with the same sources, the
    values came of that.
    """
    lapsed = [each for each in observations if not holds(each)]
    tells_values = any(each.kind == "variable" for each in lapsed)
    explains_values = same_sources and not all(each.counts for each in lapsed)

    def is_told(each: Observation) -> bool:
        return not (explains_values and each.kind == "variable") if each.counts else tells_values

    return list(filter(is_told, lapsed))


def explain(
    latest: Trace | None, ingredients: Sequence[Ingredient], lapsed: Iterable[Observation]
) -> tuple[Reason, ...]:
    """What is different from *latest*: two ingredient lists compared, and the observations that no longer hold."""
    if latest is None:
        return _NEW
    was = {(i.kind, i.name): i for i in latest.ingredients}
    now = {(i.kind, i.name): i for i in ingredients}
    differing = (place for place in {**now, **was} if _digest(was.get(place)) != _digest(now.get(place)))
    reasons = [_difference(was.get(place), now.get(place)) for place in differing]
    reasons += [Reason(REASON_OF.get(o.seen_as, "file"), o.label or o.name) for o in lapsed]
    return tuple(dict.fromkeys(reasons)) or (Reason("code"),)


def _digest(ingredient: Ingredient | None) -> str | None:
    return ingredient.digest if ingredient else None


def _difference(was: Ingredient | None, now: Ingredient | None) -> Reason:
    either = now or was
    assert either is not None
    if was and now and was.shown is not None and now.shown is not None:
        return Reason(either.kind, either.name, json.loads(was.shown), json.loads(now.shown), shown=True)
    return Reason(either.kind, either.name)
