"""Executing nodes: for each, the answer is found or computed, and it is said why.

Read in this order: work (what goes to an executor and comes back), engine (one node: decided, and its result taken),
schedule (all nodes), inline (an executor), body (one body run): capture (what a node prints), values (what it is
given), resources (live objects), call.
"""
