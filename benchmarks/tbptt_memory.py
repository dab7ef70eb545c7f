"""Measure how memory and time grow with the length of a text: truncated BPTT beside full BPTT.

    python benchmarks/tbptt_memory.py [--quick] [--cap GIGABYTES] [--json]

One epoch of a language model (LSTM, 256 units) over 16 streams of T steps, each measurement in a process of its own:
the largest resident memory less what the process held before, and the processor time a step, that of the chunk at the
fastest tenth, so that other work on the machine counts little. "stream" carries the state from chunk to chunk of 200
steps and cuts the gradient there; its shorter texts are read as often as makes the longest, because what a process
holds creeps up by some per cent over hundreds of chunks, however short the text. "full" is one chunk of all T steps;
"checkpointed" is that too, but keeps states only every 200 steps and computes the rest twice. What would take more
than the cap, going by the T before it, is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rekur.data import StreamBatches
from rekur.models import LanguageSpec, build_language
from rekur.models.language import detach

ROWS, CHUNK, VOCABULARY = 16, 200, 64
MODES = ("stream", "full", "checkpointed")
STATUS = Path("/proc/self/status")


def resident(key: str) -> int:
    """Return a line of what the system says of this process, in bytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def train_epoch(mode: str, steps: int, epochs: int) -> dict[str, float]:
    """Train over one text so often and return bytes and seconds a step."""
    torch.set_num_threads(1)
    spec = LanguageSpec(
        vocabulary_size=VOCABULARY, hidden_size=256, checkpoint_steps=CHUNK if mode == "checkpointed" else 0
    )
    model = build_language(spec, seed=0)
    optimiser = torch.optim.AdamW(model.parameters())
    # a byte a token: the text itself, which is as long as it is, is to be small beside what is measured
    ids = np.random.default_rng(0).integers(2, VOCABULARY, size=ROWS * steps, dtype=np.uint8)
    length = CHUNK if mode == "stream" else steps

    def epoch(tokens: np.ndarray[Any, Any], length: int) -> list[float]:
        streams = StreamBatches(
            tokens, np.zeros(1, dtype=np.int64), batch_size=ROWS, chunk_length=length, jitter=0.0, seed=0, reset=False
        )
        state, spent = None, []
        for chunk in streams.epoch(1):
            began = time.process_time()
            out = model(torch.from_numpy(chunk.x), torch.from_numpy(chunk.targets), state)
            out.loss.backward()
            state = detach(out.state)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            spent.append((time.process_time() - began) / chunk.x.shape[1])
        return spent

    epoch(ids[: 2 * ROWS * CHUNK], CHUNK)  # so that nothing is done for the first time when it is measured
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the largest so far is that of now
    spent = [second for _ in range(epochs) for second in epoch(ids, length)]
    fast = statistics.quantiles(spent, n=10)[0] if len(spent) > 1 else spent[0]
    return {"bytes": resident("VmHWM") - before, "microseconds_a_step": 1e6 * fast}


def in_a_process(mode: str, steps: int, epochs: int) -> dict[str, float]:
    """Return what :func:`train_epoch` returns in a new process."""
    command = [sys.executable, __file__, "--one", mode, str(steps), str(epochs)]
    # large pieces are given back when they are freed, so that what is counted is what is used
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **settings})
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each mode and length."""
    lengths = [1_000, 5_000] if settings.quick else [1_000, 10_000, 100_000]
    rows: list[dict[str, Any]] = []
    for mode in MODES:
        before: dict[str, Any] | None = None
        for steps in lengths:
            if mode != "stream" and before is not None:
                foreseen = before["bytes"] * steps / before["steps"]
                if foreseen > settings.cap * 1e9:
                    rows.append({"mode": mode, "steps": steps, "left_out": True, "foreseen_bytes": foreseen})
                    continue
            epochs = lengths[-1] // steps if mode == "stream" else 1
            before = {"mode": mode, "steps": steps, **in_a_process(mode, steps, epochs)}
            rows.append(before)
            print(f"{mode}, {steps} steps: {before['bytes'] / 1e6:.1f} MB", file=sys.stderr)
    return rows


def flatness(rows: list[dict[str, Any]], figure: str) -> float:
    """Return by what share the largest figure of the streams is above the smallest."""
    values = [row[figure] for row in rows if row["mode"] == "stream"]
    return max(values) / min(values) - 1.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short texts only")
    parser.add_argument("--cap", type=float, default=6.0, help="gigabytes that a measurement may take")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--one", nargs=3, metavar=("MODE", "STEPS", "EPOCHS"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        print(json.dumps(train_epoch(settings.one[0], *map(int, settings.one[1:]))))
        return
    rows = measure(settings)
    print("| gradient | T | memory | time a step |\n| --- | ---: | ---: | ---: |")
    for row in rows:
        if row.get("left_out"):
            print(f"| {row['mode']} | {row['steps']:,} | would be {row['foreseen_bytes'] / 1e9:.1f} GB | |")
            continue
        print(
            f"| {row['mode']} | {row['steps']:,} | {row['bytes'] / 1e6:.1f} MB | {row['microseconds_a_step']:.0f} µs |"
        )
    memory, speed = flatness(rows, "bytes"), flatness(rows, "microseconds_a_step")
    print(f"streams: memory flat within {memory:.1%}, time a step within {speed:.1%}")
    if settings.json:
        found = {"memory_flat_within": memory, "time_flat_within": speed}
        print(json.dumps({"benchmark": "tbptt_memory", "quick": settings.quick, **found, "rows": rows}))


if __name__ == "__main__":
    main()
