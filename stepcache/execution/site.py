"""What an executor is given to work with, by the run that opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import evolve

from stepcache.config import Configuration, Options
from stepcache.execution.engine import Engine
from stepcache.execution.inline import Inline
from stepcache.execution.work import Done, Executor, Work
from stepcache.model import Value
from stepcache.records import define, frozen

if TYPE_CHECKING:
    from stepcache.execution.crossing import Insides


@frozen
class Hello:
    """What another process has to know before it can run works of this run.

    `folder` is where its files that do not outlive the run go; `homes` are the paths of the files in which nodes are
    bound, by their portable names; `plugins` are the modules of plugins, by name. `variables` are those of the
    environment that imports have set, with what they were before and what they are.
    """

    argv: tuple[str, ...]
    cwd: str
    folder: str
    options: Options
    configuration: Configuration
    homes: Mapping[str, str]
    plugins: tuple[str, ...]
    blocked: tuple[str, ...]
    variables: Mapping[str, tuple[str | None, str | None]]


@define
class Site:
    """One run, as its executor sees it.

    `workers` is how many works may be under way at once, None where it was not said. `captured` is false under -s.
    """

    workers: int | None
    captured: bool
    engine: Engine
    inline: Inline
    make_hello: Callable[[], Hello]
    logged: Callable[[str, str], object] = lambda node, line: None
    """To be told of what bodies elsewhere log, as they do: the node's id, and a line."""
    _insides: Insides | None = None

    def hello(self) -> bytes:
        """The `Hello` of another process, each with a folder of its own."""
        import pickle

        return pickle.dumps(self.make_hello(), pickle.HIGHEST_PROTOCOL)

    def pack(self, work: Work) -> bytes | str:
        """A work for `stepcache.worker.answer` in another process, or why it cannot go there."""
        from stepcache.execution.crossing import Insides, pack_work

        if self._insides is None:
            self._insides = Insides()
        try:
            return pack_work(work, self.engine.shelf, self.engine.sight, self._insides)
        except Exception as error:  # noqa: BLE001 - a setting's own methods may raise anything
            return f"a setting of its cannot be pickled ({type(error).__name__}: {error})"

    def refused(self, work: Work, why: str) -> Done:
        """What came of a work that cannot run elsewhere: it runs in the run's own process."""
        return Done(work.id, "refused", message=why)

    def unpack(self, work: Work, data: bytes) -> Done:
        """Take what the other process answered: its value, if it has one, is stored here."""
        from stepcache.execution.crossing import read_done

        shelf, sight = self.engine.shelf, self.engine.sight
        with sight.loaded.importing():
            answer = read_done(data)
        if shelf.store is not None:
            shelf.store.enter_unwritten(answer.memos)
        for name, reads in answer.reads.items():
            sight.import_reads.setdefault(name, reads)
        done = answer.done
        if isinstance(done.product, Value):
            keep = work.keeps and not done.seen.changed
            done = evolve(done, product=shelf.unpack(done.product, answer.parcels, keep=keep))
        return done


class ExecutorKind(Protocol):
    """What a plugin offers: an executor by name (see the hook `stepcache_executors`)."""

    @property
    def name(self) -> str: ...

    def open(self, site: Site) -> Executor:
        """The executor for one run."""
        ...


class InlineKind:
    """`--executor=inline`: in this process, one at a time."""

    name = "inline"

    def open(self, site: Site) -> Executor:
        return site.inline


class ProcessKind:
    """`--executor=process`, and `-n`: in worker processes."""

    name = "process"

    def open(self, site: Site) -> Executor:
        from stepcache.execution.pool import Pool

        return Pool(site.workers or 1, site.hello, site.pack, site.unpack, site.captured, site.logged)
