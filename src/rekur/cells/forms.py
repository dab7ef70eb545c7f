"""The two forms that most cells have: a product with the state, and an elementwise linear recurrence.

Axes: B batch, T time, D input features, G gates, H hidden, O output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur._check import choice, flag
from rekur.cells import _init
from rekur.cells.base import Cell, State, Stepped

Read = Callable[[Tensor], Tensor]


def as_it_is(memory: Tensor) -> Tensor:
    """Return the memory itself: how a cell reads its memory when nothing normalises it."""
    return memory


class Weighted(nn.Module):
    """The weights of a cell, which begin as ``init`` says: "rekur" (:meth:`reset_rekur`) or "torch" (±1/√H)."""

    hidden_size: int
    bias: bool
    init: str

    def make_weights(self, shapes: Mapping[str, tuple[int, ...] | None], *, bias: bool, init: str) -> None:
        """Make the parameters and give them their first values.

        Args:
            shapes: name -> shape of each parameter, in order; None for one that is absent.
            bias: whether the cell has biases.
            init: "rekur" or "torch".
        """
        self.bias = flag("bias", bias)
        self.init = choice("init", init, _init.INITS)
        for name, shape in shapes.items():
            self.register_parameter(name, None if shape is None else nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give every parameter its first value again."""
        if self.init == "torch":
            _init.uniform_like_torch(self, self.hidden_size)
        else:
            self.reset_rekur()

    def reset_rekur(self) -> None:
        """Give every parameter its first value by init="rekur"."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.bias else ", bias=False")


class ProductCell(Cell):
    r"""A cell whose step is one product with the state, then elementwise work.

    .. math:: y_t, s_t = \mathrm{combine}(\mathrm{project}(x_t), \mathrm{product}(s_{t-1}), s_{t-1})

    Recurrent dropout masks what the product sees; layer normalisation normalises what it gives. The first
    tensor of the state is the one that the product reads.
    """

    def product(self, state: State) -> Tensor:
        """Return the product of the recurrent weights with the state, biases included."""
        raise NotImplementedError

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        """Return the output and the next state from the two products.

        Args:
            from_input: what :meth:`project` gave for this step, (B, G·H).
            from_state: what :meth:`product` gave, (B, G·H).
            state: the state before this step.
            read: what to apply to a memory (the c of an LSTM) before the output is made of it.
        """
        raise NotImplementedError

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        return self.combine(projected, self.product(state), state)


class GatedCell(Weighted, ProductCell):
    r"""A :class:`ProductCell` with the weights of :math:`G` gates, named and laid out as in PyTorch's cells.

    .. math:: u_t = W_{ih} x_t + b_{ih}, \quad v_t = W_{hh} h_{t-1} + b_{hh}

    A cell of this kind sets :attr:`num_gates` and defines :meth:`combine`; parameters are ``weight_ih``
    (G·H, D), ``weight_hh`` (G·H, O), ``bias_ih`` and ``bias_hh`` (G·H).

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the two biases.
        init: "rekur" (orthogonal recurrent blocks, Xavier input blocks, zero biases) or "torch".
        output_size: number of outputs O, the size of h; by default H.
        recurrent_size: columns of ``weight_hh``; by default O.
        forget_bias: where ``bias_ih`` of the block :attr:`forget_gate` begins with init="rekur".
        more: names and shapes of further parameters, registered after these; None for one that is absent.

    Example:
        >>> class Integrator(GatedCell):
        ...     num_gates = 1
        ...     def state_sizes(self):
        ...         return ((self.hidden_size,),)
        ...     def combine(self, from_input, from_state, state, read=as_it_is):
        ...         h = state[0] + 0.1 * torch.tanh(from_input + from_state)
        ...         return h, (h,)
        >>> y, state = Integrator(3, 5)(torch.zeros(2, 3))
        >>> y.shape
        torch.Size([2, 5])
    """

    num_gates: ClassVar[int]
    #: how many gates are normalised together by layer normalisation; by default all
    norm_groups: ClassVar[tuple[int, ...]] = ()
    #: which block of rows is the forget gate
    forget_gate: ClassVar[int | None] = None

    weight_ih: nn.Parameter
    weight_hh: nn.Parameter
    bias_ih: nn.Parameter | None
    bias_hh: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        init: str = "rekur",
        output_size: int | None = None,
        recurrent_size: int | None = None,
        forget_bias: float = 0.0,
        more: Mapping[str, tuple[int, ...] | None] = MappingProxyType({}),
    ) -> None:
        super().__init__(input_size, hidden_size, output_size)
        rows = self.num_gates * self.hidden_size
        columns = self.output_size if recurrent_size is None else recurrent_size
        biases = {"bias_ih": (rows,) if bias else None, "bias_hh": (rows,) if bias else None}
        shapes = {"weight_ih": (rows, self.input_size), "weight_hh": (rows, columns), **biases, **more}
        self.forget_bias = forget_bias
        self.make_weights(shapes, bias=bias, init=init)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Return the size of h, which is the output, and of the further tensors that :attr:`state_names` names."""
        if not self.state_names:
            return super().state_sizes()
        return ((self.output_size,), *((self.hidden_size,) for _ in self.state_names[1:]))

    def reset_rekur(self) -> None:
        _init.xavier_blocks(self.weight_ih, self.hidden_size)
        _init.orthogonal_blocks(self.weight_hh, self.hidden_size)
        _init.zeros(self.bias_ih, self.bias_hh)
        if self.forget_gate is not None:
            _init.fill_block(self.bias_ih, self.forget_gate, self.hidden_size, self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih)

    def product(self, state: State) -> Tensor:
        return F.linear(state[0], self.weight_hh, self.bias_hh)


# what a subclass may replace that changes the form
_REPLACED = frozenset({"project", "linear_form", "pair", "log_decay", "readout"})


class LinearCell(Cell):
    r"""A cell whose state is :math:`h_t = a_t \odot h_{t-1} + b_t`, with a and b from the input alone.

    Such a recurrence is associative: a scan may run it in parallel over time. A cell of this kind defines
    :meth:`project` and :meth:`linear_form`, and :meth:`readout` where the output is not h itself.
    """

    kind = "linear"
    #: the form that compiled kernels know: "mingru", "minlstm", "rglru"; "" for any other. A subclass that changes
    #: the equations falls back to "".
    form: ClassVar[str] = ""
    #: a and b from what that form is made of, in the order in which the kernels take it
    pair: ClassVar[Callable[..., tuple[Tensor, Tensor]]]
    state_names = ("h",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "form" not in cls.__dict__ and _REPLACED & cls.__dict__.keys():
            cls.form = ""

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.hidden_size,),)

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, each (B, H) or (B, T, H), from what :meth:`project` gave."""
        raise NotImplementedError

    def readout(self, h: Tensor, projected: Tensor) -> Tensor:
        """Return the output from the hidden state, for one step or for all; here h itself."""
        return h

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        decay, gain = self.linear_form(projected)
        h = decay * state[0] + gain
        return self.readout(h, projected), (h,)
