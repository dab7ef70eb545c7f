"""What train_speed.py measures: the cases of each section, and their rivals.

Rivals of a case have the same weights and give the same outputs and gradients, which is checked before any is timed.

Axes: B batch, T time, H hidden.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import flax_rnn
import loops
from rekur import nn as rnn
from rekur.cells import GRU, LSTM, Cell, LayerNorm, RecurrentDropout
from rekur.scan import choose
from timing import (
    CLOCKS,
    Report,
    Run,
    Timed,
    has_amx,
    large_product,
    sentence_lengths,
    take_turns,
    training_work,
)

OURS = {"rnn": rnn.RNN, "lstm": rnn.LSTM, "gru": rnn.GRU}
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
#: how far outputs and gradients of rivals may be from each other, as a share of the greatest number
AGREE = 1e-3
#: what torch.compile takes for one loop, as operations of a machine that does 100 GFLOP/s
COMPILING = 30 * 1e11
#: steps of a custom cell that are compared
CHECKED = 20
RAGGED_BATCHES = 4
DROPOUT = 0.25


class Size(NamedTuple):
    """Batch, time and hidden size of a case."""

    batch: int
    steps: int
    hidden: int

    def __str__(self) -> str:
        return f"B{self.batch} T{self.steps} H{self.hidden}"


GRID = (Size(32, 200, 128), Size(64, 100, 256), Size(16, 400, 512), Size(8, 1000, 64), Size(32, 100, 32))
WIDEST = Size(16, 400, 512)
RAGGED = (Size(64, 59, 128), Size(32, 59, 256))
CUSTOM = tuple(size for size in GRID if size != WIDEST)
BOTH_WAYS = (*(Size(batch, 200, 128) for batch in (1, 2, 4)), Size(32, 200, 128), Size(64, 100, 256))
BF16 = ((Size(64, 100, 256), 3.0), (Size(32, 200, 128), 2.0))


class Case(NamedTuple):
    """What is measured at one go.

    Attributes:
        name: for the progress.
        work: floating-point operations of one round of all rivals, roughly, each weighted by how slow it is.
        measure: gives the rows.
    """

    name: str
    work: float
    measure: Callable[[], list[dict[str, Any]]]


class Bench:
    """The settings of a run, and what its sections share."""

    def __init__(self, given: argparse.Namespace, repeats: int, report: Report) -> None:
        self.given, self.repeats, self.report = given, repeats, report
        self.flax = "left out with --quick" if given.quick else flax_rnn.why_absent()
        if self.flax:
            report.absent["Flax"] = self.flax

    def sizes(self, usual: Sequence[Size]) -> list[Size]:
        """Return a section's sizes: those given, or its usual ones."""
        if self.given.sizes:
            return list(self.given.sizes)
        return [size for size in usual if not (self.given.quick and size == WIDEST)]

    def take_turns(self, rivals: dict[str, Run]) -> Timed:
        """Return the medians of rivals."""
        return take_turns(rivals, repeats=self.repeats, clock=CLOCKS[self.given.clock])


def training(forward: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor, module: nn.Module) -> Run:
    """Return one forward and backward pass, gradients made anew."""
    parameters = list(module.parameters())

    def run() -> None:
        x.grad = None
        for parameter in parameters:
            parameter.grad = None
        forward(x).backward(weight)

    return run


def check_same(what: str, rivals: Iterable[Callable[[Tensor], Tensor]], x: Tensor, weight: Tensor) -> None:
    """Check that all rivals give the outputs and the gradient of x that the first one gives."""
    wanted: list[Tensor] = []
    for forward in rivals:
        x.grad = None
        y = forward(x)
        y.backward(weight)
        got = [y.detach().clone(), x.grad.clone()]  # type: ignore[union-attr]
        wanted = wanted or got
        for one, other in zip(got, wanted, strict=True):
            off = float((one - other).abs().max() / other.abs().max().clamp(min=1e-30))
            assert off < AGREE, f"{what}: rivals differ by {off:.1e} of the greatest number"


def pair(kind: str, hidden: int) -> tuple[Any, Any]:
    """Return our layer and torch's with the same weights."""
    ours, theirs = (made[kind](hidden, hidden, batch_first=True) for made in (OURS, TORCH))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def batch(size: Size) -> tuple[Tensor, Tensor]:
    """Return inputs and the gradient of the outputs."""
    return torch.randn(size, requires_grad=True), torch.randn(size)


def path_of(layer: Any, x: Tensor, lengths: Tensor | None = None) -> str:
    """Return which scan runs a layer's cell on such a batch."""
    if isinstance(layer, nn.RNNBase):
        return choose(layer._bound_cells(layer._flat_weights)[0], x, lengths).path
    first = layer.layers[0]
    return choose(getattr(first, "forward_layer", first).cell, x, lengths).path


def grid_cases(bench: Bench) -> list[Case]:
    """Return one case for each size, of all cells and rivals and the machine's product."""

    def measure(size: Size) -> list[dict[str, Any]]:
        rivals: dict[str, Run] = {}
        paths = {}
        for kind in TORCH:
            x, weight = batch(size)
            ours, theirs = pair(kind, size.hidden)
            runs = {"rekur": (lambda x, ours=ours: ours(x)[0]), "torch": (lambda x, theirs=theirs: theirs(x)[0])}
            check_same(f"{kind} {size}", runs.values(), x, weight)
            for name, forward in runs.items():
                rivals[f"{kind} {name}"] = training(forward, x, weight, ours if name == "rekur" else theirs)
            if not bench.flax:
                rivals[f"{kind} flax"] = flax_rnn.training(kind, x.detach().numpy(), weight.numpy())
            paths[kind] = path_of(ours, x)
        product, work = large_product(bench.given.product)
        timed = bench.take_turns({**rivals, "sgemm": product})
        rate = work / timed.seconds["sgemm"]
        rows = []
        for kind in TORCH:
            taken = {name.split()[1]: s for name, s in timed.seconds.items() if name.startswith(f"{kind} ")}
            flops = training_work(kind, size.batch * size.steps, size.hidden)
            rows.append(
                {
                    "section": "grid",
                    "cell": kind,
                    "size": list(size),
                    "path": paths[kind],
                    "ms": {name: 1000 * seconds for name, seconds in taken.items()},
                    "gflops": {name: flops / seconds / 1e9 for name, seconds in taken.items()},
                    "sgemm_gflops": rate / 1e9,
                    "share_of_sgemm": flops / taken["rekur"] / rate,
                    "rounds": timed.rounds,
                }
            )
        return rows

    def work(size: Size) -> float:
        layers = sum(training_work(kind, size.batch * size.steps, size.hidden) for kind in TORCH)
        steps = 3 * size.steps * 1.5e7  # what torch's operators cost a step, however small they are
        return layers * (7 if bench.flax else 11) + steps + 2.0 * bench.given.product**3

    return [Case(f"grid {size}", work(size), partial(measure, size)) for size in bench.sizes(GRID)]


def ragged_cases(bench: Bench) -> list[Case]:
    """Return one case for each cell and size, over some batches of sentences."""

    def measure(kind: str, size: Size) -> list[dict[str, Any]]:
        batches, source = sentence_lengths(RAGGED_BATCHES, size.batch)
        ours, theirs = pair(kind, size.hidden)
        rivals: dict[str, list[Run]] = {"rekur": [], "torch packed": [], "torch padded": []}
        for lengths in batches:
            x, weight = batch(Size(size.batch, int(lengths.max()), size.hidden))
            weight *= (torch.arange(weight.shape[1]) < lengths[:, None])[:, :, None]

            def packed(x: Tensor, lengths: Tensor = lengths) -> Tensor:
                sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                return pad_packed_sequence(theirs(sequence)[0], batch_first=True)[0]

            def inside(x: Tensor, lengths: Tensor = lengths) -> Tensor:
                return ours(x, lengths=lengths)[0]

            check_same(f"ragged {kind} {size}", (inside, packed), x, weight)
            rivals["rekur"].append(training(inside, x, weight, ours))
            rivals["torch packed"].append(training(packed, x, weight, theirs))
            rivals["torch padded"].append(training(lambda x: theirs(x)[0], x, weight, theirs))
        timed = bench.take_turns({name: partial(run_all, runs) for name, runs in rivals.items()})
        steps = int(sum(lengths.sum() for lengths in batches))
        longest = int(max(lengths.max() for lengths in batches))
        return [
            {
                "section": "ragged",
                "cell": kind,
                "size": [size.batch, longest, size.hidden],
                "path": path_of(ours, x, lengths),
                "ms": {name: ms / RAGGED_BATCHES for name, ms in timed.milliseconds().items()},
                "gflops": {n: training_work(kind, steps, size.hidden) / s / 1e9 for n, s in timed.seconds.items()},
                "lengths": source,
                "rounds": timed.rounds,
            }
        ]

    return [
        Case(
            f"ragged {kind} {size}",
            20 * RAGGED_BATCHES * training_work(kind, 21 * size.batch, size.hidden) + RAGGED_BATCHES * 5e9,
            partial(measure, kind, size),
        )
        for size in bench.sizes(RAGGED)[: 1 if bench.given.quick else None]
        for kind in ("lstm", "gru")
    ]


def run_all(runs: list[Run]) -> None:
    """Run one after the other."""
    for run in runs:
        run()


def custom_cases(bench: Bench) -> list[Case]:
    """Return one case for each custom cell and size, against every form of the loop."""
    makers: dict[str, tuple[Callable[[int, int], Cell], loops.Loop, Callable[..., Any], str]] = {
        "layer-norm lstm": (lambda i, h: LayerNorm(LSTM(i, h)), loops.norm_lstm_steps, loops.norm_lstm, "lstm"),
        "dropped gru": (
            lambda i, h: RecurrentDropout(GRU(i, h), DROPOUT),
            loops.dropped_gru_steps,
            loops.dropped_gru,
            "gru",
        ),
    }

    def measure(name: str, size: Size) -> list[dict[str, Any]]:
        make, steps, loop, kind = makers[name]
        layers = rnn.Recurrent(lambda inputs: make(inputs, size.hidden), size.hidden, size.hidden)
        cell = layers.layers[0].cell
        forms, left_out = loops.forms(steps, size.steps, compiled=not bench.given.quick)
        if left_out:
            bench.report.absent["compiled loops"] = left_out
        x, weight = batch(size)
        before = layers.initial_state(size.batch)
        mask = before[0][0][-1] if kind == "gru" else None
        theirs = {form: loop(cell, run) for form, run in forms.items()}
        same = [lambda x: layers(x, before).output, *(partial(run, mask=mask) for run in theirs.values())]
        # over hundreds of steps an LSTM with its memory normalised makes any rounding grow, whoever computes it
        start = x.detach()[:, :CHECKED].clone().requires_grad_()
        check_same(f"{name} {size}", same, start, weight[:, :CHECKED])
        rivals = {"rekur": training(lambda x: layers(x).output, x, weight, layers)}
        rivals |= {form: training(run, x, weight, layers) for form, run in theirs.items()}
        timed = bench.take_turns(rivals)
        flops = training_work(kind, size.batch * size.steps, size.hidden)
        return [
            {
                "section": "custom",
                "cell": name,
                "size": list(size),
                "path": path_of(layers, x),
                "ms": timed.milliseconds(),
                "gflops": {rival: flops / seconds / 1e9 for rival, seconds in timed.seconds.items()},
                "rounds": timed.rounds,
            }
        ]

    def work(kind: str, size: Size) -> float:
        compiling = 0 if bench.given.quick else COMPILING / (bench.repeats + 3)
        return 12 * training_work(kind, size.batch * size.steps, size.hidden) + 3 * size.steps * 4e7 + compiling

    return [
        Case(f"{name} {size}", work(makers[name][3], size), partial(measure, name, size))
        for name in makers
        for size in bench.sizes(CUSTOM)[:: 3 if bench.given.quick else 1]
    ]


def bidirectional_cases(bench: Bench) -> list[Case]:
    """Return one case for each cell and size: both directions at once, and one after the other."""

    def measure(kind: str, size: Size) -> list[dict[str, Any]]:
        layers = rnn.Recurrent(kind, size.hidden, size.hidden, bidirectional=True)
        both = layers.layers[0]
        x = torch.randn(size, requires_grad=True)
        weight = torch.randn(size.batch, size.steps, 2 * size.hidden)

        def apart(x: Tensor) -> Tensor:
            return torch.cat((both.forward_layer(x)[0], both.backward_layer(x)[0]), dim=-1)

        forwards = {"rekur": lambda x: both(x)[0], "one after the other": apart}
        check_same(f"bidirectional {kind} {size}", forwards.values(), x, weight)
        timed = bench.take_turns({name: training(run, x, weight, layers) for name, run in forwards.items()})
        flops = 2 * training_work(kind, size.batch * size.steps, size.hidden)
        return [
            {
                "section": "bidirectional",
                "cell": kind,
                "size": list(size),
                "path": path_of(layers, x),
                "ms": timed.milliseconds(),
                "gflops": {name: flops / seconds / 1e9 for name, seconds in timed.seconds.items()},
                "rounds": timed.rounds,
            }
        ]

    sizes = bench.sizes(BOTH_WAYS)
    return [
        Case(
            f"bidirectional {kind} {size}",
            15 * training_work(kind, size.batch * size.steps, size.hidden) + size.steps * 1e7,
            partial(measure, kind, size),
        )
        for size in (sizes[1:4:2] if bench.given.quick and not bench.given.sizes else sizes)
        for kind in ("lstm", "gru")
    ]


def bf16_cases(bench: Bench) -> list[Case]:
    """Return one case for each cell and size: float32, and both ways to ask for bfloat16."""
    if not has_amx():
        bench.report.absent["bf16"] = "no AMX here"
        return []

    def measure(kind: str, size: Size) -> list[dict[str, Any]]:
        ours, _ = pair(kind, size.hidden)
        low, low_torch = (made[kind](size.hidden, size.hidden, batch_first=True).bfloat16() for made in (OURS, TORCH))
        x, weight = batch(size)
        x16, weight16 = x.detach().bfloat16().requires_grad_(), weight.bfloat16()

        def mixed(x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return ours(x)[0].float()

        rivals = {
            "rekur f32": training(lambda x: ours(x)[0], x, weight, ours),
            "rekur bf16": training(lambda x: low(x)[0], x16, weight16, low),
            "rekur mixed": training(mixed, x, weight, ours),
            "torch bf16": training(lambda x: low_torch(x)[0], x16, weight16, low_torch),
        }
        timed = bench.take_turns(rivals)
        flops = training_work(kind, size.batch * size.steps, size.hidden)
        return [
            {
                "section": "bf16",
                "cell": kind,
                "size": list(size),
                "path": path_of(low, x16),
                "ms": timed.milliseconds(),
                "gflops": {name: flops / seconds / 1e9 for name, seconds in timed.seconds.items()},
                "rounds": timed.rounds,
            }
        ]

    return [
        Case(
            f"bf16 {kind} {size}",
            6 * training_work(kind, size.batch * size.steps, size.hidden),
            partial(measure, kind, size),
        )
        for size in bench.sizes([size for size, _ in BF16])
        for kind in ("gru", "lstm")
    ]


#: the cases of each section
CASES: dict[str, Callable[[Bench], list[Case]]] = {
    "grid": grid_cases,
    "ragged": ragged_cases,
    "custom": custom_cases,
    "bidirectional": bidirectional_cases,
    "bf16": bf16_cases,
}
