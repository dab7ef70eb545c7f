"""Time the scans against torch.nn.RNN, LSTM and GRU, padded and packed, in one run; print ratios.

    python benchmarks/scan_speed.py [--quick] [--threads 1] [--clock wall|processor] [--json]

A ratio of 2 means that Rekur takes half of PyTorch's time. Rivals take turns, and every figure is a median. On a
machine that others use too, ``--threads 1 --clock processor`` counts only this process's own work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rekur.cells import CELLS, make_cell
from rekur.scan import choose, runnable, scan

TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
SIZES = [(32, 200, 128), (64, 100, 256), (8, 1000, 64), (32, 100, 32)]
RAGGED = [(32, 59, 128), (64, 59, 256), (32, 59, 32)]
LINEAR = [(32, 200, 128), (8, 1000, 64), (1, 4000, 32)]


def sentence_lengths(batch_size: int, longest: int) -> Tensor:
    """Return lengths like those of short sentences: median about 20, at most ``longest``, one of them that long."""
    generator = torch.Generator().manual_seed(0)
    lengths = (20 * torch.exp(0.5 * torch.randn(batch_size, generator=generator))).round().long()
    lengths[0] = longest
    return lengths.clamp(1, longest)


def medians(rivals: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return milliseconds by name; the rivals take turns."""
    for run in rivals.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            start = clock()
            run()
            times[name].append(1000 * (clock() - start))
    return {name: statistics.median(taken) for name, taken in times.items()}


def training(forward: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor) -> Callable[[], object]:
    """Return one forward and backward pass."""

    def run() -> None:
        forward(x).backward(weight)

    return run


def inference(forward: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    """Return one forward pass without gradients."""

    def run() -> None:
        with torch.no_grad():
            forward(x)

    return run


def rivals_of(name: str, size: tuple[int, int, int], lengths: Tensor | None) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return ways to run one layer: Rekur's by path, PyTorch's padded and, for ragged batches, packed."""
    hidden = size[2]
    cell = make_cell(name, hidden, hidden)
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for path in runnable(cell):
        if path != "loop" and not (path == "vendor" and name != "lstm"):
            found[path] = lambda x, path=path: scan(cell, x, lengths=lengths, path=path)[0]
    if name in TORCH:
        layer = TORCH[name](hidden, hidden, batch_first=True)
        found["torch padded"] = lambda x: layer(x)[0]
        if lengths is not None:

            def packed(x: Tensor) -> Tensor:
                sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                return pad_packed_sequence(layer(sequence)[0], batch_first=True)[0]

            found["torch packed"] = packed
    else:
        found["loop"] = lambda x: scan(cell, x, lengths=lengths, path="loop")[0]
    return found


def measure(settings: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row for each cell, size and mode."""
    clock = time.process_time if settings.clock == "processor" else time.perf_counter
    cases = [(name, size, False) for size in SIZES for name in TORCH]
    cases += [(name, size, True) for size in RAGGED for name in TORCH]
    cases += [(name, size, False) for size in LINEAR for name in CELLS if name == "mingru"]
    if settings.quick:
        cases = [case for case in cases if case[1] in (SIZES[3], RAGGED[2], LINEAR[1])]
    for name, size, is_ragged in cases:
        batch_size, steps, hidden = size
        lengths = sentence_lengths(batch_size, steps) if is_ragged else None
        x = torch.randn(batch_size, steps, hidden, requires_grad=True)
        weight = torch.randn(batch_size, steps, hidden)
        rivals = rivals_of(name, size, lengths)
        chosen = choose(make_cell(name, hidden, hidden), x, lengths).path
        rivals = {r: run for r, run in rivals.items() if r != "loop" or steps <= 200}
        for mode in ("training", "inference"):
            runs = {
                rival: training(f, x, weight) if mode == "training" else inference(f, x.detach())
                for rival, f in rivals.items()
            }
            taken = medians(runs, settings.repeats, clock)
            yield {"cell": name, "size": size, "ragged": is_ragged, "mode": mode, "chosen": chosen, "ms": taken}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    settings = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(settings.threads)
    rows = []
    print(f"torch {torch.__version__}, {settings.threads} threads, {settings.clock} clock, milliseconds (* chosen)")
    for row in measure(settings):
        rows.append(row)
        ours = row["ms"][row["chosen"]]
        size = "B{} T{} H{}".format(*row["size"]) + (" ragged" if row["ragged"] else "")
        times = "  ".join(f"{n}{'*' if n == row['chosen'] else ''} {t:.1f}" for n, t in row["ms"].items())
        ratios = "  ".join(f"{n} {t / ours:.2f}" for n, t in row["ms"].items() if n.startswith("torch") or n == "loop")
        print(f"{row['cell']:7} {size:20} {row['mode']:9} | {times} | ratio to {ratios or '-'}", flush=True)
    if settings.json:
        print(json.dumps({"torch": torch.__version__, "threads": settings.threads, "rows": rows}))


if __name__ == "__main__":
    main()
