"""A run is gone on with by its ``run.json``: what this version does not know in it is named, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run

RUN: dict[str, Any] = {
    "rekur": "0.1.0",
    "task": "classify",
    "valid": [],
    "columns": {"text": "review", "label": "stars"},
    "reading": {},
    "options": {"hidden_size": 4, "epochs": 1, "kind": "text"},
    "every": 0,
    "board": None,
    "chosen": None,
}


@pytest.fixture
def resumed(cli: Run, files: dict[str, Path], tmp_path: Path) -> Any:
    """Resume a run whose file says this."""

    def resume(**changes: Any) -> Any:
        folder = tmp_path / "run" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        content = {**RUN, "files": [str(files["reviews"])], **changes}
        (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
        return cli("resume", tmp_path / "run", "--json")

    return resume


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("options", {"nope": 1}, "option: got 'nope'"),
        ("options", {"hiden_size": 4}, "Did you mean 'hidden_size'?"),
        ("options", 7, "options: got 7"),
        ("options", {"hidden_size": "x"}, "hidden_size: got 'x'"),
        ("options", {"feature_options": {"nope": 1}}, "nope"),
        ("chosen", {"nope": 1}, "chosen option: got 'nope'"),
        ("task", "summarize", "task: got 'summarize'"),
        ("task", 5, "task: got 5"),
        ("columns", {"nope": "x"}, "column: got 'nope'"),
        ("columns", ["text"], "columns: got "),
        ("reading", {"nope": 1}, "option of reading: got 'nope'"),
        ("reading", {"document": "line"}, "option of reading: got 'document'"),
        ("files", [], "files: got []"),
        ("files", "x", "files: got 'x'"),
        ("valid", [3], "valid: got [3]"),
        ("every", -1, "every: got -1"),
        ("every", 1.5, "every: got 1.5"),
        ("every", 10**30, "every: got 1000000000"),
        ("board", 3, "board: got 3"),
    ],
)
def test_what_is_not_known_is_named(field: str, value: Any, named: str, resumed: Any) -> None:
    done = resumed(**{field: value})
    assert (done.code, named in done.json["error"]) == (2, True), done.err
    assert "Traceback" not in done.err


def test_options_are_set_by_names_that_there_are() -> None:
    from rekur import Classifier
    from rekur.errors import InputError

    with pytest.raises(InputError, match=r"got 'hiden'.*Did you mean 'hidden_size'"):
        Classifier().set_params(hiden=3)
    assert Classifier().set_params(hidden_size=3).hidden_size == 3
