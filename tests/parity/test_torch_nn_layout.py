"""RNN, LSTM and GRU against ``torch.nn``'s: the memory of results, changes in place, empty batches, dropped numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from rekur import nn

torch.set_num_threads(1)

NAMES = ["RNN", "LSTM", "GRU"]
FORMS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "both directions": {"bidirectional": True},
    "two layers": {"num_layers": 2, "bidirectional": True},
}


def pair(name: str, **settings: Any) -> tuple[Any, Any]:
    """Return torch's layer and ours, made from one seed."""
    made = []
    for module in (torch.nn, nn):
        torch.manual_seed(7)
        made.append(getattr(module, name)(3, 4, **settings))
    return made[0], made[1]


def states(result: Any) -> tuple[Tensor, ...]:
    return result[1] if isinstance(result[1], tuple) else (result[1],)


def gradients(layer: Any, total: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(total, list(layer.parameters())))


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_results_of_time_first_layers_lie_as_torchs_do(
    name: str, form: dict[str, Any], threads: int, grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    _, ours = pair(name, **form)
    inputs = {
        "as it is": torch.randn(5, 2, 3),
        "transposed": torch.randn(2, 5, 3).transpose(0, 1),
        "expanded": torch.randn(5, 1, 3).expand(5, 2, 3),
        "one row": torch.randn(5, 1, 3),
        "one step": torch.randn(1, 2, 3),
    }
    for x in inputs.values():
        with torch.set_grad_enabled(grad):
            for lengths in (None, [x.shape[0]] * x.shape[1], [1] * x.shape[1]):
                result = ours(x, lengths=lengths)
                output = result[0]
                output.view(output.shape[0] * output.shape[1], -1)
                for tensor in (output, *states(result)):
                    assert tensor.is_contiguous()
                    assert not tensor._is_view()
                    tensor.detach_()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_results_share_no_memory(name: str, form: dict[str, Any]) -> None:
    _, ours = pair(name, **form)
    hx = torch.zeros(ours.num_layers * (1 + ours.bidirectional), 2, 4)
    hidden = (hx, hx.clone()) if name == "LSTM" else hx
    for lengths in (None, [5, 2], [0, 0]):
        with torch.no_grad():
            result = ours(torch.randn(5, 2, 3), hidden, lengths=lengths)
            tensors = [result[0], *states(result), hx]
            pointers = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        assert len(pointers) == len(tensors)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "part": lambda y: y[:, 1:].zero_()._base,  # type: ignore[dict-item, return-value]
    "all": lambda y: y.mul_(2),
    "shape": lambda y: y.squeeze_(0),
    "relu": torch.relu_,
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_outputs_may_be_changed_in_place_before_backward(
    name: str, form: dict[str, Any], change: Any, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    theirs, ours = pair(name, **form, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = gradients(theirs, change(theirs(x)[0].clone()).sum())
    for lengths in (None, [5, 5]):
        output, state = ours(x, lengths=lengths)
        for tensor in state if isinstance(state, tuple) else (state,):
            tensor.zero_()
        for mine, other in zip(gradients(ours, change(output).sum()), expected, strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_inputs_may_be_written_over_before_backward(name: str, form: dict[str, Any]) -> None:
    theirs, ours = pair(name, **form, batch_first=True)
    x = torch.randn(2, 5, 3)
    lengths = torch.tensor([5, 3])
    calls: list[tuple[Any, Any]] = [
        (lambda layer, x: layer(x)[0].sum(), lambda layer, x: layer(x)[0].sum()),
        (lambda layer, x: layer(x[0])[0].sum(), lambda layer, x: layer(x[0])[0].sum()),
        (
            lambda layer, x: layer(pack_padded_sequence(x, lengths, batch_first=True))[0].data.sum(),
            lambda layer, x: layer(x, lengths=lengths)[0].sum(),
        ),
    ]
    for their_call, our_call in calls:
        expected = gradients(theirs, their_call(theirs, x))
        given = x.clone()
        total = our_call(ours, given)
        given.fill_(float("nan"))
        for mine, other in zip(gradients(ours, total), expected, strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", NAMES)
def test_a_time_first_input_that_was_written_over_is_refused(name: str) -> None:
    for layer in pair(name):
        x = torch.randn(5, 2, 3)
        output, _ = layer(x)
        x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_batches_without_a_step_have_gradients_of_zeros(name: str, form: dict[str, Any]) -> None:
    _, ours = pair(name, **form)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.fill_(float("inf"))
    cases: list[tuple[Tensor, Any]] = [
        (torch.randn(5, 0, 3), None),
        (torch.randn(5, 0, 3), torch.zeros(0, dtype=torch.long)),
        (torch.randn(5, 2, 3), [0, 0]),
        (torch.randn(0, 2, 3), [0, 0]),
    ]
    for x, lengths in cases:
        x.requires_grad_()
        result = ours(x, lengths=lengths)
        for total in (result[0].sum(), sum(state.sum() for state in states(result))):
            ours.zero_grad()
            total.backward(retain_graph=True)
            grads = [x.grad, *(weight.grad for weight in ours.parameters())]
            assert all(grad is not None and not grad.any() for grad in grads)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("rate", [0.4, 1.0, np.float32(0.25), np.float64(0.5), 0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_drops_the_numbers_that_torch_drops(
    name: str, rate: Any, bidirectional: bool, batch_first: bool
) -> None:
    theirs, ours = pair(name, num_layers=3, dropout=rate, bidirectional=bidirectional, batch_first=batch_first)
    x, lengths = torch.randn(5, 4, 3), [4, 4, 2, 1, 1] if batch_first else [5, 4, 2, 1]
    for given in (x, x[0], pack_padded_sequence(x, lengths, batch_first=batch_first)):
        results = []
        for layer in (theirs, ours):
            torch.manual_seed(3)
            result = layer(given)
            output = result[0] if isinstance(result[0], Tensor) else result[0].data
            results.append((output, torch.autograd.grad(output.sum(), list(layer.parameters()), allow_unused=True)))
        torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize("name", NAMES)
def test_replaced_flat_weights_are_used(name: str) -> None:
    theirs, ours = pair(name, num_layers=2)
    x = torch.randn(5, 2, 3)
    ours(x)
    for layer in (theirs, ours):
        layer._flat_weights = [weight * 0.5 for weight in layer._flat_weights]
    torch.testing.assert_close(ours(x), theirs(x))
    for layer in (theirs, ours):
        layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.detach() * 2)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_may_stand_in_torchs_place(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = getattr(nn, name)
    for module in (torch.nn, torch.nn.modules, torch.nn.modules.rnn):
        monkeypatch.setattr(module, name, layer)
    model = torch.nn.Sequential(getattr(torch.nn, name)(3, 4, num_layers=2), getattr(nn, name)(3, 4))
    assert model[0](torch.randn(5, 2, 3))[0].shape == (5, 2, 4)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_of_torchs_becomes_ours_by_its_class(name: str) -> None:
    theirs, _ = pair(name, num_layers=2)
    x = torch.randn(5, 2, 3)
    expected = theirs(x)
    theirs.__class__ = getattr(nn, name)
    torch.testing.assert_close(theirs(x), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
@pytest.mark.parametrize("name", NAMES)
def test_dtypes_without_kernels_give_what_torch_gives(name: str, dtype: torch.dtype) -> None:
    if dtype.is_complex and name != "RNN":
        pytest.skip("torch.nn has complex numbers for the RNN only")
    theirs, ours = pair(name, num_layers=2, dtype=dtype)
    x = torch.randn(5, 2, 3, dtype=dtype)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)


@pytest.mark.parametrize("lengths", [None, [5, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NAMES)
def test_autocast_leaves_weights_in_their_dtype(name: str, dtype: torch.dtype, lengths: Any) -> None:
    _, ours = pair(name, num_layers=2, bidirectional=True, dtype=dtype)
    x = torch.randn(5, 2, 3, dtype=dtype)
    expected = ours(x, lengths=lengths)[0]
    with torch.autocast("cpu", torch.bfloat16):
        output = ours(x, lengths=lengths)[0]
    output.sum().backward()
    exact = dtype == torch.float64
    torch.testing.assert_close(output.double(), expected.double(), rtol=0, atol=0 if exact else 0.03)


@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("carried", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "projected"), [("RNN", 0), ("LSTM", 0), ("LSTM", 2), ("GRU", 0)])
def test_results_under_autocast_are_of_the_dtypes_that_torch_gives(
    name: str, projected: int, given: torch.dtype, carried: torch.dtype | None, packed: bool
) -> None:
    pairs = pair(name, **({"proj_size": projected} if projected else {}))
    x: Any = torch.randn(5, 2, 3, dtype=given)
    x = pack_padded_sequence(x, [5, 2]) if packed else x
    hx: Any = None
    if carried is not None:
        hx = tuple(torch.randn(1, 2, size, dtype=carried) for size in (projected or 4, 4))
        hx = hx if name == "LSTM" else hx[0]
    dtypes = []
    for layer in pairs:
        with torch.autocast("cpu", torch.bfloat16):
            result = layer(x, hx)
        dtypes.append([result[0].data.dtype, *(state.dtype for state in states(result))])
    assert dtypes[0] == dtypes[1]
