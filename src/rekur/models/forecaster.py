"""The network that forecasts a horizon: an encoder, one step a segment, a gate over plain forecasts, a correction.

Axes: B batch, S steps of the look-back, D numbers of a step, A segments of the horizon, M steps of a segment, E numbers
of a segment, H = A · M steps of the horizon, C channels, K candidates, Q quantiles, Z numbers of a hidden row.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur.models.batch import Batch, ItemNetwork
from rekur.models.encoder import Encoder, make_spec_cell
from rekur.models.forecaster_spec import ForecasterSpec
from rekur.models.making import making
from rekur.nn import Recurrent
from rekur.nn.stack import StackState

#: standard deviation of a normal error whose mean absolute value is 1
_DEVIATION = math.sqrt(math.pi / 2)


class ForecasterMember(nn.Module):
    r"""One network of a forecaster.

    From the last state :math:`s` of the encoder one step reads each segment's row :math:`a`; of its output and its
    input, :math:`z`, linear layers that start at zero give a gate, a correction and the increments of quantiles:

    .. math:: \hat y = \sum_k \mathrm{softmax}_k(p + \lambda G z)\,c_k + \lambda V z, \quad
              q_{j+1} = q_j + \sigma\,\mathrm{softplus}(b_j + U_j z)

    with the candidates :math:`c`, the logarithms :math:`p` of their weights, and the expected error :math:`\sigma`.
    The factor :math:`\lambda` is 1 in training and 1 - ``shrinkage`` in use: forecasts stay a little nearer to the
    plain ones. The untrained median is the weighted combination of the candidates, and the untrained quantiles are
    those of a normal distribution around it.

    Args:
        spec: the specification.
    """

    def __init__(self, spec: ForecasterSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec)
        points = spec.segment * spec.channels
        width = spec.ahead_size + points * spec.candidates
        self.decoder = Recurrent(
            lambda size: make_spec_cell(spec, size),
            width,
            spec.hidden_size,
            num_layers=spec.num_layers,
            dropout=spec.dropout if spec.num_layers > 1 else 0.0,
            locked=True,
            residual=spec.residual,
            norm=spec.norm,
        )
        hidden = self.decoder.output_size + width
        self.gate = _zero_linear(hidden, points * spec.candidates)
        self.correction = _zero_linear(hidden, points)
        self.increments = _zero_linear(hidden, points * (len(spec.quantiles) - 1))
        gaps = torch.tensor(_normal_gaps(spec.quantiles))
        with torch.no_grad():
            self.increments.bias.copy_(gaps.expm1().log().repeat(points))

    def forward(self, steps: Tensor, ahead: Tensor, lengths: Tensor) -> Tensor:
        """Return the quantiles (B, H, C, Q), in the unit of the candidates.

        Args:
            steps: the look-back, (B, S, D).
            ahead: the horizon, (B, A, E); see :mod:`rekur.models.forecaster_spec`.
            lengths: real steps of each look-back, int64 (B,).
        """
        spec = self.spec
        rows = len(steps) * spec.segments
        points = (rows, spec.segment, spec.channels)
        x, candidates, prior, error = self._blocks(ahead.reshape(rows, -1))
        state = _repeat(self.encoder.run(steps, lengths).state, spec.segments)
        read = torch.cat([x, torch.asinh(candidates)], dim=-1)
        z = torch.cat([self.decoder(read[:, None], state).output[:, 0], read], dim=-1)
        z = functional.dropout(z, spec.dropout, self.training)
        factor = 1.0 if self.training else 1 - spec.shrinkage
        gate, correction = factor * self.gate(z), factor * self.correction(z)
        gate = gate.view(*points, spec.candidates) + prior.view(rows, 1, spec.channels, spec.candidates)
        median = (gate.softmax(dim=-1) * candidates.view(gate.shape)).sum(dim=-1) + correction.view(points)
        increments = functional.softplus(self.increments(z)).view(*points, -1) * error.view(*points, 1)
        below, above = torch.tensor_split(increments, [spec.median], dim=-1)
        lower = median[..., None] - below.flip(-1).cumsum(dim=-1).flip(-1)
        upper = median[..., None] + above.cumsum(dim=-1)
        quantiles = torch.cat([lower, median[..., None], upper], dim=-1)
        return quantiles.view(len(steps), spec.horizon, spec.channels, -1)

    def _blocks(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the blocks of rows (R, E): inputs, candidates, logarithms of weights, expected errors."""
        spec = self.spec
        points = spec.segment * spec.channels
        sizes = [spec.ahead_size, points * spec.candidates, spec.channels * spec.candidates, points]
        return torch.split(rows, sizes, dim=-1)


class Forecaster(ItemNetwork):
    """A network that forecasts all steps of a horizon at once, as rising quantiles: the mean of its members.

    It reads the inputs ``steps`` and ``ahead``, and a row of its outputs is (H, C, Q); both are described in
    :mod:`rekur.models.forecaster_spec`. In training the loss is the mean of those of the members.

    Args:
        spec: the specification.

    Example:
        >>> spec = ForecasterSpec(input_size=4, cell="gru", hidden_size=8, horizon=6, segment=3, candidates=2)
        >>> inputs = {"steps": torch.zeros(1, 5, 4), "ahead": torch.ones(1, spec.segments, spec.ahead_width)}
        >>> outputs, loss = Forecaster(spec)(Batch(inputs, torch.tensor([5])))
        >>> outputs.shape, loss
        (torch.Size([1, 42]), None)
    """

    #: a window is read anew whenever a value comes
    streams = True

    def __init__(self, spec: ForecasterSpec) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(ForecasterMember(spec) for _ in range(spec.members))

    def outputs(self, batch: Batch) -> Tensor:
        """Return the quantiles of windows, (B, H · C · Q)."""
        return self._of_members(batch).mean(dim=0)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the outputs of a batch, and in training the mean loss of the members, else the loss of their mean."""
        if not self.training or batch.targets is None or self.criterion is None:
            return super().forward(batch)
        outputs = self._of_members(batch)
        count = len(outputs)
        weights = None if batch.weights is None else batch.weights.repeat(count)
        targets = batch.targets.repeat(count, *[1] * (batch.targets.dim() - 1))
        with torch.autocast(outputs.device.type, enabled=False):  # losses are summed in full precision
            loss = self.criterion.loss(outputs.float().flatten(0, 1), targets, batch.lengths.repeat(count), weights)
        return outputs.mean(dim=0), loss

    def _of_members(self, batch: Batch) -> Tensor:
        """Return the outputs of each member, (members, B, H · C · Q)."""
        steps, ahead = batch.inputs["steps"], batch.inputs["ahead"]
        return torch.stack([member(steps, ahead, batch.lengths).flatten(1) for member in self.members])


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _normal_gaps(quantiles: tuple[float, ...]) -> list[float]:
    """Return the distances of quantiles of a normal distribution with a mean absolute error of 1."""
    values = [NormalDist(sigma=_DEVIATION).inv_cdf(quantile) for quantile in quantiles]
    return [high - low for low, high in pairwise(values)]


def _repeat(state: StackState, times: int) -> StackState:
    """Return a state (B, …) with each row as many times, one after the other."""
    return tuple(
        tuple(tuple(tensor.repeat_interleave(times, dim=0) for tensor in cell) for cell in directions)
        for directions in state
    )


def build_forecaster(spec: ForecasterSpec, *, seed: int | None = None) -> Forecaster:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> spec = ForecasterSpec(input_size=4, cell="gru", hidden_size=8, horizon=6, segment=3, candidates=2)
        >>> sum(weight.numel() for weight in build_forecaster(spec, seed=0).parameters())
        1125
    """
    with making(seed):
        return Forecaster(spec)
