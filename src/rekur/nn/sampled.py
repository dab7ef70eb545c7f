"""A softmax whose sum is estimated in training: for large vocabularies far cheaper, and exact when it counts.

Axes: N tokens, O features, E embedding features, V vocabulary, S tokens drawn. Number 0 is padding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rekur import _check
from rekur.nn.embed import Embedding
from rekur.nn.softmax import FullSoftmax, check_features

#: how often a token is drawn grows with this power of how often it occurs: rare ones a little more often
_POWER = 0.75


class _LogSumExp(torch.autograd.Function):
    """The logarithm of the sum of exponentials (N,) of scores (N, S) but some; the scores' memory is used up."""

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
    r"""A softmax that in training sums over some tokens drawn for all N targets together.

    .. math:: -\ln p_y \approx -z_y + \ln\Big(e^{z_y} + \sum_{k \in S,\, k \ne y} e^{z_k} / q_k\Big)

    Each token k is in S with the chance :math:`q_k`, independently of others: 1 for frequent tokens, so that their
    part is exact, less for rare ones, whose weight :math:`1 / q_k` makes up for it. The sum is right on average
    whatever the chances are. With ``samples`` of V or more it is exact. In evaluation it is always exact.

    Args:
        input_size: features O, 1 or more.
        vocabulary_size: tokens V, padding among them; 2 or more. Tokens are numbered from frequent to rare, or
            :meth:`start` is told how often each occurs.
        embedding: tie W to this embedding's weights; a projection P is learned where O is not E. None for own ones.
        samples: how many tokens are drawn, on average; 1 or more.

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
        """Begin with these logarithms of how often each token occurs, (V,), and draw tokens accordingly."""
        super().start(log_counts)
        self.chances.copy_(self._chances(torch.softmax(log_counts[1:].double(), dim=0)))

    def _nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return self._estimate(hidden, targets) if self.training else super()._nats(hidden, targets)

    def _estimate(self, hidden: Tensor, targets: Tensor) -> Tensor:
        check_features(hidden, self.input_size)
        drawn = (torch.rand_like(self.chances) < self.chances).nonzero().squeeze(1)
        wanted = (targets - 1).clamp(min=0)
        features = self.project(hidden)
        # one look-up for both, as each is a table of gradients on the way back
        rows = self._rows(torch.cat([drawn, wanted]))
        bias = self.bias[drawn] - self.chances[drawn].log().to(self.bias.dtype)
        scores = functional.linear(features, rows[: len(drawn)], bias).to(bias.dtype)
        own = (features * rows[len(drawn) :]).sum(1) + self.bias[wanted]
        place = torch.full_like(self.chances, -1, dtype=torch.int64)
        place[drawn] = torch.arange(len(drawn), device=drawn.device)
        hit = (place[wanted] >= 0).nonzero().squeeze(1)
        others = _log_sum_exp(scores, hit, place[wanted[hit]])  # the target counts once, by itself
        return functional.softplus(others - own).masked_fill(targets == 0, 0.0)

    def _rows(self, numbers: Tensor) -> Tensor:
        if self.weight is not None:
            return self.weight[numbers]
        return functional.embedding(numbers + 1, self._shared[0].weight)

    def _chances(self, frequency: Tensor) -> Tensor:
        """Return the chance of each token (V - 1,): in proportion to a power of its frequency, 1 at most."""
        if frequency.is_meta:  # a layer without memory has no chances to work out
            return torch.empty_like(frequency, dtype=torch.float32)
        size = frequency**_POWER
        chances = torch.ones_like(size)
        rest = torch.ones_like(size, dtype=torch.bool)
        left = self.samples
        while left < int(rest.sum()):  # those that would be above 1 leave room for others
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
