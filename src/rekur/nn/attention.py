"""Attention of queries to a sequence of keys and values, over each row's real steps.

Axes: B batch, S queries, T time (keys), Q query features, K key features, V value features, N heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rekur import _check
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.lengths import Lengths, check_lengths, clear_padding, real_steps


class Memory(NamedTuple):
    """The prepared keys and values of an attention, from ``prepare``.

    Args:
        keys: (B, T, …), after all computation that needs no query.
        values: (B, T, …).
        mask: (B, T), True at real steps; None if all steps are real.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return the softmax over the last axis where ``mask`` is True, and zero elsewhere.

    A row without any True gives zeros, not NaN.

    Args:
        scores: (…, T).
        mask: bool, broadcast to the shape of ``scores``; None for all True.

    Example:
        >>> masked_softmax(torch.zeros(2, 2), torch.tensor([[True, False], [False, False]]))
        tensor([[1., 0.],
                [0., 0.]])
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, lowest), dim=-1).masked_fill(~mask, 0)


class Attention(nn.Module):
    """Base class of attentions: ``prepare`` the keys once, then ``read`` them with each query.

    Args:
        query_size: features Q of a query, at least 1.
        key_size: features K of a key, at least 1.
    """

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.query_size = _check.size("query_size", query_size)
        self.key_size = _check.size("key_size", key_size)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor | None = None, lengths: Lengths | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend to keys and values.

        Args:
            query: (B, Q) for one query for each row, or (B, S, Q).
            keys: (B, T, K); values beyond a row's length are ignored.
            values: (B, T, V); by default the keys.
            lengths: int64 (B,), real steps of keys and values, in [0, T]; None if every row has T.

        Returns:
            context (B, V) or (B, S, V), and weights (B, T) or (B, S, T), which sum to 1 over the real steps.
            A row of length 0 gives zeros for both.

        Raises:
            ShapeError: the sizes do not agree with the layer's or with each other.
        """
        return self.read(query, self.prepare(keys, values, lengths))

    def prepare(self, keys: Tensor, values: Tensor | None = None, lengths: Lengths | None = None) -> Memory:
        """Return the memory of keys and values for any number of queries."""
        values = keys if values is None else values
        if keys.dim() != 3 or keys.shape[2] != self.key_size:
            raise ShapeError(describe("shape of keys", tuple(keys.shape), f"(B, T, {self.key_size})"))
        if values.dim() != 3 or values.shape[:2] != keys.shape[:2]:
            expected = f"({keys.shape[0]}, {keys.shape[1]}, V), one value for each key"
            raise ShapeError(describe("shape of values", tuple(values.shape), expected))
        checked = check_lengths(lengths, keys)
        mask = None if checked is None else real_steps(checked, keys.shape[1], keys.device)
        cleared = clear_padding(keys, checked)
        return self.keep(cleared, cleared if values is keys else clear_padding(values, checked), mask)

    def read(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return context and weights, as ``forward`` does, for a memory from ``prepare``."""
        batch_size = memory.keys.shape[0]
        if query.dim() not in (2, 3) or query.shape[0] != batch_size or query.shape[-1] != self.query_size:
            expected = f"({batch_size}, {self.query_size}) or ({batch_size}, S, {self.query_size})"
            raise ShapeError(describe("shape of query", tuple(query.shape), expected))
        if query.dim() == 3:
            return self.attend(query, memory)
        context, weights = self.attend(query[:, None], memory)
        return context.squeeze(1), weights.squeeze(-2)

    def keep(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> Memory:
        """Return the memory of keys and values that are zero beyond each row's length."""
        return Memory(keys, values, mask)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return the score of each key for each query (B, S, Q): (B, S, T)."""
        raise NotImplementedError

    def attend(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return context (B, S, V) and weights (B, S, T) of queries (B, S, Q)."""
        mask = None if memory.mask is None else memory.mask[:, None]
        weights = masked_softmax(self.scores(query, memory.keys), mask)
        return weights @ memory.values, weights

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}"


class AdditiveAttention(Attention):
    r"""Attention with scores from a small network: :math:`e_{st} = v^\top \tanh(W q_s + U k_t + b)`.

    Args:
        query_size: features Q of a query.
        key_size: features K of a key.
        hidden_size: rows of W and U; by default Q.

    Reference:
        Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and Translate, 2015.

    Example:
        >>> attention = AdditiveAttention(4, 6)
        >>> context, weights = attention(torch.randn(2, 4), torch.randn(2, 5, 6), lengths=[5, 3])
        >>> context.shape, weights.shape
        (torch.Size([2, 6]), torch.Size([2, 5]))
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int | None = None) -> None:
        super().__init__(query_size, key_size)
        hidden_size = query_size if hidden_size is None else _check.size("hidden_size", hidden_size)
        self.query = nn.Linear(query_size, hidden_size)
        self.key = nn.Linear(key_size, hidden_size, bias=False)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def keep(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> Memory:
        return Memory(self.key(keys), values, mask)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        hidden = torch.tanh(self.query(query)[:, :, None] + keys[:, None])
        scores: Tensor = self.score(hidden)
        return scores.squeeze(-1)


class DotAttention(Attention):
    r"""Attention with scores from dot products: :math:`e_{st} = q_s^\top k_t / \sqrt{Q}`.

    With ``learned`` it is :math:`q_s^\top W k_t / \sqrt{Q}`.

    Args:
        query_size: features Q of a query.
        key_size: features K of a key; by default Q.
        learned: whether to learn a matrix W between the two ("general"); required if Q and K differ.
        scaled: whether to divide scores by √Q.

    Raises:
        InputError: the sizes differ without ``learned``.

    Reference:
        Luong et al., Effective Approaches to Attention-based Neural Machine Translation, 2015.

    Example:
        >>> attention = DotAttention(4)
        >>> context, weights = attention(torch.randn(2, 3, 4), torch.randn(2, 5, 4))
        >>> context.shape, weights.shape
        (torch.Size([2, 3, 4]), torch.Size([2, 3, 5]))
    """

    def __init__(
        self, query_size: int, key_size: int | None = None, *, learned: bool = False, scaled: bool = True
    ) -> None:
        super().__init__(query_size, query_size if key_size is None else key_size)
        self.scaled = _check.flag("scaled", scaled)
        if not _check.flag("learned", learned) and self.key_size != query_size:
            raise InputError(describe("key_size", key_size, f"{query_size}, as query_size", "Or use learned=True."))
        self.key = nn.Linear(self.key_size, query_size, bias=False) if learned else None

    def keep(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> Memory:
        return Memory(keys if self.key is None else self.key(keys), values, mask)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        scores = query @ keys.transpose(1, 2)
        return scores / math.sqrt(self.query_size) if self.scaled else scores


class MultiHeadAttention(Attention):
    r"""Several scaled dot attentions, each in its own learned subspace.

    .. math:: \mathrm{head}_i = \mathrm{softmax}(Q_i K_i^\top / \sqrt{d})\, V_i, \quad
              \mathrm{context} = [\mathrm{head}_1; \dots; \mathrm{head}_N]\, W_o + b_o

    Args:
        query_size: features Q of a query; also the size of the context.
        key_size: features K of a key; by default Q.
        num_heads: N, at least 1; Q must be a multiple of it.
        value_size: features V of a value; by default K.
        dropout: probability that a weight is dropped in training, in [0, 1).

    The weights returned are (B, N, T) or (B, N, S, T), before dropout.

    Reference:
        Vaswani et al., Attention Is All You Need, 2017.

    Example:
        >>> attention = MultiHeadAttention(8, 6, num_heads=2)
        >>> context, weights = attention(torch.randn(3, 8), torch.randn(3, 5, 6))
        >>> context.shape, weights.shape
        (torch.Size([3, 8]), torch.Size([3, 2, 5]))
    """

    def __init__(
        self,
        query_size: int,
        key_size: int | None = None,
        *,
        num_heads: int,
        value_size: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(query_size, query_size if key_size is None else key_size)
        self.num_heads = _check.size("num_heads", num_heads)
        if query_size % num_heads:
            raise InputError(describe("query_size", query_size, f"a multiple of num_heads={num_heads}"))
        size = self.key_size if value_size is None else _check.size("value_size", value_size)
        self.value_size = size
        self.query = nn.Linear(query_size, query_size)
        self.key = nn.Linear(self.key_size, query_size)
        self.value = nn.Linear(size, query_size)
        self.out = nn.Linear(query_size, query_size)
        self.dropout = nn.Dropout(_check.number("dropout", dropout, 0, 1, open_high=True))

    def _heads(self, x: Tensor) -> Tensor:
        heads = x.view(x.shape[0], x.shape[1], self.num_heads, x.shape[2] // self.num_heads)
        return heads.transpose(1, 2)  # (B, N, T or S, d)

    def keep(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> Memory:
        if values.shape[2] != self.value_size:
            raise ShapeError(describe("shape of values", tuple(values.shape), f"(B, T, {self.value_size})"))
        return Memory(self._heads(self.key(keys)), self._heads(self.value(values)), mask)

    def attend(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        heads = self._heads(self.query(query))
        scores = heads @ memory.keys.transpose(-1, -2) / math.sqrt(heads.shape[-1])
        mask = None if memory.mask is None else memory.mask[:, None, None]
        weights = masked_softmax(scores, mask)
        context: Tensor = self.out((self.dropout(weights) @ memory.values).transpose(1, 2).flatten(2))
        if memory.keys.shape[2] == 0:
            context = torch.zeros_like(context)
        elif memory.mask is not None:
            context = context.masked_fill(~memory.mask.any(dim=1)[:, None, None], 0)
        return context, weights

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}, num_heads={self.num_heads}"
