"""Training on long recordings: chunks of lanes side by side, with the state carried from chunk to chunk.

Axes: B lanes, T steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from rekur.data.batch import collate
from rekur.data.pieces import Lanes, Part
from rekur.data.ragged import Ragged
from rekur.models.batch import Batch
from rekur.tasks.base.plan import FitPlan

#: steps between two evaluations at most
MOST_STEPS = 2_000


class StreamPlan(FitPlan):
    """Chunks of the training items with the state carried between them, and scores on the validation items.

    Args:
        lanes: the training items as lanes.
        late: steps by which outputs come late.
        layout: the structure of a state.
        rest: as of :class:`FitPlan`.
    """

    def __init__(self, *rest: Any, lanes: Lanes, late: int, layout: Any, **named: Any) -> None:
        super().__init__(*rest, **named)
        self._lanes, self._late, self._layout = lanes, late, layout
        self._state: Any = None
        self.steps_per_epoch = len(lanes)
        self.evaluate_every = min(len(lanes), MOST_STEPS)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's lanes of the chunks of one epoch, from number ``start`` on."""
        size = self._lanes.count // self._place.size
        for chunk in self._lanes.epoch(epoch, start):
            ours = chunk[self._place.rank * size : (self._place.rank + 1) * size]
            self._counted = sum(part.length for part, _ in ours)
            yield self._batch([part for part, _ in ours], [begins for _, begins in ours])

    def _batch(self, parts: list[Part], begins: list[bool]) -> Batch:
        """Return the batch of parts of items; a target stands at the step at which its output comes."""
        items, starts, lengths = np.array([(self._train.rows[part.item], *part[1:]) for part in parts], np.int64).T
        every = np.arange(len(parts))
        padded = {
            name: collate(rows.parts(items, starts, lengths), every)[0] for name, rows in self._train.inputs.items()
        }
        if not lengths.any():  # all lanes of this process have ended, and those of another have not: a step of padding
            padded = {name: np.zeros((len(parts), 1, *x.shape[2:]), x.dtype) for name, x in padded.items()}
        targets, leads = self._train.targets, np.where(begins, 0, np.minimum(starts, self._late))
        no_target = self.measure.target.no_target
        if not isinstance(targets, Ragged) or no_target is None:
            raise TypeError("a plan of streams needs a target at each step, which states what stands for none")
        wide, _ = collate(targets.parts(items, starts - leads, lengths + leads), every)
        steps = int(lengths.max(initial=1))
        late = np.full((len(parts), steps, *wide.shape[2:]), no_target, wide.dtype)
        for row, (length, lead) in enumerate(zip(lengths, leads, strict=True)):
            room = self._late - lead  # steps at the start of an item, whose outputs mean nothing
            count = max(0, length - room)
            late[row, room : room + count] = wide[row, :count]
        weights = (
            None if self._train.weights is None else torch.from_numpy(self._train.weights[items].astype(np.float32))
        )
        return Batch(
            {name: torch.from_numpy(x) for name, x in padded.items()},
            torch.from_numpy(lengths),
            torch.from_numpy(late),
            weights,
            (torch.tensor(begins), None),
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a chunk, and carry the state on without its gradient."""
        begins = None if batch.state is None else batch.state[0]
        _, loss, self._state = model(batch._replace(state=(cast(Tensor, begins), self._state)))
        mean: Tensor = loss
        return mean

    def largest_batch(self) -> tuple[int, int]:
        """Return the lanes and the steps of a chunk."""
        return self._lanes.count // self._place.size, self._lanes.chunk

    def get_state(self) -> dict[str, Tensor]:
        """Return the carried state as named tensors (B, …)."""
        leaves = [] if self._state is None else _pytree.tree_leaves(self._state)
        return {f"{number:03d}": leaf for number, leaf in enumerate(leaves)}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`get_state` returned.

        Nothing is the state before the first chunk, and so is a state of another number of lanes, as other processes
        have it.
        """
        self._state, count = None, self._lanes.count // self._place.size
        if state and all(len(rows) == count for rows in state.values()):
            self._state = _pytree.tree_unflatten([state[name] for name in sorted(state)], self._layout)
