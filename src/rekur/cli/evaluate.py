"""``rekur evaluate BUNDLE FILE``: score a saved model on a file with labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.options import BUNDLE, FILE, INPUT, JSON, split_input, with_options


@click.command("evaluate")
@with_options(BUNDLE, FILE, *INPUT)
@click.option("--report", type=click.Path(path_type=Path), metavar="HTML", help="Also write a page with plots.")
@JSON
def command(bundle: Path, file: Path, report: Path | None, as_json: bool, **values: Any) -> None:
    """Score a saved model on a file with labels; columns are those it was trained with.

    \b
    rekur evaluate runs/reviews test.csv
    rekur evaluate runs/reviews test.csv --report reviews.html
    rekur evaluate runs/reviews other.csv --text body --label rating --json
    """
    _check.need("torch", "train", "rekur evaluate")
    from rekur.cli.saved import corpus_for
    from rekur.tasks import load

    task = load(bundle)
    corpus = corpus_for(task, file, *split_input(values), need_label=True)
    metrics = task.evaluate_corpus(corpus)
    if report is not None:
        _write(report, f"{bundle.name} on {file.name}", metrics, task)
    if as_json:
        show.as_json({"bundle": str(bundle), "file": str(file), **metrics})
        return
    show.table(f"{bundle} on {file}: {metrics['items']} items", *show.score_rows(metrics))
    if metrics.get("per_class"):
        show.table("Each class", *show.class_rows(metrics))
    if report is not None:
        click.echo(f"Plots in {report}.")


def _write(path: Path, title: str, metrics: dict[str, Any], task: Any) -> None:
    """Write scores, classes, plots and options as one page."""
    from rekur.study import model_plots, write_report

    tables: list[tuple[str, Any, Any]] = [(f"Scores on {metrics['items']} items", *show.score_rows(metrics))]
    if metrics.get("per_class"):
        tables.append(("Each class", *show.class_rows(metrics)))
    options = [(name, "" if value is None else f"{value}") for name, value in sorted(task.chosen_.items())]
    details = [("Input", ("what", "how"), task.features_.describe()), ("Options", ("option", "value"), options)]
    write_report(path, title=title, tables=tables, plots=model_plots(metrics, task.history_.rows), details=details)
