"""How the weights of a cell begin.

``init="rekur"``: every gate block of the input product Xavier-uniform, of the recurrent product orthogonal
(a long product of such matrices neither grows nor fades), biases zero, the forget gate open.
``init="torch"``: every parameter uniform in ±1/√H and in PyTorch's order: a seed gives PyTorch's numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rekur._check import number
from rekur.errors import InputError, describe

INITS = ("rekur", "torch")


def uniform_like_torch(cell: nn.Module, hidden_size: int) -> None:
    """Fill every parameter from U(-1/√H, 1/√H), in the order in which the parameters were registered."""
    bound = 1.0 / math.sqrt(hidden_size)
    for parameter in cell.parameters():
        nn.init.uniform_(parameter, -bound, bound)


def xavier_blocks(weight: Tensor, block_size: int) -> None:
    """Fill each block of ``block_size`` rows Xavier-uniform, as if it were a matrix of its own."""
    with torch.no_grad():
        for block in weight.chunk(weight.shape[0] // block_size):
            nn.init.xavier_uniform_(block)


def orthogonal_blocks(weight: Tensor, block_size: int) -> None:
    """Fill each block of ``block_size`` rows with an orthogonal matrix."""
    with torch.no_grad():
        for block in weight.chunk(weight.shape[0] // block_size):
            if block.dtype.itemsize < 4:  # PyTorch has the decomposition for wider numbers only
                block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=torch.float32)))
            else:
                nn.init.orthogonal_(block)


def fill_block(bias: Tensor | None, block: int, block_size: int, value: float) -> None:
    """Set one gate's block of a bias, if there is a bias."""
    if bias is not None:
        with torch.no_grad():
            bias[block * block_size : (block + 1) * block_size] = value


def zeros(*parameters: Tensor | None) -> None:
    """Fill what is there with zeros."""
    for parameter in parameters:
        if parameter is not None:
            nn.init.zeros_(parameter)


def check_forget_bias(value: float, usual: float, *, init: str, bias: bool) -> float:
    """Return the forget bias, which takes effect with init="rekur" and bias=True, or say why it would not."""
    checked = number("forget_bias", value)
    if checked != usual and init == "torch":
        fix = 'Use init="rekur" to choose it: init="torch" draws every bias from PyTorch\'s uniform range.'
        raise InputError(describe("forget_bias", value, f'{usual} with init="torch"', fix))
    if checked != usual and not bias:
        raise InputError(describe("forget_bias", value, f"{usual} with bias=False", "Use bias=True."))
    return checked
