"""Validation data that are training data too: told by content, whichever way they come in."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.e2e.conftest import REVIEWS, WALKS, Run, write_lines
from tests.e2e.test_language import TINY_RUN, sentences

from rekur import Classifier, LanguageModel, Regressor

SMALL = ("--epochs", "1", "--hidden-size", "4", "--no-baseline", "--quiet", "--json")
TAIL = "; such scores tell how well the model remembers, not how good it is on new data."
EQUAL_ITEMS = f"warning: the validation items are the training items{TAIL}"
EQUAL_TEXT = f"warning: the validation text is the training text{TAIL}"


def said(err: str) -> list[str]:
    """The warnings on validation data."""
    return [line for line in err.splitlines() if line.startswith("warning: ") and line.endswith(TAIL)]


def ways(file: Path, folder: Path) -> dict[str, Path]:
    """The same content under other names."""
    folder.mkdir()
    paths = {kind: folder / f"{kind}{file.suffix}" for kind in ("copy", "symlink", "hard link")}
    shutil.copy(file, paths["copy"])
    paths["symlink"].symlink_to(file)
    os.link(file, paths["hard link"])
    paths["packed"] = folder / f"packed{file.suffix}.gz"
    paths["packed"].write_bytes(gzip.compress(file.read_bytes()))
    return {"itself": file, **paths}


def test_items_are_compared_by_content(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    for name, path in ways(files["walks"], tmp_path / "ways").items():
        done = cli("fit", "classify", files["walks"], *WALKS, "--valid", path, "--out", tmp_path / name, *SMALL)
        assert (done.code, said(done.err)) == (0, [EQUAL_ITEMS]), name
    own = cli("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "own", *SMALL)
    assert (own.code, said(own.err)) == (0, [])


def test_texts_are_compared_by_content(cli: Run, tmp_path: Path) -> None:
    book, folder = tmp_path / "book.txt", tmp_path / "folder"
    book.write_text(sentences(60, 0), encoding="utf-8")
    folder.mkdir()
    shutil.copy(book, folder)
    for name, path in {**ways(book, tmp_path / "ways"), "folder": folder}.items():
        done = cli("fit", "language", book, "--valid", path, "--out", tmp_path / "out" / name, *TINY_RUN)
        assert (done.code, said(done.err)) == (0, [EQUAL_TEXT]), name


def test_the_share_that_is_in_training_is_told(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    rows = files["walks"].read_text().splitlines()
    other = [row.replace("[[", "[[9, 9], [") for row in rows[:6]]
    (tmp_path / "valid.jsonl").write_text("\n".join([*rows[:2], *other]) + "\n")
    words = (files["walks"], "--series", "x", "--label", "wear", "--valid", tmp_path / "valid.jsonl")
    done = cli("fit", "regress", *words, "--out", tmp_path / "m", *SMALL)
    assert said(done.err) == [f"warning: 2 of 8 validation items (25%) are training items too{TAIL}"]
    (tmp_path / "valid.jsonl").write_text("\n".join(rows[:3]) + "\n")
    done = cli("fit", "regress", *words, "--out", tmp_path / "n", *SMALL)
    assert said(done.err) == [f"warning: all 3 validation items are training items too{TAIL}"]


def test_parts_of_a_text_are_found(cli: Run, tmp_path: Path) -> None:
    parts = {name: sentences(60, seed) for seed, name in enumerate("abc")}
    for name, text in parts.items():
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "joined.txt").write_text(parts["b"][100:] + parts["c"])
    a, b, c, joined = (tmp_path / f"{name}.txt" for name in ("a", "b", "c", "joined"))
    wanted = {
        "documents": (
            (a, b, "--valid", b, "--valid", c),
            "1 of 2 validation documents (50%) is a training document too",
        ),
        "a part": ((a, b, "--valid", joined), "about 47% of the validation text stands in the training text too"),
        "nothing": ((a, b, "--valid", c), None),
    }
    for name, (words, text) in wanted.items():
        done = cli("fit", "language", *words, "--out", tmp_path / name, *TINY_RUN)
        assert said(done.err) == ([] if text is None else [f"warning: {text}{TAIL}"]), name


def test_python_objects_are_compared_by_what_the_model_reads(capsys: pytest.CaptureFixture[str]) -> None:
    few: dict[str, Any] = {"hidden_size": 4, "steps": 1, "baseline": False, "verbose": True}
    lists = [[[float(i), 1.0], [2.0, 3.0]] for i in range(12)]
    arrays = np.array(lists, dtype=np.float32)
    Regressor(**few).fit(lists, list(range(12)), X_valid=arrays, y_valid=list(range(12)))
    assert said(capsys.readouterr().err) == [EQUAL_ITEMS]
    texts = ["Good film", "bad film"] * 6
    Classifier(**few).fit(texts, ["g", "b"] * 6, X_valid=np.array(texts, object), y_valid=["g", "b"] * 6)
    assert said(capsys.readouterr().err) == [EQUAL_ITEMS]
    for tokens in ("char", "byte", "word", "bpe"):
        LanguageModel(tokens=tokens, **few).fit(
            "hello world, hello you\n" * 20, X_valid=["hello world, hello you\n" * 20]
        )
        assert said(capsys.readouterr().err) == [EQUAL_TEXT]


def test_tables_of_reviews(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    done = cli(
        "fit", "classify", files["reviews"], *REVIEWS, "--valid", files["reviews"], "--out", tmp_path / "m", *SMALL
    )
    assert said(done.err) == [EQUAL_ITEMS]
    rows = write_lines(tmp_path / "v.jsonl", [{"review": "new words entirely", "stars": "good"}])
    done = cli("fit", "classify", files["reviews"], *REVIEWS, "--valid", rows, "--out", tmp_path / "n", *SMALL)
    assert said(done.err) == []
