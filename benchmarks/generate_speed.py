"""Time generation against a plain torch.nn loop, in one run; print tokens per second and ratios.

    python benchmarks/generate_speed.py [--quick] [--threads 1] [--clock wall|processor] [--json]

The rival is what one would write: ``nn.LSTM`` or ``nn.GRU`` on one step at a time under ``inference_mode``, a linear
layer, ``softmax`` and ``torch.multinomial``, the tokens joined to text at the end. Rekur's own runs include
log-probabilities and states to go on from: "stream" hands out each piece of text as it is drawn, "whole" each sample
at its end. A ratio of 2 means twice as many tokens per second. Rivals take turns, and every figure is a median. On a
machine that others use too, ``--threads 1 --clock processor`` counts only this process's own work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from rekur.decode import Sampler, StepFunction, generate, generate_all
from rekur.features import TextFeatures
from rekur.lower import step_function
from rekur.models import LanguageSpec, build_language

VOCABULARY, EMBEDDING, HIDDEN, LAYERS = 65, 64, 256, 2
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU}
CHARACTERS = "".join(map(chr, range(40, 40 + VOCABULARY - 2)))


class Plain(nn.Module):
    """The model of the plain loop."""

    def __init__(self, cell: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.layers = TORCH[cell](EMBEDDING, HIDDEN, LAYERS, batch_first=True)
        self.head = nn.Linear(HIDDEN, VOCABULARY)

    @torch.inference_mode()
    def generate(self, samples: int, tokens: int) -> list[str]:
        """Return texts drawn one token at a time."""
        last, state, drawn = torch.zeros(samples, 1, dtype=torch.int64), None, []
        for _ in range(tokens):
            hidden, state = self.layers(self.embedding(last), state)
            last = torch.multinomial(torch.softmax(self.head(hidden[:, -1]), dim=-1), 1)
            drawn.append(last)
        return ["".join(CHARACTERS[n - 2] for n in row if n > 1) for row in torch.cat(drawn, dim=1).tolist()]


def medians(rivals: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return seconds by name; the rivals take turns."""
    for run in rivals.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, run in rivals.items():
            start = clock()
            run()
            times[name].append(clock() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def draws_of(samples: int, tokens: int, options: dict[str, Any]) -> Callable[[], object]:
    """Return the sampler's part alone."""
    scores = np.random.default_rng(0).normal(size=(samples, VOCABULARY)).astype(np.float32)

    def run() -> None:
        draws = Sampler(**options, seed=0).start(samples)
        for _ in range(tokens):
            draws.draw(scores)

    return run


def rivals_of(
    live: StepFunction, plain: Plain, features: TextFeatures, samples: int, tokens: int
) -> dict[str, Callable[[], object]]:
    """Return ways to draw so many samples of so many tokens, and the sampler's part of it alone."""
    options: dict[str, Any] = {"samples": samples, "max_tokens": tokens, "sampler": Sampler(seed=0)}
    return {
        "stream": lambda: list(generate(live, features, **options)),
        "whole": lambda: generate_all(live, features, **options),
        "torch": lambda: plain.generate(samples, tokens),
        "draw": draws_of(samples, tokens, {}),
        "draw top_p": draws_of(samples, tokens, {"temperature": 0.8, "top_p": 0.9}),
    }


def measure(settings: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row for each cell and number of samples."""
    clock = time.process_time if settings.clock == "processor" else time.perf_counter
    features = TextFeatures("char").fit([CHARACTERS])
    assert features.size == VOCABULARY
    for cell in TORCH:
        spec = LanguageSpec(
            vocabulary_size=VOCABULARY, cell=cell, hidden_size=HIDDEN, num_layers=LAYERS, embedding_size=EMBEDDING
        )
        live, plain = step_function(build_language(spec, seed=0)), Plain(cell).eval()
        for samples in (1, 64):
            tokens = settings.tokens if samples == 1 else settings.tokens // 2
            seconds = medians(rivals_of(live, plain, features, samples, tokens), settings.repeats, clock)
            rate = {name: samples * tokens / seconds[name] for name in ("stream", "whole", "torch")}
            microseconds = {name: 1e6 * seconds[name] / tokens for name in ("draw", "draw top_p")}
            yield {"cell": cell, "samples": samples, "tokens_per_second": rate, "microseconds_a_step": microseconds}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few tokens")
    parser.add_argument("--tokens", type=int, default=400, help="tokens of a sample; half as many for 64 samples")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    settings = parser.parse_args()
    if settings.quick:
        settings.tokens = 100
    torch.manual_seed(0)
    torch.set_num_threads(settings.threads)
    print(f"torch {torch.__version__}, {settings.threads} threads, {settings.clock} clock, {LAYERS}×{HIDDEN}")
    print("cell samples |   stream    whole    torch tokens/s | ratio stream  whole | draw  with top_p µs a step")
    rows = []
    for row in measure(settings):
        rows.append(row)
        rate, draw = row["tokens_per_second"], row["microseconds_a_step"]
        rates = " ".join(f"{rate[name]:8,.0f}" for name in ("stream", "whole", "torch"))
        ratios = f"{rate['stream'] / rate['torch']:12.2f} {rate['whole'] / rate['torch']:6.2f}"
        draws = f"{draw['draw']:4.0f} {draw['draw top_p']:12.0f}"
        print(f"{row['cell']:4} {row['samples']:7} | {rates}          | {ratios} | {draws}", flush=True)
    if settings.json:
        print(json.dumps({"torch": torch.__version__, "threads": settings.threads, "rows": rows}))


if __name__ == "__main__":
    main()
