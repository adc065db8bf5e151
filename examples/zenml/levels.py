"""Caching on and off for one run, from Python."""

from pipeline_default import training_pipeline
from pipeline_off import uncached_pipeline


def outcomes(run):
    return {row["id"].rpartition("::")[2]: row["outcome"] for row in run.nodes}


if __name__ == "__main__":
    print("as written          ", outcomes(training_pipeline.run()))
    print("again               ", outcomes(training_pipeline.run()))
    print("enable_cache=False  ", outcomes(training_pipeline.run(enable_cache=False)))
    print("off by its decorator", outcomes(uncached_pipeline.run()))
    print("enable_cache=True   ", outcomes(uncached_pipeline.run(enable_cache=True)))
