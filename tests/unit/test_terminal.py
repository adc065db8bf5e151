"""What a run looks like on the terminal, compared whole."""

from __future__ import annotations

import io
import os
import sys
import threading

import pytest
from attrs import evolve

from stepcache.config import parse_command
from stepcache.errors import UsageError
from stepcache.model import (
    Definition,
    Failure,
    Node,
    NodeReport,
    Observation,
    Output,
    Parameter,
    Problem,
    Reason,
    RunReport,
    Source,
)
from stepcache.report import figures
from stepcache.report.lists import (
    EntryLine,
    cache_show_lines,
    cleared_line,
    collect_lines,
    dropped_line,
    lost_line,
    markers_lines,
    plan_lines,
    steps_lines,
    total_line,
    verified_lines,
)
from stepcache.report.statusline import Running, StatusLine, long_text, status_text
from stepcache.report.terminal import HeaderFacts, Terminal
from stepcache.report.writer import Writer, columns, rule, wants_color

FILE = "pipeline_flights.py"
FAILURE = Failure("ValueError: bad", "    def model():\n>       fit()\nE       ValueError: bad", f"{FILE}:3")

FLIGHTS = NodeReport(f"{FILE}::flights", "step", "cached", FILE, saved_seconds=12.4)
DELAYS = NodeReport(f"{FILE}::delays", "step", "ran", FILE, 0.2, (Reason("code", "helpers.py::clean"),))
CHECK = NodeReport(f"{FILE}::check_delays", "check", "passed", FILE, 0.01, (Reason("new"),))
MODEL = NodeReport(f"{FILE}::model[3]", "step", "failed", FILE, 0.1, (Reason("new"),), failure=FAILURE)
BEST = NodeReport(f"{FILE}::best", "step", "blocked", FILE, message=f"{FILE}::model[3] failed")


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def show(
    *rows: NodeReport,
    args: str = "",
    report: RunReport | None = None,
    stream: io.StringIO | None = None,
    environ: dict[str, str] | None = None,
) -> str:
    """What is written for a run of *rows*, without header."""
    stream = io.StringIO() if stream is None else stream
    terminal = Terminal(parse_command(args.split(), {}), stream, environ=environ or {}, width=60)
    terminal.collected(len(rows))
    for number, row in enumerate(rows, start=1):
        if row.outcome != "cached":
            terminal.started(row.id)
        terminal.finished(row, number, len(rows))
    report = evolve(report or RunReport(0, 0.31), nodes=rows)
    terminal.summary(report)
    return stream.getvalue()


def at_edge(text: str, percentage: str) -> str:
    """*text* with the percentage where pytest puts it: one column before the edge."""
    return text + percentage.rjust(60 - 1 - len(text))


class TestHeader:
    FACTS = HeaderFacts(
        "0.1.0",
        "3.11.7",
        "1.6.0",
        "/home/ann/project",
        "pyproject.toml",
        ("pipelines",),
        "/home/ann/.cache/stepcache",
        ("arrow-0.1.0", "dask-0.2"),
        "/usr/bin/python3",
    )

    def header(self, args: str, facts: HeaderFacts = FACTS) -> str:
        stream = io.StringIO()
        Terminal(parse_command(args.split(), {}), stream, environ={}, width=80).header(facts)
        return stream.getvalue()

    def test_it_looks_as_pytests(self):
        assert self.header("") == (
            "============================= stepcache run starts =============================\n"
            f"platform {sys.platform} -- Python 3.11.7, stepcache-0.1.0, pluggy-1.6.0\n"
            "rootdir: /home/ann/project\n"
            "configfile: pyproject.toml\n"
            "pipelinepaths: pipelines\n"
            "cache: /home/ann/.cache/stepcache\n"
            "plugins: arrow-0.1.0, dask-0.2\n"
        )

    def test_only_what_there_is(self):
        assert self.header("-v", HeaderFacts("0.1.0", "3.11.7", "1.6.0", "/p", executable="/py")) == (
            "============================= stepcache run starts =============================\n"
            f"platform {sys.platform} -- Python 3.11.7, stepcache-0.1.0, pluggy-1.6.0 -- /py\n"
            "rootdir: /p\n"
        )

    def test_less_of_it(self):
        assert self.header("-q") == ""
        assert self.header("--no-header") == (
            "============================= stepcache run starts =============================\n"
        )


class TestCollected:
    def line(self, *arguments, args: str = "", stream: io.StringIO | None = None) -> str:
        stream = stream or io.StringIO()
        terminal = Terminal(parse_command(args.split(), {}), stream, environ={"NO_COLOR": "1"}, width=60)
        with terminal.collecting():
            pass
        terminal.collected(*arguments)
        return stream.getvalue()

    def test_what_goes_wrong_is_told_on_a_line_of_its_own(self):
        stream = Screen()
        terminal = Terminal(parse_command([], {}), stream, environ={"NO_COLOR": "1"}, width=60)
        with pytest.raises(UsageError), terminal.collecting():
            raise UsageError("no")
        assert stream.getvalue() == "collecting ... \n"

    def test_each_form(self):
        assert self.line(1) == "collected 1 node\n"
        assert self.line(12) == "collected 12 nodes\n"
        assert self.line(12, 2) == "collected 12 nodes / 2 deselected / 10 selected\n"
        assert self.line(0, 0, (Problem("x", "y"),)) == "collected 0 nodes / 1 error\n"
        assert self.line(12, args="-q") == ""

    def test_a_terminal_is_told_before(self):
        assert self.line(3, stream=Screen()) == "collecting ... \rcollected 3 nodes\n"


class TestProgress:
    def test_the_contracts_summary(self):
        """The sample of the contract comes out exactly."""
        rows = (
            evolve(FLIGHTS, saved_seconds=12.4),
            evolve(FLIGHTS, id=f"{FILE}::other", saved_seconds=0.0),
            DELAYS,
            evolve(DELAYS, id=f"{FILE}::more"),
            CHECK,
        )

        assert show(*rows).splitlines() == [
            "collected 5 nodes",
            "",
            at_edge("pipeline_flights.py cc...", "[100%]"),
            "",
            "===== 2 ran, 2 cached, 1 passed in 0.31s (12.4s saved) =====",
        ]

    def test_a_line_a_file_with_the_percentage_at_the_edge(self):
        there = evolve(DELAYS, id="b/pipeline_b.py::x", file="b/pipeline_b.py")

        assert show(FLIGHTS, there, there).splitlines()[1:5] == [
            "",
            at_edge("pipeline_flights.py c", "[ 33%]"),
            at_edge("b/pipeline_b.py ..", "[100%]"),
            "",
        ]

    def test_hits_that_follow_one_another_are_told_by_files(self):
        there = evolve(FLIGHTS, id="b/pipeline_b.py::x", file="b/pipeline_b.py")

        assert show(FLIGHTS, there, FLIGHTS, there, DELAYS, there, FLIGHTS).splitlines()[2:7] == [
            at_edge("pipeline_flights.py cc", "[ 28%]"),
            at_edge("b/pipeline_b.py cc", "[ 57%]"),
            at_edge("pipeline_flights.py .", "[ 71%]"),
            at_edge("b/pipeline_b.py c", "[ 85%]"),
            at_edge("pipeline_flights.py c", "[100%]"),
        ]

    def test_hits_are_told_before_a_node_runs(self):
        stream = io.StringIO()
        terminal = Terminal(parse_command([], {}), stream, width=60, environ={})
        terminal.finished(FLIGHTS, 1, 2)
        terminal.started(DELAYS.id)
        terminal.status.close()
        assert stream.getvalue().endswith("pipeline_flights.py c")

    def test_many_letters_are_broken_at_the_edge(self):
        rows = [FLIGHTS] * 70

        assert show(*rows).splitlines()[2:4] == [
            "pipeline_flights.py " + "c" * 32 + " [ 45%]",
            at_edge("c" * 38, "[100%]"),
        ]

    def test_each_letter(self):
        words = ("cached", "ran", "failed", "blocked", "skipped", "given", "passed", "warned")
        rows = [evolve(FLIGHTS, outcome=word) for word in words]

        assert show(*rows).splitlines()[2].split()[1] == "c.Fbsg.w"

    def test_a_line_a_node_under_v(self):
        assert show(FLIGHTS, DELAYS, MODEL, BEST, args="-v --tb=no -rN").splitlines() == [
            "collected 4 nodes",
            "",
            at_edge("pipeline_flights.py::flights CACHED", "[ 25%]"),
            at_edge("pipeline_flights.py::delays RAN", "[ 50%]"),
            at_edge("pipeline_flights.py::model[3] FAILED", "[ 75%]"),
            at_edge("pipeline_flights.py::best BLOCKED (pipeline_flig...)", "[100%]"),
            "",
            "= 1 failed, 1 blocked, 1 ran, 1 cached in 0.31s (12.4s saved) =",
        ]

    def test_reasons_under_v_and_why(self):
        lines = show(DELAYS, args="-v --why").splitlines()

        assert lines[2] == at_edge("pipeline_flights.py::delays RAN (code: helpers.p...)", "[100%]")
        assert lines[4:7] == [
            "=========================== why ============================",
            "pipeline_flights.py::delays",
            "  code: helpers.py::clean",
        ]

    def test_quietly(self):
        last = "1 ran, 1 cached in 0.31s (12.4s saved)"

        assert show(FLIGHTS, DELAYS, args="-q").splitlines() == [at_edge("c.", "[100%]"), last]
        assert show(FLIGHTS, args="-qq").splitlines() == [at_edge("c", "[100%]")]

    def test_no_percentages_where_steps_write_in_between(self):
        assert show(FLIGHTS, args="-s").splitlines()[2] == "pipeline_flights.py c"

    def test_an_early_end_shows_how_far_it_came(self):
        stream = io.StringIO()
        terminal = Terminal(parse_command([], {}), stream, environ={}, width=60)
        terminal.finished(MODEL, 1, 3)
        terminal.summary(RunReport(1, 0.5, (MODEL,), stopped="stopping after 1 failure"))

        assert stream.getvalue().splitlines()[1] == at_edge("pipeline_flights.py F", "[ 33%]")
        assert "!!!!!!!!!!!!!!!!! stopping after 1 failure !!!!!!!!!!!!!!!!!" in stream.getvalue().splitlines()


class TestSummary:
    def test_a_failure(self):
        row = evolve(MODEL, output=Output("fitting\n", "", "WARNING app:m.py:3 slow"))

        assert show(row, BEST, report=RunReport(1, 0.31)).splitlines()[4:] == [
            "========================= FAILURES =========================",
            "______________ pipeline_flights.py::model[3] _______________",
            "    def model():",
            ">       fit()",
            "E       ValueError: bad",
            "--------------------- Captured stdout ----------------------",
            "fitting",
            "----------------------- Captured log -----------------------",
            "WARNING app:m.py:3 slow",
            "==================== short run summary =====================",
            "FAILED pipeline_flights.py::model[3] - ValueError: bad",
            "BLOCKED pipeline_flights.py::best - pipeline_flights.py::...",
            "=============== 1 failed, 1 blocked in 0.31s ===============",
        ]

    def test_long_reasons_are_whole_on_ci_and_under_vv(self):
        line = "BLOCKED pipeline_flights.py::best - pipeline_flights.py::model[3] failed"

        assert line in show(BEST, environ={"CI": "1"}).splitlines()
        assert line in show(BEST, args="-vv").splitlines()
        assert line not in show(BEST).splitlines()

    def test_a_check_that_only_warns(self):
        row = NodeReport(f"{FILE}::check", "check", "warned", FILE, failure=FAILURE)

        assert show(row).splitlines()[4:] == [
            "====================== WARNED CHECKS =======================",
            "________________ pipeline_flights.py::check ________________",
            "    def model():",
            ">       fit()",
            "E       ValueError: bad",
            "==================== short run summary =====================",
            "WARNED pipeline_flights.py::check - ValueError: bad",
            "==================== 1 warned in 0.31s =====================",
        ]

    def test_tb_line_and_no(self):
        line = evolve(MODEL, failure=Failure("ValueError: bad", "/p/pipeline_flights.py:3: ValueError: bad", ""))

        assert show(line, args="--tb=line -rN").splitlines()[4:-1] == [
            "========================= FAILURES =========================",
            "/p/pipeline_flights.py:3: ValueError: bad",
        ]
        assert "FAILURES" not in show(MODEL, args="--tb=no")
        assert "FAILURES" not in show(MODEL, args="--no-summary")

    def test_collection_errors_are_all_told_whole(self):
        problems = (
            Problem("pipeline_a.py", "pipeline_a.py:3: step 'b' wants 'rowz'\n  did you mean 'rows'?"),
            Problem("pipeline_b.py", "pipeline_b.py:1: SyntaxError: invalid syntax"),
        )
        stream = io.StringIO()
        terminal = Terminal(parse_command([], {}), stream, environ={}, width=60)
        terminal.collected(0, 0, problems)
        terminal.summary(RunReport(2, 0.05, (), problems))

        assert stream.getvalue().splitlines() == [
            "collected 0 nodes / 2 errors",
            "",
            "========================== ERRORS ==========================",
            "______________ ERROR collecting pipeline_a.py ______________",
            "pipeline_a.py:3: step 'b' wants 'rowz'",
            "  did you mean 'rows'?",
            "______________ ERROR collecting pipeline_b.py ______________",
            "pipeline_b.py:1: SyntaxError: invalid syntax",
            "==================== short run summary =====================",
            "ERROR pipeline_a.py - pipeline_a.py:3: step 'b' wants 'rowz'",
            "ERROR pipeline_b.py - pipeline_b.py:1: SyntaxError: inval...",
            "!!!!!!!!! Interrupted: 2 errors during collection !!!!!!!!!!",
            "==================== 2 errors in 0.05s =====================",
        ]

    def test_warnings_of_one_text_stand_together(self):
        warned = Output(warnings=("a.py:3: UserWarning: careful\n  warn()",))
        rows = (evolve(DELAYS, output=warned), evolve(DELAYS, id=f"{FILE}::x", output=warned))
        old = evolve(FLIGHTS, output=Output(warnings=("an old one",)))

        assert show(old, *rows, report=RunReport(0, 0.3, warnings=("the cache is off",))).splitlines()[4:] == [
            "===================== warnings summary =====================",
            "the cache is off",
            "",
            "pipeline_flights.py::delays",
            "pipeline_flights.py::x",
            "  a.py:3: UserWarning: careful",
            "    warn()",
            "",
            "==== 2 ran, 1 cached, 3 warnings in 0.30s (12.4s saved) ====",
        ]

    def test_output_of_hits_under_r_a(self):
        told = evolve(FLIGHTS, output=Output("read 3\n", "", "", ("be careful",)))
        warned = NodeReport(f"{FILE}::check", "check", "warned", FILE, output=Output("shown elsewhere"))
        lines = show(told, DELAYS, warned, args="-rA").splitlines()

        assert lines[4:-1] == [
            "========================== OUTPUT ==========================",
            "__________ pipeline_flights.py::flights (cached) ___________",
            "--------------------- Captured stdout ----------------------",
            "read 3",
            "--------------------- Stored warnings ----------------------",
            "be careful",
            "==================== short run summary =====================",
            "RAN pipeline_flights.py::delays",
            "CACHED pipeline_flights.py::flights",
            "WARNED pipeline_flights.py::check",
        ]

    def test_notices(self):
        notice = f"{FILE}::delays may read what was not seen (network): declare reads=, expires= or enable_cache=False"

        assert show(DELAYS, report=RunReport(0, 0.3, notices=(notice, notice))).splitlines()[4:-1] == [
            "========================= notices ==========================",
            notice,
        ]

    def test_durations(self):
        rows = (FLIGHTS, DELAYS, CHECK, evolve(DELAYS, id=f"{FILE}::quick", seconds=0.001))

        assert show(*rows, args="--durations=0").splitlines()[4:-1] == [
            "==================== slowest durations =====================",
            "0.20s ran      pipeline_flights.py::delays",
            "0.01s passed   pipeline_flights.py::check_delays",
            "",
            "(1 durations < 0.005s hidden.  Use -vv to show these durations.)",
        ]
        assert show(*rows, args="--durations=1").splitlines()[4:-1] == [
            "=================== slowest 1 durations ====================",
            "0.20s ran      pipeline_flights.py::delays",
        ]

    def test_why_with_what_was_observed(self):
        row = evolve(
            DELAYS,
            observations=(
                Observation("file", "root:data/a.csv", "1", "data/a.csv"),
                Observation("env", "REGION", "2", "REGION"),
                Observation("dir", "root:data", "2", "data"),
            ),
        )

        assert show(row, FLIGHTS, args="--why -v").splitlines()[5:-1] == [
            "=========================== why ============================",
            "pipeline_flights.py::delays",
            "  code: helpers.py::clean",
            "  observed:",
            "    env: REGION",
            "    file: data/a.csv",
            "    listing: data",
        ]

    @pytest.mark.parametrize(
        ("report", "line"),
        [
            (RunReport(5, 0.0), "======================= no nodes ran in 0.00s ======================"),
            (RunReport(0, 75.5, deselected=2), "= 2 deselected in 75.50s (0:01:15) ="),
        ],
    )
    def test_other_last_lines(self, report: RunReport, line: str):
        assert show(report=report).splitlines()[-1].strip("= ") == line.strip("= ")

    def test_the_order_of_the_words(self):
        words = ("unknown", "would-run", "skipped", "warned", "passed", "cached", "given", "ran", "blocked", "failed")
        rows = [evolve(FLIGHTS, outcome=word, saved_seconds=0.0) for word in words]
        report = RunReport(1, 1.0, (), (Problem("x", "y"),), ("w",), deselected=3)

        assert show(*rows, args="-q --continue-on-collection-errors", report=report).splitlines()[-1] == (
            "1 failed, 1 blocked, 1 ran, 1 given, 1 cached, 1 passed, 1 warned, 1 skipped, 1 would-run, 1 unknown, "
            "3 deselected, 1 warning, 1 error in 1.00s"
        )

    @pytest.mark.parametrize(
        ("nodes", "report", "line"),
        [
            (3, RunReport(0, 0.1), "3 nodes collected in 0.10s"),
            (1, RunReport(0, 0.1), "1 node collected in 0.10s"),
            (3, RunReport(0, 0.1, deselected=1), "2/3 nodes collected (1 deselected) in 0.10s"),
            (3, RunReport(5, 0.1, deselected=3), "no nodes collected (3 deselected) in 0.10s"),
            (0, RunReport(5, 0.1), "no nodes collected in 0.10s"),
        ],
    )
    def test_collect_only(self, nodes: int, report: RunReport, line: str):
        stream = io.StringIO()
        terminal = Terminal(parse_command(["--co"], {}), stream, environ={}, width=60)
        terminal.collected(nodes, report.deselected)
        terminal.listing(["<File a>"])
        terminal.summary(report)

        assert stream.getvalue().splitlines()[1:4] == ["", "<File a>", ""]
        assert stream.getvalue().splitlines()[-1].strip("= ") == line

    def test_collect_only_quietly_is_nothing_but_ids(self):
        stream = io.StringIO()
        terminal = Terminal(parse_command(["--co", "-q"], {}), stream, environ={}, width=60)
        terminal.collected(1)
        terminal.listing(["a.py::b"])
        terminal.summary(RunReport(0, 0.1))

        assert stream.getvalue() == "a.py::b\n"


class TestColors:
    def test_only_where_they_are_wanted(self):
        assert "\x1b" not in show(MODEL, args="--why")
        assert "\x1b" not in show(MODEL, args="--color=no", stream=Screen())
        assert "\x1b[31mF\x1b[0m" in show(MODEL, stream=Screen())
        assert "\x1b[31mF\x1b[0m" in show(MODEL, args="--color=yes")

    def test_the_last_line_is_as_wide_with_colors(self):
        import re

        plain = show(FLIGHTS, DELAYS).splitlines()[-1]
        colored = show(FLIGHTS, DELAYS, args="--color=yes").splitlines()[-1]

        assert colored != plain
        assert re.sub("\x1b\\[\\d+m", "", colored) == plain

    @pytest.mark.parametrize(
        ("choice", "environ", "terminal", "expected"),
        [
            ("auto", {}, True, True),
            ("auto", {}, False, False),
            ("auto", {"NO_COLOR": "1"}, True, False),
            ("auto", {"FORCE_COLOR": "1"}, False, True),
            ("auto", {"PY_COLORS": "1", "NO_COLOR": "1"}, False, True),
            ("auto", {"PY_COLORS": "0"}, True, False),
            ("auto", {"TERM": "dumb"}, True, False),
            ("yes", {"NO_COLOR": "1"}, False, True),
            ("no", {"FORCE_COLOR": "1"}, True, False),
        ],
    )
    def test_who_decides(self, choice: str, environ: dict[str, str], terminal: bool, expected: bool):
        assert wants_color(choice, Screen() if terminal else io.StringIO(), environ) is expected


class TestStatusLine:
    def line(self, *, on_terminal: bool) -> tuple[io.StringIO, Writer, StatusLine, list[float]]:
        stream, now = io.StringIO(), [100.0]
        writer = Writer(stream, width=60, color=False)
        return stream, writer, StatusLine(writer, on_terminal=on_terminal, clock=lambda: now[0]), now

    def test_what_runs_and_for_how_long(self):
        running = [Running("a.py::b", 99.8, None), Running("a.py::c", 88.0, 310.0), Running("a.py::d", 90.0, None)]

        assert status_text(running, 100.0) == "running: a.py::c 12.0s (5m 10s last time), a.py::d 10.0s"
        mapped = Running("a.py::c", 88.0, 310.0, (1200, 10_000))
        assert (
            status_text([mapped], 100.0) == "running: a.py::c 12.0s, 1,200 of 10,000 elements done (5m 10s last time)"
        )
        assert status_text(running[:1], 100.0) == ""
        waiting = Running("a.py::c", 88.0, elsewhere=True)
        assert status_text([waiting], 100.0) == "running: a.py::c 12.0s (another run computes it)"
        assert long_text(waiting, 149.0) == "a.py::c has waited 1m 01s for another run that computes it"

    def test_it_is_drawn_below_and_taken_away_before_other_output(self):
        stream, writer, status, now = self.line(on_terminal=True)
        writer.write("pipeline_a.py c")
        status.started("a.py::b")
        now[0] += 3
        status.draw()
        writer.write(".")
        status.close()

        assert stream.getvalue() == "pipeline_a.py c\nrunning: a.py::b 3.0s\r\x1b[K\x1b[A\x1b[16G."

    def test_nothing_at_all_if_everything_is_quick(self):
        for on_terminal in (True, False):
            stream, _, status, now = self.line(on_terminal=on_terminal)
            status.started("a.py::b")
            now[0] += 0.3
            status.draw()
            status.finished("a.py::b")
            status.close()

            assert stream.getvalue() == ""

    def test_elsewhere_a_line_a_minute(self):
        stream, _, status, now = self.line(on_terminal=False)
        status.started("a.py::b", 310.0)
        for _ in range(150):
            now[0] += 1
            status.draw()
            if now[0] == 180:
                status.progressed("a.py::b", 3, 5)
        status.progressed("a.py::hit", 5, 5)
        status.close()

        assert stream.getvalue() == (
            "a.py::b has been running for 1m 00s; it took 5m 10s last time\n"
            "a.py::b has been running for 2m 00s, 3 of 5 elements done; it took 5m 10s last time\n"
        )
        assert long_text(Running("x", 0.0, None), 61.0) == "x has been running for 1m 01s"

    def test_no_thread_is_left_over_a_fork(self, monkeypatch: pytest.MonkeyPatch):
        """A thread of ours would have Python warn of the fork, and the step would be blamed."""
        others = set(threading.enumerate())
        _, _, status, _ = self.line(on_terminal=True)
        status.started("a.py::b")
        at_fork: list[set[threading.Thread]] = []
        stop = StatusLine.stop_thread
        monkeypatch.setattr(
            StatusLine, "stop_thread", lambda line: (stop(line), line is status and at_fork.append(own_threads()))
        )

        def own_threads() -> set[threading.Thread]:
            return set(threading.enumerate()) - others

        assert len(own_threads()) == 1
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        monkeypatch.undo()
        after = own_threads()
        status.close()

        assert at_fork == [set()]
        assert (len(after), own_threads() & after) == (1, set())


class TestLists:
    @staticmethod
    def definition(name: str, line: int, doc: str = "", kind: str = "step", parameters: tuple = ()) -> Definition:
        return Definition(kind, name, len, Source(FILE, f"/p/{FILE}", line), "m", parameters, doc=doc)  # type: ignore[arg-type]

    def test_nodes(self):
        step = self.definition("model", 3, "Fit.\n\n    Slowly.")
        nodes = [
            Node(f"{FILE}::model[3]", "step", "model", f"{FILE}::model", FILE, step, variant="3"),
            Node("b/pipeline_b.py::check_x", "check", "check_x", "", "b/pipeline_b.py", self.definition("c", 1)),
        ]

        assert collect_lines(nodes) == [
            "<File pipeline_flights.py>",
            "  <Step model[3]>",
            "<File b/pipeline_b.py>",
            "  <Check check_x>",
        ]
        assert collect_lines(nodes, -1) == ["pipeline_flights.py::model[3]", "b/pipeline_b.py::check_x"]
        assert collect_lines(nodes, -2) == ["pipeline_flights.py: 1", "b/pipeline_b.py: 1"]
        assert collect_lines(nodes[:1], 1)[2:] == ["    Fit.", "", "    Slowly."]

    def test_steps(self):
        definitions = [
            self.definition("model", 12, "Fit.\n\nSlowly.", parameters=(Parameter("delays"), Parameter("seed", 0))),
            self.definition("delays", 5),
            self.definition("db", 20, "A connection.", "resource"),
            self.definition("check_x", 30, "", "check"),
            self.definition("_hidden", 40),
        ]

        assert steps_lines(definitions, width=60) == [
            "",
            "----------- steps defined in pipeline_flights.py -----------",
            "delays -- pipeline_flights.py:5",
            "    no docstring available",
            "",
            "model -- pipeline_flights.py:12",
            "    Fit.",
            "",
            "db [resource] -- pipeline_flights.py:20",
            "    A connection.",
            "",
        ]
        assert steps_lines(definitions[:1], verbosity=1, width=60)[2:] == [
            "model -- pipeline_flights.py:12",
            "    Fit.",
            "",
            "    Slowly.",
            "    takes: delays",
            "    settings: seed",
            "",
        ]

    def test_marks(self):
        assert markers_lines({"slow": "takes long", "skip(reason)": "leave it out", "bare": ""}) == [
            "@mark.slow: takes long",
            "",
            "@mark.skip(reason): leave it out",
            "",
            "@mark.bare:",
            "",
        ]

    def test_the_plan(self):
        rows = [
            FLIGHTS,
            evolve(DELAYS, outcome="would-run"),
            evolve(FLIGHTS, outcome="unknown", id="x::y", message="z"),
        ]

        assert plan_lines(rows) == [
            "cached    pipeline_flights.py::flights",
            "would-run pipeline_flights.py::delays",
            "            code: helpers.py::clean",
            "unknown   x::y (z)",
        ]

    def test_entries(self):
        entries = [
            EntryLine("a.py::b", 100, 90, 30, 20, 0.5),
            EntryLine("pipeline_flights.py::delays", 812345, 90211, 7500, 190, 12.4),
        ]

        assert cache_show_lines(entries, "stored") == [
            "node                              size    stored     age  last used  saves",
            "pipeline_flights.py::delays  793.3 KiB  88.1 KiB  2h 05m     3m 10s  12.4s",
            "a.py::b                          100 B      90 B   30.0s      20.0s   0.5s",
        ]
        assert total_line(2, 812445, 90301, 12.9) == "2 entries, 793.4 KiB (88.2 KiB on disk), saving 12.9s"
        assert lost_line(1, 2048, 1024, 75.0) == (
            "--cache-clear would lose 1 entry, 2.0 KiB (1.0 KiB on disk), which took 1m 15s to make"
        )
        assert lost_line(0, 0, 0, 0.0) == "--cache-clear would lose none of them: other projects use them too"

    @pytest.mark.parametrize(
        ("column", "order"),
        [("node", "abc"), ("size", "cba"), ("stored", "bac"), ("age", "acb"), ("used", "cab"), ("saves", "bca")],
    )
    def test_entries_sorted_by_a_column(self, column, order):
        entries = [
            EntryLine("a", size=1, stored=2, age=9, idle=5, seconds=0),
            EntryLine("b", size=2, stored=3, age=7, idle=1, seconds=9),
            EntryLine("c", size=3, stored=None, age=8, idle=8, seconds=4),
        ]

        lines = cache_show_lines(entries, column)

        assert "".join(line[0] for line in lines[1:]) == order
        assert [line.split()[3] for line in lines if line[0] == "c"] == ["gone"]

    def test_what_the_cache_flags_did(self):
        assert cleared_line(0, 0, 0, 0.0) == "cache: nothing to clear"
        assert cleared_line(1, 2048, 1024, 75.0) == (
            "cache: cleared 1 entry, 2.0 KiB (1.0 KiB on disk), which took 1m 15s to make"
        )
        assert dropped_line(3, 2048, 0) == "cache: dropped 3 entries, 2.0 KiB; 0 B left"
        assert verified_lines(3, ()) == ["cache: 3 entries checked, none damaged"]
        assert verified_lines(3, ("a::b",)) == ["cache: 3 entries checked, 1 damaged and dropped:", "  a::b"]


class TestReasons:
    @pytest.mark.parametrize(
        ("reason", "text"),
        [
            (Reason("code", "helpers.py::clean"), "code: helpers.py::clean"),
            (Reason("setting", "lr", 0.1, 0.2, True), "setting: lr 0.1 -> 0.2"),
            (Reason("setting", "on", None, True, True), "setting: on None -> True"),
            (Reason("setting", "region"), "setting: region changed"),
            (Reason("input", "features"), "input: features"),
            (Reason("file", "data/flights.csv"), "file: data/flights.csv"),
            (Reason("env", "REGION"), "env: REGION"),
            (Reason("package", "pandas", "3.1.0", "3.1.1", True), "package: pandas 3.1.0 -> 3.1.1"),
            (Reason("package", "pandas", None, "3.1.1", True), "package: pandas 3.1.1 is new"),
            (Reason("package", "pandas", "3.1.1", None, True), "package: pandas 3.1.1 is gone"),
            (Reason("package", "pandas", "3.1.1", "3.1.1", True), "package: pandas 3.1.1 installed anew"),
            (Reason("python", "", "3.11", "3.12", True), "python: 3.11 -> 3.12"),
            (Reason("version"), "version: changed"),
            (Reason("expired"), "expired"),
            (Reason("new"), "new"),
            (Reason("off"), "cache off"),
            (Reason("refresh"), "refresh"),
            (Reason("damaged"), "damaged"),
            (Reason("foreign"), "foreign"),
            (Reason("evicted"), "evicted"),
            (Reason("unstored", "features"), "unstored: features"),
        ],
    )
    def test_each_form(self, reason: Reason, text: str):
        assert str(reason) == text


class TestFigures:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "0.0s"), (12.44, "12.4s"), (59.94, "59.9s"), (59.96, "1m 00s"), (310, "5m 10s"), (3599.6, "1h 00m"),
         (7500, "2h 05m"), (90000, "1d 01h")],
    )  # fmt: skip
    def test_time(self, seconds: float, text: str):
        assert figures.time(seconds) == text

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.314, "0.31s"), (75.5, "75.50s (0:01:15)"), (90061, "90061.00s (1 day, 1:01:01)")]
    )
    def test_duration(self, seconds: float, text: str):
        assert figures.duration(seconds) == text

    @pytest.mark.parametrize(
        ("count", "text"),
        [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**2 - 1, "1.0 MiB"), (5 * 2**50, "5120.0 TiB")],
    )  # fmt: skip
    def test_size(self, count: int, text: str):
        assert figures.size(count) == text


class TestWriter:
    def test_rules(self):
        assert rule("=", "", 10) == "=========="
        assert rule("=", "ab", 10) == "=== ab ==="
        assert rule("=", "abc", 10) == "== abc ==="
        assert rule("=", "a" * 20, 10) == "= " + "a" * 20 + " ="

    def test_columns(self):
        assert [columns(text) for text in ("abc", "日本", "e\u0301", "\u200b")] == [3, 4, 1, 0]

    def test_what_the_stream_cannot_encode(self):
        raw = io.BytesIO()
        writer = Writer(io.TextIOWrapper(raw, "ascii"), width=60, color=False)
        writer.line("näh")
        writer.flush()

        assert raw.getvalue() == b"n\\xe4h\n"
