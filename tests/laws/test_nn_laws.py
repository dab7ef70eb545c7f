"""What holds for Recurrent over every cell and every pool: padding, reversal, chunks, steps, batch mates.

Axes: B batch, T time, D input features, H hidden, O output.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import Leaky
from tests.profiles import draws
from torch import Tensor

from rekur.cells.base import Cell
from rekur.cells.catalog import CELLS
from rekur.cells.lstm import LSTM
from rekur.cells.wrap import LayerNorm, RecurrentDropout, Residual, Zoneout
from rekur.nn import Recurrent, detach_state, make_pool
from rekur.nn.attention import AdditiveAttention, Attention, DotAttention, MultiHeadAttention

torch.set_num_threads(1)
D, H = 3, 4
NAN = float("nan")


def wrapped(input_size: int) -> Cell:
    return Residual(Zoneout(RecurrentDropout(LayerNorm(LSTM(input_size, H)), 0.25), 0.1))


KINDS: dict[str, Any] = {**{name: name for name in CELLS}, "users own": Leaky, "wrapped": wrapped}

POOLS = ["last", "mean", "max", "attention", "last+mean+max+attention"]


def make(kind: str, seed: int, **options: Any) -> Recurrent:
    torch.manual_seed(seed)
    return Recurrent(KINDS[kind], D, H, **options).double().eval()


@st.composite
def options_of_a_stack(draw: st.DrawFn, causal: bool = False) -> dict[str, Any]:
    layers = draw(st.integers(1, 3))
    return {
        "seed": draw(st.integers(0, 99)),
        "num_layers": layers,
        "bidirectional": False if causal else draw(st.booleans()),
        "residual": layers > 1 and draw(st.booleans()),
        "norm": draw(st.booleans()),
        "learned_state": draw(st.booleans()),
    }


ragged = st.lists(st.integers(0, 6), min_size=1, max_size=4)


def random_x(lengths: list[int], extra: int = 0) -> Tensor:
    return torch.randn(len(lengths), max(lengths) + extra, D, dtype=torch.float64)


def assert_same(first: Any, second: Any) -> None:
    if isinstance(first, Tensor):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-11)
    elif first is not None:
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)


def rows(state: Any, index: Any) -> Any:
    return state[index] if isinstance(state, Tensor) else tuple(rows(part, index) for part in state)


def gradients(of: torch.nn.Module | Tensor, output: Tensor, weight: Tensor) -> list[Tensor]:
    """Return the gradients of a weighted sum of outputs; zeros where nothing led to them, as without any step."""
    leaves = [of] if isinstance(of, Tensor) else list(of.parameters())
    if not output.requires_grad or not leaves:
        return [torch.zeros_like(leaf) for leaf in leaves]
    total = (output * weight).sum()
    return list(torch.autograd.grad(total, leaves, materialize_grads=True, retain_graph=True))


@pytest.mark.parametrize("kind", KINDS)
@draws(8)
@given(options=options_of_a_stack(), lengths=ragged, extra=st.integers(0, 3))
def test_padding_is_inert_even_nan(kind: str, options: dict[str, Any], lengths: list[int], extra: int) -> None:
    layers = make(kind, **options)
    x = random_x(lengths)
    wide = torch.cat((x, x.new_zeros(len(lengths), extra, D)), dim=1)
    for row, length in enumerate(lengths):
        wide[row, length:] = NAN
    plain, poisoned = layers(x, lengths=lengths), layers(wide, lengths=torch.tensor(lengths))
    assert_same(poisoned.output[:, : x.shape[1]], plain.output)
    assert (poisoned.output[:, x.shape[1] :] == 0).all()
    assert_same(poisoned[1:], plain[1:])
    for row, length in enumerate(lengths):
        assert (plain.output[row, length:] == 0).all()
    weight = torch.randn_like(plain.output)
    assert_same(gradients(layers, poisoned.output[:, : x.shape[1]], weight), gradients(layers, plain.output, weight))


@pytest.mark.parametrize("kind", KINDS)
@draws(8)
@given(options=options_of_a_stack(), lengths=ragged, data=st.data())
def test_batch_mates_and_their_order_do_not_matter(
    kind: str, options: dict[str, Any], lengths: list[int], data: st.DataObject
) -> None:
    layers = make(kind, **options)
    x = random_x(lengths)
    whole = layers(x, lengths=lengths)
    order = data.draw(st.permutations(range(len(lengths))))
    shuffled = layers(x[order], lengths=torch.tensor(lengths)[order])
    assert_same(shuffled.output, whole.output[order])
    assert_same(shuffled.state, rows(whole.state, order))
    assert_same(shuffled.last, whole.last[order])
    for row, length in enumerate(lengths):
        alone = layers(x[row : row + 1, :length])
        assert_same(alone.output[0], whole.output[row, :length])
        assert_same(alone.state, rows(whole.state, slice(row, row + 1)))
        assert_same(alone.last[0], whole.last[row])


@pytest.mark.parametrize("kind", KINDS)
@draws(8)
@given(seed=st.integers(0, 99), lengths=ragged)
def test_reversal_respects_lengths(kind: str, seed: int, lengths: list[int]) -> None:
    """The backward half of a row is the forward pass over that row turned round, and nothing else."""
    both = make(kind, seed, bidirectional=True)
    ahead = make(kind, seed)
    back = both.layers[0].backward_layer
    ahead.layers[0].load_state_dict(back.state_dict())
    x = random_x(lengths)
    result = both(x, lengths=lengths)
    half = result.output.shape[2] // 2
    for row, length in enumerate(lengths):
        turned = ahead(x[row : row + 1, :length].flip(1))
        assert_same(result.output[row, :length, half:], turned.output[0].flip(0))
        assert_same(rows(result.state, slice(row, row + 1))[0][1], turned.state[0][0])
        assert_same(result.last_backward[row], turned.last[0])
        expected = result.output[row, length - 1, :half] if length else torch.zeros(half, dtype=x.dtype)
        assert_same(result.last_forward[row], expected)
        assert_same(result.last[row], torch.cat((result.last_forward[row], result.last_backward[row])))


@pytest.mark.parametrize("kind", KINDS)
@draws(8)
@given(options=options_of_a_stack(causal=True), steps=st.integers(1, 6), data=st.data())
def test_steps_and_chunks_give_the_whole(kind: str, options: dict[str, Any], steps: int, data: st.DataObject) -> None:
    layers = make(kind, **options)
    x = random_x([steps, steps])
    whole = layers(x)
    weight = torch.randn_like(whole.output)
    state, outputs = layers.initial_state(2), []
    for t in range(steps):
        y, state = layers.step(x[:, t], state)
        outputs.append(y)
    stepped = torch.stack(outputs, dim=1)
    assert_same(stepped, whole.output)
    assert_same(state, whole.state)
    assert_same(gradients(layers, stepped, weight), gradients(layers, whole.output, weight))

    cut = data.draw(st.integers(0, steps))
    first = layers(x[:, :cut])
    second = layers(x[:, cut:], first.state)
    joined = torch.cat((first.output, second.output), dim=1)
    assert_same(joined, whole.output)
    assert_same(second.state, whole.state)
    assert_same(gradients(layers, joined, weight), gradients(layers, whole.output, weight))
    detached = layers(x[:, cut:], detach_state(first.state))
    assert_same(detached.output, second.output)


@pytest.mark.parametrize("kind", KINDS)
@draws(5)
@given(options=options_of_a_stack(causal=True), lengths=ragged, data=st.data())
def test_ragged_chunks_give_the_whole(
    kind: str, options: dict[str, Any], lengths: list[int], data: st.DataObject
) -> None:
    layers = make(kind, **options)
    x, given_lengths = random_x(lengths), torch.tensor(lengths)
    whole = layers(x, lengths=given_lengths)
    cut = data.draw(st.integers(0, x.shape[1]))
    first = layers(x[:, :cut], lengths=given_lengths.clamp(max=cut))
    second = layers(x[:, cut:], first.state, lengths=(given_lengths - cut).clamp(min=0))
    assert_same(torch.cat((first.output, second.output), dim=1), whole.output)
    assert_same(second.state, whole.state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_no_steps_leave_the_state_as_it_was(kind: str, bidirectional: bool) -> None:
    layers = make(kind, 0, num_layers=2, bidirectional=bidirectional)
    state = layers(random_x([3, 2])).state
    for x, lengths in ((random_x([0, 0]), None), (random_x([4, 4]), [0, 0])):
        result = layers(x, state, lengths)
        assert_same(result.state, state)
        assert (result.output == 0).all()
        assert (result.last == 0).all()
        assert result.last.shape == (2, layers.output_size)
    assert layers(x.new_zeros(0, 3, D)).output.shape == (0, 3, layers.output_size)


@pytest.mark.parametrize("name", POOLS)
@given(seed=st.integers(0, 99), lengths=ragged, extra=st.integers(0, 2))
def test_pools_run_live_as_on_the_whole(name: str, seed: int, lengths: list[int], extra: int) -> None:
    torch.manual_seed(seed)
    pool = make_pool(name, D).double()
    outputs = 100 * torch.randn(len(lengths), max(lengths) + extra, D, dtype=torch.float64)
    for row, length in enumerate(lengths):
        outputs[row, length:] = NAN
    outputs.requires_grad_()
    whole = pool(outputs, torch.tensor(lengths))
    assert whole.shape == (len(lengths), pool.output_size)
    (slope,) = gradients(outputs, whole, torch.ones_like(whole))
    for row, length in enumerate(lengths):
        assert (slope[row, length:] == 0).all()
        state = pool.initial_state(1, dtype=torch.float64)
        for t in range(length):
            assert_same(pool.read(state), pool(outputs[row : row + 1, :t]))
            state = pool.update(outputs[row : row + 1, t], state)
        assert_same(pool.read(state)[0], whole[row])
        assert_same(pool(outputs[row : row + 1, :length])[0], whole[row])
        if length == 0:
            assert (whole[row] == 0).all()
    assert torch.isfinite(slope).all()
    assert all(torch.isfinite(g).all() for g in gradients(pool, whole, whole.detach()))


ATTENTIONS: dict[str, Callable[[], Attention]] = {
    "additive": lambda: AdditiveAttention(4, 3),
    "dot": lambda: DotAttention(3),
    "dot learned": lambda: DotAttention(4, 3, learned=True),
    "heads": lambda: MultiHeadAttention(4, 3, num_heads=2, value_size=5),
}


@pytest.mark.parametrize("name", ATTENTIONS)
@given(seed=st.integers(0, 99), lengths=ragged, extra=st.integers(0, 2))
def test_attention_looks_at_real_steps_only(name: str, seed: int, lengths: list[int], extra: int) -> None:
    torch.manual_seed(seed)
    attention = ATTENTIONS[name]().double()
    batch_size, steps = len(lengths), max(lengths) + extra
    query = torch.randn(batch_size, 2, attention.query_size, dtype=torch.float64)
    keys = torch.randn(batch_size, steps, 3, dtype=torch.float64)
    values = torch.randn(batch_size, steps, 5, dtype=torch.float64)
    for row, length in enumerate(lengths):
        keys[row, length:] = values[row, length:] = NAN
    keys.requires_grad_()
    context, weights = attention(query, keys, values, lengths)
    assert torch.isfinite(context).all()
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        alone, alone_weights = attention(query[one], keys[one, :length], values[one, :length])
        assert_same(context[one], alone)
        assert_same(weights[one][..., :length], alone_weights)
        assert (weights[one][..., length:] == 0).all()
        total = weights[one].sum(dim=-1)
        assert_same(total, torch.full_like(total, float(length > 0)))
        if length == 0:
            assert (context[row] == 0).all()
        single, _ = attention(query[one, 1], keys[one], values[one], lengths[one])
        assert_same(single, context[one, 1])
    (slope,) = gradients(keys, context, torch.ones_like(context))
    assert torch.isfinite(slope).all()
    assert all(torch.isfinite(g).all() for g in gradients(attention, context, context.detach()))
