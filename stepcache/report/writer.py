"""Writing to a terminal or a file: colours, separators, the current column, and a status line below it all."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TextIO

_STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36}


class Writer:
    """Writes text to *stream*, never two threads at once.

    An overlay is a line that is drawn below what was written, and taken away before anything else is.
    """

    def __init__(self, stream: TextIO, *, width: int, color: bool) -> None:
        self.stream = stream
        self.width = width
        self.color = color
        self.column = 0
        self.lock = threading.RLock()
        self._overlay = False
        self._waits = False
        """Was something written since it was last handed on?"""

    def styled(self, text: str, *styles: str) -> str:
        """*text* between the codes of *styles*, where colours are on."""
        if not self.color or not styles or not text:
            return text
        return "".join(f"\x1b[{_STYLES[style]}m" for style in styles) + text + "\x1b[0m"

    def write(self, text: str, *styles: str) -> None:
        """Write *text*, which may hold line ends."""
        with self.lock:
            if self._overlay:
                self.remove_overlay()
            self._put(self.styled(text, *styles) if styles and self.color else text)
            if "\n" in text:
                self.column = columns(text.rpartition("\n")[2])
            else:
                self.column += columns(text)

    def line(self, text: str = "", *styles: str) -> None:
        """Write *text* and end the line."""
        with self.lock:
            self.write(text, *styles)
            self._put("\n")
            self.column = 0

    def end_line(self) -> None:
        """End the line if one is begun."""
        with self.lock:
            if self.column:
                self.line()

    def separator(self, char: str, title: str = "", *styles: str, shown: str | None = None) -> None:
        """A line of *char* over the whole width, with *title* in its middle, as pytest draws it.

        *shown* is the title with colours of its own.
        """
        line = rule(char, title, self.width)
        if shown is None:
            self.line(line, *styles)
        else:
            left, _, right = line.partition(f" {title} ")
            self.line(f"{self.styled(left, *styles)} {shown} {self.styled(right, *styles)}")

    def flush(self) -> None:
        """Hand on what was written."""
        with self.lock:
            if self._waits:
                self._waits = False
                self.stream.flush()

    def overlay(self, text: str) -> None:
        """Draw *text* as the status line, in place of the one that is there."""
        with self.lock:
            self.remove_overlay()
            cut = text if columns(text) < self.width else text[: self.width - 4] + "..."
            self._put(("\n" if self.column else "") + self.styled(cut, "dim"))
            self._overlay = True
            self.flush()

    def remove_overlay(self) -> None:
        """Take the status line away and go back to where the text ended."""
        with self.lock:
            if self._overlay:
                back = f"\x1b[A\x1b[{self.column + 1}G" if self.column else ""
                self._put(f"\r\x1b[K{back}")
                self._overlay = False

    def _put(self, text: str) -> None:
        self._waits = True
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))


def rule(char: str, title: str, width: int) -> str:
    """A line of *char*, at most *width* wide, with *title* in its middle."""
    if not title:
        return char * width
    side = char * max((width - columns(title) - 2) // 2, 1)
    line = f"{side} {title} {side}"
    return line + char if columns(line) + 1 <= width else line


def columns(text: str) -> int:
    """How many columns *text* takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import category, east_asian_width

    return sum(
        0 if category(char) in ("Mn", "Me", "Cf") else 2 if east_asian_width(char) in "FW" else 1 for char in text
    )


def wants_color(choice: str, stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to use colours: --color first, then the variables that pytest heeds, then what the stream is."""
    if choice != "auto":
        return choice == "yes"
    if environ.get("PY_COLORS") in ("0", "1"):
        return environ["PY_COLORS"] == "1"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Whether someone is looking at *stream*."""
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def terminal_width(environ: Mapping[str, str]) -> int:
    """The width of the terminal, 80 where there is none."""
    if environ.get("COLUMNS", "").isdigit() and int(environ["COLUMNS"]) >= 40:
        return int(environ["COLUMNS"])
    for descriptor in (1, 2, 0):
        try:
            width = os.get_terminal_size(descriptor).columns
        except OSError:
            continue
        return width if width >= 40 else 80
    return 80
