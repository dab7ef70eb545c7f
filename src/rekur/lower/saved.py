"""The program of a model as files of its bundle, with shared weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from rekur._tensors import pack
from rekur.lower.lowering import lower
from rekur.models.transformer import is_transformer
from rekur.runtime.layout import PROGRAM, PROGRAM_WEIGHTS

Array = np.ndarray[Any, Any]


def program_files(model: nn.Module, weights: Mapping[str, Array], task: str) -> dict[str, bytes]:
    """Return the files, besides its weights, with which a bundle runs without PyTorch.

    Args:
        model: the trained model.
        weights: the bundle's file of weights: name -> array.
        task: its task.

    Returns:
        ``program.json``, and ``program.safetensors`` with the program's weights that the model lacks in their form;
        nothing for a Transformer, which has no program.

    Raises:
        InputError: a part of the model has no op, such as a custom cell.

    Example:
        >>> from rekur.models import SequenceSpec, build
        >>> spec = SequenceSpec(discrete=True, input_size=10, output_size=3, cell="gru", hidden_size=8)
        >>> model = build(spec, seed=0)
        >>> weights = {name: value.numpy() for name, value in model.state_dict().items()}
        >>> list(program_files(model, weights, "classify"))
        ['program.json']
    """
    if is_transformer(model):
        return {}
    program, arrays = lower(model, task)
    files = {PROGRAM: program.to_json().encode()}
    others = {name: array for name, array in arrays.items() if not _same(weights.get(name), array)}
    return {**files, PROGRAM_WEIGHTS: pack("weights", others)} if others else files


def _same(saved: Array | None, array: Array) -> bool:
    return saved is not None and saved.dtype == array.dtype and saved.shape == array.shape
