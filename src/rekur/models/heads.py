"""Heads: the loss that belongs to a kind of target, in training and on items that are evaluated.

Axes: B batch, T time, N items, K outputs, R real steps of all items.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rekur.data.ragged import Ragged

Floats = NDArray[np.float64]


class Head(ABC):
    """The loss of outputs, and the outputs of a guess that reads no item."""

    #: what the loss is called, and what the guess predicts, in messages
    loss_name: ClassVar[str]
    guess_name: ClassVar[str]

    @abstractmethod
    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of outputs (B, K) in training.

        Args:
            outputs: float32.
            targets: as the target encoded them.
            lengths: the real steps of each item, which matter to a head of steps.
            weights: how much each item counts, with a mean of 1 over all training items, (B,); None for 1.
        """

    @abstractmethod
    def terms(self, outputs: Any, targets: Any) -> Floats:
        """Return the loss of each item times its weight, and its weight in the mean loss, (N, 2)."""

    @abstractmethod
    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return the outputs (K,) with the least loss on these targets that are the same for every item."""

    def shown(self, loss: float) -> float:
        """Return a mean loss as ``loss_name`` calls it."""
        return loss


class LabelHead(Head):
    r"""Cross entropy of one label an item, or of each of several labels by itself.

    .. math:: \mathcal{L} = -\sum_k w_k \left((1-\varepsilon)\,[k=y] + \varepsilon / K\right) \log p_k

    Args:
        size: number of labels K.
        multi_label: an item may have any number of labels.
        weight: weight :math:`w_k` of each label, (K,); None for 1.
        smoothing: share :math:`\varepsilon` of the target spread over all labels in training, in [0, 1).

    Example:
        >>> head = LabelHead(2)
        >>> head.loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(0.6931)
        >>> head.terms(np.zeros((1, 2)), np.array([1])).round(3).tolist()
        [[0.693, 1.0]]
    """

    loss_name, guess_name = "log loss", "the class shares of the training items"

    def __init__(
        self, size: int, *, multi_label: bool = False, weight: Floats | None = None, smoothing: float = 0.0
    ) -> None:
        self.multi_label, self.smoothing = multi_label, smoothing
        self._in_training = None if weight is None else torch.tensor(weight, dtype=torch.float32)
        self._weight = np.ones(size) if self._in_training is None else self._in_training.double().numpy()

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of outputs (B, K) for label numbers (B,), or flags (B, K)."""
        weight = None if self._in_training is None else self._in_training.to(outputs.device)
        reduction = "mean" if weights is None else "none"
        if self.multi_label:
            smooth = targets * (1 - self.smoothing) + self.smoothing / 2
            each = functional.binary_cross_entropy_with_logits(outputs, smooth, weight=weight, reduction=reduction)
            return each if weights is None else (each.mean(dim=1) * weights).mean()
        smoothing = self.smoothing
        each = functional.cross_entropy(outputs, targets, weight=weight, reduction=reduction, label_smoothing=smoothing)
        if weights is None:
            return each
        total = len(targets) if weight is None else weight[targets].sum()  # as the mean without weights
        return (each * weights).sum() / total

    def terms(self, outputs: NDArray[Any], targets: NDArray[Any]) -> Floats:
        """Return the loss of each item times its weight, without smoothing, and its weight, (N, 2)."""
        wide = outputs.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # outputs of a model that diverged
            if self.multi_label:
                nats = (self._weight * (np.logaddexp(0, wide) - targets * wide)).mean(axis=1)
                return np.column_stack([nats, np.ones(len(nats))])
            nats = np.logaddexp.reduce(wide, axis=1) - wide[np.arange(len(wide)), targets]
        return np.column_stack([nats * self._weight[targets], self._weight[targets]])

    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return the outputs that give each label its share of the targets."""
        if self.multi_label:
            share = np.clip(targets.mean(axis=0, dtype=np.float64), 1e-6, 1 - 1e-6)
            return np.asarray(np.log(share / (1 - share)))
        counts = np.bincount(targets, minlength=len(self._weight))
        return np.asarray(np.log(np.maximum(counts * self._weight, 1e-6)))


class NumberHead(Head):
    """The squared error of a standardized number.

    Args:
        scale: standard deviation of the training labels, in the unit of the data.
    """

    loss_name, guess_name = "rmse", "the mean of the training labels"

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean squared error of outputs (B, 1) for numbers (B,)."""
        if weights is None:
            return functional.mse_loss(outputs[:, 0], targets)
        return ((outputs[:, 0] - targets).square() * weights).mean()

    def terms(self, outputs: NDArray[Any], targets: NDArray[Any]) -> Floats:
        """Return the squared error of each item, and the weight 1, (N, 2)."""
        with np.errstate(over="ignore", invalid="ignore"):  # outputs of a model that diverged
            squares = (outputs[:, 0].astype(np.float64) - targets) ** 2
        return np.column_stack([squares, np.ones(len(squares))])

    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return the output that means the mean of the training labels."""
        return np.zeros(1)

    def shown(self, loss: float) -> float:
        """Return a mean squared error as the root of it, in the unit of the data."""
        return self._scale * math.sqrt(loss)


class StepsHead(Head):
    r"""The loss of another head at every real step of all items.

    .. math:: \mathcal{L} = \frac{1}{\sum_i T_i} \sum_i \sum_{t \le T_i} \ell(o_{it}, y_{it})

    Args:
        head: of a single step, such as :class:`LabelHead`.

    Example:
        >>> head = StepsHead(LabelHead(2))
        >>> head.loss(torch.zeros(2, 3, 2), torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 1]))
        tensor(0.6931)
    """

    def __init__(self, head: Head) -> None:
        self.head = head

    @property
    def loss_name(self) -> str:  # type: ignore[override]
        """The name of the loss of a step."""
        return self.head.loss_name

    @property
    def guess_name(self) -> str:  # type: ignore[override]
        """The guess of a step."""
        return self.head.guess_name.replace("items", "steps")

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss over the real steps.

        Args:
            outputs: padded (B, T, K), or those of the real steps alone, (R, K).
            targets: padded (B, T, …).
            lengths: the real steps of each item, (B,); None if outputs and targets are those of real steps alone.
            weights: how much each item counts at each of its steps, (B,), or each of the real steps alone, (R,).
        """
        if lengths is None:
            return self.head.loss(outputs, targets, weights=weights)
        real = torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
        of_steps = None if weights is None else weights[:, None].expand(real.shape)[real]
        return self.head.loss(outputs[real] if outputs.dim() == 3 else outputs, targets[real], weights=of_steps)

    def terms(self, outputs: Sequence[NDArray[Any]], targets: Ragged) -> Floats:
        """Return the summed loss of the steps of each item, and the sum of their weights, (N, 2).

        Args:
            outputs: one (T, K) an item.
            targets: one row (T, …) an item.
        """
        terms = [self.head.terms(rows, targets[item]).sum(axis=0) for item, rows in enumerate(outputs)]
        return np.reshape(terms, (-1, 2)).astype(np.float64)

    def guess(self, targets: NDArray[Any]) -> Floats:
        """Return the outputs (K,) that are best at every step.

        Args:
            targets: those of the steps of all items, one after the other, (R, …).
        """
        return self.head.guess(targets)

    def shown(self, loss: float) -> float:
        """Return a mean loss as ``loss_name`` calls it."""
        return self.head.shown(loss)
