"""When a layer named as torch.nn's leaves its work to torch.nn's own forward pass, and how it becomes such a layer.

Compiled kernels run behind PyTorch's dispatcher. What traces, exports, fakes, transforms or counts operators must see
torch's own ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from operator import is_
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils import flop_counter
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from rekur.scan.native import DTYPES
from rekur.scan.watch import passes_through, watcher

_C: Any = torch._C
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


def hand_over(
    layer: nn.RNNBase, input: Any, hx: Any, weights: list[Tensor]
) -> contextlib.AbstractContextManager[Any] | None:
    """Return a context in which to run torch.nn's own forward pass, or None where the compiled kernels may run."""
    x = input.data if isinstance(input, PackedSequence) else input
    tensors = (x, *(hx if isinstance(hx, tuple | list) else (hx,)), *weights)
    seen = watcher(tensors)
    if seen == "transform" or (seen == "mode" and _counting()) or (seen == "tensor" and not passes_through(tensors)):
        return _without_onednn()
    if seen not in ("", "compile") or x.is_cuda:  # on a GPU the whole stack is one kernel
        return contextlib.nullcontext()
    if seen == "compile":
        return None
    empty = x.dim() == 3 and x.shape[0 if layer.batch_first else 1] == 0  # of no rows, which have gradients of zeros
    suits = weights[0].dtype in DTYPES and x.layout is torch.strided and not empty
    return None if suits else contextlib.nullcontext()


def _counting() -> bool:
    return any(isinstance(mode, _COUNTER) for mode in _get_current_dispatch_mode_stack())


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    """Run an LSTM as plain operators: PyTorch has no FLOP formula and not all derivatives for oneDNN's fused one."""
    enabled = _C._get_mkldnn_enabled()
    _C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        _C._set_mkldnn_enabled(enabled)


def as_leaf(layer: nn.RNNBase) -> None:
    """Let torch.fx take the layer for one of torch.nn's, whose inside it does not trace."""
    layer.__dict__["__module__"] = _TORCHS


def torchs_own(layer: nn.RNNBase) -> nn.RNNBase:
    """Return torch.nn's layer with the same parameters and options."""
    kind: Any = next(kind for kind in type(layer).__mro__ if kind.__module__ == _TORCHS)
    twin: nn.RNNBase = kind.__new__(kind)
    twin.__dict__.update({name: value for name, value in layer.__dict__.items() if name not in OURS})
    twin._flat_weights = list(layer._flat_weights)
    return twin


class ScriptMethods:
    """The methods that a ``torch.jit.ScriptModule`` compiles of a layer inside it: those of torch.nn's layer."""

    def __get__(self, layer: nn.RNNBase | None, kind: Any) -> dict[str, Any]:
        own = kind.__mro__[2]
        if own.__module__ != _TORCHS:  # a class of the user's: its methods are compiled as they are
            raise AttributeError("_methods")
        from torch.jit._recursive import infer_methods_to_compile

        with torch.device("meta"):
            methods = cast(Any, infer_methods_to_compile)(own(1, 2))
        return {method.def_.name().name: method for method in methods}


#: attributes that torch.nn's layers do not have
OURS = ("_cells", "__module__")
