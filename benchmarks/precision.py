"""Measure what mixed precision costs each cell: errors over a long sequence, and the loss at the end of a training.

    python benchmarks/precision.py [--quick] [--device cpu|cuda] [--json]

Errors are shares of the true values' size, against a float64 run of the same weights over T = 1000 steps: of the
outputs, and the largest of any parameter's gradient. "plain" is PyTorch's autocast around every operation of a step,
with the state left in the dtype in which it comes out; "mixed" is Rekur's: the input projection alone is in bfloat16.
Trainings predict the next letter of a generated text, the state carried from chunk to chunk; each loss is the median
of three seeds.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from rekur.cells import CELLS, GRU, LSTM, Cell, LayerNorm, make_cell
from rekur.nn import Recurrent
from rekur.nn.stack import detach_state
from rekur.scan import scan

Make = Callable[[int], Cell]
Run = Callable[[Cell, Tensor], Tensor]
STEPS, BATCH, INPUTS, HIDDEN = 1000, 4, 16, 32
#: a forget gate that is open so far keeps 99.3 % of a memory at each step, as a task over a thousand steps needs
FORGET_BIAS = 5.0


def makers() -> dict[str, Make]:
    """Return every cell of the catalog, and two under layer normalisation, by name."""

    def of(name: str) -> Make:
        return lambda inputs: make_cell(name, inputs, HIDDEN)

    found = {name: of(name) for name in CELLS}
    found["lstm, layer norm"] = lambda inputs: LayerNorm(LSTM(inputs, HIDDEN))
    found["gru, layer norm"] = lambda inputs: LayerNorm(GRU(inputs, HIDDEN))
    return found


def long_lived(cell: Cell) -> Cell:
    """Return the cell with its forget gate open, if it has one that can be chosen."""
    inner = cell.cell if isinstance(cell, LayerNorm) else cell
    if getattr(inner, "forget_bias", 0.0):
        inner.forget_bias = FORGET_BIAS  # type: ignore[assignment]
        inner.reset_parameters()  # type: ignore[operator]
    return cell


def in_rekur(cell: Cell, x: Tensor) -> Tensor:
    """Run the cell as a layer does."""
    return scan(cell, x)[0]


def step_by_step(cell: Cell, x: Tensor) -> Tensor:
    """Run the cell as a plain loop over time does."""
    state = cell.initial_state(x.shape[0], device=x.device, dtype=x.dtype)
    projected, outputs = cell.project(x), []
    for t in range(x.shape[1]):
        y, state = cell.recur(projected[:, t], state)
        outputs.append(y)
    return torch.stack(outputs, 1)


def outputs_and_gradients(cell: Cell, x: Tensor, run: Run, mixed: bool) -> tuple[Tensor, list[Tensor]]:
    """Return the outputs and every parameter's gradient of their mean square."""
    cell.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed):
        y = run(cell, x)
    y.to(torch.float64).square().mean().backward()
    return y.detach(), [p.grad.clone() for p in cell.parameters() if p.grad is not None]


def difference(got: Tensor, wanted: Tensor) -> float:
    """Return the size of the difference as a share of the wanted."""
    return float((got.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-30))


def errors(make: Make, steps: int, device: str) -> dict[str, tuple[float, float]]:
    """Return (error of the outputs, largest error of a gradient) in each precision."""
    torch.manual_seed(0)
    cell = long_lived(make(INPUTS)).to(device)
    x = torch.randn(BATCH, steps, INPUTS, device=device)
    exact, exact_gradients = outputs_and_gradients(copy.deepcopy(cell).double(), x.double(), in_rekur, False)
    found = {}
    for name, run, mixed in (("f32", in_rekur, False), ("mixed", in_rekur, True), ("plain", step_by_step, True)):
        y, gradients = outputs_and_gradients(cell, x, run, mixed)
        worst = max(difference(g, e) for g, e in zip(gradients, exact_gradients, strict=True))
        found[name] = (difference(y, exact), worst)
    return found


def generated_text(length: int, seed: int) -> Tensor:
    """Return numbers of letters, int64 (length,): words of a small lexicon, each a choice given the one before."""
    generator = torch.Generator().manual_seed(seed)
    lexicon = [
        torch.randint(1, 20, (int(n),), generator=generator).tolist()
        for n in torch.randint(2, 7, (40,), generator=generator)
    ]
    follow = torch.rand(40, 40, generator=generator).pow(8)
    letters: list[int] = []
    word = 0
    while len(letters) < length:
        letters += [*lexicon[word], 0]
        word = int(torch.multinomial(follow[word], 1, generator=generator))
    return torch.tensor(letters[:length])


class Reader(nn.Module):
    """Letters in, scores of the next letter out."""

    def __init__(self, make: Make) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, INPUTS)
        self.recurrent = Recurrent(make, INPUTS, HIDDEN)
        self.head = nn.Linear(self.recurrent.output_size, 20)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        out = self.recurrent(self.embedding(x), state)
        return self.head(out.output), detach_state(out.state)


def final_loss(make: Make, seed: int, updates: int, device: str, mixed: bool) -> float:
    """Return the mean loss of the last tenth of a training, in nats a letter."""
    rows, chunk = 16, 32
    torch.manual_seed(seed)
    text = generated_text(rows * chunk * 100 + rows, seed=7).view(rows, -1).to(device)
    model = Reader(make).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    state, losses = None, []
    for update in range(updates):
        start = chunk * (update % 100)
        if start == 0:
            state = None
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            scores, state = model(text[:, start : start + chunk], state)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), text[:, start + 1 : start + chunk + 1].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return statistics.mean(losses[-max(1, updates // 10) :])


def measure(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each cell."""
    steps, updates, seeds = (200, 60, 1) if settings.quick else (STEPS, 400, 3)
    rows = []
    for name, make in makers().items():
        began = time.monotonic()
        row: dict[str, Any] = {"cell": name, "kept_in_f32": make(INPUTS).keeps_precision}
        for precision, (outputs, gradient) in errors(make, steps, settings.device).items():
            row |= {f"{precision}_outputs": outputs, f"{precision}_gradients": gradient}
        for precision in ("f32", "mixed"):
            losses = [final_loss(make, seed, updates, settings.device, precision == "mixed") for seed in range(seeds)]
            row[f"{precision}_loss"] = statistics.median(losses)
            row[f"{precision}_loss_range"] = (min(losses), max(losses))
        rows.append(row)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter sequences and trainings, one seed")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(settings)
    precisions = ("f32", "mixed", "plain")
    head = [f"{p} {what}" for what in ("outputs", "gradients") for p in precisions]
    print("| cell | " + " | ".join(head) + " | f32 loss | mixed loss |")
    print("| --- |" + " ---: |" * (len(head) + 2))
    for row in rows:
        cells = [f"{row[f'{p}_{what}']:.0e}" for what in ("outputs", "gradients") for p in precisions]
        mark = " *" if row["kept_in_f32"] else ""
        losses = [f"{row[f'{p}_loss']:.3f}" for p in ("f32", "mixed")]
        print(f"| {row['cell']}{mark} | " + " | ".join([*cells, *losses]) + " |")
    print("* the input projection too is kept in f32")
    if settings.json:
        print(json.dumps({"benchmark": "precision", "quick": settings.quick, "rows": rows}))


if __name__ == "__main__":
    main()
