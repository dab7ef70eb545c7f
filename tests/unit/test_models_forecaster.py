"""Forecasters: untrained a weighted combination; quantiles rise, padding is inert, every cell and its program work."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rekur.cells import CELLS
from rekur.errors import InputError, NotStreamableError
from rekur.export.c.source import Style, lower_to_c
from rekur.export.onnx import make_models
from rekur.export.onnx.check import check_models
from rekur.lower import lower
from rekur.models import Batch, DistributionHead, Forecaster, ForecasterSpec, build_forecaster
from rekur.program import Engine, ForecastEngine, Input, Op, Part, Program, quantise

H, M, C, K, D = 6, 3, 2, 4, 5
NAN = float("nan")


def make_spec(**options: Any) -> ForecasterSpec:
    sizes = {"input_size": D, "horizon": H, "segment": M, "channels": C, "candidates": K, "ahead_size": 3}
    return ForecasterSpec(**{**sizes, "cell": "gru", "hidden_size": 8, "projection_size": 6, **options})


def blocks_of(spec: ForecasterSpec, rows: int = 4) -> dict[str, NDArray[Any]]:
    """Return the blocks of the rows of ``ahead`` of windows, by segment."""
    rng = np.random.default_rng(0)
    shape = rows, spec.segments
    return {
        "known": rng.normal(size=(*shape, spec.ahead_size)),
        "candidates": rng.normal(size=(*shape, spec.segment, spec.channels, spec.candidates)) * 3,
        "prior": rng.normal(size=(*shape, spec.channels, spec.candidates)),
        "error": rng.uniform(0.5, 2, size=(*shape, spec.segment, spec.channels)),
    }


def batch_of(spec: ForecasterSpec, rows: int = 4, steps: int = 5) -> Batch:
    blocks = blocks_of(spec, rows)
    ahead = np.concatenate([block.reshape(rows, spec.segments, -1) for block in blocks.values()], axis=-1)
    past = np.random.default_rng(1).normal(size=(rows, steps, spec.input_size))
    inputs = {"steps": torch.from_numpy(past).float(), "ahead": torch.from_numpy(ahead).float()}
    return Batch(inputs, torch.full((rows,), steps))


def trained(spec: ForecasterSpec) -> Forecaster:
    """Return a network whose heads are not zero."""
    network = build_forecaster(spec, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "gate" in name or "correction" in name or "increments" in name:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return network


@pytest.mark.parametrize("members", [1, 2])
def test_untrained_it_is_the_weighted_combination_with_normal_errors(members: int) -> None:
    spec = make_spec(members=members)
    blocks = blocks_of(spec)
    powers = np.exp(blocks["prior"])[:, :, None]
    weights = powers / powers.sum(axis=-1, keepdims=True)
    combination = (blocks["candidates"] * weights).sum(axis=-1).reshape(4, H, C)
    error = blocks["error"].reshape(4, H, C)
    outputs = build_forecaster(spec, seed=0).eval()(batch_of(spec))[0].detach().numpy().reshape(4, H, C, -1)
    np.testing.assert_allclose(outputs[..., spec.median], combination, atol=2e-6)
    for index, quantile in enumerate(spec.quantiles):
        distance = NormalDist().inv_cdf(quantile) * np.sqrt(np.pi / 2) * error
        np.testing.assert_allclose(outputs[..., index], combination + distance, atol=1e-5)


@pytest.mark.parametrize("cell", list(CELLS))
def test_quantiles_of_every_cell_rise_depend_on_both_inputs_and_are_those_of_its_program(cell: str) -> None:
    spec = make_spec(cell=cell)
    network, batch = trained(spec), batch_of(spec)
    outputs = network(batch)[0].detach()
    assert (outputs.view(4, H, C, -1).diff(dim=-1) > 0).all()
    for name, tensor in batch.inputs.items():
        other = network(batch._replace(inputs={**batch.inputs, name: tensor + 1}))[0].detach()
        assert not torch.allclose(outputs, other, atol=1e-4), name
    engine = ForecastEngine(*lower(network))
    np.testing.assert_allclose(engine.run(*arrays_of(batch)), outputs, atol=1e-5, rtol=1e-5)


def test_shrinkage_multiplies_what_was_learnt_in_use_and_in_programs_but_not_in_training() -> None:
    network, half = trained(make_spec()), trained(make_spec(shrinkage=0.5))
    batch = batch_of(network.spec)
    halved = trained(make_spec())
    with torch.no_grad():
        for name, weight in halved.named_parameters():
            if "gate" in name or "correction" in name:
                weight.div_(2)
    expected = halved(batch)[0].detach()
    torch.testing.assert_close(half(batch)[0].detach(), expected)
    np.testing.assert_allclose(ForecastEngine(*lower(half)).run(*arrays_of(batch)), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(half.train()(batch)[0], network.train()(batch)[0])
    assert ForecasterSpec.from_dict(half.spec.to_dict()) == half.spec


def arrays_of(batch: Batch) -> list[list[NDArray[Any]]]:
    lengths = batch.lengths.tolist()
    steps = [steps[:length].numpy() for steps, length in zip(batch.inputs["steps"], lengths, strict=True)]
    return [steps, list(batch.inputs["ahead"].numpy())]


def test_padding_is_inert_and_segments_do_not_depend_on_each_other() -> None:
    spec = make_spec()
    network, lengths = trained(spec), torch.tensor([7, 1, 4, 0])
    batch = batch_of(spec, steps=7)._replace(lengths=lengths)
    outputs = network(batch)[0].detach()
    for row, length in enumerate(lengths.tolist()):
        inputs = {"steps": batch.inputs["steps"][row : row + 1, :length], "ahead": batch.inputs["ahead"][row : row + 1]}
        alone = network(Batch(inputs, lengths[row : row + 1]))[0].detach()
        torch.testing.assert_close(outputs[row : row + 1], alone, atol=1e-6, rtol=1e-5)
    swapped = network(batch._replace(inputs={**batch.inputs, "ahead": batch.inputs["ahead"].flip(1)}))[0].detach()
    torch.testing.assert_close(swapped.view(4, 2, -1).flip(1).flatten(1), outputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("metric", ["rmse", "owa", "mae_of_logs"])
def test_gradients_in_float64_are_those_of_finite_differences(metric: str) -> None:
    spec = make_spec(cell="lstm", hidden_size=3, quantiles=(0.1, 0.5, 0.9), members=2)
    network, batch = trained(spec).double(), batch_of(spec, rows=2)
    batch = batch._replace(inputs={name: tensor.double() for name, tensor in batch.inputs.items()})
    head = DistributionHead(H, C, spec.quantiles, metric=metric, rival=(0.5, 2.0), pinball=0.0)
    targets = torch.rand(2, H + 3, C, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for name, weight in network.named_parameters():
        network.zero_grad()
        head.loss(network.outputs(batch), targets).backward()
        if "increments" in name:
            assert weight.grad is None or not weight.grad.any()
            continue
        index, losses = tuple(size // 2 for size in weight.shape), []
        for change in (1e-6, -2e-6):
            with torch.no_grad():
                weight[index] += change
                losses.append(head.loss(network.outputs(batch), targets).item())
        with torch.no_grad():
            weight[index] += 1e-6
        expected = (losses[0] - losses[1]) / 2e-6
        assert weight.grad[index].item() == pytest.approx(expected, rel=1e-3, abs=1e-8), name


def test_members_are_averaged_and_trained_by_the_mean_of_their_losses() -> None:
    spec = make_spec(members=3)
    network, batch = trained(spec), batch_of(spec)
    head = network.criterion = DistributionHead(H, C, spec.quantiles)
    targets = torch.rand(4, H + 3, C)
    batch = batch._replace(targets=targets, weights=torch.tensor([0.5, 1.5, 1.0, 1.0]))
    each = [member(*batch.inputs.values(), batch.lengths).flatten(1) for member in network.members]
    outputs, loss = network(batch)
    torch.testing.assert_close(outputs, torch.stack(each).mean(dim=0))
    torch.testing.assert_close(loss, head.loss(outputs, targets, weights=batch.weights))
    network.train()
    expected = torch.stack([head.loss(one, targets, weights=batch.weights) for one in each]).mean()
    torch.testing.assert_close(network(batch)[1], expected)
    assert expected.item() > loss.item()


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        {"members": 3},
        {"num_layers": 2, "residual": True, "norm": True, "cell": "lstm", "kernel_size": 3},
        {"ahead_size": 0, "channels": 1, "segment": 6, "quantiles": (0.5, 0.9), "projection_size": 0},
    ],
)
def test_a_program_gives_the_quantiles_of_the_network_whole_and_in_pieces(options: dict[str, Any]) -> None:
    spec = make_spec(**options)
    network = trained(spec)
    batch = batch_of(spec, steps=7)._replace(lengths=torch.tensor([7, 2, 5, 0]))
    program, weights = lower(network)
    program = Program.from_json(program.to_json())
    assert (program.forecasts, program.searches, program.causal) == (True, False, False)
    engine = ForecastEngine(program, weights)
    outputs = engine.run(*arrays_of(batch))
    np.testing.assert_allclose(outputs, network(batch)[0].detach(), atol=1e-5, rtol=1e-5)
    for row, (steps, ahead) in enumerate(zip(*arrays_of(batch), strict=True)):
        state = engine.initial_state()
        for piece in np.array_split(steps, 3):
            state = engine.advance(piece, state)
        np.testing.assert_allclose(engine.read(ahead, state), outputs[row], atol=1e-6, rtol=1e-6)


def test_onnx_models_give_what_the_engine_gives() -> None:
    pytest.importorskip("onnxruntime")
    for options in ({"members": 2}, {"cell": "lstm", "num_layers": 2, "norm": True, "ahead_size": 0}):
        program, weights = lower(trained(make_spec(**options)))
        check_models(make_models(program, weights), ForecastEngine(program, weights))


def test_a_quantised_program_forecasts_nearly_the_same() -> None:
    spec = make_spec(members=2)
    network, batch = trained(spec), batch_of(spec)
    program, weights = lower(network)
    outputs = ForecastEngine(*quantise(program, weights, "int8")).run(*arrays_of(batch))
    np.testing.assert_allclose(outputs, network(batch)[0].detach(), atol=0.3)


def test_a_program_that_forecasts_is_refused_where_another_is_needed() -> None:
    program, weights = lower(build_forecaster(make_spec(), seed=0))
    with pytest.raises(
        InputError, match=r"got 'encode and ahead'; expected 'main' alone. Run it with a ForecastEngine"
    ):
        Engine(program, weights)
    twice = Op("concat", ("input", "input"), "twice", 2)
    with pytest.raises(InputError, match="got 'main'; expected 'encode' and 'ahead'"):
        ForecastEngine(Program.of("tag", Input("rows", 1), {}, (), (twice,)), {})
    part = Part({"input": Input("rows", 1)}, (twice,), {"output": "twice"})
    with pytest.raises(InputError, match="outputs of the part 'encode': got 'output'; expected none"):
        Program("forecast", {"encode": part, "ahead": part}, {}, ())
    with pytest.raises(NotStreamableError, match="got 'one that forecasts'"):
        lower_to_c(program, weights, Style("small"))
    read = np.zeros((2, make_spec().ahead_width))
    engine = ForecastEngine(program, weights)
    with pytest.raises(InputError, match="ahead: got '1 horizons'; expected 2, one a window"):
        engine.run([np.zeros((1, D))] * 2, [read])
    with pytest.raises(InputError, match="segments of the horizons: got '1, 2'; expected one number"):
        engine.run([np.zeros((1, D))] * 2, [read, read[:1]])


# ── the loss ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def metric_of(name: str, median: Any, truth: Any, offset: Any, mase: Any, unit: Any) -> Any:
    """Return the loss of each step and channel, as its definition has it."""
    error = abs(median - truth)
    share = 2 * error / (abs(median + offset) + abs(truth + offset))
    huber = np.where(error * unit < 0.5, (error * unit) ** 2, error * unit - 0.25)
    return {
        "mae": error * unit,
        "mae_of_logs": abs(log_of((median + offset) * unit) - log_of(np.maximum(truth + offset, 0) * unit)),
        "rmse": huber,
        "smape": share,
        "mase": error * mase,
        "owa": (share / 0.5 + error * mase / 2) / 2,
    }[name]


def log_of(value: Any) -> Any:
    """Return log(value + 0.1), and its tangent at 0 below it."""
    return np.log(np.maximum(value, 0) + 0.1) + 10 * np.minimum(value, 0)


@pytest.mark.parametrize("name", ["mae", "mae_of_logs", "rmse", "smape", "mase", "owa"])
def test_the_loss_is_the_metric_of_the_median_over_steps_with_a_truth(name: str) -> None:
    rng = np.random.default_rng(3)
    quantiles = np.sort(rng.normal(size=(5, H, C, 3)), axis=-1)
    targets = rng.normal(size=(5, H + 3, C))
    targets[:, H:] = rng.uniform(0.5, 2, size=(5, 3, C))
    targets[0, :2, 1] = targets[3, :H] = NAN
    head = DistributionHead(H, C, (0.1, 0.5, 0.9), metric=name, rival=(0.5, 2.0), pinball=0.0)
    each = metric_of(name, quantiles[..., 1], targets[:, :H], *(targets[:, [H + row]] for row in range(3)))
    outputs = quantiles.reshape(5, -1)
    terms = head.terms(outputs, targets)
    np.testing.assert_allclose(terms[:, 0], np.nansum(each, axis=(1, 2)))
    np.testing.assert_allclose(terms[:, 1], [2 * H - 2, 2 * H, 2 * H, 0, 2 * H])
    weights = np.array([0.5, 2.0, 1.0, 1.0, 0.5])
    tensors = torch.from_numpy(outputs), torch.from_numpy(targets)
    loss = head.loss(*tensors, weights=torch.from_numpy(weights))
    assert float(loss) == pytest.approx(np.nansum(each * weights[:, None, None]) / terms[:, 1].sum())
    assert float(head.loss(*tensors)) == pytest.approx(np.nansum(each) / terms[:, 1].sum())


def test_the_pinball_loss_moves_the_distances_from_the_median_to_the_quantiles() -> None:
    head = DistributionHead(1, 1, (0.1, 0.5, 0.9), pinball=1.0)
    rng = np.random.default_rng(0)
    targets = torch.ones(4000, 4, 1)
    targets[:, 0, 0] = torch.from_numpy(rng.normal(size=4000))
    median, lower, upper = (torch.tensor(value, requires_grad=True) for value in (0.0, 0.1, 0.1))
    optimizer = torch.optim.Adam([median, lower, upper], lr=0.1)
    for _ in range(100):
        outputs = torch.stack([median - lower, median, median + upper]).expand(4000, 3)
        optimizer.zero_grad()
        head.loss(outputs, targets).backward()
        optimizer.step()
    assert [value.item() for value in (median, lower, upper)] == pytest.approx([0, 1.2816, 1.2816], abs=0.08)
    only = DistributionHead(1, 1, (0.1, 0.5, 0.9), pinball=0.0).loss(outputs, targets)
    with_pinball = head.loss(outputs, targets)
    gradients = [torch.autograd.grad(loss, median, retain_graph=True)[0] for loss in (only, with_pinball)]
    torch.testing.assert_close(*gradients)


def test_nothing_is_scored_without_a_truth() -> None:
    head = DistributionHead(H, C, (0.1, 0.5, 0.9), metric="owa")
    targets = torch.full((2, H + 3, C), NAN)
    targets[:, H:] = 1.0
    outputs = torch.zeros(2, 3 * H * C, requires_grad=True)
    loss = head.loss(outputs, targets)
    loss.backward()
    assert loss.item() == 0
    assert not outputs.grad.any()  # type: ignore[union-attr]
    assert not head.guess(targets.numpy()).any()


# ── specifications ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"segment": 4}, "segment: got 4; expected a divisor of the horizon, 6"),
        ({"bidirectional": True}, "encoder: got bidirectional=True and look_ahead=0; expected False and 0"),
        ({"candidates": 0}, "candidates: got 0; expected a whole number of 1 or more"),
        ({"columns": (5,), "input_size": 0}, "input_size: got 0"),
        ({"quantiles": (0.5,)}, r"quantiles: got \[0.5\]; expected two or more rising numbers"),
        ({"quantiles": (0.1, 0.9)}, "quantiles: got .*one of them 0.5"),
        ({"quantiles": (0.5, 0.1)}, "quantiles: got"),
        ({"quantiles": (0.0, 0.5)}, "quantiles: got"),
    ],
)
def test_a_specification_that_cannot_be_built_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make_spec(**options)
