"""``rekur compare BUNDLE BUNDLE FILE``: saved models on the same items."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import Run, write_lines


def test_saved_models_are_compared_on_the_same_items(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path]
) -> None:
    done = cli("compare", bundles["words"], bundles["both"], files["reviews"], "--json")
    assert (done.code, done.err) == (0, "")
    scores = [cli("evaluate", bundles[name], files["reviews"], "--json").json["accuracy"] for name in ("words", "both")]
    assert [model["score"] for model in done.json["models"]] == scores
    assert done.json["pairs"][0]["difference"] == pytest.approx(scores[0] - scores[1])
    assert (done.json["task"], done.json["metric"], done.json["items"]) == ("classify", "accuracy", 48)
    other = cli("compare", files["reviews"], bundles["both"], bundles["words"], "--margin", "0.1")
    assert other.code == 2  # the first word says what is compared
    shown = cli("compare", bundles["both"], files["reviews"], bundles["words"], "--margin", "0.5")
    assert shown.code == 0
    assert shown.out.splitlines()[0]
    assert "Accuracy on 48 items" in shown.out
    assert "Differences (margin: 0.5000)" in shown.out
    assert shown.out.splitlines()[-1].startswith("One run of each model: intervals are over items;")


def test_a_copy_scores_alike(cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bundles["wear"], tmp_path / "copy")
    done = cli("compare", bundles["wear"], tmp_path / "copy", files["walks"])
    assert done.code == 0
    assert done.out.startswith("No model is shown to be best: ")
    assert " score alike." in done.out
    assert "identical scores in all groups of items." in done.out


def test_what_cannot_be_compared_is_refused(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    words, both, walks = bundles["words"], bundles["both"], bundles["walks"]
    one = write_lines(tmp_path / "one.jsonl", [{"id": "r", "review": "great film", "stars": "good"}])
    cases: list[tuple[tuple[object, ...], str]] = [
        ((words, files["reviews"]), "expected two or more before the test file."),
        ((words, both), "FILE: got none; expected the file with the test items."),
        ((words, words, files["reviews"]), "expected each model once."),
        ((words, both, "-"), "expected a file that every model can read."),
        ((walks, bundles["wear"], files["walks"]), "task: got 'regress'; expected classify, as of "),
        ((words, bundles["tags"], files["reviews"]), "what it answers: got "),
        ((words, both, one), "items: got 1; expected two or more."),
        ((words, both, files["reviews"], "--margin", "0"), "margin: got 0"),
        ((words, both, tmp_path / "none.csv"), "none.csv"),
        ((words, both, files["reviews"], "--stride", "2"), "--stride: got 2; expected none without --rolling."),
        ((words, both, files["reviews"], "--cells", "gru"), "option: got '--cells'; expected an option of"),
    ]
    for given, message in cases:
        done = cli("compare", *given)
        assert done.code == 2
        assert message in done.err
        assert "Traceback" not in done.err


def test_a_folder_that_holds_no_model_is_named(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    words, test = bundles["words"], files["reviews"]
    (tmp_path / "empty").mkdir()
    shutil.copytree(words, tmp_path / "lstm")
    nothing = "expected the folder of a saved model (nothing is there)."
    cases: list[tuple[tuple[object, ...], str]] = [
        ((tmp_path / "missing", words, test), f"BUNDLE: got '{tmp_path / 'missing'}'; {nothing}"),
        ((tmp_path / "lstn", words, test), f"{nothing} Did you mean '{tmp_path / 'lstm'}'?"),
        ((tmp_path / "empty", words, test), "expected the folder of a saved model (it has no config.json)."),
        ((words, tmp_path / "missing", test), f"BUNDLE: got '{tmp_path / 'missing'}'; {nothing}"),
        ((test, words, tmp_path / "lstm"), f"The models come first: rekur compare {words} {tmp_path / 'lstm'} {test}"),
    ]
    for given, message in cases:
        done = cli("compare", *given)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
    assert "TASK: got 'missing'" in cli("compare", "missing", test).err


def test_help_of_saved_models(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("compare", bundles["words"], "--help")
    assert done.code == 0
    assert "rekur compare runs/lstm runs/gru test.csv" in done.out
    assert "rekur compare runs/lstm runs/gru test.csv" in cli("compare", "--help").out
