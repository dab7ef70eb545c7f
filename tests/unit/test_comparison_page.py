"""The page of a comparison, and its costs: speed, memory, time to a score; curves with bands; how it looks."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.browser import check_in_browser

from rekur.data import Corpus, texts_in_memory
from rekur.runtime.examples import ShownItem
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_figures import band_of, curves, scores_by_cost
from rekur.study.comparison_folder import ComparisonFolder, Run
from rekur.study.comparison_page import PAGE, TEXT, PageFacts, caveats, write_comparison
from rekur.study.costs import Costs, cost_table, costs_of, goal_of, reached
from rekur.study.measures import some
from rekur.study.run_comparison import compare
from rekur.study.statistics import compare as compare_scores
from rekur.study.variants import VariantSpec

GRU, RNN = [0.84, 0.87, 0.85], [0.80, 0.82, 0.79]


def rows(*scores: float) -> list[dict[str, Any]]:
    return [
        {"epoch": k, "train_loss": 1.2 / k, "valid_loss": 1 / k, "valid_accuracy": score, "seconds": 2.0 * k}
        for k, score in enumerate(scores, start=1)
    ]


def result_of(**changes: Any) -> ComparisonResult:
    scores = [GRU, RNN]
    runs = [
        Run(
            variant, seed, "finished", score, 4.0, 100, 50, "finished",
            peak_memory=300_000_000, bundle_bytes=20_000, step_seconds=2e-6, item_seconds=1e-3, per_second=5000.0,
        )
        for variant, row in enumerate(scores)
        for seed, score in enumerate(row)
    ]  # fmt: skip
    histories = {(run.variant, run.seed): rows(0.5, (run.score or 0) - 0.1, run.score or 0) for run in runs}
    usual: dict[str, Any] = {
        "task": "classify",
        "metric": "accuracy",
        "split": "validation",
        "items": 400,
        "counted": "items",
        "variants": (VariantSpec("gru", {"cell": "gru"}), VariantSpec("rnn, <b>", {"cell": "rnn"})),
        "runs": tuple(runs),
        "statistics": compare_scores(scores),
        "rival": {"name": "naive Bayes", "accuracy": 0.81},
        "equal": "parameters",
        "timed": False,
        "ended": "finished",
        "folder": None,
        "histories": histories,
    }
    return ComparisonResult(**{**usual, **changes})


# ── costs ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_goal_is_a_score_that_half_of_the_runs_of_each_variant_reach() -> None:
    histories = {
        (0, 0): rows(0.5, 0.9), (0, 1): rows(0.5, 0.8), (0, 2): rows(0.5, 0.7),
        (1, 0): rows(0.6, 0.6), (1, 1): rows(0.75, 0.6), (1, 2): rows(0.95),
    }  # fmt: skip
    goal = goal_of(histories, "accuracy", larger_is_better=True)
    assert (goal.name, goal.score) == ("valid_accuracy", 0.75)
    assert [goal.seconds(each) for each in histories.values()] == [4.0, 4.0, None, None, 2.0, 2.0]
    lower = goal_of({(0, 0): rows(0.5, 0.5), (1, 0): rows(0.5)}, "rmse", larger_is_better=False)
    assert (lower.name, lower.score, lower.larger_is_better) == ("valid_loss", 1.0, False)
    assert lower.seconds(rows(0.1)) == 2.0
    named = goal_of(histories, "accuracy", larger_is_better=True, score=0.99)
    assert [named.seconds(each) for each in histories.values()] == [None] * 6
    assert goal_of({}, "accuracy", larger_is_better=True).score is None


def test_costs_are_means_and_medians_of_runs() -> None:
    runs = [
        Run(
            0, k, "finished", 0.5, seconds, 9, 4, peak_memory=memory, bundle_bytes=10, step_seconds=step, per_second=7.0
        )
        for k, (seconds, memory, step) in enumerate([(1.0, 5, 1e-6), (2.0, None, 9e-6), (6.0, 8, 2e-6)])
    ]
    costs = costs_of(runs, [1.0, None, 3.0])
    assert (costs.seconds, costs.seconds_to_score, costs.reached) == (3.0, 2.0, 2)
    assert (costs.peak_memory, costs.bundle_bytes, costs.step_seconds, costs.item_seconds) == (8, 10, 2e-6, None)
    assert reached(costs, 3) == "2.0 s (2/3)"
    assert costs_of([], []) == Costs()


def test_the_table_of_costs_names_the_latency() -> None:
    goal = goal_of({}, "accuracy", larger_is_better=True)
    live, whole = Costs(step_seconds=2e-6, item_seconds=1e-3), Costs(item_seconds=1e-3)
    assert "a step" in cost_table([("a", live, 1)], goal, "items")[1]
    _, head, cells = cost_table([("a", live, 1), ("b", whole, 1)], goal, "items")
    assert "latency" in head
    assert [row[6] for row in cells] == ["2.0 µs a step", "1.0 ms an item"]


def test_some_items_of_data() -> None:
    corpus = Corpus.from_lists(["a", "b", "c"], [0, 1, 0])
    assert list(some(corpus, 2, 1).items()) == ["b", "c"]
    texts = some(texts_in_memory(["abc", "defg", "h"]), 5)
    assert list(texts.pieces()) == [(0, "abc"), (1, "de")]


def test_a_comparison_measures_every_run() -> None:
    words = random.Random(0)
    texts = [" ".join(words.choices("abcd", k=4)) for _ in range(60)]
    options = {"epochs": 1, "hidden_size": 4, "baseline": False, "bidirectional": True}
    labels = [int(text.count("a") > text.count("b")) for text in texts]
    told = compare("classify", texts, labels, cells=["rnn", "gru"], seeds=1, options=options, reach=0.0).to_dict()
    assert told["reach"] == {"metric": "valid_accuracy", "score": 0.0}
    for row in (*told["runs"], *told["variants"]):
        assert row["bundle_bytes"] > 1000
        assert row["step_seconds"] is None  # it reads from both ends
        assert row["item_seconds"] > 0
        assert row["items_per_second"] > 0
        assert row["seconds_to_score"] > 0
        assert row["peak_memory"] is None or row["peak_memory"] > 1e6


def test_runs_that_were_kept_without_measures_are_read(tmp_path: Path) -> None:
    folder = ComparisonFolder(tmp_path / "c", {"task": "classify"})
    folder.write(Run(0, 3, "finished", 0.5))
    file = tmp_path / "c" / "runs" / "0-3" / "run.json"
    saved = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({k: v for k, v in saved.items() if k not in ("peak_memory", "per_second")}))
    assert folder.runs()[0, 3] == Run(0, 3, "finished", 0.5)
    folder.close()


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_bands_go_as_far_as_half_of_the_runs() -> None:
    runs = [rows(0.5, 0.7, 0.9), rows(0.6, 0.6), rows(0.1), [{"epoch": 1, "valid_accuracy": float("nan")}]]
    band = band_of(runs, "valid_accuracy")
    assert band is not None
    assert [each.round(6).tolist() for each in band] == [[1, 2], [0.1, 0.6], [0.4, 0.65], [0.6, 0.7]]
    assert band_of(runs, "valid_bleu") is None


def test_training_and_validation_are_in_one_plot() -> None:
    losses, scores = curves(result_of())
    (axes,) = losses.axes
    assert {line.get_linestyle() for line in axes.get_lines() if len(line.get_xdata())} == {"-", "--"}
    assert len(axes.collections) == 2  # a band for each variant
    assert "rival" in [text.get_text() for text in scores.legends[0].get_texts()]
    _, tested = curves(result_of(split="test"))  # the rival's score is of other items than the curves
    assert "rival" not in [text.get_text() for text in tested.legends[0].get_texts()]
    assert [figure.axes[0].get_xlabel() for figure in scores_by_cost(result_of())] == [
        "seconds", "bundle, kB", "a step, µs",
    ]  # fmt: skip


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


def page_of(folder: Path, **changes: Any) -> tuple[str, str]:
    items = [ShownItem("line 7", [("truth", "pos"), ("prediction", "<neg>")], "a | text")]
    facts = PageFacts("rekur compare classify a.csv", {"training": "abc"}, items, items, "Items of the test data.")
    write_comparison(result_of(**changes), folder, facts)
    return (folder / PAGE).read_text(encoding="utf-8"), (folder / TEXT).read_text(encoding="utf-8")


def test_the_page_begins_with_the_question_and_the_answer(tmp_path: Path) -> None:
    page, text = page_of(tmp_path)
    assert len(page) < 3_000_000
    words = [
        "Which is best by accuracy on 400 validation items: gru or rnn, &lt;b&gt;?",
        "gru beats rnn",
        "naive Bayes",
        "Validation: accuracy on 400 items",
        "How training went",
        "Score and cost",
        "Most surely wrong",
        "Most unsure, right or wrong",
        "What to keep in mind",
        "How to repeat it",
        "rekur compare classify a.csv",
        "training data, SHA-256",
        "All runs",
    ]
    places = [page.index(word, page.index("<header>")) for word in words]
    assert places == sorted(places)
    assert "3.0 points better" not in page
    assert "4.3 points better" in page  # than the rival
    assert "<neg>" not in page
    assert len(re.findall("<svg", page)) == 5
    assert text.startswith("<!-- made by rekur compare -->\n# Which is best")
    assert "| line 7 | a \\| text | truth: pos; prediction: &lt;neg> |" in text
    for word in ("## What to keep in mind", "## Costs", "- training data, SHA-256: abc", "- seeds: 0, 1, 2"):
        assert word in text


def test_an_answer_is_bad_news_where_the_best_loses_to_the_rival(tmp_path: Path) -> None:
    assert '<p class="sentence better">' in page_of(tmp_path / "a")[0]
    lost, _ = page_of(tmp_path / "b", rival={"name": "naive Bayes", "accuracy": 0.9})
    assert '<p class="sentence worse">' in lost


def test_caveats() -> None:
    told = caveats(result_of())
    assert told[0].startswith("Scores are of the validation data")
    assert "Few seeds: 3 (gru - rnn, <b>)." in told
    assert any("within 2 %; all other options are equal" in each for each in told)
    noted = result_of(variants=(VariantSpec("gru", {}), VariantSpec("rnn", {}, "8 % more")), split="test", rival=None)
    assert caveats(result_of(split="out-of-fold"))[0].startswith("Scores are out of fold: each training item")
    told = caveats(noted)
    assert "Test data were read once, after all runs." in told
    assert "rnn: 8 % more." in told
    assert any(each.startswith("No rival was scored") for each in told)
    one = result_of(statistics=compare_scores([GRU[:1], RNN[:1]]), runs=result_of().runs[::3])
    assert any(each.startswith("One seed: there is no interval") for each in caveats(one))


def test_a_page_of_an_interrupted_comparison_and_of_failed_runs(tmp_path: Path) -> None:
    failed = tuple(Run(variant, 0, "failed", reason="it diverged") for variant in (0, 1))
    how: dict[str, Any] = {"runs": failed, "statistics": compare_scores([[None], [None]]), "histories": {}}
    page, text = page_of(tmp_path, **how, metric="", items=0, rival=None, ended="interrupted")
    assert "No answer yet" in page
    assert "the same command continues it" in page
    assert "it diverged" in text


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_browser_shows_the_page(tmp_path: Path, width: int, scheme: str) -> None:
    check_in_browser(page_of(tmp_path)[0], tmp_path, width, scheme)
