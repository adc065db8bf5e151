"""Every option of the command, in one table: its names, what it takes, where it goes, and its line in the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from stepcache.config import values
from stepcache.records import frozen

Takes = Literal["nothing", "value", "values", "optional", "count"]


@frozen(eq=False)
class Flag:
    """One option.

    `takes` says what follows it: "nothing" (then `sets` goes to `dest`), a "value", one of several "values" (it may
    be repeated), an "optional" value (only after `=`), or nothing but it counts (`sets` is added to `dest`).
    `convert` gets the text and the spelling that was used, and raises ValueError with what was expected.
    """

    names: tuple[str, ...]
    dest: str
    help: str
    takes: Takes = "nothing"
    sets: object = True
    metavar: str = ""
    convert: Callable[[str], object] = str

    @property
    def main(self) -> str:
        """The name that the help puts first."""
        return self.names[0]

    @property
    def usage(self) -> str:
        """The option as it is written with its value, such as `-k EXPRESSION`."""
        if self.takes == "optional":
            return f"{self.main}[={self.metavar}]"
        if self.metavar:
            return f"{self.main}={self.metavar}" if self.main.startswith("--") else f"{self.main} {self.metavar}"
        return self.main


GROUPS: tuple[tuple[str, tuple[Flag, ...]], ...] = (
    (
        "selection",
        (
            Flag(
                ("-k",),
                "keyword",
                "only nodes whose name, variant id or marks match, e.g. -k 'model and not 5'; case does not count",
                "value",
                metavar="EXPRESSION",
            ),
            Flag(
                ("-m",),
                "markexpr",
                "only nodes with these marks, e.g. -m 'slow and not gpu(count=2)'",
                "value",
                metavar="MARKEXPR",
            ),
            Flag(("--lf", "--last-failed"), "lf", "only what failed in the last run and what that blocked"),
            Flag(("--ff", "--failed-first"), "ff", "everything, with what failed in the last run first"),
            Flag(("--ignore",), "ignore", "a path to pass over when collecting (repeatable)", "values", metavar="PATH"),
            Flag(
                ("--deselect",),
                "deselect",
                "a node id, or a file or folder that ids start with, not to be run (repeatable)",
                "values",
                metavar="NODE",
            ),
            Flag(("--checks-only",), "checks_only", "only the checks, and what they need"),
            Flag(("--no-checks",), "no_checks", "leave out all checks"),
            Flag(
                ("--continue-on-collection-errors",),
                "continue_on_collection_errors",
                "run what could be collected in spite of errors",
            ),
        ),
    ),
    (
        "running",
        (
            Flag(
                ("-P", "--param"),
                "params",
                "set a setting, everywhere or of one step (repeatable)",
                "values",
                metavar="[STEP.]NAME=VALUE",
                convert=values.parameter,
            ),
            Flag(
                ("--profile",),
                "profile",
                "use the settings in profile.NAME.params of the configuration",
                "value",
                metavar="NAME",
            ),
            Flag(("-x", "--exitfirst"), "maxfail", "stop at the first failure", sets=1),
            Flag(
                ("--maxfail",),
                "maxfail",
                "stop after that many failures",
                "value",
                metavar="NUM",
                convert=values.whole_number,
            ),
            Flag(
                ("-n",),
                "workers",
                "run that many nodes at once, in processes of their own (auto: one for each processor)",
                "value",
                metavar="NUM|auto",
                convert=values.workers,
            ),
            Flag(
                ("--executor",),
                "executor",
                "what runs the nodes: inline (this process), process, or one of a plugin",
                "value",
                metavar="NAME",
            ),
            Flag(
                ("--slots",),
                "slots",
                "how much there is of something that steps take by slots=, e.g. gpu=2 (repeatable; else 1)",
                "values",
                metavar="NAME=NUM",
                convert=values.slots,
            ),
            Flag(
                ("--capture",),
                "capture",
                "how output is captured: fd, sys or no",
                "value",
                metavar="METHOD",
                convert=values.one_of("fd", "sys", "no"),
            ),
            Flag(("-s",), "capture", "the same as --capture=no", sets="no"),
            Flag(
                ("-W", "--pythonwarnings"),
                "warnings",
                "a warning filter, as Python's -W (repeatable)",
                "values",
                metavar="FILTER",
                convert=values.warning_filter,
            ),
            Flag(("--pdb",), "pdb", "open a debugger where a step or check fails"),
            Flag(
                ("--replay",),
                "replay",
                "run a node that failed in the last run again, with the very values that it was given",
                "value",
                metavar="NODE",
            ),
            Flag(("--watch",), "watch", "run again whenever something changes that the last run depended on"),
            Flag(
                ("--check-determinism",),
                "check_determinism",
                "run each selected step twice more, in fresh processes, and name those that give two values",
            ),
            Flag(("--force-save",), "force_save", "write the files of save_to=, over those that were edited as well"),
            Flag(
                ("--log-level",),
                "log_level",
                "capture log records from this level on",
                "value",
                metavar="LEVEL",
                convert=values.log_level,
            ),
            Flag(
                ("--log-cli-level",),
                "log_cli_level",
                "show log records from this level on as they come",
                "value",
                metavar="LEVEL",
                convert=values.log_level,
            ),
        ),
    ),
    (
        "instead of running",
        (
            Flag(("--collect-only", "--co"), "collect_only", "show the nodes; with -q one id a line"),
            Flag(("--plan",), "plan", "show what would run, and why"),
            Flag(("--steps",), "steps", "show the steps and resources that can be asked for"),
            Flag(("--markers",), "markers", "show the marks that are known"),
            Flag(("-V", "--version"), "version", "show the version"),
            Flag(("-h", "--help"), "help", "show this"),
        ),
    ),
    (
        "cache",
        (
            Flag(
                ("--cache",),
                "cache",
                "on: use it whatever steps and pipelines say; off; readonly: use hits, write nothing",
                "value",
                metavar="on|off|readonly",
                convert=values.one_of("on", "off", "readonly"),
            ),
            Flag(("--no-cache",), "cache", "the same as --cache=off: neither read nor write", sets="off"),
            Flag(
                ("--cache-clear",), "cache_clear", "first remove this project's entries (those of the selected nodes)"
            ),
            Flag(
                ("--cache-refresh",),
                "cache_refresh",
                "run all, or what the expression names, without reading; store it",
                "optional",
                metavar="EXPRESSION",
            ),
            Flag(("--fail-on-miss",), "fail_on_miss", "run nothing; fail if something would run, and name it"),
            Flag(
                ("--cache-show",),
                "cache_show",
                "list this project's entries, and run nothing",
                "optional",
                metavar="GLOB",
            ),
            Flag(
                ("--cache-sort",),
                "cache_sort",
                "the column that --cache-show sorts by, the most first: node, size, stored, age, used or saves",
                "value",
                metavar="COLUMN",
                convert=values.one_of("node", "size", "stored", "age", "used", "saves"),
            ),
            Flag(
                ("--cache-gc",),
                "cache_gc",
                "drop what nothing refers to, and old entries down to SIZE, e.g. 5GiB",
                "optional",
                metavar="SIZE",
                convert=values.size,
            ),
            Flag(("--cache-verify",), "cache_verify", "read and check every entry; drop and name the damaged"),
            Flag(("--cache-dir",), "cache_dir", "the folder of the cache", "value", metavar="DIR"),
        ),
    ),
    (
        "reporting",
        (
            Flag(("-v", "--verbose"), "verbosity", "say more (repeatable)", "count", sets=1),
            Flag(("-q", "--quiet"), "verbosity", "say less (repeatable)", "count", sets=-1),
            Flag(("--why",), "why", "for each node that ran, what was different; with -v all that was observed"),
            Flag(
                ("-r", "--report-chars"),
                "reportchars",
                "lines at the end: (f)ailed, (E)rrors, (b)locked, (s)kipped, (g)iven, (c)ached, (p)assed and ran, "
                "(P) their output, (a)ll but cpP, (A)ll, (w)arnings, (N)one",
                "value",
                metavar="CHARS",
                convert=values.report_chars,
            ),
            Flag(
                ("--tb",),
                "tb",
                "how tracebacks look: auto, long, short, line, native or no",
                "value",
                metavar="STYLE",
                convert=values.one_of("auto", "long", "short", "line", "native", "no"),
            ),
            Flag(("-l", "--showlocals"), "showlocals", "show local variables in tracebacks"),
            Flag(
                ("--durations",),
                "durations",
                "show the NUM slowest nodes (0: all)",
                "value",
                metavar="NUM",
                convert=values.whole_number,
            ),
            Flag(
                ("--color",),
                "color",
                "yes, no or auto",
                "value",
                metavar="WHEN",
                convert=values.one_of("yes", "no", "auto"),
            ),
            Flag(("--no-header",), "no_header", "leave out the header"),
            Flag(("--no-summary",), "no_summary", "leave out the summary"),
            Flag(("--json",), "json", "write a report for programs (-: to standard output)", "value", metavar="PATH"),
            Flag(
                ("--junitxml", "--junit-xml"),
                "junitxml",
                "write a report for CI servers, as pytest does",
                "value",
                metavar="PATH",
            ),
            Flag(
                ("--graph",),
                "graph",
                "draw the nodes and what they take: an .svg, .dot or .mmd file",
                "value",
                metavar="PATH",
                convert=values.graph_path,
            ),
        ),
    ),
    (
        "configuration",
        (
            Flag(
                ("-c", "--config-file"),
                "config_file",
                "read this configuration, whatever else there is",
                "value",
                metavar="FILE",
            ),
            Flag(
                ("-o", "--override-ini"),
                "overrides",
                "override a key of the configuration (repeatable)",
                "values",
                metavar="KEY=VALUE",
                convert=values.override,
            ),
            Flag(("--rootdir",), "rootdir", "the root directory of the project", "value", metavar="DIR"),
            Flag(
                ("-p",),
                "plugins",
                "load a plugin, or with no:NAME leave one out (repeatable)",
                "values",
                metavar="NAME",
                convert=values.plugin,
            ),
            Flag(("--strict-markers",), "strict_markers", "refuse marks that are not registered"),
            Flag(("--strict-config",), "strict_config", "accepted for pytest's sake: unknown keys are always refused"),
            Flag(("--trace-config",), "trace_config", "show the plugins and where each comes from"),
        ),
    ),
)

FLAGS: dict[str, Flag] = {name: flag for _, flags in GROUPS for flag in flags for name in flag.names}

# What pytest and others call something that has another name here.
ELSEWHERE: dict[str, str] = {
    "--fixtures": "--steps",
    "--funcargs": "--steps",
    "--fixtures-per-test": "--plan",
    "--setup-show": "--plan",
    "--setup-plan": "--plan",
    "--setup-only": "--plan",
    "--setuponly": "--plan",
    "--setupshow": "--plan",
    "--setupplan": "--plan",
    "--collectonly": "--collect-only",
    "--marks": "--markers",
    "--dry-run": "--plan",
    "--explain": "--why",
    "--force": "--cache-refresh",
    "--verbosity": "-v",
}
