"""From definitions to nodes: who feeds whom, in which variants, and which of them are in the run. Nothing here reads
files or runs anything.

Read in this order: scope (who is meant by a name), settings and convert (what a setting's value is), wire (which step
feeds which parameter), faults (what is said where none does), family (a bound definition with its variants), order
(closures, gates), select (the run).
"""
