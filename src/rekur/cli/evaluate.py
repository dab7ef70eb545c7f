"""``rekur evaluate BUNDLE FILE``: score a saved model on a file with labels."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rekur import _check
from rekur._tokenizer import Passage
from rekur.cli import show
from rekur.cli.options import (
    ANY_INPUT,
    BUNDLE,
    DOCUMENT,
    FILES,
    JSON,
    SEARCH,
    WHOLE,
    split_input,
    split_search,
    with_options,
)
from rekur.cli.saved import data_for, set_rolling, set_search
from rekur.data.inputs import name_of
from rekur.errors import InputError, SaveError
from rekur.runtime import Bundle, load, read_bundle
from rekur.runtime.rival import rival_metrics

if TYPE_CHECKING:
    from rekur.study.page import Worst
    from rekur.targets.gallery import Gallery, WorstItem


@click.command("evaluate")
@with_options(BUNDLE, FILES, *ANY_INPUT, DOCUMENT, *SEARCH)
@click.option("--dynamic", is_flag=True, help="Let a language model learn from the text while it reads.")
@click.option("--cache", is_flag=True, help="Let a language model expect again what followed before.")
@click.option("--rolling", is_flag=True, help="Forecast the series at all origins that are a horizon apart.")
@click.option("--stride", type=WHOLE, metavar="STEPS", help="With --rolling: steps between the origins.")
@click.option("--report", type=click.Path(path_type=Path), metavar="HTML", help="Also write a page with plots.")
@JSON
def command(
    bundle: Path,
    files: tuple[str, ...],
    report: Path | None,
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
    rekur evaluate runs/reviews other.csv --text body --label rating --json
    rekur evaluate runs/shakespeare test.txt --json
    rekur evaluate runs/words test.txt --dynamic --cache
    rekur evaluate runs/load test.csv --rolling --stride 24
    """
    if report is not None:
        from rekur.study.report import check_report

        check_report(report, files)
    task = _network_of(bundle) if dynamic or cache else load(bundle)
    set_search(task, **split_search(values))
    set_rolling(task, rolling=rolling, stride=stride)
    adapting = _adapting(dynamic, cache)
    columns, reading = split_input(values)
    others = {"document": document, **dict.fromkeys(adapting, True)}
    corpus, name = data_for(task, files, columns, reading, others)
    gallery = task.target_.gallery() if report is not None and not adapting else None
    metrics = task.evaluate_corpus(corpus, **({"gallery": gallery} if gallery is not None else adapting))
    if "rival" not in metrics and (rival := rival_metrics(task.metrics_).get("name")):
        click.echo(f"{rival}, whose validation scores the bundle has, is not kept in it: not scored.", err=True)
    failed: dict[str, Any] = {}
    if report is not None:
        title = f"{bundle.name} on {Path(name_of(files[0])).name}"
        try:
            worst = None if gallery is None else _worst(gallery.worst(), task, corpus)
            _write(report, title, metrics, read_bundle(bundle), task, gallery, worst)
        except (InputError, SaveError) as error:  # the scores are printed all the same
            failed = {"error": str(error), "exit_code": error.exit_code}
            click.echo(f"rekur: {error}", err=True)
    if as_json:
        show.as_json({"bundle": str(bundle), "file": name, **metrics, **failed})
    else:
        if told := task.target_.verdict(metrics, metrics.get("rival", {})):
            click.echo(told)
        show.scores(f"{bundle} on {name}: {show.size(metrics)}", metrics)
        if metrics.get("per_class"):
            show.table("Each class", *show.class_rows(metrics))
        if report is not None and not failed:
            click.echo(f"Plots in {report}.")
    return int(failed.get("exit_code", 0))


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
    title: str,
    metrics: dict[str, Any],
    model: Bundle,
    task: Any,
    gallery: Gallery | None,
    worst: Worst | None,
) -> None:
    """Write the answer, scores, classes, plots, worst items and options as one page."""
    from rekur.study.report import answer_of, gallery_plots, model_plots, write_report

    tables: list[tuple[str, Any, Any]] = [(f"Scores on {show.size(metrics)}", *show.score_rows(metrics))]
    if metrics.get("per_class"):
        tables.append(("Each class", *show.class_rows(metrics)))
    signatures = show.signature_rows(metrics)
    if signatures[1]:
        tables.append(("Signatures", *signatures))
    plots = [] if gallery is None else gallery_plots(gallery, task.attention)
    chosen = model.config.get("training", {}).get("chosen", {})
    options = [(name, "" if value is None else f"{value}") for name, value in sorted(chosen.items())]
    write_report(
        path,
        title=title,
        answer=answer_of(metrics, task.target_.decides),
        tables=[*tables, *([] if gallery is None else gallery.tables())],
        plots=[*plots, *model_plots(metrics, model.history())],
        worst=worst,
        details=[("Input", ("what", "how"), model.features().describe()), ("Options", ("option", "value"), options)],
    )


def _worst(items: list[WorstItem], task: Any, corpus: Any) -> Worst:
    """Return the worst items with their names, and with the contents from the file of those that show no tokens."""
    from rekur.study.page import Worst

    shows_tokens = {item.number: bool(item.tokens) for item in items}
    names, contents = {}, {}
    parts = islice(task.parts_of(corpus), max(shows_tokens) + 1) if items else ()
    for number, example in enumerate(parts):
        if number not in shows_tokens:
            continue
        line = corpus.place_of(example.line).removeprefix(f"{corpus.name}, ")
        names[number] = line if example.id is None else str(example.id)
        if isinstance(example.item, Passage):
            names[number] += f", character {example.item.tokens[0].start + 1}"
        if not shows_tokens[number]:
            contents[number] = _content(example.item)
    return Worst(items, names, contents)


def _content(item: Any) -> str:
    """Return what an item holds as text: of numbers how many, and the first."""
    if isinstance(item, str):
        return item
    if hasattr(item, "shape"):
        return f"{' × '.join(map(str, item.shape))} numbers: {' '.join(f'{value:.4g}' for value in item.ravel()[:40])}"
    return " ".join(map(str, item[:100]))
