"""The network that scores tags at every step, built from its specification, and its head.

Axes: B batch, T time, N items, K tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur.data.ragged import Ragged
from rekur.models.batch import Batch, ItemNetwork, numbers_of_ends
from rekur.models.encoder import Encoder
from rekur.models.encoder_spec import TaggerSpec
from rekur.models.heads import Floats, LabelHead, StepsHead
from rekur.models.making import making
from rekur.nn.stack import locked_dropout


class TagNetwork(ItemNetwork):
    r"""Encode, and score each step.

    .. math:: z_t = W\,\mathrm{dropout}(\mathrm{encode}(x)_t) + b

    The scores start at 0 for every tag.

    Args:
        spec: the specification.

    Example:
        >>> import torch
        >>> spec = TaggerSpec(columns=(10, 6), cell="gru", hidden_size=8, output_size=3)
        >>> ids = torch.tensor([[[4, 5], [5, 2], [0, 0]]])
        >>> outputs, loss = TagNetwork(spec)(Batch.of(ids, torch.tensor([2])))
        >>> outputs.shape, loss
        (torch.Size([1, 3, 3]), None)
    """

    per_step = True

    def __init__(self, spec: TaggerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec)
        self.head = nn.Linear(self.encoder.output_size, spec.output_size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def outputs(self, batch: Batch) -> Tensor:
        """Return the scores (B, T, K) of ids (B, T, C) or rows of numbers (B, T, D) of lengths (B,)."""
        encoded = self.encoder(batch.steps, batch.lengths)
        scores: Tensor = self.head(locked_dropout(encoded, self.spec.dropout, training=self.training))
        return scores

    def numbering(self) -> dict[str, str]:
        """Return the weights that read the steps, and those that give the scores."""
        return numbers_of_ends(self, f"encoder.{self.encoder.first_weights}")

    @property
    def streams(self) -> bool:
        """True if no step needs a later one, so that the network can run live."""
        return not self.spec.bidirectional


class TagsHead(StepsHead):
    """Cross entropy of the tag of every step; steps whose tag training lacks (-1) count in no mean.

    Args:
        size: number of tags K.
        smoothing: share of the target spread over all tags in training, in [0, 1).

    Example:
        >>> head = TagsHead(2)
        >>> head.terms([np.zeros((3, 2))], Ragged.from_iter([np.array([0, 1, -1])])).round(3).tolist()
        [[1.386, 2.0]]
    """

    def __init__(self, size: int, *, smoothing: float = 0.0) -> None:
        super().__init__(LabelHead(size, smoothing=smoothing))

    def terms(self, outputs: Sequence[NDArray[Any]], targets: Ragged) -> Floats:
        """Return the summed loss of the steps of each item, and their number, (N, 2).

        Args:
            outputs: one (T, K) an item.
            targets: one row (T,) an item.
        """
        terms = []
        for item, scores in enumerate(outputs):
            numbers = targets[item].astype(np.int64)
            seen = numbers >= 0
            terms.append(self.head.terms(scores[seen], numbers[seen]).sum(axis=0))
        return np.reshape(terms, (-1, 2)).astype(np.float64)


def build_tagger(spec: TaggerSpec, *, seed: int | None = None) -> TagNetwork:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> spec = TaggerSpec(columns=(10,), cell="gru", hidden_size=4, embedding_size=3, output_size=2)
        >>> sum(weight.numel() for weight in build_tagger(spec, seed=0).parameters())
        148
    """
    with making(seed):
        return TagNetwork(spec)
