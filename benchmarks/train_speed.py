"""Time training steps, forward and backward, against torch.nn, Flax and PyTorch loops, in one run; print ratios.

    python benchmarks/train_speed.py                       # every section, some minutes
    python benchmarks/train_speed.py --quick               # under a minute, without the widest layer and Flax
    python benchmarks/train_speed.py --only grid,ragged    # some sections
    python benchmarks/train_speed.py --plot FILE           # draw the roofline (.svg or .png)
    python benchmarks/train_speed.py --markdown PAGE       # fill in the table of docs/why/speed.md
    python benchmarks/train_speed.py --json                # one JSON object as the last line

- *grid*: ``rekur.nn.RNN``, ``LSTM`` and ``GRU`` against ``torch.nn``'s and ``flax.nnx.RNN``; float32.
- *ragged*: batches with rt_polarity's lengths, against ``pack_padded_sequence``.
- *custom*: an LSTM with layer normalisation and a GRU with recurrent dropout, against the best PyTorch loop.
- *bidirectional*: a layer of both directions against the same two one after the other.
- *bf16*: bfloat16 against our own float32, where the processor has AMX.

Every step computes the gradients of the inputs, of the weights and of the biases; I = H. PyTorch's rivals have our
weights, and give our outputs and gradients, which is checked first. Rivals take turns; every figure is a median. A
ratio of 2 means that Rekur takes half of the other's time. On a machine that others use too, ``--threads 1 --clock
processor`` counts only this process's own work.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

import roofline
from timing import (
    GATES,
    Figure,
    Progress,
    Report,
    finish,
    geometric_mean,
    large_product,
    machine,
    picked_sections,
    print_rows,
    shared_options,
    take_turns,
    training_work,
)
from training_cases import BF16, CASES, Bench, Size

SECTIONS = tuple(CASES)
ROUNDS = (9, 7)
NOT_RUN = "not run"


def ratio(row: dict[str, Any], other: str) -> float:
    """Return how many times as long the other takes."""
    return float(row["ms"][other] / row["ms"]["rekur"])


def name_of(row: dict[str, Any]) -> str:
    """Return cell and size of a row."""
    return f"{row['cell']} {Size(*row['size'])}"


def extreme(
    name: str, values: dict[str, float], wanted: float, *, at_least: bool = True, absent: str = NOT_RUN
) -> Figure:
    """Return the figure of the point that is worst."""
    if not values:
        return Figure(name, None, wanted, at_least, absent)
    worst = (min if at_least else max)(values, key=lambda point: values[point])
    return Figure(name, values[worst], wanted, at_least, f"worst: {worst}" if len(values) > 1 else worst)


def grid_figures(report: Report) -> list[Figure]:
    """Return the figures of the grid."""
    rows = report.of("grid")
    speed_up = {name_of(row): ratio(row, "torch") for row in rows}
    op_loops = [ratio(row, "torch") for row in rows if row["cell"] != "lstm"]
    flax = [ratio(row, "flax") for row in rows if "flax" in row["ms"]]
    large = {name_of(row): row["share_of_sgemm"] for row in rows if row["size"][0] >= 32 and row["size"][2] >= 128}
    taken = {(row["cell"], Size(*row["size"])): row["ms"]["rekur"] for row in rows}
    gates = {str(size): ms / taken["lstm", size] for (cell, size), ms in taken.items() if cell == "gru"}
    points = f"{len(rows)} points"
    return [
        Figure("torch / rekur, RNN and GRU, geometric mean", geometric_mean(op_loops), 2.5, note=points),
        Figure("torch / rekur, all cells, geometric mean", geometric_mean(list(speed_up.values())), 2.0, note=points),
        extreme("torch / rekur, each point", speed_up, 1.0),
        extreme("share of the sgemm rate, B ≥ 32 and H ≥ 128", large, 0.7),
        extreme("GRU time / LSTM time", gates, 0.85, at_least=False),
        Figure(
            "Flax / rekur, geometric mean",
            geometric_mean(flax),
            2.0,
            note=f"{len(flax)} points" if flax else report.absent.get("Flax", NOT_RUN),
        ),
    ]


def custom_figure(report: Report, cell: str) -> Figure:
    """Return the figure of a custom cell: the mean over the sizes, with the worst size and what is best there."""
    values = {}
    for row in report.of("custom"):
        if row["cell"] == cell:
            form, best = min(((n, ms) for n, ms in row["ms"].items() if n != "rekur"), key=lambda pair: pair[1])
            values[f"{Size(*row['size'])}, {form}"] = best / row["ms"]["rekur"]
    name = f"{cell}: best PyTorch loop / rekur, geometric mean"
    if not values:
        return Figure(name, None, 8.0, note=NOT_RUN)
    worst = min(values, key=lambda point: values[point])
    return Figure(name, geometric_mean(list(values.values())), 8.0, note=f"worst: {values[worst]:.2f}, {worst}")


def other_figures(report: Report) -> list[Figure]:
    """Return the figures of the other sections."""
    ragged = {f"{name_of(row)}, {row['lengths']}": ratio(row, "torch packed") for row in report.of("ragged")}
    found = [extreme("ragged: torch packed / rekur", ragged, 4.0)]
    found += [custom_figure(report, cell) for cell in ("layer-norm lstm", "dropped gru")]
    both = {name_of(row): (row["size"][0], 1 / ratio(row, "one after the other")) for row in report.of("bidirectional")}
    few = {name: value for name, (rows, value) in both.items() if rows <= 4}
    many = {name: value for name, (rows, value) in both.items() if rows >= 32}
    found.append(extreme("both directions / one after the other, B ≤ 4", few, 0.6, at_least=False))
    found.append(extreme("both directions / one after the other, B ≥ 32", many, 1.0, at_least=False))
    for size, wanted in BF16:
        values = {}
        for row in report.of("bf16"):
            if row["size"] == list(size):
                times = row["ms"]
                way = min(("rekur bf16", "rekur mixed"), key=lambda name: times[name])
                values[f"{row['cell']}, {way}"] = times["rekur f32"] / times[way]
        absent = report.absent.get("bf16", NOT_RUN)
        found.append(extreme(f"our float32 / our bfloat16, {size}", values, wanted, absent=absent))
    return found


def show(report: Report) -> None:
    """Print a table for each section that has rows."""
    for section in SECTIONS:
        rows = report.of(section)
        if not rows:
            continue
        names = list(dict.fromkeys(name for row in rows for name in row["ms"]))
        ours = names[0]
        heads = ["", "path", *(f"{name}\nms" for name in names)]
        heads += [f"ratio to\n{name}" for name in names[1:]] + ["GFLOP/s"]
        heads += ["sgemm", "share"] if section == "grid" else []
        lines = []
        for row in rows:
            taken = row["ms"]
            line = [name_of(row), row["path"]]
            line += [f"{taken[name]:.2f}" if name in taken else "–" for name in names]
            line += [f"{taken[name] / taken[ours]:.2f}" if name in taken else "–" for name in names[1:]]
            line.append(f"{row['gflops'][ours]:.0f}")
            if section == "grid":
                line += [f"{row['sgemm_gflops']:.0f}", f"{row['share_of_sgemm']:.0%}"]
            lines.append(line)
        rounds = min(row["rounds"] for row in rows)
        note = f", {rows[0]['lengths']}" if section == "ragged" else ""
        print_rows(f"{section}{note}: medians of {rounds} rounds", heads, lines)


def draw(report: Report, given: argparse.Namespace) -> None:
    """Draw the roofline of the grid."""
    rows = report.of("grid")
    peak = max(row["sgemm_gflops"] for row in rows)
    roofs = roofline.bandwidths(given.threads)
    groups: dict[str, list[roofline.Point]] = {}
    for row in rows:
        size = Size(*row["size"])
        bytes_moved = roofline.training_bytes(GATES[row["cell"]], *size, given.threads)
        intensity = training_work(row["cell"], size.batch * size.steps, size.hidden) / bytes_moved
        points = dict(row["gflops"])
        groups.setdefault(str(size), []).append(roofline.Point(row["cell"], intensity, points))
    roofline.draw_training(given.plot, groups, peak, roofs)


def sizes(text: str) -> list[Size]:
    """Return sizes from text such as 32x200x128."""
    found = [Size(*map(int, part.split("x"))) for part in text.split(",")]
    if any(min(size) < 1 for size in found):
        raise ValueError(text)
    return found


def main() -> None:
    """Measure, print the tables, draw and fill in what was asked for."""
    parser = shared_options(__doc__, SECTIONS, ROUNDS)
    parser.add_argument("--sizes", type=sizes, metavar="BxTxH,…", help="these sizes in every section")
    given = parser.parse_args()
    wanted = picked_sections(parser, given.only, SECTIONS)
    if given.plot and "grid" not in wanted:
        parser.error("--plot: the roofline is of the grid; got --only without it")
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    began, report = time.perf_counter(), Report()
    bench = Bench(given, given.repeats or ROUNDS[given.quick], report)
    cases = [case for section in wanted for case in CASES[section](bench)]
    product, work = large_product(512)
    rate = work / take_turns({"": product}, repeats=3, clock=time.perf_counter).seconds[""]
    progress = Progress(len(cases), sum(case.work for case in cases) * (bench.repeats + 3) / rate)
    for case in cases:
        progress.next(case.name)
        report.rows += case.measure()
    show(report)
    if "grid" in wanted:
        report.figures += grid_figures(report)
    report.figures += [figure for figure in other_figures(report) if figure.note != NOT_RUN]
    if given.plot:
        draw(report, given)
    finish("train_speed", report, machine(given.threads, given.clock), given, began)


if __name__ == "__main__":
    main()
