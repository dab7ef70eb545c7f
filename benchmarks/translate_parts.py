"""What each part of a translator adds: attention, dropout, the average of the weights, and a beam.

    python benchmarks/translate_parts.py                                    # Multi30k, ten passes a network: an hour
    python benchmarks/translate_parts.py --pairs 4000 --passes 8 --hidden-size 96   # some minutes
    python benchmarks/translate_parts.py --train a.en a.fr --valid b.en b.fr        # pairs of your own
    python benchmarks/translate_parts.py --test                             # score the test part, once at the end
    python benchmarks/translate_parts.py --json                             # one JSON object as the last line

Networks are trained for as many passes over the same pairs: one with all parts, and one without each of them. Without
attention each step of the decoder reads the mean of the source's steps. Every network is scored by the texts that a
greedy search finds and by those of a beam, so that the beam's share is the difference of two columns. The data are read
from $REKUR_DATA, or ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from rekur import Translator
from rekur.data import Corpus, read_pairs
from rekur.nn.attention import Attention
from timing import Report, console, finish, machine

FOLDER = "multi30k_en_fr"
ALL = "all parts"
BEAM = 5


class MeanOfSource(Attention):
    """The same share for every step of the source, whatever the decoder's state."""

    #: no matrix stands between states and steps
    key = None

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Return equal scores, (B, S, T)."""
        return query.new_zeros(len(query), query.shape[1], keys.shape[1])


class WithoutAttention(Translator):
    """A translator whose decoder reads the mean of the source's steps."""

    def make_network(self, features: Any, target: Any) -> Any:
        """Return the network of a translator with its attention replaced."""
        network = super().make_network(features, target)
        attention = network.decoder.attention
        network.decoder.attention = MeanOfSource(attention.query_size, attention.key_size)
        return network


#: name -> class, and options that differ from the defaults
VARIANTS: dict[str, tuple[type[Translator], dict[str, Any]]] = {
    ALL: (Translator, {}),
    "without attention": (WithoutAttention, {}),
    "without dropout": (
        Translator,
        dict.fromkeys(("input_dropout", "dropout", "state_dropout", "output_dropout"), 0.0),
    ),
    "without the average": (Translator, {"average": 0.0}),
}


def main() -> None:
    """Train and score the networks, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, help in (("--train", "training pairs"), ("--valid", "validation pairs")):
        parser.add_argument(name, nargs=2, metavar=("SOURCE", "TARGET"), type=Path, help=f"files of {help}")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="this network; may be given again")
    parser.add_argument("--pairs", type=int, help="train on the first of them")
    parser.add_argument("--passes", type=int, default=10, help="over the training pairs")
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 0 to N - 1")
    parser.add_argument("--test", action="store_true", help="score test_2017_flickr in place of the validation part")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.set_defaults(markdown=None)
    options = parser.parse_args()
    if bool(options.train) != bool(options.valid) or (options.test and options.train):
        parser.error("--train, --valid: got one of them, or --test too; expected both alone")
    began, report = time.perf_counter(), Report()
    train, valid, scored = read(options)
    for name in options.only or VARIANTS:
        report.rows.append(measure(name, train, valid, scored, options))
        print(f"{name}: {report.rows[-1]}", file=sys.stderr, flush=True)
    show(report.rows, scored.name)
    finish("translate_parts", report, machine(torch.get_num_threads(), "wall"), options, began)


def read(options: argparse.Namespace) -> tuple[Corpus, Corpus, Corpus]:
    """Return the pairs to train on, those to choose weights on, and those to score."""
    root = Path(os.environ.get("REKUR_DATA", Path(__file__).parents[2] / "shared" / "data")) / FOLDER
    files = {"train": options.train, "valid": options.valid}
    for part, name in (("train", "train"), ("valid", "val"), ("test", "test_2017_flickr")):
        files[part] = files.get(part) or [root / f"{name}.en", root / f"{name}.fr"]
        for path in files[part]:
            if not path.is_file() and (part != "test" or options.test):
                sys.exit(f"data: {path} is absent; set REKUR_DATA to the folder that holds the data sets.")
    train, valid = read_pairs(files["train"]), read_pairs(files["valid"], use="evaluation")
    if options.pairs:
        first = [(pair.item, pair.label) for pair in islice(train, options.pairs)]
        train = Corpus.from_lists(*map(list, zip(*first, strict=True)), train.name, kind="text")
    return train, valid, read_pairs(files["test"], use="evaluation") if options.test else valid


def measure(name: str, train: Corpus, valid: Corpus, scored: Corpus, options: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one network: means over the seeds."""
    make, chosen = VARIANTS[name]
    sizes = {"hidden_size": options.hidden_size, "embedding_size": options.hidden_size}
    fixed = {"epochs": options.passes, "patience": 0, "baseline": False, **sizes}
    greedy, beam, seconds = 0.0, 0.0, 0.0
    for seed in range(options.seeds):
        began = time.monotonic()
        model = make(seed=seed, **fixed, **chosen).fit_corpus(train, valid)
        seconds += (time.monotonic() - began) / options.seeds
        greedy += model.evaluate_corpus(scored)["bleu"] / options.seeds
        model.search_ = dataclasses.replace(model.search_, beam=BEAM)
        beam += model.evaluate_corpus(scored)["bleu"] / options.seeds
    return {"network": name, "greedy": greedy, "beam": beam, "seconds": seconds}


def show(rows: list[dict[str, Any]], name: str) -> None:
    """Print the table: BLEU of each network, and what the part adds that it lacks."""
    table = Table("network", title=f"BLEU on {Path(name).name}", title_justify="left")
    for head in ("greedy", f"beam {BEAM}", "the beam adds", "the part adds", "seconds"):
        table.add_column(head, justify="right")
    whole = next((row for row in rows if row["network"] == ALL), None)
    for row in rows:
        part = "" if whole is None or row is whole else f"{whole['beam'] - row['beam']:+.1f}"
        gain = f"{row['beam'] - row['greedy']:+.1f}"
        table.add_row(row["network"], f"{row['greedy']:.1f}", f"{row['beam']:.1f}", gain, part, f"{row['seconds']:.0f}")
    console().print(table)


if __name__ == "__main__":
    main()
