"""Both directions of a layer over one batch, in parallel if that is faster, each on half of the threads.

Axes: B batch, T time, D input features, O output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rekur.scan import native
from rekur.scan.bptt import directions
from rekur.scan.check import check_input, check_lengths, check_state
from rekur.scan.choose import choose
from rekur.scan.layout import BATCH_FIRST, Layout
from rekur.scan.plan import Plan, ragged_plan, whole_plan
from rekur.scan.precision import full_precision, to_weights
from rekur.scan.run import as_state, prepare_cell, scan
from rekur.scan.watch import plain, watcher

State = tuple[Tensor, ...]


def scan_both(
    cells: tuple[Any, Any],
    x: Tensor,
    states: Sequence[State | None] = (None, None),
    *,
    lengths: Tensor | None = None,
    path: str = "auto",
    layout: Layout = BATCH_FIRST,
) -> tuple[tuple[Tensor, State], tuple[Tensor, State]]:
    """Run one cell forwards and another backwards through time, with the results of two calls of ``rekur.scan.scan``.

    If both are of one kind and run on the compiled kernels, they run in parallel, unless one direction's weights exceed
    the cache.

    Args:
        cells: the forward cell, and the backward cell, which starts at each row's last real step.
        x: inputs (B, T, D).
        states: the initial state of each.
        lengths: int64 (B,), the real steps of each row; None if every row has T.
        path: as in :func:`rekur.scan.scan`.
        layout: the axes of the results.

    Returns:
        for each cell its outputs (B, T, O) and the state after the last step that it read.

    Example:
        >>> from rekur.cells import GRU
        >>> (ahead, _), (back, _) = scan_both((GRU(3, 5), GRU(3, 5)), torch.ones(2, 4, 3))
        >>> ahead.shape, back.shape
        (torch.Size([2, 4, 5]), torch.Size([2, 4, 5]))
    """
    plans = None
    if not watcher((x,)) and torch.get_num_threads() > 1:
        for cell in cells:
            check_input(cell, x)
        plans = _plans(cells, x, None if lengths is None else check_lengths(lengths, x), path)
    if plans is not None:
        inputs = to_weights(cells[0], x)
        states_before = []
        for cell, state in zip(cells, states, strict=True):
            states_before.append(tuple(s.to(inputs.dtype) for s in check_state(cell, x, state)))
        with full_precision(inputs):
            prepared = [
                prepare_cell(cell, "native", inputs, start) for cell, start in zip(cells, states_before, strict=True)
            ]
        if all(plain(operands) for _, operands in prepared):
            (y, h), (y_back, h_back) = directions(prepared, inputs, plans, layout)
            return (y, as_state(h, states_before[0])), (y_back, as_state(h_back, states_before[1]))
    how: Any = {"lengths": lengths, "path": path, "layout": layout}
    return scan(cells[0], x, states[0], **how), scan(cells[1], x, states[1], reverse=True, **how)


def beside(ahead: Tensor, back: Tensor) -> Tensor:
    """Return the concatenated outputs of both directions, in their own dtype even under autocast."""
    with full_precision(ahead):
        return torch.cat((ahead, back), dim=-1)


def _plans(cells: tuple[Any, Any], x: Tensor, lengths: Tensor | None, path: str) -> tuple[Plan, Plan] | None:
    """Return the plan of each direction; None if the two cannot run in parallel."""
    if x.shape[0] == 0 or x.shape[1] == 0 or (lengths is not None and not bool(lengths.any())):
        return None
    kinds = {(cell.kind, getattr(getattr(cell, "cell", None), "kind", "")) for cell in cells}
    if len(kinds) > 1 or not native.plain(cells[0]):
        return None
    inputs = to_weights(cells[0], x)
    if any(choose(cell, inputs, lengths, path=path).path != "native" for cell in cells):
        return None
    if lengths is None or bool((lengths == x.shape[1]).all()):
        return whole_plan(x.shape[0], x.shape[1]), whole_plan(x.shape[0], x.shape[1], reverse=True)
    ahead = ragged_plan(lengths, x.shape[1], x.device)
    return ahead, ragged_plan(lengths, x.shape[1], x.device, reverse=True)
