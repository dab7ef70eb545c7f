"""Runs that are killed, starved of disk space or asked to end: what is on the disk is whole, and goes on exactly."""

from __future__ import annotations

import errno
import json
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.e2e import worker
from tests.e2e.conftest import dead_path, environment

from rekur.errors import CheckpointError, LockedError, SaveError
from rekur.train import Checkpoints, History, TrainOptions, TrainResult, train

ROOT = Path(__file__).parents[2]
OPTIONS = TrainOptions(steps=worker.STEPS, learning_rate=0.03, average=0.9, patience=0, accelerator="cpu")


class At(worker.Listener):
    """Does something after one of the steps."""

    def __init__(self, step: int, act: Any) -> None:
        super().__init__(0.0)
        self.at, self.act = step, act

    def step(self, done: int, loss: float) -> None:
        if done == self.at:
            self.act()


def fit(folder: Path | None, listener: Any = None, **how: Any) -> tuple[worker.Network, TrainResult]:
    """Train the network of the worker in this process."""
    import torch

    model = worker.Network(0.3)
    torch.manual_seed(1)
    checkpoints = None if folder is None else Checkpoints(folder, **how)
    try:
        result = train(model, worker.Streams(), OPTIONS, reporter=listener, checkpoints=checkpoints)
    finally:
        if checkpoints is not None:
            checkpoints.close()
    return model, result


def same(one: worker.Network, other: worker.Network) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(a.equal(b) for a, b in pairs)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ── killed ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_it_ends_as_if_nothing_had_happened(seed: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.nursery", str(tmp_path), str(seed)]
    done = subprocess.run(
        command, capture_output=True, cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)), timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["kills"] >= 12  # were it fewer, little would have been tried
    assert said["stations"] >= 4
    for killed, left in zip(said["killed"], said["left"], strict=True):
        assert killed["sha256"] == said["whole"]["sha256"]
        assert killed["rows"] == said["whole"]["rows"]
        # the last kill may have come before the oldest was removed; nothing half-written is there in any case
        assert left in (
            ["step-00000038", "step-00000039"],
            ["step-00000037", "step-00000038", "step-00000039"],
        )


def test_what_a_kill_leaves_half_written_is_cleared_away(tmp_path: Path) -> None:
    fit(tmp_path, every=7)
    (tmp_path / ".step-00000036.partial-00ff").mkdir()
    (tmp_path / ".step-00000036.partial-00ff" / "tensors.safetensors").write_bytes(b"half")
    fit(tmp_path, every=7, resume=True)
    assert names(tmp_path) == ["step-00000028", "step-00000035"]


def test_a_checkpoint_that_a_killed_process_moved_aside_is_put_back(tmp_path: Path) -> None:
    fit(tmp_path, every=15)
    (tmp_path / "step-00000030").rename(dead_path(tmp_path / "step-00000030", "old"))
    listener = At(1, lambda: None)
    fit(tmp_path, listener, every=15, resume=True)
    assert listener.texts[0] == "Going on after step 30 of 40."
    assert names(tmp_path) == ["step-00000015", "step-00000030"]


# ── damaged ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "tensors.safetensors").write_bytes(b""),
        lambda folder: (folder / "tensors.safetensors").unlink(),
        lambda folder: (folder / "state.json").write_text("", encoding="utf-8"),
        lambda folder: (folder / "state.json").write_text('{"state": 3, "sha256": "x"}', encoding="utf-8"),
        lambda folder: (folder / "state.json").write_bytes(b"\xff\xfe\x00"),
        lambda folder: flip_bit(folder / "tensors.safetensors"),
        lambda folder: flip_bit(folder / "state.json"),
    ],
    ids=["empty", "gone", "no state", "another state", "no text", "one bit of the tensors", "one bit of the state"],
)
def test_a_damaged_one_is_passed_over_said_and_removed(damage: Any, tmp_path: Path) -> None:
    expected, _ = fit(None)
    stop = At(20, lambda: signal.raise_signal(signal.SIGTERM))
    assert fit(tmp_path, stop, every=6)[1].stopped == "interrupted"
    assert names(tmp_path) == ["step-00000018", "step-00000020"]
    damage(tmp_path / "step-00000020")
    listener = At(19, lambda: None)
    model, _ = fit(tmp_path, listener, every=50, resume=True)
    assert same(model, expected)
    assert listener.texts[0].startswith("warning: step-00000020 is damaged (")
    assert listener.texts[0].endswith("); the one before it is used.")
    assert listener.texts[1] == "Going on after step 18 of 40."
    fit(tmp_path, At(30, lambda: signal.raise_signal(signal.SIGTERM)), every=50, resume=True)
    assert names(tmp_path) == ["step-00000018", "step-00000030"]


def test_a_damaged_one_is_replaced_and_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    fit(tmp_path, At(20, lambda: signal.raise_signal(signal.SIGTERM)), every=6)
    (tmp_path / "step-00000020" / "tensors.safetensors").write_bytes(b"")
    (tmp_path / "step-00000020" / "note.txt").write_text("mine")
    listener = At(29, lambda: signal.raise_signal(signal.SIGTERM))
    fit(tmp_path, listener, every=10, resume=True)
    assert not any("could not be written" in text for text in listener.texts)
    assert names(tmp_path) == ["step-00000020", "step-00000029"]
    assert names(tmp_path / "step-00000020") == ["note.txt", "state.json", "tensors.safetensors"]


def test_where_all_are_damaged(tmp_path: Path) -> None:
    fit(tmp_path, every=15)
    for path in tmp_path.glob("step-*"):
        (path / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        fit(tmp_path, resume=True)
    assert str(caught.value) == (
        f"{tmp_path}: got 2 damaged checkpoints (step-00000030 is damaged (tensors.safetensors was changed or cut off"
        "); step-00000015 is damaged (tensors.safetensors was changed or cut off)); expected one that is whole. "
        "Begin anew."
    )


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "step-00000003").mkdir()
    (tmp_path / "step-00000003" / "model.pt").write_bytes(b"of another program")
    fit(tmp_path, At(7, lambda: (tmp_path / "step-00000006" / "note.txt").write_text("mine")), every=6)
    assert names(tmp_path) == ["step-00000003", "step-00000006", "step-00000030", "step-00000036"]
    assert names(tmp_path / "step-00000003") == ["model.pt"]
    assert names(tmp_path / "step-00000006") == ["note.txt"]


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


# ── no room ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_training_goes_on_although_the_disk_is_full(tmp_path: Path) -> None:
    expected, _ = fit(None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Full(At):
        """Lets a file have no more than so many bytes after step 14, and ends the run after step 28."""

        def step(self, done: int, loss: float) -> None:
            super().step(done, loss)
            if done == 28:
                signal.raise_signal(signal.SIGTERM)

    listener = Full(14, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1])))
    try:
        _, result = fit(tmp_path, listener, every=5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result.stopped == "interrupted"
    assert listener.texts == [
        f"warning: {tmp_path}: checkpoint: got 'File too large'; expected a folder with room that can be written. "
        "The newest checkpoint is step-00000010. Training goes on."
    ]
    assert names(tmp_path) == ["step-00000005", "step-00000010"]
    model, _ = fit(tmp_path, every=5, resume=True)
    assert same(model, expected)


@pytest.mark.parametrize("where", ["rekur.train.checkpoint.save_file", "rekur._files.flush"])
def test_no_room_for_any_checkpoint(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, full)
    listener = At(1, lambda: None)
    model, result = fit(tmp_path, listener, every=5)
    assert (result.stopped, same(model, fit(None)[0])) == ("finished", True)
    assert listener.texts == [
        f"warning: {tmp_path}: checkpoint: got 'No space left on device'; expected a folder with room that can be "
        "written. There is no checkpoint yet. Training goes on."
    ]
    assert names(tmp_path) == []


def test_no_room_for_the_history(tmp_path: Path) -> None:
    history, listener = History(tmp_path), At(1, lambda: None)
    (tmp_path / "history.jsonl").symlink_to("/dev/full")
    result = train(worker.Network(0.0), worker.Streams(), OPTIONS, history=history, reporter=listener)
    assert result.stopped == "finished"
    assert len(history.rows) == -(-worker.STEPS // worker.EPOCH)
    text = f"warning: {tmp_path}/history.jsonl: got 'No space left on device'; expected a place that can be written."
    assert listener.texts == [f"{text} Make room, or choose another folder. Training goes on."]


def test_a_run_that_has_ended_is_held_until_it_is_saved(tmp_path: Path) -> None:
    """What comes after training, such as saving the model, can fail: then nothing has to be trained again."""
    model, checkpoints = worker.Network(0.3), Checkpoints(tmp_path)
    train(model, worker.Streams(), OPTIONS, checkpoints=checkpoints, on_evaluation=lambda row: row["step"] == 18)
    assert names(tmp_path) == ["lock"]
    checkpoints.keep()
    checkpoints.close()
    assert names(tmp_path) == ["step-00000018"]
    again, history = worker.Network(0.7), History()
    checkpoints = Checkpoints(tmp_path, resume=True)
    ended = train(again, worker.Streams(), OPTIONS, history=history, checkpoints=checkpoints)
    checkpoints.close()
    assert (ended.stopped, same(again, model)) == ("pruned", True)
    assert [row["step"] for row in history.rows] == [9, 18]


# ── asked to end ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("saves", [True, False])
def test_a_signal_ends_after_the_step_and_handlers_come_back(number: int, saves: bool, tmp_path: Path) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    stop = At(13, lambda: signal.raise_signal(number))
    _, result = fit(tmp_path if saves else None, stop)
    assert (result.stopped, result.best_epoch) == ("interrupted", 1)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    if saves:
        assert names(tmp_path) == ["step-00000013"]
        assert same(fit(tmp_path, resume=True)[0], fit(None)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_the_system_sends_twice_is_one_request(number: int, tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)

    assert fit(tmp_path, At(13, twice))[1].stopped == "interrupted"
    assert names(tmp_path) == ["step-00000013"]


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
    try:
        assert fit(None, At(13, lambda: signal.raise_signal(signal.SIGHUP)))[1].stopped == "finished"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_interrupts_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, At(13, twice), every=10)
    assert names(tmp_path) == ["step-00000010"]


def test_a_handler_of_the_program_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    try:
        _, result = fit(None, At(13, lambda: signal.raise_signal(signal.SIGTERM)))
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (result.stopped, told) == ("interrupted", [signal.SIGTERM] * 2)


def test_in_another_thread_signals_are_left_alone() -> None:
    handler, results = signal.getsignal(signal.SIGTERM), []
    seen: list[Any] = []
    thread = threading.Thread(
        target=lambda: results.append(fit(None, At(13, lambda: seen.append(signal.getsignal(signal.SIGTERM))))[1])
    )
    thread.start()
    thread.join()
    assert results[0].stopped == "finished"
    assert seen == [handler]


# ── two at once ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from rekur.train.lock import FolderLock; "
        f"lock = FolderLock(pathlib.Path({str(tmp_path)!r})); print('held', flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockedError) as caught:
            Checkpoints(tmp_path)
        child.kill()
    assert str(caught.value) == (
        f"{tmp_path}: got a folder in which process {child.pid} is training; expected one that is free. "
        "Wait until it has ended, or choose another folder."
    )
    Checkpoints(tmp_path).close()


def test_a_lock_of_another_machine_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    held = Checkpoints(tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "node8")
    with pytest.raises(LockedError, match=r"in which process \d+ on node7 is training"):
        Checkpoints(tmp_path)
    held.close()


def test_a_file_system_without_locks_is_used_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    Checkpoints(tmp_path).close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError) as caught:
        Checkpoints(tmp_path / "file")
    assert str(caught.value).startswith(f"{tmp_path}/file: got 'File exists'; expected a place that can be written.")
