"""The convolutional network of series: its layers against float64 and loops, padding, members, and its program.

Axes: B batch, C channels, T time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import Batch, SeriesNetwork, SeriesSpec, build_series
from rekur.models.augment import augmented, mixing
from rekur.models.heads import LabelHead
from rekur.models.series_network import joined
from rekur.nn.windows import (
    StepNorm,
    WindowConv,
    cleared,
    mask_of,
    sampled,
    sampled_lengths,
    side_by_side,
    standardized,
)
from rekur.program import Engine, Program

LENGTHS = torch.tensor([9, 4, 1])


def padded(channels: int = 2, *, double: bool = True) -> Tensor:
    """Return series (3, C, 9) that are 0 beyond their ends."""
    x = torch.randn(3, channels, 9, generator=torch.Generator().manual_seed(0))
    x = cleared(x, mask_of(LENGTHS, x))
    return (x.double() if double else x).requires_grad_()


def network(**options: Any) -> SeriesNetwork:
    """Return a small network with norms that have learnt something."""
    sizes = {"input_size": 2, "output_size": 3, "widths": (3, 5), "channels": 4, "hidden_size": 3}
    model = build_series(SeriesSpec(**{**sizes, **options}), seed=0)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, StepNorm):
            module.mean.normal_()
            module.variance.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.gain, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("ahead", [0, 1, 2, 4])
def test_a_convolution_around_a_step_is_what_a_loop_says(ahead: int) -> None:
    conv = WindowConv(2, 3, 5, ahead=ahead).double()
    x = padded()
    y = conv(x)
    for t in range(9):
        total = sum(
            (conv.weight[:, :, k] @ x[0, :, t + ahead - 4 + k] for k in range(5) if 0 <= t + ahead - 4 + k < 9),
            torch.zeros(3, dtype=torch.float64),
        )
        torch.testing.assert_close(y[0, :, t], total)
    assert torch.autograd.gradcheck(conv, (x,))


@pytest.mark.parametrize("channels", [2, 9])
def test_convolutions_side_by_side_are_those_by_themselves(channels: int) -> None:
    convs = [WindowConv(channels, 2, width, ahead=ahead).double() for width, ahead in ((3, 1), (5, 0), (4, 3))]
    x = padded(channels)
    torch.testing.assert_close(side_by_side(convs, x), torch.cat([conv(x) for conv in convs], dim=1))
    assert torch.autograd.gradcheck(lambda values: side_by_side(convs, values), (x,))


def test_a_norm_of_one_real_step_gives_its_bias() -> None:
    norm, x = StepNorm(2).double(), padded()
    mask = torch.zeros(3, 1, 9, dtype=torch.bool)
    mask[0, 0, 4] = True
    torch.testing.assert_close(norm(x, mask)[0, :, 4], norm.bias)
    torch.testing.assert_close(norm.mean, 0.1 * x[0, :, 4])
    assert norm(x, torch.zeros_like(mask)).isfinite().all()


def test_norms_take_the_moments_of_real_steps_and_have_exact_gradients() -> None:
    norm = StepNorm(2).double()
    x, mask = padded(), mask_of(LENGTHS, padded())
    assert mask is not None
    y = norm(x, mask)
    real = torch.cat([x[row, :, :length] for row, length in enumerate(LENGTHS)], dim=1)
    expected = (x - real.mean(dim=1)[:, None]) / (real.var(dim=1, unbiased=False)[:, None] + 1e-5).sqrt()
    torch.testing.assert_close(y.masked_select(mask), expected.masked_select(mask))
    torch.testing.assert_close(norm.mean, 0.1 * real.mean(dim=1))
    torch.testing.assert_close(norm.variance, 0.9 + 0.1 * real.var(dim=1))
    assert torch.autograd.gradcheck(lambda values: norm(values, mask), (x,))
    alone, together = StepNorm(2).double(), StepNorm(2).double()
    torch.testing.assert_close(alone(x), together(x, torch.ones(3, 1, 9, dtype=torch.bool)))
    torch.testing.assert_close(alone.variance, together.variance)
    factor, summand = norm.eval().folded()
    torch.testing.assert_close(norm(x), x * factor[:, None] + summand[:, None])


@pytest.mark.parametrize("function", ["max", "mean"])
@pytest.mark.parametrize("steps", [1, 2, 4, 20])
def test_a_step_for_every_few_is_what_a_loop_says(function: str, steps: int) -> None:
    x = torch.randn(3, 2, 9, dtype=torch.float64, requires_grad=True)
    y, lengths = sampled(x, steps, function), sampled_lengths(LENGTHS, steps)
    for row, length in enumerate(LENGTHS.tolist()):
        ends = range(0, length, steps)
        windows = [x[row, :, max(0, end - steps + 1) : end + 1] for end in ends]
        expected = [window.amax(dim=1) if function == "max" else window.mean(dim=1) for window in windows]
        assert int(lengths[row]) == len(expected) == math.ceil(length / steps)
        torch.testing.assert_close(y[row, :, : len(expected)], torch.stack(expected, dim=1))
    assert torch.autograd.gradcheck(lambda values: sampled(values, steps, function), (x,))


def test_a_series_is_scaled_by_its_real_steps() -> None:
    x, mask = padded(), mask_of(LENGTHS, padded())
    y = standardized(x, LENGTHS, mask, 1e-4)
    for row, length in enumerate(LENGTHS.tolist()):
        real = x[row, :, :length]
        deviation = real.std(dim=1, unbiased=False, keepdim=True).clamp(min=1e-4)
        torch.testing.assert_close(y[row, :, :length], (real - real.mean(dim=1, keepdim=True)) / deviation)
    assert not y[1, :, 4:].any()


@pytest.mark.parametrize(
    "options", [{}, {"scale": "both", "block": 2, "stride": 2}, {"scale": "global", "causal": True}]
)
def test_padding_and_batch_mates_are_inert(options: dict[str, Any]) -> None:
    model = network(**options)
    steps = padded(double=False).detach().transpose(1, 2)
    dirty = torch.nn.functional.pad(steps, (0, 0, 0, 4), value=7.0).clone()
    dirty[1, 4:], dirty[2, 1:] = 100.0, -100.0
    together = model(Batch.of(dirty, LENGTHS))[0]
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(Batch.of(steps[row : row + 1, :length], LENGTHS[row : row + 1]))[0]
        torch.testing.assert_close(together[row], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("joint", "members"), [("outputs", 1), ("outputs", 2), ("softmax", 3), ("sigmoid", 2)])
def test_the_program_gives_what_the_network_gives(causal: bool, joint: str, members: int) -> None:
    scale = "global" if causal else "both"
    model = network(causal=causal, scale=scale, block=2, stride=3, members=members, joint=joint)
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(length, 2)).astype(np.float32) for length in (1, 2, 7, 40)]
    program, weights = lower(model)
    assert Program.from_json(program.to_json()) == program
    assert program.causal is causal
    engine = Engine(program, weights)
    expected = torch.cat([model(Batch.of(torch.tensor(x)[None], torch.tensor([len(x)])))[0] for x in series])
    np.testing.assert_allclose(engine.run(series), expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    if not causal:
        return
    live = engine.live()
    for x in series[3]:
        live.step(x)
    np.testing.assert_allclose(live.read(), engine.run(series[3:])[0], rtol=1e-4, atol=1e-5)


def test_items_of_a_member_are_run_by_it_alone() -> None:
    model = network(members=2, joint="softmax")
    steps, lengths = torch.randn(4, 9, 2), torch.tensor([9, 9, 5, 2])
    each = [network(members=1) for _ in range(2)]
    for number, single in enumerate(each):
        single.members.load_state_dict({f"0.{k}": v for k, v in model.members[number].state_dict().items()})
    alone = torch.stack([single(Batch.of(steps, lengths))[0] for single in each])
    of = torch.tensor([0, 1, 1, 0])
    assigned = model(Batch.of(steps, lengths)._replace(members=of))[0]
    torch.testing.assert_close(assigned, alone[of, torch.arange(4)])
    torch.testing.assert_close(model(Batch.of(steps, lengths))[0], joined(alone, "softmax"))
    torch.testing.assert_close(joined(alone, "softmax").exp(), alone.softmax(dim=-1).mean(dim=0))
    torch.testing.assert_close(joined(alone, "sigmoid").sigmoid(), alone.sigmoid().mean(dim=0))


def test_a_member_learns_from_its_own_items_alone() -> None:
    model = network(members=2, mixup=1.0).train()
    model.criterion = LabelHead(3, multi_label=False, weight=None, smoothing=0.0)
    steps, lengths, targets = torch.randn(6, 9, 2), torch.full((6,), 9), torch.tensor([0, 1, 2, 0, 1, 2])
    of = torch.tensor([0, 0, 0, 1, 1, 1])
    seen = []
    for changed in (False, True):
        torch.manual_seed(0)
        given = torch.cat([steps[:3], steps[3:] + 5]) if changed else steps
        _, loss = model(Batch.of(given, lengths, targets)._replace(members=of))
        assert loss is not None
        seen.append(torch.autograd.grad(loss, list(model.members[0].parameters())))
    torch.testing.assert_close(seen[0], seen[1])


def test_changes_to_series_keep_their_ends_and_follow_the_seed() -> None:
    x, lengths = torch.linspace(-1, 1, 50).expand(4, 2, 50).contiguous(), torch.tensor([50, 50, 20, 1])
    torch.manual_seed(0)
    a = augmented(x, lengths, 1.0)
    torch.manual_seed(0)
    torch.testing.assert_close(a, augmented(x, lengths, 1.0), rtol=0, atol=0)
    assert a.isfinite().all()
    assert float((a - x)[:2].abs().max()) < 1.5
    torch.testing.assert_close(augmented(x, lengths, 0.0), x)
    torch.testing.assert_close(augmented(x, lengths, 1e-6)[:2], x[:2], atol=1e-3, rtol=0)
    share, order = mixing(5, 1.0) or (-1.0, torch.zeros(0))
    assert 0 <= share <= 1
    assert sorted(order.tolist()) == list(range(5))
    assert mixing(1, 1.0) is None
    assert mixing(5, 0.0) is None


def test_a_network_learns_an_order_of_events() -> None:
    torch.manual_seed(0)
    model = build_series(SeriesSpec(input_size=1, output_size=2, channels=16, hidden_size=8), seed=0)
    model.criterion = LabelHead(2, multi_label=False, weight=None, smoothing=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)

    def batch(count: int) -> Batch:
        steps, labels = 0.1 * torch.randn(count, 40, 1), torch.randint(0, 2, (count,))
        for row, label in enumerate(labels.tolist()):
            first, second = sorted((torch.randperm(36)[:2] + 2).tolist())
            steps[row, first, 0], steps[row, second, 0] = (3.0, -3.0) if label else (-3.0, 3.0)
        return Batch.of(steps, torch.full((count,), 40), labels)

    for _ in range(60):
        _, loss = model.train()(batch(32))
        assert loss is not None
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    test = batch(64)
    with torch.no_grad():
        outputs, _ = model.eval()(test)
    assert float((outputs.argmax(dim=1) == test.targets).float().mean()) > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (4, 8)}, "widths: got"),
        ({"widths": (3, 5, 7), "channels": 64}, "channels: got 64"),
        ({"causal": True}, "scale: got 'series'"),
        ({"joint": "median"}, "joint"),
        ({"members": 0}, "members"),
    ],
)
def test_a_specification_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SeriesSpec(**{"input_size": 1, "output_size": 2, **options})


def test_members_that_are_sure_of_flags_keep_their_digits() -> None:
    scores = np.array([[[9.2, -9.2, 20.0]], [[9.3, -9.1, 12.0]]])
    yes, no = ((1 / (1 + np.exp(sign * scores))).mean(axis=0) for sign in (-1, 1))
    exact = np.log(yes) - np.log(no)
    np.testing.assert_allclose(joined(torch.tensor(scores, dtype=torch.float32), "sigmoid"), exact, rtol=1e-6)
    model = network(members=2, joint="sigmoid")
    with torch.no_grad():
        for member in model.members:
            member.head.bias.add_(10.0)  # type: ignore[operator, union-attr]
    series = np.random.default_rng(0).normal(size=(1, 30, 2)).astype(np.float32)
    expected = model(Batch.of(torch.tensor(series), torch.tensor([30])))[0].detach().numpy()
    np.testing.assert_allclose(Engine(*lower(model)).run(list(series)), expected, rtol=1e-6)
