"""How good the defaults are: real data sets, several seeds, a baseline in the same run.

    python benchmarks/quality.py classify                       # every data set, seeds 0, 1, 2
    python benchmarks/quality.py classify --only rt_polarity    # one of them
    python benchmarks/quality.py classify --quick               # one seed
    python benchmarks/quality.py classify --json                # one JSON object as the last line
    python benchmarks/quality.py language --only tiny_shakespeare --quick --plain   # a plain PyTorch model beside
    python benchmarks/quality.py language --share 0.1           # a tenth of each time, to see that it runs

The data are read from $REKUR_DATA, or ../shared/data beside the checkout. Nothing is tuned for a data set: each
model is ``rekur.Classifier()`` or ``rekur.LanguageModel()`` with its defaults and, for language, the time as its
limit. A score is the mean over the seeds, on the test part; ``seconds`` is the longest run of one seed, data reading
included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import quality_language
from quality_language import TEXTS, TRAINING
from rekur.data import Columns, Corpus, examples, open_source
from rekur.tasks import Classifier


class Job(NamedTuple):
    """One data set: its files, its columns, the score that counts, and what is to be reached."""

    data: str
    files: tuple[str, str | None, str]
    columns: Columns
    metric: str
    goal: float
    minutes: float


def text(data: str, metric: str, goal: float, minutes: float, column: str = "text") -> Job:
    """Return the job of a data set in three .tsv files."""
    files = (f"{data}/train.tsv", f"{data}/valid.tsv", f"{data}/test.tsv")
    return Job(data, files, Columns(text=column, label="label"), metric, goal, minutes)


JOBS = (
    text("rt_polarity", "accuracy", 0.78, 2),
    text("sms_spam", "macro_f1", 0.975, 3),
    text("names_by_language", "accuracy", 0.82, 5),
    text("splice_dna", "accuracy", 0.94, 3)._replace(columns=Columns(symbols="sequence", label="label")),
    Job(
        "japanese_vowels",
        ("japanese_vowels/JapaneseVowels_TRAIN.ts", None, "japanese_vowels/JapaneseVowels_TEST.ts"),
        Columns(series="series", label="label"),
        "accuracy",
        0.97,
        2,
    ),
    Job(
        "indoor_movement",
        ("indoor_movement/train.jsonl", "indoor_movement/valid.jsonl", "indoor_movement/test.jsonl"),
        Columns(series="x", label="label"),
        "accuracy",
        0.90,
        2,
    ),
)


def main() -> None:
    """Run the data sets that were asked for and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("task", choices=["classify", "language"])
    options.add_argument("--only", action="append", metavar="DATA")
    options.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1")
    options.add_argument("--quick", action="store_true", help="one seed")
    options.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option, to try it")
    options.add_argument("--share", type=float, default=1.0, help="of each time (language)")
    options.add_argument("--minutes", type=float, help="only texts with this time (language)")
    options.add_argument("--plain", action="store_true", help="also train a plain PyTorch model (language)")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        sys.exit(f"no data: {root} is absent; set REKUR_DATA to the folder that holds the data sets")
    changes = {name: json.loads(value) for name, value in (entry.split("=", 1) for entry in given.set)}
    seeds = range(1 if given.quick else given.seeds)
    known = {job.data for job in (JOBS if given.task == "classify" else TEXTS)}
    if unknown := set(given.only or ()) - known:
        sys.exit(f"--only: got {', '.join(sorted(unknown))}; expected one of {', '.join(sorted(known))}")
    if given.task == "language":
        rows = language(given, root, seeds, changes)
    else:
        rows = [measure(job, root, seeds, changes) for job in JOBS if not given.only or job.data in given.only]
        show(rows)
    if given.json:
        print(json.dumps({"rows": rows}))


def language(given: Any, root: Path, seeds: range, changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Train the language models that were asked for and print their table."""
    rows = []
    for text in TEXTS:
        if (given.only and text.data not in given.only) or (given.minutes and text.minutes != given.minutes):
            continue
        rows.append(quality_language.measure(text, root, seeds, changes, given.share))
        if given.plain and text.data == "tiny_shakespeare":
            rows[-1]["plain PyTorch"] = quality_language.plain(root, 60 * text.minutes * given.share * TRAINING["char"])
    quality_language.show(rows)
    return rows


def measure(job: Job, root: Path, seeds: range, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one model a seed, score each on the test part, and the baseline beside them."""
    train, valid, test = (None if name is None else corpus(root / name, job.columns) for name in job.files)
    assert train is not None
    assert test is not None
    scores, seconds, steps = [], [], []
    for seed in seeds:
        began = time.monotonic()
        model = Classifier(seed=seed, baseline=False, kind=job.columns.kind, **changes)
        model.fit_corpus(train, valid)
        seconds.append(time.monotonic() - began)
        scores.append(model.evaluate_corpus(test)[job.metric])
        steps.append(model.history_.rows[-1]["step"])
        best = model.history_.rows[model.result_.best_epoch - 1]
        print(
            f"{job.data} seed {seed}: {job.metric} {scores[-1]:.4f} in {seconds[-1]:.0f} s, best epoch "
            f"{model.result_.best_epoch}, valid loss {best['valid_loss']:.4f}, valid {best['valid_accuracy']:.4f}",
            file=sys.stderr,
        )
    return {
        "data": job.data,
        "metric": job.metric,
        "score": round(float(np.mean(scores)), 4),
        "scores": [round(s, 4) for s in scores],
        "goal": job.goal,
        "baseline": round(baseline(train, test, job), 4),
        "seconds": round(max(seconds), 1),
        "limit": 60 * job.minutes,
    }


def corpus(path: Path, columns: Columns) -> Corpus:
    """Return the examples of a file."""
    source = open_source(path)
    return Corpus(lambda: examples(source, columns), str(path))


def baseline(train: Corpus, test: Corpus, job: Job) -> float:
    """Return the score of TF-IDF with logistic regression, or of logistic regression on summary statistics."""
    parts = [[(e.item, e.label) for e in part] for part in (train, test)]
    (train_x, train_y), (test_x, test_y) = (tuple(zip(*part, strict=True)) for part in parts)
    linear = LogisticRegression(C=10.0, max_iter=3000)
    if job.columns.kind == "series":
        model = make_pipeline(StandardScaler(), linear)
        train_x, test_x = ([summary(item) for item in part] for part in (train_x, test_x))
    else:
        words = np.median([len(item.split()) for item in train_x]) >= 3
        grams = (
            {"analyzer": "word", "ngram_range": (1, 2)}
            if words
            else {"analyzer": "char_wb", "ngram_range": (1, 4), "lowercase": False}
        )
        model = make_pipeline(TfidfVectorizer(sublinear_tf=True, **grams), linear)
    guess = model.fit(train_x, train_y).predict(test_x)
    if job.metric == "accuracy":
        return float(accuracy_score(test_y, guess))
    return float(f1_score(test_y, guess, average="macro"))


def summary(rows: np.ndarray) -> np.ndarray:
    """Return mean, spread, extremes and ends of each channel, and the length."""
    parts = [rows.mean(0), rows.std(0), rows.min(0), rows.max(0), rows[0], rows[-1], [len(rows)]]
    return np.concatenate(parts)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    head = ("data", "metric", "score", "each seed", "goal", "baseline", "seconds", "limit")
    table = Table(*head, title="Classify, defaults", title_justify="left")
    for row in rows:
        reached = "[green]" if row["score"] >= row["goal"] else "[red]"
        each = " ".join(f"{s:.3f}" for s in row["scores"])
        cells = (f"{reached}{row['score']:.4f}[/]", each, row["goal"], row["baseline"], row["seconds"], row["limit"])
        table.add_row(row["data"], row["metric"], *map(str, cells))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
