"""One cell run through time in one direction: the only module that joins a cell to a scan.

Axes: B batch, T time, D input features, O output features.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from rekur import _check
from rekur.cells.base import Cell, State, not_scriptable
from rekur.errors import InputError, NotStreamableError, ShapeError, describe
from rekur.nn.lengths import Lengths, check_lengths
from rekur.scan import PATHS, runnable
from rekur.scan import scan as run_scan
from rekur.scan.check import check_input, check_state


def first_weight(module: nn.Module) -> Tensor | None:
    """Return the first floating-point parameter, which has the module's device and dtype; None without one."""
    return next((p for p in module.parameters() if p.is_floating_point()), None)


class Layer(nn.Module):
    r"""A cell run through time: :math:`y_t, s_t = \mathrm{step}(x_t, s_{t-1})` over each row's real steps.

    Args:
        cell: the cell.
        reverse: whether each row is read from its last real step to its first; outputs stay at their time.
        learned_state: whether the initial state is learned, starting from zeros; only its tensors named h, c or C, not
            masks and normalizers.
        scan: the scan that runs the cell; "auto" takes the fastest that can.
        checkpoint_steps: in training, store only the state at this interval of steps and recompute the others in the
            backward pass: memory grows with T / checkpoint_steps states, time by a third; 0 stores everything.

    Reference:
        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016 (``checkpoint_steps``).

    Example:
        >>> from rekur.cells.elman import Elman
        >>> layer = Layer(Elman(3, 5))
        >>> y, (h,) = layer(torch.randn(2, 4, 3), lengths=[4, 1])
        >>> y.shape, bool((h[1] == y[1, 0]).all())
        (torch.Size([2, 4, 5]), True)
    """

    def __init__(
        self,
        cell: Cell,
        *,
        reverse: bool = False,
        learned_state: bool = False,
        scan: str = "auto",
        checkpoint_steps: int = 0,
    ) -> None:
        super().__init__()
        self.checkpoint_steps = _check.whole("checkpoint_steps", checkpoint_steps, low=0)
        if not isinstance(cell, Cell):
            raise InputError(describe("cell", type(cell).__name__, "a rekur.cells.Cell"))
        self.cell = cell
        self.reverse = _check.flag("reverse", reverse)
        self.scan = _check.choice("scan", scan, ("auto", *PATHS))
        able = runnable(cell)
        if scan != "auto" and scan not in able:
            names = ", ".join(f"'{name}'" for name in able)
            raise InputError(describe("scan", scan, f"'auto', or one that can run this {type(cell).__name__}: {names}"))
        self.input_size, self.output_size = cell.input_size, cell.output_size
        _check.flag("learned_state", learned_state)
        self.start = nn.ParameterList(_learned_start(cell) if learned_state else [])

    def initial_state(
        self,
        batch_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the initial state, each tensor (B, *size), with the device and dtype of the weights."""
        weight = first_weight(self)
        if weight is not None:
            device = weight.device if device is None else device
            dtype = weight.dtype if dtype is None else dtype
        state = self.cell.initial_state(batch_size, device=device, dtype=dtype)
        if not len(self.start):
            return state
        learned = dict(zip(_learnable(self.cell), self.start, strict=True))
        return tuple(
            learned[i].to(device, dtype).expand_as(tensor) if i in learned else tensor for i, tensor in enumerate(state)
        )

    def forward(self, x: Tensor, state: State | None = None, lengths: Lengths | None = None) -> tuple[Tensor, State]:
        """Run the cell over whole sequences.

        Args:
            x: (B, T, D).
            state: the initial state; by default :meth:`initial_state`.
            lengths: int64 (B,), in [0, T]; None if every row has T.

        Returns:
            outputs (B, T, O), zero beyond each row's length, and each row's state after its last real step; for a
            row of length 0 its initial state.

        Raises:
            ShapeError: x, state or lengths have a wrong shape.
            InputError: lengths are out of range, or x has another dtype than the weights.
        """
        check_input(self.cell, x)
        checked = check_lengths(lengths, x)
        return self.run(x, state, checked)

    def run(
        self, x: Tensor, state: State | None, lengths: Tensor | None, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Do the same as ``forward`` for checked inputs, with replacements for some weights by name."""
        if state is None:
            state = self.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
        steps = self.checkpoint_steps
        if not steps or x.shape[1] <= steps or not torch.is_grad_enabled():
            return self._run_part(x, lengths, state, weights)
        starts = range(0, x.shape[1], steps)
        outputs: dict[int, Tensor] = {}
        for start in reversed(starts) if self.reverse else starts:
            part = x[:, start : start + steps]
            real = None if lengths is None else (lengths - start).clamp(0, part.shape[1])
            outputs[start], state = checkpoint(self._run_part, part, real, state, weights, use_reentrant=False)
        return torch.cat([outputs[start] for start in starts], dim=1), state

    def _run_part(
        self, x: Tensor, lengths: Tensor | None, state: State, weights: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, State]:
        if weights:  # inside the checkpointed function, so that the second computation has them too
            result: tuple[Tensor, State] = functional_call(self, dict(weights), (x, state, lengths))
            return result
        return run_scan(self.cell, x, state, lengths=lengths, reverse=self.reverse, path=self.scan)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run one step: x (B, D) to y (B, O) and the next state; without ``state`` from the initial one.

        Raises:
            NotStreamableError: the layer reads backwards.
            ShapeError: x or state has a wrong shape.
        """
        if self.reverse:
            raise NotStreamableError(describe("reverse", True, "False for a layer that runs one step at a time"))
        if x.dim() != 2:
            raise ShapeError(describe("shape of x", tuple(x.shape), f"(B, {self.input_size})"))
        check_input(self.cell, x[:, None])
        if state is None:
            state = self.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
        return self.cell.step(x, check_state(self.cell, x, state))

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        options = {"reverse": self.reverse, "learned_state": len(self.start) > 0}
        return ", ".join([f"{name}=True" for name, value in options.items() if value])


def _learnable(cell: Cell) -> list[int]:
    """Return the indices of the state's tensors that may be learned: not masks, normalizers and stabilizers."""
    names = cell.state_names or ("h",) * len(cell.state_sizes())
    return [index for index, name in enumerate(names) if name in ("h", "c", "C")]


def _learned_start(cell: Cell) -> list[nn.Parameter]:
    with torch.no_grad():
        state = cell.initial_state(1)
    return [nn.Parameter(state[index].clone()) for index in _learnable(cell)]
