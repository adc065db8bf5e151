"""Only pytest's public names are used: not one `_pytest` in the sources."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_no_private_name_of_pytest_is_used() -> None:
    files = [*(REPOSITORY / "stepcache").rglob("*.py"), *(REPOSITORY / "plugins").glob("*/src/**/*.py")]
    assert files
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\b_pytest\b", line)
    ]
    assert not found
