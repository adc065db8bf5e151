"""The built-in resources: `tmp_path`, `request`, `rng_seed`."""

from __future__ import annotations

import os

import pytest

import stepcache
from stepcache.testing import Project

# --- tmp_path

FILES = """
    from pathlib import Path
    from stepcache import step

    @step
    def made(tmp_path):
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "a.txt").write_text("a")
        folder = tmp_path / "folder" / "deep"
        folder.mkdir(parents=True)
        (folder / "b.txt").write_text("b")
        (folder / "run.sh").write_text("#!/bin/sh\\n")
        (folder / "run.sh").chmod(0o755)
        return {returned}

    @step
    def used(made, unrelated=0):
        return {used}
"""

SHAPES = {
    "a file": ('tmp_path / "a.txt"', "made.read_text(), made.name"),
    "a folder": ('tmp_path / "folder"', 'sorted(str(p.relative_to(made)) for p in made.rglob("*"))'),
    "all": ("tmp_path", 'sorted(str(p.relative_to(made)) for p in made.rglob("*"))'),
    "a list": ('[tmp_path / "a.txt", 5]', "[made[0].read_text(), made[1]]"),
    "a dict": ('{"a": (tmp_path / "a.txt",), "n": None}', 'made["a"][0].read_text(), made["n"]'),
    "a mode": ('tmp_path / "folder"', 'bool((made / "deep" / "run.sh").stat().st_mode & 0o100)'),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_returned_files_are_stored_and_put_back(stepcache_project: Project, shape: str) -> None:
    project = stepcache_project
    returned, used = SHAPES[shape]
    project.write("pipeline_x.py", FILES.format(returned=returned, used=used))
    first = stepcache.run()
    assert first.exit_code == 0, first.nodes
    second = stepcache.run(params={"unrelated": 1})
    assert [row["outcome"] for row in second.nodes] == ["cached", "ran"]
    assert second["used"] == first["used"]
    assert {row["outcome"] for row in stepcache.run(params={"unrelated": 1}).nodes} == {"cached"}
    off = stepcache.run(enable_cache=False)
    assert off["used"] == first["used"]


def test_the_value_is_the_content_and_not_the_place(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", FILES.format(returned='tmp_path / "a.txt"', used="made.read_text()"))
    project.run()
    result = project.run("--cache-refresh=made")
    assert result.ran == ["made"]


def test_each_taker_has_files_of_its_own(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", FILES.format(returned='tmp_path / "a.txt"', used="made.write_text('spoilt')") + """
    @step
    def later(made, used):
        return made.read_text()
    """)  # fmt: skip
    for enable in (True, False):
        assert stepcache.run(enable_cache=enable)["later"] == "a"


def test_it_is_gone_afterwards_and_empty_each_time(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def where(tmp_path):
            (tmp_path / "file").write_text("x")
            return str(tmp_path)

        @step
        def bad(tmp_path, where):
            (tmp_path / "file").write_text("x")
            raise ValueError(str(tmp_path))
        """,
    )
    run = stepcache.run()
    assert not os.path.exists(run["where"])
    assert not os.path.exists(run.nodes[1]["error"].removeprefix("ValueError: "))


def test_what_is_written_there_counts_for_nothing(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def a(tmp_path):
            (tmp_path / "x.txt").write_text("x")
            return [(tmp_path / "x.txt").read_text(), sorted(p.name for p in tmp_path.iterdir())]
        """,
    )
    project.run()
    assert project.run().ran == []
    assert project.run("--why", "-v", "--cache-refresh").reasons == {"pipeline_x.py::a": ["refresh"]}


def test_a_returned_program_may_be_run(stepcache_project: Project) -> None:
    """It is part of the value, wherever it lies this time; so is one that a child of the step has made."""
    stepcache_project.write(
        "pipeline_x.py",
        """
        import subprocess
        from stepcache import step

        @step
        def built(tmp_path, word="hi"):
            subprocess.run(["sh", "-c", f"printf '#!/bin/sh\\necho {word}\\n' > made; chmod +x made"], cwd=tmp_path)
            assert subprocess.check_output([tmp_path / "made"], text=True).strip() == word
            return tmp_path / "made"

        @step
        def said(built):
            return subprocess.check_output([built], text=True).strip()
        """,
    )
    assert stepcache.run()["said"] == "hi"
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}
    assert stepcache.run(params={"word": "ho"})["said"] == "ho"


def test_a_returned_path_that_is_not_there(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        "from stepcache import step\n@step\ndef a(tmp_path):\n    return tmp_path / 'none.txt'\n",
    )
    result = project.run()
    assert (result.exit_code, result.outcomes) == (0, {"pipeline_x.py::a": "ran"})
    assert any(
        "none.txt cannot be read: No such file or directory): it runs each time" in line for line in result.lines
    )


@pytest.mark.parametrize("arguments", [[], ["-n", "1"], ["--no-cache"]])
def test_files_of_a_value_that_cannot_be_stored_are_there_as_long_as_the_run(
    stepcache_project: Project, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = stepcache_project
    temporary = project.path.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        class Model:
            pass

        @step
        def made(tmp_path):
            (tmp_path / "a").write_text("a")
            return {"path": tmp_path / "a", "model": Model()}

        @step
        def taken(made):
            return made["path"].read_text()

        @step
        def numbers():
            return [1, 2]

        @step
        def each(numbers: Each[int], tmp_path):
            (tmp_path / "a").write_text(str(numbers))
            return {"path": tmp_path / "a", "model": Model()}

        @step
        def all_taken(each):
            return [one["path"].read_text() for one in each]
        """,
    )
    result = project.run(*arguments)
    assert result.exit_code == 0, result.stdout
    assert set(result.outcomes.values()) == {"ran"}
    assert "it holds paths, and it holds a " in result.stdout
    assert list(temporary.iterdir()) == []
    run = stepcache.run()
    assert (run["taken"], run["all_taken"]) == ("a", ["1", "2"])
    assert run["made"]["path"].read_text() == "a"


def test_a_path_elsewhere_is_a_plain_value(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        "from pathlib import Path\nfrom stepcache import step\n@step\ndef a(tmp_path):\n    return Path('/nowhere/x')\n",
    )
    assert str(stepcache.run()["a"]) == "/nowhere/x"


def test_a_step_of_that_name_hides_it(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        "from stepcache import step\n@step\ndef request():\n    return 'mine'\n@step\ndef a(request):\n    return request\n",
    )
    assert stepcache.run()["a"] == "mine"


# --- request and rng_seed

REQUEST = """
    from stepcache import parametrize, step

    @step
    @parametrize("n", [1, 2])
    def part(n, request, lr=0.1):
        return request.name, request.variant, dict(request.settings)

    @step
    def plain(request):
        return request.name, request.variant, dict(request.settings)
"""


def test_request_tells_which_node_this_is(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", REQUEST)
    run = stepcache.run()
    assert run["part[2]"] == ("part", "2", {"n": 2, "lr": 0.1})
    assert run["plain"] == ("plain", None, {})


def test_what_request_holds_is_in_the_key(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", REQUEST)
    project.run()
    assert project.run().ran == []
    project.edit("pipeline_x.py", "def plain(request)", "def renamed(request)")
    assert project.run().ran == ["renamed"]
    project.edit("pipeline_x.py", '@parametrize("n", [1, 2])', '@parametrize("n", [1, 2], ids=["a", "b"])')
    assert project.run().ran == ["part[a]", "part[b]"]


def test_a_step_without_it_may_be_renamed(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", "from stepcache import step\n@step\ndef a():\n    return 'a'\n")
    project.run()
    project.edit("pipeline_x.py", "def a", "def renamed")
    assert project.run().ran == []


SEED = """
    from stepcache import parametrize, step

    @step
    @parametrize("n", [1, 2])
    def part(n, rng_seed, lr=0.1):
        return rng_seed

    @step
    def other(rng_seed):
        return rng_seed
"""


def test_rng_seed_is_the_same_each_time_and_everywhere(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", SEED)
    run = stepcache.run(enable_cache=False)
    seeds = [run["part[1]"], run["part[2]"], run["other"]]
    assert len(set(seeds)) == 3
    assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
    project.write("elsewhere/pipeline_x.py", SEED)
    project.write("script.py", "import stepcache\nrun = stepcache.run('elsewhere', enable_cache=False)\n"
                  "print([run['part[1]'], run['part[2]'], run['other']])\n")  # fmt: skip
    for hash_seed in ("1", "2"):
        result = project.python("script.py", env={"PYTHONHASHSEED": hash_seed})
        assert result.stdout == f"{seeds}\n", result.stderr


def test_rng_seed_depends_on_the_settings(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", SEED)
    seeds = {stepcache.run(params={"lr": lr})["part[1]"] for lr in (0.1, 0.2)}
    assert len(seeds) == 2


def test_where_a_step_goes_the_next_is_not(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("data.txt", "here")
    project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import Each, step

        @step(enable_cache=False)
        def goes(tmp_path):
            (tmp_path / "data.txt").write_text("there")
            os.chdir(tmp_path)
            return [1, 2]

        @step(takes={"n": "goes"})
        def each_goes(n: Each, tmp_path):
            os.chdir(tmp_path)
            return n

        @step
        def reads(each_goes):
            return open("data.txt").read()

        @step(enable_cache=False)
        def goes_and_fails(reads, tmp_path):
            os.chdir(tmp_path)
            raise ValueError(reads)

        @step
        def last():
            return open("data.txt").read()
        """,
    )
    result = project.run()
    assert [row["error"] for row in result.nodes if row["error"]] == ["ValueError: here"]
    assert project.run().outcomes["pipeline_x.py::reads"] == "cached"
    assert project.run().outcomes["pipeline_x.py::last"] == "cached"
