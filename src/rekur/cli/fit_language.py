"""``rekur fit language``: from text to a model that says what comes next."""

from __future__ import annotations

from typing import Any

import click

from rekur import _check
from rekur.cli import training
from rekur.cli.copies import kept_copies
from rekur.cli.fit_options import LANGUAGE, TEXT_FEATURE_NAMES, TEXT_OUTPUT, estimator_options
from rekur.cli.options import FILES, JSON, TEXTS, split_texts, with_options
from rekur.cli.request import Request


@click.command("language")
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
    _check.need("torch", "train", "rekur fit")
    training.check_folder(how, [*files, *valid])
    request = Request(
        task="language",
        files=list(files),
        valid=list(valid),
        columns={},
        reading=reading,
        options=estimator_options(values, TEXT_FEATURE_NAMES),
        **kept,
    )
    with kept_copies(request, how.out) as copied:
        return training.run(copied, how)


def prepare(request: Request) -> training.Prepared:
    """Return the untrained model and the texts of the files."""
    from rekur.data import open_texts
    from rekur.tasks import LanguageModel

    task = LanguageModel(**request.options)
    task.columns_ = {name: value for name, value in request.reading.items() if name != "encoding"}
    train, valid = (list(map(request.source, files)) for files in (request.files, request.valid))
    texts = open_texts(train, **request.reading)
    return training.Prepared(task, texts, open_texts(valid, **request.reading) if valid else None)
