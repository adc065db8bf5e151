"""Node ids: each means one node, whatever else is in the run, and can be given back as an argument."""

from __future__ import annotations

import pytest

from stepcache.testing import Project

HEAD = "from stepcache import All, check, parametrize, pipeline, resource, step\n"
SOURCE = "@step\ndef source(size=1):\n    return ['{0}', size]\n"
USED = "@step\ndef used(source):\n    return [*source, 'used']\n"
LAST = "@step\ndef last(used):\n    return used\n"
CONF = HEAD + SOURCE.format("conf") + USED

# id, files, the ids of the nodes that a run of everything has
TABLE: list[tuple[str, dict[str, str], list[str]]] = [
    (
        "what a file does not override is called by the stepconf.py",
        {"stepconf.py": CONF, "pipeline_a.py": HEAD + LAST, "pipeline_b.py": HEAD + LAST},
        ["stepconf.py::source", "stepconf.py::used", "pipeline_a.py::last", "pipeline_b.py::last"],
    ),
    (
        "a file that overrides a step has its own of all that needs it",
        {"stepconf.py": CONF, "pipeline_a.py": HEAD + SOURCE.format("a") + LAST, "pipeline_b.py": HEAD + LAST},
        [
            "pipeline_a.py::source",
            "pipeline_a.py::used",
            "pipeline_a.py::last",
            "stepconf.py::source",
            "stepconf.py::used",
            "pipeline_b.py::last",
        ],
    ),
    (
        "a nearer stepconf.py overrides for its folder",
        {
            "stepconf.py": CONF,
            "sub/stepconf.py": HEAD + SOURCE.format("sub"),
            "sub/pipeline_a.py": HEAD + LAST,
            "sub/pipeline_b.py": HEAD + LAST,
            "pipeline_c.py": HEAD + LAST,
        },
        [
            "stepconf.py::source",
            "stepconf.py::used",
            "pipeline_c.py::last",
            "sub/stepconf.py::source",
            "sub/stepconf.py::used",
            "sub/pipeline_a.py::last",
            "sub/pipeline_b.py::last",
        ],
    ),
    (
        "an extended step stands beside the one that it extends",
        {
            "stepconf.py": CONF,
            "pipeline_a.py": HEAD + "@step\ndef source(source):\n    return [*source, 'more']\n" + LAST,
            "pipeline_b.py": HEAD + LAST,
        },
        [
            "stepconf.py::source",
            "pipeline_a.py::source",
            "pipeline_a.py::used",
            "pipeline_a.py::last",
            "stepconf.py::used",
            "pipeline_b.py::last",
        ],
    ),
    (
        "an outer step that is bound below, and the step of that name there",
        {
            "stepconf.py": CONF,
            "pipeline_a.py": HEAD + SOURCE.format("a") + "@step\ndef used(used):\n    return [*used, 'own']\n" + LAST,
        },
        [
            "pipeline_a.py::source",
            "pipeline_a.py::stepconf.py::used",
            "pipeline_a.py::used",
            "pipeline_a.py::last",
        ],
    ),
    (
        "imported steps are called by the file that defines them",
        {
            "shared.py": HEAD + SOURCE.format("shared") + USED,
            "pipeline_a.py": "from shared import used\n" + HEAD + LAST,
            "pipeline_b.py": "from shared import used\n" + HEAD + LAST,
        },
        ["shared.py::source", "shared.py::used", "pipeline_a.py::last", "pipeline_b.py::last"],
    ),
    (
        "an imported step whose need is overridden is bound in the file that overrides",
        {
            "shared.py": HEAD + SOURCE.format("shared") + USED,
            "pipeline_a.py": "from shared import used\n" + HEAD + SOURCE.format("a") + LAST,
            "pipeline_b.py": "from shared import used\n" + HEAD + LAST,
        },
        [
            "pipeline_a.py::source",
            "pipeline_a.py::used",
            "pipeline_a.py::last",
            "shared.py::source",
            "shared.py::used",
            "pipeline_b.py::last",
        ],
    ),
    (
        "a step imported from a pipeline file is the same node as there",
        {
            "pipeline_a.py": HEAD + SOURCE.format("a") + USED,
            "pipeline_b.py": "from pipeline_a import used\n" + HEAD + LAST,
        },
        ["pipeline_a.py::source", "pipeline_a.py::used", "pipeline_b.py::last"],
    ),
    (
        "what a pipeline's params reach bears the pipeline's name",
        {
            "pipeline_a.py": HEAD
            + "@step\ndef aside():\n    return 1\n"
            + SOURCE.format("a")
            + USED
            + "@pipeline(params={'size': 2})\ndef big(used, aside):\n    return used\n"
            + "@pipeline(params={'source.size': 3})\ndef bigger(used):\n    return used\n"
            + "@pipeline\ndef plain(used, aside):\n    return used\n",
        },
        [
            "pipeline_a.py::source@big",
            "pipeline_a.py::used@big",
            "pipeline_a.py::aside",
            "pipeline_a.py::big",
            "pipeline_a.py::source@bigger",
            "pipeline_a.py::used@bigger",
            "pipeline_a.py::bigger",
            "pipeline_a.py::source",
            "pipeline_a.py::used",
            "pipeline_a.py::plain",
        ],
    ),
    (
        "pipelines of one name in two files, whose params reach a shared step",
        {
            "stepconf.py": CONF,
            "pipeline_a.py": HEAD + "@pipeline(params={'size': 2})\ndef report(used):\n    return used\n",
            "pipeline_b.py": HEAD + "@pipeline(params={'size': 3})\ndef report(used):\n    return used\n",
        },
        [
            "stepconf.py::source@pipeline_a.py::report",
            "stepconf.py::used@pipeline_a.py::report",
            "pipeline_a.py::report",
            "stepconf.py::source@pipeline_b.py::report",
            "stepconf.py::used@pipeline_b.py::report",
            "pipeline_b.py::report",
        ],
    ),
    (
        "variants, and the variants of what needs them",
        {
            "pipeline_a.py": HEAD
            + "@step\n@parametrize('size', [1, 20], ids=['small', None])\ndef source(size):\n    return ['p', size]\n"
            + "@step\n@parametrize('way', ['a-b', 'c d'])\ndef used(source, way):\n    return [source, way]\n"
            + "@step\ndef all_of(used: All):\n    return dict(used)\n",
        },
        [
            "pipeline_a.py::source[small]",
            "pipeline_a.py::source[20]",
            "pipeline_a.py::used[small-a-b]",
            "pipeline_a.py::used[small-c d]",
            "pipeline_a.py::used[20-a-b]",
            "pipeline_a.py::used[20-c d]",
            "pipeline_a.py::all_of",
        ],
    ),
    (
        "variants under a pipeline's params",
        {
            "pipeline_a.py": HEAD
            + "@step\n@parametrize('size', [1, 2])\ndef source(size, deep=0):\n    return [size, deep]\n"
            + "@pipeline(params={'deep': 1})\ndef p(source: All):\n    return dict(source)\n",
        },
        ["pipeline_a.py::source@p[1]", "pipeline_a.py::source@p[2]", "pipeline_a.py::p"],
    ),
    (
        "checks, also of a stepconf.py, on each value that they are bound to",
        {
            "stepconf.py": CONF + "def check_source(source):\n    assert source\n",
            "pipeline_a.py": HEAD + SOURCE.format("a") + LAST + "def check_used(used):\n    assert used\n",
            "pipeline_b.py": HEAD + LAST,
        },
        [
            "pipeline_a.py::source",
            "pipeline_a.py::check_source",
            "pipeline_a.py::used",
            "pipeline_a.py::check_used",
            "pipeline_a.py::last",
            "stepconf.py::source",
            "stepconf.py::check_source",
            "stepconf.py::used",
            "pipeline_b.py::last",
        ],
    ),
    (
        "folders with the same files",
        {
            f"{folder}/{name}": text
            for folder in ("x", "y z")
            for name, text in (("stepconf.py", CONF), ("pipeline_a.py", HEAD + LAST))
        },
        [
            f"{folder}/{each}"
            for folder in ("x", "y z")
            for each in ("stepconf.py::source", "stepconf.py::used", "pipeline_a.py::last")
        ],
    ),
    (
        "what stands in a text is called by the file that executes it",
        {
            "sub/pipeline_a.py": HEAD
            + "exec("
            + repr(SOURCE.format("a") + "def check_source(source):\n    assert source\n")
            + ")\n"
            + "apart = {'step': step}\nexec("
            + repr(USED)
            + ", apart)\nused = apart['used']\n",
            "sub/pipeline_b.py": "from pipeline_a import source, used\n" + HEAD + LAST,
        },
        [
            "sub/pipeline_a.py::source",
            "sub/pipeline_a.py::check_source",
            "sub/pipeline_a.py::used",
            "sub/pipeline_b.py::last",
        ],
    ),
]

CASES = [pytest.param(files, wanted, id=name.replace(" ", "-")) for name, files, wanted in TABLE]


def ids(project: Project, *args: str) -> list[str]:
    result = project.run("--collect-only", "-q", *args)
    assert result.stderr == ""
    return [line for line in result.lines if "::" in line]


@pytest.mark.parametrize(("files", "wanted"), CASES)
def test_the_ids_of_a_whole_run(stepcache_project: Project, files: dict[str, str], wanted: list[str]) -> None:
    for name, text in files.items():
        stepcache_project.write(name, text)
    assert sorted(ids(stepcache_project)) == sorted(wanted)


@pytest.mark.parametrize(("files", "wanted"), CASES)
def test_an_id_given_as_an_argument_selects_that_node(
    stepcache_project: Project, files: dict[str, str], wanted: list[str]
) -> None:
    """Alone, it has the same inputs and the same value as in the whole run."""
    import stepcache

    for name, text in files.items():
        stepcache_project.write(name, text)
    whole = {row["id"]: row for row in stepcache.run(check=True).nodes}
    assert sorted(whole) == sorted(wanted)
    for node_id in wanted:
        alone = {row["id"]: row for row in stepcache.run(node_id, check=True).nodes}
        assert alone[node_id]["needs"] == whole[node_id]["needs"]
        assert alone[node_id]["digest"] == whole[node_id]["digest"]
        assert {k for k, row in alone.items() if row["kind"] != "check"} <= needed(node_id, whole) | {node_id}


def needed(node_id: str, rows: dict[str, dict[str, list[str]]]) -> set[str]:
    """The ids of all that comes before a node."""
    found: set[str] = set()
    todo = [node_id]
    while todo:
        for each in rows[todo.pop()]["needs"]:
            if each not in found:
                found.add(each)
                todo.append(each)
    return found


@pytest.mark.parametrize(("files", "wanted"), CASES)
def test_each_file_alone_gives_its_nodes_the_same_ids(
    stepcache_project: Project, files: dict[str, str], wanted: list[str]
) -> None:
    for name, text in files.items():
        stepcache_project.write(name, text)
    alone = {each for name in files if "pipeline_" in name for each in ids(stepcache_project, name)}
    assert alone == set(wanted)


def test_an_id_without_its_variant_selects_all_variants(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_a.py", HEAD + "@step\n@parametrize('x', [1, 2])\ndef a(x):\n    return x\n@step\ndef b(): ...\n"
    )
    assert ids(stepcache_project, "pipeline_a.py::a") == ["pipeline_a.py::a[1]", "pipeline_a.py::a[2]"]


def test_a_name_of_an_outer_file_can_be_asked_for_in_a_file(stepcache_project: Project) -> None:
    stepcache_project.write("stepconf.py", CONF)
    stepcache_project.write("pipeline_a.py", HEAD + LAST)
    assert ids(stepcache_project, "pipeline_a.py::source") == ["stepconf.py::source"]


def test_a_module_outside_the_root_is_called_by_its_dotted_name(stepcache_project: Project) -> None:
    project = stepcache_project
    outside = project.path.parent / "lib_outside"
    (outside / "far_package").mkdir(parents=True)
    (outside / "far_package" / "__init__.py").write_text("")
    (outside / "far_package" / "steps.py").write_text(HEAD + SOURCE.format("far") + USED)
    (outside / "far_module.py").write_text(HEAD + "@step\ndef single():\n    return 1\n")
    project.configure("pythonpath = ['../lib_outside']\n")
    project.write("pipeline_a.py", "from far_package.steps import used\nfrom far_module import single\n")
    wanted = ["far_module::single", "far_package.steps::source", "far_package.steps::used"]
    assert sorted(ids(project)) == wanted
    for node_id in wanted:
        assert ids(project, node_id)[-1] == node_id


def test_ids_are_no_part_of_keys(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_a.py", HEAD + SOURCE.format("a") + USED + LAST)
    project.run()
    (project.path / "sub").mkdir()
    (project.path / "pipeline_a.py").rename(project.path / "sub" / "pipeline_moved.py")
    assert project.run().outcomes == {
        "sub/pipeline_moved.py::source": "cached",
        "sub/pipeline_moved.py::used": "cached",
        "sub/pipeline_moved.py::last": "cached",
    }


def test_nodes_with_equal_keys_run_once(stepcache_project: Project) -> None:
    project = stepcache_project
    body = "@step\ndef source():\n    return 'the same'\n"
    project.write("pipeline_a.py", HEAD + body)
    project.write("pipeline_b.py", HEAD + body)
    assert project.run().outcomes == {"pipeline_a.py::source": "ran", "pipeline_b.py::source": "cached"}
