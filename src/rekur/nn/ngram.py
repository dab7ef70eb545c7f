"""Embeddings of n-grams: they give a language model the frequent sequences of tokens directly.

Axes: B batch, T time, E embedding features, n tokens of a run, N tokens of the training text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur._ids import mix
from rekur.errors import InputError, ShapeError, describe

_NO_KEY = 2**63 - 1


class NGramEmbedding(nn.Module):
    r"""The sum of learned vectors of the n-grams that end at each step.

    .. math:: y_t = \sum_{n} E_n[\mathrm{row}(x_{t-n+1}, \dots, x_t)]

    Each frequent n-gram of the training text has its own row; all others share row 0, so that the layers above learn
    to work without. A lookup costs little next to a recurrent layer, whatever the size of the tables. The tokens before
    a sequence count as zeros.

    Args:
        size: features E of a vector, 1 or more.
        orders: lengths n of the n-grams, each 2 or more.
        rows: rows of each table, one number for each order, 1 or more; see :func:`frequent_runs`.
        dropout: probability in training that a feature of a table is zeros for a whole chunk and row of the batch.

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
        """Draw every vector from N(0, 0.02²), small next to the vectors of tokens."""
        for table in self.tables.parameters():
            nn.init.normal_(table, std=0.02)

    def know(self, runs: Sequence[Tensor]) -> None:
        """Assign a row to each of these runs from :func:`frequent_runs`, one tensor for each order."""
        for order, keys in zip(self.orders, runs, strict=True):
            buffer = self._runs(order)
            if keys.shape != buffer.shape:
                raise ShapeError(describe(f"runs of {order}", f"{len(keys)} of them", f"{len(buffer)}, a row each"))
            buffer.copy_(keys)

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> Tensor:
        """Return the tokens before the first step, zeros (B, n - 1)."""
        return torch.zeros(batch_size, max(self.orders) - 1, dtype=torch.int64, device=device)

    def forward(self, ids: Tensor, before: Tensor, resets: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the vectors (B, T, E) of token ids (B, T), and the last n - 1 ids for the next call.

        Args:
            ids: token ids, (B, T).
            before: the n - 1 ids before the first step, (B, n - 1).
            resets: True at the start of a sequence, which hides earlier ids, (B, T); None for no resets.
        """
        keys, last_ids = run_keys(ids, before, self.orders, resets)
        total: Tensor | float = 0.0
        for order, table in zip(self.orders, self.tables, strict=True):
            vectors = table(self._row(order, keys[order]))
            if self.training and self.dropout:
                mask = functional.dropout(vectors.new_ones(len(ids), 1, self.size), self.dropout)
                vectors = vectors * mask
            total = total + vectors
        return cast(Tensor, total), last_ids

    def _runs(self, order: int) -> Tensor:
        return self.get_buffer(f"runs_{order}")

    def _row(self, order: int, keys: Tensor) -> Tensor:
        """Return the row of each n-gram; 0 for one without its own row."""
        runs = self._runs(order)
        if not len(runs):
            return torch.zeros_like(keys)
        index = torch.searchsorted(runs, keys).clamp_(max=len(runs) - 1)
        return torch.where(runs[index] == keys, index + 1, 0)


def frequent_runs(
    ids: Tensor, starts: Tensor, orders: Sequence[int], *, min_count: int, most: int
) -> tuple[Tensor, ...]:
    """Return the sorted int64 keys of the frequent n-grams of a text, one tensor for each order.

    Args:
        ids: the tokens of the text, (N,).
        starts: the index of each document's first token; n-grams do not cross it. (0,) for a single text.
        orders: lengths of the n-grams, each 2 or more.
        min_count: fewest occurrences of an n-gram, 1 or more.
        most: most n-grams of an order; the most frequent are returned.

    Example:
        >>> runs = frequent_runs(torch.tensor([2, 3] * 9), torch.tensor([0]), (2, 3), min_count=3, most=9)
        >>> [len(keys) for keys in runs]
        [2, 2]
    """
    lengths = check_orders(orders)
    resets = torch.zeros(1, len(ids), dtype=torch.bool)
    resets[0, starts] = True
    history = torch.zeros(1, max(lengths) - 1, dtype=torch.int64)
    keys, _ = run_keys(ids.long()[None], history, lengths, resets)
    frequent = []
    for order in lengths:
        runs, counts = torch.unique(keys[order][0], return_counts=True)
        mask = counts >= min_count
        if int(mask.sum()) > most:
            least = torch.topk(counts, most, sorted=False).values.min()
            mask = counts > least  # drop all runs tied at the limit, since choosing among them would be arbitrary
        frequent.append(runs[mask])
    return tuple(frequent)


def check_orders(orders: Sequence[int]) -> tuple[int, ...]:
    """Return the orders as a tuple, after checking them."""
    checked = tuple(_check.whole("orders", order, low=2, high=16) for order in orders)
    if not checked or len(set(checked)) < len(checked):
        raise InputError(describe("orders", tuple(orders), "different whole numbers of 2 or more"))
    return checked


def run_keys(
    ids: Tensor, history: Tensor, orders: Sequence[int], resets: Tensor | None
) -> tuple[dict[int, Tensor], Tensor]:
    """Return order -> 64-bit key of the run that ends at each step (B, T), and the last n - 1 ids."""
    context, steps = history.shape[1], ids.shape[1]
    joined = torch.cat([history, ids], dim=1)
    if resets is not None:
        sequence = torch.cat([torch.zeros_like(history, dtype=torch.bool), resets], dim=1).cumsum(1)
    keys: dict[int, Tensor] = {}
    key: Tensor = mix(ids)
    for back in range(1, max(orders)):
        columns = slice(context - back, context - back + steps)
        token = joined[:, columns]
        if resets is not None:
            token = torch.where(sequence[:, columns] == sequence[:, context:], token, 0)
        key = mix(key ^ token)
        if back + 1 in orders:
            keys[back + 1] = key
    last_ids = joined[:, steps:]
    if resets is not None:
        last_ids = torch.where(sequence[:, steps:] == sequence[:, -1:], last_ids, 0)
    return keys, last_ids
