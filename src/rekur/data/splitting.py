"""Cutting examples into training and validation parts: by class, by seed, and with equal items on one side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._check import number
from rekur.errors import InputError, describe

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Which rows are for training and which for validation.

    Attributes:
        train: int64, row numbers in order.
        valid: int64, row numbers in order.
        only_in_train: classes that have no row in ``valid``, because too few units hold them.
        rows_kept_together: rows that equal another one, or share its group, and went where it went.
    """

    train: Indices
    valid: Indices
    only_in_train: list[Any] = field(default_factory=list)
    rows_kept_together: int = 0

    def notes(self) -> list[str]:
        """Return what a person should know about the split, as sentences."""
        notes = []
        if self.only_in_train:
            names = ", ".join(f"'{name}'" for name in self.only_in_train[:10])
            more = f" and {len(self.only_in_train) - 10} more" if len(self.only_in_train) > 10 else ""
            notes.append(f"Not in validation, having too few examples or groups: {names}{more}.")
        if self.rows_kept_together:
            notes.append(f"{self.rows_kept_together} equal or grouped examples were kept on one side.")
        return notes


def item_key(item: Any) -> bytes:
    """Return 16 bytes that are the same for equal items, on every machine; for ``keys`` of :func:`split`.

    Args:
        item: text, an array, or a list of either or of numbers.

    Example:
        >>> item_key("ACGT") == item_key("ACGT"), item_key(["AC", "GT"]) == item_key(["ACG", "T"])
        (True, False)
    """
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(item, str):
        digest.update(item.encode("utf-8", errors="surrogatepass"))
    elif isinstance(item, np.ndarray) and not item.dtype.hasobject:
        digest.update(f"{item.dtype.str}{item.shape}".encode())
        digest.update(np.ascontiguousarray(item).reshape(-1).view(np.uint8).data)
    elif isinstance(item, list | tuple | np.ndarray):
        for part in item:
            digest.update(item_key(part))
    else:
        digest.update(repr(item).encode())
    return digest.digest()


def split(
    labels: Sequence[Any],
    fraction: float,
    seed: int,
    keys: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Split:
    """Cut rows so that each class gives ``fraction`` of its rows to validation, as nearly as whole rows allow.

    Rows of one key, or of one group, stay on one side. Each class with two such units or more that hold no other has a
    row on either side. Units that hold several classes give ``fraction`` of their rows too: those first whose classes
    validation lacks, and none with a class that training would lack. ``only_in_train`` names the classes that are not
    in validation. The order of the rows, the seed and the arguments decide alone, on every machine.

    Args:
        labels: one a row; for several classes a row, a list of them, and its rarest counts. ``None`` for each
            row where there are no classes, as in regression.
        fraction: of rows for validation, in (0, 1).
        seed: 0 or more.
        keys: one a row, equal for equal items; see :func:`item_key`.
        groups: one a row, such as the person who was recorded.

    Returns:
        a :class:`Split`; the parts share no row and hold all.

    Raises:
        InputError: if there is nothing to cut: no two units hold the same class.

    Example:
        >>> parts = split(["a"] * 8 + ["b"] * 8 + ["c"], 0.25, seed=0)
        >>> len(parts.train), len(parts.valid), parts.only_in_train
        (13, 4, ['c'])
    """
    share = number("fraction", fraction, 0, 1, open_high=True)
    if share == 0:
        raise InputError(describe("fraction", fraction, "a number in (0, 1)"))
    random = np.random.Generator(np.random.PCG64(_check.seed("seed", seed)))
    for name, values in (("keys", keys), ("groups", groups)):
        if values is not None and len(values) != len(labels):
            raise InputError(describe(name, len(values), f"{len(labels)}, one for each row"))
    strata = _strata(labels)
    units = units_of(len(labels), [v for v in (keys, groups) if v is not None])
    by_class, mixed = _by_class(units, strata)
    valid: list[int] = []
    for members in by_class.values():
        valid += _choose(members, share, random)
    valid += _choose_mixed(mixed, share, random, strata, valid)
    if not valid:
        raise InputError(_too_alike(labels, strata, keys, groups))
    in_valid = np.zeros(len(labels), dtype=bool)
    in_valid[valid] = True
    present = {strata[i] for i in valid}
    return Split(
        np.flatnonzero(~in_valid).astype(np.int64),
        np.flatnonzero(in_valid).astype(np.int64),
        [label for label in dict.fromkeys(strata) if label not in present],
        sum(len(unit) for unit in units if len(unit) > 1),
    )


def folds(
    labels: Sequence[Any],
    count: int,
    seed: int,
    keys: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Indices:
    """Return the fold of each row, such that each class is spread over the folds as evenly as whole units allow.

    Rows of one key or of one group are a unit, and stay in one fold. A unit with a class that no other one has is in no
    fold, since nothing else teaches it. There are as many folds as units at most. The arguments decide alone, on every
    machine.

    Args:
        labels: as for :func:`split`.
        count: number of folds, 2 or more.
        seed: 0 or more.
        keys: one a row, such as those of :func:`item_key`.
        groups: one a row, such as the person who was recorded.

    Returns:
        int64 (N,): numbers from 0 on, -1 for no fold.

    Raises:
        InputError: no two units have classes that others have too.

    Example:
        >>> folds(["a"] * 4 + ["b"] * 3 + ["c"], 3, seed=0, keys=range(8)).tolist()
        [1, 0, 2, 0, 2, 0, 1, -1]
    """
    random = np.random.Generator(np.random.PCG64(_check.seed("seed", seed)))
    strata, by_class = _strata(labels), dict[Hashable, list[list[int]]]()
    units = units_of(len(labels), [each for each in (keys, groups) if each is not None])
    held = Counter(name for unit in units for name in {strata[i] for i in unit})
    for unit in units:
        if all(held[strata[i]] > 1 for i in unit):
            by_class.setdefault(Counter(strata[i] for i in unit).most_common(1)[0][0], []).append(unit)
    spread = list(by_class.values())
    if sum(map(len, spread)) < 2:
        raise InputError(_too_alike(labels, strata, keys, groups))
    number = min(count, sum(map(len, spread)))
    chosen, rows_of = np.full(len(labels), -1, np.int64), np.zeros(number, np.int64)
    for units in spread:
        of_class = np.zeros(number, np.int64)
        drawn = [units[i] for i in random.permutation(len(units))]
        for unit in sorted(drawn, key=len, reverse=True):
            fold = int(np.lexsort((random.permutation(number), rows_of, of_class))[0])
            chosen[unit] = fold
            of_class[fold] += len(unit)
            rows_of[fold] += len(unit)
    return chosen


def _too_alike(
    labels: Sequence[Any],
    strata: Sequence[Hashable],
    keys: Sequence[Hashable] | None,
    groups: Sequence[Hashable] | None,
) -> str:
    """Return the message for examples that cannot be split."""
    count, classes = len(labels), set(strata)
    if groups is not None and keys is not None:  # else parts of documents
        got = f"{len(set(groups))} in {count} examples"
        expected = "2 or more" if len(classes) == 1 else "2 or more that have the same class"
        fix = "Split by another column (--split-by), or give items for validation."
        return f"groups: got {got}; expected {expected}, so that one can be held out. {fix}"
    if keys is not None and count > 1 and len(set(keys)) == 1:
        fix = "Check that the right column was read."
        return f"examples: got {count} whose items are all equal; expected items that differ. {fix}"
    if len(classes) > 2 and len(classes) == count and all(map(_is_number, classes)):
        fix = "They look like numbers; to predict a number: rekur fit regress (Regressor)."
        return f"labels: got {count} different ones in {count} examples; expected classes with 2 or more. {fix}"
    fix = "Add examples, or give a file for validation."
    if len(classes) == 1:
        return f"examples: got {count}; expected 2 or more that differ, to hold one out for validation. {fix}"
    got = f"{count} in {len(classes)} classes"
    return f"examples: got {got}; expected a class with 2 or more different items. {fix}"


def _is_number(label: Hashable) -> bool:
    try:
        float(str(label))
    except ValueError:
        return False
    return True


def _choose(members: list[list[int]], share: float, random: np.random.Generator) -> list[int]:
    """Return the rows for validation out of one class: whole units, up to its share, one unit at least."""
    if len(members) < 2:
        return []
    target = max(1, round(share * sum(len(unit) for unit in members)))
    order = [members[i] for i in random.permutation(len(members))]
    chosen: list[int] = []
    left = len(order) - 1  # one unit stays in training
    for unit in order:
        if left and len(chosen) + len(unit) <= target:
            chosen += unit
            left -= 1
    return chosen or min(order, key=len)


def _by_class(
    units: list[list[int]], strata: Sequence[Hashable]
) -> tuple[dict[Hashable, list[list[int]]], list[list[int]]]:
    """Return the units that hold one class by it, and those that hold several."""
    by_class: dict[Hashable, list[list[int]]] = {}
    mixed: list[list[int]] = []
    for unit in units:
        is_pure = all(strata[i] == strata[unit[0]] for i in unit)
        (by_class.setdefault(strata[unit[0]], []) if is_pure else mixed).append(unit)
    return by_class, mixed


def _choose_mixed(
    units: list[list[int]], share: float, random: np.random.Generator, strata: Sequence[Hashable], valid: list[int]
) -> list[int]:
    """Return the rows for validation out of units that hold several classes, beside those chosen of one class.

    A unit is left out if it holds a class that no unit in training would hold.
    """
    left = Counter(strata)
    left.subtract(strata[i] for i in valid)
    lacking = set(strata) - {strata[i] for i in valid}
    counts = [Counter(strata[i] for i in unit) for unit in units]
    order = random.permutation(len(units)).tolist()
    target = max(1, round(share * sum(map(len, units)))) if units else 0
    chosen: list[int] = []

    def take(row: int) -> None:
        chosen.extend(units[row])
        left.subtract(counts[row])
        lacking.difference_update(counts[row])

    def fits(row: int) -> bool:
        return len(chosen) + len(units[row]) <= target and _leaves_all(left, counts[row])

    remaining = []
    for row in order:
        if not lacking.isdisjoint(counts[row]) and fits(row):
            take(row)
        else:
            remaining.append(row)
    for row in remaining:
        if fits(row):
            take(row)
    if not chosen and not valid:  # each is larger than the share
        spare = [row for row in order if _leaves_all(left, counts[row])]
        chosen = units[min(spare, key=lambda row: len(units[row]))] if spare else []
    return chosen


def _leaves_all(left: Counter[Hashable], taken: Counter[Hashable]) -> bool:
    """Return whether some of each class are left where these are taken."""
    return all(left[name] > count for name, count in taken.items())


def _strata(labels: Sequence[Any]) -> list[Hashable]:
    if not any(isinstance(label, list | tuple | set | frozenset) for label in labels):
        return list(labels)
    sets = [label if isinstance(label, Iterable) and not isinstance(label, str) else [label] for label in labels]
    counts = Counter(name for names in sets for name in names)
    return [min(sorted(names, key=str), key=lambda name: counts[name], default=None) for names in sets]


def units_of(size: int, columns: Iterable[Sequence[Hashable]]) -> list[list[int]]:
    """Return sets of rows that are joined by a common value in any column, in order of their first row."""
    parent = list(range(size))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for values in columns:
        first: dict[Hashable, int] = {}
        for i, value in enumerate(values):
            a, b = root(first.setdefault(value, i)), root(i)
            parent[max(a, b)] = min(a, b)
    units: dict[int, list[int]] = {}
    for i in range(size):
        units.setdefault(root(i), []).append(i)
    return list(units.values())
