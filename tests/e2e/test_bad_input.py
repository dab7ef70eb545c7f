"""What is wrong is said in one clear message: its whole text, exit code 2, and nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import REVIEWS, SMALL, WALKS, Run, write_lines, write_table

ALL_CELLS = (
    "'rnn', 'rnn_relu', 'lstm', 'lstm_peephole', 'gru', 'gru_reset_before', "
    "'mingru', 'minlstm', 'rglru', 'slstm', 'mlstm'"
)
TEXT = ("--text", "t", "--label", "y")
LONG = ("--series", "v", "--group", "g", "--time", "t", "--label", "y")
FINE = [("a b", 1), ("c d", 2)] * 8


def long_rows(odd: Any) -> list[tuple[Any, ...]]:
    return [(i // 3, i % 3, odd if i == 4 else i, (i // 3) % 2) for i in range(24)]


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of files of which each has one fault."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "empty.csv").write_text("")
    (folder / "latin.csv").write_bytes("t,y\ncafé,1\nthé,2\n".encode("latin-1"))
    write_table(folder / "fine.csv", ("t", "y"), FINE)
    write_table(folder / "other.csv", ("t", "y"), [("a b", 1), ("c", 3)])
    write_table(folder / "one.csv", ("t", "y"), [("a b", 1), ("c", 1)] * 3)
    write_table(folder / "hole.csv", ("t", "y"), [("a b", 1), ("  ", 2)])
    write_table(folder / "unlabelled.csv", ("t", "y"), [("a b", 1), ("c", "")])
    write_table(folder / "twice.csv", ("t", "t", "y"), [("a", "b", 1)])
    write_table(folder / "inf.csv", ("g", "t", "v", "y"), long_rows("inf"))
    write_table(folder / "word.csv", ("g", "t", "v", "y"), long_rows("abc"))
    write_lines(folder / "ragged.jsonl", [{"x": [[1, 2]], "y": 0}, {"x": [[1, 2, 3]], "y": 1}])
    write_lines(folder / "nan.jsonl", [{"x": [[i, float("nan") if i == 5 else 2]], "y": i % 2} for i in range(16)])
    write_lines(folder / "flat.jsonl", [{"x": [[i]], "y": 3} for i in range(8)])
    return folder


CASES = {
    "missing file": (
        "sequences-of-2024.parquet",
        TEXT,
        "file: got '{bad}/sequences-of-2024.parquet'; expected a file that exists. In '{bad}' there is empty.csv, "
        "fine.csv, flat.jsonl, hole.csv, inf.csv, latin.csv, nan.jsonl, one.csv and 5 more.",
    ),
    "empty file": ("empty.csv", TEXT, "{bad}/empty.csv: lines: got 0; expected a header line and one row or more."),
    "wrong encoding": (
        "latin.csv",
        TEXT,
        "{bad}/latin.csv, line 2: text: got 'caf\\xe9,1'; expected text in utf-8. "
        "Try encoding 'latin-1' (--encoding latin-1).",
    ),
    "missing column": (
        "fine.csv",
        ("--text", "tt", "--label", "y"),
        "{bad}/fine.csv: text column: got 'tt'; expected one of the columns 't', 'y'. Did you mean 't'?",
    ),
    "no item column": (
        "fine.csv",
        ("--label", "y"),
        "--text, --symbols, --series or --values: got none of them; expected the column with the items. "
        "To see what {bad}/fine.csv holds: rekur data {bad}/fine.csv",
    ),
    "no label column": (
        "fine.csv",
        ("--text", "t"),
        "--label: got none; expected the column to learn. To see what {bad}/fine.csv holds: rekur data {bad}/fine.csv",
    ),
    "label read as an item": (
        "fine.csv",
        ("--text", "t", "--label", "t"),
        "{bad}/fine.csv: label column: got 't'; expected one that items are not read from. "
        "Take it out of text, or name another.",
    ),
    "two item columns": (
        "fine.csv",
        (*TEXT, "--series", "y"),
        "item columns: got text and series; expected one of text, symbols, series and values.",
    ),
    "label only in validation": (
        "fine.csv",
        (*TEXT, "--valid", "{bad}/other.csv"),
        "{bad}/other.csv, line 3: label: got '3'; expected one of the labels seen in training, '1', '2'.",
    ),
    "one class only": (
        "one.csv",
        TEXT,
        "labels: got only the label '1' in 6 training examples; expected at least two different ones. "
        "Choose another label column, or add examples of the other classes.",
    ),
    "empty text": (
        "hole.csv",
        TEXT,
        "{bad}/hole.csv, line 3: t: got nothing; expected one step or more. Take the row out, or fill it.",
    ),
    "missing label": (
        "unlabelled.csv",
        TEXT,
        "{bad}/unlabelled.csv, line 3: y: got nothing; expected a label in every row.",
    ),
    "infinite number": ("inf.csv", LONG, "{bad}/inf.csv, line 6: v: got 'inf'; expected a finite number."),
    "word among numbers": ("word.csv", LONG, "{bad}/word.csv, line 6: v: got 'abc'; expected a number."),
    "missing number, where none may be": (
        "nan.jsonl",
        ("--series", "x", "--label", "y", "--missing", "error"),
        "{bad}/nan.jsonl, line 6: step 1, channel 2: got no value; expected a number. "
        "Use missing='hold' to carry the last value forward.",
    ),
    "ragged channels": (
        "ragged.jsonl",
        ("--series", "x", "--label", "y"),
        "{bad}/ragged.jsonl, line 2: channels: got 3; expected 2, as in line 1.",
    ),
    "duplicate column names": (
        "twice.csv",
        TEXT,
        "{bad}/twice.csv, line 1: column names: got 't' for columns 1 and 2; expected a name of its own for each "
        "column. Rename one of them.",
    ),
    "wrong cell": (
        "fine.csv",
        (*TEXT, "--cell", "lstn"),
        f"cell: got 'lstn'; expected one of {ALL_CELLS}. Did you mean 'lstm'?",
    ),
    "dropout": ("fine.csv", (*TEXT, "--dropout", "1.5"), "dropout: got 1.5; expected a number in [0, 1)."),
    "pooling": (
        "fine.csv",
        (*TEXT, "--pooling", "men"),
        "pooling: got 'men'; expected one of 'last', 'mean', 'max', 'attention'. Did you mean 'mean'?",
    ),
    "valid fraction": (
        "fine.csv",
        (*TEXT, "--valid-fraction", "0"),
        "valid_fraction: got 0.0; expected a number in (0, 0.9]. "
        "To choose the validation items yourself, give them with X_valid (--valid).",
    ),
    "float16 on a CPU": (
        "fine.csv",
        (*TEXT, "--precision", "16-mixed", "--accelerator", "cpu"),
        "precision: got '16-mixed'; expected '32-true' or 'bf16-mixed' where training runs on the CPU. "
        "float16 is for GPUs.",
    ),
    "option of another kind": (
        "nan.jsonl",
        ("--series", "x", "--label", "y", "--tokens", "char"),
        "--tokens: got 'char'; expected none for series. It is for text.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_before_anything_is_written(name: str, cli: Run, bad: Path, tmp_path: Path) -> None:
    file, words, text = CASES[name]
    given = [word.format(bad=bad) for word in words]
    before = sorted(tmp_path.rglob("*"))
    done = cli("fit", "classify", bad / file, *given, "--out", tmp_path / "runs" / "m", "--json", *SMALL)
    wanted = text.replace("{bad}", str(bad))
    assert done.err == f"rekur: {wanted}\n"
    assert (done.code, done.json) == (2, {"error": wanted, "exit_code": 2})
    assert len(done.out.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_numbers_to_predict(cli: Run, bad: Path, tmp_path: Path) -> None:
    words = ("--text", "y", "--label", "t", "--out", tmp_path / "m", *SMALL)
    done = cli("fit", "regress", bad / "fine.csv", *words)
    assert (done.code, done.err) == (2, f"rekur: {bad}/fine.csv, line 2: t: got 'a b'; expected a number.\n")
    done = cli("fit", "regress", bad / "flat.jsonl", "--series", "x", "--label", "y", "--out", tmp_path / "m", *SMALL)
    assert (done.code, done.err) == (
        2,
        "rekur: labels: got only the number 3 in 8 training examples; expected numbers that differ. "
        "Choose another label column, or add examples with other numbers.\n",
    )


@pytest.mark.parametrize(
    ("words", "usage", "text"),
    [
        (
            ("fit", "classify", "x.csv", "--hiden-size", "3"),
            "rekur fit classify [OPTIONS] FILE",
            "option: got '--hiden-size'; expected an option of 'rekur fit classify'. Did you mean '--hidden-size'?",
        ),
        (
            ("fit", "clasify"),
            "rekur fit [OPTIONS] TASK ...",
            "TASK: got 'clasify'; expected one of classify, regress, tag, translate, forecast, language. "
            "Did you mean 'classify'?",
        ),
        (
            ("fit", "reviews.csv", "--out", "m"),
            "rekur fit [OPTIONS] TASK ...",
            "TASK: got 'reviews.csv'; expected one of classify, regress, tag, translate, forecast, language. "
            "What is to be learned comes first: rekur fit classify reviews.csv …",
        ),
        (
            ("evalute",),
            "rekur [OPTIONS] COMMAND [ARGS]...",
            "command: got 'evalute'; expected one of rekur's commands. Did you mean 'evaluate'?",
        ),
        (
            ("fit", "classify", "x.csv"),
            "rekur fit classify [OPTIONS] FILE",
            "--out: got nothing; expected the path of a folder. "
            "For example: rekur fit classify reviews.csv --text review --label stars --out runs/reviews",
        ),
        (
            ("fit", "classify", "x.csv", "--out", "m", "--epochs", "many"),
            "rekur fit classify [OPTIONS] FILE",
            "--epochs: got 'many'; expected a whole number.",
        ),
    ],
)
def test_wrong_use(words: tuple[str, ...], usage: str, text: str, cli: Run) -> None:
    done = cli(*words)
    assert (done.code, done.out, done.err) == (2, "", f"Usage: {usage}\nrekur: {text}\n")


def test_a_place_that_is_taken_or_cannot_be_written(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    def fit(out: Path, *more: str) -> Any:
        return cli("fit", "classify", files["reviews"], *REVIEWS, "--out", out, *more, *SMALL)

    before = (bundles["words"] / "config.json").read_bytes()
    taken = fit(bundles["words"])
    assert taken.err == (
        f"rekur: folder: got '{bundles['words']}'; expected a folder that is new or empty (a bundle is there). "
        "Choose another folder, or say overwrite=True (--overwrite) to replace the bundle.\n"
    )
    assert (bundles["words"] / "config.json").read_bytes() == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("mine")
    foreign = fit(tmp_path / "notes", "--overwrite")
    assert foreign.err == (
        f"rekur: folder: got '{tmp_path}/notes'; expected a folder that is new or empty (it holds 'todo.txt' and is "
        "no Rekur bundle). Choose another folder; Rekur replaces only its own bundles.\n"
    )
    below = fit(files["reviews"] / "m")
    assert below.err == (
        f"rekur: folder: got '{files['reviews']}/m'; expected a path through folders ({files['reviews']} is a file). "
        "Choose another folder.\n"
    )
    assert {taken.code, foreign.code, below.code} == {2}


@pytest.mark.parametrize("command", ["fit", "tune", "quantize", "export"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("file", "expected the path of a folder (a file has this name)"),
        ("file/m", "expected a path through folders ("),
        ("link", "expected the path of a folder (this is a link to nothing)"),
        ("m" * 300, "expected a name of at most 255 bytes"),
    ],
)
def test_names_that_no_folder_can_have(
    name: str, expected: str, command: str, cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    """They are refused before anything is read or made."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    words = {
        "fit": ("fit", "classify", files["reviews"], *REVIEWS, *SMALL),
        "tune": ("tune", "classify", files["reviews"], *REVIEWS),
        "quantize": ("quantize", bundles["words"], "--data", files["reviews"]),
        "export": ("export", bundles["walks"], "--to", "c"),
    }[command]
    done = cli(*words, "--out", tmp_path / name)
    assert (done.code, expected in done.err, len(done.err.splitlines())) == (2, True, 1), done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_no_write_permission(cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and access(path, mode))
    done = cli("fit", "classify", files["reviews"], *REVIEWS, "--out", tmp_path / "m", *SMALL)
    assert (done.code, done.err) == (
        2,
        f"rekur: {tmp_path}/m: got 'may not write in {tmp_path}'; expected a folder that you may write in. "
        "Choose another folder; nothing half-written was left behind, and what stood there is unchanged.\n",
    )


def test_a_disk_that_is_full(rekur: Run, files: dict[str, Path], tmp_path: Path) -> None:
    import resource

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))

    words = ("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "m", *SMALL, "--no-baseline", "--json")
    done = rekur(*words, preexec_fn=little_room, env={"PYTHONDONTWRITEBYTECODE": "1"})
    text = (
        f"{tmp_path}/m/checkpoints/run.json: got 'File too large'; expected a file that can be written. "
        "Choose another folder, or make room."
    )
    assert (done.code, done.err, done.json) == (2, f"rekur: {text}\n", {"error": text, "exit_code": 2})
    assert list(tmp_path.iterdir()) == []


def test_bundles_that_are_none(cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path) -> None:
    def load(folder: Path) -> str:
        texts = set()
        for words in (("predict", folder, "--item", "a"), ("evaluate", folder, files["reviews"]), ("stream", folder)):
            done = cli(*words, stdin=b"a\n")
            assert (done.code, done.out) == (2, "")
            texts.add(done.err)
        (text,) = texts
        return text.replace(str(tmp_path), "TMP")

    flipped = shutil.copytree(bundles["words"], tmp_path / "flipped")
    data = bytearray((flipped / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (flipped / "model.safetensors").write_bytes(data)
    text = load(flipped)
    assert text.startswith("rekur: TMP/flipped/model.safetensors: got a sha256 of ")
    assert text.endswith(
        "…, as config.json says. It was changed or damaged after it was saved; copy the bundle again from where it "
        "came.\n"
    )

    newer = shutil.copytree(bundles["words"], tmp_path / "newer")
    config = json.loads((newer / "config.json").read_text(encoding="utf-8"))
    (newer / "config.json").write_text(json.dumps({**config, "format": 9, "rekur": "7.1"}), encoding="utf-8")
    assert load(newer) == (
        "rekur: TMP/newer/config.json: got format 9, written by Rekur 7.1; expected format 1 or lower, which Rekur "
        '0.1.0 reads. It needs the version that wrote it, or a later one: pip install -U "rekur>=7.1"\n'
    )

    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    assert load(tmp_path / "model.pkl") == (
        "rekur: bundle: got 'TMP/model.pkl'; expected the folder of a Rekur bundle, not a file. This file is a pickle, "
        "or poses as one. Loading a pickle runs whatever code is in it, so Rekur reads JSON and safetensors only. If "
        "you trust it, open it in PyTorch and save its weights with safetensors.torch.save_file.\n"
    )
    assert load(tmp_path / "flippd") == (
        "rekur: bundle: got 'TMP/flippd'; expected a bundle's folder (nothing is there). Did you mean 'TMP/flipped'?\n"
    )


def test_a_file_that_does_not_fit_the_model(cli: Run, bundles: dict[str, Path], files: dict[str, Path]) -> None:
    for command in ("predict", "evaluate"):
        done = cli(command, bundles["letters"], files["walks"])
        assert (done.code, done.err) == (
            2,
            f"rekur: {files['walks']}: text column: got 'review'; expected one of the columns 'x', 'room', 'wear'. "
            "Columns are those of training; name this file's own with --text, --series, --label and so on.\n",
        )
        done = cli(command, bundles["walks"], files["reviews"], "--text", "review", "--label", "stars")
        assert (done.code, done.err) == (
            2,
            "rekur: item columns: got 'text'; expected the series that this model was trained on. "
            "Name the column with --series.\n",
        )
    done = cli("predict", bundles["walks"], "--item", "1 2")
    assert (done.code, done.err) == (
        2,
        "rekur: --item: got '1 2'; expected none for a model that reads series. Put the items into a file.\n",
    )
    done = cli("predict", bundles["walks"], files["long"], "--series", "hr", "--group", "who", "--time", "at")
    assert (done.code, done.err) == (
        2,
        f"rekur: {files['long']}, item p0: step 1: got 1 value; expected 2 values. "
        "Every step needs a value for every channel; give NaN for a missing one.\n",
    )


def test_a_report_that_cannot_be_written(
    cli: Run, bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "no").write_text("a file where a folder is wanted")
    done = cli("evaluate", bundles["words"], files["reviews"], "--report", tmp_path / "no" / "page.html")
    assert (done.code, done.err) == (
        2,
        f"rekur: file: got '{tmp_path}/no/page.html'; expected a path through folders ({tmp_path}/no is a file). "
        "Choose another file.\n",
    )


def test_a_text_of_a_million_characters(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    rows = [("a great film", "up"), ("an awful film", "down")] * 10 + [("word " * 200_000, "up")]
    file = write_table(tmp_path / "long.csv", ("t", "y"), rows)
    words = ("--text", "t", "--label", "y", "--epochs", "1", "--hidden-size", "4", "--embedding-size", "4")
    cut = cli("fit", "classify", file, *words, "--out", tmp_path / "m", "--max-length", "100", "--valid", file)
    assert cut.code == 0
    assert "the longest item" not in cut.err
    done = cli("predict", tmp_path / "m", file, "--json")
    assert (done.code, len(done.out.splitlines())) == (0, 21)


@pytest.mark.slow
def test_a_text_of_a_million_characters_uncut(rekur: Run, tmp_path: Path) -> None:
    rows = [("a great film", "up"), ("an awful film", "down")] * 10 + [("word " * 200_000, "up")]
    file = write_table(tmp_path / "long.csv", ("t", "y"), rows)
    words = ("--text", "t", "--label", "y", "--epochs", "1", "--hidden-size", "4", "--embedding-size", "4")
    done = rekur("fit", "classify", file, *words, "--out", tmp_path / "m", "--no-baseline")
    assert done.code == 0
    assert done.err.splitlines()[0] == (
        "warning: the longest item has 200,000 steps, the middle one 3; time and memory grow with the longest. "
        "Cut items with --max-length 100."
    )
    assert rekur("predict", tmp_path / "m", file).code == 0
