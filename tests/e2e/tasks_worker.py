"""The tasks' own trainings, beside others like them: ``python tasks_worker.py OUT``; no dropout, so that they compare.

The first process writes the rows of their histories to the file OUT.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.unit.new_tasks import ROWS as NEW_TASKS
from tests.unit.new_tasks import TARGETS

from rekur import Classifier, LanguageModel, Tagger
from rekur._options import options_of
from rekur.data import StreamBatches, Tokens, encode_texts, texts_in_memory
from rekur.features import TextFeatures
from rekur.models import LanguageSpec, build_language
from rekur.targets.kinds import KINDS
from rekur.tasks.catalog import CATALOG, Row
from rekur.tasks.language.language_plan import LanguagePlan
from rekur.train import History, TrainOptions, train
from rekur.train.world import current


def sentences(count: int) -> list[str]:
    draw = random.Random(0)
    words = [first + second for first in "bdfgklmnprst" for second in "aeiou"]
    return [" ".join(words[min(59, int(draw.paretovariate(0.7)))] for _ in range(8)) for _ in range(count)]


def rare_words() -> Any:
    """Train an adaptive softmax: most chunks have no token of the last cluster."""
    features = TextFeatures("word", lines=True).fit(sentences(60))
    texts = texts_in_memory(sentences(60), name="texts")
    tokens: Tokens = encode_texts(texts, features)
    spec = LanguageSpec(
        vocabulary_size=features.size, hidden_size=6, embedding_size=5, softmax="adaptive", cutoffs=(6, 20)
    )
    place, ids = current(), np.asarray(tokens.ids)
    streams = StreamBatches(
        ids,
        tokens.starts,
        batch_size=4,
        chunk_length=3,
        rank=place.rank,
        size=place.size,
        reset=True,
    )
    model, history = build_language(spec, seed=0), History()
    plan = LanguagePlan(model, streams, tokens, reset=True)
    train(model, plan, TrainOptions(steps=60, learning_rate=0.02, accelerator="cpu"), history=history)
    return history.rows


def classes() -> Any:
    """Train on batches that do not divide evenly, and validate on fewer items than there are processes."""
    texts, answers = sentences(31), [number % 2 for number in range(31)]
    options: dict[str, Any] = {"token_dropout": 0.0, "dropout": 0.0, "input_dropout": 0.0, "baseline": False}
    model = Classifier(epochs=3, batch_size=7, hidden_size=5, **options)
    model.fit(texts, answers, X_valid=texts[:1], y_valid=answers[:1])
    return model.history_.rows


def characters() -> Any:
    names = ("row_dropout", "input_dropout", "dropout", "output_dropout", "weight_dropout")
    options: dict[str, Any] = {"hidden_size": 6, "embedding_size": 5, "baseline": False, **dict.fromkeys(names, 0.0)}
    model = LanguageModel(tokens="char", steps=20, batch_size=4, chunk_length=12, **options)
    model.fit(sentences(60))
    return model.history_.rows


def spans() -> Any:
    """Train a tagger whose tags mark spans, and score its entities."""
    words = [text.split()[: 1 + number % 8] for number, text in enumerate(sentences(31))]
    tags = [[f"B-{word[-1]}" if word[0] < "m" else "O" for word in item] for item in words]
    options: dict[str, Any] = {"token_dropout": 0.0, "dropout": 0.0, "input_dropout": 0.0, "baseline": False}
    return Tagger(epochs=2, batch_size=7, hidden_size=5, **options).fit(words, tags).history_.rows


def recording() -> Any:
    """Train a tagger on a recording in lanes along which the state is carried."""
    draw = np.random.default_rng(0)
    labels = np.arange(400) // 20 % 3
    rows = labels[:, None] + draw.normal(size=(400, 2))
    options: dict[str, Any] = {"dropout": 0.0, "input_dropout": 0.0, "projection_size": 0, "baseline": False}
    model = Tagger(bidirectional=False, chunk_length=8, batch_size=4, epochs=2, hidden_size=5, **options)
    return model.fit([rows], [labels]).history_.rows


def items_of(row: Row) -> tuple[Any, ...]:
    """Return the data of a task of the catalog, by what it reads and the kind of its target."""
    texts = sentences(31)
    labels: dict[str, Any] = {
        "label": [text[-1] in "aei" for text in texts],
        "number": [float(sum(map(ord, text))) for text in texts],
        "share": [text.count("a") / len(text) for text in texts],
    }
    if row.reads == "texts":
        return (sentences(150),)
    if row.target in ("tags", "levels"):
        words = [text.split()[: 1 + number % 8] for number, text in enumerate(texts)]
        return words, [
            [word[-1] if row.target == "tags" else "aeiou".find(word[-1]) for word in item] for item in words
        ]
    if row.reads == "tables":
        return ([[n + 5 * ((n + k) % 6) + 0.1 * (k * n % 7) for k in range(50 + n)] for n in range(6)],)
    if row.reads == "pairs":
        return texts, [text[::-1] for text in texts]
    return texts, labels[row.target]


def task_of_the_catalog(row: Row) -> Any:
    """Train a task of the catalog; batches of items do not divide evenly."""
    KINDS.update({target.kind: target for target in TARGETS})
    described = options_of(row.options_class())
    quiet = {name: 0.0 for name in described if name.endswith(("dropout", "noise"))}
    options = {**quiet, "hidden_size": 5, "epochs": 2, "baseline": False}
    options["batch_size"] = 4 if row.reads == "texts" else 7
    model = row.estimator_class()(**options)
    model.fit(*items_of(row))
    return model.history_.rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    done = {"rare words": rare_words(), "classes": classes(), "characters": characters(), "spans": spans()}
    done["recording"] = recording()
    done |= {f"task {row.name}": task_of_the_catalog(row) for row in (*CATALOG.values(), *NEW_TASKS)}
    for rows in done.values():
        for row in rows:
            del row["seconds"]
    if current().rank == 0:
        Path(sys.argv[1]).write_text(json.dumps(done), encoding="utf-8")
