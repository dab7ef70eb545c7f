"""Embeddings of the last few tokens together: much of what a language model learns first is which token follows which.

Axes: B batch, T time, E embedding features, n tokens of a run, N tokens of the training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.errors import InputError, ShapeError, describe

#: an odd number whose multiples spread over all 64 bits (the golden ratio's), as a signed one
_SPREAD = -7046029254386353131
_NO_KEY = 2**63 - 1


class NGramEmbedding(nn.Module):
    r"""The sum of learned vectors for the runs of n tokens that end at each step.

    .. math:: y_t = \sum_{n} E_n[\mathrm{row}(x_{t-n+1}, \dots, x_t)]

    Runs that were frequent in training have a row of their own; all others share row 0, so that the layers above
    learn to do without. A look-up costs next to nothing beside a recurrent layer, whatever the size of the tables.
    Before a sequence stand zeros.

    Args:
        size: features E of a vector, 1 or more.
        orders: lengths n of the runs, each 2 or more.
        rows: rows of each table, one number for each length, 1 or more; see :func:`frequent_runs`.
        dropout: chance that a feature of a table is off for a whole chunk and row of the batch, in training.

    Reference:
        Bojanowski et al., Enriching Word Vectors with Subword Information, 2017 (vectors of n-grams).

    Example:
        >>> grams = NGramEmbedding(4, orders=(2, 3), rows=(64, 128))
        >>> y, before = grams(torch.tensor([[5, 6, 7]]), grams.initial_state(1))
        >>> y.shape, before.tolist()
        (torch.Size([1, 3, 4]), [[6, 7]])
    """

    def __init__(self, size: int, *, orders: Sequence[int], rows: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.size = _check.size("size", size)
        self.orders = check_orders(orders)
        if len(rows) != len(self.orders):
            raise InputError(describe("rows", tuple(rows), f"{len(self.orders)} numbers, one for each of orders"))
        self.dropout = _check.number("dropout", dropout, 0, 1, open_high=True)
        self.tables = nn.ModuleList(nn.Embedding(_check.size("rows", count), size) for count in rows)
        for order, count in zip(self.orders, rows, strict=True):
            self.register_buffer(f"runs_{order}", torch.full((count - 1,), _NO_KEY, dtype=torch.int64))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every vector from N(0, 0.02²): at first the tokens themselves say more."""
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.02)

    def know(self, runs: Sequence[Tensor]) -> None:
        """Give these runs a row each, as :func:`frequent_runs` returned them, one tensor for each length."""
        for order, keys in zip(self.orders, runs, strict=True):
            known = self._runs(order)
            if keys.shape != known.shape:
                raise ShapeError(describe(f"runs of {order}", f"{len(keys)} of them", f"{len(known)}, a row each"))
            known.copy_(keys)

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
        keys, after = run_keys(ids, before, self.orders, resets)
        total: Tensor | float = 0.0
        for order, table in zip(self.orders, self.tables, strict=True):
            vectors = table(self._row(order, keys[order]))
            if self.training and self.dropout:
                mask = functional.dropout(vectors.new_ones(len(ids), 1, self.size), self.dropout)
                vectors = vectors * mask
            total = total + vectors
        return cast(Tensor, total), after

    def _runs(self, order: int) -> Tensor:
        return self.get_buffer(f"runs_{order}")

    def _row(self, order: int, keys: Tensor) -> Tensor:
        """Return the row of each run: its own, or 0."""
        known = self._runs(order)
        if not len(known):
            return torch.zeros_like(keys)
        place = torch.searchsorted(known, keys).clamp_(max=len(known) - 1)
        return torch.where(known[place] == keys, place + 1, 0)


def frequent_runs(
    ids: Tensor, starts: Tensor, orders: Sequence[int], *, min_count: int, most: int
) -> tuple[Tensor, ...]:
    """Return keys of the runs of each length that are frequent in a text, sorted, int64.

    Args:
        ids: the tokens of the text, (N,).
        starts: where documents begin, whose runs hold nothing from before; (0,) of a single text.
        orders: lengths of the runs, each 2 or more.
        min_count: how often a run must occur, 1 or more.
        most: how many runs of a length are returned at most: the most frequent.

    Example:
        >>> found = frequent_runs(torch.tensor([2, 3] * 9), torch.tensor([0]), (2, 3), min_count=3, most=9)
        >>> [len(keys) for keys in found]
        [2, 2]
    """
    lengths = check_orders(orders)
    resets = torch.zeros(1, len(ids), dtype=torch.bool)
    resets[0, starts] = True
    before = torch.zeros(1, max(lengths) - 1, dtype=torch.int64)
    keys, _ = run_keys(ids.long()[None], before, lengths, resets)
    found = []
    for order in lengths:
        runs, counts = torch.unique(keys[order][0], return_counts=True)
        kept = counts >= min_count
        if int(kept.sum()) > most:
            least = torch.topk(counts, most, sorted=False).values.min()
            kept = counts > least  # of those as frequent as the last one, none: which would be chance
        found.append(runs[kept])
    return tuple(found)


def check_orders(orders: Sequence[int]) -> tuple[int, ...]:
    """Return the lengths of runs if they can be."""
    checked = tuple(_check.whole("orders", order, low=2, high=16) for order in orders)
    if not checked or len(set(checked)) < len(checked):
        raise InputError(describe("orders", tuple(orders), "different whole numbers of 2 or more"))
    return checked


def run_keys(
    ids: Tensor, before: Tensor, orders: Sequence[int], resets: Tensor | None
) -> tuple[dict[int, Tensor], Tensor]:
    """Return a number of 64 bits for the run of each length that ends at each step, and the last n - 1 ids."""
    context, steps = before.shape[1], ids.shape[1]
    joined = torch.cat([before, ids], dim=1)
    if resets is not None:
        sequence = torch.cat([torch.zeros_like(before, dtype=torch.bool), resets], dim=1).cumsum(1)
    keys: dict[int, Tensor] = {}
    key = _mix(ids)
    for back in range(1, max(orders)):
        place = slice(context - back, context - back + steps)
        token = joined[:, place]
        if resets is not None:
            token = torch.where(sequence[:, place] == sequence[:, context:], token, 0)
        key = _mix(key ^ token)
        if back + 1 in orders:
            keys[back + 1] = key
    after = joined[:, steps:]
    if resets is not None:
        after = torch.where(sequence[:, steps:] == sequence[:, -1:], after, 0)
    return keys, after


def _mix(key: Tensor) -> Tensor:
    """Return numbers of 64 bits in which every bit of the key has a say; multiplication wraps around."""
    key = key * _SPREAD
    return (key ^ ((key >> 29) & 0x7FFFFFFFF)) * _SPREAD
