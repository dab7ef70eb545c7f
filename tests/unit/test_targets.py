"""A target with one output a step gets encoding, decoding and records of many items from the base class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rekur import Regressor
from rekur.data import Corpus, EncodedItems, Ragged
from rekur.errors import InputError
from rekur.features import Encoded, SeriesFeatures
from rekur.targets import KINDS, Target, TargetStream, join_contexts
from rekur.targets.step_classes import class_records, class_report, class_scores


class Signs(Target):
    """The sign of each step; the words of the context are shown beside it, one output later than they come."""

    kind = "signs"
    per_step = True
    decides = "accuracy"
    followed = ("accuracy",)
    size = 1

    @classmethod
    def learn(cls, labels: Sequence[Any], features: Any = None, **options: Any) -> Self:
        return cls()

    def encode(self, label: Any, context: Any = None) -> Any:
        if context is not None and len(context) != len(label):
            raise InputError(f"label: got {len(label)} signs; expected {len(context)}, one a step.")
        return np.array(label, np.float32)

    def stream(self) -> TargetStream:
        return _Late()

    def present(self, prediction: Any, context: Any = None) -> Any:
        return list(zip(prediction, context, strict=True)) if context else prediction

    def record(self, prediction: Any, label: Any, context: Any = None) -> Any:
        hits = sum(ours == theirs for ours, theirs in zip(prediction, label, strict=True))
        return np.array([hits, len(label)])

    def score(self, records: Any) -> dict[str, float]:
        return {"accuracy": float(records[:, 0].sum() / records[:, 1].sum())}

    def report(self, records: Any) -> dict[str, Any]:
        return {"items": len(records), **self.score(records)}

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        return cls()


class _Late(TargetStream):
    """Holds the newest sign back until the next one."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def push(self, outputs: Any, context: Any = None) -> tuple[Any, Any]:
        signs = [*self._held, *np.sign(outputs[:, 0]).astype(int).tolist()]
        self._held = signs[-1:]
        return signs[:-1], None

    def finish(self) -> tuple[Any, Any]:
        return self._held, None

    def get_state(self) -> dict[str, Any]:
        return {"held": self._held}

    def set_state(self, state: dict[str, Any]) -> None:
        self._held = list(state["held"])


OUTPUTS = [np.array([[1.0], [-2.0], [3.0]]), np.array([[-1.0]])]
LABELS = [[1, -1, -1], [-1]]


def test_the_prediction_of_steps_is_all_that_the_stream_gives() -> None:
    target = Signs()
    assert target.decode(OUTPUTS[0]) == [1, -1, 1]
    assert target.answer(OUTPUTS[0], ["a", "b", "c"]) == [(1, "a"), (-1, "b"), (1, "c")]
    assert target.values(OUTPUTS) == [[1, -1, 1], [-1]]


def test_records_of_steps_are_one_row_an_item() -> None:
    records = Signs().records(OUTPUTS, LABELS)
    assert records.tolist() == [[2, 3], [1, 1]]
    assert records.dtype == np.float64


def test_labels_of_steps_are_ragged_and_read_their_context() -> None:
    target = Signs()
    encoded = target.encode_items(LABELS, [["a", "b", "c"], ["d"]])
    assert isinstance(encoded, Ragged)
    assert encoded[0].tolist() == [1, -1, -1]
    with pytest.raises(InputError, match=r"line 2: label: got 1 signs; expected 2, one a step\."):
        target.encode_items(LABELS, [["a", "b", "c"], ["d", "e"]], "file", lambda row: f"line {row + 1}")
    target.check_labels(LABELS, "file")


def test_pieces_are_joined() -> None:
    target = Signs()
    assert target.join([None, [1], None, [2, 3]]) == [1, 2, 3]
    assert target.join(["a", "b"]) == "ab"
    assert target.join([1.0, None, 2.0]) == 2.0
    assert target.join([None]) is None
    assert join_contexts(None, ["a"]) == ["a"]
    assert join_contexts({"scale": 1}, {"scale": 2}) == {"scale": 2}


def test_a_prediction_that_differs_from_its_label_is_an_error() -> None:
    (row,) = Signs().errors([1, -1], [1, 1])
    assert (row.severity, row.cells()) == (1.0, {"truth": [1, 1], "prediction": Signs().present([1, -1])})
    assert list(Signs().errors([1, 1], Signs().present([1, 1]))) == []


class Marked(SeriesFeatures):
    """Series with two inputs and a word for each step."""

    def encode(self, item: Any) -> Encoded:
        steps = self.transform(item)
        return Encoded({"steps": steps, "ids": np.arange(2 * len(steps)).reshape(-1, 2)}, [f"{row}" for row in steps])


def test_a_corpus_is_encoded_with_all_inputs_and_contexts() -> None:
    series = [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]]
    corpus = Corpus.from_lists(series, None)
    features = Marked().fit(corpus.items())
    inputs, contexts = corpus.encode(features)
    assert list(inputs) == ["steps", "ids"]
    assert inputs["ids"][2].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert [len(context) for context in contexts] == [2, 1, 3]
    plain, nothing = corpus.encode(SeriesFeatures().fit(corpus.items()))
    assert list(plain) == ["steps"]
    assert nothing == [None] * 3
    blocks = list(corpus.blocks(features, 2))
    assert [len(part) for _, part in blocks] == [2, 1]
    np.testing.assert_array_equal(blocks[1][0]["ids"].values, inputs["ids"][2])


def test_encoded_items_have_ragged_targets_and_every_input_in_their_fingerprint() -> None:
    steps = Ragged.from_iter([np.array([5, 6]), np.array([7])])
    targets = Ragged.from_iter([np.array([1, 0]), np.array([1])])
    items = EncodedItems({"steps": steps, "more": steps}, targets, np.array([1, 0]), ["b", "a"], [["x", "y"], ["z"]])
    assert items.truth.tolist() == [1, 1, 0]
    assert items.contexts_of(items.rows) == [["z"], ["x", "y"]]
    assert items.lengths.tolist() == [1, 2]
    other = Ragged.from_iter([np.array([5, 6]), np.array([8])])
    changed = EncodedItems({"steps": steps, "more": other}, targets, items.rows)
    assert changed.fingerprint() != items.fingerprint()
    assert changed.contexts_of(items.rows) == [None, None]


def test_a_network_of_one_row_an_item_is_refused_for_a_target_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model(Regressor):
        target = "signs"

        def make_head(self, target: Target, train_set: EncodedItems) -> Any:
            raise AssertionError("refused before any plan is made")

    monkeypatch.setitem(KINDS, "signs", Signs)
    series = [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]] * 4
    labels = [[1, 1], [1], [1, 1, 1]] * 4
    with pytest.raises(InputError, match="network: got one row of outputs an item; expected one output a step"):
        Model(hidden_size=4).fit_corpus(Corpus.from_lists(series, labels))


def test_the_interval_of_macro_f1_of_few_long_items_counts_their_steps():
    random = np.random.default_rng(0)
    truth = [random.integers(0, 2, 500) for _ in range(12)]
    guesses = [np.where(random.random(500) < 0.02, 1 - each, each) for each in truth]
    records = np.concatenate([class_records(*each, 2) for each in zip(guesses, truth, strict=True)])
    report = class_report(records, ["left", "right"])
    low, high = report["macro_f1_interval"]
    assert report["macro_f1"] == pytest.approx(report["accuracy"], abs=0.002)
    assert (low, high) == pytest.approx(report["accuracy_interval"], abs=0.01)
    assert low > 0.95


def _runs(*runs: tuple[int, int]) -> Any:
    """Return the classes of steps from (class, number of steps)."""
    return np.repeat([each for each, _ in runs], [count for _, count in runs])


@pytest.mark.parametrize(
    ("guess", "truth", "counts"),
    [
        (_runs((0, 10), (1, 10)), _runs((0, 10), (1, 10)), (2, 2, 2)),
        (_runs((0, 13), (1, 7)), _runs((0, 10), (1, 10)), (2, 2, 2)),  # 10 of 13 and 7 of 10 are shared
        (_runs((0, 15), (1, 5)), _runs((0, 10), (1, 10)), (1, 2, 2)),  # half of the steps is not more than half
        (_runs((0, 4), (1, 1), (0, 5), (1, 10)), _runs((0, 10), (1, 10)), (1, 4, 2)),  # a run in pieces
        (_runs((0, 3)), _runs((-1, 3)), (0, 1, 1)),
        (_runs((0, 0)), _runs((0, 0)), (0, 0, 0)),
    ],
)
def test_events_are_right_where_they_share_more_than_half(guess: Any, truth: Any, counts: tuple[int, ...]) -> None:
    records = class_records(guess, truth, 2)
    assert tuple(records[:, :3].sum(axis=0).astype(int)) == counts
    right, predicted, true = counts
    expected = {"event_f1": 2 * right / (predicted + true)} if predicted else {}
    assert {name: value for name, value in class_scores(records).items() if name == "event_f1"} == expected


def test_events_count_in_the_stretch_where_they_start() -> None:
    truth = _runs((0, 9000), (1, 12000), (0, 4000))
    records = class_records(truth, truth, 2)
    assert records.shape[0] == 25
    assert {row: records[row, :3].tolist() for row in records[:, :3].any(axis=1).nonzero()[0].tolist()} == {
        row: [1, 1, 1] for row in (0, 9, 21)
    }


@pytest.mark.parametrize(("steps", "count"), [(0, 1), (100, 1), (101, 2), (1999, 20), (2001, 20), (30_000, 30)])
def test_a_short_recording_has_short_stretches(steps: int, count: int) -> None:
    assert len(class_records(np.zeros(steps, np.int64), np.zeros(steps, np.int64), 1)) == count


def test_a_single_short_recording_has_an_interval_that_tells_something() -> None:
    truth = _runs(*((number % 2, 45) for number in range(20)))
    guess = np.where(np.random.default_rng(0).random(900) < 0.05, 1 - truth, truth)
    low, high = class_report(class_records(guess, truth, 2), ["a", "b"])["accuracy_interval"]
    assert low > 0.9
    assert high < 0.98


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=40), st.data())
def test_events_are_matched_as_pairs_of_runs(truth: list[int], data: st.DataObject) -> None:
    guess = data.draw(st.lists(st.integers(0, 2), min_size=len(truth), max_size=len(truth)))

    def runs(numbers: list[int]) -> list[tuple[int, set[int]]]:
        edges = [0, *(step for step in range(1, len(numbers)) if numbers[step] != numbers[step - 1]), len(numbers)]
        return [(numbers[start], set(range(start, end))) for start, end in itertools.pairwise(edges)]

    pairs = [
        (a, b)
        for a, first in runs(guess)
        for b, second in runs(truth)
        if a == b and 2 * len(first & second) > len(first | second)
    ]
    record = class_records(np.array(guess), np.array(truth), 3)[0, :3].astype(int).tolist()
    assert record == [len(pairs), len(runs(guess)), len(runs(truth))]
