"""Law 5: a run that is stopped anywhere and gone on with equals the run that was not, to the last bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws
from torch import Tensor, nn

from rekur.errors import CheckpointError, LockedError
from rekur.train import Checkpoints, History, Silent, TrainOptions, TrainResult, train


class Carrying(nn.Module):
    """A small network with dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.off = nn.Linear(3, 5), nn.Linear(5, 1), nn.Dropout(0.3)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.off(self.first(x)) + 0.5 * state)
        return self.second(h), h


class Streams:
    """A plan whose state goes from batch to batch; the batch ``bad`` has a loss that is not finite."""

    monitor, larger_is_better, tolerance = "valid_loss", False, 0.0

    def __init__(self, steps: int, every: int, bad: int = -1) -> None:
        self.steps_per_epoch, self.evaluate_every, self.bad = steps, every, bad
        self.state: Tensor | None = None

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for number in range(start, self.steps_per_epoch):
            draw = torch.Generator().manual_seed(1000 * epoch + number)
            spoilt = epoch == 1 and number == self.bad
            yield torch.randn(4, 3, generator=draw) * (float("nan") if spoilt else 1), number == 0

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        x, first = batch
        y, state = model(x, torch.zeros(4, 5) if first or self.state is None else self.state)
        self.state = state.detach()
        return (y - x.sum(1, keepdim=True)).square().mean()

    def weight(self, batch: Any) -> float:
        return 4.0

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        x = torch.linspace(-1, 1, 12).view(4, 3)
        y, _ = model(x, torch.zeros(4, 5))
        return {"valid_loss": float((y - x.sum(1, keepdim=True)).square().mean())}

    def get_state(self) -> dict[str, Tensor]:
        return {} if self.state is None else {"h": self.state}

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.state = state.get("h")


class StopAt(Silent):
    """Asks for a stop as Ctrl-C does, after a number of steps."""

    def __init__(self, step: int, monkey: pytest.MonkeyPatch | None = None) -> None:
        self.at = step
        self.texts: list[str] = []

    def step(self, done: int, loss: float) -> None:
        if done == self.at:
            import signal

            signal.raise_signal(signal.SIGINT)

    def say(self, text: str) -> None:
        self.texts.append(text)


def digest(model: nn.Module) -> str:
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.state_dict().values())).hexdigest()


def options(**changes: Any) -> TrainOptions:
    usual = {"epochs": 3, "learning_rate": 0.05, "average": 0.9, "patience": 0, "accelerator": "cpu"}
    return TrainOptions(**{**usual, **changes})


def go(
    folder: Path | None,
    *,
    resume: bool = False,
    stop: int = 0,
    every: int = 0,
    plan: dict[str, Any],
    identity: dict[str, Any] | None = None,
    accept: bool = False,
    **changes: Any,
) -> tuple[str, list[dict[str, Any]], TrainResult, list[str]]:
    torch.manual_seed(0)
    model, history, listener = Carrying(), History(), StopAt(stop)
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(folder, every=every, resume=resume, accept_changed_data=accept)
        checkpoints.identify(**(identity or {"task": "t", "model": {}, "options": {}, "data": "d"}))
    torch.manual_seed(1)
    try:
        result = train(
            model, Streams(**plan), options(**changes), history=history, reporter=listener, checkpoints=checkpoints
        )
    finally:
        if checkpoints is not None:
            checkpoints.close()
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]
    return digest(model), rows, result, listener.texts


@draws(25)
@given(
    stop=st.integers(1, 20),
    again=st.integers(1, 20),
    every=st.sampled_from([0, 1, 3, 7]),
    steps=st.integers(1, 7),
    evaluate_every=st.integers(1, 9),
    bad=st.sampled_from([-1, 2]),
)
def test_stopped_and_gone_on_with_equals_uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
    stop: int,
    again: int,
    every: int,
    steps: int,
    evaluate_every: int,
    bad: int,
) -> None:
    plan = {"steps": steps, "every": evaluate_every, "bad": bad}
    expected = go(None, plan=plan)
    folder = tmp_path_factory.mktemp("run")
    first = go(folder, stop=stop, every=every, plan=plan)
    if first[2].stopped != "interrupted":
        assert first[:2] == expected[:2]
        return
    second = go(folder, resume=True, stop=again if again > stop else 0, every=every, plan=plan)
    if second[2].stopped == "interrupted":
        second = go(folder, resume=True, every=every, plan=plan)
    assert second[:2] == expected[:2]
    assert dataclasses.replace(second[2], seconds=0) == dataclasses.replace(expected[2], seconds=0)


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(tmp_path: Path) -> None:
    plan = {"steps": 5, "every": 5}
    expected = go(None, plan=plan)
    go(tmp_path, stop=7, every=2, plan=plan)
    newest = sorted(tmp_path.glob("step-*"))[-1] / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-10])
    resumed = go(tmp_path, resume=True, plan=plan)
    assert resumed[:2] == expected[:2]
    assert resumed[3][0] == (
        "warning: step-00000007 is damaged (tensors.safetensors was changed or cut off); the one before it is used."
    )
    assert resumed[3][1] == "Going on after step 6 of 15."


def test_when_all_are_damaged_it_is_an_error(tmp_path: Path) -> None:
    plan = {"steps": 5, "every": 5}
    go(tmp_path, stop=4, plan=plan)
    (tmp_path / "step-00000004" / "state.json").write_text("{")
    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, resume=True, plan=plan)
    assert str(caught.value).startswith(f"{tmp_path}: got 1 damaged checkpoints (step-00000004 is damaged (")
    assert str(caught.value).endswith("expected one that is whole. Begin anew.")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"task": "regress"},
            "task: got 'regress'; expected 't', as it was begun. Give the folder of a run of this task.",
        ),
        (
            {"model": {"hidden_size": 8}},
            "model: got hidden_size 8; expected None, as it was begun. "
            "Give the original options, or begin anew in another folder.",
        ),
    ],
)
def test_another_run_is_refused(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    plan = {"steps": 5, "every": 5}
    go(tmp_path, stop=4, plan=plan)
    identity = {"task": "t", "model": {}, "options": {}, "data": "d", **change}
    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, resume=True, plan=plan, identity=identity)
    assert str(caught.value) == f"{tmp_path / 'step-00000004'}, {text}"


def test_changed_data_are_refused_unless_accepted(tmp_path: Path) -> None:
    plan = {"steps": 5, "every": 5}
    go(tmp_path, stop=4, plan=plan)
    identity = {"task": "t", "model": {}, "options": {}, "data": "other"}
    with pytest.raises(CheckpointError) as caught:
        go(tmp_path, resume=True, plan=plan, identity=identity)
    assert str(caught.value) == (
        f"{tmp_path / 'step-00000004'}: got other training or validation data; expected those it was begun with. "
        "Give the original data; or accept the change (--accept-changed-data), which starts the data again."
    )
    result = go(tmp_path, resume=True, plan=plan, identity=identity, accept=True)
    assert "warning: the data are not those of the checkpoint; their epoch begins anew." in result[3]


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    import os

    held = Checkpoints(tmp_path)
    with pytest.raises(LockedError) as caught:
        Checkpoints(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: got a folder in which process {os.getpid()} is training; expected one that is free. "
        "Wait until it has ended, or choose another folder."
    )
    held.close()
    Checkpoints(tmp_path).close()


def test_two_are_kept_and_nothing_else_is_left(tmp_path: Path) -> None:
    go(tmp_path, every=1, plan={"steps": 5, "every": 5})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-00000013", "step-00000014"]
    for path in tmp_path.glob("step-*"):
        assert sorted(file.name for file in path.iterdir()) == ["state.json", "tensors.safetensors"]
        json.loads((path / "state.json").read_text())
