"""Long recordings: what is run in chunks is what the whole gives, and memory does not grow with the recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import rekur
from rekur.data import EncodedItems, LengthBuckets, Ragged, pieces
from rekur.data.pieces import Lanes, Part
from rekur.models import TaggerSpec, build_tagger
from rekur.models.batch import Batch
from rekur.models.tagger import TagsHead
from rekur.targets import TagsTarget
from rekur.tasks import load
from rekur.tasks.base.plan import Measure, Monitor
from rekur.tasks.base.stream_plan import StreamPlan

OPTIONS: dict[str, Any] = {"hidden_size": 8, "projection_size": 0, "num_layers": 1, "dropout": 0.0, "steps": 20}


def recording(steps: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return rows of numbers with a class for each, which lasts for fifty steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(steps) // 50 % 3
    rows = rng.standard_normal((steps, 2), dtype=np.float32)
    rows += labels[:, None]
    return rows, labels


@pytest.mark.parametrize("options", [{}, {"look_ahead": 3}, {"kernel_size": 3}, {"look_ahead": 2, "num_layers": 2}])
def test_a_causal_model_in_chunks_is_the_whole(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = recording(3000)
    model = rekur.Tagger(bidirectional=False, chunk_length=50, **{**OPTIONS, **options}).fit([X], [y])
    model.save(tmp_path / "m")
    engine, network = rekur.load(tmp_path / "m"), load(tmp_path / "m")
    whole, records = network.predict([X]), network.evaluate([X], [y])
    assert engine.predict([X]) == whole
    for at_once, chunk in ((500, 128), (2999, 97)):
        monkeypatch.setattr(pieces, "CHUNK", chunk)
        for module in ("rekur.runtime.model", "rekur.tasks.base.plan"):
            monkeypatch.setattr(f"{module}.LONG", at_once)
        for other in (engine, network):
            np.testing.assert_allclose(other.scores([X])[0], model.scores([X])[0], atol=1e-5)
            assert other.predict([X]) == whole
            assert other.evaluate([X], [y]) == records


def test_a_model_that_reads_from_both_ends_reads_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    X, y = recording(3000)
    model = rekur.Tagger(chunk_length=100, **OPTIONS).fit([X], [y])
    model.save(tmp_path / "m")
    engine, whole = rekur.load(tmp_path / "m"), model.scores([X])[0]
    monkeypatch.setattr(pieces, "CHUNK", 700)
    for module in ("rekur.runtime.model", "rekur.tasks.base.plan"):
        monkeypatch.setattr(f"{module}.LONG", 700)
    for other in (model, engine):
        np.testing.assert_allclose(other.scores([X])[0], whole, atol=1e-4)  # a margin of 1,024 steps is far enough


@pytest.mark.parametrize("options", [{}, {"kernel_size": 4}, {"look_ahead": 2}])
def test_a_carried_state_gives_what_the_whole_gives(options: dict[str, Any]) -> None:
    spec = TaggerSpec(input_size=2, cell="lstm", hidden_size=6, output_size=3, **options)
    network = build_tagger(spec, seed=0).eval()
    torch.nn.init.normal_(network.head.weight)
    x, lengths = torch.randn(2, 20, 2), torch.tensor([20, 20])
    whole, late, state, parts = network.outputs(Batch.of(x, lengths)), spec.look_ahead, None, []
    for start in range(0, 20, 7):
        steps = x[:, start : start + 7]
        begins = torch.tensor([start == 0] * 2)
        batch = Batch.of(steps, torch.tensor([steps.shape[1]] * 2))._replace(state=(begins, state))
        out, _, state = network(batch)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts, 1)[:, late:], whole[:, : 20 - late])
    # a row that begins anew does not see what came before
    batch = Batch.of(x[:, :5], torch.tensor([5, 5]))._replace(state=(torch.tensor([True, False]), state))
    again, _, _ = network(batch)
    torch.testing.assert_close(again[0, late:], whole[0, : 5 - late])
    assert not torch.allclose(again[1, late:], whole[1, : 5 - late])


def test_lanes_hold_every_step_once() -> None:
    lengths = np.array([130, 7, 64, 1, 300])
    lanes = Lanes(lengths, count=3, chunk=16, seed=1)
    for epoch in (1, 2):
        seen = [np.zeros(length, int) for length in lengths]
        chunks = list(lanes.epoch(epoch))
        assert len(chunks) == len(lanes)
        for before, chunk in zip([None, *chunks], chunks, strict=False):
            for lane, (part, begins) in enumerate(chunk):
                seen[part.item][part.start : part.start + part.length] += 1
                if not begins:  # it goes on where the chunk before ended
                    assert before is not None
                    earlier = before[lane][0]
                    assert (earlier.item, earlier.start + earlier.length) == (part.item, part.start)
        assert all((each == 1).all() for each in seen)
    assert [part for part, _ in next(lanes.epoch(1, 3))] == [part for part, _ in list(lanes.epoch(1))[3]]


def stream_plan(network: Any, lane_count: int) -> tuple[StreamPlan, Lanes]:
    """Return a plan for lanes of a short recording, and the lanes."""
    rows, labels = recording(60)
    target = TagsTarget.learn([labels], plain=True)
    steps, classes = Ragged.from_iter([rows]), Ragged.from_iter([target.encode(labels)])
    items = EncodedItems({"steps": steps}, classes, np.arange(1), [labels])
    network.criterion = TagsHead(target.size)
    lanes = Lanes(steps.lengths, count=lane_count, chunk=10, seed=0)
    how: dict[str, Any] = {"monitor": Monitor("valid_loss", False, 0.0), "batches": LengthBuckets(steps.lengths, 1)}
    late, layout = network.spec.look_ahead, network.state_layout()
    measure = Measure(network.criterion, target)
    return StreamPlan(measure, items, items, lanes=lanes, late=late, layout=layout, **how), lanes


@pytest.mark.parametrize("options", [{}, {"look_ahead": 2, "kernel_size": 3}])
def test_a_process_whose_lanes_have_ended_gives_every_weight_a_gradient(options: dict[str, Any]) -> None:
    spec = TaggerSpec(input_size=2, cell="gru", hidden_size=4, output_size=2, **options)
    network = build_tagger(spec, seed=0)
    plan, lanes = stream_plan(network, 2)
    ended = [(Part(0, 0, 0), True)] * 2
    lanes.epoch = lambda epoch, start=0: iter([ended])  # type: ignore[method-assign]
    loss = plan.loss(network, next(plan.batches(1)))
    loss.backward()
    assert loss.item() == 0
    assert all(weight.grad is not None for weight in network.parameters())


def test_a_step_without_a_label_has_the_value_that_the_target_states() -> None:
    network = build_tagger(TaggerSpec(input_size=2, cell="gru", hidden_size=4, output_size=2, look_ahead=2), seed=0)
    plan, _ = stream_plan(network, 2)
    values = np.arange(120, dtype=np.float32).reshape(60, 2)
    plan._train.targets = Ragged.from_iter([values])
    plan.measure = cast(Any, SimpleNamespace(target=SimpleNamespace(no_target=np.nan)))
    targets = next(plan.batches(1)).targets
    assert targets is not None
    assert targets.shape == (2, 10, 2)
    assert torch.isnan(targets[0, :2]).all()
    np.testing.assert_array_equal(targets[0, 2:], values[:8])
    plan.measure.target.no_target = None
    with pytest.raises(TypeError, match="states what stands for none"):
        next(plan.batches(1))


def test_the_state_of_other_lanes_is_not_carried_on() -> None:
    network = build_tagger(TaggerSpec(input_size=2, cell="lstm", hidden_size=4, output_size=2), seed=0)
    torch.nn.init.normal_(network.head.weight)
    plan, other = stream_plan(network, 2)[0], stream_plan(network, 3)[0]
    first, second, *_ = plan.batches(1)
    plan.loss(network, first)
    state = {name: rows.clone() for name, rows in plan.get_state().items()}
    carried = plan.loss(network, second)
    plan.set_state(state)
    assert torch.equal(plan.loss(network, second), carried)
    other.set_state(state)
    assert other.get_state() == {}
    other.loss(network, next(other.batches(1, 1)))


_MEASURED = """
import json, resource, sys
import numpy as np
import rekur
steps, causal = int(sys.argv[1]), sys.argv[2] == "causal"
labels = np.arange(steps) // 50 % 3
rows = np.random.default_rng(0).standard_normal((steps, 2), dtype=np.float32)
rows += labels[:, None].astype(np.float32)
model = rekur.Tagger(hidden_size=8, steps=200, bidirectional=not causal).fit([rows], [labels])
(tags,) = model.predict([rows])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"peak": peak, "right": sum(map(int.__eq__, tags, labels.tolist())) / steps}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["causal", "both"])
def test_memory_does_not_grow_with_the_recording(direction: str) -> None:
    peaks = []
    for steps in (50_000, 5_000_000):
        command = [sys.executable, "-c", _MEASURED, str(steps), direction]
        told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert told["right"] > 0.8
        peaks.append(told["peak"])
    assert peaks[1] - peaks[0] < 400
