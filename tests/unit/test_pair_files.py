"""The command line takes pairs of texts as two aligned files, or as one table, for training and for saved models."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from tests.e2e.conftest import SMALL, Run, cli
from tests.unit.new_tasks import SpotOptions

from rekur._options import documented
from rekur.cli.file_words import FilesOption, spread
from rekur.cli.texts import arriving_lines
from rekur.data import EncodedItems
from rekur.models.heads import Head, LabelHead
from rekur.targets import Target
from rekur.tasks.base.items import SequenceEstimator
from rekur.tasks.catalog import CATALOG, Row

__all__ = ["cli"]


@documented
class Answerer(SpotOptions, SequenceEstimator):
    """A recurrent network that gives a text one of the answers that it has seen."""

    task: ClassVar[str] = "answer"
    target: ClassVar[str] = "label"
    reads: ClassVar[str] = "pairs"

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the cross entropy."""
        return LabelHead(target.size)


ANSWER = Row(
    name="answer",
    help="Learn to answer.",
    tune_help="Search for the options that answer best.",
    options="tests.unit.new_tasks:SpotOptions",
    estimator="tests.unit.test_pair_files:Answerer",
    reads="pairs",
    target="label",
)
#: pairs: questions and answers
PAIRS = [(f"is it {word} {number}", "oui" if word == "so" else "non") for number in range(12) for word in ("so", "no")]


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, ANSWER.name, ANSWER)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pairs as two files, as tables with and without names, and the first half of them."""
    folder = tmp_path_factory.mktemp("pairs")
    texts = {
        "a.en": "".join(f"{source}\n" for source, _ in PAIRS),
        "a.fr": "".join(f"{target}\n" for _, target in PAIRS),
        "v.en": "".join(f"{source}\n" for source, _ in PAIRS[:8]),
        "v.fr": "".join(f"{target}\n" for _, target in PAIRS[:8]),
        "a.tsv": "en\tfr\n" + "".join(f"{source}\t{target}\n" for source, target in PAIRS),
        "bare.tsv": "".join(f"{source}\t{target}\n" for source, target in PAIRS),
        "a.jsonl": "".join(json.dumps({"en": source, "fr": target}) + "\n" for source, target in PAIRS),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in texts}


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    return {}


WAYS: dict[str, tuple[list[str], list[str]]] = {
    "tsv": (["a.tsv"], ["--source", "en", "--target", "fr"]),
    "tsv without names": (["bare.tsv"], ["--source", "1", "--target", "2"]),
    "jsonl": (["a.jsonl"], ["--source", "en", "--target", "fr"]),
}


@pytest.fixture
def bundle(cli: Run, data: dict[str, Path], tmp_path_factory: Any, trained: dict[str, Path]) -> Path:
    """A bundle trained on two files."""
    if "answer" not in trained:
        out = tmp_path_factory.mktemp("runs") / "answer"
        done = cli(
            "fit", "answer", data["a.en"], data["a.fr"], "--valid", data["v.en"], data["v.fr"], "--out", out, *SMALL
        )
        assert done.code == 0, done.err
        trained["answer"] = out
    return trained["answer"]


@pytest.fixture
def of_two_files(cli: Run, data: dict[str, Path], tmp_path_factory: Any, trained: dict[str, Path]) -> Path:
    """A bundle trained on two files, of which a part was held out."""
    if "held out" not in trained:
        out = tmp_path_factory.mktemp("runs") / "held-out"
        done = cli("fit", "answer", data["a.en"], data["a.fr"], "--out", out, *SMALL)
        assert done.code == 0, done.err
        trained["held out"] = out
    return trained["held out"]


@pytest.mark.parametrize("way", list(WAYS))
def test_every_way_of_reading_trains_the_same_model(
    way: str, of_two_files: Path, cli: Run, data: dict[str, Path], tmp_path: Path
) -> None:
    files, columns = WAYS[way]
    done = cli("fit", "answer", *(data[name] for name in files), *columns, "--out", tmp_path / "run", *SMALL)
    assert done.code == 0, done.err
    weights = [(out / "model.safetensors").read_bytes() for out in (of_two_files, tmp_path / "run")]
    assert weights[0] == weights[1]
    scores = cli("evaluate", tmp_path / "run", *(data[name] for name in files), "--json")
    assert scores.code == 0, scores.err
    assert scores.json["items"] == len(PAIRS)


def test_validation_files_stand_behind_one_option_or_two(
    bundle: Path, cli: Run, data: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("fit", "answer", data["a.en"], data["a.fr"], "--valid", data["v.en"], "--valid", data["v.fr"])
    done = cli(*words, "--out", out, *SMALL)
    assert done.code == 0, done.err
    assert (out / "model.safetensors").read_bytes() == (bundle / "model.safetensors").read_bytes()
    assert json.loads((out / "metrics.json").read_text())["items"] == 8


def test_wrong_files_are_refused_before_training(cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    short = tmp_path / "short.fr"
    short.write_text("oui\nnon\n")
    english, french, valid = data["a.en"], data["a.fr"], data["v.en"]
    for words, texts in (
        (["--valid", valid, data["v.fr"], english, french], ["--valid", "Data come first: "]),
        (["--valid", valid, "--valid", data["v.fr"], english, french], ["Data come first: "]),
        ([english, french, "--valid", valid], ["--valid: got 1 file", "expected 2"]),
        ([data["a.tsv"], "--valid", valid, data["v.fr"]], ["--valid: got 2 files", "expected 1, as there is one"]),
        ([english, french, valid], ["SOURCE TARGET", str(valid), "one table"]),
        ([english], ["a.en: got one file of text; expected two aligned files, or one table"]),
        ([english, short], ["24 lines in", "2 lines in", str(short)]),
        ([english, french, "--source", "en"], ["source column", "none for text files"]),
        ([data["a.tsv"]], ["--source: got none", "'en', 'fr'"]),
        ([data["a.tsv"], "--source", "1", "--target", "fr"], ["'1'", "'en', 'fr'"]),
        ([english, french, "--label", "x"], ["--label", "option"]),
        ([], ["SOURCE TARGET: got nothing; expected two aligned files, or one table"]),
    ):
        done = cli("fit", "answer", *words, "--out", tmp_path / "run", *SMALL)
        assert (done.code, done.out) == (2, ""), done.err
        for text in texts:
            assert text in done.err
        assert not (tmp_path / "run").exists()


def test_pairs_with_an_empty_side_are_said_and_left_out(cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    for ending in ("en", "fr"):
        (tmp_path / f"b.{ending}").write_text(
            data[f"a.{ending}"].read_text() + ("\nx\n" if ending == "en" else "oui\n\n")
        )
    words = ("fit", "answer", tmp_path / "b.en", tmp_path / "b.fr", "--out", tmp_path / "run", *SMALL[:-1])
    done = cli(*words)
    assert done.code == 0, done.err
    assert "2 of 26 pairs (source in line 25 of" in done.err
    scores = cli("evaluate", tmp_path / "run", tmp_path / "b.en", tmp_path / "b.fr")
    assert scores.code == 2
    assert "line 26" in scores.err  # an answer that was never seen


def test_saved_models_take_pairs(bundle: Path, cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    scores = cli("evaluate", bundle, data["a.en"], data["a.fr"], "--json").json
    table = cli("evaluate", bundle, data["a.tsv"], "--source", "en", "--target", "fr", "--json").json
    assert table == {**scores, "file": str(data["a.tsv"])}
    assert scores["file"] == f"{data['a.en']} {data['a.fr']}"
    assert cli("check", bundle, data["a.en"], data["a.fr"]).code == 0
    words = ("--data", data["a.en"], data["a.fr"], "--tolerance", "5", "--out", tmp_path / "small")
    done = cli("quantize", bundle, *words)
    assert done.code == 0, done.err
    for words, text in (
        ((data["a.en"],), "expected two aligned files"),
        ((data["a.en"], data["v.fr"]), "8 lines in"),
        (
            (data["a.en"], data["a.fr"], "--text", "x"),
            "--text: got a value; expected none for a model of the task answer",
        ),
        ((data["a.en"], data["a.fr"], "--document", "line"), "--document"),
        ((data["a.tsv"],), "--source: got none"),
        ((tmp_path / "none",), "none"),
    ):
        done = cli("evaluate", bundle, *words)
        assert done.code == 2
        assert text in done.err


def test_prediction_has_a_row_a_line(bundle: Path, cli: Run, data: dict[str, Path]) -> None:
    rows = cli("predict", bundle, data["a.en"], "--json")
    assert rows.code == 0, rows.err
    assert len(rows.out.splitlines()) == len(PAIRS)
    assert cli("predict", bundle, "-", "--json", stdin=data["a.en"].read_bytes()).out == rows.out
    table = cli("predict", bundle, data["a.tsv"], "--source", "en", "--json")
    assert table.out == rows.out
    line = "is\u2028it\x85so\r 1\rno\n"
    assert len(cli("predict", bundle, "-", "--json", stdin=line.encode()).out.splitlines()) == 1


def test_columns_of_pairs_are_refused_for_other_tasks(cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text,label\n" + "".join(f"{source},{target}\n" for source, target in PAIRS))
    out = tmp_path / "run"
    done = cli("fit", "classify", table, "--text", "text", "--label", "label", "--out", out, *SMALL)
    assert done.code == 0, done.err
    done = cli("evaluate", out, table, "--source", "text")
    assert done.code == 2
    assert "--source: got a value; expected none for a model of the task classify" in done.err


def test_swapped_sides_are_warned_of(cli: Run, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("t.en", "t.fr", "v.en", "v.fr")}
    for number, name in enumerate(files):
        words = ("the", "why", "they") if name.endswith("en") else ("oui que", "quai non")
        files[name].write_text("".join(f"{words[(row + number) % len(words)]}\n" for row in range(150)))
    english, french, *valid = files.values()
    out = tmp_path / "run"
    done = cli("fit", "answer", english, french, "--valid", *valid, "--out", out, *SMALL)
    swapped = "Are they swapped?"
    assert done.code == 0
    assert swapped not in done.err
    done = cli("evaluate", out, french, english)
    assert swapped in done.err
    assert swapped not in cli("evaluate", out, english, french).err
    table, lines = tmp_path / "t.tsv", [file.read_text().splitlines() for file in (english, french)]
    table.write_text("\n".join("\t".join(row) for row in [("en", "fr"), *zip(*lines, strict=True)]))
    assert swapped in cli("evaluate", out, table, "--source", "fr", "--target", "en").err
    assert swapped not in cli("evaluate", out, table, "--source", "en", "--target", "fr").err
    assert "Is it the right file?" in cli("predict", out, french).err
    assert cli("predict", out, english).err == ""
    done = cli("fit", "answer", english, french, "--valid", *reversed(valid), "--out", tmp_path / "other", *SMALL)
    assert swapped in done.err


def test_pipes_are_read_once(cli: Run, data: dict[str, Path], tmp_path: Path) -> None:
    pipes = [tmp_path / "en", tmp_path / "fr"]
    for pipe, name in zip(pipes, ("a.en", "a.fr"), strict=True):
        os.mkfifo(pipe)
        threading.Thread(target=pipe.write_bytes, args=(data[name].read_bytes(),), daemon=True).start()
    done = cli("fit", "answer", *pipes, "--out", tmp_path / "run", *SMALL)
    assert done.code == 0, done.err
    assert cli("fit", "answer", "-", "-", "--out", tmp_path / "run2", *SMALL, stdin=b"x").code == 2


def test_files_of_an_option_are_spread_over_its_repetitions() -> None:
    command = click.Command(
        "fit",
        params=[
            click.Argument(["files"], nargs=-1),
            FilesOption(["--valid"], multiple=True),
            click.Option(["--size"]),
            click.Option(["--quiet"], is_flag=True),
        ],
    )
    context = click.Context(command)
    for words, result in (
        ("a b --valid c d", "a b --valid c --valid d"),
        ("--size 5 --quiet a b --valid c d --quiet", "--size 5 --quiet a b --valid c --valid d --quiet"),
        ("a b --valid=c d", "a b --valid=c --valid d"),
        ("a b --valid c --size 5", "a b --valid c --size 5"),
        ("- b --valid - d", "- b --valid - --valid d"),
        ("a b", "a b"),
        ("a b --valid", "a b --valid"),
        ("a b -- --valid c d", "a b -- --valid c d"),
        ("a b --valid c --valid d e", "a b --valid c --valid d --valid e"),
        ("a --valid c d", "a --valid c --valid d"),
    ):
        assert spread(context, command, words.split()) == result.split()
    for words, text in (
        ("--size 5 --valid c d a b", "expected the data before it"),
        ("a b --valid c --quiet d", "got 'd'; expected all data before --valid"),
        ("a b --valid c --unknown 1", "No such option.*--unknown"),
    ):
        with pytest.raises(click.UsageError, match=text):
            spread(context, command, words.split())


def test_files_of_an_option_follow_the_arguments_of_a_command() -> None:
    params = [click.Argument(["bundle"]), FilesOption(["--data"], multiple=True), click.Option(["--out"])]
    command = click.Command("quantize", params=params)
    for words, result in (
        ("run --data a b --out x", "run --data a --data b --out x"),
        ("run --data a --data b", "run --data a --data b"),
        ("--data a run", "--data a run"),
        ("--data a run --data b c", "--data a run --data b --data c"),
    ):
        assert spread(click.Context(command), command, words.split()) == result.split()


def test_only_lf_ends_a_line_that_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, lines in (
        ("a\r\nb\rc\n\n\x85d\v\f\u2028\r\r\n e", ["a", "b\rc", "", "\x85d\v\f\u2028\r", " e"]),
        ("\ufeffa\n\ufeffb\r", ["a", "\ufeffb\r"]),
        ("", []),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
        assert list(arriving_lines()) == lines
