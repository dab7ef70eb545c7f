"""Every exception that Rekur raises on purpose.

    RekurError                     exit code 1
    ├── InputError                 2   a value, option, file or column that the user gave (also a ValueError)
    │   ├── ShapeError             2   a tensor or row of the wrong size (also a RuntimeError, as in PyTorch)
    │   ├── DataError              2   a file's content; knows the path and the line
    │   ├── BundleError            2   a saved model that is missing, damaged, too new or not ours
    │   ├── OptionError            2   an option that the data do not allow, whichever item is read
    │   ├── CheckpointError        2   a run that cannot be resumed: of another model, options or data
    │   └── NotStreamableError     2   a model that needs whole sequences was asked to run live
    ├── NotFittedError             2   used before ``fit`` (also an AttributeError, as in scikit-learn)
    ├── SaveError                  2   could not write: permission, disk full (also an OSError)
    ├── LockedError                2   another process trains in the folder
    ├── WorkerError                1   one of several training processes has ended
    ├── ToleranceError             1   a converted model differs by more than the tolerance; nothing was written
    ├── MissingDependencyError     3   an optional package is not installed (also an ImportError)
    ├── DivergedError              4   training became NaN or infinite and could not be rescued
    └── InterruptedTraining      130   Ctrl-C; the best model so far is saved

Data that can be read but may not be meant cause a warning, :class:`DataWarning`.

Texts have one form, from :func:`describe`:
``<thing>: got <value>; expected <set or range>. <likely fix>``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")  # all but the tab, and line separators
_HALF = re.compile("([\udc80-\udcff])|[\ud800-\udfff]")  # the first group: bytes that are not UTF-8


class RekurError(Exception):
    """Base of every error that Rekur raises on purpose; ``str(error)`` is a message for the user."""

    exit_code = 1


class InputError(RekurError, ValueError):
    """An input from the user is invalid."""

    exit_code = 2


class ShapeError(InputError, RuntimeError):
    """A tensor or a row has the wrong size."""


class DataError(InputError):
    """A file's content cannot be used.

    Args:
        text: the message, in the form of :func:`describe`.
        path: the file, put before the message.
        line: the line of the file, from 1.
    """

    def __init__(self, text: str, path: str | Path | None = None, line: int | None = None) -> None:
        self.path, self.line = path, line
        where = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(where + text)


class DataWarning(UserWarning):
    """Data that can be read but may not be meant; the command line shows each once, as ``warning: …``."""


class BundleError(InputError):
    """A saved model is missing, damaged, from a newer version, or not a Rekur bundle."""


class OptionError(InputError):
    """An option that the data do not allow; no single item is to blame."""


class CheckpointError(InputError):
    """A checkpoint is of another model, of other options or data, or damaged."""


class NotStreamableError(InputError):
    """A model that needs the whole sequence was asked to run one event at a time."""


class NotFittedError(RekurError, AttributeError):
    """A model or a set of features was used before ``fit``."""

    exit_code = 2


class LockedError(RekurError):
    """Another process trains in the same folder."""

    exit_code = 2


class WorkerError(RekurError):
    """One of several training processes has ended."""


class ToleranceError(RekurError):
    """A converted model differs from the original by more than the tolerance; it was not written."""


class SaveError(RekurError, OSError):
    """A file or folder could not be written; no partial output is left behind."""

    exit_code = 2


class MissingDependencyError(RekurError, ImportError):
    """An optional package is needed and not installed."""

    exit_code = 3


class DivergedError(RekurError, ArithmeticError):
    """Training became NaN or infinite and could not be rescued."""

    exit_code = 4


class InterruptedTraining(RekurError):
    """Training was stopped by the user."""

    exit_code = 130


def describe(thing: str, got: object, expected: str, fix: str = "") -> str:
    """Return ``<thing>: got <value>; expected <set or range>. <likely fix>``.

    Args:
        thing: the name of the input, as the user knows it.
        got: its value; strings are quoted, and line ends and other control characters are escaped.
        expected: the allowed set or range, without a full stop.
        fix: one sentence with the likely fix; may be empty.

    Example:
        >>> describe("dropout", 1.5, "a number in [0, 1)")
        'dropout: got 1.5; expected a number in [0, 1).'
    """
    shown = f"'{got}'" if isinstance(got, str) else " ".join(str(got).split())
    if len(shown) > 120:
        shown = f"{shown[:80]}… ({len(shown)} characters)"
    shown = _CONTROL.sub(lambda character: ascii(character[0])[1:-1], shown)
    if len(expected) > 1000:
        expected = f"{expected[:800]}… ({len(expected)} characters)"
    text = f"{thing}: got {shown}; expected {expected}."
    return f"{text} {fix}" if fix else text


def printable(text: str) -> str:
    r"""Return a text with escapes for surrogates and for bytes that are not UTF-8.

    Example:
        >>> print(printable("caf\udce9 \ud83d café"))
        caf\xe9 \ud83d café
    """
    if text.isascii():
        return text
    return _HALF.sub(lambda half: f"\\x{ord(half[0]) - 0xDC00:02x}" if half[1] else f"\\u{ord(half[0]):04x}", text)


def did_you_mean(got: str, allowed: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the nearest allowed name, or an empty string.

    Example:
        >>> did_you_mean("lstn", ["rnn", "lstm", "gru"])
        "Did you mean 'lstm'?"
    """
    names: dict[str, str] = {}
    for name in allowed:
        names.setdefault(name.lower(), name)
    word = str(got).lower()
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    likely = next((name for name in near if _is_slip(word, name)), None)
    return "" if likely is None else f"Did you mean '{names[likely]}'?"


def _is_slip(word: str, name: str) -> bool:
    """Return whether a word may mean a name: one holds the other, or few characters are typed wrongly."""
    core, other = word.strip("-"), name.strip("-")
    if min(len(core), len(other)) > 2 and (core in other or other in core):
        return True
    beginning = other[: len(core) + 1]  # a long name may be typed in part
    return _edits(core, other) <= max(1, max(len(core), len(other)) // 3) or _edits(core, beginning) <= len(core) // 4


def _edits(first: str, second: str) -> int:
    """Return how many characters are typed wrongly, left out, added or swapped with the next between two words."""
    rows = [list(range(len(second) + 1))]
    for i, left in enumerate(first, 1):
        row = [i]
        for j, right in enumerate(second, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right)))
            if i > 1 and j > 1 and left == second[j - 2] and right == first[i - 2]:
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
