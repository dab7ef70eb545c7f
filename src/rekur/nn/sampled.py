"""A softmax with a sampled sum in training: much cheaper for large vocabularies, and exact in evaluation.

Axes: N tokens, O features, E embedding features, V vocabulary, S tokens drawn. Number 0 is padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rekur import _check
from rekur._ids import PADDING
from rekur.nn.embed import Embedding
from rekur.nn.softmax import FullSoftmax, check_features

#: the probability of drawing a token grows with this power of its frequency
_POWER = 0.75


class _LogSumExp(torch.autograd.Function):
    """The log-sum-exp (N,) of scores (N, S) without those at (rows, columns); it overwrites the scores."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        scores[rows, columns] = -torch.inf
        highest = scores.amax(1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
        total = scores.sub_(highest).exp_().sum(1)
        ctx.mark_dirty(scores)
        ctx.save_for_backward(scores, total)
        ctx.set_materialize_grads(False)
        return highest.squeeze(1) + total.log(), scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, unused: None) -> tuple[Tensor, None, None]:
        exponentials, total = ctx.saved_tensors
        return exponentials * (gradient / total.clamp(min=torch.finfo(total.dtype).tiny))[:, None], None, None


def _log_sum_exp(scores: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    if scores.shape[1] == 0:
        return scores.new_full(scores.shape[:1], -torch.inf)
    result: tuple[Tensor, Tensor] = _LogSumExp.apply(scores, rows, columns)  # type: ignore[no-untyped-call]
    return result[0]


class SampledSoftmax(FullSoftmax):
    r"""A softmax that in training sums over randomly drawn tokens, the same for all N targets.

    .. math:: -\ln p_y \approx -z_y + \ln\Big(e^{z_y} + \sum_{k \in S,\, k \ne y} e^{z_k} / q_k\Big)

    Each token k is in S with probability :math:`q_k`, independently of others: 1 for frequent tokens, so that their
    part is exact, less for rare ones, which get the weight :math:`1 / q_k`. The sum is unbiased for any probabilities.
    With ``samples`` of V or more it is exact. In evaluation it is always exact.

    Args:
        input_size: features O, 1 or more.
        vocabulary_size: tokens V, including padding; 2 or more. Tokens are numbered from frequent to rare, unless
            :meth:`start` gets their counts.
        embedding: tie W to the weights of this embedding; a projection P is learned if O differs from E. None for
            separate weights.
        samples: average number of drawn tokens; 1 or more.

    Reference:
        Bengio and Senécal, Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language
        Model, 2008; Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, 2015;
        Horvitz and Thompson, A Generalization of Sampling Without Replacement From a Finite Universe, 1952.

    Example:
        >>> layer = SampledSoftmax(4, 1000, samples=50)
        >>> layer(torch.zeros(3, 4), torch.tensor([1, 2, 999])).shape
        torch.Size([3])
    """

    chances: Tensor

    def __init__(
        self, input_size: int, vocabulary_size: int, embedding: Embedding | None = None, *, samples: int = 2048
    ) -> None:
        super().__init__(input_size, vocabulary_size, embedding)
        self.samples = _check.size("samples", samples)
        rank = torch.arange(1, vocabulary_size, dtype=torch.float64)
        self.register_buffer("chances", self._chances(torch.log1p(1 / rank)))  # Zipf's law, smoothed

    def start(self, log_counts: Tensor) -> None:
        """Initialize the biases with the log-counts of all tokens, (V,), and draw tokens accordingly."""
        super().start(log_counts)
        self.chances.copy_(self._chances(torch.softmax(log_counts[1:].double(), dim=0)))

    def _nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return self._estimate(hidden, targets) if self.training else super()._nats(hidden, targets)

    def _estimate(self, hidden: Tensor, targets: Tensor) -> Tensor:
        check_features(hidden, self.input_size)
        drawn = (torch.rand_like(self.chances) < self.chances).nonzero().squeeze(1)
        rows_of_targets = (targets - 1).clamp(min=0)
        features = self.project(hidden)
        # one lookup for both, since each lookup allocates a gradient of the whole table
        rows = self._rows(torch.cat([drawn, rows_of_targets]))
        bias = self.bias[drawn] - self.chances[drawn].log().to(self.bias.dtype)
        scores = functional.linear(features, rows[: len(drawn)], bias).to(bias.dtype)
        target_scores = (features * rows[len(drawn) :]).sum(1) + self.bias[rows_of_targets]
        column_of_row = torch.full_like(self.chances, -1, dtype=torch.int64)
        column_of_row[drawn] = torch.arange(len(drawn), device=drawn.device)
        hit = (column_of_row[rows_of_targets] >= 0).nonzero().squeeze(1)
        others = _log_sum_exp(scores, hit, column_of_row[rows_of_targets[hit]])  # the target counts once, by itself
        return functional.softplus(others - target_scores).masked_fill(targets == PADDING, 0.0)

    def _rows(self, numbers: Tensor) -> Tensor:
        if self.weight is not None:
            return self.weight[numbers]
        return functional.embedding(numbers + 1, self._shared[0].weight)

    def _chances(self, frequency: Tensor) -> Tensor:
        """Return the probability of drawing each token (V - 1,): a power of its frequency, scaled, at most 1."""
        if frequency.is_meta:  # there are no values to compute with
            return torch.empty_like(frequency, dtype=torch.float32)
        size = frequency**_POWER
        chances = torch.ones_like(size)
        rest = torch.ones_like(size, dtype=torch.bool)
        left = self.samples
        while left < int(rest.sum()):  # clamp probabilities above 1 and share the rest among the others
            chances[rest] = size[rest] * (left / size[rest].sum())
            above = rest & (chances >= 1)
            if not bool(above.any()):
                break
            chances[above] = 1.0
            left -= int(above.sum())
            rest &= ~above
        else:
            chances[rest] = 1.0
        return chances.clamp(max=1.0).float()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, samples={self.samples}"
