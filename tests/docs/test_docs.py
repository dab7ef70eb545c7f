"""Every code block of the README and of docs/ runs, page by page, in a folder of its own.

Python blocks of a page share one namespace, as a reader would type them. Shell blocks run in bash, with the command of
this environment, or without ``--slow`` with one that does the same and starts at once. A block that installs or calls
make is not run; what it names must exist. A ``text`` block is what the block before it prints: each of its lines must
be there, in order, whatever the numbers.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.docs import forking

import rekur

ROOT = Path(__file__).parents[2]
#: the page of commands shows the help of each, whose examples name files of the reader
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.name != "command-line.md")]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "sh"}
SHOWN = {"text", "toml", "json", "csv"}


class Block(NamedTuple):
    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text[: m.start()].count("\n") + 2) for m in FENCE.finditer(text)]


def test_every_block_says_what_it_is() -> None:
    unknown = {f"{p.name}:{b.line}: {b.language!r}" for p in PAGES for b in blocks(p)} - {
        f"{p.name}:{b.line}: {b.language!r}" for p in PAGES for b in blocks(p) if b.language in RUN | SHOWN
    }
    assert unknown == set()


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """Yield a folder with a ``rekur`` that starts at once; None with ``--slow``, which runs the real one."""
    if request.config.getoption("--slow") or not hasattr(os, "fork"):
        yield None
        return
    folder = tmp_path_factory.mktemp("quick")
    (folder / "rekur").write_text(forking.script(folder / "socket"), encoding="utf-8")
    (folder / "rekur").chmod(0o755)
    command = [sys.executable, forking.__file__, str(folder / "socket")]
    with subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}) as server:
        while not (folder / "socket").exists():
            assert server.poll() is None
            time.sleep(0.05)
        yield folder
        server.terminate()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_runs(page: Path, quick: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signals = "kill" in page.read_text(encoding="utf-8")  # they are for the command itself
    programs = [*([quick] if quick and not signals else []), Path(sys.executable).parent]
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, programs), os.environ["PATH"]]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "80")
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
            printed = out.getvalue()
        elif block.language == "sh" and re.search(r"^\s*(pip install|make|git clone|cd) ", block.code, re.MULTILINE):
            check_set_up(block.code)
        elif block.language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.code], capture_output=True, text=True, timeout=500, check=False
            )
            assert done.returncode == 0, f"{where}\n{block.code}\n{done.stdout}\n{done.stderr}"
            printed = f"{done.stderr}\n{done.stdout}"
        elif block.language == "text":
            check_shown(block.code, printed, where)


def check_shown(shown: str, printed: str, where: str) -> None:
    """Check that every line shown was printed, in this order; numbers and bars may differ, ``…`` ends what counts."""
    lines = iter([general(line) for line in printed.splitlines()])
    for line in shown.splitlines():
        wanted, cut, _ = line.partition("…")
        wanted = general(wanted)
        if wanted:
            found = any(one.startswith(wanted) if cut else one == wanted for one in lines)
            assert found, f"{where}: not printed, or not in this order: {line!r}\n{printed}"


def general(line: str) -> str:
    """Return a line with numbers as 0, bars and runs of blanks taken together."""
    line = re.sub(r"[0-9][0-9.,]*", "0", line.replace("\t", " ").replace("*", " "))
    return re.sub(r"\s+", " ", re.sub(r"[█─]+", "", line)).strip()


def check_set_up(code: str) -> None:
    """Check that what a set-up block names exists: make targets and extras."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make (\w+)", code, re.MULTILINE)) <= targets
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for names in re.findall(r"rekur\[([\w,]+)\]", code):
        assert set(names.split(",")) <= set(extras)


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


def every_module() -> list[str]:
    found = pkgutil.walk_packages(rekur.__path__, "rekur.")
    return ["rekur", *sorted(module.name for module in found)]


@pytest.mark.parametrize("name", every_module())
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_the_page_of_commands_is_what_the_commands_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_tools"))
    command_line = importlib.import_module("command_line")
    fix = "Run: python docs/_tools/command_line.py"
    assert (ROOT / "docs/reference/command-line.md").read_text(encoding="utf-8") == command_line.page(), fix


def test_the_page_of_programs_lists_every_op() -> None:
    rules = importlib.import_module("rekur.program.rules")
    page = (ROOT / "docs" / "reference" / "program.md").read_text(encoding="utf-8")
    listed = {
        kind: (takes, gives)
        for takes, gives, row in re.findall(r"^\| (\w+) \| (\w+) \| (.*) \|$", page, re.MULTILINE)
        for kind in re.findall(r"`(\w+)`", row)
    }
    assert listed == {kind: (rule.takes, rule.gives) for kind, rule in rules.RULES.items()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built pages: those that REKUR_SITE names, or new ones; a broken link fails the build."""
    if "REKUR_SITE" in os.environ:
        return ROOT / os.environ["REKUR_SITE"]
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("room", ["cells", "data", "features", "nn", "runtime", "scan", "tasks", "train"])
def test_every_public_name_is_on_its_page(site: Path, room: str) -> None:
    page = (site / "reference" / room / "index.html").read_text(encoding="utf-8")
    for name in importlib.import_module(f"rekur.{room}").__all__:
        heading = rf'id="rekur\.{room}\.(\w+\.)?{name}"'
        assert re.search(heading, page) or f"<code>{name}</code>" in page, f"rekur.{room}.{name}"


def test_pages_show_no_markup_of_docstrings(site: Path) -> None:
    for page in (site / "reference").rglob("index.html"):
        left = re.findall(r":(?:math|class|meth|func|data):|\.\. math::", page.read_text(encoding="utf-8"))
        assert left == [], page
