"""Threads of a training sleep while they wait where other processes want the processors, and only there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch

from rekur import _kernels
from rekur._cgroups import processor_quota
from rekur.train import waiting
from rekur.train.waiting import Waiting


class Kernels:
    """Records what the kernels are told."""

    def __init__(self, has_openmp: bool = True) -> None:
        self.told: list[bool] = []
        self._has_openmp = has_openmp

    def spin_briefly(self, briefly: bool) -> bool:
        self.told.append(briefly)
        return self._has_openmp


class Machine:
    """A clock and a scheduler that are set by hand."""

    def __init__(self, path: Path) -> None:
        self.path, self.now, self.delay = path, 100.0, 0.0
        self.write()

    def write(self) -> None:
        self.path.write_text(f"123 {int(1e9 * self.delay)} 45\n", encoding="ascii")

    def pass_time(self, seconds: float, waited: float) -> None:
        self.now, self.delay = self.now + seconds, self.delay + waited
        self.write()


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    fake = Kernels()
    monkeypatch.setattr(waiting, "kernels", fake)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path / "schedstat")
    monkeypatch.setattr(waiting, "_SCHEDULER", machine.path)
    monkeypatch.setattr(time, "monotonic", lambda: machine.now)
    return machine


def test_threads_sleep_while_others_want_the_processors(kernels: Kernels, machine: Machine) -> None:
    with Waiting() as threads:
        machine.pass_time(0.5, waited=0.001)
        threads.look()
        assert kernels.told == []
        machine.pass_time(0.5, waited=0.3)
        threads.look()
        assert kernels.told == [True]
        machine.pass_time(0.9, waited=0.0)
        threads.look()
        assert kernels.told == [True], "a short calm changes nothing"
        machine.pass_time(0.5, waited=0.0)
        threads.look()
        assert kernels.told == [True, False]
        machine.pass_time(0.5, waited=0.4)
        threads.look()
    assert kernels.told == [True, False, True, False], "as before after the training"


def test_looks_come_at_intervals(kernels: Kernels, machine: Machine) -> None:
    with Waiting() as threads:
        machine.pass_time(0.05, waited=0.05)
        threads.look()
        assert kernels.told == []
        threads.look(interval=0.0)
        assert kernels.told == [True]


def test_what_the_user_chose_stays(kernels: Kernels, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with Waiting() as threads:
        machine.pass_time(1.0, waited=0.9)
        threads.look()
    assert kernels.told == []


def test_a_system_that_says_nothing_is_left_alone(kernels: Kernels, machine: Machine) -> None:
    machine.path.unlink()
    with Waiting() as threads:
        machine.now += 1.0
        threads.look()
    assert kernels.told == []


def test_without_openmp_nobody_is_told_twice(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Kernels(has_openmp=False)
    monkeypatch.setattr(waiting, "kernels", fake)
    with Waiting() as threads:
        for _ in range(3):
            machine.pass_time(1.0, waited=0.9)
            threads.look()
    assert fake.told == [True]


@pytest.mark.parametrize(("chosen", "inside"), [(None, 1), ("3", 3)])
def test_a_quota_limits_the_threads_of_a_training(
    chosen: str | None, inside: int, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "processors", lambda: 1)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Waiting():
            assert torch.get_num_threads() == inside
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("line", "files", "quota"),
    [
        ("0::/job/step", {"cpu.max": "max 100000", "job/cpu.max": "150000 100000"}, 2),
        ("0::/job/step", {"job/step/cpu.max": "300000 100000", "job/cpu.max": "100000 100000"}, 1),
        ("0::/hidden/by/a/container", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("4:cpu,cpuacct:/box", {"cpu/box/cpu.cfs_quota_us": "250000", "cpu/box/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu:/box", {"cpu/box/cpu.cfs_quota_us": "-1", "cpu/box/cpu.cfs_period_us": "100000"}, None),
        ("4:cpu:/box", {"cpu/box/cpu.cfs_quota_us": "100000", "cpu/box/cpu.cfs_period_us": "0"}, None),
    ],
)
def test_a_quota_is_the_least_of_all_groups(
    line: str, files: dict[str, str], quota: int | None, tmp_path: Path
) -> None:
    proc, cgroups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(line + "\n", encoding="ascii")
    (cgroups / "job" / "step").mkdir(parents=True)
    for name, text in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
    assert processor_quota(proc=proc, cgroups=cgroups) == quota


@pytest.mark.skipif(_kernels.kernels is None, reason="installed without the compiled kernels")
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc/self/task")
def test_the_threads_that_make_others_sleep_end_when_told() -> None:
    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    torch.ones(10**6).exp_()
    before = threads()
    assert _kernels.kernels.spin_briefly(True)
    deadline = time.monotonic() + 20
    while threads() <= before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() > before
    assert _kernels.kernels.spin_briefly(False)
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == before
