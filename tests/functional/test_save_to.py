"""`save_to=`: the value is also written to a file, which is put back when it is gone and never lost when it was edited."""

from __future__ import annotations

import json
import os
import pickle

import pytest

import stepcache
from stepcache.testing import Project, Result

HEAD = "from pathlib import Path\nfrom stepcache import All, File, parametrize, pipeline, step\n"
FORCE = "it is left as it is (--force-save writes the value over it)"


def lay_out(project: Project, text: str) -> None:
    project.write("pipeline_x.py", HEAD + text)


ONE = """
@step(save_to="out/words.json")
def words(count=2):
    return {"count": count}
"""
FILE = "out/words.json"


def content(project: Project, name: str = FILE) -> str:
    return (project.path / name).read_text(encoding="utf-8")


def warned(result: Result) -> list[str]:
    """What is said under the heading "warnings summary"."""
    if not any("warnings summary" in line for line in result.lines):
        return []
    at = next(n for n, line in enumerate(result.lines) if "warnings summary" in line)
    lines = result.lines[at + 1 :]
    return [line for line in lines[: next(n for n, line in enumerate(lines) if line.startswith("="))] if line]


def test_the_value_is_written_and_put_back_when_it_is_gone(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    assert project.run().outcomes == {"pipeline_x.py::words": "ran"}
    assert content(project) == '{\n  "count": 2\n}\n'
    (project.path / FILE).unlink()
    assert project.run().outcomes == {"pipeline_x.py::words": "cached"}
    assert content(project) == '{\n  "count": 2\n}\n'
    assert sorted(os.listdir(project.path / "out")) == ["words.json"]


@pytest.mark.parametrize(
    ("elements", "suffix", "text"),
    [
        ("{'x': 1}, {'y': 2}", "csv", "x,y\n1,\n,2\n"),
        ("[1, 'a'], (2, 'b')", "csv", "1,a\n2,b\n"),
        ("'one', 'two\\n', ''", "txt", "one\ntwo\n\n"),
        ("1, {2}", "json", "[\n  1,\n  [\n    2\n  ]\n]\n"),
    ],
)
def test_a_stream_is_written_as_a_list_would_be(
    stepcache_project: Project, elements: str, suffix: str, text: str
) -> None:
    project = stepcache_project
    steps = [
        f"@step(save_to='{name}.{suffix}')\ndef {name}():\n    {how}\n"
        for name, how in (("stream", f"yield from [{elements}]"), ("listed", f"return [{elements}]"))
    ]
    lay_out(project, "\n".join(steps))
    assert warned(project.run()) == []
    assert content(project, f"stream.{suffix}") == content(project, f"listed.{suffix}") == text


def test_another_value_replaces_what_was_written(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.run()
    assert warned(project.run("-P", "count=3")) == []
    assert json.loads(content(project)) == {"count": 3}
    assert warned(project.run()) == []  # a hit: the file of another value is no edit
    assert json.loads(content(project)) == {"count": 2}


def test_an_edited_file_is_left_alone_until_it_is_forced(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.run()
    project.write(FILE, "mine")
    said = [f"pipeline_x.py::words: out/words.json was edited after it was saved: {FORCE}"]
    for arguments in ((), ("-P", "count=3"), ()):
        result = project.run(*arguments)
        assert (result.exit_code, warned(result), content(project)) == (0, said, "mine")
    assert warned(project.run("--force-save")) == []
    assert json.loads(content(project)) == {"count": 2}
    assert warned(project.run("-P", "count=3")) == []
    assert json.loads(content(project)) == {"count": 3}


def test_a_file_of_the_same_size_and_time_is_an_edit_too(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.run()
    path = project.path / FILE
    before = path.stat()
    path.write_text(content(project).replace("2", "9"), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(warned(project.run())) == 1
    assert json.loads(content(project)) == {"count": 9}


def test_a_file_that_was_there_before_is_left_alone_unless_it_is_the_same(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.write(FILE, "somebody's")
    said = f"pipeline_x.py::words: out/words.json is there, and stepcache did not write it: {FORCE}"
    assert warned(project.run()) == [said]
    assert content(project) == "somebody's"
    project.write(FILE, '{\n  "count": 2\n}\n')
    assert warned(project.run()) == []
    assert warned(project.run("-P", "count=3")) == []  # from then on it is stepcache's own
    assert json.loads(content(project)) == {"count": 3}


def test_without_the_cache_files_are_written_and_foreign_ones_left_alone(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    assert warned(project.run("--no-cache")) == []
    assert warned(project.run("--no-cache")) == []
    said = "is there, and without the cache it cannot be told whether it was edited"
    assert warned(project.run("--no-cache", "-P", "count=3")) == [
        f"pipeline_x.py::words: out/words.json {said}: {FORCE}"
    ]
    assert json.loads(content(project)) == {"count": 2}
    project.run("--no-cache", "--force-save", "-P", "count=3")
    assert json.loads(content(project)) == {"count": 3}


def test_changing_save_to_runs_nothing(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.run()
    project.edit("pipeline_x.py", "out/words.json", "//other.txt")
    result = project.run()
    assert (result.outcomes, result.exit_code) == ({"pipeline_x.py::words": "cached"}, 1)
    said = "a dict cannot be written as .txt: text, a list of texts or a number can be"
    assert warned(result) == [f"pipeline_x.py::words: its value is not saved to other.txt: {said}"]
    project.edit("pipeline_x.py", "//other.txt", "other.json")
    assert project.run().outcomes == {"pipeline_x.py::words": "cached"}
    assert content(project, "other.json") == content(project)
    project.edit("pipeline_x.py", '(save_to="other.json")', "")
    assert project.run().outcomes == {"pipeline_x.py::words": "cached"}


def test_paths_are_relative_to_the_defining_file_or_the_root(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("jobs/pipeline_x.py", HEAD + "@step(save_to='a.txt')\ndef a():\n    return 'a'\n")
    project.write("jobs/pipeline_y.py", HEAD + "@step(save_to=Path('//out/b.txt'))\ndef b():\n    return 'b'\n")
    project.write(
        "jobs/pipeline_z.py", HEAD + f"@step(save_to={str(project.path / 'c.txt')!r})\ndef c():\n    return 'c'\n"
    )
    assert project.run().exit_code == 0
    assert [content(project, name) for name in ("jobs/a.txt", "out/b.txt", "c.txt")] == ["a", "b", "c"]


def test_each_variant_has_its_file(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(
        project,
        "@step(save_to='{variant}/model-{variant}.txt')\n@parametrize('kind', ['a/b', '..', 'x'])\n"
        "def model(kind):\n    return kind\n",
    )
    assert project.run().exit_code == 0
    assert {str(p.relative_to(project.path)): p.read_text() for p in project.path.rglob("*.txt")} == {
        "a_b/model-a_b.txt": "a/b",
        "__/model-__.txt": "..",
        "x/model-x.txt": "x",
    }


def test_the_key_tells_values_apart(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, "@step(save_to='{{{key}}}.txt')\ndef a(n=1):\n    return n\n")
    keys = [project.run("-P", f"n={n}").nodes[0]["key"] for n in (1, 2)]
    assert sorted(p.name for p in project.path.glob("*.txt")) == sorted(f"{{{key}}}.txt" for key in keys)


WRONG = [
    ("no variant", "@step(save_to='m.txt')\n@parametrize('d', [1, 2])\ndef m(d):\n    return d\n",
     "pipeline_x.py:3: save_to='m.txt' of step 'm' is one file for all its variants\n"
     "  put {variant} into it, as in m-{variant}.txt"),
    ("a variant too many", "@step(save_to='m-{variant}.txt')\ndef m():\n    return 1\n",
     "pipeline_x.py:3: save_to='m-{variant}.txt' of step 'm' holds {variant}, and the step has no variants\n  take it out"),
    ("a misspelt place", "@step(save_to='m-{varaint}.txt')\ndef m():\n    return 1\n",
     "pipeline_x.py:3: save_to='m-{varaint}.txt' of step 'm' holds {varaint}, which means nothing there\n"
     "  did you mean {variant}?"),
    ("another place", "@step(save_to='m-{}.txt')\ndef m():\n    return 1\n",
     "pipeline_x.py:3: save_to='m-{}.txt' of step 'm' holds {}, which means nothing there\n"
     "  {variant} and {key} may stand in it"),
    ("a lone brace", "@step(save_to='m-{.txt')\ndef m():\n    return 1\n",
     "pipeline_x.py:3: save_to='m-{.txt' of step 'm': expected '}' before end of string\n"
     "  a brace that is meant is written twice: {{ or }}"),
    ("one file for two", "@step(save_to='a/../m.txt')\ndef m():\n    return 1\n@step(save_to='//m.txt')\ndef n():\n    return 1\n",
     "pipeline_x.py:6: pipeline_x.py::n is saved to m.txt, and so is pipeline_x.py::m (pipeline_x.py:3)\n"
     "  give each a file of its own; {variant} and {key} may stand in save_to"),
    ("no path", "@step(save_to=3)\ndef m():\n    return 1\n",
     "pipeline_x.py:3: @step(save_to=…) takes the path of a file, such as \"out/table.csv\", not 3\n    @step(save_to=3)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in WRONG], ids=[row[0].replace(" ", "-") for row in WRONG])
def test_paths_that_cannot_be(stepcache_project: Project, text: str, said: str) -> None:
    lay_out(stepcache_project, text)
    result = stepcache_project.run()
    assert (result.exit_code, result.errors) == (2, [said])


def test_a_path_that_cannot_be_written_loses_nothing(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE + "@step\ndef more(words):\n    return words\n")
    project.write("out", "a file")
    for outcome in ("ran", "cached"):
        result = project.run()
        assert result.exit_code == 1
        assert result.outcomes == {f"pipeline_x.py::{name}": outcome for name in ("words", "more")}
        assert warned(result) == ["pipeline_x.py::words: its value is not saved to out/words.json: File exists: out"]
    (project.path / "out").unlink()
    (project.path / FILE).mkdir(parents=True)
    result = project.run()
    assert warned(result) == [
        "pipeline_x.py::words: its value is not saved to out/words.json: there is a folder of that name"
    ]
    (project.path / FILE).rmdir()
    assert (project.run().exit_code, content(project)) == (0, '{\n  "count": 2\n}\n')


def test_what_fails_while_it_is_written_leaves_the_old_file(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, "@step(save_to='rows.csv')\ndef rows(last='b'):\n    return [['a'], [last]]\n")
    project.run()
    project.edit("pipeline_x.py", "[last]", "last")
    assert project.run("-P", "last=c").exit_code == 1
    assert content(project, "rows.csv") == "a\nb\n"
    assert {*os.listdir(project.path)} - {"__pycache__"} == {"pipeline_x.py", "pyproject.toml", "rows.csv"}


def test_a_link_and_the_files_mode_are_kept(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE)
    project.run()
    path = project.path / FILE
    path.chmod(0o640)
    path.rename(project.path / "elsewhere.json")
    path.symlink_to("../elsewhere.json")
    project.run("-P", "count=3", "--force-save")
    assert path.is_symlink()
    assert json.loads(content(project, "elsewhere.json")) == {"count": 3}
    assert (project.path / "elsewhere.json").stat().st_mode & 0o777 == 0o640


def test_who_reads_the_file_runs_when_it_changes(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(
        project,
        ONE + "@step\ndef reader(words, path=File('out/words.json')):\n    return path.read_text()\n"
        "@step\ndef opener(words, root=str(Path(__file__).parent)):\n    return open(root + '/out/words.json').read()\n",
    )

    def ran(*arguments: str) -> list[str]:
        return project.run(*arguments).ran

    assert ran() == ["words", "reader", "opener"]
    assert ran() == []
    (project.path / FILE).unlink()
    assert ran() == []
    project.write(FILE, "edited")
    assert ran() == ["reader", "opener"]
    assert ran("--force-save") == []
    assert ran("-P", "count=3") == ["words", "reader", "opener"]
    assert ran() == []


def test_nothing_is_written_where_nothing_runs_nor_for_values_that_were_given(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, ONE + "@step(save_to='more.json')\ndef more(words):\n    return words\n")
    for arguments in (("--plan",), ("--fail-on-miss",), ("--co",)):
        project.run(*arguments)
    stepcache.run(values={"words": {"count": 0}}, check=True)
    assert sorted(p.suffix for p in project.path.iterdir() if p.is_file()) == [".py", ".toml"]
    project.run()
    (project.path / FILE).unlink()
    project.run("--plan")
    assert stepcache.load("pipeline_x.py::words") == {"count": 2}
    assert not (project.path / FILE).exists()


def test_a_value_that_is_gone_is_made_again_for_its_file(stepcache_project: Project) -> None:
    project = stepcache_project
    lay_out(project, "@step(save_to='big.txt')\ndef big():\n    print('made')\n    return 'x' * 3_000_000\n")
    project.run()
    blobs = [p for p in (project.cache / "blobs").rglob("*") if p.is_file()]
    assert len(blobs) == 1
    blobs[0].write_bytes(b"damaged" + blobs[0].read_bytes()[7:])
    (project.path / "big.txt").unlink()
    assert project.run().exit_code == 0
    assert content(project, "big.txt") == "x" * 3_000_000


# --- formats ----------------------------------------------------------------------------------

FORMATS = [
    ("rows.csv", "[{'a': 1, 'b': 'x,y'}, {'a': 2, 'c': 3}]", b'a,b,c\n1,"x,y",\n2,,3\n'),
    ("rows.csv", "[('a', 1), ['b', 2]]", b"a,1\nb,2\n"),
    ("rows.csv", "__import__('numpy').arange(4).reshape(2, 2)", b"0,1\n2,3\n"),
    ("a.json", "{'p': Path('a/b'), 'd': __import__('datetime').date(2024, 2, 29), 's': {2, 1}, 'u': 'é'}",
     '{\n  "p": "a/b",\n  "d": "2024-02-29",\n  "s": [\n    1,\n    2\n  ],\n  "u": "é"\n}\n'.encode()),
    ("a.json", "__import__('numpy').arange(2)", b"[\n  0,\n  1\n]\n"),
    ("a.txt", "'é\\n'", "é\n".encode()),
    ("a.txt", "['a', 'b']", b"a\nb\n"),
    ("a.txt", "1.5", b"1.5\n"),
    ("A.MD", "'# Text'", b"# Text"),
    ("noext", "b'\\0\\1'", b"\0\1"),
    ("a.bin", "b'\\0\\1'", b"\0\1"),
    ("a.csv", "'a;b\\n'", None),
    ("a.png", "b'\\x89PNG'", b"\x89PNG"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "wanted"), FORMATS, ids=[f"{name}:{value[:12]}" for name, value, _ in FORMATS]
)
def test_formats(stepcache_project: Project, name: str, value: str, wanted: bytes | None) -> None:
    lay_out(stepcache_project, f"@step(save_to={name!r})\ndef a():\n    return {value}\n")
    result = stepcache_project.run()
    if wanted is None:
        said = "a str cannot be written as .csv: a table or a list of rows can be"
        assert warned(result) == [f"pipeline_x.py::a: its value is not saved to {name}: {said}"]
    else:
        assert result.exit_code == 0, result.stdout
        assert (stepcache_project.path / name).read_bytes() == wanted


def test_a_suffix_that_is_not_known_says_which_are(stepcache_project: Project) -> None:
    lay_out(stepcache_project, "@step(save_to='a.xyz')\ndef a():\n    return {}\n")
    known = ".csv, .parquet, .json, .txt, .npy, .npz, .png, .svg, .pdf, .jpg, .pickle, .pkl"
    assert warned(stepcache_project.run()) == [
        f"pipeline_x.py::a: its value is not saved to a.xyz: a dict cannot be written as .xyz: the suffixes known are {known}"
    ]


def test_arrays_and_pickles_are_read_by_their_own_libraries(stepcache_project: Project) -> None:
    numpy = pytest.importorskip("numpy")
    project = stepcache_project
    lay_out(
        project,
        "import numpy\n@step(save_to='a.npy')\ndef a():\n    return numpy.arange(3)\n"
        "@step(save_to='b.npz')\ndef b(a):\n    return {'a': a}\n@step(save_to='c.pickle')\ndef c(a):\n    return {(1,): a}\n",
    )
    assert project.run().exit_code == 0
    assert numpy.load(project.path / "a.npy").tolist() == [0, 1, 2]
    assert numpy.load(project.path / "b.npz")["a"].tolist() == [0, 1, 2]
    assert pickle.loads((project.path / "c.pickle").read_bytes())[(1,)].tolist() == [0, 1, 2]  # type: ignore[index]


def test_safe_formats_refuse_a_pickle(stepcache_project: Project) -> None:
    stepcache_project.configure("formats = 'safe'\n")
    lay_out(stepcache_project, "@step(save_to='c.pkl')\ndef c():\n    return {'a': 1}\n")
    said = 'formats = "safe" refuses pickle'
    assert warned(stepcache_project.run()) == [f"pipeline_x.py::c: its value is not saved to c.pkl: {said}"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json"])
def test_data_frames(stepcache_project: Project, name: str) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    project = stepcache_project
    lay_out(
        project, f"import pandas\n@step(save_to={name!r})\ndef a():\n    return pandas.DataFrame({{'x': [1, 2]}})\n"
    )
    assert project.run().exit_code == 0
    read = {"a.csv": pandas.read_csv, "a.parquet": pandas.read_parquet, "a.json": pandas.read_json}[name]
    pandas.testing.assert_frame_equal(read(project.path / name), pandas.DataFrame({"x": [1, 2]}))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.json"])
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_tables(stepcache_project: Project, name: str, library: str) -> None:
    pytest.importorskip(library)
    if (library, name) == ("pyarrow", "a.json"):
        pytest.skip("pyarrow writes no JSON")
    made = {"polars": "polars.DataFrame({'x': [1, 2]})", "pyarrow": "pyarrow.table({'x': [1, 2]})"}[library]
    project = stepcache_project
    lay_out(project, f"import {library}\n@step(save_to={name!r})\ndef a():\n    return {made}\n")
    result = project.run()
    assert result.exit_code == 0, result.stdout
    first = (project.path / name).read_bytes()
    (project.path / name).unlink()
    assert project.run().exit_code == 0
    assert (project.path / name).read_bytes() == first


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
def test_figures(stepcache_project: Project, name: str) -> None:
    pytest.importorskip("matplotlib")
    project = stepcache_project
    lay_out(
        project,
        f"@step(save_to={name!r})\ndef a():\n    import matplotlib\n    matplotlib.use('agg')\n"
        "    from matplotlib import pyplot\n    figure, axes = pyplot.subplots()\n    axes.plot([1, 2])\n"
        "    pyplot.close(figure)\n    return figure\n",
    )
    assert project.command().exit_code == 0
    first = (project.path / name).read_bytes()
    assert first.startswith({"a.png": b"\x89PNG", "a.svg": b"<?xml", "a.pdf": b"%PDF"}[name])
    (project.path / name).unlink()
    result = project.command()
    assert (result.outcomes, result.exit_code) == ({"pipeline_x.py::a": "cached"}, 0)
    assert (project.path / name).read_bytes() == first


def test_a_codecs_suffix(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "stepconf.py",
        """
        from stepcache import hookimpl
        from stepcache.store.codecs import Encoded

        class Upper:
            name, safe, types, suffixes = "upper", True, ("builtins.complex",), (".cplx",)
            def takes(self, value):
                return True
            def encode(self, value):
                return Encoded((f"{value.real} {value.imag}".encode(),))
            def decode(self, data):
                return complex(*map(float, bytes(data).split()))

        def stepcache_codecs():
            return [Upper()]
        """,
    )
    lay_out(project, "@step(save_to='a.cplx')\ndef a():\n    return 1+2j\n")
    assert project.run().exit_code == 0
    assert content(project, "a.cplx") == "1.0 2.0"
