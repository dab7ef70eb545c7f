"""The plain output layer over a vocabulary: the negative log-probability of targets, and the distribution.

Axes: N tokens, O features, E embedding features, V vocabulary. Number 0 is padding and is never predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.embed import Embedding

#: without gradients, scores (N, V) are computed in blocks of so many numbers
_BLOCK = 1 << 24


class FullSoftmax(nn.Module):
    r"""The plain output layer: :math:`p = \mathrm{softmax}(W P h + b)` over all tokens but padding.

    Args:
        input_size: features O, 1 or more.
        vocabulary_size: tokens V, padding among them; 2 or more.
        embedding: tie W to this embedding's weights; a projection P is learned where O is not E. None for own ones.

    Raises:
        InputError: a size out of range, or an embedding of another vocabulary.

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
        # not registered: a shared parameter has one owner, one name and one place in a saved file
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
        """Begin with these logarithms of how often each token occurs, (V,)."""
        with torch.no_grad():
            self.bias.copy_(log_counts[1:])

    def project(self, hidden: Tensor) -> Tensor:
        """Return the features (…, E) that are compared with the tokens' rows."""
        return hidden if self.projection is None else self.projection(hidden)

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-probability (N,) of targets (N,) after features (N, O); 0 for the target 0.

        Raises:
            ShapeError: features of another size than the layer's.
        """
        check_features(hidden, self.input_size)
        rows = max(1, _BLOCK // self.vocabulary_size)
        if torch.is_grad_enabled() or len(targets) <= rows:
            return self._nats(hidden, targets)
        blocks = zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
        return torch.cat([self._nats(*block) for block in blocks])

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores (…, V) of features (…, O), minus infinity for padding."""
        if self.weight is None:
            return self._scores(hidden)
        return functional.pad(self._scores(hidden), (1, 0), value=-torch.inf)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Return the logarithms of the probabilities (…, V) of features (…, O)."""
        return functional.log_softmax(self.logits(hidden), dim=-1)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return the rows (V, E) and biases (V,) of all tokens; minus infinity rules padding out."""
        bias = functional.pad(self.bias, (1, 0), value=-torch.inf)
        if self.weight is None:
            return self._shared[0].weight, bias
        return functional.pad(self.weight, (0, 0, 1, 0)), bias

    def _nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        first = 0 if self.weight is None else 1
        scores = self._scores(hidden)
        return functional.cross_entropy(scores, targets - first, ignore_index=-first, reduction="none")

    def _scores(self, hidden: Tensor) -> Tensor:
        """Return the scores of all tokens, (…, V) with shared weights and (…, V - 1) with own ones."""
        if self.weight is not None:
            return functional.linear(hidden, self.weight, self.bias)
        # All rows and a bias that rules padding out, as a part of the table would be copied on the way back: the
        # probability of padding is exactly 0, and so is the gradient of its row.
        return functional.linear(self.project(hidden), *self.rows())

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.vocabulary_size}" + (", tied" if self._shared else "")


def check_vocabulary(vocabulary_size: int, embedding: Embedding | None) -> int:
    """Return the size of a vocabulary, if it is that of the embedding whose weights are shared."""
    size = _check.size("vocabulary_size", vocabulary_size, low=2)
    if embedding is not None and embedding.vocabulary_size != size:
        expected = f"{embedding.vocabulary_size}, that of the embedding"
        raise InputError(describe("vocabulary_size", vocabulary_size, expected))
    return size


def check_features(hidden: Tensor, size: int) -> None:
    """Raise if features are not (N, O)."""
    if hidden.dim() != 2 or hidden.shape[1] != size:
        raise ShapeError(describe("shape of hidden", tuple(hidden.shape), f"(N, {size})"))
