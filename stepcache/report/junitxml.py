"""The report for CI servers: --junitxml=PATH, as pytest writes it.

Steps, pipelines and checks are test cases. What was cached, ran, was given or has passed is a passed one; the outcome
in stepcache's own word is its property `outcome`. What did not run because of something else is a skipped one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from platform import node as hostname
from xml.etree import ElementTree as ET

from stepcache.errors import UsageError
from stepcache.model import NodeReport, Problem, RunReport
from stepcache.wholefile import write_whole

# What XML 1.0 has no form for.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_RUN = {"blocked", "skipped", "would-run", "unknown"}


def write_junitxml(report: RunReport, path: str) -> None:
    """Write the report to *path*, whole or not at all. Raises `UsageError` where that cannot be."""
    text = ET.tostring(junitxml(report), encoding="unicode")
    try:
        write_whole(path, f'<?xml version="1.0" encoding="utf-8"?>{text}\n'.encode())
    except OSError as error:
        raise UsageError(f"--junitxml={path}: cannot be written: {error.strerror}") from None


def junitxml(report: RunReport) -> ET.Element:
    """*report* as the element `testsuites` with one `testsuite`."""
    failures = sum(row.outcome == "failed" for row in report.nodes)
    skipped = sum(row.outcome in _NOT_RUN for row in report.nodes)
    suites = ET.Element("testsuites", name="stepcache")
    suite = ET.SubElement(
        suites,
        "testsuite",
        name="stepcache",
        errors=str(len(report.problems)),
        failures=str(failures),
        skipped=str(skipped),
        tests=str(len(report.nodes) + len(report.problems)),
        time=f"{report.seconds:.3f}",
        timestamp=datetime.now(UTC).isoformat(timespec="seconds"),
        hostname=_legal(hostname()),
    )
    suite.extend(_broken(problem) for problem in report.problems)
    suite.extend(_case(row) for row in report.nodes)
    return suites


def _case(row: NodeReport) -> ET.Element:
    file, _, name = row.id.partition("::")
    case = ET.Element("testcase", classname=_class(file), name=_legal(name), time=f"{row.seconds:.3f}")
    properties = ET.SubElement(case, "properties")
    told: list[tuple[str, str]] = [("outcome", row.outcome), ("kind", row.kind)]
    if row.outcome == "cached":
        told.append(("saved_seconds", f"{row.saved_seconds:.3f}"))
    for each, value in told:
        ET.SubElement(properties, "property", name=each, value=value)
    if row.outcome == "failed" and row.failure is not None:
        failure = ET.SubElement(case, "failure", message=_legal(row.failure.summary))
        failure.text = _legal(row.failure.text)
    elif row.outcome in _NOT_RUN:
        ET.SubElement(case, "skipped", type=f"stepcache.{row.outcome}", message=_legal(row.message or row.outcome))
    _output(case, row)
    return case


def _output(case: ET.Element, row: NodeReport) -> None:
    """What a node that failed or warned has said; that of the others stays in the cache."""
    if row.outcome not in ("failed", "warned"):
        return
    warned = row.failure.text if row.outcome == "warned" and row.failure is not None else ""
    out = warned + row.output.stdout + row.output.log
    for name, text in (("system-out", out), ("system-err", row.output.stderr)):
        if text:
            ET.SubElement(case, name).text = _legal(text)


def _broken(problem: Problem) -> ET.Element:
    file, _, name = problem.id.partition("::")
    case = ET.Element("testcase", classname=_class(file), name=_legal(name or file), time="0.000")
    error = ET.SubElement(case, "error", message="collection failure")
    error.text = _legal(problem.message)
    return case


def _class(file: str) -> str:
    return _legal(file.removesuffix(".py").replace("/", "."))


def _legal(text: str) -> str:
    return _ILLEGAL.sub(lambda found: f"#x{ord(found[0]):02X}", text)
