"""From files to definitions: which files hold pipelines, their modules, and what those define.

Read in this order: search (names and places of modules), discover (arguments to files), bytecode and load (importing
project modules from source), imports (what a source imports), moved and again (what is imported again), harvest (a
module's definitions), packed and snapshot (what is known of files without importing them), collection (all of it
together), broken (what is said of a file that cannot be imported).
"""
