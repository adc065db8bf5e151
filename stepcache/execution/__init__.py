"""Executing nodes: for each, the answer is found or computed, and it is said why.

Read in this order: capture (what a node prints), values (what a node is given), resources (live objects), call (one
body run), engine (one node from decision to row), schedule (all nodes in order).
"""
