"""The codecs at work in runs."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pandas as pd
import pytest

import stepcache
import stepcache_arrow

FRAMES = """
import pandas as pd

from stepcache import pipeline, step


@step
def table(layout="whole"):
    whole = pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, 4.5], "c": ["x", None]})
    if layout == "whole":
        return whole
    parts = pd.DataFrame(index=whole.index)
    for name in whole:
        parts[name] = whole[name].iloc[::-1].iloc[::-1]
    return parts


@step
def total(table):
    return table[["a", "b"]].sum()


@pipeline
def report(total):
    return float(total.sum())
"""

LAZY = """
import polars as pl

from stepcache import step


@step
def plan():
    return pl.LazyFrame({"a": [1]})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEPCACHE_KEY", "the key of these tests, which is long enough")
    monkeypatch.setenv("STEPCACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "stepcache.toml").write_text('formats = "safe"\n', encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def run(file: Path, text: str, **params: object) -> stepcache.Run:
    file.write_text(text, encoding="utf-8")
    loaded = "stepcache_arrow" in {point.value for point in importlib.metadata.entry_points(group="stepcache")}
    return stepcache.run(str(file), params=params, plugins=[] if loaded else [stepcache_arrow])


def outcomes(finished: stepcache.Run) -> list[str]:
    assert finished.exit_code == 0
    return [row["outcome"] for row in finished.nodes]


def test_frames_are_kept_without_pickle(project: Path) -> None:
    file = project / "pipeline_frames.py"
    first = run(file, FRAMES)
    assert outcomes(first) == ["ran", "ran", "ran"]
    second = run(file, FRAMES)
    assert outcomes(second) == ["cached", "cached", "cached"]
    expected = pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, 4.5], "c": ["x", None]})
    pd.testing.assert_frame_equal(second["table"], expected)
    pd.testing.assert_series_equal(second["total"], expected[["a", "b"]].sum())


def test_an_equal_frame_made_in_another_way_stops_the_wave(project: Path) -> None:
    file = project / "pipeline_frames.py"
    run(file, FRAMES)
    assert outcomes(run(file, FRAMES, layout="parts")) == ["ran", "cached", "cached"]


def test_a_plan_is_not_kept(project: Path) -> None:
    file = project / "pipeline_plan.py"
    assert outcomes(run(file, LAZY)) == ["ran"]
    assert outcomes(run(file, LAZY)) == ["ran"]
