"""The process from its first moment to its last: Ctrl-C at any time, and streams that are closed, full or not read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Done, environment

CLOSED = "rekur: standard output: got a closed one; expected one that can be written. Results are lost.\n"
FULL = CLOSED.replace("a closed one", "'No space left on device'")

#: runs a command in which Ctrl-C comes at chosen moments: when a module is imported, and how
INTERRUPTED = """
import signal, sys, weakref

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            sys.meta_path.remove(self)
            HOW

def press():
    signal.raise_signal(signal.SIGINT)

def in_callback():
    class Item: pass
    item = Item()
    sys.kept = weakref.ref(item, lambda _: press())
    del item

def as_import_error():
    try:
        press()
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error

def and_again():
    try:
        press()
    finally:
        press()

sys.meta_path.insert(0, Finder())
from rekur.cli.main import run
run()
"""


def redirected(redirection: str, *words: Any, **extra: str) -> Done:
    """Run a command in a shell with its streams redirected."""
    command = ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", sys.executable, "-m", "rekur"]
    done = subprocess.run(
        [*command, *map(str, words)], capture_output=True, timeout=200, env=environment(**extra), check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def shown(files: dict[str, Path], bundles: dict[str, Path]) -> list[list[Any]]:
    """Commands that write in each of the ways there are: click's, rich's, rows of CSV, one JSON object."""
    return [
        ["--help"],
        ["data", files["reviews"]],
        ["predict", bundles["words"], files["reviews"]],
        ["program", bundles["words"], "--json"],
    ]


def test_results_that_cannot_be_written_are_told(shown: list[list[Any]]) -> None:
    for words in shown:
        done = redirected(">/dev/full", *words)
        assert (done.code, done.out, done.err) == (2, "", FULL), words
    for words in shown[:2]:
        done = redirected(">&-", *words, PYTHONUNBUFFERED="1")
        assert (done.code, done.out, done.err) == (2, "", CLOSED), words


def test_a_reader_that_goes_away_ends_a_command_in_good_order(shown: list[list[Any]], files: dict[str, Path]) -> None:
    for words in (*shown, ["data", files["walks"], "--json"]):
        done = redirected("| head -c 1", *words)
        assert (done.code, len(done.out), done.err) == (0, 1, ""), words


def test_messages_that_nobody_reads_change_nothing(shown: list[list[Any]], bundles: dict[str, Path]) -> None:
    for redirection in ("2>&-", "2>/dev/full"):
        assert redirected(redirection, *shown[1]).code == 0
        done = redirected(redirection, "predict", bundles["words"], "no.csv", "--json")
        assert (done.code, json.loads(done.out)["exit_code"]) == (2, 2)
    assert redirected(">&- 2>&-", *shown[1]).code == 2


@pytest.mark.parametrize("words", [["stream"], ["score", "-"], ["generate", "--prompt", "-"]])
def test_standard_input_that_is_closed_is_told(words: list[str], bundles: dict[str, Path], tmp_path: Path) -> None:
    from rekur import LanguageModel

    bundle = bundles["words"]
    if words[0] != "stream":
        bundle = tmp_path / "book"
        LanguageModel(hidden_size=4, steps=2, baseline=False).fit("to be or not to be\n" * 40).save(bundle)
    done = redirected("<&-", words[0], bundle, *words[1:])
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert re.fullmatch("rekur: standard input: .*got a closed one; expected one that can be read.\n", done.err)


def test_a_file_never_gets_the_number_of_a_closed_stream(bundles: dict[str, Path], tmp_path: Path) -> None:
    """What is written to a closed standard error must not end in the file that was opened next."""
    out = tmp_path / "written"
    done = redirected(">/dev/null 2>&- <&-", "quantize", bundles["words"], "--data", "no.csv", "--out", out)
    assert (done.code, out.exists()) == (2, False)
    code = "from rekur.cli.streams import replace; replace(); print(open('/dev/null').fileno() > 2)"
    command = ["bash", "-c", '"$@" <&- 2>&-', "bash", sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, env=environment(), check=True).stdout == b"True\n"


@pytest.mark.parametrize(
    ("module", "how"),
    [
        *((module, "press") for module in ("rekur.cli.interrupts", "rekur.cli.streams", "click", "numpy", "csv")),
        *((module, how) for module in ("click", "numpy") for how in ("in_callback", "as_import_error", "and_again")),
    ],
)
def test_ctrl_c_at_any_moment_is_one_line(module: str, how: str, files: dict[str, Path]) -> None:
    code = INTERRUPTED.replace("MODULE", repr(module)).replace("HOW", f"{how}()")
    command = [sys.executable, "-c", code, "data", str(files["reviews"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (130, "rekur: stopped.\n")


def test_an_installation_that_is_broken_is_not_called_missing() -> None:
    from rekur import _check
    from rekur.errors import MissingDependencyError

    with pytest.raises(MissingDependencyError, match="installation is broken"):
        _need_of("raise ImportError('libnone.so: cannot open shared object file')")
    with pytest.raises(MissingDependencyError, match="whose installation is broken"):
        _need_of("import a_part_that_is_gone")
    with pytest.raises(MissingDependencyError, match=r"'not_there', which is not installed. pip install"):
        _check.need("not_there.part", "export", "exporting")


def _need_of(code: str) -> None:
    """Ask for a package whose import does this."""
    import importlib.abc
    import importlib.util

    from rekur import _check

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
            return importlib.util.spec_from_loader(name, self) if name == "a_broken_package" else None

        def exec_module(self, module: Any) -> None:
            exec(code, module.__dict__)

    sys.meta_path.insert(0, finder := Finder())
    try:
        _check.need("a_broken_package", "export", "exporting")
    finally:
        sys.meta_path.remove(finder)


def test_a_fault_of_rekur_s_own_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from rekur.cli import data
    from rekur.cli.main import main

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a fault")

    monkeypatch.setattr(data.command, "callback", fail)
    with pytest.raises(AssertionError):
        main(["data", "no.csv", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 1
    assert "a fault of Rekur's own" in err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (OSError(5, "Input/output error"), 2, "'Input/output error'"),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: got 'Permission denied'"),
        (OverflowError("int too big to convert"), 2, "too large"),
        (RecursionError("maximum recursion depth exceeded"), 2, "nested too deeply"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 2, "utf-8"),
        (MemoryError(), 1, "memory: "),
        (ImportError("no symbol", name="torch._C"), 3, "package 'torch._C': got 'no symbol'"),
    ],
)
def test_what_comes_from_outside_is_told_in_a_sentence(
    error: Exception, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from rekur.cli import data
    from rekur.cli.main import main

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(data.command, "callback", fail)
    assert main(["data", "no.csv"]) == code
    assert text in capsys.readouterr().err
