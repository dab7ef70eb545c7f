"""Several processes and threads that write to one place: the first one is kept, the others are refused."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rekur import Regressor
from rekur._files import write_file
from rekur.errors import InputError
from rekur.export.folder import check_folder, write_folder
from rekur.runtime import read_bundle, write_quantised

WRITERS = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    walks = [[[float(n), 1.0], [0.0, n % 3]] for n in range(20)]
    model = Regressor(epochs=1, hidden_size=5, baseline=False, verbose=False).fit(walks, list(range(20)))
    return model.save(tmp_path_factory.mktemp("bundles") / "walks")


def at_once(write: Callable[[int], Any]) -> tuple[list[int], list[str]]:
    """Let threads write at once; return the numbers of those that wrote, and what the others were told."""
    start, wrote, told = threading.Barrier(WRITERS), [], []

    def run(number: int) -> None:
        start.wait()
        try:
            write(number)
            wrote.append(number)
        except InputError as error:
            told.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrote, told


def test_folders(tmp_path: Path) -> None:
    for turn in range(15):
        target = check_folder(tmp_path / str(turn), "rekur-c")
        if turn % 3 == 1:
            target.mkdir()
        if turn % 3 == 2:
            target.mkdir()
            (target / ".note").write_text("mine")
        files = {"manifest.json": b'{"format": "rekur-c", "files": ["number"]}'}
        wrote, told = at_once(
            lambda number, target=target, files=files: write_folder(
                target, {**files, "number": b"%d" % number}, "rekur-c"
            )
        )
        assert len(wrote) == 1
        assert (target / "number").read_text() == str(wrote[0])
        assert len(told) == WRITERS - 1
        assert all("expected a folder that is new or empty (an export is there)" in text for text in told)
        assert sorted(path.name for path in target.iterdir() if path.name != ".note") == ["manifest.json", "number"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(15)))


def test_files(tmp_path: Path) -> None:
    for turn in range(15):
        file = tmp_path / f"{turn}.bin"
        wrote, told = at_once(lambda number, file=file: write_file(file, b"%d" % number, overwrite=False))
        assert (len(wrote), len(told)) == (1, WRITERS - 1)
        assert file.read_text() == str(wrote[0])
    assert len(list(tmp_path.iterdir())) == 15


def test_bundles(bundle: Path, tmp_path: Path) -> None:
    source = read_bundle(bundle)
    for turn in range(3):
        target = tmp_path / str(turn)
        wrote, told = at_once(
            lambda number, target=target: write_quantised(source, target, ("int8", "bfloat16")[number % 2])
        )
        assert (len(wrote), len(told)) == (1, WRITERS - 1)
        assert read_bundle(target).quantised == ("int8", "bfloat16")[wrote[0] % 2]


@pytest.mark.slow
def test_processes(bundle: Path, tmp_path: Path) -> None:
    """Three exports and two quantisations at once into new folders: of each one ends with 0, the others with 2."""
    data = tmp_path / "walks.csv"
    data.write_text("run,a,b,y\n" + "".join(f"{n},{n},{n % 3},{n}\n{n},0,1,{n}\n" for n in range(12)))
    reading = ["--data", data, "--group", "run", "--series", "a", "--series", "b", "--label", "y"]
    commands = 3 * [["export", bundle, "--to", "c", "--out", tmp_path / "c"]]
    commands += 3 * [["export", bundle, "--to", "onnx", "--out", tmp_path / "onnx"]]
    commands += 2 * [["quantize", bundle, "--out", tmp_path / "small", "--tolerance", "1000", *reading]]
    started = [
        subprocess.Popen([sys.executable, "-m", "rekur", *map(str, words)], stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    told = [process.communicate()[1] for process in started]
    codes = [process.returncode for process in started]
    assert [sorted(codes[:3]), sorted(codes[3:6]), sorted(codes[6:])] == [[0, 2, 2], [0, 2, 2], [0, 2]], told
    assert all(
        not code or "expected a folder that is new or empty" in text for code, text in zip(codes, told, strict=True)
    )
