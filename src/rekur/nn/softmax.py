"""Output layers over a vocabulary: the negative log-probability of targets, and the distribution.

Axes: N tokens, O features, E embedding features, V vocabulary. Number 0 is padding and is never predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur.nn.embed import Embedding


class FullSoftmax(nn.Module):
    r"""The plain output layer: :math:`p = \mathrm{softmax}(W P h + b)` over all tokens but padding.

    Args:
        input_size: features O.
        vocabulary_size: tokens V.
        embedding: tie W to this embedding's weights; a projection P is learned where O is not E. None for own ones.

    Reference:
        Press and Wolf, Using the Output Embedding to Improve Language Models, 2017.

    Example:
        >>> layer = FullSoftmax(4, 10)
        >>> layer(torch.zeros(3, 4), torch.tensor([1, 2, 9])).shape
        torch.Size([3])
    """

    def __init__(self, input_size: int, vocabulary_size: int, embedding: Embedding | None = None) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        # not registered: a shared parameter has one owner, one name and one place in a saved file
        self._shared = () if embedding is None else (embedding,)
        self.projection: nn.Linear | None = None
        self.weight: nn.Parameter | None = None
        if embedding is None:
            self.weight = nn.Parameter(torch.empty(vocabulary_size - 1, input_size))
            nn.init.normal_(self.weight, std=input_size**-0.5)
        elif embedding.size != input_size:
            self.projection = nn.Linear(input_size, embedding.size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size - 1))

    def start(self, log_counts: Tensor) -> None:
        """Begin with these log-frequencies of all tokens, (V,)."""
        with torch.no_grad():
            self.bias.copy_(log_counts[1:])

    def matrix(self) -> Tensor:
        """Return the rows of all tokens but padding, (V - 1, E)."""
        return self._shared[0].weight[1:] if self.weight is None else self.weight

    def project(self, hidden: Tensor) -> Tensor:
        """Return the features (…, E) that are compared with the tokens' rows."""
        return hidden if self.projection is None else self.projection(hidden)

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-probability (N,) of targets (N,) after features (N, O); 0 for the target 0."""
        return functional.cross_entropy(self._scores(hidden), targets - 1, ignore_index=-1, reduction="none")

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores (…, V) of features (…, O), minus infinity for padding."""
        return functional.pad(self._scores(hidden), (1, 0), value=-torch.inf)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Return the logarithms of the probabilities (…, V) of features (…, O)."""
        return functional.log_softmax(self.logits(hidden), dim=-1)

    def _scores(self, hidden: Tensor) -> Tensor:
        return functional.linear(self.project(hidden), self.matrix(), self.bias)


def make_softmax(
    kind: str,
    input_size: int,
    vocabulary_size: int,
    embedding: Embedding | None = None,
    *,
    cutoffs: tuple[int, ...] = (),
    samples: int = 0,
) -> FullSoftmax:
    """Return the output layer of a name: ``full``."""
    return FullSoftmax(input_size, vocabulary_size, embedding)
