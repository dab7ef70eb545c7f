"""Searches: spaces, the course of trials, what is kept, and going on."""

from __future__ import annotations

import csv
import dataclasses
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Regressor
from rekur.errors import DivergedError, InputError, LockedError, MissingDependencyError
from rekur.study import SearchResult, search
from rekur.study.driver import RANDOM_TRIALS, UNPRUNED_TRIALS
from rekur.study.objective import Outcome
from rekur.study.search_report import curves, progress, slices, write_search_report
from rekur.study.space import Choices, Range, default_space, make_space, option_types
from rekur.tasks import TASKS, load

pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
QUICK: dict[str, Any] = {"epochs": 2, "hidden_size": 4, "num_layers": 1, "baseline": False}


@pytest.fixture
def page() -> bool:
    """Asks for the page of plots, which takes seconds to draw."""
    return True


@pytest.fixture(autouse=True)
def no_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "page" not in request.fixturenames:
        monkeypatch.setattr("rekur.study.run_search.write_search_report", lambda *_: None)


def letters(count: int = 40, seed: int = 0) -> tuple[list[str], list[int]]:
    rng = random.Random(seed)
    texts = [" ".join(rng.choices("abcd", k=rng.randint(2, 6))) for _ in range(count)]
    return texts, [int(text.count("a") > text.count("b")) for text in texts]


def found_in(folder: Path, trials: int = 3, **given: Any) -> SearchResult:
    X, y = letters()
    return search("classify", X, y, out=folder, trials=trials, **{"options": QUICK, **given})


# ── spaces ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["text", "series", "symbols"])
def test_the_usual_space_is_made_of_options_of_the_task(task: str, kind: str) -> None:
    space = default_space(task, kind)
    assert set(space) <= set(option_types(task, kind))
    assert {"learning_rate", "hidden_size", "num_layers", "cell"} <= set(space)
    assert ("dropout" in space) == (task != "translate")  # with one layer it has no effect
    assert "input_dropout" in space or task != "translate"


def test_what_is_given_replaces_the_usual_and_what_is_fixed_is_left_out() -> None:
    space = make_space("classify", "text", {"dropout": "0:0.2", "tokens": ["word", "char"]}, {"cell": "gru"})
    assert space["dropout"] == Range(0.0, 0.2)
    assert space["tokens"] == Choices(("word", "char"))
    assert "cell" not in space


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("hidden_size", "16:64:16", Range(16, 64, whole=True, step=16)),
        ("hidden_size", "16:70:16", Range(16, 64, whole=True, step=16)),
        ("hidden_size", "16:64:log", Range(16, 64, log=True, whole=True)),
        ("dropout", "0:1", Range(0.0, 1.0)),
        ("bidirectional", "true,false", Choices((True, False))),
        ("class_weight", None, None),
        ("kernel_size", "0,5", Choices((0, 5))),
        ("max_length", "none,50", Choices((None, 50))),
        ("learning_rate", [0.1, 0.2], Choices((0.1, 0.2))),
    ],
)
def test_ranges_and_choices(name: str, given: Any, made: Any) -> None:
    if made is None:
        assert name not in option_types("classify", "text")
    else:
        assert make_space("classify", "text", {name: given}, {})[name] == made


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"droput": "0:1"}, "space: got 'droput'; expected an option of 'classify' that can be searched. "
                            "Did you mean 'dropout'?"),
        ({"seed": "1,2"}, "space: got 'seed'; expected an option of 'classify' that can be searched. It decides what "
                          "trials are compared on, or how they run: fix it as an option."),
        ({"cell": ""}, "space cell: got ''; expected values to try, as NAME=LOW:HIGH, NAME=LOW:HIGH:log or "
                       "NAME=A,B,C."),
        ({"cell": []}, "space cell: got ''; expected values to try, as NAME=LOW:HIGH, NAME=LOW:HIGH:log or "
                       "NAME=A,B,C."),
        ({"cell": "gru"}, "space cell: got 'gru'; expected two values or more. "
                          "To give it to every trial, use --cell gru."),
        ({"cell": "gru,gru"}, "space cell: got 'gru,gru'; expected each value once. "
                             "Remove the duplicates."),
        ({"cell": "1:2"}, "space cell: got '1:2'; expected values with commas between, since it is no number."),
        ({"dropout": "a:b"}, "space dropout: got 'a'; expected a number at each end."),
        ({"dropout": "0.5:0.1"}, "space dropout: got '0.5:0.1'; expected a low end below the high one. "
                                 "Did you mean 0.1:0.5?"),
        ({"dropout": "0:0.5:lgo"}, "space dropout: got '0:0.5:lgo'; expected a range as LOW:HIGH or LOW:HIGH:log. "
                                   "Did you mean 'log'?"),
        ({"learning_rate": "0:1:log"}, "space learning_rate: got '0:1:log'; expected a low end above 0, since it is "
                                       "drawn by its logarithm. Begin a little above 0, or leave :log out."),
        ({"hidden_size": "1.5:3"}, "space hidden_size: got '1.5'; expected a whole number at each end."),
        ({"bidirectional": "yes,no"}, "space bidirectional: got 'yes'; expected true or false."),
        ({"num_layers": "one,two"}, "space num_layers: got 'one'; expected a whole number."),
    ],
)  # fmt: skip
def test_impossible_spaces(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        make_space("classify", "text", given, {})
    assert str(caught.value) == text


def test_an_option_cannot_be_both_fixed_and_searched() -> None:
    with pytest.raises(InputError) as caught:
        make_space("classify", "text", {"cell": "lstm,gru"}, {"cell": "gru"})
    expected = "space cell: got 'lstm,gru'; expected no range, since it is fixed at gru. Leave one of the two out."
    assert str(caught.value) == expected


def test_nothing_left_to_search() -> None:
    fixed = dict.fromkeys(default_space("classify", "text"), 1)
    with pytest.raises(InputError) as caught:
        make_space("classify", "text", {}, fixed)
    assert str(caught.value) == "space: got no option to search, since all are fixed; expected one or more. Fix fewer."


def test_a_value_that_was_drawn_is_short_and_in_the_range() -> None:
    one = Range(1e-4, 1e-2, log=True)
    assert one.value(0.00123456) == 0.00123
    assert Range(0.12345, 0.2).value(0.12345) == 0.12345
    assert all(one.contains(one.value(drawn)) for drawn in np.geomspace(1e-4, 1e-2, 50))


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        ({"dropout": "0:1.5"}, {}, "space dropout: got 1.5; expected a number in [0, 1)."),
        ({"hidden_size": "0:4"}, {}, "space hidden_size: got 0; expected a whole number of 1 or more."),
        ({"pooling": "last,mena"}, {}, "space pooling: got 'mena'; expected one of 'last', 'mean', "
                                       "'max', 'attention'. Did you mean 'mean'?"),
        ({}, {"dropout": 2.0}, "dropout: got 2.0; expected a number in [0, 1)."),
    ],
)  # fmt: skip
def test_what_no_data_could_make_possible_is_said_before_anything_is_written(
    given: Any, options: Any, text: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        found_in(tmp_path / "s", space=given, options=options)
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


# ── the course of a search ───────────────────────────────────────────────────────────────────────────────────────


def test_the_defaults_come_first_and_the_best_model_is_the_winning_trial_itself(tmp_path: Path) -> None:
    X, y = letters()
    found = found_in(tmp_path / "s", 4)
    first, best = found.trials[0], found.best
    assert (found.ended, [one.number for one in found.trials], first.defaults) == ("finished", [0, 1, 2, 3], True)
    assert first.options["learning_rate"] == 2e-3
    assert first.options["cell"] == "lstm"
    assert best is not None
    assert best.score == min(one.score for one in found.trials if one.score is not None)
    kept = load(found.bundle)
    assert kept.result_.best_score == pytest.approx(best.score, abs=0)
    again = TASKS["classify"](**{**QUICK, **({} if best.defaults else best.options), "kind": "text"}).fit(X, y)
    np.testing.assert_array_equal(again.scores(X), kept.scores(X))


def test_what_is_written(tmp_path: Path, page: bool) -> None:
    found = found_in(tmp_path / "s", 3)
    assert sorted(path.name for path in found.folder.iterdir() if path.name[0] != ".") == [
        "best", "search.html", "study.sqlite", "trials.csv",
    ]  # fmt: skip
    with (found.folder / "trials.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert [float(row["score"]) for row in rows] == [one.score for one in found.trials]
    assert float(rows[1]["dropout"]) == found.trials[1].options["dropout"]
    written = (found.folder / "search.html").read_text(encoding="utf-8")
    assert written.count("<svg") == 2 + len(found.trials[1].options)
    assert not re.search(r'(src|href)="http', written)


def test_a_search_in_two_parts_equals_one_in_one(tmp_path: Path) -> None:
    whole = found_in(tmp_path / "whole", 4)
    found_in(tmp_path / "parts", 2)
    parts = found_in(tmp_path / "parts", 4)
    assert [one.options for one in parts.trials] == [one.options for one in whole.trials]
    assert [one.score for one in parts.trials] == [one.score for one in whole.trials]


def test_a_search_that_is_done_trains_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = found_in(tmp_path / "s", 2)
    monkeypatch.setattr("rekur.study.objective.fit", None)
    assert found_in(tmp_path / "s", 2).trials == first.trials


def test_another_seed_draws_other_options(tmp_path: Path) -> None:
    drawn = [found_in(tmp_path / f"{seed}", 2, options={**QUICK, "seed": seed}).trials[1].options for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_a_small_space_is_tried_to_the_end_and_nothing_twice(tmp_path: Path) -> None:
    space = {"cell": ["rnn", "gru"], "dropout": [0.0, 0.5]}
    rest = dict.fromkeys(["input_dropout", "token_dropout"], 0.0) | {"batch_size": 16, "embedding_size": 8}
    fixed = {**QUICK, **rest, "epochs": 1, "learning_rate": 0.01, "weight_decay": 0.01}
    found = found_in(tmp_path / "s", 30, space=space, options=fixed)
    assert found.ended == "every combination was tried"
    tried = [tuple(one.options.items()) for one in found.trials if not one.defaults]
    assert len(tried) == len(set(tried)) == 4


def test_numbers_are_predicted_too(tmp_path: Path) -> None:
    series = [[float(i % 5)] * 4 for i in range(30)]
    found = search("regress", series, [i % 5 for i in range(30)], out=tmp_path / "s", trials=2, options=QUICK)
    assert (found.monitor, found.larger_is_better) == ("valid_loss", False)
    assert "input_noise" in found.space
    assert isinstance(load(found.bundle), Regressor)


def test_a_search_on_series_says_that_its_defaults_are_of_another_network(tmp_path: Path) -> None:
    lines: list[str] = []
    how: dict[str, Any] = {"trials": 1, "options": {"epochs": 1, "baseline": False}, "say": lines.append}
    series, numbers = [[float(i % 5)] * 4 for i in range(30)], [i % 5 for i in range(30)]
    found = search("regress", series, numbers, out=tmp_path / "series", **how)
    assert lines[0].startswith("All trials have network recurrent, the first one too")
    assert found.defaults == "the defaults with network recurrent"
    lines.clear()
    assert found_in(tmp_path / "texts", 1, say=lines.append).defaults == "the defaults"
    assert not any(line.startswith("All trials have") for line in lines)


def test_given_validation_items_are_those_that_count(tmp_path: Path) -> None:
    X, y = letters(300, seed=5)
    found = found_in(tmp_path / "s", 2, X_valid=X, y_valid=y)
    assert (found.monitor, found.larger_is_better) == ("valid_accuracy", True)
    assert found.best is not None
    assert found.best.score == max(one.score for one in found.trials if one.score is not None)
    assert load(found.bundle).metrics_["items"] == 300


def test_the_baseline_is_made_once_and_stands_beside_the_winner(tmp_path: Path, monkeypatch: Any) -> None:
    from rekur.tasks.base import items as base

    made: list[int] = []
    fit = base.fit_linear_rival
    monkeypatch.setattr(base, "fit_linear_rival", lambda *a, **k: made.append(1) or fit(*a, **k))
    found = found_in(tmp_path / "s", 4, options={**QUICK, "baseline": True}, space={"learning_rate": "0.02:0.05"})
    assert found.best is not None
    assert not found.best.defaults
    assert made == [1]
    model = load(found.bundle)
    assert model.metrics_["rival"]["accuracy"] >= 0.5
    assert model.evaluate(*letters())["rival"]["name"] == model.metrics_["rival"]["name"]  # the bundle keeps it
    assert load(found.bundle).get_params()["baseline"] is True


# ── trials that end before their time ────────────────────────────────────────────────────────────────────────────


class Scripted:
    """Stands for trials: each ends as the script says; costs fall from 1 to what is written."""

    def __init__(self, script: dict[int, Any]) -> None:
        self.script, self.seen = script, 0

    def __call__(self, setting: Any, options: Any, watch: Any, **_: Any) -> tuple[Outcome, Any]:
        what = self.script.get(self.seen, 0.5)
        self.seen += 1
        if isinstance(what, BaseException):
            if isinstance(what, DivergedError):
                return Outcome("failed", error=what, monitor="valid_loss"), None
            raise what
        costs = [1 - (1 - what) * k / 10 for k in (4, 8, 10)]
        for k, cost in enumerate(costs, start=1):
            if watch(k, cost):
                return Outcome("pruned", costs=costs[:k], monitor="valid_loss", ended="pruned"), None
        outcome = Outcome("finished", what, costs, "valid_loss", chosen={"cell": "lstm"}, seconds=0.01)
        return outcome, self

    def save(self, folder: Path, overwrite: bool) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "model").write_text(f"{self.seen - 1}")


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, script: dict[int, Any], trials: int) -> SearchResult:
    monkeypatch.setattr("rekur.study.run_search.run_trial", Scripted(script))
    return found_in(folder, trials)


def test_a_trial_behind_the_median_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scripted(tmp_path / "s", monkeypatch, {UNPRUNED_TRIALS: 0.9, UNPRUNED_TRIALS + 1: 0.1}, UNPRUNED_TRIALS + 2)
    bad, good = found.trials[UNPRUNED_TRIALS:]
    assert (bad.state, bad.score, len(bad.evaluations)) == ("pruned", None, 2)
    assert (good.state, good.score, len(good.evaluations)) == ("finished", 0.1, 3)
    assert found.best == good
    assert (found.bundle / "model").read_text() == f"{good.number}"


def test_no_trial_is_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scripted(tmp_path / "s", monkeypatch, {0: 0.5, 1: 90.0, 2: 0.51, 3: 0.52, 4: 70.0}, 5)
    axes = progress(found).axes[0]
    low, high = axes.get_ylim()
    points = [tuple(place) for drawn in axes.collections for place in drawn.get_offsets()]
    assert high < 70
    assert {number for number, score in points if low <= score <= high} == {0, 1, 2, 3, 4}
    labels = [text.get_text() for text in curves(found).axes[0].get_legend().get_texts()]
    assert "pruned" not in labels or any(one.state == "pruned" for one in found.trials)


def test_defaults_outside_the_space_are_seen_over_each_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scripted(tmp_path / "s", monkeypatch, {}, 3)
    outside = {"hidden_size": 7, "learning_rate": 1.0, "dropout": 0.99}
    space = {"hidden_size": Choices((8, 16)), "learning_rate": Range(1e-4, 1e-2, log=True), "dropout": Range(0.0, 0.5)}
    trials = [dataclasses.replace(one, options={**one.options, **outside}) for one in found.trials]
    for figure, value in zip(
        slices(dataclasses.replace(found, trials=trials, space=space, importance={})), (2, 1, 0.99), strict=True
    ):
        axes = figure.axes[0]
        points = [float(place[0]) for drawn in axes.collections for place in drawn.get_offsets()]
        assert points == [value] * 3
        assert axes.get_xlim()[0] < value < axes.get_xlim()[1]
        if value == 2:
            assert [tick.get_text() for tick in axes.get_xticklabels()] == ["8", "16", "7"]


def test_a_trial_that_fails_is_told_and_the_search_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scripted(tmp_path / "s", monkeypatch, {1: DivergedError("training: the loss became nan")}, 3)
    assert [one.state for one in found.trials] == ["finished", "failed", "finished"]
    assert found.trials[1].reason == "training: the loss became nan"
    write_search_report(found)
    assert "the loss became nan" in (tmp_path / "s" / "search.html").read_text(encoding="utf-8")


def test_ctrl_c_ends_in_good_order_and_the_trial_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = scripted(tmp_path / "s", monkeypatch, {2: KeyboardInterrupt()}, 5)
    assert (stopped.ended, len(stopped.trials)) == ("interrupted", 2)
    again = scripted(tmp_path / "s", monkeypatch, {}, 5)
    assert (again.ended, [one.number for one in again.trials]) == ("finished", [0, 1, 3, 4, 5])


class Killed(BaseException):
    """Ends the process as SIGKILL does: nothing is written any more."""


def test_a_trial_that_kills_the_process_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with pytest.raises(Killed):
            scripted(tmp_path / "s", monkeypatch, {0: Killed()}, 3)
    found = scripted(tmp_path / "s", monkeypatch, {}, 3)
    first = found.trials[0]
    assert (first.state, first.defaults, first.reason) == ("failed", True, "the process ended while it ran")
    assert [one.state for one in found.trials[1:]] == ["finished", "finished"]
    assert not any(one.defaults for one in found.trials[1:])


def test_the_time_limit_ends_the_search(tmp_path: Path) -> None:
    found = found_in(tmp_path / "s", 500, time_limit=4, options={**QUICK, "epochs": 20, "patience": 0})
    assert found.ended == "time limit"
    assert 1 <= len(found.trials) < 500
    assert found.best is not None
    going_on = found_in(tmp_path / "s", len(found.trials) + 1, options={**QUICK, "epochs": 20, "patience": 0})
    assert len(going_on.trials) == len(found.trials) + 1


def test_what_mattered_is_known_after_some_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rekur.study.driver.Driver.watch", lambda *_: False)
    rng = random.Random(0)
    script = {k: rng.random() for k in range(RANDOM_TRIALS + 2)}
    found = scripted(tmp_path / "s", monkeypatch, script, RANDOM_TRIALS + 2)
    assert sum(found.importance.values()) == pytest.approx(1)
    assert set(found.importance) <= set(found.space)


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_search_in_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    found_in(folder, 1)
    X, y = letters(seed=1)
    fix = "Repeat the command that started it, or choose another --out."
    for given, said in [
        ({"options": {**QUICK, "epochs": 3}}, f"{folder}: got 3 for the option epochs; expected 2, as the search there "
                                              f"has it. {fix}"),
        ({"space": {"dropout": "0:0.1"}}, f"{folder}: got '0:0.1' for the range of dropout; expected '0:0.7', as the "
                                          f"search there has it. {fix}"),
    ]:  # fmt: skip
        with pytest.raises(InputError) as caught:
            found_in(folder, 2, **given)
        assert str(caught.value) == said
    with pytest.raises(InputError) as caught:
        search("classify", X, y, out=folder, trials=2, options=QUICK)
    said = f"{folder}: got training data that differ from those of the search there; expected the same. {fix}"
    assert str(caught.value) == said


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        found_in(tmp_path)
    expected = "expected a new folder, or that of a search (no study.sqlite there). Choose another folder."
    assert str(caught.value) == f"out: got '{tmp_path}'; {expected}"
    (tmp_path / "study.sqlite").write_text("no database, but of a good length all the same" * 9)
    with pytest.raises(InputError) as caught:
        found_in(tmp_path)
    got = "got 'file is not a database'; expected the SQLite file of a search. Choose another --out."
    assert str(caught.value) == f"{tmp_path}/study.sqlite: {got}"


def test_two_searches_in_one_folder(tmp_path: Path) -> None:
    def second(_: str) -> None:
        with pytest.raises(LockedError) as caught:
            found_in(tmp_path / "s", 1)
        got = f"{tmp_path}/s: got a search that is already running there; expected a folder without a running search."
        assert str(caught.value) == f"{got} Wait for it to end, or choose another --out."
        tried.append(1)

    tried: list[int] = []
    found_in(tmp_path / "s", 1, say=second)
    assert tried == [1]


def test_strange_names_of_folders(tmp_path: Path) -> None:
    found = found_in(tmp_path / "a?b=c #1%20é", 1)
    assert (found.folder / "study.sqlite").is_file()


def test_data_that_cannot_be_used_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        search("classify", ["a b", "c"], [1, 1], out=tmp_path / "s", trials=2, options=QUICK)
    assert str(caught.value).startswith("labels: got only the label 1 in 2 training examples")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"trials": 0}, "trials: got 0; expected a whole number of 1 or more."),
        ({"time_limit": -1}, "time_limit: got -1; expected a number of 0 or more."),
    ],
)
def test_numbers_out_of_range(given: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        found_in(tmp_path / "s", **given)
    assert str(caught.value) == text


def test_without_optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError) as caught:
        found_in(tmp_path / "s")
    text = "a search: needs the package 'optuna', which is not installed. pip install \"rekur[tune]\""
    assert str(caught.value) == text
