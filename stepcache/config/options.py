"""What a command line says: one frozen object for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory

from stepcache.records import frozen

Capture = Literal["fd", "sys", "no"]
TracebackStyle = Literal["auto", "long", "short", "line", "native", "no"]
CacheMode = Literal["on", "off", "readonly"]
Color = Literal["yes", "no", "auto"]
CacheColumn = Literal["node", "size", "stored", "age", "used", "saves"]


@frozen(eq=False)
class Options:
    """Every option of the command, with its default.

    `args` are the files, directories and node ids; `verbosity` counts each -v up and each -q down; `maxfail` is 0
    without a limit; `workers` is how many nodes run at once, None where it was not said; `durations` is 0 for all and
    None for no table; `log_level` and `log_cli_level` are numbers of `logging`. `cache` is None where no flag was
    given, which tells `--cache=on` from the default. An option with an optional value (`cache_refresh`, `cache_show`,
    `cache_gc`) is None when absent and True when it came without a value. `plugin_options` holds the options of
    plugins by their `dest`.
    """

    args: tuple[str, ...] = ()

    keyword: str = ""
    markexpr: str = ""
    deselect: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    lf: bool = False
    ff: bool = False
    checks_only: bool = False
    no_checks: bool = False
    continue_on_collection_errors: bool = False

    params: tuple[tuple[str, str], ...] = ()
    profile: str | None = None
    maxfail: int = 0
    workers: int | None = None
    executor: str | None = None
    slots: tuple[tuple[str, int], ...] = ()
    capture: Capture = "fd"
    warnings: tuple[str, ...] = ()
    log_level: int | None = None
    log_cli_level: int | None = None
    force_save: bool = False
    pdb: bool = False
    replay: str | None = None
    watch: bool = False
    check_determinism: bool = False

    collect_only: bool = False
    plan: bool = False
    why: bool = False
    steps: bool = False
    markers: bool = False

    cache: CacheMode | None = None
    cache_clear: bool = False
    cache_refresh: str | Literal[True] | None = None
    fail_on_miss: bool = False
    cache_show: str | Literal[True] | None = None
    cache_sort: CacheColumn = "stored"
    cache_gc: int | Literal[True] | None = None
    cache_verify: bool = False
    cache_dir: str | None = None

    verbosity: int = 0
    showlocals: bool = False
    reportchars: str = "fEbw"
    tb: TracebackStyle = "auto"
    durations: int | None = None
    color: Color = "auto"
    no_header: bool = False
    no_summary: bool = False
    json: str | None = None
    junitxml: str | None = None
    graph: str | None = None

    config_file: str | None = None
    overrides: tuple[str, ...] = ()
    rootdir: str | None = None
    plugins: tuple[str, ...] = ()
    strict_markers: bool = False
    strict_config: bool = False
    trace_config: bool = False
    version: bool = False
    help: bool = False

    plugin_options: Mapping[str, object] = Factory(dict)

    @property
    def exitfirst(self) -> bool:
        """Whether the first failure ends the run."""
        return self.maxfail == 1

    @property
    def no_cache(self) -> bool:
        """Whether the run neither reads nor writes the cache."""
        return self.cache == "off"
