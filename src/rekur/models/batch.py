"""A batch of items as one record, and what every network of items does with it.

Axes: B batch, T time, C columns, D input features, K outputs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur.data.batch import collate
from rekur.data.encoded import EncodedItems
from rekur.data.ragged import Ragged
from rekur.models.heads import Head


class Batch(NamedTuple):
    """Items that are run together.

    Attributes:
        inputs: name -> padded steps: token numbers, int64 (B, T); columns of them, int64 (B, T, C); or numbers, float32
            (B, T, D).
        lengths: the real steps of each item, int64 (B,).
        targets: what a loss compares the outputs with, (B,) or (B, K), or padded (B, T, …) where there is an output at
            each step; None without a loss.
        weights: how much each item counts in the loss, float32 (B,); None for 1.
        state: where a state is carried, bool (B,), whether the steps of a row are its first ones, and the state before
            them, None if there is none yet; None where rows are whole items.
        members: which member of a network each item is for, int64 (B,); None for the average of all.

    Example:
        >>> Batch.of(torch.tensor([[4, 5, 0]]), torch.tensor([2])).steps.shape
        torch.Size([1, 3])
    """

    inputs: dict[str, Tensor]
    lengths: Tensor
    targets: Tensor | None = None
    weights: Tensor | None = None
    state: tuple[Tensor, Any] | None = None
    members: Tensor | None = None

    @classmethod
    def of(cls, steps: Tensor, lengths: Tensor, targets: Tensor | None = None) -> Self:
        """Return the batch of the only input ``steps``."""
        return cls({"steps": steps}, lengths, targets)

    @classmethod
    def of_items(cls, items: EncodedItems, rows: NDArray[np.int64], *, targets: bool = True) -> Self:
        """Return the batch of the items with these numbers (B,).

        Args:
            items: the store of all items.
            rows: which of them, in this order.
            targets: take their targets too.
        """
        padded = {name: collate(ragged, rows) for name, ragged in items.inputs.items()}
        lengths = next(lengths for _, lengths in padded.values())
        inputs = {name: torch.from_numpy(steps) for name, (steps, _) in padded.items()}
        weights = None if items.weights is None else torch.from_numpy(items.weights[rows].astype(np.float32))
        members = None if items.folds is None else torch.from_numpy(items.folds[rows])
        tensors = _tensor(items.targets, rows) if targets else None
        return cls(inputs, torch.from_numpy(lengths), tensors, weights, members=members)

    @property
    def steps(self) -> Tensor:
        """The only input."""
        (steps,) = self.inputs.values()
        return steps


def _tensor(targets: NDArray[Any] | Ragged, rows: NDArray[np.int64]) -> Tensor:
    """Return the targets of these items, padded where they are ragged."""
    chosen = collate(targets, rows)[0] if isinstance(targets, Ragged) else targets[rows]
    chosen = chosen.astype(np.int64, copy=False) if chosen.dtype.kind == "i" else chosen
    return torch.from_numpy(np.ascontiguousarray(chosen))


class ItemNetwork(nn.Module):
    """A network of items: :meth:`outputs` of a batch, and their loss where the batch has targets.

    Attributes:
        criterion: the head whose loss is computed in :meth:`forward`; None computes none.
    """

    #: whether it gives one output a step, (B, T, K) or packed (R, K), and not one row an item, (B, K)
    per_step: ClassVar[bool] = False
    #: whether a batch may say which of its members each item is for
    takes_members: ClassVar[bool] = False
    criterion: Head | None = None

    def numbering(self) -> dict[str, str]:
        """Return what numbers the rows or columns of each weight: ``features``, ``target`` or ``both``.

        Such a weight means something else with other features or another target; one that is not named is independent
        of them. Here all weights depend on both.
        """
        return dict.fromkeys(dict(self.named_parameters()), "both")

    @abstractmethod
    def outputs(self, batch: Batch) -> Tensor:
        """Return the outputs of a batch: (B, K), or with ``per_step`` padded (B, T, K) or packed (R, K)."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the outputs of a batch, and their mean loss; None without targets or criterion."""
        outputs = self.outputs(batch)
        if batch.targets is None or self.criterion is None:
            return outputs, None
        with torch.autocast(outputs.device.type, enabled=False):  # losses are summed in full precision
            return outputs, self.criterion.loss(outputs.float(), batch.targets, batch.lengths, batch.weights)


def numbers_of_ends(network: nn.Module, first: str) -> dict[str, str]:
    """Return the numbering of a network whose first weights read features and whose ``head`` gives the outputs.

    Args:
        network: its other weights are independent of features and target.
        first: how the names of the first weights begin.

    Example:
        >>> numbers_of_ends(nn.ModuleDict({"embedding": nn.Embedding(5, 2), "head": nn.Linear(2, 3)}), "embedding.")
        {'embedding.weight': 'features', 'head.weight': 'target', 'head.bias': 'target'}
    """
    names = [name for name, _ in network.named_parameters()]
    reads = {name: "features" for name in names if name.startswith(first)}
    return {**reads, **{name: "target" for name in names if name.startswith("head.")}}
