"""A softmax in two steps, for large vocabularies: first the cluster, then the token in it.

Axes: N tokens, O features, E embedding features, V vocabulary, C clusters of rare tokens. Number 0 is padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.nn.embed import Embedding
from rekur.nn.softmax import check_features, check_vocabulary


class AdaptiveSoftmax(nn.Module):
    r"""A direct softmax over frequent tokens and clusters of rare ones; a cluster is computed only for its targets.

    .. math::
        p(k \mid h) = \mathrm{softmax}(W_0 P_0 h + b_0)_k \text{ for frequent tokens}, \quad
        p(k \mid h) = p(c \mid h)\, \mathrm{softmax}(W_c P_c h + b_c)_k \text{ for those of cluster } c

    Token numbers should run from frequent to rare: [1, first cutoff) are the frequent ones. The rows of cluster c have
    :math:`O / \mathrm{factor}^c` features, at least 1; rows shared with an embedding have E.

    Args:
        input_size: features O, 1 or more.
        vocabulary_size: tokens V, including padding; 3 or more.
        embedding: tie all W to the weights of this embedding; None for separate weights.
        cutoffs: the first token number of each cluster of rare tokens: rising numbers in [2, V - 1].
        factor: each cluster's rows have this many times fewer features than the previous cluster's; 1 or more.

    Raises:
        InputError: cutoffs do not rise or are out of range, a size is out of range, or the embedding has another
            vocabulary.

    Reference:
        Grave et al., Efficient softmax approximation for GPUs, 2017.

    Example:
        >>> layer = AdaptiveSoftmax(16, 1000, cutoffs=(100, 400))
        >>> layer(torch.zeros(3, 16), torch.tensor([1, 200, 999])).shape
        torch.Size([3])
        >>> round(layer.log_probabilities(torch.ones(16)).exp().sum().item(), 4)
        1.0
    """

    #: the weights of a cluster have no gradient if a batch has none of its tokens
    partly_used = True

    def __init__(
        self,
        input_size: int,
        vocabulary_size: int,
        embedding: Embedding | None = None,
        *,
        cutoffs: Sequence[int],
        factor: float = 4.0,
    ) -> None:
        super().__init__()
        self.input_size = _check.size("input_size", input_size)
        self.vocabulary_size = check_vocabulary(vocabulary_size, embedding)
        self.cutoffs = _check.cutoffs("cutoffs", cutoffs, self.vocabulary_size)
        self.factor = _check.number("factor", factor, 1)
        # not registered: a shared parameter has one owner and one name in a saved file
        self._shared: tuple[Embedding, ...] = () if embedding is None else (embedding,)
        ends = (*self.cutoffs, self.vocabulary_size)
        self.sizes = (self.cutoffs[0] - 1, *(end - start for start, end in pairwise(ends)))
        reduced = [max(1, int(input_size / factor**index)) for index in range(len(self.sizes))]
        widths = reduced if embedding is None else [embedding.size] * len(self.sizes)
        self.projections = nn.ModuleList(
            nn.Identity() if width == input_size and not index else nn.Linear(input_size, width, bias=False)
            for index, width in enumerate(widths)
        )
        rows = zip(self.sizes, widths, strict=True)
        self.weights = nn.ParameterList([] if self._shared else [_drawn(size, width) for size, width in rows])
        self.biases = nn.ParameterList(torch.zeros(size) for size in self.sizes)
        self.cluster_weight = _drawn(len(self.cutoffs), input_size)
        self.cluster_bias = nn.Parameter(torch.zeros(len(self.cutoffs)))

    def start(self, log_counts: Tensor) -> None:
        """Initialize the biases with the log-counts of all tokens, (V,)."""
        parts = torch.split(log_counts[1:], list(self.sizes))
        with torch.no_grad():
            for bias, part in zip(self.biases, parts, strict=True):
                bias.copy_(part)
            self.cluster_bias.copy_(torch.stack([part.logsumexp(0) for part in parts[1:]]))

    def forward(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-probability (N,) of targets (N,) for features (N, O); 0 for the target 0.

        Raises:
            ShapeError: the features are not (N, O).
        """
        check_features(hidden, self.input_size)
        rows = self._rows()
        borders = torch.tensor(self.cutoffs, device=targets.device)
        cluster = torch.bucketize(targets.contiguous(), borders, right=True)
        at_first = torch.where(cluster == 0, targets - 1, self.sizes[0] + cluster - 1)
        nats = functional.cross_entropy(self._first(hidden, rows[0]), at_first, ignore_index=-1, reduction="none")
        for index in range(1, len(self.sizes)):
            members = (cluster == index).nonzero().squeeze(1)
            if len(members):
                scores = self._inside(index, hidden[members], rows[index])
                inside = targets[members] - self.cutoffs[index - 1]
                nats = nats.index_add(0, members, functional.cross_entropy(scores, inside, reduction="none"))
        return nats

    def logits(self, hidden: Tensor) -> Tensor:
        """Return scores (…, V) for features (…, O), minus infinity for padding; here :meth:`log_probabilities`."""
        return self.log_probabilities(hidden)

    def log_probabilities(self, hidden: Tensor) -> Tensor:
        """Return the log-probabilities (…, V) for features (…, O)."""
        rows = self._rows()
        first = functional.log_softmax(self._first(hidden, rows[0]), dim=-1)
        parts = [first.new_full((*first.shape[:-1], 1), -torch.inf), first[..., : self.sizes[0]]]
        for index in range(1, len(self.sizes)):
            inside = functional.log_softmax(self._inside(index, hidden, rows[index]), dim=-1)
            parts.append(inside + first[..., self.sizes[0] + index - 1, None])
        return torch.cat(parts, dim=-1)

    def _rows(self) -> Sequence[Tensor]:
        """Return the rows of each cluster's tokens, the frequent tokens first."""
        if not self._shared:
            return list(self.weights)
        return torch.split(self._shared[0].weight, [1, *self.sizes])[1:]

    def _first(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """Return scores of the frequent tokens and of the clusters, (…, first cutoff - 1 + C)."""
        tokens = self._inside(0, hidden, rows)
        return torch.cat([tokens, functional.linear(hidden, self.cluster_weight, self.cluster_bias)], dim=-1)

    def _inside(self, index: int, hidden: Tensor, rows: Tensor) -> Tensor:
        return functional.linear(self.projections[index](hidden), rows, self.biases[index])

    def extra_repr(self) -> str:
        tied = ", tied" if self._shared else ""
        return f"{self.input_size}, {self.vocabulary_size}, cutoffs={self.cutoffs}{tied}"


def _drawn(rows: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, size) * size**-0.5)
