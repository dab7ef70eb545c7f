"""The ridge branch beside a network of series: numbers of fixed convolutions, and one or more matrices.

Axes: B batch, T time, D numbers of a step, F numbers of a series, K scores, M matrices.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rekur._convolutions import KERNELS
from rekur._shares import Shares, in_blocks
from rekur.models.branch_spec import BranchSpec


class ShareBranch(nn.Module):
    """Scores of series by matrices of numbers of fixed convolutions; nothing of it is trained by gradients.

    Args:
        spec: the specification.

    Example:
        >>> branch = ShareBranch(BranchSpec(input_size=1, output_size=2, members=3))
        >>> branch(torch.randn(4, 20, 1), torch.tensor([20, 5, 0, 9])).shape
        torch.Size([3, 4, 2])
    """

    bias: Tensor
    channels: Tensor
    matrices: Tensor
    offsets: Tensor

    def __init__(self, spec: BranchSpec) -> None:
        super().__init__()
        self.spec = spec
        combinations = len(KERNELS) * len(spec.dilations)
        self.register_buffer("bias", torch.zeros(spec.pairs))
        self.register_buffer("channels", torch.zeros(combinations, spec.input_size))
        self.register_buffer("matrices", torch.zeros(spec.members, spec.output_size, spec.size))
        self.register_buffer("offsets", torch.zeros(spec.members, spec.output_size))

    @classmethod
    def of(cls, shares: Shares, weights: NDArray[Any], bias: NDArray[Any], *, stride: int, quarters: int) -> Self:
        """Return the branch of fitted ridges.

        Args:
            shares: the convolutions with their biases.
            weights: of each ridge, (M, K, F).
            bias: (M, K).
            stride: steps that are averaged to one.
            quarters: weight of the branch in the answer.
        """
        members, outputs, _ = weights.shape
        spec = BranchSpec(
            input_size=shares.channels.shape[1],
            output_size=outputs,
            members=members,
            dilations=tuple(shares.dilations.tolist()),
            biases=tuple(shares.counts.tolist()),
            numbers=shares.numbers,
            stride=stride,
            quarters=quarters,
        )
        branch = cls(spec)
        arrays = {"bias": shares.biases, "channels": shares.channels, "matrices": weights, "offsets": bias}
        for name, array in arrays.items():
            getattr(branch, name).copy_(torch.from_numpy(np.asarray(array, np.float32)))
        return branch

    def shares(self) -> Shares:
        """Return the convolutions with their biases."""
        dilations, counts = (np.array(each, np.int64) for each in (self.spec.dilations, self.spec.biases))
        channels = (self.channels.cpu().numpy() > 0.5).astype(np.uint8)
        return Shares(dilations, counts, channels, self.bias.cpu().float().numpy(), self.spec.numbers)

    @torch.no_grad()
    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of each matrix, (M, B, K), of series (B, T, D) of lengths (B,)."""
        if not len(steps):
            return steps.new_zeros(self.spec.members, 0, self.spec.output_size)
        rows = steps.detach().cpu().float().numpy()
        series = [in_blocks(row[:length], self.spec.stride) for row, length in zip(rows, lengths.tolist(), strict=True)]
        table = torch.from_numpy(self.shares().of(series)).to(self.matrices.device, torch.float64)
        scores = torch.einsum("bf,mkf->mbk", table, self.matrices.double()) + self.offsets[:, None]
        return scores.to(self.offsets.dtype)
