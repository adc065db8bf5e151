"""From files to definitions: which files hold pipelines, their modules, and what those define.

Read in this order: discover (arguments to files), bytecode and load (importing project modules from source), imports
(what a source imports), harvest (a module's definitions), collection (all of it together), broken (what is said of a
file that cannot be imported).
"""
