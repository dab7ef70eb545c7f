"""``rekur evaluate BUNDLE FILE``: score a saved model on a file with labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import error_file, show
from rekur.cli.options import (
    ANY_INPUT,
    BUNDLE,
    DOCUMENT,
    FILES,
    JSON,
    SEARCH,
    WHOLE,
    command_line,
    split_input,
    split_search,
    with_options,
)
from rekur.cli.saved import data_for, set_rolling, set_search
from rekur.data.inputs import name_of
from rekur.data.sketch import Seen
from rekur.errors import InputError, SaveError
from rekur.runtime import load, read_bundle
from rekur.runtime.examples import Examples
from rekur.runtime.rival import rival_metrics
from rekur.targets.gallery import ErrorGallery, Galleries


@click.command("evaluate")
@with_options(BUNDLE, FILES, *ANY_INPUT, DOCUMENT, *SEARCH)
@click.option("--dynamic", is_flag=True, help="Let a language model learn from the text while it reads.")
@click.option("--cache", is_flag=True, help="Let a language model expect again what followed before.")
@click.option("--rolling", is_flag=True, help="Forecast the series at all origins that are a horizon apart.")
@click.option("--stride", type=WHOLE, metavar="STEPS", help="With --rolling: steps between the origins.")
@click.option("--report", type=click.Path(path_type=Path), metavar="HTML", help="Also write a page with plots.")
@click.option(
    "--errors",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write all errors, the most surely wrong first, as .csv or .jsonl.",
)
@JSON
def command(
    bundle: Path,
    files: tuple[str, ...],
    report: Path | None,
    errors: Path | None,
    document: str | None,
    dynamic: bool,
    cache: bool,
    rolling: bool,
    stride: int | None,
    as_json: bool,
    **values: Any,
) -> int:
    """Score a saved model on a file with labels, or a language model on files of text.

    Columns are those it was trained with, unless others are named.

    \b
    rekur evaluate runs/reviews test.csv
    rekur evaluate runs/reviews test.csv --report reviews.html
    rekur evaluate runs/reviews test.csv --errors wrong.csv
    rekur evaluate runs/reviews other.csv --text body --label rating --json
    rekur evaluate runs/shakespeare test.txt --json
    rekur evaluate runs/words test.txt --dynamic --cache
    rekur evaluate runs/load test.csv --rolling --stride 24
    """
    _check_files(errors, report, files, adapting="--dynamic" if dynamic else "--cache" if cache else "")
    task = _network_of(bundle) if dynamic or cache else load(bundle)
    set_search(task, **split_search(values))
    set_rolling(task, rolling=rolling, stride=stride)
    adapting = _adapting(dynamic, cache)
    columns, reading = split_input(values)
    others = {"document": document, **dict.fromkeys(adapting, True)}
    corpus, name = data_for(task, files, columns, reading, others)
    seen = Seen(task.sketch_)
    examples = Examples(task.target_) if report is not None and not adapting else None
    mistakes = ErrorGallery(task.target_.errors)
    members = [*([] if examples is None else examples.members), *([] if errors is None else [mistakes])]
    metrics = task.evaluate_corpus(corpus, reads=seen.add, **({"gallery": Galleries(members)} if members else adapting))
    told = seen.note(str(bundle))
    if "rival" not in metrics and (rival := rival_metrics(task.metrics_).get("name")):
        click.echo(f"{rival}, whose validation scores the bundle has, is not kept in it: not scored.", err=True)
    failed = _tried(report, lambda path: _write(path, files, metrics, bundle, task, examples, corpus, told))
    unwritten = _tried(errors, lambda path: error_file.write_errors(path, mistakes, task, corpus))
    written = {} if errors is None or unwritten else {"errors": error_file.size(errors, mistakes)}
    if as_json:
        overlap = {"seen_share": seen.share()} if told else {}
        show.as_json({"bundle": str(bundle), "file": name, **metrics, **overlap, **written, **failed, **unwritten})
    else:
        if verdict := task.target_.verdict(metrics, metrics.get("rival", {})):
            click.echo(verdict)
        if told:
            click.echo(told)
        show.scores(f"{bundle} on {name}: {show.size(metrics)}", metrics)
        if metrics.get("per_class"):
            show.table("Each class", *show.class_rows(metrics))
        if report is not None and not failed:
            click.echo(f"Plots in {report}.")
        if written:
            click.echo(error_file.told(written["errors"]))
    return int((failed | unwritten).get("exit_code", 0))


def _tried(path: Path | None, write: Callable[[Path], None]) -> dict[str, Any]:
    """Write a file, if any; return why it could not be written, as JSON: the scores are printed all the same."""
    try:
        if path is not None:
            write(path)
    except (InputError, SaveError) as error:
        click.echo(f"rekur: {error}", err=True)
        return {"error": str(error), "exit_code": error.exit_code}
    return {}


def _check_files(errors: Path | None, report: Path | None, files: tuple[str, ...], *, adapting: str) -> None:
    """Raise early if a page or a file of errors cannot be written, or means nothing for a model that learns."""
    if report is not None:
        from rekur.study.report import check_report

        check_report(report, files)
    if errors is not None:
        error_file.check_errors(errors, files, report)
        if adapting:
            fix = "Leave one of them out."
            raise InputError(f"--errors: got it with {adapting}; expected a model that stays as it is. {fix}")


def _network_of(bundle: Path) -> Any:
    """Return the model as a network, which can learn while it reads."""
    _check.need("torch", "train", "rekur evaluate with --dynamic or --cache")
    from rekur.tasks import load

    return load(bundle)


def _adapting(dynamic: bool, cache: bool) -> dict[str, Any]:
    """Return how a language model adapts to the text, if at all."""
    if not (dynamic or cache):
        return {}
    from rekur.tasks import DynamicEvaluation, NeuralCache

    ways = (("dynamic", dynamic, DynamicEvaluation), ("cache", cache, NeuralCache))
    return {name: make() for name, is_asked, make in ways if is_asked}


def _write(
    path: Path,
    files: tuple[str, ...],
    metrics: dict[str, Any],
    bundle: Path,
    task: Any,
    examples: Examples | None,
    corpus: Any,
    note: str,
) -> None:
    """Write the answer, scores, classes, plots, worst items and options as one page."""
    from rekur.study.report import answer_of, gallery_plots, machine_facts, model_plots, write_report

    model, name = read_bundle(bundle), Path(name_of(files[0])).name
    tables: list[tuple[str, Any, Any]] = [(f"Scores on {show.size(metrics)}", *show.score_rows(metrics))]
    if metrics.get("per_class"):
        tables.append(("Each class", *show.class_rows(metrics)))
    signatures = show.signature_rows(metrics)
    if signatures[1]:
        tables.append(("Signatures", *signatures))
    gallery = None if examples is None else examples.gallery
    plots = [] if gallery is None else gallery_plots(gallery, task.attention)
    shown_tables = [] if gallery is None else [*gallery.tables()]
    chosen = model.config.get("training", {}).get("chosen", {})
    options = [(name, "" if value is None else f"{value}") for name, value in sorted(chosen.items())]
    has_wrong = examples is not None and gallery is not None and (gallery.worst() or not shown_tables)
    write_report(
        path,
        title=f"{bundle.name} on {name}",
        head=answer_of(
            metrics, task.target_.decides, f"How good is {bundle.name} on the {show.size(metrics)} of {name}?"
        ),
        tables=[*tables, *shown_tables],
        plots=[*plots, *model_plots(metrics, model.history(), task.target_.decides)],
        wrong=examples.wrong(task, corpus) if examples is not None and has_wrong else [],
        unsure=[] if examples is None else examples.unsure(task, corpus),
        notes=[f"{note[:1].upper()}{note[1:]}"] if note else [],
        repeat=(command_line(), [*machine_facts(), ("model", model.fingerprint)]),
        details=[("Input", ("what", "how"), model.features().describe()), ("Options", ("option", "value"), options)],
    )
