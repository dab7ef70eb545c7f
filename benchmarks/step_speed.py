"""Time one streaming step called from Python, and ten thousand at once, in one run; print ratios.

    python benchmarks/step_speed.py                     # every section, a minute or two
    python benchmarks/step_speed.py --quick             # under a minute
    python benchmarks/step_speed.py --only one          # one section
    python benchmarks/step_speed.py --plot FILE         # draw times and floors over the hidden size (.svg or .png)
    python benchmarks/step_speed.py --markdown PAGE     # fill in the table of docs/why/speed.md
    python benchmarks/step_speed.py --json              # one JSON object as the last line

- *one*: one step of one stream, one thread: ``Stepper.step_one`` with weights of 32, 16 and 8 bits against the better
  of ``nn.X`` (T = 1) and ``nn.XCell``, and against ONNX Runtime, which is called both on arrays and on bound memory.
- *many*: one ``Stepper.step`` for ten thousand streams, with ``--threads``, against the machine's large product and
  against the two products of the step alone.

Inputs differ from step to step, I = H, and the state is carried; 64 outputs of every rival are checked against float64
before it is timed. Rivals take turns; every figure is a median.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

import roofline
import step_rivals
from rekur._stepper import Stepper
from timing import (
    CLOCKS,
    GATES,
    Figure,
    Progress,
    Report,
    Run,
    finish,
    large_product,
    machine,
    picked_sections,
    print_rows,
    shared_options,
    take_turns,
)

SECTIONS = ("one", "many")
ROUNDS = (25, 11)
STEPS = 64  # of different inputs, one after the other
SIZES, QUICK = (16, 32, 64, 128, 256, 512), (32, 64, 128, 256)
STREAMS, STREAMS_HIDDEN = 10_000, 128
#: heads of columns
SHORT = {
    "rekur": "rekur",
    "rekur bf16": "bf16",
    "rekur int8": "int8",
    "torch layer": "nn.X",
    "torch cell": "XCell",
    "onnx run": "ONNX",
    "onnx bound": "bound",
}
TORCH, ONNX = ("torch layer", "torch cell"), ("onnx run", "onnx bound")


def errors_of(rivals: dict[str, step_rivals.Rival], wanted: np.ndarray[Any, Any], what: str) -> dict[str, float]:
    """Return how far each rival's first outputs are from float64's, and check that it is not too far."""
    errors = {}
    for name, rival in rivals.items():
        got = np.stack([rival.read(rival.step(row)) for row in rival.inputs])
        errors[name] = float(np.abs(got - wanted).max())
        assert errors[name] < rival.tolerance, f"{what}, {name}: off by {errors[name]:.1e}"
    return errors


def all_steps(rival: step_rivals.Rival) -> Run:
    """Return a run of a rival through all its inputs."""
    step, inputs = rival.step, rival.inputs

    def run() -> None:
        for row in inputs:
            step(row)

    return run


def one_stream(kind: str, hidden: int, given: argparse.Namespace, repeats: int, onnx: bool) -> dict[str, Any]:
    """Return the row of one cell and size."""
    layer, x, wanted = step_rivals.reference(kind, hidden, STEPS)
    rivals = step_rivals.rivals(kind, layer, x, onnx=onnx)
    with torch.inference_mode():
        errors = errors_of(rivals, wanted, f"{kind} H{hidden}")
        runs = {name: all_steps(rival) for name, rival in rivals.items()}
        timed = take_turns(runs, repeats=repeats, clock=CLOCKS[given.clock])
    micro = {name: 1e6 * seconds / STEPS for name, seconds in timed.seconds.items()}
    return {
        "section": "one",
        "cell": kind,
        "hidden": hidden,
        "us": micro,
        "torch": min(micro[name] for name in TORCH),
        "onnx": min(micro[name] for name in ONNX) if onnx else None,
        "errors": errors,
        "rounds": timed.rounds,
    }


def many_streams(given: argparse.Namespace, repeats: int) -> dict[str, Any]:
    """Return the row of ten thousand streams of a GRU, and check some of them against float64."""
    hidden, count = given.sizes[-1] if given.sizes else STREAMS_HIDDEN, given.streams
    layer, _, _ = step_rivals.reference("gru", hidden, 1)
    x = torch.randn(count, hidden)
    rows, out = x.numpy(), np.empty((count, hidden), np.float32)
    slots = np.arange(count)
    shuffled = np.random.default_rng(0).permutation(count)
    exact = torch.nn.GRU(hidden, hidden).double()
    exact.load_state_dict(layer.state_dict())
    runs: dict[str, Run] = {}
    errors = {}
    with torch.inference_mode():
        wanted = exact(x.double().expand(2, -1, -1))[0][1].numpy()
        for name, (precision, tolerance) in step_rivals.PRECISIONS.items():
            made = [step_rivals.step_layer("gru", layer)]
            stepper = Stepper(made, slots=count, precision=precision, threads=given.threads)
            stepper.step(slots, rows)
            errors[name] = float(np.abs(stepper.step(slots, rows) - wanted).max())
            assert errors[name] < tolerance, f"{name}, {count} streams: off by {errors[name]:.1e}"
            runs[name] = lambda stepper=stepper: stepper.step(slots, rows, out)
            if precision == "float32":
                runs["rekur, any order"] = lambda stepper=stepper: stepper.step(shuffled, rows, out)
        cell = torch.nn.GRUCell(hidden, hidden)
        cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in layer.state_dict().items()})
        state = torch.zeros(count, hidden)

        def cell_step() -> None:
            nonlocal state
            state = cell(x, state)

        product = torch.empty(count, 3 * hidden)
        weights = [getattr(layer, name).detach().t().contiguous() for name in ("weight_ih_l0", "weight_hh_l0")]

        def products() -> None:
            torch.mm(x, weights[0], out=product)
            torch.mm(state, weights[1], out=product)

        runs |= {"torch cell": cell_step, "products alone": products}
        runs["sgemm"], work = large_product(given.product)
        timed = take_turns(runs, repeats=repeats, clock=CLOCKS[given.clock])
    taken, flops = timed.seconds, 12.0 * count * hidden**2
    rate = work / taken["sgemm"]
    return {
        "section": "many",
        "cell": "gru",
        "hidden": hidden,
        "streams": count,
        "ms": timed.milliseconds(),
        "gflops": {name: flops / seconds / 1e9 for name, seconds in taken.items() if name != "sgemm"},
        "sgemm_gflops": rate / 1e9,
        "share_of_sgemm": flops / taken["rekur"] / rate,
        "overhead_us": 1e6 * (taken["rekur"] - taken["products alone"]) / count,
        "errors": errors,
        "rounds": timed.rounds,
    }


def step_figures(report: Report) -> list[Figure]:
    """Return the figures of one stream."""
    rows = [row for row in report.of("one") if row["cell"] in ("gru", "lstm")]
    small = [row for row in rows if row["hidden"] <= 64]
    large = [row for row in rows if row["hidden"] in (128, 256)]
    wide = [row for row in rows if row["hidden"] >= 128]

    def worst(name: str, rows: list[dict[str, Any]], above: str, below: str, wanted: float, more: bool) -> Figure:
        values = {}
        for row in rows:
            top = row[above] if above in row else row["us"][above]
            if top is not None:
                values[f"{row['cell'].upper()} H{row['hidden']}"] = top / row["us"][below]
        if not values:
            why = report.absent.get("ONNX Runtime", "no such size") if above == "onnx" else "no such size"
            return Figure(name, None, wanted, more, why)
        point = (min if more else max)(values, key=lambda point: values[point])
        return Figure(name, values[point], wanted, more, f"worst: {point}")

    return [
        worst("ONNX Runtime / rekur, H ≤ 64", small, "onnx", "rekur", 6, True),
        worst("torch / rekur, H ≤ 64", small, "torch", "rekur", 15, True),
        worst("ONNX Runtime / rekur, H = 128, 256", large, "onnx", "rekur", 1.8, True),
        worst("torch / rekur, H = 128, 256", large, "torch", "rekur", 5, True),
        worst("bfloat16 weights / float32, H ≥ 128", wide, "rekur bf16", "rekur", 0.6, False),
        worst("int8 weights / float32, H ≥ 128", wide, "rekur int8", "rekur", 0.4, False),
    ]


def stream_figures(report: Report) -> list[Figure]:
    """Return the figures of many streams."""
    (row,) = report.of("many")
    point = f"GRU H{row['hidden']}, {row['streams']} streams"
    return [
        Figure("share of the sgemm rate, one step for all", row["share_of_sgemm"], 0.6, note=point),
        Figure("µs a stream and step beside the products", row["overhead_us"], 0.3, at_least=False, note=point),
    ]


def show(report: Report) -> None:
    """Print a table for each section that has rows."""
    rows = report.of("one")
    if rows:
        names = list(rows[0]["us"])
        lines = []
        for row in rows:
            taken = row["us"]
            line = [f"{row['cell']} H{row['hidden']}", *(f"{taken[name]:.2f}" for name in names)]
            line += [f"{row[peer] / taken['rekur']:.1f}" if row[peer] else "–" for peer in ("onnx", "torch")]
            line += [f"{taken[name] / taken['rekur']:.2f}" for name in ("rekur bf16", "rekur int8")]
            lines.append(line)
        heads = ["", *(SHORT[name] for name in names), "ONNX /", "torch /", "bf16 /", "int8 /"]
        rounds = min(row["rounds"] for row in rows)
        print_rows(f"one stream, one thread: µs a step, medians of {rounds} rounds; ratios to rekur", heads, lines)
        errors = [f"{name} {max(row['errors'][name] for row in rows):.0e}" for name in names]
        print(f"furthest from float64: {', '.join(errors)}")
    for row in report.of("many"):
        lines = []
        for name, taken in row["ms"].items():
            rate = row["gflops"].get(name, row["sgemm_gflops"])
            per_stream = "–" if name == "sgemm" else f"{1e3 * taken / row['streams']:.3f}"
            lines.append([name, f"{taken:.2f}", per_stream, f"{rate:.0f}", f"{rate / row['sgemm_gflops']:.0%}"])
        title = f"{row['streams']} streams, GRU H{row['hidden']}: medians of {row['rounds']} rounds"
        print_rows(title, ["way", "ms", "µs a stream", "GFLOP/s", "of sgemm"], lines)


def draw(report: Report, given: argparse.Namespace) -> None:
    """Draw times of GRU and LSTM with the floors."""
    panels: dict[str, list[roofline.Steps]] = {}
    for row in report.of("one"):
        if row["cell"] == "rnn":
            continue
        times = {name: row["us"][name] for name in step_rivals.PRECISIONS}
        times |= {"torch": row["torch"]} | ({"ONNX Runtime": row["onnx"]} if row["onnx"] else {})
        rivals = panels.setdefault(row["cell"], [roofline.Steps(name, {}) for name in times])
        for rival in rivals:
            rival.microseconds[row["hidden"]] = times[rival.name]
    torch.set_num_threads(1)
    roofline.draw_steps(given.plot, panels, roofline.bandwidths(1), GATES)


def sizes(text: str) -> list[int]:
    """Return hidden sizes from text such as 32,64."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise ValueError(text)
    return found


def main() -> None:
    """Measure, print the tables, draw and fill in what was asked for."""
    parser = shared_options(__doc__, SECTIONS, ROUNDS)
    parser.add_argument("--sizes", type=sizes, metavar="H,…", help="these hidden sizes")
    parser.add_argument("--streams", type=int, default=STREAMS, help="how many streams step at once")
    given = parser.parse_args()
    wanted = picked_sections(parser, given.only, SECTIONS)
    if given.plot and "one" not in wanted:
        parser.error("--plot: the plot is of single steps; got --only without them")
    torch.manual_seed(0)
    began, report = time.perf_counter(), Report()
    repeats = given.repeats or ROUNDS[given.quick]
    no_onnx = step_rivals.why_no_onnx()
    if no_onnx:
        report.absent["ONNX Runtime"] = no_onnx
    kinds = ("gru", "lstm") if given.quick else ("gru", "lstm", "rnn")
    cases = [(kind, hidden) for kind in kinds for hidden in given.sizes or (QUICK if given.quick else SIZES)]
    cases = cases if "one" in wanted else []
    many = "many" in wanted
    work = repeats * (0.03 * len(cases) + (0.25 + 3e-5 * given.streams if many else 0)) + 5
    progress = Progress(len(cases) + many, work)
    torch.set_num_threads(1)
    for kind, hidden in cases:
        progress.next(f"one stream, {kind} H{hidden}")
        report.rows.append(one_stream(kind, hidden, given, repeats, not no_onnx))
    if many:
        progress.next(f"{given.streams} streams")
        torch.set_num_threads(given.threads)
        report.rows.append(many_streams(given, repeats))
    show(report)
    report.figures += (step_figures(report) if cases else []) + (stream_figures(report) if many else [])
    if given.plot:
        draw(report, given)
    finish("step_speed", report, machine(given.threads, given.clock), given, began)


if __name__ == "__main__":
    main()
