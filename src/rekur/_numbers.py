"""Numbers as people read them, in a terminal, a page or a card."""

from __future__ import annotations

from collections.abc import Sequence


def shown(value: float) -> str:
    """Return a number with a useful count of digits, whatever its size.

    Example:
        >>> [shown(value) for value in (0.5, 0.0123, 1.2345e-6, 1234.5678, 1e38)]
        ['0.5000', '0.0123', '1.234e-06', '1,234.57', '1.000e+38']
    """
    size = abs(value)
    if value == 0 or 0.01 <= size < 1000:
        return f"{value:.4f}"
    if 1000 <= size < 1e6:
        return f"{value:,.2f}"
    if 1e-4 <= size < 0.01:
        return f"{value:.4g}"
    return f"{value:.3e}".replace("1.798e+308", "1.797e+308")  # rounded up it is no float any more


def shown_bytes(count: int) -> str:
    """Return a number of bytes in MB or GB.

    Example:
        >>> shown_bytes(41_300_000_000), shown_bytes(2_500_000)
        ('41.3 GB', '2 MB')
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def shown_size(count: int) -> str:
    """Return a number of bytes of any size with its unit.

    Example:
        >>> shown_size(14_200), shown_size(1_250_000), shown_size(412_000_000)
        ('14 kB', '1.2 MB', '412 MB')
    """
    if count >= 9.95e6:
        return shown_bytes(count)
    return f"{count / 1e6:.1f} MB" if count >= 999_500 else f"{count / 1e3:.0f} kB"


def shown_interval(ends: Sequence[float] | None) -> str:
    """Return both ends of an interval; an empty text for None.

    Example:
        >>> shown_interval((0.25, 0.75))
        '0.2500 – 0.7500'
    """
    return "" if ends is None else f"{shown(ends[0])} – {shown(ends[1])}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless the count is 1.

    Example:
        >>> counted(1, "item"), counted(1200, "item")
        ('1 item', '1,200 items')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
