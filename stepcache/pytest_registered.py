"""A module that asks for assertion rewriting, so that its loader is the one that rewrites."""
