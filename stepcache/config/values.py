"""Converting what was written into what was meant.

Each function raises ValueError with what was expected, to stand after "expects".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

LEVELS = {"NOTSET": 0, "DEBUG": 10, "INFO": 20, "WARNING": 30, "WARN": 30, "ERROR": 40, "CRITICAL": 50, "FATAL": 50}

REPORT_CHARS = "fEbsgcpPw"
REPORT_ALL_BUT_PASSED = "sgbfE"
REPORT_ALL = "PpcsgbfE"

_UNITS = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip


def whole_number(text: str) -> int:
    """A number that is not negative."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a whole number")
    return int(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """A converter that takes only *choices*."""

    def convert(text: str) -> str:
        if text not in choices:
            raise ValueError(", ".join(choices[:-1]) + f" or {choices[-1]}")
        return text

    return convert


def log_level(text: str) -> int:
    """A level of `logging`, by name or number."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text.upper() not in LEVELS:
        raise ValueError("a level such as DEBUG, INFO, WARNING or ERROR, or a number")
    return LEVELS[text.upper()]


def graph_path(text: str) -> str:
    """The path of a file in which a graph can be drawn."""
    if not text.endswith((".svg", ".dot", ".mmd")):
        raise ValueError("a path that ends in .svg, .dot or .mmd")
    return text


def size(text: str) -> int:
    """A number of bytes, such as "10 GiB", "500MB" or "4096"."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    if found is None or found[2].upper() not in _UNITS:
        raise ValueError('a size such as "10 GiB", "500 MB" or a number of bytes')
    unit = _UNITS[found[2].upper()]
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def warning_filter(text: str) -> str:
    """A filter as `python -W` has it, whose message and module are plain text, as one where they are patterns."""
    parts = text.split(":")
    for number, end in ((1, ""), (3, r"\Z")):
        if number < len(parts) and parts[number].strip():
            parts[number] = re.escape(parts[number].strip()) + end
    return ":".join(parts)


def parameter(text: str) -> tuple[str, str]:
    """A setting's name, with or without its step's, and the text of its value."""
    name, found, value = text.partition("=")
    if not found or not name.strip():
        raise ValueError("NAME=VALUE or STEP.NAME=VALUE")
    return name.strip(), value


def override(text: str) -> str:
    """A key of the configuration and its value, as text."""
    if "=" not in text:
        raise ValueError("KEY=VALUE")
    return text


def plugin(text: str) -> str:
    """The name of a plugin, which a setting is often mistaken for."""
    if "=" in text:
        raise ValueError(f"the name of a plugin (a setting is given with '-P {text}')")
    if not text.removeprefix("no:"):
        raise ValueError("the name of a plugin")
    return text


def report_chars(text: str) -> str:
    """The characters of -r, with `a`, `A` and `N` resolved and each once. Warnings are on as in pytest."""
    chars = ""
    for char in text:
        if char == "N":
            chars = ""
        elif char == "a":
            chars = REPORT_ALL_BUT_PASSED
        elif char == "A":
            chars = REPORT_ALL
        elif char in "FS":  # pytest's older spellings
            chars += char.lower()
        elif char in REPORT_CHARS:
            chars += char
        elif char not in "xX":  # pytest's expected failures: accepted, as there are none here
            raise ValueError(f"characters among {REPORT_CHARS}aAN")
    return "".join(dict.fromkeys(chars + "w"))


def workers(text: str) -> int:
    """How many nodes run at once: a number, or "auto" for as many as there are processors for this process."""
    if text == "auto":
        return processors()
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError("a number from 1 on, or auto")
    return int(text)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slots(text: str) -> tuple[str, int]:
    """A slot's name and how many there are."""
    name, _, number = text.partition("=")
    if not name.strip() or not (number.isascii() and number.isdigit()):
        raise ValueError("NAME=NUM, such as gpu=2")
    return name.strip(), int(number)
