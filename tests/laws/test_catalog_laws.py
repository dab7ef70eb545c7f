"""Every task of the catalog: saved is loaded, one seed is one model, batch mates and validation data change nothing."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rekur
from rekur.cli.error_file import write_errors
from rekur.data import texts_in_memory
from rekur.data.labelled import labelled
from rekur.errors import InputError
from rekur.study.model_comparison import compare_saved
from rekur.targets.gallery import ErrorGallery
from rekur.tasks import TASKS
from rekur.tasks.catalog import CATALOG
from rekur.train import Checkpoints

WORDS = [[f"w{(3 * n + k) % 7}" for k in range(1 + n % 6)] for n in range(24)]
TEXTS = [" ".join(words) for words in WORDS]
SERIES = [[n + 5 * ((n + k) % 6) + 0.1 * (k * n % 7) for k in range(50 + n)] for n in range(6)]
#: task -> training data, and data that hold what training lacks
DATA: dict[str, tuple[Any, ...]] = {
    "classify": (TEXTS, [words[0] for words in WORDS]),
    "regress": (TEXTS, [float(len(words)) for words in WORDS]),
    "tag": (WORDS, [[word[-1] for word in words] for words in WORDS]),
    "translate": (TEXTS, [" ".join(reversed(words)) for words in WORDS]),
    "forecast": (SERIES,),
    "language": ("\n".join(TEXTS * 6),),
}
OTHER: dict[str, tuple[Any, ...]] = {
    "classify": (["new word w1"] * 3, ["w1"] * 3),
    "regress": (["new word w1"] * 3, [2.0] * 3),
    "tag": ([["new", "w1"]] * 3, [["1", "2"]] * 3),
    "translate": (["new word w1"] * 3, ["w1"] * 3),
    "forecast": ([[5.0, -9.0, 4.0] * 20, [1.0] * 50],),
    "language": ("new words: Zebra!",),
}
SMALL: dict[str, Any] = {"epochs": 2, "hidden_size": 4, "embedding_size": 4, "baseline": False}

tasks = pytest.mark.parametrize("task", CATALOG)


def trained(task: str, valid: tuple[Any, ...] | None = None, **options: Any) -> Any:
    names = ("X_valid", "y_valid")[: len(DATA[task])]
    held_out = {} if valid is None else dict(zip(names, valid, strict=True))
    return TASKS[task](**SMALL | options).fit(*DATA[task], **held_out)


def outputs(model: Any, task: str) -> np.ndarray[Any, Any]:
    """Return all numbers that a model gives for its training data."""
    X = DATA[task][0]
    if CATALOG[task].reads == "texts":
        return np.concatenate([scored.each for scored in model.log_probabilities(X)])
    return np.concatenate([numbers_of(each) for each in model.scores(X)])


def numbers_of(output: Any) -> np.ndarray[Any, Any]:
    """Return the numbers of the output of an item: an array, or what a search found."""
    if isinstance(output, list):
        return np.concatenate([[*each.ids, each.score] for each in output])
    return np.ravel(output)


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {task: trained(task) for task in DATA}


def test_every_task_has_data() -> None:
    assert set(DATA) == set(OTHER) == set(CATALOG)


@pytest.mark.filterwarnings("ignore:.*texts cut at the limit:rekur.errors.DataWarning")
@tasks
def test_saved_is_loaded_and_runs_alike_without_the_network(task: str, models: dict[str, Any], tmp_path: Path) -> None:
    folder = models[task].save(tmp_path / "m")
    loaded, runtime = rekur.tasks.load(folder), rekur.load(folder)
    np.testing.assert_array_equal(outputs(loaded, task), outputs(models[task], task))
    np.testing.assert_allclose(outputs(runtime, task), outputs(models[task], task), rtol=1e-4, atol=1e-5)
    assert loaded.evaluate(*DATA[task]) == models[task].evaluate(*DATA[task])
    again = loaded.save(tmp_path / "again")
    for name in ("model.safetensors", "program.json", "features/features.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


@tasks
def test_one_seed_is_one_model(task: str, models: dict[str, Any]) -> None:
    np.testing.assert_array_equal(outputs(trained(task), task), outputs(models[task], task))
    assert not np.array_equal(outputs(trained(task, seed=1), task), outputs(models[task], task))


class Killed(BaseException):
    """Ends a training at once, as a signal does that cannot be caught."""


@tasks
def test_killed_and_resumed_is_uninterrupted(task: str, tmp_path: Path) -> None:
    corpus = corpus_of(task)
    whole = TASKS[task](**SMALL | {"epochs": 3}).fit_corpus(corpus)

    def kill(row: dict[str, Any]) -> bool:
        if row["epoch"] >= 2:
            raise Killed
        return False

    with closing(Checkpoints(tmp_path, every=1)) as checkpoints, pytest.raises(Killed):
        TASKS[task](**SMALL | {"epochs": 3}).fit_corpus(corpus, checkpoints=checkpoints, on_evaluation=kill)
    with closing(Checkpoints(tmp_path, every=1, resume=True)) as checkpoints:
        model = TASKS[task](**SMALL | {"epochs": 3}).fit_corpus(corpus, checkpoints=checkpoints)
    np.testing.assert_array_equal(outputs(model, task), outputs(whole, task))


def corpus_of(task: str) -> Any:
    if CATALOG[task].reads == "texts":
        return texts_in_memory([DATA[task][0]], name="X")
    return labelled(*DATA[task], kind={"tag": "words", "translate": "pairs", "forecast": "windows"}.get(task))


@tasks
def test_a_prediction_does_not_depend_on_others(task: str, models: dict[str, Any], tmp_path: Path) -> None:
    model = rekur.load(models[task].save(tmp_path / "m"))
    if CATALOG[task].reads == "texts":
        first, second = model.log_probabilities([TEXTS[0], TEXTS[5]])
        np.testing.assert_array_equal(first.each, model.log_probabilities(TEXTS[0])[0].each)
        np.testing.assert_array_equal(second.each, model.log_probabilities(TEXTS[5])[0].each)
        return
    X = DATA[task][0]
    for one, among_others in zip(X, model.scores(X), strict=True):
        alone = numbers_of(model.scores([one])[0])
        if CATALOG[task].target == "text":  # attention rounds by the number of rows
            np.testing.assert_allclose(alone, numbers_of(among_others), atol=1e-5)
        else:
            np.testing.assert_array_equal(alone, numbers_of(among_others))


@tasks
def test_features_and_target_are_learned_from_training_data_only(task: str) -> None:
    with_same, with_other = trained(task, DATA[task]), trained(task, OTHER[task])
    assert with_same.features_.to_dict() == with_other.features_.to_dict()
    same, other = with_same.target_.to_dict(), with_other.target_.to_dict()
    for described in (same, other):
        described.pop("offsets", None)  # validation corrects quantiles
    assert same == other


@pytest.mark.filterwarnings("ignore:.*cut at the limit of the length")
@tasks
def test_the_most_surely_wrong_comes_first(task: str, models: dict[str, Any], tmp_path: Path) -> None:
    model, corpus = rekur.load(models[task].save(tmp_path / "m")), corpus_of(task)
    errors, worst = (ErrorGallery(model.target_.errors, most) for most in (100_000, 3))
    for gallery in (errors, worst):
        model.evaluate_corpus(corpus, gallery)
    assert worst.rows() == errors.rows()[:3]
    assert worst.wrong == errors.wrong == len(errors.rows()) > 3
    for name in ("e.csv", "e.jsonl"):
        write_errors(tmp_path / name, errors, model, corpus)
    rows = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    severities = [row["severity"] for row in rows]
    assert severities == sorted(severities, reverse=True)
    assert severities[-1] > 0
    columns = list(rows[0])
    assert columns[:5] == ["severity", "item", "where", "input", "truth"]
    assert all(list(row) == columns and row["input"] and row["where"] for row in rows)
    with (tmp_path / "e.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == columns
    assert [row["item"] for row in table] == [str(row["item"]) for row in rows]


@tasks
def test_a_model_is_not_told_apart_from_itself(
    task: str, models: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = rekur.load(models[task].save(tmp_path / "m"))
    with pytest.raises(InputError, match="neither trained nor validated on"):
        compare_saved(["a", "b"], [model, model], [corpus_of(task), corpus_of(task)])
    monkeypatch.setattr(type(model), "sketch_", None)
    result = compare_saved(["a", "b"], [model, model], [corpus_of(task), corpus_of(task)])
    (pair,) = result.statistics.pairs
    assert (pair.difference, pair.p, pair.verdict) == (0, 1, "undecided")
    assert result.answer == "No model is shown to be best: a and b score alike."
    variant = result.statistics.variants[0]
    assert variant.mean == model.target_.score(model.records_of(corpus_of(task)))[model.target_.compares]
    assert variant.interval is not None
    assert variant.interval[0] <= variant.mean <= variant.interval[1]
