"""Saving a bundle: whole or not at all, whatever goes wrong, and what may not be replaced."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rekur
from rekur._files import staging_path
from rekur.errors import InputError, SaveError
from rekur.runtime import check_writable, read_bundle, write_bundle

#: what a process of its own needs to find this file and Rekur
PATHS = [str(Path(__file__).parent), str(Path(rekur.__file__).parents[1])]
needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and limits, which only POSIX has")
ROOM = "Choose another folder; nothing half-written was left behind, and what stood there is unchanged."


class Saved:
    def save(self, folder):
        (folder / "features.json").write_text('{"kind": "text"}\n')


def write(folder, number=1, **changed):
    weights = {"w": np.full(1000, number, np.float32)}
    return write_bundle(folder, {"task": "x"}, weights, Saved(), {"n": number}, [], "card", **changed)


def number(folder):
    bundle = read_bundle(folder)
    assert (bundle.weights()["w"] == bundle.metrics["n"]).all()
    return bundle.metrics["n"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(kind, folder, overwrite=False):
    """The text of the error: the same before training and when writing."""
    with pytest.raises(kind) as early:
        check_writable(folder, overwrite)
    with pytest.raises(kind) as late:
        write(folder, overwrite=overwrite)
    assert str(early.value) == str(late.value)
    return str(early.value)


# ---- where a bundle may stand ------------------------------------------------------------------------------


def test_new_folders_are_made_and_checking_makes_none(here):
    assert check_writable("a/b/c") == here.resolve() / "a/b/c"
    assert list(here.iterdir()) == []
    assert write("a/b/c").folder == Path("a/b/c")
    assert number("a/b/c") == 1


def test_an_empty_folder_and_one_with_checkpoints_are_used(here):
    for name in ("checkpoints/last", ".git/objects"):
        Path("m", name).mkdir(parents=True)
    write("m")
    assert number("m") == 1
    assert Path("m/checkpoints/last").is_dir()
    assert Path("m/.git/objects").is_dir()
    assert [path.name for path in here.iterdir()] == ["m"]


def test_a_bundle_is_only_replaced_when_asked_to(here):
    write("m", 1)
    assert refused(InputError, "m") == (
        "folder: got 'm'; expected a folder that is new or empty (a bundle is there). "
        "Choose another folder, or say overwrite=True (--overwrite) to replace the bundle."
    )
    assert number("m") == 1
    write("m", 2, overwrite=True)
    assert number("m") == 2


def test_what_is_no_part_of_the_bundle_survives_replacing_it(here):
    write("m", 1, files={"labels/old.txt": b"old"})
    Path("m/notes.txt").write_text("mine")
    write("m", 2, overwrite=True)
    assert Path("m/notes.txt").read_text() == "mine"
    assert not Path("m/labels").exists()
    assert [path.name for path in here.iterdir()] == ["m"]


def test_a_link_to_a_bundle_stays_a_link(here):
    write("real", 1)
    Path("latest").symlink_to("real")
    write("latest", 2, overwrite=True)
    assert Path("latest").is_symlink()
    assert number("real") == 2


@pytest.mark.parametrize("content", [None, "{}", '{"model_type": "bert"}', "not json"])
def test_a_folder_of_something_else_is_never_replaced(here, content):
    Path("m").mkdir()
    Path("m/thesis.tex").touch()
    if content is not None:
        Path("m/config.json").write_text(content)
    first = "thesis.tex" if content is None else "config.json"
    assert refused(InputError, "m", overwrite=True) == (
        f"folder: got 'm'; expected a folder that is new or empty (it holds '{first}' and is no Rekur "
        "bundle). Choose another folder; Rekur replaces only its own bundles."
    )


def test_a_file_in_the_way(here):
    Path("m").touch()
    assert refused(InputError, "m") == (
        "folder: got 'm'; expected the path of a folder (a file has this name). "
        "Choose another folder, or move the file away."
    )
    assert refused(InputError, "m/a/b") == (
        f"folder: got 'm/a/b'; expected a path through folders ({here.resolve()}/m is a file). Choose another folder."
    )


@pytest.mark.parametrize("given", [".", ".."])
def test_the_current_folder_is_not_replaced(here, given):
    assert refused(InputError, given, overwrite=True) == (
        f"folder: got '{given}'; expected a folder other than the current one or one above. "
        "Give a folder inside it, such as runs/first."
    )


@pytest.mark.parametrize(("given", "shown"), [("", "''"), (None, "'None'"), (3, "'3'"), ("a\0b", "'a\\x00b'")])
def test_what_is_no_path(given, shown):
    assert refused(InputError, given) == f"folder: got {shown}; expected the path of a folder."


def test_a_name_that_is_too_long(here):
    write("é" * 127)
    assert number("é" * 127) == 1
    assert refused(InputError, "é" * 128) == (
        f"folder: got '{'é' * 79}… (130 characters); expected a name of at most 255 bytes. Choose a shorter name."
    )


def test_a_mounted_disk_is_not_renamed(here, monkeypatch):
    Path("m").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    assert refused(InputError, "m") == (
        "folder: got 'm'; expected a folder that can be renamed, not a mounted disk. "
        f"Give a folder inside it, such as {here.resolve()}/m/first."
    )


def test_a_folder_that_may_not_be_written(here, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert refused(SaveError, "runs/m") == (
        f"{here.resolve()}/runs/m: got 'may not write in {here.resolve()}'; "
        f"expected a folder that you may write in. {ROOM}"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_really_may_not_be_written(here):
    here.chmod(0o500)
    try:
        assert "expected a folder that you may write in" in refused(SaveError, "m")
    finally:
        here.chmod(0o700)


# ---- what goes wrong while writing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number_of", "expected", "fix"),
    [
        (errno.ENOSPC, "a disk with room for it", ROOM.replace("Choose", "Free some space or choose")),
        (errno.EDQUOT, "a disk with room for it", ROOM.replace("Choose", "Free some space or choose")),
        (errno.EFBIG, "a place that takes files of this size (see `ulimit -f`)", ROOM),
        (errno.EROFS, "a folder that you may write in", ROOM),
        (errno.EIO, "a place that can be written", ROOM),
    ],
)
def test_each_failure_of_the_disk_has_its_words(here, monkeypatch, number_of, expected, fix):
    write("m", 1)

    def fail(handle):
        raise OSError(number_of, os.strerror(number_of))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SaveError) as caught:
        write("m", 2, overwrite=True)
    assert str(caught.value) == (f"{here.resolve()}/m: got '{os.strerror(number_of)}'; expected {expected}. {fix}")
    assert number("m") == 1
    assert [path.name for path in here.iterdir()] == ["m"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError, InputError])
def test_an_interruption_leaves_nothing_behind(here, monkeypatch, interruption):
    write("m", 1)

    def fail(features, folder):
        raise interruption

    monkeypatch.setattr(Saved, "save", fail)
    with pytest.raises(interruption):
        write("m", 2, overwrite=True)
    assert number("m") == 1
    assert [path.name for path in here.iterdir()] == ["m"]


# A process whose n-th file operation fails, or in which it is killed; each n in a child with its own folder.
CRASH = """
import os, sys
from pathlib import Path
sys.path[:0] = {paths!r}
from rekur import _files
from test_bundle_saving import SaveError, number, write

how, count, step = {how!r}, 0, 0
EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "os.listdir", "shutil.rmtree")
flush = _files.flush
_files.flush = lambda path: flush(path) if step else None  # the disk is slow: only the child waits for it

def hook(event, arguments):
    global count
    if step and event in EVENTS and not (event == "open" and str(arguments[0]).endswith(".pyc")):
        count += 1
        if count == step:
            if how == "kill":
                os._exit(7)
            raise OSError(28, "No space left on device")

sys.addaudithook(hook)
for n in range(1, 200):
    folder = Path(f"m{{n}}/model")
    write(folder, 1)
    child = os.fork()
    if not child:
        step = n
        try:
            write(folder, 2, overwrite=True)
            os._exit(0 if count < n else 1)
        except SaveError:
            os._exit(2)
        except BaseException:
            os._exit(3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = sorted(path.name for path in folder.parent.iterdir())
    there = number(folder) if folder.exists() else 0
    print(n, code, there, *left)
    write(folder, 3, overwrite=True)  # the next one clears away what was left
    assert number(folder) == 3
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    if code == 0:
        break
"""


def crash(how, folder):
    code = CRASH.format(how=how, paths=PATHS)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[-1][1:] == ["0", "2", "model"]
    assert len(rows) > 20
    return [(int(code), int(there), left) for _, code, there, *left in rows[:-1]]


@needs_posix
def test_a_failure_of_any_file_operation_leaves_the_old_or_the_new_bundle(tmp_path):
    for code, there, left in crash("fail", tmp_path):
        assert there in (1, 2)
        assert not any(".partial-" in name for name in left)
        if there == 1:
            assert code == 2
            assert left == ["model"]


@needs_posix
def test_being_killed_at_any_file_operation_leaves_the_old_or_the_new_bundle(tmp_path):
    seen = set()
    for code, there, left in crash("kill", tmp_path):
        assert code == 7
        seen.add(there)
        if there == 0:  # between the two renames: the old one is beside, and reading says where
            assert any(name.startswith(".model.old-") for name in left)
    assert {1, 2} <= seen


@needs_posix
@pytest.mark.parametrize("limit", [0, 50, 1000, 4000])
def test_a_limit_on_the_size_of_files_leaves_the_old_bundle(here, limit):
    write("m", 1)
    code = f"""
import resource, sys
sys.path[:0] = {PATHS!r}
from test_bundle_saving import SaveError, write
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    write("m", 2, overwrite=True)
except SaveError as error:
    sys.exit(0 if "ulimit -f" in str(error) else str(error))
sys.exit("written")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert number("m") == 1
    assert [path.name for path in here.iterdir()] == ["m"]


def test_trouble_after_the_new_bundle_is_in_place_says_so(here, monkeypatch):
    write("m", 1)
    Path("m/notes.txt").touch()
    real = Path.rename

    def fail(path, to):
        if path.name == "notes.txt":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(SaveError) as caught:
        write("m", 2, overwrite=True)
    (aside,) = here.glob(".m.old-*")
    assert str(caught.value) == (
        f"{here.resolve()}/m: got 'Input/output error' once the new bundle was in place; expected no "
        f"trouble. The new bundle is whole; what stood there before is in {aside.resolve()}."
    )
    assert number("m") == 2
    assert (aside / "notes.txt").exists()


# Two processes that save one folder at the same moment, again and again; each waits a little before it renames.
RACE = """
import os, shutil, sys, time
from pathlib import Path
sys.path[:0] = {paths!r}
from test_bundle_saving import InputError, number, write

def save(value, overwrite, start):
    os.read(start, 1)  # until nobody holds the other end any more
    sys.addaudithook(lambda event, arguments: time.sleep(0.005) if event == "os.rename" else None)
    try:
        write("m", value, overwrite=overwrite)
        os._exit(0)
    except InputError:
        os._exit(2)
    except BaseException:
        os._exit(3)

for turn in range(6):
    for overwrite in (False, True):
        start, held = os.pipe()
        children = []
        for value in (2 * turn, 2 * turn + 1):
            child = os.fork()
            if not child:
                os.close(held)
                save(value, overwrite, start)
            children.append(child)
        os.close(start)
        os.close(held)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(*codes, number("m") - 2 * turn, *sorted(path.name for path in Path().iterdir()))
    shutil.rmtree("m")
"""


@needs_posix
def test_two_processes_that_save_one_folder_leave_a_whole_bundle_of_one_of_them(here):
    code = RACE.format(paths=PATHS)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == 12
    for new, replaced in zip(rows[::2], rows[1::2], strict=True):
        codes = ["0", "2"] if new[2] == "0" else ["2", "0"]
        assert new == [*codes, new[2], "m"]
        assert (replaced[:2], replaced[3:]) == (["0", "0"], ["m"])
        assert replaced[2] in ("0", "1")


# ---- what others left ----------------------------------------------------------------------------------------


def dead(path, kind):
    """A path beside another as a process of this machine named it that is dead."""
    code = f"""
import sys
sys.path[:0] = {PATHS!r}
from pathlib import Path
from rekur._files import staging_path
print(staging_path(Path({str(path)!r}), {kind!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return Path(done.stdout.strip())


def test_nothing_of_others_is_cleared_away(here, monkeypatch):
    kept = [staging_path(here / "m"), staging_path(here / "m", "old")]  # of a process that runs: this one
    kept += [here / ".m.partial-mine", here / ".m.old-20260101", here / ".m.partial-12345678"]  # of a person, or young
    kept += [staging_path(here / "mm"), here / ".m.partial-2"]
    monkeypatch.setattr("rekur._files._machine", lambda: "0badcafe")  # two machines on one disk
    kept.append(dead(here / "m", "partial"))
    kept.append(dead(here / "m", "old"))
    for path in kept:
        path.mkdir()
    write("m", 1)
    write("m", 2, overwrite=True)
    assert sorted(path.name for path in here.iterdir()) == sorted(["m", *(path.name for path in kept)])


def test_what_another_machine_or_an_earlier_version_left_is_cleared_away_after_a_day(here, monkeypatch):
    left = [here / ".m.partial-12345678", dead(here / "m", "partial"), dead(here / "m", "old")]
    monkeypatch.setattr("rekur._files._machine", lambda: "0badcafe")
    for path in left:
        path.mkdir()
        os.utime(path, (time.time() - 90_000,) * 2)
    write("m", 1)
    assert [path.name for path in here.iterdir()] == ["m"]


def test_a_bundle_that_was_moved_aside_is_put_back(here):
    write("m", 1)
    Path("m/notes.txt").touch()
    Path("m").rename(dead(here / "m", "old"))
    with pytest.raises(InputError, match="a bundle is there"):
        write("m", 2)
    assert number("m") == 1
    assert Path("m/notes.txt").exists()


def test_what_was_not_carried_over_is_once_its_successor_stands(here):
    write("m", 1, files={"labels/old.txt": b"old"})
    for name in ("notes.txt", "labels/why.txt", "taken.txt"):
        Path("m", name).write_text("mine")
    aside = dead(here / "m", "old")
    Path("m").rename(aside)
    write("m2", 2)
    Path("m2").rename("m")
    Path("m/taken.txt").write_text("a newer one")
    write("m", 3, overwrite=True)
    assert Path("m/labels/why.txt").read_text() == Path("m/notes.txt").read_text() == "mine"
    assert not Path("m/labels/old.txt").exists()
    assert Path("m/taken.txt").read_text() == "a newer one"
    assert (aside / "taken.txt").read_text() == "mine"  # somebody's file is never removed


def test_long_names_that_begin_alike_are_told_apart(here):
    one, two = "é" * 60 + "1", "é" * 60 + "2"
    write(one, 1)
    Path(one).rename(dead(here / one, "old"))
    write(two, 2)
    assert (number(two), Path(one).exists()) == (2, False)
    write("x" * 255)
    with pytest.raises(InputError, match="a bundle is there"):
        write(one, 3)
    assert number(one) == 1


def test_of_two_that_are_written_at_once_the_first_stays(here, monkeypatch):
    real = Saved.save

    def save(features, folder):
        monkeypatch.setattr(Saved, "save", real)
        write("m", 1)
        real(features, folder)

    monkeypatch.setattr(Saved, "save", save)
    with pytest.raises(InputError, match="a bundle is there"):
        write("m", 2)
    assert number("m") == 1
    assert [path.name for path in here.iterdir()] == ["m"]


@pytest.mark.parametrize("name", ["README.md", "features/notes.txt", "model.safetensors"])
def test_a_file_of_somebody_whose_name_is_needed(here, name):
    Path("m", name).parent.mkdir(parents=True, exist_ok=True)
    Path("m", name).write_text("mine")
    with pytest.raises(InputError, match=r"expected a folder that is new or empty \(it holds"):
        write("m", carry_over=True)
    assert Path("m", name).read_text() == "mine"
    Path("m", name).rename("elsewhere")
    Path("m/notes.txt").write_text("mine")
    if name.startswith("features"):
        Path("m/features").rmdir()
    write("m", carry_over=True)
    assert Path("m/notes.txt").read_text() == "mine"


def test_what_is_in_place_was_read_back_first(here, monkeypatch):
    """A disk that loses a bit is noticed before the old bundle is touched."""
    write("m", 1)
    real = Path.write_bytes

    def lose_a_bit(path, data):
        return real(path, data.replace(b'"fingerprint": "', b'"fingerprint": "0'))

    monkeypatch.setattr(Path, "write_bytes", lose_a_bit)
    with pytest.raises(SaveError) as caught:
        write("m", 2, overwrite=True)
    start, end = str(caught.value).split("(")
    assert start == (
        f"{here.resolve()}/m: got back other bytes than were written; expected the same. "
        "The disk or the memory may be failing; what stood there is unchanged. "
    )
    assert end.startswith(f"{here.resolve()}/m/config.json: got a fingerprint of ")
    assert number("m") == 1
    assert [path.name for path in here.iterdir()] == ["m"]


def test_config_on_disk_is_what_a_person_can_read(here):
    write("m")
    config = json.loads(Path("m/config.json").read_text())
    assert list(config) == ["format", "rekur", "task", "files", "fingerprint"]
