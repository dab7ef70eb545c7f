"""``rekur compare BUNDLE BUNDLE FILE``: saved models on the same items."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import REVIEWS, Run, write_lines, write_table


@pytest.fixture(scope="module")
def others(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the form of those that the models were trained on, with other items."""
    folder = tmp_path_factory.mktemp("others")
    with files["reviews"].open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    walks = [json.loads(line) for line in files["walks"].read_text(encoding="utf-8").splitlines()]
    turned = [(id, " ".join(reversed(text.split())), stars) for id, text, stars in rows]
    return {
        "reviews": write_table(folder / "reviews.csv", ("id", "review", "stars"), turned),
        "mixed": write_table(folder / "mixed.csv", ("id", "review", "stars"), [*turned[12:24], *rows[:12]]),
        "walks": write_lines(folder / "walks.jsonl", [{**row, "x": row["x"][1:]} for row in walks]),
    }


def test_saved_models_are_compared_on_the_same_items(
    cli: Run, others: dict[str, Path], bundles: dict[str, Path]
) -> None:
    done = cli("compare", bundles["words"], bundles["both"], others["reviews"], "--json")
    assert (done.code, done.err) == (0, "")
    scores = [
        cli("evaluate", bundles[name], others["reviews"], "--json").json["accuracy"] for name in ("words", "both")
    ]
    assert [model["score"] for model in done.json["models"]] == scores
    assert done.json["pairs"][0]["difference"] == pytest.approx(scores[0] - scores[1])
    assert (done.json["task"], done.json["metric"], done.json["items"]) == ("classify", "accuracy", 48)
    other = cli("compare", others["reviews"], bundles["both"], bundles["words"], "--margin", "0.1")
    assert other.code == 2  # the first word says what is compared
    shown = cli("compare", bundles["both"], others["reviews"], bundles["words"], "--margin", "0.5")
    assert shown.code == 0
    assert shown.out.splitlines()[0]
    assert "Accuracy on 48 items" in shown.out
    assert "Differences (margin: 0.5000)" in shown.out
    assert shown.out.splitlines()[-1].startswith("One run of each model: intervals are over items;")


def test_a_copy_scores_alike(cli: Run, others: dict[str, Path], bundles: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bundles["wear"], tmp_path / "copy")
    done = cli("compare", bundles["wear"], tmp_path / "copy", others["walks"])
    assert done.code == 0
    assert done.out.startswith("No model is shown to be best: ")
    assert " score alike." in done.out
    assert "identical scores in all groups of items." in done.out


def test_what_cannot_be_compared_is_refused(
    cli: Run, others: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    words, both, walks = bundles["words"], bundles["both"], bundles["walks"]
    one = write_lines(tmp_path / "one.jsonl", [{"id": "r", "review": "great film", "stars": "good"}])
    cases: list[tuple[tuple[object, ...], str]] = [
        ((words, others["reviews"]), "expected two or more before the test file."),
        ((words, both), "FILE: got none; expected the file with the test items."),
        ((words, words, others["reviews"]), "expected each model once."),
        ((words, both, "-"), "expected a file that every model can read."),
        ((walks, bundles["wear"], others["walks"]), "task: got 'regress'; expected classify, as of "),
        ((words, bundles["tags"], others["reviews"]), "what it answers: got "),
        ((words, both, one), "items: got 1; expected two or more."),
        ((words, both, others["reviews"], "--margin", "0"), "margin: got 0"),
        ((words, both, tmp_path / "none.csv"), "none.csv"),
        ((words, both, others["reviews"], "--stride", "2"), "--stride: got 2; expected none without --rolling."),
        ((words, both, others["reviews"], "--cells", "gru"), "option: got '--cells'; expected an option of"),
    ]
    for given, message in cases:
        done = cli("compare", *given)
        assert done.code == 2
        assert message in done.err
        assert "Traceback" not in done.err


def test_a_folder_that_holds_no_model_is_named(
    cli: Run, others: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    words, test = bundles["words"], others["reviews"]
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


def test_items_of_the_training_are_no_test(
    cli: Run, files: dict[str, Path], others: dict[str, Path], bundles: dict[str, Path]
) -> None:
    words, both = bundles["words"], bundles["both"]
    done = cli("compare", words, both, files["reviews"])
    assert (done.code, done.out) == (2, "")
    expected = f"expected items that {words} was neither trained nor validated on."
    assert f"FILE: got '{files['reviews']}'; {expected}" in done.err
    mixed = cli("compare", words, both, others["mixed"])
    assert mixed.code == 0
    assert mixed.err.splitlines() == [
        f"warning: {name} was trained or validated on about 50% of the test; "
        "such scores tell how well a model remembers, not how good it is on new data."
        for name in (words, both)
    ]


def test_evaluate_says_that_items_are_those_of_the_training(
    cli: Run, files: dict[str, Path], others: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    told = f"warning: {bundles['words']} was trained or validated on all of the test; such scores tell "
    done = cli("evaluate", bundles["words"], files["reviews"], "--report", tmp_path / "page.html")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(told)
    assert told[1:] in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "on about 50% of the test;" in cli("evaluate", bundles["words"], others["mixed"]).out
    assert cli("evaluate", bundles["words"], others["mixed"], "--json").json["seen_share"] == 0.5
    assert "warning" not in cli("evaluate", bundles["words"], others["reviews"]).out


def test_the_page_of_saved_models(
    cli: Run, files: dict[str, Path], others: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    page, bundle = tmp_path / "page", tmp_path / "with_rival"
    fitted = cli("fit", "classify", files["reviews"], *REVIEWS, "--epochs", "1", "--hidden-size", "4", "--out", bundle)
    assert fitted.code == 0
    words = ("compare", bundles["words"], bundle, others["reviews"], "--out", page)
    done = cli(*words)
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"The page is {page / 'report.html'}."
    assert sorted(path.name for path in page.iterdir()) == ["report.html", "report.md", "result.json"]
    found = cli(*words, "--json").json  # it may be written again
    saved = json.loads((page / "result.json").read_text(encoding="utf-8"))
    assert saved | {"files": found["files"], "out": str(page)} == found
    alone = cli("evaluate", bundle, others["reviews"], "--json").json
    assert saved["rival"]["accuracy"] == alone["rival"]["accuracy"]
    text = (page / "report.html").read_text(encoding="utf-8")
    headings = ("Costs", "How training went", "Score and cost", "What to keep in mind", "How to repeat it")
    for part in (saved["answer"], "Which is best by accuracy on the 48 items of reviews.csv", "rival", *headings):
        assert part in text
    markdown = (page / "report.md").read_text(encoding="utf-8")
    assert saved["answer"] in markdown
    (page / "notes.txt").write_text("mine", encoding="utf-8")
    refused = cli(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "expected a new folder, or one with a page of saved models alone ('notes.txt' is there)" in refused.err
    assert "--out: got" in cli(*words[:-1], others["reviews"]).err


def test_help_of_saved_models(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("compare", bundles["words"], "--help")
    assert done.code == 0
    assert "rekur compare runs/lstm runs/gru test.csv" in done.out
    assert "rekur compare runs/lstm runs/gru test.csv" in cli("compare", "--help").out
