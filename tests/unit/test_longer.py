"""A network of series that does not fit its own training items is trained anew, longer; the better of the two stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Classifier, Regressor
from rekur.data.labelled import labelled
from rekur.errors import DivergedError
from rekur.tasks.base import retrain, series_net
from rekur.train import Checkpoints, History

Told = list[str]
FITS = series_net._FITS
QUICK: dict[str, Any] = {"members": 2, "branches": "net", "baseline": False}


def waves(count: int = 30, seed: int = 0) -> tuple[list[Any], list[str]]:
    draw = np.random.default_rng(seed)
    kinds = np.arange(count) % 3
    items = [np.sin(np.arange(20) * (0.4 + 0.5 * kind) + draw.uniform(0, 6)) for kind in kinds]
    return items, [f"kind {kind}" for kind in kinds]


class Notes:
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.told: Told = []

    def say(self, text: str) -> None:
        self.told.append(text)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **named: None


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, after which no network is good enough."""
    monkeypatch.setattr(series_net, "_BUDGET", 10)
    monkeypatch.setattr(series_net, "_FITS", 1.1)


def trained(history: History | None = None, checkpoints: Any = None, **options: Any) -> tuple[Classifier, Told]:
    notes: Any = Notes()
    model = Classifier(**{**QUICK, **options})
    corpus = labelled(*waves(), kind=None, per_step=False)
    model.fit_corpus(corpus, reporter=notes, history=history, checkpoints=checkpoints)
    return model, notes.told


def same(one: Classifier, other: Classifier) -> bool:
    items, _ = waves(9, seed=1)
    return bool((one.predict_proba(items) == other.predict_proba(items)).all())


def test_one_that_does_not_fit_is_trained_anew_four_times_as_long(tmp_path: Path) -> None:
    history = History(tmp_path)
    model, told = trained(history)
    first, _ = trained(epochs=model.chosen_["epochs"] // 4)
    at_once, _ = trained(epochs=model.chosen_["epochs"])
    assert same(model, at_once)
    assert not same(model, first)
    assert model.metrics_["log_loss"] == at_once.metrics_["log_loss"] < first.metrics_["log_loss"]
    assert [row["valid_loss"] for row in history.rows] == [row["valid_loss"] for row in at_once.history_.rows]
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == len(history.rows)
    assert model.result_.best_epoch == len(history.rows)
    why = next(text for text in told if "its own training items" in text)
    assert "trains 4 times as long" in why
    losses = f"Held-out loss {model.metrics_['log_loss']:.4g}, before {first.metrics_['log_loss']:.4g}"
    assert f"{losses}: the new network stays." in told  # after a temperature, as in use


def test_the_one_before_stays_where_its_held_out_loss_is_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.7, 0.6])  # of the new one, and of the one before
    monkeypatch.setattr(series_net.MemberPlan, "held_out_loss", lambda plan, network: next(losses))
    ordinary, results = retrain.train, list[Any]()

    def noted(*given: Any, **how: Any) -> Any:
        results.append(ordinary(*given, **how))
        return results[-1]

    monkeypatch.setattr(retrain, "train", noted)
    model, told = trained()
    monkeypatch.undo()
    assert "Held-out loss 0.7, before 0.6: the network before stays." in told
    assert len(results) == 2
    assert model.result_.seconds == pytest.approx(sum(result.seconds for result in results))
    first, _ = trained(epochs=model.chosen_["epochs"])
    assert same(model, first)
    assert len(model.history_.rows) == len(first.history_.rows)


def test_one_that_fits_is_not_trained_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_BUDGET", 300)
    monkeypatch.setattr(series_net, "_FITS", FITS)
    model, told = trained(members=1)
    assert model.metrics_["accuracy"] > 0.9
    assert not any("its own training items" in text for text in told)


@pytest.mark.parametrize("options", [{"epochs": 2}, {"steps": 6}, {"time_limit": 1e-3}])
def test_a_length_that_was_asked_for_holds(options: dict[str, Any]) -> None:
    _, told = trained(**options)
    assert not any("its own training items" in text for text in told)


def test_a_large_set_is_not_trained_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_MOST_STEPS", 15)
    _, told = trained()
    assert not any("its own training items" in text for text in told)


def test_each_item_is_answered_by_a_member_that_was_trained_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_BUDGET", 400)
    items, labels = waves()
    labels = list(np.random.default_rng(3).permutation(labels))  # nothing to learn, but to know them by heart
    shares: list[float] = []
    ordinary = series_net.MemberPlan.share_right

    def noted(plan: Any, network: Any) -> float:
        shares.append(ordinary(plan, network))
        return shares[-1]

    monkeypatch.setattr(series_net.MemberPlan, "share_right", noted)
    monkeypatch.setattr(series_net, "_LONGER", 2.0)
    model = Classifier(**{**QUICK, "augment": 0.0, "dropout": 0.0}).fit(items, labels)
    assert shares[0] > 0.85
    assert model.metrics_["accuracy"] < 0.7


@pytest.mark.parametrize("how", ["interrupted", "diverged", "raises"])
def test_one_that_ends_early_takes_no_place(how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ordinary, calls = retrain.train, list[int]()

    def broken(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > 1 and how == "raises":
            raise DivergedError("training: the loss became nan.")
        result = ordinary(*given, **named)
        return dataclasses.replace(result, stopped=how) if len(calls) > 1 else result

    with monkeypatch.context() as patched:
        patched.setattr(retrain, "train", broken)
        checkpoints = Checkpoints(tmp_path)
        model, told = trained(checkpoints=checkpoints)
        checkpoints.close()
    assert any(text.startswith("warning: ") for text in told)
    assert model.result_.stopped == ("interrupted" if how == "interrupted" else "finished")
    first, _ = trained(epochs=model.chosen_["epochs"])
    assert same(model, first)
    assert checkpoints.last() is not None  # of the first, written before the second began
    checkpoints = Checkpoints(tmp_path, resume=how == "interrupted")
    model, _ = trained(checkpoints=checkpoints)
    checkpoints.close()
    assert same(model, trained()[0])


def lengths_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that takes the epochs of each training from now on."""
    ordinary, lengths = retrain.train, list[int]()

    def noted(network: Any, plan: Any, options: Any, **how: Any) -> Any:
        lengths.append(options.epochs)
        return ordinary(network, plan, options, **how)

    monkeypatch.setattr(retrain, "train", noted)
    return lengths


def test_several_labels_have_no_share_that_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = lengths_of(monkeypatch)
    items, labels = waves()
    Classifier(**QUICK, multi_label=True).fit(items, [[label, "all"] for label in labels])
    assert len(lengths) == 1
    Classifier(**QUICK).fit(items, labels)
    assert len(lengths) == 3


def numbers(**options: Any) -> tuple[Regressor, Told, list[Any]]:
    notes: Any = Notes()
    items, _ = waves()
    model = Regressor(**{**QUICK, **options})
    model.fit_corpus(labelled(items, [float(item[0]) for item in items], kind=None, per_step=False), reporter=notes)
    return model, notes.told, items


def test_to_numbers_each_training_is_longer_while_held_out_items_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_BUDGET", 40)
    losses = iter([0.5, 0.9, 0.4, 0.5])  # of each new one, and of the one before it
    with monkeypatch.context() as patched:
        patched.setattr(series_net.MemberPlan, "held_out_loss", lambda plan, network: next(losses))
        lengths = lengths_of(patched)
        model, told, items = numbers()
    assert lengths == [2, 6, 13]
    assert sum("of up to 13 epochs" in text for text in told) == 2
    assert model.chosen_["epochs"] == 13
    at_once, _, _ = numbers(epochs=13)
    assert (model.predict(items) == at_once.predict(items)).all()


def test_to_numbers_the_shortest_stays_where_it_answers_held_out_items_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_BUDGET", 40)
    losses = iter([0.9, 0.5])
    with monkeypatch.context() as patched:
        patched.setattr(series_net.MemberPlan, "held_out_loss", lambda plan, network: next(losses))
        lengths = lengths_of(patched)
        model, told, items = numbers()
    assert lengths == [2, 6]
    assert "Held-out loss 0.9, before 0.5: the network before stays." in told
    first, _, _ = numbers(epochs=2)
    assert (model.predict(items) == first.predict(items)).all()


def test_a_trial_to_numbers_has_its_own_length_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_net, "_BUDGET", 40)
    lengths, items = lengths_of(monkeypatch), waves()[0]
    corpus = labelled(items, [float(item[0]) for item in items], kind=None, per_step=False)
    Regressor(**QUICK).fit_corpus(corpus, on_evaluation=lambda row: False)
    Regressor(**QUICK, epochs=3).fit_corpus(corpus)
    assert lengths == [13, 3]
