"""Running from Python: `run`, `NAME.run`, `load`, and what they give back."""

from __future__ import annotations

import marshal
import os
import shlex
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from attrs import evolve

from stepcache import __version__, snapshotting, stamping
from stepcache.api import Defined
from stepcache.calling import cache_arguments, executor_arguments, named
from stepcache.errors import CollectionFailed, NotCached, StepFailed, UsageError, ValueGone
from stepcache.execution.values import Variants, own_settings
from stepcache.model import ExitCode, Node, NodeReport, RunReport, Value
from stepcache.opening import working_directory
from stepcache.records import frozen
from stepcache.report.jsonreport import json_report
from stepcache.report.traceback import trimmed
from stepcache.results import Run
from stepcache.session import Call, Session, collect, execute, open_session, remake
from stepcache.stamp import Asked
from stepcache.store import Stream
from stepcache.store.content import Content
from stepcache.store.vault import Vault


class Results:
    """What is behind a run from Python: its session, its report, and the values of its nodes."""

    def __init__(self, session: Session, report: RunReport) -> None:
        self._session = session
        self._report = report
        self.exit_code = int(report.exit_code)

    def are_as(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Have the nodes the values that *rows* of a report tell? What has changed since is given as it was told."""
        engine = self._session.engine
        assert engine is not None
        now = {row.id: row for row in self._report.nodes}
        for told in rows:
            row = now.get(told["id"])
            if row is None:
                return False
            if told["digest"] is None or (row.value is not None and row.value.digest == told["digest"]):
                continue
            stored = (trace.value for trace in self._session.shelf.traces(told["key"], ()))
            value = next((each for each in stored if each is not None and each.digest == told["digest"]), None)
            if value is None:
                return False
            engine.products[row.id] = value
        return True

    def value(self, name: str) -> Any:
        """A node's value; of a step with variants, a mapping from variant id to value."""
        rows, output = self._asked(name)
        if len(rows) == 1 and ("[" not in rows[0].id or name.endswith("]")):
            return self._value(rows[0].id, output)
        nodes = self._session.graph.nodes
        return _variants([nodes[row.id] for row in rows], lambda node_id: self._value(node_id, output))

    def _value(self, node_id: str, output: str | None = None) -> Any:
        engine = self._session.engine
        assert engine is not None
        product = engine.products.get(node_id)
        if product is None:
            row = next(row for row in self._report.nodes if row.id == node_id)
            raise KeyError(f"{node_id} has no value: {_why_none(row)}")
        try:
            return lent(engine.value(node_id, output, _Remaking(self, node_id)), self)
        except ValueGone:  # it was made again, and came out differently
            return lent(engine.value(node_id, output), self)

    def _remake(self, node_id: str) -> None:
        row = remake(self._session, node_id)
        if row.failure is not None:
            raise _failed(row) from row.failure.exception

    def _asked(self, name: str) -> tuple[list[NodeReport], str | None]:
        """The rows that *name* means, and the output of theirs, if it is that of one."""
        nodes = self._session.graph.nodes
        rows = [r for r in self._report.nodes if r.kind != "check" or "::" in name]
        for meant, output in ((name, None), *_makers(name, [nodes[r.id] for r in rows])):
            for fits in (
                lambda r: r.id == meant,  # noqa: B023 - called before the loop goes on
                lambda r: nodes[r.id].base == meant and nodes[r.id].element is None,  # noqa: B023
                lambda r: nodes[r.id].name == meant and nodes[r.id].element is None,  # noqa: B023
                lambda r: r.id.rpartition("::")[2] == meant,  # noqa: B023
            ):
                found = [row for row in rows if fits(row)]
                bases = {nodes[row.id].base for row in found}
                if len(bases) > 1:
                    raise KeyError(f"{name!r} is in this run more than once: ask for one of {', '.join(sorted(bases))}")
                if found:
                    return found, output
        from difflib import get_close_matches

        elements = [r.id.rpartition("::")[2] for r in rows if nodes[r.id].element is not None]
        names = [n for r in rows if nodes[r.id].element is None for n in (nodes[r.id].name, *nodes[r.id].outputs)]
        near = [each for each in elements if each.startswith(f"{name}[")] or get_close_matches(
            name, [*names, *elements], 1
        )
        raise KeyError(f"no node {name!r} in this run" + (f": did you mean {near[0]!r}?" if near else ""))

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The rows of the JSON report."""
        rows: list[dict[str, Any]] = json_report(self._report, __version__)["nodes"]
        return rows

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The collection errors, as in the JSON report."""
        errors: list[dict[str, Any]] = json_report(self._report, __version__)["errors"]
        return errors

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the run warned of."""
        return self._report.warnings

    def why(self, name: str) -> list[str]:
        """Why the node ran, each reason a line; nothing for a hit."""
        return [str(reason) for row in self._asked(name)[0] for reason in row.why]

    def table(self, name: str) -> list[dict[str, Any]]:
        """A dict for each variant: its settings, and its value under "value"."""
        found = []
        rows, output = self._asked(name)
        for row in rows:
            node = self._session.graph.nodes[row.id]
            found.append({**_chosen(node), **own_settings(node.settings), "value": self._value(row.id, output)})
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows: its nodes as a table."""
        from stepcache.report.htmltable import html_table

        return html_table(self._report)

    def raise_failure(self) -> None:
        """Raise what the run came to, if it did not go well."""
        if self._report.problems and self._report.exit_code == ExitCode.INTERRUPTED:
            raise CollectionFailed("\n".join(p.message for p in self._report.problems))
        for row in self._report.nodes:
            if row.outcome == "failed" and row.failure is not None:
                raise _failed(row) from _from_the_body(row.failure.exception)


@frozen
class _Remaking:
    """The values of a run; a node whose value is gone, or that of a stream some elements of which are, runs again."""

    run: Results
    node: str

    @property
    def _vault(self) -> Vault:
        return self.run._session.shelf.all

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        return self._vault.content(value, codec, tmp)

    def keep(self, content: Content) -> Value:
        return self._vault.keep(content)

    def data(self, value: Value) -> memoryview:
        try:
            return self._vault.data(value)
        except ValueGone:
            self.run._remake(self.node)
            return self._vault.data(value)

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        return self._vault.decoded(codec_name, data, digest)


def _why_none(row: NodeReport) -> str:
    if row.outcome == "blocked":
        return f"it is {row.message}"
    told = row.error or row.message
    return f"it is {row.outcome}: {told}" if told else f"it is {row.outcome}"


def _from_the_body(error: BaseException | None) -> BaseException | None:
    """*error* with a traceback that begins in the user's code."""
    if error is None:
        return None
    return error.with_traceback(trimmed(error.__traceback__))


def _failed(row: NodeReport) -> StepFailed:
    return StepFailed(f"{row.id} failed: {row.error}")


def run_target(
    target: Defined[..., Any],
    *,
    enable_cache: bool | None,
    params: Mapping[str, object] | None,
    values: Mapping[str, object] | None,
    check: bool,
    workers: int | Literal["auto"] | None,
    cache_dir: str | Path | None,
) -> Run:
    """`NAME.run()`."""
    arguments = cache_arguments(enable_cache, cache_dir) + executor_arguments(workers, None)
    call = Call(tuple(arguments), named("params", params), named("values", values), (), target)
    return _given_back(_ran(call), check)


def run_asked(
    arguments: tuple[str, ...],
    params: Mapping[str, object],
    values: Mapping[str, object],
    plugins: tuple[object, ...],
    asked: Asked | None,
    check: bool,
) -> Run:
    """`run()` where no stamp answers."""
    return _given_back(_ran(Call(arguments, params, values, plugins, asked=asked)), check)


def _given_back(results: Results, check: bool) -> Run:
    if check:
        results.raise_failure()
    return Run(results.exit_code, lambda: results)


def _ran(call: Call) -> Results:
    session = open_session(call, os.environ, working_directory())
    with _kept(session) as keep:
        collect(session)
        report = execute(session)
        prepared = stamping.prepare(session, report)
        session.plugins.hook.stepcache_run_finished(report=report, options=session.options)
        if report.stopped.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt
        results = keep(Results(session, report))
        if prepared is not None:
            rows = json_report(prepared.report, __version__)["nodes"]
            stamping.keep(session, prepared, marshal.dumps((rows, prepared.report.warnings)))
        snapshotting.keep(session)
        if session.shelf.store is not None:
            session.shelf.store.settle()
        return results


@contextmanager
def _kept(session: Session) -> Iterator[Callable[[Results], Results]]:
    """Gives what has a session last as long as its results; without results it is closed."""
    found: list[Results] = []

    def keep(results: Results) -> Results:
        session.shelf.scratch.lend()
        found.append(results)
        return results

    try:
        yield keep
    except BaseException:
        session.close()
        raise
    weakref.finalize(found[0], session.close)


def results_of(arguments: tuple[str, ...], params: Mapping[str, object], rows: list[dict[str, Any]]) -> Results:
    """The results of a run that a stamp answered with *rows*: nothing is run as long as what they name is stored."""
    call = Call(arguments, params)
    session = open_session(evolve(call, arguments=(*arguments, "--fail-on-miss")), os.environ, working_directory())
    with _kept(session) as keep:
        collect(session)
        report = execute(session)
        if report.problems:
            raise CollectionFailed("\n".join(p.message for p in report.problems))
        results = keep(Results(session, report))
    return results if results.are_as(rows) else _ran(call)


def load(node_id: str, params: Mapping[str, object] | None = None, cache_dir: str | Path | None = None) -> Any:
    """The value last stored for a node of this project with these settings; nothing is run.

    Raises `NotCached` where there is none.
    """
    if not isinstance(node_id, str) or "::" not in node_id:
        raise UsageError(f"load() takes a node id, such as 'pipeline_x.py::NAME', not {node_id!r}")
    arguments = [node_id, "--fail-on-miss", "--no-checks", *cache_arguments(None, cache_dir)]
    session = open_session(Call(tuple(arguments), named("params", params)), os.environ, working_directory())
    owner = _Owner()
    weakref.finalize(owner, session.close)  # streams among the values are read when they are gone through
    collect(session)
    report = execute(session)
    if report.problems:
        raise CollectionFailed("\n".join(p.message for p in report.problems))
    rows = [row for row in report.nodes if row.id in session.graph.targets]
    if not rows:
        raise UsageError(f"load({node_id!r}): a check has no value")
    nodes = session.graph.nodes
    session.shelf.scratch.lend()
    values = {row.id: lent(_stored(session, row, node_id), owner) for row in rows}
    if len(rows) == 1:
        return values[rows[0].id]
    return _variants([nodes[row.id] for row in rows], values.__getitem__)


class _Owner:
    """What keeps a session open as long as it is referred to."""


def lent(value: Any, owner: object) -> Any:
    """*value*, whose streams keep *owner* alive."""
    if isinstance(value, Stream):
        return value.kept_by(owner)
    if type(value) is dict and any(isinstance(each, Stream) for each in value.values()):
        return {name: lent(each, owner) for name, each in value.items()}
    return value


def _makers(name: str, nodes: Sequence[Node]) -> Iterator[tuple[str, str]]:
    """What the step is called that has an output called *name*, and that output's bare name."""
    file, colons, rest = name.rpartition("::")
    output, bracket, variant = rest.partition("[")
    for maker in {n.name: n for n in nodes if output in n.definition.outputs and (not file or n.file == file)}:
        yield f"{file}{colons}{maker}{bracket}{variant}", output


def _stored(session: Session, row: NodeReport, asked: str) -> Any:
    """The value of a row, if it is a hit."""
    if row.outcome == "cached" and row.value is not None:
        output = asked.rpartition("::")[2].partition("[")[0]
        try:
            return session.shelf.load(row.value.output(output if output in row.value.names else None))
        except ValueGone:
            pass  # as good as never stored
    made_by = f"stepcache {shlex.quote(asked)}"
    raise NotCached(f"{asked}: no value is stored for it with these settings; `{made_by}` makes it")


def _variants(nodes: Sequence[Node], value: Callable[[str], Any]) -> Variants:
    """Values by variant id, each loaded when it is asked for."""
    loaders = {node.variant or "": partial(value, node.id) for node in nodes}
    return Variants(loaders, {node.variant or "": _chosen(node) for node in nodes})


def _chosen(node: Node) -> dict[str, Any]:
    return {name: value for *_, values in node.choices for name, value in values.items()}
