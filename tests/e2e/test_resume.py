"""Runs that are stopped or killed and go on: the result is the one of a run that nobody stopped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import REVIEWS, WALKS, Run, dead_path, environment
from tests.e2e.test_language import sentences

SMALL = ("--hidden-size", "6", "--no-baseline", "--patience", "0", "--checkpoint-every", "3")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "book.txt"
    file.write_text(sentences(150, 0), encoding="utf-8")
    return file


def tasks(files: dict[str, Path], book: Path, *length: str) -> dict[str, tuple[Any, ...]]:
    """The command of each task; ``length`` says how long it trains."""
    text = ("--batch-size", "4", "--chunk-length", "12", "--embedding-size", "6")
    return {
        "classify": ("fit", "classify", files["reviews"], *REVIEWS, *SMALL, *length),
        "regress": ("fit", "regress", files["walks"], "--series", "x", "--label", "wear", *SMALL, *length),
        "language": ("fit", "language", book, *text, *SMALL, *length),
    }


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def begin(*words: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rekur", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment())


def wait_for_checkpoint(folder: Path, child: subprocess.Popen[bytes], count: int = 1) -> None:
    """Return once a process has written a checkpoint."""
    seen: set[str] = set()
    until = time.monotonic() + 60
    while len(seen) < count and time.monotonic() < until:
        assert child.poll() is None, child.communicate()
        seen |= {path.name for path in folder.glob("checkpoints/step-*")}
        time.sleep(0.01)
    assert len(seen) >= count


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let Ctrl-C come after so many steps."""
    from rekur.train import Silent

    def step(self: Any, done: int, loss: float) -> None:
        if done == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Silent, "step", step)


@pytest.mark.parametrize("task", ["classify", "regress", "language"])
def test_a_run_that_was_stopped_goes_on(
    task: str, cli: Run, files: dict[str, Path], book: Path, tmp_path: Path
) -> None:
    words = tasks(files, book, "--steps", "14", "--quiet")[task]
    assert cli(*words, "--out", tmp_path / "whole").code == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        done = cli(*words, "--out", tmp_path / "m", "--json")
    assert (done.code, done.json["stopped"], done.json["resume"]) == (130, "interrupted", f"rekur resume {tmp_path}/m")
    assert (tmp_path / "m" / "checkpoints" / "run.json").is_file()
    again = cli("resume", tmp_path / "m")
    assert again.code == 0, again.err
    assert "Going on after step 8 of 14." in again.err
    assert f"Saved in {tmp_path}/m. Next:" in again.out
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")
    assert not (tmp_path / "m" / "checkpoints").exists()
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("m", "whole")]
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(files: dict[str, Path], book: Path, rekur: Run, tmp_path: Path) -> None:
    words = tasks(files, book, "--steps", "400")["language"]
    assert rekur(*words, "--quiet", "--out", tmp_path / "whole").code == 0
    with begin(*words, "--out", tmp_path / "m") as child:
        wait_for_checkpoint(tmp_path / "m", child, count=2)
        child.kill()
        child.communicate()
    assert child.returncode == -signal.SIGKILL
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere")
    done = rekur("resume", tmp_path / "m", "--json")
    assert (done.code, done.json["stopped"]) == (0, "finished"), done.err
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")
    moved = rekur("resume", "elsewhere", cwd=tmp_path)
    assert moved.code == 0, moved.err
    assert weights(tmp_path / "elsewhere") == weights(tmp_path / "whole")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_a_signal_leaves(
    number: int, code: int, cli: Run, files: dict[str, Path], book: Path, tmp_path: Path
) -> None:
    from rekur.train import Silent

    out = tmp_path / "m"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Silent, "evaluated", lambda self, row, best: signal.raise_signal(number))
        done = cli(*tasks(files, book, "--epochs", "50", "--quiet")["language"], "--out", out)
    assert (done.code, done.err) == (code, "")
    assert "bits per character" in done.out
    assert done.out.splitlines()[-1] == f"You stopped it: {out} holds the best so far. To go on: rekur resume {out}"
    assert cli("score", out, "--text", "The cat").code == 0
    assert (out / "checkpoints" / "run.json").is_file()


def test_a_stop_before_anything_was_evaluated(cli: Run, files: dict[str, Path], book: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 1)
        done = cli(*tasks(files, book, "--epochs", "3", "--quiet")["classify"], "--out", out)
    assert (done.code, done.err) == (130, "")
    assert done.out.splitlines()[-1] == (
        f"You stopped it: {out} holds checkpoints only, since nothing was evaluated yet. To go on: rekur resume {out}"
    )
    assert [path.name for path in out.iterdir()] == ["checkpoints"]
    assert cli("resume", out, "--quiet").code == 0
    assert cli("evaluate", out, files["reviews"]).code == 0


# ── what cannot go on ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stopped(cli: Run, files: dict[str, Path], book: Path, tmp_path: Path) -> Path:
    """A run that was stopped after eight steps, of a copy of the text."""
    copy = shutil.copy(book, tmp_path / "copy.txt")
    words = list(tasks(files, book, "--steps", "14", "--quiet")["language"])
    words[words.index(book)] = copy
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        assert cli(*words, "--out", tmp_path / "m").code == 130
    return tmp_path / "m"


def test_a_second_run_in_the_folder_is_refused(cli: Run, files: dict[str, Path], book: Path, stopped: Path) -> None:
    words = (*tasks(files, book, "--steps", "14", "--quiet")["language"], "--out", stopped)
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"rekur: folder: got '{stopped}'; expected a folder without a run that can go on. "
        f"Go on with it: rekur resume {stopped}. To begin anew: --overwrite.\n"
    )
    assert cli(*words, "--overwrite").code == 0
    assert not (stopped / "checkpoints").exists()


def test_changed_data_are_noticed(cli: Run, stopped: Path) -> None:
    copy = stopped.with_name("copy.txt")
    copy.write_text(copy.read_text(encoding="utf-8").replace("fed the cat", "fed eht cat"), encoding="utf-8")
    done = cli("resume", stopped)
    assert done.code == 2
    assert done.err.splitlines()[-1] == (
        f"rekur: {stopped}/checkpoints/step-00000008: got other training or validation data; expected those it was "
        "begun with. Give the original data; or accept the change (--accept-changed-data), which starts the data again."
    )
    assert (stopped / "checkpoints" / "run.json").is_file()


def test_changed_data_that_are_accepted(cli: Run, stopped: Path) -> None:
    copy = stopped.with_name("copy.txt")
    copy.write_text(copy.read_text(encoding="utf-8") * 2, encoding="utf-8")
    done = cli("resume", stopped, "--accept-changed-data", "--json")
    assert (done.code, done.json["stopped"]) == (0, "finished"), done.err


def test_data_that_are_gone(cli: Run, stopped: Path) -> None:
    copy = stopped.with_name("copy.txt")
    copy.unlink()
    done = cli("resume", stopped)
    assert done.code == 2
    assert done.err.startswith(f"rekur: file: got '{copy}'; expected a file that exists.")


def test_nothing_to_go_on_with(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    texts = {
        bundles["words"]: (
            f"folder: got '{bundles['words']}'; expected a run that was stopped (this one is finished). "
            f"To use its model: rekur evaluate {bundles['words']} FILE. To train again: rekur fit … --overwrite"
        ),
        tmp_path / "empty": (
            f"folder: got '{tmp_path}/empty'; expected the folder of a run that was stopped (no run is there). "
            "A run is begun by `rekur fit … --out DIR`."
        ),
        tmp_path / "emty": (
            f"folder: got '{tmp_path}/emty'; expected the folder of a run that was stopped (there is no such folder). "
            f"Did you mean '{tmp_path}/empty'?"
        ),
    }
    for folder, text in texts.items():
        done = cli("resume", folder, "--json")
        assert (done.code, done.err, done.json["error"]) == (2, f"rekur: {text}\n", text)


def test_a_damaged_description_of_the_run(cli: Run, stopped: Path) -> None:
    file = stopped / "checkpoints" / "run.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"task"', '"tusk"'), encoding="utf-8")
    done = cli("resume", stopped)
    assert (done.code, done.err) == (
        2,
        f"rekur: {file}: got no 'task'; expected what `rekur fit` wrote. "
        "Begin anew: run `rekur fit` with --overwrite.\n",
    )


def test_what_a_killed_process_was_moving_is_put_back(cli: Run, stopped: Path) -> None:
    stopped.rename(stopped.with_name(".m.old-00ff"))
    assert cli("resume", stopped, "--quiet").code == 0
    assert sorted(path.name for path in stopped.parent.iterdir()) == ["copy.txt", "m"]


def test_what_a_killed_process_was_writing_is_cleared_away(cli: Run, stopped: Path) -> None:
    dead_path(stopped / "checkpoints" / "run.json").touch()
    assert cli("resume", stopped, "--quiet").code == 0
    assert not (stopped / "checkpoints").exists()


def test_two_runs_in_one_folder(cli: Run, files: dict[str, Path], book: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    with begin(*tasks(files, book, "--epochs", "50000")["language"], "--out", out) as child:
        try:
            wait_for_checkpoint(out, child)
            text = (
                f"rekur: {out}/checkpoints: got a folder in which process {child.pid} is training; expected one that "
                "is free. Wait until it has ended, or choose another folder.\n"
            )
            for words in (
                ("fit", "classify", files["walks"], *WALKS, "--out", out),
                ("fit", "classify", files["walks"], *WALKS, "--out", out, "--overwrite"),
                ("resume", out),
            ):
                done = cli(*words)
                assert (done.code, done.out) == (2, "")
                assert done.err == text
            assert child.poll() is None
        finally:
            child.kill()
            child.communicate()
    assert (out / "checkpoints" / "run.json").is_file()


def test_a_run_that_starts_from_a_bundle_goes_on_without_it(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    """What the run took from the bundle is in its checkpoint: the bundle may be gone, and the result is the same."""
    words = ("fit", "regress", files["walks"], "--series", "x", "--label", "wear", *SMALL, "--steps", "14")
    assert cli(*words, "--out", tmp_path / "first", "--seed", "5", "--quiet").code == 0
    done = cli(*words, "--from", tmp_path / "first", "--out", tmp_path / "whole")
    assert done.code == 0
    assert f"From {tmp_path / 'first'}: features and " in done.err
    assert cli(*words, "--out", tmp_path / "fresh", "--quiet").code == 0
    assert weights(tmp_path / "fresh") != weights(tmp_path / "whole")
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 8)
        stopped = cli(*words, "--from", tmp_path / "first", "--out", tmp_path / "m", "--quiet")
    assert stopped.code == 130
    shutil.rmtree(tmp_path / "first")
    assert cli("resume", tmp_path / "m", "--quiet").code == 0
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")


def test_a_bundle_to_start_from_that_is_none(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    words = ("fit", "classify", files["walks"], *WALKS, "--from", tmp_path / "none", "--out", tmp_path / "m")
    done = cli(*words)
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert str(tmp_path / "none") in done.err
    assert not (tmp_path / "m").exists()
