"""Wrappers: a cell around a cell, which normalises it, forgets in it at random, or goes around it.

Wrappers nest. Layer normalisation goes first, recurrent dropout next, the others around them:
``Residual(Zoneout(RecurrentDropout(LayerNorm(LSTM(64, 128)), 0.25), 0.1))``.

Axes: B batch, T time, D input features, G gates, H hidden, O output.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur._check import number
from rekur.cells import _init
from rekur.cells.base import Cell, State, Stepped
from rekur.cells.forms import GatedCell, ProductCell, Read, as_it_is
from rekur.errors import InputError, describe


class Wrapper(Cell):
    """A cell around a cell, ``cell``: everything is that cell's unless overridden.

    Args:
        cell: the cell; its parameters are used, not copied.

    Raises:
        InputError: ``cell`` is not a Cell.
    """

    def __init__(self, cell: Cell) -> None:
        _check_cell(type(self).__name__, cell)
        super().__init__(cell.input_size, cell.hidden_size, cell.output_size)
        self.cell = cell
        self.state_names = cell.state_names
        self.keeps_precision = cell.keeps_precision

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        return self.cell.state_sizes()

    def initial_state(self, batch_size: int, **where: Any) -> State:
        return self.cell.initial_state(batch_size, **where)

    def project(self, x: Tensor) -> Tensor:
        return self.cell.project(x)

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        return self.cell.recur(projected, state)

    def step_cost(self) -> int:
        """Return the multiply-adds of one step of one sequence, those of the wrapped cell."""
        return self.cell.step_cost()


class LayerNorm(ProductCell, Wrapper):
    r"""Normalise the two products of a gated cell, and the memory of an LSTM before it is read.

    .. math::
        u_t &= \mathrm{LN}(W_{ih} x_t; \gamma_{ih}) + b_{ih}, \quad
        v_t = \mathrm{LN}(W_{hh} h_{t-1}; \gamma_{hh}) + b_{hh} \\
        h_t &= o \odot \tanh(\mathrm{LN}(c_t; \gamma_c, \beta_c)) \\
        \mathrm{LN}(a; \gamma, \beta) &= \gamma \odot (a - \bar a) / \sqrt{\mathrm{var}(a) + \epsilon} + \beta

    The biases stay outside, so that a forget bias keeps its meaning. As in the paper, all gates of an LSTM
    are normalised together; of a GRU the two gates together, the candidate by itself.
    State: the cell's. Parameters: ``gain_ih`` and ``gain_hh`` (G·H), and for an LSTM ``gain_c`` and
    ``bias_c`` (H).

    Args:
        cell: an Elman, LSTM, PeepholeLSTM, GRU, or your own GatedCell that keeps the products as they are.
        eps: ε, added to the variance; 1e-12 or more.

    Raises:
        InputError: the cell has no such products, or eps is too small.

    Reference:
        J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", 2016, arXiv:1607.06450

    Example:
        >>> from rekur.cells.lstm import LSTM
        >>> y, (h, c) = LayerNorm(LSTM(3, 5))(torch.zeros(2, 3))
        >>> y.shape
        torch.Size([2, 5])
    """

    kind = "layer_norm"
    equations = "u = LN(W_ih x) + b_ih\nv = LN(W_hh h') + b_hh\nh = o ⊙ tanh(LN(c))"
    reference = "Ba et al. 2016, arXiv:1607.06450"

    cell: GatedCell
    gain_c: nn.Parameter | None
    bias_c: nn.Parameter | None

    def __init__(self, cell: Cell, eps: float = 1e-5) -> None:
        super().__init__(cell)
        if not _has_plain_products(cell):
            expected = "an Elman, LSTM, PeepholeLSTM, GRU, or a GatedCell that keeps project and product"
            fix = "To normalise what a layer gives, put torch.nn.LayerNorm behind the layer."
            raise _refusal("LayerNorm", "LayerNorm(cell), …", cell, expected, fix)
        self.eps = number("eps", eps, low=1e-12)
        groups = self.cell.norm_groups or (self.cell.num_gates,)
        self._group_sizes = [gates * self.hidden_size for gates in groups]
        rows = sum(self._group_sizes)
        memory = self.hidden_size if "c" in cell.state_names else None
        # with its memory normalised at every step an LSTM is sensitive: an error grows from step to step
        self.keeps_precision = memory is not None or cell.keeps_precision
        self.gain_ih = nn.Parameter(torch.ones(rows))
        self.gain_hh = nn.Parameter(torch.ones(rows))
        self.register_parameter("gain_c", None if memory is None else nn.Parameter(torch.ones(memory)))
        self.register_parameter("bias_c", None if memory is None else nn.Parameter(torch.zeros(memory)))

    def project(self, x: Tensor) -> Tensor:
        return self._normalise(F.linear(x, self.cell.weight_ih), self.gain_ih, self.cell.bias_ih)

    def product(self, state: State) -> Tensor:
        return self._normalise(F.linear(state[0], self.cell.weight_hh), self.gain_hh, self.cell.bias_hh)

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        if self.gain_c is None:
            return self.cell.combine(from_input, from_state, state)
        return self.cell.combine(from_input, from_state, state, self._read)

    def _read(self, memory: Tensor) -> Tensor:
        return F.layer_norm(memory, (self.hidden_size,), self.gain_c, self.bias_c, self.eps)

    def _normalise(self, product: Tensor, gain: Tensor, bias: Tensor | None) -> Tensor:
        groups = zip(torch.split(product, self._group_sizes, dim=-1), self._group_sizes, strict=True)
        scaled = torch.cat([F.layer_norm(group, (size,), eps=self.eps) for group, size in groups], dim=-1) * gain
        return scaled if bias is None else scaled + bias

    def extra_repr(self) -> str:
        return "" if self.eps == 1e-5 else f"eps={self.eps}"


class RecurrentDropout(Wrapper):
    r"""Drop units of h in the recurrent product, the same ones at every step of a sequence.

    .. math:: v_t = W_{hh} (d \odot h_{t-1}) + b_{hh}, \quad
        d \sim \mathrm{Bernoulli}(1 - p) / (1 - p)

    A mask for every sequence, drawn by :meth:`initial_state` while training and carried as the last tensor
    of the state, so that a sequence cut into chunks keeps its mask. What is kept in h or c is not masked. In
    evaluation the mask is ones, and nothing is dropped whatever it is. State: the cell's, then the mask, of
    the size of h.

    Args:
        cell: a cell with a product of its state: Elman, LSTM, PeepholeLSTM, GRU, GRUResetBefore, SLSTM,
            LayerNorm around one of them, or your own ProductCell.
        dropout: p, the share of units dropped, in [0, 1).

    Raises:
        InputError: the cell has no such product, or dropout is out of range.

    Reference:
        Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks",
        NeurIPS 2016, arXiv:1512.05287

    Example:
        >>> from rekur.cells.gru import GRU
        >>> cell = RecurrentDropout(GRU(3, 5), 0.25)
        >>> h, mask = cell.initial_state(2)
        >>> mask.shape
        torch.Size([2, 5])
    """

    kind = "recurrent_dropout"
    equations = "v = W_hh (d ⊙ h') + b_hh, d ~ Bernoulli(1 - p) / (1 - p), one a sequence"
    reference = "Gal & Ghahramani 2016, arXiv:1512.05287"

    cell: ProductCell

    def __init__(self, cell: Cell, dropout: float) -> None:
        super().__init__(cell)
        if not isinstance(cell, ProductCell):
            expected = "an Elman, LSTM, PeepholeLSTM, GRU, GRUResetBefore, SLSTM, LayerNorm or another ProductCell"
            fix = "No product of its state can be masked: drop units between layers instead."
            raise _refusal("RecurrentDropout", "RecurrentDropout(cell, …)", cell, expected, fix)
        self.dropout = number("dropout", dropout, 0, 1, open_high=True)
        if cell.state_names:
            self.state_names = (*cell.state_names, "mask")

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        sizes = self.cell.state_sizes()
        return (*sizes, sizes[0])

    def initial_state(self, batch_size: int, **where: Any) -> State:
        state = self.cell.initial_state(batch_size, **where)
        mask = torch.ones_like(state[0])
        if self.training:
            mask = mask.bernoulli_(1 - self.dropout) / (1 - self.dropout)
        return (*state, mask)

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        before, mask = state[:-1], state[-1]
        seen = (before[0] * mask, *before[1:]) if self.training else before
        y, after = self.cell.combine(projected, self.cell.product(seen), before)
        return y, (*after, mask)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}"


class Zoneout(Wrapper):
    r"""Leave some units of the state as they were, others at every step.

    .. math::
        h_t = d \odot h_{t-1} + (1 - d) \odot \tilde h_t, \quad d \sim \mathrm{Bernoulli}(p)

    with :math:`\tilde h_t` what the cell gives, and the same for the memory c of an LSTM with a probability
    of its own. In evaluation d is its mean, p. The output is the h that results. State: the cell's.

    Args:
        cell: any cell whose state is h, or h and c; of your own cells without ``state_names`` the first
            tensor is taken for h and the others for memories.
        hidden: p for h, in [0, 1].
        memory: p for c, in [0, 1]; by default that of h. Only for a cell that has a memory.

    Raises:
        InputError: the state is stored relative to a stabiliser (SLSTM, MLSTM), a probability is out of
            range, or ``memory`` was given for a cell that has none.

    Reference:
        D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017,
        arXiv:1606.01305

    Example:
        >>> from rekur.cells.lstm import LSTM
        >>> y, (h, c) = Zoneout(LSTM(3, 5), hidden=0.05, memory=0.5)(torch.zeros(2, 3))
        >>> y.shape
        torch.Size([2, 5])
    """

    kind = "zoneout"
    equations = "h = d ⊙ h' + (1 - d) ⊙ h̃, d ~ Bernoulli(p)"
    reference = "Krueger et al. 2017, arXiv:1606.01305"

    def __init__(self, cell: Cell, hidden: float, memory: float | None = None) -> None:
        super().__init__(cell)
        names = cell.state_names or ("h", *("c" for _ in cell.state_sizes()[1:]))
        if "m" in names:
            expected = "a cell whose state is h, or h and c"
            fix = "Its memory is stored relative to m, so that the old one and the new one do not mix."
            raise InputError(describe("cell of Zoneout", type(cell).__name__, expected, fix))
        if memory is not None and "c" not in names:
            fix = f"{type(cell).__name__} has no memory besides h."
            raise InputError(describe("memory", memory, "None", fix))
        self.hidden = number("hidden", hidden, 0, 1)
        self.memory = self.hidden if memory is None else number("memory", memory, 0, 1)
        rates = {"h": self.hidden, "c": self.memory}
        self._rates = [rates.get(name, 0.0) for name in names]

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        y, after = self.cell.recur(projected, state)
        zoned = tuple(self._zone(old, new, rate) for old, new, rate in zip(state, after, self._rates, strict=True))
        return (zoned[0] if y is after[0] else y), zoned

    def _zone(self, old: Tensor, new: Tensor, rate: float) -> Tensor:
        if rate == 0.0:
            return new
        if self.training:
            return torch.where(torch.rand_like(new) < rate, old, new)
        return new + rate * (old - new)

    def extra_repr(self) -> str:
        return f"hidden={self.hidden}" + ("" if self.memory == self.hidden else f", memory={self.memory}")


class Residual(Wrapper):
    r"""Add the input to the output, through a matrix where their sizes differ.

    .. math:: y_t = \mathrm{cell}(x_t, s_{t-1}) + x_t \quad \text{or} \quad \mathrm{cell}(x_t, s_{t-1}) + W_s
    x_t

    State: the cell's. Parameters: none where O = D, else ``weight_shortcut`` (O, D).

    Args:
        cell: any cell.

    Raises:
        InputError: ``cell`` is not a Cell.

    Reference:
        K. He et al., "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385;
        between recurrent layers Y. Wu et al. 2016, arXiv:1609.08144

    Example:
        >>> from rekur.cells.gru import GRU
        >>> cell = Residual(GRU(4, 4))
        >>> y, (h,) = cell(torch.ones(2, 4))
        >>> torch.allclose(y, h + 1)
        True
    """

    equations = "y = cell(x) + x, or cell(x) + W_s x"
    reference = "He et al. 2016, arXiv:1512.03385"

    weight_shortcut: nn.Parameter | None

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        shape = (self.output_size, self.input_size)
        same = self.output_size == self.input_size
        self.register_parameter("weight_shortcut", None if same else nn.Parameter(torch.empty(shape)))
        if self.weight_shortcut is not None:
            _init.xavier_blocks(self.weight_shortcut, self.output_size)

    def project(self, x: Tensor) -> Tensor:
        """Return what the cell projects and, behind it, what goes around the cell."""
        around = x if self.weight_shortcut is None else F.linear(x, self.weight_shortcut)
        return torch.cat([self.cell.project(x), around], dim=-1)

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        inner, around = projected[..., : -self.output_size], projected[..., -self.output_size :]
        y, after = self.cell.recur(inner, state)
        return y + around, after

    def step_cost(self) -> int:
        """Return the multiply-adds of one step of one sequence, those of the shortcut included."""
        return self.cell.step_cost() + (0 if self.weight_shortcut is None else self.weight_shortcut.numel())

    def extra_repr(self) -> str:
        return ""


def _check_cell(wrapper: str, cell: object) -> None:
    if not isinstance(cell, Cell):
        got = cell.__name__ if isinstance(cell, type) else type(cell).__name__
        expected = "a cell that was made with its sizes, such as LSTM(64, 128)"
        raise InputError(describe(f"cell of {wrapper}", got, expected))


def _has_plain_products(cell: Cell) -> bool:
    """Tell whether a cell's two products are those of GatedCell: one matrix, one bias each."""
    if not isinstance(cell, GatedCell):
        return False
    return all(
        getattr(type(cell), name) is getattr(GatedCell, name) for name in ("project", "product", "recur", "step")
    )


def _refusal(wrapper: str, call: str, cell: Cell, expected: str, fix: str) -> InputError:
    """Return the error for a cell around which a wrapper cannot stand; around another wrapper it stands inside."""
    if isinstance(cell, Wrapper):
        fix = f"Put {wrapper} inside: {type(cell).__name__}({call})."
    return InputError(describe(f"cell of {wrapper}", type(cell).__name__, expected, fix))
