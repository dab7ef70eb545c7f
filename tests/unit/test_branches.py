"""A ridge beside the members of a network of series: its weight, its scores, and the same answers everywhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rekur
from rekur import Classifier, Regressor
from rekur._shares import draw_shares
from rekur.check import CHECKS, check_bundle, subject_of
from rekur.data import Corpus, EncodedItems
from rekur.data.encoded import named
from rekur.data.ragged import Ragged
from rekur.errors import InputError
from rekur.export.c.check import compiler
from rekur.lower import lower
from rekur.models import Batch, SeriesSpec, build_series
from rekur.models.branch_spec import BranchSpec
from rekur.models.share_branch import ShareBranch
from rekur.program import Engine
from rekur.program.members import with_members
from rekur.runtime import read_bundle
from rekur.targets import LabelTarget
from rekur.tasks.base import share_rival
from rekur.tasks.base.branches import Ridges, _mix, fit_apart
from rekur.tasks.base.card import card
from rekur.tasks.base.mix import Mix, best_mix, best_quarters, mixed
from rekur.tasks.base.ridge import PENALTIES, Ridge
from rekur.tasks.base.share_rival import coded, penalties_of

QUICK: dict[str, Any] = {"epochs": 1, "members": 2}


def waves(count: int, seed: int = 0) -> tuple[list[Any], Any]:
    draw = np.random.default_rng(seed)
    y = np.arange(count) % 3
    lengths = draw.integers(12, 40, count)
    items = [
        np.column_stack([np.sin(np.arange(n) * (0.4 + 0.4 * k) + draw.uniform(0, 6)), draw.normal(0, 1, n)])
        for k, n in zip(y, lengths, strict=True)
    ]
    return items, y


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    X, y = waves(24)
    return Classifier(**QUICK).fit(X, y)


def test_each_part_of_the_answer_is_scored_and_the_ridge_saves_an_untrained_net(classifier: Classifier) -> None:
    assert classifier.chosen_["branches"] == "net,ridge"
    net, ridge = classifier.metrics_["parts"]
    assert (net["name"], ridge["name"]) == ("network", "ridge on random convolutions")
    assert ridge["accuracy"] > 0.8 > net["accuracy"]
    assert classifier.model_.spec.branch.quarters >= 3
    assert classifier.metrics_["accuracy"] > 0.8
    assert classifier.metrics_["log_loss"] < net["log_loss"]


def test_a_saved_model_answers_as_the_trained_one(classifier: Classifier, tmp_path: Path) -> None:
    X, y = waves(9, seed=1)
    assert classifier.score(X, y) > 0.7
    shares = classifier.predict_proba(X)
    small = rekur.load(classifier.save(tmp_path / "m"))
    np.testing.assert_allclose(small.predict_proba(X), shares, atol=1e-4)
    trained = rekur.tasks.load(tmp_path / "m")
    np.testing.assert_array_equal(trained.predict_proba(X), shares)
    assert trained.metrics_["parts"] == classifier.metrics_["parts"]


def test_a_number_has_a_ridge_beside_the_net_too(tmp_path: Path) -> None:
    X, y = waves(24)
    model = Regressor(**QUICK).fit(X, y.astype(float) * 10)
    net, ridge, *_ = model.metrics_["parts"]
    assert ridge["rmse"] < net["rmse"]
    assert model.metrics_["rmse"] < net["rmse"]
    X = X[:5]
    np.testing.assert_allclose(rekur.load(model.save(tmp_path / "m")).predict(X), model.predict(X), rtol=1e-4)


@pytest.mark.parametrize("joint", ["outputs", "softmax", "sigmoid"])
@pytest.mark.parametrize("quarters", [1, 4])
@pytest.mark.parametrize(("members", "matrices", "numbers"), [(1, 1, 1), (3, 3, 1), (3, 1, 3)])
def test_a_program_answers_as_its_network(joint: str, quarters: int, members: int, matrices: int, numbers: int) -> None:
    how: dict[str, Any] = {"members": matrices, "numbers": numbers, "stride": 2, "quarters": quarters}
    branch = BranchSpec(input_size=2, output_size=3, dilations=(1, 2), biases=(2, 1), **how)
    sizes: dict[str, Any] = {"channels": 8, "hidden_size": 4, "widths": (3, 5), "stride": 2}
    spec = SeriesSpec(input_size=2, output_size=3, members=members, joint=joint, branch=branch, **sizes)
    assert SeriesSpec.from_dict(spec.to_dict()) == spec
    model = build_series(spec, seed=0).eval()
    draw = torch.Generator().manual_seed(1)
    assert isinstance(model.branch, ShareBranch)
    for name, buffer in model.branch.named_buffers():
        values = torch.randn(buffer.shape, generator=draw)
        buffer.copy_((values > 0).float() if name == "channels" else values / 10)
    lengths = torch.tensor([30, 1, 17])
    x = torch.randn(3, 30, 2, generator=draw)
    with torch.no_grad():
        expected = model(Batch.of(x, lengths))[0].numpy()
    items = [row[:length].numpy() for row, length in zip(x, lengths.tolist(), strict=True)]
    program, weights = lower(model)
    np.testing.assert_allclose(Engine(program, weights).run(items), expected, atol=1e-4)
    if members == 3:
        few, some = with_members(program, weights, 1)
        assert [op.kind for op in few.main.ops if op.kind == "average"] == []
        assert np.isfinite(Engine(few, some).run(items)).all()


def test_a_branch_of_an_older_bundle_reads_shares_alone() -> None:
    saved = BranchSpec(input_size=1, output_size=2, members=5).to_dict()
    del saved["numbers"]
    assert BranchSpec.from_dict(saved).numbers == 1


@pytest.mark.parametrize("numbers", [0, 2, 4, True])
def test_a_branch_has_one_number_of_a_bias_or_three(numbers: int) -> None:
    with pytest.raises(InputError, match=f"numbers: got {numbers}; expected"):
        BranchSpec(input_size=1, output_size=2, numbers=numbers)


def squares(scores: Any) -> Any:
    return scores[:, 0] ** 2


def test_weights_are_equal_unless_items_show_that_others_are_better() -> None:
    draw = np.random.default_rng(0)
    net, ridge = draw.normal(0, 0.9, (400, 1)), draw.normal(0, 1.0, (400, 1))
    assert best_quarters(net, ridge, "outputs", squares) == 2
    assert best_quarters(net, ridge * 8, "outputs", squares) == 0
    assert best_quarters(net * 2, ridge, "outputs", squares) == 3
    assert best_quarters(net[:1], ridge[:1] * 8, "outputs", squares) == 2
    np.testing.assert_allclose(mixed(net, ridge, 1, "outputs"), 0.75 * net + 0.25 * ridge, atol=1e-6)


def test_items_without_weight_choose_nothing() -> None:
    net, ridge = np.ones((20, 1)), np.zeros((20, 1))
    net[10:], ridge[10:] = 0, 1
    for weights, quarters in ((np.arange(20) < 10, 4), (np.arange(20) >= 10, 0), (np.ones(20), 2)):
        assert best_quarters(net, ridge, "outputs", squares, weights.astype(float)) == quarters


def test_numbers_are_mixed_of_network_ridge_and_base_by_the_least_loss() -> None:
    draw = np.random.default_rng(0)
    net, ridge, base = draw.normal(size=(3, 50, 1))
    for mix in (Mix(0, 0, 4), Mix(4, 0, 0), Mix(1, 2, 1), Mix(0, 3, 1), Mix(0, 4, 0)):
        truth = (mix.network * net + mix.ridge * ridge + mix.base * base) / 4
        assert best_mix(net, ridge, base, lambda outputs, truth=truth: float(squares(outputs - truth).mean())) == mix
    truth_of_two = (net + 3 * ridge) / 4
    assert best_mix(net, ridge, None, lambda outputs: float(squares(outputs - truth_of_two).mean())) == Mix(1, 3)
    of_three = Mix(1, 2, 1).note()
    assert of_three == "The answer is 25% network, 50% ridge on random convolutions and 25% linear base of both."
    assert Mix(2, 2).note() == "The answer is 50% network and 50% ridge on random convolutions."
    assert Mix(2, 0, 2).note() == "The answer is 50% network and 50% linear base of both."
    assert Mix(0, 4).note() == "The answer is that of the ridge on random convolutions alone."


@pytest.mark.parametrize("ridges", [1, 3])
@pytest.mark.parametrize(
    "mix", [Mix(0, 0, 4), Mix(3, 0, 1), Mix(4, 0), Mix(1, 1, 2), Mix(1, 3), Mix(0, 2, 2), Mix(0, 4)]
)
def test_a_network_answers_by_its_mix(mix: Mix, ridges: int) -> None:
    draw = np.random.default_rng(0)
    series = [draw.normal(size=(20, 1)).astype(np.float32) for _ in range(5)]
    shares = draw_shares(series, size=84)
    spec = SeriesSpec(input_size=1, output_size=1, channels=4, hidden_size=2, members=2, base=True)
    network = build_series(spec, seed=0).eval()
    network.base.set(0, draw.normal(size=(1, 4)), np.ones(1))
    for member in network.members:
        torch.nn.init.normal_(member.head.weight)
    steps, lengths = torch.from_numpy(np.stack(series)), torch.full((5,), 20)
    base = network.base(steps, lengths).mean(dim=0).numpy()
    net = network.outputs(Batch.of(steps, lengths)).detach().numpy()
    weights = draw.normal(size=(ridges, 1, shares.size)) / 9
    fitted = Ridges(shares, 1, weights, draw.normal(size=(ridges, 1)), np.zeros((5, 1)))
    refitted = _mix(network, fitted, mix)
    assert (refitted is not None) == (ridges > 1 and mix.ridge > 0)
    seen = slice(0, max(1, ridges - 1))
    of_ridges = shares.of(series) @ fitted.weights[seen].mean(axis=0).T + fitted.bias[seen].mean(axis=0)
    expected = (mix.network * net + mix.ridge * (base + of_ridges) + mix.base * base) / 4
    answers = network.outputs(Batch.of(steps, lengths)).detach().numpy()
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


def test_a_penalty_is_chosen_by_groups_where_items_are_alike() -> None:
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    table = draw.normal(size=(20, 30))[groups] + 0.05 * draw.normal(size=(60, 30))
    targets = (draw.normal(size=20)[groups] + 0.05 * draw.normal(size=60))[:, None]
    ridge = Ridge(table, targets)
    alone, by_groups = ridge.fit(), ridge.fit(folds=groups)
    assert alone.penalty < by_groups.penalty
    errors = [((ridge.held_out(groups, penalty) - targets) ** 2).mean() for penalty in PENALTIES]
    assert by_groups.penalty == PENALTIES[int(np.argmin(errors))]
    some, others = np.flatnonzero(groups != 2), targets.copy()
    others[groups == 2] += 50.0  # of items that are not among them
    of_some, same = ridge.fit(some, folds=groups), ridge.fit(some, targets=others, folds=groups)
    np.testing.assert_array_equal(of_some.weights, same.weights)
    assert ridge.fit(folds=np.zeros(60, int)).penalty == alone.penalty  # one fold leaves nothing to learn from


def test_the_card_tells_what_each_part_scores_alone(classifier: Classifier) -> None:
    text = card("m", classifier._config(), classifier.features_, classifier.metrics_)
    head = next(line for line in text.splitlines() if line.startswith("| | this model"))
    names = [cell.strip() for cell in head.strip("|").split("|")][3:]
    parts, rival = classifier.metrics_["parts"], classifier.metrics_["rival"]
    assert names == [*(f"{part['name']} alone" for part in parts), rival["name"], rival["others"][0]["name"]]
    (row,) = [line for line in text.splitlines() if line.startswith("| accuracy |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")][3:]
    scores = [each["accuracy"] for each in (*parts, rival, *rival["others"])]
    assert [float(cell) for cell in cells] == pytest.approx(scores, abs=1e-3)
    assert "The answer is " in text


def test_scores_are_of_ridges_that_did_not_see_the_items_though_the_one_that_stays_saw_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, _ = waves(30)
    y = np.random.default_rng(2).integers(0, 2, 30)
    monkeypatch.setattr("rekur.tasks.base.branches.best_quarters", lambda *_: 4)  # the ridge alone
    model = Classifier(**QUICK, baseline=False).fit(X, y)
    branch = model.model_.branch
    assert branch is not None
    assert (model.model_.spec.members, branch.spec.members, branch.spec.numbers) == (2, 1, 3)
    ridge = model.metrics_["parts"][1]
    assert model.metrics_["log_loss"] == pytest.approx(ridge["log_loss"], rel=1e-4)
    assert model.metrics_["accuracy"] == ridge["accuracy"] < 0.8  # labels at random
    assert model.score(X, y) > ridge["accuracy"]


def test_a_ridge_can_be_left_out() -> None:
    X, y = waves(24)
    model = Classifier(**QUICK, branches="net").fit(X, y)
    assert "parts" not in model.metrics_
    assert model.model_.branch is None


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_weight_of_numbers_does_not_depend_on_the_size_of_their_losses(scale: float) -> None:
    draw = np.random.default_rng(0)
    net, ridge = draw.normal(0, scale, (50, 1)), draw.normal(0, scale / 9, (50, 1))
    assert best_quarters(net, ridge, "outputs", squares) == 4


@pytest.mark.parametrize("members", [1, 2])
def test_without_folds_a_ridge_of_the_training_items_is_weighed_by_those_to_validate_on(members: int) -> None:
    X, y = waves(60)
    model = Classifier(epochs=1, members=members, baseline=False).fit(X[:40], y[:40], X_valid=X[40:], y_valid=y[40:])
    assert model.chosen_["branches"] == "net,ridge"
    names = [part["name"] for part in model.metrics_["parts"]]
    assert names == ["network", "ridge on random convolutions"]
    branch = model.model_.branch
    assert branch is not None
    assert (model.model_.spec.members, branch.spec.members) == (members, 1)
    # it knows nothing of the items to validate on but their number of mistakes
    others = (
        Classifier(epochs=1, members=members, baseline=False)
        .fit(X[:40], y[:40], X_valid=X[50:], y_valid=y[50:])
        .model_.branch
    )
    one, other = (np.asarray(each.matrices / each.matrices.norm()) for each in (branch, others))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_share_that_is_held_out_scores_one_ridge_and_teaches_the_next(
    weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = waves(30)
    steps = [np.asarray(each, np.float32) for each in X]
    weights = np.linspace(0.5, 2, 30) if weighted else None
    every = EncodedItems(named(Ragged.from_iter(steps)), y, np.arange(30), y.tolist(), weights=weights)
    held_out = dataclasses.replace(every, rows=np.arange(20, 30))
    apart = EncodedItems(named(Ragged.from_iter(steps[20:])), y[20:], np.arange(10), y[20:].tolist())
    target, items = LabelTarget(["0", "1", "2"], multi_label=False), dataclasses.replace(every, rows=np.arange(20))

    def loss(scores: Any) -> float:
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return float(-np.log(chances[np.arange(10), y[20:]]).mean())

    both, one = (fit_apart(items, each, target, loss) for each in (held_out, apart))
    assert (len(both.bias), len(one.bias)) == (2, 1)
    np.testing.assert_allclose(both.scores, one.scores, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(both.weights[:1], one.weights, rtol=1e-6, atol=1e-9)
    table = both.shares.of(steps)
    np.testing.assert_allclose(table[20:] @ both.weights[0].T + both.bias[0], both.scores, atol=1e-5)
    expected = Ridge(table, coded(y, target), weights).fit(penalties=penalties_of(target))
    factor = both.bias[1] / expected.bias
    assert np.ptp(factor) < 1e-4 * abs(factor).max()
    np.testing.assert_allclose(both.weights[1], factor[0] * expected.weights, rtol=1e-4, atol=1e-8)
    monkeypatch.setattr(share_rival, "MOST_ITEMS", 29)  # of so many a ridge reads some, and more teach it nothing
    assert len(fit_apart(items, held_out, target, loss).bias) == 1


@pytest.mark.parametrize("task", [Classifier, Regressor])
def test_a_causal_net_runs_live_with_a_ridge_too_and_as_c_code(task: Any, tmp_path: Path) -> None:
    X, y = waves(24)
    model = task(**QUICK, causal=True, baseline=False).fit(X, y.astype(float) if task is Regressor else y)
    assert model.chosen_["branches"] == "net,ridge"
    assert model.model_.branch is not None
    session = model.stream()
    for row in X[0]:
        session.push(row.tolist())
    live, whole = session.prediction(), model.present(X[:1])[0]
    values = [list(each.probabilities.values()) if task is Classifier else [each] for each in (live, whole)]
    np.testing.assert_allclose(*values, rtol=1e-5, atol=1e-5)
    subject = subject_of(read_bundle(model.save(tmp_path / "m")), Corpus.from_lists(X, None, kind="series"))
    names = ("steps", "stream", *(["C"] if compiler() else []))
    for finding in check_bundle(subject, [each for each in CHECKS if each.name in names]):
        assert finding.holds, finding
        names = tuple(name for name in names if name != finding.name)
    assert not names


def test_odd_series_have_a_ridge_beside_the_net() -> None:
    X, _ = waves(8)
    X = [np.column_stack([item, np.full(len(item), np.nan), 1e9 + item[:, 0]]) for item in X]
    X[3] = np.tile(X[3], (30, 1))
    labels = ["rare", *(str(each % 2) for each in range(7))]
    model = Classifier(epochs=1, baseline=False).fit(X, labels)
    assert len(model.metrics_["parts"]) == 2
    assert np.isfinite(model.predict_proba(X)).all()
    numbers = Regressor(epochs=1, baseline=False).fit(X, [each % 2 for each in range(8)])
    assert np.isfinite(numbers.predict(X)).all()
