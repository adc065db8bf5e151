"""What a command costs: CPU seconds of the whole process, children included, wall seconds, and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """`cpu` is user and system time, `peak` in MB; `output` is what it printed."""

    cpu: float
    wall: float
    peak: float
    output: str


def measured(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Cost:
    """What a command costs that has to end well; its output goes to files."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output = out.read().decode()
        if process.returncode:
            told = output + err.read().decode()
            sys.exit(f"{' '.join(command)} in {folder}: exit status {process.returncode}\n{told}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * unit / 2**20, output)


def surroundings(**more: str) -> dict[str, str]:
    """The environment of what is measured: bytecode is written, as it is for users."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | more
