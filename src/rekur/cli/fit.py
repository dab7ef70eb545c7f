"""``rekur fit TASK FILE``: train a model from a file of sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.fit_options import CLASSIFY, FEATURE_NAMES, OUTPUT, SHARED, seconds
from rekur.cli.options import FILE, INPUT, JSON, split_input, with_options
from rekur.errors import InputError

INTERRUPTED = 130


@click.group("fit")
def command() -> None:
    """Train a model from a file of sequences.

    \b
    rekur fit classify reviews.csv --text review --label stars --out runs/reviews
    rekur fit regress sensors.csv --series temp --series load --group unit --time at --label wear --out runs/wear
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


def _fit(task_name: str, file: Path, values: dict[str, Any]) -> int:
    """Check everything that can be checked, train, save, and show the scores."""
    as_json, quiet, out = values.pop("as_json"), values.pop("quiet"), values.pop("out")
    overwrite, valid_file, board = values.pop("overwrite"), values.pop("valid"), values.pop("tensorboard")
    columns, reading = split_input(values)
    from rekur.runtime import check_writable

    check_writable(out, overwrite)
    _check.need("torch", "train", "rekur fit")
    from rekur.cli.saved import corpus_of
    from rekur.data import Columns
    from rekur.tasks import TASKS
    from rekur.train import History, Lines, Silent

    if "label_separator" in reading:
        values["multi_label"] = True
    task: Any = TASKS[task_name](kind=Columns(**columns).kind, **_options(values))
    if "label" not in columns:
        raise InputError(
            "--label: got none; expected the column to learn. Name it, or see the columns: rekur data FILE"
        )
    corpus = corpus_of(file, columns, reading, label_type=task.label_type)
    valid = None if valid_file is None else corpus_of(valid_file, columns, reading, label_type=task.label_type)
    task.fit_corpus(
        corpus,
        valid,
        reporter=Silent() if quiet else Lines(),
        history=History(board, tensorboard=board is not None),
    )
    task.columns_ = {"columns": columns, "label_separator": reading.get("label_separator")}
    task.save(out, overwrite=overwrite)
    _show(task, out, as_json)
    return INTERRUPTED if task.result_.stopped == "interrupted" else 0


def _options(values: dict[str, Any]) -> dict[str, Any]:
    """Return the estimator's options that were given on the command line."""
    given = {name: value for name, value in values.items() if value is not None}
    features = {name: given.pop(name) for name in FEATURE_NAMES if name in given}
    if "time_limit" in given:
        given["time_limit"] = seconds(given["time_limit"])
    if given.pop("no_baseline", False):
        given["baseline"] = False
    return {**given, "feature_options": features}


def _show(task: Any, out: Path, as_json: bool) -> None:
    result, metrics = task.result_, task.metrics_
    if as_json:
        show.as_json({"bundle": str(out), "stopped": result.stopped, "seconds": result.seconds, "metrics": metrics})
        return
    show.table(f"Scores on {metrics['items']} validation items", *show.score_rows(metrics))
    kept = f"weights of epoch {result.best_epoch} kept" if result.best_epoch else "weights as they are now kept"
    click.echo(f"Training ended: {result.stopped}, after {result.seconds:.0f} s; {kept}.")
    click.echo(f"Saved in {out}. Next:")
    click.echo(f"  rekur evaluate {out} TEST_FILE\n  rekur predict {out} FILE")
    if task.model_.streams:
        click.echo(f"  rekur stream {out}")
    if result.stopped == "interrupted":
        click.echo(f"You stopped it: {out} holds the best so far. To train on, run the same command with --overwrite.")
