"""The text of `stepcache --help`."""

from __future__ import annotations

from collections.abc import Sequence

from stepcache.config.flags import GROUPS, Flag
from stepcache.config.plugin_options import PluginOption

COLUMN = 28

HEAD = """\
usage: stepcache [options] [file_or_dir_or_node ...]

Runs the pipelines found in pipeline_*.py under the given files and directories,
or the nodes that are named (pipeline_x.py::step[variant]); what did not change
comes from the cache. Every value of an option may follow it after `=`; where it
stands in [brackets], it must.
"""

TAIL = """\
environment:
  STEPCACHE_ADDOPTS         more options, before those of the command line
  STEPCACHE_DIR             the folder of the cache
  STEPCACHE_KEY, STEPCACHE_KEY_FILE
                            the sealing key, for CI and containers
  NO_COLOR, FORCE_COLOR     colour never, or always

files: [tool.stepcache] in pyproject.toml, or stepcache.toml
exit status: 0 all well, 1 a step or check failed, 2 interrupted or collection
error, 3 internal error, 4 usage error, 5 nothing collected"""


def help_text(extra: Sequence[PluginOption] = (), width: int = 80) -> str:
    """All options in groups, those of plugins last."""
    parts = [HEAD]
    groups: dict[str, list[Flag]] = {title: list(flags) for title, flags in GROUPS}
    for option in extra:
        groups.setdefault(option.group, []).append(option.flag)
    for title, flags in groups.items():
        parts.append("\n".join([f"{title}:", *(line for flag in flags for line in _lines(flag, width))]) + "\n")
    parts.append(TAIL)
    return "\n".join(parts)


def _lines(flag: Flag, width: int) -> list[str]:
    from textwrap import wrap  # only the help needs it

    others = [name for name in flag.names if name != flag.main]
    name = "  " + ", ".join([flag.usage, *others])
    text = wrap(flag.help, max(width - COLUMN, 30)) or [""]
    if len(name) < COLUMN - 1:
        return [name.ljust(COLUMN) + text[0], *(" " * COLUMN + line for line in text[1:])]
    return [name, *(" " * COLUMN + line for line in text)]
