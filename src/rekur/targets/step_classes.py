"""Plain classes at each step of a series: their names, their numbers, and the records of long recordings.

Axes: T steps, K classes, R records of an item, N records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._values import is_missing, is_row, scalar
from rekur.data.label_forms import alike_labels
from rekur.errors import InputError, describe
from rekur.metrics.scores import per_class
from rekur.metrics.spans import (
    COLUMNS,
    FEW_SENTENCES,
    HITS,
    PREDICTED,
    RIGHT,
    SENTENCES,
    STRETCH,
    TOKENS,
    TRUE,
    WHOLE,
    records_by_sentence,
)
from rekur.metrics.stats import score_interval
from rekur.targets.base import PlaceOf, Records
from rekur.targets.tag_labels import check_numbers, tell_alike
from rekur.targets.tag_stream import Tag

#: labels that are looked at together
_BLOCK = 1 << 18
#: classes that messages name
_FEW = 32
#: stretches of a short recording, and steps of a stretch at least; a long recording has longer ones
_STRETCHES, _SHORTEST_STRETCH = 20, 100


class StepTags(Sequence[Tag]):
    """The tags of many steps, held as arrays.

    Args:
        names: the tag of each number, (K,).
        numbers: of the steps, (T,).
        probabilities: of their tags, (T,).

    Example:
        >>> tags = StepTags(["sit", "walk"], np.array([1, 0]), np.array([0.75, 0.5]))
        >>> tags[0], len(tags), tags.tags()
        (Tag(name='walk', probability=0.75), 2, ['walk', 'sit'])
    """

    def __init__(self, names: Sequence[Any], numbers: NDArray[Any], probabilities: NDArray[Any]) -> None:
        self.names, self.numbers, self.probabilities = names, numbers, probabilities

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> Tag: ...
    @overload
    def __getitem__(self, index: slice) -> StepTags: ...
    def __getitem__(self, index: int | slice) -> Tag | StepTags:
        if isinstance(index, slice):
            return StepTags(self.names, self.numbers[index], self.probabilities[index])
        return Tag(self.names[self.numbers[index]], float(self.probabilities[index]))

    def __iter__(self) -> Iterator[Tag]:
        for number, probability in zip(self.numbers.tolist(), self.probabilities.tolist(), strict=True):
            yield Tag(self.names[number], probability)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StepTags({list(self[:3])}{', …' if len(self) > 3 else ''})"

    def tags(self) -> list[Any]:
        """Return the tag of each step."""
        names = self.names
        return [names[number] for number in self.numbers.tolist()]

    @classmethod
    def joined(cls, pieces: Sequence[StepTags]) -> StepTags:
        """Return pieces, one or more, as one."""
        numbers, probabilities = zip(*((piece.numbers, piece.probabilities) for piece in pieces), strict=True)
        return cls(pieces[0].names, np.concatenate(numbers), np.concatenate(probabilities))


def learn_classes(labels: Sequence[Any], place_of: PlaceOf | None) -> tuple[list[Any], str]:
    """Return the classes of all steps in their order, and a sentence that names them.

    Args:
        labels: of each item a list or an array with the label of each step.
        place_of: the name of an item in messages.

    Raises:
        InputError: a label is missing, labels are of several types or continuous numbers, or there are fewer than two
            classes.

    Example:
        >>> learn_classes([["sit", "walk"], ["walk"]], None)
        (['sit', 'walk'], 'classes: sit, walk')
        >>> learn_classes([np.array([0, 2, 2])], None)
        ([0, 2], 'classes: labels are whole numbers and are taken as classes: 0, 2')
    """
    seen: dict[Any, int] = {}
    for row, label in enumerate(labels):
        values = distinct_labels(label, place_of(row) if place_of else "label")
        seen |= {value: row for value in values if value not in seen}
    kinds = sorted({type(value).__name__ for value in seen})
    if set(kinds) == {"float", "int"}:
        kinds = ["float"]
    if len(kinds) > 1:
        expected = "labels of one type: text, whole numbers, or True and False"
        raise InputError(f"labels: got labels of the types {' and '.join(kinds)}; expected {expected}.")
    are_numbers = check_numbers(seen, labels, place_of)
    if len(seen) < 2:
        only = f"only the label {next(iter(seen))!r}" if seen else "no labels"
        got = f"{only} in {counted(len(labels), 'training example')}"
        raise InputError(f"labels: got {got}; expected at least two different ones. Choose another label column.")
    names = sorted({int(value) for value in seen}) if kinds == ["float"] else sorted(seen)
    if place_of is not None and kinds == ["str"] and alike_labels(dict.fromkeys(seen, 0)):
        tell_alike(Counter(name for label in labels for name in label))
    if are_numbers and kinds == ["str"]:
        names.sort(key=float)
    told = "labels are whole numbers and are taken as classes: " if are_numbers else ""
    return names, f"classes: {told}{shown_names(names)}"


def class_index(names: Sequence[Any]) -> dict[Any, int]:
    """Return the number of each class, by its name and by equal values, such as 5 for "5".

    A table has texts where lists in memory and in JSON have numbers, True and False.

    Example:
        >>> index = class_index([False, True])
        >>> index["True"], index["true"], index[False], class_index(["0", "5"])[5]
        (1, 1, 0, 1)
    """
    index = {name: number for number, name in enumerate(names)}
    for number, name in enumerate(names):
        text = str(name)
        spellings: list[Any] = [text]
        if text.lower() in ("true", "false"):
            spellings = [text.lower() == "true", text.lower(), text.capitalize()]
        elif text.isascii() and text.removeprefix("-").isdecimal():
            spellings.append(int(text))
        for spelling in spellings:
            index.setdefault(spelling, number)
    return index


def shown_names(names: Sequence[Any]) -> str:
    """Return the first names as messages have them, and how many there are more."""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(map(str, names[:_FEW])) + more


def distinct_labels(label: Any, item: str) -> list[Any]:
    """Return the different labels of the steps of an item."""
    label = scalar(label)
    if not is_row(label):
        raise InputError(f"{item}: " + describe("label", label, "a list of labels, one a step"))
    if isinstance(label, np.ndarray) and label.dtype.kind in "biufU":
        if label.ndim != 1:
            raise InputError(f"{item}: got labels of shape {label.shape}; expected (T,), one a step.")
        parts = [np.unique(label[start : start + _BLOCK]) for start in range(0, len(label), _BLOCK)]
        values: list[Any] = np.unique(np.concatenate(parts)).tolist() if parts else []
    else:
        values = [value.item() if isinstance(value, np.generic) else value for value in dict.fromkeys(label)]
    if not len(label):
        raise InputError(f"{item}: got an item without steps; expected one step or more. Take it out.")
    for value in values:
        if is_missing(value):
            fix = "Give it one, such as 'none', or take the step out."
            raise InputError(f"{item}: label: got nothing; expected a label at every step. {fix}")
        if not isinstance(value, str | int | float):
            raise InputError(f"{item}: " + describe("label", value, "text, a whole number, or True or False"))
    return values


def numbers_of_classes(label: Any, index: Mapping[Any, int], unseen: int) -> NDArray[np.int32]:
    """Return the number of the class of each step, int32 (T,); ``unseen`` for another label.

    Example:
        >>> numbers_of_classes(np.array([2, 0, 5]), {0: 0, 2: 1}, -1).tolist()
        [1, 0, -1]
    """
    numbers = np.empty(len(label), np.int32)
    for start in range(0, len(label), _BLOCK):
        part = label[start : start + _BLOCK]
        if isinstance(part, np.ndarray) and part.dtype.kind in "biufU":
            values, places = np.unique(part, return_inverse=True)
            numbers[start : start + _BLOCK] = np.array([index.get(value, unseen) for value in values.tolist()])[places]
        else:
            plain = (value.item() if isinstance(value, np.generic) else value for value in part)
            numbers[start : start + _BLOCK] = [index.get(value, unseen) for value in plain]
    return numbers


def class_records(predicted: NDArray[np.int64], truth: NDArray[np.int64], size: int) -> Records:
    """Return the records of an item, (R, 12 + 3K); see :func:`rekur.metrics.tag_records`.

    Each is about a stretch: a twentieth of the steps, but 100 at least and 1,000 at most.

    Args:
        predicted: class numbers, (T,).
        truth: the same; -1 for a class that training lacks.
        size: number of classes K that have columns of their own.

    Example:
        >>> class_records(np.array([0, 1]), np.array([0, 0]), 2)[0, COLUMNS:].tolist()
        [1.0, 1.0, 2.0, 0.0, 1.0, 0.0]
    """
    length = min(STRETCH, max(_SHORTEST_STRETCH, -(-len(truth) // _STRETCHES)))
    count = max(1, -(-len(truth) // length))
    records = np.zeros((count, COLUMNS + 3 * size))
    stretch, right = np.arange(len(truth)) // length, predicted == truth
    records[0, [SENTENCES, WHOLE]] = 1, len(truth) > 0 and right.all()
    records[:, RIGHT] = np.bincount(stretch[right], minlength=count)
    records[:, TOKENS] = np.bincount(stretch, minlength=count)
    for part, (numbers, use) in enumerate(((truth, right), (predicted, predicted >= 0), (truth, truth >= 0))):
        if size:
            cells = np.bincount(stretch[use] * size + numbers[use], minlength=count * size)
            records[:, COLUMNS + part :: 3] = cells.reshape(count, size)
    _count_events(records, predicted, truth, length)
    return records


def _count_events(records: Records, predicted: NDArray[np.int64], truth: NDArray[np.int64], length: int) -> None:
    """Add the events of an item to its records of ``length`` steps: right, predicted and true ones, where they start.

    An event is a run of steps of one class. Two that share more than half of the steps of both together share the
    middle of each; so every event has one partner at most.
    """
    if not len(truth):
        return
    changes = (np.flatnonzero(numbers[1:] != numbers[:-1]) + 1 for numbers in (predicted, truth))
    edges = [np.concatenate([[0], each, [len(truth)]]) for each in changes]
    (starts, ends), (true_starts, true_ends) = ((each[:-1], each[1:]) for each in edges)
    partner = np.searchsorted(true_starts, (starts + ends) // 2, side="right") - 1
    shared = np.minimum(ends, true_ends[partner]) - np.maximum(starts, true_starts[partner])
    both = np.maximum(ends, true_ends[partner]) - np.minimum(starts, true_starts[partner])
    right = (predicted[starts] == truth[true_starts[partner]]) & (2 * shared > both)
    for column, where in ((HITS, starts[right]), (PREDICTED, starts), (TRUE, true_starts)):
        records[:, column] = np.bincount(where // length, minlength=len(records))


def class_scores(records: Records) -> dict[str, float]:
    r"""Return ``accuracy`` of steps, ``macro_f1`` over the classes that occur, and ``event_f1``, of any records.

    .. math:: F_1 = \frac{2 \, \mathrm{right}}{\mathrm{predicted} + \mathrm{true}}

    An event is a run of steps of one class. A predicted one is right if a true event of its class shares more than
    half of the steps that either has.

    Example:
        >>> class_scores(class_records(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]), 2))["accuracy"]
        0.75
    """
    hits, predicted, truth = records[:, COLUMNS:].sum(axis=0).reshape(-1, 3).T
    occurs = predicted + truth > 0
    f1 = 2 * hits[occurs] / (predicted + truth)[occurs]
    steps = records[:, TOKENS].sum()
    scores = {"accuracy": float(records[:, RIGHT].sum() / steps) if steps else 0.0}
    events = records[:, [HITS, PREDICTED, TRUE]].sum(axis=0)
    if len(f1):
        scores["macro_f1"] = float(f1.mean())
    return scores | ({"event_f1": float(2 * events[0] / events[1:].sum())} if events[1:].sum() else {})


def class_report(records: Records, names: Sequence[Any]) -> dict[str, Any]:
    """Return the numbers of items and steps, the scores with their intervals, and those of each class."""
    steps = int(records[:, TOKENS].sum())
    report: dict[str, Any] = {"items": int(records[:, SENTENCES].sum()), "steps": steps}
    drawn = records_by_sentence(records) if report["items"] >= FEW_SENTENCES else records
    for name, value in class_scores(records).items():
        report[name] = value
        if steps:
            units = int(records[:, TRUE].sum()) if name == "event_f1" else steps
            report[f"{name}_interval"] = score_interval(partial(_score, drawn, name), len(drawn), units=units)
    if names:
        report["per_class"] = per_class(list(map(str, names)), *records[:, COLUMNS:].sum(axis=0).reshape(-1, 3).T)
    return report


def _score(records: Records, name: str, rows: NDArray[np.intp]) -> float:
    return class_scores(records[rows]).get(name, 0.0)
