"""What a result depends on: from a node to its key, and from a key to a hit or a miss with reasons.

Code, read in this order: syntax, scopes, table, naming and source (one file's definitions, normalised), installed and
modules (what is project code, which distribution owns the rest), spaces, vertex, walking, bytecode, introspect, value,
objects, effects, touching, late and follow (from names to what they mean, live or by source), methods (which methods
count), canonical and reach (the digest of all that is reached), restless and quiet (what an import may do besides).

Reads: events, callers, matching, scripts, children, mentions, native, wrappers, hook and listen (how reads are seen),
places, watch and observe (one node's reads), rules (what counts), conclude (what was seen, as observations),
remembered, holdings, usages and stains (what would hide reads), files, environment and look (digests of what there is
now).

Both together: ingredients (all that goes into a key) and decide (hit, or miss and why).
"""
