"""Failed checks, told by pytest: one child runs those of a run once more, with the values that they were given.

The child has pytest's assertion rewriting, so that its text shows the values that were compared, with their
differences, helpers in other modules included. Where a check passes there, or the child dies, what is known without it
stays. Nothing of this is loaded when all checks pass.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, evolve

from stepcache.execution.values import Held
from stepcache.model import Miss, NodeReport, RunReport
from stepcache.state import Session

# The styles of --tb that pytest's text can take the place of.
_STYLES = ("auto", "long", "short", "line")

# How many more elements failed, at the end of a summary.
_MORE = re.compile(r" \(and \d+ more elements?\)$")

# The child may take this many seconds, and several times what the checks took.
_PATIENCE = 60.0


def introspected(session: Session, report: RunReport) -> RunReport:
    """*report* with the failures of its checks as pytest tells them."""
    failed = [row for row in report.nodes if _is_for_pytest(row)]
    if not failed or session.options.tb not in _STYLES:
        return report
    with tempfile.TemporaryDirectory(prefix="stepcache-", ignore_cleanup_errors=True) as folder:
        checks = dict(_written(session, failed, folder))
        told = _told(session, checks, folder, sum(row.seconds for row in failed)) if checks else {}
    return evolve(report, nodes=tuple(_retold(row, told.get(row.id), session.options.tb) for row in report.nodes))


def _is_for_pytest(row: NodeReport) -> bool:
    """Did an assertion of a check fail? Any other exception says all that there is to say."""
    if row.kind != "check" or row.failure is None:
        return False
    if row.failure.exception is None:  # it stayed in a worker
        return row.failure.summary.startswith("assert") or row.failure.summary.startswith("AssertionError")
    return isinstance(row.failure.exception, AssertionError)


def _retold(row: NodeReport, told: Mapping[str, str] | None, style: str) -> NodeReport:
    if told is None or row.failure is None:
        return row
    text = "\n".join(line.rstrip() for line in told["text"].splitlines())
    summary = told["summary"]
    if row.elements is not None:  # the child tells of the first element that failed
        element, more = row.failure.text.partition("\n")[0], _MORE.search(row.failure.summary)
        text = f"{element}\n{text}"
        summary = f"{element} {summary}{more.group() if more else ''}"
    elif style not in ("short", "line"):
        text = f"\n{text}"
    if style == "line" and row.elements is not None:
        text = row.failure.text
    elif style == "line":
        text = row.failure.text.removesuffix(row.failure.summary) + summary
    return evolve(row, failure=evolve(row.failure, text=text, summary=summary))


def _written(session: Session, failed: list[NodeReport], folder: str) -> Iterator[tuple[str, Any]]:
    """What the child is told of each check by its id: how it is asked for, and where the values that it takes lie."""
    assert session.engine is not None
    for row in failed:
        work = session.engine.work(session.graph.nodes[row.id], Miss("", ()))
        asked = _asked(session, row.id)
        values = [product for product in work.inputs.values() if not isinstance(product, Held)]
        if asked is None or len(values) < len(work.inputs):
            continue  # a value that exists in this process only, or a file that no argument can name
        for value in values:
            for each in value.contents:
                data = session.shelf.loose(each)
                if data is not None:
                    Path(folder, each.digest).write_bytes(data)
        yield row.id, {"asked": asked, "inputs": {node: asdict(v) for node, v in work.inputs.items()}}


def _asked(session: Session, node_id: str) -> str | None:
    """The node's id as an argument, whose path is relative to the working directory."""
    file, _, rest = node_id.partition("::")
    path = os.path.join(session.configuration.root, file)
    return f"{os.path.relpath(path, session.cwd)}::{rest}" if os.path.isfile(path) else None


def _told(session: Session, checks: Mapping[str, Any], folder: str, seconds: float) -> dict[str, dict[str, str]]:
    """What pytest says of each check that fails there too."""
    options = session.options
    request = {
        "arguments": [*(each["asked"] for each in checks.values()), *binding_arguments(session)],
        "checks": {node: each["inputs"] for node, each in checks.items()},
        "path": sys.path,
        "root": str(session.configuration.root),
        "style": "short" if options.tb == "line" else options.tb,
        "showlocals": options.showlocals,
        "verbosity": options.verbosity,
    }
    Path(folder, "request.json").write_text(json.dumps(request), encoding="utf-8")
    Path(folder, "checks.stepcache").touch()
    Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    if session.shelf.store is not None:
        session.shelf.store.flush()  # the child reads what is written
    environment = {k: v for k, v in session.environ.items() if not k.startswith("PYTEST_") and k != "STEPCACHE_ADDOPTS"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        subprocess.run(
            [sys.executable, "-c", "from stepcache.pytest_child import main; main()", folder],
            cwd=session.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE + 4 * seconds,
            check=False,
        )
        found: dict[str, dict[str, str]] = json.loads(Path(folder, "told.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return found


def binding_arguments(session: Session) -> list[str]:
    """The arguments that decide how nodes are bound and where the cache is, as they were found in all places."""
    options = session.options
    told = [f"-P{name}={value}" for name, value in options.params]
    told += [f"--profile={options.profile}"] if options.profile is not None else []
    told += [f"--config-file={options.config_file}"] if options.config_file is not None else []
    told += [f"--rootdir={session.configuration.root}", f"--cache-dir={session.folder}"]
    told += [f"-o{each}" for each in (*options.overrides, "addopts=")]
    told += [f"-p{each}" for each in options.plugins]
    return [*told, "--cache=off" if session.shelf.store is None else "--cache=readonly"]
