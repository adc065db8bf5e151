"""Names: node ids, `path/pipeline_x.py::name@PIPELINE[variant]` with the path relative to the root, and modules that
go by their path, `//path/pipeline_x`."""

from __future__ import annotations

from attrs import field

from stepcache.records import frozen


@frozen
class NodeId:
    """The parts of a node id.

    `file` is a path relative to the root (a dotted module name outside it); `owner` is the file that defines the
    step, where that is another than the one in which the name is bound and the bare name would mean another step;
    `pipeline` names the pipeline whose `params` reach the node; `variant` is None where nothing is parametrised.
    """

    file: str
    name: str
    variant: str | None = None
    pipeline: str | None = None
    owner: str | None = None
    _text: str = field(init=False, eq=False, repr=False)

    @_text.default
    def _spelled(self) -> str:
        owner = f"{self.owner}::" if self.owner else ""
        pipeline = f"@{self.pipeline}" if self.pipeline else ""
        variant = f"[{self.variant}]" if self.variant is not None else ""
        return f"{self.file}::{owner}{self.name}{pipeline}{variant}"

    def __str__(self) -> str:
        return self._text


def split_argument(argument: str) -> tuple[str, str | None]:
    """A command-line argument as (path, selector); the selector is None for a bare path."""
    path, found, selector = argument.partition("::")
    return path, selector if found else None


_BY_PATH = "//"


def goes_by_path(module: str) -> bool:
    """Is it the name of a module that goes by its path?"""
    return module.startswith(_BY_PATH)


def module_by_path(stem: str) -> str:
    """The name of the module whose file, without its suffix, is *stem*.

    It has no dots: Python would look for a package in front of one.
    """
    return _BY_PATH + stem.replace("%", "%25").replace(".", "%2E")


def path_of_module(module: str) -> str:
    """The stem that `module_by_path` was given."""
    return module.removeprefix(_BY_PATH).replace("%2E", ".").replace("%25", "%")
