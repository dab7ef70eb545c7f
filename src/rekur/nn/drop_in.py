"""What the layers named as torch.nn's share: torch's module in all but the forward pass.

Axes: B batch, T time, D input features, H hidden, P projected hidden, L layers; in ``torch.nn``'s order, which is time
first unless ``batch_first``, and for states always (L·dirs, B, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rekur.cells.base import Cell
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.drop_in_checks import check_hidden, check_input
from rekur.nn.hand_over import OURS, ScriptMethods, as_leaf, current_weights, hand_over, torchs_own
from rekur.nn.lengths import Lengths, check_lengths
from rekur.scan import scan, scan_both
from rekur.scan.both import beside
from rekur.scan.layout import Layout
from rekur.scan.precision import full_precision, is_mixed
from rekur.scan.watch import records_gradients, tracing

#: the module of the layers themselves
LAYERS = "rekur.nn.torch_api"


class Borrowers:
    """The cells of all layers and directions, which have no parameters of their own.

    Args:
        cells: one a layer and direction, whose parameters are taken away.
        names: of the flat weights of each.
        options: of the layer, with which the cells were made.
    """

    def __init__(self, cells: list[Cell], names: Sequence[Sequence[str]], options: tuple[Any, ...]) -> None:
        self.cells = cells
        self.flat_names = [name for each in names for name in each]
        self.names = [tuple(map(_of_cell, each)) for each in names]
        self.options = options
        self.weights: list[Tensor] = []
        self.shapes: list[tuple[int, ...] | None] = []
        for cell, each in zip(cells, self.names, strict=True):
            for name in each:
                parameter = cell._parameters.pop(name)
                self.shapes.append(None if parameter is None else tuple(parameter.shape))

    def with_weights(self, weights: list[Tensor]) -> list[Cell]:
        """Return the cells with flat weights as plain attributes: shared, not copied.

        Raises:
            ShapeError: weights of other shapes than the layer's options say.
        """
        same = len(weights) == len(self.weights) and all(map(is_, weights, self.weights))
        if not same or torch.compiler.is_compiling():
            if not tracing():  # which would record that shapes were looked at
                self._check_shapes(weights)
            rest = iter(weights)
            for cell, names in zip(self.cells, self.names, strict=True):
                cell.__dict__.update(zip(names, rest, strict=False))
            self.weights = list(weights)
        return self.cells

    def _check_shapes(self, weights: list[Tensor]) -> None:
        for name, shape, weight in zip(self.flat_names, self.shapes, weights, strict=True):
            if tuple(weight.shape) != shape:
                expected = f"{shape or 'no such weight'}, as the layer's options say"
                raise ShapeError(describe(f"shape of {name}", tuple(weight.shape), expected))


class DropIn(nn.RNNBase):
    """What the three share: torch's module in all but the forward pass, whose cells borrow the flat parameters."""

    #: Borrowers, never saved; made at the first call of a module that became ours by its class
    _cells = None
    #: what TorchScript knows of the forward pass, which it compiles as torch.nn's
    __overloads__: ClassVar = {"forward": ["forward__0", "forward__1"]}
    _methods = ScriptMethods()

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
        weights = current_weights(self)
        context = hand_over(self, input, hx, weights) if lengths is None else None
        if context is not None:
            with context:
                return super().forward(input, hx)  # type: ignore[no-any-return]
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths, weights)
        if input.dim() not in (2, 3):
            expected = "(T, B, D), (B, T, D) with batch_first, or (T, D)"
            raise ShapeError(describe("shape of input", tuple(input.shape), expected))
        single = input.dim() == 2
        if single and lengths is not None:
            fix = "A single sequence has no padding: cut it to its length."
            raise InputError(describe("lengths", lengths, "None for an input (T, D)", fix))
        time_first = not single and not self.batch_first
        x = input.unsqueeze(0) if single else input.transpose(0, 1) if time_first else input
        check_input(self, x)
        state = check_hidden(self, x, hx, single)
        state = tuple(t.unsqueeze(1) for t in state) if single else state
        checked = check_lengths(lengths, x)
        if x.shape[1] == 0 and lengths is None:
            raise ShapeError(describe("steps of input", 0, "1 or more", "Empty rows need lengths."))
        if not (x.requires_grad or (time_first and lengths is None)) and _trains(weights):
            x = x.clone()  # as torch.nn has it: the caller may write over the input before backward
        output, after = self._run(x, state, checked, weights, time_first=time_first)
        if is_mixed(x):
            output, after = self._as_under_autocast(output, after, state, packed=lengths is not None)
        if single:
            return output.squeeze(0), self._hidden(tuple(t.squeeze(1) for t in after))
        return output, self._hidden(after)

    def _forward_packed(
        self, packed: PackedSequence, hx: Any, lengths: Lengths | None, weights: list[Tensor]
    ) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise InputError(describe("lengths", lengths, "None for a PackedSequence", "It knows its lengths."))
        if packed.data.dim() != 2:
            raise ShapeError(describe("shape of input.data", tuple(packed.data.shape), "(steps, D)"))
        x, row_lengths = _padded(packed.data, packed.batch_sizes)
        check_input(self, x)
        order, back = packed.sorted_indices, packed.unsorted_indices
        state = check_hidden(self, x, hx, False)
        state = state if order is None else tuple(t.index_select(1, order) for t in state)
        checked = check_lengths(row_lengths, x)
        output, after = self._run(x, state, checked, weights, batch_sizes=packed.batch_sizes)
        if is_mixed(x):
            output, after = self._as_under_autocast(output, after, state, packed=True)
        data = pack_padded_sequence(output, row_lengths, batch_first=True).data
        if back is not None:
            after = tuple(t.index_select(1, back) for t in after)
        return PackedSequence(data, packed.batch_sizes, order, back), self._hidden(after)

    def _run(
        self,
        x: Tensor,
        state: tuple[Tensor, ...],
        lengths: Tensor | None,
        weights: list[Tensor],
        *,
        time_first: bool = False,
        batch_sizes: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all layers over x (B, T, D); states are (L·dirs, B, …)."""
        directions = 2 if self.bidirectional else 1
        cells = self._bound_cells(weights)
        single = self.num_layers * directions == 1
        after = []
        for layer in range(self.num_layers):
            last_layer = layer + 1 == self.num_layers
            layout = Layout(time_first and last_layer, single)
            numbers = range(layer * directions, (layer + 1) * directions)
            before = [tuple(tensor[index] for tensor in state) for index in numbers]
            if directions == 1:
                x, last = scan(cells[layer], x, before[0], lengths=lengths, layout=layout)
                after.append(last)
            else:
                both = (cells[numbers[0]], cells[numbers[1]])
                (y, last), (y_back, last_back) = scan_both(both, x, before, lengths=lengths, layout=layout)
                x = beside(y, y_back)
                after += [last, last_back]
            if not last_layer and self.training and self.dropout > 0:
                x = _dropped(x, self.dropout, batch_sizes)
        if single:
            states = after[0]
        else:
            with full_precision(x):
                states = tuple(torch.stack(tensors) for tensors in zip(*after, strict=True))
        return x, states

    def _as_under_autocast(
        self, output: Tensor, after: tuple[Tensor, ...], state: tuple[Tensor, ...], *, packed: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the results of layers in float32 in the dtype in which torch.nn would give them."""
        if output.dtype != torch.float32:
            return output, after
        low = torch.get_autocast_dtype(output.device.type)
        lifted = torch.promote_types(low, state[-1].dtype)  # where steps are mixed with a state of more precision
        fused = self.mode == "LSTM" and not packed and not self.proj_size and _onednn()
        of_h = low if fused or self.proj_size or self.mode.startswith("RNN") else lifted
        dtypes = (of_h, low if fused else lifted)
        return output.to(of_h), tuple(t.to(dtype) for t, dtype in zip(after, dtypes, strict=False))

    def _bound_cells(self, weights: list[Tensor]) -> list[Cell]:
        """Return the cells of all layers and directions, with flat weights in them."""
        cells = self._cells
        if cells is None or cells.options != self._cell_options():
            cells = self._make_cells()
        return cells.with_weights(weights)

    def _cell_options(self) -> tuple[Any, ...]:
        """Return the options on which the cells depend, which may be changed on a layer that exists."""
        sizes = (self.input_size, self.hidden_size, self.proj_size, self.num_layers)
        return self.mode, self.bias, self.bidirectional, *sizes

    def _make_cell(self, input_size: int) -> Cell:
        raise NotImplementedError

    def _make_cells(self) -> Borrowers:
        directions = 2 if self.bidirectional else 1
        inner = (self.proj_size or self.hidden_size) * directions
        count = self.num_layers * directions
        if count != len(self._all_weights):
            fix = "Make a new layer: its number of layers and directions is fixed."
            expected = f"{len(self._all_weights)}, as many as have weights"
            raise ShapeError(describe("layers times directions", count, expected, fix))
        with torch.device("meta"):  # takes no memory and no random numbers
            cells = [self._make_cell(self.input_size if index < directions else inner) for index in range(count)]
        self._cells = Borrowers(cells, self._all_weights, self._cell_options())
        if type(self).__module__ == LAYERS:
            as_leaf(self)
        return self._cells

    def _hidden(self, state: tuple[Tensor, ...]) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if name not in OURS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._make_cells()

    def _replicate_for_data_parallel(self) -> Any:
        replica = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._cells = None
        return replica

    def __prepare_scriptable__(self) -> nn.RNNBase:
        """Return what ``torch.jit.script`` compiles: torch.nn's layer, where it computes the same."""
        written = type(self).forward is not DropIn.forward or "forward" in self.__dict__
        computed = any(name not in self._parameters for name in self._flat_weights_names)
        if written:  # what it computes is not what torch.nn's forward pass is compiled to
            self.__dict__["__overloads__"] = {}
        return self if written or computed else torchs_own(self)


def _onednn() -> bool:
    mkldnn: Any = torch.backends.mkldnn
    return bool(mkldnn.is_available() and mkldnn.enabled)


def _trains(weights: list[Tensor]) -> bool:
    return records_gradients() and any(weight.requires_grad for weight in weights)


def _padded(data: Tensor, batch_sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Return packed steps (N, …) as rows (B, T, …) in the order in which they are packed, and their lengths."""
    return pad_packed_sequence(PackedSequence(data, batch_sizes), batch_first=True)


def _dropped(x: Tensor, rate: float, batch_sizes: Tensor | None) -> Tensor:
    """Return x (B, T, O) with numbers dropped: those that torch.nn drops, which draws time first or packed."""
    if rate == 1:
        return x * 0
    if batch_sizes is None:
        noise = x.new_empty(x.shape[1], x.shape[0], x.shape[2])
    else:
        noise = x.new_empty(int(batch_sizes.sum()), x.shape[2])
    noise.bernoulli_(1 - rate).div_(1 - rate)
    return x * (noise.transpose(0, 1) if batch_sizes is None else _padded(noise, batch_sizes)[0])


def _of_cell(name: str) -> str:
    """Return the cell's name of a flat parameter: weight_ih of weight_ih_l0_reverse."""
    return "_".join(name.split("_")[:2])
