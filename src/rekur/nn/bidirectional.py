"""Both directions of a layer, with concatenated outputs.

Axes: B batch, T time, D input features, O output features of one direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from rekur.cells.base import State, not_scriptable
from rekur.errors import InputError, NotStreamableError, ShapeError, describe
from rekur.nn.lengths import Lengths, check_lengths
from rekur.nn.rnn import Layer
from rekur.scan import scan_both
from rekur.scan.both import beside
from rekur.scan.check import check_input


def not_streamable() -> NotStreamableError:
    """Return the error for a request to run both directions one step at a time."""
    fix = "The backward direction starts at the end: call the layer on whole sequences, or train a model with "
    expected = "False for a layer that runs one step at a time"
    return NotStreamableError(describe("bidirectional", True, expected, f"{fix}bidirectional=False."))


class Bidirectional(nn.Module):
    r"""Two layers over the same sequence, one forwards and one backwards: :math:`y_t = [\vec y_t; \overleftarrow y_t]`.

    Args:
        forward_layer: the layer that reads forwards.
        backward_layer: the layer with ``reverse=True``, which reads each row backwards from its last real step.

    Reference:
        Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997.

    Example:
        >>> import torch
        >>> from rekur.cells.elman import Elman
        >>> both = Bidirectional(Layer(Elman(3, 5)), Layer(Elman(3, 5), reverse=True))
        >>> y, (forward, backward) = both(torch.randn(2, 4, 3))
        >>> y.shape
        torch.Size([2, 4, 10])
    """

    def __init__(self, forward_layer: Layer, backward_layer: Layer) -> None:
        super().__init__()
        if forward_layer.reverse or not backward_layer.reverse:
            got = f"reverse={forward_layer.reverse} and reverse={backward_layer.reverse}"
            raise InputError(f"directions: got {got}; expected a forward layer and a backward layer.")
        if forward_layer.input_size != backward_layer.input_size:
            expected = f"{forward_layer.input_size}, that of the forward layer"
            raise InputError(describe("input_size of the backward layer", backward_layer.input_size, expected))
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer
        self.input_size = forward_layer.input_size
        self.output_size = forward_layer.output_size + backward_layer.output_size

    def initial_state(self, batch_size: int, **where: Any) -> tuple[State, State]:
        """Return the initial states of both directions; ``where`` is as for :meth:`Layer.initial_state`."""
        layers = (self.forward_layer, self.backward_layer)
        ahead, back = (layer.initial_state(batch_size, **where) for layer in layers)
        return ahead, back

    def forward(
        self, x: Tensor, state: Sequence[State] | None = None, lengths: Lengths | None = None
    ) -> tuple[Tensor, tuple[State, State]]:
        """Run both directions over whole sequences, as :meth:`Layer.forward` does with each.

        Args:
            x: (B, T, D).
            state: the initial states of the forward and the backward direction.
            lengths: int64 (B,), in [0, T]; None if every row has T.

        Returns:
            outputs (B, T, 2·O), zero beyond each row's length, and the two final states: the forward one after the
            row's last real step, the backward one after its first.
        """
        check_input(self.forward_layer.cell, x)
        checked = check_lengths(lengths, x)
        return self.run(x, state, checked)

    def run(
        self, x: Tensor, state: Sequence[State] | None, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[State, State]]:
        """Do the same as ``forward`` for checked inputs."""
        if state is not None and len(state) != 2:
            raise ShapeError(describe("directions of state", len(state), "2, forward and backward"))
        ahead, back = (None, None) if state is None else state
        layers = (self.forward_layer, self.backward_layer)
        if any(layer.checkpoint_steps for layer in layers) or layers[0].scan != layers[1].scan:
            y_ahead, ahead = layers[0].run(x, ahead, lengths)
            y_back, back = layers[1].run(x, back, lengths)
        else:
            first = self.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
            states = [
                start if state_of_direction is None else state_of_direction
                for start, state_of_direction in zip(first, (ahead, back), strict=True)
            ]
            cells = (layers[0].cell, layers[1].cell)
            (y_ahead, ahead), (y_back, back) = scan_both(cells, x, states, lengths=lengths, path=layers[0].scan)
        return beside(y_ahead, y_back), (ahead, back)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Raise NotStreamableError: the backward direction needs the whole sequence."""
        raise not_streamable()

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)
