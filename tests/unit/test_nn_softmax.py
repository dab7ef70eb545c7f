"""Output layers: parity with PyTorch, the estimate of the sampled one, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from rekur.errors import InputError, ShapeError
from rekur.nn import AdaptiveSoftmax, Embedding, FullSoftmax, SampledSoftmax

SIZE, V = 16, 60


def batch(rows: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, SIZE, generator=generator), torch.randint(1, V, (rows,), generator=generator)


def test_adaptive_is_that_of_torch_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours = AdaptiveSoftmax(SIZE, V, cutoffs=(10, 30))
    # numbers are one lower there, as padding is no class; tails have no biases
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(SIZE, V - 1, [9, 29], div_value=4.0, head_bias=True)
    with torch.no_grad():
        theirs.head.weight.copy_(torch.cat([ours.weights[0], ours.cluster_weight]))
        ours.biases[0].normal_()
        ours.cluster_bias.normal_()
        assert theirs.head.bias is not None
        theirs.head.bias.copy_(torch.cat([ours.biases[0], ours.cluster_bias]))
        for place, tail in enumerate(theirs.tail, start=1):
            projection: Any = ours.projections[place]
            tail[0].weight.copy_(projection.weight)
            tail[1].weight.copy_(ours.weights[place])
    hidden, targets = batch()
    torch.testing.assert_close(ours(hidden, targets), -theirs(hidden, targets - 1).output)
    torch.testing.assert_close(ours.log_probabilities(hidden)[:, 1:], theirs.log_prob(hidden))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("size", [SIZE, 12])
def test_sampling_everything_is_the_full_softmax(tied: bool, size: int) -> None:
    embedding = Embedding(V, size) if tied else None
    full, sampled = FullSoftmax(SIZE, V, embedding), SampledSoftmax(SIZE, V, embedding, samples=V)
    sampled.load_state_dict(full.state_dict(), strict=False)
    hidden, targets = batch()
    targets[:5] = 0
    parameters = [*full.parameters(), *([embedding.weight] if embedding is not None else [])]
    others = [*sampled.parameters(), *([embedding.weight] if embedding is not None else [])]
    torch.testing.assert_close(sampled(hidden, targets), full(hidden, targets))
    first = torch.autograd.grad(full(hidden, targets).sum(), parameters)
    second = torch.autograd.grad(sampled(hidden, targets).sum(), others)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_sampled_sum_is_right_on_average() -> None:
    torch.manual_seed(0)
    layer = SampledSoftmax(SIZE, V, samples=20)
    layer.start(torch.log(1000.0 / torch.arange(1, V + 1)))
    assert abs(layer.chances.sum().item() - 20) < 1e-3
    assert layer.chances.max() <= 1
    assert (layer.chances.diff() <= 0).all()
    hidden, targets = batch()
    exact = layer.eval()(hidden, targets)
    scores = layer.logits(hidden).gather(1, targets[:, None]).squeeze(1)
    layer.train()
    draws = torch.stack([(layer(hidden, targets) + scores).exp() for _ in range(2000)])
    error = (draws.mean(0) - (exact + scores).exp()) / (draws.std(0) / 2000**0.5)
    assert error.abs().max() < 4.5


def test_the_scores_begin_with_how_often_tokens_occur() -> None:
    counts = 1.0 + torch.arange(V)
    wanted = counts[1:] / counts[1:].sum()
    layers: list[FullSoftmax | AdaptiveSoftmax] = [
        FullSoftmax(SIZE, V),
        SampledSoftmax(SIZE, V),
        AdaptiveSoftmax(SIZE, V, cutoffs=(7, 20)),
    ]
    layers += [FullSoftmax(SIZE, V, Embedding(V, SIZE)), AdaptiveSoftmax(SIZE, V, Embedding(V, 8), cutoffs=(7, 20))]
    for layer in layers:
        layer.start(counts.log())
        torch.testing.assert_close(layer.log_probabilities(torch.zeros(SIZE)).exp()[1:], wanted)


def test_blocks_of_rows_without_gradients_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = FullSoftmax(SIZE, V)
    hidden, targets = batch()
    whole = layer(hidden, targets)
    monkeypatch.setattr("rekur.nn.softmax._BLOCK", 7 * V)
    with torch.no_grad():
        torch.testing.assert_close(layer(hidden, targets), whole)


def test_a_tail_that_no_target_lies_in_has_no_gradient() -> None:
    layer = AdaptiveSoftmax(SIZE, V, cutoffs=(10, 30))
    hidden, targets = batch()
    layer(hidden, targets.clamp(max=29)).sum().backward()
    assert layer.weights[1].grad is not None
    assert layer.weights[2].grad is None


def gradients_of(layer: FullSoftmax, hidden: Tensor, targets: Tensor, weights: Tensor) -> list[Tensor]:
    parameters = [*layer.parameters(), *([layer.rows()[0]] if layer.weight is None else [])]
    nats = layer(hidden, targets, smoothing=0.1)
    return [nats, *torch.autograd.grad((nats * weights).sum(), [hidden, *parameters])]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("rows", [1, 40, 2000])
def test_the_cross_entropy_is_that_of_float64(tied: bool, rows: int) -> None:
    embedding = Embedding(V, SIZE) if tied else None
    layer = FullSoftmax(SIZE, V, embedding)
    hidden, targets = batch(rows)
    targets[::7] = 0
    weights = torch.rand(rows)
    ours = gradients_of(layer, hidden.requires_grad_(), targets, weights)
    for module in (layer, embedding):
        if module is not None:
            module.double()
    exact = gradients_of(layer, hidden.detach().double().requires_grad_(), targets, weights.double())
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-6 * rows**0.5)
    assert (ours[0][::7] == 0).all()
    assert (ours[1][::7] == 0).all()
    if tied:
        assert (ours[-1][0] == 0).all()


def test_the_cross_entropy_can_be_differentiated_twice_and_seen() -> None:
    layer = FullSoftmax(4, 9)
    hidden, targets = torch.randn(5, 4, requires_grad=True), torch.tensor([1, 0, 8, 3, 3])

    def norm(kind: torch.dtype) -> Tensor:
        own = hidden.detach().to(kind).requires_grad_()
        (first,) = torch.autograd.grad(layer.to(kind)(own, targets).sum(), own, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), own)
        return second.double()

    torch.testing.assert_close(norm(torch.float32), norm(torch.float64), rtol=1e-4, atol=1e-5)
    layer.float()
    graph = make_fx(lambda x: layer(x, targets))(hidden)
    assert any("log_softmax" in str(node.target) for node in graph.graph.nodes)
    nats = layer(hidden, targets)
    again = [torch.autograd.grad(nats.sum(), hidden, retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*again)


def test_targets_outside_the_vocabulary_are_refused() -> None:
    layer = FullSoftmax(SIZE, V)
    for target in (-2, V):
        with pytest.raises((ValueError, IndexError), match=r"[Tt]arget"):
            layer(torch.zeros(1, SIZE), torch.tensor([target]))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: AdaptiveSoftmax(SIZE, V, cutoffs=(9, 9)),
            InputError,
            "cutoffs: got (9, 9); expected one or more rising whole numbers in [2, 59].",
        ),
        (
            lambda: FullSoftmax(SIZE, V, Embedding(50, SIZE)),
            InputError,
            "vocabulary_size: got 60; expected 50, that of the embedding.",
        ),
        (
            lambda: SampledSoftmax(SIZE, V, samples=0),
            InputError,
            "samples: got 0; expected a whole number of 1 or more.",
        ),
        (
            lambda: FullSoftmax(SIZE, V)(torch.zeros(3, 5), torch.ones(3, dtype=torch.int64)),
            ShapeError,
            "shape of hidden: got (3, 5); expected (N, 16).",
        ),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "make",
    [lambda: FullSoftmax(SIZE, V), lambda: AdaptiveSoftmax(SIZE, V, cutoffs=(10,)), lambda: SampledSoftmax(SIZE, V)],
    ids=["full", "adaptive", "sampled"],
)
def test_output_layers_can_be_made_without_memory(make: Callable[[], torch.nn.Module]) -> None:
    with torch.device("meta"):
        empty = make().state_dict()
    assert {name: (value.shape, value.dtype) for name, value in empty.items()} == {
        name: (value.shape, value.dtype) for name, value in make().state_dict().items()
    }
    assert all(value.is_meta for value in empty.values())
