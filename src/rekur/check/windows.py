"""Windows of series as subjects of proofs, and what runs them: of raw arrays, since the features make them.

Axes: S steps of the past, D numbers of a step, A segments of the horizon, E numbers of a segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.features.live_columns import ColumnReader
from rekur.program import ForecastEngine, Program, draw_sequences
from rekur.program.parts import AHEAD, INPUT


@dataclass(frozen=True)
class WindowArrays:
    """A window as a network reads it.

    Attributes:
        steps: the past, (S, D).
        ahead: the horizon, (A, E).
    """

    steps: Array
    ahead: Array

    def __len__(self) -> int:
        return len(self.steps)


class WindowRuns:
    """The engine of a program that forecasts, run on windows.

    Args:
        program: the program.
        weights: name -> array.
    """

    def __init__(self, program: Program, weights: Mapping[str, Array]) -> None:
        self.program, self.engine = program, ForecastEngine(program, weights)

    def run(self, windows: Sequence[WindowArrays]) -> Array:
        """Return the outputs of windows, (N, K)."""
        return self.engine.run([each.steps for each in windows], [each.ahead for each in windows])

    def in_chunks(self, window: WindowArrays, size: int) -> Array:
        """Return the output (K,) of a window whose past is read in chunks, with the state carried."""
        state = self.engine.initial_state()
        for start in range(0, len(window), size):
            state = self.engine.advance(window.steps[start : start + size], state)
        return self.engine.read(window.ahead, state)


def drawn_windows(program: Program, lengths: Sequence[int], segments: int, seed: int) -> list[WindowArrays]:
    """Return random windows with pasts of these lengths, and a number of segments ahead."""
    rng = np.random.default_rng(seed)
    width = program.parts[AHEAD].inputs[INPUT].size
    pasts = draw_sequences(program, lengths, rng)
    return [WindowArrays(past, rng.normal(size=(segments, width)).astype(np.float32)) for past in pasts]


def windows_of(features: Any, corpus: Any, count: int) -> tuple[list[Any], list[WindowArrays]]:
    """Return the windows at the ends of the first series, and the arrays of each."""
    items = []
    for example in corpus:
        items += [part for part, _ in features.parts(example.item, use="prediction")]
        if len(items) >= count:
            break
    encoded = features.encode_many(items[:count])
    return items[:count], [WindowArrays(each.inputs["steps"], each.inputs["ahead"]) for each in encoded]


def events_of(window: Any, features: Any) -> Iterator[dict[str, Any]]:
    """Yield the values before the origin of a window as events with their columns, from the first one on."""
    history = window.history
    key = {"series": window.name}
    if history.name and len(history.channels) > 1:
        key["channel"] = history.channels[window.channel]
    columns = ColumnReader(features.covariates).events(history, window.origin, features.horizon)
    for step, value in enumerate(window.past.tolist()):
        time = {} if history.step.unit == "row" else {"time": history.stamp(step)}
        yield {**key, "value": value, **time, **columns[step]}
