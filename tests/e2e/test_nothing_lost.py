"""Nothing is lost: neither a model that was trained for hours, nor a file that somebody else put in its place."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pty
import select
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import BUNDLE_FILES, REVIEWS, RIVAL_FILES, SMALL, Run, dead_path, environment

from rekur.cli import saving
from rekur.runtime import read_bundle


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Have something happen while a model trains."""

    def when(act: Callable[[], Any]) -> None:
        from rekur.train import Silent

        def step(self: Any, done: int, loss: float) -> None:
            if done == 1:
                act()

        monkeypatch.setattr(Silent, "step", step)

    return when


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def fit(files: dict[str, Path], out: Path, *more: Any) -> tuple[Any, ...]:
    return ("fit", "classify", files["reviews"], *REVIEWS, *SMALL, "--no-baseline", "--out", out, *more)


def write(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# ── files of somebody else ───────────────────────────────────────────────────────────────────────────────────────


def test_files_that_appear_while_a_model_trains_stay(
    meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    mine = ["notes.txt", ".dot", "a/b/c.txt", "checkpoints/mine.txt", "checkpoints/step-00000001/model.pt"]
    meanwhile(lambda: [write(out / name) for name in mine])
    assert cli(*fit(files, out, "--tensorboard", out / "tb")).code == 0
    assert read_bundle(out).task == "classify"
    assert [name for name in everything(out) if name in mine] == sorted(mine)
    assert {path.name.split(".")[0] for path in (out / "tb" / "tensorboard").iterdir()} == {"events"}
    assert names(tmp_path) == ["m"]


def test_tensorboard_may_have_the_folder_of_the_model(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "m"
    for more in ((), ("--overwrite",)):
        assert cli(*fit(files, out, "--tensorboard", out, *more)).code == 0
        assert len(read_bundle(out).history()) == 2
    assert names(out) == sorted([*BUNDLE_FILES, "tensorboard"])
    assert len(names(out / "tensorboard")) == 2


def test_a_run_is_begun_anew_among_files_of_somebody_else(
    meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"

    def act() -> None:
        write(out / "notes.txt")
        signal.raise_signal(signal.SIGINT)

    meanwhile(act)
    assert cli(*fit(files, out)).code == 130
    meanwhile(lambda: None)
    assert cli(*fit(files, out, "--overwrite")).code == 0
    assert names(out) == sorted([*BUNDLE_FILES, "notes.txt"])


def test_a_file_inside_a_folder_of_the_bundle_survives_replacing_it(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(bundles["words"], tmp_path / "m"))
    write(out / "features" / "why.txt")
    assert cli(*fit(files, out, "--overwrite")).code == 0
    assert everything(out / "features") == ["features.json", "why.txt"]


@pytest.mark.parametrize("name", ["README.md", "config.json", "features/mine.txt", "model.safetensors"])
def test_a_name_that_the_bundle_needs_is_not_taken_from_somebody(
    name: str, meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    meanwhile(lambda: write(out / name))
    done = cli(*fit(files, out), "--json")
    assert (done.code, done.json["bundle"]) == (2, f"{out}-1")
    assert (out / name).read_text() == "mine"
    assert read_bundle(tmp_path / "m-1").task == "classify"


# ── places that cannot be used at the end ────────────────────────────────────────────────────────────────────────


def as_file(out: Path) -> None:
    shutil.rmtree(out)
    write(out)


def as_other_bundle(bundle: Path) -> Callable[[Path], None]:
    return lambda out: shutil.copytree(bundle, out, dirs_exist_ok=True) and None


def as_current_folder(out: Path) -> None:
    write(out / "notes.txt")
    os.chdir(out)


@pytest.mark.parametrize("name", ["run.json", "lock", "step-00000001/state.json", "step-00000001/tensors.safetensors"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_name_that_a_run_needs_is_not_taken_from_somebody(
    name: str, more: tuple[str, ...], cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    file = write(tmp_path / "m" / "checkpoints" / name, "{}")
    done = cli(*fit(files, tmp_path / "m", *more))
    assert (done.code, str(tmp_path / "m") in done.err, len(done.err.splitlines())) == (2, True, 1), done.err
    assert (everything(tmp_path), file.read_text()) == ([f"m/checkpoints/{name}"], "{}")


def test_a_lock_that_is_a_link_to_a_file_leaves_it_as_it_is(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.txt")
    (tmp_path / "m" / "checkpoints").mkdir(parents=True)
    (tmp_path / "m" / "checkpoints" / "lock").symlink_to(mine)
    done = cli(*fit(files, tmp_path / "m"))
    assert (done.code, "expected the lock of a run" in done.err, mine.read_text()) == (2, True, "mine")


def test_the_lock_of_a_process_that_is_dead_holds_nobody(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    write(tmp_path / "m" / "checkpoints" / "lock", "999999 some-machine\n")
    assert cli(*fit(files, tmp_path / "m")).code == 0
    assert names(tmp_path / "m") == BUNDLE_FILES


@pytest.mark.parametrize("place", ["a file", "another bundle", "the current folder"])
@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_a_model_is_saved_beside_a_place_that_cannot_be_used(
    place: str,
    overwrite: tuple[str, ...],
    meanwhile: Any,
    cli: Run,
    files: dict[str, Path],
    bundles: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    acts = {
        "a file": as_file,
        "another bundle": as_other_bundle(bundles["words"]),
        "the current folder": as_current_folder,
    }
    out, beside = tmp_path / "m", tmp_path / "m-1"
    write(tmp_path / "m-0")
    meanwhile(lambda: acts[place](out))
    done = cli(*fit(files, out, *overwrite))
    assert done.code == 2
    assert done.err.startswith(f"rekur: folder: got '{out}'; expected ")
    assert done.err.endswith(f" The model is saved in {beside} instead.\n")
    assert f"Saved in {beside}. Next:" in done.out
    assert names(beside) == BUNDLE_FILES
    if place == "another bundle":
        assert read_bundle(out).fingerprint == read_bundle(bundles["words"]).fingerprint
    again = cli("resume", out)
    assert again.code == 2
    assert str(beside) in again.err


def test_a_current_folder_that_is_gone(meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    before = Path.cwd()
    os.chdir(here)
    try:
        meanwhile(lambda: shutil.rmtree(here))
        done = cli(*fit(files, Path("m"), "--json"))
    finally:
        os.chdir(before)
    assert done.code == 2
    assert read_bundle(done.json["bundle"]).task == "classify"


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be written in a folder any more, as on a full disk."""
    from rekur._files import flush

    def fail(path: Path) -> None:
        if path.is_relative_to(folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(path)

    monkeypatch.setattr("rekur._files.flush", fail)


def test_a_full_disk_at_the_end(
    meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, other = tmp_path / "disk", tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    meanwhile(lambda: full(disk, monkeypatch))
    done = cli(*fit(files, disk / "m", "--json"))
    assert (done.code, done.json["bundle"]) == (2, str(other / "m-1"))
    assert "Free some space" in done.json["error"]
    assert read_bundle(other / "m-1").task == "classify"
    assert "m-1" in cli("resume", disk / "m").err


def test_where_no_place_is_left_the_last_checkpoint_is(
    meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(saving, "_others", lambda out: iter(()))
        meanwhile(lambda: write(out / "README.md"))
        done = cli(*fit(files, out))
    assert done.code == 2
    assert done.err.splitlines()[0] == f"rekur: {out} holds the checkpoints so far; go on with: rekur resume {out}"
    (out / "README.md").unlink()
    meanwhile(lambda: pytest.fail("it was trained again"))
    done = cli("resume", out)
    assert done.code == 0
    assert names(out) == BUNDLE_FILES


def test_a_model_made_smaller_is_saved_beside_too(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rekur.cli import quantize

    out, times = tmp_path / "m", quantize.step_times
    monkeypatch.setattr(quantize, "step_times", lambda engines: write(out / "README.md") and times(engines))
    words = ("quantize", bundles["words"], "--data", files["reviews"], "--out", out, "--tolerance", "100", "--json")
    done = cli(*words)
    assert (done.code, done.json["out"]) == (2, f"{out}-1")
    assert (out / "README.md").read_text() == "mine"
    assert read_bundle(tmp_path / "m-1").quantised == "int8"


# ── files that are not Rekur's to replace ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(bundles: dict[str, Path], files: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with a bundle, a data file with links to it, and a picture."""
    shutil.copytree(bundles["words"], tmp_path / "m")
    shutil.copy(files["reviews"], tmp_path / "test.csv")
    (tmp_path / "link.html").symlink_to("test.csv")
    (tmp_path / "hard.html").hardlink_to(tmp_path / "test.csv")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 9000)
    write(tmp_path / "page.html", '<!doctype html><html lang="en"><meta charset="utf-8"><title>rekur</title>')
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["test.csv", "link.html", "hard.html", "m/config.json", "m/README.md", "photo.png", "page.html", "/dev/null", "m"],
)
def test_a_report_replaces_nothing_else(name: str, cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    monkeypatch.setattr("rekur.cli.evaluate.load", lambda *_: pytest.fail("the work was begun"))
    done = cli("evaluate", home / "m", home / "test.csv", "--report", home / name)
    assert done.code == 2
    assert done.err.startswith(f"rekur: file: got '{home / name}'; expected ")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    assert not Path("/dev/null").is_file()


def test_a_report_replaces_a_report(cli: Run, home: Path) -> None:
    earlier = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>m on test.csv</title><meta name="viewport" '
        'content="width=device-width"><style>\nbody { font: 16px/1.5 system-ui, sans-serif; color: #22313f; '
    )
    for before in (None, earlier, ""):
        if before is not None:
            write(home / "r.html", before)
        for _ in range(2):
            assert cli("evaluate", home / "m", home / "test.csv", "--report", home / "r.html").code == 0
        assert '<meta name="generator" content="rekur">' in (home / "r.html").read_text(encoding="utf-8")[:200]


def test_scores_are_told_although_the_report_cannot_be_written(
    cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rekur._files.flush", fail)
    done = cli("evaluate", home / "m", home / "test.csv", "--report", home / "r.html")
    assert (done.code, "accuracy" in done.out, (home / "r.html").exists()) == (2, True, False)
    done = cli("evaluate", home / "m", home / "test.csv", "--report", home / "r.html", "--json")
    told = json.loads(done.out)
    assert (done.code, told["exit_code"], "accuracy" in told, done.err) == (2, 2, True, f"rekur: {told['error']}\n")


def test_rows_are_added_to_no_file_of_somebody_else(cli: Run, files: dict[str, Path], home: Path) -> None:
    mine = write(home / "board" / "history.jsonl", '{"text": "mine"}\n')
    done = cli(*fit(files, home / "new", "--tensorboard", home / "board"))
    assert (done.code, mine.read_text()) == (2, '{"text": "mine"}\n')
    assert done.err.startswith(f"rekur: file: got '{mine}'; expected a new file, or the rows of an earlier training.")
    assert cli(*fit(files, home / "new", "--tensorboard", home / "m")).code == 0
    assert read_bundle(home / "m").task == "classify"


@pytest.mark.parametrize("name", ["history.jsonl", "README.md", "features/features.json"])
def test_a_bundle_whose_files_are_read_is_not_replaced(name: str, cli: Run, home: Path) -> None:
    before = everything(home)
    done = cli("fit", "language", home / "m" / name, "--out", home / "m", "--overwrite", "--epochs", "1")
    assert (done.code, everything(home)) == (2, before)
    assert "expected a folder whose files are not read" in done.err
    done = cli("quantize", home / "m", "--data", home / "test.csv", "--out", home / "m", "--overwrite")
    assert (done.code, read_bundle(home / "m").quantised) == (2, "")


# ── nobody reads, the terminal is closed ─────────────────────────────────────────────────────────────────────────


def test_training_goes_on_when_nobody_reads_how_it_goes(files: dict[str, Path], tmp_path: Path) -> None:
    words = [*fit(files, tmp_path / "m")]
    words.remove("--quiet")
    command = shlex.join([sys.executable, "-m", "rekur", *map(str, words)])
    shell = f"({command} 2>&1; echo $? > {tmp_path}/code) | head -n 1"
    subprocess.run(["sh", "-c", shell], env=environment(), timeout=200, check=True, capture_output=True)
    assert (tmp_path / "code").read_text().strip() == "0"
    assert names(tmp_path / "m") == BUNDLE_FILES


def test_messages_are_dropped_once_their_stream_is_gone() -> None:
    from rekur.train.progress import Lasting

    reader, writer = os.pipe()
    os.close(reader)
    gone = os.fdopen(writer, "w", buffering=1)
    told = Lasting(gone)
    for _ in range(3):
        assert told.write("a line\n") == 7
        told.flush()
    with contextlib.suppress(BrokenPipeError):
        gone.close()
    closed = io.StringIO()
    closed.close()
    assert [Lasting(stream).write("x") for stream in (closed, None)] == [1, 1]
    assert not any(Lasting(stream).isatty() for stream in (closed, None))
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Lasting(narrow).write("ï")
    assert narrow.seek(0) == 0
    assert narrow.read() == "\\xef"


def test_a_terminal_that_is_closed(files: dict[str, Path], tmp_path: Path) -> None:
    """The system sends SIGHUP, the shell sends it again, and nothing can be written any more."""
    out = tmp_path / "m"
    words = ["--epochs", "100000", "--patience", "0", "--hidden-size", "4", "--checkpoint-every", "9"]
    command = [sys.executable, "-m", "rekur", "fit", "classify", str(files["reviews"]), *REVIEWS, "--out", str(out)]
    main, terminal = pty.openpty()
    child = subprocess.Popen(
        [*command, *words], stdin=terminal, stdout=terminal, stderr=terminal, env=environment(), start_new_session=True
    )
    os.close(terminal)
    while not list(out.glob("checkpoints/step-*")):
        assert child.poll() is None
        if select.select([main], [], [], 0.02)[0]:
            os.read(main, 1000)
    os.close(main)
    child.send_signal(signal.SIGHUP)
    time.sleep(0.01)
    child.send_signal(signal.SIGHUP)
    assert child.wait(60) == 129
    assert list((out / "checkpoints").glob("step-*"))
    assert not (out / "checkpoints" / "lock").exists()


# ── what is left behind ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_error_of_any_kind_leaves_no_lock(
    cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("a fault")

    monkeypatch.setattr("rekur.data.corpus.encode_all", fail)
    with pytest.raises(IndexError):
        cli(*fit(files, tmp_path / "a" / "m", "--tensorboard", tmp_path / "board"))
    assert list(tmp_path.iterdir()) == []


def test_going_on_in_vain_is_not_advised_again(
    meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    out, copy = tmp_path / "m", Path(shutil.copy(files["reviews"], tmp_path / "copy.csv"))
    meanwhile(lambda: signal.raise_signal(signal.SIGTERM))
    assert cli(*fit({"reviews": copy}, out)).code == 143
    copy.write_text(copy.read_text(encoding="utf-8").replace("film", "play"), encoding="utf-8")
    done = cli("resume", out, "--quiet")
    assert (done.code, done.err.count("\n"), "rekur resume" in done.err) == (2, 1, False)
    for path in out.glob("checkpoints/step-*/tensors.safetensors"):
        path.write_bytes(b"")
    done = cli("resume", out, "--quiet", "--accept-changed-data")
    assert (done.code, done.err.count("\n"), "is used" in done.err) == (2, 1, False)


def test_what_a_killed_run_left_is_cleared_away_by_the_next(
    cli: Run, files: dict[str, Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    for name, kind in (("m", "partial"), ("m", "old"), ("c", "partial")):
        dead_path(tmp_path / name, kind).mkdir()
    dead_path(tmp_path / "r.html").touch()
    (old,) = tmp_path.glob(".m.old-*")
    shutil.copytree(bundles["words"], old, dirs_exist_ok=True)
    write(old / "notes.txt")
    done = cli(*fit(files, tmp_path / "m"))
    assert (done.code, "a bundle is there" in done.err) == (2, True)  # it is put back, and not replaced unasked
    assert read_bundle(tmp_path / "m").fingerprint == read_bundle(bundles["words"]).fingerprint
    assert cli("evaluate", tmp_path / "m", files["reviews"], "--report", tmp_path / "r.html").code == 0
    assert cli("export", tmp_path / "m", "--to", "c", "--out", tmp_path / "c").code == 0
    assert names(tmp_path) == ["c", "m", "r.html"]
    assert names(tmp_path / "m") == sorted([*BUNDLE_FILES, *RIVAL_FILES, "notes.txt"])


def test_a_search_leaves_no_lock_and_is_not_blocked(
    cli: Run, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s"
    words = ("tune", "classify", files["reviews"], *REVIEWS, "--out", out, "--trials", "1", "--epochs", "1", "--json")
    with pytest.MonkeyPatch.context() as failing:
        failing.setattr("rekur._files.staging_path", lambda path: tmp_path / "none" / path.name)
        done = cli(*words)
    assert (done.code, "expected a file that can be written" in done.err) == (2, True), done.err
    assert list(tmp_path.iterdir()) == []
    assert cli(*words).code == 0
    assert names(out) == ["best", "search.html", "study.sqlite", "trials.csv"]
    for name in ("search.html", "trials.csv"):
        before = write(out / name)
        assert cli(*words).code == 2
        assert before.read_text() == "mine"
        before.unlink()


def test_a_database_of_something_else_is_no_search(cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "study.sqlite")) as database:
        database.execute("create table patients (name text)")
        database.commit()
    before = (tmp_path / "study.sqlite").read_bytes()
    done = cli("tune", "classify", files["reviews"], *REVIEWS, "--out", tmp_path, "--trials", "1")
    assert (done.code, names(tmp_path), (tmp_path / "study.sqlite").read_bytes() == before) == (
        2,
        ["study.sqlite"],
        True,
    )
    assert "a database of something else" in done.err


def test_a_run_says_where_its_model_is(meanwhile: Any, cli: Run, files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "m"
    meanwhile(lambda: write(out / "README.md"))
    assert cli(*fit(files, out)).code == 2
    (out / "README.md").unlink()
    done = cli("resume", out)
    assert (done.code, f"its model was saved in {out}-1" in done.err) == (2, True)
    shutil.rmtree(tmp_path / "m-1")
    meanwhile(lambda: None)
    assert cli("resume", out).code == 0
    assert json.loads((out / "config.json").read_text())["task"] == "classify"
