"""The text of `stepcache --help`."""

from __future__ import annotations

from collections.abc import Sequence

from stepcache.config.flags import GROUPS, Flag
from stepcache.config.plugin_options import PluginOption, PluginSetting

COLUMN = 28

HEAD = """\
usage: stepcache [options] [file_or_dir_or_node ...]

Runs the pipelines found in pipeline_*.py under the given files and directories,
or the nodes that are named (pipeline_x.py::step[variant]); what did not change
comes from the cache. Every value of an option may follow it after `=`; where it
stands in [brackets], it must.
"""

KEYS = {
    "minversion": "the oldest stepcache that the project works with",
    "addopts": "options, before those of STEPCACHE_ADDOPTS and of the command line",
    "pipelinepaths": "what is run when no files are named",
    "pipeline_files": "names of pipeline files",
    "norecursedirs": "names of directories not looked into",
    "pythonpath": "directories added at the end of sys.path",
    "plugins": "plugins to load",
    "markers": "marks, each 'name: what it is for'",
    "filterwarnings": "warning filters",
    "cache_dir": "the folder of the cache",
    "cache_max_size": "how large the cache may grow",
    "compression": "adaptive, always or never",
    "compression_level": "1 to 22",
    "durability": "normal, or fsync: survive a power cut",
    "formats": "any, or safe: pickle nothing",
    "observe_ignore": "reads that do not count: 'env:NAME', 'file:GLOB'",
    "params": "a table of settings",
    "profile.NAME.params": "those that --profile=NAME turns on",
}

TAIL = """\
environment:
  STEPCACHE_ADDOPTS         more options, before those of the command line
  STEPCACHE_DIR             the folder of the cache
  STEPCACHE_KEY, STEPCACHE_KEY_FILE
                            the sealing key, for CI and containers
  NO_COLOR, FORCE_COLOR     colour never, or always

exit status: 0 all well, 1 a step or check failed, 2 interrupted or collection
error, 3 internal error, 4 usage error, 5 nothing collected"""


def help_text(extra: Sequence[PluginOption] = (), keys: Sequence[PluginSetting] = (), width: int = 80) -> str:
    """All options in groups, those of plugins last; then the keys of the configuration, those of plugins too."""
    parts = [HEAD]
    groups: dict[str, list[Flag]] = {title: list(flags) for title, flags in GROUPS}
    for option in extra:
        groups.setdefault(option.group, []).append(option.flag)
    for title, flags in groups.items():
        parts.append("\n".join([f"{title}:", *(line for flag in flags for line in _option(flag, width))]) + "\n")
    every = {**KEYS, **{key.name: key.help for key in keys}}
    told = (line for name, text in every.items() for line in _lines(name, text, width))
    parts.append("\n".join(["[tool.stepcache] in pyproject.toml, or stepcache.toml:", *told]) + "\n")
    parts.append(TAIL)
    return "\n".join(parts)


def _option(flag: Flag, width: int) -> list[str]:
    others = [name for name in flag.names if name != flag.main]
    return _lines(", ".join([flag.usage, *others]), flag.help, width)


def _lines(name: str, told: str, width: int) -> list[str]:
    from textwrap import wrap  # only the help needs it

    name = f"  {name}"
    text = wrap(told, max(width - COLUMN, 30)) or [""]
    if len(name) < COLUMN - 1:
        return [name.ljust(COLUMN) + text[0], *(" " * COLUMN + line for line in text[1:])]
    return [name, *(" " * COLUMN + line for line in text)]
