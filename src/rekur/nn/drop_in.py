"""What the layers named as torch.nn's share: torch's module in all but the forward pass.

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

from rekur.cells.base import Cell
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.drop_in_checks import check_hidden, check_input
from rekur.nn.lengths import Lengths, check_lengths
from rekur.scan import scan, scan_both


class DropIn(nn.RNNBase):
    """What the three share: torch's module in all but the forward pass, whose cells borrow the flat parameters."""

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
        check_input(self, x)
        state = check_hidden(self, x, hx, single)
        state = tuple(t.unsqueeze(1) for t in state) if single else state
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
        check_input(self, x)
        order, back = packed.sorted_indices, packed.unsorted_indices
        state = check_hidden(self, x, hx, False)
        state = state if order is None else tuple(t.index_select(1, order) for t in state)
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

    def _hidden(self, state: tuple[Tensor, ...]) -> Any:
        return state if self.mode == "LSTM" else state[0]

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        state.pop("_cells", None)
        return state

    def _replicate_for_data_parallel(self) -> Any:
        replica = super()._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._cells = None
        return replica


def _stacked(tensors: tuple[Tensor, ...]) -> Tensor:
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(tensors)


@cache
def _plain(name: str) -> str:
    """Return the cell's name of a flat parameter: weight_ih of weight_ih_l0_reverse."""
    return "_".join(name.split("_")[:2])


def _on_cuda(input: Any) -> bool:
    data = input.data if isinstance(input, PackedSequence) else input
    return bool(data.is_cuda)
