"""What looks at the operations of a call. Compiled kernels run behind PyTorch's dispatcher and may not run unseen.

Tracers, exporters, fake tensors, function transforms and counters learn what a layer does from the operators that it
calls. A kernel called directly would leave them with memory that nobody wrote, so that every layer asks here first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._device import DeviceContext

_C: Any = torch._C
_tracing_state, _dispatch_modes, _function_modes = (
    _C._get_tracing_state,
    _C._len_torch_dispatch_stack,
    _C._len_torch_function_stack,
)
_transforms, _has_memory = _C._functorch.peek_interpreter_stack, _C._has_storage
#: whether ``torch.export`` runs; PyTorch before 2.7 does not tell it from ``torch.compile``
_exporting: Any = getattr(torch.compiler, "is_exporting", lambda: False)

#: types of what a kernel may be given
_PLAIN = frozenset({Tensor, nn.Parameter, type(None)})

_usual_function = cast(Any, Tensor.__torch_function__).__func__


def watcher(tensors: Iterable[Any] = ()) -> str:
    """Return what looks at the operations of a call, "" for nothing.

    "compile" and "export" read the code; "trace" records for TorchScript; "mode" is a dispatch mode such as
    FakeTensorMode, make_fx or FlopCounterMode, or tensors on the device "meta"; "transform" is one of torch.func or
    forward-mode differentiation; "tensor" stands for objects other than plain tensors among ``tensors``, whose first is
    the input.

    Example:
        >>> watcher([torch.zeros(2)]), watcher([torch.zeros(2, device="meta")])
        ('', 'mode')
    """
    if torch.compiler.is_compiling():
        return "export" if _exporting() else "compile"
    if _tracing_state() is not None:
        return "trace"
    if _transforms() is not None or forward_ad._current_level >= 0:
        return "transform"
    if _dispatch_modes() or (_function_modes() and _function_mode()):
        return "mode"
    tensors = tuple(tensors)
    if not plain(tensors):
        return "tensor"
    if tensors and tensors[0] is not None:
        if tensors[0].is_meta:
            return "mode"
        if not _has_memory(tensors[0]):
            return "tensor"
    return ""


def plain(tensors: Iterable[Any]) -> bool:
    """Tell whether all tensors are plain ones, or None, so that a kernel may be given their memory."""
    return _PLAIN.issuperset(map(type, tensors))


def seen_gradients(grads: Iterable[Tensor | None]) -> bool:
    """Tell whether something looks at the gradients that a backward pass is given, or they are many in one."""
    return any(grad is not None and bool(watcher((grad,))) for grad in grads)


def records_gradients() -> bool:
    """Tell whether a call keeps what backward needs; a TorchScript trace is one graph for training and inference."""
    return torch.is_grad_enabled() and _tracing_state() is None


def readable(tensor: Tensor) -> bool:
    """Tell whether the numbers of a tensor can be looked at now."""
    return watcher((tensor,)) in ("", "transform") and plain((tensor,)) and not tensor.is_meta and _has_memory(tensor)


def _function_mode() -> bool:
    """Tell whether a mode looks at functions that does more than choose the device of new tensors."""
    modes = cast(Any, torch.overrides)._get_current_function_mode_stack()
    return not all(isinstance(mode, DeviceContext) for mode in modes)


def passes_through(tensors: Iterable[Any]) -> bool:
    """Tell whether an operator takes all of ``tensors`` as it takes plain ones: no class has rules of its own."""
    return all(_without_rules(kind) for kind in set(map(type, tensors)) - _PLAIN)


def _without_rules(kind: Any) -> bool:
    function = getattr(kind, "__torch_function__", None)
    usual = getattr(function, "__func__", function) in (_C._disabled_torch_function_impl, _usual_function)
    return usual and getattr(kind, "__torch_dispatch__", None) is _C._disabled_torch_dispatch_impl


def in_onnx_export() -> bool:
    """Tell whether ``torch.onnx.export`` runs."""
    return bool(cast(Any, torch.onnx).is_in_onnx_export())
