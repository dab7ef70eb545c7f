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


def short_time(seconds: float) -> str:
    """Return a duration of any size with its unit, to two or three digits.

    Example:
        >>> [short_time(seconds) for seconds in (3.14e-6, 0.00217, 0.46, 7.25, 75, 7300)]
        ['3.1 µs', '2.2 ms', '0.46 s', '7.2 s', '1m15s', '2h01m']
    """
    if seconds >= 59.5:
        return duration(seconds)
    if seconds >= 0.0995:
        return f"{seconds:.1f} s" if seconds >= 0.995 else f"{seconds:.2f} s"
    return f"{1e3 * seconds:.1f} ms" if seconds >= 0.9995e-3 else f"{1e6 * seconds:.1f} µs"
