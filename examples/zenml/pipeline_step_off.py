"""Caching off for one step: it runs each time. What comes after it runs only if its value is another."""

from stepcache import pipeline, step


@step(enable_cache=False)
def newest():
    """Asks an outside source, whose answers change unseen. (This one's never do.)"""
    return {"version": 3}


@step
def notes(newest):
    return f"what is new in version {newest['version']}"


@pipeline
def newsletter(notes):
    return notes.upper()
