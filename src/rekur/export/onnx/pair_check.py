"""ONNX models of a program that is searched, run by ONNX Runtime, and compared with the engine.

Axes: P sources, S steps of a source, N rows (targets side by side), V target tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.export.onnx.found import Found, compare, larger
from rekur.program import PairEngine, draw_sequences
from rekur.program.parts import DECODE, INPUT

#: lengths of the sources of a batch, and the source of each row at each step
_SOURCES: tuple[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], ...] = (
    ((7,), ((0,), (0, 0, 0), (0, 0))),
    ((5, 1, 0, 31), ((0, 1, 2, 3), (0, 0, 1, 3, 3, 3), (0, 3), (3, 3, 3, 3))),
)
#: kind of source -> what stands in the padding, and reaches no node
_PADDING: Mapping[str, Any] = {"tokens": np.iinfo(np.int64).max, "ids": np.iinfo(np.int64).max, "rows": np.nan}


class PairSessions:
    """ONNX models of a program that is searched; a step function of :mod:`rekur.decode`.

    Args:
        sessions: of ``encode`` and ``decode``, from :func:`rekur.export.onnx.check.open_models`.
        engine: of the same program.
    """

    def __init__(self, sessions: Mapping[str, Any], engine: PairEngine) -> None:
        self._sessions, self._program = sessions, engine.program
        self._begin = engine.initial_state()
        self._names = {name: [port.name for port in session.get_outputs()] for name, session in sessions.items()}
        self._reads = {port.name for port in sessions["decode"].get_inputs()}

    def encode(self, sequences: Sequence[Any]) -> dict[str, Array]:
        """Return what targets read of sources, by name, with their ``lengths``."""
        source = self._program.input
        lengths = np.array([len(x) for x in sequences], np.int64)
        more = () if source.kind == "tokens" else (source.size,)
        dtype = np.float32 if source.kind == "rows" else np.int64
        padded = np.full((len(lengths), max([0, *lengths.tolist()]), *more), _PADDING[source.kind], dtype)
        for row, x in zip(padded, sequences, strict=True):
            row[: len(x)] = x
        arrays = self._sessions["encode"].run(self._names["encode"], {"input": padded, "lengths": lengths})
        return {**dict(zip(self._names["encode"], arrays, strict=True)), "lengths": lengths}

    def begin(self, batch: int, memory: Mapping[str, Array]) -> dict[str, Array]:
        """Return the inputs of the first step, without the token, for one target a source."""
        outputs = {slot.name: slot.output for slot in self._program.state}
        state = {
            f"state.{name}": memory[outputs[name]] if outputs[name] else np.repeat(array[None], batch, axis=0)
            for name, array in self._begin.items()
        }
        memories = {name: memory[name] for name in self._program.parts[DECODE].inputs if name != INPUT}
        return {**state, **memories, "lengths": memory["lengths"], "sources": np.arange(batch)}

    def step(self, ids: Array, state: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
        """Return the outputs (N, V) after one more token of each target, and the inputs of the next step."""
        inputs = {name: array for name, array in state.items() if name in self._reads}
        arrays = self._sessions["decode"].run(self._names["decode"], {"input": ids, **inputs})
        outputs = dict(zip(self._names["decode"], arrays, strict=True))
        new = {f"state.{name.removeprefix('next.')}": array for name, array in outputs.items() if name != "scores"}
        return outputs["scores"], {**state, **new}

    def select(self, state: Mapping[str, Array], rows: Array) -> dict[str, Array]:
        """Return the inputs for the targets with these indices (k,), which may repeat; no source is copied."""
        return {
            name: array[rows] if name == "sources" or name.startswith("state.") else array
            for name, array in state.items()
        }


def check_pair_sessions(sessions: Mapping[str, Any], engine: PairEngine) -> Found:
    """Run ONNX models and the engine on drawn sources and targets, and return the largest difference.

    Args:
        sessions: of ``encode`` and ``decode``.
        engine: of the same program.
    """
    model, rng, worst = PairSessions(sessions, engine), np.random.default_rng(0), Found(0.0, "nowhere")
    for lengths, steps in _SOURCES:
        sources = draw_sequences(engine.program, lengths, rng)
        ours, theirs = engine.encode(sources), model.encode(sources)
        where = f"encode.onnx, {len(sources)} sources"
        for name, array in ours.rows.items():
            worst = larger(worst, compare(theirs[name], array, f"{where}, {name}"))
        for name, array in ours.steps.items():
            joined = np.concatenate([rows[:length] for rows, length in zip(theirs[name], lengths, strict=True)])
            worst = larger(worst, compare(joined, array, f"{where}, {name}"))
        expected, state = engine.begin(len(sources), ours), model.begin(len(sources), theirs)
        size = engine.program.parts[DECODE].inputs[INPUT].size
        rows = np.arange(len(sources))
        for number, following in enumerate(steps, start=1):
            # the first row of each source goes on, as in a search
            rows = np.array([rows.tolist().index(source) for source in following])
            expected, state = engine.select(expected, rows), model.select(state, rows)
            ids = rng.integers(size, size=len(rows))
            (right, expected), (scores, state) = engine.step(ids, expected), model.step(ids, state)
            where = f"decode.onnx, {len(rows)} targets after {number} steps"
            worst = larger(worst, compare(scores, right, f"{where}, scores"))
            for name, array in expected.arrays.items():
                worst = larger(worst, compare(state[f"state.{name}"], array, f"{where}, next.{name}"))
            rows = np.array(following)
    return worst
