"""Cells: the equations of one time step, one family a file."""

from rekur.cells.base import Cell, State
from rekur.cells.catalog import CELLS, describe_cells, make_cell
from rekur.cells.elman import Elman
from rekur.cells.forms import GatedCell, LinearCell, ProductCell
from rekur.cells.gru import GRU, GRUResetBefore
from rekur.cells.lru import RGLRU
from rekur.cells.lstm import LSTM, PeepholeLSTM
from rekur.cells.minimal import MinGRU, MinLSTM
from rekur.cells.wrap import LayerNorm, RecurrentDropout, Residual, Wrapper, Zoneout
from rekur.cells.xlstm import MLSTM, SLSTM

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "MLSTM",
    "RGLRU",
    "SLSTM",
    "Cell",
    "Elman",
    "GRUResetBefore",
    "GatedCell",
    "LayerNorm",
    "LinearCell",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "ProductCell",
    "RecurrentDropout",
    "Residual",
    "State",
    "Wrapper",
    "Zoneout",
    "describe_cells",
    "make_cell",
]
