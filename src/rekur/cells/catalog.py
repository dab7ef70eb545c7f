"""Every cell by its name, and what a table says of each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from rekur._check import choice, no_unknown
from rekur.cells.base import Cell
from rekur.cells.elman import Elman
from rekur.cells.gru import GRU, GRUResetBefore
from rekur.cells.lru import RGLRU
from rekur.cells.lstm import LSTM, PeepholeLSTM
from rekur.cells.minimal import MinGRU, MinLSTM
from rekur.cells.xlstm import MLSTM, SLSTM

#: every cell by the name under which the command line and the models know it
CELLS: Mapping[str, type[Cell]] = MappingProxyType(
    {
        "rnn": Elman,
        "rnn_relu": Elman,
        "lstm": LSTM,
        "lstm_peephole": PeepholeLSTM,
        "gru": GRU,
        "gru_reset_before": GRUResetBefore,
        "mingru": MinGRU,
        "minlstm": MinLSTM,
        "rglru": RGLRU,
        "slstm": SLSTM,
        "mlstm": MLSTM,
    }
)

#: the options that a name stands for, where a name is more than its class
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"rnn_relu": {"nonlinearity": "relu"}})


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """Return a new cell by its name in :data:`CELLS`.

    Args:
        name: such as "lstm".
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        options: further arguments of the cell's class, such as ``bias=False`` or ``proj_size=16``.

    Raises:
        InputError: an unknown name or option; the text names the nearest that exists.

    Example:
        >>> make_cell("lstm", 3, 5, proj_size=2)
        LSTM(3, 5, proj_size=2)
    """
    cell_class = CELLS[choice("cell", name, CELLS)]
    preset = PRESETS.get(name, {})
    allowed = [option for option in _options(cell_class) if option not in preset]
    no_unknown(f"option of cell '{name}'", options, allowed)
    return cell_class(input_size, hidden_size, **{**preset, **options})


def describe_cells(input_size: int = 64, hidden_size: int = 128) -> list[dict[str, Any]]:
    """Return one row for every cell, for tables; leaves the random state as it was.

    Args:
        input_size: D for which parameters and cost are counted.
        hidden_size: H for which parameters and cost are counted.

    Returns:
        rows with ``name``, ``class``, ``equations``, ``state`` (names and sizes), ``parameters``, ``cost``
        (multiply-adds a step), ``options`` and ``reference``.

    Example:
        >>> describe_cells(3, 5)[0]["parameters"]
        50
    """
    rows = []
    with torch.device("meta"):  # where weights take no memory
        for name, cell_class in CELLS.items():
            cell = make_cell(name, input_size, hidden_size)
            rows.append(
                {
                    "name": name,
                    "class": cell_class.__name__,
                    "equations": cell.equations,
                    "state": dict(zip(cell.state_names, cell.state_sizes(), strict=True)),
                    "parameters": sum(p.numel() for p in cell.parameters()),
                    "cost": cell.step_cost(),
                    "options": [o for o in _options(cell_class) if o not in PRESETS.get(name, {})],
                    "reference": cell.reference,
                }
            )
    return rows


def _options(cell_class: type[Cell]) -> list[str]:
    """Return the names of the keyword-only arguments of a cell's class."""
    parameters = inspect.signature(cell_class).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
