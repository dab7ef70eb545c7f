"""Embeddings of the last few tokens together: much of what a language model learns first is which token follows which.

Axes: B batch, T time, E embedding features, n tokens of the longest run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rekur import _check
from rekur.errors import InputError, describe

#: an odd number whose multiples spread over all 64 bits (the golden ratio's), as a signed one
_SPREAD = -7046029254386353131


class NGramEmbedding(nn.Module):
    r"""The sum of learned vectors for the runs of n tokens that end at each step, found by hashing.

    .. math:: y_t = \sum_{n} E_n\big[\mathrm{hash}(x_{t-n+1}, \dots, x_t) \bmod M_n\big]

    A look-up costs next to nothing beside a recurrent layer, whatever the size of the tables. Runs that meet in one
    row share it. Before a sequence stand zeros.

    Args:
        size: features E of a vector, 1 or more.
        orders: lengths n of the runs, each 2 or more.
        rows: rows :math:`M_n` of each table, one number for each length, 1 or more.

    Reference:
        Bojanowski et al., Enriching Word Vectors with Subword Information, 2017 (hashed n-grams).

    Example:
        >>> grams = NGramEmbedding(4, orders=(2, 3), rows=(64, 128))
        >>> y, before = grams(torch.tensor([[5, 6, 7]]), grams.initial_state(1))
        >>> y.shape, before.tolist()
        (torch.Size([1, 3, 4]), [[6, 7]])
    """

    def __init__(self, size: int, *, orders: Sequence[int], rows: Sequence[int]) -> None:
        super().__init__()
        self.size = _check.whole("size", size, low=1)
        self.orders = tuple(_check.whole("orders", n, low=2, high=16) for n in orders)
        if len(set(self.orders)) < len(self.orders) or not self.orders:
            raise InputError(describe("orders", tuple(orders), "different whole numbers of 2 or more"))
        if len(rows) != len(self.orders):
            raise InputError(describe("rows", tuple(rows), f"{len(self.orders)} numbers, one for each of orders"))
        self.tables = nn.ModuleList(nn.Embedding(_check.whole("rows", count, low=1), size) for count in rows)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every vector from N(0, 0.02²): at first the tokens themselves say more."""
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.02)

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> Tensor:
        """Return the tokens before the first step, zeros (B, n - 1)."""
        return torch.zeros(batch_size, max(self.orders) - 1, dtype=torch.int64, device=device)

    def forward(self, ids: Tensor, before: Tensor, resets: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors (B, T, E) of token ids (B, T), and the last n - 1 ids for the call after.

        Args:
            ids: token ids, (B, T).
            before: the n - 1 ids before the first step, (B, n - 1).
            resets: True where a sequence begins, so that nothing before it is seen, (B, T); None for nowhere.
        """
        context = before.shape[1]
        joined = torch.cat([before, ids], dim=1)
        if resets is not None:
            first = torch.cat([torch.zeros_like(before, dtype=torch.bool), resets], dim=1)
            sequence = first.cumsum(1)
        steps = ids.shape[1]
        key = _mix(ids)
        total: Tensor | float = 0.0
        for back in range(1, max(self.orders)):
            token = joined[:, context - back : context - back + steps]
            if resets is not None:
                same = sequence[:, context - back : context - back + steps] == sequence[:, context:]
                token = torch.where(same, token, 0)
            key = _mix(key ^ (token + back * 0x10000000000))
            if back + 1 in self.orders:
                table = self.tables[self.orders.index(back + 1)]
                total = total + table((key & 0x7FFFFFFFFFFFFFFF) % table.num_embeddings)
        after = joined[:, steps:]
        if resets is not None:
            after = torch.where(sequence[:, steps:] == sequence[:, -1:], after, 0)
        return cast(Tensor, total), after


def _mix(key: Tensor) -> Tensor:
    """Return numbers of 64 bits in which every bit of the key has a say; multiplication wraps around."""
    key = key * _SPREAD
    return (key ^ ((key >> 29) & 0x7FFFFFFFF)) * _SPREAD
