"""What followed the last few tokens when they stood in the sequence before: names and phrases that come again.

Axes: B batch, T time, J lengths of runs, S slots of the memory of each, n tokens of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rekur import _check
from rekur.errors import InputError, describe
from rekur.nn.ngram import check_orders, run_keys


class RecallState(NamedTuple):
    """What is remembered of a sequence.

    Attributes:
        before: the last token ids, int64 (B, n).
        memory: a token that followed, with the mark of the run it followed, 0 where none did, int64 (B, J, S).
    """

    before: Tensor
    memory: Tensor


class Recall(nn.Module):
    r"""The token that followed the run of n tokens that ends at a step, when that run stood in the sequence last.

    .. math:: r^n_t = x_{s+1}, \quad s = \max\{s < t : x_{s-n+1}, \dots, x_s = x_{t-n+1}, \dots, x_t\}

    It is 0 where the run did not stand there yet. A run is kept in one of S slots, in place of the one that was there,
    so that the memory of a sequence has one size whatever its length, and a look-up takes the same time.

    Args:
        orders: lengths n of the runs, each 2 to 16.
        slots: slots S for the runs of each length, a power of 2, 2 to 2**20; default 4096.

    Reference:
        Grave et al., Improving Neural Language Models with a Continuous Cache, 2017, which looks up hidden states;
        the match model of Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression, 2005.

    Example:
        >>> recall = Recall(orders=(2,), slots=64)
        >>> found, state = recall(torch.tensor([[5, 6, 7, 5, 6]]), recall.initial_state(1))
        >>> found[0, :, 0].tolist()
        [0, 0, 0, 0, 7]
    """

    def __init__(self, *, orders: Sequence[int], slots: int = 4096) -> None:
        super().__init__()
        self.orders = check_orders(orders)
        self.slots = check_slots(slots)

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> RecallState:
        """Return what is remembered before the first step: nothing."""
        before = torch.zeros(batch_size, max(self.orders), dtype=torch.int64, device=device)
        memory = torch.zeros(batch_size, len(self.orders), self.slots, dtype=torch.int64, device=device)
        return RecallState(before, memory)

    def forward(self, ids: Tensor, state: RecallState, resets: Tensor | None = None) -> tuple[Tensor, RecallState]:
        """Return what followed each run last (B, T, J), 0 for nothing, and what is remembered behind the steps.

        Args:
            ids: token ids, (B, T).
            state: what is remembered before the first step.
            resets: True where a sequence begins, so that nothing before it is seen, (B, T); None for nowhere.
        """
        keys, before = run_keys(ids, state.before, self.orders, resets)
        earlier = run_keys(state.before, torch.zeros_like(state.before), self.orders, None)[0]
        borders = torch.zeros_like(ids, dtype=torch.bool) if resets is None else resets
        nothing = run_keys(torch.zeros_like(ids[:1, :1]), torch.zeros_like(state.before[:1]), self.orders, None)[0]
        sequence = borders.cumsum(1)
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        memory = state.memory.clone()
        memory[borders.any(1)] = 0
        found = []
        for place, order in enumerate(self.orders):
            written = torch.cat([earlier[order][:, -1:], keys[order][:, :-1]], dim=1)
            written = torch.where(borders, nothing[order], written)
            slots, entries = self.slot(written), entry(written, ids)
            looked = self.slot(keys[order])
            kept = torch.where(sequence == 0, state.memory[:, place].gather(1, looked), 0)
            seen, last = _latest(entries, slots + self.slots * rows, looked + self.slots * rows, sequence, kept)
            memory[rows.expand_as(ids).flatten()[last], place, slots.flatten()[last]] = entries.flatten()[last]
            found.append(torch.where(seen >> 32 == mark(keys[order]), seen & 0xFFFFFFFF, 0))
        return torch.stack(found, -1), RecallState(before, memory)

    def slot(self, keys: Tensor) -> Tensor:
        """Return the slots in which runs with these keys are kept."""
        return (keys >> 12) & (self.slots - 1)


def _latest(entries: Tensor, writes: Tensor, reads: Tensor, sequence: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each step finds in a slot (B, T), where each first writes into one, and the writings that stay.

    Args:
        entries: what each step writes, (B, T).
        writes: the slots into which it does, (B, T).
        reads: those from which it reads, (B, T).
        sequence: how many sequences began in the chunk up to each step, (B, T).
        kept: what is found where none wrote, (B, T).
    """
    places = torch.stack([writes, reads], -1).flatten()
    group = places + (int(places.max()) + 1) * sequence.repeat_interleave(2, 1).flatten()
    ordered, index = group.sort(stable=True)  # of each slot, step after step, its writing before its reading
    steps, is_write = index // 2, index % 2 == 0
    latest = torch.where(is_write, torch.arange(len(index), device=index.device), -1).cummax(0).values
    known = ~is_write & (latest >= 0) & (ordered[latest] == ordered)
    seen = kept.flatten()
    seen[steps[known]] = entries.flatten()[steps[latest[known]]]
    writings = torch.nonzero(is_write).flatten()
    stays = torch.ones_like(writings, dtype=torch.bool)
    stays[:-1] = ordered[writings[:-1]] != ordered[writings[1:]]
    last = steps[writings[stays]]
    return seen.view_as(kept), last[(sequence == sequence[:, -1:]).flatten()[last]]


def mark(keys: Tensor) -> Tensor:
    """Return the numbers of 31 bits by which runs with these keys are known again."""
    return (keys >> 33) & 0x7FFFFFFF


def entry(keys: Tensor, ids: Tensor) -> Tensor:
    """Return what is kept of runs with these keys and of the tokens that followed them."""
    return (mark(keys) << 32) | ids


def check_slots(slots: int) -> int:
    """Return a number of slots if it can be."""
    count = _check.whole("recall_slots", slots, low=2, high=2**20)
    if count & (count - 1):
        raise InputError(describe("recall_slots", count, "a power of 2", f"Take {1 << count.bit_length()}."))
    return count
