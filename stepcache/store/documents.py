"""Traces as bytes: compact JSON, the ingredients apart, since a hit does not need them."""

from __future__ import annotations

import json
from typing import Any

from stepcache.model import Ingredient, Observation, Output, Trace, Value

# Escapes keep lone surrogates, which file names may hold.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode
# What was sealed is one document and nothing else.
_decode = json.JSONDecoder().raw_decode
_SILENCE = Output()


def trace_document(trace: Trace) -> bytes:
    """All of *trace* but its ingredients."""
    value, output = trace.value, trace.output
    document = [
        trace.key,
        trace.node,
        [[seen.kind, seen.name, seen.digest, seen.label] for seen in trace.observations],
        value and _value_row(value),
        trace.seconds,
        trace.made,
        [output.stdout, output.stderr, output.log, output.warnings] if output else 0,
        trace.world,
        *(() if trace.elements is None else (trace.elements,)),
    ]
    return _dumps(document)


def ingredients_document(ingredients: tuple[Ingredient, ...]) -> bytes:
    """The ingredients of a trace."""
    return _dumps([[one.kind, one.name, one.digest, one.shown] for one in ingredients])


def read_trace(document: bytes, ingredients: tuple[Ingredient, ...]) -> Trace:
    """The trace that *document* holds."""
    key, node, observations, value, seconds, made, output, world, *more = _decode(document.decode())[0]
    return Trace(
        key,
        node,
        ingredients,
        tuple([Observation(*seen) for seen in observations]) if observations else (),
        _value(value),
        seconds,
        made,
        _output(output),
        world,
        *more,
    )


def _value_row(value: Value) -> list[Any]:
    row = [value.digest, value.codec, value.size, value.stored, value.classes, value.inline]
    return [*row, [_value_row(part) for part in value.parts], value.names, value.count] if value.parts else row


def _value(row: Any) -> Value | None:
    if row is None:
        return None
    digest, codec, size, stored, classes, inline, *more = row
    if not more:
        return Value(digest, codec, size, stored, tuple(classes), (), (), None, inline)
    parts, names, count = more
    return Value(digest, codec, size, stored, tuple(classes), tuple(_part(p) for p in parts), tuple(names), count)


def _part(row: Any) -> Value:
    value = _value(row)
    assert value is not None
    return value


def _output(row: Any) -> Output:
    if not row:
        return _SILENCE
    stdout, stderr, log, warnings = row
    return Output(stdout, stderr, log, tuple(warnings))


def read_ingredients(document: bytes) -> tuple[Ingredient, ...]:
    """The ingredients that *document* holds."""
    return tuple([Ingredient(*one) for one in _decode(document.decode())[0]])


def _dumps(document: Any) -> bytes:
    return _encode(document).encode()
