"""What padding costs: one epoch over real sentence lengths, batch 64, the same model three ways.

    python benchmarks/padding.py            # 7 rounds
    python benchmarks/padding.py --quick    # 3 rounds
    python benchmarks/padding.py --json     # one JSON object as the last line

- *length buckets*: batches of like length, ``rekur.nn.LSTM`` with ``lengths=``.
- *shuffled, padded*: batches in random order, the same layer, every padding step computed (no lengths given).
- *packed, plain PyTorch*: batches in random order, ``torch.nn.LSTM`` on ``pack_padded_sequence``.

The model is an embedding, one LSTM layer of 128, max pooling and a linear layer; an epoch is forward and backward
over all batches. The three take turns in every round; the medians are compared. Lengths are those of rt_polarity
($REKUR_DATA or ../shared/data), or drawn with the same median and maximum where it is absent.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rekur import nn as rnn
from rekur.data import LengthBuckets, Ragged, collate

BATCH, VOCABULARY, EMBEDDING, HIDDEN = 64, 8000, 128, 128
Batch = tuple[Tensor, Tensor, Tensor]


class Model(nn.Module):
    """Embedding, one recurrent layer, max pooling over real steps, two scores."""

    def __init__(self, layer: nn.Module, way: str) -> None:
        super().__init__()
        self.way = way
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=0)
        self.layer = layer
        self.head = nn.Linear(HIDDEN, 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        embedded = self.embedding(x)
        if self.way == "packed":
            packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
            output, _ = pad_packed_sequence(self.layer(packed)[0], batch_first=True)
        elif self.way == "buckets":
            output, _ = self.layer(embedded, lengths=lengths)
        else:
            output, _ = self.layer(embedded)
        beyond = torch.arange(output.shape[1])[None, :] >= lengths[:, None]
        return self.head(output.masked_fill(beyond[:, :, None], -1e9).max(dim=1).values)


def main() -> None:
    """Time the three ways and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    rows = sentences()
    buckets = LengthBuckets(rows.lengths, BATCH)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    ways: dict[str, tuple[Model, Callable[[int], list[Batch]]]] = {}
    for name, layer in (
        ("buckets", rnn.LSTM(EMBEDDING, HIDDEN, batch_first=True)),
        ("shuffled", rnn.LSTM(EMBEDDING, HIDDEN, batch_first=True)),
        ("packed", nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)),
    ):
        order = buckets.epoch if name == "buckets" else lambda _: np.array_split(shuffled, len(buckets))
        ways[name] = (Model(layer, name), lambda number, order=order: batches(rows, order(number)))
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(3 if given.quick else 7):
        for name, (model, make) in ways.items():
            times[name].append(epoch(model, make(number)))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    waste = {
        "buckets": buckets.padding_waste(),
        "shuffled": buckets.padding_waste(shuffled=True),
        "packed": 0.0,
    }
    show(medians, waste)
    if given.json:
        ratios = {name: medians[name] / medians["buckets"] for name in medians}
        print(json.dumps({"seconds": medians, "times_the_buckets": ratios, "padding": waste}))


def sentences() -> Ragged:
    """Return token numbers with the lengths of rt_polarity's training sentences."""
    random = np.random.default_rng(0)
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = root / "rt_polarity" / "train.tsv"
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        lengths = [len(line.split("\t")[1].split()) for line in lines]
    else:
        lengths = np.clip(random.lognormal(np.log(20), 0.5, 8530), 1, 59).astype(int).tolist()
    return Ragged.from_iter(random.integers(2, VOCABULARY, length).astype(np.int32) for length in lengths)


def batches(rows: Ragged, order: Iterable[np.ndarray]) -> list[Batch]:
    """Return the batches of one epoch as tensors, made before the clock runs."""
    made = []
    for picked in order:
        x, lengths = collate(rows, picked)
        made.append((torch.from_numpy(x), torch.from_numpy(lengths), torch.from_numpy(picked % 2)))
    return made


def epoch(model: Model, made: list[Batch]) -> float:
    """Return the seconds of forward and backward over all batches."""
    began = time.perf_counter()
    for x, lengths, targets in made:
        model.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x, lengths), targets).backward()
    return time.perf_counter() - began


def show(medians: dict[str, float], waste: dict[str, float]) -> None:
    """Print the table."""
    names = {
        "buckets": "length buckets, rekur.nn.LSTM(lengths=)",
        "shuffled": "shuffled, padded, rekur.nn.LSTM",
        "packed": "shuffled, packed, torch.nn.LSTM",
    }
    table = Table(
        "way", "seconds an epoch", "times the buckets", "padding", title=f"Batch {BATCH}", title_justify="left"
    )
    for name, taken in medians.items():
        table.add_row(names[name], f"{taken:.2f}", f"{taken / medians['buckets']:.2f}", f"{waste[name]:.1%}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
