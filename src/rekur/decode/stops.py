"""Stop strings, found while a text comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from rekur import _check
from rekur.errors import InputError, describe


class Stops:
    """Passes a text on until it contains a stop string, however the text is cut into pieces.

    The string that ends first counts; of several that end at the same position, the longest.

    Args:
        strings: the stop strings; none of them empty.
        keep: whether the text includes the stop string.

    Example:
        >>> stops = Stops(["END"])
        >>> [stops.push(piece) for piece in ["The E", "ND of", " it"]], stops.found
        (['The ', '', ''], True)
    """

    def __init__(self, strings: Sequence[str], *, keep: bool = False) -> None:
        self._strings, self._keep = tuple(strings), keep
        self._firsts = frozenset(string[0] for string in self._strings)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Add the next piece of the text, and return the part that certainly comes before the end."""
        if self.found:
            return ""
        if not self._held and self._firsts.isdisjoint(piece):  # no string begins here
            return piece
        text = self._held + piece
        ends = [(at + len(string), at) for string in self._strings if (at := text.find(string)) >= 0]
        if ends:
            end, start = min(ends)
            self.found, self._held = True, ""
            return text[: end if self._keep else start]
        certain = len(text) - max(_beginning(text, string) for string in self._strings)
        self._held = text[certain:]
        return text[:certain]

    def finish(self) -> str:
        """Return the text that was held back; no more text follows."""
        held, self._held = self._held, ""
        return held


def check_stops(stop: Sequence[str]) -> tuple[str, ...]:
    """Return stop strings as a tuple; raise for a single string or an empty one."""
    if isinstance(stop, str):
        raise InputError(describe("stop", stop, "a list of strings", "Put a single string into a list."))
    for string in _check.several("stop", stop):
        if not isinstance(string, str) or not string:
            raise InputError(describe("stop", string, "strings of at least one character"))
    return tuple(stop)


def _beginning(text: str, string: str) -> int:
    """Return the length of the longest end of a text with which a string may begin."""
    return next((n for n in range(min(len(string) - 1, len(text)), 0, -1) if text.endswith(string[:n])), 0)
