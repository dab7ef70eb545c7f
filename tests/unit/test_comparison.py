"""Comparisons: variants, equal sizes, paired seeds, continuing, failed runs, the answer."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur.errors import InputError, LockedError
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_course import Course
from rekur.study.comparison_folder import ComparisonFolder, Run
from rekur.study.comparison_page import PageFacts
from rekur.study.measures import Speed
from rekur.study.objective import Setting
from rekur.study.run_comparison import compare
from rekur.study.run_search import read_data
from rekur.study.statistics import compare as compare_scores
from rekur.study.variants import Sizing, VariantSpec, make_equal, make_variants
from rekur.tasks import load


#: no page is drawn and no speed is measured, which takes longer than the rest: test_comparison_page.py does both
@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rekur.study.comparison_course.write_comparison", lambda *_: None)
    monkeypatch.setattr("rekur.study.comparison_course.page_facts", lambda *_: PageFacts())
    monkeypatch.setattr("rekur.study.comparison_course.speed_of", lambda *_: Speed(None, None, 1.0))


QUICK: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "num_layers": 1, "baseline": False}


def letters(count: int = 60, seed: int = 0) -> tuple[list[str], list[int]]:
    rng = random.Random(seed)
    texts = [" ".join(rng.choices("abcd", k=rng.randint(2, 6))) for _ in range(count)]
    return texts, [int(text.count("a") > text.count("b")) for text in texts]


def compared(**how: Any) -> ComparisonResult:
    X, y = letters()
    usual: dict[str, Any] = {"cells": ["rnn", "gru"], "seeds": 2, "options": QUICK, "equal": "hidden"}
    return compare("classify", X, y, **{**usual, **how})


# ── variants ─────────────────────────────────────────────────────────────────────────────────────────────────────


def variants_of(cells: Any = (), varied: Any = None, fixed: Any = None) -> list[VariantSpec]:
    return make_variants(Setting("classify", fixed or {}, None, None, {}), "text", cells, varied or {})


def test_variants_are_all_combinations_and_nothing_else() -> None:
    named = variants_of(["rnn", "gru"], {"dropout": "0,0.3", "bidirectional": "true,false"})
    assert len(named) == 8
    assert named[1].name == "rnn, dropout 0.0, bidirectional false"
    assert named[1].options == {"cell": "rnn", "dropout": 0.0, "bidirectional": False}
    ranged = variants_of([], {"hidden_size": "16:32:8"})
    assert [each.options for each in ranged] == [{"hidden_size": size} for size in (16, 24, 32)]


@pytest.mark.parametrize(
    ("cells", "varied", "text"),
    [
        ("gru,lsmt", {}, "cells: got 'lsmt'; expected one of 'rnn', "),
        ("gru,gru", {}, "cells: got 'gru,gru'; expected each name once ('gru' is repeated). "),
        ("gru", {}, "variants: got 'gru'; expected two or more. "),
        ("", {}, "cells: got ''; expected one of "),
        ("gru,lstm", {"cell": "rnn,gru"}, "vary cell: got 'rnn,gru'; expected none beside cells. "),
        ([], {}, "variants: got 'none'; expected two or more. "),
        (
            "gru,lstm",
            {"droput": "0,0.1"},
            "vary: got 'droput'; expected an option of 'classify' that can be varied. ",
        ),
        ("gru,lstm", {"dropout": "0,0"}, "vary dropout: got '0,0'; expected each value once. "),
        ("gru,lstm", {"dropout": "0:0.5"}, "vary dropout: got '0:0.5'; expected values that are compared. "),
        ("gru,lstm", {"seed": "0,1"}, "vary: got 'seed'; expected an option of 'classify' that can be varied. "),
        ("gru,lstm", {"dropout": "0,2"}, "variant 'gru, dropout 2.0': dropout: got 2.0; expected "),
        (
            "gru,lstm",
            {"hidden_size": "4,8"},
            "vary hidden_size: got '4,8'; expected no range, since it is fixed at 6. ",
        ),
    ],
)
def test_variants_that_cannot_be(cells: Any, varied: Any, text: str) -> None:
    with pytest.raises(InputError) as caught:
        variants_of(cells, varied, {"hidden_size": 6})
    assert str(caught.value).startswith(text)


def test_any_option_is_varied_but_for_what_decides_on_the_items() -> None:
    series = Setting("regress", {"network": "convolutional"}, None, None, {})
    for option, values, named in (
        ("augment", "0,0.5", ["augment 0.0", "augment 0.5"]),
        ("members", "1,3", ["members 1", "members 3"]),
        ("branches", "net,net,ridge", ["branches net", "branches net,ridge"]),
        ("branches", "net,ridge,net", ["branches net,ridge", "branches net"]),
        ("causal", "true,false", ["causal true", "causal false"]),
        ("time_limit", "1,2", ["time limit 1.0", "time limit 2.0"]),
    ):
        assert [each.name for each in make_variants(series, "series", [], {option: values})] == named
    plain = Setting("regress", {}, None, None, {})
    networks = make_variants(plain, "series", [], {"network": "recurrent,convolutional"})
    assert [each.name for each in networks] == ["network recurrent", "network convolutional"]
    with pytest.raises(InputError, match="vary augment: got '0,1'; expected no range without --network convolutional"):
        make_variants(plain, "series", [], {"augment": "0,1"})
    for task, option in (
        ("regress", "valid_fraction"),
        ("forecast", "horizon"),
        ("tag", "cut"),
        ("language", "tokens"),
    ):
        with pytest.raises(InputError, match=f"got '{option}'; expected an option of '{task}' that can be varied. It "):
            make_variants(Setting(task, {}, None, None, {}), "text", [], {option: "1,2"})


def test_runs_that_are_scored_on_other_items_are_refused() -> None:
    course = Course(Setting("regress", {}, None, None, {}), None, [], [0], print)
    course._check_items("a", 0, 5)
    with pytest.raises(InputError, match="b, seed 1: scored items: got 6; expected 5, as in the runs before it"):
        course._check_items("b", 1, 6)


def test_a_misspelt_cell_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="Did you mean 'lstm'"):
        variants_of("gru,lsmt")


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counts_of_weights_agree_within_two_per_cent() -> None:
    options = {**QUICK, "hidden_size": None, "steps": 1, "epochs": None}
    result = compared(cells=["rnn", "lstm", "gru", "mingru"], seeds=1, options=options, equal=None)
    core = {run.variant: run.core for run in result.runs}
    assert len(core) == 4
    for variant, count in core.items():
        assert abs(count / core[0] - 1) <= 0.02, result.variants[variant]
    sizes = [each.options["hidden_size"] for each in result.variants]
    assert sizes[1] < sizes[2] < sizes[3] <= sizes[0]
    assert {run.parameters > run.core for run in result.runs} == {True}


def test_a_hidden_size_that_is_fixed_stays_and_cells_keep_their_multiples() -> None:
    X, y = letters()
    train = read_data("classify", X, y, "X")
    fixed = {**QUICK, "hidden_size": 64}
    setting = Setting("classify", fixed, train, None, {})
    sizing = Sizing(setting, 0, lambda text: None)
    sized = make_equal(variants_of(["rnn", "mlstm"], fixed=fixed), sizing, "parameters")
    assert sized[0].options["hidden_size"] == 64
    counts = [sizing.count(each.options) for each in sized]
    unit = 4 if sized[1].options["hidden_size"] % 4 == 0 else 1
    for other in (-unit, unit):
        options = {**sized[1].options, "hidden_size": sized[1].options["hidden_size"] + other}
        assert abs(sizing.count(options) - counts[0]) >= abs(counts[1] - counts[0])


def test_sizes_that_cannot_be_equal_are_told() -> None:
    result = compared(cells=["rnn", "lstm"], seeds=1, options={**QUICK, "hidden_size": 3}, equal="parameters")
    note = result.variants[1].note
    assert "weights outside embeddings and the output layer" in note
    assert note in json.dumps(result.to_dict())


def test_equal_hidden_sizes() -> None:
    result = compared(seeds=1)
    assert [each.options["hidden_size"] for each in result.variants] == [4, 4]
    options = {**QUICK, "hidden_size": None}
    varied = compared(cells=["gru"], vary={"hidden-size": "4,6"}, seeds=1, options=options, equal=None)
    assert [each.options["hidden_size"] for each in varied.variants] == [4, 6]
    with pytest.raises(InputError, match="equal: got 'parameters'; expected 'hidden' where hidden_size is varied"):
        compared(cells=["gru"], vary={"hidden_size": "4,6"}, equal="parameters", options={"epochs": 1})


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_are_those_of_fit_and_seeds_share_one_split(tmp_path: Path) -> None:
    """A run of a variant is what the estimator trains with the same validation items and the seed of the run."""
    result = compared(out=tmp_path / "c", seeds=3, options={**QUICK, "seed": 5})
    assert sorted((run.variant, run.seed) for run in result.runs) == [(v, s) for v in (0, 1) for s in (5, 6, 7)]
    X, y = letters()
    model = rekur.Classifier(**{**QUICK, "cell": "gru", "seed": 6})
    model.split_seed = 5
    model.fit(X, y)
    saved = load(tmp_path / "c" / "runs" / "1-6" / "model")
    for name, weight in saved.model_.state_dict().items():
        np.testing.assert_array_equal(weight.numpy(), model.model_.state_dict()[name].numpy(), err_msg=name)
    (run,) = [run for run in result.runs if (run.variant, run.seed) == (1, 6)]
    assert run.score == model.metrics_["accuracy"]


def test_statistics_are_those_of_scores_and_records(tmp_path: Path) -> None:
    result = compared(out=tmp_path / "c", seeds=3)
    scores = [[run.score for run in result.runs_of(variant)] for variant in (0, 1)]
    records = [[np.load(tmp_path / "c" / "runs" / f"{v}-{s}" / "validation.npy") for s in range(3)] for v in (0, 1)]
    target = load(tmp_path / "c" / "runs" / "0-0" / "model").target_
    right = compare_scores(scores, records, score=lambda rows: target.score(rows)["accuracy"])
    assert result.statistics == right
    assert result.items == len(records[0][0])


def test_test_items_give_the_scores(tmp_path: Path) -> None:
    X, y = letters(30, seed=1)
    result = compared(X_test=X, y_test=y, out=tmp_path / "c", options={**QUICK, "baseline": True})
    assert (result.split, result.items) == ("test", 30)
    model = load(tmp_path / "c" / "runs" / "1-0" / "model")
    (run,) = [run for run in result.runs if (run.variant, run.seed) == (1, 0)]
    assert run.score == model.evaluate(X, y)["accuracy"]
    assert set(result.rival) >= {"name", "accuracy"}
    assert [row["variant"] for row in result.to_dict()["runs"]] == ["rnn", "rnn", "gru", "gru"]


def test_training_or_validation_items_are_no_test() -> None:
    X, y = letters()
    others, labels = letters(30, seed=1)
    with pytest.raises(InputError, match="test: got 'the training data'; expected items that no run is trained on"):
        compared(X_test=X, y_test=y)
    with pytest.raises(InputError, match="test: got 'the validation data'"):
        compared(X_valid=others, y_valid=labels, X_test=others, y_test=labels)


def test_repeating_gives_the_same_scores_and_only_trains_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    first = compared(out=tmp_path / "a")
    longer = compared(out=tmp_path / "a", seeds=3, say=lines.append)
    assert len(lines) == 2  # one run of each variant
    assert lines[0].startswith("run   5 of 6")
    assert "left" in lines[0]
    assert [run.score for run in longer.runs] == [run.score for run in compared(seeds=3).runs]
    monkeypatch.setattr("rekur.study.objective.fit", None)
    again = compared(out=tmp_path / "a")
    assert (again.runs, again.statistics) == (first.runs, first.statistics)


def test_a_run_whose_process_ended_is_run_again_once(tmp_path: Path) -> None:
    first = compared(out=tmp_path / "c")
    folder = ComparisonFolder(tmp_path / "c", json.loads((tmp_path / "c" / "comparison.json").read_text()))
    folder.write(Run(0, 1, "running", attempt=1))
    folder.close()
    assert [run.score for run in compared(out=tmp_path / "c").runs] == [run.score for run in first.runs]
    folder = ComparisonFolder(tmp_path / "c", json.loads((tmp_path / "c" / "comparison.json").read_text()))
    folder.write(Run(0, 1, "running", attempt=2))
    folder.close()
    result = compared(out=tmp_path / "c")
    (failed,) = [run for run in result.runs if run.state == "failed"]
    assert failed.reason == "its process ended while it ran, 2 times"
    assert result.statistics.variants[0].failed == 1


def test_a_run_that_diverges_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    lines: list[str] = []
    result = compared(cells=["gru"], vary={"learning-rate": "0.003,1e30"}, out=tmp_path / "c", say=lines.append)
    assert [run.state for run in result.runs] == ["finished", "finished", "failed", "failed"]
    assert "1e+30" in result.runs[2].reason
    assert sum("failed: " in line for line in lines) == 2
    assert "2 of 2 runs of gru, learning rate 1e+30 failed" in result.answer
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert [row["score"] is None for row in json.loads(text)["runs"]] == [False, False, True, True]
    assert [title for title, _, _ in result.tables()][-1] == "Runs that failed"


def test_a_time_limit_that_is_too_short_for_a_step() -> None:
    result = compared(options={**QUICK, "time_limit": 1e-9})
    assert {run.state for run in result.runs} == {"failed"}
    assert "expected time for more than one step of training" in result.runs[0].reason
    assert result.answer == "No answer: none of the 4 runs has finished."


def test_ctrl_c_ends_it_and_the_same_call_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rekur.study import comparison_course

    real, count = comparison_course.run_trial, 0

    def stopped(*words: Any, **how: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return real(*words, **how)

    monkeypatch.setattr(comparison_course, "run_trial", stopped)
    result = compared(out=tmp_path / "c")
    assert result.ended == "interrupted"
    assert len(result.runs) == 3
    assert [summary.n for summary in result.statistics.variants] == [1, 1]  # the seed that both have run
    assert [summary.failed for summary in result.statistics.variants] == [0, 0]
    whole = compared(out=tmp_path / "c")
    assert (whole.ended, len(whole.runs)) == ("finished", 4)
    assert [run.score for run in whole.runs] == [run.score for run in compared().runs]


# ── folders ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_of_another_comparison_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    compared(out=tmp_path / "c", seeds=1)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "c").rglob("*"))
    with pytest.raises(InputError, match="got 'rnn,lstm' for variants; expected 'rnn,gru', as the comparison there"):
        compared(out=tmp_path / "c", cells=["rnn", "lstm"])
    with pytest.raises(InputError, match="for the option epochs; expected 1"):
        compared(out=tmp_path / "c", options={**QUICK, "epochs": 2})
    X, y = letters(40, seed=3)
    with pytest.raises(InputError, match="got training data that differ from those of the comparison there"):
        compare("classify", X, y, cells=["rnn", "gru"], seeds=1, options=QUICK, out=tmp_path / "c", equal="hidden")
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "c").rglob("*")) == before


def test_two_comparisons_in_one_folder(tmp_path: Path) -> None:
    compared(out=tmp_path / "c", seeds=1)
    identity = json.loads((tmp_path / "c" / "comparison.json").read_text())
    folder = ComparisonFolder(tmp_path / "c", identity)
    with pytest.raises(LockedError, match="got a comparison that is already running there"):
        compared(out=tmp_path / "c", seeds=1)
    folder.close()


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(InputError, match="expected a new folder, or that of a comparison"):
        compared(out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_bad_data_leave_no_folder(tmp_path: Path) -> None:
    X, _ = letters()
    with pytest.raises(InputError):
        compare("classify", X, [0] * len(X), cells=["rnn", "gru"], out=tmp_path / "c", options=QUICK)
    assert list(tmp_path.iterdir()) == []


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────


def result_of(scores: list[list[float | None]], names: str = "gru lstm rnn", **changes: Any) -> ComparisonResult:
    names_used = names.split()[: len(scores)]
    runs = [
        Run(variant, seed, "failed" if score is None else "finished", score, 10.0 * (variant + 1), 100, 50)
        for variant, row in enumerate(scores)
        for seed, score in enumerate(row)
    ]
    usual: dict[str, Any] = {
        "task": "classify",
        "metric": "accuracy",
        "split": "test",
        "items": 400,
        "counted": "items",
        "variants": tuple(VariantSpec(name, {"cell": name}) for name in names_used),
        "runs": tuple(runs),
        "statistics": compare_scores(scores, margin=changes.pop("margin", None)),
        "rival": None,
        "equal": "parameters",
        "timed": False,
        "ended": "finished",
        "folder": None,
    }
    return ComparisonResult(**{**usual, **changes})


GRU = [0.8404, 0.866, 0.852, 0.8327, 0.8492, 0.8384]
LSTM = [0.8337, 0.8351, 0.8329, 0.8455, 0.8394, 0.8341]
RNN = [0.8241, 0.8283, 0.8036, 0.8174, 0.8102, 0.8183]


def test_an_interval_that_was_cut_is_written_with_both_ends() -> None:
    wide = [[0.5, 0.5], [0.0, 0.5]]
    result = result_of(wide, "gru rnn", statistics=compare_scores(wide, limits=(0, 1)))
    assert "gru leads rnn by 25.0 (-100.0 to 100.0) points in 2 seeds" in result.answer


def test_answers() -> None:
    assert result_of([GRU, RNN], "gru rnn").answer == (
        "gru beats rnn by 2.9 ± 1.5 points in 6 of 6 seeds and trains 2.0 × as fast."
    )
    assert result_of([RNN, GRU], "rnn gru").answer == (
        "gru beats rnn by 2.9 ± 1.5 points in 6 of 6 seeds but takes 2.0 × the time to train."
    )
    assert result_of([GRU, RNN], "gru rnn", timed=True).answer.endswith("in 6 of 6 seeds.")
    assert result_of([GRU, LSTM, RNN]).answer == (
        "gru beats rnn by 2.9 ± 1.5 points in 6 of 6 seeds, but is not told apart from lstm (1.0 ± 1.5 points)."
    )
    assert result_of([GRU, LSTM]).answer == (
        "No variant is shown to be best: gru leads lstm by 1.0 ± 1.5 points in 6 seeds; p 0.1684 after Holm."
    )
    assert result_of([GRU, LSTM], margin=0.05).answer == (
        "No variant is better by the margin: gru leads lstm by 1.0 ± 1.5 points."
    )
    assert result_of([[0.81], [0.84]]).answer == (
        "No answer from one seed: lstm has the best test accuracy (3.0 points before gru); runs of other seeds differ."
    )
    failed = result_of([[*GRU[:5], None], RNN], "gru rnn")
    assert failed.answer.endswith("(1 of 6 runs of gru failed).")
    assert result_of([GRU, [None] * 6]).answer == (
        "No answer: only gru has runs that finished (6 of 6 runs of lstm failed)."
    )
    assert result_of([[None], [None]]).answer == "No answer: none of the 2 runs has finished."


def test_an_answer_says_that_the_rival_is_ahead() -> None:
    text = " All lose to the rival, counts: test accuracy 0.9900."
    assert result_of([GRU, RNN], rival={"name": "counts", "accuracy": 0.99}).answer.endswith(text)
    assert result_of([[0.81], [0.84]], rival={"name": "counts", "accuracy": 0.99}).answer.endswith(text)
    assert "rival" not in result_of([GRU, RNN], rival={"name": "counts", "accuracy": 0.84}).answer
    low = result_of([GRU, RNN], metric="rmse", rival={"name": "mean", "rmse": 0.1})
    assert low.answer.endswith("All lose to the rival, mean: test rmse 0.1000.")
    assert "rival" not in result_of([GRU, RNN], metric="rmse", rival={"name": "mean", "rmse": 0.9}).answer


def test_an_answer_about_errors_that_are_to_be_small() -> None:
    low, high = [0.41, 0.43, 0.42, 0.40, 0.44, 0.42], [0.52, 0.55, 0.50, 0.53, 0.54, 0.51]
    statistics = compare_scores([high, low], larger_is_better=False)
    result = result_of([high, low], metric="loss", statistics=statistics)
    assert result.answer == (
        "lstm beats gru by 0.1050 ± 0.0196 nats in 6 of 6 seeds but takes 2.0 × the time to train."
    )
    assert result.ranked() == [1, 0]


def test_the_tables_and_the_rival() -> None:
    result = result_of([GRU, LSTM, RNN], rival={"name": "naive Bayes", "accuracy": 0.8})
    variants, costs, pairs = result.tables()
    assert variants[0] == "Test: accuracy on 400 items (rival: naive Bayes)"
    assert [row[0] for row in variants[2]] == ["gru", "lstm", "rnn", "rival"]
    assert [row[3] for row in variants[2]] == ["best mean", "undecided", "2.9 points worse", ""]
    assert [row[4] for row in variants[2]] == ["", "25%", "0%", ""]
    assert [row[:2] for row in costs[2]] == [["gru", "10.0 s"], ["lstm", "20.0 s"], ["rnn", "30.0 s"]]
    assert [row[0] for row in pairs[2]] == ["gru - lstm", "gru - rnn", "lstm - rnn"]
    assert [row[-1] for row in pairs[2]] == ["undecided", "better", "better"]
    row = result.to_dict()["pairs"][1]
    assert (row["first"], row["second"], row["verdict"]) == ("gru", "rnn", "better")
    assert row["improvement"] == 1.0
    noted = result_of([[*GRU[:5], None], RNN], "gru rnn").to_dict()
    assert noted["pairs"][0]["note"] == "few seeds: 5; gru: 1 of 6 runs failed"


def test_a_public_name() -> None:
    assert rekur.compare is compare
    assert "compare" in dir(rekur)


@pytest.mark.slow
def test_scores_of_folds_are_called_so() -> None:
    draw = np.random.default_rng(0)
    X = [draw.normal(0, 1, 12) for _ in range(12)]
    options = {"network": "convolutional", "members": 2, "branches": "net", "epochs": 1}
    y = ["a", "b"] * 6
    found = compare("classify", X, y, vary={"augment": "0,1"}, seeds=1, options={**options, "baseline": False})
    assert (found.split, found.items) == ("out-of-fold", 12)
    assert found.tables()[0][0].startswith("Out-of-fold: accuracy on 12 items")


def test_a_network_without_a_hidden_size_is_compared_as_it_is() -> None:
    X, y = [np.sin(np.arange(12) * (0.3 + 0.1 * row)) for row in range(12)], ["a", "b"] * 6
    options = {"network": "convolutional", "epochs": 1, "baseline": False}
    result = compare("classify", X, y, vary={"dropout": "0,0.3"}, seeds=1, options=options)
    assert [run.state for run in result.runs] == ["finished", "finished"]
