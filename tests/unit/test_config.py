"""The command line and the configuration: what is understood, and every error whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepcache.config import (
    Options,
    PluginOption,
    PluginSetting,
    Root,
    find_root,
    first_pass,
    judge_plugin_settings,
    parse_command,
    read_configuration,
)
from stepcache.config.help_text import help_text
from stepcache.config.settings import NORECURSEDIRS
from stepcache.errors import UsageError

SIZE = 'a size such as "10 GiB", "500 MB" or a number of bytes'
LEVEL = "a level such as DEBUG, INFO, WARNING or ERROR, or a number"
PATTERNS = 'texts that begin with "env:" or "file:"'


def parse(*args: str, env: str = "", addopts: tuple[str, ...] = (), extra: tuple[PluginOption, ...] = ()) -> Options:
    return parse_command(args, {"STEPCACHE_ADDOPTS": env}, extra, addopts)


def wrong(*args: str, **more) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*args, **more)
    return str(caught.value)


class TestCommand:
    def test_defaults(self):
        options = parse()

        assert options.args == ()
        assert (options.keyword, options.markexpr, options.maxfail, options.verbosity) == ("", "", 0, 0)
        assert (options.capture, options.tb, options.color, options.reportchars) == ("fd", "auto", "auto", "fEbw")
        assert (options.cache, options.cache_refresh, options.cache_show, options.cache_gc) == (None, None, None, None)

    @pytest.mark.parametrize(
        ("args", "name", "expected"),
        [
            (["-k", "a and b"], "keyword", "a and b"),
            (["-ka"], "keyword", "a"),
            (["-k=a"], "keyword", "a"),
            (["-m", "slow"], "markexpr", "slow"),
            (["-x"], "maxfail", 1),
            (["--exitfirst"], "exitfirst", True),
            (["--maxfail=3"], "maxfail", 3),
            (["--maxfail", "3"], "maxfail", 3),
            (["--maxfail=3"], "exitfirst", False),
            (["--lf"], "lf", True),
            (["--last-failed"], "lf", True),
            (["--ff"], "ff", True),
            (["-v"], "verbosity", 1),
            (["-vv"], "verbosity", 2),
            (["-vvq"], "verbosity", 1),
            (["-q", "--quiet"], "verbosity", -2),
            (["-s"], "capture", "no"),
            (["--capture=sys"], "capture", "sys"),
            (["-l"], "showlocals", True),
            (["-rA"], "reportchars", "PpcsgbfEw"),
            (["-ra"], "reportchars", "sgbfEw"),
            (["-r", "fs"], "reportchars", "fsw"),
            (["-rN"], "reportchars", "w"),
            (["--tb=short"], "tb", "short"),
            (["--durations=0"], "durations", 0),
            (["--collect-only"], "collect_only", True),
            (["--co"], "collect_only", True),
            (["--ignore", "a", "--ignore=b"], "ignore", ("a", "b")),
            (["--deselect=x::y"], "deselect", ("x::y",)),
            (["--continue-on-collection-errors"], "continue_on_collection_errors", True),
            (["-c", "a.toml"], "config_file", "a.toml"),
            (["-o", "formats=safe"], "overrides", ("formats=safe",)),
            (["--rootdir=x"], "rootdir", "x"),
            (["-p", "arrow", "-p", "no:junit"], "plugins", ("arrow", "no:junit")),
            (["-W", "error"], "warnings", ("error",)),
            (["--log-level=info"], "log_level", 20),
            (["--log-level=15"], "log_level", 15),
            (["--markers"], "markers", True),
            (["--strict-markers"], "strict_markers", True),
            (["--strict-config"], "strict_config", True),
            (["--color=yes"], "color", "yes"),
            (["--no-header"], "no_header", True),
            (["--no-summary"], "no_summary", True),
            (["--trace-config"], "trace_config", True),
            (["-V"], "version", True),
            (["-h"], "help", True),
            (["--steps"], "steps", True),
            (["--plan"], "plan", True),
            (["--why"], "why", True),
            (["-P", "a=1", "--param", "s.b=x=y", "-Pc="], "params", (("a", "1"), ("s.b", "x=y"), ("c", ""))),
            (["--profile=ci"], "profile", "ci"),
            (["--no-checks"], "no_checks", True),
            (["--json=-"], "json", "-"),
            (["--json", "-"], "json", "-"),
            (["--no-cache"], "cache", "off"),
            (["--no-cache"], "no_cache", True),
            (["--cache=off"], "no_cache", True),
            (["--cache=readonly"], "cache", "readonly"),
            (["--cache", "on"], "cache", "on"),
            (["--cache-clear"], "cache_clear", True),
            (["--cache-refresh"], "cache_refresh", True),
            (["--cache-refresh=a or b"], "cache_refresh", "a or b"),
            (["--fail-on-miss"], "fail_on_miss", True),
            (["--cache-show"], "cache_show", True),
            (["--cache-show=*x*"], "cache_show", "*x*"),
            (["--cache-gc"], "cache_gc", True),
            (["--cache-gc=1.5 GiB"], "cache_gc", 3 * 2**29),
            (["--cache-verify"], "cache_verify", True),
            (["--cache-dir=d"], "cache_dir", "d"),
            (["-xvs"], "capture", "no"),
            (["-xk", "a"], "keyword", "a"),
        ],
    )
    def test_each_option(self, args: list[str], name: str, expected: object):
        assert getattr(parse(*args), name) == expected

    def test_options_and_arguments_may_be_mixed(self):
        options = parse("a", "-v", "b::c[1]", "--", "-x")

        assert options.args == ("a", "b::c[1]", "-x")
        assert (options.verbosity, options.maxfail) == (1, 0)

    def test_an_optional_value_needs_an_equals_sign(self):
        options = parse("--cache-refresh", "pipelines/")

        assert options.cache_refresh is True
        assert options.args == ("pipelines/",)

    def test_the_later_wins(self):
        assert parse("--tb=long", "--tb=short").tb == "short"
        assert parse("--no-cache", "--cache=on").cache == "on"

    def test_addopts_then_environment_then_command_line(self):
        options = parse("-k", "c", env="-k b --tb=short -v", addopts=("-k", "a", "--tb=line", "--lf"))

        assert (options.keyword, options.tb, options.verbosity, options.lf) == ("c", "short", 1, True)

    def test_a_file_of_arguments(self, tmp_path: Path):
        (tmp_path / "more").write_text("--lf\n")
        (tmp_path / "args").write_text(f"pipeline_a.py::model[a b]\n\n-k\nx y\n@{tmp_path}/more\n")
        options = parse(f"@{tmp_path}/args")

        assert (options.args, options.keyword, options.lf) == (("pipeline_a.py::model[a b]",), "x y", True)

    def test_the_first_pass_passes_over_what_it_does_not_know(self):
        found = first_pass(["-xp", "one", "--unknown=3", "-c", "f.toml", "-o", "a=b", "dir", "-Z"], {}, ("-p", "zero"))

        assert found.plugins == ("zero", "one")
        assert (found.config_file, found.overrides, found.args) == ("f.toml", ("a=b",), ("dir",))


class TestCommandErrors:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--lff"], "unknown option '--lff'; did you mean '--lf'?\n'stepcache --help' lists all options"),
            (["--Tb=short"], "unknown option '--Tb'; did you mean '--tb'?\n'stepcache --help' lists all options"),
            (["--xyzzy"], "unknown option '--xyzzy'\n'stepcache --help' lists all options"),
            (["-Z"], "unknown option '-Z'\n'stepcache --help' lists all options"),
            (["-xZ"], "unknown option '-Z'\n'stepcache --help' lists all options"),
            (["--fixtures"], "unknown option '--fixtures': here it is '--steps'"),
            (["--setup-show"], "unknown option '--setup-show': here it is '--plan'"),
            (["--setup-plan"], "unknown option '--setup-plan': here it is '--plan'"),
            (["--collectonly"], "unknown option '--collectonly': here it is '--collect-only'"),
            (["-p", "a=b"], "-p expects the name of a plugin (a setting is given with '-P a=b'), not 'a=b'"),
            (["-P", "a"], "-P expects NAME=VALUE or STEP.NAME=VALUE, not 'a'"),
            (["-o", "a"], "-o expects KEY=VALUE, not 'a'"),
            (["--maxfail=x"], "--maxfail expects a whole number, not 'x'"),
            (["--tb=shrot"], "--tb expects auto, long, short, line, native or no, not 'shrot'"),
            (["--cache=maybe"], "--cache expects on, off or readonly, not 'maybe'"),
            (["--cache-gc=much"], f"--cache-gc expects {SIZE}, not 'much'"),
            (["--log-level=loud"], f"--log-level expects {LEVEL}, not 'loud'"),
            (["-ry"], "-r expects characters among fEbsgcpPwaAN, not 'y'"),
            (["-k"], "-k needs a value: -k EXPRESSION"),
            (["-k", "-x"], "-k needs a value: -k EXPRESSION"),
            (["--json"], "--json needs a value: --json=PATH"),
            (["--lf=3"], "--lf takes no value, and '3' was given"),
        ],
    )  # fmt: skip
    def test_each_message(self, args: list[str], message: str):
        assert wrong(*args) == message

    def test_where_the_argument_was_written_is_told(self, tmp_path: Path):
        (tmp_path / "args").write_text("\n--lff\n")
        lff = "unknown option '--lff'; did you mean '--lf'?{}\n'stepcache --help' lists all options"

        assert wrong(env="--lff") == lff.format(" (in STEPCACHE_ADDOPTS)")
        assert wrong(addopts=("--lff",)) == lff.format(" (in addopts of the configuration)")
        assert wrong(f"@{tmp_path}/args") == lff.format(f" (in {tmp_path}/args:2)")
        assert wrong(env="'") == "STEPCACHE_ADDOPTS cannot be split into arguments: No closing quotation"

    def test_files_of_arguments(self, tmp_path: Path):
        (tmp_path / "self").write_text(f"@{tmp_path}/self")

        assert wrong("@/none/such") == "cannot read @/none/such: No such file or directory"
        assert wrong(f"@{tmp_path}/self") == f"@{tmp_path}/self names itself (in {tmp_path}/self:1)"

    def test_what_is_not_there_is_refused(self):
        assert wrong("--no-such").startswith("unknown option '--no-such'")


class TestPluginOptions:
    REGION = PluginOption("--region", default="eu", choices=("eu", "us"), help="where to run", group="cloud")

    def test_they_are_parsed_with_the_others(self):
        extra = (self.REGION, PluginOption("--dry", action="store_true"), PluginOption("--tag", action="append"))
        options = parse("--region=us", "--tag=a", "--tag", "b", "-v", extra=extra)

        assert options.plugin_options == {"region": "us", "dry": False, "tag": ("a", "b")}
        assert parse(extra=extra).plugin_options == {"region": "eu", "dry": False, "tag": ()}

    def test_their_name_may_be_a_field_of_ours(self):
        options = parse("--keyword=x", extra=(PluginOption("--keyword"),))

        assert (options.keyword, options.plugin_options) == ("", {"keyword": "x"})

    def test_errors(self):
        assert wrong("--region=uk", extra=(self.REGION,)) == "--region expects eu or us, not 'uk'"
        assert wrong(extra=(PluginOption("--lf"),)) == "a plugin adds the option --lf, which exists already"
        assert wrong(extra=(PluginOption("-z"),)) == "a plugin adds the option '-z'; options of plugins begin with '--'"

    def test_help_shows_them(self):
        assert "\ncloud:\n  --region=REGION           where to run\n" in help_text([self.REGION])


def test_help_names_the_keys_of_the_configuration():
    text = help_text((), [PluginSetting("region_file", help="a file with the regions")])
    told = text.partition("[tool.stepcache] in pyproject.toml, or stepcache.toml:\n")[2].partition("\n\n")[0]
    assert told.splitlines()[0] == "  minversion                the oldest stepcache that the project works with"
    assert told.splitlines()[-1] == "  region_file               a file with the regions"


def test_help_names_every_option():
    text = help_text()

    for told in (
        "-k EXPRESSION",
        "-P [STEP.]NAME=VALUE, --param",
        "--cache-refresh[=EXPRESSION]",
        "--json=PATH",
        "--collect-only, --co ",
    ):
        assert told in text
    assert all(len(line) <= 80 for line in text.splitlines())


class TestRoot:
    def test_the_nearest_directory_with_our_table(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("[tool.stepcache]\n")
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        (tmp_path / "a" / "pyproject.toml").write_text("[project]\n")

        assert find_root([], inner) == Root(tmp_path, tmp_path / "pyproject.toml", {})

    def test_a_pyproject_without_the_table_marks_the_root_if_there_is_no_better(self, tmp_path: Path):
        inner = tmp_path / "a" / "b"
        inner.mkdir(parents=True)
        for folder in (tmp_path, tmp_path / "a"):
            (folder / "pyproject.toml").write_text("[project]\n")

        assert find_root([], inner) == Root(tmp_path / "a", tmp_path / "a" / "pyproject.toml", {})

    def test_stepcache_toml_comes_first_and_counts_even_if_empty(self, tmp_path: Path):
        (tmp_path / "stepcache.toml").write_text("")
        (tmp_path / "pyproject.toml").write_text("[tool.stepcache]\nmarkers = ['a']\n")

        assert find_root([], tmp_path) == Root(tmp_path, tmp_path / "stepcache.toml", {})

    def test_stepcache_toml_holds_the_keys_at_its_top_or_in_the_table(self, tmp_path: Path):
        for text in ("markers = ['a']", "[tool.stepcache]\nmarkers = ['a']"):
            (tmp_path / "stepcache.toml").write_text(text)

            assert find_root([], tmp_path).table == {"markers": ["a"]}

    def test_setup_py(self, tmp_path: Path):
        inner = tmp_path / "a"
        inner.mkdir()
        (tmp_path / "setup.py").write_text("")

        assert find_root([], inner) == Root(tmp_path)

    def test_the_arguments_count_not_the_working_directory(self, tmp_path: Path):
        for name in ("one", "two"):
            (tmp_path / name / "pipes").mkdir(parents=True)
        (tmp_path / "two" / "stepcache.toml").write_text("")
        args = ["../two/pipes/pipeline_x.py::best[a/b]"]
        (tmp_path / "two/pipes/pipeline_x.py").write_text("")

        assert find_root(args, tmp_path / "one").directory == tmp_path / "two"

    def test_without_anything_the_common_ancestor(self, tmp_path: Path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()

        assert find_root(["a", "b"], tmp_path).directory == tmp_path
        assert find_root(["../b"], tmp_path / "a").directory == tmp_path

    def test_explicit_ones(self, tmp_path: Path):
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "my.toml").write_text("markers = ['a']")
        file = tmp_path / "conf" / "my.toml"

        assert find_root([], tmp_path, None, "conf/my.toml") == Root(tmp_path / "conf", file, {"markers": ["a"]})
        assert find_root([], tmp_path, ".", "conf/my.toml") == Root(tmp_path, file, {"markers": ["a"]})
        assert find_root([], tmp_path, None, "/dev/null") == Root(tmp_path)

    @pytest.mark.parametrize(
        ("rootdir", "config", "message"),
        [
            ("none", None, "--rootdir: there is no directory {}/none"),
            (None, "none.toml", "-c none.toml: {}/none.toml does not exist; it takes a .toml file"),
            (None, ".", "-c .: {} is a directory; it takes a .toml file"),
            (None, "x.ini", "-c x.ini: configuration is written in TOML, and the file's name does not end in .toml"),
        ],
    )
    def test_errors(self, tmp_path: Path, rootdir: str | None, config: str | None, message: str):
        (tmp_path / "x.ini").write_text("")
        with pytest.raises(UsageError) as caught:
            find_root([], tmp_path, rootdir, config)

        assert str(caught.value) == message.format(tmp_path)


FULL = """\
[project]
name = "x"

[tool.stepcache]
minversion = "0.1"
addopts = "-v -k 'a b'"
pipelinepaths = ["pipes"]
pipeline_files = ["p_*.py"]
norecursedirs = ["old"]
pythonpath = ["src"]
plugins = ["arrow"]
markers = ["slow: takes long"]
filterwarnings = ["error"]
cache_dir = "../cache"
cache_max_size = "2 GiB"
compression_level = 3
durability = "fsync"
formats = "safe"
observe_ignore = ["env:AWS_*", "file:~/.netrc"]

[tool.stepcache.params]
lr = 0.1
train.depth = 3

[tool.stepcache.profile.ci.params]
lr = 0.5
"""


class TestConfiguration:
    @pytest.fixture(autouse=True)
    def in_project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)

    def read(self, text: str, overrides: tuple[str, ...] = (), name: str = "pyproject.toml", version: str = "0.1.0"):
        Path(name).write_text(text)
        return read_configuration(find_root([], Path.cwd()), overrides, version)

    def wrong(self, text: str, overrides: tuple[str, ...] = (), name: str = "pyproject.toml") -> str:
        with pytest.raises(UsageError) as caught:
            judge_plugin_settings(self.read(text, overrides, name), ())
        return str(caught.value)

    def test_everything(self, tmp_path: Path):
        found = self.read(FULL)

        assert found.root == tmp_path
        assert found.file == tmp_path / "pyproject.toml"
        assert found.addopts == ("-v", "-k", "a b")
        assert (found.pipelinepaths, found.pipeline_files, found.norecursedirs) == (("pipes",), ("p_*.py",), ("old",))
        assert (found.pythonpath, found.plugins, found.markers) == (("src",), ("arrow",), ("slow: takes long",))
        assert (found.filterwarnings, found.cache_dir) == (("error",), tmp_path.parent / "cache")
        assert (found.cache_max_size, found.compression_level) == (2 * 2**30, 3)
        assert (found.durability, found.formats) == ("fsync", "safe")
        assert found.observe_ignore == ("env:AWS_*", "file:~/.netrc")
        assert found.params == {"lr": 0.1, "train": {"depth": 3}}
        assert found.profiles == {"ci": {"lr": 0.5}}
        assert found.place("params", "train", "depth") == "pyproject.toml:23"
        assert found.place("profile", "ci", "params", "lr") == "pyproject.toml:26"

    def test_defaults(self, tmp_path: Path):
        found = read_configuration(Root(tmp_path))

        assert (found.pipeline_files, found.norecursedirs) == (("pipeline_*.py",), NORECURSEDIRS)
        assert (found.cache_dir, found.cache_max_size, found.compression_level) == (None, 10 * 2**30, 1)
        assert (found.durability, found.formats, found.params, found.profiles) == ("normal", "any", {}, {})

    def test_overrides(self):
        found = self.read(
            FULL, ("pipelinepaths=a 'b c'", "markers=['x']", "cache_max_size=1MB", "formats=any", "compression_level=9")
        )

        assert (found.pipelinepaths, found.markers) == (("a", "b c"), ("x",))
        assert (found.cache_max_size, found.formats, found.compression_level) == (10**6, "any", 9)

    def test_keys_of_plugins(self):
        settings = (
            PluginSetting("region"),
            PluginSetting("tries", 3, type="int"),
            PluginSetting("names", (), type="list"),
        )
        found = self.read('[tool.stepcache]\nregion = "eu"\n', ("names=a b",))

        assert judge_plugin_settings(found, settings).plugin_options == {
            "region": "eu",
            "tries": 3,
            "names": ("a", "b"),
        }

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("minversoin = '1'", "unknown key 'minversoin'; did you mean 'minversion'?"),
            ("testpaths = ['a']", "unknown key 'testpaths': here it is 'pipelinepaths'"),
            ("pipelinepaths = 'a'", "pipelinepaths expects a list of texts, not 'a'"),
            ("markers = [1]", "markers expects a list of texts, not [1]"),
            ("addopts = 3", "addopts expects text or a list of texts, not 3"),
            ("""addopts = "'" """, "addopts expects arguments that can be split (No closing quotation), not \"'\""),
            ("cache_dir = true", "cache_dir expects the path of a folder, not true"),
            ("cache_max_size = '10 GiBs'", f"cache_max_size expects {SIZE}, not '10 GiBs'"),
            ("compression_level = 30", "compression_level expects a number from 1 to 22, not 30"),
            ("compression_level = '3'", "compression_level expects a number from 1 to 22, not '3'"),
            ("durability = 'high'", "durability expects normal or fsync, not 'high'"),
            ("formats = 'unsafe'", "formats expects any or safe, not 'unsafe'"),
            ("observe_ignore = ['AWS']", f"observe_ignore expects {PATTERNS}, not ['AWS']"),
            ("params = 3", "params expects a table, not 3"),
            ("minversion = 'x'", "minversion expects a version such as '0.1', not 'x'"),
            ("minversion = '0.2'", "this project needs stepcache 0.2 or later, and this is 0.1.0"),
            ("profile = 3", "profile expects tables: [profile.NAME.params]"),
            ("profile.ci = 3", "profile.ci expects a table, not 3"),
            ("profile.ci.parms = {}", "unknown key 'profile.ci.parms'; settings stand in profile.ci.params"),
            ("profile.ci.params = 3", "profile.ci.params expects a table, not 3"),
        ],
    )  # fmt: skip
    def test_errors_name_file_and_line(self, line: str, message: str):
        assert self.wrong(f"[tool.stepcache]\n\n{line}\n") == f"pyproject.toml:3: {message}"

    def test_the_line_in_a_stepcache_toml(self):
        assert self.wrong("\nformats = 'x'\n", name="stepcache.toml") == (
            "stepcache.toml:2: formats expects any or safe, not 'x'"
        )

    def test_the_same_key_of_another_tool_is_not_meant(self):
        text = "[tool.pytest.ini_options]\nmarkers = ['a']\n[tool.stepcache]\nmarkers = 3\n"

        assert self.wrong(text) == "pyproject.toml:4: markers expects a list of texts, not 3"

    def test_bad_toml(self):
        assert (
            self.wrong("[tool.stepcache]\nmarkers = [1,\n x]\n") == "pyproject.toml:3:2: not valid TOML: Invalid value"
        )
        assert self.wrong("[tool.stepcache]\nmarkers = [") == "pyproject.toml:2:12: not valid TOML: Invalid value"
        assert self.wrong("[tool]\nstepcache = 3\n") == (
            "pyproject.toml:2: tool.stepcache is to be a table: [tool.stepcache]"
        )
        Path("pyproject.toml").write_bytes(b"[tool.stepcache]\n# \xff")
        with pytest.raises(UsageError, match=r"^pyproject\.toml:2: not valid TOML: not UTF-8$"):
            find_root([], Path.cwd())

    def test_a_file_as_windows_editors_write_it(self):
        Path("stepcache.toml").write_bytes(b"\xef\xbb\xbfmarkers = ['slow: takes long']\r\n")
        assert read_configuration(find_root([], Path.cwd())).markers == ("slow: takes long",)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("formats=x", "-o formats=x: formats expects any or safe, not 'x'"),
            ("fromats=x", "-o fromats=x: unknown key 'fromats'; did you mean 'formats'?"),
            ("params=x", "-o params=x: settings are given with -P NAME=VALUE"),
        ],
    )
    def test_errors_in_overrides(self, override: str, message: str):
        assert self.wrong("[tool.stepcache]\n", (override,)) == message

    def test_errors_in_keys_of_plugins(self):
        found = self.read("[tool.stepcache]\ntries = 'x'\n")

        with pytest.raises(UsageError, match=r"^pyproject\.toml:2: tries expects a whole number, not 'x'$"):
            judge_plugin_settings(found, (PluginSetting("tries", type="int"),))
