"""``rekur fit TASK FILE``: train a model from a file of sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.fit_options import CLASSIFY, FEATURE_NAMES, OUTPUT, SHARED, seconds
from rekur.cli.options import FILE, INPUT, JSON, split_input, with_options
from rekur.cli.signals import stopped_code
from rekur.errors import InputError, InterruptedTraining


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
    _need_columns(columns, file)
    _check.need("torch", "train", "rekur fit")
    from rekur.cli.saved import corpus_of
    from rekur.data import Columns
    from rekur.tasks import TASKS
    from rekur.train import History, Lines, Silent

    if "label_separator" in reading:
        values["multi_label"] = True
    task: Any = TASKS[task_name](kind=Columns(**columns).kind, **_options(values))
    corpus = corpus_of(file, columns, reading, label_type=task.label_type)
    valid = None if valid_file is None else corpus_of(valid_file, columns, reading, label_type=task.label_type)
    history = History(board, tensorboard=board is not None)
    try:
        task.fit_corpus(corpus, valid, reporter=Silent() if quiet else Lines(), history=history)
        task.columns_ = {"columns": columns, "label_separator": reading.get("label_separator")}
        task.save(out, overwrite=overwrite)
    except KeyboardInterrupt:
        raise InterruptedTraining(f"stopped before a model could be saved; {out} was left as it was.") from None
    finally:
        history.close()
    _show(task, out, as_json)
    return stopped_code() if task.result_.stopped == "interrupted" else 0


def _need_columns(columns: dict[str, Any], file: Path) -> None:
    """Raise unless the columns of the item and of the label are named."""
    fix = f"To see what {file} holds: rekur data {file}"
    if not any(columns.get(name) for name in ("text", "symbols", "series", "values")):
        thing = "--text, --symbols, --series or --values"
        raise InputError(f"{thing}: got none of them; expected the column with the items. {fix}")
    if "label" not in columns:
        raise InputError(f"--label: got none; expected the column to learn. {fix}")


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
        kept = "the best so far" if result.best_epoch else "weights that were never evaluated"
        click.echo(f"You stopped it: {out} holds {kept}. To train again, run the same command with --overwrite.")
