"""Numbers as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """`0.31s`, or `73.21s (0:01:13)`: how long a run took, as pytest writes it."""
    if seconds < 60:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    before = f"{days} day{'s' if days != 1 else ''}, " if days else ""
    return f"{seconds:.2f}s ({before}{hours}:{minutes:02}:{rest:02})"


def time(seconds: float) -> str:
    """`12.4s`, `5m 10s`, `2h 05m`, `3d 04h`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02}h"


def size(count: int) -> str:
    """`812 B`, `793.3 KiB`, `1.2 GiB`."""
    if count < 1024:
        return f"{count} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = 1
    while power < len(units) and count / 1024**power >= 1023.95:
        power += 1
    return f"{count / 1024**power:.1f} {units[power - 1]}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 node`, `2 nodes`, `2 entries`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
