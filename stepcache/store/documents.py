"""Traces as bytes: compact JSON, the ingredients apart, since a hit does not need them.

trace = [node, value, seconds, made, world]
        with observations, output, elements and key after these where one of them is not as it is for most
value = [digest, codec, inline], [digest, codec, size, stored, classes, inline]
        or that with parts, names and count after it
"""

from __future__ import annotations

import json
from typing import Any

from stepcache.model import Ingredient, Observation, Output, Trace, Value
from stepcache.store.content import inline_size

# Escapes keep lone surrogates, which file names may hold.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode
# What was sealed is one document and nothing else.
_decode = json.JSONDecoder().raw_decode
_SILENCE = Output()
_SHORT = 3


def trace_document(trace: Trace, key: str | None) -> bytes:
    """All of *trace* but its ingredients; its *key* where that cannot be told from where it lies, else None."""
    value, output = trace.value, trace.output
    document = [trace.node, value and _value_row(value), trace.seconds, trace.made, trace.world]
    if trace.observations or output or trace.elements is not None or key is not None:
        document += (
            [[seen.kind, seen.name, seen.digest, seen.label] for seen in trace.observations],
            [output.stdout, output.stderr, output.log, output.warnings] if output else 0,
            trace.elements and list(trace.elements),
            key,
        )
    return _dumps(document)


def ingredients_document(ingredients: tuple[Ingredient, ...]) -> bytes:
    """The ingredients of a trace."""
    return _dumps([[one.kind, one.name, one.digest, one.shown] for one in ingredients])


def read_trace(document: bytes, key: str, ingredients: tuple[Ingredient, ...]) -> Trace:
    """The trace that *document* holds, found under *key*."""
    node, value, seconds, made, world, *more = _decode(document.decode())[0]
    if not more:
        return Trace(key, node, ingredients, (), value and _value(value), seconds, made, _SILENCE, world)
    observations, output, elements, own_key = more
    return Trace(
        key if own_key is None else own_key,
        node,
        ingredients,
        tuple([Observation(*seen) for seen in observations]),
        value and _value(value),
        seconds,
        made,
        _output(output),
        world,
        elements and tuple(elements),
    )


def _value_row(value: Value) -> list[Any]:
    if value.inline is not None and not value.classes:
        return [value.digest, value.codec, value.inline]
    row = [value.digest, value.codec, value.size, value.stored, value.classes, value.inline]
    return [*row, [_value_row(part) for part in value.parts], value.names, value.count] if value.parts else row


def _value(row: Any) -> Value:
    if len(row) == _SHORT:
        digest, codec, inline = row
        size = inline_size(inline)
        return Value(digest, codec, size, size, (), (), (), None, inline)
    digest, codec, size, stored, classes, inline, *more = row
    if not more:
        return Value(digest, codec, size, stored, tuple(classes), (), (), None, inline)
    parts, names, count = more
    return Value(digest, codec, size, stored, tuple(classes), tuple(map(_value, parts)), tuple(names), count)


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
