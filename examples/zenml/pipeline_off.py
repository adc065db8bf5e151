"""Caching off for a pipeline: it and every step in it run each time, whatever the steps say."""

from training import line

from stepcache import pipeline


@pipeline(enable_cache=False)
def uncached_pipeline(line):
    return "slope {}, intercept {}".format(*line)
