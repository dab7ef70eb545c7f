"""Plots without a display, the page they stand on, the model card, and what is said of long items."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rekur import Classifier
from rekur.errors import SaveError
from rekur.study import model_plots, write_report
from rekur.study.figures import calibration, confusion, learning_curves
from rekur.tasks.base.early import long_item_warning


def test_every_plot_draws_without_a_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.delenv("DISPLAY", raising=False)
    rows = [{"epoch": 1, "valid_loss": 0.5}, {"epoch": 2, "valid_loss": 0.4}]
    figures = [
        confusion([[3, 1], [0, 0]], ["a", "b <&>"]),
        confusion(np.eye(30, dtype=int).tolist(), [f"c{i}" for i in range(30)]),
        calibration([(0.6, 0.5, 4), (0.9, 1.0, 2)], 0.05),
        learning_curves({"": rows}),
    ]
    assert "matplotlib.pyplot" not in sys.modules or "PYTEST_XDIST_WORKER" in os.environ
    write_report(tmp_path / "page.html", title="A <b> & c", tables=[("T", ("x", "y"), [("<i>", 0.5)])], plots=figures)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "A &lt;b&gt; &amp; c" in page
    assert "&lt;i&gt;" in page
    assert "0.5000" in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    expected = 0o666 & ~_umask()
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == expected


def test_one_evaluation_is_a_point_and_epochs_are_whole() -> None:
    rows = [{"epoch": epoch, "valid_loss": 1 / epoch} for epoch in range(1, 6)]
    axes, single = (learning_curves({"": part}).axes[0] for part in (rows, rows[:1]))
    assert single.lines[0].get_marker() == "o"
    assert axes.lines[0].get_marker() in ("", "None")
    assert all(place == round(place) for axis in (axes, single) for place in axis.get_xticks())


def test_a_text_learnt_by_heart_has_a_plot() -> None:
    (plot,) = model_plots({}, [{"epoch": 20, "train_loss": 0.1, "train_perplexity": 1.1}])
    assert (plot.axes[0].get_ylabel(), len(plot.axes)) == ("loss", 1)
    losses = [{"epoch": k, "train_loss": 1.0, "valid_loss": 0.5, "valid_accuracy": 0.5} for k in (1, 2)]
    (both,) = model_plots({}, losses, "accuracy")  # training and validation in one plot, the score below
    assert [len(axes.lines) for axes in both.axes] == [2, 1]
    several = learning_curves({"gru": losses, "lstm": losses}, "accuracy").axes
    assert [text.get_text() for text in several[1].get_legend().get_texts()] == ["gru, validation", "lstm, validation"]


def _umask() -> int:
    taken = os.umask(0)
    os.umask(taken)
    return taken


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.html"
    write_report(page, title="first", tables=[], plots=[])
    before = page.read_text(encoding="utf-8")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SaveError) as caught:
        write_report(page, title="second", tables=[], plots=[])
    assert str(caught.value) == (
        f"{page}: got 'No space left on device'; expected a disk with room for it. "
        "Free some space or choose another file; nothing half-written was left behind, and what stood there is "
        "unchanged."
    )
    assert page.read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_model_has_the_plots_that_its_scores_allow(tmp_path: Path) -> None:
    texts = [f"{'great' if i % 2 else 'awful'} film {i}" for i in range(24)]
    model = Classifier(epochs=2, hidden_size=4).fit(texts, [i % 2 for i in range(24)])
    assert len(model_plots(model.metrics_, model.history_.rows)) == 3
    assert model_plots({"rmse": 1.0}, []) == []
    page = (model.save(tmp_path / "films") / "README.md").read_text(encoding="utf-8")
    for wanted in ("library_name: rekur", "# films", "| accuracy |", "logistic regression |", "rekur stream films"):
        assert wanted in page


@pytest.mark.parametrize(
    ("lengths", "discrete", "text"),
    [
        ([10] * 9 + [4_000], True, None),
        ([4_000] * 9 + [9_000], True, None),
        (
            [30] * 9 + [9_000],
            True,
            "warning: the longest item has 9,000 steps, the middle one 30; time and memory grow with the longest. "
            "Cut items with --max-length 120.",
        ),
        (
            [30] * 9 + [9_000],
            False,
            "warning: the longest item has 9,000 steps, the middle one 30; time and memory grow with the longest. "
            "Cut the series before training.",
        ),
    ],
)
def test_one_very_long_item_is_pointed_out(lengths: list[int], discrete: bool, text: str | None) -> None:
    assert long_item_warning(np.array(lengths), discrete) == text


def test_no_option_is_named_that_the_task_lacks() -> None:
    text = long_item_warning(np.array([30] * 9 + [9_000]), True, "")
    assert text is not None
    assert text.endswith("time and memory grow with the longest. Cut it before training.")
