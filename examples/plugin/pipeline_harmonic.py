"""`harmonic` is nowhere in this file: the plugin offers it."""

from stepcache import pipeline


@pipeline
def approximation(harmonic):
    return float(harmonic)


def check_it_grows_slowly(harmonic):
    assert 3 < harmonic < 4
