"""The exact output layer over a vocabulary: the negative log-probability of targets, and the distribution.

Axes: N tokens, O features, E embedding features, V vocabulary. Number 0 is padding and is never predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.cross_entropy import cross_entropy
from rekur.nn.embed import Embedding

#: without gradients, scores (N, V) are computed in blocks of this size
_BLOCK = 1 << 24


class FullSoftmax(nn.Module):
    r"""The exact output layer: :math:`p = \mathrm{softmax}(W P h + b)` over all tokens except padding.

    Args:
        input_size: features O, 1 or more.
        vocabulary_size: tokens V, including padding; 2 or more.
        embedding: tie W to the weights of this embedding; a projection P is learned if O differs from E. None for
            separate weights.

    Raises:
        InputError: a size is out of range, or the embedding has another vocabulary.

    Reference:
        Press and Wolf, Using the Output Embedding to Improve Language Models, 2017.

    Example:
        >>> layer = FullSoftmax(4, 10)
        >>> layer(torch.zeros(3, 4), torch.tensor([1, 2, 9])).shape
        torch.Size([3])
        >>> layer.log_probabilities(torch.zeros(4))[0].item()
        -inf
    """

    def __init__(self, input_size: int, vocabulary_size: int, embedding: Embedding | None = None) -> None:
        super().__init__()
        self.input_size = _check.size("input_size", input_size)
        self.vocabulary_size = check_vocabulary(vocabulary_size, embedding)
        # not registered: a shared parameter has one owner and one name in a saved file
        self._shared: tuple[Embedding, ...] = () if embedding is None else (embedding,)
        self.projection: nn.Linear | None = None
        self.weight: nn.Parameter | None = None
        if embedding is None:
            self.weight = nn.Parameter(torch.empty(vocabulary_size - 1, input_size))
            nn.init.normal_(self.weight, std=input_size**-0.5)
        elif embedding.size != input_size:
            self.projection = nn.Linear(input_size, embedding.size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size - 1))

    def start(self, log_counts: Tensor) -> None:
        """Initialize the bias with the log-counts of all tokens, (V,)."""
        with torch.no_grad():
            self.bias.copy_(log_counts[1:])

    def project(self, hidden: Tensor) -> Tensor:
        """Return the features (…, E) for the product with the tokens' rows."""
        return hidden if self.projection is None else self.projection(hidden)

    def forward(self, hidden: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        r"""Return the negative log-probability (N,) of targets (N,) for features (N, O); 0 for the target 0.

        With a smoothing :math:`\varepsilon` it is the cross entropy with a target that has the share
        :math:`\varepsilon` spread over all tokens except padding.

        Raises:
            ShapeError: the features are not (N, O).
        """
        check_features(hidden, self.input_size)
        rows = max(1, _BLOCK // self.vocabulary_size)
        if torch.is_grad_enabled() or len(targets) <= rows:
            return self._smoothed(hidden, targets, smoothing)
        blocks = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        return torch.cat([self._smoothed(*block, smoothing) for block in blocks])

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores (…, V) for features (…, O), minus infinity for padding."""
        if self.weight is None:
            return self._scores(hidden)
        return functional.pad(self._scores(hidden), (1, 0), value=-torch.inf)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Return the log-probabilities (…, V) for features (…, O)."""
        return functional.log_softmax(self.logits(hidden), dim=-1)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return the rows (V, E) and biases (V,) of all tokens; padding has the bias minus infinity."""
        bias = functional.pad(self.bias, (1, 0), value=-torch.inf)
        if self.weight is None:
            return self._shared[0].weight, bias
        return functional.pad(self.weight, (0, 0, 1, 0)), bias

    def _smoothed(self, hidden: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        nats = self._nats(hidden, targets)
        return nats + smoothing * self._above_mean(hidden, targets) if smoothing else nats

    def _nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        scores = self._scores(hidden)
        return cross_entropy(scores, targets, 1) if self.weight is None else cross_entropy(scores, targets - 1, 0)

    def _above_mean(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the score of each target minus the mean score of all tokens, (N,); 0 where the target is 0.

        The mean of scores that are linear in the features is the score of the mean row.
        """
        features = self.project(hidden)
        if self.weight is None:
            weight, numbers = self._shared[0].weight, targets
            share = weight.new_full((len(weight),), 1 / len(self.bias))
            share[0] = 0  # no gradient for the row of padding
            mean = share @ weight
        else:
            weight, numbers = self.weight, (targets - 1).clamp(min=0)
            mean = weight.mean(dim=0)
        bias = self.bias[(targets - 1).clamp(min=0)] - self.bias.mean()
        above = ((functional.embedding(numbers, weight) - mean) * features).sum(dim=1) + bias
        return above.masked_fill(targets == 0, 0)

    def _scores(self, hidden: Tensor) -> Tensor:
        """Return the scores of all tokens, (…, V) with tied weights and (…, V - 1) with separate ones."""
        if self.weight is not None:
            return functional.linear(hidden, self.weight, self.bias)
        # Use all rows, with minus infinity as the bias of padding: a slice of the table would be copied in the backward
        # pass. The probability of padding is exactly 0, and so is the gradient of its row.
        return functional.linear(self.project(hidden), *self.rows())

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.vocabulary_size}" + (", tied" if self._shared else "")


def check_vocabulary(vocabulary_size: int, embedding: Embedding | None) -> int:
    """Return the size of a vocabulary, after checking that a tied embedding has the same."""
    size = _check.size("vocabulary_size", vocabulary_size, low=2)
    if embedding is not None and embedding.vocabulary_size != size:
        expected = f"{embedding.vocabulary_size}, that of the embedding"
        raise InputError(describe("vocabulary_size", vocabulary_size, expected))
    return size


def check_features(hidden: Tensor, size: int) -> None:
    """Raise if features are not (N, O)."""
    if hidden.dim() != 2 or hidden.shape[1] != size:
        raise ShapeError(describe("shape of hidden", tuple(hidden.shape), f"(N, {size})"))
