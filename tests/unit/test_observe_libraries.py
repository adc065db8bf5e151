"""Ordinary library behaviour costs no hits: what a step was seen to read in one process still holds in the next one,
under another terminal and another session."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import stepcache

# Runs project/step.py under a watch; given observations instead, says which of them do not hold.
RUNNER = """
import json, os, sys
root, mode, given = sys.argv[1:]
os.chdir(root)
from stepcache.key.files import FileDigests
from stepcache.key.observe import Look, Observer, Rules, now
from stepcache.model import Observation

look = Look(root, root, FileDigests(), os.environ, lambda text: text)
if mode == "look":
    found = [Observation(*row) for row in json.loads(given)]
    print(json.dumps([[o.kind, o.name] for o in found if now(o, look) != o.digest]))
else:
    rules = Rules(root, environ=os.environ)
    observer = Observer(lambda file: file.startswith(root + "/"))
    namespace = {"__name__": "step", "__file__": root + "/step.py"}
    with observer.watch_import() as reading:
        exec(compile(open("step.py").read(), root + "/step.py", "exec"), namespace)
    with observer.watch() as watch:
        namespace["step"]()
    seen = watch.conclude(look, rules)
    imported = reading.conclude(look, rules)
    rows = [[o.kind, o.name, o.digest] for o in (*seen.observations, *imported.observations)]
    print(json.dumps({"rows": rows, "notices": seen.notices, "changed": seen.changed + imported.changed}))
"""

TEXTS = "import io\nimport os\nimport subprocess\nimport sys\n"

BODIES = {
    "pandas": """
        import pandas as pd
        frame = pd.read_csv("data.csv")
        frame.groupby("a").b.mean().to_csv("out.csv")
        pd.read_csv("out.csv")
        str(frame)
    """,
    "parquet": """
        import pandas as pd
        pd.read_csv("data.csv").to_parquet("out.parquet")
        pd.read_parquet("out.parquet")
    """,
    "polars": """
        import polars as pl
        frame = pl.read_csv("data.csv")
        frame.write_parquet("out.parquet")
        pl.scan_parquet("out.parquet").collect()
        str(frame)
    """,
    "sklearn": """
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score
        from sklearn.datasets import load_iris
        x, y = load_iris(return_X_y=True)
        cross_val_score(RandomForestClassifier(5, n_jobs=2), x, y, n_jobs=2, cv=2)
    """,
    "joblib": """
        import joblib
        joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in range(4))
        joblib.dump([1], "out.joblib")
        joblib.load("out.joblib")
    """,
    "matplotlib": """
        import matplotlib
        matplotlib.use("agg")
        from matplotlib import pyplot
        figure, axes = pyplot.subplots()
        axes.plot([1, 2], [3, 4])
        axes.set_title("x")
        figure.savefig("out.png")
        figure.savefig(io.BytesIO())
    """,
    "requests": """
        import http.server, threading, requests
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=server.handle_request, daemon=True).start()
        requests.get("http://127.0.0.1:%d/data.csv" % server.server_port, timeout=5)
        server.server_close()
    """,
    "subprocess": """
        environ = dict(os.environ)
        environ["PYTHONHASHSEED"] = "0"
        subprocess.run([sys.executable, "-c", "import os; os.environ"], env=environ, check=True)
        subprocess.run(["sh", "-c", "true"], check=True)
        subprocess.run("ls . | wc -l", shell=True, check=True, stdout=subprocess.DEVNULL)
    """,
    "multiprocessing": """
        import multiprocessing
        for method in ("spawn", "forkserver", "fork"):
            with multiprocessing.get_context(method).Pool(2) as pool:
                pool.map(abs, range(4))
    """,
    "concurrent": """
        from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(abs, range(4)))
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(abs, range(4)))
    """,
    "tempfile": """
        import tempfile, shutil
        with tempfile.TemporaryDirectory() as folder:
            open(folder + "/x", "w").close()
            shutil.copytree(folder, folder + "2")
            os.listdir(folder + "2")
            shutil.rmtree(folder + "2")
        with tempfile.NamedTemporaryFile() as file, tempfile.SpooledTemporaryFile() as other:
            pass
    """,
    "logging": """
        import logging, logging.handlers
        logging.basicConfig(filename="run.log", force=True)
        logging.getLogger().addHandler(logging.handlers.RotatingFileHandler("other.log", maxBytes=10))
        try:
            1 / 0
        except ZeroDivisionError:
            logging.exception("x")
        logging.warning("y")
    """,
    "sqlite": """
        import sqlite3
        connection = sqlite3.connect("out.db")
        connection.execute("drop table if exists t")
        connection.execute("create table t (k)")
        connection.execute("insert into t values (1)")
        connection.commit()
        connection.execute("attach 'second.db' as y")
        connection.execute("create table if not exists y.t (k)")
        connection.close()
    """,
    "asyncio": """
        import asyncio
        async def main():
            await asyncio.to_thread(abs, 1)
            await (await asyncio.create_subprocess_exec("true")).wait()
        asyncio.run(main())
    """,
    "time zones and locales": """
        import datetime, locale, time, email.utils, mimetypes
        time.strftime("%c")
        locale.localeconv()
        datetime.datetime.now().astimezone()
        email.utils.formatdate(localtime=True)
    """,
    "printing": """
        import argparse, pprint, shutil, traceback, warnings
        argparse.ArgumentParser().print_help()
        pprint.pprint(list(range(100)))
        try:
            1 / 0
        except ZeroDivisionError:
            traceback.print_exc()
        warnings.warn("z")
    """,
    "archives": """
        import zipfile, tarfile, pickle, json, gzip
        with zipfile.ZipFile("out.zip", "w") as archive:
            archive.write("data.csv")
        with zipfile.ZipFile("out.zip") as archive:
            archive.extractall("unpacked")
        with tarfile.open("out.tar.gz", "w:gz") as archive:
            archive.add("data.csv")
        os.listdir("unpacked")
    """,
}
NEEDS = {"parquet": "pyarrow", "joblib": "joblib"}


@pytest.mark.parametrize("name", BODIES)
def test_the_second_run_is_a_hit(name: str, tmp_path: Path) -> None:
    module = NEEDS.get(name, name)
    third_party = ("pandas", "polars", "sklearn", "matplotlib", "requests", *NEEDS.values())
    if module in third_party and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    project = Project(tmp_path, BODIES[name])
    first = project.run("watch", {"TERM": "xterm", "COLUMNS": "80", "SHLVL": "1", "WINDOWID": "1", "SSH_TTY": "a"})
    assert first["changed"] == []
    other = {"TERM": "dumb", "COLUMNS": "132", "LINES": "5", "SHLVL": "4", "WINDOWID": "7", "SSH_CONNECTION": "b"}
    assert project.run("look", other, first["rows"]) == []
    warm = project.run("watch", other)
    assert warm["changed"] == []
    assert project.run("look", {"TERM": "xterm"}, warm["rows"]) == []
    if name == "pandas":
        assert ["file", "cwd:data.csv"] in [row[:2] for row in first["rows"]]


class Project:
    """A project of one step, run in processes of its own, with a home of its own."""

    def __init__(self, folder: Path, body: str) -> None:
        self.root, self.home = folder / "proj", folder / "home"
        self.root.mkdir()
        self.home.mkdir()
        (self.root / "data.csv").write_text("a,b\n1,2\n1,4\n3,5\n")
        (self.root / "step.py").write_text(TEXTS + "def step():\n" + textwrap.indent(textwrap.dedent(body), "    "))

    def run(self, mode: str, environ: dict[str, str], rows: object = ()) -> dict[str, list[list[str]]]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")}
        path = str(Path(stepcache.__file__).parent.parent)
        result = subprocess.run(
            [sys.executable, "-c", RUNNER, str(self.root), mode, json.dumps(rows)],
            env={**kept, "HOME": str(self.home), "PYTHONPATH": path, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        found: dict[str, list[list[str]]] = json.loads(result.stdout.splitlines()[-1])
        return found
