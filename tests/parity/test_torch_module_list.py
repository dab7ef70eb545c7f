"""RNN, LSTM and GRU on the inputs of PyTorch's own list of modules, which its wheel has and which grows with it."""

import sys
import types
import unittest
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rekur import nn

torch.set_num_threads(1)

# PyTorch's own rules of forward derivatives are scripts
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

NAMES = ["RNN", "LSTM", "GRU"]


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    """Return PyTorch's entries of its layers by name."""
    if "expecttest" not in sys.modules:  # PyTorch's tests compare printed text with it, which is not needed here
        stub = types.ModuleType("expecttest")
        stub.TestCase, stub.ACCEPT = unittest.TestCase, False  # type: ignore[attr-defined]
        sys.modules["expecttest"] = stub
    calls = [(kind, kind.__call__) for kind in (torch._C.ScriptFunction, torch._C.ScriptMethod)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import module_db
    for kind, call in calls:
        kind.__call__ = call  # type: ignore[method-assign]
    return {entry.module_cls.__name__: entry for entry in module_db if entry.module_cls.__module__.endswith("rnn")}


def samples(entry: Any, **options: Any) -> Iterator[Any]:
    yield from entry.module_inputs_func(entry, device="cpu", dtype=torch.float64, requires_grad=True, **options)


def made(module: Any, name: str, sample: Any) -> Any:
    torch.manual_seed(0)
    settings = sample.constructor_input
    return getattr(module, name)(*settings.args, **{"dtype": torch.float64, **settings.kwargs})


def tensors(result: Any) -> list[Tensor]:
    if result is None or isinstance(result, Tensor):
        return [] if result is None else [result]
    return [result.data] if isinstance(result, PackedSequence) else [t for part in result for t in tensors(part)]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients(listed: dict[str, Any], name: str, training: bool) -> None:
    count = 0
    for sample in samples(listed[name], training=training, with_packed_sequence=True):
        results = []
        for module in (torch.nn, nn):
            layer = made(module, name, sample).train(training)
            given = sample.forward_input
            output = tensors(layer(*given.args, **given.kwargs))
            leaves = [*tensors(given.args), *layer.parameters()]
            total = sum((t * torch.linspace(-1, 1, t.numel(), dtype=t.dtype).view(t.shape)).sum() for t in output)
            results.append([*output, *torch.autograd.grad(total, leaves, allow_unused=True)])
        torch.testing.assert_close(results[1], results[0])
        count += 1
    assert count >= 16


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right_in_every_way_that_pytorch_checks(listed: dict[str, Any], name: str, lengths: bool) -> None:
    for number, sample in enumerate(samples(listed[name], training=True)):
        if number % 11:  # of the combinations of options, so many that each option is among them
            continue
        layer = made(nn, name, sample)
        x, *hidden = tensors(sample.forward_input.args)
        if lengths:  # PyTorch's inputs are single sequences
            x = torch.stack((x, x.flip(0)), 0 if layer.batch_first else 1).detach().requires_grad_()
            hidden = [torch.stack((h, h / 2), 1).detach().requires_grad_() for h in hidden]

        steps = x.shape[1 if lengths and layer.batch_first else 0]

        def run(x: Tensor, *rest: Tensor, layer: Any = layer, count: int = len(hidden), steps: int = steps) -> Any:
            state = rest[:count]
            hx = None if not state else state if name == "LSTM" else state[0]
            weights = dict(zip((name for name, _ in layer.named_parameters()), rest[count:], strict=True))
            how = {"lengths": torch.tensor([steps, steps - 1])} if lengths else {}
            return tuple(tensors(torch.func.functional_call(layer, weights, (x, hx), how)))

        leaves = (x, *hidden, *layer.parameters())
        assert torch.autograd.gradcheck(run, leaves, check_batched_grad=True, check_forward_ad=True, fast_mode=True)
        if number % 22 == 0:
            assert torch.autograd.gradgradcheck(run, leaves, check_batched_grad=True, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_of_the_kinds_that_torch_raises(listed: dict[str, Any], name: str) -> None:
    entry = listed[name]
    count = 0
    for error in entry.module_error_inputs_func(
        entry, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        settings, given = error.module_error_input.constructor_input, error.module_error_input.forward_input

        def fail(settings: Any = settings, given: Any = given) -> None:
            layer = getattr(nn, name)(*settings.args, **settings.kwargs)
            layer(*given.args, **given.kwargs)

        with pytest.raises(error.error_type):
            fail()
        count += 1
    assert count >= 5
