"""The pages keep up with the code: keys, hooks, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stepcache import hookspecs
from stepcache.api.options import StepOptions
from stepcache.config import Configuration, help_text
from stepcache.config.flags import FLAGS

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    path
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("*/*/README.md"))
    if not any(part.startswith(".") for part in path.relative_to(REPOSITORY).parts)
]


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def test_every_key_of_the_configuration_is_explained() -> None:
    ours = {"root", "file", "profiles", "plugin_options", "unjudged", "wrong"}
    keys = {field.name for field in Configuration.__attrs_attrs__} - ours | {"profile.NAME.params"}  # type: ignore[attr-defined]
    table = page("configuration.md").partition("## Settings")[0]
    assert set(re.findall(r"^\| `([a-z_.A-Z]+)` \|", table, re.MULTILINE)) == keys
    assert set(help_text.KEYS) == keys


def test_every_hook_is_explained() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("stepcache_")}
    assert set(re.findall(r"^\| `(stepcache_\w+)\(", page("writing-plugins.md"), re.MULTILINE)) == hooks


def test_every_option_of_the_command_is_explained() -> None:
    rows = re.findall(r"^\| (`-.*?) \|", page("command.md"), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(--?\w[\w-]*)`", row)) == sorted(FLAGS)


def test_every_option_of_a_step_is_explained() -> None:
    table = page("authoring.md").partition("## Options of `@step`")[2].partition("##")[0]
    assert set(re.findall(r"^\| `(\w+)=", table, re.MULTILINE)) == set(StepOptions.__annotations__)


def headings(path: Path) -> set[str]:
    """What the headings of a page are linked by: in small letters, hyphens for spaces, nothing but words."""
    found = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", path.read_text(encoding="utf-8"))
    pages = [((path.parent / page) if page else path, heading) for page, heading in links]
    assert [str(page) for page, _ in pages if not page.exists()] == []
    assert [(page.name, heading) for page, heading in pages if heading and heading not in headings(page)] == []


def test_the_readmes_commands_are_one_line_each() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert [block.count("\n") for block in blocks[:2]] == [1, 1]
    assert "stepcache examples/flights" in blocks[0]
    assert "tox" in blocks[1]
