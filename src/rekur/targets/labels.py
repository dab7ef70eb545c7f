"""Labels and their weights as plain Python values and numbers."""

from __future__ import annotations

import numbers
from collections.abc import Container, Mapping, Sequence
from math import isinf, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._values import CellError, is_missing_label, number_of, scalar
from rekur.data.memory import plain_labels
from rekur.errors import InputError, describe
from rekur.targets.base import PlaceOf

#: weights above it are divided by the largest of them, so that sums of weighted errors are finite
_LARGEST_WEIGHT = 1e100


def labels_of(label: Any, *, multi_label: bool, labels: Container[Any] = ()) -> list[Any]:
    """Return the labels of one item as plain Python values; those of a model, ``labels``, are never missing.

    Raises:
        InputError: it has no label, or one of the wrong type.
    """
    if multi_label:
        if not isinstance(label, list | tuple | set | frozenset | np.ndarray):
            raise InputError(describe("label", label, "a list of labels, since multi_label is on"))
        values = [_present(each, labels) for each in label]
        # the same number twice: a row of flags and no list of labels
        if isinstance(label, np.ndarray) or (len(set(values)) < len(values) and not isinstance(values[0], str)):
            fix = "From flags: [[name for name, on in zip(names, row) if on] for row in y]."
            raise InputError(describe("label", label, "a list of labels, not a row of numbers", fix))
        return values
    label = plain(label)
    if hasattr(label, "__iter__") and not isinstance(label, str | bytes):
        fix = "For several labels an item, use multi_label=True."
        raise InputError(describe("label", label, "one label", fix))
    return [_present(label, labels)]


def _present(label: Any, labels: Container[Any]) -> Any:
    """Return a label as a plain Python value, unless it is missing."""
    label = plain(label)
    if is_missing_label(label, labels):
        fix = "Give it one, or leave it out."
        if isinstance(label, str) and label.strip():
            fix = f"'{label}' stands for a missing value; if it is a class, give it another name."
        raise InputError(describe("label", label, "a label for every item", fix))
    if isinstance(label, float) and isinf(label):
        raise InputError(describe("label", label, "a finite number, or text"))
    if isinstance(label, list | dict | set):
        raise InputError(describe("label", label, "one name or number"))
    return label


def numbers_of(labels: Sequence[Any], name: str, place_of: PlaceOf | None = None) -> NDArray[np.float64]:
    """Return labels as numbers (N,).

    Args:
        labels: one an item.
        name: of the labels in messages.
        place_of: how messages name an item instead.

    Raises:
        InputError: a label is not a finite number.
    """
    values = np.empty(len(labels))
    for row, label in enumerate(labels):
        try:
            values[row] = number_of(label)
        except CellError:
            values[row] = np.nan
        if isnan(values[row]):
            item = place_of(row) if place_of else name
            raise InputError(f"{item}: " + describe("label", label, "a finite number for every item"))
    return values


def weights_of(sample_weight: Any, count: int) -> NDArray[np.float64] | None:
    """Return the weights of ``count`` items (N,); None where all are equal, as of a single number.

    Args:
        sample_weight: one number of 0 or more for each item, or one for all; None for none.
        count: the number of items.

    Raises:
        InputError: there is another number of weights, one is no finite number of 0 or more, or all of them are 0.

    Example:
        >>> weights_of([1, 0.5], 2), weights_of(3.0, 2)
        (array([1. , 0.5]), None)
    """
    if sample_weight is None:
        return None
    sample_weight = plain(sample_weight)
    if isinstance(sample_weight, numbers.Real):
        each, names = [sample_weight], ["sample_weight"]
    elif isinstance(sample_weight, str | bytes | Mapping) or not _is_listed(sample_weight):
        expected = "a number, or a list of numbers, one for each item"
        raise InputError(describe("sample_weight", type(sample_weight).__name__, expected))
    else:
        each = plain_labels(sample_weight, "sample_weight")
        names = [f"sample_weight[{row}]" for row in range(len(each))]
        if len(each) != count:
            raise InputError(describe("sample_weight", len(each), f"{count}, one for each item"))
    weights = np.array([number_of(weight, name) for weight, name in zip(each, names, strict=True)])
    for row in np.flatnonzero(~(weights >= 0)):
        raise InputError(describe(names[row], each[row], "a number of 0 or more"))
    if not weights.any():
        raise InputError("sample_weight: got only zeros; expected numbers of 0 or more, not all of them 0.")
    largest = weights.max()
    if largest == weights.min():
        return None
    return weights / largest if largest > _LARGEST_WEIGHT else weights  # only ratios count; sums are to be finite


def _is_listed(values: Any) -> bool:
    """Return whether values can be read one by one, or as an array."""
    return hasattr(values, "__iter__") or hasattr(values, "__array__")


def plain(label: Any) -> Any:
    """Return a NumPy scalar, or an array of no axes, as a Python value; dates stay as they are."""
    if isinstance(label, np.generic):
        return label if isinstance(label, np.datetime64 | np.timedelta64) else label.item()
    return scalar(label)
