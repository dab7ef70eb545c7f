"""The layout of a batch's real steps: rows sorted by length, packed step by step, read in either direction.

Axes: B batch, R non-empty rows, T time, N real steps of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from rekur.scan.gather import put, take


class Places(NamedTuple):
    """The indices of the steps of a ragged batch.

    Attributes:
        sizes: number of active rows at each step, falling.
        order: the original index of each of the R non-empty rows, longest first.
        position: the index b·T + t in the padded batch of each packed step.
        previous: the index of the previous step of each packed step after its row's first.
        last: the index of each row's last step (R,).
    """

    sizes: list[int]
    order: Tensor
    position: Tensor
    previous: Tensor
    last: Tensor


@dataclass(frozen=True)
class Plan:
    """The layout of a batch in one tensor (N, …): step 0 of all rows, then step 1 of all rows, and so on.

    The rows are sorted by falling length, so that the active rows of a step are always the first ones, and ended rows
    cost nothing. Without lengths the layout is (T, B, …).

    Attributes:
        batch_size: B.
        steps: T of the padded batch.
        lengths: int64 (B,) on the CPU, in [0, T], at least one of them positive; None if every row has T steps.
        device: the device of the batch.
        reverse: whether each row is read from its last real step to its first.
    """

    batch_size: int
    steps: int
    lengths: Tensor | None = None
    device: torch.device | None = None
    reverse: bool = False

    @cached_property
    def _ragged(self) -> Places | None:
        return None if self.lengths is None else _places(self.lengths, self.steps, self.device, self.reverse)

    @cached_property
    def sizes(self) -> list[int]:
        """Number of active rows at each step, falling."""
        return [self.batch_size] * self.steps if self._ragged is None else self._ragged.sizes

    @property
    def order(self) -> Tensor | None:
        """Original index of each non-empty row (R,), longest first; None without lengths."""
        return None if self._ragged is None else self._ragged.order

    @property
    def index(self) -> Tensor | None:
        """Index b·T + t in the padded batch of each packed step (N,); None without lengths."""
        return None if self._ragged is None else self._ragged.position

    @property
    def previous(self) -> Tensor | None:
        """Index of the previous step of each packed step after its row's first; None without lengths."""
        return None if self._ragged is None else self._ragged.previous

    @property
    def last(self) -> Tensor | None:
        """Index of each row's last step (R,); None without lengths."""
        return None if self._ragged is None else self._ragged.last

    @property
    def rows(self) -> int:
        """Number of non-empty rows R."""
        return self.sizes[0]

    @property
    def longest(self) -> int:
        """Number of steps of the longest row."""
        return len(self.sizes)

    def pack(self, x: Tensor) -> Tensor:
        """Return the real steps (N, …) of x: (T, B, …) without lengths, else (B, T, …)."""
        if self.index is None:
            return x.reshape(-1, *x.shape[2:])
        return take(x.reshape(-1, *x.shape[2:]), self.index)

    def unpack(self, packed: Tensor) -> Tensor:
        """Return ``packed`` in the layout of :meth:`pack`'s argument, with zeros in the padding."""
        if self.index is None:
            return packed.view(self.steps, self.batch_size, *packed.shape[1:])
        flat = put(packed, self.index, self.batch_size * self.steps)
        return flat.view(self.batch_size, self.steps, *packed.shape[1:])

    def turned(self, x: Tensor) -> Tensor:
        """Return x (B, T, …) without lengths in reading order, or convert it back."""
        return x.flip(1) if self.reverse else x

    def layout(self, x: Tensor) -> Tensor:
        """Return x (B, T, …) in the layout of :meth:`pack`'s argument."""
        return x if self.lengths is not None else self.turned(x).transpose(0, 1)

    def restore(self, x: Tensor) -> Tensor:
        """Return a result of :meth:`layout` or :meth:`unpack` as (B, T, …)."""
        return x if self.lengths is not None else self.turned(x.transpose(0, 1))

    def places(self) -> Tensor:
        """Return the index t·R + r of each packed step in a time-major batch (T, R) of the non-empty rows."""
        starts = range(0, self.longest * self.rows, self.rows)
        places = [torch.arange(start, start + size) for start, size in zip(starts, self.sizes, strict=True)]
        return torch.cat(places).to(self.device)

    def take_rows(self, state: Tensor) -> Tensor:
        """Return the non-empty rows (R, …) of a state (B, …), longest first."""
        return state if self.order is None else state.index_select(0, self.order)

    def put_rows(self, state: Tensor, rows: Tensor) -> Tensor:
        """Return ``state`` (B, …) with its non-empty rows replaced by ``rows`` (R, …)."""
        return rows if self.order is None else state.index_copy(0, self.order, rows)

    def at_last(self, packed: Tensor) -> Tensor:
        """Return the value (R, …) at each row's last step."""
        if self.last is None:
            return packed[-self.batch_size :].clone()
        return packed.index_select(0, self.last)

    def add_at_last(self, packed: Tensor, rows: Tensor) -> None:
        """Add ``rows`` (R, …) to each row's last step, in place."""
        if self.last is None:
            packed[-self.batch_size :] += rows
        else:
            packed.index_add_(0, self.last, rows)

    def each(self, packed: Tensor) -> list[Tensor]:
        """Return the steps of ``packed`` (N, …) as views (rows active at that step, …)."""
        if self.index is None:
            return list(torch.unflatten(packed, 0, (self.steps, self.batch_size)).unbind(0))
        return list(torch.split(packed, self.sizes))

    def going_on(self, each: list[Tensor]) -> list[Tensor]:
        """Return for each step except the last the rows that have a next step."""
        if self.index is None:
            return each[:-1]
        sizes = self.sizes
        return [step if sizes[t] == sizes[t + 1] else step[: sizes[t + 1]] for t, step in enumerate(each[:-1])]

    def active(self, rows: Tensor) -> list[Tensor]:
        """Return for each step the active rows of one tensor (R, …), as views."""
        if self.index is None:
            return [rows] * self.steps
        views = {size: rows[:size] for size in set(self.sizes)}
        return [views[size] for size in self.sizes]

    def spread(self, rows: Tensor) -> Tensor:
        """Return one tensor (R, …) repeated for every real step, (N, …)."""
        return torch.cat(self.active(rows))

    def total(self, packed: Tensor) -> Tensor:
        """Return the sum over each row's steps, (R, …)."""
        if self.index is None:
            return torch.unflatten(packed, 0, (self.steps, self.batch_size)).sum(0)
        sums = torch.zeros_like(packed[: self.rows])
        for into, step in zip(self.active(sums), self.each(packed), strict=True):
            into += step
        return sums

    def shifted(self, first: Tensor, packed: Tensor) -> Tensor:
        """Return the value of each step's previous step (N, …), with ``first`` (R, …) for the first steps."""
        earlier = packed[: -self.rows] if self.previous is None else packed.index_select(0, self.previous)
        return torch.cat([first, earlier])

    def outer_shifted(self, left: Tensor, first: Tensor, packed: Tensor) -> Tensor:
        """Return the sum over all steps of left_t ⊗ packed_{t-1}, with ``first`` (R, …) for the first steps."""
        rows = self.rows
        earlier = packed[:-rows] if self.previous is None else packed.index_select(0, self.previous)
        return torch.addmm(left[:rows].t() @ first, left[rows:].t(), earlier)


def whole_plan(batch_size: int, steps: int, *, reverse: bool = False) -> Plan:
    """Return the plan of a batch in which all rows have ``steps`` steps; both arguments are at least 1."""
    return Plan(batch_size, steps, reverse=reverse)


def ragged_plan(lengths: Tensor, steps: int, device: torch.device, *, reverse: bool = False) -> Plan:
    """Return the plan of a padded batch.

    Args:
        lengths: int64 (B,) on the CPU, in [0, steps], at least one of them positive.
        steps: T of the padded batch.
        device: the device of the batch.
        reverse: whether each row is read from its last real step to its first.
    """
    return Plan(len(lengths), steps, lengths, device, reverse)


def _places(lengths: Tensor, steps: int, device: torch.device | None, reverse: bool) -> Places:
    order = torch.argsort(lengths, descending=True, stable=True)
    order = order[: int((lengths > 0).sum())]
    ordered = lengths[order]
    alive = torch.arange(int(ordered[0]))[:, None] < ordered
    sizes = alive.sum(1)
    starts = sizes.cumsum(0) - sizes
    step, row = alive.nonzero(as_tuple=True)
    time = ordered[row] - 1 - step if reverse else step
    later = step > 0
    return Places(
        sizes=sizes.tolist(),
        order=order.to(device),
        position=(order[row] * steps + time).to(device),
        previous=(starts[step[later] - 1] + row[later]).to(device),
        last=(starts[ordered - 1] + torch.arange(len(order))).to(device),
    )
