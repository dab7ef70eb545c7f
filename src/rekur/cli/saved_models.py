"""``rekur compare BUNDLE BUNDLE FILE``: score saved models on the same items, and say which differences are real."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.options import (
    ANY_INPUT,
    DOCUMENT,
    JSON,
    NUMBER,
    SEARCH,
    WHOLE,
    command_line,
    split_input,
    split_search,
    with_options,
)
from rekur.errors import InputError, describe, did_you_mean

#: the roles of columns with the right answers
_TRUTH = ("label", "target")


def is_bundle(word: str) -> bool:
    """Return whether a word of the command line names the folder of a saved model."""
    return os.path.isfile(os.path.join(word, "config.json"))


def no_bundle(word: str, models: Sequence[str]) -> str:
    """Return the message for a word in the place of a saved model that names none.

    Args:
        word: of the command line.
        models: the saved models beside it.
    """
    if os.path.isfile(word):
        fix = f"The models come first: rekur compare {' '.join([*models, word])}"
        return describe("BUNDLE", word, "the folder of a saved model, not a file", fix)
    beside = [str(path.parent) for path in Path(word).parent.glob("*/config.json")]
    if os.path.isdir(word):
        expected = "the folder of a saved model (it has no config.json)"
    else:
        expected = "the folder of a saved model (nothing is there)"
    return describe("BUNDLE", word, expected, did_you_mean(word.rstrip("/"), beside))


@click.command("BUNDLE")
@click.argument("words", metavar="BUNDLE... FILE...", nargs=-1, required=True)
@with_options(*ANY_INPUT, DOCUMENT, *SEARCH)
@click.option("--rolling", is_flag=True, help="Forecast the series at all origins that are a horizon apart.")
@click.option("--stride", type=WHOLE, metavar="STEPS", help="With --rolling: steps between the origins.")
@click.option("--margin", type=NUMBER, help="Differences inside it count as none; only with it is 'same' said.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Also write a page there, with plots.")
@JSON
def command(
    words: tuple[str, ...],
    document: str | None,
    rolling: bool,
    stride: int | None,
    margin: float | None,
    out: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Score saved models on the same items, and say which differences are real.

    \b
    rekur compare runs/lstm runs/gru test.csv
    rekur compare runs/lstm runs/gru test.csv --out page
    rekur compare runs/small runs/large test.en test.fr --beam 5

    Folders that hold a saved model are compared; all other words are the files of one test. Models are paired by item.
    Intervals are over items: with one run of each, they do not tell what another seed of a training would give.
    """
    from rekur.cli.saved import data_for, set_rolling, set_search

    bundles, files = [word for word in words if is_bundle(word)], [word for word in words if not is_bundle(word)]
    _check_words(bundles, files)
    _check.need("torch", "train", "rekur compare")
    from rekur.study.measures import load_model
    from rekur.study.model_comparison import ONE_RUN, check_comparable, compare_saved
    from rekur.study.model_page import check_page_folder, write_models

    if out is not None:
        check_page_folder(out)
    folders = [Path(bundle) for bundle in bundles]
    models = [load_model(folder) for folder in folders]
    check_comparable(bundles, models)
    columns, reading = split_input(values)
    _check_truth(bundles, models, columns)
    searching, corpora = split_search(values), []
    for model in models:
        set_search(model, **searching)
        set_rolling(model, rolling=rolling, stride=stride)
        corpora.append(data_for(model, files, columns, reading, {"document": document})[0])
    result = compare_saved(bundles, models, corpora, margin=margin)
    for note in result.warnings:
        click.echo(note, err=True)
    if out is not None:
        result = write_models(result, out, folders, models, corpora, command=command_line())
    if as_json:
        show.as_json({**result.to_dict(), "files": files, **({} if out is None else {"out": str(out)})})
        return
    click.echo(f"{result.answer}\n")
    for title, head, rows in result.tables():
        show.table(title, head, rows)
    for pair in result.statistics.pairs:
        if pair.note:
            click.echo(f"{result.pair_name(pair)}: {pair.note}.")
    click.echo(ONE_RUN)
    if out is not None:
        click.echo(f"The page is {out / 'report.html'}.")


def _check_words(bundles: Sequence[str], files: Sequence[str]) -> None:
    """Raise unless there are several different bundles and a file that can be read once for each."""
    for file in files:
        if file != "-" and not os.path.exists(file) and not os.path.splitext(file.rstrip("/"))[1]:
            raise InputError(no_bundle(file, bundles))
    if len(bundles) < 2:
        expected = "two or more before the test file"
        raise InputError(describe("BUNDLE", " ".join(bundles), expected, "A bundle is a folder with a config.json."))
    folders = [os.path.realpath(bundle) for bundle in bundles]
    for number, bundle in enumerate(bundles):
        if folders[number] in folders[:number]:
            raise InputError(describe("BUNDLE", bundle, "each model once", "Leave it out."))
    if not files:
        fix = f"For example: rekur compare {' '.join(bundles)} test.csv"
        raise InputError(f"FILE: got none; expected the file with the test items. {fix}")
    if "-" in files:
        raise InputError(describe("FILE", "-", "a file that every model can read", "Write the items into a file."))


def _check_truth(bundles: Sequence[str], models: Sequence[Any], columns: dict[str, Any]) -> None:
    """Raise if models were trained on different columns of labels, and no column is named for all."""
    for role in _TRUTH:
        names = [model.columns_.get("columns", {}).get(role) for model in models]
        for bundle, name in zip(bundles, names, strict=True):
            if name != names[0] and role not in columns:
                expected = f"{names[0]!r}, as of {bundles[0]}"
                fix = f"Name the column of this file: --{role}"
                raise InputError(f"{bundle}: " + describe(f"{role} column", name, expected, fix))
