"""What a cell is: the equations of one time step, with the state as an argument and a result.

Axes: B batch, T time, D input features, P projected input, H hidden, O output.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rekur._check import size
from rekur.errors import InputError, ShapeError, describe

State = tuple[Tensor, ...]
#: the output of a step and the next state
Stepped = tuple[Tensor, State]

# the methods that a hand-written scan replaces; the linear scans call linear_form and readout instead
_REPLACED = frozenset({"step", "project", "recur", "product", "combine"})
_REPLACED_BY_LINEAR = frozenset({"step", "recur"})


def not_scriptable(module: nn.Module) -> InputError:
    """Return the error for a request to compile a module as TorchScript."""
    expected = "modules of torch.nn, or rekur.nn.RNN, LSTM or GRU"
    fix = "Record it by torch.jit.trace or torch.export, or export a trained model by `rekur export`."
    return InputError(describe("module of torch.jit.script", type(module).__name__, expected, fix))


class Cell(nn.Module):
    r"""One step of a recurrent network: :math:`y_t, s_t = \mathrm{step}(x_t, s_{t-1})`.

    Your own cell derives from this class, says the sizes of its state in :meth:`state_sizes` and defines
    *either* :meth:`step` alone, *or* :meth:`project` (what needs no state, run once over the whole sequence
    as one large product) together with :meth:`recur` (what does). Everything in Rekur then works with it: any
    depth, both directions, ragged batches, training, streaming.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        output_size: number of outputs O a step; by default H.

    Example:
        >>> class Leaky(Cell):
        ...     def __init__(self, input_size: int, hidden_size: int) -> None:
        ...         super().__init__(input_size, hidden_size)
        ...         self.mix = nn.Linear(input_size, hidden_size)
        ...     def state_sizes(self):
        ...         return ((self.hidden_size,),)
        ...     def step(self, x, state):
        ...         h = 0.9 * state[0] + 0.1 * torch.tanh(self.mix(x))
        ...         return h, (h,)
        >>> cell = Leaky(3, 5)
        >>> y, state = cell.step(torch.zeros(2, 3), cell.initial_state(2))
        >>> y.shape
        torch.Size([2, 5])
    """

    #: the hand-written scan that knows these equations: "elman", "lstm", "lstm_peephole", "gru",
    #: "gru_reset_before", "linear", "recurrent_dropout" (around one of these); "" for the loop. A subclass that
    #: changes the equations falls back to "".
    kind: ClassVar[str] = ""
    #: the equations, one a line, for tables and help
    equations: ClassVar[str] = ""
    #: where the equations come from
    reference: ClassVar[str] = ""
    #: whether under autocast the input projection too is to stay in the dtype of the weights, because what follows
    #: magnifies its rounding
    keeps_precision: bool = False
    #: the letters of the state tensors in :attr:`equations`, such as ("h", "c")
    state_names: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.step is Cell.step and cls.recur is Cell.recur:
            raise InputError(
                f"{cls.__name__}: got neither step nor recur; expected a cell that defines step(x, state), "
                "or project(x) and recur(projected, state)."
            )
        replaced = _REPLACED_BY_LINEAR if cls.kind == "linear" else _REPLACED
        if "kind" not in cls.__dict__:
            cls.kind = "" if replaced & cls.__dict__.keys() else cls.kind

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None) -> None:
        super().__init__()
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        outputs = self.hidden_size if output_size is None else output_size
        self.output_size = size("output_size", outputs)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each tensor of the state, without the batch axis."""
        raise InputError(
            f"{type(self).__name__}.state_sizes: got no definition; expected a method that returns the shape "
            "of each state tensor without the batch axis, such as ((self.hidden_size,),)."
        )

    def initial_state(
        self,
        batch_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> State:
        """Return the state before the first step: zeros, each (B, *size)."""
        return tuple(torch.zeros(batch_size, *s, device=device, dtype=dtype) for s in self.state_sizes())

    def project(self, x: Tensor) -> Tensor:
        """Return the part of a step that needs no state, for x of (B, D) or (B, T, D)."""
        return x

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (B, O) and the next state from what :meth:`project` gave for one step, (B, P)."""
        return self.step(projected, state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (B, O) and the next state for one input (B, D)."""
        return self.recur(self.project(x), state)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run one step; without ``state`` it is the first one.

        Args:
            x: inputs (B, D).
            state: the state before this step, as :meth:`initial_state` or the step before returned it.

        Returns:
            the output (B, O) and the next state.

        Raises:
            ShapeError: x is not (B, D).
        """
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise ShapeError(describe("shape of x", tuple(x.shape), f"(B, {self.input_size})"))
        if state is None:
            state = self.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
        return self.step(x, state)

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def step_cost(self) -> int:
        """Return the multiply-adds of one step of one sequence: here one for each weight of a matrix."""
        return sum(p.numel() for p in self.parameters() if p.dim() == 2)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"
