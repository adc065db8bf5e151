"""What counts as read, and what does not: the one table.

    what was read                                   counts when                     exceptions
    ----------------------------------------------  ------------------------------  ------------------------------------
    a file's content, an SQLite database            anyone opened it                A B C D; E by installed code
    a folder's listing                              anyone listed it                A B C D; E F by installed code
    an existence test, a file's size or rights,     project code asked, or there    A B C D; the root and above it
    a link                                          was nothing below the root
    an environment variable                         project code asked              G
    the whole environment                           anyone read it                  all but names in reached code, and
                                                                                    what begins with one (`APP_`)
    a file named by a literal or a setting          it exists                       A C; what the step wrote
    a child's executable and the files it names     anyone started it               A C; this interpreter

    A  the interpreter's and installed distributions' own files; what is read while an installed module is imported
    B  the import system's searches, source lines for tracebacks; what a library tests on its way (QUIET_TESTS)
    C  /proc, /sys, /dev, what is no regular file or folder; stepcache's own cache
    D  what the step made itself; temporary files that are gone when it ends
    E  fonts, locales, time zones, certificates, the user's cache and configuration folders; unless they lie below the
       root, or a literal or setting names them
    F  temporary folders; with the same two limits
    G  what the standard library looks up to find programs and to lay out its output (QUIET_LOOKUPS)

    `observe_ignore` and a step's `ignore` ("env:GLOB", "file:GLOB") take out more.

"Project code asked" means that the nearest caller outside the standard library is project code. What an import looks
up in the environment counts as it was before imports set it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from stepcache.key.environment import Folders, below

NEVER = ("/proc", "/sys", "/dev")

MACHINE = (
    "/etc/fonts", "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/var/cache/fontconfig",
    "/usr/share/texmf", "/usr/share/texlive", "/usr/X11R6/lib/X11/fonts", "/Library/Fonts", "/System/Library/Fonts",
    "/usr/share/locale", "/usr/lib/locale", "/usr/share/i18n", "/usr/share/X11/locale", "/etc/locale.conf",
    "/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo",
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/lib/ssl", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/etc/mime.types", "/etc/os-release", "/usr/lib/os-release",
    "/etc/debian_version", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf",
)  # fmt: skip

# Below the home folder, and the variables that put such folders elsewhere.
USER = (
    ".cache", ".config", ".local/share", ".local/state", ".fonts", ".matplotlib", ".ipython", ".jupyter", ".pip",
    ".pki", ".dask", ".keras", ".nv", ".triton", ".numba", "Library/Caches", "Library/Preferences", "Library/Fonts",
)  # fmt: skip
USER_VARIABLES = (
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "MPLCONFIGDIR",
    "NUMBA_CACHE_DIR", "CUDA_CACHE_PATH", "TRITON_CACHE_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "DASK_CONFIG",
    "POLARS_TEMP_DIR", "SSL_CERT_DIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
TEMPORARY_VARIABLES = ("TMPDIR", "TEMP", "TMP", "JOBLIB_TEMP_FOLDER")
TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp", "/dev/shm")

# Parts of the standard library (a file below its folder, or a folder) that import, or that show source lines.
IMPORTING = ("importlib/_bootstrap.py", "importlib/_bootstrap_external.py", "importlib/metadata/", "zipimport.py",
             "zipfile/_path/", "linecache.py")  # fmt: skip
# Those that look variables up only to find programs and folders or to lay out their own output.
QUIET_LOOKUPS = ("subprocess.py", "argparse.py", "optparse.py", "gettext.py", "_colorize.py", "traceback.py",
                 "tempfile.py", "logging/", "multiprocessing/", "concurrent/", "asyncio/", "pdb.py", "cmd.py",
                 "warnings.py", "_pyrepl/")  # fmt: skip
# Those whose existence tests ask nothing on the caller's behalf.
QUIET_TESTS = ("tempfile.py", "logging/", "subprocess.py", "multiprocessing/", "warnings.py", "traceback.py",
               "gettext.py", "locale.py", "zipfile.py", "zipfile/", "tarfile.py", "_pyrepl/")  # fmt: skip
# Functions of the standard library that list and test folders only to make or to remove them.
QUIET_FUNCTIONS = frozenset(
    {
        "makedirs",
        "removedirs",
        "mkdir",
        "rmtree",
        "_rmtree_safe_fd",
        "_rmtree_safe_fd_step",
        "_rmtree_unsafe",
        "_rmtree",
    }
)

# Programs that tell about the machine: nothing to warn of. The others only work for the library that starts them.
ORACLES = frozenset(
    {"uname", "lscpu", "nproc", "getconf", "sysctl", "stty", "tput", "lsb_release", "sw_vers", "ldconfig"}
)
SERVANTS = frozenset({"fc-list", "fc-match", "fc-cache", "system_profiler", "gcc", "cc", "objdump", "ld"})


class Rules:
    """The table above for one project on one machine.

    *root* is the project's, *cache* stepcache's own folders, *ignore* the patterns of `observe_ignore` and of the
    step.
    """

    def __init__(
        self,
        root: str,
        *,
        environ: Mapping[str, str],
        cache: Iterable[str] = (),
        ignore: Iterable[str] = (),
    ) -> None:
        home = environ.get("HOME") or os.path.expanduser("~")
        self.root = root
        own = tuple(installed_folders())
        self._own = Folders(own)
        self._own_in_root = Folders(folder for folder in own if not below(root, folder))
        self._never = Folders(_real((*NEVER, *cache)))
        user = [os.path.join(home, name) for name in USER] + _named(USER_VARIABLES, environ)
        self._users = Folders(_real((*MACHINE, *user)))
        self.temporary = _real((*_named(TEMPORARY_VARIABLES, environ), *TEMPORARY))
        self._temporary = Folders(self.temporary)
        patterns = [pattern.partition(":") for pattern in ignore]
        self._variables = tuple(rest for kind, _, rest in patterns if kind == "env")
        self._files = tuple(_pattern(rest, root, home) for kind, _, rest in patterns if kind == "file")

    def file(self, path: str, *, by_project: bool, named: bool = False) -> bool:
        """Whether the content of the file at *path* counts; *named*: a literal or a setting names it."""
        return self.anyhow(path) and (by_project or named or below(path, self.root) or not self._users.hold(path))

    def listing(self, path: str, *, by_project: bool, named: bool = False) -> bool:
        """Whether the listing of the folder *path* counts."""
        if not self.file(path, by_project=by_project, named=named):
            return False
        return by_project or named or below(path, self.root) or not self._temporary.hold(path)

    def test(self, path: str, *, by_project: bool, absent: bool = False) -> bool:
        """Whether a test for the existence of *path* counts; *absent*: nothing was there.

        A library opens what it finds, and tells of what it does not find.
        """
        counts = by_project or (absent and below(path, self.root))
        return counts and self.anyhow(path) and not below(self.root, path)

    def variable(self, name: str) -> bool:
        """Whether a look-up of an environment variable that project code made counts."""
        return not any(fnmatchcase(name, pattern) for pattern in self._variables)

    def anyhow(self, path: str) -> bool:
        """Whether *path* can count at all, whoever reads it."""
        if self.never(path) or self._installed(path):
            return False
        return not self.ignored(path)

    def never(self, path: str) -> bool:
        """Whether *path* is none that can be another tomorrow, or part of a value."""
        return self._never.hold(path)

    def ignored(self, path: str) -> bool:
        """Whether *path* is left out by name."""
        return any(fnmatchcase(path, pattern) for pattern in self._files)

    def _installed(self, path: str) -> bool:
        """Whether *path* is the interpreter's or a distribution's; a root that lies in their folders is not."""
        return (self._own_in_root if below(path, self.root) else self._own).hold(path)

    def gone(self, path: str) -> bool:
        """Whether *path*, which is not there any more, was a temporary file."""
        return any(
            below(path, folder) and (below(folder, self.root) or not below(path, self.root))
            for folder in self.temporary
        )


def installed_folders() -> Iterator[str]:
    """The folders of the interpreter, of a virtual environment as a whole, and of installed distributions."""
    library = os.path.dirname(os.__file__)
    version = os.path.basename(library)
    for prefix in dict.fromkeys((sys.base_prefix, sys.base_exec_prefix)):
        yield from (os.path.join(prefix, part, version) for part in ("lib", "lib64", "include"))
    if sys.prefix != sys.base_prefix:
        yield from _real((sys.prefix,))
    yield from _real((library,))
    folders = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    yield from _real(os.path.abspath(path) for path in folders)


def _named(variables: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    return [os.path.abspath(environ[name]) for name in variables if environ.get(name)]


def _real(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path, and what it really is where that differs."""
    return tuple(dict.fromkeys(spelling for path in paths for spelling in (path, os.path.realpath(path))))


def _pattern(rest: str, root: str, home: str) -> str:
    """A glob of `ignore` as one over absolute paths: "~" is the home folder, a relative one lies below the root."""
    if rest == "~" or rest.startswith("~/"):
        return home + rest[1:]
    return rest if rest.startswith(("/", "*")) else os.path.join(root, rest)
