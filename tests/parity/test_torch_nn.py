"""RNN, LSTM and GRU against ``torch.nn``'s by name: values and gradients in float64, calls and layouts."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from rekur import nn

torch.set_num_threads(1)

NAMES = ["RNN", "LSTM", "GRU"]


@st.composite
def settings_of_a_layer(draw: st.DrawFn, name: str) -> dict[str, Any]:
    torch.manual_seed(draw(st.integers(0, 99)))
    settings: dict[str, Any] = {
        "input_size": draw(st.integers(1, 4)),
        "hidden_size": draw(st.integers(2, 5)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "dtype": torch.float64,
    }
    if name == "LSTM":
        settings["proj_size"] = draw(st.integers(0, settings["hidden_size"] - 1))
    if name == "RNN":
        settings["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    return settings


def pair(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    """Return torch's layer and ours, made from one seed."""
    made = []
    for module in (torch.nn, nn):
        torch.manual_seed(7)
        made.append(getattr(module, name)(**settings))
    return made[0], made[1]


def random_state(name: str, settings: dict[str, Any], batch_size: int | None) -> Any:
    count = settings["num_layers"] * (2 if settings["bidirectional"] else 1)
    hidden = settings["hidden_size"]
    sizes = [settings.get("proj_size", 0) or hidden, hidden][: 2 if name == "LSTM" else 1]
    shape = (count,) if batch_size is None else (count, batch_size)
    state = tuple(torch.randn(*shape, size, dtype=torch.float64).requires_grad_() for size in sizes)
    return state if name == "LSTM" else state[0]


def tensors(result: Any) -> list[Tensor]:
    """Return all tensors with gradients in a result, in order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, PackedSequence):
        return [result.data]
    return [tensor for part in result for tensor in tensors(part)]


def run_with_gradients(layer: Any, x: Any, hx: Any, **options: Any) -> tuple[Any, list[Tensor]]:
    """Return the result and the gradients of everything in it for parameters, inputs and states."""
    leaves = [*layer.parameters(), *tensors(x), *([] if hx is None else tensors(hx))]
    result = layer(x, hx, **options)
    generator = torch.Generator().manual_seed(3)
    total = sum(
        (tensor * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)).sum()
        for tensor in tensors(result)
    )
    return result, list(torch.autograd.grad(total, leaves, materialize_grads=True))


def assert_close(ours: Any, theirs: Any) -> None:
    for mine, other in zip(tensors(ours), tensors(theirs), strict=True):
        assert mine.shape == other.shape
        exact = mine.dtype == torch.float64
        torch.testing.assert_close(mine, other, rtol=1e-9 if exact else 1e-4, atol=1e-11 if exact else 1e-6)


def assert_same(name: str, settings: dict[str, Any], x: Any, hx: Any) -> Any:
    theirs, ours = pair(name, settings)
    expected, expected_gradients = run_with_gradients(theirs, x, hx)
    result, gradients = run_with_gradients(ours, x, hx)
    assert type(result) is type(expected)
    assert type(result[1]) is type(expected[1])
    assert_close(result, expected)
    assert_close(gradients, expected_gradients)
    return result


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_batches_of_full_rows(name: str, data: st.DataObject) -> None:
    settings = data.draw(settings_of_a_layer(name))
    batch_size, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    shape = (batch_size, steps) if settings["batch_first"] else (steps, batch_size)
    x = torch.randn(*shape, settings["input_size"], dtype=torch.float64, requires_grad=True)
    hx = random_state(name, settings, batch_size) if data.draw(st.booleans()) else None
    assert_same(name, settings, x, hx)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_single_sequences(name: str, data: st.DataObject) -> None:
    settings = data.draw(settings_of_a_layer(name))
    x = torch.randn(data.draw(st.integers(1, 6)), settings["input_size"], dtype=torch.float64)
    hx = random_state(name, settings, None) if data.draw(st.booleans()) else None
    assert_same(name, settings, x.requires_grad_(), hx)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_packed_sequences(name: str, data: st.DataObject) -> None:
    settings = data.draw(settings_of_a_layer(name))
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    ordered = data.draw(st.booleans())
    lengths = sorted(lengths, reverse=True) if ordered else lengths
    rows = [torch.randn(n, settings["input_size"], dtype=torch.float64) for n in lengths]
    packed = pack_sequence(rows, enforce_sorted=ordered)
    packed = packed._replace(data=packed.data.requires_grad_())
    hx = random_state(name, settings, len(lengths)) if data.draw(st.booleans()) else None
    output, _ = assert_same(name, settings, packed, hx)
    padded, unpacked_lengths = pad_packed_sequence(output, batch_first=True)
    assert unpacked_lengths.tolist() == lengths
    assert padded.shape[0] == len(lengths)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_lengths_do_what_packing_does(name: str, data: st.DataObject) -> None:
    settings = {**data.draw(settings_of_a_layer(name)), "batch_first": True}
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    steps = int(lengths.max()) + data.draw(st.integers(0, 2))
    x = torch.randn(len(lengths), steps, settings["input_size"], dtype=torch.float64, requires_grad=True)
    hx = random_state(name, settings, len(lengths)) if data.draw(st.booleans()) else None
    theirs, ours = pair(name, settings)

    def packing(x: Tensor, hx: Any) -> Any:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, state = theirs(packed, hx)
        return pad_packed_sequence(output, batch_first=True, total_length=steps)[0], state

    packing.parameters = theirs.parameters  # type: ignore[attr-defined]
    expected, expected_gradients = run_with_gradients(packing, x, hx)
    result, gradients = run_with_gradients(ours, x, hx, lengths=lengths)
    assert_close(result, expected)
    assert_close(gradients, expected_gradients)


@pytest.mark.parametrize("name", NAMES)
def test_lengths_without_batch_first(name: str) -> None:
    settings = {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}
    _, time_first = pair(name, settings)
    _, batch_first = pair(name, {**settings, "batch_first": True})
    x, lengths = torch.randn(5, 3, 3), [2, 5, 0]
    output, state = time_first(x, lengths=lengths)
    expected, expected_state = batch_first(x.transpose(0, 1), lengths=torch.tensor(lengths))
    assert_close(output.transpose(0, 1), expected)
    assert_close(state, expected_state)


@pytest.mark.parametrize("name", NAMES)
def test_empty_rows_keep_the_state_they_began_with(name: str) -> None:
    settings = {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}
    _, layer = pair(name, {**settings, "batch_first": True})
    hx = tuple(t.float() for t in tensors(random_state(name, settings, 2)))
    output, state = layer(torch.randn(2, 3, 3), hx if name == "LSTM" else hx[0], lengths=[0, 2])
    assert (output[0] == 0).all()
    for after, before in zip(tensors(state), hx, strict=True):
        torch.testing.assert_close(after[:, 0], before[:, 0], rtol=0, atol=0)
    output, state = layer(torch.zeros(2, 0, 3), hx if name == "LSTM" else hx[0], lengths=[0, 0])
    assert output.shape == (2, 0, 8)
    assert_close(state, hx)


@pytest.mark.parametrize("name", NAMES)
def test_no_padding_leaks_not_even_nan(name: str) -> None:
    settings = {"input_size": 3, "hidden_size": 4, "bidirectional": True, "batch_first": True}
    _, layer = pair(name, settings)
    x, lengths = torch.randn(3, 5, 3), [5, 2, 0]
    poisoned = x.clone()
    for row, length in enumerate(lengths):
        poisoned[row, length:] = float("nan")
    expected, gradients = run_with_gradients(layer, x.requires_grad_(), None, lengths=lengths)
    result, poisoned_gradients = run_with_gradients(layer, poisoned.requires_grad_(), None, lengths=lengths)
    assert_close(result, expected)
    assert_close(poisoned_gradients, gradients)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_dropout_acts_between_layers_and_in_training_only(name: str, probability: float) -> None:
    settings = {"input_size": 3, "hidden_size": 64, "num_layers": 2, "dropout": probability}
    theirs, ours = pair(name, settings)
    x = torch.randn(4, 8, 3)
    assert_close(ours.eval()(x), theirs.eval()(x))
    ours.train()
    first, second = ours(x)[1], ours(x)[1]
    first, second = (pair[0] if name == "LSTM" else pair for pair in (first, second))
    assert_close(first[0], second[0])  # nothing is dropped before the first layer
    assert torch.equal(first[1], second[1]) == (probability == 1.0)
    if probability == 1.0:
        assert_close(ours(x), theirs.train()(x))


@pytest.mark.parametrize("name", NAMES)
def test_autocast_takes_what_torch_takes(name: str) -> None:
    theirs, ours = pair(name, {"input_size": 3, "hidden_size": 4})
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result, expected = ours(x), theirs(x)
    for mine, other in zip(tensors(result), tensors(expected), strict=True):
        torch.testing.assert_close(mine.float(), other.float(), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_at_a_time_and_empty_batches(name: str) -> None:
    theirs, ours = pair(name, {"input_size": 3, "hidden_size": 4, "bidirectional": True})
    x = torch.randn(5, 0, 3)
    result, expected = ours(x), theirs(x)
    assert [t.shape for t in tensors(result)] == [t.shape for t in tensors(expected)]
