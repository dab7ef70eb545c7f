"""Every kind of target: records of parts are those of the whole, scores come from records, saved is as learned.

Axes: N items, K outputs, S numbers of a record.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.metrics import METRICS, SCHEMES
from rekur.targets import KINDS, LabelTarget, NumberTarget, TagsTarget, Target, TextTarget, restore_target


class Case(NamedTuple):
    """Labels of N items, and the target that they teach."""

    labels: list[Any]
    target: Target


def _classes(draw: np.random.Generator, count: int) -> Case:
    labels = ["good", "bad", "fair", *draw.choice(["good", "bad", "fair"], count).tolist()]
    return Case(labels, LabelTarget.learn(labels))


def _several(draw: np.random.Generator, count: int) -> Case:
    sets = [["a", "b", "c"], *[[name for name in "abc" if draw.random() < 0.4] for _ in range(count)]]
    return Case(sets, LabelTarget.learn(sets, multi_label=True))


def _numbers(draw: np.random.Generator, count: int) -> Case:
    values = [1.0, 2.0, *draw.normal(5, 3, count).tolist()]
    return Case(values, NumberTarget.learn(values))


def _tags(draw: np.random.Generator, count: int) -> Case:
    sentences = [["N", "V", "D"], *[draw.choice(["N", "V", "D"], draw.integers(0, 9)).tolist() for _ in range(count)]]
    return Case(sentences, TagsTarget.learn(sentences))


def _entities(scheme: str, *, exact: bool) -> Callable[[np.random.Generator, int], Case]:
    def make(draw: np.random.Generator, count: int) -> Case:
        sentences = [SCHEMES[scheme].tags([(0, 3, "A"), (3, 4, "A"), (5, 7, "B")], 8)]
        for length in draw.integers(0, 9, count):
            ends = np.unique(draw.integers(0, length + 1, 4)).tolist()
            spans = [(start, end, str(draw.choice(["A", "B"]))) for start, end in pairwise(ends) if draw.random() < 0.7]
            sentences.append(SCHEMES[scheme].tags(spans, length))
        return Case(sentences, TagsTarget.learn(sentences, exact=exact))

    return make


class _Letters:
    """Features of pairs whose target tokens are letters and blanks."""

    target_size = 10

    def transform_target(self, text: str) -> np.ndarray:
        return np.array([*(4 + " abcde".index(letter) for letter in text), 3], np.int64)

    def target_decoder(self) -> tuple[Callable[[Any], str], Callable[[], str]]:
        return lambda ids: "".join(" abcde"[number - 4] for number in ids), lambda: ""


def _texts(draw: np.random.Generator, count: int) -> Case:
    # with four tokens right nothing is smoothed, so that only ratios of weights count
    texts = ["a b c d e", *["".join(draw.choice([*" ab"], draw.integers(0, 12))) for _ in range(count)]]
    target = TextTarget.learn(texts)
    target.features = cast(Any, _Letters())
    return Case(texts, target)


#: name -> kind of target and what makes a case of it
CASES = {
    "classes": ("label", _classes),
    "several": ("label", _several),
    "numbers": ("number", _numbers),
    "texts": ("text", _texts),
    "tags": ("tags", _tags),
    "entities of BIO1": ("tags", _entities("BIO1", exact=False)),
    "entities of BIO2": ("tags", _entities("BIO2", exact=False)),
    "entities of BIO2, exact": ("tags", _entities("BIO2", exact=True)),
    "entities of BILOU": ("tags", _entities("BILOU", exact=False)),
    "entities of IO, exact": ("tags", _entities("IO", exact=True)),
}


def case(name: str, seed: int, count: int) -> tuple[Case, Any]:
    """Return a case and the outputs of its items: (N, K), or a list with (T, K) an item, or of texts (T,)."""
    draw = np.random.default_rng(seed)
    made = CASES[name][1](draw, count)
    if made.target.per_step:
        sizes = [(len(label), made.target.size) for label in made.labels]
        return made, [draw.normal(0, 2, size).astype(np.float32) for size in sizes]
    if made.target.ragged:
        first, *others = (made.target.encode(label)[:-1] for label in made.labels)
        return made, [first, *[np.where(draw.random(len(ids)) < 0.3, 5, ids)[draw.integers(0, 3) :] for ids in others]]
    return made, draw.normal(0, 2, (len(made.labels), made.target.size)).astype(np.float32)


def test_every_kind_has_a_case() -> None:
    # the records of the next token and of forecasts need contexts: test_next_laws.py, test_forecast_laws.py
    assert {kind for kind, _ in CASES.values()} | {"next", "distribution"} == set(KINDS)


each = pytest.mark.parametrize("name", CASES)
seeds = given(seed=st.integers(0, 2**31), count=st.integers(0, 40))


@each
@draws(25)
@seeds
def test_records_of_parts_are_those_of_the_whole(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    records = target.records(outputs, labels)
    assert len(records) == len(labels)
    cut = seed % (len(labels) + 1)
    parts = [target.records(outputs[part], labels[part]) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(np.concatenate(parts), records)
    for row in range(len(labels)):
        np.testing.assert_array_equal(
            target.records(outputs[row : row + 1], labels[row : row + 1]), records[row : row + 1]
        )


@each
@draws(25)
@seeds
def test_every_number_that_is_told_comes_from_the_score(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    records = target.records(outputs, labels)
    scores, report = target.score(records), target.report(records)
    assert {key: report[key] for key in scores} == scores
    assert report["items"] == len(labels)
    assert set(scores) <= set(METRICS)
    assert {target.decides, *target.followed} <= set(scores)
    shuffled = np.random.default_rng(seed).permutation(len(records))
    assert target.score(records[shuffled]) == pytest.approx(scores)
    twice = target.score(np.concatenate([records, records]))
    assert twice == pytest.approx(scores)
    for key in scores:
        interval = report.get(f"{key}_interval")
        assert interval is None or interval[0] <= interval[1]


@each
@draws(25)
@seeds
def test_a_weight_is_the_times_that_a_record_stands_there(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    records = target.records(outputs, labels)
    times = np.random.default_rng(seed).integers(0, 4, len(records))
    times[0] = 1
    repeated = target.score(np.repeat(records, times, axis=0))
    assert target.score(records, times.astype(np.float64)) == pytest.approx(repeated)
    assert target.score(records, 0.25 * times) == pytest.approx(repeated)  # only ratios count
    report = target.weighted_report(records, np.maximum(times, 0.5))
    assert report["weighted"] is True
    for key, score in target.score(records, np.maximum(times, 0.5)).items():
        assert report[key] == score
        low, high = report.get(f"{key}_interval") or (score, score)
        assert low <= high


@each
@draws(25)
@seeds
def test_one_item_is_read_as_many_are(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    encoded = target.encode_items(labels)
    for row, label in enumerate(labels):
        np.testing.assert_array_equal(target.encode(label), encoded[row])
        answer, presented = target.answer(outputs[row]), target.present(target.decode(outputs[row]))
        if target.per_step or target.ragged:
            assert answer == presented
            continue
        np.testing.assert_array_equal(target.decode(outputs[row]), target.decode(outputs)[row])
        assert answer == pytest.approx(presented) if isinstance(answer, float) else answer.label == presented.label
    assert len(target.values(outputs)) == len(labels)


@each
@draws(25)
@seeds
def test_the_stream_of_outputs_in_pieces_gives_the_prediction_of_the_whole(name: str, seed: int, count: int) -> None:
    (_, target), outputs = case(name, seed, count)
    draw = np.random.default_rng(seed)
    in_steps = target.per_step or target.ragged
    outputs = outputs[-1] if in_steps else outputs
    cuts = np.sort(draw.integers(0, len(outputs) + 1, 3))
    stream, pieces = target.stream(), []
    for piece in np.split(outputs, cuts):
        pieces.append(stream.push(piece, {"row": len(piece)})[0])
        state, stream = stream.get_state(), target.stream()
        stream.set_state(state)
    pieces.append(stream.finish()[0])
    whole = outputs if in_steps else outputs[-1]
    np.testing.assert_equal(target.join(pieces), target.decode(whole))


@each
@draws(25)
@seeds
def test_the_record_of_a_prediction_is_that_of_its_outputs(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    predictions = [target.decode(row) for row in outputs]
    records = target.records(outputs, labels, [None] * len(labels))
    np.testing.assert_array_equal(target.records_of_predictions(predictions, labels), records)
    for prediction, label, record in zip(predictions, labels, records, strict=True):
        np.testing.assert_array_equal(np.atleast_2d(target.record(prediction, label, None)), record[None])


@each
@draws(10)
@seeds
def test_saved_is_as_learned(name: str, seed: int, count: int) -> None:
    (labels, target), outputs = case(name, seed, count)
    saved = json.loads(json.dumps({"kind": target.kind, **target.to_dict()}))
    again = restore_target(saved, "")
    again.features = target.features
    assert type(again) is type(target)
    np.testing.assert_array_equal(again.records(outputs, labels), target.records(outputs, labels))
    assert (again.decides, again.followed, again.label_type) == (target.decides, target.followed, target.label_type)


@each
def test_perfect_outputs_have_perfect_scores(name: str) -> None:
    (labels, target), _ = case(name, 3, 30)
    encoded = target.encode_items(labels)
    outputs: Any
    if isinstance(target, NumberTarget):
        outputs = encoded[:, None]
    elif target.ragged:
        outputs = [encoded[row][:-1] for row in range(len(labels))]
    elif target.per_step:
        outputs = [np.eye(target.size)[encoded[row]] * 40 for row in range(len(labels))]
    elif encoded.ndim == 2:
        outputs = 40 * encoded - 20
    else:
        outputs = np.eye(target.size, dtype=np.float32)[encoded] * 40
    scores = target.score(target.records(outputs, labels))
    for key, value in scores.items():
        perfect = 100.0 if METRICS[key].unit == "points of 100" else 1.0
        if not key.startswith("distinct_"):  # which says nothing of references
            assert value == pytest.approx(perfect if METRICS[key].larger_is_better else 0.0, abs=1e-5), key
