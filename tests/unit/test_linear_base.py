"""The linear base of a network from series to numbers: what it reads, which items it sees, and what it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rekur
from rekur import Regressor
from rekur.errors import InputError
from rekur.models import SeriesSpec, build_series
from rekur.models.batch import Batch
from rekur.models.heads import NumberHead
from rekur.models.linear_base import LinearBase
from rekur.tasks.base import bases

QUICK: dict[str, Any] = {"baseline": False, "seed": 0, "epochs": 2}
Floats = NDArray[np.float64]


def windows(count: int = 60, level: float = 0.0, seed: int = 0) -> tuple[list[Floats], Floats]:
    """Return windows of walks with two channels, and a number that follows level and end of both."""
    draw = np.random.default_rng(seed)
    items = [level + draw.normal(size=(draw.integers(4, 20), 2)).cumsum(axis=0) for _ in range(count)]
    return items, np.array([3 * item[-1, 0] - item[:, 1].mean() + item[:, 1].max() for item in items])


def test_it_reads_mean_extremes_and_end_of_each_channel() -> None:
    base, steps, lengths = LinearBase(2, 1, 1), torch.randn(3, 7, 2), torch.tensor([7, 3, 1])
    for row, length, levels in zip(steps.numpy(), lengths.tolist(), base.levels(steps, lengths).numpy(), strict=True):
        real = row[:length]
        np.testing.assert_allclose(
            levels, np.concatenate([real.mean(0), real.max(0), real[-1], -real.min(0)]), 1e-5, 1e-6
        )


def test_it_reads_the_last_steps_and_zeros_before_the_begin() -> None:
    base, steps, lengths = LinearBase(2, 1, 1, steps=3), torch.randn(4, 7, 2), torch.tensor([7, 3, 1, 0])
    assert base.matrices.shape == (1, 1, 14)
    for row, length, numbers in zip(steps.numpy(), lengths.tolist(), base.levels(steps, lengths).numpy(), strict=True):
        padded = np.concatenate([np.zeros((3, 2), np.float32), row[:length]])
        np.testing.assert_array_equal(numbers[8:].reshape(3, 2), padded[-3:])


def test_a_wrong_step_tells_no_more_than_ten_deviations() -> None:
    base, steps, lengths = LinearBase(1, 1, 1), torch.zeros(1, 5, 1), torch.tensor([5])
    steps[0, 2] = 1e6
    assert base.levels(steps, lengths).tolist() == [[2.0, 10.0, 0.0, 0.0]]


def test_levels_beyond_those_of_training_are_followed() -> None:
    X, y = windows()
    model = Regressor(**QUICK).fit(X, y)
    moved, truth = windows(30, level=15.0, seed=1)
    error = np.abs(model.predict(moved) - truth).mean()
    assert error < 0.05 * np.abs(truth - y.mean()).mean()


@pytest.mark.parametrize("valid_fraction", [0.1, 0.4])  # of folds, and of a share
def test_it_sees_no_item_that_is_held_out(valid_fraction: float, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any, Any]] = []
    ordinary = bases.start_network
    monkeypatch.setattr(bases, "start_network", lambda *given: [seen.append(given), ordinary(*given)][1])
    X, y = windows()
    Regressor(**QUICK, valid_fraction=valid_fraction).fit(X, y)
    network, items, target = seen[0]
    before = network.base.matrices.clone()
    folds = items.folds
    held_out = np.flatnonzero(folds == 1) if folds is not None else np.setdiff1d(np.arange(60), items.rows)
    items.targets[held_out] += 5.0
    ordinary(network, items, target)
    alike = (before == network.base.matrices).all(dim=(1, 2)).tolist()
    assert alike == ([False, True, False, False, False] if folds is not None else [True])


def months(count: int = 60, growth: float = 0.0) -> tuple[list[Floats], Floats]:
    """Return windows of 18 months of a season with a little noise, and the number of the month behind each."""
    draw = np.random.default_rng(2)
    series = np.tile(draw.normal(size=12), 40) + 0.1 * draw.normal(size=480) + growth * np.arange(480)
    return [series[first : first + 18] for first in range(count)], series[18 : count + 18]


def steps_that(model: Regressor) -> int:
    """Return the last steps that the base of a model reads; -1 without a base."""
    spec = model.model_.spec
    return spec.base_steps if spec.base else -1


def test_the_last_steps_of_a_season_that_grows_are_read_one_by_one() -> None:
    X, y = months(growth=0.1)
    model = Regressor(**QUICK).fit(X, y)
    assert steps_that(model) >= 12
    levels = Regressor(**QUICK, valid_fraction=0.4).fit(X, y)  # a single stretch of time to learn from shows nothing
    assert steps_that(levels) == 0


def test_no_base_where_it_is_not_shown_to_be_better(tmp_path: Path) -> None:
    X, y = months()
    model = Regressor(**QUICK).fit(X, y)
    assert steps_that(model) == -1
    assert [part["name"] for part in model.metrics_["parts"]] == ["network", "ridge on random convolutions"]
    loaded = rekur.tasks.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_a_network_learns_what_it_leaves() -> None:
    spec = SeriesSpec(input_size=2, output_size=1, channels=4, hidden_size=2, members=2, mixup=0, augment=0, base=True)
    network = build_series(spec, seed=0)
    network.criterion = NumberHead(1.0)
    network.multiply_scores(0.0)
    network.base.set(0, np.ones((1, 8)), np.array([0.5]))
    network.base.set(1, np.zeros((1, 8)), np.array([-0.5]))
    steps, lengths, members = torch.randn(4, 9, 2), torch.tensor([9, 5, 9, 2]), torch.tensor([0, 1, 1, 0])
    targets = network.base(steps, lengths)[members, torch.arange(4), 0]
    outputs, loss = network.train()(Batch({"steps": steps}, lengths, targets, None)._replace(members=members))
    assert loss.item() == pytest.approx(0.0, abs=1e-10)  # before it has learnt anything the answer is the base
    np.testing.assert_allclose(outputs[:, 0].detach(), targets, atol=1e-6)
    averaged = network.eval()(Batch.of(steps, lengths))[0]
    np.testing.assert_allclose(averaged.detach(), network.base(steps, lengths).mean(dim=0), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"causal": True}, {"members": 1}, {"branches": "net"}])
def test_a_bundle_answers_as_the_trained_model(options: dict[str, Any], tmp_path: Path) -> None:
    X, y = windows()
    model = Regressor(**QUICK, **options).fit(X, y)
    expected = model.predict(X)
    np.testing.assert_allclose(rekur.load(model.save(tmp_path / "m")).predict(X), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(rekur.tasks.load(tmp_path / "m").predict(X), expected)
    names = [part["name"] for part in model.metrics_.get("parts", [])]
    assert names == (
        [] if "branches" in options else ["network", "ridge on random convolutions", "linear base of both"]
    )


def test_labels_have_none() -> None:
    with pytest.raises(InputError, match=r"base: got True; expected False for members that are averaged as softmax"):
        SeriesSpec(input_size=1, output_size=2, joint="softmax", base=True)


def test_members_add_numbers_of_the_size_of_what_a_base_leaves() -> None:
    sizes: dict[str, Any] = {"input_size": 2, "output_size": 1, "channels": 4, "hidden_size": 2, "base": True}
    whole, part = (build_series(SeriesSpec(**sizes, spread=spread), seed=0).eval() for spread in (1.0, 0.01))
    steps, lengths = torch.randn(4, 9, 2), torch.tensor([9, 5, 9, 2])
    added = []
    for network in (whole, part):
        torch.nn.init.ones_(network.members[0].head.weight)
        network.base.set(0, np.ones((1, 8)), np.ones(1))
        added.append(network.outputs(Batch.of(steps, lengths)) - network.base(steps, lengths)[0])
    torch.testing.assert_close(added[1], 0.01 * added[0], rtol=1e-3, atol=1e-5)
    X, y = windows()
    exact = Regressor(**QUICK).fit(X, np.array([item[-1, 0] for item in X]))
    assert exact.model_.spec.spread < 0.1
    assert exact.metrics_["rmse"] < 0.05 * np.std(y)


@pytest.mark.parametrize(
    ("option", "expected"), [({"base_steps": 3}, "0 without a base"), ({"spread": 0}, "a number above 0")]
)
def test_specifications_that_mean_nothing_are_refused(option: dict[str, Any], expected: str) -> None:
    (name,) = option
    with pytest.raises(InputError, match=rf"{name}: got {option[name]}; expected {expected}"):
        SeriesSpec(input_size=1, output_size=1, **option)


def test_a_specification_of_an_older_version_means_none() -> None:
    without = SeriesSpec(input_size=1, output_size=1)
    saved = without.to_dict()
    assert {"base", "base_steps", "pooling", "spread"}.isdisjoint(saved)  # equal to what was saved without these
    assert SeriesSpec.from_dict(saved) == without
    with_both = SeriesSpec(input_size=1, output_size=1, base=True, base_steps=4, pooling="mean+last")
    assert SeriesSpec.from_dict(with_both.to_dict()) == with_both
