"""The data that flows from room to room: frozen, made of tuples, with no method that touches the world.

files ─collect→ Collection ─graph→ Graph ─per node→ Decision = Hit | Miss ─run→ NodeReport ─report→ lines, JSON
"""

from __future__ import annotations

from stepcache.model.asleep import Asleep, awake, become, is_asleep
from stepcache.model.definitions import (
    ABSENT,
    Absent,
    Definition,
    Mark,
    Parameter,
    Parametrize,
    ParamSet,
    Problem,
    Retries,
    Source,
    class_name,
)
from stepcache.model.entries import (
    Decision,
    Hit,
    Ingredient,
    Miss,
    Observation,
    Output,
    Reason,
    ReasonKind,
    Trace,
    Value,
    joined,
    shown_scalar,
)
from stepcache.model.graph import BoundResource, Graph, Kind, Need, Node, Setting, skipping
from stepcache.model.reports import Determinism, Elements, ExitCode, Failure, NodeOutcome, NodeReport, RunReport

__all__ = [
    "ABSENT",
    "Absent",
    "Asleep",
    "BoundResource",
    "Decision",
    "Definition",
    "Determinism",
    "Elements",
    "ExitCode",
    "Failure",
    "Graph",
    "Hit",
    "Ingredient",
    "Kind",
    "Mark",
    "Miss",
    "Need",
    "Node",
    "NodeOutcome",
    "NodeReport",
    "Observation",
    "Output",
    "ParamSet",
    "Parameter",
    "Parametrize",
    "Problem",
    "Reason",
    "ReasonKind",
    "Retries",
    "RunReport",
    "Setting",
    "Source",
    "Trace",
    "Value",
    "awake",
    "become",
    "class_name",
    "is_asleep",
    "joined",
    "shown_scalar",
    "skipping",
]
