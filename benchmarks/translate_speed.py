"""Time the search of texts on the engine, without PyTorch, against the same search in PyTorch, in one run.

    python benchmarks/translate_speed.py [--bundle BUNDLE --source FILE] [--beam 5] [--quick] [--threads 1] [--json]

Without a bundle the network is untrained, of the size that Multi30k takes, and each text is as long as its source, with
lengths drawn as there; with one it is a trained model and the lines of a file. The rivals search the same sources in
the same batches: "torch" steps in PyTorch under the same search, "topk" does all of it in PyTorch, with ``torch.topk``
first in each row and then in each source. In all of them rows that end leave, and no memory is copied for a row. Rivals
take turns, and every figure is a median; a ratio below 1 means that the engine takes less time than the faster rival.
Before that it is checked that all of them find the same texts. The engine's kernels run on the threads of PyTorch,
which spin between calls as PyTorch wants them to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rekur import tasks
from rekur._ids import BEGIN, END
from rekur.decode import beam_search, greedy_search, length_limits
from rekur.lower import lower
from rekur.models import DecoderSpec, build_decoder
from rekur.program import PairEngine
from rekur.runtime.search import RULES
from timing import CLOCKS, Figure, Progress, Report, finish, machine, print_rows, shared_options, take_turns

Ids = NDArray[np.int64]
SECTIONS = ("greedy", "beam")
#: rows that are searched side by side, about, as in predictions
ROWS = 256
#: tokens, and sizes of the untrained network
VOCABULARY, EMBEDDING, HIDDEN = 8000, 256, 384
#: greatest share of texts that may differ, where two continuations are alike to the last bits
DIFFERENT = 0.02


@dataclass(frozen=True)
class Work:
    """Sources in batches of similar length, with the least and the most tokens of each text."""

    sources: list[list[Ids]]
    least: list[Ids]
    most: list[Ids]

    @classmethod
    def of(cls, sources: Sequence[Ids], together: int, *, as_long: bool) -> Work:
        """Return the work of some sources, ``together`` in a batch; ``as_long`` makes texts as long as sources."""
        order = np.argsort([-len(source) for source in sources], kind="stable")
        batches = [[sources[row] for row in order[n : n + together]] for n in range(0, len(order), together)]
        lengths = [np.array([len(source) for source in batch]) for batch in batches]
        limits = [(each, each) if as_long else length_limits(each) for each in lengths]
        return cls(batches, [least for least, _ in limits], [most for _, most in limits])


def search(model: Any, work: Work, beam: int, alpha: float) -> list[list[int]]:
    """Return the best text of each source by the search of Rekur, whatever steps."""
    texts: list[list[int]] = []
    for batch, least, most in zip(work.sources, work.least, work.most, strict=True):
        limits: dict[str, Any] = {"rules": RULES, "least": least, "most": most, "alpha": alpha}
        if beam == 1:
            texts += [each.ids.tolist() for each in greedy_search(model, len(batch), model.encode(batch), **limits)]
        else:
            found = beam_search(model, len(batch), model.encode(batch), beam=beam, **limits)
            texts += [each[0].ids.tolist() for each in found]
    return texts


def search_by_topk(model: Any, work: Work, beam: int, alpha: float) -> list[list[int]]:
    """Return the same by PyTorch alone."""
    batches = zip(work.sources, work.least, work.most, strict=True)
    return [text for batch, *limits in batches for text in TopK(model, batch, *limits, beam, alpha).run()]


class TopK:
    """The search of a batch in PyTorch; the rows of a source stand next to each other.

    Args:
        model: steps of a network.
        batch: the sources.
        least: fewest tokens of each text.
        most: most tokens of each text.
        beam: rows of a source.
        alpha: exponent of the length.
    """

    def __init__(self, model: Any, batch: list[Ids], least: Ids, most: Ids, beam: int, alpha: float) -> None:
        self._model, self._batch, self._beam, self._alpha = model, batch, beam, alpha
        self._least, self._most = torch.from_numpy(least), torch.from_numpy(most)
        self._best: list[tuple[float, list[int]]] = [(-np.inf, []) for _ in batch]
        self._places = torch.full((len(batch),), beam)

    @torch.inference_mode()
    def run(self) -> list[list[int]]:
        """Return the best text of each source."""
        count = len(self._batch)
        state, ids = self._model.begin(count, self._model.encode(self._batch)), torch.full((count,), BEGIN)
        numbers, totals = torch.arange(count), torch.zeros(count)
        history = torch.empty(count, 0, dtype=torch.int64)
        while len(ids):
            scores, state = self._model.step(ids.numpy(), state)
            rows, ids, totals = self._advance(torch.from_numpy(scores), numbers, totals, history)
            numbers, history = numbers[rows], torch.cat([history[rows], ids[:, None]], dim=1)
            if len(ids):
                state = self._model.select(state, rows.numpy())
        return [text for _, text in self._best]

    def _advance(self, scores: Any, numbers: Any, totals: Any, history: Any) -> tuple[Any, Any, Any]:
        """Take log-probabilities (B, V); return the rows that go on, with their tokens and log-probabilities."""
        length, width = history.shape[1], min(self._beam, scores.shape[1])
        scores[:, list(RULES.never)] = -torch.inf
        scores[:, END][self._least[numbers] > length] = -torch.inf
        scores[self._most[numbers] <= length, :END] = -torch.inf
        scores[self._most[numbers] <= length, END + 1 :] = -torch.inf
        top, tokens = scores.topk(width)
        live, sources = numbers.unique_consecutive(return_inverse=True)
        starts = torch.searchsorted(sources, torch.arange(len(live)))
        grid = torch.full((len(live), self._beam, width), -torch.inf)
        slots = torch.arange(len(sources)) - starts[sources]
        grid[sources, slots] = top + totals[:, None]
        best, at = grid.view(len(live), -1).topk(self._beam)
        rows = (starts[:, None] + at // width).clamp(max=len(sources) - 1)
        following = tokens[rows, at % width]
        is_there = (best > -torch.inf) & (torch.arange(self._beam) < self._places[live][:, None])
        is_end = is_there & (following == END)
        for source, place in is_end.nonzero().tolist():
            number, score = int(live[source]), float(best[source, place]) / (length + 1) ** self._alpha
            self._best[number] = max(self._best[number], (score, history[rows[source, place]].tolist()))
        self._places[live] -= is_end.sum(dim=1)
        goes_on = is_there & ~is_end
        highest = best.masked_fill(~goes_on, -torch.inf).amax(dim=1)
        worst = torch.tensor([self._best[number][0] for number in live.tolist()])
        goes_on &= (highest / (self._most[live] + 1) ** self._alpha > worst)[:, None]
        return rows[goes_on], following[goes_on], best[goes_on]


def drawn(count: int, seed: int = 0) -> list[Ids]:
    """Return sources with lengths as in Multi30k, 13 tokens on average and 4 to 40."""
    random = np.random.default_rng(seed)
    lengths = np.clip(np.rint(random.lognormal(np.log(12.5), 0.33, count)), 4, 40).astype(np.int64)
    return [random.integers(END + 1, VOCABULARY, size=length) for length in lengths]


def subject(settings: argparse.Namespace) -> tuple[Any, list[Ids], float]:
    """Return a network, sources, and the exponent of the length."""
    if settings.bundle is None:
        spec = DecoderSpec(
            columns=(VOCABULARY,),
            output_size=VOCABULARY,
            cell="gru",
            hidden_size=HIDDEN if not settings.quick else 32,
            decoder_size=HIDDEN if not settings.quick else 32,
            embedding_size=EMBEDDING if not settings.quick else 16,
            bidirectional=True,
        )
        return build_decoder(spec, seed=0), drawn(settings.count), 1.0
    model: Any = tasks.load(settings.bundle)
    texts = settings.source.read_bytes().decode("utf-8").split("\n")[: settings.count]
    steps, _ = model.encode([text for text in texts if text.strip()])
    return model.model_, [np.asarray(each, np.int64) for each in steps], model.search_.alpha


def measure(settings: argparse.Namespace, report: Report, picked: Sequence[str]) -> None:
    """Add rows and figures for the sections."""
    network, sources, alpha = subject(settings)
    engine, steps = PairEngine(*lower(network, "translate"), threads=settings.threads), network.eval().steps()
    progress = Progress(len(picked), 5 * settings.repeats * len(picked))
    for section in picked:
        beam = settings.beam if section == "beam" else 1
        progress.next(f"{section}, {len(sources)} sources")
        work = Work.of(sources, max(1, ROWS // beam), as_long=settings.bundle is None)
        rivals = {
            "rekur": partial(search, engine, work, beam, alpha),
            "torch": partial(search, steps, work, beam, alpha),
            "topk": partial(search_by_topk, steps, work, beam, alpha),
        }
        expected = rivals["rekur"]()
        same = {name: np.mean([a == b for a, b in zip(run(), expected, strict=True)]) for name, run in rivals.items()}
        if min(same.values()) < 1 - DIFFERENT:
            raise SystemExit(f"{section}: the rivals find other texts: {same}")
        taken = take_turns(rivals, repeats=settings.repeats, clock=CLOCKS[settings.clock]).seconds
        ratio = taken["rekur"] / min(taken["torch"], taken["topk"])
        tokens = sum(map(len, expected))
        row = {"section": section, "beam": beam, "sources": len(sources), "tokens": tokens, "seconds": taken}
        report.rows.append({**row, "ratio": ratio, "same": {name: float(share) for name, share in same.items()}})
        note = f"{len(sources):,} sources, beam {beam}, seconds by those of the faster rival"
        report.figures.append(Figure(section, ratio, 1.0, at_least=False, note=note))


def main() -> None:
    """Print the table."""
    parser = shared_options(__doc__, SECTIONS, (5, 1))
    parser.add_argument("--bundle", type=Path, help="a trained model; by default an untrained network")
    parser.add_argument("--source", type=Path, help="its sources, a line each")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--count", type=int, help="sources; by default 1,000, with --quick 20")
    settings = parser.parse_args()
    if (settings.bundle is None) != (settings.source is None):
        parser.error("--bundle and --source: got one of them; expected both or none")
    picked = [name for name in SECTIONS if settings.only is None or name in settings.only.split(",")]
    settings.repeats = settings.repeats or (1 if settings.quick else 5)
    settings.count = settings.count or (20 if settings.quick else 1000)
    torch.set_num_threads(settings.threads)
    report, began = Report(), time.perf_counter()
    measure(settings, report, picked)
    heads = ("search", "sources", "tokens", "rekur s", "torch s", "topk s", "ratio")
    rows = [
        (
            row["section"],
            f"{row['sources']:,}",
            f"{row['tokens']:,}",
            *(f"{row['seconds'][name]:.3f}" for name in ("rekur", "torch", "topk")),
            f"{row['ratio']:.2f}",
        )
        for row in report.rows
    ]
    print_rows("Searches", heads, rows)
    finish("translate_speed", report, machine(settings.threads, settings.clock), settings, began)


if __name__ == "__main__":
    main()
