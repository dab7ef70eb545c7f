"""When a layer named as torch.nn's leaves its work to torch.nn's own forward pass, and how it becomes such a layer.

Compiled kernels run behind PyTorch's dispatcher. What traces, exports, fakes, transforms or counts operators must see
torch's own ones.
"""

from __future__ import annotations

import contextlib
from operator import is_
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import flop_counter
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from rekur.scan.native import DTYPES
from rekur.scan.watch import watcher

#: the module of torch's own layers, by which torch.fx knows a layer that it does not look into
_TORCHS = nn.RNNBase.__module__
#: the mode that counts; in newer versions of PyTorch it is not the class that users know
_COUNTER: Any = getattr(flop_counter, "_FlopCounterMode", flop_counter.FlopCounterMode)


def current_weights(layer: nn.RNNBase) -> list[Tensor]:
    """Return the flat weights as torch.nn's forward would take them: computed, borrowed and replaced ones too."""
    flat: list[Tensor] = layer._flat_weights  # type: ignore[assignment]
    if not all(map(is_, map(layer._parameters.get, layer._flat_weights_names), flat)):
        layer._update_flat_weights()
        flat = layer._flat_weights  # type: ignore[assignment]
    return flat


def hands_over(layer: nn.RNNBase, input: Any, hx: Any, weights: list[Tensor]) -> bool:
    """Tell whether torch.nn's own forward pass must run, or does better."""
    x = input.data if isinstance(input, PackedSequence) else input
    seen = watcher((x, *(hx if isinstance(hx, tuple | list) else (hx,)), *weights))
    if seen:
        return seen != "compile" or bool(x.is_cuda)
    if x.is_cuda:  # there the whole stack is one kernel
        return True
    empty = x.dim() == 3 and x.shape[0 if layer.batch_first else 1] == 0  # of no rows, which have gradients of zeros
    return weights[0].dtype not in DTYPES or x.layout is not torch.strided or empty


def in_plain_operators() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which torch.nn's forward is made of operators that can be counted and differentiated.

    oneDNN's LSTM is one operator, of which PyTorch knows neither the work nor the forward derivative.
    """
    if torch.compiler.is_compiling() or not (watcher() == "transform" or _counting()):
        return contextlib.nullcontext()
    return cast(Any, torch.backends.mkldnn).flags(enabled=False)  # type: ignore[no-any-return]


def _counting() -> bool:
    return any(isinstance(mode, _COUNTER) for mode in _get_current_dispatch_mode_stack())


def as_leaf(layer: nn.RNNBase) -> None:
    """Let torch.fx take the layer for one of torch.nn's, whose inside it does not trace."""
    layer.__dict__["__module__"] = _TORCHS


def torchs_own(layer: nn.RNNBase) -> nn.RNNBase:
    """Return torch.nn's layer with the same parameters and options."""
    kind: Any = next(kind for kind in type(layer).__mro__ if kind.__module__ == _TORCHS)
    own: nn.RNNBase = kind.__new__(kind)
    own.__dict__.update({name: value for name, value in layer.__dict__.items() if name not in OURS})
    own._flat_weights = list(layer._flat_weights)
    return own


#: attributes that torch.nn's layers do not have
OURS = ("_cells", "_bound", "__module__")
