"""The program of an export to C reads lines as ``rekur stream`` reads them, and refuses those that it refuses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.e2e.conftest import Run
from tests.profiles import draws

from rekur.cli.main import main

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

#: lines of two channels, and lines that are none
ROWS = [
    "1 2",
    "1,2",
    "1;2",
    "1\t2",
    "[1, 2]",
    " 1  2 ",
    "1, 2",
    "+1 -2.5e-3",
    ".5 5.",
    "[NaN, null]",
    "[-0.5e3, 0]",
    "0001 2E2",
]
MISSING = [",2", "1,", ",", "\t2", "1\t", ";", "NA 1", "? nan", "n/a,None", "1, ", "NULL;2", "[null,1]"]
WRONG = ["1", "1 2 3", "1,,3", "1,2,3", "1,5 2,5", "1;2,5", "1_0 2", "0x10 2", "1 2x", "1e 2", "1e+ 2", ". 1", "- 1"]
WRONG += [
    "inf 1",
    "1 -infinity",
    "1e999 2",
    "nan(1) 2",
    "[1 2]",
    "[1,,2]",
    "[1,2",
    "1,2]",
    "[[1,2]]",
    "[]",
    "NaNa 1",
    "1\0,2",
]
WRONG += [
    "1,2\0",
    "--1 2",
    "1.2.3 4",
    "1 2 #",
    "a b",
    "[,]",
    "[+1, 2]",
    "[.5, 1]",
    "[1., 2]",
    "[01, 2]",
    "[?, 1]",
    "[nan, 1]",
    "[1, 2],",
    "1\u00a0000 2",
    "1, 2 3",
]


@pytest.fixture(scope="session")
def program(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled program of a model of two channels."""
    folder = tmp_path_factory.mktemp("c") / "wear"
    assert main(["export", str(bundles["wear"]), "--to", "c", "--out", str(folder), "--name", "wear"]) == 0
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    subprocess.run(["cc", *flags, "main.c", "wear.c", "-o", "program"], cwd=folder, check=True)
    return folder / "program"


def agree(program: Path, bundle: Path, cli: Run, text: bytes) -> int:
    """Check that both say the same of lines, and return the exit code."""
    ours = subprocess.run([program], input=text, capture_output=True, check=False)
    theirs = cli("stream", bundle, stdin=text)
    values = [line.rsplit("\t", 1)[1] for line in theirs.out.splitlines() if "\t" in line]
    assert [float(line) for line in ours.stdout.decode().splitlines()] == pytest.approx(
        list(map(float, values)), rel=1e-4, abs=1e-5
    )
    assert ours.returncode == theirs.code, (text, ours.stderr, theirs.err)
    if theirs.code:
        place = theirs.err.split("standard input, ")[1].split(":")[0]
        assert ours.stderr.decode().startswith(f"{place}: got "), (ours.stderr, theirs.err)
        assert len(ours.stderr.splitlines()) == 1
    return ours.returncode


def test_lines(program: Path, bundles: dict[str, Path], cli: Run) -> None:
    text = "\n".join([*ROWS, *MISSING, "", *ROWS, "  \t", *MISSING])
    for ending in ("", "\n"):
        assert agree(program, bundles["wear"], cli, (text + ending).encode()) == 0
    assert agree(program, bundles["wear"], cli, b"\xef\xbb\xbf1,2\r\n3,\r\n\r\n5,6\r\n") == 0
    for line in WRONG:
        assert agree(program, bundles["wear"], cli, f"1 2\n{line}\n3 4\n".encode()) == 2, line


PIECES = ["1", "-2.5", "3e-1", "", "NA", "nan", "?", "x", "1_0", "0x1", "1e", "inf", "1 2", " 4 ", "+.5", "[", "]"]


@draws(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=3), separator=st.sampled_from([",", ";", "\t", " ", ", ", ",\t"])
)
def test_any_line(program: Path, bundles: dict[str, Path], cli: Run, pieces: list[str], separator: str) -> None:
    line = separator.join(pieces)
    for text in (line, f"[{line}]"):
        agree(program, bundles["wear"], cli, f"0 0\n{text}\n1 1\n".encode())


def test_a_line_that_is_too_long(program: Path) -> None:
    for line in (b"1 2" + b" " * 70000, b"0" * 65535 + b" 1", b"1 2\0\n"):
        done = subprocess.run([program], input=line, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr.endswith(b"expected a line of text of less than 65536 bytes\n")
    fits = b"1 " + b"2" * 1000 + b"e-999"
    assert subprocess.run([program], input=fits, capture_output=True, check=False).returncode == 0
