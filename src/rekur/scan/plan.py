"""Where every real step of a batch stands: sorted by length, packed time step by time step, read in either direction.

Axes: B batch, R rows that have at least one step, T time, N real steps of the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from rekur.scan.gather import put, take


class Places(NamedTuple):
    """Where the steps of a ragged batch stand.

    Attributes:
        sizes: rows active at each step, falling.
        order: the original number of each of the R rows that have a step, longest first.
        place: for each packed step where it stands, b·T + t, in the padded batch.
        previous: for each packed step after its row's first, the place of the step before it.
        last: the place of each row's last step (R,).
    """

    sizes: list[int]
    order: Tensor
    place: Tensor
    previous: Tensor
    last: Tensor


@dataclass(frozen=True)
class Plan:
    """How the rows of a batch are laid out as one tensor (N, …): all rows' first steps, all second steps, and so on.

    The rows stand in order of falling length, so that the rows still active at a step are always the first ones,
    and a row that ended costs nothing. Without lengths the layout is that of (T, B, …).

    Attributes:
        batch_size: B.
        steps: T of the padded batch.
        lengths: int64 (B,) on the CPU, in [0, T], at least one of them positive; None where every row has T steps.
        device: where the batch is.
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
        """Return the rows active at each step, falling."""
        return [self.batch_size] * self.steps if self._ragged is None else self._ragged.sizes

    @property
    def order(self) -> Tensor | None:
        """Return the original number of each row that has a step (R,), longest first; None for all as they are."""
        return None if self._ragged is None else self._ragged.order

    @property
    def index(self) -> Tensor | None:
        """Return for each packed step its place b·T + t in the padded batch (N,); None for (T, B)."""
        return None if self._ragged is None else self._ragged.place

    @property
    def previous(self) -> Tensor | None:
        """Return for each packed step after its row's first the place of the step before it; None for (T, B)."""
        return None if self._ragged is None else self._ragged.previous

    @property
    def last(self) -> Tensor | None:
        """Return the place of each row's last step (R,); None for (T, B)."""
        return None if self._ragged is None else self._ragged.last

    @property
    def rows(self) -> int:
        """Return R, the rows that have at least one step."""
        return self.sizes[0]

    @property
    def longest(self) -> int:
        """Return the steps of the longest row."""
        return len(self.sizes)

    def pack(self, x: Tensor) -> Tensor:
        """Return the real steps (N, …) of x, which is (T, B, …) without lengths, else (B, T, …)."""
        if self.index is None:
            return x.reshape(-1, *x.shape[2:])
        return take(x.reshape(-1, *x.shape[2:]), self.index)

    def unpack(self, packed: Tensor) -> Tensor:
        """Return ``packed`` in the layout that :meth:`pack` takes, zero where there is no real step."""
        if self.index is None:
            return packed.view(self.steps, self.batch_size, *packed.shape[1:])
        flat = put(packed, self.index, self.batch_size * self.steps)
        return flat.view(self.batch_size, self.steps, *packed.shape[1:])

    def turned(self, x: Tensor) -> Tensor:
        """Return x (B, T, …), of rows that all have T steps, in the order in which it is read; or that as it was."""
        return x.flip(1) if self.reverse else x

    def layout(self, x: Tensor) -> Tensor:
        """Return x of (B, T, …) in the layout that :meth:`pack` takes."""
        return x if self.lengths is not None else self.turned(x).transpose(0, 1)

    def restore(self, x: Tensor) -> Tensor:
        """Return what :meth:`layout` or :meth:`unpack` gave as (B, T, …)."""
        return x if self.lengths is not None else self.turned(x.transpose(0, 1))

    def places(self) -> Tensor:
        """Return for each packed step its place t·R + r in a time-major batch (T, R) of the rows that have a step."""
        starts = range(0, self.longest * self.rows, self.rows)
        places = [torch.arange(start, start + size) for start, size in zip(starts, self.sizes, strict=True)]
        return torch.cat(places).to(self.device)

    def take_rows(self, state: Tensor) -> Tensor:
        """Return the rows (R, …) of a state (B, …) that have a step, longest first."""
        return state if self.order is None else state.index_select(0, self.order)

    def put_rows(self, state: Tensor, rows: Tensor) -> Tensor:
        """Return ``state`` (B, …) with the rows that have a step replaced by ``rows`` (R, …)."""
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
        """Return, of all steps but the last, the rows that have a next step."""
        if self.index is None:
            return each[:-1]
        sizes = self.sizes
        return [step if sizes[t] == sizes[t + 1] else step[: sizes[t + 1]] for t, step in enumerate(each[:-1])]

    def active(self, rows: Tensor) -> list[Tensor]:
        """Return for each step the rows of one tensor (R, …) that are active, as views of it."""
        if self.index is None:
            return [rows] * self.steps
        views = {size: rows[:size] for size in set(self.sizes)}
        return [views[size] for size in self.sizes]

    def spread(self, rows: Tensor) -> Tensor:
        """Return one tensor (R, …) repeated for every step at which each row is active, (N, …)."""
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
        """Return the value of each step's previous step (N, …), with ``first`` (R, …) before the first one."""
        earlier = packed[: -self.rows] if self.previous is None else packed.index_select(0, self.previous)
        return torch.cat([first, earlier])

    def outer_shifted(self, left: Tensor, first: Tensor, packed: Tensor) -> Tensor:
        """Return the sum over all steps of left_t ⊗ packed_{t-1}, with ``first`` (R, …) before the first step."""
        rows = self.rows
        earlier = packed[:-rows] if self.previous is None else packed.index_select(0, self.previous)
        return torch.addmm(left[:rows].t() @ first, left[rows:].t(), earlier)


def whole_plan(batch_size: int, steps: int, *, reverse: bool = False) -> Plan:
    """Return the plan of a batch whose rows all have ``steps`` steps; both are at least 1."""
    return Plan(batch_size, steps, reverse=reverse)


def ragged_plan(lengths: Tensor, steps: int, device: torch.device, *, reverse: bool = False) -> Plan:
    """Return the plan of a padded batch.

    Args:
        lengths: int64 (B,) on the CPU, in [0, steps], at least one of them positive.
        steps: T of the padded batch.
        device: where the batch is.
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
        place=(order[row] * steps + time).to(device),
        previous=(starts[step[later] - 1] + row[later]).to(device),
        last=(starts[ordered - 1] + torch.arange(len(order))).to(device),
    )
