"""Labels that differ only in spelling and may mean one class: ``Good`` and ``good``, ``1`` and ``1.0``."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

_MOST_SHOWN = 3


def label_form(label: str) -> str:
    """Return the same text for labels that differ only in how they are written.

    They may differ in case, blanks, invisible characters, or the form of a letter, of a number, of true and false.

    Example:
        >>> label_form(" Good") == label_form("good"), label_form("1.0") == label_form("01"), label_form("1a")
        (True, True, '1a')
    """
    seen = "".join(character for character in label if unicodedata.category(character) != "Cf")
    text = " ".join(unicodedata.normalize("NFKC", seen).casefold().split())
    text = {"true": "1", "false": "0"}.get(text, text)
    try:
        number = Decimal(text) if "_" not in text else None
    except InvalidOperation:
        return text
    if number is None or not number.is_finite() or abs(number.adjusted()) > 400:
        return text
    return f"{number.normalize():f}" if number else "0"


def alike_labels(counts: Mapping[str, int]) -> str:
    """Return a sentence about labels that may be one class; an empty text if all differ.

    Args:
        counts: label -> how many examples have it.

    Example:
        >>> alike_labels({"Good": 2, "good": 30, "bad": 9})
        "Labels that may be one class, and are learnt as several: 'Good' (2) and 'good' (30)."
    """
    forms: dict[str, list[str]] = {}
    for label in counts:
        forms.setdefault(label_form(label), []).append(label)
    groups = [group for group in forms.values() if len(group) > 1]
    alike = [" and ".join(f"'{label}' ({counts[label]})" for label in group) for group in groups]
    if not alike:
        return ""
    more = f"; and {len(alike) - _MOST_SHOWN} more" if len(alike) > _MOST_SHOWN else ""
    return f"Labels that may be one class, and are learnt as several: {'; '.join(alike[:_MOST_SHOWN])}{more}."
