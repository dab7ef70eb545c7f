"""What the labels of the steps of training items must be: of one type, classes, and tags of one scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from rekur._schemes import SchemeChoice, TagError, detect_scheme
from rekur.data.corpus import LabelPlace
from rekur.data.example import warn
from rekur.data.label_forms import alike_labels
from rekur.errors import InputError, describe
from rekur.targets.base import PlaceOf

#: classes that may be numbers
_MOST_NUMBERS = 100


def check_types(rows: Sequence[Sequence[Any]], place_of: PlaceOf | None) -> None:
    """Raise where tags have several types, such as text and numbers; name the first item with another type."""
    types = {type(tag) for tags in rows for tag in tags}
    if len(types) < 2:
        return
    first = type(next(tag for tags in rows for tag in tags))
    row = next(row for row, tags in enumerate(rows) if any(type(tag) is not first for tag in tags))
    where, names = place_of(row) if place_of else "labels", " and ".join(sorted(each.__name__ for each in types))
    raise InputError(f"{where}: got tags of the types {names}; expected tags of one type: text or whole numbers.")


def scheme_of(rows: Sequence[Sequence[str]], place_of: PlaceOf | None) -> SchemeChoice:
    """Return the scheme of the tags of items; raise with the place of a tag that fits none."""
    try:
        return detect_scheme(rows)
    except TagError as error:
        if place_of is None:
            raise
        row = next(row for row, tags in enumerate(rows) if error.tag in tags)
        step = rows[row].index(error.tag)
        where = place_of_step(place_of, row, step, "tag")
        raise InputError(f"{where}: {error}") from None


def tell_alike(counts: Mapping[Any, int]) -> None:
    """Warn of labels that may be one class, and are learned as several.

    Args:
        counts: label -> number of steps.
    """
    if told := alike_labels({label: count for label, count in counts.items() if isinstance(label, str) and label}):
        warn(told)


def check_numbers(seen: Mapping[Any, int], labels: Sequence[Any], place_of: PlaceOf | None) -> bool:
    """Return whether all labels are whole numbers; raise if they are numbers that can be no classes.

    Args:
        seen: label -> the number of the first item with it.
        labels: of each item.
        place_of: the name of an item in messages.
    """
    if not seen or any(isinstance(value, bool) for value in seen):
        return False
    numbers = {}
    for value in seen:
        try:
            numbers[value] = float(value)
        except ValueError:
            return False
    fix = "No task predicts a number at each step; if they are classes, write them as text, such as 'c1'."
    for value, number in numbers.items():
        if isnan(number) or not number.is_integer():
            step = next(step for step, label in enumerate(labels[seen[value]]) if label == value)
            where = f"{place_of_step(place_of, seen[value], step)}: " if place_of else ""
            got = describe("label", value, "a class: text, a whole number, or True or False", fix)
            raise InputError(f"{where}{got}")
    if len(numbers) > _MOST_NUMBERS:
        raise InputError(
            f"labels: got {len(numbers)} different numbers; expected at most {_MOST_NUMBERS} where they are classes. "
            f"{fix}"
        )
    return True


def place_of_step(place_of: PlaceOf, item: int, step: int, noun: str = "step") -> str:
    """Return how messages name a step of an item: by its line in the file, else by its number in the item."""
    line = place_of.of_step(item, step) if isinstance(place_of, LabelPlace) else ""
    return line or f"{place_of(item)}, {noun} {step + 1}"
