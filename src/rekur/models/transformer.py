"""A plain Transformer in the place of the recurrent layers, for comparisons: it has no program, and never runs live.

Axes: B batch, T time, W steps before a chunk, D input features, H hidden, N heads, E features of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur.nn.lengths import Lengths, check_lengths, clear_padding, last_real, real_steps
from rekur.nn.stack import RecurrentOutput, locked_dropout

#: heads of every layer, and how many times wider its two feed-forward products are in between
HEADS, WIDER = 4, 4
#: steps that a causal layer looks back, across chunks too
WINDOW = 256
#: the longest wave of the positions, in steps, over 2π
LONGEST_WAVE = 10_000.0

State = tuple[Tensor, ...]


def is_transformer(model: nn.Module) -> bool:
    """Return whether a model has layers of a Transformer, and so no program."""
    return any(isinstance(module, TransformerLayer) for module in model.modules())


class TransformerLayer(nn.Module):
    r"""One layer of a Transformer: attention to other steps, then two products at each step; norms stand before both.

    .. math:: y = x + W_o\,\mathrm{attend}(\mathrm{norm}(x)), \qquad
        z = y + W_2\,\mathrm{gelu}(W_1\,\mathrm{norm}(y))

    Queries and keys are turned by their positions, so that only distances count. A causal layer attends to its own step
    and to the ``WINDOW`` before it, in an earlier chunk too; another attends to all real steps.

    Args:
        input_size: features D of a step, at least 1; a linear layer is put in front where D differs from H.
        hidden_size: features H, at least 1.
        causal: whether it sees no later step.
        last: whether the outputs are normalized, as those of the last layer are.

    References: Vaswani et al. 2017, arXiv:1706.03762; Xiong et al. 2020, arXiv:2002.04745 (norms in front); Su et al.
    2021, arXiv:2104.09864 (turned queries and keys); Dai et al. 2019, arXiv:1901.02860 (inputs of earlier chunks).

    Example:
        >>> layer = TransformerLayer(3, 8, causal=True)
        >>> outputs, state = layer.run(torch.zeros(2, 5, 3), None, None)
        >>> outputs.shape, [tuple(part.shape) for part in state]
        (torch.Size([2, 5, 8]), [(2, 256, 8), (2,)])
    """

    def __init__(self, input_size: int, hidden_size: int, *, causal: bool, last: bool = False) -> None:
        super().__init__()
        self.causal, self.output_size = causal, hidden_size
        self.features = 2 * math.ceil(hidden_size / (2 * HEADS))  # of a head: pairs of them are turned
        self.enter = nn.Linear(input_size, hidden_size) if input_size != hidden_size else None
        self.norm_attend, self.norm_wide = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        self.query = nn.Linear(hidden_size, HEADS * self.features)
        self.key_value = nn.Linear(hidden_size, 2 * HEADS * self.features)
        self.attended = nn.Linear(HEADS * self.features, hidden_size)
        self.wide = nn.Linear(hidden_size, WIDER * hidden_size)
        self.narrow = nn.Linear(WIDER * hidden_size, hidden_size)
        self.norm_last = nn.LayerNorm(hidden_size) if last else None

    def initial_state(self, batch_size: int, *, device: torch.device | None = None) -> State:
        """Return the state before the first step: normed inputs of earlier steps (B, W, H), and their number (B,)."""
        if not self.causal:
            return ()
        inputs = self.attended.weight.new_zeros(batch_size, WINDOW, self.output_size)
        return inputs.to(device), torch.zeros(batch_size, dtype=torch.int64, device=inputs.device).to(device)

    def run(
        self, x: Tensor, state: State | None, lengths: Tensor | None, weights: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Return the outputs of a chunk (B, T, H) and the state behind it.

        Args:
            x: (B, T, D).
            state: the state before it; None for the initial one.
            lengths: real steps of each row, (B,); None if every row has T.
            weights: none; recurrent layers take theirs after dropout.
        """
        x = clear_padding(x, lengths)
        if self.enter is not None:
            x = self.enter(x)
        inputs = self.norm_attend(x)
        new_state: State = ()
        carried = None
        if self.causal:
            seen, count = self.initial_state(len(x), device=x.device) if state is None else state
            if state is not None:
                carried = (seen.to(inputs.dtype), count)
            new_state = _state_behind(seen, count, inputs, lengths)
        y = x + self.attended(self._attend(inputs, carried, lengths))
        y = y + self.narrow(functional.gelu(self.wide(self.norm_wide(y))))
        if self.norm_last is not None:
            y = self.norm_last(y)
        return clear_padding(y, lengths), new_state

    def _attend(self, inputs: Tensor, carried: tuple[Tensor, Tensor] | None, lengths: Tensor | None) -> Tensor:
        """Return what each step gathers, (B, T, N · E)."""
        rows, steps = inputs.shape[:2]
        context = inputs if carried is None else torch.cat([carried[0], inputs], dim=1)
        earlier = context.shape[1] - steps
        positions = torch.arange(context.shape[1], device=inputs.device)
        query = self.query(inputs).view(rows, steps, HEADS, self.features).transpose(1, 2)
        both = self.key_value(context).view(rows, len(positions), 2, HEADS, self.features).permute(2, 0, 3, 1, 4)
        query, key = turned(query, positions[earlier:]), turned(both[0], positions)
        allowed = self._allowed(positions, earlier, carried, lengths)
        gathered = functional.scaled_dot_product_attention(query, key, both[1], attn_mask=allowed)
        return gathered.transpose(1, 2).reshape(rows, steps, HEADS * self.features)

    def _allowed(
        self, positions: Tensor, earlier: int, carried: tuple[Tensor, Tensor] | None, lengths: Tensor | None
    ) -> Tensor | None:
        """Return the attention mask, bool (B or 1, 1, T, W + T), True where attention is allowed; None for all."""
        if not self.causal:
            if lengths is None:
                return None
            real = real_steps(lengths.clamp(min=1), len(positions), positions.device)  # something, in an empty row too
            return real[:, None, None]
        distance = positions[earlier:, None] - positions
        allowed = ((distance >= 0) & (distance <= WINDOW))[None, None]
        if carried is None:
            return allowed
        return allowed & (positions >= (earlier - carried[1])[:, None])[:, None, None]


def turned(vectors: Tensor, positions: Tensor) -> Tensor:
    r"""Return vectors (…, T, E) whose pairs of features are turned by angles that grow with their positions (T,).

    .. math:: (a, b) \mapsto (a \cos \omega t - b \sin \omega t,\ a \sin \omega t + b \cos \omega t)

    Example:
        >>> pair = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> turned(pair, torch.tensor([0, 1]))[1]
        tensor([0.5403, 0.8415])
    """
    half = vectors.shape[-1] // 2
    waves = LONGEST_WAVE ** (-torch.arange(half, device=vectors.device, dtype=torch.float32) / half)
    angles = positions[:, None].to(torch.float32) * waves
    cosines, sines = angles.cos().to(vectors.dtype), angles.sin().to(vectors.dtype)
    first, second = vectors[..., :half], vectors[..., half:]
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)


def _state_behind(seen: Tensor, count: Tensor, inputs: Tensor, lengths: Tensor | None) -> State:
    """Return the last normed inputs of each row (B, W, H), and how many of them are real (B,)."""
    joined = torch.cat([seen, inputs.to(seen.dtype)], dim=1)
    if lengths is None:
        return joined[:, inputs.shape[1] :], (count + inputs.shape[1]).clamp(max=WINDOW)
    lengths = lengths.to(inputs.device)
    rows = torch.arange(len(inputs), device=inputs.device)[:, None]
    places = lengths[:, None] + torch.arange(WINDOW, device=inputs.device)
    return joined[rows, places], (count + lengths).clamp(max=WINDOW)


class TransformerStack(nn.Module):
    """Layers of a Transformer with the interface of :class:`rekur.nn.Recurrent`.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: features H of each layer, at least 1.
        num_layers: number of layers, at least 1.
        causal: whether no step sees a later one.
        dropout: probability that an output is dropped between layers in training, in [0, 1).
        locked: whether dropout drops the same features at every step of a row.

    Example:
        >>> stack = TransformerStack(3, 8, num_layers=2, causal=False)
        >>> stack(torch.randn(2, 5, 3), lengths=torch.tensor([5, 2])).output.shape
        torch.Size([2, 5, 8])
    """

    #: its outputs are no two halves of two directions
    bidirectional = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int,
        causal: bool,
        dropout: float = 0.0,
        locked: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.locked, self.output_size = dropout, locked, hidden_size
        sizes = [input_size, *[hidden_size] * num_layers]
        self.layers = nn.ModuleList(
            TransformerLayer(size, hidden_size, causal=causal, last=number == num_layers)
            for number, size in enumerate(sizes[:-1], start=1)
        )

    def initial_state(self, batch_size: int, **where: Any) -> tuple[tuple[State, ...], ...]:
        """Return the state before the first step: ``state[layer][0]``, tensors (B, …)."""
        return tuple((layer.initial_state(batch_size, **where),) for layer in self._layers())

    def forward(self, x: Tensor, state: Any = None, lengths: Lengths | None = None) -> RecurrentOutput:
        """Return the outputs (B, T, H) of whole sequences, or of the next chunk of them, and the state behind.

        Args:
            x: (B, T, D); values beyond a row's length are ignored.
            state: the state before the first step.
            lengths: int64 (B,), real steps of each row, in [0, T]; None if every row has T.
        """
        checked, states = check_lengths(lengths, x), []
        for number, layer in enumerate(self._layers()):
            if number and self.locked:
                x = locked_dropout(x, self.dropout, training=self.training)
            elif number:
                x = functional.dropout(x, self.dropout, self.training)
            x, new_state = layer.run(x, None if state is None else state[number][0], checked)
            states.append((new_state,))
        return RecurrentOutput(x, tuple(states), last_real(x, checked), None)

    def _layers(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]
