"""Durations as people read them, in a terminal or a page."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as text, to the second below one hour and to the minute above.

    Example:
        >>> [duration(seconds) for seconds in (0.4, 59, 75, 7300)]
        ['0s', '59s', '1m15s', '2h01m']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
