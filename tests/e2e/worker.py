"""A small training to be killed, starved, or run beside others like it: ``python worker.py OPTIONS`` (JSON).

Forty steps on streams whose state is carried, with dropout, a running average and validation items of several
sizes. The first process writes what came of it to the file ``out``.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rekur.errors import RekurError
from rekur.train import Checkpoints, History, Silent, TrainOptions, train
from rekur.train.world import add_up, current

ROWS, STEPS, EPOCH, UNITS = 6, 40, 9, 8


class Network(nn.Module):
    """A recurrent step with dropout; the weights ``rare`` are used in some batches only."""

    partly_used = True

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Linear(3, UNITS), nn.Linear(UNITS, 1)
        self.rare, self.off = nn.Linear(3, 1), nn.Dropout(dropout)

    def forward(self, x: Tensor, state: Tensor, rare: bool = False) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.off(self.first(x)) + 0.5 * state)
        return (self.second(h) + self.rare(x) if rare else self.second(h)), h


class Streams:
    """Rows of the batch are shared out; each has targets or none, so that parts weigh differently."""

    monitor, larger_is_better, tolerance = "valid_loss", False, 0.0
    steps_per_epoch = evaluate_every = EPOCH

    def __init__(self, die_at: int = 0) -> None:
        place = current()
        each = ROWS // place.size
        self.own, self.place = slice(place.rank * each, (place.rank + 1) * each), place
        self.state: Tensor | None = None
        self.die_at, self.calls = die_at, 0

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        for number in range(start, self.steps_per_epoch):
            draw = torch.Generator().manual_seed(1000 * epoch + number)
            x = torch.randn(ROWS, 3, generator=draw, dtype=torch.float64)
            counts = torch.rand(ROWS, generator=draw, dtype=torch.float64) < 0.7
            counts[number % ROWS] = True
            yield x[self.own], counts[self.own], number

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        self.calls += 1
        if self.calls == self.die_at and self.place.rank == self.place.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        x, counts, number = batch
        x = x.to(next(model.parameters()).dtype)
        if number == 0 or self.state is None:
            self.state = x.new_zeros(len(x), UNITS)
        y, state = model(x, self.state, rare=number % 3 == 0)
        self.state = state.detach()
        errors = (y - x.sum(1, keepdim=True)).square().squeeze(1)
        return (errors * counts).sum() / counts.sum().clamp(min=1)

    def weight(self, batch: Any) -> float:
        return float(batch[1].sum())

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        x = torch.linspace(-1, 1, 21, dtype=next(model.parameters()).dtype).view(7, 3)[
            self.place.rank :: self.place.size
        ]
        y, _ = model(x, x.new_zeros(len(x), UNITS))
        errors = (y - x.sum(1, keepdim=True)).square()
        total = add_up(np.array([float(errors.sum()), len(errors)]))
        return {"valid_loss": float(total[0] / total[1])}

    def get_state(self) -> dict[str, Tensor]:
        return {} if self.state is None else {"h": self.state}

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.state = state.get("h")


class Listener(Silent):
    """Keeps what is said; takes its time at each step."""

    def __init__(self, pause: float) -> None:
        self.texts: list[str] = []
        self.pause = pause

    def step(self, done: int, loss: float) -> None:
        time.sleep(self.pause)

    def say(self, text: str) -> None:
        self.texts.append(text)


def run(
    out: str,
    folder: str | None = None,
    *,
    every: int = 1,
    resume: bool = False,
    dropout: float = 0.3,
    precision: str = "32-true",
    pause: float = 0.0,
    die_at: int = 0,
) -> None:
    """Train, and write what came of it."""
    torch.set_num_threads(1)
    model, history, listener = Network(dropout), History(), Listener(pause)
    checkpoints = None if folder is None else Checkpoints(folder, every=every, resume=resume)
    if checkpoints is not None:
        checkpoints.identify(task="test", model={"dropout": dropout}, options={"precision": precision}, data="")
    options = TrainOptions(
        steps=STEPS, learning_rate=0.03, average=0.9, patience=0, precision=precision, accelerator="cpu"
    )
    torch.manual_seed(1)
    result = train(model, Streams(die_at), options, history=history, reporter=listener, checkpoints=checkpoints)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]
    weights = b"".join(value.detach().numpy().tobytes() for value in model.state_dict().values())
    said = {"sha256": hashlib.sha256(weights).hexdigest(), "rows": rows, "stopped": result.stopped}
    if current().rank == 0:
        Path(out).write_text(json.dumps({**said, "texts": listener.texts}), encoding="utf-8")


if __name__ == "__main__":
    try:
        run(**json.loads(sys.argv[1]))
    except RekurError as error:
        sys.stderr.write(f"process {current().rank}: {error}\n")
        sys.exit(error.exit_code)
