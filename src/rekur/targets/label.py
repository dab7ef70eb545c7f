"""Labels with their probabilities: one for each item, or several.

Axes: N items, K labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from math import exp
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur.data.example import warn
from rekur.data.label_forms import alike_labels, label_form
from rekur.errors import InputError, describe, did_you_mean
from rekur.features.base import Features
from rekur.metrics.scores import class_records, class_report, class_scores, flag_records, flag_report, flag_scores
from rekur.targets.base import PlaceOf, Records, Target
from rekur.targets.galleries import LabelGallery
from rekur.targets.gallery import ErrorRow
from rekur.targets.labels import labels_of, plain

#: labels up to which plain Python is faster than an array
_FEW = 32
#: types of labels that JSON keeps, and their names
_PLAIN = (str, int, float, bool)
_TYPES = {kind.__name__ for kind in _PLAIN}
#: characters that often stand between several labels of a cell
SEPARATORS = ",;|/\t"


class Prediction(NamedTuple):
    """The prediction of a classifier for one sequence.

    Attributes:
        label: the most probable label; with ``multi_label`` the list of all labels of 0.5 or more.
        probability: of the label; with ``multi_label`` of the most probable one.
        probabilities: of every label.
    """

    label: Any
    probability: float
    probabilities: dict[str, float]


class LabelTarget(Target):
    """Labels and their probabilities.

    Args:
        labels: the labels, in the order of the outputs.
        multi_label: an item may have any number of them, each judged by itself.

    Example:
        >>> target = LabelTarget(["bad", "good"], multi_label=False)
        >>> target.answer(np.array([0.0, 0.0], np.float32))
        Prediction(label='bad', probability=0.5, probabilities={'bad': 0.5, 'good': 0.5})
    """

    kind = "label"

    def __init__(self, labels: Sequence[Any], *, multi_label: bool) -> None:
        self.multi_label = multi_label
        self.label_type = "classes" if multi_label else "class"
        self.decides = "micro_f1" if multi_label else "accuracy"
        self.followed = (self.decides,)
        self.joint = "sigmoid" if multi_label else "softmax"
        self._labels = [plain(label) for label in labels]
        self.classes = _array_of(self._labels)
        self._names = [str(label) for label in self._labels]
        self._index = {label: k for k, label in enumerate(self._labels)}
        self._quick = not multi_label and len(labels) <= _FEW

    @classmethod
    def learn(
        cls,
        labels: Sequence[Any],
        features: Features | None = None,
        *,
        place_of: PlaceOf | None = None,
        multi_label: bool = False,
        **options: Any,
    ) -> Self:
        """Return the target that training labels teach; labels that may be one class by mistake are told.

        Raises:
            InputError: fewer than two different labels, or labels of several types or of one that JSON lacks.
        """
        counts = _counted(labels, multi_label, place_of)
        texts = {label: count for label, count in counts.items() if isinstance(label, str)}
        if place_of is not None and (alike := alike_labels(texts)):
            warn(alike)
        joined = next((label for label in texts if any(mark in label for mark in SEPARATORS)), None)
        if place_of is not None and joined is not None and multi_label and max(map(len, labels)) == 1:
            fix = "If such cells hold several, name what separates them: label_separator."
            warn(f"No item has more than one label, and a label is {joined!r}. {fix}")
        values = sorted(counts, key=lambda value: (str(type(value)), value))
        if broken := [value for value in values if isinstance(value, float) and not value.is_integer()]:
            fix = "Unknown label type: continuous. Learn numbers with rekur.Regressor, or give classes as text."
            raise InputError(describe("labels", broken[0], "text, whole numbers, or True and False", fix))
        if len(values) < (1 if multi_label else 2):
            only = f"only the label {values[0]!r}" if values else "no labels"
            raise InputError(
                f"labels: got {only} in {counted(len(labels), 'training example')}; expected at least two different "
                "ones. Choose another label column, or add examples of the other classes."
            )
        return cls(values, multi_label=multi_label)

    @property
    def size(self) -> int:
        """The number of labels."""
        return len(self._labels)

    @property
    def output_names(self) -> list[str]:
        """The labels as text."""
        return list(self._names)

    def encode(self, label: Any, context: Any = None) -> Any:
        """Return the number of the label, or with ``multi_label`` flags (K,)."""
        if not self.multi_label and type(label) in _PLAIN:
            number = self._index.get(label)
            if number is not None:
                return number
        present = labels_of(label, multi_label=self.multi_label, labels=self._index)
        numbers = [self._number(each) for each in present]
        if not self.multi_label:
            return numbers[0]
        flags = np.zeros(self.size, np.float32)
        flags[numbers] = 1
        return flags

    def encode_items(
        self,
        labels: Sequence[Any],
        contexts: Sequence[Any] | None = None,
        name: str = "labels",
        place_of: PlaceOf | None = None,
    ) -> NDArray[Any]:
        """Return the number of each label, int64 (N,), or with ``multi_label`` flags, float32 (N, K)."""
        encoded = np.asarray(super().encode_items(labels, contexts, name, place_of))
        return encoded.reshape(len(labels), self.size) if self.multi_label else encoded.astype(np.int64)

    def true_labels(self, labels: Sequence[Any], name: str) -> list[set[Any]]:
        """Return the labels of each item as a set; one that was never seen in training may be among them.

        Raises:
            InputError: a label is of a type that no label of training has, such as text where they are numbers.
        """
        sets: list[set[Any]] = []
        for row, label in enumerate(labels):
            try:
                sets.append(set(labels_of(label, multi_label=self.multi_label, labels=self._index)))
                for each in sets[-1]:
                    if each not in self._index and type(each) is not type(self._labels[0]):
                        self._number(each)
            except InputError as error:
                raise InputError(f"{name}[{row}]: {error}") from None
        return sets

    def decode(self, outputs: NDArray[Any], context: Any = None) -> NDArray[np.float64]:
        """Return the probability of every label (…, K)."""
        wide = outputs.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # outputs of a model that diverged
            if self.multi_label:
                return np.asarray(1.0 / (1.0 + np.exp(-wide)))
            wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
            return np.asarray(wide / wide.sum(axis=-1, keepdims=True))

    def present(self, prediction: NDArray[np.float64], context: Any = None) -> Prediction:
        """Return the label with its probability, and those of all others."""
        shares = prediction.tolist()
        largest = max(shares)
        label: Any = self._labels[shares.index(largest)]
        if self.multi_label:
            label = [name for name, share in zip(self._labels, shares, strict=True) if share >= 0.5]
        return Prediction(label, largest, dict(zip(self._names, shares, strict=True)))

    def answer(self, outputs: NDArray[Any], context: Any = None) -> Prediction:
        """Return the prediction of an item; of few labels in less time than it takes to make an array."""
        if not self._quick:
            return self.present(self.decode(outputs))
        scores = outputs.tolist()
        top = max(scores)
        powers = [exp(score - top) for score in scores]
        total = sum(powers)
        shares = [power / total for power in powers]
        largest = max(shares)
        return Prediction(self._labels[shares.index(largest)], largest, dict(zip(self._names, shares, strict=True)))

    def values(self, outputs: Any, contexts: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return the most probable label of each item, (N,); with ``multi_label`` flags (N, K)."""
        shares = self.decode(outputs)
        if self.multi_label:
            return np.asarray((shares >= 0.5).astype(np.int64))
        return np.asarray(self.classes[shares.argmax(axis=1)])

    def record(self, prediction: NDArray[np.float64], label: Any, context: Any = None) -> Records:
        """Return the record of an item, (S,)."""
        return np.asarray(self.records_of_predictions(prediction[None], [label])[0])

    def records(self, outputs: Any, labels: Sequence[Any], contexts: Sequence[Any] | None = None) -> Records:
        """Return the records of items, see :meth:`records_of_predictions`."""
        return self.records_of_predictions(self.decode(outputs), labels)

    def records_of_predictions(
        self, predictions: Any, labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items with the probabilities (N, K).

        (N, 4) with class, predicted class, its probability and nats; with ``multi_label`` (N, 2K + 1) with true
        labels, predicted labels and nats a label.
        """
        truth = self.encode_items(labels).astype(np.int64)
        return (flag_records if self.multi_label else class_records)(truth, np.asarray(predictions))

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return the metrics of a classifier."""
        return flag_scores(records, weights) if self.multi_label else class_scores(records, self.size, weights)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the scores of a classifier; see :func:`rekur.metrics.classification_scores` and
        :func:`rekur.metrics.multilabel_scores`."""
        return (flag_report if self.multi_label else class_report)(records, self._names)

    def gallery(self) -> LabelGallery:
        """Return a collection of the items whose true labels get the least probability."""
        return LabelGallery(self._labels, multi_label=self.multi_label)

    def errors(self, prediction: NDArray[np.float64], label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of an item with a wrong label; its severity is 1 - the probability of the truth.

        With ``multi_label`` both probabilities are about the label that is most surely wrong, or missing.
        """
        truth = self.encode(label)
        if self.multi_label:
            errors = np.abs(truth - prediction) * ((prediction >= 0.5) != (truth > 0))
            number = int(errors.argmax())
            severity = float(errors[number])
            if severity:
                yield ErrorRow(severity, partial(self._cells_of_several, prediction, label, number, severity))
        elif (number := int(prediction.argmax())) != truth:
            share, guess = float(prediction[truth]), float(prediction[number])
            cells = {"truth": self._labels[truth], "prediction": self._labels[number]}
            yield ErrorRow(1.0 - share, {**cells, "probability": guess, "truth_probability": share}.copy)

    def doubts(self, prediction: NDArray[np.float64], label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of an item; its severity is 1 - the distance of the two largest probabilities.

        With ``multi_label`` it is 1 for a label whose probability is one half.
        """
        truth = self.encode(label)
        if self.multi_label:
            number = int(np.abs(prediction - 0.5).argmin())
            error = abs(float(truth[number] - prediction[number]))
            cells = partial(self._cells_of_several, prediction, label, number, error)
            yield ErrorRow(1.0 - 2.0 * abs(error - 0.5), cells)
        else:
            second, first = np.argsort(prediction)[-2:]
            share = float(prediction[truth])
            probabilities = {"probability": float(prediction[first]), "truth_probability": share}
            row = {"truth": self._labels[truth], "prediction": self._labels[first], **probabilities}
            yield ErrorRow(1.0 - float(prediction[first] - prediction[second]), row.copy)

    def _cells_of_several(
        self, prediction: NDArray[np.float64], label: Any, number: int, severity: float
    ) -> dict[str, Any]:
        """Return the cells of an item with several labels; ``number`` is that of the most surely wrong one."""
        true = set(labels_of(label, multi_label=True, labels=self._index))
        return {
            "truth": [name for name in self._labels if name in true],
            "prediction": self.present(prediction).label,
            "label": self._labels[number],
            "probability": severity,
            "truth_probability": 1.0 - severity,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the labels."""
        return {"labels": self._labels, "multi_label": self.multi_label}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target of these labels."""
        return cls(saved["labels"], multi_label=saved["multi_label"])

    def _number(self, label: Any) -> int:
        number = self._index.get(label)
        if number is None:
            shown = [repr(name) for name in self._labels[:_FEW]]
            more = f" and {self.size - _FEW} more" if self.size > _FEW else ""
            expected = f"one of the labels seen in training, {', '.join(shown)}{more}"
            raise InputError(describe("label", label, expected, self._nearest(label)))
        return number

    def _nearest(self, label: Any) -> str:
        """Return a question that names the label that may be meant; an empty text if there is none."""
        form = label_form(str(label))
        alike = next((name for name in self._names if label_form(name) == form), None)
        if alike is not None and alike == str(label):
            types = type(label).__name__, type(self._labels[0]).__name__
            return f"It is of the type {types[0]}; the labels are of the type {types[1]}."
        return did_you_mean(str(label), self._names) if alike is None else f"Did you mean '{alike}'?"


def _counted(labels: Sequence[Any], multi_label: bool, place_of: PlaceOf | None) -> Counter[Any]:
    """Return how often each label occurs; raise unless all are of one type that JSON keeps."""
    counts: Counter[Any] = Counter()
    types: set[str] = set()
    for row, label in enumerate(labels):
        try:
            values = labels_of(label, multi_label=multi_label)
        except InputError as error:
            raise InputError(f"{place_of(row)}: {error}" if place_of else str(error)) from None
        types |= {type(value).__name__ for value in values}
        if not types <= _TYPES:
            break
        counts.update(values)
    if len(types) > 1 or not types <= _TYPES:
        expected = "labels of one type: text, whole numbers, numbers or True and False"
        raise InputError(f"labels: got labels of the type {' and '.join(sorted(types))}; expected {expected}.")
    return counts


def _array_of(labels: list[Any]) -> NDArray[Any]:
    """Return labels as an array with their own values: NumPy makes floats of large whole numbers, and cuts NULs."""
    array = np.array(labels)
    held = array.tolist()
    if held == labels and list(map(type, held)) == list(map(type, labels)):
        return array
    if all(type(label) is int and 0 <= label < 2**64 for label in labels):
        return np.array(labels, np.uint64)
    objects = np.empty(len(labels), object)
    objects[:] = labels
    return objects
