"""RNN, LSTM and GRU with the calls, weights and errors of ``torch.nn``'s, and with lengths.

Axes: B batch, T time, D input features, H hidden, P projected hidden, L layers; in ``torch.nn``'s order, which is time
first unless ``batch_first``, and for states always (L·dirs, B, H).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rekur.cells import elman, gru, lstm
from rekur.cells.base import Cell
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.lengths import Lengths, check_lengths
from rekur.scan import scan, scan_both

Hidden = Tensor | tuple[Tensor, Tensor]


class _DropIn(nn.RNNBase):
    """What the three share: torch's module in all but the forward pass, whose cells borrow the flat parameters."""

    #: names of the state's tensors, for messages
    _state_names: tuple[str, ...] = ("hx",)
    #: one cell a layer and direction, without parameters of its own; made at the first call, never saved
    _cells: list[Cell] | None = None

    def forward(self, input: Any, hx: Any = None, lengths: Lengths | None = None) -> tuple[Any, Any]:
        """Run all layers over whole sequences.

        Args:
            input: (T, B, D), or (B, T, D) with ``batch_first``; (T, D) for a single sequence; or a PackedSequence.
            hx: the state before the first step, each tensor (L·dirs, B, H), or (L·dirs, H) for a single sequence;
                for an LSTM the pair (h, c). Zeros by default.
            lengths: int64 (B,), real steps of each row of a padded batch, in [0, T]; what stands beyond them is not
                looked at. None where every row has T.

        Returns:
            output, in the layout of ``input`` and zero beyond each row's length, and the state after each row's
            last step, in the layout of ``hx``.

        Raises:
            ShapeError: shapes that do not agree (a ValueError and a RuntimeError).
            InputError: lengths out of range, or given where they cannot be (a ValueError).
        """
        if lengths is None and _on_cuda(input):
            # There torch's own layers run the whole stack in one kernel.
            return super().forward(input, hx)  # type: ignore[no-any-return]
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        if input.dim() not in (2, 3):
            expected = "(T, B, D), (B, T, D) with batch_first, or (T, D)"
            raise ShapeError(describe("shape of input", tuple(input.shape), expected))
        single = input.dim() == 2
        if single and lengths is not None:
            fix = "A single sequence has no padding: cut it to its length."
            raise InputError(describe("lengths", lengths, "None for an input (T, D)", fix))
        if single or not self.batch_first:
            x = input.unsqueeze(0) if single else input.transpose(0, 1)
        else:
            x = input
        self._check_x(x)
        state = self._state(x, hx, single)
        checked = check_lengths(lengths, x)
        if x.shape[1] == 0 and lengths is None:
            raise ShapeError(describe("steps of input", 0, "1 or more", "Empty rows need lengths."))
        output, after = self._run(x, state, checked)
        if single:
            return output.squeeze(0), self._hidden(tuple(t.squeeze(1) for t in after))
        return output if self.batch_first else output.transpose(0, 1), self._hidden(after)

    def _forward_packed(self, packed: PackedSequence, hx: Any, lengths: Lengths | None) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise InputError(describe("lengths", lengths, "None for a PackedSequence", "It knows its lengths."))
        if packed.data.dim() != 2:
            raise ShapeError(describe("shape of input.data", tuple(packed.data.shape), "(steps, D)"))
        rows = PackedSequence(packed.data, packed.batch_sizes)
        x, row_lengths = pad_packed_sequence(rows, batch_first=True)
        self._check_x(x)
        order, back = packed.sorted_indices, packed.unsorted_indices
        state = self._state(x, hx, False, order)
        checked = check_lengths(row_lengths, x)
        output, after = self._run(x, state, checked)
        data = pack_padded_sequence(output, row_lengths, batch_first=True).data
        if back is not None:
            after = tuple(t.index_select(1, back) for t in after)
        return PackedSequence(data, packed.batch_sizes, order, back), self._hidden(after)

    def _run(self, x: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all layers over x (B, T, D); states are (L·dirs, B, …)."""
        directions = 2 if self.bidirectional else 1
        cells = self._bound_cells()
        after = []
        for layer in range(self.num_layers):
            places = range(layer * directions, (layer + 1) * directions)
            before = [tuple(tensor[index] for tensor in state) for index in places]
            if directions == 1:
                x, last = scan(cells[layer], x, before[0], lengths=lengths)
                after.append(last)
            else:
                both = (cells[places[0]], cells[places[1]])
                (y, last), (y_back, last_back) = scan_both(both, x, before, lengths=lengths)
                x = torch.cat((y, y_back), dim=-1)
                after += [last, last_back]
            if layer + 1 < self.num_layers:
                x = functional.dropout(x, self.dropout, self.training)
        return x, tuple(_stacked(tensors) for tensors in zip(*after, strict=True))

    def _make_cell(self, input_size: int) -> Cell:
        raise NotImplementedError

    def _bound_cells(self) -> list[Cell]:
        """Return the cells with the module's present parameters as plain attributes: shared, not copied."""
        if self._cells is None:
            directions = 2 if self.bidirectional else 1
            inner = (self.proj_size or self.hidden_size) * directions
            with torch.device("meta"):  # takes no memory and no random numbers
                self._cells = [
                    self._make_cell(self.input_size if index < directions else inner)
                    for index in range(self.num_layers * directions)
                ]
            for cell, names in zip(self._cells, self._all_weights, strict=True):
                for name in names:
                    del cell._parameters[_plain(name)]
        for cell, names in zip(self._cells, self._all_weights, strict=True):
            for name in names:  # what is not among the parameters is computed from them
                found = self._parameters.get(name)
                cell.__dict__[_plain(name)] = getattr(self, name) if found is None else found
        return self._cells

    def _state(self, x: Tensor, hx: Any, single: bool, order: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the state as tensors (L·dirs, B, …) in the order of the rows of x (B, T, D)."""
        names = self._state_names
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size, self.hidden_size][: len(names)]
        if hx is None:
            return tuple(x.new_zeros(count, x.shape[0], size) for size in sizes)
        if len(names) > 1 and (isinstance(hx, Tensor) or len(hx) != len(names)):
            got = "a tensor" if isinstance(hx, Tensor) else f"{len(hx)} tensors"
            raise ShapeError(f"hx: got {got}; expected the pair (h, c).")
        if len(names) == 1 and not isinstance(hx, Tensor):
            raise ShapeError(f"hx: got {type(hx).__name__}; expected one tensor.")
        state = hx if len(names) > 1 else (hx,)
        checked = []
        for name, tensor, size in zip(names, state, sizes, strict=True):
            wanted = (count, size) if single else (count, x.shape[0], size)
            if tuple(tensor.shape) != wanted:
                expected = f"{wanted}, that is (layers·directions, {'' if single else 'B, '}H)"
                raise ShapeError(describe(f"shape of {name}", tuple(tensor.shape), expected))
            if tensor.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
                raise ShapeError(describe(f"dtype of {name}", tensor.dtype, f"{x.dtype}, that of input"))
            tensor = tensor.unsqueeze(1) if single else tensor
            checked.append(tensor if order is None else tensor.index_select(1, order))
        return tuple(checked)

    def _hidden(self, state: tuple[Tensor, ...]) -> Any:
        return state if len(self._state_names) > 1 else state[0]

    def _check_x(self, x: Tensor) -> None:
        weight = getattr(self, self._all_weights[0][0])
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            fix = f"Use input.to({weight.dtype}), or move the layer with .to({x.dtype})."
            raise ShapeError(describe("dtype of input", x.dtype, f"{weight.dtype}, that of the weights", fix))
        if x.shape[2] != self.input_size:
            fix = "Is batch_first as it should be?" if self.input_size in x.shape[:2] else ""
            expected = f"{self.input_size}, the layer's input_size"
            raise ShapeError(describe("features of input", x.shape[2], expected, fix))

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        state.pop("_cells", None)
        return state

    def _replicate_for_data_parallel(self) -> Any:
        replica = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._cells = None
        return replica


class RNN(_DropIn, nn.RNN):
    r"""The simple recurrent network with the calls, weights and errors of ``torch.nn.RNN``, and with lengths.

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        nonlinearity: φ, "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> rnn = RNN(3, 5, batch_first=True)
        >>> output, h_n = rnn(torch.randn(2, 4, 3), lengths=[4, 0])
        >>> output.shape, h_n[0, 1].tolist()
        (torch.Size([2, 4, 5]), [0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **unknown: Any,
    ) -> None:
        _refuse_unknown("RNN", unknown)
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(describe("nonlinearity", nonlinearity, "'tanh' or 'relu'"))
        options = (nonlinearity, bias, batch_first, dropout, bidirectional)
        nn.RNN.__init__(self, input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)

    def _make_cell(self, input_size: int) -> Cell:
        nonlinearity = "relu" if self.mode == "RNN_RELU" else "tanh"
        return elman.Elman(input_size, self.hidden_size, nonlinearity=nonlinearity, bias=self.bias, init="torch")


class LSTM(_DropIn, nn.LSTM):
    r"""Long short-term memory with the calls, weights and errors of ``torch.nn.LSTM``, and with lengths.

    .. math::
        i, f, o = \sigma(W x_t + U h_{t-1} + b), \quad g = \tanh(W_g x_t + U_g h_{t-1} + b_g), \quad
        c_t = f \odot c_{t-1} + i \odot g, \quad h_t = o \odot \tanh c_t

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        proj_size: features P of a projected output, in [0, H-1]; 0 for none.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> lstm = LSTM(3, 5, num_layers=2, batch_first=True)
        >>> output, (h_n, c_n) = lstm(torch.randn(2, 4, 3), lengths=[4, 2])
        >>> output.shape, bool((h_n[1, 1] == output[1, 1]).all())
        (torch.Size([2, 4, 5]), True)
    """

    _state_names = ("hx[0]", "hx[1]")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        options = (bias, batch_first, dropout, bidirectional, proj_size)
        nn.LSTM.__init__(self, input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)

    def _make_cell(self, input_size: int) -> Cell:
        return lstm.LSTM(input_size, self.hidden_size, proj_size=self.proj_size, bias=self.bias, init="torch")


class GRU(_DropIn, nn.GRU):
    r"""Gated recurrent unit with the calls, weights and errors of ``torch.nn.GRU``, and with lengths.

    .. math::
        r, z = \sigma(W x_t + b + U h_{t-1} + c), \quad
        n = \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + c_n)), \quad h_t = (1 - z) \odot n + z \odot h_{t-1}

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> gru = GRU(3, 5, bidirectional=True)
        >>> output, h_n = gru(torch.randn(4, 2, 3))
        >>> output.shape, h_n.shape
        (torch.Size([4, 2, 10]), torch.Size([2, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **unknown: Any,
    ) -> None:
        _refuse_unknown("GRU", unknown)
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        options = (bias, batch_first, dropout, bidirectional)
        nn.GRU.__init__(self, input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)

    def _make_cell(self, input_size: int) -> Cell:
        return gru.GRU(input_size, self.hidden_size, bias=self.bias, init="torch")


def _stacked(tensors: tuple[Tensor, ...]) -> Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


@cache
def _plain(name: str) -> str:
    """Return the cell's name of a flat parameter: weight_ih of weight_ih_l0_reverse."""
    return "_".join(name.split("_")[:2])


def _on_cuda(input: Any) -> bool:
    data = input.data if isinstance(input, PackedSequence) else input
    return bool(data.is_cuda)


def _refuse_unknown(layer: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if name == "proj_size":
            fix = "Only an LSTM has a projection."
            raise InputError(describe("proj_size", value, f"no such option of {layer}", fix))
        raise TypeError(describe(f"option of {layer}", name, f"an option of torch.nn.{layer}"))


def _check_options(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: float,
    proj_size: int = 0,
) -> None:
    """Raise for values that torch refuses, with the kind of error that it raises: some are a TypeError."""
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise InputError(describe("dropout", dropout, "a number in [0, 1]"))
    for name, flag in (("bias", bias), ("batch_first", batch_first)):
        if not isinstance(flag, bool):
            raise TypeError(describe(name, flag, "True or False"))
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int):
            raise TypeError(describe(name, size, "a whole number of 1 or more"))
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if size < 1:
            raise InputError(describe(name, size, "a whole number of 1 or more"))
    if not 0 <= proj_size < hidden_size:
        raise InputError(describe("proj_size", proj_size, "a whole number in [0, hidden_size)"))
