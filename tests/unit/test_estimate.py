"""What a training will take is said before it starts, and the run that follows is the same as without."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rekur._memory import available_memory
from rekur.errors import InputError
from rekur.nn import Recurrent
from rekur.nn.stack import detach_state
from rekur.train import TrainOptions
from rekur.train import footprint as measured
from rekur.train.estimate import Estimate, check_weights, describe_estimate, estimate, refuse_what_cannot_fit
from rekur.train.footprint import Footprint, PeakMemory, first_rows, footprint
from rekur.train.optim import make_optimiser
from rekur.train.world import World

CPU = torch.device("cpu")
Batch = tuple[Tensor, bool]
GB = 1_000_000_000


class Model(nn.Module):
    def __init__(self, hidden_size: int = 16, cell: str = "gru") -> None:
        super().__init__()
        self.recurrent = Recurrent(cell, 4, hidden_size, num_layers=2, dropout=0.2)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        out = self.recurrent(x, state)
        return self.head(out.output), detach_state(out.state)


class Plan:
    """Chunks of a stream of noise, with a carried state and random numbers of every kind in the loss."""

    monitor, larger_is_better, tolerance = "valid_loss", False, 0.0

    def __init__(self, rows: int = 8, steps: int = 20, steps_per_epoch: int = 5) -> None:
        self.rows, self.steps = rows, steps
        self.steps_per_epoch = self.evaluate_every = steps_per_epoch
        self.state: Any = None
        self.taken = 0

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(epoch)
        for index in range(self.steps_per_epoch):
            yield torch.randn(self.rows, self.steps, 4, generator=generator), index == 0

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        x, first = batch
        self.taken += 1
        y, self.state = model(x, None if first else self.state)
        noise = random.random() + np.random.rand() + torch.rand(())
        return (y.mean(1) - x.mean((1, 2))[:, None] - 0.01 * noise).square().mean()

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        with torch.no_grad():
            return {"valid_loss": float(self.loss(model, next(self.batches(99))))}

    def get_state(self) -> dict[str, Tensor]:
        if self.state is None:
            return {}
        return {f"{n}": t for n, layer in enumerate(self.state) for direction in layer for t in direction}

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.state = tuple(((tensor,),) for tensor in state.values()) if state else None

    def largest_batch(self) -> tuple[int, int]:
        return self.rows, self.steps


def weights_after_steps(*, with_estimate: bool) -> list[Tensor]:
    """Train for some steps on a state half-way through an epoch."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    model, plan = Model(), Plan()
    options = TrainOptions(accelerator="cpu")
    plan.loss(model, next(plan.batches(3)))
    if with_estimate:
        found = estimate(model, plan, options)
        assert found.fits
        assert found.seconds is not None
    assert model.training
    optimiser = make_optimiser(model, options)
    for batch in plan.batches(4):
        plan.loss(model, (batch[0], False)).backward()
        optimiser.step()
        optimiser.zero_grad()
    return [*(p.detach() for p in model.parameters()), *plan.get_state().values()]


def test_a_run_after_an_estimate_is_the_same_bit_for_bit() -> None:
    plain, estimated = weights_after_steps(with_estimate=False), weights_after_steps(with_estimate=True)
    assert len(plain) == len(estimated)
    assert all(bool((a == b).all()) for a, b in zip(plain, estimated, strict=True))


def test_an_estimate_leaves_no_gradient_and_no_mode_behind() -> None:
    model, plan = Model().eval(), Plan()
    estimate(model, plan, TrainOptions(accelerator="cpu"))
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert plan.state is None


def test_few_steps_are_spent_on_a_run_that_is_short() -> None:
    plan = Plan(steps_per_epoch=40)
    estimate(Model(), plan, TrainOptions(epochs=1, accelerator="cpu"))
    assert plan.taken <= 8


def test_time_grows_with_the_steps_and_ends_at_the_limit() -> None:
    model = Model()
    few = estimate(model, Plan(), TrainOptions(epochs=2, accelerator="cpu")).seconds
    many = estimate(model, Plan(), TrainOptions(epochs=2000, accelerator="cpu")).seconds
    assert few is not None
    assert many is not None
    assert many > 100 * few
    assert estimate(model, Plan(), TrainOptions(epochs=2000, accelerator="cpu", time_limit=0.01)).seconds == 0.01


def test_peak_memory_is_what_lived_at_once() -> None:
    x = torch.ones(1000, requires_grad=True)
    with PeakMemory([x]) as peak:
        first = x * 2.0
        del first
        y = torch.ones(500)
        y.add_(1.0)
        y.view(5, 100)
    assert peak.bytes == 4000
    with PeakMemory([x]) as peak:
        (x * x).sum().backward()
    # the squares, their sum and the gradients of both: what the product keeps is x itself
    assert 8000 <= peak.bytes <= 16_100


def test_peak_memory_sees_hand_written_functions_and_their_backward_pass() -> None:
    model = Recurrent("lstm", 4, 32, scan="bptt")
    x = torch.randn(8, 50, 4)
    known = [*model.parameters(), x]
    with PeakMemory(known) as peak:
        y = model(x).output
    kept = 8 * 50 * 32 * 4 * (4 + 1 + 1 + 1)  # gates, cells, their tanh and outputs
    assert kept <= peak.bytes <= 1.5 * kept
    with PeakMemory([*known, y]) as back:
        y.sum().backward()
    assert back.bytes >= 8 * 50 * 32 * 4 * 4  # the gradients of the gates


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru", "slstm"])
def test_memory_of_few_rows_and_steps_foretells_that_of_many(cell: str) -> None:
    torch.manual_seed(0)
    model, plan = Model(32, cell), Plan(rows=24, steps=60)
    options = TrainOptions(accelerator="cpu")
    found = footprint(model, plan, options, CPU)
    x, first = next(plan.batches(1))
    with PeakMemory([*model.parameters(), x]) as peak:
        plan.loss(model, (x, first)).backward()
    in_step = found.fixed + found.rows * found.row - measured.BUFFERS
    weights = sum(p.numel() * 4 for p in model.parameters())
    # the optimiser's two, weights and those two again to go back to, the best weights, and the weights themselves
    expected = measured.MARGIN * (peak.bytes + 7 * weights)
    assert in_step == pytest.approx(expected, rel=0.1)


def test_an_average_and_several_processes_take_memory_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    weights = sum(p.numel() * 4 for p in model.parameters())
    plain = measured.copies(model, TrainOptions())
    assert plain == 8 * weights
    assert measured.copies(model, TrainOptions(average=0.9)) == 9 * weights
    monkeypatch.setattr(measured, "current", lambda: World(0, 2, 2))
    assert measured.copies(model, TrainOptions()) == 9 * weights


def test_rows_are_cut_from_whatever_a_batch_is_made_of() -> None:
    batch = {"x": torch.arange(12).view(4, 3), "more": (torch.arange(4), torch.zeros(()), "name", True)}
    cut = first_rows(batch, 2)
    assert cut["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert cut["more"][0].tolist() == [0, 1]
    assert cut["more"][1:] == (torch.zeros(()), "name", True)


def of_size(monkeypatch: pytest.MonkeyPatch, taken: Footprint, free: int | None) -> Estimate:
    """Return the estimate of a run of that size on a machine with so much free."""
    monkeypatch.setattr("rekur.train.estimate.footprint", lambda *_: taken)
    monkeypatch.setattr("rekur.train.estimate.available", lambda _: free)
    return estimate(Model(), Plan(), TrainOptions(accelerator="cpu"))


def test_what_cannot_fit_is_refused_with_the_batch_size_that_would(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_size(monkeypatch, Footprint(512, 20_000, 1 * GB, GB // 10, 1 * GB), 23 * GB)
    assert found.seconds is None
    with pytest.raises(InputError) as error:
        refuse_what_cannot_fit(found)
    assert str(error.value) == (
        "memory: got about 52.2 GB for batch_size 512 × 20 000 steps; "
        "expected at most 23.0 GB, what this machine has free. batch_size=220 would fit."
    )
    refuse_what_cannot_fit(of_size(monkeypatch, Footprint(220, 20_000, 1 * GB, GB // 10, 1 * GB), 23 * GB))


def test_where_no_batch_is_small_enough_the_steps_that_would_fit_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_size(monkeypatch, Footprint(2, 1_000_000, 1 * GB, 40 * GB, 1 * GB), 21 * GB)
    with pytest.raises(InputError) as error:
        refuse_what_cannot_fit(found, steps_option="chunk_length")
    assert str(error.value) == (
        "memory: got about 81.0 GB for batch_size 2 × 1 000 000 steps; expected at most 21.0 GB, what this machine "
        "has free. Even batch_size=1 would not fit; chunk_length=500000 with batch_size=1 would."
    )
    with pytest.raises(InputError, match="items of 500000 steps with batch_size=1 would"):
        refuse_what_cannot_fit(found, steps_option="")


def test_where_nothing_helps_but_a_smaller_model_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_size(monkeypatch, Footprint(2, 100, 30 * GB, GB, 1 * GB), 21 * GB)
    with pytest.raises(InputError) as error:
        refuse_what_cannot_fit(found)
    assert str(error.value) == (
        "memory: got about 32.0 GB for batch_size 2 × 100 steps; expected at most 21.0 GB, what this machine "
        "has free. No batch is small enough: make the model smaller."
    )


def test_what_is_not_known_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_size(monkeypatch, Footprint(2, 100, 30 * GB, GB, 1 * GB), None)
    refuse_what_cannot_fit(found)
    assert found.seconds is not None
    assert describe_estimate(found).endswith("and 32.0 GB of memory")


def test_weights_that_cannot_fit_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(hidden_size: int) -> nn.Module:
        layers = Recurrent("lstm", 8, hidden_size)
        assert all(p.is_meta for p in layers.parameters())
        return layers

    monkeypatch.setattr("rekur.train.estimate.available", lambda _: 21 * GB)
    options = TrainOptions(accelerator="cpu")
    with pytest.raises(InputError) as error:
        check_weights(make, 1_000_000, options)
    assert str(error.value) == (
        "memory: got about 128,001.3 GB for the weights of hidden_size 1000000 and the copies that training keeps; "
        "expected at most 21.0 GB, what this machine has free. hidden_size=12694 would fit."
    )
    check_weights(make, 12_694, options)


# ── what is free ─────────────────────────────────────────────────────────────────────────────────────────────────


def machine(folder: Path, *, free: int, group: str = "", limit: str = "unlimited") -> Path:
    """Write what a machine with so many free kilobytes says of a process in a control group."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemFree: 5 kB\nMemAvailable: {free} kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(group)
    (folder / "proc" / "self" / "limits").write_text(
        f"Limit                     Soft Limit           Hard Limit           Units\n"
        f"Max address space         {limit}            unlimited            bytes\n"
    )
    (folder / "proc" / "self" / "statm").write_text("10 5 1 1 0 1 0\n")
    return folder


def free_of(folder: Path) -> int | None:
    return available_memory(proc=folder / "proc", cgroups=folder / "cgroup")


def write_group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


def test_the_machine_says_what_is_free(tmp_path: Path) -> None:
    assert free_of(machine(tmp_path, free=1000)) == 1_024_000


def test_a_container_of_control_groups_two_is_the_limit(tmp_path: Path) -> None:
    machine(tmp_path, free=1_000_000, group="0::/job/step\n")
    write_group(tmp_path / "cgroup" / "job" / "step", {"memory.max": "max", "memory.current": "5"})
    stat = "anon 100\ninactive_file 2000\nactive_file 3"
    write_group(tmp_path / "cgroup" / "job", {"memory.max": "90000", "memory.current": "12000", "memory.stat": stat})
    assert free_of(tmp_path) == 90_000 - 12_000 + 2000


def test_a_container_of_control_groups_one_is_the_limit(tmp_path: Path) -> None:
    # the path is the host's, which the container does not see: its own group stands at the root
    machine(tmp_path, free=1_000_000, group="5:cpu,cpuacct:/x\n4:memory:/docker/abc\n")
    files = {"memory.limit_in_bytes": "70000", "memory.usage_in_bytes": "80000", "memory.stat": "total_inactive_file 1"}
    write_group(tmp_path / "cgroup" / "memory", files)
    assert free_of(tmp_path) == 0


def test_a_limit_on_addresses_is_the_limit(tmp_path: Path) -> None:
    machine(tmp_path, free=1_000_000, limit="100000")
    assert free_of(tmp_path) == 100_000 - 10 * 4096


def test_a_system_that_says_nothing_is_not_guessed(tmp_path: Path) -> None:
    assert free_of(tmp_path) is None
