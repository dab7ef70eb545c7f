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
from rekur.scan.choose import choose, drops_in_product, is_linear, runnable
from rekur.scan.layout import BATCH_FIRST, Layout, owned
from rekur.scan.linear import linear_scan
from rekur.scan.loop import loop, reverse_rows
from rekur.scan.operator import operate
from rekur.scan.plan import Plan, ragged_plan, whole_plan
from rekur.scan.precision import full_precision, to_weights, weights_of
from rekur.scan.vendor import vendor
from rekur.scan.watch import in_onnx_export, passes_through, plain, readable, watcher

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
    layout: Layout = BATCH_FIRST,
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
            What looks at operations, such as ``torch.jit.trace``, sees those that compute the same.
        layout: the axes of what is returned.

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
    x = to_weights(cell, x)
    before = tuple(s.to(x.dtype) for s in check_state(cell, x, state))
    backwards = flag("reverse", reverse)
    if seen := watcher((x, *before)):
        return _arranged(layout, *_run_seen(seen, cell, x, before, lengths, backwards, path))
    real = _real_steps(lengths, x)
    chosen = choose(cell, x, real, path=path).path
    if _is_empty(x, real):
        return _arranged(layout, *_without_steps(cell, x, before))
    if chosen in _BY_HAND and not is_linear(cell):
        with full_precision(x):
            prepared = prepare_cell(cell, chosen, x, before)
            if plain(prepared[1]):
                y, after = bptt(prepared, x, _plan(x, real, backwards), layout)
                return y, as_state(after, before)
    elif chosen != "loop" and plain(cell.parameters()):
        return _arranged(layout, *_run_layers(cell, chosen, x, before, _plan(x, real, backwards)))
    return _arranged(layout, *_loop(cell, x, before, real, backwards))


def _real_steps(lengths: Tensor | None, x: Tensor) -> Tensor | None:
    """Return the lengths, checked; None where every row has all T steps."""
    checked = None if lengths is None else check_lengths(lengths, x)
    return None if checked is None or bool((checked == x.shape[1]).all()) else checked


def _is_empty(x: Tensor, lengths: Tensor | None) -> bool:
    return x.shape[0] == 0 or x.shape[1] == 0 or (lengths is not None and not bool(lengths.any()))


def _plan(x: Tensor, lengths: Tensor | None, reverse: bool) -> Plan:
    if lengths is None:
        return whole_plan(x.shape[0], x.shape[1], reverse=reverse)
    return ragged_plan(lengths, x.shape[1], x.device, reverse=reverse)


def _arranged(layout: Layout, y: Tensor, state: State) -> tuple[Tensor, State]:
    if layout == BATCH_FIRST:
        return y, state
    y, *states = map(owned, layout.arrange([y, *state]))
    return y, tuple(states)


def _without_steps(cell: Any, x: Tensor, before: State) -> tuple[Tensor, State]:
    """Return zeros and the state as it was, of which the gradients of x and all weights are zeros."""
    results = [x.new_zeros(x.shape[0], x.shape[1], cell.output_size), *(s.clone() for s in before)]
    if torch.is_grad_enabled():
        sums = [t.reshape(-1)[:0].sum() for t in (x, *weights_of(cell)) if t.requires_grad]
        for zero in sums:
            results = [t + zero.to(t.dtype) for t in results]
    return results[0], tuple(results[1:])


def _loop(cell: Any, x: Tensor, before: State, lengths: Tensor | None, reverse: bool) -> tuple[Tensor, State]:
    y, after = loop(cell, reverse_rows(x, lengths) if reverse else x, before, lengths)
    return (reverse_rows(y, lengths) if reverse else y), after


def _run_layers(cell: Any, chosen: str, x: Tensor, before: State, plan: Plan) -> tuple[Tensor, State]:
    if chosen == "vendor":
        with full_precision(x):
            return vendor(cell, x, before, plan)
    return linear_scan(cell, x, before, plan, chosen)


def _run_seen(
    seen: str, cell: Any, x: Tensor, before: State, lengths: Tensor | None, reverse: bool, path: str
) -> tuple[Tensor, State]:
    """Run in operators that what looks at them understands; lengths are looked at only when these run.

    Args:
        seen: what :func:`rekur.scan.watch.watcher` says.
        cell: as :func:`scan` takes it, and all further arguments.
    """
    chosen = choose(cell, x, None, path=path).path
    written = chosen in _BY_HAND and not is_linear(cell)
    to_onnx = seen != "compile" and in_onnx_export()
    fused = lengths is None and "vendor" in runnable(cell) and not (to_onnx and hasattr(cell, "weight_hr"))
    if fused and (chosen == "vendor" or seen == "trace" or to_onnx):
        return _run_layers(cell, "vendor", x, before, _plan(x, None, reverse))
    if seen != "trace" and (x.shape[0] == 0 or x.shape[1] == 0):
        return _without_steps(cell, x, before)
    if written and not to_onnx and seen != "transform":
        with full_precision(x):
            prepared = prepare_cell(cell, chosen, x, before)
            if seen != "tensor" or passes_through((x, *before, *prepared[1])):
                # one operator, which PyTorch knows the shapes, the gradients and the work of
                y, after = operate(prepared, x.to(prepared[1].w_h.dtype), lengths, reverse)
                return y, as_state(after, before)
    if seen == "compile" and chosen != "loop":
        real = _real_steps(lengths, x)
        if _is_empty(x, real):
            return _without_steps(cell, x, before)
        return _run_layers(cell, chosen, x, before, _plan(x, real, reverse))
    real = _real_steps(lengths, x) if lengths is not None and readable(lengths) else lengths
    return _loop(cell, x, before, real, reverse)


def as_state(after: State, before: State) -> State:
    """Return h and cells that stand side by side as a cell's state, what no step changes taken from ``before``."""
    if len(after) == 1:
        return (*after, *before[1:])
    count = after[1].shape[-1] // before[1].shape[-1]
    cells = after[1].chunk(count, -1) if count > 1 else after[1:]  # one piece would be a view
    return (after[0], *cells, *before[1 + count :])


def prepare_cell(cell: Any, chosen: str, x: Tensor, before: State) -> Prepared:
    """Return the family and the operands of a cell; recurrent dropout has its mask as the last tensor of the state."""
    if chosen == "native" and not native.plain(cell):
        return native_variants.prepare_variant(cell, x, before)
    if not drops_in_product(cell):
        return prepare(cell, before, None, _BY_HAND[chosen])
    return prepare(cell.cell, before[:-1], before[-1] if cell.training else None, _BY_HAND[chosen])
