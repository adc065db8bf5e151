"""The plugin tested as its users have it: `pytest examples/plugin`."""

import pytest


@pytest.fixture
def project(stepcache_project):
    stepcache_project.configure('plugins = ["ratios"]')
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def twice(harmonic):
            return 2 * harmonic
        """,
    )
    return stepcache_project


def test_a_pipeline_asks_for_the_step(project):
    assert project.run().ran == ["harmonic", "twice"]
    assert project.run().ran == []
    assert project.run("-P", "harmonic.terms=2").ran == ["harmonic", "twice"]


def test_the_codec_keeps_its_value(project):
    (harmonic, _) = project.run("-P", "harmonic.terms=2").nodes
    assert harmonic["bytes"] == len("3/2")
