"""Numbers in the unit of the data.

Axes: N items, K = 1 output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur.errors import InputError, describe
from rekur.features.base import Features
from rekur.metrics.scores import number_records, number_report, number_scores
from rekur.targets.base import PlaceOf, Records, Target
from rekur.targets.galleries import NumberGallery
from rekur.targets.gallery import ErrorRow
from rekur.targets.labels import numbers_of

#: the largest number that can be a label of a regressor, and how much labels must differ at least: predictions and
#: errors are to be numbers too
LARGEST_LABEL, SMALLEST_SPREAD = 1e300, 1e-300
#: standard deviations from the mean up to which a number can be predicted or scored, in float32
FARTHEST_LABEL = 1e15


class NumberTarget(Target):
    r"""Numbers in the unit of the data: :math:`\hat y = \mu + \sigma z`.

    Args:
        mean: mean of the training labels.
        scale: their standard deviation, above 0.

    Example:
        >>> NumberTarget(mean=10.0, scale=2.0).answer(np.array([0.5], np.float32))
        11.0
    """

    kind = "number"
    label_type = "number"
    decides = "rmse"
    followed = ("rmse", "mae")

    def __init__(self, mean: float, scale: float) -> None:
        self.mean, self.scale = mean, scale

    @classmethod
    def learn(
        cls, labels: Sequence[Any], features: Features | None = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target that training labels teach.

        Raises:
            InputError: a label is not a number; or they are too large or too small to be standardised, or do not
                differ.
        """
        values = numbers_of(labels, "labels", place_of)
        largest = float(np.abs(values).max())
        low, high = float(values.min()), float(values.max())
        if low == high:
            raise InputError(
                f"labels: got only the number {low:g} in {counted(len(values), 'training example')}; "
                "expected numbers that differ. Choose another label column, or add examples with other numbers."
            )
        if largest > LARGEST_LABEL or high - low < SMALLEST_SPREAD:
            got = f"{largest:g}" if largest > LARGEST_LABEL else f"numbers that differ by {high - low:g} at most"
            expected = f"numbers up to {LARGEST_LABEL:g} that differ by {SMALLEST_SPREAD:g} or more"
            raise InputError(f"labels: got {got}; expected {expected}. Give them in another unit.")
        mean = float(values.mean())
        away = values - mean
        unit = float(np.abs(away).max())
        if not 1e-150 < unit < 1e150:  # squares overflow or vanish
            return cls(mean, unit * float((away / unit).std()))
        return cls(mean, float(values.std()))

    @property
    def size(self) -> int:
        """One output."""
        return 1

    def encode(self, label: Any, context: Any = None) -> np.float32:
        """Return the number, standardised."""
        return np.float32(self.encode_items([label], name="label")[0])

    def encode_items(
        self,
        labels: Sequence[Any],
        contexts: Sequence[Any] | None = None,
        name: str = "labels",
        place_of: PlaceOf | None = None,
    ) -> NDArray[Any]:
        """Return the numbers, standardised (N,)."""
        with np.errstate(over="ignore"):
            standardised = (numbers_of(labels, name, place_of) - self.mean) / self.scale
        far = np.flatnonzero(np.abs(standardised) > FARTHEST_LABEL)
        if len(far):
            row = int(far[0])
            expected = f"a number like those of training, whose mean is {self.mean:g} and spread {self.scale:g}"
            raise InputError(f"{place_of(row) if place_of else name}: " + describe("label", labels[row], expected))
        return standardised.astype(np.float32)

    def decode(self, outputs: NDArray[Any], context: Any = None) -> NDArray[np.float64]:
        """Return the number of an item, an array of no axes, or those of items (N,)."""
        return np.asarray(self.mean + self.scale * outputs[..., 0].astype(np.float64))

    def present(self, prediction: NDArray[np.float64], context: Any = None) -> float:
        """Return the number."""
        return float(prediction)

    def answer(self, outputs: NDArray[Any], context: Any = None) -> float:
        """Return the number, without the making of arrays."""
        return float(self.mean + self.scale * float(outputs[0]))

    def values(self, outputs: Any, contexts: Sequence[Any] | None = None) -> NDArray[np.float64]:
        """Return the number of each item, (N,)."""
        return self.decode(outputs)

    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return the record of an item, (2,): label, prediction."""
        return np.asarray(self.records_of_predictions(np.array([prediction]), [label])[0])

    def records(self, outputs: Any, labels: Sequence[Any], contexts: Sequence[Any] | None = None) -> Records:
        """Return the records (N, 2): label, prediction."""
        return self.records_of_predictions(self.decode(outputs), labels)

    def records_of_predictions(
        self, predictions: Any, labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records (N, 2) of items with these numbers (N,)."""
        return number_records(numbers_of(labels, "labels"), np.asarray(predictions))

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return rmse and mae in the unit of the data, and r2."""
        return number_scores(records, weights)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the scores of a regressor; see :func:`rekur.metrics.regression_scores`."""
        return number_report(records)

    def gallery(self) -> NumberGallery:
        """Return a collection of residuals, and of the items with the largest errors."""
        return NumberGallery()

    def errors(self, prediction: Any, label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of an item; its severity is the size of the error in standard deviations of training."""
        guess, truth = float(prediction), float(numbers_of([label], "label")[0])
        error = guess - truth
        if error:
            cells = {"truth": truth, "prediction": guess, "error": error}
            yield ErrorRow(abs(error) / self.scale, cells.copy)

    def to_dict(self) -> dict[str, Any]:
        """Return mean and scale."""
        return {"target_mean": self.mean, "target_scale": self.scale}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target of this mean and scale."""
        return cls(saved["target_mean"], saved["target_scale"])
