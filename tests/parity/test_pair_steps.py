"""The program of a network of pairs on the engine, step by step against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from rekur.decode import Rules, beam_search, greedy_search
from rekur.lower import lower
from rekur.models import DecoderSpec, build_decoder
from rekur.program import PairEngine

SOURCES = [[4, 5, 6, 7], [8], [9, 10, 4]]


def built(**options):
    sizes = {"columns": (11,), "output_size": 11, "hidden_size": 6, "decoder_size": 7, "seed": 1} | options
    seed = sizes.pop("seed")
    network = build_decoder(DecoderSpec(**sizes), seed=seed).eval()
    return network, PairEngine(*lower(network))


def both(network, engine):
    steps = network.steps()
    return (steps, steps.encode(SOURCES)), (engine, engine.encode(SOURCES))


@pytest.mark.parametrize("tying", ["none", "target", "all"])
@pytest.mark.parametrize("attention", ["dot", "additive"])
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "bidirectional": True},
        {"cell": "lstm", "decoder_layers": 2, "num_layers": 2, "residual": True, "norm": True},
        {"cell": "mingru"},
        {"cell": "mlstm"},
    ],
    ids=lambda options: options["cell"],
)
def test_the_engine_steps_as_pytorch_does(options, attention, tying):
    network, engine = built(attention=attention, tying=tying, **options)
    (theirs, their_memory), (ours, memory) = both(network, engine)
    their_state, state = theirs.begin(3, their_memory), ours.begin(3, memory)
    ids = np.array([2, 2, 2])
    for step in range(4):
        expected, their_state = theirs.step(ids, their_state)
        scores, state = ours.step(ids, state)
        written = np.isfinite(expected)  # PyTorch leaves out what is never written
        np.testing.assert_allclose(scores[written], expected[written], atol=5e-6)
        rows = np.array([0, 0, 1, 2, 2]) if step < 2 else np.arange(1, len(ids))
        state, their_state = ours.select(state, rows), theirs.select(their_state, rows)
        ids = np.arange(len(rows)) % 7 + 4


def test_searches_on_both_find_the_same():
    network, engine = built(cell="gru", bidirectional=True, seed=3)
    for search, options in ((beam_search, {"beam": 4, "n_best": 3}), (greedy_search, {})):
        results = []
        for steps, memory in both(network, engine):
            lists = search(steps, 3, memory, rules=Rules(end=3, begin=2), most=8, **options)
            flat = [each for entry in lists for each in (entry if isinstance(entry, list) else [entry])]
            results.append([(each.ids.tolist(), round(each.score, 4)) for each in flat])
        assert results[0] == results[1]
