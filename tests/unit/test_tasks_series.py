"""Classify and regress series by the convolutional network: folds, members, temperature, rivals, bad input.

Axes: N items, T time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rekur
from rekur import Classifier, Regressor
from rekur.data.splitting import folds
from rekur.errors import InputError
from rekur.tasks.base.plan import run
from rekur.tasks.base.series_net import SeriesFacts, sizes_of, temperature
from rekur.tasks.base.series_options import OF_RECURRENT, network_of
from rekur.train import Reporter

QUICK: dict[str, Any] = {"network": "convolutional", "epochs": 1, "accelerator": "cpu", "baseline": False}


class Told(Reporter):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def waves(count: int, steps: int = 30, *, seed: int = 0) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return series of two frequencies with their names."""
    rng = np.random.default_rng(seed)
    labels = ["slow" if row % 2 else "fast" for row in range(count)]
    times = np.arange(steps)
    items = [
        np.sin((0.3 if label == "slow" else 1.0) * times + rng.uniform(0, 6)) + 0.3 * rng.normal(size=steps)
        for label in labels
    ]
    return items, labels


@pytest.fixture(scope="module")
def fitted() -> tuple[Classifier, Told]:
    """Return a classifier of five folds, and what was told."""
    told = Told()
    items, labels = waves(20)
    model = Classifier(**{**QUICK, "epochs": 4, "baseline": True})
    from rekur.data.labelled import labelled

    return model.fit_corpus(labelled(items, labels), reporter=told), told


# ── folds ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_folds_spread_each_class_and_keep_units_together() -> None:
    labels = ["a"] * 20 + ["b"] * 12 + ["c"] * 2 + ["d"]
    keys = [*range(18), 17, 17, *range(20, 35)]
    chosen = folds(labels, 5, 3, keys)
    for name, count in (("a", 20), ("b", 12)):
        sizes = np.bincount(chosen[[label == name for label in labels]], minlength=5)
        assert sizes.sum() == count
        assert sizes.max() - sizes.min() <= 2
    assert len(set(chosen[17:20].tolist())) == 1
    assert len(set(chosen[32:34].tolist())) == 2
    assert chosen[34] == -1  # nothing else teaches it
    assert (chosen == folds(labels, 5, 3, keys)).all()
    assert (chosen != folds(labels, 5, 4, keys)).any()
    for fold in range(5):  # each class is taught to every member
        assert {label for label, each in zip(labels, chosen, strict=True) if each != fold} == set("abcd")


def test_there_are_no_more_folds_than_units() -> None:
    assert sorted(folds([None] * 3, 5, 0, range(3)).tolist()) == [0, 1, 2]
    with pytest.raises(InputError, match="expected a class with 2 or more different items"):
        folds(["a", "b"], 5, 0, range(2))


def test_each_item_is_scored_by_the_member_that_did_not_see_it(fitted: tuple[Classifier, Told]) -> None:
    model, told = fitted
    assert model.model_.spec.members == 5
    assert model.metrics_["split"] == "out-of-fold"
    assert model.metrics_["items"] == 20
    assert "accuracy_interval" in model.metrics_
    assert model.metrics_["rival"]["items"] == 20
    assert any(line.startswith("5 folds") for line in told.lines)
    assert any("divided by" in line for line in told.lines)


def test_predictions_average_the_shares_of_all_members(fitted: tuple[Classifier, Told]) -> None:
    model, _ = fitted
    items, _ = waves(4, seed=1)
    whole = model.predict_proba(items)
    shares = []
    members = list(model.model_.members)
    for member in members:
        model.model_.members = type(model.model_.members)([member])
        shares.append(model.predict_proba(items))
    model.model_.members = type(model.model_.members)(members)
    np.testing.assert_allclose(whole, np.mean(shares, axis=0), atol=1e-5)


def test_a_saved_model_gives_what_it_gave_without_torch(fitted: tuple[Classifier, Told], tmp_path: Path) -> None:
    model, _ = fitted
    items, _ = waves(6, seed=2)
    folder = model.save(tmp_path / "m")
    assert "convolutional model (5 members" in (folder / "README.md").read_text()
    loaded = rekur.load(folder)
    np.testing.assert_allclose(loaded.predict_proba(items), model.predict_proba(items), atol=1e-5)


def test_the_temperature_is_that_of_the_least_loss() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5000, 3)) * 2
    shares = np.exp(scores / 2) / np.exp(scores / 2).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < rng.random((5000, 1))).sum(axis=1)

    def loss(each: NDArray[Any]) -> float:
        return float(-(each - np.log(np.exp(each).sum(axis=1, keepdims=True)))[np.arange(5000), truth].sum())

    assert temperature(scores, loss) == 2.0


def test_few_items_that_are_all_right_do_not_make_it_sure() -> None:
    scores = np.array([[2.0, -2.0], [-2.0, 2.0]] * 5)
    truth = np.arange(10) % 2

    def loss(each: NDArray[Any]) -> float:
        return float(np.mean(np.log1p(np.exp(-2 * each[np.arange(10), truth]))))

    assert 0.4 < temperature(scores, loss) < 1.0


# ── members and networks ─────────────────────────────────────────────────────────────────────────────────────────────


def test_one_member_holds_a_share_out() -> None:
    items, labels = waves(20)
    model = Classifier(**QUICK, members=1).fit(items, labels)
    assert model.model_.spec.members == 1
    assert model.metrics_["split"] == "validation"
    assert model.metrics_["items"] == 2


def test_with_items_to_validate_on_members_differ_by_their_start() -> None:
    items, labels = waves(20)
    model = Classifier(**QUICK, members=2).fit(items, labels, X_valid=items[:4], y_valid=labels[:4])
    assert model.model_.spec.members == 2
    assert model.metrics_["items"] == 4


def test_an_option_of_the_recurrent_network_asks_for_it() -> None:
    for name, default in OF_RECURRENT.items():
        assert network_of({name: default}, "series") == network_of({}, "series")
        assert network_of({name: "set"}, "series") == "recurrent"
    assert network_of({"network": "convolutional"}, "text") == "recurrent"
    items, labels = waves(8)
    model = Classifier(cell="gru", hidden_size=4, epochs=1, valid_fraction=0.25).fit(items, labels)
    assert model.model_.spec.cell == "gru"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "convolutional", "cell": "gru"}, r"cell: got 'gru'; expected none without --network recurrent"),
        ({"network": "recurrent", "members": 3, "kind": "series"}, r"members: got 3; .* --network convolutional"),
        ({"network": "linear"}, "network: got 'linear'"),
        ({"members": 0}, "members: got 0"),
        ({"augment": -1.0}, "augment: got -1"),
        ({"causal": True, "bidirectional": True, "kind": "series"}, "bidirectional: got True; .* --causal"),
    ],
)
def test_an_option_that_the_network_lacks_is_refused(options: dict[str, Any], message: str) -> None:
    items, labels = waves(8)
    with pytest.raises(InputError, match=message):
        Classifier(**options).fit(items, labels)


def test_texts_refuse_the_network_of_series() -> None:
    with pytest.raises(InputError, match="network"):
        Classifier(network="convolutional").fit(["a b", "c d", "a c", "b d"] * 3, [0, 1] * 6)


def test_sizes_follow_from_the_training_series() -> None:
    assert sizes_of(SeriesFacts(60, True), causal=False) == {"block": 1, "stride": 1, "longest": 240, "scale": "both"}
    assert sizes_of(SeriesFacts(130, False), causal=True) == {
        "block": 1,
        "stride": 3,
        "longest": 520,
        "scale": "global",
    }
    of_length = [sizes_of(SeriesFacts(length, False), causal=False) for length in (512, 1460, 5000)]
    assert [(sizes["block"], sizes["stride"]) for sizes in of_length] == [(2, 4), (1, 23), (4, 20)]


def test_a_regressor_averages_numbers_of_its_members() -> None:
    items, _ = waves(15)
    sizes = [float(np.std(item)) for item in items]
    model = Regressor(**QUICK).fit(items, sizes)
    assert model.metrics_["split"] == "out-of-fold"
    assert model.model_.spec.scale == "both"
    assert model.predict(items).shape == (15,)


def test_a_causal_model_runs_live_as_on_the_whole() -> None:
    items, labels = waves(20)
    model = Classifier(**QUICK, causal=True).fit(items, labels)
    session = model.stream()
    for value in items[0]:
        update = session.push([value])
    np.testing.assert_allclose(
        list(update.probabilities.values()), model.predict_proba(items[:1])[0], rtol=1e-4, atol=1e-5
    )


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────


def fit_told(model: Any, items: Any, labels: Any) -> list[str]:
    """Return what is told in a training."""
    from rekur.data.labelled import labelled

    told = Told()
    model.fit_corpus(labelled(items, labels), reporter=told)
    return told.lines


def test_two_items() -> None:
    items, labels = waves(2)
    with pytest.raises(InputError, match="examples: got 2 in 2 classes; expected a class with 2 or more"):
        Classifier(**QUICK).fit(items, labels)
    assert np.isfinite(Regressor(**QUICK).fit(items, [0.0, 1.0]).predict(items)).all()


def test_a_class_with_one_member_is_named() -> None:
    items, labels = waves(13)
    labels[12] = "odd"
    model = Classifier(**QUICK)
    lines = fit_told(model, items, labels)
    assert any(line.startswith("In no score, having one example or group: 'odd'") for line in lines)
    assert model.metrics_["items"] == 12
    assert model.predict_proba(items).shape == (13, 3)


def test_fewer_items_than_folds() -> None:
    items, labels = waves(4)
    model = Classifier(**QUICK).fit(items, labels)
    assert model.model_.spec.members == 4


def test_a_constant_channel_and_one_that_is_missing_everywhere() -> None:
    items, labels = waves(12)
    rows = [np.stack([item, np.full(30, 7.0), np.full(30, np.nan)], axis=1) for item in items]
    model = Classifier(**QUICK).fit(rows, labels)
    assert np.isfinite(model.predict_proba(rows)).all()
    rows[0][3, 0] = np.nan
    assert np.isfinite(model.predict_proba(rows)).all()


@pytest.mark.slow
def test_one_series_is_a_thousand_times_longer() -> None:
    items, labels = waves(8, 5)
    items[3] = np.resize(items[3], 5_000)
    model = Classifier(**{**QUICK, "members": 2}).fit(items, labels)
    assert model.model_.spec.block == 1
    assert model.model_.spec.longest == 20
    assert np.isfinite(model.predict_proba(items)).all()


@pytest.mark.slow
def test_levels_of_a_billion_with_changes_of_one() -> None:
    items, labels = waves(16)
    model, far = (Classifier(**QUICK).fit(each, labels) for each in (items, [1e9 + item for item in items]))
    np.testing.assert_allclose(far.predict_proba([1e9 + item for item in items]), model.predict_proba(items), atol=1e-3)


def test_labels_of_zero_and_one_are_numbers_of_a_regressor() -> None:
    items, labels = waves(12)
    predicted = Regressor(**QUICK).fit(items, [int(label == "slow") for label in labels]).predict(items)
    assert predicted.dtype.kind == "f"


def test_equal_series_that_hold_a_whole_class_are_in_one_fold() -> None:
    items, _ = waves(8)
    model = Classifier(**{**QUICK, "baseline": True}).fit([*items, items[0], items[0]], [*"aaaaaaaa", "a", "b"])
    assert np.isfinite(model.metrics_["rival"]["log_loss"])


def test_a_share_that_is_asked_for_is_held_out() -> None:
    items, labels = waves(20)
    assert Classifier(**QUICK, valid_fraction=0.3).fit(items, labels).metrics_["split"] == "validation"


def test_networks_of_folds_that_begin_with_what_they_are_scored_on_are_told(tmp_path: Path) -> None:
    from rekur.data.labelled import labelled

    items, labels = waves(20)
    folder, told = Classifier(**QUICK).fit(items, labels).save(tmp_path / "m"), Told()
    Classifier(**QUICK, seed=1).fit_corpus(labelled(items, labels), reporter=told, start_from=folder)
    assert any("was trained on about 100% of these items" in line for line in told.lines)


def test_records_of_folds_can_be_made_again(fitted: tuple[Classifier, Told]) -> None:
    model, _ = fitted
    items, labels = waves(20)
    from rekur.data.labelled import labelled

    prepared = model.make_stages().prepare(labelled(items, labels), None, None)
    outputs = run(model.model_, prepared.valid)
    records = model.target_.records(outputs, prepared.valid.labels_of(prepared.valid.rows))
    assert model.target_.score(records)["accuracy"] == model.metrics_["accuracy"]


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path) -> None:
    from contextlib import closing

    from rekur.data.labelled import labelled
    from rekur.train import Checkpoints

    class Killed(BaseException):
        """Ends a training at once."""

    def kill(row: dict[str, Any]) -> bool:
        if row["epoch"] >= 2:
            raise Killed
        return False

    items, labels = waves(10)
    corpus, options = labelled(items, labels), {**QUICK, "epochs": 3, "members": 2}
    whole = Classifier(**options).fit_corpus(corpus)
    with closing(Checkpoints(tmp_path, every=1)) as checkpoints, pytest.raises(Killed):
        Classifier(**options).fit_corpus(corpus, checkpoints=checkpoints, on_evaluation=kill)
    with closing(Checkpoints(tmp_path, every=1, resume=True)) as checkpoints:
        model = Classifier(**options).fit_corpus(corpus, checkpoints=checkpoints)
    np.testing.assert_array_equal(model.predict_proba(items), whole.predict_proba(items))
