"""The loss of forecasts: the asked metric for the median, and the pinball loss of the other quantiles.

Axes: B batch, N windows, H steps of the horizon, C channels, Q quantiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur import _check
from rekur.models.forecaster_spec import TARGET_ROWS, check_quantiles
from rekur.models.heads import Floats, Head

#: metrics that the median is trained by
MEDIAN_METRICS = ("mae", "mae_of_logs", "rmse", "smape", "mase", "owa")
#: error in units of the data from which on the loss of "rmse" is linear: robust, and its minimum stays near the mean
_HUBER = 0.5
#: units of the data that are added to values before their logarithms
_SHIFT = 0.1
_SMALL = 1e-6


class DistributionHead(Head):
    r"""The loss of rising quantiles (H, C, Q) of a window.

    .. math:: \mathcal{L} = \ell(y, q_{.5}) +
              \lambda\, \frac{2}{Q - 1} \sum_{\tau \ne .5} w\, \max(\tau (y - q_\tau), (\tau - 1)(y - q_\tau))

    where :math:`\ell` is the metric and :math:`w` its weight of an absolute error. The second term trains the distances
    of the quantiles from the median alone. Steps without truth count in no mean.

    Args:
        horizon: steps H.
        channels: C.
        quantiles: their probabilities, rising, with 0.5 among them.
        metric: of the median: ``mae`` and ``rmse`` in the unit of the data, ``smape`` and ``mase``, ``owa``, the
            mean of the latter two over those of a rival, or ``mae_of_logs``, the mean absolute difference of
            :math:`\log(y + 0.1)` with y in the unit of the data, linear in forecasts below 0.
        rival: sMAPE (as a share, in [0, 2]) and MASE of the rival of ``owa``, each above 0.
        pinball: weight :math:`\lambda` of the other quantiles, 0 or more.

    Example:
        >>> head = DistributionHead(2, 1, (0.1, 0.5, 0.9))
        >>> targets = torch.tensor([[[1.0], [float("nan")], [0.0], [1.0], [2.0]]])
        >>> round(float(head.loss(torch.zeros(1, 6), targets)), 3)
        4.0
    """

    loss_name, guess_name = "loss", "the level of each window"

    def __init__(
        self,
        horizon: int,
        channels: int,
        quantiles: tuple[float, ...],
        *,
        metric: str = "mae",
        rival: tuple[float, float] = (1.0, 1.0),
        pinball: float = 1.0,
    ) -> None:
        self.horizon, self.channels, self.quantiles = horizon, channels, check_quantiles(quantiles)
        self.metric = _check.choice("metric", metric, MEDIAN_METRICS)
        self.rival = tuple(_check.positive("score of the rival", score) for score in rival)
        self.pinball = _check.number("pinball", pinball, 0)

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss over all steps with a truth, of outputs (B, H · C · Q).

        Args:
            outputs: rising quantiles, (H, C, Q) row-major.
            targets: (B, H + 3, C), as :mod:`rekur.models.forecaster_spec` has it.
            lengths: the real steps of each look-back, which do not matter here.
            weights: how much each window counts, (B,); None for 1.
        """
        each, real = self._each(outputs, targets)
        if weights is not None:
            each = each * weights[:, None, None]
        return each.sum() / real.sum().clamp(min=1)

    def _each(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each step and channel, 0 without a truth, and whether there is one, (B, H, C)."""
        quantiles = outputs.view(len(outputs), self.horizon, self.channels, -1)
        truth, facts = torch.split(targets, [self.horizon, TARGET_ROWS], dim=1)
        real = ~truth.isnan()
        truth = torch.where(real, truth, 0)
        middle = self.quantiles.index(0.5)
        median = quantiles[..., middle]
        loss, weight = self._of_median(median, truth, facts)
        if self.pinball:
            rest = [index for index in range(len(self.quantiles)) if index != middle]
            levels = torch.tensor([self.quantiles[index] for index in rest], dtype=outputs.dtype, device=outputs.device)
            distances = quantiles[..., rest] - median[..., None]
            errors = (truth - median).detach()[..., None] - distances
            pinball = torch.maximum(levels * errors, (levels - 1) * errors).mean(dim=-1)
            loss = loss + 2 * self.pinball * weight.detach() * pinball
        return torch.where(real, loss, 0), real

    def _of_median(self, median: Tensor, truth: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of medians (B, H, C), and the weight of an absolute error in it."""
        offset, mase, unit = (row[:, None] for row in facts.unbind(dim=1))
        error = (median - truth).abs()
        if self.metric == "rmse":
            scaled = error * unit
            return torch.where(scaled < _HUBER, scaled**2 / (2 * _HUBER), scaled - _HUBER / 2), unit
        if self.metric == "mae":
            return error * unit, unit
        if self.metric == "mae_of_logs":
            return self._of_logs(median, truth, offset, unit)
        share = 2 / ((median + offset).abs() + (truth + offset).abs()).clamp(min=_SMALL)
        if self.metric == "smape":
            return error * share, share
        weight = mase.expand_as(error) if self.metric == "mase" else (share / self.rival[0] + mase / self.rival[1]) / 2
        return error * weight, weight

    @staticmethod
    def _of_logs(median: Tensor, truth: Tensor, offset: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        """Return what :meth:`_of_median` does, of logarithms; values before them are not added up, so digits stay."""
        truth = torch.maximum(truth, -offset)
        least, value = (truth + offset) * unit + _SHIFT, (median + offset) * unit
        ratio = torch.maximum((median - truth) * unit / least, _SHIFT / least - 1)  # that of 0 below it
        error = torch.log1p(ratio) + value.clamp(max=0) / _SHIFT
        return error.abs(), unit / (value.clamp(min=0) + _SHIFT)

    def terms(self, outputs: NDArray[Any], targets: NDArray[Any]) -> Floats:
        """Return the summed loss of the steps of each window, and the number of steps with a truth, (N, 2)."""
        wide = torch.from_numpy(np.array(outputs, np.float64)), torch.from_numpy(np.array(targets, np.float64))
        each, real = self._each(*wide)
        return np.stack([each.sum(dim=(1, 2)).numpy(), real.sum(dim=(1, 2)).numpy()], axis=1).astype(np.float64)

    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return zeros: the level of each window for all quantiles."""
        return np.zeros(self.horizon * self.channels * len(self.quantiles))
