"""The catalog: public names, loading and the command line follow from its rows; a row is all that a new task adds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

import rekur
import rekur.tasks
from rekur import Classifier
from rekur._options import documented, option, options
from rekur.cli.main import main
from rekur.tasks.catalog import CATALOG, READS, Row, row_of
from rekur.tasks.classify.options import ClassifyOptions

ROOT = Path(__file__).parents[2]


@options
class ToyOptions(ClassifyOptions):
    """Options of a toy."""

    fit_help: ClassVar[str] = "A toy."
    loudness: int = option(default=1, group="decoding", help="How loud a prediction is.")


@documented
class Toy(ToyOptions, Classifier):
    """A classifier under another name."""

    task = "toy"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Row:
    row = Row(
        name="toy",
        help="Learn to play.",
        tune_help="Search for the best game.",
        options=f"{__name__}:ToyOptions",
        estimator=f"{__name__}:Toy",
        target="label",
        preview=True,
    )
    monkeypatch.setitem(CATALOG, "toy", row)
    return row


def test_rows_agree_with_their_estimators() -> None:
    for name, row in CATALOG.items():
        estimator = row.estimator_class()
        assert (row.name, row.target, row.reads) == (estimator.task, estimator.target, estimator.reads)
        assert name == row.name
        assert row.reads in READS
        assert row_of(row.public_name) is row
        assert getattr(rekur, row.public_name) is getattr(rekur.tasks, row.public_name) is rekur.tasks.TASKS[name]
    assert list(rekur.tasks.TASKS) == list(CATALOG)


def test_options_import_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys\nfrom rekur.tasks.catalog import CATALOG\n"
        "print([sorted(row.options_class().__dataclass_fields__)[0] for row in CATALOG.values()])\n"
        "print(sorted({'torch', 'sklearn', 'click'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_help_of_every_task_imports_no_numbers() -> None:
    """Neither PyTorch nor scikit-learn nor NumPy: help is there at once."""
    code = (
        "import sys\nfrom rekur.cli.main import main\nfrom rekur.tasks.catalog import CATALOG\n"
        "for name in CATALOG:\n"
        "    for command in ('fit', 'tune'):\n"
        "        main([command, name, '--help'])\n"
        "        heavy = {'torch', 'sklearn', 'numpy', 'optuna'} & set(sys.modules)\n"
        "        assert not heavy, (command, name, heavy)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_a_preview_is_not_named_but_works(toy: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["fit", "--help"], ["tune", "--help"]):
        main(words)
    assert "toy" not in capsys.readouterr().out.lower()
    main(["fit", "toy", "--help"])
    text = capsys.readouterr().out
    assert "Learn to play. (preview)" in text
    assert "Decoding options:\n  --loudness INTEGER  How loud a prediction is." in text
    file = tmp_path / "a.jsonl"
    rows = [{"t": f"{word} film {k}", "l": word} for k in range(20) for word in ("good", "bad")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fit = ["fit", "toy", str(file), "--text", "t", "--label", "l", "--out", str(tmp_path / "m"), "--epochs", "1"]
    assert main([*fit, "--hidden-size", "4", "--loudness", "3", "--no-baseline", "--quiet"]) == 0
    assert "toy is a preview" in capsys.readouterr().err
    model = rekur.tasks.load(tmp_path / "m")
    assert (type(model), model.loudness, model.baseline) == (Toy, 3, False)


def test_usage_lines_name_the_files_of_an_evaluation() -> None:
    assert (CATALOG["translate"].test_files(), CATALOG["tag"].test_files()) == ("SOURCE TARGET", "TEST_FILE")
    assert CATALOG["translate"].test_files(of_table=True) == "TEST_FILE"


def test_the_readme_names_no_preview() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in CATALOG.values():
        assert not row.preview or (f"fit {row.name}" not in text and row.public_name not in text)


def test_a_task_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "clasify", "a.csv"]) == 2
    tasks = "classify, regress, tag, translate, forecast, language"
    text = f"TASK: got 'clasify'; expected one of {tasks}. Did you mean 'classify'?"
    assert text in capsys.readouterr().err
