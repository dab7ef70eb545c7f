"""Regress: one number for a whole sequence.

Axes: N items.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from rekur._options import documented
from rekur.data import EncodedItems
from rekur.data.memory import plain_labels
from rekur.models.heads import Head, NumberHead
from rekur.targets import NumberTarget, Target
from rekur.targets.labels import numbers_of, weights_of
from rekur.tasks.base.items import SequenceEstimator
from rekur.tasks.regress.options import RegressOptions


@documented
class Regressor(RegressOptions, RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    r"""A recurrent network that gives a sequence a number.

    .. math:: \hat y = \mu + \sigma z, \qquad \mathcal{L} = \left(z - \frac{y - \mu}{\sigma}\right)^2

    with the mean :math:`\mu` and the standard deviation :math:`\sigma` of the training targets.

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
    target: ClassVar[str] = "number"
    # the size of a series may be what the number tells
    series_rules: ClassVar[dict[str, Any]] = {"augment": 0.3}
    target_: NumberTarget

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R² of the predictions.

        Args:
            X: items.
            y: their labels, as for ``fit``.
            sample_weight: weights of the items, (N,).
        """
        predicted = self.predict(X)
        truth = numbers_of(plain_labels(y, "y", count=len(predicted)), "y", lambda row: f"y[{row}]")
        return float(r2_score(truth, predicted, sample_weight=weights_of(sample_weight, len(truth))))

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the squared error of the standardized number."""
        return NumberHead(cast(NumberTarget, target).scale)

    @property
    def target_mean_(self) -> float:
        """Mean of the training targets."""
        return self.target_.mean

    @property
    def target_scale_(self) -> float:
        """Standard deviation of the training targets."""
        return self.target_.scale
