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

The data are read from $REKUR_DATA, or ../shared/data beside the checkout. Nothing is tuned for a data set: each model
has the defaults of its task and, for language, the time as its limit. Models are trained on the training part, and
chosen on the validation part alone; the test part is read with --test only, after all training.

Each of the ``rows`` in the JSON object is one score of one model: ``data, task, metric, model, split, seed, value,
seconds``. Rivals draw nothing at random, and their ``seed`` is null. ``seconds`` are those of training, with the start
of Python and the reading of files.
"""

from __future__ import annotations

import argparse
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

import quality_rivals
from quality_data import CLASSIFY, LANGUAGE, REGRESS, TAG, DataSet
from rekur.metrics import METRICS
from rekur.tasks.catalog import CATALOG
from timing import Report, console, finish, machine

#: share of the time that training itself gets; the rest is for reading and scoring, which takes words longer
TRAINING = {"char": 0.93, "word": 0.90}
REKUR = "rekur"
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
    "classify": Task(("accuracy", "macro_f1", "log_loss"), quality_rivals.of_items, CLASSIFY),
    "regress": Task(("rmse", "mae", "r2"), quality_rivals.of_items, REGRESS),
    "tag": Task(
        ("accuracy", "macro_f1", "entity_f1", "entity_f1_strict", "sentence_accuracy"), quality_rivals.of_items, TAG
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
    parser.add_argument("--share", type=float, default=1.0, help="of each time (language)")
    parser.add_argument("--plain", action="store_true", help="also train a plain PyTorch model (characters)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.set_defaults(markdown=None)
    options = parser.parse_args()
    task, began, report = TASKS[options.task], time.perf_counter(), Report()
    if CATALOG[options.task].reads != "texts" and (options.plain or options.share != 1):
        parser.error(f"--plain and --share: got the task {options.task}; expected one that reads texts")
    if options.seeds < 1:
        parser.error(f"--seeds: got {options.seeds}; expected 1 or more")
    names = [data.name for data in task.data_sets]
    if unknown := set(options.only or ()) - set(names):
        parser.error(f"--only: got {', '.join(sorted(unknown))}; expected some of {', '.join(names)}")
    chosen = [data for data in task.data_sets if not options.only or data.name in options.only]
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    refuse_absent(root, chosen, ("train", "valid", "test") if options.test else ("train", "valid"))
    for data in chosen:
        report.rows += measure(task, data, root, options)
    show(report.rows, chosen, options)
    finish("quality", report, machine(torch.get_num_threads(), "wall"), options, began)


def refuse_absent(root: Path, chosen: list[DataSet], parts: tuple[str, ...]) -> None:
    """End the program with a sentence if a file is not there."""
    for path in (data.path(root, part) for data in chosen for part in parts):
        if not path.is_file():
            sys.exit(f"data: {path} is absent; set REKUR_DATA to the folder that holds the data sets.")


def measure(task: Task, data: DataSet, root: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one data set: a model for each seed and its rivals, on the same items."""
    split = "test" if options.test else "valid"
    train, valid = data.load(root, "train"), data.load(root, "valid")
    models, estimator = {}, CATALOG[options.task].estimator_class()
    for seed in range(1 if options.quick else options.seeds):
        began = time.monotonic()
        model = estimator(seed=seed, baseline=False, **fit_options(data, options)).fit_corpus(train, valid)
        models[seed] = model, START + time.monotonic() - began
        history = f"best of {len(model.history_.rows)} evaluations: {model.result_.best_epoch}"
        score = f"valid {data.metric} {model.metrics_[data.metric]:.4f}"
        print(f"{data.name} seed {seed}: {score} after {models[seed][1]:.0f} s, {history}", file=sys.stderr, flush=True)
    part = data.load(root, "test") if options.test else valid

    found: list[dict[str, Any]] = []

    def add(model: str, seed: int | None, scores: dict[str, float], seconds: float) -> None:
        for metric, value in scores.items():
            row = {"data": data.name, "task": options.task, "metric": metric, "model": model, "split": split}
            found.append({**row, "seed": seed, "value": value, "seconds": round(seconds, 2)})

    for seed, (model, seconds) in models.items():
        scores = model.evaluate_corpus(part)
        chosen = {name: scores[name] for name in task.metrics if name in scores}
        add(REKUR, seed, {**chosen, **data.more_scores(model, part)}, seconds)
    rivals = task.rivals(models[0][0], train, part)
    if options.plain and data.options["tokens"] == "char":
        rivals.append(quality_rivals.plain_pytorch(train, valid, part, fit_options(data, options)["time_limit"]))
    for rival in rivals:
        add(
            rival.name, None, {name: rival.scores[name] for name in task.metrics if name in rival.scores}, rival.seconds
        )
    return found


def fit_options(data: DataSet, options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the estimator: those of the data set, the time of a text, and what is to be tried."""
    chosen = dict(data.options)
    if CATALOG[options.task].reads == "texts":
        chosen["time_limit"] = 60 * data.minutes * options.share * TRAINING[chosen["tokens"]]
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
    pairs = [(data, metric) for data in chosen for metric in (data.metric, data.also) if metric]
    for data, metric in pairs:
        deciding = [row for row in rows if (row["data"], row["metric"]) == (data.name, metric)]
        ours = float(np.mean([row["value"] for row in deciding if row["model"] == REKUR]))
        for model in dict.fromkeys(row["model"] for row in deciding):
            values = [row["value"] for row in deciding if row["model"] == model]
            score, seeds = float(np.mean(values)), " ".join(f"{value:.4f}" for value in values)
            seconds = f"{max(row['seconds'] for row in deciding if row['model'] == model):.1f}"
            if model == REKUR:
                limit, words = (
                    f"{60 * data.minutes * options.share:.0f}",
                    goal_words(data, ours) if options.test else "",
                )
            else:
                limit, words = "", rival_words(data, ours, score)
            name = data.name if model == REKUR else ""
            table.add_row(name, model, metric, f"{score:.4f}", seeds, seconds, limit, words)
        table.add_section()
    console().print(table)
    for row in rows:
        if row["metric"] not in TASKS[options.task].metrics:
            print(f"{row['data']} seed {row['seed']}: {row['metric']} {row['value']:,.6g}")


def goal_words(data: DataSet, score: float) -> str:
    """Return the goal, and whether it is reached."""
    if data.goal is None:
        return ""
    reached = score >= data.goal if METRICS[data.metric].larger_is_better else score <= data.goal
    return f"goal {data.goal:g} " + ("[green]reached[/green]" if reached else "[red]missed[/red]")


def rival_words(data: DataSet, ours: float, rival: float) -> str:
    """Return by how much rekur wins or loses."""
    lead = ours - rival if METRICS[data.metric].larger_is_better else rival - ours
    if lead == 0:
        return "equal"
    return f"[red]rekur loses by {-lead:.4f}[/red]" if lead < 0 else f"[green]rekur wins by {lead:.4f}[/green]"


if __name__ == "__main__":
    main()
