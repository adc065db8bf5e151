"""The command line and the configuration files, as typed and frozen data.

Unknown options and keys are errors that name the nearest right one; nothing here looks at pipeline files. Read in
this order: options (what a command line says), flags (every option, in a table), plugin_options (those of plugins),
command (arguments to Options), help_text, root (where the project is), settings (what its configuration says),
values (checking and converting what was written), places (the line of a key), spelling (the nearest right name).
"""

from __future__ import annotations

from stepcache.config.command import FirstPass, first_pass, parse_command
from stepcache.config.options import Options
from stepcache.config.plugin_options import PluginOption, PluginSetting
from stepcache.config.root import Root, find_root
from stepcache.config.settings import Configuration, judge_plugin_settings, read_configuration
from stepcache.config.spelling import did_you_mean, nearest

__all__ = [
    "Configuration",
    "FirstPass",
    "Options",
    "PluginOption",
    "PluginSetting",
    "Root",
    "did_you_mean",
    "find_root",
    "first_pass",
    "judge_plugin_settings",
    "nearest",
    "parse_command",
    "read_configuration",
]
