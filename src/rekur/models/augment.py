"""Random changes to series in training, under which their labels stay what they are.

Axes: B batch, C channels, T time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Beta

#: of half of the series each: the largest share that is cut away, and the sizes of the waves that bend time
_SLICED, _BENT = 0.15, (0.3, 0.15, 0.1)
#: deviations of the factor's logarithm and of the offset of each channel, and the largest of the noise
_FACTOR, _OFFSET, _NOISE = 0.1, 0.1, 0.1
#: of the shares in which two series are mixed
_MIX = 0.2


def augmented(x: Tensor, lengths: Tensor, strength: float) -> Tensor:
    r"""Return series in other forms: cut and stretched back, bent in time, scaled, moved, with noise.

    Each is read at the times :math:`s + c\,(u + \sum_k a_k \sin(\pi k u) / (\pi k))` with :math:`u` its time from 0 to
    1, and with linear interpolation; half of them are cut (c < 1), half are bent (a ≠ 0). Then every channel is
    multiplied by :math:`e^{0.1 z}` and moved by :math:`0.1 z`, and noise of a deviation up to 0.1 is added.

    Args:
        x: (B, C, T), about standardized.
        lengths: real steps of each row, (B,).
        strength: factor of all changes; 0 for none.
    """
    if not strength:
        return x
    rows, channels, steps = x.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, device=x.device, dtype=x.dtype)

    last = (lengths.to(x.device).clamp(min=1) - 1).to(x.dtype)[:, None]
    u = torch.arange(steps, device=x.device, dtype=x.dtype) / last.clamp(min=1)
    share = 1 - min(1.0, strength) * _SLICED * uniform(rows, 1) * (uniform(rows, 1) < 0.5)
    bends = (uniform(rows, 1) < 0.5).to(x.dtype)
    bent = u
    for number, size in enumerate(_BENT, start=1):
        wave = min(1.0, strength) * size * (2 * uniform(rows, 1) - 1) * bends
        bent = bent + wave * torch.sin(math.pi * number * u) / (math.pi * number)
    times = ((1 - share) * uniform(rows, 1) + share * bent).clamp(0, 1) * last
    lower = times.floor()
    at = lower.long()[:, None].expand(-1, channels, -1)
    weight = (times - lower)[:, None]
    above = torch.minimum(at + 1, last.long()[:, None].expand_as(at))
    x = torch.lerp(x.gather(2, at), x.gather(2, above), weight.expand_as(x))
    factor = torch.exp(strength * _FACTOR * torch.randn(rows, channels, 1, device=x.device, dtype=x.dtype))
    offset = strength * _OFFSET * torch.randn(rows, channels, 1, device=x.device, dtype=x.dtype)
    return x * factor + offset + strength * _NOISE * uniform(rows, 1, 1) * torch.randn_like(x)


def cut(steps: Tensor, lengths: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Return series of at most ``longest`` steps, longer ones from a random place on, and their lengths.

    Args:
        steps: (B, T, D).
        lengths: (B,).
        longest: the most steps; 0 for any number.
    """
    if not longest or steps.shape[1] <= longest:
        return steps, lengths
    free = (lengths - longest).clamp(min=0)
    first = (torch.rand(len(steps)).to(free.device) * (free + 1)).long().clamp(max=free)
    at = first[:, None] + torch.arange(longest, device=free.device)
    at = at.clamp(max=steps.shape[1] - 1).to(steps.device)
    return steps.gather(1, at[..., None].expand(-1, -1, steps.shape[2])), lengths.clamp(max=longest)


def mixing(rows: int, chance: float) -> tuple[float, Tensor] | None:
    """Return the share that each row keeps, and the order of the rows that it is mixed with; None to mix none."""
    if rows < 2 or not chance or float(torch.rand(())) >= chance:
        return None
    return float(Beta(_MIX, _MIX).sample()), torch.randperm(rows)
