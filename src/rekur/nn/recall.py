"""Recall: the token that followed the last occurrence of the current run of tokens, for repeated names and phrases.

Axes: B batch, T time, J orders (lengths of runs), S slots of memory for each order, n tokens of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rekur import _check, _ids
from rekur._kernels import kernels
from rekur.nn.ngram import check_orders, run_keys
from rekur.scan.watch import watcher


class RecallState(NamedTuple):
    """The state of a recall.

    Attributes:
        before: the last token ids, int64 (B, n).
        memory: entries of a run's mark and the token that followed it, 0 for an empty slot, int64 (B, J, S).
    """

    before: Tensor
    memory: Tensor


class Recall(nn.Module):
    r"""For each step, the token that followed the last occurrence of the run of n tokens that ends there.

    .. math:: r^n_t = x_{s+1}, \quad s = \max\{s < t : x_{s-n+1}, \dots, x_s = x_{t-n+1}, \dots, x_t\}

    It is 0 for a run without an earlier occurrence. A run is stored in one of S slots and replaces the previous entry,
    so that memory and time of a lookup do not grow with the length of a sequence.

    Args:
        orders: lengths n of the runs, each 2 to 16.
        slots: slots S for the runs of each length, a power of 2, 2 to 2**20; default 4096.

    Reference:
        Grave et al., Improving Neural Language Models with a Continuous Cache, 2017, which looks up hidden states;
        the match model of Mahoney, Adaptive Weighing of Context Models for Lossless Data Compression, 2005.

    Example:
        >>> recall = Recall(orders=(2,), slots=64)
        >>> followers, state = recall(torch.tensor([[5, 6, 7, 5, 6]]), recall.initial_state(1))
        >>> followers[0, :, 0].tolist()
        [0, 0, 0, 0, 7]
    """

    def __init__(self, *, orders: Sequence[int], slots: int = 4096) -> None:
        super().__init__()
        self.orders = check_orders(orders)
        self.slots = _check.slots("recall_slots", slots)

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> RecallState:
        """Return the initial state: an empty memory."""
        last_ids = torch.zeros(batch_size, max(self.orders), dtype=torch.int64, device=device)
        memory = torch.zeros(batch_size, len(self.orders), self.slots, dtype=torch.int64, device=device)
        return RecallState(last_ids, memory)

    def forward(self, ids: Tensor, state: RecallState, resets: Tensor | None = None) -> tuple[Tensor, RecallState]:
        """Return the last follower of each run (B, T, J), 0 for none, and the state after the steps.

        Args:
            ids: token ids, (B, T).
            state: the state before the first step.
            resets: True at the start of a sequence, which hides earlier ids, (B, T); None for no resets.
        """
        if kernels is not None and ids.device.type == "cpu" and not watcher((ids, *state, resets)):
            return self._compiled(ids, state, resets)
        if not ids.numel():
            return ids.new_zeros(*ids.shape, len(self.orders)), state
        keys, last_ids = run_keys(ids, state.before, self.orders, resets)
        earlier = run_keys(state.before, torch.zeros_like(state.before), self.orders, None)[0]
        borders = torch.zeros_like(ids, dtype=torch.bool) if resets is None else resets
        nothing = run_keys(torch.zeros_like(ids[:1, :1]), torch.zeros_like(state.before[:1]), self.orders, None)[0]
        sequence = borders.cumsum(1)
        rows = torch.arange(len(ids), device=ids.device)[:, None]
        memory = state.memory.clone()
        memory[borders.any(1)] = 0
        followers = []
        for index, order in enumerate(self.orders):
            written = torch.cat([earlier[order][:, -1:], keys[order][:, :-1]], dim=1)
            written = torch.where(borders, nothing[order], written)
            slots, entries = self.slot(written), _ids.entry(written, ids)
            looked = self.slot(keys[order])
            carried = torch.where(sequence == 0, state.memory[:, index].gather(1, looked), 0)
            seen, last = _latest(entries, slots + self.slots * rows, looked + self.slots * rows, sequence, carried)
            memory[rows.expand_as(ids).flatten()[last], index, slots.flatten()[last]] = entries.flatten()[last]
            followers.append(torch.where(seen >> 32 == _ids.mark(keys[order]), seen & 0xFFFFFFFF, 0))
        return torch.stack(followers, -1), RecallState(last_ids, memory)

    def _compiled(self, ids: Tensor, state: RecallState, resets: Tensor | None) -> tuple[Tensor, RecallState]:
        """Return what ``forward`` does, from the compiled kernel, one step after another."""
        history, memory = (tensor.long().contiguous() for tensor in state)
        followers = history.new_empty(*ids.shape, len(self.orders))
        new = RecallState(torch.empty_like(history), torch.empty_like(memory))
        batch = {
            "orders": list(self.orders),
            "rows": ids.shape[0],
            "steps": ids.shape[1],
            "slots": self.slots,
            "ids": ids.long().contiguous(),
            "history": history,
            "old_memory": memory,
            "resets": None if resets is None else resets.contiguous().view(torch.uint8),
            "followers": followers,
            "new_history": new.before,
            "new_memory": new.memory,
        }
        kernels.recall(batch, torch.get_num_threads())
        return followers, new

    def slot(self, keys: Tensor) -> Tensor:
        """Return the slots of runs with these keys."""
        slots: Tensor = _ids.slot(keys, self.slots)
        return slots


def _latest(entries: Tensor, writes: Tensor, reads: Tensor, sequence: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entry that each step reads (B, T), and the steps whose writes remain; each step writes, then reads.

    Args:
        entries: the entry that each step writes, (B, T).
        writes: the slots of these writes, (B, T).
        reads: the slots of the reads, (B, T).
        sequence: how many sequences have started in the chunk up to each step, (B, T).
        carried: the entries for slots without a write in the chunk, (B, T).
    """
    slots = torch.stack([writes, reads], -1).flatten()
    group = slots + (int(slots.max()) + 1) * sequence.repeat_interleave(2, 1).flatten()
    ordered, index = group.sort(stable=True)  # by slot, then in order of time, each step's write before its read
    steps, is_write = index // 2, index % 2 == 0
    latest = torch.where(is_write, torch.arange(len(index), device=index.device), -1).cummax(0).values
    written = ~is_write & (latest >= 0) & (ordered[latest] == ordered)
    seen = carried.flatten()
    seen[steps[written]] = entries.flatten()[steps[latest[written]]]
    writings = torch.nonzero(is_write).flatten()
    stays = torch.ones_like(writings, dtype=torch.bool)
    stays[:-1] = ordered[writings[:-1]] != ordered[writings[1:]]
    last = steps[writings[stays]]
    return seen.view_as(carried), last[(sequence == sequence[:, -1:]).flatten()[last]]
