"""Numbers out of every range: refused in a sentence, in a moment, with nothing left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from tests.e2e.conftest import REVIEWS, Run, replaced

import rekur
from rekur import Classifier, LanguageModel, Regressor
from rekur.cli.main import app
from rekur.cli.options import NUMBER, WHOLE
from rekur.decode.stops import check_stops
from rekur.errors import InputError
from rekur.tasks import load

FAST = ("--hidden-size", "4", "--epochs", "1", "--no-baseline", "--quiet")
NO_EPOCHS = (*FAST[:2], *FAST[4:])
HUGE = 10**20
#: commands that train many models
STUDIES = ("tune", "compare")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model; beside it words with tags, pairs of texts, a model of them, and months of sales."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "text.txt").write_text("to be or not to be that is the question\n" * 60, encoding="utf-8")
    (folder / "tags.jsonl").write_text('{"tokens": ["a", "film"], "tags": ["x", "y"]}\n' * 20, encoding="utf-8")
    months = [f"{year}-{month:02},{month % 5 + year % 7}" for year in range(2018, 2024) for month in range(1, 13)]
    (folder / "sales.csv").write_text("month,sales\n" + "\n".join(months), encoding="utf-8")
    pairs = ["film"] * 8, ["livre"] * 8
    (folder / "pairs.tsv").write_text("source\ttarget\n" + "film\tlivre\n" * 8, encoding="utf-8")
    options: dict[str, Any] = {"hidden_size": 4, "decoder_size": 4, "embedding_size": 4, "epochs": 1}
    rekur.Translator(**options, baseline=False).fit(*pairs, X_valid=pairs[0], y_valid=pairs[1]).save(folder / "writer")
    model = LanguageModel(hidden_size=8, steps=4, baseline=False).fit("to be or not to be\n" * 60)
    return Path(model.save(folder / "model"))


def words_of(path: str, files: dict[str, Path], bundles: dict[str, Path], book: Path, out: Path) -> list[Any]:
    """Return a command that works, to which an option is added."""
    reviews = [files["reviews"], *REVIEWS, "--out", out]
    words = [book.parent / "tags.jsonl", "--text", "tokens", "--label", "tags", "--out", out]
    text = [book.parent / "text.txt", "--out", out, "--steps", "1", *NO_EPOCHS]
    pairs = [book.parent / "pairs.tsv", "--source", "source", "--target", "target", "--out", out]
    wear = ["--series", "x", "--label", "wear", "--out", out]
    sales = [book.parent / "sales.csv", "--time", "month", "--horizon", "2", "--out", out]
    cells = ["--cells", "rnn,gru", "--seeds", "1"]
    return {
        "fit classify": ["fit", "classify", *reviews, *FAST],
        "fit regress": ["fit", "regress", files["walks"], *wear, *FAST],
        "fit language": ["fit", "language", *text],
        "fit tag": ["fit", "tag", *words, *FAST],
        "fit translate": ["fit", "translate", *pairs, *FAST],
        "fit forecast": ["fit", "forecast", *sales, *FAST],
        "tune forecast": ["tune", "forecast", *sales, *FAST],
        "compare forecast": ["compare", "forecast", *sales, *FAST, *cells],
        "tune translate": ["tune", "translate", *pairs, *FAST],
        "compare translate": ["compare", "translate", *pairs, *FAST, *cells],
        "tune tag": ["tune", "tag", *words, *FAST],
        "compare tag": ["compare", "tag", *words, *FAST, *cells],
        "compare classify": ["compare", "classify", *reviews, *FAST, *cells],
        "compare regress": ["compare", "regress", files["walks"], *wear, *FAST, *cells],
        "compare language": ["compare", "language", *text, *cells],
        "data": ["data", files["walks"]],
        "evaluate": ["evaluate", book.parent / "writer", book.parent / "pairs.tsv"],
        "predict": ["predict", book.parent / "writer", book.parent / "pairs.tsv"],
        "translate": ["translate", book.parent / "writer"],
        "tune classify": ["tune", "classify", *reviews, *FAST],
        "tune regress": ["tune", "regress", *reviews, *FAST],
        "tune language": ["tune", "language", *text],
        "generate": ["generate", book, "--prompt", "to"],
        "check": ["check", bundles["words"]],
        "cells": ["cells", "lstm"],
        "quantize": ["quantize", bundles["words"], "--data", files["reviews"], "--out", out],
        "export": ["export", bundles["words"], "--to", "c", "--out", out],
    }[path]


def numeric_options() -> list[tuple[str, str, click.ParamType[Any]]]:
    """Return (command, option, type) of every option that is a number."""

    def of(path: str, command: click.Command) -> list[tuple[str, str, click.ParamType[Any]]]:
        if isinstance(command, click.Group):
            inner = {name: command.get_command(click.Context(command), name) for name in command.list_commands(None)}
            return [row for name, one in inner.items() if one for row in of(f"{path} {name}".strip(), one)]
        return [(path, parameter.opts[0], parameter.type) for parameter in command.params if parameter.type in KINDS]

    return of("", app)


KINDS = (WHOLE, NUMBER)
OPTIONS = numeric_options()


def test_every_number_is_read_by_the_types_that_name_the_option() -> None:
    assert len(OPTIONS) > 60
    for parameter in _parameters(app):
        assert not isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType), parameter.name


def _parameters(command: click.Command) -> list[click.Parameter]:
    inner = (
        [command.get_command(click.Context(command), n) for n in command.list_commands(None)]
        if isinstance(command, click.Group)
        else []
    )
    return [*command.params, *(parameter for one in inner if one for parameter in _parameters(one))]


@pytest.mark.parametrize(("path", "option", "kind"), OPTIONS, ids=lambda v: v if isinstance(v, str) else v.name)
def test_what_is_no_number_is_refused(
    path: str,
    option: str,
    kind: Any,
    cli: Run,
    files: dict[str, Path],
    bundles: dict[str, Path],
    book: Path,
    tmp_path: Path,
) -> None:
    wrong = ["", "many", "1_0", "٣", "9" * 5000, "1.5", "nan"] if kind is WHOLE else ["", "many", "1_0", "٣"]
    for value in wrong[:4] if path.startswith(STUDIES) else wrong:
        done = cli(*replaced(words_of(path, files, bundles, book, tmp_path / "out"), option, value))
        assert done.code == 2, (value, done.err)
        line = done.err.splitlines()[-1]
        assert line.startswith(f"rekur: {option}: got '"), done.err
        assert len(line) < 200
    assert list(tmp_path.iterdir()) == []


BEYOND = [
    (path, option, value)
    for path, option, kind in OPTIONS
    for value in ((-1, HUGE) if kind is WHOLE else ("-1", "nan", "inf"))
    # any number is fine here, or another part of the training answers for it
    if not path.startswith(STUDIES) or option in ("--trials", "--seeds", "--margin")
]


@pytest.mark.parametrize(("path", "option", "value"), BEYOND)
def test_what_is_out_of_range_is_refused_in_a_moment(
    path: str,
    option: str,
    value: Any,
    cli: Run,
    files: dict[str, Path],
    bundles: dict[str, Path],
    book: Path,
    tmp_path: Path,
) -> None:
    begin = time.monotonic()
    done = cli(*replaced(words_of(path, files, bundles, book, tmp_path / "out"), option, value))
    assert done.code == 2, done.out
    assert " got " in done.err
    assert "expected" in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("option", ["--hidden-size", "--embedding-size"])
@pytest.mark.parametrize("path", ["fit classify", "fit language"])
def test_a_model_that_does_not_fit_is_refused_before_it_is_made(
    path: str, option: str, cli: Run, files: dict[str, Path], bundles: dict[str, Path], book: Path, tmp_path: Path
) -> None:
    for size in (10**8, 2**28):
        done = cli(*replaced(words_of(path, files, bundles, book, tmp_path / "out"), option, size))
        assert done.code == 2
        assert done.err.startswith("rekur: memory: got about ")
        assert "what this machine has free." in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [("--samples", 10**9), ("--samples", 2**62), ("--samples", 10**6, "--max-tokens", 10**7)]
)
def test_samples_that_do_not_fit_are_refused_before_they_are_drawn(
    words: tuple[Any, ...], cli: Run, book: Path
) -> None:
    done = cli("generate", book, "--prompt", "to", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("rekur: memory: got about ")


def test_a_difference_that_proves_nothing_is_no_tolerance(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    for tolerance in ("1", "1e30"):
        for words in (("check", bundles["words"]), ("export", bundles["words"], "--to", "c", "--out", tmp_path / "c")):
            done = cli(*words, "--tolerance", tolerance)
            assert (done.code, "expected a number above 0 and below 1." in done.err) == (2, True)


@pytest.mark.parametrize(
    "name", ["hidden_size", "num_layers", "embedding_size", "kernel_size", "seed", "batch_size", "epochs"]
)
@pytest.mark.parametrize("value", [HUGE, -1, 1.5, "4", True])
def test_estimators_refuse_the_same(name: str, value: Any) -> None:
    texts, labels = ["good film", "bad film"] * 8, ["a", "b"] * 8
    for kind, y in ((Classifier, labels), (Regressor, [1.0, 2.0] * 8)):
        with pytest.raises(InputError, match=f"^{name}: got "):
            kind(**{"hidden_size": 4, "epochs": 1, "baseline": False, name: value}).fit(texts, y)


@pytest.mark.parametrize("size", [HUGE, 2**40, 0, -1, 1.5])
def test_layers_refuse_sizes_that_no_machine_has(size: Any) -> None:
    from rekur import nn

    for make in (
        lambda: nn.Recurrent("lstm", 3, size),
        lambda: nn.Recurrent("gru", size, 4),
        lambda: nn.Recurrent("slstm", 3, 4, num_layers=size),
        lambda: nn.Embedding(size, 4),
        lambda: nn.Embedding(10, size),
        lambda: nn.CausalConv(3, 4, size),
    ):
        with pytest.raises(InputError, match="expected a whole number"):
            make()


UNTYPED: dict[str, Callable[[Any], Any]] = {
    "a bundle by number": lambda _: rekur.load(5),  # type: ignore[arg-type]
    "a folder by number": lambda model: model.save(5),
    "no folder": lambda model: model.save(None),
    "feature options that are a number": lambda _: Classifier(feature_options=5).fit(TEXTS, LABELS),
    "feature options of a language model": lambda _: LanguageModel(feature_options=[1]).fit("ab " * 200),  # type: ignore[arg-type]
    "one run length": lambda _: LanguageModel(ngrams=5).fit("ab " * 200),  # type: ignore[arg-type]
    "one run length to recall": lambda _: LanguageModel(recall=5).fit("ab " * 200),  # type: ignore[arg-type]
    "no text": lambda _: LanguageModel().fit(None),
    "a number beyond floats": lambda _: Regressor().fit(TEXTS, [10**400] * 16),
    "a stop that is a number": lambda _: check_stops(5),  # type: ignore[arg-type]
    "no items": lambda model: model.predict(None),
    "a state that is a number": lambda model: model.stream().set_state(5),
    "threads": lambda _: rekur.load("x", threads="many"),  # type: ignore[arg-type]
}
TEXTS, LABELS = [f"good film {number}" for number in range(16)], ["a", "b"] * 8


@pytest.mark.parametrize("case", UNTYPED)
def test_values_of_other_types_are_refused_by_name(case: str, bundles: dict[str, Path]) -> None:
    model = load(bundles["words"])
    with pytest.raises(InputError, match=r": got .*; expected "):
        UNTYPED[case](model)


def test_more_threads_than_any_machine_has_change_nothing(bundles: dict[str, Path]) -> None:
    expected = rekur.load(bundles["words"]).scores(TEXTS)
    assert (rekur.load(bundles["words"], threads=2**62).scores(TEXTS) == expected).all()
