"""The options and keys that plugins add; the hook `stepcache_options` returns them.

@hookimpl
def stepcache_options():
    return [
        PluginOption("--region", default="eu", help="where to run"),
        PluginSetting("region_file", help="a file with the regions"),
    ]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from stepcache.config.flags import FLAGS, Flag, Takes
from stepcache.config.values import one_of, whole_number
from stepcache.errors import UsageError
from stepcache.records import frozen

Action = Literal["store", "store_true", "store_false", "append", "count"]
SettingType = Literal["string", "bool", "int", "float", "list", "table"]

_TAKES: dict[str, Takes] = {
    "store": "value",
    "append": "values",
    "store_true": "nothing",
    "store_false": "nothing",
    "count": "count",
}
_DEFAULTS: dict[str, object] = {"store_true": False, "store_false": True, "append": (), "count": 0}


@frozen
class PluginOption:
    """A plugin's option, in argparse's words: `name` is long ("--region"), `group` its heading in the help.

    Its value stands in `Options.plugin_options` under `dest`.
    """

    name: str
    default: object = None
    help: str = ""
    action: Action = "store"
    type: Callable[[str], object] = str
    choices: tuple[str, ...] = ()
    metavar: str = ""
    group: str = "plugins"

    @property
    def dest(self) -> str:
        """The name without its dashes, as an identifier."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def initial(self) -> object:
        """What its value is when the option is not given."""
        return self.default if self.default is not None else _DEFAULTS.get(self.action)

    @property
    def flag(self) -> Flag:
        """As the command line's parser and the help take it."""
        takes = _TAKES[self.action]
        return Flag(
            (self.name,),
            self.name,  # not `dest`, which may be the name of one of stepcache's own
            self.help,
            takes,
            sets={"store_false": False, "count": 1}.get(self.action, True),
            metavar="" if takes in ("nothing", "count") else (self.metavar or self.dest.upper()),
            convert=one_of(*self.choices) if self.choices else (whole_number if self.type is int else self.type),
        )


@frozen
class PluginSetting:
    """A plugin's key in the configuration; its value stands in `Configuration.plugin_options` under `name`."""

    name: str
    default: object = None
    help: str = ""
    type: SettingType = "string"


def flags_with(extra: Iterable[PluginOption]) -> dict[str, Flag]:
    """Every option by name, those of plugins too. A name that is taken, or cannot be one, is an error."""
    flags = dict(FLAGS)
    for option in extra:
        if not option.name.startswith("--") or len(option.name) < 3 or "=" in option.name:
            raise UsageError(f"a plugin adds the option {option.name!r}; options of plugins begin with '--'")
        if option.action not in _TAKES:
            known = ", ".join(_TAKES)
            raise UsageError(f"a plugin adds {option.name} with the action {option.action!r}; there are {known}")
        if option.name in flags:
            raise UsageError(f"a plugin adds the option {option.name}, which exists already")
        flags[option.name] = option.flag
    return flags
