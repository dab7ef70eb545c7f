"""The one entry: run a cell over a batch of sequences, by whichever scan can.

Axes: B batch, T time, D input features, O output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rekur._check import flag
from rekur.scan import native, native_variants
from rekur.scan.bptt import KINDS, Prepared, bptt, prepare
from rekur.scan.check import check_input, check_lengths, check_state
from rekur.scan.choose import choose, drops_in_product, is_linear
from rekur.scan.linear import linear_scan
from rekur.scan.loop import loop
from rekur.scan.operator import operate
from rekur.scan.plan import ragged_plan, whole_plan
from rekur.scan.precision import full_precision, to_weights
from rekur.scan.reverse import reverse_rows
from rekur.scan.vendor import vendor

State = tuple[Tensor, ...]

#: the scans that are written out by hand, and how they prepare each kind of cell
_BY_HAND = {"bptt": KINDS, "native": native.KINDS}


def scan(
    cell: Any,
    x: Tensor,
    state: State | None = None,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    path: str = "auto",
) -> tuple[Tensor, State]:
    r"""Run a cell through time.

    .. math:: y_{b,t},\, s_{b,t} = \mathrm{step}(x_{b,t},\, s_{b,t-1}) \quad \text{for } t = 1 \dots length_b

    What stands in the padding is never looked at. Under ``torch.autocast`` the states and all that runs step by step
    stay in the dtype of the cell's weights, in which outputs and states are given.

    Args:
        cell: a :class:`rekur.cells.Cell`.
        x: inputs (B, T, D); T may be 0.
        state: the state before the first step, each tensor (B, …); None for ``cell.initial_state``.
        lengths: int64 (B,), the real steps of each row, in [0, T], on any device; None where every row has T.
        reverse: read each row from its own last real step to its first; outputs stay where their inputs are.
        path: "auto", or the name of a scan: "loop", "native", "bptt", "sequential", "chunked", "associative", "vendor".

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last step read; that of
        a row without steps is its initial state.

    Raises:
        ShapeError: x, lengths or a tensor of the state of a wrong shape.
        InputError: a wrong dtype or device, a length out of range, an unknown path, or one that cannot run this cell.

    Example:
        >>> import torch
        >>> from rekur.cells import GRU
        >>> y, (h,) = scan(GRU(3, 5), torch.ones(2, 4, 3), lengths=torch.tensor([4, 2]))
        >>> y.shape, bool((y[1, 2:] == 0).all()), bool((h[1] == y[1, 1]).all())
        (torch.Size([2, 4, 5]), True, True)
    """
    check_input(cell, x)
    compiling = torch.compiler.is_compiling()
    x = to_weights(cell, x)
    before = tuple(s.to(x.dtype) for s in check_state(cell, x, state))
    backwards = flag("reverse", reverse)
    real = lengths if compiling else _real_steps(lengths, x)
    chosen = choose(cell, x, real, path=path).path
    by_hand = chosen in _BY_HAND and not is_linear(cell)
    if compiling and by_hand and x.shape[0] and x.shape[1]:
        return _as_operator(cell, chosen, x, before, real, backwards)  # looks at the lengths when it runs
    real = _real_steps(real, x) if compiling else real
    if x.shape[0] == 0 or x.shape[1] == 0 or (real is not None and not bool(real.any())):
        return x.new_zeros(x.shape[0], x.shape[1], cell.output_size), before
    if chosen == "loop":
        turned = reverse_rows(x, real) if backwards else x
        y, after = loop(cell, turned, before, real)
        return (reverse_rows(y, real) if backwards else y), after
    if real is None:
        return _run(cell, chosen, x, before, whole_plan(x.shape[0], x.shape[1], reverse=backwards))
    return _run(cell, chosen, x, before, ragged_plan(real, x.shape[1], x.device, reverse=backwards))


def _real_steps(lengths: Tensor | None, x: Tensor) -> Tensor | None:
    """Return the lengths, checked; None where every row has all T steps."""
    checked = None if lengths is None else check_lengths(lengths, x)
    return None if checked is None or bool((checked == x.shape[1]).all()) else checked


def _run(cell: Any, chosen: str, x: Tensor, before: State, plan: Any) -> tuple[Tensor, State]:
    if chosen == "vendor":
        with full_precision(x):
            return vendor(cell, x, before, plan)
    if chosen not in _BY_HAND or is_linear(cell):
        return linear_scan(cell, x, before, plan, chosen)
    with full_precision(x):
        y, after = bptt(prepare_cell(cell, chosen, x, before), x, plan)
    return y, as_state(after, before)


def _as_operator(
    cell: Any, chosen: str, x: Tensor, before: State, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """Run as one operator, for code that is being compiled."""
    with full_precision(x):
        prepared = prepare_cell(cell, chosen, x, before)
        y, after = operate(prepared, x.to(prepared[1].w_h.dtype), lengths, reverse)
    return y, as_state(after, before)


def as_state(after: State, before: State) -> State:
    """Return h and cells that stand side by side as a cell's state, what no step changes taken from ``before``."""
    if len(after) == 1:
        return (*after, *before[1:])
    count = after[1].shape[1] // before[1].shape[1]
    return (after[0], *after[1].chunk(count, 1), *before[1 + count :])


def prepare_cell(cell: Any, chosen: str, x: Tensor, before: State) -> Prepared:
    """Return the family and the operands of a cell; recurrent dropout has its mask as the last tensor of the state."""
    if chosen == "native" and not native.plain(cell):
        return native_variants.prepare_variant(cell, x, before)
    if not drops_in_product(cell):
        return prepare(cell, before, None, _BY_HAND[chosen])
    return prepare(cell.cell, before[:-1], before[-1] if cell.training else None, _BY_HAND[chosen])
