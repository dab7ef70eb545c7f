"""Language models from the command line: fitted on every kind of text, scored, and made to write."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BUNDLE_FILES, Run, write_lines

from rekur.cli.main import main
from rekur.decode import generate as decode
from rekur.runtime import read_bundle

TINY = ("--hidden-size", "8", "--embedding-size", "6", "--batch-size", "4", "--chunk-length", "12", "--no-baseline")
TINY_RUN = (*TINY, "--steps", "12", "--quiet")
LEARNT = ("--steps", "80", "--learning-rate", "0.02", "--quiet")
NOUNS, VERBS = ("cat", "dog", "bird", "fish"), ("saw", "fed", "met")


def sentences(count: int, seed: int) -> str:
    rng = random.Random(seed)
    return "".join(
        f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)}, and {i % 10}.\n" for i in range(count)
    )


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some thousand characters."""
    file = tmp_path_factory.mktemp("text") / "book.txt"
    file.write_text(sentences(150, 0), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def test_text(book: Path) -> Path:
    """Text that nothing was learnt from."""
    file = book.with_name("test.txt")
    file.write_text(sentences(20, 1), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def models(book: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained models, one of each kind of token."""
    folder = tmp_path_factory.mktemp("models")
    for tokens in ("char", "byte", "word", "bpe"):
        words = ("fit", "language", str(book), "--tokens", tokens, "--out", str(folder / tokens), *TINY, *LEARNT)
        more = ("--max-vocabulary", "280") if tokens == "bpe" else ()
        assert main([*words, *more]) == 0
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("tokens", "more"),
    [
        ("char", ()),
        ("byte", ()),
        ("word", ()),
        ("bpe", ("--max-vocabulary", "280")),
        ("word", ("--recall", "2,3", "--recall-slots", "64")),
        ("char", ("--recall", "3,5", "--ngrams", "2")),
    ],
    ids=["char", "byte", "word", "bpe", "words recalled", "characters recalled"],
)
def test_a_text_becomes_a_bundle(
    tokens: str, more: tuple[str, ...], cli: Run, book: Path, test_text: Path, tmp_path: Path
) -> None:
    words = ("--tokens", tokens, "--valid", test_text, "--out", tmp_path / "m", *TINY_RUN)
    done = cli("fit", "language", book, *words, *more, "--json")
    assert (done.code, done.err) == (0, "")
    assert set(done.json) == {"bundle", "stopped", "seconds", "metrics"}
    assert done.json["stopped"] == "finished"
    assert done.json["metrics"]["characters"] == len(test_text.read_text())
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == BUNDLE_FILES
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    again = cli("evaluate", tmp_path / "m", test_text, "--json")
    assert (again.code, again.err) == (0, "")
    for name in ("loss", "perplexity", "bits_per_character", "bits_per_byte", "unknown_share"):
        assert again.json[name] == pytest.approx(done.json["metrics"][name], abs=1e-4)


def test_fit_tells_how_it_goes(cli: Run, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(book.parent)
    done = cli("fit", "language", book.name, "--out", tmp_path / "m", *TINY, "--epochs", "2")
    assert done.code == 0
    assert "tokens to train on" in done.err
    assert "of memory" in done.err
    assert done.err.index("of memory") < done.err.index("epoch")
    for wanted in ("characters in", "bits per character", "perplexity", "95 % interval", "Training ended: finished"):
        assert wanted in done.out
    assert done.out.rstrip().endswith(
        f"Saved in {tmp_path}/m. Next:\n  rekur evaluate {tmp_path}/m TEST_FILE\n"
        f'  rekur generate {tmp_path}/m --prompt "…"\n  rekur score {tmp_path}/m FILE'
    )


def test_files_patterns_folders_and_packed_files_are_the_same_text(cli: Run, book: Path, tmp_path: Path) -> None:
    whole = book.read_text(encoding="utf-8")
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    for number, part in enumerate((whole[:2000], whole[2000:])):
        (plain / f"{number}.txt").write_text(part, encoding="utf-8")
        (packed / f"{number}.txt.gz").write_bytes(gzip.compress(part.encode()))
    given = {
        "files": (plain / "0.txt", plain / "1.txt"),
        "pattern": (plain / "*.txt",),
        "folder": (plain,),
        "packed": (packed,),
    }
    weights = set()
    for name, files in given.items():
        assert cli("fit", "language", *files, "--out", tmp_path / "runs" / name, *TINY_RUN).code == 0
        weights.add((tmp_path / "runs" / name / "model.safetensors").read_bytes())
    assert len(weights) == 1


def test_documents_of_columns_and_lines(cli: Run, book: Path, tmp_path: Path) -> None:
    lines = book.read_text(encoding="utf-8").splitlines()
    table = write_lines(tmp_path / "posts.jsonl", [{"body": line, "n": n} for n, line in enumerate(lines)])
    assert cli("fit", "language", table, "--text", "body", "--out", tmp_path / "a", *TINY_RUN).code == 0
    assert cli("fit", "language", book, "--document", "line", "--out", tmp_path / "b", *TINY_RUN).code == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert read_bundle(tmp_path / "a").config["columns"] == {"column": "body"}
    by_column = cli("evaluate", tmp_path / "a", table, "--json").json
    by_line = cli("evaluate", tmp_path / "a", book, "--document", "line", "--json").json
    as_trained = cli("evaluate", tmp_path / "b", book, "--json").json
    assert by_column["loss"] == by_line["loss"] == as_trained["loss"]


def test_evaluate_for_people(cli: Run, models: dict[str, Path], test_text: Path, tmp_path: Path) -> None:
    done = cli("evaluate", models["word"], test_text, "--report", tmp_path / "page.html")
    assert (done.code, done.err) == (0, "")
    for wanted in ("characters in", "loss", "perplexity", "bits per character", "bits per byte", "unknown share"):
        assert wanted in done.out
    assert "perplexity" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_models_that_learn_from_what_they_read(cli: Run, models: dict[str, Path], test_text: Path) -> None:
    plain = cli("evaluate", models["char"], test_text, "--json").json
    for options in (("--dynamic",), ("--cache",), ("--dynamic", "--cache")):
        done = cli("evaluate", models["char"], test_text, *options, "--json")
        assert (done.code, done.err) == (0, "")
        assert done.json["adapted"] == [option.lstrip("-") for option in options]
        assert done.json["tokens"] == plain["tokens"]
        assert done.json["loss"] != plain["loss"]


def test_scores_belong_together(cli: Run, models: dict[str, Path], test_text: Path) -> None:
    for path in models.values():
        scores = cli("evaluate", path, test_text, "--json").json
        assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]), rel=1e-6)
        bits = scores["loss"] * scores["tokens"] / math.log(2)
        assert scores["bits_per_character"] == pytest.approx(bits / scores["characters"], rel=1e-6)
        assert scores["bits_per_byte"] == pytest.approx(bits / scores["bytes"], rel=1e-6)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_text_is_written_with_its_prompt(cli: Run, models: dict[str, Path]) -> None:
    words = ("generate", models["char"], "--prompt", "The ", "--max-tokens", "30", "--seed", "5")
    first, again = cli(*words), cli(*words)
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("The ")
    assert first.out == again.out
    assert len(first.out.rstrip("\n")) <= 4 + 30
    row = cli(*words, "--json").json
    assert set(row) == {"text", "log_probability", "tokens", "stopped"}
    assert first.out.rstrip("\n") == ("The " + row["text"]).rstrip("\n")
    assert row["tokens"] == 30


def test_a_text_appears_while_it_is_drawn(
    cli: Run, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import rekur.decode

    shown: list[str] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        for event in decode(*arguments, **options):
            shown.append(capfd.readouterr().out)
            yield event

    monkeypatch.setattr(rekur.decode, "generate", watched)
    cli("generate", models["char"], "--prompt", "The ", "--max-tokens", "10", "--seed", "1")
    assert shown[0] == "The "
    assert sum(bool(part) for part in shown) >= 9


def test_many_samples(cli: Run, models: dict[str, Path]) -> None:
    words = ("generate", models["char"], "--samples", "5", "--max-tokens", "12", "--seed", "2", "--temperature", "1.2")
    rows = [json.loads(line) for line in cli(*words, "--json").out.splitlines()]
    assert len({row["text"] for row in rows}) > 1
    assert cli(*words).out == ("─" * 40 + "\n").join(row["text"] + "\n" for row in rows)
    alone = cli("generate", models["char"], "--max-tokens", "12", "--seed", "2", "--temperature", "1.2", "--json").json
    assert alone.pop("log_probability") == pytest.approx(rows[0].pop("log_probability"))
    assert alone == rows[0]


def test_the_likeliest_and_where_to_stop(cli: Run, models: dict[str, Path]) -> None:
    words = ("generate", models["char"], "--prompt", "The ", "--max-tokens", "60", "--json")
    greedy = [cli(*words, "--temperature", "0", "--seed", seed).json for seed in (1, 2)]
    assert greedy[0]["text"] == greedy[1]["text"]
    assert cli(*words, "--top-k", "1", "--seed", "3").json["text"] == greedy[0]["text"]
    stop = greedy[0]["text"][10:12]
    stopped = cli(*words, "--temperature", "0", "--stop", stop).json
    assert greedy[0]["text"].startswith(stopped["text"])
    assert stop not in stopped["text"]
    assert stopped["stopped"] != greedy[0]["stopped"]


def test_a_prompt_from_a_file_and_from_standard_input(cli: Run, models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "start.txt").write_text("The cat", encoding="utf-8")
    more = ("--max-tokens", "8", "--seed", "1")
    given = cli("generate", models["char"], "--prompt", "The cat", *more).out
    assert cli("generate", models["char"], "--prompt-file", tmp_path / "start.txt", *more).out == given
    assert cli("generate", models["char"], "--prompt", "-", *more, stdin=b"The cat").out == given
    assert cli("generate", models["char"], "--prompt-file", "-", *more, stdin=b"The cat").out == given


@pytest.mark.parametrize("tokens", ["byte", "word", "bpe"])
def test_every_kind_of_token_writes(tokens: str, cli: Run, models: dict[str, Path]) -> None:
    done = cli("generate", models[tokens], "--prompt", "The cat", "--max-tokens", "9", "--seed", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("The cat")


# ── how probable ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", ["char", "byte", "word", "bpe"])
def test_score_is_what_evaluate_measures(tokens: str, cli: Run, models: dict[str, Path], test_text: Path) -> None:
    row = cli("score", models[tokens], test_text, "--by", "file", "--json").json
    scores = cli("evaluate", models[tokens], test_text, "--json").json
    assert row["log_probability"] == pytest.approx(-scores["nats"], rel=1e-4)
    assert row["per_token"] == pytest.approx(-scores["loss"], rel=1e-4)
    assert (row["tokens"], row["characters"]) == (scores["tokens"], scores["characters"])


def test_score_of_given_texts(cli: Run, models: dict[str, Path]) -> None:
    done = cli("score", models["char"], "--text", "The cat", "--text", "tac ehT", "--json", "--tokens")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["item"] for row in rows] == ["The cat", "tac ehT"]
    for row in rows:
        assert "".join(piece for piece, _ in row["each"]) == row["item"]
        assert sum(value for _, value in row["each"]) == pytest.approx(row["log_probability"], rel=1e-4)
        assert row["per_character"] == pytest.approx(row["log_probability"] / 7)
    assert rows[0]["log_probability"] > rows[1]["log_probability"]
    assert done.err == ""
    done = cli("score", models["char"], "--text", "The cat", "--text", "§ca§t¶")
    told = "--text: 1 text holds what the model does not know, read as the unknown token: '§', '¶'."
    assert (done.code, done.err) == (0, f"warning: {told}\n")


def test_score_of_many_files_is_that_of_each(cli: Run, models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"The cat\rThe dog")  # no line end: the next file begins a line of its own
    (tmp_path / "b.txt").write_bytes(b"The mat\r\nThe hat\n")
    each = [cli("score", models["char"], tmp_path / name, "--json") for name in ("a.txt", "b.txt")]
    single = [json.loads(line)["log_probability"] for done in each for line in done.out.splitlines()]
    assert len(single) == 4
    for named in (tmp_path, tmp_path / "*.txt"):
        rows = [json.loads(line) for line in cli("score", models["char"], named, "--json").out.splitlines()]
        assert [row["item"] for row in rows] == [1, 2, 3, 4]
        assert [row["log_probability"] for row in rows] == pytest.approx(single)
        done = cli("score", models["char"], named, "--by", "file", "--json")
        rows = [json.loads(line) for line in done.out.splitlines()]
        assert [row["item"] for row in rows] == [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
        assert rows[0] == cli("score", models["char"], tmp_path / "a.txt", "--by", "file", "--json").json


def test_score_of_lines(cli: Run, models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("The cat\n\nThe dog\n", encoding="utf-8")
    done = cli("score", models["char"], tmp_path / "lines.txt")
    head, *rows = done.out.splitlines()
    assert head == "item,log_probability,per_token,per_character,tokens,characters"
    assert [row.split(",")[0] for row in rows] == ["1", "3"]
    assert cli("score", models["char"], "-", stdin=b"The cat\n\nThe dog\n").out == done.out
    each = list(csv.reader(cli("score", models["char"], "--text", "a\nb", "--tokens").out.splitlines(keepends=True)))
    assert each[0] == ["item", "position", "token", "log_probability"]
    assert [row[2] for row in each[1:]] == ["a", "\\n", "b"]


def test_what_a_file_of_text_holds(cli: Run, book: Path) -> None:
    text = book.read_text(encoding="utf-8")
    done = cli("data", book, "--json")
    assert done.json["running_text"] == {
        "characters": len(text),
        "different_characters": len(set(text)),
        "bytes": len(text.encode()),
        "lines": text.count("\n"),
        "words_between_spaces": len(text.split()),
        "different_words": len(set(text.split())),
    }
    shown = cli("data", book).out
    assert "As running text" in shown
    assert f"rekur fit language {book} --out runs/book" in shown


def test_the_base_install_writes_and_scores_and_says_what_is_missing(
    cli: Run, models: dict[str, Path], test_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = cli("evaluate", models["char"], test_text, "--json").json
    monkeypatch.setitem(sys.modules, "torch", None)
    for words in (("generate", models["char"]), ("score", models["char"], "--text", "a")):
        assert cli(*words).code == 0
    assert cli("evaluate", models["char"], test_text, "--json").json == given
    done = cli("evaluate", models["char"], test_text, "--dynamic")
    what = "rekur evaluate with --dynamic or --cache"
    text = f"rekur: {what}: needs the package 'torch', which is not installed. pip install \"rekur[train]\"\n"
    assert (done.code, done.err) == (3, text)
