"""Layers over windows of steps: convolutions around a step, batch normalization of steps, one step for every few.

Channels come before time here, but in memory what the layers return has the channels of a step side by side, as
convolutions and recurrent layers read them fastest.

Axes: B batch, C input channels, O output channels, T time, K steps of a window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.nn.lengths import real_steps

#: channels up to which convolutions side by side are computed as one
_FEW_CHANNELS = 8


def mask_of(lengths: Tensor, x: Tensor) -> Tensor | None:
    """Return the mask (B, 1, T) of real steps of x (B, C, T); None if all are real."""
    if bool((lengths == x.shape[2]).all()):
        return None
    return real_steps(lengths, x.shape[2], x.device)[:, None]


def cleared(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return x (B, C, T) with zeros where the mask (B, 1, T) is False."""
    return x if mask is None else x.masked_fill(~mask, 0)


def _wide(x: Tensor) -> Tensor:
    """Return x (B, C, T) as (B, C, 1, T), with the channels of a step side by side in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class WindowConv(nn.Module):
    r"""A convolution over K steps, up to ``ahead`` of them later ones.

    .. math:: y_t = \sum_{k=0}^{K-1} W_k\, x_{t + a - K + 1 + k}, \qquad x_t = 0 \text{ beyond the ends}

    Args:
        input_size: channels C; 1 or more.
        output_size: channels O; 1 or more.
        kernel_size: steps K of a window; 1 or more.
        ahead: later steps a in it, in [0, K); 0 for a causal one.

    Example:
        >>> WindowConv(1, 2, 3, ahead=1)(torch.zeros(4, 1, 6)).shape
        torch.Size([4, 2, 6])
    """

    def __init__(self, input_size: int, output_size: int, kernel_size: int, *, ahead: int = 0) -> None:
        super().__init__()
        self.kernel_size = _check.steps_seen("kernel_size", kernel_size)
        self.ahead = _check.whole("ahead", ahead, 0, kernel_size - 1)
        sizes = _check.size("output_size", output_size), _check.size("input_size", input_size), kernel_size
        self.weight = nn.Parameter(torch.empty(sizes))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, O, T) of x (B, C, T), which is 0 beyond each row's length."""
        return _convolved(x, self.weight, self.kernel_size - 1 - self.ahead, self.ahead)


def _convolved(x: Tensor, weight: Tensor, earlier: int, ahead: int) -> Tensor:
    """Return outputs (B, O, T) of x (B, C, T); each reads ``earlier`` steps before its own and ``ahead`` behind it."""
    wide, filters = _wide(x), _wide(weight)
    if earlier == ahead:
        return functional.conv2d(wide, filters, padding=(0, ahead)).squeeze(2)
    return functional.conv2d(functional.pad(wide, (earlier, ahead)), filters).squeeze(2)


def side_by_side(convs: Sequence[WindowConv], x: Tensor) -> Tensor:
    """Return the outputs (B, O, T) of several convolutions of x (B, C, T), those of each behind those of the last.

    Convolutions of few channels are computed as a single one of the widest window, which is faster.

    Args:
        convs: one or more.
        x: 0 beyond each row's length.

    Example:
        >>> side_by_side([WindowConv(1, 2, 3, ahead=1), WindowConv(1, 3, 5, ahead=2)], torch.zeros(4, 1, 6)).shape
        torch.Size([4, 5, 6])
    """
    if x.shape[1] > _FEW_CHANNELS:
        return torch.cat([conv(x).unsqueeze(2) for conv in convs], dim=1).squeeze(2)
    earlier = [conv.kernel_size - 1 - conv.ahead for conv in convs]
    most, ahead = max(earlier), max(conv.ahead for conv in convs)
    weights = [
        functional.pad(conv.weight, (most - steps, ahead - conv.ahead))
        for conv, steps in zip(convs, earlier, strict=True)
    ]
    return _convolved(x, torch.cat(weights), most, ahead)


class StepNorm(nn.Module):
    r"""Batch normalization over the real steps of a batch.

    .. math:: y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta

    In training the moments are those of the batch; running averages of them serve afterwards.

    Args:
        size: channels C.
        momentum: share of a batch in the running averages, in (0, 1].
        epsilon: added to variances.

    Reference:
        Ioffe and Szegedy, Batch Normalization, 2015.

    Example:
        >>> StepNorm(2)(torch.randn(4, 2, 6)).mean(dim=(0, 2)).abs().max() < 1e-5
        tensor(True)
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, *, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.gain = nn.Parameter(torch.ones(_check.size("size", size)))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return x (B, C, T) normalized; ``mask`` (B, 1, T) is True at real steps, None if all are."""
        if not self.training:
            return self._scaled(x, self.mean, self.variance)
        rows = None if mask is None else torch.nonzero(mask.flatten())[:, 0]
        if (x.shape[0] * x.shape[2] if rows is None else len(rows)) < 2:
            return self._of_one(x, mask)
        if rows is None:
            return self._normalized(_wide(x)).squeeze(2)
        flat = x.transpose(1, 2).flatten(0, 1)
        normalized = self._normalized(flat.index_select(0, rows))
        padded = normalized.new_zeros(flat.shape).index_copy_(0, rows, normalized)
        return padded.view(len(x), x.shape[2], x.shape[1]).transpose(1, 2)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return factor and summand (C,) of each channel after training."""
        factor = self.gain / (self.variance + self.epsilon).sqrt()
        return factor, self.bias - self.mean * factor

    def _normalized(self, x: Tensor) -> Tensor:
        """Return x (N, C, …) normalized by its own moments, which enter the running averages."""
        running = self.mean, self.variance
        return functional.batch_norm(x, *running, self.gain, self.bias, True, self.momentum, self.epsilon)

    def _of_one(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return x (B, C, T) normalized by one real step, or none."""
        real = x if mask is None else cleared(x, mask)
        mean = real.sum(dim=(0, 2))
        with torch.no_grad():
            self.mean.lerp_(mean.to(self.mean.dtype), self.momentum)
            self.variance.mul_(1 - self.momentum)
        return self._scaled(x, mean, torch.zeros_like(mean))

    def _scaled(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        factor = self.gain / (variance + self.epsilon).sqrt()
        return x * factor[:, None] + (self.bias - mean * factor)[:, None]


def sampled(x: Tensor, steps: int, function: str) -> Tensor:
    """Return one step for every few: of the first one, and then of each ``steps`` steps that follow, the max or mean.

    Args:
        x: (B, C, T).
        steps: steps of a window, 1 or more.
        function: ``max`` or ``mean``.

    Returns:
        (B, C, ⌈T / steps⌉). A step depends on the steps up to its window's end alone, so that padding is inert.

    Example:
        >>> sampled(torch.arange(5.0).view(1, 1, 5), 2, "mean").tolist()
        [[[0.0, 1.5, 3.5]]]
    """
    if steps == 1:
        return x
    if function == "max":
        padded = functional.pad(_wide(x), (steps - 1, 0), value=float("-inf"))
        return functional.max_pool2d(padded, (1, steps)).squeeze(2)
    total = functional.avg_pool1d(functional.pad(x, (steps - 1, 0)), steps)
    return torch.cat([total[..., :1] * steps, total[..., 1:]], dim=2)


def sampled_lengths(lengths: Tensor, steps: int) -> Tensor:
    """Return the lengths ⌈T / steps⌉ of what :func:`sampled` makes of rows."""
    return torch.div(lengths + steps - 1, steps, rounding_mode="floor")


def standardized(x: Tensor, lengths: Tensor, mask: Tensor | None, epsilon: float) -> Tensor:
    """Return each channel of each row minus its mean over real steps, divided by its deviation, at least ``epsilon``.

    Args:
        x: (B, C, T), zero beyond each row's length.
        lengths: (B,).
        mask: (B, 1, T) of real steps; None if all are.
        epsilon: the smallest divisor.
    """
    wide = x.double()
    count = lengths.to(x.device).clamp(min=1)[:, None, None]
    wide = cleared(wide - wide.sum(dim=2, keepdim=True) / count, mask)
    deviation = (wide.square().sum(dim=2, keepdim=True) / count).sqrt().clamp(min=epsilon)
    return (wide / deviation).to(x.dtype)
