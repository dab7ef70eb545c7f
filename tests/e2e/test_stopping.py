"""Ctrl-C and SIGTERM: what was best so far is kept, or nothing is written; never a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BUNDLE_FILES, REVIEWS, RIVAL_FILES, WALKS, Run, environment, write_table

from rekur.tasks import load

LONG = ("--epochs", "2000", "--patience", "0", "--hidden-size", "4", "--no-baseline")


def stop(number: int, seen: str, *words: Any) -> tuple[int, str, str]:
    """Run a command, send it a signal once ``seen`` stands on standard error; return exit code, out and err."""
    command = [sys.executable, "-m", "rekur", *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment()) as child:
        assert child.stderr is not None
        before = ""
        while seen not in before:
            line = child.stderr.readline().decode()
            assert line, before
            before += line
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
        return child.returncode, out.decode(), before + err.decode()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_stopping_while_epochs_run_keeps_the_best(
    number: int, code: int, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    ended, said, err = stop(number, "epoch", "fit", "classify", files["walks"], *WALKS, "--out", out, *LONG, "--json")
    assert (ended, "Traceback" in err) == (code, False)
    answer = json.loads(said.splitlines()[-1])
    assert answer["stopped"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    task = load(out)
    assert task.result_.stopped == "interrupted"
    assert task.result_.best_epoch >= 1
    assert len(task.predict([[[0.0, 1.0]]])) == 1
    assert "ended: interrupted" in (out / "README.md").read_text(encoding="utf-8")


def test_what_is_said_after_ctrl_c(cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: Any) -> None:
    from rekur.train import Lines

    monkeypatch.setattr(Lines, "evaluated", interrupt)
    done = cli("fit", "classify", files["walks"], *WALKS, "--out", tmp_path / "m", *LONG)
    assert done.code == 130
    assert done.out.splitlines()[-1] == (
        f"You stopped it: {tmp_path}/m holds the best so far. To go on: rekur resume {tmp_path}/m"
    )


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_stopping_while_data_are_read_writes_nothing(
    cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("rekur.data.corpus.encode_all", interrupt)
    words = ("--epochs", "1", "--hidden-size", "4", "--quiet", "--json")
    done = cli("fit", "classify", files["reviews"], *REVIEWS, "--out", tmp_path / "m", *words)
    text = f"stopped before a model could be saved; {tmp_path}/m was left as it was."
    assert (done.code, done.err, done.json) == (130, f"rekur: {text}\n", {"error": text, "exit_code": 130})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "where", ["rekur.tasks.base.items.fit_linear_rival", "rekur.tasks.base.estimator.write_bundle"]
)
def test_stopping_once_training_has_ended_leaves_something_to_go_on_with(
    where: str, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(where, interrupt)
        words = ("--epochs", "1", "--hidden-size", "4", "--quiet", "--json")
        done = cli("fit", "classify", files["reviews"], *REVIEWS, "--out", out, *words)
    text = f"stopped before a model could be saved; go on with: rekur resume {out}"
    assert (done.code, done.err, done.json) == (130, f"rekur: {text}\n", {"error": text, "exit_code": 130})
    done = cli("resume", out, "--json")
    assert (done.code, done.json["stopped"], "epoch" in done.err) == (0, "finished", False)
    assert sorted(path.name for path in out.iterdir()) == [*BUNDLE_FILES, *RIVAL_FILES]


@pytest.mark.slow
def test_ctrl_c_while_a_large_file_is_read(tmp_path: Path) -> None:
    file = write_table(tmp_path / "large.csv", ("t", "y"), ((f"word{i % 7000} film", i % 2) for i in range(2_000_000)))
    command = [sys.executable, "-m", "rekur", "fit", "classify", str(file), "--text", "t", "--label", "y"]
    command += ["--out", str(tmp_path / "m")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(12)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, b"")
    assert err.decode() == f"rekur: stopped before a model could be saved; {tmp_path}/m was left as it was.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["large.csv"]


def test_ctrl_c_ends_a_stream(cli: Run, bundles: dict[str, Path], monkeypatch: Any) -> None:
    from rekur.runtime import Session

    monkeypatch.setattr(Session, "push", interrupt)
    done = cli("stream", bundles["words"], stdin=b"a\n")
    assert (done.code, done.out, done.err) == (130, "", "rekur: stopped.\n")
