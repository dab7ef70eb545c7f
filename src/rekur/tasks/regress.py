"""Regress: one number for a whole sequence.

Axes: N items.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from torch import Tensor
from torch.nn import functional

from rekur.errors import InputError, describe
from rekur.metrics import regression_scores
from rekur.tasks.base import SequenceEstimator


class Regressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    r"""A recurrent network that gives a sequence a number.

    .. math:: \hat y = \mu + \sigma z, \qquad \mathcal{L} = \left(z - \frac{y - \mu}{\sigma}\right)^2

    with the mean :math:`\mu` and the standard deviation :math:`\sigma` of the training targets.

    Args:
        options: the options of every task, see :class:`rekur.tasks.SequenceEstimator`.

    Attributes:
        target_mean_: mean of the training targets, in the unit of the data.
        target_scale_: their standard deviation.
        metrics_: scores of the kept weights on the validation items, with a baseline beside them.
        history_: one row an evaluation.

    Example:
        >>> series = [[float(i % 5)] * 4 for i in range(20)]
        >>> model = Regressor(epochs=3, hidden_size=8, baseline=False).fit(series, [i % 5 for i in range(20)])
        >>> model.predict([[1.0, 1.0, 1.0, 1.0]]).shape
        (1,)
    """

    task: ClassVar[str] = "regress"
    label_type = "number"

    def __init__(self, **options: Any) -> None:
        super().__init__(**self._check_options(options))

    def _learn_targets(self, labels: list[Any]) -> None:
        values = self._numbers(labels, "labels")
        self.target_mean_ = float(values.mean())
        self.target_scale_ = float(values.std())
        if self.target_scale_ == 0:
            raise InputError(
                f"labels: got only the number {self.target_mean_:g} in {len(values)} training examples; "
                "expected numbers that differ. Choose another label column."
            )

    def _encode_targets(self, labels: list[Any], name: str) -> NDArray[Any]:
        return ((self._numbers(labels, name) - self.target_mean_) / self.target_scale_).astype(np.float32)

    def _numbers(self, labels: list[Any], name: str) -> NDArray[np.float64]:
        values = np.empty(len(labels))
        for row, label in enumerate(labels):
            try:
                values[row] = float(label)
            except (TypeError, ValueError):
                values[row] = math.nan
            if not math.isfinite(values[row]):
                raise InputError(f"{name}: " + describe("label", label, "a finite number for every item"))
        return values

    def _output_size(self) -> int:
        return 1

    def _loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(scores[:, 0], targets)

    def _metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        return regression_scores(self._numbers_of(targets), self._numbers_of(scores[:, 0]))

    def _quick_metrics(self, scores: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
        error = self.target_scale_ * (scores[:, 0] - targets)
        return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}

    def _present(self, scores: NDArray[Any]) -> float:
        return float(self.target_mean_ + self.target_scale_ * float(scores[0]))

    def _numbers_of(self, standardised: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(self.target_mean_ + self.target_scale_ * standardised.astype(np.float64))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the number of each item, (N,), in the unit of the data."""
        return self._numbers_of(self.scores(X)[:, 0])

    def present(self, X: Any) -> list[float]:
        """Return the number of each item, as a session gives it."""
        return [self._present(row) for row in self.scores(X)]

    def _target_state(self) -> dict[str, Any]:
        return {"target_mean": self.target_mean_, "target_scale": self.target_scale_}

    def _restore_targets(self, saved: dict[str, Any]) -> None:
        self.target_mean_, self.target_scale_ = saved["target_mean"], saved["target_scale"]
