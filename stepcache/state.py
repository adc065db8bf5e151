"""What a run is asked for, and the parts that it is made of as they come to be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field

from stepcache.api import Defined
from stepcache.collect.collection import Collection
from stepcache.config import Configuration, Options
from stepcache.execution.engine import Engine, Policy
from stepcache.execution.schedule import Schedule
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.graph.family import Family
from stepcache.graph.scope import Scope
from stepcache.model import Graph, Value
from stepcache.plugins import Plugins
from stepcache.project import Project
from stepcache.records import define, frozen
from stepcache.stamp import Asked, Stat

if TYPE_CHECKING:
    from stepcache.execution.saving import Saves


@frozen
class Call:
    """What a run is asked for, from the command line or from Python.

    `arguments` is the command line. `params` and `values` come from Python only. `target` is the
    definition whose `.run()` was called. `everything` binds all that can be asked for in the files, for tests;
    `supplied` are values for parameters of the target that nothing need provide.
    """

    arguments: tuple[str, ...] = ()
    params: Mapping[str, object] = field(factory=dict)
    values: Mapping[str, object] = field(factory=dict)
    plugins: tuple[object, ...] = ()
    target: Defined[..., Any] | None = None
    asked: Asked | None = None
    """The same with all that surrounds it, where a stamp may answer it."""
    everything: bool = False
    supplied: Mapping[str, object] = field(factory=dict)


@frozen
class Offer:
    """All that can be asked for in the asked files: by name, what the files mean by it, by the base of its ids.

    A name has several families where files mean different things by it.
    """

    families: Mapping[str, Mapping[str, Family]] = field(factory=dict)


@define
class Session:
    """The parts of one run, as they come to be."""

    call: Call
    environ: Mapping[str, str]
    cwd: Path
    options: Options
    configuration: Configuration
    plugins: Plugins
    project: Project
    shelf: Shelf
    sight: Sight
    folder: Path
    collection: Collection = field(factory=Collection)
    graph: Graph = field(factory=lambda: Graph({}, {}, ()))
    policy: Policy = field(factory=Policy)
    offer: Offer = field(factory=Offer)
    engine: Engine | None = None
    schedule: Schedule | None = None
    saves: Saves | None = None
    warnings: list[str] = field(factory=list)
    scopes: dict[str, Scope] = field(factory=dict)
    began: int = field(factory=time.time_ns)
    """When it was opened, in nanoseconds since the epoch: nothing was looked at before."""
    removals: int = -1
    """How often something had been removed from the cache by then."""
    replayed: Mapping[str, Value] | None = None
    """The values that are given to the one node to be replayed, by the ids of the nodes that made them."""
    rests_on: list[str] = field(factory=list)
    """Absolute paths that the answer rests on, besides what the nodes were seen to read, tracked paths and sources."""
    variables: Mapping[str, str] = field(factory=dict)
    """The environment before anything was run."""
    names_before: Mapping[str, bytes] = field(factory=dict)
    """The digest of the names in the folder in which this run has made the cache's, from before that."""
    stamps: dict[str, tuple[Stat | tuple[()] | None, bytes]] = field(factory=dict)
    """The stamps and content digests of files that are as they were when the run began, by path, as `stamp.File`."""
    snapshot_name: bytes | None = None
    """What the snapshot of collection is called that this run may use; importing changes what it is made of."""
    collects_anew: bool = False
    """Is nothing to be taken from a snapshot, which has turned out not to hold?"""
    told_at_import: bool = False
    """Was anything warned of while files were imported?"""
    _kept: ExitStack = field(factory=ExitStack)

    def close(self) -> None:
        """Write what is pending and let go of the store and the scratch area."""
        self._kept.close()
