"""``rekur fit TASK FILE``: train a model from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import training
from rekur.cli.copies import kept_copies
from rekur.cli.fit_options import (
    CLASSIFY,
    FEATURE_NAMES,
    LANGUAGE,
    OUTPUT,
    SHARED,
    TEXT_FEATURE_NAMES,
    TEXT_OUTPUT,
    estimator_options,
)
from rekur.cli.options import (
    FILE,
    FILES,
    INPUT,
    JSON,
    TEXTS,
    Tasks,
    refuse_labels_between,
    split_input,
    split_texts,
    with_options,
)
from rekur.cli.prepare import need_columns
from rekur.cli.request import Request


@click.group("fit", cls=Tasks, subcommand_metavar="TASK ...")
def command() -> None:
    """Train a model from files of sequences or of text.

    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit regress sensors.csv --series temp --series load --group unit --time at --label wear --out runs/wear
    rekur fit language books/*.txt --tokens char --time-limit 20m --out runs/books
    """


@command.command("classify")
@with_options(FILE, *INPUT, *OUTPUT, *SHARED, *CLASSIFY, JSON)
def classify(file: Path, **values: Any) -> int:
    """Learn to give a sequence its label.

    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit classify names.tsv --text name --label language --tokens char --out runs/names
    rekur fit classify dna.fasta --symbols sequence --label label --out runs/dna
    rekur fit classify walks.jsonl --series x --label room --cell gru --out runs/walks
    rekur fit classify log.csv --series hr --series temp --group patient --time at --label ill --out runs/ill
    rekur fit classify posts.csv --text post --label tags --label-separator "|" --out runs/tags
    """
    return _fit("classify", file, values)


@command.command("regress")
@with_options(FILE, *INPUT, *OUTPUT, *SHARED, JSON)
def regress(file: Path, **values: Any) -> int:
    """Learn to give a sequence a number.

    \b
    rekur fit regress sensors.jsonl --series x --label wear --out runs/wear
    """
    return _fit("regress", file, values)


def _fit(task: str, file: Path, values: dict[str, Any]) -> int:
    """Check everything that can be checked, and train."""
    how, kept = training.take_how(values)
    valid: Path | None = values.pop("valid")
    columns, reading = split_input(values)
    need_columns(columns, file)
    from rekur.data import Columns

    refuse_labels_between(task, reading)
    if "label_separator" in reading:
        values["multi_label"] = True
    request = Request(
        task=task,
        files=[str(file)],
        valid=[] if valid is None else [str(valid)],
        columns=columns,
        reading=reading,
        options={"kind": Columns(**columns).kind, **estimator_options(values, FEATURE_NAMES)},
        **kept,
    )
    data = training.check_start(request, how)
    _check.need("torch", "train", "rekur fit")
    with kept_copies(request, how.out) as copied:
        return training.run(copied, how, data)


@command.command("language")
@with_options(FILES, *TEXTS, *TEXT_OUTPUT, *LANGUAGE, JSON)
def language(files: tuple[str, ...], **values: Any) -> int:
    """Learn to predict text: character by character, byte by byte, word by word or by byte pairs.

    FILE may be repeated, be a pattern such as 'books/**/*.txt', a folder, compressed, or - for standard input. Music in
    ABC notation, DNA, SMILES and source code are text too.

    \b
    rekur fit language shakespeare.txt --out runs/shakespeare --time-limit 3m
    rekur fit language train.txt --valid valid.txt --tokens word --out runs/words
    rekur fit language 'src/**/*.py' --document file --out runs/python
    rekur fit language posts.jsonl --text body --tokens bpe --out runs/posts
    """
    how, kept = training.take_how(values)
    valid = values.pop("valid")
    reading = split_texts(values)
    request = Request(
        task="language",
        files=list(files),
        valid=list(valid),
        columns={},
        reading=reading,
        options=estimator_options(values, TEXT_FEATURE_NAMES),
        **kept,
    )
    data = training.check_start(request, how)
    _check.need("torch", "train", "rekur fit")
    with kept_copies(request, how.out) as copied:
        return training.run(copied, how, data)
