"""A target of steps is trained and evaluated in batches: ragged outputs, records of items, and several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rekur.data import EncodedItems, LengthBuckets, Ragged
from rekur.models import Batch, ItemNetwork
from rekur.models.heads import LabelHead, StepsHead
from rekur.targets import Target, TargetStream
from rekur.tasks.base import plan as plans
from rekur.tasks.base.plan import FitPlan, Measure, Monitor, run
from rekur.train import TrainOptions, train
from rekur.train.footprint import first_rows, shape_of
from rekur.train.world import World


class Parity(Target):
    """Whether each number is odd; one record for each two steps of an item."""

    kind = "parity"
    per_step = True
    decides = "accuracy"
    followed = ("accuracy",)
    size = 2

    @classmethod
    def learn(cls, labels: Sequence[Any], features: Any = None, **options: Any) -> Self:
        return cls()

    def encode(self, label: Any, context: Any = None) -> Any:
        return np.array(label, np.int32)

    def stream(self) -> TargetStream:
        return _Largest()

    def present(self, prediction: Any, context: Any = None) -> Any:
        return prediction

    def record(self, prediction: Any, label: Any, context: Any = None) -> Any:
        assert context == label
        hits = np.array([ours == theirs for ours, theirs in zip(prediction, label, strict=True)], float)
        ends = range(0, len(label), 2)
        return np.array([[hits[end : end + 2].sum(), len(hits[end : end + 2])] for end in ends]).reshape(-1, 2)

    def score(self, records: Any) -> dict[str, float]:
        return {"accuracy": float(records[:, 0].sum() / records[:, 1].sum())}

    def report(self, records: Any) -> dict[str, Any]:
        return self.score(records)

    def to_dict(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        return cls()


class _Largest(TargetStream):
    def push(self, outputs: Any, context: Any = None) -> tuple[Any, Any]:
        return outputs.argmax(axis=1).tolist(), None

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass


class Network(ItemNetwork):
    """Embeds both columns of each step and scores it."""

    per_step = True

    def __init__(self, *, packed: bool) -> None:
        super().__init__()
        self._packed, self.table, self.head = packed, nn.Embedding(12, 8), nn.Linear(8, 2)

    def outputs(self, batch: Batch) -> Tensor:
        assert batch.steps.dtype == torch.int64
        scores: Tensor = self.head(self.table(batch.steps).sum(2))
        if not self._packed:
            return scores
        real = torch.arange(scores.shape[1]) < batch.lengths[:, None]
        return scores[real]


def items(count: int, seed: int = 0) -> EncodedItems:
    draw = np.random.default_rng(seed)
    numbers = [draw.integers(2, 12, int(draw.integers(1, 7))).astype(np.int32) for _ in range(count)]
    steps = Ragged.from_iter([np.column_stack([row, np.full_like(row, 1)]) for row in numbers])
    labels = [(row % 2).tolist() for row in numbers]
    return EncodedItems({"steps": steps}, Parity().encode_items(labels), np.arange(count), labels, labels)


def plan_of(network: Network, train_set: EncodedItems, valid_set: EncodedItems) -> FitPlan:
    network.criterion = StepsHead(LabelHead(2))
    measure = Measure(network.criterion, Parity())
    batches = LengthBuckets(train_set.lengths, 8)
    return FitPlan(measure, train_set, valid_set, monitor=Monitor("valid_accuracy", True, 0.0), batches=batches)


@pytest.mark.parametrize("packed", [False, True])
def test_columns_of_ids_with_a_label_a_step_are_learned(packed: bool) -> None:
    torch.manual_seed(0)
    network, valid_set = Network(packed=packed), items(30, seed=1)
    plan = plan_of(network, items(100), valid_set)
    train(network, plan, TrainOptions(epochs=15, learning_rate=0.03))
    assert plan.evaluate(network)["valid_accuracy"] == 1.0
    outputs = run(network, valid_set)
    assert [len(rows) for rows in outputs] == valid_set.lengths.tolist()
    measured = plan.measured(network)
    assert measured.terms[:, 1].tolist() == valid_set.lengths.tolist()
    for item in (0, 17):
        rows = measured.records[measured.items == item]
        label = valid_set.labels[item]
        np.testing.assert_array_equal(rows, Parity().records([outputs[item]], [label], [label]))


def test_processes_gather_records_by_the_number_of_their_item(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network, train_set, valid_set = Network(packed=False).eval(), items(20), items(7, seed=2)
    whole = plan_of(network, train_set, valid_set).measured(network)
    assert len(whole.records) == sum(-(-length // 2) for length in valid_set.lengths)
    for size in (2, 3, 9):  # of nine processes two have no item
        parts: list[Any] = []

        def keep(part: Any, parts: list[Any] = parts) -> list[Any]:
            parts.append(part)
            return [part or parts[0]]

        monkeypatch.setattr(plans, "gather", keep)
        for rank in range(size):
            monkeypatch.setattr(plans, "current", lambda rank=rank, size=size: World(rank, size))
            plan_of(network, train_set, valid_set).measured(network)
        monkeypatch.setattr(plans, "gather", lambda part, parts=parts: parts)
        joined = plan_of(network, train_set, valid_set).measured(network)
        np.testing.assert_array_equal(joined.items, whole.items)
        np.testing.assert_array_equal(joined.records, whole.records)
        np.testing.assert_allclose(joined.terms, whole.terms, rtol=1e-6)  # the sums of a batch depend on its size


def test_the_weight_of_a_batch_is_its_number_of_real_steps() -> None:
    train_set = items(5)
    plan = plan_of(Network(packed=False), train_set, train_set)
    (batch,) = plan.batches(1)
    assert plan.weight(batch) == int(train_set.lengths.sum())
    assert shape_of(batch) == (5, int(train_set.lengths.max()))
    first = first_rows(batch, 2)
    assert isinstance(first, Batch)
    assert first.targets is not None
    assert [len(first.steps), len(first.lengths), len(first.targets)] == [2, 2, 2]
