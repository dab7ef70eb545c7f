"""What the benchmarks of speed share: rivals that take turns, figures with what they are to reach, tables.

Axes: B batch, T time, H hidden.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from rekur.scan import native

Run = Callable[[], object]
Clock = Callable[[], float]

#: products a step of each kind of cell has with its input, and as many with its state
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class Figure:
    """One number and what it is to reach.

    Attributes:
        name: what was measured.
        value: the number; None where it was not measured.
        wanted: the number to reach.
        at_least: whether more is better.
        note: which point it is of, or why it was not measured.
    """

    name: str
    value: float | None
    wanted: float
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    def cells(self) -> tuple[str, str, str, str]:
        """Return name, value, what was wanted and note, as text."""
        value = "–" if self.value is None else f"{self.value:.2f}"
        return self.name, value, f"{'≥' if self.at_least else '≤'} {self.wanted:g}", self.note


@dataclass(frozen=True)
class Timed:
    """Medians of rivals that took turns.

    Attributes:
        seconds: of one run, by rival.
        rounds: how often each had its turn.
    """

    seconds: dict[str, float]
    rounds: int

    def milliseconds(self) -> dict[str, float]:
        """Return milliseconds by rival."""
        return {name: 1000 * taken for name, taken in self.seconds.items()}


@dataclass
class Report:
    """What a script has measured so far: rows, figures, and what it could not measure."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)

    def of(self, section: str) -> list[dict[str, Any]]:
        """Return the rows of a section."""
        return [row for row in self.rows if row["section"] == section]


class Progress:
    """One line on stderr for each case, with the time so far.

    Args:
        cases: how many there will be.
        seconds: about how long all will take.
    """

    def __init__(self, cases: int, seconds: float) -> None:
        self.cases, self.done, self.began = cases, 0, time.perf_counter()
        print(f"{cases} cases, about {duration(seconds)}", file=sys.stderr, flush=True)

    def next(self, what: str) -> None:
        """Say which case begins."""
        self.done += 1
        passed = time.perf_counter() - self.began
        print(f"[{self.done}/{self.cases}] {passed:4.0f} s  {what}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Return a time in words."""
    return f"{max(seconds, 1):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def take_turns(rivals: dict[str, Run], *, repeats: int, clock: Clock, burst: float = 0.002) -> Timed:
    """Return the median seconds of each rival; they take turns, and the one that begins changes from round to round.

    Args:
        rivals: what to run, by name.
        repeats: rounds.
        clock: which clock counts.
        burst: a turn runs a short rival as often as it takes to fill so many seconds.
    """
    counts = {}
    for name, run in rivals.items():
        run()  # compiles, packs, touches its memory
        start = time.perf_counter()
        run()
        counts[name] = max(1, int(burst / max(time.perf_counter() - start, 1e-9)))
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    names = list(rivals)
    gc.collect()
    gc.disable()
    try:
        for number in range(repeats):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                run, count = rivals[name], counts[name]
                start = clock()
                for _ in range(count):
                    run()
                taken[name].append((clock() - start) / count)
    finally:
        gc.enable()
    return Timed({name: statistics.median(times) for name, times in taken.items()}, repeats)


def large_product(size: int, dtype: torch.dtype = torch.float32) -> tuple[Run, float]:
    """Return a product of square matrices, by which a machine's rate is told, and its multiply-adds times two."""
    a, b, out = (torch.randn(size, size).to(dtype) for _ in range(3))
    return lambda: torch.mm(a, b, out=out), 2.0 * size**3


def training_work(kind: str, steps: float, hidden: int) -> float:
    """Return the floating-point operations of forward and backward over ``steps`` = B·T real steps, I = H."""
    return 12.0 * steps * GATES[kind] * hidden**2


def geometric_mean(values: Sequence[float]) -> float | None:
    """Return the geometric mean; None of nothing."""
    return statistics.geometric_mean(values) if values else None


def sentence_lengths(count: int, batch_size: int) -> tuple[list[Tensor], str]:
    """Return so many random batches of lengths of rt_polarity's sentences, and where they come from.

    The data stand in $REKUR_DATA or ../shared/data; where they do not, lengths are drawn from a log-normal
    distribution with the same mean (21), median (20) and greatest (59).
    """
    random = np.random.default_rng(0)
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root / "rt_polarity" / "train.tsv"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        lengths = np.array([len(line.split("\t")[1].split()) for line in lines])
        source = "lengths of rt_polarity"
    else:
        lengths = np.clip(np.rint(random.lognormal(np.log(20), 0.46, 8530)), 1, 59).astype(np.int64)
        source = "rt_polarity absent: lengths drawn log-normally, with its mean of 21"
    picked = random.permutation(len(lengths))[: count * batch_size].reshape(count, batch_size)
    return [torch.from_numpy(lengths[rows]) for rows in picked], source


def has_amx() -> bool:
    """Return whether the processor multiplies tiles of bfloat16."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def machine(threads: int, clock: str) -> dict[str, Any]:
    """Return what the times depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": named[0] if named else platform.processor() or platform.machine(),
        "instruction_set": native.kernels.instruction_set() if native.available() else "no compiled kernels",
        "amx": has_amx(),
        "threads": threads,
        "clock": clock,
        "torch": torch.__version__,
    }


def machine_words(about: dict[str, Any]) -> str:
    """Return one line on the machine."""
    amx = "AMX" if about["amx"] else "no AMX"
    threads = f"{about['threads']} thread{'s' if about['threads'] > 1 else ''}"
    kernels = f"kernels: {about['instruction_set']}"
    return f"{about['processor']}, {amx}, {threads}, {kernels}, torch {about['torch']}, {about['clock']} clock"


def shared_options(
    description: str | None, sections: Iterable[str], rounds: tuple[int, int]
) -> argparse.ArgumentParser:
    """Return a parser with the options that the scripts have in common; ``rounds`` are usual ones and quick ones."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument("--only", metavar="SECTION,…", help=f"of {', '.join(sections)}")
    parser.add_argument("--repeats", type=int, help=f"rounds; {rounds[0]} by default, with --quick {rounds[1]}")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--product", type=int, default=2048, help="rows of the product that tells the machine's rate")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the roofline")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="fill in this script's table in a page")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser


def picked_sections(parser: argparse.ArgumentParser, only: str | None, sections: Sequence[str]) -> list[str]:
    """Return the sections asked for, in their order."""
    wanted = list(sections) if only is None else [name.strip() for name in only.split(",")]
    unknown = [name for name in wanted if name not in sections]
    if unknown:
        parser.error(f"--only: got {', '.join(unknown)}; expected some of {', '.join(sections)}")
    return [name for name in sections if name in wanted]


def print_rows(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose cells after the first stand at the right."""
    table = Table(title=title, title_justify="left")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_figures(report: Report) -> None:
    """Print the figures, green where reached and red where not."""
    table = Table("figure", title="Figures", title_justify="left")
    for head in ("value", "to reach", "of"):
        table.add_column(head, justify="left" if head == "of" else "right")
    for figure in report.figures:
        name, value, wanted, note = figure.cells()
        colour = {True: "green", False: "red", None: "dim"}[figure.met]
        table.add_row(name, f"[{colour}]{value}[/{colour}]", wanted, note)
    console().print(table)
    for what, why in report.absent.items():
        console().print(f"{what}: {why}")


def console() -> Console:
    """Return the console for tables; wide enough for them where it is not a terminal."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=130, highlight=False)


def finish(name: str, report: Report, about: dict[str, Any], given: argparse.Namespace, began: float) -> None:
    """Print the figures, fill in the page and print the JSON object, as asked for."""
    seconds = time.perf_counter() - began
    if report.figures:
        print_figures(report)
    print(f"{machine_words(about)}; took {duration(seconds)}")
    if given.markdown:
        fill_in(given.markdown, name, as_markdown(report.figures, about))
    if given.json:
        figures = [{**asdict(figure), "met": figure.met} for figure in report.figures]
        absent = report.absent
        print(json.dumps({"machine": about, "figures": figures, "rows": report.rows, "absent": absent, "s": seconds}))


def as_markdown(figures: Sequence[Figure], about: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = ["| what | measured | to reach | of |", "| --- | ---: | ---: | --- |"]
    for figure in figures:
        name, value, wanted, note = figure.cells()
        value = f"**{value}**" if figure.met is False else value
        lines.append(f"| {name} | {value} | {wanted} | {note} |")
    return "\n".join([*lines, "", f"{machine_words(about)}.", ""])


def fill_in(page: Path, name: str, table: str) -> None:
    """Put a table between a page's two marks of this name."""
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = page.read_text(encoding="utf-8")
    if text.count(first) != 1 or text.count(last) != 1:
        sys.exit(f"{page}: got no such place; expected the lines {first} and {last}, once each.")
    before, _, rest = text.partition(first)
    after = rest.partition(last)[2]
    page.write_text(f"{before}{first}\n\n{table}\n{last}{after}", encoding="utf-8")
