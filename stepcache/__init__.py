"""pytest for pipelines, with a cache you can trust."""
