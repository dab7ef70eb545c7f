"""Wrong use of a command: each kind is told in one sentence of one form, with a fix, before PyTorch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import REVIEWS, Run, environment, write_table

FIT = "For example: rekur fit classify reviews.csv --text review --label stars --out runs/reviews"
CLASSIFY = ("fit", "classify", "x.csv")

WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    # nothing where something is needed
    "option missing": (CLASSIFY, f"--out: got nothing; expected the path of a folder. {FIT}"),
    "choice missing": (
        ("export", "m", "--out", "e"),
        "--to: got nothing; expected one of 'onnx', 'c'. "
        "For example: rekur export runs/reviews --to onnx --out exports/reviews",
    ),
    "file missing": (
        ("evaluate", "m"),
        "FILE: got nothing; expected the path of a file. For example: rekur evaluate runs/reviews test.csv",
    ),
    "bundle missing": (
        ("generate",),
        "BUNDLE: got nothing; expected the folder of a saved model. "
        'For example: rekur generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8',
    ),
    "value missing": ((*CLASSIFY, "--out"), f"--out: got nothing; expected the path of a folder. {FIT}"),
    "empty folder": ((*CLASSIFY, "--out", ""), f"--out: got nothing; expected the path of a folder. {FIT}"),
    "empty bundle": (
        ("program", ""),
        "BUNDLE: got nothing; expected the folder of a saved model. For example: rekur program runs/reviews",
    ),
    "empty report": (
        ("evaluate", "m", "x.csv", "--report="),
        "--report: got nothing; expected the path of a file. "
        "For example: rekur evaluate runs/reviews test.csv --report reviews.html",
    ),
    "empty run": (
        ("resume", ""),
        "DIR: got nothing; expected the path of a folder. For example: rekur resume runs/books",
    ),
    "one of several files empty": (
        ("fit", "language", "a.txt", "", "--out", "m"),
        "FILE: got nothing; expected the path of a file. For example: rekur fit language shakespeare.txt --out "
        "runs/shakespeare --time-limit 3m",
    ),
    # too much
    "argument too many": (
        ("data", "a.csv", "--label=x", "b.csv"),
        "argument: got 'b.csv'; expected no more than FILE. For example: rekur data reviews.csv",
    ),
    "several values": (
        ("data", "log.csv", "--series", "a", "b", "c"),
        "argument: got 'b'; expected no more than FILE. For several values repeat the option: --series a --series b",
    ),
    "value with blanks": (
        ("data", "log.csv", "--text", "my", "review"),
        "argument: got 'review'; expected no more than FILE. A value with blanks stands in quotes: --text 'my review'",
    ),
    "no argument at all": (("doctor", "now"), "argument: got 'now'; expected options alone. For example: rekur doctor"),
    "flag with a value": (("doctor", "--json=yes"), "--json: got a value; expected none."),
    "given twice": (
        (*CLASSIFY, "--text", "a", "--text=b", "--out", "m"),
        "--text: got 'a' and 'b'; expected it once. Leave the others out.",
    ),
    "flag given twice": (
        (*CLASSIFY, "--quiet", "--quiet"),
        "--quiet: got 2 times; expected it once. Leave the others out.",
    ),
    "opposite flags": (
        (*CLASSIFY, "--lowercase", "--keep-case", "--out", "m"),
        "--lowercase and --keep-case: got both; expected one of them.",
    ),
    "option as a value": (
        (*CLASSIFY, "--out", "--overwrite"),
        "--out: got '--overwrite'; expected the path of a folder, not an option. If it is the value: --out=--overwrite",
    ),
    # something else
    "choice": (
        ("completion", "bsh"),
        "SHELL: got 'bsh'; expected one of 'bash', 'zsh', 'fish'. Did you mean 'bash'?",
    ),
    "dash of a word processor": (
        (*CLASSIFY, "—hidden-size", "3", "--out", "m"),
        "option: got '—hidden-size'; expected an option of 'rekur fit classify'. "
        "Options begin with two hyphens: --hidden-size",
    ),
    "dash in place of a required option": (
        (*CLASSIFY, "–out", "m"),
        "option: got '–out'; expected an option of 'rekur fit classify'. Options begin with two hyphens: --out",
    ),
    "dash among files": (
        ("fit", "language", "a.txt", "—out=m"),
        "option: got '—out'; expected an option of 'rekur fit language'. Options begin with two hyphens: --out",
    ),
    "hyphen and dash": (
        ("data", "a.csv", "-–json"),
        "option: got '-–json'; expected an option of 'rekur data'. Options begin with two hyphens: --json",
    ),
    "one hyphen": (
        (*CLASSIFY, "-epochs", "3", "--out", "m"),
        "option: got '-epochs'; expected an option of 'rekur fit classify'. Options begin with two hyphens: --epochs",
    ),
    "dash inside": (
        (*CLASSIFY, "--hidden‑size", "3", "--out", "m"),
        "option: got '--hidden‑size'; expected an option of 'rekur fit classify'. Did you mean '--hidden-size'?",
    ),
    "dash for standard input": (
        ("data", "–"),
        "file: got '–'; expected a file, or a hyphen for standard input. Write a hyphen: -",
    ),
    "dash before a command": (
        ("—help",),
        "option: got '—help'; expected an option of 'rekur'. Options begin with two hyphens: --help",
    ),
    "option of another task": (
        ("fit", "language", "a.txt", "--bidirectional", "--out", "m"),
        "option: got '--bidirectional'; expected an option of 'rekur fit language'. "
        "It is an option of 'rekur fit classify' and 'rekur fit regress'.",
    ),
    "nothing near": (
        ("data", "a.csv", "--zzz"),
        "option: got '--zzz'; expected an option of 'rekur data'.",
    ),
    "a task that is none": (
        ("fit", "summarize", "--out", "m"),
        "TASK: got 'summarize'; expected one of classify, regress, tag, translate, forecast, language.",
    ),
    "standard input for a task": (
        ("fit", "-"),
        "TASK: got '-'; expected one of classify, regress, tag, translate, forecast, language. "
        "What is to be learned comes first: rekur fit classify - …",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words, text = WORDS[name]
    done = cli(*words)
    usage, *lines = done.err.split("\nrekur: ")
    assert (done.code, done.out, lines) == (2, "", [f"{text}\n"])
    assert usage.startswith("Usage: rekur")
    assert list(tmp_path.iterdir()) == []


def test_values_that_look_like_wrong_words(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    """A dash may begin a text, or a file that exists; a value may be spelled as an option."""
    done = cli("predict", bundles["letters"], "--item", "—great film", "--item=--json")
    assert (done.code, len(done.out.splitlines())) == (0, 3), done.err
    file = write_table(tmp_path / "—new.csv", ("review", "stars"), [("great film", "good")] * 3)
    assert cli("predict", bundles["letters"], file).code == 0
    assert cli("doctor", "--help").out.startswith("Usage: rekur doctor")
    assert cli("data", "--help", "too", "many").code == 0


def test_a_file_in_place_of_the_bundle(cli: Run, bundles: dict[str, Path], files: dict[str, Path]) -> None:
    bundle, file = bundles["words"], files["reviews"]
    swapped = {
        ("predict",): "",
        ("evaluate",): "",
        ("check",): "",
        ("score",): "",
    }
    for command in swapped:
        done = cli(*command, file, bundle, "--json")
        text = (
            f"BUNDLE: got '{file}'; expected the folder of a saved model, not a file. "
            f"The bundle comes first: rekur {command[0]} {bundle} {file} --json"
        )
        assert (done.code, done.json["error"]) == (2, text)
    done = cli("quantize", file, "--data", bundle, "--out", "q")
    assert f"The bundle comes first: rekur quantize {bundle} --data {file} --out q" in done.err
    done = cli("predict", "nothing.csv", bundle)
    assert "BUNDLE: got 'nothing.csv'; expected the folder of a saved model. The bundle comes first: " in done.err
    done = cli("predict", "-", bundle)
    assert f"The bundle comes first: rekur predict {bundle} -\n" in done.err
    for command in ("predict", "evaluate", "check", "score"):
        done = cli(command, file, *(["x.csv"] if command == "evaluate" else []))
        assert f"BUNDLE: got '{file}'; expected the folder of a saved model, not a file" in done.err
        assert f"The bundle comes first: rekur {command} BUNDLE {file}\n" in done.err
    for command in ("stream", "generate", "program"):
        done = cli(command, file)
        assert (
            f"BUNDLE: got '{file}'; expected the folder of a saved model, not a file. For example: rekur" in done.err
            or (
                command == "stream"
                and f"BUNDLE: got '{file}'; expected the folder of a saved model, not a file" in done.err
            )
        )
    inside = cli("predict", bundle / "model.safetensors", "--item", "a")
    assert (inside.code, f"Give its folder: {bundle}\n" in inside.err) == (2, True)


NO_EFFECT: dict[str, tuple[tuple[str, ...], str]] = {
    "embedding of numbers": (
        ("--series", "v", "--embedding-size", "8"),
        "--embedding-size: got 8; expected none for series. It is for text and symbols.",
    ),
    "unknown tokens of numbers": (
        ("--values", "v", "--token-dropout", "0.1"),
        "--token-dropout: got 0.1; expected none for series. It is for text and symbols.",
    ),
    "counts of numbers": (
        ("--series", "v", "--bayes-start", "1"),
        "--bayes-start: got 1.0; expected none for series. It is for text and symbols.",
    ),
    "noise on text": (
        ("--text", "t", "--input-noise", "0.1"),
        "--input-noise: got 0.1; expected none for text. It is for series.",
    ),
    "noise on symbols": (
        ("--symbols", "t", "--input-noise", "0.1"),
        "--input-noise: got 0.1; expected none for symbols. It is for series.",
    ),
    "missing numbers of a text": (
        ("--text", "t", "--missing", "zero"),
        "--missing: got 'zero'; expected none for text. It is for series.",
    ),
    "tokens of numbers": (
        ("--series", "v", "--tokens", "char"),
        "--tokens: got 'char'; expected none for series. It is for text.",
    ),
    "capitals of numbers": (
        ("--series", "v", "--keep-case"),
        "--keep-case: got False; expected none for series. It is for text.",
    ),
    "codes of a text": (
        ("--text", "t", "--codes"),
        "--codes: got True; expected none for text. It is for symbols.",
    ),
    "steps and epochs": (
        ("--text", "t", "--steps", "5", "--epochs", "2"),
        "--steps and --epochs: got both; expected one of them.",
    ),
    "share beside a file": (
        ("--text", "t", "--valid", "{file}", "--valid-fraction", "0.2"),
        "--valid-fraction and --valid: got both; expected one of them.",
    ),
    "residual of one layer": (
        ("--text", "t", "--residual"),
        "--residual: got it with one layer; expected two layers or more. Add --num-layers 2.",
    ),
    "no separator": (
        ("--text", "t", "--label-separator", ""),
        "--label-separator: got nothing; expected what stands between labels, such as '|', or tab.",
    ),
    "no name of a column": (("--text", ""), "--text: got nothing; expected the name of a column."),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table.csv", ("t", "v", "y"), [("a b", 1, "p"), ("c d", 2, "q")] * 8)


@pytest.mark.parametrize("command", ["fit", "tune"])
@pytest.mark.parametrize("name", NO_EFFECT)
def test_options_without_effect(name: str, command: str, cli: Run, table: Path, tmp_path: Path) -> None:
    words, text = NO_EFFECT[name]
    words = tuple(word.format(file=table) for word in words)
    done = cli(command, "classify", table, *words, "--label", "y", "--out", tmp_path / "m")
    assert (done.code, done.err) == (2, f"rekur: {text}\n")
    assert list(tmp_path.iterdir()) == [table]


def test_options_that_switch_off_what_is_not_there(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    off = ("--embedding-size", "4", "--input-noise", "0", "--epochs", "1", "--hidden-size", "2", "--no-baseline")
    assert cli("fit", "classify", files["reviews"], *REVIEWS, "--out", tmp_path / "m", *off, "--quiet").code == 0
    words = ("--series", "x", "--label", "room", "--out", tmp_path / "w", "--token-dropout", "0", "--bayes-start", "0")
    assert cli("fit", "classify", files["walks"], *words, *off[2:], "--quiet").code == 0


def test_options_of_running_without_effect(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("predict", bundles["words"], "--item", "a film", "--text", "review")
    text = "--text: got it with --item; expected FILE, which it is about. Leave one of them out."
    assert (done.code, done.err) == (2, f"rekur: {text}\n")
    done = cli("stream", bundles["walks"], "--by", "char")
    assert (done.code, done.err) == (
        2,
        "rekur: --by: got 'char'; expected none for a model that reads series. It is for text.\n",
    )


def test_a_language_model_without_its_lists(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be\n" * 9)
    words = ("fit", "language", tmp_path / "a.txt", "--out", tmp_path / "m")
    done = cli(*words, "--ngrams", "", "--ngram-dropout", "0.1")
    text = "--ngram-dropout: got 0.1; expected none without --ngrams. Name some with --ngrams."
    assert (done.code, done.err) == (2, f"rekur: {text}\n")
    done = cli(*words, "--max-vocabulary", "3", "--quiet")
    assert (done.code, done.err.startswith("rekur: max_vocabulary: got 3; expected 4 or more")) == (2, True)
    done = cli(*words, "--min-count", "1000", "--quiet")
    assert (done.code, done.err.startswith("rekur: min_count: got 1000; expected")) == (2, True)
    assert done.err.endswith("(--min-count 45).\n")


REFUSED = """
import json, sys
from rekur.cli.main import main

for words in json.loads(sys.argv[1]):
    assert main(words) == 2, words
    assert not {"torch", "sklearn", "lightning_fabric", "optuna"} & set(sys.modules), words
"""


def test_refusals_come_before_pytorch_is_imported(bundles: dict[str, Path], table: Path, tmp_path: Path) -> None:
    """Options, folders and files are checked first: a refusal takes a fraction of a second."""
    (tmp_path / "zero.bin").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (tmp_path / "book.txt").write_text("to be or not to be\n" * 9)
    (tmp_path / "latin.csv").write_bytes("t,y\ncafé,1\n".encode("latin-1"))
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    request = {"task": "classify", "files": [str(tmp_path / "gone.csv")], "valid": [], "reading": {}}
    request |= {"columns": {"text": "t", "label": "y"}, "options": {}, "every": 0, "board": None, "chosen": None}
    (run / "run.json").write_text(json.dumps({"rekur": "0.1.0", **request}))
    text, out = ["--text", "t", "--label", "y"], ["--out", str(tmp_path / "m")]
    csv, book = ["classify", str(table), *text], ["language", str(tmp_path / "book.txt")]
    options: list[list[str]] = [
        ["--dropout", "1.5"],
        ["--hidden-size", "0"],
        ["--cell", "lstn"],
        ["--pooling", "men"],
        ["--epochs", "-1"],
        ["--time-limit", "soon"],
        ["--learning-rate", "nan"],
        ["--batch-size", "0"],
        ["--label-smoothing", "1"],
        ["--max-vocabulary", "1"],
        ["--valid-fraction", "0"],
        ["--precision", "16-mixed", "--accelerator", "cpu"],
        ["--valid", str(tmp_path / "gone.csv")],
        ["--num-layers", "99999"],
        ["--seed", "-1"],
        ["--input-noise", "0.5"],
    ]
    texts: list[list[str]] = [
        ["--softmax", "ful"],
        ["--recall-slots", "3"],
        ["--ngrams", "1"],
        ["--chunk-length", "0"],
        ["--jitter", "1"],
        ["--min-count", "0"],
        ["--valid", str(tmp_path / "gone.txt")],
        ["--text", "zz"],
    ]
    cases = [[command, *csv, *out, *words] for command in ("fit", "tune") for words in options]
    cases += [[command, *book, *out, *words] for command in ("fit", "tune") for words in texts]
    for command in ("fit", "tune"):
        cases += [
            [command, "classify", str(tmp_path / "gone.csv"), *text, *out],
            [command, "classify", str(table), "--text", "zz", "--label", "y", *out],
            [command, "classify", str(table), "--text", "t", *out],
            [command, "classify", str(tmp_path / "zero.bin"), *text, *out],
            [command, "classify", str(tmp_path / "latin.csv"), *text, *out],
            [command, "regress", str(table), "--text", "t", "--label", "y", "--label-separator", "|", *out],
            [command, "language", str(tmp_path / "zero.bin"), *out],
            [command, *csv, "--out", str(table)],
        ]
    cases += [
        ["fit", *csv, "--out", str(bundles["words"])],
        ["fit", *csv, *out, "--checkpoint-every", "0"],
        ["fit", *csv, *out, "--tensorboard", str(table)],
        ["tune", *csv, *out, "--trials", "0"],
        ["tune", *csv, *out, "--space", "droput=0:1"],
        ["tune", *csv, *out, "--ray-gpus", "1"],
        ["resume", str(tmp_path / "run")],
        ["resume", str(table)],
    ]
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, json.dumps(cases)], capture_output=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert not (tmp_path / "m").exists()


def test_cells_are_those_that_a_program_has() -> None:
    """The torch-free list of cells, by which options are checked, is that of the cells."""
    from rekur.cells import CELLS
    from rekur.program.cells import KINDS

    assert list(CELLS) == list(KINDS)
