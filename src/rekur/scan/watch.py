"""Observers of the operations of a call, such as tracers: under these the compiled kernels must not be called directly.

Tracers, exporters, fake tensors, function transforms and counters record the operators that a layer calls. Compiled
kernels bypass PyTorch's dispatcher, so observers would see memory that nobody wrote. Every layer checks here first.
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
#: whether ``torch.export`` runs; PyTorch before 2.7 does not distinguish it from ``torch.compile``
_exporting: Any = getattr(torch.compiler, "is_exporting", lambda: False)

#: types of arguments that a kernel accepts
_PLAIN = frozenset({Tensor, nn.Parameter, type(None)})

_usual_function = cast(Any, Tensor.__torch_function__).__func__


def watcher(tensors: Iterable[Any] = ()) -> str:
    """Return the kind of observer of a call, "" for none.

    "compile" and "export" read the code; "trace" records for TorchScript; "mode" is a dispatch mode such as
    FakeTensorMode, make_fx or FlopCounterMode, or tensors on the device "meta"; "transform" is a transform of
    torch.func or forward-mode differentiation; "tensor" means other objects than plain tensors among ``tensors``; the
    first tensor is the input.

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
    """Return whether all tensors are plain ones, or None, so that a kernel may access their memory."""
    return _PLAIN.issuperset(map(type, tensors))


def seen_gradients(grads: Iterable[Tensor | None]) -> bool:
    """Return whether there is an observer of the gradients of a backward pass, or they are batched."""
    return any(grad is not None and bool(watcher((grad,))) for grad in grads)


def records_gradients() -> bool:
    """Tell whether a call keeps what backward needs; a TorchScript trace is one graph for training and inference."""
    return torch.is_grad_enabled() and not tracing()


def tracing() -> bool:
    """Tell whether ``torch.jit.trace`` runs."""
    return _tracing_state() is not None


def readable(tensor: Tensor) -> bool:
    """Return whether the values of a tensor can be read now."""
    return watcher((tensor,)) in ("", "transform") and plain((tensor,)) and not tensor.is_meta and _has_memory(tensor)


def _function_mode() -> bool:
    """Return whether a function mode is active that does more than choose the device of new tensors."""
    modes = cast(Any, torch.overrides)._get_current_function_mode_stack()
    return not all(isinstance(mode, DeviceContext) for mode in modes)


def passes_through(tensors: Iterable[Any]) -> bool:
    """Return whether operators treat all of ``tensors`` as plain ones: no class overrides them."""
    return all(_without_rules(kind) for kind in set(map(type, tensors)) - _PLAIN)


def _without_rules(kind: Any) -> bool:
    function = getattr(kind, "__torch_function__", None)
    usual = getattr(function, "__func__", function) in (_C._disabled_torch_function_impl, _usual_function)
    return usual and getattr(kind, "__torch_dispatch__", None) is _C._disabled_torch_dispatch_impl


def in_onnx_export() -> bool:
    """Return whether ``torch.onnx.export`` runs."""
    return bool(cast(Any, torch.onnx).is_in_onnx_export())
