"""What authors of pipelines import: it records what they say and decides nothing.

Each decorator gives back an object that can be called like the function it was put on, and that carries its
`definition` for collection to find. Read in this order: record (what is remembered of all definitions), paths and
annotations (what stands in a signature), skipping, defined (what the decorators give back), options (of the
decorators), decorators, marks (and choices).
"""

from __future__ import annotations

from stepcache.api.annotations import All, Each
from stepcache.api.decorators import check, pipeline, plain_check, resource, step
from stepcache.api.defined import Check, Defined, Pipeline, Resource, Step, set_runner
from stepcache.api.marks import mark, param, parametrize
from stepcache.api.paths import Dir, File
from stepcache.api.record import importing, made, running_node
from stepcache.api.retry import Retry
from stepcache.api.skipping import Skipped, StepcacheWarning, skip, skip_reason

__all__ = [
    "All",
    "Check",
    "Defined",
    "Dir",
    "Each",
    "File",
    "Pipeline",
    "Resource",
    "Retry",
    "Skipped",
    "Step",
    "StepcacheWarning",
    "check",
    "importing",
    "made",
    "mark",
    "param",
    "parametrize",
    "pipeline",
    "plain_check",
    "resource",
    "running_node",
    "set_runner",
    "skip",
    "skip_reason",
    "step",
]
