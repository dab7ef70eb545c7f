"""``rekur evaluate --errors``: what is wrong, the most surely wrong first, in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from tests.e2e.conftest import Run, write_table


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_file_has_what_predictions_get_wrong(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    labels = {row["id"]: row["stars"] for row in table(files["reviews"])}
    flipped = [
        (name, row["review"], {"good": "bad", "bad": "good"}[row["stars"]] if number % 3 else row["stars"])
        for number, (name, row) in enumerate(zip(labels, table(files["reviews"]), strict=True))
    ]
    data = write_table(tmp_path / "data.csv", ("id", "review", "stars"), flipped)
    done = cli("evaluate", bundles["words"], data, "--errors", tmp_path / "e.csv")
    rows = table(tmp_path / "e.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"{len(rows)} errors in {tmp_path}/e.csv, the worst first."
    predicted = [json.loads(line) for line in cli("predict", bundles["words"], data, "--json").out.splitlines()]
    truth = {name: label for name, _, label in flipped}
    wrong = {row["item"]: row for row in predicted if row["label"] != truth[row["item"]]}
    assert {row["item"] for row in rows} == set(wrong)
    for row in rows:
        other = wrong[row["item"]]
        assert (row["truth"], row["prediction"]) == (truth[row["item"]], other["label"])
        assert float(row["probability"]) == pytest.approx(other["probability"], rel=1e-4)
        assert float(row["truth_probability"]) == pytest.approx(other["probabilities"][row["truth"]], rel=1e-4)
        assert row["input"] == next(text for name, text, _ in flipped if name == row["item"])
        assert row["where"].startswith("line ")
    sure = [float(row["severity"]) for row in rows]
    assert sure == sorted(sure, reverse=True)
    again = cli("evaluate", bundles["words"], data, "--errors", tmp_path / "e.csv", "--json")
    assert again.json["errors"] == {"file": f"{tmp_path}/e.csv", "rows": len(rows), "of": len(rows)}


def test_series_and_several_labels_stand_in_json_lines(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    assert cli("evaluate", bundles["wear"], files["walks"], "--errors", tmp_path / "wear.jsonl").code == 0
    first = json.loads((tmp_path / "wear.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["error"] == pytest.approx(first["prediction"] - first["truth"])
    assert " × 2 numbers: " in first["input"]
    assert cli("evaluate", bundles["tags"], files["tags"], "--errors", tmp_path / "tags.jsonl").code == 0
    rows = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows
    assert all((row["label"] in row["truth"]) != (row["label"] in row["prediction"]) for row in rows)


def test_a_page_and_a_file_of_errors_can_be_written_at_once(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    both = ("--report", tmp_path / "page.html", "--errors", tmp_path / "e.csv")
    done = cli("evaluate", bundles["wear"], files["walks"], *both)
    assert done.code == 0
    assert done.out.splitlines()[-2] == f"Plots in {tmp_path}/page.html."
    assert (tmp_path / "page.html").exists()
    assert len(table(tmp_path / "e.csv")) == 42


def test_what_cannot_be_written_is_told_before_anything_is_read(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    (tmp_path / "page.csv").touch()
    cases: list[tuple[tuple[object, ...], str]] = [
        (("--errors", "e.txt"), "--errors: got 'e.txt'; expected a name that ends in .csv or .jsonl."),
        (("--errors", tmp_path / "mine.csv"), "expected a new file, or an earlier file of errors to replace"),
        (("--errors", files["tags"]), "expected a file that is not read (this one is the input)"),
        (("--errors", tmp_path / "e.csv", "--report", tmp_path / "e.csv"), "expected another file than --report"),
        (("--errors", tmp_path / "e.csv", "--cache"), "--errors: got it with --cache; expected a model that stays"),
    ]
    for words, message in cases:
        done = cli("evaluate", tmp_path / "nothing", files["tags"], *words)
        assert done.code == 2
        assert message in done.err
    assert (tmp_path / "mine.csv").read_text() == "a,b\n1,2\n"
