"""Recurrent: stacked layers of any cell, in one direction or both.

Axes: B batch, T time, D input features, H hidden, O output features of one direction, L layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.cells.base import Cell, State, not_scriptable
from rekur.cells.catalog import make_cell
from rekur.errors import InputError, ShapeError, describe
from rekur.nn.bidirectional import Bidirectional, not_streamable
from rekur.nn.lengths import Lengths, check_lengths, clear_padding, first_real, last_real
from rekur.nn.rnn import Layer
from rekur.scan.check import check_input

#: the state of all layers: state[layer][direction] is the tuple of the cell's tensors, each (B, …)
StackState = tuple[tuple[State, ...], ...]


class RecurrentOutput(NamedTuple):
    """The result of :class:`Recurrent`.

    Args:
        output: (B, T, dirs·O), the top layer's output at each step; zero beyond each row's length.
        state: the final state; ``state[layer][direction]`` is a tuple of tensors (B, …): in the forward direction
            after each row's last real step, in the backward direction after its first.
        last_forward: (B, O), the forward output at each row's last real step; zeros for a row of length 0.
        last_backward: (B, O), the backward output at the first step, after reading the whole row; None for a single
            direction.
    """

    output: Tensor
    state: StackState
    last_forward: Tensor
    last_backward: Tensor | None

    @property
    def last(self) -> Tensor:
        """(B, dirs·O): the output of each direction after reading the whole row."""
        if self.last_backward is None:
            return self.last_forward
        return torch.cat((self.last_forward, self.last_backward), dim=-1)


class Recurrent(nn.Module):
    r"""Stacked layers of a cell over ragged batches, in one direction or both.

    .. math:: y^{(l)} = \mathrm{scan}(\mathrm{cell}^{(l)}, y^{(l-1)}), \quad y^{(0)} = x

    with optional normalization, dropout between the layers and residual connections, in this order:
    :math:`y^{(l)} = y^{(l-1)} + \mathrm{dropout}(\mathrm{norm}(\mathrm{scan}(\dots)))`.

    Args:
        cell: a name of the catalog such as "lstm" (``rekur cells`` lists them); a subclass of ``rekur.cells.Cell``;
            or a callable from an input size to a new cell, such as
            ``lambda input_size: LayerNorm(LSTM(input_size, 64))``.
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H of each cell, at least 1.
        num_layers: L, at least 1.
        bidirectional: whether a second cell in each layer reads each row backwards from its last real step.
        dropout: probability that an output is dropped between layers in training, in [0, 1); needs two layers or more.
        locked: whether dropout drops the same features at every step of a row.
        residual: whether each layer from the second on adds its input to its output; needs two layers or more.
        norm: whether each layer's output is layer-normalized.
        learned_state: whether the initial states are learned.
        scan: the scan that runs the cells; "auto" takes the fastest that can.
        checkpoint_steps: in training, store only the states at this interval of steps and compute the others twice; 0
            stores everything.
        cell_options: further options of the cell, for a name or a class.

    Raises:
        InputError: a value is out of range, the cell does not have an option, or an option would have no effect.

    Example:
        >>> layers = Recurrent("lstm", 3, 8, num_layers=2, bidirectional=True)
        >>> result = layers(torch.randn(2, 5, 3), lengths=torch.tensor([5, 2]))
        >>> result.output.shape, result.last.shape
        (torch.Size([2, 5, 16]), torch.Size([2, 16]))
    """

    def __init__(
        self,
        cell: str | type[Cell] | Callable[[int], Cell],
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        locked: bool = False,
        residual: bool = False,
        norm: bool = False,
        learned_state: bool = False,
        scan: str = "auto",
        checkpoint_steps: int = 0,
        **cell_options: Any,
    ) -> None:
        super().__init__()
        self.input_size = _check.size("input_size", input_size)
        self.hidden_size = _check.size("hidden_size", hidden_size)
        self.num_layers = _check.layers("num_layers", num_layers)
        self.bidirectional = _check.flag("bidirectional", bidirectional)
        self.dropout = _check.number("dropout", dropout, 0, 1, open_high=True)
        self.locked = _check.flag("locked", locked)
        self.residual = _check.flag("residual", residual)
        _check.flag("norm", norm)
        _check_has_effect(num_layers, dropout, residual)
        make = _cell_maker(cell, self.hidden_size, cell_options)

        layers: list[Layer | Bidirectional] = []
        size = self.input_size
        how: dict[str, Any] = {"learned_state": learned_state, "scan": scan, "checkpoint_steps": checkpoint_steps}
        for _ in range(num_layers):
            ahead = Layer(make(size), **how)
            if bidirectional:
                back = Layer(make(size), reverse=True, **how)
                layers.append(Bidirectional(ahead, back))
            else:
                layers.append(ahead)
            size = layers[-1].output_size
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(layer.output_size) for layer in layers if norm)
        self.output_size = size

    def initial_state(self, batch_size: int, **where: Any) -> StackState:
        """Return the initial state: ``state[layer][direction]``, tensors (B, …).

        Args:
            batch_size: rows B.
            where: as for :meth:`Layer.initial_state`.
        """
        states: list[Any] = [layer.initial_state(batch_size, **where) for layer in self._layers()]
        return tuple(states) if self.bidirectional else tuple((state,) for state in states)

    def forward(self, x: Tensor, state: StackState | None = None, lengths: Lengths | None = None) -> RecurrentOutput:
        """Run all layers over whole sequences, or over the next chunk of them.

        Args:
            x: (B, T, D); values beyond a row's length are ignored.
            state: the state before the first step, such as the ``state`` after the previous chunk; by default
                :meth:`initial_state`.
            lengths: int64 (B,), real steps of each row, in [0, T]; None if every row has T.

        Returns:
            a :class:`RecurrentOutput`.

        Raises:
            ShapeError: x, state or lengths have a wrong shape.
            InputError: lengths are out of range, or x has another dtype than the weights.
        """
        check_input(self._first_cell(), x)
        checked = check_lengths(lengths, x)
        initial = self._check_layers(state)
        y = x
        states: list[tuple[State, ...]] = []
        for index, layer in enumerate(self._layers()):
            layer_state = None if initial is None else initial[index]
            if isinstance(layer, Bidirectional):
                out, both = layer.run(y, layer_state, checked)
                states.append(both)
            else:
                out, new_state = layer.run(y, None if layer_state is None else layer_state[0], checked)
                states.append((new_state,))
            y = self._join(index, y, out)
        return self._result(clear_padding(y, checked) if self.norms else y, tuple(states), checked)

    def step(self, x: Tensor, state: StackState | None = None) -> tuple[Tensor, StackState]:
        """Run one step of every layer, as a live session does.

        Args:
            x: (B, D).
            state: the state before it; by default :meth:`initial_state`.

        Returns:
            y (B, O) and the next state.

        Raises:
            NotStreamableError: the stack is bidirectional, so it needs the whole sequence.
            ShapeError: x or state has a wrong shape.
        """
        if self.bidirectional:
            raise not_streamable()
        initial = self._check_layers(state)
        y = x
        states: list[tuple[State, ...]] = []
        for index, layer in enumerate(self._layers()):
            out, new_state = layer.step(y, None if initial is None else initial[index][0])
            states.append((new_state,))
            y = self._join(index, y, out)
        return y, tuple(states)

    def _first_cell(self) -> Cell:
        first = self._layers()[0]
        return first.cell if isinstance(first, Layer) else first.forward_layer.cell

    def _layers(self) -> list[Layer | Bidirectional]:
        return [layer for layer in self.layers if isinstance(layer, Layer | Bidirectional)]

    def _check_layers(self, state: Any) -> StackState | None:
        if state is None:
            return None
        _check_entries("state", state, self.num_layers, "layers")
        for index, entry in enumerate(state):
            _check_entries(f"state[{index}]", entry, 2 if self.bidirectional else 1, "directions")
        checked: StackState = tuple(tuple(entry) for entry in state)
        return checked

    def _join(self, index: int, x: Tensor, out: Tensor) -> Tensor:
        """Return the output of a layer from its input and its cells' output, for one step or for all."""
        if self.norms:
            out = self.norms[index](out)
        if index + 1 < self.num_layers:
            if self.locked and out.dim() == 3:
                out = locked_dropout(out, self.dropout, training=self.training)
            else:
                out = functional.dropout(out, self.dropout, self.training)
        return out + x if self.residual and index > 0 else out

    def _result(self, output: Tensor, state: StackState, lengths: Tensor | None) -> RecurrentOutput:
        if not self.bidirectional:
            return RecurrentOutput(output, state, last_real(output, lengths), None)
        half = self.output_size // 2
        ahead, back = output[..., :half], output[..., half:]
        return RecurrentOutput(output, state, last_real(ahead, lengths), first_real(back, lengths))

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        values = {"dropout": self.dropout, "residual": self.residual}
        options = "".join(f", {name}={value}" for name, value in values.items() if value)
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}{options}"


def locked_dropout(x: Tensor, probability: float, *, training: bool) -> Tensor:
    """Return x (B, T, E) with features dropped for whole sequences in training; the others are scaled up.

    Reference:
        Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, 2016.
    """
    if not (training and probability):
        return x
    keep = 1.0 - probability
    return x * (x.new_empty(x.shape[0], 1, x.shape[2]).bernoulli_(keep) / keep)


def detach_state(state: StackState) -> StackState:
    """Return the state detached from the autograd graph, for the next chunk of a long sequence.

    Example:
        >>> layers = Recurrent("gru", 3, 4)
        >>> state = layers(torch.randn(2, 5, 3)).state
        >>> detach_state(state)[0][0][0].requires_grad
        False
    """
    return tuple(tuple(tuple(t.detach() for t in cell) for cell in directions) for directions in state)


def _check_entries(thing: str, entries: Any, count: int, noun: str) -> None:
    if isinstance(entries, Tensor) or not isinstance(entries, Sequence) or len(entries) != count:
        got = "a tensor" if isinstance(entries, Tensor) else f"{len(entries)} {noun}"
        expected = f"a tuple with an entry for each of {count} {noun}"
        fix = "Give the state of a result, or initial_state(batch_size)."
        raise ShapeError(f"{thing}: got {got}; expected {expected}. {fix}")


def _check_has_effect(num_layers: int, dropout: float, residual: bool) -> None:
    if num_layers > 1:
        return
    if dropout:
        fix = "Use num_layers=2 or more; rekur.cells.wrap.RecurrentDropout around the cell; or torch.nn.Dropout on the "
        expected = "0 with num_layers=1, as it acts between layers"
        raise InputError(describe("dropout", dropout, expected, f"{fix}output."))
    if residual:
        expected = "False with num_layers=1, as it adds a layer's input from the second layer on"
        fix = "Use num_layers=2 or more, or rekur.cells.wrap.Residual around the cell."
        raise InputError(describe("residual", True, expected, fix))


def _cell_maker(
    cell: str | type[Cell] | Callable[[int], Cell], hidden_size: int, options: dict[str, Any]
) -> Callable[[int], Cell]:
    """Return a function from an input size to a new cell, checked."""
    expected = "a name, a subclass of rekur.cells.Cell, or a callable from an input size to a new cell"
    if isinstance(cell, Cell):
        fix = "One object cannot be several layers: use rekur.nn.Layer(cell), or lambda input_size: …."
        raise InputError(f"cell: got a {type(cell).__name__} object; expected {expected}. {fix}")
    if not (isinstance(cell, str) or callable(cell)):
        raise InputError(describe("cell", cell, expected))
    if isinstance(cell, str):
        return lambda input_size: make_cell(cell, input_size, hidden_size, **options)
    if isinstance(cell, type):
        kind = cell
        _check_options(kind, options)
        return lambda input_size: _checked(kind(input_size, hidden_size, **options), input_size, hidden_size)
    if options:
        fix = "Pass them to the cell inside the callable."
        raise InputError(describe("options of the cell", ", ".join(options), "none for a callable", fix))
    return lambda input_size: _checked(cell(input_size), input_size, hidden_size)


def _check_options(cell: type[Cell], options: dict[str, Any]) -> None:
    parameters = inspect.signature(cell).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    taken = ("input_size", "hidden_size")
    allowed = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.name not in taken]
    _check.no_unknown(f"option of {cell.__name__}", options, allowed)


def _checked(made: object, input_size: int, hidden_size: int) -> Cell:
    if not isinstance(made, Cell):
        raise InputError(describe("result of the callable", type(made).__name__, "a rekur.cells.Cell"))
    for name, expected in (("input_size", input_size), ("hidden_size", hidden_size)):
        if getattr(made, name) != expected:
            raise InputError(describe(f"{name} of the cell", getattr(made, name), f"{expected}, as the layer was told"))
    return made
