"""The decision is pure: ingredients, traces and a look at the world in, a hit or a miss with its reasons out."""

from __future__ import annotations

import itertools

import pytest

from stepcache.key.decide import decide, explain, key_of
from stepcache.model import Hit, Ingredient, Miss, Observation, Reason, Trace

CODE = Ingredient("code", "helpers.py::clean", "c1")
LR = Ingredient("setting", "lr", "s1", "0.1")
REGION = Ingredient("setting", "region", "r1")
PANDAS = Ingredient("package", "pandas", "p1", '"3.1.0"')
FLIGHTS = Observation("file", "root:data/flights.csv", "f1", "data/flights.csv")
ZONE = Observation("env", "REGION", "e1", "REGION")


def trace(*observations: Observation, made: float = 0.0, ingredients: tuple[Ingredient, ...] = (CODE, LR)) -> Trace:
    return Trace("key", "p.py::a", ingredients, observations, None, 1.0, made)


def holding(*observations: Observation):  # type: ignore[no-untyped-def]
    return lambda observation: observation in observations


# --- keys ---


def test_a_key_does_not_depend_on_the_order_of_ingredients() -> None:
    orders = itertools.permutations([LR, REGION, PANDAS])
    assert len({key_of(order, "code") for order in orders}) == 1


@pytest.mark.parametrize(
    ("ingredients", "code"),
    [
        ([LR], "code"),
        ([LR, REGION], "other code"),
        ([LR, Ingredient("setting", "region", "r2")], "code"),
        ([LR, Ingredient("setting", "regions", "r1")], "code"),
        ([LR, Ingredient("input", "region", "r1")], "code"),
    ],
)
def test_each_part_of_an_ingredient_is_in_the_key(ingredients: list[Ingredient], code: str) -> None:
    assert key_of(ingredients, code) != key_of([LR, REGION], "code")


def test_names_of_files_and_what_is_shown_are_not_in_the_key() -> None:
    renamed = Ingredient("code", "renamed.py::clean", "c1")
    assert key_of([LR, CODE], "code") == key_of([Ingredient("setting", "lr", "s1"), renamed], "code")


# --- hits ---


def test_a_trace_whose_observations_all_hold_is_a_hit() -> None:
    newer, older = trace(FLIGHTS, made=2.0), trace(ZONE, made=1.0)
    assert decide("key", [], [newer, older], holding(FLIGHTS, ZONE)) == Hit("key", newer)
    assert decide("key", [], [newer, older], holding(ZONE)) == Hit("key", older)
    assert decide("key", [], [trace()], holding()) == Hit("key", trace())


def test_each_observation_is_looked_at_once() -> None:
    asked: list[Observation] = []

    def holds(observation: Observation) -> bool:
        asked.append(observation)
        return False

    decide("key", [], [trace(FLIGHTS), trace(FLIGHTS, ZONE), trace(FLIGHTS)], holds)
    assert asked == [FLIGHTS]


def test_an_objection_makes_a_trace_that_holds_a_miss() -> None:
    newer, older = trace(FLIGHTS, made=2.0), trace(made=1.0)

    def objection(found: Trace) -> Reason | None:
        return Reason("expired") if found.made == 2.0 else None

    assert decide("key", [], [newer, older], holding(FLIGHTS), objection=objection) == Hit("key", older)
    assert decide("key", [], [newer], holding(FLIGHTS), objection=objection) == Miss("key", (Reason("expired"),))


# --- misses ---


def test_what_was_never_run_is_new() -> None:
    assert decide("key", [LR], [], holding()) == Miss("key", (Reason("new"),))


def test_a_lapsed_observation_is_named() -> None:
    found = decide("key", [CODE, LR], [trace(FLIGHTS, ZONE)], holding())
    assert found == Miss("key", (Reason("file", "data/flights.csv"), Reason("env", "REGION")))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ([LR], [Ingredient("setting", "lr", "s2", "0.2")], ["setting: lr 0.1 -> 0.2"]),
        ([REGION], [Ingredient("setting", "region", "r2")], ["setting: region changed"]),
        ([CODE], [Ingredient("code", "helpers.py::clean", "c2")], ["code: helpers.py::clean"]),
        ([PANDAS], [Ingredient("package", "pandas", "p2", '"3.1.1"')], ["package: pandas 3.1.0 -> 3.1.1"]),
        ([], [CODE], ["code: helpers.py::clean"]),
        ([CODE], [], ["code: helpers.py::clean"]),
        ([CODE, LR], [LR, CODE], ["code"]),
    ],
)
def test_a_miss_is_explained_by_the_difference_of_two_lists(
    was: list[Ingredient], now: list[Ingredient], said: list[str]
) -> None:
    assert [str(reason) for reason in explain(trace(ingredients=tuple(was)), now, [])] == said


def test_the_newest_trace_under_the_key_explains_before_the_node_s_last_one() -> None:
    last = trace(ingredients=(REGION,))
    found = decide("key", [CODE, LR], [trace(FLIGHTS)], holding(), latest=last)
    assert found == Miss("key", (Reason("file", "data/flights.csv"),))
    assert decide("key", [REGION, LR], [], holding(), latest=last) == Miss("key", (Reason("setting", "lr"),))
