"""``rekur fit classify`` and ``rekur fit regress``: from a file of sequences to a model that gives each an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import training
from rekur.cli.copies import kept_copies
from rekur.cli.fit_options import CLASSIFY, FEATURE_NAMES, OUTPUT, SHARED, estimator_options
from rekur.cli.options import FILE, INPUT, JSON, refuse_labels_between, split_input, with_options
from rekur.cli.request import Request
from rekur.errors import InputError


@click.command("classify")
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


@click.command("regress")
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
    _check.need("torch", "train", "rekur fit")
    training.check_folder(how, [str(path) for path in (file, valid) if path is not None])
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
    with kept_copies(request, how.out) as copied:
        return training.run(copied, how)


def prepare(request: Request) -> training.Prepared:
    """Return the untrained task and the examples of the files; raise now if columns are wrong."""
    from rekur.cli.saved import corpus_of, written_out
    from rekur.tasks import TASKS

    task: Any = TASKS[request.task](**request.options)
    columns = written_out(request.source(request.files[0]), request.columns, request.reading)
    task.columns_ = {"columns": columns, "label_separator": request.reading.get("label_separator")}
    train, valid = (
        [
            corpus_of(request.source(file), request.columns, request.reading, label_type=task.label_type)
            for file in files
        ]
        for files in (request.files, request.valid)
    )
    return training.Prepared(task, train[0], valid[0] if valid else None)


def need_columns(columns: dict[str, Any], file: Path) -> None:
    """Raise unless the columns of the item and of the label are named."""
    fix = f"To see what {file} holds: rekur data {file}"
    if not any(columns.get(name) for name in ("text", "symbols", "series", "values")):
        thing = "--text, --symbols, --series or --values"
        raise InputError(f"{thing}: got none of them; expected the column with the items. {fix}")
    if "label" not in columns:
        raise InputError(f"--label: got none; expected the column to learn. {fix}")
