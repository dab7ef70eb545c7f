"""Length by steps, evaluations between epochs, pruning, checkpoints that do not fit, and the place among processes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.unit.test_train import Line, line_model, options
from torch import nn

from rekur.data import EncodedItems, Ragged
from rekur.errors import CheckpointError, InputError
from rekur.train import Checkpoints, History, Lines, Silent, train
from rekur.train.world import World, add_up, by_first, current, gather, is_loss


def go(folder: Path, model: nn.Module, plan: Line, *, resume: bool = False, stop: int = 0, **changes: Any) -> Any:
    """Train with checkpoints; the step ``stop`` is interrupted."""
    plan.interrupt_at = 0
    checkpoints = Checkpoints(folder, every=5, resume=resume)
    checkpoints.identify(
        task="t", model={"hidden_size": 4}, options={"steps": changes.get("steps", 0), "batch_size": 2}, data="d"
    )
    history, said = History(folder.with_name("history")), Said()
    if stop:
        plan.interrupt_at = plan.calls + stop
    try:
        return train(model, plan, options(**changes), history=history, reporter=said, checkpoints=checkpoints), said
    finally:
        checkpoints.close()


class Said(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        self.texts.append(text)


# ── length, evaluations, pruning ─────────────────────────────────────────────────────────────────────────────────


def test_steps_bound_the_run_and_carry_the_schedule() -> None:
    plan, history = Line(steps=8), History()
    result = train(line_model(), plan, options(steps=20, epochs=1), history=history)
    assert (result.stopped, plan.calls) == ("finished", 20)
    assert [(row["epoch"], row["step"]) for row in history.rows] == [(1, 8), (2, 16), (3, 20)]
    assert history.rows[-1]["learning_rate"] < 0.01 * history.rows[0]["learning_rate"] + 1e-3


def test_evaluations_between_the_ends_of_epochs() -> None:
    plan, history = Line(steps=10), History()
    plan.evaluate_every = 4
    train(line_model(), plan, options(epochs=2), history=history)
    assert [(row["epoch"], row["step"]) for row in history.rows] == [(1, 4), (1, 8), (2, 12), (2, 16), (2, 20)]


def test_evaluations_rarer_than_epochs() -> None:
    plan, history = Line(steps=4), History()
    plan.evaluate_every = 10
    train(line_model(), plan, options(epochs=4), history=history)
    assert [(row["epoch"], row["step"]) for row in history.rows] == [(3, 10), (4, 16)]


def test_patience_counts_evaluations() -> None:
    plan = Line(steps=10)
    plan.evaluate_every = 3
    plan.evaluate = lambda model: {"valid_loss": 1.0}  # type: ignore[method-assign]
    result = train(line_model(), plan, options(epochs=50, patience=2))
    assert (result.stopped, plan.calls) == ("no better score", 9)


def test_who_is_told_of_an_evaluation_can_end_the_run() -> None:
    rows: list[dict[str, Any]] = []

    def third(row: dict[str, Any]) -> bool:
        rows.append(row)
        return len(rows) == 3

    history = History()
    result = train(line_model(), Line(), options(), history=history, on_evaluation=third)
    assert (result.stopped, result.best_epoch) == ("pruned", 3)
    assert rows == history.rows


@pytest.mark.parametrize(("every", "name"), [(20, "epoch   2"), (8, "step     40")])
def test_an_evaluation_is_named_by_its_epoch_or_its_step(every: int, name: str) -> None:
    out, plan = io.StringIO(), Line()
    plan.evaluate_every = every
    train(line_model(), plan, options(epochs=2), reporter=Lines(Console(file=out, width=200)))
    lines = out.getvalue().splitlines()
    assert len(lines) == 40 // every
    assert lines[-1].startswith(f"{name}  train loss ")


@pytest.mark.parametrize("evaluations", [24, 25, 100, 1000])
def test_of_many_evaluations_some_twenty_are_told_of_and_the_last(evaluations: int) -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200))
    lines.start(5 * evaluations, evaluations, by_epoch=False)
    for n in range(1, evaluations + 1):
        row = {"epoch": 1, "step": 5 * n, "valid_loss": 0.5, "seconds": 0.0}
        lines.evaluated(row, best=False)
    told = out.getvalue().splitlines()
    assert 12 <= len(told) <= 25
    assert told[-1].startswith(f"step {5 * evaluations:>6}")


# ── going on ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_history_on_the_disk_goes_back_to_the_checkpoint(tmp_path: Path) -> None:
    go(tmp_path / "run", line_model(), Line(steps=6), stop=20)
    file = tmp_path / "history" / "history.jsonl"
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [6, 12, 18]
    with file.open("a") as out:
        out.write('{"step": 1')
    assert (tmp_path / "run" / "step-00000015").is_dir()
    go(tmp_path / "run", line_model(), Line(steps=6), resume=True)
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [6, 12, 18, 24, 30]


def test_a_board_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    history = History(tmp_path, tensorboard=True)
    history.add({"epoch": 1, "step": 5, "valid_loss": 0.5})
    history.add({"epoch": 2, "step": 10, "valid_loss": 0.4})
    history.restore(history.rows[:1])
    history.add({"epoch": 2, "step": 10, "valid_loss": 0.3})
    history.close()
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, round(e.value, 3)) for e in events.Scalars("valid_loss")] == [(5, 0.5), (10, 0.3)]


def test_time_that_was_spent_before_counts(tmp_path: Path) -> None:
    model, plan = line_model(), Line(steps=10)
    go(tmp_path, model, plan, stop=13, time_limit=100.0)
    newest = Checkpoints(tmp_path, resume=True)
    found = newest.newest()
    assert found is not None
    found.state["seconds"] = 99.99
    newest.save(12, found.state, found.tensors)
    newest.close()
    result, _ = go(tmp_path, line_model(), Line(steps=10**6), resume=True, time_limit=100.0)
    assert result.stopped == "time limit"
    assert 100.0 <= result.seconds < 110.0


def test_nothing_to_go_on_with_is_said(tmp_path: Path) -> None:
    _, said = go(tmp_path, line_model(), Line(), resume=True)
    assert said.texts == ["No checkpoint was written yet: training begins anew."]


def test_other_options_are_refused(tmp_path: Path) -> None:
    go(tmp_path, line_model(), Line(), steps=30)
    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, line_model(), Line(), resume=True, steps=50)
    assert str(caught.value) == (
        f"{tmp_path}/step-00000025, options: got steps 50; expected 30, as it was begun. "
        "Give the original options, or begin anew in another folder."
    )


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Linear(1, 2), "weights weight: got shape (2, 1); expected shape (1, 1)"),
        (nn.Linear(1, 1, bias=False), "weights bias: got none; expected shape (1,)"),
    ],
)
def test_another_model_is_refused(model: nn.Module, text: str, tmp_path: Path) -> None:
    go(tmp_path, line_model(), Line())
    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, model, Line(), resume=True)
    assert str(caught.value) == (
        f"model, {text}, as it was begun. Give the model of then, or begin anew in another folder."
    )


@pytest.mark.parametrize("number", [1, 3])
def test_a_checkpoint_of_another_format_is_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr("rekur.train.checkpoint.FORMAT", number)
        other.setattr("rekur.train.checkpoint.__version__", "9.9")
        go(tmp_path, line_model(), Line())
    from rekur import __version__

    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, line_model(), Line(), resume=True)
    assert str(caught.value) == (
        f"{tmp_path}/step-00000095: got a checkpoint of format {number}, by Rekur 9.9; expected format 2, which Rekur "
        f"{__version__} reads. Resume with the version that began the run, or begin anew."
    )


def test_begun_anew_the_checkpoints_of_before_go(tmp_path: Path) -> None:
    go(tmp_path, line_model(), Line(), steps=90)
    go(tmp_path, line_model(), Line(), steps=9)
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000005"]


def test_the_newest_is_the_one_of_the_largest_number(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (99_999_998, 99_999_999, 100_000_000):
        checkpoints.save(step, {"step": step}, {"x": torch.zeros(1)})
    found = checkpoints.newest()
    checkpoints.close()
    assert found is not None
    assert found.state["step"] == 100_000_000
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-100000000", "step-99999999"]


def test_tensors_that_share_memory_are_kept_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    given = {"whole": whole, "again": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {}, given)
    found = checkpoints.newest()
    checkpoints.close()
    assert found is not None
    assert {name: value.tolist() for name, value in found.tensors.items()} == {
        name: value.tolist() for name, value in given.items()
    }


def test_how_often_must_be_a_whole_number(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Checkpoints(tmp_path, every=-1)
    assert str(caught.value) == "every: got -1; expected a whole number of 0 or more."


def test_without_a_number_they_come_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("rekur.train.checkpoint.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path)
    due = []
    for seconds in (60.0, 59.0, 1.0):
        now[0] += seconds
        due.append(checkpoints.due(1))
    checkpoints.save(1, {}, {})
    due.append(checkpoints.due(2))
    checkpoints.close()
    assert due == [False, False, True, False]


# ── data ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fingerprint_sees_every_value_and_the_order() -> None:
    def of(items: list[list[int]], targets: list[int], rows: list[int]) -> str:
        steps = Ragged.from_iter(np.array(item, dtype=np.int32) for item in items)
        return EncodedItems({"steps": steps}, np.array(targets), np.array(rows)).fingerprint()

    base = of([[1, 2], [3]], [0, 1], [0, 1])
    assert of([[1, 2], [3]], [0, 1], [0, 1]) == base
    others = [
        of([[1, 4], [3]], [0, 1], [0, 1]),
        of([[1], [2, 3]], [0, 1], [0, 1]),
        of([[1, 2], [3]], [0, 0], [0, 1]),
        of([[1, 2], [3]], [0, 1], [1, 0]),
        of([[1, 2], [3]], [0, 1], [0]),
    ]
    assert len({base, *others}) == 6


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, World(0, 1, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, World(0, 1, 1)),
        (
            {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"},
            World(3, 8, 4),
        ),
        (
            {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"},
            World(5, 8, 4),
        ),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_JOB_NAME": "interactive"}, World(0, 1, 1)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "train"}, World(0, 1, 1)),
    ],
)
def test_the_place_is_what_the_launcher_says(
    variables: dict[str, str], place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert current() == place
    assert current().machines == -(-place.size // place.local)


def test_alone_nothing_is_exchanged() -> None:
    values, tensors = np.array([1.0, 2.0]), {"x": torch.ones(1)}
    assert add_up(values) is values
    assert gather(tensors) == [tensors]
    assert by_first(lambda: 3) == 3
    with pytest.raises(InputError):
        by_first(_refuse)


def _refuse() -> None:
    raise InputError("no")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("[/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:21043"), True),
        (RuntimeError("Timed out waiting 1800000ms for recv operation to complete"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted on rank 0"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), False),
        (CheckpointError("the connection of layers is another"), False),
    ],
)
def test_what_is_the_loss_of_a_worker(error: Any, lost: bool) -> None:
    assert is_loss(error) is lost
