"""RNN, LSTM and GRU with the calls, weights and errors of ``torch.nn``'s, and with lengths.

Axes: B batch, T time, D input features, H hidden, P projected hidden, L layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rekur.cells import elman, gru, lstm
from rekur.cells.base import Cell
from rekur.errors import InputError, describe
from rekur.nn.drop_in import DropIn
from rekur.nn.drop_in_checks import check_options, refuse_unknown


class RNN(DropIn, nn.RNN):
    r"""The simple recurrent network with the calls, weights and errors of ``torch.nn.RNN``, and with lengths.

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        nonlinearity: φ, "tanh" or "relu".
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> rnn = RNN(3, 5, batch_first=True)
        >>> output, h_n = rnn(torch.randn(2, 4, 3), lengths=[4, 0])
        >>> output.shape, h_n[0, 1].tolist()
        (torch.Size([2, 4, 5]), [0.0, 0.0, 0.0, 0.0, 0.0])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown("RNN", unknown)
        check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        if nonlinearity not in ("tanh", "relu"):
            raise InputError(describe("nonlinearity", nonlinearity, "'tanh' or 'relu'"))
        options = (nonlinearity, bias, batch_first, dropout, bidirectional)
        super().__init__(input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)
        self._make_cells()

    def _make_cell(self, input_size: int) -> Cell:
        nonlinearity = "relu" if self.mode == "RNN_RELU" else "tanh"
        return elman.Elman(input_size, self.hidden_size, nonlinearity=nonlinearity, bias=self.bias, init="torch")


class LSTM(DropIn, nn.LSTM):
    r"""Long short-term memory with the calls, weights and errors of ``torch.nn.LSTM``, and with lengths.

    .. math::
        i, f, o = \sigma(W x_t + U h_{t-1} + b), \quad g = \tanh(W_g x_t + U_g h_{t-1} + b_g), \quad
        c_t = f \odot c_{t-1} + i \odot g, \quad h_t = o \odot \tanh c_t

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        proj_size: features P of a projected output, in [0, H-1]; 0 for none.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> lstm = LSTM(3, 5, num_layers=2, batch_first=True)
        >>> output, (h_n, c_n) = lstm(torch.randn(2, 4, 3), lengths=[4, 2])
        >>> output.shape, bool((h_n[1, 1] == output[1, 1]).all())
        (torch.Size([2, 4, 5]), True)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        options = (bias, batch_first, dropout, bidirectional, proj_size)
        super().__init__(input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)
        self._make_cells()

    def _make_cell(self, input_size: int) -> Cell:
        return lstm.LSTM(input_size, self.hidden_size, proj_size=self.proj_size, bias=self.bias, init="torch")


class GRU(DropIn, nn.GRU):
    r"""Gated recurrent unit with the calls, weights and errors of ``torch.nn.GRU``, and with lengths.

    .. math::
        r, z = \sigma(W x_t + b + U h_{t-1} + c), \quad
        n = \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + c_n)), \quad h_t = (1 - z) \odot n + z \odot h_{t-1}

    Weights load both ways between the two, and a seed gives the same first numbers.

    Args:
        input_size: features D of a step, at least 1.
        hidden_size: hidden units H, at least 1.
        num_layers: L, at least 1.
        bias: whether there are biases.
        batch_first: whether input and output are (B, T, …) and not (T, B, …); states are (L·dirs, B, H) always.
        dropout: chance that an output is dropped between layers in training, in [0, 1].
        bidirectional: whether each layer also reads backwards.
        device: where the parameters are made.
        dtype: their type.

    Raises:
        ValueError: a value out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> gru = GRU(3, 5, bidirectional=True)
        >>> output, h_n = gru(torch.randn(4, 2, 3))
        >>> output.shape, h_n.shape
        (torch.Size([4, 2, 10]), torch.Size([2, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown("GRU", unknown)
        check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout)
        options = (bias, batch_first, dropout, bidirectional)
        super().__init__(input_size, hidden_size, num_layers, *options, device=device, dtype=dtype)
        self._make_cells()

    def _make_cell(self, input_size: int) -> Cell:
        return gru.GRU(input_size, self.hidden_size, bias=self.bias, init="torch")
