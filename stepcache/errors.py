"""What can go wrong, as exceptions.

    StepcacheError
    ├── UsageError        the command, an option or the configuration is wrong (exit status 4)
    ├── CollectionFailed  pipeline files that cannot be used (exit status 2)
    ├── StepFailed        a step or check failed, raised by `run(check=True)` and `NAME.run()`
    ├── WrongReturn       a body returned what it may not
    ├── NoElements        a value has no elements that a mapped step could run for
    ├── WorkerDied        the process that ran a step ended under it: the cause of its StepFailed
    ├── NotCached         `load()` found no stored value
    ├── Unstorable        no codec takes a value
    └── ValueGone         a stored value is not there any more, or is damaged

Each message says what is wrong, where, and what to do.
"""


class StepcacheError(Exception):
    """The base of all that stepcache raises on purpose."""


class UsageError(StepcacheError):
    """The command line, an option, a setting or the configuration is wrong."""


class CollectionFailed(StepcacheError):
    """Some pipeline files cannot be used; the message holds every error found."""


class StepFailed(StepcacheError):
    """A step or check failed; the exception that it raised is the `__cause__`."""


class WrongReturn(StepcacheError):
    """A step that names its outputs returned others, or a check anything; `location` is where it is defined."""

    def __init__(self, message: str, location: str) -> None:
        super().__init__(message, location)
        self.location = location

    def __str__(self) -> str:
        return str(self.args[0])


class NoElements(StepcacheError):
    """A value has no elements that a mapped step could run for, or not the one that was asked for."""


class WorkerDied(StepcacheError):
    """The process that ran a step was killed, crashed or ended itself."""


class NotCached(StepcacheError, LookupError):
    """No stored value belongs to the node with these settings."""


class Unstorable(StepcacheError):
    """No codec takes a value.

    `type_name` is the type that could not be stored, `where` its place in the value ("" for the value itself,
    else such as "['model'][2]").
    """

    def __init__(self, type_name: str, where: str, reason: str = "") -> None:
        super().__init__(type_name, where, reason)
        self.type_name = type_name
        self.where = where
        self.reason = reason

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"{self.type_name}{place}" + (f": {self.reason}" if self.reason else "")


class ValueGone(StepcacheError):
    """A stored value cannot be had; `reason` is "damaged", "evicted" or "foreign"."""

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__(digest, reason)
        self.digest = digest
        self.reason = reason

    def __str__(self) -> str:
        return f"the stored value {self.digest[:12]} is {self.reason}"
