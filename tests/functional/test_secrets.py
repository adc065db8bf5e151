"""What a setting or the environment says in text is nowhere in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepcache.testing import Project


def test_texts_of_settings_and_of_the_environment_are_not_in_the_cache(
    stepcache_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import step

        @step
        def secret(token="none"):
            return len(token) + len(os.environ["REGION_TOKEN"])
        """,
    )
    cache = tmp_path / "kept apart"
    monkeypatch.setenv("REGION_TOKEN", "canary-of-the-environment")
    arguments = ("-P", "secret.token=canary-of-a-setting", f"--cache-dir={cache}")
    first, second = stepcache_project.run(*arguments), stepcache_project.run(*arguments)
    assert first.outcomes == {"pipeline_x.py::secret": "ran"}
    assert second.outcomes == {"pipeline_x.py::secret": "cached"}
    kept = [path.read_bytes() for path in cache.rglob("*") if path.is_file()]
    assert any(len(data) > 10_000 for data in kept)
    assert all(b"canary" not in data for data in kept)
    monkeypatch.setenv("REGION_TOKEN", "another")
    assert stepcache_project.run(*arguments).reasons == {"pipeline_x.py::secret": ["env: REGION_TOKEN"]}
