"""What the scores of a model mean: labels with their probabilities, or numbers; no PyTorch.

Axes: N items, K scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import exp, isinf, isnan
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._values import CellError, is_missing_label, number_of, scalar
from rekur.data.label_forms import label_form
from rekur.data.memory import plain_labels
from rekur.errors import InputError, describe, did_you_mean
from rekur.metrics import classification_scores, multilabel_scores, regression_scores

#: the largest number that can be a label of a regressor, and how much labels must differ at least: predictions and
#: errors are to be numbers too
LARGEST_LABEL, SMALLEST_SPREAD = 1e300, 1e-300
#: standard deviations from the mean up to which a number can be predicted or scored, in float32
FARTHEST_LABEL = 1e15
#: labels up to which plain Python is faster than an array
_FEW = 32


class Prediction(NamedTuple):
    """What a classifier says of one sequence.

    Attributes:
        label: the most probable label; with ``multi_label`` the list of all labels of 0.5 or more.
        probability: of the label; with ``multi_label`` of the most probable one.
        probabilities: of every label.
    """

    label: Any
    probability: float
    probabilities: dict[str, float]


class Answers(ABC):
    """The way from scores (N, K) to what a person reads, and from labels to targets."""

    #: how labels are read from a file: ``class``, ``classes`` or ``number``
    label_type: str

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of scores K."""

    @abstractmethod
    def encode(self, labels: Sequence[Any], name: str, place_of: Callable[[int], str] | None = None) -> NDArray[Any]:
        """Return labels as targets, one row an item.

        Args:
            labels: one an item.
            name: what they are called in messages.
            place_of: the number of an item, from 0 -> how messages name it instead.

        Raises:
            InputError: a label is none that the model knows.
        """

    @abstractmethod
    def predict(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return the predictions (N,) of scores (N, K)."""

    @abstractmethod
    def present(self, scores: NDArray[Any]) -> Any:
        """Return the prediction that a person reads from the scores (K,) of one item."""

    @abstractmethod
    def metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        """Return all metrics of scores (N, K) for targets, as plain JSON."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""


class ClassAnswers(Answers):
    """Labels and their probabilities.

    Args:
        labels: the labels, in the order of the scores.
        multi_label: an item may have any number of them, each judged by itself.

    Example:
        >>> answers = ClassAnswers(["bad", "good"], multi_label=False)
        >>> answers.present(np.array([0.0, 0.0], np.float32))
        Prediction(label='bad', probability=0.5, probabilities={'bad': 0.5, 'good': 0.5})
    """

    def __init__(self, labels: Sequence[Any], *, multi_label: bool) -> None:
        self.multi_label = multi_label
        self.label_type = "classes" if multi_label else "class"
        self._labels = [plain(label) for label in labels]
        self.classes = _array_of(self._labels)
        self._names = [str(label) for label in self._labels]
        self._index = {label: k for k, label in enumerate(self._labels)}
        self._quick = not multi_label and len(labels) <= _FEW

    @property
    def size(self) -> int:
        """The number of labels."""
        return len(self._labels)

    def encode(self, labels: Sequence[Any], name: str, place_of: Callable[[int], str] | None = None) -> NDArray[Any]:
        """Return the number of each label (N,), or with ``multi_label`` flags (N, K)."""
        several = self.multi_label
        targets = np.zeros((len(labels), self.size), np.float32) if several else np.zeros(len(labels), np.int64)
        for row, label in enumerate(labels):
            try:
                numbers = [self._number(each) for each in labels_of(label, multi_label=several)]
            except InputError as error:
                raise InputError(f"{place_of(row) if place_of else name}: {error}") from None
            if several:
                targets[row, numbers] = 1
            else:
                targets[row] = numbers[0]
        return targets

    def true_labels(self, labels: Sequence[Any], name: str) -> list[set[Any]]:
        """Return the labels of each item as a set; one that was never seen in training may be among them.

        Raises:
            InputError: a label is of a type that no label of training has, such as text where they are numbers.
        """
        sets: list[set[Any]] = []
        for row, label in enumerate(labels):
            try:
                sets.append(set(labels_of(label, multi_label=self.multi_label)))
                for each in sets[-1]:
                    if each not in self._index and type(each) is not type(self._labels[0]):
                        self._number(each)
            except InputError as error:
                raise InputError(f"{name}[{row}]: {error}") from None
        return sets

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of every label (…, K)."""
        wide = scores.astype(np.float64)
        if self.multi_label:
            return np.asarray(1.0 / (1.0 + np.exp(-wide)))
        wide = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return np.asarray(wide / wide.sum(axis=-1, keepdims=True))

    def predict(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable label of each item, (N,); with ``multi_label`` flags (N, K)."""
        given = self.probabilities(scores)
        if self.multi_label:
            return np.asarray((given >= 0.5).astype(np.int64))
        return np.asarray(self.classes[given.argmax(axis=1)])

    def present(self, scores: NDArray[Any]) -> Prediction:
        """Return the label with its probability, and those of all others."""
        if self._quick:
            return self._present_few(scores.tolist())
        given = self.probabilities(scores).tolist()
        largest = max(given)
        label: Any = self._labels[given.index(largest)]
        if self.multi_label:
            label = [one for one, share in zip(self._labels, given, strict=True) if share >= 0.5]
        return Prediction(label, largest, dict(zip(self._names, given, strict=True)))

    def _present_few(self, scores: list[float]) -> Prediction:
        """Return what :meth:`present` does for a few scores, in less time than it takes to make an array."""
        top = max(scores)
        powers = [exp(score - top) for score in scores]
        total = sum(powers)
        given = [power / total for power in powers]
        largest = max(given)
        label = self._labels[given.index(largest)]
        return Prediction(label, largest, dict(zip(self._names, given, strict=True)))

    def metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        """Return the metrics of a classifier."""
        measure = multilabel_scores if self.multi_label else classification_scores
        return measure(targets.astype(np.int64), self.probabilities(scores), self._names)

    def to_dict(self) -> dict[str, Any]:
        """Return the labels."""
        return {"labels": self._labels, "multi_label": self.multi_label}

    def _number(self, label: Any) -> int:
        number = self._index.get(label)
        if number is None:
            shown = [repr(known) for known in self._labels[:_FEW]]
            more = f" and {self.size - _FEW} more" if self.size > _FEW else ""
            expected = f"one of the labels seen in training, {', '.join(shown)}{more}"
            raise InputError(describe("label", label, expected, self._nearest(label)))
        return number

    def _nearest(self, label: Any) -> str:
        """Return the label that may be meant, as a question; nothing where none is near."""
        form = label_form(str(label))
        alike = next((name for name in self._names if label_form(name) == form), None)
        if alike is not None and alike == str(label):
            types = type(label).__name__, type(self._labels[0]).__name__
            return f"It is of the type {types[0]}; the labels are of the type {types[1]}."
        return did_you_mean(str(label), self._names) if alike is None else f"Did you mean '{alike}'?"


class NumberAnswers(Answers):
    r"""Numbers in the unit of the data: :math:`\hat y = \mu + \sigma z`.

    Args:
        mean: mean of the training targets.
        scale: their standard deviation, above 0.

    Example:
        >>> NumberAnswers(mean=10.0, scale=2.0).present(np.array([0.5], np.float32))
        11.0
    """

    label_type = "number"

    def __init__(self, mean: float, scale: float) -> None:
        self.mean, self.scale = mean, scale

    @classmethod
    def of(cls, values: NDArray[np.float64], name: str) -> Self:
        """Return the answers that training labels (N,) teach.

        Raises:
            InputError: they are too large or too small to be standardised, or do not differ; the text begins with
                ``name``.
        """
        largest = float(np.abs(values).max())
        low, high = float(values.min()), float(values.max())
        if low == high:
            raise InputError(
                f"{name}: got only the number {low:g} in {counted(len(values), 'training example')}; "
                "expected numbers that differ. Choose another label column."
            )
        if largest > LARGEST_LABEL or high - low < SMALLEST_SPREAD:
            got = f"{largest:g}" if largest > LARGEST_LABEL else f"numbers that differ by {high - low:g} at most"
            expected = f"numbers up to {LARGEST_LABEL:g} that differ by {SMALLEST_SPREAD:g} or more"
            raise InputError(f"{name}: got {got}; expected {expected}. Give them in another unit.")
        mean = float(values.mean())
        away = values - mean
        unit = float(np.abs(away).max())
        if not 1e-150 < unit < 1e150:  # squares overflow or vanish
            return cls(mean, unit * float((away / unit).std()))
        return cls(mean, float(values.std()))

    @property
    def size(self) -> int:
        """One score."""
        return 1

    def encode(self, labels: Sequence[Any], name: str, place_of: Callable[[int], str] | None = None) -> NDArray[Any]:
        """Return the numbers, standardised (N,)."""
        with np.errstate(over="ignore"):
            standardised = (numbers_of(labels, name, place_of) - self.mean) / self.scale
        far = np.flatnonzero(np.abs(standardised) > FARTHEST_LABEL)
        if len(far):
            row = int(far[0])
            expected = f"a number like those of training, whose mean is {self.mean:g} and spread {self.scale:g}"
            raise InputError(f"{place_of(row) if place_of else name}: " + describe("label", labels[row], expected))
        return standardised.astype(np.float32)

    def predict(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Return the number of each item, (N,)."""
        return self._in_unit(scores[:, 0])

    def present(self, scores: NDArray[Any]) -> float:
        """Return the number."""
        return float(self.mean + self.scale * float(scores[0]))

    def metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        """Return the metrics of a regressor."""
        return regression_scores(self._in_unit(targets), self._in_unit(scores[:, 0]))

    def to_dict(self) -> dict[str, Any]:
        """Return mean and scale."""
        return {"target_mean": self.mean, "target_scale": self.scale}

    def _in_unit(self, standardised: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self.mean + self.scale * standardised.astype(np.float64))


def answers_from(task: str, saved: dict[str, Any]) -> Answers:
    """Return the answers that :meth:`Answers.to_dict` described.

    Args:
        task: ``classify`` or ``regress``.
        saved: the field ``targets`` of a bundle's ``config.json``.
    """
    if task == "classify":
        return ClassAnswers(saved["labels"], multi_label=saved["multi_label"])
    return NumberAnswers(saved["target_mean"], saved["target_scale"])


def labels_of(label: Any, *, multi_label: bool) -> list[Any]:
    """Return the labels of one item as plain Python values.

    Raises:
        InputError: it is none, or of the wrong kind.
    """
    if multi_label:
        if not isinstance(label, list | tuple | set | frozenset | np.ndarray):
            raise InputError(describe("label", label, "a list of labels, since multi_label is on"))
        values = [_present(each) for each in label]
        # the same number twice: a row of flags and no list of labels
        if isinstance(label, np.ndarray) or (len(set(values)) < len(values) and not isinstance(values[0], str)):
            fix = "From flags: [[name for name, on in zip(names, row) if on] for row in y]."
            raise InputError(describe("label", label, "a list of labels, not a row of numbers", fix))
        return values
    label = plain(label)
    if hasattr(label, "__iter__") and not isinstance(label, str | bytes):
        fix = "For several labels an item, use multi_label=True."
        raise InputError(describe("label", label, "one label", fix))
    return [_present(label)]


def _present(label: Any) -> Any:
    """Return a label as a plain Python value, unless it is missing."""
    label = plain(label)
    if is_missing_label(label):
        fix = "Give it one, or leave it out."
        if isinstance(label, str) and label.strip():
            fix = f"'{label}' stands for a missing value; if it is a class, give it another name."
        raise InputError(describe("label", label, "a label for every item", fix))
    if isinstance(label, float) and isinf(label):
        raise InputError(describe("label", label, "a finite number, or text"))
    if isinstance(label, list | dict | set):
        raise InputError(describe("label", label, "one name or number"))
    return label


def numbers_of(labels: Sequence[Any], name: str, place_of: Callable[[int], str] | None = None) -> NDArray[np.float64]:
    """Return labels as numbers (N,).

    Args:
        labels: one an item.
        name: what they are called in messages.
        place_of: the number of an item, from 0 -> how messages name it instead.

    Raises:
        InputError: a label is no finite number.
    """
    values = np.empty(len(labels))
    for row, label in enumerate(labels):
        try:
            values[row] = number_of(label)
        except CellError:
            values[row] = np.nan
        if isnan(values[row]):
            place = place_of(row) if place_of else name
            raise InputError(f"{place}: " + describe("label", label, "a finite number for every item"))
    return values


def weights_of(sample_weight: Any, count: int) -> NDArray[np.float64] | None:
    """Return the weights of ``count`` items (N,) for a score; None for None.

    Raises:
        InputError: they are not one number of 0 or more for each item, or all of them are 0.
    """
    if sample_weight is None:
        return None
    values = plain_labels(sample_weight, "sample_weight")
    if len(values) != count:
        raise InputError(describe("sample_weight", len(values), f"{count}, one for each item"))
    weights = np.array([number_of(value, "sample_weight") for value in values])
    if not (weights >= 0).all() or not weights.any():
        wrong = [value for value, weight in zip(values, weights, strict=True) if not weight >= 0]
        got = wrong[0] if wrong else "only zeros"
        raise InputError(f"sample_weight: got {got}; expected numbers of 0 or more, not all of them 0.")
    return weights


def plain(label: Any) -> Any:
    """Return a NumPy scalar, or an array of no axes, as the Python value that it holds; dates stay as they are."""
    if isinstance(label, np.generic):
        return label if isinstance(label, np.datetime64 | np.timedelta64) else label.item()
    return scalar(label)


def _array_of(labels: list[Any]) -> NDArray[Any]:
    """Return labels as an array that holds what they are: NumPy makes floats of large whole numbers, and cuts NULs."""
    array = np.array(labels)
    held = array.tolist()
    if held == labels and list(map(type, held)) == list(map(type, labels)):
        return array
    if all(type(label) is int and 0 <= label < 2**64 for label in labels):
        return np.array(labels, np.uint64)
    objects = np.empty(len(labels), object)
    objects[:] = labels
    return objects
