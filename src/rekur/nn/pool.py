"""Pools: one vector from a sequence of outputs, over the real steps of each row, at once or step by step.

Axes: B batch, T time, O output features of a step.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from rekur import _check
from rekur.errors import InputError, NotStreamableError, ShapeError, describe
from rekur.nn.lengths import Lengths, check_lengths, clear_padding, first_real, last_real, real_steps

State = tuple[Tensor, ...]


class Pool(nn.Module):
    """Base class of pools: from the outputs of all steps (B, T, size) to one vector for each row (B, output_size).

    A pool reads only real steps; an empty row gives zeros. Every pool can also run live: ``update`` adds one step, and
    ``read`` returns the vector of the steps so far.

    Args:
        size: features O of a step, at least 1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = _check.size("size", size)
        self.output_size = self.size

    def forward(self, output: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Pool whole sequences.

        Args:
            output: (B, T, size); values beyond a row's length are ignored.
            lengths: int64 (B,), in [0, T]; None if every row has T.

        Returns:
            (B, output_size); zeros for a row of length 0.

        Raises:
            ShapeError: ``output`` is not (B, T, size), or ``lengths`` not (B,).
        """
        if output.dim() != 3 or output.shape[2] != self.size:
            raise ShapeError(describe("shape of output", tuple(output.shape), f"(B, T, {self.size})"))
        checked = check_lengths(lengths, output)
        if output.shape[1] == 0:
            return output.new_zeros(output.shape[0], self.output_size)
        return self.pool(clear_padding(output, checked), checked)

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        """Pool outputs (B, T ≥ 1, size) that are zero beyond each row's length."""
        raise NotImplementedError

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each tensor of the streaming state, without the batch axis."""
        raise NotImplementedError

    def initial_state(
        self,
        batch_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the initial state: zeros, each (B, *size)."""
        return tuple(torch.zeros(batch_size, *s, device=device, dtype=dtype) for s in self.state_sizes())

    def update(self, y: Tensor, state: State) -> State:
        """Return the state after one more step y (B, size)."""
        raise NotImplementedError

    def read(self, state: State) -> Tensor:
        """Return the pooled vector (B, output_size) of the steps so far."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.size}"


class LastPool(Pool):
    """The output at each row's last real step.

    For a bidirectional output it is the forward half at the last real step, joined with the backward half at the first:
    at these steps both directions have read the whole row.

    Args:
        size: features O of a step.
        bidirectional: whether the second half of the features comes from the backward direction; O is then even.

    Example:
        >>> pool = LastPool(1)
        >>> pool(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([2]))
        tensor([[2.]])
    """

    def __init__(self, size: int, bidirectional: bool = False) -> None:
        super().__init__(size)
        self.bidirectional = _check.flag("bidirectional", bidirectional)
        if bidirectional and size % 2:
            raise InputError(describe("size", size, "an even number, as both directions have the same size"))

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        if not self.bidirectional:
            return last_real(output, lengths)
        half = self.size // 2
        return torch.cat((last_real(output[..., :half], lengths), first_real(output[..., half:], lengths)), dim=-1)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        if self.bidirectional:
            fix = "The backward half needs the whole sequence."
            raise NotStreamableError(describe("bidirectional", True, "False for a pool that runs live", fix))
        return ((self.size,),)

    def update(self, y: Tensor, state: State) -> State:
        return (y,)

    def read(self, state: State) -> Tensor:
        return state[0]


class MeanPool(Pool):
    r"""The mean over real steps: :math:`\frac{1}{n} \sum_{t \le n} y_t`.

    Example:
        >>> MeanPool(1)(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([2]))
        tensor([[1.5000]])
    """

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return output.mean(dim=1)
        return output.sum(dim=1) / lengths.to(output.device).clamp(min=1).to(output.dtype)[:, None]

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.size,), (1,))

    def update(self, y: Tensor, state: State) -> State:
        total, count = state
        return total + y, count + 1

    def read(self, state: State) -> Tensor:
        total, count = state
        return total / count.clamp(min=1)


class MaxPool(Pool):
    r"""The largest value of each feature over real steps: :math:`\max_{t \le n} y_t`.

    Example:
        >>> MaxPool(1)(torch.tensor([[[-1.0], [-2.0], [9.0]]]), torch.tensor([2]))
        tensor([[-1.]])
    """

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return output.amax(dim=1)
        mask = real_steps(lengths, output.shape[1], output.device)[..., None]
        largest = output.masked_fill(~mask, torch.finfo(output.dtype).min).amax(dim=1)
        return largest.masked_fill(~mask.any(dim=1), 0)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.size,), (1,))

    def update(self, y: Tensor, state: State) -> State:
        largest, count = state
        return torch.where(count > 0, torch.maximum(largest, y), y), count + 1

    def read(self, state: State) -> Tensor:
        return state[0]


class AttentionPool(Pool):
    r"""A weighted mean over real steps with learned weights.

    .. math:: e_t = v^\top \tanh(W y_t + b), \quad p = \mathrm{softmax}(e_{1..n}), \quad \sum_t p_t y_t

    Live, the softmax is stored as a running maximum, sum and weighted sum.

    Args:
        size: features O of a step.
        hidden_size: rows of W; by default O.

    Reference:
        Yang et al., Hierarchical Attention Networks for Document Classification, 2016.

    Example:
        >>> AttentionPool(4)(torch.ones(2, 3, 4), torch.tensor([3, 0]))[1]
        tensor([0., 0., 0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(self, size: int, hidden_size: int | None = None) -> None:
        super().__init__(size)
        hidden_size = size if hidden_size is None else _check.size("hidden_size", hidden_size)
        self.hidden = nn.Linear(size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def scores(self, output: Tensor) -> Tensor:
        """Return the unnormalised weight (…, 1) of outputs (…, size)."""
        scores: Tensor = self.score(torch.tanh(self.hidden(output)))
        return scores

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        scores = self.scores(output)
        if lengths is None:
            return (torch.softmax(scores, dim=1) * output).sum(dim=1)
        mask = real_steps(lengths, output.shape[1], output.device)[..., None]
        weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=1)
        return (weights.masked_fill(~mask, 0) * output).sum(dim=1)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.size,), (1,), (1,))

    def update(self, y: Tensor, state: State) -> State:
        total, mass, top = state
        score = self.scores(y)
        new_top = torch.where(mass > 0, torch.maximum(top, score), score)
        # before the first step top is not a score, so its exponential must not be used
        old_share = torch.where(mass > 0, torch.exp(torch.where(mass > 0, top, new_top) - new_top), 0)
        share = torch.exp(score - new_top)
        return total * old_share + share * y, mass * old_share + share, new_top

    def read(self, state: State) -> Tensor:
        total, mass, _ = state
        return total / torch.where(mass > 0, mass, 1)


class JoinedPool(Pool):
    """The concatenation of several pools of the same outputs.

    Args:
        pools: at least one, all of the same size.

    Example:
        >>> JoinedPool([MeanPool(1), MaxPool(1)])(torch.tensor([[[1.0], [3.0]]]))
        tensor([[2., 3.]])
    """

    def __init__(self, pools: list[Pool]) -> None:
        sizes = sorted({pool.size for pool in pools})
        if len(sizes) != 1:
            raise InputError(f"pools: got sizes {sizes}; expected at least one pool, all of one size.")
        super().__init__(sizes[0])
        self.output_size = sum(pool.output_size for pool in pools)
        self.pools = nn.ModuleList(pools)

    def _parts(self) -> list[Pool]:
        return [pool for pool in self.pools if isinstance(pool, Pool)]

    def pool(self, output: Tensor, lengths: Tensor | None) -> Tensor:
        return torch.cat([pool.pool(output, lengths) for pool in self._parts()], dim=-1)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(itertools.chain.from_iterable(pool.state_sizes() for pool in self._parts()))

    def _split(self, state: State) -> list[tuple[Pool, State]]:
        tensors = iter(state)
        return [(pool, tuple(itertools.islice(tensors, len(pool.state_sizes())))) for pool in self._parts()]

    def update(self, y: Tensor, state: State) -> State:
        return tuple(itertools.chain.from_iterable(pool.update(y, part) for pool, part in self._split(state)))

    def read(self, state: State) -> Tensor:
        return torch.cat([pool.read(part) for pool, part in self._split(state)], dim=-1)


POOLS: dict[str, type[Pool]] = dict(zip(_check.POOLS, (LastPool, MeanPool, MaxPool, AttentionPool), strict=True))


def make_pool(name: str, size: int, *, bidirectional: bool = False) -> Pool:
    """Return a pool by name.

    Args:
        name: "last", "mean", "max" or "attention", or several of them joined by "+".
        size: features O of a step.
        bidirectional: whether the second half of the features comes from the backward direction; "last" needs it.

    Raises:
        InputError: a name is unknown or repeated.

    Example:
        >>> make_pool("mean+max", 8).output_size
        16
    """
    names = _check.pooling("pool", name)
    pools = [LastPool(size, bidirectional) if part == "last" else POOLS[part](size) for part in names]
    return pools[0] if len(pools) == 1 else JoinedPool(pools)
